/* valmap.h: a page of a map from 32-bit hashes of values to the blocks that hold them.
 *
 * Entries rise by hash, then block. Differences of hashes are Rice-coded (Golomb 1966, Rice 1979:
 * the quotient by 2^rice in ones and a zero, the remainder in `rice` bits), which is within half a
 * bit of the least possible for hashes; a block number takes `width` bits. A page says how many
 * entries it has and the first hash in full:
 *
 *   first u32 | count u16 | block, { difference, block } ... | zeros
 *
 * Pure; hostile bytes give false, never more than VALMAP_PAGE_ENTRIES calls. */
#ifndef FL_CODEC_VALMAP_H
#define FL_CODEC_VALMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define VALMAP_PAGE 2044 /* bytes of a full page; the last one of a map ends where its bits do */
#define VALMAP_PAGE_ENTRIES 16384
#define VALMAP_RICE_MAX 31
#define VALMAP_WIDTH_MAX 22 /* so many bits of a block number */

struct valmap_shape {
    uint8_t rice, width;
};
/* for n entries of blocks below nblocks */
struct valmap_shape valmap_shape_of(uint64_t n, uint32_t nblocks);

static inline uint64_t valmap_entry(uint32_t hash, uint32_t block)
{
    return (uint64_t)hash << 32 | block;
}
/* Sorts entries; tmp has room for n. */
void valmap_sort(uint64_t *v, uint64_t *tmp, size_t n);
/* Writes a page of the first entries of v (n > 0, sorted, no two equal); *ret_bytes of out, which
 * has VALMAP_PAGE + 8; returns how many entries are in it. */
size_t valmap_page_put(const uint64_t *v, size_t n, struct valmap_shape sh, uint8_t *out,
                       size_t *ret_bytes);
/* Calls fn for the entries with lo <= hash <= hi. page: with 8 readable bytes behind it. False: the
 * page is damaged. */
bool valmap_page_each(str page, struct valmap_shape sh, uint32_t lo, uint32_t hi,
                      void (*fn)(void *arg, uint32_t hash, uint32_t block), void *arg);

#endif
