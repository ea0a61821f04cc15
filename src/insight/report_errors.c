/* report_errors.c: errors by what they have in common (the pipe `issues`: error type, tool, message
 * without what differs, and the frame that threw), new ones and those the window before knew. */
#include "insight/internal.h"

#define ROWS_SHOWN 20
#define ISSUES_ASKED "issues 2000"
#define NEW_TOLD 4 /* new errors with a sentence of their own */

/* the agents as "svc-a, svc-b and 3 more", most frequent first */
static str agents_text(struct report *r, const struct answer_row *row)
{
    struct answer t = { 0 };
    struct page *p = &r->page;
    double all = answer_num(row, "agents", 0);
    if (answer_add(&t, r->a, answer_text(row, "by_agent"), r->err) < 0 || !t.n || !t.rows[0].n)
        return STR_NULL;
    const struct answer_row *by = &t.rows[0];
    str a = report_short(r, by->cells[0].name, 40);
    if (by->n == 1)
        return a;
    if (all <= 2 || by->n == 2)
        return page_printf(p, "%.*s, %.*s", STR_FMT(a),
                           STR_FMT(report_short(r, by->cells[1].name, 40)));
    return page_printf(p, "%.*s and %s more", STR_FMT(a), word_count(all - 1).z);
}

static void put_row(struct report *r, struct page_block *b, const struct answer_row *row,
                    const struct answer_row *was)
{
    struct page_cell *c = page_row(&r->page, b);
    if (!c)
        return;
    cell_text(&c[0], r->entries_before == 0 ? STR_NULL : was ? STR("known") : STR("new"));
    cell_num(&c[1], answer_num(row, "count", 0), false);
    cell_num(&c[2], answer_num(was, "count", 0), false);
    cell_text(&c[3], report_short(r, answer_text(row, "title"), TEXT_SHOWN));
    cell_text(&c[4], agents_text(r, row));
    c[5].none = !answer_time(row, "first", &c[5].t);
    c[6].none = !answer_time(row, "last", &c[6].t);
    cell_text(&c[7], answer_text(row, "id"));
}

static void tell_new(struct report *r, const struct answer_row *row)
{
    double n = answer_num(row, "count", 0);
    ts_ns first;
    struct page *p = &r->page;
    str agents = agents_text(r, row), title = report_short(r, answer_text(row, "title"), 100);
    if (!answer_time(row, "first", &first))
        return;
    report_find(r, 25 + report_surprise(n, 0), TONE_BAD,
                page_printf(p, "New error, %s %s since %s%s%.*s: %.*s", word_count(n).z,
                            word_plural(n, "time", "times"), report_when(r, first).z,
                            agents.n ? ", from " : "", STR_FMT(agents), STR_FMT(title)));
}

static void tell_gone(struct report *r, const struct answer *now, const struct answer *before)
{
    uint32_t gone = 0;
    for (uint32_t i = 0; i < before->n; i++)
        gone += !answer_find(now, "id", answer_text(&before->rows[i], "id"));
    if (gone && r->entries > 0)
        report_find(r, 5, TONE_GOOD,
                    page_printf(&r->page, "%u %s of the window before did not occur again.", gone,
                                word_plural(gone, "kind of error", "kinds of errors")));
}

int report_errors(struct report *r)
{
    static const struct page_col cols[] = {
        { "", UNIT_MARK, false, false, false },        { "Times", UNIT_COUNT, false, true, false },
        { "Before", UNIT_COUNT, false, false, false }, { "Error", UNIT_TEXT, false, false, true },
        { "Agents", UNIT_NAME, false, false, false },  { "First", UNIT_TIME, false, false, false },
        { "Last", UNIT_TIME, false, false, false },    { "Issue", UNIT_CODE, false, false, false },
    };
    struct answer now, before;
    uint32_t fresh = 0;
    int rc = report_ask(r, &now, WINDOW_NOW, "level:error", ISSUES_ASKED);
    if (rc == 0)
        rc = report_ask(r, &before, WINDOW_BEFORE, "level:error", ISSUES_ASKED);
    if (rc < 0)
        return rc;
    tell_gone(r, &now, &before);
    if (!now.n)
        return 0;
    page_add(&r->page, BLOCK_HEADING, STR("Errors"));
    struct page_block *head = page_add(&r->page, BLOCK_TEXT, STR_NULL);
    struct page_block *b = page_table(&r->page, cols, 8);
    for (uint32_t i = 0; i < now.n; i++) {
        const struct answer_row *row = &now.rows[i];
        const struct answer_row *was = answer_find(&before, "id", answer_text(row, "id"));
        if (i < ROWS_SHOWN)
            put_row(r, b, row, was);
        if (!was && r->entries_before > 0 && fresh < NEW_TOLD)
            tell_new(r, row);
        fresh += !was;
    }
    str which = r->entries_before > 0
                    ? page_printf(&r->page, "; %u new, %u that the window before had too", fresh,
                                  now.n - fresh)
                    : STR_NULL;
    if (head)
        head->text = page_printf(
            &r->page, "%u %s%.*s.%s", now.n, word_plural(now.n, "kind of error", "kinds of errors"),
            STR_FMT(which), now.n > ROWS_SHOWN ? " The 20 most frequent:" : "");
    return 0;
}
