/* seg_write.c: writing a segment. Format: docs/format/segment.md.
 *
 * Rows come as references into other blocks. For each output column the values are scattered by row
 * (one row-aligned array, reused), gathered dense, encoded as a page, and described in the block's
 * directory with its statistics; the indexes take what they need of it. The file is written under a
 * temporary name, synced, renamed, and the directory synced; the manifest makes it exist.
 *
 * Invariants: 1. a (key, type) has one index in keys. 2. bytes handed to put() land at the offset
 * put() returned. 3. nothing of an unfinished file survives seg_writer_free. */
#include "store/columnar/seg_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rd.h"

int seg_file_put(struct seg_writer *w, struct err *err)
{
    int rc = w->f->io->ops->pwrite(w->f, w->out.p, w->out.n, w->m.bytes, err);
    if (!rc) {
        w->m.bytes += w->out.n;
        buf_reset(&w->out);
    }
    return rc;
}

uint64_t seg_here(const struct seg_writer *w)
{
    return w->m.bytes + w->out.n;
}

static int start_file(struct seg_writer *w, struct err *err)
{
    char dir[PATH_MAX_STORE], path[PATH_MAX_STORE];
    struct io *io = w->s->io;
    seg_dir(&w->m, dir);
    seg_path(&w->m, path);
    snprintf(w->tmp, sizeof w->tmp, "%.58s.tmp", path);
    int rc = io->ops->mkdir(io, "p", err);
    if (!rc)
        rc = io->ops->mkdir(io, dir, err);
    if (!rc)
        rc = io->ops->open(io, &w->f, w->tmp, IO_WRITE | IO_CREATE, err);
    if (!rc)
        rc = w->f->io->ops->truncate(w->f, 0, err);
    if (rc)
        return rc;
    char head[SEG_HEADER] = { 0 };
    memcpy(head, SEG_MAGIC, 8);
    put_le32(head + 8, SEG_VERSION); /* compat, ro-compat, incompat flags at 12, 16, 20: none */
    memcpy(head + 24, w->s->uuid, 16);
    put_le64(head + 40, w->m.id);
    put_le64(head + 48, (uint64_t)io->ops->now(io));
    put_le32(head + 60, addr_crc(w->s, w->m.id, 0, head, 60));
    buf_put(&w->out, head, sizeof head);
    return 0;
}

