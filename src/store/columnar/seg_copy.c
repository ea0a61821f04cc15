/* seg_copy.c: a block of another segment taken over as it is, its checksums made anew for where the
 * bytes now lie. */
#include "store/columnar/seg_write.h"

int seg_copy_bytes(struct seg_writer *w, struct seg *from, uint64_t off, uint32_t len, uint32_t crc,
                   uint64_t *ret_off, uint32_t *ret_crc, struct err *err)
{
    char *p = buf_reserve(&w->out, len);
    if (!p)
        return err_nomem(err);
    size_t got;
    int rc = from->f->io->ops->pread(from->f, p, len, off, &got, err);
    if (rc)
        return rc;
    if (got != len || crc_differs(crc, addr_crc(w->s, from->m.id, off, p, len)))
        return err_set(err, ERR_CORRUPT, "segment %llu: checksum does not match at byte %llu",
                       (unsigned long long)from->m.id, (unsigned long long)off);
    *ret_off = seg_here(w);
    *ret_crc = addr_crc(w->s, w->m.id, *ret_off, p, len);
    buf_advance(&w->out, len);
    return 0;
}

static int col_copy(struct seg_writer *w, struct seg *from, uint32_t i, const struct colinfo *info,
                    struct seg_col *c, struct err *err)
{
    int rc =
        c->bundled ? 0 : seg_copy_bytes(w, from, c->off, c->len, c->crc, &c->off, &c->crc, err);
    if (!rc && c->stat_flags & STAT_BLOBS)
        rc = seg_copy_bytes(w, from, c->blob_off, c->blob_len, c->blob_crc, &c->blob_off,
                            &c->blob_crc, err);
    if (!rc && c->filter_kind != FILTER_NONE)
        rc = seg_copy_bytes(w, from, c->filter_off, c->filter_len, c->filter_crc, &c->filter_off,
                            &c->filter_crc, err);
    uint32_t from_key = c->key;
    if (!rc)
        rc = seg_key_index(w, info->key, info->type, &c->key, err);
    if (!rc && from_key < from->nkeys && c->key < SEG_COLUMNS_MAX) /* others have no index */
        rc = index_column_copied(w->index, from, i, from_key, c->key, w->m.nblocks, err);
    if (!rc)
        seg_put_directory_entry(&w->dir, c, info->type);
    return rc;
}

int seg_writer_copy(struct seg_writer *w, struct seg *from, uint32_t i, struct err *err)
{
    arena_reset(&w->tmp_arena);
    buf_reset(&w->dir);
    seg_blobs_block(w);
    seg_keys_block(w);
    struct sblock *sb;
    int rc = sblock_open(from, i, &w->tmp_arena, &sb, err);
    if (rc)
        return rc;
    struct block *b = sblock_block(sb);
    const struct seg_col *cols = sblock_cols(sb);
    const struct blob_page *pages;
    uint32_t npages = sblock_blobs(sb, &pages);
    rc = seg_copy_blobs(w, from, pages, npages, err);
    if (!rc)
        rc = index_block_copied(w->index, from, i, w->m.nblocks, err);
    for (uint32_t c = 0; c < b->ncols && !rc; c++) {
        struct seg_col copy = cols[c];
        rc = col_copy(w, from, i, &b->cols[c], &copy, err);
    }
    struct seg_block nb = from->blocks[i];
    if (!rc)
        rc = seg_close_block(w, &nb, b->ncols, err);
    block_close(b);
    return rc;
}

int seg_writer_rollup(struct seg_writer *w, struct seg *from, struct err *err)
{
    w->m.recv_min = from->m.recv_min < w->m.recv_min ? from->m.recv_min : w->m.recv_min;
    w->m.recv_max = from->m.recv_max > w->m.recv_max ? from->m.recv_max : w->m.recv_max;
    int rc = rollup_decode(w->sums, from->rollup_bytes, err);
    if (!rc)
        rc = rollup_decode_groups(w->sums, from->sections[SECTION_GROUPS], from->m.rows, err);
    return rc ? rc : templates_add(w->tmpl, from->sections[SECTION_TEMPLATES], err);
}
