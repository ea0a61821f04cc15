/* delete.c: deletion by lists of rows. docs/decisions/017.
 *
 * The memtable is flushed first, so only segments are looked at. The filter is evaluated once, now:
 * each segment with matching rows gets a new list of its deleted rows (dead.c), one in which every
 * row is deleted leaves the manifest, and a single manifest edit makes all of that true. So a
 * deletion is there as a whole or not at all, also after a crash, and costs reading, not writing.
 * Every reader takes the listed rows out; merge.c rewrites segments without them within
 * `delete_grace_ns`.
 *
 * Merges are kept out meanwhile (merge_lock), so that the segments looked at are those that the
 * edit is about; a flush is not: what it brings is newer than the deletion. */
#include "store/columnar/dead.h"
#include "store/columnar/seg_index.h"

#include <stdlib.h>

struct deletion {
    struct store *s;
    const struct pred *what;
    uint64_t seq_max;
    struct pred_run *run;
    uint64_t deleted;
    struct seg_meta *dead; /* segments with new lists */
    uint32_t ndead;
    uint64_t *gone; /* ids of segments without a live row */
    uint32_t ngone;
};

/* Bitmap of the rows to delete in block i of g. */
static int doomed(struct deletion *d, struct seg *g, uint32_t i, struct block *b, uint64_t *sel,
                  struct err *err)
{
    struct block *view = b;
    uint64_t live[BLOCK_WORDS];
    bits_fill(live, b->n);
    seg_hide_dead(g, i, live);
    int rc = pred_uses_marks(d->what) ? overlay_marks(d->s->late, b, &view, err) : 0;
    if (!rc)
        rc = pred_eval(d->what, view, live, sel, d->run, NULL, err);
    for (uint32_t r = 0; r < b->n && !rc && b->seq_max > d->seq_max; r++) {
        struct val seq;
        rc = block_get_field(b, r, F_SEQ, &seq, err);
        if (!rc && (uint64_t)seq.i > d->seq_max)
            bit_clear(sel, r);
    }
    return rc;
}

static int find_block(struct deletion *d, struct seg *g, uint32_t i, struct dead *list,
                      struct arena *a, uint32_t *ret_new, struct err *err)
{
    struct sblock *sb;
    struct block_stats st;
    uint64_t sel[BLOCK_WORDS];
    *ret_new = 0;
    int rc = sblock_open(g, i, a, &sb, err);
    if (rc)
        return rc;
    sblock_stats(sb, &st);
    if (pred_prune(d->what, &st) == PRUNE_MAYBE) {
        rc = doomed(d, g, i, sblock_block(sb), sel, err);
        if (!rc)
            rc = dead_add(list, i, g->blocks[i].n, sel, ret_new, err);
    }
    block_close(sblock_block(sb));
    return rc;
}

/* The summary of what is left. Blocks without deleted rows give what their statistics say. */
static int sum_rest(struct seg *g, const struct dead *list, struct buf *ret, struct err *err)
{
    struct rollup *sums = rollup_new();
    struct arena a;
    int rc = sums ? 0 : err_nomem(err);
    arena_init(&a, ARENA_MAX);
    for (uint32_t i = 0; i < g->m.nblocks && !rc; i++) {
        uint64_t live[BLOCK_WORDS];
        uint32_t n = g->blocks[i].n;
        struct sblock *sb;
        bits_fill(live, n);
        for (uint32_t w = 0; list->bits[i] && w < BITS_WORDS(n); w++)
            live[w] &= ~list->bits[i][w];
        if (bits_none(live, n))
            continue;
        rc = sblock_open(g, i, &a, &sb, err);
        if (rc)
            break;
        struct block *b = sblock_block(sb);
        rc = list->bits[i] ? rollup_add_rows(sums, b, live, err) : rollup_add_block(sums, b, err);
        block_close(b);
        arena_reset(&a);
    }
    if (!rc)
        rollup_encode(sums, ret);
    arena_deinit(&a);
    rollup_free(sums);
    return rc ? rc : buf_ok(ret) ? 0 : err_nomem(err);
}

static int write_list(struct deletion *d, struct seg *g, const struct dead *list, struct err *err)
{
    struct buf live, out;
    struct seg_meta *m = &d->dead[d->ndead];
    char path[PATH_MAX_STORE];
    buf_init(&live, ARENA_MAX);
    buf_init(&out, ARENA_MAX);
    *m = g->m;
    pthread_mutex_lock(&d->s->mlock);
    m->dead = d->s->mf.next_id++;
    pthread_mutex_unlock(&d->s->mlock);
    m->dead_rows = list->rows;
    m->dead_at = g->m.dead ? g->m.dead_at : d->s->io->ops->now(d->s->io);
    int rc = sum_rest(g, list, &live, err);
    if (!rc) {
        dead_encode(list, g, m->dead, buf_str(&live), &out);
        rc = buf_ok(&out) ? 0 : err_nomem(err);
    }
    dead_path(m, path);
    if (!rc)
        rc = io_write_file(d->s->io, path, buf_str(&out), err);
    d->ndead += rc == 0;
    buf_deinit(&live);
    buf_deinit(&out);
    return rc;
}

