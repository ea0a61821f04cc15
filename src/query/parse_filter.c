/* parse_filter.c: the filter language, by recursive descent.
 *
 *   or    = and { OR and }
 *   and   = unary { [AND] unary }
 *   unary = NOT unary | - unary | term
 *   term  = ( or ) | in:... | /re/ | name op value | word
 *
 * Inside field:( ... ) the same rules hold with values for terms. Depth is bounded by
 * QUERY_DEPTH_MAX. */
#include "query/expr.h"

/* where terms stand: inside field:( ... ) or not, and which group takes an in:... */
struct place {
    const struct qname *field;
    struct ast *group;
};

static int parse_or(struct parser *p, const struct place *at, struct ast **ret);

static struct ast *node(struct parser *p, enum ast_kind kind, int64_t pos)
{
    struct ast *n = arena_zalloc(p->a, sizeof *n);
    if (n) {
        n->kind = kind;
        n->pos = pos;
    }
    return n;
}

static int add_kid(struct parser *p, struct ast *n, struct ast *kid)
{
    if ((n->nkids & (n->nkids - 1)) == 0) { /* grows at powers of two */
        struct ast **kids =
            arena_grow(p->a, n->kids, n->nkids, n->nkids ? n->nkids * 2 : 1, sizeof *kids);
        if (!kids)
            return err_nomem(p->err);
        n->kids = kids;
    }
    n->kids[n->nkids++] = kid;
    return 0;
}

static int deeper(struct parser *p)
{
    if (++p->depth > QUERY_DEPTH_MAX)
        return parse_error(p, (int64_t)p->pos, "nested deeper than %d levels", QUERY_DEPTH_MAX);
    return 0;
}

/* ---- in:... ---- */

static int parse_scope(struct parser *p, const struct place *at, struct ast **ret)
{
    int64_t pos = (int64_t)p->pos;
    p->pos += 3; /* in: */
    struct ast *n = node(p, A_SCOPE, pos);
    struct scope_text *sc = arena_zalloc(p->a, sizeof *sc);
    if (!n || !sc)
        return err_nomem(p->err);
    int rc;
    if (lex_peek(p, 0) == '(') {
        p->pos++;
        rc = parse_name_list(p, &sc->names, &sc->n, "a field name");
        if (!rc)
            rc = lex_expect(p, ')', "after the fields of in:");
    } else {
        sc->names = arena_zalloc(p->a, sizeof *sc->names);
        rc =
            sc->names ? lex_name(p, sc->names, "any or a field name after in:") : err_nomem(p->err);
        sc->n = 1;
        if (!rc && !sc->names->backticks && str_eq(sc->names->text, STR("any")))
            sc->any = true;
    }
    if (rc)
        return rc;
    if (at->group->scope)
        return parse_error(p, pos, "a second in: for the same group");
    at->group->scope = sc;
    *ret = n;
    return 0;
}

/* ---- field tests ---- */

static struct ast *field_node(struct parser *p, enum ast_kind kind, const struct qname *f,
                              const struct place *at)
{
    struct ast *n = node(p, kind, f->pos);
    if (n) {
        n->field = *f;
        n->has_field = true;
        n->in_group = at->field != NULL;
    }
    return n;
}

/* a bound: quoted text or everything up to a blank, ')' or the closing bracket */
static int parse_bound(struct parser *p, unsigned stops, struct bound_text *ret)
{
    struct pred_value v;
    ret->pos = (int64_t)p->pos;
    size_t from = p->pos;
    int rc = lex_value(p, stops, &v);
    if (rc)
        return rc;
    if (p->pos == from)
        return parse_error(p, ret->pos, "expected a value");
    if (v.nparts == 2 && !v.part[0].n && !v.part[1].n) {
        ret->open = true;
        return 0;
    }
    if (v.nparts != 1)
        return parse_error(p, ret->pos, "'*' does not belong in a comparison");
    ret->s = v.part[0];
    ret->quoted = v.quoted;
    return 0;
}

