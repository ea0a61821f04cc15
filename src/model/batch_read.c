/* batch_read.c: a payload (docs/format/batch.md) as struct blocks.
 *
 * Opening a block walks its column headers and notes where each body lies; bodies are decoded when
 * a column is asked for. Text is not copied: the payload must outlive the block. Two columns are
 * not in the payload and are made up here: seq, and received_at unless the store wrote it
 * (docs/format). */
#include "base/hash.h"
#include "base/rd.h"
#include "model/batch.h"
#include "model/batch_format.h"

struct pcol {
    const uint8_t *body;
    size_t len;
    uint8_t flags;
};

struct pblock {
    struct block b;
    struct pcol *cols; /* same order as b.cols */
    uint32_t nstored;  /* columns of the payload; the virtual ones follow: seq, then received_at */
    ts_ns received_at;
};

static const uint32_t zero_codes[BLOCK_ROWS_MAX];

static int corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "batch payload: %s", what);
}

static struct rd payload_start(str payload, uint64_t *nblocks, uint64_t *rows)
{
    struct rd r = rd_of(payload.p, payload.n);
    uint8_t version = rd_u8(&r);
    if (version < BATCH_VERSION_OLDEST || version > BATCH_VERSION)
        r.bad = true;
    *nblocks = rd_varint(&r);
    *rows = rd_varint(&r);
    if (*nblocks > PAYLOAD_BLOCKS_MAX)
        r.bad = true;
    return r;
}

int payload_info(str payload, struct payload_info *ret, struct err *err)
{
    uint64_t nblocks, rows, sum = 0;
    struct rd r = payload_start(payload, &nblocks, &rows);
    for (uint64_t i = 0; i < nblocks && rd_ok(&r); i++) {
        uint32_t len = rd_le32(&r);
        const uint8_t *p = rd_bytes(&r, len);
        struct rd br = rd_of(p, p ? len : 0);
        sum += rd_varint(&br);
    }
    if (!rd_ok(&r) || rd_left(&r) || sum != rows || rows > UINT32_MAX)
        return corrupt(err, "bad frame");
    ret->nblocks = (uint32_t)nblocks;
    ret->rows = (uint32_t)rows;
    return 0;
}

/* ---- columns ---- */

static uint64_t get_width(const uint8_t *p, unsigned code)
{
    switch (code) {
    case 0: return *p;
    case 1: return get_le16(p);
    case 2: return get_le32(p);
    default: return get_le64(p);
    }
}

static int load_presence(struct rd *r, uint8_t flags, uint32_t n, uint32_t nvals, struct arena *a,
                         const uint64_t **ret, struct err *err)
{
    if (flags & BF_DENSE) {
        *ret = NULL;
        return nvals == n ? 0 : corrupt(err, "dense column of another length");
    }
    uint64_t *w = arena_zalloc(a, BITS_WORDS(n) * 8);
    if (!w)
        return err_nomem(err);
    if (flags & BF_LIST) {
        const uint8_t *p = rd_bytes(r, (size_t)nvals * 2);
        for (uint32_t i = 0; p && i < nvals; i++) {
            uint16_t row = get_le16(p + (size_t)i * 2);
            if (row >= n)
                return corrupt(err, "row number out of range");
            bit_set(w, row);
        }
    } else {
        const uint8_t *p = rd_bytes(r, (n + 7) / 8);
        for (uint32_t i = 0; p && i < n; i++)
            if (p[i / 8] >> i % 8 & 1)
                bit_set(w, i);
    }
    if (!rd_ok(r) || bits_count(w, n) != nvals)
        return corrupt(err, "presence does not add up");
    *ret = w;
    return 0;
}

/* next row with a value, given that row `r` was the last (start with UINT32_MAX) */
static inline uint32_t next_row(const uint64_t *present, uint32_t r, uint32_t n)
{
    return present ? (uint32_t)bits_next(present, r + 1, n) : r + 1;
}

