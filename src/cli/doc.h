/* doc.h: a small JSON document as a tree, for answers and files that are looked at by name.
 *
 * Everything lives in the arena it was parsed into. All getters take NULL and answer "absent". */
#ifndef FL_CLI_DOC_H
#define FL_CLI_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

struct jv {
    enum json_type type; /* OBJ ARR STR NUM TRUE FALSE NULL */
    str key;             /* inside an object */
    str text;            /* STR: unescaped; NUM: as written; OBJ, ARR: source */
    struct jv *first, *next;
    uint32_t n; /* children */
};

/* `text` is copied. ERR_INVALID (err->pos), ERR_NOMEM. */
int doc_parse(struct jv **ret, struct arena *a, str text, struct err *err);
const struct jv *jv_get(const struct jv *object, const char *key); /* NULL when absent */
/* text of a string, STR_NULL for anything else */
str jv_str(const struct jv *v);
str jv_get_str(const struct jv *object, const char *key);
bool jv_is(const struct jv *v, enum json_type type);
double jv_num(const struct jv *v, double unset);
int64_t jv_int(const struct jv *v, int64_t unset);
#define JV_EACH(it, parent)                                                                        \
    for (const struct jv *it = (parent) ? (parent)->first : NULL; it; it = it->next)

#endif
