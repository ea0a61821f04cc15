/* agg.c: see agg.h. Counting, sums and extremes are here, collections in agg_collect.c. */
#include "query/agg.h"

#include <math.h>

#include "base/mem.h"
#include "query/agg_collect.h"

/* ---- count, rate ---- */

static int count_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    (void)e;
    (void)v;
    (void)err;
    ++*(uint64_t *)state;
    return 0;
}

static int count_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    (void)e;
    (void)err;
    *ret = (struct val){ .t = V_I64, .i = (int64_t) * (uint64_t *)state };
    return 0;
}

static struct val number(double d)
{
    if (!isfinite(d))
        return VAL_ABSENT;
    if (d == floor(d) && fabs(d) < 9007199254740992.0)
        return (struct val){ .t = V_I64, .i = (int64_t)d };
    return (struct val){ .t = V_F64, .d = d };
}

/* ---- sums ---- */

static int sum_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    double d;
    (void)e;
    if (v && v->t == V_I64) {
        exact_add_i64(state, v->i);
    } else if (!v) {
        exact_add_i64(state, 1);
    } else if (val_is_num(v, &d) && isfinite(d)) {
        bool had = ((struct exact_sum *)state)->big;
        if (!exact_add_f64(state, d))
            return err_nomem(err);
        if (!had && ((struct exact_sum *)state)->big) {
            e->r->kept_bytes += sizeof(struct exact_big);
            return run_room(e->r, "stats", err);
        }
    }
    return 0;
}

static int sum_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    const struct exact_sum *s = state;
    (void)e;
    (void)err;
    *ret = s->n ? exact_val(s) : VAL_ABSENT;
    return 0;
}

static int avg_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    const struct exact_sum *s = state;
    (void)e;
    (void)err;
    *ret = s->n ? number(exact_f64(s) / (double)s->n) : VAL_ABSENT;
    return 0;
}

static int rate_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    (void)err;
    *ret = number(exact_f64(state) / e->seconds);
    return 0;
}

static void sum_clear(void *state)
{
    exact_deinit(state);
}

/* ---- stddev: exact sums of x and x*x, then 106 bits for their difference ---- */

struct spread {
    struct exact_big *x, *xx;
    uint64_t n;
};

static int spread_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct spread *s = state;
    double d;
    if (!val_is_num(v, &d) || !isfinite(d))
        return 0;
    if (!s->x) {
        s->x = mem_zalloc(sizeof *s->x);
        s->xx = mem_zalloc(sizeof *s->xx);
        if (!s->x || !s->xx)
            return err_nomem(err);
        e->r->kept_bytes += 2 * sizeof *s->x;
        int rc = run_room(e->r, "stats", err);
        if (rc)
            return rc;
    }
    double hi = d * d;
    exact_big_add(s->x, d);
    exact_big_add(s->xx, hi);
    exact_big_add(s->xx, fma(d, d, -hi));
    s->n++;
    return 0;
}

static int spread_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    const struct spread *s = state;
    (void)e;
    (void)err;
    *ret = VAL_ABSENT;
    if (!s->n)
        return 0;
    double n = (double)s->n, h, l, h2, l2;
    exact_big_get(s->x, &h, &l);
    exact_big_get(s->xx, &h2, &l2);
    /* (sum xx - (sum x)^2 / n) / n */
    double sq = h * h, sq_low = fma(h, h, -sq) + 2 * h * l;
    double q = sq / n, q_low = (fma(-q, n, sq) + sq_low) / n;
    double var = ((h2 - q) + (l2 - q_low)) / n;
    *ret = number(var > 0 ? sqrt(var) : 0);
    return 0;
}

static void spread_clear(void *state)
{
    mem_free(((struct spread *)state)->x);
    mem_free(((struct spread *)state)->xx);
}

/* ---- one value: min max first last any ---- */

static int keep_one(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    return held_set(e->r, state, v, e->t, e->seq, err);
}

