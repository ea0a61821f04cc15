/* page_text.c: text pages: dictionary, plain, and the list of texts both are made of.
 *
 *   list  = kind:u8 ...
 *     0 plain  lenwidth:u8  lengths bit-packed  bytes
 *     1 hex    len:u8 (characters, even)        len/2 bytes each; lower-case hex digits
 *     2 uuid                                    16 bytes each; lower case, 8-4-4-4-12
 *   PE_CONST  list of 1        PE_PLAIN  list of nvals
 *   PE_DICT   ndict:u32  list of ndict  codewidth:u8  codes bit-packed (nvals)
 *
 * Dictionary entries stand in order of first appearance. */
#include "codec/page_impl.h"

#include "base/hash.h"
#include "codec/bitpack.h"

enum list_kind { LIST_PLAIN = 0, LIST_HEX = 1, LIST_UUID = 2 };

static const uint32_t zero_codes[PAGE_ROWS_MAX + 1];

/* ---- list: writing ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool all_hex(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (hex_digit(s.p[i]) < 0)
            return false;
    return true;
}

static bool uuid_shape(str s)
{
    if (s.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s.p[i] != '-' : hex_digit(s.p[i]) < 0)
            return false;
    }
    return true;
}

static enum list_kind list_kind_of(const str *v, uint32_t n)
{
    size_t len = v[0].n;
    bool uuid = len == 36, hex = len >= 8 && len <= 254 && len % 2 == 0;
    for (uint32_t i = 0; (uuid || hex) && i < n; i++) {
        uuid = uuid && uuid_shape(v[i]);
        hex = hex && v[i].n == len && all_hex(v[i]);
    }
    return uuid ? LIST_UUID : hex ? LIST_HEX : LIST_PLAIN;
}

static void put_hex(struct buf *out, str s)
{
    char bytes[128];
    size_t k = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '-')
            continue;
        bytes[k++] = (char)(hex_digit(s.p[i]) << 4 | hex_digit(s.p[i + 1]));
        i++;
    }
    buf_put(out, bytes, k);
}

static void put_list(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    enum list_kind kind = list_kind_of(v, n);
    buf_putc(out, (char)kind);
    if (kind != LIST_PLAIN) {
        if (kind == LIST_HEX)
            buf_putc(out, (char)v[0].n);
        for (uint32_t i = 0; i < n; i++)
            put_hex(out, v[i]);
        return;
    }
    uint64_t max = 0;
    for (uint32_t i = 0; i < n; i++) {
        s->u64[i] = v[i].n;
        max = v[i].n > max ? v[i].n : max;
    }
    unsigned w = bitpack_width(max);
    buf_putc(out, (char)w);
    bitpack_put(out, s->u64, n, w);
    for (uint32_t i = 0; i < n; i++)
        buf_putstr(out, v[i]);
}

/* ---- dictionary ---- */

/* Gives every value its code. */
static void dict_build(struct page_scratch *s, const str *v, uint32_t n)
{
    uint32_t cap = 64;
    while (cap < n * 2)
        cap *= 2;
    memset(s->table, 0, cap * sizeof *s->table);
    s->ndict = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i && v[i].n == v[i - 1].n && (v[i].p == v[i - 1].p || str_eq(v[i], v[i - 1]))) {
            s->codes[i] = s->codes[i - 1];
            continue;
        }
        uint64_t h = hash64(v[i].p, v[i].n);
        uint32_t k = (uint32_t)h & (cap - 1), code;
        while ((code = s->table[k]) &&
               (s->hashes[code - 1] != h || !str_eq(s->dict[code - 1], v[i])))
            k = (k + 1) & (cap - 1);
        if (!code) {
            s->dict[s->ndict] = v[i];
            s->hashes[s->ndict] = h;
            code = s->table[k] = ++s->ndict;
        }
        s->codes[i] = code - 1;
    }
}

int page_put_text(const struct page_in *in, struct page_scratch *s, struct buf *out,
                  struct page_meta *m)
{
    dict_build(s, in->text, in->nvals);
    m->ndistinct = s->ndict;
    m->distinct = s->dict;
    m->hashes = s->hashes;
    if (s->ndict == 1) {
        m->encoding = PE_CONST;
        put_list(s, out, s->dict, 1);
    } else if (s->ndict <= in->nvals - in->nvals / 4) {
        m->encoding = PE_DICT;
        buf_le32(out, s->ndict);
        put_list(s, out, s->dict, s->ndict);
        unsigned w = bitpack_width(s->ndict - 1);
        buf_putc(out, (char)w);
        for (uint32_t i = 0; i < in->nvals; i++)
            s->u64[i] = s->codes[i];
        bitpack_put(out, s->u64, in->nvals, w);
    } else if (page_put_templates(in->text, in->nvals, s, out)) {
        m->encoding = PE_TEMPLATE;
    } else {
        m->encoding = PE_PLAIN;
        put_list(s, out, in->text, in->nvals);
    }
    return 0;
}

/* ---- reading ---- */

/* Offsets of a list's n texts; slot_of maps text k to its slot (NULL: k), slots in all. */
struct list_out {
    uint32_t *off;
    const char *bytes;
};

