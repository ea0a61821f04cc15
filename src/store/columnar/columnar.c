/* columnar.c: opening, closing, state and summaries of the columnar engine. docs/storage.md.
 *
 *   <data>/STORE            identity: uuid, id key, format version; written once
 *   <data>/LOCK             held by the writer; tells its pid and URL
 *   <data>/CURRENT, MANIFEST-<n>, STATE-<n>
 *   <data>/wal/<n>.wal      batches not yet in segments; <n>.big: a large one's bytes
 *   <data>/p/<day>.<class>/<id>.seg
 *
 * Opening: identity, lock, manifest, state, then the WAL behind the last flush into a fresh
 * memtable. It goes on from any state a crash can leave; a hole becomes a gap record. */
#include "store/columnar/classes.h"
#include "store/columnar/impl.h"
#include "store/columnar/pcache.h"
#include "store/columnar/scrub.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rd.h"

#define STORE_MAGIC "FLEETLOG"
#define STORE_VERSION 1
#define STORE_BYTES 64
#define SEQ_SKIP (1u << 16) /* left out after a torn tail, so that no number is given twice */

void store_config_default(struct store_config *c)
{
    *c = (struct store_config){ .create = true,
                                .memtable_bytes = 20u << 20,
                                .big_batch_bytes = BIG_BYTES,
                                .reserve_bytes = UINT64_MAX,
                                .delete_grace_ns = NS_PER_DAY,
                                .scrub_bytes_s = 8u << 20 };
}

void store_event(struct store *s, int level, const char *fmt, ...)
{
    if (!s->cfg.on_event)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->cfg.on_event(s->cfg.on_event_ctx, level, text);
}

static void forget_sums(struct store *s);

/* ---- identity ---- */

static int identity_create(struct store *s, struct err *err)
{
    char b[STORE_BYTES] = { 0 };
    memcpy(b, STORE_MAGIC, 8);
    put_le32(b + 8, STORE_VERSION);
    s->io->ops->random(s->io, b + 16, 32); /* uuid, id key */
    put_le64(b + 48, (uint64_t)s->io->ops->now(s->io));
    put_le32(b + 60, crc32c(0, b, 60));
    return io_write_file(s->io, "STORE", str_n(b, sizeof b), err);
}

static int identity_load(struct store *s, struct err *err)
{
    char *b;
    size_t n;
    int rc = io_read_file(s->io, "STORE", 4096, &b, &n, err);
    if (rc)
        return rc;
    if (n < STORE_BYTES || memcmp(b, STORE_MAGIC, 8) != 0 || get_le32(b + 60) != crc32c(0, b, 60))
        rc = err_set(err, ERR_CORRUPT, "STORE is not a fleetlog identity file, or it is damaged");
    else if (get_le32(b + 8) != STORE_VERSION)
        rc = err_set(err, ERR_UNSUPPORTED, "the store has format %u; this version reads %d",
                     get_le32(b + 8), STORE_VERSION);
    if (!rc) {
        memcpy(s->uuid, b + 16, 16);
        s->tag = get_le64(s->uuid);
        s->ids.key[0] = get_le64(b + 32);
        s->ids.key[1] = get_le64(b + 40);
    }
    mem_free(b);
    return rc;
}

struct dir_look {
    uint32_t ours, others;
};

static void look(void *arg, const char *name, bool is_dir)
{
    struct dir_look *d = arg;
    (void)is_dir;
    if (strcmp(name, "LOCK") == 0 || strcmp(name, "admin.key") == 0 ||
        strncmp(name, "meta.db", 7) == 0 || strcmp(name, "fleetlog.conf") == 0 ||
        strcmp(name, "prices.conf") == 0 || strcmp(name, "lost+found") == 0 ||
        strcmp(name, "wal") == 0 || strcmp(name, "p") == 0 ||
        strncmp(name, "MANIFEST-000001", 15) == 0 || strncmp(name, "STORE", 5) == 0 ||
        strncmp(name, "CURRENT", 7) == 0)
        d->ours++;
    else
        d->others++;
}

