/* exact.h: sums that do not depend on the order of their terms.
 *
 * Decimals of up to six places are added as scaled integers, which is exact; every other number
 * goes into a fixed-point register wide enough for any double, which is exact too. Either way the
 * result is rounded once, at the end, so that every storage state gives the same answer. */
#ifndef FL_QUERY_EXACT_H
#define FL_QUERY_EXACT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/block.h"

#define EXACT_LIMBS 74 /* 32 bits each in 64-bit words: 2^-1152 .. 2^1216 */

struct exact_big {
    int64_t limb[EXACT_LIMBS];
    uint32_t pending; /* additions since carries were last resolved */
};

struct exact_sum {
    __int128 scaled;       /* millionths */
    struct exact_big *big; /* NULL until a number does not fit; mem_free it */
    uint64_t n;
};

bool exact_add_i64(struct exact_sum *s, int64_t v);
bool exact_add_f64(struct exact_sum *s, double v); /* false: out of memory */
void exact_deinit(struct exact_sum *s);
double exact_f64(const struct exact_sum *s);
/* the sum as an integer where it is one, else as a double */
struct val exact_val(const struct exact_sum *s);

void exact_big_add(struct exact_big *b, double v);
/* hi + lo is the sum to about 106 bits */
void exact_big_get(const struct exact_big *b, double *hi, double *lo);

#endif
