/* cmd_search.c: fleetlog search: entries or tables that a query finds. */
#include "cli/answer.h"
#include "cli/commands.h"

static const struct opt opts[] = {
    OPTS_WHICH,
    OPTS_WHEN,
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

static int run(struct cli *c)
{
    struct target t;
    struct buf words, text;
    uint64_t rows = 0;
    struct answer a = { .quiet = opt_on(c, "quiet"),
                        .wide = opt_on(c, "wide"),
                        .explain = opt_on(c, "explain"),
                        .limit = (uint32_t)opt_num(c, "limit"),
                        .offset = (uint32_t)opt_num(c, "offset") };
    a.shape = opt_on(c, "json") ? ANSWER_JSON : answer_shape_of(opt_text(c, "format"));
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    buf_init(&words, 64u << 10);
    buf_init(&text, 256u << 10);
    data_join_args(c, 0, &words);
    a.start = opt_time(c, "since", TS_MIN);
    a.end = opt_time(c, "until", TS_MAX);
    rc = data_combine(c, &text, words.p ? words.p : "", false, &a.shift);
    a.text = text.p ? text.p : "";
    a.own = str_trim(buf_str(&words));
    if (rc == 0)
        rc = answer_print(c, &t, &a, &rows);
    if (rc == 0)
        rc = a.quiet && !a.explain && !rows ? EXIT_NONE : EXIT_DONE;
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
