/* model_pred_text_test.c: text tests on columns against tokens, over several scripts.
 *
 * model_pred_test.c compares whole trees in a store. Here every text form meets random texts of
 * ASCII, accented, Cyrillic and CJK letters, as plain columns, with dictionaries and inside JSON
 * with escapes; the plain evaluator cuts texts into tokens and compares those. Then: pruning by
 * exact token sets, attributes in the column rest, evaluation while memory runs out, and the speed
 * of a search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "codec/token.h"
#include "model/batch.h"
#include "model/pred_leaf.h"

#define ROWS 40

static uint64_t dice_state = 1;
static uint32_t dice(uint32_t n)
{
    dice_state = dice_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((dice_state >> 33) % n);
}

static const char *const letters[] = { "a", "b", "A",  "B",  "ab", "ba", "1", "12",
                                       " ", " ", "_",  "-",  ".",  " ",  "é", "É",
                                       "д", "Д", "日", "本", "語", "|",  "x" };

static str random_text(struct arena *a, uint32_t most)
{
    char text[256];
    size_t n = 0;
    for (uint32_t i = dice(most + 1); i > 0; i--) {
        const char *l = letters[dice(sizeof letters / sizeof *letters)];
        memcpy(text + n, l, strlen(l));
        n += strlen(l);
    }
    return n ? arena_dup(a, (str){ text, n }) : STR("");
}

/* ---- rows: message is a string, output an array of up to three ---- */

struct rows {
    struct arena arena;
    struct buf payload;
    struct block *plain, *dict;
    str message[ROWS];
    str leaf[ROWS][3];
    uint32_t nleaves[ROWS];
};

static void put_spelled(struct buf *b, str s)
{
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] > 0 && dice(12) == 0)
            buf_printf(b, "\\u%04x", (unsigned)s.p[i]);
        else
            buf_putc(b, s.p[i]);
    }
    buf_putc(b, '"');
}

struct dict_block {
    struct block b;
    struct block *of;
};

/* the column with every distinct text once */
static int dict_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    const struct colv *v;
    int rc = block_load(((struct dict_block *)b)->of, c, &v, err);
    if (rc)
        return rc;
    *ret = *v;
    if (v->type < V_STR || v->codes)
        return 0;
    uint32_t *codes = arena_zalloc(b->arena, v->n * sizeof *codes), n = 0;
    uint32_t *off = arena_zalloc(b->arena, (v->n + 2) * sizeof *off);
    char *bytes = arena_alloc(b->arena, v->off[v->n] + 1);
    for (uint32_t r = 0; r < v->n; r++) {
        str s = colv_text(v, r);
        uint32_t k = 0;
        while (k < n && !str_eq(s, (str){ bytes + off[k], off[k + 1] - off[k] }))
            k++;
        if (k == n) {
            if (s.n)
                memcpy(bytes + off[n], s.p, s.n);
            off[n + 1] = off[n] + (uint32_t)s.n;
            n++;
        }
        codes[r] = k;
    }
    ret->codes = codes;
    ret->ndict = n;
    ret->off = off;
    ret->bytes = bytes;
    return 0;
}

static void dict_close(struct block *b)
{
    (void)b;
}

static const struct block_ops dict_ops = { dict_load, dict_close, NULL, NULL };

