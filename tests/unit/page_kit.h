/* page_kit.h: columns made from a seed, and a reader that compares them value by value.
 *
 * Each shape is what one encoding is for, with the values in it that break careless ones. */
#ifndef FL_TESTS_UNIT_PAGE_KIT_H
#define FL_TESTS_UNIT_PAGE_KIT_H

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/hash.h"
#include "codec/page.h"

struct kit {
    uint64_t rng;
    struct arena a;
    struct page_in in;
    uint16_t rows[PAGE_ROWS_MAX];
    int64_t i64[PAGE_ROWS_MAX];
    double f64[PAGE_ROWS_MAX];
    uint8_t b8[PAGE_ROWS_MAX];
    str text[PAGE_ROWS_MAX];
};

static inline uint64_t kit_random(struct kit *k)
{
    return hash_mix(k->rng += 0x9e3779b97f4a7c15ull);
}
static inline uint64_t kit_below(struct kit *k, uint64_t n)
{
    return kit_random(k) % n;
}

/* of any number of bits; two calls in one expression would have no order */
static inline uint64_t kit_any_width(struct kit *k)
{
    uint64_t x = kit_random(k);
    return x >> kit_below(k, 64);
}

/* ---- integers: value i ---- */

static const int64_t kit_nasty_ints[] = { INT64_MIN, INT64_MAX,       0,         -1,
                                          1,         INT64_MIN + 1,   1ll << 32, -(1ll << 32),
                                          1ll << 56, (1ll << 56) - 1, 1ll << 62, -(1ll << 57) };

static inline int64_t kit_int(struct kit *k, const char *shape, uint32_t i)
{
    int64_t before = i ? k->i64[i - 1] : 0;
    switch (shape[0]) {
    case 'c': return 42;                                 /* constant */
    case 'f': return -1000 + (int64_t)kit_below(k, 300); /* frame */
    case 'g': return 1800000000000000000 + 1000000000ll * (int64_t)kit_below(k, 4000); /* gcd */
    case 'd': return before + (int64_t)kit_below(k, 12);                               /* delta */
    case 'r': return 1700000000000 + 250 * (int64_t)i; /* regular times */
    case 'j': return 1700000000000 + 250 * (int64_t)i + (kit_below(k, 100) ? 0 : 7); /* jitter */
    case 'o':
        return kit_below(k, 50) ? (int64_t)kit_below(k, 100) /* outliers, both ways */
                                : (int64_t)kit_random(k);
    case 'l': return i && kit_below(k, 20) ? before : (int64_t)kit_random(k); /* long runs */
    case 'n': return (int64_t)hash_mix(kit_below(k, 9));                      /* nine distinct */
    case 'w': return (int64_t)kit_random(k);                                  /* whole range */
    case 'a': return i % 2 ? INT64_MIN : INT64_MAX;                           /* alternating */
    case 'p': return (int64_t)kit_any_width(k);                               /* all widths */
    default: return kit_nasty_ints[kit_below(k, sizeof kit_nasty_ints / sizeof(int64_t))];
    }
}
static const char *const kit_int_shapes[] = { "const",   "frame",  "gcd",         "delta",
                                              "regular", "jitter", "outliers",    "long runs",
                                              "nine",    "wide",   "alternating", "powers",
                                              "extremes" };

/* ---- doubles ---- */

static inline double kit_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline double kit_nasty_double(struct kit *k)
{
    static const uint64_t bits[] = {
        0x7ff8000000000000, 0x7ff0000000000001, 0xfff8dead0000beef, /* NaNs with payloads */
        0x7ff0000000000000, 0xfff0000000000000,                     /* infinities */
        0x8000000000000000, 0x0000000000000000,                     /* -0, 0 */
        0x0000000000000001, 0x800fffffffffffff,                     /* denormals */
        0x7fefffffffffffff, 0x0010000000000000,                     /* largest, smallest normal */
        0x4340000000000000, 0x4340000000000001, 0x4330000000000001, /* about 2^53, 2^52 */
        0x3ff0000000000001, 0x3fb999999999999a
    };
    return kit_bits(bits[kit_below(k, sizeof bits / sizeof *bits)]);
}

static inline double kit_double(struct kit *k, const char *shape)
{
    switch (shape[0]) {
    case 'c': return kit_bits(0x7ff8000000000123);       /* constant NaN */
    case 'm': return (double)kit_below(k, 100000) / 100; /* money */
    case 'e':
        return kit_below(k, 40) ? ((double)kit_below(k, 1000000) - 300000) / 1000
                                : kit_nasty_double(k);              /* decimals with exceptions */
    case 'i': return (double)(int64_t)kit_below(k, 100000);         /* integers */
    case 'f': return (double)(float)((double)kit_random(k) / 1e19); /* floats */
    case 'w': return kit_bits(kit_random(k));                       /* any bits */
    case 'l': return (double)(int64_t)(kit_random(k) >> 10) / 1e15; /* long decimals */
    default: return kit_nasty_double(k);
    }
}
static const char *const kit_double_shapes[] = { "const nan", "money", "exceptions", "integers",
                                                 "float",     "wide",  "long",       "nasty" };

