/* tree.c: see tree.h. */
#include "query/tree.h"

#include <stdlib.h>

int64_t tree_between(ts_ns from, ts_ns to)
{
    int64_t d;
    return __builtin_sub_overflow(to, from, &d) ? INT64_MAX : d;
}

static int by_start(const void *x, const void *y, void *arg)
{
    const struct tree_node *v = arg;
    uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
    if (v[i].start != v[k].start)
        return v[i].start < v[k].start ? -1 : 1;
    if (v[i].seq != v[k].seq)
        return v[i].seq < v[k].seq ? -1 : 1;
    return i < k ? -1 : i > k;
}

/* From `at`, which was met twice on one way up: the earliest node of the circle loses its link. */
static void cut_circle(struct tree *t, uint32_t at)
{
    uint32_t least = at;
    for (uint32_t i = t->v[at].parent; i != at; i = t->v[i].parent)
        if (by_start(&i, &least, t->v) < 0)
            least = i;
    t->v[least].parent = TREE_NONE;
    t->v[least].cut = true;
}

static int cut_circles(struct tree *t, struct err *err)
{
    uint32_t *met = arena_zalloc(t->a, (size_t)(t->n + 1) * sizeof *met); /* by which way, + 1 */
    if (!met)
        return err_nomem(err);
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t at = i;
        while (at != TREE_NONE && !met[at]) {
            met[at] = i + 1;
            at = t->v[at].parent;
        }
        if (at != TREE_NONE && met[at] == i + 1)
            cut_circle(t, at);
    }
    return 0;
}

/* sibling lists in order; t->root begins that of the roots */
static int link_siblings(struct tree *t, struct err *err)
{
    uint32_t *ids = arena_array(t->a, (size_t)t->n + 1, sizeof *ids);
    uint32_t *last = arena_array(t->a, (size_t)t->n + 1, sizeof *last);
    if (!ids || !last)
        return err_nomem(err);
    for (uint32_t i = 0; i < t->n; i++) {
        ids[i] = i;
        last[i] = t->v[i].first = t->v[i].next = TREE_NONE;
    }
    qsort_r(ids, t->n, sizeof *ids, by_start, t->v);
    uint32_t last_root = t->root = TREE_NONE;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t up = t->v[ids[i]].parent;
        uint32_t *head = up == TREE_NONE ? &t->root : &t->v[up].first;
        uint32_t *tail = up == TREE_NONE ? &last_root : &last[up];
        if (*tail == TREE_NONE)
            *head = ids[i];
        else
            t->v[*tail].next = ids[i];
        *tail = ids[i];
    }
    return 0;
}

static void walk(struct tree *t)
{
    uint32_t n = 0, depth = 0;
    for (uint32_t at = t->root; at != TREE_NONE;) {
        t->v[at].depth = depth;
        t->order[n++] = at;
        if (t->v[at].first != TREE_NONE) {
            at = t->v[at].first;
            depth++;
            continue;
        }
        while (at != TREE_NONE && t->v[at].next == TREE_NONE) {
            at = t->v[at].parent;
            depth--; /* wraps behind the last root, where it counts no more */
        }
        if (at != TREE_NONE)
            at = t->v[at].next;
    }
}

int tree_link(struct tree *t, struct err *err)
{
    int rc = cut_circles(t, err);
    if (!rc)
        rc = link_siblings(t, err);
    t->order = arena_array(t->a, (size_t)t->n + 1, sizeof *t->order);
    if (!rc && !t->order)
        rc = err_nomem(err);
    if (!rc)
        walk(t);
    return rc;
}

/* ---- times ---- */

static void self_time(struct tree *t, struct tree_node *x)
{
    ts_ns covered = x->start;
    x->self_ns = tree_between(x->start, x->end);
    for (uint32_t i = x->first; i != TREE_NONE; i = t->v[i].next) {
        const struct tree_node *kid = &t->v[i];
        ts_ns from = kid->start > covered ? kid->start : covered;
        ts_ns to = kid->end < x->end ? kid->end : x->end;
        if (to <= from)
            continue;
        x->self_ns -= tree_between(from, to);
        covered = to;
    }
}

struct by_end {
    uint32_t id;
    ts_ns end; /* not beyond the parent's */
};

static int last_first(const void *x, const void *y, void *arg)
{
    const struct by_end *a = x, *b = y;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    return by_start(&a->id, &b->id, arg);
}

/* marks the children, from `first` on, that are on the path to `end` */
static void mark_path(struct tree *t, uint32_t first, ts_ns end, struct by_end *kids)
{
    uint32_t n = 0;
    for (uint32_t i = first; i != TREE_NONE; i = t->v[i].next)
        if (t->v[i].end > t->v[i].start)
            kids[n++] = (struct by_end){ i, t->v[i].end < end ? t->v[i].end : end };
    qsort_r(kids, n, sizeof *kids, last_first, t->v);
    for (uint32_t i = 0; i < n; i++) {
        struct tree_node *kid = &t->v[kids[i].id];
        if (kids[i].end > end || kid->start >= end)
            continue;
        kid->critical = true;
        end = kid->start;
    }
}

int tree_times(struct tree *t, struct err *err)
{
    struct by_end *kids = arena_array(t->a, (size_t)t->n + 1, sizeof *kids);
    ts_ns end = TS_MIN;
    if (!kids)
        return err_nomem(err);
    for (uint32_t i = 0; i < t->n; i++) {
        t->v[i].critical = false;
        self_time(t, &t->v[i]);
        if (t->v[i].parent == TREE_NONE && t->v[i].end > end)
            end = t->v[i].end;
    }
    mark_path(t, t->root, end, kids);
    for (uint32_t i = 0; i < t->n; i++)
        if (t->v[t->order[i]].critical)
            mark_path(t, t->v[t->order[i]].first, t->v[t->order[i]].end, kids);
    return 0;
}
