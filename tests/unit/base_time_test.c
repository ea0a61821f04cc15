/* base_time_test.c: every spelling of a time that may come in, and the way out; log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/time.h"

#define T0 1795255200ll /* 2026-11-21T10:00:00Z */

static void iso_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t secs, nanos;
    } good[] = {
        { "2026-11-21T10:00:00Z", T0, 0 },
        { "2026-11-21T10:00:00.123Z", T0, 123000000 },
        { "2026-11-21t10:00:00z", T0, 0 },
        { "2026-11-21 10:00:00Z", T0, 0 },
        { "2026-11-21T10:00:00.1Z", T0, 100000000 },
        { "2026-11-21T10:00:00.123456789Z", T0, 123456789 },
        { "2026-11-21T10:00:00.1234567899999Z", T0, 123456789 }, /* cut, not rounded */
        { "2026-11-21T12:00:00+02:00", T0, 0 },
        { "2026-11-21T04:30:00.5-05:30", T0, 500000000 },
        { "2026-11-21T12:00:00+0200", T0, 0 }, /* ISO 8601, basic form; Python's %z */
        { "2026-11-21T04:30:00.5-0530", T0, 500000000 },
        { "2026-11-21T12:00:00+02", T0, 0 },
        { "2026-11-21 00:00:00.25-10", T0, 250000000 },
        { "2026-11-21T10:00:00-00:00", T0, 0 },
        { "2026-11-22T09:59:00+23:59", T0, 0 },
        { "2026-11-21 10:00:00", T0, 0 },
        { "2026-11-21 10:00:00.25", T0, 250000000 },
        { "2026-11-21 10:00:00,250", T0, 250000000 },
        { "2026-11-21T10:00:00.25", T0, 250000000 },
        { "2026-11-21", T0 - 36000, 0 },
        { "2026-11-21T09:59:60Z", T0, 0 }, /* a leap second is the next minute */
        { "2026-12-31T23:59:60.5Z", 1798761600, 500000000 },
        { "1970-01-01T00:00:00Z", 0, 0 },
        { "1969-12-31T23:59:59.999Z", -1, 999000000 },
        { "2000-02-29T00:00:00Z", 951782400, 0 },
        { "2024-02-29T00:00:00Z", 1709164800, 0 },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ts_ns t = 0;
        assert_true(ts_parse_iso(str_c(good[i].text), &t));
        assert_true(t == good[i].secs * NS_PER_S + good[i].nanos);
        t = 0;
        assert_true(ts_parse_any(str_c(good[i].text), &t));
        assert_true(t == good[i].secs * NS_PER_S + good[i].nanos);
    }
}

static void iso_refused(void **state)
{
    (void)state;
    static const char *bad[] = {
        "",
        "2026",
        "2026-11",
        "2026-1-21",
        "2026-11-21T",
        "2026-11-21T10:00",
        "2026-11-21T10:00Z",
        "2026-00-21",
        "2026-13-01",
        "2026-11-00",
        "2026-11-31",
        "2025-02-29",
        "1900-02-29",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z",
        "2026-11-21T10:00:61Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00.",
        "2026-11-21T10:00:00,5Z",
        "2026-11-21T10:00:00+2:00",
        "2026-11-21T10:00:00+2",
        "2026-11-21T10:00:00+020",
        "2026-11-21T10:00:00+02:",
        "2026-11-21T10:00:00+02:0",
        "2026-11-21T10:00:00+02000",
        "2026-11-21T10:00:00+02:00:00",
        "2026-11-21T10:00:00+24",
        "2026-11-21T10:00:00+0260",
        "2026-11-21T10:00:00,5+0200",
        "2026-11-21+0200",
        "2026-11-21T10:00:00+24:00",
        "2026-11-21T10:00:00+02:60",
        "2026-11-21T10:00:00ZZ",
        "2026-11-21T10:00:00 Z",
        "2026-11-21_10:00:00Z",
        "2026/11/21",
        " 2026-11-21",
        "2026-11-21 ",
        "+026-11-21",
        "2026-11-21T10:00:00.12aZ",
        "2026-11-21T1O:00:00Z",
        "-2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00.123456+",
        "2026-11-21T10.00.00Z",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ts_ns t;
        assert_false(ts_parse_iso(str_c(bad[i]), &t));
    }
}

