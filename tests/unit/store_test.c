/* store_test.c: the columnar store through its interface, on a disk in memory. */
#include "store_kit.h"

#include <sched.h>

#include "model/ident.h"

#define MAX 60000
static uint8_t seen[MAX];

static void expect_all(struct store *s, uint64_t n)
{
    struct err err = ERR_INIT;
    int64_t got = kit_read_all(s, NULL, seen, MAX, &err);
    if (got < 0)
        fail_msg("read: %s", err.msg);
    assert_int_equal(got, n);
    for (uint64_t i = 0; i < n; i++)
        assert_true(seen[i]);
    uint64_t entries, agents;
    store_counts(s, &entries, &agents);
    assert_int_equal(entries, n);
    assert_int_equal(agents, n < 7 ? n : 7);
}

static void append(struct store *s, uint64_t first, uint32_t n)
{
    struct err err = ERR_INIT;
    if (kit_append(s, first, n, &err))
        fail_msg("append: %s", err.msg);
}

/* the same rows, whatever has become of them */
static void test_states(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    expect_all(s, 0);
    append(s, 0, 1);
    append(s, 1, 9999);
    for (uint64_t k = 10000; k < 11500; k++)
        append(s, k, 1);
    expect_all(s, 11500);
    kit_ok(store_flush(s, &err), &err);
    expect_all(s, 11500);
    append(s, 11500, 20000);
    kit_ok(store_flush(s, &err), &err);
    append(s, 31500, 500);
    expect_all(s, 32000);
    store_close(s);
    s = kit_open(io, 24u << 20);
    expect_all(s, 32000);
    kit_ok(store_flush(s, &err), &err);
    kit_ok(store_merge(s, &err), &err);
    expect_all(s, 32000);
    struct store_status st;
    store_get_status(s, &st);
    assert_int_equal(st.segments, 1);
    assert_int_equal(st.segment_rows, 32000);
    store_close(s);
    s = kit_open(io, 24u << 20);
    expect_all(s, 32000);
    store_close(s);
    struct verify_report rep = { 0 };
    kit_ok(store_verify(io, &rep, &err), &err);
    assert_int_equal(rep.rows, 32000);
    assert_int_equal(rep.problems, 0);
    io_free(io);
}

/* notes the rows of a block by their numbers in the log */
static void note_seqs(const struct scan_block *b, bool *have)
{
    struct err err = ERR_INIT;
    for (uint32_t r = 0; r < b->block->n; r++) {
        struct val v;
        if (!bit_get(b->sel, r))
            continue;
        kit_ok(block_get_field(b->block, r, F_SEQ, &v, &err), &err);
        have[v.i] = true;
    }
}

/* Scans by sequence number that are paused at once, each from where the one before had got to: all
 * get on, and what they have passed they have given. */
static void test_paused(void **state)
{
    (void)state;
    static bool have[9011];
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    const volatile int pause = 1;
    uint64_t after = 0;
    int scans = 0;
    append(s, 0, 9000);
    kit_ok(store_flush(s, &err), &err);
    for (uint64_t k = 9000; k < 9010; k++)
        append(s, k, 1);
    for (; after < 9010; scans++) {
        struct scan_plan plan = { .order = SCAN_SEQ, .seq_after = after, .pause = &pause };
        struct scan_block b;
        struct scan *sc;
        int rc;
        memset(have, 0, sizeof have);
        kit_ok(store_scan(s, &plan, &sc, &err), &err);
        while ((rc = scan_next(sc, &b, &err)) == 0)
            note_seqs(&b, have);
        assert_true(rc == 1 || rc == ERR_CANCELED);
        err_reset(&err);
        assert_true(scan_reached(sc) > after + 1);
        while (after + 1 < scan_reached(sc))
            assert_true(have[++after]);
        scan_close(sc);
    }
    assert_true(scans > 10);
    store_close(s);
    io_free(io);
}

