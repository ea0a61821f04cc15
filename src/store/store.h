/* store.h: the engine interface. Everything above (query, live, server) knows entries only by it.
 *
 * Contract, in short (docs/storage.md has the long form):
 *  - append answers after every entry is on stable storage; nothing is visible before; a batch is
 * all there or not at all; sequence numbers are total, rise by receive order and are never reused;
 *  - a scan sees one moment: all batches durable when it was opened, none later;
 *  - opening succeeds after any crash, unaided; a hole is declared (store_gaps), never silent;
 *  - after a failed fsync nothing is acknowledged any more; searching goes on.
 * All functions are thread-safe unless they say otherwise. */
#ifndef FL_STORE_STORE_H
#define FL_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/block.h"
#include "model/field.h"
#include "model/pred.h"

struct store;
struct io;

#define RETENTION_RULES_MAX 15
#define RETENTION_NAME_MAX 32
/* Entries that `match` and that no earlier rule takes form a class of their own. */
struct retention_rule {
    const char *name;         /* retention_name_ok; the class keeps its number and age by it */
    const struct pred *match; /* of what is stored: no marks */
    int64_t keep_ns;          /* after receipt; 0 = for ever */
};
/* 1 to 32 of a-z 0-9 - _, and not "default" */
bool retention_name_ok(str name);

struct store_config {
    bool read_only;       /* no writer lock, nothing is changed; WAL is replayed in memory */
    bool segments_only;   /* with read_only: no lock, no log, no marks; beside a running writer */
    bool create;          /* make a new store in an empty directory */
    bool recovery_strict; /* corruption before the durable offset: refuse to open (ERR_CORRUPT) */
    bool no_fsync;        /* WAL not synced: for benchmarks and for judging the crash judge only */
    bool ack_early;       /* planted bug for judging the crash judge only: done() before the sync */
    size_t memtable_bytes;  /* 20 MiB: flushed past it; past twice that appends wait, then fail */
    size_t big_batch_bytes; /* 1 MiB: batches of more stored bytes get a file beside the WAL */
    int64_t retention_ns;   /* drop day partitions this long after receipt; 0 = keep */
    /* Classes with a retention of their own, by the first rule that matches when an entry goes
     * from memory to a segment; they must outlive the store. ERR_INVALID, ERR_LIMIT at opening. */
    const struct retention_rule *rules;
    uint32_t nrules;
    uint64_t max_disk_bytes; /* oldest segments go past it; 0 = no bound */
    uint64_t reserve_bytes;  /* free space below which ingest answers ERR_FULL; default max(256 MiB,
                                2 %) */
    int64_t delete_grace_ns; /* 24 h: deleted entries are off the disk within that */
    uint64_t scrub_bytes_s;  /* 8 MiB: so fast segments are read again, every 6 days; 0 = never */
    bool no_indexes; /* segments are written without indexes: smaller, and searched by reading */
    const char *url; /* written into the lock file, so that others find the server; may be NULL */
    /* Called on the writer thread for every batch right after it became visible, in seq order. The
     * payload is valid during the call only. */
    void (*on_durable)(void *ctx, str payload, uint64_t base_seq, ts_ns received_at);
    void *on_durable_ctx;
    /* one line for the operator (recovery report, gaps, flush errors); may be NULL */
    void (*on_event)(void *ctx, int level, const char *text); /* level: enum log_level */
    void *on_event_ctx;
};
void store_config_default(struct store_config *c);

/* Opens the columnar store in `io`'s root. Errors: ERR_BUSY another writer holds it (err->msg names
 * the owner's URL and pid), ERR_NOTFOUND no store here and !create, ERR_CORRUPT (strict),
 * ERR_UNSUPPORTED (written by a newer version), ERR_IO, ERR_NOMEM. The io must outlive the store.
 */
int store_open(struct store **ret, struct io *io, const struct store_config *cfg, struct err *err);
/* Flushes the WAL queue (not the memtable), stops threads, frees. */
void store_close(struct store *s);

