/* spell.c: spellings of instants and levels.
 *
 * Spellings of instants, by their first byte:
 *   T t ' '  RFC 3339 with that byte between date and time; then '.', ',' or '-' (no fraction), one
 *            digit (fraction digits), and the rest as it stood: "Z", "z", "+02:00", "+0200", "+02"
 * or nothing d        a date alone i f      a whole or a fractional number; then its unit: s m u n
 *   q        the same, as text in quotes
 * Invariant: when exact is set, spell_put_time of the parsed instant gives the client's JSON value.
 */
#include "model/spell.h"

#include <string.h>

#include "base/num.h"
#include "codec/json.h"

static void spell_set(struct spelling *sp, const char *c, size_t n)
{
    memcpy(sp->c, c, n);
    sp->n = (uint8_t)n;
    sp->exact = true;
}

/* ---- epoch numbers ---- */

static int64_t unit_ns(char unit)
{
    switch (unit) {
    case 's': return NS_PER_S;
    case 'm': return NS_PER_MS;
    case 'u': return NS_PER_US;
    default: return 1;
    }
}

static char unit_of(double size, enum spell_unit unit)
{
    if (unit != UNIT_BY_SIZE)
        return unit == UNIT_S ? 's' : 'm';
    double x = size < 0 ? -size : size;
    return x < 1e11 ? 's' : x < 1e14 ? 'm' : x < 1e17 ? 'u' : 'n';
}

static bool scaled(const struct num_dec *d, int64_t per_unit, ts_ns *ret, bool *ret_exact)
{
    int64_t exp = d->exp10;
    for (int64_t u = per_unit; u > 1; u /= 10)
        exp++;
    unsigned __int128 v = d->man;
    *ret_exact = !d->cut;
    if (d->man == 0)
        exp = 0;
    if (exp > 19)
        return false;
    for (; exp > 0; exp--) {
        v *= 10;
        if (v > (unsigned __int128)INT64_MAX + 1)
            return false;
    }
    for (; exp < 0 && v; exp++) {
        if (v % 10)
            *ret_exact = false;
        v /= 10;
    }
    if (v > (unsigned __int128)INT64_MAX + (d->neg ? 1 : 0))
        return false;
    *ret = d->neg ? (ts_ns)(0 - (uint64_t)v) : (ts_ns)v;
    return true;
}

bool spell_time_number(str raw, enum spell_unit unit, ts_ns *ret, struct spelling *sp)
{
    struct num_dec d;
    if (!num_scan(raw, &d))
        return false;
    char u = unit_of(num_to_f64(&d, raw), unit);
    bool exact;
    if (!scaled(&d, unit_ns(u), ret, &exact))
        return false;
    char c[2] = { d.integral ? 'i' : 'f', u };
    spell_set(sp, c, 2);
    sp->exact = exact && !(d.neg && d.man == 0); /* -0 has no integer form */
    return true;
}

static void put_number(struct buf *b, ts_ns t, int64_t per_unit, bool real)
{
    bool neg = t < 0;
    uint64_t x = neg ? 0 - (uint64_t)t : (uint64_t)t, unit = (uint64_t)per_unit;
    uint64_t frac = x % unit;
    if (neg)
        buf_putc(b, '-');
    buf_put_u64(b, x / unit);
    if (!frac) {
        if (real)
            buf_puts(b, ".0");
        return;
    }
    char digits[10];
    size_t n = 0;
    digits[n++] = '.';
    while (frac) {
        unit /= 10;
        digits[n++] = (char)('0' + frac / unit);
        frac %= unit;
    }
    buf_put(b, digits, n);
}

void spell_put_epoch(struct buf *b, ts_ns t, enum spell_unit unit, bool real)
{
    put_number(b, t, unit == UNIT_MS ? NS_PER_MS : NS_PER_S, real);
}

/* ---- text ---- */

/* The form of an instant that ts_parse_iso has taken. */
static void iso_spelling(str s, ts_ns t, struct spelling *sp)
{
    sp->n = 0;
    sp->exact = false;
    if (s.n == 10) {
        spell_set(sp, "d", 1);
        return;
    }
    size_t i = 19;
    char c[3] = { s.p[10], '-', '0' };
    if (i < s.n && (s.p[i] == '.' || s.p[i] == ',')) {
        c[1] = s.p[i++];
        size_t from = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        if (i - from > 9)
            return;
        c[2] = (char)('0' + (i - from));
    }
    size_t tail = s.n - i;
    if (tail > 6 || (s.p[17] == '6'))
        return;
    spell_set(sp, c, 3);
    memcpy(sp->c + 3, s.p + i, tail);
    sp->n = (uint8_t)(3 + tail);
    int64_t off = tail > 1 ? 86400 * NS_PER_S : 0, sum; /* room for any offset at both ends */
    sp->exact = !__builtin_add_overflow(t, off, &sum) && !__builtin_sub_overflow(t, off, &sum);
}

