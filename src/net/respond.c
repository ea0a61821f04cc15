/* respond.c: complete answers and streams.
 *
 * A complete answer is put together in the worker's one buffer and sent with one system call;
 * nothing of it is kept unless the kernel takes only a part. A stream queues chunks on its
 * connection and the loop writes them together before it sleeps. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/internal.h"

#define COPY_MAX ((size_t)16 << 10) /* bodies up to this are put behind the head */
#define COMPRESS_MIN 1024

const char *http_reason(int status)
{
    switch (status) {
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Status";
    }
}

const char *http_code(int status)
{
    switch (status) {
    case 408: return "timeout";
    case 413: return "too_large";
    case 414: return "url_too_long";
    case 415: return "unsupported_media_type";
    case 426: return "upgrade_required";
    case 431: return "headers_too_large";
    case 501: return "not_implemented";
    case 503: return "overloaded";
    case 505: return "http_version";
    default: return "bad_request";
    }
}

/* ---- compression ---- */

/* "gzip;q=0.5": the weight in thousandths; 1000 without one, 0 when malformed */
static int weight_of(str params)
{
    str part;
    while (str_split(&params, ';', &part)) {
        part = str_trim(part);
        if (part.n < 3 || (part.p[0] | 0x20) != 'q' || part.p[1] != '=')
            continue;
        int q = part.p[2] == '1' ? 1000 : part.p[2] == '0' ? 0 : -1;
        int unit = 100;
        for (size_t i = 4; i < part.n && i < 7; i++, unit /= 10) {
            if (part.p[i] < '0' || part.p[i] > '9')
                return 0;
            q += (part.p[i] - '0') * unit;
        }
        return q < 0 ? 0 : q > 1000 ? 1000 : q;
    }
    return 1000;
}

static enum zip_kind accepted_encoding(const struct http_req *req)
{
    bool gzip = false, zstd = false;
    for (uint32_t i = 0; i < req->nheaders; i++) {
        if (!str_eq_ci(req->headers[i].name, STR("accept-encoding")))
            continue;
        str list = req->headers[i].value, item;
        while (http1_list_next(&list, &item)) {
            size_t semi = str_chr(item, ';');
            str name = str_trim(str_sub(item, 0, semi));
            str params = semi == SIZE_MAX ? STR_NULL : str_skip(item, semi + 1);
            if (!weight_of(params))
                continue;
            gzip |= str_eq_ci(name, STR("gzip"));
            zstd |= str_eq_ci(name, STR("zstd"));
        }
    }
    return zstd ? ZIP_ZSTD : gzip ? ZIP_GZIP : ZIP_NONE;
}

