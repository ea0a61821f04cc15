/* expr_parse.c: expressions by recursive descent.
 *
 *   or    = and { OR and }
 *   and   = not { AND not }
 *   not   = NOT not | cmp
 *   cmp   = sum [ = == != < <= > >= sum ]
 *   sum   = prod { + - prod }
 *   prod  = unary { * / % unary }
 *   unary = - unary | ( or ) | number | "text" | true false null | name | name( or, ... )
 *
 * A name may hold '-' and '.', so a minus between two names stands between blanks. Depth is bounded
 * by QUERY_DEPTH_MAX. */
#include "query/expr.h"

struct building {
    struct parser *p;
    struct expr_prog *prog;
};

static int parse_or(struct building *b, struct expr **ret);

static struct expr *node(struct parser *p, enum expr_kind kind, int64_t pos)
{
    struct expr *e = arena_zalloc(p->a, sizeof *e);
    if (e) {
        e->kind = kind;
        e->pos = pos;
    }
    return e;
}

static int call(struct building *b, const struct expr_fn *fn, struct expr *const *arg,
                uint32_t narg, int64_t pos, struct expr **ret)
{
    struct parser *p = b->p;
    struct expr *e = node(p, X_CALL, pos);
    struct expr **own = arena_array(p->a, narg + 1, sizeof(struct expr *));
    if (!e || !own)
        return err_nomem(p->err);
    for (uint32_t i = 0; i < narg; i++)
        own[i] = arg[i];
    e->fn = fn;
    e->arg = own;
    e->narg = narg;
    *ret = e;
    return fn->check ? fn->check(p, e) : 0;
}

static int binary(struct building *b, enum expr_operator op, struct expr *x, struct expr *y,
                  int64_t pos, struct expr **ret)
{
    return call(b, &expr_operators[op], (struct expr *[]){ x, y }, 2, pos, ret);
}

/* ---- leaves ---- */

static int constant(struct parser *p, struct val v, int64_t pos, struct expr **ret)
{
    struct expr *e = node(p, X_CONST, pos);
    if (!e)
        return err_nomem(p->err);
    e->v = v;
    *ret = e;
    return 0;
}

static int field(struct building *b, const struct qname *name, struct expr **ret)
{
    struct parser *p = b->p;
    struct expr_prog *prog = b->prog;
    struct expr *e = node(p, X_FIELD, name->pos);
    if (!e)
        return err_nomem(p->err);
    int rc = schema_resolve(p, name, &e->ref);
    if (rc)
        return rc;
    enum field f = e->ref.field;
    e->time = f != F_NONE && field_table[f].flags & FF_TIME;
    prog->marks |= f == F_RESOLVED || f == F_RESOLVED_BY || f == F_RESOLVED_AT || f == F_NOTE;
    if (prog->nfields == EXPR_FIELDS_MAX)
        return parse_error(p, name->pos, "more than %d fields in an expression", EXPR_FIELDS_MAX);
    if (prog->nfields == prog->cap) {
        uint32_t cap = prog->cap ? prog->cap * 2 : 4;
        struct expr **more =
            arena_grow(p->a, prog->fields, prog->nfields, cap, sizeof(struct expr *));
        if (!more)
            return err_nomem(p->err);
        prog->fields = more;
        prog->cap = cap;
    }
    e->slot = prog->nfields;
    prog->fields[prog->nfields++] = e;
    *ret = e;
    return 0;
}

static const struct expr_fn *find_function(str name)
{
    for (uint32_t i = 0; i < expr_nfunctions; i++)
        if (str_eq(name, str_c(expr_functions[i].name)))
            return &expr_functions[i];
    return NULL;
}

bool expr_is_function(str name)
{
    return find_function(name) != NULL;
}

int expr_unknown_function(struct parser *p, const struct qname *name)
{
    const char *names[64];
    uint32_t n = expr_nfunctions < 64 ? expr_nfunctions : 64;
    for (uint32_t i = 0; i < n; i++)
        names[i] = expr_functions[i].name;
    parse_error(p, name->pos, "unknown function %.*s", STR_FMT(name->text));
    parse_hint_near(p, name->text, names, n);
    return ERR_INVALID;
}

static int wrong_number(struct parser *p, const struct expr_fn *fn, int64_t pos)
{
    if (fn->min == fn->max)
        return parse_error(p, pos, "%s takes %d argument%s", fn->name, fn->min,
                           fn->min == 1 ? "" : "s");
    if (fn->max == EXPR_ARGS_MAX)
        return parse_error(p, pos, "%s takes at least %d argument%s", fn->name, fn->min,
                           fn->min == 1 ? "" : "s");
    return parse_error(p, pos, "%s takes %d to %d arguments", fn->name, fn->min, fn->max);
}

