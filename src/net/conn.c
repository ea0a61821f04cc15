/* conn.c: one connection on its worker.
 *
 *   HANDSHAKE -> HEAD <-> BODY -> BUSY -> HEAD ...        keep-alive and pipelining
 *                  ^        |       |-> STREAM -> HEAD
 *                  |        |       '-> WS
 *                  DISCARD <'                             body of a refused request, if small
 *   any -> LINGER -> CLOSED                               last answer, half-close, discard input
 *
 * Invariants:
 *  1. Bytes are read into the worker's scratch and used from there; only what cannot be used yet
 *     is kept in `in`, so an idle connection owns no buffer. `out` holds only what the kernel
 *     refused or a stream queued, and is freed when it is empty.
 *  2. One request at a time: input behind an unanswered request waits in `in`, up to
 *     limits.pipeline KiB, then reading pauses.
 *  3. The poll is touched only when the wanted events change.
 *  4. After conn_close the struct lives until the end of the loop turn, in state CLOSED. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"

static void on_poll(uv_poll_t *poll, int status, int events);

/* ---- the poll ---- */

static bool holds_request(const struct conn *c)
{
    return c->state == CONN_BUSY || c->state == CONN_STREAM;
}

static bool wants_read(const struct conn *c)
{
    if (c->eof)
        return false;
    return !holds_request(c) || c->in.n < (size_t)c->w->net->lim.pipeline * 1024;
}

void conn_arm(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    int want = wants_read(c) ? UV_READABLE : 0;
    if (conn_queued(c) || c->want_write)
        want |= UV_WRITABLE;
    if (want == c->armed)
        return;
    c->armed = want;
    if (want)
        uv_poll_start(&c->poll, want, on_poll);
    else
        uv_poll_stop(&c->poll);
}

/* ---- life ---- */

static void link_conn(struct conn *c)
{
    struct net_worker *w = c->w;
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    if (w->nconns++ == 0)
        worker_tick_start(w);
}

static void unlink_conn(struct conn *c)
{
    struct net_worker *w = c->w;
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    atomic_fetch_sub_explicit(&w->load, 1, memory_order_relaxed);
}

static void leave_flush_list(struct conn *c)
{
    if (!c->flush_at)
        return;
    *c->flush_at = c->flush_next;
    if (c->flush_next)
        c->flush_next->flush_at = c->flush_at;
    c->flush_at = NULL;
}

static void tell_abort(struct request *r)
{
    if (!r->pub.on_abort || r->told_abort)
        return;
    r->told_abort = true;
    r->pub.on_abort(&r->pub);
}

/* the connection of a request that somebody still works on is gone */
static void lose_request(struct conn *c, struct request *r)
{
    c->req = NULL;
    r->conn = NULL;
    if (r->phase == REQ_STREAM)
        stat_add(&c->w->st.streams_open, (uint64_t)-1);
    if (r->phase == REQ_HANDLER || r->phase == REQ_STREAM)
        tell_abort(r);
}

/* Handlers hear of the end here and not in conn_close, which their own calls may lead to. */
static void on_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
    struct net_worker *w = c->w;
    if (c->ws)
        ws_gone(c->ws);
    if (c->req)
        lose_request(c, c->req);
    buf_deinit(&c->in); /* not before: a WebSocket message handed out may lie in it */
    mem_free(c);
    if (--w->nconns == 0)
        worker_tick_stop(w);
}

/* a request that was not handed to anybody ends with its connection */
static void drop_unfinished(struct conn *c)
{
    if (c->req && c->req->phase == REQ_READING)
        request_release(c->req);
}

void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    leave_flush_list(c);
    unlink_conn(c);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    tls_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    buf_deinit(&c->out);
    c->out_pos = 0;
    if (c->ws)
        ws_detach(c->ws);
    drop_unfinished(c);
}

/* everything is written: tell the peer, then wait for its end so that no reset eats the answer */
static void half_close(struct conn *c)
{
    c->shut = true;
    c->since = worker_now(c->w);
    if (c->ssl)
        tls_shutdown(c);
    if (c->eof || shutdown(c->fd, SHUT_WR) != 0)
        conn_close(c);
}

void conn_finish(struct conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
        return;
    c->state = CONN_LINGER;
    c->discard = 0;
    c->since = worker_now(c->w);
    if (!c->in_input)
        buf_deinit(&c->in);
    if (conn_queued(c))
        conn_flush(c);
    else
        half_close(c);
    if (c->state != CONN_CLOSED)
        conn_arm(c);
}

