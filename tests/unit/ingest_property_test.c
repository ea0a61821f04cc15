/* Random entries in, the same JSON values out.
 *
 * Entries are made from the names that matter (aliases, containers, names with separators) and
 * every type of value, so that aliases compete, containers collide and places have to be
 * remembered. The seed is fixed; a failure prints the entry. */
#include "ingest_kit.h"

/* codec/json.h and jansson.h share names of enumerators, so they cannot be included together */
bool json_valid(str text);

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng >> 33) % n;
}

#define PICK(list) list[rnd(sizeof list / sizeof *list)]

/* as JSON source between quotes */
static const char *const any_key[] = {
    "agent",
    "agent_id",
    "source_app",
    "service",
    "service.name",
    "name",
    "message",
    "msg",
    "body",
    "log",
    "summary",
    "content",
    "level",
    "severity",
    "log.level",
    "event",
    "type",
    "event.name",
    "session_id",
    "session.id",
    "session",
    "id",
    "source_id",
    "level_raw",
    "time_error",
    "trace_id",
    "trace",
    "span_id",
    "parent_id",
    "parent_entry",
    "duration_ms",
    "metrics",
    "tokens",
    "tokens.input",
    "input",
    "output",
    "tags",
    "kind",
    "stream",
    "status",
    "context",
    "metadata",
    "attributes",
    "payload",
    "extra",
    "gen_ai",
    "gen_ai.agent.name",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "usage",
    "input_tokens",
    "tool_name",
    "model",
    "cost_usd",
    "port",
    "a",
    "b",
    "a.b",
    "",
    "k\\u0001x",
    "\\u0002",
    "tab\\tkey",
    "line\\nkey",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\\"quoted\\\\",
    "very_long_key_that_goes_past_sixteen_bytes",
    "-agent",
    "@context",
    ".x",
    ":0x",
    "~y",
    "x=y",
    "shape",
    "rest",
    "seq",
    "received_at",
    "key_id",
    "resolved",
};
static const char *const text_value[] = {
    "",
    "x",
    "hello world",
    "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
    "info",
    "WARNING",
    "Error",
    "fatal",
    "log",
    "span",
    "default",
    "stdout",
    "error",
    "weird",
    "\\u0000",
    "\\ud83d\\ude00 ok",
    "a\\nb\\t\\\"c\\\"",
    "1700000000",
    "\\u0001",
    "{}",
};
static const char *const number_value[] = {
    "0",
    "-1",
    "5",
    "9",
    "30",
    "17",
    "1700000000",
    "1700000000.5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "123456789012345678901234567890",
    "0.1",
    "-2.5",
    "3.0000000000000001",
    "1.0",
    "100000",
    "0.30000000000000004",
    "12345.678",
};
static const char *const time_value[] = {
    "\"2026-11-21T10:00:00Z\"",
    "\"2026-11-21T10:00:00.123Z\"",
    "\"2026-11-21 10:00:00,5\"",
    "\"2026-11-21T10:00:00.123456789+02:00\"",
    "\"2026-11-21t10:00:00.000000-11:30\"",
    "\"2026-11-21T10:00:00.125+0200\"",
    "\"2026-11-21 10:00:00-07\"",
    "\"2026-11-21\"",
    "\"2026-11-21T23:59:60Z\"",
    "\"2026-11-21T10:00:00.1234567891234Z\"",
    "\"1677-09-22T00:00:00Z\"",
    "\"2262-04-11T23:47:16.854775807Z\"",
    "1700000000",
    "1700000000.5",
    "1700000000123",
    "1700000000123.25",
    "1700000000123456",
    "1700000000123456789",
    "-5",
    "-5.25",
    "0",
    "0.25",
    "1700000000.1234567891",
    "\"1700000000\"",
    "\"1700000000.50\"",
    "\"1700000000123\"",
};

