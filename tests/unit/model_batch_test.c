/* model_batch_test.c: texts that repeat go through a payload's dictionary and come back as they
 * were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/batch.h"
#include "model/batch_format.h"

enum { FEW, RUNS, MANY, ONES, SPARSE, COLS };
static const char *const keys[COLS] = { "few", "runs", "many", "ones", "sparse" };

/* The text of a column in a row; false where there is none. */
static bool text_of(int col, uint32_t row, char *out, size_t n)
{
    switch (col) {
    case FEW: snprintf(out, n, "%.*s", (int)(row * 7 % 10), "abcdefghij"); return true;
    case RUNS: snprintf(out, n, "trace-%032u", row / 10); return true;
    case MANY: snprintf(out, n, "session %u", row / 8 * 31 % 700); return true;
    case ONES: snprintf(out, n, "message %u", row); return true;
    default: snprintf(out, n, "host-%u", row % 5); return row % 3 == 0;
    }
}

static void ok(int rc, const struct err *err)
{
    if (rc)
        fail_msg("%s", err->msg);
}

static char *encode(uint32_t rows, size_t *ret_n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 28);
    buf_init(&out, 1u << 28);
    ok(batch_new(&b, &a, &err), &err);
    for (uint32_t r = 0; r < rows; r++) {
        char text[64];
        assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), r));
        for (int c = 0; c < COLS; c++)
            if (text_of(c, r, text, sizeof text))
                assert_true(
                    bcol_put_text(batch_col(b, str_c(keys[c]), V_STR), arena_dup(&a, str_c(text))));
        batch_end_row(b);
    }
    ok(batch_encode(b, &out, &err), &err);
    assert_true(out.cap - out.n <= out.n / 8); /* it will be kept: no more room than it needs */
    arena_deinit(&a);
    return buf_take(&out, ret_n);
}

struct check {
    uint32_t first; /* row of the block's first */
    uint32_t dicts; /* columns with more than one text that came as a dictionary */
};

static int check_block(void *arg, struct block *b, struct err *err)
{
    struct check *k = arg;
    for (uint32_t i = 0; i < b->ncols; i++) {
        const struct colv *v;
        int col = 0;
        ok(block_load(b, i, &v, err), err);
        while (col < COLS && !str_eq(b->cols[i].key, str_c(keys[col])))
            col++;
        if (col == COLS)
            continue;
        assert_true(!v->codes || v->ndict <= BATCH_DICT_MAX);
        k->dicts |= v->codes && v->ndict > 1 ? 1u << col : 0;
        for (uint32_t r = 0; r < b->n; r++) {
            char want[64];
            bool has = text_of(col, k->first + r, want, sizeof want);
            assert_int_equal(colv_has(v, r), has);
            if (has)
                assert_true(str_eq(colv_text(v, r), str_c(want)));
        }
    }
    k->first += b->n;
    return 0;
}

static uint32_t round_trip(char *p, size_t n, uint32_t rows)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct check k = { 0 };
    arena_init(&a, 1u << 28);
    ok(payload_each(str_n(p, n), 1, 0, &a, check_block, &k, &err), &err);
    assert_int_equal(k.first, rows);
    arena_deinit(&a);
    return k.dicts;
}

static void test_dictionaries(void **state)
{
    (void)state;
    const uint32_t all = 1u << FEW | 1u << RUNS | 1u << MANY | 1u << SPARSE;
    static const struct {
        uint32_t rows, dicts;
    } cases[] = { { 1, 0 },      { 31, 0 },     { 32, 1u << RUNS | 1u << MANY },
                  { 1000, all }, { 8192, all }, /* codes of two bytes */
                  { 20000, all } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        char *p = encode(cases[i].rows, &n);
        assert_int_equal(round_trip(p, n, cases[i].rows), cases[i].dicts);
        mem_free(p);
    }
}

/* A payload of the first version, which had no dictionaries. */
static void test_version_1(void **state)
{
    (void)state;
    size_t n;
    char *p = encode(31, &n);
    assert_int_equal(p[0], BATCH_VERSION);
    p[0] = 1;
    assert_int_equal(round_trip(p, n, 31), 0);
    struct payload_info info;
    struct err err = ERR_INIT;
    p[0] = 3;
    assert_int_equal(payload_info(str_n(p, n), &info, &err), ERR_CORRUPT);
    p[0] = 0;
    assert_int_equal(payload_info(str_n(p, n), &info, &err), ERR_CORRUPT);
    mem_free(p);
}

static int read_all(void *arg, struct block *b, struct err *err)
{
    uint64_t *sum = arg;
    for (uint32_t i = 0; i < b->ncols; i++) {
        const struct colv *v;
        int rc = block_load(b, i, &v, err);
        if (rc)
            return rc;
        for (uint32_t r = 0; r < b->n; r++) {
            struct val x = colv_val(v, r);
            for (size_t k = 0; !x.absent && x.t >= V_STR && k < x.s.n; k++)
                *sum += (uint8_t)x.s.p[k];
        }
    }
    return 0;
}

/* Any damaged byte: the rows read, right or wrong, or ERR_CORRUPT; never a wild read. */
static void test_damage(void **state)
{
    (void)state;
    size_t n, corrupt = 0;
    char *p = encode(200, &n);
    for (size_t i = 0; i < n; i++) {
        char kept = p[i];
        struct arena a;
        struct err err = ERR_INIT;
        uint64_t sum = 0;
        arena_init(&a, 1u << 24);
        p[i] = (char)(kept ^ 0xff);
        int rc = payload_each(str_n(p, n), 1, 0, &a, read_all, &sum, &err);
        if (rc)
            assert_int_equal(rc, ERR_CORRUPT);
        corrupt += rc != 0;
        p[i] = kept;
        arena_deinit(&a);
    }
    assert_true(corrupt > 200); /* codes past the dictionary's end are among them */
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
