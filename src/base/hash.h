/* hash.h: the three hashes and what each is for.
 *
 * crc32c     on disk, next to every stored byte (Castagnoli; RFC 3720 B.4)
 * hash64     on disk and in filters: XXH3-64 with seed 0, stable across machines
 * hash_keyed in memory, for tables whose keys clients choose (seeded per process) */
#ifndef FL_BASE_HASH_H
#define FL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t n); /* start with crc = 0 */
uint32_t crc32c_portable(uint32_t crc, const void *p,
                         size_t n); /* the same without the CPU's help */
uint64_t hash64(const void *p, size_t n);
uint64_t hash64_seed(const void *p, size_t n, uint64_t seed);
uint64_t hash_keyed(str s);
/* For tests that replay a run by seed: before any table is filled. */
void hash_set_seed(uint64_t seed);
static inline uint64_t hash_mix(uint64_t x) /* splitmix64 finaliser */
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

#endif