/* [a TO b] {a TO b}, at the bracket */
static int parse_range(struct parser *p, const struct qname *f, const struct place *at,
                       struct ast **ret)
{
    struct ast *n = field_node(p, A_RANGE, f, at);
    if (!n)
        return err_nomem(p->err);
    int64_t open = (int64_t)p->pos;
    n->lo.inclusive = lex_peek(p, 0) == '[';
    p->pos++;
    lex_blank(p);
    int rc = parse_bound(p, STOP_RANGE, &n->lo);
    if (rc)
        return rc;
    lex_blank(p);
    if (!lex_keyword(p, "TO")) {
        parse_error(p, (int64_t)p->pos, "expected TO in the range");
        err_hint(p->err, "ranges look like %.*s:[1 TO 10]", STR_FMT(f->text));
        return ERR_INVALID;
    }
    lex_blank(p);
    rc = parse_bound(p, STOP_RANGE, &n->hi);
    if (rc)
        return rc;
    lex_blank(p);
    char c = lex_peek(p, 0);
    if (c != ']' && c != '}')
        return parse_error(p, open, "the range is never closed");
    n->hi.inclusive = c == ']';
    p->pos++;
    if (!lex_end_of_term(p, p->pos))
        return parse_error(p, (int64_t)p->pos, "expected a space after the range");
    *ret = n;
    return 0;
}

enum cmp { CMP_NONE, CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };

static enum cmp cmp_at(const struct parser *p, size_t *ret_len)
{
    char c = lex_peek(p, 0), d = lex_peek(p, 1);
    *ret_len = d == '=' ? 2 : 1;
    switch (c) {
    case '=': *ret_len = d == '=' ? 2 : 1; return CMP_EQ;
    case '!': return d == '=' ? CMP_NE : CMP_NONE;
    case '<': return d == '=' ? CMP_LE : CMP_LT;
    case '>': return d == '=' ? CMP_GE : CMP_GT;
    default: return CMP_NONE;
    }
}

static int parse_cmp(struct parser *p, const struct qname *f, const struct place *at, enum cmp cmp,
                     struct ast **ret)
{
    struct ast *n = field_node(p, cmp == CMP_EQ ? A_EQ : cmp == CMP_NE ? A_NE : A_RANGE, f, at);
    struct bound_text b = { .inclusive = cmp == CMP_LE || cmp == CMP_GE };
    if (!n)
        return err_nomem(p->err);
    lex_blank(p);
    int64_t pos = (int64_t)p->pos;
    if (cmp == CMP_EQ || cmp == CMP_NE) {
        size_t from = p->pos;
        int rc = lex_value(p, 0, &n->value);
        n->value_pos = pos;
        if (!rc && p->pos == from)
            rc = parse_error(p, pos, "expected a value after the operator");
        *ret = n;
        return rc;
    }
    int rc = parse_bound(p, 0, &b);
    if (rc)
        return rc;
    if (b.open)
        return parse_error(p, pos, "'*' does not belong in a comparison");
    n->lo.open = n->hi.open = true;
    if (cmp == CMP_GT || cmp == CMP_GE)
        n->lo = b;
    else
        n->hi = b;
    *ret = n;
    return 0;
}

/* f in (a, b), at the parenthesis */
static int parse_in_list(struct parser *p, const struct qname *f, const struct place *at,
                         struct ast **ret)
{
    struct ast *any = node(p, A_OR, f->pos);
    struct place inside = { .field = f, .group = at->group };
    if (!any)
        return err_nomem(p->err);
    p->pos++;
    do {
        struct ast *n = field_node(p, A_EQ, f, &inside);
        if (!n)
            return err_nomem(p->err);
        lex_blank(p);
        n->value_pos = (int64_t)p->pos;
        size_t from = p->pos;
        int rc = lex_value(p, STOP_LIST, &n->value);
        if (!rc && p->pos == from)
            rc = parse_error(p, n->value_pos, "expected a value in the list");
        if (!rc)
            rc = add_kid(p, any, n);
        if (rc)
            return rc;
    } while (lex_char(p, ','));
    *ret = any;
    return lex_expect(p, ')', "after the list");
}

/* ---- after: before: on: ---- */

static bool is_time_word(const struct qname *f)
{
    return !f->backticks && (str_eq(f->text, STR("after")) || str_eq(f->text, STR("before")) ||
                             str_eq(f->text, STR("on")));
}

static int bad_time(struct parser *p, int64_t pos, str s)
{
    parse_error(p, pos, "'%.*s' is not a time", STR_FMT(s));
    err_hint(p->err,
             "write 2026-11-21, 2026-11-21T10:30:00Z, now-15m, today or seconds since 1970");
    return ERR_INVALID;
}

static int parse_time_word(struct parser *p, const struct qname *f, struct ast **ret)
{
    struct ast *n = node(p, A_TIME, f->pos);
    struct bound_text b = { 0 };
    if (!n)
        return err_nomem(p->err);
    int rc = parse_bound(p, 0, &b);
    if (rc)
        return rc;
    if (b.open || !time_expr(b.s, p->o, &n->from, &n->to))
        return bad_time(p, b.pos, b.open ? STR("*") : b.s);
    if (f->text.p[0] == 'a')
        n->to = TS_MAX;
    else if (f->text.p[0] == 'b') {
        n->to = n->from;
        n->from = TS_MIN;
    }
    *ret = n;
    return 0;
}

