/* io_mem.c: a file system in memory that knows what a power cut would leave (memdisk.h).
 *
 * One mutex around everything; list calls back without it. Clocks stand still unless moved,
 * randomness is a stream of the seed. */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "io/io.h"
#include "io/memdisk.h"

#define SPACE_DEFAULT ((uint64_t)1 << 40)
#define CLOCK_START (1767225600ll * NS_PER_S) /* 2026-01-01T00:00:00Z */

struct mem {
    struct io io;
    pthread_mutex_t lock;
    struct memdisk disk;
    uint64_t epoch; /* number of crashes: older open files are dead */
    uint64_t space;
    uint64_t rng;
    int64_t clock, mono;
};

struct mem_file {
    struct io_file file;
    struct md_node *node;
    uint64_t epoch;
    int flags;
    int lock; /* as md_node.locks: -1, 0 or 1 */
};

static struct mem *mm(struct io *io)
{
    return (struct mem *)io;
}

/* ---- the operations; each takes the lock ---- */

static struct mem *enter(struct io *io)
{
    pthread_mutex_lock(&mm(io)->lock);
    return mm(io);
}

static int leave(struct mem *m, int r)
{
    pthread_mutex_unlock(&m->lock);
    return r;
}

/* Enters, refusing files opened before the last crash. */
static int enter_file(struct io_file *file, struct md_node **ret, struct err *err)
{
    struct mem_file *f = (struct mem_file *)file;
    struct mem *m = enter(file->io);
    if (f->epoch != m->epoch) {
        err_set(err, ERR_IO, "the file was open during a crash");
        leave(m, 0);
        return ERR_IO;
    }
    *ret = f->node;
    return 0;
}

static int open_node(struct mem *m, const char *path, int flags, struct md_node **ret,
                     struct err *err)
{
    struct md_node *dir, *node;
    char name[MD_NAME_ROOM];
    int r = md_locate(&m->disk, path, &dir, name, err);
    if (r)
        return r;
    struct md_entry *e = name[0] ? md_find(dir, NOW, name) : NULL;
    if (!name[0] || (e && e->node->is_dir))
        return err_set(err, ERR_IO, "cannot open %s: it is a directory", path);
    if (e && flags & IO_EXCL)
        return err_set(err, ERR_IO, "cannot open %s: it exists", path);
    if (e) {
        *ret = e->node;
        e->node->refs++;
        return 0;
    }
    if (!(flags & IO_CREATE))
        return err_set(err, ERR_NOTFOUND, "cannot open %s: no such file or directory", path);
    if (!(node = md_node_new(&m->disk, false)))
        return err_nomem(err);
    r = md_change(&m->disk, NULL, NULL, dir, name, node, err);
    if (r)
        md_node_unref(node);
    else
        *ret = node; /* the reference of its making goes to the open file */
    return r;
}

static int mem_open(struct io *io, struct io_file **ret, const char *path, int flags,
                    struct err *err)
{
    struct mem_file *f = mem_zalloc(sizeof(*f));
    if (!f)
        return err_nomem(err);
    struct mem *m = enter(io);
    int r = open_node(m, path, flags, &f->node, err);
    if (r) {
        mem_free(f);
        return leave(m, r);
    }
    f->node->opens++;
    f->file.io = io;
    f->flags = flags;
    f->epoch = m->epoch;
    *ret = &f->file;
    return leave(m, 0);
}

static void unlock_file(struct mem_file *f)
{
    if (f->lock)
        f->node->locks = f->lock < 0 ? 0 : f->node->locks - 1;
    f->lock = 0;
}

static void mem_close(struct io_file *file)
{
    struct mem_file *f = (struct mem_file *)file;
    struct mem *m = enter(file->io);
    if (f->epoch == m->epoch) {
        unlock_file(f);
        if (--f->node->opens == 0 && !f->node->names)
            m->disk.used -= f->node->now.n;
    }
    md_node_unref(f->node);
    leave(m, 0);
    mem_free(f);
}

