/* native_traces.c: traces, sessions, cost and agents over HTTP.
 *
 * Every answer is made of queries in the language: what a person can ask for by /api/v1/query, put
 * together under one address with an account of its own. q may end in pipes that keep whole
 * entries, such as `where`. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "model/price.h"
#include "server/handlers.h"
#include "server/internal.h"

#define LIST_DEFAULT 100
#define LIST_MAX 10000
#define ENTRIES_DEFAULT 1000
#define SPANS_MAX 100000
#define WARNINGS_MAX 8

struct insight {
    str q, id, by, sort;
    struct query_opts o;
    uint64_t limit;
    bool asc, logs;
    /* the account of all queries of the answer */
    char *warnings[WARNINGS_MAX];
    uint32_t nwarnings;
    bool incomplete, more;
    uint64_t rows;
};

/* ---- a part of the answer ---- */

static int flush(void *ctx, struct buf *out, struct err *err)
{
    (void)out;
    return job_flush(ctx, err);
}

static int note(struct job *j, struct insight *x, const struct query_result *res, struct err *err)
{
    x->incomplete |= res->cost.incomplete;
    x->more |= res->more || res->truncated;
    x->rows = res->rows;
    for (uint32_t i = 0; i < res->nwarnings && x->nwarnings < WARNINGS_MAX; i++) {
        char *own = arena_strz(&j->arena, str_c(res->warnings[i]));
        if (!own)
            return err_nomem(err);
        x->warnings[x->nwarnings++] = own;
    }
    return 0;
}

