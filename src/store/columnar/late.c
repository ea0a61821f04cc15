/* late.c: facts that come after an entry was stored (marks), and idempotency keys.
 *
 * Both live in memory and are rebuilt at start from the last STATE file and the WAL frames behind
 * it. A mark takes 64 bytes and its texts (interned); marks are made by people and triage scripts,
 * a small share of what is logged. Idempotency keys are kept 24 hours, at most IDEM_KEYS_MAX of
 * them, the oldest going first. docs/format/state.md has the file.
 *
 * One reader/writer lock guards all. Readers: scans and lookups; writers: the WAL thread. */
#include "store/columnar/impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rd.h"

#define STATE_MAGIC "FLEETST1"
#define STATE_MAX ((size_t)2 << 30)
#define MARK_BY_MAX 1024
#define MARK_NOTE_MAX 4096

struct mark_rec {
    uint64_t seq; /* 0 = free slot: sequence numbers start at 1 */
    ts_ns at;
    str by, note; /* in the arena */
    bool resolved;
};

struct late {
    pthread_rwlock_t lock;
    struct mark_rec *marks; /* open addressing by seq */
    uint32_t cap, n;
    struct arena texts;
    struct smap interned;    /* text -> 1; keys in texts are the slot's key */
    struct idem_entry *idem; /* ring, oldest first */
    uint32_t idem_first, idem_n, idem_cap;
    uint32_t *idem_table; /* index into the ring's storage + 1 */
    uint32_t idem_table_cap;
    bool dirty;
};

int late_new(struct late **ret, struct err *err)
{
    struct late *l = mem_zalloc(sizeof *l);
    if (!l)
        return err_nomem(err);
    pthread_rwlock_init(&l->lock, NULL);
    arena_init(&l->texts, STATE_MAX);
    smap_init(&l->interned, SMAP_BORROW);
    *ret = l;
    return 0;
}

void late_free(struct late *l)
{
    if (!l)
        return;
    pthread_rwlock_destroy(&l->lock);
    arena_deinit(&l->texts);
    smap_deinit(&l->interned);
    mem_free(l->marks);
    mem_free(l->idem);
    mem_free(l->idem_table);
    mem_free(l);
}

/* ---- marks ---- */

static struct mark_rec *mark_slot(struct mark_rec *v, uint32_t cap, uint64_t seq)
{
    uint32_t k = (uint32_t)hash_mix(seq) & (cap - 1);
    while (v[k].seq && v[k].seq != seq)
        k = (k + 1) & (cap - 1);
    return &v[k];
}

static bool marks_grow(struct late *l)
{
    if (l->n * 2 < l->cap)
        return true;
    uint32_t cap = l->cap ? l->cap * 2 : 64;
    struct mark_rec *v = mem_zarray(cap, sizeof *v);
    if (!v)
        return false;
    for (uint32_t i = 0; i < l->cap; i++)
        if (l->marks[i].seq)
            *mark_slot(v, cap, l->marks[i].seq) = l->marks[i];
    mem_free(l->marks);
    l->marks = v;
    l->cap = cap;
    return true;
}

static bool intern(struct late *l, str s, str *ret)
{
    *ret = STR_NULL;
    if (!s.n)
        return true;
    uint64_t *known = smap_get(&l->interned, s);
    if (known) {
        *ret = str_n((const char *)(uintptr_t)*known, s.n);
        return true;
    }
    str copy = arena_dup(&l->texts, s);
    uint64_t *slot = copy.p ? smap_put(&l->interned, copy, NULL) : NULL;
    if (!slot)
        return false;
    *slot = (uint64_t)(uintptr_t)copy.p;
    *ret = copy;
    return true;
}

static int mark_locked(struct late *l, const struct mark *m, bool *ret_changed, struct err *err)
{
    *ret_changed = false;
    if (!m->seq)
        return 0;
    if (!marks_grow(l))
        return err_nomem(err);
    struct mark_rec *r = mark_slot(l->marks, l->cap, m->seq);
    if (r->seq && r->resolved == m->resolved)
        return 0; /* the first one stays */
    struct mark_rec n = { .seq = m->seq, .at = m->at, .resolved = m->resolved };
    if (!intern(l, str_sub(m->by, 0, MARK_BY_MAX), &n.by) ||
        !intern(l, str_sub(m->note, 0, MARK_NOTE_MAX), &n.note))
        return err_nomem(err);
    l->n += r->seq == 0;
    *r = n;
    l->dirty = true;
    *ret_changed = true;
    return 0;
}

