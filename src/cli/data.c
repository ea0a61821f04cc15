/* data.c: one question, two ways to the answer.
 *
 * Both ways end in the same bytes: the server streams NDJSON (or CSV) made by the query encoders, a
 * directory is run through the same encoders here. From there on nobody knows which it was. */
#include "cli/data.h"
#include "server/prices.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doc.h"
#include "codec/json.h"
#include "query/complete.h"
#include "query/query.h"

#define LINE_MAX_BYTES (64u << 20)
#define ANSWER_MAX (1u << 30)
#define COMPLETE_CALL_MS 3000
#define URL_QUERY_MAX 2000 /* bytes; escaped they become up to three times as many */

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

/* The user's own text, judged before anything is put around it: joined to options a stray ')' would
 * close our parenthesis, and a place would be counted from the wrong start. */
/* what: takes filters only; NULL: pipes are fine */
static int check_text(struct cli *c, const char *text, const char *what)
{
    struct err err = ERR_INIT;
    struct query_opts o;
    struct query *q;
    query_opts_default(&o);
    o.now = c->now;
    if (query_parse(&q, str_c(text), &o, &err) < 0)
        return cli_fail_at(c, &err, str_c(text), err.pos);
    bool filter = query_is_filter(q);
    query_free(q);
    if (what && !filter)
        return cli_fail(c, EXIT_USAGE, "leave out everything from the first | on",
                        "%s takes a filter, no pipes", what);
    return 0;
}

int data_check_filter(struct cli *c, const char *text, const char *what)
{
    return check_text(c, text, what);
}

/* a regular expression alone, so that no place in the joined query is named for it */
static int check_pattern(struct cli *c, const char *pattern)
{
    struct err err = ERR_INIT;
    struct query_opts o;
    struct query *q;
    struct buf text;
    size_t n = strlen(pattern), back = 0;
    while (back < n && pattern[n - 1 - back] == '\\')
        back++;
    if (back % 2)
        return cli_fail(c, EXIT_USAGE, "\\\\ is a backslash",
                        "--pattern: bad regular expression: \\ at the end");
    query_opts_default(&o);
    buf_init(&text, QUERY_TEXT_MAX * 8);
    buf_puts(&text, "message:");
    put_regex(&text, pattern);
    int rc = buf_ok(&text) ? query_parse(&q, buf_str(&text), &o, &err) : err_nomem(&err);
    buf_deinit(&text);
    if (rc < 0)
        return cli_fail(c, cli_exit_of(&err), err.hint, "--pattern: %s", err.msg);
    query_free(q);
    return 0;
}

int data_combine(struct cli *c, struct buf *out, const char *text, bool filter_only,
                 int64_t *ret_shift)
{
    const char *agent = opt_text(c, "agent"), *level = opt_text(c, "level");
    const char *pattern = opt_text(c, "pattern");
    int rc = pattern ? check_pattern(c, pattern) : 0;
    if (!rc && (filter_only || agent || level || pattern))
        rc = check_text(c, text, filter_only ? "a tail" : NULL);
    if (rc)
        return rc;
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
    return 0;
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
    if (err->code == ERR_CANCELED && target_stop) {
        cli_note(c, "canceled");
        c->failed = true;
        return cli_exit_of(err);
    }
    str own = q->own.n ? q->own : str_skip(str_c(q->text), (size_t)q->shift);
    return cli_fail_at(c, err, own, err->pos < 0 ? -1 : err->pos - q->shift);
}

/* ---- bytes to rows ---- */

struct splitter {
    const struct data_query *q;
    struct data_result *ret;
    struct buf line;
    struct buf maybe; /* a line that may be the server's last word: an error */
    bool stopped, overlong;
};

static bool emit(struct splitter *s, str row)
{
    s->ret->rows++;
    s->stopped = !s->q->on_row(s->q->ctx, row);
    return !s->stopped;
}

