/* segment.c: reading segments. Format: docs/format/segment.md.
 *
 * A segment object exists for every segment of the manifest; its file is opened, and its footer
 * read and checked, when a query first needs it. Blocks are opened through their directory; a page
 * is read, checked against its checksum and decoded when a column is asked for. Immutable after
 * opening; all functions are thread-safe. */
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rd.h"
#include "codec/filter.h"
#include "store/columnar/pcache.h"

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

void seg_ref(struct seg *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
}

void seg_unref(struct seg *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    io_close(g->f);
    if (atomic_load(&g->dead)) {
        char path[PATH_MAX_STORE];
        struct err e = ERR_INIT;
        seg_path(&g->m, path);
        g->s->io->ops->unlink(g->s->io, path, &e); /* the next start tries again */
        seg_dir(&g->m, path);
        g->s->io->ops->rmdir(g->s->io, path, &e); /* works when it was the last one */
    }
    pthread_mutex_destroy(&g->lock);
    mem_free(g->footer);
    mem_free(g->keys);
    mem_free(g->blocks);
    mem_free(g);
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

static int read_at(struct seg *g, void *p, size_t n, uint64_t off, struct err *err)
{
    size_t got;
    int rc = g->f->io->ops->pread(g->f, p, n, off, &got, err);
    return rc ? rc : got == n ? 0 : broken(g, err, "the file is shorter than it says");
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
    return rd_ok(&r) ? 0 : broken(g, err, "bad footer");
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
    rc = read_at(g, head, sizeof head, 0, err);
    if (!rc)
        rc = read_at(g, tail, sizeof tail, size - SEG_TRAILER, err);
    if (rc)
        return rc;
    if (memcmp(head, SEG_MAGIC, 8) != 0 || memcmp(tail + 24, SEG_END_MAGIC, 8) != 0)
        return broken(g, err, "not a segment file");
    if (crc_differs(get_le32(head + 60), addr_crc(g->s, g->m.id, 0, head, 60)) ||
        crc_differs(get_le32(tail + 20), addr_crc(g->s, g->m.id, size - SEG_TRAILER, tail, 20)))
        return broken(g, err, "header or trailer checksum does not match");
    if (get_le32(head + 8) != SEG_VERSION || get_le32(head + 20) != 0)
        return err_set(err, ERR_UNSUPPORTED, "segment %llu was written by a newer version",
                       (unsigned long long)g->m.id);
    uint64_t off = get_le64(tail), len = get_le64(tail + 8);
    if (len > FOOTER_MAX || off > size || len > size - off)
        return broken(g, err, "footer out of range");
    g->footer = mem_alloc((size_t)len + 1);
    if (!g->footer)
        return err_nomem(err);
    rc = read_at(g, g->footer, (size_t)len, off, err);
    if (rc)
        return rc;
    if (crc_differs(get_le32(tail + 16), addr_crc(g->s, g->m.id, off, g->footer, (size_t)len)))
        return broken(g, err, "footer checksum does not match");
    return parse_footer(g, str_n(g->footer, (size_t)len), err);
}

static void seg_reset(struct seg *g)
{
    io_close(g->f);
    mem_free(g->footer);
    mem_free(g->keys);
    mem_free(g->blocks);
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

/* ---- blocks ---- */

struct sblock {
    struct block b;
    struct seg *g;
    uint32_t index;
    struct seg_col *cols;
    bool cached;            /* pages come from the store's cache and go into it */
    struct scan_cost *cost; /* where its work is counted; may be `uncounted` */
    struct scan_cost uncounted;
    struct pentry **entries; /* pages single values were asked of; NULL until then */
};

static int damaged(const struct sblock *sb, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "segment %llu block %u: %s", (unsigned long long)sb->g->m.id,
                   sb->index, what);
}

/* Reads n bytes at off and checks them against crc. */
static int read_checked(struct sblock *sb, uint64_t off, uint32_t n, uint32_t crc, char **ret,
                        struct err *err)
{
    if (n > sb->g->m.bytes)
        return damaged(sb, err, "a length is larger than the file");
    char *p = arena_alloc(sb->b.arena, (size_t)n + 8);
    if (!p)
        return err_nomem(err);
    int rc = read_at(sb->g, p, n, off, err);
    if (rc)
        return rc;
    memset(p + n, 0, 8);
    sb->cost->bytes_read += n;
    if (crc_differs(crc, addr_crc(sb->g->s, sb->g->m.id, off, p, n)))
        return damaged(sb, err, "checksum does not match");
    *ret = p;
    return 0;
}

static int sblock_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct sblock *sb = (struct sblock *)b;
    const struct seg_col *sc = &sb->cols[c];
    char *page;
    int rc = read_checked(sb, sc->off, sc->len, sc->crc, &page, err);
    if (rc)
        return rc;
    struct page_out po;
    rc = page_decode(str_n(page, sc->len), page_class_of(b->cols[c].type), sc->encoding, sc->zstd,
                     sc->raw_n, b->n, sc->nvals, b->arena, &po, err);
    if (rc)
        return rc;
    sb->cost->bytes_decoded += sc->raw_n;
    sb->cost->pages_decoded++;
    *ret = (struct colv){ .key = b->cols[c].key,
                          .type = b->cols[c].type,
                          .n = b->n,
                          .nvals = sc->nvals,
                          .present = po.present,
                          .i64 = po.i64,
                          .f64 = po.f64,
                          .b8 = po.b8,
                          .codes = po.codes,
                          .ndict = po.ndict,
                          .off = po.off,
                          .bytes = po.bytes };
    return 0;
}

