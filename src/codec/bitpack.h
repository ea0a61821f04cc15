/* bitpack.h: unsigned integers of a fixed bit width, least significant bit first.
 *
 * Value i occupies bits [i*w, (i+1)*w). Widths 0..56, or 64. A tight run (bitpack_tight,
 * bitpack_unpack) ends with its last byte. A padded run, as version 1 pages have it, is followed by
 * BITPACK_PAD bytes so that bitpack_get may load 8 bytes at any position. */
#ifndef FL_CODEC_BITPACK_H
#define FL_CODEC_BITPACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rd.h"

#define BITPACK_PAD 8

/* smallest allowed width that holds max */
static inline unsigned bitpack_width(uint64_t max)
{
    unsigned w = max ? 64 - (unsigned)__builtin_clzll(max) : 0;
    return w > 56 ? 64 : w;
}
static inline size_t bitpack_tight_bytes(uint32_t n, unsigned width)
{
    return ((size_t)n * width + 7) / 8;
}
/* Appends (v[i] - base) mod 2^width for n values. */
void bitpack_tight(struct buf *b, const int64_t *v, uint32_t n, int64_t base, unsigned width);
/* v[i] = base + value i (mod 2^64), from exactly bitpack_tight_bytes(n, width) bytes */
void bitpack_unpack(const uint8_t *p, uint32_t n, int64_t base, unsigned width, int64_t *v);

static inline size_t bitpack_bytes(uint32_t n, unsigned width)
{
    return width ? ((size_t)n * width + 7) / 8 + BITPACK_PAD : 0;
}
static inline uint64_t bitpack_get(const uint8_t *p, uint32_t i, unsigned width)
{
    if (width == 0)
        return 0;
    size_t bit = (size_t)i * width;
    uint64_t x = get_le64(p + bit / 8) >> (bit % 8);
    return width == 64 ? x : x & ((1ull << width) - 1);
}

#endif
