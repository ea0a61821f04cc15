/* bits.h: plain bitmaps of 64-bit words; bit i is word i/64, bit i%64. */
#ifndef FL_BASE_BITS_H
#define FL_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BITS_WORDS(n) (((size_t)(n) + 63) / 64)

static inline bool bit_get(const uint64_t *w, size_t i)
{
    return w[i / 64] >> (i % 64) & 1;
}
static inline void bit_set(uint64_t *w, size_t i)
{
    w[i / 64] |= 1ull << (i % 64);
}
static inline void bit_clear(uint64_t *w, size_t i)
{
    w[i / 64] &= ~(1ull << (i % 64));
}
/* the first n bits 1, the rest of the last word 0 */
static inline void bits_fill(uint64_t *w, size_t n)
{
    size_t words = BITS_WORDS(n);
    memset(w, 0xff, words * 8);
    if (n % 64)
        w[words - 1] = (1ull << (n % 64)) - 1;
}
static inline void bits_zero(uint64_t *w, size_t n)
{
    memset(w, 0, BITS_WORDS(n) * 8);
}
static inline size_t bits_count(const uint64_t *w, size_t n)
{
    size_t c = 0;
    for (size_t i = 0; i < BITS_WORDS(n); i++)
        c += (size_t)__builtin_popcountll(w[i]);
    return c;
}
static inline bool bits_none(const uint64_t *w, size_t n)
{
    for (size_t i = 0; i < BITS_WORDS(n); i++)
        if (w[i])
            return false;
    return true;
}
/* first set bit at or after i, or n */
static inline size_t bits_next(const uint64_t *w, size_t i, size_t n)
{
    while (i < n) {
        uint64_t x = w[i / 64] >> (i % 64);
        if (x) {
            i += (size_t)__builtin_ctzll(x);
            return i < n ? i : n;
        }
        i = (i / 64 + 1) * 64;
    }
    return n;
}

#endif
