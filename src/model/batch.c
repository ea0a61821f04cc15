/* batch.c: building rows as columns, and writing them out (docs/format/batch.md).
 *
 * A column holds its values back to back with the number of the row each belongs to. Rows of one
 * source repeat the same columns in the same order, so each column remembers which one followed it
 * last time; a lookup that guesses right costs one comparison.
 *
 * Invariants: 1. rows[] of a column rises strictly. 2. A column's last row number is the current
 * row exactly when the current row has a value there. 3. After batch_encode the batch is spent. */
#include "model/batch.h"

#include "base/hash.h"
#include "base/rd.h"
#include "model/batch_format.h"

struct batch {
    struct arena *a;
    uint32_t rows; /* complete ones = number of the current row */
    struct bcol **cols;
    uint32_t ncols, cap_cols;
    uint32_t *table; /* open addressing: column index + 1, 0 = free */
    uint32_t table_cap;
    struct bcol *first; /* guess for the first column of a row */
    struct bcol *last;  /* column used last in the current row */
    struct dict *dict;  /* made when the first column wants one */
};

int batch_new(struct batch **ret, struct arena *a, struct err *err)
{
    struct batch *b = arena_zalloc(a, sizeof *b);
    if (!b)
        return err_nomem(err);
    b->a = a;
    b->table_cap = 64;
    b->table = arena_zalloc(a, b->table_cap * sizeof *b->table);
    if (!b->table)
        return err_nomem(err);
    *ret = b;
    return 0;
}

static uint64_t col_hash(str key, enum vtype type)
{
    return hash64_seed(key.p, key.n, (uint64_t)type);
}

static bool table_grow(struct batch *b)
{
    uint32_t cap = b->table_cap * 2;
    uint32_t *t = arena_zalloc(b->a, cap * sizeof *t);
    if (!t)
        return false;
    for (uint32_t i = 0; i < b->ncols; i++) {
        uint64_t h = col_hash(b->cols[i]->key, b->cols[i]->type);
        uint32_t k = (uint32_t)h & (cap - 1);
        while (t[k])
            k = (k + 1) & (cap - 1);
        t[k] = i + 1;
    }
    b->table = t;
    b->table_cap = cap;
    return true;
}

static struct bcol *col_add(struct batch *b, str key, enum vtype type, uint32_t slot)
{
    if (b->ncols >= BATCH_COLS_MAX)
        return NULL;
    if (b->ncols == b->cap_cols) {
        uint32_t cap = b->cap_cols ? b->cap_cols * 2 : 32;
        struct bcol **cols = arena_grow(b->a, b->cols, b->ncols, cap, sizeof *cols);
        if (!cols)
            return NULL;
        b->cols = cols;
        b->cap_cols = cap;
    }
    struct bcol *c = arena_zalloc(b->a, sizeof *c);
    if (!c)
        return NULL;
    c->b = b;
    c->row = &b->rows;
    c->key = arena_dup(b->a, key);
    if (!c->key.p)
        return NULL;
    c->type = type;
    b->cols[b->ncols++] = c;
    b->table[slot] = b->ncols;
    if (b->ncols * 2 > b->table_cap && !table_grow(b)) {
        b->ncols--;
        b->table[slot] = 0;
        return NULL;
    }
    return c;
}

struct bcol *batch_col(struct batch *b, str key, enum vtype type)
{
    struct bcol **guess = b->last ? &b->last->after : &b->first;
    struct bcol *c = *guess;
    if (!c || c->type != type || !str_eq(c->key, key)) {
        uint32_t k = (uint32_t)col_hash(key, type) & (b->table_cap - 1);
        for (; b->table[k]; k = (k + 1) & (b->table_cap - 1)) {
            c = b->cols[b->table[k] - 1];
            if (c->type == type && str_eq(c->key, key))
                goto found;
        }
        c = col_add(b, key, type, k);
        if (!c)
            return NULL;
found:
        *guess = c;
    }
    b->last = c;
    return c;
}

bool bcol_grow(struct bcol *c)
{
    uint32_t cap = c->cap ? c->cap * 2 : 64;
    size_t size = c->type >= V_STR ? sizeof(str) : sizeof(int64_t);
    uint32_t *rows = arena_grow(c->b->a, c->rows, c->n, cap, sizeof *rows);
    void *vals = c->type == V_NULL ? NULL : arena_grow(c->b->a, c->vals, c->n, cap, size);
    if (!rows || (!vals && c->type != V_NULL))
        return false;
    c->rows = rows;
    c->vals = vals;
    c->cap = cap;
    return true;
}

