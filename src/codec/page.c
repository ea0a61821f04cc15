/* page.c: presence and numbers of a page; texts are in page_text.c. Format: docs/format/segment.md.
 *
 *   page     = [zstd of] presence values
 *   presence = 0:u8                       every row has a value
 *            | 1:u8  bitmap, ceil(n/8)    some have
 *            | 2:u8  nvals x u16          few have: their row numbers
 *   ints     = min:i64 gcd:u64 width:u8 packed             PE_FOR
 *            | first:i64 min:i64 gcd:u64 width:u8 packed   PE_DELTA (nvals - 1 packed)
 *            | value:i64                                   PE_CONST
 */
#include "codec/page_impl.h"

#include <math.h>

#include "base/mem.h"
#include "codec/bitpack.h"
#include "codec/zip.h"

const char *const page_encoding_names[PE__COUNT] = {
    "none", "const", "for", "delta", "raw64", "decimal", "bits", "dict", "plain", "template"
};

#define ZSTD_WORTH 64 /* raw bytes below which zstd is not tried */

struct page_scratch *page_scratch_new(void)
{
    struct page_scratch *s = mem_alloc(sizeof *s);
    if (s)
        buf_init(&s->raw, PAGE_BYTES_MAX);
    return s;
}

void page_scratch_free(struct page_scratch *s)
{
    if (s)
        buf_deinit(&s->raw);
    mem_free(s);
}

str page_raw(const struct page_scratch *s)
{
    return buf_str(&s->raw);
}

int page_corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "page: bad %s", what);
}

/* ---- integers ---- */

static uint64_t gcd64(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Frame of reference of n offsets above min; returns the bit width, fills s->u64. */
static unsigned for_plan(struct page_scratch *s, const int64_t *v, uint32_t n, int64_t *ret_min,
                         uint64_t *ret_gcd)
{
    int64_t min = v[0], max = v[0];
    for (uint32_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    uint64_t range = (uint64_t)max - (uint64_t)min, g = range;
    for (uint32_t i = 0; i < n && g != 1; i++) {
        uint64_t d = (uint64_t)v[i] - (uint64_t)min;
        if (g && d % g)
            g = gcd64(g, d);
    }
    if (!g)
        g = 1;
    for (uint32_t i = 0; i < n; i++)
        s->u64[i] = (uint64_t)v[i] - (uint64_t)min;
    for (uint32_t i = 0; g > 1 && i < n; i++)
        s->u64[i] /= g;
    *ret_min = min;
    *ret_gcd = g;
    return bitpack_width(range / g);
}

static void put_for(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n)
{
    int64_t min;
    uint64_t g;
    unsigned w = for_plan(s, v, n, &min, &g);
    buf_le64(out, (uint64_t)min);
    buf_le64(out, g);
    buf_putc(out, (char)w);
    bitpack_put(out, s->u64, n, w);
}

/* Writes ints and says how: CONST, FOR or DELTA, whichever is smaller. */
static uint8_t put_ints(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n)
{
    int64_t min, dmin;
    uint64_t g, dg;
    unsigned w = for_plan(s, v, n, &min, &g);
    if (w == 0) {
        buf_le64(out, (uint64_t)v[0]);
        return PE_CONST;
    }
    if (n > 2) {
        int64_t *d = (int64_t *)s->hashes;
        for (uint32_t i = 1; i < n; i++)
            d[i - 1] = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);
        unsigned dw = for_plan(s, d, n - 1, &dmin, &dg);
        if (dw < w) {
            buf_le64(out, (uint64_t)v[0]);
            buf_le64(out, (uint64_t)dmin);
            buf_le64(out, dg);
            buf_putc(out, (char)dw);
            bitpack_put(out, s->u64, n - 1, dw);
            return PE_DELTA;
        }
    }
    put_for(s, out, v, n);
    return PE_FOR;
}

static int get_ints(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals,
                    const uint64_t *present, int64_t *v, struct err *err)
{
    uint64_t first = encoding == PE_DELTA ? rd_le64(r) : 0;
    uint64_t min = rd_le64(r);
    if (encoding == PE_CONST) {
        for (uint32_t i = 0; i < n; i++)
            v[i] = (int64_t)min;
        return rd_ok(r) ? 0 : page_corrupt(err, "constant");
    }
    uint64_t g = rd_le64(r);
    unsigned w = rd_u8(r);
    uint32_t packed = encoding == PE_DELTA ? nvals - 1 : nvals;
    const uint8_t *p = w <= 56 || w == 64 ? rd_bytes(r, bitpack_bytes(packed, w)) : NULL;
    if (!rd_ok(r) || (!p && w))
        return page_corrupt(err, "integers");
    if (present)
        memset(v, 0, n * sizeof *v);
    uint32_t row = UINT32_MAX;
    if (encoding == PE_FOR && !present) {
        for (uint32_t k = 0; k < nvals; k++)
            v[k] = (int64_t)(min + g * bitpack_get(p, k, w));
    } else if (encoding == PE_FOR) {
        for (uint32_t k = 0; k < nvals; k++) {
            row = page_next_row(present, row, n);
            v[row] = (int64_t)(min + g * bitpack_get(p, k, w));
        }
    } else if (encoding == PE_DELTA) {
        uint64_t x = first;
        for (uint32_t k = 0; k < nvals; k++) {
            row = page_next_row(present, row, n);
            if (k)
                x += min + g * bitpack_get(p, k - 1, w);
            v[row] = (int64_t)x;
        }
    } else {
        return page_corrupt(err, "integer encoding");
    }
    return 0;
}

/* ---- doubles ---- */

static const double pow10_table[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };

/* Smallest k such that every value is exactly an integer divided by 10^k; -1 when there is none. */
static int decimal_places(const double *v, uint32_t n, int64_t *ints)
{
    for (int k = 0; k <= 6; k++) {
        uint32_t i = 0;
        for (; i < n; i++) {
            double x = v[i] * pow10_table[k];
            if (!(fabs(x) < 9e15))
                return -1;
            int64_t t = llround(x);
            double back = (double)t / pow10_table[k];
            if (back != v[i] || signbit(back) != signbit(v[i])) /* -0 is not 0 */
                break;
            ints[i] = t;
        }
        if (i == n)
            return k;
    }
    return -1;
}

static uint8_t put_doubles(struct page_scratch *s, struct buf *out, const double *v, uint32_t n)
{
    _Static_assert(sizeof(s->dict) >= (PAGE_ROWS_MAX + 1) * sizeof(int64_t), "room for the ints");
    int64_t *ints = (int64_t *)(void *)s->dict;
    int k = decimal_places(v, n, ints);
    if (k >= 0) {
        buf_putc(out, (char)k);
        put_for(s, out, ints, n);
        return PE_DECIMAL;
    }
    char *p = buf_reserve(out, (size_t)n * 8);
    if (!p)
        return PE_RAW64;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t b[8];
        memcpy(b, &v[i], 8);
        for (uint32_t plane = 0; plane < 8; plane++)
            p[(size_t)plane * n + i] = (char)b[plane];
    }
    buf_advance(out, (size_t)n * 8);
    return PE_RAW64;
}