/* ---- texts ---- */

static inline void kit_chars(struct kit *k, char *p, size_t n, const char *alphabet)
{
    size_t r = strlen(alphabet);
    for (size_t i = 0; i < n; i++)
        p[i] = alphabet[kit_below(k, r)];
    p[n] = 0;
}
#define KIT_HEX "0123456789abcdef"
#define KIT_HEX_UP "0123456789ABCDEF"
#define KIT_62 "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define KIT_32 "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

static inline void kit_time_text(struct kit *k, const char *how, uint32_t i, char *p, size_t room)
{
    unsigned t = i * 7 % 86400, y = 2026, mo = 3 + i / 20000, d = 1 + i / 1000 % 28;
    unsigned h = t / 3600, m = t / 60 % 60, s = t % 60, f = (unsigned)kit_below(k, 1000000000);
    if (!strcmp(how, "space"))
        snprintf(p, room, "%04u-%02u-%02u %02u:%02u:%02u", y, mo, d, h, m, s);
    else if (!strcmp(how, "ms"))
        snprintf(p, room, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", y, mo, d, h, m, s, f / 1000000);
    else if (!strcmp(how, "us"))
        snprintf(p, room, "%04u-%02u-%02uT%02u:%02u:%02u.%06u+02:00", y, mo, d, h, m, s, f / 1000);
    else if (!strcmp(how, "ns"))
        snprintf(p, room, "%04u-%02u-%02uT%02u:%02u:%02u,%09u", y, mo, d, h, m, s, f);
    else if (!strcmp(how, "day"))
        snprintf(p, room, "%04u-%02u-%02u", 1969 + i / 336 % 90, 1 + i / 28 % 12, 1 + i % 28);
    else /* with days that do not exist, far years, and other spellings among them */
        snprintf(p, room, "%04u-%02u-%02uT%02u:%02u:%02uZ", f % 50 ? y : f % 10000, mo,
                 f % 61 ? d : 31, h, m, f % 83 ? s : 60);
}

static inline void kit_id_text(struct kit *k, const char *how, uint32_t i, char *p, size_t room)
{
    char x[80];
    uint32_t trace = 9163 + i / 7;
    uint64_t h = hash_mix(trace);
    kit_chars(k, x, 64, how[0] == 'U' ? KIT_HEX_UP : KIT_HEX);
    if (!strcmp(how, "observation"))
        snprintf(p, room, "obs_trace_%06u_%08x_%06u_%.8s", trace, (uint32_t)h, i % 7 + 1, x);
    else if (!strcmp(how, "trace"))
        snprintf(p, room, "trace_%06u_%08x", trace, (uint32_t)h);
    else if (!strcmp(how, "tool use"))
        snprintf(p, room, "toolu_%06u_%02u", trace, i % 7);
    else if (!strcmp(how, "uuid4") || !strcmp(how, "UUID4"))
        snprintf(p, room, "%.8s-%.4s-4%.3s-%c%.3s-%.12s", x, x + 8, x + 12, "89ab89AB"[h % 4],
                 x + 15, x + 18);
    else if (!strcmp(how, "vuid7"))
        snprintf(p, room, "019a%04x-%04x-7%.3s-8%.3s-%.12s", i >> 4, i * 77 & 0xffff, x, x + 3,
                 x + 6);
    else if (!strcmp(how, "hex32"))
        snprintf(p, room, "%.32s", x);
    else if (!strcmp(how, "hex16"))
        snprintf(p, room, "%.16s", x);
    else if (!strcmp(how, "message")) {
        kit_chars(k, x, 22, KIT_62);
        snprintf(p, room, "msg_01%s", x);
    } else if (!strcmp(how, "exceptions")) {
        kit_chars(k, x, 22, KIT_62);
        snprintf(p, room, i % 61 == 5 ? "none" : i % 67 == 3 ? "%.0s" : "call_%s", x);
    } else if (!strcmp(how, "lid")) {
        kit_chars(k, x, 16, KIT_32);
        snprintf(p, room, "01J%07u%s", 1000000 + i, x);
    } else { /* parts of varying width, leading zeros, numbers too large */
        snprintf(p, room, "pod-%u/%llu:%s%u", i, (unsigned long long)(kit_random(k) >> h % 64),
                 h % 90 ? "" : "0", (unsigned)(h % 1000));
    }
}

static inline str kit_text(struct kit *k, const char *shape, uint32_t i)
{
    char p[160] = "";
    switch (shape[0]) {
    case 'e': return STR("");
    case 's': return STR("the same for all");
    case 'd': snprintf(p, sizeof p, "value %u", (unsigned)kit_below(k, 12)); break;
    case 'D': snprintf(p, sizeof p, "value %u", (unsigned)kit_below(k, 1 + k->in.n / 2)); break;
    case 'p': {
        unsigned long long words = kit_below(k, 1000);
        snprintf(p, sizeof p, "%llu words of %llx", words, (unsigned long long)kit_any_width(k));
        break;
    }
    case 'b': { /* any bytes, any length */
        size_t n = kit_below(k, 30);
        for (size_t j = 0; j < n; j++)
            p[j] = (char)kit_random(k);
        return arena_dup(&k->a, str_n(p, n));
    }
    case 'n': { /* numbers: canonical, then some that are not */
        static const char *const odd[] = {
            "-0",  "007", "", "-", "+1", "9223372036854775808", "-9223372036854775808",
            "1e3", "12a", "0"
        };
        if (shape[1] == '!' && !kit_below(k, 60))
            return str_c(odd[kit_below(k, sizeof odd / sizeof *odd)]);
        int64_t x = (int64_t)kit_random(k);
        snprintf(p, sizeof p, "%lld", (long long)(x >> (20 + kit_below(k, 40))));
        break;
    }
    case 't': kit_time_text(k, shape + 2, i, p, sizeof p); break;
    default: kit_id_text(k, shape + 2, i, p, sizeof p); break;
    }
    return arena_dup(&k->a, str_c(p));
}
static const char *const kit_text_shapes[] = {
    "empty",         "same",      "dictionary",   "Dictionary", "plain",    "bytes",   "number",
    "n!odd",         "t space",   "t ms",         "t us",       "t ns",     "t day",   "t odd",
    "i observation", "i trace",   "i tool use",   "i uuid4",    "i UUID4",  "i vuid7", "i hex32",
    "i hex16",       "i message", "i exceptions", "i lid",      "i varying"
};

/* ---- pages ---- */

/* Fills k->in: n rows of which about `tenths` of ten have a value (at least one). */
static inline void kit_fill(struct kit *k, enum page_class cls, const char *shape, uint32_t n,
                            unsigned tenths, uint64_t seed)
{
    arena_reset(&k->a);
    k->rng = seed;
    k->in = (struct page_in){ .cls = cls, .n = n };
    for (uint32_t r = 0; r < n; r++)
        if (tenths >= 10 || kit_below(k, 10) < tenths || (r == n - 1 && !k->in.nvals))
            k->rows[k->in.nvals++] = (uint16_t)r;
    for (uint32_t i = 0; i < k->in.nvals; i++) {
        switch (cls) {
        case PAGE_INT: k->i64[i] = kit_int(k, shape, i); break;
        case PAGE_F64: k->f64[i] = kit_double(k, shape); break;
        case PAGE_BOOL: k->b8[i] = shape[0] == 'm' ? kit_below(k, 2) : 1; break;
        case PAGE_TEXT: k->text[i] = kit_text(k, shape, i); break;
        default: break;
        }
    }
    k->in.rows = k->in.nvals == n ? NULL : k->rows;
    k->in.i64 = k->i64;
    k->in.f64 = k->f64;
    k->in.b8 = k->b8;
    k->in.text = k->text;
}

/* The first row whose value is not the one that went in; UINT32_MAX: none. */
static inline uint32_t kit_differs(const struct page_in *in, const struct page_out *po)
{
    uint32_t i = 0;
    for (uint32_t r = 0; r < in->n; r++) {
        bool has = i < in->nvals && (!in->rows || in->rows[i] == r);
        if (has != (!po->present || bit_get(po->present, r)))
            return r;
        bool same = true;
        if (in->cls == PAGE_TEXT) {
            uint32_t c = po->codes ? po->codes[r] : r;
            str got = str_n(po->bytes + po->off[c], po->off[c + 1] - po->off[c]);
            same = has ? str_eq(got, in->text[i]) : po->codes || got.n == 0;
        } else if (in->cls == PAGE_INT) {
            same = !has || po->i64[r] == in->i64[i];
        } else if (in->cls == PAGE_F64) {
            same = !has || memcmp(&po->f64[r], &in->f64[i], sizeof(double)) == 0;
        } else if (in->cls == PAGE_BOOL) {
            same = !has || po->b8[r] == in->b8[i];
        }
        if (!same)
            return r;
        i += has;
    }
    return i == in->nvals ? UINT32_MAX : in->n;
}

#endif