int late_mark(struct late *l, const struct mark *m, bool *ret_changed, struct err *err)
{
    pthread_rwlock_wrlock(&l->lock);
    int rc = mark_locked(l, m, ret_changed, err);
    pthread_rwlock_unlock(&l->lock);
    return rc;
}

bool late_get(struct late *l, uint64_t seq, struct mark *ret, struct arena *a)
{
    bool found = false;
    pthread_rwlock_rdlock(&l->lock);
    if (l->cap) {
        const struct mark_rec *r = mark_slot(l->marks, l->cap, seq);
        if (r->seq == seq) {
            *ret = (struct mark){ seq, r->resolved, arena_dup(a, r->by), arena_dup(a, r->note),
                                  r->at };
            found = true;
        }
    }
    pthread_rwlock_unlock(&l->lock);
    return found;
}

uint64_t late_marks(struct late *l)
{
    pthread_rwlock_rdlock(&l->lock);
    uint64_t n = l->n;
    pthread_rwlock_unlock(&l->lock);
    return n;
}

void marks_encode(struct buf *out, const struct mark *m, uint32_t n)
{
    buf_varint(out, n);
    for (uint32_t i = 0; i < n; i++) {
        buf_varint(out, m[i].seq);
        buf_putc(out, m[i].resolved);
        buf_le64(out, (uint64_t)m[i].at);
        buf_lenstr(out, m[i].by);
        buf_lenstr(out, m[i].note);
    }
}

int marks_decode(struct late *l, str payload, uint32_t *ret_changed, struct err *err)
{
    struct rd r = rd_of(payload.p, payload.n);
    uint64_t n = rd_varint(&r);
    int rc = 0;
    *ret_changed = 0;
    pthread_rwlock_wrlock(&l->lock);
    for (uint64_t i = 0; i < n && !rc && rd_ok(&r); i++) {
        struct mark m = { .seq = rd_varint(&r) };
        m.resolved = rd_u8(&r) != 0;
        m.at = (ts_ns)rd_le64(&r);
        m.by = rd_lenstr(&r);
        m.note = rd_lenstr(&r);
        bool changed = false;
        if (rd_ok(&r))
            rc = mark_locked(l, &m, &changed, err);
        *ret_changed += changed;
    }
    pthread_rwlock_unlock(&l->lock);
    if (!rc && !rd_ok(&r))
        rc = err_set(err, ERR_CORRUPT, "mark record is damaged");
    return rc;
}

/* ---- idempotency keys ---- */

static uint32_t idem_find_slot(const struct late *l, const uint8_t key[16])
{
    uint32_t k = (uint32_t)get_le64(key) & (l->idem_table_cap - 1);
    while (l->idem_table[k] && memcmp(l->idem[l->idem_table[k] - 1].key, key, 16) != 0)
        k = (k + 1) & (l->idem_table_cap - 1);
    return k;
}

/* Rebuilds ring and table with room for more, without what is too old. */
static int idem_rebuild(struct late *l, ts_ns now, struct err *err)
{
    uint32_t keep_from = 0;
    while (keep_from < l->idem_n &&
           (l->idem[keep_from].at < now - IDEM_AGE_NS || l->idem_n - keep_from > IDEM_KEYS_MAX / 2))
        keep_from++;
    uint32_t n = l->idem_n - keep_from, cap = n < 512 ? 1024 : n * 2;
    uint32_t table_cap = 2048;
    while (table_cap < cap * 2)
        table_cap *= 2;
    struct idem_entry *v = mem_array(cap, sizeof *v);
    uint32_t *table = mem_zarray(table_cap, sizeof *table);
    if (!v || !table) {
        mem_free(v);
        mem_free(table);
        return err_nomem(err);
    }
    if (n)
        memcpy(v, l->idem + keep_from, n * sizeof *v);
    mem_free(l->idem);
    mem_free(l->idem_table);
    l->idem = v;
    l->idem_n = n;
    l->idem_cap = cap;
    l->idem_table = table;
    l->idem_table_cap = table_cap;
    for (uint32_t i = 0; i < n; i++)
        l->idem_table[idem_find_slot(l, v[i].key)] = i + 1;
    return 0;
}

