/* read.h: canonical fields of entries, read row by row by pipes that know what they look for.
 *
 * A reader belongs to one block; opening decodes the column. A field the block does not have reads
 * as null. */
#ifndef FL_QUERY_READ_H
#define FL_QUERY_READ_H

#include "model/price.h"
#include "query/internal.h"

struct reader {
    struct fieldref ref;
    struct access acc;
};
/* The reader must not move afterwards. */
int reader_open(struct reader *r, enum field f, struct block *b, struct err *err);
int reader_get(struct reader *r, uint32_t row, struct val *ret, struct err *err);
/* texts and JSON as they stand, anything else as STR_NULL; borrowed from the block */
int reader_text(struct reader *r, uint32_t row, str *ret, struct err *err);
/* false in *ret_has: no number there */
int reader_num(struct reader *r, uint32_t row, double *ret, bool *ret_has, struct err *err);

/* ---- tokens and cost of an entry ---- */
struct usage {
    struct tokens tok;
    double usd;
    bool has_cost, reported; /* reported: the sender's own figure, which wins over the table */
    bool any;                /* tells of tokens or of a cost */
    bool called;             /* has a call_id: the same call may be told of again */
};
struct usage_reader {
    struct reader tok[TK__COUNT], cost, model, time, call;
    const struct prices *prices;
};
int usage_open(struct usage_reader *u, const struct prices *prices, struct block *b,
               struct err *err);
int usage_get(struct usage_reader *u, uint32_t row, struct usage *ret, struct err *err);

/* Sums over many, whatever their order. */
struct usage_sum {
    __int128 tok[TK__COUNT];
    struct exact_sum *usd; /* NULL until there is a cost */
    uint64_t calls, unpriced;
    bool told; /* of any tokens */
};
bool usage_add(struct usage_sum *s, const struct usage *u); /* false: out of memory */
bool usage_merge(struct usage_sum *s, const struct usage_sum *from);
void usage_deinit(struct usage_sum *s);
struct val usage_tokens(const struct usage_sum *s, enum token_kind k);
struct val usage_total(const struct usage_sum *s); /* reasoning is a part of output */
struct val usage_cost(const struct usage_sum *s);  /* null when nothing had a cost */

/* ---- calls that are told of more than once ----
 *
 * One tool call or request is often seen by several: a hook, a span, a transcript. They share the
 * call_id. Within one scope (a session, say) it counts once, by the report that tells of the most
 * tokens; then one with a cost of its own, then the earliest. */
struct call {
    struct usage u;
    uint32_t scope, owner; /* owner: the group it counts for */
    ts_ns t;
    uint64_t seq;
    str id;
};
struct calls {
    struct run *r;
    const char *pipe;
    struct arena arena; /* counted as the run's */
    struct smap map;
    struct call *v;
    uint32_t n, cap;
};
void calls_init(struct calls *c, struct run *r, const char *pipe);
void calls_deinit(struct calls *c);
/* x->id is copied. *ret_new (may be NULL): nobody told of this call before. */
int calls_put(struct calls *c, const struct call *x, bool *ret_new, struct err *err);

/* ERR_INVALID: the pipe looks at whole entries, and there are none left at this point */
int entries_only(struct parser *p, const struct pipe *pipe);
/* a table with the columns of these names; `times` has a bit for each that is an instant */
int schema_of(struct parser *p, const char *const *names, uint32_t n, uint64_t times,
              const struct schema **ret);

#endif
