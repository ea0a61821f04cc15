/* Reports without a store: figures in words, texts of strangers, answers, and a report whose
 * queries are answered by the test. Whole reports against stored rows: tests/cli/test_report.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "insight/answer.h"
#include "insight/page.h"
#include "insight/report.h"
#include "insight/words.h"

#define same(word, text) assert_string_equal((word).z, text)

/* ---- words ---- */

static void words(void **state)
{
    (void)state;
    same(word_count(0), "0");
    same(word_count(999), "999");
    same(word_count(1000), "1,000");
    same(word_count(12345678), "12,345,678");
    same(word_count(-1234), "-1,234");
    same(word_number(0.28), "0.28");
    same(word_number(51.63), "51.6");
    same(word_number(40), "40");
    same(word_number(1234.5), "1,234");
    same(word_share(0), "0 %");
    same(word_share(0.0004), "<0.1 %");
    same(word_share(0.031), "3.1 %");
    same(word_share(1), "100 %");
    same(word_ms(0), "0 ms");
    same(word_ms(0.42), "0.4 ms");
    same(word_ms(0.05), "0.050 ms");
    same(word_ms(7), "7 ms");
    same(word_ms(850), "850 ms");
    same(word_ms(999.6), "1.00 s");
    same(word_ms(2400), "2.40 s");
    same(word_ms(59990), "1 min 00 s");
    same(word_ms(192000), "3 min 12 s");
    same(word_ms(3599900), "1 h 00 min");
    same(word_ms(7500000), "2 h 05 min");
    same(word_usd(0), "$0.00");
    same(word_usd(0.0012), "$0.0012");
    same(word_usd(1234.5), "$1,234");
}

static void spans_and_changes(void **state)
{
    (void)state;
    same(word_span(NS_PER_DAY), "24 h");
    same(word_span(7 * NS_PER_DAY), "7 days");
    same(word_span(3600 * NS_PER_S), "1 h");
    same(word_span(5400 * NS_PER_S), "90 min");
    same(word_span(300 * NS_PER_S), "5 min");
    same(word_span(1500 * NS_PER_MS), "1500 ms");
    same(word_change(10, 10), "same");
    same(word_change(10, 0), "new");
    same(word_change(0, 10), "-100 %");
    same(word_change(114, 100), "+14 %");
    same(word_change(1001, 1000), "+<1 %");
    same(word_change(32, 10), "3.2×");
    same(word_change(410, 10), "41×");
    same(word_time(1795255205 * NS_PER_S), "2026-11-21 10:00:05");
    same(word_minute(1795255205 * NS_PER_S), "2026-11-21 10:00");
}

static void cuts(void **state)
{
    bool cut;
    (void)state;
    assert_int_equal(word_cut(STR("abc"), 3, &cut).n, 3);
    assert_false(cut);
    assert_int_equal(word_cut(STR("日本語"), 2, &cut).n, 6);
    assert_true(cut);
    assert_int_equal(word_cut(STR_NULL, 2, &cut).n, 0);
    assert_false(cut);
}

/* ---- pages ---- */

#define EVIL                                                                                       \
    "<script>alert(1)</script> & \"q\" 'a' | *b* `c` [d](e) \xe2\x80\xae"                          \
    "evil \x1b[31m\xc2\x9b"

static const struct page_col evil_cols[] = {
    { "Name", UNIT_NAME, false, false, false }, { "Text", UNIT_TEXT, false, false, true },
    { "Id", UNIT_CODE, false, false, false },   { "", UNIT_MARK, false, false, false },
    { "n", UNIT_COUNT, true, true, false },
};

