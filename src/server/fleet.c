/* fleet.c: the Fleet Logger's HTTP API, in its own shapes.
 *
 * Where the original crashed or dropped the connection (a bad regex, a number that is none) the
 * answer is 400 with the reason; what it silently ignored (an unknown level, an unreadable min_ts)
 * is still ignored, and said in `warnings`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/handlers.h"
#include "server/internal.h"
#include "server/summary.h"

#define TRACE_MAX 10000
#define LIMIT_MAX (1u << 20)
#define TAIL_MAX_S 300

/* ---- POST /ingest ---- */

/* "Invalid JSON: what (at byte n)", as the original put it, without saying so twice */
static void bad_json(struct call *c, const struct err *err)
{
    str what = str_c(err->msg), twice = STR("invalid JSON: ");
    if (str_starts(what, twice))
        what = str_skip(what, twice.n);
    if (err->pos >= 0)
        reply_error(c, 400, "bad_input", "Invalid JSON: %.*s (at byte %lld)", STR_FMT(what),
                    (long long)err->pos);
    else
        reply_error(c, 400, "bad_input", "Invalid JSON: %.*s", STR_FMT(what));
}

static void ingest_reply(struct ingest_op *op)
{
    struct call *c = op->c;
    if (op->rc == ERR_INVALID && op->by_agent) {
        reply_error(c, 403, "forbidden", "%s", op->err.msg);
    } else if (op->rc == ERR_INVALID) {
        if (op->errors.n > 2) /* not [] */
            reply_error(c, 400, "bad_input", "Invalid entry: %s", op->err.msg);
        else
            bad_json(c, &op->err);
    } else if (op->rc < 0) {
        reply_err(c, &op->err);
    } else {
        char body[64];
        int n = snprintf(body, sizeof body, "{\"ingested\":%u,\"status\":\"ok\"}\n", op->accepted);
        reply_json(c, 200, str_n(body, (size_t)n));
    }
}

void fleet_ingest(struct call *c)
{
    ingest_start(c, DIALECT_FLEET, true, STR_NULL, ingest_reply);
}

/* ---- GET /search ---- */

struct search {
    bool has_agent, has_level, oldest;
    str agent, trace, session, pattern, q;
    enum level level;
    ts_ns from, to;
    uint64_t limit, offset;
    const char *warning[3];
    uint32_t nwarnings;
};

static struct pred *both(struct arena *a, struct pred *x, struct pred *y)
{
    return pred_and(a, x, y);
}

static int search_pred(struct job *j, const struct search *s, struct pred **ret, struct err *err)
{
    struct arena *a = &j->arena;
    struct pred *p =
        s->from == TS_MIN && s->to == TS_MAX ? pred_true(a) : pred_time(a, s->from, s->to);
    if (s->has_agent)
        p = both(a, p,
                 s->agent.n && memchr(s->agent.p, '*', s->agent.n) ? pred_glob(a, F_AGENT, s->agent)
                                                                   : pred_eq(a, F_AGENT, s->agent));
    if (s->has_level)
        p = both(a, p, pred_level_min(a, s->level));
    if (s->trace.n)
        p = both(a, p, pred_eq(a, F_TRACE_ID, s->trace));
    if (s->session.n)
        p = both(a, p, pred_eq(a, F_SESSION_ID, s->session));
    if (s->pattern.n) {
        struct pred *re;
        int rc = pred_regex(&re, a, F_MESSAGE, s->pattern, STR_NULL, err);
        if (rc < 0)
            return rc;
        p = both(a, p, re);
    }
    if (s->q.n) {
        const struct pred *q;
        int rc = job_parse_filter(j, s->q, TS_MIN, TS_MAX, &q, err);
        if (rc < 0)
            return rc;
        p = both(a, p, (struct pred *)q);
    }
    return p ? job_filter(j, p, ret, err) : err_nomem(err);
}

static int run_search(struct job *j, struct err *err)
{
    const struct search *s = j->args;
    struct pred *p;
    struct rows_got got;
    int rc = search_pred(j, s, &p, err);
    if (rc < 0)
        return rc;
    struct rows_want want = { .filter = p,
                              .oldest = s->oldest,
                              .ties_by_seq = true,
                              .offset = s->offset,
                              .limit = s->limit,
                              .view = view_fleet,
                              .separator = STR(",\n") };
    if (want.offset >= LIMIT_MAX)
        want.offset = LIMIT_MAX, want.limit = 0;
    else if (want.limit > LIMIT_MAX - want.offset)
        want.limit = LIMIT_MAX - want.offset;
    buf_puts(&j->out, "{\"results\":[");
    rc = rows_put(j, &want, &got, err);
    buf_printf(&j->out, "],\"count\":%llu,\"limit\":%llu,\"offset\":%llu",
               (unsigned long long)got.rows, (unsigned long long)s->limit,
               (unsigned long long)s->offset);
    for (uint32_t i = 0; i < s->nwarnings; i++) {
        buf_puts(&j->out, i ? ",\"" : ",\"warnings\":[\"");
        buf_puts(&j->out, s->warning[i]);
        buf_putc(&j->out, '"');
    }
    if (s->nwarnings)
        buf_putc(&j->out, ']');
    if (got.incomplete)
        buf_puts(&j->out, ",\"incomplete\":true");
    buf_puts(&j->out, "}\n");
    return rc;
}