static bool is_time(const char *key)
{
    static const char *const names[] = { "timestamp", "@timestamp", "time", "ts", "event_time" };
    for (size_t i = 0; i < 5; i++)
        if (!strcmp(key, names[i]))
            return true;
    return false;
}

static void put_object(struct buf *b, int depth, uint32_t max);

static void put_scalar(struct buf *b)
{
    switch (rnd(6)) {
    case 0: buf_puts(b, PICK(number_value)); break;
    case 1: buf_puts(b, rnd(2) ? "true" : "false"); break;
    case 2: buf_puts(b, "null"); break;
    default: buf_printf(b, "\"%s\"", PICK(text_value));
    }
}

static void put_value(struct buf *b, int depth)
{
    uint32_t kind = rnd(10);
    if (kind < 6 || depth > 4) {
        put_scalar(b);
    } else if (kind < 9) {
        put_object(b, depth + 1, 5);
    } else {
        buf_putc(b, '[');
        for (uint32_t i = 0, n = rnd(4); i < n; i++) {
            if (i)
                buf_puts(b, rnd(2) ? ", " : ",");
            put_value(b, depth + 1);
        }
        buf_putc(b, ']');
    }
}

/* members without braces, each key once */
static void put_members(struct buf *b, int depth, uint32_t max, bool first)
{
    const char *used[32];
    uint32_t n = rnd(max + 1), nused = 0;
    for (uint32_t i = 0; i < n; i++) {
        const char *key = depth == 0 && rnd(4) == 0 ? (rnd(2) ? "timestamp" : "ts") : PICK(any_key);
        bool again = false;
        for (uint32_t k = 0; k < nused; k++)
            again = again || !strcmp(used[k], key);
        if (again)
            continue;
        used[nused++] = key;
        buf_printf(b, first ? "\"%s\":" : ", \"%s\" :", key);
        first = false;
        if (depth == 0 && is_time(key))
            buf_puts(b, PICK(time_value));
        else
            put_value(b, depth);
    }
}

static void put_object(struct buf *b, int depth, uint32_t max)
{
    buf_putc(b, '{');
    put_members(b, depth, max, true);
    buf_putc(b, '}');
}

#define ROWS 7

/* several entries a request, so that what is learned from one is used on the next */
static void native(void **state)
{
    (void)state;
    struct kit k;
    struct buf rows[ROWS], body;
    kit_init(&k);
    buf_init(&body, 1 << 20);
    for (int i = 0; i < ROWS; i++)
        buf_init(&rows[i], 1 << 16);
    rng = 42;
    for (int round = 0; round < 4000; round++) {
        uint32_t n = 1 + rnd(ROWS);
        bool repeat = rnd(2);
        buf_reset(&body);
        for (uint32_t i = 0; i < n; i++) {
            buf_reset(&rows[i]);
            if (i && repeat && rnd(3))
                buf_putstr(&rows[i], buf_str(&rows[i - 1]));
            else
                put_object(&rows[i], 0, round % 10 ? 12 : 31);
            buf_putstr(&body, buf_str(&rows[i]));
            buf_putc(&body, '\n');
        }
        if (kit_decode(&k, rnd(4) ? DIALECT_NATIVE : DIALECT_GUIDE, body.p, body.n))
            fail_msg("%s: %s", k.err.msg, body.p);
        if (k.res.accepted != n)
            fail_msg("%.*s: %s", STR_FMT(k.res.errors[0].reason), body.p);
        for (uint32_t i = 0; i < n; i++) {
            buf_putc(&rows[i], 0);
            expect_json(kit_show(&k, view_source, i), rows[i].p);
            json_decref(exact_load(kit_show(&k, view_fleet, i)));
        }
    }
    for (int i = 0; i < ROWS; i++)
        buf_deinit(&rows[i]);
    buf_deinit(&body);
    kit_deinit(&k);
}

/* Entries with the same keys and often the same types, as one logger writes them: each must come
 * out of the request as it does alone, whatever was learned from the ones before. */
