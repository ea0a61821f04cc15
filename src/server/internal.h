/* internal.h: what the files of src/server share.
 *
 *   server.c    start, stop, signals            routes.c     the route table, matching, dispatch
 *   auth.c      who asks: keys, tickets, hosts  reply.c      answers and errors in each dialect
 *   pool.c      threads for slow work           job.c        one request on such a thread
 *   rows.c      a page of entries in order      params.c     query parameters and small JSON bodies
 *   ingest.c    body -> batch -> store -> answer             tail.c  a live subscription on a
 * connection and one file an API family: native_*.c fleet.c mals*.c guide.c hooks.c ops.c keys.c
 * page.c.
 *
 * A call lives in its request's arena and belongs to the request's worker thread; a job borrows it
 * while the request waits. */
#ifndef FL_SERVER_INTERNAL_H
#define FL_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "ingest/ingest.h"
#include "io/io.h"
#include "live/live.h"
#include "meta/meta.h"
#include "model/view.h"
#include "net/net.h"
#include "query/query.h"
#include "query/occur.h"
#include "query/spill.h"
#include "server/metrics.h"
#include "server/refusals.h"
#include "server/server.h"

/* ---- pool.c ---- */
struct pool;
struct pool_work {
    struct pool_work *next;
    void (*run)(struct pool_work *);
};
/* Threads start when there is work for them. nice: added to the threads' niceness. */
int pool_new(struct pool **ret, const char *name, uint32_t threads, uint32_t queue, int nice,
             struct err *err);
bool pool_submit(struct pool *p,
                 struct pool_work *w); /* false: queue full, or no thread to be had */
/* The calling pool thread is about to wait for a slow reader; while it does, another may run in its
 * stead. False: too many wait already. */
bool pool_block(struct pool *p);
void pool_unblock(struct pool *p);
uint32_t pool_waiting(struct pool *p);
void pool_free(struct pool *p); /* runs what is queued, joins */

/* ---- who asks (auth.c) ---- */
struct principal {
    uint32_t key_id; /* 0: nobody was asked (open server) */
    uint32_t scopes;
    uint32_t rate;   /* entries per second; 0 = unlimited */
    ts_ns expires;   /* 0 = never */
    char agent[257]; /* glob of agents it may write and read; "" = any */
    char name[65];
};

/* ---- routes (routes.c) ---- */
struct job;
struct tail;
enum shape { SHAPE_NATIVE, SHAPE_FLEET, SHAPE_MALS }; /* of errors */
enum route_flag {
    ROUTE_PUBLIC = 1, /* no key needed */
    ROUTE_TICKET = 2, /* takes ?ticket= */
    ROUTE_STREAM = 4, /* answer without end: events or WebSocket */
    ROUTE_HTML = 8,   /* a page for browsers: they are asked for Basic credentials */
};
struct call;
struct route_param {
    const char *name, *in, *type, *about;
};
struct route {
    enum http_method method;
    const char *path; /* "{id}" one segment, "{id...}" all the rest */
    void (*handle)(struct call *);
    uint32_t scope; /* enum key_scope a key must have; 0 = any key */
    enum shape shape;
    uint32_t flags;
    const char *family, *summary;
    const char *body, *answer;        /* sentences for the documents; body may be NULL */
    const struct route_param *params; /* ends with a NULL name; may be NULL */
    enum request_class kind;
};
extern const struct route route_table[];
extern const uint32_t route_count;
#define ROUTE_ARGS_MAX 2
void routes_init(void); /* before the first route_match */
enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };
/* Matches method and path; path arguments are percent-decoded into the arena. On ROUTE_NO_METHOD
 * (and for OPTIONS) `allow` gets the methods of the path, "GET, HEAD, POST". */
enum route_result route_match(enum http_method method, str path, struct arena *a,
                              const struct route **ret, str args[ROUTE_ARGS_MAX], char allow[64]);
enum shape shape_of_path(str path); /* whose errors a path without a route speaks */

struct jobject;
struct call {
    struct server *s;
    struct http_req *req;
    const struct route *route; /* NULL: OPTIONS */
    enum shape shape;
    const struct principal *who;
    str args[ROUTE_ARGS_MAX];
    char allow[64];
    int64_t started;            /* monotonic ns */
    struct job *job;            /* the one that works on it, or NULL */
    const struct jobject *body; /* the JSON object sent, when its handler reads it again */
    struct tail *tail;          /* the live subscription on it, or NULL */
};