/* A row may look like an error (`fields error`); only as the very last line it is one. */
static bool whole_line(struct splitter *s, str line)
{
    if (!line.n)
        return true;
    if (s->maybe.n) {
        bool go = emit(s, buf_str(&s->maybe));
        buf_reset(&s->maybe);
        if (!go)
            return false;
    }
    if (!str_starts(line, STR("{\"error\":{\"code\":")))
        return emit(s, line);
    buf_putstr(&s->maybe, line);
    return true;
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

/* parameters of a URL, or members of a JSON body when they would not fit in one */
struct params {
    struct buf b;
    bool json;
};

static void put(struct params *p, const char *name, str value, bool is_text)
{
    if (!p->json) {
        url_param(&p->b, name, value);
        return;
    }
    buf_printf(&p->b, "%s\"%s\":", p->b.n ? "," : "{", name);
    if (is_text)
        json_put_str(&p->b, value);
    else
        buf_putstr(&p->b, value);
}

static void put_instant(struct params *p, const char *name, ts_ns t)
{
    char text[TS_TEXT_MAX];
    if (t != TS_MIN && t != TS_MAX)
        put(p, name, (str){ text, ts_format(t, -1, text) }, true);
}

static void put_number(struct params *p, const char *name, uint32_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%u", n);
    if (n)
        put(p, name, str_c(text), false);
}

static void put_query(struct params *p, const struct data_query *q, const char *format,
                      bool explain)
{
    if (!p->json)
        buf_puts(&p->b, "/api/v1/query");
    put(p, "q", str_c(q->text), true);
    put(p, "format", str_c(format), true);
    put_instant(p, "start", q->start);
    put_instant(p, "end", q->end);
    put_number(p, "limit", q->limit);
    put_number(p, "offset", q->offset);
    if (q->unlimited)
        put(p, "all", STR("true"), false);
    if (explain)
        put(p, "explain", STR("true"), false);
    if (p->json)
        buf_putc(&p->b, '}');
}

static int ask(struct target *t, const struct data_query *q, const char *format, bool explain,
               struct call *call, struct err *err)
{
    struct params p = { .json = strlen(q->text) > URL_QUERY_MAX };
    buf_init(&p.b, 256u << 10);
    put_query(&p, q, format, explain);
    call->method = p.json ? "POST" : "GET";
    call->path = p.json ? "/api/v1/query" : p.b.p;
    call->type = p.json ? "application/json" : NULL;
    call->body = p.json ? buf_str(&p.b) : STR_NULL;
    int rc = client_call(t->client, call, err);
    buf_deinit(&p.b);
    return rc;
}

/* rows one by one as they come: exports */
static int query_stream(struct cli *c, struct target *t, const struct data_query *q,
                        struct splitter *s)
{
    struct err err = ERR_INIT;
    struct call call = { .on_data = split, .ctx = s };
    int rc = ask(t, q, q->csv ? "csv" : "ndjson", false, &call, &err);
    if (rc == 0 || s->stopped)
        return 0;
    if (s->overlong)
        return cli_fail(c, EXIT_DATA, NULL, "a row is longer than %u MiB", LINE_MAX_BYTES >> 20);
    return query_failed(c, q, &err);
}

/* a bounded answer with its account: warnings, truncation, watermark */
static int query_whole(struct cli *c, struct target *t, const struct data_query *q,
                       struct splitter *s)
{
    struct err err = ERR_INIT;
    struct buf body;
    struct arena a;
    struct jv *root;
    buf_init(&body, ANSWER_MAX);
    arena_init(&a, ANSWER_MAX * 3ull);
    struct call call = { .out = &body };
    int rc = ask(t, q, "json", false, &call, &err);
    if (rc < 0) {
        rc = query_failed(c, q, &err);
    } else if (doc_parse(&root, &a, buf_str(&body), &err) < 0) {
        rc = cli_fail(c, EXIT_DATA, NULL, "the server's answer is not understood: %s", err.msg);
    } else {
        if (!q->quiet)
            JV_EACH(w, jv_get(root, "warnings"))
        cli_note(c, "%.*s", STR_FMT(w->text));
        s->ret->incomplete = jv_is(jv_get(root, "incomplete"), JSON_TRUE);
        if (s->ret->incomplete)
            cli_note(c, "the answer is incomplete: %.*s",
                     STR_FMT(jv_get_str(root, "incomplete_why")));
        s->ret->truncated = jv_is(jv_get(root, "truncated"), JSON_TRUE);
        s->ret->has_watermark = jv_is(jv_get(root, "watermark"), JSON_NUM);
        s->ret->watermark = (uint64_t)jv_int(jv_get(root, "watermark"), 0);
        JV_EACH(row, jv_get(root, "rows"))
        if (!emit(s, row->text))
            break;
    }
    arena_deinit(&a);
    buf_deinit(&body);
    return rc;
}

static int query_server(struct cli *c, struct target *t, const struct data_query *q,
                        struct splitter *s)
{
    bool bounded = !q->csv && !q->unlimited && q->limit <= QUERY_LIMIT_TABLE;
    return bounded ? query_whole(c, t, q, s) : query_stream(c, t, q, s);
}

/* ---- a directory ---- */

static int to_splitter(void *ctx, struct buf *out, struct err *err)
{
    bool go = split(ctx, buf_str(out));
    buf_reset(out);
    return go ? 0 : err_set(err, ERR_CANCELED, "stopped");
}

/* prices.conf of the directory; one with a mistake costs the prices, not the answer */
static struct prices *local_prices(struct cli *c, const struct target *t)
{
    struct price_file *f;
    struct err err = ERR_INIT;
    if (price_file_open(&f, NULL, t->dir, &err) < 0) {
        cli_note(c, "without prices: %s", err.msg);
        return NULL;
    }
    struct prices *p = price_file_get(f);
    price_file_close(f);
    return p;
}

static int parse_local(struct cli *c, const struct data_query *q, const struct prices *prices,
                       struct query **ret)
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
    o.prices = prices;
    if (query_parse(ret, str_c(q->text), &o, &err) < 0)
        return query_failed(c, q, &err);
    return 0;
}

