/* ingest_kit.h: decode a body, encode it, read it back as blocks, and compare views as JSON values.
 *
 * Numbers are compared by their text (jansson would round them): exact_load turns each into a
 * string that no JSON document contains otherwise. */
#ifndef FL_TEST_INGEST_KIT_H
#define FL_TEST_INGEST_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "ingest/ingest.h"
#include "model/ident.h"
#include "model/view.h"

#define KIT_NOW 1800000000123456789ll
#define KIT_SEQ 100

typedef int (*kit_view)(struct buf *, struct block *, uint32_t, struct err *);

struct kit {
    struct arena a;
    struct batch *b;
    struct ingest_opts o;
    struct ingest_limits lim;
    struct ingest_result res;
    struct err err;
    struct buf body, payload;
    int rc;
};

static inline void kit_init(struct kit *k)
{
    *k = (struct kit){ 0 };
    arena_init(&k->a, (size_t)1 << 30);
    buf_init(&k->body, (size_t)1 << 28);
    buf_init(&k->payload, (size_t)1 << 28);
    ingest_limits_default(&k->lim);
    k->o = (struct ingest_opts){ .limits = &k->lim, .now = KIT_NOW };
}

static inline void kit_deinit(struct kit *k)
{
    arena_deinit(&k->a);
    buf_deinit(&k->body);
    buf_deinit(&k->payload);
}

/* Decodes and, when that went well, encodes. The body is copied to memory that ends where it may.
 */
static inline int kit_decode(struct kit *k, enum dialect d, const char *p, size_t n)
{
    arena_reset(&k->a);
    buf_reset(&k->body);
    buf_reset(&k->payload);
    err_reset(&k->err);
    buf_put(&k->body, p, n);
    buf_reserve(&k->body, BUF_PAD);
    assert_int_equal(batch_new(&k->b, &k->a, &k->err), 0);
    k->rc = ingest_decode(d, (str){ k->body.p, k->body.n }, &k->o, k->b, &k->a, &k->res, &k->err);
    if (k->rc == 0 && batch_rows(k->b))
        assert_int_equal(batch_encode(k->b, &k->payload, &k->err), 0);
    return k->rc;
}

static inline int kit_decode_z(struct kit *k, enum dialect d, const char *z)
{
    return kit_decode(k, d, z, strlen(z));
}

/* the block of the first rows */
static inline struct block *kit_block(struct kit *k)
{
    static const struct id_gen gen = { { 11, 22 } };
    struct block *b = NULL;
    assert_int_equal(payload_block(buf_str(&k->payload), 0, KIT_SEQ, KIT_NOW, &k->a, &b, &k->err),
                     0);
    b->ids = &gen;
    return b;
}

/* NUL-terminated; from the arena */
static inline char *kit_show(struct kit *k, kit_view view, uint32_t row)
{
    struct buf out;
    buf_init(&out, (size_t)1 << 26);
    struct block *b = kit_block(k);
    if (view(&out, b, row, &k->err) != 0)
        fail_msg("%s", k->err.msg);
    char *z = arena_strz(&k->a, buf_str(&out));
    buf_deinit(&out);
    block_close(b);
    return z;
}

static inline json_t *exact_load(const char *z)
{
    struct buf b;
    json_error_t e;
    bool quoted = false;
    buf_init(&b, (size_t)1 << 28);
    for (const char *p = z; *p;) {
        if (quoted || *p == '"') {
            if (*p == '\\' && quoted)
                buf_putc(&b, *p++);
            else if (*p == '"')
                quoted = !quoted;
            buf_putc(&b, *p++);
        } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
            size_t n = strspn(p, "+-.0123456789eE");
            buf_puts(&b, "\"\\u0001#");
            buf_put(&b, p, n);
            buf_putc(&b, '"');
            p += n;
        } else {
            buf_putc(&b, *p++);
        }
    }
    json_t *j = json_loadb(b.p, b.n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (!j)
        fail_msg("%s in %s", e.text, z);
    buf_deinit(&b);
    return j;
}

static inline void expect_json(const char *got, const char *want)
{
    json_t *g = exact_load(got), *w = exact_load(want);
    if (!json_equal(g, w)) {
        const char *key, *at = "(missing or extra)";
        json_t *v;
        json_object_foreach(w, key, v) if (!json_equal(v, json_object_get(g, key))) at = key;
        fail_msg("member %s\n got %s\nwant %s", at, got, want);
    }
    json_decref(g);
    json_decref(w);
}

/* every member of `want` is in `got` with the same value */
static inline void expect_members(const char *got, const char *want)
{
    json_t *g = exact_load(got), *w = exact_load(want), *v;
    const char *key;
    json_object_foreach(w, key, v)
    {
        json_t *has = json_object_get(g, key);
        if (!has || !json_equal(has, v))
            fail_msg("member %s\n got %s\nwant %s", key, got, want);
    }
    json_decref(g);
    json_decref(w);
}

static inline void expect_error(struct kit *k, uint32_t i, const char *part)
{
    assert_true(i < k->res.nerrors);
    str r = k->res.errors[i].reason;
    if (str_find(r, str_c(part)) == SIZE_MAX)
        fail_msg("\n got %.*s\nwant ...%s...", STR_FMT(r), part);
}

#endif
