/* bitpack.c: see bitpack.h. */
#include "codec/bitpack.h"

void bitpack_put(struct buf *b, const uint64_t *v, uint32_t n, unsigned width)
{
    size_t bytes = bitpack_bytes(n, width);
    char *p = bytes ? buf_reserve(b, bytes) : NULL;
    if (!p)
        return;
    memset(p, 0, bytes);
    for (uint32_t i = 0; i < n; i++) {
        size_t bit = (size_t)i * width;
        char *q = p + bit / 8;
        put_le64(q, get_le64(q) | v[i] << (bit % 8));
    }
    buf_advance(b, bytes);
}
