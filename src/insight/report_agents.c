/* report_agents.c: the agents, tools and models, slow operations. */
#include "insight/internal.h"

#define AGENTS_SHOWN 40
#define ROWS_SHOWN 20
#define RISE_LEAST 5 /* errors that make a rise worth telling */
#define RISE_TIMES 1.5
#define RISE_SURPRISE 3.0
#define SLOW_TIMED 20 /* durations in both windows that make a p95 comparable */
#define FAILING_SHARE 0.1
#define FAILING_LEAST 5

#define DURATIONS                                                                                  \
    "p50(duration_ms) as p50, p95(duration_ms) as p95, p99(duration_ms) as p99, "                  \
    "max(duration_ms) as longest"
#define BY_AGENT                                                                                   \
    "stats count() as entries, count() if (level:error) as errors, "                               \
    "count(duration_ms) as timed, " DURATIONS                                                      \
    ", min(timestamp) as first, max(timestamp) as last by agent | sort by errors desc, "           \
    "entries desc, agent"

static void put_ms(struct page_cell *c, const struct answer_row *row, const char *name)
{
    cell_num(c, answer_num(row, name, 0), !answer_has(row, name));
}

static str agent_of(const struct answer_row *row)
{
    return answer_text(row, "agent");
}

/* ---- the table ---- */

static int put_agents(struct report *r, const struct answer *now, const struct answer *before)
{
    static const struct page_col cols[] = {
        { "Agent", UNIT_NAME, false, false, true },
        { "Entries", UNIT_COUNT, false, true, false },
        { "Errors", UNIT_COUNT, true, false, false },
        { "Before", UNIT_COUNT, false, false, false },
        { "Error rate", UNIT_SHARE, false, false, false },
        { "p50", UNIT_MS, false, false, false },
        { "p95", UNIT_MS, false, false, false },
        { "p99", UNIT_MS, false, false, false },
        { "Last entry", UNIT_TIME, false, false, false },
    };
    struct page *p = &r->page;
    struct page_block *t = page_table(p, cols, 9);
    for (uint32_t i = 0; i < now->n && i < AGENTS_SHOWN; i++) {
        const struct answer_row *row = &now->rows[i];
        const struct answer_row *was = answer_find(before, "agent", agent_of(row));
        struct page_cell *c = page_row(p, t);
        double entries = answer_num(row, "entries", 0), errors = answer_num(row, "errors", 0);
        if (!c)
            return err_nomem(r->err);
        cell_text(&c[0], report_short(r, agent_of(row), 60));
        cell_num(&c[1], entries, false);
        cell_num(&c[2], errors, false);
        cell_num(&c[3], answer_num(was, "errors", 0), false);
        cell_num(&c[4], report_share(errors, entries), false);
        put_ms(&c[5], row, "p50");
        put_ms(&c[6], row, "p95");
        put_ms(&c[7], row, "p99");
        c[8].none = !answer_time(row, "last", &c[8].t);
    }
    if (now->n > AGENTS_SHOWN)
        page_add(p, BLOCK_TEXT,
                 page_printf(p, "%u more agents with fewer errors are not shown.",
                             now->n - AGENTS_SHOWN));
    return 0;
}

/* ---- what changed ---- */

static void tell_errors(struct report *r, str agent, double now, double before)
{
    double z = report_surprise(now, before);
    struct page *p = &r->page;
    struct word a = word_count(before), b = word_count(now);
    if (z >= RISE_SURPRISE && now >= RISE_LEAST && now >= RISE_TIMES * before)
        report_find(r, 40 + z, TONE_BAD,
                    page_printf(p, "%.*s: errors rose from %s to %s.", STR_FMT(agent), a.z, b.z));
    else if (z <= -RISE_SURPRISE && before >= RISE_LEAST && before >= RISE_TIMES * now)
        report_find(r, 10 - z / 10, TONE_GOOD,
                    page_printf(p, "%.*s: errors fell from %s to %s.", STR_FMT(agent), a.z, b.z));
}

