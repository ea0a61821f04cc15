/* agg_distinct.c: count_distinct: the set of a group's values, or a sketch of it when they are
 * many.
 *
 * As with percentiles: a group with more different values than agg_exact() says is a sketch,
 * whoever counts it. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "query/agg_collect.h"
#include "query/spill_sort.h"

#define COUNTED "stats"

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

/* ---- many values: a sketch ---- */

static uint64_t val_hash(struct val v)
{
    v = val_normal(v);
    if (v.t >= V_STR)
        return hll_hash((char)v.t, v.s.p, v.s.n);
    int64_t i = v.t == V_BOOL ? v.b : v.t == V_NULL ? 0 : v.i;
    return hll_hash((char)v.t, &i, sizeof i);
}

static int hll_open(struct agg_env *e, struct distinct *d, struct err *err)
{
    if (d->hll)
        return 0;
    d->hll = mem_zalloc(sizeof *d->hll);
    if (!d->hll)
        return err_nomem(err);
    e->r->kept_bytes += sizeof *d->hll;
    return run_room(e->r, COUNTED, err);
}

struct sketching {
    struct distinct *d;
    const struct val *vals;
    uint32_t group;
};

static int pair_sketch(void *arg, uint64_t pair, struct err *err)
{
    struct sketching *s = arg;
    (void)err;
    if (pair >> 32 == s->group)
        hll_add(s->d->hll, val_hash(s->vals[(uint32_t)pair]));
    return 0;
}

/* The values of a group become a sketch; its pairs stay, and nobody looks at them any more. */
static int to_sketch(struct agg_env *e, struct distinct *d, uint32_t group, struct err *err)
{
    struct pair_set *p = e->shared;
    if (d->sketched)
        return 0;
    d->sketched = true;
    int rc = hll_open(e, d, err);
    if (rc || !p)
        return rc;
    return pairs_each(p, pair_sketch, &(struct sketching){ d, p->values.vals, group }, err);
}

/* The pair is one more of its group, unless it is known. */
static int pair_add(struct agg_env *e, struct distinct *states, uint32_t group, uint32_t id,
                    struct err *err)
{
    struct pair_set *p = e->shared;
    struct distinct *d = &states[group];
    bool is_new;
    int rc = 0;
    if (d->sketched) {
        hll_add(d->hll, val_hash(p->values.vals[id]));
        return 0;
    }
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
    if (rc)
        return rc;
    d->n += is_new;
    return d->n > agg_exact(e->r) ? to_sketch(e, d, group, err) : 0;
}

int distinct_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct distinct *d = state;
    uint32_t id;
    if (d->sketched) {
        hll_add(d->hll, val_hash(*v));
        return 0;
    }
    int rc = pairs_open(e, err);
    if (!rc)
        rc = intern_val(&((struct pair_set *)e->shared)->values, *v, &id, err);
    return rc ? rc : pair_add(e, d - e->group, e->group, id, err);
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
    struct distinct *all = (struct distinct *)(void *)states;
    uint32_t *ids = mem_alloc(c->ndict * sizeof *ids);
    if (!ids)
        return err_nomem(err);
    memset(ids, 0xff, c->ndict * sizeof *ids);
    for (size_t w = 0; w < BITS_WORDS(c->n) && !rc; w++) {
        for (uint64_t m = rows[w]; m && !rc; m &= m - 1) {
            uint32_t i = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(m);
            uint32_t *id = &ids[c->codes[i]];
            if (all[gid[i]].sketched) {
                hll_add(all[gid[i]].hll, val_hash(colv_val(c, i)));
                continue;
            }
            if (*id == UINT32_MAX)
                rc = intern_val(&p->values, colv_val(c, i), id, err);
            if (!rc)
                rc = pair_add(e, all, gid[i], *id, err);
        }
    }
    mem_free(ids);
    return rc;
}

/* ---- the pairs in order, for the disk ---- */

struct pair_order {
    const struct distinct *states;
    const uint32_t *rank; /* of a group */
    uint64_t *v;
    size_t n;
    uint32_t groups;
};

