/* base_test.c: strings, memory, buffers, arenas, maps, hashes, errors, numbers, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <utf8proc.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rd.h"
#include "base/str.h"
#include "base/utf8.h"

static uint64_t rng = 1;

static uint64_t draw(void)
{
    rng += 0x9e3779b97f4a7c15ull;
    return hash_mix(rng);
}

static void strings(void **state)
{
    (void)state;
    assert_true(str_eq_ci(STR("HeLLo"), STR("hEllO")));
    assert_false(str_eq_ci(STR("a["), STR("a{"))); /* 0x20 apart, no letters */
    assert_int_equal(str_find(STR("abcabd"), STR("abd")), 3);
    assert_true(str_find(STR("abc"), STR("abcd")) == SIZE_MAX);
    assert_int_equal(str_find(STR_NULL, STR("")), 0);
    assert_true(str_chr(STR_NULL, 'x') == SIZE_MAX);
    assert_true(str_eq(str_trim(STR(" \t a b\r\n")), STR("a b")));
    assert_int_equal(str_trim(STR("  ")).n, 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    str rest = STR("a,,b"), piece;
    assert_true(str_split(&rest, ',', &piece) && str_eq(piece, STR("a")));
    assert_true(str_split(&rest, ',', &piece) && piece.n == 0);
    assert_true(str_split(&rest, ',', &piece) && str_eq(piece, STR("b")));
    assert_false(str_split(&rest, ',', &piece));
    rest = STR("x,");
    assert_true(str_split(&rest, ',', &piece));
    assert_true(str_split(&rest, ',', &piece) && piece.n == 0);
    assert_false(str_split(&rest, ',', &piece));
}

static void integers(void **state)
{
    (void)state;
    int64_t i;
    uint64_t u;
    assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(STR("+9223372036854775807"), &i) && i == INT64_MAX);
    assert_false(str_to_i64(STR("9223372036854775808"), &i));
    assert_false(str_to_i64(STR("-9223372036854775809"), &i));
    assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_false(str_to_u64(STR("18446744073709551616"), &u));
    assert_false(str_to_u64(STR("-1"), &u));
    assert_false(str_to_u64(STR(""), &u));
    assert_false(str_to_i64(STR("-"), &i));
    assert_false(str_to_i64(STR("+-1"), &i));
    assert_false(str_to_i64(STR("1 "), &i));
}

static void doubles(void **state)
{
    (void)state;
    static const char *bad[] = { "",    "+",   "-",     ".5",  "5.", "01",    "1e",  "1e+", "0x10",
                                 "inf", "nan", "1e999", "+-1", "1 ", "1.5.2", "-01", "--1" };
    double d;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_to_f64(str_c(bad[i]), &d));
    assert_true(str_to_f64(STR("+1.5"), &d) && d == 1.5);
    assert_true(str_to_f64(STR("-0"), &d) && d == 0 && signbit(d));
    assert_true(str_to_f64(STR("1e-999"), &d) && d == 0);
    assert_true(str_to_f64(STR("4.9406564584124654e-324"), &d) && d == 4.9406564584124654e-324);
    assert_true(str_to_f64(STR("1.7976931348623157e308"), &d) && d == 1.7976931348623157e308);
    assert_true(str_to_f64(STR("1.7976931348623159e308"), &d) == false);
    /* half way between two doubles, and just above it 60 digits later */
    assert_true(str_to_f64(STR("9007199254740993"), &d) && d == 9007199254740992.0);
    assert_true(
        str_to_f64(STR("9007199254740993.0000000000000000000000000000000000000000000000001"), &d) &&
        d == 9007199254740994.0);
    char t[1200];
    memset(t, '0', sizeof(t)); /* 1e-1000 times 10^1000, spelled out */
    memcpy(t, "0.", 2);
    t[1001] = '1';
    memcpy(t + 1002, "e1000", 5);
    assert_true(str_to_f64(str_n(t, 1007), &d) && d == 1);
}

