/* pipe_stats.c: `stats f(x) [if (F)] [as n], ... [by a, time(5m), bucket(x, 100)]`.
 *
 * Rows are numbered by group (group.c), then every function runs over the chunk on its own. States
 * lie in one array a function, by group number. Groups come out in rising order of their keys. */
#include <math.h>

#include "base/mem.h"
#include "query/run.h"
#include "query/stats.h"

#define VALUES_DEFAULT 100
#define VALUES_MAX 10000

/* ---- parsing ---- */

static int unknown_function(struct parser *p, const struct qname *name)
{
    parse_error(p, name->pos, "unknown function %.*s", STR_FMT(name->text));
    parse_hint_near(p, name->text, agg_names, agg_nnames);
    return ERR_INVALID;
}

static int parse_agg_args(struct parser *p, struct agg *a, const struct qname *name)
{
    struct qname field;
    if (lex_char(p, ')')) {
        if (a->fn->flags & AGG_OPTIONAL)
            return 0;
        return parse_error(p, name->pos, "%.*s needs a field", STR_FMT(name->text));
    }
    int rc = lex_name(p, &field, "a field");
    if (!rc)
        rc = schema_resolve(p, &field, &a->ref);
    a->has_ref = true;
    a->max = VALUES_DEFAULT;
    bool more = !rc && lex_char(p, ',');
    if (more)
        lex_blank(p);
    int64_t at = (int64_t)p->pos;
    struct pred_bound n;
    if (more && str_eq(name->text, STR("percentile"))) {
        rc = lex_number(p, &n, "the percentile");
        double q = rc ? 0 : n.integral ? (double)n.i : n.d;
        if (!rc && !(q >= 0 && q <= 100))
            rc = parse_error(p, at, "a percentile is between 0 and 100");
        else /* below 1 it is a fraction: 0.95 is 95 */
            a->q = (uint64_t)llround(q * (double)AGG_Q_ONE / (q < 1 ? 1 : 100));
    } else if (more && str_eq(name->text, STR("values"))) {
        rc = lex_uint(p, &a->max, "the number of values");
        if (!rc && (a->max < 1 || a->max > VALUES_MAX))
            rc = parse_error(p, at, "the number of values is between 1 and %d", VALUES_MAX);
    } else if (more) {
        rc = parse_error(p, at, "%.*s takes one field", STR_FMT(name->text));
    } else if (!rc && str_eq(name->text, STR("percentile"))) {
        rc = parse_error(p, (int64_t)p->pos, "percentile needs a second argument, such as 95");
    }
    return rc ? rc : lex_expect(p, ')', "after the arguments");
}

/* the call without blanks, as a column's name */
static str call_name(struct parser *p, size_t from, size_t to)
{
    char *z = arena_alloc(p->a, to - from + 1);
    size_t n = 0;
    for (size_t i = from; z && i < to; i++)
        if (!strchr(" \t\r\n`", p->text.p[i]))
            z[n++] = p->text.p[i];
    return z ? (str){ z, n } : STR_NULL;
}

static int parse_agg(struct parser *p, struct agg *a)
{
    struct qname name;
    lex_blank(p);
    size_t from = p->pos;
    int rc = lex_name(p, &name, "a function such as count()");
    if (rc)
        return rc;
    a->fn = agg_find(name.text, &a->q);
    if (!a->fn)
        return unknown_function(p, &name);
    rc = lex_expect(p, '(', "after the function");
    if (!rc)
        rc = parse_agg_args(p, a, &name);
    str as = rc ? STR_NULL : call_name(p, from, p->pos);
    if (!rc && !as.p)
        rc = err_nomem(p->err);
    if (!rc && lex_word(p, "if")) {
        struct ast *ast;
        rc = lex_expect(p, '(', "after if");
        if (!rc)
            rc = parse_filter(p, &ast);
        if (!rc)
            rc = lex_expect(p, ')', "after the condition");
        if (!rc)
            rc = lower_filter(p, ast, &a->cond);
    }
    if (!rc && lex_word(p, "as")) {
        rc = lex_name(p, &name, "a name after as");
        as = name.text;
    }
    enum field shown = a->has_ref && (a->fn->flags & AGG_TYPED) ? a->ref.field : F_NONE;
    if (shown != F_NONE && shown != F_LEVEL && !(field_table[shown].flags & FF_TIME))
        shown = F_NONE;
    return rc ? rc : schema_computed(p, as, shown, &a->col);
}