/* a small memtable: flushes and merges happen by themselves while rows come in */
static void test_background(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 64u << 10);
    for (uint64_t k = 0; k < 50000; k += 500) {
        struct err err = ERR_INIT;
        int rc;
        while ((rc = kit_append(s, k, 500, &err)) == ERR_BUSY)
            err_reset(&err);
        kit_ok(rc, &err);
    }
    expect_all(s, 50000);
    struct err err = ERR_INIT;
    kit_ok(store_flush(s, &err), &err);
    struct store_status st;
    store_get_status(s, &st);
    assert_true(st.flushes > 3);
    expect_all(s, 50000);
    store_close(s);
    s = kit_open(io, 64u << 10);
    expect_all(s, 50000);
    store_close(s);
    io_free(io);
}

static void test_filters(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    append(s, 0, 30000);
    struct arena a;
    arena_init(&a, 1u << 20);
    for (int flushed = 0; flushed < 2; flushed++) {
        assert_int_equal(kit_read_all(s, pred_eq(&a, F_AGENT, STR("agent-3")), seen, MAX, &err),
                         30000 / 7 + (30000 % 7 > 3));
        assert_int_equal(kit_read_all(s, pred_level_min(&a, LV_ERROR), seen, MAX, &err), 10000);
        assert_int_equal(
            kit_read_all(s, pred_substr(&a, F_MESSAGE, STR("number 2999 "), true), seen, MAX, &err),
            1);
        assert_true(seen[2999]);
        assert_int_equal(kit_read_all(s, pred_eq(&a, F_AGENT, STR("nobody")), seen, MAX, &err), 0);
        int64_t in_second = 0;
        for (uint64_t k = 0; k < 30000; k++)
            in_second += kit_time(k) < KIT_T0 + NS_PER_S;
        assert_int_equal(kit_read_all(s, pred_time(&a, KIT_T0, KIT_T0 + NS_PER_S), seen, MAX, &err),
                         in_second);
        kit_ok(store_flush(s, &err), &err);
    }
    arena_deinit(&a);
    store_close(s);
    io_free(io);
}

static void test_delete(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    append(s, 0, 20000);
    kit_ok(store_flush(s, &err), &err);
    append(s, 20000, 1000);
    struct arena a;
    arena_init(&a, 1u << 20);
    struct pred *p = pred_eq(&a, F_AGENT, STR("agent-3"));
    uint64_t would, did, left = 0;
    kit_ok(store_delete(s, p, true, &would, &err), &err);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 21000);
    kit_ok(store_delete(s, p, false, &did, &err), &err);
    assert_int_equal(would, 3000);
    assert_int_equal(did, 3000);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 18000);
        for (uint64_t k = 0; k < 21000; k++)
            assert_int_equal(seen[k], k % 7 != 3);
        store_counts(s, &left, &would);
        assert_int_equal(left, 18000);
        if (round == 1)
            kit_ok(store_merge(s, &err), &err);
        store_close(s);
        s = kit_open(io, 24u << 20);
    }
    kit_ok(store_delete(s, pred_true(&a), false, &did, &err), &err);
    assert_int_equal(did, 18000);
    store_close(s);
    s = kit_open(io, 24u << 20);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 0);
    append(s, 5, 1);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 1);
    arena_deinit(&a);
    store_close(s);
    io_free(io);
}

static void test_marks(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    append(s, 0, 100);
    struct arena a;
    arena_init(&a, 1u << 20);
    struct mark m[2] = { { 10, true, STR("ann"), STR("known"), 5 },
                         { 20, true, STR("bob"), STR_NULL, 6 } };
    uint32_t applied;
    kit_ok(store_mark(s, m, 2, &applied, &err), &err);
    assert_int_equal(applied, 2);
    m[0].by = STR("eve");
    kit_ok(store_mark(s, m, 1, &applied, &err), &err);
    assert_int_equal(applied, 0);
    for (int round = 0; round < 4; round++) {
        struct mark got;
        assert_true(store_get_mark(s, 10, &a, &got));
        assert_true(str_eq(got.by, STR("ann")));
        assert_true(str_eq(got.note, STR("known")));
        assert_int_equal(kit_read_all(s, pred_resolved(&a, true), seen, MAX, &err), 2);
        assert_int_equal(kit_read_all(s, pred_resolved(&a, false), seen, MAX, &err), 98);
        if (round == 1)
            kit_ok(store_flush(s, &err), &err);
        if (round == 2)
            kit_ok(store_merge(s, &err), &err);
        store_close(s);
        s = kit_open(io, 24u << 20);
    }
    arena_deinit(&a);
    store_close(s);
    io_free(io);
}

