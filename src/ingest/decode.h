/* decode.h: what the JSON dialects share: one walk over the tokens of an entry, one way to end a row.
 *
 * A dialect is a struct of rules (one file each); ingest.c finds them in a table. While an entry is
 * walked nothing goes into the batch: values for attributes wait in pend[], the best alias so far of
 * each canonical field in cand[]. row_finish judges the whole entry and only then puts it, so an entry
 * that turns out bad leaves no trace.
 *
 * Keys are learned: each path met in a request is a node, and each node remembers which sibling came
 * after it last time. Entries of one logger repeat their keys in order, so finding a key costs one
 * comparison, and the node already knows alias, column and column key. A key met twice in one object
 * is noticed by the node's mark; such an entry is rewritten with the last value of each (dedup.c).
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
    AL_INCLUSIVE = 2, /* an input token count that includes cached tokens */
    AL_OTEL = 4,      /* SeverityNumber */
};

struct alias {
    str name; /* literal key, or nested keys joined by dots */
    enum field field;
    uint8_t sets;  /* dialects it holds for */
    uint8_t flags;
    uint8_t rank;  /* smaller wins */
};

/* NULL: no alias */
const struct alias *alias_find(enum alias_set set, str dotted);

/* ---- rules of a dialect ---- */

struct dec;

struct rules {
    char letter;              /* in the shape */
    enum alias_set set;
    const char *const *containers; /* NULL-terminated names */
    enum spell_unit unit;     /* of numeric times */
    bool lenient_time;        /* a bad time is kept beside the receive time instead of refused */
    bool plain_level;         /* level is always given back in the canonical form */
    bool one_value;           /* the body is one JSON value */
    bool arrays, objects;     /* what that value may be */
    bool all_or_nothing;
    str agent;                /* when none is named and no default given */
    /* Judges cand[] and fills defaults; reports with row_bad. May be NULL. */
    void (*check)(struct dec *d);
};

extern const struct rules native_rules, fleet_rules, mals_rules, mals_batch_rules, guide_rules,
    events_rules;

/* ---- nodes (node.c) ---- */

struct node {
    str key;             /* as sent, unescaped */
    str raw;             /* source text of the key, readable past its end */
    str path;            /* column key of an attribute here; below a container without it */
    str dotted;          /* for alias_find; .p NULL when too long */
    struct node *parent;
    struct node *scope;  /* container it is in, or NULL */
    struct node *top;    /* first step below scope or root; itself */
    struct node *twin;   /* of a container's member: the top-level node of the same key */
    struct node *next, *first; /* guesses: sibling after, first child */
    struct bcol *col[V__COUNT];
    const struct alias *alias;
    uint32_t id;         /* > 0; never used twice in a request */
    uint32_t seen;       /* entry it was met in last */
    uint32_t attr;       /* top-level: entry in which an attribute begins with it */
    uint32_t claim;      /* top-level: entry in which a container's attribute lies here ... */
    struct node *claimer; /* ... and that container, or the root when it is a container itself */
    uint32_t placed;     /* below a container: entry in which its place was decided ... */
    bool full;           /* ... to be under the container's full path */
    uint32_t used;       /* container: entry in which it had a member */
    enum field own_name; /* the field whose canonical name this is, at the top */
    uint8_t rank;
    uint8_t number;      /* container: its number in the entry */
    bool container;      /* an object here is a container */
};

/* The child of cur for a key token; *prev is the sibling before it (NULL at first). NULL: out of memory
 * or the key is too long (d->bad is then set). */
struct node *node_child(struct dec *d, struct node *cur, struct node *prev, const struct json_tok *key);
/* top-level node by plain key */
struct node *node_top(struct dec *d, str key);
void node_mem_init(struct dec *d);
bool node_table_init(struct dec *d);
/* between entries: forgets all nodes when there are too many; false: out of memory */
bool node_table_trim(struct dec *d);

/* ---- the decoder ---- */

struct cand { /* the value that will be a canonical field */
    struct node *node;
    struct json_tok tok;
    str src;      /* whole source text when tok opens an object or array */
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
    uint32_t ncols;      /* attribute columns made */

    /* the entry at hand */
    uint32_t index;      /* in the request */
    uint32_t mark;       /* > 0, new for every walk */
    bool bad;            /* refused; reported */
    bool nomem;
    bool twice;          /* a key came twice in one object */
    uint64_t set;        /* fields in cand[] */
    struct cand cand[F__COUNT];
    struct pend *pend;
    uint32_t npend, cap_pend;
    struct node **tops;  /* top-level steps of attributes, each once */
    uint32_t ntops, cap_tops;
    struct node *conts[CONTAINERS];
    uint32_t nconts;
    struct json_tok cont_tok; /* a container's name with another value; type JSON_END: none */
    str cont_src;
    const char *end;     /* one past the entry's text, after a walk */
    str entry;           /* the entry's text, when the dialect's check runs */
    uint64_t defaulted;  /* fields in cand[] which the dialect's check made up */

    /* the row being put (row.c) */
    struct buf rest;     /* members of column rest */
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
};

/* ---- walking (walk.c) ---- */

/* The reader stands behind an entry's '{'. Walks to its end. ERR_INVALID: bad JSON. d->bad: refused. */
int walk_entry(struct dec *d, struct json_rd *r, struct err *err);
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

/* Plain lines (text.c). */
int text_decode(str body, const struct ingest_opts *o, const struct ingest_limits *lim,
                struct batch *b, struct arena *a, struct ingest_result *ret, struct err *err);

/* ---- shape (shape_out.c) ---- */

struct shape_note { /* what row.c learned about the fields it put */
    enum field field;
    uint8_t flags;
    const struct node *node;       /* NULL: canonical name */
    const struct spelling *spell;  /* NULL: none */
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
