/* query.c: text -> struct query, and what callers ask of one. */
#include "base/mem.h"
#include "base/utf8.h"
#include "query/internal.h"

#define QUERY_ARENA_MAX ((size_t)32 << 20)

void query_opts_default(struct query_opts *o)
{
    *o = (struct query_opts){ .start = TS_MIN, .end = TS_MAX };
}

static int check_text(str text, struct err *err)
{
    if (text.n > QUERY_TEXT_MAX) {
        err_at(err, ERR_INVALID, QUERY_TEXT_MAX, "a query has at most %d bytes", QUERY_TEXT_MAX);
        err_slug(err, "bad_query");
        return ERR_INVALID;
    }
    size_t bad = utf8_invalid_at(text), nul = str_chr(text, 0);
    if (nul < bad)
        bad = nul;
    if (bad == SIZE_MAX)
        return 0;
    err_at(err, ERR_INVALID, (int64_t)bad, "the query is not valid UTF-8 text");
    err_slug(err, "bad_query");
    return ERR_INVALID;
}

/* leading `where`s belong to the filter */
static struct pred *join_wheres(struct query *q, struct pred *f)
{
    q->first = q->pipes;
    while (q->first && q->first->def == &pipe_where) {
        f = pred_and(&q->arena, f, ((struct where_args *)q->first->args)->pred);
        q->first = q->first->next;
    }
    return f;
}

static int join_filter(struct query *q, struct err *err)
{
    struct arena *a = &q->arena;
    q->own = join_wheres(q, q->own);
    struct pred *time = pred_time(a, q->o.start, q->o.end);
    struct pred *also =
        q->o.also ? (struct pred *)(uintptr_t)q->o.also : pred_true(a); /* only read */
    q->filter = pred_and(a, pred_and(a, time, also), q->own);
    for (const struct pipe *p = q->first; p; p = p->next) {
        if (p->def->flags & PIPE_GROUPS)
            q->has_limit = false; /* limits before a grouping do not shape the final rows */
        q->has_limit |= p->def == &pipe_limit || p->def == &pipe_head || p->def == &pipe_tail;
    }
    return q->filter ? 0 : err_nomem(err);
}

/* ---- queries within queries ---- */

#define INNER_MAX 4

static void inner_release(void *what)
{
    arena_deinit(&((struct query *)what)->arena);
}

struct parse_place parse_place_get(const struct parser *p)
{
    return (struct parse_place){ p->q, p->schema, p->open, p->dropped, p->renamed };
}

void parse_place_set(struct parser *p, const struct parse_place *at)
{
    p->q = at->q;
    p->schema = at->schema;
    p->open = at->open;
    p->dropped = at->dropped;
    p->renamed = at->renamed;
}

static int parse_query(struct parser *p, struct query *q)
{
    struct ast *ast;
    q->from = p->pos;
    int rc = parse_filter(p, &ast);
    if (!rc)
        rc = lower_filter(p, ast, &q->own);
    if (!rc)
        rc = parse_pipes(p);
    q->text = str_sub(p->text, q->from, p->pos - q->from);
    return rc;
}

/* a query in the arena of the outer one; its own arena is given back with that */
static int inner_new(struct parser *p, const struct query *outer, struct query **ret)
{
    struct query *q = arena_zalloc(p->a, sizeof *q);
    if (!q)
        return err_nomem(p->err);
    arena_init(&q->arena, QUERY_ARENA_MAX);
    if (!arena_own(p->a, inner_release, q))
        return err_nomem(p->err);
    q->o = outer->o;
    q->o.limit = q->o.offset = 0;
    q->o.unlimited = true;
    q->o.oldest_first = false;
    *ret = q;
    return 0;
}

int parse_inner(struct parser *p, const char *what, struct query **ret, struct parse_place *ret_end)
{
    struct parse_place outer = parse_place_get(p);
    struct query *q = NULL;
    int rc = lex_expect(p, '(', what);
    int64_t open = (int64_t)p->pos - 1;
    if (rc)
        return rc;
    if (p->inner == INNER_MAX)
        return parse_error(p, (int64_t)p->pos, "more than %d queries in one another", INNER_MAX);
    rc = inner_new(p, outer.q, &q);
    if (rc)
        return rc;
    q->o.start = TS_MIN;
    q->o.end = TS_MAX;
    parse_place_set(p, &(struct parse_place){ .q = q });
    p->inner++;
    rc = parse_query(p, q);
    p->inner--;
    *ret_end = parse_place_get(p);
    parse_place_set(p, &outer);
    if (!rc && !lex_char(p, ')'))
        rc = parse_error(p, open, "the parenthesis is never closed");
    *ret = q;
    return rc;
}

