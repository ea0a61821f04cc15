/* stats.h: the operator of `stats`, for pipe_stats.c and stats_spill.c. */
#ifndef FL_QUERY_STATS_H
#define FL_QUERY_STATS_H

#include "query/agg.h"
#include "query/group.h"
#include "query/spill_sort.h"

#define AGGS_MAX 32

struct stats_args {
    struct agg aggs[AGGS_MAX];
    uint32_t n;
    struct by_args by;
    int64_t step; /* of time() among the keys, 0 = none */
};

struct stats_op {
    struct op op;
    struct grouper g;
    bool grouping; /* g was set up */
    char *states[AGGS_MAX];
    void *shared[AGGS_MAX];
    uint32_t ready; /* groups that have states */
    uint32_t cap;
    ts_ns first, last; /* of all rows */
    bool placed;
    int64_t arrived; /* rows of tables have no time: their order stands for it */
    size_t own;      /* bytes the groups take */
    struct spill spill;
    struct arena out; /* texts of results, until they are handed on */
};

void stats_clear(struct stats_op *s); /* the states and the groups */
/* All groups to the disk; none is left. */
int stats_spill(struct stats_op *s, struct err *err);
/* The rows of all groups, joined from the disk, into the next operator. */
int stats_join(struct stats_op *s, double seconds, struct err *err);

#endif
