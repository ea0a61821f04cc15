/* The price table: what is read, what is refused and where, and which rule counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/price.h"

static ts_ns day(const char *s)
{
    ts_ns t;
    assert_true(ts_parse_day(str_c(s), &t));
    return t;
}

static struct prices *table(const char *text)
{
    struct prices *p = NULL;
    struct err err = ERR_INIT;
    if (prices_parse(&p, str_c(text), &err))
        fail_msg("%s", err.msg);
    return p;
}

static double cost(const struct prices *p, const char *model, const char *at, struct tokens t)
{
    double usd = -2;
    return prices_cost(p, str_c(model), day(at), &t, &usd) ? usd : -1;
}

static void columns(void **state)
{
    (void)state;
    struct prices *p = table("\n# all\r\n a  -  1 2\t3 4 5 # five\r\nb - 10 - - 20\nc - 1 0 0 0 -");
    assert_int_equal(prices_count(p), 3);
    struct tokens t = { { 1000000, 2000000, 3000000, 4000000, 1000000 } };
    assert_true(cost(p, "a", "2026-01-01", t) == 1 + 4 + 9 + 3 * 4 + 5);
    assert_true(cost(p, "b", "2026-01-01", t) == 10 + 20 + 30 + 80);
    assert_true(cost(p, "c", "2026-01-01", t) == 1);
    assert_true(cost(p, "d", "2026-01-01", t) == -1);
    assert_true(cost(p, "", "2026-01-01", t) == -1);
    assert_true(cost(p, "a", "2026-01-01", TOKENS_UNKNOWN) == -1);
    assert_true(cost(NULL, "a", "2026-01-01", t) == -1);
    /* more reasoning than output: what is told of reasoning is paid, output not below 0 */
    assert_true(cost(p, "a", "2026-01-01", (struct tokens){ { -1, -1, -1, 1, 1000000 } }) == 5);
    struct prices *more = prices_ref(p);
    prices_unref(p);
    assert_int_equal(prices_count(more), 3);
    prices_unref(more);
    prices_unref(NULL);
    assert_null(prices_ref(NULL));
}