static struct query_ctl dir_ctl; /* of the query that runs on a directory */

void data_cancel(void)
{
    dir_ctl.cancel = 1;
}

static int query_dir(struct cli *c, struct target *t, const struct data_query *q,
                     struct splitter *s)
{
    struct query *parsed;
    struct query_writer w;
    struct buf out;
    struct err err = ERR_INIT;
    struct query_result res;
    struct prices *prices = local_prices(c, t);
    int rc = parse_local(c, q, prices, &parsed);
    if (rc) {
        prices_unref(prices);
        return rc;
    }
    memset(&res, 0, sizeof(res));
    dir_ctl.cancel = 0;
    if (target_stop) /* between the two */
        dir_ctl.cancel = 1;
    buf_init(&out, LINE_MAX_BYTES * 4);
    int r = query_writer_init(&w, q->csv ? QF_CSV : QF_NDJSON, &out, &err);
    if (r == 0) {
        w.flush = to_splitter;
        w.flush_ctx = s;
        r = query_run(parsed, t->store, &w.sink, &dir_ctl, &res, &err);
        if (r == 0)
            r = query_writer_end(&w, &err);
        if (r == 0)
            r = to_splitter(s, &out, &err);
        query_writer_deinit(&w);
    }
    for (uint32_t i = 0; i < res.nwarnings && !q->quiet; i++)
        cli_note(c, "%s", res.warnings[i]);
    s->ret->truncated = res.truncated;
    s->ret->has_watermark = true;
    s->ret->watermark = res.watermark;
    s->ret->incomplete = res.cost.incomplete;
    if (r == 0 && res.cost.incomplete)
        cli_note(c, "the answer is incomplete: %s", res.cost.incomplete_why);
    if (r < 0 && !s->stopped)
        rc = query_failed(c, q, &err);
    buf_deinit(&out);
    query_free(parsed);
    prices_unref(prices);
    return rc;
}

