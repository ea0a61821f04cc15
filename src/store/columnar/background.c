/* background.c: everything that happens behind the writer's back: flush, joining small chunks,
 * merging, retention. One thread; every step takes mlock, publishes through the manifest, then
 * swaps the version.
 *
 * Order of publication (each step synced before the next): segment files, their directory, the
 * manifest record, and only then WAL files are removed. Order of deletion: manifest first, then the
 * file. */
#include "store/columnar/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"

#define GROUP_ROWS 32768            /* rows sorted by time; clustered inside */
#define BLOCK_TEXT_BYTES (8u << 20) /* approximate text of a block */
#define MERGE_MIN_SEGMENTS 8        /* neighbours of like size that make a merge worthwhile */
#define MERGE_ROWS_MAX (4u << 20)   /* rows of a merged segment */
#define MERGE_COPY_ROWS 4096        /* blocks at least this full are copied as they are */
#define ZSTD_FLUSH 1
#define ZSTD_MERGE 3
#define IDLE_S 30
#define TELL_NS NS_PER_S /* until the log says that its last group was durable */

/* ---- rows -> segments ---- */

struct keyed_row {
    ts_ns t;
    uint64_t seq;
    uint32_t agent, session; /* numbers in order of first appearance */
    uint32_t block, row;
    int32_t day;
};

struct row_set {
    struct keyed_row *v;
    uint64_t n;
    struct block *const *blocks;
    uint32_t nblocks;
    uint64_t *weight; /* per block: average text bytes of a row */
};

static const struct colv *find_col(struct block *b, enum field f, enum vtype t, int *rc,
                                   struct err *err)
{
    const struct colv *c = NULL;
    for (uint32_t i = 0; i < b->ncols && !c && !*rc; i++)
        if (b->cols[i].type == t && str_eq(b->cols[i].key, field_table[f].name))
            *rc = block_load(b, i, &c, err);
    return *rc ? NULL : c;
}

static uint32_t number_of(struct smap *m, const struct colv *c, uint32_t row, int *rc,
                          struct err *err)
{
    if (!c || !colv_has(c, row))
        return 0;
    str s = colv_text(c, row);
    bool is_new;
    uint64_t *v = smap_put(m, s.p ? s : STR(""), &is_new);
    if (!v) {
        *rc = err_nomem(err);
        return 0;
    }
    if (is_new)
        *v = m->n;
    return (uint32_t)*v;
}

static int key_rows(struct row_set *rs, struct smap *agents, struct smap *sessions, struct err *err)
{
    int rc = 0;
    uint64_t k = 0;
    for (uint32_t bi = 0; bi < rs->nblocks && !rc; bi++) {
        struct block *b = rs->blocks[bi];
        const struct colv *time = find_col(b, F_TIMESTAMP, V_I64, &rc, err);
        const struct colv *seq = find_col(b, F_SEQ, V_I64, &rc, err);
        const struct colv *recv = find_col(b, F_RECEIVED_AT, V_I64, &rc, err);
        const struct colv *agent = find_col(b, F_AGENT, V_STR, &rc, err);
        const struct colv *session = find_col(b, F_SESSION_ID, V_STR, &rc, err);
        const struct colv *trace = find_col(b, F_TRACE_ID, V_STR, &rc, err);
        if (!rc && (!time || !seq || !recv))
            rc = err_set(err, ERR_CORRUPT, "rows without timestamp, seq or received_at");
        for (uint32_t r = 0; r < b->n && !rc; r++) {
            const struct colv *s = session && colv_has(session, r) ? session : trace;
            rs->v[k++] = (struct keyed_row){ .t = time->i64[r],
                                             .seq = (uint64_t)seq->i64[r],
                                             .agent = number_of(agents, agent, r, &rc, err),
                                             .session = number_of(sessions, s, r, &rc, err),
                                             .block = bi,
                                             .row = r,
                                             .day = (int32_t)day_of(recv->i64[r]) };
        }
    }
    return rc;
}

#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

