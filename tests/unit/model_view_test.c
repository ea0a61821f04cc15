/* Spellings, shapes, safe text, and how rows look in each view. */
#include "ingest_kit.h"

#include "model/shape.h"
#include "model/spell.h"

static void safe_text(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *flat, *kept; /* kept NULL: the same */
    } cases[] = {
#define IN(s) s, sizeof(s) - 1
        { IN("plain text 'x' \"y\" \\"), "plain text 'x' \"y\" \\", NULL },
        { IN("a\nb\tc"), "a\\nb\\tc", "a\\nb\tc" },
        { IN("\x1b[31mred\x1b]0;t\x07"), "\\x1b[31mred\\x1b]0;t\\x07", NULL },
        { IN("\0\x01\r\x7f"), "\\x00\\x01\\x0d\\x7f", NULL },
        { IN("\xc2\x9b"
             "31m\xc2\x85"),
          "\\x9b31m\\x85", NULL },
        { IN("\xc2\xa0\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"),
          "\xc2\xa0\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", NULL },
        { IN("\xe2\x80\xae"
             "abc\xe2\x81\xa9\xef\xbb\xbf\xd8\x9c"),
          "\\u{202e}abc\\u{2069}\\u{feff}\\u{061c}", NULL },
        { IN("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\x8e"), "\\u{2028}\\u{2029}\\u{200e}", NULL },
        { IN("\xff\xc3"), "\\xff\\xc3", NULL },
        { IN("\xed\xa0\x80x"), "\\xed\\xa0\\x80x", NULL },
        { IN("\xc0\xaf"), "\\xc0\\xaf", NULL },
        { IN("\xef\xbf\xbd"), "\xef\xbf\xbd", NULL },
        { IN("\xe2\x82"), "\\xe2\\x82", NULL },
        { IN(""), "", NULL },
    };
    struct buf b;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int flat = 0; flat < 2; flat++) {
            const char *want = flat || !cases[i].kept ? cases[i].flat : cases[i].kept;
            buf_reset(&b);
            view_put_safe(&b, (str){ cases[i].in, cases[i].n }, flat);
            if (!str_eq(buf_str(&b), str_c(want)))
                fail_msg("%zu: %.*s", i, STR_FMT(buf_str(&b)));
        }
    buf_deinit(&b);
}

static void spellings(void **state)
{
    (void)state;
    static const struct {
        const char *in, *spelling;
        bool number, exact;
    } cases[] = {
        { "2026-11-21T10:00:00Z", "T-0Z", false, true },
        { "2026-11-21T10:00:00.123Z", "T.3Z", false, true },
        { "2026-11-21 10:00:00,5", " ,1", false, true },
        { "2026-11-21t10:00:00.000000001+05:30", "t.9+05:30", false, true },
        { "2026-11-21T10:00:00-11:00", "T-0-11:00", false, true },
        { "2026-11-21", "d", false, true },
        { "2026-11-21T23:59:60Z", "", false, false },
        { "2026-11-21T10:00:00.1234567890Z", "", false, false },
        { "1677-09-21T01:12:44+01:00", NULL, false, false },
        { "1700000000", "qis", false, true },
        { "1700000000.50", "qfs", false, false },
        { "1700000000.5", "qfs", false, true },
        { "1700000000", "is", true, true },
        { "-1700000000123", "im", true, true },
        { "1700000000123456", "iu", true, true },
        { "1700000000123456789", "in", true, true },
        { "1700000000.25", "fs", true, true },
        { "1700000000123.000001", "fm", true, true },
        { "1700000000123.0000001", "fm", true, false },
        { "17e8", "fs", true, true },
        { "-0", "is", true, false },
        { "0.0", "fs", true, true },
    };
    struct buf b;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spelling sp;
        ts_ns t;
        str in = str_c(cases[i].in);
        assert_true(cases[i].number ? spell_time_number(in, UNIT_BY_SIZE, &t, &sp)
                                    : spell_time_text(in, UNIT_BY_SIZE, &t, &sp));
        if (cases[i].spelling && sp.exact != cases[i].exact)
            fail_msg("%s", cases[i].in);
        if (cases[i].spelling && cases[i].exact)
            assert_true(str_eq((str){ sp.c, sp.n }, str_c(cases[i].spelling)));
        if (!sp.exact || strchr(cases[i].in, 'e'))
            continue;
        buf_reset(&b);
        spell_put_time(&b, t, (str){ sp.c, sp.n });
        str got = buf_str(&b);
        if (!cases[i].number)
            got = str_sub(got, 1, got.n - 2);
        if (!str_eq(got, in))
            fail_msg("%s: %.*s", cases[i].in, STR_FMT(got));
    }
    /* units that are fixed */
    struct spelling sp;
    ts_ns t;
    assert_true(spell_time_number(STR("1700000000123"), UNIT_S, &t, &sp) == false);
    assert_true(spell_time_number(STR("5000000000"), UNIT_S, &t, &sp) &&
                t == 5000000000 * NS_PER_S);
    assert_true(spell_time_number(STR("5"), UNIT_MS, &t, &sp) && t == 5 * NS_PER_MS);
    /* whatever a damaged shape says, there is one JSON value */
    static const char *const odd[] = {
        "",  "T",  "T-",   "T-0",       "T.9Z+-:0",        "q", "qix", "ix",
        "f", "d!", "T.:Z", "T.3Z00000", "\xff\xff\xff\xff"
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        buf_reset(&b);
        spell_put_time(&b, TS_MIN, str_c(odd[i]));
        buf_putc(&b, 0);
        json_t *j = json_loads(b.p, JSON_DECODE_ANY, NULL);
        assert_non_null(j);
        json_decref(j);
    }
    buf_deinit(&b);
}

