/* data.c: one question, two ways to the answer.
 *
 * Both ways end in the same bytes: the server streams NDJSON (or CSV) made by the query encoders, a
 * directory is run through the same encoders here. From there on nobody knows which it was. */
#include "cli/data.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "query/query.h"

#define LINE_MAX_BYTES (64u << 20)

/* ---- queries ---- */

void data_quote(struct buf *out, str s)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch == '"' || ch == '\\')
            buf_printf(out, "\\%c", ch);
        else if (ch < 0x20)
            buf_printf(out, "\\u%04x", ch);
        else
            buf_putc(out, (char)ch);
    }
    buf_putc(out, '"');
}

/* agent:glob with everything but '*' escaped */
static void put_glob(struct buf *out, str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool plain = ch >= 0x80 || ch == '*' || ch == '_' || ch == '.' ||
                     (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
                     (ch >= 'A' && ch <= 'Z') || (ch == '-' && i > 0);
        if (plain)
            buf_putc(out, (char)ch);
        else
            buf_printf(out, "\\u%04x", ch);
    }
}

static void put_regex(struct buf *out, const char *pattern)
{
    bool escaped = false;
    buf_putc(out, '/');
    for (const char *p = pattern; *p; p++) {
        if (*p == '/' && !escaped)
            buf_putc(out, '\\');
        escaped = *p == '\\' && !escaped;
        buf_putc(out, *p);
    }
    buf_putc(out, '/');
}

void data_combine(struct buf *out, const char *text, const char *agent, const char *level,
                  const char *pattern, bool filter_only, int64_t *ret_shift)
{
    struct buf also;
    str t = str_trim(str_c(text));
    buf_init(&also, QUERY_TEXT_MAX * 8);
    if (agent) {
        buf_puts(&also, " agent");
        if (strchr(agent, '*')) {
            buf_putc(&also, ':');
            put_glob(&also, str_c(agent));
        } else {
            buf_putc(&also, '=');
            data_quote(&also, str_c(agent));
        }
    }
    if (level)
        buf_printf(&also, " level:%s", level);
    if (pattern) {
        buf_puts(&also, " message:");
        put_regex(&also, pattern);
    }
    str rest = str_skip(buf_str(&also), also.n ? 1 : 0);
    *ret_shift = 0;
    if (!rest.n || !t.n) {
        buf_putstr(out, rest.n ? rest : t);
    } else if (t.p[0] == '|') {
        *ret_shift = (int64_t)rest.n + 1;
        buf_putstr(out, rest);
        buf_putc(out, ' ');
        buf_putstr(out, t);
    } else if (filter_only || str_chr(t, '|') == SIZE_MAX) {
        *ret_shift = 1; /* a comment in the text ends at the newline */
        buf_putc(out, '(');
        buf_putstr(out, t);
        buf_puts(out, "\n) ");
        buf_putstr(out, rest);
    } else { /* pipes follow the user's filter: ours goes first, theirs becomes the first pipe */
        *ret_shift = (int64_t)rest.n + 9;
        buf_putstr(out, rest);
        buf_puts(out, " | where ");
        buf_putstr(out, t);
    }
    buf_deinit(&also);
}

void data_join_args(const struct cli *c, int from, struct buf *out)
{
    for (int i = from; i < c->nargs; i++) {
        if (i > from)
            buf_putc(out, ' ');
        buf_puts(out, c->args[i]);
    }
}

/* the sentence, the text and a mark below the place it is about */
static int query_failed(struct cli *c, const struct data_query *q, struct err *err)
{
    int64_t pos = err->pos - q->shift;
    if (err->pos < 0 || pos < 0 || pos > (int64_t)strlen(q->text))
        return cli_fail_err(c, err);
    char msg[ERR_MSG_MAX + 32];
    snprintf(msg, sizeof(msg), "%s (at byte %" PRId64 ")", err->msg, pos);
    return cli_fail(c, cli_exit_of(err), err->hint, "%s", msg);
}

/* ---- bytes to rows ---- */

struct splitter {
    const struct data_query *q;
    struct data_result *ret;
    struct cli *c;
    struct buf line;
    bool stopped, overlong;
};

/* the last line of a server's stream tells how it went */
static bool is_summary(str line)
{
    return str_starts(line, STR("{\"_summary\":")) || str_starts(line, STR("{\"_error\":"));
}

static bool whole_line(struct splitter *s, str line)
{
    if (!line.n || is_summary(line))
        return true;
    s->ret->rows++;
    s->stopped = !s->q->on_row(s->q->ctx, line);
    return !s->stopped;
}