static int pair_gather(void *arg, uint64_t pair, struct err *err)
{
    struct pair_order *o = arg;
    (void)err;
    if (pair >> 32 < o->groups && !o->states[pair >> 32].sketched)
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
    if (!p)
        return 0;
    int rc = pairs_each(p, pair_count, &pairs, err);
    uint32_t *rank = mem_array((size_t)n + 1, sizeof *rank);
    struct pair_order o = { (const struct distinct *)(const void *)states, rank,
                            mem_array(pairs + 1, sizeof *o.v), 0, n };
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
    struct distinct *states;
    const uint32_t *map, *ids; /* its groups and values in ours */
    uint32_t n;
};

static int pair_in(void *arg, uint64_t pair, struct err *err)
{
    struct pair_merge *m = arg;
    uint32_t group = (uint32_t)(pair >> 32);
    return group < m->n ? pair_add(m->e, m->states, m->map[group], m->ids[(uint32_t)pair], err) : 0;
}

int distinct_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                   void *shared, struct err *err)
{
    struct pair_set *other = shared;
    struct distinct *to = (struct distinct *)(void *)into, *of = (struct distinct *)(void *)from;
    int rc = 0;
    for (uint32_t i = 0; i < n && !rc; i++) {
        if (!of[i].sketched)
            continue;
        rc = to_sketch(e, &to[map[i]], map[i], err);
        if (!rc)
            hll_merge(to[map[i]].hll, of[i].hll);
    }
    if (rc || !other)
        return rc;
    rc = pairs_open(e, err);
    uint32_t *ids = mem_array(other->values.n + 1, sizeof *ids);
    if (!rc && !ids)
        rc = err_nomem(err);
    for (uint32_t i = 0; i < other->values.n && !rc; i++)
        rc = intern_val(&((struct pair_set *)e->shared)->values, other->values.vals[i], &ids[i],
                        err);
    if (!rc)
        rc = pairs_each(other, pair_in, &(struct pair_merge){ e, to, map, ids, n }, err);
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

void distinct_clear(void *state)
{
    mem_free(((struct distinct *)state)->hll);
}

static int counted(struct agg_env *e, const struct distinct *d, uint64_t n, struct val *ret)
{
    bool many = d->sketched || n > agg_exact(e->r);
    if (many)
        run_approx(e->r, e->agg->col.name, "has a standard error of 0.8 %", agg_exact(e->r));
    *ret = (struct val){ .t = V_I64, .i = (int64_t)(many ? hll_count(d->hll) : n) };
    return 0;
}

int distinct_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    const struct distinct *d = state;
    (void)err;
    return counted(e, d, d->n, ret);
}

/* ---- to the disk and back ---- */

void distinct_save(const void *state, struct buf *out)
{
    const struct distinct *d = state;
    buf_varint(out, d->n);
    buf_putc(out, d->sketched);
    if (d->sketched)
        hll_save(d->hll, out);
}

/* n becomes how many there are at most: the values come one by one */
int distinct_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    struct distinct *d = state;
    d->n += rd_varint(in);
    if (!rd_u8(in))
        return 0;
    d->sketched = true;
    int rc = hll_open(e, d, err);
    if (!rc && !hll_load(d->hll, in))
        rc = err_set(err, ERR_CORRUPT, "a group on the disk is not what was written");
    return rc;
}

int distinct_take(struct agg_env *e, void *state, struct listed *l, const struct val *v,
                  struct err *err)
{
    struct distinct *d = state;
    if (l->seen && spill_key_cmp(&l->last.v, v) == 0)
        return 0;
    l->seen++;
    if (d->sketched || d->n > agg_exact(e->r)) {
        int rc = hll_open(e, d, err);
        if (rc)
            return rc;
        hll_add(d->hll, val_hash(*v));
    }
    return held_set(e->r, &l->last, v, 0, 0, err);
}

int distinct_listed(struct agg_env *e, const void *state, const struct listed *l, struct val *ret)
{
    return counted(e, state, l->seen, ret);
}
