/* The native dialect: names, types, times, levels, places, limits, broken lines. */
#include "ingest_kit.h"

#include "base/mem.h"

#define T "\"timestamp\":\"2026-11-21T10:00:00Z\""
#define AT "2026-11-21T10:00:00Z"

/* body -> members the canonical JSON has, and the source given back */
static void mapping(void **state)
{
    (void)state;
    static const struct {
        const char *body, *native, *source; /* source NULL: as the body */
    } cases[] = {
        { "{}", "{\"level\":\"info\",\"timestamp\":\"2027-01-15T08:00:00.123456789Z\"}", NULL },
        { "{" T ",\"agent\":\"a\",\"message\":\"m\"}",
          "{\"timestamp\":\"" AT "\",\"agent\":\"a\",\"message\":\"m\",\"level\":\"info\"}", NULL },
        /* order in the table decides, not order in the entry */
        { "{\"source_app\":\"s\",\"agent.name\":\"n\"}",
          "{\"agent\":\"n\",\"attributes\":{\"source_app\":\"s\"}}", NULL },
        { "{\"agent\":{\"name\":\"n\",\"v\":1}}",
          "{\"agent\":\"n\",\"attributes\":{\"agent\":{\"v\":1}}}", NULL },
        { "{\"agent.name\":\"x\",\"agent\":{\"name\":\"y\"}}",
          "{\"agent\":\"x\",\"attributes\":{\"agent\":{\"name\":\"y\"}}}", NULL },
        { "{\"gen_ai\":{\"agent\":{\"name\":\"g\"}}}", "{\"agent\":\"g\"}", NULL },
        { "{\"gen_ai.agent\":{\"name\":\"g\"}}", "{\"agent\":\"g\"}", NULL },
        { "{\"service\":{\"name\":\"s\",\"v\":2}}",
          "{\"agent\":\"s\",\"service\":\"s\",\"attributes\":{\"service\":{\"v\":2}}}", NULL },
        { "{\"service.name\":\"s\",\"agent\":\"a\"}", "{\"agent\":\"a\",\"service\":\"s\"}", NULL },
        { "{\"service\":\"s\"}", "{\"service\":\"s\"}", NULL },
        /* only a scalar of the field's type matches */
        { "{\"agent\":null,\"source_app\":\"s\"}",
          "{\"agent\":\"s\",\"attributes\":{\"agent\":null}}", NULL },
        { "{\"agent\":true}", "{\"attributes\":{\"agent\":true}}", NULL },
        { "{\"agent\":[1, 2]}", "{\"attributes\":{\"agent\":[1,2]}}", NULL },
        { "{\"agent\":{}}", "{\"attributes\":{\"agent\":{}}}", NULL },
        { "{\"session_id\":123,\"code\":4.50}", "{\"session_id\":\"123\",\"code\":\"4.50\"}",
          NULL },
        { "{\"duration_ms\":\"5\",\"latency_ms\":7}",
          "{\"duration_ms\":7,\"attributes\":{\"duration_ms\":\"5\"}}", NULL },
        { "{\"duration_ms\":12.5}", "{\"duration_ms\":12.5}", NULL },
        { "{\"metrics\":{\"duration_ms\":3,\"count\":4}}",
          "{\"duration_ms\":3,\"attributes\":{\"metrics\":{\"count\":4}}}", NULL },
        { "{\"tokens\":{\"input\":5,\"output\":6.5}}",
          "{\"tokens.input\":5,\"attributes\":{\"tokens\":{\"output\":6.5}}}", NULL },
        { "{\"gen_ai.usage.input_tokens\":100,\"gen_ai.usage.cache_read.input_tokens\":30}",
          "{\"tokens.input\":70,\"tokens.cache_read\":30}", NULL },
        { "{\"gen_ai.usage.input_tokens\":10,\"gen_ai.usage.cache_read.input_tokens\":30}",
          "{\"tokens.input\":10,\"tokens.cache_read\":30}", NULL },
        /* each source by its own names: Anthropic's, Claude Code's, Codex', OpenAI's two, the
         * conventions old and new, OpenInference, Vercel */
        { "{\"usage\":{\"input_tokens\":100,\"cache_read_input_tokens\":30,"
          "\"cache_creation_input_tokens\":7,\"output_tokens\":5}}",
          "{\"tokens.input\":100,\"tokens.cache_read\":30,\"tokens.cache_write\":7,"
          "\"tokens.output\":5}",
          NULL },
        { "{\"input_tokens\":100,\"cache_read_tokens\":300,\"cache_creation_tokens\":7}",
          "{\"tokens.input\":100,\"tokens.cache_read\":300,\"tokens.cache_write\":7}", NULL },
        { "{\"input_token_count\":100,\"cached_token_count\":30,\"cache_write_token_count\":20,"
          "\"output_token_count\":9,\"reasoning_token_count\":4}",
          "{\"tokens.input\":50,\"tokens.cache_read\":30,\"tokens.cache_write\":20,"
          "\"tokens.output\":9,\"tokens.reasoning\":4}",
          NULL },
        { "{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":9,"
          "\"prompt_tokens_details\":{\"cached_tokens\":30},"
          "\"completion_tokens_details\":{\"reasoning_tokens\":4}}}",
          "{\"tokens.input\":70,\"tokens.cache_read\":30,\"tokens.output\":9,"
          "\"tokens.reasoning\":4}",
          NULL },
        { "{\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":30},"
          "\"output_tokens\":9,\"output_tokens_details\":{\"reasoning_tokens\":4}}}",
          "{\"tokens.input\":70,\"tokens.cache_read\":30,\"tokens.output\":9,"
          "\"tokens.reasoning\":4}",
          NULL },
        { "{\"gen_ai.usage.input_tokens\":100,\"gen_ai.usage.cache_creation.input_tokens\":10,"
          "\"gen_ai.usage.cache_read.input_tokens\":30,"
          "\"gen_ai.usage.reasoning.output_tokens\":4,\"gen_ai.usage.output_tokens\":9}",
          "{\"tokens.input\":60,\"tokens.cache_read\":30,\"tokens.cache_write\":10,"
          "\"tokens.output\":9,\"tokens.reasoning\":4}",
          NULL },
        { "{\"gen_ai.usage.prompt_tokens\":100,\"gen_ai.usage.completion_tokens\":9}",
          "{\"tokens.input\":100,\"tokens.output\":9}", NULL },
        { "{\"llm.token_count.prompt\":100,\"llm.token_count.prompt_details.cache_read\":30,"
          "\"llm.token_count.completion\":9,\"llm.cost.total\":0.5}",
          "{\"tokens.input\":70,\"tokens.cache_read\":30,\"tokens.output\":9,"
          "\"cost_usd\":0.5}",
          NULL },
        { "{\"ai.usage.promptTokens\":100,\"ai.usage.cachedInputTokens\":30,"
          "\"ai.usage.completionTokens\":9,\"ai.usage.reasoningTokens\":4}",
          "{\"tokens.input\":70,\"tokens.cache_read\":30,\"tokens.output\":9,"
          "\"tokens.reasoning\":4}",
          NULL },
        { "{\"input_tokens\":100,\"cache_read_tokens\":30}",
          "{\"tokens.input\":100,\"tokens.cache_read\":30}", NULL },
        { "{\"input\":{\"a\":[1, 2]},\"output\":\"o\"}",
          "{\"input\":{\"a\":[1,2]},\"output\":\"o\"}", NULL },
        { "{\"input\":null,\"output\":5}", "{\"output\":5,\"attributes\":{\"input\":null}}", NULL },
        { "{\"tags\":[\"a\", \"b\"]}", "{\"tags\":[\"a\",\"b\"]}", NULL },
        { "{\"tags\":\"a\"}", "{\"tags\":\"a\"}", NULL },
        { "{\"tags\":{\"a\":1}}", "{\"attributes\":{\"tags\":{\"a\":1}}}", NULL },
        /* ids */
        { "{\"id\":\"4BF92F35-77b3-4da6-a3ce-929d0e0e4736\"}",
          "{\"id\":\"4BF92F35-77b3-4da6-a3ce-929d0e0e4736\"}", NULL },
        { "{\"id\":\"x-1\"}", "{\"attributes\":{\"source_id\":\"x-1\"}}", NULL },
        { "{\"id\":7}", "{\"attributes\":{\"source_id\":7}}", NULL },
        { "{\"id\":7,\"source_id\":8}", "{\"attributes\":{\"id\":7,\"source_id\":8}}", NULL },
        { "{\"context\":{\"source_id\":8},\"id\":7}",
          "{\"attributes\":{\"source_id\":7,\"context\":{\"source_id\":8}}}", NULL },
        { "{\"parent_entry\":\"x\"}", "{\"attributes\":{\"parent_entry\":\"x\"}}", NULL },
        { "{\"kind\":\"span\",\"stream\":\"s\"}", "{\"kind\":\"span\",\"stream\":\"s\"}", NULL },
        { "{\"kind\":\"weird\",\"stream\":\"stderr\"}",
          "{\"attributes\":{\"kind\":\"weird\",\"stream\":\"stderr\"}}", NULL },
        { "{\"kind\":\"log\",\"stream\":\"default\"}", "{\"level\":\"info\"}", NULL },
        /* attributes and containers */
        { "{\"port\":1,\"http\":{\"method\":\"GET\",\"h\":{\"a.b\":2}}}",
          "{\"attributes\":{\"port\":1,\"http\":{\"method\":\"GET\",\"h\":{\"a.b\":2}}}}", NULL },
        { "{\"a.b\":1,\"a\":{\"b\":2}}", "{\"attributes\":{\"a.b\":1,\"a\":{\"b\":2}}}", NULL },
        { "{\"context\":{\"port\":1}}", "{\"attributes\":{\"port\":1}}", NULL },
        { "{\"context\":{\"port\":1},\"port\":2}",
          "{\"attributes\":{\"port\":2,\"context\":{\"port\":1}}}", NULL },
        { "{\"port\":2,\"context\":{\"port\":{\"x\":1},\"y\":1}}",
          "{\"attributes\":{\"port\":2,\"context\":{\"port\":{\"x\":1}},\"y\":1}}", NULL },
        { "{\"context\":{\"a\":1},\"metadata\":{\"a\":2,\"b\":3},\"c\":4}",
          "{\"attributes\":{\"a\":1,\"metadata\":{\"a\":2},\"b\":3,\"c\":4}}", NULL },
        { "{\"context\":{\"context\":{\"z\":1},\"metadata\":2}}",
          "{\"attributes\":{\"context\":{\"context\":{\"z\":1}},\"metadata\":2}}", NULL },
        { "{\"context\":{},\"extra\":{}}", "{\"level\":\"info\"}", NULL },
        { "{\"context\":5,\"extra\":[]}", "{\"attributes\":{\"context\":5,\"extra\":[]}}", NULL },
        { "{\"context\":{\"agent\":\"x\"},\"agent\":\"a\"}",
          "{\"agent\":\"a\",\"attributes\":{\"agent\":\"x\"}}", NULL },
        { "{\"attributes\":{\"session.id\":\"s\",\"agent\":\"x\"}}",
          "{\"session_id\":\"s\",\"attributes\":{\"agent\":\"x\"}}", NULL },
        { "{\"payload\":{\"tool_name\":\"Bash\",\"x\":1}}",
          "{\"tool\":\"Bash\",\"attributes\":{\"x\":1}}", NULL },
        { "{\"\":1,\"x\\ty\":2,\"\\u0001\":3,\"context\":{\"\":4}}",
          "{\"attributes\":{\"\":1,\"x\\ty\":2,\"\\u0001\":3,\"context\":{\"\":4}}}", NULL },
        /* values are kept as they are */
        { "{\"n\":[9223372036854775807,-9223372036854775808,9223372036854775808,1e999,0.1,1.0]}",
          "{\"attributes\":{\"n\":"
          "[9223372036854775807,-9223372036854775808,9223372036854775808,1e999,0.1,1.0]}}",
          NULL },
        { "{\"a\":9223372036854775808,\"b\":3.0000000000000001,\"c\":1.0,\"d\":-0.0}",
          "{\"attributes\":{\"a\":9223372036854775808,\"b\":3.0000000000000001,\"c\":1.0,"
          "\"d\":-0.0}}",
          NULL },
        { "{\"message\":\"\\u0000\\ud83d\\ude00\\n\\\\\"}",
          "{\"message\":\"\\u0000\\ud83d\\ude00\\n\\\\\"}", NULL },
        { "{\"t\":true,\"f\":false,\"n\":null,\"e\":\"\"}",
          "{\"attributes\":{\"t\":true,\"f\":false,\"n\":null,\"e\":\"\"}}", NULL },
        /* the last of a key that comes twice */
        { "{\"a\":1,\"a\":\"x\"}", "{\"attributes\":{\"a\":\"x\"}}", "{\"a\":\"x\"}" },
        { "{\"a\":{\"b\":1},\"c\":2,\"a\":{\"d\":{\"e\":1,\"e\":2}}}",
          "{\"attributes\":{\"a\":{\"d\":{\"e\":2}},\"c\":2}}",
          "{\"a\":{\"d\":{\"e\":2}},\"c\":2}" },
        { "{\"message\":\"x\",\"mess\\u0061ge\":\"y\"}", "{\"message\":\"y\"}",
          "{\"message\":\"y\"}" },
        { "{\"context\":{\"a\":1},\"context\":{\"b\":1}}", "{\"attributes\":{\"b\":1}}",
          "{\"context\":{\"b\":1}}" },
        /* names of ours are only attributes when a client sends them */
        { "{\"seq\":1,\"received_at\":\"x\",\"shape\":\"s\",\"rest\":{\"agent\":1},\"key_id\":3}",
          "{\"attributes\":{\"seq\":1,\"received_at\":\"x\",\"shape\":\"s\",\"rest\":"
          "{\"agent\":1},\"key_id\":3}}",
          NULL },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (kit_decode_z(&k, DIALECT_NATIVE, cases[i].body))
            fail_msg("%s: %s", cases[i].body, k.err.msg);
        expect_members(kit_show(&k, view_native, 0), cases[i].native);
        expect_json(kit_show(&k, view_source, 0),
                    cases[i].source ? cases[i].source : cases[i].body);
    }
    kit_deinit(&k);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *value, *time; /* time NULL: refused */
    } cases[] = {
        { "\"2026-11-21T10:00:00Z\"", "2026-11-21T10:00:00Z" },
        { "\"2026-11-21T12:00:00.5+02:00\"", "2026-11-21T10:00:00.500Z" },
        { "\"2026-11-21T12:00:00.5+0200\"", "2026-11-21T10:00:00.500Z" },
        { "\"2026-11-21T12:00:00+02\"", "2026-11-21T10:00:00Z" },
        { "\"2026-11-21 10:00:00,25\"", "2026-11-21T10:00:00.250Z" },
        { "\"2026-11-21\"", "2026-11-21T00:00:00Z" },
        { "1700000000", "2023-11-14T22:13:20Z" },
        { "1700000000.123456789", "2023-11-14T22:13:20.123456789Z" },
        { "1700000000123", "2023-11-14T22:13:20.123Z" },
        { "1700000000123456", "2023-11-14T22:13:20.123456Z" },
        { "1700000000123456789", "2023-11-14T22:13:20.123456789Z" },
        { "1.7e9", "2023-11-14T22:13:20Z" },
        { "\"1700000000123\"", "2023-11-14T22:13:20.123Z" },
        { "\"1700000000.5\"", "2023-11-14T22:13:20.500Z" },
        { "-1.5", "1969-12-31T23:59:58.500Z" },
        { "0", "1970-01-01T00:00:00Z" },
        { "-9223372036854775808", "1677-09-21T00:12:43.145224192Z" },
        { "9223372036854775807", "2262-04-11T23:47:16.854775807Z" },
        { "9223372036854775808", NULL },
        { "1e400", NULL },
        { "\"yesterday\"", NULL },
        { "\"\"", NULL },
        { "\"2026-02-30T00:00:00Z\"", NULL },
        { "\"2500-01-01T00:00:00Z\"", NULL },
    };
    static const char *const names[] = { "timestamp", "@timestamp", "time", "ts", "event_time" };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t n = 0; n < 5; n++) {
            char body[200], want[200];
            snprintf(body, sizeof body, "{\"%s\":%s}", names[n], cases[i].value);
            int rc = kit_decode_z(&k, DIALECT_NATIVE, body);
            if (!cases[i].time) {
                assert_int_equal(rc, ERR_INVALID);
                expect_error(&k, 0, "not a time");
                assert_true(str_eq(k.res.errors[0].field, str_c(names[n])));
                continue;
            }
            if (rc)
                fail_msg("%s: %s", body, k.err.msg);
            snprintf(want, sizeof want, "{\"timestamp\":\"%s\"}", cases[i].time);
            expect_members(kit_show(&k, view_native, 0), want);
        }
    kit_deinit(&k);
}

