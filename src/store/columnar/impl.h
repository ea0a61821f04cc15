/* impl.h: the inside of the columnar engine; only src/store/columnar includes it.
 *
 * Who owns what, and which lock guards it:
 *   lock   (short, never across I/O)  active, frozen, version, watermark, counters, status words
 *   qlock  the queue of the WAL writer
 *   mlock  maintenance: one of flush, publishing a merge, delete, retention, manifest edit at a
 * time merge_lock  one merge at a time; it works without mlock and takes that to publish marks have
 * a reader/writer lock of their own Order when several are held: merge_lock, mlock, then marks,
 * then lock; qlock alone.
 *
 * Threads: the WAL writer (writer.c), the one that writes batch files (big.c), a background thread
 * that flushes (background.c) and one that merges (merge.c); everything else runs on the caller's
 * thread. */
#ifndef FL_STORE_COLUMNAR_IMPL_H
#define FL_STORE_COLUMNAR_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/io.h"
#include "model/batch.h"
#include "model/ident.h"
#include "store/store.h"

#define GROUP_BYTES (4u << 20)        /* a commit group: payload bytes */
#define QUEUE_BYTES (32u << 20)       /* batches waiting for the writer; past it ERR_BUSY */
#define MEMORY_FACTOR 2               /* active and frozen together past so many memtables: wait */
#define SMALL_GROUP (16u << 10)       /* smaller commit groups go on, to half a memtable beyond */
#define FLUSH_PIECE ((size_t)8 << 20) /* most bytes of a memtable that are flushed at a time */
#define SMALL_CHUNK_ROWS 256          /* chunks below are joined ... */
#define SMALL_CHUNKS_MAX 512          /* ... when there are this many */
#define ARENA_MAX ((size_t)2 << 30)
#define PATH_MAX_STORE 64
#define IDEM_KEYS_MAX (1u << 18)
#define IDEM_AGE_NS (24 * 3600ll * NS_PER_S)

/* ---- chunks and memtables (memtable.c) ---- */

/* One durable batch in memory, immutable, reference-counted. */
struct chunk {
    _Atomic uint32_t refs;
    char *payload;
    size_t n;
    uint64_t base_seq;
    uint32_t rows, nblocks;
    ts_ns received_at;
};
int chunk_new(struct chunk **ret, char *payload, size_t n, uint32_t rows, uint64_t base_seq,
              ts_ns received_at, struct err *err); /* takes payload on success */
void chunk_ref(struct chunk *c);
void chunk_unref(struct chunk *c);
static inline size_t chunk_bytes(const struct chunk *c)
{
    return c->n + sizeof *c;
}

struct memtable {
    struct chunk **v;
    uint32_t n, cap;
    uint32_t small; /* chunks of fewer than SMALL_CHUNK_ROWS rows */
    size_t bytes;
    uint64_t rows;
    uint64_t wal_last; /* the WAL files up to this one hold nothing newer */
    uint64_t big_last; /* nor do the batch files */
};
struct memtable *memtable_new(void);
void memtable_free(struct memtable *m);
bool memtable_reserve(struct memtable *m, uint32_t more); /* room for `more` chunks */
void memtable_add(struct memtable *m,
                  struct chunk *c); /* after memtable_reserve; takes the reference */
/* The first n chunks of m go to `into`, which has room for them. */
void memtable_move(struct memtable *m, uint32_t n, struct memtable *into);
/* Joins runs of small neighbours of v[0..n) into larger chunks; a new array of referenced chunks.
 */
int chunks_join(struct chunk *const *v, uint32_t n, struct chunk ***ret, uint32_t *ret_n,
                struct err *err);

/* ---- summaries (rollup.c) ---- */

