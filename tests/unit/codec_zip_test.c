/* codec_zip_test.c: bodies and pages there and back, and every way they can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "codec/zip.h"

#define MAX ((size_t)4 << 20)

static const enum zip_kind kinds[] = { ZIP_GZIP, ZIP_DEFLATE, ZIP_ZSTD };

/* n bytes, compressible when few is small */
static void fill(struct buf *b, size_t n, unsigned few)
{
    uint64_t x = n + few;
    buf_init(b, MAX);
    for (size_t i = 0; i < n; i++) {
        x = hash_mix(x + 1);
        buf_putc(b, (char)(x % few));
    }
}

static void names(void **state)
{
    (void)state;
    enum zip_kind k;
    assert_true(zip_by_name(STR("GZip"), &k) && k == ZIP_GZIP);
    assert_true(zip_by_name(STR("x-gzip"), &k) && k == ZIP_GZIP);
    assert_true(zip_by_name(STR("deflate"), &k) && k == ZIP_DEFLATE);
    assert_true(zip_by_name(STR("ZSTD"), &k) && k == ZIP_ZSTD);
    assert_true(zip_by_name(STR("identity"), &k) && k == ZIP_NONE);
    assert_true(zip_by_name(STR_NULL, &k) && k == ZIP_NONE);
    assert_false(zip_by_name(STR("br"), &k));
}

static void round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 100, 5000, 300000, 2000000 };
    struct err e = ERR_INIT;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 6; i++) {
            struct buf raw, zip, out;
            fill(&raw, sizes[i], i % 2 ? 4 : 256);
            buf_init(&zip, MAX);
            buf_init(&out, raw.n + 3);
            buf_puts(&out, "pre"); /* decoding appends */
            assert_int_equal(zip_encode(kinds[k], buf_str(&raw), &zip, &e), 0);
            assert_int_equal(zip_decode(kinds[k], buf_str(&zip), &out, NULL, &e), 0);
            assert_true(str_eq(str_skip(buf_str(&out), 3), buf_str(&raw)));
            if (raw.n) { /* one byte less is too little */
                buf_deinit(&out);
                buf_init(&out, raw.n - 1);
                assert_int_equal(zip_decode(kinds[k], buf_str(&zip), &out, NULL, &e), ERR_LIMIT);
                assert_int_equal(out.n, 0);
                assert_true(out.cap < raw.n);
            }
            buf_deinit(&raw);
            buf_deinit(&zip);
            buf_deinit(&out);
        }
}

struct quota_log {
    const struct buf *out;
    size_t total, limit;
    unsigned asked;
};

static bool quota_take(void *arg, size_t total)
{
    struct quota_log *q = arg;
    assert_true(total > q->total);
    assert_int_equal(total, q->out->cap);
    q->total = total;
    q->asked++;
    return total <= q->limit;
}

/* The quota hears of every growth, and a no ends it at once. */
static void growth_is_told(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct buf raw, zip;
    fill(&raw, 3000000, 4);
    for (size_t k = 0; k < 3; k++) {
        buf_init(&zip, MAX);
        assert_int_equal(zip_encode(kinds[k], buf_str(&raw), &zip, &e), 0);
        for (int allowed = 0; allowed < 2; allowed++) {
            struct buf out;
            struct quota_log log = { &out, 0, allowed ? SIZE_MAX : 100000, 0 };
            struct zip_quota quota = { quota_take, &log };
            buf_init(&out, MAX);
            assert_int_equal(zip_decode(kinds[k], buf_str(&zip), &out, &quota, &e),
                             allowed ? 0 : ERR_BUSY);
            assert_true(log.asked > 0);
            assert_int_equal(log.total, out.cap);
            assert_int_equal(out.n, allowed ? raw.n : 0);
            buf_deinit(&out);
        }
        buf_deinit(&zip);
    }
    buf_deinit(&raw);
}

static void several_members(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    for (size_t k = 0; k < 3; k += 2) {
        struct buf zip, out;
        buf_init(&zip, MAX);
        buf_init(&out, MAX);
        for (int i = 0; i < 3; i++)
            assert_int_equal(zip_encode(kinds[k], STR("member\n"), &zip, &e), 0);
        assert_int_equal(zip_decode(kinds[k], buf_str(&zip), &out, NULL, &e), 0);
        assert_true(str_eq(buf_str(&out), STR("member\nmember\nmember\n")));
        buf_deinit(&zip);
        buf_deinit(&out);
    }
}

static void raw_deflate(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct buf out;
    buf_init(&out, 100);
    /* a stored block: "hello" */
    str raw = STR("\x01\x05\x00\xfa\xffhello");
    assert_int_equal(zip_decode(ZIP_DEFLATE, raw, &out, NULL, &e), 0);
    assert_true(str_eq(buf_str(&out), STR("hello")));
    assert_int_equal(zip_decode(ZIP_DEFLATE, STR("\x01\x05\x00\xfa\xffhelloX"), &out, NULL, &e),
                     ERR_INVALID);
    assert_int_equal(out.n, 5);
    buf_deinit(&out);
}