void batch_end_row(struct batch *b)
{
    b->rows++;
    b->last = NULL;
}

void batch_truncate(struct batch *b, uint32_t rows)
{
    for (uint32_t i = 0; i < b->ncols; i++) {
        struct bcol *c = b->cols[i];
        while (c->n && c->rows[c->n - 1] >= rows)
            c->n--;
    }
    if (b->rows > rows)
        b->rows = rows;
    b->last = NULL;
}

void batch_undo_row(struct batch *b)
{
    batch_truncate(b, b->rows);
}

uint32_t batch_rows(const struct batch *b)
{
    return b->rows;
}

/* ---- encoding ---- */

static unsigned width_code(uint64_t max)
{
    return max < 1u << 8 ? 0 : max < 1u << 16 ? 1 : max < 1ull << 32 ? 2 : 3;
}

static void put_width(char *p, unsigned code, uint64_t v)
{
    switch (code) {
    case 0: *p = (char)v; break;
    case 1:
        p[0] = (char)v;
        p[1] = (char)(v >> 8);
        break;
    case 2: put_le32(p, (uint32_t)v); break;
    default: put_le64(p, v);
    }
}

/* n offsets above min, each of one width: a loop a width, so that it stays tight */
static void put_offsets(char *p, const int64_t *v, uint32_t n, uint64_t min, unsigned code)
{
    if (code == 0)
        for (uint32_t i = 0; i < n; i++)
            p[i] = (char)((uint64_t)v[i] - min);
    else if (code == 1)
        for (uint32_t i = 0; i < n; i++)
            put_width(p + (size_t)i * 2, 1, (uint64_t)v[i] - min);
    else if (code == 2)
        for (uint32_t i = 0; i < n; i++)
            put_le32(p + (size_t)i * 4, (uint32_t)((uint64_t)v[i] - min));
    else
        for (uint32_t i = 0; i < n; i++)
            put_le64(p + (size_t)i * 8, (uint64_t)v[i] - min);
}

static void put_ints(struct buf *out, const int64_t *v, uint32_t n, uint8_t *flags)
{
    int64_t min = v[0], max = v[0];
    for (uint32_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    buf_le64(out, (uint64_t)min);
    if (min == max) {
        *flags |= BF_CONST;
        return;
    }
    unsigned code = width_code((uint64_t)max - (uint64_t)min);
    size_t bytes = (size_t)n << code;
    *flags |= (uint8_t)(code << BF_WIDTH_SHIFT);
    char *p = buf_reserve(out, bytes);
    if (!p)
        return;
    put_offsets(p, v, n, (uint64_t)min, code);
    buf_advance(out, bytes);
}

static void put_doubles(struct buf *out, const double *v, uint32_t n)
{
    char *p = buf_reserve(out, (size_t)n * 8);
    if (!p)
        return;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t u;
        memcpy(&u, &v[i], 8);
        put_le64(p + (size_t)i * 8, u);
    }
    buf_advance(out, (size_t)n * 8);
}

/* ---- dictionaries ---- */

#define DICT_PROBE 64 /* after so many values most must have been seen before */
#define DICT_SLOTS (2 * BATCH_DICT_MAX)

struct dict {
    uint16_t table[DICT_SLOTS]; /* code + 1, 0 = free */
    uint16_t codes[BLOCK_ROWS_MAX];
    uint32_t first[BATCH_DICT_MAX]; /* code -> a value that has it */
    uint32_t n;
};

/* Gives each of n values a code. False when too few of them repeat, which shows early. */
static bool dict_build(struct dict *d, const str *v, uint32_t n)
{
    uint32_t most = n / 4 < BATCH_DICT_MAX ? n / 4 : BATCH_DICT_MAX, slots = 64;
    while (slots < 2 * most)
        slots *= 2;
    memset(d->table, 0, slots * sizeof *d->table);
    d->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i && v[i].n == v[i - 1].n && (v[i].p == v[i - 1].p || str_eq(v[i], v[i - 1]))) {
            d->codes[i] = d->codes[i - 1];
            continue;
        }
        uint32_t k = (uint32_t)hash64(v[i].p, v[i].n) & (slots - 1);
        while (d->table[k] && !str_eq(v[d->first[d->table[k] - 1]], v[i]))
            k = (k + 1) & (slots - 1);
        if (!d->table[k]) {
            if (d->n == most || (i < DICT_PROBE && d->n == DICT_PROBE / 4 * 3))
                return false;
            d->first[d->n] = i;
            d->table[k] = (uint16_t)++d->n;
        }
        d->codes[i] = (uint16_t)(d->table[k] - 1);
    }
    return true;
}