static int by_day_time(const void *pa, const void *pb)
{
    const struct keyed_row *a = pa, *b = pb;
    int c = CMP(a->day, b->day);
    c = c ? c : CMP(a->t, b->t);
    return c ? c : CMP(a->seq, b->seq);
}

static int by_cluster(const void *pa, const void *pb)
{
    const struct keyed_row *a = pa, *b = pb;
    int c = CMP(a->agent, b->agent);
    c = c ? c : CMP(a->session, b->session);
    c = c ? c : CMP(a->t, b->t);
    return c ? c : CMP(a->seq, b->seq);
}

static bool in_order(const struct keyed_row *v, uint64_t n)
{
    for (uint64_t i = 1; i < n; i++)
        if (by_day_time(&v[i - 1], &v[i]) > 0)
            return false;
    return true;
}

/* Average bytes of a row's texts, so that blocks of huge rows hold fewer. */
static uint64_t row_weight(struct block *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->ncols; i++) {
        const struct colv *c = b->loaded[i];
        if (c && b->cols[i].type >= V_STR)
            sum += c->off[c->codes ? c->ndict : c->n];
    }
    return sum / b->n;
}

static int write_group_blocks(struct seg_writer *w, const struct row_set *rs,
                              const struct keyed_row *v, uint32_t n, struct rowref *refs,
                              struct err *err)
{
    int rc = 0;
    for (uint32_t from = 0; from < n && !rc;) {
        uint32_t k = 0;
        uint64_t bytes = 0;
        for (; from + k < n && k < BLOCK_ROWS_MAX && (k == 0 || bytes < BLOCK_TEXT_BYTES); k++) {
            const struct keyed_row *r = &v[from + k];
            refs[k] = (struct rowref){ rs->blocks[r->block], r->block, r->row };
            bytes += rs->weight[r->block];
        }
        rc = seg_writer_add(w, refs, k, rs->blocks, rs->nblocks, err);
        from += k;
    }
    return rc;
}

static int push_meta(struct seg_meta **metas, uint32_t *n, const struct seg_meta *m,
                     struct err *err)
{
    struct seg_meta *v = mem_realloc(*metas, (*n + 1) * sizeof *v);
    if (!v)
        return err_nomem(err);
    *metas = v;
    v[(*n)++] = *m;
    return 0;
}

static int write_day(struct store *s, const struct row_set *rs, struct keyed_row *v, uint64_t n,
                     int level, struct seg_meta **metas, uint32_t *nmetas, struct err *err)
{
    struct seg_writer *w = NULL;
    struct rowref *refs = mem_array(BLOCK_ROWS_MAX, sizeof *refs);
    int rc = refs ? seg_writer_new(&w, s, v[0].day, level, err) : err_nomem(err);
    for (uint64_t from = 0; from < n && !rc; from += GROUP_ROWS) {
        uint32_t k = n - from < GROUP_ROWS ? (uint32_t)(n - from) : GROUP_ROWS;
        qsort(v + from, k, sizeof *v, by_cluster);
        rc = write_group_blocks(w, rs, v + from, k, refs, err);
    }
    struct seg_meta m;
    if (!rc)
        rc = seg_writer_finish(w, &m, err);
    if (!rc)
        rc = push_meta(metas, nmetas, &m, err);
    seg_writer_free(w);
    mem_free(refs);
    return rc;
}