/* A directory without CURRENT: made into a store only when nothing of value can be in it. CURRENT
 * is written last, so a store whose creation was cut short is simply created again. */
static int create_store(struct store *s, struct err *err)
{
    struct dir_look d = { 0 };
    int rc = s->io->ops->list(s->io, ".", look, &d, err);
    if (rc)
        return rc;
    if (d.others)
        return err_set(err, ERR_NOTFOUND, "the directory is neither empty nor a fleetlog store");
    rc = s->io->ops->mkdir(s->io, "wal", err);
    if (!rc)
        rc = s->io->ops->mkdir(s->io, "p", err);
    if (!rc)
        rc = s->io->ops->sync_dir(s->io, ".", err);
    if (!rc)
        rc = identity_create(s, err);
    if (!rc)
        rc = identity_load(s, err);
    return rc ? rc : manifest_create(s, err);
}

/* ---- lock ---- */

bool store_lock_owner(struct io *io, struct buf *ret_url)
{
    struct io_file *f;
    struct err e = ERR_INIT;
    if (io->ops->open(io, &f, "LOCK", IO_WRITE, &e) && io->ops->open(io, &f, "LOCK", IO_READ, &e))
        return false;
    bool held = io->ops->lock != NULL && f->io->ops->lock(f, false, &e) == ERR_BUSY;
    io_close(f);
    char *p;
    size_t n;
    if (!held || io_read_file(io, "LOCK", 4096, &p, &n, &e))
        return false;
    str rest = str_n(p, n), pid, url;
    if (str_split(&rest, '\n', &pid) && str_split(&rest, '\n', &url))
        buf_putstr(ret_url, url);
    mem_free(p);
    return true;
}

/* Writers hold it alone; readers of a directory without a server share it. */
static int take_lock(struct store *s, struct err *err)
{
    bool reader = s->cfg.read_only;
    int rc = s->io->ops->open(s->io, &s->lock_file, "LOCK", reader ? IO_READ : IO_WRITE | IO_CREATE,
                              err);
    if (rc)
        return reader && rc == ERR_NOTFOUND ? 0 : rc;
    rc = s->lock_file->io->ops->lock(s->lock_file, !reader, err);
    if (rc == ERR_BUSY) {
        char *p;
        size_t n;
        struct err e = ERR_INIT;
        io_close(s->lock_file);
        s->lock_file = NULL;
        if (io_read_file(s->io, "LOCK", 4096, &p, &n, &e))
            return err_set(err, ERR_BUSY, "another process is writing to this store");
        str rest = str_n(p, n), pid = STR_NULL, url = STR_NULL;
        str_split(&rest, '\n', &pid);
        str_split(&rest, '\n', &url);
        err_set(err, ERR_BUSY,
                "another process (pid %.*s) is writing to this store; it serves %.*s", STR_FMT(pid),
                url.n ? (int)url.n : 10, url.n ? url.p : "no address");
        err_hint(err, "stop it, or talk to it with --url");
        mem_free(p);
        return ERR_BUSY;
    }
    return rc ? rc : store_set_url(s, s->cfg.url ? s->cfg.url : "", err);
}

int store_set_url(struct store *s, const char *url, struct err *err)
{
    if (!s->lock_file || s->cfg.read_only)
        return 0;
    char text[512];
    int n = snprintf(text, sizeof text, "%ld\n%s\n", (long)getpid(), url);
    int rc = s->lock_file->io->ops->truncate(s->lock_file, 0, err);
    if (!rc)
        rc = s->lock_file->io->ops->pwrite(s->lock_file, text, (size_t)n, 0, err);
    if (rc == ERR_FULL) { /* others do not learn the address, that is all */
        err_reset(err);
        rc = 0;
    }
    return rc;
}

/* ---- opening ---- */

static int build_version(struct store *s, struct err *err)
{
    s->version = version_new(s->mf.nsegs);
    if (!s->version)
        return err_nomem(err);
    s->version->n = 0;
    for (uint32_t i = 0; i < s->mf.nsegs; i++) {
        struct seg *g = seg_new(s, &s->mf.segs[i]);
        if (!g)
            return err_nomem(err);
        s->version->v[s->version->n++] = g;
        s->counted_entries += g->m.rows - g->m.dead_rows;
    }
    return 0;
}

