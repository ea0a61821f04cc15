/* agg.h: the functions of stats, each one struct agg_fn in one table.
 *
 * A function keeps a state a group (fixed size, zeroed at birth; what grows hangs off it and is
 * counted against the budget). States never depend on the order rows come in. */
#ifndef FL_QUERY_AGG_H
#define FL_QUERY_AGG_H

#include "base/rd.h"
#include "query/exact.h"
#include "query/internal.h"

struct agg_fn;
#define AGG_Q_ONE 1000000000ull

/* one call as written: p95(duration_ms) if (level:error) as slow */
struct agg {
    const struct agg_fn *fn;
    bool has_ref;
    struct fieldref ref;
    uint64_t q;        /* percentile, 0 .. AGG_Q_ONE */
    uint64_t max;      /* values(x, n) */
    struct pred *cond; /* NULL = every row */
    struct qcol col;
};

/* what add and result may need besides the state */
struct agg_env {
    struct run *r;
    const struct agg *agg;
    ts_ns t; /* of the row */
    uint64_t seq;
    uint32_t group;
    double seconds;    /* result of rate: the span counted over */
    void *shared;      /* of the call, all groups: made by the first add, freed by shared_free */
    struct arena *out; /* for texts of results */
};

/* one value with a text of its own */
struct held {
    bool set;
    struct val v;
    char *text;
    size_t cap;
    ts_ns t;
    uint64_t seq;
};
int held_set(struct run *r, struct held *h, const struct val *v, ts_ns t, uint64_t seq,
             struct err *err);
void held_clear(void *state);

/* what is known of a group's values, which come from the disk in order */
struct listed {
    struct held last;
    uint64_t seen;
    double lo, hi; /* percentiles: the two neighbours of the rank */
};
typedef int list_fn(void *arg, uint32_t group, struct val v, struct err *err);

enum agg_flag {
    AGG_OPTIONAL = 1, /* the field may be left out */
    AGG_TYPED = 2,    /* the result is a value of the field: shown as one (times, levels) */
    AGG_PLACED = 4    /* looks at time and seq of rows */
};

struct agg_fn {
    const char *name;
    unsigned flags;
    size_t size;
    /* v is never null; with no field v is NULL. 0 or < 0 */
    int (*add)(struct agg_env *e, void *state, const struct val *v, struct err *err);
    /* text of the result lives in e->out or in the state */
    int (*result)(struct agg_env *e, void *state, struct val *ret, struct err *err);
    void (*clear)(void *state); /* frees what hangs off; may be NULL */
    void (*shared_free)(void *shared);
    /* Adds what n states of another run have collected: from[i] to into[map[i]]; shared: that
     * run's. */
    int (*merge)(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                 void *shared, struct err *err);
    /* The rows of one column at a time, states[gid[row]]; rows: a bitmap, all have a value. 1: not
     * for this type of column, nothing was done; NULL: never. */
    int (*column)(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                  const uint32_t *gid, struct err *err);
    /* To the disk (stats_spill.c): what a state holds, and that added to what a state holds. */
    void (*save)(const void *state, struct buf *out);
    int (*load)(struct agg_env *e, void *state, struct rd *in, struct err *err);
    /* Functions of all values, else NULL: the values of n groups, in this order of the groups and
     * each one's in val_cmp's; one of them taken back; the result when all were. */
    int (*list)(const char *states, void *shared, const uint32_t *groups, uint32_t n, list_fn *fn,
                void *arg, struct err *err);
    int (*take)(struct agg_env *e, void *state, struct listed *l, const struct val *v,
                struct err *err);
    int (*listed)(struct agg_env *e, const void *state, const struct listed *l, struct val *ret);
    const char *syntax; /* "values(FIELD [, N])" */
    const char *help;   /* what it gives, on one line */
};

/* values of a group up to which count_distinct and percentiles are exact */
static inline uint64_t agg_exact(const struct run *r)
{
    return r->ctl->exact_values ? r->ctl->exact_values : QUERY_EXACT_DEFAULT;
}

extern const struct agg_fn agg_table[];
extern const uint32_t agg_count;
/* by name; the q of p50 .. p999 goes into *ret_q. NULL = unknown */
const struct agg_fn *agg_find(str name, uint64_t *ret_q);
extern const char *const agg_names[];
extern const uint32_t agg_nnames;

#endif
