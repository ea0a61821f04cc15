/* answer.h: the rows of a query's answer, kept to be looked at by name.
 *
 * Rows come as JSON objects, one a call, the same from a server and from a directory. Everything
 * lives in the arena. Looking up what a row has not, or what is null, gives "nothing": an empty
 * text or the number that was asked for. */
#ifndef FL_INSIGHT_ANSWER_H
#define FL_INSIGHT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "codec/json.h"

#define ANSWER_ROWS_MAX 10000 /* the language's own limit of a table */

struct answer_cell {
    str name;
    enum json_type type; /* STR NUM TRUE FALSE NULL OBJ ARR */
    str text;            /* STR: unescaped; OBJ and ARR: source; else as written */
};
struct answer_row {
    struct answer_cell *cells;
    uint32_t n, cap;
};
struct answer {
    struct answer_row *rows;
    uint32_t n, cap;
};

/* `object` is one JSON object, readable 32 bytes past its end; it is copied. ERR_INVALID,
 * ERR_NOMEM; ERR_LIMIT past ANSWER_ROWS_MAX rows. */
int answer_add(struct answer *t, struct arena *a, str object, struct err *err);
const struct answer_cell *answer_cell(const struct answer_row *r, const char *name);
bool answer_has(const struct answer_row *r, const char *name); /* there, and not null */
/* of a text, number or truth value; the source of an array or object */
str answer_text(const struct answer_row *r, const char *name);
double answer_num(const struct answer_row *r, const char *name, double unset);
bool answer_time(const struct answer_row *r, const char *name, ts_ns *ret);
/* the first row whose `name` is this text (null counts as ""); NULL when there is none */
const struct answer_row *answer_find(const struct answer *t, const char *name, str text);

#endif
