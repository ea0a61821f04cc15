/* block.h: up to BLOCK_ROWS_MAX rows as columns, whoever stores them.
 *
 * A batch just decoded, a chunk of the memtable and a block of a segment all show this face; the
 * predicate evaluator, the query pipes, the live matcher and the views know only it. A block object
 * belongs to one thread; what it points to is immutable. Decoded columns live in the block's arena
 * until block_close. */
#ifndef FL_MODEL_BLOCK_H
#define FL_MODEL_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/field.h"

#define BLOCK_ROWS_MAX 8192
#define BLOCK_WORDS (BLOCK_ROWS_MAX / 64)

enum vtype {
    V_NULL = 0, /* JSON null was sent; only presence is stored */
    V_BOOL = 1,
    V_I64 = 2,
    V_F64 = 3,
    V_STR = 4,
    V_JSON = 5, /* array, or object kept whole: minified JSON text */
    V_NUM = 6,  /* a number neither int64 nor double keeps: its text */
    V__COUNT
};

/* one value; .s for V_STR V_JSON V_NUM, borrowed from the block */
struct val {
    enum vtype t;
    bool absent; /* no value here; t is then V_NULL */
    union {
        bool b;
        int64_t i;
        double d;
    };
    str s;
};
#define VAL_ABSENT ((struct val){ .t = V_NULL, .absent = true })

struct colinfo {
    str key;       /* column key, see field.h */
    uint64_t hash; /* field_dotted_hash(key) */
    enum vtype type;
    uint32_t nvals; /* rows that have a value */
};

/* A decoded column. Arrays are row-aligned: slot r is row r's, with anything where absent. */
struct colv {
    str key;
    enum vtype type;
    uint32_t n; /* rows of the block */
    uint32_t nvals;
    const uint64_t *present; /* BITS_WORDS(n) words; NULL = every row */
    const int64_t *i64;      /* V_I64 */
    const double *f64;       /* V_F64 */
    const uint8_t *b8;       /* V_BOOL: 0 or 1 */
    /* text: value k is bytes[off[k] .. off[k+1]); k = codes ? codes[row] : row */
    const uint32_t *codes;
    uint32_t ndict; /* distinct values when codes != NULL (k < ndict) */
    const uint32_t *off;
    const char *bytes;
};

struct block;
struct block_ops {
    /* decodes column c; the result lives in the block's arena */
    int (*load)(struct block *b, uint32_t c, struct colv *ret, struct err *err);
    void (*close)(struct block *b);
    /* one value of a column that is not decoded, where that is cheaper; may be NULL */
    int (*value)(struct block *b, uint32_t c, uint32_t row, struct val *ret, struct err *err);
    /* block_load_rows, where not decoding all rows is cheaper; may be NULL */
    int (*load_rows)(struct block *b, uint32_t c, const uint64_t *sel, const struct colv **ret,
                     struct err *err);
};

struct id_gen; /* ident.h */

struct block {
    uint32_t n;
    uint32_t ncols;
    const struct colinfo *cols;
    const struct colv **loaded; /* ncols slots, NULL = not decoded yet; managed by block_load */
    struct arena *arena;        /* where decoded columns go; not owned */
    ts_ns t_min, t_max;
    uint64_t seq_min, seq_max;
    const struct id_gen *ids; /* for ids the server made; may be NULL in tests */
    const struct block_ops *ops;
    void *impl;
};

static inline bool colv_has(const struct colv *c, uint32_t row)
{
    return !c->present || bit_get(c->present, row);
}
static inline str colv_text(const struct colv *c, uint32_t row)
{
    uint32_t k = c->codes ? c->codes[row] : row;
    return (str){ c->bytes + c->off[k], c->off[k + 1] - c->off[k] };
}
/* the row's value; VAL_ABSENT when there is none */
struct val colv_val(const struct colv *c, uint32_t row);

/* Physical columns that belong to a reference (several types, or a->b before a.b): indexes into
 * ->cols, at most max; returns how many there are. */
uint32_t block_find(const struct block *b, const struct fieldref *f, uint32_t *ret, uint32_t max);
/* decoded column c, cached in the block */
int block_load(struct block *b, uint32_t c, const struct colv **ret, struct err *err);
/* The same for who looks only at the rows of sel (presence and lengths are there for all): the text
 * of others may be missing. What was asked for before stays; not kept in b->loaded. */
int block_load_rows(struct block *b, uint32_t c, const uint64_t *sel, const struct colv **ret,
                    struct err *err);
/* One row's value in column c, VAL_ABSENT when there is none: for few rows of many columns. Text
 * lives until block_close. */
int block_value(struct block *b, uint32_t c, uint32_t row, struct val *ret, struct err *err);
/* The value of a field in a row: the first present one of its physical columns, else what lies
 * inside of arrays (inside.h). F_SEQ, F_ID
 * (derived when not stored), F_RECEIVED_AT always exist. Absent and out-of-memory both give
 * VAL_ABSENT with 0 and <0 as the return. */
int block_get(struct block *b, uint32_t row, const struct fieldref *f, struct val *ret,
              struct err *err);
/* the same for a canonical field */
int block_get_field(struct block *b, uint32_t row, enum field f, struct val *ret, struct err *err);
void block_close(struct block *b);

#endif
