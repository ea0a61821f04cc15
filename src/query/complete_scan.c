/* complete_scan.c: walks a query up to the cursor and says what stands there.
 *
 * Forgiving: what it does not understand it passes over, up to the next blank or pipe. The text
 * ends at the cursor, so whoever meets its end while reading a word has found the place. Depth is
 * bounded as the parser's; what is nested deeper gets no answer. */
#include "query/complete_int.h"

#include <stdio.h>

#include "query/expr.h"

struct scanner {
    struct parser p; /* for lex.c: text and pos; its literals are not used */
    struct place_at *at;
    unsigned depth;
    bool piped;      /* behind a pipe, where functions may be tested */
    uint32_t nnames; /* of at->names, with those the pipe at hand gives */
};

/* what a walk found */
enum { GO_ON, FOUND, CLOSED, AT_PIPE };

static bool ended(const struct scanner *s)
{
    return s->p.pos >= s->p.text.n;
}

static int found(struct scanner *s, unsigned want, size_t from)
{
    struct place_at *at = s->at;
    at->want = want;
    at->from = from;
    at->typed = str_skip(s->p.text, from);
    s->p.pos = s->p.text.n;
    return FOUND;
}

static void offer_word(struct place_at *at, const char *w)
{
    for (uint32_t i = 0; i < at->nwords; i++)
        if (str_eq(at->words[i], str_c(w)))
            return;
    if (at->nwords < PLACE_WORDS)
        at->words[at->nwords++] = str_c(w);
}

/* Blanks and comments. FOUND with nothing to offer inside a comment. */
static int blanks(struct scanner *s)
{
    struct parser *p = &s->p;
    size_t was = p->pos;
    lex_blank(p);
    if (!ended(s) || p->pos == was)
        return GO_ON;
    /* a comment has no end before its newline */
    str last = str_skip(p->text, was);
    for (size_t i = last.n; i-- > 0;)
        if (last.p[i] == '\n')
            return GO_ON;
        else if (last.p[i] == '#')
            return found(s, 0, p->text.n);
    return GO_ON;
}

/* past what stands in quotes or backticks at pos; false when it is never closed */
static bool past_quoted(struct scanner *s)
{
    struct parser *p = &s->p;
    char q = p->text.p[p->pos++];
    for (; !ended(s); p->pos++) {
        char c = p->text.p[p->pos];
        if (c == '\\') {
            p->pos++;
        } else if (c == q) {
            p->pos++;
            return true;
        }
    }
    p->pos = p->text.n;
    s->at->unclosed = true;
    return false;
}

/* past a name, of which pieces may stand in backticks; false when one is never closed */
static bool past_name(struct scanner *s)
{
    struct parser *p = &s->p;
    do {
        bool tick = lex_peek(p, 0) == '`';
        if (tick && !past_quoted(s))
            return false;
        if (!tick || lex_peek(p, 0) == '.')
            while (field_name_byte(lex_peek(p, 0), false))
                p->pos++;
    } while (lex_peek(p, 0) == '`' && p->text.p[p->pos - 1] == '.');
    return true;
}

/* ---- values ---- */

static void set_field(struct place_at *at, const struct qname *f)
{
    at->field = f ? f->text : STR_NULL;
}

static int find_value(struct scanner *s, unsigned want, const struct qname *f, unsigned stops,
                      size_t from)
{
    set_field(s->at, f);
    s->at->stops = stops;
    return found(s, f && !f->calc ? want : want & ~(unsigned)WANT_VALUES, from);
}

static bool value_ends(const struct scanner *s, unsigned stops)
{
    if (lex_end_of_term(&s->p, s->p.pos))
        return true;
    char c = s->p.text.p[s->p.pos];
    return (c == ',' && stops & STOP_LIST) || ((c == ']' || c == '}') && stops & STOP_RANGE);
}