int write_rows(struct store *s, struct block *const *blocks, uint32_t nblocks, int zstd_level,
               struct seg_meta **metas, uint32_t *nmetas, struct err *err)
{
    struct row_set rs = { .blocks = blocks, .nblocks = nblocks };
    for (uint32_t i = 0; i < nblocks; i++)
        rs.n += blocks[i]->n;
    if (!rs.n)
        return 0;
    rs.v = mem_array(rs.n, sizeof *rs.v);
    rs.weight = mem_zarray(nblocks, sizeof *rs.weight);
    struct smap agents, sessions;
    smap_init(&agents, SMAP_BORROW);
    smap_init(&sessions, SMAP_BORROW);
    int rc = rs.v && rs.weight ? key_rows(&rs, &agents, &sessions, err) : err_nomem(err);
    for (uint32_t i = 0; i < nblocks && !rc; i++) {
        struct block *b = blocks[i];
        for (uint32_t c = 0; c < b->ncols && !rc; c++) {
            const struct colv *v;
            rc = block_load(b, c, &v, err);
        }
        rs.weight[i] = rc ? 0 : row_weight(b);
    }
    if (!rc && !in_order(rs.v, rs.n))
        qsort(rs.v, rs.n, sizeof *rs.v, by_day_time);
    for (uint64_t from = 0; from < rs.n && !rc;) {
        uint64_t k = 1;
        while (from + k < rs.n && rs.v[from + k].day == rs.v[from].day)
            k++;
        rc = write_day(s, &rs, rs.v + from, k, zstd_level, metas, nmetas, err);
        from += k;
    }
    smap_deinit(&agents);
    smap_deinit(&sessions);
    mem_free(rs.v);
    mem_free(rs.weight);
    return rc;
}

/* ---- publishing ---- */

static void drop_files(struct store *s, const struct seg_meta *metas, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char path[PATH_MAX_STORE];
        struct err e = ERR_INIT;
        seg_path(&metas[i], path);
        s->io->ops->unlink(s->io, path, &e);
    }
}

static bool listed(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Manifest edit, then the same change to the version readers get; on failure the added files are
 * gone, or left for the next start to judge where the edit may be on disk. With drop_frozen the
 * frozen memtable goes in the same step, so that its rows are never seen twice or not at all. */
int version_install(struct store *s, const struct edit *e, bool drop_frozen, struct err *err)
{
    struct version *old = s->version; /* only mlock holders replace it */
    struct version *v = version_new(old->n + e->nadd);
    struct seg **fresh = mem_zarray(e->nadd + 1, sizeof *fresh);
    int rc = v && fresh ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < e->nadd && !rc; i++) {
        fresh[i] = seg_new(s, &e->add[i]);
        rc = fresh[i] ? 0 : err_nomem(err);
    }
    bool doubtful = false;
    if (!rc)
        rc = manifest_edit(s, e, &doubtful, err);
    if (rc && !doubtful)
        drop_files(s, e->add, e->nadd);
    if (rc) {
        for (uint32_t i = 0; fresh && i < e->nadd; i++)
            seg_unref(fresh[i]);
        mem_free(fresh);
        mem_free(v);
        return rc;
    }
    v->n = 0;
    uint64_t gone = 0, removed = 0;
    for (uint32_t i = 0; i < old->n; i++) {
        if (listed(e->remove, e->nremove, old->v[i]->m.id)) {
            atomic_store(&old->v[i]->dead, true);
            gone += old->v[i]->m.rows;
            removed++;
            continue;
        }
        seg_ref(old->v[i]);
        v->v[v->n++] = old->v[i];
    }
    uint64_t came = 0;
    for (uint32_t i = 0; i < e->nadd; i++) {
        uint32_t k = v->n++;
        for (; k > 0 && v->v[k - 1]->m.seq_min > fresh[i]->m.seq_min; k--)
            v->v[k] = v->v[k - 1];
        v->v[k] = fresh[i];
        came += fresh[i]->m.rows;
    }
    pthread_mutex_lock(&s->lock);
    s->version = v;
    struct memtable *frozen = drop_frozen ? s->frozen : NULL;
    if (frozen) {
        s->frozen = NULL;
        pthread_cond_broadcast(&s->flush_cond);
    } else {
        s->counted_entries += came;
    }
    s->counted_entries -= gone;
    s->st.retired_segments += removed;
    pthread_mutex_unlock(&s->lock);
    version_unref(old);
    memtable_free(frozen);
    mem_free(fresh);
    return 0;
}

/* ---- flush ---- */

struct opened {
    struct block **v;
    uint32_t n, cap;
};

