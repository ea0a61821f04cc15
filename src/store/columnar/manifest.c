/* manifest.c: which segments exist: an edit log with checksums. Format: docs/format/manifest.md.
 *
 *   CURRENT          the number of the manifest in force, as text
 *   MANIFEST-<n>     records: length:u32 crc:u32 payload; the first one is a snapshot
 *   payload          tagged values: tag:u8 lenstr ...
 *
 * An edit is one record, so it is there as a whole or not at all. A damaged last record is an edit
 * that was never acknowledged and is cut off by the next one. When the log has grown, a new
 * manifest is begun with a snapshot, synced, and CURRENT is switched by rename. The manifest is the
 * only truth: files it does not name are not read. */
#include "store/columnar/impl.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rd.h"

#define MANIFEST_MAX (256u << 20)
#define MANIFEST_ROLL (1u << 20)
#define GAPS_MAX 4096

enum tag {
    TAG_ADD = 1,
    TAG_REMOVE = 2,
    TAG_FLUSHED = 3,
    TAG_WAL_MIN = 4,
    TAG_NEXT_ID = 5,
    TAG_NEXT_SEQ = 6,
    TAG_GAP = 7,
    TAG_STATE = 8,
    TAG_DELETED = 9,
    TAG_SCRUB = 10,
    TAG_CRITICAL = 128, /* unknown tags from here on: refuse */
    TAG_DEAD = 129,
    TAG_CLASS = 130 /* who does not know it would drop entries too early */
};

static void manifest_name(uint64_t number, char out[PATH_MAX_STORE])
{
    snprintf(out, PATH_MAX_STORE, "MANIFEST-%06llu", (unsigned long long)number);
}

/* ---- encoding ---- */

static void put_tag_u64(struct buf *b, enum tag tag, uint64_t v)
{
    char le[8];
    put_le64(le, v);
    buf_putc(b, (char)tag);
    buf_lenstr(b, str_n(le, 8));
}

static void put_seg(struct buf *out, const struct seg_meta *m)
{
    struct buf b;
    buf_init(&b, 512);
    buf_le64(&b, m->id);
    buf_le64(&b, (uint64_t)m->day);
    buf_le32(&b, m->cls);
    buf_le64(&b, m->rows);
    buf_le64(&b, m->bytes);
    buf_le64(&b, (uint64_t)m->t_min);
    buf_le64(&b, (uint64_t)m->t_max);
    buf_le64(&b, (uint64_t)m->recv_min);
    buf_le64(&b, (uint64_t)m->recv_max);
    buf_le64(&b, m->seq_min);
    buf_le64(&b, m->seq_max);
    buf_le32(&b, m->level_mask);
    buf_le32(&b, m->nblocks);
    buf_le32(&b, m->pass);
    if (!buf_ok(&b))
        out->bad = b.bad;
    buf_putc(out, TAG_ADD);
    buf_lenstr(out, buf_str(&b));
    buf_deinit(&b);
}

static bool get_seg(str v, struct seg_meta *m)
{
    struct rd r = rd_of(v.p, v.n);
    m->id = rd_le64(&r);
    m->day = (int64_t)rd_le64(&r);
    m->cls = rd_le32(&r);
    m->rows = rd_le64(&r);
    m->bytes = rd_le64(&r);
    m->t_min = (ts_ns)rd_le64(&r);
    m->t_max = (ts_ns)rd_le64(&r);
    m->recv_min = (ts_ns)rd_le64(&r);
    m->recv_max = (ts_ns)rd_le64(&r);
    m->seq_min = rd_le64(&r);
    m->seq_max = rd_le64(&r);
    m->level_mask = rd_le32(&r);
    m->nblocks = rd_le32(&r);
    m->pass = rd_left(&r) ? rd_le32(&r) : PASS_FLUSHED; /* older versions end before it */
    return rd_ok(&r);
}

static void put_dead(struct buf *out, const struct seg_meta *m)
{
    char v[32];
    put_le64(v, m->id);
    put_le64(v + 8, m->dead);
    put_le64(v + 16, m->dead_rows);
    put_le64(v + 24, (uint64_t)m->dead_at);
    buf_putc(out, (char)TAG_DEAD);
    buf_lenstr(out, str_n(v, sizeof v));
}

