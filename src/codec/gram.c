/* gram.c: see gram.h. The fast path of index building.
 *
 * A text is cut into lines; a line that stands in `seen` (a table of one place a hash, compared
 * byte by byte) was added already and is passed over: agents repeat their context turn by turn.
 * A line goes through the folding in pieces of at most PIECE bytes. A piece is followed by the two
 * bytes behind it, up to the end of their character, so that no gram is lost at a cut; it is cut
 * behind a separator, or, in a run without any, where a token is so long that only its first
 * TOKEN_MAX bytes count. */
#include "codec/gram.h"

#include <string.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/token.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define PIECE ((size_t)16 << 10)
#define SEEN (1u << 13)
#define SEEN_MIN 24 /* shorter lines are added again: looking them up costs as much */
#define WORDS (GRAM_ROWS / 64)

struct gram_sink {
    uint64_t bits[GRAM__PARTS][WORDS];
    str seen[SEEN];
    char folded[PIECE + 64 + 8];
};

struct gram_sink *gram_sink_new(void)
{
    return mem_zalloc(sizeof(struct gram_sink));
}

void gram_sink_free(struct gram_sink *s)
{
    mem_free(s);
}

void gram_sink_reset(struct gram_sink *s)
{
    memset(s->bits, 0, sizeof s->bits);
    memset(s->seen, 0, sizeof s->seen);
}

/* ---- tokens of folded text ---- */

struct masks { /* of 64 bytes: letters and digits of ASCII, and digits alone */
    uint64_t alnum, digit;
};

static struct masks masks_of(const char *p)
{
    struct masks m = { 0, 0 };
#if defined(__SSE2__)
    for (int i = 0; i < 4; i++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        __m128i d = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        __m128i a = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        d = _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8(9)), d);
        a = _mm_cmpeq_epi8(_mm_min_epu8(a, _mm_set1_epi8(25)), a);
        m.digit |= (uint64_t)(unsigned)_mm_movemask_epi8(d) << (16 * i);
        m.alnum |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(a, d)) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) {
        unsigned char c = (unsigned char)p[i];
        bool digit = (unsigned char)(c - '0') <= 9, alpha = (unsigned char)((c | 32) - 'a') <= 25;
        m.digit |= (uint64_t)digit << i;
        m.alnum |= (uint64_t)(digit || alpha) << i;
    }
#endif
    return m;
}

static bool digit_within(const char *p, size_t n)
{
    for (size_t i = 0; i < n && i < TOKEN_MAX; i++)
        if ((unsigned char)(p[i] - '0') <= 9)
            return true;
    return false;
}

static bool is_id_token(const char *p, size_t n)
{
    return n >= ID_TOKEN_MIN && digit_within(p, n);
}

static inline uint32_t short_gram(const char *p, size_t n)
{
    return (uint32_t)(unsigned char)p[0] << 8 | (n > 1 ? (uint32_t)(unsigned char)p[1] : 0);
}

struct token_out {
    void (*on_id)(void *arg, uint64_t hash);
    void (*on_short)(void *arg, uint32_t gram); /* may be NULL */
    void *arg;
};

static inline void put_token(const struct token_out *o, const char *p, size_t n)
{
    if (n <= 2) {
        if (o->on_short)
            o->on_short(o->arg, short_gram(p, n));
    } else if (is_id_token(p, n)) {
        o->on_id(o->arg, hash64(p, n < TOKEN_MAX ? n : TOKEN_MAX));
    }
}

