/* page_text_v1.c: lists of texts as version 1 pages have them; read, no longer written.
 *
 *   list  = kind:u8 ...
 *     0 plain  lenwidth:u8  lengths bit-packed, padded  bytes
 *     1 hex    len:u8 (characters, even)        len/2 bytes each; lower-case hex digits
 *     2 uuid                                    16 bytes each; lower case, 8-4-4-4-12 */
#include "codec/page_impl.h"

#include "codec/bitpack.h"

enum { LIST_PLAIN, LIST_HEX, LIST_UUID };

static int list_plain(struct rd *r, uint32_t n, struct texts *ret, struct err *err)
{
    unsigned w = rd_u8(r);
    const uint8_t *lens = (w <= 32) ? rd_bytes(r, bitpack_bytes(n, w)) : NULL;
    if (!lens || r->bad)
        return page_corrupt(err, "text lengths");
    uint64_t sum = 0;
    for (uint32_t k = 0; k < n; k++) {
        ret->off[k] = (uint32_t)sum;
        sum += bitpack_get(lens, k, w);
        if (sum > rd_left(r))
            return page_corrupt(err, "text bytes");
    }
    ret->off[n] = (uint32_t)sum;
    ret->bytes = (const char *)rd_bytes(r, (size_t)sum);
    return ret->bytes ? 0 : page_corrupt(err, "text bytes");
}

static char *put_hex_text(char *p, const uint8_t *in, size_t n, bool uuid)
{
    static const char hex_digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
            *p++ = '-';
        *p++ = hex_digits[in[i] >> 4];
        *p++ = hex_digits[in[i] & 15];
    }
    return p;
}

static int list_hex(struct rd *r, uint8_t kind, uint32_t n, struct arena *a, struct texts *ret,
                    struct err *err)
{
    uint32_t chars = kind == LIST_UUID ? 36 : rd_u8(r);
    uint32_t bytes = kind == LIST_UUID ? 16 : chars / 2;
    const uint8_t *in = bytes && chars % 2 == 0 ? rd_bytes(r, (size_t)bytes * n) : NULL;
    if (!in)
        return page_corrupt(err, "hex bytes");
    char *text = arena_alloc(a, (size_t)n * chars + 1);
    if (!text)
        return err_nomem(err);
    for (uint32_t k = 0; k < n; k++) {
        ret->off[k] = k * chars;
        put_hex_text(text + (size_t)k * chars, in + (size_t)k * bytes, bytes, kind == LIST_UUID);
    }
    ret->off[n] = n * chars;
    ret->bytes = text;
    return 0;
}

int list_get_v1(struct rd *r, uint32_t n, struct arena *a, struct texts *ret, struct err *err)
{
    uint8_t kind = rd_u8(r);
    if (kind == LIST_PLAIN)
        return list_plain(r, n, ret, err);
    if (kind == LIST_HEX || kind == LIST_UUID)
        return list_hex(r, kind, n, a, ret, err);
    return page_corrupt(err, "unknown text list");
}
