/* flips.h: the small store that is damaged, and the judge (flips.c). */
#ifndef TESTS_FLIPS_FLIPS_H
#define TESTS_FLIPS_FLIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "../sim/model.h"
#include "io/io.h"

#define LOG "wal/000000000003.wal"
#define IDLE_ROOM 600 /* zeros kept behind the last frame */

struct made {
    struct io *io;
    uint64_t rows, marks;
    uint64_t sums[ROWS_MAX];
    uint64_t log_end;
    bool tail_may_go; /* damage that looks as if the end of the log had never been written */
};

struct seen {
    const char *what;
    uint64_t rows, marks, gaps;
    uint32_t complaints; /* errors and warnings told at the start */
    int refused;         /* 0, or why it does not open */
    uint64_t last_row;   /* highest found */
    bool incomplete, verify_objects;
};

struct file {
    char path[64];
    uint64_t size;
};
struct files {
    struct file v[32];
    uint32_t n;
};

void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void make_store(struct made *m);
/* writer: the start may write (give it a copy). Fails on wrong rows and on a silent loss. */
void judge(struct io *io, const struct made *m, const char *what, bool writer, struct seen *ret);
bool unharmed(const struct made *m, const struct seen *s);

bool idle_line_feed(const struct made *m, uint64_t at);
bool idle_clock(const struct made *m, uint64_t at);
bool idle_zeros(const struct made *m, uint64_t at);

/* ---- damage.c ---- */
void list_files(struct io *io, struct files *ret); /* in order of path */
struct io *copy_disk(struct io *io);
void damage_all(struct made *m);

#endif
