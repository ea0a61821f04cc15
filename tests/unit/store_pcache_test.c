/* store_pcache_test.c: the cache of decoded pages: what it gives back is what went in, it stays
 * within its bound, it forgets what nobody asks for, and what is in use outlives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem.h"
#include "store/columnar/pcache.h"

#define ROWS 100

static struct pcache *cache(size_t max)
{
    struct pcache *c;
    struct err err = ERR_INIT;
    assert_int_equal(pcache_new(&c, max, &err), 0);
    return c;
}

static struct pcache_key key(uint64_t segment, uint32_t block, uint32_t column)
{
    return (struct pcache_key){ segment, block, column };
}

/* a column of integers first, first + 1, ... */
static void put_ints(struct pcache *c, struct pcache_key k, int64_t first)
{
    int64_t v[ROWS];
    for (int i = 0; i < ROWS; i++)
        v[i] = first + i;
    struct pentry *e =
        pcache_put_page(c, k, &(struct colv){ .type = V_I64, .n = ROWS, .nvals = ROWS, .i64 = v });
    assert_non_null(e);
    pentry_unref(e);
}

static void test_pages_come_back(void **state)
{
    (void)state;
    struct pcache *c = cache(1u << 20);
    assert_null(pcache_get(c, key(1, 2, 3)));
    put_ints(c, key(1, 2, 3), 7);
    assert_null(pcache_get(c, key(1, 3, 2)));
    assert_null(pcache_get(c, key(2, 2, 3)));
    struct pentry *e = pcache_get(c, key(1, 2, 3));
    assert_non_null(e);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(e->v.i64[i], 7 + i);
    assert_null(e->v.present);
    pentry_unref(e);
    pcache_free(c);
}

static void test_texts_are_copied(void **state)
{
    (void)state;
    struct pcache *c = cache(1u << 20);
    uint64_t present[2] = { 0x5, 0 };
    uint32_t off[3] = { 0, 3, 5 }, codes[ROWS] = { 1, 0, 1 };
    char bytes[] = "abcde";
    struct colv v = { .type = V_STR,
                      .n = ROWS,
                      .nvals = 2,
                      .present = present,
                      .codes = codes,
                      .ndict = 2,
                      .off = off,
                      .bytes = bytes };
    pentry_unref(pcache_put_page(c, key(9, 0, 0), &v));
    off[2] = 1;
    codes[0] = 0;
    present[0] = 0;
    bytes[3] = 'x';
    struct pentry *e = pcache_get(c, key(9, 0, 0));
    assert_non_null(e);
    assert_true(str_eq(pentry_value(e, 0).s, STR("de")));
    assert_true(pentry_value(e, 1).absent);
    assert_true(str_eq(pentry_value(e, 2).s, STR("de")));
    pentry_unref(e);
    /* one value: every row has its code, whatever stands in codes */
    v.ndict = 1;
    v.present = NULL;
    off[1] = 3;
    pentry_unref(pcache_put_page(c, key(9, 0, 1), &v));
    e = pcache_get(c, key(9, 0, 1));
    assert_true(str_eq(colv_text(&e->v, ROWS - 1), STR("abc")));
    pentry_unref(e);
    pcache_free(c);
}

/* few rows have a value: those alone are kept, and come back where they were */
static void test_sparse_pages(void **state)
{
    (void)state;
    static const uint32_t at[] = { 0, 63, 64, 99 };
    struct pcache *c = cache(1u << 20);
    struct arena a;
    struct err err = ERR_INIT;
    uint64_t present[2] = { 0 };
    int64_t i64[ROWS] = { 0 };
    double f64[ROWS] = { 0 };
    uint8_t b8[ROWS] = { 0 };
    uint32_t codes[ROWS] = { 0 }, off[ROWS + 1] = { 0 }, dict[4] = { 0, 1, 3, 6 };
    char bytes[] = "abbccc";
    arena_init(&a, 1u << 20);
    for (uint32_t k = 0; k < 4; k++) {
        bit_set(present, at[k]);
        i64[at[k]] = 100 + k;
        f64[at[k]] = 0.5 + k;
        b8[at[k]] = k % 2;
        codes[at[k]] = k % 3;
    }
    for (uint32_t i = 0, n = 0; i < ROWS; i++) {
        off[i] = n;
        n += bit_get(present, i) ? 1 + (i > 63) : 0;
        off[i + 1] = n;
    }
    struct colv cols[] = {
        { .type = V_I64, .i64 = i64 },
        { .type = V_F64, .f64 = f64 },
        { .type = V_BOOL, .b8 = b8 },
        { .type = V_STR, .codes = codes, .ndict = 3, .off = dict, .bytes = bytes },
        { .type = V_STR, .off = off, .bytes = bytes },
        { .type = V_NULL },
    };
    for (uint32_t k = 0; k < sizeof cols / sizeof *cols; k++) {
        struct colv *v = &cols[k], back;
        v->n = ROWS;
        v->nvals = 4;
        v->present = present;
        struct pentry *e = pcache_put_page(c, key(1, 0, k), v);
        assert_non_null(e);
        assert_true(e->compact);
        assert_int_equal(pentry_column(e, &a, &back, &err), 0);
        for (uint32_t i = 0; i < ROWS; i++) {
            struct val x = colv_val(v, i), y = pentry_value(e, i), z = colv_val(&back, i);
            assert_int_equal(x.absent, y.absent);
            assert_int_equal(x.absent, z.absent);
            assert_int_equal(x.t, y.t);
            assert_int_equal(x.t, z.t);
            if (x.absent || x.t == V_NULL)
                continue;
            if (x.t == V_STR)
                assert_true(str_eq(x.s, y.s) && str_eq(x.s, z.s));
            else if (x.t == V_BOOL)
                assert_true(x.b == y.b && x.b == z.b);
            else
                assert_true(x.i == y.i && x.i == z.i);
        }
        pentry_unref(e);
    }
    arena_deinit(&a);
    pcache_free(c);
}