#define ROLLUP_FIELDS_MAX (1u << 16)
struct rollup_agent {
    uint64_t entries, levels[LV__COUNT];
    ts_ns first, last;
    uint64_t first_seq;
};
struct rollup {
    uint64_t entries, levels[LV__COUNT];
    ts_ns t_min, t_max, recv_min, recv_max;
    struct smap agents; /* name -> index + 1 into agent[] */
    struct rollup_agent *agent;
    uint32_t agents_cap;
    struct smap hours;  /* 8 bytes of the hour -> entries */
    struct smap groups; /* 8 bytes of the hour, level -> entries */
    uint64_t ungrouped; /* entries that are in no group: their segment does not say */
    struct smap fields; /* type byte and column key -> rows */
};
struct rollup *rollup_new(void);
void rollup_free(struct rollup *r);
int rollup_add_block(struct rollup *r, struct block *b, struct err *err);
/* The same for the rows of `sel` only. */
int rollup_add_rows(struct rollup *r, struct block *b, const uint64_t *sel, struct err *err);
int rollup_merge(struct rollup *into, const struct rollup *from, struct err *err);
void rollup_encode(const struct rollup *r, struct buf *out);
int rollup_decode(struct rollup *r, str in, struct err *err); /* adds to r */
/* The section of groups; empty when some entries are in none. */
void rollup_encode_groups(const struct rollup *r, struct buf *out);
/* Adds those of a segment with so many rows; a section that is missing or does not add up to them
 * leaves them ungrouped. */
int rollup_decode_groups(struct rollup *r, str section, uint64_t rows, struct err *err);
/* Do the groups of a segment's section agree with those of its rows? One that says nothing does. */
bool rollup_same_groups(const struct rollup *counted, str section);
/* entries by level of one hour */
void rollup_hour_levels(const struct rollup *r, int64_t hour, uint64_t out[LV__COUNT]);

/* ---- templates of messages (templates.c) ---- */

struct templates;
struct templates *templates_new(void);
void templates_free(struct templates *t);
/* The message's place among the templates, for templates_count; 0: it has none. */
int templates_find(struct templates *t, str message, uint32_t *ret, struct err *err);
void templates_count(struct templates *t, uint32_t slot, ts_ns time, uint64_t seq, int64_t level);
void templates_encode(struct templates *t, struct buf *out); /* t cannot be counted on after it */
int templates_add(struct templates *t, str section, struct err *err);
/* Counts the messages of a block that is not being written. */
int templates_add_block(struct templates *t, struct block *b, struct err *err);
/* The first thing in which a section disagrees with a count of its segment's messages, or NULL.
 * exact: all entries of a template kept are counted with it; else, after merges, some may be among
 * the others, or not counted at all. */
const char *templates_difference(const struct templates *counted, str section, bool exact);

/* ---- segments (segment.c reads, seg_write.c writes) ---- */

struct seg_meta { /* what the manifest knows of a segment */
    uint64_t id;
    int64_t day;  /* days since 1970 of received_at */
    uint32_t cls; /* retention class: classes.h */
    uint64_t rows, bytes;
    ts_ns t_min, t_max, recv_min, recv_max;
    uint64_t seq_min, seq_max;
    uint32_t level_mask, nblocks;
    uint32_t pass; /* enum seg_pass */
    uint64_t dead; /* number of the list of its deleted rows; 0: none (dead.h) */
    uint64_t dead_rows;
    ts_ns dead_at; /* when the first of them was deleted */
};

/* How far a segment has come; in the manifest: never renumber. */
enum seg_pass {
    PASS_FLUSHED = 0, /* as a flush or a deletion wrote it */
    PASS_MERGED = 1,  /* joined: full blocks as they were, small ones sorted anew */
    PASS_PACKED = 2   /* compressed for good, its day being over */
};

struct seg_block { /* one block in the footer's list */
    uint64_t dir_off;
    uint32_t dir_len, dir_crc;
    uint32_t n, level_mask;
    ts_ns t_min, t_max;
    uint64_t seq_min, seq_max;
};

struct seg_key {
    str key;
    uint64_t hash;
    enum vtype type;
};

/* Typed parts of a footer (version 2): never renumber. */
enum seg_section {
    SECTION_SIGNATURES = 1, /* where the trigram signatures are */
    SECTION_VALUES = 2,     /* where the maps from value to blocks are */
    SECTION_GROUPS = 3,     /* entries by hour and level */
    SECTION_TEMPLATES = 4,  /* of messages */
    SECTION_BLOBS = 5,      /* large values and the files that hold them */
    SECTION__COUNT
};
enum { SECTION_CRITICAL = 0x80, SECTION_KIND = 0x7f };

