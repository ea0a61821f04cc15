/* agg_collect.h: states that hold values: one, all numbers, the first few, the set. */
#ifndef FL_QUERY_AGG_COLLECT_H
#define FL_QUERY_AGG_COLLECT_H

#include "query/agg.h"
#include "query/sketch.h"

/* Percentiles (agg_numbers.c): every number, or a sketch of them. */
struct numbers {
    double *v; /* held of them */
    size_t held, cap;
    uint64_t n;
    struct qsketch *sketch; /* NULL: all are held, or still to come from the disk */
};
int numbers_add(struct agg_env *e, void *state, const struct val *v, struct err *err);
int numbers_result(struct agg_env *e, void *state, struct val *ret, struct err *err);
void numbers_clear(void *state);

/* the n smallest distinct values */
struct sample {
    struct held *h;
    uint32_t n, cap;
};
int sample_add(struct agg_env *e, void *state, const struct val *v, struct err *err);
int sample_result(struct agg_env *e, void *state, struct val *ret, struct err *err);
void sample_clear(void *state);

/* stddev: exact sums of x and x*x */
struct spread {
    struct exact_big *x, *xx;
    uint64_t n;
    double least, most; /* where they are equal the result is 0, whatever rounding says */
};

/* count_distinct (agg_distinct.c): one set of (group, value) for all groups, and a sketch for each
 * group that has many. */
struct distinct {
    uint64_t n;
    struct hll *hll; /* on the way back from the disk also where it may turn out not to be needed */
    bool sketched;
};
void distinct_clear(void *state);
int distinct_result(struct agg_env *e, void *state, struct val *ret, struct err *err);
void distinct_save(const void *state, struct buf *out);
int distinct_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
int distinct_add(struct agg_env *e, void *state, const struct val *v, struct err *err);
void distinct_free(void *shared);

/* merge and column of struct agg_fn */
int numbers_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                  void *shared, struct err *err);
int sample_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                 void *shared, struct err *err);
int distinct_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                   void *shared, struct err *err);
int distinct_column(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                    const uint32_t *gid, struct err *err);

/* save, load, list, take and listed of struct agg_fn */
void count_save(const void *state, struct buf *out);
int count_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
void sum_save(const void *state, struct buf *out);
int sum_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
void spread_save(const void *state, struct buf *out);
int spread_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
void held_save(const void *state, struct buf *out);
int held_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
void sample_save(const void *state, struct buf *out);
int sample_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
void numbers_save(const void *state, struct buf *out);
int numbers_load(struct agg_env *e, void *state, struct rd *in, struct err *err);
int numbers_list(const char *states, void *shared, const uint32_t *groups, uint32_t n, list_fn *fn,
                 void *arg, struct err *err);
int numbers_take(struct agg_env *e, void *state, struct listed *l, const struct val *v,
                 struct err *err);
int numbers_listed(struct agg_env *e, const void *state, const struct listed *l, struct val *ret);
int distinct_list(const char *states, void *shared, const uint32_t *groups, uint32_t n, list_fn *fn,
                  void *arg, struct err *err);
int distinct_take(struct agg_env *e, void *state, struct listed *l, const struct val *v,
                  struct err *err);
int distinct_listed(struct agg_env *e, const void *state, const struct listed *l, struct val *ret);

#endif
