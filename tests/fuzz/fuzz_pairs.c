/* fuzz_pairs.c: any text taken apart by `parse` and `extract`.
 *
 * First byte: which way. Keys are bounded and well formed, values of JSON print as JSON, numbers
 * read back as the text they stand for, the limit on pairs holds, and the same text gives the same
 * pairs twice. A template puts together again what it took apart. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "codec/json.h"
#include "query/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

struct got {
    struct buf all;
    uint32_t n;
    bool utf8;
};

static int take(void *ctx, str key, struct val v, struct err *err)
{
    struct got *g = ctx;
    (void)err;
    check(key.n > 1 && key.p[0] == PATH_SEP);
    check(!v.absent && v.t != V_NULL);
    g->n++;
    buf_lenstr(&g->all, key);
    buf_putc(&g->all, (char)v.t);
    if (v.t >= V_STR)
        buf_lenstr(&g->all, v.s);
    else
        buf_le64(&g->all, v.t == V_BOOL ? (uint64_t)v.b : (uint64_t)v.i);
    if (g->utf8)
        check(utf8_valid(key) && (v.t < V_STR || utf8_valid(v.s)));
    if (v.t == V_JSON || v.t == V_NUM) {
        struct buf copy; /* the reader wants room behind the text */
        buf_init(&copy, PAIRS_TEXT_MAX + 64);
        buf_putstr(&copy, v.s);
        check(json_valid(buf_str(&copy)));
        buf_deinit(&copy);
    }
    return 0;
}

static void read_all(enum pairs_form form, str text, struct got *g)
{
    struct pairs p = { .take = take, .ctx = g };
    struct arena a;
    struct err err = ERR_INIT;
    arena_init(&a, (size_t)64 << 20);
    pairs_init(&p);
    p.a = &a;
    buf_init(&g->all, (size_t)64 << 20);
    g->n = 0;
    g->utf8 = utf8_valid(text);
    check(pairs_read(&p, form, text, &err) == 0);
    check(g->n <= PAIRS_MAX && buf_ok(&g->all));
    pairs_deinit(&p);
    arena_deinit(&a);
}

static void check_pairs(enum pairs_form form, str text)
{
    struct got one, two;
    read_all(form, text, &one);
    read_all(form, text, &two);
    check(one.n == two.n && str_eq(buf_str(&one.all), buf_str(&two.all)));
    buf_deinit(&one.all);
    buf_deinit(&two.all);
}

/* template, newline, text */
static void check_template(str s)
{
    struct text_template t;
    struct arena a;
    struct err err = ERR_INIT;
    str tmpl, got[TEMPLATE_PLACES_MAX];
    arena_init(&a, (size_t)1 << 20);
    if (str_split(&s, '\n', &tmpl) && text_template_parse(&t, &a, tmpl, &err) == 0) {
        check(t.n > 0 && t.n <= TEMPLATE_PLACES_MAX);
        if (s.p && text_template_match(&t, s, got)) {
            struct buf b;
            buf_init(&b, (size_t)1 << 20);
            buf_putstr(&b, t.lit[0]);
            for (uint32_t i = 0; i < t.n; i++) {
                check(!t.lit[i + 1].n || str_find(got[i], t.lit[i + 1]) == SIZE_MAX);
                buf_putstr(&b, got[i]);
                buf_putstr(&b, t.lit[i + 1]);
            }
            check(str_find(s, buf_str(&b)) != SIZE_MAX);
            buf_deinit(&b);
        }
    } else if (err.code == ERR_INVALID) {
        check(err.pos >= 0 && (uint64_t)err.pos <= tmpl.n && err.msg[0]);
    }
    arena_deinit(&a);
}

static void check_number(str s)
{
    struct val v = pairs_value(s);
    struct buf b;
    double d;
    if (v.t == V_STR) {
        check(str_eq(v.s, s));
        return;
    }
    check(str_to_f64(s, &d));
    buf_init(&b, 64);
    if (v.t == V_I64)
        buf_put_i64(&b, v.i);
    else
        check(v.t == V_F64 && memcmp(&v.d, &d, sizeof d) == 0);
    check(v.t != V_I64 || str_eq(buf_str(&b), s));
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n || n > 1 << 16)
        return 0;
    str text = { (const char *)data + 1, n - 1 };
    switch (data[0] % 5) {
    case 0: check_pairs(PAIRS_JSON, text); break;
    case 1: check_pairs(PAIRS_LOGFMT, text); break;
    case 2: check_pairs(PAIRS_KV, text); break;
    case 3: check_template(text); break;
    default: check_number(text);
    }
    return 0;
}
