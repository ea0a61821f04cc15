/* batch.h: entries on their way in: built as columns, encoded once, read as blocks ever after.
 *
 * A decoder fills a batch (memory from one arena). batch_encode writes the payload described in
 * docs/format/batch.md: that byte string is what the WAL stores and what the memtable keeps, so a
 * replay runs no decoder. payload_block reads it without copying text. */
#ifndef FL_MODEL_BATCH_H
#define FL_MODEL_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/block.h"

struct batch;

/* One column being built. Only batch.c and the inline functions below look inside. */
struct bcol {
    const uint32_t *row; /* the batch's current row */
    uint32_t n, cap;     /* values */
    uint32_t *rows;      /* row of each value, rising */
    union {
        int64_t *i64;
        double *f64;
        str *text;
        void *vals;
    };
    str key;
    enum vtype type;
    uint32_t pos;       /* encode: first value not yet written */
    struct bcol *after; /* the column that came next last time */
    struct batch *b;
};

/* Every value's text is borrowed until batch_encode. */
int batch_new(struct batch **ret, struct arena *a, struct err *err);
/* Finds or makes the column (key, type). The key is copied when new. NULL: out of memory or more
 * than BATCH_COLS_MAX columns. Rows tend to repeat the same columns in the same order; the lookup
 * guesses that first and then costs one comparison. */
#define BATCH_COLS_MAX 16384
struct bcol *batch_col(struct batch *b, str key, enum vtype type);
/* Values of the current row. A second value for the same (column, row) replaces the first. False:
 * out of memory. */
bool bcol_grow(struct bcol *c);
/* does the current row already have a value in this column? */
static inline bool bcol_has(const struct bcol *c)
{
    return c->n && c->rows[c->n - 1] == *c->row;
}
/* index of the current row's value, made when there is none; UINT32_MAX when out of memory */
static inline uint32_t bcol_slot(struct bcol *c)
{
    if (!c)
        return UINT32_MAX;
    if (bcol_has(c))
        return c->n - 1;
    if (c->n == c->cap && !bcol_grow(c))
        return UINT32_MAX;
    c->rows[c->n] = *c->row;
    return c->n++;
}
static inline bool bcol_put_i64(struct bcol *c,
                                int64_t v) /* also V_BOOL (0/1) and V_NULL (ignored) */
{
    uint32_t k = bcol_slot(c);
    if (k != UINT32_MAX && c->type != V_NULL)
        c->i64[k] = v;
    return k != UINT32_MAX;
}
static inline bool bcol_put_f64(struct bcol *c, double v)
{
    uint32_t k = bcol_slot(c);
    if (k != UINT32_MAX)
        c->f64[k] = v;
    return k != UINT32_MAX;
}
static inline bool bcol_put_text(struct bcol *c, str v) /* V_STR V_JSON V_NUM */
{
    uint32_t k = bcol_slot(c);
    if (k != UINT32_MAX)
        c->text[k] = v;
    return k != UINT32_MAX;
}
/* Closes the current row / takes all its values back. */
void batch_end_row(struct batch *b);
void batch_undo_row(struct batch *b);
uint32_t batch_rows(const struct batch *b);
/* number of rows to keep: takes back every row from `rows` on (for all-or-nothing requests) */
void batch_truncate(struct batch *b, uint32_t rows);

/* Appends the payload, in room of its size: it stays in memory until it is flushed. */
int batch_encode(struct batch *b, struct buf *out, struct err *err);

/* ---- reading a payload ---- */
#define PAYLOAD_BLOCKS_MAX 65536
struct payload_info {
    uint32_t nblocks;
    uint32_t rows;
};
/* Checks the frame of a payload (not every value) and counts. ERR_CORRUPT. */
int payload_info(str payload, struct payload_info *ret, struct err *err);
/* Opens block i (in order of rows) as a struct block in `arena`; row r of it has
 * seq = base_seq + rows of earlier blocks + r and the given received_at. Everything is
 * bounds-checked: hostile bytes give ERR_CORRUPT, never a wild read. */
int payload_block(str payload, uint32_t i, uint64_t base_seq, ts_ns received_at,
                  struct arena *arena, struct block **ret, struct err *err);
/* calls fn for each block in turn, sharing one walk over the payload */
int payload_each(str payload, uint64_t base_seq, ts_ns received_at, struct arena *arena,
                 int (*fn)(void *arg, struct block *b, struct err *err), void *arg,
                 struct err *err);

#endif
