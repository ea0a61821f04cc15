/* io_test.c: one behaviour on all three ios; what a crash may and may not leave; injected faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/io.h"

static struct err e = ERR_INIT;

static struct io_file *open_ok(struct io *io, const char *path, int flags)
{
    struct io_file *f;
    if (io->ops->open(io, &f, path, flags, &e))
        fail_msg("%s: %s", path, e.msg);
    return f;
}

static int open_code(struct io *io, const char *path, int flags)
{
    struct io_file *f;
    int r = io->ops->open(io, &f, path, flags, &e);
    if (!r)
        io_close(f);
    return r;
}

static bool exists(struct io *io, const char *path)
{
    return open_code(io, path, IO_READ) == 0;
}

static void write_at(struct io_file *f, const char *text, uint64_t off)
{
    assert_int_equal(f->io->ops->pwrite(f, text, strlen(text), off, &e), 0);
}

static bool holds(struct io *io, const char *path, const char *want)
{
    char *p;
    size_t n;
    if (io_read_file(io, path, 1 << 20, &p, &n, &e))
        return false;
    bool same = n == strlen(want) && memcmp(p, want, n) == 0;
    mem_free(p);
    return same;
}

static void count_name(void *arg, const char *name, bool is_dir)
{
    int *n = arg;
    n[is_dir]++;
    assert_true(strchr(name, '/') == NULL);
}

/* what any io must do */
static void contract(struct io *io)
{
    struct io_file *f, *g;
    char got[64];
    size_t n;
    uint64_t size, room, total;
    assert_int_equal(open_code(io, "none", IO_READ), ERR_NOTFOUND);
    assert_int_equal(open_code(io, "no/dir", IO_WRITE | IO_CREATE), ERR_NOTFOUND);
    assert_int_equal(io->ops->mkdir(io, "d", &e), 0);
    assert_int_equal(io->ops->mkdir(io, "d", &e), 0);
    assert_int_equal(io->ops->mkdir(io, "x/y", &e), ERR_NOTFOUND);
    f = open_ok(io, "d/a", IO_WRITE | IO_CREATE | IO_EXCL);
    assert_int_equal(open_code(io, "d/a", IO_WRITE | IO_CREATE | IO_EXCL), ERR_IO);
    write_at(f, "hello", 0);
    write_at(f, "!", 1000);
    assert_int_equal(io->ops->pread(f, got, 64, 0, &n, &e), 0);
    assert_int_equal(n, 64);
    assert_memory_equal(got, "hello\0\0", 7);
    assert_int_equal(io->ops->pread(f, got, 64, 996, &n, &e), 0);
    assert_int_equal(n, 5);
    assert_int_equal(io->ops->pread(f, got, 64, 5000, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(io->ops->truncate(f, 3, &e), 0);
    assert_int_equal(io->ops->truncate(f, 8, &e), 0);
    assert_int_equal(io->ops->pread(f, got, 64, 0, &n, &e), 0);
    assert_int_equal(n, 8);
    assert_memory_equal(got, "hel\0\0\0\0\0", 8);
    assert_int_equal(io->ops->preallocate(f, 0, 100000, &e), 0);
    assert_int_equal(io->ops->size(f, &size, &e), 0);
    assert_int_equal(size, 8);
    assert_int_equal(io->ops->sync(f, &e), 0);
    io->ops->drop_cache(f);
    g = open_ok(io, "d/a", IO_READ);
    assert_int_equal(io->ops->pwrite(g, "x", 1, 0, &e), ERR_IO);
    io_close(g);

    g = open_ok(io, "d/a", IO_WRITE);
    assert_int_equal(io->ops->lock(f, true, &e), 0);
    assert_int_equal(io->ops->lock(g, true, &e), ERR_BUSY);
    assert_int_equal(io->ops->lock(g, false, &e), ERR_BUSY);
    assert_int_equal(io->ops->lock(f, false, &e), 0); /* made weaker */
    assert_int_equal(io->ops->lock(g, false, &e), 0);
    assert_int_equal(io->ops->lock(g, true, &e), ERR_BUSY);
    io_close(f);
    assert_int_equal(io->ops->lock(g, true, &e), 0);
    io_close(g);

    assert_int_equal(io_write_file(io, "d/b", STR("one"), &e), 0);
    assert_int_equal(io_write_file(io, "d/b", STR("two!"), &e), 0);
    assert_true(holds(io, "d/b", "two!"));
    char *p;
    assert_int_equal(io_read_file(io, "d/b", 3, &p, &n, &e), ERR_LIMIT);
    assert_int_equal(io_read_file(io, "d/none", 3, &p, &n, &e), ERR_NOTFOUND);
    assert_int_equal(io_write_file(io, "top", STR_NULL, &e), 0);
    assert_true(holds(io, "top", ""));
    assert_int_equal(io->ops->rename(io, "d/b", "c", &e), 0);
    assert_int_equal(io->ops->rename(io, "d/b", "c", &e), ERR_NOTFOUND);
    assert_int_equal(io->ops->rename(io, "c", "top", &e), 0);
    assert_true(holds(io, "top", "two!"));
    int names[2] = { 0, 0 };
    assert_int_equal(io->ops->list(io, ".", count_name, names, &e), 0);
    assert_int_equal(names[0], 1);
    assert_int_equal(names[1], 1);
    assert_int_equal(io->ops->list(io, "none", count_name, names, &e), ERR_NOTFOUND);
    assert_int_equal(io->ops->sync_dir(io, "d", &e), 0);
    assert_int_equal(io->ops->sync_dir(io, "none", &e), ERR_NOTFOUND);
    assert_int_equal(io->ops->rmdir(io, "d", &e), ERR_IO);
    f = open_ok(io, "d/a", IO_READ); /* a removed file stays readable while open */
    assert_int_equal(io->ops->unlink(io, "d/a", &e), 0);
    assert_int_equal(io->ops->unlink(io, "d/a", &e), ERR_NOTFOUND);
    assert_int_equal(io->ops->pread(f, got, 3, 0, &n, &e), 0);
    assert_int_equal(n, 3);
    io_close(f);
    assert_int_equal(io->ops->rmdir(io, "d", &e), 0);
    assert_int_equal(io->ops->free_space(io, &room, &total, &e), 0);
    assert_true(room <= total && total > 0);
    assert_true(io->ops->now(io) > 1700000000 * NS_PER_S && io->ops->mono(io) > 0);
    uint64_t r[2] = { 0, 0 };
    io->ops->random(io, &r[0], 8);
    io->ops->random(io, &r[1], 8);
    assert_true(r[0] != r[1]);
}

static void contract_of_all(void **state)
{
    (void)state;
    struct io *io, *faulty;
    char root[] = "/tmp/fleetlog-io-XXXXXX", sub[64];
    assert_non_null(mkdtemp(root));
    snprintf(sub, sizeof(sub), "%s/x/y", root);
    assert_int_equal(io_real_new(&io, sub, false, &e), ERR_NOTFOUND);
    assert_int_equal(io_real_new(&io, sub, true, &e), 0);
    contract(io);
    assert_int_equal(io->ops->unlink(io, "top", &e), 0);
    io_free(io);
    assert_int_equal(rmdir(sub), 0);
    *strrchr(sub, '/') = 0;
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(rmdir(root), 0);

    assert_int_equal(io_mem_new(&io, 1, &e), 0);
    contract(io);
    io_free(io);
    assert_int_equal(io_mem_new(&io, 1, &e), 0);
    assert_int_equal(io_faulty_new(&faulty, io, &e), 0);
    contract(faulty);
    io_free(faulty);
    io_free(io);
}

/* What was synced, name and bytes, is there after every crash. */
static void crash_keeps_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct io *io;
        assert_int_equal(io_mem_new(&io, seed, &e), 0);
        assert_int_equal(io->ops->mkdir(io, "d", &e), 0);
        assert_int_equal(io->ops->sync_dir(io, ".", &e), 0);
        assert_int_equal(io_write_file(io, "d/a", STR("first"), &e), 0);
        struct io_file *f = open_ok(io, "d/a", IO_WRITE);
        write_at(f, "FIRST", 0); /* not synced: old or new, one sector never torn */
        io_mem_crash(io, seed);
        char c;
        size_t n;
        assert_int_equal(io->ops->pread(f, &c, 1, 0, &n, &e), ERR_IO);
        assert_int_equal(io->ops->sync(f, &e), ERR_IO);
        io_close(f);
        assert_true(holds(io, "d/a", "first") || holds(io, "d/a", "FIRST"));
        io_mem_crash(io, seed + 1); /* nothing new happened: nothing changes */
        assert_true(holds(io, "d/a", "first") || holds(io, "d/a", "FIRST"));
        io_free(io);
    }
}

