/* ident.c: entry ids.
 *
 * Bits of the UUID, first to last:
 *   48 receive time in ms | 4 version 7 | 12 the top of P | 2 variant 10 | 62 the rest of P
 * P (74 bits) = 64 bits permuted sequence number, 10 check bits. The permutation is a Feistel
 * network of four rounds over the halves of the number; its round function and the check are
 * SipHash-2-4 of the key over (receive time, round, half). */
#include "model/ident.h"

#include <string.h>

#include "base/rd.h"

#define CHECK_BITS 10
#define ROUNDS 4

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 of two words */
static uint64_t prf(const struct id_gen *g, uint64_t a, uint64_t b)
{
    uint64_t v[4] = { g->key[0] ^ 0x736f6d6570736575ull, g->key[1] ^ 0x646f72616e646f6dull,
                      g->key[0] ^ 0x6c7967656e657261ull, g->key[1] ^ 0x7465646279746573ull };
    const uint64_t m[3] = { a, b, 16ull << 56 };
    for (int i = 0; i < 3; i++) {
        v[3] ^= m[i];
        sip_round(v);
        sip_round(v);
        v[0] ^= m[i];
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint32_t round_of(const struct id_gen *g, uint64_t ms, unsigned round, uint32_t half)
{
    return (uint32_t)prf(g, ms << 8 | round, half);
}

static uint64_t permute(const struct id_gen *g, uint64_t ms, uint64_t x)
{
    uint32_t l = (uint32_t)(x >> 32), r = (uint32_t)x;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t t = l ^ round_of(g, ms, i, r);
        l = r;
        r = t;
    }
    return (uint64_t)l << 32 | r;
}

static uint64_t unpermute(const struct id_gen *g, uint64_t ms, uint64_t x)
{
    uint32_t l = (uint32_t)(x >> 32), r = (uint32_t)x;
    for (unsigned i = ROUNDS; i-- > 0;) {
        uint32_t t = r ^ round_of(g, ms, i, l);
        r = l;
        l = t;
    }
    return (uint64_t)l << 32 | r;
}

static uint64_t check_of(const struct id_gen *g, uint64_t ms, uint64_t seq)
{
    return prf(g, ms << 8 | 0xff, seq) & ((1u << CHECK_BITS) - 1);
}

void id_make(const struct id_gen *g, ts_ns received_at, uint64_t seq, char out[ID_TEXT])
{
    uint64_t ms = received_at > 0 ? (uint64_t)(received_at / NS_PER_MS) : 0;
    uint64_t p = permute(g, ms, seq), check = check_of(g, ms, seq);
    uint64_t hi = ms << 16 | 0x7000 | p >> 52;
    uint64_t lo = 2ull << 62 | (p & 0xfffffffffffffull) << CHECK_BITS | check;
    uint8_t raw[16];
    for (int i = 0; i < 8; i++) {
        raw[i] = (uint8_t)(hi >> (56 - 8 * i));
        raw[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
    }
    uuid_from_bytes(raw, out);
}

bool id_decode(const struct id_gen *g, str text, ts_ns *ret_received_ms, uint64_t *ret_seq)
{
    uint8_t raw[16];
    if (!uuid_to_bytes(text, raw))
        return false;
    uint64_t hi = 0, lo = 0;
    for (int i = 0; i < 8; i++) {
        hi = hi << 8 | raw[i];
        lo = lo << 8 | raw[8 + i];
    }
    if ((hi >> 12 & 0xf) != 7 || lo >> 62 != 2)
        return false;
    uint64_t ms = hi >> 16;
    uint64_t p = (hi & 0xfff) << 52 | (lo & ~(3ull << 62)) >> CHECK_BITS;
    uint64_t seq = unpermute(g, ms, p);
    if (check_of(g, ms, seq) != (lo & ((1u << CHECK_BITS) - 1)) ||
        ms > (uint64_t)(TS_MAX / NS_PER_MS))
        return false;
    *ret_received_ms = (ts_ns)ms * NS_PER_MS;
    *ret_seq = seq;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool dash_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_valid(str text)
{
    uint8_t raw[16];
    return uuid_to_bytes(text, raw);
}

bool uuid_to_bytes(str text, uint8_t out[16])
{
    if (text.n != ID_TEXT)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < ID_TEXT;) {
        if (dash_at(i)) {
            if (text.p[i++] != '-')
                return false;
            continue;
        }
        int a = hex_digit(text.p[i]), b = hex_digit(text.p[i + 1]);
        if (a < 0 || b < 0)
            return false;
        out[n++] = (uint8_t)(a << 4 | b);
        i += 2;
    }
    return true;
}

void uuid_from_bytes(const uint8_t in[16], char out[ID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < 16; i++) {
        if (dash_at(n))
            out[n++] = '-';
        out[n++] = digits[in[i] >> 4];
        out[n++] = digits[in[i] & 15];
    }
}
