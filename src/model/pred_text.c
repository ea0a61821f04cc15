/* pred_text.c: finding words, phrases and substrings in columns of text.
 *
 * The bytes of many values lie side by side, so one search runs over all of them:
 *
 *   bytes  |refused by peer|connection REFUSED|ok|...      hit -> off[] tells the value,
 *   off    0               15                 33 35         the value's text is checked around it
 *
 * The search compares two bytes of the needle, the rarest ones, at 16 places at a time (32 where
 * the processor has AVX2) and looks closer only where both fit. Case folding keeps byte lengths
 * (base/utf8.h), so an ASCII byte of a needle can only stand for an ASCII letter of either case:
 * `byte | 0x20`. A needle without any ASCII byte is looked for as it stands when it is CJK (which
 * has no case), else in a folded copy.
 */
#include "base/utf8.h"
#include "codec/token.h"
#include "model/pred_int.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum char_class char_class(uint32_t cp)
{
    if (cp < 0x80)
        return utf8_is_alnum(cp) ? CC_ASCII : CC_SEP;
    if (utf8_is_cjk(cp))
        return CC_CJK;
    return utf8_is_alnum(cp) ? CC_OTHER : CC_SEP;
}

/* ---- needles ---- */

/* How common a byte is in logs, roughly: later is more common. Upper case counts as its lower case.
 */
static unsigned commonness(unsigned char c)
{
    static const char order[] =
        "~`^$%&!?@*|;<>+#\\[]{}zqjxkvbwyfgpumhdlc9876543'_()=/-:.,\"210nsriatoe ";
    unsigned char low = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    const char *at = memchr(order, low, sizeof order - 1);
    return at ? (unsigned)(at - order) + 1 : c < 0x20 ? 2 : c >= 0x80 ? 60 : 0;
}

bool needle_init(struct needle *nd, struct arena *a, str s, bool fold)
{
    *nd = (struct needle){ .fold = fold, .ascii = utf8_is_ascii(s) };
    char *p = arena_alloc(a, s.n ? s.n : 1);
    if (!p)
        return false;
    if (fold)
        utf8_fold(s, p);
    else
        memcpy(p, s.p ? s.p : "", s.n);
    nd->bytes = (str){ p, s.n };
    bool caseless = true;
    for (size_t i = 0; i < s.n;)
        caseless &= utf8_is_cjk(utf8_next(nd->bytes, &i));
    size_t best[2] = { SIZE_MAX, SIZE_MAX };
    for (size_t i = 0; i < s.n; i++) {
        if (fold && !caseless && (p[i] & 0x80))
            continue;
        unsigned c = commonness((unsigned char)p[i]);
        if (best[0] == SIZE_MAX || c < commonness((unsigned char)p[best[0]])) {
            best[1] = best[0];
            best[0] = i;
        } else if (best[1] == SIZE_MAX || c < commonness((unsigned char)p[best[1]])) {
            best[1] = i;
        }
    }
    if (fold && caseless && s.n)
        nd->fold = false;
    nd->whole_fold = nd->fold && best[0] == SIZE_MAX;
    if (nd->whole_fold) {
        nd->at1 = 0;
        nd->at2 = s.n ? s.n - 1 : 0;
    } else {
        nd->at1 = best[0] == SIZE_MAX ? 0 : best[0];
        nd->at2 = best[1] == SIZE_MAX ? nd->at1 : best[1];
    }
    return true;
}

static inline unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Does the needle stand at p? There are at least nd->bytes.n bytes. */
static bool stands_at(const struct needle *nd, const char *p)
{
    const char *w = nd->bytes.p;
    size_t n = nd->bytes.n;
    if (!nd->fold || nd->whole_fold)
        return memcmp(p, w, n) == 0;
    if (nd->ascii) {
        for (size_t i = 0; i < n; i++)
            if (lower((unsigned char)p[i]) != (unsigned char)w[i])
                return false;
        return true;
    }
    char piece[64];
    for (size_t i = 0; i < n;) {
        /* folding by pieces of whole characters */
        size_t m = n - i < sizeof piece ? n - i : sizeof piece;
        while (i + m < n && m > 1 && ((unsigned char)w[i + m] & 0xc0) == 0x80)
            m--;
        utf8_fold((str){ p + i, m }, piece);
        if (memcmp(piece, w + i, m) != 0)
            return false;
        i += m;
    }
    return true;
}

