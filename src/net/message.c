/* message.c: from bytes to a request in the handler's hands.
 *
 *   head parsed -> copied into the arena -> check hook -> limits -> body -> inflated -> handler
 *
 * The head, and a body of at most NET_SMALL_BODY announced by Content-Length, share one arena
 * allocation, so the usual small POST costs no heap call. Larger and chunked bodies grow on the
 * heap as bytes arrive: memory follows what was received, not what was promised, and counts
 * against limits.inflight_bytes; so does what a compressed one inflates to, from each time that it
 * grows. Compressed bodies of NET_OFFLOAD bytes or more, and those that
 * turn out to inflate past NET_INLINE_INFLATE, are inflated in libuv's thread pool. */
#include <string.h>

#include "base/mem.h"
#include "net/internal.h"

/* ---- the head ---- */

static enum http_method method_of(str m)
{
    static const struct {
        str name;
        enum http_method method;
    } known[] = {
        { { "GET", 3 }, HTTP_GET },       { { "POST", 4 }, HTTP_POST },
        { { "HEAD", 4 }, HTTP_HEAD },     { { "PUT", 3 }, HTTP_PUT },
        { { "DELETE", 6 }, HTTP_DELETE }, { { "OPTIONS", 7 }, HTTP_OPTIONS },
        { { "PATCH", 5 }, HTTP_PATCH },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq(m, known[i].name))
            return known[i].method;
    return HTTP_OTHER;
}

static bool fill_target(struct request *r, const char *base)
{
    struct http_req *q = &r->pub;
    const struct http1_head *h = &r->head;
    q->target = str_n(base + h->origin, h->origin_n);
    size_t mark = str_chr(q->target, '?');
    q->path = str_sub(q->target, 0, mark);
    if (mark != SIZE_MAX)
        q->query = str_skip(q->target, mark + 1);
    if (q->path.n == 0)
        q->path = STR("/"); /* "http://host" and "http://host?x" */
    if (q->target.n == 0)
        q->target = STR("/");
    if (!memchr(q->path.p, '%', q->path.n)) {
        q->path_decoded = q->path;
        return true;
    }
    return http_unescape(&r->arena, q->path, false, &q->path_decoded);
}

/* Fills the public request from the parsed head, whose bytes now lie at base. */
static bool fill_request(struct conn *c, struct request *r, const char *base)
{
    struct http_req *q = &r->pub;
    const struct http1_head *h = &r->head;
    struct http_header *headers = arena_array(&r->arena, h->nfields, sizeof *headers);
    if (!headers)
        return false;
    for (uint32_t i = 0; i < h->nfields; i++) {
        const struct http1_field *f = &h->fields[i];
        headers[i].name = str_n(base + f->name, f->name_n);
        headers[i].value = str_n(base + f->value, f->value_n);
    }
    q->headers = headers;
    q->nheaders = h->nfields;
    q->method_text = str_n(base + h->method, h->method_n);
    q->method = method_of(q->method_text);
    q->version_minor = h->minor;
    q->tls = c->ssl;
    q->peer_loopback = c->loopback;
    memcpy(q->peer, c->peer, sizeof q->peer);
    return fill_target(r, base);
}

/* ---- handing over ---- */

static void hand_over(struct conn *c, struct request *r)
{
    struct net *n = c->w->net;
    r->phase = REQ_HANDLER;
    c->state = CONN_BUSY;
    stat_add(&c->w->st.requests, 1);
    n->cfg.handle(n->cfg.ctx, &r->pub);
}

static void fail_inflate(struct conn *c, struct request *r, int rc)
{
    r->phase = REQ_READING; /* conn_fail releases it */
    if (rc == ERR_LIMIT)
        conn_fail(c, 413, "the body is too large after decompression", NULL);
    else if (rc == ERR_BUSY || rc == ERR_NOMEM)
        conn_fail(c, 503, "too many bodies in memory", "Retry-After: 1\r\n");
    else
        conn_fail(c, 400, "the body does not match its Content-Encoding", NULL);
}