/* epoch seconds; what cannot be read is ignored */
static void param_seconds(struct call *c, struct search *s, const char *name, const char *warning,
                          ts_ns *v)
{
    str text;
    ts_ns t;
    if (!param_str(c, name, &text))
        return;
    if (ts_from_seconds_text(text, &t))
        *v = t;
    else
        s->warning[s->nwarnings++] = warning;
}

void fleet_search(struct call *c)
{
    struct search *s = arena_zalloc(c->req->arena, sizeof *s);
    str level, sort;
    if (!s) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    s->from = TS_MIN;
    s->to = TS_MAX;
    s->limit = 100;
    s->has_agent = http_param(c->req, "agent", &s->agent);
    if (param_str(c, "level", &level)) {
        s->has_level = level_parse(level, &s->level);
        if (!s->has_level)
            s->warning[s->nwarnings++] = "level: unknown name, nothing was filtered by it";
    }
    param_seconds(c, s, "min_ts", "min_ts: not a number, ignored", &s->from);
    param_seconds(c, s, "max_ts", "max_ts: not a number, ignored", &s->to);
    if (s->to != TS_MAX)
        s->to++; /* inclusive */
    param_str(c, "trace_id", &s->trace);
    param_str(c, "session_id", &s->session);
    param_str(c, "pattern", &s->pattern);
    param_str(c, "q", &s->q);
    if (http_param(c->req, "sort", &sort))
        s->oldest = !str_eq_ci(sort, STR("desc"));
    if (param_u64(c, "limit", 0, UINT64_MAX / 4, &s->limit) &&
        param_u64(c, "offset", 0, UINT64_MAX / 4, &s->offset))
        job_start(c, run_search, s, 0);
}

/* ---- GET /trace/{id} ---- */

static int run_trace(struct job *j, struct err *err)
{
    str id = *(str *)j->args;
    struct pred *p = pred_eq(&j->arena, F_TRACE_ID, id);
    struct rows_got got;
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct rows_want want = {
        .filter = p, .oldest = true, .limit = TRACE_MAX, .view = view_fleet, .separator = STR(",\n")
    };
    buf_puts(&j->out, "{\"trace_id\":");
    json_put_bytes(&j->out, id);
    buf_puts(&j->out, ",\"entries\":[");
    rc = rows_put(j, &want, &got, err);
    buf_printf(&j->out, "],\"count\":%llu}\n", (unsigned long long)got.rows);
    return rc;
}

void fleet_trace(struct call *c)
{
    job_start(c, run_trace, &c->args[0], 0);
}

/* ---- GET /agents, /stats ---- */

static int run_agents(struct job *j, struct err *err)
{
    struct store_summary sum;
    int rc = summary_get(j, &sum, err);
    if (rc < 0)
        return rc;
    buf_puts(&j->out, "{\"agents\":{");
    for (uint32_t i = 0; i < sum.nagents; i++) {
        if (i)
            buf_putc(&j->out, ',');
        json_put_bytes(&j->out, sum.agents[i].name);
        buf_putc(&j->out, ':');
        buf_put_u64(&j->out, sum.agents[i].entries);
    }
    buf_printf(&j->out, "},\"count\":%u}\n", sum.nagents);
    return 0;
}

void fleet_agents(struct call *c)
{
    job_start(c, run_agents, NULL, 0);
}