static int recover(struct store *s, struct err *err)
{
    struct wal_replay rep;
    int64_t t0 = s->io->ops->mono(s->io);
    s->next_seq = s->mf.next_seq > s->mf.flushed_seq ? s->mf.next_seq : s->mf.flushed_seq + 1;
    int rc = s->mf.state_file ? late_load(s->late, s, s->mf.state_file, err) : 0;
    if (rc == ERR_CORRUPT || rc == ERR_NOTFOUND) {
        store_event(s, LOG_ERROR, "marks and idempotency keys are lost: %s", err->msg);
        s->st.corruptions++;
        rc = s->cfg.recovery_strict ? rc : 0;
    }
    if (!rc)
        rc = wal_recover(s, &rep, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < s->mf.nsegs; i++)
        if (s->mf.segs[i].recv_max > s->last_received)
            s->last_received = s->mf.segs[i].recv_max;
    s->counted_entries += s->active->rows;
    s->watermark = s->next_seq - 1;
    s->st.recovered_rows = s->active->rows;
    s->st.recovered_bytes = rep.bytes;
    s->st.recovery_ns = s->io->ops->mono(s->io) - t0;
    if (rep.torn_bytes && !s->cfg.read_only) {
        struct store_gap g = { .first_seq = s->next_seq,
                               .last_seq = s->next_seq + SEQ_SKIP - 1,
                               .bytes = rep.torn_bytes,
                               .at = s->io->ops->now(s->io),
                               .reason = WAL_TORN };
        s->next_seq += SEQ_SKIP;
        s->watermark = s->next_seq - 1;
        rc = manifest_note(s, &(struct edit){ .gap = &g, .next_seq = s->next_seq }, err);
        store_event(s, LOG_WARN, "wal: %llu bytes of a torn, unacknowledged tail were dropped",
                    (unsigned long long)rep.torn_bytes);
    }
    return rc;
}

static int open_files(struct store *s, struct err *err)
{
    bool fresh;
    int rc = manifest_is_new(s, &fresh, err);
    if (rc)
        return rc;
    if (fresh && (s->cfg.read_only || !s->cfg.create))
        return err_set(err, ERR_NOTFOUND, "there is no fleetlog store in this directory");
    rc = s->cfg.segments_only ? 0 : take_lock(s, err);
    if (rc)
        return rc;
    rc = fresh ? create_store(s, err) : identity_load(s, err);
    if (!rc && !fresh)
        rc = manifest_load(s, err);
    if (!rc && !s->cfg.read_only)
        rc = classes_open(s, err);
    s->st.scrub = s->mf.scrub;
    if (!rc)
        rc = build_version(s, err);
    if (!rc && !s->cfg.segments_only)
        rc = recover(s, err);
    if (rc || s->cfg.read_only)
        return rc;
    store_tidy(s);
    if (s->wal.number + 1 < s->mf.wal_min)
        s->wal.number = s->mf.wal_min - 1;
    rc = wal_begin(s, err);
    if (rc != ERR_FULL)
        return rc;
    store_event(s, LOG_ERROR, "nothing is accepted until there is space for a log: %s", err->msg);
    err_reset(err);
    s->st.disk_full = true;
    return 0;
}

static int start_threads(struct store *s, struct err *err)
{
    if (s->cfg.read_only)
        return 0;
    s->writer_started = pthread_create(&s->writer, NULL, writer_main, s) == 0;
    if (s->writer_started)
        s->big_started = pthread_create(&s->big, NULL, big_main, s) == 0;
    if (s->big_started)
        s->background_started = pthread_create(&s->background, NULL, background_main, s) == 0;
    if (s->background_started)
        s->merger_started = pthread_create(&s->merger, NULL, merge_main, s) == 0;
    return s->merger_started ? 0 : err_set(err, ERR_NOMEM, "cannot start the store's threads");
}

