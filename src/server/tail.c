/* tail.c: a live subscription on a connection: server-sent events, WebSocket or long poll.
 *
 *   matcher thread: wake -> posts `task` -> worker: pump: live_take, write
 *   history: live_take runs on the query pool, its items are written by the worker when it is back
 *
 * A tail belongs to its worker. It is freed by its last reference: the worker's own (until
 * `closed`), the subscription's (until live released it), a posted task, pool work under way.
 *
 *   gone     the peer went away; noticed in a callback of net, maybe in the middle of a write, so
 * the rest is done by the next pump closing  we want to end it, but the pool is still reading
 * history: hist_back goes on closed   answered or ended, the subscription given up: nothing is
 * touched any more
 *
 * A poll whose time is up while history is being read answers with what was found so far, and
 * with a cursor behind all that was looked at, so that the next poll goes on from there. One that
 * does not wait at all still reads what is there, for as long as a query may take.
 *
 * A slow client: net holds at most stream_bytes, the subscription LIVE_QUEUE_DEFAULT, what comes on
 * top is dropped by live and told with the next entry. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/internal.h"

#define TAKE 128
#define KEEPALIVE_MS 15000
#define RETRY_MS 100 /* the pool was full: history again after */
#define TAIL_ARENA ((size_t)1 << 20)
#define OUT_MAX ((size_t)256 << 20)
#define POLL_BYTES ((size_t)8 << 20) /* an answer to a poll ends after this */

struct tail {
    struct tail_spec spec;
    struct server *s;
    struct call *c; /* poll and SSE, until closed */
    struct ws *ws;
    struct net_worker *worker;
    struct principal who;
    struct tail *prev, *next; /* of the server's list; tails.lock */
    atomic_uint refs;
    atomic_bool posted, end; /* end: asked to finish */
    struct net_task task, hist_task;
    struct pool_work hist_work;
    struct net_timer *timer;
    struct live_sub *sub;
    struct query *query;
    struct arena arena;
    bool gone, closing, closed, stalled, in_history, timed_out;
    int hist_n;          /* what the pool's live_take returned */
    struct err hist_err; /* poll: a failure that is the answer when there are no entries */
    struct live_item items[TAKE];
    struct buf out; /* poll: the entries so far */
    uint32_t n;
    uint64_t dropped;
};

struct tails {
    pthread_mutex_t lock;
    struct tail *first;
};

int tails_new(struct server *s, struct err *err)
{
    s->tails = mem_zalloc(sizeof *s->tails);
    if (!s->tails)
        return err_nomem(err);
    pthread_mutex_init(&s->tails->lock, NULL);
    return 0;
}

void tails_free(struct server *s)
{
    if (s->tails)
        pthread_mutex_destroy(&s->tails->lock);
    mem_free(s->tails);
    s->tails = NULL;
}

static void pump(struct tail *t);

static void unref(struct tail *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    query_free(t->query);
    buf_deinit(&t->out);
    arena_deinit(&t->arena);
    mem_free(t);
}

