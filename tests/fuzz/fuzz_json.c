/* fuzz_json.c: our tokenizer against jansson: the same texts are JSON, with the same values.
 *
 * Known differences are left out: jansson refuses numbers past the double range and NUL in names,
 * and steps over raw NUL bytes; we refuse nesting past JSON_DEPTH_MAX. Also held: minified text is
 * valid and minifies to itself, a double that was kept is written back as the same value, and
 * json_resync makes headway. */
/* jansson and codec/json.h share a few names: jansson's get others here */
#define json_type jansson_type
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef json_type
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* an exact copy, its pad as misleading as the input's first byte can make it */
static str padded(const uint8_t *data, size_t n)
{
    char *p = malloc(n + 32);
    check(p != NULL);
    if (n)
        memcpy(p, data, n);
    memset(p + n, n ? data[0] : '0', 32);
    return str_n(p, n);
}

static struct json_tok next(struct json_rd *r)
{
    struct json_tok t;
    struct err e = ERR_INIT;
    check(json_next(r, &t, &e) == 0);
    return t;
}

static void compare_number(const struct json_tok *t, const json_t *want)
{
    int64_t i = 0;
    double d = 0;
    enum json_num_kind kind = json_number(t->raw, t->integral, &i, &d);
    if (kind == JNUM_I64) {
        check(json_is_integer(want) && json_integer_value(want) == i);
    } else if (kind == JNUM_F64 && json_is_real(want)) {
        double back = 0;
        struct buf b;
        check(json_real_value(want) == d);
        buf_init(&b, 100);
        json_put_f64(&b, d);
        bool integral = !memchr(b.p, '.', b.n) && !memchr(b.p, 'e', b.n);
        kind = json_number(buf_str(&b), integral, &i, &back);
        check(kind == JNUM_F64 ? back == d : kind == JNUM_I64 && (double)i == d);
        buf_deinit(&b);
    }
}

static size_t members(struct json_rd r) /* by value: looks ahead */
{
    size_t n = 0;
    struct err e = ERR_INIT;
    for (struct json_tok t = next(&r); t.type == JSON_KEY; t = next(&r), n++) {
        str source;
        t = next(&r);
        check(json_skip(&r, &t, &source, &e) == 0);
    }
    return n;
}

static void compare(struct json_rd *r, const struct json_tok *t, const json_t *want,
                    struct arena *a)
{
    struct json_tok sub;
    size_t n = 0;
    switch (t->type) {
    case JSON_STR: {
        str s = json_unescape(t, a);
        check(json_is_string(want) &&
              str_eq(s, str_n(json_string_value(want), json_string_length(want))));
        break;
    }
    case JSON_NUM: compare_number(t, want); break;
    case JSON_TRUE: check(want && json_typeof(want) == JANSSON_TRUE); break;
    case JSON_FALSE: check(want && json_typeof(want) == JANSSON_FALSE); break;
    case JSON_NULL: check(want && json_typeof(want) == JANSSON_NULL); break;
    case JSON_ARR:
        for (sub = next(r); sub.type != JSON_ARR_END; sub = next(r))
            compare(r, &sub, json_array_get(want, n++), a);
        check(json_is_array(want) && n == json_array_size(want));
        break;
    default: {
        check(t->type == JSON_OBJ && json_is_object(want));
        bool doubled = members(*r) != json_object_size(want); /* then the last one counts */
        for (sub = next(r); sub.type == JSON_KEY; sub = next(r)) {
            char *key = arena_strz(a, json_unescape(&sub, a));
            struct err e = ERR_INIT;
            str source;
            sub = next(r);
            if (doubled)
                check(json_skip(r, &sub, &source, &e) == 0);
            else
                compare(r, &sub, json_object_get(want, key), a);
        }
        check(sub.type == JSON_OBJ_END);
    }
    }
}

static void check_minify(str text)
{
    struct err e = ERR_INIT;
    struct buf once, twice;
    buf_init(&once, text.n * 6 + 64);
    buf_init(&twice, text.n * 6 + 64);
    check(json_minify(&once, text, &e) == 0 && json_valid(buf_str(&once)));
    check(json_minify(&twice, buf_str(&once), &e) == 0);
    check(str_eq(buf_str(&once), buf_str(&twice)));
    buf_deinit(&once);
    buf_deinit(&twice);
}

static void check_headway(str text)
{
    struct json_rd r;
    struct json_tok t;
    struct err e = ERR_INIT;
    size_t steps = 0;
    json_init(&r, text);
    for (;;) {
        int rc = json_next(&r, &t, &e);
        check(json_offset(&r) <= text.n && ++steps <= 3 * text.n + 3);
        if (rc)
            check(e.pos >= 0 && (size_t)e.pos <= text.n);
        if ((!rc && t.type == JSON_END) || (rc && !json_resync(&r)))
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    str text = padded(data, n);
    struct json_rd r;
    struct json_tok t;
    struct err e = ERR_INIT;
    json_error_t theirs;
    bool ours = json_valid(text);
    check_headway(text);
    json_t *tree = json_loadb(text.p, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &theirs);
    if (!ours && tree && !memchr(text.p, 0, n)) { /* only for depth */
        json_init(&r, text);
        int rc;
        while ((rc = json_next(&r, &t, &e)) == 0 && t.type != JSON_END)
            ;
        check(rc != 0 && strstr(e.msg, "deeply") != NULL);
    } else if (ours && !tree) {
        enum json_error_code code = json_error_code(&theirs);
        check(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    } else if (ours) {
        struct arena a;
        arena_init(&a, n * 40 + 65536);
        json_init(&r, text);
        t = next(&r);
        compare(&r, &t, tree, &a);
        check(next(&r).type == JSON_END);
        arena_deinit(&a);
    }
    if (ours)
        check_minify(text);
    json_decref(tree);
    free((void *)(uintptr_t)text.p);
    return 0;
}
