/* complete.h: what may stand at a place of a query, also of one that is not finished or wrong.
 *
 * The text up to the cursor is walked by a forgiving reader (complete_scan.c) that follows the same
 * tables as the parser: pipes by their `syntax` (complete_syntax.c), functions of stats and eval.
 * The words come from there; fields and values from the store. */
#ifndef FL_QUERY_COMPLETE_H
#define FL_QUERY_COMPLETE_H

#include "query/query.h"

#define COMPLETE_LIMIT_DEFAULT 50
#define COMPLETE_LIMIT_MAX 1000
#define COMPLETE_DEADLINE_MS 300 /* for looking at the store; what is known by then is given */

struct complete_opts {
    struct query_opts q;        /* also: what the asker may see; start and end narrow the entries */
    size_t cursor;              /* byte of the text; past its end counts as the end */
    uint32_t limit;             /* items at most; 0 = COMPLETE_LIMIT_DEFAULT */
    int64_t deadline_ms;        /* 0 = COMPLETE_DEADLINE_MS */
    const volatile int *cancel; /* non-zero ends it early; may be NULL */
};

enum complete_kind {
    CK_FIELD,    /* of entries */
    CK_COLUMN,   /* made by a pipe */
    CK_VALUE,    /* of a field */
    CK_PIPE,     /* behind | */
    CK_FUNCTION, /* of stats, eval, or a way to group */
    CK_KEYWORD,
    CK_TIME, /* an instant or a span */
    CK_UNIT  /* a number with its unit */
};
const char *complete_kind_name(enum complete_kind k);

struct complete_item {
    str text; /* what goes in the place of [from, to), quoted and escaped where that is needed */
    enum complete_kind kind;
    str detail;     /* one line of help; may be empty */
    bool has_count; /* entries that have it, of those looked at */
    uint64_t count;
};
struct completion {
    size_t from, to; /* bytes of the text */
    struct complete_item *items;
    uint32_t n;
    bool more;    /* there are further ones past the limit */
    bool partial; /* the deadline passed: not all entries were looked at */
};
/* Never fails for what the text says. Memory from the arena, which should have room for some MiB.
 * s may be NULL: words only. ERR_NOMEM, ERR_CANCELED, and what reading the store gives. */
int query_complete(struct store *s, str text, const struct complete_opts *o, struct arena *a,
                   struct completion *ret, struct err *err);
/* {"from":..,"to":..,"items":[{"text","kind","detail","count"?}],"more":..,"partial":..} */
void completion_json(struct buf *out, const struct completion *c);

/* Is the text the beginning of a query only: an open quote, parenthesis, backtick, or a pipe
 * without anything behind it? */
bool query_unfinished(str text);

/* ---- the words of the language, for help ---- */
struct query_word {
    const char *group; /* "pipe", "stats" (a function of it), "eval" */
    const char *name, *syntax, *help;
};
/* the i-th word, false past the last */
bool query_word(uint32_t i, struct query_word *ret);

#endif
