/* cmd_search.c: fleetlog search: entries or tables that a query finds. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/row.h"
#include "cli/table.h"

#define HELD_MAX 256 /* lines kept back to learn the width of the agent column */

static const struct opt opts[] = {
    { .name = "agent",
      .letter = 'a',
      .type = OPT_TEXT,
      .arg = "NAME",
      .help = "only this agent; * is a wildcard" },
    { .name = "level",
      .letter = 'l',
      .type = OPT_CHOICE,
      .arg = "LEVEL",
      .choices = "trace|debug|info|warn|error|critical",
      .help = "at least this severe" },
    { .name = "pattern",
      .letter = 'p',
      .type = OPT_TEXT,
      .arg = "REGEX",
      .help = "the message matches this regular expression" },
    { .name = "since",
      .letter = 's',
      .type = OPT_TIME,
      .arg = "TIME",
      .help = "from this moment on: 15m (ago), now-1h, today, 2026-11-21T10:00:00Z" },
    { .name = "until", .type = OPT_TIME, .arg = "TIME", .help = "before this moment" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .min = 1,
      .max = UINT32_MAX,
      .help = "at most so many rows (default 100, tables 10000)" },
    { .name = "offset",
      .type = OPT_INT,
      .arg = "N",
      .def = "0",
      .min = 0,
      .max = UINT32_MAX,
      .help = "skip so many rows first" },
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "text",
      .choices = "text|json|ndjson|csv",
      .help = "how to print" },
    { .name = "json", .type = OPT_FLAG, .help = "short for --format json" },
    { .name = "wide",
      .letter = 'w',
      .type = OPT_FLAG,
      .help = "on a terminal too: long values whole, span and call ids" },
    { .name = "quiet",
      .letter = 'q',
      .type = OPT_FLAG,
      .help = "print nothing; exit 1 when nothing is found" },
    { .name = "explain", .type = OPT_FLAG, .help = "show the plan instead of the rows" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog search 'level:error \"connection refused\"'", "errors with these words" },
    { "fleetlog search --agent 'coder*' --since 1h", "the last hour of some agents" },
    { "fleetlog search 'tool:* duration_ms>2s' --format csv",
      "slow tool calls, for a spreadsheet" },
    { "fleetlog search 'level:warn | stats count() as n by agent | sort by n desc'",
      "a table: who warns most" },
    { "fleetlog search --quiet 'level:critical' --since 5m || echo calm", "in a script" },
    { NULL, NULL },
};

enum shape { SHAPE_TEXT, SHAPE_JSON, SHAPE_NDJSON, SHAPE_CSV };
struct search {
    struct cli *c;
    enum shape shape;
    bool quiet;
    struct renderer r;
    struct table *held; /* rows of a table, all of them */
    struct buf first;   /* the first lines of entries, newline after each */
    uint64_t rows, nheld;
    bool is_table, streaming;
    int bad; /* exit code of a row that could not be shown */
};

static bool show_entry(struct search *s, str line)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    arena_init(&a, 256u << 20);
    int rc = jrow_parse(&row, line, &a, &err);
    if (rc == 0)
        render_entry(&s->r, &row);
    else
        s->bad = cli_fail_err(s->c, &err);
    arena_deinit(&a);
    return rc == 0 && out_ok(&s->c->out);
}

/* prints the lines held back, now that their widths are known */
static bool release(struct search *s)
{
    str rest = buf_str(&s->first), line;
    bool go = true;
    s->streaming = true;
    while (go && rest.n && str_split(&rest, '\n', &line))
        go = !line.n || show_entry(s, line);
    buf_reset(&s->first);
    return go;
}

static bool hold_entry(struct search *s, const struct jrow *row, str line)
{
    renderer_see(&s->r, row);
    buf_putstr(&s->first, line);
    buf_putc(&s->first, '\n');
    return ++s->nheld < HELD_MAX || release(s);
}

static bool text_row(struct search *s, str line)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    bool go = false;
    if (s->streaming)
        return show_entry(s, line);
    arena_init(&a, 256u << 20);
    int rc = jrow_parse(&row, line, &a, &err);
    if (rc == 0 && s->rows == 1)
        s->is_table = !jrow_is_entry(&row);
    if (rc == 0 && s->is_table && !s->held)
        rc = table_new(&s->held, &err);
    if (rc == 0 && s->is_table)
        rc = table_add(s->held, line, &err);
    if (rc < 0)
        s->bad = cli_fail_err(s->c, &err);
    else
        go = s->is_table || hold_entry(s, &row, line);
    arena_deinit(&a);
    return go;
}

