/* cmd_insight.c: fleetlog patterns and fleetlog anomalies: the pipes of those names, to be read. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/row.h"

static const struct opt pattern_opts[] = {
    OPTS_WHICH,
    OPTS_WHEN,
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "20",
      .min = 1,
      .max = 10000,
      .help = "so many patterns" },
    { .name = "new", .type = OPT_FLAG, .help = "only those that were first stored since --since" },
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "text",
      .choices = "text|ndjson|csv",
      .help = "how to print" },
    { .name = "json", .type = OPT_FLAG, .help = "short for --format ndjson" },
    { .name = NULL },
};

static const struct opt anomaly_opts[] = {
    OPTS_WHICH,
    OPTS_WHEN,
    { .name = "by",
      .type = OPT_TEXT,
      .arg = "FIELD",
      .def = "agent",
      .help = "the field that tells sources apart" },
    { .name = "step",
      .type = OPT_DUR,
      .arg = "TIME",
      .unit = NS_PER_S,
      .help = "step of time, as 5m; chosen by the range when not given" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "20",
      .min = 1,
      .max = 1000,
      .help = "rows of each kind and rule" },
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "text",
      .choices = "text|ndjson|csv",
      .help = "how to print" },
    { .name = "json", .type = OPT_FLAG, .help = "short for --format ndjson" },
    { .name = NULL },
};

static const struct example pattern_examples[] = {
    { "fleetlog patterns", "what is said most" },
    { "fleetlog patterns level:error --since 24h", "what goes wrong, and what of it is new" },
    { "fleetlog patterns --new --since 1h", "what was never said before" },
    { NULL, NULL },
};

static const struct example anomaly_examples[] = {
    { "fleetlog anomalies --since 1h", "the last hour" },
    { "fleetlog anomalies --since 24h --by tool", "tools instead of agents" },
    { "fleetlog anomalies 'agent:payment-*' --since 1h --json", "for a script" },
    { NULL, NULL },
};

struct shown {
    struct cli *c;
    bool csv, text;
    struct arena a;
    struct jrow *rows;
    uint32_t n, cap;
    int bad;
};

static bool keep(struct shown *s, str line)
{
    struct err err = ERR_INIT;
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        struct jrow *more = arena_grow(&s->a, s->rows, s->n, cap, sizeof *more);
        if (!more) {
            err_nomem(&err);
            s->bad = cli_fail_err(s->c, &err);
            return false;
        }
        s->rows = more;
        s->cap = cap;
    }
    char *own = arena_alloc(&s->a, line.n + BUF_PAD);
    int rc = own ? 0 : err_nomem(&err);
    if (own) {
        memcpy(own, line.p, line.n);
        memset(own + line.n, 0, BUF_PAD);
        rc = jrow_parse(&s->rows[s->n], (str){ own, line.n }, &s->a, &err);
    }
    if (rc < 0) {
        s->bad = cli_fail_err(s->c, &err);
        return false;
    }
    s->n++;
    return true;
}

static bool on_row(void *ctx, str line)
{
    struct shown *s = ctx;
    if (s->text)
        return keep(s, line);
    out_json(&s->c->out, line);
    if (!s->csv)
        out_line(&s->c->out);
    return out_ok(&s->c->out);
}

/* ---- patterns ---- */

static str worst_level(const struct jrow *r)
{
    static const char *const order[] = { "critical", "error", "warn", "info", "debug", "trace" };
    str levels = jrow_text(r, "levels");
    for (size_t i = 0; i < 6; i++)
        if (str_find(levels, str_c(order[i])) != SIZE_MAX)
            return str_c(order[i]);
    return STR("info");
}

static void put_cut(struct out *o, str s, int room)
{
    bool cut = o->term.tty && safe_width(s) > room;
    out_safe(o, cut ? safe_cut(s, room - 1) : s);
    if (cut)
        out_puts(o, term_utf8() ? "…" : "~");
}

