/* agg_numbers.c: percentiles: all numbers of a group, or a sketch of them when they are many.
 *
 * A group with more numbers than agg_exact() says is a sketch (sketch.h), whoever counts it, in
 * memory, in parts or from the disk: the answer depends on the numbers alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "query/agg_collect.h"

#define COUNTED "stats"

static int torn(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "a group on the disk is not what was written");
}

/* ---- the sketch ---- */

static int sketch_num(struct agg_env *e, struct numbers *s, double d, struct err *err)
{
    size_t before = qsketch_bytes(s->sketch);
    if (!qsketch_add(s->sketch, d))
        return err_nomem(err);
    e->r->kept_bytes += qsketch_bytes(s->sketch) - before;
    return 0;
}

/* what is held becomes a sketch, if it is none yet */
static int to_sketch(struct agg_env *e, struct numbers *s, struct err *err)
{
    int rc = 0;
    if (s->sketch)
        return 0;
    s->sketch = mem_alloc(sizeof *s->sketch);
    if (!s->sketch)
        return err_nomem(err);
    qsketch_init(s->sketch);
    e->r->kept_bytes += sizeof *s->sketch;
    for (size_t i = 0; i < s->held && !rc; i++)
        rc = sketch_num(e, s, s->v[i], err);
    e->r->kept_bytes -= s->cap * sizeof *s->v;
    mem_free(s->v);
    s->v = NULL;
    s->held = s->cap = 0;
    return rc ? rc : run_room(e->r, COUNTED, err);
}

/* ---- adding ---- */

static int hold(struct agg_env *e, struct numbers *s, double d, struct err *err)
{
    if (s->held == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        double *more = mem_realloc(s->v, cap * sizeof *more);
        if (!more)
            return err_nomem(err);
        e->r->kept_bytes += (cap - s->cap) * sizeof *more;
        s->v = more;
        s->cap = cap;
        int rc = run_room(e->r, COUNTED, err);
        if (rc)
            return rc;
    }
    s->v[s->held++] = d;
    return 0;
}

static int add_num(struct agg_env *e, struct numbers *s, double d, struct err *err)
{
    int rc = s->n++ == agg_exact(e->r) ? to_sketch(e, s, err) : 0;
    if (rc)
        return rc;
    return s->sketch ? sketch_num(e, s, d, err) : hold(e, s, d, err);
}

int numbers_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    double d;
    return val_is_num(v, &d) && isfinite(d) ? add_num(e, state, d, err) : 0;
}

static int merge_sketch(struct agg_env *e, struct numbers *s, const struct qsketch *from,
                        struct err *err)
{
    int rc = to_sketch(e, s, err);
    if (rc)
        return rc;
    size_t before = qsketch_bytes(s->sketch);
    if (!qsketch_merge(s->sketch, from))
        return err_nomem(err);
    e->r->kept_bytes += qsketch_bytes(s->sketch) - before;
    return run_room(e->r, COUNTED, err);
}

int numbers_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                  void *shared, struct err *err)
{
    struct numbers *to = (struct numbers *)(void *)into, *other = (struct numbers *)(void *)from;
    int rc = 0;
    (void)shared;
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct numbers *s = &to[map[i]];
        if (other[i].sketch) {
            rc = merge_sketch(e, s, other[i].sketch, err);
            s->n += other[i].n;
        }
        for (size_t k = 0; k < other[i].held && !rc; k++)
            rc = add_num(e, s, other[i].v[k], err);
    }
    return rc;
}

/* ---- the result ---- */