static bool on_row(void *ctx, str line)
{
    struct search *s = ctx;
    struct out *o = &s->c->out;
    s->rows++;
    if (s->quiet)
        return false; /* one is enough to know */
    if (s->shape == SHAPE_TEXT)
        return text_row(s, line);
    if (s->shape == SHAPE_JSON)
        out_puts(o, s->rows == 1 ? "{\n  \"results\": [\n    " : ",\n    ");
    out_json(o, line);
    if (s->shape == SHAPE_NDJSON)
        out_line(o);
    return out_ok(o);
}

static enum shape shape_of(const char *format)
{
    return strcmp(format, "json") == 0     ? SHAPE_JSON
           : strcmp(format, "ndjson") == 0 ? SHAPE_NDJSON
           : strcmp(format, "csv") == 0    ? SHAPE_CSV
                                           : SHAPE_TEXT;
}

static void finish(struct search *s, const struct data_result *res)
{
    struct cli *c = s->c;
    if (s->shape == SHAPE_JSON)
        out_printf(&c->out,
                   "%s],\n  \"count\": %llu,\n  \"offset\": %lld,\n  \"truncated\": %s\n}\n",
                   s->rows ? "\n  " : "{\n  \"results\": [", (unsigned long long)s->rows,
                   (long long)opt_num(c, "offset"), res->truncated ? "true" : "false");
    if (s->shape != SHAPE_TEXT)
        return;
    if (s->held)
        table_print(s->held, &c->out, opt_on(c, "wide"));
    else if (!s->streaming)
        release(s);
    if (!s->rows && c->err.tty)
        cli_note(c, "nothing found");
    else if (res->truncated && c->err.tty)
        cli_note(c, "there is more; --limit N shows further rows");
}

static int run(struct cli *c)
{
    struct target t;
    struct data_result res;
    struct buf words, text;
    struct search s = { .c = c, .quiet = opt_on(c, "quiet") };
    s.shape = opt_on(c, "json") ? SHAPE_JSON : shape_of(opt_text(c, "format"));
    if (s.quiet && s.shape == SHAPE_CSV)
        s.shape = SHAPE_NDJSON;
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    buf_init(&words, 64u << 10);
    buf_init(&text, 256u << 10);
    buf_init(&s.first, 256u << 20);
    data_join_args(c, 0, &words);
    struct data_query q = { .limit = (uint32_t)opt_num(c, "limit"),
                            .ctx = &s,
                            .on_row = on_row,
                            .offset = (uint32_t)opt_num(c, "offset"),
                            .csv = s.shape == SHAPE_CSV };
    q.start = opt_time(c, "since", TS_MIN);
    q.end = opt_time(c, "until", TS_MAX);
    rc = data_combine(c, &text, words.p ? words.p : "", false, &q.shift);
    q.text = text.p ? text.p : "";
    renderer_init(&s.r, &c->out, opt_on(c, "wide"));

    if (rc) {
        /* said already */
    } else if (opt_on(c, "explain")) {
        struct buf plan;
        buf_init(&plan, 16u << 20);
        rc = data_explain(c, &t, &q, &plan);
        if (rc == 0) {
            json_pretty(&c->out, buf_str(&plan), 0);
            out_line(&c->out);
        }
        buf_deinit(&plan);
    } else {
        rc = data_query(c, &t, &q, &res);
        if (rc == 0 && !s.quiet)
            finish(&s, &res);
        if (rc == 0)
            rc = s.bad ? s.bad : s.quiet && !s.rows ? EXIT_NONE : EXIT_DONE;
    }
    table_free(s.held);
    buf_deinit(&s.first);
    buf_deinit(&text);
    buf_deinit(&words);
    target_close(&t);
    return rc;
}

const struct command cmd_search = {
    .name = "search",
    .summary = "find entries, or make tables of them",
    .synopsis = "[OPTIONS] [QUERY]",
    .about =
        "QUERY is the query language of docs/query-language.md: words, \"phrases\", field:value, "
        "level:warn, after:now-1h, AND OR NOT, then pipes such as '| stats count() by agent'. "
        "The filters given as options narrow it further. Newest entries come first.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
