/* codec_page_test.c: pages there and back, to the bit; and the bytes they are on disk.
 *
 * golden/pages.txt and golden/pages_v1.txt hold one page a line: class, shape, rows, tenths,
 * encoding, hex of the page before zstd. The first is what page_encode must give today (FL_GOLDEN=1
 * prints it anew: a change is a change of the format); the second what version 1 gave, which must
 * stay readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/zip.h"
#include "base/mem.h"
#include "page_kit.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char *const bool_shapes[] = { "true", "mixed" };
static const char *const null_shapes[] = { "null" };

static const struct {
    const char *name;
    const char *const *shapes;
    size_t n;
} classes[PAGE__CLASSES] = {
    [PAGE_NULL] = { "null", null_shapes, COUNT(null_shapes) },
    [PAGE_BOOL] = { "bool", bool_shapes, COUNT(bool_shapes) },
    [PAGE_INT] = { "int", kit_int_shapes, COUNT(kit_int_shapes) },
    [PAGE_F64] = { "f64", kit_double_shapes, COUNT(kit_double_shapes) },
    [PAGE_TEXT] = { "text", kit_text_shapes, COUNT(kit_text_shapes) },
};

static struct kit kit;
static struct page_scratch *scratch;

static void fail_at(enum page_class cls, const char *shape, uint32_t n, unsigned tenths,
                    uint64_t seed, const char *what)
{
    fail_msg("%s %s, %u rows, %u tenths, seed %llu: %s", classes[cls].name, shape, n, tenths,
             (unsigned long long)seed, what);
}

/* Encodes, decodes and compares. */
static void there_and_back(enum page_class cls, const char *shape, uint32_t n, unsigned tenths,
                           uint64_t seed)
{
    struct buf page;
    struct arena a;
    struct page_meta m;
    struct page_out po;
    struct err e = ERR_INIT;
    buf_init(&page, 1u << 30);
    arena_init(&a, (size_t)256 << 20);
    kit_fill(&kit, cls, shape, n, tenths, seed);
    if (page_encode(&kit.in, 1, scratch, &page, &m, &e))
        fail_at(cls, shape, n, tenths, seed, e.msg);
    if (page_decode(buf_str(&page), cls, m.encoding, m.zstd, m.raw_n, n, kit.in.nvals, &a, &po, &e))
        fail_at(cls, shape, n, tenths, seed, e.msg);
    uint32_t row = kit_differs(&kit.in, &po);
    if (row != UINT32_MAX) {
        print_error("row %u\n", row);
        fail_at(cls, shape, n, tenths, seed, page_encoding_names[m.encoding]);
    }
    buf_deinit(&page);
    arena_deinit(&a);
}

static void round_trip(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 1, 2, 3, 7, 8, 33, 200, 1500, 8192 };
    for (unsigned cls = 0; cls < PAGE__CLASSES; cls++)
        for (size_t s = 0; s < classes[cls].n; s++)
            for (size_t k = 0; k < COUNT(sizes); k++)
                for (unsigned tenths = 1; tenths <= 10; tenths += 3)
                    for (uint64_t seed = 0; seed < (sizes[k] < 1000 ? 8 : 2); seed++)
                        there_and_back((enum page_class)cls, classes[cls].shapes[s], sizes[k],
                                       tenths, seed);
}

static void largest(void **state)
{
    (void)state;
    for (unsigned cls = 0; cls < PAGE__CLASSES; cls++)
        for (size_t s = 0; s < classes[cls].n; s++)
            there_and_back((enum page_class)cls, classes[cls].shapes[s], PAGE_ROWS_MAX, 10, 1);
}

/* ---- golden ---- */

static void hex_put(struct buf *b, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%02x", (unsigned char)p[i]);
}

static void golden_page(struct buf *line, enum page_class cls, const char *shape, uint32_t n,
                        unsigned tenths)
{
    struct buf page;
    struct page_meta m;
    struct err e = ERR_INIT;
    buf_init(&page, 1u << 24);
    kit_fill(&kit, cls, shape, n, tenths, 5);
    assert_int_equal(page_encode(&kit.in, 1, scratch, &page, &m, &e), 0);
    buf_printf(line, "%u,%s,%u,%u,%s,", cls, shape, n, tenths, page_encoding_names[m.encoding]);
    if (m.zstd) {
        char *raw = malloc(m.raw_n);
        assert_non_null(raw);
        assert_int_equal(zstd_unpack(buf_str(&page), raw, m.raw_n, &e), 0);
        hex_put(line, raw, m.raw_n);
        free(raw);
    } else {
        hex_put(line, page.p, page.n);
    }
    buf_deinit(&page);
}

static char *read_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/unit/golden/%s", getenv("FLEETLOG_SOURCE"), name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot read %s", path);
    struct buf b;
    buf_init(&b, 1u << 24);
    for (;;) {
        char *room = buf_reserve(&b, 1u << 16);
        assert_non_null(room);
        size_t n = fread(room, 1, 1u << 16, f);
        buf_advance(&b, n);
        if (!n)
            break;
    }
    fclose(f);
    return buf_take(&b, NULL);
}