/* Both outcomes of what was not synced occur. */
static void crash_varies(void **state)
{
    (void)state;
    int kept_name = 0, kept_data = 0, torn = 0, runs = 300;
    for (int seed = 0; seed < runs; seed++) {
        struct io *io;
        assert_int_equal(io_mem_new(&io, 1, &e), 0);
        struct io_file *f = open_ok(io, "log", IO_WRITE | IO_CREATE);
        assert_int_equal(io->ops->sync_dir(io, "", &e), 0);
        static char block[4096];
        memset(block, 'x', sizeof(block));
        assert_int_equal(io->ops->pwrite(f, block, sizeof(block), 0, &e), 0);
        io_close(open_ok(io, "new", IO_WRITE | IO_CREATE));
        io_mem_crash(io, (uint64_t)seed);
        io_close(f);
        kept_name += exists(io, "new");
        char *p;
        size_t n, whole = 0;
        assert_int_equal(io_read_file(io, "log", 10000, &p, &n, &e), 0);
        for (size_t i = 0; i < n; i += 512) { /* a sector is all old or all new */
            size_t x = 0;
            for (size_t k = i; k < i + 512 && k < n; k++)
                x += p[k] == 'x';
            assert_true(x == 0 || x == 512);
            whole += x == 512;
        }
        kept_data += whole == 8;
        torn += whole > 0 && whole < 8;
        mem_free(p);
        io_free(io);
    }
    assert_true(kept_name > runs / 4 && kept_name < runs * 3 / 4);
    assert_true(kept_data > 0 && torn > 0 && kept_data + torn < runs);
}

