/* fuzz_time.c: whatever parses as a time is written and read back as the same instant; numbers
 * read as the C library reads them; UTF-8 and folding agree with themselves. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_time(str s)
{
    static const int digits[] = { -1, 9 };
    ts_ns t, back;
    int64_t ns;
    bool iso = ts_parse_iso(s, &t);
    if (iso || ts_parse_any(s, &t) || ts_from_seconds_text(s, &t)) {
        for (int i = 0; i < 2; i++) {
            char out[TS_TEXT_MAX], day[11];
            size_t len = ts_format(t, digits[i], out);
            check(len < TS_TEXT_MAX && out[len] == 0);
            check(ts_parse_iso(str_n(out, len), &back) && back == t);
            ts_format_day(t, day);
            check(memcmp(day, out, 10) == 0);
        }
    }
    if (iso)
        check(ts_parse_any(s, &back) && back == t);
    if (dur_parse(s, NS_PER_S, &ns))
        check(ns > 0);
}

static void check_number(str s, const char *z)
{
    double d;
    struct num_dec dec;
    if (!num_scan(s, &dec))
        return;
    double libc = strtod(z, NULL);
    d = num_to_f64(&dec, s);
    check(d == libc && !signbit(d) == !signbit(libc));
    check(str_to_f64(s, &d) == !isinf(libc));
}

static void check_utf8(str s)
{
    char *once = malloc(s.n + 1), *twice = malloc(s.n + 1);
    check(once && twice);
    size_t bad = utf8_invalid_at(s), i = 0;
    while (i < s.n) { /* code point by code point */
        size_t from = i;
        uint32_t cp = utf8_next(s, &i);
        if (cp == 0xfffd && i - from == 1) {
            check(bad == from);
            break;
        }
    }
    check(i < s.n || bad == SIZE_MAX || bad == s.n - 1);
    utf8_fold(s, once);
    utf8_fold(str_n(once, s.n), twice);
    check(memcmp(once, twice, s.n) == 0);
    check(utf8_valid(str_n(once, s.n)) == (bad == SIZE_MAX));
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *exact = malloc(n ? n : 1), *z = malloc(n + 1);
    check(exact && z);
    if (n)
        memcpy(exact, data, n);
    memcpy(z, exact, n);
    z[n] = 0;
    str s = str_n(exact, n);
    check_time(s);
    check_number(s, z);
    check_utf8(s);
    free(exact);
    free(z);
    return 0;
}