/* Rows already deleted stay in the new list. */
static int copy_list(struct dead *list, const struct seg *g, struct err *err)
{
    uint32_t n;
    int rc = 0;
    for (uint32_t i = 0; g->dead_list && i < g->m.nblocks && !rc; i++)
        if (g->dead_list->bits[i])
            rc = dead_add(list, i, g->blocks[i].n, g->dead_list->bits[i], &n, err);
    return rc;
}

static int delete_in(struct deletion *d, struct seg *g, struct err *err)
{
    struct dead *list = NULL;
    struct arena a;
    uint64_t found = 0;
    int rc = g->m.seq_min > d->seq_max ? 1 : seg_open(g, err);
    if (rc)
        return rc == 1 ? 0 : rc;
    arena_init(&a, ARENA_MAX);
    rc = dead_new(&list, g->m.nblocks, err);
    if (!rc)
        rc = copy_list(list, g, err);
    for (uint32_t i = 0; !rc && i < g->m.nblocks; i++) {
        uint32_t n;
        rc = find_block(d, g, i, list, &a, &n, err);
        found += n;
        arena_reset(&a);
    }
    arena_deinit(&a);
    if (!rc && found && list->rows == g->m.rows)
        d->gone[d->ngone++] = g->m.id;
    else if (!rc && found)
        rc = write_list(d, g, list, err);
    d->deleted += rc ? 0 : found;
    dead_free(list);
    return rc;
}

static void forget_lists(struct deletion *d)
{
    for (uint32_t i = 0; i < d->ndead; i++) {
        char path[PATH_MAX_STORE];
        struct err e = ERR_INIT;
        dead_path(&d->dead[i], path);
        d->s->io->ops->unlink(d->s->io, path, &e); /* else the next start removes it */
    }
    d->ndead = 0;
}

/* Whole segments may have been retired since they were looked at. */
static bool still_there(const struct store *s, const struct version *v)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        while (k < s->version->n && s->version->v[k] != v->v[i])
            k++;
        if (k == s->version->n)
            return false;
    }
    return true;
}

/* One go; *ret_again when segments went away meanwhile and nothing was done. */
static int delete_once(struct deletion *d, bool *ret_again, struct err *err)
{
    struct store *s = d->s;
    *ret_again = false;
    d->deleted = 0;
    d->ndead = d->ngone = 0;
    pthread_mutex_lock(&s->lock);
    struct version *v = s->version;
    atomic_fetch_add(&v->refs, 1);
    pthread_mutex_unlock(&s->lock);
    d->dead = mem_zarray(v->n + 1, sizeof *d->dead);
    d->gone = mem_array(v->n + 1, sizeof *d->gone);
    int rc = d->dead && d->gone ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < v->n && !rc; i++)
        rc = delete_in(d, v->v[i], err);
    pthread_mutex_lock(&s->mlock);
    *ret_again = !rc && !still_there(s, v);
    if (rc || *ret_again)
        forget_lists(d);
    else if (d->deleted)
        rc = version_install(s,
                             &(struct edit){ .remove = d->gone,
                                             .nremove = d->ngone,
                                             .dead = d->dead,
                                             .ndead = d->ndead,
                                             .deleted_rows = d->deleted },
                             0, err);
    pthread_mutex_unlock(&s->mlock);
    version_unref(v);
    mem_free(d->dead);
    mem_free(d->gone);
    return rc;
}

/* Merges give way: go_on in merge.c. */
static void keep_merges_out(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    s->deletes_waiting++;
    pthread_cond_broadcast(&s->flush_cond);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->merge_lock);
    pthread_mutex_lock(&s->lock);
    s->deletes_waiting--;
    pthread_mutex_unlock(&s->lock);
}

static int count_only(struct store *s, const struct pred *what, uint64_t seq_max, uint64_t *ret,
                      struct err *err)
{
    struct scan *sc;
    struct scan_block sb;
    int rc = store_scan(s, &(struct scan_plan){ .filter = what, .seq_max = seq_max }, &sc, err);
    if (rc)
        return rc;
    while ((rc = scan_next(sc, &sb, err)) == 0)
        *ret += sb.nsel;
    scan_close(sc);
    return rc < 0 ? rc : 0;
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
    if (dry_run)
        return count_only(s, what, d.seq_max, ret_deleted, err);
    int rc = store_flush(s, err);
    if (!rc)
        rc = pred_run_new(&d.run, err);
    if (rc)
        return rc;
    bool again = true;
    keep_merges_out(s);
    while (again && !rc)
        rc = delete_once(&d, &again, err);
    pthread_mutex_unlock(&s->merge_lock);
    pred_run_free(d.run);
    if (rc)
        return rc;
    *ret_deleted = d.deleted;
    pthread_mutex_lock(&s->lock);
    s->st.deleted_rows += d.deleted;
    s->merge_wanted = true; /* one may have given way */
    pthread_cond_signal(&s->merge_cond);
    pthread_mutex_unlock(&s->lock);
    return 0;
}