/* against the C library, for many doubles of every magnitude */
static void doubles_match_libc(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = draw() & INT64_MAX;
        double d, back;
        if (i % 4 == 0)
            bits &= UINT64_MAX >> (1 + draw() % 52); /* subnormals too */
        memcpy(&d, &bits, 8);
        if (i % 4 == 1)
            d = (double)(draw() % 10000000000) / 1000;
        if (!isfinite(d) || d == 0)
            continue;
        char t[64];
        snprintf(t, sizeof(t), "%.17g", d);
        assert_true(str_to_f64(str_c(t), &back) && back == d);
        uint64_t man;
        int e, digits = 1;
        num_shortest(d, &man, &e);
        snprintf(t, sizeof(t), "%llue%d", (unsigned long long)man, e);
        assert_true(strtod(t, NULL) == d);
        assert_true(str_to_f64(str_c(t), &back) && back == d);
        for (uint64_t m = man; m >= 10; m /= 10)
            digits++;
        if (digits > 1) { /* no shorter one reads back */
            snprintf(t, sizeof(t), "%.*e", digits - 2, d);
            assert_true(strtod(t, NULL) != d);
        }
    }
}

static void buffers(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_puts(&b, "abc");
    buf_printf(&b, "%d-%s", -5, "x");
    buf_put_i64(&b, INT64_MIN);
    buf_put_u64(&b, UINT64_MAX);
    assert_true(str_eq(buf_str(&b), STR("abc-5-x-922337203685477580818446744073709551615")));
    for (int i = 0; i < BUF_PAD; i++)
        assert_int_equal(b.p[b.n + (size_t)i], 0);
    buf_truncate(&b, 5);
    buf_drop_front(&b, 1);
    assert_true(str_eq(buf_str(&b), STR("bc-5")));
    assert_int_equal(b.p[b.n], 0);
    buf_reset(&b);
    buf_printf(&b, "%0300d", 7); /* longer than the buffer on the stack */
    assert_int_equal(b.n, 300);
    buf_fill(&b, 'x', 700);
    assert_true(buf_ok(&b));
    buf_putc(&b, 'y');
    assert_int_equal(b.bad, BUF_LIMIT);
    assert_int_equal(b.n, 1000);
    buf_truncate(&b, 600);
    buf_trim(&b);
    assert_int_equal(b.cap, 600);
    assert_int_equal(b.p[599], 'x');
    for (int i = 0; i < BUF_PAD; i++)
        assert_int_equal(b.p[600 + i], 0);
    buf_truncate(&b, 590);
    buf_trim(&b); /* too little to be worth it */
    assert_int_equal(b.cap, 600);
    buf_reset(&b);
    buf_puts(&b, "again");
    assert_true(buf_ok(&b) && b.n == 5);
    size_t n;
    char *p = buf_take(&b, &n);
    assert_int_equal(n, 5);
    assert_memory_equal(p, "again", 6);
    mem_free(p);
    assert_null(b.p);
    mem_fail_at(1, 0);
    buf_putc(&b, 'z');
    mem_fail_at(0, 0);
    assert_int_equal(b.bad, BUF_NOMEM);
    buf_deinit(&b);
}

static void binary(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_le16(&b, 0x1234);
    buf_le32(&b, 0x12345678);
    buf_le64(&b, 0x123456789abcdef0);
    static const uint64_t vs[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX };
    for (size_t i = 0; i < 8; i++)
        buf_varint(&b, vs[i]);
    buf_lenstr(&b, STR("text"));
    struct rd r = rd_of(b.p, b.n);
    assert_int_equal(rd_le16(&r), 0x1234);
    assert_int_equal(rd_le32(&r), 0x12345678);
    assert_true(rd_le64(&r) == 0x123456789abcdef0);
    for (size_t i = 0; i < 8; i++)
        assert_true(rd_varint(&r) == vs[i]);
    assert_true(str_eq(rd_lenstr(&r), STR("text")));
    assert_true(rd_ok(&r) && rd_left(&r) == 0);
    assert_int_equal(rd_u8(&r), 0);
    assert_false(rd_ok(&r));
    r = rd_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10); /* 2^64 and more */
    rd_varint(&r);
    assert_false(rd_ok(&r));
    r = rd_of("\x05"
              "abc",
              4);
    assert_null(rd_lenstr(&r).p);
    assert_false(rd_ok(&r));
    buf_deinit(&b);
}

static void bitmaps(void **state)
{
    (void)state;
    uint64_t w[BITS_WORDS(130)];
    bits_fill(w, 130);
    assert_int_equal(bits_count(w, 130), 130);
    bits_zero(w, 130);
    assert_true(bits_none(w, 130));
    bit_set(w, 3);
    bit_set(w, 129);
    assert_int_equal(bits_next(w, 0, 130), 3);
    assert_int_equal(bits_next(w, 4, 130), 129);
    bit_clear(w, 129);
    assert_int_equal(bits_next(w, 4, 130), 130);
}

