/* seg_index_put.c: the indexes of a complete segment, laid out behind its last block.
 *
 * A matrix holds the signatures of one part and one size. Row r, column c is bit r * columns + c,
 * so that asking for a row reads few bytes and a segment of one block has no padding. The bits are
 * cut into chunks of INDEX_CHUNK_DATA bytes, each followed by its checksum. The value map is sorted
 * a range of hashes at a time, from the entries made here and those of merged segments, so that
 * memory is bounded whatever their number. */
#include <stdlib.h>

#include "base/rd.h"
#include "base/utf8.h"
#include "codec/token.h"
#include "store/columnar/index_int.h"
#include "store/columnar/seg_write.h"

#define STRIPE 4096 /* rows put side by side at a time; a multiple of 8 */
#define RANGE_ENTRIES 65536

/* ---- chunks ---- */

struct chunks { /* a stream of bytes on its way into chunks */
    struct seg_writer *w;
    uint8_t b[INDEX_CHUNK];
    size_t n;
};

/* b[0..n) and its checksum into the file */
static int put_checked(struct seg_writer *w, uint8_t *b, size_t n, struct err *err)
{
    put_le32(b + n, addr_crc(w->s, w->m.id, seg_here(w), b, n));
    buf_put(&w->out, b, n + 4);
    if (!buf_ok(&w->out))
        return err_nomem(err);
    return w->out.n >= SEG_WRITE_CHUNK ? seg_file_put(w, err) : 0;
}

static int chunks_flush(struct chunks *c, struct err *err)
{
    int rc = c->n ? put_checked(c->w, c->b, c->n, err) : 0;
    c->n = 0;
    return rc;
}

static int chunks_put(struct chunks *c, const uint8_t *p, size_t n, struct err *err)
{
    int rc = 0;
    while (n && !rc) {
        size_t k = INDEX_CHUNK_DATA - c->n < n ? INDEX_CHUNK_DATA - c->n : n;
        memcpy(c->b + c->n, p, k);
        c->n += k;
        p += k;
        n -= k;
        if (c->n == INDEX_CHUNK_DATA)
            rc = chunks_flush(c, err);
    }
    return rc;
}

/* ---- signatures ---- */

/* Rows from..from+n of one signature as column c of ncols in out. */
static void transpose(const uint8_t *bits, uint32_t from, uint32_t n, uint32_t c, uint32_t ncols,
                      uint8_t *out)
{
    if (ncols == 1) {
        memcpy(out, bits + from / 8, n / 8);
        return;
    }
    for (uint32_t i = 0; i < n / 8; i++)
        for (unsigned b = bits[from / 8 + i]; b; b &= b - 1) {
            uint64_t at = ((uint64_t)i * 8 + (unsigned)__builtin_ctz(b)) * ncols + c;
            out[at / 8] |= (uint8_t)(1u << at % 8);
        }
}

static int put_matrix(struct index_writer *x, struct seg_writer *w, unsigned part, unsigned log,
                      const uint32_t *blocks, uint32_t ncols, struct err *err)
{
    uint32_t rows = 1u << log, step = rows < STRIPE ? rows : STRIPE;
    size_t bytes = (size_t)step / 8 * ncols;
    uint8_t *stripe = mem_alloc(bytes);
    struct chunks *c = mem_zalloc(sizeof *c);
    int rc = stripe && c ? 0 : err_nomem(err);
    for (uint32_t r = 0; r < rows && !rc; r += step) {
        memset(stripe, 0, bytes);
        for (uint32_t k = 0; k < ncols; k++)
            transpose(x->sigs[blocks[k]].bits[part], r, step, k, ncols, stripe);
        c->w = w;
        rc = chunks_put(c, stripe, bytes, err);
    }
    if (!rc)
        rc = chunks_flush(c, err);
    mem_free(stripe);
    mem_free(c);
    return rc;
}

static void list_blocks(struct buf *out, const uint32_t *v, uint32_t n)
{
    buf_varint(out, n);
    for (uint32_t i = 0; i < n; i++)
        buf_varint(out, i ? v[i] - v[i - 1] : v[0]);
}