static void damaged(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    for (size_t k = 0; k < 3; k++) {
        struct buf raw, zip, out;
        fill(&raw, 3000, 7);
        buf_init(&zip, MAX);
        buf_init(&out, MAX);
        assert_int_equal(zip_encode(kinds[k], buf_str(&raw), &zip, &e), 0);
        for (size_t n = 0; n < zip.n; n++) { /* every prefix */
            int r = zip_decode(kinds[k], str_sub(buf_str(&zip), 0, n), &out, NULL, &e);
            assert_int_equal(r, ERR_INVALID);
            assert_int_equal(out.n, 0);
        }
        buf_putc(&zip, 'x');
        assert_int_equal(zip_decode(kinds[k], buf_str(&zip), &out, NULL, &e), ERR_INVALID);
        assert_int_equal(zip_decode(kinds[k], STR("not compressed at all"), &out, NULL, &e),
                         ERR_INVALID);
        buf_deinit(&raw);
        buf_deinit(&zip);
        buf_deinit(&out);
    }
}

static void window(void **state)
{
    (void)state;
    /* a frame header that asks for a window of 16 MiB (descriptor 0x70: 2^(10+14)) */
    str frame = STR("\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00");
    struct err e = ERR_INIT;
    struct buf out;
    buf_init(&out, MAX);
    assert_int_equal(zip_decode(ZIP_ZSTD, frame, &out, NULL, &e), ERR_INVALID);
    assert_non_null(strstr(e.msg, "8 MiB"));
    buf_deinit(&out);
}

static void plain(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct buf out;
    buf_init(&out, 4);
    assert_int_equal(zip_decode(ZIP_NONE, STR("abcd"), &out, NULL, &e), 0);
    assert_int_equal(zip_decode(ZIP_NONE, STR("e"), &out, NULL, &e), ERR_LIMIT);
    assert_true(buf_ok(&out));
    assert_int_equal(zip_encode(ZIP_NONE, STR("e"), &out, &e), ERR_UNSUPPORTED);
    assert_int_equal(zip_encode(ZIP_GZIP, STR("e"), &out, &e), ERR_LIMIT);
    buf_deinit(&out);
}

static void pages(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    static char back[100001];
    struct buf raw, noise, out;
    fill(&raw, 100000, 5);
    fill(&noise, 100000, 256);
    buf_init(&out, MAX);
    for (int level = 1; level <= 19; level += 6) {
        buf_reset(&out);
        buf_puts(&out, "x");
        size_t n = zstd_pack(buf_str(&raw), level, &out);
        assert_true(n > 0 && out.n == n + 1);
        str page = str_skip(buf_str(&out), 1);
        assert_int_equal(zstd_unpack(page, back, raw.n, &e), 0);
        assert_memory_equal(back, raw.p, raw.n);
        assert_int_equal(zstd_unpack(page, back, raw.n - 1, &e), ERR_CORRUPT);
        assert_int_equal(zstd_unpack(page, back, raw.n + 1, &e), ERR_CORRUPT);
        assert_int_equal(zstd_unpack(str_sub(page, 0, n - 1), back, raw.n, &e), ERR_CORRUPT);
    }
    buf_reset(&out);
    size_t n = lz4_pack(buf_str(&raw), &out);
    assert_true(n > 0 && out.n == n);
    assert_int_equal(lz4_unpack(buf_str(&out), back, raw.n, &e), 0);
    assert_memory_equal(back, raw.p, raw.n);
    assert_int_equal(lz4_unpack(buf_str(&out), back, raw.n - 1, &e), ERR_CORRUPT);
    assert_int_equal(lz4_unpack(buf_str(&out), back, raw.n + 1, &e), ERR_CORRUPT);
    assert_int_equal(lz4_unpack(str_sub(buf_str(&out), 0, n - 1), back, raw.n, &e), ERR_CORRUPT);
    buf_reset(&out);
    buf_puts(&out, "keep");
    assert_int_equal(zstd_pack(buf_str(&noise), 1, &out), 0);
    assert_int_equal(lz4_pack(buf_str(&noise), &out), 0);
    assert_int_equal(zstd_pack(STR_NULL, 1, &out), 0);
    assert_true(buf_ok(&out) && str_eq(buf_str(&out), STR("keep")));
    buf_deinit(&raw);
    buf_deinit(&noise);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),          cmocka_unit_test(round_trip),
        cmocka_unit_test(growth_is_told), cmocka_unit_test(several_members),
        cmocka_unit_test(raw_deflate),    cmocka_unit_test(damaged),
        cmocka_unit_test(window),         cmocka_unit_test(plain),
        cmocka_unit_test(pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
