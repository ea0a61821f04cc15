/* json.c: the strict pull tokenizer.
 *
 * A reader is a place p and a state, what may stand at p:
 *
 *   TOP0   a value, or the end             OBJ0  a name or '}'
 *   TOP    white space, then as TOP0       KEY   a name                 (after ',')
 *   ARR0   a value or ']'                  NEXT  ',' or the container's end
 *   VALUE  a value      (after ':' or ',')
 *
 * To keep calls few, a name takes its ':' along and a value in a container its ','. What a str
 * needs is found 16 bytes at a time: the closing quote, a backslash, a control character or the
 * first non-ASCII byte; only where one of the last three appears does the slow path run.
 *
 * 1. start <= p <= end. Loads may pass end by up to 32 bytes, decisions never do: every byte that
 *    counts is first found to lie before end.
 * 2. Bit depth-1 of in_obj says what the innermost container is. */
#include "codec/json.h"

#include <string.h>

#include "base/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* what runs for most tokens; gcc would rather share than inline it */
#define FAST static inline __attribute__((always_inline))

enum { TOP0, TOP, ARR0, OBJ0, KEY, VALUE, NEXT, BAD };

static const char nothing[32];

void json_init(struct json_rd *r, str text)
{
    const char *p = text.p ? text.p : nothing;
    *r = (struct json_rd){ .start = p, .p = p, .end = p + text.n, .state = TOP0 };
}

__attribute__((cold, noinline)) static int fail(struct json_rd *r, const char *at, struct err *err,
                                                const char *what)
{
    r->p = at < r->end ? at : r->end;
    r->state = BAD;
    if (at >= r->end)
        return err_at(err, ERR_INVALID, (int64_t)(r->end - r->start), "JSON ends too early: %s",
                      what);
    return err_at(err, ERR_INVALID, (int64_t)(at - r->start), "invalid JSON: %s", what);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_blank(const char *p, const char *end)
{
    if (__builtin_expect((unsigned char)*p > ' ', 1))
        return p;
    while (p < end && is_blank(*p))
        p++;
    return p;
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* ---- strings ---- */

#if defined(__SSE2__)
/* bit i: p[i] is a quote, a backslash, a control or a non-ASCII byte */
static inline uint32_t special_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    /* bytes from 0x80 on are negative as signed ones, and so is what is less than a space */
    hit = _mm_or_si128(hit, _mm_subs_epi8(v, _mm_set1_epi8(' ')));
    return (uint32_t)_mm_movemask_epi8(hit);
}
#endif

/* The first of a quote, a backslash, a control or a non-ASCII byte from p on; >= end when none. */
FAST const char *str_special(const char *p, const char *end)
{
#if defined(__SSE2__)
    for (; p < end; p += 16) {
        uint32_t m = special_mask(p);
        if (m)
            return p + __builtin_ctz(m);
    }
#else
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ' && !(*p & 0x80))
        p++;
#endif
    return p;
}

static int hex_of(char c)
{
    return is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* four hex digits at p, or -1 */
static int32_t hex4(const char *p)
{
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int h = hex_of(p[i]);
        if (h < 0)
            return -1;
        v = v << 4 | h;
    }
    return v;
}

/* Length of the escape at p (a backslash), with what is wrong with it when 0. */
static size_t escape_len(const char *p, const char *end, const char **ret_wrong)
{
    *ret_wrong = "unknown escape";
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
    *ret_wrong = "\\u wants four hex digits";
    int32_t hi = end - p >= 6 ? hex4(p + 2) : -1;
    if (hi < 0)
        return 0;
    if (hi < 0xd800 || hi > 0xdfff)
        return 6;
    *ret_wrong = "half of a surrogate pair";
    if (hi > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int32_t lo = hex4(p + 8);
    return lo >= 0xdc00 && lo <= 0xdfff ? 12 : 0;
}

/* From a special byte at p that is no quote to the closing quote; NULL after an error. */
__attribute__((noinline)) static const char *str_rest(struct json_rd *r, const char *p,
                                                      bool *ret_escaped, struct err *err)
{
    const char *end = r->end, *wrong;
    while (p < end && *p != '"') {
        if (*p == '\\') {
            size_t n = escape_len(p, end, &wrong);
            if (!n) {
                fail(r, p, err, wrong);
                return NULL;
            }
            *ret_escaped = true;
            p += n;
        } else if (*p & 0x80) {
            /* a whole stretch of non-ASCII text */
            size_t pos = 0;
            str rest = { p, (size_t)(end - p) };
            while (pos < rest.n && rest.p[pos] & 0x80) {
                size_t from = pos;
                if (utf8_next(rest, &pos) == 0xfffd && pos - from == 1) {
                    fail(r, p + from, err, "not UTF-8");
                    return NULL;
                }
            }
            p += pos;
        } else if ((unsigned char)*p < ' ') {
            fail(r, p, err, "control character in a string");
            return NULL;
        }
        p = str_special(p, end);
    }
    if (p >= end) {
        fail(r, end, err, "string without its closing quote");
        return NULL;
    }
    return p;
}

/* ---- numbers ---- */

/* the first byte at or after p that is no digit, at most end */
static inline const char *digits_end(const char *p, const char *end)
{
#if defined(__SSE2__)
    for (; p < end; p += 16) {
        __m128i v =
            _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8('0'));
        __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(9)), v);
        unsigned other = ~(unsigned)_mm_movemask_epi8(digit) & 0xffff;
        if (other) {
            p += __builtin_ctz(other);
            break;
        }
    }
    return p < end ? p : end;
