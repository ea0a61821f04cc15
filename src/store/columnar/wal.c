/* wal.c: the write-ahead log: frames, files, recovery. Format: docs/format/wal.md.
 *
 * A file is a 64-byte header and frames back to back; the room behind the last frame is zero
 * (preallocated). A frame's header carries its own address (store, file number, offset), the
 * checksum of the frame before it, and how much of the file was durable when it was written.
 *
 * Recovery reads each file from the start. At the first frame that does not check out, it looks
 * whether anything shows that the log was durable beyond that point: a later file (which is begun
 * only after this one was synced), or a valid frame further on whose durable offset is larger. If
 * so the bytes in between are corruption: they are skipped, and reading goes on behind them; which
 * sequence numbers they held is known when the next frame tells its own, and becomes a gap record
 * then. If not it is the torn tail of the last group, which nobody was told about: reading ends
 * there. Recovery writes nothing to old files, so it may itself be interrupted and repeated. */
#include "store/columnar/impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rd.h"
#include "codec/zip.h"

#define WAL_MAGIC "FLEETWAL"
#define WAL_FRAME_MAGIC 0x31464c57u /* "WLF1" */
#define SEQ_LOST (1ull << 32)       /* more rows than unflushed frames hold */

void wal_path(uint64_t number, char out[PATH_MAX_STORE])
{
    snprintf(out, PATH_MAX_STORE, "wal/%012llu.wal", (unsigned long long)number);
}