int seg_writer_new(struct seg_writer **ret, struct store *s, int64_t day, uint32_t cls,
                   int zstd_level, struct err *err)
{
    struct seg_writer *w = mem_zalloc(sizeof *w);
    if (!w)
        return err_nomem(err);
    w->s = s;
    w->zstd_level = zstd_level;
    w->m = (struct seg_meta){ .id = s->mf.next_id++,
                              .day = day,
                              .cls = cls,
                              .t_min = TS_MAX,
                              .t_max = TS_MIN,
                              .recv_min = TS_MAX,
                              .recv_max = TS_MIN,
                              .seq_min = UINT64_MAX };
    buf_init(&w->out, ARENA_MAX);
    buf_init(&w->dir, 64u << 20);
    buf_init(&w->sections, ARENA_MAX);
    smap_init(&w->key_map, SMAP_COPY);
    smap_init(&w->copied, SMAP_COPY);
    smap_init(&w->own_map, SMAP_COPY);
    buf_init(&w->bundle, ARENA_MAX);
    arena_init(&w->arena, ARENA_MAX);
    arena_init(&w->tmp_arena, ARENA_MAX);
    w->sums = rollup_new();
    w->tmpl = templates_new();
    w->tmpl_of = mem_array(BLOCK_ROWS_MAX, sizeof *w->tmpl_of);
    w->scratch = page_scratch_new();
    w->g = mem_alloc(sizeof *w->g);
    w->index = index_writer_new(s->cfg.no_indexes);
    w->order = mem_array(BLOCK_ROWS_MAX, sizeof *w->order);
    int rc = w->sums && w->tmpl && w->tmpl_of && w->scratch && w->g && w->index && w->order
                 ? start_file(w, err)
                 : err_nomem(err);
    if (rc) {
        seg_writer_free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void seg_writer_free(struct seg_writer *w)
{
    if (!w)
        return;
    if (w->f) {
        struct err e = ERR_INIT;
        io_close(w->f);
        w->s->io->ops->unlink(w->s->io, w->tmp, &e); /* else the next start removes it */
    }
    buf_deinit(&w->out);
    buf_deinit(&w->dir);
    buf_deinit(&w->sections);
    smap_deinit(&w->key_map);
    smap_deinit(&w->own_map);
    buf_deinit(&w->bundle);
    arena_deinit(&w->arena);
    arena_deinit(&w->tmp_arena);
    seg_blobs_free(w);
    rollup_free(w->sums);
    templates_free(w->tmpl);
    mem_free(w->tmpl_of);
    page_scratch_free(w->scratch);
    mem_free(w->g);
    index_writer_free(w->index);
    mem_free(w->order);
    mem_free(w->keys);
    mem_free(w->blocks);
    mem_free(w->heads);
    mem_free(w);
}

uint64_t seg_writer_rows(const struct seg_writer *w)
{
    return w->m.rows;
}

/* ---- keys ---- */

int seg_key_index(struct seg_writer *w, str key, enum vtype type, uint32_t *ret, struct err *err)
{
    char *k = arena_alloc(&w->tmp_arena, key.n + 1);
    if (!k)
        return err_nomem(err);
    k[0] = (char)type;
    if (key.n)
        memcpy(k + 1, key.p, key.n);
    str id = str_n(k, key.n + 1);
    uint64_t *slot = smap_get(&w->key_map, id);
    bool own = !slot && w->nkeys >= SEG_COLUMNS_MAX;
    if (!slot)
        slot = smap_put(own ? &w->own_map : &w->key_map, id, NULL);
    if (!slot)
        return err_nomem(err);
    if (!*slot) {
        if (w->nkeys == SEG_KEYS_MAX)
            return err_set(err, ERR_LIMIT, "a segment has more than %u columns", SEG_KEYS_MAX);
        if (w->nkeys == w->cap_keys) {
            uint32_t cap = w->cap_keys ? w->cap_keys * 2 : 64;
            struct seg_key *keys = mem_realloc(w->keys, cap * sizeof *keys);
            if (keys)
                w->keys = keys;
            uint32_t *heads = keys ? mem_realloc(w->heads, cap * sizeof *heads) : NULL;
            if (!heads)
                return err_nomem(err);
            memset(heads + w->nkeys, 0, (cap - w->nkeys) * sizeof *heads);
            w->heads = heads;
            w->cap_keys = cap;
        }
        str copy = arena_dup(own ? &w->tmp_arena : &w->arena, key);
        if (!copy.p && key.n)
            return err_nomem(err);
        w->keys[w->nkeys] = (struct seg_key){ copy, field_dotted_hash(key), type };
        *slot = ++w->nkeys;
    }
    *ret = (uint32_t)*slot - 1;
    return 0;
}

/* ---- statistics ---- */

static void stat_column(struct gathered *g, enum vtype type, struct seg_col *c)
{
    if (type == V_I64) {
        c->imin = c->imax = g->i64[0];
        for (uint32_t i = 1; i < g->nvals; i++) {
            c->imin = g->i64[i] < c->imin ? g->i64[i] : c->imin;
            c->imax = g->i64[i] > c->imax ? g->i64[i] : c->imax;
        }
    } else if (type == V_F64) {
        c->dmin = c->dmax = g->f64[0];
        for (uint32_t i = 1; i < g->nvals; i++) {
            c->dmin = g->f64[i] < c->dmin ? g->f64[i] : c->dmin;
            c->dmax = g->f64[i] > c->dmax ? g->f64[i] : c->dmax;
        }
    } else if (type == V_STR) {
        c->smin = c->smax = g->text[0];
        for (uint32_t i = 1; i < g->nvals; i++) {
            if (g->text[i].p == g->text[i - 1].p && g->text[i].n == g->text[i - 1].n)
                continue;
            c->smin = str_cmp(g->text[i], c->smin) < 0 ? g->text[i] : c->smin;
            c->smax = str_cmp(g->text[i], c->smax) > 0 ? g->text[i] : c->smax;
        }
        if (c->smax.n > SEG_STAT_TEXT)
            c->stat_flags |= STAT_MAX_OPEN;
        c->smin = str_sub(c->smin, 0, SEG_STAT_TEXT);
        c->smax = str_sub(c->smax, 0, SEG_STAT_TEXT);
    } else {
        return;
    }
    c->stat_flags |= STAT_RANGE;
}

void seg_put_directory_entry(struct buf *dir, const struct seg_col *c, enum vtype type)
{
    buf_varint(dir, c->key);
    buf_putc(dir, (char)(c->encoding | (c->zstd ? COL_ZSTD : 0) | (c->bundled ? COL_BUNDLED : 0)));
    buf_varint(dir, c->nvals);
    if (c->bundled)
        buf_varint(dir, c->bundle);
    buf_varint(dir, c->off);
    buf_varint(dir, c->len);
    if (!c->bundled) {
        buf_varint(dir, c->raw_n);
        buf_le32(dir, c->crc);
    }
    buf_putc(dir, (char)c->stat_flags);
    if (c->stat_flags & STAT_RANGE) {
        uint64_t lo, hi;
        if (type == V_I64) {
            buf_le64(dir, (uint64_t)c->imin);
            buf_le64(dir, (uint64_t)c->imax);
        } else if (type == V_F64) {
            memcpy(&lo, &c->dmin, 8);
            memcpy(&hi, &c->dmax, 8);
            buf_le64(dir, lo);
            buf_le64(dir, hi);
        } else {
            buf_lenstr(dir, c->smin);
            buf_lenstr(dir, c->smax);
        }
    }
    if (c->stat_flags & STAT_BLOBS) {
        buf_varint(dir, c->blob_off);
        buf_varint(dir, c->blob_len);
        buf_varint(dir, c->blob_raw_n);
        buf_le32(dir, c->blob_crc);
    }
    buf_putc(dir, (char)c->filter_kind);
    if (c->filter_kind != FILTER_NONE) {
        buf_varint(dir, c->filter_off);
        buf_varint(dir, c->filter_len);
        buf_le32(dir, c->filter_crc);
    }
}

/* ---- columns ---- */

/* Takes the values of one source column into the row-aligned arrays. */
static void scatter(struct gathered *g, const struct taken *v, uint32_t n, const struct colv *c)
{
#define EACH_VALUE(put)                                                                            \
    for (const struct taken *t = v; t < v + n; t++)                                                \
        if (colv_has(c, t->row)) {                                                                 \
            bit_set(g->present, t->pos);                                                           \
            put;                                                                                   \
        }
    switch (c->type) {
    case V_NULL: EACH_VALUE(); break;
    case V_BOOL: EACH_VALUE(g->b8[t->pos] = c->b8[t->row]); break;
    case V_I64: EACH_VALUE(g->i64[t->pos] = c->i64[t->row]); break;
    case V_F64: EACH_VALUE(g->f64[t->pos] = c->f64[t->row]); break;
    default: EACH_VALUE(g->text[t->pos] = colv_text(c, t->row));
    }
#undef EACH_VALUE
}

/* Row-aligned -> dense, remembering the rows. */
static void compact(struct gathered *g, enum vtype type, uint32_t n)
{
    uint32_t k = 0;
    for (size_t pos = bits_next(g->present, 0, n); pos < n;
         pos = bits_next(g->present, pos + 1, n)) {
        g->rows[k] = (uint16_t)pos;
        if (type == V_I64 || type == V_F64)
            g->i64[k] = g->i64[pos];
        else if (type == V_BOOL)
            g->b8[k] = g->b8[pos];
        else if (type != V_NULL)
            g->text[k] = g->text[pos];
        k++;
    }
    g->nvals = k;
}

static int put_column(struct seg_writer *w, uint32_t key, uint32_t n, struct err *err)
{
    struct gathered *g = w->g;
    enum vtype type = w->keys[key].type;
    struct page_in in = { .cls = page_class_of(type),
                          .n = n,
                          .nvals = g->nvals,
                          .rows = g->nvals == n ? NULL : g->rows };
    if (in.cls == PAGE_INT)
        in.i64 = g->i64;
    else if (in.cls == PAGE_F64)
        in.f64 = g->f64;
    else if (in.cls == PAGE_BOOL)
        in.b8 = g->b8;
    else if (in.cls == PAGE_TEXT)
        in.text = g->text;
    struct seg_col c = { .key = key, .nvals = g->nvals };
    struct page_meta pm;
    stat_column(g, type, &c);
    int rc = in.cls == PAGE_TEXT ? seg_take_blobs(w, &c, err) : 0;
    if (rc)
        return rc;
    c.off = seg_here(w);
    rc = page_encode(&in, w->zstd_level, w->scratch, &w->out, &pm, err);
    if (rc)
        return rc;
    c.encoding = pm.encoding;
    c.zstd = pm.zstd;
    c.raw_n = pm.raw_n;
    c.len = (uint32_t)(seg_here(w) - c.off);
    c.crc = addr_crc(w->s, w->m.id, c.off, w->out.p + (c.off - w->m.bytes), c.len);
    rc = seg_bundle_page(w, &c, err);
    if (rc)
        return rc;
    if (c.stat_flags & STAT_BLOBS)
        rc = seg_blobs_distinct(w, &pm, err);
    bool few = c.bundled && c.nvals < BUNDLE_FEW;
    if (few)
        c.stat_flags &= (uint8_t) ~(STAT_RANGE | STAT_MAX_OPEN);
    if (!rc && in.cls == PAGE_TEXT && !few && key < SEG_COLUMNS_MAX)
        rc = index_column(w->index, &w->keys[key], key, &pm, err);
    if (!rc)
        seg_put_directory_entry(&w->dir, &c, type);
    return rc;
}

/* Keeps a copy of a gathered column as a colv for the rollup. Equal neighbours share a code. */
static int keep_column(struct seg_writer *w, uint32_t n, struct colinfo *info,
                       const struct colv **ret, struct err *err)
{
    struct gathered *g = w->g;
    struct arena *a = &w->tmp_arena;
    struct colv *c = arena_zalloc(a, sizeof *c);
    uint64_t *present = arena_zalloc(a, BITS_WORDS(n) * 8);
    if (!c || !present)
        return err_nomem(err);
    *c = (struct colv){ .key = info->key, .type = info->type, .n = n, .nvals = g->nvals };
    if (g->nvals < n) {
        memcpy(present, g->present, BITS_WORDS(n) * 8);
        c->present = present;
    }
    if (info->type == V_I64) {
        int64_t *v = arena_zalloc(a, n * sizeof *v);
        if (!v)
            return err_nomem(err);
        for (uint32_t k = 0; k < g->nvals; k++)
            v[g->rows[k]] = g->i64[k];
        c->i64 = v;
    } else {
        uint32_t *codes = arena_zalloc(a, n * sizeof *codes);
        uint32_t *off = arena_zalloc(a, (n + 1) * sizeof *off);
        struct buf bytes;
        buf_init(&bytes, ARENA_MAX);
        uint32_t nd = 0;
        for (uint32_t k = 0; codes && off && k < g->nvals; k++) {
            if (!k || !str_eq(g->text[k], g->text[k - 1])) {
                buf_putstr(&bytes, g->text[k]);
                off[++nd] = (uint32_t)bytes.n;
            }
            codes[g->rows[k]] = nd - 1;
        }
        str copy = arena_dup(a, buf_ok(&bytes) && bytes.n ? buf_str(&bytes) : STR(""));
        bool ok = codes && off && copy.p && buf_ok(&bytes);
        buf_deinit(&bytes);
        if (!ok)
            return err_nomem(err);
        c->codes = codes;
        c->off = off;
        c->bytes = copy.p;
        c->ndict = nd;
    }
    *ret = c;
    return 0;
}

/* Notes the template of every gathered message. */
static int find_templates(struct seg_writer *w, struct err *err)
{
    const struct gathered *g = w->g;
    int rc = 0;
    for (uint32_t i = 0; i < g->nvals && !rc; i++) {
        uint32_t *to = &w->tmpl_of[g->rows[i]];
        if (i && g->text[i].p == g->text[i - 1].p && g->text[i].n == g->text[i - 1].n)
            *to = w->tmpl_of[g->rows[i - 1]];
        else
            rc = templates_find(w->tmpl, g->text[i], to, err);
    }
    return rc;
}

static const struct colv *kept_column(const struct block *view, enum field f)
{
    for (uint32_t i = 0; i < view->ncols; i++)
        if (view->loaded[i] && str_eq(view->cols[i].key, field_table[f].name))
            return view->loaded[i];
    return NULL;
}

static void count_templates(struct seg_writer *w, const struct block *view)
{
    const struct colv *time = kept_column(view, F_TIMESTAMP), *seq = kept_column(view, F_SEQ),
                      *level = kept_column(view, F_LEVEL);
    for (uint32_t i = 0; time && seq && i < view->n; i++)
        if (w->tmpl_of[i] != SEG_NO_MESSAGE)
            templates_count(w->tmpl, w->tmpl_of[i], time->i64[i], (uint64_t)seq->i64[i],
                            level && colv_has(level, i) ? level->i64[i] : LV_INFO);
}

static bool rollup_wants(str key, enum vtype type)
{
    return (type == V_I64 && (str_eq(key, STR("timestamp")) || str_eq(key, STR("seq")) ||
                              str_eq(key, STR("received_at")) || str_eq(key, STR("level")))) ||
           (type == V_STR && str_eq(key, STR("agent")));
}

/* ---- blocks ---- */

static int blocks_push(struct seg_writer *w, const struct seg_block *b, struct err *err)
{
    if (w->m.nblocks == w->cap_blocks) {
        uint32_t cap = w->cap_blocks ? w->cap_blocks * 2 : 32;
        struct seg_block *v = mem_realloc(w->blocks, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        w->blocks = v;
        w->cap_blocks = cap;
    }
    w->blocks[w->m.nblocks++] = *b;
    struct seg_meta *m = &w->m;
    m->rows += b->n;
    m->level_mask |= b->level_mask;
    m->t_min = b->t_min < m->t_min ? b->t_min : m->t_min;
    m->t_max = b->t_max > m->t_max ? b->t_max : m->t_max;
    m->seq_min = b->seq_min < m->seq_min ? b->seq_min : m->seq_min;
    m->seq_max = b->seq_max > m->seq_max ? b->seq_max : m->seq_max;
    return 0;
}

int seg_close_block(struct seg_writer *w, struct seg_block *b, uint32_t ncols, struct err *err)
{
    const struct blob_page *pages;
    uint32_t npages;
    int rc = seg_bundle_end(w, err);
    if (!rc)
        rc = seg_blobs_end(w, &pages, &npages, err);
    if (rc)
        return rc;
    b->dir_off = seg_here(w);
    rc = seg_put_directory(w, ncols, pages, npages, err);
    if (rc)
        return rc;
    b->dir_len = (uint32_t)(seg_here(w) - b->dir_off);
    b->dir_crc =
        addr_crc(w->s, w->m.id, b->dir_off, w->out.p + (b->dir_off - w->m.bytes), b->dir_len);
    rc = blocks_push(w, b, err);
    if (!rc && w->out.n >= SEG_WRITE_CHUNK)
        rc = seg_file_put(w, err);
    return rc;
}

/* Files every column of the used sources under its output key; counts rows per source. */
static int file_columns(struct seg_writer *w, const struct rowref *rows, uint32_t n,
                        struct block *const *src, uint32_t nsrc, uint32_t **ret_starts,
                        struct source_col **ret_cols, struct err *err)
{
    struct arena *a = &w->tmp_arena;
    uint32_t *starts = arena_zalloc(a, (nsrc + 2) * sizeof *starts);
    if (!starts)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++)
        starts[rows[i].src + 2]++;
    uint64_t total = 0;
    for (uint32_t s = 0; s < nsrc; s++) {
        if (starts[s + 2])
            total += src[s]->ncols;
        starts[s + 2] += starts[s + 1];
    }
    for (uint32_t i = 0; i < n; i++)
        w->order[starts[rows[i].src + 1]++] = (struct taken){ (uint16_t)i, (uint16_t)rows[i].row };
    struct source_col *cols = arena_array(a, total + 1, sizeof *cols);
    if (!cols)
        return err_nomem(err);
    uint32_t k = 0;
    for (uint32_t s = 0; s < nsrc; s++) {
        if (starts[s + 1] == starts[s])
            continue;
        for (uint32_t c = 0; c < src[s]->ncols; c++) {
            uint32_t key;
            int rc = seg_key_index(w, src[s]->cols[c].key, src[s]->cols[c].type, &key, err);
            if (rc)
                return rc;
            cols[k] = (struct source_col){ s, c, w->heads[key] };
            w->heads[key] = ++k;
        }
    }
    *ret_starts = starts;
    *ret_cols = cols;
    return 0;
}

static int gather(struct seg_writer *w, uint32_t key, uint32_t n, struct block *const *src,
                  const uint32_t *starts, const struct source_col *cols, struct err *err)
{
    bits_zero(w->g->present, n);
    for (uint32_t i = w->heads[key]; i; i = cols[i - 1].next) {
        const struct source_col *sc = &cols[i - 1];
        const struct colv *c;
        int rc = block_load(src[sc->src], sc->col, &c, err);
        if (rc)
            return rc;
        scatter(w->g, w->order + starts[sc->src], starts[sc->src + 1] - starts[sc->src], c);
    }
    compact(w->g, w->keys[key].type, n);
    return 0;
}

static void note_bounds(struct seg_writer *w, str key, uint32_t n, struct seg_block *b)
{
    struct gathered *g = w->g;
    bool is_time = str_eq(key, STR("timestamp")), is_seq = str_eq(key, STR("seq"));
    bool is_level = str_eq(key, STR("level")), is_recv = str_eq(key, STR("received_at"));
    if (is_level && g->nvals < n)
        b->level_mask |= 1u << LV_INFO;
    for (uint32_t i = 0; i < g->nvals; i++) {
        int64_t v = g->i64[i];
        if (is_time) {
            b->t_min = v < b->t_min ? v : b->t_min;
            b->t_max = v > b->t_max ? v : b->t_max;
        } else if (is_seq) {
            b->seq_min = (uint64_t)v < b->seq_min ? (uint64_t)v : b->seq_min;
            b->seq_max = (uint64_t)v > b->seq_max ? (uint64_t)v : b->seq_max;
        } else if (is_level) {
            b->level_mask |= v >= 0 && v < LV__COUNT ? 1u << v : 0xff;
        } else if (is_recv) {
            w->m.recv_min = v < w->m.recv_min ? v : w->m.recv_min;
            w->m.recv_max = v > w->m.recv_max ? v : w->m.recv_max;
        }
    }
}

int seg_writer_add(struct seg_writer *w, const struct rowref *rows, uint32_t n,
                   struct block *const *src, uint32_t nsrc, struct err *err)
{
    arena_reset(&w->tmp_arena);
    buf_reset(&w->dir);
    seg_blobs_block(w);
    seg_keys_block(w);
    index_block_begin(w->index);
    w->block_at = seg_here(w);
    uint32_t *starts = NULL;
    struct source_col *cols = NULL;
    int rc = file_columns(w, rows, n, src, nsrc, &starts, &cols, err);
    if (rc)
        return rc;
    struct seg_block b = { .n = n, .t_min = TS_MAX, .t_max = TS_MIN, .seq_min = UINT64_MAX };
    uint32_t ncols = 0;
    for (uint32_t i = 0; i < n; i++)
        w->tmpl_of[i] = SEG_NO_MESSAGE;
    struct block view = { .n = n, .arena = &w->tmp_arena };
    struct colinfo *info = arena_array(&w->tmp_arena, w->nkeys + 1, sizeof *info);
    view.loaded = arena_zalloc(&w->tmp_arena, (w->nkeys + 1) * sizeof *view.loaded);
    if (!info || !view.loaded)
        return err_nomem(err);
    for (uint32_t key = 0; key < w->nkeys; key++) {
        if (!w->heads[key])
            continue;
        const struct seg_key *k = &w->keys[key];
        rc = gather(w, key, n, src, starts, cols, err);
        if (rc)
            return rc;
        if (!w->g->nvals)
            continue;
        info[ncols] = (struct colinfo){ k->key, k->hash, k->type, w->g->nvals };
        if (rollup_wants(k->key, k->type)) {
            if (k->type == V_I64)
                note_bounds(w, k->key, n, &b);
            rc = keep_column(w, n, &info[ncols], &view.loaded[ncols], err);
        }
        if (!rc && k->type == V_STR && str_eq(k->key, field_table[F_MESSAGE].name))
            rc = find_templates(w, err);
        if (!rc)
            rc = put_column(w, key, n, err);
        if (rc)
            return rc;
        ncols++;
    }
    if (!b.level_mask)
        b.level_mask = 1u << LV_INFO;
    view.ncols = ncols;
    view.cols = info;
    view.t_min = b.t_min;
    view.t_max = b.t_max;
    count_templates(w, &view);
    rc = rollup_add_block(w->sums, &view, err);
    if (!rc)
        rc = seg_close_block(w, &b, ncols, err);
    return rc ? rc : index_block_end(w->index, w->m.nblocks - 1, seg_here(w) - w->block_at, err);
}
