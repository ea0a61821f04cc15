/* disk.h: the simulated machine's disk: io_mem with faults drawn by a seed, and a record of every
 * call.
 *
 * At each call another task may run (tasks.h). A life of the machine has a plan: where the power
 * fails or the process is killed, which calls are refused and how. After the end of a life
 * (disk_dead) every call is refused, as nothing runs then; disk_next_life says what was left. */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "io/io.h"

enum ending { END_CLOSE, END_KILL, END_POWER };

struct rule {      /* calls that are refused */
    enum io_op op; /* IO_OP__N: any */
    uint64_t nth;  /* the n-th matching call of this life, 1 = first; 0: none */
    bool forever;  /* and all later ones */
    uint32_t odds; /* instead: one in so many */
    int code;
};

struct plan {
    enum ending ending;
    uint64_t cut_at; /* the life ends at this call; 0: when the work is done */
    struct rule rules[2];
    uint64_t space; /* bytes of the disk; 0: enough */
};

struct disk;
struct disk *disk_new(uint64_t seed, bool verbose);
void disk_free(struct disk *d);
struct io *disk_io(struct disk *d);
struct io *disk_mem(struct disk *d); /* the bytes below, without faults */

void disk_begin(struct disk *d, const struct plan *p);
void disk_cut(struct disk *d); /* the life ends now */
bool disk_dead(const struct disk *d);
/* Everything is closed: the plan is over, and after a power cut what was not synced is gone. */
void disk_end(struct disk *d);
uint64_t disk_faults(const struct disk *d); /* calls refused in this life */
uint64_t disk_calls(const struct disk *d);  /* in this life */
uint64_t disk_all_calls(const struct disk *d);
uint64_t disk_trace(const struct disk *d); /* hash over all calls of all lives */
void disk_note(struct disk *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
