/* spill.c: see spill.h. */
#include "query/spill_area.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct names {
    struct io *io;
    struct err *err;
    int rc;
};

static void remove_name(void *arg, const char *name, bool is_dir)
{
    struct names *n = arg;
    char path[300];
    int len = snprintf(path, sizeof path, SPILL_DIR "/%s", name);
    if (is_dir || n->rc || len < 0 || (size_t)len >= sizeof path)
        return;
    n->rc = n->io->ops->unlink(n->io, path, n->err);
}

static int reserve_of(struct io *io, uint64_t *reserve, struct err *err)
{
    uint64_t free, total;
    if (*reserve != UINT64_MAX)
        return 0;
    int rc = io->ops->free_space(io, &free, &total, err);
    if (rc)
        return rc;
    uint64_t least = (uint64_t)256 << 20;
    *reserve = total / 50 > least ? total / 50 : least;
    return 0;
}

int spill_area_open(struct spill_area **ret, struct io *io, uint64_t reserve, uint64_t query_max,
                    struct err *err)
{
    struct names old = { io, err, 0 };
    int rc = io->ops->mkdir(io, SPILL_DIR, err);
    if (!rc)
        rc = io->ops->list(io, SPILL_DIR, remove_name, &old, err);
    if (!rc)
        rc = old.rc;
    if (!rc)
        rc = reserve_of(io, &reserve, err);
    if (rc)
        return rc;
    struct spill_area *a = mem_zalloc(sizeof *a);
    if (!a)
        return err_nomem(err);
    a->io = io;
    a->reserve = reserve;
    a->query_max = query_max ? query_max : SPILL_MAX_DEFAULT;
    *ret = a;
    return 0;
}

void spill_area_close(struct spill_area *a)
{
    mem_free(a);
}

uint64_t spill_area_written(const struct spill_area *a)
{
    return atomic_load_explicit(&((struct spill_area *)(uintptr_t)a)->written,
                                memory_order_relaxed);
}

/* ---- files ---- */

static void path_of(uint64_t number, char path[static SPILL_PATH])
{
    snprintf(path, SPILL_PATH, SPILL_DIR "/%llu.run", (unsigned long long)number);
}

int spill_file_new(struct spill_area *a, uint64_t *ret_number, struct io_file **ret,
                   struct err *err)
{
    char path[SPILL_PATH];
    uint64_t free, total;
    int rc = a->io->ops->free_space(a->io, &free, &total, err);
    if (rc)
        return rc;
    if (free < a->reserve)
        return spill_full(err, "the disk has no more room than its reserve");
    *ret_number = atomic_fetch_add(&a->next, 1);
    path_of(*ret_number, path);
    rc = a->io->ops->open(a->io, ret, path, IO_WRITE | IO_CREATE | IO_EXCL, err);
    if (rc) /* it may be there all the same */
        spill_file_drop(a, *ret_number);
    return rc == ERR_FULL ? spill_full(err, "the disk is full") : rc;
}

int spill_file_open(struct spill_area *a, uint64_t number, struct io_file **ret, struct err *err)
{
    char path[SPILL_PATH];
    path_of(number, path);
    return a->io->ops->open(a->io, ret, path, IO_READ, err);
}

void spill_file_drop(struct spill_area *a, uint64_t number)
{
    struct err e = ERR_INIT;
    char path[SPILL_PATH];
    path_of(number, path);
    /* what cannot be removed now goes when the area is opened again */
    (void)a->io->ops->unlink(a->io, path, &e);
}

int spill_full(struct err *err, const char *why)
{
    err_set(err, ERR_FULL, "the query needs more memory than its budget, and %s", why);
    err_slug(err, "query_disk");
    err_hint(err, "narrow the filter or the time range, or group by fewer values");
    return ERR_FULL;
}
