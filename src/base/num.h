/* num.h: decimal text to double and back, exact and independent of the locale.
 *
 * Reading is correctly rounded; writing gives the fewest digits that read back to the same double,
 * and of those the nearest. Pure; thread-safe. */
#ifndef FL_BASE_NUM_H
#define FL_BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* A decimal number as scanned: (-1)^neg * man * 10^exp10, plus a tail when cut is set. */
struct num_dec {
    uint64_t man;  /* the first 19 significant digits */
    int64_t exp10; /* saturated at +-1e9 */
    int digits;    /* significant digits in man: no leading zeros; 0 for zero */
    bool neg;
    bool cut;      /* non-zero digits beyond the 19th were left out of man */
    bool integral; /* neither fraction nor exponent */
};

/* JSON's number grammar over the whole of s; false when it is not that. */
bool num_scan(str s, struct num_dec *ret);
/* The nearest double of what num_scan made of text; infinite when too large. */
double num_to_f64(const struct num_dec *dec, str text);
/* d > 0, finite: d = *ret_man * 10^*ret_exp10 with the fewest digits (no trailing zeros). */
void num_shortest(double d, uint64_t *ret_man, int *ret_exp10);

#endif
