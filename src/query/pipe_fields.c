/* pipe_fields.c: `fields a, b as c`, `drop a`, `rename a as b`.
 *
 * On a table these change the schema and nothing else. `fields` on whole entries makes a table of
 * them; `drop` and `rename` there leave whole entries, seen through a block that lacks or renames
 * columns. */
#include "base/mem.h"
#include "query/internal.h"

struct rename_pair {
    struct fieldref from;
    str to_key;
};
struct columns_args {
    struct fieldref *drop; /* drop on whole entries */
    uint32_t ndrop;
    struct rename_pair *rename; /* rename on whole entries */
    uint32_t nrename;
};

static struct schema *new_schema(struct parser *p, uint32_t n)
{
    struct schema *s = arena_zalloc(p->a, sizeof *s);
    if (s)
        s->cols = arena_zalloc(p->a, (n + 1) * sizeof *s->cols);
    return s && s->cols ? s : NULL;
}

static int fields_parse(struct parser *p, struct pipe *pipe)
{
    struct schema *s = new_schema(p, 0);
    int rc = 0;
    if (!s)
        return err_nomem(p->err);
    do {
        struct qname name, as;
        struct qcol *cols = arena_grow(p->a, s->cols, s->n, s->n + 1, sizeof *cols);
        if (!cols)
            return err_nomem(p->err);
        s->cols = cols;
        rc = lex_name(p, &name, "a field name");
        as = name;
        if (!rc && lex_word(p, "as"))
            rc = lex_name(p, &as, "a name after as");
        if (rc)
            return rc;
        cols[s->n].name = as.text;
        rc = schema_resolve(p, &name, &cols[s->n++].ref);
    } while (!rc && lex_char(p, ','));
    pipe->out = s;
    return rc ? rc : schema_check(p, s, pipe->pos);
}

static int drop_parse(struct parser *p, struct pipe *pipe)
{
    struct qname *names;
    uint32_t n;
    struct columns_args *a = arena_zalloc(p->a, sizeof *a);
    int rc = parse_name_list(p, &names, &n, "a field name");
    if (rc)
        return rc;
    struct fieldref *refs = arena_zalloc(p->a, n * sizeof *refs);
    struct schema *s = p->schema ? new_schema(p, p->schema->n + n) : NULL;
    if (!a || !refs || (p->schema && !s))
        return err_nomem(p->err);
    for (uint32_t i = 0; i < n && !rc; i++)
        rc = schema_resolve(p, &names[i], &refs[i]);
    if (rc)
        return rc;
    a->drop = refs;
    a->ndrop = n;
    pipe->args = a;
    p->dropped = true;
    if (s)
        s->open = p->schema->open;
    for (uint32_t c = 0; s && c < p->schema->n; c++) {
        bool gone = false;
        for (uint32_t i = 0; i < n; i++)
            gone |= str_eq(refs[i].key, p->schema->cols[c].ref.key);
        if (!gone)
            s->cols[s->n++] = p->schema->cols[c];
    }
    pipe->out = s;
    return 0;
}

static int rename_one(struct parser *p, struct columns_args *a, struct schema *s)
{
    struct qname from, to;
    struct fieldref ref, target;
    bool found = false;
    int rc = lex_name(p, &from, "a field name");
    if (!rc && !lex_word(p, "as"))
        rc = parse_error(p, (int64_t)p->pos, "expected `as` and the new name");
    if (!rc)
        rc = lex_name(p, &to, "the new name");
    if (!rc)
        rc = schema_resolve(p, &from, &ref);
    if (rc)
        return rc;
    if (s) {
        for (uint32_t c = 0; c < s->n; c++)
            if (str_eq(s->cols[c].ref.key, ref.key))
                s->cols[c].name = to.text, found = true;
        /* else taken out of a text just now (`parse`) */
        struct qcol *more =
            found ? s->cols : arena_grow(p->a, s->cols, s->n, s->n + 1, sizeof *more);
        if (!more)
            return err_nomem(p->err);
        s->cols = more;
        if (!found)
            s->cols[s->n++] = (struct qcol){ to.text, ref };
        return 0;
    }
    if (!schema_ref(p->a, &to, &target))
        return err_nomem(p->err);
    struct rename_pair *more =
        arena_grow(p->a, a->rename, a->nrename, a->nrename + 1, sizeof *more);
    if (!more)
        return err_nomem(p->err);
    more[a->nrename++] = (struct rename_pair){ ref, target.key };
    a->rename = more;
    return 0;
}

static int rename_parse(struct parser *p, struct pipe *pipe)
{
    struct columns_args *a = arena_zalloc(p->a, sizeof *a);
    struct schema *s = p->schema ? new_schema(p, p->schema->n) : NULL;
    int rc = 0;
    if (!a || (p->schema && !s))
        return err_nomem(p->err);
    for (uint32_t c = 0; s && c < p->schema->n; c++)
        s->cols[s->n++] = p->schema->cols[c];
    do
        rc = rename_one(p, a, s);
    while (!rc && lex_char(p, ','));
    pipe->args = a;
    pipe->out = s;
    p->renamed = true;
    return rc || !s ? rc : schema_check(p, s, pipe->pos);
}

