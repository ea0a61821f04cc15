/* merge.c: which segments are merged, and when. One thread, beside the one that flushes.
 *
 * A partition is a day of receipt and a class; only neighbours of one partition in order of seq are
 * joined, so ranges of seq in it stay disjoint.
 *
 *   full blocks of a flush  --copied, tier by tier-->  merged, up to ROWS_MAX
 *   small ones  --sorted anew, level MERGE-->  merged
 *   a day that is over  --sorted anew, level PACK, once-->  packed
 *   one with deleted rows  --written without them within the grace-->  as above
 *
 * A merge takes TIER neighbours of a size, or what fills a segment. Full blocks are copied as
 * bytes; only where segments hold less than a block's worth of rows, which is where little comes
 * in, they are decoded and sorted anew. So under load a row is encoded twice in its life (flush,
 * pack), and copied at most log_TIER(ROWS_MAX / rows of a flush) times, which is 3 (decision 023).
 *
 * Who yields to whom: the thread runs at a lower priority than those of ingest and queries, waits
 * while a memtable is being flushed as long as few segments are behind, and holds no lock while it
 * works. What it read may be deleted or retired meanwhile: then its result is thrown away. */
#include "store/columnar/merge.h"
#include "store/columnar/scrub.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define TIER 8                       /* neighbours of like size that make a merge worthwhile */
#define ROWS_MAX (4u << 20)          /* rows of a merged segment */
#define INPUTS_MAX 64                /* segments that one merge joins */
#define FULL_ROWS 4096               /* blocks on average this full ... */
#define FULL_BYTES (256u << 10)      /* ... or this large, are not filled anew */
#define BEHIND_MAX 48                /* with more unmerged segments a flush is not waited for */
#define LEVEL_MERGE 3                /* of zstd */
#define LEVEL_PACK 9                 /* of zstd, for days that are over */
#define PACK_DELAY (3600 * NS_PER_S) /* after the end of a day */
#define NICE 5                       /* lower priority than threads that somebody waits for */
#define IDLE_S 30
#define SPACE_MARGIN (64u << 20) /* bytes free beyond the reserve and the merge's own */

struct run { /* neighbours of one partition */
    struct seg *v[INPUTS_MAX];
    uint32_t n;
    uint32_t pass; /* what they become */
};

/* ---- which ---- */

/* Size class of a segment: neighbours of one class are worth joining. */
static unsigned size_class(uint64_t rows)
{
    unsigned c = 0;
    for (uint64_t r = rows; r > 8192; r /= TIER)
        c++;
    return c;
}

/* Enough neighbours of a size, or few that fill a segment; never a large one again and again for
 * the sake of small ones behind it. */
static bool worthwhile(uint32_t n, uint64_t rows, uint64_t largest)
{
    return (n >= TIER && largest <= rows / 2) ||
           (rows >= ROWS_MAX / 4 * 3 && largest <= rows / 3 * 2);
}

static bool mergeable(const struct seg *g)
{
    return !g->broken && !atomic_load(&g->unmergeable);
}

static bool same_partition(const struct seg *a, const struct seg *b)
{
    return a->m.day == b->m.day && a->m.cls == b->m.cls;
}

enum aim { AIM_TIERS, AIM_ALL, AIM_PACK, AIM_CLEAN };

/* Are rows of it deleted and to go from the disk by now? Half of the grace is for the work. */
static bool clean_due(const struct store *s, const struct seg *g, bool all, ts_ns now)
{
    return g->m.dead && mergeable(g) && (all || now - g->m.dead_at >= s->cfg.delete_grace_ns / 2);
}

/* May `g` go on a run that begins with `first`? */
static bool joins(enum aim aim, const struct seg *first, const struct seg *g)
{
    if (!mergeable(g))
        return false;
    if (aim == AIM_PACK)
        return g->m.pass < PASS_PACKED;
    return aim != AIM_TIERS || size_class(g->m.rows) <= size_class(first->m.rows);
}

/* The run that begins at v[i]; false: it is not worth it. */
static bool run_from(const struct version *v, uint32_t i, enum aim aim, struct run *ret)
{
    uint64_t rows = 0, largest = 0;
    struct seg *first = v->v[i];
    ret->n = 0;
    uint32_t most = aim == AIM_CLEAN ? 1 : INPUTS_MAX;
    for (uint32_t k = i; k < v->n && ret->n < most; k++) {
        struct seg *g = v->v[k];
        if (!same_partition(first, g))
            continue;
        if (!joins(aim, first, g) || (ret->n && rows + g->m.rows > ROWS_MAX))
            break;
        ret->v[ret->n++] = g;
        rows += g->m.rows;
        largest = g->m.rows > largest ? g->m.rows : largest;
    }
    if (aim == AIM_TIERS)
        return worthwhile(ret->n, rows, largest);
    return ret->n >= (aim == AIM_ALL ? 2 : 1);
}

