/* pipe_top.c: `top n f [by g]`, `rare n f [by g]`, `uniq f, ...` and `values f, ...`: values and
 * how often they occur.
 *
 * top: the n most frequent values of f (in each group g), rare: the n least frequent, ties by
 * value; rows without f do not count. uniq: every distinct combination in rising order, null
 * included. values: the same without the counts, and without the row in which all is null.
 *
 * Groups past the budget go to the disk in the order of their keys, with their counts (as the seq
 * of a kept row), and are added up when the runs are merged; then only the best n of one group are
 * held. */
#include <stdlib.h>

#include "base/mem.h"
#include "query/group.h"
#include "query/spill_sort.h"

#define TOP_DEFAULT 10

struct top_args {
    struct by_args by; /* the groups, then the field */
    uint64_t n;        /* rows a group; UINT64_MAX for uniq and values */
    bool top;          /* or rare */
    bool rare;
    bool counted; /* with a column of counts */
};

struct top_op {
    struct op op;
    struct grouper g;
    bool grouping;
    uint64_t *counts;
    uint32_t cap;
    size_t own; /* bytes the groups take */
    struct spill spill;
};

static int out_schema(struct parser *p, struct pipe *pipe, const struct by_args *by)
{
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    if (!out || !(out->cols = arena_zalloc(p->a, (by->n + 1) * sizeof *out->cols)))
        return err_nomem(p->err);
    for (uint32_t i = 0; i < by->n; i++)
        out->cols[out->n++] = by->cols[i];
    const struct top_args *t = pipe->args;
    int rc = t->counted ? schema_computed(p, STR("count"), F_NONE, &out->cols[out->n++]) : 0;
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
    t->top = t->counted = true;
    t->rare = str_eq(str_c(pipe->def->name), STR("rare"));
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
    t->counted = str_eq(str_c(pipe->def->name), STR("uniq"));
    lex_word(p, "by");
    int rc = parse_by(p, &t->by);
    return rc ? rc : out_schema(p, pipe, &t->by);
}

const struct by_args *top_by(const struct pipe *p)
{
    return &((const struct top_args *)p->args)->by;
}