static int set_dead(struct manifest *m, str v, struct err *err)
{
    if (v.n < 32)
        return err_set(err, ERR_CORRUPT, "bad entry of a list of deleted rows");
    for (uint32_t i = 0; i < m->nsegs; i++)
        if (m->segs[i].id == get_le64(v.p)) {
            m->segs[i].dead = get_le64(v.p + 8);
            m->segs[i].dead_rows = get_le64(v.p + 16);
            m->segs[i].dead_at = (ts_ns)get_le64(v.p + 24);
            return 0;
        }
    return err_set(err, ERR_CORRUPT, "a list of deleted rows without its segment");
}

static void put_gap(struct buf *out, const struct store_gap *g)
{
    char v[96] = { 0 };
    put_le64(v, g->first_seq);
    put_le64(v + 8, g->last_seq);
    put_le64(v + 16, g->bytes);
    put_le64(v + 24, (uint64_t)g->at);
    memcpy(v + 32, g->reason, sizeof g->reason);
    buf_putc(out, TAG_GAP);
    buf_lenstr(out, str_n(v, sizeof v));
}

static void put_class(struct buf *out, const struct store_class *c)
{
    char v[12 + RETENTION_NAME_MAX];
    size_t n = strlen(c->name);
    put_le32(v, c->number);
    put_le64(v + 4, (uint64_t)c->keep_ns);
    memcpy(v + 12, c->name, n);
    buf_putc(out, (char)TAG_CLASS);
    buf_lenstr(out, str_n(v, 12 + n));
}

static int set_class(struct manifest *m, str v, struct err *err)
{
    uint32_t number = v.n > 12 ? get_le32(v.p) : 0;
    if (!number || number >= CLASSES_MAX || !retention_name_ok(str_skip(v, 12)))
        return err_set(err, ERR_CORRUPT, "bad retention class");
    struct store_class *c = &m->classes[number];
    *c = (struct store_class){ .number = number, .keep_ns = (int64_t)get_le64(v.p + 4) };
    memcpy(c->name, v.p + 12, v.n - 12);
    return c->keep_ns < 0 ? err_set(err, ERR_CORRUPT, "bad age of a retention class") : 0;
}

static void put_scrub(struct buf *out, const struct store_scrub *c)
{
    char v[72];
    put_le64(v, c->running);
    put_le64(v + 8, (uint64_t)c->started);
    put_le64(v + 16, c->after);
    put_le64(v + 24, c->end);
    put_le64(v + 32, c->bytes);
    put_le64(v + 40, c->problems);
    put_le64(v + 48, (uint64_t)c->finished);
    put_le64(v + 56, c->last_bytes);
    put_le64(v + 64, c->last_problems);
    buf_putc(out, TAG_SCRUB);
    buf_lenstr(out, str_n(v, sizeof v));
}

static int set_scrub(struct manifest *m, str v, struct err *err)
{
    if (v.n < 72)
        return err_set(err, ERR_CORRUPT, "bad note of what was read again");
    m->scrub = (struct store_scrub){ .running = get_le64(v.p) != 0,
                                     .started = (ts_ns)get_le64(v.p + 8),
                                     .after = get_le64(v.p + 16),
                                     .end = get_le64(v.p + 24),
                                     .bytes = get_le64(v.p + 32),
                                     .problems = get_le64(v.p + 40),
                                     .finished = (ts_ns)get_le64(v.p + 48),
                                     .last_bytes = get_le64(v.p + 56),
                                     .last_problems = get_le64(v.p + 64) };
    return 0;
}

static void put_counters(struct buf *b, const struct manifest *m)
{
    put_tag_u64(b, TAG_FLUSHED, m->flushed_seq);
    put_tag_u64(b, TAG_WAL_MIN, m->wal_min);
    put_tag_u64(b, TAG_NEXT_ID, m->next_id);
    put_tag_u64(b, TAG_NEXT_SEQ, m->next_seq);
    put_tag_u64(b, TAG_STATE, m->state_file);
    put_tag_u64(b, TAG_DELETED, m->deleted_rows);
}

/* ---- applying ---- */

