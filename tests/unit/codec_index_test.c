/* codec_index_test.c: what the indexes are made of: grams and tokens of text, pages of the value
 * map. The property that counts is that nothing is ever ruled out wrongly: what a text contains, it
 * has the keys of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "codec/gram.h"
#include "codec/token.h"
#include "codec/valmap.h"

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- grams ---- */

static bool has_row(const uint8_t *sig, unsigned log, uint32_t row)
{
    row &= (1u << log) - 1;
    return sig[row / 8] >> row % 8 & 1;
}

/* Do the signatures, folded to 2^log rows, have all keys? */
static bool has_keys(struct gram_sink *s, unsigned log, const struct text_keys *k)
{
    const uint8_t *grams = gram_sink_fold(s, GRAM_TEXT, log);
    const uint8_t *tokens = gram_sink_fold(s, GRAM_TOKENS, log);
    for (uint32_t i = 0; i < k->ngrams; i++)
        if (!has_row(grams, log, gram_row(k->grams[i], 0)))
            return false;
    for (uint32_t i = 0; i < k->ntokens; i++)
        if (!has_row(tokens, log, token_row(k->tokens[i], 0)) ||
            !has_row(tokens, log, token_row(k->tokens[i], 1)))
            return false;
    return true;
}

static const char *const pieces[] = {
    "a",
    "of",
    "open",
    "Unable",
    "to",
    "7f6d4a8f",
    "ORDER-2024",
    "日本",
    "語",
    "ошибка",
    "É",
    "ß",
    "İstanbul",
    "\n",
    " ",
    ", ",
    "/",
    "_",
    "req_000123_c1530ed3",
    "x1",
    "1",
    "\xc3",
    "\xe6\x97",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01",
    "한국어",
    "ﬁ",
    "K",
    "🙂",
    "\xf0\x9f",
    "zz",
    "\t",
    "e9"
};
#define NPIECES (sizeof pieces / sizeof *pieces)

static void random_text(struct buf *b, uint32_t n, bool valid)
{
    buf_reset(b);
    for (uint32_t i = 0; i < n; i++) {
        const char *p = pieces[below(NPIECES)];
        if (!valid || utf8_valid(str_c(p)))
            buf_puts(b, p);
        if (below(2))
            buf_putc(b, ' ');
    }
}

static bool boundary(str s, size_t at)
{
    return at >= s.n || ((unsigned char)s.p[at] & 0xc0) != 0x80;
}

static bool alnum_at(str s, size_t at)
{
    return at < s.n && !((unsigned char)s.p[at] & 0x80) && utf8_is_alnum((unsigned char)s.p[at]);
}

/* A piece of text, in another case, asked as substring or between the borders of ASCII tokens. */
static void ask_piece(struct gram_sink *s, unsigned log, str text, struct arena *a)
{
    size_t from = below((uint32_t)text.n), n = 1 + below(40);
    size_t to = from + n < text.n ? from + n : text.n;
    if (!boundary(text, from) || !boundary(text, to))
        return;
    char other[64];
    str needle = { text.p + from, to - from };
    memcpy(other, needle.p, needle.n);
    for (size_t i = 0; i < needle.n; i++)
        if ((other[i] >= 'a' && other[i] <= 'z') || (other[i] >= 'A' && other[i] <= 'Z'))
            other[i] ^= below(2) ? 0x20 : 0;
    bool left = from == 0 || !(alnum_at(text, from - 1) && alnum_at(text, from));
    bool right = !(alnum_at(text, to - 1) && alnum_at(text, to));
    struct text_keys k = { 0 };
    assert_true(text_keys_add(&k, a, (str){ other, needle.n }, left, right));
    if (!has_keys(s, log, &k))
        fail_msg("log %u: '%.*s' is in '%.*s'", log, STR_FMT(needle), STR_FMT(text));
}

static void test_no_false_negative(void **state)
{
    (void)state;
    struct gram_sink *s = gram_sink_new();
    struct buf b;
    assert_non_null(s);
    buf_init(&b, 1u << 24);
    for (int round = 0; round < 400; round++) {
        struct arena a;
        arena_init(&a, 1u << 26);
        /* now and then long enough to be cut into pieces, with few separators */
        random_text(&b, round % 20 == 0 ? 9000 : 1 + below(60), round % 2);
        if (round % 40 == 0)
            for (size_t i = 0; i < b.n; i++)
                if (b.p[i] == ' ' || b.p[i] == '\n')
                    b.p[i] = 'q';
        gram_sink_reset(s);
        str text = buf_str(&b);
        if (!text.n)
            continue;
        gram_sink_text(s, text);
        gram_sink_text(s, text); /* its lines are known now */
        unsigned log = GRAM_LOG_MAX - below(11);
        for (int i = 0; i < 200; i++)
            ask_piece(s, log, text, &a);
        arena_deinit(&a);
    }
    buf_deinit(&b);
    gram_sink_free(s);
}

