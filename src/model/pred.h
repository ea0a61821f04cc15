/* pred.h: a filter as a tree of tests, evaluated on blocks a column at a time.
 *
 * Built by the query parser or by hand with the constructors below; immutable afterwards and shared
 * by threads. Semantics: query-language.md ("Filter", "Missing"). Two-valued: a test on an absent
 * or null value is false. Engines use pred_prune to skip blocks and pred_eval on the rest; on
 * dictionary columns a test runs once a distinct value. */
#ifndef FL_MODEL_PRED_H
#define FL_MODEL_PRED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/block.h"
#include "model/field.h"

struct pred;

/* ---- constructors; memory from the arena; NULL arguments give NULL; NULL = out of memory ---- */
struct pred *pred_true(struct arena *a);
struct pred *pred_false(struct arena *a);
struct pred *pred_and(struct arena *a, struct pred *x,
                      struct pred *y); /* x or y may be pred_true */
struct pred *pred_or(struct arena *a, struct pred *x, struct pred *y);
struct pred *pred_not(struct arena *a, struct pred *x);
struct pred *pred_eq(struct arena *a, enum field f, str whole_value); /* text or number, `f=v` */
struct pred *pred_glob(struct arena *a, enum field f, str pattern);   /* '*' only */
struct pred *pred_substr(struct arena *a, enum field f, str part, bool fold);
struct pred *pred_level_min(struct arena *a, enum level min);
struct pred *pred_level_is(struct arena *a, enum level lv);
/* from inclusive, to exclusive; TS_MIN / TS_MAX = open */
struct pred *pred_time(struct arena *a, ts_ns from, ts_ns to);
struct pred *pred_seq_range(struct arena *a, uint64_t from, uint64_t to_incl);
struct pred *pred_resolved(struct arena *a, bool resolved);
/* PCRE2, unanchored; flags "i" "m" "s"; refused constructs and bad patterns: ERR_INVALID with
 * err->pos in the pattern */
int pred_regex(struct pred **ret, struct arena *a, enum field f, str pattern, str flags,
               struct err *err);

/* ---- what the filter says about time and sequence, for planning ---- */
void pred_time_bounds(const struct pred *p, ts_ns *ret_min_incl, ts_ns *ret_max_incl);
void pred_seq_bounds(const struct pred *p, uint64_t *ret_min, uint64_t *ret_max);
/* does it test marks (resolved, resolved_by, resolved_at, note)? Then the engine must supply those
 * columns. */
bool pred_uses_marks(const struct pred *p);
/* is it "every row"? */
bool pred_is_true(const struct pred *p);

/* ---- evaluation ---- */
struct pred_run; /* scratch of one thread: regex match data, deadlines, counters */
int pred_run_new(struct pred_run **ret, struct err *err);
void pred_run_free(struct pred_run *r);
/* rows whose regex gave up (match limit) so far; they count as not matching */
uint64_t pred_run_gave_up(const struct pred_run *r);
/* out: bitmap of BITS_WORDS(b->n) words: the rows of `sel` (NULL = all) that match. ERR_TIMEOUT
 * when *cancel (may be NULL) became non-zero. */
int pred_eval(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
              struct pred_run *run, const volatile int *cancel, struct err *err);

/* ---- pruning: can any row of a block match, judging by statistics alone? ---- */
struct col_stats {
    enum vtype type;
    uint32_t nvals; /* 0: column absent from the block */
    bool all_rows;  /* every row has a value in this column */
    bool has_range; /* V_I64: imin/imax; V_F64: dmin/dmax; text: smin <= value (bytewise) and,
                       when !smax_open, value <= smax or value starts with smax */
    int64_t imin, imax;
    double dmin, dmax;
    str smin, smax;
    bool smax_open;
    void *handle; /* for the two filters below */
};
struct block_stats {
    uint32_t n;
    ts_ns t_min, t_max;
    uint64_t seq_min, seq_max;
    uint32_t level_mask; /* bit lv: some row has it; all ones when unknown */
    void *ctx;
    /* statistics of every physical column of a reference; returns how many (> max: as if unknown)
     */
    uint32_t (*find)(void *ctx, const struct fieldref *f, struct col_stats *ret, uint32_t max);
    /* false only when no value of that column has the token (token_hash) / equals (value_hash) */
    bool (*may_token)(void *ctx, const struct col_stats *c, uint64_t hash);
    bool (*may_value)(void *ctx, const struct col_stats *c, uint64_t hash);
    const struct id_gen *ids; /* the store's, so that made ids can be judged; NULL = unknown */
};
enum prune { PRUNE_NONE_MATCH, PRUNE_MAYBE };
enum prune pred_prune(const struct pred *p, const struct block_stats *st);

/* ---- the same for all blocks of a segment at a time, by the segment's indexes ---- */
struct text_keys; /* codec/gram.h */
struct index_col {
    enum vtype type;
    uint32_t column; /* for narrow() */
};
struct index_view {
    uint32_t nblocks;
    const struct id_gen *ids;
    void *ctx;
    /* physical columns of a reference in any of the blocks; returns how many (> max: as if unknown)
     */
    uint32_t (*find)(void *ctx, const struct fieldref *f, struct index_col *ret, uint32_t max);
    /* clears the bits of blocks in which no text of the column can have all the keys */
    void (*narrow)(void *ctx, const struct index_col *c, const struct text_keys *k,
                   uint64_t *maybe);
    /* ... no row with a level in mask; ... not the row with this sequence number */
    void (*narrow_levels)(void *ctx, uint32_t mask, uint64_t *maybe);
    void (*narrow_seq)(void *ctx, uint64_t seq, uint64_t *maybe);
};
/* Bitmap of the blocks that may hold a matching row, in the arena; NULL = out of memory. */
uint64_t *pred_blocks(const struct pred *p, const struct index_view *v, struct arena *a);

/* for explain and tests: "(level>=warn AND message:word(refused))" */
void pred_put_text(struct buf *b, const struct pred *p);
/* JSON array, one object a leaf: {"test":"...","indexes":["token filter", ...]}: what pruning can
 * use */
void pred_put_tests(struct buf *b, const struct pred *p);

#endif