/* Tokens of folded bytes p[0..n); 64 bytes behind them are readable and do not matter. */
static void each_token(const char *p, size_t n, const struct token_out *o)
{
    size_t open = SIZE_MAX; /* where a token began that reaches the end of the last 64 */
    for (size_t at = 0; at < n; at += 64) {
        struct masks m = masks_of(p + at);
        if (n - at < 64)
            m.alnum &= (1ull << (n - at)) - 1;
        if (open != SIZE_MAX) {
            if (m.alnum == UINT64_MAX)
                continue;
            unsigned to = (unsigned)__builtin_ctzll(~m.alnum);
            put_token(o, p + open, at + to - open);
            open = SIZE_MAX;
            m.alnum &= UINT64_MAX << to;
        }
        while (m.alnum) {
            unsigned from = (unsigned)__builtin_ctzll(m.alnum);
            uint64_t rest = ~m.alnum & UINT64_MAX << from;
            if (!rest) {
                open = at + from;
                break;
            }
            unsigned to = (unsigned)__builtin_ctzll(rest);
            unsigned len = to - from;
            if (len <= 2 || (len >= ID_TOKEN_MIN && m.digit >> from & ((1ull << len) - 1)))
                put_token(o, p + at + from, len);
            m.alnum &= UINT64_MAX << to;
        }
    }
    if (open != SIZE_MAX)
        put_token(o, p + open, n - open);
}

/* ---- building ---- */

static void sink_id(void *arg, uint64_t hash)
{
    struct gram_sink *s = arg;
    bit_set(s->bits[GRAM_TOKENS], token_row(hash, 0));
    bit_set(s->bits[GRAM_TOKENS], token_row(hash, 1));
}

static void sink_short(void *arg, uint32_t gram)
{
    struct gram_sink *s = arg;
    bit_set(s->bits[GRAM_TEXT], gram_row(gram, 0));
}

/* Grams of the n folded bytes at p. */
static void sink_grams(uint64_t *bits, const char *p, size_t n, uint32_t salt)
{
    if (n < 3)
        return;
    const unsigned char *u = (const unsigned char *)p;
    uint32_t g = (uint32_t)u[0] << 8 | u[1];
    for (size_t i = 2; i < n; i++) {
        g = (g << 8 | u[i]) & 0xffffff;
        bit_set(bits, gram_row(g, salt));
    }
}

static size_t char_end(str text, size_t pos)
{
    while (pos < text.n && ((unsigned char)text.p[pos] & 0xc0) == 0x80)
        pos++;
    return pos;
}

static bool in_token(char c)
{
    return !((unsigned char)c & 0x80) && utf8_is_alnum((unsigned char)c);
}

/* Where the piece of text[from..to) that begins at from ends: never inside a character, nor inside
 * a token but behind its first 4 * TOKEN_MAX bytes. */
static size_t piece_end(str text, size_t from, size_t to)
{
    if (to - from <= PIECE)
        return to;
    for (size_t end = from + PIECE; end > from + PIECE - 4 * TOKEN_MAX; end--)
        if (!in_token(text.p[end - 1]) && ((unsigned char)text.p[end] & 0xc0) != 0x80)
            return end;
    return from + PIECE;
}

/* Folds text[from..to) and up to the end of the character two bytes behind it. */
static str fold_piece(struct gram_sink *s, str text, size_t from, size_t to)
{
    size_t end = char_end(text, to + 2 < text.n ? to + 2 : text.n);
    if (end > to + 8) /* no text: so many bytes in the middle of characters */
        end = to + 8 < text.n ? to + 8 : text.n;
    str piece = { text.p + from, end - from };
    utf8_fold(piece, s->folded);
    return (str){ s->folded, piece.n };
}

static void sink_line(struct gram_sink *s, str text, size_t from, size_t to)
{
    struct token_out out = { sink_id, sink_short, s };
    while (from < to) {
        size_t end = piece_end(text, from, to);
        str f = fold_piece(s, text, from, end);
        sink_grams(s->bits[GRAM_TEXT], f.p, f.n, 0);
        each_token(f.p, end - from, &out);
        from = end;
    }
}

void gram_sink_text(struct gram_sink *s, str text)
{
    for (size_t from = 0, to; from < text.n; from = to) {
        const char *nl = memchr(text.p + from, '\n', text.n - from);
        to = nl ? (size_t)(nl - text.p) + 1 : text.n;
        size_t more = to + 8 < text.n ? to + 8 : text.n; /* what may be folded with it */
        if (to - from >= SEEN_MIN) {
            str line = { text.p + from, more - from };
            str *seen = &s->seen[hash_keyed(line) & (SEEN - 1)];
            if (str_eq(*seen, line))
                continue;
            *seen = line;
        }
        sink_line(s, text, from, to);
    }
}