static bool compressible(const char *type)
{
    static const char *const kinds[] = {
        "json", "javascript", "xml", "yaml", "wasm", "openmetrics",
    };
    if (!type || strncmp(type, "text/event-stream", 17) == 0)
        return false;
    if (strncmp(type, "text/", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(type, kinds[i]))
            return true;
    return false;
}

static bool has_line(const char *headers, const char *name)
{
    return headers && strcasestr(headers, name);
}

static bool may_compress(const char *type, const char *headers, size_t n)
{
    return n >= COMPRESS_MIN && compressible(type) && !has_line(headers, "content-encoding:");
}

/* ---- heads ---- */

struct answer {
    int status;
    const char *type, *headers;
    enum zip_kind packed;
    bool vary;
    int64_t length; /* -1: unknown */
    bool chunked, keep_alive, no_length;
};

static void put_head(struct buf *b, struct net_worker *w, const struct http_req *req,
                     const struct answer *a)
{
    buf_puts(b, "HTTP/1.1 ");
    buf_put_u64(b, (uint64_t)a->status);
    buf_putc(b, ' ');
    buf_puts(b, http_reason(a->status));
    buf_put(b, "\r\n", 2);
    buf_putstr(b, worker_prefix(w));
    if (a->type) {
        buf_puts(b, "Content-Type: ");
        buf_puts(b, a->type);
        buf_put(b, "\r\n", 2);
    }
    if (a->packed != ZIP_NONE)
        buf_puts(b, a->packed == ZIP_GZIP ? "Content-Encoding: gzip\r\n"
                                          : "Content-Encoding: zstd\r\n");
    if (a->vary)
        buf_puts(b, "Vary: Accept-Encoding\r\n");
    if (a->chunked) {
        buf_puts(b, "Transfer-Encoding: chunked\r\n");
    } else if (a->length >= 0 && !a->no_length) {
        buf_puts(b, "Content-Length: ");
        buf_put_u64(b, (uint64_t)a->length);
        buf_put(b, "\r\n", 2);
    }
    if (!a->keep_alive)
        buf_puts(b, "Connection: close\r\n");
    else if (req->version_minor == 0)
        buf_puts(b, "Connection: keep-alive\r\n");
    if (a->headers)
        buf_puts(b, a->headers);
    buf_put(b, "\r\n", 2);
}

static void count_status(struct net_worker *w, int status)
{
    stat_add(&w->st.status_class[status >= 100 && status < 600 ? status / 100 : 0], 1);
}

static bool stays_open(const struct request *r)
{
    return r->keep_alive && !r->w->draining;
}

/* sends a->... with body and goes on with the connection */
static void send_answer(struct request *r, struct answer *a, str body)
{
    struct conn *c = r->conn;
    struct net_worker *w = r->w;
    a->keep_alive = stays_open(r);
    a->length = (int64_t)body.n;
    a->no_length = a->status == 204 || a->status == 304 || a->status < 200;
    count_status(w, a->status);
    if (r->pub.method == HTTP_HEAD || a->no_length)
        body = STR_NULL;
    buf_reset(&w->out);
    put_head(&w->out, w, &r->pub, a);
    bool together = body.n <= COPY_MAX;
    if (together)
        buf_putstr(&w->out, body);
    if (buf_ok(&w->out))
        conn_send(c, buf_str(&w->out), together ? STR_NULL : body);
    else
        conn_close(c);
    if (!buf_ok(&w->out) || w->out.cap > 4 * COPY_MAX)
        buf_deinit(&w->out);
    request_release(r);
    if (c->state != CONN_CLOSED)
        conn_next(c, a->keep_alive);
}

static void deflate_work(uv_work_t *work)
{
    struct request *r = work->data;
    struct err err = ERR_INIT;
    struct deflating *d = r->deflating;
    if (zip_encode(d->kind, buf_str(&d->plain), &d->packed, &err) != 0)
        buf_deinit(&d->packed);
}

static void deflate_done(uv_work_t *work, int status)
{
    struct request *r = work->data;
    struct deflating *d = r->deflating;
    struct buf plain = d->plain, packed = d->packed;
    struct answer a = { .status = d->status, .type = d->type, .headers = d->headers, .vary = true };
    bool use = status == 0 && packed.n && packed.n < plain.n;
    a.packed = use ? d->kind : ZIP_NONE;
    if (request_conn(r))
        send_answer(r, &a, use ? buf_str(&packed) : buf_str(&plain));
    else
        request_release(r);
    buf_deinit(&plain);
    buf_deinit(&packed);
}

/* Hands a big answer to the pool; false: not possible, send it as it is. */
static bool deflate_later(struct request *r, const struct answer *a, enum zip_kind kind, str body)
{
    struct deflating *d = arena_zalloc(&r->arena, sizeof *d);
    if (!d)
        return false;
    d->status = a->status;
    d->kind = kind;
    d->type = arena_strz(&r->arena, str_c(a->type));
    d->headers = a->headers ? arena_strz(&r->arena, str_c(a->headers)) : NULL;
    buf_init(&d->plain, SIZE_MAX);
    buf_init(&d->packed, SIZE_MAX);
    buf_putstr(&d->plain, body);
    r->deflating = d;
    r->work.data = r;
    if (d->type && (d->headers || !a->headers) && buf_ok(&d->plain) &&
        uv_queue_work(&r->w->loop, &r->work, deflate_work, deflate_done) == 0) {
        r->phase = REQ_DEFLATING;
        return true;
    }
    buf_deinit(&d->plain);
    return false;
}

void http_respond(struct http_req *req, int status, const char *content_type, const char *headers,
                  str body)
{
    struct request *r = (struct request *)req;
    if (!request_conn(r)) {
        request_release(r);
        return;
    }
    struct answer a = { .status = status, .type = content_type, .headers = headers };
    if (!may_compress(content_type, headers, body.n)) {
        send_answer(r, &a, body);
        return;
    }
    a.vary = !has_line(headers, "vary:");
    enum zip_kind kind = accepted_encoding(req);
    if (kind == ZIP_NONE) {
        send_answer(r, &a, body);
        return;
    }
    if (body.n >= NET_OFFLOAD && deflate_later(r, &a, kind, body))
        return;
    struct err err = ERR_INIT;
    struct buf packed;
    buf_init(&packed, SIZE_MAX);
    if (body.n < NET_OFFLOAD && zip_encode(kind, body, &packed, &err) == 0 && packed.n < body.n) {
        a.packed = kind;
        body = buf_str(&packed);
    }
    send_answer(r, &a, body);
    buf_deinit(&packed);
}

/* ---- streams ---- */

void http_stream_start(struct http_req *req, int status, const char *content_type,
                       const char *headers)
{
    struct request *r = (struct request *)req;
    struct net_worker *w = r->w;
    struct conn *c = request_conn(r);
    if (!c)
        return;
    r->phase = REQ_STREAM;
    c->state = CONN_STREAM;
    stat_add(&w->st.streams_open, 1);
    count_status(w, status);
    r->chunked_out = req->version_minor == 1 && req->method != HTTP_HEAD;
    if (req->version_minor == 0)
        r->keep_alive = false;
    struct answer a = {
        .status = status,
        .type = content_type,
        .headers = headers,
        .length = -1,
        .chunked = req->version_minor == 1,
        .keep_alive = stays_open(r),
    };
    r->keep_alive = a.keep_alive;
    buf_reset(&w->out);
    put_head(&w->out, w, req, &a);
    if (!buf_ok(&w->out)) {
        buf_deinit(&w->out);
        conn_close(c);
        return;
    }
    conn_queue(c, buf_str(&w->out));
}

bool http_stream_write(struct http_req *req, str bytes)
{
    struct request *r = (struct request *)req;
    struct conn *c = request_conn(r);
    if (!c)
        return false;
    if (bytes.n && req->method != HTTP_HEAD) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", bytes.n);
        if ((r->chunked_out && !conn_queue(c, str_n(size, (size_t)n))) || !conn_queue(c, bytes) ||
            (r->chunked_out && !conn_queue(c, STR("\r\n"))))
            return false;
    }
    if (conn_queued(c) >= NET_FLUSH_NOW && !(c->armed & UV_WRITABLE))
        conn_flush(c);
    if (!request_conn(r))
        return false;
    bool room = conn_queued(c) <= r->w->net->lim.stream_bytes;
    r->drain_wanted |= !room;
    return room;
}

size_t http_stream_queued(const struct http_req *req)
{
    const struct request *r = (const struct request *)req;
    struct conn *c = request_conn(r);
    return c ? conn_queued(c) : 0;
}

void http_stream_on_drain(struct http_req *req, void (*fn)(struct http_req *))
{
    ((struct request *)req)->on_drain = fn;
}

void respond_drained(struct request *r)
{
    if (!r->drain_wanted || conn_queued(r->conn) >= r->w->net->lim.stream_bytes / 2)
        return;
    r->drain_wanted = false;
    if (r->on_drain)
        r->on_drain(&r->pub);
}

void http_stream_end(struct http_req *req)
{
    struct request *r = (struct request *)req;
    struct conn *c = request_conn(r);
    if (c && r->chunked_out)
        conn_queue(c, STR("0\r\n\r\n"));
    bool keep_alive = r->keep_alive;
    if (r->conn) /* else it was counted when the connection went away */
        stat_add(&r->w->st.streams_open, (uint64_t)-1);
    request_release(r);
    if (c && c->state != CONN_CLOSED)
        conn_next(c, keep_alive);
}
