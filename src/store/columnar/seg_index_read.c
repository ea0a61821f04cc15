/* seg_index_read.c: the sections of a segment's indexes and the bytes they speak of.
 *
 * The footer was checked as a whole; each chunk of signatures and each page of the map is checked
 * when it is read. A section of another version is passed over. */
#include <stdlib.h>

#include "base/rd.h"
#include "base/utf8.h"
#include "codec/token.h"
#include "store/columnar/seg_index.h"

/* ---- sections ---- */

static bool read_covers(struct seg_index *x, struct rd *r, const struct seg *g, uint8_t hows)
{
    uint64_t n = rd_varint(r);
    if (!rd_ok(r) || n > rd_left(r) / 2)
        return false;
    struct index_cover *v =
        arena_grow(&x->arena, x->covers, x->ncovers, x->ncovers + n + 1, sizeof *v);
    if (!v)
        return false;
    x->covers = v;
    v += x->ncovers;
    for (uint64_t i = 0; i < n; i++) {
        v[i].key = (uint32_t)rd_varint(r);
        uint8_t how = rd_u8(r);
        v[i].all = how & 0x80;
        v[i].how = how & 0x7f;
        v[i].bits = v[i].all ? NULL : rd_bytes(r, ((size_t)g->m.nblocks + 7) / 8);
        bool one = v[i].how & hows && !(v[i].how & (v[i].how - 1));
        if (!rd_ok(r) || v[i].key >= g->nkeys || !one || (i && v[i].key < v[i - 1].key))
            return false;
    }
    x->ncovers += (uint32_t)n;
    return true;
}

/* Is [off, off + n) inside the file, between header and trailer? */
static bool in_file(const struct seg *g, uint64_t off, uint64_t n)
{
    return off >= 64 && off <= g->m.bytes && n <= g->m.bytes - off;
}

uint64_t index_matrix_bytes(const struct index_matrix *m)
{
    return (uint64_t)m->ncols << (m->log - 3);
}

uint64_t index_matrix_stored(const struct index_matrix *m)
{
    uint64_t n = index_matrix_bytes(m);
    return n + (n + INDEX_CHUNK_DATA - 1) / INDEX_CHUNK_DATA * 4;
}

static bool read_matrix(struct seg_index *x, struct rd *r, const struct seg *g,
                        struct index_matrix *m)
{
    m->part = rd_u8(r);
    m->log = rd_u8(r);
    m->off = rd_varint(r);
    uint64_t n = rd_varint(r);
    if (!rd_ok(r) || m->part >= GRAM__PARTS || m->log < GRAM_LOG_MIN || m->log > GRAM_LOG_MAX ||
        n == 0 || n > g->m.nblocks || n > rd_left(r))
        return false;
    m->ncols = (uint32_t)n;
    m->blocks = arena_array(&x->arena, n, sizeof *m->blocks);
    if (!m->blocks || !in_file(g, m->off, index_matrix_stored(m)))
        return false;
    for (uint64_t i = 0, b = 0; i < n; i++) {
        uint64_t step = rd_varint(r);
        b += step;
        if (!rd_ok(r) || b >= g->m.nblocks || step > b || (i && !step))
            return false;
        m->blocks[i] = (uint32_t)b;
    }
    return true;
}

static bool read_signatures(struct seg_index *x, str sec, const struct seg *g)
{
    struct rd r = rd_of(sec.p, sec.n);
    uint8_t version = rd_u8(&r), gram = rd_u8(&r), token = rd_u8(&r), fold = rd_u8(&r);
    if (rd_ok(&r) && (version != INDEX_VERSION || gram != GRAM_VERSION || token != TOKEN_VERSION ||
                      fold != FOLD_VERSION))
        return true; /* none of ours */
    if (!read_covers(x, &r, g, COVER_SIGNATURES))
        return false;
    uint64_t n = rd_varint(&r);
    if (!rd_ok(&r) || n > rd_left(&r) / 4)
        return false;
    x->matrices = arena_array(&x->arena, n + 1, sizeof *x->matrices);
    if (!x->matrices)
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (!read_matrix(x, &r, g, &x->matrices[i]))
            return false;
    x->nmatrices = (uint32_t)n;
    return !rd_left(&r);
}

