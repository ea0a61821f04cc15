/* store_fault_test.c: what the store promises when the n-th call fails, and when the power goes.
 *
 * One small scenario (append, mark, flush, append, merge, delete, read; some batches are large and
 * go to files of their own, one while others are committed) runs again and again; each
 * time another call of the disk or of the heap fails, once or from then on, until a run meets no
 * failure. After each run the disk loses what was not synced, the store is opened anew, and the
 * judge looks: everything acknowledged is there, nothing twice, no batch in part. The judge is
 * judged too: with syncs left out, or acknowledgements sent early, it must find losses. */
#include "store_kit.h"

#include <pthread.h>

#define MAX 4000
#define BATCHES 12
#define BATCH_ROWS 25
#define LARGE_ROWS 150
#define LARGE_BYTES 2000 /* stored bytes past which a batch counts as large here */
#define ASIDE 7          /* the large batch that others overtake */

/* Sanitizers make every run some twenty times slower: there each loop takes longer strides. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 13
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STRIDE 13
#endif
#endif
#ifndef STRIDE
#define STRIDE 1
#endif

static uint8_t seen[MAX];
static uint64_t big_batches; /* of the last scenario */

struct run {
    bool acked[BATCHES]; /* append returned 0 */
    bool deleted;        /* deletion of agent-3 returned 0 */
    bool delete_tried;
    bool failed_open;
};

static uint32_t rows_of(uint32_t batch)
{
    return batch == 2 || batch == ASIDE || batch == 11 ? LARGE_ROWS : BATCH_ROWS;
}

static uint64_t first_of(uint32_t batch)
{
    uint64_t k = 0;
    for (uint32_t b = 0; b < batch; b++)
        k += rows_of(b);
    return k;
}

/* One agent's rows have a class of their own, so every flush publishes two segments. */
static struct arena preds;
static struct retention_rule rules[1];
static uint32_t nrules = 1;

static struct store *try_open(struct io *io, const struct store_config *planted, struct err *err)
{
    struct store_config cfg;
    struct store *s = NULL;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.big_batch_bytes = LARGE_BYTES;
    cfg.rules = rules;
    cfg.nrules = nrules;
    if (planted) {
        cfg.no_fsync = planted->no_fsync;
        cfg.ack_early = planted->ack_early;
    }
    return store_open(&s, io, &cfg, err) ? NULL : s;
}

/* Every answer on the way is either right or an error. */
static void read_check(struct store *s, const struct run *r)
{
    struct err err = ERR_INIT;
    if (kit_read_all(s, NULL, seen, MAX, &err) < 0)
        return;
    for (uint32_t b = 0; b < BATCHES; b++)
        for (uint64_t k = first_of(b); k < first_of(b + 1); k++)
            if (r->acked[b] && !seen[k] && !(r->delete_tried && k % 7 == 3))
                fail_msg("row %llu was acknowledged and is not found", (unsigned long long)k);
}

struct aside {
    struct store *s;
    pthread_t thread;
    bool sent, acked;
};

static void *send_aside(void *arg)
{
    struct aside *w = arg;
    struct err err = ERR_INIT;
    w->acked = kit_append(w->s, first_of(ASIDE), rows_of(ASIDE), &err) == 0;
    return NULL;
}

static void scenario(struct io *io, const struct store_config *planted, struct run *r)
{
    struct err err = ERR_INIT;
    struct store *s = try_open(io, planted, &err);
    struct arena a;
    arena_init(&a, 1u << 20);
    r->failed_open = s == NULL;
    struct aside aside = { .s = s };
    for (uint32_t i = 0; s && i < BATCHES; i++) {
        if (i == ASIDE)
            aside.sent = pthread_create(&aside.thread, NULL, send_aside, &aside) == 0;
        else
            r->acked[i] = kit_append(s, first_of(i), rows_of(i), &err) == 0;
        if (i == ASIDE + 1 && aside.sent) {
            pthread_join(aside.thread, NULL);
            r->acked[ASIDE] = aside.acked;
        }
        if (i == 3 || i == 6)
            store_flush(s, &err);
        if (i == 4)
            read_check(s, r);
        if (i == 5)
            store_mark(s, &(struct mark){ .seq = 3, .resolved = true, .by = STR("x") }, 1, NULL,
                       &err);
        if (i == 8)
            store_merge(s, &err);
        if (i == 9) {
            struct pred *p = pred_eq(&a, F_AGENT, STR("agent-3"));
            uint64_t n;
            r->delete_tried = p != NULL;
            r->deleted = p && store_delete(s, p, false, &n, &err) == 0;
        }
        if (i == 10)
            read_check(s, r);
        err_reset(&err);
    }
    if (s) {
        struct store_status st;
        store_get_status(s, &st);
        big_batches = st.big_batches;
    }
    store_close(s);
    arena_deinit(&a);
}

