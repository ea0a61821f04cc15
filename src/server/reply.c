/* reply.c: answers and errors in the words of each dialect, and small pieces of JSON.
 *
 *   native  {"error":{"code":"bad_query","message":"...","position":34,"hint":"..."}}
 *   Fleet   {"error":"..."}
 *   MALS    {"detail":"..."}, and for invalid input {"detail":[{"type","loc","msg","input"}]} */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "codec/json.h"
#include "server/internal.h"

#define ERROR_MAX 8192

int64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- JSON ---- */

void json_put_bytes(struct buf *b, str s)
{
    while (s.n) {
        size_t bad = utf8_invalid_at(s);
        if (bad == SIZE_MAX) {
            json_put_str(b, s);
            return;
        }
        char clean[1024]; /* in pieces: the string is small, an error text or a name */
        size_t n = 0;
        buf_putc(b, '"');
        for (size_t pos = 0; pos < s.n;) {
            n += utf8_put(utf8_next(s, &pos), clean + n);
            if (n > sizeof clean - 8 || pos >= s.n) {
                struct buf piece;
                buf_init(&piece, sizeof clean * 8);
                json_put_str(&piece, str_n(clean, n));
                if (buf_ok(&piece) && piece.n >= 2)
                    buf_put(b, piece.p + 1, piece.n - 2);
                buf_deinit(&piece);
                n = 0;
            }
        }
        buf_putc(b, '"');
        return;
    }
    buf_puts(b, "\"\"");
}

void json_key(struct buf *b, bool *first, const char *key)
{
    if (!*first)
        buf_putc(b, ',');
    *first = false;
    buf_putc(b, '"');
    buf_puts(b, key);
    buf_put(b, "\":", 2);
}

void json_kv_str(struct buf *b, bool *first, const char *key, str v)
{
    json_key(b, first, key);
    json_put_bytes(b, v);
}

void json_kv_u64(struct buf *b, bool *first, const char *key, uint64_t v)
{
    json_key(b, first, key);
    buf_put_u64(b, v);
}

void json_kv_i64(struct buf *b, bool *first, const char *key, int64_t v)
{
    json_key(b, first, key);
    buf_put_i64(b, v);
}

void json_kv_f64(struct buf *b, bool *first, const char *key, double v)
{
    json_key(b, first, key);
    json_put_f64(b, v);
}

void json_kv_bool(struct buf *b, bool *first, const char *key, bool v)
{
    json_key(b, first, key);
    buf_puts(b, v ? "true" : "false");
}

void json_put_time(struct buf *b, ts_ns t)
{
    char text[TS_TEXT_MAX];
    size_t n = ts_format(t, -1, text);
    buf_putc(b, '"');
    buf_put(b, text, n);
    buf_putc(b, '"');
}

void json_kv_time(struct buf *b, bool *first, const char *key, ts_ns t)
{
    json_key(b, first, key);
    json_put_time(b, t);
}

void json_put_seconds(struct buf *b, ts_ns t)
{
    bool negative = t < 0;
    uint64_t u = negative ? 0 - (uint64_t)t : (uint64_t)t;
    char frac[16];
    int n = snprintf(frac, sizeof frac, "%09u", (unsigned)(u % (uint64_t)NS_PER_S));
    while (n > 1 && frac[n - 1] == '0')
        n--;
    if (negative)
        buf_putc(b, '-');
    buf_put_u64(b, u / (uint64_t)NS_PER_S);
    buf_putc(b, '.');
    buf_put(b, frac, (size_t)n);
}

/* ---- answers ---- */

static void count(struct call *c, int status)
{
    if (c->route)
        metric_done(&c->s->metrics, c->route->kind, status, mono_ns() - c->started);
}

void reply_json(struct call *c, int status, str body)
{
    count(c, status);
    bool ingest = c->route && c->route->kind == REQ_INGEST;
    http_respond(c->req, status, JSON_TYPE, ingest ? NULL : PRIVATE_HEADERS, body);
}

static const char *slug_of_status(int status, const struct err *err)
{
    switch (status) {
    case 401: return "unauthorized";
    case 403: return "forbidden";
    case 405: return "method_not_allowed";
    case 415: return "unsupported_media_type";
    case 421: return "unknown_host";
    case 426: return "upgrade_required";
    case 429: return "rate_limited";
    default: return err_slug_of(err);
    }
}

