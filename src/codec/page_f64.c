/* page_f64.c: pages of doubles.
 *
 *   PE_CONST    the bits
 *   PE_ALP      places:u8 nexc:varint [ stream(nexc) of positions, nexc x bits ] stream(n)
 *   PE_RAW64    8 byte planes
 *   PE_DECIMAL  places:u8, a PE_FOR page of integers (version 1)
 *
 * A decimal is an integer divided by 10^places: what most doubles in logs once were. As in ALP
 * (Afroozeh, Kuffo, Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2023) one
 * exponent serves the page, a sample chooses it, and values that do not come back to the bit are
 * exceptions. Unlike there, the way back is one correctly rounded division, which needs no second
 * exponent: any decimal of up to 15 digits survives it. In the place of an exception the stream
 * repeats the integer before it. */
#include "codec/page_impl.h"

#include <math.h>

#define PLACES_MAX 18
#define SAMPLE 64

static const double pow10_table[PLACES_MAX + 1] = { 1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,
                                                    1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13,
                                                    1e14, 1e15, 1e16, 1e17, 1e18 };

static inline bool same_bits(double x, double y)
{
    uint64_t a, b;
    memcpy(&a, &x, sizeof a);
    memcpy(&b, &y, sizeof b);
    return a == b;
}

/* v == *ret / 10^k, to the bit: NaN, infinities and -0 never are */
static inline bool decimal_of(double v, double scale, int64_t *ret)
{
    double x = v * scale;
    if (!(fabs(x) < 9e15))
        return false;
    *ret = (int64_t)(fabs(x) < 0x1p52 ? x + copysign(0.5, x) : x);
    double back = (double)*ret / scale;
    return same_bits(back, v);
}

/* the places with which most of a sample are decimals; -1: too few are */
static int choose_places(const double *v, uint32_t n)
{
    uint32_t m = n < SAMPLE ? n : SAMPLE, best = m / 4 + 1;
    int places = -1;
    for (int k = 0; k <= PLACES_MAX && best; k++) {
        uint32_t misses = 0;
        int64_t ignored;
        for (uint32_t i = 0; i < m && misses < best; i++)
            misses += !decimal_of(v[(uint64_t)i * n / m], pow10_table[k], &ignored);
        if (misses < best) {
            best = misses;
            places = k;
        }
    }
    return places;
}

static bool put_alp(struct page_scratch *s, struct buf *out, const double *v, uint32_t n)
{
    int k = choose_places(v, n);
    if (k < 0)
        return false;
    int64_t *pos = s->pool, *ints = s->ints, last = 0;
    uint32_t nexc = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!decimal_of(v[i], pow10_table[k], &ints[i])) {
            pos[nexc++] = i;
            ints[i] = last;
        }
        last = ints[i];
    }
    if (nexc > n / 4)
        return false;
    buf_putc(out, (char)k);
    buf_varint(out, nexc);
    if (nexc) {
        s->pool_used = nexc;
        ints_put(s, out, pos, nexc);
        for (uint32_t i = 0; i < nexc; i++) {
            uint64_t bits;
            memcpy(&bits, &v[pos[i]], sizeof bits);
            buf_le64(out, bits);
        }
        s->pool_used = 0;
    }
    ints_put(s, out, ints, n);
    return true;
}

static void put_planes(struct buf *out, const double *v, uint32_t n)
{
    char *p = buf_reserve(out, (size_t)n * 8);
    if (!p)
        return;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        for (uint32_t plane = 0; plane < 8; plane++)
            p[(size_t)plane * n + i] = (char)(bits >> plane * 8);
    }
    buf_advance(out, (size_t)n * 8);
}

uint8_t page_put_doubles(struct page_scratch *s, struct buf *out, const double *v, uint32_t n)
{
    uint32_t i = 1;
    while (i < n && same_bits(v[i], v[0]))
        i++;
    if (i == n) {
        uint64_t bits;
        memcpy(&bits, &v[0], sizeof bits);
        buf_le64(out, bits);
        return PE_CONST;
    }
    if (put_alp(s, out, v, n))
        return PE_ALP;
    put_planes(out, v, n);
    return PE_RAW64;
}

/* ---- reading ---- */

static int get_decimals(const int64_t *ints, uint32_t n, unsigned k, double *v, struct err *err)
{
    if (k > PLACES_MAX)
        return page_corrupt(err, "decimal places");
    double scale = pow10_table[k];
    for (uint32_t i = 0; i < n; i++)
        v[i] = (double)ints[i] / scale;
    return 0;
}

static int get_alp(struct rd *r, uint32_t n, double *v, struct arena *a, struct err *err)
{
    unsigned k = rd_u8(r);
    uint64_t nexc = rd_varint(r);
    if (nexc > n / 4)
        return page_corrupt(err, "exceptions");
    int64_t *pos = arena_array(a, (size_t)nexc + 1, sizeof *pos);
    int64_t *ints = arena_array(a, n, sizeof *ints);
    if (!pos || !ints)
        return err_nomem(err);
    int rc = nexc ? ints_get(r, (uint32_t)nexc, pos, a, err) : 0;
    if (rc)
        return rc;
    const uint8_t *bits = rd_bytes(r, (size_t)nexc * 8);
    rc = ints_get(r, n, ints, a, err);
    if (!rc)
        rc = get_decimals(ints, n, k, v, err);
    for (uint64_t i = 0; !rc && i < nexc; i++) {
        if (!bits || (uint64_t)pos[i] >= n)
            return page_corrupt(err, "exceptions");
        uint64_t x = get_le64(bits + i * 8);
        memcpy(&v[pos[i]], &x, sizeof x);
    }
    return rc;
}

static int get_planes(struct rd *r, uint32_t n, double *v, struct err *err)
{
    const uint8_t *p = rd_bytes(r, (size_t)n * 8);
    if (!p)
        return page_corrupt(err, "doubles");
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        for (uint32_t plane = 0; plane < 8; plane++)
            bits |= (uint64_t)p[(size_t)plane * n + i] << plane * 8;
        memcpy(&v[i], &bits, sizeof bits);
    }
    return 0;
}

int page_get_doubles(struct rd *r, uint8_t encoding, uint32_t n, double *v, struct arena *a,
                     struct err *err)
{
    switch (encoding) {
    case PE_ALP: return get_alp(r, n, v, a, err);
    case PE_RAW64: return get_planes(r, n, v, err);
    case PE_CONST: {
        uint64_t bits = rd_le64(r);
        for (uint32_t i = 0; i < n; i++)
            memcpy(&v[i], &bits, sizeof bits);
        return rd_ok(r) ? 0 : page_corrupt(err, "constant");
    }
    case PE_DECIMAL: {
        unsigned k = rd_u8(r);
        int64_t *ints = arena_array(a, n, sizeof *ints);
        if (!ints)
            return err_nomem(err);
        int rc = page_get_ints(r, PE_FOR, n, ints, a, err);
        return rc ? rc : get_decimals(ints, n, k, v, err);
    }
    default: return page_corrupt(err, "encoding of doubles");
    }
}
