/* query_surprise_test.c: tails and scores against values worked out elsewhere (SciPy: nbinom.sf,
 * poisson.sf), and the tables under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#include "base/time.h"
#include "query/surprise.h"
#include "query/tally.h"

static void near(double got, double want)
{
    if (fabs(got - want) > 0.001 * (1 + fabs(want)))
        fail_msg("%.9g, expected %.9g", got, want);
}

/* -log10 of sums of the exact terms */
static double exact(double mean, double var, int x)
{
    double r = mean * mean / (var - mean), p = r / (r + mean), term = pow(p, r), below = 0;
    for (int k = 0; k < x; k++) {
        below += term;
        term *= (k + r) / (k + 1) * (1 - p);
    }
    return -log10(1 - below);
}

static void test_tail(void **state)
{
    (void)state;
    near(negbin_tail(2, 3, 5), exact(2, 3, 5));
    near(negbin_tail(10, 40, 35), exact(10, 40, 35));
    near(negbin_tail(0.5, 0.6, 4), exact(0.5, 0.6, 4));
    near(negbin_tail(3, 3, 8), -log10(0.011904504)); /* Poisson: 1 - sum of e^-3 3^k / k! */
    near(negbin_tail(5, 9, 4), 0);                   /* below what is expected */
    near(negbin_tail(1, 1, 0), 0);
    near(negbin_tail(1, 1, 100000), SURPRISE_SCORE_MAX);
    /* the more is seen, the less likely; the wider, the likelier */
    for (int x = 12; x < 60; x++) {
        assert_true(negbin_tail(4, 6, x + 1) > negbin_tail(4, 6, x));
        assert_true(negbin_tail(4, 6, x) > negbin_tail(4, 12, x));
    }
}

static void test_counts(void **state)
{
    (void)state;
    struct counts_past p = { 0 };
    double var;
    for (int i = 0; i < 50; i++)
        counts_add(&p, i % 2 ? 3 : 5);
    near(counts_expect(&p, &var), (200 + 0.5) / 50);
    assert_true(counts_score(&p, 5) < 1 && counts_score(&p, 20) > SURPRISE_SCORE_MIN);
    /* a spike enters cut: the next one is still one */
    double before = counts_score(&p, 40);
    counts_add(&p, 1000000);
    assert_true(counts_score(&p, 40) > before / 2);
    assert_true(counts_silence(&p, 20) > 2 * counts_silence(&p, 5));
    struct counts_past none = { 0 };
    for (int i = 0; i < 50; i++)
        counts_add(&none, 0);
    near(counts_expect(&none, &var), 0.01);
    assert_true(counts_silence(&none, 100) < SURPRISE_SCORE_MIN);
}

static void test_outlier(void **state)
{
    (void)state;
    near(outlier_z(3, 1, 0.5), 0.6745 * 2 / 0.5);
    near(outlier_z(1.05, 1, 0), 0.6745);
}

static void test_tally(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct tally t = { 0 };
    assert_null(tally_get(&t, 1, 2, 3));
    for (int64_t a = -1000; a < 1000; a++)
        for (uint32_t b = 0; b < 3; b++)
            assert_int_equal(tally_add(&t, a, b, 7, 1, b, (uint64_t)(a + 5000), &err), 0);
    assert_int_equal(t.used, 6000);
    assert_int_equal(tally_add(&t, -1000, 2, 7, 4, 1, 9, &err), 0);
    const struct tally_slot *s = tally_get(&t, -1000, 2, 7);
    assert_true(s && s->n == 5 && s->m == 3 && s->seq == 9);
    assert_int_equal(tally_coarser(&t, 10, &err), 0);
    assert_int_equal(t.used, 600);
    s = tally_get(&t, -1, 1, 7); /* -10 .. -1 */
    assert_true(s && s->n == 10 && s->m == 10 && s->seq == 4990);
    tally_sort(&t);
    for (size_t i = 1; i < t.used; i++)
        assert_true(t.slot[i - 1].b < t.slot[i].b ||
                    (t.slot[i - 1].b == t.slot[i].b && t.slot[i - 1].a < t.slot[i].a));
    tally_free(&t);
}

static void test_ladder(void **state)
{
    (void)state;
    assert_int_equal(ladder_step(0), 60 * NS_PER_S);
    for (unsigned r = 1; r < LADDER_RUNGS; r++) {
        assert_true(ladder_step(r) > ladder_step(r - 1));
        assert_true(ladder_step(r) % ladder_step(r - 1) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_tail), cmocka_unit_test(test_counts),
                                        cmocka_unit_test(test_outlier),
                                        cmocka_unit_test(test_tally),
                                        cmocka_unit_test(test_ladder) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
