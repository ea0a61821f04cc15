/* time.c: the proleptic Gregorian calendar by arithmetic, no tables, no time zones.
 *
 * Days are counted from 1 March of year 0 in 400-year cycles of 146,097 days, so that the leap day
 * is the last of its year (H. Hinnant's days_from_civil). Every result is checked against int64
 * nanoseconds; floor_div keeps times before 1970 right. */
#include "base/time.h"

#include <math.h>
#include <string.h>

int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b < 0);
}

static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = floor_div(y, 400);
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void date_of(int64_t days, int *y, unsigned *m, unsigned *d)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

static unsigned days_in(unsigned y, unsigned m)
{
    static const unsigned char n[] = { 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return n[m] + (m == 2 && leap);
}

/* seconds and 0 <= nanos < 1e9 to an instant */
static bool join(int64_t secs, int64_t nanos, ts_ns *ret)
{
    if (secs < 0 && nanos > 0) { /* the earliest second begins before INT64_MIN */
        secs++;
        nanos -= NS_PER_S;
    }
    int64_t t;
    if (__builtin_mul_overflow(secs, NS_PER_S, &t) || __builtin_add_overflow(t, nanos, &t))
        return false;
    *ret = t;
    return true;
}

/* exactly two digits, or >= 100 */
static inline unsigned two(const char *p)
{
    unsigned a = (unsigned char)p[0] - (unsigned)'0', b = (unsigned char)p[1] - (unsigned)'0';
    return a <= 9 && b <= 9 ? a * 10 + b : 100;
}

/* "YYYY-MM-DD" at p (10 readable bytes) to days since 1970 */
static inline bool date_at(const char *p, int64_t *ret_days)
{
    unsigned hi = two(p), lo = two(p + 2), m = two(p + 5), d = two(p + 8);
    if (hi > 99 || lo > 99 || p[4] != '-' || p[7] != '-' || m - 1 > 11 || d - 1 > 30)
        return false;
    unsigned y = hi * 100 + lo;
    if (d > 28 && d > days_in(y, m))
        return false;
    *ret_days = days_of(y, m, d);
    return true;
}

/* "HH:MM:SS" at p (8 readable bytes) to a second of the day, <= 86400 */
static inline bool clock_at(const char *p, int64_t *ret_secs)
{
    unsigned h = two(p), m = two(p + 3), s = two(p + 6);
    if (h > 23 || m > 59 || s > 60 || p[2] != ':' || p[5] != ':')
        return false;
    *ret_secs = h * 3600 + m * 60 + s;
    return true;
}

/* ".fff" or ",fff" at *i: nanoseconds, digits past the ninth cut off */
static bool fraction_at(str s, size_t *i, int64_t *ret_nanos)
{
    size_t from = ++*i;
    int64_t nanos = 0, unit = NS_PER_S / 10;
    for (; *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9'; ++*i, unit /= 10)
        nanos += (s.p[*i] - '0') * unit;
    *ret_nanos = nanos;
    return *i > from;
}

bool ts_parse_offset(str s, int32_t *ret_secs)
{
    bool colon = s.n == 6 && s.p[3] == ':';
    if ((s.n != 3 && s.n != 5 && !colon) || (s.p[0] != '+' && s.p[0] != '-'))
        return false;
    unsigned h = two(s.p + 1), m = s.n == 3 ? 0 : two(s.p + 3 + colon);
    if (h > 23 || m > 59)
        return false;
    *ret_secs = (int32_t)(h * 3600 + m * 60) * (s.p[0] == '-' ? -1 : 1);
    return true;
}

/* The shapes nearly all senders use: "YYYY-MM-DDTHH:MM:SSZ" and the same with ".fff". */
static inline bool parse_common(str s, ts_ns *ret)
{
    int64_t days, secs, nanos = 0;
    if (s.p[10] != 'T' || s.p[s.n - 1] != 'Z' || !date_at(s.p, &days) || !clock_at(s.p + 11, &secs))
        return false;
    if (s.n == 24) {
        unsigned tens = two(s.p + 20), ones = (unsigned char)s.p[22] - (unsigned)'0';
        if (s.p[19] != '.' || tens > 99 || ones > 9)
            return false;
        nanos = (int64_t)(tens * 10 + ones) * NS_PER_MS;
    }
    return join(days * 86400 + secs, nanos, ret);
}

bool ts_parse_iso(str s, ts_ns *ret)
{
    if ((s.n == 24 || s.n == 20) && parse_common(s, ret))
        return true;
    int64_t days, secs, nanos = 0;
    int32_t offset = 0;
    if (s.n < 10 || !date_at(s.p, &days))
        return false;
    if (s.n == 10)
        return join(days * 86400, 0, ret);
    if (s.n < 19 || (s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' ') ||
        !clock_at(s.p + 11, &secs))
        return false;
    size_t i = 19;
    bool comma = i < s.n && s.p[i] == ',';
    if (i < s.n && (comma || s.p[i] == '.') && !fraction_at(s, &i, &nanos))
        return false;
    if (i < s.n) {
        if (comma)
            return false; /* the comma belongs to the form without an offset */
        if (s.p[i] == 'Z' || s.p[i] == 'z') {
            if (i + 1 != s.n)
                return false;
        } else if (!ts_parse_offset(str_skip(s, i), &offset)) {
            return false;
        }
    }
    return join(days * 86400 + secs - offset, nanos, ret);
}

/* nanoseconds of one unit of an epoch number whose absolute integer part is x */
static int64_t epoch_unit(uint64_t x)
{
    return x < 100000000000ull         ? NS_PER_S
           : x < 100000000000000ull    ? NS_PER_MS
           : x < 100000000000000000ull ? NS_PER_US
                                       : 1;
}

bool ts_from_epoch_i64(int64_t x, ts_ns *ret)
{
    uint64_t abs = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    int64_t t;
    if (__builtin_mul_overflow(x, epoch_unit(abs), &t))
        return false;
    *ret = t;
    return true;
}

/* A double is most likely the nearest one to a decimal of whole microseconds: take that decimal
 * when it reads back to x, so that 1700000000.123456 does not become ...123456001 ns. */
static bool from_f64(double x, int64_t unit, ts_ns *ret)
{
    if (!isfinite(x))
        return false;
    if (unit >= NS_PER_US) {
        int64_t us_per_unit = unit / NS_PER_US;
        double per_us = (double)us_per_unit, us = nearbyint(x * per_us);
        if (fabs(us) < 9007199254740992.0 && us / per_us == x) {
            int64_t t;
            if (__builtin_mul_overflow((int64_t)us, NS_PER_US, &t))
                return false;
            *ret = t;
            return true;
        }
    }
    double whole = trunc(x), ns = nearbyint((x - whole) * (double)unit);
    if (fabs(whole) >= 9223372036854775808.0)
        return false;
    int64_t t;
    if (__builtin_mul_overflow((int64_t)whole, unit, &t) ||
        __builtin_add_overflow(t, (int64_t)ns, &t))
        return false;
    *ret = t;
    return true;
}

bool ts_from_epoch_f64(double x, ts_ns *ret)
{
    double abs = fabs(x);
    return from_f64(x,
                    abs < 1e11   ? NS_PER_S
                    : abs < 1e14 ? NS_PER_MS
                    : abs < 1e17 ? NS_PER_US
                                 : 1,
                    ret);
}

bool ts_from_seconds_f64(double s, ts_ns *ret)
{
    return from_f64(s, NS_PER_S, ret);
}

/* "[+-]digits[.digits]" in units of `unit` ns (0: by magnitude), without rounding through a double;
 * what lies below a nanosecond is cut. */
static bool from_decimal(str s, int64_t unit, ts_ns *ret)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');
    bool neg = i && s.p[0] == '-';
    size_t from = i;
    uint64_t whole = 0;
    int64_t nanos = 0; /* of a unit */
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(s.p[i] - '0'), &whole))
            return false;
    if (i == from)
        return false;
    if (i < s.n && s.p[i] == '.' && !fraction_at(s, &i, &nanos))
        return false;
    if (i != s.n)
        return false;
    if (!unit)
        unit = epoch_unit(whole);
    uint64_t abs, part = (uint64_t)nanos * (uint64_t)unit / (uint64_t)NS_PER_S;
    if (__builtin_mul_overflow(whole, (uint64_t)unit, &abs) ||
        __builtin_add_overflow(abs, part, &abs) || abs > (uint64_t)INT64_MAX + neg)
        return false;
    *ret = neg ? (int64_t)(0 - abs) : (int64_t)abs;
    return true;
}

