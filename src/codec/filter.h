/* filter.h: split-block Bloom filter over 64-bit hashes (Putze, Sanders, Singler 2007; the layout
 * of Apache Parquet's): 256-bit blocks, 8 bits set a key, one cache line a probe.
 *
 * A filter says "certainly not" or "maybe". 8 bits a key give about 2.5 % false positives. */
#ifndef FL_CODEC_FILTER_H
#define FL_CODEC_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define FILTER_BLOCK 32 /* bytes */

/* bytes for n keys at 8 bits each: a multiple of FILTER_BLOCK, at least one */
size_t filter_bytes(size_t nkeys);
/* sets the key's bits in a filter of `bytes` zero-initialised bytes */
void filter_add(uint8_t *f, size_t bytes, uint64_t hash);
/* false: certainly not in it. A filter of a bad size says maybe. */
bool filter_may(str filter, uint64_t hash);

#endif
