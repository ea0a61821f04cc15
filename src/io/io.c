/* io.c: whole small files, by the calls of any io. */
#include "io/io.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define PATH_ROOM 4096

int io_read_file(struct io *io, const char *path, size_t max, char **ret, size_t *ret_n,
                 struct err *err)
{
    struct io_file *f;
    int r = io->ops->open(io, &f, path, IO_READ, err);
    if (r)
        return r;
    uint64_t size;
    char *p = NULL;
    size_t got = 0;
    r = io->ops->size(f, &size, err);
    if (!r && size > max)
        r = err_set(err, ERR_LIMIT, "%s is %llu bytes, the most here is %zu", path,
                    (unsigned long long)size, max);
    if (!r && !(p = mem_alloc((size_t)size + 1)))
        r = err_nomem(err);
    if (!r)
        r = io->ops->pread(f, p, (size_t)size, 0, &got, err);
    io_close(f);
    if (r) {
        mem_free(p);
        return r;
    }
    p[got] = 0;
    *ret = p;
    *ret_n = got;
    return 0;
}

static int fill_temporary(struct io *io, const char *tmp, str data, struct err *err)
{
    struct io_file *f;
    int r = io->ops->open(io, &f, tmp, IO_WRITE | IO_CREATE, err);
    if (r)
        return r;
    r = io->ops->truncate(f, 0, err);
    if (!r)
        r = io->ops->pwrite(f, data.p, data.n, 0, err);
    if (!r)
        r = io->ops->sync(f, err);
    io_close(f);
    return r;
}

/* One writer a path at a time: the temporary name is derived from it. */
int io_write_file(struct io *io, const char *path, str data, struct err *err)
{
    char tmp[PATH_ROOM], dir[PATH_ROOM];
    if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
        return err_set(err, ERR_INVALID, "path too long: %.100s...", path);
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    else
        memcpy(dir, ".", 2);

    int r = fill_temporary(io, tmp, data, err);
    if (!r)
        r = io->ops->rename(io, tmp, path, err);
    if (r) {
        struct err ignored = ERR_INIT; /* the first failure is the one to tell */
        io->ops->unlink(io, tmp, &ignored);
        return r;
    }
    return io->ops->sync_dir(io, dir, err);
}