/* The bytes at1 and at2 of the needle, ready to compare. */
struct probe {
    unsigned char v1, v2, or1, or2;
};

static struct probe probe_of(const struct needle *nd)
{
    struct probe pr = { (unsigned char)nd->bytes.p[nd->at1], (unsigned char)nd->bytes.p[nd->at2], 0,
                        0 };
    if (nd->fold && !nd->whole_fold) {
        pr.or1 = pr.v1 >= 'a' && pr.v1 <= 'z' ? 0x20 : 0;
        pr.or2 = pr.v2 >= 'a' && pr.v2 <= 'z' ? 0x20 : 0;
    }
    return pr;
}

#if defined(__SSE2__)
/* Tries places i .. i+count (count a multiple of 16); returns the first hit, or SIZE_MAX. */
static size_t find_blocks(const struct needle *nd, struct probe pr, const char *p, size_t i,
                          size_t count)
{
    const __m128i v1 = _mm_set1_epi8((char)pr.v1), v2 = _mm_set1_epi8((char)pr.v2);
    const __m128i or1 = _mm_set1_epi8((char)pr.or1), or2 = _mm_set1_epi8((char)pr.or2);
    const char *p1 = p + nd->at1, *p2 = p + nd->at2;
    for (size_t end = i + count; i < end; i += 16) {
        __m128i a = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)(p1 + i)), or1);
        __m128i b = _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)(p2 + i)), or2);
        __m128i both = _mm_and_si128(_mm_cmpeq_epi8(a, v1), _mm_cmpeq_epi8(b, v2));
        for (unsigned m = (unsigned)_mm_movemask_epi8(both); m; m &= m - 1) {
            size_t at = i + (size_t)__builtin_ctz(m);
            if (stands_at(nd, p + at))
                return at;
        }
    }
    return SIZE_MAX;
}
#endif

#if defined(__SSE2__)
/* The same with 32 at a time; count a multiple of 32. */
__attribute__((target("avx2"))) static size_t find_blocks32(const struct needle *nd,
                                                            struct probe pr, const char *p,
                                                            size_t i, size_t count)
{
    const __m256i v1 = _mm256_set1_epi8((char)pr.v1), v2 = _mm256_set1_epi8((char)pr.v2);
    const __m256i or1 = _mm256_set1_epi8((char)pr.or1), or2 = _mm256_set1_epi8((char)pr.or2);
    const char *p1 = p + nd->at1, *p2 = p + nd->at2;
    for (size_t end = i + count; i < end; i += 32) {
        __m256i a =
            _mm256_or_si256(_mm256_loadu_si256((const __m256i *)(const void *)(p1 + i)), or1);
        __m256i b =
            _mm256_or_si256(_mm256_loadu_si256((const __m256i *)(const void *)(p2 + i)), or2);
        __m256i both = _mm256_and_si256(_mm256_cmpeq_epi8(a, v1), _mm256_cmpeq_epi8(b, v2));
        for (unsigned m = (unsigned)_mm256_movemask_epi8(both); m; m &= m - 1) {
            size_t at = i + (size_t)__builtin_ctz(m);
            if (stands_at(nd, p + at))
                return at;
        }
    }
    return SIZE_MAX;
}
#endif

