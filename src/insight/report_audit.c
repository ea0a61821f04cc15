/* report_audit.c: who did what, and what was refused: entries with `audit.action`. */
#include "insight/internal.h"

#define ROWS_SHOWN 20
#define FAILURES_LEAST 3 /* of one person or program */

/* what an audit calls a success; anything else that is said is none */
#define FAILED "audit.result:* -audit.result:(success OR ok OR allow OR allowed OR granted)"
#define WHO "eval who = coalesce(audit.user_id, audit.user, user, agent) | "

static int put_deeds(struct report *r, const struct answer *t)
{
    static const struct page_col cols[] = {
        { "Who", UNIT_NAME, false, false, true },
        { "Action", UNIT_NAME, false, false, false },
        { "Times", UNIT_COUNT, false, true, false },
        { "Failed", UNIT_COUNT, true, false, false },
        { "Resources", UNIT_COUNT, false, false, false },
        { "Last", UNIT_TIME, false, false, false },
    };
    struct page_block *b = page_table(&r->page, cols, 6);
    for (uint32_t i = 0; i < t->n && i < ROWS_SHOWN; i++) {
        const struct answer_row *row = &t->rows[i];
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        cell_text(&c[0], report_short(r, answer_text(row, "who"), 60));
        cell_text(&c[1], report_short(r, answer_text(row, "audit.action"), 60));
        cell_num(&c[2], answer_num(row, "n", 0), false);
        cell_num(&c[3], answer_num(row, "failed", 0), false);
        cell_num(&c[4], answer_num(row, "resources", 0), false);
        c[5].none = !answer_time(row, "last", &c[5].t);
    }
    if (t->n > ROWS_SHOWN)
        page_add(
            &r->page, BLOCK_TEXT,
            page_printf(&r->page, "%u more with fewer failures are not shown.", t->n - ROWS_SHOWN));
    return 0;
}

/* by person: the rows are one a person and action */
static void tell_failures(struct report *r, const struct answer *t)
{
    double all = 0, failed = 0, most = 0;
    str who = STR_NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        str name = answer_text(&t->rows[i], "who");
        double sum = 0;
        all += answer_num(&t->rows[i], "n", 0);
        failed += answer_num(&t->rows[i], "failed", 0);
        if (answer_find(t, "who", name) != &t->rows[i])
            continue; /* has been summed */
        for (uint32_t k = i; k < t->n; k++)
            if (str_eq(answer_text(&t->rows[k], "who"), name))
                sum += answer_num(&t->rows[k], "failed", 0);
        if (sum > most) {
            most = sum;
            who = name;
        }
    }
    if (failed == 0)
        return;
    struct page *p = &r->page;
    str tail = most >= FAILURES_LEAST
                   ? page_printf(p, ", most of one by %.*s (%s)", STR_FMT(report_short(r, who, 60)),
                                 word_count(most).z)
                   : STR_NULL;
    report_find(r, 35 + 10 * report_share(failed, all), TONE_BAD,
                page_printf(p, "%s of %s audited actions failed%.*s.", word_count(failed).z,
                            word_count(all).z, STR_FMT(tail)));
}

static int put_failures(struct report *r)
{
    static const struct page_col cols[] = {
        { "When", UNIT_TIME, false, false, false },   { "Who", UNIT_NAME, false, false, false },
        { "Action", UNIT_NAME, false, false, false }, { "Resource", UNIT_TEXT, false, false, true },
        { "Result", UNIT_TEXT, false, false, false }, { "Agent", UNIT_NAME, false, false, false },
        { "Trace", UNIT_CODE, false, false, false },
    };
    static const char *const names[] = { NULL,           "who",   "audit.action", "audit.resource",
                                         "audit.result", "agent", "trace" };
    struct answer t;
    int rc = report_ask(r, &t, WINDOW_NOW, "audit.action:* " FAILED,
                        WHO "fields timestamp, who, audit.action, audit.resource, audit.result, "
                            "agent, trace | limit 12");
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("The last that failed"));
    struct page_block *b = page_table(&r->page, cols, 7);
    for (uint32_t i = 0; i < t.n; i++) {
        struct page_cell *c = page_row(&r->page, b);
        if (!c)
            return err_nomem(r->err);
        c[0].none = !answer_time(&t.rows[i], "timestamp", &c[0].t);
        for (uint32_t k = 1; k < 7; k++)
            cell_text(&c[k], report_short(r, answer_text(&t.rows[i], names[k]), 60));
    }
    return 0;
}

int report_audit(struct report *r)
{
    struct answer t;
    int rc = report_ask(r, &t, WINDOW_NOW, "audit.action:*",
                        WHO "stats count() as n, count() if (" FAILED
                            ") as failed, count_distinct(audit.resource) as resources, "
                            "max(timestamp) as last by who, audit.action | sort by failed desc, n "
                            "desc, who, audit.action");
    if (rc < 0 || !t.n)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("Who did what"));
    rc = put_deeds(r, &t);
    tell_failures(r, &t);
    return rc < 0 ? rc : put_failures(r);
}