struct idem_wait {
    struct append a;
    int done;
};

static void idem_done(struct append *a)
{
    __atomic_store_n(&((struct idem_wait *)a)->done, 1, __ATOMIC_RELEASE);
}

/* three rows */
static void make_append(uint64_t body, struct idem_wait *w)
{
    struct arena ar;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    arena_init(&ar, 1u << 24);
    buf_init(&out, 1u << 24);
    kit_ok(batch_new(&b, &ar, &err), &err);
    for (uint64_t k = 0; k < 3; k++)
        assert_true(kit_row(b, &ar, body * 3 + k));
    kit_ok(batch_encode(b, &out, &err), &err);
    *w = (struct idem_wait){ .a = { .rows = 3, .done = idem_done } };
    w->a.payload = buf_take(&out, &w->a.payload_n);
    arena_deinit(&ar);
}

static void wait_done(struct idem_wait *w)
{
    while (!__atomic_load_n(&w->done, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void start_idem(struct store *s, const char *key, uint64_t body, struct idem_wait *w)
{
    make_append(body, w);
    w->a.has_idem = true;
    w->a.body_hash = body;
    memcpy(w->a.idem, key, 16);
    store_append(s, &w->a);
}

static void send_idem(struct store *s, const char *key, uint64_t body, struct idem_wait *w)
{
    start_idem(s, key, body, w);
    wait_done(w);
}

/* A list is one group: one sync, sequence numbers in its order; what holds nothing is answered. */
static void test_append_list(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    struct idem_wait w[20];
    for (int round = 0; round < 10; round++) {
        struct store_status before, after;
        store_get_status(s, &before);
        for (uint64_t i = 0; i < 20; i++) {
            make_append((uint64_t)round * 20 + i, &w[i]);
            w[i].a.next = i < 19 ? &w[i + 1].a : NULL;
        }
        w[7].a.rows = 0;
        store_append_list(s, &w[0].a);
        for (int i = 0; i < 20; i++) {
            wait_done(&w[i]);
            assert_int_equal(w[i].a.rc, 0);
        }
        for (int i = 0; i < 20; i++)
            if (i != 7)
                assert_int_equal(w[i].a.base_seq, before.next_seq + 3u * (i < 7 ? i : i - 1));
        store_get_status(s, &after);
        assert_int_equal(after.wal_groups - before.wal_groups, 1);
        assert_int_equal(after.wal_syncs - before.wal_syncs, 1);
    }
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 10 * 19 * 3);
    store_append_list(s, NULL);
    store_close(s);
    io_free(io);
}

/* Two with one key in one group whose sync fails: neither is acknowledged. */
static void test_repeat_in_failed_group(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    struct err err = ERR_INIT;
    struct idem_wait before, first, again, other;
    kit_ok(io_faulty_new(&io, mem, &err), &err);
    io_faulty_hold(io, IO_OP_OPEN, "1.wal"); /* the store itself opens unhindered */
    struct store *s = kit_open(io, 24u << 20);
    io_faulty_hold(io, IO_OP_SYNC, "1.wal");
    start_idem(s, "0000000000000000", 1, &before); /* keeps the writer busy */
    io_faulty_await(io, 1);
    start_idem(s, "0123456789abcdef", 2, &first);
    start_idem(s, "0123456789abcdef", 2, &again);
    start_idem(s, "0123456789abcdef", 3, &other);
    io_faulty_set(io, IO_OP_SYNC, 2, ERR_IO, true);
    io_faulty_hold(io, IO_OP_SYNC, NULL);
    wait_done(&before);
    wait_done(&first);
    wait_done(&again);
    wait_done(&other);
    assert_int_equal(before.a.rc, 0);
    assert_int_equal(first.a.rc, ERR_IO);
    assert_int_equal(again.a.rc, ERR_IO);
    assert_int_equal(other.a.rc, ERR_IO);
    store_close(s);
    io_free(io);
    io_free(mem);
}

static void test_idempotency(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    struct idem_wait first, again;
    send_idem(s, "0123456789abcdef", 1, &first);
    assert_int_equal(first.a.rc, 0);
    assert_false(first.a.duplicate);
    for (int round = 0; round < 4; round++) {
        send_idem(s, "0123456789abcdef", 1, &again);
        assert_int_equal(again.a.rc, 0);
        assert_true(again.a.duplicate);
        assert_int_equal(again.a.base_seq, first.a.base_seq);
        send_idem(s, "0123456789abcdef", 2, &again);
        assert_int_equal(again.a.rc, ERR_CONFLICT);
        assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 3);
        if (round == 1)
            kit_ok(store_flush(s, &err), &err);
        store_close(s);
        s = kit_open(io, 24u << 20);
    }
    io_mem_advance(io, 25 * 3600ll * NS_PER_S);
    send_idem(s, "0123456789abcdef", 5, &again);
    assert_int_equal(again.a.rc, 0);
    assert_false(again.a.duplicate);
    store_close(s);
    io_free(io);
}

static uint64_t wal_bytes(struct io *io)
{
    struct io_file *f;
    struct err err = ERR_INIT;
    uint64_t n;
    kit_ok(io->ops->open(io, &f, "wal/000000000001.wal", IO_READ, &err), &err);
    kit_ok(f->io->ops->size(f, &n, &err), &err);
    io_close(f);
    return n;
}

/* Small groups are followed by zeros to write over, 256 KiB at a time; a failure there costs
 * nobody an acknowledgement, and after a crash there is no gap. */
static void test_wal_room(void **state)
{
    (void)state;
    const uint64_t room = 256u << 10;
    struct io *io = kit_disk(), *faulty;
    struct err err = ERR_INIT;
    kit_ok(io_faulty_new(&faulty, io, &err), &err);
    struct store *s = kit_open(faulty, 24u << 20);
    io_faulty_set(faulty, IO_OP_WRITE, 2, ERR_IO, false); /* 1: the frames, 2: the zeros */
    kit_ok(kit_append(s, 0, 10, &err), &err);
    assert_true(wal_bytes(io) < room);
    io_faulty_set(faulty, IO_OP_WRITE, 0, 0, false);
    kit_ok(kit_append(s, 10, 10, &err), &err);
    assert_int_equal(wal_bytes(io), room);
    kit_ok(kit_append(s, 20, 10, &err), &err);
    assert_int_equal(io_faulty_count(faulty), 3); /* there was room: one write */
    assert_int_equal(wal_bytes(io), room);
    io_mem_crash(io, 5);
    store_close(s);
    s = kit_open(io, 24u << 20);
    struct store_status st;
    store_get_status(s, &st);
    assert_int_equal(st.gaps, 0);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 30);
    store_close(s);
    io_free(faulty);
    io_free(io);
}

