/* scrub.c: reading what nobody asks for, so that damage is known while a copy elsewhere exists.
 *
 *   due -> segment by segment: footer, block by block, indexes -> due again
 *
 * A segment is opened afresh, past what readers keep of it and past the system's cache, so that the
 * bytes are those of the disk. The thread that merges does this between merges and paces it. */
#include "store/columnar/scrub.h"

#include "base/log.h"
#include "store/columnar/seg_index.h"

#define SAVE_BYTES (64u << 20) /* read between two notes of where the round is */

struct scrub {
    pthread_mutex_t lock; /* one step at a time; taken before all others */
    struct seg *g;        /* the segment in hand, so that its files stay; NULL: none */
    struct seg *fresh;    /* the same, opened for this */
    uint32_t block;
    uint64_t unsaved; /* bytes read since the last note */
};

struct scrub *scrub_new(void)
{
    struct scrub *x = mem_zalloc(sizeof *x);
    if (x)
        pthread_mutex_init(&x->lock, NULL);
    return x;
}

static void put_down(struct scrub *x)
{
    seg_unref(x->fresh);
    seg_unref(x->g);
    x->fresh = x->g = NULL;
    x->block = 0;
}

void scrub_free(struct scrub *x)
{
    if (!x)
        return;
    put_down(x);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

/* ---- where it is ---- */

static struct store_scrub state_of(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    struct store_scrub st = s->st.scrub;
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void set_state(struct store *s, const struct store_scrub *st)
{
    pthread_mutex_lock(&s->lock);
    s->st.scrub = *st;
    pthread_mutex_unlock(&s->lock);
}

static int save(struct store *s, const struct store_scrub *st, struct err *err)
{
    pthread_mutex_lock(&s->mlock);
    int rc = manifest_note(s, &(struct edit){ .scrub = st }, err);
    pthread_mutex_unlock(&s->mlock);
    if (!rc) {
        set_state(s, st);
        s->scrub->unsaved = 0;
    }
    return rc;
}

/* Was something neither written nor read for so long? *ret_end: an id above all segments'. */
static bool due(struct store *s, const struct store_scrub *st, uint64_t *ret_end)
{
    ts_ns now = s->io->ops->now(s->io), oldest = TS_MAX;
    *ret_end = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->version->n; i++) {
        const struct seg_meta *m = &s->version->v[i]->m;
        oldest = m->recv_max < oldest ? m->recv_max : oldest;
        *ret_end = m->id >= *ret_end ? m->id + 1 : *ret_end;
    }
    pthread_mutex_unlock(&s->lock);
    bool counts = st->started <= now; /* a clock that was wrong puts nothing off */
    ts_ns since = counts && st->started > oldest ? st->started : oldest;
    return *ret_end && now >= since && now - since >= SCRUB_EVERY;
}

/* The segment of the round with the lowest id above `after`, referenced; NULL: none is left. */
static struct seg *next_segment(struct store *s, const struct store_scrub *st)
{
    struct seg *next = NULL;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->version->n; i++) {
        struct seg *g = s->version->v[i];
        if (g->m.id > st->after && g->m.id < st->end && (!next || g->m.id < next->m.id))
            next = g;
    }
    if (next)
        seg_ref(next);
    pthread_mutex_unlock(&s->lock);
    return next;
}

/* ---- reading ---- */

/* Damage is told and counted, other failures are the caller's. */
static int judge(struct store *s, struct store_scrub *st, int rc, struct err *err)
{
    if (rc != ERR_CORRUPT && rc != ERR_IO && rc != ERR_NOTFOUND)
        return rc;
    st->problems++;
    pthread_mutex_lock(&s->lock);
    s->st.corruptions++;
    pthread_mutex_unlock(&s->lock);
    store_event(s, LOG_ERROR, "scrub: %s", err->msg);
    err_reset(err);
    return 0;
}

