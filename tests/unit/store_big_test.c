/* store_big_test.c: batches with a file of their own (docs/format/wal.md): what they delay, what
 * becomes of their files, and what is said when one is damaged. Here a batch of more than BIG
 * stored bytes counts as large, so that every test stays small. */
#include "store_kit.h"

#include <pthread.h>

#define MAX 4000
#define BIG 2000 /* stored bytes */
#define ROWS 150 /* of a large batch: some 3,000 stored bytes */
#define WAL_1 "wal/000000000001.wal"
#define BIG_1 "wal/000000000001.big"
#define BIG_2 "wal/000000000002.big"

static uint8_t seen[MAX];
static struct err err;

static void ok(int rc)
{
    kit_ok(rc, &err);
}

static char said[4096]; /* what the store told its operator since it was opened */
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_event(void *arg, int level, const char *text)
{
    (void)arg;
    (void)level;
    pthread_mutex_lock(&said_lock);
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", text);
    pthread_mutex_unlock(&said_lock);
}

static int open_with(struct io *io, bool read_only, bool strict, struct store **ret)
{
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.big_batch_bytes = BIG;
    cfg.read_only = read_only;
    cfg.recovery_strict = strict;
    cfg.on_event = on_event;
    said[0] = 0;
    return store_open(ret, io, &cfg, &err);
}

static struct store *open_store(struct io *io)
{
    struct store *s = NULL;
    ok(open_with(io, false, false, &s));
    return s;
}

static bool exists(struct io *io, const char *path)
{
    struct io_file *f;
    struct err e = ERR_INIT;
    if (io->ops->open(io, &f, path, IO_READ, &e))
        return false;
    io_close(f);
    return true;
}

static void expect_rows(struct store *s, uint64_t n)
{
    int64_t got = kit_read_all(s, NULL, seen, MAX, &err);
    if (got < 0)
        fail_msg("read: %s", err.msg);
    assert_int_equal(got, n);
}

/* ---- appends that do not wait ---- */

