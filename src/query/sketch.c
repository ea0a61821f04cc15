/* sketch.c: see sketch.h.
 *
 * DDSketch: Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
 * Relative-Error Guarantees", VLDB 2019. Nothing is ever collapsed: all buckets of both signs are
 * 2^19 at most, and far fewer in use.
 *
 * HyperLogLog: Flajolet, Fusy, Gandouet, Meunier, 2007; the estimator is the improved raw one of
 * Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017, which needs neither
 * thresholds nor tables. */
#include "query/sketch.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"

#define SHIFT (52 - QSKETCH_BITS)
#define BUCKETS (0x7ffull << QSKETCH_BITS) /* of one sign */

/* ---- quantiles ---- */

void qsketch_init(struct qsketch *s)
{
    *s = (struct qsketch){ .min = INFINITY, .max = -INFINITY };
}

void qsketch_deinit(struct qsketch *s)
{
    mem_free(s->pos.counts);
    mem_free(s->neg.counts);
    qsketch_init(s);
}

size_t qsketch_bytes(const struct qsketch *s)
{
    return ((size_t)s->pos.n + s->neg.n) * sizeof(uint64_t);
}

static uint32_t bucket_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (uint32_t)((bits & INT64_MAX) >> SHIFT);
}

/* the middle of a bucket */
static double middle(uint32_t bucket)
{
    uint64_t bits = (uint64_t)bucket << SHIFT | 1ull << (SHIFT - 1);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* room for that bucket, with as much again on its side */
static bool reach(struct qstore *t, uint32_t bucket)
{
    if (t->n && bucket >= t->lo && bucket - t->lo < t->n)
        return true;
    uint32_t lo = bucket, end = bucket + 1;
    if (t->n && bucket < t->lo) {
        end = t->lo + t->n;
        lo = bucket > t->n ? bucket - t->n : 0;
    } else if (t->n) {
        lo = t->lo;
        end = bucket + 1 + t->n;
    }
    if (end > BUCKETS)
        end = BUCKETS;
    uint64_t *counts = mem_zarray(end - lo, sizeof *counts);
    if (!counts)
        return false;
    if (t->n)
        memcpy(counts + (t->lo - lo), t->counts, t->n * sizeof *counts);
    mem_free(t->counts);
    *t = (struct qstore){ counts, lo, end - lo };
    return true;
}

static bool store_add(struct qstore *t, uint32_t bucket, uint64_t n)
{
    if (!reach(t, bucket))
        return false;
    t->counts[bucket - t->lo] += n;
    return true;
}

bool qsketch_add(struct qsketch *s, double v)
{
    if (v == 0)
        s->zeros++;
    else if (!store_add(v > 0 ? &s->pos : &s->neg, bucket_of(v), 1))
        return false;
    s->n++;
    s->min = v < s->min ? v : s->min;
    s->max = v > s->max ? v : s->max;
    return true;
}

static bool store_merge(struct qstore *t, const struct qstore *from)
{
    for (uint32_t i = 0; i < from->n; i++)
        if (from->counts[i] && !store_add(t, from->lo + i, from->counts[i]))
            return false;
    return true;
}

static void ends_merge(struct qsketch *s, double min, double max)
{
    s->min = min < s->min ? min : s->min;
    s->max = max > s->max ? max : s->max;
}

bool qsketch_merge(struct qsketch *s, const struct qsketch *from)
{
    if (!store_merge(&s->pos, &from->pos) || !store_merge(&s->neg, &from->neg))
        return false;
    s->zeros += from->zeros;
    s->n += from->n;
    ends_merge(s, from->min, from->max);
    return true;
}

static double within(const struct qsketch *s, double v)
{
    return v < s->min ? s->min : v > s->max ? s->max : v;
}

double qsketch_at(const struct qsketch *s, uint64_t rank)
{
    uint64_t seen = 0;
    for (uint32_t i = s->neg.n; i-- > 0;) {
        seen += s->neg.counts[i];
        if (rank < seen)
            return within(s, -middle(s->neg.lo + i));
    }
    seen += s->zeros;
    if (rank < seen)
        return 0;
    for (uint32_t i = 0; i < s->pos.n; i++) {
        seen += s->pos.counts[i];
        if (rank < seen)
            return within(s, middle(s->pos.lo + i));
    }
    return s->max;
}

static void put_f64(struct buf *out, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    buf_le64(out, bits);
}

static double get_f64(struct rd *in)
{
    uint64_t bits = rd_le64(in);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* the buckets in use: how many, then each as its distance to the one before, and its count */
static void store_save(const struct qstore *t, struct buf *out)
{
    uint32_t used = 0, last = 0;
    for (uint32_t i = 0; i < t->n; i++)
        used += t->counts[i] != 0;
    buf_varint(out, used);
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->counts[i])
            continue;
        buf_varint(out, t->lo + i - last);
        buf_varint(out, t->counts[i]);
        last = t->lo + i;
    }
}