bool spell_time_text(str s, enum spell_unit unit, ts_ns *ret, struct spelling *sp)
{
    if (ts_parse_iso(s, ret)) {
        iso_spelling(s, *ret, sp);
        return true;
    }
    struct spelling num;
    if (s.n > 40 || !spell_time_number(s, unit, ret, &num))
        return false;
    sp->c[0] = 'q';
    memcpy(sp->c + 1, num.c, num.n);
    sp->n = (uint8_t)(num.n + 1);
    /* text is compared as text: only the plain form comes back the same */
    struct buf b;
    buf_init(&b, 128);
    spell_put_time(&b, *ret, (str){ sp->c, sp->n });
    sp->exact = num.exact && buf_ok(&b) && b.n == s.n + 2 && memcmp(b.p + 1, s.p, s.n) == 0;
    buf_deinit(&b);
    return true;
}

static void put_iso(struct buf *b, ts_ns t, str sp)
{
    char text[TS_TEXT_MAX];
    str tail = str_skip(sp, 3);
    int32_t off = 0;
    int64_t local;
    ts_parse_offset(tail, &off);
    if (__builtin_add_overflow(t, off * NS_PER_S, &local))
        local = t;
    ts_format(local, 9, text); /* YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ */
    text[10] = sp.p[0];
    size_t digits = (size_t)(sp.p[2] - '0');
    buf_putc(b, '"');
    buf_put(b, text, 19);
    if (sp.p[1] != '-' && digits <= 9) {
        buf_putc(b, sp.p[1]);
        buf_put(b, text + 20, digits);
    }
    buf_putstr(b, tail);
    buf_putc(b, '"');
}

static bool iso_known(str sp)
{
    if (sp.n < 3 || sp.n > 9 || !memchr("Tt ", sp.p[0], 3) || !memchr(".,-", sp.p[1], 3) ||
        sp.p[2] < '0' || sp.p[2] > '9')
        return false;
    for (size_t i = 3; i < sp.n; i++)
        if (!memchr("Zz+-:0123456789", sp.p[i], 15))
            return false;
    return true;
}

void spell_put_time(struct buf *b, ts_ns t, str sp)
{
    char text[TS_TEXT_MAX];
    bool quoted = sp.n == 3 && sp.p[0] == 'q';
    str num = quoted ? str_skip(sp, 1) : sp;
    if (num.n == 2 && (num.p[0] == 'i' || num.p[0] == 'f') && memchr("smun", num.p[1], 4)) {
        if (quoted)
            buf_putc(b, '"');
        put_number(b, t, unit_ns(num.p[1]), num.p[0] == 'f');
        if (quoted)
            buf_putc(b, '"');
    } else if (sp.n == 1 && sp.p[0] == 'd') {
        ts_format(t, 0, text);
        buf_printf(b, "\"%.10s\"", text);
    } else if (iso_known(sp)) {
        put_iso(b, t, sp);
    } else {
        size_t n = ts_format(t, -1, text);
        buf_printf(b, "\"%.*s\"", (int)n, text);
    }
}

/* ---- levels ---- */

bool spell_level_text(str s, enum level *ret, struct spelling *sp)
{
    if (!level_parse(s, ret))
        return false;
    if (str_eq(s, level_names[*ret])) {
        spell_set(sp, "", 0);
    } else if (str_eq(s, level_names_upper[*ret])) {
        spell_set(sp, "u", 1);
    } else {
        sp->c[0] = '=';
        memcpy(sp->c + 1, s.p, s.n); /* level_parse takes at most 16 bytes */
        sp->n = (uint8_t)(s.n + 1);
        sp->exact = true;
    }
    return true;
}

void spell_put_level(struct buf *b, enum level lv, str sp)
{
    if (lv < 0 || lv >= LV__COUNT)
        lv = LV_INFO;
    if (sp.n > 1 && sp.p[0] == '#')
        buf_putstr(b, str_skip(sp, 1));
    else if (sp.n > 1 && sp.p[0] == '=')
        json_put_str(b, str_skip(sp, 1));
    else
        json_put_str(b, sp.n == 1 && sp.p[0] == 'u' ? level_names_upper[lv] : level_names[lv]);
}