bool late_idem_find(struct late *l, const uint8_t key[16], ts_ns now, struct idem_entry *ret)
{
    bool found = false;
    pthread_rwlock_rdlock(&l->lock);
    if (l->idem_table_cap) {
        uint32_t i = l->idem_table[idem_find_slot(l, key)];
        if (i && l->idem[i - 1].at >= now - IDEM_AGE_NS) {
            *ret = l->idem[i - 1];
            found = true;
        }
    }
    pthread_rwlock_unlock(&l->lock);
    return found;
}

int late_idem_add(struct late *l, const struct idem_entry *e, struct err *err)
{
    int rc = 0;
    pthread_rwlock_wrlock(&l->lock);
    if (l->idem_n == l->idem_cap)
        rc = idem_rebuild(l, e->at, err);
    if (!rc) {
        uint32_t k = idem_find_slot(l, e->key);
        if (l->idem_table[k]) {
            l->idem[l->idem_table[k] - 1] = *e;
        } else {
            l->idem[l->idem_n] = *e;
            l->idem_table[k] = ++l->idem_n;
        }
        l->dirty = true;
    }
    pthread_rwlock_unlock(&l->lock);
    return rc;
}

/* ---- the STATE file ---- */

bool late_dirty(struct late *l)
{
    pthread_rwlock_rdlock(&l->lock);
    bool d = l->dirty;
    pthread_rwlock_unlock(&l->lock);
    return d;
}

void late_unsaved(struct late *l)
{
    pthread_rwlock_wrlock(&l->lock);
    l->dirty = true;
    pthread_rwlock_unlock(&l->lock);
}

static void state_name(uint64_t number, char out[PATH_MAX_STORE])
{
    snprintf(out, PATH_MAX_STORE, "STATE-%06llu", (unsigned long long)number);
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct mark *)a)->seq, y = ((const struct mark *)b)->seq;
    return (x > y) - (x < y);
}

static int put_marks(struct late *l, struct buf *out, uint64_t min_seq, struct err *err)
{
    struct mark *v = mem_array(l->n + 1, sizeof *v);
    if (!v)
        return err_nomem(err);
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->cap; i++) {
        const struct mark_rec *r = &l->marks[i];
        if (r->seq >= min_seq && r->seq)
            v[n++] = (struct mark){ r->seq, r->resolved, r->by, r->note, r->at };
    }
    qsort(v, n, sizeof *v, by_seq);
    struct buf b;
    buf_init(&b, STATE_MAX);
    marks_encode(&b, v, n);
    buf_lenstr(out, buf_str(&b));
    if (!buf_ok(&b))
        out->bad = b.bad;
    buf_deinit(&b);
    mem_free(v);
    return 0;
}

int late_save(struct late *l, struct store *s, uint64_t number, uint64_t min_seq, struct err *err)
{
    char path[PATH_MAX_STORE];
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_put(&b, STATE_MAGIC, 8);
    pthread_rwlock_wrlock(&l->lock);
    int rc = put_marks(l, &b, min_seq, err);
    ts_ns oldest = s->io->ops->now(s->io) - IDEM_AGE_NS;
    uint32_t from = 0;
    while (from < l->idem_n && l->idem[from].at < oldest)
        from++;
    buf_varint(&b, l->idem_n - from);
    for (uint32_t i = from; i < l->idem_n; i++) {
        const struct idem_entry *e = &l->idem[i];
        buf_put(&b, e->key, 16);
        buf_le64(&b, e->body_hash);
        buf_le64(&b, e->base_seq);
        buf_le32(&b, e->rows);
        buf_le64(&b, (uint64_t)e->at);
    }
    l->dirty = false;
    pthread_rwlock_unlock(&l->lock);
    buf_le32(&b, addr_crc(s, number, 0, b.p, b.n));
    if (!rc && !buf_ok(&b))
        rc = err_nomem(err);
    state_name(number, path);
    if (!rc)
        rc = io_write_file(s->io, path, buf_str(&b), err);
    buf_deinit(&b);
    if (rc)
        late_unsaved(l);
    return rc;
}