struct sent {
    struct append a;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void on_done(struct append *a)
{
    struct sent *w = a->user;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static void send(struct store *s, struct sent *w, uint64_t first, uint32_t n, const char *key,
                 uint64_t body)
{
    *w = (struct sent){ .a = { .rows = n, .done = on_done, .user = w, .body_hash = body },
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .cond = PTHREAD_COND_INITIALIZER };
    ok(kit_payload(first, n, &w->a.payload, &w->a.payload_n, &err));
    w->a.has_idem = key != NULL;
    if (key)
        memcpy(w->a.idem, key, 16);
    store_append(s, &w->a);
}

static bool is_done(struct sent *w)
{
    pthread_mutex_lock(&w->lock);
    bool done = w->done;
    pthread_mutex_unlock(&w->lock);
    return done;
}

static int await(struct sent *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w->a.rc;
}

/* ---- the tests ---- */

/* A large upload stands at its file's sync: small ones are written, synced, seen and acknowledged;
 * it comes behind them, whole, when its sync returns. */
static void overtaken(enum io_op held)
{
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    io_faulty_hold(io, held, ".big");
    struct store *s = open_store(io);
    struct sent big;
    send(s, &big, 1000, 2000, NULL, 0);
    io_faulty_await(io, 1);
    for (uint32_t i = 0; i < 50; i++)
        ok(kit_append(s, i, 1, &err));
    assert_false(is_done(&big));
    expect_rows(s, 50);
    assert_int_equal(kit_status(s).queue_batches, 1);
    assert_true(kit_status(s).queue_bytes >= big.a.payload_n);
    io_faulty_hold(io, held, NULL);
    assert_int_equal(await(&big), 0);
    assert_int_equal(big.a.base_seq, 51);
    expect_rows(s, 2050);
    assert_int_equal(kit_status(s).big_batches, 1);
    assert_int_equal(kit_status(s).queue_batches, 0);
    assert_int_equal(kit_status(s).queue_bytes, 0);
    store_close(s);
    s = open_store(io);
    expect_rows(s, 2050);
    store_close(s);
    io_free(io);
    io_free(mem);
}

static void test_overtaken(void **state)
{
    (void)state;
    overtaken(IO_OP_SYNC);
    overtaken(IO_OP_WRITE);
}

/* 20 MiB of noise, with the size that a server has for large */
static void test_true_size(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    io_faulty_hold(io, IO_OP_SYNC, ".big");
    struct store *s = kit_open(io, 24u << 20);
    size_t n = 20u << 20;
    char *noise = mem_alloc(n);
    assert_non_null(noise);
    io->ops->random(io, noise, n);
    for (size_t i = 0; i < n; i++)
        noise[i] = (char)(32 + (uint8_t)noise[i] % 64);
    struct arena a;
    struct buf out;
    struct batch *b;
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    ok(batch_new(&b, &a, &err));
    bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), KIT_T0);
    bcol_put_text(batch_col(b, STR("message"), V_STR), str_n(noise, n));
    batch_end_row(b);
    ok(batch_encode(b, &out, &err));
    arena_deinit(&a);
    struct sent w = { .a = { .rows = 1, .done = on_done, .user = &w },
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .cond = PTHREAD_COND_INITIALIZER };
    w.a.payload = buf_take(&out, &w.a.payload_n);
    store_append(s, &w.a);
    io_faulty_await(io, 1);
    for (uint32_t i = 0; i < 10; i++)
        ok(kit_append(s, i * 1000, 1000, &err));
    assert_false(is_done(&w));
    io_faulty_hold(io, IO_OP_SYNC, NULL);
    assert_int_equal(await(&w), 0);
    assert_int_equal(w.a.base_seq, 10001);
    assert_int_equal(kit_status(s).big_batches, 1);
    store_close(s);
    s = kit_open(io, 24u << 20);
    uint64_t entries, agents;
    store_counts(s, &entries, &agents);
    assert_int_equal(entries, 10001);
    struct scan *sc;
    struct scan_block sb;
    struct val v;
    ok(store_scan(s, &(struct scan_plan){ .seq_after = 10000 }, &sc, &err));
    ok(scan_next(sc, &sb, &err));
    ok(block_get_field(sb.block, (uint32_t)bits_next(sb.sel, 0, sb.block->n), F_MESSAGE, &v, &err));
    assert_true(str_eq(v.s, str_n(noise, n)));
    scan_close(sc);
    mem_free(noise);
    store_close(s);
    io_free(io);
    io_free(mem);
}

/* written, read back, read without a server, checked, flushed, removed */
static void test_life(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = open_store(io);
    ok(kit_append(s, 0, 5, &err));
    ok(kit_append(s, 5, ROWS, &err));
    ok(kit_append(s, 5 + ROWS, 5, &err));
    ok(kit_append(s, 10 + ROWS, 600, &err));
    uint64_t n = 610 + ROWS;
    assert_int_equal(kit_status(s).big_batches, 2);
    store_close(s);
    assert_true(exists(io, BIG_1) && exists(io, BIG_2));
    ok(open_with(io, true, false, &s));
    expect_rows(s, n);
    assert_string_equal(said, "");
    store_close(s);
    struct verify_report rep = { 0 };
    ok(store_verify(io, &rep, &err));
    assert_int_equal(rep.rows, n);
    s = open_store(io);
    expect_rows(s, n);
    assert_int_equal(kit_status(s).next_seq, n + 1);
    assert_true(exists(io, BIG_1) && exists(io, BIG_2));
    ok(store_flush(s, &err));
    assert_false(exists(io, BIG_1) || exists(io, BIG_2));
    ok(kit_append(s, n, ROWS, &err)); /* numbers go on */
    assert_true(exists(io, "wal/000000000003.big"));
    store_close(s);
    s = open_store(io);
    assert_string_equal(said, "");
    expect_rows(s, n + ROWS);
    store_close(s);
    io_free(io);
}