static void stop_inflating(struct request *r)
{
    atomic_fetch_sub_explicit(&r->w->net->inflating, r->inflating, memory_order_release);
    r->inflating = 0;
}

static void take_inflated(struct request *r)
{
    if (r->heap_cap)
        mem_free(r->body);
    r->heap_cap = 0;
    r->body = NULL;
    r->pub.body = buf_str(&r->inflated);
    r->arena.max = NET_ARENA + 4 * NET_SMALL_BODY + r->inflated.n;
    request_account(r, r->inflated.cap);
    stop_inflating(r);
}

static uint64_t accounted(struct net *n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n->nworkers; i++)
        sum += stat_get(&n->workers[i]->st.inflight);
    return sum;
}

static uint64_t inflight(struct net *n)
{
    uint64_t inflating = atomic_load_explicit(&n->inflating, memory_order_acquire);
    return inflating + accounted(n);
}

/* The body has grown: is there room beside the others? Its bytes as sent do not count: they go when
 * it is inflated, and a body that can never fit must hear 413, not 503. */
static bool take_room(void *arg, size_t total)
{
    struct request *r = arg;
    struct net *n = r->w->net;
    uint64_t more = total - r->inflating;
    uint64_t had = atomic_load_explicit(&n->inflating, memory_order_acquire);
    do { /* nobody else has taken the same room meanwhile */
        if (accounted(n) - r->accounted + had + more > n->lim.inflight_bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&n->inflating, &had, had + more,
                                                    memory_order_acq_rel, memory_order_acquire));
    r->inflating = total;
    return true;
}

static void inflate(struct request *r)
{
    struct err err = ERR_INIT;
    struct zip_quota quota = { take_room, r };
    buf_init(&r->inflated, r->inflate_max);
    r->inflate_rc = zip_decode(r->encoding, r->pub.body, &r->inflated, &quota, &err);
    if (r->inflate_rc) {
        buf_deinit(&r->inflated);
        stop_inflating(r);
    } else if (r->inflated.cap - r->inflated.n > NET_TRIM) {
        buf_trim(&r->inflated); /* others need the room */
    }
}

static void inflate_work(uv_work_t *work)
{
    inflate(work->data);
}

static void inflate_done(uv_work_t *work, int status)
{
    struct request *r = work->data;
    struct conn *c = request_conn(r);
    if (!c) {
        stop_inflating(r);
        request_release(r);
        return;
    }
    if (status != 0 || r->inflate_rc) {
        fail_inflate(c, r, status ? ERR_NOMEM : r->inflate_rc);
        return;
    }
    take_inflated(r);
    hand_over(c, r);
}

static void start_inflate(struct conn *c, struct request *r)
{
    size_t ceiling = c->w->net->lim.inflated_bytes;
    if (r->pub.body.n < NET_OFFLOAD) {
        r->inflate_max = ceiling < NET_INLINE_INFLATE ? ceiling : NET_INLINE_INFLATE;
        inflate(r);
        if (r->inflate_rc == 0) {
            take_inflated(r);
            hand_over(c, r);
            return;
        }
        if (r->inflate_rc != ERR_LIMIT || r->inflate_max == ceiling) {
            fail_inflate(c, r, r->inflate_rc);
            return;
        }
    }
    r->inflate_max = ceiling;
    r->phase = REQ_INFLATING;
    c->state = CONN_BUSY;
    r->work.data = r;
    if (uv_queue_work(&c->w->loop, &r->work, inflate_work, inflate_done) != 0)
        fail_inflate(c, r, ERR_NOMEM);
}

static void body_complete(struct conn *c, struct request *r)
{
    r->pub.body = str_n(r->body, r->body_n);
    r->arena.max = NET_ARENA + 4 * NET_SMALL_BODY + r->body_n;
    if (r->encoding != ZIP_NONE && r->body_n)
        start_inflate(c, r);
    else
        hand_over(c, r);
}

