/* pcache.h: decoded pages and block directories kept for the next query.
 *
 * Shared by all scans of a store; entries are immutable and reference-counted, so one that is
 * dropped lives on until the last block that uses it is closed. Thread-safe. */
#ifndef FL_STORE_COLUMNAR_PCACHE_H
#define FL_STORE_COLUMNAR_PCACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/block.h"

#define PCACHE_BYTES ((size_t)64 << 20) /* all entries together */
#define PCACHE_PAGE ((size_t)1 << 20)   /* a page of more decoded bytes is not kept */
#define PCACHE_DIRECTORY UINT32_MAX     /* as column: the block's directory */

struct pcache;

struct pcache_key {
    uint64_t segment; /* never reused */
    uint32_t block, column;
};

struct pentry {
    _Atomic uint32_t refs;
    struct pcache_key key;
    size_t bytes;                 /* with what hangs off */
    void (*release)(void *what);  /* of what; NULL for a page */
    void *what;                   /* of a directory */
    struct colv v;                /* of a page; texts and arrays behind the entry */
    bool compact;                 /* v's arrays hold the nvals present values alone */
    struct pentry *next;          /* in its bucket */
    struct pentry *older, *newer; /* in its shard */
    uint32_t used;                /* tick of the last use */
};

int pcache_new(struct pcache **ret, size_t max_bytes, struct err *err);
void pcache_free(struct pcache *c); /* entries in use stay theirs */
/* a reference, or NULL */
struct pentry *pcache_get(struct pcache *c, struct pcache_key key);
/* Copies a decoded page in and refers to it; NULL without memory, or when it is too large. */
struct pentry *pcache_put_page(struct pcache *c, struct pcache_key key, const struct colv *v);
/* The page as a column with a slot a row; what is made anew lives in the arena. */
int pentry_column(const struct pentry *e, struct arena *a, struct colv *ret, struct err *err);
struct val pentry_value(const struct pentry *e, uint32_t row);
/* The same for something ready made, which release(what) frees. The entry comes back referenced;
 * NULL, out of memory: `what` is still the caller's. */
struct pentry *pcache_put_other(struct pcache *c, struct pcache_key key, void *what, size_t bytes,
                                void (*release)(void *what));
void pentry_unref(void *entry);
/* Drops what was not used since the tick before the last one; returns how many bytes. */
size_t pcache_tick(struct pcache *c);
size_t pcache_bytes(const struct pcache *c);

#endif
