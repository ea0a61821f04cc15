/* verify_index.c: do the indexes of a segment deny anything that its blocks hold?
 *
 * What a covered column leaves in an index is found again from its decoded values, as a writer
 * would, and must be in what is stored:
 *   signatures  every bit that the texts of the block set
 *   value map   an entry for every value, or id token, and the block
 * More may be there (a signature rules out less then), never less. The signatures of a segment are
 * read once, and so is the map, as one sorted list. */
#include "store/columnar/verify_index.h"

#include <stdlib.h>

#include "base/hash.h"
#include "store/columnar/seg_format.h"
#include "store/columnar/seg_index.h"

struct index_check {
    struct seg *g;
    struct gram_sink *sink;
    uint8_t **bits; /* per matrix of the index */
    uint64_t *entries, nentries;
    uint64_t lookups_missed; /* of the column in hand */
    uint32_t block;
};

void index_check_free(struct index_check *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; x->bits && i < x->g->index->nmatrices; i++)
        mem_free(x->bits[i]);
    mem_free(x->bits);
    mem_free(x->entries);
    gram_sink_free(x->sink);
    mem_free(x);
}

static int read_matrix(struct index_check *x, uint32_t k, struct err *err)
{
    const struct index_matrix *m = &x->g->index->matrices[k];
    uint64_t bytes = index_matrix_bytes(m);
    uint8_t chunk[INDEX_CHUNK];
    int rc = 0;
    x->bits[k] = mem_alloc((size_t)bytes);
    if (!x->bits[k])
        return err_nomem(err);
    for (uint64_t i = 0; i * INDEX_CHUNK_DATA < bytes && !rc; i++) {
        size_t n;
        rc = index_chunk_read(x->g, m, i, chunk, &n, err);
        if (!rc)
            memcpy(x->bits[k] + i * INDEX_CHUNK_DATA, chunk, n);
    }
    return rc;
}

static void keep_entry(void *arg, uint32_t hash, uint32_t block)
{
    struct index_check *x = arg;
    if (x->nentries < x->g->index->entries) /* another number of them is found by verify */
        x->entries[x->nentries++] = valmap_entry(hash, block);
}

static int read_map(struct index_check *x, struct err *err)
{
    const struct seg_index *ix = x->g->index;
    if (ix->entries > (uint64_t)ix->npages * VALMAP_PAGE_ENTRIES)
        return err_set(err, ERR_CORRUPT, "the value map has no room for its entries");
    x->entries = mem_array(ix->entries + 1, sizeof *x->entries);
    return x->entries ? index_map_each(x->g, ix, 0, UINT32_MAX, keep_entry, x, err)
                      : err_nomem(err);
}

int index_check_new(struct index_check **ret, struct seg *g, struct err *err)
{
    struct index_check *x = mem_zalloc(sizeof *x);
    if (!x)
        return err_nomem(err);
    x->g = g;
    x->sink = gram_sink_new();
    x->bits = mem_zarray(g->index->nmatrices + 1, sizeof *x->bits);
    int rc = x->sink && x->bits ? read_map(x, err) : err_nomem(err);
    for (uint32_t k = 0; k < g->index->nmatrices && !rc; k++)
        rc = read_matrix(x, k, err);
    if (rc) {
        index_check_free(x);
        return rc;
    }
    *ret = x;
    return 0;
}

/* ---- columns ---- */

static int rising(const void *pa, const void *pb)
{
    const uint64_t *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

static void look_up(void *arg, uint64_t hash)
{
    struct index_check *x = arg;
    uint64_t e = valmap_entry(map_hash(hash), x->block);
    x->lookups_missed += !bsearch(&e, x->entries, (size_t)x->nentries, sizeof e, rising);
}

static void take_value(struct index_check *x, const struct index_cover *c, str v)
{
    switch (c->how) {
    case COVER_TEXT: gram_sink_text(x->sink, v); break;
    case COVER_FIELDS: gram_sink_field(x->sink, v, column_salt(x->g->keys[c->key].hash)); break;
    case COVER_VALUES: look_up(x, hash64(v.p, v.n)); break;
    default: gram_id_tokens(v, look_up, x);
    }
}

/* False: the map lacks something. */
static bool check_cover(struct index_check *x, const struct index_cover *c, const struct colv *v)
{
    str last = STR_NULL;
    x->lookups_missed = 0;
    for (uint32_t r = 0; r < v->n; r++) {
        if (!colv_has(v, r))
            continue;
        str s = colv_text(v, r);
        if (!last.p || last.p != s.p || last.n != s.n)
            take_value(x, c, s);
        last = s;
    }
    return !x->lookups_missed;
}

void index_check_begin(struct index_check *x, uint32_t block)
{
    gram_sink_reset(x->sink);
    x->block = block;
}

const char *index_check_column(struct index_check *x, uint32_t key, const struct colv *v)
{
    const struct seg_index *ix = x->g->index;
    bool ok = true;
    if (key >= x->g->nkeys || v->type != V_STR)
        return NULL;
    for (const struct index_cover *c = index_cover_first(ix, key);
         c < ix->covers + ix->ncovers && c->key == key; c++)
        if (index_covers(c, x->block))
            ok &= check_cover(x, c, v);
    return ok ? NULL : "the value map denies a value that is there";
}

/* ---- the end of a block ---- */

static bool column_of_block(const struct index_matrix *m, uint32_t block, uint32_t *ret)
{
    for (*ret = 0; *ret < m->ncols && m->blocks[*ret] != block; ++*ret)
        ;
    return *ret < m->ncols;
}

/* Is every bit of `wanted` in the column of the matrix? */
static bool has_bits(const struct index_matrix *m, const uint8_t *bits, uint32_t col,
                     const uint8_t *wanted)
{
    for (uint64_t row = 0; row < 1ull << m->log; row++) {
        uint64_t at = row * m->ncols + col;
        if (wanted[row / 8] >> row % 8 & 1 && !(bits[at / 8] >> at % 8 & 1))
            return false;
    }
    return true;
}

const char *index_check_end(struct index_check *x)
{
    const struct seg_index *ix = x->g->index;
    bool seen[GRAM__PARTS] = { false };
    const char *wrong = NULL;
    for (uint32_t k = 0; k < ix->nmatrices && !wrong; k++) {
        const struct index_matrix *m = &ix->matrices[k];
        uint32_t col;
        if (!column_of_block(m, x->block, &col))
            continue;
        if (seen[m->part])
            wrong = "there are two signatures of a kind";
        else if (!has_bits(m, x->bits[k], col, gram_sink_fold(x->sink, m->part, m->log)))
            wrong = "a signature denies a text that is there";
        seen[m->part] = true;
    }
    gram_sink_reset(x->sink); /* the texts go */
    return wrong;
}
