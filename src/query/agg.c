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

static int count_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                       void *shared, struct err *err)
{
    uint64_t *to = (uint64_t *)(void *)into, *other = (uint64_t *)(void *)from;
    (void)e;
    (void)shared;
    (void)err;
    for (uint32_t i = 0; i < n; i++)
        to[map[i]] += other[i];
    return 0;
}

/* for every row of a bitmap: i */
#define EACH_ROW(rows, n, i)                                                                       \
    for (size_t w_ = 0; w_ < BITS_WORDS(n); w_++)                                                  \
        for (uint64_t m_ = (rows)[w_], i; m_ && (i = w_ * 64 + (uint64_t)__builtin_ctzll(m_), 1);  \
             m_ &= m_ - 1)

static int count_column(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                        const uint32_t *gid, struct err *err)
{
    uint64_t *n = (uint64_t *)(void *)states;
    (void)e;
    (void)err;
    EACH_ROW(rows, c->n, i)
    n[gid[i]]++;
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

static int sum_column(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                      const uint32_t *gid, struct err *err)
{
    struct exact_sum *s = (struct exact_sum *)(void *)states;
    bool ok = true;
    if (c->type == V_I64) {
        EACH_ROW(rows, c->n, i)
        exact_add_i64(&s[gid[i]], c->i64[i]);
        return 0;
    }
    if (c->type != V_F64)
        return 1;
    EACH_ROW(rows, c->n, i)
    {
        struct exact_sum *at = &s[gid[i]];
        bool had = at->big;
        if (!isfinite(c->f64[i]))
            continue;
        ok &= exact_add_decimal(at, c->f64[i]);
        if (!had && at->big)
            e->r->kept_bytes += sizeof(struct exact_big);
    }
    return ok ? run_room(e->r, "stats", err) : err_nomem(err);
}

static int sum_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                     void *shared, struct err *err)
{
    struct exact_sum *to = (struct exact_sum *)(void *)into,
                     *other = (struct exact_sum *)(void *)from;
    (void)shared;
    for (uint32_t i = 0; i < n; i++) {
        bool had = to[map[i]].big;
        if (!exact_merge(&to[map[i]], &other[i]))
            return err_nomem(err);
        if (!had && to[map[i]].big)
            e->r->kept_bytes += sizeof(struct exact_big);
    }
    return run_room(e->r, "stats", err);
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
    s->least = s->n && s->least < d ? s->least : d;
    s->most = s->n && s->most > d ? s->most : d;
    s->n++;
    return 0;
}

static int spread_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                        void *shared, struct err *err)
{
    struct spread *to = (struct spread *)(void *)into, *other = (struct spread *)(void *)from;
    (void)shared;
    for (uint32_t i = 0; i < n; i++) {
        struct spread *s = &to[map[i]];
        if (!other[i].n)
            continue;
        if (!s->x) {
            s->x = mem_zalloc(sizeof *s->x);
            s->xx = mem_zalloc(sizeof *s->xx);
            if (!s->x || !s->xx)
                return err_nomem(err);
            e->r->kept_bytes += 2 * sizeof *s->x;
        }
        exact_big_merge(s->x, other[i].x);
        exact_big_merge(s->xx, other[i].xx);
        s->least = s->n && s->least < other[i].least ? s->least : other[i].least;
        s->most = s->n && s->most > other[i].most ? s->most : other[i].most;
        s->n += other[i].n;
    }
    return run_room(e->r, "stats", err);
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
    *ret = number(var > 0 && s->least < s->most ? sqrt(var) : 0);
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

/* what add does with every value the other side has held */
static int held_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                      void *shared, struct err *err)
{
    struct held *to = (struct held *)(void *)into, *other = (struct held *)(void *)from;
    int rc = 0;
    (void)shared;
    for (uint32_t i = 0; i < n && !rc; i++) {
        e->t = other[i].t;
        e->seq = other[i].seq;
        if (other[i].set)
            rc = e->agg->fn->add(e, &to[map[i]], &other[i].v, err);
    }
    return rc;
}

