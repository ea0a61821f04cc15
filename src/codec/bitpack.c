/* bitpack.c: see bitpack.h.
 *
 * Unpacking takes eight values at a time: they are `width` bytes, and where each starts in them is
 * known once the width is. The widths below 33 have a loop of their own, in which the compiler
 * knows all shifts. */
#include "codec/bitpack.h"

void bitpack_tight(struct buf *b, const int64_t *v, uint32_t n, int64_t base, unsigned width)
{
    size_t bytes = bitpack_tight_bytes(n, width);
    char *p = bytes ? buf_reserve(b, bytes + 8) : NULL;
    if (!p)
        return;
    uint64_t mask = width == 64 ? UINT64_MAX : (1ull << width) - 1, acc = 0;
    unsigned have = 0; /* bits in acc, < 8 between values */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = ((uint64_t)v[i] - (uint64_t)base) & mask;
        acc |= x << have; /* width 64 comes with have == 0 */
        put_le64(p, acc);
        unsigned bits = have + width;
        p += bits / 8;
        acc = bits >= 64 ? 0 : acc >> (bits / 8 * 8);
        have = bits % 8;
    }
    buf_advance(b, bytes);
}

static inline __attribute__((always_inline)) void unpack_eights(const uint8_t *p, uint32_t eights,
                                                                uint64_t base, unsigned w,
                                                                int64_t *v)
{
    uint64_t mask = (1ull << w) - 1;
    for (uint32_t k = 0; k < eights; k++, p += w, v += 8)
        for (unsigned j = 0; j < 8; j++)
            v[j] = (int64_t)(base + (get_le64(p + j * w / 8) >> (j * w % 8) & mask));
}

/* `eights` groups, after which 8 more bytes may be read */
static void unpack_bulk(const uint8_t *p, uint32_t eights, uint64_t base, unsigned w, int64_t *v)
{
#define W(n)                                                                                       \
    case n:                                                                                        \
        unpack_eights(p, eights, base, n, v);                                                      \
        break;
#define W8(n) W(n) W(n + 1) W(n + 2) W(n + 3) W(n + 4) W(n + 5) W(n + 6) W(n + 7)
    switch (w) {
        W8(1)
        W8(9)
        W8(17)
        W8(25)
    default: unpack_eights(p, eights, base, w, v); break;
    }
#undef W8
#undef W
}

void bitpack_unpack(const uint8_t *p, uint32_t n, int64_t base, unsigned width, int64_t *v)
{
    uint32_t i = 0;
    if (width == 0) {
        for (; i < n; i++)
            v[i] = base;
        return;
    }
    if (width == 64) {
        for (; i < n; i++)
            v[i] = (int64_t)((uint64_t)base + get_le64(p + (size_t)i * 8));
        return;
    }
    size_t bytes = bitpack_tight_bytes(n, width);
    if (bytes >= 8 + width) {
        uint32_t eights = (uint32_t)((bytes - 8) / width);
        eights = eights > n / 8 ? n / 8 : eights;
        unpack_bulk(p, eights, (uint64_t)base, width, v);
        i = eights * 8;
    }
    for (; i < n; i++) { /* the last few, from a copy that may be read past its end */
        size_t bit = (size_t)i * width, at = bit / 8, left = bytes - at;
        uint8_t tail[16] = { 0 };
        memcpy(tail, p + at, left < 8 ? left : 8);
        v[i] = (int64_t)((uint64_t)base + (get_le64(tail) >> (bit % 8) & ((1ull << width) - 1)));
    }
}
