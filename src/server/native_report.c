/* native_report.c: GET /api/v1/report: a page of what happened in a window of time.
 *
 * The report is insight/report.h's; here its queries are run one after the other by one job, under
 * the key's restriction and the job's deadline, and their rows taken from the encoder that answers
 * /api/v1/query with. The page holds texts of strangers: it is sent under a policy that lets it run
 * and load nothing, and never as a page of this server's origin. */
#include <string.h>

#include "insight/report.h"
#include "server/handlers.h"
#include "server/internal.h"

#define LINE_MAX_BYTES ((size_t)64 << 20)

struct request {
    struct report_opts o;
    ts_ns now;
};

struct asking {
    struct job *j;
    const struct request *r;
    struct report_rows *to; /* of the query that runs */
};

static const char report_headers[] =
    PRIVATE_HEADERS "Content-Security-Policy: sandbox; default-src 'none'; style-src "
                    "'unsafe-inline'\r\n"
                    "X-Content-Type-Options: nosniff\r\n";

/* whole lines of NDJSON to rows; what is left of a line stays */
static int take_lines(void *ctx, struct buf *out, struct err *err)
{
    struct asking *a = ctx;
    str rest = buf_str(out);
    size_t n;
    int rc = 0;
    while (rc == 0 && (n = str_chr(rest, '\n')) != SIZE_MAX) {
        rc = report_row(a->to, str_sub(rest, 0, n), err);
        rest = str_skip(rest, n + 1);
    }
    buf_drop_front(out, out->n - rest.n);
    return rc;
}

static int run_one(struct asking *a, struct query *q, bool *ret_incomplete, struct err *err)
{
    struct query_writer w;
    struct query_result res = { 0 };
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    int rc = query_writer_init(&w, QF_NDJSON, &out, err);
    if (rc < 0) {
        buf_deinit(&out);
        return rc;
    }
    w.flush = take_lines;
    w.flush_ctx = a;
    rc = query_run(q, a->j->s->store, &w.sink, &a->j->ctl, &res, err);
    if (rc == 0)
        rc = query_writer_end(&w, err);
    if (rc == 0 && !buf_ok(&out))
        rc = err_set(err, ERR_LIMIT, "a row is too large to show");
    if (rc == 0)
        rc = take_lines(a, &out, err);
    *ret_incomplete = res.cost.incomplete;
    query_writer_deinit(&w);
    buf_deinit(&out);
    return rc;
}

static int ask(void *ctx, str text, ts_ns start, ts_ns end, struct report_rows *to,
               bool *ret_incomplete, struct err *err)
{
    struct asking *a = ctx;
    struct query_opts o;
    struct query *q;
    struct pred *also = NULL;
    int rc = a->j->c->who->agent[0] ? job_filter(a->j, NULL, &also, err) : 0;
    if (rc < 0)
        return rc;
    query_opts_default(&o);
    o.now = a->r->now;
    o.start = start;
    o.end = end;
    o.also = also;
    o.prices = job_prices(a->j);
    rc = query_parse(&q, text, &o, err);
    if (rc < 0)
        return rc;
    a->to = to;
    rc = run_one(a, q, ret_incomplete, err);
    query_free(q);
    return rc;
}

static int run_report(struct job *j, struct err *err)
{
    struct request *r = j->args;
    struct asking a = { .j = j, .r = r };
    struct report_source src = { &a, ask };
    const struct pred *filter;
    /* alone, so that places in it are counted from its own start */
    int rc = job_parse_filter(j, r->o.filter, TS_MIN, TS_MAX, &filter, err);
    if (rc < 0)
        return rc;
    j->type =
        r->o.format == REPORT_HTML ? "text/html; charset=utf-8" : "text/markdown; charset=utf-8";
    j->headers = report_headers;
    return report_write(&j->out, &r->o, &src, err);
}

void native_report(struct call *c)
{
    struct request *r = arena_zalloc(c->req->arena, sizeof *r);
    int64_t timeout_ns = 0;
    str format;
    if (!r) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    r->now = server_now(c->s);
    r->o.until = r->now;
    r->o.since = TS_MIN;
    param_str(c, "q", &r->o.filter);
    param_str(c, "title", &r->o.title);
    if (param_str(c, "format", &format) && !report_format_parse(format, &r->o.format)) {
        reply_bad_param(c, "format", "must be html or md");
        return;
    }
    if (!param_time(c, "end", &r->o.until))
        return;
    r->o.since = r->o.until < TS_MIN + NS_PER_DAY ? TS_MIN : r->o.until - NS_PER_DAY;
    if (!param_time(c, "start", &r->o.since) ||
        !param_duration(c, "timeout", NS_PER_S, &timeout_ns))
        return;
    job_start(c, run_report, r, timeout_ns ? timeout_ns / NS_PER_MS + 1 : 0);
}
