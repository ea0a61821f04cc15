/* pipe_limit.c: `limit n`, `head n` (the same) and `offset n`. */
#include "base/mem.h"
#include "query/internal.h"

struct limit_op {
    struct op op;
    uint64_t left;
};

static int limit_parse(struct parser *p, struct pipe *pipe)
{
    struct limit_args *a = arena_zalloc(p->a, sizeof *a);
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    return lex_uint(p, &a->n, "the number of rows");
}

static int limit_open(struct op *o, struct err *err)
{
    (void)err;
    ((struct limit_op *)o)->left = ((const struct limit_args *)o->pipe->args)->n;
    return 0;
}

/* the first n set bits of sel stay (or go) */
static uint32_t cut(const uint64_t *sel, uint32_t rows, uint64_t n, bool keep_first, uint64_t *out)
{
    uint64_t seen = 0;
    uint32_t kept = 0;
    bits_zero(out, rows);
    for (size_t i = bits_next(sel, 0, rows); i < rows; i = bits_next(sel, i + 1, rows)) {
        bool first = seen++ < n;
        if (first == keep_first) {
            bit_set(out, i);
            kept++;
        } else if (keep_first) {
            break;
        }
    }
    return kept;
}

static int limit_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct limit_op *l = (struct limit_op *)o;
    uint64_t out[BLOCK_WORDS];
    if (!l->left)
        return OP_ENOUGH;
    uint32_t n = cut(c->sel, c->b->n, l->left, true, out);
    l->left -= n;
    int rc = op_push(o->next, &(struct chunk){ .b = c->b, .sel = out, .nsel = n }, err);
    return rc ? rc : l->left ? 0 : OP_ENOUGH;
}

static int offset_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct limit_op *l = (struct limit_op *)o;
    uint64_t out[BLOCK_WORDS];
    if (!l->left)
        return op_push(o->next, c, err);
    uint32_t n = cut(c->sel, c->b->n, l->left, false, out);
    l->left -= c->nsel - n;
    return op_push(o->next, &(struct chunk){ .b = c->b, .sel = out, .nsel = n }, err);
}

static const struct op_ops limit_ops = {
    sizeof(struct limit_op), limit_open, limit_push, NULL, NULL, NULL
};
static const struct op_ops offset_ops = {
    sizeof(struct limit_op), limit_open, offset_push, NULL, NULL, NULL
};
const struct pipe_def pipe_limit = { "limit",    PIPE_ORDERED, limit_parse,
                                     &limit_ops, "limit N",    "the first N rows" };
const struct pipe_def pipe_head = { "head",     PIPE_ORDERED, limit_parse,
                                    &limit_ops, "head N",     "the first N rows" };
const struct pipe_def pipe_offset = { "offset",    PIPE_ORDERED, limit_parse,
                                      &offset_ops, "offset N",   "all but the first N rows" };