static void arena_room(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_non_null(arena_alloc(&a, 10));
    assert_true(arena_reserve(&a, 100000));
    size_t used = a.used;
    char *p = arena_alloc(&a, 50000), *q = arena_alloc(&a, 49984);
    assert_true(p && q == p + 50000);
    assert_int_equal(a.used, used);
    arena_reset(&a); /* keeps that piece */
    used = a.used;
    assert_true(arena_reserve(&a, 100000));
    assert_int_equal(a.used, used);
    assert_false(arena_reserve(&a, 1 << 20));
    arena_deinit(&a);
}

static void arenas(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *z = arena_strz(&a, STR("zed"));
    assert_string_equal(z, "zed");
    for (int i = 0; i < 2000; i++) {
        char *p = arena_alloc(&a, (size_t)i % 100);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, i, (size_t)i % 100);
    }
    assert_string_equal(z, "zed");
    int *v = arena_array(&a, 4, sizeof(*v));
    memcpy(v, (int[]){ 1, 2, 3, 4 }, 16);
    int *same = arena_grow(&a, v, 4, 8, sizeof(*v));
    assert_ptr_equal(same, v); /* the newest allocation grows in place */
    arena_alloc(&a, 1);
    v = arena_grow(&a, same, 8, 1000, sizeof(*v));
    assert_ptr_not_equal(v, same);
    assert_int_equal(v[3], 4);
    assert_string_equal(arena_printf(&a, "%0400d", 1) + 395, "00001");
    assert_null(arena_alloc(&a, 2 << 20)); /* past the ceiling */
    assert_null(arena_alloc(&a, SIZE_MAX - 3));
    assert_null(arena_array(&a, SIZE_MAX / 2, 4));
    assert_true(a.used <= a.max);
    arena_reset(&a);
    assert_non_null(arena_zalloc(&a, 100));
    assert_non_null(arena_dup(&a, STR_NULL).p);
    size_t n = 0;
    while (arena_alloc(&a, 1000))
        n += 1000;
    assert_true(n > (1 << 20) * 9 / 10);
    arena_deinit(&a);
    assert_int_equal(a.used, 0);
}

static char released[8];

static void note_release(void *what)
{
    strcat(released, what);
}

static void arenas_own(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_true(arena_own(&a, note_release, "1"));
    arena_alloc(&a, 10000); /* another chunk */
    assert_true(arena_own(&a, note_release, "2"));
    arena_reset(&a);
    assert_string_equal(released, "21"); /* newest first */
    arena_reset(&a);
    assert_true(arena_own(&a, note_release, "3"));
    while (arena_alloc(&a, 16))
        ;
    assert_false(arena_own(&a, note_release, "4"));
    arena_deinit(&a);
    arena_deinit(&a);
    assert_string_equal(released, "213");
}

static void maps(void **state)
{
    (void)state;
    for (int flags = SMAP_BORROW; flags <= SMAP_COPY; flags++) {
        struct smap m;
        static char keys[5000][16];
        bool fresh;
        smap_init(&m, flags);
        assert_null(smap_get(&m, STR("x")));
        for (uint64_t i = 0; i < 5000; i++) {
            snprintf(keys[i], 16, "k%d", (int)i);
            uint64_t *v = smap_put(&m, str_c(keys[i]), &fresh);
            assert_true(v && fresh && *v == 0);
            *v = i;
        }
        *smap_put(&m, STR_NULL, NULL) = 77;
        assert_int_equal(*smap_get(&m, STR("")), 77);
        assert_int_equal(m.n, 5001);
        for (uint64_t i = 0; i < 5000; i++)
            assert_int_equal(*smap_put(&m, str_c(keys[i]), &fresh), i);
        assert_false(fresh);
        uint64_t seen = 0;
        struct smap_slot *slot;
        for (uint32_t i = 0; smap_next(&m, &i, &slot);)
            seen += slot->val;
        assert_int_equal(seen, 4999 * 2500 + 77);
        smap_reset(&m);
        assert_null(smap_get(&m, STR("k1")));
        smap_deinit(&m);
    }
}

static void map_survives_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct smap m;
        char key[16];
        uint32_t made = 0;
        smap_init(&m, SMAP_COPY);
        mem_fail_at(nth, 0);
        for (int i = 0; i < 50; i++) {
            snprintf(key, sizeof(key), "%d", i);
            made += smap_put(&m, str_c(key), NULL) != NULL;
        }
        mem_fail_at(0, 0);
        assert_int_equal(m.n, made);
        assert_true(made == 50 || made == 49);
        smap_deinit(&m);
    }
}