/* ---- append ---- */
struct append {
    /* set by the caller */
    char *payload; /* batch_encode output, from mem_alloc/buf_take; the store owns it from the call
                      on */
    size_t payload_n;
    uint32_t rows;
    bool has_idem;                  /* Idempotency-Key given */
    uint8_t idem[16];               /* hash of (API key, Idempotency-Key) */
    uint64_t body_hash;             /* hash of the request body */
    void (*done)(struct append *a); /* on a thread of the store: keep it short, post elsewhere */
    void *user;
    /* set before done() */
    int rc; /* 0; ERR_FULL, ERR_IO (writer stopped), ERR_BUSY (queue full), ERR_CONFLICT (same key,
               other body), ERR_NOMEM, ERR_UNSUPPORTED (read-only) */
    uint64_t base_seq; /* of row 0; rows are base_seq .. base_seq + rows - 1 */
    ts_ns received_at;
    bool duplicate; /* idempotency key seen before: base_seq/rows/received_at are the first ones' */
    struct err err;
    struct append *next; /* the caller's up to store_append_list, then the store's */
    /* the store's */
    uint8_t kind;
    uint32_t crc;
    char *packed;
    size_t packed_n;
    struct big_ref {
        uint64_t number; /* of its batch file; 0 when it has none */
        uint64_t stored; /* bytes behind the file's header */
        uint32_t crc;
    } big;
    bool big_packed;
    bool repeats; /* of a batch in the same group: stands or falls with it */
};
/* Queues the batch; done() is called exactly once, maybe before the return (on refusal). rows = 0
 * is acknowledged at once. */
void store_append(struct store *s, struct append *a);
/* The same for a list linked by `next`: queued in its order at one go, so that the writer is woken
 * once and a group is not begun with its first. */
void store_append_list(struct store *s, struct append *list);
/* blocking form for tools and tests; takes payload */
int store_append_wait(struct store *s, char *payload, size_t n, uint32_t rows,
                      uint64_t *ret_base_seq, struct err *err);

/* ---- scan ---- */
enum scan_order {
    SCAN_ANY,    /* cheapest */
    SCAN_NEWEST, /* blocks by falling t_max: when a block's t_max is below what you still want, stop
                  */
    SCAN_OLDEST, /* blocks by rising t_min */
    SCAN_SEQ     /* blocks by rising seq_min */
};
struct scan_plan {
    const struct pred *filter; /* NULL = every row; also gives time and seq bounds */
    enum scan_order order;
    uint64_t seq_max;   /* only rows with seq <= this (stable pages, resume); 0 = no bound */
    uint64_t seq_after; /* only rows with seq > this */
    bool marks;         /* supply resolved, resolved_by, resolved_at, note columns */
    bool no_prune;      /* tests: read everything */
    const volatile int *cancel; /* non-zero: scan_next gives ERR_CANCELED */
    /* With SCAN_SEQ, non-zero: the same, but between blocks, and not before scan_reached has passed
     * seq_after: who goes on from there in another scan gets to the end. */
    const volatile int *pause;
};
struct scan_cost {
    uint64_t segments_total, segments_pruned;
    uint64_t blocks_total, blocks_pruned, blocks_read;
    /* of blocks_pruned, by what: bounds (time, sequence, levels, missing columns), trigram
     * signatures, value map, statistics of the block itself */
    uint64_t pruned_bounds, pruned_signatures, pruned_values, pruned_stats;
    uint64_t rows_scanned, rows_matched, bytes_read, bytes_decoded;
    uint64_t pages_decoded, pages_cached; /* the latter were found decoded */
    uint64_t workers;                     /* threads that read in parts; 0: the caller's alone */
    uint64_t gave_up; /* rows on which a regular expression gave up: they do not match */
    bool incomplete;  /* some range could not be read */
    char incomplete_why[200];
};
struct scan;
struct scan_block {
    struct block *block; /* closed by the next scan_next or by scan_close */
    uint64_t *sel;       /* bitmap of matching rows, BLOCK_WORDS words */
    uint32_t nsel;       /* > 0 */
    ts_ns t_min, t_max;  /* of the whole block */
    uint32_t ref;        /* its name in this scan and its forks, for scan_again */
};
int store_scan(struct store *s, const struct scan_plan *plan, struct scan **ret, struct err *err);
/* 0 = a block, 1 = end, < 0 error. One thread per scan. */
int scan_next(struct scan *sc, struct scan_block *ret, struct err *err);
/* A further reader of the same blocks, for another thread: each block goes to one of them, in the
 * scan's order as they come to take them, and a floor set for one holds for all. Closed before the
 * scan it comes from; what it costs it counts itself. Not for scans with `pause`. */