static int mem_pread(struct io_file *file, void *p, size_t n, uint64_t off, size_t *ret_n,
                     struct err *err)
{
    struct md_node *node;
    int r = enter_file(file, &node, err);
    if (r)
        return r;
    size_t got = off >= node->now.n ? 0 : node->now.n - (size_t)off;
    if (got > n)
        got = n;
    if (got)
        memcpy(p, node->now.p + off, got);
    *ret_n = got;
    return leave(mm(file->io), 0);
}

/* How far a file may reach: where it ends plus what is free. */
static uint64_t reach(const struct mem *m, const struct md_node *n)
{
    return n->now.n + (m->space > m->disk.used ? m->space - m->disk.used : 0);
}

static int mem_pwrite(struct io_file *file, const void *p, size_t n, uint64_t off, struct err *err)
{
    struct md_node *node;
    int r = enter_file(file, &node, err);
    if (r)
        return r;
    struct mem *m = mm(file->io);
    if (!(((struct mem_file *)file)->flags & IO_WRITE))
        return leave(m, err_set(err, ERR_IO, "the file is open for reading only"));
    uint64_t limit = reach(m, node);
    bool full = n > limit || off > limit - n;
    if (full) /* what fits is written, as a disk would */
        n = off < limit ? (size_t)(limit - off) : 0;
    if (n) {
        r = md_write(&m->disk, node, p, n, off, err);
        if (r)
            return leave(m, r);
    }
    return leave(m, full ? err_set(err, ERR_FULL, "no space left on the device") : 0);
}

static int mem_sync(struct io_file *file, struct err *err)
{
    struct md_node *node;
    int r = enter_file(file, &node, err);
    if (r)
        return r;
    md_sync_file(node);
    return leave(mm(file->io), 0);
}

static int mem_truncate(struct io_file *file, uint64_t size, struct err *err)
{
    struct md_node *n;
    int r = enter_file(file, &n, err);
    if (r)
        return r;
    struct mem *m = mm(file->io);
    if (!(((struct mem_file *)file)->flags & IO_WRITE))
        return leave(m, err_set(err, ERR_IO, "the file is open for reading only"));
    if (size > reach(m, n))
        return leave(m, err_set(err, ERR_FULL, "no space left on the device"));
    return leave(m, md_truncate(&m->disk, n, size, err));
}

static int mem_preallocate(struct io_file *file, uint64_t off, uint64_t len, struct err *err)
{
    struct md_node *node;
    int r = enter_file(file, &node, err);
    if (r)
        return r;
    struct mem *m = mm(file->io);
    uint64_t limit = reach(m, node);
    if (len > limit || off > limit - len)
        r = err_set(err, ERR_FULL, "no space left on the device");
    return leave(m, r);
}

static int mem_size(struct io_file *file, uint64_t *ret, struct err *err)
{
    struct md_node *node;
    int r = enter_file(file, &node, err);
    if (r)
        return r;
    *ret = node->now.n;
    return leave(mm(file->io), 0);
}

static int mem_lock(struct io_file *file, bool exclusive, struct err *err)
{
    struct mem_file *f = (struct mem_file *)file;
    struct md_node *node;
    int r = enter_file(file, &node, err);
    if (r)
        return r;
    int held = f->lock;
    unlock_file(f);
    if (node->locks < 0 || (exclusive && node->locks > 0)) {
        r = err_set(err, ERR_BUSY, "the file is locked");
    } else {
        held = exclusive ? -1 : 1;
    }
    node->locks += held; /* the new lock, or on refusal the old one again */
    f->lock = held;
    return leave(mm(file->io), r);
}

static void mem_drop_cache(struct io_file *file)
{
    struct err err = ERR_INIT;
    struct md_node *node;
    if (enter_file(file, &node, &err))
        return;
    md_drop_cache(node);
    leave(mm(file->io), 0);
}