static void rows_make(struct rows *t)
{
    struct err err = ERR_INIT;
    struct batch *b;
    struct buf json;
    arena_init(&t->arena, (size_t)32 << 20);
    buf_init(&t->payload, (size_t)4 << 20);
    buf_init(&json, 1 << 16);
    assert_int_equal(batch_new(&b, &t->arena, &err), 0);
    for (uint32_t r = 0; r < ROWS; r++) {
        t->message[r] = random_text(&t->arena, 12);
        t->nleaves[r] = dice(4);
        buf_reset(&json);
        buf_putc(&json, '[');
        for (uint32_t k = 0; k < t->nleaves[r]; k++) {
            t->leaf[r][k] = random_text(&t->arena, 6);
            buf_puts(&json, k ? ",{\"a b\":" : "");
            put_spelled(&json, t->leaf[r][k]);
            buf_puts(&json, k ? "}" : "");
        }
        buf_putc(&json, ']');
        assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), r));
        assert_true(bcol_put_text(batch_col(b, STR("message"), V_STR), t->message[r]));
        assert_true(bcol_put_text(batch_col(b, STR("output"), V_JSON),
                                  arena_dup(&t->arena, buf_str(&json))));
        batch_end_row(b);
    }
    buf_deinit(&json);
    assert_int_equal(batch_encode(b, &t->payload, &err), 0);
    assert_int_equal(payload_block(buf_str(&t->payload), 0, 1, 1, &t->arena, &t->plain, &err), 0);
    struct dict_block *d = arena_zalloc(&t->arena, sizeof *d);
    d->b = *t->plain;
    d->of = t->plain;
    d->b.ops = &dict_ops;
    d->b.loaded = arena_zalloc(&t->arena, d->b.ncols * sizeof *d->b.loaded);
    t->dict = &d->b;
}

static void rows_free(struct rows *t)
{
    buf_deinit(&t->payload);
    arena_deinit(&t->arena);
}

/* ---- the plain evaluator ---- */

enum form { WORD, PHRASE, PREFIX, SUBSTR, REGEX, FORMS };

struct ask {
    enum form form;
    bool on_output;
    str text;
};

static str folded(struct arena *a, str s)
{
    char *p = arena_alloc(a, s.n + 1);
    assert_non_null(p);
    utf8_fold(s, p);
    return (str){ p, s.n };
}

static uint32_t cut(str s, struct token *out)
{
    struct token_iter it;
    uint32_t n = 0;
    token_start(&it, s);
    while (n < 64 && token_next(&it, &out[n]))
        n++;
    return n;
}

static str tok(str s, const struct token *t)
{
    return (str){ s.p + t->off, t->len };
}

static bool starts_cjk(str s, const struct token *t)
{
    size_t pos = t->off;
    return utf8_is_cjk(utf8_next(s, &pos));
}

static bool passes(struct arena *a, const struct ask *q, str text)
{
    struct token want[64], have[64];
    str f = folded(a, text), w = folded(a, q->text);
    uint32_t nw = cut(w, want), nh = cut(f, have);
    if (q->form == REGEX)
        return str_find(text, q->text) != SIZE_MAX;
    bool lone = nw == 1 && want[0].len == 3 && starts_cjk(w, &want[0]);
    if (q->form == SUBSTR || nw == 0)
        return str_find(f, w) != SIZE_MAX;
    if (lone) /* one character of CJK is found anywhere */
        return str_find(f, tok(w, &want[0])) != SIZE_MAX;
    for (uint32_t i = 0; i + nw <= nh; i++) {
        bool ok = true;
        for (uint32_t k = 0; k < nw && ok; k++) {
            bool open = q->form == PREFIX && k + 1 == nw;
            ok = open ? str_starts(tok(f, &have[i + k]), tok(w, &want[k]))
                      : str_eq(tok(f, &have[i + k]), tok(w, &want[k]));
        }
        size_t end = have[i + nw - 1].off + want[nw - 1].len;
        size_t asked = want[nw - 1].off + want[nw - 1].len - want[0].off;
        if (ok && (q->form == PHRASE || (end - have[i].off == asked &&
                                         memcmp(f.p + have[i].off, w.p + want[0].off, asked) == 0)))
            return true;
    }
    return false;
}

/* A single CJK character beside other tokens, and CJK before a star, mean more than their tokens.
 */
static bool comparable(struct arena *a, const struct ask *q)
{
    struct token t[64];
    str w = folded(a, q->text);
    uint32_t n = cut(w, t);
    if (!w.n || (q->form == PREFIX && (!n || t[n - 1].off + t[n - 1].len != w.n)))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (starts_cjk(w, &t[i]) && (q->form == PREFIX || (n > 1 && t[i].len == 3)))
            return false;
    return true;
}