/* a page on which a stranger's text stands wherever one can */
static void evil_page(struct page *p, struct arena *a)
{
    page_init(p, a);
    p->title = STR(EVIL);
    p->subtitle = STR(EVIL);
    page_add(p, BLOCK_HEADING, STR(EVIL));
    page_add(p, BLOCK_TEXT, STR(EVIL));
    page_item(p, page_add(p, BLOCK_LIST, STR_NULL), TONE_BAD, STR(EVIL));
    page_item(p, page_add(p, BLOCK_COMMANDS, STR(EVIL)), TONE_PLAIN, STR(EVIL "\n# evil"));
    struct page_cell *c = page_row(p, page_table(p, evil_cols, 5));
    assert_non_null(c);
    for (int i = 0; i < 4; i++)
        cell_text(&c[i], STR(EVIL));
    cell_num(&c[4], 3, false);
    assert_false(p->bad);
}

static void no_html_of_strangers(void **state)
{
    struct arena a;
    struct page p;
    struct buf b;
    (void)state;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    evil_page(&p, &a);
    page_put_html(&b, &p);
    assert_true(buf_ok(&b));
    assert_true(str_find(buf_str(&b), STR("<script")) == SIZE_MAX);
    assert_true(str_find(buf_str(&b), STR("\x1b")) == SIZE_MAX);
    assert_true(str_find(buf_str(&b), STR("\xe2\x80\xae")) == SIZE_MAX);
    assert_true(str_find(buf_str(&b), STR("\xc2\x9b")) == SIZE_MAX);
    assert_true(str_find(buf_str(&b), STR("\"q\"")) == SIZE_MAX);
    int seen = 0; /* title twice, subtitle, heading, text, item, summary, command, four cells */
    for (str rest = buf_str(&b);; seen++) {
        size_t at = str_find(rest, STR("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;q&quot; "
                                       "&#39;a&#39; | *b* `c` [d](e) \\u202eevil \\x1b[31m\\x9b"));
        if (at == SIZE_MAX)
            break;
        rest = str_skip(rest, at + 1);
    }
    assert_int_equal(seen, 12);
    buf_deinit(&b);
    arena_deinit(&a);
}

static void no_markdown_of_strangers(void **state)
{
    struct arena a;
    struct page p;
    struct buf b;
    (void)state;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    evil_page(&p, &a);
    page_put_md(&b, &p);
    assert_true(buf_ok(&b));
    str escaped = STR("\\<script\\>alert(1)\\</script\\> \\& \"q\" 'a' \\| \\*b\\* \\`c\\` "
                      "\\[d\\](e) \\\\u202eevil \\\\x1b\\[31m\\\\x9b");
    int seen = 0;
    for (str rest = buf_str(&b); str_find(rest, escaped) != SIZE_MAX; seen++)
        rest = str_skip(rest, str_find(rest, escaped) + 1);
    assert_int_equal(seen, 9);
    /* in an indented block it stays what it was, line by line */
    assert_true(str_find(buf_str(&b), STR("\n    <script>")) != SIZE_MAX);
    assert_true(str_find(buf_str(&b), STR("\n    # evil")) != SIZE_MAX);
    buf_deinit(&b);
    arena_deinit(&a);
}

/* ---- answers ---- */

static str padded(struct buf *b, const char *text)
{
    buf_reset(b);
    buf_puts(b, text);
    return buf_str(b);
}

