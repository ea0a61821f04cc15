/* delete.c: deletion by rewriting. What store_delete answered is physically gone.
 *
 * The memtable is flushed first, so only segments are looked at. A segment in which every row
 * matches is dropped from the manifest; one with some is written anew without them and replaces the
 * old one in one manifest edit each, so a crash leaves every segment either as it was or as it
 * shall be. */
#include "store/columnar/impl.h"
#include "store/columnar/seg_index.h"

#include <stdlib.h>

struct deletion {
    struct store *s;
    const struct pred *what;
    uint64_t seq_max;
    struct pred_run *run;
    uint64_t deleted;
};

/* Bitmap of the rows to delete in a block; *ret_n of them. */
static int doomed(struct deletion *d, struct block *b, uint64_t *sel, uint32_t *ret_n,
                  struct err *err)
{
    struct block *view = b;
    int rc = pred_uses_marks(d->what) ? overlay_marks(d->s->late, b, &view, err) : 0;
    if (!rc)
        rc = pred_eval(d->what, view, NULL, sel, d->run, NULL, err);
    for (uint32_t i = 0; i < b->n && !rc && b->seq_max > d->seq_max; i++) {
        struct val seq;
        rc = block_get_field(b, i, F_SEQ, &seq, err);
        if (!rc && (uint64_t)seq.i > d->seq_max)
            bit_clear(sel, i);
    }
    *ret_n = rc ? 0 : (uint32_t)bits_count(sel, b->n);
    return rc;
}

/* Could any row match, and how many do? */
static int count_segment(struct deletion *d, struct seg *g, uint64_t *ret, struct err *err)
{
    *ret = 0;
    int rc = seg_open(g, err);
    struct arena a, found;
    arena_init(&a, ARENA_MAX);
    arena_init(&found, ARENA_MAX);
    uint64_t *maybe = NULL;
    struct index_pruned pruned;
    if (!rc)
        rc = seg_candidates(g, d->what, &found, &maybe, &pruned, err);
    for (uint32_t i = 0; !rc && i < g->m.nblocks; i++) {
        struct sblock *sb;
        if (!bit_get(maybe, i))
            continue;
        rc = sblock_open(g, i, &a, &sb, err);
        if (rc)
            break;
        struct block_stats st;
        uint64_t sel[BLOCK_WORDS];
        uint32_t n = 0;
        sblock_stats(sb, &st);
        if (pred_prune(d->what, &st) == PRUNE_MAYBE)
            rc = doomed(d, sblock_block(sb), sel, &n, err);
        *ret += n;
        block_close(sblock_block(sb));
        arena_reset(&a);
    }
    arena_deinit(&a);
    arena_deinit(&found);
    return rc;
}

static int keep_rest(struct deletion *d, struct seg_writer *w, struct seg *g, uint32_t i,
                     struct arena *a, struct rowref *refs, struct err *err)
{
    struct sblock *sb;
    int rc = sblock_open(g, i, a, &sb, err);
    if (rc)
        return rc;
    struct block *b = sblock_block(sb);
    uint64_t sel[BLOCK_WORDS];
    uint32_t n, k = 0;
    rc = doomed(d, b, sel, &n, err);
    for (uint32_t r = 0; r < b->n && !rc; r++)
        if (!bit_get(sel, r))
            refs[k++] = (struct rowref){ b, 0, r };
    if (!rc && k)
        rc = seg_writer_add(w, refs, k, &b, 1, err);
    if (!rc)
        d->deleted += n;
    block_close(b);
    return rc;
}

static int rewrite(struct deletion *d, struct seg *g, struct seg_meta *ret, struct err *err)
{
    struct seg_writer *w = NULL;
    struct rowref *refs = mem_array(BLOCK_ROWS_MAX, sizeof *refs);
    struct arena a;
    arena_init(&a, ARENA_MAX);
    int rc = refs ? seg_writer_new(&w, d->s, g->m.day, 1, err) : err_nomem(err);
    for (uint32_t i = 0; !rc && i < g->m.nblocks; i++) {
        rc = keep_rest(d, w, g, i, &a, refs, err);
        arena_reset(&a);
    }
    if (!rc)
        rc = seg_writer_finish(w, ret, err);
    seg_writer_free(w);
    arena_deinit(&a);
    mem_free(refs);
    return rc;
}

static int delete_in(struct deletion *d, struct seg *g, struct err *err)
{
    uint64_t n;
    int rc = count_segment(d, g, &n, err);
    if (rc || !n)
        return rc;
    uint64_t id = g->m.id;
    struct edit e = { .remove = &id, .nremove = 1, .deleted_rows = n };
    struct seg_meta m;
    if (n == g->m.rows) {
        rc = version_install(d->s, &e, 0, err);
        d->deleted += rc ? 0 : n;
        return rc;
    }
    uint64_t before = d->deleted;
    rc = rewrite(d, g, &m, err);
    e.add = &m;
    e.nadd = 1;
    if (!rc)
        rc = version_install(d->s, &e, 0, err);
    if (rc)
        d->deleted = before;
    return rc;
}

int store_delete(struct store *s, const struct pred *what, bool dry_run, uint64_t *ret_deleted,
                 struct err *err)
{
    struct deletion d = { .s = s, .what = what };
    *ret_deleted = 0;
    if (s->cfg.read_only && !dry_run)
        return err_set(err, ERR_UNSUPPORTED, "the store is open for reading only");
    pthread_mutex_lock(&s->lock);
    d.seq_max = s->watermark;
    pthread_mutex_unlock(&s->lock);
    int rc = 0;
    if (s->cfg.read_only || dry_run) { /* counting alone needs no segment */
        struct scan *sc;
        struct scan_block sb;
        rc = store_scan(s, &(struct scan_plan){ .filter = what, .seq_max = d.seq_max }, &sc, err);
        if (rc)
            return rc;
        while ((rc = scan_next(sc, &sb, err)) == 0)
            *ret_deleted += sb.nsel;
        scan_close(sc);
        return rc < 0 ? rc : 0;
    }
    rc = store_flush(s, err);
    if (!rc)
        rc = pred_run_new(&d.run, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->mlock);
    struct version *v = s->version;
    atomic_fetch_add(&v->refs, 1);
    for (uint32_t i = 0; i < v->n && !rc; i++)
        rc = delete_in(&d, v->v[i], err);
    version_unref(v);
    pthread_mutex_unlock(&s->mlock);
    pred_run_free(d.run);
    *ret_deleted = d.deleted;
    pthread_mutex_lock(&s->lock);
    s->st.deleted_rows += d.deleted;
    pthread_mutex_unlock(&s->lock);
    return rc;
}