static void time_window(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    k.lim.max_backfill_ns = NS_PER_DAY;
    k.lim.max_future_ns = 3600 * NS_PER_S;
    static const struct {
        const char *body, *native;
    } cases[] = {
        { "{\"ts\":1799999999}", "{\"timestamp\":\"2027-01-15T07:59:59Z\"}" },
        { "{\"ts\":1700000000}", "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"attributes\":"
                                 "{\"time_claimed\":1700000000}}" },
        { "{\"ts\":1800009999}", "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"attributes\":"
                                 "{\"time_claimed\":1800009999}}" },
        { "{\"ts\":-9223372036854775808,\"time_claimed\":1}",
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"attributes\":"
          "{\"time_claimed\":1}}" },
        { "{\"ts\":9223372036854775807,\"context\":{\"time_claimed\":1}}",
          "{\"attributes\":{\"time_claimed\":9223372036854775807,\"context\":"
          "{\"time_claimed\":1}}}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, cases[i].body), 0);
        expect_members(kit_show(&k, view_native, 0), cases[i].native);
        expect_json(kit_show(&k, view_source, 0), cases[i].body);
    }
    kit_deinit(&k);
}

static void levels(void **state)
{
    (void)state;
    static const struct {
        const char *body, *native;
    } cases[] = {
        { "{\"level\":\"INFO\"}", "{\"level\":\"info\"}" },
        { "{\"level\":\"Warning\"}", "{\"level\":\"warn\"}" },
        { "{\"severity\":\"FATAL\"}", "{\"level\":\"critical\"}" },
        { "{\"level\":30}", "{\"level\":\"info\"}" },
        { "{\"level\":50}", "{\"level\":\"error\"}" },
        { "{\"severityNumber\":20}", "{\"level\":\"error\"}" },
        { "{\"severityText\":\"WARN2\",\"severityNumber\":14}",
          "{\"level\":\"warn\",\"attributes\":{\"severityNumber\":14}}" },
        { "{\"log\":{\"level\":\"debug\"}}", "{\"level\":\"debug\"}" },
        { "{\"levelname\":\"CRITICAL\"}", "{\"level\":\"critical\"}" },
        { "{\"level\":\"weird\"}",
          "{\"level\":\"info\",\"attributes\":{\"level_raw\":\"weird\"}}" },
        { "{\"level\":999}", "{\"level\":\"info\",\"attributes\":{\"level_raw\":999}}" },
        { "{\"level\":\"x\",\"level_raw\":1}",
          "{\"level\":\"info\",\"attributes\":{\"level_raw\":1}}" },
        { "{\"level\":\"x\",\"context\":{\"level_raw\":1}}",
          "{\"level\":\"info\",\"attributes\":{\"level_raw\":\"x\",\"context\":"
          "{\"level_raw\":1}}}" },
        { "{\"level\":9.0}", "{\"level\":\"info\",\"attributes\":{\"level\":9.0}}" },
        { "{\"level\":null}", "{\"level\":\"info\",\"attributes\":{\"level\":null}}" },
        { "{\"status\":\"error\"}", "{\"level\":\"error\"}" },
        { "{\"event\":\"error\"}", "{\"level\":\"error\"}" },
        { "{\"event\":\"error\",\"level\":\"info\"}", "{\"level\":\"info\"}" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, cases[i].body), 0);
        expect_members(kit_show(&k, view_native, 0), cases[i].native);
        expect_json(kit_show(&k, view_source, 0), cases[i].body);
    }
    kit_deinit(&k);
}