/* ---- the server (server.c) ---- */
struct auth;
struct alerts;
struct builtin;
struct server {
    struct server_config cfg;
    struct io *io;
    struct meta *meta;
    struct live *live;
    struct store *store;
    struct net *net;
    struct pool *queries;     /* and everything else that may read the disk */
    struct turns *turns;      /* threads that share the scans of queries */
    struct spill_area *spill; /* where queries put what their memory does not hold */
    struct pool *decoders;    /* big bodies */
    struct auth *auth;
    struct alerts *alerts;
    struct metrics metrics;
    struct refusals refusals;
    struct tails *tails;
    struct issues *issues;
    struct price_file *prices; /* prices.h */
    struct builtin *builtin;   /* saved.h */
    char (*urls)[96];
    uint32_t nurls;
    bool loopback_only;
    ts_ns started_at;
    atomic_bool stopping;
    atomic_bool storage_failed;
    uint8_t cursor_key[32];
    char *page; /* GET /, for who does not take gzip */
    size_t page_n;
    char *openapi;
    size_t openapi_n;
};
ts_ns server_now(struct server *s);
int64_t mono_ns(void);
/* after the log stopped taking entries: with exit_on_storage_failure, server_run is told */
void server_storage_failed(struct server *s);

int auth_new(struct server *s, struct err *err);
void auth_free(struct server *s);
bool auth_is_open(struct server *s);
/* may who was let in be answered still? Its key is usable, or there is no key to this day */
bool auth_still(struct server *s, const struct principal *who);
/* net_config.check and .handle */
int auth_check(void *ctx, struct http_req *req, str *ret_body, const char **ret_headers);
void server_handle(void *ctx, struct http_req *req);
/* new single-use ticket for `who`, 32 characters; false: too many */
bool auth_ticket(struct server *s, const struct principal *who, char ret[33]);
/* a key was revoked: its tails end */
void auth_revoked(struct server *s, uint32_t key_id);
bool auth_may_agent(const struct principal *who, str agent);
/* Rate of a key: false when it is over; *ret_wait_s says for how long. Rows are charged afterwards.
 */
bool auth_rate_ok(struct server *s, const struct principal *who, uint32_t *ret_wait_s);
void auth_rate_charge(struct server *s, const struct principal *who, uint64_t rows);

