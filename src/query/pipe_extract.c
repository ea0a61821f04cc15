/* pipe_extract.c: `extract "user=<user> took <ms>ms" [from f]`, `extract /(?<ms>\d+)ms/ [from f]`.
 *
 * The places of a template, or the named groups of an expression, become columns: of entries
 * attributes (or a field such as tool), as with `eval`. What is wholly a number is one. A row the
 * pattern is not found in keeps what it had. */
#include "query/pairs.h"
#include "query/pull.h"

struct extract_args {
    struct expr_prog *from;
    bool regex;
    struct text_template tmpl;
    struct regex_groups *groups;
    struct pull_col *cols;
    uint32_t *col; /* by place: its column, UINT32_MAX = passed over */
    uint32_t ncols, nplaces;
};

/* ---- parsing ---- */

/* a column called `name`, at `pos` of the query */
static int add_column(struct parser *p, struct extract_args *a, str name, int64_t pos,
                      uint32_t place)
{
    struct qname q = { .text = name, .pos = pos };
    struct qcol *old = p->schema ? schema_find(p->schema, name) : NULL;
    struct pull_col *c = &a->cols[a->ncols];
    a->col[place] = UINT32_MAX;
    if (str_eq(name, STR("_")))
        return 0;
    if (old && !schema_fixed(old->ref.field))
        c->kept = old->ref;
    int rc = schema_set(p, &q, &c->ref);
    if (rc)
        return rc;
    if (!p->schema)
        c->kept = c->ref;
    for (uint32_t i = 0; i < a->ncols; i++)
        if (str_eq(a->cols[i].ref.key, c->ref.key))
            return parse_error(p, pos, "two places are called '%.*s'", STR_FMT(name));
    a->col[place] = a->ncols++;
    return 0;
}

static bool room(struct parser *p, struct extract_args *a, uint32_t n)
{
    a->nplaces = n;
    a->cols = arena_zalloc(p->a, (n + 1) * sizeof *a->cols);
    a->col = arena_array(p->a, n + 1, sizeof *a->col);
    return a->cols && a->col;
}

/* errors of a pattern know where in it they are */
static int pattern_error(struct parser *p, int64_t pos, int rc)
{
    if (rc == ERR_INVALID) {
        p->err->pos = p->err->pos < 0 ? pos : pos + p->err->pos;
        if (!p->err->slug[0])
            err_slug(p->err, "bad_query");
    }
    return rc;
}

static int parse_template(struct parser *p, struct extract_args *a, int64_t *at)
{
    str text;
    *at = (int64_t)p->pos + 1;
    int rc = lex_quoted(p, &text);
    if (!rc)
        rc = pattern_error(p, *at, text_template_parse(&a->tmpl, p->a, text, p->err));
    if (!rc && !room(p, a, a->tmpl.n))
        rc = err_nomem(p->err);
    return rc;
}

static int parse_regex(struct parser *p, struct extract_args *a, int64_t *at)
{
    str pattern, flags;
    *at = (int64_t)p->pos + 1;
    int rc = lex_regex(p, 0, &pattern, &flags);
    if (rc < 0)
        return rc;
    if (!rc)
        return parse_error(p, *at - 1, "the regular expression is never closed");
    a->regex = true;
    rc = pattern_error(p, *at, regex_groups_new(&a->groups, p->a, pattern, flags, p->err));
    if (rc)
        return rc;
    a->groups->pos = *at - 1;
    if (!a->groups->n) {
        parse_error(p, *at - 1, "the regular expression has no named group");
        err_hint(p->err, "name what is wanted: (?<ms>\\d+)");
        return ERR_INVALID;
    }
    if (a->groups->n > OVERLAY_COLS_MAX)
        return parse_error(p, *at - 1, "more than %d named groups", OVERLAY_COLS_MAX);
    return room(p, a, a->groups->n) ? 0 : err_nomem(p->err);
}

static int extract_parse(struct parser *p, struct pipe *pipe)
{
    struct extract_args *a = arena_zalloc(p->a, sizeof *a);
    int64_t at = 0;
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    lex_blank(p);
    char c = lex_peek(p, 0);
    int rc;
    if (c == '"') {
        rc = parse_template(p, a, &at);
    } else if (c == '/') {
        rc = parse_regex(p, a, &at);
    } else {
        rc = parse_error(p, (int64_t)p->pos, "expected a template in quotes or a /regex/");
        err_hint(p->err, "extract \"took <ms>ms\" from message");
    }
    if (!rc)
        rc = pull_parse_from(p, &a->from);
    for (uint32_t i = 0; i < a->nplaces && !rc; i++)
        rc = a->regex ? add_column(p, a, a->groups->names[i], at - 1, i)
                      : add_column(p, a, a->tmpl.name[i], at - 1, i);
    if (!rc && !a->ncols)
        rc = parse_error(p, at - 1, "the template takes nothing out of the text");
    pipe->out = p->schema;
    p->renamed = true;
    return rc;
}

/* ---- running ---- */

static int extract_row(struct pull *x, str text, uint32_t row, struct err *err)
{
    const struct extract_args *a = x->ctx;
    str got[TEMPLATE_PLACES_MAX > OVERLAY_COLS_MAX ? TEMPLATE_PLACES_MAX : OVERLAY_COLS_MAX];
    bool found = false;
    int rc = 0;
    if (a->regex)
        rc = regex_groups_match(a->groups, text, x->r->preds, got, &found, err);
    else
        found = text_template_match(&a->tmpl, text, got);
    for (uint32_t i = 0; i < a->nplaces && found && !rc; i++)
        if (a->col[i] != UINT32_MAX && got[i].p)
            rc = pull_put(x, a->col[i], row, pairs_value(got[i]), err);
    return rc;
}

static int extract_push(struct op *o, const struct chunk *c, struct err *err)
{
    const struct extract_args *a = o->pipe->args;
    struct pull_how how = { .from = a->from,
                            .cols = a->cols,
                            .ncols = a->ncols,
                            .ctx = (void *)(uintptr_t)a, /* only read */
                            .row = extract_row };
    return pull_push((struct pull_op *)o, c, &how, err);
}

bool extract_reads(const struct pipe *p, struct arena *a, struct schema *to)
{
    const struct extract_args *e = p->args;
    return pull_reads(e->from, e->cols, e->ncols, a, to);
}

static const struct op_ops extract_ops = {
    sizeof(struct pull_op), pull_open, extract_push, NULL, pull_close, NULL
};
const struct pipe_def pipe_extract = {
    "extract",
    PIPE_ROWWISE,
    extract_parse,
    &extract_ops,
    "extract TEXT [from EXPR]",
    "columns out of a text: a template with <name>s, or /(?<name>...)/"
};
