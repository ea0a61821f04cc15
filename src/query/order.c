/* order.c: the one order of values: missing < false < true < numbers < strings by bytes < json. */
#include <math.h>

#include "base/num.h"
#include "query/internal.h"

static int rank(const struct val *v)
{
    switch (v->t) {
    case V_NULL: return 0;
    case V_BOOL: return 1;
    case V_I64:
    case V_F64:
    case V_NUM: return 2;
    case V_STR: return 3;
    default: return 4;
    }
}

bool val_is_num(const struct val *v, double *ret)
{
    struct num_dec dec;
    switch (v->t) {
    case V_I64: *ret = (double)v->i; return true;
    case V_F64: *ret = v->d; return true;
    case V_NUM:
        if (!num_scan(v->s, &dec))
            return false;
        *ret = num_to_f64(&dec, v->s);
        return true;
    default: return false;
    }
}

/* an integer against a double, exactly */
static int cmp_i64_f64(int64_t i, double d)
{
    if (d >= 9223372036854775808.0)
        return -1;
    if (d < -9223372036854775808.0)
        return 1;
    double whole = floor(d);
    int64_t w = (int64_t)whole;
    if (i != w)
        return i < w ? -1 : 1;
    return d > whole ? -1 : 0;
}

static int cmp_num(const struct val *a, const struct val *b)
{
    double x, y;
    if (a->t == V_I64 && b->t == V_I64)
        return (a->i > b->i) - (a->i < b->i);
    if (a->t == V_I64 && b->t == V_F64)
        return cmp_i64_f64(a->i, b->d);
    if (a->t == V_F64 && b->t == V_I64)
        return -cmp_i64_f64(b->i, a->d);
    if (val_is_num(a, &x) && val_is_num(b, &y) && x != y)
        return x < y ? -1 : 1;
    if (a->t == V_NUM && b->t == V_NUM)
        return str_cmp(a->s, b->s);
    return (a->t == V_NUM) - (b->t == V_NUM);
}

int val_cmp(const struct val *a, const struct val *b)
{
    int ra = rank(a), rb = rank(b);
    if (ra != rb)
        return ra < rb ? -1 : 1;
    switch (ra) {
    case 0: return 0;
    case 1: return (int)a->b - (int)b->b;
    case 2: return cmp_num(a, b);
    default: return str_cmp(a->s, b->s);
    }
}

struct val val_normal(struct val v)
{
    if (v.t == V_F64 && v.d == floor(v.d) && fabs(v.d) < 9223372036854775808.0)
        return (struct val){ .t = V_I64, .i = (int64_t)v.d };
    return v;
}