static void bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int rc;
        uint32_t accepted, rejected;
        const char *error; /* part of the first */
    } cases[] = {
        { "", 0, 0, 0, NULL },
        { " \n\r\n\t", 0, 0, 0, NULL },
        { "[]", 0, 0, 0, NULL },
        { "{}", 0, 1, 0, NULL },
        { "{}\n{}\r\n\n{}", 0, 3, 0, NULL },
        { "[{},{}]", 0, 2, 0, NULL },
        { "[{}]\n{}\n[{},{}]", 0, 4, 0, NULL },
        { "{} {}", 0, 2, 0, NULL },
        { "{\n \"a\":\n 1\n}\n{}", 0, 2, 0, NULL },
        { "{}\n{\"a\":\n{}\n{}", 0, 3, 1, "entry 1: invalid JSON" },
        { "{}\n{\"a\":\"x\n{}", 0, 2, 1, "control character in a string at byte 10" },
        { "nonsense\n{}\nmore", 0, 1, 2,
          "entry 0: invalid JSON: a value should stand here at byte 0" },
        { "{}\n5\n\"x\"\n{}", 0, 2, 2, "entry 1: a number is not a JSON object" },
        { "[{},5,null,{}]", 0, 2, 2, "entry 1: a number is not a JSON object" },
        { "{\"a\":\"\\ud800\"}\n{}", 0, 1, 1, "half of a surrogate pair at byte 6" },
        { "{}\n{\"a\":\"\xff\"}\n{}", 0, 2, 1, "not UTF-8 at byte 9" },
        { "{\"ts\":\"x\"}\n{}", 0, 1, 1, "entry 0, field \"ts\": not a time: x" },
        { "{}{}\n{}", 0, 2, 1, "white space" },
        { "nonsense", ERR_INVALID, 0, 1, "a value should stand here" },
        { "{\"a\":1", ERR_INVALID, 0, 1, "ends too early" },
        { "{\"ts\":\"x\"}", ERR_INVALID, 0, 1, "not a time" },
        { "5", ERR_INVALID, 0, 1, "a number is not" },
        { "[{},{\"a\":}]", ERR_INVALID, 0, 1, NULL },
        { "[{}", ERR_INVALID, 0, 1, NULL },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = kit_decode_z(&k, DIALECT_NATIVE, cases[i].body);
        if (rc != cases[i].rc || k.res.accepted != cases[i].accepted ||
            k.res.rejected != cases[i].rejected)
            fail_msg("%s: %d, %u accepted, %u rejected, %s", cases[i].body, rc, k.res.accepted,
                     k.res.rejected, k.err.msg);
        if (cases[i].error)
            expect_error(&k, 0, cases[i].error);
        assert_int_equal(batch_rows(k.b), k.res.accepted);
        assert_int_equal(k.res.entries, k.res.accepted + k.res.rejected);
    }
    k.o.atomic = true;
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, "{}\n{\"ts\":\"x\"}\n{}"), ERR_INVALID);
    assert_int_equal(batch_rows(k.b), 0);
    assert_int_equal(k.res.nerrors, 1);
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, "{}\n{}"), 0);
    kit_deinit(&k);
}

