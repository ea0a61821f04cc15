/* str.h: a borrowed byte string {pointer, length}, passed by value.
 *
 * A str owns nothing and is not NUL-terminated; whoever made it says how long it lives.
 * The empty string may have a NULL pointer. Bytes are bytes: no encoding is implied.
 * All functions are thread-safe (pure). */
#ifndef FL_BASE_STR_H
#define FL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct str {
    const char *p;
    size_t n;
} str;

#define STR(lit) ((str){ "" lit, sizeof(lit) - 1 })
#define STR_NULL ((str){ NULL, 0 })
/* for printf: printf("%.*s", STR_FMT(s)) */
#define STR_FMT(s) (int)(s).n, (s).p ? (s).p : ""

static inline str str_c(const char *z)
{
    return z ? (str){ z, strlen(z) } : STR_NULL;
}
static inline str str_n(const char *p, size_t n)
{
    return (str){ p, n };
}
static inline bool str_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
/* bytewise order, shorter first on a common prefix: <0, 0, >0 */
static inline int str_cmp(str a, str b)
{
    size_t m = a.n < b.n ? a.n : b.n;
    int c = m ? memcmp(a.p, b.p, m) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}
static inline bool str_starts(str s, str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
static inline bool str_ends(str s, str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}
static inline str str_sub(str s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (str){ s.p + from, n };
}
static inline str str_skip(str s, size_t n)
{
    return str_sub(s, n, s.n);
}

/* ASCII case-insensitive equality */
bool str_eq_ci(str a, str b);
/* offset of needle in s, or SIZE_MAX */
size_t str_find(str s, str needle);
/* offset of byte c in s, or SIZE_MAX */
size_t str_chr(str s, char c);
/* without leading and trailing ASCII white space */
str str_trim(str s);
/* Cuts the piece before the next `sep` off *rest into *ret; false when *rest is exhausted
 * (rest->p == NULL). "a,,b" gives "a", "", "b". */
bool str_split(str *rest, char sep, str *ret);
/* whole-string decimal parse with range check; false when s is not exactly a number */
bool str_to_i64(str s, int64_t *ret);
bool str_to_u64(str s, uint64_t *ret);
/* whole-string decimal/exponent parse as JSON's grammar plus a leading '+'; no hex, inf or nan */
bool str_to_f64(str s, double *ret);

#endif
