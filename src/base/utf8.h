/* utf8.h: validity, stepping and the frozen case folding used by search.
 *
 * Folding table version 1: simple case folding of Unicode (one code point to one), through
 * utf8proc for non-ASCII, restricted to foldings that keep the UTF-8 byte length, so that
 * offsets in folded text are offsets in the original. */
#ifndef FL_BASE_UTF8_H
#define FL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define FOLD_VERSION 1

bool utf8_valid(str s);        /* strict: no surrogates, no overlong, <= U+10FFFF */
size_t utf8_invalid_at(str s); /* offset of the first bad byte, or SIZE_MAX */
/* Next code point at *pos (< s.n, valid UTF-8 assumed; bad bytes come as U+FFFD, one at a time). */
uint32_t utf8_next(str s, size_t *pos);
size_t utf8_put(uint32_t cp, char out[4]); /* bytes written */
/* Folds s into out (s.n bytes of room); out gets exactly s.n bytes. */
void utf8_fold(str s, char *out);
bool utf8_is_ascii(str s);
uint32_t utf8_fold_cp(uint32_t cp);
/* simple mappings to the other case, which may change the length of the text */
uint32_t utf8_lower_cp(uint32_t cp);
uint32_t utf8_upper_cp(uint32_t cp);
bool utf8_is_alnum(uint32_t cp); /* letter or digit of any script */
bool utf8_is_cjk(uint32_t cp);   /* ideographs, kana, hangul: tokenised by bigram */
int utf8_width(uint32_t cp);     /* terminal columns: 0, 1 or 2 */
/* s without the byte order mark some editors and shells put before a text */
static inline str utf8_past_bom(str s)
{
    return str_starts(s, STR("\xef\xbb\xbf")) ? str_skip(s, 3) : s;
}

#endif
