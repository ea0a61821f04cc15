/* job.c: a request whose work happens on a pool thread.
 *
 *   worker: job_start -> pool thread: run(), writing to j->out -> worker: answer, free
 *
 * A small answer is sent whole. Past JOB_FLUSH bytes it becomes a stream: the pool thread hands its
 * buffer to the worker as a chunk and fills the next one meanwhile; when the client is slow it
 * waits (pool_block), at most STALL_S for a chunk. The request belongs to the worker throughout;
 * the pool thread reads only the call's parsed arguments. A closed connection, the deadline (a
 * timer of the worker) and the end of the server set ctl.cancel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "server/internal.h"
#include "server/prices.h"

#define JOB_ARENA ((size_t)64 << 20)
#define JOB_OUT ((size_t)256 << 20) /* no row is larger than this rendered */
#define STALL_S 60

static struct job *job_of(struct http_req *req)
{
    return ((struct call *)req->user)->job;
}

/* query.h and store.h poll a volatile int, which a race detector cannot tell from a mistake */
__attribute__((noinline, no_sanitize("thread"))) static void cancel(struct job *j)
{
    j->ctl.cancel = 1;
}

bool job_canceled(const struct job *j)
{
    return __atomic_load_n(&j->ctl.cancel, __ATOMIC_RELAXED) != 0;
}

/* ---- worker side ---- */

static void on_abort(struct http_req *req)
{
    struct job *j = job_of(req);
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->gone = true;
    pthread_cond_signal(&j->drained);
    pthread_mutex_unlock(&j->lock);
    cancel(j);
}

static void on_deadline(void *arg)
{
    struct job *j = arg;
    j->timer = NULL;
    __atomic_store_n(&j->timed_out, true, __ATOMIC_RELAXED);
    cancel(j);
}

static void on_drain(struct http_req *req)
{
    struct job *j = job_of(req);
    pthread_mutex_lock(&j->lock);
    if (j->stalled) {
        j->stalled = false;
        j->chunk_busy = false;
        pthread_cond_signal(&j->drained);
    }
    pthread_mutex_unlock(&j->lock);
}

static void start_stream(struct job *j)
{
    if (j->started)
        return;
    j->started = true;
    http_stream_on_drain(j->c->req, on_drain);
    http_stream_start(j->c->req, j->status, j->type, j->headers);
}

static void send_chunk(struct net_task *task)
{
    struct job *j = (struct job *)((char *)task - offsetof(struct job, chunk_task));
    start_stream(j);
    bool room = http_stream_write(j->c->req, buf_str(&j->chunk));
    pthread_mutex_lock(&j->lock);
    buf_reset(&j->chunk);
    if (room || j->gone) {
        j->chunk_busy = false;
        pthread_cond_signal(&j->drained);
    } else {
        j->stalled = true;
    }
    pthread_mutex_unlock(&j->lock);
}

static void job_free(struct job *j)
{
    for (uint32_t i = 0; i < j->nqueries; i++)
        query_free(j->queries[i]);
    prices_unref(j->prices);
    buf_deinit(&j->out);
    buf_deinit(&j->chunk);
    arena_deinit(&j->arena);
    pthread_cond_destroy(&j->drained);
    pthread_mutex_destroy(&j->lock);
    mem_free(j);
}

static void count_outcome(struct job *j)
{
    struct metrics *m = &j->s->metrics;
    metric_add(&m->queries, 1);
    if (j->rc == ERR_TIMEOUT)
        metric_add(&m->query_timeouts, 1);
    else if (j->rc == ERR_CANCELED)
        metric_add(&m->query_canceled, 1);
    else if (j->rc < 0)
        metric_add(&m->query_errors, 1);
}

static void end_stream(struct job *j)
{
    struct call *c = j->c;
    if (j->rc == 0) {
        http_stream_write(c->req, buf_str(&j->out));
    } else if (j->line_errors) {
        struct buf line;
        buf_init(&line, 8192);
        error_body(&line, SHAPE_NATIVE, err_http_status(j->rc), &j->err);
        http_stream_write(c->req, buf_str(&line));
        buf_deinit(&line);
    } /* else: the JSON stays open, which no parser takes for an answer */
    metric_done(&c->s->metrics, c->route->kind, j->status, mono_ns() - c->started);
    http_stream_end(c->req);
}

/* the request is answered and gone after this; any thread when the worker has stopped */
static void answer(struct job *j)
{
    struct call *c = j->c;
    count_outcome(j);
    c->job = NULL;
    c->req->on_abort = NULL;
    if (j->started) {
        end_stream(j);
    } else if (j->rc < 0) {
        reply_err(c, &j->err);
    } else if (j->then) {
        j->then(j);
    } else {
        metric_done(&c->s->metrics, c->route->kind, j->status, mono_ns() - c->started);
        http_respond(c->req, j->status, j->type, j->headers, buf_str(&j->out));
    }
    job_free(j);
}

static void job_done(struct net_task *task)
{
    struct job *j = (struct job *)((char *)task - offsetof(struct job, done_task));
    if (j->timer)
        net_timer_cancel(j->timer);
    answer(j);
}

/* ---- pool side ---- */

