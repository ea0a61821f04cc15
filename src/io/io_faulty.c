/* io_faulty.c: passes every call on to another io, except the n-th of a kind.
 *
 * A refused call does not reach the inner io: nothing of it happened. Counted are the operations
 * of enum io_op; rmdir counts as unlink, preallocate as write; the rest always passes. Writes and
 * syncs of chosen files can be held up, as a slow disk does. */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "io/io.h"

struct faulty {
    struct io io;
    struct io *inner;
    pthread_mutex_t lock;
    enum io_op op;
    uint64_t nth, count;
    int code;
    bool forever;
    const char *held_suffix; /* NULL: nothing is held */
    enum io_op held_op;
    uint32_t held; /* calls that stand still */
    pthread_cond_t held_cond;
};

struct faulty_file {
    struct io_file file;
    struct io_file *inner;
    bool may_hold; /* its path ends in held_suffix */
};

static struct faulty *fa(struct io *io)
{
    return (struct faulty *)io;
}

static struct io_file *inner_file(struct io_file *f)
{
    return ((struct faulty_file *)f)->inner;
}

static int gate(struct io *io, enum io_op op, struct err *err)
{
    struct faulty *f = fa(io);
    bool refuse = false;
    int code = ERR_IO;
    pthread_mutex_lock(&f->lock);
    if (f->op == op || f->op == IO_OP__N) {
        f->count++;
        refuse = f->nth && (f->count == f->nth || (f->forever && f->count > f->nth));
        code = f->code;
    }
    pthread_mutex_unlock(&f->lock);
    return refuse ? err_set(err, code, "injected fault") : 0;
}

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path), k = suffix ? strlen(suffix) : 0;
    return k && n >= k && strcmp(path + n - k, suffix) == 0;
}

/* Stands still while calls of this kind on this file are held. */
static void wait_held(struct io_file *file, enum io_op op)
{
    struct faulty *f = fa(file->io);
    if (!((struct faulty_file *)file)->may_hold)
        return;
    pthread_mutex_lock(&f->lock);
    f->held++;
    if (f->held_suffix && f->held_op == op)
        pthread_cond_broadcast(&f->held_cond);
    while (f->held_suffix && f->held_op == op)
        pthread_cond_wait(&f->held_cond, &f->lock);
    f->held--;
    pthread_mutex_unlock(&f->lock);
}

static int faulty_open(struct io *io, struct io_file **ret, const char *path, int flags,
                       struct err *err)
{
    int r = gate(io, IO_OP_OPEN, err);
    if (r)
        return r;
    struct faulty_file *f = mem_alloc(sizeof(*f));
    if (!f)
        return err_nomem(err);
    f->file.io = io;
    pthread_mutex_lock(&fa(io)->lock);
    f->may_hold = ends_in(path, fa(io)->held_suffix);
    pthread_mutex_unlock(&fa(io)->lock);
    r = fa(io)->inner->ops->open(fa(io)->inner, &f->inner, path, flags, err);
    if (r) {
        mem_free(f);
        return r;
    }
    *ret = &f->file;
    return 0;
}

static void faulty_close(struct io_file *f)
{
    io_close(inner_file(f));
    mem_free(f);
}

static int faulty_pread(struct io_file *f, void *p, size_t n, uint64_t off, size_t *ret_n,
                        struct err *err)
{
    int r = gate(f->io, IO_OP_READ, err);
    struct io_file *in = inner_file(f);
    return r ? r : in->io->ops->pread(in, p, n, off, ret_n, err);
}

static int faulty_pwrite(struct io_file *f, const void *p, size_t n, uint64_t off, struct err *err)
{
    wait_held(f, IO_OP_WRITE);
    int r = gate(f->io, IO_OP_WRITE, err);
    struct io_file *in = inner_file(f);
    return r ? r : in->io->ops->pwrite(in, p, n, off, err);
}

static int faulty_sync(struct io_file *f, struct err *err)
{
    wait_held(f, IO_OP_SYNC);
    int r = gate(f->io, IO_OP_SYNC, err);
    struct io_file *in = inner_file(f);
    return r ? r : in->io->ops->sync(in, err);
}

static int faulty_truncate(struct io_file *f, uint64_t size, struct err *err)
{
    int r = gate(f->io, IO_OP_TRUNCATE, err);
    struct io_file *in = inner_file(f);
    return r ? r : in->io->ops->truncate(in, size, err);
}

static int faulty_preallocate(struct io_file *f, uint64_t off, uint64_t len, struct err *err)
{
    int r = gate(f->io, IO_OP_WRITE, err);
    struct io_file *in = inner_file(f);
    return r ? r : in->io->ops->preallocate(in, off, len, err);
}

static int faulty_size(struct io_file *f, uint64_t *ret, struct err *err)
{
    struct io_file *in = inner_file(f);
    return in->io->ops->size(in, ret, err);
}