void top_all(struct pipe *p)
{
    ((struct top_args *)p->args)->n = UINT64_MAX;
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

static int spilled_cmp(const void *arg, const struct kept *x, const struct kept *y)
{
    const struct top_args *a = arg;
    int c = 0;
    for (uint32_t k = 0; k < a->by.n && !c; k++)
        c = spill_key_cmp(&x->key[k], &y->key[k]);
    return c;
}

static void top_clear(struct top_op *t)
{
    if (t->grouping)
        grouper_deinit(&t->g);
    t->grouping = false;
    mem_free(t->counts);
    t->counts = NULL;
    t->cap = 0;
}

/* all groups to the disk; none is left */
static int spill_groups(struct top_op *t, struct err *err)
{
    const struct top_args *a = t->op.pipe->args;
    struct run *r = t->op.run;
    struct val keys[GROUP_KEYS_MAX];
    uint32_t *order;
    spill_init(&t->spill, r, t->op.pipe->def->name, a->by.n, spilled_cmp, a);
    int rc = grouper_sorted(&t->g, &order, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < t->g.n && !rc; i++) {
        for (uint32_t k = 0; k < a->by.n; k++)
            keys[k] = grouper_val(&t->g, order[i], k);
        rc = spill_put(&t->spill, &(struct kept){ .key = keys, .seq = t->counts[order[i]] }, err);
    }
    mem_free(order);
    if (!rc)
        rc = spill_end(&t->spill, err);
    top_clear(t);
    r->kept_bytes -= t->own;
    t->own = 0;
    return rc ? rc : top_open(&t->op, err);
}

static int add_chunk(void *arg, const struct chunk *c, struct err *err)
{
    struct top_op *t = arg;
    struct run *r = t->op.run;
    size_t before = r->kept_bytes;
    int rc = grouper_rows(&t->g, c, err);
    if (!rc)
        rc = counts_grow(t, err);
    t->own += r->kept_bytes - before;
    if (rc)
        return rc;
    for (size_t w = 0; w < BITS_WORDS(c->b->n); w++)
        for (uint64_t m = c->sel[w]; m; m &= m - 1)
            t->counts[t->g.gid[w * 64 + (size_t)__builtin_ctzll(m)]]++;
    rc = run_room(r, t->op.pipe->def->name, err);
    return !rc && spill_due(r, t->own) ? spill_groups(t, err) : rc;
}

static int top_push(struct op *o, const struct chunk *c, struct err *err)
{
    const struct top_args *a = o->pipe->args;
    return spill_slices(o->run, c, 200 + (size_t)a->by.n * 100, add_chunk, o, err);
}

static int top_merge(struct op *o, struct op *from, struct err *err)
{
    struct top_op *t = (struct top_op *)o, *f = (struct top_op *)from;
    uint32_t *map = mem_array(f->g.n + 1, sizeof *map);
    if (!map)
        return err_nomem(err);
    size_t before = o->run->kept_bytes;
    int rc = grouper_merge(&t->g, &f->g, map, err);
    if (!rc)
        rc = counts_grow(t, err);
    t->own += o->run->kept_bytes - before;
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
    const struct top_args *args = t->op.pipe->args;
    if (t->counts[i] != t->counts[k])
        return (t->counts[i] > t->counts[k]) != args->rare ? -1 : 1;
    struct val a = grouper_val(&t->g, i, t->g.nkeys - 1), b = grouper_val(&t->g, k, t->g.nkeys - 1);
    return val_cmp(&a, &b);
}

/* is the row shown at all? */
static bool shown(const struct top_args *a, const struct val *keys)
{
    if (a->top)
        return keys[a->by.n - 1].t != V_NULL;
    for (uint32_t k = 0; k < a->by.n && !a->counted; k++)
        if (keys[k].t != V_NULL)
            return true;
    return a->counted;
}

static int put_rows(struct top_op *t, const uint32_t *order, struct err *err)
{
    const struct top_args *a = t->op.pipe->args;
    enum { ROWS = 256 };
    uint32_t nk = t->g.nkeys, nc = t->op.pipe->out->n, n = 0;
    struct val *vals = mem_array((size_t)ROWS * nc, sizeof *vals);
    uint64_t in_group = 0;
    int rc = vals ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < t->g.n && !rc; i++) {
        if (i && cmp_prefix(&t->g, order[i - 1], order[i]) != 0)
            in_group = 0;
        struct val *row = vals + (size_t)n * nc;
        for (uint32_t k = 0; k < nk; k++)
            row[k] = grouper_val(&t->g, order[i], k);
        if (!shown(a, row) || (a->top && in_group >= a->n))
            continue;
        in_group++;
        if (a->counted)
            row[nk] = (struct val){ .t = V_I64, .i = (int64_t)t->counts[order[i]] };
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

/* ---- from the disk ---- */

struct joining {
    struct top_op *t;
    struct kept *now;   /* the group whose counts are being added up */
    struct kept **best; /* of the groups with its first keys: a heap, worst on top; uniq: a list */
    uint32_t n, cap;
    size_t own;        /* bytes of best */
    struct spill more; /* the best of before, when so many are wanted that they do not fit */
};

static int best_cmp(const void *x, const void *y, void *arg)
{
    const struct kept *a = *(struct kept *const *)x, *b = *(struct kept *const *)y;
    const struct top_args *args = arg;
    uint32_t last = args->by.n - 1;
    if (a->seq != b->seq)
        return (a->seq > b->seq) != args->rare ? -1 : 1;
    return val_cmp(&a->key[last], &b->key[last]);
}

static void best_sift_down(struct joining *j)
{
    struct kept **v = j->best;
    void *args = j->t->op.pipe->args;
    for (uint32_t i = 0, k; (k = 2 * i + 1) < j->n; i = k) {
        if (k + 1 < j->n && best_cmp(&v[k], &v[k + 1], args) < 0)
            k++;
        if (best_cmp(&v[i], &v[k], args) >= 0)
            return;
        struct kept *t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

static void best_sift_up(struct joining *j)
{
    struct kept **v = j->best;
    void *args = j->t->op.pipe->args;
    for (uint32_t i = j->n - 1; i > 0 && best_cmp(&v[(i - 1) / 2], &v[i], args) < 0;
         i = (i - 1) / 2) {
        struct kept *t = v[i];
        v[i] = v[(i - 1) / 2];
        v[(i - 1) / 2] = t;
    }
}

static int more_cmp(const void *arg, const struct kept *x, const struct kept *y)
{
    return best_cmp(&x, &y, (void *)(uintptr_t)arg);
}

static void best_drop(struct joining *j)
{
    while (j->n)
        kept_free(j->t->op.run, j->best[--j->n]);
    j->own = 0;
}

static void best_sort(struct joining *j)
{
    struct top_args *a = j->t->op.pipe->args;
    if (a->top && j->n)
        qsort_r(j->best, j->n, sizeof(struct kept *), best_cmp, a);
}

/* the best of this group so far to the disk */
static int best_spill(struct joining *j, struct err *err)
{
    const struct top_op *t = j->t;
    int rc = 0;
    spill_init(&j->more, t->op.run, t->op.pipe->def->name, t->g.nkeys, more_cmp, t->op.pipe->args);
    best_sort(j);
    for (uint32_t i = 0; i < j->n && !rc; i++)
        rc = spill_put(&j->more, j->best[i], err);
    best_drop(j);
    return rc ? rc : spill_end(&j->more, err);
}

enum { ROWS = 256 };

static int rows_out(struct joining *j, struct kept *const *rows, uint32_t n, struct err *err)
{
    struct op *o = &j->t->op;
    const struct top_args *a = o->pipe->args;
    uint32_t nc = o->pipe->out->n;
    struct val *vals = mem_array((size_t)ROWS * nc, sizeof *vals);
    int rc = vals ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < n && !rc; i += ROWS) {
        uint32_t m = n - i < ROWS ? n - i : ROWS;
        for (uint32_t k = 0; k < m; k++) {
            const struct kept *row = rows[i + k];
            memcpy(vals + (size_t)k * nc, row->key, a->by.n * sizeof *vals);
            if (a->counted)
                vals[(size_t)k * nc + a->by.n] = (struct val){ .t = V_I64, .i = (int64_t)row->seq };
        }
        rc = table_push(o->run, o->next, o->pipe->out, vals, m, err);
    }
    mem_free(vals);
    return rc;
}

/* the first n of those on the disk */
static int more_out(struct joining *j, struct err *err)
{
    const struct top_args *a = j->t->op.pipe->args;
    struct run *r = j->t->op.run;
    struct kept *rows[ROWS];
    const struct kept *k;
    uint64_t left = a->n;
    int rc = best_spill(j, err), end = 0;
    if (!rc)
        rc = spill_merge(&j->more, err);
    while (!rc && !end) {
        uint32_t n = 0;
        while (n < ROWS && !rc && !(end = left ? spill_next(&j->more, &k, err) : 1)) {
            rc = kept_new_ref(&rows[n], r, 0, 0, k->key, a->by.n, err);
            if (rc)
                break;
            rows[n++]->seq = k->seq;
            left--;
        }
        if (!rc)
            rc = end < 0 ? end : rows_out(j, rows, n, err);
        while (n)
            kept_free(r, rows[--n]);
    }
    spill_deinit(&j->more);
    return rc;
}

static int best_out(struct joining *j, struct err *err)
{
    if (spill_used(&j->more))
        return more_out(j, err);
    best_sort(j);
    int rc = rows_out(j, j->best, j->n, err);
    best_drop(j);
    return rc;
}

/* all but the last one, which tells what group it is */
static int best_spill_but_one(struct joining *j, struct err *err)
{
    struct kept *one = j->best[--j->n];
    int rc = best_spill(j, err);
    j->best[j->n++] = one;
    j->own = one->bytes;
    return rc;
}

/* does k belong to another group than the best? */
static bool other_group(const struct joining *j, const struct kept *k)
{
    const struct top_args *a = j->t->op.pipe->args;
    for (uint32_t i = 0; i + 1 < a->by.n && j->n; i++)
        if (spill_key_cmp(&k->key[i], &j->best[0]->key[i]) != 0)
            return true;
    return false;
}

static int best_room(struct joining *j, struct err *err)
{
    uint32_t cap = j->cap ? j->cap * 2 : 64;
    struct kept **best = mem_realloc(j->best, cap * sizeof(struct kept *));
    if (!best)
        return err_nomem(err);
    j->best = best;
    j->cap = cap;
    return 0;
}

static void best_put(struct joining *j, struct kept *k)
{
    void *args = j->t->op.pipe->args;
    const struct top_args *a = args;
    j->own += k->bytes;
    if (j->n < a->n) {
        j->best[j->n++] = k;
        if (a->top)
            best_sift_up(j);
        return;
    }
    bool better = best_cmp(&k, &j->best[0], args) < 0;
    struct kept *out = better ? j->best[0] : k;
    if (better)
        j->best[0] = k;
    j->own -= out->bytes;
    kept_free(j->t->op.run, out);
    best_sift_down(j);
}

/* takes j->now, whose count is known */
static int offer(struct joining *j, struct err *err)
{
    const struct top_args *a = j->t->op.pipe->args;
    struct run *r = j->t->op.run;
    struct kept *k = j->now;
    int rc = 0;
    j->now = NULL;
    if (a->top ? other_group(j, k) : j->n == ROWS)
        rc = best_out(j, err);
    if (!rc && j->n == j->cap && j->n < a->n)
        rc = best_room(j, err);
    if (rc || !shown(a, k->key) || (a->top && !a->n)) {
        kept_free(r, k);
        return rc;
    }
    best_put(j, k);
    /* one stays, to tell which group it is */
    if (a->top && j->n > 1 && spill_due(r, j->own))
        rc = best_spill_but_one(j, err);
    return rc ? rc : run_room(r, j->t->op.pipe->def->name, err);
}

static int take_group(struct joining *j, const struct kept *k, struct err *err)
{
    const struct top_args *a = j->t->op.pipe->args;
    if (j->now && spilled_cmp(a, j->now, k) == 0) {
        j->now->seq += k->seq;
        return 0;
    }
    int rc = j->now ? offer(j, err) : 0;
    if (!rc)
        rc = kept_new_ref(&j->now, j->t->op.run, 0, 0, k->key, a->by.n, err);
    if (!rc)
        j->now->seq = k->seq;
    return rc;
}

static int hand_on_spilled(struct top_op *t, struct err *err)
{
    struct joining j = { .t = t };
    const struct kept *k;
    int rc = spill_groups(t, err), end = 0;
    if (!rc)
        rc = spill_merge(&t->spill, err);
    while (!rc && !(end = spill_next(&t->spill, &k, err)))
        rc = take_group(&j, k, err);
    if (!rc && end < 0)
        rc = end;
    if (!rc && j.now)
        rc = offer(&j, err);
    if (!rc)
        rc = best_out(&j, err);
    kept_free(t->op.run, j.now);
    best_drop(&j);
    mem_free(j.best);
    spill_deinit(&j.more);
    return rc;
}

static int top_finish(struct op *o, struct err *err)
{
    struct top_op *t = (struct top_op *)o;
    /* an operator behind this one may need the room */
    if (spill_used(&t->spill) || (o->next->pipe && spill_due(o->run, t->own)))
        return hand_on_spilled(t, err);
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
    top_clear(t);
    spill_deinit(&t->spill);
}

static const struct op_ops top_ops = {
    sizeof(struct top_op), top_open, top_push, top_finish, top_close, top_merge
};
const struct pipe_def pipe_top = { "top",
                                   PIPE_GROUPS,
                                   top_parse,
                                   &top_ops,
                                   "top [N] GROUP [as NAME] [by GROUP [as NAME], ...]",
                                   "the most frequent values, 10 when N is not given" };
const struct pipe_def pipe_uniq = { "uniq",
                                    PIPE_GROUPS,
                                    uniq_parse,
                                    &top_ops,
                                    "uniq [by] GROUP [as NAME], ...",
                                    "every different value and how often it occurs" };
const struct pipe_def pipe_rare = { "rare",
                                    PIPE_GROUPS,
                                    top_parse,
                                    &top_ops,
                                    "rare [N] GROUP [by GROUP, ...]",
                                    "the N least frequent values" };
const struct pipe_def pipe_values = {
    "values", PIPE_GROUPS,         uniq_parse,
    &top_ops, "values GROUP, ...", "the different values, without counts"
};
