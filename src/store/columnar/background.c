/* background.c: what happens behind the writer's back: flush (flush.c), joining small chunks,
 * retention. One thread; every step takes mlock, publishes through the manifest, then swaps the
 * version. Merging has a thread of its own (merge.c), so that a flush never waits for it.
 *
 * Order of publication (each step synced before the next): segment files, their directory, the
 * manifest record, and only then WAL files are removed. Order of deletion: manifest first, then the
 * file. */
#include "store/columnar/classes.h"
#include "store/columnar/impl.h"
#include "store/columnar/pcache.h"
#include "store/columnar/dead.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"

#define IDLE_S 30
#define CACHE_TICK_S 5   /* pages unused for two of them are dropped */
#define TELL_NS NS_PER_S /* until the log says that its last group was durable */

/* ---- publishing ---- */

void segments_unlink(struct store *s, const struct seg_meta *metas, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char path[PATH_MAX_STORE];
        struct err e = ERR_INIT;
        seg_path(&metas[i], path);
        s->io->ops->unlink(s->io, path, &e);
    }
}

static bool listed(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* What an edit brings: objects for its segments, made before anything is on disk. */
struct news {
    struct seg **fresh; /* e->nadd, then e->ndead of them */
    struct version *v;
    struct memtable *into;
    uint64_t came, gone, removed;
};

static void news_free(struct news *w, const struct edit *e)
{
    for (uint32_t i = 0; w->fresh && i < e->nadd + e->ndead; i++)
        seg_unref(w->fresh[i]);
    mem_free(w->fresh);
    mem_free(w->v);
    memtable_free(w->into);
}

static struct seg *seg_by_id(const struct version *v, uint64_t id)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->v[i]->m.id == id)
            return v->v[i];
    return NULL;
}

static int news_make(struct news *w, struct store *s, const struct edit *e, uint32_t flushed,
                     struct err *err)
{
    *w = (struct news){ .v = version_new(s->version->n + e->nadd),
                        .fresh = mem_zarray(e->nadd + e->ndead + 1, sizeof(struct seg *)),
                        .into = memtable_new() };
    bool ok = w->v && w->fresh && w->into && memtable_reserve(w->into, flushed);
    for (uint32_t i = 0; i < e->nadd && ok; i++)
        ok = (w->fresh[i] = seg_new(s, &e->add[i])) != NULL;
    for (uint32_t i = 0; i < e->ndead && ok; i++) {
        struct seg *g = seg_by_id(s->version, e->dead[i].id); /* its caller has looked */
        ok = (w->fresh[e->nadd + i] = seg_renew(g, &e->dead[i])) != NULL;
    }
    return ok ? 0 : err_nomem(err);
}

static uint64_t live_rows(const struct seg *g)
{
    return g->m.rows - g->m.dead_rows;
}

/* The new version: what stays, renewed where rows were deleted, and what came. */
static void news_fill(struct news *w, const struct version *old, const struct edit *e)
{
    struct version *v = w->v;
    v->n = 0;
    for (uint32_t i = 0; i < old->n; i++) {
        struct seg *g = old->v[i], *now = g;
        if (listed(e->remove, e->nremove, g->m.id)) {
            atomic_store(&g->dead, true);
            w->gone += live_rows(g);
            w->removed++;
            continue;
        }
        for (uint32_t k = 0; k < e->ndead; k++)
            if (e->dead[k].id == g->m.id) {
                now = w->fresh[e->nadd + k];
                w->fresh[e->nadd + k] = NULL; /* the version's now */
                w->gone += live_rows(g) - live_rows(now);
                atomic_store(&g->old, true);
            }
        if (now == g)
            seg_ref(g);
        v->v[v->n++] = now;
    }
    for (uint32_t i = 0; i < e->nadd; i++) {
        uint32_t k = v->n++;
        for (; k > 0 && v->v[k - 1]->m.seq_min > w->fresh[i]->m.seq_min; k--)
            v->v[k] = v->v[k - 1];
        v->v[k] = w->fresh[i];
        w->came += live_rows(w->fresh[i]);
        w->fresh[i] = NULL;
    }
}

