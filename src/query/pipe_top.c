/* pipe_top.c: `top n f [by g]` and `uniq f, ...`: values and how often they occur.
 *
 * top: the n most frequent values of f (in each group g), ties by value; rows without f do not
 * count. uniq: every distinct combination in rising order, null included. */
#include <stdlib.h>

#include "base/mem.h"
#include "query/group.h"

#define TOP_DEFAULT 10

struct top_args {
    struct by_args by; /* the groups, then the field */
    uint64_t n;        /* rows a group; UINT64_MAX for uniq */
    bool top;
};

struct top_op {
    struct op op;
    struct grouper g;
    bool grouping;
    uint64_t *counts;
    uint32_t cap;
};

static int out_schema(struct parser *p, struct pipe *pipe, const struct by_args *by)
{
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    if (!out || !(out->cols = arena_zalloc(p->a, (by->n + 1) * sizeof *out->cols)))
        return err_nomem(p->err);
    for (uint32_t i = 0; i < by->n; i++)
        out->cols[out->n++] = by->cols[i];
    int rc = schema_computed(p, STR("count"), F_NONE, &out->cols[out->n++]);
    pipe->out = out;
    return rc ? rc : schema_check(p, out, pipe->pos);
}

static int top_parse(struct parser *p, struct pipe *pipe)
{
    struct top_args *t = arena_zalloc(p->a, sizeof *t);
    struct group_key key;
    struct qcol col;
    if (!t)
        return err_nomem(p->err);
    pipe->args = t;
    t->top = true;
    t->n = TOP_DEFAULT;
    lex_blank(p);
    char c = lex_peek(p, 0);
    int rc = c >= '0' && c <= '9' ? lex_uint(p, &t->n, "the number of values") : 0;
    if (!rc)
        rc = parse_by_one(p, &key, &col);
    if (!rc && lex_word(p, "by"))
        rc = parse_by(p, &t->by);
    else if (!rc)
        t->by.keys = arena_zalloc(p->a, sizeof *t->by.keys),
        t->by.cols = arena_zalloc(p->a, sizeof *t->by.cols);
    if (rc)
        return rc;
    struct group_key *keys = arena_grow(p->a, t->by.keys, t->by.n, t->by.n + 1, sizeof *keys);
    struct qcol *cols = arena_grow(p->a, t->by.cols, t->by.n, t->by.n + 1, sizeof *cols);
    if (!keys || !cols)
        return err_nomem(p->err);
    t->by.keys = keys;
    t->by.cols = cols;
    keys[t->by.n] = key;
    cols[t->by.n++] = col;
    return out_schema(p, pipe, &t->by);
}

static int uniq_parse(struct parser *p, struct pipe *pipe)
{
    struct top_args *t = arena_zalloc(p->a, sizeof *t);
    if (!t)
        return err_nomem(p->err);
    pipe->args = t;
    t->n = UINT64_MAX;
    lex_word(p, "by");
    int rc = parse_by(p, &t->by);
    return rc ? rc : out_schema(p, pipe, &t->by);
}

static int top_open(struct op *o, struct err *err)
{
    struct top_op *t = (struct top_op *)o;
    const struct top_args *a = o->pipe->args;
    t->grouping = true;
    return grouper_init(&t->g, o->run, o->pipe->def->name, a->by.keys, a->by.n, err);
}

static int counts_grow(struct top_op *t, struct err *err)
{
    if (t->g.n <= t->cap)
        return 0;
    uint32_t cap = t->cap ? t->cap : 64;
    while (cap < t->g.n)
        cap *= 2;
    uint64_t *counts = mem_realloc(t->counts, cap * sizeof *counts);
    if (!counts)
        return err_nomem(err);
    memset(counts + t->cap, 0, (cap - t->cap) * sizeof *counts);
    t->op.run->kept_bytes += (cap - t->cap) * sizeof *counts;
    t->counts = counts;
    t->cap = cap;
    return 0;
}

static int top_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct top_op *t = (struct top_op *)o;
    int rc = grouper_rows(&t->g, c, err);
    if (!rc)
        rc = counts_grow(t, err);
    if (rc)
        return rc;
    for (size_t w = 0; w < BITS_WORDS(c->b->n); w++)
        for (uint64_t m = c->sel[w]; m; m &= m - 1)
            t->counts[t->g.gid[w * 64 + (size_t)__builtin_ctzll(m)]]++;
    return run_room(o->run, o->pipe->def->name, err);
}

