/* tally.h: counts under a key of three numbers; open addressing. For pipes that count many things
 * at once. */
#ifndef FL_QUERY_TALLY_H
#define FL_QUERY_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct tally_slot {
    int64_t a;
    uint32_t b, c;
    uint64_t n, m; /* counts; n > 0 in a used slot */
    uint64_t seq;  /* the lowest that was added */
};
struct tally {
    struct tally_slot *slot;
    size_t cap, used;
};
void tally_free(struct tally *t);
static inline size_t tally_bytes(const struct tally *t)
{
    return t->cap * sizeof *t->slot;
}
/* n > 0 */
int tally_add(struct tally *t, int64_t a, uint32_t b, uint32_t c, uint64_t n, uint64_t m,
              uint64_t seq, struct err *err);
/* NULL: not there */
const struct tally_slot *tally_get(const struct tally *t, int64_t a, uint32_t b, uint32_t c);
/* every a divided by `by`, rounded down; what falls together is added up */
int tally_coarser(struct tally *t, int64_t by, struct err *err);
/* used slots by rising (b, a, c), in place: nothing can be looked up or added any more */
void tally_sort(struct tally *t);

/* ---- steps of time ----
 * 1, 5, 15 minutes, 1, 3, 6, 12 hours, a day, then twice the one before. Every step is a whole
 * number of the one before and all begin at 1970, so counts of a finer one can be added up exactly.
 */
#define LADDER_RUNGS 24             /* up to 65,536 days */
int64_t ladder_step(unsigned rung); /* ns */

#endif