static int min_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct held *h = state;
    return !h->set || val_cmp(v, &h->v) < 0 ? keep_one(e, state, v, err) : 0;
}

static int max_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct held *h = state;
    return !h->set || val_cmp(v, &h->v) > 0 ? keep_one(e, state, v, err) : 0;
}

static int first_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct held *h = state;
    bool earlier = e->t < h->t || (e->t == h->t && e->seq < h->seq);
    return !h->set || earlier ? keep_one(e, state, v, err) : 0;
}

static int last_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct held *h = state;
    bool later = e->t > h->t || (e->t == h->t && e->seq > h->seq);
    return !h->set || later ? keep_one(e, state, v, err) : 0;
}

static int held_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    const struct held *h = state;
    (void)e;
    (void)err;
    *ret = h->set ? val_normal(h->v) : VAL_ABSENT;
    return 0;
}

/* ---- the table ---- */

static const struct agg_fn functions[] = {
    { "count", AGG_OPTIONAL, sizeof(uint64_t), count_add, count_result, NULL, NULL },
    { "count_distinct", 0, sizeof(uint64_t), distinct_add, count_result, NULL, distinct_free },
    { "sum", 0, sizeof(struct exact_sum), sum_add, sum_result, sum_clear, NULL },
    { "avg", 0, sizeof(struct exact_sum), sum_add, avg_result, sum_clear, NULL },
    { "min", AGG_TYPED, sizeof(struct held), min_add, held_result, held_clear, NULL },
    { "max", AGG_TYPED, sizeof(struct held), max_add, held_result, held_clear, NULL },
    { "median", AGG_TYPED, sizeof(struct numbers), numbers_add, numbers_result, numbers_clear,
      NULL },
    { "percentile", AGG_TYPED, sizeof(struct numbers), numbers_add, numbers_result, numbers_clear,
      NULL },
    { "stddev", 0, sizeof(struct spread), spread_add, spread_result, spread_clear, NULL },
    { "first", AGG_TYPED | AGG_PLACED, sizeof(struct held), first_add, held_result, held_clear,
      NULL },
    { "last", AGG_TYPED | AGG_PLACED, sizeof(struct held), last_add, held_result, held_clear,
      NULL },
    { "any", AGG_TYPED | AGG_PLACED, sizeof(struct held), first_add, held_result, held_clear,
      NULL },
    { "values", 0, sizeof(struct sample), sample_add, sample_result, sample_clear, NULL },
    { "rate", AGG_OPTIONAL, sizeof(struct exact_sum), sum_add, rate_result, sum_clear, NULL },
};

const char *const agg_names[] = { "count",  "count_distinct",
                                  "sum",    "avg",
                                  "min",    "max",
                                  "median", "percentile",
                                  "stddev", "first",
                                  "last",   "any",
                                  "values", "rate",
                                  "p95",    "p50",
                                  "p75",    "p90",
                                  "p99",    "p999" };
const uint32_t agg_nnames = sizeof agg_names / sizeof *agg_names;

static const struct agg_fn *named(str name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (str_eq(name, str_c(functions[i].name)))
            return &functions[i];
    return NULL;
}

/* p5 is no percentile of the language: two digits are hundredths, three are thousandths */
static bool percentile_name(str name, uint64_t *ret_q)
{
    uint64_t n;
    if (name.n < 3 || name.n > 4 || name.p[0] != 'p' || !str_to_u64(str_skip(name, 1), &n))
        return false;
    *ret_q = n * (AGG_Q_ONE / (name.n == 3 ? 100 : 1000));
    return *ret_q >= AGG_Q_ONE / 2;
}

const struct agg_fn *agg_find(str name, uint64_t *ret_q)
{
    *ret_q = AGG_Q_ONE / 2;
    return percentile_name(name, ret_q) ? named(STR("percentile")) : named(name);
}