static void test_lock(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 1u << 20), *t = NULL;
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    kit_ok(store_set_url(s, "http://127.0.0.1:1", &err), &err);
    assert_int_equal(store_open(&t, io, &cfg, &err), ERR_BUSY);
    assert_non_null(strstr(err.msg, "http://127.0.0.1:1"));
    struct buf url;
    buf_init(&url, 1000);
    assert_true(store_lock_owner(io, &url));
    assert_true(str_eq(buf_str(&url), STR("http://127.0.0.1:1")));
    store_close(s);
    buf_reset(&url);
    assert_false(store_lock_owner(io, &url));
    buf_deinit(&url);
    s = kit_open(io, 1u << 20);
    append(s, 0, 10);
    store_close(s);
    cfg.read_only = true;
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 10);
    assert_int_equal(kit_append(s, 0, 1, &err), ERR_UNSUPPORTED);
    store_close(s);
    io_free(io);
}

static void test_retention(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    for (uint64_t day = 0; day < 5; day++) {
        append(s, day * 100, 100);
        kit_ok(store_flush(s, &err), &err);
        io_mem_advance(io, NS_PER_DAY);
    }
    store_set_retention(s, 2 * NS_PER_DAY, 0);
    kit_ok(store_retention_run(s, &err), &err);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 200);
    assert_true(seen[499] && seen[300] && !seen[299]);
    store_close(s);
    s = kit_open(io, 24u << 20);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 200);
    store_set_retention(s, 0, 1);
    kit_ok(store_retention_run(s, &err), &err);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 0);
    store_close(s);
    io_free(io);
}