static void which_rule(void **state)
{
    (void)state;
    struct prices *p = table("* - 1 1 1 1\n"
                             "claude-* - 2 2 2 2\n"
                             "claude-*-4 - 3 3 3 3\n"
                             "claude-x-4 2026-03-01 4 4 4 4\n"
                             "claude-x-4 2026-06-01 5 5 5 5\n"
                             "claude-x-4 2026-05-01 6 6 6 6\n"
                             "twice - 7 7 7 7\n"
                             "twice - 8 8 8 8\n");
    static const struct {
        const char *model, *at;
        double input;
    } cases[] = {
        { "gpt", "2026-01-01", 1 },         { "claude-", "2026-01-01", 2 },
        { "claude-x", "2026-01-01", 2 },    { "claude-y-4", "2026-01-01", 3 },
        { "claude-x-4", "2026-02-28", 3 },  { "claude-x-4", "2026-03-01", 4 },
        { "claude-x-4", "2026-05-31", 6 },  { "claude-x-4", "2026-06-01", 5 },
        { "claude-x-4", "1970-01-01", 3 },  { "twice", "2026-01-01", 8 },
        { "Claude-x-4", "2026-06-01", 1 },  { "claude-x-4-4", "2026-06-01", 3 },
        { "claude-x-4x", "2026-06-01", 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct price *found = prices_find(p, str_c(cases[i].model), day(cases[i].at));
        assert_non_null(found);
        if (found->usd[TK_INPUT] != cases[i].input)
            fail_msg("%s at %s: %g", cases[i].model, cases[i].at, found->usd[TK_INPUT]);
    }
    prices_unref(p);
}

static void totals(void **state)
{
    (void)state;
    static const struct {
        struct tokens t;
        int64_t sum;
    } cases[] = {
        { { { -1, -1, -1, -1, -1 } }, -1 }, { { { 1, 2, 3, 4, 4 } }, 10 },
        { { { -1, -1, -1, -1, 7 } }, 7 },   { { { 0, -1, -1, -1, -1 } }, 0 },
        { { { -1, -1, -1, 3, -1 } }, 3 },   { { { INT64_MAX, 1, 0, 0, 0 } }, INT64_MAX },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(tokens_total(&cases[i].t) == cases[i].sum);
}

static void refused(void **state)
{
    (void)state;
    char longest[PRICE_MODEL_MAX + 2] = { 0 }, line[PRICE_MODEL_MAX + 40];
    memset(longest, 'm', PRICE_MODEL_MAX + 1);
    strcat(strcpy(line, longest), " - 1 1 1 1");
    const struct {
        const char *text, *sentence, *hint;
        int64_t pos;
    } cases[] = {
        { "gpt", "line 1: there is no date behind the model 'gpt'", "2026-01-31", 3 },
        { "\n\n gpt 2026-13-01 1 1 1 1", "line 3: not a date: '2026-13-01'", "2026-01-31", 7 },
        { "gpt -", "line 1: the line ends before the price of 'input'", "columns:", 5 },
        { "gpt - 1 1 1 # 2", "line 1: the line ends before the price of 'output'", "columns:", 12 },
        { "gpt - 1 $1 1 1", "line 1: a price must be a number or '-', not '$1'", "columns:", 8 },
        { "gpt - nan 1 1 1", "line 1: a price must be a number or '-', not 'nan'", "columns:", 6 },
        { "gpt - 1,5 1 1 1", "line 1: a price must be a number or '-', not '1,5'", "columns:", 6 },
        { "gpt - -1 1 1 1", "line 1: a price is between 0 and 1,000,000 dollars, not '-1'",
          "million", 6 },
        { "gpt - 1 1 1 1000001",
          "line 1: a price is between 0 and 1,000,000 dollars, not "
          "'1000001'",
          "million", 12 },
        { "gpt - - 1 1 1", "line 1: '-' cannot stand for the price of 'input'", "write 0", 6 },
        { "gpt - 1 1 1 -", "line 1: '-' cannot stand for the price of 'output'", "write 0", 12 },
        { "gpt - 1 1 1 1 1 9", "line 1: more columns than there are prices, at '9'",
          "columns:", 16 },
        { "a\x01 - 1 1 1 1", "line 1: a model holds a control character", "plain text", 1 },
        { line, "line 1: a model is longer than 256 bytes:", "shorten", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prices *p = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(prices_parse(&p, str_c(cases[i].text), &err), ERR_INVALID);
        assert_null(p);
        assert_string_equal(err.slug, "bad_prices");
        if (strncmp(err.msg, cases[i].sentence, strlen(cases[i].sentence)) != 0 ||
            !strstr(err.hint, cases[i].hint) || err.pos != cases[i].pos)
            fail_msg("%s: %s (%s) at %lld", cases[i].text, err.msg, err.hint, (long long)err.pos);
    }
    longest[PRICE_MODEL_MAX] = 0;
    strcat(strcpy(line, longest), " - 1 1 1 1");
    prices_unref(table(line));
}

static void limits(void **state)
{
    (void)state;
    size_t n = PRICE_FILE_MAX + 1;
    char *big = malloc(n);
    struct prices *p = NULL;
    struct err err = ERR_INIT;
    assert_non_null(big);
    memset(big, ' ', n);
    assert_int_equal(prices_parse(&p, str_n(big, n - 1), &err), 0);
    prices_unref(p);
    assert_int_equal(prices_parse(&p, str_n(big, n), &err), ERR_LIMIT);
    size_t at = 0;
    for (int i = 0; i < PRICE_RULES_MAX; i++) {
        memcpy(big + at, "m - 1 1 1 1\n", 12);
        at += 12;
    }
    assert_int_equal(prices_parse(&p, str_n(big, at), &err), 0);
    assert_int_equal(prices_count(p), PRICE_RULES_MAX);
    prices_unref(p);
    memcpy(big + at, "m - 1 1 1 1\n", 12);
    assert_int_equal(prices_parse(&p, str_n(big, at + 12), &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "line 4097: more than 4096 prices"));
    free(big);
}

/* the file that is written for a new user is one that can be read, and says what it means */
static void example(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct prices *p = NULL;
    assert_int_equal(prices_parse(&p, prices_example(), &err), 0);
    assert_true(prices_count(p) >= 10);
    struct tokens t = { { 1000000, 0, 0, 0, 0 } };
    assert_true(cost(p, "gpt-4o-mini-2024-07-18", "2026-01-01", t) == 0.15);
    assert_true(cost(p, "gpt-4o-2024-08-06", "2026-01-01", t) == 2.5);
    assert_true(cost(p, "us.anthropic.claude-opus-4-5-20251101", "2026-01-01", t) == 5);
    assert_true(cost(p, "claude-opus-4-1", "2026-01-01", t) == 15);
    assert_true(cost(p, "unheard-of", "2026-01-01", t) == -1);
    prices_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns), cmocka_unit_test(which_rule), cmocka_unit_test(totals),
        cmocka_unit_test(refused), cmocka_unit_test(limits),     cmocka_unit_test(example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
