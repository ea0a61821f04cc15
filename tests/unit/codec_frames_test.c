/* codec_frames_test.c: pages in frames: there and back around the sizes where they begin and end,
 * any rows alone as with all others, damage, and the bytes they are on disk.
 *
 * golden/frames.txt holds a page of known texts in frames of 4 KiB, a line for each way they are
 * packed: bytes unpacked, hex.
 * FL_GOLDEN=1 prints it anew; zstd may write it otherwise, but must read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/page_impl.h"
#include "page_kit.h"

#define FRAME ((size_t)1 << (FRAMES_FAST & ~FRAMES_ALONE))
#define SMALL_SHIFT 12u
#define GOLDEN_ROWS 40
#define WAYS 2

static const unsigned ways[WAYS] = { SMALL_SHIFT, SMALL_SHIFT | FRAMES_ALONE };

static struct kit kit;
static struct page_scratch *scratch;

struct made {
    struct buf page;
    struct page_meta m;
    struct arena a;
};

static void ok(int rc, const struct err *e)
{
    if (rc)
        fail_msg("%s", e->msg);
}

/* n bytes of words, so that they pack; no two texts are alike */
static str words(struct kit *k, size_t n)
{
    static const char *const list[] = { "agent ", "tool ",   "reads ", "a file ", "and fails ",
                                        "again ", "answer ", "with ",  "{\"x\":", "\"ok\"} " };
    char *p = arena_alloc(&k->a, n + 16);
    assert_non_null(p);
    for (size_t at = 0; at < n;) {
        const char *w = list[kit_below(k, sizeof list / sizeof *list)];
        size_t len = strlen(w) < n - at ? strlen(w) : n - at;
        memcpy(p + at, w, len);
        at += len;
        if (at < n && kit_below(k, 3) == 0)
            p[at++] = (char)('a' + kit_below(k, 26));
    }
    return str_n(p, n);
}

/* The values of rows: `total` bytes, most of about 1/nvals of it, some empty, `giant` in one. */
static void fill(uint32_t n, unsigned tenths, size_t total, size_t giant, uint64_t seed)
{
    kit_fill(&kit, PAGE_TEXT, "plain", n, tenths, seed);
    uint32_t nvals = kit.in.nvals;
    size_t left = total - giant, mean = left / nvals + 1;
    for (uint32_t i = 0; i < nvals; i++) {
        size_t len = kit_below(&kit, 9) ? (size_t)kit_below(&kit, 2 * mean) : 0;
        len = i + 1 == nvals || len > left ? left : len;
        left -= len;
        kit.text[i] = words(&kit, len + (i == nvals / 2 ? giant : 0));
    }
}

static void make(struct made *x, int level)
{
    struct err e = ERR_INIT;
    buf_init(&x->page, 1u << 30);
    arena_init(&x->a, (size_t)1 << 30);
    ok(page_encode(&kit.in, level, scratch, &x->page, &x->m, &e), &e);
}

/* in frames that no page_encode makes, so that a small page has several */
static void make_small(struct made *x, unsigned how)
{
    struct buf raw;
    size_t text = 0;
    buf_init(&x->page, 1u << 24);
    buf_init(&raw, 1u << 24);
    arena_init(&x->a, (size_t)64 << 20);
    buf_putc(&raw, 0);
    assert_true(page_fit_pool(scratch, kit.in.nvals));
    scratch->pool_used = 0;
    page_put_plain(scratch, &raw, kit.text, kit.in.nvals);
    for (uint32_t i = 0; i < kit.in.nvals; i++)
        text += kit.text[i].n;
    page_put_frames(buf_str(&raw), raw.n - text, how, 3, &x->page);
    x->m = (struct page_meta){ .encoding = PE_FRAMES, .raw_n = (uint32_t)raw.n };
    assert_true(buf_ok(&x->page));
    buf_deinit(&raw);
}

static void done(struct made *x)
{
    buf_deinit(&x->page);
    arena_deinit(&x->a);
}

static int decode(struct made *x, str page, struct page_out *po, struct err *e)
{
    return page_decode(page, PAGE_TEXT, x->m.encoding, x->m.zstd, x->m.raw_n, kit.in.n,
                       kit.in.nvals, &x->a, po, e);
}

static void check_full(struct made *x)
{
    struct page_out po;
    struct err e = ERR_INIT;
    ok(decode(x, buf_str(&x->page), &po, &e), &e);
    assert_int_equal(kit_differs(&kit.in, &po), UINT32_MAX);
}