/* Numbers: only one that is better than the group's goes the long way. */
static int extreme_column(struct agg_env *e, char *states, const struct colv *c,
                          const uint64_t *rows, const uint32_t *gid, bool max, struct err *err)
{
    struct held *s = (struct held *)(void *)states;
    int rc = 0;
    if (c->type != V_I64 && c->type != V_F64)
        return 1;
    EACH_ROW(rows, c->n, i)
    {
        struct held *h = &s[gid[i]];
        struct val v = { .t = c->type };
        bool better = !h->set || h->v.t != c->type;
        if (c->type == V_I64) {
            v.i = c->i64[i];
            better = better || (max ? v.i > h->v.i : v.i < h->v.i);
        } else {
            v.d = c->f64[i];
            better = better || !(max ? v.d <= h->v.d : v.d >= h->v.d);
        }
        if (better)
            rc = e->agg->fn->add(e, h, &v, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int min_column(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                      const uint32_t *gid, struct err *err)
{
    return extreme_column(e, states, c, rows, gid, false, err);
}

static int max_column(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                      const uint32_t *gid, struct err *err)
{
    return extreme_column(e, states, c, rows, gid, true, err);
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

const struct agg_fn agg_table[] = {
    { "count", AGG_OPTIONAL, sizeof(uint64_t), count_add, count_result, NULL, NULL, count_merge,
      count_column, count_save, count_load, NULL, NULL, NULL, "count([FIELD])",
      "rows, or those that have the field" },
    { "count_distinct", 0, sizeof(struct distinct), distinct_add, distinct_result, distinct_clear,
      distinct_free, distinct_merge, distinct_column, distinct_save, distinct_load, distinct_list,
      distinct_take, distinct_listed, "count_distinct(FIELD)", "different values" },
    { "sum", 0, sizeof(struct exact_sum), sum_add, sum_result, sum_clear, NULL, sum_merge,
      sum_column, sum_save, sum_load, NULL, NULL, NULL, "sum(FIELD)",
      "the sum, exact for decimals" },
    { "avg", 0, sizeof(struct exact_sum), sum_add, avg_result, sum_clear, NULL, sum_merge,
      sum_column, sum_save, sum_load, NULL, NULL, NULL, "avg(FIELD)", "the mean" },
    { "min", AGG_TYPED, sizeof(struct held), min_add, held_result, held_clear, NULL, held_merge,
      min_column, held_save, held_load, NULL, NULL, NULL, "min(FIELD)", "the least value" },
    { "max", AGG_TYPED, sizeof(struct held), max_add, held_result, held_clear, NULL, held_merge,
      max_column, held_save, held_load, NULL, NULL, NULL, "max(FIELD)", "the greatest value" },
    { "median", AGG_TYPED, sizeof(struct numbers), numbers_add, numbers_result, numbers_clear, NULL,
      numbers_merge, NULL, numbers_save, numbers_load, numbers_list, numbers_take, numbers_listed,
      "median(FIELD)", "the value in the middle" },
    { "percentile", AGG_TYPED, sizeof(struct numbers), numbers_add, numbers_result, numbers_clear,
      NULL, numbers_merge, NULL, numbers_save, numbers_load, numbers_list, numbers_take,
      numbers_listed, "percentile(FIELD, N)",
      "the value that N percent do not exceed; p50 to p999 for short" },
    { "stddev", 0, sizeof(struct spread), spread_add, spread_result, spread_clear, NULL,
      spread_merge, NULL, spread_save, spread_load, NULL, NULL, NULL, "stddev(FIELD)",
      "the standard deviation" },
    { "first", AGG_TYPED | AGG_PLACED, sizeof(struct held), first_add, held_result, held_clear,
      NULL, held_merge, NULL, held_save, held_load, NULL, NULL, NULL, "first(FIELD)",
      "the earliest value in time" },
    { "last", AGG_TYPED | AGG_PLACED, sizeof(struct held), last_add, held_result, held_clear, NULL,
      held_merge, NULL, held_save, held_load, NULL, NULL, NULL, "last(FIELD)",
      "the latest value in time" },
    { "any", AGG_TYPED | AGG_PLACED, sizeof(struct held), first_add, held_result, held_clear, NULL,
      held_merge, NULL, held_save, held_load, NULL, NULL, NULL, "any(FIELD)",
      "one of the values, always the same" },
    { "values", 0, sizeof(struct sample), sample_add, sample_result, sample_clear, NULL,
      sample_merge, NULL, sample_save, sample_load, NULL, NULL, NULL, "values(FIELD [, N])",
      "an array of different values, the first N in order" },
    { "rate", AGG_OPTIONAL, sizeof(struct exact_sum), sum_add, rate_result, sum_clear, NULL,
      sum_merge, sum_column, sum_save, sum_load, NULL, NULL, NULL, "rate([FIELD])",
      "rows a second" },
};
const uint32_t agg_count = sizeof agg_table / sizeof *agg_table;

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
    for (size_t i = 0; i < agg_count; i++)
        if (str_eq(name, str_c(agg_table[i].name)))
            return &agg_table[i];
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