static void many_errors(void **state)
{
    (void)state;
    struct kit k;
    struct buf b;
    kit_init(&k);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 500; i++)
        buf_puts(&b, i % 2 ? "{}\n" : "oops\n");
    assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), 0);
    assert_int_equal(k.res.rejected, 250);
    assert_int_equal(k.res.nerrors, INGEST_ERRORS_MAX);
    assert_int_equal(k.res.errors[99].index, 198);
    buf_deinit(&b);
    kit_deinit(&k);
}

static void limits(void **state)
{
    (void)state;
    struct kit k;
    struct buf b;
    kit_init(&k);
    buf_init(&b, (size_t)1 << 26);
    /* fields */
    for (int over = 0; over < 2; over++) {
        buf_reset(&b);
        for (int i = 0; i < 1024 + over; i++)
            buf_printf(&b, "%s\"k%d\":%d", i ? "," : "{", i, i);
        buf_putc(&b, '}');
        buf_putc(&b, 0);
        assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n - 1), over ? ERR_INVALID : 0);
        if (over)
            expect_error(&k, 0, "more than the limit of 1024 fields");
        else
            expect_json(kit_show(&k, view_source, 0), b.p);
    }
    /* depth: the entry itself is one level */
    for (int array = 0; array < 2; array++)
        for (int over = 0; over < 2; over++) {
            buf_reset(&b);
            int n = 31 + over;
            for (int i = 0; i < n; i++)
                buf_puts(&b, array && i ? "[" : "{\"a\":");
            buf_puts(&b, "1");
            for (int i = n; i-- > 0;)
                buf_putc(&b, array && i ? ']' : '}');
            buf_putc(&b, '\n');
            buf_puts(&b, "{}");
            /* n braces hold n levels; one more value inside would be level n + 1 */
            int deep = kit_decode(&k, DIALECT_NATIVE, b.p, b.n);
            assert_int_equal(deep, 0);
            assert_int_equal(k.res.rejected, 0);
            buf_reset(&b);
            for (int i = 0; i < 32 + over; i++)
                buf_puts(&b, array && i ? "[" : "{\"a\":");
            buf_puts(&b, "1");
            for (int i = 32 + over; i-- > 0;)
                buf_putc(&b, array && i ? ']' : '}');
            buf_puts(&b, "\n{}");
            assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), 0);
            assert_int_equal(k.res.rejected, over);
            if (over)
                expect_error(&k, 0, "deeper than the limit of 32");
        }
    /* key length */
    for (int over = 0; over < 2; over++) {
        buf_reset(&b);
        buf_puts(&b, "{\"");
        buf_fill(&b, 'k', 256 + (size_t)over);
        buf_puts(&b, "\":1}");
        assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), over ? ERR_INVALID : 0);
        if (over)
            expect_error(&k, 0, "a key of 257 bytes is longer than the limit of 256");
    }
    /* agent */
    for (int over = 0; over < 2; over++) {
        buf_reset(&b);
        buf_puts(&b, "{\"agent\":\"");
        buf_fill(&b, 'a', 16384 + (size_t)over);
        buf_puts(&b, "\"}");
        assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), over ? ERR_INVALID : 0);
        if (over)
            expect_error(&k, 0, "agent name of 16385 bytes is longer than the limit of 16384");
    }
    /* entry: its text from brace to brace */
    for (int over = 0; over < 2; over++) {
        buf_reset(&b);
        buf_puts(&b, "{}\n  {\"m\":\"");
        buf_fill(&b, 'x', ((size_t)8 << 20) - 8 + (size_t)over);
        buf_puts(&b, "\"}\n{}");
        assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), 0);
        assert_int_equal(k.res.rejected, over);
        if (over)
            expect_error(&k, 0,
                         "entry 1: an entry of 8388609 bytes is larger than the limit of 8388608");
    }
    buf_deinit(&b);
    kit_deinit(&k);
}