/* Rows asked for step by step; after each step those asked for so far are as they went in, and no
 * frame was unpacked but theirs and, unless frames stand alone, the first. */
static void check_rows(struct made *x, uint32_t steps, uint32_t rows)
{
    struct page_frames pf;
    struct err e = ERR_INIT;
    uint64_t sel[BITS_WORDS(PAGE_ROWS_MAX)] = { 0 };
    ok(page_frames_open(buf_str(&x->page), x->m.raw_n, kit.in.n, kit.in.nvals, 0, &x->a, &pf, &e),
       &e);
    uint64_t *frames = arena_zalloc(&x->a, (BITS_WORDS(pf.nframes) + 1) * 8);
    assert_non_null(frames);
    for (uint32_t s = 0; s < steps; s++) {
        uint64_t step[BITS_WORDS(PAGE_ROWS_MAX)] = { 0 };
        for (uint32_t k = 0; k < rows; k++)
            bit_set(step, kit_below(&kit, kit.in.n));
        ok(page_frames_need(&pf, step, &e), &e);
        for (size_t i = 0; i < BITS_WORDS(kit.in.n); i++)
            sel[i] |= step[i];
        uint32_t i = 0;
        for (uint32_t r = 0; r < kit.in.n; r++) {
            bool has = i < kit.in.nvals && (!kit.in.rows || kit.in.rows[i] == r);
            str got = str_n(pf.out.bytes + pf.out.off[r], pf.out.off[r + 1] - pf.out.off[r]);
            assert_int_equal(has, !pf.out.present || bit_get(pf.out.present, r));
            assert_int_equal(got.n, has ? kit.text[i].n : 0);
            if (bit_get(sel, r) && got.n) {
                assert_true(str_eq(got, kit.text[i]));
                if (!pf.alone)
                    bit_set(frames, 0);
                for (uint32_t f = pf.out.off[r] >> pf.shift; f < pf.nframes; f++)
                    if ((uint64_t)f << pf.shift < pf.out.off[r + 1])
                        bit_set(frames, f);
            }
            i += has;
        }
        uint64_t want = 0;
        for (uint32_t f = 0; f < pf.nframes; f++)
            if (bit_get(frames, f))
                want += f + 1 < pf.nframes ? 1u << pf.shift : pf.text_n - (f << pf.shift);
        assert_int_equal(pf.unpacked, want);
    }
    ok(page_frames_need(&pf, NULL, &e), &e);
    assert_int_equal(pf.unpacked, pf.text_n);
    assert_int_equal(kit_differs(&kit.in, &pf.out), UINT32_MAX);
}

static void one(uint32_t n, unsigned tenths, size_t total, size_t giant, int level, uint64_t seed)
{
    struct made x;
    fill(n, tenths, total, giant, seed);
    make(&x, level);
    assert_int_equal(x.m.encoding, total > PAGE_FRAMED ? PE_FRAMES : PE_TEXT);
    check_full(&x);
    if (x.m.encoding == PE_FRAMES) {
        assert_false(x.m.zstd);
        assert_true(x.page.n < total);
        check_rows(&x, 3, 1);
        check_rows(&x, 2, 20);
    }
    done(&x);
}

static void sizes(void **state)
{
    (void)state;
    static const size_t at[] = {
        PAGE_FRAMED,         PAGE_FRAMED + 1,         PAGE_FRAMED + FRAME - 1,
        PAGE_FRAMED + FRAME, PAGE_FRAMED + FRAME + 1, 2 * PAGE_FRAMED + 12345
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (unsigned tenths = 2; tenths <= 10; tenths += 4)
            one(100 + 700 * (uint32_t)i, tenths, at[i], 0, i % 2 ? 1 : 3, i);
}

static void giant(void **state)
{
    (void)state;
    one(50, 10, PAGE_FRAMED + 5 * FRAME, PAGE_FRAMED + 3 * FRAME, 1, 1);
    one(8192, 10, 3 * PAGE_FRAMED, FRAME, 1, 2);
    one(9, 5, 3 * PAGE_FRAMED, 3 * PAGE_FRAMED - 20000, 1, 3);
}

/* bytes that do not pack are stored as they are */
static void noise(void **state)
{
    (void)state;
    struct made x;
    fill(20, 10, 2 * PAGE_FRAMED, 0, 7);
    for (uint32_t i = 0; i < kit.in.nvals; i++)
        for (size_t k = 0; k < kit.text[i].n; k++)
            ((char *)(uintptr_t)kit.text[i].p)[k] = (char)kit_random(&kit);
    make(&x, 1);
    assert_int_equal(x.m.encoding, PE_FRAMES);
    check_full(&x);
    check_rows(&x, 2, 2);
    done(&x);
}

static void small_frames(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct made x;
        fill(1 + (uint32_t)seed * 3, 10, (size_t)((seed % 6 + 1) << SMALL_SHIFT) + seed % 3 - 1,
             seed % 4 ? 0 : 3000, seed);
        make_small(&x, ways[seed % WAYS]);
        check_full(&x);
        check_rows(&x, 4, 2);
        done(&x);
    }
}

