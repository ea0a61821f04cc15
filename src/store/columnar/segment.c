/* segment.c: reading segments. Format: docs/format/segment.md.
 *
 * A segment object exists for every segment of the manifest; its file is opened, and its footer
 * read and checked, when a query first needs it. Blocks: sblock.c. Immutable after opening; all
 * functions are thread-safe. */
#include "store/columnar/dead.h"
#include "store/columnar/seg_format.h"
#include "store/columnar/seg_index.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rd.h"

#define FOOTER_MAX (256u << 20)

int64_t day_of(ts_ns t)
{
    return floor_div(t, NS_PER_DAY);
}

void seg_dir(const struct seg_meta *m, char out[PATH_MAX_STORE])
{
    char day[11];
    ts_format_day((ts_ns)(m->day * NS_PER_DAY), day);
    snprintf(out, PATH_MAX_STORE, "p/%s.%u", day, m->cls);
}

void seg_path(const struct seg_meta *m, char out[PATH_MAX_STORE])
{
    char dir[PATH_MAX_STORE];
    seg_dir(m, dir);
    snprintf(out, PATH_MAX_STORE, "%.40s/%012llu.seg", dir, (unsigned long long)m->id);
}

uint32_t addr_crc(const struct store *s, uint64_t file, uint64_t off, const void *p, size_t n)
{
    char addr[24];
    put_le64(addr, s->tag);
    put_le64(addr + 8, file);
    put_le64(addr + 16, off);
    return crc32c(crc32c(0, p, n), addr, sizeof addr);
}

struct seg *seg_new(struct store *s, const struct seg_meta *m)
{
    struct seg *g = mem_zalloc(sizeof *g);
    if (!g)
        return NULL;
    static _Atomic uint64_t made;
    g->s = s;
    g->m = *m;
    g->serial = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
    atomic_init(&g->refs, 1);
    atomic_init(&g->dead, false);
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

struct seg *seg_renew(struct seg *g, const struct seg_meta *m)
{
    struct seg *n = seg_new(g->s, m);
    if (!n)
        return NULL;
    n->before = g->before ? g->before : g; /* lives on: readers may yet open the file */
    seg_ref(n->before);
    atomic_store(&n->unmergeable, atomic_load(&g->unmergeable));
    return n;
}

void seg_ref(struct seg *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
}

/* Files that the manifest no longer names; the next start tries again where that fails. */
static void unlink_unneeded(const struct seg *g)
{
    char path[PATH_MAX_STORE];
    struct err e = ERR_INIT;
    const struct io_ops *ops = g->s->io->ops;
    if (g->m.dead && (atomic_load(&g->dead) || atomic_load(&g->old))) {
        dead_path(&g->m, path);
        ops->unlink(g->s->io, path, &e);
    }
    if (!atomic_load(&g->dead) || g->before)
        return;
    seg_path(&g->m, path);
    ops->unlink(g->s->io, path, &e);
    seg_dir(&g->m, path);
    ops->rmdir(g->s->io, path, &e); /* works when it was the last one */
}

void seg_unref(struct seg *g)
{
    while (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1) {
        struct seg *before = g->before;
        io_close(g->f);
        if (before && atomic_load(&g->dead))
            atomic_store(&before->dead, true);
        unlink_unneeded(g);
        pthread_mutex_destroy(&g->lock);
        dead_free(g->dead_list);
        seg_index_close(g->index);
        mem_free(g->footer);
        mem_free(g->keys);
        mem_free(g->blocks);
        mem_free(g);
        g = before;
    }
}

void seg_hide_dead(const struct seg *g, uint32_t block, uint64_t *sel)
{
    const uint64_t *bits = g->dead_list ? g->dead_list->bits[block] : NULL;
    for (uint32_t i = 0; bits && i < BITS_WORDS(g->blocks[block].n); i++)
        sel[i] &= ~bits[i];
}

str seg_summary(const struct seg *g)
{
    return g->dead_list ? g->dead_list->live : g->rollup_bytes;
}

str seg_groups(const struct seg *g)
{
    return g->dead_list ? STR_NULL : g->sections[SECTION_GROUPS];
}

struct version *version_new(uint32_t n)
{
    struct version *v = mem_zalloc(sizeof *v + n * sizeof *v->v);
    if (v) {
        atomic_init(&v->refs, 1);
        v->n = n;
    }
    return v;
}

void version_unref(struct version *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < v->n; i++)
        seg_unref(v->v[i]);
    mem_free(v);
}

/* ---- footer ---- */

static int broken(struct seg *g, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "segment %llu: %s", (unsigned long long)g->m.id, what);
}

int seg_read_at(struct seg *g, void *p, size_t n, uint64_t off, struct err *err)
{
    size_t got;
    int rc = g->f->io->ops->pread(g->f, p, n, off, &got, err);
    return rc ? rc : got == n ? 0 : broken(g, err, "the file is shorter than it says");
}

static int parse_sections(struct seg *g, struct rd *r, struct err *err)
{
    uint64_t n = rd_varint(r);
    for (uint64_t i = 0; i < n && rd_ok(r); i++) {
        uint8_t kind = rd_u8(r);
        str bytes = rd_lenstr(r);
        if ((kind & SECTION_KIND) < SECTION__COUNT)
            g->sections[kind & SECTION_KIND] = bytes;
        else if (kind & SECTION_CRITICAL)
            return err_set(err, ERR_UNSUPPORTED,
                           "segment %llu has a part that this version does not know (%u)",
                           (unsigned long long)g->m.id, kind & SECTION_KIND);
    }
    return rd_ok(r) && !rd_left(r) ? 0 : broken(g, err, "bad footer section");
}