static int stats_parse(struct parser *p, struct pipe *pipe)
{
    struct stats_args *s = arena_zalloc(p->a, sizeof *s);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    int rc = 0;
    if (!s || !out)
        return err_nomem(p->err);
    pipe->args = s;
    do {
        if (s->n == AGGS_MAX)
            return parse_error(p, (int64_t)p->pos, "more than %d functions", AGGS_MAX);
        rc = parse_agg(p, &s->aggs[s->n]);
        s->n++;
    } while (!rc && lex_char(p, ','));
    if (!rc && lex_word(p, "by"))
        rc = parse_by(p, &s->by);
    if (rc)
        return rc;
    out->cols = arena_zalloc(p->a, (s->by.n + s->n) * sizeof *out->cols);
    if (!out->cols)
        return err_nomem(p->err);
    for (uint32_t i = 0; i < s->by.n; i++) {
        out->cols[out->n++] = s->by.cols[i];
        if (s->by.keys[i].kind == KEY_TIME)
            s->step = s->by.keys[i].step;
    }
    for (uint32_t i = 0; i < s->n; i++)
        out->cols[out->n++] = s->aggs[i].col;
    pipe->out = out;
    return schema_check(p, out, pipe->pos);
}

/* ---- running ---- */

static int stats_open(struct op *o, struct err *err)
{
    struct stats_op *s = (struct stats_op *)o;
    const struct stats_args *a = o->pipe->args;
    for (uint32_t i = 0; i < a->n; i++)
        s->placed |=
            (a->aggs[i].fn->flags & AGG_PLACED) || str_eq(str_c(a->aggs[i].fn->name), STR("rate"));
    s->first = TS_MAX;
    s->last = TS_MIN;
    s->grouping = true;
    arena_init(&s->out, SIZE_MAX);
    return grouper_init(&s->g, o->run, "stats", a->by.keys, a->by.n, err);
}

/* room for the states of all groups there are */
static int states_grow(struct stats_op *s, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    if (s->g.n > s->cap) {
        uint32_t cap = s->cap ? s->cap : 16;
        while (cap < s->g.n)
            cap *= 2;
        for (uint32_t i = 0; i < a->n; i++) {
            size_t size = a->aggs[i].fn->size;
            char *more = mem_realloc(s->states[i], cap * size);
            if (!more)
                return err_nomem(err);
            s->states[i] = more;
            r->kept_bytes += (cap - s->cap) * size;
        }
        s->cap = cap;
    }
    for (uint32_t i = 0; i < a->n && s->ready < s->g.n; i++) {
        size_t size = a->aggs[i].fn->size;
        memset(s->states[i] + s->ready * size, 0, (s->g.n - s->ready) * size);
    }
    s->ready = s->g.n;
    return run_room(r, "stats", err);
}

/* count() of everything: no value is looked at */
static void count_rows(struct stats_op *s, uint32_t k, const struct chunk *c, const uint64_t *sel)
{
    uint64_t *n = (uint64_t *)(void *)s->states[k];
    const uint32_t *gid = s->g.gid;
    if (s->g.nkeys == 0) {
        n[0] += bits_count(sel, c->b->n);
        return;
    }
    for (size_t w = 0; w < BITS_WORDS(c->b->n); w++)
        for (uint64_t m = sel[w]; m; m &= m - 1)
            n[gid[w * 64 + (size_t)__builtin_ctzll(m)]]++;
}

/* The values that stand in columns the function can take as a whole; *left: rows still to be
 * added, one by one. */
static int add_columns(struct stats_op *s, uint32_t k, struct access *acc, const uint64_t *sel,
                       uint64_t *left, struct agg_env *e, struct err *err)
{
    uint64_t rows[BLOCK_WORDS];
    uint32_t n = acc->b->n;
    memcpy(left, sel, BITS_WORDS(n) * 8);
    for (uint32_t i = 0; i < acc->n && e->agg->fn->column; i++) {
        const struct colv *c = acc->c[i];
        for (size_t w = 0; w < BITS_WORDS(n); w++)
            rows[w] = left[w] & (c->present ? c->present[w] : UINT64_MAX);
        int rc = e->agg->fn->column(e, s->states[k], c, rows, s->g.gid, err);
        if (rc)
            return rc < 0 ? rc : 0; /* the first column that has a row counts: no further */
        for (size_t w = 0; w < BITS_WORDS(n); w++)
            left[w] &= ~rows[w];
    }
    if (e->agg->fn->column && !acc->rest && !acc->made && !acc->inside)
        bits_zero(left, n); /* the others have no value */
    return 0;
}

struct places {
    struct access t, seq;
};