static void large_message(void **state)
{
    (void)state;
    struct kit k;
    struct buf b;
    kit_init(&k);
    buf_init(&b, (size_t)1 << 26);
    buf_puts(&b, "{\"message\":\"");
    for (int i = 0; i < 100000; i++)
        buf_puts(&b, "\\u0000\\ud83d\\ude00\xc3\xa9 x");
    buf_puts(&b, "\"}");
    buf_putc(&b, 0);
    assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n - 1), 0);
    expect_json(kit_show(&k, view_source, 0), b.p);
    buf_deinit(&b);
    kit_deinit(&k);
}

static void agents(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    k.o.default_agent = STR("dflt");
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, "{}\n{\"agent\":\"x\"}"), 0);
    expect_members(kit_show(&k, view_native, 0), "{\"agent\":\"dflt\"}");
    expect_json(kit_show(&k, view_source, 0), "{}");
    expect_members(kit_show(&k, view_native, 1), "{\"agent\":\"x\"}");
    static const struct {
        const char *pattern, *agent;
        bool ok;
    } cases[] = {
        { "svc-*", "svc-db", true }, { "svc-*", "svc-", true },    { "svc-*", "xsvc-db", false },
        { "*", "any", true },        { "a*b*c", "aXXbYYc", true }, { "a*b*c", "aXXbYY", false },
        { "svc", "svc", true },      { "svc", "svc2", false },     { "*db", "svc-db", true },
        { "**x**", "x", true },      { "a*a", "a", false },        { "dflt", "", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[100];
        k.o.agent_pattern = str_c(cases[i].pattern);
        snprintf(body, sizeof body, *cases[i].agent ? "{\"agent\":\"%s\"}" : "{}%s",
                 cases[i].agent);
        assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, body), cases[i].ok ? 0 : ERR_INVALID);
        if (!cases[i].ok)
            expect_error(&k, 0, "may not write as agent");
    }
    k.o.agent_pattern = STR_NULL;
    k.o.key_id = 9;
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, "{\"key_id\":1}"), 0);
    expect_members(kit_show(&k, view_native, 0), "{\"key_id\":9,\"attributes\":{\"key_id\":1}}");
    kit_deinit(&k);
}