/* ---- the body ---- */

/* room for `more` bytes and the pad behind them; false: answered */
static bool body_reserve(struct conn *c, struct request *r, size_t more)
{
    size_t need = r->body_n + more;
    size_t have = r->heap_cap ? r->heap_cap : r->body ? r->body_want : 0;
    if (need <= have)
        return true;
    struct net *n = c->w->net;
    size_t cap = r->heap_cap ? r->heap_cap * 2 : NET_SCRATCH;
    size_t most = r->body_want ? r->body_want : n->lim.body_bytes;
    if (cap > most)
        cap = most;
    if (cap < need)
        cap = need;
    bool full = inflight(n) + cap - r->accounted > n->lim.inflight_bytes;
    char *p = full ? NULL : mem_realloc(r->heap_cap ? r->body : NULL, cap + BUF_PAD);
    if (!p) {
        conn_fail(c, 503, "too many bodies in memory", "Retry-After: 1\r\n");
        return false;
    }
    r->body = p;
    r->heap_cap = cap;
    request_account(r, cap);
    return true;
}

static bool body_append(struct conn *c, struct request *r, str data)
{
    if (!body_reserve(c, r, data.n))
        return false;
    memcpy(r->body + r->body_n, data.p, data.n);
    r->body_n += data.n;
    return true;
}

static void pad_body(struct request *r)
{
    if (r->body)
        memset(r->body + r->body_n, 0, BUF_PAD);
}

static size_t chunked_body(struct conn *c, struct request *r, const char *p, size_t n)
{
    size_t at = 0;
    for (;;) {
        size_t used;
        str data;
        int s = http1_chunked_feed(&r->chunked, p + at, n - at, &used, &data);
        at += used;
        if (s < 0) {
            conn_fail(c, -s, r->chunked.why, NULL);
            return at;
        }
        if (s == HTTP1_CHUNK_MORE)
            return at;
        if (s == HTTP1_CHUNK_END)
            break;
        if (data.n > c->w->net->lim.body_bytes - r->body_n) {
            conn_fail(c, 413, "the body is too large", NULL);
            return at;
        }
        if (!body_append(c, r, data))
            return at;
    }
    c->ahead = n - at;
    pad_body(r);
    body_complete(c, r);
    return at;
}

size_t message_body(struct conn *c, const char *p, size_t n)
{
    struct request *r = c->req;
    if (r->head.chunked)
        return chunked_body(c, r, p, n);
    size_t left = r->body_want - r->body_n;
    size_t take = n < left ? n : left;
    if (!body_append(c, r, str_n(p, take)))
        return take;
    if (take < left)
        return take;
    c->ahead = n - take;
    pad_body(r);
    body_complete(c, r);
    return take;
}

size_t message_body_room(struct conn *c, char **ret)
{
    struct request *r = c->req;
    if (r->head.chunked)
        return 0;
    size_t left = r->body_want - r->body_n;
    size_t more = left < NET_SCRATCH ? left : NET_SCRATCH;
    if (!body_reserve(c, r, more))
        return 0;
    *ret = r->body + r->body_n;
    size_t have = (r->heap_cap ? r->heap_cap : r->body_want) - r->body_n;
    have = have < left ? have : left;
    return have < 4 * NET_SCRATCH ? have : 4 * NET_SCRATCH;
}

void message_body_read(struct conn *c, size_t n)
{
    struct request *r = c->req;
    r->body_n += n;
    if (r->body_n < r->body_want)
        return;
    c->ahead = 0;
    pad_body(r);
    body_complete(c, r);
}

/* ---- between head and body ---- */