/* Every cut is an error; a flipped bit an error or some texts, each within the page. */
static void damage(unsigned how)
{
    struct made x;
    struct page_out po;
    fill(30, 10, 9000, 0, 3);
    make_small(&x, how);
    for (size_t n = 0; n < x.page.n; n++) {
        struct err e = ERR_INIT;
        char *cut = malloc(n + 1); /* so that a read past the end is seen */
        assert_non_null(cut);
        memcpy(cut, x.page.p, n);
        assert_int_equal(decode(&x, str_n(cut, n), &po, &e), ERR_CORRUPT);
        free(cut);
        arena_reset(&x.a);
    }
    for (size_t i = 0; i < x.page.n * 8; i++) {
        struct err e = ERR_INIT;
        x.page.p[i / 8] = (char)(x.page.p[i / 8] ^ 1 << i % 8);
        if (decode(&x, buf_str(&x.page), &po, &e) == 0)
            assert_true(po.off[kit.in.n] <= x.m.raw_n);
        x.page.p[i / 8] = (char)(x.page.p[i / 8] ^ 1 << i % 8);
        arena_reset(&x.a);
    }
    for (uint32_t raw = 0; raw < x.m.raw_n + 5; raw += raw + 5 < x.m.raw_n ? 97 : 1) {
        struct err e = ERR_INIT;
        struct made other = x;
        other.m.raw_n = raw;
        int rc = decode(&other, buf_str(&x.page), &po, &e);
        assert_int_equal(rc, raw == x.m.raw_n ? 0 : ERR_CORRUPT);
        x.a = other.a;
        arena_reset(&x.a);
    }
    done(&x);
}

static void damaged(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAYS; i++)
        damage(ways[i]);
}

/* Line k of the file. */
static str golden_line(struct buf *b, unsigned k)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/unit/golden/frames.txt", getenv("FLEETLOG_SOURCE"));
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot read %s", path);
    char *room = buf_reserve(b, 1u << 17);
    assert_non_null(room);
    buf_advance(b, fread(room, 1, 1u << 17, f));
    fclose(f);
    str s = buf_str(b), line = STR_NULL;
    for (unsigned i = 0; i <= k; i++)
        assert_true(str_split(&s, '\n', &line));
    return line;
}

static void golden_page(unsigned how, unsigned k)
{
    struct made x;
    struct buf text, page;
    buf_init(&text, 1u << 20);
    buf_init(&page, 1u << 20);
    fill(GOLDEN_ROWS, 10, 10000, 0, 11);
    make_small(&x, how);
    if (getenv("FL_GOLDEN")) {
        printf("%u ", x.m.raw_n);
        for (size_t i = 0; i < x.page.n; i++)
            printf("%02x", (unsigned char)x.page.p[i]);
        printf("\n");
        done(&x);
        return;
    }
    str line = golden_line(&text, k);
    char *end;
    x.m.raw_n = (uint32_t)strtoul(line.p, &end, 10);
    for (const char *p = end + 1; p + 1 < line.p + line.n; p += 2) {
        char two[3] = { p[0], p[1], 0 };
        buf_putc(&page, (char)strtoul(two, NULL, 16));
    }
    struct page_out po;
    struct err e = ERR_INIT;
    ok(decode(&x, buf_str(&page), &po, &e), &e);
    assert_int_equal(kit_differs(&kit.in, &po), UINT32_MAX);
    buf_deinit(&page);
    buf_deinit(&text);
    done(&x);
}

static void golden(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAYS; i++)
        golden_page(ways[i], i);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&kit.a, (size_t)256 << 20);
    scratch = page_scratch_new();
    return scratch ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&kit.a);
    page_scratch_free(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),        cmocka_unit_test(giant),   cmocka_unit_test(noise),
        cmocka_unit_test(small_frames), cmocka_unit_test(damaged), cmocka_unit_test(golden),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