static ts_ns earlier(ts_ns t, int64_t shift)
{
    ts_ns to;
    return t == TS_MIN || t == TS_MAX || __builtin_sub_overflow(t, shift, &to) ? t : to;
}

int parse_earlier(struct parser *p, int64_t shift, struct query **ret)
{
    struct parser *sub = mem_zalloc(sizeof *sub);
    struct query *q = NULL;
    int rc = sub ? inner_new(p, p->q, &q) : err_nomem(p->err);
    if (!rc) {
        sub->text = str_sub(p->text, 0, p->bar);
        sub->pos = p->q->from;
        sub->a = p->a;
        sub->err = p->err;
        sub->q = q;
        sub->o = p->o;
        sub->inner = p->inner;
        sub->depth = p->depth;
        sub->shift = p->shift + shift;
        q->o.oldest_first = p->q->o.oldest_first;
        q->o.start = earlier(p->q->o.start, shift);
        ts_ns end = p->q->o.end, now = p->o->now;
        q->o.end = earlier(end == TS_MAX && now < TS_MAX - 1 ? now + 1 : end, shift);
        rc = parse_query(sub, q);
    }
    mem_free(sub);
    *ret = q;
    return rc ? rc : join_filter(q, p->err);
}

static int fields_pipe(struct parser *p, struct query *q, const struct qname *cols, uint32_t n)
{
    struct pipe *pipe = arena_zalloc(p->a, sizeof *pipe), **tail = &q->pipes;
    struct schema *s = arena_zalloc(p->a, sizeof *s);
    if (!pipe || !s || !(s->cols = arena_zalloc(p->a, n * sizeof *s->cols)))
        return err_nomem(p->err);
    while (*tail)
        tail = &(*tail)->next;
    for (; s->n < n; s->n++) {
        s->cols[s->n].name = cols[s->n].text;
        int rc = schema_resolve(p, &cols[s->n], &s->cols[s->n].ref);
        if (rc)
            return rc;
    }
    pipe->def = &pipe_fields;
    pipe->pos = cols[0].pos;
    pipe->in = p->schema;
    pipe->out = s;
    pipe->text = STR("fields");
    *tail = pipe;
    return 0;
}

int parse_inner_fields(struct parser *p, const struct parse_place *end, const struct qname *cols,
                       uint32_t n)
{
    struct parse_place outer = parse_place_get(p);
    parse_place_set(p, end);
    int rc = fields_pipe(p, end->q, cols, n);
    parse_place_set(p, &outer);
    return rc;
}

int parse_inner_end(struct parser *p, struct query *inner)
{
    return join_filter(inner, p->err);
}

static int parse_text(struct query *q, struct err *err)
{
    struct parser *p = mem_zalloc(sizeof *p);
    if (!p)
        return err_nomem(err);
    p->text = q->text;
    p->a = &q->arena;
    p->err = err;
    p->q = q;
    p->o = &q->o;
    int rc = parse_query(p, q);
    mem_free(p);
    return rc ? rc : join_filter(q, err);
}

int query_name(struct arena *a, str text, struct fieldref *ret, struct err *err)
{
    struct qname name;
    struct parser *p = mem_zalloc(sizeof *p);
    int rc = check_text(text, err);
    if (!rc && !p)
        rc = err_nomem(err);
    if (!rc) {
        p->text = text;
        p->a = a;
        p->err = err;
        rc = lex_name(p, &name, "the name of a field");
    }
    if (!rc && p->pos != text.n)
        rc = parse_error(p, (int64_t)p->pos, "a name ends here");
    if (!rc && !schema_ref(a, &name, ret))
        rc = err_nomem(err);
    mem_free(p);
    return rc;
}

int query_parse(struct query **ret, str text, const struct query_opts *o, struct err *err)
{
    int rc = check_text(text, err);
    if (rc)
        return rc;
    struct query *q = mem_zalloc(sizeof *q);
    if (!q)
        return err_nomem(err);
    arena_init(&q->arena, QUERY_ARENA_MAX);
    q->o = *o;
    q->text = text.n ? arena_dup(&q->arena, text) : STR("");
    rc = q->text.p ? parse_text(q, err) : err_nomem(err);
    if (rc) {
        query_free(q);
        return rc;
    }
    *ret = q;
    return 0;
}

void query_free(struct query *q)
{
    if (!q)
        return;
    arena_deinit(&q->arena);
    mem_free(q);
}

const struct pred *query_filter(const struct query *q)
{
    return q->filter;
}

bool query_is_filter(const struct query *q)
{
    return !q->first;
}

void query_set_page(struct query *q, ts_ns after_time, uint64_t after_seq, uint64_t max_seq)
{
    q->paged = true;
    q->page_time = after_time;
    q->page_seq = after_seq;
    q->page_max_seq = max_seq;
}

void query_want_total(struct query *q)
{
    q->want_total = true;
}
