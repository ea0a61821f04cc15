/* internal.h: what the files of query/ share. Nothing outside the folder includes it.
 *
 *   text --lex, parse--> struct ast + struct pipe --lower--> struct pred + operators
 *   store_scan --chunks--> operator -> operator -> ... -> sink
 *
 * A chunk is a block and a bitmap of its rows; rows come in rising row number. Every operator takes
 * chunks and hands chunks on, whole entries and table rows alike: a table is a block too, and a
 * schema says which of its columns are shown under which name. No schema means whole entries. */
#ifndef FL_QUERY_INTERNAL_H
#define FL_QUERY_INTERNAL_H

#include <stdatomic.h>

#include "base/map.h"
#include "model/pred_leaf.h"
#include "query/query.h"

#define QUERY_DEPTH_MAX 100
#define QUERY_PIPES_MAX 32

/* ---- schema.c: columns of a table ---- */
struct qcol {
    str name;            /* as the user sees and writes it */
    struct fieldref ref; /* where it is in the block; .field says how it is compared and shown */
};
struct parse_args;
struct schema {
    struct qcol *cols;
    uint32_t n;
    struct parse_args *open; /* a `parse` before it: a name it lacks is taken out of that text */
};

struct query;
struct run;
struct parser;
struct pipe;

/* ---- syntax trees ---- */
struct expr_prog;

struct qname {
    str text;
    const struct expr_prog *calc; /* not a name: a computation (expr.h), text as written */
    bool backticks;               /* somewhere in it: an attribute with exactly this key */
    str key;                      /* its column key */
    int64_t pos;
};

struct bound_text {
    str s;
    bool quoted, open, inclusive;
    int64_t pos;
};

enum ast_kind {
    A_AND,
    A_OR,
    A_NOT,
    A_GROUP, /* ( ... ): kids[0] under scope */
    A_SCOPE, /* in:...; taken out while parsing */
    A_TRUE,
    A_WORDS,
    A_REGEX,
    A_MATCH,
    A_EQ,
    A_NE,
    A_RANGE,
    A_IP,
    A_TIME /* after: before: on: */
};

struct scope_text {
    bool any;
    struct qname *names;
    uint32_t n;
};

struct ast {
    enum ast_kind kind;
    int64_t pos;
    struct ast **kids;
    uint32_t nkids;
    struct scope_text *scope; /* A_GROUP, A_SCOPE; NULL = inherited */
    bool has_field;
    bool in_group; /* one of field:(a OR b) */
    struct qname field;
    struct pred_value value;
    int64_t value_pos;
    struct bound_text lo, hi; /* A_RANGE */
    str pattern, flags;       /* A_REGEX */
    ts_ns from, to;           /* A_TIME, both inclusive */
};

/* ---- parsing ---- */
struct parser {
    str text;
    size_t pos;
    struct arena *a;
    struct err *err;
    struct query *q;
    const struct query_opts *o;
    unsigned depth, inner; /* inner: queries this one stands in */
    size_t bar;            /* the '|' before the pipe being read */
    int64_t shift; /* ns that instants compared with an entry's time are moved back (compare) */
    const struct schema *schema;  /* columns at this point; NULL = entries */
    struct parse_args *open;      /* entries: the last `parse` before it */
    bool dropped;                 /* entries are no longer whole from here on */
    bool renamed;                 /* names from here on may be a rename's, not the store's */
    char tmp[QUERY_TEXT_MAX + 8]; /* a literal being unescaped */
};

