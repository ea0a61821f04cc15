/* inspect.c: where the bytes of the segments are; see store/inspect.h.
 *
 * The store is opened as far as its manifest: no lock, no log. Then every block of the wanted
 * segments is decoded, as verify does, and each byte of the file is put to an account. A writer may
 * merge or drop segments meanwhile: what is missing or damaged is looked for again, a few times. */
#include "store/inspect.h"

#include <stdlib.h>

#include "base/map.h"
#include "codec/zip.h"
#include "store/columnar/blob.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"
#include "store/columnar/seg_index.h"

#define INSPECT_TRIES 5

_Static_assert(PE__COUNT <= INSPECT_ENCODINGS, "every encoding has an account");
_Static_assert(SECTION__COUNT <= INSPECT_SECTIONS, "every section has an account");

struct inspection {
    struct arena *a; /* the report's */
    const struct inspect_want *want;
    struct inspect_report *rep;
    struct smap index; /* type byte and key -> index + 1 into columns */
    struct smap blobs; /* segment and offset of a blob page */
    uint32_t cap_columns, cap_blocks;
    struct buf plain, packed; /* of compare */
};

const char *inspect_encoding_name(uint32_t encoding)
{
    return encoding < PE__COUNT ? page_encoding_names[encoding] : NULL;
}

const char *inspect_section_name(uint32_t kind)
{
    static const char *const names[SECTION__COUNT] = {
        [SECTION_SIGNATURES] = "signatures", [SECTION_VALUES] = "values",
        [SECTION_GROUPS] = "groups",         [SECTION_TEMPLATES] = "templates",
        [SECTION_BLOBS] = "blobs",
    };
    return kind < SECTION__COUNT ? names[kind] : NULL;
}

static int column_of(struct inspection *in, str key, enum vtype type, struct inspect_column **ret,
                     struct err *err)
{
    struct inspect_report *rep = in->rep;
    char *k = arena_alloc(in->a, key.n + 1);
    if (!k)
        return err_nomem(err);
    k[0] = (char)type;
    if (key.n)
        memcpy(k + 1, key.p, key.n);
    bool fresh;
    uint64_t *slot = smap_put(&in->index, str_n(k, key.n + 1), &fresh);
    if (!slot)
        return err_nomem(err);
    if (fresh) {
        if (rep->ncolumns == in->cap_columns) {
            uint32_t cap = in->cap_columns ? in->cap_columns * 2 : 64;
            rep->columns =
                arena_grow(in->a, rep->columns, rep->ncolumns, cap, sizeof *rep->columns);
            if (!rep->columns)
                return err_nomem(err);
            in->cap_columns = cap;
        }
        rep->columns[rep->ncolumns] = (struct inspect_column){ str_n(k + 1, key.n), .type = type };
        *slot = ++rep->ncolumns;
    }
    *ret = &rep->columns[*slot - 1];
    return 0;
}

/* ---- the plain form of a column ---- */

static uint64_t varint_n(uint64_t v)
{
    uint64_t n = 1;
    for (; v >= 128; v >>= 7)
        n++;
    return n;
}

static uint64_t plain_bytes(const struct colv *c)
{
    uint64_t n = c->present ? (c->n + 7) / 8 : 0;
    switch (c->type) {
    case V_NULL: return n;
    case V_BOOL: return n + c->nvals;
    case V_I64:
    case V_F64: return n + 8ull * c->nvals;
    default: break;
    }
    for (uint32_t row = 0; row < c->n; row++)
        if (colv_has(c, row)) {
            str s = colv_text(c, row);
            n += varint_n(s.n) + s.n;
        }
    return n;
}

static void put_plain(struct buf *b, const struct colv *c)
{
    if (c->present)
        buf_put(b, c->present, (c->n + 7) / 8);
    for (uint32_t row = 0; row < c->n; row++) {
        if (!colv_has(c, row))
            continue;
        switch (c->type) {
        case V_NULL: break;
        case V_BOOL: buf_putc(b, (char)c->b8[row]); break;
        case V_I64: buf_put(b, &c->i64[row], 8); break;
        case V_F64: buf_put(b, &c->f64[row], 8); break;
        default: buf_lenstr(b, colv_text(c, row));
        }
    }
}