static int get_doubles(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                       struct page_out *ret, struct err *err)
{
    double *v = arena_zalloc(a, (size_t)n * sizeof *v);
    if (!v)
        return err_nomem(err);
    ret->f64 = v;
    if (encoding == PE_DECIMAL) {
        unsigned k = rd_u8(r);
        if (k > 6)
            return page_corrupt(err, "decimal places");
        int64_t *ints = arena_array(a, n, sizeof *ints);
        if (!ints)
            return err_nomem(err);
        int rc = get_ints(r, PE_FOR, n, nvals, ret->present, ints, err);
        for (uint32_t i = 0; !rc && i < n; i++)
            v[i] = (double)ints[i] / pow10_table[k];
        return rc;
    }
    const uint8_t *p = encoding == PE_RAW64 ? rd_bytes(r, (size_t)nvals * 8) : NULL;
    if (!p)
        return page_corrupt(err, "doubles");
    for (uint32_t k = 0, row = UINT32_MAX; k < nvals; k++) {
        row = page_next_row(ret->present, row, n);
        uint8_t b[8];
        for (uint32_t plane = 0; plane < 8; plane++)
            b[plane] = p[(size_t)plane * nvals + k];
        memcpy(&v[row], b, 8);
    }
    return 0;
}

/* ---- booleans ---- */

static uint8_t put_bools(struct buf *out, const uint8_t *v, uint32_t n)
{
    uint32_t ones = 0;
    for (uint32_t i = 0; i < n; i++)
        ones += v[i] != 0;
    if (ones == 0 || ones == n) {
        buf_putc(out, ones != 0);
        return PE_CONST;
    }
    char *p = buf_reserve(out, (n + 7) / 8);
    if (!p)
        return PE_BITS;
    memset(p, 0, (n + 7) / 8);
    for (uint32_t i = 0; i < n; i++)
        if (v[i])
            p[i / 8] = (char)(p[i / 8] | 1 << i % 8);
    buf_advance(out, (n + 7) / 8);
    return PE_BITS;
}

static int get_bools(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                     struct page_out *ret, struct err *err)
{
    uint8_t *v = arena_zalloc(a, n);
    if (!v)
        return err_nomem(err);
    ret->b8 = v;
    if (encoding == PE_CONST) {
        memset(v, rd_u8(r) != 0, n);
        return rd_ok(r) ? 0 : page_corrupt(err, "constant");
    }
    const uint8_t *p = encoding == PE_BITS ? rd_bytes(r, (nvals + 7) / 8) : NULL;
    if (!p)
        return page_corrupt(err, "booleans");
    for (uint32_t k = 0, row = UINT32_MAX; k < nvals; k++) {
        row = page_next_row(ret->present, row, n);
        v[row] = p[k / 8] >> k % 8 & 1;
    }
    return 0;
}

/* ---- presence ---- */