static int put_matrices(struct index_writer *x, struct seg_writer *w, struct buf *sec,
                        struct err *err)
{
    struct buf list;
    buf_init(&list, ARENA_MAX);
    uint32_t *blocks = mem_array(x->nsigs + 1, sizeof *blocks), n = 0;
    int rc = blocks ? 0 : err_nomem(err);
    for (unsigned part = 0; part < GRAM__PARTS; part++)
        for (unsigned log = GRAM_LOG_MIN; log <= GRAM_LOG_MAX && !rc; log++) {
            uint32_t k = 0;
            for (uint32_t i = 0; i < x->nsigs; i++)
                if (x->sigs[i].bits[part] && x->sigs[i].log[part] == log)
                    blocks[k++] = i;
            if (!k)
                continue;
            n++;
            buf_putc(&list, (char)part);
            buf_putc(&list, (char)log);
            buf_varint(&list, seg_here(w));
            list_blocks(&list, blocks, k);
            rc = put_matrix(x, w, part, log, blocks, k, err);
        }
    buf_varint(sec, n);
    buf_put(sec, list.p, list.n);
    if (!rc && !buf_ok(&list))
        rc = err_nomem(err);
    buf_deinit(&list);
    mem_free(blocks);
    return rc;
}

/* ---- which columns ---- */

static int by_key(const void *pa, const void *pb)
{
    const struct column_cover *a = pa, *b = pb;
    return a->key != b->key ? (a->key > b->key) - (a->key < b->key)
                            : (a->block > b->block) - (a->block < b->block);
}

/* {key how [bitmap]} for columns covered in some block in one of the ways in `hows`; a block that
 * does not have the column counts as covered. */
static int put_covers(const struct index_writer *x, uint32_t nblocks, uint8_t hows, struct buf *sec,
                      struct err *err)
{
    struct buf list;
    buf_init(&list, ARENA_MAX);
    size_t bytes = ((size_t)nblocks + 7) / 8;
    uint8_t *bits = mem_alloc(bytes + 1);
    uint32_t n = 0;
    for (size_t i = 0, end; bits && i < x->ncovers; i = end) {
        for (end = i; end < x->ncovers && x->covers[end].key == x->covers[i].key;)
            end++;
        for (unsigned how = 1; how < 256; how <<= 1) {
            size_t with = 0;
            memset(bits, 0xff, bytes);
            for (size_t k = i; k < end; k++) {
                uint32_t b = x->covers[k].block;
                with += (x->covers[k].how & how) != 0;
                if (!(x->covers[k].how & how))
                    bits[b / 8] &= (uint8_t) ~(1u << b % 8);
            }
            if (!with || !(how & hows))
                continue;
            n++;
            buf_varint(&list, x->covers[i].key);
            buf_putc(&list, (char)(how | (with == end - i ? 0x80 : 0)));
            if (with < end - i)
                buf_put(&list, bits, bytes);
        }
    }
    buf_varint(sec, n);
    buf_put(sec, list.p, list.n);
    bool ok = bits && buf_ok(&list) && buf_ok(sec);
    buf_deinit(&list);
    mem_free(bits);
    return ok ? 0 : err_nomem(err);
}

/* ---- the value map ---- */

struct map_out {
    struct seg_writer *w;
    struct valmap_shape shape;
    struct buf firsts;
    uint64_t entries, at; /* at: where the map begins */
    uint32_t npages;
    uint64_t *v, *tmp; /* entries of a range, behind those that did not fill a page */
    size_t n, cap;
    const uint32_t *to; /* of the source that is read */
    bool failed;
};

static bool map_push(struct map_out *m, uint64_t e)
{
    if (!index_room(&m->v, m->n, &m->cap, sizeof *m->v)) {
        m->failed = true;
        return false;
    }
    m->v[m->n++] = e;
    return true;
}

static void from_source(void *arg, uint32_t hash, uint32_t block)
{
    struct map_out *m = arg;
    if (m->to[block])
        map_push(m, valmap_entry(hash, m->to[block] - 1));
}

/* Pages of the sorted entries; those that do not fill one stay, unless it is the end. */
static int map_pages(struct map_out *m, bool end, struct err *err)
{
    uint8_t page[INDEX_PAGE + 8];
    size_t done = 0, bytes;
    int rc = 0;
    while (done < m->n && !rc) {
        size_t k = valmap_page_put(m->v + done, m->n - done, m->shape, page, &bytes);
        bool last = done + k == m->n;
        if (last && !end)
            break;
        buf_le32(&m->firsts, (uint32_t)(m->v[done] >> 32));
        m->npages++;
        m->entries += k;
        done += k;
        rc = put_checked(m->w, page, last ? bytes : VALMAP_PAGE, err);
    }
    if (done)
        memmove(m->v, m->v + done, (m->n - done) * sizeof *m->v);
    m->n -= done;
    return rc;
}