static int keep_block(void *arg, struct block *b, struct err *err)
{
    struct opened *o = arg;
    if (o->n == o->cap) {
        uint32_t cap = o->cap ? o->cap * 2 : 64;
        struct block **v = mem_realloc(o->v, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        o->v = v;
        o->cap = cap;
    }
    o->v[o->n++] = b;
    return 0;
}

static uint64_t min_live_seq(const struct store *s)
{
    return s->mf.nsegs ? s->mf.segs[0].seq_min : 0;
}

/* Marks and idempotency keys of the WAL files that are about to go. */
static int save_state(struct store *s, uint64_t *ret_number, struct err *err)
{
    *ret_number = 0;
    if (!late_dirty(s->late))
        return 0;
    uint64_t number = s->mf.state_file + 1;
    int rc = late_save(s->late, s, number, min_live_seq(s), err);
    if (!rc)
        *ret_number = number;
    return rc;
}

static void remove_wals(struct store *s, uint64_t from, uint64_t below)
{
    for (uint64_t i = from; i < below; i++) {
        char path[PATH_MAX_STORE];
        struct err e = ERR_INIT;
        wal_path(i, path);
        s->io->ops->unlink(s->io, path, &e); /* else the next start does it */
    }
}

static int flush_locked(struct store *s, struct memtable *m, struct err *err)
{
    struct arena a;
    arena_init(&a, ARENA_MAX);
    struct opened blocks = { 0 };
    struct chunk **joined = NULL;
    uint32_t njoined = 0;
    struct seg_meta *metas = NULL;
    uint32_t nmetas = 0;
    int rc = chunks_join(m->v, m->n, &joined, &njoined, err);
    for (uint32_t i = 0; i < njoined && !rc; i++)
        rc = payload_each(str_n(joined[i]->payload, joined[i]->n), joined[i]->base_seq,
                          joined[i]->received_at, &a, keep_block, &blocks, err);
    if (!rc)
        rc = write_rows(s, blocks.v, blocks.n, ZSTD_FLUSH, &metas, &nmetas, err);
    uint64_t last = m->n ? m->v[m->n - 1]->base_seq + m->v[m->n - 1]->rows - 1 : 0;
    uint64_t wal_from = s->mf.wal_min, state = 0, wal_last = m->wal_last;
    uint64_t big_last = m->big_last;
    uint64_t old_state = s->mf.state_file;
    if (!rc)
        rc = save_state(s, &state, err);
    if (rc)
        drop_files(s, metas, nmetas);
    else
        rc = version_install(s,
                             &(struct edit){ .add = metas,
                                             .nadd = nmetas,
                                             .flushed_seq = last,
                                             .wal_min = wal_last + 1,
                                             .state_file = state,
                                             .next_seq = last + 1 },
                             true, err);
    if (!rc) {
        remove_wals(s, wal_from, wal_last + 1);
        big_trim(s, big_last);
        if (state && old_state) {
            char path[PATH_MAX_STORE];
            struct err e = ERR_INIT;
            snprintf(path, sizeof path, "STATE-%06llu", (unsigned long long)old_state);
            s->io->ops->unlink(s->io, path, &e);
        }
        pthread_mutex_lock(&s->lock);
        s->st.flushes++;
        pthread_mutex_unlock(&s->lock);
    }
    for (uint32_t i = 0; i < njoined; i++)
        chunk_unref(joined[i]);
    mem_free(joined);
    mem_free(blocks.v);
    mem_free(metas);
    arena_deinit(&a);
    return rc;
}

int flush_frozen(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->mlock);
    pthread_mutex_lock(&s->lock);
    struct memtable *m = s->frozen; /* only this function takes it away */
    pthread_mutex_unlock(&s->lock);
    int rc = m ? flush_locked(s, m, err) : 0;
    pthread_mutex_unlock(&s->mlock);
    return rc;
}

/* Replaces the small chunks at hand by joined ones; those that arrive meanwhile stay behind them.
 */
