/* native_query.c: GET and POST /api/v1/query.
 *
 * A page's cursor says where it ended and what was visible when the first page was made, so pages
 * neither shift nor repeat while entries arrive:
 *
 *   hash of the query 8 | now 8 | highest seq 8 | last time 8 | last seq 8 | key 4 | MAC 16, in hex
 *
 * The MAC is HMAC-SHA256 under a key derived from the store's secret: a cursor cannot be made up,
 * nor used with another query or by another key. */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/hash.h"
#include "base/rd.h"
#include "codec/json.h"
#include "server/handlers.h"
#include "server/internal.h"

#define CURSOR_BODY 44
#define CURSOR_MAC 16
#define CURSOR_BYTES (CURSOR_BODY + CURSOR_MAC)
#define LIMIT_MAX 10000000

struct cursor {
    ts_ns now, time;
    uint64_t max_seq, seq;
};

struct request {
    str q;
    struct query_opts o;
    enum query_format format;
    bool explain, total, has_cursor;
    uint64_t hash;
    struct cursor at;
};

/* ---- cursors ---- */

static uint64_t query_hash(const struct call *c, const struct request *r)
{
    uint64_t h = hash64(r->q.p, r->q.n);
    int64_t rest[4] = { r->o.start, r->o.end, r->o.tz_minutes, r->o.oldest_first };
    h = hash64_seed(rest, sizeof rest, h);
    return hash64_seed(c->who->agent, strlen(c->who->agent), h);
}

static bool cursor_mac(struct server *s, const uint8_t body[CURSOR_BODY], uint8_t mac[CURSOR_MAC])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!HMAC(EVP_sha256(), s->cursor_key, sizeof s->cursor_key, body, CURSOR_BODY, full, &n))
        return false;
    memcpy(mac, full, CURSOR_MAC);
    return true;
}

static void put_cursor(struct buf *b, struct call *c, const struct request *r,
                       const struct query_result *res)
{
    uint8_t raw[CURSOR_BYTES];
    put_le64(raw, r->hash);
    put_le64(raw + 8, (uint64_t)r->o.now);
    put_le64(raw + 16, r->has_cursor ? r->at.max_seq : res->watermark);
    put_le64(raw + 24, (uint64_t)res->last_time);
    put_le64(raw + 32, res->last_seq);
    put_le32(raw + 40, c->who->key_id);
    if (!cursor_mac(c->s, raw, raw + CURSOR_BODY)) {
        buf_puts(b, "null");
        return;
    }
    buf_putc(b, '"');
    for (size_t i = 0; i < sizeof raw; i++)
        buf_printf(b, "%02x", raw[i]);
    buf_putc(b, '"');
}

