/* pipe_eval.c: `eval x = expression, y = ...`: columns computed row by row.
 *
 * On a table they replace the column of that name or come behind the others. On whole entries they
 * become attributes (or a field such as tool), seen through a block laid over the one below. Each
 * may use those before it. A chunk whose computed texts grow large is handed on in pieces. */
#include "query/expr.h"
#include "query/overlay.h"

#define PIECE_BYTES ((size_t)16 << 20)

struct assign {
    struct fieldref ref;
    struct expr_prog *prog;
};
struct eval_args {
    struct assign *set;
    uint32_t n;
};

struct eval_op {
    struct op op;
    struct arena arena; /* of the piece being handed on */
};

/* ---- parsing ---- */

/* what this pipe computed before is no unknown field */
static void forget_refs(struct query *q, uint32_t from, const struct eval_args *a)
{
    uint32_t n = from;
    for (uint32_t i = from; i < q->nrefs; i++) {
        bool ours = false;
        for (uint32_t k = 0; k < a->n; k++)
            ours |= fieldref_matches(&q->refs[i], a->set[k].ref.key, a->set[k].ref.hash);
        if (ours)
            continue;
        q->refs[n] = q->refs[i];
        q->ref_pos[n++] = q->ref_pos[i];
    }
    q->nrefs = n;
}

static int parse_assign(struct parser *p, struct eval_args *a)
{
    struct qname name;
    struct assign *s = &a->set[a->n];
    uint32_t nrefs = p->q->nrefs;
    int rc = lex_name(p, &name, "the name of a new column");
    if (!rc)
        rc = lex_expect(p, '=', "behind the name of the column");
    if (!rc)
        rc = expr_parse(p, &s->prog);
    if (rc)
        return rc;
    forget_refs(p->q, nrefs, a);
    if (a->n && !p->schema)
        p->q->names_marks |= s->prog->marks;
    return schema_set(p, &name, &s->ref);
}

static int eval_parse(struct parser *p, struct pipe *pipe)
{
    struct eval_args *a = arena_zalloc(p->a, sizeof *a);
    if (!a)
        return err_nomem(p->err);
    a->set = arena_zalloc(p->a, OVERLAY_COLS_MAX * sizeof *a->set);
    if (!a->set)
        return err_nomem(p->err);
    do {
        if (a->n == OVERLAY_COLS_MAX)
            return parse_error(p, (int64_t)p->pos, "more than %d columns", OVERLAY_COLS_MAX);
        int rc = parse_assign(p, a);
        if (rc)
            return rc;
        a->n++;
    } while (lex_char(p, ','));
    pipe->args = a;
    pipe->out = p->schema;
    p->renamed = true;
    return 0;
}

/* ---- running ---- */

static int eval_open(struct op *o, struct err *err)
{
    (void)err;
    arena_init(&((struct eval_op *)o)->arena, EXPR_BYTES_MAX + PIECE_BYTES);
    return 0;
}

/* Computes one column for the rows of sel; rows from where the texts grew too large are taken out
 * of it. */
static int compute(struct eval_op *o, const struct assign *s, struct block *b, struct block *entry,
                   uint64_t *sel, struct val *vals, struct err *err)
{
    struct expr_eval x;
    uint32_t n = b->n;
    size_t before = o->arena.used;
    bool any = false;
    int rc = expr_open(&x, s->prog, b, &o->arena, err);
    x.entry = entry;
    for (size_t i = bits_next(sel, 0, n); i < n && !rc; i = bits_next(sel, i + 1, n)) {
        if (any && o->arena.used - before > PIECE_BYTES) {
            for (size_t k = i; k < n; k = bits_next(sel, k + 1, n))
                bit_clear(sel, k);
            break;
        }
        rc = expr_value(&x, (uint32_t)i, &vals[i], err);
        if (rc || vals[i].t == V_NULL)
            vals[i] = VAL_ABSENT;
        any = true;
    }
    expr_close(&x);
    if (rc == ERR_NOMEM && o->arena.used + ((size_t)1 << 20) > o->arena.max)
        rc = err_set(err, ERR_LIMIT, "'eval' made texts of more than %zu MiB", o->arena.max >> 20);
    return rc;
}

/* The rows of sel that fit, with all columns; sel keeps those. */
static int piece(struct eval_op *o, struct block *b, uint64_t *sel, struct block **ret,
                 struct err *err)
{
    const struct eval_args *a = o->op.pipe->args;
    struct block *at = b;
    for (uint32_t i = 0; i < a->n; i++) {
        struct val *vals = arena_array(&o->arena, b->n, sizeof *vals);
        if (!vals)
            return err_nomem(err);
        int rc = compute(o, &a->set[i], at, b, sel, vals, err);
        struct overlay_col col = { a->set[i].ref, vals };
        if (!rc)
            rc = overlay_make(&o->arena, at, sel, &col, 1, &at, err);
        if (rc)
            return rc;
    }
    *ret = at;
    return 0;
}

static int eval_push(struct op *op, const struct chunk *c, struct err *err)
{
    struct eval_op *o = (struct eval_op *)op;
    uint64_t left[BLOCK_WORDS], sel[BLOCK_WORDS];
    uint32_t n = c->b->n;
    int rc = 0;
    memcpy(left, c->sel, BITS_WORDS(n) * 8);
    while (!rc && !bits_none(left, n)) {
        struct chunk next = { .sel = sel };
        arena_reset(&o->arena);
        memcpy(sel, left, BITS_WORDS(n) * 8);
        rc = piece(o, c->b, sel, &next.b, err);
        if (rc)
            break;
        for (size_t i = 0; i < BITS_WORDS(n); i++)
            left[i] &= ~sel[i];
        next.nsel = (uint32_t)bits_count(sel, n);
        rc = op_push(op->next, &next, err);
    }
    return rc;
}

static void eval_close(struct op *o)
{
    arena_deinit(&((struct eval_op *)o)->arena);
}

bool eval_reads(const struct pipe *p, struct arena *a, struct schema *to)
{
    const struct eval_args *e = p->args;
    for (uint32_t i = 0; i < e->n; i++) {
        const struct expr_prog *prog = e->set[i].prog;
        if (prog->whole)
            return false;
        for (uint32_t k = 0; k < prog->nfields; k++)
            if (!schema_add(to, a, &prog->fields[k]->ref))
                return false;
    }
    return true;
}

static const struct op_ops eval_ops = {
    sizeof(struct eval_op), eval_open, eval_push, NULL, eval_close, NULL
};
const struct pipe_def pipe_eval = { "eval",
                                    PIPE_ROWWISE,
                                    eval_parse,
                                    &eval_ops,
                                    "eval NAME = EXPR, ...",
                                    "columns computed from others" };