static bool split(void *ctx, str piece)
{
    struct splitter *s = ctx;
    if (s->q->csv) {
        s->stopped = !s->q->on_row(s->q->ctx, piece);
        return !s->stopped;
    }
    while (piece.n) {
        const char *nl = memchr(piece.p, '\n', piece.n);
        size_t n = nl ? (size_t)(nl - piece.p) : piece.n;
        buf_put(&s->line, piece.p, n);
        if (!buf_ok(&s->line)) {
            s->overlong = true;
            return false;
        }
        if (!nl)
            break;
        bool go = whole_line(s, buf_str(&s->line));
        buf_reset(&s->line);
        if (!go)
            return false;
        piece = str_skip(piece, n + 1);
    }
    return true;
}

/* ---- a server ---- */

static void put_instant(struct buf *b, const char *name, ts_ns t)
{
    char text[TS_TEXT_MAX];
    if (t != TS_MIN && t != TS_MAX)
        url_param(b, name, (str){ text, ts_format(t, -1, text) });
}

static void query_path(struct buf *b, const struct data_query *q, const char *format)
{
    char n[24];
    buf_puts(b, "/api/v1/query");
    url_param(b, "q", str_c(q->text));
    url_param(b, "format", str_c(format));
    put_instant(b, "start", q->start);
    put_instant(b, "end", q->end);
    snprintf(n, sizeof(n), "%u", q->limit);
    if (q->limit)
        url_param(b, "limit", str_c(n));
    if (q->unlimited)
        url_param(b, "limit", STR("all"));
    snprintf(n, sizeof(n), "%u", q->offset);
    if (q->offset)
        url_param(b, "offset", str_c(n));
}

static int query_server(struct cli *c, struct target *t, const struct data_query *q,
                        struct splitter *s)
{
    struct err err = ERR_INIT;
    struct buf path;
    buf_init(&path, 256u << 10);
    query_path(&path, q, q->csv ? "csv" : "ndjson");
    struct call call = { .method = "GET", .path = path.p, .on_data = split, .ctx = s };
    int rc = client_call(t->client, &call, &err);
    buf_deinit(&path);
    if (rc == 0 || s->stopped)
        return 0;
    if (s->overlong)
        return cli_fail(c, EXIT_DATA, NULL, "a row is longer than %u MiB", LINE_MAX_BYTES >> 20);
    return query_failed(c, q, &err);
}

/* ---- a directory ---- */

static int to_splitter(void *ctx, struct buf *out, struct err *err)
{
    bool go = split(ctx, buf_str(out));
    buf_reset(out);
    return go ? 0 : err_set(err, ERR_CANCELED, "stopped");
}

static int parse_local(struct cli *c, const struct data_query *q, struct query **ret)
{
    struct err err = ERR_INIT;
    struct query_opts o;
    query_opts_default(&o);
    o.now = c->now;
    o.start = q->start;
    o.end = q->end;
    o.limit = q->limit;
    o.unlimited = q->unlimited;
    o.offset = q->offset;
    if (query_parse(ret, str_c(q->text), &o, &err) < 0)
        return query_failed(c, q, &err);
    return 0;
}

static int query_dir(struct cli *c, struct target *t, const struct data_query *q,
                     struct splitter *s)
{
    struct query *parsed;
    struct query_writer w;
    struct buf out;
    struct err err = ERR_INIT;
    struct query_ctl ctl = { .cancel = 0 };
    struct query_result res;
    int rc = parse_local(c, q, &parsed);
    if (rc)
        return rc;
    memset(&res, 0, sizeof(res));
    buf_init(&out, LINE_MAX_BYTES * 4);
    int r = query_writer_init(&w, q->csv ? QF_CSV : QF_NDJSON, &out, &err);
    if (r == 0) {
        w.flush = to_splitter;
        w.flush_ctx = s;
        r = query_run(parsed, t->store, &w.sink, &ctl, &res, &err);
        if (r == 0)
            r = query_writer_end(&w, &err);
        if (r == 0)
            r = to_splitter(s, &out, &err);
        query_writer_deinit(&w);
    }
    for (uint32_t i = 0; i < res.nwarnings; i++)
        cli_note(c, "%s", res.warnings[i]);
    s->ret->truncated = res.truncated;
    s->ret->watermark = res.watermark;
    if (r == 0 && res.cost.incomplete)
        cli_note(c, "the answer is incomplete: %s", res.cost.incomplete_why);
    if (r < 0 && !s->stopped)
        rc = query_failed(c, q, &err);
    buf_deinit(&out);
    query_free(parsed);
    return rc;
}

int data_query(struct cli *c, struct target *t, const struct data_query *q, struct data_result *ret)
{
    struct splitter s = { .q = q, .ret = ret, .c = c };
    memset(ret, 0, sizeof(*ret));
    buf_init(&s.line, LINE_MAX_BYTES);
    int rc = t->client ? query_server(c, t, q, &s) : query_dir(c, t, q, &s);
    if (rc == 0 && s.line.n && !s.stopped)
        whole_line(&s, buf_str(&s.line)); /* a last line without its newline */
    buf_deinit(&s.line);
    return rc;
}

