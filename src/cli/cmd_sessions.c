/* cmd_sessions.c: fleetlog sessions: one line a session, or a trace. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/cells.h"
#include "cli/target.h"

#define ROWS_MAX 10000

static const struct opt opts[] = {
    { .name = "since",
      .letter = 's',
      .type = OPT_TIME,
      .arg = "WHEN",
      .help = "entries from then on: 2026-11-21, now-1h, 15m (ago), today" },
    { .name = "until", .type = OPT_TIME, .arg = "WHEN", .help = "entries before then" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "50",
      .min = 1,
      .max = ROWS_MAX,
      .help = "at most so many" },
    { .name = "sort",
      .type = OPT_CHOICE,
      .arg = "BY",
      .def = "start",
      .choices = "start|duration|errors|tokens|cost|entries",
      .help = "largest or newest first by" },
    { .name = "traces", .type = OPT_FLAG, .help = "traces instead of sessions" },
    { .name = "json", .type = OPT_FLAG, .help = "all columns as JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog sessions --since today", "what the agents did today" },
    { "fleetlog sessions --sort cost -n 10", "the ten dearest" },
    { "fleetlog sessions 'agent:coder level:error'", "sessions in which coder failed" },
    { "fleetlog sessions --traces --sort duration", "the slowest traces" },
    { NULL, NULL },
};

/* of today the time, of this year day and time, else the day, and the time where there is room */
static void short_time(char *cell, str iso, ts_ns now, bool brief)
{
    ts_ns t;
    char text[TS_TEXT_MAX];
    cell[0] = 0;
    if (!ts_parse_iso(iso, &t))
        return;
    ts_format(t, 0, text);
    text[10] = ' ';
    bool today = t / NS_PER_DAY == now / NS_PER_DAY, recent = now - t < 300 * NS_PER_DAY && now > t;
    snprintf(cell, CELL_MAX, "%.*s",
             today    ? 8
             : recent ? 11
             : brief  ? 10
                      : 16,
             text + (today    ? 11
                     : recent ? 5
                              : 0));
}

static void put_agents(char *cell, const struct jrow *r)
{
    double n = jrow_num(r, "agents", 0);
    char first[CELL_MAX];
    cell_text(first, jrow_text(r, "agent"));
    if (n > 1)
        snprintf(cell, CELL_MAX, "%.*s +%.0f", CELL_MAX - 30, first, n - 1);
    else
        snprintf(cell, CELL_MAX, "%s", first);
}

static int print(struct cli *c, struct rows *r, bool traces)
{
    enum { ENTRIES = 4, MOST = 10 };
    const struct cell_col all[MOST] = { { traces ? "TRACE" : "SESSION", false, 8 },
                                        { "START", false, 0 },
                                        { "TOOK", true, 0 },
                                        { "AGENTS", false, 8 },
                                        { "ENTRIES", true, 0 },
                                        { traces ? "SPANS" : "TOOLS", true, 0 },
                                        { "ERRORS", true, 0 },
                                        { "TOKENS", true, 0 },
                                        { "COST", true, 0 },
                                        { traces ? "NAME" : "FIRST WORDS", false, 8 } };
    bool brief = cells_brief(&c->out); /* then without ENTRIES */
    struct cell_col cols[MOST];
    uint32_t n = 0;
    char cell[MOST][CELL_MAX];
    for (int k = 0; k < MOST; k++)
        if (k != ENTRIES || !brief)
            cols[n++] = all[k];
    char(*cells)[CELL_MAX] = arena_zalloc(&r->a, ((size_t)r->n + 1) * n * CELL_MAX);
    enum style *styles = arena_zalloc(&r->a, ((size_t)r->n + 1) * n * sizeof(*styles));
    if (!cells || !styles)
        return cli_fail(c, EXIT_OS, NULL, "out of memory");
    for (uint32_t i = 0; i < r->n; i++) {
        const struct jrow *v = &r->v[i];
        char ms[32];
        cell_text(cell[0], jrow_text(v, traces ? "trace_id" : "session_id"));
        short_time(cell[1], jrow_text(v, "start"), c->now, brief);
        snprintf(cell[2], CELL_MAX, "%s", fmt_ms(jrow_num(v, "duration_ms", 0), ms));
        put_agents(cell[3], v);
        cell_count(cell[4], v, "entries");
        cell_count(cell[5], v, traces ? "spans" : "tool_calls");
        cell_count(cell[6], v, "errors");
        cell_tokens(cell[7], v, "tokens", brief);
        cell_usd(cell[8], v, "cost_usd");
        cell_text(cell[9], jrow_text(v, traces ? "name" : "first_user"));
        for (uint32_t k = 0, at = i * n; k < MOST; k++)
            if (k != ENTRIES || !brief)
                memcpy(cells[at++], cell[k], CELL_MAX);
        styles[i * n] = STYLE_CYAN;
        styles[i * n + 1] = STYLE_DIM;
        if (jrow_num(v, "errors", 0) > 0)
            styles[i * n + n - 4] = STYLE_RED;
    }
    cells_print(&c->out, cols, n, cells, styles, r->n);
    return EXIT_DONE;
}

static const char *column_of(const char *sort)
{
    return strcmp(sort, "duration") == 0 ? "duration_ms"
           : strcmp(sort, "cost") == 0   ? "cost_usd"
                                         : sort;
}

static int run(struct cli *c)
{
    bool traces = opt_on(c, "traces");
    char pipes[120];
    struct target t;
    struct rows r;
    struct buf text;
    struct data_query q;
    int64_t limit = opt_num(c, "limit");
    buf_init(&text, 64u << 10);
    snprintf(pipes, sizeof(pipes), "| %s | sort by %s desc, %s", traces ? "traces" : "sessions",
             column_of(opt_text(c, "sort")), traces ? "trace_id" : "session_id");
    int rc = cells_query(c, &text, pipes, &q);
    q.limit = (uint32_t)limit + 1; /* one more tells that there are more */
    if (rc == 0)
        rc = target_open(c, &t, NEED_READ);
    if (rc) {
        buf_deinit(&text);
        return rc;
    }
    rc = rows_load(&r, c, &t, &q);
    bool more = r.n > (uint32_t)limit;
    r.n = more ? (uint32_t)limit : r.n;
    if (rc == 0 && opt_on(c, "json"))
        rows_json(&r, traces ? "traces" : "sessions");
    else if (rc == 0 && r.n)
        rc = print(c, &r, traces);
    else if (rc == 0)
        cli_note(c, "no %s", traces ? "traces" : "sessions");
    if (rc == 0 && more)
        cli_note(c, "there are more: --limit shows them");
    rows_free(&r);
    buf_deinit(&text);
    target_close(&t);
    return rc;
}

const struct command cmd_sessions = {
    .name = "sessions",
    .summary = "one line a session: who, how long, errors, tokens, cost",
    .synopsis = "[OPTIONS] [QUERY]",
    .about =
        "The query picks entries; a session is made of those. Costs are what senders reported, "
        "else tokens by the price table (prices.conf in the data directory). A line of "
        "agents names the first and how many others.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
