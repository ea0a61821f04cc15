/* agg_collect.c: see agg_collect.h. */
#include "query/agg_collect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "model/view.h"

#define COUNTED "stats"

/* ---- one value ---- */

int held_set(struct run *r, struct held *h, const struct val *v, ts_ns t, uint64_t seq,
             struct err *err)
{
    size_t n = v->t >= V_STR ? v->s.n : 0;
    if (n > h->cap) {
        char *text = mem_realloc(h->text, n);
        if (!text)
            return err_nomem(err);
        r->kept_bytes += n - h->cap;
        h->text = text;
        h->cap = n;
    }
    h->v = *v;
    h->set = true;
    h->t = t;
    h->seq = seq;
    if (v->t >= V_STR) {
        if (n)
            memcpy(h->text, v->s.p, n);
        h->v.s = (str){ h->text, n };
    }
    return run_room(r, COUNTED, err);
}

void held_clear(void *state)
{
    mem_free(((struct held *)state)->text);
}

/* ---- percentiles ---- */

int numbers_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct numbers *s = state;
    double d;
    if (!val_is_num(v, &d) || !isfinite(d))
        return 0;
    if (s->n == s->cap) {
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
    s->v[s->n++] = d;
    return 0;
}

int numbers_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                  void *shared, struct err *err)
{
    struct numbers *to = (struct numbers *)(void *)into, *other = (struct numbers *)(void *)from;
    (void)shared;
    for (uint32_t i = 0; i < n; i++) {
        for (size_t k = 0; k < other[i].n; k++) {
            struct val v = { .t = V_F64, .d = other[i].v[k] };
            int rc = numbers_add(e, &to[map[i]], &v, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

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

double numbers_rank(const struct agg *a, uint64_t n, uint64_t *ret_i)
{
    unsigned __int128 at = (unsigned __int128)a->q * (n - 1);
    *ret_i = (uint64_t)(at / AGG_Q_ONE);
    return (double)(uint64_t)(at % AGG_Q_ONE) / (double)AGG_Q_ONE;
}

struct val numbers_between(double lo, double hi, double part)
{
    return val_normal(
        (struct val){ .t = V_F64, .d = part > 0 && hi > lo ? between(lo, hi, part) : lo });
}

void numbers_sort(struct numbers *s)
{
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, double_cmp);
}

/* between the two neighbouring ranks: of 1 2 3 4 the median is 2.5 */
int numbers_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    struct numbers *s = state;
    uint64_t i;
    (void)err;
    *ret = VAL_ABSENT;
    if (!s->n)
        return 0;
    numbers_sort(s);
    double part = numbers_rank(e->agg, s->n, &i);
    *ret = numbers_between(s->v[i], i + 1 < s->n ? s->v[i + 1] : s->v[i], part);
    return 0;
}

void numbers_clear(void *state)
{
    mem_free(((struct numbers *)state)->v);
}

/* ---- values(x, n) ---- */

/* room for one more and for a spare one behind it */
static int sample_grow(struct agg_env *e, struct sample *s, struct err *err)
{
    uint64_t cap = s->cap ? (uint64_t)s->cap * 2 : 4;
    if (cap > e->agg->max + 1)
        cap = e->agg->max + 1;
    if (cap <= s->cap)
        return 0;
    struct held *h = mem_realloc(s->h, (size_t)cap * sizeof *h);
    if (!h)
        return err_nomem(err);
    memset(h + s->cap, 0, (size_t)(cap - s->cap) * sizeof *h);
    e->r->kept_bytes += (size_t)(cap - s->cap) * sizeof *h;
    s->h = h;
    s->cap = (uint32_t)cap;
    return 0;
}

int sample_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct sample *s = state;
    uint64_t max = e->agg->max;
    int rc = s->n + 1 >= s->cap ? sample_grow(e, s, err) : 0;
    if (rc)
        return rc;
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        int c = val_cmp(v, &s->h[mid].v);
        if (c == 0)
            return 0;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    if (lo == max)
        return 0;
    struct held spare = s->h[s->n]; /* past the end there is always room for one */
    memmove(s->h + lo + 1, s->h + lo, (s->n - lo) * sizeof *s->h);
    s->h[lo] = (struct held){ .text = spare.text, .cap = spare.cap };
    if (s->n < max)
        s->n++;
    return held_set(e->r, &s->h[lo], v, 0, 0, err);
}

int sample_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                 void *shared, struct err *err)
{
    struct sample *to = (struct sample *)(void *)into, *other = (struct sample *)(void *)from;
    (void)shared;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < other[i].n; k++) {
            int rc = sample_add(e, &to[map[i]], &other[i].h[k].v, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

int sample_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    struct sample *s = state;
    struct buf b;
    buf_init(&b, (size_t)64 << 20);
    buf_putc(&b, '[');
    for (uint32_t i = 0; i < s->n; i++) {
        if (i)
            buf_putc(&b, ',');
        view_put_val(&b, e->agg->ref.field, val_normal(s->h[i].v));
    }
    buf_putc(&b, ']');
    *ret = (struct val){ .t = V_JSON, .s = arena_dup(e->out, buf_str(&b)) };
    int rc = !buf_ok(&b) || !ret->s.p ? err_nomem(err) : 0;
    buf_deinit(&b);
    return rc;
}

void sample_clear(void *state)
{
    struct sample *s = state;
    if (!s->h)
        return;
    /* the spare slot holds a text too */
    for (uint32_t i = 0; i <= s->n; i++)
        mem_free(s->h[i].text);
    mem_free(s->h);
}

/* ---- count_distinct ---- */

/* Pairs of a group and a value's number: a bitmap, a row a group, while that is small; then a table
 * of the pairs. */
struct pair_set {
    struct intern values;
    uint64_t *bits;
    uint32_t rows, words; /* of the bitmap */
    bool hashed;
    uint64_t *slots; /* group << 32 | value, plus 1; 0 = free */
    size_t n, cap;
};

#define PAIR_BITS ((uint64_t)1 << 22)

static bool pairs_grow(struct pair_set *p, struct run *r)
{
    size_t cap = p->cap ? p->cap * 2 : 256;
    uint64_t *slots = mem_zarray(cap, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < p->cap; i++) {
        if (!p->slots[i])
            continue;
        size_t k = hash_mix(p->slots[i]) & (cap - 1);
        while (slots[k])
            k = (k + 1) & (cap - 1);
        slots[k] = p->slots[i];
    }
    r->kept_bytes += (cap - p->cap) * sizeof *slots;
    mem_free(p->slots);
    p->slots = slots;
    p->cap = cap;
    return true;
}

static int pairs_open(struct agg_env *e, struct err *err)
{
    struct pair_set *p = e->shared;
    if (p)
        return 0;
    p = mem_zalloc(sizeof *p);
    if (!p)
        return err_nomem(err);
    intern_init(&p->values, e->r, COUNTED);
    e->shared = p;
    return 0;
}

/* *ret_new: the pair was not known */
static int pair_put(struct pair_set *p, struct run *r, uint64_t pair, bool *ret_new,
                    struct err *err)
{
    if (p->n * 2 >= p->cap) {
        if (!pairs_grow(p, r))
            return err_nomem(err);
        int rc = run_room(r, COUNTED, err);
        if (rc)
            return rc;
    }
    uint64_t key = pair + 1;
    size_t k = hash_mix(key) & (p->cap - 1);
    while (p->slots[k] && p->slots[k] != key)
        k = (k + 1) & (p->cap - 1);
    *ret_new = !p->slots[k];
    p->n += *ret_new;
    p->slots[k] = key;
    return 0;
}

/* Calls fn for every pair, until it gives an error. */
static int pairs_each(const struct pair_set *p,
                      int (*fn)(void *arg, uint64_t pair, struct err *err), void *arg,
                      struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < p->cap && !rc; i++)
        if (p->slots[i])
            rc = fn(arg, p->slots[i] - 1, err);
    for (uint64_t g = 0; g < p->rows && !p->hashed; g++)
        for (uint32_t w = 0; w < p->words; w++)
            for (uint64_t m = p->bits[g * p->words + w]; m && !rc; m &= m - 1)
                rc = fn(arg, g << 32 | (w * 64u + (uint32_t)__builtin_ctzll(m)), err);
    return rc;
}

