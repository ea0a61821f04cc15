/* writer.c: the WAL writer: group commit, publishing, freezing.
 *
 *   append.c --> queue --group--> [stamp, write, fdatasync] --> memtable --> done()
 *
 * (A large batch comes by way of big.c, with its bytes on disk already: its frame refers to them.)
 * One thread takes all waiting batches (up to GROUP_BYTES), stamps sequence numbers and the receive
 * time, writes their frames in one go, syncs once, makes them visible together, and only then tells
 * the callers. Batches that arrive during a sync form the next group: no timer, no waiting when
 * idle.
 *
 * Rules: 1. done(rc = 0) only after the sync returned 0. 2. Nothing enters the memtable before. 3.
 * A failed sync is final: the writer refuses everything from then on (what is on disk is unknown
 * until it is read back at the next start). 4. A failed write for lack of space is not: the next
 * group is written over it. */
#include "store/columnar/impl.h"

#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rd.h"

#define SPACE_CHECK_NS (NS_PER_S / 2)
#define ROOM_WAIT_S 2 /* longest wait for room in memory before ERR_BUSY */

struct group {
    struct append *head;
    struct buf frames;
    uint64_t seq; /* next to be given */
    ts_ns now;
    uint32_t nbatches;
    bool news; /* holds more than a clock frame */
};

static struct append *take_group(struct store *s)
{
    pthread_mutex_lock(&s->qlock);
    while (!s->qhead && !(s->stopping && s->big_done))
        pthread_cond_wait(&s->qcond, &s->qlock);
    struct append *head = s->qhead, **end = &s->qhead;
    size_t bytes = 0;
    while (*end && (bytes == 0 || bytes + append_stored_n(*end) <= GROUP_BYTES)) {
        bytes += append_stored_n(*end) + WAL_FRAME;
        if ((*end)->big.number) {
            big_leave(s, *end);
        } else {
            s->queue_bytes -= (*end)->payload_n;
            s->queue_n--;
        }
        end = &(*end)->next;
    }
    s->qhead = *end;
    if (!s->qhead)
        s->qtail = &s->qhead;
    if (head)
        *end = NULL;
    pthread_mutex_unlock(&s->qlock);
    return head;
}

/* caller holds lock; the background thread watches a full disk */
static void set_full(struct store *s, bool full)
{
    if (full && !s->st.disk_full)
        pthread_cond_signal(&s->bg_cond);
    s->st.disk_full = full;
}

/* Refuses what would go below the disk reserve. Asks the system twice a second at most, but always
 * when `need` bytes are about to be written. */
static int check_space(struct store *s, uint64_t need, struct err *err)
{
    int64_t now = s->io->ops->mono(s->io);
    pthread_mutex_lock(&s->lock);
    bool full = s->st.disk_full;
    bool due = now - s->space_checked >= SPACE_CHECK_NS || !s->space_checked;
    pthread_mutex_unlock(&s->lock);
    if (due || need) {
        uint64_t avail = 0, total = 0;
        struct err e = ERR_INIT;
        if (s->io->ops->free_space(s->io, &avail, &total, &e))
            return 0;
        uint64_t reserve = store_reserve(s, total);
        full = avail < reserve;
        pthread_mutex_lock(&s->lock);
        s->space_checked = now ? now : 1;
        s->st.disk_free = avail;
        s->st.disk_total = total;
        set_full(s, full);
        pthread_mutex_unlock(&s->lock);
        full |= avail - reserve < need;
    }
    return full ? err_set(err, ERR_FULL, "the disk is nearly full: only its reserve is left") : 0;
}

void writer_space_again(struct store *s)
{
    struct err e = ERR_INIT;
    check_space(s, 0, &e);
}

bool writer_duplicate(struct store *s, struct append *a, ts_ns now)
{
    struct idem_entry e;
    if (!a->has_idem || !late_idem_find(s->late, a->idem, now, &e))
        return false;
    if (e.body_hash != a->body_hash) {
        a->rc = err_set(&a->err, ERR_CONFLICT, "this Idempotency-Key was used with another body");
        return true;
    }
    a->duplicate = true;
    a->base_seq = e.base_seq;
    a->rows = e.rows;
    a->received_at = e.at;
    return true;
}

/* Is the key used by an earlier batch of this same group? */
static struct append *earlier_in_group(struct group *g, struct append *a)
{
    for (struct append *p = g->head; a->has_idem && p != a; p = p->next)
        if (p->has_idem && p->kind == KIND_BATCH && !p->rc && !p->duplicate &&
            memcmp(p->idem, a->idem, 16) == 0)
            return p;
    return NULL;
}