static void test_stays_within_its_bound(void **state)
{
    (void)state;
    size_t max = 64 << 10;
    struct pcache *c = cache(max);
    for (uint32_t i = 0; i < 1000; i++) {
        put_ints(c, key(1, i, 0), i);
        assert_true(pcache_bytes(c) <= max);
    }
    assert_true(pcache_bytes(c) > max / 2);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct pentry *e = pcache_get(c, key(1, i, 0));
        if (e)
            assert_int_equal(e->v.i64[0], i);
        kept += e != NULL;
        pentry_unref(e);
    }
    assert_true(kept > 10 && kept < 100);
    pcache_free(c);
}

static void test_large_pages_are_left_out(void **state)
{
    (void)state;
    struct pcache *c = cache((size_t)64 << 20);
    uint32_t off[2] = { 0, (uint32_t)PCACHE_PAGE };
    char *bytes = mem_zalloc(PCACHE_PAGE);
    struct colv v = { .type = V_STR, .n = 1, .nvals = 1, .off = off, .bytes = bytes };
    assert_null(pcache_put_page(c, key(1, 1, 1), &v));
    assert_null(pcache_get(c, key(1, 1, 1)));
    assert_int_equal(pcache_bytes(c), 0);
    mem_free(bytes);
    pcache_free(c);
}

static void test_idle_pages_go(void **state)
{
    (void)state;
    struct pcache *c = cache(1u << 20);
    put_ints(c, key(1, 0, 0), 0);
    put_ints(c, key(1, 1, 0), 0);
    pcache_tick(c);
    pentry_unref(pcache_get(c, key(1, 1, 0)));
    assert_true(pcache_tick(c) > 0);
    assert_null(pcache_get(c, key(1, 0, 0)));
    struct pentry *e = pcache_get(c, key(1, 1, 0)); /* in use: it goes, and stays readable */
    assert_non_null(e);
    pcache_tick(c);
    pcache_tick(c);
    assert_null(pcache_get(c, key(1, 1, 0)));
    assert_int_equal(pcache_bytes(c), 0);
    pcache_free(c);
    assert_int_equal(e->v.i64[5], 5);
    pentry_unref(e);
}

static int released;
static void release(void *what)
{
    assert_ptr_equal(what, &released);
    released++;
}

static void test_other_things_are_released_once(void **state)
{
    (void)state;
    struct pcache *c = cache(1u << 20);
    struct pentry *e = pcache_put_other(c, key(1, 1, PCACHE_DIRECTORY), &released, 100, release);
    struct pentry *twin = pcache_put_other(c, key(1, 1, PCACHE_DIRECTORY), &released, 100, release);
    assert_non_null(e);
    pentry_unref(twin); /* came second: not kept */
    assert_int_equal(released, 1);
    pcache_free(c);
    assert_int_equal(released, 1);
    pentry_unref(e);
    assert_int_equal(released, 2);
}

static void *hammer(void *arg)
{
    struct pcache *c = arg;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t block = i * 7919 % 97;
        struct pentry *e = pcache_get(c, key(1, block, 0));
        if (e)
            assert_int_equal(e->v.i64[3], block + 3);
        else
            put_ints(c, key(1, block, 0), block);
        pentry_unref(e);
        if (i % 5000 == 0)
            pcache_tick(c);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct pcache *c = cache(32 << 10);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    pcache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_come_back),
        cmocka_unit_test(test_texts_are_copied),
        cmocka_unit_test(test_sparse_pages),
        cmocka_unit_test(test_stays_within_its_bound),
        cmocka_unit_test(test_large_pages_are_left_out),
        cmocka_unit_test(test_idle_pages_go),
        cmocka_unit_test(test_other_things_are_released_once),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