/* ---- terms ---- */

static int parse_regex(struct parser *p, const struct qname *f, const struct place *at,
                       unsigned stops, struct ast **ret, bool *ret_found)
{
    int64_t pos = (int64_t)p->pos;
    str pattern, flags;
    int found = lex_regex(p, stops, &pattern, &flags);
    *ret_found = found > 0;
    if (found <= 0)
        return found;
    struct ast *n = f ? field_node(p, A_REGEX, f, at) : node(p, A_REGEX, pos);
    if (!n)
        return err_nomem(p->err);
    n->pattern = pattern;
    n->flags = flags;
    n->value_pos = pos;
    *ret = n;
    return 0;
}

static int parse_group(struct parser *p, const struct place *outer, const struct qname *field,
                       struct ast **ret)
{
    struct ast *g = node(p, A_GROUP, (int64_t)p->pos);
    if (!g)
        return err_nomem(p->err);
    struct place at = { .field = field, .group = g };
    (void)outer;
    int rc = deeper(p);
    if (rc)
        return rc;
    p->pos++;
    lex_blank(p);
    if (lex_peek(p, 0) == ')')
        return parse_error(p, g->pos, "nothing between the parentheses");
    struct ast *inner;
    rc = parse_or(p, &at, &inner);
    if (!rc)
        rc = add_kid(p, g, inner);
    if (rc)
        return rc;
    lex_blank(p);
    if (lex_peek(p, 0) != ')')
        return parse_error(p, g->pos, "the parenthesis is never closed");
    p->pos++;
    p->depth--;
    *ret = g;
    return 0;
}

/* what stands after `field:` (also each value of field:( ... )) */
static int parse_field_value(struct parser *p, const struct qname *f, const struct place *at,
                             struct ast **ret)
{
    char c = lex_peek(p, 0);
    size_t len;
    bool found;
    if (c == '(')
        return parse_group(p, at, f, ret);
    if (c == '[' || c == '{')
        return parse_range(p, f, at, ret);
    enum cmp cmp = cmp_at(p, &len);
    if (cmp != CMP_NONE) {
        p->pos += len;
        return parse_cmp(p, f, at, cmp, ret);
    }
    if (lex_end_of_term(p, p->pos)) {
        parse_error(p, f->pos, "'%.*s:' needs a value right behind the colon", STR_FMT(f->text));
        err_hint(p->err, "%.*s:* finds entries that have the field", STR_FMT(f->text));
        return ERR_INVALID;
    }
    int rc = parse_regex(p, f, at, 0, ret, &found);
    if (rc || found)
        return rc;
    struct ast *n = field_node(p, A_MATCH, f, at);
    if (!n)
        return err_nomem(p->err);
    n->value_pos = (int64_t)p->pos;
    *ret = n;
    return lex_value(p, 0, &n->value);
}

static int parse_word(struct parser *p, const struct place *at, struct ast **ret)
{
    bool found;
    int rc = parse_regex(p, NULL, at, 0, ret, &found);
    if (rc || found)
        return rc;
    struct ast *n = node(p, A_WORDS, (int64_t)p->pos);
    if (!n)
        return err_nomem(p->err);
    n->value_pos = n->pos;
    *ret = n;
    return lex_value(p, 0, &n->value);
}

static bool looks_like_ip(const struct parser *p)
{
    size_t i = p->pos;
    bool sep = false;
    for (; !lex_end_of_term(p, i); i++) {
        char c = p->text.p[i];
        sep |= c == '.' || c == ':';
        if (!(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'f') && c != '.' &&
            c != ':' && c != '/')
            return false;
    }
    return sep;
}

static int parse_ip(struct parser *p, const struct qname *f, const struct place *at,
                    struct ast **ret)
{
    struct ast *n = field_node(p, A_IP, f, at);
    if (!n)
        return err_nomem(p->err);
    n->value_pos = (int64_t)p->pos;
    *ret = n;
    return lex_value(p, 0, &n->value);
}