static void shapes(void **state)
{
    (void)state;
    struct shape s;
    str moved;
    shape_parse(STR("N\nagent=agent\x01name\nsession_id#=session.id\ntimestamp\tT.3Z\n"
                    "level=severity\t=WARNING\n"
                    "tokens.input+\n-source\n@context\n@metadata\n.port\n"
                    ".\n.x\x02\x19y\n:1k\n~source_id=id\nbogus=1\n\n"),
                &s);
    assert_int_equal(s.dialect, 'N');
    assert_true(str_eq(s.f[F_AGENT].path, STR("agent\x01name")));
    assert_int_equal(s.f[F_SESSION_ID].flags, SHAPE_NUMBER);
    assert_int_equal(s.f[F_TOKENS_INPUT].flags, SHAPE_INCLUSIVE);
    assert_true(str_eq(s.f[F_TIMESTAMP].spelling, STR("T.3Z")) && !s.f[F_TIMESTAMP].path.n);
    assert_true(str_eq(s.f[F_LEVEL].spelling, STR("=WARNING")) &&
                str_eq(s.f[F_LEVEL].path, STR("severity")));
    assert_true(s.filled == 1ull << F_SOURCE);
    assert_int_equal(s.ncontainers, 2);
    assert_int_equal(shape_place(&s, STR("port"), &moved), -1);
    assert_int_equal(shape_place(&s, STR(""), &moved), -1);
    assert_int_equal(shape_place(&s, STR("x\ty"), &moved), -1);
    assert_int_equal(shape_place(&s, STR("k"), &moved), 1);
    assert_int_equal(shape_place(&s, STR("other"), &moved), 0);
    assert_int_equal(shape_place(&s, STR("context"), &moved), -1);
    assert_null(moved.p);
    assert_int_equal(shape_place(&s, STR("source_id"), &moved), -1);
    assert_true(str_eq(moved, STR("id")));
    shape_parse(STR_NULL, &s);
    assert_int_equal(s.dialect, 0);
    assert_int_equal(shape_place(&s, STR("k"), &moved), -1);
    shape_parse(STR("F\n:9k\n:\n~\n~=\n~x\n@a\n@b\n@c\n@d\n@e\n@f\n=\n#\n-\n@"), &s);
    assert_int_equal(s.ncontainers, SHAPE_CONTAINERS);
    assert_int_equal(shape_place(&s, STR("k"), &moved), 0);
}

static char *line_of(struct kit *k, bool color)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    struct block *b = kit_block(k);
    assert_int_equal(view_text(&out, b, 0, color, &k->err), 0);
    char *z = arena_strz(&k->a, buf_str(&out));
    buf_deinit(&out);
    block_close(b);
    return z;
}

static void terminal_lines(void **state)
{
    (void)state;
    static const struct {
        const char *body, *line;
    } cases[] = {
        { "{\"ts\":\"2026-11-21T10:00:00.123Z\",\"level\":\"error\",\"agent\":\"planner\","
          "\"message\":\"message\","
          "\"key\":\"value\"}",
          "2026-11-21T10:00:00.123Z ERROR planner  message  key=value" },
        { "{\"ts\":0,\"level\":\"fatal\",\"event\":\"e\",\"a\":\"x y\",\"b\":{\"c\":[1,"
          "\"2\"]},\"d\":\"\"}",
          "1970-01-01T00:00:00.000Z CRIT  -  e  a=\"x y\"  b.c=[1,\"2\"]  d=\"\"" },
        { "{\"ts\":0,\"message\":\"a\\nb\\u001b[0m\",\"agent\":\"\\u202ex\",\"k\\u001b\":"
          "\"\\u0007\",\"tool\":\"t\"}",
          "1970-01-01T00:00:00.000Z INFO  \\u{202e}x  a\\nb\\x1b[0m  tool=t  k\\x1b=\"\\x07\"" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, cases[i].body), 0);
        assert_string_equal(line_of(&k, false), cases[i].line);
    }
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, cases[0].body), 0);
    assert_string_equal(
        line_of(&k, true),
        "\x1b[2m2026-11-21T10:00:00.123Z\x1b[0m \x1b[31mERROR\x1b[0m planner  message"
        "  \x1b[2mkey=\x1b[0mvalue");
    kit_deinit(&k);
}