static int top_merge(struct op *o, struct op *from, struct err *err)
{
    struct top_op *t = (struct top_op *)o, *f = (struct top_op *)from;
    uint32_t *map = mem_array(f->g.n + 1, sizeof *map);
    if (!map)
        return err_nomem(err);
    int rc = grouper_merge(&t->g, &f->g, map, err);
    if (!rc)
        rc = counts_grow(t, err);
    for (uint32_t i = 0; i < f->g.n && i < f->cap && !rc; i++)
        t->counts[map[i]] += f->counts[i];
    mem_free(map);
    return rc ? rc : run_room(o->run, o->pipe->def->name, err);
}

/* same group of every key but the last? */
static int cmp_prefix(const struct grouper *g, uint32_t x, uint32_t y)
{
    for (uint32_t k = 0; k + 1 < g->nkeys; k++) {
        struct val a = grouper_val(g, x, k), b = grouper_val(g, y, k);
        int c = val_cmp(&a, &b);
        if (c)
            return c;
    }
    return 0;
}

static int top_cmp(const void *x, const void *y, void *arg)
{
    const struct top_op *t = arg;
    uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
    int c = cmp_prefix(&t->g, i, k);
    if (c)
        return c;
    if (t->counts[i] != t->counts[k])
        return t->counts[i] > t->counts[k] ? -1 : 1;
    struct val a = grouper_val(&t->g, i, t->g.nkeys - 1), b = grouper_val(&t->g, k, t->g.nkeys - 1);
    return val_cmp(&a, &b);
}

static int put_rows(struct top_op *t, const uint32_t *order, struct err *err)
{
    const struct top_args *a = t->op.pipe->args;
    enum { ROWS = 256 };
    uint32_t nc = t->g.nkeys + 1, n = 0;
    struct val *vals = mem_array((size_t)ROWS * nc, sizeof *vals);
    uint64_t in_group = 0;
    int rc = vals ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < t->g.n && !rc; i++) {
        if (i && cmp_prefix(&t->g, order[i - 1], order[i]) != 0)
            in_group = 0;
        if (a->top && (grouper_val(&t->g, order[i], nc - 2).t == V_NULL || in_group >= a->n))
            continue;
        in_group++;
        for (uint32_t k = 0; k < nc - 1; k++)
            vals[(size_t)n * nc + k] = grouper_val(&t->g, order[i], k);
        vals[(size_t)n * nc + nc - 1] =
            (struct val){ .t = V_I64, .i = (int64_t)t->counts[order[i]] };
        if (++n == ROWS) {
            rc = table_push(t->op.run, t->op.next, t->op.pipe->out, vals, n, err);
            n = 0;
        }
    }
    if (!rc && n)
        rc = table_push(t->op.run, t->op.next, t->op.pipe->out, vals, n, err);
    mem_free(vals);
    return rc;
}

static int top_finish(struct op *o, struct err *err)
{
    struct top_op *t = (struct top_op *)o;
    const struct top_args *a = o->pipe->args;
    uint32_t *order;
    int rc = 0;
    if (a->top && !(order = mem_array(t->g.n + 1, sizeof *order)))
        rc = err_nomem(err);
    else if (!a->top)
        rc = grouper_sorted(&t->g, &order, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; a->top && i < t->g.n; i++)
        order[i] = i;
    if (a->top)
        qsort_r(order, t->g.n, sizeof *order, top_cmp, t);
    rc = put_rows(t, order, err);
    mem_free(order);
    return rc;
}

static void top_close(struct op *o)
{
    struct top_op *t = (struct top_op *)o;
    if (t->grouping)
        grouper_deinit(&t->g);
    mem_free(t->counts);
}

static const struct op_ops top_ops = {
    sizeof(struct top_op), top_open, top_push, top_finish, top_close, top_merge
};
const struct pipe_def pipe_top = { "top", PIPE_GROUPS, top_parse, &top_ops };
const struct pipe_def pipe_uniq = { "uniq", PIPE_GROUPS, uniq_parse, &top_ops };
