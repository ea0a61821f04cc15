/* order.h: the order of rows in a segment, shared by flush and merge.
 *
 * Rows are sorted by time and cut into groups of at most GROUP_ROWS, which therefore do not overlap
 * in time; inside a group they are clustered by (owners, agent, session or trace, time, seq) and
 * cut into blocks. A session's growing context so lies next to itself, which is where the
 * compression is, and many small streams share a group. Owners are up to two fields that say whose
 * the entries are (owner_names in order.c: service, tenant, org ...), where a session has one
 * owner: a search within a tenant then finds its rows side by side. */
#ifndef FL_STORE_COLUMNAR_ORDER_H
#define FL_STORE_COLUMNAR_ORDER_H

#include "store/columnar/impl.h"

#define GROUP_ROWS 32768 /* rows sorted by time; clustered inside */

#define OWNERS 12 /* names of fields that may be owners */

struct place { /* where a row is, and when it was */
    ts_ns t;
    uint32_t block;
    uint16_t row;
};
_Static_assert(BLOCK_ROWS_MAX <= UINT16_MAX + 1, "a row's number fits");

struct source { /* a block that places point at; columns while it is open */
    uint32_t chunk;
    const struct colv *agent, *session, *trace, *owner[OWNERS];
    uint64_t weight; /* average text bytes of a row */
};

/* The column of a built-in field, loaded; NULL when the block has none or *rc was or is set. */
const struct colv *column_of(struct block *b, enum field f, enum vtype t, int *rc, struct err *err);
/* Loads every column of b and notes those that rows are ordered by; keeps src->chunk. */
int source_open(struct source *src, struct block *b, struct err *err);

/* By time, then block, then row: blocks are to be numbered so that ties fall in order of seq. */
void places_sort(struct place *v, uint64_t n);

struct cluster;                    /* working memory for groups */
struct cluster *cluster_new(void); /* NULL: out of memory */
void cluster_free(struct cluster *c);
/* Writes the n <= GROUP_ROWS rows at v, which are in order of time, as blocks of at most
 * BLOCK_ROWS_MAX rows and about block_bytes of text. blocks, src: nblocks that places number. */
int group_write(struct seg_writer *w, struct cluster *c, struct block *const *blocks,
                const struct source *src, uint32_t nblocks, const struct place *v, uint32_t n,
                uint64_t block_bytes, struct err *err);

#endif