struct seg_index;
struct seg {
    _Atomic uint32_t refs;
    struct store *s;
    uint64_t serial; /* of this object: no other ever has it */
    struct seg_meta m;
    _Atomic bool dead;    /* out of the manifest: unlink with the last reference */
    _Atomic bool old;     /* its list of deleted rows is out of the manifest: the same */
    struct seg *before;   /* the one that unlinks the file, if it is not this one; referenced */
    pthread_mutex_t lock; /* guards opening */
    bool open, broken;
    char broken_why[160];
    _Atomic bool unmergeable; /* a page of it cannot be read: merges leave it out */
    struct io_file *f;
    char *footer; /* keys point into it */
    size_t footer_n;
    struct seg_key *keys;
    uint32_t nkeys;
    struct seg_block *blocks;
    str rollup_bytes;
    struct dead *dead_list;       /* its deleted rows; NULL: none */
    uint32_t format;              /* version of the file */
    str sections[SECTION__COUNT]; /* of the footer; empty where there is none */
    struct seg_index *index;      /* seg_index.h */
};
void seg_path(const struct seg_meta *m, char out[PATH_MAX_STORE]);
void seg_dir(const struct seg_meta *m, char out[PATH_MAX_STORE]);
struct seg *seg_new(struct store *s, const struct seg_meta *m);
/* The same segment with another list of deleted rows. NULL: out of memory. */
struct seg *seg_renew(struct seg *g, const struct seg_meta *m);
void seg_ref(struct seg *g);
void seg_unref(struct seg *g);
/* exactly n bytes at off, unchecked */
int seg_read_at(struct seg *g, void *p, size_t n, uint64_t off, struct err *err);
int seg_open(struct seg *g, struct err *err); /* idempotent; ERR_CORRUPT, ERR_IO */

/* Takes the deleted rows of an open segment's block out of sel. */
void seg_hide_dead(const struct seg *g, uint32_t block, uint64_t *sel);
/* The summary of an open segment's rows, deleted ones left out: see rollup_decode. */
str seg_summary(const struct seg *g);
str seg_groups(const struct seg *g); /* empty when rows are deleted: they do not say which */

/* A block of a segment; b first. Stats for pruning come with it. */
struct sblock;
int sblock_open(struct seg *g, uint32_t i, struct arena *a, struct sblock **ret, struct err *err);
/* The same for scans: directory and pages by way of the store's cache, and what they cost is added
 * to *cost, which must outlive the block. */
int sblock_open_cached(struct seg *g, uint32_t i, struct scan_cost *cost, struct arena *a,
                       struct sblock **ret, struct err *err);
struct block *sblock_block(struct sblock *b);
void sblock_stats(struct sblock *b, struct block_stats *ret);
struct seg_col; /* seg_format.h */
const struct seg_col *sblock_cols(const struct sblock *b);
struct blob_page; /* blob.h */
uint32_t sblock_blobs(const struct sblock *b, const struct blob_page **ret);
/* n bytes at off, checked against crc, in the block's arena */
int sblock_read(struct sblock *b, uint64_t off, uint32_t n, uint32_t crc, char **ret,
                struct err *err);
/* sblock_blob.c: the page of a column that is in a bundle; *bundles keeps those already unpacked.
 */
int sblock_bundled(struct sblock *b, const struct seg_col *sc, char ***bundles, char **ret,
                   struct err *err);
/* puts the large values of a column into its decoded page */
struct page_out;
struct blob_map;
int sblock_put_blobs(struct sblock *b, const struct seg_col *sc, struct page_out *po,
                     uint64_t *ret_decoded, struct err *err);
/* the column's map of large values; in the block's arena */
int sblock_blob_map(struct sblock *b, const struct seg_col *sc, struct blob_map *ret,
                    struct err *err);
/* all large values of a map into dst; counts the bytes of blob pages unpacked for them */
int sblock_blob_fill(struct sblock *b, const struct blob_map *m, char *dst, uint64_t *ret_decoded,
                     struct err *err);
/* sblock_rows.c: a column's page in frames, opened: of its rows those that were asked for are there
 */