int late_load(struct late *l, struct store *s, uint64_t number, struct err *err)
{
    char path[PATH_MAX_STORE], *p;
    size_t n;
    state_name(number, path);
    int rc = io_read_file(s->io, path, STATE_MAX, &p, &n, err);
    if (rc)
        return rc;
    if (n < 12 || memcmp(p, STATE_MAGIC, 8) != 0 ||
        crc_differs(get_le32(p + n - 4), addr_crc(s, number, 0, p, n - 4))) {
        mem_free(p);
        return err_set(err, ERR_CORRUPT, "%s: checksum does not match", path);
    }
    struct rd r = rd_of(p + 8, n - 12);
    uint32_t changed;
    rc = marks_decode(l, rd_lenstr(&r), &changed, err);
    uint64_t keys = rd_varint(&r);
    for (uint64_t i = 0; i < keys && rd_ok(&r) && !rc; i++) {
        struct idem_entry e;
        const uint8_t *k = rd_bytes(&r, 16);
        if (!k)
            break;
        memcpy(e.key, k, 16);
        e.body_hash = rd_le64(&r);
        e.base_seq = rd_le64(&r);
        e.rows = rd_le32(&r);
        e.at = (ts_ns)rd_le64(&r);
        rc = late_idem_add(l, &e, err);
    }
    mem_free(p);
    l->dirty = false;
    return rc;
}

/* ---- marks as columns ---- */

enum { OV_RESOLVED, OV_BY, OV_AT, OV_NOTE, OV__N };
static const enum field ov_fields[OV__N] = { F_RESOLVED, F_RESOLVED_BY, F_RESOLVED_AT, F_NOTE };
static const enum vtype ov_types[OV__N] = { V_BOOL, V_STR, V_I64, V_STR };

struct overlay {
    struct block b;
    struct block *inner;
    struct colv cols[OV__N];
};

static int overlay_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct overlay *o = (struct overlay *)b;
    if (c >= o->inner->ncols) {
        *ret = o->cols[c - o->inner->ncols];
        return 0;
    }
    const struct colv *v;
    int rc = block_load(o->inner, c, &v, err);
    if (!rc)
        *ret = *v;
    return rc;
}

static void overlay_close(struct block *b)
{
    block_close(((struct overlay *)b)->inner);
}

static int overlay_value(struct block *b, uint32_t c, uint32_t row, struct val *ret,
                         struct err *err)
{
    struct overlay *o = (struct overlay *)b;
    if (c < o->inner->ncols)
        return block_value(o->inner, c, row, ret, err);
    *ret = colv_val(&o->cols[c - o->inner->ncols], row);
    return 0;
}

static int overlay_load_rows(struct block *b, uint32_t c, const uint64_t *sel,
                             const struct colv **ret, struct err *err)
{
    struct overlay *o = (struct overlay *)b;
    return c < o->inner->ncols ? block_load_rows(o->inner, c, sel, ret, err)
                               : block_load(b, c, ret, err);
}

static const struct block_ops overlay_ops = { overlay_load, overlay_close, overlay_value,
                                              overlay_load_rows };

static int overlay_text(struct arena *a, struct colv *c, const struct mark *m, bool note,
                        struct err *err)
{
    uint32_t *off = arena_array(a, c->n + 1, sizeof *off);
    size_t total = 0;
    for (uint32_t i = 0; i < c->n; i++)
        total += bit_get(c->present, i) ? (note ? m[i].note.n : m[i].by.n) : 0;
    char *bytes = arena_alloc(a, total + 1);
    if (!off || !bytes)
        return err_nomem(err);
    size_t at = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        off[i] = (uint32_t)at;
        str s = bit_get(c->present, i) ? (note ? m[i].note : m[i].by) : STR_NULL;
        if (s.n)
            memcpy(bytes + at, s.p, s.n);
        at += s.n;
    }
    off[c->n] = (uint32_t)at;
    c->off = off;
    c->bytes = bytes;
    return 0;
}