struct rehash {
    struct pair_set *p;
    struct run *r;
};

static int put_again(void *arg, uint64_t pair, struct err *err)
{
    struct rehash *h = arg;
    bool is_new;
    return pair_put(h->p, h->r, pair, &is_new, err);
}

/* from the bitmap to the table */
static int pairs_hash(struct pair_set *p, struct run *r, struct err *err)
{
    struct pair_set bitmap = *p;
    bitmap.cap = 0;
    p->hashed = true;
    int rc = pairs_each(&bitmap, put_again, &(struct rehash){ p, r }, err);
    r->kept_bytes -= (size_t)p->rows * p->words * 8;
    mem_free(p->bits);
    p->bits = NULL;
    return rc;
}

/* Room for the pair in the bitmap, or no bitmap any more. */
static int bitmap_grow(struct pair_set *p, struct run *r, uint32_t group, uint32_t id,
                       struct err *err)
{
    uint64_t rows = p->rows ? p->rows : 4, words = p->words ? p->words : 16;
    while (rows <= group)
        rows *= 2;
    while (words <= id / 64)
        words *= 2;
    if (rows * words > PAIR_BITS / 64 || rows * words * 8 > r->budget / 16)
        return pairs_hash(p, r, err);
    uint64_t *bits = mem_zarray((size_t)(rows * words), sizeof *bits);
    if (!bits)
        return err_nomem(err);
    for (uint32_t g = 0; g < p->rows; g++)
        memcpy(bits + g * words, p->bits + (size_t)g * p->words, p->words * sizeof *bits);
    r->kept_bytes += (size_t)(rows * words - (uint64_t)p->rows * p->words) * 8;
    mem_free(p->bits);
    p->bits = bits;
    p->rows = (uint32_t)rows;
    p->words = (uint32_t)words;
    return run_room(r, COUNTED, err);
}