/* a value of f (NULL: a word) at pos */
static int scan_value(struct scanner *s, const struct qname *f, unsigned want, unsigned stops)
{
    struct parser *p = &s->p;
    size_t from = p->pos;
    str pattern, flags;
    if (ended(s))
        return find_value(s, want, f, stops, from);
    if (p->text.p[from] == '/') {
        if (lex_regex(p, stops, &pattern, &flags) > 0)
            return ended(s) ? found(s, 0, p->text.n) : GO_ON;
    }
    while (!value_ends(s, stops)) {
        char c = p->text.p[p->pos];
        if (c == '"') {
            if (!past_quoted(s))
                return find_value(s, want, f, stops, from);
            if (ended(s)) /* it is whole */
                return found(s, 0, p->text.n);
        } else {
            p->pos += c == '\\' && p->pos + 1 < p->text.n ? 2 : 1;
        }
    }
    return ended(s) ? find_value(s, want, f, stops, from) : GO_ON;
}

/* f in (a, b  or  in:(f, g  behind the parenthesis */
static int scan_list(struct scanner *s, const struct qname *f)
{
    s->at->ordered = false;
    for (;;) {
        if (blanks(s) == FOUND)
            return FOUND;
        size_t from = s->p.pos;
        int r = GO_ON;
        if (f) {
            r = scan_value(s, f, WANT_VALUES, STOP_LIST);
        } else {
            size_t n;
            if (lex_peek(&s->p, 0) == '`')
                past_quoted(s);
            else if (lex_is_name(&s->p, s->p.pos, &n))
                s->p.pos += n;
            if (ended(s))
                r = found(s, WANT_FIELDS, from);
        }
        if (r == FOUND) {
            s->at->unclosed = true;
            return FOUND;
        }
        if (blanks(s) == FOUND)
            return FOUND;
        if (ended(s)) {
            s->at->unclosed = true;
            return found(s, 0, s->p.text.n);
        }
        char c = s->p.text.p[s->p.pos++];
        if (c == ')')
            return GO_ON;
        if (c == '|') {
            s->p.pos--;
            return GO_ON;
        }
    }
}

/* [a TO b] behind the bracket */
static int scan_range(struct scanner *s, const struct qname *f)
{
    for (unsigned i = 0;; i++) {
        if (blanks(s) == FOUND)
            return FOUND;
        char c = lex_peek(&s->p, 0);
        if (c == ']' || c == '}') {
            s->p.pos++;
            return GO_ON;
        }
        if (c == ')' || c == '|' || c == '(')
            return GO_ON;
        if (i == 1)
            offer_word(s->at, "TO");
        s->at->ordered = true;
        int r = scan_value(s, f, i == 1 ? 0 : WANT_VALUES | WANT_TIMES | WANT_UNITS, STOP_RANGE);
        if (r == FOUND) {
            s->at->unclosed = true;
            return FOUND;
        }
        s->at->nwords = 0;
    }
}

/* ---- filters ---- */

static int scan_filter(struct scanner *s, const struct qname *f, bool in_parens);
static int scan_expr(struct scanner *s);
static int scan_query(struct scanner *s, bool nested);

static int at_test(struct scanner *s, const struct qname *f, size_t from)
{
    s->at->ordered = false;
    if (f)
        return find_value(s, WANT_VALUES | WANT_TIMES, f, 0, from);
    offer_word(s->at, "AND");
    offer_word(s->at, "OR");
    offer_word(s->at, "NOT");
    return found(s, WANT_TESTS | (s->piped ? WANT_EXPRS : 0), from);
}

static bool is_time_word(const struct qname *f)
{
    return !f->backticks && (str_eq(f->text, STR("after")) || str_eq(f->text, STR("before")) ||
                             str_eq(f->text, STR("on")));
}

static size_t cmp_len(const struct scanner *s)
{
    char c = lex_peek(&s->p, 0), d = lex_peek(&s->p, 1);
    if (c == '!')
        return d == '=' ? 2 : 0;
    return c == '=' || c == '<' || c == '>' ? (d == '=' ? 2 : 1) : 0;
}

static int scan_compared(struct scanner *s, const struct qname *f)
{
    char c = lex_peek(&s->p, 0);
    s->p.pos += cmp_len(s);
    lex_blank(&s->p);
    s->at->ordered = c == '<' || c == '>';
    return scan_value(s, f, WANT_VALUES | WANT_TIMES | WANT_UNITS, 0);
}