int scan_fork(struct scan *sc, struct scan **ret, struct err *err);
/* how many blocks there are to take, before any was read */
uint32_t scan_blocks(const struct scan *sc);
/* From the first block again, what was counted aside; no fork may be open. */
void scan_rewind(struct scan *sc);
/* Opens a block once more that scan_next gave: the same rows, in the caller's arena, which is reset
 * after block_close. What it reads is added to *cost. By any thread while the scan is open. */
int scan_again(struct scan *sc, uint32_t ref, struct scan_cost *cost, struct arena *a,
               struct block **ret, struct err *err);
/* With SCAN_NEWEST: rows older than t are no longer wanted (SCAN_OLDEST: newer). */
void scan_set_floor(struct scan *sc, ts_ns t);
/* With SCAN_SEQ: every row with a lower seq was handed out or does not match. */
uint64_t scan_reached(const struct scan *sc);
/* highest sequence number this scan can see */
uint64_t scan_watermark(const struct scan *sc);
const struct scan_cost *scan_get_cost(const struct scan *sc);
void scan_close(struct scan *sc);

/* ---- by id ---- */
/* seq of the entry with this id: a server id is decoded, a client's looked up (newest wins).
 * ERR_NOTFOUND. */
int store_find_id(struct store *s, str id, uint64_t *ret_seq, struct err *err);

/* ---- marks ---- */
struct mark {
    uint64_t seq;
    bool resolved;
    str by;   /* <= 1 KiB */
    str note; /* <= 4 KiB; may be empty */
    ts_ns at;
};
/* Durable on return. The first resolver stays: marks on an already resolved entry change nothing.
 * *ret_applied (may be NULL): how many entries changed. Unknown seqs are ignored. */
int store_mark(struct store *s, const struct mark *m, uint32_t n, uint32_t *ret_applied,
               struct err *err);
/* copies into the arena; false when the entry has no mark */
bool store_get_mark(struct store *s, uint64_t seq, struct arena *a, struct mark *ret);
uint64_t store_marks_count(struct store *s);

/* ---- deletion ---- */
/* Removes every entry with seq <= the current watermark that matches, all or, on failure, none: no
 * reader that begins later sees them, also after a crash; off the disk within delete_grace_ns.
 * dry_run only counts. Entries that arrive meanwhile are not touched. */
int store_delete(struct store *s, const struct pred *what, bool dry_run, uint64_t *ret_deleted,
                 struct err *err);

/* ---- summaries that never scan: kept per segment, updated per batch ---- */
struct agent_stat {
    str name; /* in the arena */
    uint64_t entries;
    uint64_t levels[LV__COUNT];
    ts_ns first, last; /* by timestamp */
    uint64_t first_seq;
};
struct hour_stat {
    int64_t hour; /* hours since 1970, of timestamp */
    uint64_t entries;
    uint64_t levels[LV__COUNT]; /* of them, when levels_by_hour */
};
struct store_summary {
    uint64_t entries;
    uint64_t levels[LV__COUNT];
    uint32_t nagents;          /* named agents; entries without an agent are not in here */
    struct agent_stat *agents; /* by first appearance (first_seq) */
    uint32_t nhours;
    struct hour_stat *hours; /* ascending; only hours with entries */
    bool levels_by_hour;     /* false while segments of version 1, which do not say, are there */
    ts_ns t_min, t_max;      /* of timestamps; t_min > t_max when empty */
    ts_ns first_received, last_received;
};
int store_summary(struct store *s, struct arena *a, struct store_summary *ret, struct err *err);
/* entries and number of agents, O(1) */
void store_counts(struct store *s, uint64_t *ret_entries, uint64_t *ret_agents);

struct field_stat {
    str key;          /* column key; view names by field_put_name */
    uint32_t types;   /* bit (1 << vtype) */
    uint64_t entries; /* rows that have it */
};
/* all columns ever stored and not yet deleted, by falling number of entries; at most max */
int store_fields(struct store *s, struct arena *a, uint32_t max, struct field_stat **ret,
                 uint32_t *ret_n, struct err *err);