static void test_repeated_lines(void **state)
{
    (void)state;
    struct gram_sink *s = gram_sink_new();
    struct arena a;
    struct text_keys k = { 0 };
    arena_init(&a, 1u << 20);
    /* the gram across the line's end depends on what follows, known line or not */
    gram_sink_text(s, STR("this is a line that is long enough\nabc"));
    gram_sink_text(s, STR("this is a line that is long enough\nxyz"));
    assert_true(text_keys_add(&k, &a, STR("enough\nxyz"), false, false));
    assert_true(text_keys_add(&k, &a, STR("h\na"), false, false));
    assert_true(has_keys(s, GRAM_LOG_MAX, &k));
    assert_true(text_keys_add(&k, &a, STR("absent"), false, false));
    assert_false(has_keys(s, GRAM_LOG_MAX, &k));
    arena_deinit(&a);
    gram_sink_free(s);
}

static void test_rules_out(void **state)
{
    (void)state;
    struct gram_sink *s = gram_sink_new();
    struct buf b;
    unsigned out = 0;
    struct arena a;
    buf_init(&b, 1u << 20);
    arena_init(&a, 1u << 24);
    random_text(&b, 3000, true);
    gram_sink_text(s, buf_str(&b));
    for (int i = 0; i < 500; i++) {
        char word[11];
        struct text_keys k = { 0 };
        for (int c = 0; c < 10; c++)
            word[c] = "abcdefghijklmnopqrstuvwxyz0123456789"[below(36)];
        assert_true(text_keys_add(&k, &a, str_n(word, 10), false, false));
        out += !has_keys(s, 16, &k);
    }
    assert_true(out > 490);
    assert_true(gram_sink_count(s, GRAM_TEXT) > 100);
    gram_sink_reset(s);
    assert_int_equal(gram_sink_count(s, GRAM_TEXT), 0);
    arena_deinit(&a);
    buf_deinit(&b);
    gram_sink_free(s);
}

/* These numbers are on disk. */
static void test_golden(void **state)
{
    (void)state;
    struct arena a;
    struct text_keys k = { 0 };
    arena_init(&a, 1u << 16);
    assert_true(text_keys_add(&k, &a, STR("AB req-c1530ED3"), true, true));
    static const uint32_t grams[] = { 0x616220, 0x622072, 0x207265, 0x726571, 0x65712d };
    for (size_t i = 0; i < sizeof grams / sizeof *grams; i++)
        assert_int_equal(k.grams[i], grams[i]);
    assert_int_equal(k.grams[k.ngrams - 1], 0x6162); /* the short token */
    assert_int_equal(k.ntokens, 1);
    assert_true(k.tokens[0] == token_hash(STR("c1530ed3")));
    assert_int_equal(gram_row(0x616220, 0), 0x7e57);
    assert_int_equal(gram_row(0x616220, 0x12345679), 0x7f19);
    assert_int_equal(token_row(0x0123456789abcdefull, 0), 0x9abcd & (GRAM_ROWS - 1));
    assert_int_equal(token_row(0x0123456789abcdefull, 1), 0x12345 & (GRAM_ROWS - 1));
    arena_deinit(&a);
}

/* ---- the value map ---- */

struct seen {
    uint64_t *v;
    size_t n, cap;
};

static void see(void *arg, uint32_t hash, uint32_t block)
{
    struct seen *s = arg;
    assert_true(s->n < s->cap);
    s->v[s->n++] = valmap_entry(hash, block);
}

static size_t unique(uint64_t *v, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (!i || v[i] != v[k - 1])
            v[k++] = v[i];
    return k;
}