static int load_ints(struct rd *r, uint8_t flags, struct arena *a, struct colv *ret,
                     struct err *err)
{
    int64_t *v = arena_array(a, ret->n, sizeof *v);
    if (!v)
        return err_nomem(err);
    uint64_t base = rd_le64(r);
    unsigned code = (flags & BF_WIDTH_MASK) >> BF_WIDTH_SHIFT, w = 1u << code;
    if (flags & BF_CONST) {
        for (uint32_t i = 0; i < ret->n; i++)
            v[i] = (int64_t)base;
    } else {
        const uint8_t *p = rd_bytes(r, (size_t)ret->nvals * w);
        if (!p)
            return corrupt(err, "integers cut short");
        if (ret->present)
            memset(v, 0, ret->n * sizeof *v);
        for (uint32_t k = 0, row = UINT32_MAX; k < ret->nvals; k++) {
            row = next_row(ret->present, row, ret->n);
            v[row] = (int64_t)(base + get_width(p + (size_t)k * w, code));
        }
    }
    ret->i64 = v;
    return 0;
}

static int load_doubles(struct rd *r, uint8_t flags, struct arena *a, struct colv *ret,
                        struct err *err)
{
    double *v = arena_zalloc(a, ret->n * sizeof *v);
    if (!v)
        return err_nomem(err);
    const uint8_t *p = rd_bytes(r, (size_t)(flags & BF_CONST ? 1 : ret->nvals) * 8);
    if (!p)
        return corrupt(err, "doubles cut short");
    for (uint32_t k = 0, row = UINT32_MAX; k < ret->nvals; k++) {
        row = next_row(ret->present, row, ret->n);
        uint64_t u = get_le64(flags & BF_CONST ? p : p + (size_t)k * 8);
        memcpy(&v[row], &u, 8);
    }
    ret->f64 = v;
    return 0;
}

static int load_bools(struct rd *r, struct arena *a, struct colv *ret, struct err *err)
{
    uint8_t *v = arena_zalloc(a, ret->n);
    const uint8_t *p = rd_bytes(r, ret->nvals);
    if (!v)
        return err_nomem(err);
    if (!p)
        return corrupt(err, "booleans cut short");
    for (uint32_t k = 0, row = UINT32_MAX; k < ret->nvals; k++) {
        row = next_row(ret->present, row, ret->n);
        v[row] = p[k] != 0;
    }
    ret->b8 = v;
    return 0;
}

/* offsets of n texts in a row, then their bytes */
static int load_list(struct rd *r, unsigned code, uint32_t n, const uint64_t *present,
                     uint32_t slots, struct arena *a, struct colv *ret, struct err *err)
{
    const uint8_t *p = code < 3 ? rd_bytes(r, (size_t)n << code) : NULL;
    uint32_t *off = arena_array(a, slots + 1, sizeof *off);
    if (!off)
        return err_nomem(err);
    if (!p)
        return corrupt(err, "text lengths cut short");
    uint64_t sum = 0;
    uint32_t slot = 0;
    for (uint32_t k = 0, row = UINT32_MAX; k < n; k++) {
        row = next_row(present, row, slots);
        while (slot <= row)
            off[slot++] = (uint32_t)sum;
        sum += get_width(p + ((size_t)k << code), code);
        if (sum > rd_left(r) || sum > UINT32_MAX)
            return corrupt(err, "text longer than its column");
    }
    while (slot <= slots)
        off[slot++] = (uint32_t)sum;
    ret->bytes = (const char *)rd_bytes(r, (size_t)sum);
    ret->off = off;
    return 0;
}