/* The column's page in the cache, put there first where it is small enough; NULL: it is not (or,
 * with rc set, cannot be read). *decoded: as it was decoded, when it just has been. */
static struct pentry *cached_page(struct sblock *sb, uint32_t c, struct colv *decoded, int *rc,
                                  struct err *err)
{
    struct pcache *pc = sb->cached ? sb->g->s->pages : NULL;
    struct pcache_key key = { sb->g->serial, sb->index, c };
    struct pentry *e = pc ? pcache_get(pc, key) : NULL;
    *rc = 0;
    if (e) {
        sb->cost->pages_cached++;
    } else {
        *rc = sblock_load(&sb->b, c, decoded, err);
        e = !*rc && pc ? pcache_put_page(pc, key, decoded) : NULL;
    }
    if (e && !arena_own(sb->b.arena, pentry_unref, e)) {
        pentry_unref(e);
        e = NULL;
        *rc = err_nomem(err);
    }
    return e;
}

/* The same as sblock_load by way of the cache. */
static int sblock_load_cached(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct colv decoded = { .n = 0 };
    int rc;
    struct pentry *e = cached_page((struct sblock *)b, c, &decoded, &rc, err);
    if (!rc && decoded.n)
        *ret = decoded;
    else if (!rc)
        rc = pentry_column(e, b->arena, ret, err);
    if (!rc)
        ret->key = b->cols[c].key;
    return rc;
}

static int sblock_value(struct block *b, uint32_t c, uint32_t row, struct val *ret, struct err *err)
{
    struct sblock *sb = (struct sblock *)b;
    const struct colv *v;
    int rc = 0;
    if (!sb->entries)
        sb->entries = arena_zalloc(b->arena, (b->ncols + 1) * sizeof *sb->entries);
    if (!sb->entries)
        return err_nomem(err);
    if (!sb->cached || sb->cols[c].raw_n > PCACHE_PAGE) {
        rc = block_load(b, c, &v, err);
        if (!rc)
            *ret = colv_val(v, row);
        return rc;
    }
    struct colv *decoded = NULL;
    if (!sb->entries[c]) {
        decoded = arena_zalloc(b->arena, sizeof *decoded);
        if (!decoded)
            return err_nomem(err);
        sb->entries[c] = cached_page(sb, c, decoded, &rc, err);
    }
    if (rc)
        return rc;
    if (!sb->entries[c])
        b->loaded[c] = decoded; /* too large to be kept for others, but for this block's rows */
    *ret = sb->entries[c] ? pentry_value(sb->entries[c], row) : colv_val(decoded, row);
    return 0;
}

static void sblock_close(struct block *b)
{
    seg_unref(((struct sblock *)b)->g);
}

static const struct block_ops sblock_ops = { sblock_load_cached, sblock_close, sblock_value };

static void parse_stats(struct rd *r, enum vtype type, struct seg_col *c)
{
    c->stat_flags = rd_u8(r);
    if (!(c->stat_flags & STAT_RANGE))
        return;
    if (type == V_I64) {
        c->imin = (int64_t)rd_le64(r);
        c->imax = (int64_t)rd_le64(r);
    } else if (type == V_F64) {
        uint64_t lo = rd_le64(r), hi = rd_le64(r);
        memcpy(&c->dmin, &lo, 8);
        memcpy(&c->dmax, &hi, 8);
    } else {
        c->smin = rd_lenstr(r);
        c->smax = rd_lenstr(r);
    }
}

