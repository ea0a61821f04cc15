/* dead.h: which rows of a segment are deleted: docs/format/dead.md.
 *
 * A list belongs to one segment and names rows by their place in it, so it needs no predicate and
 * cannot come to mean other rows later. It also holds the summary of the rows that are left, so
 * that counts stay exact without a scan. Immutable; a later deletion writes a new list. */
#ifndef FL_STORE_COLUMNAR_DEAD_H
#define FL_STORE_COLUMNAR_DEAD_H

#include "store/columnar/impl.h"

struct dead {
    uint32_t nblocks;
    uint64_t rows;   /* dead ones in all */
    uint64_t **bits; /* per block: bitmap of its dead rows, or NULL when it has none */
    char *bytes;     /* owned; `live` points into it */
    str live;        /* summary of the rows that are left: rollup.c */
};
int dead_new(struct dead **ret, uint32_t nblocks, struct err *err);
void dead_free(struct dead *d);
/* The rows set in `sel` of block i, which has n, are dead too; *ret_new: those that were not. */
int dead_add(struct dead *d, uint32_t i, uint32_t n, const uint64_t *sel, uint32_t *ret_new,
             struct err *err);
void dead_path(const struct seg_meta *m, char out[PATH_MAX_STORE]); /* of list m->dead */
/* The list as file `number` of g, with the summary `live`. */
void dead_encode(const struct dead *d, const struct seg *g, uint64_t number, str live,
                 struct buf *out);
/* ERR_CORRUPT: damaged, or of another segment. g: footer read. The list keeps bytes (mem_alloc). */
int dead_decode(struct dead **ret, const struct seg *g, char *bytes, size_t n, struct err *err);
int dead_load(struct dead **ret, const struct seg *g, struct err *err); /* list g->m.dead */

#endif
