/* occur.h: how often each value of a field occurs, and which fields occur, block by block.
 *
 * Whoever scans hands in the blocks and may stop at any of them: what is counted by then stands.
 * Memory comes from the caller's arena. One thread a tally. */
#ifndef FL_QUERY_OCCUR_H
#define FL_QUERY_OCCUR_H

#include "base/map.h"
#include "store/store.h"

#define VALUES_MAX 100000 /* distinct values that are told apart */

struct value_count {
    str json; /* the value as JSON text */
    uint64_t n;
};
struct value_tally {
    struct arena *a;
    const struct fieldref *f;
    str prefix;    /* set by the caller: only values that begin with it, in any case of a-z */
    bool elements; /* set by the caller: of an array each element counts */
    struct value_count *v;
    uint32_t n;
    uint64_t present; /* rows that had a value */
    bool more;        /* there were more than VALUES_MAX; those were not counted */
    /* private */
    uint32_t cap;
    struct smap map;
    struct buf tmp;
    uint64_t seen[BLOCK_WORDS]; /* rows that had a value in an earlier column */
    uint32_t *codes;
    uint32_t cap_codes;
};
void value_tally_init(struct value_tally *t, struct arena *a, const struct fieldref *f);
/* ERR_LIMIT when the values do not fit the arena. */
int value_tally_add(struct value_tally *t, const struct scan_block *sb, struct err *err);
/* Orders t->v by falling count, equal ones by value, and frees what is not the arena's. */
void value_tally_end(struct value_tally *t);

struct field_tally {
    struct arena *a;
    struct field_stat *f;
    uint32_t n;
    uint64_t rows; /* looked at */
    /* private */
    uint32_t cap;
    struct smap map;
};
void field_tally_init(struct field_tally *t, struct arena *a);
int field_tally_add(struct field_tally *t, const struct scan_block *sb, struct err *err);
void field_tally_end(struct field_tally *t); /* by falling count, then by key */

#endif