/* behind `f:` */
static int scan_tested(struct scanner *s, const struct qname *f)
{
    struct parser *p = &s->p;
    char c = lex_peek(p, 0);
    if (is_time_word(f))
        return scan_value(s, f, WANT_TIMES, 0);
    if (!f->backticks && str_eq(f->text, STR("in"))) {
        if (c == '(') {
            p->pos++;
            offer_word(s->at, "any");
            int r = scan_list(s, NULL);
            s->at->nwords = r == FOUND ? s->at->nwords : 0;
            return r;
        }
        size_t from = p->pos, n;
        p->pos += lex_is_name(p, p->pos, &n) ? n : 0;
        if (!ended(s))
            return GO_ON;
        offer_word(s->at, "any");
        return found(s, WANT_FIELDS, from);
    }
    if (c == '(') {
        p->pos++;
        int r = scan_filter(s, f, true);
        return r == CLOSED ? GO_ON : r;
    }
    if (c == '[' || c == '{') {
        p->pos++;
        return scan_range(s, f);
    }
    if (cmp_len(s))
        return scan_compared(s, f);
    s->at->ordered = false;
    return scan_value(s, f, WANT_VALUES | WANT_TIMES, 0);
}

/* behind a name, and blanks: an operator, `in (`, or nothing of the kind */
static int scan_apart(struct scanner *s, const struct qname *f)
{
    struct parser *p = &s->p;
    size_t was = p->pos;
    if (blanks(s) == FOUND)
        return FOUND;
    if (ended(s) && p->pos > was) { /* `port ` may go on, or was a word */
        offer_word(s->at, "in (");
        return at_test(s, NULL, p->pos);
    }
    size_t len = cmp_len(s), from = p->pos, n;
    if (p->pos > was && lex_is_name(p, from, &n) && from + n == p->text.n) {
        offer_word(s->at, "in (");
        return at_test(s, NULL, from);
    }
    char next = lex_peek(p, len);
    if (len && (!next || strchr(" \"-+0123456789", next)))
        return scan_compared(s, f);
    if (lex_word(p, "in")) {
        lex_blank(p);
        if (lex_peek(p, 0) == '(') {
            p->pos++;
            return scan_list(s, f);
        }
        if (ended(s))
            return found(s, 0, p->text.n);
    }
    p->pos = was;
    return GO_ON;
}

/* a term that begins with a name or backtick */
static int scan_named(struct scanner *s)
{
    struct parser *p = &s->p;
    struct qname f = { .pos = (int64_t)p->pos };
    size_t from = p->pos;
    bool closed = past_name(s);
    f.text = str_sub(p->text, from, p->pos - from);
    f.backticks = str_chr(f.text, '`') != SIZE_MAX;
    if (ended(s)) {
        s->at->backtick = !closed;
        return f.backticks && closed ? found(s, 0, p->text.n) : at_test(s, NULL, from);
    }
    char c = lex_peek(p, 0), d = lex_peek(p, 1);
    if (c == '(' && s->piped && expr_is_function(f.text)) {
        p->pos++;
        int r = scan_expr(s);
        if (r == FOUND)
            return r;
        f.calc = (const struct expr_prog *)&f; /* only that it is one counts */
        c = lex_peek(p, 0);
        d = lex_peek(p, 1);
    }
    if (c == ':' && !f.backticks && ((d == '/' && lex_peek(p, 2) == '/') || d == ':'))
        return scan_value(s, NULL, 0, 0);
    if (c == ':') {
        p->pos++;
        return scan_tested(s, &f);
    }
    if (cmp_len(s))
        return scan_compared(s, &f);
    if (lex_end_of_term(p, p->pos) && c != '(' && c != ')' && c != '|' && !f.calc &&
        !str_eq(f.text, STR("AND")) && !str_eq(f.text, STR("OR")) && !str_eq(f.text, STR("NOT")))
        return scan_apart(s, &f);
    return lex_end_of_term(p, p->pos) ? GO_ON : scan_value(s, NULL, 0, 0);
}