int data_explain(struct cli *c, struct target *t, const struct data_query *q, struct buf *out)
{
    struct err err = ERR_INIT;
    if (t->client) {
        struct buf path;
        buf_init(&path, 256u << 10);
        query_path(&path, q, "json");
        url_param(&path, "explain", STR("true"));
        struct call call = { .method = "GET", .path = path.p, .out = out };
        int rc = client_call(t->client, &call, &err);
        buf_deinit(&path);
        return rc < 0 ? query_failed(c, q, &err) : 0;
    }
    struct query *parsed;
    int rc = parse_local(c, q, &parsed);
    if (rc)
        return rc;
    if (query_explain(parsed, t->store, out, &err) < 0)
        rc = query_failed(c, q, &err);
    query_free(parsed);
    return rc;
}

int data_call(struct cli *c, struct target *t, const char *method, const char *path, str body,
              struct buf *out, int *ret_status)
{
    struct err err = ERR_INIT;
    struct call call = { .method = method, .path = path, .body = body,
                         .type = body.p ? "application/json" : NULL, .out = out };
    int rc = client_call(t->client, &call, &err);
    if (ret_status)
        *ret_status = call.status;
    return rc < 0 ? cli_fail_err(c, &err) : 0;
}

/* ---- statistics ---- */

static int by_entries(const void *a, const void *b)
{
    const struct agent_stat *x = a, *y = b;
    if (x->entries != y->entries)
        return x->entries < y->entries ? 1 : -1;
    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static void put_levels(struct buf *b, const uint64_t levels[LV__COUNT])
{
    bool first = true;
    uint64_t shown[LV__COUNT];
    memcpy(shown, levels, sizeof(shown));
    shown[LV_DEBUG] += shown[LV_TRACE]; /* Fleet knows five levels */
    for (int i = LV_DEBUG; i < LV__COUNT; i++) {
        if (!shown[i])
            continue;
        buf_printf(b, "%s\"%.*s\":%" PRIu64, first ? "" : ",", STR_FMT(level_names_upper[i]),
                   shown[i]);
        first = false;
    }
}

static void put_seconds(struct buf *b, const char *name, ts_ns t, bool any)
{
    buf_printf(b, ",\"%s\":", name);
    if (any)
        json_put_f64(b, (double)t / 1e9);
    else
        buf_puts(b, "null");
}

static void put_hours(struct buf *b, const struct store_summary *s)
{
    char text[TS_TEXT_MAX];
    for (uint32_t i = 0; i < s->nhours; i++) {
        ts_format(s->hours[i].hour * 3600 * NS_PER_S, 0, text);
        buf_printf(b, "%s\"%.13s:00\":%" PRIu64, i ? "," : "", text, s->hours[i].entries);
    }
}

static void put_summary(struct buf *b, struct store_summary *s, const char *dir)
{
    buf_printf(b, "{\"total_entries\":%" PRIu64 ",\"agents_count\":%u,\"level_counts\":{",
               s->entries, s->nagents);
    put_levels(b, s->levels);
    buf_puts(b, "},\"agent_counts\":{");
    for (uint32_t i = 0; i < s->nagents; i++) {
        buf_puts(b, i ? "," : "");
        json_put_str(b, s->agents[i].name);
        buf_printf(b, ":%" PRIu64, s->agents[i].entries);
    }
    buf_puts(b, "},\"top_agents\":[");
    if (s->nagents > 1)
        qsort(s->agents, s->nagents, sizeof(*s->agents), by_entries);
    for (uint32_t i = 0; i < s->nagents && i < 5; i++) {
        buf_puts(b, i ? ",[" : "[");
        json_put_str(b, s->agents[i].name);
        buf_printf(b, ",%" PRIu64 "]", s->agents[i].entries);
    }
    buf_puts(b, "],\"hourly_counts\":{");
    put_hours(b, s);
    buf_putc(b, '}');
    put_seconds(b, "earliest_ts", s->t_min, s->entries > 0);
    put_seconds(b, "latest_ts", s->t_max, s->entries > 0);
    buf_printf(b, ",\"index_size\":%" PRIu64 ",\"storage_dir\":", s->entries);
    json_put_str(b, str_c(dir));
    buf_putc(b, '}');
}

int data_stats(struct cli *c, struct target *t, struct buf *out)
{
    if (t->client)
        return data_call(c, t, "GET", "/stats", STR_NULL, out, NULL);
    struct arena a;
    struct store_summary s;
    struct err err = ERR_INIT;
    int rc = 0;
    arena_init(&a, 1u << 30);
    if (store_summary(t->store, &a, &s, &err) < 0)
        rc = cli_fail_err(c, &err);
    else
        put_summary(out, &s, t->dir);
    arena_deinit(&a);
    return rc;
}
