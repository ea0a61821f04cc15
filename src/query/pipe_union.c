/* pipe_union.c: `union (query)`: the rows of another query behind these.
 *
 * Both give whole entries or both give tables; columns meet by name, those that one side lacks are
 * null there. The other query sees the same moment and the same start and end as this one. It is
 * run when the rows before have been handed on, and not at all when no more are wanted. */
#include <stdio.h>

#include "base/mem.h"
#include "query/run.h"

#define BATCH_ROWS 256

struct union_args {
    struct query *other;
    uint32_t *to; /* tables: by column of the other one: ours */
};

struct union_op {
    struct op op;
    bool enough;
    struct kept **rows; /* entries */
    struct val *vals;   /* table rows */
    uint32_t n;
    struct arena texts; /* of vals */
};

/* ---- parsing ---- */

static int add_column(struct parser *p, struct schema *out, const struct qcol *from,
                      uint32_t *ret_at)
{
    struct qcol *old = schema_find(out, from->name);
    if (!old) {
        /* no key a client can send: what lies below under that name must not shine through */
        char *z = arena_printf(p->a, "%c%c+%.*s", PATH_SEP, PATH_ESC, STR_FMT(from->name));
        if (!z)
            return err_nomem(p->err);
        old = &out->cols[out->n++];
        *old = *from;
        old->ref.key = str_c(z);
        old->ref.exact = true;
        old->ref.hash = field_dotted_hash(old->ref.key);
        if (from->ref.field == F_ID) /* which is made when it is not there */
            old->ref.field = F_NONE;
    }
    *ret_at = (uint32_t)(old - out->cols);
    return 0;
}

static int join_schemas(struct parser *p, struct pipe *pipe, const struct schema *other)
{
    struct union_args *a = pipe->args;
    const struct schema *in = p->schema;
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    if (!out || !(out->cols = arena_array(p->a, in->n + other->n, sizeof *out->cols)) ||
        !(a->to = arena_array(p->a, other->n + 1, sizeof *a->to)))
        return err_nomem(p->err);
    memcpy(out->cols, in->cols, in->n * sizeof *in->cols);
    out->n = in->n;
    out->open = in->open;
    for (uint32_t i = 0; i < other->n; i++) {
        int rc = add_column(p, out, &other->cols[i], &a->to[i]);
        if (rc)
            return rc;
    }
    pipe->out = out;
    return 0;
}

static int union_parse(struct parser *p, struct pipe *pipe)
{
    struct union_args *a = arena_zalloc(p->a, sizeof *a);
    struct parse_place end;
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    int rc = parse_inner(p, "behind union", &a->other, &end);
    if (rc)
        return rc;
    a->other->o.start = p->q->o.start;
    a->other->o.end = p->q->o.end;
    a->other->o.oldest_first = p->q->o.oldest_first;
    rc = parse_inner_end(p, a->other);
    if (!rc && !end.schema != !p->schema) {
        parse_error(p, pipe->pos, "%s",
                    p->schema ? "the other query gives whole entries, this one a table"
                              : "the other query gives a table, this one whole entries");
        err_hint(p->err, "pick the same columns with `fields` on both sides");
        return ERR_INVALID;
    }
    p->q->names_marks |= a->other->names_marks;
    p->renamed |= end.renamed;
    return rc || !p->schema ? rc : join_schemas(p, pipe, end.schema);
}

/* ---- rows of the other query ---- */

static int hand_on(struct union_op *u, struct err *err)
{
    struct op *o = &u->op;
    uint32_t n = u->n;
    u->n = 0;
    int rc = !n            ? 0
             : o->pipe->in ? table_push(o->run, o->next, o->pipe->out, u->vals, n, err)
                           : kept_push(o->run, o->next, u->rows, n, err);
    arena_reset(&u->texts);
    u->enough |= rc == OP_ENOUGH;
    return rc;
}

static bool is_time(enum field f)
{
    return f != F_NONE && field_table[f].flags & FF_TIME;
}