static int by_entries(const void *a, const void *b)
{
    const struct agent_stat *x = *(struct agent_stat *const *)a,
                            *y = *(struct agent_stat *const *)b;
    if (x->entries != y->entries)
        return x->entries < y->entries ? 1 : -1;
    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static int put_top_agents(struct job *j, const struct store_summary *sum, struct err *err)
{
    struct agent_stat **order = arena_array(&j->arena, sum->nagents + 1, sizeof *order);
    if (!order)
        return err_nomem(err);
    for (uint32_t i = 0; i < sum->nagents; i++)
        order[i] = &sum->agents[i];
    qsort(order, sum->nagents, sizeof *order, by_entries);
    for (uint32_t i = 0; i < sum->nagents && i < 5; i++) {
        buf_puts(&j->out, i ? ",[" : "[");
        json_put_bytes(&j->out, order[i]->name);
        buf_printf(&j->out, ",%llu]", (unsigned long long)order[i]->entries);
    }
    return 0;
}

static void put_levels(struct buf *b, const uint64_t levels[LV__COUNT])
{
    uint64_t n[LV__COUNT];
    bool first = true;
    memcpy(n, levels, sizeof n);
    n[LV_DEBUG] += n[LV_TRACE]; /* which Fleet does not know */
    for (int lv = LV_DEBUG; lv < LV__COUNT; lv++)
        if (n[lv])
            json_kv_u64(b, &first, level_names_upper[lv].p, n[lv]);
}

static void put_ts(struct buf *b, const char *key, bool empty, ts_ns t)
{
    buf_printf(b, ",\"%s\":", key);
    if (empty)
        buf_puts(b, "null");
    else
        json_put_seconds(b, t);
}

static int run_stats(struct job *j, struct err *err)
{
    struct store_summary sum;
    struct buf *b = &j->out;
    int rc = summary_get(j, &sum, err);
    if (rc < 0)
        return rc;
    buf_printf(b, "{\"total_entries\":%llu,\"agents_count\":%u,\"level_counts\":{",
               (unsigned long long)sum.entries, sum.nagents);
    put_levels(b, sum.levels);
    buf_puts(b, "},\"agent_counts\":{");
    for (uint32_t i = 0; i < sum.nagents; i++) {
        if (i)
            buf_putc(b, ',');
        json_put_bytes(b, sum.agents[i].name);
        buf_putc(b, ':');
        buf_put_u64(b, sum.agents[i].entries);
    }
    buf_puts(b, "},\"top_agents\":[");
    rc = put_top_agents(j, &sum, err);
    buf_puts(b, "],\"hourly_counts\":{");
    for (uint32_t i = 0; i < sum.nhours; i++) {
        char text[TS_TEXT_MAX];
        ts_format(sum.hours[i].hour * 3600 * NS_PER_S, 0, text);
        buf_printf(b, "%s\"%.13s:00\":%llu", i ? "," : "", text,
                   (unsigned long long)sum.hours[i].entries);
    }
    buf_putc(b, '}');
    put_ts(b, "earliest_ts", sum.entries == 0, sum.t_min);
    put_ts(b, "latest_ts", sum.entries == 0, sum.t_max);
    buf_printf(b, ",\"index_size\":%llu,\"storage_dir\":", (unsigned long long)sum.entries);
    json_put_bytes(b, str_c(j->s->cfg.data_dir));
    buf_puts(b, "}\n");
    return rc;
}

void fleet_stats(struct call *c)
{
    job_start(c, run_stats, NULL, 0);
}

/* ---- GET /tail ---- */

static void tail_reply(struct call *c, str items, uint32_t n, uint64_t cursor, uint64_t dropped)
{
    struct buf b;
    (void)cursor;
    buf_init(&b, items.n + 128);
    buf_puts(&b, "{\"entries\":[");
    buf_putstr(&b, items);
    buf_printf(&b, "],\"count\":%u", n);
    if (dropped)
        buf_printf(&b, ",\"dropped\":%llu", (unsigned long long)dropped);
    buf_puts(&b, "}\n");
    if (buf_ok(&b))
        reply_json(c, 200, buf_str(&b));
    else
        reply_error(c, 503, "busy", "out of memory");
    buf_deinit(&b);
}

void fleet_tail(struct call *c)
{
    double seconds = 30;
    str agent, level;
    struct tail_spec spec = { .kind = TAIL_POLL,
                              .view = view_fleet,
                              .after_seq = UINT64_MAX,
                              .limit = 1000,
                              .poll_reply = tail_reply };
    if (!param_f64(c, "timeout", 0, 1e9, &seconds))
        return;
    spec.timeout_ms = (int64_t)((seconds > TAIL_MAX_S ? TAIL_MAX_S : seconds) * 1000);
    if (http_param(c->req, "agent", &agent)) {
        spec.has_agent = true;
        spec.agent = agent;
    }
    if (param_str(c, "level", &level))
        spec.has_level = level_parse(level, &spec.level);
    tail_start(c, &spec);
}

/* ---- DELETE /prune ---- */

static int run_prune(struct job *j, struct err *err)
{
    int64_t days = *(int64_t *)j->args;
    uint64_t deleted = 0;
    struct pred *p = pred_time(&j->arena, TS_MIN, server_now(j->s) - days * NS_PER_DAY);
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc == 0)
        rc = store_delete(j->s->store, p, false, &deleted, err);
    if (rc < 0)
        return rc;
    log_info("server", "pruned %llu entries older than %lld days (key %u)",
             (unsigned long long)deleted, (long long)days, j->c->who->key_id);
    buf_printf(&j->out, "{\"pruned\":%llu,\"retention_days\":%lld}\n", (unsigned long long)deleted,
               (long long)days);
    return 0;
}

void fleet_prune(struct call *c)
{
    int64_t *days = arena_alloc(c->req->arena, sizeof *days);
    if (!days) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    *days = 30;
    if (param_i64(c, "days", -36500, 36500, days))
        job_start(c, run_prune, days, -1);
}
