/* seg_bundle.c: what is small in a block, together.
 *
 * Agent entries have hundreds of columns with few values. A page of up to BUNDLE_PAGE bytes goes
 * into a bundle with its neighbours instead of the file: one zstd frame and one checksum for up to
 * BUNDLE_BYTES, which compress better together. A bundle is one of the block's blob pages, so it is
 * copied and verified with them. Likewise the directory is packed as a whole, and names the columns
 * that no longer fit into the footer's list: so that list stays short whatever keys are sent, and
 * in the blocks the names, which are alike, take few bytes. */
#include "store/columnar/seg_write.h"

#include "codec/zip.h"

#define BUNDLE_PAGE 1024
#define BUNDLE_BYTES (64u << 10)
#define BUNDLE_LEVEL 3 /* of bundles and directories: small, worth a little more */

int seg_bundle_end(struct seg_writer *w, struct err *err)
{
    if (!w->bundle.n)
        return 0;
    if (!buf_ok(&w->bundle))
        return err_nomem(err);
    struct blob_page at;
    int level = w->zstd_level;
    w->zstd_level = level > BUNDLE_LEVEL ? level : BUNDLE_LEVEL;
    int rc = seg_put_packed(w, buf_str(&w->bundle), &at, err);
    w->zstd_level = level;
    if (rc)
        return rc;
    blobs_place(w->blobs, w->bundle_index, &at);
    buf_reset(&w->bundle);
    return 0;
}

int seg_bundle_page(struct seg_writer *w, struct seg_col *c, struct err *err)
{
    str raw = page_raw(w->scratch);
    if (raw.n > BUNDLE_PAGE) /* as is every page in frames */
        return 0;
    buf_truncate(&w->out, w->out.n - c->len);
    int rc = seg_need_blobs(w, err);
    if (!rc && w->bundle.n + raw.n > BUNDLE_BYTES)
        rc = seg_bundle_end(w, err);
    if (!rc && !w->bundle.n)
        rc = blobs_list(w->blobs, &(struct blob_page){ 0 }, &w->bundle_index, err);
    if (rc)
        return rc;
    c->bundled = true;
    c->zstd = false;
    c->bundle = w->bundle_index;
    c->off = w->bundle.n;
    c->len = c->raw_n = (uint32_t)raw.n;
    c->crc = 0;
    buf_putstr(&w->bundle, raw);
    return buf_ok(&w->bundle) ? 0 : err_nomem(err);
}

void seg_keys_block(struct seg_writer *w)
{
    if (w->nkeys)
        memset(w->heads, 0, w->nkeys * sizeof *w->heads);
    if (w->nkeys > SEG_COLUMNS_MAX)
        w->nkeys = SEG_COLUMNS_MAX;
    smap_reset(&w->own_map);
}

int seg_put_directory(struct seg_writer *w, uint32_t ncols, const struct blob_page *pages,
                      uint32_t npages, struct err *err)
{
    struct buf d;
    buf_init(&d, ARENA_MAX);
    uint32_t own = w->nkeys > SEG_COLUMNS_MAX ? w->nkeys - SEG_COLUMNS_MAX : 0;
    buf_varint(&d, own);
    for (uint32_t i = 0; i < own; i++) {
        buf_putc(&d, (char)w->keys[SEG_COLUMNS_MAX + i].type);
        buf_lenstr(&d, w->keys[SEG_COLUMNS_MAX + i].key);
    }
    buf_varint(&d, ncols);
    buf_putstr(&d, buf_str(&w->dir));
    blob_put_list(&d, pages, npages);
    bool ok = buf_ok(&d) && buf_ok(&w->dir);
    if (ok) {
        buf_putc(&w->out, 0);
        buf_varint(&w->out, d.n);
        if (!zstd_pack(buf_str(&d), BUNDLE_LEVEL, &w->out))
            buf_putstr(&w->out, buf_str(&d));
    }
    buf_deinit(&d);
    return ok && buf_ok(&w->out) ? 0 : err_nomem(err);
}
