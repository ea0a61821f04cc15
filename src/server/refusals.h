/* refusals.h: why entries were refused of late, for whoever looks at the server's state.
 *
 * Bounded: one line for each path, key and reason, the REFUSALS_MAX newest of them. Any thread. */
#ifndef FL_SERVER_REFUSALS_H
#define FL_SERVER_REFUSALS_H

#include <pthread.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"

#define REFUSALS_MAX 20

struct refusal {
    ts_ns last; /* 0: the line is free */
    uint64_t entries;
    char path[48], key[65], reason[256]; /* key: its name; "" when nobody was asked */
};
struct refusals {
    pthread_mutex_t lock;
    struct refusal v[REFUSALS_MAX];
};

void refusals_init(struct refusals *r);
void refusals_deinit(struct refusals *r);
void refusals_add(struct refusals *r, ts_ns now, const char *path, const char *key, str reason,
                  uint64_t entries);
/* JSON array of {last, entries, path, key, reason}, newest first. */
void refusals_put(struct refusals *r, struct buf *out);

#endif
