/* seg_finish.c: the end of a segment: footer, trailer, and the steps that make it durable. */
#include "store/columnar/seg_write.h"

#include <stdio.h>

#include "base/rd.h"

int seg_writer_section(struct seg_writer *w, uint8_t kind, str bytes, struct err *err)
{
    buf_putc(&w->sections, (char)kind);
    buf_lenstr(&w->sections, bytes);
    w->nsections++;
    return buf_ok(&w->sections) ? 0 : err_nomem(err);
}

static void put_footer(struct seg_writer *w, struct buf *rollup)
{
    uint32_t nkeys = w->nkeys < SEG_COLUMNS_MAX ? w->nkeys : SEG_COLUMNS_MAX;
    buf_varint(&w->out, nkeys);
    for (uint32_t i = 0; i < nkeys; i++) {
        buf_putc(&w->out, (char)w->keys[i].type);
        buf_lenstr(&w->out, w->keys[i].key);
    }
    buf_varint(&w->out, w->m.nblocks);
    for (uint32_t i = 0; i < w->m.nblocks; i++) {
        const struct seg_block *b = &w->blocks[i];
        buf_varint(&w->out, b->dir_off);
        buf_varint(&w->out, b->dir_len);
        buf_le32(&w->out, b->dir_crc);
        buf_varint(&w->out, b->n);
        buf_putc(&w->out, (char)b->level_mask);
        buf_le64(&w->out, (uint64_t)b->t_min);
        buf_le64(&w->out, (uint64_t)b->t_max);
        buf_varint(&w->out, b->seq_min);
        buf_varint(&w->out, b->seq_max);
    }
    rollup_encode(w->sums, rollup);
    buf_lenstr(&w->out, buf_str(rollup));
    buf_varint(&w->out, w->nsections);
    buf_put(&w->out, w->sections.p, w->sections.n);
}

int seg_writer_finish(struct seg_writer *w, struct seg_meta *ret, struct err *err)
{
    struct buf rollup;
    buf_init(&rollup, ARENA_MAX);
    int rc = index_finish(w->index, w, err);
    rollup_encode_groups(w->sums, &rollup);
    if (!rc && rollup.n)
        rc = seg_writer_section(w, SECTION_GROUPS, buf_str(&rollup), err);
    buf_reset(&rollup);
    templates_encode(w->tmpl, &rollup);
    if (!rc && buf_ok(&rollup))
        rc = seg_writer_section(w, SECTION_TEMPLATES, buf_str(&rollup), err);
    buf_reset(&rollup);
    if (rc) {
        buf_deinit(&rollup);
        return rc;
    }
    uint64_t at = seg_here(w);
    put_footer(w, &rollup);
    bool ok = buf_ok(&rollup) && buf_ok(&w->out);
    buf_deinit(&rollup);
    if (!ok)
        return err_nomem(err);
    uint64_t len = seg_here(w) - at;
    char tail[SEG_TRAILER] = { 0 };
    put_le64(tail, at);
    put_le64(tail + 8, len);
    put_le32(tail + 16, addr_crc(w->s, w->m.id, at, w->out.p + (at - w->m.bytes), (size_t)len));
    put_le32(tail + 20, addr_crc(w->s, w->m.id, at + len, tail, 20));
    memcpy(tail + 24, SEG_END_MAGIC, 8);
    buf_put(&w->out, tail, sizeof tail);
    if (!buf_ok(&w->out))
        return err_nomem(err);
    rc = seg_file_put(w, err);
    if (!rc)
        rc = w->f->io->ops->sync(w->f, err);
    if (rc)
        return rc;
    char path[PATH_MAX_STORE], dir[PATH_MAX_STORE];
    struct io *io = w->s->io;
    seg_path(&w->m, path);
    seg_dir(&w->m, dir);
    rc = io->ops->rename(io, w->tmp, path, err);
    if (!rc)
        rc = io->ops->sync_dir(io, dir, err);
    if (!rc)
        rc = io->ops->sync_dir(io, "p", err);
    if (!rc)
        rc = io->ops->sync_dir(io, ".", err);
    if (rc)
        return rc;
    io_close(w->f);
    w->f = NULL;
    *ret = w->m;
    return 0;
}
