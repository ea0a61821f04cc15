/* page_time.c: texts that are ISO 8601 times, all written the same way.
 *
 *   PE_TIMES   exceptions shape:u8 [ between:u8 places:u8 [ point:u8 ] suffix:lenstr ] stream(m)
 *
 *   shape 0: YYYY-MM-DD; integers are days since 1970-01-01
 *   shape 1: YYYY-MM-DD between HH:MM:SS [ point and as many digits as places ] suffix;
 *            integers are units of 10^-places seconds since 1970-01-01 00:00:00 in the time of the
 *            text: the offset from UTC is only a suffix, the same for all
 *
 * A text fits when writing its integer gives it back: a 31st of February and a second 60 do not.
 * Days by the algorithms of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
#include "codec/page_impl.h"

#define SUFFIX_MAX 8
#define SAMPLE 8
#define DAY_CHARS 10
#define SECOND_CHARS 19

struct shape {
    bool clock; /* not a date alone */
    char between, point;
    unsigned places;
    str suffix;
};

static const int64_t units[] = { 1,      10,      100,      1000,      10000,
                                 100000, 1000000, 10000000, 100000000, 1000000000 };

/* ---- calendar ---- */

static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = y / 400; /* years are 0 and more, or -1 */
    if (y < 0)
        era = -1;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

/* days: within the years 0 to 9999 */
static void date_of(int64_t days, unsigned *y, unsigned *m, unsigned *d)
{
    uint32_t z = (uint32_t)(days + 719468);
    uint32_t era = z / 146097, doe = z % 146097;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

/* 0001-01-01 and 9999-12-31 */
#define DAYS_MIN (-719162)
#define DAYS_MAX 2932896

/* ---- one text ---- */

static bool get_digits(const char *p, unsigned n, unsigned *ret)
{
    unsigned x = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned d = (unsigned)(unsigned char)p[i] - '0';
        if (d > 9)
            return false;
        x = x * 10 + d;
    }
    *ret = x;
    return true;
}

static unsigned month_days(unsigned y, unsigned m)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return days[m - 1] + (m == 2 && leap);
}

static bool day_at(const char *p, int64_t *ret)
{
    unsigned y, m, d;
    if (!get_digits(p, 4, &y) || p[4] != '-' || !get_digits(p + 5, 2, &m) || p[7] != '-' ||
        !get_digits(p + 8, 2, &d) || y == 0 || m == 0 || m > 12 || d == 0 || d > month_days(y, m))
        return false;
    *ret = days_of(y, m, d);
    return true;
}

static bool clock_at(const char *p, unsigned *ret)
{
    unsigned h, m, s;
    if (!get_digits(p, 2, &h) || p[2] != ':' || !get_digits(p + 3, 2, &m) || p[5] != ':' ||
        !get_digits(p + 6, 2, &s) || h > 23 || m > 59 || s > 59)
        return false;
    *ret = h * 3600 + m * 60 + s;
    return true;
}

static size_t fraction_chars(const struct shape *f)
{
    return f->places ? 1 + f->places : 0;
}

static bool shape_of(str s, struct shape *ret)
{
    int64_t day;
    unsigned secs;
    *ret = (struct shape){ 0 };
    if (s.n < DAY_CHARS || !day_at(s.p, &day))
        return false;
    if (s.n == DAY_CHARS)
        return true;
    if (s.n < SECOND_CHARS || !clock_at(s.p + DAY_CHARS + 1, &secs))
        return false;
    ret->clock = true;
    ret->between = s.p[DAY_CHARS];
    s = str_skip(s, SECOND_CHARS);
    if (s.n > 1 && (s.p[0] == '.' || s.p[0] == ',')) {
        ret->point = s.p[0];
        while (ret->places < 9 && ret->places + 1 < s.n && s.p[ret->places + 1] >= '0' &&
               s.p[ret->places + 1] <= '9')
            ret->places++;
    }
    ret->suffix = str_skip(s, fraction_chars(ret));
    return ret->suffix.n <= SUFFIX_MAX;
}

static bool time_of(const struct shape *f, str s, int64_t *ret)
{
    int64_t day;
    unsigned secs, fraction = 0;
    size_t frac = fraction_chars(f);
    size_t want = f->clock ? SECOND_CHARS + frac + f->suffix.n : DAY_CHARS;
    if (s.n != want || !day_at(s.p, &day))
        return false;
    if (!f->clock) {
        *ret = day;
        return true;
    }
    if (s.p[DAY_CHARS] != f->between || !clock_at(s.p + DAY_CHARS + 1, &secs) ||
        (frac && (s.p[SECOND_CHARS] != f->point ||
                  !get_digits(s.p + SECOND_CHARS + 1, f->places, &fraction))) ||
        (f->suffix.n && memcmp(s.p + SECOND_CHARS + frac, f->suffix.p, f->suffix.n) != 0))
        return false;
    int64_t t = day * 86400 + secs; /* past 2262 nanoseconds do not fit */
    return !__builtin_mul_overflow(t, units[f->places], &t) &&
           !__builtin_add_overflow(t, (int64_t)fraction, ret);
}

static char *put_pair(char *p, unsigned x)
{
    p[0] = (char)('0' + x / 10);
    p[1] = (char)('0' + x % 10);
    return p + 2;
}

