/* pipe_where.c: `where F`: the filter language on what came so far.
 *
 * Directly behind the filter it never becomes an operator: query.c joins it to the filter. */
#include "base/mem.h"
#include "query/internal.h"

static int where_parse(struct parser *p, struct pipe *pipe)
{
    struct where_args *w = arena_zalloc(p->a, sizeof *w);
    struct ast *ast;
    if (!w)
        return err_nomem(p->err);
    lex_blank(p);
    if (p->pos == p->text.n || lex_peek(p, 0) == '|')
        return parse_error(p, (int64_t)p->pos, "where needs a condition");
    int rc = parse_filter(p, &ast);
    if (!rc)
        rc = lower_filter(p, ast, &w->pred);
    pipe->args = w;
    return rc;
}

static int where_push(struct op *o, const struct chunk *c, struct err *err)
{
    const struct where_args *w = o->pipe->args;
    uint64_t out[BLOCK_WORDS];
    int rc = pred_eval(w->pred, c->b, c->sel, out, o->run->preds, &o->run->ctl->cancel, err);
    if (rc)
        return rc;
    struct chunk next = *c;
    next.sel = out;
    next.nsel = (uint32_t)bits_count(out, c->b->n);
    return op_push(o->next, &next, err);
}

static const struct op_ops where_ops = { sizeof(struct op), NULL, where_push, NULL, NULL, NULL };
const struct pipe_def pipe_where = {
    "where",        0,
    where_parse,    &where_ops,
    "where FILTER", "a further filter, also of what was computed"
};