static int parse_footer(struct seg *g, str footer, struct err *err)
{
    struct rd r = rd_of(footer.p, footer.n);
    uint64_t nkeys = rd_varint(&r);
    if (!rd_ok(&r) || nkeys > SEG_KEYS_MAX || nkeys > rd_left(&r))
        return broken(g, err, "bad number of columns");
    g->keys = mem_zarray(nkeys ? nkeys : 1, sizeof *g->keys);
    if (!g->keys)
        return err_nomem(err);
    g->nkeys = (uint32_t)nkeys;
    for (uint32_t i = 0; i < nkeys; i++) {
        g->keys[i].type = (enum vtype)rd_u8(&r);
        g->keys[i].key = rd_lenstr(&r);
        if (!rd_ok(&r) || g->keys[i].type >= V__COUNT)
            return broken(g, err, "bad column name");
        g->keys[i].hash = field_dotted_hash(g->keys[i].key);
    }
    uint64_t nblocks = rd_varint(&r);
    if (!rd_ok(&r) || nblocks != g->m.nblocks || nblocks > rd_left(&r))
        return broken(g, err, "bad number of blocks");
    g->blocks = mem_zarray(nblocks ? nblocks : 1, sizeof *g->blocks);
    if (!g->blocks)
        return err_nomem(err);
    for (uint32_t i = 0; i < nblocks; i++) {
        struct seg_block *b = &g->blocks[i];
        b->dir_off = rd_varint(&r);
        b->dir_len = (uint32_t)rd_varint(&r);
        b->dir_crc = rd_le32(&r);
        b->n = (uint32_t)rd_varint(&r);
        b->level_mask = rd_u8(&r);
        b->t_min = (ts_ns)rd_le64(&r);
        b->t_max = (ts_ns)rd_le64(&r);
        b->seq_min = rd_varint(&r);
        b->seq_max = rd_varint(&r);
        if (!rd_ok(&r) || b->n == 0 || b->n > BLOCK_ROWS_MAX)
            return broken(g, err, "bad block list");
    }
    g->rollup_bytes = rd_lenstr(&r);
    if (!rd_ok(&r))
        return broken(g, err, "bad footer");
    return g->format < 2 ? 0 : parse_sections(g, &r, err);
}

static int read_footer(struct seg *g, struct err *err)
{
    uint64_t size;
    int rc = g->f->io->ops->size(g->f, &size, err);
    if (rc)
        return rc;
    uint8_t head[SEG_HEADER], tail[SEG_TRAILER];
    if (size != g->m.bytes || size < SEG_HEADER + SEG_TRAILER)
        return broken(g, err, "the file has another size than the manifest says");
    rc = seg_read_at(g, head, sizeof head, 0, err);
    if (!rc)
        rc = seg_read_at(g, tail, sizeof tail, size - SEG_TRAILER, err);
    if (rc)
        return rc;
    if (memcmp(head, SEG_MAGIC, 8) != 0 || memcmp(tail + 24, SEG_END_MAGIC, 8) != 0)
        return broken(g, err, "not a segment file");
    if (crc_differs(get_le32(head + 60), addr_crc(g->s, g->m.id, 0, head, 60)) ||
        crc_differs(get_le32(tail + 20), addr_crc(g->s, g->m.id, size - SEG_TRAILER, tail, 20)))
        return broken(g, err, "header or trailer checksum does not match");
    g->format = get_le32(head + 8);
    if (g->format < 1 || g->format > SEG_VERSION || get_le32(head + 20) != 0)
        return err_set(err, ERR_UNSUPPORTED, "segment %llu was written by a newer version",
                       (unsigned long long)g->m.id);
    uint64_t off = get_le64(tail), len = get_le64(tail + 8);
    if (len > FOOTER_MAX || off > size || len > size - off)
        return broken(g, err, "footer out of range");
    g->footer = mem_alloc((size_t)len + 1);
    g->footer_n = (size_t)len;
    if (!g->footer)
        return err_nomem(err);
    rc = seg_read_at(g, g->footer, (size_t)len, off, err);
    if (rc)
        return rc;
    if (crc_differs(get_le32(tail + 16), addr_crc(g->s, g->m.id, off, g->footer, (size_t)len)))
        return broken(g, err, "footer checksum does not match");
    return parse_footer(g, str_n(g->footer, (size_t)len), err);
}

static void seg_reset(struct seg *g)
{
    io_close(g->f);
    seg_index_close(g->index);
    dead_free(g->dead_list);
    mem_free(g->footer);
    mem_free(g->keys);
    mem_free(g->blocks);
    g->index = NULL;
    g->dead_list = NULL;
    memset(g->sections, 0, sizeof g->sections);
    g->f = NULL;
    g->footer = NULL;
    g->keys = NULL;
    g->blocks = NULL;
}

int seg_open(struct seg *g, struct err *err)
{
    pthread_mutex_lock(&g->lock);
    int rc = 0;
    if (g->broken) {
        rc = err_set(err, ERR_CORRUPT, "%s", g->broken_why);
    } else if (!g->open) {
        char path[PATH_MAX_STORE];
        seg_path(&g->m, path);
        rc = g->s->io->ops->open(g->s->io, &g->f, path, IO_READ, err);
        if (!rc)
            rc = read_footer(g, err);
        if (!rc && g->m.dead)
            rc = dead_load(&g->dead_list, g, err);
        if (!rc)
            rc = seg_index_open(g, &g->index, err);
        g->open = rc == 0;
        if (rc)
            seg_reset(g);
        if (rc == ERR_CORRUPT || rc == ERR_NOTFOUND) {
            g->broken = true;
            snprintf(g->broken_why, sizeof g->broken_why, "%.150s", err->msg);
            rc = ERR_CORRUPT;
        }
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}