static int rename_locked(struct mem *m, const char *from, const char *to, struct err *err)
{
    struct md_node *from_dir, *to_dir, *node;
    char from_name[MD_NAME_ROOM], to_name[MD_NAME_ROOM];
    int r = md_lookup(&m->disk, from, &from_dir, from_name, &node, err);
    if (!r)
        r = md_locate(&m->disk, to, &to_dir, to_name, err);
    if (r)
        return r;
    size_t n = strlen(from);
    bool into_itself = node->is_dir && strncmp(from, to, n) == 0 && to[n] == '/';
    if (!from_name[0] || !to_name[0] || into_itself)
        return err_set(err, ERR_IO, "cannot rename %s", from);
    struct md_entry *there = md_find(to_dir, NOW, to_name);
    if (there && there->node == node)
        return 0;
    if (there && (there->node->is_dir != node->is_dir || there->node->ents_n[NOW] > 0))
        return err_set(err, ERR_IO, "cannot rename %s: %s is in the way", from, to);
    return md_change(&m->disk, from_dir, from_name, to_dir, to_name, node, err);
}

static int mem_rename(struct io *io, const char *from, const char *to, struct err *err)
{
    struct mem *m = enter(io);
    return leave(m, rename_locked(m, from, to, err));
}

static int remove_locked(struct mem *m, const char *path, bool is_dir, struct err *err)
{
    struct md_node *dir, *node;
    char name[MD_NAME_ROOM];
    int r = md_lookup(&m->disk, path, &dir, name, &node, err);
    if (r)
        return r;
    if (node->is_dir != is_dir || !name[0] || node->ents_n[NOW] > 0)
        return err_set(err, ERR_IO, "cannot remove %s: %s", path,
                       !is_dir         ? "it is a directory"
                       : !node->is_dir ? "not a directory"
                                       : "directory not empty");
    return md_change(&m->disk, dir, name, NULL, NULL, node, err);
}

static int mem_unlink(struct io *io, const char *path, struct err *err)
{
    struct mem *m = enter(io);
    return leave(m, remove_locked(m, path, false, err));
}

static int mem_rmdir(struct io *io, const char *path, struct err *err)
{
    struct mem *m = enter(io);
    return leave(m, remove_locked(m, path, true, err));
}

static int mem_mkdir(struct io *io, const char *path, struct err *err)
{
    struct mem *m = enter(io);
    struct md_node *dir, *node;
    char name[MD_NAME_ROOM];
    int r = md_locate(&m->disk, path, &dir, name, err);
    struct md_entry *e = !r && name[0] ? md_find(dir, NOW, name) : NULL;
    if (r || !name[0])
        return leave(m, r);
    if (e)
        return leave(m, e->node->is_dir ? 0 : err_set(err, ERR_IO, "%s is a file", path));
    if (!(node = md_node_new(&m->disk, true)))
        return leave(m, err_nomem(err));
    r = md_change(&m->disk, NULL, NULL, dir, name, node, err);
    md_node_unref(node);
    return leave(m, r);
}

static int mem_sync_dir(struct io *io, const char *path, struct err *err)
{
    struct mem *m = enter(io);
    struct md_node *parent, *dir;
    char name[MD_NAME_ROOM];
    int r = md_lookup(&m->disk, path, &parent, name, &dir, err);
    if (!r && !dir->is_dir)
        r = err_set(err, ERR_NOTFOUND, "%s is not a directory", path);
    return leave(m, r ? r : md_sync_dir(&m->disk, dir, err));
}

static int mem_list(struct io *io, const char *path,
                    void (*fn)(void *arg, const char *name, bool is_dir), void *arg,
                    struct err *err)
{
    struct seen {
        struct md_name *name;
        bool is_dir;
    } *seen = NULL;
    struct mem *m = enter(io);
    struct md_node *parent, *dir;
    char name[MD_NAME_ROOM];
    int r = md_lookup(&m->disk, path, &parent, name, &dir, err);
    if (!r && !dir->is_dir)
        r = err_set(err, ERR_NOTFOUND, "%s is not a directory", path);
    if (!r && !(seen = mem_array(dir->ents_n[NOW], sizeof(*seen))))
        r = err_nomem(err);
    if (r)
        return leave(m, r);
    uint32_t n = dir->ents_n[NOW];
    for (uint32_t i = 0; i < n; i++) {
        const struct md_entry *e = &dir->ents[NOW][i];
        seen[i] = (struct seen){ e->name, e->node->is_dir };
        e->name->refs++;
    }
    leave(m, 0);
    for (uint32_t i = 0; i < n; i++)
        fn(arg, seen[i].name->text, seen[i].is_dir); /* may call this io again */
    enter(io);
    for (uint32_t i = 0; i < n; i++)
        md_name_unref(seen[i].name);
    leave(m, 0);
    mem_free(seen);
    return 0;
}

