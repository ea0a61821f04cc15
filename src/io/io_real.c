/* io_real.c: the machine's own files, clocks and randomness.
 *
 * Every path is resolved by the *at calls against a descriptor of the root, so a later chdir or a
 * renamed root changes nothing. Descriptors are close-on-exec, files 0600, directories 0700. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"

struct real {
    struct io io;
    int root;
};

struct real_file {
    struct io_file file;
    int fd;
    char path[]; /* for error sentences */
};

static int root_of(struct io *io)
{
    return ((struct real *)io)->root;
}

static struct real_file *rf(struct io_file *f)
{
    return (struct real_file *)f;
}

static const char *rel(const char *path)
{
    return *path ? path : ".";
}

static int fail(struct err *err, int errnum, const char *what, const char *path)
{
    if (errnum == ENOENT || errnum == ENOTDIR)
        return err_set(err, ERR_NOTFOUND, "cannot %s %s: %s", what, path,
                       errnum == ENOENT ? "no such file or directory" : "not a directory");
    return err_sys(err, errnum, "cannot %s %s", what, path);
}

static int open_retry(int dir, const char *path, int flags)
{
    int fd;
    do
        fd = openat(dir, path, flags | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Whether the file system takes no more files, though it may have bytes left. */
static bool no_inodes(struct io *io)
{
    struct statvfs st;
    return fstatvfs(root_of(io), &st) == 0 && st.f_files && !st.f_favail;
}

static int real_open(struct io *io, struct io_file **ret, const char *path, int flags,
                     struct err *err)
{
    int os = flags & IO_WRITE ? O_RDWR : O_RDONLY;
    os |= flags & IO_CREATE ? O_CREAT : 0;
    os |= flags & IO_EXCL ? O_EXCL : 0;
    size_t n = strlen(path) + 1;
    struct real_file *f = mem_alloc(sizeof(*f) + n);
    if (!f)
        return err_nomem(err);
    memcpy(f->path, path, n);
    f->file.io = io;
    f->fd = open_retry(root_of(io), rel(path), os);
    if (f->fd < 0) {
        int r = fail(err, errno, "open", path);
        if (r == ERR_FULL && no_inodes(io))
            r = err_set(err, ERR_FULL, "cannot make %s: no inodes left on the device", path);
        mem_free(f);
        return r;
    }
    *ret = &f->file;
    return 0;
}

static void real_close(struct io_file *file)
{
    close(rf(file)->fd); /* on Linux the descriptor is gone whatever close says */
    mem_free(file);
}

static int real_pread(struct io_file *file, void *p, size_t n, uint64_t off, size_t *ret_n,
                      struct err *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(rf(file)->fd, (char *)p + done, n - done, (off_t)(off + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(err, errno, "read", rf(file)->path);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *ret_n = done;
    return 0;
}

static int real_pwrite(struct io_file *file, const void *p, size_t n, uint64_t off, struct err *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = pwrite(rf(file)->fd, (const char *)p + done, n - done, (off_t)(off + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return fail(err, put < 0 ? errno : EIO, "write", rf(file)->path);
        done += (size_t)put;
    }
    return 0;
}

static int real_sync(struct io_file *file, struct err *err)
{
    /* EINTR included: after a failed fdatasync nobody knows what reached the disk, so no retry */
    return fdatasync(rf(file)->fd) ? fail(err, errno, "sync", rf(file)->path) : 0;
}

static int real_truncate(struct io_file *file, uint64_t size, struct err *err)
{
    int r;
    do
        r = ftruncate(rf(file)->fd, (off_t)size);
    while (r && errno == EINTR);
    return r ? fail(err, errno, "truncate", rf(file)->path) : 0;
}

static int real_preallocate(struct io_file *file, uint64_t off, uint64_t len, struct err *err)
{
    int r;
    do
        r = fallocate(rf(file)->fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    while (r && errno == EINTR);
    if (r && errno != EOPNOTSUPP && errno != ENOSYS)
        return fail(err, errno, "preallocate", rf(file)->path);
    return 0;
}

static int real_size(struct io_file *file, uint64_t *ret, struct err *err)
{
    struct stat st;
    if (fstat(rf(file)->fd, &st))
        return fail(err, errno, "stat", rf(file)->path);
    *ret = (uint64_t)st.st_size;
    return 0;
}

/* OFD locks belong to the open file, so two opens in one process exclude each other too. */
static int real_lock(struct io_file *file, bool exclusive, struct err *err)
{
    struct flock lk = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
    int r;
    do
        r = fcntl(rf(file)->fd, F_OFD_SETLK, &lk);
    while (r && errno == EINTR);
    if (!r)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(err, ERR_BUSY, "%s is locked by another process", rf(file)->path);
    return fail(err, errno, "lock", rf(file)->path);
}

static void real_drop_cache(struct io_file *file)
{
    posix_fadvise(rf(file)->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int real_rename(struct io *io, const char *from, const char *to, struct err *err)
{
    return renameat(root_of(io), from, root_of(io), to) ? fail(err, errno, "rename", from) : 0;
}

static int real_unlink(struct io *io, const char *path, struct err *err)
{
    return unlinkat(root_of(io), path, 0) ? fail(err, errno, "remove", path) : 0;
}

static int real_mkdir(struct io *io, const char *path, struct err *err)
{
    struct stat st;
    if (mkdirat(root_of(io), rel(path), 0700) == 0)
        return 0;
    int errnum = errno;
    if (errnum == EEXIST && fstatat(root_of(io), rel(path), &st, 0) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return fail(err, errnum, "create directory", path);
}

static int real_rmdir(struct io *io, const char *path, struct err *err)
{
    return unlinkat(root_of(io), path, AT_REMOVEDIR) ? fail(err, errno, "remove", path) : 0;
}

static int real_sync_dir(struct io *io, const char *path, struct err *err)
{
    int fd = open_retry(root_of(io), rel(path), O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fail(err, errno, "open", path);
    int r = fsync(fd) ? fail(err, errno, "sync", path) : 0;
    close(fd);
    return r;
}

static bool entry_is_dir(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int real_list(struct io *io, const char *path,
                     void (*fn)(void *arg, const char *name, bool is_dir), void *arg,
                     struct err *err)
{
    int fd = open_retry(root_of(io), rel(path), O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fail(err, errno, "list", path);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int r = fail(err, errno, "list", path);
        close(fd);
        return r;
    }
    struct dirent *e;
    while (errno = 0, (e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            fn(arg, e->d_name, entry_is_dir(fd, e));
    int errnum = errno;
    closedir(dir);
    return errnum ? fail(err, errnum, "list", path) : 0;
}

static int real_free_space(struct io *io, uint64_t *ret_free, uint64_t *ret_total, struct err *err)
{
    struct statvfs st;
    int r;
    do
        r = fstatvfs(root_of(io), &st);
    while (r && errno == EINTR);
    if (r)
        return fail(err, errno, "measure", "the data directory");
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static ts_ns real_now(struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_REALTIME);
}

static int64_t real_mono(struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_MONOTONIC);
}

static void real_random(struct io *io, void *p, size_t n)
{
    (void)io;
    for (size_t done = 0; done < n;) {
        ssize_t got = getrandom((char *)p + done, n - done, 0);
        if (got > 0)
            done += (size_t)got;
    }
}

static void real_free(struct io *io)
{
    close(root_of(io));
    mem_free(io);
}

static const struct io_ops real_ops = {
    .open = real_open,
    .close = real_close,
    .pread = real_pread,
    .pwrite = real_pwrite,
    .sync = real_sync,
    .truncate = real_truncate,
    .preallocate = real_preallocate,
    .size = real_size,
    .lock = real_lock,
    .drop_cache = real_drop_cache,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .rmdir = real_rmdir,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .free_space = real_free_space,
    .now = real_now,
    .mono = real_mono,
    .random = real_random,
    .free = real_free,
};

/* creates root and its missing parents */
static int make_root(const char *root, struct err *err)
{
    char path[4096];
    size_t n = strlen(root);
    if (n >= sizeof(path))
        return err_set(err, ERR_INVALID, "path too long: %.100s...", root);
    memcpy(path, root, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        char keep = path[i];
        path[i] = 0;
        if (mkdir(path, 0700) && errno != EEXIST)
            return fail(err, errno, "create directory", path);
        path[i] = keep;
    }
    return 0;
}

int io_real_new(struct io **ret, const char *root, bool create, struct err *err)
{
    if (!*root)
        return err_set(err, ERR_INVALID, "the data directory has no name");
    int r = create ? make_root(root, err) : 0;
    if (r)
        return r;
    int fd = open_retry(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fail(err, errno, "open directory", root);
    struct real *real = mem_alloc(sizeof(*real));
    if (!real) {
        close(fd);
        return err_nomem(err);
    }
    *real = (struct real){ .io = { &real_ops }, .root = fd };
    *ret = &real->io;
    return 0;
}
