/* pipe_compare.c: `compare offset=1d`: the table before it beside the same one of earlier.
 *
 * The query up to here is read a second time with the times of its filter, and the start and end of
 * the request, moved back by the offset. Rows meet by what they are grouped by, instants among it
 * moved forth again. Each figure x is followed by x_before and x_change. */
#include "query/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "query/run.h"

struct compare_args {
    struct query *other;
    int64_t offset; /* ns */
    uint32_t nkeys; /* columns by which rows meet; figures are behind them */
    uint64_t times; /* bit k: key k is an instant of the entries */
    uint64_t zero;  /* bit i: figure i of a row that is not there is 0 */
    bool own_order; /* the rows before it are in an order that is not their keys' */
};

struct pair {
    const struct val *now, *before; /* one of both may be NULL */
};

struct compare_op {
    struct op op;
    struct smap rows; /* key -> number of pair */
    struct pair *v;
    uint32_t n, cap;
    struct buf key;
    bool ready;
};

/* ---- parsing ---- */

static int nothing_to_compare(struct parser *p, const struct pipe *pipe)
{
    parse_error(p, pipe->pos,
                "compare stands directly behind stats, timeline, top, rare, uniq or "
                "count");
    err_hint(p->err, "where, sort, eval and limit come behind compare");
    return ERR_INVALID;
}

static int check_keys(struct parser *p, struct compare_args *a, const struct by_args *by,
                      uint32_t first, int64_t pos)
{
    for (uint32_t i = 0; i < by->n; i++) {
        const struct group_key *k = &by->keys[i];
        if (k->kind == KEY_BUCKET || k->ref.field != F_TIMESTAMP)
            continue;
        a->times |= 1ull << (first + i);
        if (k->kind == KEY_TIME && a->offset % k->step)
            return parse_error(p, pos, "the offset must be a multiple of the step");
    }
    return 0;
}

static int check_timeline(struct parser *p, struct compare_args *a, const struct pipe *of,
                          int64_t pos)
{
    const struct by_args *by;
    int64_t step = timeline_step(of, &by);
    a->times = 1;
    if (!step) {
        parse_error(p, of->pos, "compare needs a timeline with a step");
        err_hint(p->err, "write timeline 1h, or what suits");
        return ERR_INVALID;
    }
    if (a->offset % step)
        return parse_error(p, pos, "the offset must be a multiple of the step");
    return check_keys(p, a, by, 1, pos);
}

/* what is a key and what a figure in the table of the pipe before */
static int look_at(struct parser *p, struct compare_args *a, const struct pipe *of,
                   const struct pipe *pipe, int64_t pos)
{
    a->nkeys = of->out ? of->out->n - 1 : 0;
    a->zero = 1;
    if (of->def == &pipe_count)
        return 0;
    if (of->def == &pipe_timeline)
        return check_timeline(p, a, of, pos);
    if (of->def == &pipe_top || of->def == &pipe_rare || of->def == &pipe_uniq) {
        a->own_order = of->def != &pipe_uniq;
        return check_keys(p, a, top_by(of), 0, pos);
    }
    if (of->def != &pipe_stats)
        return nothing_to_compare(p, pipe);
    const struct stats_args *s = of->args;
    a->nkeys = s->by.n;
    a->zero = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        str fn = str_c(s->aggs[i].fn->name);
        if (str_eq(fn, STR("count")) || str_eq(fn, STR("count_distinct")) ||
            str_eq(fn, STR("rate")))
            a->zero |= 1ull << i;
    }
    return check_keys(p, a, &s->by, 0, pos);
}

static int figure(struct parser *p, struct schema *out, const struct qcol *col)
{
    char *before = arena_printf(p->a, "%.*s_before", STR_FMT(col->name)),
         *change = arena_printf(p->a, "%.*s_change", STR_FMT(col->name));
    if (!before || !change)
        return err_nomem(p->err);
    out->cols[out->n++] = *col;
    int rc = schema_computed(p, str_c(before), col->ref.field, &out->cols[out->n++]);
    return rc ? rc : schema_computed(p, str_c(change), F_NONE, &out->cols[out->n++]);
}

static int out_schema(struct parser *p, struct pipe *pipe)
{
    const struct compare_args *a = pipe->args;
    const struct schema *in = p->schema;
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    int rc = 0;
    if (!out || !(out->cols = arena_zalloc(p->a, 3 * in->n * sizeof *out->cols)))
        return err_nomem(p->err);
    memcpy(out->cols, in->cols, a->nkeys * sizeof *in->cols);
    out->n = a->nkeys;
    for (uint32_t i = a->nkeys; i < in->n && !rc; i++)
        rc = figure(p, out, &in->cols[i]);
    pipe->out = out;
    return rc ? rc : schema_check(p, out, pipe->pos);
}