/* The marks of the block's rows; *ret_n = how many rows have one. */
static int collect(struct late *l, struct block *b, struct mark **ret, uint64_t **ret_present,
                   uint32_t *ret_n, struct err *err)
{
    const struct colv *seq = NULL;
    *ret_n = 0;
    for (uint32_t c = 0; c < b->ncols && !seq; c++) {
        int rc = str_eq(b->cols[c].key, STR("seq")) ? block_load(b, c, &seq, err) : 0;
        if (rc)
            return rc;
    }
    if (!seq)
        return err_set(err, ERR_CORRUPT, "a block without sequence numbers");
    int rc = 0;
    struct mark *m = NULL;
    uint64_t *present = NULL;
    pthread_rwlock_rdlock(&l->lock);
    for (uint32_t i = 0; i < b->n && l->n && !rc; i++) {
        const struct mark_rec *r = mark_slot(l->marks, l->cap, (uint64_t)seq->i64[i]);
        if (!r->seq)
            continue;
        if (!m) {
            m = arena_zalloc(b->arena, b->n * sizeof *m);
            present = arena_zalloc(b->arena, BITS_WORDS(b->n) * 8);
        }
        if (!m || !present) {
            rc = err_nomem(err);
            break;
        }
        m[i] = (struct mark){ r->seq, r->resolved, r->by, r->note, r->at };
        bit_set(present, i);
        ++*ret_n;
    }
    pthread_rwlock_unlock(&l->lock);
    *ret = m;
    *ret_present = present;
    return rc;
}

static int fill(struct overlay *o, const struct mark *m, const uint64_t *present, uint32_t nmarks,
                struct err *err)
{
    uint32_t n = o->b.n;
    uint8_t *resolved = arena_zalloc(o->b.arena, n);
    int64_t *at = arena_zalloc(o->b.arena, n * sizeof *at);
    if (!resolved || !at)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        resolved[i] = m[i].resolved;
        at[i] = m[i].at;
    }
    for (int k = 0; k < OV__N; k++)
        o->cols[k] = (struct colv){ .key = field_table[ov_fields[k]].name,
                                    .type = ov_types[k],
                                    .n = n,
                                    .nvals = nmarks,
                                    .present = present };
    o->cols[OV_RESOLVED].b8 = resolved;
    o->cols[OV_AT].i64 = at;
    int rc = overlay_text(o->b.arena, &o->cols[OV_BY], m, false, err);
    return rc ? rc : overlay_text(o->b.arena, &o->cols[OV_NOTE], m, true, err);
}

int overlay_marks(struct late *l, struct block *b, struct block **ret, struct err *err)
{
    struct mark *m;
    uint64_t *present;
    uint32_t nmarks;
    int rc = collect(l, b, &m, &present, &nmarks, err);
    *ret = b;
    if (rc || !nmarks)
        return rc;
    struct overlay *o = arena_zalloc(b->arena, sizeof *o);
    uint32_t ncols = b->ncols + OV__N;
    struct colinfo *info = arena_array(b->arena, ncols, sizeof *info);
    const struct colv **loaded = arena_zalloc(b->arena, ncols * sizeof *loaded);
    if (!o || !info || !loaded)
        return err_nomem(err);
    memcpy(info, b->cols, b->ncols * sizeof *info);
    o->b = *b;
    o->inner = b;
    o->b.ncols = ncols;
    o->b.cols = info;
    o->b.loaded = loaded;
    o->b.ops = &overlay_ops;
    rc = fill(o, m, present, nmarks, err);
    for (int k = 0; k < OV__N; k++)
        info[b->ncols + (uint32_t)k] =
            (struct colinfo){ o->cols[k].key, field_dotted_hash(o->cols[k].key), o->cols[k].type,
                              nmarks };
    if (!rc)
        *ret = &o->b;
    return rc;
}
