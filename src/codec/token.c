/* token.c: cutting text into tokens, code point by code point for queries, by 64-byte masks for
 * indexing.
 *
 * token_hashes turns each block of 64 ASCII bytes into a word with a bit for every letter or digit;
 * tokens are its runs of ones, found by counting zeros, and a run that touches the block's end is
 * carried into the next. A block with a byte from 0x80 on is left to the iterator, which goes on
 * to the first token boundary after it. Both give the same tokens in the same order. */
#include "codec/token.h"

#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define VALUE_SEED 0x65756c6176ull /* a value's hash is not that of the one token it holds */

enum kind { SEPARATOR, ASCII, OTHER, CJK };

static inline bool ascii_alnum(unsigned char c)
{
    return (unsigned char)(c - '0') <= 9 || (unsigned char)((c | 32) - 'a') <= 25;
}

/* the kind of the code point at *pos, moving past it */
static inline enum kind kind_next(str s, size_t *pos)
{
    unsigned char c = (unsigned char)s.p[*pos];
    if (c < 0x80) {
        ++*pos;
        return ascii_alnum(c) ? ASCII : SEPARATOR;
    }
    uint32_t cp = utf8_next(s, pos);
    return !utf8_is_alnum(cp) ? SEPARATOR : utf8_is_cjk(cp) ? CJK : OTHER;
}

void token_start(struct token_iter *it, str text)
{
    *it = (struct token_iter){ .text = text, .cjk_run_start = SIZE_MAX };
}

/* In a CJK run pos stands after a character that begins at cjk_run_start: the next bigram is that
 * one with the one at pos, if the run goes on. */
static bool next_bigram(struct token_iter *it, struct token *ret)
{
    size_t from = it->cjk_run_start, second = it->pos, pos = second;
    if (pos < it->text.n && kind_next(it->text, &pos) == CJK) {
        *ret = (struct token){ from, pos - from };
        it->cjk_run_start = second;
        it->pos = pos;
        return true;
    }
    it->cjk_run_start = SIZE_MAX; /* every character of the run was in a bigram */
    return false;
}

bool token_next(struct token_iter *it, struct token *ret)
{
    str s = it->text;
    if (it->cjk_run_start != SIZE_MAX && next_bigram(it, ret))
        return true;
    while (it->pos < s.n) {
        size_t from = it->pos;
        enum kind kind = kind_next(s, &it->pos);
        if (kind == SEPARATOR)
            continue;
        if (kind == CJK) {
            it->cjk_run_start = from;
            if (next_bigram(it, ret))
                return true;
            *ret = (struct token){ from, it->pos - from };
            return true;
        }
        size_t to = it->pos;
        while (to < s.n && kind_next(s, &to) == kind)
            it->pos = to;
        *ret = (struct token){ from, it->pos - from };
        return true;
    }
    return false;
}

/* Folds at most TOKEN_MAX bytes of an ASCII token whose text has `room` readable bytes. */
static inline uint64_t hash_ascii(const char *p, size_t n, size_t room)
{
    char folded[TOKEN_MAX];
    if (n > TOKEN_MAX)
        n = TOKEN_MAX;
#if defined(__SSE2__)
    if (n <= 16 && room >= 16) {
        /* letters and digits only: 0x20 is set in digits anyway and turns upper into lower case */
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        _mm_storeu_si128((__m128i *)(void *)folded, _mm_or_si128(v, _mm_set1_epi8(0x20)));
        return hash64(folded, n);
    }
#endif
    (void)room;
    for (size_t i = 0; i < n; i++)
        folded[i] = (char)(p[i] | 0x20);
    return hash64(folded, n);
}

uint64_t token_hash(str s)
{
    char folded[TOKEN_MAX + 3]; /* a code point cut by the limit is folded whole, then cut */
    if (s.n > sizeof(folded))
        s.n = sizeof(folded);
    utf8_fold(s, folded);
    return hash64(folded, s.n < TOKEN_MAX ? s.n : TOKEN_MAX);
}

/* Tokens of text from *pos on by iterator, until one ends at or after `until` or a separator does;
 * *pos must be the start of a token or outside of one, and is so again afterwards. */
static void hashes_by_iterator(str text, size_t *pos, size_t until,
                               void (*fn)(void *arg, uint64_t hash), void *arg)
{
    struct token_iter it;
    struct token t;
    token_start(&it, text);
    it.pos = *pos;
    while (it.pos < until || it.cjk_run_start != SIZE_MAX) {
        if (!token_next(&it, &t)) {
            it.pos = text.n;
            break;
        }
        fn(arg, token_hash(str_n(text.p + t.off, t.len)));
    }
    *pos = it.pos;
}

#if defined(__SSE2__)
/* bit i: p[i] is an ASCII letter or digit; *ret_high: some byte is not ASCII */
static inline uint64_t alnum_mask(const char *p, bool *ret_high)
{
    uint64_t mask = 0;
    __m128i all = _mm_setzero_si128();
    for (int i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        __m128i alpha = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        alpha = _mm_cmpeq_epi8(_mm_min_epu8(alpha, _mm_set1_epi8(25)), alpha);
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(digit, alpha)) << (16 * i);
        all = _mm_or_si128(all, v);
    }
    *ret_high = _mm_movemask_epi8(all) != 0;
    return mask;
}

/* Blocks of 64, the last one filled up with zeros, which end a token; gives where the rest begins,
 * outside of any token: at most a token that ends with the text. */
static size_t hashes_by_blocks(str text, void (*fn)(void *arg, uint64_t hash), void *arg)
{
    size_t pos = 0;
    size_t open = SIZE_MAX; /* start of a token that reached the last block's end */
    char tail[64] = { 0 };
    while (pos < text.n) {
        bool high;
        const char *p = text.p + pos;
        if (text.n - pos < 64)
            p = memcpy(tail, p, text.n - pos);
        uint64_t mask = alnum_mask(p, &high);
        if (high) {
            if (open != SIZE_MAX)
                pos = open;
            open = SIZE_MAX;
            size_t until = pos + 64;
            hashes_by_iterator(text, &pos, until < text.n ? until : text.n, fn, arg);
            continue;
        }
        unsigned at = 0;
        if (open != SIZE_MAX) {
            if (mask == UINT64_MAX) {
                pos += 64;
                continue;
            }
            at = (unsigned)__builtin_ctzll(~mask);
            fn(arg, hash_ascii(text.p + open, pos + at - open, text.n - open));
            open = SIZE_MAX;
            mask &= UINT64_MAX << at;
        }
        while (mask) {
            unsigned from = (unsigned)__builtin_ctzll(mask);
            uint64_t rest = ~mask & UINT64_MAX << from; /* zeros after the run's start */
            if (!rest) {
                open = pos + from;
                break;
            }
            unsigned to = (unsigned)__builtin_ctzll(rest);
            fn(arg, hash_ascii(text.p + pos + from, to - from, text.n - pos - from));
            mask &= UINT64_MAX << to;
        }
        pos += 64;
    }
    return open != SIZE_MAX ? open : text.n;
}
#endif

void token_hashes(str text, void (*fn)(void *arg, uint64_t hash), void *arg)
{
    size_t pos = 0;
#if defined(__SSE2__)
    pos = hashes_by_blocks(text, fn, arg);
#endif
    hashes_by_iterator(text, &pos, text.n, fn, arg);
}

uint64_t value_hash(str value)
{
    return hash64_seed(value.p, value.n, VALUE_SEED);
}