size_t needle_find(const struct needle *nd, const char *p, size_t from, size_t n)
{
    if (nd->bytes.n == 0 || n < nd->bytes.n || from > n - nd->bytes.n)
        return nd->bytes.n == 0 && from <= n ? from : SIZE_MAX;
    size_t places = n - nd->bytes.n + 1; /* the needle may start at 0 .. places-1 */
    struct probe pr = probe_of(nd);
    size_t i = from;
#if defined(__SSE2__)
    size_t wide = (places - i) & ~(size_t)31;
    if (wide && __builtin_cpu_supports("avx2")) {
        size_t hit = find_blocks32(nd, pr, p, i, wide);
        if (hit != SIZE_MAX)
            return hit;
        i += wide;
    }
    size_t blocks = (places - i) & ~(size_t)15;
    if (blocks) {
        size_t hit = find_blocks(nd, pr, p, i, blocks);
        if (hit != SIZE_MAX)
            return hit;
        i += blocks;
    }
#endif
    for (; i < places; i++) {
        if (((unsigned char)p[i + nd->at1] | pr.or1) == pr.v1 &&
            ((unsigned char)p[i + nd->at2] | pr.or2) == pr.v2 && stands_at(nd, p + i))
            return i;
    }
    return SIZE_MAX;
}

/* ---- classes around a place ---- */

static enum char_class class_at(str text, size_t pos)
{
    return pos < text.n ? char_class(utf8_next(text, &pos)) : CC_SEP;
}

static enum char_class class_before(str text, size_t pos)
{
    if (pos == 0)
        return CC_SEP;
    size_t p = pos - 1;
    while (p > 0 && pos - p < 4 && ((unsigned char)text.p[p] & 0xc0) == 0x80)
        p--;
    return char_class(utf8_next(text, &p));
}

/* ---- building patterns ---- */

static bool add_token(struct textpat *p, struct arena *a, str token)
{
    uint64_t *t = arena_grow(a, p->tokens, p->ntokens, p->ntokens + 1, sizeof *t);
    if (!t)
        return false;
    t[p->ntokens++] = token_hash(token);
    p->tokens = t;
    return true;
}

/* Notes the tokens every matching text must have: all of s, but not the first (last) one when a
 * longer token may stand there in the text. */
static bool note_tokens(struct textpat *p, struct arena *a, str s, bool left, bool right)
{
    struct token_iter it;
    struct token t;
    token_start(&it, s);
    while (token_next(&it, &t)) {
        size_t pos = t.off;
        bool cjk = utf8_is_cjk(utf8_next(s, &pos));
        bool lone = cjk && pos >= t.off + t.len; /* one character: a bigram in most texts */
        if ((t.off == 0 && !left && !cjk) || (t.off + t.len == s.n && !right && !cjk))
            continue;
        if (!lone && !add_token(p, a, (str){ s.p + t.off, t.len }))
            return false;
    }
    return true;
}

/* s without separators at either end; empty when it has nothing else */
static str trim_separators(str s)
{
    size_t from = SIZE_MAX, to = 0;
    for (size_t i = 0; i < s.n;) {
        size_t at = i;
        if (char_class(utf8_next(s, &i)) != CC_SEP) {
            from = from == SIZE_MAX ? at : from;
            to = i;
        }
    }
    return from == SIZE_MAX ? STR_NULL : (str){ s.p + from, to - from };
}

bool textpat_substr(struct textpat *p, struct arena *a, str part, bool fold)
{
    *p = (struct textpat){ 0 };
    return needle_init(&p->needle, a, part, fold) && note_tokens(p, a, part, false, false) &&
           text_keys_add(&p->keys, a, part, false, false);
}

bool textpat_affix(struct textpat *p, struct arena *a, str part, bool start, bool end)
{
    *p = (struct textpat){ .at_start = start, .at_end = end };
    return needle_init(&p->needle, a, part, true) && note_tokens(p, a, part, start, end);
}

static void note_edges(struct textpat *p)
{
    str w = p->needle.bytes;
    p->first = class_at(w, 0);
    p->last = class_before(w, w.n);
    p->left = p->left && p->first != CC_CJK && p->first != CC_SEP;
    p->right = p->right && p->last != CC_CJK && p->last != CC_SEP;
}