int store_open(struct store **ret, struct io *io, const struct store_config *cfg, struct err *err)
{
    struct store *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->io = io;
    s->cfg = *cfg;
    s->qtail = &s->qhead;
    s->big_tail = &s->big_head;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->sums_lock, NULL);
    pthread_mutex_init(&s->qlock, NULL);
    pthread_mutex_init(&s->mlock, NULL);
    pthread_mutex_init(&s->merge_lock, NULL);
    pthread_cond_init(&s->qcond, NULL);
    pthread_cond_init(&s->big_cond, NULL);
    pthread_cond_init(&s->bg_cond, NULL);
    pthread_cond_init(&s->flush_cond, NULL);
    pthread_cond_init(&s->merge_cond, NULL);
    s->st.opened_at = io->ops->now(io);
    s->active = memtable_new();
    int rc = s->active ? late_new(&s->late, err) : err_nomem(err);
    if (!rc)
        rc = pcache_new(&s->pages, PCACHE_BYTES, err);
    s->scrub = scrub_new();
    if (!rc && !s->scrub)
        rc = err_nomem(err);
    if (!rc)
        rc = open_files(s, err);
    if (!rc)
        rc = start_threads(s, err);
    if (rc) {
        store_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->qlock);
    s->stopping = true;
    pthread_cond_signal(&s->big_cond);
    pthread_mutex_unlock(&s->qlock);
    if (s->big_started) /* first: what it has taken still goes to the writer */
        pthread_join(s->big, NULL);
    pthread_mutex_lock(&s->qlock);
    s->big_done = true;
    pthread_cond_signal(&s->qcond);
    pthread_mutex_unlock(&s->qlock);
    if (s->writer_started)
        pthread_join(s->writer, NULL);
    pthread_mutex_lock(&s->lock);
    s->bg_stop = true;
    pthread_cond_signal(&s->bg_cond);
    pthread_cond_broadcast(&s->flush_cond);
    pthread_cond_broadcast(&s->merge_cond);
    pthread_mutex_unlock(&s->lock);
    if (s->background_started)
        pthread_join(s->background, NULL);
    if (s->merger_started)
        pthread_join(s->merger, NULL);
    io_close(s->wal.f);
    memtable_free(s->active);
    memtable_free(s->frozen);
    forget_sums(s);
    scrub_free(s->scrub);
    version_unref(s->version);
    late_free(s->late);
    pcache_free(s->pages);
    manifest_close(s);
    io_close(s->lock_file);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->sums_lock);
    pthread_mutex_destroy(&s->qlock);
    pthread_mutex_destroy(&s->mlock);
    pthread_mutex_destroy(&s->merge_lock);
    pthread_cond_destroy(&s->qcond);
    pthread_cond_destroy(&s->big_cond);
    pthread_cond_destroy(&s->bg_cond);
    pthread_cond_destroy(&s->flush_cond);
    pthread_cond_destroy(&s->merge_cond);
    mem_free(s);
}

/* ---- maintenance ---- */

int store_flush(struct store *s, struct err *err)
{
    if (s->cfg.read_only)
        return err_set(err, ERR_UNSUPPORTED, "the store is open for reading only");
    int rc = 0;
    for (int round = 0; round < 2 && !rc;
         round++) { /* what is frozen already, then what is active */
        if (round)
            rc = writer_freeze(s, err);
        if (!rc) /* also when the background thread is at it: until it is through */
            rc = flush_frozen(s, err);
    }
    return rc;
}

int store_merge(struct store *s, struct err *err)
{
    if (s->cfg.read_only)
        return err_set(err, ERR_UNSUPPORTED, "the store is open for reading only");
    bool did = true;
    int rc = 0;
    while ((did && !rc) || rc == ERR_CANCELED) { /* it gave way to a deletion: again */
        err_reset(err);
        rc = merge_some(s, true, &did, err);
    }
    return rc;
}

int store_retention_run(struct store *s, struct err *err)
{
    return s->cfg.read_only ? err_set(err, ERR_UNSUPPORTED, "the store is open for reading only")
                            : retention_apply(s, err);
}