static void crash_and_truncate(void **state)
{
    (void)state;
    int old = 0, cut = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct io *io;
        assert_int_equal(io_mem_new(&io, 1, &e), 0);
        assert_int_equal(io_write_file(io, "f", STR("0123456789"), &e), 0);
        struct io_file *f = open_ok(io, "f", IO_WRITE);
        assert_int_equal(io->ops->truncate(f, 4, &e), 0);
        if (seed % 2) {
            assert_int_equal(io->ops->sync(f, &e), 0);
            assert_int_equal(io->ops->truncate(f, 10, &e), 0); /* grows by zeros only */
            assert_int_equal(io->ops->sync(f, &e), 0);
        }
        io_close(f);
        io_mem_crash(io, seed);
        char *p;
        size_t n;
        assert_int_equal(io_read_file(io, "f", 100, &p, &n, &e), 0);
        if (seed % 2)
            assert_true(n == 10 && memcmp(p, "0123\0\0\0\0\0\0", 10) == 0);
        else
            assert_true((n == 10 && memcmp(p, "0123456789", 10) == 0) ||
                        (n == 4 && memcmp(p, "0123", 4) == 0));
        old += n == 10 && !(seed % 2);
        cut += n == 4;
        mem_free(p);
        io_free(io);
    }
    assert_true(old > 0 && cut > 0);
}