int wal_create(struct store *s, uint64_t number, uint64_t prev, uint64_t prev_end, struct wal *ret,
               struct err *err)
{
    char path[PATH_MAX_STORE], head[WAL_HEADER] = { 0 };
    struct io *io = s->io;
    struct wal w = { .number = number };
    wal_path(number, path);
    int rc = io->ops->open(io, &w.f, path, IO_WRITE | IO_CREATE, err);
    if (rc)
        return rc;
    memcpy(head, WAL_MAGIC, 8);
    put_le32(head + 8, 1);
    memcpy(head + 16, s->uuid, 16);
    put_le64(head + 32, number);
    put_le64(head + 40, prev_end);
    put_le64(head + 48, (uint64_t)io->ops->now(io));
    put_le32(head + 56, prev ? (uint32_t)(number - prev) : 0);
    put_le32(head + 60, crc32c(0, head, 60));
    rc = w.f->io->ops->truncate(w.f, 0, err);
    if (!rc)
        rc = w.f->io->ops->preallocate(w.f, 0, WAL_PREALLOC, err);
    if (!rc)
        rc = w.f->io->ops->pwrite(w.f, head, sizeof head, 0, err);
    if (!rc)
        rc = w.f->io->ops->sync(w.f, err);
    if (!rc)
        rc = io->ops->sync_dir(io, "wal", err);
    if (rc) {
        io_close(w.f);
        return rc;
    }
    w.size = w.durable = WAL_HEADER;
    w.allocated = WAL_PREALLOC;
    *ret = w;
    pthread_mutex_lock(&s->lock);
    s->st.wal_files++;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int wal_begin(struct store *s, struct err *err)
{
    return wal_create(s, s->wal.number + 1, s->wal.prev, s->wal.prev_end, &s->wal, err);
}

void wal_unlink(struct store *s, uint64_t number)
{
    char path[PATH_MAX_STORE];
    struct err e = ERR_INIT;
    wal_path(number, path);
    if (s->io->ops->unlink(s->io, path, &e)) /* the next start does it */
        return;
    pthread_mutex_lock(&s->lock);
    s->st.wal_files--;
    pthread_mutex_unlock(&s->lock);
}

void wal_frame_encode(struct store *s, struct wal *w, uint64_t at, struct wal_frame *f,
                      char out[WAL_FRAME])
{
    memset(out, 0, WAL_FRAME);
    f->file_no = w->number;
    f->offset = at;
    f->durable = w->durable;
    f->prev_crc = w->prev_crc;
    put_le32(out, WAL_FRAME_MAGIC);
    out[4] = (char)f->type;
    out[5] = (char)f->flags;
    put_le32(out + 8, f->length);
    put_le32(out + 12, f->raw_n);
    put_le64(out + 16, f->base_seq);
    put_le32(out + 24, f->n);
    put_le64(out + 32, (uint64_t)f->received_at);
    put_le64(out + 40, f->file_no);
    put_le64(out + 48, f->durable);
    put_le32(out + 56, f->prev_crc);
    put_le32(out + 60, f->payload_crc);
    put_le64(out + 64, s->tag);
    put_le64(out + 72, f->offset);
    f->header_crc = crc32c(0, out, WAL_FRAME - 4);
    put_le32(out + 84, f->header_crc);
    w->prev_crc = f->header_crc;
}

/* ---- reading ---- */

static bool frame_parse(const struct store *s, const char *p, uint64_t file_no, uint64_t at,
                        struct wal_frame *f)
{
    if (get_le32(p) != WAL_FRAME_MAGIC ||
        crc_differs(get_le32(p + 84), crc32c(0, p, WAL_FRAME - 4)))
        return false;
    *f = (struct wal_frame){ .type = (uint8_t)p[4],
                             .flags = (uint8_t)p[5],
                             .length = get_le32(p + 8),
                             .raw_n = get_le32(p + 12),
                             .base_seq = get_le64(p + 16),
                             .n = get_le32(p + 24),
                             .received_at = (ts_ns)get_le64(p + 32),
                             .file_no = get_le64(p + 40),
                             .durable = get_le64(p + 48),
                             .prev_crc = get_le32(p + 56),
                             .payload_crc = get_le32(p + 60),
                             .offset = get_le64(p + 72),
                             .header_crc = get_le32(p + 84) };
    return get_le64(p + 64) == s->tag && f->file_no == file_no && f->offset == at;
}

/* Is there a whole, intact frame at `at`? */
static bool frame_at(const struct store *s, const char *p, size_t n, uint64_t file_no, uint64_t at,
                     struct wal_frame *f)
{
    return at + WAL_FRAME <= n && frame_parse(s, p + at, file_no, at, f) &&
           f->length <= n - at - WAL_FRAME &&
           !crc_differs(f->payload_crc, crc32c(0, p + at + WAL_FRAME, f->length));
}

/* Looks from `at` on for an intact frame; UINT64_MAX when there is none. */
static uint64_t resync(const struct store *s, const char *p, size_t n, uint64_t file_no,
                       uint64_t at, struct wal_frame *f)
{
    const char magic[4] = { 'W', 'L', 'F', '1' };
    while (at + WAL_FRAME <= n) {
        const char *hit = memmem(p + at, n - at, magic, 4);
        if (!hit)
            return UINT64_MAX;
        at = (uint64_t)(hit - p);
        if (frame_at(s, p, n, file_no, at, f))
            return at;
        at++;
    }
    return UINT64_MAX;
}

/* Largest durable offset that any intact frame from `at` on tells of. */
static uint64_t durable_beyond(const struct store *s, const char *p, size_t n, uint64_t file_no,
                               uint64_t at)
{
    uint64_t max = 0;
    struct wal_frame f;
    for (at = resync(s, p, n, file_no, at, &f); at != UINT64_MAX;
         at = resync(s, p, n, file_no, at + WAL_FRAME + f.length, &f))
        max = f.durable > max ? f.durable : max;
    return max;
}

/* ---- holes ---- */

static const struct store_gap *on_record(const struct store *s, const char *why, uint64_t first)
{
    for (uint32_t i = 0; i < s->mf.ngaps; i++)
        if (s->mf.gaps[i].first_seq == first && strcmp(s->mf.gaps[i].reason, why) == 0)
            return &s->mf.gaps[i];
    return NULL;
}

/* A damaged file stays until it is flushed and is read at every start: its gap is recorded once. */
static int note_gap(struct store *s, const char *why, uint64_t first, uint64_t last, uint64_t bytes,
                    struct err *err)
{
    struct store_gap g = {
        .first_seq = first, .last_seq = last, .bytes = bytes, .at = s->io->ops->now(s->io)
    };
    snprintf(g.reason, sizeof g.reason, "%s", why);
    store_event(s, LOG_ERROR, "wal: %s: %llu bytes, sequence numbers %llu to %llu", why,
                (unsigned long long)bytes, (unsigned long long)first, (unsigned long long)last);
    s->st.corruptions++;
    const struct store_gap *known = on_record(s, why, first);
    if (s->cfg.read_only || (known && known->last_seq == last))
        return 0;
    return manifest_note(s, &(struct edit){ .gap = &g, .next_seq = s->next_seq }, err);
}

/* Durable bytes are missing here. */
static void dig_hole(struct wal_replay *rep, const char *why, uint64_t bytes)
{
    rep->hole = rep->hole ? rep->hole : why;
    rep->hole_bytes += bytes;
    rep->corrupt_bytes += bytes;
    rep->hole_exact = false;
}

/* The numbers behind the hole go on with `next`. */
static int fill_hole(struct store *s, struct wal_replay *rep, uint64_t next, struct err *err)
{
    const char *why = rep->hole;
    uint64_t bytes = rep->hole_bytes;
    bool rows = next > rep->expect;
    rep->hole = NULL;
    rep->hole_bytes = 0;
    return why ? note_gap(s, why, rows ? rep->expect : 0, rows ? next - 1 : 0, bytes, err) : 0;
}

/* A hole at the end of the log. What was in it may have been acknowledged and seen, so its numbers
 * must not be given again: where they are not known, more are left out than it can have held. */
static int fill_last_hole(struct store *s, struct wal_replay *rep, struct err *err)
{
    if (!rep->hole)
        return 0;
    const struct store_gap *known = on_record(s, rep->hole, rep->expect);
    uint64_t next = rep->hole_exact ? rep->hole_next
                    : known         ? known->last_seq + 1
                                    : rep->expect + SEQ_LOST;
    if (next > s->next_seq)
        s->next_seq = next;
    return fill_hole(s, rep, next, err);
}

/* Nothing intact follows in [at, end): do the headers of its frames, at least, tell its numbers? */
static void measure_hole(const struct store *s, const char *p, size_t n, uint64_t file_no,
                         uint64_t at, uint64_t end, struct wal_replay *rep)
{
    struct wal_frame f;
    rep->hole_next = rep->expect;
    while (at < end && at + WAL_FRAME <= n && frame_parse(s, p + at, file_no, at, &f)) {
        if (f.type != WAL_MARK && f.base_seq + f.n > rep->hole_next)
            rep->hole_next = f.base_seq + f.n;
        at += WAL_FRAME + f.length;
    }
    rep->hole_exact = at >= end;
}

/* ---- replaying ---- */

static int replay_idem(struct store *s, const struct wal_frame *f, const char *idem,
                       struct err *err)
{
    if (!idem)
        return 0;
    struct idem_entry e = { .body_hash = get_le64(idem + 16),
                            .base_seq = f->base_seq,
                            .rows = f->n,
                            .at = f->received_at };
    memcpy(e.key, idem, 16);
    return late_idem_add(s->late, &e, err);
}

/* Rows whose payload is at hand join the memtable; takes raw. */
static int replay_rows(struct store *s, const struct wal_frame *f, const char *idem, char *raw,
                       struct err *err)
{
    struct chunk *c;
    int rc = chunk_new(&c, raw, f->raw_n, f->n, f->base_seq, f->received_at, err);
    if (rc) {
        mem_free(raw);
        return rc;
    }
    if (!memtable_reserve(s->active, 1)) {
        chunk_unref(c);
        return err_nomem(err);
    }
    memtable_add(s->active, c);
    return replay_idem(s, f, idem, err);
}

static int unpack_stored(const struct wal_frame *f, str stored, char **ret, struct err *err)
{
    if (f->raw_n > WAL_PAYLOAD_MAX)
        return err_set(err, ERR_CORRUPT, "WAL frame larger than any frame is");
    char *raw = mem_alloc((size_t)f->raw_n + BUF_PAD);
    if (!raw)
        return err_nomem(err);
    int rc = 0;
    if (f->flags & WAL_FLAG_LZ4)
        rc = lz4_unpack(stored, raw, f->raw_n, err);
    else if (stored.n == f->raw_n)
        memcpy(raw, stored.p, stored.n);
    else
        rc = err_set(err, ERR_CORRUPT, "WAL frame of another length");
    if (rc)
        mem_free(raw);
    else
        *ret = raw;
    return rc;
}

/* A batch, or a reference to one in a file of its own. */
static int replay_batch(struct store *s, const struct wal_frame *f, const char *p,
                        struct wal_replay *rep, struct err *err)
{
    const char *idem = f->flags & WAL_FLAG_IDEM ? p : NULL;
    str stored = { p, f->length };
    struct big_ref ref = { 0 };
    if (idem && f->length < WAL_IDEM)
        return err_set(err, ERR_CORRUPT, "WAL frame without its idempotency key");
    stored = str_skip(stored, idem ? WAL_IDEM : 0);
    if (f->type == WAL_REF) {
        if (stored.n != WAL_REF_BYTES)
            return err_set(err, ERR_CORRUPT, "WAL reference of another length");
        ref.number = get_le64(stored.p);
        ref.stored = get_le64(stored.p + 8);
        ref.crc = get_le32(stored.p + 16);
        rep->ref_bytes = ref.stored;
        file_nos_add(&rep->refs, ref.number);
        if (rep->refs.failed)
            return err_nomem(err);
    }
    if (f->n == 0)
        return 0;
    if (f->base_seq + f->n - 1 <= s->mf.flushed_seq) /* in a segment; its key may not be in STATE */
        return replay_idem(s, f, idem, err);
    char *raw;
    int rc = f->type == WAL_REF ? big_load(s, &ref, f->flags, f->raw_n, &raw, err)
                                : unpack_stored(f, stored, &raw, err);
    if (!rc)
        rep->bytes += ref.stored;
    return rc ? rc : replay_rows(s, f, idem, raw, err);
}

static int replay_frame(struct store *s, const struct wal_frame *f, const char *p,
                        struct wal_replay *rep, struct err *err)
{
    int rc = 0;
    uint32_t changed;
    rep->frames++;
    rep->ref_bytes = 0;
    if (f->type != WAL_MARK) { /* all others tell a sequence number */
        rc = fill_hole(s, rep, f->base_seq, err);
        if (!rc && f->base_seq + f->n > rep->expect)
            rep->expect = f->base_seq + f->n;
        if (rc)
            return rc;
        if (rep->expect > s->next_seq)
            s->next_seq = rep->expect;
    }
    switch (f->type) {
    case WAL_BATCH:
    case WAL_REF:
        rc = replay_batch(s, f, p, rep, err);
        rep->rows += f->n;
        break;
    case WAL_CLOCK: break;
    case WAL_MARK: rc = marks_decode(s->late, str_n(p, f->length), &changed, err); break;
    default:
        rc = err_set(err, ERR_UNSUPPORTED, "WAL frame of type %u: written by a newer version",
                     f->type);
    }
    if (f->received_at > s->last_received)
        s->last_received = f->received_at;
    return rc;
}

/* The torn tail behind the numbers read so far was found by an earlier start, too. */
static bool tail_on_record(const struct store *s, const struct wal_replay *rep)
{
    for (uint32_t i = 0; i < s->mf.ngaps; i++)
        if (s->mf.gaps[i].first_seq <= rep->expect && rep->expect <= s->mf.gaps[i].last_seq &&
            strcmp(s->mf.gaps[i].reason, WAL_TORN) == 0)
            return true;
    return false;
}

/* How far later files say that one was durable. */
struct wal_end {
    uint64_t at; /* 0: none does */
    bool final;  /* nothing was acknowledged behind it */
};

/* Reads one file's frames. */
static int replay_file(struct store *s, uint64_t number, const char *p, size_t n,
                       struct wal_end end, struct wal_replay *rep, struct err *err)
{
    uint64_t at = WAL_HEADER;
    uint32_t prev = 0;
    bool skipped = false;
    for (;;) {
        struct wal_frame f;
        bool ok = !(end.final && at >= end.at) && frame_at(s, p, n, number, at, &f) &&
                  (skipped || f.prev_crc == prev);
        if (!ok) {
            uint64_t known = end.final ? end.at : durable_beyond(s, p, n, number, at);
            known = known > end.at ? known : end.at;
            if (at > WAL_HEADER || known > WAL_HEADER) { /* else: it was never used */
                rep->last_file = number;
                rep->last_end = known > at ? known : at;
            }
            if (known <= at) {                                  /* torn tail, or simply the end */
                bool news = !end.at || !tail_on_record(s, rep); /* end.at: a file followed */
                for (uint64_t i = at; i < n && news; i++)
                    if (p[i]) {
                        rep->torn_bytes += n - i;
                        break;
                    }
                return 0;
            }
            uint64_t next = resync(s, p, n, number, at + 1, &f);
            bool last = next == UINT64_MAX || (end.final && next >= end.at);
            if (s->cfg.recovery_strict)
                return err_at(err, ERR_CORRUPT, (int64_t)at,
                              "WAL file %llu is damaged before its durable end",
                              (unsigned long long)number);
            dig_hole(rep, "damaged write-ahead log", (last ? known : next) - at);
            if (last) {
                measure_hole(s, p, n, number, at, known, rep);
                return 0;
            }
            at = next;
            skipped = true;
            continue;
        }
        int rc = replay_frame(s, &f, p + at + WAL_FRAME, rep, err);
        if (rc == ERR_CORRUPT && !s->cfg.recovery_strict) {
            uint64_t bytes = f.length + rep->ref_bytes;
            rep->corrupt_bytes += bytes;
            store_event(s, LOG_WARN, "wal: %s", err->msg);
            err_reset(err);
            rc = note_gap(s, "unreadable batch", f.base_seq, f.base_seq + f.n - !!f.n, bytes, err);
        }
        if (rc)
            return rc;
        prev = f.header_crc;
        skipped = false;
        at += WAL_FRAME + f.length;
        rep->bytes = rep->bytes + WAL_FRAME + f.length;
    }
}

void file_nos_add(struct file_nos *w, uint64_t n)
{
    if (w->n == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : 16;
        uint64_t *v = mem_realloc(w->v, cap * sizeof *v);
        if (!v) {
            w->failed = true;
            return;
        }
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = n;
}

void file_nos_add_name(struct file_nos *w, const char *name, bool is_dir, const char *suffix)
{
    uint64_t number;
    size_t len = strlen(name), tail = strlen(suffix);
    if (is_dir || len < 12 + tail || strcmp(name + len - tail, suffix) != 0 ||
        (len > 12 + tail && name[0] == '0') || !str_to_u64(str_n(name, len - tail), &number))
        return;
    file_nos_add(w, number);
}

struct wal_names {
    struct file_nos wal, big;
};

static void on_name(void *arg, const char *name, bool is_dir)
{
    struct wal_names *w = arg;
    file_nos_add_name(&w->wal, name, is_dir, ".wal");
    file_nos_add_name(&w->big, name, is_dir, ".big");
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int read_whole(struct store *s, uint64_t number, char **ret, size_t *ret_n, struct err *err)
{
    char path[PATH_MAX_STORE];
    wal_path(number, path);
    return io_read_file(s->io, path, (size_t)8 << 30, ret, ret_n, err);
}

static bool header_ok(const struct store *s, uint64_t number, const char *p, size_t n)
{
    return n >= WAL_HEADER && memcmp(p, WAL_MAGIC, 8) == 0 && memcmp(p + 16, s->uuid, 16) == 0 &&
           get_le64(p + 32) == number && !crc_differs(get_le32(p + 60), crc32c(0, p, 60));
}

/* What a file's header says of itself and of the file before it. */
struct wal_head {
    bool ok, begun;          /* begun: there is a frame in it */
    uint64_t prev, prev_end; /* number 0: of none */
};

static int read_head(struct store *s, uint64_t number, struct wal_head *ret, struct err *err)
{
    char p[WAL_HEADER + WAL_FRAME], path[PATH_MAX_STORE];
    struct io_file *f;
    struct wal_frame frame;
    size_t got;
    wal_path(number, path);
    int rc = s->io->ops->open(s->io, &f, path, IO_READ, err);
    if (rc)
        return rc;
    rc = f->io->ops->pread(f, p, sizeof p, 0, &got, err);
    io_close(f);
    *ret = (struct wal_head){ .ok = !rc && header_ok(s, number, p, got) };
    if (!ret->ok)
        return rc;
    ret->begun = got == sizeof p && frame_parse(s, p + WAL_HEADER, number, WAL_HEADER, &frame);
    uint64_t back = get_le32(p + 56);
    ret->prev_end = get_le64(p + 40);
    back = back ? back : ret->prev_end != 0;
    ret->prev = back < number ? number - back : 0;
    if (!back)
        ret->prev = 0;
    return 0;
}

/* What later files say of the one at index i. A file whose creation failed half-way says how far
 * this one was durable then, but more may have come since; one with a frame in it was the next. */
static struct wal_end end_of(const struct file_nos *w, const struct wal_head *heads, uint32_t i)
{
    struct wal_end end = { 0 };
    for (uint32_t k = i + 1; k < w->n; k++) {
        if (!heads[k].ok || heads[k].prev != w->v[i])
            continue;
        end.at = heads[k].prev_end > end.at ? heads[k].prev_end : end.at;
        end.final |= heads[k].begun;
    }
    return end;
}

static int recover_file(struct store *s, uint64_t number, struct wal_end end,
                        struct wal_replay *rep, struct err *err)
{
    char *p;
    size_t n;
    int rc = read_whole(s, number, &p, &n, err);
    if (rc)
        return rc;
    bool ok = header_ok(s, number, p, n), frames = !ok && durable_beyond(s, p, n, number, 0);
    /* the one the manifest begins with was there as a whole before the manifest said so */
    bool begun = number > 1 && number == s->mf.wal_min;
    bool bad = !ok && (end.at > WAL_HEADER || frames || begun);
    if (bad && s->cfg.recovery_strict)
        rc = err_set(err, ERR_CORRUPT, "WAL file %llu has a damaged header",
                     (unsigned long long)number);
    else if (bad)
        rc = note_gap(s, "damaged header of a WAL file", 0, 0, WAL_HEADER, err);
    if (!rc && !ok && begun && !frames) /* nor can its frames be told */
        dig_hole(rep, "damaged write-ahead log", n);
    if (!rc && (ok || bad)) /* else: a file that was being created when the power went */
        rc = replay_file(s, number, p, n, end, rep, err);
    mem_free(p);
    return rc;
}

static bool holds(const struct file_nos *w, uint64_t number)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (w->v[i] == number)
            return true;
    return false;
}

/* The file that the manifest begins with was there before the manifest said so; so was any that the
 * header of a later one speaks of. */
static int check_missing(struct store *s, const struct file_nos *w, uint64_t number, uint64_t bytes,
                         struct wal_replay *rep, struct err *err)
{
    if (number < s->mf.wal_min || holds(w, number))
        return 0;
    if (s->cfg.recovery_strict)
        return err_set(err, ERR_CORRUPT, "WAL file %llu is missing", (unsigned long long)number);
    dig_hole(rep, "missing write-ahead log file", bytes);
    return 0;
}

static uint64_t highest(const struct file_nos *w)
{
    uint64_t max = 0;
    for (uint32_t i = 0; i < w->n; i++)
        max = w->v[i] > max ? w->v[i] : max;
    return max;
}

/* Batch files: what no reference names is left over; new ones are numbered behind all others. */
static void settle_big(struct store *s, const struct file_nos *files, const struct wal_replay *rep)
{
    uint64_t a = highest(files), b = highest(&rep->refs);
    s->active->big_last = a > b ? a : b;
    s->next_big = s->active->big_last + 1;
    big_orphans(s, files, &rep->refs, s->st.corruptions || !s->mf.clean);
}

static int recover_files(struct store *s, const struct file_nos *w, struct wal_replay *rep,
                         struct err *err)
{
    struct wal_head *heads = mem_zarray(w->n + 1, sizeof *heads);
    int rc = heads ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < w->n && !rc; i++)
        if (w->v[i] >= s->mf.wal_min)
            rc = read_head(s, w->v[i], &heads[i], err);
    if (!rc && s->mf.wal_min > 1)
        rc = check_missing(s, w, s->mf.wal_min, 0, rep, err);
    for (uint32_t i = 0; i < w->n && !rc; i++) {
        if (w->v[i] < s->mf.wal_min)
            continue;
        if (heads[i].begun) /* what was written after it knew of the tail before */
            rep->torn_bytes = 0;
        if (heads[i].prev_end > WAL_HEADER)
            rc = check_missing(s, w, heads[i].prev, heads[i].prev_end - WAL_HEADER, rep, err);
        if (!rc)
            rc = recover_file(s, w->v[i], end_of(w, heads, i), rep, err);
        s->active->wal_last = w->v[i];
    }
    mem_free(heads);
    return rc ? rc : fill_last_hole(s, rep, err);
}

/* Already in segments; the last run did not get to remove them. */
static void remove_flushed(struct store *s, const struct file_nos *w)
{
    for (uint32_t i = 0; i < w->n && w->v[i] < s->mf.wal_min; i++)
        wal_unlink(s, w->v[i]);
}

/* Before the newest file with frames, and what was begun after it, is read: what the last run could
 * not sync is synced, since it is shown from now on and must not be lost with the power; and it is
 * read from the disk, because after a sync that failed memory may hold what the disk never will. */
static int settle_tail(struct store *s, const struct file_nos *w, struct err *err)
{
    int rc = 0;
    for (uint32_t i = w->n; i-- > 0 && w->v[i] >= s->mf.wal_min && !rc;) {
        char path[PATH_MAX_STORE];
        struct wal_head head;
        struct io_file *f;
        wal_path(w->v[i], path);
        rc = s->io->ops->open(s->io, &f, path, IO_WRITE, err);
        if (rc)
            return rc;
        rc = f->io->ops->sync(f, err);
        f->io->ops->drop_cache(f);
        io_close(f);
        if (!rc)
            rc = read_head(s, w->v[i], &head, err);
        if (!rc && head.begun)
            break;
    }
    return rc;
}

int wal_recover(struct store *s, struct wal_replay *ret, struct err *err)
{
    struct wal_names names = { 0 };
    struct file_nos *w = &names.wal;
    *ret = (struct wal_replay){ .expect = s->mf.flushed_seq + 1 };
    int rc = s->io->ops->list(s->io, "wal", on_name, &names, err);
    if (!rc && (w->failed || names.big.failed))
        rc = err_nomem(err);
    if (rc == ERR_NOTFOUND && s->cfg.read_only)
        rc = 0;
    if (w->n)
        qsort(w->v, w->n, sizeof *w->v, by_number);
    s->st.wal_files = w->n;
    if (!rc && !s->cfg.read_only)
        rc = settle_tail(s, w, err);
    if (!rc)
        rc = recover_files(s, w, ret, err);
    if (!rc && !s->cfg.read_only)
        remove_flushed(s, w);
    s->wal.prev = ret->last_file;
    s->wal.prev_end = ret->last_end;
    if (w->n)
        s->wal.number = w->v[w->n - 1];
    if (!rc)
        settle_big(s, &names.big, ret);
    mem_free(w->v);
    mem_free(names.big.v);
    mem_free(ret->refs.v);
    ret->refs = (struct file_nos){ 0 };
    return rc;
}
