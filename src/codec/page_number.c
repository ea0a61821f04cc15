/* page_number.c: texts that are integers, as an integer would be written.
 *
 *   PE_NUMBERS   exceptions stream(n - exceptions)
 *
 * Digits without leading zeros, a minus before all but zero, within int64. */
#include "codec/page_impl.h"

#define NUMBER_MAX 20 /* characters */

/* whether s is exactly what writing *ret gives */
static bool canonical_int(str s, int64_t *ret)
{
    bool neg = s.n && s.p[0] == '-';
    size_t at = neg;
    if (s.n == at || s.n > NUMBER_MAX || (s.p[at] == '0' && s.n > 1))
        return false;
    for (size_t i = at; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return str_to_i64(s, ret);
}

bool page_put_numbers(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    uint32_t m = 0, nexc = 0;
    size_t mark = s->pool_used;
    int64_t *x = ints_take(s, n);
    for (uint32_t i = 0; i < n; i++)
        if (canonical_int(v[i], &x[m])) {
            m++;
        } else if (nexc < PAGE_EXCEPTIONS(n)) {
            s->pos[nexc++] = i;
        } else {
            s->pool_used = mark;
            return false;
        }
    page_put_exceptions(s, out, v, nexc);
    ints_put(s, out, x, m);
    s->pool_used = mark;
    return true;
}

static char *put_number(char *p, int64_t v)
{
    char digits[NUMBER_MAX];
    uint32_t n = 0;
    uint64_t x = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        digits[n++] = (char)('0' + x % 10);
    while (x /= 10);
    if (v < 0)
        *p++ = '-';
    while (n)
        *p++ = digits[--n];
    return p;
}

int page_get_numbers(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp,
                     struct texts *ret, struct err *err)
{
    struct exceptions x;
    int rc = page_get_exceptions(r, n, tmp, &x, err);
    if (rc)
        return rc;
    int64_t *v = arena_array(tmp, n, sizeof *v);
    char *text = arena_alloc(a, (size_t)(n - x.n) * NUMBER_MAX + (size_t)x.bytes + 1), *p = text;
    if (!v || !text)
        return err_nomem(err);
    rc = ints_get(r, n - x.n, v, tmp, err);
    if (rc)
        return rc;
    for (uint32_t i = 0, k = 0, e = 0; i < n; i++) {
        ret->off[i] = (uint32_t)(p - text);
        p = e < x.n && x.pos[e] == i ? page_put_exception(p, &x, e++) : put_number(p, v[k++]);
    }
    ret->off[n] = (uint32_t)(p - text);
    ret->bytes = text;
    return 0;
}
