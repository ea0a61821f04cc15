/* hooks.c: hook senders: POST /events, GET /events/recent, /events/filter-options, the WebSocket
 * /stream. Hook events are the entries that came in by POST /events; their shape says so. */
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "server/handlers.h"
#include "server/internal.h"

#define RECENT 300
#define RECENT_MAX 10000
#define SESSIONS_MAX 300

static struct pred *is_hook(struct arena *a)
{
    return pred_glob(a, F_SHAPE, STR("E*"));
}

/* ---- POST /events ---- */

/* required, and neither empty, null, false nor 0 */
static bool truthy(const struct jobject *o, const char *key)
{
    const struct jmember *m = jobject_get(o, key);
    double d;
    if (!m || m->type == JSON_NULL || m->type == JSON_FALSE)
        return false;
    if (m->type == JSON_STR)
        return m->raw.n > 0;
    return m->type != JSON_NUM || (str_to_f64(m->raw, &d) && d != 0);
}

static bool event_time(const struct jobject *o, ts_ns now, int64_t *ret_ms)
{
    const struct jmember *m = jobject_get(o, "timestamp");
    double d;
    *ret_ms = now / NS_PER_MS;
    if (m && m->type == JSON_NUM && str_to_i64(m->raw, ret_ms) && *ret_ms != 0)
        return false; /* kept as sent */
    if (m && m->type == JSON_NUM && str_to_f64(m->raw, &d) && d != 0)
        return false;
    if (m && m->type == JSON_STR && m->raw.n)
        return false;
    *ret_ms = now / NS_PER_MS;
    return true;
}

/* the event as sent, with id, timestamp and the state of its question */
static void put_echo(struct buf *b, const struct jobject *o, uint64_t id, ts_ns now)
{
    int64_t ms;
    bool first = true, set_time = event_time(o, now, &ms);
    buf_putc(b, '{');
    for (uint32_t i = 0; i < o->n; i++) {
        const struct jmember *m = &o->m[i];
        if (jobject_get(o, "id") == m || (set_time && str_eq(m->key, STR("timestamp"))))
            continue;
        if (!first)
            buf_putc(b, ',');
        first = false;
        json_put_str(b, m->key);
        buf_putc(b, ':');
        if (m->type == JSON_STR) {
            buf_putc(b, '"');
            buf_putstr(b, m->raw);
            buf_putc(b, '"');
        } else {
            buf_putstr(b, m->raw);
        }
    }
    json_kv_u64(b, &first, "id", id);
    if (set_time)
        json_kv_i64(b, &first, "timestamp", ms);
    if (jobject_get(o, "humanInTheLoop") && !jobject_get(o, "humanInTheLoopStatus")) {
        json_key(b, &first, "humanInTheLoopStatus");
        buf_puts(b, "{\"status\":\"pending\"}");
    }
    buf_puts(b, "}\n");
}

/* a repeat is answered with the time it got at first */
static int run_echo_again(struct job *j, struct err *err)
{
    const struct ingest_op *op = j->args;
    ts_ns time = op->a.received_at;
    int rc = rows_time_of(j, op->a.base_seq, &time, err);
    if (rc == 0)
        put_echo(&j->out, j->c->body, op->a.base_seq, time);
    return rc;
}

static void event_reply(struct ingest_op *op)
{
    struct call *c = op->c;
    struct buf b;
    if (op->by_agent) {
        reply_error(c, 403, "forbidden", "this key may not write as that agent");
        return;
    }
    if (op->rc < 0 && op->rc != ERR_INVALID) {
        reply_err(c, &op->err);
        return;
    }
    if (op->rc < 0 || !op->accepted) {
        reply_error(c, 400, "bad_input", "Invalid request: %s", op->err.msg);
        return;
    }
    if (op->a.duplicate) {
        job_start(c, run_echo_again, op, 0);
        return;
    }
    buf_init(&b, c->req->body.n * 2 + 65536);
    put_echo(&b, c->body, op->a.base_seq, op->now);
    if (buf_ok(&b))
        reply_json(c, 200, buf_str(&b));
    else
        reply_error(c, 503, "busy", "out of memory");
    buf_deinit(&b);
}

void hook_event(struct call *c)
{
    static const char *const required[] = { "source_app", "session_id", "hook_event_type",
                                            "payload" };
    struct jobject *o = arena_alloc(c->req->arena, sizeof *o);
    struct err err = ERR_INIT;
    int rc = o ? jobject_parse(o, c->req->body, c->req->arena, &err) : err_nomem(&err);
    if (rc == ERR_NOMEM) {
        reply_err(c, &err);
        return;
    }
    if (rc < 0) {
        reply_error(c, 400, "bad_input", "Invalid request: %s", err.msg);
        return;
    }
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!truthy(o, required[i])) {
            reply_error(c, 400, "bad_input", "Missing required fields");
            return;
        }
    c->body = o; /* for the echo */
    ingest_start(c, DIALECT_EVENTS, true, STR_NULL, event_reply);
}