static void hashes(void **state)
{
    (void)state;
    uint8_t zeros[32] = { 0 }, ones[32];
    memset(ones, 0xff, 32);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* RFC 3720 B.4 and folklore */
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(0, NULL, 0), 0);
    static uint8_t big[20000];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)draw();
    for (int i = 0; i < 300; i++) {
        size_t from = draw() % 100, n = draw() % (sizeof(big) - 100), cut = n ? draw() % n : 0;
        uint32_t c = crc32c(7, big + from, n);
        assert_int_equal(c, crc32c_portable(7, big + from, n));
        assert_int_equal(c, crc32c(crc32c(7, big + from, cut), big + from + cut, n - cut));
    }
    assert_true(hash64("", 0) == 0x2d06800538d394c2); /* on disk: must never change */
    assert_true(hash64("a", 1) == 0xe6c632b61e964e1f);
    assert_true(hash64_seed("a", 1, 0) == hash64("a", 1));
    hash_set_seed(1);
    uint64_t h = hash_keyed(STR("a"));
    hash_set_seed(2);
    assert_true(h != hash_keyed(STR("a")));
}

static void errors(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    assert_int_equal(err_at(&e, ERR_INVALID, 12, "bad %s", "x"), ERR_INVALID);
    assert_string_equal(e.msg, "bad x");
    assert_int_equal(e.pos, 12);
    assert_string_equal(err_slug_of(&e), "invalid");
    err_slug(&e, "bad_query");
    err_hint(&e, "try %d", 2);
    assert_string_equal(err_slug_of(&e), "bad_query");
    assert_string_equal(e.hint, "try 2");
    err_set(&e, ERR_IO, "again: %s", e.msg); /* may quote itself */
    assert_string_equal(e.msg, "again: bad x");
    assert_string_equal(e.hint, "");
    assert_int_equal(e.pos, -1);
    assert_int_equal(err_sys(&e, ENOSPC, "cannot write"), ERR_FULL);
    assert_string_equal(e.msg, "cannot write: No space left on device");
    assert_int_equal(err_sys(&e, ENOMEM, "x"), ERR_NOMEM);
    assert_int_equal(err_sys(&e, EACCES, "x"), ERR_IO);
    char lang[1000];
    memset(lang, 'x', sizeof(lang) - 1);
    lang[999] = 0;
    err_sys(&e, EIO, "%s", lang);
    assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
    static const int http[] = { 503, 503, 503, 400, 413, 404, 503, 503, 403, 503, 503, 409, 400 };
    for (int c = 1; c <= 13; c++) {
        assert_int_equal(err_http_status(-c), http[c - 1]);
        assert_true(err_exit_code(-c) > 0);
    }
    assert_int_equal(err_http_status(0), 200);
    assert_int_equal(err_http_status(-99), 500);
    err_reset(&e);
    assert_int_equal(e.code, 0);
}

static void memory(void **state)
{
    (void)state;
    mem_fail_at(2, 0);
    void *a = mem_alloc(0), *b = mem_alloc(1), *c = mem_zalloc(8);
    assert_true(a && !b && c);
    assert_int_equal(mem_fail_at(1, 1), 3);
    assert_null(mem_realloc(a, 100));
    assert_null(mem_array(2, 2));
    mem_fail_at(0, 0);
    assert_null(mem_array(SIZE_MAX, 2));
    mem_free(a);
    mem_free(c);
    mem_free(NULL);
}

static void utf8_validity(void **state)
{
    (void)state;
    static const char *bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xff",
        "\xc3(",
    };
    static const char *good[] = { "\xc2\x80",         "\xdf\xbf",        "\xe0\xa0\x80",
                                  "\xed\x9f\xbf",     "\xee\x80\x80",    "\xef\xbf\xbf",
                                  "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
    char t[100];
    for (size_t before = 0; before < 70; before += 7) { /* at every place of a block */
        memset(t, 'a', sizeof(t));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            size_t n = strlen(bad[i]);
            memcpy(t + before, bad[i], n);
            assert_int_equal(utf8_invalid_at(str_n(t, before + n)), before);
            assert_false(utf8_valid(str_n(t, before + n)));
            memset(t + before, 'a', n);
        }
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            size_t n = strlen(good[i]), pos = before;
            memcpy(t + before, good[i], n);
            assert_true(utf8_valid(str_n(t, sizeof(t))));
            char out[4];
            assert_int_equal(utf8_put(utf8_next(str_n(t, sizeof(t)), &pos), out), n);
            assert_memory_equal(out, good[i], n);
            assert_false(utf8_is_ascii(str_n(t, sizeof(t))));
            memset(t + before, 'a', n);
        }
    }
    assert_true(utf8_valid(STR_NULL) && utf8_is_ascii(STR_NULL));
    size_t pos = 0;
    assert_int_equal(utf8_next(STR("\xe2\x82"), &pos), 0xfffd);
    assert_int_equal(pos, 1);
}

