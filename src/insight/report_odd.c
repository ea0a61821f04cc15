/* report_odd.c: what is out of the ordinary (the pipe `anomalies`, its statistical rule), and the
 * sessions in which the most went wrong. */
#include "insight/internal.h"

#define SPIKES_TOLD 3

static str plain_what(str what)
{
    size_t at = str_find(what, STR("agent="));
    return at == 0 ? str_skip(what, 6) : what;
}

static void tell_spike(struct report *r, const struct answer_row *row)
{
    ts_ns t;
    struct page *p = &r->page;
    double n = answer_num(row, "observed", 0);
    str who = report_short(r, plain_what(answer_text(row, "what")), 60);
    if (!answer_time(row, "time", &t))
        return;
    report_find(r, 30 + answer_num(row, "score", 0) / 10, TONE_BAD,
                page_printf(p, "%.*s: %s %s at once at %s, where its past made %.3g likely.",
                            STR_FMT(who), word_count(n).z, word_plural(n, "error", "errors"),
                            report_when(r, t).z, answer_num(row, "expected", 0)));
}

int report_odd(struct report *r)
{
    static const struct page_col cols[] = {
        { "Kind", UNIT_NAME, false, false, false },
        { "What", UNIT_TEXT, false, false, true },
        { "When", UNIT_TIME, false, false, false },
        { "Observed", UNIT_NUMBER, false, false, false },
        { "Expected", UNIT_NUMBER, false, false, false },
        { "Score", UNIT_NUMBER, false, false, false },
    };
    struct answer t;
    uint32_t told = 0;
    int rc = report_ask(r, &t, WINDOW_NOW, "",
                        "anomalies 5 | where rule=statistical -kind:rare_message | fields kind, "
                        "what, time, observed, expected, score");
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("Out of the ordinary"));
    struct page_block *b = page_table(&r->page, cols, 6);
    for (uint32_t i = 0; i < t.n; i++) {
        const struct answer_row *row = &t.rows[i];
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        str kind = answer_text(row, "kind"), name = arena_dup(r->a, kind);
        for (size_t k = 0; k < name.n; k++) /* "error_spike" */
            if (name.p[k] == '_')
                ((char *)name.p)[k] = ' ';
        cell_text(&c[0], name);
        cell_text(&c[1], report_short(r, plain_what(answer_text(row, "what")), TEXT_SHOWN));
        c[2].none = !answer_time(row, "time", &c[2].t);
        cell_num(&c[3], answer_num(row, "observed", 0), !answer_has(row, "observed"));
        cell_num(&c[4], answer_num(row, "expected", 0), !answer_has(row, "expected"));
        cell_num(&c[5], answer_num(row, "score", 0), !answer_has(row, "score"));
        if (str_eq(kind, STR("error_spike")) && told++ < SPIKES_TOLD)
            tell_spike(r, row);
    }
    return 0;
}

int report_sessions(struct report *r)
{
    static const struct page_col cols[] = {
        { "Session", UNIT_CODE, false, false, false },
        { "It began with", UNIT_TEXT, false, false, true },
        { "Agents", UNIT_COUNT, false, false, false },
        { "Took", UNIT_MS, false, false, false },
        { "Entries", UNIT_COUNT, false, false, false },
        { "Tool calls", UNIT_COUNT, false, false, false },
        { "Errors", UNIT_COUNT, true, true, false },
        { "Tokens", UNIT_COUNT, false, false, false },
        { "Cost", UNIT_USD, false, false, false },
    };
    static const char *const names[] = { NULL,         NULL,     "agents", "duration_ms", "entries",
                                         "tool_calls", "errors", "tokens", "cost_usd" };
    struct answer t;
    int rc = report_ask(r, &t, WINDOW_NOW, "session:*",
                        "sessions | sort by errors desc, cost_usd desc, entries desc, session_id | "
                        "limit 10");
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("Sessions"));
    page_add(&r->page, BLOCK_TEXT, STR("The ten with the most errors, then the dearest."));
    struct page_block *b = page_table(&r->page, cols, 9);
    for (uint32_t i = 0; i < t.n; i++) {
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        cell_text(&c[0], report_short(r, answer_text(&t.rows[i], "session_id"), 36));
        cell_text(&c[1], report_short(r, answer_text(&t.rows[i], "first_user"), TEXT_SHOWN));
        for (uint32_t k = 2; k < 9; k++)
            cell_num(&c[k], answer_num(&t.rows[i], names[k], 0), !answer_has(&t.rows[i], names[k]));
    }
    return 0;
}