static bool parse_column(struct sblock *sb, struct rd *r, struct seg_col *c, struct colinfo *info)
{
    const struct seg *g = sb->g;
    c->key = (uint32_t)rd_varint(r);
    uint8_t enc = rd_u8(r);
    c->encoding = enc & COL_ENCODING;
    c->zstd = enc & COL_ZSTD;
    c->nvals = (uint32_t)rd_varint(r);
    c->off = rd_varint(r);
    c->len = (uint32_t)rd_varint(r);
    c->raw_n = (uint32_t)rd_varint(r);
    c->crc = rd_le32(r);
    if (!rd_ok(r) || c->key >= g->nkeys || c->nvals == 0 || c->nvals > sb->b.n)
        return false;
    enum vtype type = g->keys[c->key].type;
    parse_stats(r, type, c);
    c->filter_kind = rd_u8(r);
    if (c->filter_kind != FILTER_NONE) {
        c->filter_off = rd_varint(r);
        c->filter_len = (uint32_t)rd_varint(r);
        c->filter_crc = rd_le32(r);
    }
    *info = (struct colinfo){ g->keys[c->key].key, g->keys[c->key].hash, type, c->nvals };
    return rd_ok(r);
}

static int parse_directory(struct sblock *sb, str dir, struct err *err)
{
    struct rd r = rd_of(dir.p, dir.n);
    uint64_t ncols = rd_varint(&r);
    if (!rd_ok(&r) || ncols > sb->g->nkeys)
        return damaged(sb, err, "bad directory");
    struct colinfo *info = arena_array(sb->b.arena, ncols + 1, sizeof *info);
    sb->cols = arena_zalloc(sb->b.arena, (ncols + 1) * sizeof *sb->cols);
    sb->b.loaded = arena_zalloc(sb->b.arena, (ncols + 1) * sizeof *sb->b.loaded);
    if (!info || !sb->cols || !sb->b.loaded)
        return err_nomem(err);
    for (uint32_t i = 0; i < ncols; i++)
        if (!parse_column(sb, &r, &sb->cols[i], &info[i]))
            return damaged(sb, err, "bad column in the directory");
    if (rd_left(&r))
        return damaged(sb, err, "bytes behind the directory");
    sb->b.cols = info;
    sb->b.ncols = (uint32_t)ncols;
    return 0;
}

/* A directory taken apart, in the cache: an arena of its own holds it. */
struct directory {
    struct arena arena;
    const struct colinfo *info;
    struct seg_col *cols;
    uint32_t ncols;
};

static void directory_free(void *what)
{
    struct directory *d = what;
    arena_deinit(&d->arena);
    mem_free(d);
}

/* Reads and parses the directory into sb->b.arena. */
static int read_directory(struct sblock *sb, struct err *err)
{
    const struct seg_block *e = &sb->g->blocks[sb->index];
    char *dir;
    int rc = read_checked(sb, e->dir_off, e->dir_len, e->dir_crc, &dir, err);
    return rc ? rc : parse_directory(sb, str_n(dir, e->dir_len), err);
}

static struct pentry *directory_get(struct sblock *sb, struct pcache *pc, int *rc, struct err *err)
{
    struct pcache_key key = { sb->g->serial, sb->index, PCACHE_DIRECTORY };
    struct pentry *e = pcache_get(pc, key);
    if (e)
        return e;
    struct directory *d = mem_zalloc(sizeof *d);
    struct arena *own = sb->b.arena;
    if (!d) {
        *rc = err_nomem(err);
        return NULL;
    }
    arena_init(&d->arena, ARENA_MAX);
    sb->b.arena = &d->arena;
    *rc = read_directory(sb, err);
    sb->b.arena = own;
    d->info = sb->b.cols;
    d->cols = sb->cols;
    d->ncols = sb->b.ncols;
    if (!*rc) {
        e = pcache_put_other(pc, key, d, sizeof *d + d->arena.used, directory_free);
        *rc = e ? 0 : err_nomem(err);
    }
    if (!e)
        directory_free(d);
    return e;
}

static int cached_directory(struct sblock *sb, struct err *err)
{
    int rc = 0;
    struct pentry *e = directory_get(sb, sb->g->s->pages, &rc, err);
    if (!e)
        return rc;
    if (!arena_own(sb->b.arena, pentry_unref, e)) {
        pentry_unref(e);
        return err_nomem(err);
    }
    const struct directory *d = e->what;
    sb->b.cols = d->info;
    sb->cols = d->cols;
    sb->b.ncols = d->ncols;
    sb->b.loaded = arena_zalloc(sb->b.arena, (d->ncols + 1) * sizeof *sb->b.loaded);
    return sb->b.loaded ? 0 : err_nomem(err);
}