static char why[200]; /* the last thing a judge objected to */

static void object(uint64_t *bad, const char *what, uint64_t n, const struct err *err)
{
    snprintf(why, sizeof why, "%s (%llu): %.120s", what, (unsigned long long)n, err->msg);
    ++*bad;
}

/* Opens what the crash left and counts what the promises forbid. */
static uint64_t judge(struct io *io, const struct run *r)
{
    struct err err = ERR_INIT;
    struct store *s = try_open(io, NULL, &err);
    uint64_t bad = 0;
    if (!s) {
        snprintf(why, sizeof why, "does not open: %.150s", err.msg);
        return 1;
    }
    if (kit_read_all(s, NULL, seen, MAX, &err) < 0)
        object(&bad, "cannot be read", 0, &err);
    uint32_t with = 0, without = 0; /* batches with rows to delete: in full, and without these */
    for (uint32_t b = 0; b < BATCHES && !bad; b++) {
        uint32_t have = 0, kept = 0, doomed = 0;
        for (uint32_t i = 0; i < rows_of(b); i++) {
            uint64_t k = first_of(b) + i;
            have += seen[k];
            doomed += k % 7 == 3;
            kept += seen[k] && k % 7 != 3;
        }
        bool before_delete = b <= 9;
        bool all = have == rows_of(b), rest = kept == rows_of(b) - doomed && have == kept;
        bool fine = all || have == 0 || (r->delete_tried && before_delete && rest);
        with += all && before_delete;
        without += !all && have && before_delete;
        if (!fine)
            object(&bad, "a batch is there in part", b, &err);
        if (r->acked[b] && have == 0)
            object(&bad, "an acknowledged batch is gone", b, &err);
        if (r->deleted && r->acked[b] && before_delete && have != kept)
            object(&bad, "deleted rows are back", b, &err);
    }
    if (!bad && with && without)
        object(&bad, "a deletion is there in part", with, &err);
    if (!bad && kit_append(s, 3000, 1, &err)) /* and it goes on */
        object(&bad, "takes nothing any more", 0, &err);
    store_close(s);
    return bad;
}

static struct io *disk(uint64_t seed)
{
    struct io *io;
    struct err err = ERR_INIT;
    assert_int_equal(io_mem_new(&io, seed, &err), 0);
    io_mem_advance(io, 1700000000ll * NS_PER_S);
    return io;
}

static void each_io(enum io_op op, bool forever, int code)
{
    for (uint64_t n = 1;; n += STRIDE) {
        struct io *mem = disk(n), *io;
        struct err err = ERR_INIT;
        assert_int_equal(io_faulty_new(&io, mem, &err), 0);
        io_faulty_set(io, op, n, code, forever);
        struct run r = { 0 };
        scenario(io, NULL, &r);
        bool hit = io_faulty_count(io) >= n;
        io_faulty_set(io, op, 0, 0, false);
        io_free(io);
        io_mem_crash(mem, n * 31 + op);
        uint64_t bad = judge(mem, &r);
        io_free(mem);
        if (bad)
            fail_msg("op %d, call %llu%s: %s", op, (unsigned long long)n,
                     forever ? " and later" : "", why);
        if (!hit)
            return;
    }
}

static void test_io_once(void **state)
{
    (void)state;
    for (int op = 0; op < IO_OP__N; op++)
        each_io((enum io_op)op, false, ERR_IO);
}

static void test_io_forever(void **state)
{
    (void)state;
    for (int op = 0; op < IO_OP__N; op++)
        each_io((enum io_op)op, true, ERR_IO);
}

static void test_no_space(void **state)
{
    (void)state;
    each_io(IO_OP_WRITE, false, ERR_FULL);
    each_io(IO_OP_WRITE, true, ERR_FULL);
}

/* nothing fails: the scenario is what it says it is */
static void test_scenario(void **state)
{
    (void)state;
    struct io *mem = disk(1);
    struct run r = { 0 };
    scenario(mem, NULL, &r);
    for (uint32_t b = 0; b < BATCHES; b++)
        assert_true(r.acked[b]);
    assert_true(r.deleted);
    if (judge(mem, &r))
        fail_msg("%s", why);
    assert_int_equal(big_batches, 3);
    io_free(mem);
}

/* the power goes at the n-th call of any kind */
static void test_power_cut(void **state)
{
    (void)state;
    each_io(IO_OP__N, true, ERR_IO);
}

