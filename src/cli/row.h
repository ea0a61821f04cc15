/* row.h: one row of an answer, taken apart and shown.
 *
 * Rows come as JSON text, the same from a server and from a directory, so both print alike. A row
 * is an entry when it has seq, timestamp and received_at; else it is a line of a table. */
#ifndef FL_CLI_ROW_H
#define FL_CLI_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/term.h"
#include "codec/json.h"

struct row_field {
    str name;
    enum json_type type; /* STR, NUM, TRUE, FALSE, NULL, OBJ, ARR */
    str text;            /* STR: unescaped; OBJ and ARR: source; else as written */
};
struct jrow {
    struct row_field *f;
    uint32_t n;
};
/* `line` is one JSON object, readable 32 bytes past its end. ERR_INVALID, ERR_NOMEM. */
int jrow_parse(struct jrow *ret, str line, struct arena *a, struct err *err);
const struct row_field *jrow_find(const struct jrow *r, const char *name);
/* text of a field, or "" */
str jrow_text(const struct jrow *r, const char *name);
bool jrow_is_entry(const struct jrow *r);
double jrow_num(const struct jrow *r, const char *name, double unset);

/* ---- entries as lines ---- */
struct renderer {
    struct out *o;
    int agent_width; /* grows with the names seen */
    bool cut;        /* shorten long values: on a terminal */
    bool brief;      /* leave out what a tree says otherwise */
};
void renderer_init(struct renderer *r, struct out *o, bool wide);
void renderer_see(struct renderer *r, const struct jrow *row); /* widths, before the first line */
void render_entry(struct renderer *r, const struct jrow *row);
/* what is left of an entry as key=value pairs, each after two spaces; names in `skip` (NULL-ended)
 * are left out */
void render_rest(struct renderer *r, const struct jrow *row, const char *const *skip);

/* ---- JSON for people: two spaces a level, one member a line ---- */
void json_pretty(struct out *o, str value, int indent);

#endif
