/* mals.c: the MALS REST API: writing, listing, resolving. Errors in FastAPI's shapes. */
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "model/ident.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/summary.h"

#define RESOLVE_MAX 10000

/* ---- writing ---- */

static void put_422(struct buf *b, const char *type, const char *loc, const char *msg, str input)
{
    buf_printf(b, "{\"detail\":[{\"type\":\"%s\",\"loc\":[%s],\"msg\":", type, loc);
    json_put_bytes(b, str_c(msg));
    buf_puts(b, ",\"input\":");
    buf_putstr(b, input.n && input.n <= 1024 ? input : STR("null"));
    buf_puts(b, "}]}\n");
}

static void reply_422(struct call *c, const char *type, const char *loc, const char *msg, str input)
{
    struct buf b;
    buf_init(&b, 65536);
    put_422(&b, type, loc, msg, input);
    if (buf_ok(&b))
        reply_json(c, 422, buf_str(&b));
    else
        reply_error(c, 422, "bad_input", "%s", msg);
    buf_deinit(&b);
}

/* text as a JSON string, as `input` shows it; null when there is no memory for it */
static str quoted(struct call *c, str text)
{
    struct buf b;
    buf_init(&b, 8192);
    json_put_bytes(&b, text);
    str s = buf_ok(&b) ? arena_dup(c->req->arena, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    return s;
}

/* true: answered */
static bool refused(struct ingest_op *op)
{
    struct call *c = op->c;
    if (op->rc == 0)
        return false;
    if (op->rc != ERR_INVALID) {
        reply_err(c, &op->err);
    } else if (op->by_agent) {
        reply_error(c, 403, "forbidden", "this key may not write as that agent");
    } else if (op->detail.n > 2) {
        struct buf b;
        buf_init(&b, op->detail.n + 64);
        buf_puts(&b, "{\"detail\":");
        buf_putstr(&b, op->detail);
        buf_puts(&b, "}\n");
        reply_json(c, 422, buf_ok(&b) ? buf_str(&b) : STR("{\"detail\":[]}\n"));
        buf_deinit(&b);
    } else {
        char loc[48] = "\"body\"";
        if (op->err.pos >= 0)
            snprintf(loc, sizeof loc, "\"body\",%lld", (long long)op->err.pos);
        reply_422(c, "json_invalid", loc, op->err.msg, STR("{}"));
    }
    return true;
}

/* time: whole microseconds, see ingest_start */
static str put_logged(const struct ingest_op *op, ts_ns time, char body[160])
{
    char id[ID_TEXT], text[TS_TEXT_MAX];
    id_make(store_ids(op->c->s->store), op->a.received_at, op->a.base_seq, id);
    ts_format(time, -1, text);
    int n = snprintf(body, 160, "{\"id\":\"%.36s\",\"created_at\":\"%s\"}\n", id, text);
    return str_n(body, (size_t)n);
}

/* the first answer told the time of the entry, which only the store still knows */
static int run_logged_before(struct job *j, struct err *err)
{
    const struct ingest_op *op = j->args;
    char body[160];
    ts_ns time = op->a.received_at;
    int rc = rows_time_of(j, op->a.base_seq, &time, err);
    if (rc == 0)
        buf_putstr(&j->out, put_logged(op, time, body));
    return rc;
}

static void log_reply(struct ingest_op *op)
{
    char body[160];
    if (refused(op))
        return;
    if (op->a.duplicate)
        job_start(op->c, run_logged_before, op, 0);
    else
        reply_json(op->c, 200, put_logged(op, op->now, body));
}

void mals_log(struct call *c)
{
    ingest_start(c, DIALECT_MALS, true, STR_NULL, log_reply);
}

static void batch_reply(struct ingest_op *op)
{
    char body[64];
    if (refused(op))
        return;
    int n = snprintf(body, sizeof body, "{\"inserted\":%u}\n", op->accepted);
    reply_json(op->c, 200, str_n(body, (size_t)n));
}

void mals_batch(struct call *c)
{
    ingest_start(c, DIALECT_MALS_BATCH, true, STR_NULL, batch_reply);
}

/* ---- GET /logs ---- */

struct list {
    bool has_agent, has_category, has_source, has_level, has_resolved, resolved;
    str agent, category, source, search;
    enum level level;
    ts_ns since, until;
    uint64_t limit, offset;
};

static int run_list(struct job *j, struct err *err)
{
    const struct list *l = j->args;
    struct arena *a = &j->arena;
    struct pred *p =
        l->since == TS_MIN && l->until == TS_MAX ? pred_true(a) : pred_time(a, l->since, l->until);
    if (l->has_agent)
        p = pred_and(a, p, pred_eq(a, F_AGENT, l->agent));
    if (l->has_category)
        p = pred_and(a, p, pred_eq(a, F_CATEGORY, l->category));
    if (l->has_source)
        p = pred_and(a, p, pred_eq(a, F_SOURCE, l->source));
    if (l->has_level)
        p = pred_and(a, p, pred_level_is(a, l->level));
    if (l->has_resolved)
        p = pred_and(a, p, pred_resolved(a, l->resolved));
    if (l->search.n)
        p = pred_and(a, p, pred_substr(a, F_MESSAGE, l->search, true));
    struct rows_got got;
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct rows_want want = { .filter = p,
                              .total = true,
                              .limit = l->limit,
                              .offset = l->offset,
                              .view = view_mals,
                              .separator = STR(",\n") };
    buf_puts(&j->out, "{\"items\":[");
    rc = rows_put(j, &want, &got, err);
    buf_printf(&j->out, "],\"total\":%llu}\n", (unsigned long long)got.total);
    return rc;
}

/* one of the five names, lower case; false: answered */
static bool param_level(struct call *c, struct list *l)
{
    str s;
    if (!http_param(c->req, "level", &s))
        return true;
    for (int lv = LV_DEBUG; lv < LV__COUNT; lv++)
        if (str_eq(s, level_names[lv])) {
            l->has_level = true;
            l->level = (enum level)lv;
            return true;
        }
    reply_bad_param(c, "level", "Input should be 'debug', 'info', 'warn', 'error' or 'critical'");
    return false;
}

void mals_list(struct call *c)
{
    if (http_prefers_html(c->req)) {
        reply_page(c);
        return;
    }
    struct list *l = arena_zalloc(c->req->arena, sizeof *l);
    str resolved;
    if (!l) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    l->since = TS_MIN;
    l->until = TS_MAX;
    l->limit = 100;
    l->has_agent = http_param(c->req, "agent_id", &l->agent);
    l->has_category = http_param(c->req, "category", &l->category);
    l->has_source = http_param(c->req, "source", &l->source);
    l->has_resolved = http_param(c->req, "resolved", &resolved);
    param_str(c, "search", &l->search);
    if (param_level(c, l) && param_bool(c, "resolved", &l->resolved) &&
        param_time(c, "since", &l->since) && param_time(c, "until", &l->until) &&
        param_u64(c, "limit", 1, 1000, &l->limit) && param_u64(c, "offset", 0, 1000000, &l->offset))
        job_start(c, run_list, l, 0);
}

/* ---- resolving ---- */

struct resolve {
    const str *ids;
    uint32_t n;
    str by;
    bool one;
};

static int put_item(void *arg, struct block *b, uint32_t row, struct err *err)
{
    struct job *j = arg;
    return view_mals(&j->out, b, row, err);
}

static int run_resolve(struct job *j, struct err *err)
{
    const struct resolve *r = j->args;
    uint32_t found = 0;
    struct buf missing;
    buf_init(&missing, (size_t)4 << 20);
    int rc = resolve_ids(j, r->ids, r->n, r->by, STR_NULL, &found, &missing, err);
    if (rc == 0 && r->one) {
        uint64_t seq;
        rc = found ? store_find_id(j->s->store, r->ids[0], &seq, err)
                   : err_set(err, ERR_NOTFOUND, "Log entry not found");
        if (rc == 0)
            rc = rows_one(j, seq, put_item, j, err);
        buf_putc(&j->out, '\n');
    } else if (rc == 0) {
        buf_printf(&j->out, "{\"resolved\":%u,\"not_found\":[", found);
        buf_putstr(&j->out, buf_str(&missing));
        buf_puts(&j->out, "]}\n");
        if (!buf_ok(&missing))
            rc = err_nomem(err);
    }
    buf_deinit(&missing);
    return rc;
}

/* the body and its resolved_by; false: answered */
static bool body_by(struct call *c, struct jobject *o, str *by)
{
    struct err err = ERR_INIT;
    int rc = jobject_parse(o, c->req->body, c->req->arena, &err);
    if (rc == ERR_NOMEM) {
        reply_err(c, &err);
        return false;
    }
    if (rc < 0) {
        char loc[48] = "\"body\"";
        if (err.pos >= 0)
            snprintf(loc, sizeof loc, "\"body\",%lld", (long long)err.pos);
        reply_422(c, "json_invalid", loc, err.msg, STR("{}"));
        return false;
    }
    const struct jmember *m = jobject_get(o, "resolved_by");
    if (!m || !jmember_str(m, c->req->arena, by)) {
        reply_422(c, m ? "string_type" : "missing", "\"body\",\"resolved_by\"",
                  m ? "Input should be a valid string" : "Field required",
                  !m                    ? c->req->body
                  : m->type == JSON_STR ? STR_NULL
                                        : m->raw);
        return false;
    }
    if (by->n > 1024) {
        reply_422(c, "string_too_long", "\"body\",\"resolved_by\"",
                  "String should have at most 1024 characters", STR_NULL);
        return false;
    }
    return true;
}

void mals_resolve(struct call *c)
{
    struct resolve *r = arena_zalloc(c->req->arena, sizeof *r);
    struct jobject o;
    if (!r) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    if (!uuid_valid(c->args[0])) {
        reply_422(c, "uuid_parsing", "\"path\",\"log_id\"", "Input should be a valid UUID",
                  quoted(c, c->args[0]));
        return;
    }
    if (!body_by(c, &o, &r->by))
        return;
    r->ids = &c->args[0];
    r->n = 1;
    r->one = true;
    job_start(c, run_resolve, r, -1);
}

void mals_resolve_batch(struct call *c)
{
    struct resolve *r = arena_zalloc(c->req->arena, sizeof *r);
    struct jobject o;
    struct err err = ERR_INIT;
    str *ids;
    if (!r) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    if (!body_by(c, &o, &r->by))
        return;
    const struct jmember *m = jobject_get(&o, "ids");
    int rc = jmember_strs(m, c->req->arena, &ids, &r->n, &err);
    if (rc == ERR_NOMEM) {
        reply_err(c, &err);
        return;
    }
    if (rc < 0 || r->n > RESOLVE_MAX) {
        reply_422(c, m ? "list_type" : "missing", "\"body\",\"ids\"",
                  !m       ? "Field required"
                  : rc < 0 ? "Input should be a list of UUIDs"
                           : "At most 10000 ids at once",
                  !m                    ? c->req->body
                  : m->type == JSON_STR ? quoted(c, m->raw)
                                        : m->raw);
        return;
    }
    for (uint32_t i = 0; i < r->n; i++)
        if (!uuid_valid(ids[i])) {
            char loc[48];
            snprintf(loc, sizeof loc, "\"body\",\"ids\",%u", i);
            reply_422(c, "uuid_parsing", loc, "Input should be a valid UUID", quoted(c, ids[i]));
            return;
        }
    r->ids = ids;
    job_start(c, run_resolve, r, -1);
}
