/* disk.c: faults and record of the simulated disk (disk.h). */
#include "disk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tasks.h"

#define SECTOR 512

struct disk {
    struct io io;
    struct io *mem;
    struct plan plan;
    uint64_t seed, rng;
    uint64_t calls, all_calls, faults, trace;
    uint64_t hits[2];
    bool dead, verbose;
};

struct disk_file {
    struct io_file file;
    struct io_file *inner;
    char path[80];
};

static const char *const op_names[] = { "open",   "read",  "write",   "sync",     "rename",
                                        "unlink", "mkdir", "syncdir", "truncate", "list" };

static struct disk *dk(struct io *io)
{
    return (struct disk *)io;
}

static struct io_file *inner(struct io_file *f)
{
    return ((struct disk_file *)f)->inner;
}

static uint64_t draw(struct disk *d)
{
    d->rng += 0x9e3779b97f4a7c15ull;
    return hash_mix(d->rng);
}

void disk_note(struct disk *d, const char *fmt, ...)
{
    if (!d->verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    printf("%6llu task %u  ", (unsigned long long)d->all_calls, sched_self());
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
}

/* Every call ends here: it becomes part of the trace. */
static int record(struct disk *d, enum io_op op, const char *path, uint64_t off, uint64_t n, int rc)
{
    uint64_t what[5] = { (uint64_t)op, off, n, (uint64_t)rc, sched_self() };
    d->trace = hash64_seed(what, sizeof what, d->trace);
    d->trace = hash64_seed(path, strlen(path), d->trace);
    if (d->verbose) {
        printf("%6llu task %u  %s %s", (unsigned long long)d->all_calls, sched_self(), op_names[op],
               path);
        if (n || off)
            printf(" %llu+%llu", (unsigned long long)off, (unsigned long long)n);
        puts(rc == 0 ? "" : d->dead ? "  (no power)" : "  FAILS");
    }
    return rc;
}

static bool hit(struct disk *d, unsigned i, enum io_op op)
{
    const struct rule *r = &d->plan.rules[i];
    if (r->op != op && r->op != IO_OP__N)
        return false;
    if (r->odds)
        return draw(d) % r->odds == 0;
    d->hits[i]++;
    return r->nth && (d->hits[i] == r->nth || (r->forever && d->hits[i] > r->nth));
}

/* What becomes of the next call: 0, or the error it gives. *ret_half: it is done in part first. */
static int gate(struct disk *d, enum io_op op, bool *ret_half, struct err *err)
{
    sched_yield_here();
    d->calls++;
    d->all_calls++;
    *ret_half = false;
    if (d->dead)
        return err_set(err, ERR_IO, "the power is off");
    if (d->plan.cut_at && d->calls >= d->plan.cut_at) {
        *ret_half = draw(d) & 1;
        disk_cut(d);
        return err_set(err, ERR_IO, "the power goes off");
    }
    for (unsigned i = 0; i < 2; i++)
        if (hit(d, i, op)) {
            d->faults++;
            *ret_half = draw(d) & 1;
            return err_set(err, d->plan.rules[i].code, "injected fault");
        }
    return 0;
}

/* ---- the operations ---- */

static int disk_open(struct io *io, struct io_file **ret, const char *path, int flags,
                     struct err *err)
{
    struct disk *d = dk(io);
    bool half;
    int rc = gate(d, IO_OP_OPEN, &half, err);
    struct disk_file *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->file.io = io;
    snprintf(f->path, sizeof f->path, "%s", path);
    if (!rc || (half && flags & IO_CREATE)) {
        int orc = d->mem->ops->open(d->mem, &f->inner, path, flags, err);
        if (rc && !orc) /* the file is there, but nobody has it */
            io_close(f->inner);
        rc = rc ? rc : orc;
    }
    if (rc)
        free(f);
    else
        *ret = &f->file;
    return record(d, IO_OP_OPEN, path, (uint64_t)flags, 0, rc);
}

static void disk_close(struct io_file *f)
{
    io_close(inner(f));
    free(f);
}

static int disk_pread(struct io_file *f, void *p, size_t n, uint64_t off, size_t *ret_n,
                      struct err *err)
{
    struct disk *d = dk(f->io);
    bool half;
    int rc = gate(d, IO_OP_READ, &half, err);
    if (!rc)
        rc = inner(f)->io->ops->pread(inner(f), p, n, off, ret_n, err);
    return record(d, IO_OP_READ, ((struct disk_file *)f)->path, off, n, rc);
}

static int disk_pwrite(struct io_file *f, const void *p, size_t n, uint64_t off, struct err *err)
{
    struct disk *d = dk(f->io);
    bool half;
    int rc = gate(d, IO_OP_WRITE, &half, err);
    size_t done = n;
    if (rc && n) /* a piece of it, ending anywhere or at a sector */
        done = half ? (size_t)(draw(d) % n) : 0;
    if (rc && done > SECTOR && draw(d) & 1)
        done -= (off + done) % SECTOR < done ? (off + done) % SECTOR : 0;
    if (done) {
        struct err e = ERR_INIT;
        int wrc = inner(f)->io->ops->pwrite(inner(f), p, done, off, rc ? &e : err);
        rc = rc ? rc : wrc;
    }
    d->trace = hash64_seed(p, n, d->trace);
    return record(d, IO_OP_WRITE, ((struct disk_file *)f)->path, off, n, rc);
}

static int disk_sync(struct io_file *f, struct err *err)
{
    struct disk *d = dk(f->io);
    bool half;
    int rc = gate(d, IO_OP_SYNC, &half, err);
    if (!rc)
        rc = inner(f)->io->ops->sync(inner(f), err);
    else if (!d->dead) /* the fate of pages whose write-back failed */
        io_mem_sync_fails(inner(f), draw(d));
    return record(d, IO_OP_SYNC, ((struct disk_file *)f)->path, 0, 0, rc);
}

static int disk_truncate(struct io_file *f, uint64_t size, struct err *err)
{
    struct disk *d = dk(f->io);
    bool half;
    int rc = gate(d, IO_OP_TRUNCATE, &half, err);
    if (!rc)
        rc = inner(f)->io->ops->truncate(inner(f), size, err);
    return record(d, IO_OP_TRUNCATE, ((struct disk_file *)f)->path, size, 0, rc);
}

static int disk_preallocate(struct io_file *f, uint64_t off, uint64_t len, struct err *err)
{
    struct disk *d = dk(f->io);
    bool half;
    int rc = gate(d, IO_OP_WRITE, &half, err);
    if (!rc)
        rc = inner(f)->io->ops->preallocate(inner(f), off, len, err);
    return record(d, IO_OP_WRITE, ((struct disk_file *)f)->path, off, len, rc);
}

static int disk_size(struct io_file *f, uint64_t *ret, struct err *err)
{
    return inner(f)->io->ops->size(inner(f), ret, err);
}

static int disk_lock(struct io_file *f, bool exclusive, struct err *err)
{
    return inner(f)->io->ops->lock(inner(f), exclusive, err);
}

static void disk_drop_cache(struct io_file *f)
{
    inner(f)->io->ops->drop_cache(inner(f));
}

/* A change of names: refused, it may have been made all the same when the power goes. */
static int names(struct io *io, enum io_op op, const char *from, const char *to, bool rmdir,
                 struct err *err)
{
    struct disk *d = dk(io);
    const struct io_ops *ops = d->mem->ops;
    bool half;
    int rc = gate(d, op, &half, err);
    if (!rc || (half && d->dead)) {
        struct err e = ERR_INIT, *to_err = rc ? &e : err;
        int nrc = op == IO_OP_RENAME  ? ops->rename(d->mem, from, to, to_err)
                  : op == IO_OP_MKDIR ? ops->mkdir(d->mem, from, to_err)
                  : rmdir             ? ops->rmdir(d->mem, from, to_err)
                                      : ops->unlink(d->mem, from, to_err);
        rc = rc ? rc : nrc;
    }
    return record(d, op, to ? to : from, 0, 0, rc);
}

static int disk_rename(struct io *io, const char *from, const char *to, struct err *err)
{
    return names(io, IO_OP_RENAME, from, to, false, err);
}

static int disk_unlink(struct io *io, const char *path, struct err *err)
{
    return names(io, IO_OP_UNLINK, path, NULL, false, err);
}

static int disk_mkdir(struct io *io, const char *path, struct err *err)
{
    return names(io, IO_OP_MKDIR, path, NULL, false, err);
}

static int disk_rmdir(struct io *io, const char *path, struct err *err)
{
    return names(io, IO_OP_UNLINK, path, NULL, true, err);
}

static int disk_sync_dir(struct io *io, const char *path, struct err *err)
{
    struct disk *d = dk(io);
    bool half;
    int rc = gate(d, IO_OP_SYNCDIR, &half, err);
    if (!rc)
        rc = d->mem->ops->sync_dir(d->mem, path, err);
    return record(d, IO_OP_SYNCDIR, path, 0, 0, rc);
}

static int disk_list(struct io *io, const char *path,
                     void (*fn)(void *arg, const char *name, bool is_dir), void *arg,
                     struct err *err)
{
    struct disk *d = dk(io);
    bool half;
    int rc = gate(d, IO_OP_LIST, &half, err);
    if (!rc)
        rc = d->mem->ops->list(d->mem, path, fn, arg, err);
    return record(d, IO_OP_LIST, path, 0, 0, rc);
}

static int disk_free_space(struct io *io, uint64_t *ret_free, uint64_t *ret_total, struct err *err)
{
    return dk(io)->mem->ops->free_space(dk(io)->mem, ret_free, ret_total, err);
}

static ts_ns disk_now(struct io *io)
{
    return dk(io)->mem->ops->now(dk(io)->mem);
}

static int64_t disk_mono(struct io *io)
{
    return dk(io)->mem->ops->mono(dk(io)->mem);
}

static void disk_random(struct io *io, void *p, size_t n)
{
    dk(io)->mem->ops->random(dk(io)->mem, p, n);
}

static const struct io_ops disk_ops = {
    .open = disk_open,
    .close = disk_close,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .sync = disk_sync,
    .truncate = disk_truncate,
    .preallocate = disk_preallocate,
    .size = disk_size,
    .lock = disk_lock,
    .drop_cache = disk_drop_cache,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .mkdir = disk_mkdir,
    .rmdir = disk_rmdir,
    .sync_dir = disk_sync_dir,
    .list = disk_list,
    .free_space = disk_free_space,
    .now = disk_now,
    .mono = disk_mono,
    .random = disk_random,
};

/* ---- lives ---- */

struct disk *disk_new(uint64_t seed, bool verbose)
{
    struct err err = ERR_INIT;
    struct disk *d = calloc(1, sizeof *d);
    if (!d || io_mem_new(&d->mem, seed, &err))
        abort();
    d->io.ops = &disk_ops;
    d->seed = seed;
    d->rng = hash_mix(seed + 77);
    d->verbose = verbose;
    return d;
}

void disk_free(struct disk *d)
{
    io_free(d->mem);
    free(d);
}

struct io *disk_io(struct disk *d)
{
    return &d->io;
}

struct io *disk_mem(struct disk *d)
{
    return d->mem;
}

void disk_begin(struct disk *d, const struct plan *p)
{
    d->plan = *p;
    d->calls = d->faults = d->hits[0] = d->hits[1] = 0;
    d->dead = false;
    io_mem_set_space(d->mem, p->space ? p->space : (uint64_t)1 << 40);
}

void disk_cut(struct disk *d)
{
    if (!d->dead)
        disk_note(d, d->plan.ending == END_POWER ? "---- the power goes off" : "---- killed");
    d->dead = true;
}

bool disk_dead(const struct disk *d)
{
    return d->dead;
}

void disk_end(struct disk *d)
{
    if (d->dead && d->plan.ending == END_POWER)
        io_mem_crash(d->mem, draw(d));
    d->plan = (struct plan){ 0 };
    d->dead = false;
    io_mem_set_space(d->mem, (uint64_t)1 << 40);
}

uint64_t disk_faults(const struct disk *d)
{
    return d->faults;
}

uint64_t disk_calls(const struct disk *d)
{
    return d->calls;
}

uint64_t disk_all_calls(const struct disk *d)
{
    return d->all_calls;
}

uint64_t disk_trace(const struct disk *d)
{
    return d->trace;
}
