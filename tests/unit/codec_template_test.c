/* codec_template_test.c: messages as templates: how they are cut, that ids stay, that pages of them
 * come back equal and are smaller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "codec/page.h"
#include "codec/template.h"
#include "codec/zip.h"

static void check(const char *text, const char *want, const char *vars)
{
    struct template_var v[TEMPLATE_VARS_MAX];
    struct buf t, shown, got;
    uint32_t n = 0;
    buf_init(&t, 10000);
    buf_init(&shown, 10000);
    buf_init(&got, 10000);
    bool ok = template_split(str_c(text), &t, v, &n);
    if (ok)
        template_show(&shown, t.p ? buf_str(&t) : STR(""));
    else
        buf_puts(&shown, "-");
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(&got, i ? "|" : "");
        buf_putstr(&got, v[i].text);
    }
    buf_putc(&shown, '\0');
    buf_putc(&got, '\0');
    assert_string_equal(shown.p, want);
    assert_string_equal(got.p, vars);
    buf_deinit(&t);
    buf_deinit(&shown);
    buf_deinit(&got);
}

static void cutting(void **state)
{
    (void)state;
    check("", "", "");
    check("no numbers here, at all", "no numbers here, at all", "");
    check("took 120 ms, retry 3 of job_7f3a", "took <int> ms, retry <int> of <text>",
          "120|3|job_7f3a");
    check("2026-11-29 08:05:00 up", "<int>-<int>-<int> <int>:<int>:<int> up",
          "2026|11|29|08|05|00");
    check("from 10.0.0.1:8080 (step-3)", "from <int>.<int>.<int>.<int>:<int> (step-<int>)",
          "10|0|0|1|8080|3");
    check("id 54fadb41-2c4d-4000-9c2d-b2f0d913feb3", "id <text>",
          "54fadb41-2c4d-4000-9c2d-b2f0d913feb3");
    check("n=999999999999999999 m=1000000000000000000", "n=<int> m=<text>",
          "999999999999999999|1000000000000000000");
    check("größe 5 über 日本 7", "größe <int> über 日本 <int>", "5|7");
    check("a mark \x12 inside 5", "-", "");
}

static void limits(void **state)
{
    (void)state;
    struct template_var v[TEMPLATE_VARS_MAX];
    char text[TEMPLATE_TEXT_MAX + 2];
    struct buf t;
    uint32_t n;
    buf_init(&t, 100000);
    memset(text, 'a', sizeof text);
    assert_true(template_split(str_n(text, TEMPLATE_TEXT_MAX), &t, v, &n));
    assert_false(template_split(str_n(text, TEMPLATE_TEXT_MAX + 1), &t, v, &n));
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? ' ' : '7';
    assert_true(template_split(str_n(text, 2 * TEMPLATE_VARS_MAX), &t, v, &n));
    assert_int_equal(n, TEMPLATE_VARS_MAX);
    size_t before = t.n;
    assert_false(template_split(str_n(text, 2 * TEMPLATE_VARS_MAX + 1), &t, v, &n));
    assert_int_equal(t.n, before);
    buf_deinit(&t);
}

/* Ids are on disk and in saved views: this number never changes. */
static void id_is_stable(void **state)
{
    (void)state;
    struct template_var v[TEMPLATE_VARS_MAX];
    struct buf t;
    uint32_t n;
    buf_init(&t, 1000);
    assert_true(template_split(STR("took 120 ms, retry 3 of job_7f3a"), &t, v, &n));
    if (template_id(buf_str(&t)) != 0xa1a5ad12989df3afull)
        fail_msg("%#llx", (unsigned long long)template_id(buf_str(&t)));
    buf_deinit(&t);
}

struct page {
    struct page_meta m;
    struct buf bytes;
};

static void encode(const str *v, uint32_t n, int level, struct page *ret)
{
    struct page_scratch *s = page_scratch_new();
    struct err err = ERR_INIT;
    struct page_in in = { .cls = PAGE_TEXT, .n = n, .nvals = n, .text = v };
    assert_non_null(s);
    buf_init(&ret->bytes, 1u << 28);
    assert_int_equal(page_encode(&in, level, s, &ret->bytes, &ret->m, &err), 0);
    page_scratch_free(s);
}

static void check_page(const str *v, uint32_t n, struct page *p)
{
    struct arena a;
    struct page_out po;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 28);
    int rc = page_decode(buf_str(&p->bytes), PAGE_TEXT, p->m.encoding, p->m.zstd, p->m.raw_n, n, n,
                         &a, &po, &err);
    if (rc)
        fail_msg("%s", err.msg);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = po.codes ? po.codes[i] : i;
        assert_true(str_eq(v[i], str_n(po.bytes + po.off[k], po.off[k + 1] - po.off[k])));
    }
    arena_deinit(&a);
}

static uint64_t rng = 1;

static uint32_t below(uint32_t n)
{
    rng = hash_mix(rng + 0x9e3779b97f4a7c15ull);
    return (uint32_t)(rng % n);
}

