/* pred.c: the tree: joining leaves, what a tree says about time and sequence, and its end.
 *
 * Kids of AND and OR stand in rising cost, so that evaluation meets the cheap ones first; the sort
 * is stable. A joint of trees never changes them: a tree may be part of several others. */
#include "model/pred.h"

#include <string.h>

#include "model/pred_int.h"

static struct pred *node(struct arena *a, enum pred_kind kind)
{
    struct pred *p = arena_zalloc(a, sizeof *p);
    if (p) {
        p->kind = kind;
        p->pos = -1;
    }
    return p;
}

struct pred *pred_true(struct arena *a)
{
    return node(a, P_TRUE);
}

struct pred *pred_false(struct arena *a)
{
    return node(a, P_FALSE);
}

static void sort_by_cost(struct pred **kids, uint32_t n)
{
    /* insertion sort: few kids, mostly in order already; runs of equal cost cost nothing */
    for (uint32_t i = 1; i < n; i++) {
        struct pred *p = kids[i];
        uint32_t k = i;
        for (; k > 0 && kids[k - 1]->cost > p->cost; k--)
            kids[k] = kids[k - 1];
        kids[k] = p;
    }
}

/* what AND keeps as it is and what decides it: OR is the same with the two swapped. Kids of its own
 * kind are replaced by theirs, so that all of them are put in order of cost. */
static struct pred *join(struct arena *a, enum pred_kind kind, struct pred *const *kids, uint32_t n)
{
    enum pred_kind neutral = kind == P_AND ? P_TRUE : P_FALSE;
    enum pred_kind decided = kind == P_AND ? P_FALSE : P_TRUE;
    uint64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!kids[i])
            return NULL;
        if (kids[i]->kind == decided)
            return kids[i];
        most += kids[i]->kind == kind ? kids[i]->nkids : 1;
    }
    struct pred **keep = arena_array(a, most + 1, sizeof *keep);
    if (!keep)
        return NULL;
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct pred *const *v = kids[i]->kind == kind ? kids[i]->kids : &kids[i];
        uint32_t k = kids[i]->kind == kind ? kids[i]->nkids : kids[i]->kind != neutral;
        memcpy(keep + m, v, k * sizeof *v);
        m += k;
    }
    if (m == 0)
        return node(a, neutral);
    if (m == 1)
        return keep[0];
    struct pred *p = node(a, kind);
    if (!p)
        return NULL;
    sort_by_cost(keep, m);
    p->kids = keep;
    p->nkids = m;
    for (uint32_t i = 0; i < m; i++)
        p->cost = p->cost > UINT32_MAX - keep[i]->cost ? UINT32_MAX : p->cost + keep[i]->cost;
    return p;
}

struct pred *pred_all(struct arena *a, struct pred *const *kids, uint32_t n)
{
    return join(a, P_AND, kids, n);
}

struct pred *pred_any(struct arena *a, struct pred *const *kids, uint32_t n)
{
    return join(a, P_OR, kids, n);
}

struct pred *pred_and(struct arena *a, struct pred *x, struct pred *y)
{
    return join(a, P_AND, (struct pred *[]){ x, y }, 2);
}

struct pred *pred_or(struct arena *a, struct pred *x, struct pred *y)
{
    return join(a, P_OR, (struct pred *[]){ x, y }, 2);
}

struct pred *pred_not(struct arena *a, struct pred *x)
{
    if (!x)
        return NULL;
    if (x->kind == P_TRUE)
        return pred_false(a);
    if (x->kind == P_FALSE)
        return pred_true(a);
    if (x->kind == P_NOT)
        return x->kids[0];
    struct pred *p = node(a, P_NOT);
    struct pred **kids = arena_array(a, 1, sizeof *kids);
    if (!p || !kids)
        return NULL;
    kids[0] = x;
    p->kids = kids;
    p->nkids = 1;
    p->cost = x->cost;
    return p;
}

void pred_set_pos(struct pred *p, int64_t pos)
{
    p->pos = pos;
}

bool pred_is_true(const struct pred *p)
{
    return p->kind == P_TRUE;
}

bool is_mark_field(enum field f)
{
    return f == F_RESOLVED || f == F_RESOLVED_BY || f == F_RESOLVED_AT || f == F_NOTE;
}

bool pred_uses_marks(const struct pred *p)
{
    if (p->calc && p->calc->marks)
        return true;
    if (p->kind == P_RESOLVED || ((p->kind == P_TEST || p->kind == P_EXISTS) && p->scope.any))
        return true;
    for (uint32_t i = 0; i < p->nkids; i++)
        if (pred_uses_marks(p->kids[i]))
            return true;
    for (uint32_t i = 0; i < p->scope.n; i++)
        if (is_mark_field(p->scope.fields[i].field))
            return true;
    return false;
}

/* ---- bounds ---- */

struct bounds {
    int64_t lo, hi;
};

/* Every matching row has the field in the returned interval; lo > hi when nothing can match. */
static struct bounds bounds_of(const struct pred *p, enum field f)
{
    struct bounds all = { INT64_MIN, INT64_MAX }, none = { INT64_MAX, INT64_MIN };
    struct bounds b = p->kind == P_OR ? none : all;
    switch (p->kind) {
    case P_FALSE: return none;
    case P_AND:
        for (uint32_t i = 0; i < p->nkids; i++) {
            struct bounds k = bounds_of(p->kids[i], f);
            b.lo = k.lo > b.lo ? k.lo : b.lo;
            b.hi = k.hi < b.hi ? k.hi : b.hi;
        }
        return b;
    case P_OR:
        for (uint32_t i = 0; i < p->nkids; i++) {
            struct bounds k = bounds_of(p->kids[i], f);
            if (k.lo > k.hi)
                continue;
            b.lo = k.lo < b.lo ? k.lo : b.lo;
            b.hi = k.hi > b.hi ? k.hi : b.hi;
        }
        return b;
    case P_TEST:
        if (p->calc)
            return all;
        if (p->scope.n == 1 && !p->scope.any && p->scope.fields[0].field == f)
            return p->test.num ? (struct bounds){ p->test.range.ilo, p->test.range.ihi } : none;
        return all;
    default: return all;
    }
}

void pred_time_bounds(const struct pred *p, ts_ns *ret_min_incl, ts_ns *ret_max_incl)
{
    struct bounds b = bounds_of(p, F_TIMESTAMP);
    *ret_min_incl = b.lo;
    *ret_max_incl = b.hi;
}

void pred_seq_bounds(const struct pred *p, uint64_t *ret_min, uint64_t *ret_max)
{
    struct bounds b = bounds_of(p, F_SEQ);
    *ret_min = b.lo < 0 ? 0 : (uint64_t)b.lo;
    *ret_max = b.hi < 0 ? 0 : b.hi == INT64_MAX ? UINT64_MAX : (uint64_t)b.hi;
    if (b.lo > b.hi) {
        *ret_min = UINT64_MAX;
        *ret_max = 0;
    }
}