/* Room for more segments and gaps, so that applying an edit already on disk cannot fail. */
static int reserve(struct manifest *m, uint32_t segs, struct err *err)
{
    if (m->cap_segs - m->nsegs < segs) {
        uint32_t cap = (m->cap_segs + segs) * 2;
        struct seg_meta *v = mem_realloc(m->segs, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        m->segs = v;
        m->cap_segs = cap;
    }
    if (m->ngaps == m->cap_gaps) {
        uint32_t cap = m->cap_gaps + 16;
        struct store_gap *v = mem_realloc(m->gaps, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        m->gaps = v;
        m->cap_gaps = cap;
    }
    return 0;
}

static int add_seg(struct manifest *m, const struct seg_meta *seg, struct err *err)
{
    int rc = reserve(m, 1, err);
    if (rc)
        return rc;
    uint32_t i = m->nsegs++;
    for (; i > 0 && m->segs[i - 1].seq_min > seg->seq_min; i--)
        m->segs[i] = m->segs[i - 1];
    m->segs[i] = *seg;
    return 0;
}

static void remove_seg(struct manifest *m, uint64_t id)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < m->nsegs; i++)
        if (m->segs[i].id != id)
            m->segs[k++] = m->segs[i];
    m->nsegs = k;
}

static int add_gap(struct manifest *m, const struct store_gap *g, struct err *err)
{
    if (m->ngaps >= GAPS_MAX) { /* the oldest goes; the count of corruptions stays in status */
        memmove(m->gaps, m->gaps + 1, (m->ngaps - 1) * sizeof *m->gaps);
        m->gaps[m->ngaps - 1] = *g;
        return 0;
    }
    int rc = reserve(m, 0, err);
    if (!rc)
        m->gaps[m->ngaps++] = *g;
    return rc;
}

static int apply_tag(struct manifest *m, uint8_t tag, str v, struct err *err)
{
    struct seg_meta seg = { 0 };
    struct store_gap gap = { 0 };
    uint64_t x = v.n >= 8 ? get_le64(v.p) : 0;
    switch (tag) {
    case TAG_ADD:
        return get_seg(v, &seg) ? add_seg(m, &seg, err)
                                : err_set(err, ERR_CORRUPT, "bad segment entry");
    case TAG_REMOVE: remove_seg(m, x); return 0;
    case TAG_FLUSHED: m->flushed_seq = x; return 0;
    case TAG_WAL_MIN: m->wal_min = x; return 0;
    case TAG_NEXT_ID: m->next_id = x > m->next_id ? x : m->next_id; return 0;
    case TAG_NEXT_SEQ: m->next_seq = x > m->next_seq ? x : m->next_seq; return 0;
    case TAG_STATE: m->state_file = x; return 0;
    case TAG_DELETED: m->deleted_rows = x; return 0;
    case TAG_DEAD: return set_dead(m, v, err);
    case TAG_CLASS: return set_class(m, v, err);
    case TAG_SCRUB: return set_scrub(m, v, err);
    case TAG_GAP:
        if (v.n < 96)
            return err_set(err, ERR_CORRUPT, "bad gap record");
        gap.first_seq = get_le64(v.p);
        gap.last_seq = get_le64(v.p + 8);
        gap.bytes = get_le64(v.p + 16);
        gap.at = (ts_ns)get_le64(v.p + 24);
        memcpy(gap.reason, v.p + 32, sizeof gap.reason - 1);
        return add_gap(m, &gap, err);
    default:
        return tag >= TAG_CRITICAL
                   ? err_set(err, ERR_UNSUPPORTED,
                             "the manifest was written by a newer version (tag %u)", tag)
                   : 0;
    }
}

