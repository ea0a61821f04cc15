/* pairs.h: keys and values in a text that a program wrote: JSON, logfmt, or pairs of any look.
 *
 * Nothing here fails for what the text looks like: what is no pair is passed over. */
#ifndef FL_QUERY_PAIRS_H
#define FL_QUERY_PAIRS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/block.h"

#define PAIRS_TEXT_MAX ((size_t)1 << 20) /* bytes; a longer text is left alone */
#define PAIRS_MAX 256                    /* of one text: the first */
#define PAIRS_KEY_MAX 256                /* bytes; a pair with a longer key is passed over */
#define PAIRS_DEPTH 32                   /* objects within objects; what lies deeper stays JSON */

enum pairs_form { PAIRS_JSON, PAIRS_LOGFMT, PAIRS_KV };

struct pairs {
    struct arena *a; /* where values go that are not a piece of the text */
    /* key: as that of a column (field.h), the same one several times when the text says so */
    int (*take)(void *ctx, str key, struct val v, struct err *err);
    void *ctx;
    /* private */
    struct buf text, key;
    uint32_t n;
};

void pairs_init(struct pairs *p);
void pairs_deinit(struct pairs *p);
/* 0, out of memory, or what take returned */
int pairs_read(struct pairs *p, enum pairs_form form, str text, struct err *err);
/* a number when all of it is one as JSON writes them, else the text */
struct val pairs_value(str s);

/* ---- a text with places: "user=<user> took <ms>ms" ---- */
struct text_template {
    str *lit;  /* n + 1: before the first place, between, behind the last */
    str *name; /* n: what the place is called, "_" for one that is passed over */
    uint32_t n;
};
#define TEMPLATE_PLACES_MAX 32
/* ERR_INVALID with err->pos in the text; the template borrows from it */
int text_template_parse(struct text_template *t, struct arena *a, str text, struct err *err);
/* ret[i]: what stands at place i. Each ends where the literal behind it first begins; the last one,
 * without a literal, at the end of the text. */
bool text_template_match(const struct text_template *t, str text, str *ret);

#endif
