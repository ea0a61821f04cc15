/* json_write.c: strings and numbers as JSON text, and what a number's text is worth.
 *
 * A number is kept as a double only when the writer would give back the same decimal value, so
 * json_number and json_put_f64 share num_shortest. Texts of at most 15 significant digits always
 * pass (DBL_DIG), as long as they are far from the ends of the range. */
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "codec/json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define DIGITS15 1000000000000000ull /* 10^15 */

/* ---- numbers in ---- */

/* eight ASCII digits at once: pairs, then fours, then the eight */
static inline uint64_t eight(const char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    v = (v & 0x0f0f0f0f0f0f0f0full) * 2561 >> 8;
    v = (v & 0x00ff00ff00ff00ffull) * 6553601 >> 16;
    return (v & 0x0000ffff0000ffffull) * 42949672960001ull >> 32;
}

/* v followed by n digits at p; the caller knows that it fits */
static inline uint64_t more_digits(uint64_t v, const char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        v = v * 100000000 + eight(p);
    for (; n; n--)
        v = v * 10 + (uint64_t)(*p++ - '0');
    return v;
}

static enum json_num_kind classify(str raw, double *ret_d)
{
    struct num_dec dec;
    if (!num_scan(raw, &dec) || dec.cut)
        return JNUM_TEXT; /* more than 19 digits: the writer knows at most 17 */
    double d = num_to_f64(&dec, raw);
    if (dec.man == 0) {
        *ret_d = d;
        return JNUM_F64;
    }
    if (isinf(d) || d == 0)
        return JNUM_TEXT;
    int64_t exp10 = dec.exp10;
    while (dec.man % 10 == 0) {
        dec.man /= 10;
        exp10++;
    }
    if (dec.man >= DIGITS15 || exp10 < -290 || exp10 > 290) {
        uint64_t man;
        int e;
        num_shortest(fabs(d), &man, &e);
        if (man != dec.man || e != exp10)
            return JNUM_TEXT;
    }
    *ret_d = d;
    return JNUM_F64;
}

enum json_num_kind json_number(str raw, bool integral, int64_t *ret_i, double *ret_d)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                   1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };
    bool neg = raw.n && raw.p[0] == '-';
    const char *p = raw.p + neg;
    size_t n = raw.n - neg;
    if (integral && n <= 18) {
        int64_t v = (int64_t)more_digits(0, p, n);
        if (neg && v == 0) { /* -0 is a double and nothing else */
            *ret_d = -0.0;
            return JNUM_F64;
        }
        *ret_i = neg ? -v : v;
        return JNUM_I64;
    }
    if (integral)
        return str_to_i64(raw, ret_i) ? JNUM_I64 : classify(raw, ret_d);
    const char *dot = n <= 19 ? memchr(p, '.', n) : NULL;
    if (dot && (p[n - 1] | 32) != 'e') {
        size_t whole = (size_t)(dot - p), frac = n - whole - 1;
        size_t digits = 0; /* an exponent ends the fraction early: leave that to classify */
        while (digits < frac && (unsigned char)(dot[1 + digits] - '0') <= 9)
            digits++;
        uint64_t man = more_digits(more_digits(0, p, whole), dot + 1, digits);
        if (digits == frac && man < DIGITS15) {
            double d = (double)man / tens[frac];
            *ret_d = neg ? -d : d;
            return JNUM_F64;
        }
    }
    return classify(raw, ret_d);
}

/* ---- strings out ---- */

/* length of the beginning of s that needs no escape */
static size_t plain_run(str s)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; s.n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i hit = _mm_or_si128(control, _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                         _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
        unsigned m = (unsigned)_mm_movemask_epi8(hit);
        if (m)
            return i + (size_t)__builtin_ctz(m);
    }
#endif
    while (i < s.n && (unsigned char)s.p[i] >= ' ' && s.p[i] != '"' && s.p[i] != '\\')
        i++;
    return i;
}

static void put_escape(struct buf *b, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        buf_put(b, (char[]){ '\\', to[at - from] }, 2);
    } else {
        buf_put(b, (char[]){ '\\', 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15] }, 6);
    }
}

void json_put_escaped(struct buf *b, str s)
{
    while (s.n) {
        size_t run = plain_run(s);
        buf_put(b, s.p, run);
        s = str_skip(s, run);
        if (s.n) {
            put_escape(b, s.p[0]);
            s = str_skip(s, 1);
        }
    }
}

void json_put_str(struct buf *b, str s)
{
    size_t run = plain_run(s);
    char *to = run == s.n && s.n < SIZE_MAX - 2 ? buf_reserve(b, s.n + 2) : NULL;
    if (to) {
        to[0] = '"';
        if (s.n)
            memcpy(to + 1, s.p, s.n);
        to[s.n + 1] = '"';
        buf_advance(b, s.n + 2);
        return;
    }
    buf_putc(b, '"');
    json_put_escaped(b, s);
    buf_putc(b, '"');
}

/* ---- numbers out ---- */

/* As JavaScript does it: plain digits from 1e-6 up to 1e21, an exponent outside. */
void json_put_f64(struct buf *b, double d)
{
    if (!isfinite(d)) {
        buf_puts(b, "null");
        return;
    }
    if (signbit(d))
        buf_putc(b, '-');
    if (d == 0) {
        buf_putc(b, '0');
        return;
    }
    uint64_t man;
    int exp10;
    num_shortest(fabs(d), &man, &exp10);
    char digits[20];
    int n = 0;
    for (uint64_t m = man; m; m /= 10)
        n++;
    for (int i = n - 1; i >= 0; i--, man /= 10)
        digits[i] = (char)('0' + man % 10);
    int point = n + exp10; /* digits before the decimal point */
    if (point > 21 || point < -5) {
        buf_put(b, digits, 1);
        if (n > 1) {
            buf_putc(b, '.');
            buf_put(b, digits + 1, (size_t)n - 1);
        }
        buf_putc(b, 'e');
        buf_put_i64(b, point - 1);
    } else if (point <= 0) {
        buf_puts(b, "0.");
        buf_fill(b, '0', (size_t)-point);
        buf_put(b, digits, (size_t)n);
    } else if (point >= n) {
        buf_put(b, digits, (size_t)n);
        buf_fill(b, '0', (size_t)(point - n));
    } else {
        buf_put(b, digits, (size_t)point);
        buf_putc(b, '.');
        buf_put(b, digits + point, (size_t)(n - point));
    }
}