static char *put_day(char *p, int64_t day)
{
    unsigned y, m, d;
    date_of(day, &y, &m, &d);
    p = put_pair(put_pair(p, y / 100), y % 100);
    *p++ = '-';
    p = put_pair(p, m);
    *p++ = '-';
    return put_pair(p, d);
}

/* The day of the text before: neighbours mostly share it. */
struct day {
    int64_t from; /* its first instant, in the units of the integers */
    int64_t unit, length;
    char text[DAY_CHARS];
    bool known;
};

/* false: not in the years 1 to 9999 */
static bool find_day(struct day *d, int64_t t)
{
    int64_t rest = t % d->length, day = t / d->length - (rest < 0);
    if (day < DAYS_MIN || day > DAYS_MAX)
        return false;
    d->from = (int64_t)((uint64_t)day * (uint64_t)d->length); /* may wrap at INT64_MIN */
    d->known = true;
    put_day(d->text, day);
    return true;
}

/* NULL: not a time of years 1 to 9999 */
static char *put_time(char *p, const struct shape *f, struct day *d, int64_t t)
{
    if ((!d->known || (uint64_t)t - (uint64_t)d->from >= (uint64_t)d->length) && !find_day(d, t))
        return NULL;
    memcpy(p, d->text, DAY_CHARS);
    p += DAY_CHARS;
    if (!f->clock)
        return p;
    uint64_t rest = (uint64_t)t - (uint64_t)d->from;
    unsigned secs = (unsigned)(f->places ? rest / (uint64_t)d->unit : rest);
    unsigned fraction = (unsigned)(rest - secs * (uint64_t)d->unit);
    *p++ = f->between;
    p = put_pair(p, secs / 3600);
    *p++ = ':';
    p = put_pair(p, secs / 60 % 60);
    *p++ = ':';
    p = put_pair(p, secs % 60);
    if (f->places) {
        *p++ = f->point;
        for (unsigned i = f->places; i-- > 0; fraction /= 10)
            p[i] = (char)('0' + fraction % 10);
        p += f->places;
    }
    memcpy(p, f->suffix.p ? f->suffix.p : "", f->suffix.n);
    return p + f->suffix.n;
}

/* ---- the page ---- */

static void put_shape(struct buf *out, const struct shape *f)
{
    buf_putc(out, f->clock);
    if (!f->clock)
        return;
    buf_putc(out, f->between);
    buf_putc(out, (char)f->places);
    if (f->places)
        buf_putc(out, f->point);
    buf_lenstr(out, f->suffix);
}

bool page_put_times(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    struct shape f;
    int64_t t;
    bool found = false; /* the first texts may be exceptions */
    for (uint32_t i = 0; i < SAMPLE && !found; i++)
        found = shape_of(v[(uint64_t)i * n / SAMPLE], &f) &&
                time_of(&f, v[(uint64_t)i * n / SAMPLE], &t);
    if (!found)
        return false;
    uint32_t m = 0, nexc = 0;
    size_t mark = s->pool_used;
    int64_t *x = ints_take(s, n);
    for (uint32_t i = 0; i < n; i++)
        if (time_of(&f, v[i], &x[m])) {
            m++;
        } else if (nexc < PAGE_EXCEPTIONS(n)) {
            s->pos[nexc++] = i;
        } else {
            s->pool_used = mark;
            return false;
        }
    page_put_exceptions(s, out, v, nexc);
    put_shape(out, &f);
    ints_put(s, out, x, m);
    s->pool_used = mark;
    return true;
}

static int get_shape(struct rd *r, struct shape *f, struct err *err)
{
    *f = (struct shape){ .clock = rd_u8(r) == 1 };
    if (f->clock) {
        f->between = (char)rd_u8(r);
        f->places = rd_u8(r);
        if (f->places)
            f->point = (char)rd_u8(r);
        f->suffix = rd_lenstr(r);
    }
    return rd_ok(r) && f->places <= 9 && f->suffix.n <= SUFFIX_MAX
               ? 0
               : page_corrupt(err, "format of times");
}

int page_get_times(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp, struct texts *ret,
                   struct err *err)
{
    struct exceptions x;
    struct shape f;
    int rc = page_get_exceptions(r, n, tmp, &x, err);
    if (!rc)
        rc = get_shape(r, &f, err);
    if (rc)
        return rc;
    size_t each = f.clock ? SECOND_CHARS + fraction_chars(&f) + f.suffix.n : DAY_CHARS;
    int64_t *t = arena_array(tmp, n, sizeof *t);
    char *text = arena_alloc(a, each * (n - x.n) + (size_t)x.bytes + 1), *p = text;
    if (!t || !text)
        return err_nomem(err);
    rc = ints_get(r, n - x.n, t, tmp, err);
    if (rc)
        return rc;
    struct day day = { .unit = f.clock ? units[f.places] : 1 };
    day.length = f.clock ? 86400 * day.unit : 1;
    for (uint32_t i = 0, k = 0, e = 0; i < n; i++) {
        ret->off[i] = (uint32_t)(p - text);
        p = e < x.n && x.pos[e] == i ? page_put_exception(p, &x, e++)
                                     : put_time(p, &f, &day, t[k++]);
        if (!p)
            return page_corrupt(err, "times");
    }
    ret->off[n] = (uint32_t)(p - text);
    ret->bytes = text;
    return 0;
}
