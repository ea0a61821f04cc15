/* run.h: what run.c, source.c and sink.c share about one run. */
#ifndef FL_QUERY_RUN_H
#define FL_QUERY_RUN_H

#include "query/internal.h"

/* how the scan feeds the first operator */
struct plan {
    bool ordered; /* newest (oldest) first */
    bool oldest;
    bool tail;     /* the first pipe that looks at the order is tail: keep is its number */
    bool filtered; /* rows may be dropped before that pipe */
    bool dedup;    /* the first pipe that looks at the order is dedup, which sees to it itself */
    uint64_t keep;
};

struct plan plan_order(const struct query *q);
uint64_t final_limit(const struct query *q, bool *ret_default);
/* need: rows wanted at most (UINT64_MAX = all) */
int source_run(struct run *r, const struct plan *plan, uint64_t need, struct err *err);
/* what a further scan read, to the account of the first one */
void cost_add(struct scan_cost *to, const struct scan_cost *c);
extern const struct op_ops sink_ops;
void count_set(struct op *o, uint64_t n); /* pipe_count.c */

#endif