int job_flush(struct job *j, struct err *err)
{
    if (!buf_ok(&j->out))
        return j->out.bad == BUF_LIMIT ? err_set(err, ERR_LIMIT, "a row is too large to show")
                                       : err_nomem(err);
    if (job_canceled(j))
        return err_set(err, ERR_CANCELED, "canceled");
    if (j->out.n < JOB_FLUSH || j->whole)
        return 0;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STALL_S;
    bool blocked = false, refused = false;
    int late = 0;
    pthread_mutex_lock(&j->lock);
    while (j->chunk_busy && !j->gone && late != ETIMEDOUT && !refused) {
        if (!blocked) {
            blocked = pool_block(j->s->queries);
            refused = !blocked;
            continue;
        }
        late = pthread_cond_timedwait(&j->drained, &j->lock, &until);
    }
    bool gone = j->gone;
    if (!gone && !late && !refused) {
        struct buf t = j->chunk;
        j->chunk = j->out;
        j->out = t;
        j->chunk_busy = true;
    }
    pthread_mutex_unlock(&j->lock);
    if (blocked)
        pool_unblock(j->s->queries);
    if (gone)
        return err_set(err, ERR_CANCELED, "the client went away");
    if (late || refused)
        return err_set(err, ERR_BUSY, "the client reads too slowly");
    if (!net_post_task(j->worker, &j->chunk_task))
        return err_set(err, ERR_CANCELED, "the server stops");
    return 0;
}

static void job_main(struct pool_work *work)
{
    struct job *j = (struct job *)((char *)work - offsetof(struct job, work));
    struct err err = ERR_INIT;
    int rc;
    if (atomic_load_explicit(&j->s->stopping, memory_order_relaxed))
        rc = err_set(&err, ERR_BUSY, "the server is stopping");
    else
        rc = j->run(j, &err);
    if (rc == 0 && !buf_ok(&j->out))
        rc = j->out.bad == BUF_LIMIT ? err_set(&err, ERR_LIMIT, "the answer is too large")
                                     : err_nomem(&err);
    bool late = __atomic_load_n(&j->timed_out, __ATOMIC_RELAXED);
    if (rc == ERR_TIMEOUT && !late && job_canceled(j)) /* a filter says no more than "stopped" */
        rc = err_set(&err, ERR_CANCELED, "canceled");
    if ((rc == ERR_CANCELED || rc == ERR_TIMEOUT) && late) {
        rc = err_set(&err, ERR_TIMEOUT, "the query took longer than its time limit");
        err_hint(&err, "narrow the time range or the filter, or raise timeout");
    }
    j->rc = rc;
    j->err = err;
    if (net_post_task(j->worker, &j->done_task))
        return;
    if (j->then && rc == 0) /* the network has stopped: only the request is to be released */
        j->rc = err_set(&j->err, ERR_BUSY, "the server is stopping");
    answer(j);
}

/* ---- start ---- */

static struct job *job_new(struct call *c, job_fn fn, void *args)
{
    struct job *j = mem_zalloc(sizeof *j);
    if (!j)
        return NULL;
    j->s = c->s;
    j->c = c;
    j->args = args;
    j->run = fn;
    j->status = 200;
    j->type = JSON_TYPE;
    j->headers = PRIVATE_HEADERS;
    j->worker = http_worker(c->req);
    j->work.run = job_main;
    j->done_task.fn = job_done;
    j->chunk_task.fn = send_chunk;
    j->ctl.memory_bytes = c->s->cfg.query_memory_bytes;
    j->ctl.turns = c->s->turns;
    j->ctl.spill = c->s->spill;
    arena_init(&j->arena, JOB_ARENA);
    buf_init(&j->out, JOB_OUT);
    buf_init(&j->chunk, JOB_OUT);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->drained, NULL);
    return j;
}

void job_start(struct call *c, job_fn fn, void *args, int64_t timeout_ms)
{
    struct err err = ERR_INIT;
    struct job *j = job_new(c, fn, args);
    if (!j) {
        err_nomem(&err);
        reply_err(c, &err);
        return;
    }
    int64_t most = c->s->cfg.query_timeout_ms;
    int64_t ms = timeout_ms == 0 || timeout_ms > most ? most : timeout_ms;
    if (timeout_ms >= 0) {
        j->timer = net_timer_start(j->worker, ms, on_deadline, j);
        if (!j->timer) {
            job_free(j);
            err_nomem(&err);
            reply_err(c, &err);
            return;
        }
    }
    c->job = j;
    c->req->on_abort = on_abort;
    if (pool_submit(c->s->queries, &j->work))
        return;
    if (j->timer)
        net_timer_cancel(j->timer);
    c->job = NULL;
    c->req->on_abort = NULL;
    job_free(j);
    metric_add(&c->s->metrics.query_refused, 1);
    err_set(&err, ERR_BUSY, "too many queries are waiting, try again in a moment");
    reply_err(c, &err);
}

/* ---- filters ---- */

const struct prices *job_prices(struct job *j)
{
    if (!j->prices)
        j->prices = price_file_get(j->s->prices);
    return j->prices;
}

int job_filter(struct job *j, const struct pred *filter, struct pred **ret, struct err *err)
{
    struct arena *a = &j->arena;
    const char *agent = j->c->who->agent;
    struct pred *p = agent[0] ? pred_glob(a, F_AGENT, str_c(agent)) : pred_true(a);
    if (p && filter)
        p = pred_and(a, p, (struct pred *)filter);
    if (!p)
        return err_nomem(err);
    *ret = p;
    return 0;
}

int job_parse_filter(struct job *j, str q, ts_ns start, ts_ns end, const struct pred **ret,
                     struct err *err)
{
    struct query_opts o;
    struct query *query;
    query_opts_default(&o);
    o.now = server_now(j->s);
    o.start = start;
    o.end = end;
    int rc = query_parse(&query, q, &o, err);
    if (rc < 0)
        return rc;
    if (j->nqueries == sizeof j->queries / sizeof *j->queries) {
        query_free(query);
        return err_nomem(err);
    }
    j->queries[j->nqueries++] = query;
    if (!query_is_filter(query)) {
        err_set(err, ERR_INVALID, "only a filter is possible here, no pipes");
        err_slug(err, "bad_query");
        return ERR_INVALID;
    }
    *ret = query_filter(query);
    return 0;
}
