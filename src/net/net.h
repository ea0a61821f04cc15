/* net.h: the HTTP server: workers, connections, requests, streams, WebSockets.
 *
 * One acceptor thread hands each connection to the least loaded of N worker threads, where it
 * stays. A worker is one libuv loop. A request is handed to the handler on its worker's thread once
 * its head and body are complete and decoded; the handler answers then or later.
 *
 * Rules of threads: every function here must be called on the request's worker thread, except
 * net_post, http_worker, net_stats and net_stop, which may be called from anywhere. To
 * answer from another thread, net_post a function to the worker. A request object lives until it
 * was answered and released; if the peer goes away first, `on_abort` is called (once) and
 * http_respond then only releases.
 *
 * Parsing is strict RFC 9112: anything ambiguous is 400 and the connection is closed. */
#ifndef FL_NET_NET_H
#define FL_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct net;
struct net_worker;
struct http_req;
struct ws;

/* ---- limits: numbers are the defaults; each is tested and documented ---- */
struct net_limits {
    size_t header_bytes;       /* 16 KiB: whole header block; past it 431 */
    uint32_t header_count;     /* 100; past it 431 */
    size_t url_bytes;          /* 8 KiB; past it 414 */
    size_t body_bytes;         /* 16 MiB as sent; past it 413 */
    size_t inflated_bytes;     /* 64 MiB after decompression; past it 413 */
    size_t inflight_bytes;     /* 64 MiB of bodies in memory, all told; past it 503 */
    size_t ws_message_bytes;   /* 64 KiB in; past it close 1009 */
    uint32_t connections;      /* 10,000; past it 503 + Retry-After and close */
    uint32_t pipeline;         /* 64 KiB of further requests read ahead of an answer */
    int64_t header_timeout_ms; /* 10 s for a complete head */
    int64_t body_timeout_ms;   /* 30 s without a body byte: 408 */
    int64_t idle_timeout_ms;   /* 75 s keep-alive */
    int64_t write_timeout_ms;  /* 60 s without progress on a response */
    int64_t drain_ms;          /* 10 s for answers in progress at shutdown */
    size_t stream_bytes;       /* 1 MiB queued on one stream before http_stream_write says false */
    int64_t ws_ping_ms;        /* 30 s between pings; silent for two of them: closed */
};
void net_limits_default(struct net_limits *l);

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

struct http_header {
    str name, value; /* name as sent; compare with str_eq_ci */
};

struct http_req {
    enum http_method method;
    str method_text;
    str target;             /* as sent, origin form */
    str path;               /* before '?', as sent (percent-encoded) */
    str path_decoded;       /* percent-decoded once; may hold any byte but NUL (NUL is 400) */
    str query;              /* after '?', as sent */
    uint32_t version_minor; /* HTTP/1.x */
    uint32_t nheaders;
    const struct http_header *headers;
    str body; /* transfer and content encoding undone; readable 32 bytes past it */
    bool tls;
    char peer[64]; /* "127.0.0.1:5555" */
    bool peer_loopback;
    struct arena *arena; /* lives as long as the request; ceiling 1 MiB + body size */
    void *user;          /* the handler's own */
    /* peer went away or the server drains (streams only); may be NULL. Never called from inside a
     * call of the handler. Without it a half-closed peer is still answered. */
    void (*on_abort)(struct http_req *);
};

struct net_task;
struct net_config {
    const char *const *listen; /* "127.0.0.1:8140", "[::1]:8140", ":8140"; port 0: a free one */
    uint32_t nlisten;
    uint32_t workers;               /* 0 = number of cores */
    const char *tls_cert, *tls_key; /* PEM files; both or none */
    struct net_limits limits;
    /* Called when the head is complete, before the body is read (and before 100-continue): return 0
     * to go on or an HTTP status >= 400 to refuse; then fill *body_text (JSON) in the arena. Here
     * belongs auth, so that nothing is inflated for a stranger. req->body is empty. May be NULL. */
    int (*check)(void *ctx, struct http_req *req, str *ret_body_text,
                 const char **ret_extra_headers);
    void (*handle)(void *ctx, struct http_req *req);
    /* Appends the body (JSON, at most 1 KiB) for an error of net's own: 400, 408, 413, 415, 431,
     * 503 ... `code` names it in a word. req is NULL when there was no head to read. May be NULL or
     * append nothing: a native error is sent then. */
    void (*fail)(void *ctx, const struct http_req *req, int status, const char *code,
                 const char *why, struct buf *out);
    /* Gets what handlers put off (net_put_off) in this turn of a worker's loop, oldest first: on
     * that worker, before it sleeps or when much has gathered. Only for who puts off. */
    void (*turn_end)(void *ctx, struct net_task *list);
    void *ctx;
};

