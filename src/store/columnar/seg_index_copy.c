/* seg_index_copy.c: the indexes of blocks that a merge copies: signatures are taken out of their
 * columns, entries of the value map are renumbered when the new map is written. Nothing is decoded.
 * An index that cannot be read leaves its blocks without one. */
#include <string.h>

#include "store/columnar/index_int.h"

static void count(void *arg, uint32_t hash, uint32_t block)
{
    (void)hash;
    (void)block;
    ++*(uint64_t *)arg;
}

/* A map that is not wholly readable is not taken over. */
static bool map_readable(const struct index_source *s)
{
    struct err e = ERR_INIT;
    uint64_t n = 0;
    return index_map_each(s->g, s->x, 0, UINT32_MAX, count, &n, &e) == 0 && n == s->x->entries;
}

static struct index_source *source_of(struct index_writer *x, struct seg *from, struct err *err)
{
    if (x->nsources && x->sources[x->nsources - 1].g == from)
        return &x->sources[x->nsources - 1];
    size_t cap = x->nsources; /* few: grown one by one */
    struct index_source *v = mem_realloc(x->sources, (cap + 1) * sizeof *v);
    if (!v) {
        err_nomem(err);
        return NULL;
    }
    x->sources = v;
    struct index_source *s = &v[x->nsources];
    *s = (struct index_source){ .g = from };
    s->to = mem_zarray(from->m.nblocks + 1, sizeof *s->to);
    if (!s->to) {
        err_nomem(err);
        return NULL;
    }
    s->x = from->index;
    s->map = map_readable(s);
    seg_ref(from);
    x->nsources++;
    return s;
}

/* The signatures of one matrix, column by column, into sigs (ncols of 2^log bits, zeroed). */
static int untranspose(struct seg *g, const struct index_matrix *m, uint8_t **sigs, struct err *err)
{
    uint8_t chunk[INDEX_CHUNK];
    uint64_t bits = (uint64_t)m->ncols << m->log, done = 0;
    uint32_t c = 0, r = 0;
    for (uint64_t i = 0; done < bits; i++) {
        size_t n;
        int rc = index_chunk_read(g, m, i, chunk, &n, err);
        if (rc)
            return rc;
        for (size_t b = 0; b < n * 8 && done < bits; b++, done++) {
            sigs[c][r / 8] |= (uint8_t)((chunk[b / 8] >> b % 8 & 1u) << r % 8);
            if (++c == m->ncols) {
                c = 0;
                r++;
            }
        }
    }
    return 0;
}

static bool take_matrix(struct index_writer *x, struct index_source *s,
                        const struct index_matrix *m)
{
    struct err e = ERR_INIT;
    size_t n = (size_t)1 << (m->log - 3);
    uint8_t **sigs = mem_zarray(m->ncols, sizeof *sigs);
    bool ok = sigs;
    for (uint32_t c = 0; c < m->ncols && ok; c++)
        ok = (sigs[c] = mem_zalloc(n)) != NULL;
    bool readable = ok && untranspose(s->g, m, sigs, &e) == 0;
    for (uint32_t c = 0; c < m->ncols && ok && readable; c++)
        if (s->to[m->blocks[c]])
            ok = index_sig_keep(x, s->to[m->blocks[c]] - 1, (enum gram_part)m->part, m->log,
                                sigs[c]);
    for (uint32_t c = 0; sigs && c < m->ncols; c++)
        mem_free(sigs[c]);
    mem_free(sigs);
    return ok;
}

int index_sources_done(struct index_writer *x, struct err *err)
{
    for (uint32_t i = 0; i < x->nsources; i++)
        for (uint32_t k = 0; k < x->sources[i].x->nmatrices; k++)
            if (!take_matrix(x, &x->sources[i], &x->sources[i].x->matrices[k]))
                return err_nomem(err);
    return 0;
}

int index_block_copied(struct index_writer *x, struct seg *from, uint32_t i, uint32_t block,
                       struct err *err)
{
    if (x->off)
        return 0;
    struct index_source *s = source_of(x, from, err);
    if (!s || !index_sigs_of(x, block))
        return err_nomem(err);
    s->to[i] = block + 1;
    return 0;
}

int index_column_copied(struct index_writer *x, const struct seg *from, uint32_t i,
                        uint32_t from_key, uint32_t key, uint32_t block, struct err *err)
{
    uint8_t how = 0;
    if (x->off || from->keys[from_key].type != V_STR)
        return 0;
    const struct index_source *s = &x->sources[x->nsources - 1];
    for (const struct index_cover *c = index_cover_first(s->x, from_key);
         c < s->x->covers + s->x->ncovers && c->key == from_key; c++)
        how |= index_covers(c, i) ? c->how : 0;
    if (!s->map)
        how &= (uint8_t)~COVER_MAP;
    return index_cover_add(x, key, block, how) ? 0 : err_nomem(err);
}
