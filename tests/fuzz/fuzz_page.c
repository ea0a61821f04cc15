/* fuzz_page.c: pages of a segment: decoding hostile bytes, and encode -> decode on values made from
 * the input, which must come back equal. Pages in frames: what some rows give is what all give. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "codec/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define ROWS 300

static void decode_hostile(const uint8_t *data, size_t n)
{
    if (n < 8)
        return;
    struct arena a;
    struct err err = ERR_INIT;
    struct page_out out;
    arena_init(&a, 64u << 20);
    uint32_t rows = data[1] + 1u, nvals = data[2] % rows + 1;
    uint32_t raw = data[3] & 1 ? (uint32_t)(data[4] | data[5] << 8) : (uint32_t)n - 8;
    enum page_class cls = data[0] % PAGE__CLASSES;
    if (page_decode((str){ (const char *)data + 8, n - 8 }, cls, data[6] % (PE__COUNT + 1),
                    data[3] & 1, raw, rows, nvals, &a, &out, &err) == 0 &&
        cls == PAGE_TEXT) {
        volatile size_t sum = 0;
        for (uint32_t r = 0; r < rows; r++) {
            uint32_t k = out.codes ? out.codes[r] : r;
            for (uint32_t i = out.off[k]; i < out.off[k + 1]; i++)
                sum += (uint8_t)out.bytes[i];
        }
        (void)sum;
    }
    arena_deinit(&a);
}

/* A page in frames, rows of it and then all: they agree on the rows. */
static void frames_hostile(const uint8_t *data, size_t n)
{
    if (n < 8)
        return;
    struct arena a;
    struct err err = ERR_INIT;
    struct page_out all;
    struct page_frames some;
    uint64_t sel[BITS_WORDS(256)];
    str page = { (const char *)data + 8, n - 8 };
    uint32_t rows = data[1] + 1u, nvals = data[2] % rows + 1;
    uint32_t raw = (uint32_t)(data[3] | data[4] << 8 | data[5] << 16);
    arena_init(&a, 64u << 20);
    for (size_t i = 0; i < BITS_WORDS(256); i++)
        sel[i] = 0x9e3779b97f4a7c15ull * (data[7] + i) & 0xf0f0f0f0f0f0f0f0;
    bool whole =
        page_decode(page, PAGE_TEXT, PE_FRAMES, false, raw, rows, nvals, &a, &all, &err) == 0;
    if (page_frames_open(page, raw, rows, nvals, 0, &a, &some, &err)) {
        if (whole)
            abort();
    } else if (page_frames_need(&some, sel, &err)) {
        if (whole)
            abort();
    } else if (whole) {
        for (size_t r = bits_next(sel, 0, rows); r < rows; r = bits_next(sel, r + 1, rows))
            if (all.off[r] != some.out.off[r] || all.off[r + 1] != some.out.off[r + 1] ||
                memcmp(all.bytes + all.off[r], some.out.bytes + all.off[r],
                       all.off[r + 1] - all.off[r]) != 0)
                abort();
    }
    arena_deinit(&a);
}

static uint32_t make_rows(const uint8_t *data, size_t n, uint16_t *rows)
{
    uint32_t k = 0;
    for (uint32_t r = 0; r < ROWS; r++)
        if (data[0] & 1 || data[r % n] & 2)
            rows[k++] = (uint16_t)r;
    return k;
}

/* A text of the pattern that `how` chooses; every so often one of another. */
static str patterned(uint8_t how, uint32_t i, uint64_t x, char *p, size_t room)
{
    unsigned a = (unsigned)(how & 16 ? x >> 60 : x >> 40), b = (unsigned)(x >> 24 & 0xff);
    unsigned long long c = x % 60;
    a = how & 32 ? a % 30 + 1 : a + i;
    switch ((i % 19 == 7 ? how + 1 : how) % 9) {
    case 0: snprintf(p, room, "obs_trace_%06u_%08x_%06llu", a, b, c); break;
    case 1: snprintf(p, room, "%u-%x/%llu", a, b, c); break;
    case 2: snprintf(p, room, "%u", a); break;
    case 3: snprintf(p, room, "-%u", a); break;
    case 4: snprintf(p, room, "2026-03-%02u %02x:%02llu:00", a % 33, b, c); break;
    case 5: snprintf(p, room, "%04u-%02x-%02lluT10:00:00.%03uZ", a, b, c, a % 1000); break;
    case 6: snprintf(p, room, "%08x-4%03x-%llx", a, b, c); break;
    case 7: snprintf(p, room, "%.4u%.2x.0%llu", a, b, c); break;
    default: snprintf(p, room, "msg_%c%X%llx", (int)(a % 26 + 'a'), b, (unsigned long long)x);
    }
    return str_c(p);
}

static void round_trip(const uint8_t *data, size_t n)
{
    static uint16_t rows[ROWS];
    static int64_t ints[ROWS];
    static double doubles[ROWS];
    static uint8_t bools[ROWS];
    static str texts[ROWS];
    static char made[ROWS][100];
    if (n < 16)
        return;
    uint32_t nvals = make_rows(data, n, rows);
    if (!nvals)
        return;
    for (uint32_t i = 0; i < nvals; i++) {
        size_t at = (size_t)i * 3 % (n - 8);
        memcpy(&ints[i], data + at, 8);
        if (data[1] & 1)
            ints[i] = ints[i] % 1000 * 1000000;
        doubles[i] = data[1] & 2 ? (double)(ints[i] % 100000) / 100 : (double)ints[i];
        bools[i] = data[at] & 1;
        if (data[1] & 4)
            doubles[i] = i % 17 ? (double)(ints[i] % 100000) / 1000 : doubles[i];
        texts[i] = (str){ (const char *)data + at, data[at] % 8 };
        if (data[3] & 1)
            texts[i] = patterned(data[4], i, (uint64_t)ints[i], made[i], sizeof made[i]);
    }
    struct page_in in = { .cls = data[2] % PAGE__CLASSES,
                          .n = ROWS,
                          .nvals = nvals,
                          .rows = nvals == ROWS ? NULL : rows,
                          .i64 = ints,
                          .f64 = doubles,
                          .b8 = bools,
                          .text = texts };
    static struct page_scratch *s; /* large, and kept as a writer keeps it */
    s = s ? s : page_scratch_new();
    struct buf out;
    struct arena a;
    struct page_meta m;
    struct page_out po;
    struct err err = ERR_INIT;
    buf_init(&out, 1u << 24);
    arena_init(&a, 64u << 20);
    if (!s || page_encode(&in, 1, s, &out, &m, &err) ||
        page_decode(buf_str(&out), in.cls, m.encoding, m.zstd, m.raw_n, ROWS, nvals, &a, &po, &err))
        abort();
    for (uint32_t i = 0; i < nvals; i++) {
        uint32_t r = nvals == ROWS ? i : rows[i];
        if (po.present && !bit_get(po.present, r))
            abort();
        if (in.cls == PAGE_INT && po.i64[r] != ints[i])
            abort();
        if (in.cls == PAGE_F64 && memcmp(&po.f64[r], &doubles[i], 8) != 0)
            abort();
        if (in.cls == PAGE_BOOL && po.b8[r] != bools[i])
            abort();
        if (in.cls == PAGE_TEXT) {
            uint32_t k = po.codes ? po.codes[r] : r;
            if (!str_eq(texts[i], (str){ po.bytes + po.off[k], po.off[k + 1] - po.off[k] }))
                abort();
        }
    }
    buf_deinit(&out);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    decode_hostile(data, n);
    frames_hostile(data, n);
    round_trip(data, n);
    return 0;
}
