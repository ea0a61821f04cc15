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
    bool sorted;   /* a bounded sort by time first (newest, or `oldest`): blocks come in that order,
                      and it tells from when on no more is wanted */
    bool dedup;    /* the first pipe that looks at the order is dedup, which sees to it itself */
    bool renamed;  /* a pipe before it may have changed the columns */
    uint64_t keep;
};

struct plan plan_order(const struct query *q);
uint64_t final_limit(const struct query *q, bool *ret_default);
/* need: rows wanted at most (UINT64_MAX = all) */
int source_run(struct run *r, const struct plan *plan, uint64_t need, struct err *err);
/* what a further scan read, to the account of the first one */
void cost_add(struct scan_cost *to, const struct scan_cost *c);
/* A query that stands in this one, at the moment of its scan. say: its warnings are told. */
int run_inner(struct run *r, const struct query *q, struct query_sink *sink, struct scan_cost *cost,
              bool say, struct err *err);
/* New operators for the same pipes as first .. last, opened, without a next one behind. */
int ops_chain(struct run *r, const struct op *first, const struct op *last, struct op **ret,
              struct err *err);
/* Puts new operators in the place of the run's first ones up to `last`. */
int ops_anew(struct run *r, const struct op *last, struct err *err);
void ops_close(struct op *o); /* of a chain; NULL is fine */
extern const struct op_ops sink_ops;
/* pipe_sort.c: is time what it sorts by first? */
bool sort_by_time(const struct pipe *p, bool *ret_oldest);
/* the time behind which no row can be among those wanted; false: not yet known */
bool sort_floor(const struct op *o, ts_ns *ret);
/* a sort that holds few rows, however many it is given? */
bool sort_is_small(const struct op *o);
/* Is p a sort that leaves no tie between rows that differ in one of these columns of its table?
 * Then the order they come in does not matter. */
bool sort_settles(const struct pipe *p, const struct qcol *cols, uint32_t n);
/* pipe_patterns.c: the answer where the store's summaries are it */
int patterns_without_scan(struct run *r, bool *ret_done, struct err *err);
void count_set(struct op *o, uint64_t n); /* pipe_count.c */

#endif