/* Lines as programs write them: a few shapes, numbers, addresses, ids, a path. (One statement a
 * number: the order in which arguments are evaluated is the compiler's.) */
static str *log_lines(struct arena *a, uint32_t n)
{
    str *v = arena_array(a, n, sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t shape = below(6), x = below(1u << 28), y = below(65536), z = below(100000);
        char *t = NULL;
        switch (shape) {
        case 0:
            t = arena_printf(a, "connection from 10.0.%u.%u:%u closed after %u ms", x % 4,
                             x / 4 % 256, y, z);
            break;
        case 1: t = arena_printf(a, "tool call_%08x finished: %u tokens", x * 8, z % 9000); break;
        case 2: t = arena_printf(a, "step %03u of plan %u", x % 1000, y % 50); break;
        case 3: t = arena_printf(a, "cache miss for key user:%u", x * 4); break;
        case 4: t = arena_printf(a, "heartbeat ok"); break;
        default: t = arena_printf(a, "wrote %u bytes to /data/run-%u/out.log", x, y % 9);
        }
        v[i] = str_c(t);
    }
    return v;
}

static void pages_of_log_lines(void **state)
{
    (void)state;
    struct arena a;
    struct page p, plain;
    arena_init(&a, 1u << 28);
    uint32_t n = 8000;
    str *v = log_lines(&a, n);
    encode(v, n, 3, &p);
    assert_int_equal(p.m.encoding, PE_TEMPLATES);
    check_page(v, n, &p);
    /* the same bytes behind a mark have no template: what plain costs */
    str *w = arena_array(&a, n, sizeof *w);
    for (uint32_t i = 0; i < n; i++)
        w[i] = str_c(arena_printf(&a, "%c%.*s", TEMPLATE_TEXT, STR_FMT(v[i])));
    encode(w, n, 3, &plain);
    check_page(w, n, &plain);
    if (p.bytes.n * 100 > plain.bytes.n * 80)
        fail_msg("%zu bytes as templates, %zu plain", p.bytes.n, plain.bytes.n);
    buf_deinit(&p.bytes);
    buf_deinit(&plain.bytes);
    arena_deinit(&a);
}

/* Values without a template in between, values that are empty, few rows. */
static void odd_values(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 40; round++) {
        struct arena a;
        struct page p;
        arena_init(&a, 1u << 28);
        uint32_t n = 64 + below(1000);
        str *v = log_lines(&a, n);
        for (uint32_t i = 0; i < n; i += 1 + below(200))
            v[i] = below(3) == 0   ? STR("")
                   : below(2) == 0 ? STR("\x11 \x12 \x13 17")
                                   : str_c(arena_printf(&a, "%02000u", below(1000)));
        encode(v, n, 1, &p);
        check_page(v, n, &p);
        buf_deinit(&p.bytes);
        arena_deinit(&a);
    }
}

/* Every line another shape: the page is plain, and nothing is larger for it. */
static void hostile_values(void **state)
{
    (void)state;
    struct arena a;
    struct page p;
    arena_init(&a, 1u << 28);
    uint32_t n = 8000;
    str *v = arena_array(&a, n, sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        char word[40];
        for (uint32_t k = 0; k < 32; k++)
            word[k] = (char)('a' + below(26));
        word[32] = '\0';
        v[i] = str_c(arena_printf(&a, "%s took %u ms", word, below(1000)));
    }
    encode(v, n, 1, &p);
    assert_int_equal(p.m.encoding, PE_TEXT);
    check_page(v, n, &p);
    buf_deinit(&p.bytes);
    arena_deinit(&a);
}

/* The bytes of a page are a format: docs/format/segment.md. */
static void golden(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1u << 28);
    rng = 42;
    str *v = log_lines(&a, 512);
    struct page p;
    encode(v, 512, 1, &p);
    assert_int_equal(p.m.encoding, PE_TEMPLATES);
    static char raw[65536];
    struct err err = ERR_INIT;
    assert_true(p.m.raw_n <= sizeof raw);
    if (p.m.zstd)
        assert_int_equal(zstd_unpack(buf_str(&p.bytes), raw, p.m.raw_n, &err), 0);
    else
        memcpy(raw, p.bytes.p, p.m.raw_n);
    if (p.m.raw_n != 2291 || hash64(raw, p.m.raw_n) != 0x77938b4533b8ebf9ull)
        fail_msg("%u bytes, hash %#llx", p.m.raw_n, (unsigned long long)hash64(raw, p.m.raw_n));
    check_page(v, 512, &p);
    buf_deinit(&p.bytes);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cutting),      cmocka_unit_test(limits),
        cmocka_unit_test(id_is_stable), cmocka_unit_test(pages_of_log_lines),
        cmocka_unit_test(odd_values),   cmocka_unit_test(hostile_values),
        cmocka_unit_test(golden),
    };
    return cmocka_run_group_tests_name("codec_template", tests, NULL, NULL);
}