/* After a name and blanks: an operator that may stand apart from it. 0 = none, 1 = parsed. */
static int parse_apart(struct parser *p, const struct qname *f, const struct place *at,
                       struct ast **ret)
{
    size_t was = p->pos, len;
    int rc;
    lex_blank(p);
    enum cmp cmp = cmp_at(p, &len);
    char next = lex_peek(p, len);
    bool valued =
        next == ' ' || next == '"' || next == '-' || next == '+' || (next >= '0' && next <= '9');
    if (cmp != CMP_NONE && valued) {
        p->pos += len;
        rc = parse_cmp(p, f, at, cmp, ret);
        return rc ? rc : 1;
    }
    if (lex_word(p, "in")) {
        lex_blank(p);
        if (lex_peek(p, 0) == '(') {
            rc = parse_in_list(p, f, at, ret);
            return rc ? rc : 1;
        }
    } else if (lex_word(p, "ip")) {
        lex_blank(p);
        if (looks_like_ip(p)) {
            rc = parse_ip(p, f, at, ret);
            return rc ? rc : 1;
        }
    }
    p->pos = was;
    return 0;
}

/* Behind a pipe a function may stand where a field does: concat(a, b):word. */
static int parse_function(struct parser *p, const struct place *at, struct ast **ret)
{
    struct expr_prog *prog;
    struct qname f = { .pos = (int64_t)p->pos };
    size_t len;
    int rc = expr_parse_call(p, &prog);
    if (rc)
        return rc;
    f.text = prog->text;
    f.calc = prog;
    enum cmp cmp = cmp_at(p, &len);
    if (lex_peek(p, 0) == ':') {
        p->pos++;
        return parse_field_value(p, &f, at, ret);
    }
    if (cmp != CMP_NONE) {
        p->pos += len;
        return parse_cmp(p, &f, at, cmp, ret);
    }
    rc = parse_apart(p, &f, at, ret);
    if (rc)
        return rc < 0 ? rc : 0;
    parse_error(p, (int64_t)p->pos, "expected a test behind the function");
    err_hint(p->err, "such as len(message)>100 or concat(input, output):word");
    return ERR_INVALID;
}

/* At a '(': does a test such as ">3" follow its ')' at once? Then words were not meant. */
static bool tested_call(const struct parser *p)
{
    unsigned depth = 0;
    for (size_t i = p->pos; i < p->text.n; i++) {
        char c = p->text.p[i];
        if (c == '"') {
            while (++i < p->text.n && p->text.p[i] != '"')
                i += p->text.p[i] == '\\';
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            char next = i + 1 < p->text.n ? p->text.p[i + 1] : 0;
            return next && strchr(":=<>!", next);
        }
    }
    return false;
}

/* A term that begins with a name: 1 when it was a field test, 0 when it is a word after all. */
static int parse_named(struct parser *p, const struct place *at, struct ast **ret)
{
    struct qname f = { 0 };
    size_t was = p->pos, len;
    int rc = lex_name(p, &f, "a name");
    if (rc)
        return rc;
    char c = lex_peek(p, 0), d = lex_peek(p, 1);
    if (c == ':' && !f.backticks && ((d == '/' && lex_peek(p, 2) == '/') || d == ':')) {
        p->pos = was;
        return 0;
    }
    enum cmp cmp = cmp_at(p, &len);
    if (c == ':') {
        p->pos++;
        if (is_time_word(&f) && !lex_end_of_term(p, p->pos))
            rc = parse_time_word(p, &f, ret);
        else
            rc = parse_field_value(p, &f, at, ret);
        return rc ? rc : 1;
    }
    if (cmp != CMP_NONE) {
        p->pos += len;
        rc = parse_cmp(p, &f, at, cmp, ret);
        return rc ? rc : 1;
    }
    if (c == '(' && p->q->npipes && !f.backticks && expr_is_function(f.text)) {
        p->pos = was;
        rc = parse_function(p, at, ret);
        return rc ? rc : 1;
    }
    if (c == '(' && p->q->npipes && !f.backticks && tested_call(p))
        return expr_unknown_function(p, &f);
    bool apart = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (apart && (rc = parse_apart(p, &f, at, ret)))
        return rc;
    if (f.backticks)
        return parse_error(p, f.pos, "a name in backticks needs an operator such as ':' or '='");
    p->pos = was;
    return 0;
}

static int parse_term(struct parser *p, const struct place *at, struct ast **ret)
{
    size_t n;
    char c = lex_peek(p, 0);
    if (c == '(')
        return parse_group(p, at, at->field, ret);
    if (at->field)
        return parse_field_value(p, at->field, at, ret);
    if (c == 'i' && lex_peek(p, 1) == 'n' && lex_peek(p, 2) == ':')
        return parse_scope(p, at, ret);
    if (c == '`' || lex_is_name(p, p->pos, &n)) {
        int rc = parse_named(p, at, ret);
        if (rc)
            return rc < 0 ? rc : 0;
    }
    return parse_word(p, at, ret);
}