void store_set_retention(struct store *s, int64_t retention_ns, uint64_t max_disk_bytes)
{
    pthread_mutex_lock(&s->lock);
    s->cfg.retention_ns = retention_ns;
    s->cfg.max_disk_bytes = max_disk_bytes;
    pthread_mutex_unlock(&s->lock);
}

/* ---- lookups ---- */

static int newest_with_id(struct store *s, str id, uint64_t *ret, struct err *err)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    struct pred *p = pred_eq(&a, F_ID, id);
    struct scan *sc = NULL;
    struct scan_block sb;
    int rc = p ? store_scan(s, &(struct scan_plan){ .filter = p }, &sc, err) : err_nomem(err);
    uint64_t best = 0;
    while (!rc && (rc = scan_next(sc, &sb, err)) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n && !rc;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            struct val v;
            rc = block_get_field(sb.block, (uint32_t)i, F_SEQ, &v, err);
            if (!rc && (uint64_t)v.i > best)
                best = (uint64_t)v.i;
        }
    scan_close(sc);
    arena_deinit(&a);
    if (rc < 0)
        return rc;
    *ret = best;
    return best ? 0 : err_set(err, ERR_NOTFOUND, "no entry has the id %.*s", STR_FMT(id));
}

int store_find_id(struct store *s, str id, uint64_t *ret_seq, struct err *err)
{
    ts_ns ms;
    uint64_t seq;
    if (!uuid_valid(id))
        return err_set(err, ERR_NOTFOUND, "an entry's id is a UUID");
    if (!id_decode(&s->ids, id, &ms, &seq))
        return newest_with_id(s, id, ret_seq, err);
    struct scan *sc;
    struct scan_block sb;
    if (!seq)
        return err_set(err, ERR_NOTFOUND, "no entry has the id %.*s", STR_FMT(id));
    int rc = store_scan(s, &(struct scan_plan){ .seq_after = seq - 1, .seq_max = seq }, &sc, err);
    if (rc)
        return rc;
    rc = scan_next(sc, &sb, err);
    scan_close(sc);
    if (rc < 0)
        return rc;
    if (rc == 1)
        return newest_with_id(s, id, ret_seq, err);
    *ret_seq = seq;
    return 0;
}

bool store_get_mark(struct store *s, uint64_t seq, struct arena *a, struct mark *ret)
{
    return late_get(s->late, seq, ret, a);
}

uint64_t store_marks_count(struct store *s)
{
    return late_marks(s->late);
}

const struct id_gen *store_ids(struct store *s)
{
    return &s->ids;
}

/* ---- state ---- */

void store_get_status(struct store *s, struct store_status *ret)
{
    pthread_mutex_lock(&s->qlock);
    uint64_t qn = s->queue_n + s->big_n, qb = s->queue_bytes + s->big_bytes;
    pthread_mutex_unlock(&s->qlock);
    pthread_mutex_lock(&s->lock);
    *ret = s->st;
    ret->watermark = s->watermark;
    ret->entries = s->counted_entries;
    ret->next_seq = s->watermark + 1;
    ret->segments = s->version->n;
    for (uint32_t i = 0; i < s->version->n; i++) {
        ret->segment_rows += s->version->v[i]->m.rows - s->version->v[i]->m.dead_rows;
        ret->segment_bytes += s->version->v[i]->m.bytes;
        ret->dead_rows += s->version->v[i]->m.dead_rows;
    }
    ret->memtable_rows = s->active->rows + (s->frozen ? s->frozen->rows : 0);
    ret->memtable_bytes = s->active->bytes;
    ret->frozen_bytes = s->frozen ? s->frozen->bytes : 0;
    pthread_mutex_unlock(&s->lock);
    ret->queue_batches = qn;
    ret->queue_bytes = qb;
    ret->read_only = s->cfg.read_only;
    ret->engine = "columnar";
    memcpy(ret->uuid, s->uuid, 16);
    struct err e = ERR_INIT;
    s->io->ops->free_space(s->io, &ret->disk_free, &ret->disk_total, &e);
}