static int scan_term(struct scanner *s, const struct qname *f)
{
    struct parser *p = &s->p;
    size_t n;
    char c = lex_peek(p, 0);
    if (c == '(') {
        p->pos++;
        int r = scan_filter(s, f, true);
        return r == CLOSED ? GO_ON : r;
    }
    if (c == '-' && lex_peek(p, 1) != '>' && lex_peek(p, 1) != '<') {
        p->pos++;
        if (ended(s))
            return at_test(s, f, p->pos);
        return lex_end_of_term(p, p->pos) ? GO_ON : scan_term(s, f);
    }
    if (f && (c == '[' || c == '{')) {
        p->pos++;
        return scan_range(s, f);
    }
    if (f && cmp_len(s))
        return scan_compared(s, f);
    if (f) {
        size_t from = p->pos;
        if (lex_keyword(p, "AND") || lex_keyword(p, "OR") || lex_keyword(p, "NOT")) {
            if (!ended(s))
                return GO_ON;
            p->pos = from;
        }
        s->at->ordered = false;
        return scan_value(s, f, WANT_VALUES | WANT_TIMES, 0);
    }
    if (c == '`' || lex_is_name(p, p->pos, &n))
        return scan_named(s);
    return scan_value(s, NULL, 0, 0);
}

/* Terms up to a pipe, a closing parenthesis (passed over when in_parens) or the end. */
static int scan_filter(struct scanner *s, const struct qname *f, bool in_parens)
{
    if (++s->depth > QUERY_DEPTH_MAX)
        return found(s, 0, s->p.text.n);
    int r = GO_ON;
    while (r == GO_ON) {
        size_t was = s->p.pos;
        if (blanks(s) == FOUND) {
            r = FOUND;
        } else if (ended(s)) {
            r = at_test(s, f, s->p.pos);
        } else if (lex_peek(&s->p, 0) == '|') {
            r = AT_PIPE;
        } else if (lex_peek(&s->p, 0) == ')') {
            s->p.pos++;
            r = in_parens ? CLOSED : GO_ON;
        } else {
            r = scan_term(s, f);
            if (r == GO_ON && s->p.pos == was)
                s->p.pos++;
        }
    }
    if (r == FOUND && in_parens)
        s->at->unclosed = true;
    s->depth--;
    return r;
}

/* ---- expressions ---- */

enum tok_kind { T_END, T_WORD, T_TICK, T_NUM, T_STR, T_SIGN, T_CALL, T_PAREN, T_OPEN };
struct tok {
    enum tok_kind kind;
    size_t from, to; /* T_CALL and T_PAREN: to is behind the opening parenthesis */
};

/* The next token of a pipe's arguments; T_OPEN: a quote that is never closed. */
static int next_tok(struct scanner *s, struct tok *t)
{
    struct parser *p = &s->p;
    size_t n;
    *t = (struct tok){ .kind = T_END };
    if (blanks(s) == FOUND)
        return FOUND;
    t->from = t->to = p->pos;
    if (ended(s))
        return GO_ON;
    char c = p->text.p[p->pos];
    if (c == '"') {
        t->kind = past_quoted(s) ? T_STR : T_OPEN;
    } else if (c == '`' || lex_is_name(p, p->pos, &n)) {
        bool closed = past_name(s);
        str name = str_sub(p->text, t->from, p->pos - t->from);
        t->kind = !closed ? T_OPEN : str_chr(name, '`') == SIZE_MAX ? T_WORD : T_TICK;
        if (t->kind == T_WORD && lex_peek(p, 0) == '(') {
            t->kind = T_CALL;
            p->pos++;
        }
    } else if (c >= '0' && c <= '9') {
        t->kind = T_NUM;
        while (!ended(s) && ((p->text.p[p->pos] >= '0' && p->text.p[p->pos] <= '9') ||
                             p->text.p[p->pos] == '.' ||
                             ((p->text.p[p->pos] | 32) >= 'a' && (p->text.p[p->pos] | 32) <= 'z')))
            p->pos++;
    } else {
        t->kind = c == '(' ? T_PAREN : T_SIGN;
        p->pos++;
    }
    t->to = p->pos;
    return GO_ON;
}

