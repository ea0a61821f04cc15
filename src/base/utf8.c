/* utf8.c: 16 ASCII bytes at a time where possible, code point by code point elsewhere. */
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* how many of the next bytes are ASCII, found by blocks: a multiple of 8, or less than 8 remain */
static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; n - i >= 64; i += 64) {
        const __m128i *v = (const __m128i *)(const void *)(p + i);
        __m128i any = _mm_or_si128(_mm_or_si128(_mm_loadu_si128(v), _mm_loadu_si128(v + 1)),
                                   _mm_or_si128(_mm_loadu_si128(v + 2), _mm_loadu_si128(v + 3)));
        if (_mm_movemask_epi8(any))
            break;
    }
    for (; n - i >= 16; i += 16) {
        int high = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (high)
            return i + (size_t)__builtin_ctz((unsigned)high);
    }
#endif
    for (; n - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        if (w & 0x8080808080808080ull)
            break;
    }
    while (i < n && !(p[i] & 0x80))
        i++;
    return i;
}

/* Length of the well-formed sequence at p (RFC 3629 table 3-7), 0 when there is none; n > 0. */
static inline size_t sequence(const unsigned char *p, size_t n, uint32_t *ret_cp)
{
    unsigned c = p[0];
    if (c < 0x80) {
        *ret_cp = c;
        return 1;
    }
    if (c < 0xc2 || c > 0xf4 || n < 2)
        return 0;
    unsigned c1 = p[1];
    if ((c1 & 0xc0) != 0x80)
        return 0;
    if (c < 0xe0) {
        *ret_cp = (c & 0x1f) << 6 | (c1 & 0x3f);
        return 2;
    }
    if (n < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (c < 0xf0) {
        uint32_t cp = (c & 0x0f) << 12 | (c1 & 0x3f) << 6 | (p[2] & 0x3fu);
        *ret_cp = cp;
        return cp < 0x800 || (cp >= 0xd800 && cp <= 0xdfff) ? 0 : 3;
    }
    if (n < 4 || (p[3] & 0xc0) != 0x80)
        return 0;
    uint32_t cp = (c & 0x07) << 18 | (c1 & 0x3f) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    *ret_cp = cp;
    return cp < 0x10000 || cp > 0x10ffff ? 0 : 4;
}

size_t utf8_invalid_at(str s)
{
    size_t i = 0;
    while (i < s.n) {
        if (!(s.p[i] & 0x80)) {
            i += ascii_run(s.p + i, s.n - i);
            continue;
        }
        uint32_t cp;
        size_t n = sequence((const unsigned char *)s.p + i, s.n - i, &cp);
        if (!n)
            return i;
        i += n;
    }
    return SIZE_MAX;
}

bool utf8_valid(str s)
{
    return utf8_invalid_at(s) == SIZE_MAX;
}

bool utf8_is_ascii(str s)
{
    return s.n == 0 || ascii_run(s.p, s.n) == s.n;
}

uint32_t utf8_next(str s, size_t *pos)
{
    uint32_t cp;
    size_t n = sequence((const unsigned char *)s.p + *pos, s.n - *pos, &cp);
    *pos += n ? n : 1;
    return n ? cp : 0xfffd;
}

size_t utf8_put(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if ((cp >= 0xd800 && cp <= 0xdfff) || cp > 0x10ffff)
        cp = 0xfffd;
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

static size_t encoded_len(uint32_t cp)
{
    return cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
}

uint32_t utf8_lower_cp(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp | 0x20 : cp;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

uint32_t utf8_upper_cp(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'a' && cp <= 'z' ? cp & ~0x20u : cp;
    return (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp);
}

/* Ranges without case: punctuation, CJK, Hangul, full-width punctuation, emoji. Only for speed. */
static bool caseless(uint32_t cp)
{
    return (cp >= 0x2000 && cp < 0x2126) || (cp >= 0x2e80 && cp < 0xa640) ||
           (cp >= 0xac00 && cp < 0xfb00) || (cp >= 0xff00 && cp < 0xff21) || cp >= 0x1f000;
}

uint32_t utf8_fold_cp(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    if (caseless(cp))
        return cp;
    /* utf8proc knows full folding (C and F of CaseFolding.txt). Where that gives several code
     * points, the simple folding (S) is the lower-case mapping. */
    utf8proc_int32_t to[8];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)cp, to, 8, UTF8PROC_CASEFOLD, &boundary);
    uint32_t folded = (uint32_t)(n == 1 ? to[0] : utf8proc_tolower((utf8proc_int32_t)cp));
    return encoded_len(folded) == encoded_len(cp) ? folded : cp;
}

void utf8_fold(str s, char *out)
{
    size_t i = 0;
    while (i < s.n) {
#if defined(__SSE2__)
        for (; s.n - i >= 16; i += 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
            if (_mm_movemask_epi8(v))
                break;
            __m128i upper = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('A' - 1)),
                                          _mm_cmplt_epi8(v, _mm_set1_epi8('Z' + 1)));
            v = _mm_or_si128(v, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
            _mm_storeu_si128((__m128i *)(void *)(out + i), v);
        }
#endif
        for (; i < s.n && !(s.p[i] & 0x80); i++)
            out[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
        while (i < s.n && (s.p[i] & 0x80)) {
            uint32_t cp;
            size_t n = sequence((const unsigned char *)s.p + i, s.n - i, &cp);
            if (n)
                utf8_put(utf8_fold_cp(cp), out + i);
            else
                out[i] = s.p[i];
            i += n ? n : 1;
        }
    }
}

bool utf8_is_alnum(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= '0' && cp <= '9') || ((cp | 32) >= 'a' && (cp | 32) <= 'z');
    if (cp > 0x10ffff)
        return false;
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) || c == UTF8PROC_CATEGORY_ND ||
           c == UTF8PROC_CATEGORY_NL;
}

bool utf8_is_cjk(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } blocks[] = {
        { 0x1100, 0x11ff },   /* hangul jamo */
        { 0x3005, 0x3007 },   /* iteration mark, closing mark, zero */
        { 0x3021, 0x3029 },   /* hangzhou numerals */
        { 0x3031, 0x30ff },   /* repeat marks, kana */
        { 0x3105, 0x318e },   /* bopomofo, compatibility jamo */
        { 0x31a0, 0x31bf },   /* bopomofo extended */
        { 0x31f0, 0x31ff },   /* kana extensions */
        { 0x3400, 0x4dbf },   /* ideographs A */
        { 0x4e00, 0x9fff },   /* ideographs */
        { 0xa960, 0xa97f },   /* jamo A */
        { 0xac00, 0xd7ff },   /* hangul syllables, jamo B */
        { 0xf900, 0xfaff },   /* compatibility ideographs */
        { 0xff66, 0xffdc },   /* half-width kana and jamo */
        { 0x1aff0, 0x1b16f }, /* kana supplements */
        { 0x20000, 0x3ffff }, /* ideographs B and later */
    };
    if (cp < blocks[0].first)
        return false;
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (cp >= blocks[i].first && cp <= blocks[i].last)
            return utf8_is_alnum(cp); /* the blocks hold marks and punctuation too */
    return false;
}

int utf8_width(uint32_t cp)
{
    return cp > 0x10ffff ? 0 : utf8proc_charwidth((utf8proc_int32_t)cp);
}
