/* filter.c: see filter.h. The block is chosen by the upper 32 bits of the hash, the bit in each of
 * its eight words by the lower 32 times an odd constant. */
#include "codec/filter.h"

#include "base/rd.h"

static const uint32_t salt[8] = { 0x47b6137bu, 0x44974d91u, 0x8824ad5bu, 0xa2b7289du,
                                  0x705495c7u, 0x2df1424bu, 0x9efc4947u, 0x5c6bfb31u };

static size_t block_at(size_t bytes, uint64_t hash)
{
    return (size_t)((hash >> 32) * (bytes / FILTER_BLOCK) >> 32) * FILTER_BLOCK;
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
