/* seg_lookup.c: asking a segment's indexes which blocks may match.
 *
 * Keys of text become rows of the signatures, rising, so that each chunk is read and checked once;
 * the rows of a matrix are intersected, and when nothing is left the rest is not read. Values are
 * looked up in the map: one or two pages. What cannot be read says "maybe". One ask is remembered,
 * since a word is looked for in several columns of the same signatures. */
#include <stdlib.h>

#include "store/columnar/seg_format.h"
#include "store/columnar/seg_index.h"

#define ROWS_ASKED 48 /* of a needle: enough to rule out what can be */

struct lookup {
    struct seg *g;
    struct arena *a;
    uint64_t *by_sig, *by_map; /* blocks ruled out by one or the other somewhere in the filter */
    const struct text_keys *last;
    uint64_t *last_text; /* answer of the text signatures for `last` */
    bool failed;
};

/* ---- signatures ---- */

struct row_reader {
    struct seg *g;
    const struct index_matrix *m;
    uint8_t chunk[INDEX_CHUNK];
    uint64_t at; /* chunk in hand, UINT64_MAX none */
    size_t n;
};

static bool read_byte(struct row_reader *r, uint64_t at, uint8_t *ret)
{
    struct err e = ERR_INIT;
    if (at / INDEX_CHUNK_DATA != r->at) {
        r->at = UINT64_MAX;
        if (index_chunk_read(r->g, r->m, at / INDEX_CHUNK_DATA, r->chunk, &r->n, &e))
            return false;
        r->at = at / INDEX_CHUNK_DATA;
    }
    *ret = r->chunk[at % INDEX_CHUNK_DATA];
    return true;
}

/* Intersects acc, ncols bits, with a row; *ret_left: something is left. False: unreadable. */
static bool intersect_row(struct row_reader *r, uint32_t row, uint64_t *acc, bool *ret_left)
{
    uint32_t ncols = r->m->ncols;
    uint64_t bit = (uint64_t)row * ncols, any = 0;
    unsigned shift = (unsigned)(bit % 8);
    uint64_t at = bit / 8, end = (bit + ncols + 7) / 8;
    uint8_t b = 0, next = 0;
    if (!read_byte(r, at, &next))
        return false;
    for (uint32_t c = 0; c < ncols; c += 8) {
        b = next;
        at++;
        next = 0;
        if (at < end && !read_byte(r, at, &next))
            return false;
        uint64_t eight =
            (uint64_t)((uint8_t)((unsigned)b >> shift | (unsigned)next << (8 - shift)));
        uint64_t mask = 0xffull << c % 64;
        acc[c / 64] &= ~mask | eight << c % 64;
        any |= acc[c / 64] & mask;
    }
    *ret_left = any != 0;
    return true;
}