/* The frame of a batch whose bytes are in a file of their own. */
static void put_ref(struct store *s, struct group *g, struct append *a)
{
    char body[WAL_IDEM + WAL_REF_BYTES], head[WAL_FRAME];
    size_t n = 0;
    if (a->has_idem) {
        append_put_idem(a, body);
        n = WAL_IDEM;
    }
    put_le64(body + n, a->big.number);
    put_le64(body + n + 8, a->big.stored);
    put_le32(body + n + 16, a->big.crc);
    n += WAL_REF_BYTES;
    struct wal_frame f = { .type = WAL_REF,
                           .length = (uint32_t)n,
                           .raw_n = (uint32_t)a->payload_n,
                           .base_seq = a->base_seq,
                           .n = a->rows,
                           .received_at = g->now,
                           .payload_crc = crc32c(0, body, n) };
    f.flags = (uint8_t)((a->big_packed ? WAL_FLAG_LZ4 : 0) | (a->has_idem ? WAL_FLAG_IDEM : 0));
    wal_frame_encode(s, &s->wal, s->wal.size + g->frames.n, &f, head);
    buf_put(&g->frames, head, sizeof head);
    buf_put(&g->frames, body, n);
}

static void put_frame(struct store *s, struct group *g, struct append *a, uint8_t type)
{
    struct wal_frame f = { .type = type, .received_at = g->now, .payload_crc = a->crc };
    bool inline_idem = a->has_idem && !a->packed;
    f.flags = (uint8_t)((a->packed ? WAL_FLAG_LZ4 : 0) | (a->has_idem ? WAL_FLAG_IDEM : 0));
    f.raw_n = (uint32_t)a->payload_n;
    f.length =
        a->packed ? (uint32_t)a->packed_n : (uint32_t)(a->payload_n + (inline_idem ? WAL_IDEM : 0));
    if (type == WAL_BATCH) {
        f.base_seq = a->base_seq;
        f.n = a->rows;
    }
    char head[WAL_FRAME];
    wal_frame_encode(s, &s->wal, s->wal.size + g->frames.n, &f, head);
    buf_put(&g->frames, head, sizeof head);
    if (inline_idem) {
        char id[WAL_IDEM];
        append_put_idem(a, id);
        buf_put(&g->frames, id, sizeof id);
    }
    buf_put(&g->frames, a->packed ? a->packed : a->payload, a->packed ? a->packed_n : a->payload_n);
}

/* Says how much was durable before it, and which sequence number is next. */
static void put_clock(struct store *s, struct group *g)
{
    char head[WAL_FRAME];
    struct wal_frame f = { .type = WAL_CLOCK, .base_seq = g->seq, .received_at = g->now };
    wal_frame_encode(s, &s->wal, s->wal.size + g->frames.n, &f, head);
    buf_put(&g->frames, head, sizeof head);
}

static void stamp(struct store *s, struct group *g, struct append *a)
{
    if (a->kind == KIND_TELL) {
        put_clock(s, g);
        return;
    }
    if (a->kind == KIND_MARK) {
        g->news = true;
        put_frame(s, g, a, WAL_MARK);
        return;
    }
    if (a->kind != KIND_BATCH || writer_duplicate(s, a, g->now))
        return;
    struct append *first = earlier_in_group(g, a);
    if (first) {
        a->duplicate = a->repeats = true;
        a->base_seq = first->base_seq;
        a->received_at = g->now;
        if (first->body_hash != a->body_hash)
            a->rc =
                err_set(&a->err, ERR_CONFLICT, "this Idempotency-Key was used with another body");
        else
            a->rows = first->rows;
        return;
    }
    a->base_seq = g->seq;
    a->received_at = g->now;
    g->seq += a->rows;
    g->nbatches++;
    g->news = true;
    if (a->big.number)
        put_ref(s, g, a);
    else
        put_frame(s, g, a, WAL_BATCH);
}

void writer_fail(struct store *s, const struct err *err)
{
    pthread_mutex_lock(&s->lock);
    s->st.writer_failed = true;
    snprintf(s->st.failure, sizeof s->st.failure, "%.190s", err->msg);
    pthread_mutex_unlock(&s->lock);
    store_event(s, LOG_ERROR, "wal: %s; nothing more is accepted until the next start", err->msg);
}

/* Writes zeros behind a group's n bytes, WAL_ROOM at a time, to be synced with it. The groups that
 * follow then write over blocks that are there, and their sync does not wait for the file system's
 * journal. It may fail: then they do. Large groups go without, it would double their bytes. */