static int apply_record(struct manifest *m, str payload, struct err *err)
{
    struct rd r = rd_of(payload.p, payload.n);
    while (rd_left(&r) && rd_ok(&r)) {
        uint8_t tag = rd_u8(&r);
        str v = rd_lenstr(&r);
        int rc = rd_ok(&r) ? apply_tag(m, tag, v, err) : err_set(err, ERR_CORRUPT, "bad record");
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- files ---- */

static uint32_t record_crc(const struct store *s, uint64_t number, uint64_t at, str payload)
{
    return addr_crc(s, number, at, payload.p, payload.n);
}

static int write_record(struct store *s, struct io_file *f, uint64_t number, uint64_t *size,
                        str payload, struct err *err)
{
    struct buf b;
    buf_init(&b, MANIFEST_MAX);
    buf_le32(&b, (uint32_t)payload.n);
    buf_le32(&b, record_crc(s, number, *size, payload));
    buf_putstr(&b, payload);
    int rc = buf_ok(&b) ? f->io->ops->pwrite(f, b.p, b.n, *size, err) : err_nomem(err);
    if (!rc)
        rc = f->io->ops->sync(f, err);
    if (!rc)
        *size += b.n;
    buf_deinit(&b);
    return rc;
}

/* Begins manifest `number` with a snapshot of s->mf and makes it the current one. */
static int begin(struct store *s, uint64_t number, struct err *err)
{
    char path[PATH_MAX_STORE], text[32];
    struct io_file *f;
    struct manifest *m = &s->mf;
    manifest_name(number, path);
    int rc = s->io->ops->open(s->io, &f, path, IO_WRITE | IO_CREATE, err);
    if (rc)
        return rc;
    struct buf b;
    buf_init(&b, MANIFEST_MAX);
    put_counters(&b, m);
    for (uint32_t i = 0; i < m->nsegs; i++)
        put_seg(&b, &m->segs[i]);
    for (uint32_t i = 0; i < m->nsegs; i++)
        if (m->segs[i].dead)
            put_dead(&b, &m->segs[i]);
    for (uint32_t i = 0; i < m->ngaps; i++)
        put_gap(&b, &m->gaps[i]);
    for (uint32_t i = 1; i < CLASSES_MAX; i++)
        if (m->classes[i].name[0])
            put_class(&b, &m->classes[i]);
    if (m->scrub.started)
        put_scrub(&b, &m->scrub);
    uint64_t size = 0;
    rc = buf_ok(&b) ? f->io->ops->truncate(f, 0, err) : err_nomem(err);
    if (!rc)
        rc = write_record(s, f, number, &size, buf_str(&b), err);
    buf_deinit(&b);
    if (!rc)
        rc = s->io->ops->sync_dir(s->io, ".", err);
    if (!rc) {
        snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
        rc = io_write_file(s->io, "CURRENT", str_c(text), err);
    }
    if (rc) {
        io_close(f);
        return rc;
    }
    uint64_t old = m->number;
    io_close(m->f);
    m->f = f;
    m->number = number;
    m->size = size;
    m->doubtful = false;
    if (old && old != number) {
        struct err e = ERR_INIT;
        manifest_name(old, path);
        s->io->ops->unlink(s->io, path, &e); /* harmless when it stays */
    }
    return 0;
}

int manifest_create(struct store *s, struct err *err)
{
    s->mf = (struct manifest){ .next_id = 1, .next_seq = 1, .wal_min = 1, .clean = true };
    return begin(s, 1, err);
}

static void count_name(void *arg, const char *name, bool is_dir)
{
    (void)name, (void)is_dir;
    ++*(uint32_t *)arg;
}

int manifest_is_new(struct store *s, bool *ret, struct err *err)
{
    static const char *const dirs[] = { "wal", "p" };
    struct io_file *f;
    struct err e = ERR_INIT;
    uint32_t n = 0;
    int rc = s->io->ops->open(s->io, &f, "CURRENT", IO_READ, &e);
    *ret = rc == ERR_NOTFOUND; /* one that cannot be opened may well be there */
    if (rc == 0)
        io_close(f);
    for (uint32_t i = 0; i < 2 && *ret && (rc == 0 || rc == ERR_NOTFOUND); i++)
        rc = s->io->ops->list(s->io, dirs[i], count_name, &n, &e);
    if (rc && rc != ERR_NOTFOUND)
        *err = e;
    else
        rc = 0;
    return rc || !n
               ? rc
               : err_set(err, ERR_CORRUPT, "CURRENT is missing, but there are files of a store");
}

static int replay(struct store *s, const char *p, size_t n, struct err *err)
{
    struct manifest *m = &s->mf;
    uint64_t at = 0;
    while (at + 8 <= n) {
        uint32_t len = get_le32(p + at), crc = get_le32(p + at + 4);
        if (len > n - at - 8)
            break;
        str payload = { p + at + 8, len };
        if (!len || crc_differs(crc, record_crc(s, m->number, at, payload)))
            break;
        int rc = apply_record(m, payload, err);
        if (rc)
            return rc;
        m->records++;
        at += 8 + len;
    }
    m->size = at;
    m->clean = at == n;
    if (!m->records)
        return err_set(err, ERR_CORRUPT, "MANIFEST-%06llu holds no valid snapshot",
                       (unsigned long long)m->number);
    return 0;
}

static void count_gaps(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    s->st.gaps = s->mf.ngaps;
    pthread_mutex_unlock(&s->lock);
}

/* What an earlier run could not sync may be in the system's memory alone: it is synced before it is
 * relied on, and read from the disk, because after a sync that failed memory may hold what the disk
 * never will. */
static int settle(struct store *s, const char *path, struct err *err)
{
    int rc = s->io->ops->open(s->io, &s->mf.f, path, IO_WRITE, err);
    if (!rc)
        rc = s->mf.f->io->ops->sync(s->mf.f, err);
    if (!rc)
        s->mf.f->io->ops->drop_cache(s->mf.f);
    return rc;
}

int manifest_load(struct store *s, struct err *err)
{
    char *p, path[PATH_MAX_STORE];
    size_t n;
    uint64_t number;
    int rc = s->cfg.read_only ? 0 : s->io->ops->sync_dir(s->io, ".", err);
    if (!rc)
        rc = io_read_file(s->io, "CURRENT", 64, &p, &n, err);
    if (rc)
        return rc;
    bool ok = str_to_u64(str_trim(str_n(p, n)), &number);
    mem_free(p);
    if (!ok)
        return err_set(err, ERR_CORRUPT, "CURRENT does not name a manifest");
    s->mf = (struct manifest){ .number = number, .next_id = 1, .next_seq = 1, .wal_min = 1 };
    manifest_name(number, path);
    rc = s->cfg.read_only ? 0 : settle(s, path, err);
    if (!rc)
        rc = io_read_file(s->io, path, MANIFEST_MAX, &p, &n, err);
    if (rc)
        return rc;
    rc = replay(s, p, n, err);
    mem_free(p);
    count_gaps(s);
    return rc;
}

/* After a failed write or sync nobody knows whether the record is on disk: the next edit begins a
 * new manifest without it, and until then nothing may be undone that the record, if it is there,
 * relies on. */
int manifest_edit(struct store *s, const struct edit *e, bool *ret_doubtful, struct err *err)
{
    struct manifest *m = &s->mf;
    *ret_doubtful = false;
    struct buf b;
    buf_init(&b, MANIFEST_MAX);
    for (uint32_t i = 0; i < e->nremove; i++)
        put_tag_u64(&b, TAG_REMOVE, e->remove[i]);
    for (uint32_t i = 0; i < e->nadd; i++)
        put_seg(&b, &e->add[i]);
    for (uint32_t i = 0; i < e->ndead; i++)
        put_dead(&b, &e->dead[i]);
    if (e->flushed_seq)
        put_tag_u64(&b, TAG_FLUSHED, e->flushed_seq);
    if (e->wal_min)
        put_tag_u64(&b, TAG_WAL_MIN, e->wal_min);
    if (e->state_file)
        put_tag_u64(&b, TAG_STATE, e->state_file);
    if (e->next_seq)
        put_tag_u64(&b, TAG_NEXT_SEQ, e->next_seq);
    if (e->deleted_rows)
        put_tag_u64(&b, TAG_DELETED, m->deleted_rows + e->deleted_rows);
    if (e->gap)
        put_gap(&b, e->gap);
    for (uint32_t i = 0; i < e->nclasses; i++)
        put_class(&b, &e->classes[i]);
    if (e->scrub)
        put_scrub(&b, e->scrub);
    put_tag_u64(&b, TAG_NEXT_ID, m->next_id);
    int rc = buf_ok(&b) ? reserve(m, e->nadd, err) : err_nomem(err);
    if (!rc && m->doubtful)
        rc = begin(s, m->number + 1, err);
    if (!rc) {
        rc = write_record(s, m->f, m->number, &m->size, buf_str(&b), err);
        m->doubtful = rc != 0;
        *ret_doubtful = rc != 0;
    }
    if (!rc)
        rc = apply_record(m, buf_str(&b), err);
    buf_deinit(&b);
    if (!rc) {
        m->records++;
        count_gaps(s);
    }
    if (!rc && m->size > MANIFEST_ROLL) {
        struct err e2 = ERR_INIT;
        if (begin(s, m->number + 1, &e2))
            store_event(s, LOG_WARN, "manifest: cannot begin a new one: %s", e2.msg);
    }
    return rc;
}

int manifest_note(struct store *s, const struct edit *e, struct err *err)
{
    bool doubtful;
    return manifest_edit(s, e, &doubtful, err);
}

void manifest_close(struct store *s)
{
    io_close(s->mf.f);
    mem_free(s->mf.segs);
    mem_free(s->mf.gaps);
    s->mf = (struct manifest){ 0 };
}
