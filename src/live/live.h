/* live.h: push, not poll: new entries matched when their batch becomes durable, fanned out to
 * subscribers.
 *
 * live_publish is called by the store's writer thread for every durable batch, in seq order. It
 * only copies the batch (nothing at all when nobody listens); a thread of live's own matches each
 * subscription's filter on the batch's columns and appends what matched to the subscriber's bounded
 * queue, so that a slow filter delays tails but never an acknowledgement. A full queue drops the
 * new entries and counts them; the reader is told. Matching cost is shared: a batch is opened once
 * for all and a row is rendered once a view. When the matcher itself falls behind its bound,
 * subscribers with a store read what they missed from there: no gap. */
#ifndef FL_LIVE_LIVE_H
#define FL_LIVE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/block.h"
#include "model/pred.h"
#include "store/store.h"

#define LIVE_QUEUE_DEFAULT (1u << 20) /* bytes waiting for one subscriber */
#define LIVE_SUBS_MAX 10000

struct live;
struct live_sub;

int live_new(struct live **ret, struct err *err);
void live_free(struct live *l); /* all subscriptions must be closed */
/* store_config.on_durable with ctx = the live object */
void live_publish(void *live, str payload, uint64_t base_seq, ts_ns received_at);
/* gives it (copied) the id generator once the store is open (ids appear in the views), before the
 * first subscription */
void live_set_ids(struct live *l, const struct id_gen *ids);

/* renders one row; any of view.h */
typedef int (*live_view)(struct buf *out, struct block *b, uint32_t row, struct err *err);

struct live_opts {
    const struct pred *filter; /* NULL = everything; must outlive the subscription */
    live_view view;
    size_t queue_bytes; /* 0 = LIVE_QUEUE_DEFAULT */
    /* Called when the queue turns non-empty (edge), from the publishing thread: post to your own.
     */
    void (*wake)(void *arg); /* also when live_needs_history turns true */
    void *arg;
    /* Resume: entries with seq > after_seq are delivered first from `store`, then live, without a
     * gap or a duplicate. UINT64_MAX = from now. */
    uint64_t after_seq;
    struct store *store; /* needed for a resume, and to catch up instead of losing */
    /* Called exactly once after live_unsubscribe, from any thread, when filter and arg are not used
     * any more. NULL: live_unsubscribe waits for that itself. */
    void (*release)(void *arg);
};
/* ERR_BUSY more than LIVE_SUBS_MAX. */
int live_subscribe(struct live *l, const struct live_opts *o, struct live_sub **ret,
                   struct err *err);
/* After the return wake is never called again. Not while live_take runs: live_cancel that first. */
void live_unsubscribe(struct live_sub *s);
/* Makes a live_take that reads history stop soon with ERR_CANCELED. Any thread. */
void live_cancel(struct live_sub *s);
/* Makes it stop soon too, now and from now on, but never without having got on: it returns what it
 * has found so far, maybe nothing, and live_position has moved. Any thread. */
void live_pause(struct live_sub *s);

struct live_item {
    uint64_t seq;
    str json;         /* as the view rendered it */
    uint64_t dropped; /* entries lost to a full queue just before this one (0 mostly) */
};
/* Takes up to max items off the queue (texts valid until the next take). The history part of a
 * resume is read here, in slices of at most 1,000 entries, so call it from a query thread when
 * live_needs_history is true. Returns the count or < 0. */
int live_take(struct live_sub *s, struct live_item *items, uint32_t max, struct err *err);
bool live_needs_history(struct live_sub *s);
/* Every entry with seq <= this was taken, counted as dropped, or does not match: where a later
 * subscription can go on. */
uint64_t live_position(struct live_sub *s);
/* drops not yet reported by an item, reported and cleared */
uint64_t live_dropped(struct live_sub *s);
struct live_stats {
    uint64_t subscribers;
    uint64_t published; /* entries that came while somebody listened */
    uint64_t matched;   /* deliveries queued */
    uint64_t dropped;   /* deliveries lost to full queues */
};
void live_get_stats(struct live *l, struct live_stats *ret);

#endif
