/* tree.h: intervals with parents as a forest: order, depth, self time, critical path.
 *
 * Knows nothing of entries: pipe_trace.c makes nodes of them. Linear but for sorting siblings;
 * nothing recurses, so a chain may be as deep as it likes.
 *
 *   caller: start, end, seq, parent of each ─► tree_link ─► (ends of what is still open) ─►
 * tree_times
 *
 * Circles. Links up that come back to their own node are cut at the earliest node of the circle,
 * which becomes a root.
 *
 * Self time. The length of a node less the parts of it that any child covers.
 *
 * Critical path. What kept the end from coming earlier, from behind: at the end of a node look for
 * the child that ended last, ends beyond the node's own counted as its own; that child is on the
 * path; then look the same way at what ended before that child began; and so on inside each of
 * them. Of children that end together the one that began first is taken. The roots are looked at
 * as the children of one node that spans them all. Nodes without length are on no path. */
#ifndef FL_QUERY_TREE_H
#define FL_QUERY_TREE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"

#define TREE_NONE UINT32_MAX

struct tree_node {
    /* given */
    ts_ns start, end; /* end >= start */
    uint64_t seq;     /* order of those that start together */
    uint32_t parent;  /* TREE_NONE: a root */
    /* by tree_link */
    uint32_t depth;
    uint32_t first, next; /* children and siblings by start, seq; TREE_NONE = no more */
    bool cut;             /* its link up was cut: a circle */
    /* by tree_times */
    bool critical;
    int64_t self_ns;
};

struct tree {
    struct tree_node *v;
    uint32_t n;
    uint32_t root;   /* the first one, TREE_NONE in an empty tree */
    uint32_t *order; /* n nodes, depth first: a parent always before its children */
    struct arena *a; /* memory of order and of work in between */
};

/* ns; instants may lie 585 years apart, which is more than fits: INT64_MAX then */
int64_t tree_between(ts_ns from, ts_ns to);

/* v, n and a are given. ERR_NOMEM. */
int tree_link(struct tree *t, struct err *err);
int tree_times(struct tree *t, struct err *err);

#endif