static int add_rows(struct stats_op *s, uint32_t k, const struct chunk *c, const uint64_t *sel,
                    struct places *pl, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    const struct agg *g = &a->aggs[k];
    struct agg_env e = { .r = s->op.run, .agg = g, .shared = s->shared[k] };
    struct access acc;
    struct val v;
    uint64_t left[BLOCK_WORDS];
    int rc = g->has_ref ? access_open(&acc, c->b, &g->ref, err) : 0;
    if (!rc && g->has_ref) {
        rc = add_columns(s, k, &acc, sel, left, &e, err);
        sel = left;
    }
    for (size_t i = bits_next(sel, 0, c->b->n); i < c->b->n && !rc;
         i = bits_next(sel, i + 1, c->b->n)) {
        if (g->has_ref) {
            rc = access_get(&acc, (uint32_t)i, &v, err);
            if (rc || v.t == V_NULL)
                continue;
        }
        e.group = s->g.gid[i];
        if (g->fn->flags & AGG_PLACED) {
            e.t = pl->t.n ? access_time(&pl->t, (uint32_t)i) : s->arrived + (int64_t)i;
            e.seq = (uint64_t)access_time(&pl->seq, (uint32_t)i);
        }
        rc = g->fn->add(&e, s->states[k] + e.group * g->fn->size, g->has_ref ? &v : NULL, err);
    }
    s->shared[k] = e.shared;
    return rc;
}

static int open_places(struct stats_op *s, const struct chunk *c, struct places *pl,
                       struct err *err)
{
    struct fieldref t = { .field = F_TIMESTAMP, .key = field_table[F_TIMESTAMP].name };
    struct fieldref q = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    uint32_t n = c->b->n;
    t.hash = field_dotted_hash(t.key);
    q.hash = field_dotted_hash(q.key);
    int rc = access_open(&pl->t, c->b, &t, err);
    if (!rc)
        rc = access_open(&pl->seq, c->b, &q, err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        ts_ns at = access_time(&pl->t, (uint32_t)i);
        s->first = at < s->first ? at : s->first;
        s->last = at > s->last ? at : s->last;
    }
    return rc;
}

static int add_chunk(struct stats_op *s, const struct chunk *c, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    struct places pl;
    int rc = grouper_rows(&s->g, c, err);
    if (!rc)
        rc = states_grow(s, err);
    if (!rc && s->placed)
        rc = open_places(s, c, &pl, err);
    for (uint32_t k = 0; k < a->n && !rc; k++) {
        uint64_t own[BLOCK_WORDS];
        const uint64_t *sel = c->sel;
        if (a->aggs[k].cond) {
            rc = pred_eval(a->aggs[k].cond, c->b, c->sel, own, r->preds, &r->ctl->cancel, err);
            sel = own;
        }
        if (rc)
            break;
        if (!a->aggs[k].has_ref && a->aggs[k].fn->size == sizeof(uint64_t))
            count_rows(s, k, c, sel);
        else
            rc = add_rows(s, k, c, sel, &pl, err);
    }
    return rc;
}

/* bytes that a row may add at most, texts and long lists aside */
static size_t row_bytes(const struct stats_args *a)
{
    size_t n = 200 + 100 * (size_t)a->by.n;
    for (uint32_t k = 0; k < a->n; k++)
        n += a->aggs[k].fn->size + 200 + (a->aggs[k].fn->clear ? 2 * sizeof(struct exact_big) : 0);
    return n;
}

static int add_and_spill(void *arg, const struct chunk *c, struct err *err)
{
    struct stats_op *s = arg;
    struct run *r = s->op.run;
    size_t before = r->kept_bytes;
    int rc = add_chunk(s, c, err);
    s->own += r->kept_bytes - before;
    return !rc && spill_due(r, s->own) ? stats_spill(s, err) : rc;
}

static int stats_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct stats_op *s = (struct stats_op *)o;
    int rc = spill_slices(o->run, c, row_bytes(o->pipe->args), add_and_spill, s, err);
    s->arrived += c->b->n;
    return rc;
}

static int stats_merge(struct op *o, struct op *from, struct err *err)
{
    struct stats_op *s = (struct stats_op *)o, *f = (struct stats_op *)from;
    const struct stats_args *a = o->pipe->args;
    uint32_t *map = mem_array(f->g.n + 1, sizeof *map);
    if (!map)
        return err_nomem(err);
    size_t before = o->run->kept_bytes;
    int rc = grouper_merge(&s->g, &f->g, map, err);
    if (!rc)
        rc = states_grow(s, err);
    for (uint32_t k = 0; k < a->n && !rc; k++) {
        struct agg_env e = { .r = o->run, .agg = &a->aggs[k], .shared = s->shared[k] };
        rc = a->aggs[k].fn->merge(&e, s->states[k], f->states[k], f->ready, map, f->shared[k], err);
        s->shared[k] = e.shared;
    }
    s->own += o->run->kept_bytes - before;
    s->first = f->first < s->first ? f->first : s->first;
    s->last = f->last > s->last ? f->last : s->last;
    mem_free(map);
    return rc;
}