/* ---- answers (reply.c); worker thread ---- */
void reply_json(struct call *c, int status, str body);
/* error by code in the dialect of the route; 503 and 429 get Retry-After */
void reply_err(struct call *c, const struct err *err);
void reply_error(struct call *c, int status, const char *slug, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* text of an error answer in a dialect */
void error_body(struct buf *out, enum shape shape, int status, const struct err *err);
/* net_config.fail: an error of net's own in the words of the path's dialect */
void reply_net_error(void *ctx, const struct http_req *req, int status, const char *code,
                     const char *why, struct buf *out);
/* where a bad parameter was: MALS puts it into "loc" */
void reply_bad_param(struct call *c, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define JSON_TYPE "application/json"
/* what is read here is nobody else's business */
#define PRIVATE_HEADERS "Cache-Control: no-store\r\nCross-Origin-Resource-Policy: same-origin\r\n"
/* "key": pieces of hand-written JSON */
void json_key(struct buf *b, bool *first, const char *key); /* ,"key": */
void json_kv_str(struct buf *b, bool *first, const char *key, str v);
void json_kv_u64(struct buf *b, bool *first, const char *key, uint64_t v);
void json_kv_i64(struct buf *b, bool *first, const char *key, int64_t v);
void json_kv_f64(struct buf *b, bool *first, const char *key, double v);
void json_kv_bool(struct buf *b, bool *first, const char *key, bool v);
void json_kv_time(struct buf *b, bool *first, const char *key, ts_ns t); /* RFC 3339 */
void json_put_time(struct buf *b, ts_ns t);
void json_put_seconds(struct buf *b, ts_ns t); /* 1700000000.25 */
/* any bytes as a valid JSON string: bad UTF-8 becomes U+FFFD */
void json_put_bytes(struct buf *b, str s);

/* ---- parameters (params.c) ---- */
/* Each: true when absent (the value is left) or fine. False: the call was answered with 400 (MALS:
 * 422). */
bool param_str(struct call *c, const char *name, str *v); /* true when present and not empty */
bool param_u64(struct call *c, const char *name, uint64_t min, uint64_t max, uint64_t *v);
bool param_i64(struct call *c, const char *name, int64_t min, int64_t max, int64_t *v);
bool param_f64(struct call *c, const char *name, double min, double max, double *v);
bool param_bool(struct call *c, const char *name, bool *v);
bool param_time(struct call *c, const char *name, ts_ns *v); /* ISO, epoch, now, now-15m */
bool param_duration(struct call *c, const char *name, int64_t bare_unit, int64_t *v_ns);
bool moment_parse(str s, ts_ns now, ts_ns *ret);
bool offset_parse(str s, int32_t *ret_minutes); /* "+02:00", "Z", "-0330", "+02" */

/* a small JSON object as sent in a request body */
struct jmember {
    str key;      /* decoded */
    uint8_t type; /* enum json_type of the value's first token */
    str raw;      /* source text of the value; strings: between the quotes */
    bool escaped;
};
struct jobject {
    struct jmember *m;
    uint32_t n;
};
int jobject_parse(struct jobject *ret, str text, struct arena *a, struct err *err);
const struct jmember *jobject_get(const struct jobject *o, const char *key);
/* decoded string member; false when absent or no string */
bool jmember_str(const struct jmember *m, struct arena *a, str *ret);
/* array of strings; ERR_INVALID otherwise */
int jmember_strs(const struct jmember *m, struct arena *a, str **ret, uint32_t *ret_n,
                 struct err *err);

/* ---- jobs (job.c): a request on a pool thread ---- */
struct job;
typedef int (*job_fn)(struct job *j, struct err *err);
struct job {
    /* for job_fn */
    struct server *s;
    struct call *c; /* readable; its request must not be touched */
    void *args;
    struct arena arena;
    struct query_ctl ctl;
    struct buf out;   /* the answer */
    int status;       /* 200 */
    const char *type; /* JSON_TYPE */
    const char *headers;
    void (*then)(struct job *j); /* on success, on the worker, instead of sending `out` */
    bool whole;                  /* never stream: `then` or a late status needs all of `out` */
    bool line_errors;            /* NDJSON: an error after the first bytes is one more line */
    struct query *queries[2];    /* freed at the end */
    uint32_t nqueries;
    struct prices *prices; /* job_prices; given back at the end */
    /* job.c's own */
    struct pool_work work;
    struct net_task done_task, chunk_task;
    struct net_worker *worker;
    struct net_timer *timer;
    job_fn run;
    struct err err;
    int rc;
    bool timed_out, no_deadline;
    pthread_mutex_t lock;
    pthread_cond_t drained;
    struct buf chunk;
    bool chunk_busy, started, gone, stalled;
};
/* Runs fn on the query pool; answers 503 when that is full. args: from the request's arena.
 * timeout_ms 0 = the server's; < 0 none. */
void job_start(struct call *c, job_fn fn, void *args, int64_t timeout_ms);
/* Between rows: hands what is in j->out to the client once it is more than JOB_FLUSH bytes, waiting
 * while the client is slow. ERR_CANCELED when it is gone. */
int job_flush(struct job *j, struct err *err);
#define JOB_FLUSH ((size_t)256 << 10)
/* the key's agents and the given filter (either may be NULL); never NULL on success */
int job_filter(struct job *j, const struct pred *filter, struct pred **ret, struct err *err);
/* parses q (may be empty) and gives its filter; ERR_INVALID when it has pipes */
int job_parse_filter(struct job *j, str q, ts_ns start, ts_ns end, const struct pred **ret,
                     struct err *err);
/* the price table of this moment, for query_opts; the same during the whole job */
const struct prices *job_prices(struct job *j);
bool job_canceled(const struct job *j);

/* ---- rows.c ---- */
struct rows_want {
    const struct pred *filter;
    bool oldest; /* by rising timestamp; else falling */
    bool
        ties_by_seq; /* equal timestamps by rising seq in both orders; else seq follows the order */
    bool total;      /* count all that match */
    bool reverse;    /* give the page out last row first */
    uint64_t seq_max; /* 0 = all */
    uint64_t offset, limit;
    bool has_edge; /* only rows strictly behind (edge_time, edge_seq) in the order */
    ts_ns edge_time;
    uint64_t edge_seq;
    live_view view;
    str separator; /* between rows */
};
struct rows_got {
    uint64_t rows, total, watermark;
    bool incomplete;
    char incomplete_why[200];
};
/* Appends the rows of one page, rendered, to j->out (flushing between rows). */
int rows_put(struct job *j, const struct rows_want *w, struct rows_got *ret, struct err *err);
/* Calls fn for every block with matches. */
int rows_each(struct job *j, const struct scan_plan *plan,
              int (*fn)(void *arg, const struct scan_block *sb, struct err *err), void *arg,
              struct scan_cost *ret_cost, struct err *err);
/* Finds one entry by id: its row is given to fn. ERR_NOTFOUND also when the key may not see it. */
int rows_one(struct job *j, uint64_t seq,
             int (*fn)(void *arg, struct block *b, uint32_t row, struct err *err), void *arg,
             struct err *err);
/* The time of the entry a repeated request stored at first; unchanged when it is gone by now. */
int rows_time_of(struct job *j, uint64_t seq, ts_ns *time, struct err *err);
int row_seq(struct block *b, uint32_t row, uint64_t *ret, struct err *err);
int row_time(struct block *b, uint32_t row, ts_ns *ret, struct err *err);

/* ---- ingest.c ---- */
struct ingest_op {
    struct append a;
    struct net_task task;
    struct pool_work work;
    struct call *c;
    enum dialect dialect;
    bool atomic;
    str default_agent;
    ts_ns now;
    uint32_t entries, accepted, rejected;
    str errors; /* JSON array of {index, reason} */
    str detail; /* MALS: the same as FastAPI tells it; else empty */
    int rc;     /* of decoding or appending; then err says what */
    struct err err;
    bool appended;          /* it came as far as the store */
    struct ingest_op *mate; /* the next one of the same batch; a is the first one's, who leads */
    uint32_t row, rows;     /* its share of a batch decoded at the end of a turn */
    bool by_agent;          /* an entry was refused because the key may not write that agent */
    void (*reply)(struct ingest_op *op); /* worker thread; answers the call */
};
/* net_config.turn_end: decodes the small bodies of one turn of a worker's loop together */
void ingest_turn_end(void *ctx, struct net_task *list);
/* Decodes the body and appends it; then calls reply with all of op set. */
void ingest_start(struct call *c, enum dialect d, bool atomic, str default_agent,
                  void (*reply)(struct ingest_op *op));

/* ---- tail.c ---- */
enum tail_kind { TAIL_SSE, TAIL_WS, TAIL_POLL };
struct tail_spec {
    enum tail_kind kind;
    live_view view;
    uint64_t after_seq; /* UINT64_MAX = from now */
    str q;              /* filter text; may be empty */
    bool has_agent, has_level;
    str agent;                             /* exact */
    enum level level;                      /* minimum */
    struct pred *(*also)(struct arena *a); /* further condition; NULL = none */
    str hello;                             /* WebSocket: first frame */
    /* puts one item into the stream */
    void (*put)(struct buf *out, const struct live_item *it);
    bool tell_drops;
    int64_t timeout_ms; /* poll; 0: do not wait */
    uint32_t limit;     /* poll */
    void (*poll_reply)(struct call *c, str items, uint32_t n, uint64_t cursor, uint64_t dropped);
};
/* Subscribes and answers the call (or refuses it). */
void tail_start(struct call *c, const struct tail_spec *spec);
int tails_new(struct server *s, struct err *err);
void tails_free(struct server *s);
/* ends the tails of a key (0 = all) soon; any thread */
void tails_end(struct server *s, uint32_t key_id);
/* ends those that auth_still() denies; any thread */
void tails_check(struct server *s);

/* ---- values.c ---- */
/* Counts a field's values over the rows that match, by falling count, then by text. Memory from
 * j->arena. *ret_more: there were more than VALUES_MAX, the rest was not counted. */
int values_count(struct job *j, const struct pred *filter, const struct fieldref *f,
                 struct value_count **ret, uint32_t *ret_n, uint64_t *ret_present, bool *ret_more,
                 struct err *err);

/* ---- native_entries.c ---- */
/* Marks entries by id as resolved. *ret_found: how many of them there are; ids that are not go to
 * `missing` as JSON strings, comma-separated. */
int resolve_ids(struct job *j, const str *ids, uint32_t n, str by, str note, uint32_t *ret_found,
                struct buf *missing, struct err *err);

/* ---- page.c ---- */
int page_new(struct server *s, struct err *err);
void page_free(struct server *s);
void reply_page(struct call *c);

#endif
