/* rd.h: a bounded reader over bytes from a disk or a peer.
 *
 * Reads past the end turn the reader bad and give zeros; look once at the end with rd_ok.
 * Integers are little-endian; nothing is ever cast to a struct. */
#ifndef FL_BASE_RD_H
#define FL_BASE_RD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct rd {
    const uint8_t *p, *end;
    bool bad;
};

static inline struct rd rd_of(const void *p, size_t n)
{
    return (struct rd){ (const uint8_t *)p, (const uint8_t *)p + n, false };
}
static inline bool rd_ok(const struct rd *r)
{
    return !r->bad;
}
static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}
static inline uint16_t get_le16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t get_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}
static inline uint64_t get_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}
static inline void put_le32(void *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    memcpy(p, &v, 4);
}
static inline void put_le64(void *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, 8);
}
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (r->bad || rd_left(r) < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}
static inline uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 1);
    return p ? *p : 0;
}
static inline uint16_t rd_le16(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 2);
    return p ? get_le16(p) : 0;
}
static inline uint32_t rd_le32(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 4);
    return p ? get_le32(p) : 0;
}
static inline uint64_t rd_le64(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 8);
    return p ? get_le64(p) : 0;
}
static inline uint64_t rd_varint(struct rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = rd_u8(r);
        if (r->bad)
            return 0;
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}
static inline str rd_lenstr(struct rd *r)
{
    uint64_t n = rd_varint(r);
    const uint8_t *p = n <= rd_left(r) ? rd_bytes(r, (size_t)n) : NULL;
    if (!p) {
        r->bad = true;
        return STR_NULL;
    }
    return (str){ (const char *)p, (size_t)n };
}

#endif
