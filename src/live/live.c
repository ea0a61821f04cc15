/* live.c: the matcher thread, the subscribers' queues, and the way from history to live.
 *
 *   writer thread --copy--> jobs (bounded) --matcher--> queue of each subscriber --live_take-->
 * reader store_scan ----------^ (history, in slices)
 *
 * A subscriber is in one of three modes:
 *
 *   LIVE   the matcher appends to the queue; full: the entry is dropped and counted
 *   LAST   history is being read and the matcher appends already. When a slice reaches the scan's
 *          watermark W, what the queue holds up to W is thrown away and LIVE begins with `floor` =
 * W SCAN   history only: the queue overflowed in LAST, or the matcher lost batches. When a slice
 *          reaches its watermark, LAST begins
 *
 * Why there is no gap: a batch is visible to scans before it is published. An entry above W became
 * visible after the scan was opened, hence was published after LAST began, hence is in the queue.
 * Why there is no duplicate: the queue rises by seq, and up to `floor` nothing is queued or kept.
 *
 * Locks: live.lock (list, jobs, references), then sub.lock (queue, mode). None is held while
 * matching, rendering, copying or scanning. */
#include "live/live.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "live/internal.h"
#include "model/batch.h"
#include "model/ident.h"

#define JOBS_BYTES ((size_t)16 << 20) /* batches waiting for the matcher */
#define JOB_ARENA ((size_t)256 << 20) /* decoding one batch */
#define VIEWS_MAX 8                   /* distinct views rendered once for all */
#define TEXT_MAX ((size_t)64 << 20)

struct job {
    struct job *next;
    uint64_t base;
    ts_ns at;
    size_t n;
    char payload[];
};

struct view_cache {
    live_view view;
    struct live_text **rows; /* BLOCK_ROWS_MAX slots */
};

struct live {
    pthread_mutex_t lock;
    pthread_cond_t work; /* jobs or stop */
    pthread_cond_t idle; /* references were given back */
    pthread_t thread;
    bool stop;
    struct live_sub *subs;
    uint32_t nsubs;
    uint64_t published_base; /* base_seq of the newest batch that was published */
    struct job *first, *last;
    size_t job_bytes;
    bool lost; /* batches were not taken in: the newest one's base_seq, rows of all */
    uint64_t lost_base, lost_rows;
    bool has_ids;
    struct id_gen ids; /* a copy: the matcher outlives the store */
    /* the matcher's own */
    struct live_sub **snap;
    uint32_t nsnap, cap_snap;
    struct arena arena;
    struct pred_run *run;
    struct view_cache views[VIEWS_MAX];
    struct buf text;
    uint64_t *sel;
    _Atomic uint64_t st_published, st_matched, st_dropped;
};

/* ---- texts: rendered once, shared by all who match ---- */

struct live_text *live_text_new(str s)
{
    struct live_text *t = s.n < UINT32_MAX ? mem_alloc(sizeof *t + s.n) : NULL;
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->n = (uint32_t)s.n;
    if (s.n)
        memcpy(t->p, s.p, s.n);
    return t;
}

void live_text_unref(struct live_text *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        mem_free(t);
}

/* ---- a subscriber's queue; sub.lock held ---- */

static bool queue_put(struct live_sub *s, uint64_t seq, struct live_text *t)
{
    size_t cost = t->n + LIVE_ITEM_COST;
    if (s->bytes + cost > s->o.queue_bytes && s->n > 0)
        return false;
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 16;
        struct live_entry *q = mem_array(cap, sizeof *q);
        if (!q)
            return false;
        for (uint32_t i = 0; i < s->n; i++)
            q[i] = s->q[(s->head + i) & (s->cap - 1)];
        mem_free(s->q);
        s->q = q;
        s->cap = cap;
        s->head = 0;
    }
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    s->q[(s->head + s->n) & (s->cap - 1)] = (struct live_entry){ seq, t, s->lost };
    s->lost = 0;
    s->n++;
    s->bytes += cost;
    return true;
}

static struct live_entry queue_pop(struct live_sub *s)
{
    struct live_entry e = s->q[s->head];
    s->head = (s->head + 1) & (s->cap - 1);
    s->n--;
    s->bytes -= e.text->n + LIVE_ITEM_COST;
    return e;
}

static void queue_clear(struct live_sub *s)
{
    while (s->n) {
        struct live_entry e = queue_pop(s);
        s->lost += e.dropped;
        live_text_unref(e.text);
    }
}

/* what the floor says was delivered already */
static void queue_trim(struct live_sub *s)
{
    while (s->n && s->q[s->head].seq <= s->floor)
        live_text_unref(queue_pop(s).text);
}

/* Some entries after `seen` will not come through the queue: read them from the store, or count
 * them when there is none. */