static int open_block(struct seg *g, uint32_t i, struct scan_cost *cost, struct arena *a,
                      struct sblock **ret, struct err *err)
{
    struct sblock *sb = arena_zalloc(a, sizeof *sb);
    if (!sb)
        return err_nomem(err);
    const struct seg_block *e = &g->blocks[i];
    sb->g = g;
    sb->index = i;
    sb->cached = cost && g->s->pages;
    sb->cost = cost ? cost : &sb->uncounted;
    sb->b = (struct block){ .n = e->n,
                            .arena = a,
                            .t_min = e->t_min,
                            .t_max = e->t_max,
                            .seq_min = e->seq_min,
                            .seq_max = e->seq_max,
                            .ids = &g->s->ids,
                            .ops = &sblock_ops };
    int rc = sb->cached ? cached_directory(sb, err) : read_directory(sb, err);
    if (rc)
        return rc;
    seg_ref(g);
    *ret = sb;
    return 0;
}

int sblock_open(struct seg *g, uint32_t i, struct arena *a, struct sblock **ret, struct err *err)
{
    return open_block(g, i, NULL, a, ret, err);
}

int sblock_open_cached(struct seg *g, uint32_t i, struct scan_cost *cost, struct arena *a,
                       struct sblock **ret, struct err *err)
{
    return open_block(g, i, cost, a, ret, err);
}

struct block *sblock_block(struct sblock *b)
{
    return &b->b;
}

const struct seg_col *sblock_cols(const struct sblock *b)
{
    return b->cols;
}

/* ---- statistics for pruning ---- */

static uint32_t stats_find(void *ctx, const struct fieldref *f, struct col_stats *ret, uint32_t max)
{
    struct sblock *sb = ctx;
    uint32_t cols[64];
    uint32_t n = block_find(&sb->b, f, cols, max < 64 ? max : 64);
    for (uint32_t i = 0; i < n && i < max && i < 64; i++) {
        struct seg_col *c = &sb->cols[cols[i]];
        ret[i] = (struct col_stats){ .type = sb->b.cols[cols[i]].type,
                                     .nvals = c->nvals,
                                     .all_rows = c->nvals == sb->b.n,
                                     .has_range = c->stat_flags & STAT_RANGE,
                                     .imin = c->imin,
                                     .imax = c->imax,
                                     .dmin = c->dmin,
                                     .dmax = c->dmax,
                                     .smin = c->smin,
                                     .smax = c->smax,
                                     .smax_open = c->stat_flags & STAT_MAX_OPEN,
                                     .handle = c };
    }
    return n;
}

static bool probe(struct sblock *sb, struct seg_col *c, uint8_t kind, uint64_t hash)
{
    if (c->filter_kind != kind)
        return true;
    char *p;
    struct err e = ERR_INIT;
    if (read_checked(sb, c->filter_off, c->filter_len, c->filter_crc, &p, &e))
        return true; /* a filter that cannot be trusted is no filter */
    return filter_may(str_n(p, c->filter_len), hash);
}

static bool stats_token(void *ctx, const struct col_stats *c, uint64_t hash)
{
    return probe(ctx, c->handle, FILTER_TOKEN, hash);
}

static bool stats_value(void *ctx, const struct col_stats *c, uint64_t hash)
{
    return probe(ctx, c->handle, FILTER_VALUE, hash);
}

void sblock_stats(struct sblock *sb, struct block_stats *ret)
{
    *ret = (struct block_stats){ .n = sb->b.n,
                                 .t_min = sb->b.t_min,
                                 .t_max = sb->b.t_max,
                                 .seq_min = sb->b.seq_min,
                                 .seq_max = sb->b.seq_max,
                                 .level_mask = sb->g->blocks[sb->index].level_mask,
                                 .ctx = sb,
                                 .ids = sb->b.ids,
                                 .find = stats_find,
                                 .may_token = stats_token,
                                 .may_value = stats_value };
}

int sblock_verify(struct sblock *sb, struct verify_report *rep, struct err *err)
{
    rep->blocks++;
    rep->rows += sb->b.n;
    for (uint32_t c = 0; c < sb->b.ncols; c++) {
        struct colv v;
        int rc = sblock_load(&sb->b, c, &v, err);
        if (rc)
            return rc;
        rep->pages++;
        const struct seg_col *sc = &sb->cols[c];
        char *p;
        if (sc->filter_kind != FILTER_NONE)
            rc = read_checked(sb, sc->filter_off, sc->filter_len, sc->filter_crc, &p, err);
        if (rc)
            return rc;
    }
    return 0;
}
