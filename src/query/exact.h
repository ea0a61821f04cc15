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
/* What exact_add_f64 does, without a call for the usual decimal. */
static inline bool exact_add_decimal(struct exact_sum *s, double v)
{
    /* below 2^51 adding and taking away 1.5 * 2^52 rounds to the nearest integer, ties to even */
    const double round = 6755399441055744.0, most = 2251799813685248.0;
    double scaled = v * 1e6;
    if (scaled > -most && scaled < most) {
        double whole = (scaled + round) - round;
        if (whole / 1e6 == v) {
            s->scaled += (int64_t)whole;
            s->n++;
            return true;
        }
    }
    return exact_add_f64(s, v);
}
/* adds all of from */
bool exact_merge(struct exact_sum *s, const struct exact_sum *from);
void exact_deinit(struct exact_sum *s);
double exact_f64(const struct exact_sum *s);
/* the sum as an integer where it is one, else as a double */
struct val exact_val(const struct exact_sum *s);

void exact_big_add(struct exact_big *b, double v);
void exact_big_merge(struct exact_big *into, const struct exact_big *from);
/* hi + lo is the sum to about 106 bits */
void exact_big_get(const struct exact_big *b, double *hi, double *lo);

#endif