/* Names come back as a prefix of the changes; a rename is never half done. */
static void crash_and_names(void **state)
{
    (void)state;
    int moved = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct io *io;
        assert_int_equal(io_mem_new(&io, 1, &e), 0);
        assert_int_equal(io->ops->mkdir(io, "a", &e), 0);
        assert_int_equal(io->ops->mkdir(io, "b", &e), 0);
        assert_int_equal(io_write_file(io, "a/f", STR("f"), &e), 0);
        assert_int_equal(io->ops->sync_dir(io, "", &e), 0);
        io_close(open_ok(io, "a/1", IO_WRITE | IO_CREATE));
        io_close(open_ok(io, "a/2", IO_WRITE | IO_CREATE));
        assert_int_equal(io->ops->rename(io, "a/f", "b/f", &e), 0);
        io_close(open_ok(io, "b/3", IO_WRITE | IO_CREATE));
        if (seed % 3 == 1) /* ties a's earlier changes to b */
            assert_int_equal(io->ops->sync_dir(io, "b", &e), 0);
        if (seed % 3 == 2) {
            assert_int_equal(io->ops->unlink(io, "b/f", &e), 0);
            assert_int_equal(io->ops->unlink(io, "a/1", &e), 0);
        }
        io_mem_crash(io, seed);
        bool one = exists(io, "a/1"), two = exists(io, "a/2"), three = exists(io, "b/3");
        bool at_a = holds(io, "a/f", "f"), at_b = holds(io, "b/f", "f");
        assert_false(at_a && at_b);
        if (seed % 3 != 2) {
            assert_true(at_a || at_b);
            assert_true(one || !two);
            assert_true(two || !at_b);
            assert_true(at_b || !three);
        }
        if (seed % 3 == 1)
            assert_true(one && two && at_b && three);
        moved += at_b;
        io_free(io);
    }
    assert_true(moved > 100);
}

/* A replaced file is the old or the new one, whole: the pattern every small file relies on. */
static void crash_and_replace(void **state)
{
    (void)state;
    int old = 0, new = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct io *io, *faulty;
        assert_int_equal(io_mem_new(&io, 1, &e), 0);
        assert_int_equal(io_write_file(io, "f", STR("old contents"), &e), 0);
        assert_int_equal(io_faulty_new(&faulty, io, &e), 0);
        io_faulty_set(faulty, IO_OP__N, 1 + seed % 6, ERR_IO, true);
        int r = io_write_file(faulty, "f", STR("new"), &e);
        io_free(faulty);
        io_mem_crash(io, seed);
        bool is_old = holds(io, "f", "old contents"), is_new = holds(io, "f", "new");
        assert_true(is_old || is_new);
        assert_true(is_new || r != 0);
        old += is_old;
        new += is_new;
        io_free(io);
    }
    assert_true(old > 0 && new > 0);
}

/* A random program against a model of what must survive: synced bytes of synced names. */
static void crash_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct io *io;
        uint64_t x = seed;
        uint8_t synced[8] = { 0 }; /* per 512-byte slot: the version on disk for certain */
        uint8_t latest[8] = { 0 };
        assert_int_equal(io_mem_new(&io, seed, &e), 0);
        struct io_file *f = open_ok(io, "f", IO_WRITE | IO_CREATE);
        assert_int_equal(io->ops->sync_dir(io, ".", &e), 0);
        for (int step = 0; step < 100; step++) {
            x = hash_mix(x + 1);
            size_t slot = x % 8;
            if (x >> 8 & 3) {
                uint8_t block[512];
                memset(block, ++latest[slot], sizeof(block));
                assert_int_equal(io->ops->pwrite(f, block, 512, slot * 512, &e), 0);
            } else if (x >> 10 & 3) {
                assert_int_equal(io->ops->sync(f, &e), 0);
                memcpy(synced, latest, 8);
            } else {
                io_mem_crash(io, x);
                io_close(f);
                f = open_ok(io, "f", IO_WRITE);
                for (size_t s = 0; s < 8; s++) {
                    uint8_t block[512] = { 0 };
                    size_t n;
                    assert_int_equal(io->ops->pread(f, block, 512, s * 512, &n, &e), 0);
                    assert_true(block[0] == synced[s] || (block[0] <= latest[s]));
                    assert_true(block[0] >= synced[s] && block[0] == block[511]);
                    synced[s] = latest[s] = block[0];
                }
            }
        }
        io_close(f);
        io_free(io);
    }
}