/* The pair is one more of its group, unless it is known. */
static int pair_add(struct agg_env *e, uint64_t *counts, uint32_t group, uint32_t id,
                    struct err *err)
{
    struct pair_set *p = e->shared;
    bool is_new;
    int rc = 0;
    if (!p->hashed && (group >= p->rows || id / 64 >= p->words))
        rc = bitmap_grow(p, e->r, group, id, err);
    if (rc)
        return rc;
    if (p->hashed) {
        rc = pair_put(p, e->r, (uint64_t)group << 32 | id, &is_new, err);
    } else {
        uint64_t *w = &p->bits[(size_t)group * p->words + id / 64], bit = 1ull << id % 64;
        is_new = !(*w & bit);
        *w |= bit;
    }
    if (!rc)
        counts[group] += is_new;
    return rc;
}

int distinct_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    uint32_t id;
    int rc = pairs_open(e, err);
    if (!rc)
        rc = intern_val(&((struct pair_set *)e->shared)->values, *v, &id, err);
    return rc ? rc : pair_add(e, (uint64_t *)state - e->group, e->group, id, err);
}

/* A dictionary column: a value is looked up once a block. */
int distinct_column(struct agg_env *e, char *states, const struct colv *c, const uint64_t *rows,
                    const uint32_t *gid, struct err *err)
{
    if (!c->codes || c->type != V_STR)
        return 1;
    int rc = pairs_open(e, err);
    if (rc)
        return rc;
    struct pair_set *p = e->shared;
    uint32_t *ids = mem_alloc(c->ndict * sizeof *ids);
    if (!ids)
        return err_nomem(err);
    memset(ids, 0xff, c->ndict * sizeof *ids);
    for (size_t w = 0; w < BITS_WORDS(c->n) && !rc; w++) {
        for (uint64_t m = rows[w]; m && !rc; m &= m - 1) {
            uint32_t i = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(m);
            uint32_t *id = &ids[c->codes[i]];
            if (*id == UINT32_MAX)
                rc = intern_val(&p->values, colv_val(c, i), id, err);
            if (!rc)
                rc = pair_add(e, (uint64_t *)(void *)states, gid[i], *id, err);
        }
    }
    mem_free(ids);
    return rc;
}