static void make_room(struct wal *w, size_t n)
{
    static char zeros[WAL_ROOM]; /* only read: costs no memory */
    uint64_t end = w->size + n, to = end / WAL_ROOM * WAL_ROOM + WAL_ROOM;
    struct err err = ERR_INIT;
    if (end <= w->room || n > WAL_ROOM / 16)
        return;
    if (w->f->io->ops->pwrite(w->f, zeros, to - end, end, &err) == 0)
        w->room = to;
}

/* Writes and syncs the group's frames. chain: the checksum chain as it was before them. */
static int commit(struct store *s, struct group *g, uint32_t chain, struct err *err)
{
    struct wal *w = &s->wal;
    int rc = 0;
    if (!buf_ok(&g->frames))
        rc = err_nomem(err);
    if (rc || !g->frames.n)
        goto out;
    if (w->size + g->frames.n > w->allocated) {
        uint64_t to = (w->size + g->frames.n + WAL_PREALLOC - 1) / WAL_PREALLOC * WAL_PREALLOC;
        rc = w->f->io->ops->preallocate(w->f, w->allocated, to - w->allocated, err);
        if (!rc)
            w->allocated = to;
    }
    if (!rc)
        rc = w->f->io->ops->pwrite(w->f, g->frames.p, g->frames.n, w->size, err);
    if (rc)
        goto out;
    make_room(w, g->frames.n);
    int64_t t0 = s->io->ops->mono(s->io);
    if (!s->cfg.no_fsync)
        rc = w->f->io->ops->sync(w->f, err);
    if (rc) {
        writer_fail(s, err);
        goto out;
    }
    w->size += g->frames.n;
    w->durable = w->size;
    pthread_mutex_lock(&s->lock);
    s->st.wal_syncs++;
    s->st.wal_groups++;
    s->st.wal_bytes += g->frames.n;
    int64_t t1 = s->io->ops->mono(s->io);
    s->st.last_sync_ns = t1 - t0;
    if (g->news && !s->wal_untold) {
        s->untold_since = t1;
        pthread_cond_signal(&s->bg_cond);
    }
    s->wal_untold = g->news;
    pthread_mutex_unlock(&s->lock);
out:
    if (rc)
        w->prev_crc = chain;
    return rc;
}

/* Puts a committed group into the memtable, all at once. */
static int publish(struct store *s, struct group *g, struct err *err)
{
    struct chunk **chunks = mem_array(g->nbatches ? g->nbatches : 1, sizeof *chunks);
    uint32_t n = 0;
    int rc = chunks ? 0 : err_nomem(err);
    for (struct append *a = g->head; a && !rc; a = a->next) {
        if (a->kind != KIND_BATCH || a->rc || a->duplicate)
            continue;
        rc = chunk_new(&chunks[n], a->payload, a->payload_n, a->rows, a->base_seq, a->received_at,
                       err);
        if (!rc) {
            a->payload = NULL;
            n++;
        }
    }
    pthread_mutex_lock(&s->lock);
    if (!rc && !memtable_reserve(s->active, n))
        rc = err_nomem(err);
    for (uint32_t i = 0; i < n && !rc; i++) {
        memtable_add(s->active, chunks[i]);
        s->counted_entries += chunks[i]->rows;
        s->st.appended_rows += chunks[i]->rows;
        s->st.appended_batches++;
        chunk_ref(chunks[i]); /* for on_durable below */
    }
    for (struct append *a = g->head; a && !rc; a = a->next)
        if (a->big.number && !a->rc && !a->duplicate) {
            s->active->big_last = a->big.number;
            s->st.big_batches++;
            s->st.wal_bytes += a->big.stored;
        }
    if (!rc)
        s->watermark = g->seq - 1;
    bool join = s->active->small >= SMALL_CHUNKS_MAX && !s->bg_wanted;
    if (join) {
        s->bg_wanted = true;
        pthread_cond_signal(&s->bg_cond);
    }
    pthread_mutex_unlock(&s->lock);
    for (uint32_t i = 0; i < n; i++) {
        if (!rc && s->cfg.on_durable)
            s->cfg.on_durable(s->cfg.on_durable_ctx, str_n(chunks[i]->payload, chunks[i]->n),
                              chunks[i]->base_seq, chunks[i]->received_at);
        chunk_unref(chunks[i]);
    }
    mem_free(chunks);
    return rc;
}

