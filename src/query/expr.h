/* expr.h: expressions of `eval`, and functions in filters behind a pipe.
 *
 * Parsed once into a tree in the query's arena, which is only read afterwards; evaluated row by row
 * over a block, by any number of threads, each with a struct expr_eval of its own.
 *
 * A value that is missing or null gives null in every operator and function but those that are made
 * for it: concat (an empty text), coalesce, if, AND and OR (three-valued). An instant stays one in
 * comparisons, differences and format_time; everywhere else, and as a result, it is its text. A
 * level is its name, and compares by rank with a level in quotes. */
#ifndef FL_QUERY_EXPR_H
#define FL_QUERY_EXPR_H

#include "query/internal.h"

#define EXPR_ARGS_MAX 32
#define EXPR_FIELDS_MAX 64
#define EXPR_BYTES_MAX ((size_t)256 << 20) /* texts made at a time */

struct expr_fn;

enum expr_kind { X_CONST, X_FIELD, X_CALL };

struct expr {
    enum expr_kind kind;
    int64_t pos;
    struct val v;        /* X_CONST */
    struct fieldref ref; /* X_FIELD */
    uint32_t slot;       /* X_FIELD: which access of the evaluation */
    const struct expr_fn *fn;
    struct expr **arg;
    uint32_t narg;
    bool time;                   /* its value, when it is an integer, is an instant */
    bool rank;                   /* a level given as its rank, for comparisons */
    const struct prices *prices; /* of cost() */
};

struct expr_prog {
    struct expr *root;
    struct expr **fields; /* by slot */
    uint32_t nfields;
    bool marks;   /* reads a mark */
    bool whole;   /* reads all of an entry */
    str text;     /* as written */
    uint32_t cap; /* of fields */
};

struct expr_eval {
    const struct expr_prog *prog;
    struct block *b;
    struct block *entry; /* what sent() reads */
    struct arena *a;     /* texts made on the way */
    struct access *acc;  /* heap */
    struct buf buf;      /* scratch of one function call */
};

/* a function or operator */
struct expr_fn {
    const char *name;
    uint8_t min, max; /* arguments */
    /* looks at the arguments once parsed (may be NULL); p->err has the place of a fault */
    int (*check)(struct parser *p, struct expr *e);
    int (*eval)(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                struct err *err);
    const char *syntax; /* of functions: "substr(x, from [, n])" */
    const char *help;   /* what it gives, on one line */
};

/* An expression at p->pos, up to what cannot belong to it. */
int expr_parse(struct parser *p, struct expr_prog **ret);
/* The call of a function whose name begins at p->pos. */
int expr_parse_call(struct parser *p, struct expr_prog **ret);
/* The expression that is this field alone. */
int expr_parse_name(struct parser *p, const struct qname *name, struct expr_prog **ret);
/* does `name(` begin a call that a filter behind a pipe takes? */
bool expr_is_function(str name);
int expr_unknown_function(struct parser *p, const struct qname *name); /* the error */

/* a: where texts go; it must outlive what expr_value gave. Close in any case. */
int expr_open(struct expr_eval *x, const struct expr_prog *prog, struct block *b, struct arena *a,
              struct err *err);
void expr_close(struct expr_eval *x);
/* The value of the whole in a row: instants as text. */
int expr_value(struct expr_eval *x, uint32_t row, struct val *ret, struct err *err);

/* ---- for the files with functions ---- */
int expr_arg(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
             struct err *err); /* raw: instants as numbers */
int expr_plain(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
               struct err *err); /* instants as text */
/* The argument as text; ret->p == NULL when it is null. */
int expr_text(struct expr_eval *x, const struct expr *e, uint32_t row, str *ret, struct err *err);
/* *ret = a copy in x->a */
int expr_own(struct expr_eval *x, str s, struct val *ret, struct err *err);
/* value of a JSON text */
int expr_json(struct expr_eval *x, str json, struct val *ret, struct err *err);
bool expr_is_const_text(const struct expr *e);

extern const struct expr_fn expr_operators[], expr_functions[];
extern const uint32_t expr_nfunctions;
enum expr_operator {
    XO_OR,
    XO_AND,
    XO_NOT,
    XO_EQ,
    XO_NE,
    XO_LT,
    XO_LE,
    XO_GT,
    XO_GE,
    XO_ADD,
    XO_SUB,
    XO_MUL,
    XO_DIV,
    XO_MOD,
    XO_NEG
};

#endif