static void answers(void **state)
{
    struct arena a;
    struct buf b;
    struct answer t = { 0 };
    struct err err = ERR_INIT;
    ts_ns at;
    (void)state;
    arena_init(&a, 16 << 20);
    buf_init(&b, 4096);
    assert_int_equal(answer_add(&t, &a,
                                padded(&b, "{\"s\":\"a\\nb\",\"n\":1.5,\"t\":true,\"z\":null,"
                                           "\"o\":{\"x\":[1,2]},\"at\":\"2026-11-21T10:00:05Z\"}"),
                                &err),
                     0);
    const struct answer_row *r = &t.rows[0];
    assert_int_equal(r->n, 6);
    assert_true(str_eq(answer_text(r, "s"), STR("a\nb")));
    assert_true(answer_num(r, "n", 0) == 1.5);
    assert_true(answer_num(r, "s", -1) == -1);
    assert_true(str_eq(answer_text(r, "t"), STR("true")));
    assert_false(answer_has(r, "z"));
    assert_false(answer_has(r, "missing"));
    assert_true(str_eq(answer_text(r, "o"), STR("{\"x\":[1,2]}")));
    assert_true(answer_time(r, "at", &at) && at == 1795255205 * NS_PER_S);
    assert_false(answer_time(r, "s", &at));
    assert_ptr_equal(answer_find(&t, "s", STR("a\nb")), r);
    assert_null(answer_find(&t, "s", STR("a")));
    assert_int_equal(answer_add(&t, &a, padded(&b, "[1]"), &err), ERR_INVALID);
    assert_int_equal(answer_add(&t, &a, padded(&b, "{\"a\":"), &err), ERR_INVALID);
    for (int i = 1; i < ANSWER_ROWS_MAX; i++)
        assert_int_equal(answer_add(&t, &a, padded(&b, "{}"), &err), 0);
    assert_int_equal(answer_add(&t, &a, padded(&b, "{}"), &err), ERR_LIMIT);
    buf_deinit(&b);
    arena_deinit(&a);
}

/* ---- reports ---- */

struct fake {
    const char *fail_at; /* the query that holds this fails */
    bool incomplete;
    int asked;
};

static int fake_ask(void *ctx, str query, ts_ns start, ts_ns end, struct report_rows *to,
                    bool *ret_incomplete, struct err *err)
{
    struct fake *f = ctx;
    struct buf b;
    (void)start;
    (void)end;
    f->asked++;
    *ret_incomplete = f->incomplete;
    if (f->fail_at && str_find(query, str_c(f->fail_at)) != SIZE_MAX)
        return err_set(err, ERR_TIMEOUT, "too slow");
    if (str_find(query, STR("count_distinct(trace)")) == SIZE_MAX)
        return 0;
    buf_init(&b, 4096);
    int rc = report_row(to, padded(&b, "{\"entries\":7,\"errors\":2}"), err);
    buf_deinit(&b);
    return rc;
}

static int make(struct buf *out, struct report_opts o, struct fake *f, struct err *err)
{
    struct report_source src = { f, fake_ask };
    buf_init(out, REPORT_BYTES_MAX);
    return report_write(out, &o, &src, err);
}

#define NOW (1795255205 * NS_PER_S)

static void reports(void **state)
{
    struct fake f = { 0 };
    struct buf out;
    struct err err = ERR_INIT;
    struct report_opts o = { .since = NOW - NS_PER_DAY, .until = NOW, .format = REPORT_MD };
    (void)state;
    assert_int_equal(make(&out, o, &f, &err), 0);
    assert_true(str_find(buf_str(&out), STR("7 entries, 2 of them errors (28.6 %)")) != SIZE_MAX);
    int lines = 0; /* every query that was asked is on the page */
    for (str rest = buf_str(&out); str_find(rest, STR("\n    fleetlog search '")) != SIZE_MAX;
         lines++)
        rest = str_skip(rest, str_find(rest, STR("\n    fleetlog search '")) + 1);
    assert_int_equal(lines, f.asked);
    assert_true(str_find(buf_str(&out), STR("could not be read")) == SIZE_MAX);
    buf_deinit(&out);

    f.incomplete = true;
    assert_int_equal(make(&out, o, &f, &err), 0);
    assert_true(str_find(buf_str(&out), STR("could not be read")) != SIZE_MAX);
    buf_deinit(&out);
}

/* ---- findings: both sides of every threshold ---- */

struct canned {
    const char *mark;         /* of the query */
    const char *now, *before; /* rows, one a line */
};