void conn_adopt(struct net_task *task)
{
    struct conn *c = (struct conn *)task; /* task is the first member */
    struct net_worker *w = c->w;
    stat_add(&w->st.connections_total, 1);
    if (uv_poll_init_socket(&w->loop, &c->poll, c->fd) != 0) {
        atomic_fetch_sub_explicit(&w->load, 1, memory_order_relaxed);
        tls_free(c->ssl);
        close(c->fd);
        mem_free(c);
        return;
    }
    c->poll.data = c;
    c->since = c->last_read = c->last_write = worker_now(w);
    buf_init(&c->in, SIZE_MAX);
    buf_init(&c->out, SIZE_MAX);
    link_conn(c);
    c->state = c->ssl ? CONN_HANDSHAKE : CONN_HEAD;
    if (w->draining) {
        conn_close(c);
        return;
    }
    if (c->refused && !c->ssl) {
        conn_fail(c, 503, "too many connections", "Retry-After: 1\r\n");
        return;
    }
    if (c->refused) {
        conn_close(c);
        return;
    }
    conn_arm(c);
}

/* ---- writing ---- */

/* > 0 bytes taken, 0 would block, < 0 broken */
static ssize_t write_some(struct conn *c, const char *p, size_t n)
{
    ssize_t r;
    if (c->ssl) {
        r = tls_write(c, p, n);
    } else {
        do
            r = send(c->fd, p, n, MSG_NOSIGNAL);
        while (r < 0 && errno == EINTR);
        if (r < 0)
            r = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -2;
    }
    if (r > 0) {
        stat_add(&c->w->st.bytes_out, (uint64_t)r);
        c->last_write = worker_now(c->w);
    }
    return r;
}

static void after_progress(struct conn *c)
{
    if (c->state == CONN_STREAM && c->req)
        respond_drained(c->req);
    else if (c->state == CONN_WS && c->ws)
        ws_drained(c->ws);
}

void conn_flush(struct conn *c)
{
    leave_flush_list(c);
    if (c->state == CONN_CLOSED)
        return;
    bool progress = false;
    while (conn_queued(c)) {
        ssize_t r = write_some(c, c->out.p + c->out_pos, conn_queued(c));
        if (r < 0) {
            conn_close(c);
            return;
        }
        if (r == 0)
            break;
        c->out_pos += (size_t)r;
        progress = true;
    }
    if (!conn_queued(c)) {
        buf_deinit(&c->out);
        c->out_pos = 0;
        if (c->state == CONN_LINGER && !c->shut)
            half_close(c);
    } else if (c->out_pos > c->out.n / 2) {
        buf_drop_front(&c->out, c->out_pos);
        c->out_pos = 0;
    }
    if (c->state == CONN_CLOSED)
        return;
    conn_arm(c);
    if (progress)
        after_progress(c);
    if (c->state == CONN_WS && c->in.n && !c->in_input)
        conn_input(c, NULL, 0); /* frames that came right behind the upgrade */
}

bool conn_queue(struct conn *c, str bytes)
{
    if (!conn_queued(c))
        c->last_write = worker_now(c->w);
    buf_putstr(&c->out, bytes);
    if (!buf_ok(&c->out)) {
        conn_close(c);
        return false;
    }
    if (!c->flush_at) {
        struct net_worker *w = c->w;
        c->flush_next = w->flush;
        if (c->flush_next)
            c->flush_next->flush_at = &c->flush_next;
        w->flush = c;
        c->flush_at = &w->flush;
    }
    return true;
}