static void limits(void **state)
{
    (void)state;
    ts_ns t;
    assert_true(ts_parse_iso(STR("2262-04-11T23:47:16.854775807Z"), &t) && t == TS_MAX);
    assert_false(ts_parse_iso(STR("2262-04-11T23:47:16.854775808Z"), &t));
    assert_true(ts_parse_iso(STR("1677-09-21T00:12:43.145224192Z"), &t) && t == TS_MIN);
    assert_false(ts_parse_iso(STR("1677-09-21T00:12:43.145224191Z"), &t));
    assert_false(ts_parse_iso(STR("0000-01-01"), &t));
    assert_false(ts_parse_iso(STR("9999-12-31T23:59:59Z"), &t));
    assert_true(ts_parse_iso(STR("2262-04-12T01:47:16.854775807+02:00"), &t) && t == TS_MAX);
    char out[TS_TEXT_MAX];
    assert_int_equal(ts_format(TS_MAX, -1, out), 30);
    assert_string_equal(out, "2262-04-11T23:47:16.854775807Z");
    ts_format(TS_MIN, -1, out);
    assert_string_equal(out, "1677-09-21T00:12:43.145224192Z");
}

static void epoch(void **state)
{
    (void)state;
    ts_ns t;
    assert_true(ts_from_epoch_i64(T0, &t) && t == T0 * NS_PER_S);
    assert_true(ts_from_epoch_i64(T0 * 1000 + 5, &t) && t == T0 * NS_PER_S + 5 * NS_PER_MS);
    assert_true(ts_from_epoch_i64(T0 * 1000000 + 5, &t) && t == T0 * NS_PER_S + 5 * NS_PER_US);
    assert_true(ts_from_epoch_i64(T0 * NS_PER_S + 5, &t) && t == T0 * NS_PER_S + 5);
    assert_true(ts_from_epoch_i64(-5, &t) && t == -5 * NS_PER_S);
    assert_true(ts_from_epoch_i64(100000000000, &t) && t == 100000000 * NS_PER_S); /* 1e11: ms */
    assert_false(ts_from_epoch_i64(99999999999, &t)); /* seconds, beyond 2262 */
    assert_true(ts_from_epoch_i64(INT64_MIN, &t) && t == INT64_MIN);
    assert_true(ts_from_epoch_f64(1795255200.123456, &t) && t == T0 * NS_PER_S + 123456000);
    assert_true(ts_from_epoch_f64(1795255200123.456, &t) && t == T0 * NS_PER_S + 123456000);
    assert_true(ts_from_epoch_f64(-0.5, &t) && t == -500000000);
    assert_true(ts_from_epoch_f64(0.000000001, &t) && t == 1);
    assert_false(ts_from_epoch_f64(NAN, &t));
    assert_false(ts_from_epoch_f64(INFINITY, &t));
    assert_false(ts_from_epoch_f64(1e300, &t));
    assert_false(ts_from_epoch_f64(9223372036854775808.0, &t));
    assert_true(ts_from_seconds_f64(1795255200.5, &t) && t == T0 * NS_PER_S + 500000000);
    assert_false(ts_from_seconds_f64(1e12, &t)); /* always seconds */
}

static void numeric_text(void **state)
{
    (void)state;
    ts_ns t;
    assert_true(ts_from_seconds_text(STR("1700000000.123456789"), &t));
    assert_true(t == 1700000000123456789);
    assert_true(ts_from_seconds_text(STR("1700000000.1234567899"), &t));
    assert_true(t == 1700000000123456789);
    assert_true(ts_from_seconds_text(STR("-1.5"), &t) && t == -1500000000);
    assert_true(ts_from_seconds_text(STR("1.7e9"), &t) && t == 1700000000 * NS_PER_S);
    assert_true(ts_from_seconds_text(STR("-9223372036.854775808"), &t) && t == TS_MIN);
    assert_false(ts_from_seconds_text(STR("9223372036.854775808"), &t));
    assert_false(ts_from_seconds_text(STR("99999999999999999999999"), &t));
    static const char *bad[] = { "", "-", ".", "1.", ".5", "1 ", "0x1", "1e", "now", "1.2.3" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(ts_from_seconds_text(str_c(bad[i]), &t));
        assert_false(ts_parse_any(str_c(bad[i]), &t));
    }
    assert_true(ts_parse_any(STR("1795255200123.456789"), &t));
    assert_true(t == T0 * NS_PER_S + 123456789);
    assert_true(ts_parse_any(STR("1795255200"), &t) && t == T0 * NS_PER_S);
    assert_true(ts_parse_any(STR("+1795255200"), &t) && t == T0 * NS_PER_S);
    assert_true(ts_parse_any(STR("1795255200000000007"), &t) && t == T0 * NS_PER_S + 7);
}