static const struct canned canned[] = {
    { "count_distinct(trace)", "{\"entries\":1000,\"errors\":100}",
      "{\"entries\":900,\"errors\":90}" },
    { "* | usage", "{\"calls\":9,\"cost_usd\":2.0}", "{\"calls\":9,\"cost_usd\":1.0}" },
    { "max(timestamp) as last by agent",
      "{\"agent\":\"rose\",\"entries\":50,\"errors\":41}\n"
      "{\"agent\":\"fell\",\"entries\":50,\"errors\":3}\n"
      "{\"agent\":\"few\",\"entries\":50,\"errors\":4}\n"
      "{\"agent\":\"even\",\"entries\":999,\"errors\":130}\n"
      "{\"agent\":\"slow\",\"entries\":50,\"errors\":0,\"timed\":20,\"p95\":2000}\n"
      "{\"agent\":\"slower\",\"entries\":50,\"errors\":0,\"timed\":19,\"p95\":2000}\n"
      "{\"agent\":\"steady\",\"entries\":50,\"errors\":0,\"timed\":99,\"p95\":1999}\n",
      "{\"agent\":\"rose\",\"entries\":50,\"errors\":3}\n"
      "{\"agent\":\"fell\",\"entries\":50,\"errors\":41}\n"
      "{\"agent\":\"few\",\"entries\":50,\"errors\":0}\n"
      "{\"agent\":\"even\",\"entries\":999,\"errors\":90}\n"
      "{\"agent\":\"slow\",\"entries\":50,\"errors\":0,\"timed\":20,\"p95\":1000}\n"
      "{\"agent\":\"slower\",\"entries\":50,\"errors\":0,\"timed\":99,\"p95\":1000}\n"
      "{\"agent\":\"steady\",\"entries\":50,\"errors\":0,\"timed\":99,\"p95\":1000}\n"
      "{\"agent\":\"gone\",\"entries\":10,\"first\":\"2026-11-19T10:00:00Z\","
      "\"last\":\"2026-11-19T11:00:00Z\"}\n"
      "{\"agent\":\"rare\",\"entries\":9,\"first\":\"2026-11-19T10:00:00Z\","
      "\"last\":\"2026-11-19T11:00:00Z\"}\n" },
    { "by tool |",
      "{\"tool\":\"bad\",\"calls\":50,\"errors\":5}\n"
      "{\"tool\":\"fair\",\"calls\":51,\"errors\":5}\n"
      "{\"tool\":\"young\",\"calls\":4,\"errors\":4}\n",
      "" },
    { "by who, audit.action",
      "{\"who\":\"bob\",\"audit.action\":\"login\",\"n\":9,\"failed\":2}\n"
      "{\"who\":\"ana\",\"audit.action\":\"login\",\"n\":5,\"failed\":2}\n"
      "{\"who\":\"bob\",\"audit.action\":\"export\",\"n\":1,\"failed\":1}\n",
      "" },
};

static int canned_ask(void *ctx, str query, ts_ns start, ts_ns end, struct report_rows *to,
                      bool *ret_incomplete, struct err *err)
{
    struct buf b;
    str rest = STR_NULL, line;
    int rc = 0;
    (void)ctx;
    (void)start;
    *ret_incomplete = false;
    for (size_t i = 0; i < sizeof canned / sizeof *canned; i++)
        if (str_find(query, str_c(canned[i].mark)) != SIZE_MAX)
            rest = str_c(end == NOW ? canned[i].now : canned[i].before);
    buf_init(&b, 4096);
    while (rc == 0 && str_split(&rest, '\n', &line)) {
        buf_reset(&b);
        buf_putstr(&b, line);
        if (line.n)
            rc = report_row(to, buf_str(&b), err);
    }
    buf_deinit(&b);
    return rc;
}

static bool found(const struct buf *out, const char *text)
{
    return str_find(buf_str(out), str_c(text)) != SIZE_MAX;
}