static bool read_map(struct seg_index *x, str sec, const struct seg *g)
{
    struct rd r = rd_of(sec.p, sec.n);
    uint8_t version = rd_u8(&r), token = rd_u8(&r), fold = rd_u8(&r);
    if (rd_ok(&r) && (version != INDEX_VERSION || token != TOKEN_VERSION || fold != FOLD_VERSION))
        return true;
    if (!read_covers(x, &r, g, COVER_MAP))
        return false;
    x->shape.rice = rd_u8(&r);
    x->shape.width = rd_u8(&r);
    x->entries = rd_varint(&r);
    x->map_off = rd_varint(&r);
    x->map_bytes = rd_varint(&r);
    uint64_t n = rd_varint(&r);
    if (!rd_ok(&r) || x->shape.rice > VALMAP_RICE_MAX || x->shape.width > VALMAP_WIDTH_MAX ||
        !in_file(g, x->map_off, x->map_bytes) || n > rd_left(&r) / 4 ||
        n != (x->map_bytes + INDEX_PAGE - 1) / INDEX_PAGE)
        return false;
    x->firsts = rd_bytes(&r, (size_t)n * 4);
    for (uint64_t i = 1; i < n; i++)
        if (get_le32(x->firsts + i * 4) < get_le32(x->firsts + i * 4 - 4))
            return false;
    x->npages = (uint32_t)n;
    return rd_ok(&r) && !rd_left(&r);
}

/* Whatever a bad section has left behind goes. */
static void forget(struct seg_index *x)
{
    x->ncovers = x->nmatrices = x->npages = 0;
    x->entries = x->map_bytes = 0;
    x->malformed = true;
}

static int by_key(const void *pa, const void *pb)
{
    const struct index_cover *a = pa, *b = pb;
    return (a->key > b->key) - (a->key < b->key);
}

int seg_index_open(const struct seg *g, struct seg_index **ret, struct err *err)
{
    struct seg_index *x = mem_zalloc(sizeof *x);
    if (!x)
        return err_nomem(err);
    arena_init(&x->arena, (size_t)256 << 20);
    x->covers = arena_array(&x->arena, 1, sizeof *x->covers);
    if (!x->covers) {
        seg_index_close(x);
        return err_nomem(err);
    }
    str sig = g->sections[SECTION_SIGNATURES], map = g->sections[SECTION_VALUES];
    if ((sig.n && !read_signatures(x, sig, g)) || (map.n && !read_map(x, map, g)))
        forget(x);
    if (x->ncovers)
        qsort(x->covers, x->ncovers, sizeof *x->covers, by_key);
    *ret = x;
    return 0;
}

void seg_index_close(struct seg_index *x)
{
    if (!x)
        return;
    arena_deinit(&x->arena);
    mem_free(x);
}

bool index_covers(const struct index_cover *c, uint32_t block)
{
    return c->all || c->bits[block / 8] >> block % 8 & 1;
}