/* the time rate() divides by: the bucket, else the filter's range, else from first to last row */
static double seconds(const struct stats_op *s)
{
    const struct stats_args *a = s->op.pipe->args;
    ts_ns lo, hi;
    if (a->step)
        return (double)a->step / NS_PER_S;
    pred_time_bounds(s->op.run->q->filter, &lo, &hi);
    if (lo == TS_MIN || hi == TS_MAX || lo > hi) {
        lo = s->first;
        hi = s->last;
    }
    double span = hi > lo ? ((double)hi - (double)lo) / NS_PER_S : 0;
    return span < 1 ? 1 : span;
}

static int stats_row(struct stats_op *s, uint32_t group, double span, struct val *out,
                     struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    uint32_t n = 0;
    for (uint32_t k = 0; k < a->by.n; k++)
        out[n++] = grouper_val(&s->g, group, k);
    for (uint32_t k = 0; k < a->n; k++) {
        struct agg_env e = {
            .r = s->op.run, .agg = &a->aggs[k], .group = group, .seconds = span, .out = &s->out
        };
        int rc =
            a->aggs[k].fn->result(&e, s->states[k] + group * a->aggs[k].fn->size, &out[n++], err);
        if (rc)
            return rc;
    }
    return 0;
}

/* all groups are here */
static int hand_on(struct stats_op *s, double span, struct err *err)
{
    struct op *o = &s->op;
    const struct schema *out = o->pipe->out;
    enum { ROWS = 256 };
    uint32_t *order = NULL;
    int rc = states_grow(s, err); /* one group even without a row when nothing is grouped */
    struct val *vals = mem_array((size_t)ROWS * out->n, sizeof *vals);
    if (!rc && !vals)
        rc = err_nomem(err);
    if (!rc && !sort_settles(o->next->pipe, out->cols, s->g.nkeys))
        rc = grouper_sorted(&s->g, &order, err);
    for (uint32_t i = 0; i < s->g.n && !rc; i += ROWS) {
        uint32_t n = s->g.n - i < ROWS ? s->g.n - i : ROWS;
        for (uint32_t k = 0; k < n && !rc; k++)
            rc = stats_row(s, order ? order[i + k] : i + k, span, vals + (size_t)k * out->n, err);
        if (!rc)
            rc = table_push(o->run, o->next, out, vals, n, err);
        arena_reset(&s->out);
    }
    mem_free(order);
    mem_free(vals);
    return rc;
}

static int stats_finish(struct op *o, struct err *err)
{
    struct stats_op *s = (struct stats_op *)o;
    double span = seconds(s);
    /* an operator behind this one may need the room */
    bool room = !o->next->pipe || sort_is_small(o->next) || !spill_due(o->run, s->own);
    if (!spill_used(&s->spill) && room)
        return hand_on(s, span, err);
    int rc = stats_spill(s, err);
    return rc ? rc : stats_join(s, span, err);
}

void stats_clear(struct stats_op *s)
{
    const struct stats_args *a = s->op.pipe->args;
    for (uint32_t k = 0; k < a->n; k++) {
        const struct agg_fn *fn = a->aggs[k].fn;
        for (uint32_t i = 0; i < s->ready && fn->clear; i++)
            fn->clear(s->states[k] + i * fn->size);
        if (fn->shared_free)
            fn->shared_free(s->shared[k]);
        mem_free(s->states[k]);
        s->shared[k] = s->states[k] = NULL;
    }
    s->ready = s->cap = 0;
    if (s->grouping)
        grouper_deinit(&s->g);
    s->grouping = false;
}

static void stats_close(struct op *o)
{
    struct stats_op *s = (struct stats_op *)o;
    stats_clear(s);
    spill_deinit(&s->spill);
    arena_deinit(&s->out);
}

static const struct op_ops stats_ops = {
    sizeof(struct stats_op), stats_open, stats_push, stats_finish, stats_close, stats_merge
};
const struct pipe_def pipe_stats = {
    "stats",
    PIPE_GROUPS,
    stats_parse,
    &stats_ops,
    "stats STAT [if (FILTER)] [as NAME], ... [by GROUP [as NAME], ...]",
    "functions over all rows, or over each group of them"
};
