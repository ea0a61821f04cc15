/* page_ids.c: texts of one pattern: ids, and whatever else repeats all but some letters.
 *
 *   PE_PARTS   exceptions nparts:varint part...  column...
 *   part   = 0:u8 lenstr              a literal
 *          | 1:u8                     a decimal number without leading zeros, below 10^18
 *          | 2 + alphabet:u8 n:u8     n characters of an alphabet, as ceil(n / chunk) columns
 *   column = 0:u8 stream(m)                          in the order of the parts; m = n - exceptions
 *          | 1:u8 ndict:varint stream(ndict) stream(m)   distinct values, codes: a leader
 *          | 2:u8 leader:u8 stream(ndict)                as many values, for the codes of a leader
 *
 * Characters are digits of a number in base the size of the alphabet, most significant first, at
 * most `chunk` of them in one column (less than 2^56). When two columns say the same about which
 * texts are alike (an id and the hash made of it) the second only lists its values.
 *
 * Two ways to a pattern. Texts of equal length: positions at which all texts agree are literal,
 * the runs between are characters of the smallest alphabet that has them all. Texts that differ
 * only in their digits: each run of digits is a number, or characters when its length is fixed. */
#include "codec/page_impl.h"

#define LENGTH_MAX 250
#define PARTS_MAX 40
#define COLUMNS_MAX 16
#define LEADERS_MAX 4
#define SAMPLE 16
#define NUMBER_DIGITS 18

enum { PART_LITERAL, PART_NUMBER, PART_CHARS };
enum { COLUMN_OWN, COLUMN_LEADER, COLUMN_FOLLOWS };

