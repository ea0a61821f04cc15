/* io.h: the seam to the operating system: files, clocks, randomness.
 *
 * Everything durable goes through a `struct io`. Three implementations:
 *   io_real_new    the machine's files and clocks
 *   io_mem_new     a file system in memory with a clock moved by hand. It knows what was synced:
 *                  io_mem_crash drops or tears what was not, by seed.
 *   io_faulty_new  wraps another: the n-th call of a kind fails, once or for ever
 * Paths are relative to the io's root directory and never come from outside names.
 * All functions are thread-safe; a file may be read by many threads and is written by one.
 * Errors: ERR_IO, ERR_FULL (no space), ERR_NOTFOUND, ERR_BUSY (lock held), ERR_NOMEM. */
#ifndef FL_IO_IO_H
#define FL_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct io;
struct io_file;

enum io_open_flags {
    IO_READ = 1,
    IO_WRITE = 2,  /* read and write */
    IO_CREATE = 4, /* create when missing */
    IO_EXCL = 8,   /* fail when it exists */
};

enum io_op { /* what io_faulty can make fail */
             IO_OP_OPEN,
             IO_OP_READ,
             IO_OP_WRITE,
             IO_OP_SYNC,
             IO_OP_RENAME,
             IO_OP_UNLINK,
             IO_OP_MKDIR,
             IO_OP_SYNCDIR,
             IO_OP_TRUNCATE,
             IO_OP_LIST,
             IO_OP__N
};

struct io_ops {
    int (*open)(struct io *, struct io_file **ret, const char *path, int flags, struct err *);
    void (*close)(struct io_file *);
    /* reads up to n bytes; *ret_n < n only at end of file */
    int (*pread)(struct io_file *, void *p, size_t n, uint64_t off, size_t *ret_n, struct err *);
    int (*pwrite)(struct io_file *, const void *p, size_t n, uint64_t off,
                  struct err *);                 /* all or error */
    int (*sync)(struct io_file *, struct err *); /* fdatasync */
    int (*truncate)(struct io_file *, uint64_t size, struct err *);
    int (*preallocate)(struct io_file *, uint64_t off, uint64_t len,
                       struct err *); /* may be a no-op */
    int (*size)(struct io_file *, uint64_t *ret, struct err *);
    int (*lock)(struct io_file *, bool exclusive,
                struct err *); /* ERR_BUSY when held; until close */
    void (*drop_cache)(struct io_file *);
    int (*rename)(struct io *, const char *from, const char *to, struct err *);
    int (*unlink)(struct io *, const char *path, struct err *);
    int (*mkdir)(struct io *, const char *path, struct err *); /* existing is fine */
    int (*rmdir)(struct io *, const char *path, struct err *);
    int (*sync_dir)(struct io *, const char *path, struct err *);
    /* calls fn for every name in the directory, in no order */
    int (*list)(struct io *, const char *path, void (*fn)(void *arg, const char *name, bool is_dir),
                void *arg, struct err *);
    int (*free_space)(struct io *, uint64_t *ret_free, uint64_t *ret_total, struct err *);
    ts_ns (*now)(struct io *);    /* wall clock */
    int64_t (*mono)(struct io *); /* monotonic ns */
    void (*random)(struct io *, void *p, size_t n);
    void (*free)(struct io *);
};

struct io {
    const struct io_ops *ops;
};
struct io_file {
    struct io *io; /* implementations embed this at the start */
};

/* root: directory every path is relative to; created (0700) when missing and `create` is set */
int io_real_new(struct io **ret, const char *root, bool create, struct err *err);

int io_mem_new(struct io **ret, uint64_t seed, struct err *err);
/* Power cut: files and directory entries go back to what was synced; of unsynced 512-byte sectors a
 * seeded subset survives, of unsynced directory changes a seeded prefix. Open files become unusable
 * (ERR_IO). The io can then be opened anew. */
void io_mem_crash(struct io *mem, uint64_t seed);
/* A sync of this file failed the way it does on Linux: what was not written yet counts as clean all
 * the same, so the next sync succeeds without it. Reads show it until drop_cache or a power cut. */
void io_mem_sync_fails(struct io_file *file, uint64_t seed);
void io_mem_advance(struct io *mem, int64_t ns);             /* moves both clocks */
void io_mem_set_space(struct io *mem, uint64_t total_bytes); /* writes past it fail with ERR_FULL */
/* flips one bit of a stored file; false past its end */
bool io_mem_flip(struct io *mem, const char *path, uint64_t byte, unsigned bit);

/* Does not own inner. */
int io_faulty_new(struct io **ret, struct io *inner, struct err *err);
/* The n-th call (1 = next) of `op` (IO_OP__N = any) fails with `code`; forever: all later too.
 * n = 0: off. Resets the call counter. */
void io_faulty_set(struct io *f, enum io_op op, uint64_t n, int code, bool forever);
uint64_t io_faulty_count(struct io *f); /* matching calls since io_faulty_set */
/* A slow disk: writes and syncs of files whose path ends in `suffix` (borrowed) stand still until
 * the hold is lifted with NULL. Only of files opened after this call. */
void io_faulty_hold(struct io *f, enum io_op op, const char *suffix);
void io_faulty_await(struct io *f, uint32_t n); /* until n calls stand still */

static inline void io_free(struct io *io)
{
    if (io)
        io->ops->free(io);
}
static inline void io_close(struct io_file *f)
{
    if (f)
        f->io->ops->close(f);
}
/* whole small file, <= max bytes, into *ret (mem_free), NUL-terminated beyond *ret_n */
int io_read_file(struct io *io, const char *path, size_t max, char **ret, size_t *ret_n,
                 struct err *err);
/* temporary name, write, sync, rename, sync directory */
int io_write_file(struct io *io, const char *path, str data, struct err *err);

#endif