static bool store_load(struct qstore *t, struct rd *in, uint64_t *sum)
{
    uint64_t used = rd_varint(in), bucket = 0;
    for (uint64_t i = 0; i < used && rd_ok(in); i++) {
        uint64_t step = rd_varint(in), n = rd_varint(in);
        if (step >= BUCKETS || (bucket += step) >= BUCKETS || !rd_ok(in) ||
            !store_add(t, (uint32_t)bucket, n))
            return false;
        *sum += n;
    }
    return rd_ok(in);
}

void qsketch_save(const struct qsketch *s, struct buf *out)
{
    put_f64(out, s->min);
    put_f64(out, s->max);
    buf_varint(out, s->zeros);
    store_save(&s->neg, out);
    store_save(&s->pos, out);
}

bool qsketch_load(struct qsketch *s, struct rd *in)
{
    double min = get_f64(in), max = get_f64(in);
    uint64_t sum = rd_varint(in);
    s->zeros += sum;
    if (!store_load(&s->neg, in, &sum) || !store_load(&s->pos, in, &sum))
        return false;
    s->n += sum;
    ends_merge(s, min, max);
    return rd_ok(in);
}

/* ---- distinct values ---- */

uint64_t hll_hash(char type, const void *p, size_t n)
{
    return hash64_seed(p, n, HLL_HASH_SEED + (unsigned char)type);
}

void hll_add(struct hll *h, uint64_t hash)
{
    uint32_t k = (uint32_t)(hash >> (64 - HLL_BITS));
    uint64_t rest = hash << HLL_BITS;
    uint8_t zeros = rest ? (uint8_t)__builtin_clzll(rest) : 64 - HLL_BITS;
    if (zeros + 1 > h->r[k])
        h->r[k] = zeros + 1;
}

void hll_merge(struct hll *h, const struct hll *from)
{
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        h->r[i] = from->r[i] > h->r[i] ? from->r[i] : h->r[i];
}

static double sigma(double x)
{
    double y = 1, z = x, before;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

uint64_t hll_count(const struct hll *h)
{
    enum { Q = 64 - HLL_BITS };
    uint32_t of[Q + 2] = { 0 };
    const double m = HLL_REGISTERS, alpha = 0.7213475204444817; /* 1 / (2 ln 2) */
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        of[h->r[i] > Q + 1 ? Q + 1 : h->r[i]]++;
    double z = m * tau(1 - of[Q + 1] / m);
    for (int k = Q; k >= 1; k--)
        z = 0.5 * (z + of[k]);
    z += m * sigma(of[0] / m);
    double n = alpha * m * m / z;
    return n < 1.8e19 ? (uint64_t)(n + 0.5) : UINT64_MAX;
}

void hll_save(const struct hll *h, struct buf *out)
{
    buf_put(out, h->r, sizeof h->r);
}

bool hll_load(struct hll *h, struct rd *in)
{
    struct hll from;
    const uint8_t *p = rd_bytes(in, sizeof from.r);
    if (!p)
        return false;
    memcpy(from.r, p, sizeof from.r);
    for (uint32_t i = 0; i < HLL_REGISTERS; i++)
        if (from.r[i] > 64 - HLL_BITS + 1)
            return false;
    hll_merge(h, &from);
    return true;
}