static void fall_back(struct live_sub *s, uint64_t rows)
{
    if (!s->o.store) {
        s->lost += rows;
        atomic_fetch_add_explicit(&s->live->st_dropped, rows, memory_order_relaxed);
    } else if (s->mode == SUB_LIVE) {
        s->mode = SUB_SCAN;
        s->cursor = s->seen;
    } else if (s->mode == SUB_LAST) {
        queue_clear(s);
        s->mode = SUB_SCAN;
    }
    s->want_wake = true;
}

static void push(struct live_sub *s, uint64_t seq, struct live_text *t)
{
    if (seq <= s->floor || s->mode == SUB_SCAN)
        return;
    bool was_empty = s->n == 0;
    if (t && queue_put(s, seq, t)) {
        atomic_fetch_add_explicit(&s->live->st_matched, 1, memory_order_relaxed);
        s->want_wake |= was_empty;
        return;
    }
    if (s->mode == SUB_LAST) {
        fall_back(s, 0);
        return;
    }
    s->lost++;
    s->want_wake |= was_empty;
    atomic_fetch_add_explicit(&s->live->st_dropped, 1, memory_order_relaxed);
}

/* the call happens under the lock, so that after live_unsubscribe there is none */
static void wake(struct live_sub *s)
{
    if (s->want_wake && !s->closed && s->o.wake)
        s->o.wake(s->o.arg);
    s->want_wake = false;
}

/* ---- the matcher ---- */

static struct view_cache *cache_of(struct live *l, live_view view)
{
    for (uint32_t i = 0; i < VIEWS_MAX; i++) {
        struct view_cache *c = &l->views[i];
        if (c->view == view)
            return c;
        if (!c->view) {
            c->rows = mem_zarray(BLOCK_ROWS_MAX, sizeof *c->rows);
            if (!c->rows)
                return NULL;
            c->view = view;
            return c;
        }
    }
    return NULL;
}

/* NULL: out of memory or the row cannot be shown. The caller owns a reference. */
static struct live_text *render(struct live *l, live_view view, struct block *b, uint32_t row)
{
    struct view_cache *c = cache_of(l, view);
    struct live_text *t = c ? c->rows[row] : NULL;
    if (!t) {
        struct err err = ERR_INIT;
        buf_reset(&l->text);
        if (view(&l->text, b, row, &err) == 0 && buf_ok(&l->text))
            t = live_text_new(buf_str(&l->text));
        if (!t || !c)
            return t;
        c->rows[row] = t;
    }
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

static void cache_drop(struct live *l, uint32_t rows)
{
    for (uint32_t i = 0; i < VIEWS_MAX && l->views[i].view; i++)
        for (uint32_t r = 0; r < rows; r++)
            if (l->views[i].rows[r]) {
                live_text_unref(l->views[i].rows[r]);
                l->views[i].rows[r] = NULL;
            }
}

static void match_sub(struct live *l, struct live_sub *s, uint64_t base, struct block *b)
{
    if (base <= s->min_base)
        return;
    pthread_mutex_lock(&s->lock);
    bool skip = s->closed || s->mode == SUB_SCAN;
    pthread_mutex_unlock(&s->lock);
    if (skip)
        return;
    struct err err = ERR_INIT;
    int rc = 0;
    if (s->o.filter)
        rc = pred_eval(s->o.filter, b, NULL, l->sel, l->run, NULL, &err);
    else
        bits_fill(l->sel, b->n);
    if (rc < 0) {
        pthread_mutex_lock(&s->lock);
        fall_back(s, b->n);
        wake(s);
        pthread_mutex_unlock(&s->lock);
        return;
    }
    for (size_t r = bits_next(l->sel, 0, b->n); r < b->n; r = bits_next(l->sel, r + 1, b->n)) {
        struct live_text *t = render(l, s->o.view, b, (uint32_t)r);
        pthread_mutex_lock(&s->lock);
        push(s, b->seq_min + r, t);
        pthread_mutex_unlock(&s->lock);
        live_text_unref(t);
    }
    pthread_mutex_lock(&s->lock);
    if (s->mode != SUB_SCAN)
        s->seen = b->seq_max;
    wake(s);
    pthread_mutex_unlock(&s->lock);
}

struct match_arg {
    struct live *l;
    uint64_t base;
};

static int match_block(void *arg, struct block *b, struct err *err)
{
    struct match_arg *m = arg;
    (void)err;
    b->ids = m->l->has_ids ? &m->l->ids : NULL;
    atomic_fetch_add_explicit(&m->l->st_published, b->n, memory_order_relaxed);
    for (uint32_t i = 0; i < m->l->nsnap; i++)
        match_sub(m->l, m->l->snap[i], m->base, b);
    cache_drop(m->l, b->n);
    return 0;
}

/* Everyone of the snapshot reads on from the store (or counts). The order towards jobs still
 * waiting does not matter: reading on begins behind what was matched. */
static void match_lost(struct live *l, uint64_t base, uint64_t rows)
{
    for (uint32_t i = 0; i < l->nsnap; i++) {
        struct live_sub *s = l->snap[i];
        if (base <= s->min_base)
            continue;
        pthread_mutex_lock(&s->lock);
        fall_back(s, rows);
        wake(s);
        pthread_mutex_unlock(&s->lock);
    }
}

/* live.lock held: references to all subscribers, so that they stay while we work */
static bool snapshot(struct live *l)
{
    if (l->cap_snap < l->nsubs) {
        struct live_sub **a = mem_array(l->nsubs + 16, sizeof *a);
        if (!a)
            return false;
        mem_free(l->snap);
        l->snap = a;
        l->cap_snap = l->nsubs + 16;
    }
    l->nsnap = 0;
    for (struct live_sub *s = l->subs; s; s = s->next) {
        s->refs++;
        l->snap[l->nsnap++] = s;
    }
    return true;
}

static void sub_free(struct live_sub *s)
{
    void (*release)(void *) = s->o.release;
    void *arg = s->o.arg;
    queue_clear(s);
    mem_free(s->q);
    for (uint32_t i = 0; i < s->ntaken; i++)
        live_text_unref(s->taken[i].text);
    mem_free(s->taken);
    for (uint32_t i = s->hist_at; i < s->nhist; i++)
        live_text_unref(s->hist[i].text);
    mem_free(s->hist);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
    if (release)
        release(arg);
}

static void snapshot_end(struct live *l)
{
    struct live_sub *dead = NULL;
    pthread_mutex_lock(&l->lock);
    for (uint32_t i = 0; i < l->nsnap; i++) {
        struct live_sub *s = l->snap[i];
        if (--s->refs == 0 && s->o.release) { /* otherwise live_unsubscribe waits and frees */
            s->next = dead;
            dead = s;
        }
    }
    l->nsnap = 0;
    pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->lock);
    while (dead) {
        struct live_sub *s = dead;
        dead = s->next;
        sub_free(s);
    }
}