static void check_fold(const char *in, const char *want)
{
    char out[128];
    utf8_fold(str_c(in), out);
    assert_memory_equal(out, want, strlen(in));
}

static void utf8_folding(void **state)
{
    (void)state;
    check_fold("ABCxyz019@[`{ABCDEFGHIJKLMNOPQRSTUVWXYZ",
               "abcxyz019@[`{abcdefghijklmnopqrstuvwxyz");
    check_fold("ÄÖÜ ΣΑΣ ς ЖЯ", "äöü σασ σ жя");
    check_fold("aaaaaaaaaaaaaaaaaaaaaÉAAAAAAAAAAAAAAAAAAAA",
               "aaaaaaaaaaaaaaaaaaaaaéaaaaaaaaaaaaaaaaaaaa");
    check_fold("ẞ İ \xe2\x84\xaa ſ", "ẞ İ \xe2\x84\xaa ſ"); /* would change length: left alone */
    check_fold("bad \xff\xc3 Z", "bad \xff\xc3 z");
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        uint32_t f = utf8_fold_cp(cp);
        char a[4], b[4];
        assert_int_equal(utf8_put(cp, a), utf8_put(f, b));
        assert_int_equal(utf8_fold_cp(f), f); /* folding twice changes nothing */
        utf8proc_int32_t to[8], at = (utf8proc_int32_t)cp;
        int boundary = 0;
        bool one = utf8proc_decompose_char(at, to, 8, UTF8PROC_CASEFOLD, &boundary) == 1;
        uint32_t full = (uint32_t)(one ? to[0] : utf8proc_tolower(at));
        assert_int_equal(f, utf8_put(full, a) == utf8_put(cp, b) ? full : cp);
    }
}

static void utf8_classes(void **state)
{
    (void)state;
    assert_true(utf8_is_alnum('a') && utf8_is_alnum('Z') && utf8_is_alnum('0'));
    assert_false(utf8_is_alnum('_') || utf8_is_alnum('@') || utf8_is_alnum('[') ||
                 utf8_is_alnum('{'));
    assert_true(utf8_is_alnum(0xe9) && utf8_is_alnum(0x4e2d) && utf8_is_alnum(0x661));
    assert_false(utf8_is_alnum(0x20ac) || utf8_is_alnum(0x1f600) || utf8_is_alnum(0x110000));
    assert_true(utf8_is_cjk(0x4e2d) && utf8_is_cjk(0x3042) && utf8_is_cjk(0xac00));
    assert_true(utf8_is_cjk(0x30fc) && utf8_is_cjk(0x20000) && utf8_is_cjk(0x3005));
    assert_false(utf8_is_cjk(0x3002) || utf8_is_cjk(0x30fb) || utf8_is_cjk(0xe9));
    assert_int_equal(utf8_width('a'), 1);
    assert_int_equal(utf8_width(0x4e2d), 2);
    assert_int_equal(utf8_width(0x301), 0);
    assert_int_equal(utf8_width(0x1f600), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),      cmocka_unit_test(integers),
        cmocka_unit_test(doubles),      cmocka_unit_test(doubles_match_libc),
        cmocka_unit_test(buffers),      cmocka_unit_test(binary),
        cmocka_unit_test(bitmaps),      cmocka_unit_test(arena_room),
        cmocka_unit_test(arenas),       cmocka_unit_test(arenas_own),
        cmocka_unit_test(maps),         cmocka_unit_test(map_survives_no_memory),
        cmocka_unit_test(hashes),       cmocka_unit_test(errors),
        cmocka_unit_test(memory),       cmocka_unit_test(utf8_validity),
        cmocka_unit_test(utf8_folding), cmocka_unit_test(utf8_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