/* The codes of a dictionary that stands in body already. */
static void put_codes(struct buf *out, const struct dict *d, uint32_t n)
{
    unsigned w = d->n <= 256 ? 1 : 2;
    char *p = buf_reserve(out, (size_t)n * w);
    if (!p)
        return;
    for (uint32_t i = 0; i < n; i++)
        put_width(p + (size_t)i * w, w - 1, d->codes[i]);
    buf_advance(out, (size_t)n * w);
}

/* lengths, then bytes, of n texts: v, or those of a dictionary made of v */
static void put_list(struct buf *out, const str *v, const uint32_t *at, uint32_t n, size_t total,
                     unsigned code)
{
    unsigned w = 1u << code;
    char *p = buf_reserve(out, (size_t)n * w + total);
    if (!p)
        return;
    for (uint32_t i = 0; i < n; i++, p += w)
        put_width(p, code, v[at ? at[i] : i].n);
    for (uint32_t i = 0; i < n; i++) {
        str s = v[at ? at[i] : i];
        if (s.n)
            memcpy(p, s.p, s.n);
        p += s.n;
    }
    buf_advance(out, (size_t)n * w + total);
}

static struct dict *dict_of(struct batch *b)
{
    if (!b->dict)
        b->dict = arena_alloc(b->a, sizeof *b->dict);
    return b->dict; /* NULL: the column does without */
}

static void put_texts(struct batch *b, struct buf *out, const str *v, uint32_t n, uint8_t *flags)
{
    size_t total = 0, max = 0;
    bool same = true;
    for (uint32_t i = 0; i < n; i++) {
        total += v[i].n;
        max = v[i].n > max ? v[i].n : max;
        same = same && v[i].n == v[0].n;
    }
    for (uint32_t i = 1; same && i < n; i++)
        same = v[i].p == v[0].p || str_eq(v[i], v[0]);
    unsigned code = width_code(max);
    *flags |= (uint8_t)(code << BF_WIDTH_SHIFT);
    if (same) {
        *flags |= BF_CONST;
        put_list(out, v, NULL, 1, v[0].n, code);
        return;
    }
    struct dict *d = n >= BATCH_DICT_MIN ? dict_of(b) : NULL;
    if (d && dict_build(d, v, n)) {
        *flags |= BF_DICT;
        size_t bytes = 0;
        for (uint32_t i = 0; i < d->n; i++)
            bytes += v[d->first[i]].n;
        buf_varint(out, d->n);
        put_list(out, v, d->first, d->n, bytes, code);
        put_codes(out, d, n);
        return;
    }
    put_list(out, v, NULL, n, total, code);
}

static void put_presence(struct buf *out, const uint32_t *rows, uint32_t nvals, uint32_t first,
                         uint32_t n, uint8_t *flags)
{
    if (nvals == n) {
        *flags |= BF_DENSE;
        return;
    }
    if ((size_t)nvals * 2 < (n + 7) / 8) {
        *flags |= BF_LIST;
        for (uint32_t i = 0; i < nvals; i++)
            buf_le16(out, (uint16_t)(rows[i] - first));
        return;
    }
    size_t bytes = (n + 7) / 8;
    char *p = buf_reserve(out, bytes);
    if (!p)
        return;
    memset(p, 0, bytes);
    for (uint32_t i = 0; i < nvals; i++) {
        uint32_t r = rows[i] - first;
        p[r / 8] = (char)(p[r / 8] | 1 << r % 8);
    }
    buf_advance(out, bytes);
}

/* Writes the column's values of rows [first, first + n); returns whether there were any. */
static bool put_column(struct batch *b, struct buf *out, struct buf *body, struct bcol *c,
                       uint32_t first, uint32_t n)
{
    uint32_t from = c->pos, to = from;
    while (to < c->n && c->rows[to] < first + n)
        to++;
    c->pos = to;
    uint32_t nvals = to - from;
    if (!nvals)
        return false;
    uint8_t flags = 0;
    buf_reset(body);
    put_presence(body, c->rows + from, nvals, first, n, &flags);
    switch (c->type) {
    case V_NULL: break;
    case V_BOOL:
        for (uint32_t i = from; i < to; i++)
            buf_putc(body, c->i64[i] != 0);
        break;
    case V_I64: put_ints(body, c->i64 + from, nvals, &flags); break;
    case V_F64: put_doubles(body, c->f64 + from, nvals); break;
    default: put_texts(b, body, c->text + from, nvals, &flags);
    }
    if (!buf_ok(body))
        out->bad = body->bad; /* the next column resets body: do not lose it */
    buf_lenstr(out, c->key);
    buf_putc(out, (char)c->type);
    buf_putc(out, (char)flags);
    buf_varint(out, nvals);
    buf_varint(out, body->n);
    buf_put(out, body->p, body->n);
    return true;
}

