/* cmd_cost.c: fleetlog cost: tokens and cost by agent, model, tool, session or day. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/cells.h"
#include "cli/target.h"

#define ROWS_MAX 10000

static const struct opt opts[] = {
    { .name = "by",
      .type = OPT_CHOICE,
      .arg = "KEY",
      .def = "agent",
      .choices = "agent|model|tool|session|day",
      .help = "one line each" },
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
      .help = "at most so many lines, dearest first" },
    { .name = "json", .type = OPT_FLAG, .help = "all columns as JSON, the total too" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog cost --since today", "what today cost, by agent" },
    { "fleetlog cost --by model 'agent:coder'", "which models coder used" },
    { "fleetlog cost --by day --since now-30d --json", "a month, for a script" },
    { NULL, NULL },
};

static void put_row(char (*row)[CELL_MAX], const struct jrow *v, bool brief)
{
    static const char *const counts[] = {
        "calls",         "tokens.input",    "tokens.cache_read", "tokens.cache_write",
        "tokens.output", "tokens.reasoning"
    };
    for (int k = 0; k < 6; k++)
        cell_tokens(row[1 + k], v, counts[k], brief);
    cell_usd(row[7], v, "cost_usd");
    if (jrow_num(v, "unpriced", 0) > 0)
        cell_count(row[8], v, "unpriced");
}

/* what belongs to no agent (model, ...) comes last, in front of the total */
static void put_key(char *cell, const struct rows *r, uint32_t i, const char *key)
{
    const struct row_field *f = jrow_find(&r->v[i], key);
    str s = f ? f->text : STR_NULL;
    if (!f || f->type == JSON_NULL)
        snprintf(cell, CELL_MAX, "unattributed");
    else if (strcmp(key, "day") == 0)
        snprintf(cell, CELL_MAX, "%.10s", s.p);
    else
        cell_text(cell, s.n ? s : STR("\"\""));
}

static bool unattributed(const struct rows *r, uint32_t i, const char *key)
{
    const struct row_field *f = jrow_find(&r->v[i], key);
    return !f || f->type == JSON_NULL;
}

static int print(struct cli *c, struct rows *r, const struct rows *total, const char *key,
                 const char *by)
{
    char title[32];
    bool brief = cells_brief(&c->out);
    size_t n = strlen(by);
    for (size_t i = 0; i <= n; i++)
        title[i] = by[i] >= 'a' && by[i] <= 'z' ? (char)(by[i] - 32) : by[i];
    const struct cell_col cols[] = { { title, false, 12 },
                                     { "CALLS", true, 0 },
                                     { "INPUT", true, 0 },
                                     { brief ? "C.READ" : "CACHE READ", true, 0 },
                                     { brief ? "C.WRITE" : "CACHE WRITE", true, 0 },
                                     { "OUTPUT", true, 0 },
                                     { brief ? "REASON" : "REASONING", true, 0 },
                                     { "COST", true, 0 },
                                     { "NO PRICE", true, 0 } };
    enum { N = sizeof(cols) / sizeof(*cols) };
    char(*cells)[CELL_MAX] = arena_zalloc(&r->a, ((size_t)r->n + 1) * N * CELL_MAX);
    enum style *styles = arena_zalloc(&r->a, ((size_t)r->n + 1) * N * sizeof(*styles));
    uint32_t k = 0;
    if (!cells || !styles)
        return cli_fail(c, EXIT_OS, NULL, "out of memory");
    for (int last = 0; last < 2; last++)
        for (uint32_t i = 0; i < r->n; i++) {
            if (unattributed(r, i, key) != (last == 1))
                continue;
            char(*row)[CELL_MAX] = cells + (size_t)k * N;
            put_key(row[0], r, i, key);
            put_row(row, &r->v[i], brief);
            styles[(size_t)k * N] = last ? STYLE_DIM : STYLE_CYAN;
            styles[(size_t)k * N + 8] = STYLE_YELLOW;
            k++;
        }
    if (total->n) {
        char(*row)[CELL_MAX] = cells + (size_t)k * N;
        snprintf(row[0], CELL_MAX, "total");
        put_row(row, &total->v[0], brief);
        for (size_t i = 0; i < N; i++)
            styles[(size_t)k * N + i] = STYLE_BOLD;
        k++;
    }
    cells_print(&c->out, cols, N, cells, styles, k);
    return EXIT_DONE;
}

static void print_json(struct cli *c, struct rows *r, const struct rows *total)
{
    struct out *o = &c->out;
    out_puts(o, "{\n  \"total\": ");
    out_json(o, total->n ? total->text[0] : STR("null"));
    out_puts(o, ",\n  \"rows\": [");
    for (uint32_t i = 0; i < r->n; i++) {
        out_puts(o, i ? ",\n    " : "\n    ");
        out_json(o, r->text[i]);
    }
    out_printf(o, "%s],\n  \"count\": %u\n}\n", r->n ? "\n  " : "", r->n);
}

/* both queries of one answer */
static int load(struct cli *c, struct target *t, const char *pipes, uint32_t limit, struct rows *r)
{
    struct buf text;
    struct data_query q;
    buf_init(&text, 64u << 10);
    int rc = cells_query(c, &text, pipes, &q);
    q.limit = limit;
    if (rc == 0)
        rc = rows_load(r, c, t, &q);
    else
        *r = (struct rows){ .c = c };
    buf_deinit(&text);
    return rc;
}

static int run(struct cli *c)
{
    const char *by = opt_text(c, "by");
    const char *key = strcmp(by, "session") == 0 ? "session_id" : by;
    uint32_t limit = (uint32_t)opt_num(c, "limit");
    char pipes[120];
    struct target t;
    struct rows r, total;
    if (strcmp(by, "day") == 0)
        snprintf(pipes, sizeof(pipes), "| usage by time(1d) as day");
    else
        snprintf(pipes, sizeof(pipes), "| usage by %s | sort by cost_usd desc, tokens desc, %s",
                 key, key);
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    rc = load(c, &t, "| usage", 1, &total);
    if (rc) {
        rows_free(&total);
        target_close(&t);
        return rc;
    }
    rc = load(c, &t, pipes, limit + 1, &r);
    bool more = r.n > limit;
    r.n = more ? limit : r.n;
    if (rc == 0 && opt_on(c, "json"))
        print_json(c, &r, &total);
    else if (rc == 0 && r.n)
        rc = print(c, &r, &total, key, by);
    else if (rc == 0)
        cli_note(c, "no calls that tell of tokens or of a cost");
    if (rc == 0 && more)
        cli_note(c, "there are more lines: --limit shows them; the total is of all");
    rows_free(&r);
    rows_free(&total);
    target_close(&t);
    return rc;
}

const struct command cmd_cost = {
    .name = "cost",
    .summary = "tokens and cost by agent, model, tool, session or day",
    .synopsis = "[OPTIONS] [QUERY]",
    .about =
        "What senders reported counts; else tokens by the price table: prices.conf in the data "
        "directory, or what serve was given with --prices. A call that several sources tell of "
        "counts once. NO PRICE counts calls whose model has no line in the table: they are in no "
        "sum. What belongs to no agent (model, ...) is shown as unattributed.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