/* Plain socket, nothing queued: one system call for both parts. Bytes taken or < 0. */
static ssize_t send_both(struct conn *c, str head, str body)
{
    struct iovec iov[2] = {
        { (void *)head.p, head.n },
        { (void *)body.p, body.n },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t r;
    do
        r = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -2;
    stat_add(&c->w->st.bytes_out, (uint64_t)r);
    c->last_write = worker_now(c->w);
    return r;
}

void conn_send(struct conn *c, str head, str body)
{
    /* more requests are waiting: their answers leave together */
    bool later = conn_queued(c) || (c->in_input && c->ahead);
    size_t sent = 0;
    if (!later) {
        ssize_t r = body.n && !c->ssl ? send_both(c, head, body) : write_some(c, head.p, head.n);
        if (r < 0) {
            conn_close(c);
            return;
        }
        sent = (size_t)r;
    }
    if (sent < head.n && !conn_queue(c, str_skip(head, sent)))
        return;
    size_t of_body = sent > head.n ? sent - head.n : 0;
    if (of_body < body.n && !conn_queue(c, str_skip(body, of_body)))
        return;
    if (conn_queued(c) && (!later || conn_queued(c) > NET_FLUSH_NOW))
        conn_flush(c);
}

#define FAIL_MAX 1024

static size_t native_failure(char *body, size_t cap, int status, const char *why)
{
    int n = snprintf(body, cap, "{\"error\":{\"code\":\"%s\",\"message\":\"", http_code(status));
    for (const char *p = why; *p && n < (int)cap - 8; p++) {
        if (*p == '"' || *p == '\\')
            body[n++] = '\\';
        body[n++] = *p;
    }
    n += snprintf(body + n, cap - (size_t)n, "\"}}\n");
    return (size_t)n;
}

void conn_fail(struct conn *c, int status, const char *why, const char *headers)
{
    struct net_worker *w = c->w;
    const struct net_config *cfg = &w->net->cfg;
    const struct http_req *req = c->req && c->req->pub.path.n ? &c->req->pub : NULL;
    char native[256], head[768];
    struct buf own;
    buf_init(&own, FAIL_MAX);
    if (cfg->fail)
        cfg->fail(cfg->ctx, req, status, http_code(status), why, &own);
    str body = buf_ok(&own) && own.n
                   ? buf_str(&own)
                   : str_n(native, native_failure(native, sizeof native, status, why));
    str prefix = worker_prefix(w);
    int h = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\n%.*sContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n%sConnection: close\r\n\r\n",
                     status, http_reason(status), STR_FMT(prefix), body.n, headers ? headers : "");
    bool no_body = c->req && c->req->pub.method == HTTP_HEAD && c->req->pub.method_text.n;
    stat_add(&w->st.status_class[status / 100], 1);
    if (status != 503)
        stat_add(status == 408 ? &w->st.timeouts : &w->st.protocol_errors, 1);
    drop_unfinished(c);
    conn_send(c, str_n(head, (size_t)h), no_body ? STR_NULL : body);
    conn_finish(c);
    buf_deinit(&own);
}

/* ---- reading ---- */

/* > 0 bytes, 0 would block, -1 end, -2 broken */
static ssize_t read_some(struct conn *c, char *p, size_t n)
{
    ssize_t r;
    if (c->ssl && !c->shut) {
        r = tls_read(c, p, n);
    } else {
        do
            r = recv(c->fd, p, n, 0);
        while (r < 0 && errno == EINTR);
        if (r == 0)
            r = -1;
        else if (r < 0)
            r = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -2;
    }
    if (r > 0) {
        stat_add(&c->w->st.bytes_in, (uint64_t)r);
        c->last_read = worker_now(c->w);
    }
    return r;
}

static void on_end(struct conn *c)
{
    c->eof = true;
    switch (c->state) {
    case CONN_BUSY: /* half-closed: still answer, unless the handler wants to know */
        if (c->req && c->req->pub.on_abort && c->req->phase == REQ_HANDLER)
            conn_close(c);
        return;
    case CONN_LINGER:
        if (c->shut)
            conn_close(c);
        return;
    case CONN_HEAD:
        if (conn_queued(c)) {
            conn_finish(c);
            return;
        }
        conn_close(c);
        return;
    default: conn_close(c); return;
    }
}

static void linger_input(struct conn *c, size_t n)
{
    c->discard += n;
    if (c->discard > NET_LINGER_BYTES)
        conn_close(c);
}

/* one step over p[0..n): bytes used; 0 = more is needed or the state keeps them */
static size_t step(struct conn *c, char *p, size_t n)
{
    switch (c->state) {
    case CONN_HEAD: return message_head(c, p, n);
    case CONN_BODY: return message_body(c, p, n);
    case CONN_DISCARD: {
        size_t used = n < c->discard ? n : (size_t)c->discard;
        c->discard -= used;
        if (c->discard == 0) {
            c->state = CONN_HEAD;
            c->since = worker_now(c->w);
        }
        return used;
    }
    case CONN_WS: ws_input(c->ws, p, n); return n;
    case CONN_LINGER: linger_input(c, n); return n;
    default: return 0;
    }
}

void conn_input(struct conn *c, char *p, size_t n)
{
    bool own = !p || c->in.n;
    if (own && p)
        buf_put(&c->in, p, n);
    if (!buf_ok(&c->in)) {
        conn_close(c);
        return;
    }
    c->in_input = true;
    size_t at = 0;
    while (c->state != CONN_CLOSED) {
        char *from = own ? c->in.p + at : p + at;
        size_t left = (own ? c->in.n : n) - at;
        if (!left)
            break;
        size_t used = step(c, from, left);
        if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
            break;
        at += used;
        if (!used)
            break;
    }
    c->in_input = false;
    if (c->state == CONN_LINGER)
        buf_deinit(&c->in);
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
        return;
    if (own)
        buf_drop_front(&c->in, at);
    else
        buf_put(&c->in, p + at, n - at);
    if (!buf_ok(&c->in)) {
        conn_close(c);
        return;
    }
    if (!c->in.n && c->in.p)
        buf_deinit(&c->in);
    if (c->state == CONN_HEAD && c->eof)
        conn_finish(c);
    else if (c->flush_at && c->state != CONN_STREAM && c->state != CONN_WS)
        conn_flush(c);
    else
        conn_arm(c);
}

