/* volatile.c: LD_PRELOAD library: a disk whose cache does not survive the process.
 *
 * kill -9 takes a process away but leaves the kernel's page cache, so it alone cannot show a
 * missing fsync. Here every pwrite to a file of the store waits in this process until fsync or
 * fdatasync of its descriptor passes it on; what was not synced dies with the process, as it would
 * with the power. Files named meta.db* (SQLite has tests of its own) and anything that is not a
 * regular file pass through. Closing without syncing loses the bytes; reading a descriptor passes
 * its waiting bytes on first. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FDS 4096

struct extent {
    struct extent *next;
    off_t off;
    size_t n;
    char bytes[];
};

static struct extent *waiting[FDS], **ends[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef ssize_t pread_fn(int, void *, size_t, off_t);
typedef int sync_fn(int);

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static bool ours(int fd)
{
    char link[64], path[4096];
    struct stat st;
    if (fd < 0 || fd >= FDS || fstat(fd, &st) || !S_ISREG(st.st_mode))
        return false;
    char *p = link + strlen(strcpy(link, "/proc/self/fd/"));
    char digits[12];
    int n = 0;
    for (int v = fd; v || !n; v /= 10)
        digits[n++] = (char)('0' + v % 10);
    while (n)
        *p++ = digits[--n];
    *p = 0;
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0)
        return false;
    path[len] = 0;
    return !strstr(path, "meta.db") && !strstr(path, "LOCK");
}

/* Passes on what waits; the lock is held. */
static int pass_on(int fd)
{
    pwrite_fn *w = real("pwrite");
    int rc = 0;
    for (struct extent *e = waiting[fd], *next; e; e = next) {
        next = e->next;
        if (!rc && w(fd, e->bytes, e->n, e->off) != (ssize_t)e->n)
            rc = -1;
        free(e);
    }
    waiting[fd] = NULL;
    return rc;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
    if (!ours(fd))
        return ((pwrite_fn *)real("pwrite"))(fd, p, n, off);
    struct extent *e = malloc(sizeof *e + n);
    if (!e) {
        errno = ENOMEM;
        return -1;
    }
    *e = (struct extent){ .off = off, .n = n };
    memcpy(e->bytes, p, n);
    pthread_mutex_lock(&lock);
    if (!waiting[fd])
        ends[fd] = &waiting[fd];
    *ends[fd] = e;
    ends[fd] = &e->next;
    pthread_mutex_unlock(&lock);
    return (ssize_t)n;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t off)
{
    return pwrite(fd, p, n, off);
}

static int synced(int fd, const char *name)
{
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        int rc = pass_on(fd);
        pthread_mutex_unlock(&lock);
        if (rc)
            return rc;
    }
    return ((sync_fn *)real(name))(fd);
}

int fdatasync(int fd)
{
    return synced(fd, "fdatasync");
}

int fsync(int fd)
{
    return synced(fd, "fsync");
}

ssize_t pread(int fd, void *p, size_t n, off_t off)
{
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        pass_on(fd);
        pthread_mutex_unlock(&lock);
    }
    return ((pread_fn *)real("pread"))(fd, p, n, off);
}

ssize_t pread64(int fd, void *p, size_t n, off_t off)
{
    return pread(fd, p, n, off);
}

ssize_t __pread_chk(int fd, void *p, size_t n, off_t off, size_t room);
ssize_t __pread_chk(int fd, void *p, size_t n, off_t off, size_t room)
{
    (void)room;
    return pread(fd, p, n, off);
}

ssize_t __pread64_chk(int fd, void *p, size_t n, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *p, size_t n, off_t off, size_t room)
{
    (void)room;
    return pread(fd, p, n, off);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        for (struct extent *e = waiting[fd], *next; e; e = next) {
            next = e->next;
            free(e);
        }
        waiting[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return ((sync_fn *)real("close"))(fd);
}