/* How many rows from `first` make the next block: up to BLOCK_ROWS_MAX and BATCH_BLOCK_TEXT. */
static uint32_t block_rows(const struct batch *b, const uint64_t *row_bytes, uint32_t first)
{
    uint32_t left = b->rows - first, max = left < BLOCK_ROWS_MAX ? left : BLOCK_ROWS_MAX;
    if (!row_bytes)
        return max;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < max; i++) {
        sum += row_bytes[first + i];
        if (sum > BATCH_BLOCK_TEXT && i)
            return i;
    }
    return max;
}

/* Text bytes of each row, or NULL when all of them fit one block anyway (then *ret_fits). */
static uint64_t *row_sizes(struct batch *b, bool *ret_fits)
{
    uint64_t total = 0;
    *ret_fits = true;
    for (uint32_t i = 0; i < b->ncols; i++)
        if (b->cols[i]->type >= V_STR)
            for (uint32_t k = 0; k < b->cols[i]->n; k++)
                total += b->cols[i]->text[k].n;
    if (total <= BATCH_BLOCK_TEXT)
        return NULL;
    *ret_fits = false;
    uint64_t *sizes = arena_zalloc(b->a, (size_t)b->rows * sizeof *sizes);
    for (uint32_t i = 0; sizes && i < b->ncols; i++)
        if (b->cols[i]->type >= V_STR)
            for (uint32_t k = 0; k < b->cols[i]->n; k++)
                sizes[b->cols[i]->rows[k]] += b->cols[i]->text[k].n;
    return sizes;
}

static int put_block(struct batch *b, struct buf *out, struct buf *body, const struct bcol *time,
                     uint32_t first, uint32_t n, struct err *err)
{
    size_t at = out->n;
    buf_le32(out, 0);
    buf_varint(out, n);
    int64_t t_min = time->i64[first], t_max = t_min;
    for (uint32_t i = first + 1; i < first + n; i++) {
        t_min = time->i64[i] < t_min ? time->i64[i] : t_min;
        t_max = time->i64[i] > t_max ? time->i64[i] : t_max;
    }
    buf_le64(out, (uint64_t)t_min);
    buf_le64(out, (uint64_t)t_max);
    uint32_t ncols = 0;
    for (uint32_t i = 0; i < b->ncols; i++) {
        const struct bcol *c = b->cols[i];
        ncols += c->pos < c->n && c->rows[c->pos] < first + n;
    }
    buf_varint(out, ncols);
    for (uint32_t i = 0; i < b->ncols; i++)
        put_column(b, out, body, b->cols[i], first, n);
    if (!buf_ok(out))
        return out->bad == BUF_LIMIT ? err_set(err, ERR_LIMIT, "the batch is too large to encode")
                                     : err_nomem(err);
    put_le32(out->p + at, (uint32_t)(out->n - at - 4));
    return 0;
}

int batch_encode(struct batch *b, struct buf *out, struct err *err)
{
    const struct bcol *time = NULL;
    for (uint32_t i = 0; i < b->ncols; i++) {
        b->cols[i]->pos = 0;
        if (b->cols[i]->type == V_I64 && str_eq(b->cols[i]->key, STR("timestamp")))
            time = b->cols[i];
    }
    if (b->rows && (!time || time->n != b->rows))
        return err_set(err, ERR_INVALID, "a row of the batch has no timestamp");
    bool fits;
    uint64_t *sizes = row_sizes(b, &fits);
    if (!sizes && !fits)
        return err_nomem(err);
    uint32_t nblocks = 0;
    for (uint32_t first = 0; first < b->rows; nblocks++)
        first += block_rows(b, sizes, first);
    if (nblocks > PAYLOAD_BLOCKS_MAX)
        return err_set(err, ERR_LIMIT, "the batch needs more than %d blocks", PAYLOAD_BLOCKS_MAX);
    buf_putc(out, BATCH_VERSION);
    buf_varint(out, nblocks);
    buf_varint(out, b->rows);
    struct buf body;
    buf_init(&body, out->max);
    int rc = 0;
    for (uint32_t first = 0; first < b->rows && !rc;) {
        uint32_t n = block_rows(b, sizes, first);
        rc = put_block(b, out, &body, time, first, n, err);
        first += n;
    }
    buf_deinit(&body);
    if (!rc && !buf_ok(out))
        rc = err_nomem(err);
    if (!rc)
        buf_trim(out);
    return rc;
}
