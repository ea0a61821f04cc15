/* internal.h: a subscription, as live.c (matching) and take.c (reading) see it. */
#ifndef FL_LIVE_INTERNAL_H
#define FL_LIVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "live/live.h"

#define LIVE_ITEM_COST 48 /* what a queued entry counts for besides its text */

struct live_text {
    atomic_uint refs;
    uint32_t n;
    char p[];
};
struct live_text *live_text_new(str s); /* one reference; NULL out of memory */
void live_text_unref(struct live_text *t);

struct live_entry {
    uint64_t seq;
    struct live_text *text;
    uint64_t dropped;
};

enum sub_mode { SUB_LIVE, SUB_LAST, SUB_SCAN };

struct live_sub {
    struct live *live;
    struct live_opts o;
    struct live_sub *prev, *next; /* live.lock */
    uint32_t refs;                /* live.lock: the subscriber's own, and the matcher's snapshot */
    uint64_t min_base;            /* batches up to this base were published before; constant */
    volatile int cancel, pause;

    pthread_mutex_t lock; /* down to `taken` */
    bool closed, want_wake;
    enum sub_mode mode;
    uint64_t floor;       /* LIVE: nothing up to here is queued any more */
    uint64_t seen;        /* the matcher judged everything up to here */
    uint64_t cursor;      /* LAST, SCAN: history was read up to here */
    uint64_t lost;        /* entries to be told as dropped with the next item */
    struct live_entry *q; /* ring; cap is 0 or a power of two */
    uint32_t cap, head, n;
    size_t bytes;

    /* the reader's own */
    uint64_t pos;             /* seq of the entry given out last */
    struct live_entry *taken; /* given out by the last live_take */
    uint32_t ntaken, cap_taken;
    struct live_entry *hist; /* a slice of history, rising by seq */
    uint32_t nhist, hist_at, cap_hist;
};

#endif