/* more paths in a request than a batch has columns: nothing is lost */
static void out_of_columns(void **state)
{
    (void)state;
    struct kit k;
    struct buf b, row;
    kit_init(&k);
    buf_init(&b, (size_t)1 << 26);
    buf_init(&row, 1 << 16);
    uint32_t n = 0, rows = 40;
    for (uint32_t i = 0; i < rows; i++) {
        for (int j = 0; j < 1000; j++, n++)
            buf_printf(&b, "%s\"k%u\":%s", j ? "," : "{", n,
                       j % 5 == 0   ? "{\"a\":1.0,\"b\":[1, 2]}"
                       : j % 5 == 1 ? "\"x\\u0001\""
                       : j % 5 == 2 ? "null"
                                    : "7");
        buf_puts(&b, "}\n");
        k.lim.fields = 4096;
    }
    assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), 0);
    assert_int_equal(k.res.accepted, rows);
    str rest = buf_str(&b), line;
    for (uint32_t i = 0; i < rows && str_split(&rest, '\n', &line); i++) {
        char *want = arena_strz(&k.a, line);
        expect_json(kit_show(&k, view_source, i), want);
    }
    buf_deinit(&b);
    buf_deinit(&row);
    kit_deinit(&k);
}

/* so many keys beside a container that the shape does not list them */
static void long_shape(void **state)
{
    (void)state;
    struct kit k;
    struct buf b;
    kit_init(&k);
    buf_init(&b, 1 << 20);
    static const char *const tails[] = { "\"context\":{\"k1\":5,\"z\":{\"y\":1}},\"metadata\":{}}",
                                         "\"context\":{},\"payload\":{\"tool_name\":\"t\"}}" };
    for (int t = 0; t < 2; t++) {
        buf_reset(&b);
        buf_putc(&b, '{');
        for (int i = 0; i < 400; i++)
            buf_printf(&b, "\"k%d\":%d,", i, i);
        buf_puts(&b, tails[t]);
        buf_putc(&b, 0);
        assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n - 1), 0);
        expect_json(kit_show(&k, view_source, 0), b.p);
        struct block *blk = kit_block(&k);
        struct val v;
        assert_int_equal(block_get_field(blk, 0, F_SHAPE, &v, &k.err), 0);
        assert_true(v.s.n < 2048);
        block_close(blk);
    }
    buf_deinit(&b);
    kit_deinit(&k);
}

