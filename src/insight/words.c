/* words.c: see words.h. */
#include "insight/words.h"

#include <math.h>
#include <stdio.h>

struct word word_count(double n)
{
    struct word w;
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%.0f", fabs(n)), k = 0;
    if (n < 0)
        w.z[k++] = '-';
    for (int i = 0; i < len && k < WORD_MAX - 2; i++) {
        if (i && (len - i) % 3 == 0)
            w.z[k++] = ',';
        w.z[k++] = digits[i];
    }
    w.z[k] = 0;
    return w;
}

struct word word_number(double n)
{
    struct word w;
    if (n == floor(n) || fabs(n) >= 100)
        return word_count(n);
    snprintf(w.z, sizeof w.z, "%.*f", fabs(n) < 1 ? 2 : 1, n);
    return w;
}

struct word word_share(double share)
{
    struct word w;
    double p = share * 100;
    if (p > 0 && p < 0.1)
        snprintf(w.z, sizeof w.z, "<0.1 %%");
    else if (p == floor(p) || p >= 99.95)
        snprintf(w.z, sizeof w.z, "%.0f %%", p);
    else
        snprintf(w.z, sizeof w.z, "%.1f %%", p);
    return w;
}

struct word word_ms(double ms)
{
    struct word w;
    double s = ms / 1000;
    if (ms != 0 && fabs(ms) < 9.95)
        snprintf(w.z, sizeof w.z, "%.*f ms", ms == floor(ms) ? 0 : fabs(ms) < 0.095 ? 3 : 1, ms);
    else if (fabs(ms) < 999.5)
        snprintf(w.z, sizeof w.z, "%.0f ms", ms);
    else if (fabs(s) < 59.95)
        snprintf(w.z, sizeof w.z, "%.*f s", fabs(s) < 9.995 ? 2 : 1, s);
    else if (fabs(s) < 3599.5)
        snprintf(w.z, sizeof w.z, "%d min %02d s", (int)(round(s) / 60), (int)fmod(round(s), 60));
    else
        snprintf(w.z, sizeof w.z, "%.0f h %02d min", floor(round(s / 60) / 60),
                 (int)fmod(round(s / 60), 60));
    return w;
}

struct word word_usd(double usd)
{
    struct word w;
    if (usd != 0 && fabs(usd) < 0.01)
        snprintf(w.z, sizeof w.z, "$%.4f", usd);
    else if (fabs(usd) < 1000)
        snprintf(w.z, sizeof w.z, "$%.2f", usd);
    else
        snprintf(w.z, sizeof w.z, "$%.40s", word_count(usd).z);
    return w;
}

static struct word moment(ts_ns t, int length)
{
    struct word w;
    char iso[TS_TEXT_MAX];
    ts_format(t, 0, iso);
    iso[10] = ' ';
    snprintf(w.z, sizeof w.z, "%.*s", length, iso);
    return w;
}

struct word word_time(ts_ns t)
{
    return moment(t, 19);
}

struct word word_minute(ts_ns t)
{
    return moment(t, 16);
}

struct word word_span(int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *one, *many;
    } units[] = {
        { NS_PER_DAY, "day", "days" },   { 3600 * NS_PER_S, "h", "h" },
        { 60 * NS_PER_S, "min", "min" }, { NS_PER_S, "s", "s" },
        { NS_PER_MS, "ms", "ms" },
    };
    struct word w;
    if (ns == NS_PER_DAY) {
        snprintf(w.z, sizeof w.z, "24 h");
        return w;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ns < 2 * units[i].ns && !(ns % units[i].ns == 0 && ns > 0))
            continue;
        double n = (double)ns / (double)units[i].ns;
        snprintf(w.z, sizeof w.z, "%.*f %s", n == floor(n) || n >= 10 ? 0 : 1, n,
                 n == 1 ? units[i].one : units[i].many);
        return w;
    }
    snprintf(w.z, sizeof w.z, "%lld ns", (long long)ns);
    return w;
}

struct word word_change(double now, double before)
{
    struct word w;
    double ratio = before > 0 ? now / before : 0;
    if (now == before)
        snprintf(w.z, sizeof w.z, "same");
    else if (before <= 0)
        snprintf(w.z, sizeof w.z, "new");
    else if (ratio >= 2)
        snprintf(w.z, sizeof w.z, "%.*f×", ratio < 9.95 ? 1 : 0, ratio);
    else if (fabs(ratio - 1) < 0.01)
        snprintf(w.z, sizeof w.z, "%c<1 %%", ratio < 1 ? '-' : '+');
    else
        snprintf(w.z, sizeof w.z, "%+.0f %%", (ratio - 1) * 100);
    return w;
}

static size_t length_of(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

str word_cut(str s, size_t max, bool *cut)
{
    size_t at = 0;
    for (size_t n = 0; at < s.n && n < max; n++)
        at += length_of((unsigned char)s.p[at]);
    *cut = at < s.n;
    return str_sub(s, 0, at);
}

static bool turns(uint32_t c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
           c == 0x200f || c == 0x061c || c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

int word_next(str s, size_t *i, str *ret, uint32_t *ret_code)
{
    unsigned char c = (unsigned char)s.p[*i];
    size_t n = length_of(c);
    uint32_t code = c < 0x80 ? c : c & (0xffu >> (n + 1));
    *ret = str_sub(s, *i, n);
    for (size_t k = 1; k < ret->n; k++)
        code = code << 6 | ((unsigned char)ret->p[k] & 0x3f);
    *i += ret->n;
    *ret_code = code;
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || turns(code);
}