static void match_job(struct live *l, struct job *j)
{
    struct match_arg arg = { l, j->base };
    struct err err = ERR_INIT;
    if (payload_each(str_n(j->payload, j->n), j->base, j->at, &l->arena, match_block, &arg, &err) <
        0)
        match_lost(l, j->base, 1);
    arena_reset(&l->arena);
}

/* live.lock held, and not enough memory to list the subscribers: each is told on its own */
static void lost_all(struct live *l, uint64_t base, uint64_t rows)
{
    for (struct live_sub *s = l->subs; s; s = s->next) {
        if (base <= s->min_base)
            continue;
        pthread_mutex_lock(&s->lock);
        fall_back(s, rows);
        wake(s);
        pthread_mutex_unlock(&s->lock);
    }
}

/* live.lock held on entry and return */
static void matcher_turn(struct live *l)
{
    bool lost = l->lost;
    uint64_t lost_base = l->lost_base, lost_rows = l->lost_rows;
    struct job *j = l->first;
    l->lost = false;
    l->lost_rows = 0;
    bool listed = snapshot(l);
    if (!listed)
        lost_all(l, lost ? lost_base : j->base, lost_rows + 1);
    pthread_mutex_unlock(&l->lock);
    if (listed && lost)
        match_lost(l, lost_base, lost_rows);
    if (listed && j)
        match_job(l, j);
    snapshot_end(l);
    pthread_mutex_lock(&l->lock);
    if (j) {
        l->first = j->next;
        if (!l->first)
            l->last = NULL;
        l->job_bytes -= j->n;
        mem_free(j);
    }
}

