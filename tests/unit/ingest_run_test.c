/* Several bodies decoded into one batch: each must end as it does alone.
 *
 * Bodies of a round resemble each other, so that what one taught is used on the next, and differ in
 * what must not be carried over: default agent, the key and its pattern, the receive time. Some are
 * broken or hold entries that are refused. The seed is fixed. */
#include "ingest_kit.h"

static uint64_t rng = 2026;

static uint32_t rnd(uint32_t n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng >> 33) % n;
}

#define PICK(list) list[rnd(sizeof list / sizeof *list)]
#define BODIES 12

struct sent {
    struct buf text;
    struct ingest_opts o;
    struct ingest_result res;
    struct err err;
    int rc;
    uint32_t row; /* its first in the batch of the run */
};

static const char *const names[] = { "agent",   "message", "msg",     "level",       "ts",
                                     "id",      "a",       "a.b",     "duration_ms", "service.name",
                                     "context", "tags",    "trace_id" };
static const char *const values[] = {
    "\"x\"", "\"svc-1\"", "\"it's \\u00e9\"", "7", "7.5", "true", "null", "[1, 2]", "{\"a\":1}",
};

static void put_entry(struct buf *b, const uint32_t *keys, uint32_t nkeys)
{
    buf_putc(b, '{');
    for (uint32_t i = 0; i < nkeys; i++) {
        const char *name = names[keys[i]];
        buf_printf(b, "%s\"%s\":", i ? "," : "", name);
        if (strcmp(name, "ts") == 0)
            buf_puts(b, rnd(9) ? "1799999999.5" : "\"soon\""); /* the latter is refused */
        else if (strcmp(name, "level") == 0)
            buf_puts(b, rnd(3) ? "\"info\"" : "\"ERROR\"");
        else
            buf_puts(b, rnd(3) ? values[keys[i] % 3] : PICK(values));
    }
    buf_putc(b, '}');
}

static void make_body(struct sent *s, enum dialect d, const uint32_t *keys, uint32_t nkeys)
{
    static const char *const agents[] = { "", "", "svc-9", "other" };
    static const char *const patterns[] = { "", "", "", "svc-*", "*o*" };
    buf_reset(&s->text);
    err_reset(&s->err);
    s->o = (struct ingest_opts){ .now = KIT_NOW + rnd(1000),
                                 .atomic = rnd(4) == 0,
                                 .default_agent = str_c(PICK(agents)),
                                 .key_id = rnd(3),
                                 .agent_pattern = str_c(PICK(patterns)) };
    uint32_t n = rnd(3) ? 1 : rnd(4);
    for (uint32_t i = 0; i < n && d != DIALECT_TEXT; i++) {
        put_entry(&s->text, keys, rnd(6) ? nkeys : 1 + rnd(nkeys));
        buf_putc(&s->text, '\n');
    }
    if (d == DIALECT_TEXT)
        buf_puts(&s->text, "2026-11-21T10:00:00Z WARN one\ntwo\n");
    if (rnd(8) == 0)
        buf_puts(&s->text, rnd(2) ? "{\"a\":" : "[1");
    buf_reserve(&s->text, BUF_PAD);
}

static char *show(struct kit *k, kit_view view, uint32_t row, uint32_t seq)
{
    static const struct id_gen gen = { { 11, 22 } };
    struct block *b = NULL;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(payload_block(buf_str(&k->payload), 0, seq - row, KIT_NOW, &k->a, &b, &k->err),
                     0);
    b->ids = &gen;
    assert_int_equal(view(&out, b, row, &k->err), 0);
    char *z = arena_strz(&k->a, buf_str(&out));
    buf_deinit(&out);
    block_close(b);
    return z;
}

static void same_results(const struct sent *s, const struct kit *one)
{
    if (s->rc != one->rc || s->res.entries != one->res.entries ||
        s->res.accepted != one->res.accepted || s->res.rejected != one->res.rejected ||
        s->res.nerrors != one->res.nerrors)
        fail_msg("%s: %d (%s), alone %d (%s)", s->text.p, s->rc, s->err.msg, one->rc, one->err.msg);
    assert_string_equal(s->err.msg, one->err.msg);
    for (uint32_t i = 0; i < s->res.nerrors; i++) {
        assert_int_equal(s->res.errors[i].index, one->res.errors[i].index);
        assert_true(str_eq(s->res.errors[i].reason, one->res.errors[i].reason));
    }
}

static void same_rows(struct kit *run, const struct sent *s, struct kit *one)
{
    static const kit_view views[] = { view_native, view_source, view_fleet };
    for (uint32_t i = 0; i < s->res.accepted; i++)
        for (size_t v = 0; v < sizeof views / sizeof *views; v++)
            assert_string_equal(show(run, views[v], s->row + i, 5000 + i),
                                show(one, views[v], i, 5000 + i));
}

