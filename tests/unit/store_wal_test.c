/* store_wal_test.c: damage in the log, and how much of it can be told from a torn tail
 * (docs/format/wal.md, "Reading back"). A store "dies" when its disk refuses everything from one
 * moment on, and what was not synced is then lost. */
#include "store_kit.h"

#include <sched.h>

#include "base/hash.h"
#include "base/rd.h"

#define MAX 1000
#define ROWS 25
#define WAL_1 "wal/000000000001.wal"
#define WAL_2 "wal/000000000002.wal"
#define FRAME 88 /* bytes of a frame's header */
#define HEAD 64  /* bytes of a file's */

static uint8_t seen[MAX];
static struct err err;

static void ok(int rc)
{
    kit_ok(rc, &err);
}

/* kills it: nothing it does on the way out reaches the disk */
static void die(struct store *s, struct io *io)
{
    io_faulty_set(io, IO_OP__N, 1, ERR_IO, true);
    store_close(s);
    io_faulty_set(io, IO_OP__N, 0, 0, false);
}

static void expect_rows(struct store *s, uint64_t n)
{
    int64_t got = kit_read_all(s, NULL, seen, MAX, &err);
    if (got < 0)
        fail_msg("read: %s", err.msg);
    assert_int_equal(got, n);
}

/* one gap record: these numbers, or none at all (0, 0) */
static void expect_gap(struct store *s, uint64_t first, uint64_t last, const char *why)
{
    struct arena a;
    struct store_gap *g;
    uint32_t n;
    arena_init(&a, 1u << 20);
    ok(store_gaps(s, &a, &g, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(kit_status(s).gaps, 1);
    assert_int_equal(g[0].first_seq, first);
    assert_int_equal(g[0].last_seq, last);
    assert_string_equal(g[0].reason, why);
    arena_deinit(&a);
}

static uint64_t next_base(struct store *s)
{
    char *p = NULL;
    size_t n = 0;
    uint64_t base;
    ok(kit_payload(500, 1, &p, &n, &err));
    ok(store_append_wait(s, p, n, 1, &base, &err));
    return base;
}

#define DAMAGED "damaged write-ahead log"
#define MISSING "missing write-ahead log file"

enum part { IN_HEADER, IN_PAYLOAD };

static void damage_first(struct io *mem, const char *path, enum part part)
{
    assert_true(io_mem_flip(mem, path, HEAD + (part == IN_HEADER ? 20 : FRAME + 200), 3));
}

/* The only frame of a log that was closed in order. */
static void test_after_close(void **state)
{
    (void)state;
    for (int part = IN_HEADER; part <= IN_PAYLOAD; part++) {
        struct io *io = kit_disk();
        struct store *s = kit_open(io, 1u << 20);
        ok(kit_append(s, 0, ROWS, &err));
        store_close(s);
        damage_first(io, WAL_1, (enum part)part);
        struct store_config cfg;
        store_config_default(&cfg);
        cfg.reserve_bytes = 0;
        cfg.recovery_strict = true;
        assert_int_equal(store_open(&s, io, &cfg, &err), ERR_CORRUPT);
        struct verify_report rep = { 0 };
        assert_int_equal(store_verify(io, &rep, &err), ERR_CORRUPT);
        for (int round = 0; round < 3; round++) {
            s = kit_open(io, 1u << 20);
            assert_int_equal(kit_status(s).corruptions, 1);
            expect_rows(s, round ? 1 : 0);
            expect_gap(s, 1, ROWS, DAMAGED);
            if (round == 0)
                assert_int_equal(next_base(s), ROWS + 1); /* none is given twice */
            store_close(s);
        }
        io_free(io);
    }
}

/* The only frame of a log that was not closed, after one more start. */
static void test_after_start(void **state)
{
    (void)state;
    for (int part = IN_HEADER; part <= IN_PAYLOAD; part++) {
        struct io *mem = kit_disk(), *io;
        ok(io_faulty_new(&io, mem, &err));
        struct store *s = kit_open(io, 1u << 20);
        ok(kit_append(s, 0, ROWS, &err));
        die(s, io);
        io_mem_crash(mem, 1);
        s = kit_open(io, 1u << 20);
        expect_rows(s, ROWS);
        die(s, io);
        io_mem_crash(mem, 2);
        damage_first(mem, WAL_1, (enum part)part);
        uint64_t last = part == IN_PAYLOAD ? ROWS : 1ull << 32; /* its header tells its rows */
        for (int round = 0; round < 3; round++) {
            s = kit_open(io, 1u << 20);
            assert_int_equal(kit_status(s).corruptions, 1);
            expect_rows(s, round == 2 ? 1 : 0);
            expect_gap(s, 1, last, DAMAGED);
            if (round == 1)
                assert_int_equal(next_base(s), last + 1);
            die(s, io);
            io_mem_crash(mem, 3);
        }
        io_free(io);
        io_free(mem);
    }
}

/* What cannot be told: the last group of a store that died, damaged before the next start. */
static void test_last_group(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    struct store *s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    ok(kit_append(s, ROWS, ROWS, &err));
    die(s, io);
    struct io_file *f;
    char stored[4];
    size_t got;
    ok(mem->ops->open(mem, &f, WAL_1, IO_READ, &err));
    ok(f->io->ops->pread(f, stored, sizeof stored, HEAD + 8, &got, &err));
    io_close(f);
    uint64_t second = HEAD + FRAME + get_le32(stored);
    assert_true(io_mem_flip(mem, WAL_1, second + FRAME + 20, 0)); /* in its payload */
    s = kit_open(io, 1u << 20);
    expect_rows(s, ROWS);
    assert_int_equal(kit_status(s).corruptions, 0);
    expect_gap(s, ROWS + 1, ROWS + 65536, "unacknowledged tail of the log");
    store_close(s);
    io_free(io);
    io_free(mem);
}

/* A second after the last group the log says that it was durable. */
static void test_idle(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    struct store *s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    assert_int_equal(kit_status(s).wal_groups, 1);
    io_mem_advance(mem, 2 * NS_PER_S);
    while (kit_status(s).wal_groups < 2)
        sched_yield();
    die(s, io);
    io_mem_crash(mem, 1);
    damage_first(mem, WAL_1, IN_PAYLOAD);
    s = kit_open(io, 1u << 20);
    assert_int_equal(kit_status(s).corruptions, 1);
    expect_gap(s, 1, ROWS, DAMAGED);
    store_close(s);
    io_free(io);
    io_free(mem);
}

static void count_log(void *arg, const char *name, bool is_dir)
{
    *(uint64_t *)arg += !is_dir && strlen(name) > 4 && !strcmp(name + strlen(name) - 4, ".wal");
}

static void expect_files(struct store *s, struct io *io, uint64_t want)
{
    uint64_t n = 0;
    ok(io->ops->list(io, "wal", count_log, &n, &err));
    assert_int_equal(n, want);
    assert_int_equal(kit_status(s).wal_files, want);
}

/* The status counts the log's files: through flushes, failed ones, files that could not be removed,
 * and starts. */
static void test_files_are_counted(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    struct store *s = kit_open(io, 1u << 20);
    expect_files(s, mem, 1);
    ok(kit_append(s, 0, ROWS, &err));
    ok(store_flush(s, &err));
    expect_files(s, mem, 1);
    ok(kit_append(s, ROWS, ROWS, &err));
    io_faulty_set(io, IO_OP_RENAME, 1, ERR_IO, true);
    assert_true(store_flush(s, &err) < 0);
    err_reset(&err);
    expect_files(s, mem, 2); /* the frozen entries' and the next one */
    store_close(s);
    io_faulty_set(io, IO_OP_RENAME, 0, 0, false);
    s = kit_open(io, 1u << 20);
    expect_files(s, mem, 3);
    io_faulty_set(io, IO_OP_UNLINK, 1, ERR_IO, true);
    ok(store_flush(s, &err));
    expect_files(s, mem, 4);
    io_faulty_set(io, IO_OP_UNLINK, 0, 0, false);
    store_close(s);
    s = kit_open(io, 1u << 20);
    expect_files(s, mem, 2); /* the flushed are gone; the empty one of the last start stays */
    store_close(s);
    io_free(io);
    io_free(mem);
}

/* A file that is gone is missed: by the one after it, or by the manifest. */
static void test_missing(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    store_close(s);
    s = kit_open(io, 1u << 20);
    ok(kit_append(s, ROWS, ROWS, &err));
    store_close(s);
    ok(io->ops->unlink(io, WAL_1, &err));
    for (int round = 0; round < 2; round++) {
        s = kit_open(io, 1u << 20);
        assert_int_equal(kit_status(s).corruptions, 1);
        expect_rows(s, ROWS);
        expect_gap(s, 1, ROWS, MISSING);
        store_close(s);
    }
    io_free(io);

    io = kit_disk();
    s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    ok(store_flush(s, &err));
    ok(kit_append(s, ROWS, ROWS, &err));
    store_close(s);
    ok(io->ops->unlink(io, WAL_2, &err));
    s = kit_open(io, 1u << 20);
    assert_int_equal(kit_status(s).corruptions, 1);
    expect_rows(s, ROWS);
    expect_gap(s, ROWS + 1, ROWS + (1ull << 32), MISSING);
    assert_true(next_base(s) > 2 * ROWS);
    store_close(s);
    io_free(io);
}

/* Bytes behind the durable end of a file that has a successor were never acknowledged, however
 * intact they are: a group whose write failed late. */
static void test_behind_the_end(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    struct store *s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    ok(kit_append(s, ROWS, ROWS, &err));
    die(s, io);
    s = kit_open(io, 1u << 20);
    expect_rows(s, 2 * ROWS);
    ok(kit_append(s, 2 * ROWS, ROWS, &err)); /* so the second file is in use */
    die(s, io);
    char *p;
    size_t n;
    ok(io_read_file(mem, WAL_1, 1u << 20, &p, &n, &err));
    uint64_t end = HEAD + FRAME + get_le32(p + HEAD + 8);
    mem_free(p);
    ok(io_read_file(mem, WAL_2, 1u << 20, &p, &n, &err));
    assert_true(get_le64(p + 40) > end);
    put_le64(p + 40, end);
    put_le32(p + 60, crc32c(0, p, 60));
    ok(io_write_file(mem, WAL_2, str_n(p, n), &err));
    mem_free(p);
    s = kit_open(io, 1u << 20);
    expect_rows(s, 2 * ROWS);
    assert_true(seen[0] && !seen[ROWS] && seen[2 * ROWS]);
    assert_int_equal(kit_status(s).corruptions, 0);
    store_close(s);
    io_free(io);
    io_free(mem);
}

/* A new file could not be begun: the log goes on in the old one, and what the leftover says of it
 * is out of date. */
static void test_failed_roll(void **state)
{
    (void)state;
    struct io *mem = kit_disk(), *io;
    ok(io_faulty_new(&io, mem, &err));
    struct store *s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    io_faulty_set(io, IO_OP_SYNCDIR, 1, ERR_IO, false);
    assert_int_equal(store_flush(s, &err), ERR_IO);
    ok(kit_append(s, ROWS, ROWS, &err));
    die(s, io);
    s = kit_open(io, 1u << 20);
    expect_rows(s, 2 * ROWS);
    die(s, io);
    char *p;
    size_t n;
    ok(io_read_file(mem, WAL_1, 1u << 20, &p, &n, &err));
    uint64_t second = HEAD + FRAME + get_le32(p + HEAD + 8);
    mem_free(p);
    assert_true(io_mem_flip(mem, WAL_1, second + FRAME + 100, 0));
    s = kit_open(io, 1u << 20);
    assert_int_equal(kit_status(s).corruptions, 1); /* the file of the second start tells */
    expect_rows(s, ROWS);
    expect_gap(s, ROWS + 1, 2 * ROWS, DAMAGED);
    store_close(s);
    io_free(io);
    io_free(mem);
}

/* A copy under another name of the same number is no file of the log. */
static void test_names(void **state)
{
    (void)state;
    static const char *const others[] = { "wal/0000000000001.wal", "wal/1.wal",
                                          "wal/000000000001.wal.bak", "wal/00000000000x.wal" };
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 1u << 20);
    ok(kit_append(s, 0, ROWS, &err));
    store_close(s);
    char *p;
    size_t n;
    ok(io_read_file(io, WAL_1, 1u << 20, &p, &n, &err));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ok(io_write_file(io, others[i], str_n(p, n), &err));
    mem_free(p);
    s = kit_open(io, 1u << 20);
    expect_rows(s, ROWS);
    ok(store_flush(s, &err));
    store_close(s);
    s = kit_open(io, 1u << 20);
    expect_rows(s, ROWS);
    store_close(s);
    io_free(io);
}

/* After a kill the tail may be in the system's memory only. Once a start has shown it, the power
 * cannot take it back. */
static void test_shown_is_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct io *mem = kit_disk(), *io;
        ok(io_faulty_new(&io, mem, &err));
        struct store_config cfg;
        struct store *s;
        store_config_default(&cfg);
        cfg.reserve_bytes = 0;
        cfg.no_fsync = true; /* stands for a kill between write and sync */
        ok(store_open(&s, io, &cfg, &err));
        ok(kit_append(s, 0, ROWS, &err));
        die(s, io);
        s = kit_open(io, 1u << 20);
        expect_rows(s, ROWS);
        die(s, io);
        io_mem_crash(mem, seed);
        s = kit_open(io, 1u << 20);
        expect_rows(s, ROWS);
        store_close(s);
        io_free(io);
        io_free(mem);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    err = (struct err)ERR_INIT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_close),
        cmocka_unit_test(test_after_start),
        cmocka_unit_test(test_last_group),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_files_are_counted),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_behind_the_end),
        cmocka_unit_test(test_failed_roll),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_shown_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
