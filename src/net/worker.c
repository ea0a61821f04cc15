/* worker.c: one libuv loop on one thread, its mailbox, its timers, its pool of requests.
 *
 * The mailbox is a list that any thread pushes to with one compare-and-swap and the worker takes
 * whole; only the push that finds it empty wakes the loop, so a batch of answers costs one
 * wake-up. (Not uv_async: its receiver spins until the sender's write has returned, which it often
 * has not.) At the end the worker swaps an empty mailbox for MAILBOX_CLOSED: every task pushed
 * before runs, every later push is refused, with no window between.
 *
 * What handlers put off in a turn of the loop is handed over together before the loop sleeps: work
 * that is cheaper done for many, at no wait when there is only one.
 *
 * A stopped worker's struct stays allocated (reachable from `stopped_workers`): a late net_post
 * from another thread reads its mailbox and is refused instead of reading freed memory.
 *
 *   running -> draining (net_stop: answers finish) -> loop closing -> stopped */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"

#define MAILBOX_CLOSED ((struct net_task *)(uintptr_t)1)
#define LATER_MAX 64         /* put off at most this many at a time */
#define POOL_MAX 256         /* requests kept for reuse */
#define POOL_ARENA_MAX 32768 /* bytes of arena a kept request may hold */

struct net_timer {
    uv_timer_t uv;
    void (*fn)(void *);
    void *arg;
};

struct posted {
    struct net_task task;
    void (*fn)(void *);
    void *arg;
};

/* ---- mailbox ---- */

static bool push(struct net_worker *w, struct net_task *task)
{
    struct net_task *head = atomic_load_explicit(&w->mailbox, memory_order_acquire);
    do {
        if (head == MAILBOX_CLOSED)
            return false;
        task->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&w->mailbox, &head, task, memory_order_acq_rel,
                                                    memory_order_acquire));
    if (!head)
        (void)!eventfd_write(w->wake_fd, 1); /* fails at its ceiling, when it is readable anyway */
    return true;
}

bool net_post_task(struct net_worker *w, struct net_task *task)
{
    atomic_fetch_add_explicit(&w->posting, 1, memory_order_acq_rel);
    bool pushed = push(w, task);
    atomic_fetch_sub_explicit(&w->posting, 1, memory_order_acq_rel);
    return pushed;
}

static void run_posted(struct net_task *task)
{
    struct posted *p = (struct posted *)task;
    void (*fn)(void *) = p->fn;
    void *arg = p->arg;
    mem_free(p);
    fn(arg);
}

bool net_post(struct net_worker *w, void (*fn)(void *arg), void *arg)
{
    struct posted *p = mem_alloc(sizeof *p);
    if (!p)
        return false;
    *p = (struct posted){ .task.fn = run_posted, .fn = fn, .arg = arg };
    if (net_post_task(w, &p->task))
        return true;
    mem_free(p);
    return false;
}

/* runs what was there when called, oldest first */
static void run_mailbox(struct net_worker *w)
{
    struct net_task *list = atomic_exchange_explicit(&w->mailbox, NULL, memory_order_acq_rel);
    struct net_task *in_order = NULL;
    while (list) {
        struct net_task *next = list->next;
        list->next = in_order;
        in_order = list;
        list = next;
    }
    while (in_order) {
        struct net_task *task = in_order;
        in_order = task->next;
        task->fn(task);
    }
}

/* ---- the end of a turn ---- */

static void end_turn(struct net_worker *w)
{
    struct net_task *list = w->later;
    w->later = NULL;
    w->later_end = &w->later;
    w->nlater = 0;
    if (list)
        w->net->cfg.turn_end(w->net->cfg.ctx, list);
}

void net_put_off(struct net_worker *w, struct net_task *task)
{
    task->next = NULL;
    *w->later_end = task;
    w->later_end = &task->next;
    if (++w->nlater == LATER_MAX) /* the first has waited long enough */
        end_turn(w);
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
    struct net_worker *w = wake->data;
    eventfd_t n;
    (void)status;
    (void)events;
    eventfd_read(w->wake_fd, &n); /* before looking: what is pushed from here on wakes again */
    run_mailbox(w);
}

/* ---- timers ---- */

static void free_timer(uv_handle_t *h)
{
    mem_free(h->data);
}

static void on_timer(uv_timer_t *uv)
{
    struct net_timer *t = uv->data;
    uv_close((uv_handle_t *)uv, free_timer);
    t->fn(t->arg);
}