static int mem_free_space(struct io *io, uint64_t *ret_free, uint64_t *ret_total, struct err *err)
{
    (void)err;
    struct mem *m = enter(io);
    *ret_total = m->space;
    *ret_free = m->space > m->disk.used ? m->space - m->disk.used : 0;
    return leave(m, 0);
}

static ts_ns mem_now(struct io *io)
{
    struct mem *m = enter(io);
    ts_ns t = m->clock;
    leave(m, 0);
    return t;
}

static int64_t mem_mono(struct io *io)
{
    struct mem *m = enter(io);
    int64_t t = m->mono;
    leave(m, 0);
    return t;
}

static void mem_random(struct io *io, void *p, size_t n)
{
    struct mem *m = enter(io);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t x = md_draw(&m->rng);
        memcpy((char *)p + i, &x, n - i < 8 ? n - i : 8);
    }
    leave(m, 0);
}

static void mem_io_free(struct io *io)
{
    struct mem *m = mm(io);
    memdisk_deinit(&m->disk);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static const struct io_ops mem_ops = {
    .open = mem_open,
    .close = mem_close,
    .pread = mem_pread,
    .pwrite = mem_pwrite,
    .sync = mem_sync,
    .truncate = mem_truncate,
    .preallocate = mem_preallocate,
    .size = mem_size,
    .lock = mem_lock,
    .drop_cache = mem_drop_cache,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .mkdir = mem_mkdir,
    .rmdir = mem_rmdir,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .free_space = mem_free_space,
    .now = mem_now,
    .mono = mem_mono,
    .random = mem_random,
    .free = mem_io_free,
};

int io_mem_new(struct io **ret, uint64_t seed, struct err *err)
{
    struct mem *m = mem_zalloc(sizeof(*m));
    if (!m)
        return err_nomem(err);
    m->io.ops = &mem_ops;
    m->space = SPACE_DEFAULT;
    m->rng = seed;
    m->clock = CLOCK_START;
    m->mono = NS_PER_S;
    if (memdisk_init(&m->disk, err)) {
        mem_free(m);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&m->lock, NULL);
    *ret = &m->io;
    return 0;
}

/* ---- what only tests do ---- */

void io_mem_crash(struct io *io, uint64_t seed)
{
    struct mem *m = enter(io);
    md_crash(&m->disk, seed);
    m->epoch++;
    leave(m, 0);
}

void io_mem_sync_fails(struct io_file *file, uint64_t seed)
{
    struct err err = ERR_INIT;
    struct md_node *node;
    if (enter_file(file, &node, &err))
        return;
    md_sync_fails(node, seed);
    leave(mm(file->io), 0);
}

void io_mem_advance(struct io *io, int64_t ns)
{
    struct mem *m = enter(io);
    m->clock += ns;
    m->mono += ns;
    leave(m, 0);
}

void io_mem_set_space(struct io *io, uint64_t total_bytes)
{
    struct mem *m = enter(io);
    m->space = total_bytes;
    leave(m, 0);
}

bool io_mem_flip(struct io *io, const char *path, uint64_t byte, unsigned bit)
{
    struct err err = ERR_INIT;
    struct md_node *dir, *node;
    char name[MD_NAME_ROOM];
    struct mem *m = enter(io);
    bool ok =
        !md_lookup(&m->disk, path, &dir, name, &node, &err) && !node->is_dir && byte < node->now.n;
    if (ok) {
        uint8_t mask = (uint8_t)(1u << (bit & 7));
        node->now.p[byte] ^= mask;
        if (byte < node->disk.n)
            node->disk.p[byte] ^= mask;
    }
    leave(m, ok);
    return ok;
}