/* ---- the pairs in order, for the disk ---- */

struct pair_order {
    const struct pair_set *p;
    const uint32_t *rank; /* of a group */
    uint64_t *v;
    size_t n;
    uint32_t groups;
};

static int pair_gather(void *arg, uint64_t pair, struct err *err)
{
    struct pair_order *o = arg;
    (void)err;
    if (pair >> 32 < o->groups)
        o->v[o->n++] = (uint64_t)o->rank[pair >> 32] << 32 | (uint32_t)pair;
    return 0;
}

static int pair_count(void *arg, uint64_t pair, struct err *err)
{
    (void)pair;
    (void)err;
    ++*(size_t *)arg;
    return 0;
}

static int pair_cmp(const void *x, const void *y, void *arg)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    const struct val *vals = arg, *v = &vals[(uint32_t)a], *w = &vals[(uint32_t)b];
    if (a >> 32 != b >> 32)
        return a < b ? -1 : 1;
    int c = val_cmp(v, w);
    return c ? c : (v->t > w->t) - (v->t < w->t);
}

int distinct_list(const char *states, void *shared, const uint32_t *groups, uint32_t n, list_fn *fn,
                  void *arg, struct err *err)
{
    struct pair_set *p = shared;
    size_t pairs = 0;
    (void)states;
    if (!p)
        return 0;
    int rc = pairs_each(p, pair_count, &pairs, err);
    uint32_t *rank = mem_array((size_t)n + 1, sizeof *rank);
    struct pair_order o = { p, rank, mem_array(pairs + 1, sizeof *o.v), 0, n };
    if (!rank || !o.v)
        rc = err_nomem(err);
    for (uint32_t i = 0; i < n && !rc; i++)
        rank[groups[i]] = i;
    if (!rc)
        rc = pairs_each(p, pair_gather, &o, err);
    if (!rc && o.n)
        qsort_r(o.v, o.n, sizeof *o.v, pair_cmp, p->values.vals);
    for (size_t i = 0; i < o.n && !rc; i++)
        rc = fn(arg, groups[o.v[i] >> 32], p->values.vals[(uint32_t)o.v[i]], err);
    mem_free(rank);
    mem_free(o.v);
    return rc;
}

struct pair_merge {
    struct agg_env *e;
    uint64_t *counts;
    const uint32_t *map, *ids; /* its groups and values in ours */
    uint32_t n;
};

static int pair_in(void *arg, uint64_t pair, struct err *err)
{
    struct pair_merge *m = arg;
    uint32_t group = (uint32_t)(pair >> 32);
    return group < m->n ? pair_add(m->e, m->counts, m->map[group], m->ids[(uint32_t)pair], err) : 0;
}

int distinct_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                   void *shared, struct err *err)
{
    struct pair_set *other = shared;
    (void)from;
    if (!other)
        return 0;
    int rc = pairs_open(e, err);
    uint32_t *ids = mem_array(other->values.n + 1, sizeof *ids);
    if (!rc && !ids)
        rc = err_nomem(err);
    for (uint32_t i = 0; i < other->values.n && !rc; i++)
        rc = intern_val(&((struct pair_set *)e->shared)->values, other->values.vals[i], &ids[i],
                        err);
    if (!rc)
        rc = pairs_each(other, pair_in,
                        &(struct pair_merge){ e, (uint64_t *)(void *)into, map, ids, n }, err);
    mem_free(ids);
    return rc;
}

void distinct_free(void *shared)
{
    struct pair_set *p = shared;
    if (!p)
        return;
    intern_deinit(&p->values);
    mem_free(p->bits);
    mem_free(p->slots);
    mem_free(p);
}