/* A batch under way when the store closes is still written. */
static void test_close(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = open_store(io);
    struct sent w[5];
    for (uint64_t i = 0; i < 5; i++)
        send(s, &w[i], i * ROWS, ROWS, NULL, 0);
    store_close(s);
    for (int i = 0; i < 5; i++)
        assert_int_equal(await(&w[i]), 0);
    s = open_store(io);
    expect_rows(s, 5 * ROWS);
    store_close(s);
    io_free(io);
}

static void test_idempotency(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = open_store(io);
    struct sent w[3];
    send(s, &w[0], 0, ROWS, "0123456789abcdef", 7); /* three at once: one is stored */
    send(s, &w[1], 0, ROWS, "0123456789abcdef", 7);
    send(s, &w[2], 0, ROWS, "0123456789abcdef", 8);
    for (int i = 0; i < 3; i++)
        await(&w[i]);
    assert_true(!w[0].a.rc && !w[0].a.duplicate);
    assert_true(!w[1].a.rc && w[1].a.duplicate && w[1].a.base_seq == w[0].a.base_seq);
    assert_int_equal(w[2].a.rc, ERR_CONFLICT);
    for (int round = 0; round < 3; round++) {
        send(s, &w[1], 0, ROWS, "0123456789abcdef", 7);
        assert_int_equal(await(&w[1]), 0);
        assert_true(w[1].a.duplicate);
        assert_int_equal(w[1].a.base_seq, 1);
        assert_int_equal(w[1].a.rows, ROWS);
        send(s, &w[1], 0, ROWS, "0123456789abcdef", 9);
        assert_int_equal(await(&w[1]), ERR_CONFLICT);
        expect_rows(s, ROWS);
        if (round == 1)
            ok(store_flush(s, &err));
        assert_false(exists(io, BIG_2)); /* repeats leave nothing behind */
        store_close(s);
        s = open_store(io);
        assert_string_equal(said, "");
    }
    store_close(s);
    io_free(io);
}

/* The power goes between the file and its reference: never acknowledged, never seen, removed. */
static void test_orphan(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    struct store *s = open_store(io);
    ok(kit_append(s, 0, 5, &err));
    io_faulty_set(io, IO_OP_WRITE, 4, ERR_IO, true); /* file: room, header, bytes; then the frame */
    assert_int_equal(kit_append(s, 5, ROWS, &err), ERR_IO);
    io_faulty_set(io, IO_OP__N, 0, 0, false);
    assert_true(exists(mem, BIG_1)); /* nobody can know whether its frame is there */
    io_mem_crash(mem, 3);
    store_close(s);
    ok(open_with(mem, true, false, &s));
    assert_non_null(strstr(said, "batch file 1 belongs to no batch of the log: left out"));
    expect_rows(s, 5);
    store_close(s);
    struct verify_report rep = { 0 };
    ok(store_verify(mem, &rep, &err)); /* worth a note, not a problem */
    assert_true(exists(mem, BIG_1));
    s = open_store(mem);
    assert_non_null(strstr(said, "batch file 1 belongs to no batch of the log: removed"));
    assert_false(exists(mem, BIG_1));
    expect_rows(s, 5);
    ok(kit_append(s, 5, ROWS, &err));
    store_close(s);
    s = open_store(mem);
    assert_string_equal(said, "");
    expect_rows(s, 5 + ROWS);
    store_close(s);
    io_free(io);
    io_free(mem);
}

/* ---- damage ---- */

static void cut(struct io *io, const char *path, uint64_t size)
{
    struct io_file *f;
    ok(io->ops->open(io, &f, path, IO_WRITE, &err));
    ok(f->io->ops->truncate(f, size, &err));
    io_close(f);
}