static bool pick(const struct store *s, const struct version *v, bool all, ts_ns now,
                 struct run *ret)
{
    int64_t open_day = day_of(now - PACK_DELAY);
    for (uint32_t i = 0; i < v->n; i++) {
        bool over = v->v[i]->m.day < open_day;
        enum aim aim = all ? AIM_ALL : over ? AIM_PACK : AIM_TIERS;
        ret->pass = over ? PASS_PACKED : PASS_MERGED;
        if (run_from(v, i, aim, ret) ||
            (clean_due(s, v->v[i], all, now) && run_from(v, i, AIM_CLEAN, ret)))
            return true;
    }
    return false;
}

/* ---- how ---- */

/* Waits while a memtable is being flushed, unless much is unmerged or the flush is stuck. Ends the
 * merge for the sake of a deletion, and when the store is closed. */
static int go_on(void *ctx, struct err *err)
{
    struct store *s = ctx;
    pthread_mutex_lock(&s->lock);
    uint32_t behind = 0;
    for (uint32_t i = 0; i < s->version->n; i++)
        behind += s->version->v[i]->m.pass == PASS_FLUSHED;
    while (s->frozen && !s->flush_failed && !s->bg_stop && !s->deletes_waiting &&
           behind < BEHIND_MAX)
        pthread_cond_wait(&s->flush_cond, &s->lock);
    bool stop = s->bg_stop || s->deletes_waiting;
    pthread_mutex_unlock(&s->lock);
    return stop ? err_set(err, ERR_CANCELED, "the merge gives way") : 0;
}

/* Are its blocks as good as they would be written anew? All or none of a segment's blocks are
 * copied, since its summary is taken over as a whole. */
static bool copies_well(const struct seg *g, uint32_t pass)
{
    return (g->m.pass >= pass || pass == PASS_MERGED) && !g->m.dead &&
           (g->m.rows / g->m.nblocks >= FULL_ROWS || g->m.bytes / g->m.nblocks >= FULL_BYTES);
}

static int copy_segment(struct merge_sort *m, struct seg *g, struct err *err)
{
    int rc = seg_open(g, err);
    for (uint32_t i = 0; i < g->m.nblocks && !rc; i++) {
        rc = seg_writer_copy(m->w, g, i, err);
        m->failed = rc ? g : NULL;
        if (!rc)
            rc = m->go_on(m->ctx, err);
    }
    return rc ? rc : seg_writer_rollup(m->w, g, err);
}

static int write_run(struct merge_sort *m, const struct run *r, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < r->n && !rc;) {
        uint32_t n = 0;
        while (i + n < r->n && !copies_well(r->v[i + n], r->pass))
            n++;
        rc = n ? merge_sort(m, r->v + i, n, err) : copy_segment(m, r->v[i], err);
        i += n ? n : 1;
    }
    return rc;
}

/* Puts the result in the place of what it was made from, unless some of that has gone meanwhile. */
static int replace(struct store *s, const struct run *r, const struct seg_meta *m, bool *ret_did,
                   struct err *err)
{
    uint64_t ids[INPUTS_MAX];
    uint32_t there = 0;
    for (uint32_t i = 0; i < r->n; i++)
        ids[i] = r->v[i]->m.id;
    pthread_mutex_lock(&s->mlock);
    for (uint32_t i = 0; i < s->version->n; i++)
        for (uint32_t k = 0; k < r->n; k++)
            there += s->version->v[i] == r->v[k];
    int rc = 0;
    if (there == r->n) {
        rc = version_install(
            s, &(struct edit){ .add = m, .nadd = 1, .remove = ids, .nremove = r->n }, 0, err);
        *ret_did = rc == 0;
    } else {
        segments_unlink(s, m, 1);
    }
    pthread_mutex_unlock(&s->mlock);
    return rc;
}

static int merge_run(struct store *s, const struct run *r, bool *ret_did, struct err *err)
{
    struct merge_sort m = { .go_on = go_on, .ctx = s };
    struct seg_meta meta;
    int level = r->pass == PASS_PACKED ? LEVEL_PACK : LEVEL_MERGE;
    pthread_mutex_lock(&s->mlock); /* for the new segment's number */
    int rc = seg_writer_new(&m.w, s, r->v[0]->m.day, r->v[0]->m.cls, level, err);
    pthread_mutex_unlock(&s->mlock);
    if (rc)
        return rc;
    rc = write_run(&m, r, err);
    if (!rc)
        rc = seg_writer_finish(m.w, &meta, err);
    seg_writer_free(m.w);
    meta.pass = r->pass;
    if (!rc)
        rc = replace(s, r, &meta, ret_did, err);
    if (rc == ERR_CORRUPT && m.failed)
        atomic_store(&m.failed->unmergeable, true);
    return rc;
}

