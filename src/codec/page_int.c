/* page_int.c: streams of integers, of which integer pages and the parts of all others are made.
 *
 *   stream of n = kind:u8 ...
 *     0 const   value                                      all the same
 *     1 pack    base width:u8 packed                       base + unsigned offsets
 *     2 patch   base width:u8 packed nexc stream(nexc) stream(nexc)
 *                                                          as pack, then positions and values that
 *                                                          did not fit
 *     3 delta   first stream(n - 1)                        differences; twice: delta of delta
 *     4 runs    nruns stream(nruns) stream(nruns)          values; lengths - 1
 *     5 dict    ndict stream(ndict) stream(n)              values in order of appearance; codes
 *     6 scale   base factor stream(n)                      base + factor * x
 *
 * base, first, value: zigzag varint; counts and factor: varint; packed: tight (bitpack.h). All sums
 * and products are modulo 2^64. nexc, nruns and ndict <= n / 2, which with the limit on
 * depth bounds what hostile bytes can ask for.
 *
 * The choice is by size: exact for pack, delta and patch counts, estimated where a stream holds
 * others. Patching is the PFOR of Zukowski, Heman, Nes, Boncz, "Super-Scalar RAM-CPU Cache
 * Compression" (ICDE 2006), with the frame found from a sorted sample. */
#include "codec/page_impl.h"

#include <assert.h>

#include "base/hash.h"
#include "codec/bitpack.h"

enum { INTS_CONST, INTS_PACK, INTS_PATCH, INTS_DELTA, INTS_RUNS, INTS_DICT, INTS_SCALE };

#define SAMPLE 128
#define GET_DEPTH_MAX 10
#define HEAD 6 /* about the bytes of kind, base and width */
#define NEVER SIZE_MAX

/* ---- writing ---- */

