/* complete_int.h: what the files of complete.h share. */
#ifndef FL_QUERY_COMPLETE_INT_H
#define FL_QUERY_COMPLETE_INT_H

#include "query/complete.h"
#include "query/internal.h"

/* ---- complete_syntax.c: the syntax line of a pipe as a little machine ----
 *
 *   sort [by] FIELD [asc|desc], ...
 *
 * Lower-case words and signs stand for themselves, [x] may be left out, a|b is one of them, and
 * ", ..." repeats what began with the last capital word before it, behind a comma. Capital words:
 * FIELD NAME (a new one) GROUP (a field, time() or bucket()) STAT (a function of stats) EXPR
 * FILTER N STEP TEXT; (FILTER), (QUERY), (EXPR) stand in their parentheses. Any other capital word
 * is one token of which nothing is known. */
enum sym {
    SY_EPS,
    SY_WORD,
    SY_FIELD,
    SY_NAME,
    SY_GROUP,
    SY_STAT,
    SY_EXPR,      /* its first token */
    SY_EXPR_MORE, /* each further one */
    SY_FILTER,
    SY_N,
    SY_STEP,
    SY_TEXT,
    SY_ANY,
    SY_IN_FILTER, /* in parentheses */
    SY_IN_QUERY,
    SY_IN_EXPR
};
#define SYNTAX_EDGES 96
#define SYNTAX_STATES 64
struct syntax_edge {
    uint8_t from, to;
    enum sym sym;
    str word; /* SY_WORD */
};
struct syntax {
    struct syntax_edge e[SYNTAX_EDGES];
    uint32_t ne, nstates;
    bool bad; /* too long, or not the grammar above */
};
/* text: the syntax line, its first word (the name) is passed over */
void syntax_compile(struct syntax *s, str text);
uint64_t syntax_start(const struct syntax *s);
uint64_t syntax_closure(const struct syntax *s, uint64_t states);
uint64_t syntax_all(const struct syntax *s);

/* ---- complete_scan.c: where the cursor stands ---- */
enum want {
    WANT_FIELDS = 1, /* fields of entries, or columns */
    WANT_TESTS = 2,  /* the same, to be tested: with a colon behind them */
    WANT_VALUES = 4, /* of place.field */
    WANT_PIPES = 8,
    WANT_STATS = 16,  /* functions of stats */
    WANT_EXPRS = 32,  /* functions of eval */
    WANT_GROUPS = 64, /* time( and bucket( */
    WANT_TIMES = 128, /* instants */
    WANT_STEPS = 256, /* spans of time */
    WANT_UNITS = 512  /* of the number that stands there, as place.field has them */
};
#define PLACE_WORDS 16
#define PLACE_NAMES 64
struct place_at {
    unsigned want;
    size_t from;            /* where what is being written begins; it ends at the cursor */
    str typed;              /* it, as written */
    bool backtick;          /* it ends within backticks */
    str field;              /* as written; empty: none */
    bool ordered;           /* behind < or >, or in a range: texts are in quotes there */
    unsigned stops;         /* enum stop: what ends a value here besides blanks */
    str words[PLACE_WORDS]; /* keywords that may stand here */
    uint32_t nwords;
    size_t query_from, pipe_at; /* the query around it, and the last | before it; 0 = none */
    bool piped;
    str names[PLACE_NAMES]; /* that pipes before gave to columns */
    uint32_t nnames;
    bool unclosed; /* the text ends within a quote, parenthesis, backtick, or behind | */
};
/* text ends at the cursor */
void place_find(str text, struct place_at *ret);

#endif