static void tell_slower(struct report *r, str agent, const struct answer_row *now,
                        const struct answer_row *was)
{
    double p95 = answer_num(now, "p95", 0), p95_was = answer_num(was, "p95", 0);
    if (answer_num(now, "timed", 0) < SLOW_TIMED || answer_num(was, "timed", 0) < SLOW_TIMED ||
        p95_was <= 0 || p95 < 2 * p95_was)
        return;
    report_find(r, 30 + p95 / p95_was, TONE_BAD,
                page_printf(&r->page,
                            "%.*s: the 95th percentile of its durations rose from %s to "
                            "%s.",
                            STR_FMT(agent), word_ms(p95_was).z, word_ms(p95).z));
}

static void tell_agents(struct report *r, const struct answer *now, const struct answer *before)
{
    for (uint32_t i = 0; i < now->n; i++) {
        const struct answer_row *row = &now->rows[i];
        const struct answer_row *was = answer_find(before, "agent", agent_of(row));
        str name = report_short(r, agent_of(row), 60);
        if (r->entries_before > 0)
            tell_errors(r, name, answer_num(row, "errors", 0), answer_num(was, "errors", 0));
        if (was)
            tell_slower(r, name, row, was);
    }
}

int report_agents(struct report *r)
{
    struct answer now, before;
    int rc = report_ask(r, &now, WINDOW_NOW, "agent:*", BY_AGENT);
    if (rc == 0)
        rc = report_ask(r, &before, WINDOW_BEFORE, "agent:*", BY_AGENT);
    if (rc < 0)
        return rc;
    if (now.n) {
        page_add(&r->page, BLOCK_HEADING, STR("Agents"));
        rc = put_agents(r, &now, &before);
        tell_agents(r, &now, &before);
    }
    return rc < 0 ? rc : report_silence(r, &now, &before);
}

/* ---- tools and models ---- */

#define CALLS(field, also)                                                                         \
    "stats count() as calls, count() if (level:error OR status:error) as errors, " DURATIONS also  \
    " by " field " | sort by calls desc, " field

static void tell_failing(struct report *r, const char *what, str name, double calls, double errors)
{
    double share = report_share(errors, calls);
    if (errors < FAILING_LEAST || share < FAILING_SHARE)
        return;
    report_find(r, 20 + 10 * share, TONE_BAD,
                page_printf(&r->page, "%s %.*s failed in %s of %s calls (%s).", what, STR_FMT(name),
                            word_count(errors).z, word_count(calls).z, word_share(share).z));
}

/* the columns that tools and models share, from c[0] on */
static void put_calls(struct report *r, struct page_cell *c, const char *what, str name,
                      const struct answer_row *row)
{
    double calls = answer_num(row, "calls", 0), errors = answer_num(row, "errors", 0);
    name = report_short(r, name, 60);
    cell_text(&c[0], name);
    cell_num(&c[1], calls, false);
    cell_num(&c[2], errors, false);
    cell_num(&c[3], report_share(errors, calls), false);
    put_ms(&c[4], row, "p50");
    put_ms(&c[5], row, "p95");
    put_ms(&c[6], row, "longest");
    tell_failing(r, what, name, calls, errors);
}

#define CALL_COLS(title)                                                                           \
    { title, UNIT_NAME, false, false, true }, { "Calls", UNIT_COUNT, false, true, false },         \
        { "Errors", UNIT_COUNT, true, false, false },                                              \
        { "Error rate", UNIT_SHARE, false, false, false },                                         \
        { "p50", UNIT_MS, false, false, false }, { "p95", UNIT_MS, false, false, false },          \
    {                                                                                              \
        "Longest", UNIT_MS, false, false, false                                                    \
    }

static void put_rest(struct report *r, uint32_t n, const char *what)
{
    if (n > ROWS_SHOWN)
        page_add(&r->page, BLOCK_TEXT,
                 page_printf(&r->page, "%u more %s are not shown.", n - ROWS_SHOWN, what));
}

static int put_tools(struct report *r)
{
    static const struct page_col cols[] = { CALL_COLS("Tool") };
    struct answer t;
    int rc = report_ask(r, &t, WINDOW_NOW, "tool:* -kind:span_start", CALLS("tool", ""));
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("Tools"));
    struct page_block *b = page_table(&r->page, cols, 7);
    for (uint32_t i = 0; i < t.n && i < ROWS_SHOWN; i++) {
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        put_calls(r, c, "Tool", answer_text(&t.rows[i], "tool"), &t.rows[i]);
    }
    put_rest(r, t.n, "tools");
    return 0;
}