static str tok_text(const struct scanner *s, const struct tok *t)
{
    return str_sub(s->p.text, t->from, t->to - t->from);
}

static bool is_operand(const struct scanner *s, const struct tok *t)
{
    if (t->kind == T_WORD) {
        str w = tok_text(s, t);
        return !str_eq(w, STR("AND")) && !str_eq(w, STR("OR")) && !str_eq(w, STR("NOT"));
    }
    return t->kind == T_TICK || t->kind == T_NUM || t->kind == T_STR || t->kind == T_PAREN ||
           t->kind == T_CALL;
}

/* is the text's end inside of what t began? */
static bool touches_end(const struct scanner *s, const struct tok *t)
{
    return t->kind == T_END || ((t->kind == T_WORD || t->kind == T_NUM) && ended(s)) ||
           t->kind == T_OPEN;
}

static int expr_place(struct scanner *s, const struct tok *prev, const struct tok *t)
{
    if (t->kind == T_NUM || (t->kind == T_OPEN && s->p.text.p[t->from] == '"'))
        return found(s, 0, s->p.text.n);
    if (is_operand(s, prev)) {
        offer_word(s->at, "AND");
        offer_word(s->at, "OR");
        return found(s, 0, t->from);
    }
    offer_word(s->at, "NOT");
    s->at->backtick = t->kind == T_OPEN;
    return found(s, WANT_FIELDS | WANT_EXPRS, t->from);
}

/* up to the closing parenthesis, behind the opening one */
static int scan_expr(struct scanner *s)
{
    struct tok prev = { .kind = T_SIGN }, t;
    if (++s->depth > QUERY_DEPTH_MAX)
        return found(s, 0, s->p.text.n);
    int r = GO_ON;
    while (r == GO_ON) {
        r = next_tok(s, &t);
        char c = t.kind == T_SIGN ? s->p.text.p[t.from] : 0;
        if (r == FOUND || c == ')')
            break;
        if (c == '|') {
            s->p.pos--;
            break;
        }
        if (touches_end(s, &t)) {
            r = expr_place(s, &prev, &t);
        } else if (t.kind == T_CALL || t.kind == T_PAREN) {
            r = scan_expr(s);
        }
        prev = t;
    }
    if (r == FOUND)
        s->at->unclosed = true;
    s->depth--;
    return r;
}

/* arguments of a function of stats or a way to group: a field, then what is no word */
static int scan_args(struct scanner *s, unsigned want)
{
    struct tok t;
    for (unsigned i = 0;; i++) {
        int r = next_tok(s, &t);
        char c = t.kind == T_SIGN ? s->p.text.p[t.from] : 0;
        if (r == FOUND || c == ')')
            return r;
        if (c == '|') {
            s->p.pos--;
            return GO_ON;
        }
        if (touches_end(s, &t)) {
            bool text = t.kind == T_OPEN && s->p.text.p[t.from] == '"';
            s->at->unclosed = true;
            s->at->backtick = t.kind == T_OPEN;
            return found(s, i || text ? 0 : want, t.from);
        }
        if (t.kind == T_CALL || t.kind == T_PAREN) {
            r = scan_expr(s);
            if (r == FOUND)
                return r;
        }
    }
}

/* ---- pipes ---- */

static bool takes(const struct scanner *s, const struct syntax_edge *e, const struct tok *t)
{
    bool name = t->kind == T_WORD || t->kind == T_TICK;
    bool comma = t->kind == T_SIGN && s->p.text.p[t->from] == ',';
    switch (e->sym) {
    case SY_EPS: return false;
    case SY_WORD: return str_eq(tok_text(s, t), e->word);
    case SY_FIELD:
    case SY_NAME: return name;
    case SY_GROUP: return name || t->kind == T_CALL;
    case SY_STAT: return t->kind == T_CALL;
    case SY_EXPR:
    case SY_EXPR_MORE: return !comma;
    case SY_FILTER: return true;
    case SY_N:
    case SY_STEP: return t->kind == T_NUM;
    case SY_TEXT: return t->kind == T_STR;
    case SY_ANY: return !comma;
    case SY_IN_FILTER:
    case SY_IN_QUERY:
    case SY_IN_EXPR: return t->kind == T_PAREN;
    }
    return false;
}