/* the check hook said no: answer, and keep the connection when what is unread is small */
static void refuse(struct conn *c, struct request *r, int status, str text, const char *headers)
{
    if (r->has_body) {
        bool small = !r->head.chunked && !r->head.expect_continue &&
                     r->head.content_length <= NET_DISCARD_MAX;
        if (small)
            c->discard = (uint64_t)r->head.content_length;
        else
            r->keep_alive = false;
    }
    r->phase = REQ_HANDLER;
    c->state = CONN_BUSY;
    stat_add(&c->w->st.requests, 1);
    http_respond(&r->pub, status, "application/json", headers, text);
}

static bool checked(struct conn *c, struct request *r)
{
    struct net *n = c->w->net;
    if (!n->cfg.check)
        return true;
    str text = STR_NULL;
    const char *headers = NULL;
    int status = n->cfg.check(n->cfg.ctx, &r->pub, &text, &headers);
    if (status < 400)
        return true;
    refuse(c, r, status, text, headers);
    return false;
}

static bool within_limits(struct conn *c, struct request *r)
{
    const struct http1_head *h = &r->head;
    r->encoding = ZIP_NONE;
    if (h->encoding >= 0 &&
        (h->two_encodings || !zip_by_name(r->pub.headers[h->encoding].value, &r->encoding))) {
        conn_fail(c, 415, "unknown Content-Encoding",
                  "Accept-Encoding: gzip, deflate, zstd, identity\r\n");
        return false;
    }
    if (h->content_length > 0 && (uint64_t)h->content_length > c->w->net->lim.body_bytes) {
        conn_fail(c, 413, "the body is too large", NULL);
        return false;
    }
    return true;
}

/* the body is to be read */
static void begin_body(struct conn *c, struct request *r, size_t at_hand)
{
    if (!r->head.chunked)
        r->body_want = (size_t)r->head.content_length;
    else
        http1_chunked_init(&r->chunked);
    c->state = CONN_BODY;
    c->last_read = worker_now(c->w);
    if (r->head.expect_continue && !at_hand)
        conn_send(c, STR("HTTP/1.1 100 Continue\r\n\r\n"), STR_NULL);
}

/* the head is len bytes at p */
static void head_complete(struct conn *c, struct request *r, const char *p, size_t len, size_t n)
{
    const struct http1_head *h = &r->head;
    r->keep_alive = h->keep_alive;
    r->has_body = h->chunked || h->content_length > 0;
    bool small = r->has_body && !h->chunked && h->content_length <= (int64_t)NET_SMALL_BODY;
    size_t extra = small ? (size_t)h->content_length + BUF_PAD : 0;
    char *copy = arena_alloc(&r->arena, len + extra);
    if (copy)
        memcpy(copy, p, len);
    if (!copy || !fill_request(c, r, copy)) {
        conn_fail(c, 503, "out of memory", "Retry-After: 1\r\n");
        return;
    }
    c->ahead = n - len;
    if (small) {
        r->body = copy + len;
        if (extra > NET_UNCOUNTED_BODY) {
            if (inflight(c->w->net) + extra > c->w->net->lim.inflight_bytes) {
                conn_fail(c, 503, "too many bodies in memory", "Retry-After: 1\r\n");
                return;
            }
            request_account(r, extra);
        }
    }
    if (!checked(c, r) || !within_limits(c, r))
        return;
    if (!r->has_body)
        hand_over(c, r);
    else
        begin_body(c, r, n - len);
}

size_t message_head(struct conn *c, const char *p, size_t n)
{
    struct request *r = c->req;
    if (!r) {
        r = request_new(c->w);
        if (!r) {
            conn_fail(c, 503, "out of memory", "Retry-After: 1\r\n");
            return 0;
        }
        r->conn = c;
        c->req = r;
        c->since = worker_now(c->w);
    }
    int64_t len = http1_head_feed(&r->head, p, n);
    if (len == 0)
        return 0;
    if (len < 0) {
        conn_fail(c, (int)-len, r->head.why, NULL);
        return 0;
    }
    head_complete(c, r, p, (size_t)len, n);
    return (size_t)len;
}