static void alike(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "ts",       "timestamp",    "level",        "severity",    "agent",
        "agent_id", "service.name", "message",      "msg",         "event",
        "status",   "id",           "parent_entry", "duration_ms", "tokens.input",
        "input",    "output",       "tags",         "session_id",  "tool",
        "kind",     "port",         "a.b",          "n",           "code",
    };
    static const char *const levels[] = {
        "info", "INFO", "WARN", "error", "Error", "weird", "fatal"
    };
    static const enum dialect dialects[] = { DIALECT_NATIVE, DIALECT_NATIVE, DIALECT_GUIDE,
                                             DIALECT_FLEET };
    struct kit k, one;
    struct buf row, body;
    kit_init(&k);
    kit_init(&one);
    buf_init(&row, 1 << 20);
    buf_init(&body, 1 << 20);
    rng = 99;
    for (int round = 0; round < 1500; round++) {
        enum dialect d = PICK(dialects);
        uint32_t used[8], types[8], n = 2 + rnd(7), rows = 3 + rnd(8);
        for (uint32_t i = 0; i < n; i++) {
            used[i] = rnd(sizeof keys / sizeof *keys);
            types[i] = rnd(8);
            for (uint32_t j = 0; j < i; j++)
                if (used[j] == used[i])
                    n = i;
        }
        bool nest = rnd(3) == 0;
        buf_reset(&body);
        char *lines[12];
        k.o.default_agent = one.o.default_agent = rnd(2) ? STR("dflt") : STR_NULL;
        k.o.key_id = one.o.key_id = rnd(2);
        k.lim.max_backfill_ns = one.lim.max_backfill_ns = rnd(4) ? 0 : 3600 * NS_PER_S;
        struct arena keep;
        arena_init(&keep, 1 << 20);
        buf_puts(&body, d == DIALECT_FLEET ? "[" : "");
        for (uint32_t i = 0; i < rows; i++) {
            buf_reset(&row);
            buf_puts(&row, d == DIALECT_FLEET
                               ? "{\"timestamp\":1700000000.5,\"agent\":\"f\",\"message\":\"m\","
                               : "{");
            if (d == DIALECT_FLEET)
                buf_printf(&row, "\"level\":\"%s\",\"q\":1,\"context\":{", PICK(levels));
            for (uint32_t j = 0; j < n; j++) {
                const char *key = keys[used[j]];
                uint32_t type = rnd(12) ? types[j] : rnd(8);
                buf_printf(&row, "%s\"%s\":", j ? "," : "", key);
                if (is_time(key) && d != DIALECT_FLEET)
                    buf_puts(&row, rnd(10)
                                       ? type % 2 ? "1799999999.5" : "\"2027-01-15T07:59:59.25Z\""
                                       : PICK(time_value));
                else if (!strcmp(key, "level") && type < 6)
                    buf_printf(&row, "\"%s\"", PICK(levels));
                else if (type < 4)
                    buf_printf(&row, "\"%s\"", PICK(text_value));
                else if (type < 6)
                    buf_puts(&row, PICK(number_value));
                else if (type < 7)
                    buf_puts(&row, rnd(2) ? "true" : "null");
                else
                    put_object(&row, 4, 2);
            }
            if (nest)
                buf_printf(&row, ",\"h\":{\"x\":%s},\"extra\":{\"y\":%u}", PICK(number_value),
                           rnd(5));
            buf_puts(&row, d == DIALECT_FLEET ? "}}" : "}");
            lines[i] = arena_strz(&keep, buf_str(&row));
            buf_puts(&body, !i ? "" : d == DIALECT_FLEET ? "," : "\n");
            buf_putstr(&body, buf_str(&row));
        }
        buf_puts(&body, d == DIALECT_FLEET ? "]" : "");
        int rc = kit_decode(&k, d, body.p, body.n);
        if (d == DIALECT_FLEET && rc) { /* one bad level refuses them all */
            arena_deinit(&keep);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(k.res.accepted, rows);
        for (uint32_t i = 0; i < rows; i++) {
            assert_int_equal(kit_decode_z(&one, d, lines[i]), 0);
            if (d != DIALECT_FLEET)
                expect_json(kit_show(&k, view_source, i), lines[i]);
            json_t *a = exact_load(kit_show(&k, view_native, i)),
                   *b = exact_load(kit_show(&one, view_native, 0));
            json_object_del(a, "seq");
            json_object_del(b, "seq");
            json_t *id = json_object_get(a, "id");
            if (id && strncmp(json_string_value(id), "01a3185c", 8) == 0) {
                json_object_del(a, "id");
                json_object_del(b, "id");
            }
            if (!json_equal(a, b))
                fail_msg("row %u of %s\n%s\n%s", i, body.p, json_dumps(a, 0), json_dumps(b, 0));
            json_decref(a);
            json_decref(b);
            char *two = arena_strz(&keep, str_c(kit_show(&k, view_source, i)));
            assert_string_equal(two, kit_show(&one, view_source, 0));
        }
        arena_deinit(&keep);
    }
    buf_deinit(&row);
    buf_deinit(&body);
    kit_deinit(&k);
    kit_deinit(&one);
}

