/* scrub.h: all segments are read and checked again within a week, a block at a time.
 *
 * A round goes over the segments that there are when it begins, by rising id; what is written
 * meanwhile is new, and its turn comes in the next one. The manifest remembers where a round is, so
 * that a restart goes on with it. */
#ifndef FL_STORE_COLUMNAR_SCRUB_H
#define FL_STORE_COLUMNAR_SCRUB_H

#include "store/columnar/impl.h"

#define SCRUB_EVERY (6 * NS_PER_DAY) /* from one beginning to the next: a day for the reading */

struct scrub; /* where a round is; all but scrub_new and scrub_free by any thread */
struct scrub *scrub_new(void);    /* NULL: out of memory */
void scrub_free(struct scrub *x); /* NULL is fine */
/* The next block, or what stands around blocks. *ret_bytes: about what was read of the disk;
 * *ret_more: there is more to do now. What is damaged is counted and told, and is no failure.
 * ERR_IO, ERR_NOMEM: nothing was done, it can be tried again. */
int scrub_step(struct store *s, uint64_t *ret_bytes, bool *ret_more, struct err *err);

#endif