static int load_dict(struct rd *r, unsigned code, struct arena *a, struct colv *ret,
                     struct err *err)
{
    uint64_t ndict = rd_varint(r);
    if (!rd_ok(r) || ndict == 0 || ndict > ret->nvals || ndict > BATCH_DICT_MAX)
        return corrupt(err, "bad dictionary size");
    int rc = load_list(r, code, (uint32_t)ndict, NULL, (uint32_t)ndict, a, ret, err);
    if (rc)
        return rc;
    unsigned w = ndict <= 256 ? 1 : 2;
    const uint8_t *p = rd_bytes(r, (size_t)ret->nvals * w);
    uint32_t *codes = arena_array(a, ret->n, sizeof *codes), max = 0;
    if (!codes)
        return err_nomem(err);
    if (!p)
        return corrupt(err, "dictionary codes cut short");
    if (ret->present)
        memset(codes, 0, ret->n * sizeof *codes);
    for (uint32_t k = 0, row = UINT32_MAX; k < ret->nvals; k++) {
        row = next_row(ret->present, row, ret->n);
        codes[row] = (uint32_t)get_width(p + (size_t)k * w, w - 1);
        max = codes[row] > max ? codes[row] : max;
    }
    if (max >= ndict)
        return corrupt(err, "dictionary code out of range");
    ret->codes = codes;
    ret->ndict = (uint32_t)ndict;
    return 0;
}

static int load_texts(struct rd *r, uint8_t flags, struct arena *a, struct colv *ret,
                      struct err *err)
{
    unsigned code = (flags & BF_WIDTH_MASK) >> BF_WIDTH_SHIFT;
    if (flags & BF_DICT)
        return load_dict(r, code, a, ret, err);
    if (!(flags & BF_CONST))
        return load_list(r, code, ret->nvals, ret->present, ret->n, a, ret, err);
    ret->codes = zero_codes;
    ret->ndict = 1;
    return load_list(r, code, 1, NULL, 1, a, ret, err);
}

static int load_virtual(struct pblock *pb, bool is_seq, struct colv *ret, struct err *err)
{
    int64_t *v = arena_array(pb->b.arena, pb->b.n, sizeof *v);
    if (!v)
        return err_nomem(err);
    for (uint32_t i = 0; i < pb->b.n; i++)
        v[i] = is_seq ? (int64_t)(pb->b.seq_min + i) : pb->received_at;
    ret->i64 = v;
    return 0;
}

static int pblock_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct pblock *pb = (struct pblock *)b;
    const struct pcol *pc = &pb->cols[c];
    *ret = (struct colv){
        .key = b->cols[c].key, .type = b->cols[c].type, .n = b->n, .nvals = b->cols[c].nvals
    };
    if (c >= pb->nstored)
        return load_virtual(pb, c == pb->nstored, ret, err);
    struct rd r = rd_of(pc->body, pc->len);
    int rc = load_presence(&r, pc->flags, b->n, ret->nvals, b->arena, &ret->present, err);
    if (rc)
        return rc;
    switch (ret->type) {
    case V_NULL: break;
    case V_BOOL: rc = load_bools(&r, b->arena, ret, err); break;
    case V_I64: rc = load_ints(&r, pc->flags, b->arena, ret, err); break;
    case V_F64: rc = load_doubles(&r, pc->flags, b->arena, ret, err); break;
    default: rc = load_texts(&r, pc->flags, b->arena, ret, err);
    }
    if (!rc && (!rd_ok(&r) || rd_left(&r)))
        rc = corrupt(err, "column of another length");
    return rc;
}

static void pblock_close(struct block *b)
{
    (void)b; /* all of it is the arena's */
}

static const struct block_ops pblock_ops = { pblock_load, pblock_close, NULL, NULL };

static bool read_column(struct rd *r, uint32_t n, struct colinfo *info, struct pcol *col)
{
    info->key = rd_lenstr(r);
    info->type = (enum vtype)rd_u8(r);
    col->flags = rd_u8(r);
    uint64_t nvals = rd_varint(r), len = rd_varint(r);
    if (!rd_ok(r) || info->type >= V__COUNT || nvals == 0 || nvals > n || len > rd_left(r))
        return false;
    info->nvals = (uint32_t)nvals;
    info->hash = field_dotted_hash(info->key);
    col->len = (size_t)len;
    col->body = rd_bytes(r, (size_t)len);
    return true;
}