static void ref(struct tail *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

static void on_task(struct net_task *task)
{
    struct tail *t = (struct tail *)((char *)task - offsetof(struct tail, task));
    atomic_store_explicit(&t->posted, false, memory_order_release);
    pump(t);
    unref(t);
}

/* any thread */
static void wake(void *arg)
{
    struct tail *t = arg;
    if (atomic_exchange_explicit(&t->posted, true, memory_order_acq_rel))
        return;
    ref(t);
    if (!net_post_task(t->worker, &t->task))
        unref(t);
}

static void released(void *arg)
{
    unref(arg);
}

void tails_end(struct server *s, uint32_t key_id)
{
    pthread_mutex_lock(&s->tails->lock);
    for (struct tail *t = s->tails->first; t; t = t->next)
        if (!key_id || t->who.key_id == key_id) {
            atomic_store_explicit(&t->end, true, memory_order_release);
            wake(t);
        }
    pthread_mutex_unlock(&s->tails->lock);
}

void tails_check(struct server *s)
{
    pthread_mutex_lock(&s->tails->lock);
    for (struct tail *t = s->tails->first; t; t = t->next)
        wake(t); /* the pump asks */
    pthread_mutex_unlock(&s->tails->lock);
}

static void list_add(struct tail *t)
{
    struct tails *l = t->s->tails;
    pthread_mutex_lock(&l->lock);
    t->next = l->first;
    if (l->first)
        l->first->prev = t;
    l->first = t;
    pthread_mutex_unlock(&l->lock);
}

static void list_remove(struct tail *t)
{
    struct tails *l = t->s->tails;
    pthread_mutex_lock(&l->lock);
    if (t->prev)
        t->prev->next = t->next;
    else
        l->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    pthread_mutex_unlock(&l->lock);
}

/* ---- ending; worker ---- */

/* gives everything up but the request */
static void shut(struct tail *t)
{
    t->closed = true;
    if (t->timer)
        net_timer_cancel(t->timer);
    t->timer = NULL;
    list_remove(t);
    live_unsubscribe(t->sub);
    unref(t);
}

static void end_stream(struct tail *t)
{
    struct http_req *req = t->c->req;
    req->on_abort = NULL;
    http_stream_on_drain(req, NULL);
    metric_done(&t->s->metrics, REQ_TAIL, 200, mono_ns() - t->c->started);
    shut(t);
    http_stream_end(req);
}

static void end_poll(struct tail *t)
{
    struct call *c = t->c;
    uint64_t cursor = live_position(t->sub);
    uint64_t dropped = t->dropped + live_dropped(t->sub);
    struct buf out = t->out;
    void (*reply)(struct call *, str, uint32_t, uint64_t, uint64_t) = t->spec.poll_reply;
    uint32_t n = t->n;
    bool tells = t->spec.tell_drops;
    struct err err = t->hist_err;
    buf_init(&t->out, OUT_MAX);
    c->req->on_abort = NULL;
    shut(t);
    if (err.code && !n)
        reply_err(c, &err);
    else if (buf_ok(&out)) {
        if (tells)
            metric_add(&c->s->metrics.drops_told, dropped);
        reply(c, buf_str(&out), n, cursor, dropped);
    } else
        reply_error(c, 503, "busy", "out of memory");
    buf_deinit(&out);
}

/* the peer went, the key went, the server stops, or a poll is due */
static void finish(struct tail *t)
{
    if (t->closed)
        return;
    if (t->in_history) {
        t->closing = true;
        live_cancel(t->sub);
    } else if (t->spec.kind == TAIL_POLL) {
        end_poll(t);
    } else if (t->spec.kind == TAIL_SSE) {
        end_stream(t);
    } else if (t->gone) {
        shut(t);
    } else if (!t->closing) {
        t->closing = true;
        ws_close(t->ws, 1001, STR("going away")); /* on_ws_close comes */
    }
}

static void peer_gone(struct tail *t)
{
    t->gone = true;
    t->stalled = true;
    wake(t);
}

static void on_abort(struct http_req *req)
{
    peer_gone(((struct call *)req->user)->tail);
}

static void on_ws_close(struct ws *ws, int code)
{
    struct tail *t = ws_user(ws);
    (void)code;
    t->ws = NULL;
    peer_gone(t);
}

static void on_ws_message(struct ws *ws, str msg, bool text)
{
    (void)ws;
    (void)msg;
    (void)text; /* a tail listens to nobody */
}

/* ---- writing; worker ---- */

/* writes, or stops when the client is behind or gone */
static void send(struct tail *t, str bytes)
{
    if (t->gone)
        return;
    bool room =
        t->spec.kind == TAIL_SSE ? http_stream_write(t->c->req, bytes) : ws_send(t->ws, bytes);
    t->stalled |= !room;
}

static void put_drop(struct buf *b, enum tail_kind kind, uint64_t n)
{
    if (kind == TAIL_SSE)
        buf_printf(b, "event: dropped\ndata: {\"dropped\":%llu}\n\n", (unsigned long long)n);
    else
        buf_printf(b, "{\"dropped\":%llu}", (unsigned long long)n);
}

/* An event stream is gathered into one write; a WebSocket frame goes out by itself. */
static void put_frame(struct tail *t, struct buf *b)
{
    if (t->spec.kind == TAIL_WS && b->n) {
        if (buf_ok(b))
            send(t, buf_str(b));
        buf_reset(b);
    }
}

static void put_drops(struct tail *t, struct buf *b, uint64_t n)
{
    if (!n || !t->spec.tell_drops)
        return;
    metric_add(&t->s->metrics.drops_told, n);
    put_drop(b, t->spec.kind, n);
    put_frame(t, b);
}

static void write_items(struct tail *t, int n, uint64_t dropped_after)
{
    struct buf b;
    buf_init(&b, OUT_MAX);
    for (int i = 0; i < n && !t->gone; i++) {
        put_drops(t, &b, t->items[i].dropped);
        t->spec.put(&b, &t->items[i]);
        put_frame(t, &b);
    }
    put_drops(t, &b, dropped_after);
    if (b.n && buf_ok(&b))
        send(t, buf_str(&b));
    buf_deinit(&b);
}

static void collect_items(struct tail *t, int n)
{
    for (int i = 0; i < n; i++) {
        if (t->n++)
            buf_puts(&t->out, ",\n");
        buf_putstr(&t->out, t->items[i].json);
        t->dropped += t->items[i].dropped;
    }
}

static void deliver(struct tail *t, int n)
{
    if (t->spec.kind == TAIL_POLL)
        collect_items(t, n);
    else
        write_items(t, n, 0);
}

/* ---- history ---- */

static uint32_t take_max(const struct tail *t)
{
    uint32_t left = t->spec.kind == TAIL_POLL ? t->spec.limit - t->n : TAKE;
    return left < TAKE ? left : TAKE;
}

/* asked to end, or may not be answered any more */
static bool unwanted(struct tail *t)
{
    return atomic_load_explicit(&t->end, memory_order_acquire) || !auth_still(t->s, &t->who);
}

static void hist_back(struct net_task *task)
{
    struct tail *t = (struct tail *)((char *)task - offsetof(struct tail, hist_task));
    t->in_history = false;
    bool ends = unwanted(t);
    bool over = t->gone || t->closing || ends || (t->hist_n < 0 && t->hist_n != ERR_CANCELED);
    t->closing = false;
    if (t->hist_n == ERR_CANCELED)
        err_reset(&t->hist_err);
    if (t->hist_n > 0 && !t->gone && !ends)
        deliver(t, t->hist_n);
    if (over)
        finish(t);
    else
        pump(t);
    unref(t);
}

static void hist_run(struct pool_work *w)
{
    struct tail *t = (struct tail *)((char *)w - offsetof(struct tail, hist_work));
    t->hist_err = (struct err)ERR_INIT;
    t->hist_n = live_take(t->sub, t->items, take_max(t), &t->hist_err);
    if (net_post_task(t->worker, &t->hist_task))
        return;
    /* the network has stopped, with its timers and connections: what is left is memory */
    t->in_history = false;
    t->gone = true;
    t->timer = NULL;
    finish(t);
    unref(t);
}

static void on_timer(void *arg);

static void start_history(struct tail *t)
{
    ref(t);
    t->in_history = true;
    if (pool_submit(t->s->queries, &t->hist_work))
        return;
    t->in_history = false;
    unref(t);
    if (t->spec.kind != TAIL_POLL) { /* a poll's own timer ends it */
        if (t->timer)
            net_timer_cancel(t->timer);
        t->timer = net_timer_start(t->worker, RETRY_MS, on_timer, t);
    } else {
        metric_add(&t->s->metrics.query_refused, 1);
        err_set(&t->hist_err, ERR_BUSY, "too many queries are waiting, try again in a moment");
        finish(t);
    }
}

/* ---- the pump ---- */

static bool poll_done(const struct tail *t)
{
    return t->n >= t->spec.limit || t->out.n > POLL_BYTES || t->timed_out;
}

static void pump(struct tail *t)
{
    if (t->closed)
        return;
    if (t->gone || unwanted(t)) {
        finish(t);
        return;
    }
    if (t->in_history || t->closing)
        return;
    bool poll = t->spec.kind == TAIL_POLL;
    while (!t->stalled && !(poll && poll_done(t))) {
        if (live_needs_history(t->sub)) {
            if (poll && t->n)
                break; /* enough for an answer */
            start_history(t);
            return;
        }
        struct err err = ERR_INIT;
        uint32_t max = take_max(t);
        int n = live_take(t->sub, t->items, max, &err);
        if (n > 0)
            deliver(t, n);
        if (n < (int)max && !live_needs_history(t->sub))
            break;
    }
    if (poll) {
        if (t->n || t->timed_out || !t->spec.timeout_ms)
            end_poll(t);
        return;
    }
    if (!t->stalled) {
        uint64_t dropped = live_dropped(t->sub);
        if (dropped)
            write_items(t, 0, dropped);
    }
}

static void drained(struct tail *t)
{
    t->stalled = t->gone;
    wake(t); /* not at once: net is in the middle of writing */
}

static void on_drain(struct http_req *req)
{
    drained(((struct call *)req->user)->tail);
}

static void on_ws_drain(struct ws *ws)
{
    drained(ws_user(ws));
}

/* poll: time is up. SSE: a comment, so that the connection is not taken for dead. */
static void on_timer(void *arg)
{
    struct tail *t = arg;
    t->timer = NULL;
    ref(t);
    if (t->spec.kind == TAIL_POLL) {
        t->timed_out = true;
        if (t->in_history)
            live_pause(t->sub);
        else
            pump(t);
    } else if (!t->gone && !t->closing) {
        if (t->spec.kind == TAIL_SSE && !t->stalled)
            send(t, STR(":\n\n"));
        t->timer = net_timer_start(t->worker, KEEPALIVE_MS, on_timer, t);
        pump(t);
    }
    unref(t);
}

/* ---- start ---- */

static int make_filter(struct tail *t, const struct pred **ret, struct err *err)
{
    struct arena *a = &t->arena;
    const struct tail_spec *sp = &t->spec;
    struct pred *p = t->who.agent[0] ? pred_glob(a, F_AGENT, str_c(t->who.agent)) : pred_true(a);
    if (sp->has_agent)
        p = pred_and(a, p, pred_eq(a, F_AGENT, sp->agent));
    if (sp->has_level)
        p = pred_and(a, p, pred_level_min(a, sp->level));
    if (sp->also)
        p = pred_and(a, p, sp->also(a));
    if (sp->q.n) {
        struct query_opts o;
        query_opts_default(&o);
        o.now = server_now(t->s);
        int rc = query_parse(&t->query, sp->q, &o, err);
        if (rc < 0)
            return rc;
        if (!query_is_filter(t->query)) {
            err_set(err, ERR_INVALID, "a tail takes a filter, no pipes");
            err_slug(err, "bad_query");
            return ERR_INVALID;
        }
        p = pred_and(a, p, (struct pred *)query_filter(t->query));
    }
    if (!p)
        return err_nomem(err);
    *ret = p;
    return 0;
}

static int subscribe(struct tail *t, struct err *err)
{
    struct live_opts o = { .view = t->spec.view,
                           .wake = wake,
                           .arg = t,
                           .release = released,
                           .after_seq = t->spec.after_seq,
                           .store = t->s->store };
    int rc = make_filter(t, &o.filter, err);
    if (rc < 0)
        return rc;
    ref(t); /* the subscription's */
    rc = live_subscribe(t->s->live, &o, &t->sub, err);
    if (rc < 0)
        unref(t);
    return rc;
}

static struct tail *tail_new(struct call *c, const struct tail_spec *spec)
{
    struct tail *t = mem_zalloc(sizeof *t);
    if (!t)
        return NULL;
    t->spec = *spec;
    t->s = c->s;
    t->c = c;
    t->worker = http_worker(c->req);
    t->who = *c->who;
    atomic_init(&t->refs, 1);
    t->task.fn = on_task;
    t->hist_task.fn = hist_back;
    t->hist_work.run = hist_run;
    arena_init(&t->arena, TAIL_ARENA);
    buf_init(&t->out, OUT_MAX);
    t->spec.agent = arena_dup(&t->arena, spec->agent);
    t->spec.q = arena_dup(&t->arena, spec->q);
    return t;
}

static void open_sse(struct tail *t)
{
    struct http_req *req = t->c->req;
    t->c->tail = t;
    req->on_abort = on_abort;
    http_stream_on_drain(req, on_drain);
    http_stream_start(req, 200, "text/event-stream; charset=utf-8",
                      "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
    send(t, STR("retry: 2000\n\n"));
    t->timer = net_timer_start(t->worker, KEEPALIVE_MS, on_timer, t);
}

static bool open_ws(struct tail *t)
{
    static const struct ws_handler handler = { on_ws_message, on_ws_close, on_ws_drain };
    struct http_req *req = t->c->req;
    t->c = NULL; /* goes with the request */
    t->ws = ws_accept(req, &handler, t);
    if (!t->ws)
        return false;
    if (t->spec.hello.n)
        send(t, t->spec.hello);
    t->spec.hello = STR_NULL; /* was the caller's */
    t->timer = net_timer_start(t->worker, KEEPALIVE_MS, on_timer, t);
    return true;
}

static void open_poll(struct tail *t)
{
    t->c->tail = t;
    t->c->req->on_abort = on_abort;
    int64_t ms = t->spec.timeout_ms ? t->spec.timeout_ms : t->s->cfg.query_timeout_ms;
    t->timer = net_timer_start(t->worker, ms, on_timer, t);
    t->timed_out = !t->timer;
}

void tail_start(struct call *c, const struct tail_spec *spec)
{
    struct err err = ERR_INIT;
    if (spec->kind == TAIL_WS && !http_is_websocket(c->req)) {
        reply_error(c, 426, "upgrade_required", "this is a WebSocket: ask for an upgrade");
        return;
    }
    if (atomic_load_explicit(&c->s->stopping, memory_order_relaxed)) {
        reply_error(c, 503, "busy", "the server is stopping");
        return;
    }
    struct tail *t = tail_new(c, spec);
    int rc = t ? subscribe(t, &err) : err_nomem(&err);
    if (rc < 0) {
        if (t)
            unref(t);
        reply_err(c, &err);
        return;
    }
    metric_add(&c->s->metrics.tails_opened, 1);
    list_add(t);
    ref(t); /* while we use it here */
    if (spec->kind == TAIL_SSE)
        open_sse(t);
    else if (spec->kind == TAIL_POLL)
        open_poll(t);
    else if (!open_ws(t))
        shut(t);
    pump(t);
    unref(t);
}