/* Rows of q with pipes behind it, which match `also`: as an array, or as NDJSON. */
static int run_rows(struct job *j, struct insight *x, str q, const char *pipes,
                    const struct pred *also, uint64_t limit, bool oldest, enum query_format format,
                    struct err *err)
{
    struct query_opts o = x->o;
    struct query_writer w;
    struct query_result res = { 0 };
    struct query *query = NULL;
    struct pred *seen;
    char *text = arena_printf(&j->arena, "%.*s%s", STR_FMT(str_trim(q).n ? q : STR("*")), pipes);
    int rc = text ? job_filter(j, also, &seen, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    o.also = seen;
    o.prices = job_prices(j);
    o.limit = (uint32_t)limit;
    o.oldest_first = oldest;
    rc = query_parse(&query, str_c(text), &o, err);
    if (rc < 0)
        return rc;
    rc = query_writer_init(&w, format, &j->out, err);
    if (rc == 0) {
        w.flush = flush;
        w.flush_ctx = j;
        rc = query_run(query, j->s->store, &w.sink, &j->ctl, &res, err);
        if (rc == 0)
            rc = query_writer_end(&w, err);
        query_writer_deinit(&w);
    }
    if (rc == 0)
        rc = note(j, x, &res, err);
    query_free(query);
    return rc < 0 ? rc : 0;
}

/* "name":[rows] */
static int put_list(struct job *j, struct insight *x, bool *first, const char *name, str q,
                    const char *pipes, const struct pred *also, uint64_t limit, struct err *err)
{
    json_key(&j->out, first, name);
    return run_rows(j, x, q, pipes, also, limit, false, QF_JSON, err);
}

/* "name":{the only row} or null */
static int put_one(struct job *j, struct insight *x, bool *first, const char *name, str q,
                   const char *pipes, const struct pred *also, struct err *err)
{
    json_key(&j->out, first, name);
    size_t at = j->out.n;
    int rc = run_rows(j, x, q, pipes, also, 1, false, QF_NDJSON, err);
    if (rc == 0 && j->out.n == at)
        buf_puts(&j->out, "null");
    else if (rc == 0 && j->out.n > at && j->out.p[j->out.n - 1] == '\n')
        buf_truncate(&j->out, j->out.n - 1);
    return rc;
}

static void put_end(struct job *j, const struct insight *x)
{
    bool first = false;
    json_key(&j->out, &first, "warnings");
    buf_putc(&j->out, '[');
    for (uint32_t i = 0; i < x->nwarnings; i++) {
        buf_puts(&j->out, i ? "," : "");
        json_put_bytes(&j->out, str_c(x->warnings[i]));
    }
    buf_putc(&j->out, ']');
    json_kv_bool(&j->out, &first, "incomplete", x->incomplete);
    buf_puts(&j->out, "}\n");
}

static int not_found(const char *what, str id, struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no %s '%.*s'", what, STR_FMT(str_sub(id, 0, 200)));
}

/* ---- parameters ---- */

static struct insight *begin(struct call *c, uint64_t limit, uint64_t most)
{
    struct insight *x = arena_zalloc(c->req->arena, sizeof *x);
    if (!x) {
        reply_error(c, 503, "busy", "out of memory");
        return NULL;
    }
    x->limit = limit;
    query_opts_default(&x->o);
    x->o.now = server_now(c->s);
    x->o.start = TS_MIN;
    x->o.end = TS_MAX;
    param_str(c, "q", &x->q);
    if (!param_time(c, "start", &x->o.start) || !param_time(c, "end", &x->o.end) ||
        !param_u64(c, "limit", 1, most, &x->limit))
        return NULL; /* answered */
    return x;
}

static bool one_of(struct call *c, const char *name, const char *const *words, str *ret)
{
    if (!param_str(c, name, ret))
        return true;
    for (const char *const *w = words; *w; w++)
        if (str_eq(*ret, str_c(*w)))
            return true;
    char list[200];
    size_t n = 0;
    for (const char *const *w = words; *w; w++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", *w);
    reply_bad_param(c, name, "must be one of %s", list);
    return false;
}

static bool param_sort(struct call *c, struct insight *x, const char *const *words)
{
    str order;
    if (!one_of(c, "sort", words, &x->sort))
        return false;
    if (!param_str(c, "order", &order))
        return true;
    x->asc = str_eq(order, STR("asc"));
    if (x->asc || str_eq(order, STR("desc")))
        return true;
    reply_bad_param(c, "order", "must be asc or desc");
    return false;
}

/* ---- lists ---- */

static int run_list(struct job *j, const char *pipe, const char *key, struct err *err)
{
    struct insight *x = j->args;
    bool first = true;
    char pipes[160];
    str by = x->sort.n ? x->sort : STR("start");
    snprintf(pipes, sizeof pipes, "\n| %s | sort by %.*s %s, %s", pipe, STR_FMT(by),
             x->asc ? "asc" : "desc", key);
    buf_putc(&j->out, '{');
    int rc = put_list(j, x, &first, pipe, x->q, pipes, NULL, x->limit, err);
    if (rc == 0) {
        json_kv_u64(&j->out, &first, "count", x->rows);
        json_kv_bool(&j->out, &first, "more", x->more);
        put_end(j, x);
    }
    return rc;
}

static int run_traces(struct job *j, struct err *err)
{
    return run_list(j, "traces", "trace_id", err);
}

static int run_sessions(struct job *j, struct err *err)
{
    return run_list(j, "sessions", "session_id", err);
}

static const char *const sorts[] = { "start",  "end",    "duration_ms", "entries",    "spans",
                                     "errors", "tokens", "cost_usd",    "tool_calls", NULL };

void native_traces(struct call *c)
{
    struct insight *x = begin(c, LIST_DEFAULT, LIST_MAX);
    if (x && param_sort(c, x, sorts))
        job_start(c, run_traces, x, 0);
}

void native_sessions(struct call *c)
{
    struct insight *x = begin(c, LIST_DEFAULT, LIST_MAX);
    if (x && param_sort(c, x, sorts))
        job_start(c, run_sessions, x, 0);
}

/* ---- one trace ---- */

static int run_trace(struct job *j, struct err *err)
{
    struct insight *x = j->args;
    const struct pred *id = pred_eq(&j->arena, F_TRACE_ID, x->id);
    bool first = true;
    if (!id)
        return err_nomem(err);
    buf_putc(&j->out, '{');
    int rc = put_one(j, x, &first, "summary", STR("*"), "| traces", id, err);
    if (rc == 0 && x->rows == 0)
        return not_found("trace", x->id, err);
    x->more = false;
    if (rc == 0)
        rc = put_list(j, x, &first, "spans", STR("*"), x->logs ? "| trace logs" : "| trace", id,
                      SPANS_MAX, err);
    if (rc == 0) {
        json_kv_u64(&j->out, &first, "count", x->rows);
        json_kv_bool(&j->out, &first, "more", x->more);
        put_end(j, x);
    }
    return rc;
}

void native_trace(struct call *c)
{
    struct insight *x = begin(c, LIST_DEFAULT, LIST_MAX);
    if (!x)
        return;
    x->id = c->args[0];
    if (param_bool(c, "logs", &x->logs))
        job_start(c, run_trace, x, 0);
}

/* ---- one session ---- */

static int run_session(struct job *j, struct err *err)
{
    struct insight *x = j->args;
    const struct pred *id = pred_eq(&j->arena, F_SESSION_ID, x->id);
    bool first = true;
    if (!id)
        return err_nomem(err);
    buf_putc(&j->out, '{');
    int rc = put_one(j, x, &first, "summary", STR("*"), "| sessions", id, err);
    if (rc == 0 && x->rows == 0)
        return not_found("session", x->id, err);
    if (rc == 0)
        rc =
            put_list(j, x, &first, "lineage", STR("*"), "| lineage by agent_id", id, LIST_MAX, err);
    if (rc == 0)
        rc = put_list(j, x, &first, "tools", STR("tool:*"),
                      "| stats count() as entries, count() if (level:error) as errors, "
                      "p50(duration_ms) as p50_ms, p95(duration_ms) as p95_ms by tool "
                      "| sort by entries desc, tool",
                      id, LIST_MAX, err);
    if (rc == 0)
        rc = put_list(j, x, &first, "models", STR("*"), "| usage by model", id, LIST_MAX, err);
    x->more = false;
    if (rc == 0) {
        json_key(&j->out, &first, "timeline");
        rc = run_rows(j, x, x->q, "", id, x->limit, true, QF_JSON, err);
    }
    if (rc == 0) {
        json_kv_u64(&j->out, &first, "count", x->rows);
        json_kv_bool(&j->out, &first, "more", x->more);
        put_end(j, x);
    }
    return rc;
}

void native_session(struct call *c)
{
    struct insight *x = begin(c, ENTRIES_DEFAULT, LIST_MAX);
    if (!x)
        return;
    x->id = c->args[0];
    job_start(c, run_session, x, 0);
}

/* ---- cost ---- */

static const char *const cost_keys[] = { "agent", "model", "tool", "session", "day", NULL };

static int run_cost(struct job *j, struct err *err)
{
    struct insight *x = j->args;
    bool first = true;
    char pipes[160];
    if (str_eq(x->by, STR("day")))
        snprintf(pipes, sizeof pipes, "\n| usage by time(1d) as day");
    else
        snprintf(pipes, sizeof pipes,
                 "\n| usage by %.*s | sort by cost_usd desc, tokens desc, %.*s", STR_FMT(x->by),
                 STR_FMT(x->by));
    buf_putc(&j->out, '{');
    json_kv_str(&j->out, &first, "by", x->by);
    int rc = put_one(j, x, &first, "total", x->q, "\n| usage", NULL, err);
    x->more = false;
    if (rc == 0)
        rc = put_list(j, x, &first, "rows", x->q, pipes, NULL, x->limit, err);
    if (rc == 0) {
        json_kv_u64(&j->out, &first, "count", x->rows);
        json_kv_bool(&j->out, &first, "more", x->more);
        json_kv_u64(&j->out, &first, "prices", prices_count(job_prices(j)));
        put_end(j, x);
    }
    return rc;
}

static bool param_tz(struct call *c, struct insight *x)
{
    str s;
    if (!param_str(c, "tz", &s) || offset_parse(s, &x->o.tz_minutes))
        return true;
    reply_bad_param(c, "tz", "must be an offset like +02:00");
    return false;
}

void native_cost(struct call *c)
{
    struct insight *x = begin(c, LIST_DEFAULT, LIST_MAX);
    if (!x)
        return;
    x->by = STR("agent");
    if (one_of(c, "by", cost_keys, &x->by) && param_tz(c, x))
        job_start(c, run_cost, x, 0);
}

/* ---- one agent ---- */

static int run_agent(struct job *j, struct err *err)
{
    struct insight *x = j->args;
    const struct pred *id = pred_eq(&j->arena, F_AGENT, x->id);
    bool first = true;
    struct buf name;
    if (!id)
        return err_nomem(err);
    buf_putc(&j->out, '{');
    json_kv_str(&j->out, &first, "agent", x->id);
    int rc = put_one(j, x, &first, "summary", STR("*"),
                     "| stats count() as entries, count() if (level:error) as errors, "
                     "min(timestamp) as first, max(timestamp) as last, "
                     "count_distinct(session_id) as sessions, count_distinct(trace_id) as traces "
                     "by agent",
                     id, err);
    if (rc == 0 && x->rows == 0)
        return not_found("agent", x->id, err);
    if (rc == 0)
        rc = put_one(j, x, &first, "usage", STR("*"), "| usage", id, err);
    if (rc == 0)
        rc = put_list(j, x, &first, "models", STR("*"), "| usage by model", id, LIST_MAX, err);
    if (rc == 0)
        rc = put_list(j, x, &first, "tools", STR("tool:*"),
                      "| stats count() as entries, count() if (level:error) as errors, "
                      "p50(duration_ms) as p50_ms, p95(duration_ms) as p95_ms by tool "
                      "| sort by entries desc, tool",
                      id, LIST_MAX, err);
    buf_init(&name, 4096 + 8 * x->id.n);
    buf_puts(&name, "| lineage | where agent=");
    json_put_str(&name, x->id);
    buf_puts(&name, " OR parent_agent=");
    json_put_str(&name, x->id);
    char *pipes = arena_strz(&j->arena, buf_str(&name));
    buf_deinit(&name);
    if (rc == 0)
        rc = pipes ? put_list(j, x, &first, "lineage", STR("*"), pipes, NULL, LIST_MAX, err)
                   : err_nomem(err);
    if (rc == 0)
        put_end(j, x);
    return rc;
}

void native_agent(struct call *c)
{
    struct insight *x = begin(c, LIST_DEFAULT, LIST_MAX);
    if (!x)
        return;
    x->id = c->args[0];
    job_start(c, run_agent, x, 0);
}