static void test_ids(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 24u << 20);
    append(s, 0, 50);
    for (int round = 0; round < 2; round++) {
        struct scan *sc;
        struct scan_block sb;
        kit_ok(store_scan(s, &(struct scan_plan){ 0 }, &sc, &err), &err);
        while (scan_next(sc, &sb, &err) == 0)
            for (uint32_t i = 0; i < sb.block->n; i++) {
                struct val id, seq;
                uint64_t found;
                kit_ok(block_get_field(sb.block, i, F_ID, &id, &err), &err);
                kit_ok(block_get_field(sb.block, i, F_SEQ, &seq, &err), &err);
                assert_int_equal(id.s.n, ID_TEXT);
                kit_ok(store_find_id(s, id.s, &found, &err), &err);
                assert_int_equal(found, seq.i);
            }
        scan_close(sc);
        uint64_t found;
        assert_int_equal(
            store_find_id(s, STR("01890000-0000-7000-8000-000000000000"), &found, &err),
            ERR_NOTFOUND);
        kit_ok(store_flush(s, &err), &err);
    }
    store_close(s);
    io_free(io);
}

static void test_disk_full(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    io_mem_set_space(io, 12u << 20);
    struct store *s = kit_open(io, 1u << 20);
    uint64_t k = 0;
    int rc = 0;
    while (!rc && k < 50000) {
        rc = kit_append(s, k, 250, &err);
        k += rc ? 0 : 250;
        if (rc == ERR_BUSY)
            rc = 0;
    }
    if (rc)
        assert_int_equal(rc, ERR_FULL);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), k);
    io_mem_set_space(io, 1u << 30);
    err_reset(&err);
    kit_ok(kit_append(s, k, 1, &err), &err); /* resumes by itself */
    store_close(s);
    s = kit_open(io, 1u << 20);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), k + 1);
    store_close(s);
    io_free(io);
}

/* A start on a disk without a byte left: searches work, nothing is accepted until there is space.
 */
static void test_start_on_full_disk(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = kit_open(io, 1u << 20);
    kit_ok(kit_append(s, 0, 250, &err), &err);
    store_close(s);
    io_mem_set_space(io, 0);
    s = kit_open(io, 1u << 20);
    assert_true(kit_status(s).disk_full);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 250);
    assert_int_equal(kit_append(s, 250, 1, &err), ERR_FULL);
    assert_int_equal(store_flush(s, &err), ERR_FULL);
    store_close(s);
    s = kit_open(io, 1u << 20); /* the same again, nothing having changed */
    io_mem_set_space(io, 1u << 30);
    err_reset(&err);
    kit_ok(kit_append(s, 250, 1, &err), &err);
    assert_false(kit_status(s).disk_full);
    store_close(s);
    s = kit_open(io, 1u << 20);
    assert_int_equal(kit_read_all(s, NULL, seen, MAX, &err), 251);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_idempotency),
        cmocka_unit_test(test_repeat_in_failed_group),
        cmocka_unit_test(test_append_list),
        cmocka_unit_test(test_wal_room),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_start_on_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
