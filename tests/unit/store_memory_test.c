/* store_memory_test.c: each operation of the store with its n-th allocation refused, once and from
 * then on, for n = 1, 2, ... until the operation meets no refusal (ME1).
 *
 * The operation succeeds or says that there is no memory; what it did is whole or not there; the
 * store goes on, or has stopped its writer and is right again after a start. Under the address
 * sanitizer the same loop shows that nothing leaks. */
#include "store_kit.h"

#include "model/pred.h"

#define ROWS 30
#define MAX 400

static uint8_t seen[MAX];

struct world {
    struct io *io;
    struct store *s;
    struct err err;
};

static struct store_config config(void)
{
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.big_batch_bytes = 4000;
    return cfg;
}

static void start(struct world *w)
{
    struct store_config cfg = config();
    w->io = kit_disk();
    kit_ok(store_open(&w->s, w->io, &cfg, &w->err), &w->err);
    kit_ok(kit_append(w->s, 0, ROWS, &w->err), &w->err);
    kit_ok(store_flush(w->s, &w->err), &w->err);
    kit_ok(kit_append(w->s, ROWS, ROWS, &w->err), &w->err);
    kit_ok(store_flush(w->s, &w->err), &w->err);
    kit_ok(kit_append(w->s, 2 * ROWS, ROWS, &w->err), &w->err);
}

/* ---- the operations ---- */

static int op_append(struct world *w)
{
    return kit_append(w->s, 100, 20, &w->err);
}

static int op_append_large(struct world *w)
{
    return kit_append(w->s, 100, 200, &w->err);
}

static int op_mark(struct world *w)
{
    return store_mark(w->s, &(struct mark){ .seq = 5, .resolved = true, .by = STR("me") }, 1, NULL,
                      &w->err);
}

static int op_scan(struct world *w)
{
    int64_t n = kit_read_all(w->s, NULL, seen, MAX, &w->err);
    assert_true(n < 0 || n >= 3 * ROWS);
    return n < 0 ? (int)n : 0;
}

static int op_filter(struct world *w)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    struct pred *p = pred_and(&a, pred_eq(&a, F_AGENT, STR("agent-3")),
                              pred_substr(&a, F_MESSAGE, STR("number"), false));
    int64_t n = p ? kit_read_all(w->s, p, seen, MAX, &w->err) : ERR_NOMEM;
    arena_deinit(&a);
    assert_true(n < 0 || n >= 3 * ROWS / 7);
    return n < 0 ? (int)n : 0;
}

static int op_summary(struct world *w)
{
    struct arena a;
    struct store_summary sum;
    arena_init(&a, 1u << 20);
    int rc = store_summary(w->s, &a, &sum, &w->err);
    assert_true(rc || sum.entries >= 3 * ROWS);
    arena_deinit(&a);
    return rc;
}

static int op_fields(struct world *w)
{
    struct arena a;
    struct field_stat *f;
    uint32_t n;
    arena_init(&a, 1u << 20);
    int rc = store_fields(w->s, &a, 100, &f, &n, &w->err);
    assert_true(rc || n > 5);
    arena_deinit(&a);
    return rc;
}

static int op_flush(struct world *w)
{
    return store_flush(w->s, &w->err);
}

static int op_merge(struct world *w)
{
    return store_merge(w->s, &w->err);
}

static int op_delete(struct world *w)
{
    struct arena a;
    uint64_t n;
    arena_init(&a, 1u << 20);
    struct pred *p = pred_eq(&a, F_AGENT, STR("agent-6"));
    int rc = p ? store_delete(w->s, p, false, &n, &w->err) : ERR_NOMEM;
    arena_deinit(&a);
    return rc;
}

static int op_retention(struct world *w)
{
    store_set_retention(w->s, 400 * NS_PER_DAY, 0);
    return store_retention_run(w->s, &w->err);
}

static int op_gaps(struct world *w)
{
    struct arena a;
    struct store_gap *g;
    uint32_t n;
    arena_init(&a, 1u << 20);
    int rc = store_gaps(w->s, &a, &g, &n, &w->err);
    assert_true(rc || n == 0);
    arena_deinit(&a);
    return rc;
}

static int op_open(struct world *w)
{
    struct store_config cfg = config();
    store_close(w->s);
    w->s = NULL;
    return store_open(&w->s, w->io, &cfg, &w->err);
}

static int op_verify(struct world *w)
{
    struct verify_report rep = { 0 };
    store_close(w->s);
    w->s = NULL;
    int rc = store_verify(w->io, &rep, &w->err);
    return rc == ERR_CORRUPT ? ERR_NOMEM : rc; /* a page that could not be decoded counts */
}

static const struct op {
    const char *name;
    int (*run)(struct world *w);
} ops[] = {
    { "append", op_append },       { "append, large", op_append_large },
    { "mark", op_mark },           { "scan", op_scan },
    { "filter", op_filter },       { "summary", op_summary },
    { "fields", op_fields },       { "flush", op_flush },
    { "merge", op_merge },         { "delete", op_delete },
    { "retention", op_retention }, { "gaps", op_gaps },
    { "open", op_open },           { "verify", op_verify },
};

/* The rows that were there are there, but for those of a deletion; none is there in part. */
static void check_rows(struct world *w, const struct op *op, uint64_t n)
{
    if (kit_read_all(w->s, NULL, seen, MAX, &w->err) < 0)
        fail_msg("%s, allocation %llu: %s", op->name, (unsigned long long)n, w->err.msg);
    for (uint64_t k = 0; k < 3 * ROWS; k++)
        if (!seen[k] && !(op->run == op_delete && k % 7 == 6))
            fail_msg("%s, allocation %llu: row %llu is gone", op->name, (unsigned long long)n,
                     (unsigned long long)k);
    for (uint64_t k = 101; k < 120; k++)
        if (seen[k] != seen[100])
            fail_msg("%s, allocation %llu: a batch is there in part", op->name,
                     (unsigned long long)n);
}

static bool once(const struct op *op, uint64_t n, bool forever)
{
    struct world w = { .err = ERR_INIT };
    start(&w);
    mem_fail_at(n, forever);
    int rc = op->run(&w);
    bool over = mem_fail_at(0, 0) < n;
    if (rc && rc != ERR_NOMEM && rc != ERR_IO && rc != ERR_BUSY)
        fail_msg("%s, allocation %llu: %s", op->name, (unsigned long long)n, w.err.msg);
    if (rc && over)
        fail_msg("%s fails with all the memory it asks for: %s", op->name, w.err.msg);
    if (w.s)
        check_rows(&w, op, n);
    store_close(w.s);
    struct store_config cfg = config();
    kit_ok(store_open(&w.s, w.io, &cfg, &w.err), &w.err);
    check_rows(&w, op, n);
    if (rc == 0 && (op->run == op_append || op->run == op_append_large))
        assert_true(seen[100]);
    kit_ok(kit_append(w.s, 399, 1, &w.err), &w.err);
    store_close(w.s);
    io_free(w.io);
    return over;
}

static void test_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int forever = 0; forever < 2; forever++)
            for (uint64_t n = 1; !once(&ops[i], n, forever); n += n < 60 ? 1 : 7)
                ;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_each) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
