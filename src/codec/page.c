/* page.c: presence, booleans, and the frame of a page; page_*.c have the other values. Format:
 * docs/format/segment.md.
 *
 *   page     = [zstd of] presence values
 *   presence = 0:u8                       every row has a value
 *            | 1:u8  bitmap, ceil(n/8)    some have
 *            | 2:u8  nvals x u16          few have: their row numbers
 */
#include "codec/page_impl.h"

#include "base/mem.h"
#include "codec/bitpack.h"
#include "codec/zip.h"

const char *const page_encoding_names[PE__COUNT] = {
    "none", "const", "for",   "delta", "raw64", "decimal", "bits",    "dict",      "plain", "ints",
    "alp",  "same",  "codes", "text",  "parts", "times",   "numbers", "templates", "frames"
};

#define ZSTD_WORTH 64 /* raw bytes below which zstd is not tried */

struct page_scratch *page_scratch_new(void)
{
    struct page_scratch *s = mem_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->pool = NULL;
    s->pool_n = s->pool_used = 0;
    buf_init(&s->raw, PAGE_BYTES_MAX);
    return s;
}

bool page_fit_pool(struct page_scratch *s, uint32_t n)
{
    size_t need = (size_t)PAGE_POOL * (n + 64);
    if (s->pool_n >= need)
        return true;
    mem_free(s->pool);
    s->pool = mem_array(need, sizeof *s->pool);
    s->pool_n = s->pool ? need : 0;
    return s->pool;
}