static void space_and_flips(void **state)
{
    (void)state;
    struct io *io;
    uint64_t room, total;
    assert_int_equal(io_mem_new(&io, 1, &e), 0);
    io_mem_set_space(io, 1000);
    struct io_file *f = open_ok(io, "f", IO_WRITE | IO_CREATE);
    char block[600];
    memset(block, 0, sizeof(block));
    assert_int_equal(io->ops->pwrite(f, block, 600, 0, &e), 0);
    assert_int_equal(io->ops->pwrite(f, block, 600, 600, &e), ERR_FULL);
    assert_int_equal(io->ops->truncate(f, 5000, &e), ERR_FULL);
    assert_int_equal(io->ops->preallocate(f, 0, 5000, &e), ERR_FULL);
    assert_int_equal(io->ops->truncate(f, 100, &e), 0);
    assert_int_equal(io->ops->free_space(io, &room, &total, &e), 0);
    assert_true(room == 900 && total == 1000);
    assert_int_equal(io->ops->unlink(io, "f", &e), 0);
    io->ops->free_space(io, &room, &total, &e);
    assert_int_equal(room, 900); /* still open */
    io_close(f);
    io->ops->free_space(io, &room, &total, &e);
    assert_int_equal(room, 1000);
    assert_int_equal(io_write_file(io, "g", STR("abc"), &e), 0);
    io_mem_crash(io, 3);
    io->ops->free_space(io, &room, &total, &e);
    assert_int_equal(room, 1000 - 3 - (exists(io, "f") ? 100 : 0));
    assert_true(io_mem_flip(io, "g", 1, 0));
    assert_true(holds(io, "g", "acc"));
    assert_false(io_mem_flip(io, "g", 3, 0));
    assert_false(io_mem_flip(io, "none", 0, 0));
    ts_ns now = io->ops->now(io);
    int64_t mono = io->ops->mono(io);
    io_mem_advance(io, 5);
    assert_true(io->ops->now(io) == now + 5 && io->ops->mono(io) == mono + 5);
    io_free(io);
}

static void faults(void **state)
{
    (void)state;
    struct io *io, *f;
    assert_int_equal(io_mem_new(&io, 1, &e), 0);
    assert_int_equal(io_faulty_new(&f, io, &e), 0);
    io_faulty_set(f, IO_OP_SYNC, 2, ERR_FULL, false);
    assert_int_equal(io_write_file(f, "a", STR("1"), &e), 0);
    assert_int_equal(io_write_file(f, "a", STR("2"), &e), ERR_FULL);
    assert_int_equal(io_write_file(f, "a", STR("3"), &e), 0);
    assert_int_equal(io_faulty_count(f), 3);
    io_faulty_set(f, IO_OP_WRITE, 1, ERR_IO, true);
    assert_int_equal(io_write_file(f, "a", STR("4"), &e), ERR_IO);
    assert_int_equal(io_write_file(f, "a", STR("5"), &e), ERR_IO);
    assert_true(holds(io, "a", "3"));
    /* the n-th call of any kind, for every n until none is left */
    uint64_t n = 0;
    int r;
    do {
        io_faulty_set(f, IO_OP__N, ++n, ERR_IO, false);
        r = io_write_file(f, "a", STR("6"), &e);
    } while (r);
    assert_true(n > 5);
    assert_true(holds(io, "a", "6"));
    io_free(f);
    io_free(io);
}

