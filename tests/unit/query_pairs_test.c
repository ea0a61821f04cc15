/* query_pairs_test.c: the limits of `parse`, and what counts as a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "query/pairs.h"

struct taken {
    uint32_t n;
    char last[600];
    struct val v;
};

static int take(void *ctx, str key, struct val v, struct err *err)
{
    struct taken *t = ctx;
    (void)err;
    t->n++;
    snprintf(t->last, sizeof t->last, "%.*s", STR_FMT(key));
    t->v = v;
    return 0;
}

static struct taken read_pairs(enum pairs_form form, const struct buf *text, struct arena *a)
{
    struct taken t = { 0 };
    struct pairs p = { .take = take, .ctx = &t, .a = a };
    struct err err = ERR_INIT;
    pairs_init(&p);
    assert_int_equal(pairs_read(&p, form, buf_str(text), &err), 0);
    pairs_deinit(&p);
    return t;
}

static void put_pair(struct buf *b, enum pairs_form form, unsigned i)
{
    if (form == PAIRS_JSON)
        buf_printf(b, "%s\"k%u\":%u", i ? "," : "{", i, i);
    else
        buf_printf(b, "%sk%u=%u", i ? " " : "", i, i);
}

static void test_number_of_pairs(void **state)
{
    (void)state;
    for (int form = PAIRS_JSON; form <= PAIRS_KV; form++) {
        for (unsigned n = PAIRS_MAX - 1; n <= PAIRS_MAX + 1; n++) {
            struct buf b;
            struct arena a;
            arena_init(&a, (size_t)8 << 20);
            buf_init(&b, 1 << 20);
            for (unsigned i = 0; i < n; i++)
                put_pair(&b, (enum pairs_form)form, i);
            if (form == PAIRS_JSON)
                buf_putc(&b, '}');
            struct taken t = read_pairs((enum pairs_form)form, &b, &a);
            unsigned want = n < PAIRS_MAX ? n : PAIRS_MAX;
            assert_int_equal(t.n, want);
            assert_int_equal(t.v.i, want - 1);
            buf_deinit(&b);
            arena_deinit(&a);
        }
    }
}

static void test_length_of_texts(void **state)
{
    (void)state;
    for (size_t n = PAIRS_TEXT_MAX - 1; n <= PAIRS_TEXT_MAX + 1; n++) {
        struct buf b;
        struct arena a;
        arena_init(&a, (size_t)8 << 20);
        buf_init(&b, PAIRS_TEXT_MAX + 64);
        buf_puts(&b, "{\"a\":1");
        buf_fill(&b, ' ', n - b.n - 1);
        buf_putc(&b, '}');
        assert_int_equal(b.n, n);
        assert_int_equal(read_pairs(PAIRS_JSON, &b, &a).n, n <= PAIRS_TEXT_MAX);
        buf_deinit(&b);
        arena_deinit(&a);
    }
}

static void test_length_of_keys(void **state)
{
    (void)state;
    for (int form = PAIRS_JSON; form <= PAIRS_KV; form++) {
        for (size_t n = PAIRS_KEY_MAX; n <= PAIRS_KEY_MAX + 1; n++) {
            struct buf b;
            struct arena a;
            arena_init(&a, (size_t)8 << 20);
            buf_init(&b, 1 << 20);
            buf_puts(&b, form == PAIRS_JSON ? "{\"" : "");
            buf_fill(&b, 'k', n);
            buf_puts(&b, form == PAIRS_JSON ? "\":1}" : "=1");
            assert_int_equal(read_pairs((enum pairs_form)form, &b, &a).n, n <= PAIRS_KEY_MAX);
            buf_deinit(&b);
            arena_deinit(&a);
        }
    }
}

static void test_depth_of_objects(void **state)
{
    (void)state;
    for (unsigned depth = PAIRS_DEPTH; depth <= PAIRS_DEPTH + 1; depth++) {
        struct buf b;
        struct arena a;
        arena_init(&a, (size_t)8 << 20);
        buf_init(&b, 1 << 20);
        for (unsigned i = 0; i < depth; i++)
            buf_puts(&b, "{\"a\":");
        buf_puts(&b, "1");
        buf_fill(&b, '}', depth);
        struct taken t = read_pairs(PAIRS_JSON, &b, &a);
        assert_int_equal(t.n, 1);
        assert_int_equal(t.v.t, depth <= PAIRS_DEPTH ? V_I64 : V_JSON);
        assert_int_equal(strlen(t.last), 2 * PAIRS_DEPTH);
        buf_deinit(&b);
        arena_deinit(&a);
    }
}

static void test_values(void **state)
{
    static const struct {
        const char *text;
        enum vtype type;
    } of[] = { { "12", V_I64 },
               { "-3", V_I64 },
               { "0", V_I64 },
               { "1.5", V_F64 },
               { "1e3", V_F64 },
               { "007", V_STR },
               { "+1", V_STR },
               { "1.", V_STR },
               { "", V_STR },
               { "12ms", V_STR },
               { "123456789012345678901234567890", V_STR },
               { "0x10", V_STR },
               { "nan", V_STR } };
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        assert_int_equal(pairs_value(str_c(of[i].text)).t, of[i].type);
}

static void test_places(void **state)
{
    struct buf b;
    struct arena a;
    struct text_template t;
    struct err err = ERR_INIT;
    (void)state;
    for (unsigned n = TEMPLATE_PLACES_MAX; n <= TEMPLATE_PLACES_MAX + 1; n++) {
        arena_init(&a, (size_t)1 << 20);
        buf_init(&b, 1 << 16);
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, "<p%u> ", i);
        assert_int_equal(text_template_parse(&t, &a, buf_str(&b), &err),
                         n <= TEMPLATE_PLACES_MAX ? 0 : ERR_INVALID);
        buf_deinit(&b);
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_of_pairs), cmocka_unit_test(test_length_of_texts),
        cmocka_unit_test(test_length_of_keys),  cmocka_unit_test(test_depth_of_objects),
        cmocka_unit_test(test_values),          cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
