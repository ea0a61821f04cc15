/* internal.h: what the files of src/net share.
 *
 *   net.c      start, stop, acceptor, statistics
 *   worker.c   loop, mailbox, timers, pools
 *   conn.c     one socket: reading, writing, timeouts, closing
 *   message.c  bytes -> request: head, check, body, content decoding, dispatch
 *   respond.c  answers and streams
 *   req.c      helpers over a request (params, escapes, Accept)
 *   ws.c       WebSocket connections; ws_frame.c their framing
 *   tls.c      OpenSSL
 *   http1.c    the parser
 *
 * Everything of a worker, its connections and requests is touched by its own thread only, except
 * the members that are atomic. */
#ifndef FL_NET_INTERNAL_H
#define FL_NET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <uv.h>

#include "codec/zip.h"
#include "net/http1.h"
#include "net/net.h"
#include "net/ws_frame.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

#define NET_SCRATCH ((size_t)64 << 10)       /* one read */
#define NET_SMALL_BODY ((size_t)16 << 10)    /* bodies up to this live in the arena */
#define NET_UNCOUNTED_BODY 4096              /* smaller ones are not worth counting */
#define NET_FLUSH_NOW ((size_t)64 << 10)     /* a stream with this much queued is written at once */
#define NET_OFFLOAD ((size_t)256 << 10)      /* (de)compress bodies from this size in the pool */
#define NET_TRIM ((size_t)64 << 10)          /* spare room worth giving back */
#define NET_INLINE_INFLATE ((size_t)1 << 20) /* inflate at most this much on a loop */
#define NET_DISCARD_MAX 65536                /* unread body skipped to keep a connection */
#define NET_LINGER_MS 3000
#define NET_LINGER_BYTES ((uint64_t)64 << 20)
#define NET_ARENA ((size_t)1 << 20)

struct conn;
struct pollfd;

