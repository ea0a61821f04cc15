/* timeexpr.c: instants as people write them, and the buckets of time(5m).
 *
 *   now  now-15m  today  yesterday  2026  2026-11  2026-11-21  2026-11-21T10:30  ...Z  ...+02:00
 * ...+0200  T10:30+02
 * 1763719200
 *
 * Every form names an interval: a date is its day, a minute its 60 seconds, an instant one
 * nanosecond. Comparisons use where it begins, `on:` all of it. Without an offset the request's
 * time zone counts. */
#include "query/internal.h"

static bool add(ts_ns a, int64_t b, ts_ns *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

/* exactly n digits at *i */
static bool digits(str s, size_t *i, size_t n, int *ret)
{
    *ret = 0;
    if (s.n - *i < n)
        return false;
    for (size_t k = 0; k < n; k++, ++*i) {
        if (s.p[*i] < '0' || s.p[*i] > '9')
            return false;
        *ret = *ret * 10 + (s.p[*i] - '0');
    }
    return true;
}

static bool skip(str s, size_t *i, char c)
{
    if (*i >= s.n || s.p[*i] != c)
        return false;
    ++*i;
    return true;
}

static bool day_start(int y, int m, int d, ts_ns *ret)
{
    char z[16];
    z[0] = (char)('0' + y / 1000 % 10);
    z[1] = (char)('0' + y / 100 % 10);
    z[2] = (char)('0' + y / 10 % 10);
    z[3] = (char)('0' + y % 10);
    z[4] = z[7] = '-';
    z[5] = (char)('0' + m / 10);
    z[6] = (char)('0' + m % 10);
    z[8] = (char)('0' + d / 10);
    z[9] = (char)('0' + d % 10);
    return ts_parse_day((str){ z, 10 }, ret);
}

/* what is left of s at i is nothing, Z or an offset; behind a mere date not one of two digits,
 * which would look like more of the date */
static bool zone(str s, size_t i, bool clock, int32_t tz, int64_t *ret_ns)
{
    int32_t secs;
    *ret_ns = (int64_t)tz * 60 * NS_PER_S;
    if (i == s.n)
        return true;
    if (i + 1 == s.n && (s.p[i] == 'Z' || s.p[i] == 'z')) {
        *ret_ns = 0;
        return true;
    }
    if ((!clock && s.n - i == 3) || !ts_parse_offset(str_skip(s, i), &secs))
        return false;
    *ret_ns = secs * NS_PER_S;
    return true;
}

/* hh[:mm[:ss[.frac]]] at *i: *ret_at within the day, *ret_unit how long what was written lasts */
static bool clock_time(str s, size_t *i, int64_t *ret_at, int64_t *ret_unit)
{
    int h, m = 0, sec = 0;
    if (!digits(s, i, 2, &h) || h > 23)
        return false;
    *ret_unit = 3600 * NS_PER_S;
    if (skip(s, i, ':')) {
        if (!digits(s, i, 2, &m) || m > 59)
            return false;
        *ret_unit = 60 * NS_PER_S;
        if (skip(s, i, ':')) {
            if (!digits(s, i, 2, &sec) || sec > 60)
                return false;
            *ret_unit = NS_PER_S;
        }
    }
    *ret_at = (h * 3600ll + m * 60 + sec) * NS_PER_S;
    if (*ret_unit == NS_PER_S && skip(s, i, '.')) {
        size_t from = *i;
        for (; *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9'; ++*i) {
            if (*ret_unit > 1) {
                *ret_unit /= 10;
                *ret_at += (s.p[*i] - '0') * *ret_unit;
            }
        }
        return *i > from;
    }
    return true;
}

static bool iso(str s, int32_t tz, ts_ns *from, ts_ns *to)
{
    size_t i = 0;
    int y, m = 1, d = 1;
    int64_t at = 0, unit = NS_PER_DAY, offset;
    ts_ns end;
    bool has_month, has_day = false;
    if (!digits(s, &i, 4, &y))
        return false;
    has_month = skip(s, &i, '-');
    if (has_month && !digits(s, &i, 2, &m))
        return false;
    if (has_month && skip(s, &i, '-')) {
        if (!digits(s, &i, 2, &d))
            return false;
        has_day = true;
    }
    if (has_day && (skip(s, &i, 'T') || skip(s, &i, 't') || skip(s, &i, ' ')) &&
        !clock_time(s, &i, &at, &unit))
        return false;
    if ((!has_day && i != s.n) || !zone(s, i, unit < NS_PER_DAY, tz, &offset) ||
        !day_start(y, m, d, from))
        return false;
    if (!has_day) {
        int ny = has_month && m < 12 ? y : y + 1, nm = has_month ? m % 12 + 1 : 1;
        if (!day_start(ny, nm, 1, &end))
            return false;
        unit = end - *from;
    }
    return add(*from, at - offset, from) && add(*from, unit - 1, to);
}

static ts_ns midnight(ts_ns t, int32_t tz)
{
    return time_bucket(t, NS_PER_DAY, tz);
}

/* now, today, yesterday, each with +span or -span behind it */
static bool relative(str s, const struct query_opts *o, ts_ns *from, ts_ns *to)
{
    size_t n = 0;
    int64_t unit = 1, span = 0;
    while (n < s.n && s.p[n] >= 'a' && s.p[n] <= 'z')
        n++;
    str word = str_sub(s, 0, n), rest = str_skip(s, n);
    if (str_eq(word, STR("now"))) {
        *from = o->now;
    } else if (str_eq(word, STR("today")) || str_eq(word, STR("yesterday"))) {
        *from = midnight(o->now, o->tz_minutes);
        unit = NS_PER_DAY;
        if (word.p[0] == 'y' && !add(*from, -NS_PER_DAY, from))
            return false;
    } else {
        return false;
    }
    if (rest.n) {
        bool minus = rest.p[0] == '-';
        char last = rest.p[rest.n - 1];
        if ((!minus && rest.p[0] != '+') || (last >= '0' && last <= '9') ||
            !dur_parse(str_skip(rest, 1), 1, &span) || !add(*from, minus ? -span : span, from))
            return false;
        if (unit == NS_PER_DAY && span % NS_PER_DAY)
            unit = 1;
    }
    return add(*from, unit - 1, to);
}

static bool epoch(str s, ts_ns *from, ts_ns *to)
{
    struct pred_bound n;
    if (!pred_number(s, &n))
        return false;
    int64_t unit = 1;
    if (n.integral) {
        uint64_t size = n.i < 0 ? 0 - (uint64_t)n.i : (uint64_t)n.i;
        unit = size < 100000000000ull         ? NS_PER_S
               : size < 100000000000000ull    ? NS_PER_MS
               : size < 100000000000000000ull ? NS_PER_US
                                              : 1;
        if (!ts_from_epoch_i64(n.i, from))
            return false;
    } else if (!ts_from_seconds_text(s, from) && !ts_from_epoch_f64(n.d, from)) {
        return false;
    }
    return add(*from, unit - 1, to);
}

bool time_expr(str s, const struct query_opts *o, ts_ns *ret_from, ts_ns *ret_to)
{
    return iso(s, o->tz_minutes, ret_from, ret_to) || relative(s, o, ret_from, ret_to) ||
           epoch(s, ret_from, ret_to);
}

ts_ns time_bucket(ts_ns t, int64_t step, int32_t tz_minutes)
{
    /* Monday 1970-01-05; other steps count from the epoch */
    int64_t shift = (int64_t)tz_minutes * 60 * NS_PER_S;
    if (step % (7 * NS_PER_DAY) == 0)
        shift -= 4 * NS_PER_DAY;
    __int128 local = (__int128)t + shift, q = local / step;
    if (local < 0 && local % step)
        q--;
    __int128 start = q * step - shift;
    return start < INT64_MIN ? INT64_MIN : (ts_ns)start;
}
