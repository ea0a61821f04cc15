/* seg_blob.c: the segment writer's side of large values (blob.h): blob pages into the file, maps
 * beside the columns' pages, and the blob pages of copied blocks, each copied once. */
#include "store/columnar/seg_write.h"

#include "base/hash.h"
#include "codec/zip.h"

int seg_put_packed(struct seg_writer *w, str raw, struct blob_page *ret, struct err *err)
{
    struct blob_page p = { .off = seg_here(w), .raw_n = (uint32_t)raw.n };
    if (!zstd_pack(raw, w->zstd_level, &w->out))
        buf_putstr(&w->out, raw);
    if (!buf_ok(&w->out))
        return err_nomem(err);
    p.len = (uint32_t)(seg_here(w) - p.off);
    p.crc = addr_crc(w->s, w->m.id, p.off, w->out.p + (p.off - w->m.bytes), p.len);
    *ret = p;
    return 0;
}

static int put_page(void *arg, str raw, struct blob_page *ret, struct err *err)
{
    return seg_put_packed(arg, raw, ret, err);
}

int seg_need_blobs(struct seg_writer *w, struct err *err)
{
    if (w->blobs)
        return 0;
    w->blobs = blobs_new();
    if (!w->blobs)
        return err_nomem(err);
    blobs_set_put(w->blobs, put_page, w);
    return 0;
}

void seg_blobs_block(struct seg_writer *w)
{
    if (w->blobs)
        blobs_block(w->blobs);
}

int seg_take_blobs(struct seg_writer *w, struct seg_col *c, struct err *err)
{
    struct gathered *g = w->g;
    uint64_t total = 0;
    for (uint32_t i = 0; i < g->nvals; i++)
        total += g->text[i].n;
    if (total < BLOB_MIN || total > BLOB_TOTAL_MAX) /* past it the page refuses */
        return 0;
    bool any = false;
    for (uint32_t i = 0; i < g->nvals; i++) {
        if (g->text[i].n < BLOB_MIN)
            continue;
        int rc = seg_need_blobs(w, err);
        if (rc)
            return rc;
        if (!any)
            blobs_column(w->blobs);
        any = true;
        rc = blobs_add(w->blobs, g->rows[i], g->text[i], err);
        if (rc)
            return rc;
        g->text[i] = STR("");
    }
    if (!any)
        return 0;
    struct buf map;
    struct blob_page at;
    buf_init(&map, ARENA_MAX);
    blobs_map(w->blobs, &map);
    int rc = buf_ok(&map) ? seg_put_packed(w, buf_str(&map), &at, err) : err_nomem(err);
    buf_deinit(&map);
    if (rc)
        return rc;
    c->stat_flags |= STAT_BLOBS;
    c->blob_off = at.off;
    c->blob_len = at.len;
    c->blob_raw_n = at.raw_n;
    c->blob_crc = at.crc;
    return 0;
}

int seg_blobs_distinct(struct seg_writer *w, struct page_meta *pm, struct err *err)
{
    uint32_t n, k = pm->ndistinct;
    const str *v = blobs_values(w->blobs, &n);
    str *texts = arena_array(&w->tmp_arena, (size_t)k + n, sizeof *texts);
    uint64_t *hashes = arena_array(&w->tmp_arena, (size_t)k + n, sizeof *hashes);
    if (!texts || !hashes)
        return err_nomem(err);
    memcpy(texts, pm->distinct, k * sizeof *texts);
    memcpy(hashes, pm->hashes, k * sizeof *hashes);
    for (uint32_t i = 0; i < n; i++) {
        texts[k + i] = v[i];
        hashes[k + i] = hash64(v[i].p, v[i].n);
    }
    pm->distinct = texts;
    pm->hashes = hashes;
    pm->ndistinct = k + n;
    return 0;
}

int seg_blobs_end(struct seg_writer *w, const struct blob_page **ret, uint32_t *ret_n,
                  struct err *err)
{
    *ret = NULL;
    *ret_n = 0;
    return w->blobs ? blobs_end_block(w->blobs, ret, ret_n, err) : 0;
}

static int copy_page(struct seg_writer *w, struct seg *from, const struct blob_page *p,
                     struct blob_page *ret, struct err *err)
{
    uint64_t address[2] = { from->m.id, p->off };
    uint64_t *slot = smap_put(&w->copied, str_n((const char *)address, sizeof address), NULL);
    if (!slot)
        return err_nomem(err);
    if (!*slot) {
        uint32_t n = w->copied.n; /* this one included */
        if (n > w->cap_copies) {
            uint32_t cap = w->cap_copies ? w->cap_copies * 2 : 64;
            struct blob_page *v = mem_realloc(w->copies, cap * sizeof *v);
            if (!v)
                return err_nomem(err);
            w->copies = v;
            w->cap_copies = cap;
        }
        struct blob_page copy = *p;
        int rc = seg_copy_bytes(w, from, p->off, p->len, p->crc, &copy.off, &copy.crc, err);
        if (rc)
            return rc;
        w->copies[n - 1] = copy;
        *slot = n;
    }
    *ret = w->copies[*slot - 1];
    return 0;
}

int seg_copy_blobs(struct seg_writer *w, struct seg *from, const struct blob_page *v, uint32_t n,
                   struct err *err)
{
    int rc = n ? seg_need_blobs(w, err) : 0;
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct blob_page copy;
        uint32_t same;
        rc = copy_page(w, from, &v[i], &copy, err);
        if (!rc)
            rc = blobs_list(w->blobs, &copy, &same, err);
    }
    return rc;
}

void seg_blobs_free(struct seg_writer *w)
{
    blobs_free(w->blobs);
    smap_deinit(&w->copied);
    mem_free(w->copies);
}