static void put_presence(struct buf *out, const struct page_in *in)
{
    if (!in->rows || in->nvals == in->n) {
        buf_putc(out, 0);
        return;
    }
    size_t bytes = (in->n + 7) / 8;
    if ((size_t)in->nvals * 2 < bytes) {
        buf_putc(out, 2);
        for (uint32_t i = 0; i < in->nvals; i++)
            buf_le16(out, in->rows[i]);
        return;
    }
    buf_putc(out, 1);
    char *p = buf_reserve(out, bytes);
    if (!p)
        return;
    memset(p, 0, bytes);
    for (uint32_t i = 0; i < in->nvals; i++)
        p[in->rows[i] / 8] = (char)(p[in->rows[i] / 8] | 1 << in->rows[i] % 8);
    buf_advance(out, bytes);
}

static int get_presence(struct rd *r, uint32_t n, uint32_t nvals, struct arena *a,
                        const uint64_t **ret, struct err *err)
{
    uint8_t kind = rd_u8(r);
    *ret = NULL;
    if (kind == 0)
        return nvals == n && rd_ok(r) ? 0 : page_corrupt(err, "presence");
    uint64_t *w = arena_zalloc(a, BITS_WORDS(n) * 8);
    if (!w)
        return err_nomem(err);
    const uint8_t *p = kind == 1   ? rd_bytes(r, (n + 7) / 8)
                       : kind == 2 ? rd_bytes(r, (size_t)nvals * 2)
                                   : NULL;
    if (!p)
        return page_corrupt(err, "presence");
    if (kind == 1) {
        for (uint32_t i = 0; i < n; i++)
            w[i / 64] |= (uint64_t)(p[i / 8] >> i % 8 & 1) << i % 64;
    } else {
        for (uint32_t i = 0; i < nvals; i++)
            if (get_le16(p + (size_t)i * 2) < n)
                bit_set(w, get_le16(p + (size_t)i * 2));
    }
    if (bits_count(w, n) != nvals)
        return page_corrupt(err, "presence");
    *ret = w;
    return 0;
}

/* ---- page ---- */

int page_encode(const struct page_in *in, int level, struct page_scratch *s, struct buf *out,
                struct page_meta *ret, struct err *err)
{
    struct buf *raw = &s->raw;
    *ret = (struct page_meta){ .encoding = PE_NONE };
    buf_reset(raw);
    put_presence(raw, in);
    switch (in->cls) {
    case PAGE_BOOL: ret->encoding = put_bools(raw, in->b8, in->nvals); break;
    case PAGE_INT: ret->encoding = put_ints(s, raw, in->i64, in->nvals); break;
    case PAGE_F64: ret->encoding = put_doubles(s, raw, in->f64, in->nvals); break;
    case PAGE_TEXT: page_put_text(in, s, raw, ret); break;
    default: break;
    }
    if (!buf_ok(raw))
        return raw->bad == BUF_LIMIT ? err_set(err, ERR_LIMIT, "a page is larger than 1 GiB")
                                     : err_nomem(err);
    ret->raw_n = (uint32_t)raw->n;
    ret->zstd = raw->n >= ZSTD_WORTH && zstd_pack(buf_str(raw), level, out) > 0;
    if (!ret->zstd)
        buf_put(out, raw->p, raw->n);
    return buf_ok(out) ? 0 : err_nomem(err);
}

int page_decode(str page, enum page_class cls, uint8_t encoding, bool zstd, uint32_t raw_n,
                uint32_t n, uint32_t nvals, struct arena *a, struct page_out *ret, struct err *err)
{
    *ret = (struct page_out){ 0 };
    if (n == 0 || n > PAGE_ROWS_MAX || nvals == 0 || nvals > n || (!zstd && raw_n != page.n))
        return page_corrupt(err, "size");
    if (zstd) {
        char *raw = raw_n <= PAGE_BYTES_MAX ? arena_alloc(a, (size_t)raw_n + BITPACK_PAD) : NULL;
        if (!raw)
            return err_nomem(err);
        int rc = zstd_unpack(page, raw, raw_n, err);
        if (rc)
            return rc;
        page = str_n(raw, raw_n);
    }
    struct rd r = rd_of(page.p, page.n);
    int rc = get_presence(&r, n, nvals, a, &ret->present, err);
    if (rc)
        return rc;
    int64_t *ints;
    switch (cls) {
    case PAGE_NULL: break;
    case PAGE_BOOL: rc = get_bools(&r, encoding, n, nvals, a, ret, err); break;
    case PAGE_INT:
        ints = arena_array(a, n, sizeof *ints);
        if (!ints)
            return err_nomem(err);
        ret->i64 = ints;
        rc = get_ints(&r, encoding, n, nvals, ret->present, ints, err);
        break;
    case PAGE_F64: rc = get_doubles(&r, encoding, n, nvals, a, ret, err); break;
    case PAGE_TEXT: rc = page_get_text(&r, encoding, n, nvals, a, ret, err); break;
    default: rc = page_corrupt(err, "class");
    }
    if (!rc && (!rd_ok(&r) || rd_left(&r)))
        rc = page_corrupt(err, "length");
    return rc;
}
