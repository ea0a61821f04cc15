/* pred_leaf.h: the tests a query can ask of an entry, as leaves of a struct pred.
 *
 * The parser decides what was asked (`field:value`, `field>v`, a bare word ...) and calls the
 * constructor of that form; here each becomes one test with a part for every stored type, so that
 * evaluation needs to know nothing about syntax. All memory comes from the arena. */
#ifndef FL_MODEL_PRED_LEAF_H
#define FL_MODEL_PRED_LEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "model/field.h"
#include "model/pred.h"

/* Where a test looks: a row matches when any of the fields does. */
struct pred_scope {
    const struct fieldref *fields; /* must live in the arena of the tree */
    uint32_t n;
    bool any; /* every field of the row; fields is ignored */
};

/* A value as written: literal parts with a '*' between each two neighbours. "ab" is one part, "a*"
 * is {"a", ""}, "*" is {"", ""}. */
struct pred_value {
    const str *part; /* escapes resolved; must live in the arena of the tree */
    uint32_t nparts; /* >= 1 */
    bool quoted;     /* in quotes: a string, never a number or boolean */
};

/* One end of a range. */
struct pred_bound {
    bool open; /* no bound on this side */
    bool inclusive;
    bool text;     /* quoted: compare strings by bytes; otherwise by number */
    bool integral; /* number: .i holds it exactly, else .d */
    int64_t i;
    double d;
    str s;
};

/* AND / OR of n trees; n = 0 gives true / false. Any NULL kid gives NULL. */
struct pred *pred_all(struct arena *a, struct pred *const *kids, uint32_t n);
struct pred *pred_any(struct arena *a, struct pred *const *kids, uint32_t n);

/* The default scope of bare words: fields with FF_TEXT and the usual names of error text. False
 * when out of memory. */
bool pred_default_scope(struct arena *a, struct pred_scope *ret);

/* word, "phrase", prefix*, *suffix, *substring*. ERR_INVALID (err->pos -1) for other uses of '*'.
 */
int pred_words(struct pred **ret, struct arena *a, const struct pred_scope *sc,
               const struct pred_value *v, struct err *err);
/* `field:value`; {"", ""} asks for presence */
int pred_match(struct pred **ret, struct arena *a, const struct fieldref *f,
               const struct pred_value *v, struct err *err);
/* `field=value`: the whole value; `5` is the number 5 or the string "5" */
struct pred *pred_equal(struct arena *a, const struct fieldref *f, str value, bool quoted);
/* the whole value is one of these texts; no number is */
struct pred *pred_in(struct arena *a, const struct fieldref *f, const str *values, uint32_t n);
struct pred *pred_exists(struct arena *a, const struct fieldref *f);
/* numbers, instants and strings that are wholly a number; or strings by bytes for quoted bounds */
struct pred *pred_range(struct arena *a, const struct fieldref *f, const struct pred_bound *lo,
                        const struct pred_bound *hi);
/* bit lv of mask: that level matches; f is the level or a column computed from it */
struct pred *pred_levels_in(struct arena *a, const struct fieldref *f, uint32_t mask);
struct pred *pred_levels(struct arena *a, uint32_t mask);
/* "10.0.0.0/8", "2001:db8::/32" or a single address; ERR_INVALID when it is neither */
int pred_ip(struct pred **ret, struct arena *a, const struct fieldref *f, str range,
            struct err *err);
int pred_regex_in(struct pred **ret, struct arena *a, const struct pred_scope *sc, str pattern,
                  str flags, struct err *err);

/* ---- named groups of a regular expression ---- */
struct regex;
struct regex_groups {
    struct regex *re;
    str *names; /* in the order they stand in the pattern */
    uint16_t *numbers;
    uint32_t n;
    int64_t pos; /* of the pattern in the query text */
};
/* Refuses what tests refuse. ERR_INVALID with err->pos in the pattern. */
int regex_groups_new(struct regex_groups **ret, struct arena *a, str pattern, str flags,
                     struct err *err);
/* ret[i]: what group i caught in the first match, .p NULL when it took no part. Under the limits of
 * tests: a text that takes too many steps has no match and is counted. */
int regex_groups_match(const struct regex_groups *g, str s, struct pred_run *r, str *ret,
                       bool *ret_found, struct err *err);

/* A text that begins with part, ends with it, or both: is it; case folded. */
struct pred *pred_affix(struct arena *a, const struct fieldref *f, str part, bool start, bool end);

/* ---- values that are computed ---- */

/* What computes a value out of a row. Immutable; any number of threads open it at a time. */
struct pred_calc {
    int (*open)(const struct pred_calc *c, struct block *b, void **ret, struct err *err);
    /* texts stay valid until the next call */
    int (*value)(void *opened, uint32_t row, struct val *ret, struct err *err);
    void (*close)(void *opened);
    const void *ctx;
    str text;   /* as written */
    bool marks; /* reads a mark */
    /* A tree over the stored fields that says the same as the test, wherever these fields hold
     * nothing but texts: it can use what indexes there are. NULL: none. */
    struct pred *texts;
    const struct fieldref *fields;
    uint32_t nfields;
};
/* All leaves of x (made for this, of one field) test what c computes instead. */
void pred_set_calc(struct pred *x, const struct pred_calc *c);

/* Remembers where in the query text a leaf stands; errors found while running name it. */
void pred_set_pos(struct pred *p, int64_t pos);

/* The value of an attribute in an object of the column rest, VAL_ABSENT when it is not in there.
 * Text that needs unescaping is copied into the arena. */
int rest_value(str object, const struct fieldref *f, struct arena *a, struct val *ret,
               struct err *err);

/* Is s wholly a JSON number (a leading '+' allowed)? Fills integral, i, d of *ret. */
bool pred_number(str s, struct pred_bound *ret);

#endif