#else
    while (p < end && is_digit(*p))
        p++;
    return p;
#endif
}

static inline int take_number(struct json_rd *r, const char *from, struct json_tok *ret,
                              struct err *err)
{
    const char *end = r->end, *p = from + (*from == '-');
    const char *first = p;
    p = digits_end(p, end);
    if (p == first)
        return fail(r, p, err, "a digit should follow '-'");
    if (*first == '0' && p - first > 1)
        return fail(r, first + 1, err, "a number may not begin with 0");
    bool integral = true;
    if (p < end && *p == '.') {
        integral = false;
        first = ++p;
        p = digits_end(p, end);
        if (p == first)
            return fail(r, p, err, "a digit should follow '.'");
    }
    if (p < end && (*p | 32) == 'e') {
        integral = false;
        p++;
        p += p < end && (*p == '+' || *p == '-');
        first = p;
        p = digits_end(p, end);
        if (p == first)
            return fail(r, p, err, "the exponent has no digits");
    }
    *ret = (struct json_tok){ JSON_NUM, { from, (size_t)(p - from) }, false, integral };
    r->p = p;
    return 0;
}

/* ---- structure ---- */

static inline bool in_object(const struct json_rd *r)
{
    return r->in_obj >> (r->depth - 1) & 1;
}

/* A value ended at p: takes a ',' along when one stands there. */
static inline void value_done(struct json_rd *r, const char *p)
{
    if (r->depth == 0) {
        r->state = TOP;
    } else if (p < r->end && *p == ',') {
        p++;
        r->state = in_object(r) ? KEY : VALUE;
    } else {
        r->state = NEXT;
    }
    r->p = p;
}

static inline int take_open(struct json_rd *r, const char *p, bool object, struct json_tok *ret,
                            struct err *err)
{
    if (r->depth == JSON_DEPTH_MAX)
        return fail(r, p, err, "nested too deeply");
    uint64_t bit = 1ull << r->depth++;
    r->in_obj = object ? r->in_obj | bit : r->in_obj & ~bit;
    r->state = object ? OBJ0 : ARR0;
    r->p = p + 1;
    *ret = (struct json_tok){ object ? JSON_OBJ : JSON_ARR, { p, 1 }, false, false };
    return 0;
}

static inline int take_close(struct json_rd *r, const char *p, struct json_tok *ret)
{
    *ret = (struct json_tok){ *p == '}' ? JSON_OBJ_END : JSON_ARR_END, { p, 1 }, false, false };
    r->depth--;
    value_done(r, p + 1);
    return 0;
}

/* The string between the quotes at open and close becomes the token; a name takes its ':' along. */
FAST int end_str(struct json_rd *r, const char *open, const char *close, bool key,
                 struct json_tok *ret, struct err *err)
{
    ret->type = key ? JSON_KEY : JSON_STR;
    ret->raw = (str){ open + 1, (size_t)(close - open - 1) };
    ret->integral = false;
    const char *p = close + 1;
    if (!key) {
        value_done(r, p);
        return 0;
    }
    p = skip_blank(p, r->end);
    if (p >= r->end || *p != ':')
        return fail(r, p, err, "':' should follow a member name");
    r->p = p + 1;
    r->state = VALUE;
    return 0;
}

/* Apart and called last, so that the fast path keeps no register across a call. */
__attribute__((noinline)) static int take_str_slowly(struct json_rd *r, const char *open, bool key,
                                                     struct json_tok *ret, struct err *err)
{
    ret->escaped = false;
    const char *close = str_rest(r, str_special(open + 1, r->end), &ret->escaped, err);
    return close ? end_str(r, open, close, key, ret, err) : ERR_INVALID;
}