static int nibble(char ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static bool read_cursor(struct call *c, struct request *r, str text)
{
    uint8_t raw[CURSOR_BYTES], mac[CURSOR_MAC];
    if (text.n != 2 * sizeof raw)
        return false;
    for (size_t i = 0; i < sizeof raw; i++) {
        int hi = nibble(text.p[2 * i]), lo = nibble(text.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        raw[i] = (uint8_t)(hi << 4 | lo);
    }
    if (!cursor_mac(c->s, raw, mac) || CRYPTO_memcmp(mac, raw + CURSOR_BODY, CURSOR_MAC) != 0)
        return false;
    if (get_le64(raw) != r->hash || get_le32(raw + 40) != c->who->key_id)
        return false;
    r->at.now = (ts_ns)get_le64(raw + 8);
    r->at.max_seq = get_le64(raw + 16);
    r->at.time = (ts_ns)get_le64(raw + 24);
    r->at.seq = get_le64(raw + 32);
    r->has_cursor = true;
    r->o.now = r->at.now;
    return true;
}

/* ---- running ---- */

/* wraps the writer's sink to learn the columns */
struct answer {
    struct query_writer w;
    struct query_sink sink;
    struct buf columns;
    struct job *j;
};

static int begin(void *ctx, const struct query_cell *cols, uint32_t ncols, struct err *err)
{
    struct answer *a = ctx;
    for (uint32_t i = 0; i < ncols; i++) {
        if (i)
            buf_putc(&a->columns, ',');
        json_put_bytes(&a->columns, cols[i].name);
    }
    return a->w.sink.begin(a->w.sink.ctx, cols, ncols, err);
}

static int row(void *ctx, const struct query_row *r, struct err *err)
{
    struct answer *a = ctx;
    return a->w.sink.row(a->w.sink.ctx, r, err);
}

static int flush(void *ctx, struct buf *out, struct err *err)
{
    struct answer *a = ctx;
    (void)out;
    return job_flush(a->j, err);
}

static void put_cost(struct buf *b, const struct query_result *res)
{
    const struct scan_cost *c = &res->cost;
    bool first = true;
    buf_putc(b, '{');
    json_kv_u64(b, &first, "segments_total", c->segments_total);
    json_kv_u64(b, &first, "segments_pruned", c->segments_pruned);
    json_kv_u64(b, &first, "blocks_total", c->blocks_total);
    json_kv_u64(b, &first, "blocks_pruned", c->blocks_pruned);
    json_kv_u64(b, &first, "pruned_by_bounds", c->pruned_bounds);
    json_kv_u64(b, &first, "pruned_by_signatures", c->pruned_signatures);
    json_kv_u64(b, &first, "pruned_by_values", c->pruned_values);
    json_kv_u64(b, &first, "pruned_by_statistics", c->pruned_stats);
    json_kv_u64(b, &first, "blocks_read", c->blocks_read);
    json_kv_u64(b, &first, "pages_decoded", c->pages_decoded);
    json_kv_u64(b, &first, "pages_cached", c->pages_cached);
    json_kv_u64(b, &first, "workers", c->workers);
    json_kv_u64(b, &first, "rows_scanned", c->rows_scanned);
    json_kv_u64(b, &first, "rows_matched", c->rows_matched);
    json_kv_u64(b, &first, "bytes_read", c->bytes_read);
    json_kv_u64(b, &first, "bytes_decoded", c->bytes_decoded);
    json_kv_u64(b, &first, "spilled_bytes", res->spilled_bytes);
    buf_putc(b, '}');
}

static void put_account(struct job *j, const struct request *r, const struct answer *a,
                        const struct query_result *res)
{
    struct buf *b = &j->out;
    bool first = false; /* "rows" came before */
    json_key(b, &first, "columns");
    buf_putc(b, '[');
    buf_putstr(b, buf_str(&a->columns));
    buf_putc(b, ']');
    json_kv_u64(b, &first, "count", res->rows);
    if (res->total_known)
        json_kv_u64(b, &first, "total", res->total);
    json_kv_bool(b, &first, "truncated", res->truncated);
    json_key(b, &first, "next_cursor");
    if (res->next_page)
        put_cursor(b, j->c, r, res);
    else
        buf_puts(b, "null");
    json_key(b, &first, "warnings");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < res->nwarnings; i++) {
        if (i)
            buf_putc(b, ',');
        json_put_bytes(b, str_c(res->warnings[i]));
    }
    buf_putc(b, ']');
    json_key(b, &first, "approx");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < res->napprox; i++) {
        if (i)
            buf_putc(b, ',');
        json_put_bytes(b, res->approx[i]);
    }
    buf_putc(b, ']');
    json_kv_bool(b, &first, "incomplete", res->cost.incomplete);
    if (res->cost.incomplete)
        json_kv_str(b, &first, "incomplete_why", str_c(res->cost.incomplete_why));
    int64_t elapsed_us = res->elapsed_ns / NS_PER_US;
    json_kv_f64(b, &first, "elapsed_ms", (double)elapsed_us / 1000.0);
    json_kv_u64(b, &first, "watermark", res->watermark);
    json_key(b, &first, "cost");
    put_cost(b, res);
    buf_puts(b, "}\n");
}

static void count_cost(struct job *j, const struct scan_cost *c)
{
    struct metrics *m = &j->s->metrics;
    metric_add(&m->rows_scanned, c->rows_scanned);
    metric_add(&m->rows_matched, c->rows_matched);
    metric_add(&m->bytes_read, c->bytes_read);
    metric_add(&m->blocks_read, c->blocks_read);
    metric_add(&m->blocks_pruned, c->blocks_pruned);
    metric_add(&m->pages_decoded, c->pages_decoded);
    metric_add(&m->pages_cached, c->pages_cached);
}