/* canonical JSON is a fixed point: exported and read again it stays the same */
static void native_again(void **state)
{
    (void)state;
    struct kit k, again;
    struct buf row;
    kit_init(&k);
    kit_init(&again);
    buf_init(&row, 1 << 20);
    rng = 7;
    for (int round = 0; round < 1500; round++) {
        buf_reset(&row);
        put_object(&row, 0, 12);
        if (kit_decode(&k, DIALECT_NATIVE, row.p, row.n))
            fail_msg("%s: %s", k.err.msg, row.p);
        char *first = kit_show(&k, view_native, 0);
        assert_int_equal(kit_decode_z(&again, DIALECT_NATIVE, first), 0);
        json_t *f = exact_load(first), *s = exact_load(kit_show(&again, view_native, 0));
        static const char *const own[] = { "id", "seq", "received_at" };
        for (size_t i = 0; i < 3; i++) { /* made by each store */
            json_object_del(f, own[i]);
            json_object_del(s, own[i]);
            json_object_del(json_object_get(s, "attributes"), own[i]);
        }
        if (json_object_get(s, "attributes") && !json_object_size(json_object_get(s, "attributes")))
            json_object_del(s, "attributes");
        const char *key;
        json_t *v;
        json_object_foreach(f, key, v)
        {
            if (!strcmp(key, "attributes"))
                continue; /* names of the conventions become fields the second time */
            if (!json_equal(v, json_object_get(s, key)))
                fail_msg("%s of %s", key, first);
        }
        json_decref(f);
        json_decref(s);
    }
    buf_deinit(&row);
    kit_deinit(&k);
    kit_deinit(&again);
}

static void fleet(void **state)
{
    (void)state;
    static const char *const seconds[] = {
        "0",          "1700000000",        "1700000000.5",
        "-1.25",      "1700000000.123456", "1700000000.123456789",
        "5000000000", "1700000000.0"
    };
    static const char *const levels[] = { "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL" };
    struct kit k;
    struct buf in;
    kit_init(&k);
    buf_init(&in, 1 << 20);
    rng = 3;
    for (int round = 0; round < 2000; round++) {
        buf_reset(&in);
        buf_printf(&in, "{\"timestamp\":%s,\"agent\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"",
                   PICK(seconds), PICK(text_value), PICK(levels), PICK(text_value));
        if (rnd(3)) {
            buf_puts(&in, ",\"context\":");
            put_object(&in, 1, 8);
        }
        if (rnd(2))
            buf_printf(&in, ",\"trace_id\":\"%s\"", PICK(text_value));
        if (rnd(2))
            buf_puts(&in, rnd(2) ? ",\"session_id\":77" : ",\"session_id\":null");
        if (rnd(3) == 0) {
            buf_puts(&in, ",\"port\":");
            put_value(&in, 1);
            buf_puts(&in, ",\"a\":");
            put_value(&in, 1);
        }
        buf_puts(&in, "}");
        buf_putc(&in, 0);
        if (kit_decode(&k, DIALECT_FLEET, in.p, in.n - 1))
            fail_msg("%s: %s", k.err.msg, in.p);
        char *got = kit_show(&k, view_fleet, 0);
        expect_members(got, in.p);
        json_t *j = exact_load(got);
        static const char *const seven[] = { "timestamp", "agent",    "level",     "message",
                                             "context",   "trace_id", "session_id" };
        for (size_t i = 0; i < 7; i++)
            assert_non_null(json_object_get(j, seven[i]));
        json_decref(j);
    }
    buf_deinit(&in);
    kit_deinit(&k);
}