static bool naive(struct arena *a, const struct rows *t, uint32_t r, const struct ask *q)
{
    if (!q->on_output)
        return passes(a, q, t->message[r]);
    for (uint32_t k = 0; k < t->nleaves[r]; k++)
        if (passes(a, q, t->leaf[r][k]))
            return true;
    return false;
}

static struct pred *make(struct arena *a, const struct ask *q)
{
    struct err err = ERR_INIT;
    struct pred *ret = NULL;
    struct fieldref *f = arena_zalloc(a, sizeof *f);
    str *part = arena_zalloc(a, 3 * sizeof *part);
    struct pred_value v = { .part = part, .nparts = 1, .quoted = q->form == PHRASE };
    assert_true(fieldref_make(a, q->on_output ? STR("output") : STR("message"), false, f));
    struct pred_scope sc = { .fields = f, .n = 1 };
    if (q->form == REGEX) {
        struct buf re;
        buf_init(&re, 4096);
        for (size_t i = 0; i < q->text.n; i++) {
            if (q->text.p[i] == '|' || q->text.p[i] == '.')
                buf_putc(&re, '\\');
            buf_putc(&re, q->text.p[i]);
        }
        assert_int_equal(pred_regex_in(&ret, a, &sc, buf_str(&re), STR_NULL, &err), 0);
        buf_deinit(&re);
        return ret;
    }
    part[0] = part[1] = part[2] = STR("");
    part[q->form == SUBSTR] = q->text;
    v.nparts = q->form == PREFIX ? 2 : q->form == SUBSTR ? 3 : 1;
    assert_int_equal(pred_words(&ret, a, &sc, &v, &err), 0);
    return ret;
}

static struct ask random_ask(struct arena *a, const struct rows *t)
{
    struct ask q;
    do {
        q = (struct ask){ .form = (enum form)dice(FORMS), .on_output = dice(2) };
        q.text = random_text(a, 4);
        if (dice(2)) { /* a piece of what is there */
            str m = t->message[dice(ROWS)];
            q.text = str_sub(m, dice((uint32_t)m.n + 1), 1 + dice(8));
        }
    } while (!utf8_valid(q.text) || !comparable(a, &q));
    return q;
}

static void check(const struct rows *t, struct block *b, struct arena *a, const struct ask *q,
                  const struct pred *p, struct pred_run *run)
{
    struct err err = ERR_INIT;
    uint64_t sel[BLOCK_WORDS], out[BLOCK_WORDS];
    bool some = dice(2);
    bits_zero(sel, ROWS);
    for (uint32_t r = 0; r < ROWS; r++)
        if (!some || dice(4) == 0)
            bit_set(sel, r);
    assert_int_equal(pred_eval(p, b, some ? sel : NULL, out, run, NULL, &err), 0);
    for (uint32_t r = 0; r < ROWS; r++) {
        bool want = bit_get(sel, r) && naive(a, t, r, q);
        if (bit_get(out, r) != want)
            fail_msg("form %d '%.*s' on '%.*s': should be %d (%s)", (int)q->form, STR_FMT(q->text),
                     STR_FMT(q->on_output ? t->leaf[r][0] : t->message[r]), want,
                     b == t->dict ? "dictionary" : "plain");
    }
}

/* ---- pruning with the exact set of tokens of the column message ---- */

struct seek {
    uint64_t hash;
    bool found;
};

static void on_hash(void *arg, uint64_t hash)
{
    struct seek *s = arg;
    s->found |= s->hash == hash;
}

static uint32_t find_message(void *ctx, const struct fieldref *f, struct col_stats *ret,
                             uint32_t max)
{
    (void)ctx;
    (void)max;
    *ret = (struct col_stats){ .type = V_STR, .nvals = ROWS, .all_rows = true };
    return f->field == F_MESSAGE;
}

static bool may_token(void *ctx, const struct col_stats *c, uint64_t hash)
{
    const struct rows *t = ctx;
    struct seek s = { .hash = hash };
    (void)c;
    for (uint32_t r = 0; r < ROWS; r++)
        token_hashes(t->message[r], on_hash, &s);
    return s.found;
}

