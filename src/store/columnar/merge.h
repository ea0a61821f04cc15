/* merge.h: the two halves of merging: merge.c chooses segments, merge_sort.c sorts their rows. */
#ifndef FL_STORE_COLUMNAR_MERGE_H
#define FL_STORE_COLUMNAR_MERGE_H

#include "store/columnar/impl.h"

#define MERGE_OPEN_BYTES ((size_t)64 << 20)    /* decoded blocks held at a time */
#define MERGE_GROUP_BYTES ((uint64_t)32 << 20) /* text of a group of rows sorted by time */
#define MERGE_BLOCK_BYTES ((uint64_t)16 << 20) /* text of a block */

struct merge_sort {
    struct seg_writer *w;
    /* asked between groups: non-zero ends the merge with this code */
    int (*go_on)(void *ctx, struct err *err);
    void *ctx;
    struct seg *failed; /* set when a segment cannot be read */
};
/* Writes the rows of n neighbouring segments, in order of seq, anew: in groups of at most
 * MERGE_GROUP_BYTES and 32,768 rows that do not overlap in time, unless more than MERGE_OPEN_BYTES
 * would have to be decoded for that. Every block is decoded once. */
int merge_sort(struct merge_sort *m, struct seg *const *segs, uint32_t n, struct err *err);

#endif