static void mals_and_hooks(void **state)
{
    (void)state;
    struct kit k;
    struct buf in;
    kit_init(&k);
    buf_init(&in, 1 << 20);
    rng = 5;
    for (int round = 0; round < 2000; round++) {
        bool mals = rnd(2);
        buf_reset(&in);
        if (mals)
            buf_puts(&in, "{\"agent_id\":\"a\",\"message\":\"m\",\"level\":\"warn\"");
        else
            buf_puts(&in,
                     "{\"source_app\":\"a\",\"session_id\":\"s\",\"hook_event_type\":\"Stop\"");
        if (!mals || rnd(3)) {
            buf_puts(&in, mals ? ",\"metadata\":" : ",\"payload\":");
            put_object(&in, 1, 8);
        }
        if (rnd(2))
            buf_puts(&in, mals ? ",\"session_key\":\"k\",\"category\":\"c\",\"source\":\"s\""
                               : ",\"timestamp\":1700000000123,\"chat\":[1, {\"a\":null}]");
        if (rnd(3) == 0) {
            buf_puts(&in, ",\"port\":");
            put_value(&in, 1);
            buf_puts(&in, ",\"x.y\":");
            put_value(&in, 1);
        }
        buf_puts(&in, "}");
        buf_putc(&in, 0);
        if (kit_decode(&k, mals ? DIALECT_MALS : DIALECT_EVENTS, in.p, in.n - 1))
            fail_msg("%s: %s", k.err.msg, in.p);
        expect_members(kit_show(&k, mals ? view_mals : view_hook, 0), in.p);
        expect_members(kit_show(&k, view_source, 0), in.p);
    }
    buf_deinit(&in);
    kit_deinit(&k);
}

/* whatever the bytes, no entry is both accepted and unreadable */
static void broken(void **state)
{
    (void)state;
    struct kit k;
    struct buf in;
    kit_init(&k);
    buf_init(&in, 1 << 20);
    rng = 11;
    for (int round = 0; round < 6000; round++) {
        buf_reset(&in);
        for (uint32_t i = 0, n = 1 + rnd(3); i < n; i++) {
            put_object(&in, 0, 8);
            buf_putc(&in, '\n');
        }
        for (uint32_t i = 0, n = rnd(3); i < n; i++)
            in.p[rnd((uint32_t)in.n)] = (char)rnd(256);
        size_t cut = rnd(4) ? in.n : rnd((uint32_t)in.n + 1);
        enum dialect d = (enum dialect)rnd(DIALECT__COUNT);
        if (kit_decode(&k, d, in.p, cut) == 0) {
            assert_int_equal(k.res.accepted + k.res.rejected, k.res.entries);
            assert_int_equal(batch_rows(k.b), k.res.accepted);
            for (uint32_t i = 0; i < k.res.accepted; i++)
                assert_true(json_valid(str_c(kit_show(&k, view_native, i))));
        } else {
            assert_int_equal(batch_rows(k.b), 0);
        }
    }
    buf_deinit(&in);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native), cmocka_unit_test(alike),          cmocka_unit_test(native_again),
        cmocka_unit_test(fleet),  cmocka_unit_test(mals_and_hooks), cmocka_unit_test(broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
