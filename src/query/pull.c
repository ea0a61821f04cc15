/* pull.c: see pull.h. */
#include "query/pull.h"

#include "base/mem.h"

#define PIECE_BYTES ((size_t)16 << 20)

int pull_open(struct op *o, struct err *err)
{
    (void)err;
    arena_init(&((struct pull_op *)o)->arena, EXPR_BYTES_MAX + PIECE_BYTES);
    return 0;
}

void pull_close(struct op *o)
{
    arena_deinit(&((struct pull_op *)o)->arena);
}

/* what the rows of the piece have under that name */
static int fill_kept(struct pull *x, uint32_t col, struct err *err)
{
    const struct fieldref *kept = &x->cols[col].kept;
    struct val *vals = x->vals[col];
    struct access a;
    int rc = kept->key.p ? access_open(&a, x->b, kept, err) : 0;
    bool any = !rc && kept->key.p && (a.n || a.rest || a.made);
    for (size_t i = bits_next(x->sel, 0, x->n); i < x->n && !rc;
         i = bits_next(x->sel, i + 1, x->n)) {
        vals[i] = VAL_ABSENT;
        if (any)
            rc = access_get(&a, (uint32_t)i, &vals[i], err);
        if (vals[i].t == V_NULL)
            vals[i] = VAL_ABSENT;
    }
    return rc;
}

static int column_begin(struct pull *x, uint32_t col, struct err *err)
{
    if (x->vals[col])
        return 0;
    x->vals[col] = arena_array(x->a, x->n, sizeof **x->vals);
    return x->vals[col] ? fill_kept(x, col, err) : err_nomem(err);
}

int pull_put(struct pull *x, uint32_t col, uint32_t row, struct val v, struct err *err)
{
    int rc = column_begin(x, col, err);
    if (!rc)
        x->vals[col][row] = v;
    return rc;
}

/* Columns that need a place even when nothing is found: what lies below under their key is not what
 * they keep. */
static int begin_covering(struct pull *x, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < x->ncols && !rc; i++)
        if (!str_eq(x->cols[i].kept.key, x->cols[i].ref.key))
            rc = column_begin(x, i, err);
    return rc;
}

/* the texts of the rows; those behind the point where they grew too large are taken out of sel */
static int take_rows(struct pull *x, const struct pull_how *how, uint64_t *sel, struct err *err)
{
    struct expr_eval e;
    bool any = false;
    int rc = expr_open(&e, how->from, x->b, x->a, err);
    for (size_t i = bits_next(sel, 0, x->n); i < x->n && !rc; i = bits_next(sel, i + 1, x->n)) {
        str text;
        if (any && x->a->used > PIECE_BYTES) {
            for (size_t k = i; k < x->n; k = bits_next(sel, k + 1, x->n))
                bit_clear(sel, k);
            break;
        }
        buf_reset(&e.buf);
        rc = expr_text(&e, how->from->root, (uint32_t)i, &text, err);
        if (!rc && text.p)
            rc = how->row(x, text, (uint32_t)i, err);
        any = true;
    }
    expr_close(&e);
    return rc;
}

static int lay_over(struct pull *x, const uint64_t *sel, struct block **at, struct err *err)
{
    struct overlay_col *cols = arena_array(x->a, x->ncols + 1, sizeof *cols);
    uint32_t n = 0;
    if (!cols)
        return err_nomem(err);
    for (uint32_t i = 0; i < x->ncols; i++)
        if (x->vals[i])
            cols[n++] = (struct overlay_col){ x->cols[i].ref, x->vals[i] };
    return n ? overlay_make(x->a, *at, sel, cols, n, at, err) : 0;
}

static int piece(struct pull *x, const struct pull_how *how, uint64_t *sel, struct block **ret,
                 struct err *err)
{
    x->vals = arena_zalloc(x->a, (how->ncols + 1) * sizeof *x->vals);
    if (!x->vals)
        return err_nomem(err);
    *ret = x->b;
    int rc = how->begin ? how->begin(x, err) : 0;
    if (!rc)
        rc = begin_covering(x, err);
    if (!rc)
        rc = take_rows(x, how, sel, err);
    if (!rc)
        rc = lay_over(x, sel, ret, err);
    return !rc && how->end ? how->end(x, sel, ret, err) : rc;
}

int pull_push(struct pull_op *o, const struct chunk *c, const struct pull_how *how, struct err *err)
{
    uint64_t left[BLOCK_WORDS], sel[BLOCK_WORDS];
    uint32_t n = c->b->n;
    int rc = 0;
    memcpy(left, c->sel, BITS_WORDS(n) * 8);
    while (!rc && !bits_none(left, n)) {
        struct chunk next = { .sel = sel };
        struct pull x = { .r = o->op.run,
                          .a = &o->arena,
                          .b = c->b,
                          .sel = left,
                          .n = n,
                          .cols = how->cols,
                          .ncols = how->ncols,
                          .ctx = how->ctx };
        arena_reset(&o->arena);
        memcpy(sel, left, BITS_WORDS(n) * 8);
        rc = piece(&x, how, sel, &next.b, err);
        if (rc == ERR_NOMEM && o->arena.used + ((size_t)1 << 20) > o->arena.max)
            rc = err_set(err, ERR_LIMIT, "'%s' made texts of more than %zu MiB",
                         o->op.pipe->def->name, o->arena.max >> 20);
        if (rc)
            break;
        for (size_t i = 0; i < BITS_WORDS(n); i++)
            left[i] &= ~sel[i];
        next.nsel = (uint32_t)bits_count(sel, n);
        rc = op_push(o->op.next, &next, err);
    }
    return rc;
}

bool pull_reads(const struct expr_prog *from, const struct pull_col *cols, uint32_t ncols,
                struct arena *a, struct schema *to)
{
    if (from->whole)
        return false;
    for (uint32_t i = 0; i < from->nfields; i++)
        if (!schema_add(to, a, &from->fields[i]->ref))
            return false;
    for (uint32_t i = 0; i < ncols; i++)
        if (cols[i].kept.key.p && !schema_add(to, a, &cols[i].kept))
            return false;
    return true;
}

int pull_parse_from(struct parser *p, struct expr_prog **ret)
{
    struct qname message = { .text = field_table[F_MESSAGE].name };
    bool from = lex_word(p, "from");
    lex_blank(p);
    message.pos = (int64_t)p->pos;
    char c = lex_peek(p, 0);
    if (from || (c && c != '|' && c != ')'))
        return expr_parse(p, ret);
    if (p->schema && !schema_find(p->schema, message.text)) {
        parse_error(p, message.pos, "there is no column 'message' here to look into");
        err_hint(p->err, "say which with `from`");
        return ERR_INVALID;
    }
    return expr_parse_name(p, &message, ret);
}