static const struct alphabet {
    const char *chars;
    uint8_t radix, chunk;
} alphabets[] = {
    { "0123456789", 10, 16 },
    { "0123456789abcdef", 16, 14 },
    { "0123456789ABCDEF", 16, 14 },
    { "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 32, 11 }, /* Crockford's, of ULIDs */
    { "0123456789abcdefghijklmnopqrstuvwxyz", 36, 10 },
    { "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 36, 10 },
    { "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 62, 9 },
    { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 64, 9 },
};
#define ALPHABETS (sizeof alphabets / sizeof *alphabets)

struct part {
    uint8_t kind, alphabet;
    uint32_t at, n; /* PART_LITERAL, PART_CHARS: where in the pattern's first text */
};

struct pattern {
    str model; /* a text it was made from */
    struct part parts[PARTS_MAX];
    uint32_t nparts, ncols;
};

static uint32_t columns_of(const struct part *p)
{
    if (p->kind == PART_CHARS)
        return (p->n + alphabets[p->alphabet].chunk - 1) / alphabets[p->alphabet].chunk;
    return p->kind == PART_NUMBER;
}

static bool add_part(struct pattern *t, uint8_t kind, uint8_t alphabet, uint32_t at, uint32_t n)
{
    if (t->nparts == PARTS_MAX)
        return false;
    t->parts[t->nparts] = (struct part){ kind, alphabet, at, n };
    t->ncols += columns_of(&t->parts[t->nparts++]);
    return t->ncols <= COLUMNS_MAX;
}

/* ---- texts of equal length ---- */

/* bit k of table[c]: alphabet k has c */
static void classes_of(uint8_t table[256])
{
    memset(table, 0, 256);
    for (size_t k = 0; k < ALPHABETS; k++)
        for (const char *c = alphabets[k].chars; *c; c++)
            table[(uint8_t)*c] |= (uint8_t)(1u << k);
}

/* the length most of a sample have */
static size_t usual_length(const str *v, uint32_t n)
{
    size_t len[SAMPLE], best = 0;
    uint32_t most = 0, m = n < SAMPLE ? n : SAMPLE;
    for (uint32_t i = 0; i < m; i++) {
        len[i] = v[(uint64_t)i * n / m].n;
        uint32_t same = 0;
        for (uint32_t j = 0; j <= i; j++)
            same += len[j] == len[i];
        if (same > most) {
            most = same;
            best = len[i];
        }
    }
    return most > m / 2 ? best : 0;
}

/* Literals and characters of m texts as long as the first; false when they have none in common. */
static bool fixed_pattern(const str *v, uint32_t m, struct pattern *t)
{
    uint8_t classes[256], differs[LENGTH_MAX] = { 0 }, class[LENGTH_MAX];
    size_t len = v[0].n;
    *t = (struct pattern){ .model = v[0] };
    for (uint32_t i = 1; i < m; i++)
        for (size_t j = 0; j < len; j++)
            differs[j] |= (uint8_t)(v[i].p[j] ^ v[0].p[j]);
    classes_of(classes);
    memset(class, 0xff, sizeof class);
    for (size_t from = 0, j = 0; j <= len; j++) {
        if (j < len && j > from && !differs[j] == !differs[j - 1])
            continue;
        if (j > from && !differs[from] &&
            !add_part(t, PART_LITERAL, 0, (uint32_t)from, (uint32_t)(j - from)))
            return false;
        if (j > from && differs[from]) {
            uint8_t both = 0xff;
            for (uint32_t i = 0; i < m && both; i++)
                for (size_t k = from; k < j; k++)
                    both &= classes[(uint8_t)v[i].p[k]];
            if (!both || !add_part(t, PART_CHARS, (uint8_t)__builtin_ctz(both), (uint32_t)from,
                                   (uint32_t)(j - from)))
                return false;
        }
        from = j;
    }
    return true;
}

/* Fills s->fit with the texts of the usual length, s->pos with the numbers of the others. */
static bool find_fixed(struct page_scratch *s, const str *v, uint32_t n, struct pattern *t,
                       uint32_t *ret_nexc)
{
    size_t len = usual_length(v, n);
    if (len < 4 || len > LENGTH_MAX)
        return false;
    uint32_t m = 0, nexc = 0;
    for (uint32_t i = 0; i < n; i++)
        if (v[i].n == len)
            s->fit[m++] = v[i];
        else if (nexc < PAGE_EXCEPTIONS(n))
            s->pos[nexc++] = i;
        else
            return false;
    *ret_nexc = nexc;
    str sample[SAMPLE];
    uint32_t k = m < SAMPLE ? m : SAMPLE;
    for (uint32_t i = 0; i < k; i++)
        sample[i] = s->fit[(uint64_t)i * m / k];
    return m && fixed_pattern(sample, k, t) && fixed_pattern(s->fit, m, t);
}

/* ---- texts that differ in their digits ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_at(str v, size_t at)
{
    size_t n = 0;
    while (at + n < v.n && is_digit(v.p[at + n]))
        n++;
    return n;
}

/* Walks v along the literals of t. at[k], n[k]: where the k-th run of digits is. */
static bool walk_digits(const struct pattern *t, str v, uint32_t *at, uint32_t *n)
{
    size_t pos = 0, k = 0;
    for (uint32_t i = 0; i < t->nparts; i++) {
        const struct part *p = &t->parts[i];
        if (p->kind == PART_LITERAL) {
            if (v.n - pos < p->n || memcmp(v.p + pos, t->model.p + p->at, p->n) != 0)
                return false;
            pos += p->n;
            continue;
        }
        at[k] = (uint32_t)pos;
        n[k] = (uint32_t)digits_at(v, pos);
        pos += n[k];
        if (n[k++] == 0)
            return false;
    }
    return pos == v.n;
}

static bool split_digits(str v, struct pattern *t)
{
    *t = (struct pattern){ .model = v };
    uint32_t runs = 0;
    for (size_t at = 0; at < v.n;) {
        size_t n = digits_at(v, at);
        uint8_t kind = n ? PART_NUMBER : PART_LITERAL;
        while (!n || (kind == PART_LITERAL && at + n < v.n && !is_digit(v.p[at + n])))
            n++;
        if (!add_part(t, kind, 0, (uint32_t)at, (uint32_t)n))
            return false;
        runs += kind == PART_NUMBER;
        at += n;
    }
    return runs > 0;
}

static bool canonical(const char *p, uint32_t n)
{
    return n <= NUMBER_DIGITS && (p[0] != '0' || n == 1);
}

static bool find_digits(struct page_scratch *s, const str *v, uint32_t n, struct pattern *t,
                        uint32_t *ret_nexc)
{
    uint32_t at[COLUMNS_MAX], len[COLUMNS_MAX], lo[COLUMNS_MAX], hi[COLUMNS_MAX];
    str model = v[n / 2];
    if (model.n > LENGTH_MAX || !split_digits(model, t))
        return false;
    uint32_t m = n < SAMPLE ? n : SAMPLE, misses = 0;
    for (uint32_t i = 0; i < m; i++)
        misses += !walk_digits(t, v[(uint64_t)i * n / m], at, len);
    if (misses > 1)
        return false;
    memset(lo, 0xff, sizeof lo);
    memset(hi, 0, sizeof hi);
    for (uint32_t i = 0; i < n; i++) {
        bool ok = walk_digits(t, v[i], at, len);
        for (uint32_t k = 0; ok && k < t->ncols; k++) {
            lo[k] = len[k] < lo[k] ? len[k] : lo[k];
            hi[k] = len[k] > hi[k] ? len[k] : hi[k];
        }
    }
    uint32_t fixed = 0, k = 0, nexc = 0, fits = 0;
    for (uint32_t i = 0; i < t->nparts; i++)
        if (t->parts[i].kind == PART_NUMBER) {
            if (lo[k] == hi[k] && hi[k] <= alphabets[0].chunk) {
                t->parts[i].kind = PART_CHARS;
                t->parts[i].n = hi[k];
                fixed |= 1u << k;
            }
            k++;
        }
    for (uint32_t i = 0; i < n; i++) {
        bool ok = walk_digits(t, v[i], at, len);
        for (k = 0; ok && k < t->ncols; k++)
            ok = fixed >> k & 1 ? len[k] == hi[k] : canonical(v[i].p + at[k], len[k]);
        if (ok)
            s->fit[fits++] = v[i];
        else if (nexc < PAGE_EXCEPTIONS(n))
            s->pos[nexc++] = i;
        else
            return false;
    }
    *ret_nexc = nexc;
    return fits > 0;
}

/* ---- columns ---- */

static int64_t number_of(const char *p, uint32_t n, const uint8_t *digit, unsigned radix)
{
    uint64_t x = 0;
    for (uint32_t i = 0; i < n; i++)
        x = x * radix + digit[(uint8_t)p[i]];
    return (int64_t)x;
}

/* Fills one array of m integers a column from s->fit. */
static void fill_columns(struct page_scratch *s, const struct pattern *t, uint32_t m, int64_t **col)
{
    uint8_t digit[ALPHABETS][256];
    bool made[ALPHABETS] = { false };
    uint32_t *at = s->cursor, c = 0;
    memset(at, 0, m * sizeof *at);
    for (uint32_t k = 0; k < t->nparts; k++) {
        const struct part *p = &t->parts[k];
        const struct alphabet *b = &alphabets[p->alphabet];
        for (unsigned d = 0; !made[p->alphabet] && d < b->radix; d++)
            digit[p->alphabet][(uint8_t)b->chars[d]] = (uint8_t)d;
        made[p->alphabet] = true;
        if (p->kind == PART_NUMBER) {
            for (uint32_t i = 0; i < m; i++) {
                uint32_t n = (uint32_t)digits_at(s->fit[i], at[i]);
                col[c][i] = number_of(s->fit[i].p + at[i], n, digit[0], 10);
                at[i] += n;
            }
            c++;
            continue;
        }
        for (uint32_t from = 0; p->kind == PART_CHARS && from < p->n; from += b->chunk) {
            uint32_t n = p->n - from < b->chunk ? p->n - from : b->chunk;
            for (uint32_t i = 0; i < m; i++)
                col[c][i] = number_of(s->fit[i].p + at[i] + from, n, digit[p->alphabet], b->radix);
            c++;
        }
        for (uint32_t i = 0; i < m; i++)
            at[i] += p->n;
    }
}

struct leader {
    uint32_t column, ndict, followers;
    int64_t *codes;
};

/* Which columns repeat in the same way; leader_of[c]: its leader's number, or LEADERS_MAX. */
static uint32_t find_leaders(struct page_scratch *s, int64_t **col, uint32_t ncols, uint32_t m,
                             struct leader *leaders, uint32_t *leader_of)
{
    uint32_t n = 0;
    size_t mark = s->pool_used;
    int64_t *values = ints_take(s, m / 2 + 1), *codes = NULL;
    for (uint32_t c = 0; c < ncols; c++) {
        leader_of[c] = LEADERS_MAX;
        if (!codes)
            codes = ints_take(s, m);
        uint32_t nd = ints_repeat(col[c], m) ? ints_codes(s, col[c], m, m / 2, values, codes) : 0;
        for (uint32_t k = 0; nd > 1 && k < n; k++)
            if (leaders[k].ndict == nd && !memcmp(leaders[k].codes, codes, m * sizeof *codes)) {
                leader_of[c] = k;
                leaders[k].followers++;
            }
        if (nd > 1 && leader_of[c] == LEADERS_MAX && n < LEADERS_MAX) {
            leaders[n] = (struct leader){ c, nd, 0, codes };
            leader_of[c] = n++;
            codes = NULL;
        }
    }
    if (!n)
        s->pool_used = mark;
    return n;
}

/* the value of each code */
static void put_values(struct page_scratch *s, struct buf *out, const int64_t *v,
                       const struct leader *l, uint32_t m)
{
    for (uint32_t i = 0; i < m; i++)
        s->ints[l->codes[i]] = v[i];
    ints_put(s, out, s->ints, l->ndict);
}

static void put_columns(struct page_scratch *s, struct buf *out, int64_t **col, uint32_t ncols,
                        uint32_t m)
{
    struct leader leaders[LEADERS_MAX];
    uint32_t leader_of[COLUMNS_MAX], number[LEADERS_MAX], led = 0;
    find_leaders(s, col, ncols, m, leaders, leader_of);
    for (uint32_t c = 0; c < ncols; c++) {
        struct leader *l = leader_of[c] < LEADERS_MAX ? &leaders[leader_of[c]] : NULL;
        if (!l || !l->followers) {
            buf_putc(out, COLUMN_OWN);
            ints_put(s, out, col[c], m);
        } else if (l->column == c) {
            number[leader_of[c]] = led++;
            buf_putc(out, COLUMN_LEADER);
            buf_varint(out, l->ndict);
            put_values(s, out, col[c], l, m);
            ints_put(s, out, l->codes, m);
        } else {
            buf_putc(out, COLUMN_FOLLOWS);
            buf_putc(out, (char)number[leader_of[c]]);
            put_values(s, out, col[c], l, m);
        }
    }
}

/* ---- the page ---- */

static void put_pattern(struct buf *out, const struct pattern *t)
{
    buf_varint(out, t->nparts);
    for (uint32_t i = 0; i < t->nparts; i++) {
        const struct part *p = &t->parts[i];
        buf_putc(out, (char)(p->kind + p->alphabet));
        if (p->kind == PART_LITERAL)
            buf_lenstr(out, str_sub(t->model, p->at, p->n));
        else if (p->kind == PART_CHARS)
            buf_putc(out, (char)p->n);
    }
}

bool page_put_parts(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    struct pattern t;
    uint32_t nexc;
    if (!find_fixed(s, v, n, &t, &nexc) && !find_digits(s, v, n, &t, &nexc))
        return false;
    int64_t *col[COLUMNS_MAX];
    uint32_t m = n - nexc;
    size_t mark = s->pool_used;
    page_put_exceptions(s, out, v, nexc);
    put_pattern(out, &t);
    for (uint32_t c = 0; c < t.ncols; c++)
        col[c] = ints_take(s, m);
    fill_columns(s, &t, m, col);
    put_columns(s, out, col, t.ncols, m);
    s->pool_used = mark;
    return true;
}

/* ---- reading ---- */

/* Texts are written with up to this many bytes after their end, which the next one overwrites. */
#define SLACK 16

/* A part as reading needs it. */
struct op {
    uint8_t kind, alphabet;
    uint32_t n;
    str literal;
    const int64_t *col[(LENGTH_MAX + 8) / 9];
};

static int bad_parts(struct err *err)
{
    return page_corrupt(err, "parts");
}

static int get_pattern(struct rd *r, struct op *ops, uint32_t *ret_nops, uint32_t *ret_ncols,
                       struct arena *tmp, struct err *err)
{
    uint64_t nparts = rd_varint(r), length = 0;
    *ret_ncols = 0;
    if (nparts > PARTS_MAX)
        return bad_parts(err);
    for (uint32_t i = 0; i < nparts; i++) {
        uint8_t kind = rd_u8(r);
        struct op *o = &ops[i];
        *o = (struct op){ .kind = kind < PART_CHARS ? kind : PART_CHARS };
        if (o->kind == PART_LITERAL) {
            o->literal = rd_lenstr(r);
            length += o->literal.n;
            char *copy = length <= LENGTH_MAX ? arena_zalloc(tmp, o->literal.n + SLACK) : NULL;
            if (!copy)
                return length <= LENGTH_MAX ? err_nomem(err) : bad_parts(err);
            memcpy(copy, o->literal.n ? o->literal.p : "", o->literal.n);
            o->literal.p = copy; /* which may be read beyond its end */
        } else if (o->kind == PART_CHARS) {
            o->alphabet = (uint8_t)(kind - PART_CHARS);
            o->n = rd_u8(r);
            length += o->n;
            if (o->alphabet >= ALPHABETS || o->n == 0)
                return bad_parts(err);
        }
        if (length > LENGTH_MAX)
            return bad_parts(err);
        struct part p = { o->kind, o->alphabet, 0, o->n };
        *ret_ncols += columns_of(&p);
    }
    *ret_nops = (uint32_t)nparts;
    return *ret_ncols <= COLUMNS_MAX && rd_ok(r) ? 0 : bad_parts(err);
}

/* What columns share: the codes of each leader. */
struct led {
    uint32_t n;
    struct {
        uint32_t ndict;
        const int64_t *codes;
    } of[COLUMNS_MAX];
};

static int get_column(struct rd *r, uint32_t m, int64_t *v, struct led *led, struct arena *tmp,
                      struct err *err)
{
    uint8_t how = rd_u8(r);
    if (how == COLUMN_OWN)
        return ints_get(r, m, v, tmp, err);
    uint64_t ndict = 0, which = led->n;
    if (how == COLUMN_LEADER)
        ndict = rd_varint(r);
    else if (how == COLUMN_FOLLOWS && (which = rd_u8(r)) < led->n)
        ndict = led->of[which].ndict;
    if (ndict == 0 || ndict > m)
        return bad_parts(err);
    int64_t *values = arena_array(tmp, (size_t)ndict, sizeof *values);
    if (!values)
        return err_nomem(err);
    int rc = ints_get(r, (uint32_t)ndict, values, tmp, err);
    if (rc)
        return rc;
    if (how == COLUMN_LEADER) {
        int64_t *codes = arena_array(tmp, m, sizeof *codes);
        if (!codes)
            return err_nomem(err);
        rc = ints_get(r, m, codes, tmp, err);
        for (uint32_t i = 0; !rc && i < m; i++)
            if ((uint64_t)codes[i] >= ndict)
                return bad_parts(err);
        led->of[led->n].ndict = (uint32_t)ndict;
        led->of[led->n++].codes = codes;
    }
    for (uint32_t i = 0; !rc && i < m; i++)
        v[i] = values[led->of[which].codes[i]];
    return rc;
}

/* All columns, tied to their parts. The numbers are checked; characters are when written. */
static int get_columns(struct rd *r, struct op *ops, uint32_t nops, uint32_t ncols, uint32_t m,
                       struct arena *tmp, struct err *err)
{
    struct led led = { 0 };
    int64_t *v = arena_array(tmp, (size_t)ncols * m + 1, sizeof *v);
    if (!v)
        return err_nomem(err);
    for (uint32_t k = 0; k < nops; k++) {
        struct part p = { ops[k].kind, ops[k].alphabet, 0, ops[k].n };
        for (uint32_t c = 0; c < columns_of(&p); c++, v += m) {
            int rc = get_column(r, m, v, &led, tmp, err);
            if (rc)
                return rc;
            ops[k].col[c] = v;
        }
    }
    return 0;
}

static uint32_t decimal_digits(uint64_t x)
{
    uint32_t n = 1;
    for (; x >= 10000; x /= 10000)
        n += 4;
    return n + (x >= 10) + (x >= 100) + (x >= 1000);
}

/* Eight decimal digits, most significant in the lowest byte: halves, quarters and digits are
 * divided side by side, by multiplication with the inverses of 100 and 10. */
static uint64_t eight_digits(uint32_t x)
{
    uint64_t y = x / 10000 | (uint64_t)(x % 10000) << 32;
    uint64_t q = (y * 10486 >> 20) & 0x7f0000007full;
    y = q | (y - 100 * q) << 16;
    q = (y * 103 >> 10) & 0x000f000f000f000full;
    y = q | (y - 10 * q) << 8;
    return y + 0x3030303030303030ull;
}

/* Eight hexadecimal digits, most significant in the lowest byte. */
static uint64_t eight_nibbles(uint32_t x, unsigned above_9)
{
    uint64_t y = __builtin_bswap32(x);
    y = (y | y << 16) & 0x0000ffff0000ffffull;
    y = (y | y << 8) & 0x00ff00ff00ff00ffull;
    y = (y >> 4 & 0x000f000f000f000full) | (y & 0x000f000f000f000full) << 8;
    uint64_t letter = (y + 0x0606060606060606ull) >> 4 & 0x0101010101010101ull;
    return y + 0x3030303030303030ull + letter * above_9;
}

/* The last n <= 16 decimal digits of x; returns what is left of x. */
static uint64_t put_decimal(char *p, uint32_t n, uint64_t x)
{
    uint64_t high = x / 100000000;
    uint32_t low = (uint32_t)(x % 100000000);
    if (n <= 8) {
        uint64_t y = eight_digits(low), more = (1ull << (8 - n) * 8) - 1;
        put_le64(p, y >> (8 - n) * 8);
        return high | ((y - 0x3030303030303030ull) & more);
    }
    uint64_t left = put_decimal(p, n - 8, high);
    put_le64(p + n - 8, eight_digits(low));
    return left;
}

static uint64_t put_hex(char *p, uint32_t n, uint64_t x, unsigned above_9)
{
    if (n > 8) {
        put_le64(p, eight_nibbles((uint32_t)(x >> 4 * (n - 8)), above_9));
        put_le64(p + n - 8, eight_nibbles((uint32_t)x, above_9));
    } else {
        put_le64(p, eight_nibbles((uint32_t)x, above_9) >> (8 - n) * 8);
    }
    return x >> 4 * n;
}

/* The last n digits of x in base radix; returns what is left of x. */
static inline __attribute__((always_inline)) uint64_t put_digits(char *p, uint32_t n, uint64_t x,
                                                                 const char *chars, unsigned radix)
{
    while (n-- > 0) {
        p[n] = chars[x % radix];
        x /= radix;
    }
    return x;
}

/* 1 <= n <= b->chunk */
static uint64_t put_chunk(char *p, uint32_t n, uint64_t x, const struct alphabet *b)
{
    switch (b->radix) { /* so that the compiler knows what it divides by */
    case 10: return put_decimal(p, n, x);
    case 16: return put_hex(p, n, x, (unsigned)b->chars[10] - '0' - 10);
    case 32: return put_digits(p, n, x, b->chars, 32);
    case 36: return put_digits(p, n, x, b->chars, 36);
    case 62: return put_digits(p, n, x, b->chars, 62);
    default: return put_digits(p, n, x, b->chars, 64);
    }
}

/* Writes text i at p; returns its end. *left: not 0 when a value had more digits than its part. */
static char *put_row(char *p, const struct op *ops, uint32_t nops, uint32_t i, uint64_t *left)
{
    for (const struct op *o = ops; o < ops + nops; o++) {
        if (o->kind == PART_LITERAL) {
            for (size_t at = 0; at < o->literal.n; at += SLACK)
                memcpy(p + at, o->literal.p + at, SLACK);
            p += o->literal.n;
        } else if (o->kind == PART_NUMBER) {
            uint64_t x = (uint64_t)o->col[0][i];
            uint32_t n = decimal_digits(x);
            put_digits(p, n, x, alphabets[0].chars, 10);
            p += n;
        } else {
            const struct alphabet *b = &alphabets[o->alphabet];
            for (uint32_t c = 0, n = o->n; n; c++) {
                uint32_t k = n < b->chunk ? n : b->chunk;
                *left |= put_chunk(p, k, (uint64_t)o->col[c][i], b);
                p += k;
                n -= k;
            }
        }
    }
    return p;
}

int page_get_parts(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp, struct texts *ret,
                   struct err *err)
{
    struct exceptions x;
    struct op ops[PARTS_MAX];
    uint32_t nops = 0, ncols = 0;
    int rc = page_get_exceptions(r, n, tmp, &x, err);
    if (!rc)
        rc = get_pattern(r, ops, &nops, &ncols, tmp, err);
    uint32_t m = n - x.n;
    if (!rc)
        rc = get_columns(r, ops, nops, ncols, m, tmp, err);
    if (rc)
        return rc;
    uint64_t fixed = 0, total = x.bytes;
    for (uint32_t k = 0; k < nops; k++) {
        fixed += ops[k].kind == PART_LITERAL ? ops[k].literal.n : ops[k].n;
        for (uint32_t i = 0; ops[k].kind == PART_NUMBER && i < m; i++)
            total += decimal_digits((uint64_t)ops[k].col[0][i]);
    }
    char *text = arena_alloc(a, (size_t)(total + fixed * m + SLACK)), *p = text;
    if (!text)
        return err_nomem(err);
    uint64_t left = 0;
    for (uint32_t i = 0, k = 0, e = 0; i < n; i++) {
        ret->off[i] = (uint32_t)(p - text);
        if (e < x.n && x.pos[e] == i)
            p = page_put_exception(p, &x, e++);
        else
            p = put_row(p, ops, nops, k++, &left);
    }
    ret->off[n] = (uint32_t)(p - text);
    ret->bytes = text;
    return left ? bad_parts(err) : 0;
}
