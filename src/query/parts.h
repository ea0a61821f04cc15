/* parts.h: one scan read by several threads, each into operators of its own.
 *
 * The first operators of a run, up to the one that collects (stats, top, a bounded sort, ...),
 * exist once a thread; when the scan has ended, what each has collected is merged into the run's
 * own operators, which then finish as if they had seen every row. Results do not depend on who saw
 * which block: a collector's must not depend on the order of rows anyhow. */
#ifndef FL_QUERY_PARTS_H
#define FL_QUERY_PARTS_H

#include "query/refs.h"

#define PARTS_AGAIN 2 /* did not fit the budget: the run is as before, read it in one part */

struct parts_plan {
    struct run *r;
    struct scan *sc;
    struct topk *top; /* rows go in here, by time; NULL: into the operators */
    bool floor; /* rows behind the last one of top, or of a sort by time, are not wanted at all */
};

/* The operator that collects, when nothing but what works row by row stands before it; or NULL. */
struct op *parts_collector(struct run *r);

/* Is there something to gain? */
bool parts_worth(const struct parts_plan *p);
/* Reads the scan to its end. *ret_matched: rows of the filter. 0, PARTS_AGAIN, < 0. */
int parts_run(const struct parts_plan *p, uint64_t *ret_matched, struct err *err);

#endif
