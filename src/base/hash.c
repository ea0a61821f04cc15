/* hash.c: CRC-32C by instruction or table, and XXH3.
 *
 * The hardware path runs three crc32 instructions side by side on three stretches of LANE bytes
 * (one has a latency of three cycles, one can start every cycle) and joins them: appending k zero
 * bytes to a message is a linear map of its CRC, kept as four 256-entry tables for k = LANE and
 * k = 2*LANE. The map is made once, before main. */
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/rd.h"

#define POLY 0x82f63b78u /* Castagnoli, reflected */
#define LANE ((size_t)1024)

static uint32_t byte_table[8][256];
static uint64_t keyed_seed;

static void byte_table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ POLY : c >> 1;
        byte_table[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = byte_table[t - 1][i];
            byte_table[t][i] = c >> 8 ^ byte_table[0][c & 0xff];
        }
}

/* c without the inversions at both ends */
static uint32_t crc_table(uint32_t c, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t x = get_le64(p) ^ c;
        c = 0;
        for (int t = 0; t < 8; t++)
            c ^= byte_table[7 - t][x >> (8 * t) & 0xff];
    }
    for (; n; n--)
        c = c >> 8 ^ byte_table[0][(c ^ *p++) & 0xff];
    return c;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

static bool have_sse42;
static uint32_t shift_lane[2][4][256]; /* [0]: LANE zero bytes, [1]: twice as many */

static void shift_tables_make(void)
{
    static const uint8_t zeros[2 * LANE];
    for (size_t k = 0; k < 2; k++) {
        uint32_t bit[32];
        for (int i = 0; i < 32; i++)
            bit[i] = crc_table(1u << i, zeros, (k + 1) * LANE);
        for (int b = 0; b < 4; b++)
            for (uint32_t v = 0; v < 256; v++) {
                uint32_t c = 0;
                for (int i = 0; i < 8; i++)
                    c ^= v >> i & 1 ? bit[8 * b + i] : 0;
                shift_lane[k][b][v] = c;
            }
    }
}

static uint32_t shifted(size_t k, uint32_t c)
{
    return shift_lane[k][0][c & 0xff] ^ shift_lane[k][1][c >> 8 & 0xff] ^
           shift_lane[k][2][c >> 16 & 0xff] ^ shift_lane[k][3][c >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
                                                            size_t n)
{
    uint64_t c = crc;
    for (; n >= 3 * LANE; p += 3 * LANE, n -= 3 * LANE) {
        uint64_t c1 = 0, c2 = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            c = _mm_crc32_u64(c, get_le64(p + i));
            c1 = _mm_crc32_u64(c1, get_le64(p + LANE + i));
            c2 = _mm_crc32_u64(c2, get_le64(p + 2 * LANE + i));
        }
        c = shifted(1, (uint32_t)c) ^ shifted(0, (uint32_t)c1) ^ c2;
    }
    for (; n >= 8; p += 8, n -= 8)
        c = _mm_crc32_u64(c, get_le64(p));
    for (; n; n--)
        c = _mm_crc32_u8((uint32_t)c, *p++);
    return (uint32_t)c;
}
#endif

/* The seed is the one random number not taken through io/: no result may depend on it, and tables
 * are made before any io exists. Tests that replay a run fix it with hash_set_seed. */
__attribute__((constructor)) static void hash_setup(void)
{
    byte_table_make();
#if defined(__x86_64__)
    have_sse42 = __builtin_cpu_supports("sse4.2");
    shift_tables_make();
#endif
    if (getrandom(&keyed_seed, sizeof(keyed_seed), GRND_NONBLOCK) != (ssize_t)sizeof(keyed_seed))
        keyed_seed = hash_mix((uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)&keyed_seed);
}

void hash_set_seed(uint64_t seed)
{
    keyed_seed = seed;
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    return ~crc_table(~crc, p, n);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_expect(have_sse42, 1))
        return ~crc_sse42(~crc, p, n);
#endif
    return crc32c_portable(crc, p, n);
}

uint64_t hash64(const void *p, size_t n)
{
    return XXH3_64bits(n ? p : "", n);
}

uint64_t hash64_seed(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(n ? p : "", n, seed);
}

uint64_t hash_keyed(str s)
{
    return XXH3_64bits_withSeed(s.n ? s.p : "", s.n, keyed_seed);
}