/* What plain and zstd alone would take, the way pages are stored: unpacked when that is smaller. */
static int compare(struct inspection *in, const struct colv *c, uint64_t *ret, struct err *err)
{
    buf_reset(&in->plain);
    buf_reset(&in->packed);
    put_plain(&in->plain, c);
    if (!buf_ok(&in->plain))
        return err_nomem(err);
    size_t n = zstd_pack(buf_str(&in->plain), in->want->level, &in->packed);
    *ret = n ? n : in->plain.n;
    return 0;
}

/* ---- accounts ---- */

static uint64_t large_values(const struct colv *c, const struct seg_col *sc)
{
    uint64_t n = 0;
    for (uint32_t r = 0; sc->stat_flags & STAT_BLOBS && r < c->n; r++)
        n += colv_has(c, r) && colv_text(c, r).n >= BLOB_MIN;
    return n;
}

static bool is_bundle(struct sblock *sb, uint32_t page)
{
    const struct seg_col *cols = sblock_cols(sb);
    for (uint32_t i = 0; i < sblock_block(sb)->ncols; i++)
        if (cols[i].bundled && cols[i].bundle == page)
            return true;
    return false;
}

/* A column's bytes in the file; of a bundle, its share. */
static uint64_t page_bytes(struct sblock *sb, const struct seg_col *c)
{
    const struct blob_page *v;
    sblock_blobs(sb, &v);
    if (!c->bundled)
        return c->len;
    uint64_t len = v[c->bundle].len, raw = v[c->bundle].raw_n;
    return (c->off + c->len) * len / raw - c->off * len / raw;
}

/* The blob pages of a block; blocks share them. */
static int add_blobs(struct inspection *in, struct seg *g, struct sblock *sb, struct err *err)
{
    const struct blob_page *v;
    uint32_t n = sblock_blobs(sb, &v);
    for (uint32_t i = 0; i < n; i++) {
        if (is_bundle(sb, i))
            continue;
        uint64_t address[2] = { g->m.id, v[i].off };
        bool fresh;
        if (!smap_put(&in->blobs, str_n((const char *)address, sizeof address), &fresh))
            return err_nomem(err);
        if (fresh) {
            in->rep->blob_pages++;
            in->rep->blob_n += v[i].len;
            in->rep->blob_raw_n += v[i].raw_n;
        }
    }
    return 0;
}

static int add_column(struct inspection *in, struct block *b, uint32_t i, const struct seg_col *sc,
                      struct inspect_block *ib, struct err *err)
{
    const struct colv *v;
    struct inspect_column *c = NULL;
    int rc = block_load(b, i, &v, err);
    if (!rc)
        rc = column_of(in, b->cols[i].key, b->cols[i].type, &c, err);
    uint64_t packed = 0;
    if (!rc && in->want->compare)
        rc = compare(in, v, &packed, err);
    if (rc)
        return rc;
    bool large = sc->stat_flags & STAT_BLOBS;
    uint64_t page = page_bytes((struct sblock *)b, sc);
    uint64_t map = large ? sc->blob_len : 0, map_raw = large ? sc->blob_raw_n : 0;
    uint64_t plain = plain_bytes(v), filter = sc->filter_kind != FILTER_NONE ? sc->filter_len : 0;
    struct inspect_encoding *e = &in->rep->encodings[sc->encoding];
    bool counted = v->codes && (c->distinct || !c->blocks);
    c->distinct = counted ? c->distinct + v->ndict : 0;
    c->blocks++;
    c->values += v->nvals;
    c->plain_n += plain;
    c->raw_n += sc->raw_n + map_raw;
    c->stored_n += page + map;
    c->large += large_values(v, sc);
    c->filter_n += filter;
    c->compare_n += packed;
    c->pages[sc->encoding]++;
    e->pages++;
    e->zstd_pages += sc->zstd || sc->bundled || sc->encoding == PE_FRAMES;
    e->values += v->nvals;
    e->plain_n += plain;
    e->raw_n += sc->raw_n + map_raw;
    e->stored_n += page + map;
    e->compare_n += packed;
    ib->page_n += page + map;
    ib->filter_n += filter;
    in->rep->page_n += page + map;
    if (sc->filter_kind == FILTER_TOKEN)
        in->rep->token_filter_n += filter;
    else
        in->rep->value_filter_n += filter;
    return 0;
}