bool textpat_word(struct textpat *p, struct arena *a, str word, bool left, bool right)
{
    str w = trim_separators(word);
    if (!w.n) /* "->": no token in it, so it is looked for as it stands */
        return textpat_substr(p, a, word, true);
    /* separators on the open side belong to the needle: they say where the star begins */
    if (!left)
        w = (str){ word.p, (size_t)(w.p + w.n - word.p) };
    if (!right)
        w.n = (size_t)(word.p + word.n - w.p);
    *p = (struct textpat){ .left = left, .right = right };
    if (!needle_init(&p->needle, a, w, true) || !note_tokens(p, a, w, left, right) ||
        !text_keys_add(&p->keys, a, w, left, right))
        return false;
    note_edges(p);
    return true;
}

bool textpat_phrase(struct textpat *p, struct arena *a, str phrase, bool right)
{
    str s = trim_separators(phrase);
    if (!s.n)
        return textpat_substr(p, a, phrase, true);
    if (!right && s.p + s.n != phrase.p + phrase.n)
        right = true; /* "a b, "*: the separator already ends the last word */
    char *folded = arena_alloc(a, s.n);
    if (!folded)
        return false;
    utf8_fold(s, folded);
    struct text_unit *units = NULL;
    uint32_t n = 0, best = 0;
    for (size_t i = 0; i < s.n;) {
        size_t at = i;
        enum char_class c = char_class(utf8_next(s, &i));
        if (c == CC_SEP)
            continue;
        for (size_t k = i; k < s.n && char_class(utf8_next(s, &k)) == c; i = k)
            ;
        units = arena_grow(a, units, n, n + 1, sizeof *units);
        if (!units)
            return false;
        units[n] = (struct text_unit){ { folded + at, i - at }, c };
        best = units[n].bytes.n > units[best].bytes.n ? n : best;
        n++;
    }
    if (n == 1)
        return textpat_word(p, a, s, true, right);
    *p = (struct textpat){ .left = true, .right = right, .units = units, .nunits = n, .hit = best };
    p->first = units[0].cls;
    p->last = units[n - 1].cls;
    for (uint32_t i = 0; i < n; i++) {
        str unit = { s.p + (units[i].bytes.p - folded), units[i].bytes.n };
        if (!text_keys_add(&p->keys, a, unit, true, i + 1 < n || right))
            return false;
    }
    return needle_init(&p->needle, a, units[best].bytes, true) && note_tokens(p, a, s, true, right);
}

/* ---- checking a hit ---- */

/* is unit u at text[pos..), ending a run of its class there? Edge runs of CJK may go on. */
static bool unit_at(const struct text_unit *u, str text, size_t pos, bool ends)
{
    if (text.n - pos < u->bytes.n)
        return false;
    struct needle nd = { .bytes = u->bytes, .fold = true, .ascii = false };
    return stands_at(&nd, text.p + pos) && (!ends || class_at(text, pos + u->bytes.n) != u->cls);
}

static bool phrase_at(const struct textpat *p, str text, size_t at)
{
    uint32_t last = p->nunits - 1;
    const struct text_unit *u = &p->units[p->hit];
    size_t pos = at + u->bytes.n;
    bool open_end = p->hit == last && (u->cls == CC_CJK || !p->right);
    bool open_start = p->hit == 0 && u->cls == CC_CJK;
    if ((!open_end && class_at(text, pos) == u->cls) ||
        (!open_start && class_before(text, at) == u->cls))
        return false;
    for (uint32_t i = p->hit + 1; i <= last; i++) {
        u = &p->units[i];
        for (size_t k = pos; k < text.n && char_class(utf8_next(text, &k)) == CC_SEP; pos = k)
            ;
        if (!unit_at(u, text, pos, i < last || (u->cls != CC_CJK && p->right)))
            return false;
        pos += u->bytes.n;
    }
    for (uint32_t i = p->hit; i-- > 0;) {
        u = &p->units[i];
        while (at > 0 && class_before(text, at) == CC_SEP) {
            at--;
            while (at > 0 && ((unsigned char)text.p[at] & 0xc0) == 0x80)
                at--;
        }
        if (at < u->bytes.n || !unit_at(u, text, at - u->bytes.n, true))
            return false;
        at -= u->bytes.n;
        if ((i > 0 || u->cls != CC_CJK) && class_before(text, at) == u->cls)
            return false;
    }
    return true;
}

