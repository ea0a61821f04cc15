/* overlay.h: a block with computed columns laid over another one's.
 *
 * The columns below are handed through as they are, but those that a computed one takes the place
 * of. What was computed may be of another type in every row, so a computed column has as many
 * physical columns as there are types. */
#ifndef FL_QUERY_OVERLAY_H
#define FL_QUERY_OVERLAY_H

#include "query/internal.h"

#define OVERLAY_COLS_MAX 32

struct overlay_col {
    struct fieldref ref;    /* what is covered; its key is the new column's */
    const struct val *vals; /* by row of the block; those of `sel` count. Texts are borrowed. */
};

/* The new block and all it needs come from `a`; it lives as long as both that and the block below.
 * sel: the rows that will be looked at. */
int overlay_make(struct arena *a, struct block *below, const uint64_t *sel,
                 const struct overlay_col *cols, uint32_t n, struct block **ret, struct err *err);

#endif
