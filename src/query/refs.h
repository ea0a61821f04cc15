/* refs.h: entries by reference: where a row stands instead of what it holds.
 *
 * Whoever keeps a bounded number of entries (the newest 50, the 50 with the largest cost) keeps
 * references while it reads; the columns of an entry are decoded when it is certain to be part of
 * the answer, and only those that are asked for. */
#ifndef FL_QUERY_REFS_H
#define FL_QUERY_REFS_H

#include "query/internal.h"

#define REFS_MAX 65536 /* more rows than that are copied as they come */

struct rowref {
    ts_ns t;
    uint64_t seq;
    uint32_t ref, row; /* a block of the scan, a row of it */
};

/* Hands the entries on in the order of v, in batches within the budget. need: columns that are
 * looked at, NULL = all. 0, OP_ENOUGH, < 0. */
int refs_push(struct run *r, struct op *next, const struct rowref *v, uint64_t n,
              const struct schema *need, struct err *err);
/* The columns that p and the pipes behind it look at, in the arena of the run; NULL: unknown, or
 * whole entries. */
const struct schema *refs_need(struct run *r, const struct pipe *p);

/* ---- the first k rows in order of time ---- */
struct topk {
    bool oldest; /* rising time; else falling */
    uint64_t k;
    bool after; /* only rows behind `from` */
    ts_ns from_t;
    uint64_t from_seq;
    struct rowref *v; /* a heap, the last to come on top */
    size_t n, cap;
};
/* The rows of a block; memory is counted against the run. */
int topk_add(struct topk *t, struct run *r, const struct scan_block *sb, struct err *err);
int topk_merge(struct topk *into, struct run *r, const struct topk *from, struct err *err);
/* puts t->v in order; nothing can be added any more */
void topk_sort(struct topk *t);
void topk_deinit(struct topk *t);

#endif