static int run_rows(struct job *j, const struct request *r, struct query *q, struct answer *a,
                    struct err *err)
{
    struct query_result res = { 0 };
    int rc = query_run(q, j->s->store, &a->sink, &j->ctl, &res, err);
    count_cost(j, &res.cost);
    if (rc == 0)
        rc = query_writer_end(&a->w, err);
    if (rc < 0)
        return rc;
    if (r->format == QF_JSON) {
        put_account(j, r, a, &res);
    } else if (r->format == QF_NDJSON && res.cost.incomplete) {
        struct err what = ERR_INIT;
        err_set(&what, ERR_CORRUPT, "the answer is incomplete: %s", res.cost.incomplete_why);
        err_slug(&what, "incomplete");
        error_body(&j->out, SHAPE_NATIVE, 503, &what);
    }
    return 0;
}

static int parse(struct job *j, struct request *r, struct query **ret, struct err *err)
{
    struct pred *also = NULL;
    int rc = 0;
    if (j->c->who->agent[0])
        rc = job_filter(j, NULL, &also, err);
    if (rc < 0)
        return rc;
    r->o.also = also;
    r->o.prices = job_prices(j);
    rc = query_parse(ret, r->q, &r->o, err);
    if (rc < 0)
        return rc;
    j->queries[j->nqueries++] = *ret;
    if (r->has_cursor)
        query_set_page(*ret, r->at.time, r->at.seq, r->at.max_seq);
    if (r->total)
        query_want_total(*ret);
    return 0;
}

/* what a stranger logged is never shown by a browser as a page of this server */
#define DOWNLOAD(name)                                                                             \
    PRIVATE_HEADERS "Content-Security-Policy: sandbox\r\n"                                         \
                    "Content-Disposition: attachment; filename=\"" name "\"\r\n"
static const char *const download_headers[] = {
    [QF_NDJSON] = DOWNLOAD("fleetlog.ndjson"),
    [QF_CSV] = DOWNLOAD("fleetlog.csv"),
    [QF_TEXT] = DOWNLOAD("fleetlog.txt"),
};

static int run_query(struct job *j, struct err *err)
{
    struct request *r = j->args;
    struct query *q;
    int rc = parse(j, r, &q, err);
    if (rc < 0)
        return rc;
    if (r->explain) {
        buf_puts(&j->out, "{\"explain\":");
        rc = query_explain(q, j->s->store, &j->out, err);
        buf_puts(&j->out, "}\n");
        return rc;
    }
    struct answer *a = arena_zalloc(&j->arena, sizeof *a);
    if (!a)
        return err_nomem(err);
    if (r->format == QF_JSON)
        buf_puts(&j->out, "{\"rows\":");
    rc = query_writer_init(&a->w, r->format, &j->out, err);
    if (rc < 0)
        return rc;
    a->j = j;
    a->w.flush = flush;
    a->w.flush_ctx = a;
    a->sink = (struct query_sink){ .ctx = a, .begin = begin, .row = row };
    buf_init(&a->columns, (size_t)1 << 20);
    j->type = query_format_type(r->format);
    j->line_errors = r->format == QF_NDJSON;
    if (r->format != QF_JSON)
        j->headers = download_headers[r->format];
    rc = run_rows(j, r, q, a, err);
    buf_deinit(&a->columns);
    query_writer_deinit(&a->w);
    return rc;
}

/* ---- the request ---- */

static bool param_format(struct call *c, struct request *r)
{
    str s;
    if (!param_str(c, "format", &s) || query_format_parse(s, &r->format))
        return true;
    reply_bad_param(c, "format", "must be json, ndjson, csv or text");
    return false;
}

static bool param_order(struct call *c, struct request *r)
{
    str s;
    if (!param_str(c, "order", &s))
        return true;
    r->o.oldest_first = str_eq_ci(s, STR("asc"));
    if (r->o.oldest_first || str_eq_ci(s, STR("desc")))
        return true;
    reply_bad_param(c, "order", "must be asc or desc");
    return false;
}

static bool param_tz(struct call *c, struct request *r)
{
    str s;
    if (!param_str(c, "tz", &s) || offset_parse(s, &r->o.tz_minutes))
        return true;
    reply_bad_param(c, "tz", "must be an offset like +02:00");
    return false;
}