/* ---- GET /events/recent ---- */

static int put_recent(struct job *j, uint32_t limit, uint64_t *ret_watermark, struct err *err)
{
    struct pred *p = is_hook(&j->arena);
    struct rows_got got;
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct rows_want want = {
        .filter = p, .limit = limit, .reverse = true, .view = view_hook, .separator = STR(",\n")
    };
    buf_putc(&j->out, '[');
    rc = rows_put(j, &want, &got, err);
    buf_putc(&j->out, ']');
    if (ret_watermark)
        *ret_watermark = got.watermark;
    return rc;
}

static int run_recent(struct job *j, struct err *err)
{
    int rc = put_recent(j, *(uint32_t *)j->args, NULL, err);
    buf_putc(&j->out, '\n');
    return rc;
}

void hook_recent(struct call *c)
{
    uint32_t *limit = arena_alloc(c->req->arena, sizeof *limit);
    int64_t n = RECENT;
    if (!limit) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    if (!param_i64(c, "limit", INT64_MIN, INT64_MAX, &n))
        return;
    *limit = n < 0 || n > RECENT_MAX ? RECENT_MAX : (uint32_t)n;
    job_start(c, run_recent, limit, 0);
}

/* ---- GET /events/filter-options ---- */

static int ascending(const void *a, const void *b)
{
    return str_cmp(((const struct value_count *)a)->json, ((const struct value_count *)b)->json);
}

static int descending(const void *a, const void *b)
{
    return ascending(b, a);
}

static int put_options(struct job *j, const char *key, enum field f, const struct pred *p,
                       int (*order)(const void *, const void *), uint32_t max, struct err *err)
{
    struct fieldref ref;
    struct value_count *v;
    uint32_t n;
    uint64_t present;
    bool more;
    if (!fieldref_make(&j->arena, field_table[f].name, false, &ref))
        return err_nomem(err);
    int rc = values_count(j, p, &ref, &v, &n, &present, &more, err);
    if (rc < 0)
        return rc;
    if (n)
        qsort(v, n, sizeof *v, order);
    buf_printf(&j->out, "%s\"%s\":[", f == F_AGENT ? "{" : ",", key);
    for (uint32_t i = 0; i < n && i < max; i++) {
        if (i)
            buf_putc(&j->out, ',');
        buf_putstr(&j->out, v[i].json);
    }
    buf_putc(&j->out, ']');
    return 0;
}

static int run_options(struct job *j, struct err *err)
{
    struct pred *p = is_hook(&j->arena);
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc == 0)
        rc = put_options(j, "source_apps", F_AGENT, p, ascending, VALUES_MAX, err);
    if (rc == 0)
        rc = put_options(j, "session_ids", F_SESSION_ID, p, descending, SESSIONS_MAX, err);
    if (rc == 0)
        rc = put_options(j, "hook_event_types", F_EVENT, p, ascending, VALUES_MAX, err);
    buf_puts(&j->out, "}\n");
    return rc;
}

void hook_options(struct call *c)
{
    job_start(c, run_options, NULL, 0);
}

/* ---- GET /stream ---- */

static void put_event(struct buf *out, const struct live_item *it)
{
    buf_puts(out, "{\"type\":\"event\",\"data\":");
    buf_putstr(out, it->json);
    buf_putc(out, '}');
}

/* what the first frame shows is behind us: the rest follows without a gap */
static void stream_go(struct job *j)
{
    struct tail_spec spec = { .kind = TAIL_WS,
                              .view = view_hook,
                              .after_seq = *(uint64_t *)j->args,
                              .also = is_hook,
                              .hello = buf_str(&j->out),
                              .put = put_event };
    tail_start(j->c, &spec);
}

static int run_stream(struct job *j, struct err *err)
{
    buf_puts(&j->out, "{\"type\":\"initial\",\"data\":");
    j->whole = true;
    j->then = stream_go;
    int rc = put_recent(j, RECENT, j->args, err);
    buf_putc(&j->out, '}');
    return rc;
}

void hook_stream(struct call *c)
{
    uint64_t *watermark = arena_zalloc(c->req->arena, sizeof *watermark);
    if (!watermark)
        reply_error(c, 503, "busy", "out of memory");
    else if (!http_is_websocket(c->req))
        reply_error(c, 426, "upgrade_required", "this is a WebSocket: ask for an upgrade");
    else
        job_start(c, run_stream, watermark, 0);
}