static int rising(const void *pa, const void *pb)
{
    const uint64_t *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

static void check_map(uint64_t *v, size_t n, uint32_t nblocks)
{
    struct seen all = { malloc((n + 1) * 8), 0, n };
    uint64_t *tmp = malloc((n + 1) * 8), *want = malloc((n + 1) * 8);
    memcpy(want, v, n * 8);
    qsort(want, n, 8, rising);
    valmap_sort(v, tmp, n);
    assert_memory_equal(v, want, n * 8);
    n = unique(v, n);
    struct valmap_shape sh = valmap_shape_of(n, nblocks);
    uint8_t page[VALMAP_PAGE + 8];
    for (size_t done = 0, bytes; done < n;) {
        size_t k = valmap_page_put(v + done, n - done, sh, page, &bytes);
        assert_true(k > 0 && bytes <= VALMAP_PAGE);
        memset(page + bytes, 0xff, sizeof page - bytes < 8 ? sizeof page - bytes : 8);
        str p = { (const char *)page, bytes };
        assert_true(valmap_page_each(p, sh, 0, UINT32_MAX, see, &all));
        uint32_t one = (uint32_t)(v[done + k / 2] >> 32);
        struct seen few = { tmp, 0, n };
        assert_true(valmap_page_each(p, sh, one, one, see, &few));
        assert_true(few.n >= 1 && few.v[0] >> 32 == one);
        done += k;
    }
    assert_int_equal(all.n, n);
    assert_memory_equal(all.v, v, n * 8);
    free(all.v);
    free(tmp);
    free(want);
}

static void test_map_round_trip(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 1, 2, 100, 3000, 70000 };
    static const uint32_t blocks[] = { 1, 2, 60, 5000, 1u << 22 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            uint64_t *v = malloc(sizes[i] * sizeof *v);
            for (uint32_t k = 0; k < sizes[i]; k++)
                v[k] = valmap_entry(below(4) ? below(1u << 31) * 2 + below(2) : below(50),
                                    below(blocks[b]));
            check_map(v, sizes[i], blocks[b]);
            free(v);
        }
}

static void test_map_ends(void **state)
{
    (void)state;
    uint64_t v[] = { valmap_entry(0, 0), valmap_entry(UINT32_MAX, 3), valmap_entry(0, 3),
                     valmap_entry(UINT32_MAX, 0) };
    check_map(v, 4, 4);
}

static void nothing(void *arg, uint32_t hash, uint32_t block)
{
    (void)arg;
    (void)hash;
    (void)block;
}

static void test_map_hostile(void **state)
{
    (void)state;
    uint8_t page[VALMAP_PAGE + 8];
    for (int round = 0; round < 20000; round++) {
        size_t n = below(VALMAP_PAGE + 1);
        for (size_t i = 0; i < n + 8; i++)
            page[i] = below(3) ? (uint8_t)below(256) : 0xff;
        struct valmap_shape sh = { (uint8_t)below(40), (uint8_t)below(30) };
        valmap_page_each((str){ (const char *)page, n }, sh, 0, UINT32_MAX, nothing, NULL);
    }
    uint64_t v[] = { valmap_entry(1, 1), valmap_entry(90000, 2) };
    size_t bytes;
    struct valmap_shape sh = valmap_shape_of(60000, 8);
    assert_int_equal(valmap_page_put(v, 2, sh, page, &bytes), 2);
    for (size_t n = 0; n < bytes; n++) /* a page cut short never passes */
        assert_false(
            valmap_page_each((str){ (const char *)page, n }, sh, 0, UINT32_MAX, nothing, NULL));
}

static void test_map_golden(void **state)
{
    (void)state;
    uint64_t v[] = { valmap_entry(0x01020304, 5), valmap_entry(0x01020304, 9),
                     valmap_entry(0x01024304, 1) };
    static const uint8_t want[] = { 0x04, 0x03, 0x02, 0x01, 0x03, 0x00,
                                    0x05, 0x00, 0xc8, 0x00, 0x80, 0x00 };
    uint8_t page[VALMAP_PAGE + 8];
    size_t bytes;
    struct valmap_shape sh = { 14, 4 };
    assert_int_equal(valmap_page_put(v, 3, sh, page, &bytes), 3);
    assert_int_equal(bytes, sizeof want);
    assert_memory_equal(page, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_false_negative), cmocka_unit_test(test_repeated_lines),
        cmocka_unit_test(test_rules_out),         cmocka_unit_test(test_golden),
        cmocka_unit_test(test_map_round_trip),    cmocka_unit_test(test_map_ends),
        cmocka_unit_test(test_map_hostile),       cmocka_unit_test(test_map_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
