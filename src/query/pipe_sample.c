/* pipe_sample.c: `sample n` and `sample p%`: some of the rows, the same ones every time.
 *
 * Each row has a number made of its sequence number (of tables, of its place) and the text of the
 * query: `sample n` takes the n rows with the smallest, `sample p%` those below p hundredths of all
 * numbers. So it does not matter in which order, or in how many parts, rows are read; another query
 * draws another sample. The order of rows stays; entries as they come from the store are newest
 * first. */
#include "query/refs.h"
#include "query/run.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

struct sample_args {
    uint64_t n;
    uint64_t below; /* p%: numbers up to it */
};

static uint64_t draw(uint64_t seed, uint64_t seq)
{
    return hash64_seed(&seq, sizeof seq, seed);
}

/* ---- parsing ---- */

static const struct pipe_def pipe_share;

static int sample_parse(struct parser *p, struct pipe *pipe)
{
    struct sample_args *a = arena_zalloc(p->a, sizeof *a);
    struct pred_bound x;
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    lex_blank(p);
    int64_t at = (int64_t)p->pos;
    int rc = lex_number(p, &x, "the size of the sample");
    if (rc) {
        err_hint(p->err, "write sample 100 or sample 5%%");
        return rc;
    }
    double d = x.integral ? (double)x.i : x.d;
    if (!lex_char(p, '%')) {
        if (!x.integral || x.i < 1)
            return parse_error(p, at, "the number of rows must be a whole number above 0");
        a->n = (uint64_t)x.i;
        return 0;
    }
    if (!(d > 0 && d <= 100))
        return parse_error(p, at, "a share is above 0%% and at most 100%%");
    pipe->def = &pipe_share;
    a->below = d >= 100 ? UINT64_MAX : (uint64_t)(d / 100 * 18446744073709551616.0);
    return 0;
}

/* ---- where a row stands ---- */

struct numbering {
    uint64_t seed, arrived;
};

struct places {
    struct fieldref refs[2]; /* the accesses point to them */
    struct access time, seq;
};

static int places_open(struct places *p, struct block *b, struct err *err)
{
    static const enum field of[] = { F_TIMESTAMP, F_SEQ };
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        p->refs[i] = (struct fieldref){ .field = of[i], .key = field_table[of[i]].name };
        p->refs[i].hash = field_dotted_hash(p->refs[i].key);
        rc = access_open(i ? &p->seq : &p->time, b, &p->refs[i], err);
    }
    return rc;
}

static uint64_t number_of(const struct numbering *n, struct places *p, uint32_t row)
{
    return draw(n->seed, p->seq.n ? (uint64_t)access_time(&p->seq, row) : n->arrived);
}

static uint64_t seed_of(const struct run *r)
{
    return hash64(r->q->text.p, r->q->text.n);
}

/* ---- a share ---- */

struct share_op {
    struct op op;
    struct numbering of;
};

static int share_open(struct op *o, struct err *err)
{
    (void)err;
    ((struct share_op *)o)->of.seed = seed_of(o->run);
    return 0;
}

static int share_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct share_op *s = (struct share_op *)o;
    const struct sample_args *a = o->pipe->args;
    uint64_t out[BLOCK_WORDS];
    struct places pl;
    struct chunk next = *c;
    uint32_t n = c->b->n;
    int rc = places_open(&pl, c->b, err);
    if (rc)
        return rc;
    bits_zero(out, n);
    next.sel = out;
    next.nsel = 0;
    for (size_t i = bits_next(c->sel, 0, n); i < n; i = bits_next(c->sel, i + 1, n)) {
        bool in = number_of(&s->of, &pl, (uint32_t)i) <= a->below;
        s->of.arrived++;
        next.nsel += in;
        if (in)
            bit_set(out, i);
    }
    return op_push(o->next, &next, err);
}

static const struct op_ops share_ops = {
    sizeof(struct share_op), share_open, share_push, NULL, NULL, NULL
};
static const struct pipe_def pipe_share = { "sample", 0, sample_parse, &share_ops, NULL, NULL };

/* ---- a number of rows ---- */

struct drawn {
    uint64_t number, arrived;
    struct rowref at;
    struct kept *row; /* NULL: by reference */
};

struct sample_op {
    struct op op;
    struct numbering of;
    bool by_time, oldest, by_ref;
    struct drawn *v; /* a heap, the largest number on top */
    size_t n, cap;
};

static bool larger(const struct drawn *x, const struct drawn *y)
{
    if (x->number != y->number)
        return x->number > y->number;
    return x->at.seq != y->at.seq ? x->at.seq > y->at.seq : x->arrived > y->arrived;
}

static void swap(struct drawn *x, struct drawn *y)
{
    struct drawn t = *x;
    *x = *y;
    *y = t;
}

static void sift_down(struct sample_op *s)
{
    for (size_t i = 0, k; (k = 2 * i + 1) < s->n; i = k) {
        k += k + 1 < s->n && larger(&s->v[k + 1], &s->v[k]);
        if (!larger(&s->v[k], &s->v[i]))
            return;
        swap(&s->v[i], &s->v[k]);
    }
}