/* a stream that ended in an error: what came before it is not all */
static int last_word(struct cli *c, str line)
{
    struct arena a;
    struct jv *root;
    struct err err = ERR_INIT;
    int rc = EXIT_IO;
    arena_init(&a, 16u << 20);
    if (doc_parse(&root, &a, line, &err) == 0) {
        const struct jv *e = jv_get(root, "error");
        char hint[200];
        snprintf(hint, sizeof(hint), "%.*s", STR_FMT(jv_get_str(e, "hint")));
        rc = str_eq(jv_get_str(e, "code"), STR("timeout")) ? EXIT_LOCKED : EXIT_DATA;
        rc = cli_fail(c, rc, hint, "%.*s", STR_FMT(jv_get_str(e, "message")));
    }
    arena_deinit(&a);
    return rc;
}

int data_query(struct cli *c, struct target *t, const struct data_query *q, struct data_result *ret)
{
    struct splitter s = { .q = q, .ret = ret };
    memset(ret, 0, sizeof(*ret));
    buf_init(&s.line, LINE_MAX_BYTES);
    buf_init(&s.maybe, LINE_MAX_BYTES);
    int rc = t->client ? query_server(c, t, q, &s) : query_dir(c, t, q, &s);
    if (rc == 0 && s.line.n && !s.stopped)
        whole_line(&s, buf_str(&s.line)); /* a last line without its newline */
    if (rc == 0 && s.maybe.n && !s.stopped)
        rc = t->client ? last_word(c, buf_str(&s.maybe)) : (emit(&s, buf_str(&s.maybe)), 0);
    buf_deinit(&s.line);
    buf_deinit(&s.maybe);
    return rc;
}

int data_explain(struct cli *c, struct target *t, const struct data_query *q, struct buf *out)
{
    struct err err = ERR_INIT;
    if (t->client) {
        struct call call = { .out = out };
        return ask(t, q, "json", true, &call, &err) < 0 ? query_failed(c, q, &err) : 0;
    }
    struct query *parsed;
    int rc = parse_local(c, q, NULL, &parsed);
    if (rc)
        return rc;
    buf_puts(out, "{\"explain\":"); /* as the server wraps it */
    if (query_explain(parsed, t->store, out, &err) < 0)
        rc = query_failed(c, q, &err);
    buf_puts(out, "}");
    query_free(parsed);
    return rc;
}

int data_complete(struct cli *c, struct target *t, const struct data_query *q, size_t cursor,
                  uint32_t limit, struct buf *out)
{
    struct err err = ERR_INIT;
    if (t->client) {
        struct params p = { .json = true };
        struct call call = { .method = "POST",
                             .path = "/api/v1/complete",
                             .type = "application/json",
                             .timeout_ms = COMPLETE_CALL_MS,
                             .out = out };
        buf_init(&p.b, 256u << 10);
        put(&p, "q", str_c(q->text), true);
        put_instant(&p, "start", q->start);
        put_instant(&p, "end", q->end);
        buf_printf(&p.b, ",\"cursor\":%zu,\"limit\":%u}", cursor, limit);
        call.body = buf_str(&p.b);
        int rc = client_call(t->client, &call, &err);
        buf_deinit(&p.b);
        return rc < 0 ? cli_exit_of(&err) : 0;
    }
    struct complete_opts o = { .cursor = cursor, .limit = limit };
    struct completion found;
    struct arena a;
    query_opts_default(&o.q);
    o.q.now = c->now;
    o.q.start = q->start;
    o.q.end = q->end;
    arena_init(&a, 64u << 20);
    int rc = query_complete(t->store, str_c(q->text), &o, &a, &found, &err);
    if (rc == 0)
        completion_json(out, &found);
    arena_deinit(&a);
    return rc < 0 ? cli_exit_of(&err) : 0;
}

int data_call(struct cli *c, struct target *t, const char *method, const char *path, str body,
              struct buf *out, int *ret_status)
{
    struct err err = ERR_INIT;
    struct call call = { .method = method,
                         .path = path,
                         .body = body,
                         .type = body.p ? "application/json" : NULL,
                         .out = out };
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
