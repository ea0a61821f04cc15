/* blob_read.c: large values out of blob pages; see blob.h. Everything here is read from disk and
 * believed only as far as it fits: parts lie inside their pages, rows inside the block, and all
 * values together within BLOB_TOTAL_MAX. */
#include "store/columnar/blob.h"

#include <string.h>

void blob_put_list(struct buf *out, const struct blob_page *v, uint32_t n)
{
    buf_varint(out, n);
    for (uint32_t i = 0; i < n; i++) {
        buf_varint(out, v[i].off);
        buf_varint(out, v[i].len);
        buf_varint(out, v[i].raw_n);
        buf_le32(out, v[i].crc);
    }
}

bool blob_read_list(struct rd *r, struct arena *a, struct blob_page **ret, uint32_t *ret_n,
                    struct err *err)
{
    uint64_t n = rd_varint(r);
    *ret_n = 0;
    if (!rd_ok(r) || n > BLOB_PAGES_MAX || n > rd_left(r))
        return false;
    *ret = arena_array(a, n + 1, sizeof **ret);
    if (!*ret) {
        err_nomem(err);
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        struct blob_page *p = &(*ret)[i];
        uint64_t len, raw_n;
        p->off = rd_varint(r);
        len = rd_varint(r);
        raw_n = rd_varint(r);
        p->crc = rd_le32(r);
        if (!rd_ok(r) || raw_n > BLOB_PAGE || len > raw_n)
            return false;
        p->len = (uint32_t)len;
        p->raw_n = (uint32_t)raw_n;
    }
    *ret_n = (uint32_t)n;
    return true;
}

static int bad_map(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the map of large values is damaged");
}

static int read_values(struct rd *r, const struct blob_page *pages, uint32_t npages, uint32_t nrows,
                       struct arena *a, struct blob_map *m, struct err *err)
{
    uint64_t nvalues = rd_varint(r);
    if (!rd_ok(r) || nvalues > rd_left(r) || nvalues > nrows)
        return bad_map(err);
    size_t cap = rd_left(r) / 3; /* a part takes three bytes or more */
    uint32_t nparts = 0;
    uint64_t total = 0;
    m->nvalues = (uint32_t)nvalues;
    m->first = arena_array(a, nvalues + 1, sizeof *m->first);
    m->offs = arena_array(a, nvalues + 1, sizeof *m->offs);
    m->parts = arena_array(a, cap + 1, sizeof *m->parts);
    if (!m->first || !m->offs || !m->parts)
        return err_nomem(err);
    for (uint32_t i = 0; i < nvalues; i++) {
        uint64_t n = rd_varint(r);
        if (!rd_ok(r) || n > cap - nparts)
            return bad_map(err);
        m->first[i] = nparts;
        m->offs[i] = total;
        for (uint64_t k = 0; k < n; k++) {
            uint64_t page = rd_varint(r), off = rd_varint(r), len = rd_varint(r);
            if (!rd_ok(r) || page >= npages || off > pages[page].raw_n ||
                len > pages[page].raw_n - off)
                return bad_map(err);
            m->parts[nparts++] = (struct blob_part){ (uint32_t)page, (uint32_t)off, (uint32_t)len };
            total += len;
        }
        if (total > BLOB_TOTAL_MAX)
            return bad_map(err);
    }
    m->first[nvalues] = nparts;
    m->offs[nvalues] = total;
    return 0;
}

int blob_map_read(str map, const struct blob_page *pages, uint32_t npages, uint32_t nrows,
                  struct arena *a, struct blob_map *ret, struct err *err)
{
    struct rd r = rd_of(map.p, map.n);
    struct blob_map m = { 0 };
    int rc = read_values(&r, pages, npages, nrows, a, &m, err);
    if (rc)
        return rc;
    uint64_t n = rd_varint(&r), row = 0;
    if (!rd_ok(&r) || n > nrows)
        return bad_map(err);
    m.nrows = (uint32_t)n;
    m.rows = arena_array(a, n + 1, sizeof *m.rows);
    m.value = arena_array(a, n + 1, sizeof *m.value);
    if (!m.rows || !m.value)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t step = rd_varint(&r), value = rd_varint(&r);
        if (!rd_ok(&r) || value >= m.nvalues || step >= nrows || (i && !step) ||
            row + step >= nrows)
            return bad_map(err);
        row += step;
        m.rows[i] = (uint16_t)row;
        m.value[i] = (uint32_t)value;
    }
    if (rd_left(&r))
        return bad_map(err);
    *ret = m;
    return 0;
}

int blob_fill(const struct blob_map *m, char *dst, blob_load *load, void *arg, struct err *err)
{
    for (uint32_t k = 0; k < m->first[m->nvalues]; k++) {
        const struct blob_part *p = &m->parts[k];
        const char *page;
        int rc = load(arg, p->page, &page, err);
        if (rc)
            return rc;
        memcpy(dst, page + p->off, p->n);
        dst += p->n;
    }
    return 0;
}