struct net_timer *net_timer_start(struct net_worker *w, int64_t ms, void (*fn)(void *arg),
                                  void *arg)
{
    struct net_timer *t = mem_zalloc(sizeof *t);
    if (!t)
        return NULL;
    t->fn = fn;
    t->arg = arg;
    t->uv.data = t;
    uv_timer_init(&w->loop, &t->uv);
    uv_update_time(&w->loop);
    uv_timer_start(&t->uv, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
    return t;
}

void net_timer_cancel(struct net_timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, free_timer);
}

static void on_tick(uv_timer_t *tick)
{
    struct net_worker *w = tick->data;
    int64_t now = worker_now(w);
    for (struct conn *c = w->conns, *next; c; c = next) {
        next = c->next; /* stays valid: a closed connection is unlinked and freed after this turn */
        if (c->state != CONN_CLOSED)
            conn_tick(c, now);
    }
}

void worker_tick_start(struct net_worker *w)
{
    uv_timer_start(&w->tick, on_tick, w->tick_ms, w->tick_ms);
}

void worker_tick_stop(struct net_worker *w)
{
    uv_timer_stop(&w->tick);
}

/* ---- requests ---- */

struct request *request_new(struct net_worker *w)
{
    struct request *r = w->pool;
    size_t n = w->net->lim.header_count;
    if (r) {
        w->pool = r->next_free;
        w->npool--;
    } else {
        r = mem_alloc(sizeof *r + n * sizeof r->fields[0]);
        if (!r)
            return NULL;
        arena_init(&r->arena, 0);
    }
    struct arena keep = r->arena;
    memset(r, 0, offsetof(struct request, head));
    r->arena = keep;
    r->arena.max = NET_ARENA + 4 * NET_SMALL_BODY;
    r->w = w;
    r->pub.arena = &r->arena;
    http1_head_init(&r->head, r->fields, (uint32_t)n, (uint32_t)w->net->lim.url_bytes,
                    (uint32_t)w->net->lim.header_bytes);
    w->nreqs++;
    return r;
}

/* sets what this request counts for in the server's sum of bodies in memory */
void request_account(struct request *r, size_t now_bytes)
{
    stat_add(&r->w->st.inflight, (uint64_t)now_bytes - (uint64_t)r->accounted);
    r->accounted = now_bytes;
}

static void request_destroy(struct request *r)
{
    arena_deinit(&r->arena);
    mem_free(r);
}

void request_release(struct request *r)
{
    struct net_worker *w = r->w;
    if (r->conn)
        r->conn->req = NULL;
    if (r->heap_cap)
        mem_free(r->body);
    if (r->inflated.p)
        buf_deinit(&r->inflated);
    if (w->stopped) { /* any thread: the worker is gone, only memory is left to give back */
        request_destroy(r);
        return;
    }
    if (r->accounted)
        request_account(r, 0);
    w->nreqs--;
    arena_reset(&r->arena);
    if (w->npool >= POOL_MAX || w->draining) {
        request_destroy(r);
        return;
    }
    if (r->arena.used > POOL_ARENA_MAX)
        arena_deinit(&r->arena);
    r->next_free = w->pool;
    w->pool = r;
    w->npool++;
}

str worker_prefix(struct net_worker *w)
{
    time_t now = time(NULL);
    if (now != w->date_s) {
        struct tm tm;
        char date[40];
        w->date_s = now;
        gmtime_r(&now, &tm);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        w->prefix_n = (size_t)snprintf(w->prefix, sizeof w->prefix,
                                       "Server: fleetlog\r\nDate: %s\r\n"
                                       "X-Content-Type-Options: nosniff\r\n",
                                       date);
    }
    return str_n(w->prefix, w->prefix_n);
}

/* ---- life ---- */

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (uv_is_closing(h))
        return;
    if (h->type == UV_TIMER && ((uv_timer_t *)h)->timer_cb == on_timer)
        uv_close(h, free_timer);
    else
        uv_close(h, NULL);
}

static void worker_end(struct net_worker *w)
{
    w->stopping_loop = true;
    for (;;) {
        run_mailbox(w);
        w->stopped = true; /* seen by whoever sees MAILBOX_CLOSED */
        struct net_task *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&w->mailbox, &none, MAILBOX_CLOSED,
                                                    memory_order_acq_rel, memory_order_acquire))
            break;
    }
    uv_walk(&w->loop, close_handle, NULL);
}

