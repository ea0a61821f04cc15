/* pipe_dedup.c: `dedup by f, ...`: of rows with the same values only the first one so far.
 *
 * Right behind the filter the order is that of time, and putting every row into it first would be a
 * waste: there the best row of each group is kept while blocks come by falling t_max, and the kept
 * rows are sorted at the end. When enough groups have a row later than anything still to come, the
 * scan can stop. Elsewhere rows come in their order already, and the first of a group passes
 * through. */
#include <stdlib.h>

#include "base/mem.h"
#include "query/group.h"
#include "query/run.h"

struct dedup_op {
    struct op op;
    struct grouper g;
    bool grouping;
    bool by_time, oldest;
    struct kept **best; /* by group */
    uint32_t cap;
};

static int dedup_parse(struct parser *p, struct pipe *pipe)
{
    struct by_args *by = arena_zalloc(p->a, sizeof *by);
    if (!by)
        return err_nomem(p->err);
    pipe->args = by;
    lex_word(p, "by");
    return parse_by(p, by);
}

static int dedup_open(struct op *o, struct err *err)
{
    struct dedup_op *d = (struct dedup_op *)o;
    const struct by_args *by = o->pipe->args;
    struct plan plan = plan_order(o->run->q);
    const struct pipe *p = o->run->q->first;
    while (p != o->pipe && p->def != &pipe_dedup)
        p = p->next;
    d->by_time = plan.dedup && p == o->pipe;
    d->oldest = plan.oldest;
    d->grouping = true;
    return grouper_init(&d->g, o->run, "dedup", by->keys, by->n, err);
}

/* ---- in order ---- */

static int pass_first(struct dedup_op *d, const struct chunk *c, uint32_t known, struct err *err)
{
    uint64_t out[BLOCK_WORDS];
    uint32_t n = 0, rows = c->b->n;
    bits_zero(out, rows);
    for (size_t i = bits_next(c->sel, 0, rows); i < rows; i = bits_next(c->sel, i + 1, rows)) {
        /* groups are numbered in order of appearance, so a new one is the next number */
        if (d->g.gid[i] == known) {
            known++;
            n++;
            bit_set(out, i);
        }
    }
    return op_push(d->op.next, &(struct chunk){ .b = c->b, .sel = out, .nsel = n }, err);
}

/* ---- by time ---- */

static bool comes_first(const struct dedup_op *d, ts_ns t, uint64_t seq, const struct kept *k)
{
    if (t != k->t)
        return d->oldest ? t < k->t : t > k->t;
    return d->oldest ? seq < k->seq : seq > k->seq;
}

static int best_grow(struct dedup_op *d, struct err *err)
{
    if (d->g.n <= d->cap)
        return 0;
    uint32_t cap = d->cap ? d->cap : 64;
    while (cap < d->g.n)
        cap *= 2;
    struct kept **best = mem_realloc(d->best, cap * sizeof(struct kept *));
    if (!best)
        return err_nomem(err);
    memset(best + d->cap, 0, (cap - d->cap) * sizeof(struct kept *));
    d->op.run->kept_bytes += (cap - d->cap) * sizeof(struct kept *);
    d->best = best;
    d->cap = cap;
    return 0;
}

/* are as many groups settled as rows are wanted? */
static bool enough(const struct dedup_op *d, const struct block *next)
{
    uint64_t settled = 0;
    if (d->op.keep > d->g.n)
        return false;
    for (uint32_t i = 0; i < d->g.n && i < d->cap; i++)
        if (d->best[i])
            settled += d->oldest ? d->best[i]->t < next->t_min : d->best[i]->t > next->t_max;
    return settled >= d->op.keep;
}

static int keep_best(struct dedup_op *d, const struct chunk *c, struct err *err)
{
    struct run *r = d->op.run;
    struct fieldref time = { .field = F_TIMESTAMP, .key = field_table[F_TIMESTAMP].name };
    struct fieldref seqs = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    struct access ta, sa;
    uint32_t n = c->b->n;
    time.hash = field_dotted_hash(time.key);
    seqs.hash = field_dotted_hash(seqs.key);
    int rc = access_open(&ta, c->b, &time, err);
    if (!rc)
        rc = access_open(&sa, c->b, &seqs, err);
    if (!rc)
        rc = best_grow(d, err);
    if (!rc)
        rc = kept_attach(r, c->b, err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        ts_ns t = access_time(&ta, (uint32_t)i);
        uint64_t seq = (uint64_t)access_time(&sa, (uint32_t)i);
        struct kept **best = &d->best[d->g.gid[i]], *row;
        if (*best && !comes_first(d, t, seq, *best))
            continue;
        rc = kept_new(&row, r, c->b, (uint32_t)i, d->op.pipe->in, NULL, 0, err);
        if (rc)
            break;
        row->t = t;
        row->seq = seq;
        kept_free(r, *best);
        *best = row;
        rc = run_room(r, "dedup", err);
    }
    return rc;
}

static int dedup_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct dedup_op *d = (struct dedup_op *)o;
    uint32_t known = d->g.n;
    if (d->by_time && enough(d, c->b))
        return OP_ENOUGH;
    int rc = grouper_rows(&d->g, c, err);
    if (rc)
        return rc;
    return d->by_time ? keep_best(d, c, err) : pass_first(d, c, known, err);
}

static int best_cmp(const void *x, const void *y, void *arg)
{
    const struct kept *a = *(struct kept *const *)x, *b = *(struct kept *const *)y;
    return comes_first(arg, a->t, a->seq, b) ? -1 : comes_first(arg, b->t, b->seq, a);
}

static int dedup_finish(struct op *o, struct err *err)
{
    struct dedup_op *d = (struct dedup_op *)o;
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->cap; i++)
        if (d->best[i])
            d->best[n++] = d->best[i];
    d->cap = 0; /* kept_push frees them */
    if (!n)
        return 0;
    qsort_r(d->best, n, sizeof(struct kept *), best_cmp, d);
    return kept_push(o->run, o->next, d->best, n, err);
}

static void dedup_close(struct op *o)
{
    struct dedup_op *d = (struct dedup_op *)o;
    if (d->grouping)
        grouper_deinit(&d->g);
    for (uint32_t i = 0; i < d->cap; i++)
        kept_free(o->run, d->best[i]);
    mem_free(d->best);
}

static const struct op_ops dedup_ops = {
    sizeof(struct dedup_op), dedup_open, dedup_push, dedup_finish, dedup_close, NULL
};
const struct pipe_def pipe_dedup = { "dedup",
                                     PIPE_ORDERED,
                                     dedup_parse,
                                     &dedup_ops,
                                     "dedup [by] GROUP, ...",
                                     "the first row of each value" };
