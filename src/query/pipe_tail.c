/* pipe_tail.c: `tail n`: the last n entries in time, oldest first; of a table its last n rows.
 *
 * When nothing before it disturbs the order of time, the scan comes newest first, so the first n
 * rows are the ones and only have to be turned round. Behind other pipes it sorts what it gets. */
#include "query/run.h"

#include <stdlib.h>

#include "base/mem.h"

struct tail_op {
    struct op op;
    struct kept **rows;
    size_t n, cap;
    uint64_t max, arrived;
    bool newest_first; /* the input's order */
    bool timed;        /* entries: by (time, seq); tables: by arrival */
};

static int tail_parse(struct parser *p, struct pipe *pipe)
{
    return pipe_limit.parse(p, pipe);
}

static int tail_open(struct op *o, struct err *err)
{
    struct tail_op *t = (struct tail_op *)o;
    (void)err;
    t->max = ((const struct limit_args *)o->pipe->args)->n;
    struct plan plan = plan_order(o->run->q);
    const struct pipe *p = o->run->q->first;
    while (p != o->pipe && p->def != &pipe_tail)
        p = p->next;
    t->newest_first = plan.tail && p == o->pipe;
    t->timed = !o->pipe->in && !t->newest_first;
    return 0;
}

static int row_cmp(const struct kept *x, const struct kept *y)
{ /* without time and seq (both 0) by arrival */
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int row_qsort(const void *x, const void *y)
{
    return row_cmp(*(struct kept *const *)x, *(struct kept *const *)y);
}

/* Twice as many rows as wanted may gather; then the earlier half goes. */
static void shrink(struct tail_op *t)
{
    qsort(t->rows, t->n, sizeof(struct kept *), row_qsort);
    if (t->n <= t->max)
        return;
    size_t drop = t->n - (size_t)t->max;
    for (size_t i = 0; i < drop; i++)
        kept_free(t->op.run, t->rows[i]);
    memmove(t->rows, t->rows + drop, (size_t)t->max * sizeof(struct kept *));
    t->n = (size_t)t->max;
}

static int put(struct tail_op *t, struct kept *k, struct err *err)
{
    struct run *r = t->op.run;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct kept **rows = mem_realloc(t->rows, cap * sizeof(struct kept *));
        if (!rows) {
            kept_free(r, k);
            return err_nomem(err);
        }
        r->kept_bytes += (cap - t->cap) * sizeof(struct kept *);
        t->rows = rows;
        t->cap = cap;
    }
    t->rows[t->n++] = k;
    if (t->n / 2 >= t->max || r->kept_bytes + r->arena.used > r->budget)
        shrink(t);
    return run_room(r, "tail", err);
}

static int tail_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct tail_op *t = (struct tail_op *)o;
    struct fieldref time = { .field = F_TIMESTAMP, .key = field_table[F_TIMESTAMP].name };
    struct fieldref seq = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    struct access ta, sa;
    uint32_t n = c->b->n;
    time.hash = field_dotted_hash(time.key);
    seq.hash = field_dotted_hash(seq.key);
    if (!t->max)
        return OP_ENOUGH;
    int rc = access_open(&ta, c->b, &time, err);
    if (!rc)
        rc = access_open(&sa, c->b, &seq, err);
    if (!rc)
        rc = kept_attach(o->run, c->b, err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        struct kept *k;
        rc = kept_new(&k, o->run, c->b, (uint32_t)i, o->pipe->in, NULL, 0, err);
        if (rc)
            break;
        k->t = t->timed ? access_time(&ta, (uint32_t)i) : 0;
        k->seq = t->timed ? (uint64_t)access_time(&sa, (uint32_t)i) : 0;
        k->order = t->newest_first ? UINT64_MAX - t->arrived++ : t->arrived++;
        rc = put(t, k, err);
        if (!rc && t->newest_first && t->arrived == t->max)
            return OP_ENOUGH;
    }
    return rc;
}

static int tail_finish(struct op *o, struct err *err)
{
    struct tail_op *t = (struct tail_op *)o;
    if (!t->n)
        return 0;
    shrink(t);
    size_t n = t->n;
    t->n = 0;
    return kept_push(o->run, o->next, t->rows, n, err);
}

static void tail_close(struct op *o)
{
    struct tail_op *t = (struct tail_op *)o;
    for (size_t i = 0; i < t->n; i++)
        kept_free(o->run, t->rows[i]);
    mem_free(t->rows);
}

static const struct op_ops tail_ops = {
    sizeof(struct tail_op), tail_open, tail_push, tail_finish, tail_close, NULL
};
const struct pipe_def pipe_tail = { "tail",    PIPE_ORDERED, tail_parse,
                                    &tail_ops, "tail N",     "the last N in time, oldest first" };