/* "2026-11-21 10:00:00" */
static void put_time(struct out *o, str iso)
{
    out_put(o, str_sub(iso, 0, 10));
    out_puts(o, iso.n > 10 ? " " : "");
    out_put(o, str_sub(iso, 11, 8));
}

static void put_patterns(struct shown *s)
{
    struct out *o = &s->c->out;
    char n[32];
    int width = 5;
    for (uint32_t i = 0; i < s->n; i++) {
        int w = (int)strlen(fmt_count((uint64_t)jrow_num(&s->rows[i], "count", 0), n));
        width = w > width ? w : width;
    }
    int room = o->term.cols - width - (2 + 6 + 2 + 8 + 2 + 3 + 2);
    bool times = !o->term.tty || room >= 21 + 30;
    room -= times ? 21 : 0;
    out_style(o, STYLE_BOLD);
    out_printf(o, "%*s   share  level     new  %spattern", width, "count",
               times ? "last                 " : "");
    out_style(o, STYLE_NONE);
    out_line(o);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct jrow *r = &s->rows[i];
        str level = worst_level(r);
        enum style style = style_of_level(level);
        bool fresh = str_eq(jrow_text(r, "new"), STR("true"));
        out_printf(o, "%*s  %5.1f%%  ", width, fmt_count((uint64_t)jrow_num(r, "count", 0), n),
                   jrow_num(r, "share", 0));
        out_style(o, style == STYLE_ALARM ? STYLE_RED : style);
        out_put(o, level);
        out_style(o, STYLE_NONE);
        out_pad(o, 10 - (int)level.n);
        if (fresh)
            out_styled(o, STYLE_GREEN, "new");
        out_pad(o, fresh ? 2 : 5);
        if (times) {
            put_time(o, jrow_text(r, "last"));
            out_puts(o, "  ");
        }
        put_cut(o, jrow_text(r, "pattern"), room < 20 ? 20 : room);
        out_line(o);
    }
}

/* ---- anomalies ---- */

static void put_number(struct out *o, double v, int width)
{
    char text[40];
    snprintf(text, sizeof text, v == (double)(int64_t)v ? "%.0f" : "%.2f", v);
    out_pad(o, width - (int)strlen(text));
    out_puts(o, text);
}

static void put_anomalies(struct shown *s)
{
    static const struct {
        const char *kind, *title;
    } kinds[] = {
        { "error_spike", "Spikes of errors" }, { "error_variety", "Many different errors" },
        { "silence", "Silent sources" },       { "latency", "Slow calls (ms)" },
        { "new_message", "New messages" },     { "rare_message", "Rare messages" },
    };
    struct out *o = &s->c->out;
    int room = o->term.cols - 2 - 19 - 2 - 10 - 2 - 10 - 2 - 6 - 2 - 11 - 2;
    bool any = false;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bool head = false;
        for (uint32_t i = 0; i < s->n; i++) {
            const struct jrow *r = &s->rows[i];
            if (!str_eq(jrow_text(r, "kind"), str_c(kinds[k].kind)))
                continue;
            if (!head) {
                if (any)
                    out_line(o);
                out_styled(o, STYLE_BOLD, kinds[k].title);
                out_line(o);
                out_style(o, STYLE_DIM);
                out_puts(o, "  time                   observed    expected   score  rule         "
                            "what");
                out_style(o, STYLE_NONE);
                out_line(o);
            }
            any = head = true;
            out_puts(o, "  ");
            put_time(o, jrow_text(r, "time"));
            out_puts(o, "  ");
            put_number(o, jrow_num(r, "observed", 0), 10);
            out_puts(o, "  ");
            double expected = jrow_num(r, "expected", -1);
            if (expected < 0)
                out_pad(o, 10);
            else
                put_number(o, expected, 10);
            out_printf(o, "  %6.1f  ", jrow_num(r, "score", 0));
            str rule = jrow_text(r, "rule");
            out_safe(o, rule);
            out_pad(o, 13 - (int)rule.n);
            put_cut(o, jrow_text(r, "what"), room < 20 ? 20 : room);
            out_line(o);
        }
    }
}