static int has_window(struct parser *p, const struct compare_args *a, const struct pipe *pipe)
{
    ts_ns lo, hi;
    pred_time_bounds(a->other->filter, &lo, &hi);
    if (lo != TS_MIN)
        return 0;
    parse_error(p, pipe->pos, "compare needs a window of time that can be moved");
    err_hint(p->err,
             "begin it with after:, on: or time: in the filter, or with the request's start");
    return ERR_INVALID;
}

static int compare_parse(struct parser *p, struct pipe *pipe)
{
    struct compare_args *a = arena_zalloc(p->a, sizeof *a);
    const struct pipe *of = p->q->pipes;
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    for (const struct pipe *i = of; i; i = i->next)
        if (i->def == &pipe_compare)
            return parse_error(p, pipe->pos, "a query has one compare at most");
    while (of && of->next)
        of = of->next;
    if (!of)
        return nothing_to_compare(p, pipe);
    if (lex_word(p, "offset")) {
        int rc = lex_expect(p, '=', "behind offset");
        if (rc)
            return rc;
    }
    lex_blank(p);
    int64_t pos = (int64_t)p->pos;
    int rc = lex_duration(p, &a->offset, "the offset");
    if (rc) {
        err_hint(p->err, "write compare offset=1d");
        return rc;
    }
    rc = look_at(p, a, of, pipe, pos);
    if (!rc)
        rc = parse_earlier(p, a->offset, &a->other);
    if (!rc)
        rc = has_window(p, a, pipe);
    if (rc)
        return rc;
    struct pipe *last = a->other->pipes;
    while (last->next)
        last = last->next;
    if (a->own_order) /* what is on top now may have been far down */
        top_all(last);
    return out_schema(p, pipe);
}

/* ---- rows ---- */

static int compare_open(struct op *o, struct err *err)
{
    struct compare_op *c = (struct compare_op *)o;
    (void)err;
    smap_init(&c->rows, SMAP_BORROW);
    buf_init(&c->key, (size_t)64 << 20);
    c->ready = true;
    return 0;
}

/* the pair with these keys; a new one when `add`, else NULL in *ret */
static int pair_of(struct compare_op *c, const struct val *keys, bool add, struct pair **ret,
                   struct err *err)
{
    const struct compare_args *a = c->op.pipe->args;
    struct run *r = c->op.run;
    buf_reset(&c->key);
    for (uint32_t k = 0; k < a->nkeys; k++)
        spill_put_val(&c->key, &keys[k]);
    str key = c->key.n ? buf_str(&c->key) : STR("");
    uint64_t *slot = buf_ok(&c->key) ? smap_get(&c->rows, key) : NULL;
    *ret = slot ? &c->v[*slot] : NULL;
    if (!buf_ok(&c->key))
        return err_nomem(err);
    if (slot || !add)
        return 0;
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 64;
        struct pair *v = mem_realloc(c->v, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        r->kept_bytes += (cap - c->cap) * (sizeof *v + 2 * sizeof(struct smap_slot));
        c->v = v;
        c->cap = cap;
    }
    key = arena_dup(&r->arena, key);
    if (!key.p)
        return run_nomem(r, "compare", err);
    slot = smap_put(&c->rows, key, NULL);
    if (!slot)
        return err_nomem(err);
    *slot = c->n;
    c->v[c->n] = (struct pair){ NULL, NULL };
    *ret = &c->v[c->n++];
    return run_room(r, "compare", err);
}

static int own_row(struct compare_op *c, struct val *vals, uint32_t n, const struct val **ret,
                   struct err *err)
{
    struct run *r = c->op.run;
    struct val *own = arena_array(&r->arena, n, sizeof *own);
    if (!own)
        return run_nomem(r, "compare", err);
    for (uint32_t i = 0; i < n; i++) {
        own[i] = vals[i];
        if (vals[i].t < V_STR)
            continue;
        own[i].s = vals[i].s.n ? arena_dup(&r->arena, vals[i].s) : STR("");
        if (!own[i].s.p)
            return run_nomem(r, "compare", err);
    }
    *ret = own;
    return 0;
}

static int compare_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct compare_op *x = (struct compare_op *)o;
    const struct schema *in = o->pipe->in;
    struct access *acc = mem_array(in->n, sizeof *acc);
    struct val *vals = mem_array(in->n, sizeof *vals);
    int rc = acc && vals ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < in->n && !rc; i++)
        rc = access_open(&acc[i], c->b, &in->cols[i].ref, err);
    for (size_t row = bits_next(c->sel, 0, c->b->n); row < c->b->n && !rc;
         row = bits_next(c->sel, row + 1, c->b->n)) {
        struct pair *p;
        for (uint32_t i = 0; i < in->n && !rc; i++)
            rc = access_get(&acc[i], (uint32_t)row, &vals[i], err);
        if (!rc)
            rc = pair_of(x, vals, true, &p, err);
        if (!rc)
            rc = own_row(x, vals, in->n, &p->now, err);
    }
    mem_free(acc);
    mem_free(vals);
    return rc;
}