struct framed;
int framed_open(struct sblock *b, uint32_t c, struct framed **ret, struct err *err);
/* reads the rows of sel; counts the bytes unpacked */
int framed_need(struct framed *f, const uint64_t *sel, const struct colv **ret,
                uint64_t *ret_decoded, struct err *err);
/* decodes every page and checks every checksum; counts into rep */
int sblock_verify(struct sblock *b, struct verify_report *rep, struct err *err);

/* verify_deep.c: does what an open segment says of its rows hold? Problems go into rep. */
void verify_problem(struct verify_report *rep, const char *text);
void verify_deep_segment(struct seg *g, struct verify_report *rep);
/* ... and what the store says of its segments and marks */
void verify_deep_store(struct store *s, struct verify_report *rep);
/* The first thing in which two summaries differ, or NULL. */
const char *rollup_difference(const struct rollup *a, const struct rollup *b);

struct rowref {
    struct block *b;
    uint32_t src; /* index of b among the sources of this run */
    uint32_t row;
};
struct seg_writer;
int seg_writer_new(struct seg_writer **ret, struct store *s, int64_t day, uint32_t cls,
                   int zstd_level, struct err *err);
/* n rows (<= BLOCK_ROWS_MAX) in storing order; sources: blocks that rowrefs point at, nsrc in all
 */
int seg_writer_add(struct seg_writer *w, const struct rowref *rows, uint32_t n,
                   struct block *const *src, uint32_t nsrc, struct err *err);
/* Copies a block's bytes as they are (checksums anew); the caller merges the rollup. */
int seg_writer_copy(struct seg_writer *w, struct seg *from, uint32_t i, struct err *err);
int seg_writer_rollup(struct seg_writer *w, struct seg *from, struct err *err);
uint64_t seg_writer_rows(const struct seg_writer *w);
/* Syncs file and directory; the segment is complete but not yet in the manifest. */
int seg_writer_finish(struct seg_writer *w, struct seg_meta *ret, struct err *err);
void seg_writer_free(struct seg_writer *w); /* removes an unfinished file; NULL is fine */

/* A set of live segments at one moment, by rising seq_min; reference-counted. */
struct version {
    _Atomic uint32_t refs;
    uint32_t n;
    struct seg *v[];
};
struct version *version_new(uint32_t n);
void version_unref(struct version *v);

/* ---- manifest (manifest.c) ---- */

#define CLASSES_MAX (RETENTION_RULES_MAX + 1)
struct store_class {
    uint32_t number; /* > 0 */
    int64_t keep_ns;
    char name[RETENTION_NAME_MAX + 1]; /* "": none has this number */
};
struct manifest {
    struct io_file *f;
    uint64_t number, size, records;
    uint64_t flushed_seq, wal_min, next_id, next_seq, state_file, deleted_rows;
    struct seg_meta *segs;
    uint32_t nsegs, cap_segs;
    struct store_gap *gaps;
    uint32_t ngaps, cap_gaps;
    struct store_class classes[CLASSES_MAX]; /* by number; they change while a store is opened */
    struct store_scrub scrub;
    bool doubtful; /* the last record may or may not be on disk */
    bool clean;    /* the log was valid to its last byte when it was loaded */
};
struct edit {
    const struct seg_meta *add;
    uint32_t nadd;
    const uint64_t *remove;
    uint32_t nremove;
    const struct seg_meta *dead; /* segments that stay, with other lists of deleted rows */
    uint32_t ndead;
    uint64_t flushed_seq, wal_min, state_file, deleted_rows; /* 0 = unchanged; deleted_rows adds */
    uint64_t next_seq;
    const struct store_gap *gap;
    const struct store_class *classes; /* new ones, or with another age */
    uint32_t nclasses;
    const struct store_scrub *scrub; /* where it is */
};
/* *ret: there is no store here yet. ERR_CORRUPT: CURRENT is missing from one. */
int manifest_is_new(struct store *s, bool *ret, struct err *err);
int manifest_load(struct store *s, struct err *err);
int manifest_create(struct store *s, struct err *err);
/* Durable on return; the caller holds mlock. On failure *ret_doubtful tells whether the edit may be
 * on disk all the same: files it names must then stay. */
int manifest_edit(struct store *s, const struct edit *e, bool *ret_doubtful, struct err *err);
void manifest_close(struct store *s);

