/* decode.h: what the JSON dialects share: one walk over the tokens of an entry, one way to end a
 * row.
 *
 * A dialect is a struct of rules (one file each); ingest.c finds them in a table. While an entry is
 * walked nothing goes into the batch: values for attributes wait in pend[], the best alias so far
 * of each canonical field in cand[]. row_finish judges the whole entry and only then puts it, so an
 * entry that turns out bad leaves no trace.
 *
 * Keys are learned: each path met in a request is a node, and each node remembers which sibling
 * came after it last time. Entries of one logger repeat their keys in order, so finding a key costs
 * one comparison, and the node already knows alias, column and column key. A key met twice in one
 * object is noticed by the node's mark; such an entry is rewritten with the last value of each
 * (dedup.c).
 *
 * Private to src/ingest. */
#ifndef FL_INGEST_DECODE_H
#define FL_INGEST_DECODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "ingest/ingest.h"
#include "model/batch.h"
#include "model/field.h"
#include "model/shape.h"
#include "model/spell.h"

/* ---- aliases (alias.c) ---- */

enum alias_set { SET_NATIVE = 1, SET_FLEET = 2, SET_MALS = 4, SET_GUIDE = 8, SET_EVENTS = 16 };

enum alias_flag {
    AL_STRICT = 1,    /* any value is taken; the dialect's check judges its type */
    AL_INCLUSIVE = 2, /* an input token count that includes cached tokens, or a count of cached
                         ones whose sender counts so */
    AL_OTEL = 4,      /* SeverityNumber */
};

struct alias {
    str name; /* literal key, or nested keys joined by dots */
    enum field field;
    uint8_t sets; /* dialects it holds for */
    uint8_t flags;
    uint8_t rank; /* smaller wins */
};

/* NULL: no alias */
const struct alias *alias_find(enum alias_set set, str dotted);

/* ---- rules of a dialect ---- */

struct dec;

struct plan;

struct rules {
    char letter; /* in the shape */
    enum alias_set set;
    const char *const *containers; /* NULL-terminated names */
    enum spell_unit unit;          /* of numeric times */
    bool lenient_time;    /* a bad time is kept beside the receive time instead of refused */
    bool plain_level;     /* level is always given back in the canonical form */
    bool one_value;       /* the body is one JSON value */
    bool arrays, objects; /* what that value may be */
    bool all_or_nothing;
    bool plannable; /* check() depends on types and the level's text alone */
    str agent;      /* when none is named and no default given */
    /* Judges cand[] and fills defaults; reports with row_bad. May be NULL. */
    void (*check)(struct dec *d);
};

extern const struct rules native_rules, fleet_rules, mals_rules, mals_batch_rules, guide_rules,
    events_rules;

/* ---- nodes (node.c) ---- */

struct node {
    str key;    /* as sent, unescaped */
    str raw;    /* source text of the key, readable past its end */
    str path;   /* column key of an attribute here; below a container without it */
    str dotted; /* for alias_find; .p NULL when too long */
    struct node *parent;
    struct node *scope;        /* container it is in, or NULL */
    struct node *top;          /* first step below scope or root; itself */
    struct node *twin;         /* of a container's member: the top-level node of the same key */
    struct node *next, *first; /* guesses: sibling after, first child */
    struct bcol *col[V__COUNT];
    const struct alias *alias;
    uint32_t id;          /* > 0; never used twice in a request */
    uint32_t seen;        /* entry it was met in last */
    uint32_t attr;        /* top-level: entry in which an attribute begins with it */
    uint32_t claim;       /* top-level: entry in which a container's attribute lies here ... */
    struct node *claimer; /* ... and that container, or the root when it is a container itself */
    uint32_t placed;      /* below a container: entry in which its place was decided ... */
    bool full;            /* ... to be under the container's full path */
    uint32_t used;        /* container: entry in which it had a member */
    enum field own_name;  /* the field whose canonical name this is, at the top */
    uint8_t rank;
    uint8_t number; /* container: its number in the entry */
    bool picky;     /* its alias' choice hangs on the value, not on its type alone */
    bool container; /* an object here is a container */
};

/* The child of cur for a key token; prev is the sibling before it (NULL at first). NULL: out of
 * memory or the key is too long (d->bad is then set). node_child guesses first. */
struct node *node_child_slow(struct dec *d, struct node **guess, struct node *cur,
                             const struct json_tok *key);
/* top-level node by plain key */
struct node *node_top(struct dec *d, str key);
void node_mem_init(struct dec *d);
bool node_table_init(struct dec *d);
/* between entries: forgets all nodes when there are too many; false: out of memory */
bool node_table_trim(struct dec *d);

/* ---- the decoder ---- */

