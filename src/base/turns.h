/* turns.h: a few threads that take turns at jobs of many equal pieces.
 *
 * A job is work that several threads can do a piece of at a time (a scan: a block). The threads go
 * round the jobs and do one piece of each, so that a short job beside a long one waits for pieces,
 * not for its end. Threads are started when the first job comes. Thread-safe. */
#ifndef FL_BASE_TURNS_H
#define FL_BASE_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TURNS_MAX 64 /* threads */

struct turns;

struct turn_job {
    /* One piece, on thread `slot` (0 .. turns_threads - 1). False: there is nothing left to begin;
     * pieces others are at go on. Never called by two threads for one slot at a time. */
    bool (*step)(struct turn_job *j, uint32_t slot);
    /* private */
    struct turn_job *next;
    uint32_t running;
    bool drained;
};

/* threads: 1 .. TURNS_MAX; nice: added to theirs. */
int turns_new(struct turns **ret, uint32_t threads, int nice, struct err *err);
/* No job may be running. */
void turns_free(struct turns *t);
uint32_t turns_threads(const struct turns *t);
/* Returns when step has said false and no piece is under way; what the pieces wrote is then
 * visible. False: no thread could be started, nothing was done. */
bool turns_run(struct turns *t, struct turn_job *j);

#endif