static void ignore_id(void *arg, uint64_t hash)
{
    (void)arg;
    (void)hash;
}

struct salted {
    struct gram_sink *s;
    uint32_t salt;
};

static void salted_short(void *arg, uint32_t gram)
{
    struct salted *f = arg;
    bit_set(f->s->bits[GRAM_FIELDS], gram_row(gram, f->salt));
}

void gram_sink_field(struct gram_sink *s, str text, uint32_t salt)
{
    struct salted f = { s, salt };
    struct token_out out = { ignore_id, salted_short, &f };
    for (size_t from = 0; from < text.n;) {
        size_t end = piece_end(text, from, text.n);
        str folded = fold_piece(s, text, from, end);
        sink_grams(s->bits[GRAM_FIELDS], folded.p, folded.n, salt);
        each_token(folded.p, end - from, &out);
        from = end;
    }
}

uint32_t gram_sink_count(const struct gram_sink *s, enum gram_part part)
{
    return (uint32_t)bits_count(s->bits[part], GRAM_ROWS);
}

const uint8_t *gram_sink_fold(struct gram_sink *s, enum gram_part part, unsigned log)
{
    uint64_t *w = s->bits[part];
    for (unsigned l = GRAM_LOG_MAX; l > log && l > 6; l--)
        for (size_t i = 0, half = (size_t)1 << (l - 1 - 6); i < half; i++)
            w[i] |= w[i + half];
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < WORDS; i++)
        w[i] = __builtin_bswap64(w[i]);
#endif
    return (const uint8_t *)w;
}

void gram_id_tokens(str text, void (*fn)(void *arg, uint64_t hash), void *arg)
{
    struct token_iter it;
    struct token t;
    token_start(&it, text);
    while (token_next(&it, &t))
        if (is_id_token(text.p + t.off, t.len) && !((unsigned char)text.p[t.off] & 0x80))
            fn(arg, token_hash((str){ text.p + t.off, t.len }));
}

/* ---- asking ---- */

static bool keys_gram(struct text_keys *k, struct arena *a, uint32_t gram)
{
    for (uint32_t i = 0; i < k->ngrams; i++)
        if (k->grams[i] == gram)
            return true;
    uint32_t *v = arena_grow(a, k->grams, k->ngrams, k->ngrams + 1, sizeof *v);
    if (!v)
        return false;
    v[k->ngrams++] = gram;
    k->grams = v;
    return true;
}

static bool keys_token(struct text_keys *k, struct arena *a, uint64_t hash)
{
    uint64_t *v = arena_grow(a, k->tokens, k->ntokens, k->ntokens + 1, sizeof *v);
    if (!v)
        return false;
    v[k->ntokens++] = hash;
    k->tokens = v;
    return true;
}

#define KEYS_MAX 256 /* grams of one needle: more would cost more to ask than they rule out */

bool text_keys_add(struct text_keys *k, struct arena *a, str s, bool left, bool right)
{
    if (!s.n || !utf8_valid(s))
        return true;
    char *folded = arena_alloc(a, s.n);
    if (!folded)
        return false;
    utf8_fold(s, folded);
    for (size_t i = 0; i + 3 <= s.n && k->ngrams < KEYS_MAX; i++)
        if (!keys_gram(k, a,
                       (uint32_t)(unsigned char)folded[i] << 16 |
                           (uint32_t)(unsigned char)folded[i + 1] << 8 |
                           (unsigned char)folded[i + 2]))
            return false;
    struct token_iter it;
    struct token t;
    token_start(&it, s);
    while (token_next(&it, &t) && k->ntokens < KEYS_MAX) {
        bool open = (t.off == 0 && !left) || (t.off + t.len == s.n && !right);
        const char *p = folded + t.off;
        if (open || ((unsigned char)p[0] & 0x80))
            continue;
        if (t.len <= 2 ? k->ngrams < KEYS_MAX && !keys_gram(k, a, short_gram(p, t.len))
                       : is_id_token(p, t.len) && !keys_token(k, a, token_hash((str){ p, t.len })))
            return false;
    }
    return true;
}
