/* sblock.c: the blocks of a segment. Format: docs/format/segment.md.
 *
 * A block is opened through its directory; a page is read, checked against its checksum and decoded
 * when a column is asked for. Statistics and filters answer the planner without reading pages. */
#include "store/columnar/blob.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"

#include "base/rd.h"
#include "codec/filter.h"
#include "codec/zip.h"
#include "store/columnar/pcache.h"

struct sblock {
    struct block b;
    struct seg *g;
    uint32_t index;
    struct seg_col *cols;
    struct blob_page *blobs; /* that its columns use */
    uint32_t nblobs;
    char **bundles;      /* unpacked ones, in the block's arena; NULL: none yet */
    struct seg_key *own; /* keys that the footer does not name */
    uint32_t nown;
    bool cached;            /* pages come from the store's cache and go into it */
    struct scan_cost *cost; /* where its work is counted; may be `uncounted` */
    struct scan_cost uncounted;
    struct pentry **entries; /* pages single values were asked of; NULL until then */
    struct framed **framed;  /* pages of which some frames are unpacked; NULL until then */
};

static int damaged(const struct sblock *sb, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "segment %llu block %u: %s", (unsigned long long)sb->g->m.id,
                   sb->index, what);
}

int sblock_read(struct sblock *sb, uint64_t off, uint32_t n, uint32_t crc, char **ret,
                struct err *err)
{
    if (n > sb->g->m.bytes)
        return damaged(sb, err, "a length is larger than the file");
    char *p = arena_alloc(sb->b.arena, (size_t)n + 8);
    if (!p)
        return err_nomem(err);
    int rc = seg_read_at(sb->g, p, n, off, err);
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
    int rc = sc->bundled ? sblock_bundled(sb, sc, &sb->bundles, &page, err)
                         : sblock_read(sb, sc->off, sc->len, sc->crc, &page, err);
    if (rc)
        return rc;
    struct page_out po;
    rc = page_decode(str_n(page, sc->len), page_class_of(b->cols[c].type), sc->encoding, sc->zstd,
                     sc->raw_n, b->n, sc->nvals, b->arena, &po, err);
    if (rc)
        return rc;
    uint64_t large = 0;
    if (sc->stat_flags & STAT_BLOBS)
        rc = sblock_put_blobs(sb, sc, &po, &large, err);
    if (rc)
        return rc;
    sb->cost->bytes_decoded += sc->raw_n + large;
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

/* ---- pages in frames: read as rows are asked for; too large for the cache ---- */

#define FRAMED_ROWS 64 /* a test of codes may look at the texts of others up to here */

static bool is_framed(const struct sblock *sb, uint32_t c)
{
    const struct seg_col *sc = &sb->cols[c];
    return sc->encoding == PE_FRAMES && sb->b.n > FRAMED_ROWS && !sc->bundled && !sc->zstd &&
           page_class_of(sb->b.cols[c].type) == PAGE_TEXT;
}

static int framed_rows(struct sblock *sb, uint32_t c, const uint64_t *sel, const struct colv **ret,
                       struct err *err)
{
    if (!sb->framed)
        sb->framed = arena_zalloc(sb->b.arena, sb->b.ncols * sizeof(struct framed *));
    if (!sb->framed)
        return err_nomem(err);
    if (!sb->framed[c]) {
        int rc = framed_open(sb, c, &sb->framed[c], err);
        if (rc)
            return rc;
        sb->cost->pages_decoded++;
    }
    return framed_need(sb->framed[c], sel, ret, &sb->cost->bytes_decoded, err);
}

static int framed_value(struct sblock *sb, uint32_t c, uint32_t row, struct val *ret,
                        struct err *err)
{
    uint64_t sel[BLOCK_WORDS] = { 0 };
    const struct colv *v;
    bit_set(sel, row);
    int rc = framed_rows(sb, c, sel, &v, err);
    if (!rc)
        *ret = colv_val(v, row);
    return rc;
}

static int sblock_load_rows(struct block *b, uint32_t c, const uint64_t *sel,
                            const struct colv **ret, struct err *err)
{
    struct sblock *sb = (struct sblock *)b;
    return is_framed(sb, c) ? framed_rows(sb, c, sel, ret, err) : block_load(b, c, ret, err);
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
    if (is_framed(sb, c))
        return framed_value(sb, c, row, ret, err);
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

static const struct block_ops sblock_ops = { sblock_load_cached, sblock_close, sblock_value,
                                             sblock_load_rows };

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
    c->bundled = enc & COL_BUNDLED;
    c->bundle = c->bundled ? (uint32_t)rd_varint(r) : 0;
    c->off = rd_varint(r);
    c->len = (uint32_t)rd_varint(r);
    c->raw_n = c->bundled ? c->len : (uint32_t)rd_varint(r);
    c->crc = c->bundled ? 0 : rd_le32(r);
    if (!rd_ok(r) || c->nvals == 0 || c->nvals > sb->b.n || (c->bundled && c->zstd) ||
        (c->key >= g->nkeys && c->key - g->nkeys >= sb->nown))
        return false;
    const struct seg_key *key = c->key < g->nkeys ? &g->keys[c->key] : &sb->own[c->key - g->nkeys];
    enum vtype type = key->type;
    parse_stats(r, type, c);
    if (c->stat_flags & STAT_BLOBS) {
        if (page_class_of(type) != PAGE_TEXT)
            return false;
        c->blob_off = rd_varint(r);
        c->blob_len = (uint32_t)rd_varint(r);
        c->blob_raw_n = (uint32_t)rd_varint(r);
        c->blob_crc = rd_le32(r);
    }
    c->filter_kind = rd_u8(r);
    if (c->filter_kind != FILTER_NONE) {
        c->filter_off = rd_varint(r);
        c->filter_len = (uint32_t)rd_varint(r);
        c->filter_crc = rd_le32(r);
    }
    *info = (struct colinfo){ key->key, key->hash, type, c->nvals };
    return rd_ok(r);
}

/* A directory of version 2 is packed, and begins with the columns that it names itself. */
static int unpack_directory(struct sblock *sb, struct rd *r, struct err *err)
{
    rd_u8(r);
    uint64_t raw_n = rd_varint(r);
    if (!rd_ok(r) || raw_n < rd_left(r) || raw_n > SEG_DIRECTORY_MAX)
        return damaged(sb, err, "bad directory");
    if (raw_n > rd_left(r)) {
        char *raw = arena_alloc(sb->b.arena, (size_t)raw_n + 1);
        if (!raw)
            return err_nomem(err);
        int rc = zstd_unpack(str_n((const char *)r->p, rd_left(r)), raw, (size_t)raw_n, err);
        if (rc)
            return rc;
        *r = rd_of(raw, (size_t)raw_n);
    }
    uint64_t nown = rd_varint(r);
    if (!rd_ok(r) || nown > SEG_KEYS_MAX || nown > rd_left(r))
        return damaged(sb, err, "bad directory");
    sb->own = arena_array(sb->b.arena, nown + 1, sizeof *sb->own);
    if (!sb->own)
        return err_nomem(err);
    for (uint32_t i = 0; i < nown; i++) {
        sb->own[i].type = (enum vtype)rd_u8(r);
        sb->own[i].key = rd_lenstr(r);
        if (!rd_ok(r) || sb->own[i].type >= V__COUNT)
            return damaged(sb, err, "bad column name");
        sb->own[i].hash = field_dotted_hash(sb->own[i].key);
    }
    sb->nown = (uint32_t)nown;
    return 0;
}

static int parse_directory(struct sblock *sb, str dir, struct err *err)
{
    struct rd r = rd_of(dir.p, dir.n);
    if (dir.n && dir.p[0] == 0 && sb->g->format >= 2) {
        int rc = unpack_directory(sb, &r, err);
        if (rc)
            return rc;
    }
    uint64_t ncols = rd_varint(&r);
    if (!rd_ok(&r) || ncols > (uint64_t)sb->g->nkeys + sb->nown)
        return damaged(sb, err, "bad directory");
    struct colinfo *info = arena_array(sb->b.arena, ncols + 1, sizeof *info);
    sb->cols = arena_zalloc(sb->b.arena, (ncols + 1) * sizeof *sb->cols);
    sb->b.loaded = arena_zalloc(sb->b.arena, (ncols + 1) * sizeof *sb->b.loaded);
    if (!info || !sb->cols || !sb->b.loaded)
        return err_nomem(err);
    for (uint32_t i = 0; i < ncols; i++)
        if (!parse_column(sb, &r, &sb->cols[i], &info[i]))
            return damaged(sb, err, "bad column in the directory");
    if (sb->g->format >= 2 && rd_left(&r) &&
        !blob_read_list(&r, sb->b.arena, &sb->blobs, &sb->nblobs, err))
        return err->code == ERR_NOMEM ? ERR_NOMEM : damaged(sb, err, "bad list of blob pages");
    for (uint32_t i = 0; i < ncols; i++) {
        const struct seg_col *c = &sb->cols[i];
        if (c->bundled && (c->bundle >= sb->nblobs || c->off > sb->blobs[c->bundle].raw_n ||
                           c->len > sb->blobs[c->bundle].raw_n - c->off))
            return damaged(sb, err, "a column lies outside of its bundle");
    }
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
    struct blob_page *blobs;
    uint32_t nblobs;
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
    int rc = sblock_read(sb, e->dir_off, e->dir_len, e->dir_crc, &dir, err);
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
    d->blobs = sb->blobs;
    d->nblobs = sb->nblobs;
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
    sb->blobs = d->blobs;
    sb->nblobs = d->nblobs;
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

uint32_t sblock_blobs(const struct sblock *b, const struct blob_page **ret)
{
    *ret = b->blobs;
    return b->nblobs;
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
    if (sblock_read(sb, c->filter_off, c->filter_len, c->filter_crc, &p, &e))
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
            rc = sblock_read(sb, sc->filter_off, sc->filter_len, sc->filter_crc, &p, err);
        if (rc)
            return rc;
    }
    return 0;
}