static unsigned check_prune(struct rows *t, struct arena *a, const struct ask *q,
                            const struct pred *p)
{
    struct block_stats st = { .n = ROWS,
                              .t_max = ROWS,
                              .seq_min = 1,
                              .seq_max = ROWS,
                              .level_mask = UINT32_MAX,
                              .ctx = t,
                              .find = find_message,
                              .may_token = may_token };
    if (q->on_output || pred_prune(p, &st) == PRUNE_MAYBE)
        return 0;
    for (uint32_t r = 0; r < ROWS; r++)
        if (naive(a, t, r, q))
            fail_msg("form %d '%.*s' lost '%.*s'", (int)q->form, STR_FMT(q->text),
                     STR_FMT(t->message[r]));
    return 1;
}

static void test_random(void **state)
{
    (void)state;
    static struct rows t;
    struct err err = ERR_INIT;
    struct pred_run *run;
    unsigned pruned = 0;
    assert_int_equal(pred_run_new(&run, &err), 0);
    for (int round = 0; round < 40; round++) {
        rows_make(&t);
        for (int i = 0; i < 60; i++) {
            struct arena a;
            arena_init(&a, (size_t)64 << 20);
            struct ask q = random_ask(&a, &t);
            struct pred *p = make(&a, &q);
            check(&t, t.plain, &a, &q, p, run);
            check(&t, t.dict, &a, &q, p, run);
            pruned += check_prune(&t, &a, &q, p);
            arena_deinit(&a);
        }
        rows_free(&t);
    }
    pred_run_free(run);
    assert_true(pruned > 50); /* it does prune */
}

/* ---- attributes that got no column are members of the column rest ---- */

