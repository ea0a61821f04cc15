/* valmap.c: see valmap.h. */
#include "codec/valmap.h"

#include <string.h>

#include "base/rd.h"

#define HEAD 6
#define QUOTIENT_MAX                                                                               \
    40 /* a larger one begins a page, so that a difference is read in one piece                    \
        */

struct valmap_shape valmap_shape_of(uint64_t n, uint32_t nblocks)
{
    struct valmap_shape sh = { 24, 0 };
    unsigned log = n ? 63 - (unsigned)__builtin_clzll(n) : 0; /* the mean is about 2^(32 - log) */
    if (n)
        sh.rice = (uint8_t)(log >= 31 ? 0 : 31 - log);
    while (sh.width < VALMAP_WIDTH_MAX && nblocks > 1u << sh.width)
        sh.width++;
    return sh;
}

/* Least significant digits first: three passes over the hash; blocks stand in order already or are
 * put so by the fourth and fifth. */
void valmap_sort(uint64_t *v, uint64_t *tmp, size_t n)
{
    static const unsigned shifts[] = { 0, 11, 32, 43, 54 };
    uint64_t *from = v, *to = tmp;
    if (n < 2)
        return;
    for (size_t k = 0; k < sizeof shifts / sizeof *shifts; k++) {
        size_t at[2048] = { 0 };
        for (size_t i = 0; i < n; i++)
            at[from[i] >> shifts[k] & 2047]++;
        if (at[from[0] >> shifts[k] & 2047] == n)
            continue; /* one digit for all */
        size_t sum = 0;
        for (size_t d = 0; d < 2048; d++) {
            size_t c = at[d];
            at[d] = sum;
            sum += c;
        }
        for (size_t i = 0; i < n; i++)
            to[at[from[i] >> shifts[k] & 2047]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != v)
        memcpy(v, from, n * sizeof *v);
}

/* ---- writing ---- */

/* Bits go in from the lowest; x < 2^n, n <= 56. */
static void put_bits(uint8_t *p, size_t *at, uint64_t x, unsigned n)
{
    uint8_t *b = p + *at / 8;
    put_le64(b, get_le64(b) | x << *at % 8);
    *at += n;
}

size_t valmap_page_put(const uint64_t *v, size_t n, struct valmap_shape sh, uint8_t *out,
                       size_t *ret_bytes)
{
    memset(out, 0, VALMAP_PAGE + 8);
    put_le32(out, (uint32_t)(v[0] >> 32));
    size_t at = HEAD * 8, k = 1;
    put_bits(out, &at, (uint32_t)v[0], sh.width);
    for (; k < n && k < VALMAP_PAGE_ENTRIES; k++) {
        uint32_t diff = (uint32_t)(v[k] >> 32) - (uint32_t)(v[k - 1] >> 32);
        uint32_t q = diff >> sh.rice;
        if (q > QUOTIENT_MAX || at + q + 1 + sh.rice + sh.width > (size_t)VALMAP_PAGE * 8)
            break;
        put_bits(out, &at, (1ull << q) - 1, q + 1);
        put_bits(out, &at, diff & ((1ull << sh.rice) - 1), sh.rice);
        put_bits(out, &at, (uint32_t)v[k], sh.width);
    }
    out[4] = (uint8_t)k;
    out[5] = (uint8_t)(k >> 8);
    *ret_bytes = (at + 7) / 8;
    return k;
}

/* ---- reading ---- */

static uint64_t bits_at(const char *p, size_t at)
{
    return get_le64(p + at / 8) >> at % 8;
}

bool valmap_page_each(str page, struct valmap_shape sh, uint32_t lo, uint32_t hi,
                      void (*fn)(void *arg, uint32_t hash, uint32_t block), void *arg)
{
    if (page.n < HEAD || sh.rice > VALMAP_RICE_MAX || sh.width > VALMAP_WIDTH_MAX)
        return false;
    uint64_t hash = get_le32(page.p);
    size_t n = get_le16(page.p + 4), end = page.n * 8, at = HEAD * 8;
    uint64_t block_mask = (1ull << sh.width) - 1, rest_mask = (1ull << sh.rice) - 1;
    if (n == 0 || n > VALMAP_PAGE_ENTRIES)
        return false;
    for (size_t k = 0; k < n && hash <= hi; k++) {
        if (k) {
            if (at >= end)
                return false;
            uint64_t x = bits_at(page.p, at);
            unsigned q = ~x ? (unsigned)__builtin_ctzll(~x) : 64;
            at += q + 1;
            if (q > QUOTIENT_MAX || at + sh.rice > end)
                return false;
            hash += (uint64_t)q << sh.rice | (bits_at(page.p, at) & rest_mask);
            at += sh.rice;
        }
        if (at + sh.width > end || hash > UINT32_MAX)
            return false;
        uint64_t block = bits_at(page.p, at) & block_mask;
        at += sh.width;
        if (hash >= lo && hash <= hi)
            fn(arg, (uint32_t)hash, (uint32_t)block);
    }
    return true;
}