static int open_fresh(struct store *s, struct scrub *x, struct err *err)
{
    x->fresh = seg_new(s, &x->g->m);
    if (!x->fresh)
        return err_nomem(err);
    int rc = seg_open(x->fresh, err);
    if (!rc)
        x->fresh->f->io->ops->drop_cache(x->fresh->f);
    return rc;
}

static int check_block(struct scrub *x, struct err *err)
{
    struct verify_report rep = { 0 };
    struct sblock *sb;
    struct arena a;
    arena_init(&a, ARENA_MAX);
    int rc = sblock_open(x->fresh, x->block, &a, &sb, err);
    if (!rc) {
        rc = sblock_verify(sb, &rep, err);
        block_close(sblock_block(sb));
    }
    arena_deinit(&a);
    return rc;
}

/* Opens the segment in hand, checks a block of it, or, at last, its indexes. *ret_done: that was
 * all; *ret_bytes: a share of the file's. */
static int check_some(struct scrub *x, bool *ret_done, uint64_t *ret_bytes, struct err *err)
{
    const struct seg_meta *m = &x->g->m;
    uint64_t share = m->bytes / (m->nblocks + 1);
    int rc;
    if (!x->fresh) {
        rc = open_fresh(x->g->s, x, err);
        *ret_done = rc != 0;
    } else if (x->block < m->nblocks) {
        rc = check_block(x, err);
        x->block += rc != ERR_NOMEM;
        *ret_bytes = share;
    } else {
        rc = seg_index_verify(x->fresh, err);
        *ret_done = rc != ERR_NOMEM;
        *ret_bytes = m->bytes - share * m->nblocks;
    }
    return rc;
}

/* ---- a step ---- */

static int begin(struct store *s, struct store_scrub *st, uint64_t end, struct err *err)
{
    st->started = s->io->ops->now(s->io);
    st->running = true;
    st->after = st->bytes = st->problems = 0;
    st->end = end;
    return save(s, st, err);
}

static int finish(struct store *s, struct store_scrub *st, struct err *err)
{
    st->finished = s->io->ops->now(s->io);
    st->running = false;
    st->last_bytes = st->bytes;
    st->last_problems = st->problems;
    int rc = save(s, st, err);
    if (!rc)
        store_event(s, st->problems ? LOG_ERROR : LOG_INFO,
                    "scrub: %llu bytes of segments were read again: %llu problems",
                    (unsigned long long)st->bytes, (unsigned long long)st->problems);
    return rc;
}

static int go_on(struct store *s, struct scrub *x, struct store_scrub *st, uint64_t *ret_bytes,
                 struct err *err)
{
    bool done = false;
    uint64_t before = st->problems;
    int rc = judge(s, st, check_some(x, &done, ret_bytes, err), err);
    if (rc) {
        put_down(x); /* from its beginning, later */
        return rc;
    }
    st->bytes += *ret_bytes;
    x->unsaved += *ret_bytes;
    if (done) {
        st->after = x->g->m.id;
        put_down(x);
    }
    set_state(s, st);
    return done && (x->unsaved >= SAVE_BYTES || st->problems > before) ? save(s, st, err) : 0;
}

static int step(struct store *s, struct scrub *x, uint64_t *ret_bytes, bool *ret_more,
                struct err *err)
{
    struct store_scrub st = state_of(s);
    uint64_t end;
    if (!st.running && !due(s, &st, &end))
        return 0;
    *ret_more = true;
    if (!st.running)
        return begin(s, &st, end, err);
    if (!x->g)
        x->g = next_segment(s, &st);
    if (x->g)
        return go_on(s, x, &st, ret_bytes, err);
    *ret_more = false;
    return finish(s, &st, err);
}

int scrub_step(struct store *s, uint64_t *ret_bytes, bool *ret_more, struct err *err)
{
    *ret_bytes = 0;
    *ret_more = false;
    pthread_mutex_lock(&s->scrub->lock);
    int rc = step(s, s->scrub, ret_bytes, ret_more, err);
    pthread_mutex_unlock(&s->scrub->lock);
    return rc;
}