int store_gaps(struct store *s, struct arena *a, struct store_gap **ret, uint32_t *ret_n,
               struct err *err)
{
    pthread_mutex_lock(&s->mlock);
    uint32_t n = s->mf.ngaps;
    struct store_gap *v = arena_array(a, n + 1, sizeof *v);
    if (v && n)
        memcpy(v, s->mf.gaps, n * sizeof *v);
    pthread_mutex_unlock(&s->mlock);
    *ret = v;
    *ret_n = v ? n : 0;
    return v ? 0 : err_nomem(err);
}

/* ---- summaries ---- */

static int add_block_sums(void *arg, struct block *b, struct err *err)
{
    return rollup_add_block(arg, b, err);
}

static void forget_sums(struct store *s)
{
    rollup_free(s->sums);
    version_unref(s->sums_version);
    s->sums = NULL;
    s->sums_version = NULL;
}

/* Starts again from the segments' own sums. */
static int base_sums(struct store *s, struct version *v, struct err *err)
{
    bool all = true;
    forget_sums(s);
    s->sums = rollup_new();
    int rc = s->sums ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < v->n && !rc; i++) {
        rc = seg_open(v->v[i], err);
        if (!rc)
            rc = rollup_decode(s->sums, seg_summary(v->v[i]), err);
        if (!rc)
            rc = rollup_decode_groups(s->sums, seg_groups(v->v[i]), v->v[i]->m.rows, err);
        all &= rc != ERR_IO;
        if (rc == ERR_CORRUPT || rc == ERR_IO) /* its rows cannot be read either */
            rc = 0;
    }
    if (rc)
        return rc;
    s->sums_seq = 0;
    if (all) { /* else the next call tries again */
        atomic_fetch_add(&v->refs, 1);
        s->sums_version = v;
    }
    return 0;
}

/* Adds the chunks behind sums_seq. A chunk that straddles it (small ones were joined): false. */
static int add_chunks(struct store *s, const struct snapshot *sn, bool *ret_straddles,
                      struct err *err)
{
    struct arena a;
    int rc = 0;
    arena_init(&a, ARENA_MAX);
    *ret_straddles = false;
    for (uint32_t i = 0; i < sn->nchunks && !rc && !*ret_straddles; i++) {
        const struct chunk *c = sn->chunks[i];
        uint64_t last = c->base_seq + c->rows - 1;
        if (last <= s->sums_seq)
            continue;
        *ret_straddles = c->base_seq <= s->sums_seq;
        if (*ret_straddles)
            break;
        rc = payload_each(str_n(c->payload, c->n), c->base_seq, c->received_at, &a, add_block_sums,
                          s->sums, err);
        s->sums_seq = last;
        arena_reset(&a);
    }
    arena_deinit(&a);
    return rc;
}

/* Brings s->sums up to now; it costs what came since the last call. Caller holds sums_lock. */
static int sum_all(struct store *s, struct err *err)
{
    struct snapshot sn;
    int rc = snapshot_take(s, &sn, err);
    if (rc)
        return rc;
    bool again = s->sums_version != sn.version;
    for (int round = 0; round < 2 && !rc; round++) {
        if (again)
            rc = base_sums(s, sn.version, err);
        if (!rc)
            rc = add_chunks(s, &sn, &again, err);
        if (!again)
            break;
    }
    if (rc)
        forget_sums(s);
    snapshot_release(&sn);
    return rc;
}

static int by_first_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct agent_stat *)a)->first_seq,
             y = ((const struct agent_stat *)b)->first_seq;
    return (x > y) - (x < y);
}

static int by_hour(const void *a, const void *b)
{
    int64_t x = ((const struct hour_stat *)a)->hour, y = ((const struct hour_stat *)b)->hour;
    return (x > y) - (x < y);
}