static void dead_unlink(struct store *s, const struct seg_meta *metas, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char path[PATH_MAX_STORE];
        struct err e = ERR_INIT;
        dead_path(&metas[i], path);
        s->io->ops->unlink(s->io, path, &e);
    }
}

/* Manifest edit, then the same change to the version readers get; on failure the added files are
 * gone, or left for the next start to judge where the edit may be on disk. The first
 * `flushed` chunks of the frozen memtable, whose rows the added segments hold, go in the same step:
 * no row is seen twice or not at all. */
int version_install(struct store *s, const struct edit *e, uint32_t flushed, struct err *err)
{
    struct version *old = s->version; /* only mlock holders replace it */
    struct memtable *from = NULL;
    struct news w;
    bool doubtful = false;
    int rc = news_make(&w, s, e, flushed, err);
    if (!rc)
        rc = manifest_edit(s, e, &doubtful, err);
    if (rc) {
        if (!doubtful) {
            segments_unlink(s, e->add, e->nadd);
            dead_unlink(s, e->dead, e->ndead);
        }
        news_free(&w, e);
        return rc;
    }
    news_fill(&w, old, e);
    pthread_mutex_lock(&s->lock);
    s->version = w.v;
    w.v = NULL;
    if (flushed) {
        memtable_move(s->frozen, flushed, w.into);
        if (!s->frozen->n) {
            from = s->frozen;
            s->frozen = NULL;
        }
        pthread_cond_broadcast(&s->flush_cond);
    } else {
        s->counted_entries += w.came;
    }
    s->counted_entries -= w.gone;
    s->st.retired_segments += w.removed;
    s->merge_wanted = true;
    pthread_cond_signal(&s->merge_cond);
    pthread_mutex_unlock(&s->lock);
    version_unref(old);
    memtable_free(from);
    news_free(&w, e);
    return 0;
}

/* ---- joining ---- */

/* Replaces the small chunks at hand by joined ones; those that arrive meanwhile stay behind them.
 */
static int join_active(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    struct memtable *m = s->active;
    uint32_t n = m->n;
    struct chunk **v = mem_array(n ? n : 1, sizeof *v);
    for (uint32_t i = 0; v && i < n; i++)
        chunk_ref(v[i] = m->v[i]);
    pthread_mutex_unlock(&s->lock);
    if (!v)
        return err_nomem(err);
    struct chunk **joined = NULL;
    uint32_t k = 0;
    int rc = chunks_join(v, n, &joined, &k, err);
    pthread_mutex_lock(&s->lock);
    if (!rc && s->active == m &&
        k < n) { /* the writer only appends, so v[0..n) is still its start */
        size_t bytes = 0;
        uint32_t small = 0, tail = m->n - n;
        for (uint32_t i = 0; i < n; i++)
            chunk_unref(m->v[i]);
        memmove(m->v + k, m->v + n, tail * sizeof *m->v);
        memcpy(m->v, joined, k * sizeof *joined);
        m->n = k + tail;
        for (uint32_t i = 0; i < m->n; i++) {
            bytes += chunk_bytes(m->v[i]);
            small += m->v[i]->rows < SMALL_CHUNK_ROWS && i >= k;
        }
        m->bytes = bytes;
        m->small = small;
        k = 0; /* moved */
    }
    pthread_mutex_unlock(&s->lock);
    for (uint32_t i = 0; i < k; i++)
        chunk_unref(joined[i]);
    for (uint32_t i = 0; i < n; i++)
        chunk_unref(v[i]);
    mem_free(joined);
    mem_free(v);
    return rc;
}

/* ---- retention ---- */

static int retire(struct store *s, const uint64_t *ids, uint32_t n, uint64_t rows, const char *why,
                  struct err *err)
{
    int rc = n ? version_install(s, &(struct edit){ .remove = ids, .nremove = n }, 0, err) : 0;
    if (!rc && n)
        store_event(s, LOG_INFO, "retention: %u segments with %llu entries removed (%s)", n,
                    (unsigned long long)rows, why);
    return rc;
}

