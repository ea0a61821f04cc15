/* agg_collect.h: states that hold values: one, all numbers, the first few, the set. */
#ifndef FL_QUERY_AGG_COLLECT_H
#define FL_QUERY_AGG_COLLECT_H

#include "query/agg.h"

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

/* every number, for percentiles */
struct numbers {
    double *v;
    size_t n, cap;
};
int numbers_add(struct agg_env *e, void *state, const struct val *v, struct err *err);
int numbers_result(struct agg_env *e, void *state, struct val *ret, struct err *err);
void numbers_clear(void *state);

/* the n smallest distinct values */
struct sample {
    struct held *h;
    uint32_t n;
};
int sample_add(struct agg_env *e, void *state, const struct val *v, struct err *err);
int sample_result(struct agg_env *e, void *state, struct val *ret, struct err *err);
void sample_clear(void *state);

/* count_distinct: one set of (group, value) for all groups; the state is the count */
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

#endif