/* m->v[from..) is new: sorted, equal ones once. */
static int map_sort(struct map_out *m, size_t from, struct err *err)
{
    if (m->n == from)
        return 0;
    uint64_t *tmp = mem_realloc(m->tmp, (m->cap + 1) * sizeof *tmp);
    if (!tmp)
        return err_nomem(err);
    m->tmp = tmp;
    valmap_sort(m->v + from, tmp, m->n - from);
    size_t k = from;
    for (size_t i = from; i < m->n; i++)
        if (i == from || m->v[i] != m->v[k - 1])
            m->v[k++] = m->v[i];
    m->n = k;
    return 0;
}

static int map_ranges(struct index_writer *x, struct map_out *m, uint64_t total, struct err *err)
{
    uint64_t ranges = total / RANGE_ENTRIES + 1, span = ((1ull << 32) + ranges - 1) / ranges;
    size_t own = 0;
    int rc = 0;
    for (uint64_t lo = 0; lo <= UINT32_MAX && !rc; lo += span) {
        uint64_t hi = lo + span - 1 < UINT32_MAX ? lo + span - 1 : UINT32_MAX;
        size_t from = m->n;
        while (own < x->nentries && x->entries[own] >> 32 <= hi && map_push(m, x->entries[own]))
            own++;
        for (uint32_t i = 0; i < x->nsources && !rc; i++) {
            if (!x->sources[i].map)
                continue;
            m->to = x->sources[i].to;
            rc = index_map_each(x->sources[i].g, x->sources[i].x, (uint32_t)lo, (uint32_t)hi,
                                from_source, m, err);
        }
        if (!rc)
            rc = m->failed ? err_nomem(err) : map_sort(m, from, err);
        if (!rc)
            rc = map_pages(m, hi == UINT32_MAX, err);
    }
    return rc;
}

static int put_map(struct index_writer *x, struct map_out *m, struct err *err)
{
    uint64_t total = x->nentries;
    for (uint32_t i = 0; i < x->nsources; i++)
        total += x->sources[i].map ? x->sources[i].x->entries : 0;
    uint64_t *tmp = mem_array(x->nentries + 1, sizeof *tmp);
    if (!tmp)
        return err_nomem(err);
    valmap_sort(x->entries, tmp, x->nentries);
    mem_free(tmp);
    m->shape = valmap_shape_of(total, m->w->m.nblocks);
    m->at = seg_here(m->w);
    return total ? map_ranges(x, m, total, err) : 0;
}

static void map_section(const struct map_out *m, struct buf *sec)
{
    buf_putc(sec, (char)m->shape.rice);
    buf_putc(sec, (char)m->shape.width);
    buf_varint(sec, m->entries);
    buf_varint(sec, m->at);
    buf_varint(sec, seg_here(m->w) - m->at);
    buf_varint(sec, m->npages);
    buf_put(sec, m->firsts.p, m->firsts.n);
}

/* ---- both ---- */

int index_finish(struct index_writer *x, struct seg_writer *w, struct err *err)
{
    struct buf sec;
    struct map_out m = { .w = w };
    if (x->off)
        return 0;
    buf_init(&sec, ARENA_MAX);
    buf_init(&m.firsts, ARENA_MAX);
    if (x->ncovers)
        qsort(x->covers, x->ncovers, sizeof *x->covers, by_key);
    buf_putc(&sec, INDEX_VERSION);
    buf_putc(&sec, GRAM_VERSION);
    buf_putc(&sec, TOKEN_VERSION);
    buf_putc(&sec, FOLD_VERSION);
    int rc = index_sources_done(x, err);
    if (!rc)
        rc = put_covers(x, w->m.nblocks, COVER_SIGNATURES, &sec, err);
    if (!rc)
        rc = put_matrices(x, w, &sec, err);
    if (!rc)
        rc = seg_writer_section(w, SECTION_SIGNATURES, buf_str(&sec), err);
    buf_reset(&sec);
    buf_putc(&sec, INDEX_VERSION);
    buf_putc(&sec, TOKEN_VERSION);
    buf_putc(&sec, FOLD_VERSION);
    if (!rc)
        rc = put_covers(x, w->m.nblocks, COVER_MAP, &sec, err);
    if (!rc)
        rc = put_map(x, &m, err);
    map_section(&m, &sec);
    if (!rc && (!buf_ok(&sec) || !buf_ok(&m.firsts)))
        rc = err_nomem(err);
    if (!rc)
        rc = seg_writer_section(w, SECTION_VALUES, buf_str(&sec), err);
    buf_deinit(&sec);
    buf_deinit(&m.firsts);
    mem_free(m.v);
    mem_free(m.tmp);
    return rc;
}
