/* saved.h: what saved views and dashboards may say, those that come with the server, their routes.
 *
 * A document as people send it is read into its canonical JSON, which is what is stored and shown:
 * nothing unknown is in it, every default is written out, every query parses. Reading is pure and
 * needs no server; the command line uses it too. */
#ifndef FL_SERVER_SAVED_H
#define FL_SERVER_SAVED_H

#include "alert/tree.h"
#include "meta/docs.h"

#define SAVED_ID_MAX 16384  /* bytes */
#define SAVED_TITLE_MAX 128 /* characters */
#define SAVED_PANELS_MAX 50
#define SAVED_PARAMS_MAX 32 /* members of params */
#define SAVED_COLUMNS 12    /* of the grid panels stand in */
#define SAVED_ROWS_MAX 24   /* height of a panel */

struct saved {
    str name; /* STR_NULL when it says none */
    str title, doc;
    uint32_t panels;
    bool has_rev; /* it says which rev it was made from */
    uint64_t rev;
};
/* ERR_INVALID with line and column; a query that does not parse: also its panel, and err->pos is
 * the byte in the query. ERR_LIMIT when the canonical form has more than 64 KiB. */
int saved_read(struct saved *ret, enum meta_doc_kind kind, const struct tree *doc, ts_ns now,
               struct arena *a, struct err *err);
bool saved_name_ok(str name); /* 1 to 64 of a-z, 0-9 and - */
/* The name a title suggests; "view" or "dashboard" when it has no letter of the alphabet. */
void saved_slug(enum meta_doc_kind kind, str title, char out[META_DOC_NAME_MAX + 1]);

/* ---- dashboards that come with the server (builtin.c) ---- */
str builtin_text(void); /* {"dashboards": [...]} */
struct builtin {
    struct arena arena;
    struct saved *v;
    uint32_t n;
};
int builtin_new(struct builtin **ret, ts_ns now, struct err *err);
void builtin_free(struct builtin *b);
const struct saved *builtin_find(const struct builtin *b, str name); /* NULL */

#endif