/* one read; true when there may be more at once */
static bool read_once(struct conn *c)
{
    char *p = NULL;
    size_t room = 0;
    if (c->state == CONN_BODY && !c->in.n) {
        room = message_body_room(c, &p);
        if (c->state != CONN_BODY) /* no memory: answered */
            return false;
    }
    bool direct = room > 0;
    if (!direct) {
        p = c->w->scratch;
        room = NET_SCRATCH;
    }
    ssize_t n = read_some(c, p, room);
    if (n == 0) {
        conn_arm(c);
        return false;
    }
    if (n == -1) {
        on_end(c);
        if (c->state != CONN_CLOSED)
            conn_arm(c);
        return false;
    }
    if (n < 0) {
        conn_close(c);
        return false;
    }
    if (direct)
        message_body_read(c, (size_t)n);
    else
        conn_input(c, p, (size_t)n);
    return c->state != CONN_CLOSED && wants_read(c) && (c->ssl ? !c->shut && tls_pending(c) : 0);
}

static void on_readable(struct conn *c)
{
    for (int i = 0; i < 64; i++)
        if (!read_once(c))
            return;
    c->want_write = true; /* TLS holds more: come back after the others had their turn */
    conn_arm(c);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (status < 0) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_HANDSHAKE) {
        int r = tls_handshake(c);
        if (r < 0) {
            conn_close(c);
            return;
        }
        if (r == 0) {
            conn_arm(c);
            return;
        }
        c->state = CONN_HEAD;
        c->since = worker_now(c->w);
        events = UV_READABLE;
    }
    if ((events & UV_WRITABLE || c->ssl) && conn_queued(c))
        conn_flush(c);
    if (c->state != CONN_CLOSED && (events & UV_READABLE || c->want_write))
        on_readable(c);
    conn_arm(c);
}

/* ---- turns ---- */

void conn_next(struct conn *c, bool keep_alive)
{
    c->served = true;
    if (!keep_alive || c->w->draining) {
        conn_finish(c);
        return;
    }
    c->state = c->discard ? CONN_DISCARD : CONN_HEAD;
    c->since = worker_now(c->w);
    if (c->in_input)
        return;
    if (c->in.n)
        conn_input(c, NULL, 0);
    else if (c->eof)
        conn_finish(c);
    else
        conn_arm(c);
    if (c->ssl && c->state == CONN_HEAD && !c->eof && tls_pending(c))
        on_readable(c);
}

static void tick_head(struct conn *c, int64_t now)
{
    const struct net_limits *l = &c->w->net->lim;
    if (c->req && c->in.n > 2) {
        if (now - c->since > l->header_timeout_ms)
            conn_fail(c, 408, "the request head took too long", NULL);
        return;
    }
    int64_t limit = c->served ? l->idle_timeout_ms : l->header_timeout_ms;
    if (now - c->since > limit) {
        stat_add(&c->w->st.timeouts, 1);
        conn_close(c);
    }
}

void conn_tick(struct conn *c, int64_t now)
{
    const struct net_limits *l = &c->w->net->lim;
    if (conn_queued(c) && now - c->last_write > l->write_timeout_ms) {
        stat_add(&c->w->st.timeouts, 1);
        conn_close(c);
        return;
    }
    switch (c->state) {
    case CONN_HEAD:
        if (!conn_queued(c))
            tick_head(c, now);
        return;
    case CONN_BODY:
        if (now - c->last_read > l->body_timeout_ms)
            conn_fail(c, 408, "the request body took too long", NULL);
        return;
    case CONN_HANDSHAKE:
    case CONN_DISCARD:
        if (now - c->since > l->header_timeout_ms) {
            stat_add(&c->w->st.timeouts, 1);
            conn_close(c);
        }
        return;
    case CONN_LINGER:
        if (c->shut && now - c->since > NET_LINGER_MS)
            conn_close(c);
        return;
    case CONN_WS: ws_tick(c->ws, now); return;
    default: return;
    }
}

/* the server stops: what is in progress may finish, the rest ends now */
void conn_drain(struct conn *c)
{
    struct request *r = c->req;
    switch (c->state) {
    case CONN_HANDSHAKE: conn_close(c); return;
    case CONN_HEAD:
        if (!c->in.n)
            read_once(c); /* a request may have arrived just before */
        if (c->state != CONN_HEAD || c->in.n)
            return;
        if (conn_queued(c))
            conn_finish(c);
        else
            conn_close(c);
        return;
    case CONN_STREAM: tell_abort(r); return;
    case CONN_WS: ws_close(c->ws, WS_GOING_AWAY, STR("the server stops")); return;
    default: return;
    }
}
