/* pred_num.c: bounds as intervals over int64 and over double, exactly.
 *
 * `x > 9007199254740993` must not be decided after rounding the bound to a double, nor `x >= 2.5`
 * after cutting it to an integer: each bound gives the first value of either type that satisfies
 * it. */
#include <math.h>

#include "base/num.h"
#include "model/pred_int.h"

static const double two63 = 9223372036854775808.0;

struct num_range range_all(void)
{
    return (struct num_range){ INT64_MIN, INT64_MAX, -INFINITY, INFINITY };
}

static void range_none(struct num_range *r)
{
    *r = (struct num_range){ 1, 0, 1, 0 };
}

/* Is (double)v above, equal to or below v? */
static int rounded(int64_t v)
{
    double d = (double)v;
    if (d >= two63)
        return 1;
    int64_t back = (int64_t)d;
    return (back > v) - (back < v);
}

void range_low(struct num_range *r, const struct pred_bound *b)
{
    if (b->open)
        return;
    if (b->integral) {
        double d = (double)b->i;
        int side = rounded(b->i);
        /* the smallest double >= i (or > i) */
        r->dlo = side < 0 || (side == 0 && !b->inclusive) ? nextafter(d, INFINITY) : d;
        if (!b->inclusive && b->i == INT64_MAX)
            r->ilo = 1, r->ihi = 0;
        else
            r->ilo = b->inclusive ? b->i : b->i + 1;
        return;
    }
    if (!b->inclusive && b->d == INFINITY) { /* a number too large for a double: nothing is above */
        range_none(r);
        return;
    }
    r->dlo = b->inclusive ? b->d : nextafter(b->d, INFINITY);
    double c = ceil(b->d);
    if (!b->inclusive && c == b->d)
        c += 1;
    if (c >= two63)
        r->ilo = 1, r->ihi = 0;
    else
        r->ilo = c < -two63 ? INT64_MIN : (int64_t)c;
}

void range_high(struct num_range *r, const struct pred_bound *b)
{
    if (b->open || (r->ilo > r->ihi && r->dlo > r->dhi))
        return;
    bool ints_gone = r->ilo > r->ihi;
    if (b->integral) {
        double d = (double)b->i;
        int side = rounded(b->i);
        r->dhi = side > 0 || (side == 0 && !b->inclusive) ? nextafter(d, -INFINITY) : d;
        if (!b->inclusive && b->i == INT64_MIN)
            ints_gone = true;
        else
            r->ihi = b->inclusive ? b->i : b->i - 1;
    } else if (!b->inclusive && b->d == -INFINITY) {
        range_none(r);
        return;
    } else {
        r->dhi = b->inclusive ? b->d : nextafter(b->d, -INFINITY);
        double f = floor(b->d);
        if (!b->inclusive && f == b->d)
            f -= 1;
        if (f < -two63)
            ints_gone = true;
        else
            r->ihi = f >= two63 ? INT64_MAX : (int64_t)f;
    }
    if (ints_gone)
        r->ilo = 1, r->ihi = 0;
    if (r->ilo > r->ihi && !(r->dlo <= r->dhi))
        range_none(r);
}

bool pred_number(str s, struct pred_bound *ret)
{
    struct num_dec dec;
    if (s.n && s.p[0] == '+')
        s = str_skip(s, 1);
    if (!num_scan(s, &dec))
        return false;
    *ret = (struct pred_bound){ .inclusive = true };
    ret->integral = dec.integral && str_to_i64(s, &ret->i);
    ret->d = num_to_f64(&dec, s);
    /* 5.0 and 5e0 are the integer 5 */
    if (!ret->integral && ret->d == floor(ret->d) && fabs(ret->d) < 9007199254740992.0 &&
        !dec.cut) {
        ret->integral = true;
        ret->i = (int64_t)ret->d;
    }
    return true;
}