static int late_apply(struct store *s, struct group *g, struct err *err)
{
    int rc = 0;
    for (struct append *a = g->head; a && !rc; a = a->next) {
        if (a->rc || a->duplicate)
            continue;
        if (a->kind == KIND_MARK)
            rc = marks_decode(s->late, str_n(a->payload, a->payload_n), &a->rows, err);
        else if (a->kind == KIND_BATCH && a->has_idem) {
            struct idem_entry e = { .body_hash = a->body_hash,
                                    .base_seq = a->base_seq,
                                    .rows = a->rows,
                                    .at = a->received_at };
            memcpy(e.key, a->idem, 16);
            rc = late_idem_add(s->late, &e, err);
        }
    }
    return rc;
}

static void finish(struct store *s, struct group *g, int rc, const struct err *err)
{
    for (struct append *a = g->head, *next; a; a = next) {
        next = a->next;
        if (a->big.number && (a->rc || a->duplicate)) /* no frame refers to it */
            big_remove(s, a->big.number);
        mem_free(a->payload);
        mem_free(a->packed);
        a->payload = a->packed = NULL;
        if (rc && (a->repeats || (!a->rc && !a->duplicate))) {
            a->duplicate = false;
            a->rc = rc;
            a->err = *err;
        }
        a->done(a); /* a may be gone now */
    }
}

/* Begins the next WAL file, so that the memtable frozen now and the files up to the old one match.
 */
static int roll(struct store *s, struct err *err)
{
    struct wal next;
    int rc = wal_create(s, s->wal.number + 1, s->wal.number, s->wal.size, &next, err);
    if (rc)
        return rc;
    io_close(s->wal.f);
    s->wal = next;
    return 0;
}

/* Active becomes frozen when it is full (or `force`) and the last frozen one is gone. Not when the
 * writer has failed: the log may hold what memory does not, and must not be trimmed. */