/* a row of the earlier table */
static int take_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct compare_op *c = ctx;
    const struct compare_args *a = c->op.pipe->args;
    struct val vals[GROUP_KEYS_MAX + AGGS_MAX + 1];
    struct pair *p;
    for (uint32_t i = 0; i < row->ncells; i++) {
        vals[i] = row->cells[i].v;
        if (i < a->nkeys && a->times >> i & 1 && vals[i].t == V_I64)
            vals[i].i += a->offset;
    }
    int rc = pair_of(c, vals, !a->own_order, &p, err);
    return rc || !p ? rc : own_row(c, vals, row->ncells, &p->before, err);
}

static int by_keys(const void *x, const void *y, void *arg)
{
    const struct compare_args *a = arg;
    const struct pair *p = x, *q = y;
    const struct val *v = p->now ? p->now : p->before, *w = q->now ? q->now : q->before;
    for (uint32_t k = 0; k < a->nkeys; k++) {
        int c = val_cmp(&v[k], &w[k]);
        if (c || v[k].t != w[k].t)
            return c ? c : v[k].t < w[k].t ? -1 : 1;
    }
    return 0;
}

/* a number of at most 6 decimals as that many millionths */
static bool millionths(double d, int64_t *ret)
{
    double scaled = d * 1e6;
    if (!(fabs(scaled) < 9e15))
        return false;
    *ret = llround(scaled);
    return (double)*ret / 1e6 == d;
}

/* y - x, exactly for decimals; what binary fractions add behind 15 digits is nobody's measurement
 */
static struct val difference(const struct val *y, const struct val *x)
{
    struct val d = { .t = V_I64 };
    double a, b;
    int64_t i, k;
    char text[40];
    if (y->t == V_I64 && x->t == V_I64 && !__builtin_sub_overflow(y->i, x->i, &d.i))
        return d;
    if (!val_is_num(y, &a) || !val_is_num(x, &b) || !isfinite(a - b))
        return VAL_ABSENT;
    if (millionths(a, &i) && millionths(b, &k))
        return val_normal((struct val){ .t = V_F64, .d = (double)(i - k) / 1e6 });
    d = (struct val){ .t = V_F64, .d = a - b };
    snprintf(text, sizeof text, "%.15g", d.d);
    (void)str_to_f64(str_c(text), &d.d);
    return val_normal(d);
}

static void put_pair(const struct compare_op *c, const struct pair *p, struct val *out)
{
    const struct compare_args *a = c->op.pipe->args;
    const struct schema *in = c->op.pipe->in;
    const struct val *any = p->now ? p->now : p->before;
    memcpy(out, any, a->nkeys * sizeof *out);
    out += a->nkeys;
    for (uint32_t i = a->nkeys; i < in->n; i++, out += 3) {
        struct val none = VAL_ABSENT;
        if (a->zero >> (i - a->nkeys) & 1)
            none = (struct val){ .t = V_I64, .i = 0 };
        out[0] = p->now ? p->now[i] : none;
        out[1] = p->before ? p->before[i] : none;
        out[2] = in->cols[i].ref.field == F_NONE ? difference(&out[0], &out[1]) : VAL_ABSENT;
    }
}

static int compare_finish(struct op *o, struct err *err)
{
    struct compare_op *c = (struct compare_op *)o;
    struct compare_args *a = o->pipe->args;
    struct query_sink sink = { .ctx = c, .row = take_row };
    struct scan_cost cost = { 0 };
    enum { ROWS = 256 };
    uint32_t nc = o->pipe->out->n;
    int rc = run_inner(o->run, a->other, &sink, &cost, false, err);
    cost_add(&o->run->res->cost, &cost);
    if (rc)
        return rc;
    struct val *vals = mem_array((size_t)ROWS * nc, sizeof *vals);
    if (!vals)
        return err_nomem(err);
    if (!a->own_order && c->n)
        qsort_r(c->v, c->n, sizeof *c->v, by_keys, a);
    for (uint32_t i = 0; i < c->n && !rc; i += ROWS) {
        uint32_t n = c->n - i < ROWS ? c->n - i : ROWS;
        for (uint32_t k = 0; k < n; k++)
            put_pair(c, &c->v[i + k], vals + (size_t)k * nc);
        rc = table_push(o->run, o->next, o->pipe->out, vals, n, err);
    }
    mem_free(vals);
    return rc < 0 ? rc : 0;
}

static void compare_close(struct op *o)
{
    struct compare_op *c = (struct compare_op *)o;
    if (!c->ready)
        return;
    smap_deinit(&c->rows);
    buf_deinit(&c->key);
    mem_free(c->v);
}

static const struct op_ops compare_ops = {
    sizeof(struct compare_op), compare_open, compare_push, compare_finish, compare_close, NULL
};
const struct pipe_def pipe_compare = {
    "compare",    PIPE_GROUPS,           compare_parse,
    &compare_ops, "compare offset=STEP", "the table before it beside the same one of earlier"
};