static void golden(void **state)
{
    (void)state;
    bool print = getenv("FL_GOLDEN") != NULL;
    char *text = print ? NULL : read_golden("pages.txt");
    str rest = str_c(text), want;
    for (unsigned cls = 0; cls < PAGE__CLASSES; cls++)
        for (size_t s = 0; s < classes[cls].n; s++) {
            struct buf line;
            buf_init(&line, 1u << 24);
            golden_page(&line, (enum page_class)cls, classes[cls].shapes[s], 150, s % 3 ? 10 : 8);
            if (print) {
                printf("%.*s\n", STR_FMT(buf_str(&line)));
            } else if (!str_split(&rest, '\n', &want) || !str_eq(want, buf_str(&line))) {
                fail_msg("the page is no longer\n%.*s\nbut\n%.*s", STR_FMT(want),
                         STR_FMT(buf_str(&line)));
            }
            buf_deinit(&line);
        }
    mem_free(text);
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* One line of a golden file decodes to what its shape makes. */
static void read_line(str line)
{
    str f[6];
    for (size_t i = 0; i < 6; i++)
        assert_true(str_split(&line, ',', &f[i]));
    int64_t cls, n, tenths;
    assert_true(str_to_i64(f[0], &cls) && str_to_i64(f[2], &n) && str_to_i64(f[3], &tenths));
    char shape[40], *page = malloc(f[5].n / 2 + 1);
    assert_non_null(page);
    snprintf(shape, sizeof shape, "%.*s", STR_FMT(f[1]));
    for (size_t i = 0; i < f[5].n / 2; i++)
        page[i] = (char)(hex_value(f[5].p[i * 2]) << 4 | hex_value(f[5].p[i * 2 + 1]));
    uint8_t encoding = 0;
    while (encoding < PE__COUNT && !str_eq(f[4], str_c(page_encoding_names[encoding])))
        encoding++;
    kit_fill(&kit, (enum page_class)cls, shape, (uint32_t)n, (unsigned)tenths, 5);
    struct arena a;
    struct page_out po;
    struct err e = ERR_INIT;
    arena_init(&a, (size_t)64 << 20);
    if (page_decode(str_n(page, f[5].n / 2), (enum page_class)cls, encoding, false,
                    (uint32_t)(f[5].n / 2), (uint32_t)n, kit.in.nvals, &a, &po, &e))
        fail_msg("%s: %s", shape, e.msg);
    assert_int_equal(kit_differs(&kit.in, &po), UINT32_MAX);
    arena_deinit(&a);
    free(page);
}

static void version_1(void **state)
{
    (void)state;
    char *text = read_golden("pages_v1.txt");
    str rest = str_c(text), line;
    uint32_t lines = 0;
    while (str_split(&rest, '\n', &line))
        if (line.n) {
            read_line(line);
            lines++;
        }
    assert_true(lines > 40);
    mem_free(text);
}

/* ---- damage ---- */

/* Every cut and many flips: an error or some values, never a crash; a cut is always an error. */
static void damaged(void **state)
{
    (void)state;
    for (unsigned cls = PAGE_BOOL; cls < PAGE__CLASSES; cls++)
        for (size_t s = 0; s < classes[cls].n; s++) {
            struct buf page;
            struct page_meta m;
            struct page_out po;
            struct arena a;
            struct err e = ERR_INIT;
            buf_init(&page, 1u << 24);
            arena_init(&a, (size_t)64 << 20);
            kit_fill(&kit, (enum page_class)cls, classes[cls].shapes[s], 60, 8, 3);
            assert_int_equal(page_encode(&kit.in, 1, scratch, &page, &m, &e), 0);
            for (size_t n = 0; n < page.n; n++) {
                char *cut = malloc(n + 1); /* so that a read past the end is seen */
                assert_non_null(cut);
                memcpy(cut, page.p, n);
                uint32_t raw = m.zstd ? m.raw_n : (uint32_t)n;
                int rc = page_decode(str_n(cut, n), (enum page_class)cls, m.encoding, m.zstd, raw,
                                     60, kit.in.nvals, &a, &po, &e);
                /* the one text of a PE_SAME page is as long as the page says */
                assert_true(rc != 0 || m.encoding == PE_SAME);
                free(cut);
                arena_reset(&a);
            }
            for (size_t i = 0; i < page.n * 8; i++) {
                page.p[i / 8] = (char)(page.p[i / 8] ^ 1 << i % 8);
                page_decode(buf_str(&page), (enum page_class)cls, m.encoding, m.zstd, m.raw_n, 60,
                            kit.in.nvals, &a, &po, &e);
                page.p[i / 8] = (char)(page.p[i / 8] ^ 1 << i % 8);
                arena_reset(&a);
            }
            buf_deinit(&page);
            arena_deinit(&a);
        }
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
        cmocka_unit_test(round_trip), cmocka_unit_test(largest), cmocka_unit_test(golden),
        cmocka_unit_test(version_1),  cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