/* ---- WAL (wal.c) ---- */

enum wal_type {
    WAL_BATCH = 1,
    WAL_REF = 2,
    WAL_MARK = 3,
    WAL_DELETE = 4,
    WAL_META = 5,
    WAL_GAP = 6,
    WAL_IDEM = 7,
    WAL_CLOCK = 8
};
enum { WAL_FLAG_LZ4 = 1, WAL_FLAG_IDEM = 2 };
#define WAL_TORN "unacknowledged tail of the log" /* reason of its gap record */
#define WAL_HEADER 64
#define WAL_FRAME 88
#define WAL_PREALLOC (8u << 20)
#define WAL_IDEM 24                  /* bytes of key hash and body hash before a payload */
#define WAL_REF_BYTES 20             /* stored bytes of a reference without them */
#define WAL_PAYLOAD_MAX (512u << 20) /* of one batch, stored and unpacked */
#define WAL_ROOM (256u << 10)        /* divides WAL_PREALLOC */

struct wal_frame {
    uint8_t type, flags;
    uint32_t length, raw_n; /* bytes stored and unpacked */
    uint64_t base_seq;
    uint32_t n;
    ts_ns received_at;
    uint64_t file_no, durable, offset;
    uint32_t prev_crc, payload_crc, header_crc;
};
struct wal {
    struct io_file *f; /* NULL: the disk was too full to begin one at the start */
    uint64_t number, size, durable, allocated;
    uint64_t room; /* the file holds zeros up to here, behind what was written */
    uint32_t prev_crc;
    uint64_t prev, prev_end; /* after recovery: the file that the next one's header speaks of */
};
void wal_path(uint64_t number, char out[PATH_MAX_STORE]);
/* prev: number of the file before it (0: none), all of it durable up to prev_end */
int wal_create(struct store *s, uint64_t number, uint64_t prev, uint64_t prev_end, struct wal *ret,
               struct err *err);
/* The first file of this run: the one behind wal.number. On an error wal.f stays NULL. */
int wal_begin(struct store *s, struct err *err);
/* removes a file, or leaves that to the next start */
void wal_unlink(struct store *s, uint64_t number);
/* Fills in w's addresses and checksums and writes the 88 header bytes; updates w's chain. `at` is
 * the offset the frame will have. */
void wal_frame_encode(struct store *s, struct wal *w, uint64_t at, struct wal_frame *f,
                      char out[WAL_FRAME]);
/* Numbers of the files of one kind in wal/. */
struct file_nos {
    uint64_t *v;
    uint32_t n, cap;
    bool failed; /* out of memory: some are not in here */
};
void file_nos_add(struct file_nos *w, uint64_t n);
/* the number in a name that wal_path or big_path makes, by its suffix; others are passed over */
void file_nos_add_name(struct file_nos *w, const char *name, bool is_dir, const char *suffix);

struct wal_replay {
    uint64_t frames, rows, bytes, torn_bytes, corrupt_bytes;
    uint64_t ref_bytes;           /* stored bytes behind the last frame when that was a reference */
    uint64_t expect;              /* what the next batch's first sequence number should be */
    uint64_t last_file, last_end; /* newest readable file, and how far it was durable */
    const char *hole; /* durable bytes are missing before the next frame: why; or NULL */
    uint64_t hole_bytes, hole_next;
    bool hole_exact;      /* hole_next: the first number behind it */
    struct file_nos refs; /* batch files that frames refer to; empty once recovery is over */
};
/* Replays all files from wal_min on into the active memtable and the marks. */
int wal_recover(struct store *s, struct wal_replay *ret, struct err *err);

/* ---- batch files (big.c) ---- */

#define BIG_BYTES (1u << 20)        /* stored bytes past which a batch has a file of its own */
#define BIG_QUEUE_BYTES (64u << 20) /* such batches on their way; past it ERR_BUSY */

void big_path(uint64_t number, char out[PATH_MAX_STORE]);
/* Queues the batch for its file; false: refused, stopping or too many under way. */
bool big_submit(struct store *s, struct append *a);
/* It no longer counts among those under way; the caller holds qlock. */
void big_leave(struct store *s, const struct append *a);
void *big_main(void *arg);
/* Payload of a batch file into *ret (mem_alloc, raw_n bytes). flags, raw_n: of the frame that
 * refers to it. ERR_CORRUPT: missing, damaged, or another one. */