static int list_plain(struct rd *r, uint32_t n, const uint64_t *present, uint32_t slots,
                      struct list_out *ret, struct err *err)
{
    unsigned w = rd_u8(r);
    const uint8_t *lens = (w <= 32) ? rd_bytes(r, bitpack_bytes(n, w)) : NULL;
    if (!lens && (w || r->bad))
        return page_corrupt(err, "text lengths");
    uint64_t sum = 0;
    uint32_t slot = 0;
    for (uint32_t k = 0, row = UINT32_MAX; k < n; k++) {
        row = page_next_row(present, row, slots);
        while (slot <= row)
            ret->off[slot++] = (uint32_t)sum;
        sum += bitpack_get(lens, k, w);
        if (sum > rd_left(r))
            return page_corrupt(err, "text bytes");
    }
    while (slot <= slots)
        ret->off[slot++] = (uint32_t)sum;
    ret->bytes = (const char *)rd_bytes(r, (size_t)sum);
    return ret->bytes ? 0 : page_corrupt(err, "text bytes");
}

static const char hex_digits[] = "0123456789abcdef";

static char *put_hex_text(char *p, const uint8_t *in, size_t n, bool uuid)
{
    for (size_t i = 0; i < n; i++) {
        if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
            *p++ = '-';
        *p++ = hex_digits[in[i] >> 4];
        *p++ = hex_digits[in[i] & 15];
    }
    return p;
}

static int list_hex(struct rd *r, enum list_kind kind, uint32_t n, const uint64_t *present,
                    uint32_t slots, struct arena *a, struct list_out *ret, struct err *err)
{
    uint32_t chars = kind == LIST_UUID ? 36 : rd_u8(r);
    uint32_t bytes = kind == LIST_UUID ? 16 : chars / 2;
    const uint8_t *in = bytes ? rd_bytes(r, (size_t)bytes * n) : NULL;
    if (!in)
        return page_corrupt(err, "hex bytes");
    char *text = arena_alloc(a, (size_t)n * chars + 1);
    if (!text)
        return err_nomem(err);
    char *p = text;
    uint32_t slot = 0;
    for (uint32_t k = 0, row = UINT32_MAX; k < n; k++) {
        row = page_next_row(present, row, slots);
        while (slot <= row)
            ret->off[slot++] = (uint32_t)(p - text);
        p = put_hex_text(p, in + (size_t)k * bytes, bytes, kind == LIST_UUID);
    }
    while (slot <= slots)
        ret->off[slot++] = (uint32_t)(p - text);
    ret->bytes = text;
    return 0;
}

static int get_list(struct rd *r, uint32_t n, const uint64_t *present, uint32_t slots,
                    struct arena *a, struct list_out *ret, struct err *err)
{
    ret->off = arena_array(a, (size_t)slots + 1, sizeof *ret->off);
    if (!ret->off)
        return err_nomem(err);
    enum list_kind kind = (enum list_kind)rd_u8(r);
    if (kind == LIST_PLAIN)
        return list_plain(r, n, present, slots, ret, err);
    if (kind == LIST_HEX || kind == LIST_UUID)
        return list_hex(r, kind, n, present, slots, a, ret, err);
    return page_corrupt(err, "unknown text list");
}

static int get_dict(struct rd *r, uint32_t n, uint32_t nvals, struct arena *a, struct page_out *ret,
                    struct err *err)
{
    uint32_t ndict = rd_le32(r);
    if (!rd_ok(r) || ndict == 0 || ndict > nvals)
        return page_corrupt(err, "dictionary size");
    struct list_out list;
    int rc = get_list(r, ndict, NULL, ndict, a, &list, err);
    if (rc)
        return rc;
    unsigned w = rd_u8(r);
    const uint8_t *p = w <= 16 ? rd_bytes(r, bitpack_bytes(nvals, w)) : NULL;
    uint32_t *codes = arena_array(a, n, sizeof *codes);
    if (!codes)
        return err_nomem(err);
    if (!p && (w || r->bad))
        return page_corrupt(err, "dictionary codes");
    if (ret->present)
        memset(codes, 0, n * sizeof *codes);
    uint32_t max = 0;
    for (uint32_t k = 0, row = UINT32_MAX; k < nvals; k++) {
        row = page_next_row(ret->present, row, n);
        codes[row] = (uint32_t)bitpack_get(p, k, w);
        max = codes[row] > max ? codes[row] : max;
    }
    if (max >= ndict)
        return page_corrupt(err, "dictionary code out of range");
    ret->codes = codes;
    ret->ndict = ndict;
    ret->off = list.off;
    ret->bytes = list.bytes;
    return 0;
}

int page_get_text(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                  struct page_out *ret, struct err *err)
{
    struct list_out list;
    int rc;
    switch (encoding) {
    case PE_TEMPLATE: return page_get_templates(r, n, nvals, a, ret, err);
    case PE_DICT: return get_dict(r, n, nvals, a, ret, err);
    case PE_CONST:
        rc = get_list(r, 1, NULL, 1, a, &list, err);
        ret->codes = zero_codes;
        ret->ndict = 1;
        break;
    case PE_PLAIN: rc = get_list(r, nvals, ret->present, n, a, &list, err); break;
    default: return page_corrupt(err, "unknown text encoding");
    }
    if (rc)
        return rc;
    ret->off = list.off;
    ret->bytes = list.bytes;
    return 0;
}