static void copy(struct io *io, const char *from, const char *to)
{
    char *p;
    size_t n;
    ok(io_read_file(io, from, 1u << 20, &p, &n, &err));
    ok(io_write_file(io, to, str_n(p, n), &err));
    mem_free(p);
}

enum damage { MISSING, FLIP_HEADER, FLIP_BODY, SHORT, LONG, OTHER, EMPTY, DAMAGES };

static void do_damage(struct io *io, enum damage d)
{
    switch (d) {
    case MISSING: ok(io->ops->unlink(io, BIG_1, &err)); break;
    case FLIP_HEADER: assert_true(io_mem_flip(io, BIG_1, 41, 0)); break;
    case FLIP_BODY: assert_true(io_mem_flip(io, BIG_1, 1000, 3)); break;
    case SHORT: cut(io, BIG_1, 700); break;
    case LONG: cut(io, BIG_1, 100000); break;
    case OTHER: copy(io, BIG_2, BIG_1); break; /* a good file, but not this one */
    default: cut(io, BIG_1, 0); break;
    }
}

/* A batch file that the log refers to is damaged: a declared gap, the rest stays. */
static void test_damage(void **state)
{
    (void)state;
    for (int d = 0; d < DAMAGES; d++) {
        struct io *io = kit_disk();
        struct store *s = open_store(io);
        ok(kit_append(s, 0, 5, &err));
        ok(kit_append(s, 5, ROWS, &err));
        ok(kit_append(s, 5 + ROWS, ROWS, &err));
        store_close(s);
        do_damage(io, (enum damage)d);
        assert_int_equal(open_with(io, false, true, &s), ERR_CORRUPT);
        struct verify_report rep = { 0 };
        assert_int_equal(store_verify(io, &rep, &err), ERR_CORRUPT);
        for (int round = 0; round < 2; round++) {
            s = open_store(io);
            assert_non_null(strstr(said, "batch file 1"));
            expect_rows(s, 5 + ROWS);
            assert_false(seen[5]);
            assert_int_equal(kit_status(s).corruptions, 1);
            struct arena a;
            struct store_gap *g;
            uint32_t n;
            arena_init(&a, 1u << 20);
            ok(store_gaps(s, &a, &g, &n, &err));
            assert_int_equal(n, 1); /* on record once, however often it is met */
            assert_int_equal(g[0].first_seq, 6);
            assert_int_equal(g[0].last_seq, 5 + ROWS);
            assert_true(g[0].bytes > BIG);
            arena_deinit(&a);
            store_close(s);
        }
        s = open_store(io);
        assert_int_equal(kit_status(s).next_seq, 6 + 2 * ROWS);
        ok(store_flush(s, &err));
        assert_false(exists(io, BIG_1) || exists(io, BIG_2));
        store_close(s);
        s = open_store(io);
        expect_rows(s, 5 + ROWS);
        store_close(s);
        io_free(io);
    }
}

/* The frame that refers to it is damaged: the file is kept as long as the damaged log. */
static void test_damaged_reference(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = open_store(io);
    ok(kit_append(s, 0, ROWS, &err));
    ok(kit_append(s, ROWS, 5, &err));
    store_close(s);
    assert_true(io_mem_flip(io, WAL_1, 64 + 20, 1));
    s = open_store(io);
    assert_non_null(strstr(said, "kept, because the log is damaged"));
    expect_rows(s, 5);
    assert_true(exists(io, BIG_1));
    ok(store_flush(s, &err));
    assert_false(exists(io, BIG_1));
    store_close(s);
    io_free(io);
}

/* ---- refusals ---- */

