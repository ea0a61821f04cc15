/* sink.c: the last operator: the answer's offset and limit, then the caller's sink. */
#include "base/mem.h"
#include "query/run.h"

struct sink_op {
    struct op op;
    const struct schema *schema; /* NULL: whole entries */
    struct query_cell *cells;
    struct access *cols;
    uint64_t skip, left;
    bool by_default, pages;
};

/* An answer can be continued from its last row only when its rows are those of the scan, in its
 * order: a sort, a tail or a limit would begin anew behind that row. */
static bool has_pages(const struct query *q)
{
    for (const struct pipe *p = q->first; p; p = p->next)
        if (p->out || (p->def != &pipe_where && !(p->def->flags & PIPE_ROWWISE)))
            return false; /* a table's rows have no place to continue from */
    return true;
}

static int sink_open(struct op *o, struct err *err)
{
    struct sink_op *s = (struct sink_op *)o;
    struct query *q = o->run->q;
    for (const struct pipe *p = q->first; p; p = p->next)
        s->schema = p->out;
    s->left = final_limit(q, &s->by_default);
    s->skip = q->paged ? 0 : q->o.offset; /* the first page has skipped them */
    s->pages = has_pages(q);
    uint32_t n = s->schema ? s->schema->n : 0;
    s->cells = mem_zarray(n + 1, sizeof *s->cells);
    s->cols = mem_zarray(n + 1, sizeof *s->cols);
    if (!s->cells || !s->cols)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        s->cells[i].name = s->schema->cols[i].name;
        s->cells[i].field = s->schema->cols[i].ref.field;
        s->cells[i].v = VAL_ABSENT;
    }
    return o->run->sink->begin ? o->run->sink->begin(o->run->sink->ctx, s->cells, n, err) : 0;
}

static int deliver(struct sink_op *s, struct block *b, uint32_t row, struct err *err)
{
    struct run *r = s->op.run;
    struct query_row out = { .block = b, .row = row };
    if (s->schema) {
        for (uint32_t i = 0; i < s->schema->n; i++) {
            int rc = access_get(&s->cols[i], row, &s->cells[i].v, err);
            if (rc)
                return rc;
        }
        out = (struct query_row){ .cells = s->cells, .ncells = s->schema->n };
    }
    int rc = r->sink->row(r->sink->ctx, &out, err);
    if (rc < 0)
        return rc;
    r->res->rows++;
    return 0;
}

/* where the next page begins */
static int note_place(struct sink_op *s, struct block *b, uint32_t row, struct err *err)
{
    struct val t, seq;
    int rc = block_get_field(b, row, F_TIMESTAMP, &t, err);
    if (!rc)
        rc = block_get_field(b, row, F_SEQ, &seq, err);
    if (rc)
        return rc;
    s->op.run->res->last_time = t.t == V_I64 ? t.i : 0;
    s->op.run->res->last_seq = seq.t == V_I64 ? (uint64_t)seq.i : 0;
    return 0;
}

static int sink_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct sink_op *s = (struct sink_op *)o;
    uint32_t n = c->b->n, last = UINT32_MAX;
    int rc = 0;
    for (uint32_t i = 0; s->schema && i < s->schema->n && !rc; i++)
        rc = access_open(&s->cols[i], c->b, &s->schema->cols[i].ref, err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        if (s->skip) {
            s->skip--;
            continue;
        }
        if (!s->left) {
            o->run->res->more = true;
            o->run->res->next_page = s->pages;
            o->run->res->truncated = s->by_default;
            rc = OP_ENOUGH;
            break;
        }
        s->left--;
        rc = deliver(s, c->b, (uint32_t)i, err);
        last = (uint32_t)i;
    }
    if (rc >= 0 && last != UINT32_MAX && !s->schema) {
        int rc2 = note_place(s, c->b, last, err);
        rc = rc2 ? rc2 : rc;
    }
    return rc;
}

static void sink_close(struct op *o)
{
    struct sink_op *s = (struct sink_op *)o;
    mem_free(s->cells);
    mem_free(s->cols);
}

const struct op_ops sink_ops = {
    sizeof(struct sink_op), sink_open, sink_push, NULL, sink_close, NULL
};