/* A value as it is shown in column `to`: instants and levels are texts where it is not for them. */
static int own_val(struct union_op *u, const struct query_cell *c, enum field to, struct val *ret,
                   struct err *err)
{
    char text[TS_TEXT_MAX];
    *ret = c->v;
    if (c->v.t == V_I64 && c->field != to && c->field == F_LEVEL && c->v.i >= 0 &&
        c->v.i < LV__COUNT)
        *ret = (struct val){ .t = V_STR, .s = level_names[c->v.i] };
    else if (c->v.t == V_I64 && c->field != to && is_time(c->field))
        *ret = (struct val){ .t = V_STR, .s = { text, ts_format(c->v.i, -1, text) } };
    else if (c->v.t == V_I64 && c->field != to && (to == F_LEVEL || is_time(to)))
        *ret = (struct val){ .t = V_STR,
                             .s = { text, (size_t)snprintf(text, sizeof text, "%lld",
                                                           (long long)c->v.i) } };
    if (ret->t < V_STR || !ret->s.n)
        return 0;
    ret->s = arena_dup(&u->texts, ret->s);
    return ret->s.p ? 0 : err_nomem(err);
}

static int take_cells(struct union_op *u, const struct query_row *row, struct err *err)
{
    const struct union_args *a = u->op.pipe->args;
    const struct schema *out = u->op.pipe->out;
    struct val *vals = u->vals + (size_t)u->n * out->n;
    int rc = 0;
    for (uint32_t i = 0; i < out->n; i++)
        vals[i] = VAL_ABSENT;
    for (uint32_t i = 0; i < row->ncells && !rc; i++)
        rc = own_val(u, &row->cells[i], out->cols[a->to[i]].ref.field, &vals[a->to[i]], err);
    u->n += !rc;
    return rc;
}

static int take_entry(struct union_op *u, const struct query_row *row, struct err *err)
{
    struct run *r = u->op.run;
    struct kept *k;
    struct val t, seq;
    int rc = kept_attach(r, row->block, err);
    if (!rc)
        rc = block_get_field(row->block, row->row, F_TIMESTAMP, &t, err);
    if (!rc)
        rc = block_get_field(row->block, row->row, F_SEQ, &seq, err);
    if (!rc)
        rc = kept_new(&k, r, row->block, row->row, NULL, NULL, 0, err);
    if (rc)
        return rc;
    k->t = t.t == V_I64 ? t.i : 0;
    k->seq = seq.t == V_I64 ? (uint64_t)seq.i : 0;
    u->rows[u->n++] = k;
    return run_room(r, "union", err);
}

static int take_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct union_op *u = ctx;
    if (u->enough) /* stops the other query; union_finish knows */
        return ERR_CANCELED;
    int rc = row->cells ? take_cells(u, row, err) : take_entry(u, row, err);
    if (!rc && (u->n == BATCH_ROWS || u->texts.used > (size_t)4 << 20))
        rc = hand_on(u, err);
    return rc < 0 ? rc : 0;
}

/* ---- running ---- */

static int union_open(struct op *o, struct err *err)
{
    struct union_op *u = (struct union_op *)o;
    arena_init(&u->texts, (size_t)1 << 30);
    u->rows = mem_array(BATCH_ROWS, sizeof(struct kept *));
    u->vals = o->pipe->in ? mem_array((size_t)BATCH_ROWS * o->pipe->out->n, sizeof *u->vals) : NULL;
    return u->rows && (u->vals || !o->pipe->in) ? 0 : err_nomem(err);
}

static int union_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct chunk next = *c;
    next.has_ref = false; /* others follow that have none */
    int rc = op_push(o->next, &next, err);
    ((struct union_op *)o)->enough |= rc == OP_ENOUGH;
    return rc;
}

static int union_finish(struct op *o, struct err *err)
{
    struct union_op *u = (struct union_op *)o;
    const struct union_args *a = o->pipe->args;
    if (u->enough)
        return 0;
    struct query_sink sink = { .ctx = u, .row = take_row };
    struct scan_cost cost = { 0 };
    int rc = run_inner(o->run, a->other, &sink, &cost, true, err);
    cost_add(&o->run->res->cost, &cost);
    if (rc == ERR_CANCELED && u->enough) {
        err_reset(err);
        rc = 0;
    }
    if (!rc && !u->enough)
        rc = hand_on(u, err);
    return rc < 0 ? rc : 0;
}

static void union_close(struct op *o)
{
    struct union_op *u = (struct union_op *)o;
    for (uint32_t i = 0; i < u->n && !o->pipe->in; i++)
        kept_free(o->run, u->rows[i]);
    mem_free(u->rows);
    mem_free(u->vals);
    arena_deinit(&u->texts);
}

static const struct op_ops union_ops = {
    sizeof(struct union_op), union_open, union_push, union_finish, union_close, NULL
};
const struct pipe_def pipe_union = { "union",         0,
                                     union_parse,     &union_ops,
                                     "union (QUERY)", "the rows of another query behind these" };
