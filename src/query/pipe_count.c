/* pipe_count.c: `count`: one row, the number of rows. */
#include "query/run.h"

struct count_op {
    struct op op;
    uint64_t n;
};

static int count_parse(struct parser *p, struct pipe *pipe)
{
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    if (!out || !(out->cols = arena_zalloc(p->a, sizeof *out->cols)))
        return err_nomem(p->err);
    out->n = 1;
    pipe->out = out;
    return schema_computed(p, STR("count"), F_NONE, &out->cols[0]);
}

void count_set(struct op *o, uint64_t n)
{
    ((struct count_op *)o)->n = n;
}

static int count_push(struct op *o, const struct chunk *c, struct err *err)
{
    (void)err;
    ((struct count_op *)o)->n += c->nsel;
    return 0;
}

static int count_finish(struct op *o, struct err *err)
{
    struct val v = { .t = V_I64, .i = (int64_t)((struct count_op *)o)->n };
    return table_push(o->run, o->next, o->pipe->out, &v, 1, err);
}

static int count_merge(struct op *o, struct op *from, struct err *err)
{
    (void)err;
    ((struct count_op *)o)->n += ((struct count_op *)from)->n;
    return 0;
}

static const struct op_ops count_ops = {
    sizeof(struct count_op), NULL, count_push, count_finish, NULL, count_merge
};
const struct pipe_def pipe_count = { "count",    PIPE_GROUPS, count_parse,
                                     &count_ops, "count",     "how many rows there are" };