FAST int take_str(struct json_rd *r, const char *open, bool key, struct json_tok *ret,
                  struct err *err)
{
    const char *close = str_special(open + 1, r->end);
    if (__builtin_expect(close >= r->end || *close != '"', 0))
        return take_str_slowly(r, open, key, ret, err);
    ret->escaped = false;
    return end_str(r, open, close, key, ret, err);
}

FAST int take_key(struct json_rd *r, const char *p, struct json_tok *ret, struct err *err)
{
    if (*p != '"')
        return fail(r, p, err, "a member name in quotes should stand here");
    return take_str(r, p, true, ret, err);
}

static inline int take_word(struct json_rd *r, const char *p, const char *word, size_t n,
                            enum json_type type, struct json_tok *ret, struct err *err)
{
    if ((size_t)(r->end - p) < n || memcmp(p, word, n) != 0)
        return fail(r, p, err, "a value should stand here");
    *ret = (struct json_tok){ type, { p, n }, false, false };
    value_done(r, p + n);
    return 0;
}

/* any value but a string */
__attribute__((noinline)) static int take_other(struct json_rd *r, const char *p,
                                                struct json_tok *ret, struct err *err)
{
    int e;
    switch (*p) {
    case '{': return take_open(r, p, true, ret, err);
    case '[': return take_open(r, p, false, ret, err);
    case 't': return take_word(r, p, "true", 4, JSON_TRUE, ret, err);
    case 'f': return take_word(r, p, "false", 5, JSON_FALSE, ret, err);
    case 'n': return take_word(r, p, "null", 4, JSON_NULL, ret, err);
    case '-':
    case '0' ... '9':
        e = take_number(r, p, ret, err);
        if (!e)
            value_done(r, r->p);
        return e;
    default: return fail(r, p, err, "a value should stand here");
    }
}

/* The states in which something else than a name or a value may stand at p: reads a token, or moves
 * the reader to where a name or a value must stand and reads that. */
__attribute__((noinline)) static int settle(struct json_rd *r, const char *p, struct json_tok *ret,
                                            struct err *err)
{
    if (r->state <= TOP) {
        if (p >= r->end) {
            r->p = r->end;
            *ret = (struct json_tok){ .type = JSON_END, .raw = { r->end, 0 } };
            return 0;
        }
        if (r->state == TOP && p == r->p)
            return fail(r, p, err, "white space should separate two values");
        r->p = p;
        r->state = VALUE;
        return json_next(r, ret, err);
    }
    if (r->state == BAD)
        return fail(r, r->p, err, "reading went on after an error");
    if (p >= r->end)
        return fail(r, p, err, "an object or array is still open");
    bool object = in_object(r);
    if (*p == (object ? '}' : ']'))
        return take_close(r, p, ret);
    if (r->state == NEXT) {
        if (*p != ',')
            return fail(r, p, err, "',' or the container's end should follow a value");
        p = skip_blank(p + 1, r->end);
    }
    r->p = p;
    r->state = object ? KEY : VALUE;
    return json_next(r, ret, err);
}

/* Every way out is a last call, so that no register need be saved. */
int json_next(struct json_rd *r, struct json_tok *ret, struct err *err)
{
    const char *p = skip_blank(r->p, r->end);
    bool key = r->state == KEY;
    if (!key && r->state != VALUE)
        return settle(r, p, ret, err);
    if (__builtin_expect(p >= r->end, 0))
        return fail(r, p, err, "an object or array is still open");
    if (key)
        return take_key(r, p, ret, err);
    return *p == '"' ? take_str(r, p, false, ret, err) : take_other(r, p, ret, err);
}

int json_skip(struct json_rd *r, const struct json_tok *open, str *ret_source, struct err *err)
{
    if (open->type == JSON_STR || open->type == JSON_KEY) {
        *ret_source = (str){ open->raw.p - 1, open->raw.n + 2 };
        return 0;
    }
    if (open->type != JSON_OBJ && open->type != JSON_ARR) {
        *ret_source = open->raw;
        return 0;
    }
    uint32_t outer = r->depth - 1;
    struct json_tok t;
    do {
        int e = json_next(r, &t, err);
        if (e)
            return e;
    } while (r->depth > outer);
    *ret_source = (str){ open->raw.p, (size_t)(t.raw.p + 1 - open->raw.p) };
    return 0;
}