/* A value met by the walk. Arrays and objects taken whole: tok.raw is their source text. */
struct slot {
    struct node *node;
    struct json_tok tok;
    enum json_num_kind kind; /* of a number under a picky alias; then i or f is its value */
    union {
        int64_t i;
        double f;
    };
};
#define SLOT_CONTAINER JSON_KEY /* tok.type of the place where a container opens */

struct cand { /* the value that will be a canonical field */
    struct node *node;
    struct json_tok tok;
    str src; /* whole source text when tok opens an object or array */
};

struct pend { /* a value that will be an attribute */
    struct node *node;
    enum vtype type;
    union {
        int64_t i;
        double d;
        str s;
    };
};

#define PLANS 16
#define SPELLINGS 32
#define SPELLINGS_ROW 4 /* time, level, kind, stream */
#define CONTAINERS SHAPE_CONTAINERS

struct dec {
    const struct rules *rules;
    const struct ingest_opts *o;
    const struct ingest_limits *lim;
    struct batch *b;
    struct arena *a;
    struct ingest_result *ret;

    /* nodes */
    struct arena node_mem;
    struct node *root;
    struct node **table;
    uint32_t table_cap, nnodes, next_id;
    uint32_t ncols; /* attribute columns made */

    /* the entry at hand */
    uint32_t index; /* in the request */
    uint32_t mark;  /* > 0, new for every walk */
    bool bad;       /* refused; reported */
    bool nomem;
    bool twice;         /* a key came twice in one object */
    struct slot *slots; /* values in their order */
    uint32_t *sig; /* node and type of each, and whether it fits where that is open: equal rows of
                    * numbers are treated alike */
    uint32_t nslots, cap_slots;
    uint64_t set; /* fields in cand[] */
    struct cand cand[F__COUNT];
    struct pend *pend;
    uint32_t npend, cap_pend;
    struct node **tops; /* top-level steps of attributes, each once */
    uint32_t ntops, cap_tops;
    struct node *conts[CONTAINERS];
    uint32_t nconts;
    struct json_tok cont_tok; /* a container's name with another value; type JSON_END: none */
    str cont_src;
    const char *end;    /* one past the entry's text, after a walk */
    str entry;          /* the entry's text, when the dialect's check runs */
    uint64_t defaulted; /* fields in cand[] which the dialect's check made up */

    /* the row being put (row.c) */
    struct buf rest; /* members of column rest */
    struct buf tmp;
    struct bcol *fcol[F__COUNT][V__COUNT];
    struct bcol *restcol;

    /* the shape (shape_out.c) */
    uint32_t *ops, *last_ops;
    uint32_t nops, nlast, cap_ops;
    str last_shape;
    struct spelling spell[SPELLINGS];
    uint32_t nspell;
    uint64_t filled;

    /* plans (plan.c) */
    struct plan *plans[PLANS];
    uint32_t nplans;
    str default_agent; /* for entries that name none; may be empty */
    str agent_pattern; /* what plans were checked against */
};

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* Short texts by words. Both must be readable for 16 bytes from their starts, or to their ends. */
static inline bool key_same(str a, str b)
{
    if (a.n != b.n)
        return false;
    if (a.n < 8) {
        uint64_t mask = (1ull << 8 * a.n) - 1;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        mask = __builtin_bswap64(mask);
#endif
        return !((load8(a.p) ^ load8(b.p)) & mask);
    }
    if (a.n <= 16)
        return load8(a.p) == load8(b.p) && load8(a.p + a.n - 8) == load8(b.p + b.n - 8);
    return memcmp(a.p, b.p, a.n) == 0;
}

static inline struct node *node_child(struct dec *d, struct node *cur, struct node *prev,
                                      const struct json_tok *key)
{
    struct node **guess = prev ? &prev->next : &cur->first, *n = *guess;
    if (__builtin_expect(n && key_same(n->raw, key->raw), 1))
        return n;
    return node_child_slow(d, guess, cur, key);
}