static void native_error(struct buf *out, int status, const struct err *err)
{
    bool first = true;
    buf_puts(out, "{\"error\":{");
    json_kv_str(out, &first, "code", str_c(slug_of_status(status, err)));
    json_kv_str(out, &first, "message", str_c(err->msg));
    if (err->pos >= 0)
        json_kv_i64(out, &first, "position", err->pos);
    if (err->hint[0])
        json_kv_str(out, &first, "hint", str_c(err->hint));
    buf_puts(out, "}}\n");
}

void error_body(struct buf *out, enum shape shape, int status, const struct err *err)
{
    bool first = true;
    if (shape == SHAPE_NATIVE) {
        native_error(out, status, err);
        return;
    }
    char text[ERR_MSG_MAX + 40];
    int n = snprintf(text, sizeof text, "%s", err->msg);
    if (err->pos >= 0) /* these shapes have no place of their own for it */
        n = snprintf(text, sizeof text, "%s (at byte %lld)", err->msg, (long long)err->pos);
    buf_putc(out, '{');
    json_kv_str(out, &first, shape == SHAPE_MALS ? "detail" : "error", str_n(text, (size_t)n));
    buf_puts(out, "}\n");
}

void reply_net_error(void *ctx, const struct http_req *req, int status, const char *code,
                     const char *why, struct buf *out)
{
    struct err err = ERR_INIT;
    (void)ctx;
    snprintf(err.msg, sizeof err.msg, "%s", why);
    err_slug(&err, code);
    error_body(out, req ? shape_of_path(req->path_decoded) : SHAPE_NATIVE, status, &err);
}

static void send_error(struct call *c, int status, const struct err *err)
{
    char memory[ERROR_MAX];
    struct buf out;
    buf_init(&out, ERROR_MAX);
    error_body(&out, c->shape, status, err);
    size_t n = buf_ok(&out) && out.n < sizeof memory ? out.n : 0;
    if (n)
        memcpy(memory, out.p, n);
    buf_deinit(&out);
    if (!n)
        n = (size_t)snprintf(memory, sizeof memory, "{\"error\":\"out of memory\"}\n");
    const char *headers = PRIVATE_HEADERS;
    if (status == 503)
        headers = err->code == ERR_FULL || err->code == ERR_IO
                      ? PRIVATE_HEADERS "Retry-After: 30\r\n"
                      : PRIVATE_HEADERS "Retry-After: 1\r\n";
    else if (status == 429)
        headers = PRIVATE_HEADERS "Retry-After: 1\r\n";
    else if (status == 426)
        headers = PRIVATE_HEADERS "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    count(c, status);
    http_respond(c->req, status, JSON_TYPE, headers, str_n(memory, n));
}

void reply_err(struct call *c, const struct err *err)
{
    int status = err->code < 0 ? err_http_status(err->code) : 500;
    send_error(c, status, err);
}

void reply_error(struct call *c, int status, const char *slug, const char *fmt, ...)
{
    struct err err = ERR_INIT;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.msg, sizeof err.msg, fmt, ap);
    va_end(ap);
    err_slug(&err, slug);
    send_error(c, status, &err);
}

void reply_bad_param(struct call *c, const char *name, const char *fmt, ...)
{
    char text[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (c->shape != SHAPE_MALS) {
        reply_error(c, 400, "bad_parameter", "%s: %s", name, text);
        return;
    }
    str value = STR_NULL;
    http_param(c->req, name, &value);
    struct buf out;
    buf_init(&out, ERROR_MAX * 8);
    buf_puts(&out, "{\"detail\":[{\"type\":\"value_error\",\"loc\":[\"query\",\"");
    buf_puts(&out, name);
    buf_puts(&out, "\"],\"msg\":");
    json_put_bytes(&out, str_c(text));
    buf_puts(&out, ",\"input\":");
    json_put_bytes(&out, value);
    buf_puts(&out, "}]}\n");
    if (buf_ok(&out))
        reply_json(c, 422, buf_str(&out));
    else
        reply_error(c, 422, "bad_parameter", "%s: %s", name, text);
    buf_deinit(&out);
}
