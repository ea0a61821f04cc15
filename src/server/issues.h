/* issues.h: the issues of this store, kept up to date, with what people decided about them.
 *
 * Entries are read once: each look first reads what was stored since the last one. The first look
 * after a start reads all errors. What entries do to a state (an issue that comes back after it was
 * resolved) is noticed at a look and written down then.
 *
 * How the marks of entries and the states of issues go together is in docs/issues.md. */
#ifndef FL_SERVER_ISSUES_H
#define FL_SERVER_ISSUES_H

#include "meta/issues.h"
#include "query/issue_set.h"
#include "server/internal.h"

#define ISSUES_BYTES ((size_t)128 << 20) /* memory of all; past it no new issue is taken up */

int issues_new(struct server *s, struct err *err);
void issues_free(struct server *s);
/* Brings them up to date and holds the lock until issues_done, also on failure not. cancel may be
 * NULL. Reads the disk. */
int issues_look(struct server *s, const volatile int *cancel, struct issues **ret, struct err *err);
void issues_done(struct issues *x);
/* Marks were set: soon, on a thread of the pool, states follow. */
void issues_poke(struct server *s);

/* ---- between look and done ---- */
const struct issue_set *issues_set(const struct issues *x);
uint64_t issues_upto(const struct issues *x); /* highest sequence number that is in */
/* the state; an open one that nobody touched when there is nothing else to say */
struct meta_issue issues_state(const struct issues *x, uint64_t id);
/* entries marked as resolved */
uint64_t issues_marked(const struct issues *x, uint64_t id);
struct issue_change {
    enum issue_state state;
    str by, note;
    ts_ns until;
    uint64_t until_count;
};
/* The same change of n known issues, all or none, durable on return; a change that changes nothing
 * is none. *ret_changed: how many did. */
int issues_change(struct issues *x, const uint64_t *ids, uint32_t n, const struct issue_change *c,
                  uint32_t *ret_changed, struct err *err);

/* ---- for alerts ---- */
struct issue_news {
    uint64_t id, seq;              /* of the entry that is the news */
    bool regressed;                /* it had been resolved; else it was never seen before */
    ts_ns time;                    /* of that entry, by timestamp; regressed: of the last one */
    str title, tool, entry, agent; /* entry: its id; in the arena */
};
/* Issues first seen, or come back after they were resolved, by an entry with a sequence number
 * above `after`, by rising sequence number; *ret_upto is what to pass as `after` the next time.
 * Ignored issues are not among them. Looks by itself. */
int issues_news(struct server *s, uint64_t after, struct arena *a, struct issue_news **ret,
                uint32_t *ret_n, uint64_t *ret_upto, struct err *err);

#endif
