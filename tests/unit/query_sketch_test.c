/* query_sketch_test.c: what sketch.h promises: bounds of the error on many distributions, the same
 * bytes in whatever order and parts the values came, and back from the disk unchanged. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "query/sketch.h"

#define N 40000
#define PARTS 7

static uint64_t seed;

static uint64_t draw(void)
{
    seed += 0x9e3779b97f4a7c15ull;
    uint64_t x = seed;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static double uniform(void)
{
    return (double)(draw() >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
}

/* ---- distributions ---- */

static double d_uniform(void)
{
    return uniform() * 1000;
}
static double d_lognormal(void)
{
    return exp(5 + 2 * normal());
}
static double d_exponential(void)
{
    return -log(1 - uniform()) * 30;
}
static double d_pareto(void)
{
    return pow(1 - uniform(), -2);
}
static double d_integers(void)
{
    return (double)(draw() % 60000);
}
static double d_few(void)
{
    return (double)(draw() % 3);
}
static double d_constant(void)
{
    return 12.34;
}
static double d_both_signs(void)
{
    return normal() * 50;
}
static double d_negative(void)
{
    return -exp(normal());
}
static double d_two_hills(void)
{
    return draw() % 10 ? 5 + normal() * 0.1 : 30000 + normal() * 100;
}
static double d_zeros(void)
{
    return draw() % 2 ? 0 : uniform();
}
static double d_all_magnitudes(void)
{
    return ldexp(1 + uniform(), (int)(draw() % 2040) - 1020) * (draw() % 2 ? 1 : -1);
}

static const struct {
    const char *name;
    double (*draw)(void);
} distributions[] = { { "uniform", d_uniform },
                      { "lognormal", d_lognormal },
                      { "exponential", d_exponential },
                      { "pareto", d_pareto },
                      { "integers", d_integers },
                      { "few", d_few },
                      { "constant", d_constant },
                      { "both signs", d_both_signs },
                      { "negative", d_negative },
                      { "two hills", d_two_hills },
                      { "zeros", d_zeros },
                      { "all magnitudes", d_all_magnitudes } };
#define ND (sizeof distributions / sizeof *distributions)

static int double_cmp(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void fill(double *v, size_t which)
{
    seed = 1000 + which;
    for (uint32_t i = 0; i < N; i++)
        v[i] = distributions[which].draw();
}

static struct qsketch sketch_of(const double *v, uint32_t n)
{
    struct qsketch s;
    qsketch_init(&s);
    for (uint32_t i = 0; i < n; i++)
        assert_true(qsketch_add(&s, v[i]));
    return s;
}

static void test_error_of_quantiles(void **state)
{
    (void)state;
    double *v = mem_array(N, sizeof *v);
    for (size_t k = 0; k < ND; k++) {
        double worst = 0;
        fill(v, k);
        struct qsketch s = sketch_of(v, N);
        qsort(v, N, sizeof *v, double_cmp);
        assert_int_equal(s.n, N);
        for (uint32_t rank = 0; rank < N; rank += rank < 50 || rank > N - 60 ? 1 : 37) {
            double got = qsketch_at(&s, rank), off = fabs(got - v[rank]);
            worst = v[rank] != 0 && off / fabs(v[rank]) > worst ? off / fabs(v[rank]) : worst;
            if (off > fabs(v[rank]) * QSKETCH_ERROR)
                fail_msg("%s: rank %u is %.17g, not %.17g", distributions[k].name, rank, v[rank],
                         got);
        }
        assert_true(worst <= QSKETCH_ERROR);
        assert_true(qsketch_at(&s, N - 1) <= v[N - 1] && qsketch_at(&s, 0) >= v[0]);
        qsketch_deinit(&s);
    }
    mem_free(v);
}

/* the bound is as narrow as it is said: some number comes near it */
static void test_error_is_met(void **state)
{
    (void)state;
    double v[2] = { 1, 1000 }, got;
    struct qsketch s = sketch_of(v, 2);
    got = qsketch_at(&s, 0);
    assert_true(got - 1 > QSKETCH_ERROR * 0.99);
    qsketch_deinit(&s);
}

static void saved(const struct qsketch *s, struct buf *b)
{
    buf_init(b, (size_t)64 << 20);
    qsketch_save(s, b);
    assert_true(buf_ok(b));
}

static void assert_same(const struct qsketch *x, const struct qsketch *y)
{
    struct buf a, b;
    saved(x, &a);
    saved(y, &b);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    buf_deinit(&a);
    buf_deinit(&b);
}

static void shuffle(double *v)
{
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t k = (uint32_t)(draw() % (i + 1));
        double t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

static void test_order_of_quantiles(void **state)
{
    (void)state;
    double *v = mem_array(N, sizeof *v);
    for (size_t k = 0; k < ND; k++) {
        fill(v, k);
        struct qsketch whole = sketch_of(v, N);
        for (int round = 0; round < 3; round++) {
            struct qsketch part[PARTS], all;
            uint32_t from = 0;
            shuffle(v);
            for (uint32_t i = 0; i < PARTS; i++) {
                uint32_t n = i + 1 == PARTS ? N - from : (uint32_t)(draw() % (N - from));
                part[i] = sketch_of(v + from, n);
                from += n;
            }
            qsketch_init(&all);
            for (uint32_t i = 0; i < PARTS; i++) /* last first, or the first into the last */
                assert_true(qsketch_merge(&all, &part[round ? PARTS - 1 - i : i]));
            assert_same(&whole, &all);
            for (uint32_t i = 0; i < PARTS; i++)
                qsketch_deinit(&part[i]);
            qsketch_deinit(&all);
        }
        qsketch_deinit(&whole);
    }
    mem_free(v);
}

static void test_quantiles_from_disk(void **state)
{
    (void)state;
    double *v = mem_array(N, sizeof *v);
    for (size_t k = 0; k < ND; k++) {
        struct buf b;
        struct qsketch back;
        fill(v, k);
        struct qsketch s = sketch_of(v, N), half = sketch_of(v, N / 2),
                       rest = sketch_of(v + N / 2, N - N / 2);
        saved(&half, &b);
        qsketch_init(&back);
        struct rd rd = rd_of(b.p, b.n);
        assert_true(qsketch_load(&back, &rd) && !rd_left(&rd));
        assert_same(&half, &back);
        buf_deinit(&b);
        saved(&rest, &b);
        rd = rd_of(b.p, b.n);
        assert_true(qsketch_load(&back, &rd));
        assert_same(&s, &back);
        /* nothing shorter is taken for one */
        for (size_t n = 0; n < b.n; n += 1 + b.n / 100) {
            struct qsketch cut;
            qsketch_init(&cut);
            rd = rd_of(b.p, n);
            assert_false(qsketch_load(&cut, &rd));
            qsketch_deinit(&cut);
        }
        buf_deinit(&b);
        qsketch_deinit(&s);
        qsketch_deinit(&half);
        qsketch_deinit(&rest);
        qsketch_deinit(&back);
    }
    mem_free(v);
}

/* latencies of a year at a nanosecond's resolution do not take more than this */
static void test_room_of_quantiles(void **state)
{
    (void)state;
    seed = 5;
    struct qsketch s;
    qsketch_init(&s);
    for (uint32_t i = 0; i < N; i++)
        assert_true(qsketch_add(&s, ldexp(1 + uniform(), (int)(draw() % 55))));
    assert_true(qsketch_bytes(&s) <= 4 * 55 * 128 * sizeof(uint64_t));
    qsketch_deinit(&s);
}

/* ---- distinct values ---- */

static struct hll *count_up(uint64_t from, uint64_t to)
{
    struct hll *h = mem_zalloc(sizeof *h);
    for (uint64_t i = from; i < to; i++)
        hll_add(h, hll_hash(2, &i, sizeof i));
    return h;
}

static void test_error_of_counts(void **state)
{
    static const uint64_t sizes[] = { 0,     1,     2,     10,     100,    1000,    5000,   10000,
                                      20000, 41000, 60000, 100000, 300000, 1000000, 3000000 };
    double sum = 0;
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k];
        struct hll *h = count_up(n * 7, n * 8);
        double off = fabs((double)hll_count(h) - (double)n);
        if (off > 4 * HLL_ERROR * (double)n + 0.5)
            fail_msg("%llu values are counted as %llu", (unsigned long long)n,
                     (unsigned long long)hll_count(h));
        sum += n ? off / (double)n : 0;
        mem_free(h);
    }
    assert_true(sum / 15 < HLL_ERROR);
}

