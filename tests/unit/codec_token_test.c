/* codec_token_test.c: how text is cut, and that the fast path cuts the same way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "codec/token.h"

static void check(const char *text, const char *want)
{
    struct token_iter it;
    struct token t;
    struct buf b;
    buf_init(&b, 10000);
    token_start(&it, str_c(text));
    while (token_next(&it, &t)) {
        if (b.n)
            buf_putc(&b, '|');
        buf_putstr(&b, str_sub(str_c(text), t.off, t.len));
    }
    if (!str_eq(buf_str(&b), str_c(want)))
        fail_msg("%s: %.*s", text, STR_FMT(buf_str(&b)));
    buf_deinit(&b);
}

static void cutting(void **state)
{
    (void)state;
    check("", "");
    check(" .,-", "");
    check("Hello, world", "Hello|world");
    check("snake_case-kebab/path.py:12", "snake|case|kebab|path|py|12");
    check("user42id", "user42id");
    check("café", "caf|é"); /* a change of kind cuts */
    check("naïve Straße", "na|ï|ve|Stra|ß|e");
    check("привет МИР", "привет|МИР");
    check("中", "中");
    check("中文", "中文");
    check("中文字 x", "中文|文字|x");
    check("a中文b", "a|中文|b");
    check("東京、大阪", "東京|大阪");
    check("カタカナ", "カタ|タカ|カナ");
    check("ж中ж", "ж|中|ж");
    check("x😀y", "x|y");
    check("a\xff"
          "b",
          "a|b");
}

struct list {
    uint64_t h[20000];
    size_t n;
};

static void collect(void *arg, uint64_t hash)
{
    struct list *l = arg;
    assert_true(l->n < 20000);
    l->h[l->n++] = hash;
}

static void fast_path(void **state)
{
    (void)state;
    static const char *pieces[] = { "a",
                                    "Z",
                                    "0",
                                    " ",
                                    "_",
                                    "é",
                                    "Ж",
                                    "中",
                                    "字",
                                    "😀",
                                    "\xff",
                                    "error",
                                    "abcdefghijklmnopqrstuvwxyz0123456789",
                                    "--------------------------------",
                                    "\xe4",
                                    "\n" };
    static struct list slow, fast;
    uint64_t x = 3;
    for (int round = 0; round < 20000; round++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        x = hash_mix(x + 1);
        size_t kinds = round % 3 == 0 ? 5 : 16, n = x % 60; /* some texts are plain ASCII */
        for (size_t i = 0; i < n; i++) {
            x = hash_mix(x + 1);
            const char *piece = pieces[x % kinds];
            for (uint64_t k = x >> 32 & 31; k < 33; k += 16)
                buf_puts(&b, piece);
        }
        char *exact = malloc(b.n + 1); /* nothing readable after it */
        if (b.n)
            memcpy(exact, b.p, b.n);
        str text = str_n(exact, b.n);
        char *tight = realloc(exact, b.n ? b.n : 1);
        text.p = tight;
        slow.n = fast.n = 0;
        struct token_iter it;
        struct token t;
        token_start(&it, text);
        while (token_next(&it, &t))
            collect(&slow, token_hash(str_sub(text, t.off, t.len)));
        token_hashes(text, collect, &fast);
        assert_int_equal(slow.n, fast.n);
        assert_memory_equal(slow.h, fast.h, slow.n * 8);
        free(tight);
        buf_deinit(&b);
    }
}

static void hashing(void **state)
{
    (void)state;
    assert_true(token_hash(STR("ERROR")) == token_hash(STR("error")));
    assert_true(token_hash(STR("error")) == hash64("error", 5)); /* on disk: must never change */
    assert_true(token_hash(STR("ПРИВЕТ")) == token_hash(STR("привет")));
    char a[200], b[200];
    memset(a, 'a', sizeof(a));
    memset(b, 'a', sizeof(b));
    b[64] = 'x'; /* past what is hashed */
    assert_true(token_hash(str_n(a, 200)) == token_hash(str_n(b, 100)));
    b[63] = 'x';
    assert_true(token_hash(str_n(a, 200)) != token_hash(str_n(b, 200)));
    assert_true(value_hash(STR("Error")) != value_hash(STR("error")));
    assert_true(value_hash(STR("error")) != token_hash(STR("error")));
    assert_true(value_hash(STR_NULL) == value_hash(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cutting),
        cmocka_unit_test(fast_path),
        cmocka_unit_test(hashing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