static void test_rest(void **state)
{
    (void)state;
    static const char *const rest[] = {
        "{\"\\u0001port\":80,\"\\u0001a\\u0001b\":\"x \\\"y\\\"\",\"agent\":\"z\"}",
        "{\"\\u0001port\":\"80\",\"\\u0001list\":[1,{\"k\":[2]},\"}\"],\"\\u0001n\":null}", "{}"
    };
    static const struct {
        const char *name, *value;
        uint64_t rows;
    } cases[] = { { "port", "80", 3 },     { "port", "81", 0 }, { "a.b", "x", 0 },
                  { "a.b", "x \"y\"", 1 }, { "list", "2", 2 },  { "list", "}", 2 },
                  { "agent", "z", 0 },     { "n", "null", 0 } };
    struct err err = ERR_INIT;
    struct arena a;
    struct buf payload;
    struct batch *batch;
    struct block *b;
    struct pred_run *run;
    struct fieldref f;
    struct val v;
    uint64_t out[BLOCK_WORDS];
    arena_init(&a, (size_t)16 << 20);
    buf_init(&payload, (size_t)1 << 20);
    assert_int_equal(batch_new(&batch, &a, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(bcol_put_i64(batch_col(batch, STR("timestamp"), V_I64), i));
        assert_true(bcol_put_text(batch_col(batch, STR("rest"), V_JSON), str_c(rest[i])));
        batch_end_row(batch);
    }
    assert_int_equal(batch_encode(batch, &payload, &err), 0);
    assert_int_equal(payload_block(buf_str(&payload), 0, 1, 1, &a, &b, &err), 0);
    assert_int_equal(pred_run_new(&run, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(fieldref_make(&a, str_c(cases[i].name), false, &f));
        struct pred *p = pred_equal(&a, &f, str_c(cases[i].value), false);
        assert_int_equal(pred_eval(p, b, NULL, out, run, NULL, &err), 0);
        assert_int_equal(out[0], cases[i].rows);
    }
    assert_true(fieldref_make(&a, STR("a.b"), false, &f));
    assert_int_equal(rest_value(str_c(rest[0]), &f, &a, &v, &err), 0);
    assert_true(v.t == V_STR && str_eq(v.s, STR("x \"y\"")));
    assert_int_equal(pred_eval(pred_exists(&a, &f), b, NULL, out, run, NULL, &err), 0);
    assert_int_equal(out[0], 1);
    pred_run_free(run);
    buf_deinit(&payload);
    arena_deinit(&a);
}

/* every allocation of an evaluation fails once: an error or the right answer, never a wrong one */
static void test_no_memory(void **state)
{
    (void)state;
    static struct rows t;
    struct err err = ERR_INIT;
    rows_make(&t);
    for (uint32_t i = 0; i < 40; i++) {
        struct arena a;
        arena_init(&a, (size_t)64 << 20);
        struct ask q = random_ask(&a, &t);
        struct pred *p = pred_not(&a, make(&a, &q));
        for (uint64_t n = 1; n < 40; n++) {
            struct pred_run *run = NULL;
            uint64_t out[BLOCK_WORDS];
            mem_fail_at(n, 0);
            int rc = pred_run_new(&run, &err);
            if (!rc)
                rc = pred_eval(p, i % 2 ? t.plain : t.dict, NULL, out, run, NULL, &err);
            mem_fail_at(0, 0);
            assert_true(rc == 0 || rc == ERR_NOMEM);
            for (uint32_t r = 0; r < ROWS && !rc; r++)
                assert_int_equal(bit_get(out, r), !naive(&a, &t, r, &q));
            pred_run_free(run);
        }
        arena_deinit(&a);
    }
    rows_free(&t);
}

static void test_stop(void **state)
{
    (void)state;
    static struct rows t;
    struct err err = ERR_INIT;
    struct pred_run *run;
    uint64_t out[BLOCK_WORDS];
    volatile int cancel = 1;
    rows_make(&t);
    assert_int_equal(pred_run_new(&run, &err), 0);
    struct pred *p = pred_level_min(&t.arena, LV_INFO);
    assert_int_equal(pred_eval(p, t.plain, NULL, out, run, &cancel, &err), ERR_TIMEOUT);
    pred_run_free(run);
    rows_free(&t);
}

/* Searching 8,192 messages for what is not there. Says how fast; the figure is for people. */
static void test_speed(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena a;
    struct buf payload, text;
    struct batch *batch;
    struct block *b;
    struct pred_run *run;
    struct timespec from, to;
    uint64_t out[BLOCK_WORDS];
    enum { TIMES = 100 };
    arena_init(&a, (size_t)64 << 20);
    buf_init(&payload, (size_t)16 << 20);
    buf_init(&text, 4096);
    assert_int_equal(batch_new(&batch, &a, &err), 0);
    for (uint32_t i = 0; i < BLOCK_ROWS_MAX; i++) {
        buf_reset(&text);
        buf_printf(&text,
                   "request %u from 10.0.%u.%u took %u ms: connection to upstream service reset", i,
                   dice(256), dice(256), dice(9999));
        assert_true(bcol_put_i64(batch_col(batch, STR("timestamp"), V_I64), i));
        assert_true(
            bcol_put_text(batch_col(batch, STR("message"), V_STR), arena_dup(&a, buf_str(&text))));
        batch_end_row(batch);
    }
    assert_int_equal(batch_encode(batch, &payload, &err), 0);
    assert_int_equal(payload_block(buf_str(&payload), 0, 1, 1, &a, &b, &err), 0);
    assert_int_equal(pred_run_new(&run, &err), 0);
    struct pred *p = pred_substr(&a, F_MESSAGE, STR("Refused by Peer"), true);
    assert_int_equal(pred_eval(p, b, NULL, out, run, NULL, &err), 0); /* decodes the column */
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(pred_eval(p, b, NULL, out, run, NULL, &err), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(bits_none(out, b->n));
    double s = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    print_message("absent substring: %.2f GB/s\n", (double)payload.n * TIMES / s / 1e9);
    pred_run_free(run);
    buf_deinit(&payload);
    buf_deinit(&text);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),    cmocka_unit_test(test_rest),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
