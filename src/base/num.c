/* num.c: two published algorithms over one table.
 *
 * Reading: Eisel-Lemire (D. Lemire, "Number parsing at a gigabyte per second"): the mantissa times
 * the 128 leading bits of the power of ten settles the rounding except in rare near-half cases,
 * which go to strtod. Writing: Schubfach (R. Giulietti, "The Schubfach way to render doubles"):
 * scale the rounding interval of d by a power of ten so that it holds one to ten integers; the
 * right one is found by comparing in quarter units.
 *
 * The table holds, for e in [POW_MIN, POW_MAX], floor(10^e / 2^x) with x such that the value has
 * exactly 128 bits. It is computed before main with plain long arithmetic: 5^e upwards by short
 * multiplication, 2^FIX / 5^-e downwards by short division (floors of floors are exact). */
#include "base/num.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POW_MIN (-342)
#define POW_MAX 326
#define POW_EXACT 55 /* 5^55 < 2^128 <= 5^56 */
#define WORDS 32     /* of 32 bits each: room for 2^1023, enough for 5^326 and 2^FIX / 5^342 */
#define FIX 1000
#define EXP_SATURATED 1000000000
#define DIGITS_EXACT 800 /* more than any double needs to decide its rounding (767) */

typedef unsigned __int128 u128;

static struct pow10 {
    uint64_t hi, lo;
} pows[POW_MAX - POW_MIN + 1];
static locale_t c_locale;

/* the 128 leading bits of a little-endian number */
static struct pow10 leading(const uint32_t w[WORDS])
{
    int top = WORDS - 1;
    while (top > 0 && !w[top])
        top--;
    u128 v = 0;
    for (int i = top; i > top - 4; i--)
        v = v << 32 | (i >= 0 ? w[i] : 0);
    int lz = __builtin_clz(w[top]);
    v <<= lz;
    if (lz && top >= 4)
        v |= w[top - 4] >> (32 - lz);
    return (struct pow10){ (uint64_t)(v >> 64), (uint64_t)v };
}

