/* Fleet, MALS, guide, hook events and plain text: what is taken, what is refused and in which
 * words. */
#include "ingest_kit.h"

#define F "\"timestamp\":1700000000.5,\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\""

static void fleet_takes(void **state)
{
    (void)state;
    static const struct {
        const char *body, *view;
    } cases[] = {
        { "{" F "}", "{" F ",\"context\":{},\"trace_id\":\"\",\"session_id\":\"\"}" },
        { "{" F ",\"context\":{\"port\":5432},\"trace_id\":\"t\",\"session_id\":\"s\"}",
          "{" F ",\"context\":{\"port\":5432},\"trace_id\":\"t\",\"session_id\":\"s\"}" },
        { "[{" F ",\"context\":{}}]",
          "{" F ",\"context\":{},\"trace_id\":\"\",\"session_id\":\"\"}" },
        { "{\"timestamp\":1,\"agent\":\"\",\"level\":\"warn\",\"message\":\"\"}",
          "{\"timestamp\":1,\"agent\":\"\",\"level\":\"WARN\",\"message\":\"\",\"context\":"
          "{},\"trace_id\":\"\","
          "\"session_id\":\"\"}" },
        { "{" F ",\"context\":null,\"trace_id\":null,\"session_id\":7}",
          "{" F ",\"context\":null,\"trace_id\":null,\"session_id\":7}" },
        { "{" F
          ",\"port\":1,\"event\":\"e\",\"context\":{\"port\":2,\"event\":3,\"context\":{\"a\":4}}}",
          "{" F
          ",\"port\":1,\"event\":\"e\",\"context\":{\"port\":2,\"event\":3,\"context\":{\"a\":4}},"
          "\"trace_id\":\"\",\"session_id\":\"\"}" },
        { "{\"timestamp\":99999999999.25,\"agent\":\"a\",\"level\":\"Critical\",\"message\":\"m\"}",
          NULL },
        { "{\"timestamp\":1700000000.1234567891,\"agent\":\"a\",\"level\":\"DEBUG\","
          "\"message\":\"m\"}",
          "{\"timestamp\":1700000000.1234567891,\"agent\":\"a\",\"level\":\"DEBUG\","
          "\"message\":\"m\","
          "\"context\":{},\"trace_id\":\"\",\"session_id\":\"\"}" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = kit_decode_z(&k, DIALECT_FLEET, cases[i].body);
        if (!cases[i].view) { /* seconds always: past what an instant can hold */
            assert_int_equal(rc, ERR_INVALID);
            continue;
        }
        if (rc)
            fail_msg("%s: %s", cases[i].body, k.err.msg);
        expect_json(kit_show(&k, view_fleet, 0), cases[i].view);
    }
    assert_int_equal(kit_decode_z(&k, DIALECT_FLEET, "[]"), 0);
    assert_int_equal(k.res.entries, 0);
    kit_deinit(&k);
}

static void fleet_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *body, *field, *reason; /* reason NULL: the body itself */
    } cases[] = {
        { "{\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\"}", "timestamp",
          "required field is missing" },
        { "{\"timestamp\":1,\"level\":\"INFO\",\"message\":\"m\"}", "agent", "required" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"message\":\"m\"}", "level", "required" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"level\":\"INFO\"}", "message", "required" },
        { "{\"ts\":1,\"agent\":\"a\",\"level\":\"INFO\",\"msg\":\"m\"}", "timestamp", "required" },
        { "{\"timestamp\":\"1\",\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\"}", "timestamp",
          "must be a number of seconds" },
        { "{\"timestamp\":null,\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\"}", "timestamp",
          "must be" },
        { "{\"timestamp\":{},\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\"}", "timestamp",
          "must be" },
        { "{\"timestamp\":1e300,\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\"}", "timestamp",
          "not a time" },
        { "{\"timestamp\":1,\"agent\":5,\"level\":\"INFO\",\"message\":\"m\"}", "agent",
          "must be a string" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"level\":\"INFO\",\"message\":null}", "message",
          "must be a string" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"level\":3,\"message\":\"m\"}", "level",
          "must be a string" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"level\":\"WARNING\",\"message\":\"m\"}", "level",
          "must be one of DEBUG, INFO, WARN, ERROR, CRITICAL, not \"WARNING\"" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"level\":\"trace\",\"message\":\"m\"}", "level",
          "must be one of" },
        { "{\"timestamp\":1,\"agent\":\"a\",\"level\":\"\",\"message\":\"m\"}", "level",
          "must be one of" },
        { "{" F ",\"context\":[1]}", "context", "must be an object" },
        { "{" F ",\"context\":\"x\"}", "context", "must be an object" },
        { "{" F ",\"trace_id\":{}}", "trace_id", "must be a string" },
        { "{" F ",\"session_id\":true}", "session_id", "must be a string" },
        { "[{" F "},{}]", "timestamp", "entry 1, field \"timestamp\"" },
        { "[{" F "},5]", "", "entry 1: a number is not a JSON object" },
        { "5", "", "a number is not" },
        { "null", "", "null is not" },
        { "", NULL, NULL },
        { "{" F "}{" F "}", NULL, NULL },
        { "{" F "}\n{" F "}", NULL, NULL },
        { "{" F, NULL, NULL },
        { "[{" F "}", NULL, NULL },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (kit_decode_z(&k, DIALECT_FLEET, cases[i].body) != ERR_INVALID)
            fail_msg("taken: %s", cases[i].body);
        assert_int_equal(batch_rows(k.b), 0);
        assert_int_equal(k.res.accepted, 0);
        assert_true(k.err.msg[0]);
        if (!cases[i].reason)
            continue;
        expect_error(&k, 0, cases[i].reason);
        assert_true(str_eq(k.res.errors[0].field, str_c(cases[i].field)));
    }
    kit_deinit(&k);
}

