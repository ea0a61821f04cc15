/* exact.c: see exact.h. Limb i of the register stands for limb[i] * 2^(32 * i - 1152). */
#include "query/exact.h"

#include <math.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#define LOWEST 1152
#define SCALE 1000000

static void carry(struct exact_big *b)
{
    int64_t c = 0;
    for (int i = 0; i < EXACT_LIMBS - 1; i++) {
        int64_t v = b->limb[i] + c;
        c = v >> 32; /* rounds down: limbs end up 0 .. 2^32-1, the top one keeps the sign */
        b->limb[i] = v & 0xffffffff;
    }
    b->limb[EXACT_LIMBS - 1] += c;
    b->pending = 0;
}

void exact_big_add(struct exact_big *b, double v)
{
    int e;
    double m = frexp(v, &e);
    if (m == 0 || !isfinite(v))
        return;
    int64_t whole = (int64_t)ldexp(m, 53); /* v = whole * 2^(e-53) */
    bool minus = whole < 0;
    unsigned shift = (unsigned)(e - 53 + LOWEST);
    unsigned __int128 bits = (unsigned __int128)(uint64_t)(minus ? -whole : whole) << (shift % 32);
    for (unsigned i = shift / 32; bits; i++, bits >>= 32) {
        int64_t piece = (int64_t)(uint64_t)(bits & 0xffffffff);
        b->limb[i] += minus ? -piece : piece;
    }
    if (++b->pending == 1u << 30)
        carry(b);
}

void exact_big_merge(struct exact_big *into, const struct exact_big *from)
{
    struct exact_big other = *from;
    carry(into);
    carry(&other);
    for (int i = 0; i < EXACT_LIMBS; i++)
        into->limb[i] += other.limb[i];
    carry(into);
}

/* nearest double of a register whose carries are resolved */
static double nearest(struct exact_big b)
{
    carry(&b);
    bool minus = b.limb[EXACT_LIMBS - 1] < 0;
    if (minus) {
        for (int i = 0; i < EXACT_LIMBS; i++)
            b.limb[i] = -b.limb[i];
        carry(&b);
    }
    int top = EXACT_LIMBS - 1;
    while (top > 0 && b.limb[top] == 0)
        top--;
    unsigned __int128 bits = 0;
    int low = top >= 3 ? top - 3 : 0;
    for (int i = top; i >= low; i--)
        bits = bits << 32 | (uint64_t)b.limb[i];
    for (int i = 0; i < low; i++)
        if (b.limb[i])
            bits |= 1; /* there is more below: a tie is none */
    double d = ldexp((double)bits, 32 * low - LOWEST);
    return minus ? -d : d;
}

void exact_big_get(const struct exact_big *b, double *hi, double *lo)
{
    struct exact_big rest = *b;
    carry(&rest);
    *hi = nearest(rest);
    exact_big_add(&rest, -*hi);
    *lo = isfinite(*hi) ? nearest(rest) : 0;
}

bool exact_add_i64(struct exact_sum *s, int64_t v)
{
    s->scaled += (__int128)v * SCALE;
    s->n++;
    return true;
}

bool exact_add_f64(struct exact_sum *s, double v)
{
    double scaled = rint(v * SCALE);
    s->n++;
    if (fabs(scaled) < 1e18 && scaled / SCALE == v) {
        s->scaled += (int64_t)scaled;
        return true;
    }
    if (!s->big) {
        s->big = mem_zalloc(sizeof *s->big);
        if (!s->big)
            return false;
    }
    exact_big_add(s->big, v);
    return true;
}

bool exact_merge(struct exact_sum *s, const struct exact_sum *from)
{
    s->scaled += from->scaled;
    s->n += from->n;
    if (!from->big)
        return true;
    if (!s->big && !(s->big = mem_zalloc(sizeof *s->big)))
        return false;
    exact_big_merge(s->big, from->big);
    return true;
}

void exact_deinit(struct exact_sum *s)
{
    mem_free(s->big);
    s->big = NULL;
}

/* nearest double of scaled / 10^6, by way of its decimal text where one division does not do */
static double scaled_f64(__int128 scaled)
{
    const __int128 exact = (__int128)1 << 53;
    if (scaled > -exact && scaled < exact) /* both are doubles, and dividing rounds once */
        return (double)(int64_t)scaled / SCALE;
    char text[64], *p = text + sizeof text;
    unsigned __int128 u = scaled < 0 ? -(unsigned __int128)scaled : (unsigned __int128)scaled;
    for (int i = 0; i < 6 || u; i++) {
        *--p = (char)('0' + (int)(u % 10));
        u /= 10;
        if (i == 5) {
            *--p = '.';
            if (!u)
                *--p = '0';
        }
    }
    if (scaled < 0)
        *--p = '-';
    double d = 0;
    str_to_f64((str){ p, (size_t)(text + sizeof text - p) }, &d);
    return d;
}

double exact_f64(const struct exact_sum *s)
{
    if (!s->big)
        return scaled_f64(s->scaled);
    struct exact_big all = *s->big;
    exact_big_add(&all, scaled_f64(s->scaled));
    return nearest(all);
}

struct val exact_val(const struct exact_sum *s)
{
    __int128 whole = s->scaled / SCALE;
    if (!s->big && s->scaled % SCALE == 0 && whole >= INT64_MIN && whole <= INT64_MAX)
        return (struct val){ .t = V_I64, .i = (int64_t)whole };
    double d = exact_f64(s);
    if (d == floor(d) && fabs(d) < 9007199254740992.0)
        return (struct val){ .t = V_I64, .i = (int64_t)d };
    return (struct val){ .t = V_F64, .d = d };
}