static int join_active(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    struct memtable *m = s->active;
    uint32_t n = m->n;
    struct chunk **v = mem_array(n ? n : 1, sizeof *v);
    for (uint32_t i = 0; v && i < n; i++)
        chunk_ref(v[i] = m->v[i]);
    pthread_mutex_unlock(&s->lock);
    if (!v)
        return err_nomem(err);
    struct chunk **joined = NULL;
    uint32_t k = 0;
    int rc = chunks_join(v, n, &joined, &k, err);
    pthread_mutex_lock(&s->lock);
    if (!rc && s->active == m &&
        k < n) { /* the writer only appends, so v[0..n) is still its start */
        size_t bytes = 0;
        uint32_t small = 0, tail = m->n - n;
        for (uint32_t i = 0; i < n; i++)
            chunk_unref(m->v[i]);
        memmove(m->v + k, m->v + n, tail * sizeof *m->v);
        memcpy(m->v, joined, k * sizeof *joined);
        m->n = k + tail;
        for (uint32_t i = 0; i < m->n; i++) {
            bytes += m->v[i]->n + sizeof(struct chunk);
            small += m->v[i]->rows < SMALL_CHUNK_ROWS && i >= k;
        }
        m->bytes = bytes;
        m->small = small;
        k = 0; /* moved */
    }
    pthread_mutex_unlock(&s->lock);
    for (uint32_t i = 0; i < k; i++)
        chunk_unref(joined[i]);
    for (uint32_t i = 0; i < n; i++)
        chunk_unref(v[i]);
    mem_free(joined);
    mem_free(v);
    return rc;
}

/* ---- merging ---- */

/* Size class of a segment: neighbours of one class are worth joining. */
static unsigned size_class(uint64_t rows)
{
    unsigned c = 0;
    for (uint64_t r = rows; r > 8192; r /= 8)
        c++;
    return c;
}

/* A run of neighbours in seq order, same day: [*from, *from + return). all: any two will do. */
static uint32_t pick_merge(const struct version *v, bool all, uint32_t *from)
{
    for (uint32_t i = 0; i < v->n; i++) {
        uint64_t rows = 0;
        uint32_t n = 0;
        while (i + n < v->n && v->v[i + n]->m.day == v->v[i]->m.day && !v->v[i + n]->broken &&
               (all || size_class(v->v[i + n]->m.rows) <= size_class(v->v[i]->m.rows)) &&
               rows + v->v[i + n]->m.rows <= MERGE_ROWS_MAX)
            rows += v->v[i + n++]->m.rows;
        if (n >= (all ? 2u : MERGE_MIN_SEGMENTS)) {
            *from = i;
            return n;
        }
    }
    return 0;
}

/* Blocks that are not full are read, joined and written anew. */
static int rewrite_blocks(struct seg_writer *w, struct seg **segs, const uint32_t *idx, uint32_t n,
                          struct arena *a, struct err *err)
{
    struct block **src = mem_zarray(n ? n : 1, sizeof *src);
    struct rowref *refs = mem_array(BLOCK_ROWS_MAX, sizeof *refs);
    int rc = src && refs ? 0 : err_nomem(err);
    uint32_t k = 0, opened = 0;
    for (; opened < n && !rc; opened++) {
        struct sblock *sb;
        rc = sblock_open(segs[opened], idx[opened], a, &sb, err);
        if (rc)
            break;
        src[opened] = sblock_block(sb);
    }
    for (uint32_t i = 0; i < opened && !rc; i++)
        for (uint32_t r = 0; r < src[i]->n && !rc; r++) {
            refs[k++] = (struct rowref){ src[i], i, r };
            if (k == BLOCK_ROWS_MAX) {
                rc = seg_writer_add(w, refs, k, src, n, err);
                k = 0;
            }
        }
    if (!rc && k)
        rc = seg_writer_add(w, refs, k, src, n, err);
    for (uint32_t i = 0; src && i < opened; i++)
        block_close(src[i]);
    mem_free(src);
    mem_free(refs);
    return rc;
}

