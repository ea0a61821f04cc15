/* filter.c: see filter.h. The block is chosen by the upper 32 bits of the hash, the bit in each of
 * its eight words by the lower 32 times an odd constant. */
#include "codec/filter.h"

#include "base/rd.h"

static const uint32_t salt[8] = { 0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
                                  0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u };

size_t filter_bytes(size_t nkeys)
{
    size_t blocks = (nkeys * 8 + FILTER_BLOCK * 8 - 1) / (FILTER_BLOCK * 8);
    return (blocks ? blocks : 1) * FILTER_BLOCK;
}

static size_t block_at(size_t bytes, uint64_t hash)
{
    return (size_t)((hash >> 32) * (bytes / FILTER_BLOCK) >> 32) * FILTER_BLOCK;
}

void filter_add(uint8_t *f, size_t bytes, uint64_t hash)
{
    uint8_t *b = f + block_at(bytes, hash);
    for (int i = 0; i < 8; i++) {
        uint32_t bit = ((uint32_t)hash * salt[i]) >> 27;
        put_le32(b + i * 4, get_le32(b + i * 4) | 1u << bit);
    }
}

bool filter_may(str filter, uint64_t hash)
{
    if (!filter.n || filter.n % FILTER_BLOCK)
        return true;
    const char *b = filter.p + block_at(filter.n, hash);
    for (int i = 0; i < 8; i++) {
        uint32_t bit = ((uint32_t)hash * salt[i]) >> 27;
        if (!(get_le32(b + i * 4) >> bit & 1))
            return false;
    }
    return true;
}