static void *matcher(void *arg)
{
    struct live *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (l->first || l->lost)
            matcher_turn(l);
        else
            pthread_cond_wait(&l->work, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void lose(struct live *l, str payload, uint64_t base_seq)
{
    struct payload_info info;
    struct err err = ERR_INIT;
    uint64_t rows = payload_info(payload, &info, &err) == 0 ? info.rows : 1;
    pthread_mutex_lock(&l->lock);
    l->lost = true;
    l->lost_base = base_seq;
    l->lost_rows += rows;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
}

void live_publish(void *live, str payload, uint64_t base_seq, ts_ns received_at)
{
    struct live *l = live;
    pthread_mutex_lock(&l->lock);
    l->published_base = base_seq;
    bool wanted = l->nsubs > 0;
    bool room = l->job_bytes + payload.n <= JOBS_BYTES;
    pthread_mutex_unlock(&l->lock);
    if (!wanted || !payload.n)
        return;
    struct job *j = room ? mem_alloc(sizeof *j + payload.n + BUF_PAD) : NULL;
    if (!j) {
        lose(l, payload, base_seq);
        return;
    }
    *j = (struct job){ .base = base_seq, .at = received_at, .n = payload.n };
    memcpy(j->payload, payload.p, payload.n);
    memset(j->payload + payload.n, 0, BUF_PAD);
    pthread_mutex_lock(&l->lock);
    if (l->last)
        l->last->next = j;
    else
        l->first = j;
    l->last = j;
    l->job_bytes += j->n;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
}

/* ---- life ---- */

void live_set_ids(struct live *l, const struct id_gen *ids)
{
    pthread_mutex_lock(&l->lock);
    l->ids = *ids;
    l->has_ids = true;
    pthread_mutex_unlock(&l->lock);
}

static void live_destroy(struct live *l)
{
    while (l->first) {
        struct job *j = l->first;
        l->first = j->next;
        mem_free(j);
    }
    for (uint32_t i = 0; i < VIEWS_MAX; i++)
        mem_free(l->views[i].rows);
    pred_run_free(l->run);
    mem_free(l->snap);
    mem_free(l->sel);
    buf_deinit(&l->text);
    arena_deinit(&l->arena);
    pthread_cond_destroy(&l->idle);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

int live_new(struct live **ret, struct err *err)
{
    struct live *l = mem_zalloc(sizeof *l);
    if (!l)
        return err_nomem(err);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->idle, NULL);
    arena_init(&l->arena, JOB_ARENA);
    buf_init(&l->text, TEXT_MAX);
    l->sel = mem_array(BLOCK_WORDS, sizeof *l->sel);
    int rc = l->sel ? pred_run_new(&l->run, err) : err_nomem(err);
    if (rc == 0) {
        int e = pthread_create(&l->thread, NULL, matcher, l);
        if (e)
            rc = err_sys(err, e, "cannot start the matcher thread");
    }
    if (rc < 0) {
        live_destroy(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void live_free(struct live *l)
{
    if (!l)
        return;
    assert(!l->subs);
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    live_destroy(l);
}

/* "Now" is what is durable once the subscription stands: everything later is published to it. */
static void start_at(struct live_sub *s, bool resume)
{
    struct store_status st;
    uint64_t now = 0;
    if (s->o.store && !resume) {
        store_get_status(s->o.store, &st);
        now = st.watermark;
    }
    pthread_mutex_lock(&s->lock);
    if (resume)
        s->cursor = s->pos = s->o.after_seq;
    else if (now > s->floor)
        s->floor = now;
    if (s->seen < s->floor)
        s->seen = s->floor;
    queue_trim(s);
    pthread_mutex_unlock(&s->lock);
}

int live_subscribe(struct live *l, const struct live_opts *o, struct live_sub **ret,
                   struct err *err)
{
    bool resume = o->after_seq != UINT64_MAX;
    if (resume && !o->store)
        return err_set(err, ERR_INVALID, "a resume needs the store");
    struct live_sub *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->live = l;
    s->o = *o;
    if (!s->o.queue_bytes)
        s->o.queue_bytes = LIVE_QUEUE_DEFAULT;
    s->refs = 1;
    s->mode = resume ? SUB_LAST : SUB_LIVE;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_lock(&l->lock);
    if (l->nsubs >= LIVE_SUBS_MAX) {
        pthread_mutex_unlock(&l->lock);
        s->o.release = NULL; /* refused: arg stays the caller's */
        sub_free(s);
        return err_set(err, ERR_BUSY, "too many live subscribers, the most is %u", LIVE_SUBS_MAX);
    }
    s->min_base = l->published_base;
    s->next = l->subs;
    if (l->subs)
        l->subs->prev = s;
    l->subs = s;
    l->nsubs++;
    pthread_mutex_unlock(&l->lock);
    start_at(s, resume);
    *ret = s;
    return 0;
}

void live_unsubscribe(struct live_sub *s)
{
    if (!s)
        return;
    struct live *l = s->live;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&l->lock);
    if (s->prev)
        s->prev->next = s->next;
    else
        l->subs = s->next;
    if (s->next)
        s->next->prev = s->prev;
    l->nsubs--;
    s->refs--;
    while (s->refs && !s->o.release)
        pthread_cond_wait(&l->idle, &l->lock);
    bool mine = s->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (mine)
        sub_free(s);
}

void live_get_stats(struct live *l, struct live_stats *ret)
{
    pthread_mutex_lock(&l->lock);
    ret->subscribers = l->nsubs;
    pthread_mutex_unlock(&l->lock);
    ret->published = atomic_load_explicit(&l->st_published, memory_order_relaxed);
    ret->matched = atomic_load_explicit(&l->st_matched, memory_order_relaxed);
    ret->dropped = atomic_load_explicit(&l->st_dropped, memory_order_relaxed);
}