/* an entry of each dialect in the words of each other one */
static void translated(void **state)
{
    (void)state;
    static const char native[] =
        "{\"timestamp\":\"2026-11-21T10:00:00.5Z\",\"agent\":\"a\",\"level\":\"trace\","
        "\"msg\":\"m\",\"tool\":\"t\","
        "\"trace_id\":\"x\",\"tokens.input\":5,\"context\":{\"port\":1}}";
    static const struct {
        enum dialect d;
        const char *body;
        kit_view view;
        const char *want;
    } cases[] = {
        { DIALECT_NATIVE, native, view_fleet,
          "{\"timestamp\":1795255200.5,\"agent\":\"a\",\"level\":\"DEBUG\",\"message\":\"m\","
          "\"context\":{\"tool\":\"t\",\"tokens.input\":5,\"port\":1},\"trace_id\":\"x\","
          "\"session_id\":\"\"}" },
        { DIALECT_NATIVE, native, view_guide,
          "{\"timestamp\":\"2026-11-21T10:00:00.500Z\",\"agent\":\"a\",\"event\":\"trace\","
          "\"content\":\"m\","
          "\"level\":\"trace\",\"trace_id\":\"x\",\"tool\":\"t\",\"tokens.input\":5,\"port\":1}" },
        { DIALECT_NATIVE, native, view_hook,
          "{\"id\":100,\"source_app\":\"a\",\"session_id\":\"\",\"hook_event_type\":\"trace\","
          "\"payload\":{\"level\":\"trace\",\"message\":\"m\",\"trace_id\":\"x\",\"tool\":"
          "\"t\",\"tokens.input\":5,"
          "\"port\":1},\"timestamp\":1795255200500}" },
        { DIALECT_NATIVE, "{}", view_fleet,
          "{\"timestamp\":1800000000.123456789,\"agent\":\"\",\"level\":\"INFO\","
          "\"message\":\"\",\"context\":{},"
          "\"trace_id\":\"\",\"session_id\":\"\"}" },
        { DIALECT_TEXT, "x", view_guide,
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"agent\":\"unknown\","
          "\"event\":\"info\","
          "\"content\":\"x\",\"level\":\"info\"}" },
        { DIALECT_NATIVE,
          "{\"agent\":\"a\",\"context\":{\"agent\":\"b\",\"content\":\"c\",\"tool\":\"t2\"},"
          "\"tool\":\"t\"}",
          view_guide,
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"agent\":\"a\",\"event\":"
          "\"info\",\"content\":\"\","
          "\"level\":\"info\",\"tool\":\"t2\"}" },
        { DIALECT_NATIVE, "{\"ts\":1,\"context\":{\"a\":{\"b\":1}}}", view_attributes,
          "{\"a\":{\"b\":1}}" },
        { DIALECT_NATIVE, "{\"ts\":1}", view_attributes, "{}" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kit_decode_z(&k, cases[i].d, cases[i].body), 0);
        expect_json(kit_show(&k, cases[i].view, 0), cases[i].want);
    }
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, native), 0);
    expect_members(kit_show(&k, view_mals, 0),
                   "{\"agent_id\":\"a\",\"level\":\"debug\",\"message\":\"m\",\"trace_id\":\"x\","
                   "\"category\":null,"
                   "\"metadata\":{\"tool\":\"t\",\"tokens.input\":5,\"port\":1},"
                   "\"created_at\":\"2026-11-21T10:00:00.500000Z\"}");
    kit_deinit(&k);
}

static void nul_in_keys(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    static const char body[] = "{\"\\u0000\":1,\"a\\u0000b\":{\"\\u0001\":2}}";
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, body), 0);
    assert_string_equal(kit_show(&k, view_source, 0), body);
    kit_deinit(&k);
}

static void full_buffer(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, "{\"message\":\"0123456789\"}"), 0);
    static const kit_view views[] = { view_native, view_source, view_fleet,     view_mals,
                                      view_guide,  view_hook,   view_attributes };
    struct block *b = kit_block(&k);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        struct buf out;
        buf_init(&out, 1);
        assert_int_equal(views[i](&out, b, 0, &k.err), ERR_LIMIT);
        buf_deinit(&out);
    }
    block_close(b);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safe_text),   cmocka_unit_test(spellings),
        cmocka_unit_test(shapes),      cmocka_unit_test(terminal_lines),
        cmocka_unit_test(translated),  cmocka_unit_test(nul_in_keys),
        cmocka_unit_test(full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