/* ERR_INVALID, "bad_query", at pos */
int parse_error(struct parser *p, int64_t pos, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* adds "did you mean x?" when one of the n words is close; words may be followed by further text */
/* the one of n words that is close; NULL: none */
const char *near_word(str word, const char *const *words, uint32_t n);
void parse_hint_near(struct parser *p, str word, const char *const *words, uint32_t n);

/* lex.c */
enum stop { STOP_LIST = 1, STOP_RANGE = 2, STOP_ARGS = 4 }; /* ',' · ']' '}' and blanks · ',' '=' */
void lex_blank(struct parser *p);                           /* past white space and comments */
bool lex_end_of_term(const struct parser *p, size_t pos);
char lex_peek(const struct parser *p, size_t ahead);
bool lex_keyword(struct parser *p,
                 const char *word);                /* AND OR NOT TO: skipped when it stands here */
bool lex_word(struct parser *p, const char *word); /* lower-case word of a pipe */
bool lex_char(struct parser *p, char c);           /* past blanks; skipped when it stands here */
int lex_expect(struct parser *p, char c, const char *where);
bool lex_is_name(const struct parser *p, size_t pos, size_t *ret_len);
int lex_name(struct parser *p, struct qname *ret, const char *what);
int lex_value(struct parser *p, unsigned stops, struct pred_value *ret);
int lex_quoted(struct parser *p, str *ret); /* at the opening quote */
/* 1 when a regex stands here (moved past it), 0 when not, < 0 error */
int lex_regex(struct parser *p, unsigned stops, str *ret_pattern, str *ret_flags);
int lex_uint(struct parser *p, uint64_t *ret, const char *what);
int lex_duration(struct parser *p, int64_t *ret_ns, const char *what);
int lex_number(struct parser *p, struct pred_bound *ret, const char *what);

/* parse_filter.c: up to '|', ')' or the end */
int parse_filter(struct parser *p, struct ast **ret);
/* query.c: where a parser stands: which query, and what its names mean */
struct parse_place {
    struct query *q;
    const struct schema *schema;
    struct parse_args *open;
    bool dropped, renamed;
};
struct parse_place parse_place_get(const struct parser *p);
void parse_place_set(struct parser *p, const struct parse_place *at);
/* A query of its own in parentheses, after `what`, up to the ')' that ends it. It sees what the
 * outer one's key may see, but not its start and end. Names mean those of the outer one again
 * afterwards; *ret_end: those behind the inner one. */
int parse_inner(struct parser *p, const char *what, struct query **ret,
                struct parse_place *ret_end);
/* With its end comes its filter. First the last pipe: `fields` of these columns of it. */
int parse_inner_fields(struct parser *p, const struct parse_place *end, const struct qname *cols,
                       uint32_t n);
int parse_inner_end(struct parser *p, struct query *inner);
/* The query so far, up to the pipe being read, as one of its own over times `shift` ns earlier; its
 * end is no later than now, moved likewise. */
int parse_earlier(struct parser *p, int64_t shift, struct query **ret);
/* parse_pipe.c */
int parse_pipes(struct parser *p);
/* for pipes that need entries as they are stored: an error when columns were made before */
int parse_whole(struct parser *p, const struct pipe *pipe);
int parse_name_list(struct parser *p, struct qname **ret, uint32_t *ret_n, const char *what);

/* calc.c: the leaves of x, made of n with its field a computation, test what that one gives */
int calc_tests(struct parser *p, const struct ast *n, struct pred *x);

/* lower.c */
int lower_filter(struct parser *p, const struct ast *ast, struct pred **ret);
/* timeexpr.c: the instants [*ret_from, *ret_to] that text names, both inclusive */
bool time_expr(str s, const struct query_opts *o, ts_ns *ret_from, ts_ns *ret_to);
/* start of the bucket of t; weeks begin on Monday */
ts_ns time_bucket(ts_ns t, int64_t step, int32_t tz_minutes);

/* schema.c */
/* A name at this point of the pipeline -> where to find it. Unknown columns of a table give a
 * reference that finds nothing. Notes attribute references for the unknown_field warning. */
int schema_resolve(struct parser *p, const struct qname *n, struct fieldref *ret);
/* the same in whole entries; false: out of memory */
bool schema_ref(struct arena *a, const struct qname *n, struct fieldref *ret);
struct qcol *schema_find(const struct schema *s, str name);
/* a column computed by a pipe; field only says how to show it */
int schema_computed(struct parser *p, str name, enum field field, struct qcol *ret);
/* A column that a pipe computes: into p->schema, in the place of the one of that name or behind the
 * others; without a schema, what is to be covered in whole entries. Not for fields of an entry that
 * the store or the order depends on. */
int schema_set(struct parser *p, const struct qname *name, struct fieldref *ret);
int schema_check(struct parser *p, const struct schema *s, int64_t pos); /* no name twice */
bool schema_fixed(enum field f); /* what an entry's place in the store depends on */
/* pipe_parse.c: a name that is not known may be one of a text taken apart before. Of a table it
 * becomes a column; false: out of memory. */
bool open_note_entry(struct parse_args *open, struct arena *a, const struct fieldref *f);
int open_note_column(struct parser *p, const struct qname *n, struct fieldref *ret);
void open_whole(struct parse_args *open); /* all of it is looked at */
/* What is looked at, as a list without names. false: out of memory. */
bool schema_add(struct schema *s, struct arena *a, const struct fieldref *ref);
/* pipe_eval.c: adds the fields of entries that it looks at; false: it may look at any */
bool eval_reads(const struct pipe *p, struct arena *a, struct schema *to);
/* the same of extract (pipe_extract.c) and parse (pipe_parse.c) */
bool extract_reads(const struct pipe *p, struct arena *a, struct schema *to);
bool parse_reads(const struct pipe *p, struct arena *a, struct schema *to);

/* ---- pipes ---- */
struct chunk {
    struct block *b;
    const uint64_t *sel;
    uint32_t nsel;
    bool has_ref; /* an untouched block of run->scan: its rows can be named instead of copied */
    uint32_t ref;
};

enum { OP_ENOUGH = 1 };

struct op;
struct op_ops {
    size_t size;
    int (*open)(struct op *o, struct err *err); /* may be NULL */
    /* 0, OP_ENOUGH when no further input is wanted, < 0 error */
    int (*push)(struct op *o, const struct chunk *c, struct err *err);
    /* hands on what is held back, then lets the next one finish; NULL = only that */
    int (*finish)(struct op *o, struct err *err);
    void (*close)(struct op *o); /* may be NULL */
    /* takes in what another one of the same pipe has collected, which is then only closed; NULL:
     * the operator is no collector */
    int (*merge)(struct op *o, struct op *from, struct err *err);
};

struct op {
    const struct op_ops *ops;
    struct op *next;
    struct run *run;
    const struct pipe *pipe;
    uint64_t keep; /* rows wanted from this operator at most; UINT64_MAX = all */
};

int op_push(struct op *o, const struct chunk *c, struct err *err);
int op_finish(struct op *o, struct err *err); /* of a whole chain */

enum pipe_flag {
    PIPE_ROWWISE = 1, /* rows in, the same rows out, in order (fields drop rename) */
    PIPE_ORDERED = 2, /* its answer depends on the order of its input */
    PIPE_GROUPS = 4,  /* gives a new table; does not care about input order */
    PIPE_SORTS = 8    /* gives its rows an order of its own */
};

struct pipe_def {
    const char *name;
    unsigned flags;
    /* reads the arguments, sets pipe->args and pipe->out */
    int (*parse)(struct parser *p, struct pipe *pipe);
    const struct op_ops *ops;
    /* How it is written, for people and for completion, which follows it (complete.h has the
     * grammar): "sort [by] FIELD [asc|desc], ..." */
    const char *syntax;
    const char *help; /* what it does, on one line, without a full stop */
};
extern const struct pipe_def *const pipe_table[]; /* parse_pipe.c; the frequent ones first */
extern const uint32_t pipe_count_all;
extern const struct pipe_def pipe_where, pipe_fields, pipe_drop, pipe_rename, pipe_sort, pipe_limit,
    pipe_head, pipe_offset, pipe_tail, pipe_stats, pipe_timeline, pipe_top, pipe_uniq, pipe_count,
    pipe_dedup, pipe_eval, pipe_lookup, pipe_usage, pipe_issues, pipe_trace, pipe_sessions,
    pipe_traces, pipe_context, pipe_patterns, pipe_anomalies;
/* a line each, so that many can add one */
extern const struct pipe_def pipe_extract;
extern const struct pipe_def pipe_parse;
extern const struct pipe_def pipe_rare;
extern const struct pipe_def pipe_values;
extern const struct pipe_def pipe_sample;
extern const struct pipe_def pipe_facets;
extern const struct pipe_def pipe_union;
extern const struct pipe_def pipe_join;
extern const struct pipe_def pipe_compare;
extern const struct pipe_def pipe_lineage;

struct pipe {
    const struct pipe_def *def;
    struct pipe *next;
    int64_t pos;
    str text; /* as written */
    const struct schema *in, *out;
    void *args;
};

/* arguments other files look at */
struct limit_args {
    uint64_t n;
};
struct where_args {
    struct pred *pred;
};

/* ---- the query ---- */
struct query {
    struct arena arena;
    str text;
    size_t from; /* where it begins in the whole text */
    struct query_opts o;
    struct pred *own;    /* the text's filter with leading `where`s */
    struct pred *filter; /* own AND also AND start/end */
    struct pipe *pipes;
    uint32_t npipes;
    struct pipe *first;    /* first pipe that is not part of the filter */
    struct fieldref *refs; /* attributes the text names */
    int64_t *ref_pos;
    uint32_t nrefs;
    bool has_limit;   /* limit, head or tail shapes the final rows */
    bool names_marks; /* resolved, resolved_by, resolved_at or note is named */
    bool want_total;
    uint64_t max_seq; /* see no row past it; 0 = all there are */
    bool paged;
    ts_ns page_time;
    uint64_t page_seq, page_max_seq;
};

/* ---- running ---- */
struct run {
    struct query *q;
    struct store *store;
    struct scan *scan; /* open until the end of the run, for rows kept by reference; or NULL */
    struct query_sink *sink;
    struct query_ctl *ctl;
    struct query_result *res;
    struct pred_run *preds;
    struct arena arena; /* state of the operators; its ceiling is the memory budget */
    struct arena batch; /* a block being handed on; reset between batches */
    size_t kept_bytes;  /* rows held back outside of the arena */
    size_t budget;
    uint64_t spill_held; /* bytes of it on the disk now */
    int64_t started;     /* monotonic ns */
    struct colkeys *keys;
    struct op *ops;
    bool marks;
    /* a run in parts (parts.c): each counts into `whole` what it holds, `told` so far */
    struct run *whole;
    size_t told;
    _Atomic size_t parts_bytes;
};
#define RUN_BATCH_MAX ((size_t)1 << 30)

int run_check(struct run *r, struct err *err); /* ERR_CANCELED, ERR_TIMEOUT */
size_t run_used(struct run *r); /* bytes of the whole run, its other parts included */
/* ERR_LIMIT naming the pipe when memory is the budget's, else ERR_NOMEM */
int run_nomem(struct run *r, const char *pipe, struct err *err);
int run_room(struct run *r, const char *pipe, struct err *err); /* budget not yet passed? */
/* column is not exact since a group has more than `exact` values; how: how far off it may be */
void run_approx(struct run *r, str column, const char *how, uint64_t exact);
int run_warn(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* access.c: values of one reference in one block */
#define ACCESS_COLS 12
struct access {
    struct block *b;
    const struct fieldref *ref;
    const struct colv *c[ACCESS_COLS];
    uint32_t n;
    const struct colv *rest; /* attributes without a column; may be NULL */
    bool inside;             /* values may lie inside of arrays: through block_get */
    bool made;               /* ids the server made: through block_get */
};
int access_open(struct access *a, struct block *b, const struct fieldref *ref, struct err *err);
int access_get_slow(struct access *a, uint32_t row, struct val *ret, struct err *err);
/* the row's value; null and absent both as .t == V_NULL */
static inline int access_get(struct access *a, uint32_t row, struct val *ret, struct err *err)
{
    const struct colv *c = a->c[0];
    if (a->n != 1 || !colv_has(c, row))
        return access_get_slow(a, row, ret, err);
    ret->t = c->type;
    ret->absent = false;
    if (c->type == V_I64)
        ret->i = c->i64[row];
    else if (c->type == V_F64)
        ret->d = c->f64[row];
    else if (c->type == V_BOOL)
        ret->b = c->b8[row];
    else
        ret->s = colv_text(c, row);
    return 0;
}
int64_t access_time(struct access *a, uint32_t row); /* V_I64 or 0 */

/* keep.c: rows copied out of blocks, and blocks made of them */
struct kept_cell {
    uint32_t col; /* number in struct colkeys */
    struct val v;
};
struct kept {
    ts_ns t;
    uint64_t seq;
    size_t bytes;
    uint64_t order;    /* arrival */
    uint32_t ref, row; /* where it stands, when the cells were left there */
    const struct id_gen *ids;
    struct val *key; /* sort keys, nkeys of them; may be NULL */
    uint32_t ncells;
    struct kept_cell *cells;
};
/* before keeping rows of a block */
int kept_attach(struct run *r, struct block *b, struct err *err);
int colkeys_new(struct colkeys **ret, struct err *err);
void colkeys_free(struct colkeys *k);
/* Copies row `row` (only the columns of `need` when it is not NULL). keys: sort keys to copy along.
 */
int kept_new(struct kept **ret, struct run *r, struct block *b, uint32_t row,
             const struct schema *need, const struct val *key, uint32_t nkeys, struct err *err);
/* The same without keys, for a block of which few rows are kept: asks for single values. */
int kept_new_value(struct kept **ret, struct run *r, struct block *b, uint32_t row,
                   const struct schema *need, struct err *err);
/* The keys of a row whose cells stay where they are. */
int kept_new_ref(struct kept **ret, struct run *r, uint32_t block, uint32_t row,
                 const struct val *key, uint32_t nkeys, struct err *err);
/* A row read from the disk, without its keys. */
int kept_copy(struct kept **ret, struct run *r, const struct kept *k, struct err *err);
void kept_free(struct run *r, struct kept *k);
/* A block of n <= BLOCK_ROWS_MAX kept rows, in the arena; text is borrowed only by copying. */
int kept_block(struct run *r, struct arena *a, struct kept *const *rows, uint32_t n,
               struct block **ret, struct err *err);
/* Hands rows on in order, in batches, freeing them. 0, OP_ENOUGH, < 0. rows are all freed in any
 * case. */
int kept_push(struct run *r, struct op *next, struct kept **rows, uint64_t n, struct err *err);
/* A table: n rows of ncols values each (row-major), one column a schema column; handed on likewise.
 */
int table_push(struct run *r, struct op *next, const struct schema *s, const struct val *vals,
               uint64_t n, struct err *err);

/* order.c */
/* missing < false < true < numbers < strings by bytes < json */
int val_cmp(const struct val *a, const struct val *b);
bool val_is_num(const struct val *v, double *ret);
/* integral doubles become integers, so that 5 and 5.0 are one group; NULL text is kept */
struct val val_normal(struct val v);

/* intern.c: values -> small numbers */
struct intern {
    struct run *r;
    struct arena arena; /* the keys; counted as the run's */
    const char *pipe;
    struct smap map;
    struct val *vals;
    uint32_t n, cap;
};
void intern_init(struct intern *it, struct run *r, const char *pipe);
void intern_deinit(struct intern *it);
int intern_val(struct intern *it, struct val v, uint32_t *ret, struct err *err);

#endif