/* before the loop sleeps: end the turn, write what was queued, see whether the end is reached */
static void on_prepare(uv_prepare_t *prepare)
{
    struct net_worker *w = prepare->data;
    while (w->later || w->flush) { /* each may bring the other: a next request, an answer */
        end_turn(w);
        while (w->flush)
            conn_flush(w->flush); /* takes it off the list */
    }
    if (w->draining && !w->stopping_loop && w->nconns == 0 && (w->nreqs == 0 || w->forced))
        worker_end(w);
}

static void on_drain_deadline(uv_timer_t *timer)
{
    struct net_worker *w = timer->data;
    w->forced = true;
    for (struct conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        conn_close(c);
    }
}

static void start_drain(struct net_task *task)
{
    struct net_worker *w =
        (struct net_worker *)((char *)task - offsetof(struct net_worker, drain_task));
    w->draining = true;
    int64_t ms = w->net->lim.drain_ms;
    uv_update_time(&w->loop);
    uv_timer_start(&w->drain, on_drain_deadline, ms > 0 ? (uint64_t)ms : 0, 0);
    for (struct conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        if (c->state != CONN_CLOSED)
            conn_drain(c);
    }
}

static void *worker_main(void *arg)
{
    struct net_worker *w = arg;
    sigset_t all;
    sigfillset(&all); /* signals belong to the main thread */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&w->loop);
    assert(busy == 0);
    (void)busy;
    return NULL;
}

static uint64_t tick_period(const struct net_limits *l)
{
    int64_t least = l->header_timeout_ms;
    int64_t others[] = { l->body_timeout_ms, l->idle_timeout_ms, l->write_timeout_ms,
                         l->ws_ping_ms };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] < least)
            least = others[i];
    least /= 4;
    return least < 10 ? 10 : least > 1000 ? 1000 : (uint64_t)least;
}

static void init_handles(struct net_worker *w)
{
    uv_prepare_init(&w->loop, &w->prepare);
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_init(&w->loop, &w->drain);
    w->prepare.data = w->tick.data = w->drain.data = w;
    uv_prepare_start(&w->prepare, on_prepare);
    w->wake.data = w;
    uv_poll_start(&w->wake, UV_READABLE, on_wake);
}

int worker_start(struct net_worker **ret, struct net *n, uint32_t index, struct err *err)
{
    struct net_worker *w = mem_zalloc(sizeof *w);
    char *scratch = mem_alloc(NET_SCRATCH + BUF_PAD);
    if (!w || !scratch) {
        mem_free(w);
        mem_free(scratch);
        return err_nomem(err);
    }
    w->net = n;
    w->index = index;
    w->scratch = scratch;
    w->tick_ms = tick_period(&n->lim);
    w->drain_task.fn = start_drain;
    w->later_end = &w->later;
    buf_init(&w->out, SIZE_MAX);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int r = w->wake_fd < 0 ? -errno : uv_loop_init(&w->loop);
    if (r)
        goto fail;
    r = uv_poll_init(&w->loop, &w->wake, w->wake_fd);
    if (r) {
        uv_loop_close(&w->loop);
        goto fail;
    }
    init_handles(w);
    r = -pthread_create(&w->thread, NULL, worker_main, w);
    if (r) {
        uv_walk(&w->loop, close_handle, NULL);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        uv_loop_close(&w->loop);
        goto fail;
    }
    *ret = w;
    return 0;
fail:
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    mem_free(scratch);
    mem_free(w);
    return err_sys(err, -r, "cannot start a network worker");
}

static pthread_mutex_t stopped_lock = PTHREAD_MUTEX_INITIALIZER;
static struct net_worker *stopped_workers; /* never freed, see above */

void worker_stop_join(struct net_worker *w)
{
    pthread_join(w->thread, NULL);
    while (w->pool) {
        struct request *r = w->pool;
        w->pool = r->next_free;
        request_destroy(r);
    }
    mem_free(w->scratch);
    buf_deinit(&w->out);
    while (atomic_load_explicit(&w->posting, memory_order_acquire))
        sched_yield(); /* a last push may not have written yet; later ones will not */
    close(w->wake_fd);
    pthread_mutex_lock(&stopped_lock);
    w->next_stopped = stopped_workers;
    stopped_workers = w;
    pthread_mutex_unlock(&stopped_lock);
}