static void formats(void **state)
{
    (void)state;
    char out[TS_TEXT_MAX];
    static const struct {
        int64_t nanos;
        int digits;
        const char *want;
    } cases[] = {
        { 0, -1, "10:00:00Z" },
        { 120000000, -1, "10:00:00.120Z" },
        { 120000, -1, "10:00:00.000120Z" },
        { 1, -1, "10:00:00.000000001Z" },
        { 999999999, 0, "10:00:00Z" },
        { 999999999, 3, "10:00:00.999Z" },
        { 0, 6, "10:00:00.000000Z" },
        { 0, 9, "10:00:00.000000000Z" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = ts_format(T0 * NS_PER_S + cases[i].nanos, cases[i].digits, out);
        assert_int_equal(n, strlen(out));
        assert_string_equal(out + 11, cases[i].want);
    }
    char day[11];
    ts_format_day(-1, day);
    assert_string_equal(day, "1969-12-31");
    ts_ns t;
    assert_true(ts_parse_day(STR("1969-12-31"), &t) && t == -NS_PER_DAY);
    assert_false(ts_parse_day(STR("1969-12-31T"), &t));
    assert_int_equal(floor_div(-1, 10), -1);
    assert_int_equal(floor_div(-10, 10), -1);
    assert_int_equal(floor_div(9, 10), 0);
}

static void round_trip(void **state)
{
    (void)state;
    uint64_t x = 1;
    char out[TS_TEXT_MAX];
    for (int i = 0; i < 100000; i++) {
        ts_ns t = (ts_ns)(x = hash_mix(x + 1)), back;
        size_t n = ts_format(t, 9, out);
        assert_true(ts_parse_iso(str_n(out, n), &back) && back == t);
        n = ts_format(t, -1, out);
        assert_true(ts_parse_iso(str_n(out, n), &back) && back == t);
    }
    for (int64_t day = -106751; day <= 106750; day++) { /* the whole calendar, in order */
        char text[11], next[11];
        ts_ns back;
        ts_format_day(day * NS_PER_DAY, text);
        assert_true(ts_parse_day(str_n(text, 10), &back) && back == day * NS_PER_DAY);
        ts_format_day((day + 1) * NS_PER_DAY, next);
        assert_true(strcmp(text, next) < 0);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        { "15m", 900 * NS_PER_S },
        { "2h", 7200 * NS_PER_S },
        { "30d", 30 * NS_PER_DAY },
        { "250ms", 250000000 },
        { "1w", 7 * NS_PER_DAY },
        { "90", 90 * NS_PER_S },
        { "1.5h", 5400 * NS_PER_S },
        { "7ns", 7 },
        { "3us", 3000 },
        { "1s", NS_PER_S },
        { "0.001s", 1000000 },
    };
    static const char *bad[] = { "",        "m",
                                 "0s",      "-1s",
                                 "1 s",     "1y",
                                 "1.s",     ".5s",
                                 "1m30s",   "1S",
                                 "106752d", "99999999999999999999s",
                                 "1..5s",   "0.0000000001s" };
    int64_t ns;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(dur_parse(str_c(good[i].text), NS_PER_S, &ns) && ns == good[i].ns);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(dur_parse(str_c(bad[i]), NS_PER_S, &ns));
    assert_false(dur_parse(STR("90"), 0, &ns));
}

static void log_lines(void **state)
{
    (void)state;
    int pipe_fd[2], saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && pipe(pipe_fd) == 0);
    dup2(pipe_fd[1], STDERR_FILENO);
    log_debug("wal", "not shown");
    log_warn("wal", "a\nb\x1b[31m \xff \xc2\x85 é %d%c", 7, 0x7f);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_fd[1]);
    char text[512] = "";
    ssize_t n = read(pipe_fd[0], text, sizeof(text) - 1);
    close(pipe_fd[0]);
    assert_true(n > 25);
    text[n] = 0;
    assert_string_equal(text + 24, " WARN  wal: a\\nb\\x1b[31m \\xff \\xc2\\x85 é 7\\x7f\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_accepted), cmocka_unit_test(iso_refused),  cmocka_unit_test(limits),
        cmocka_unit_test(epoch),        cmocka_unit_test(numeric_text), cmocka_unit_test(formats),
        cmocka_unit_test(round_trip),   cmocka_unit_test(durations),    cmocka_unit_test(log_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