int net_start(struct net **ret, const struct net_config *cfg, struct err *err);
/* The address actually bound for listen[i], e.g. "127.0.0.1:43521". */
const char *net_address(struct net *n, uint32_t i);
/* Stops accepting, sends "Connection: close" on answers, tells streams to end (on_abort), waits for
 * answers in progress up to drain_ms, closes, joins the threads. */
void net_stop(struct net *n);
/* Loads certificate and key again; the old stay in use on error. */
int net_tls_reload(struct net *n, struct err *err);

struct net_stats {
    uint64_t connections_open, connections_total, connections_refused;
    uint64_t requests_total, bytes_in, bytes_out, protocol_errors, timeouts;
    uint64_t streams_open, websockets_open, inflight_body_bytes;
    uint64_t status_class[6]; /* [2] = number of 2xx answers */
};
void net_get_stats(struct net *n, struct net_stats *ret);

/* ---- request helpers ---- */
/* first header of that name (case-insensitive), STR_NULL when absent */
str http_header(const struct http_req *req, const char *name);
/* First value of a query parameter, percent- and plus-decoded into the arena. False when absent. */
bool http_param(struct http_req *req, const char *name, str *ret);
/* i-th value of a repeated parameter */
bool http_param_nth(struct http_req *req, const char *name, uint32_t nth, str *ret);
/* does Accept prefer text/html over application/json? */
bool http_prefers_html(const struct http_req *req);
/* percent-decoding into the arena; plus: '+' is a space; false on a bad escape or out of memory */
bool http_unescape(struct arena *a, str s, bool plus, str *ret);

/* ---- answers ---- */
/* Sends a complete answer and releases the request. `headers` is NULL or more header lines each
 * ended by \r\n. Content-Length, Date, Server ("fleetlog"), Connection and X-Content-Type-Options
 * are added. HEAD drops the body. Bodies >= 1 KiB are compressed when Accept-Encoding allows it and
 * the type is text or JSON (gzip or zstd). The body is copied or sent before return. */
void http_respond(struct http_req *req, int status, const char *content_type, const char *headers,
                  str body);
/* Starts an answer of unknown length (chunked; SSE). The request stays until http_stream_end or
 * abort: after on_abort the handler must call http_stream_end once to release it. */
void http_stream_start(struct http_req *req, int status, const char *content_type,
                       const char *headers);
/* Queues bytes. False: more than limits.stream_bytes are waiting (they are queued all the same;
 * stop and wait for on_drain) or the peer is gone. */
bool http_stream_write(struct http_req *req, str bytes);
/* bytes queued and not yet handed to the kernel */
size_t http_stream_queued(const struct http_req *req);
/* called when the queue fell below half of stream_bytes; one callback a stream */
void http_stream_on_drain(struct http_req *req, void (*fn)(struct http_req *));
void http_stream_end(struct http_req *req);

/* ---- WebSocket (RFC 6455) ---- */
struct ws_handler {
    /* one complete message; text is valid UTF-8; runs on the worker */
    void (*on_message)(struct ws *, str msg, bool text);
    /* the connection is gone (called exactly once, also after ws_close); ws is freed afterwards */
    void (*on_close)(struct ws *, int code);
    void (*on_drain)(struct ws *); /* queue fell below half of stream_bytes; may be NULL */
};
bool http_is_websocket(const struct http_req *req); /* a valid upgrade request */
/* Switches the connection; releases req. NULL when the request is not a valid upgrade (it was then
 * answered 400 or 426). Pings every 30 s; a peer silent for 2 intervals is closed. */
struct ws *ws_accept(struct http_req *req, const struct ws_handler *h, void *user);
void *ws_user(struct ws *ws);
/* queues a text message; false as http_stream_write */
bool ws_send(struct ws *ws, str msg);
size_t ws_queued(const struct ws *ws);
void ws_close(struct ws *ws, int code, str reason);

/* ---- threads ---- */
struct net_worker *http_worker(const struct http_req *req);
struct net_worker *ws_worker(const struct ws *ws);
/* Runs fn(arg) on the worker's thread soon. Thread-safe. False when the server has stopped (fn will
 * not run) or memory ran out. */
bool net_post(struct net_worker *w, void (*fn)(void *arg), void *arg);
/* intrusive variant that cannot fail for lack of memory: the caller owns `task` until fn ran */
struct net_task {
    struct net_task *next;
    void (*fn)(struct net_task *);
};
bool net_post_task(struct net_worker *w, struct net_task *task);
/* Puts work off to the end of this turn of the loop, where net_config.turn_end gets all of it
 * together; fn is not called. On the worker's thread. Cannot fail. */
void net_put_off(struct net_worker *w, struct net_task *task);
/* one-shot timer on this worker's thread; returns NULL when out of memory */
struct net_timer;
struct net_timer *net_timer_start(struct net_worker *w, int64_t ms, void (*fn)(void *arg),
                                  void *arg);
void net_timer_cancel(struct net_timer *t); /* before it fired; on the worker's thread */

#endif