/* entries of one logger share one shape */
static void one_shape(void **state)
{
    (void)state;
    struct kit k;
    struct buf b;
    kit_init(&k);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100; i++)
        buf_printf(&b,
                   "{\"ts\":\"2026-11-21T10:00:%02d.%03dZ\",\"level\":\"INFO\",\"msg\":\"m%d\","
                   "\"context\":{\"a\":%d},\"n\":%s}\n",
                   i % 60, i, i, i, i % 2 ? "1" : "1.5");
    assert_int_equal(kit_decode(&k, DIALECT_NATIVE, b.p, b.n), 0);
    struct block *blk = kit_block(&k);
    struct val first, v;
    assert_int_equal(block_get_field(blk, 0, F_SHAPE, &first, &k.err), 0);
    for (uint32_t i = 1; i < 100; i++) {
        assert_int_equal(block_get_field(blk, i, F_SHAPE, &v, &k.err), 0);
        assert_true(str_eq(first.s, v.s));
    }
    block_close(blk);
    buf_deinit(&b);
    kit_deinit(&k);
}

/* two requests into one batch, the second of them bad: the first stays */
static void batch_in_use(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    assert_int_equal(kit_decode_z(&k, DIALECT_NATIVE, ""), 0);
    static const char one[64] = "{\"a\":1}\n{\"a\":2}", two[64] = "[{\"a\":3},";
    assert_int_equal(ingest_decode(DIALECT_NATIVE, str_c(one), &k.o, k.b, &k.a, &k.res, &k.err), 0);
    assert_int_equal(ingest_decode(DIALECT_NATIVE, str_c(two), &k.o, k.b, &k.a, &k.res, &k.err),
                     ERR_INVALID);
    assert_int_equal(batch_rows(k.b), 2);
    assert_int_equal(batch_encode(k.b, &k.payload, &k.err), 0);
    expect_json(kit_show(&k, view_source, 1), "{\"a\":2}");
    kit_deinit(&k);
}