static int rising(const void *pa, const void *pb)
{
    const uint32_t *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

/* Clears the bits of blocks that lack one of the rows in their signature of this part. */
static void ask_matrix(struct lookup *l, const struct index_matrix *m, const uint32_t *rows,
                       uint32_t n, uint64_t *maybe)
{
    uint32_t own[ROWS_ASKED];
    struct row_reader *r = arena_alloc(l->a, sizeof *r);
    uint64_t *acc = arena_array(l->a, BITS_WORDS(m->ncols) + 1, sizeof *acc);
    if (!r || !acc) {
        l->failed = true;
        return;
    }
    *r = (struct row_reader){ .g = l->g, .m = m, .at = UINT64_MAX };
    for (uint32_t i = 0; i < n; i++)
        own[i] = rows[i] & ((1u << m->log) - 1);
    qsort(own, n, sizeof *own, rising);
    bits_fill(acc, m->ncols);
    bool left = true;
    for (uint32_t i = 0; i < n && left; i++)
        if (!intersect_row(r, own[i], acc, &left))
            return;
    for (uint32_t c = 0; c < m->ncols; c++)
        if (!bit_get(acc, c))
            bit_clear(maybe, m->blocks[c]);
}

static void ask_part(struct lookup *l, enum gram_part part, const uint32_t *rows, uint32_t n,
                     uint64_t *maybe)
{
    const struct seg_index *x = l->g->index;
    for (uint32_t k = 0; k < x->nmatrices && n; k++)
        if (x->matrices[k].part == part)
            ask_matrix(l, &x->matrices[k], rows, n, maybe);
}

static void ask_grams(struct lookup *l, enum gram_part part, const struct text_keys *k,
                      uint32_t salt, uint64_t *maybe)
{
    uint32_t rows[ROWS_ASKED], n = k->ngrams < ROWS_ASKED ? k->ngrams : ROWS_ASKED;
    for (uint32_t i = 0; i < n; i++)
        rows[i] = gram_row(k->grams[(uint64_t)i * k->ngrams / n], salt);
    ask_part(l, part, rows, n, maybe);
}

static void ask_tokens(struct lookup *l, const struct text_keys *k, uint64_t *maybe)
{
    uint32_t rows[ROWS_ASKED], n = 0;
    for (uint32_t i = 0; i < k->ntokens && n + 2 <= ROWS_ASKED; i++) {
        rows[n++] = token_row(k->tokens[i], 0);
        rows[n++] = token_row(k->tokens[i], 1);
    }
    ask_part(l, GRAM_TOKENS, rows, n, maybe);
}

/* ---- the value map ---- */

static void found(void *arg, uint32_t hash, uint32_t block)
{
    (void)hash;
    bit_set(arg, block);
}

static void ask_map(struct lookup *l, uint64_t hash, uint64_t *maybe)
{
    struct err e = ERR_INIT;
    size_t words = BITS_WORDS(l->g->m.nblocks);
    uint64_t *hits = arena_zalloc(l->a, (words + 1) * sizeof *hits);
    if (!hits)
        l->failed = true;
    else if (!index_map_each(l->g, l->g->index, map_hash(hash), map_hash(hash), found, hits, &e))
        for (size_t i = 0; i < words; i++)
            maybe[i] &= hits[i];
}

/* ---- for pred_blocks ---- */

static uint32_t find(void *ctx, const struct fieldref *f, struct index_col *ret, uint32_t max)
{
    const struct seg *g = ((struct lookup *)ctx)->g;
    uint32_t n = 0;
    if (g->nkeys >= SEG_COLUMNS_MAX) /* blocks may have columns that the footer does not name */
        return max + 1;
    for (uint32_t i = 0; i < g->nkeys; i++) {
        if (g->keys[i].hash != f->hash || !fieldref_matches(f, g->keys[i].key, g->keys[i].hash))
            continue;
        if (n < max)
            ret[n] = (struct index_col){ g->keys[i].type, i };
        n++;
    }
    return n;
}

/* answer: of an index that covers the column in the way c says; ruled: notes what it rules out */
static void apply(struct lookup *l, const struct index_cover *c, const uint64_t *answer,
                  uint64_t *maybe, uint64_t *ruled)
{
    for (uint32_t b = 0; b < l->g->m.nblocks; b++)
        if (!bit_get(answer, b) && index_covers(c, b)) {
            bit_clear(maybe, b);
            bit_set(ruled, b);
        }
}

static uint64_t *answer_of(struct lookup *l, const struct index_cover *c, const struct text_keys *k)
{
    if (c->how == COVER_TEXT && l->last == k)
        return l->last_text;
    uint64_t *w = arena_array(l->a, BITS_WORDS(l->g->m.nblocks) + 1, sizeof *w);
    if (!w)
        return NULL;
    bits_fill(w, l->g->m.nblocks);
    switch (c->how) {
    case COVER_TEXT:
        ask_grams(l, GRAM_TEXT, k, 0, w);
        ask_tokens(l, k, w);
        l->last = k;
        l->last_text = w;
        break;
    case COVER_FIELDS: ask_grams(l, GRAM_FIELDS, k, column_salt(l->g->keys[c->key].hash), w); break;
    case COVER_VALUES:
        if (k->whole)
            ask_map(l, k->value, w);
        break;
    default:
        for (uint32_t i = 0; i < k->ntokens; i++)
            ask_map(l, k->tokens[i], w);
    }
    return w;
}

static void narrow(void *ctx, const struct index_col *col, const struct text_keys *k,
                   uint64_t *maybe)
{
    struct lookup *l = ctx;
    const struct seg_index *x = l->g->index;
    for (const struct index_cover *c = index_cover_first(x, col->column);
         c < x->covers + x->ncovers && c->key == col->column; c++) {
        const uint64_t *w = answer_of(l, c, k);
        if (!w || l->failed)
            l->failed = true;
        else
            apply(l, c, w, maybe, c->how & COVER_MAP ? l->by_map : l->by_sig);
    }
}

static void narrow_levels(void *ctx, uint32_t mask, uint64_t *maybe)
{
    const struct seg *g = ((struct lookup *)ctx)->g;
    for (uint32_t b = 0; b < g->m.nblocks; b++)
        if (!(g->blocks[b].level_mask & mask))
            bit_clear(maybe, b);
}

static void narrow_seq(void *ctx, uint64_t seq, uint64_t *maybe)
{
    const struct seg *g = ((struct lookup *)ctx)->g;
    for (uint32_t b = 0; b < g->m.nblocks; b++)
        if (seq < g->blocks[b].seq_min || seq > g->blocks[b].seq_max)
            bit_clear(maybe, b);
}

int seg_candidates(struct seg *g, const struct pred *p, struct arena *a, uint64_t **ret,
                   struct index_pruned *pruned, struct err *err)
{
    size_t words = BITS_WORDS(g->m.nblocks) + 1;
    struct lookup l = { .g = g, .a = a };
    struct index_view v = { .nblocks = g->m.nblocks,
                            .ids = &g->s->ids,
                            .ctx = &l,
                            .find = find,
                            .narrow = narrow,
                            .narrow_levels = narrow_levels,
                            .narrow_seq = narrow_seq };
    l.by_sig = arena_zalloc(a, words * sizeof *l.by_sig);
    l.by_map = arena_zalloc(a, words * sizeof *l.by_map);
    uint64_t *maybe = l.by_sig && l.by_map ? pred_blocks(p, &v, a) : NULL;
    if (!maybe || l.failed)
        return err_nomem(err);
    *pruned = (struct index_pruned){ 0 };
    for (uint32_t b = 0; b < g->m.nblocks; b++) {
        if (bit_get(maybe, b))
            continue;
        if (bit_get(l.by_map, b))
            pruned->by_values++;
        else if (bit_get(l.by_sig, b))
            pruned->by_signatures++;
        else
            pruned->by_columns++;
    }
    *ret = maybe;
    return 0;
}
