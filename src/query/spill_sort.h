/* spill_sort.h: rows of one operator on the disk: sorted runs, merged when they are read.
 *
 * External merge sort (Knuth, TAOCP vol. 3, 5.4): every time its memory is full the operator puts
 * its rows in order and writes them as one run; at the end all runs are merged, at most FAN_IN at a
 * time, in several passes when there are more. A run is a file of frames
 *
 *   u32 length, u32 crc32c of what follows, rows one behind another
 *
 * and a row is a struct kept: its times and numbers, its keys, its cells. Column numbers are those
 * of the run (struct colkeys). A frame holds at least one row. */
#ifndef FL_QUERY_SPILL_SORT_H
#define FL_QUERY_SPILL_SORT_H

#include "base/rd.h"
#include "query/internal.h"
#include "query/spill.h"

struct spill_file {
    uint64_t number, bytes;
};
struct spill_reader;

struct spill {
    struct run *r;
    const char *pipe;
    uint32_t nkeys; /* a row */
    /* the order of all rows; it only looks at what a row on the disk has */
    int (*cmp)(const void *arg, const struct kept *x, const struct kept *y);
    const void *arg;
    struct spill_file *files;
    uint32_t n, cap;
    struct spill_file now; /* being written */
    struct io_file *out;
    struct buf frame;
    struct spill_reader **heap; /* being merged, the first row on top */
    uint32_t nheap;
    uint64_t rows; /* handed out */
    bool on;       /* set up */
};

/* Is it time to write for an operator that holds `own` bytes? */
bool spill_due(struct run *r, size_t own);
/* A chunk in pieces so small that rows of this size do not fill the memory before it is looked at.
 */
int spill_slices(struct run *r, const struct chunk *c, size_t row,
                 int (*fn)(void *arg, const struct chunk *c, struct err *err), void *arg,
                 struct err *err);
void spill_init(struct spill *s, struct run *r, const char *pipe, uint32_t nkeys,
                int (*cmp)(const void *, const struct kept *, const struct kept *),
                const void *arg);
/* removes its files */
void spill_deinit(struct spill *s);
static inline bool spill_used(const struct spill *s)
{
    return s->n > 0;
}
/* A run is begun by its first row, which come in order, and ended. */
int spill_put(struct spill *s, const struct kept *k, struct err *err);
int spill_end(struct spill *s, struct err *err);
/* All runs as one: 0 = a row, valid until the next call; 1 = end; < 0 error. */
int spill_merge(struct spill *s, struct err *err);
int spill_next(struct spill *s, const struct kept **ret, struct err *err);
/* The rows of all runs, in order, into the next operator: `max` of them. */
int spill_push(struct spill *s, struct op *next, uint64_t max, struct err *err);
/* a key as part of an order that keeps apart whatever differs */
int spill_key_cmp(const struct val *x, const struct val *y);

/* a value as bytes; what was read is borrowed from them */
void spill_put_val(struct buf *b, const struct val *v);
struct val spill_get_val(struct rd *rd);

#endif
