/* str.c: the string functions too long to inline. */
#include "base/str.h"

#include <math.h>

#include "base/num.h"

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

bool str_eq_ci(str a, str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

size_t str_find(str s, str needle)
{
    if (needle.n == 0)
        return 0;
    if (needle.n > s.n)
        return SIZE_MAX;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t str_chr(str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

str str_trim(str s)
{
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_split(str *rest, char sep, str *ret)
{
    if (!rest->p)
        return false;
    size_t at = str_chr(*rest, sep);
    if (at == SIZE_MAX) {
        *ret = *rest;
        *rest = STR_NULL;
    } else {
        *ret = str_n(rest->p, at);
        *rest = str_n(rest->p + at + 1, rest->n - at - 1);
    }
    return true;
}

bool str_to_u64(str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool str_to_i64(str s, int64_t *ret)
{
    bool neg = s.n && s.p[0] == '-';
    uint64_t v;
    if (s.n && (neg || s.p[0] == '+'))
        s = str_skip(s, 1);
    if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
        return false;
    *ret = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_f64(str s, double *ret)
{
    struct num_dec dec;
    if (s.n > 1 && s.p[0] == '+' && s.p[1] != '-')
        s = str_skip(s, 1);
    if (!num_scan(s, &dec))
        return false;
    double d = num_to_f64(&dec, s);
    if (isinf(d))
        return false;
    *ret = d;
    return true;
}