static int add_block(struct inspection *in, struct seg *g, uint32_t index, struct arena *tmp,
                     struct err *err)
{
    struct inspect_report *rep = in->rep;
    if (rep->nblocks == in->cap_blocks) {
        uint32_t cap = in->cap_blocks ? in->cap_blocks * 2 : 64;
        rep->blocks = arena_grow(in->a, rep->blocks, rep->nblocks, cap, sizeof *rep->blocks);
        if (!rep->blocks)
            return err_nomem(err);
        in->cap_blocks = cap;
    }
    struct sblock *sb;
    int rc = sblock_open(g, index, tmp, &sb, err);
    if (rc)
        return rc;
    const struct seg_block *e = &g->blocks[index];
    struct block *b = sblock_block(sb);
    struct inspect_block ib = { .segment = g->m.id,
                                .index = index,
                                .rows = e->n,
                                .columns = b->ncols,
                                .t_min = e->t_min,
                                .t_max = e->t_max,
                                .seq_min = e->seq_min,
                                .seq_max = e->seq_max,
                                .dir_n = e->dir_len };
    for (uint32_t i = 0; i < b->ncols && !rc; i++)
        rc = add_column(in, b, i, &sblock_cols(sb)[i], &ib, err);
    if (!rc)
        rc = add_blobs(in, g, sb, err);
    block_close(b);
    rep->dir_n += e->dir_len;
    rep->blocks[rep->nblocks++] = ib;
    return rc;
}

static uint64_t footer_bytes(struct inspect_report *rep, const struct seg *g)
{
    uint64_t keys = varint_n(g->nkeys), blocks = varint_n(g->m.nblocks), all;
    for (uint32_t i = 0; i < g->nkeys; i++)
        keys += 1 + varint_n(g->keys[i].key.n) + g->keys[i].key.n;
    for (uint32_t i = 0; i < g->m.nblocks; i++) {
        const struct seg_block *b = &g->blocks[i];
        blocks += varint_n(b->dir_off) + varint_n(b->dir_len) + varint_n(b->n) +
                  varint_n(b->seq_min) + varint_n(b->seq_max) + 4 + 1 + 8 + 8;
    }
    rep->keys_n += keys;
    rep->blocks_n += blocks;
    rep->summary_n += g->rollup_bytes.n;
    all = keys + blocks + g->rollup_bytes.n;
    for (uint32_t k = 0; k < SECTION__COUNT; k++) {
        rep->section_n[k] += g->sections[k].n;
        all += g->sections[k].n;
    }
    return all;
}

static uint64_t in_blocks(const struct inspect_report *r)
{
    return r->page_n + r->blob_n + r->token_filter_n + r->value_filter_n + r->dir_n;
}

/* The indexes, which lie behind the blocks; returns their bytes. */
static uint64_t add_indexes(struct inspect_report *rep, const struct seg *g)
{
    const struct seg_index *x = g->index;
    uint64_t all = x ? seg_index_bytes(x, SECTION_VALUES) : 0;
    rep->value_map_n += all;
    for (uint32_t i = 0; x && i < x->nmatrices; i++) {
        uint64_t n = index_matrix_stored(&x->matrices[i]);
        rep->signature_n[x->matrices[i].part % 3] += n;
        all += n;
    }
    return all;
}