static void add_virtual(struct colinfo *info, enum field f, uint32_t n)
{
    info->key = field_table[f].name;
    info->hash = field_dotted_hash(info->key);
    info->type = V_I64;
    info->nvals = n;
}

static int open_block(struct rd r, uint64_t base_seq, ts_ns received_at, struct arena *a,
                      struct block **ret, struct err *err)
{
    struct pblock *pb = arena_zalloc(a, sizeof *pb);
    if (!pb)
        return err_nomem(err);
    uint64_t n = rd_varint(&r);
    pb->b.t_min = (ts_ns)rd_le64(&r);
    pb->b.t_max = (ts_ns)rd_le64(&r);
    uint64_t ncols = rd_varint(&r);
    if (!rd_ok(&r) || n == 0 || n > BLOCK_ROWS_MAX || ncols > BATCH_COLS_MAX || ncols > rd_left(&r))
        return corrupt(err, "bad block header");
    struct colinfo *info = arena_array(a, ncols + 2, sizeof *info);
    pb->cols = arena_array(a, ncols + 2, sizeof *pb->cols);
    pb->b.loaded = arena_zalloc(a, (ncols + 2) * sizeof *pb->b.loaded);
    if (!info || !pb->cols || !pb->b.loaded)
        return err_nomem(err);
    bool has_received = false;
    for (uint32_t i = 0; i < ncols; i++) {
        if (!read_column(&r, (uint32_t)n, &info[i], &pb->cols[i]))
            return corrupt(err, "bad column header");
        has_received |= str_eq(info[i].key, field_table[F_RECEIVED_AT].name);
    }
    if (rd_left(&r))
        return corrupt(err, "bytes behind the last column");
    add_virtual(&info[ncols], F_SEQ, (uint32_t)n);
    add_virtual(&info[ncols + 1], F_RECEIVED_AT, (uint32_t)n);
    pb->nstored = (uint32_t)ncols;
    pb->b.n = (uint32_t)n;
    pb->b.ncols = (uint32_t)ncols + (has_received ? 1 : 2);
    pb->b.cols = info;
    pb->b.arena = a;
    pb->b.seq_min = base_seq;
    pb->b.seq_max = base_seq + n - 1;
    pb->b.ops = &pblock_ops;
    pb->received_at = received_at;
    *ret = &pb->b;
    return 0;
}

int payload_each(str payload, uint64_t base_seq, ts_ns received_at, struct arena *arena,
                 int (*fn)(void *arg, struct block *b, struct err *err), void *arg, struct err *err)
{
    uint64_t nblocks, rows;
    struct rd r = payload_start(payload, &nblocks, &rows);
    for (uint64_t i = 0; i < nblocks && rd_ok(&r); i++) {
        uint32_t len = rd_le32(&r);
        const uint8_t *p = rd_bytes(&r, len);
        if (!p)
            break;
        struct block *b;
        int rc = open_block(rd_of(p, len), base_seq, received_at, arena, &b, err);
        if (!rc)
            rc = fn(arg, b, err);
        if (rc)
            return rc;
        base_seq += b->n;
    }
    return rd_ok(&r) ? 0 : corrupt(err, "cut short");
}

int payload_block(str payload, uint32_t i, uint64_t base_seq, ts_ns received_at,
                  struct arena *arena, struct block **ret, struct err *err)
{
    uint64_t nblocks, rows;
    struct rd r = payload_start(payload, &nblocks, &rows);
    for (uint64_t k = 0; k < nblocks && rd_ok(&r); k++) {
        uint32_t len = rd_le32(&r);
        const uint8_t *p = rd_bytes(&r, len);
        if (!p)
            break;
        struct rd br = rd_of(p, len);
        if (k == i)
            return open_block(br, base_seq, received_at, arena, ret, err);
        base_seq += rd_varint(&br);
    }
    return corrupt(err, "no such block");
}