static int put_models(struct report *r)
{
    static const struct page_col cols[] = { CALL_COLS("Model"),
                                            { "Tokens", UNIT_COUNT, false, false, false },
                                            { "Cost", UNIT_USD, false, false, false } };
    struct answer t, use;
    int rc = report_ask(r, &t, WINDOW_NOW, "model:* -kind:span_start", CALLS("model", ""));
    if (rc < 0 || !t.n)
        return rc;
    rc = report_ask(r, &use, WINDOW_NOW, "model:*", "usage by model");
    if (rc < 0)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("Models"));
    struct page_block *b = page_table(&r->page, cols, 9);
    for (uint32_t i = 0; i < t.n && i < ROWS_SHOWN; i++) {
        str model = answer_text(&t.rows[i], "model");
        const struct answer_row *u = answer_find(&use, "model", model);
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        put_calls(r, c, "Model", model, &t.rows[i]);
        cell_num(&c[7], answer_num(u, "tokens", 0), !answer_has(u, "tokens"));
        cell_num(&c[8], answer_num(u, "cost_usd", 0), !answer_has(u, "cost_usd"));
    }
    put_rest(r, t.n, "models");
    return 0;
}

int report_tools(struct report *r)
{
    int rc = put_tools(r);
    return rc < 0 ? rc : put_models(r);
}

/* ---- slow operations ---- */

#define OPERATION "eval op = coalesce(operation, tool, request.method, mcp.method, event) | "

static int put_slow_kinds(struct report *r)
{
    static const struct page_col cols[] = {
        { "Operation", UNIT_NAME, false, false, true }, { "Agent", UNIT_NAME, false, false, false },
        { "Times", UNIT_COUNT, false, false, false },   { "p50", UNIT_MS, false, false, false },
        { "p95", UNIT_MS, false, true, false },         { "p99", UNIT_MS, false, false, false },
        { "Longest", UNIT_MS, false, false, false },
    };
    struct answer t;
    int rc = report_ask(r, &t, WINDOW_NOW, "duration_ms:*",
                        OPERATION "where op:* | stats count() as n, " DURATIONS
                                  " by agent, op | sort by p95 desc, agent, op | limit 15");
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("Slow operations"));
    struct page_block *b = page_table(&r->page, cols, 7);
    for (uint32_t i = 0; i < t.n; i++) {
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        cell_text(&c[0], report_short(r, answer_text(&t.rows[i], "op"), 60));
        cell_text(&c[1], report_short(r, agent_of(&t.rows[i]), 40));
        cell_num(&c[2], answer_num(&t.rows[i], "n", 0), false);
        put_ms(&c[3], &t.rows[i], "p50");
        put_ms(&c[4], &t.rows[i], "p95");
        put_ms(&c[5], &t.rows[i], "p99");
        put_ms(&c[6], &t.rows[i], "longest");
    }
    return 0;
}

static int put_slowest(struct report *r)
{
    static const struct page_col cols[] = {
        { "Took", UNIT_MS, false, true, false },
        { "Operation", UNIT_NAME, false, false, false },
        { "Agent", UNIT_NAME, false, false, false },
        { "When", UNIT_TIME, false, false, false },
        { "Trace", UNIT_CODE, false, false, false },
        { "Message", UNIT_TEXT, false, false, true },
    };
    struct answer t;
    int rc = report_ask(r, &t, WINDOW_NOW, "duration_ms:*",
                        OPERATION "sort by duration_ms desc, timestamp | limit 12 | fields "
                                  "duration_ms, op, agent, timestamp, trace, message");
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("The longest single ones"));
    struct page_block *b = page_table(&r->page, cols, 6);
    for (uint32_t i = 0; i < t.n; i++) {
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        put_ms(&c[0], &t.rows[i], "duration_ms");
        cell_text(&c[1], report_short(r, answer_text(&t.rows[i], "op"), 40));
        cell_text(&c[2], report_short(r, agent_of(&t.rows[i]), 40));
        c[3].none = !answer_time(&t.rows[i], "timestamp", &c[3].t);
        cell_text(&c[4], report_short(r, answer_text(&t.rows[i], "trace"), 36));
        cell_text(&c[5], report_short(r, answer_text(&t.rows[i], "message"), TEXT_SHOWN));
    }
    return 0;
}

int report_slow(struct report *r)
{
    int rc = put_slow_kinds(r);
    return rc < 0 ? rc : put_slowest(r);
}
