/* spill.h: where queries put what does not fit their memory budget.
 *
 * One area a server: the directory `tmp` below the io's root, emptied when the area is opened. What
 * lies there is of no use to anybody but the query that wrote it; nothing is synced, and a query
 * removes its files when it ends. Thread-safe. */
#ifndef FL_QUERY_SPILL_H
#define FL_QUERY_SPILL_H

#include <stdint.h>

#include "base/err.h"

struct io;
struct spill_area;

#define SPILL_DIR "tmp"
#define SPILL_MAX_DEFAULT ((uint64_t)16 << 30)

/* reserve: free space that has to remain; UINT64_MAX = max(256 MiB, 2 % of the disk). query_max:
 * bytes of one query on the disk at a time; 0 = SPILL_MAX_DEFAULT. The io must outlive the area. */
int spill_area_open(struct spill_area **ret, struct io *io, uint64_t reserve, uint64_t query_max,
                    struct err *err);
void spill_area_close(struct spill_area *a); /* NULL is fine; no query may be running */
/* bytes written since it was opened */
uint64_t spill_area_written(const struct spill_area *a);

#endif