static int add_segment(struct inspection *in, struct seg *g, struct err *err)
{
    struct inspect_report *rep = in->rep;
    int rc = seg_open(g, err);
    if (rc)
        return rc;
    struct arena tmp;
    arena_init(&tmp, ARENA_MAX);
    uint64_t before = in_blocks(rep);
    for (uint32_t i = 0; i < g->m.nblocks && !rc; i++) {
        rc = add_block(in, g, i, &tmp, err);
        arena_reset(&tmp);
    }
    arena_deinit(&tmp);
    if (rc)
        return rc;
    uint64_t footer = footer_bytes(rep, g), frame = SEG_HEADER + SEG_TRAILER;
    frame += g->footer_n > footer ? g->footer_n - footer : 0; /* lengths in the footer */
    rep->frame_n += frame;
    uint64_t known = in_blocks(rep) - before + add_indexes(rep, g) + footer + frame;
    rep->other_n += g->m.bytes > known ? g->m.bytes - known : 0;
    return 0;
}

/* ---- the whole ---- */

static int by_bytes(const void *a, const void *b)
{
    const struct inspect_column *x = a, *y = b;
    uint64_t nx = x->stored_n + x->filter_n, ny = y->stored_n + y->filter_n;
    if (nx != ny)
        return nx < ny ? 1 : -1;
    int c = str_cmp(x->key, y->key);
    return c ? c : (x->type > y->type) - (x->type < y->type);
}

static void list_segment(struct inspect_report *rep, const struct seg_meta *m)
{
    rep->rows += m->rows;
    rep->bytes += m->bytes;
    rep->segments[rep->nsegments++] = (struct inspect_segment){ .id = m->id,
                                                                .day = m->day,
                                                                .cls = m->cls,
                                                                .blocks = m->nblocks,
                                                                .rows = m->rows,
                                                                .bytes = m->bytes,
                                                                .t_min = m->t_min,
                                                                .t_max = m->t_max,
                                                                .seq_min = m->seq_min,
                                                                .seq_max = m->seq_max };
}

static int inspect_version(struct inspection *in, struct store *s, struct err *err)
{
    struct inspect_report *rep = in->rep;
    rep->segments = arena_array(in->a, s->version->n + 1, sizeof *rep->segments);
    if (!rep->segments)
        return err_nomem(err);
    int rc = 0;
    for (uint32_t i = 0; i < s->version->n && !rc; i++) {
        struct seg *g = s->version->v[i];
        if (in->want->id && g->m.id != in->want->id)
            continue;
        list_segment(rep, &g->m);
        if (!in->want->list)
            rc = add_segment(in, g, err);
    }
    if (!rc && in->want->id && !rep->nsegments)
        return err_set(err, ERR_NOTFOUND, "the store has no segment %llu",
                       (unsigned long long)in->want->id);
    if (!rc && rep->ncolumns)
        qsort(rep->columns, rep->ncolumns, sizeof *rep->columns, by_bytes);
    return rc;
}

static int inspect_once(struct io *io, struct inspection *in, struct err *err)
{
    struct store_config cfg;
    struct store *s;
    store_config_default(&cfg);
    cfg.read_only = true;
    cfg.segments_only = true;
    int rc = store_open(&s, io, &cfg, err);
    if (rc)
        return rc;
    smap_init(&in->index, SMAP_BORROW);
    smap_init(&in->blobs, SMAP_COPY);
    rc = inspect_version(in, s, err);
    smap_deinit(&in->index);
    smap_deinit(&in->blobs);
    store_close(s);
    return rc;
}

int store_inspect(struct io *io, const struct inspect_want *want, struct arena *a,
                  struct inspect_report *ret, struct err *err)
{
    struct inspection in = { .a = a, .want = want, .rep = ret };
    buf_init(&in.plain, ARENA_MAX);
    buf_init(&in.packed, ARENA_MAX);
    int rc = ERR_NOTFOUND;
    for (int i = 0; i < INSPECT_TRIES && (rc == ERR_NOTFOUND || rc == ERR_CORRUPT); i++) {
        err_reset(err);
        *ret = (struct inspect_report){ 0 };
        in.cap_columns = in.cap_blocks = 0;
        rc = inspect_once(io, &in, err);
    }
    buf_deinit(&in.plain);
    buf_deinit(&in.packed);
    return rc;
}
