/* sketch.h: many numbers, or many different values, in bounded room.
 *
 * Both depend only on what was put in, not on the order nor on how it was divided before merging:
 * equal contents are equal bytes when saved. Neither uses a function of libm whose last bit may
 * differ between machines. A decision record says why these two (docs/decisions). */
#ifndef FL_QUERY_SKETCH_H
#define FL_QUERY_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rd.h"

/* ---- quantiles: counts of numbers in buckets of equal relative width ----
 *
 * A bucket holds the doubles that share sign, exponent and the first QSKETCH_BITS bits of the
 * mantissa; it stands for its middle. That is DDSketch with the linearly interpolated mapping:
 * whatever rank is asked for, the answer is within QSKETCH_ERROR of the number of that rank
 * (numbers below 2^-1022 aside, which are within 2^-1030). */
#define QSKETCH_BITS 7
#define QSKETCH_ERROR (1.0 / 256)

struct qstore {
    uint64_t *counts; /* of bucket lo + i */
    uint32_t lo, n;   /* n is 0 or room for that many */
};
struct qsketch {
    struct qstore pos, neg; /* by the absolute value */
    uint64_t zeros, n;      /* n: all of them */
    double min, max;
};
void qsketch_init(struct qsketch *s);
void qsketch_deinit(struct qsketch *s);
size_t qsketch_bytes(const struct qsketch *s); /* on the heap */
/* v is finite. false: out of memory */
bool qsketch_add(struct qsketch *s, double v);
bool qsketch_merge(struct qsketch *s, const struct qsketch *from);
/* the number of that rank, 0 .. n - 1 from below */
double qsketch_at(const struct qsketch *s, uint64_t rank);
void qsketch_save(const struct qsketch *s, struct buf *out);
/* Adds what was saved. False: not what was written, or out of memory. */
bool qsketch_load(struct qsketch *s, struct rd *in);

/* ---- distinct values: HyperLogLog, dense, 2^HLL_BITS registers of a byte ---- */
#define HLL_BITS 14
#define HLL_REGISTERS (1u << HLL_BITS)
#define HLL_ERROR 0.0081 /* standard error: 1.04 / sqrt(HLL_REGISTERS) */
#define HLL_HASH_SEED 0x666c686c6c763031ull

struct hll {
    uint8_t r[HLL_REGISTERS];
};
/* the hash of a value whose bytes these are; frozen */
uint64_t hll_hash(char type, const void *p, size_t n);
void hll_add(struct hll *h, uint64_t hash);
void hll_merge(struct hll *h, const struct hll *from);
uint64_t hll_count(const struct hll *h);
void hll_save(const struct hll *h, struct buf *out);
bool hll_load(struct hll *h, struct rd *in); /* merges; false: not what was written */

#endif