/* json_number, quicker for the usual ones: up to 15 digits, where a double keeps every decimal */
static inline enum json_num_kind number_quick(str raw, bool integral, int64_t *ret_i, double *ret_d)
{
    static const double pow10[] = { 1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    size_t i = raw.p[0] == '-', point = raw.n;
    uint64_t man = 0;
    if (__builtin_expect(raw.n - i > 15 || raw.p[i] == '0', 0))
        return json_number(raw, integral, ret_i, ret_d);
    for (; i < raw.n; i++) {
        unsigned c = (unsigned char)raw.p[i] - (unsigned)'0';
        if (c <= 9)
            man = man * 10 + c;
        else if (raw.p[i] == '.')
            point = i + 1;
        else
            return json_number(raw, integral, ret_i, ret_d);
    }
    if (integral) {
        *ret_i = raw.p[0] == '-' ? -(int64_t)man : (int64_t)man;
        return JNUM_I64;
    }
    double v = (double)man / pow10[raw.n - point];
    *ret_d = raw.p[0] == '-' ? -v : v;
    return JNUM_F64;
}

/* ---- walking (walk.c) ---- */

/* The reader stands behind an entry's '{'. Lists the values up to its end in slots[]. ERR_INVALID:
 * bad JSON. d->bad: refused. */
int walk_entry(struct dec *d, struct json_rd *r, struct err *err);
bool field_is_picky(enum field f);
/* slots[] to cand[] and pend[] */
void sort_slots(struct dec *d);
/* adds an attribute value; false: d->bad or d->nomem */
bool walk_attr(struct dec *d, struct node *n, const struct json_tok *t, str src);
/* gives the field's candidate back to the attributes */
void cand_release(struct dec *d, enum field f);
static inline bool cand_has(const struct dec *d, enum field f)
{
    return d->set >> f & 1;
}
/* a string's value, or a number's text; .p NULL out of memory */
str cand_text(struct dec *d, enum field f);
/* source text of a value, as an error quotes it */
str tok_source(const struct json_tok *t, str src);

/* The text of an object in which every key stands once, with its last value; readable past its end.
 * .p NULL: out of memory. (dedup.c) */
str dedup(struct arena *a, str object);

/* ---- ending a row (row.c) ---- */

/* Refuses the entry: field may be "", type is MALS's word, input the JSON text at fault. */
void row_bad(struct dec *d, str field, const char *type, str input, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Judges and puts the entry walked. False: out of memory. */
bool row_finish(struct dec *d);
/* '*' matches any run */
bool agent_allowed(str pattern, str agent);
bool time_parse(struct dec *d, const struct json_tok *t, ts_ns *ret, struct spelling *sp);
bool time_in_window(const struct dec *d, ts_ns t);
/* minified text of an array or object; may be src itself (walk.c) */
str minified(struct dec *d, str src);

/* columns: failures set d->nomem */
#define COLS_ATTR                                                                                  \
    (BATCH_COLS_MAX - 1024) /* attribute columns a request may make; the rest is kept free */
struct bcol *field_col(struct dec *d, enum field f, enum vtype t);
static inline void put_text(struct dec *d, enum field f, enum vtype t, str s)
{
    struct bcol *c = d->fcol[f][t];
    if (!bcol_put_text(c ? c : field_col(d, f, t), s))
        d->nomem = true;
}
static inline void put_i64(struct dec *d, enum field f, int64_t v)
{
    struct bcol *c = d->fcol[f][V_I64];
    if (!bcol_put_i64(c ? c : field_col(d, f, V_I64), v))
        d->nomem = true;
}
static inline void put_f64(struct dec *d, enum field f, double v)
{
    struct bcol *c = d->fcol[f][V_F64];
    if (!bcol_put_f64(c ? c : field_col(d, f, V_F64), v))
        d->nomem = true;
}
/* full: under the container's name too */
void put_pend(struct dec *d, const struct pend *p, bool full);

/* ---- plans (plan.c) ---- */

#define PLANS_MADE 64 /* plans a request may make */

struct planned {        /* what row.c did with an entry worth a plan */
    uint64_t won;       /* fields from cand[] */
    struct node *id_to; /* attribute the id became, NULL: it is ours to use */
    const struct spelling *time;
    enum level level;
    str shape;
};
/* Puts the entry in slots[] by a plan; *ret_done: it did. False: out of memory. */
bool plan_apply(struct dec *d, bool *ret_done);
/* remembers what was done with the entry in slots[] */
void plan_learn(struct dec *d, const struct planned *from);

/* The level of an entry that names none: error when its status or its event tells of a failure. */
enum level level_untold(str status, str event);

/* Plain lines (text.c). */
int text_decode(str body, const struct ingest_opts *o, const struct ingest_limits *lim,
                struct batch *b, struct arena *a, struct ingest_result *ret, struct err *err);

/* ---- shape (shape_out.c) ---- */

struct shape_note { /* what row.c learned about the fields it put */
    enum field field;
    uint8_t flags;
    const struct node *node;      /* NULL: canonical name */
    const struct spelling *spell; /* NULL: none */
};
struct shape_move { /* attribute `key` was sent as node */
    const char *key;
    const struct node *node;
};
struct shape_in {
    struct shape_note note[F__COUNT];
    uint32_t nnotes;
    struct shape_move moves[4];
    uint32_t nmoves;
    bool flat;            /* containers are flattened */
    struct node **second; /* members of later containers, each once */
    uint32_t nsecond;
};
/* The shape string of the entry; .p NULL: out of memory. */
str shape_of(struct dec *d, const struct shape_in *in);

#endif