static void note_name(struct scanner *s, const struct tok *t)
{
    struct place_at *at = s->at;
    str name = tok_text(s, t);
    if (t->kind == T_TICK && name.p[0] == '`')
        name = str_sub(name, 1, name.n - 2);
    bool simple = str_chr(name, '`') == SIZE_MAX && str_chr(name, '\\') == SIZE_MAX;
    if (name.n && simple && s->nnames < PLACE_NAMES)
        at->names[s->nnames++] = name;
}

/* what may come in one of the states */
static int pipe_place(struct scanner *s, const struct syntax *y, uint64_t states,
                      const struct tok *prev, const struct tok *t)
{
    unsigned want = 0;
    bool number = t->kind == T_NUM, text = t->kind == T_OPEN && s->p.text.p[t->from] == '"';
    for (uint32_t i = 0; i < y->ne; i++) {
        const struct syntax_edge *e = &y->e[i];
        if (!(states >> e->from & 1))
            continue;
        if (e->sym == SY_STEP)
            want |= WANT_STEPS;
        if (number || text)
            continue;
        if (e->sym == SY_WORD && e->word.n > 0 && e->word.p[0] >= 'a') {
            if (s->at->nwords < PLACE_WORDS)
                s->at->words[s->at->nwords++] = e->word;
        } else if (e->sym == SY_FIELD) {
            want |= WANT_FIELDS;
        } else if (e->sym == SY_GROUP) {
            want |= WANT_FIELDS | WANT_GROUPS;
        } else if (e->sym == SY_STAT) {
            want |= WANT_STATS;
        } else if (e->sym == SY_EXPR || (e->sym == SY_EXPR_MORE && !is_operand(s, prev))) {
            want |= WANT_FIELDS | WANT_EXPRS;
        } else if (e->sym == SY_EXPR_MORE) {
            offer_word(s->at, "AND");
            offer_word(s->at, "OR");
        }
    }
    s->at->backtick = t->kind == T_OPEN && !text;
    return found(s, want, t->from);
}

/* what stands in the parentheses that t opened, read as the edges say that took it */
static int scan_inside(struct scanner *s, const struct syntax *y, uint64_t states,
                       const struct tok *t)
{
    unsigned syms = 0;
    for (uint32_t i = 0; i < y->ne; i++)
        if (states >> y->e[i].from & 1 && takes(s, &y->e[i], t))
            syms |= 1u << y->e[i].sym;
    if (syms & 1u << SY_IN_QUERY)
        return scan_query(s, true);
    if (syms & 1u << SY_IN_FILTER) {
        int r = scan_filter(s, NULL, true);
        return r == CLOSED ? GO_ON : r;
    }
    if (syms & 1u << SY_STAT)
        return scan_args(s, WANT_FIELDS);
    if (syms & 1u << SY_GROUP)
        return scan_args(s, str_eq(tok_text(s, t), STR("time(")) ? WANT_STEPS : WANT_FIELDS);
    return scan_expr(s);
}

/* The states behind a token. A word of the syntax is no name: `sort by` has no field yet. */
static uint64_t step(struct scanner *s, const struct syntax *y, uint64_t states,
                     const struct tok *t)
{
    uint64_t words = 0, others = 0;
    bool named = false, computes = false;
    for (uint32_t i = 0; i < y->ne; i++) {
        computes |= y->e[i].sym == SY_EXPR;
        if (!(states >> y->e[i].from & 1) || !takes(s, &y->e[i], t))
            continue;
        if (y->e[i].sym == SY_WORD)
            words |= 1ull << y->e[i].to;
        else
            others |= 1ull << y->e[i].to;
        named |= y->e[i].sym == SY_NAME;
    }
    if (words) {
        if (computes && s->p.text.p[t->from] == ',')
            s->at->nnames = s->nnames; /* a column may be used by those behind it */
        return words;
    }
    if (named)
        note_name(s, t);
    return others;
}