/* sent(key): the argument is a key the sender used, not a field */
static int sent_key(struct parser *p, struct expr **ret)
{
    struct qname key;
    int rc = lex_name(p, &key, "a key of the entry as it was sent");
    if (rc)
        return rc;
    return constant(p, (struct val){ .t = V_STR, .s = key.text }, key.pos, ret);
}

/* cost(): its arguments are the fields it looks at */
static int cost_fields(struct building *b, const struct qname *name, struct expr **arg,
                       uint32_t *ret_n)
{
    static const enum field fields[] = { F_COST_USD,          F_MODEL,
                                         F_TIMESTAMP,         F_TOKENS_INPUT,
                                         F_TOKENS_CACHE_READ, F_TOKENS_CACHE_WRITE,
                                         F_TOKENS_OUTPUT,     F_TOKENS_REASONING };
    for (*ret_n = 0; *ret_n < sizeof fields / sizeof *fields; ++*ret_n) {
        struct qname n = { .text = field_table[fields[*ret_n]].name, .pos = name->pos };
        int rc = field(b, &n, &arg[*ret_n]);
        if (rc) {
            err_hint(b->p->err, "cost() needs whole entries, or the columns cost_usd, model, "
                                "timestamp and tokens.*");
            return rc;
        }
    }
    return 0;
}

/* behind `name`, at its parenthesis */
static int arguments(struct building *b, const struct qname *name, struct expr **ret)
{
    struct parser *p = b->p;
    struct expr *arg[EXPR_ARGS_MAX];
    uint32_t n = 0;
    const struct expr_fn *fn = find_function(name->text);
    if (!fn)
        return expr_unknown_function(p, name);
    p->pos++;
    if (!lex_char(p, ')')) {
        do {
            lex_blank(p);
            if (n == EXPR_ARGS_MAX)
                return parse_error(p, (int64_t)p->pos, "more than %d arguments", EXPR_ARGS_MAX);
            int rc = str_eq(name->text, STR("sent")) ? sent_key(p, &arg[n]) : parse_or(b, &arg[n]);
            if (rc)
                return rc;
            n++;
        } while (lex_char(p, ','));
        int rc = lex_expect(p, ')', "after the arguments");
        if (rc)
            return rc;
    }
    if (n < fn->min || n > fn->max)
        return wrong_number(p, fn, name->pos);
    b->prog->whole |= str_eq(name->text, STR("sent"));
    if (str_eq(name->text, STR("cost"))) {
        int rc = cost_fields(b, name, arg, &n);
        if (rc)
            return rc;
    }
    return call(b, fn, arg, n, name->pos, ret);
}

static int named(struct building *b, struct expr **ret)
{
    struct parser *p = b->p;
    struct qname name;
    int rc = lex_name(p, &name, "a field, a number, a text in quotes or a function");
    if (rc)
        return rc;
    if (name.backticks)
        return field(b, &name, ret);
    if (lex_peek(p, 0) == '(')
        return arguments(b, &name, ret);
    if (str_eq(name.text, STR("true")) || str_eq(name.text, STR("false")))
        return constant(p, (struct val){ .t = V_BOOL, .b = name.text.p[0] == 't' }, name.pos, ret);
    if (str_eq(name.text, STR("null")))
        return constant(p, VAL_ABSENT, name.pos, ret);
    return field(b, &name, ret);
}

static int number(struct parser *p, struct expr **ret)
{
    struct pred_bound n;
    int64_t pos = (int64_t)p->pos;
    int rc = lex_number(p, &n, "what begins with a digit");
    if (rc)
        return rc;
    struct val v = { .t = n.integral ? V_I64 : V_F64 };
    if (n.integral)
        v.i = n.i;
    else
        v.d = n.d;
    return constant(p, v, pos, ret);
}

/* ---- operators ---- */

static int deeper(struct parser *p)
{
    if (++p->depth > QUERY_DEPTH_MAX)
        return parse_error(p, (int64_t)p->pos, "nested deeper than %d levels", QUERY_DEPTH_MAX);
    return 0;
}

static int unary(struct building *b, struct expr **ret)
{
    struct parser *p = b->p;
    lex_blank(p);
    int64_t pos = (int64_t)p->pos;
    char c = lex_peek(p, 0);
    int rc = deeper(p);
    if (rc)
        return rc;
    if (c == '-') {
        struct expr *x;
        p->pos++;
        rc = unary(b, &x);
        if (!rc)
            rc = call(b, &expr_operators[XO_NEG], &x, 1, pos, ret);
    } else if (c == '(') {
        p->pos++;
        rc = parse_or(b, ret);
        if (!rc)
            rc = lex_expect(p, ')', "after the expression");
    } else if (c == '"') {
        str s;
        rc = lex_quoted(p, &s);
        if (!rc)
            rc = constant(p, (struct val){ .t = V_STR, .s = s }, pos, ret);
    } else if (c >= '0' && c <= '9') {
        rc = number(p, ret);
    } else {
        rc = named(b, ret);
    }
    p->depth--;
    return rc;
}