__attribute__((constructor)) static void num_setup(void)
{
    uint32_t w[WORDS] = { 1 };
    for (int e = 0; e <= POW_MAX; e++) {
        pows[e - POW_MIN] = leading(w);
        uint64_t carry = 0;
        for (int i = 0; i < WORDS; i++) {
            carry += (uint64_t)w[i] * 5;
            w[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    memset(w, 0, sizeof(w));
    w[FIX / 32] = 1u << (FIX % 32);
    for (int e = -1; e >= POW_MIN; e--) {
        uint64_t rest = 0;
        for (int i = WORDS - 1; i >= 0; i--) {
            rest = rest << 32 | w[i];
            w[i] = (uint32_t)(rest / 5);
            rest %= 5;
        }
        pows[e - POW_MIN] = leading(w);
    }
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool num_scan(str s, struct num_dec *ret)
{
    const char *p = s.p, *end = s.p + s.n;
    struct num_dec d = { .integral = true };
    if (p < end && *p == '-') {
        d.neg = true;
        p++;
    }
    if (p == end || *p < '0' || *p > '9' ||
        (*p == '0' && end - p > 1 && p[1] >= '0' && p[1] <= '9'))
        return false;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (d.digits < 19) {
            d.man = d.man * 10 + (uint64_t)(*p - '0');
            d.digits += d.man != 0;
        } else {
            d.cut |= *p != '0';
            d.exp10++;
        }
    }
    if (p < end && *p == '.') {
        const char *first = ++p;
        d.integral = false;
        for (; p < end && *p >= '0' && *p <= '9'; p++) {
            if (d.digits < 19) {
                d.man = d.man * 10 + (uint64_t)(*p - '0');
                d.digits += d.man != 0;
                d.exp10--;
            } else {
                d.cut |= *p != '0';
            }
        }
        if (p == first)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        d.integral = false;
        bool minus = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+'))
            p++;
        const char *first = p;
        int64_t e = 0;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
            if (e < 100ll * EXP_SATURATED)
                e = e * 10 + (*p - '0');
        if (p == first)
            return false;
        d.exp10 += minus ? -e : e;
        if (d.exp10 > EXP_SATURATED)
            d.exp10 = EXP_SATURATED;
        if (d.exp10 < -EXP_SATURATED)
            d.exp10 = -EXP_SATURATED;
    }
    if (p != end)
        return false;
    *ret = d;
    return true;
}

static double of_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

/* Eisel-Lemire; false when undecided, subnormal or out of range. man != 0. */
static bool scale_fast(uint64_t man, int64_t exp10, double *ret)
{
    if (exp10 < POW_MIN || exp10 > 308)
        return false;
    struct pow10 pow = pows[exp10 - POW_MIN];
    int lz = __builtin_clzll(man);
    man <<= lz;
    /* 217706 / 2^16 = log2(10) closely enough for floor over the table's range */
    int64_t exp2 = ((217706 * exp10) >> 16) + 64 + 1023 - lz;

    u128 x = (u128)man * pow.hi;
    uint64_t hi = (uint64_t)(x >> 64), lo = (uint64_t)x;
    if ((hi & 0x1ff) == 0x1ff && lo + man < man) { /* the unknown tail could carry */
        u128 y = (u128)man * pow.lo;
        uint64_t y_hi = (uint64_t)(y >> 64), y_lo = (uint64_t)y;
        lo += y_hi;
        hi += lo < y_hi;
        if ((hi & 0x1ff) == 0x1ff && lo + 1 == 0 && y_lo + man < man)
            return false;
    }
    uint64_t msb = hi >> 63;
    uint64_t m = hi >> (msb + 9);
    exp2 -= (int64_t)(1 ^ msb);
    if (lo == 0 && (hi & 0x1ff) == 0 && (m & 3) == 1)
        return false; /* maybe exactly half way */
    m = (m + (m & 1)) >> 1;
    if (m >> 53) {
        m >>= 1;
        exp2++;
    }
    if (exp2 < 1 || exp2 > 2046)
        return false;
    *ret = of_bits((uint64_t)exp2 << 52 | (m & 0xfffffffffffffull));
    return true;
}

/* Any text of the grammar: its digits, a point-free mantissa and an exponent, through strtod. */
static double scale_slow(const struct num_dec *dec, str text)
{
    char t[DIGITS_EXACT + 32];
    size_t n = 0;
    int64_t dropped = 0;
    bool tail = false;
    int64_t exp10 = dec->exp10;
    if (!dec->cut) {
        n = (size_t)snprintf(t, sizeof(t), "%llu", (unsigned long long)dec->man);
    } else {
        for (size_t i = 0; i < text.n && text.p[i] != 'e' && text.p[i] != 'E'; i++) {
            char c = text.p[i];
            if (c < '0' || c > '9' || (n == 0 && c == '0'))
                continue;
            if (n < DIGITS_EXACT) {
                t[n++] = c;
            } else {
                tail |= c != '0';
                dropped++;
            }
        }
        /* dec->exp10 speaks of 19 digits, t has n and the text dropped more */
        exp10 -= (int64_t)n - 19;
        if (tail) {
            t[n++] = '1';
            exp10--;
        }
    }
    snprintf(t + n, sizeof(t) - n, "e%lld", (long long)exp10);
    return strtod_l(t, NULL, c_locale);
}

double num_to_f64(const struct num_dec *dec, str text)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    double d;
    if (dec->man == 0) {
        d = 0;
    } else if (dec->man < 1ull << 53 && !dec->cut && dec->exp10 >= -22 && dec->exp10 <= 22) {
        /* both operands are exact, so the one rounding is the right one */
        d = (double)dec->man;
        d = dec->exp10 < 0 ? d / tens[-dec->exp10] : d * tens[dec->exp10];
    } else {
        double above;
        /* with a cut tail, man and man + 1 enclose the value */
        if (!scale_fast(dec->man, dec->exp10, &d) ||
            (dec->cut && (!scale_fast(dec->man + 1, dec->exp10, &above) || above != d)))
            d = scale_slow(dec, text);
    }
    return dec->neg ? -d : d;
}

/* floor(g * cp / 2^128), its last bit set when anything was cut off: order is kept, equality too */
static uint64_t round_to_odd(struct pow10 g, uint64_t cp)
{
    u128 x = (u128)g.lo * cp, y = (u128)g.hi * cp;
    y += (uint64_t)(x >> 64);
    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

void num_shortest(double d, uint64_t *ret_man, int *ret_exp10)
{
    uint64_t bits;
    memcpy(&bits, &d, 8);
    uint64_t frac = bits & 0xfffffffffffffull;
    int biased = (int)(bits >> 52 & 0x7ff);
    uint64_t c = biased ? frac | 1ull << 52 : frac;
    int q = (biased ? biased : 1) - 1075;

    /* below a power of two the neighbours lie half as far apart */
    bool uneven = frac == 0 && biased > 1;
    uint64_t odd = c & 1; /* the interval's ends round to even: they belong to even c only */
    int k = (q * 1262611 - (uneven ? 524031 : 0)) >> 22; /* floor(log10(width of the interval)) */
    int h = q + ((-k * 1741647) >> 19) + 1;
    struct pow10 g = pows[-k - POW_MIN];
    if (-k < 0 || -k > POW_EXACT) { /* here the table is wanted rounded up */
        g.lo++;
        g.hi += g.lo == 0;
    }
    uint64_t lower = round_to_odd(g, (4 * c - 2 + uneven) << h) + odd;
    uint64_t v = round_to_odd(g, (4 * c) << h);
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;

    uint64_t s = v / 4, man = 0;
    bool done = false;
    if (s >= 10) { /* one digit less? */
        uint64_t tens = s / 10;
        bool below = lower <= 40 * tens, above = 40 * tens + 40 <= upper;
        if (below != above) {
            man = tens + above;
            k++;
            done = true;
        }
    }
    if (!done) {
        bool below = lower <= 4 * s, above = 4 * s + 4 <= upper;
        uint64_t half = 4 * s + 2;
        man = s + (below != above ? above : v > half || (v == half && (s & 1)));
    }
    while (man % 10 == 0) {
        man /= 10;
        k++;
    }
    *ret_man = man;
    *ret_exp10 = k;
}
