/* store_flush_test.c: what a flush promises: memory within its bound while it runs behind, room
 * given back piece by piece, nothing lost when it is cut short between pieces. */
#include "store_kit.h"

#include <pthread.h>
#include <sched.h>

#include "store/columnar/impl.h"

#define MAX 20000
static uint8_t seen[MAX];

static struct io *faulty(struct io *inner)
{
    struct io *io;
    struct err err = ERR_INIT;
    kit_ok(io_faulty_new(&io, inner, &err), &err);
    return io;
}

/* rows first .. first + n - 1 as a payload */
static char *payload(uint64_t first, uint32_t n, size_t *ret_n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    kit_ok(batch_new(&b, &a, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        assert_true(kit_row(b, &a, first + i));
    kit_ok(batch_encode(b, &out, &err), &err);
    arena_deinit(&a);
    return buf_take(&out, ret_n);
}

static uint64_t in_memory(struct store *s)
{
    struct store_status st;
    store_get_status(s, &st);
    return st.memtable_bytes + st.frozen_bytes;
}

/* ---- the bound ---- */

#define MEMTABLE ((size_t)128 << 10)

struct watch {
    struct store *s;
    uint64_t most;
};

static void on_durable(void *ctx, str bytes, uint64_t base_seq, ts_ns received_at)
{
    struct watch *w = ctx;
    (void)bytes;
    (void)base_seq;
    (void)received_at;
    uint64_t now = w->s ? in_memory(w->s) : 0;
    w->most = now > w->most ? now : w->most;
}

static struct store *open_watched(struct io *io, struct watch *w)
{
    struct store_config cfg;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.memtable_bytes = MEMTABLE;
    cfg.on_durable = on_durable;
    cfg.on_durable_ctx = w;
    *w = (struct watch){ 0 };
    kit_ok(store_open(&w->s, io, &cfg, &err), &err);
    return w->s;
}

/* the same batch again and again; 0 or ERR_BUSY */
static int append_copy(struct store *s, const char *bytes, size_t n, uint32_t rows)
{
    struct err err = ERR_INIT;
    char *copy = mem_alloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    int rc = store_append_wait(s, copy, n, rows, NULL, &err);
    if (rc != ERR_BUSY)
        kit_ok(rc, &err);
    return rc;
}

/* Batches that take far less time to append than to flush: writers wait, memory does not grow. */
static void test_bound(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct watch w;
    struct store *s = open_watched(io, &w);
    size_t n;
    char *bytes = payload(0, 500, &n);
    uint64_t rows = 0, entries, agents;
    for (int i = 0; i < 300; i++)
        rows += append_copy(s, bytes, n, 500) == 0 ? 500 : 0;
    assert_true(w.most > MEMTABLE);
    assert_true(w.most < 2 * MEMTABLE + 2 * n);
    store_counts(s, &entries, &agents);
    assert_int_equal(entries, rows);
    kit_ok(store_flush(s, &err), &err);
    store_counts(s, &entries, &agents);
    assert_int_equal(entries, rows);
    assert_int_equal(in_memory(s), 0);
    store_close(s);
    mem_free(bytes);
    io_free(io);
}

/* No flush succeeds: entries are taken up to the bound, then refused, and taken again afterwards.
 */
static void test_refused(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io = faulty(mem);
    struct err err = ERR_INIT;
    struct watch w;
    struct store *s = open_watched(io, &w);
    size_t n;
    char *bytes = payload(0, 500, &n);
    uint64_t rows = 0, entries, agents;
    io_faulty_set(io, IO_OP_RENAME, 1, ERR_IO, true); /* a segment gets its name last */
    while (append_copy(s, bytes, n, 500) == 0) {
        rows += 500;
        assert_true(rows * n / 500 < 4 * MEMTABLE);
    }
    assert_true(w.most > MEMTABLE);
    assert_true(w.most < 2 * MEMTABLE + 2 * n);
    io_faulty_set(io, IO_OP_RENAME, 0, 0, false);
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(append_copy(s, bytes, n, 500), 0);
    store_counts(s, &entries, &agents);
    assert_int_equal(entries, rows + 500);
    store_close(s);
    mem_free(bytes);
    io_free(io);
    io_free(mem);
}

/* Memory is full of large batches and no flush succeeds: single entries go on, to half a memtable
 * more, and again once there was room. */
static void test_small_go_on(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io = faulty(mem);
    struct err err = ERR_INIT;
    struct watch w;
    struct store *s = open_watched(io, &w);
    size_t n, one_n;
    char *bytes = payload(0, 500, &n), *one = payload(0, 1, &one_n);
    assert_true(n > SMALL_GROUP && one_n < 1000);
    for (int round = 0; round < 2; round++) {
        size_t more = 0;
        io_faulty_set(io, IO_OP_RENAME, 1, ERR_IO, true);
        while (append_copy(s, bytes, n, 500) == 0)
            assert_true(w.most < 4 * MEMTABLE);
        while (append_copy(s, one, one_n, 1) == 0)
            more += one_n;
        assert_true(more <= MEMTABLE / 2 && more > MEMTABLE / 2 - 2 * one_n);
        io_faulty_set(io, IO_OP_RENAME, 0, 0, false);
        kit_ok(store_flush(s, &err), &err);
    }
    store_close(s);
    mem_free(bytes);
    mem_free(one);
    io_free(io);
    io_free(mem);
}

/* ---- pieces ---- */

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

static void send_keyed(struct store *s, const char *key, uint64_t first, uint32_t n, struct sent *w)
{
    *w = (struct sent){ .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
    w->a.payload = payload(first, n, &w->a.payload_n);
    w->a.rows = n;
    w->a.has_idem = true;
    memcpy(w->a.idem, key, 16);
    w->a.body_hash = first;
    w->a.done = on_done;
    w->a.user = w;
    store_append(s, &w->a);
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    assert_int_equal(w->a.rc, 0);
}

static void expect_all(struct store *s, uint64_t n)
{
    struct err err = ERR_INIT;
    int64_t got = kit_read_all(s, NULL, seen, MAX, &err);
    if (got < 0)
        fail_msg("read: %s", err.msg);
    assert_int_equal(got, n);
}

/* The second piece of a memtable cannot be written: the first is a segment and out of memory, every
 * row is seen once, before and after a restart, and a batch of the first piece is still known by
 * its key, which no STATE file holds yet. */
static void test_cut_short(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io = faulty(mem);
    struct err err = ERR_INIT;
    struct sent w;
    struct store_status st;
    struct store *s = kit_open(io, 900u << 10);
    send_keyed(s, "0123456789abcdef", 0, 5000, &w);
    for (uint64_t k = 5000; k < 12000; k += 1000)
        kit_ok(kit_append(s, k, 1000, &err), &err);
    assert_true(in_memory(s) < 900u << 10); /* nothing was flushed so far */
    assert_true(in_memory(s) > 450u << 10);
    io_faulty_set(io, IO_OP_RENAME, 2, ERR_IO, true);
    assert_true(store_flush(s, &err) < 0);
    store_get_status(s, &st);
    assert_int_equal(st.segments, 1);
    assert_int_equal(st.segment_rows + st.memtable_rows, 12000);
    assert_true(st.memtable_rows > 0);
    expect_all(s, 12000);
    store_close(s);
    io_faulty_set(io, IO_OP_RENAME, 0, 0, false);
    for (int round = 0; round < 2; round++) {
        s = kit_open(io, 900u << 10);
        expect_all(s, 12000);
        send_keyed(s, "0123456789abcdef", 0, 5000, &w);
        assert_true(w.a.duplicate);
        err_reset(&err);
        kit_ok(store_flush(s, &err), &err);
        expect_all(s, 12000);
        store_close(s);
    }
    io_free(io);
    io_free(mem);
}

/* ---- merging what pieces leave behind ---- */

/* Eight small segments behind a large one are joined among themselves. */
static void test_large_is_left(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    struct store_status st;
    kit_ok(kit_append(s, 0, 70000, &err), &err);
    for (uint64_t k = 0; k < 8; k++) {
        kit_ok(store_flush(s, &err), &err);
        kit_ok(kit_append(s, 70000 + k * 10, 10, &err), &err);
    }
    kit_ok(store_flush(s, &err), &err);
    do { /* the background thread was woken by the flush */
        store_get_status(s, &st);
        sched_yield();
    } while (st.merges == 0);
    store_get_status(s, &st);
    assert_int_equal(st.segments, 2);
    assert_int_equal(st.segment_rows, 70080);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_small_go_on),   cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_large_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