#define M "\"agent_id\":\"a\",\"message\":\"m\""
#define UUID "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"

static void mals_takes(void **state)
{
    (void)state;
    static const struct {
        const char *body, *members;
    } cases[] = {
        { "{" M "}",
          "{" M ",\"level\":\"info\",\"source\":\"api\",\"category\":null,\"session_key\":null,"
          "\"metadata\":null,\"trace_id\":null,\"parent_id\":null,\"resolved\":false,"
          "\"resolved_at\":null,\"resolved_by\":null,"
          "\"created_at\":\"2027-01-15T08:00:00.123456Z\"}" },
        { "{" M ",\"level\":\"critical\",\"category\":\"c\",\"session_key\":\"s\",\"source\":\"x\","
          "\"metadata\":{\"a\":{\"b\":[1]}},\"trace_id\":\"" UUID "\",\"parent_id\":\"" UUID "\"}",
          "{" M ",\"level\":\"critical\",\"category\":\"c\",\"session_key\":\"s\",\"source\":\"x\","
          "\"metadata\":{\"a\":{\"b\":[1]}},\"trace_id\":\"" UUID "\",\"parent_id\":\"" UUID
          "\"}" },
        { "{" M ",\"category\":null,\"session_key\":null,\"metadata\":null,\"trace_id\":null,"
          "\"parent_id\":null}",
          "{\"category\":null,\"metadata\":null,\"trace_id\":null}" },
        { "{" M ",\"metadata\":{}}", "{\"metadata\":{}}" },
        { "{" M ",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}",
          "{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}" },
        { "{" M ",\"foo\":1,\"timestamp\":5,\"metadata\":{\"foo\":2,\"timestamp\":6}}",
          "{\"foo\":1,\"timestamp\":5,\"metadata\":{\"foo\":2,\"timestamp\":6}}" },
        { "{" M ",\"id\":\"mine\",\"resolved\":true}", "{\"resolved\":false}" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (kit_decode_z(&k, DIALECT_MALS, cases[i].body))
            fail_msg("%s: %s", cases[i].body, k.err.msg);
        expect_members(kit_show(&k, view_mals, 0), cases[i].members);
    }
    assert_int_equal(kit_decode_z(&k, DIALECT_MALS_BATCH, "[{" M "},{" M ",\"level\":\"warn\"}]"),
                     0);
    expect_members(kit_show(&k, view_mals, 1), "{\"level\":\"warn\"}");
    assert_int_equal(kit_decode_z(&k, DIALECT_MALS_BATCH, "[]"), 0);
    kit_deinit(&k);
}

static void mals_refuses(void **state)
{
    (void)state;
    static const struct {
        enum dialect d;
        const char *body, *field, *type, *reason, *input;
        uint32_t index, n;
    } cases[] = {
        { DIALECT_MALS, "{\"message\":\"m\"}", "agent_id", "missing", "Field required",
          "{\"message\":\"m\"}", 0, 1 },
        { DIALECT_MALS, "{}", "agent_id", "missing", "Field required", "{}", 0, 2 },
        { DIALECT_MALS, "{\"agent_id\":7,\"message\":\"m\"}", "agent_id", "string_type",
          "Input should be a valid string", "7", 0, 1 },
        { DIALECT_MALS, "{\"agent_id\":null,\"message\":\"m\"}", "agent_id", "string_type",
          "Input should be a valid string", "null", 0, 1 },
        { DIALECT_MALS, "{\"agent_id\":{\"a\": 1},\"message\":\"m\"}", "agent_id", "string_type",
          "Input should be a valid string", "{\"a\": 1}", 0, 1 },
        { DIALECT_MALS, "{" M ",\"level\":\"warning\"}", "level", "enum",
          "Input should be 'debug', 'info', 'warn', 'error' or 'critical'", "\"warning\"", 0, 1 },
        { DIALECT_MALS, "{" M ",\"level\":\"trace\"}", "level", "enum", "Input should be",
          "\"trace\"", 0, 1 },
        { DIALECT_MALS, "{" M ",\"level\":null}", "level", "enum", "Input should be", "null", 0,
          1 },
        { DIALECT_MALS, "{" M ",\"source\":null}", "source", "string_type", "Input should be",
          "null", 0, 1 },
        { DIALECT_MALS, "{" M ",\"category\":1}", "category", "string_type", "Input should be", "1",
          0, 1 },
        { DIALECT_MALS, "{" M ",\"metadata\":[1]}", "metadata", "dict_type",
          "Input should be a valid dictionary", "[1]", 0, 1 },
        { DIALECT_MALS, "{" M ",\"metadata\":\"x\"}", "metadata", "dict_type", "Input should be",
          "\"x\"", 0, 1 },
        { DIALECT_MALS, "{" M ",\"trace_id\":\"zz\"}", "trace_id", "uuid_parsing",
          "Input should be a valid UUID", "\"zz\"", 0, 1 },
        { DIALECT_MALS, "{" M ",\"parent_id\":5}", "parent_id", "uuid_type", "UUID input should be",
          "5", 0, 1 },
        { DIALECT_MALS, "[]", "", "model_attributes_type",
          "Input should be a valid dictionary or object", "[]", 0, 1 },
        { DIALECT_MALS_BATCH, "{}", "", "list_type", "Input should be a valid list", "{}", 0, 1 },
        { DIALECT_MALS_BATCH, "[{" M "},{" M ",\"level\":\"x\"},3]", "level", "enum",
          "Input should be", "\"x\"", 1, 2 },
        { DIALECT_MALS, "{" M, "", "json_invalid", "JSON decode error", "", 0, 1 },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (kit_decode_z(&k, cases[i].d, cases[i].body) != ERR_INVALID)
            fail_msg("taken: %s", cases[i].body);
        assert_int_equal(batch_rows(k.b), 0);
        assert_int_equal(k.res.nerrors, cases[i].n);
        const struct ingest_error *e = &k.res.errors[0];
        expect_error(&k, 0, cases[i].reason);
        assert_true(str_eq(e->field, str_c(cases[i].field)));
        assert_true(str_eq(e->type, str_c(cases[i].type)));
        assert_true(str_eq(e->input, str_c(cases[i].input)));
        assert_int_equal(e->index, cases[i].index);
    }
    /* 64 characters, not bytes */
    char body[400] = "{\"message\":\"m\",\"agent_id\":\"";
    for (int i = 0; i < 64; i++)
        strcat(body, "\xc3\xa9");
    size_t n = strlen(body);
    strcpy(body + n, "\"}");
    assert_int_equal(kit_decode_z(&k, DIALECT_MALS, body), 0);
    strcpy(body + n, "x\"}");
    assert_int_equal(kit_decode_z(&k, DIALECT_MALS, body), ERR_INVALID);
    assert_true(str_eq(k.res.errors[0].type, STR("string_too_long")));
    kit_deinit(&k);
}

static void guide(void **state)
{
    (void)state;
    static const struct {
        const char *body, *view, *native;
    } cases[] = {
        { "{\"timestamp\":\"2025-12-24T14:37:52Z\",\"agent\":\"PlannerAgent\",\"event\":"
          "\"user_message\","
          "\"content\":\"Hi\"}",
          "{\"timestamp\":\"2025-12-24T14:37:52Z\",\"agent\":\"PlannerAgent\",\"event\":"
          "\"user_message\","
          "\"content\":\"Hi\"}",
          "{\"message\":\"Hi\",\"level\":\"info\"}" },
        { "{\"agent\":\"A\",\"event\":\"tool_invocation\",\"tool\":\"Cal\",\"input\":"
          "{\"date\":\"x\"},\"role\":\"r\"}",
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"agent\":\"A\",\"event\":"
          "\"tool_invocation\","
          "\"tool\":\"Cal\",\"input\":{\"date\":\"x\"},\"role\":\"r\"}",
          "{\"tool\":\"Cal\",\"input\":{\"date\":\"x\"},\"attributes\":{\"role\":\"r\"}}" },
        { "{}",
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"agent\":\"unknown\","
          "\"event\":\"info\"}",
          "{\"agent\":\"unknown\",\"level\":\"info\"}" },
        { "{\"event\":\"error\",\"content\":5}",
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"agent\":\"unknown\","
          "\"event\":\"error\","
          "\"content\":5}",
          "{\"level\":\"error\",\"message\":\"5\"}" },
        { "{\"timestamp\":\"soon\",\"agent\":5,\"event\":null,\"content\":{\"a\":1}}",
          "{\"timestamp\":\"soon\",\"agent\":5,\"event\":null,\"content\":{\"a\":1}}",
          "{\"agent\":\"5\",\"timestamp\":\"2027-01-15T08:00:00.123456789Z\","
          "\"attributes\":{\"time_error\":\"soon\",\"event\":null,\"content\":{\"a\":1}}}" },
        { "{\"message\":\"m\",\"level\":\"WARN\",\"context\":{\"a\":1}}",
          "{\"timestamp\":\"2027-01-15T08:00:00.123456789Z\",\"agent\":\"unknown\","
          "\"event\":\"warn\","
          "\"content\":\"m\",\"message\":\"m\",\"level\":\"WARN\",\"context\":{\"a\":1}}",
          "{\"level\":\"warn\",\"attributes\":{\"context\":{\"a\":1}}}" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(kit_decode_z(&k, DIALECT_GUIDE, cases[i].body), 0);
        char *view = kit_show(&k, view_guide, 0);
        if (strstr(cases[i].view, "\"message\""))
            expect_members(view, cases[i].view);
        else
            expect_json(view, cases[i].view);
        expect_members(kit_show(&k, view_native, 0), cases[i].native);
        expect_json(kit_show(&k, view_source, 0), cases[i].body);
    }
    assert_int_equal(kit_decode_z(&k, DIALECT_GUIDE, "[1]"), ERR_INVALID);
    assert_int_equal(kit_decode_z(&k, DIALECT_GUIDE, "{\"a\""), ERR_INVALID);
    kit_deinit(&k);
}

#define E "\"source_app\":\"app\",\"session_id\":\"s\",\"hook_event_type\":\"Stop\""

static void events(void **state)
{
    (void)state;
    static const struct {
        const char *body, *view; /* view NULL: refused */
    } cases[] = {
        { "{" E ",\"payload\":{}}",
          "{\"id\":100," E ",\"payload\":{},\"timestamp\":1800000000123}" },
        { "{" E ",\"payload\":{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"ls\"},"
          "\"timestamp\":1},"
          "\"timestamp\":1700000000123,\"chat\":[{\"a\": 1}],\"summary\":\"x\","
          "\"model_name\":\"m\",\"foo\":null}",
          "{\"id\":100," E
          ",\"payload\":{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"ls\"},"
          "\"timestamp\":1},"
          "\"timestamp\":1700000000123,\"chat\":[{\"a\":1}],\"summary\":\"x\","
          "\"model_name\":\"m\",\"foo\":null}" },
        { "{" E ",\"payload\":{},\"timestamp\":0}",
          "{\"id\":100," E ",\"payload\":{},\"timestamp\":1800000000123}" },
        { "{" E ",\"payload\":{},\"timestamp\":null}",
          "{\"id\":100," E ",\"payload\":{},\"timestamp\":1800000000123}" },
        { "{" E ",\"payload\":{},\"timestamp\":1500}",
          "{\"id\":100," E ",\"payload\":{},\"timestamp\":1500}" },
        { "{" E ",\"payload\":{},\"timestamp\":\"?\"}",
          "{\"id\":100," E ",\"payload\":{},\"timestamp\":\"?\"}" },
        { "{" E ",\"payload\":[1],\"id\":5}",
          "{\"id\":100," E ",\"payload\":[1],\"timestamp\":1800000000123}" },
        { "{" E ",\"payload\":\"x\"}",
          "{\"id\":100," E ",\"payload\":\"x\",\"timestamp\":1800000000123}" },
        { "{" E "}", NULL },
        { "{" E ",\"payload\":null}", NULL },
        { "{" E ",\"payload\":\"\"}", NULL },
        { "{" E ",\"payload\":0}", NULL },
        { "{\"session_id\":\"s\",\"hook_event_type\":\"Stop\",\"payload\":{}}", NULL },
        { "{\"source_app\":\"\",\"session_id\":\"s\",\"hook_event_type\":\"Stop\",\"payload\":{}}",
          NULL },
        { "{\"source_app\":\"a\",\"session_id\":null,\"hook_event_type\":\"Stop\",\"payload\":{}}",
          NULL },
        { "{\"source_app\":\"a\",\"session_id\":\"s\",\"hook_event_type\":false,\"payload\":{}}",
          NULL },
        { "{}", NULL },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = kit_decode_z(&k, DIALECT_EVENTS, cases[i].body);
        if (!cases[i].view) {
            assert_int_equal(rc, ERR_INVALID);
            assert_string_equal(k.err.msg, "Missing required fields");
            continue;
        }
        if (rc)
            fail_msg("%s: %s", cases[i].body, k.err.msg);
        expect_json(kit_show(&k, view_hook, 0), cases[i].view);
    }
    assert_int_equal(kit_decode_z(&k, DIALECT_EVENTS, cases[1].body), 0);
    expect_members(kit_show(&k, view_native, 0),
                   "{\"agent\":\"app\",\"event\":\"Stop\",\"session_id\":\"s\",\"tool\":\"Bash\","
                   "\"model\":\"m\","
                   "\"message\":\"x\",\"timestamp\":\"2023-11-14T22:13:20.123Z\"}");
    assert_int_equal(kit_decode_z(&k, DIALECT_EVENTS, "{"), ERR_INVALID);
    assert_int_equal(
        kit_decode_z(
            &k, DIALECT_EVENTS,
            "{\"source_app\":{},\"session_id\":\"s\",\"hook_event_type\":\"S\",\"payload\":{}}"),
        ERR_INVALID);
    kit_deinit(&k);
}

static void text(void **state)
{
    (void)state;
    static const struct {
        const char *line, *time, *level; /* time NULL: receive time */
    } cases[] = {
        { "2026-01-02T03:04:05Z ERROR boom", "2026-01-02T03:04:05Z", "error" },
        { "2026-01-02T03:04:05.123456+02:00 info: x", "2026-01-02T01:04:05.123456Z", "info" },
        { "2026-01-02 03:04:05,678 WARNING x", "2026-01-02T03:04:05.678Z", "warn" },
        { "2026-01-02 03:04:05.678 [main] DEBUG x", "2026-01-02T03:04:05.678Z", "debug" },
        { "2026-01-02 03:04:05 | CRITICAL | x", "2026-01-02T03:04:05Z", "critical" },
        { "2026/01/02 03:04:05 x", "2026-01-02T03:04:05Z", "info" },
        { "[2026-01-02 03:04:05 +0200] [warn] x", "2026-01-02T01:04:05Z", "warn" },
        { "2015-07-29 17:41:44,747 - INFO  [q] x", "2015-07-29T17:41:44.747Z", "info" },
        { "2017-05-16 00:00:00.008 25746 ERROR nova", "2017-05-16T00:00:00.008Z", "error" },
        { "2026-01-02 03:04:05 FATAL", "2026-01-02T03:04:05Z", "critical" },
        { "2026-01-02T03:04:05.1234567891234Z x", "2026-01-02T03:04:05.123456789Z", "info" },
        { "2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "info" },
        { "2026-13-02 03:04:05 ERROR x", NULL, "info" },
        { "2026-01-02 03:04:05x ERROR", NULL, "info" },
        { "2026-01-02 03:04 ERROR", NULL, "info" },
        { "[ERROR] x", NULL, "error" },
        { "  [warn] x", NULL, "warn" },
        { "WARN: x", NULL, "warn" },
        { "ERROR x", NULL, "error" },
        { "error x", NULL, "info" },
        { "an ERROR x", NULL, "info" },
        { "ts=1 level=error msg=\"x\"", NULL, "error" },
        { "ts=1 mylevel=error", NULL, "info" },
        { "lvl=\"warn\" x", NULL, "warn" },
        { "x", NULL, "info" },
        { "{\"level\":\"error\"}", NULL, "info" },
        { "\t", NULL, "info" },
        { "[", NULL, "info" },
        { "2", NULL, "info" },
    };
    struct kit k;
    kit_init(&k);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200], want[300];
        snprintf(body, sizeof body, "%s\r\n", cases[i].line);
        assert_int_equal(kit_decode_z(&k, DIALECT_TEXT, body), 0);
        assert_int_equal(k.res.accepted, 1);
        snprintf(want, sizeof want, "{\"timestamp\":\"%s\",\"level\":\"%s\"}",
                 cases[i].time ? cases[i].time : "2027-01-15T08:00:00.123456789Z", cases[i].level);
        char *got = kit_show(&k, view_native, 0);
        expect_members(got, want);
        json_t *j = json_loads(got, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(j, "message")), cases[i].line);
        json_decref(j);
    }
    k.o.default_agent = STR("file");
    k.o.key_id = 4;
    assert_int_equal(kit_decode_z(&k, DIALECT_TEXT, "\n\na\n\nb \n"), 0);
    assert_int_equal(k.res.accepted, 2);
    expect_members(kit_show(&k, view_native, 1),
                   "{\"message\":\"b \",\"agent\":\"file\",\"key_id\":4}");
    expect_json(kit_show(&k, view_source, 1), "{\"message\":\"b \"}");
    assert_int_equal(kit_decode_z(&k, DIALECT_TEXT, "ok\n\xff\xc3\xa9\xed\xa0\x80 x\n"), 0);
    expect_members(kit_show(&k, view_native, 1),
                   "{\"attributes\":{\"message_hex\":\"ffc3a9eda0802078\"}}");
    k.lim.entry_bytes = 10;
    assert_int_equal(kit_decode_z(&k, DIALECT_TEXT, "short\n12345678901\n1234567890"), 0);
    assert_int_equal(k.res.accepted, 2);
    expect_error(&k, 0, "entry 1: the line is longer");
    k.o.atomic = true;
    assert_int_equal(kit_decode_z(&k, DIALECT_TEXT, "short\n12345678901"), ERR_INVALID);
    assert_int_equal(batch_rows(k.b), 0);
    k.o.agent_pattern = STR("other");
    assert_int_equal(kit_decode_z(&k, DIALECT_TEXT, "x"), ERR_INVALID);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fleet_takes), cmocka_unit_test(fleet_refuses),
        cmocka_unit_test(mals_takes),  cmocka_unit_test(mals_refuses),
        cmocka_unit_test(guide),       cmocka_unit_test(events),
        cmocka_unit_test(text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
