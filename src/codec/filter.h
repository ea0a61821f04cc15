/* filter.h: split-block Bloom filter over 64-bit hashes (Putze, Sanders, Singler 2007; the layout
 * of Apache Parquet's): 256-bit blocks, 8 bits set a key, one cache line a probe.
 *
 * A filter says "certainly not" or "maybe". Segments of version 1 have them; none
 * is written any more, so here they are only asked. */
#ifndef FL_CODEC_FILTER_H
#define FL_CODEC_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define FILTER_BLOCK 32 /* bytes */

/* false: certainly not in it. A filter of a bad size says maybe. */
bool filter_may(str filter, uint64_t hash);

#endif