/* Is all of a segment's day past what its class is kept for? */
static bool too_old(const struct store *s, const struct seg_meta *m, int64_t today,
                    int64_t default_keep)
{
    int64_t keep = class_keep(s, m->cls, default_keep);
    return keep && m->day < today - (keep / NS_PER_DAY + (keep % NS_PER_DAY != 0));
}

int retention_apply(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    int64_t keep = s->cfg.retention_ns;
    uint64_t max = s->cfg.max_disk_bytes;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->mlock);
    struct version *v = s->version;
    uint64_t *ids = mem_array(v->n + 1, sizeof *ids), rows = 0, bytes = 0;
    uint32_t n = 0;
    int rc = ids ? 0 : err_nomem(err);
    int64_t today = day_of(s->io->ops->now(s->io));
    for (uint32_t i = 0; i < v->n && !rc; i++)
        if (too_old(s, &v->v[i]->m, today, keep)) {
            ids[n++] = v->v[i]->m.id;
            rows += live_rows(v->v[i]);
        }
    if (!rc)
        rc = retire(s, ids, n, rows, "age", err);
    v = s->version;
    for (uint32_t i = 0; i < v->n; i++)
        bytes += v->v[i]->m.bytes;
    n = 0;
    rows = 0;
    for (uint32_t i = 0; i < v->n && !rc && max && bytes > max;
         i++) { /* oldest first, of whatever class */
        bytes -= v->v[i]->m.bytes;
        rows += live_rows(v->v[i]);
        ids[n++] = v->v[i]->m.id;
    }
    if (!rc)
        rc = retire(s, ids, n, rows, "size", err);
    pthread_mutex_unlock(&s->mlock);
    mem_free(ids);
    return rc;
}

/* ---- the thread ---- */

static void step(struct store *s, const char *what, int rc, const struct err *err, bool *ret_failed)
{
    if (!rc)
        return;
    *ret_failed = true;
    store_event(s, LOG_WARN, "%s: %s; trying again", what, err->msg);
}

void *background_main(void *arg)
{
    struct store *s = arg;
    bool failed = false;
    ts_ns retention_at = 0;
    int64_t ticked = s->io->ops->mono(s->io);
    for (;;) {
        pthread_mutex_lock(&s->lock);
        if (!s->bg_stop && !s->bg_wanted && (!s->frozen || failed)) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += failed || s->wal_untold || s->st.disk_full ? 1
                            : pcache_bytes(s->pages)                   ? CACHE_TICK_S
                                                                       : IDLE_S;
            pthread_cond_timedwait(&s->bg_cond, &s->lock, &until);
        }
        bool tell = s->wal_untold && s->io->ops->mono(s->io) - s->untold_since >= TELL_NS;
        bool full = s->st.disk_full, stop = s->bg_stop, frozen = s->frozen != NULL,
             join = s->bg_wanted;
        s->bg_wanted = false;
        pthread_mutex_unlock(&s->lock);
        if (stop)
            return NULL;
        struct err err = ERR_INIT;
        failed = false;
        if (tell)
            writer_tell(s, &err); /* when it fails, the log's own trouble is told elsewhere */
        err_reset(&err);
        if (full)
            writer_space_again(s);
        if (frozen)
            step(s, "flush", flush_frozen(s, &err), &err, &failed);
        if (join)
            step(s, "join", join_active(s, &err), &err, &failed);
        int64_t mono = s->io->ops->mono(s->io);
        if (mono - ticked >= CACHE_TICK_S * NS_PER_S) {
            pcache_tick(s->pages);
            ticked = mono;
        }
        ts_ns now = s->io->ops->now(s->io);
        if (now >= retention_at || frozen) {
            step(s, "retention", retention_apply(s, &err), &err, &failed);
            retention_at = now + 60 * NS_PER_S;
        }
    }
}