static bool hit_holds(const struct textpat *p, str text, size_t at)
{
    if (p->units)
        return phrase_at(p, text, at);
    if (p->left && class_before(text, at) == p->first)
        return false;
    return !p->right || class_at(text, at + p->needle.bytes.n) != p->last;
}

/* ---- searching ---- */

static const char *folded_copy(struct pred_run *r, str text, int *rc, struct err *err)
{
    buf_reset(&r->fold);
    char *p = buf_reserve(&r->fold, text.n ? text.n : 1);
    if (!p)
        *rc = err_nomem(err);
    else
        utf8_fold(text, p);
    return p;
}

/* the only place an affix can stand at */
static bool affix_holds(const struct textpat *p, const char *hay, size_t n)
{
    size_t len = p->needle.bytes.n;
    if (p->at_start && p->at_end && n != len)
        return false;
    return n >= len && stands_at(&p->needle, hay + (p->at_start ? 0 : n - len));
}

bool textpat_in(const struct textpat *p, str text, struct pred_run *r, struct err *err, int *rc)
{
    const char *hay = text.p;
    if (text.n < p->needle.bytes.n)
        return false;
    if (p->needle.whole_fold) {
        hay = folded_copy(r, text, rc, err);
        if (!hay)
            return false;
    }
    if (p->at_start || p->at_end)
        return affix_holds(p, hay, text.n);
    for (size_t at = 0; (at = needle_find(&p->needle, hay, at, text.n)) != SIZE_MAX; at++)
        if (hit_holds(p, text, at))
            return true;
    return false;
}

/* values [from, to) lie side by side and are all wanted */
static int scan_run(const struct textpat *p, const struct text_vec *t, uint32_t from, uint32_t to,
                    uint64_t *out, struct pred_run *r, struct err *err)
{
    str all = { t->bytes + t->off[from], t->off[to] - t->off[from] };
    const char *hay = all.p;
    size_t base = t->off[from], len = p->needle.bytes.n;
    int rc = 0;
    if (all.n < len)
        return 0;
    if (p->needle.whole_fold && !(hay = folded_copy(r, all, &rc, err)))
        return rc;
    uint32_t k = from;
    for (size_t at = 0; (at = needle_find(&p->needle, hay, at, all.n)) != SIZE_MAX;) {
        while (t->off[k + 1] <= base + at)
            k++;
        size_t begin = t->off[k] - base, end = t->off[k + 1] - base;
        if (at + len <= end && hit_holds(p, (str){ all.p + begin, end - begin }, at - begin)) {
            bit_set(out, k);
            at = end;
        } else {
            at++;
        }
    }
    return 0;
}

static int scan_affixes(const struct textpat *p, const struct text_vec *t, uint64_t *out,
                        struct pred_run *r, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < t->n && !rc; i++) {
        str s = { t->bytes + t->off[i], t->off[i + 1] - t->off[i] };
        if ((!t->want || bit_get(t->want, i)) && textpat_in(p, s, r, err, &rc))
            bit_set(out, i);
    }
    return rc;
}

int textpat_scan(const struct textpat *p, const struct text_vec *t, uint64_t *out,
                 struct pred_run *r, struct err *err)
{
    bits_zero(out, t->n);
    if (p->at_start || p->at_end)
        return scan_affixes(p, t, out, r, err);
    if (!t->want)
        return t->n ? scan_run(p, t, 0, t->n, out, r, err) : 0;
    for (size_t i = bits_next(t->want, 0, t->n); i < t->n;) {
        size_t end = i + 1;
        while (end < t->n && bit_get(t->want, end)) {
            if (end % 64 == 0 && t->want[end / 64] == UINT64_MAX && end + 64 <= t->n)
                end += 64;
            else
                end++;
        }
        int rc = scan_run(p, t, (uint32_t)i, (uint32_t)end, out, r, err);
        if (rc)
            return rc;
        i = bits_next(t->want, end, t->n);
    }
    return 0;
}