static int maybe_freeze(struct store *s, bool force, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    bool want = !s->st.writer_failed && !s->frozen && s->active->n &&
                (force || s->active->bytes >= s->cfg.memtable_bytes);
    pthread_mutex_unlock(&s->lock);
    if (!want)
        return 0;
    struct memtable *fresh = memtable_new();
    if (!fresh)
        return err_nomem(err);
    uint64_t last = s->wal.number;
    int rc = roll(s, err);
    if (rc) {
        memtable_free(fresh);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    s->active->wal_last = last;
    s->frozen = s->active;
    s->active = fresh;
    s->wal_untold = false; /* the new file's header tells */
    pthread_cond_signal(&s->bg_cond);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* caller holds lock */
static bool memory_full(const struct store *s)
{
    return s->frozen &&
           s->active->bytes + s->frozen->bytes >= s->cfg.memtable_bytes * MEMORY_FACTOR;
}

/* Active is past its bound with nothing frozen: right after a start, or when no file could be begun
 * for lack of space. Without one nothing more fits into memory. */
static int freeze_overdue(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    bool overdue = !s->frozen && s->active->bytes >= s->cfg.memtable_bytes * MEMORY_FACTOR;
    pthread_mutex_unlock(&s->lock);
    int rc = overdue ? maybe_freeze(s, false, err) : 0;
    if (rc == ERR_FULL) {
        pthread_mutex_lock(&s->lock);
        set_full(s, true);
        pthread_mutex_unlock(&s->lock);
    }
    return rc;
}

/* Bytes that come into memory with the group and were not let in before: those of a batch with a
 * file of its own were, by writer_admits. */
static size_t group_bytes(const struct group *g)
{
    size_t n = 0;
    for (const struct append *a = g->head; a; a = a->next)
        n += a->kind == KIND_BATCH && !a->big.number ? a->payload_n : 0;
    return n;
}

/* A single entry is not to wait for the flush of somebody's 64 MiB. */
static bool squeeze_in(struct store *s, const struct group *g)
{
    size_t n = group_bytes(g);
    pthread_mutex_lock(&s->lock);
    bool full = memory_full(s);
    pthread_mutex_unlock(&s->lock);
    if (!full)
        s->squeezed = 0;
    if (n > SMALL_GROUP || s->squeezed + n > s->cfg.memtable_bytes / 2)
        return false;
    s->squeezed += full ? n : 0;
    return true;
}

/* Room in memory: waits for the flush, which gives it back piece by piece; that is what slows
 * senders down. A flush that fails, or stands still, is not waited for. */
static int check_memory(struct store *s, struct err *err)
{
    struct timespec until;
    int late = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ROOM_WAIT_S;
    pthread_mutex_lock(&s->lock);
    while (memory_full(s) && !s->flush_failed && !late)
        late = pthread_cond_timedwait(&s->flush_cond, &s->lock, &until);
    bool full = memory_full(s);
    pthread_mutex_unlock(&s->lock);
    return full ? err_set(err, ERR_BUSY,
                          "entries arrive faster than they can be written to segments")
                : 0;
}

static int check_failed(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    int rc = s->st.writer_failed
                 ? err_set(err, ERR_IO, "the log writer has stopped after a storage failure: %s",
                           s->st.failure)
                 : 0;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int writer_admits(struct store *s, uint64_t need, struct err *err)
{
    int rc = check_failed(s, err);
    if (!rc)
        rc = check_space(s, need, err);
    return rc ? rc : check_memory(s, err);
}

static int write_group(struct store *s, struct group *g, struct err *err)
{
    int rc = check_failed(s, err);
    if (rc)
        return rc;
    if (!s->wal.f && (rc = wal_begin(s, err))) {
        for (struct append *a = g->head; a; a = a->next) {
            a->rc = rc;
            a->err = *err;
        }
        return 0;
    }
    rc = check_space(s, 0, err);
    if (!rc && !squeeze_in(s, g))
        rc = check_memory(s, err);
    if (!rc)
        rc = freeze_overdue(s, err);
    for (struct append *a = g->head; a && rc; a = a->next)
        if (a->kind == KIND_BATCH) { /* marks, deletion and flushing go on */
            a->rc = rc;
            a->err = *err;
        }
    uint32_t chain = s->wal.prev_crc;
    for (struct append *a = g->head; a; a = a->next)
        if (!a->rc)
            stamp(s, g, a);
    rc = s->cfg.ack_early ? 0 : commit(s, g, chain, err);
    if (rc)
        return rc;
    s->next_seq = g->seq;
    s->last_received = g->now;
    rc = late_apply(s, g, err);
    if (!rc)
        rc = publish(s, g, err);
    if (rc) /* on disk, but not in memory: only a restart can tell the truth again */
        writer_fail(s, err);
    return rc;
}

static void begin_group(struct store *s, struct group *g)
{
    g->seq = s->next_seq;
    g->nbatches = 0;
    g->news = false;
    g->now = s->io->ops->now(s->io);
    if (g->now < s->last_received)
        g->now = s->last_received;
    buf_reset(&g->frames);
}

/* The last thing in the log of a store that closes. */
static void tell_at_end(struct store *s, struct group *g)
{
    struct err err = ERR_INIT;
    pthread_mutex_lock(&s->lock);
    bool untold = s->wal_untold && !s->st.writer_failed;
    pthread_mutex_unlock(&s->lock);
    if (!untold)
        return;
    begin_group(s, g);
    put_clock(s, g);
    commit(s, g, s->wal.prev_crc, &err); /* when it fails, there is that much less to go by */
}

void *writer_main(void *arg)
{
    struct store *s = arg;
    struct group g = { 0 };
    bool stuck = false;
    buf_init(&g.frames, (size_t)1 << 31);
    while ((g.head = take_group(s))) {
        struct err err = ERR_INIT;
        bool force = false;
        for (struct append *a = g.head; a; a = a->next)
            force |= a->kind == KIND_FREEZE;
        begin_group(s, &g);
        int rc = write_group(s, &g, &err);
        if (rc == ERR_BUSY && force)
            rc = 0;
        struct err ferr = ERR_INIT;
        int frc = rc == ERR_IO || !s->wal.f ? 0 : maybe_freeze(s, force, &ferr);
        if (frc && !stuck) /* told once, tried with every group */
            store_event(s, LOG_ERROR, "wal: cannot begin a new file: %s", ferr.msg);
        stuck = frc != 0;
        for (struct append *a = g.head; a && frc; a = a->next)
            if (a->kind == KIND_FREEZE) { /* batches of the group are stored all the same */
                a->rc = frc;
                a->err = ferr;
            }
        finish(s, &g, rc, &err);
        if (s->cfg.ack_early) { /* the planted bug: callers heard of success before this, and disks
                                   can be slow */
            nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
            commit(s, &g, s->wal.prev_crc, &err);
        }
        if (g.frames.cap > 2 * GROUP_BYTES) {
            buf_deinit(&g.frames);
            buf_init(&g.frames, (size_t)1 << 31);
        }
    }
    tell_at_end(s, &g);
    buf_deinit(&g.frames);
    return NULL;
}