/* a '-' that negates: something to negate follows */
static bool at_minus(const struct parser *p)
{
    char next = lex_peek(p, 1);
    return lex_peek(p, 0) == '-' && next && !strchr(" \t\r\n)|-<>=", next);
}

static int parse_unary(struct parser *p, const struct place *at, struct ast **ret)
{
    int64_t pos = (int64_t)p->pos;
    if (lex_keyword(p, "AND") || lex_keyword(p, "OR"))
        return parse_error(p, pos, "%.*s has nothing on its left", (int)(p->pos - (size_t)pos),
                           p->text.p + pos);
    bool minus = !at->field && at_minus(p);
    /* in field:(a -b) a number may follow: -5 is a value there, -word a negation */
    if (at->field && at_minus(p) && !(lex_peek(p, 1) >= '0' && lex_peek(p, 1) <= '9'))
        minus = true;
    if (minus)
        p->pos++;
    else if (!lex_keyword(p, "NOT"))
        return parse_term(p, at, ret);
    int rc = deeper(p);
    struct ast *n = node(p, A_NOT, pos), *kid = NULL;
    if (!rc && !n)
        rc = err_nomem(p->err);
    lex_blank(p);
    if (!rc && (p->pos == p->text.n || lex_peek(p, 0) == ')' || lex_peek(p, 0) == '|'))
        rc = parse_error(p, pos, "NOT has nothing behind it");
    if (!rc)
        rc = parse_unary(p, at, &kid);
    if (!rc && kid->kind == A_SCOPE)
        rc = parse_error(p, kid->pos, "in: cannot be negated");
    if (!rc)
        rc = add_kid(p, n, kid);
    p->depth--;
    *ret = n;
    return rc;
}

static bool at_end(struct parser *p)
{
    lex_blank(p);
    char c = lex_peek(p, 0);
    return p->pos == p->text.n || c == ')' || c == '|';
}

static int parse_and(struct parser *p, const struct place *at, struct ast **ret)
{
    struct ast *all = node(p, A_AND, (int64_t)p->pos), *scope = NULL;
    if (!all)
        return err_nomem(p->err);
    while (!at_end(p)) {
        size_t was = p->pos;
        if (lex_keyword(p, "OR")) {
            p->pos = was;
            if (all->nkids || scope)
                break;
        } else if (lex_keyword(p, "AND")) {
            if (!all->nkids && !scope)
                return parse_error(p, (int64_t)was, "AND has nothing on its left");
            if (at_end(p))
                return parse_error(p, (int64_t)was, "AND has nothing on its right");
        }
        struct ast *kid;
        int rc = parse_unary(p, at, &kid);
        if (!rc && kid->kind == A_SCOPE)
            scope = kid;
        else if (!rc)
            rc = add_kid(p, all, kid);
        if (rc)
            return rc;
    }
    *ret = all->nkids == 0 && scope ? scope : all->nkids == 1 ? all->kids[0] : all;
    return 0;
}

static int parse_or(struct parser *p, const struct place *at, struct ast **ret)
{
    struct ast *any = node(p, A_OR, (int64_t)p->pos), *kid = NULL;
    if (!any)
        return err_nomem(p->err);
    for (;;) {
        int rc = parse_and(p, at, &kid);
        if (!rc)
            rc = add_kid(p, any, kid);
        if (rc)
            return rc;
        int64_t pos = (int64_t)p->pos;
        if (at_end(p) || !lex_keyword(p, "OR"))
            break;
        if (at_end(p))
            return parse_error(p, pos, "OR has nothing on its right");
    }
    for (uint32_t i = 0; i < any->nkids && any->nkids > 1; i++)
        if (any->kids[i]->kind == A_SCOPE)
            return parse_error(p, any->kids[i]->pos,
                               "in: must stand beside the words it is for, not between ORs");
    *ret = any->nkids == 1 ? any->kids[0] : any;
    return 0;
}

int parse_filter(struct parser *p, struct ast **ret)
{
    struct ast *top = node(p, A_GROUP, (int64_t)p->pos), *inner;
    if (!top)
        return err_nomem(p->err);
    struct place at = { .group = top };
    if (at_end(p) && lex_peek(p, 0) != ')') {
        inner = node(p, A_TRUE, (int64_t)p->pos);
        if (!inner)
            return err_nomem(p->err);
    } else {
        int rc = parse_or(p, &at, &inner);
        if (rc)
            return rc;
    }
    *ret = top;
    return add_kid(p, top, inner);
}