/* ---- whole entries with other columns ---- */

struct view_block {
    struct block b;
    struct block *of;
    uint32_t *from; /* column of the block below */
};

struct columns_op {
    struct op op;
    struct arena arena;
};

static int view_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct view_block *v = (struct view_block *)b;
    const struct colv *below;
    int rc = block_load(v->of, v->from[c], &below, err);
    if (rc)
        return rc;
    *ret = *below;
    ret->key = b->cols[c].key;
    return 0;
}

static void view_close(struct block *b)
{
    (void)b;
}

static int view_load_rows(struct block *b, uint32_t c, const uint64_t *sel, const struct colv **ret,
                          struct err *err)
{
    struct view_block *v = (struct view_block *)b;
    return str_eq(b->cols[c].key, v->of->cols[v->from[c]].key)
               ? block_load_rows(v->of, v->from[c], sel, ret, err)
               : block_load(b, c, ret, err);
}

static const struct block_ops view_ops = { view_load, view_close, NULL, view_load_rows };

static bool dropped(const struct columns_args *a, const struct colinfo *c)
{
    for (uint32_t i = 0; i < a->ndrop; i++)
        if (fieldref_matches(&a->drop[i], c->key, c->hash))
            return true;
    for (uint32_t i = 0; i < a->nrename; i++)
        if (str_eq(a->rename[i].to_key, c->key))
            return true; /* the renamed one takes its place */
    return false;
}

static struct colinfo renamed(const struct columns_args *a, struct colinfo c)
{
    for (uint32_t i = 0; i < a->nrename; i++) {
        if (fieldref_matches(&a->rename[i].from, c.key, c.hash)) {
            c.key = a->rename[i].to_key;
            c.hash = field_dotted_hash(c.key);
            break;
        }
    }
    return c;
}

static int view_make(struct columns_op *o, struct block *b, struct block **ret, struct err *err)
{
    const struct columns_args *a = o->op.pipe->args;
    struct arena *m = &o->arena;
    arena_reset(m);
    struct view_block *v = arena_zalloc(m, sizeof *v);
    struct colinfo *info = arena_array(m, b->ncols + 1, sizeof *info);
    if (!v || !info)
        return err_nomem(err);
    v->of = b;
    v->b = *b;
    v->from = arena_array(m, b->ncols + 1, sizeof *v->from);
    v->b.loaded = arena_zalloc(m, (b->ncols + 1) * sizeof *v->b.loaded);
    if (!v->from || !v->b.loaded)
        return err_nomem(err);
    v->b.ncols = 0;
    for (uint32_t c = 0; c < b->ncols; c++) {
        struct colinfo to = renamed(a, b->cols[c]);
        if (str_eq(to.key, b->cols[c].key) && dropped(a, &b->cols[c]))
            continue;
        v->from[v->b.ncols] = c;
        info[v->b.ncols++] = to;
    }
    for (uint32_t i = 0; i < a->ndrop; i++)
        if (a->drop[i].field == F_ID)
            v->b.ids = NULL;
    v->b.cols = info;
    v->b.arena = m;
    v->b.ops = &view_ops;
    *ret = &v->b;
    return 0;
}

static int columns_open(struct op *o, struct err *err)
{
    (void)err;
    arena_init(&((struct columns_op *)o)->arena, (size_t)256 << 20);
    return 0;
}

static int columns_push(struct op *o, const struct chunk *c, struct err *err)
{
    if (o->pipe->out)
        return op_push(o->next, c, err);
    struct chunk next = *c;
    next.has_ref = false; /* its columns are others */
    int rc = view_make((struct columns_op *)o, c->b, &next.b, err);
    return rc ? rc : op_push(o->next, &next, err);
}

static void columns_close(struct op *o)
{
    arena_deinit(&((struct columns_op *)o)->arena);
}

static const struct op_ops columns_ops = {
    sizeof(struct columns_op), columns_open, columns_push, NULL, columns_close, NULL
};
const struct pipe_def pipe_fields = { "fields",
                                      PIPE_ROWWISE,
                                      fields_parse,
                                      &columns_ops,
                                      "fields FIELD [as NAME], ...",
                                      "only these columns, in this order" };
const struct pipe_def pipe_drop = { "drop",       PIPE_ROWWISE,      drop_parse,
                                    &columns_ops, "drop FIELD, ...", "all but these columns" };
const struct pipe_def pipe_rename = { "rename",
                                      PIPE_ROWWISE,
                                      rename_parse,
                                      &columns_ops,
                                      "rename FIELD as NAME, ...",
                                      "other names for columns" };