/* the n-th allocation fails, for every n */
static void no_memory(void **state)
{
    (void)state;
    static const char body[] =
        "{\"ts\":1700000000.1234567891,\"agent\":{\"name\":\"n\"},\"context\":{\"a\":1},"
        "\"a\":[1, 2],\"id\":3}\n"
        "{\"a\":1,\"a\":2}\n{\"x\":\"\\n\"}                                ";
    for (uint64_t n = 1; n < 400; n++) {
        struct kit k;
        kit_init(&k);
        assert_int_equal(batch_new(&k.b, &k.a, &k.err), 0);
        mem_fail_at(n, 1);
        int rc = ingest_decode(DIALECT_NATIVE, (str){ body, sizeof body - 33 }, &k.o, k.b, &k.a,
                               &k.res, &k.err);
        mem_fail_at(0, 0);
        if (rc) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(batch_rows(k.b), 0);
        }
        kit_deinit(&k);
        if (!rc)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping),      cmocka_unit_test(times),
        cmocka_unit_test(time_window),  cmocka_unit_test(levels),
        cmocka_unit_test(bodies),       cmocka_unit_test(many_errors),
        cmocka_unit_test(limits),       cmocka_unit_test(large_message),
        cmocka_unit_test(agents),       cmocka_unit_test(out_of_columns),
        cmocka_unit_test(long_shape),   cmocka_unit_test(one_shape),
        cmocka_unit_test(batch_in_use), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