/* Out of memory at every place: an error, nothing lost, nothing leaked. */
static void *sync_slow(void *file)
{
    struct io_file *f = file;
    struct err err = ERR_INIT;
    return f->io->ops->sync(f, &err) ? file : NULL;
}

static void held_calls(void **state)
{
    (void)state;
    struct io *io, *f;
    pthread_t t;
    void *failed;
    assert_int_equal(io_mem_new(&io, 1, &e), 0);
    assert_int_equal(io_faulty_new(&f, io, &e), 0);
    io_faulty_hold(f, IO_OP_SYNC, ".slow");
    struct io_file *slow = open_ok(f, "a.slow", IO_WRITE | IO_CREATE);
    struct io_file *quick = open_ok(f, "a", IO_WRITE | IO_CREATE);
    assert_int_equal(slow->io->ops->pwrite(slow, "x", 1, 0, &e), 0); /* only syncs are held */
    assert_int_equal(pthread_create(&t, NULL, sync_slow, slow), 0);
    io_faulty_await(f, 1);
    assert_int_equal(quick->io->ops->sync(quick, &e), 0);
    io_faulty_hold(f, IO_OP_SYNC, NULL);
    assert_int_equal(pthread_join(t, &failed), 0);
    assert_null(failed);
    io_close(slow);
    io_close(quick);
    io_free(f);
    io_free(io);
}

/* after a sync that failed the next one has nothing to write, and memory shows what the disk lacks
 */
static void lost_sync(void **state)
{
    (void)state;
    bool kept = false, lost = false;
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct io *io;
        struct io_file *f;
        assert_int_equal(io_mem_new(&io, 1, &e), 0);
        assert_int_equal(io_write_file(io, "a", STR("old"), &e), 0);
        assert_int_equal(io->ops->open(io, &f, "a", IO_WRITE, &e), 0);
        assert_int_equal(f->io->ops->pwrite(f, "new", 3, 0, &e), 0);
        io_mem_sync_fails(f, seed);
        assert_int_equal(f->io->ops->sync(f, &e), 0);
        assert_true(holds(io, "a", "new"));
        f->io->ops->drop_cache(f);
        kept |= holds(io, "a", "new");
        lost |= holds(io, "a", "old");
        assert_int_equal(f->io->ops->pwrite(f, "newer", 5, 0, &e), 0); /* written anew it counts */
        assert_int_equal(f->io->ops->sync(f, &e), 0);
        io_close(f);
        io_mem_crash(io, seed);
        assert_true(holds(io, "a", "newer"));
        io_free(io);
    }
    assert_true(kept && lost);
}

static void no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct io *io;
        assert_int_equal(io_mem_new(&io, 1, &e), 0);
        assert_int_equal(io_write_file(io, "a", STR("old"), &e), 0);
        mem_fail_at(n, 0);
        int r = io_write_file(io, "a", STR("new"), &e);
        bool reached = mem_fail_at(0, 0) >= n;
        assert_true(r == 0 || r == ERR_NOMEM);
        io_mem_crash(io, n);
        assert_true(holds(io, "a", "new") || (r && holds(io, "a", "old")));
        io_free(io);
        if (!reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract_of_all), cmocka_unit_test(crash_keeps_synced),
        cmocka_unit_test(crash_varies),    cmocka_unit_test(crash_and_truncate),
        cmocka_unit_test(crash_and_names), cmocka_unit_test(crash_and_replace),
        cmocka_unit_test(crash_model),     cmocka_unit_test(space_and_flips),
        cmocka_unit_test(faults),          cmocka_unit_test(held_calls),
        cmocka_unit_test(no_memory),       cmocka_unit_test(lost_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