struct small_blocks {
    struct seg *segs[256];
    uint32_t idx[256];
    uint32_t n;
    uint64_t rows, bytes;
};

static int drain_small(struct seg_writer *w, struct small_blocks *sm, struct err *err)
{
    struct arena a;
    arena_init(&a, ARENA_MAX);
    int rc = sm->n ? rewrite_blocks(w, sm->segs, sm->idx, sm->n, &a, err) : 0;
    arena_deinit(&a);
    sm->n = 0;
    sm->rows = 0;
    return rc;
}

/* A writer whose rollup is filled from rewritten blocks alone would count copied ones twice if the
 * inputs' rollups were added whole; so a merge either copies every block of a segment or none. */
static bool copies_well(const struct seg *g)
{
    for (uint32_t i = 0; i < g->m.nblocks; i++)
        if (g->blocks[i].n < MERGE_COPY_ROWS && g->m.nblocks > 1 && i + 1 < g->m.nblocks)
            return false;
    return g->m.rows / g->m.nblocks >= MERGE_COPY_ROWS;
}

static int merge_one(struct seg_writer *w, struct seg *g, struct small_blocks *sm, struct err *err)
{
    int rc = seg_open(g, err);
    if (rc)
        return rc;
    if (copies_well(g)) {
        for (uint32_t i = 0; i < g->m.nblocks && !rc; i++)
            rc = seg_writer_copy(w, g, i, err);
        return rc ? rc : seg_writer_rollup(w, g, err);
    }
    for (uint32_t i = 0; i < g->m.nblocks && !rc; i++) {
        sm->segs[sm->n] = g;
        sm->idx[sm->n++] = i;
        sm->rows += g->blocks[i].n;
        if (sm->rows >= 4 * BLOCK_ROWS_MAX || sm->n == 256)
            rc = drain_small(w, sm, err);
    }
    return rc;
}

static int merge_run(struct store *s, struct seg **run, uint32_t n, struct err *err)
{
    struct seg_writer *w;
    struct small_blocks *sm = mem_zalloc(sizeof *sm);
    uint64_t *ids = mem_array(n, sizeof *ids);
    int rc = sm && ids ? seg_writer_new(&w, s, run[0]->m.day, ZSTD_MERGE, err) : err_nomem(err);
    if (rc) {
        mem_free(sm);
        mem_free(ids);
        return rc;
    }
    for (uint32_t i = 0; i < n && !rc; i++) {
        ids[i] = run[i]->m.id;
        rc = merge_one(w, run[i], sm, err);
    }
    if (!rc)
        rc = drain_small(w, sm, err);
    struct seg_meta m;
    if (!rc)
        rc = seg_writer_finish(w, &m, err);
    seg_writer_free(w);
    mem_free(sm);
    if (!rc) {
        rc = version_install(s, &(struct edit){ .add = &m, .nadd = 1, .remove = ids, .nremove = n },
                             false, err);
    }
    mem_free(ids);
    return rc;
}

static bool space_for(struct store *s, struct seg **run, uint32_t n)
{
    uint64_t need = 64u << 20, avail, total;
    struct err e = ERR_INIT;
    for (uint32_t i = 0; i < n; i++)
        need += run[i]->m.bytes;
    return s->io->ops->free_space(s->io, &avail, &total, &e) != 0 || avail > need;
}

int merge_some(struct store *s, bool all, bool *ret_did, struct err *err)
{
    *ret_did = false;
    pthread_mutex_lock(&s->mlock);
    uint32_t from = 0, n = pick_merge(s->version, all, &from);
    int rc = 0;
    if (n && space_for(s, s->version->v + from, n)) {
        rc = merge_run(s, s->version->v + from, n, err);
        *ret_did = rc == 0;
        for (uint32_t i = 0; rc == ERR_CORRUPT && i < n;
             i++) { /* leave the damaged one out from now on */
            struct err e = ERR_INIT;
            s->version->v[from + i]->broken |= seg_open(s->version->v[from + i], &e) == ERR_CORRUPT;
        }
    }
    pthread_mutex_unlock(&s->mlock);
    if (*ret_did) {
        pthread_mutex_lock(&s->lock);
        s->st.merges++;
        pthread_mutex_unlock(&s->lock);
    }
    return rc;
}

