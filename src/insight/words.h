/* words.h: figures as people read them, and texts of strangers made harmless. Pure. */
#ifndef FL_INSIGHT_WORDS_H
#define FL_INSIGHT_WORDS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"

#define WORD_MAX 48
struct word {
    char z[WORD_MAX];
};
struct word word_count(double n);     /* "1,234,567" */
struct word word_number(double n);    /* "0.28" "51.6" "1,234" */
struct word word_share(double share); /* "3.1 %" of 0.031; "<0.1 %" */
struct word word_ms(double ms);       /* "0.4 ms" "850 ms" "2.4 s" "3 min 12 s" "2 h 05 min" */
struct word word_usd(double usd);     /* "$1.24", "$0.0012" */
struct word word_time(ts_ns t);       /* "2026-11-21 10:00:05" */
struct word word_minute(ts_ns t);     /* "2026-11-21 10:00" */
/* "5 min", "24 h", "7 days": a whole number where it is one */
struct word word_span(int64_t ns);
/* how `now` is to `before`: "+14 %", "3.2x", "-40 %", "same", "new" (there was none) */
struct word word_change(double now, double before);
/* "entry" or "entries" by n */
static inline const char *word_plural(double n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}
/* at most `max` characters of s, whole ones; *cut says whether that is less than all */
str word_cut(str s, size_t max, bool *cut);
/* The next character of s at *i as it may be shown: 0 and the character's own bytes in *ret, or,
 * for what would control a terminal or turn text around, 1 and its code. s is UTF-8. */
int word_next(str s, size_t *i, str *ret, uint32_t *ret_code);

#endif