static int double_cmp(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Linear between two neighbours, to 15 digits: what binary fractions add behind them (half way from
 * 0.1 to 0.2 is 0.15000000000000002) is nobody's measurement. */
static double between(double lo, double hi, double part)
{
    char text[32];
    double d = fma(hi - lo, part, lo);
    snprintf(text, sizeof text, "%.15g", d);
    return str_to_f64(str_c(text), &d) ? d : lo;
}

/* where the percentile of n numbers is: *ret_i and this part of the way to the next one */
static double rank_of(const struct agg *a, uint64_t n, uint64_t *ret_i)
{
    unsigned __int128 at = (unsigned __int128)a->q * (n - 1);
    *ret_i = (uint64_t)(at / AGG_Q_ONE);
    return (double)(uint64_t)(at % AGG_Q_ONE) / (double)AGG_Q_ONE;
}

static struct val number_between(double lo, double hi, double part)
{
    return val_normal(
        (struct val){ .t = V_F64, .d = part > 0 && hi > lo ? between(lo, hi, part) : lo });
}

static void sort(struct numbers *s)
{
    if (s->held)
        qsort(s->v, s->held, sizeof *s->v, double_cmp);
}

static struct val sketched(struct agg_env *e, const struct numbers *s)
{
    uint64_t i;
    double part = rank_of(e->agg, s->n, &i), lo = qsketch_at(s->sketch, i);
    run_approx(e->r, e->agg->col.name, "is within 0.4 %", agg_exact(e->r));
    return number_between(lo, part > 0 && i + 1 < s->n ? qsketch_at(s->sketch, i + 1) : lo, part);
}

/* between the two neighbouring ranks: of 1 2 3 4 the median is 2.5 */
int numbers_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    struct numbers *s = state;
    uint64_t i;
    (void)err;
    *ret = VAL_ABSENT;
    if (s->sketch)
        *ret = sketched(e, s);
    if (s->sketch || !s->n)
        return 0;
    sort(s);
    double part = rank_of(e->agg, s->n, &i);
    *ret = number_between(s->v[i], i + 1 < s->n ? s->v[i + 1] : s->v[i], part);
    return 0;
}

void numbers_clear(void *state)
{
    struct numbers *s = state;
    mem_free(s->v);
    if (s->sketch)
        qsketch_deinit(s->sketch);
    mem_free(s->sketch);
}

/* ---- to the disk and back ---- */

void numbers_save(const void *state, struct buf *out)
{
    const struct numbers *s = state;
    buf_varint(out, s->n);
    buf_putc(out, s->sketch != NULL);
    if (s->sketch)
        qsketch_save(s->sketch, out);
}

/* how many there are, and the sketch; numbers that are held come one by one */
int numbers_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    struct numbers *s = state;
    struct qsketch from;
    s->n += rd_varint(in);
    if (!rd_u8(in))
        return 0;
    qsketch_init(&from);
    int rc = qsketch_load(&from, in) ? merge_sketch(e, s, &from, err) : torn(err);
    qsketch_deinit(&from);
    return rc;
}

int numbers_list(const char *states, void *shared, const uint32_t *groups, uint32_t n, list_fn *fn,
                 void *arg, struct err *err)
{
    struct numbers *all = (struct numbers *)(uintptr_t)states;
    int rc = 0;
    (void)shared;
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct numbers *s = &all[groups[i]];
        sort(s);
        for (size_t k = 0; k < s->held && !rc; k++)
            rc = fn(arg, groups[i], (struct val){ .t = V_F64, .d = s->v[k] }, err);
    }
    return rc;
}

int numbers_take(struct agg_env *e, void *state, struct listed *l, const struct val *v,
                 struct err *err)
{
    struct numbers *s = state;
    uint64_t i;
    if (v->t != V_F64 || l->seen++ >= s->n)
        return torn(err);
    if (s->n > agg_exact(e->r)) {
        int rc = to_sketch(e, s, err);
        return rc ? rc : sketch_num(e, s, v->d, err);
    }
    (void)rank_of(e->agg, s->n, &i);
    if (l->seen - 1 == i)
        l->lo = l->hi = v->d;
    if (l->seen - 1 == i + 1)
        l->hi = v->d;
    return 0;
}

int numbers_listed(struct agg_env *e, const void *state, const struct listed *l, struct val *ret)
{
    const struct numbers *s = state;
    uint64_t i;
    *ret = VAL_ABSENT;
    if (s->sketch)
        *ret = sketched(e, s);
    else if (s->n)
        *ret = number_between(l->lo, l->hi, rank_of(e->agg, s->n, &i));
    return 0;
}