static void as_alone(void **state)
{
    (void)state;
    static const enum dialect dialects[] = { DIALECT_NATIVE, DIALECT_NATIVE, DIALECT_GUIDE,
                                             DIALECT_FLEET,  DIALECT_MALS,   DIALECT_EVENTS,
                                             DIALECT_TEXT };
    static struct sent sent[BODIES];
    struct kit k, one;
    uint64_t refused = 0, taken = 0;
    kit_init(&k);
    kit_init(&one);
    for (int i = 0; i < BODIES; i++)
        buf_init(&sent[i].text, 1 << 16);
    for (int round = 0; round < 1500; round++) {
        enum dialect d = PICK(dialects);
        uint32_t keys[5], nkeys = 1 + rnd(5);
        struct ingest_run *run;
        for (uint32_t i = 0; i < nkeys; i++)
            keys[i] = rnd(sizeof names / sizeof *names);
        arena_reset(&k.a);
        buf_reset(&k.payload);
        assert_int_equal(batch_new(&k.b, &k.a, &k.err), 0);
        assert_int_equal(ingest_run_new(&run, d, NULL, k.b, &k.a, &k.err), 0);
        for (int i = 0; i < BODIES; i++) {
            struct sent *s = &sent[i];
            make_body(s, d, keys, nkeys);
            s->row = batch_rows(k.b);
            s->rc = ingest_run_body(run, buf_str(&s->text), &s->o, &s->res, &s->err);
            assert_int_equal(batch_rows(k.b) - s->row, s->rc ? 0 : s->res.accepted);
            assert_true(ingest_run_room(run));
        }
        ingest_run_free(run);
        if (batch_rows(k.b))
            assert_int_equal(batch_encode(k.b, &k.payload, &k.err), 0);
        for (int i = 0; i < BODIES; i++) {
            struct sent *s = &sent[i];
            one.o = s->o;
            kit_decode(&one, d, s->text.p, s->text.n);
            same_results(s, &one);
            same_rows(&k, s, &one);
            refused += s->rc != 0;
            taken += s->res.accepted;
        }
    }
    assert_true(refused > 1000 && taken > 3000); /* both were tried */
    for (int i = 0; i < BODIES; i++)
        buf_deinit(&sent[i].text);
    kit_deinit(&k);
    kit_deinit(&one);
}

/* an entry that names no agent is put by the plan of one that needed none to be named */
static void patterns_hold(void **state)
{
    (void)state;
    static const char body[64] = "{\"message\":\"m\",\"n\":1}";
    struct kit k;
    struct ingest_run *run;
    kit_init(&k);
    assert_int_equal(batch_new(&k.b, &k.a, &k.err), 0);
    assert_int_equal(ingest_run_new(&run, DIALECT_NATIVE, NULL, k.b, &k.a, &k.err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ingest_run_body(run, str_c(body), &k.o, &k.res, &k.err), 0);
    k.o.agent_pattern = STR("svc-*");
    assert_int_equal(ingest_run_body(run, str_c(body), &k.o, &k.res, &k.err), ERR_INVALID);
    expect_error(&k, 0, "may not write as agent");
    k.o.default_agent = STR("svc-1");
    assert_int_equal(ingest_run_body(run, str_c(body), &k.o, &k.res, &k.err), 0);
    k.o.default_agent = STR("other");
    assert_int_equal(ingest_run_body(run, str_c(body), &k.o, &k.res, &k.err), ERR_INVALID);
    assert_int_equal(batch_rows(k.b), 4);
    ingest_run_free(run);
    kit_deinit(&k);
}

/* bodies of ever new keys: the run says in time that it wants a new batch, no key goes to `rest` */
static void room(void **state)
{
    (void)state;
    struct kit k;
    struct ingest_run *run;
    uint32_t bodies = 0;
    kit_init(&k);
    assert_int_equal(batch_new(&k.b, &k.a, &k.err), 0);
    assert_int_equal(ingest_run_new(&run, DIALECT_NATIVE, NULL, k.b, &k.a, &k.err), 0);
    buf_reset(&k.body);
    while (ingest_run_room(run)) {
        char *text = arena_alloc(&k.a, 16384);
        int n = snprintf(text, 16384, "{");
        for (int i = 0; i < 700; i++)
            n += snprintf(text + n, (size_t)(16384 - n), "%s\"k%u_%d\":1", i ? "," : "", bodies, i);
        n += snprintf(text + n, (size_t)(16384 - n), "}");
        assert_int_equal(ingest_run_body(run, str_n(text, (size_t)n), &k.o, &k.res, &k.err), 0);
        assert_true(++bodies < 16384 / 700);
    }
    assert_true(bodies > 1);
    ingest_run_free(run);
    assert_int_equal(batch_encode(k.b, &k.payload, &k.err), 0);
    struct block *b = kit_block(&k);
    for (uint32_t i = 0; i < b->ncols; i++)
        assert_false(str_eq(b->cols[i].key, STR("rest")));
    block_close(b);
    kit_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_alone),
        cmocka_unit_test(patterns_hold),
        cmocka_unit_test(room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