bool json_resync(struct json_rd *r)
{
    const char *p = r->p;
    /* A '{' that opens a line where no value was due: the line before was cut short and this one
     * is likely whole. The failed value began before it, so this makes headway. */
    bool fresh_line = false;
    if (p < r->end && *p == '{' && r->depth > 0) {
        const char *q = p;
        while (q > r->start && (q[-1] == ' ' || q[-1] == '\t'))
            q--;
        fresh_line = q > r->start && q[-1] == '\n';
    }
    if (!fresh_line) {
        const char *nl = p < r->end ? memchr(p, '\n', (size_t)(r->end - p)) : NULL;
        p = nl ? nl + 1 : r->end;
    }
    r->p = p;
    r->depth = 0;
    r->in_obj = 0;
    r->state = TOP0;
    return p < r->end;
}

/* ---- decoding ---- */

/* The code point of a checked escape at p; *ret_len is its length in the source. */
static uint32_t escape_value(const char *p, size_t *ret_len)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    *ret_len = 2;
    if (p[1] != 'u') {
        const char *at = strchr(from, p[1]);
        return (unsigned char)(at ? to[at - from] : p[1]);
    }
    uint32_t cp = (uint32_t)hex4(p + 2);
    *ret_len = 6;
    if (cp >= 0xd800 && cp <= 0xdbff) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + ((uint32_t)hex4(p + 8) - 0xdc00);
        *ret_len = 12;
    }
    return cp;
}

str json_unescape(const struct json_tok *t, struct arena *a)
{
    if (!t->escaped)
        return t->raw;
    char *out = arena_alloc(a, t->raw.n); /* no escape is shorter than what it stands for */
    if (!out)
        return STR_NULL;
    size_t n = 0;
    for (str s = t->raw; s.n;) {
        size_t run = str_chr(s, '\\');
        run = run == SIZE_MAX ? s.n : run;
        memcpy(out + n, s.p, run);
        n += run;
        s = str_skip(s, run);
        if (s.n) {
            size_t len;
            n += utf8_put(escape_value(s.p, &len), out + n);
            s = str_skip(s, len);
        }
    }
    return (str){ out, n };
}

/* a string as written, with only the escapes JSON insists on */
static void put_reescaped(struct buf *b, str raw)
{
    buf_putc(b, '"');
    while (raw.n) {
        size_t run = str_chr(raw, '\\');
        run = run == SIZE_MAX ? raw.n : run;
        buf_put(b, raw.p, run);
        raw = str_skip(raw, run);
        if (raw.n) {
            size_t len;
            uint32_t cp = escape_value(raw.p, &len);
            char utf8[4];
            size_t n = utf8_put(cp, utf8);
            json_put_escaped(b, str_n(utf8, n));
            raw = str_skip(raw, len);
        }
    }
    buf_putc(b, '"');
}

static int buf_verdict(const struct buf *b, struct err *err)
{
    if (b->bad == BUF_LIMIT)
        return err_set(err, ERR_LIMIT, "the value is longer than the %zu bytes allowed", b->max);
    return b->bad ? err_nomem(err) : 0;
}

int json_minify(struct buf *b, str value, struct err *err)
{
    struct json_rd r;
    struct json_tok t;
    bool comma = false;
    json_init(&r, value);
    do {
        int e = json_next(&r, &t, err);
        if (e)
            return e;
        if (t.type == JSON_END)
            return err_at(err, ERR_INVALID, 0, "invalid JSON: no value");
        bool closes = t.type == JSON_OBJ_END || t.type == JSON_ARR_END;
        if (comma && !closes)
            buf_putc(b, ',');
        comma = t.type != JSON_KEY && t.type != JSON_OBJ && t.type != JSON_ARR;
        if (t.type != JSON_KEY && t.type != JSON_STR) {
            buf_putstr(b, t.raw);
        } else if (t.escaped) {
            put_reescaped(b, t.raw);
        } else {
            buf_put(b, t.raw.p - 1, t.raw.n + 2);
        }
        if (t.type == JSON_KEY)
            buf_putc(b, ':');
    } while (r.depth > 0);
    int e = json_next(&r, &t, err);
    if (!e && t.type != JSON_END)
        e = err_at(err, ERR_INVALID, (int64_t)(t.raw.p - r.start),
                   "invalid JSON: more than one value");
    return e ? e : buf_verdict(b, err);
}

bool json_valid(str text)
{
    struct err err = ERR_INIT;
    struct json_rd r;
    struct json_tok t;
    str source;
    json_init(&r, text);
    return json_next(&r, &t, &err) == 0 && t.type != JSON_END &&
           json_skip(&r, &t, &source, &err) == 0 && json_next(&r, &t, &err) == 0 &&
           t.type == JSON_END;
}
