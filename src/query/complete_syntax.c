/* complete_syntax.c: the syntax lines of pipes, compiled to states and steps between them. */
#include "query/complete_int.h"

static bool upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool lower(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_';
}

struct reader {
    struct syntax *s;
    str t;
    size_t i;
};

static uint8_t new_state(struct syntax *s)
{
    if (s->nstates == SYNTAX_STATES) {
        s->bad = true;
        return 0;
    }
    return (uint8_t)s->nstates++;
}

static void edge(struct syntax *s, uint8_t from, uint8_t to, enum sym sym, str word)
{
    if (s->ne == SYNTAX_EDGES)
        s->bad = true;
    else
        s->e[s->ne++] = (struct syntax_edge){ from, to, sym, word };
}

static enum sym symbol(str w, bool parens)
{
    static const struct {
        const char *name;
        enum sym bare, inside;
    } names[] = { { "FIELD", SY_FIELD, SY_IN_EXPR }, { "NAME", SY_NAME, SY_IN_EXPR },
                  { "GROUP", SY_GROUP, SY_IN_EXPR }, { "STAT", SY_STAT, SY_IN_EXPR },
                  { "EXPR", SY_EXPR, SY_IN_EXPR },   { "FILTER", SY_FILTER, SY_IN_FILTER },
                  { "QUERY", SY_ANY, SY_IN_QUERY },  { "N", SY_N, SY_IN_EXPR },
                  { "STEP", SY_STEP, SY_IN_EXPR },   { "TEXT", SY_TEXT, SY_IN_EXPR } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(w, str_c(names[i].name)))
            return parens ? names[i].inside : names[i].bare;
    return parens ? SY_IN_EXPR : SY_ANY;
}

static str word(struct reader *r)
{
    size_t from = r->i;
    bool up = r->i < r->t.n && upper(r->t.p[r->i]);
    while (r->i < r->t.n && (up ? upper(r->t.p[r->i]) : lower(r->t.p[r->i])))
        r->i++;
    return str_sub(r->t, from, r->i - from);
}

static void one_of(struct reader *r, uint8_t from, uint8_t to)
{
    for (;;) {
        str w = word(r);
        if (!w.n) { /* a sign: = or % */
            w = str_sub(r->t, r->i, 1);
            r->i++;
        }
        enum sym sym = w.n && upper(w.p[0]) ? symbol(w, false) : SY_WORD;
        edge(r->s, from, to, sym, w);
        if (sym == SY_EXPR)
            edge(r->s, to, to, SY_EXPR_MORE, STR_NULL);
        if (r->i >= r->t.n || r->t.p[r->i] != '|')
            return;
        r->i++;
    }
}

/* up to `]` or the end; returns the last state */
static uint8_t sequence(struct reader *r, uint8_t at, unsigned depth)
{
    uint8_t again = 0; /* where a repetition goes back to */
    bool has_again = false;
    while (r->i < r->t.n && !r->s->bad) {
        char c = r->t.p[r->i];
        if (c == ']')
            break;
        uint8_t to;
        if (c == ' ') {
            r->i++;
        } else if (str_starts(str_skip(r->t, r->i), STR(", ..."))) {
            r->i += 5;
            if (!has_again)
                r->s->bad = true;
            edge(r->s, at, again, SY_WORD, STR(","));
            has_again = false;
        } else if (c == '[') {
            r->i++;
            if (depth == 8)
                r->s->bad = true;
            to = r->s->bad ? at : sequence(r, at, depth + 1);
            if (r->i >= r->t.n || r->t.p[r->i] != ']')
                r->s->bad = true;
            r->i++;
            uint8_t join = new_state(r->s);
            edge(r->s, at, join, SY_EPS, STR_NULL);
            edge(r->s, to, join, SY_EPS, STR_NULL);
            at = join;
        } else if (c == '(') {
            r->i++;
            to = new_state(r->s);
            edge(r->s, at, to, symbol(word(r), true), STR_NULL);
            if (r->i >= r->t.n || r->t.p[r->i] != ')')
                r->s->bad = true;
            r->i++;
            at = to;
        } else {
            if (upper(c) && !has_again) {
                again = at;
                has_again = true;
            }
            to = new_state(r->s);
            one_of(r, at, to);
            at = to;
        }
    }
    return at;
}

void syntax_compile(struct syntax *s, str text)
{
    struct reader r = { .s = s, .t = text };
    *s = (struct syntax){ .nstates = 1 };
    word(&r);
    sequence(&r, 0, 0);
    s->bad |= r.i < text.n;
}

uint64_t syntax_closure(const struct syntax *s, uint64_t states)
{
    for (bool grew = true; grew;) {
        grew = false;
        for (uint32_t i = 0; i < s->ne; i++)
            if (s->e[i].sym == SY_EPS && states >> s->e[i].from & 1 &&
                !(states >> s->e[i].to & 1)) {
                states |= 1ull << s->e[i].to;
                grew = true;
            }
    }
    return states;
}

uint64_t syntax_start(const struct syntax *s)
{
    return syntax_closure(s, 1);
}

uint64_t syntax_all(const struct syntax *s)
{
    return s->nstates == 64 ? ~0ull : (1ull << s->nstates) - 1;
}