const struct index_cover *index_cover_first(const struct seg_index *x, uint32_t key)
{
    uint32_t lo = 0, hi = x->ncovers;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (x->covers[mid].key < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return x->covers + lo;
}

/* ---- bytes ---- */

static int read_checked(struct seg *g, uint8_t *p, size_t n, uint64_t off, struct err *err)
{
    int rc = seg_read_at(g, p, n, off, err);
    if (!rc && crc_differs(get_le32(p + n - 4), addr_crc(g->s, g->m.id, off, p, n - 4)))
        rc = err_set(err, ERR_CORRUPT, "segment %llu: an index at byte %llu does not match",
                     (unsigned long long)g->m.id, (unsigned long long)off);
    return rc;
}

int index_chunk_read(struct seg *g, const struct index_matrix *m, uint64_t i, uint8_t *buf,
                     size_t *ret_n, struct err *err)
{
    uint64_t left = index_matrix_bytes(m) - i * INDEX_CHUNK_DATA;
    *ret_n = left < INDEX_CHUNK_DATA ? (size_t)left : INDEX_CHUNK_DATA;
    return read_checked(g, buf, *ret_n + 4, m->off + i * INDEX_CHUNK, err);
}

/* the first page whose first hash is not below h */
static uint32_t page_of(const struct seg_index *x, uint32_t h)
{
    uint32_t lo = 0, hi = x->npages;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (get_le32(x->firsts + (size_t)mid * 4) < h)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct guard { /* between a page and who asked */
    void (*fn)(void *arg, uint32_t hash, uint32_t block);
    void *arg;
    uint32_t nblocks;
    bool bad;
};

static void guard_entry(void *arg, uint32_t hash, uint32_t block)
{
    struct guard *gd = arg;
    if (block < gd->nblocks)
        gd->fn(gd->arg, hash, block);
    else
        gd->bad = true;
}

int index_map_each(struct seg *g, const struct seg_index *x, uint32_t lo, uint32_t hi,
                   void (*fn)(void *arg, uint32_t hash, uint32_t block), void *arg, struct err *err)
{
    uint8_t page[INDEX_PAGE + 8];
    struct guard gd = { fn, arg, g->m.nblocks, false };
    uint32_t i = page_of(x, lo);
    for (i -= i > 0; i < x->npages && get_le32(x->firsts + (size_t)i * 4) <= hi; i++) {
        uint64_t left = x->map_bytes - (uint64_t)i * INDEX_PAGE;
        size_t n = left < INDEX_PAGE ? (size_t)left : INDEX_PAGE;
        int rc = n < 4 ? err_set(err, ERR_CORRUPT, "a page of no bytes")
                       : read_checked(g, page, n, x->map_off + (uint64_t)i * INDEX_PAGE, err);
        if (rc)
            return rc;
        memset(page + n - 4, 0, 12);
        if (!valmap_page_each(str_n((const char *)page, n - 4), x->shape, lo, hi, guard_entry,
                              &gd) ||
            gd.bad)
            return err_set(err, ERR_CORRUPT, "segment %llu: bad page of the value map",
                           (unsigned long long)g->m.id);
    }
    return 0;
}

static void count_entry(void *arg, uint32_t hash, uint32_t block)
{
    (void)hash;
    (void)block;
    ++*(uint64_t *)arg;
}

int seg_index_verify(struct seg *g, struct err *err)
{
    const struct seg_index *x = g->index;
    uint8_t chunk[INDEX_CHUNK];
    uint64_t entries = 0;
    int rc = 0;
    for (uint32_t k = 0; k < x->nmatrices && !rc; k++) {
        uint64_t bytes = index_matrix_bytes(&x->matrices[k]);
        for (uint64_t i = 0; i * INDEX_CHUNK_DATA < bytes && !rc; i++) {
            size_t n;
            rc = index_chunk_read(g, &x->matrices[k], i, chunk, &n, err);
        }
    }
    if (!rc)
        rc = index_map_each(g, x, 0, UINT32_MAX, count_entry, &entries, err);
    if (!rc && (x->malformed || entries != x->entries))
        rc = err_set(err, ERR_CORRUPT, "segment %llu: its indexes are malformed",
                     (unsigned long long)g->m.id);
    return rc;
}

uint64_t seg_index_bytes(const struct seg_index *x, enum seg_section kind)
{
    uint64_t n = kind == SECTION_VALUES ? x->map_bytes : 0;
    for (uint32_t k = 0; k < x->nmatrices && kind == SECTION_SIGNATURES; k++)
        n += index_matrix_stored(&x->matrices[k]);
    return n;
}