static void put_zigzag(struct buf *out, int64_t v)
{
    buf_varint(out, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

int64_t *ints_take(struct page_scratch *s, size_t n)
{
    int64_t *p = s->pool + s->pool_used;
    s->pool_used += n;
    assert(s->pool_used <= s->pool_n);
    return p;
}

static unsigned bit_length(uint64_t x)
{
    return x ? 64 - (unsigned)__builtin_clzll(x) : 0;
}

/* how n values are packed, and in about how many bytes; nexc > 0: patched */
struct leaf {
    int64_t base;
    unsigned width;
    uint32_t nexc;
    size_t cost;
};

static void sort_sample(uint64_t *v, uint32_t n)
{
    static const uint32_t gaps[] = { 57, 23, 10, 4, 1 }; /* Ciura's */
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
        for (uint32_t i = gaps[g]; i < n; i++) {
            uint64_t x = v[i];
            uint32_t j = i;
            for (; j >= gaps[g] && v[j - gaps[g]] > x; j -= gaps[g])
                v[j] = v[j - gaps[g]];
            v[j] = x;
        }
}

/* About the bytes that `count` exceptions of n take: values, and gaps between positions. */
static size_t exceptions_cost(uint32_t count, uint32_t n, unsigned range_bits)
{
    return count ? HEAD * 2 + (size_t)count * (range_bits + 2 + bit_length(n / count)) / 8 : 0;
}

/* Most sorted values within some 2^w; *ret_from: the first of them. */
static uint32_t densest(const uint64_t *v, uint32_t n, unsigned w, uint32_t *ret_from)
{
    uint32_t best = 0;
    for (uint32_t i = 0, j = 0; j < n; j++) {
        while ((v[j] - v[i]) >> w)
            i++;
        if (j - i + 1 > best) {
            best = j - i + 1;
            *ret_from = i;
        }
    }
    return best;
}

/* Looks for a narrower frame that leaves few values outside; l holds the plain one. */
static void plan_patch(const int64_t *v, uint32_t n, int64_t min, unsigned range_bits,
                       struct leaf *l)
{
    uint64_t sample[SAMPLE];
    uint32_t m = n < SAMPLE ? n : SAMPLE;
    for (uint32_t i = 0; i < m; i++)
        sample[i] = (uint64_t)v[(uint64_t)i * n / m] - (uint64_t)min;
    sort_sample(sample, m);
    size_t best = l->cost;
    unsigned best_w = 64;
    uint64_t best_from = 0;
    uint64_t core = UINT64_MAX; /* a frame holds half of the values at least */
    for (uint32_t i = 0; i + m / 2 < m; i++)
        core = sample[i + m / 2] - sample[i] < core ? sample[i + m / 2] - sample[i] : core;
    for (unsigned w = bit_length(core); w < range_bits; w++) {
        uint32_t from = 0, in = densest(sample, m, w, &from);
        size_t cost = HEAD * 2 + bitpack_tight_bytes(n, w) +
                      exceptions_cost((uint32_t)((uint64_t)(m - in) * n / m), n, range_bits);
        if (cost < best) {
            best = cost;
            best_w = w;
            uint64_t slack = (1ull << w) - 1 - (sample[from + in - 1] - sample[from]);
            best_from = sample[from] > slack / 2 ? sample[from] - slack / 2 : 0;
        }
    }
    if (best_w > 56 || best > l->cost - l->cost / 16)
        return;
    uint64_t base = (uint64_t)min + best_from;
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i++)
        out += ((uint64_t)v[i] - base) >> best_w != 0;
    best = HEAD * 2 + bitpack_tight_bytes(n, best_w) + exceptions_cost(out, n, range_bits);
    if (best < l->cost && out <= n / 2)
        *l = (struct leaf){ (int64_t)base, best_w, out, best };
}

static struct leaf plan_leaf(const int64_t *v, uint32_t n, bool patch)
{
    int64_t min = v[0], max = v[0];
    for (uint32_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    uint64_t range = (uint64_t)max - (uint64_t)min;
    struct leaf l = { .base = min, .width = bitpack_width(range) };
    l.cost = HEAD + bitpack_tight_bytes(n, l.width);
    if (patch && n >= 32 && l.width > 1)
        plan_patch(v, n, min, bit_length(range), &l);
    return l;
}

static void put_stream(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n,
                       unsigned depth);

static void put_leaf(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n,
                     const struct leaf *l, unsigned depth)
{
    if (l->width == 0 && !l->nexc) {
        buf_putc(out, INTS_CONST);
        put_zigzag(out, l->base);
        return;
    }
    buf_putc(out, l->nexc ? INTS_PATCH : INTS_PACK);
    put_zigzag(out, l->base);
    buf_putc(out, (char)l->width);
    if (!l->nexc) {
        bitpack_tight(out, v, n, l->base, l->width);
        return;
    }
    size_t mark = s->pool_used;
    int64_t *pos = ints_take(s, l->nexc), *val = ints_take(s, l->nexc), *in = ints_take(s, n);
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool fits = ((uint64_t)v[i] - (uint64_t)l->base) >> l->width == 0;
        in[i] = fits ? v[i] : l->base;
        if (!fits) {
            pos[k] = i;
            val[k++] = v[i];
        }
    }
    bitpack_tight(out, in, n, l->base, l->width);
    s->pool_used = mark + (size_t)l->nexc * 2;
    buf_varint(out, l->nexc);
    put_stream(s, out, pos, l->nexc, depth + 2);
    put_stream(s, out, val, l->nexc, depth + 2);
    s->pool_used = mark;
}

static uint64_t gcd64(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* the largest number that divides all differences */
static uint64_t common_factor(const int64_t *v, uint32_t n)
{
    uint64_t g = 0;
    for (uint32_t i = 1; i < n && g != 1; i++) {
        uint64_t d =
            v[i] > v[0] ? (uint64_t)v[i] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[i];
        if (!g || d % g)
            g = gcd64(g, d);
    }
    return g;
}

static void differences(const int64_t *v, uint32_t n, int64_t *d)
{
    for (uint32_t i = 1; i < n; i++)
        d[i - 1] = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);
}

struct runs {
    uint32_t n;
    int64_t *values, *lengths;
    size_t cost;
};

static struct runs plan_runs(struct page_scratch *s, const int64_t *v, uint32_t n)
{
    struct runs r = { .cost = NEVER };
    uint32_t count = 1;
    for (uint32_t i = 1; i < n; i++)
        count += v[i] != v[i - 1];
    if (count > n / 3)
        return r;
    r.values = ints_take(s, count);
    r.lengths = ints_take(s, count);
    uint32_t from = 0;
    for (uint32_t i = 1; i <= n; i++)
        if (i == n || v[i] != v[from]) {
            r.values[r.n] = v[from];
            r.lengths[r.n++] = i - from - 1;
            from = i;
        }
    size_t mark = s->pool_used;
    int64_t *d = ints_take(s, r.n);
    size_t cost = plan_leaf(r.values, r.n, true).cost;
    if (r.n > 1) {
        differences(r.values, r.n, d);
        size_t delta = plan_leaf(d, r.n - 1, true).cost;
        cost = delta < cost ? delta : cost;
    }
    r.cost = HEAD + cost + plan_leaf(r.lengths, r.n, true).cost;
    s->pool_used = mark;
    return r;
}

struct distinct {
    uint32_t n;
    int64_t *values, *codes;
    size_t cost;
};

bool ints_repeat(const int64_t *v, uint32_t n)
{
    uint64_t sample[SAMPLE];
    uint32_t m = n < SAMPLE ? n : SAMPLE, distinct = 1, same = 0;
    for (uint32_t i = 0; i < m; i++) {
        uint64_t at = (uint64_t)i * n / m;
        sample[i] = (uint64_t)v[at];
        same += at && v[at] == v[at - 1];
    }
    sort_sample(sample, m);
    for (uint32_t i = 1; i < m; i++)
        distinct += sample[i] != sample[i - 1];
    return distinct < m * 7 / 8 || same > m / 4;
}

uint32_t ints_codes(struct page_scratch *s, const int64_t *v, uint32_t n, uint32_t max,
                    int64_t *values, int64_t *codes)
{
    uint32_t cap = 64, count = 0;
    while (cap < max * 2)
        cap *= 2;
    memset(s->table, 0, cap * sizeof *s->table);
    for (uint32_t i = 0; i < n; i++) {
        if (i && v[i] == v[i - 1]) {
            codes[i] = codes[i - 1];
            continue;
        }
        uint32_t k = (uint32_t)hash_mix((uint64_t)v[i]) & (cap - 1), code;
        while ((code = s->table[k]) && values[code - 1] != v[i])
            k = (k + 1) & (cap - 1);
        if (!code) {
            if (count == max)
                return 0;
            values[count] = v[i];
            code = s->table[k] = ++count;
        }
        codes[i] = code - 1;
    }
    return count;
}

/* best: what another encoding needs */
static struct distinct plan_dict(struct page_scratch *s, const int64_t *v, uint32_t n, size_t best)
{
    struct distinct d = { .cost = NEVER };
    if (n < SAMPLE || best < n / 4 || !ints_repeat(v, n))
        return d;
    d.values = ints_take(s, n / 2);
    d.codes = ints_take(s, n);
    d.n = ints_codes(s, v, n, n / 2, d.values, d.codes);
    if (d.n)
        d.cost = HEAD * 2 + plan_leaf(d.values, d.n, true).cost +
                 bitpack_tight_bytes(n, bit_length(d.n - 1));
    return d;
}

/* Differences or the values themselves, packed. */
struct packed {
    unsigned order; /* 0 values, 1 differences, 2 differences of differences */
    int64_t *d, *dd;
    struct leaf leaf;
};

static struct packed plan_packed(struct page_scratch *s, const int64_t *v, uint32_t n, bool patch)
{
    struct packed p = { .leaf = plan_leaf(v, n, patch) };
    if (n < 4)
        return p;
    p.d = ints_take(s, n);
    p.dd = ints_take(s, n);
    differences(v, n, p.d);
    struct leaf l = plan_leaf(p.d, n - 1, patch);
    if (l.cost + HEAD < p.leaf.cost) {
        p.leaf = l;
        p.order = 1;
    }
    if (p.order == 1 && l.width) {
        differences(p.d, n - 1, p.dd);
        l = plan_leaf(p.dd, n - 2, patch);
        if (l.cost + HEAD < p.leaf.cost) {
            p.leaf = l;
            p.order = 2;
        }
    }
    return p;
}

static void put_packed(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n,
                       const struct packed *p, unsigned depth)
{
    if (p->order >= 1) {
        buf_putc(out, INTS_DELTA);
        put_zigzag(out, v[0]);
    }
    if (p->order == 2) {
        buf_putc(out, INTS_DELTA);
        put_zigzag(out, p->d[0]);
    }
    const int64_t *what = p->order == 0 ? v : p->order == 1 ? p->d : p->dd;
    put_leaf(s, out, what, n - p->order, &p->leaf, depth);
}

/* depth: 0 and 1 may hold runs and dictionaries, 2 and 3 exceptions */
static void put_stream(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n,
                       unsigned depth)
{
    size_t mark = s->pool_used;
    uint64_t g = common_factor(v, n);
    if (g > 1 && (size_t)bit_length(g >> 1) * n / 8 > HEAD * 2) {
        buf_putc(out, INTS_SCALE);
        put_zigzag(out, v[0]);
        buf_varint(out, g);
        int64_t *q = ints_take(s, n);
        for (uint32_t i = 0; i < n; i++) /* exact, and within int64 as g > 1 */
            q[i] = v[i] >= v[0] ? (int64_t)(((uint64_t)v[i] - (uint64_t)v[0]) / g)
                                : -(int64_t)(((uint64_t)v[0] - (uint64_t)v[i]) / g);
        v = q;
    }
    struct packed p = plan_packed(s, v, n, depth < 4);
    struct runs r = { .cost = NEVER };
    struct distinct d = { .cost = NEVER };
    if (depth < 2 && p.leaf.width) {
        r = plan_runs(s, v, n);
        d = plan_dict(s, v, n, r.cost < p.leaf.cost ? r.cost : p.leaf.cost);
    }
    if (r.cost < p.leaf.cost && r.cost <= d.cost) {
        buf_putc(out, INTS_RUNS);
        buf_varint(out, r.n);
        put_stream(s, out, r.values, r.n, depth + 1);
        put_stream(s, out, r.lengths, r.n, depth + 1);
    } else if (d.cost < p.leaf.cost) {
        buf_putc(out, INTS_DICT);
        buf_varint(out, d.n);
        put_stream(s, out, d.values, d.n, depth + 1);
        put_stream(s, out, d.codes, n, depth + 1);
    } else {
        put_packed(s, out, v, n, &p, depth);
    }
    s->pool_used = mark;
}

void ints_put(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n)
{
    put_stream(s, out, v, n, 0);
}

/* ---- reading ---- */

static int64_t get_zigzag(struct rd *r)
{
    uint64_t x = rd_varint(r);
    return (int64_t)(x >> 1 ^ (0 - (x & 1)));
}

static int bad(struct err *err)
{
    return page_corrupt(err, "integers");
}

static int get_stream(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                      struct err *err);

/* Two streams of n integers each. */
static int get_pair(struct rd *r, uint32_t n, int64_t **ret1, uint32_t n2, int64_t *v2,
                    struct arena *a, unsigned depth, struct err *err)
{
    *ret1 = arena_array(a, n, sizeof **ret1);
    if (!*ret1)
        return err_nomem(err);
    int rc = get_stream(r, n, *ret1, a, depth, err);
    return rc ? rc : get_stream(r, n2, v2, a, depth, err);
}

static int get_pack(struct rd *r, uint32_t n, int64_t *v, struct err *err)
{
    int64_t base = get_zigzag(r);
    unsigned w = rd_u8(r);
    const uint8_t *p = w <= 56 || w == 64 ? rd_bytes(r, bitpack_tight_bytes(n, w)) : NULL;
    if (!p || r->bad)
        return bad(err);
    bitpack_unpack(p, n, base, w, v);
    return 0;
}

static int get_patch(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                     struct err *err)
{
    int rc = get_pack(r, n, v, err);
    if (rc)
        return rc;
    uint64_t nexc = rd_varint(r);
    if (nexc == 0 || nexc > n / 2)
        return bad(err);
    int64_t *pos, *val = arena_array(a, (size_t)nexc, sizeof *val);
    if (!val)
        return err_nomem(err);
    rc = get_pair(r, (uint32_t)nexc, &pos, (uint32_t)nexc, val, a, depth, err);
    if (rc)
        return rc;
    for (uint64_t k = 0; k < nexc; k++) {
        if ((uint64_t)pos[k] >= n)
            return bad(err);
        v[pos[k]] = val[k];
    }
    return 0;
}

static int get_runs(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                    struct err *err)
{
    uint64_t nruns = rd_varint(r);
    if (nruns == 0 || nruns > n / 2)
        return bad(err);
    int64_t *values, *lengths = arena_array(a, (size_t)nruns, sizeof *lengths);
    if (!lengths)
        return err_nomem(err);
    int rc = get_pair(r, (uint32_t)nruns, &values, (uint32_t)nruns, lengths, a, depth, err);
    if (rc)
        return rc;
    uint32_t at = 0;
    for (uint64_t k = 0; k < nruns; k++) {
        if ((uint64_t)lengths[k] >= n - at)
            return bad(err);
        uint32_t end = at + (uint32_t)lengths[k] + 1;
        while (at < end)
            v[at++] = values[k];
    }
    return at == n ? 0 : bad(err);
}

static int get_dict(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                    struct err *err)
{
    uint64_t ndict = rd_varint(r);
    if (ndict == 0 || ndict > n / 2)
        return bad(err);
    int64_t *values;
    int rc = get_pair(r, (uint32_t)ndict, &values, n, v, a, depth, err);
    if (rc)
        return rc;
    uint64_t max = 0;
    for (uint32_t i = 0; i < n; i++)
        max = (uint64_t)v[i] > max ? (uint64_t)v[i] : max;
    if (max >= ndict)
        return bad(err);
    for (uint32_t i = 0; i < n; i++)
        v[i] = values[v[i]];
    return 0;
}

static int get_delta(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                     struct err *err)
{
    uint64_t x = (uint64_t)get_zigzag(r);
    if (n < 2)
        return bad(err);
    int rc = get_stream(r, n - 1, v + 1, a, depth, err);
    v[0] = (int64_t)x;
    for (uint32_t i = 1; !rc && i < n; i++)
        v[i] = (int64_t)(x += (uint64_t)v[i]);
    return rc;
}

static int get_scale(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                     struct err *err)
{
    uint64_t base = (uint64_t)get_zigzag(r), factor = rd_varint(r);
    int rc = get_stream(r, n, v, a, depth, err);
    for (uint32_t i = 0; !rc && i < n; i++)
        v[i] = (int64_t)(base + factor * (uint64_t)v[i]);
    return rc;
}

static int get_stream(struct rd *r, uint32_t n, int64_t *v, struct arena *a, unsigned depth,
                      struct err *err)
{
    if (depth++ > GET_DEPTH_MAX)
        return bad(err);
    switch (rd_u8(r)) {
    case INTS_CONST: bitpack_unpack(NULL, n, get_zigzag(r), 0, v); return rd_ok(r) ? 0 : bad(err);
    case INTS_PACK: return get_pack(r, n, v, err);
    case INTS_PATCH: return get_patch(r, n, v, a, depth, err);
    case INTS_DELTA: return get_delta(r, n, v, a, depth, err);
    case INTS_RUNS: return get_runs(r, n, v, a, depth, err);
    case INTS_DICT: return get_dict(r, n, v, a, depth, err);
    case INTS_SCALE: return get_scale(r, n, v, a, depth, err);
    default: return bad(err);
    }
}

int ints_get(struct rd *r, uint32_t n, int64_t *v, struct arena *a, struct err *err)
{
    return get_stream(r, n, v, a, 0, err);
}

/* ---- pages ---- */

uint8_t page_put_ints(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n)
{
    uint32_t i = 1;
    while (i < n && v[i] == v[0])
        i++;
    if (i == n) {
        buf_le64(out, (uint64_t)v[0]);
        return PE_CONST;
    }
    ints_put(s, out, v, n);
    return PE_INTS;
}

/* the frame of reference and the differences of version 1 */
static int get_v1(struct rd *r, uint8_t encoding, uint32_t n, int64_t *v, struct err *err)
{
    uint64_t x = encoding == PE_DELTA ? rd_le64(r) : 0, min = rd_le64(r), g = rd_le64(r);
    unsigned w = rd_u8(r), at = encoding == PE_DELTA;
    const uint8_t *p = w <= 56 || w == 64 ? rd_bytes(r, bitpack_bytes(n - at, w)) : NULL;
    if (!p || r->bad)
        return bad(err);
    bitpack_unpack(p, n - at, 0, w, v + at);
    for (uint32_t k = at; k < n; k++)
        v[k] = (int64_t)(min + g * (uint64_t)v[k]);
    if (encoding == PE_DELTA) {
        v[0] = (int64_t)x;
        for (uint32_t k = 1; k < n; k++)
            v[k] = (int64_t)(x += (uint64_t)v[k]);
    }
    return 0;
}

int page_get_ints(struct rd *r, uint8_t encoding, uint32_t n, int64_t *v, struct arena *a,
                  struct err *err)
{
    switch (encoding) {
    case PE_CONST:
        bitpack_unpack(NULL, n, (int64_t)rd_le64(r), 0, v);
        return rd_ok(r) ? 0 : bad(err);
    case PE_FOR:
    case PE_DELTA: return get_v1(r, encoding, n, v, err);
    case PE_INTS: return ints_get(r, n, v, a, err);
    default: return page_corrupt(err, "integer encoding");
    }
}