static int product(struct building *b, struct expr **ret)
{
    struct parser *p = b->p;
    int rc = unary(b, ret);
    while (!rc) {
        lex_blank(p);
        char c = lex_peek(p, 0);
        int64_t pos = (int64_t)p->pos;
        struct expr *y;
        if (c != '*' && c != '/' && c != '%')
            break;
        p->pos++;
        rc = unary(b, &y);
        if (!rc)
            rc = binary(b, c == '*' ? XO_MUL : c == '/' ? XO_DIV : XO_MOD, *ret, y, pos, ret);
    }
    return rc;
}

static int sum(struct building *b, struct expr **ret)
{
    struct parser *p = b->p;
    int rc = product(b, ret);
    while (!rc) {
        lex_blank(p);
        char c = lex_peek(p, 0);
        int64_t pos = (int64_t)p->pos;
        struct expr *y;
        if (c != '+' && c != '-')
            break;
        p->pos++;
        rc = product(b, &y);
        if (!rc)
            rc = binary(b, c == '+' ? XO_ADD : XO_SUB, *ret, y, pos, ret);
    }
    return rc;
}

/* the comparison that stands here, moved past; -1 none */
static int comparison(struct parser *p)
{
    char c = lex_peek(p, 0), d = lex_peek(p, 1);
    int op = -1;
    if (c == '=')
        op = XO_EQ;
    else if (c == '!' && d == '=')
        op = XO_NE;
    else if (c == '<')
        op = d == '=' ? XO_LE : XO_LT;
    else if (c == '>')
        op = d == '=' ? XO_GE : XO_GT;
    if (op >= 0)
        p->pos += d == '=' ? 2 : 1;
    return op;
}

static int compared(struct building *b, struct expr **ret)
{
    struct parser *p = b->p;
    int rc = sum(b, ret);
    if (rc)
        return rc;
    lex_blank(p);
    int64_t pos = (int64_t)p->pos;
    int op = comparison(p);
    if (op < 0)
        return 0;
    struct expr *y;
    rc = sum(b, &y);
    return rc ? rc : binary(b, (enum expr_operator)op, *ret, y, pos, ret);
}

static int negated(struct building *b, struct expr **ret)
{
    struct parser *p = b->p;
    lex_blank(p);
    int64_t pos = (int64_t)p->pos;
    if (!lex_keyword(p, "NOT"))
        return compared(b, ret);
    struct expr *x;
    int rc = deeper(p);
    if (!rc)
        rc = negated(b, &x);
    p->depth--;
    return rc ? rc : call(b, &expr_operators[XO_NOT], &x, 1, pos, ret);
}

static int joined(struct building *b, bool is_and, struct expr **ret)
{
    struct parser *p = b->p;
    int rc = is_and ? negated(b, ret) : joined(b, true, ret);
    while (!rc) {
        lex_blank(p);
        int64_t pos = (int64_t)p->pos;
        struct expr *y;
        if (!lex_keyword(p, is_and ? "AND" : "OR"))
            break;
        rc = is_and ? negated(b, &y) : joined(b, true, &y);
        if (!rc)
            rc = binary(b, is_and ? XO_AND : XO_OR, *ret, y, pos, ret);
    }
    return rc;
}

static int parse_or(struct building *b, struct expr **ret)
{
    int rc = deeper(b->p);
    if (!rc)
        rc = joined(b, false, ret);
    b->p->depth--;
    return rc;
}

static int whole(struct parser *p, int (*parse)(struct building *, struct expr **),
                 struct expr_prog **ret)
{
    struct building b = { p, arena_zalloc(p->a, sizeof *b.prog) };
    if (!b.prog)
        return err_nomem(p->err);
    lex_blank(p);
    size_t from = p->pos;
    int rc = parse(&b, &b.prog->root);
    if (rc)
        return rc;
    b.prog->text = str_trim(str_sub(p->text, from, p->pos - from));
    *ret = b.prog;
    return 0;
}

int expr_parse(struct parser *p, struct expr_prog **ret)
{
    return whole(p, parse_or, ret);
}

int expr_parse_call(struct parser *p, struct expr_prog **ret)
{
    return whole(p, named, ret);
}

int expr_parse_name(struct parser *p, const struct qname *name, struct expr_prog **ret)
{
    struct building b = { p, arena_zalloc(p->a, sizeof *b.prog) };
    if (!b.prog)
        return err_nomem(p->err);
    b.prog->text = name->text;
    *ret = b.prog;
    return field(&b, name, &b.prog->root);
}