static void test_allocation(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++)
        for (uint64_t n = 1;; n += n < 300 ? STRIDE : 13 * STRIDE) {
            struct io *mem = disk(n);
            struct run r = { 0 };
            mem_fail_at(n, forever);
            scenario(mem, NULL, &r);
            bool over = mem_fail_at(0, 0) < n;
            io_mem_crash(mem, n);
            uint64_t bad = judge(mem, &r);
            io_free(mem);
            if (bad)
                fail_msg("allocation %llu%s: %s", (unsigned long long)n,
                         forever ? " and later" : "", why);
            if (over)
                break;
        }
}

/* the planted bugs: the judge has to see them */
static uint64_t losses(const struct store_config *planted)
{
    uint64_t bad = 0;
    for (uint64_t n = 1; n < 400; n += STRIDE) {
        struct io *mem = disk(n), *io;
        struct err err = ERR_INIT;
        assert_int_equal(io_faulty_new(&io, mem, &err), 0);
        io_faulty_set(io, IO_OP__N, n, ERR_IO, true);
        struct run r = { 0 };
        scenario(io, planted, &r);
        io_faulty_set(io, IO_OP__N, 0, 0, false);
        io_free(io);
        io_mem_crash(mem, n);
        bad += judge(mem, &r) != 0;
        io_free(mem);
    }
    return bad;
}

static void test_judge_sees(void **state)
{
    (void)state;
    assert_int_equal(losses(&(struct store_config){ 0 }), 0);
    assert_true(losses(&(struct store_config){ .no_fsync = true }) > 0);
    assert_true(losses(&(struct store_config){ .ack_early = true }) > 0);
}

/* one flipped bit anywhere: noticed, and never a wrong row */
static void test_bit_flips(void **state)
{
    (void)state;
    struct io *mem = disk(7);
    struct err err = ERR_INIT;
    nrules = 0; /* one segment, in which all bits are */
    struct store *s = try_open(mem, NULL, &err);
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(kit_append(s, b * BATCH_ROWS, BATCH_ROWS, &err), 0);
    assert_int_equal(store_flush(s, &err), 0);
    struct store_status st;
    store_get_status(s, &st);
    store_close(s);
    char path[80], day[11];
    ts_format_day(mem->ops->now(mem), day);
    snprintf(path, sizeof path, "p/%s.0/000000000001.seg", day);
    for (uint64_t byte = 0; byte < st.segment_bytes; byte += 11 * STRIDE) {
        unsigned bit = (unsigned)(byte % 8);
        assert_true(io_mem_flip(mem, path, byte, bit));
        struct verify_report rep = { 0 };
        err_reset(&err);
        if (store_verify(mem, &rep, &err) != ERR_CORRUPT)
            fail_msg("a flip at byte %llu goes unnoticed", (unsigned long long)byte);
        s = try_open(mem, NULL, &err);
        assert_non_null(s);
        err_reset(&err);
        int64_t n = kit_read_all(s, NULL, seen, MAX, &err); /* checks every row it gets */
        assert_true(n == ERR_CORRUPT || n == 4 * BATCH_ROWS);
        store_close(s);
        io_mem_flip(mem, path, byte, bit);
    }
    io_free(mem);
    nrules = 1;
}

/* damage in the middle of the log, before what is known to be durable: a declared gap, the rest
 * stays */
static void test_wal_corruption(void **state)
{
    (void)state;
    struct io *mem = disk(9);
    struct err err = ERR_INIT;
    struct store *s = try_open(mem, NULL, &err);
    for (uint32_t b = 0; b < 4; b++)
        assert_int_equal(kit_append(s, b * BATCH_ROWS, BATCH_ROWS, &err), 0);
    store_close(s);
    assert_true(io_mem_flip(mem, "wal/000000000001.wal", 64 + 88 + 200, 3));
    s = try_open(mem, NULL, &err);
    assert_non_null(s);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 3 * BATCH_ROWS);
    assert_false(seen[0]);
    struct arena a;
    struct store_gap *g;
    uint32_t n;
    arena_init(&a, 1u << 20);
    assert_int_equal(store_gaps(s, &a, &g, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(g[0].first_seq, 1);
    assert_int_equal(g[0].last_seq, BATCH_ROWS);
    store_close(s);
    arena_deinit(&a);
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.recovery_strict = true;
    assert_int_equal(store_open(&s, mem, &cfg, &err), ERR_CORRUPT);
    io_free(mem);
}

/* an argument runs the tests of that name alone */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario),   cmocka_unit_test(test_wal_corruption),
        cmocka_unit_test(test_judge_sees), cmocka_unit_test(test_power_cut),
        cmocka_unit_test(test_io_once),    cmocka_unit_test(test_io_forever),
        cmocka_unit_test(test_no_space),   cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_allocation),
    };
    arena_init(&preds, 1u << 16);
    rules[0] = (struct retention_rule){ .name = "one",
                                        .match = pred_eq(&preds, F_AGENT, STR("agent-1")) };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&preds);
    return rc;
}
