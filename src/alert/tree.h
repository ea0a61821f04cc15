/* tree.h: a small document (YAML or JSON) as texts, lists and maps that know where they stood.
 *
 * Everything lives in the arena it was parsed into; texts end with a NUL that is not counted.
 * Errors are ERR_INVALID (ERR_LIMIT past a bound, ERR_NOMEM) and begin with "line L, column C: ".
 */
#ifndef FL_ALERT_TREE_H
#define FL_ALERT_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define TREE_BYTES_MAX ((size_t)1 << 20)
#define TREE_DEPTH_MAX 16
#define TREE_NODES_MAX 20000

enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };

struct tree {
    enum tree_kind kind;
    bool plain; /* TEXT without quotes: may mean null, true, false or a number */
    str key;    /* inside a map; keys of one map differ */
    str text;
    uint32_t line, col; /* from 1; of the value */
    struct tree *first, *last, *next;
    uint32_t n; /* children */
};

/* text need not end with a NUL; it is copied */
int tree_from_yaml(struct tree **ret, struct arena *a, str text, struct err *err);
int tree_from_json(struct tree **ret, struct arena *a, str text, struct err *err);

const struct tree *tree_get(const struct tree *map, const char *key); /* NULL when absent */
/* a plain null, ~ or nothing at all; also a NULL pointer */
bool tree_is_null(const struct tree *t);
bool tree_bool(const struct tree *t, bool *ret);
bool tree_number(const struct tree *t, double *ret); /* plain and finite */
#define TREE_EACH(it, parent)                                                                      \
    for (const struct tree *it = (parent) ? (parent)->first : NULL; it; it = it->next)

/* The same document as JSON; plain texts that are JSON literals are written bare. */
void tree_put_json(struct buf *b, const struct tree *t);

/* err_set with the place in front */
int tree_err(struct err *err, int code, uint32_t line, uint32_t col, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- members (member.c) ---- */
/* Is it a map in which every name is one of `words` (NULL-ended)? The error names the nearest. */
int tree_members(const struct tree *map, const char *what, const char *const *words,
                 struct err *err);
/* adds "did you mean ...?", or the list of words */
void tree_hint(struct err *err, str word, const char *const *words);
/* A text of at most `max` bytes without control characters; absent and null leave *ret. */
int tree_text(const struct tree *map, const char *key, size_t max, str *ret, struct err *err);
bool tree_printable(str s); /* no control characters but newline and tab */

/* ---- for the builders ---- */
struct tree_builder {
    struct arena *a;
    struct tree *open[TREE_DEPTH_MAX];
    uint32_t depth, nodes;
    str key; /* waiting for its value */
    bool has_key;
    struct tree *root;
};
/* A value begins (TEXT: is complete). The text is copied. */
int tree_add(struct tree_builder *b, enum tree_kind kind, str text, bool plain, uint32_t line,
             uint32_t col, struct err *err);
void tree_close(struct tree_builder *b); /* the innermost list or map is complete */

#endif