static int faulty_lock(struct io_file *f, bool exclusive, struct err *err)
{
    struct io_file *in = inner_file(f);
    return in->io->ops->lock(in, exclusive, err);
}

static void faulty_drop_cache(struct io_file *f)
{
    struct io_file *in = inner_file(f);
    in->io->ops->drop_cache(in);
}

static int faulty_rename(struct io *io, const char *from, const char *to, struct err *err)
{
    int r = gate(io, IO_OP_RENAME, err);
    struct io *in = fa(io)->inner;
    return r ? r : in->ops->rename(in, from, to, err);
}

static int faulty_unlink(struct io *io, const char *path, struct err *err)
{
    int r = gate(io, IO_OP_UNLINK, err);
    struct io *in = fa(io)->inner;
    return r ? r : in->ops->unlink(in, path, err);
}

static int faulty_mkdir(struct io *io, const char *path, struct err *err)
{
    int r = gate(io, IO_OP_MKDIR, err);
    struct io *in = fa(io)->inner;
    return r ? r : in->ops->mkdir(in, path, err);
}

static int faulty_rmdir(struct io *io, const char *path, struct err *err)
{
    int r = gate(io, IO_OP_UNLINK, err);
    struct io *in = fa(io)->inner;
    return r ? r : in->ops->rmdir(in, path, err);
}

static int faulty_sync_dir(struct io *io, const char *path, struct err *err)
{
    int r = gate(io, IO_OP_SYNCDIR, err);
    struct io *in = fa(io)->inner;
    return r ? r : in->ops->sync_dir(in, path, err);
}

static int faulty_list(struct io *io, const char *path,
                       void (*fn)(void *arg, const char *name, bool is_dir), void *arg,
                       struct err *err)
{
    int r = gate(io, IO_OP_LIST, err);
    struct io *in = fa(io)->inner;
    return r ? r : in->ops->list(in, path, fn, arg, err);
}

static int faulty_free_space(struct io *io, uint64_t *ret_free, uint64_t *ret_total,
                             struct err *err)
{
    struct io *in = fa(io)->inner;
    return in->ops->free_space(in, ret_free, ret_total, err);
}

static ts_ns faulty_now(struct io *io)
{
    return fa(io)->inner->ops->now(fa(io)->inner);
}

static int64_t faulty_mono(struct io *io)
{
    return fa(io)->inner->ops->mono(fa(io)->inner);
}

static void faulty_random(struct io *io, void *p, size_t n)
{
    fa(io)->inner->ops->random(fa(io)->inner, p, n);
}

static void faulty_free(struct io *io)
{
    pthread_mutex_destroy(&fa(io)->lock);
    pthread_cond_destroy(&fa(io)->held_cond);
    mem_free(io);
}

static const struct io_ops faulty_ops = {
    .open = faulty_open,
    .close = faulty_close,
    .pread = faulty_pread,
    .pwrite = faulty_pwrite,
    .sync = faulty_sync,
    .truncate = faulty_truncate,
    .preallocate = faulty_preallocate,
    .size = faulty_size,
    .lock = faulty_lock,
    .drop_cache = faulty_drop_cache,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .mkdir = faulty_mkdir,
    .rmdir = faulty_rmdir,
    .sync_dir = faulty_sync_dir,
    .list = faulty_list,
    .free_space = faulty_free_space,
    .now = faulty_now,
    .mono = faulty_mono,
    .random = faulty_random,
    .free = faulty_free,
};

int io_faulty_new(struct io **ret, struct io *inner, struct err *err)
{
    struct faulty *f = mem_zalloc(sizeof(*f));
    if (!f)
        return err_nomem(err);
    f->io.ops = &faulty_ops;
    f->inner = inner;
    f->op = IO_OP__N;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->held_cond, NULL);
    *ret = &f->io;
    return 0;
}

void io_faulty_set(struct io *io, enum io_op op, uint64_t n, int code, bool forever)
{
    struct faulty *f = fa(io);
    pthread_mutex_lock(&f->lock);
    f->op = op;
    f->nth = n;
    f->count = 0;
    f->code = code;
    f->forever = forever;
    pthread_mutex_unlock(&f->lock);
}

uint64_t io_faulty_count(struct io *io)
{
    struct faulty *f = fa(io);
    pthread_mutex_lock(&f->lock);
    uint64_t n = f->count;
    pthread_mutex_unlock(&f->lock);
    return n;
}

void io_faulty_hold(struct io *io, enum io_op op, const char *suffix)
{
    struct faulty *f = fa(io);
    pthread_mutex_lock(&f->lock);
    f->held_op = op;
    f->held_suffix = suffix;
    pthread_cond_broadcast(&f->held_cond);
    pthread_mutex_unlock(&f->lock);
}

void io_faulty_await(struct io *io, uint32_t n)
{
    struct faulty *f = fa(io);
    pthread_mutex_lock(&f->lock);
    while (f->held < n)
        pthread_cond_wait(&f->held_cond, &f->lock);
    pthread_mutex_unlock(&f->lock);
}