int store_summary(struct store *s, struct arena *a, struct store_summary *ret, struct err *err)
{
    struct smap_slot *slot;
    pthread_mutex_lock(&s->sums_lock);
    int rc = sum_all(s, err);
    if (rc) {
        pthread_mutex_unlock(&s->sums_lock);
        return rc;
    }
    const struct rollup *r = s->sums;
    *ret = (struct store_summary){ .entries = r->entries,
                                   .t_min = r->t_min,
                                   .t_max = r->t_max,
                                   .first_received = r->recv_min,
                                   .last_received = r->recv_max };
    ret->levels_by_hour = !r->ungrouped;
    memcpy(ret->levels, r->levels, sizeof ret->levels);
    ret->agents = arena_array(a, r->agents.n + 1, sizeof *ret->agents);
    ret->hours = arena_array(a, r->hours.n + 1, sizeof *ret->hours);
    if (!ret->agents || !ret->hours)
        rc = err_nomem(err);
    for (uint32_t i = 0; !rc && smap_next(&r->agents, &i, &slot);) {
        const struct rollup_agent *g = &r->agent[slot->val - 1];
        struct agent_stat *o = &ret->agents[ret->nagents++];
        *o = (struct agent_stat){ .name = arena_dup(a, slot->key),
                                  .entries = g->entries,
                                  .first = g->first,
                                  .last = g->last,
                                  .first_seq = g->first_seq };
        memcpy(o->levels, g->levels, sizeof o->levels);
        if (!o->name.p && slot->key.n)
            rc = err_nomem(err);
    }
    for (uint32_t i = 0; !rc && smap_next(&r->hours, &i, &slot);) {
        struct hour_stat *h = &ret->hours[ret->nhours++];
        memcpy(&h->hour, slot->key.p, sizeof h->hour);
        h->entries = slot->val;
        rollup_hour_levels(r, h->hour, h->levels);
    }
    if (!rc) {
        qsort(ret->agents, ret->nagents, sizeof *ret->agents, by_first_seq);
        qsort(ret->hours, ret->nhours, sizeof *ret->hours, by_hour);
    }
    pthread_mutex_unlock(&s->sums_lock);
    return rc;
}

void store_counts(struct store *s, uint64_t *ret_entries, uint64_t *ret_agents)
{
    pthread_mutex_lock(&s->lock);
    *ret_entries = s->counted_entries;
    pthread_mutex_unlock(&s->lock);
    struct err e = ERR_INIT;
    pthread_mutex_lock(&s->sums_lock);
    *ret_agents = sum_all(s, &e) == 0 ? s->sums->agents.n : 0;
    pthread_mutex_unlock(&s->sums_lock);
}

static int by_entries(const void *pa, const void *pb)
{
    const struct field_stat *a = pa, *b = pb;
    int c = (a->entries < b->entries) - (a->entries > b->entries);
    return c ? c : str_cmp(a->key, b->key);
}

int store_fields(struct store *s, struct arena *a, uint32_t max, struct field_stat **ret,
                 uint32_t *ret_n, struct err *err)
{
    struct smap_slot *slot;
    struct smap names;
    pthread_mutex_lock(&s->sums_lock);
    int rc = sum_all(s, err);
    if (rc) {
        pthread_mutex_unlock(&s->sums_lock);
        return rc;
    }
    const struct rollup *r = s->sums;
    struct field_stat *v = arena_array(a, r->fields.n + 1, sizeof *v);
    uint32_t n = 0;
    rc = v ? 0 : err_nomem(err);
    smap_init(&names, SMAP_BORROW);
    for (uint32_t i = 0; !rc && smap_next(&r->fields, &i, &slot);) {
        str key = str_skip(slot->key, 1);
        bool is_new;
        uint64_t *at = smap_put(&names, key, &is_new);
        if (!at) {
            rc = err_nomem(err);
            break;
        }
        if (is_new) {
            *at = n;
            v[n++] = (struct field_stat){ .key = arena_dup(a, key) };
        }
        v[*at].types |= 1u << slot->key.p[0];
        v[*at].entries += slot->val;
    }
    smap_deinit(&names);
    pthread_mutex_unlock(&s->sums_lock);
    if (rc)
        return rc;
    qsort(v, n, sizeof *v, by_entries);
    *ret = v;
    *ret_n = n < max ? n : max;
    return 0;
}