/* ---- both ---- */

static int run(struct cli *c, const struct buf *pipe, void (*put)(struct shown *),
               const char *nothing)
{
    struct target t;
    struct data_result res;
    struct buf words, text;
    struct shown s = { .c = c };
    const char *format = opt_on(c, "json") ? "ndjson" : opt_text(c, "format");
    s.text = strcmp(format, "text") == 0;
    s.csv = strcmp(format, "csv") == 0;
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    buf_init(&words, 64u << 10);
    buf_init(&text, 256u << 10);
    arena_init(&s.a, (size_t)1 << 30);
    data_join_args(c, 0, &words);
    struct data_query q = { .ctx = &s, .on_row = on_row, .csv = s.csv };
    q.start = opt_time(c, "since", TS_MIN);
    q.end = opt_time(c, "until", TS_MAX);
    rc = data_combine(c, &text, words.p ? words.p : "", false, &q.shift);
    if (rc == 0) {
        if (!text.n)
            buf_puts(&text, "*");
        buf_puts(&text, "\n| "); /* a comment ends at the newline */
        buf_putstr(&text, buf_str(pipe));
        q.text = text.p;
        rc = data_query(c, &t, &q, &res);
    }
    if (rc == 0)
        rc = s.bad;
    if (rc == 0 && s.text && s.n)
        put(&s);
    if (rc == 0 && s.text && !s.n && c->err.tty)
        cli_note(c, "%s", nothing);
    arena_deinit(&s.a);
    buf_deinit(&text);
    buf_deinit(&words);
    target_close(&t);
    return rc;
}

static int run_patterns(struct cli *c)
{
    struct buf pipe;
    ts_ns since = opt_time(c, "since", TS_MIN);
    if (opt_on(c, "new") && since == TS_MIN)
        return cli_fail(c, EXIT_USAGE, "for example --new --since 1h", "--new needs --since");
    buf_init(&pipe, 256);
    buf_printf(&pipe, "patterns %lld%s", (long long)opt_num(c, "limit"),
               opt_on(c, "new") ? " new" : "");
    int rc = run(c, &pipe, put_patterns, "no messages");
    buf_deinit(&pipe);
    return rc;
}

static int run_anomalies(struct cli *c)
{
    struct buf pipe;
    buf_init(&pipe, 64u << 10);
    buf_printf(&pipe, "anomalies %lld by %s", (long long)opt_num(c, "limit"), opt_text(c, "by"));
    if (opt_given(c, "step"))
        buf_printf(&pipe, " step %lldms", (long long)(opt_num(c, "step") / NS_PER_MS));
    int rc = run(c, &pipe, put_anomalies, "nothing out of the ordinary");
    buf_deinit(&pipe);
    return rc;
}

const struct command cmd_patterns = {
    .name = "patterns",
    .summary = "messages by what is the same in them",
    .synopsis = "[OPTIONS] [QUERY]",
    .about = "Numbers become <int>, other words with a digit in them <text>; what is left is the "
             "pattern. With --since a pattern that no earlier entry has is marked as new.",
    .opts = pattern_opts,
    .examples = pattern_examples,
    .max_args = -1,
    .run = run_patterns,
};

const struct command cmd_anomalies = {
    .name = "anomalies",
    .summary = "what is out of the ordinary",
    .synopsis = "[OPTIONS] [QUERY]",
    .about = "Spikes and variety of errors, sources gone silent, slow calls, new and rare "
             "messages: by the thresholds of the MCP Mesh guide (rule seed4), and by how unlikely "
             "a count is after those before it (rule statistical). What the figures mean is in "
             "docs/query-language.md.",
    .opts = anomaly_opts,
    .examples = anomaly_examples,
    .max_args = -1,
    .run = run_anomalies,
};