/* Is there room for the result beside its inputs and the reserve? Told once when there is not. */
static bool space_for(struct store *s, const struct run *r)
{
    uint64_t need = SPACE_MARGIN, avail, total;
    struct err e = ERR_INIT;
    for (uint32_t i = 0; i < r->n; i++)
        need += r->v[i]->m.bytes;
    bool fits = s->io->ops->free_space(s->io, &avail, &total, &e) != 0 ||
                avail > need + store_reserve(s, total);
    if (!fits && !s->merge_postponed)
        store_event(s, LOG_WARN, "merge postponed: it needs %llu MiB beyond the disk reserve",
                    (unsigned long long)(need >> 20));
    s->merge_postponed = !fits;
    return fits;
}

int merge_some(struct store *s, bool all, bool *ret_did, struct err *err)
{
    struct run r;
    int rc = 0;
    *ret_did = false;
    pthread_mutex_lock(&s->merge_lock);
    pthread_mutex_lock(&s->lock);
    struct version *v = s->version; /* kept, since others replace it meanwhile */
    atomic_fetch_add(&v->refs, 1);
    pthread_mutex_unlock(&s->lock);
    if (pick(s, v, all, s->io->ops->now(s->io), &r) && space_for(s, &r))
        rc = merge_run(s, &r, ret_did, err);
    version_unref(v);
    pthread_mutex_unlock(&s->merge_lock);
    if (*ret_did) {
        pthread_mutex_lock(&s->lock);
        s->st.merges++;
        pthread_mutex_unlock(&s->lock);
    }
    return rc;
}

/* ---- the thread ---- */

/* Until the segments are others, or for so long: a day may be over by then. False: stop. */
static bool wait_for_work(struct store *s, bool failed, int64_t wait)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    wait = (failed ? NS_PER_S : wait) + until.tv_nsec;
    until.tv_sec += wait / NS_PER_S;
    until.tv_nsec = wait % NS_PER_S;
    pthread_mutex_lock(&s->lock);
    int late = 0;
    while (!s->bg_stop && (!s->merge_wanted || failed) && !late)
        late = pthread_cond_timedwait(&s->merge_cond, &s->lock, &until);
    s->merge_wanted = false;
    bool stop = s->bg_stop;
    pthread_mutex_unlock(&s->lock);
    return !stop;
}

/* A step of reading again, unless a flush is under way. How long until the next: what was read must
 * not take a larger share of the disk than it may. */
static int64_t scrub(struct store *s)
{
    uint64_t bytes, rate = s->cfg.scrub_bytes_s;
    struct err err = ERR_INIT;
    bool more;
    pthread_mutex_lock(&s->lock);
    bool busy = s->frozen || s->deletes_waiting || s->st.writer_failed;
    pthread_mutex_unlock(&s->lock);
    if (!rate)
        return IDLE_S * NS_PER_S;
    if (busy)
        return NS_PER_S;
    int rc = scrub_step(s, &bytes, &more, &err);
    if (rc)
        store_event(s, LOG_WARN, "scrub: %s; trying again", err.msg);
    if (rc || !more)
        return IDLE_S * NS_PER_S;
    double wait = (double)bytes / (double)rate;
    return wait < IDLE_S ? (int64_t)(wait * (double)NS_PER_S) : IDLE_S * NS_PER_S;
}

void *merge_main(void *arg)
{
    struct store *s = arg;
    bool failed = false;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread; when it fails, well */
    int64_t wait = IDLE_S * NS_PER_S;
    int64_t scrub_at = s->io->ops->mono(s->io) + wait;
    while (wait_for_work(s, failed, wait)) {
        bool did = true;
        failed = false;
        while (did && !failed) {
            struct err err = ERR_INIT;
            int rc = merge_some(s, false, &did, &err);
            failed = rc && rc != ERR_CANCELED;
            if (failed)
                store_event(s, LOG_WARN, "merge: %s; trying again", err.msg);
        }
        wait = scrub_at - s->io->ops->mono(s->io);
        if (wait <= 0) { /* else merges only came between */
            wait = scrub(s);
            scrub_at = s->io->ops->mono(s->io) + wait;
        }
    }
    return NULL;
}