int big_load(struct store *s, const struct big_ref *ref, uint8_t flags, uint32_t raw_n, char **ret,
             struct err *err);
void big_remove(struct store *s, uint64_t number);
/* Reports, and removes unless `keep`, those of `files` that are not among `named`. */
void big_orphans(struct store *s, const struct file_nos *files, const struct file_nos *named,
                 bool keep);
/* Removes all up to `last`; caller holds mlock, and the manifest no longer needs them. */
void big_trim(struct store *s, uint64_t last);

/* ---- marks and idempotency keys (late.c): state kept in memory, saved at flush ---- */

struct late;
int late_new(struct late **ret, struct err *err);
void late_free(struct late *l);
int late_mark(struct late *l, const struct mark *m, bool *ret_changed, struct err *err);
bool late_get(struct late *l, uint64_t seq, struct mark *ret, struct arena *a);
uint64_t late_marks(struct late *l);
struct idem_entry {
    uint8_t key[16];
    uint64_t body_hash, base_seq;
    uint32_t rows;
    ts_ns at;
};
bool late_idem_find(struct late *l, const uint8_t key[16], ts_ns now, struct idem_entry *ret);
int late_idem_add(struct late *l, const struct idem_entry *e, struct err *err);
bool late_dirty(struct late *l);
void late_unsaved(struct late *l); /* what was saved last did not come into force */
/* drops marks of entries below min_seq, then writes STATE-<number> */
int late_save(struct late *l, struct store *s, uint64_t number, uint64_t min_seq, struct err *err);
int late_load(struct late *l, struct store *s, uint64_t number, struct err *err);
void marks_encode(struct buf *out, const struct mark *m, uint32_t n);
int marks_decode(struct late *l, str payload, uint32_t *ret_changed, struct err *err);
/* wraps a block so that it shows the four columns of marks; returns b itself when it has no mark */
int overlay_marks(struct late *l, struct block *b, struct block **ret, struct err *err);

/* ---- the store ---- */

struct store {
    struct io *io;
    struct store_config cfg;
    struct io_file *lock_file;
    uint8_t uuid[16];
    uint64_t tag; /* first 8 bytes of uuid: in every checksum */
    struct id_gen ids;
    struct manifest mf;
    uint8_t rule_cls[RETENTION_RULES_MAX]; /* numbers of the classes of cfg.rules */
    struct late *late;
    struct pcache *pages; /* of scans; pcache.h */
    struct scrub *scrub;  /* scrub.h */

    pthread_mutex_t lock;
    struct memtable *active, *frozen; /* frozen may be NULL */
    struct version *version;
    uint64_t watermark; /* highest visible seq */
    uint64_t counted_entries;
    pthread_mutex_t sums_lock; /* guards the next three; taken before lock */
    struct rollup *sums;       /* of sums_version and the chunks up to sums_seq */
    struct version *sums_version;
    uint64_t sums_seq;

    pthread_mutex_t qlock;
    pthread_cond_t qcond;
    struct append *qhead, **qtail;
    size_t queue_bytes;
    uint64_t queue_n;
    pthread_cond_t big_cond; /* with qlock */
    struct append *big_head, **big_tail;
    size_t big_bytes; /* of batches with a file of their own, until the writer takes them */
    uint64_t big_n;
    bool stopping; /* nothing more is taken */
    bool big_done; /* ... and nothing more comes from the thread of big.c */
    pthread_t writer, big;
    bool writer_started, big_started;
    bool wal_untold;      /* lock: the log does not yet say that its last group was durable ... */
    int64_t untold_since; /* ... which has been so since then (mono) */
    uint64_t next_big;    /* big thread only, once started */
    uint64_t big_trimmed; /* mlock: batch files up to this one are gone */
    struct wal wal;
    uint64_t next_seq; /* writer thread only, once started */
    size_t squeezed;   /* bytes of small groups taken while memory was full; writer thread only */
    ts_ns last_received;

