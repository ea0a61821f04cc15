/* Fields, keys, references and levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/field.h"

static void names(void **state)
{
    (void)state;
    for (int f = 0; f < F__COUNT; f++) {
        assert_true(field_table[f].name.n > 0);
        assert_int_equal(field_by_name(field_table[f].name), f);
        assert_int_equal(field_by_key(field_table[f].name), f);
    }
    static const struct {
        const char *name;
        enum field f;
    } cases[] = {
        { "trace", F_TRACE_ID },
        { "session", F_SESSION_ID },
        { "span", F_SPAN_ID },
        { "parent", F_PARENT_ID },
        { "call", F_CALL_ID },
        { "time", F_TIMESTAMP },
        { "port", F_NONE },
        { "", F_NONE },
        { "Agent", F_NONE },
        { "tokens", F_NONE },
        { "tokens.input", F_TOKENS_INPUT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(field_by_name(str_c(cases[i].name)), cases[i].f);
    assert_int_equal(field_by_key(STR("trace")), F_NONE);
}

static str key_of(struct buf *b, const char *const *steps)
{
    buf_reset(b);
    for (; *steps; steps++)
        field_put_step(b, str_c(*steps));
    return buf_str(b);
}

static void references(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool tick;
        const char *steps[4];
        bool match;
    } cases[] = {
        { "port", false, { "port" }, true },
        { "port", false, { "ports" }, false },
        { "attributes.port", false, { "port" }, true },
        { "attributes.port", true, { "port" }, false },
        { "attributes.port", true, { "attributes.port" }, true },
        { "a.b", false, { "a", "b" }, true },
        { "a.b", false, { "a.b" }, true },
        { "a.b", true, { "a", "b" }, false },
        { "a.b", true, { "a.b" }, true },
        { "a.b.c", false, { "a.b", "c" }, true },
        { "a.b.c", false, { "a", "b.c" }, true },
        { "agent", true, { "agent" }, true },
        { "attributes.agent", false, { "agent" }, true },
        { "x\x01y", false, { "x\x01y" }, true },
        { "x\x01y", false, { "x", "y" }, false },
        { "x\x02", true, { "x\x02" }, true },
        { "", true, { "" }, true },
        { "a.", false, { "a", "" }, true },
    };
    struct arena a;
    struct buf b;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fieldref f;
        assert_true(fieldref_make(&a, str_c(cases[i].name), cases[i].tick, &f));
        assert_int_equal(f.field, F_NONE);
        str key = key_of(&b, cases[i].steps);
        assert_int_equal(fieldref_matches(&f, key, field_dotted_hash(key)), cases[i].match);
    }
    struct fieldref f;
    assert_true(fieldref_make(&a, STR("trace"), false, &f));
    assert_int_equal(f.field, F_TRACE_ID);
    assert_true(fieldref_matches(&f, STR("trace_id"), field_dotted_hash(STR("trace_id"))));
    assert_false(fieldref_matches(&f, STR("\x01trace_id"), field_dotted_hash(STR("\x01trace_id"))));
    buf_deinit(&b);
    arena_deinit(&a);
}

static void long_keys(void **state)
{
    (void)state;
    struct buf dots, steps;
    buf_init(&dots, 1 << 20);
    buf_init(&steps, 1 << 20);
    buf_putc(&dots, PATH_SEP);
    buf_putc(&steps, PATH_SEP);
    for (int i = 0; i < 3000; i++) {
        buf_puts(&dots, i ? ".k" : "k");
        buf_puts(&steps, i ? "\x01k" : "k");
        assert_true(field_dotted_hash(buf_str(&dots)) == field_dotted_hash(buf_str(&steps)));
    }
    buf_deinit(&dots);
    buf_deinit(&steps);
}

static void people_names(void **state)
{
    (void)state;
    static const char *const steps[][4] = {
        { "port" }, { "http", "method" }, { "a.b", "c" }, { "x\x01y", "z\x02" }, { "" }
    };
    static const char *const want[] = { "port", "http.method", "a.b.c", "x\x01y.z\x02", "" };
    struct buf key, name;
    buf_init(&key, 1 << 16);
    buf_init(&name, 1 << 16);
    for (size_t i = 0; i < 5; i++) {
        buf_reset(&name);
        field_put_name(&name, key_of(&key, steps[i]));
        assert_true(str_eq(buf_str(&name), str_c(want[i])));
    }
    buf_reset(&name);
    field_put_name(&name, STR("tokens.input"));
    assert_true(str_eq(buf_str(&name), STR("tokens.input")));
    buf_deinit(&key);
    buf_deinit(&name);
}

static void query_names(void **state)
{
    (void)state;
    static const struct {
        const char *steps[4];
        const char *want, *all;
    } cases[] = {
        { { "port" }, "port", "`port`" },
        { { "http", "method" }, "http.method", "`http`.`method`" },
        { { "a.b", "c" }, "a.b.c", "`a.b`.`c`" },
        { { "note text" }, "`note text`", "`note text`" },
        { { "region", "host name" }, "region.`host name`", "`region`.`host name`" },
        { { "a b", "c.d", "e" }, "`a b`.`c.d`.e", "`a b`.`c.d`.`e`" },
        { { "" }, "``", "``" },
        { { "a", "" }, "a.", "`a`.``" },
        { { "", "a" }, "``.a", "``.`a`" },
        { { "5k" }, "`5k`", "`5k`" },
        { { "a b", "5k" }, "`a b`.5k", "`a b`.`5k`" },
        { { "5k", "a" }, "`5k`.a", "`5k`.`a`" },
        { { "`\\" }, "`\\`\\\\`", "`\\`\\\\`" },
        { { "x\x01y", "z\x02\n\x7f" },
          "`x\\u0001y`.`z\\u0002\\u000a\\u007f`",
          "`x\\u0001y`.`z\\u0002\\u000a\\u007f`" },
        { { "größe" }, "größe", "`größe`" },
        { { "agent" }, "attributes.agent", "`agent`" },
        { { "tokens", "input" }, "attributes.tokens.input", "`tokens`.`input`" },
        { { "attributes", "x" }, "`attributes`.x", "`attributes`.`x`" },
        { { "after" }, "`after`", "`after`" },
    };
    struct buf key, name;
    buf_init(&key, 1 << 16);
    buf_init(&name, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        str k = key_of(&key, cases[i].steps);
        buf_reset(&name);
        field_put_query(&name, k, false);
        assert_true(str_eq(buf_str(&name), str_c(cases[i].want)));
        buf_reset(&name);
        field_put_query(&name, k, true);
        assert_true(str_eq(buf_str(&name), str_c(cases[i].all)));
    }
    buf_reset(&name);
    field_put_query(&name, STR("tokens.input"), true);
    assert_true(str_eq(buf_str(&name), STR("tokens.input")));
    buf_deinit(&key);
    buf_deinit(&name);
}

static void levels(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int level; /* -1: unknown */
    } cases[] = {
        { "trace", LV_TRACE },
        { "DEBUG", LV_DEBUG },
        { "Info", LV_INFO },
        { "warn", LV_WARN },
        { "WARNING", LV_WARN },
        { "error", LV_ERROR },
        { "err", LV_ERROR },
        { "critical", LV_CRITICAL },
        { "FATAL", LV_CRITICAL },
        { "emergency", LV_CRITICAL },
        { "Alert", LV_CRITICAL },
        { "panic", LV_CRITICAL },
        { "NOTICE", LV_INFO },
        { "INFO2", LV_INFO },
        { "FATAL4", LV_CRITICAL },
        { "TRACE3", LV_TRACE },
        { "WARN2", LV_WARN },
        { "INFO5", -1 },
        { "INFO1", -1 },
        { "notice2", -1 },
        { "", -1 },
        { "inf", -1 },
        { "information", -1 },
        { " info", -1 },
        { "critical critical critical", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum level lv = LV__COUNT;
        bool ok = level_parse(str_c(cases[i].text), &lv);
        assert_int_equal(ok ? (int)lv : -1, cases[i].level);
    }
    static const struct {
        int64_t n;
        int level, otel;
    } numbers[] = {
        { 0, -1, -1 },
        { 1, LV_TRACE, LV_TRACE },
        { 5, LV_DEBUG, LV_DEBUG },
        { 9, LV_INFO, LV_INFO },
        { 10, LV_TRACE, LV_INFO },
        { 13, LV_WARN, LV_WARN },
        { 17, LV_ERROR, LV_ERROR },
        { 20, LV_DEBUG, LV_ERROR },
        { 24, LV_CRITICAL, LV_CRITICAL },
        { 25, -1, -1 },
        { 30, LV_INFO, -1 },
        { 40, LV_WARN, -1 },
        { 50, LV_ERROR, -1 },
        { 60, LV_CRITICAL, -1 },
        { 70, -1, -1 },
        { -10, -1, -1 },
        { INT64_MIN, -1, -1 },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        enum level lv = LV__COUNT;
        bool ok = level_from_number(numbers[i].n, &lv);
        assert_int_equal(ok ? (int)lv : -1, numbers[i].level);
        ok = level_from_severity_number(numbers[i].n, &lv);
        assert_int_equal(ok ? (int)lv : -1, numbers[i].otel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),        cmocka_unit_test(references),  cmocka_unit_test(long_keys),
        cmocka_unit_test(people_names), cmocka_unit_test(query_names), cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