static bool params(struct call *c, struct request *r, int64_t *timeout_ns)
{
    uint64_t limit = 0, offset = 0;
    bool indexes = true;
    str cursor;
    query_opts_default(&r->o);
    r->o.now = server_now(c->s);
    r->o.start = TS_MIN;
    r->o.end = TS_MAX;
    param_str(c, "q", &r->q);
    if (!param_time(c, "start", &r->o.start) || !param_time(c, "end", &r->o.end) ||
        !param_u64(c, "limit", 1, LIMIT_MAX, &limit) ||
        !param_u64(c, "offset", 0, LIMIT_MAX, &offset) || !param_format(c, r) ||
        !param_order(c, r) || !param_tz(c, r) || !param_bool(c, "all", &r->o.unlimited) ||
        !param_bool(c, "total", &r->total) || !param_bool(c, "explain", &r->explain) ||
        !param_bool(c, "indexes", &indexes) || !param_duration(c, "timeout", NS_PER_S, timeout_ns))
        return false;
    r->o.no_prune = !indexes;
    r->o.limit = (uint32_t)limit;
    r->o.offset = (uint32_t)offset;
    if (limit)
        r->o.unlimited = false;
    r->hash = query_hash(c, r);
    if (param_str(c, "cursor", &cursor) && !read_cursor(c, r, cursor)) {
        reply_bad_param(c, "cursor", "this cursor does not belong to this query");
        return false;
    }
    return true;
}

/* suffix: a pipe to put behind the query, NULL for none */
static void start(struct call *c, str suffix)
{
    struct request *r = arena_zalloc(c->req->arena, sizeof *r);
    struct err err = ERR_INIT;
    struct jobject body;
    int64_t timeout_ns = 0;
    int rc = r ? 0 : err_nomem(&err);
    if (rc == 0 && c->req->method == HTTP_POST && c->req->body.n) {
        rc = jobject_parse(&body, c->req->body, c->req->arena, &err);
        c->body = &body;
    }
    if (rc < 0) {
        reply_err(c, &err);
        return;
    }
    if (!params(c, r, &timeout_ns))
        return; /* answered: the call is gone */
    c->body = NULL;
    if (suffix.n) { /* a comment at the end of the query ends at the newline */
        str q = str_trim(r->q);
        char *text = arena_printf(c->req->arena, "%.*s\n| %.*s", STR_FMT(q.n ? q : STR("*")),
                                  STR_FMT(suffix));
        if (!text) {
            reply_error(c, 503, "busy", "out of memory");
            return;
        }
        r->q = str_c(text);
        r->o.limit = 0;
    }
    /* an export takes as long as it takes, unless a limit is asked for */
    int64_t ms = timeout_ns ? timeout_ns / NS_PER_MS + 1 : r->o.unlimited ? -1 : 0;
    job_start(c, run_query, r, ms);
}

void native_query(struct call *c)
{
    start(c, STR_NULL);
}

/* ---- ready-made pipes ---- */

static void with_pipe(struct call *c, const struct buf *b)
{
    str suffix = arena_dup(c->req->arena, buf_str(b));
    if (buf_ok(b) && suffix.p)
        start(c, suffix);
    else
        reply_error(c, 503, "busy", "out of memory");
}

void native_patterns(struct call *c)
{
    uint64_t limit = 100;
    bool fresh = false;
    ts_ns since = TS_MIN;
    struct buf b;
    char at[TS_TEXT_MAX];
    if (!param_u64(c, "limit", 1, 10000, &limit) || !param_bool(c, "new", &fresh) ||
        !param_time(c, "new_since", &since))
        return;
    buf_init(&b, 4096);
    buf_printf(&b, "patterns %llu", (unsigned long long)limit);
    if (since != TS_MIN) {
        ts_format(since, -1, at);
        buf_printf(&b, " new since \"%s\"", at);
    } else if (fresh) {
        buf_puts(&b, " new");
    }
    with_pipe(c, &b);
    buf_deinit(&b);
}

void native_anomalies(struct call *c)
{
    uint64_t limit = 20;
    int64_t step = 0;
    str by;
    struct fieldref f;
    struct err bad = ERR_INIT;
    struct buf b;
    bool has_by = param_str(c, "by", &by);
    if (!param_u64(c, "limit", 1, 1000, &limit) || !param_duration(c, "step", NS_PER_S, &step))
        return;
    if (step && step < NS_PER_S) {
        reply_bad_param(c, "step", "must be at least 1s");
        return;
    }
    if (has_by && query_name(c->req->arena, by, &f, &bad)) {
        reply_bad_param(c, "by", "must be the name of a field");
        return;
    }
    buf_init(&b, 65536);
    buf_printf(&b, "anomalies %llu", (unsigned long long)limit);
    if (has_by) {
        buf_puts(&b, " by ");
        buf_putstr(&b, by);
    }
    if (step)
        buf_printf(&b, " step %lldms", (long long)(step / NS_PER_MS));
    with_pipe(c, &b);
    buf_deinit(&b);
}