static void sift_up(struct sample_op *s)
{
    for (size_t i = s->n - 1; i > 0 && larger(&s->v[i], &s->v[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&s->v[i], &s->v[(i - 1) / 2]);
}

static bool wanted(const struct sample_op *s, const struct drawn *d)
{
    const struct sample_args *a = s->op.pipe->args;
    return s->n < a->n || larger(&s->v[0], d);
}

/* d is wanted; takes its row */
static int put(struct sample_op *s, const struct drawn *d, struct err *err)
{
    const struct sample_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    if (s->n == a->n) {
        kept_free(r, s->v[0].row);
        s->v[0] = *d;
        sift_down(s);
        return 0;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct drawn *v = mem_realloc(s->v, cap * sizeof *v);
        if (!v) {
            kept_free(r, d->row);
            return err_nomem(err);
        }
        r->kept_bytes += (cap - s->cap) * sizeof *v;
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = *d;
    sift_up(s);
    return run_room(r, "sample", err);
}

static int sample_open(struct op *o, struct err *err)
{
    struct sample_op *s = (struct sample_op *)o;
    (void)err;
    s->of.seed = seed_of(o->run);
    s->oldest = o->run->q->o.oldest_first;
    s->by_time = true;
    for (const struct pipe *p = o->run->q->first; p != o->pipe; p = p->next)
        s->by_time &= !(p->def->flags & (PIPE_ORDERED | PIPE_GROUPS | PIPE_SORTS));
    return 0;
}

static int sample_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct sample_op *s = (struct sample_op *)o;
    struct places pl;
    uint32_t n = c->b->n;
    bool attached = false;
    int rc = places_open(&pl, c->b, err);
    s->by_ref = c->has_ref;
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        struct drawn d = { .number = number_of(&s->of, &pl, (uint32_t)i),
                           .arrived = s->of.arrived++,
                           .at = { access_time(&pl.time, (uint32_t)i),
                                   (uint64_t)access_time(&pl.seq, (uint32_t)i), c->ref,
                                   (uint32_t)i } };
        if (!wanted(s, &d))
            continue;
        if (!s->by_ref && !attached)
            rc = kept_attach(o->run, c->b, err);
        attached = true;
        if (!rc && !s->by_ref)
            rc = kept_new(&d.row, o->run, c->b, (uint32_t)i, o->pipe->in, NULL, 0, err);
        if (!rc && d.row) {
            d.row->t = d.at.t;
            d.row->seq = d.at.seq;
        }
        if (!rc)
            rc = put(s, &d, err);
    }
    return rc;
}

static int in_order(const void *x, const void *y, void *arg)
{
    const struct sample_op *s = arg;
    const struct drawn *a = x, *b = y;
    int way = s->oldest ? 1 : -1;
    if (s->by_time && a->at.t != b->at.t)
        return a->at.t < b->at.t ? -way : way;
    if (s->by_time && a->at.seq != b->at.seq)
        return a->at.seq < b->at.seq ? -way : way;
    return a->arrived < b->arrived ? -1 : a->arrived > b->arrived;
}

static int hand_on_refs(struct sample_op *s, struct err *err)
{
    struct run *r = s->op.run;
    struct rowref *v = mem_array(s->n, sizeof *v);
    if (!v)
        return err_nomem(err);
    for (size_t i = 0; i < s->n; i++)
        v[i] = s->v[i].at;
    int rc = refs_push(r, s->op.next, v, s->n, refs_need(r, s->op.pipe->next), err);
    mem_free(v);
    return rc;
}

static int sample_finish(struct op *o, struct err *err)
{
    struct sample_op *s = (struct sample_op *)o;
    size_t n = s->n;
    if (!n)
        return 0;
    qsort_r(s->v, n, sizeof *s->v, in_order, s);
    if (s->by_ref)
        return hand_on_refs(s, err);
    struct kept **rows = mem_array(n, sizeof(struct kept *));
    if (!rows)
        return err_nomem(err);
    for (size_t i = 0; i < n; i++)
        rows[i] = s->v[i].row;
    s->n = 0; /* kept_push frees them */
    int rc = kept_push(o->run, o->next, rows, n, err);
    mem_free(rows);
    return rc;
}

/* only what is kept by reference is ever merged (parts.c) */
static int sample_merge(struct op *o, struct op *from, struct err *err)
{
    struct sample_op *s = (struct sample_op *)o, *f = (struct sample_op *)from;
    int rc = 0;
    if (f->n)
        s->by_ref = f->by_ref;
    for (size_t i = 0; i < f->n && !rc; i++)
        if (wanted(s, &f->v[i]))
            rc = put(s, &f->v[i], err);
    return rc;
}

static void sample_close(struct op *o)
{
    struct sample_op *s = (struct sample_op *)o;
    for (size_t i = 0; i < s->n; i++)
        kept_free(o->run, s->v[i].row);
    mem_free(s->v);
}

static const struct op_ops sample_ops = {
    sizeof(struct sample_op), sample_open, sample_push, sample_finish, sample_close, sample_merge
};
const struct pipe_def pipe_sample = { "sample",      PIPE_SORTS,
                                      sample_parse,  &sample_ops,
                                      "sample N[%]", "N rows at random, or N percent of them" };