/* no bias: the mean of many sets is nearer than each */
static void test_bias_of_counts(void **state)
{
    static const uint64_t sizes[] = { 2000, 30000, 45000, 80000 };
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        double sum = 0, squares = 0;
        enum { SETS = 60 };
        for (uint64_t i = 0; i < SETS; i++) {
            uint64_t from = (i + 1) << 32;
            struct hll *h = count_up(from, from + sizes[k]);
            double off = ((double)hll_count(h) - (double)sizes[k]) / (double)sizes[k];
            sum += off;
            squares += off * off;
            mem_free(h);
        }
        assert_true(fabs(sum / SETS) < 4 * HLL_ERROR / sqrt(SETS));
        assert_true(sqrt(squares / SETS) < 1.3 * HLL_ERROR);
    }
}

static void test_order_of_counts(void **state)
{
    (void)state;
    struct hll *whole = count_up(0, 90000), *a = count_up(60000, 90000), *b = count_up(0, 50000),
               *c = count_up(40000, 70000);
    struct buf buf;
    buf_init(&buf, 1 << 20);
    hll_merge(a, b);
    hll_save(c, &buf);
    struct rd rd = rd_of(buf.p, buf.n);
    assert_true(hll_load(a, &rd) && !rd_left(&rd));
    assert_memory_equal(whole, a, sizeof *a);
    rd = rd_of(buf.p, buf.n - 1);
    assert_false(hll_load(a, &rd));
    buf.p[77] = 60; /* more zeros than a hash has */
    rd = rd_of(buf.p, buf.n);
    assert_false(hll_load(a, &rd));
    buf_deinit(&buf);
    mem_free(whole);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

/* frozen: answers of two versions may be merged by people */
static void test_hash(void **state)
{
    (void)state;
    int64_t i = 5;
    assert_int_not_equal(hll_hash(2, &i, sizeof i), hll_hash(3, &i, sizeof i));
    assert_int_equal(hll_hash(4, "fleet", 5), 0x5c369cd617c271cdull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_of_quantiles),
        cmocka_unit_test(test_error_is_met),
        cmocka_unit_test(test_order_of_quantiles),
        cmocka_unit_test(test_quantiles_from_disk),
        cmocka_unit_test(test_room_of_quantiles),
        cmocka_unit_test(test_error_of_counts),
        cmocka_unit_test(test_bias_of_counts),
        cmocka_unit_test(test_order_of_counts),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