/* ---- retention ---- */

static int retire(struct store *s, const uint64_t *ids, uint32_t n, uint64_t rows, const char *why,
                  struct err *err)
{
    int rc = n ? version_install(s, &(struct edit){ .remove = ids, .nremove = n }, false, err) : 0;
    if (!rc && n)
        store_event(s, LOG_INFO, "retention: %u segments with %llu entries removed (%s)", n,
                    (unsigned long long)rows, why);
    return rc;
}

int retention_apply(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    int64_t keep = s->cfg.retention_ns;
    uint64_t max = s->cfg.max_disk_bytes;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->mlock);
    struct version *v = s->version;
    uint64_t *ids = mem_array(v->n + 1, sizeof *ids), rows = 0, bytes = 0;
    uint32_t n = 0;
    int rc = ids ? 0 : err_nomem(err);
    int64_t today = day_of(s->io->ops->now(s->io));
    int64_t days = (keep + NS_PER_DAY - 1) / NS_PER_DAY;
    for (uint32_t i = 0; i < v->n && !rc && keep; i++)
        if (v->v[i]->m.day < today - days) {
            ids[n++] = v->v[i]->m.id;
            rows += v->v[i]->m.rows;
        }
    if (!rc)
        rc = retire(s, ids, n, rows, "age", err);
    v = s->version;
    for (uint32_t i = 0; i < v->n; i++)
        bytes += v->v[i]->m.bytes;
    n = 0;
    rows = 0;
    for (uint32_t i = 0; i < v->n && !rc && max && bytes > max; i++) { /* oldest first */
        bytes -= v->v[i]->m.bytes;
        rows += v->v[i]->m.rows;
        ids[n++] = v->v[i]->m.id;
    }
    if (!rc)
        rc = retire(s, ids, n, rows, "size", err);
    pthread_mutex_unlock(&s->mlock);
    mem_free(ids);
    return rc;
}

/* ---- the thread ---- */

static void step(struct store *s, const char *what, int rc, const struct err *err, bool *ret_failed)
{
    if (!rc)
        return;
    *ret_failed = true;
    store_event(s, LOG_WARN, "%s: %s; trying again", what, err->msg);
}

void *background_main(void *arg)
{
    struct store *s = arg;
    bool failed = false;
    ts_ns retention_at = 0;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        if (!s->bg_stop && !s->bg_wanted && (!s->frozen || failed)) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += failed || s->wal_untold ? 1 : IDLE_S;
            pthread_cond_timedwait(&s->bg_cond, &s->lock, &until);
        }
        bool tell = s->wal_untold && s->io->ops->mono(s->io) - s->untold_since >= TELL_NS;
        bool stop = s->bg_stop, frozen = s->frozen != NULL, join = s->bg_wanted;
        s->bg_wanted = false;
        pthread_mutex_unlock(&s->lock);
        if (stop)
            return NULL;
        struct err err = ERR_INIT;
        failed = false;
        if (tell)
            writer_tell(s, &err); /* when it fails, the log's own trouble is told elsewhere */
        err_reset(&err);
        if (frozen)
            step(s, "flush", flush_frozen(s, &err), &err, &failed);
        if (join)
            step(s, "join", join_active(s, &err), &err, &failed);
        bool did = !failed;
        while (did) {
            pthread_mutex_lock(&s->lock);
            bool busy = s->bg_stop || s->frozen;
            pthread_mutex_unlock(&s->lock);
            did = false;
            if (!busy)
                step(s, "merge", merge_some(s, false, &did, &err), &err, &failed);
        }
        ts_ns now = s->io->ops->now(s->io);
        if (now >= retention_at || frozen) {
            step(s, "retention", retention_apply(s, &err), &err, &failed);
            retention_at = now + 60 * NS_PER_S;
        }
    }
}