struct template_stat {
    uint64_t id; /* template_id of the text: the same in every segment and for ever */
    str text;    /* codec/template.h; template_show makes it readable */
    uint64_t entries, levels[LV__COUNT];
    ts_ns first, last;    /* by timestamp */
    uint64_t example_seq; /* the first entry of it that was stored */
};
/* The templates of all messages by falling number of entries, at most max, in the arena;
 * *ret_other: entries with a message whose template is not among them, or that have none. Entries
 * count as they were stored: those deleted since are in here until their segments are written
 * anew. */
int store_templates(struct store *s, uint32_t max, struct arena *a, struct template_stat **ret,
                    uint32_t *ret_n, uint64_t *ret_other, struct err *err);

/* ---- state ---- */
struct store_gap {
    uint64_t first_seq, last_seq, bytes;
    ts_ns at;
    char reason[64];
};
/* Segments are read again in rounds. Since a round that runs began, and of the last one that ended.
 */
struct store_scrub {
    bool running;
    ts_ns started;                      /* the last round; 0: none yet */
    uint64_t after, end;                /* of segments with ids in between it is still to read */
    uint64_t bytes, problems;           /* of the round that was begun last */
    ts_ns finished;                     /* the last that ended; 0: none yet */
    uint64_t last_bytes, last_problems; /* of that one */
};
struct store_status {
    struct store_scrub scrub;
    uint64_t next_seq, watermark; /* watermark = highest durable seq */
    uint64_t entries;             /* not deleted, at the moment of the watermark */
    uint64_t segments, segment_rows, segment_bytes;
    uint64_t memtable_rows, memtable_bytes, frozen_bytes;
    uint64_t wal_files; /* there are now */
    uint64_t wal_bytes, wal_syncs, wal_groups;
    uint64_t big_batches; /* of appended_batches: with a file of their own */
    uint64_t appended_rows, appended_batches, flushes, merges, deleted_rows, retired_segments;
    uint64_t dead_rows; /* deleted, not counted above, and still on the disk */
    uint64_t corruptions, gaps;
    uint64_t queue_batches, queue_bytes; /* waiting for the writer */
    int64_t last_sync_ns;
    bool read_only, writer_failed, disk_full;
    char failure[200]; /* why writer_failed */
    uint64_t disk_free, disk_total;
    uint8_t uuid[16];
    const char *engine; /* "columnar" */
    ts_ns opened_at;
    uint64_t recovered_rows, recovered_bytes;
    int64_t recovery_ns;
};
void store_get_status(struct store *s, struct store_status *ret);
/* gap records, oldest first */
int store_gaps(struct store *s, struct arena *a, struct store_gap **ret, uint32_t *ret_n,
               struct err *err);
const struct id_gen *store_ids(struct store *s);

struct class_stat {
    uint32_t number;  /* 0: "default", of what no rule takes */
    const char *name; /* valid as long as the store; "" when its segments are all that is known */
    int64_t keep_ns;  /* 0 = for ever */
    bool ruled;       /* a rule of this run names it */
    uint64_t segments, rows, bytes; /* in segments; what is in memory has no class yet */
    ts_ns oldest;                   /* first receipt; TS_MAX when there is nothing */
};
/* By number; class 0 always. */
int store_classes(struct store *s, struct arena *a, struct class_stat **ret, uint32_t *ret_n,
                  struct err *err);

/* ---- maintenance ---- */
int store_flush(struct store *s, struct err *err);         /* memtable -> segments, waits */
int store_merge(struct store *s, struct err *err);         /* merges all it can, waits */
int store_retention_run(struct store *s, struct err *err); /* applies age and size now */
void store_set_retention(struct store *s, int64_t retention_ns, uint64_t max_disk_bytes);

struct verify_report {
    bool deep; /* set by the caller: also compare what is stored twice, see verify_deep.c */
    uint64_t files, bytes, blocks, pages, rows, problems;
    struct buf *text; /* may be NULL; one line a problem, then a summary */
};
/* Reads every byte of the store and checks every checksum and every decoded page. Opens nothing for
 * writing. 0 = clean, ERR_CORRUPT = problems were found (all listed). */
int store_verify(struct io *io, struct verify_report *rep, struct err *err);

/* Once the address is known: writes it into the lock file. */
int store_set_url(struct store *s, const char *url, struct err *err);

/* What the lock file of a directory says: the URL of the server that holds it. False when no one
 * does. */
bool store_lock_owner(struct io *io, struct buf *ret_url);

#endif