static int scan_pipe_args(struct scanner *s, const struct syntax *y)
{
    uint64_t states = syntax_start(y);
    struct tok prev = { .kind = T_SIGN }, t;
    for (;;) {
        int r = next_tok(s, &t);
        if (r == FOUND)
            return r;
        if (t.kind == T_SIGN && strchr("|)", s->p.text.p[t.from])) {
            s->p.pos = t.from;
            return s->p.text.p[t.from] == '|' ? AT_PIPE : CLOSED;
        }
        if (touches_end(s, &t))
            return pipe_place(s, y, states, &prev, &t);
        uint64_t next = step(s, y, states, &t);
        if (t.kind == T_CALL || t.kind == T_PAREN) {
            r = scan_inside(s, y, states, &t);
            if (r == FOUND || r == AT_PIPE)
                return r;
        }
        states = syntax_closure(y, next ? next : syntax_all(y)); /* lost: anything may come */
        prev = t;
    }
}

static const struct pipe_def *pipe_named(str name)
{
    for (uint32_t i = 0; i < pipe_count_all; i++)
        if (str_eq(name, str_c(pipe_table[i]->name)))
            return pipe_table[i];
    return NULL;
}

/* behind |; CLOSED: at a closing parenthesis */
static int scan_pipe(struct scanner *s, bool nested)
{
    struct syntax y;
    size_t n;
    s->at->nnames = s->nnames;
    if (blanks(s) == FOUND)
        return FOUND;
    size_t from = s->p.pos;
    if (ended(s))
        s->at->unclosed = true;
    n = 0;
    if (!ended(s) && lex_is_name(&s->p, from, &n))
        s->p.pos += n;
    if (ended(s))
        return found(s, WANT_PIPES, from);
    const struct pipe_def *def = pipe_named(str_sub(s->p.text, from, n));
    if (!def || !def->syntax) {
        syntax_compile(&y, STR("x ANY"));
        return scan_pipe_args(s, &y);
    }
    s->piped = true;
    if (def == &pipe_where) {
        int r = scan_filter(s, NULL, nested);
        s->p.pos -= r == CLOSED; /* the caller passes it over */
        return r;
    }
    syntax_compile(&y, str_c(def->syntax));
    return scan_pipe_args(s, &y);
}

/* nested: up to its closing parenthesis */
static int scan_query(struct scanner *s, bool nested)
{
    struct place_at *at = s->at;
    size_t query_from = at->query_from, pipe_at = at->pipe_at;
    uint32_t nnames = at->nnames, all_names = s->nnames;
    bool was_piped = s->piped, at_piped = at->piped;
    if (++s->depth > QUERY_DEPTH_MAX)
        return found(s, 0, s->p.text.n);
    at->query_from = s->p.pos;
    at->pipe_at = s->p.pos;
    at->piped = s->piped = false;
    int r = scan_filter(s, NULL, nested);
    while (r == AT_PIPE) {
        at->pipe_at = s->p.pos++;
        at->piped = true;
        r = scan_pipe(s, nested);
        if (r == CLOSED || r == GO_ON) {
            if (!ended(s))
                s->p.pos++;
            if (!nested) /* a ')' without its '(' */
                r = ended(s) ? found(s, 0, s->p.text.n) : AT_PIPE;
            while (r == AT_PIPE && !ended(s) && s->p.text.p[s->p.pos] != '|')
                s->p.pos++;
            if (r == AT_PIPE && ended(s))
                r = found(s, 0, s->p.text.n);
        }
    }
    s->depth--;
    if (r == FOUND) {
        at->unclosed |= nested;
        return r;
    }
    at->query_from = query_from;
    at->pipe_at = pipe_at;
    at->piped = at_piped;
    at->nnames = nnames;
    s->nnames = all_names;
    s->piped = was_piped;
    return GO_ON;
}

void place_find(str text, struct place_at *ret)
{
    struct err err = ERR_INIT;
    struct scanner s = { .at = ret };
    memset(ret, 0, sizeof *ret);
    s.p.text = text;
    s.p.err = &err;
    if (scan_query(&s, false) != FOUND)
        found(&s, 0, text.n);
}