/* ---- statistics: written by one thread, read by any ---- */
typedef _Atomic uint64_t stat_u64;
static inline void stat_add(stat_u64 *s, uint64_t n)
{
    atomic_store_explicit(s, atomic_load_explicit(s, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline uint64_t stat_get(stat_u64 *s)
{
    return atomic_load_explicit(s, memory_order_relaxed);
}
struct worker_stats {
    stat_u64 connections_total, requests, bytes_in, bytes_out, protocol_errors, timeouts;
    stat_u64 streams_open, websockets_open, inflight, status_class[6];
};

/* ---- server ---- */
struct net {
    struct net_config cfg; /* its pointers are only valid during net_start, but ctx and functions */
    struct net_limits lim;
    struct net_worker **workers;
    uint32_t nworkers;
    int *listeners;
    struct pollfd *polls; /* the acceptor's */
    char (*addresses)[64];
    uint32_t nlisten;
    int wake_fd, reserve_fd;
    pthread_t acceptor;
    bool acceptor_running;
    atomic_bool stopping;
    stat_u64 refused; /* by the acceptor */
    /* bytes that bodies being inflated have room for; any thread. Those of a body that is done are
     * in a worker's inflight before they leave here. */
    _Atomic uint64_t inflating;
    pthread_mutex_t tls_lock;
    SSL_CTX *tls; /* NULL: plain */
    char *cert, *key;
};

/* ---- requests ---- */
enum req_phase {
    REQ_READING,   /* head or body under way */
    REQ_INFLATING, /* the pool owns the body */
    REQ_HANDLER,   /* the handler owns it */
    REQ_STREAM,
    REQ_DEFLATING, /* answered; the pool owns the answer */
};

struct deflating { /* an answer being compressed in the pool */
    int status;
    const char *type, *headers;
    enum zip_kind kind;
    struct buf plain, packed;
};

struct request {
    struct http_req pub; /* first: a http_req is its request */
    struct net_worker *w;
    struct conn *conn; /* NULL or closed once the peer is gone: see request_conn */
    struct arena arena;
    struct request *next_free;
    enum req_phase phase;
    bool keep_alive, has_body, told_abort, drain_wanted, chunked_out;
    enum zip_kind encoding;
    /* body under way; `body` is in the arena (small) or on the heap (heap_cap > 0) */
    char *body;
    size_t body_n, body_want, heap_cap;
    struct buf inflated;
    size_t accounted; /* bytes of this request in stats.inflight */
    size_t inflating; /* and in net.inflating; the thread's that inflates it */
    int inflate_rc;
    size_t inflate_max;
    struct deflating *deflating;
    uv_work_t work;
    void (*on_drain)(struct http_req *);
    struct http1_chunked chunked;
    struct http1_head head;
    struct http1_field fields[]; /* limits.header_count */
};

/* ---- workers ---- */
struct net_worker {
    struct net *net;
    uint32_t index;
    pthread_t thread;
    uv_loop_t loop;
    int wake_fd; /* eventfd: the mailbox got its first task */
    uv_poll_t wake;
    uv_prepare_t prepare; /* writes what was queued since the loop last slept */
    uv_timer_t tick, drain;
    uint64_t tick_ms;
    _Atomic(struct net_task *) mailbox; /* newest first; MAILBOX_CLOSED after the end */
    atomic_uint posting;                /* calls of net_post_task under way: wake_fd must stay */
    struct net_task drain_task;
    struct net_task *later, **later_end; /* put off to the end of this turn */
    uint32_t nlater;
    bool draining, forced, stopped, stopping_loop;
    struct conn *conns;
    uint32_t nconns;
    atomic_uint load; /* connections, counting those on their way here */
    uint32_t nreqs;   /* requests not released */
    struct conn *flush;
    struct request *pool;
    uint32_t npool;
    char *scratch;
    struct buf out; /* where answers are put together */
    time_t date_s;
    char prefix[160]; /* Server, Date and nosniff lines of this second */
    size_t prefix_n;
    struct worker_stats st;
    struct net_worker *next_stopped;
};

int worker_start(struct net_worker **ret, struct net *n, uint32_t index, struct err *err);
void worker_stop_join(struct net_worker *w);       /* after the drain task was posted */
struct request *request_new(struct net_worker *w); /* pooled; NULL without memory */
void request_release(struct request *r);
void request_account(struct request *r, size_t now_bytes);
str worker_prefix(struct net_worker *w);
void worker_tick_start(struct net_worker *w);
void worker_tick_stop(struct net_worker *w);
static inline int64_t worker_now(struct net_worker *w)
{
    return (int64_t)uv_now(&w->loop);
}

/* ---- connections ---- */
enum conn_state {
    CONN_HANDSHAKE, /* TLS */
    CONN_HEAD,      /* idle (no request) or reading a head */
    CONN_BODY,
    CONN_DISCARD, /* skipping the body of a refused request */
    CONN_BUSY,    /* the request waits for its answer; input is kept */
    CONN_STREAM,
    CONN_WS,
    CONN_LINGER, /* answered for the last time: write, half-close, discard input, close */
    CONN_CLOSED
};

struct conn {
    struct net_task task; /* hand-over to the worker */
    uv_poll_t poll;
    struct net_worker *w;
    struct conn *prev, *next;
    struct conn *flush_next, **flush_at; /* flush_at != NULL: on the worker's flush list */
    int fd;
    int armed; /* events the poll watches */
    uint8_t state;
    bool refused, served, loopback;
    bool in_input;    /* conn_input is on the stack */
    bool eof;         /* the peer sends no more */
    bool shut;        /* we send no more */
    bool want_write;  /* TLS asks to be called again when writable */
    size_t ahead;     /* while in_input: bytes at hand behind the current request */
    uint64_t discard; /* DISCARD: bytes left; LINGER: bytes dropped */
    int64_t since;    /* start of this state or message, loop ms */
    int64_t last_read, last_write;
    SSL *ssl;
    struct request *req;
    struct ws *ws;
    struct buf in;  /* received, not yet used */
    struct buf out; /* to be sent from out_pos */
    size_t out_pos;
    char peer[64];
};

void conn_adopt(struct net_task *task); /* runs on the worker */
void conn_tick(struct conn *c, int64_t now);
void conn_drain(struct conn *c);
/* Uses p[0..n) (NULL: what is in c->in) as far as the state allows; keeps the rest in c->in. */
void conn_input(struct conn *c, char *p, size_t n);
/* Sends head then body (either may be empty), queues what the kernel does not take. */
void conn_send(struct conn *c, str head, str body);
/* Queues without writing; the loop writes before it sleeps. False without memory (conn closed). */
bool conn_queue(struct conn *c, str bytes);
void conn_flush(struct conn *c);
static inline size_t conn_queued(const struct conn *c)
{
    return c->out.n - c->out_pos;
}
void conn_arm(struct conn *c);
/* Answers an error of the protocol's own and ends the connection gracefully. */
void conn_fail(struct conn *c, int status, const char *why, const char *headers);
/* the current request was answered: go on with the next or end */
void conn_next(struct conn *c, bool keep_alive);
void conn_finish(struct conn *c); /* write, half-close, discard, close */
void conn_close(struct conn *c);  /* at once */

/* the connection an answer can go to, or NULL */
static inline struct conn *request_conn(const struct request *r)
{
    return r->conn && r->conn->state != CONN_CLOSED ? r->conn : NULL;
}

/* message.c: each uses some of p and returns how much; may change the state */
size_t message_head(struct conn *c, const char *p, size_t n);
size_t message_body(struct conn *c, const char *p, size_t n);
/* Where the body's next bytes can be read to directly; 0 when it cannot. */
size_t message_body_room(struct conn *c, char **ret);
void message_body_read(struct conn *c, size_t n);

/* respond.c */
const char *http_reason(int status);
const char *http_code(int status);       /* of an error of our own, in a word for programs */
void respond_drained(struct request *r); /* the stream's queue got shorter */

/* ws.c */
void ws_input(struct ws *ws, char *p, size_t n);
void ws_tick(struct ws *ws, int64_t now);
void ws_drained(struct ws *ws);
void ws_detach(struct ws *ws); /* the connection is closed */
void ws_gone(struct ws *ws);   /* tells the handler and frees */

/* tls.c */
int tls_ctx_new(SSL_CTX **ret, const char *cert, const char *key, struct err *err);
void tls_ctx_free(SSL_CTX *ctx);
SSL *tls_new(SSL_CTX *ctx, int fd); /* NULL without memory */
void tls_free(SSL *ssl);
/* 1 done, 0 wait, -1 failed */
int tls_handshake(struct conn *c);
/* > 0 bytes, 0 would block, -1 end, -2 error */
ssize_t tls_read(struct conn *c, char *p, size_t n);
ssize_t tls_write(struct conn *c, const char *p, size_t n);
bool tls_pending(struct conn *c);
void tls_shutdown(struct conn *c);

#endif
