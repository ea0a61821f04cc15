/* nthcall.c: LD_PRELOAD library: the process dies at its n-th call that changes a disk.
 *
 * NTHCALL_AT=N kills it with SIGKILL in the N-th such call of all its threads together: a write is
 * done by half, any other call not at all. Counted are writes at an offset, syncs, truncations,
 * preallocations, renames, removals, new directories, and opening with O_CREAT. At an orderly end
 * the number of calls is written to the file NTHCALL_COUNT names. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static long at;
static atomic_long calls;

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
    const char *n = getenv("NTHCALL_AT");
    at = n ? atol(n) : 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("NTHCALL_COUNT");
    FILE *f = path ? fopen(path, "we") : NULL;
    if (!f)
        return;
    fprintf(f, "%ld\n", atomic_load(&calls));
    fclose(f);
}

static bool last(void)
{
    return atomic_fetch_add(&calls, 1) + 1 == at;
}

static void die(void)
{
    for (;;)
        kill(getpid(), SIGKILL);
}

static void count(void)
{
    if (last())
        die();
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t off)
{
    ssize_t (*f)(int, const void *, size_t, off_t) = real("pwrite64");
    if (last()) {
        f(fd, p, n / 2, off);
        die();
    }
    return f(fd, p, n, off);
}

int fsync(int fd)
{
    count();
    return ((int (*)(int))real("fsync"))(fd);
}

int fdatasync(int fd)
{
    count();
    return ((int (*)(int))real("fdatasync"))(fd);
}

int ftruncate64(int fd, off_t n)
{
    count();
    return ((int (*)(int, off_t))real("ftruncate64"))(fd, n);
}

int fallocate64(int fd, int mode, off_t off, off_t n)
{
    count();
    return ((int (*)(int, int, off_t, off_t))real("fallocate64"))(fd, mode, off, n);
}

int mkdir(const char *path, mode_t mode)
{
    count();
    return ((int (*)(const char *, mode_t))real("mkdir"))(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    count();
    return ((int (*)(int, const char *, mode_t))real("mkdirat"))(dir, path, mode);
}

int rename(const char *from, const char *to)
{
    count();
    return ((int (*)(const char *, const char *))real("rename"))(from, to);
}

int renameat(int fdir, const char *from, int tdir, const char *to)
{
    count();
    return ((int (*)(int, const char *, int, const char *))real("renameat"))(fdir, from, tdir, to);
}

int unlink(const char *path)
{
    count();
    return ((int (*)(const char *))real("unlink"))(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    count();
    return ((int (*)(int, const char *, int))real("unlinkat"))(dir, path, flags);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (flags & O_CREAT)
        count();
    return ((int (*)(const char *, int, ...))real("open64"))(path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (flags & O_CREAT)
        count();
    return ((int (*)(int, const char *, int, ...))real("openat64"))(dir, path, flags, mode);
}
