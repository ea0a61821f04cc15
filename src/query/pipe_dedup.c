/* pipe_dedup.c: `dedup by f, ...`: of rows with the same values only the first one so far. */
#include "query/group.h"

struct dedup_op {
    struct op op;
    struct grouper g;
    bool grouping;
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
    d->grouping = true;
    return grouper_init(&d->g, o->run, "dedup", by->keys, by->n, err);
}

static int dedup_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct dedup_op *d = (struct dedup_op *)o;
    uint64_t out[BLOCK_WORDS];
    uint32_t known = d->g.n, n = 0, rows = c->b->n;
    int rc = grouper_rows(&d->g, c, err);
    if (rc)
        return rc;
    bits_zero(out, rows);
    for (size_t i = bits_next(c->sel, 0, rows); i < rows; i = bits_next(c->sel, i + 1, rows)) {
        /* groups are numbered in order of appearance, so a new one is the next number */
        if (d->g.gid[i] == known) {
            known++;
            n++;
            bit_set(out, i);
        }
    }
    return op_push(o->next, &(struct chunk){ c->b, out, n }, err);
}

static void dedup_close(struct op *o)
{
    struct dedup_op *d = (struct dedup_op *)o;
    if (d->grouping)
        grouper_deinit(&d->g);
}

static const struct op_ops dedup_ops = { sizeof(struct dedup_op), dedup_open, dedup_push, NULL,
                                         dedup_close };
const struct pipe_def pipe_dedup = { "dedup", PIPE_ORDERED, dedup_parse, &dedup_ops };