static void findings(void **state)
{
    struct report_source src = { NULL, canned_ask };
    struct report_opts o = { .since = NOW - NS_PER_DAY, .until = NOW, .format = REPORT_MD };
    struct err err = ERR_INIT;
    struct buf out;
    (void)state;
    buf_init(&out, REPORT_BYTES_MAX);
    assert_int_equal(report_write(&out, &o, &src, &err), 0);
    size_t end = str_find(buf_str(&out), STR("## What happened"));
    assert_true(end != SIZE_MAX);
    buf_truncate(&out, end);
    assert_true(
        found(&out, "1,000 entries, 100 of them errors (10 %); the 24 h before had 900 (+11 %)."));
    assert_true(found(&out, "- **!** rose: errors rose from 3 to 41."));
    assert_true(found(&out, "- fell: errors fell from 41 to 3."));
    assert_false(found(&out, "few: "));
    assert_false(found(&out, "even: "));
    assert_true(
        found(&out, "slow: the 95th percentile of its durations rose from 1.00 s to 2.00 s."));
    assert_false(found(&out, "slower: "));
    assert_false(found(&out, "steady: "));
    assert_true(found(&out, "gone said nothing; it had 10 entries in the window before."));
    assert_false(found(&out, "rare said"));
    assert_true(found(&out, "Tool bad failed in 5 of 50 calls (10 %)."));
    assert_false(found(&out, "Tool fair"));
    assert_false(found(&out, "Tool young"));
    assert_true(found(&out, "Cost rose from $1.00 to $2.00."));
    assert_true(found(&out, "5 of 15 audited actions failed, most of one by bob (3)."));
    assert_false(found(&out, "Nothing else stands out"));
    buf_deinit(&out);
    buf_init(&out, 5000); /* a page larger than it may be */
    assert_int_equal(report_write(&out, &o, &src, &err), ERR_LIMIT);
    buf_deinit(&out);
}

static void a_query_that_fails_ends_the_report(void **state)
{
    static const char *const marks[] = { "usage",        "timeline",  "issues",
                                         "by agent |",   "tool:*",    "model:*",
                                         "by agent, op", "limit 12",  "by time(1h)",
                                         "audit.action", "anomalies", "sessions" };
    struct err err = ERR_INIT;
    struct report_opts o = { .since = NOW - NS_PER_DAY, .until = NOW };
    (void)state;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        struct fake f = { .fail_at = marks[i] };
        struct buf out;
        err_reset(&err);
        assert_int_equal(make(&out, o, &f, &err), ERR_TIMEOUT);
        assert_string_equal(err.msg, "too slow");
        assert_int_equal(out.n, 0);
        buf_deinit(&out);
    }
}

static void windows(void **state)
{
    static char title[REPORT_TITLE_MAX + 1];
    struct fake f = { 0 };
    struct buf out;
    struct err err = ERR_INIT;
    const struct report_opts bad[] = {
        { .since = NOW, .until = NOW },
        { .since = NOW, .until = NOW - 1 },
        { .since = NOW - REPORT_WINDOW_MAX - 1, .until = NOW },
        { .since = TS_MIN, .until = TS_MAX },
        { .since = TS_MIN + 5, .until = TS_MIN + 50 },
        { .since = NOW - NS_PER_DAY, .until = NOW, .title = { title, sizeof title } },
    };
    (void)state;
    memset(title, 'x', sizeof title);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err_reset(&err);
        assert_int_equal(make(&out, bad[i], &f, &err), ERR_INVALID);
        buf_deinit(&out);
    }
    assert_int_equal(f.asked, 0);
    struct report_opts most = { .since = NOW - REPORT_WINDOW_MAX, .until = NOW };
    struct report_opts least = { .since = NOW - 1, .until = NOW };
    assert_int_equal(make(&out, most, &f, &err), 0);
    buf_deinit(&out);
    assert_int_equal(make(&out, least, &f, &err), 0);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(spans_and_changes),
        cmocka_unit_test(cuts),
        cmocka_unit_test(no_html_of_strangers),
        cmocka_unit_test(no_markdown_of_strangers),
        cmocka_unit_test(answers),
        cmocka_unit_test(reports),
        cmocka_unit_test(findings),
        cmocka_unit_test(a_query_that_fails_ends_the_report),
        cmocka_unit_test(windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
