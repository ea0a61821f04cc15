/* codec_json_test.c: what is JSON and what is not, numbers, the writer, going on after an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/json.h"

/* The bytes in a block of their own whose pad is hostile: it would continue any token. */
struct text {
    char *p;
    str s;
};

static struct text text_of(const char *p, size_t n, char pad)
{
    struct text t = { .p = malloc(n + 32) };
    memcpy(t.p, p, n);
    memset(t.p + n, pad, 32);
    t.s = str_n(t.p, n);
    return t;
}

static bool valid(const char *p, size_t n)
{
    bool ok[4];
    static const char pads[] = { '0', '"', ' ', '}' };
    for (int i = 0; i < 4; i++) {
        struct text t = text_of(p, n, pads[i]);
        ok[i] = json_valid(t.s);
        free(t.p);
    }
    assert_true(ok[0] == ok[1] && ok[1] == ok[2] && ok[2] == ok[3]);
    return ok[0];
}

static void accepted(void **state)
{
    (void)state;
    static const char *good[] = {
        "{}",
        "[]",
        "0",
        "-0",
        "1",
        "-1.5e+10",
        "0.0",
        "1E5",
        "1e-5",
        "true",
        "false",
        "null",
        "\"\"",
        " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
        "[[[]],{}]",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"\\uD83D\\uDE00x\"",
        "\"é中😀\"",
        "\"\x7f\"",
        "{\"a\":1,\"a\":2}",
        "{\"\":0}",
        "123456789012345678901234567890",
        "1e999",
        "\"a string that is longer than sixteen bytes, and than thirty-two\"",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!valid(good[i], strlen(good[i])))
            fail_msg("refused: %s", good[i]);
}