    pthread_mutex_t mlock;
    pthread_cond_t bg_cond;    /* with lock: frozen appeared, work wanted, stopping */
    pthread_cond_t flush_cond; /* with lock: a piece of frozen is gone, or a flush has failed */
    bool flush_failed;         /* the last one; with lock */
    pthread_t background;
    bool background_started, bg_stop, bg_wanted;
    uint32_t deletes_waiting; /* lock: merges give way to them */
    bool freeze_wanted;       /* qlock: the writer shall freeze the active memtable */

    pthread_mutex_t merge_lock;
    pthread_cond_t merge_cond; /* with lock: the segments are others, or stopping */
    pthread_t merger;
    bool merger_started, merge_wanted; /* lock */
    bool merge_postponed;              /* merge_lock: for want of space, and that was told */

    struct store_status st; /* guarded by lock */
    ts_ns space_checked;
};

void store_event(struct store *s, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Publishes a new version, removed segments out, added ones in, and takes the first `flushed`
 * chunks of the frozen memtable away in the same step; caller holds mlock. */
int version_install(struct store *s, const struct edit *e, uint32_t flushed, struct err *err);
void segments_unlink(struct store *s, const struct seg_meta *metas, uint32_t n);
/* manifest_edit for edits that name no files */
int manifest_note(struct store *s, const struct edit *e, struct err *err);
/* ---- append.c, writer.c ---- */
enum append_kind { KIND_BATCH = 0, KIND_MARK = 1, KIND_FREEZE = 2, KIND_TELL = 3 };
size_t append_stored_n(const struct append *a); /* bytes it takes in the log */
/* the key as it stands before a payload */
void append_put_idem(const struct append *a, char out[WAL_IDEM]);
void *writer_main(void *arg);
/* May a batch of `need` bytes on disk be taken? Else ERR_IO (stopped), ERR_FULL or ERR_BUSY. */
int writer_admits(struct store *s, uint64_t need, struct err *err);
/* Sees whether a full disk has space again, for those who only watch (/ready). */
void writer_space_again(struct store *s);
/* The batch's key was used before: its answer is set (a->rc 0 or ERR_CONFLICT). */
bool writer_duplicate(struct store *s, struct append *a, ts_ns now);
void writer_fail(struct store *s, const struct err *err); /* for good */
void writer_take_big(struct store *s, struct append *a);  /* its file is synced */
/* Writes down that the last group was durable, if the log does not say so yet. */
int writer_tell(struct store *s, struct err *err);
void *background_main(void *arg);
/* Freezes the active memtable if it holds rows and nothing is frozen; caller is the writer. */
int writer_freeze(struct store *s, struct err *err);
int flush_frozen(struct store *s, struct err *err);        /* background thread or store_flush */
int flush_frozen_locked(struct store *s, struct err *err); /* the same for holders of mlock */
void *merge_main(void *arg);
/* One merge, if any is worthwhile; all: any two neighbours that fit will do. */
int merge_some(struct store *s, bool all, bool *ret_did, struct err *err);
int retention_apply(struct store *s, struct err *err);
int64_t day_of(ts_ns t);
/* tidy.c: removes leftovers of interrupted writes and removals; tells of unknown files */
void store_tidy(struct store *s);

/* a consistent moment for readers */
struct snapshot {
    struct version *version;
    struct chunk **chunks;
    uint32_t nchunks;
    uint64_t watermark;
};
int snapshot_take(struct store *s, struct snapshot *ret, struct err *err);
void snapshot_release(struct snapshot *sn);

/* Every comparison of a checksum goes through here, so that fuzzing gets past them to the parsers.
 */
static inline bool crc_differs(uint32_t stored, uint32_t computed)
{
#ifdef FL_FUZZING
    (void)stored;
    (void)computed;
    return false;
#else
    return stored != computed;
#endif
}

/* bytes that ingest and merges leave free on a disk of `total` */
static inline uint64_t store_reserve(const struct store *s, uint64_t total)
{
    uint64_t least = 256u << 20;
    if (s->cfg.reserve_bytes != UINT64_MAX)
        return s->cfg.reserve_bytes;
    return total / 50 > least ? total / 50 : least;
}

/* checksum of bytes together with their address */
uint32_t addr_crc(const struct store *s, uint64_t file, uint64_t off, const void *p, size_t n);

#endif