static bool has_exponent(str s)
{
    return str_chr(s, 'e') != SIZE_MAX || str_chr(s, 'E') != SIZE_MAX;
}

bool ts_from_seconds_text(str s, ts_ns *ret)
{
    double d;
    if (has_exponent(s))
        return str_to_f64(s, &d) && ts_from_seconds_f64(d, ret);
    return from_decimal(s, NS_PER_S, ret);
}

bool ts_parse_any(str s, ts_ns *ret)
{
    double d;
    if (s.n >= 10 && s.p[4] == '-')
        return ts_parse_iso(s, ret);
    if (has_exponent(s))
        return str_to_f64(s, &d) && ts_from_epoch_f64(d, ret);
    return from_decimal(s, 0, ret);
}

static char *put_digits(char *p, unsigned v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

static char *put_date(char *p, int64_t days)
{
    int y;
    unsigned m, d;
    date_of(days, &y, &m, &d);
    p = put_digits(p, (unsigned)y, 4); /* int64 ns reach from 1677 to 2262 */
    *p++ = '-';
    p = put_digits(p, m, 2);
    *p++ = '-';
    return put_digits(p, d, 2);
}

size_t ts_format(ts_ns t, int digits, char *out)
{
    int64_t days = floor_div(t, NS_PER_DAY);
    int64_t secs = floor_div(t, NS_PER_S);
    unsigned nanos = (unsigned)((uint64_t)t - (uint64_t)secs * (uint64_t)NS_PER_S);
    unsigned sod = (unsigned)(secs - days * 86400);
    if (digits < 0)
        digits = nanos == 0 ? 0 : nanos % 1000000 == 0 ? 3 : nanos % 1000 == 0 ? 6 : 9;
    char *p = put_date(out, days);
    *p++ = 'T';
    p = put_digits(p, sod / 3600, 2);
    *p++ = ':';
    p = put_digits(p, sod / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, sod % 60, 2);
    if (digits > 0) {
        *p++ = '.';
        p = digits >= 9   ? put_digits(p, nanos, 9)
            : digits >= 6 ? put_digits(p, nanos / 1000, 6)
                          : put_digits(p, nanos / 1000000, 3);
    }
    *p++ = 'Z';
    *p = 0;
    return (size_t)(p - out);
}

void ts_format_day(ts_ns t, char out[11])
{
    *put_date(out, floor_div(t, NS_PER_DAY)) = 0;
}

bool ts_parse_day(str s, ts_ns *ret_midnight)
{
    int64_t days;
    return s.n == 10 && date_at(s.p, &days) && join(days * 86400, 0, ret_midnight);
}

bool dur_parse(str s, int64_t bare_unit, int64_t *ret_ns)
{
    static const struct {
        char name[3];
        int64_t ns;
    } units[] = {
        { "ns", 1 },         { "us", NS_PER_US },     { "ms", NS_PER_MS },
        { "s", NS_PER_S },   { "m", 60 * NS_PER_S },  { "h", 3600 * NS_PER_S },
        { "d", NS_PER_DAY }, { "w", 7 * NS_PER_DAY },
    };
    size_t i = 0;
    while (i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.'))
        i++;
    str number = str_sub(s, 0, i), name = str_skip(s, i);
    int64_t unit = name.n == 0 ? bare_unit : 0;
    for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++)
        if (str_eq(name, str_c(units[u].name)))
            unit = units[u].ns;
    size_t dot = str_chr(number, '.');
    uint64_t whole;
    int64_t ns, part = 0;
    if (unit <= 0 || !str_to_u64(str_sub(number, 0, dot), &whole))
        return false;
    if (dot != SIZE_MAX) {
        int64_t nanos;
        if (!fraction_at(number, &dot, &nanos) || dot != number.n)
            return false;
        part = (int64_t)((__int128)nanos * unit / NS_PER_S);
    }
    if (__builtin_mul_overflow(whole, unit, &ns) || __builtin_add_overflow(ns, part, &ns) ||
        ns <= 0)
        return false;
    *ret_ns = ns;
    return true;
}