void page_scratch_free(struct page_scratch *s)
{
    if (!s)
        return;
    buf_deinit(&s->raw);
    mem_free(s->pool);
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

/* From the end, so that no value is overwritten before it has moved up; without a branch, since
 * presence may be as good as random. A row without a value reads one that is there: k < n then. */
#define SPREAD(T)                                                                                  \
    static void spread_##T(T *v, uint32_t n, uint32_t k, const uint64_t *present)                  \
    {                                                                                              \
        for (uint32_t row = n; row-- > 0;) {                                                       \
            bool has = bit_get(present, row);                                                      \
            k -= has;                                                                              \
            v[row] = v[k] & (T)(0 - (T)has);                                                       \
        }                                                                                          \
    }
SPREAD(uint32_t)
SPREAD(uint64_t)

void page_spread(void *v, size_t size, uint32_t n, uint32_t k, const uint64_t *present)
{
    if (present && size == 8)
        spread_uint64_t(v, n, k, present);
    else if (present)
        spread_uint32_t(v, n, k, present);
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

int page_get_presence(struct rd *r, uint32_t n, uint32_t nvals, struct arena *a,
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
        for (uint32_t i = 0; i < n / 64; i++)
            w[i] = get_le64(p + 8 * (size_t)i);
        for (uint32_t i = n / 64 * 64; i < n; i++)
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

static size_t text_bytes(const struct page_in *in)
{
    size_t n = 0;
    for (uint32_t i = 0; i < in->nvals; i++)
        n += in->text[i].n;
    return n;
}

int page_encode(const struct page_in *in, int level, struct page_scratch *s, struct buf *out,
                struct page_meta *ret, struct err *err)
{
    struct buf *raw = &s->raw;
    *ret = (struct page_meta){ .encoding = PE_NONE };
    if (!page_fit_pool(s, in->nvals))
        return err_nomem(err);
    s->pool_used = 0;
    buf_reset(raw);
    put_presence(raw, in);
    switch (in->cls) {
    case PAGE_BOOL: ret->encoding = put_bools(raw, in->b8, in->nvals); break;
    case PAGE_INT: ret->encoding = page_put_ints(s, raw, in->i64, in->nvals); break;
    case PAGE_F64: ret->encoding = page_put_doubles(s, raw, in->f64, in->nvals); break;
    case PAGE_TEXT: page_put_text(in, s, raw, ret); break;
    default: break;
    }
    if (!buf_ok(raw))
        return raw->bad == BUF_LIMIT ? err_set(err, ERR_LIMIT, "a page is larger than 1 GiB")
                                     : err_nomem(err);
    ret->raw_n = (uint32_t)raw->n;
    if (ret->encoding == PE_FRAMES) {
        page_put_frames(buf_str(raw), raw->n - text_bytes(in),
                        level < 3 ? FRAMES_FAST : FRAMES_SMALL, level, out);
        return buf_ok(out) ? 0 : err_nomem(err);
    }
    size_t at = out->n, packed = raw->n >= ZSTD_WORTH ? zstd_pack(buf_str(raw), level, out) : 0;
    if (packed && ret->encoding != PE_TEXT && packed > raw->n - raw->n / 10) {
        buf_truncate(out, at); /* integers are dense already: too little to unpack them twice */
        packed = 0;
    }
    ret->zstd = packed > 0;
    if (!ret->zstd)
        buf_put(out, raw->p, raw->n);
    return buf_ok(out) ? 0 : err_nomem(err);
}

static int get_values(struct rd *r, enum page_class cls, uint8_t encoding, uint32_t n,
                      uint32_t nvals, struct arena *a, struct arena *tmp, struct page_out *ret,
                      struct err *err)
{
    int rc;
    if (cls == PAGE_INT) {
        int64_t *v = arena_array(a, n, sizeof *v);
        if (!v)
            return err_nomem(err);
        ret->i64 = v;
        rc = page_get_ints(r, encoding, nvals, v, tmp, err);
        if (!rc)
            page_spread(v, sizeof *v, n, nvals, ret->present);
        return rc;
    }
    if (cls == PAGE_F64) {
        double *v = arena_array(a, n, sizeof *v);
        if (!v)
            return err_nomem(err);
        ret->f64 = v;
        rc = page_get_doubles(r, encoding, nvals, v, tmp, err);
        if (!rc)
            page_spread(v, sizeof *v, n, nvals, ret->present);
        return rc;
    }
    switch (cls) {
    case PAGE_NULL: return encoding == PE_NONE ? 0 : page_corrupt(err, "encoding");
    case PAGE_BOOL: return get_bools(r, encoding, n, nvals, a, ret, err);
    case PAGE_TEXT: return page_get_text(r, encoding, n, nvals, a, tmp, ret, err);
    default: return page_corrupt(err, "class");
    }
}

static int decode_frames(str page, uint32_t raw_n, uint32_t n, uint32_t nvals, struct arena *a,
                         struct page_out *ret, struct err *err)
{
    struct page_frames pf;
    int rc = page_frames_open(page, raw_n, n, nvals, 0, a, &pf, err);
    if (!rc)
        rc = page_frames_need(&pf, NULL, err);
    if (!rc)
        *ret = pf.out;
    return rc;
}

int page_decode(str page, enum page_class cls, uint8_t encoding, bool zstd, uint32_t raw_n,
                uint32_t n, uint32_t nvals, struct arena *a, struct page_out *ret, struct err *err)
{
    *ret = (struct page_out){ 0 };
    if (encoding == PE_FRAMES && cls == PAGE_TEXT && !zstd)
        return decode_frames(page, raw_n, n, nvals, a, ret, err);
    if (n == 0 || n > PAGE_ROWS_MAX || nvals == 0 || nvals > n || (!zstd && raw_n != page.n))
        return page_corrupt(err, "size");
    struct arena tmp;
    arena_init(&tmp, DECODE_MAX);
    int rc = 0;
    if (zstd) { /* texts may stay where they are unpacked; other values never do */
        char *raw =
            raw_n <= PAGE_BYTES_MAX ? arena_alloc(cls == PAGE_TEXT ? a : &tmp, raw_n + 1ul) : NULL;
        rc = raw ? zstd_unpack(page, raw, raw_n, err) : err_nomem(err);
        page = rc ? STR_NULL : str_n(raw, raw_n);
    }
    struct rd r = rd_of(page.p, page.n);
    if (!rc)
        rc = page_get_presence(&r, n, nvals, a, &ret->present, err);
    if (!rc)
        rc = get_values(&r, cls, encoding, n, nvals, a, &tmp, ret, err);
    if (!rc && (!rd_ok(&r) || rd_left(&r)))
        rc = page_corrupt(err, "length");
    arena_deinit(&tmp);
    return rc;
}