static void refused(void **state)
{
    (void)state;
    static const char *bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{}{}",
        "\"a\"\"b\"",
        "01",
        "-",
        "-a",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x10",
        "1_0",
        "--1",
        "tru",
        "truE",
        "nul",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "'a'",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\udc00\\ud800\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\x1f\"",
        "\xef\xbb\xbf{}",
        "/*x*/1",
        "[1]//",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xff\"",
        "\"\xe2\x82\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xc3\"",
        "\f1",
        "1\v",
        "{\"a\":tru}",
        "[1,2,,3]",
        "{,}",
        "[\"a\"b]",
        "\"long enough to need the second block of sixteen \x01\"",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (valid(bad[i], strlen(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    assert_false(valid("\"a\0b\"", 5));
    assert_false(valid("\"\\\0\"", 4));
    assert_false(valid("1\0", 2));
    assert_false(json_valid(STR_NULL));
}

/* Every prefix of a document is refused, whatever follows it in memory. */
static void cut_short(void **state)
{
    (void)state;
    static const char doc[] = "{\"k\\u00e9y\":[true,null,-12.5e3,\"\\ud83d\\ude00 é\"],\"x\":{}}";
    for (size_t n = 0; n < sizeof(doc) - 1; n++)
        assert_false(valid(doc, n));
    assert_true(valid(doc, sizeof(doc) - 1));
}

static void depth(void **state)
{
    (void)state;
    char t[2 * (JSON_DEPTH_MAX + 1)];
    for (int over = 0; over <= 1; over++) {
        size_t d = (size_t)(JSON_DEPTH_MAX + over);
        for (size_t i = 0; i < d; i++) {
            t[i] = '[';
            t[2 * d - 1 - i] = ']';
        }
        assert_int_equal(valid(t, 2 * d), !over);
    }
    /* objects and arrays by turns: each closes what it opened */
    char mixed[1024] = "";
    size_t n = 0;
    for (int i = 0; i < 32; i++)
        n += (size_t)snprintf(mixed + n, sizeof(mixed) - n, "{\"a\":[");
    for (int i = 0; i < 32; i++)
        n += (size_t)snprintf(mixed + n, sizeof(mixed) - n, "]}");
    assert_true(valid(mixed, n));
    mixed[n - 1] = ']';
    assert_false(valid(mixed, n));
}

static struct json_tok next(struct json_rd *r)
{
    struct json_tok t;
    struct err e = ERR_INIT;
    if (json_next(r, &t, &e))
        fail_msg("%s", e.msg);
    return t;
}

static void tokens(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_puts(&b, "{\"a\":1,\"b\\n\":[-2.5,true,{\"c\":null}],\"d\":\"x\"}\n7\n");
    struct json_rd r;
    struct json_tok t;
    struct err e = ERR_INIT;
    str source;
    json_init(&r, buf_str(&b));
    assert_int_equal(next(&r).type, JSON_OBJ);
    t = next(&r);
    assert_true(t.type == JSON_KEY && str_eq(t.raw, STR("a")) && !t.escaped);
    t = next(&r);
    assert_true(t.type == JSON_NUM && str_eq(t.raw, STR("1")) && t.integral);
    t = next(&r);
    assert_true(t.type == JSON_KEY && t.escaped);
    t = next(&r);
    assert_int_equal(t.type, JSON_ARR);
    assert_int_equal(json_skip(&r, &t, &source, &e), 0);
    assert_true(str_eq(source, STR("[-2.5,true,{\"c\":null}]")));
    t = next(&r);
    assert_true(t.type == JSON_KEY && str_eq(t.raw, STR("d")));
    t = next(&r);
    assert_int_equal(json_skip(&r, &t, &source, &e), 0);
    assert_true(str_eq(source, STR("\"x\"")));
    assert_int_equal(next(&r).type, JSON_OBJ_END);
    t = next(&r);
    assert_true(t.type == JSON_NUM && str_eq(t.raw, STR("7")));
    assert_int_equal(next(&r).type, JSON_END);
    assert_int_equal(next(&r).type, JSON_END);
    assert_int_equal(json_offset(&r), b.n);
    buf_deinit(&b);
}

static void error_places(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t pos;
    } cases[] = { { "{\"a\" 1}", 5 },   { "[1,]", 3 }, { "\"ab\x01\"", 3 },
                  { "01", 1 },          { "[1", 2 },   { "{\"a\":\"\xff\"}", 6 },
                  { "\"\\ud800\"", 1 }, { "1 x", 2 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text t = text_of(cases[i].text, strlen(cases[i].text), ' ');
        struct json_rd r;
        struct json_tok tok;
        struct err e = ERR_INIT;
        int rc;
        json_init(&r, t.s);
        while ((rc = json_next(&r, &tok, &e)) == 0 && tok.type != JSON_END)
            ;
        assert_int_equal(rc, ERR_INVALID);
        assert_int_equal(e.pos, cases[i].pos);
        assert_int_equal(json_next(&r, &tok, &e), ERR_INVALID); /* and stays there */
        free(t.p);
    }
}

/* Reads lines, going on after bad ones; counts the values that were whole. */
static int whole_values(const char *z)
{
    struct text t = text_of(z, strlen(z), '{');
    struct json_rd r;
    struct json_tok tok;
    struct err e = ERR_INIT;
    str source;
    int n = 0;
    json_init(&r, t.s);
    for (;;) {
        int rc = json_next(&r, &tok, &e);
        if (!rc && tok.type == JSON_END)
            break;
        if (!rc)
            rc = json_skip(&r, &tok, &source, &e);
        if (rc && !json_resync(&r))
            break;
        n += !rc;
    }
    free(t.p);
    return n;
}

static void resync(void **state)
{
    (void)state;
    assert_int_equal(whole_values("{\"a\":1}\n{\"a\":2}\n"), 2);
    assert_int_equal(whole_values("{\"a\":x}\n{\"a\":2}\n"), 1);
    assert_int_equal(whole_values("{\"a\":\"x\n{\"a\":2}\n"), 1);          /* cut in a string */
    assert_int_equal(whole_values("{\"a\":1\n{\"a\":2}\n{\"a\":3}"), 2);   /* cut after a value */
    assert_int_equal(whole_values("{\"a\":1,\n {\"a\":2}\n{\"a\":3}"), 2); /* cut after a comma */
    assert_int_equal(whole_values("{\"a\":1}}\n{\"a\":2}"), 2);
    assert_int_equal(whole_values("garbage"), 0);
    assert_int_equal(whole_values("{{{{\n{{{\n\n{}\n"), 1);
}

static void unescape(void **state)
{
    (void)state;
    struct arena a;
    struct json_tok t;
    arena_init(&a, 1 << 16);
    struct text x = text_of("\"\\u0041\\u00e9\\u4e2d\\ud83d\\ude00\\n\\/\\\"\\u0000z\"", 46, ' ');
    struct json_rd r;
    json_init(&r, x.s);
    t = next(&r);
    str s = json_unescape(&t, &a);
    assert_true(str_eq(s, STR("Aé中😀\n/\"\0z")));
    free(x.p);
    t = (struct json_tok){ .type = JSON_STR, .raw = STR("plain") };
    assert_ptr_equal(json_unescape(&t, &a).p, t.raw.p);
    struct arena none;
    arena_init(&none, 0);
    t = (struct json_tok){ .type = JSON_STR, .raw = STR("\\n"), .escaped = true };
    assert_null(json_unescape(&t, &none).p);
    arena_deinit(&a);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_num_kind kind;
        double d;
    } cases[] = {
        { "0", JNUM_I64, 0 },
        { "-1", JNUM_I64, -1 },
        { "999999999999999999", JNUM_I64, 999999999999999999.0 },
        { "9223372036854775807", JNUM_I64, 9223372036854775807.0 },
        { "-9223372036854775808", JNUM_I64, -9223372036854775808.0 },
        { "-0", JNUM_F64, -0.0 },
        { "0.0", JNUM_F64, 0 },
        { "-0.0", JNUM_F64, -0.0 },
        { "0e999", JNUM_F64, 0 },
        { "1.0", JNUM_F64, 1 },
        { "0.1", JNUM_F64, 0.1 },
        { "1e5", JNUM_F64, 1e5 },
        { "1.50", JNUM_F64, 1.5 },
        { "-2.5E-3", JNUM_F64, -2.5e-3 },
        { "1.5e3", JNUM_F64, 1500 },
        { "1763690400.1234567", JNUM_F64, 1763690400.1234567 },
        { "0.30000000000000004", JNUM_F64, 0.30000000000000004 },
        { "1e22", JNUM_F64, 1e22 },
        { "1e23", JNUM_F64, 1e23 },
        { "5e-324", JNUM_F64, 5e-324 },
        { "1.7976931348623157e308", JNUM_F64, 1.7976931348623157e308 },
        { "10000000000000000000", JNUM_F64, 1e19 },
        { "0.00000000000000000000000000000000001", JNUM_F64, 1e-35 },
        { "1.00000000000000000000000000000", JNUM_F64, 1 },
        { "9223372036854775808", JNUM_TEXT, 0 },
        { "-9223372036854775809", JNUM_TEXT, 0 },
        { "12345678901234567890", JNUM_TEXT, 0 },
        { "0.1234567890123456789", JNUM_TEXT, 0 },
        { "0.10000000000000001", JNUM_TEXT, 0 },
        { "9007199254740993.0", JNUM_TEXT, 0 },
        { "4.9e-324", JNUM_TEXT, 0 },
        { "1e999", JNUM_TEXT, 0 },
        { "-1e999", JNUM_TEXT, 0 },
        { "1e-999", JNUM_TEXT, 0 },
        { "1e99999999999999999999", JNUM_TEXT, 0 },
        { "3.141592653589793238462643383279502884", JNUM_TEXT, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool integral = !strpbrk(cases[i].text, ".eE");
        int64_t n = 0;
        double d = 0;
        enum json_num_kind kind = json_number(str_c(cases[i].text), integral, &n, &d);
        if (kind != cases[i].kind)
            fail_msg("%s is of kind %d", cases[i].text, kind);
        if (kind == JNUM_I64)
            assert_true((double)n == cases[i].d);
        if (kind == JNUM_F64)
            assert_true(d == cases[i].d && !signbit(d) == !signbit(cases[i].d));
    }
}

/* What the writer writes is classified as the double it came from. */
static void number_round_trip(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    uint64_t x = 7;
    for (int i = 0; i < 100000; i++) {
        double d, back = 0;
        int64_t n;
        x = hash_mix(x + 1);
        memcpy(&d, &x, 8);
        if (i % 3 == 0)
            d = (double)(x % 100000000000) / 1000;
        if (!isfinite(d))
            continue;
        buf_reset(&b);
        json_put_f64(&b, d);
        assert_true(valid(b.p, b.n));
        bool integral =
            str_find(buf_str(&b), STR(".")) == SIZE_MAX && str_chr(buf_str(&b), 'e') == SIZE_MAX;
        enum json_num_kind kind = json_number(buf_str(&b), integral, &n, &back);
        assert_true(kind == JNUM_F64 ? back == d : kind == JNUM_I64 && (double)n == d);
    }
    buf_deinit(&b);
}

static void check_f64(double d, const char *want)
{
    struct buf b;
    buf_init(&b, 100);
    json_put_f64(&b, d);
    assert_true(str_eq(buf_str(&b), str_c(want)));
    buf_deinit(&b);
}

static void writer(void **state)
{
    (void)state;
    check_f64(0, "0");
    check_f64(-0.0, "-0");
    check_f64(0.1, "0.1");
    check_f64(-12.5, "-12.5");
    check_f64(100, "100");
    check_f64(1e20, "100000000000000000000");
    check_f64(1e21, "1e21");
    check_f64(1.25e-6, "0.00000125");
    check_f64(1.25e-7, "1.25e-7");
    check_f64(5e-324, "5e-324");
    check_f64(1.7976931348623157e308, "1.7976931348623157e308");
    struct buf b;
    buf_init(&b, 1000);
    json_put_str(&b, STR("plain and long enough for two blocks of sixteen"));
    json_put_str(&b, STR("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f\0é\xe2\x80\xa8"));
    json_put_str(&b, STR_NULL);
    assert_true(str_eq(buf_str(&b), STR("\"plain and long enough for two blocks of sixteen\""
                                        "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000é"
                                        "\xe2\x80\xa8\"\"\"")));
    buf_deinit(&b);
}

static void check_minify(const char *in, const char *want)
{
    struct buf b;
    struct err e = ERR_INIT;
    struct text t = text_of(in, strlen(in), '1');
    buf_init(&b, 1000);
    int r = json_minify(&b, t.s, &e);
    if (!want)
        assert_int_equal(r, ERR_INVALID);
    else
        assert_true(r == 0 && str_eq(buf_str(&b), str_c(want)));
    buf_deinit(&b);
    free(t.p);
}

static void minify(void **state)
{
    (void)state;
    check_minify(" { \"a\" : [ 1.50 , -0 , { } , [ ] ] , \"b\" : null }\n",
                 "{\"a\":[1.50,-0,{},[]],\"b\":null}");
    check_minify("\"\\u0041\\/\\u000a\\u001F\\ud83d\\ude00\\\"\"", "\"A/\\n\\u001f😀\\\"\"");
    check_minify("{\"\\u0061\":1}", "{\"a\":1}");
    check_minify("7", "7");
    check_minify("", NULL);
    check_minify("1 2", NULL);
    check_minify("[1", NULL);
    struct buf b;
    struct err e = ERR_INIT;
    buf_init(&b, 3);
    struct text t = text_of("[1,2]", 5, ' ');
    assert_int_equal(json_minify(&b, t.s, &e), ERR_LIMIT);
    free(t.p);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),  cmocka_unit_test(refused),
        cmocka_unit_test(cut_short), cmocka_unit_test(depth),
        cmocka_unit_test(tokens),    cmocka_unit_test(error_places),
        cmocka_unit_test(resync),    cmocka_unit_test(unescape),
        cmocka_unit_test(numbers),   cmocka_unit_test(number_round_trip),
        cmocka_unit_test(writer),    cmocka_unit_test(minify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