static void test_write_fails(void **state)
{
    (void)state;
    for (enum io_op op = 0; op < IO_OP__N; op++) {
        if (op != IO_OP_OPEN && op != IO_OP_WRITE && op != IO_OP_SYNC && op != IO_OP_SYNCDIR)
            continue;
        struct io *mem = kit_disk(), *io;
        ok(io_faulty_new(&io, mem, &err));
        struct store *s = open_store(io);
        ok(kit_append(s, 0, 5, &err));
        io_faulty_set(io, op, 1, ERR_IO, false);
        assert_int_equal(kit_append(s, 5, ROWS, &err), ERR_IO);
        bool final = op == IO_OP_SYNC || op == IO_OP_SYNCDIR;
        assert_int_equal(kit_status(s).writer_failed, final);
        assert_int_equal(kit_append(s, 5, 3, &err), final ? ERR_IO : 0);
        assert_int_equal(kit_append(s, 8, ROWS, &err), final ? ERR_IO : 0);
        expect_rows(s, final ? 5 : 8 + ROWS);
        assert_int_equal(kit_status(s).queue_bytes, 0);
        assert_false(exists(mem, BIG_1));
        store_close(s);
        s = open_store(io);
        expect_rows(s, final ? 5 : 8 + ROWS);
        ok(kit_append(s, 8 + ROWS, ROWS, &err));
        store_close(s);
        io_free(io);
        io_free(mem);
    }
}

/* One that would go below the reserve is refused; smaller ones are still taken. */
static void test_reserve(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store_config cfg;
    struct store *s;
    store_config_default(&cfg);
    cfg.big_batch_bytes = BIG;
    size_t ahead = 256u << 10; /* the log writes zeros so far ahead */
    cfg.reserve_bytes = (16u << 20) - ahead - 30000;
    io_mem_set_space(io, 16u << 20);
    ok(store_open(&s, io, &cfg, &err));
    ok(kit_append(s, 0, ROWS, &err));
    assert_int_equal(kit_append(s, ROWS, 3000, &err), ERR_FULL);
    assert_false(kit_status(s).disk_full);
    ok(kit_append(s, ROWS, 5, &err));
    io_mem_set_space(io, 64u << 20);
    ok(kit_append(s, ROWS + 5, 3000, &err));
    expect_rows(s, 3005 + ROWS);
    store_close(s);
    io_free(io);
}

/* While 64 MiB of them are under way more are refused, small ones are not. */
static void test_queue(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    io_faulty_hold(io, IO_OP_SYNC, ".big");
    struct store *s = open_store(io);
    enum { N = 4 };
    struct sent w[N];
    size_t n = 20u << 20;
    for (int i = 0; i < N; i++) {
        w[i] = (struct sent){ .a = { .rows = 1, .done = on_done, .user = &w[i], .payload_n = n },
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .cond = PTHREAD_COND_INITIALIZER };
        w[i].a.payload = mem_alloc(n);
        assert_non_null(w[i].a.payload);
        io->ops->random(io, w[i].a.payload, n);
        store_append(s, &w[i].a);
    }
    assert_true(is_done(&w[3]));
    assert_int_equal(w[3].a.rc, ERR_BUSY);
    ok(kit_append(s, 0, 5, &err));
    assert_int_equal(kit_status(s).queue_batches, 3);
    assert_int_equal(kit_status(s).queue_bytes, 3 * n);
    io_faulty_set(io, IO_OP_WRITE, 1, ERR_IO, true); /* noise is no batch: let them fail */
    io_faulty_hold(io, IO_OP_SYNC, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(await(&w[i]), ERR_IO);
    assert_int_equal(kit_status(s).queue_bytes, 0);
    store_close(s);
    io_free(io);
    io_free(mem);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    err = (struct err)ERR_INIT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overtaken),   cmocka_unit_test(test_true_size),
        cmocka_unit_test(test_life),        cmocka_unit_test(test_close),
        cmocka_unit_test(test_idempotency), cmocka_unit_test(test_orphan),
        cmocka_unit_test(test_damage),      cmocka_unit_test(test_damaged_reference),
        cmocka_unit_test(test_write_fails), cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
