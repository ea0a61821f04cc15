/* flush.c: from a frozen memtable to segments, piece by piece and with little memory besides.
 *
 *   frozen = piece | piece | piece     a piece: neighbouring chunks, a third of a memtable
 *   piece  -> places of rows -> days -> classes -> sorted by time -> groups of GROUP_ROWS
 *   group  -> clustered by (agent, session or trace) -> blocks of a segment
 *
 * A piece becomes visible as a segment and leaves memory in one step, so a flush gives room back
 * while it runs. WAL files and the STATE file change with the last piece only; until then a restart
 * skips what is in segments already (flushed_seq).
 *
 * Columns are decoded in windows: a chunk is opened for the first group that holds a row of it, in
 * that group's arena, and the arena goes after the last group that needs it. So what is decoded at
 * a time is what overlaps in time: a group or two of rows that come in order, the whole piece of
 * rows that come shuffled. */
#include "store/columnar/classes.h"
#include "store/columnar/order.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_TEXT_BYTES (8u << 20) /* approximate text of a block */
#define ZSTD_FLUSH 1

struct cut { /* rows from here on were received on that day */
    uint64_t row;
    int64_t day;
};

struct piece {
    struct store *s;
    struct chunk *const *chunks;
    uint32_t nchunks;
    uint32_t *first;       /* per chunk: its first block */
    uint32_t *last;        /* per chunk: the last group that needs it */
    struct block **blocks; /* NULL until opened */
    struct source *src;    /* beside blocks */
    uint32_t nblocks;
    struct place *rows; /* in order of seq; then each day's in order of class and time */
    uint64_t nrows;
    uint8_t *cls;         /* of each row, in order of seq; NULL: all are of class 0 */
    struct pred_run *run; /* with cls */
    struct cut *cuts;
    uint32_t ncuts, cap_cuts;
    uint32_t at; /* the block that payload_each hands over next */
};

/* ---- places ---- */

/* Receive times never fall from row to row, so a day is a run of rows. */
static int cut_day(struct piece *p, int64_t day, struct err *err)
{
    if (p->ncuts && p->cuts[p->ncuts - 1].day == day)
        return 0;
    if (p->ncuts == p->cap_cuts) {
        uint32_t cap = p->cap_cuts ? p->cap_cuts * 2 : 4;
        struct cut *v = mem_realloc(p->cuts, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        p->cuts = v;
        p->cap_cuts = cap;
    }
    p->cuts[p->ncuts++] = (struct cut){ p->nrows, day };
    return 0;
}

static int put_places(void *arg, struct block *b, struct err *err)
{
    struct piece *p = arg;
    int rc = 0;
    const struct colv *time = column_of(b, F_TIMESTAMP, V_I64, &rc, err);
    const struct colv *recv = column_of(b, F_RECEIVED_AT, V_I64, &rc, err);
    if (!rc && (!time || !recv))
        rc = err_set(err, ERR_CORRUPT, "rows without timestamp or received_at");
    if (!rc && p->cls)
        rc = classes_of(p->s, b, p->run, p->cls + p->nrows, err);
    for (uint32_t r = 0; r < b->n && !rc; r++) {
        if (!r || recv->i64[r] != recv->i64[r - 1])
            rc = cut_day(p, day_of(recv->i64[r]), err);
        p->rows[p->nrows++] = (struct place){ time->i64[r], p->at, (uint16_t)r };
    }
    p->at++;
    return rc;
}

static int find_places(struct piece *p, struct err *err)
{
    struct arena a;
    int rc = 0;
    arena_init(&a, ARENA_MAX);
    for (uint32_t i = 0; i < p->nchunks && !rc; i++) {
        const struct chunk *c = p->chunks[i];
        for (uint32_t k = 0; k < c->nblocks; k++)
            p->src[p->at + k].chunk = i;
        p->first[i] = p->at;
        rc = payload_each(str_n(c->payload, c->n), c->base_seq, c->received_at, &a, put_places, p,
                          err);
        arena_reset(&a);
    }
    arena_deinit(&a);
    return rc;
}

static int piece_init(struct piece *p, struct store *s, struct chunk *const *chunks, uint32_t n,
                      struct err *err)
{
    uint64_t rows = 0;
    *p = (struct piece){ .s = s, .chunks = chunks, .nchunks = n };
    for (uint32_t i = 0; i < n; i++) {
        rows += chunks[i]->rows;
        p->nblocks += chunks[i]->nblocks;
    }
    p->first = mem_array(n, sizeof *p->first);
    p->last = mem_array(n, sizeof *p->last);
    p->blocks = mem_zarray(p->nblocks, sizeof *p->blocks);
    p->src = mem_array(p->nblocks, sizeof *p->src);
    p->rows = mem_array(rows, sizeof *p->rows);
    if (!p->first || !p->last || !p->blocks || !p->src || !p->rows)
        return err_nomem(err);
    if (s->cfg.nrules) {
        p->cls = mem_array(rows, sizeof *p->cls);
        if (!p->cls)
            return err_nomem(err);
        int rc = pred_run_new(&p->run, err);
        if (rc)
            return rc;
    }
    return find_places(p, err);
}

static void piece_deinit(struct piece *p)
{
    mem_free(p->first);
    mem_free(p->last);
    mem_free(p->blocks);
    mem_free(p->src);
    mem_free(p->rows);
    mem_free(p->cuts);
    mem_free(p->cls);
    pred_run_free(p->run);
}

/* ---- windows ---- */

struct window { /* chunks opened for one group */
    struct arena arena;
    uint32_t last; /* the last group that needs one of them */
    bool open;
};

static int keep_block(void *arg, struct block *b, struct err *err)
{
    struct piece *p = arg;
    int rc = source_open(&p->src[p->at], b, err);
    if (!rc)
        p->blocks[p->at++] = b;
    return rc;
}

/* Opens what the group of these n rows needs and no window holds yet. */
static int window_open(struct window *w, struct piece *p, const struct place *v, uint32_t n,
                       struct err *err)
{
    int rc = 0;
    arena_init(&w->arena, ARENA_MAX);
    w->open = true;
    for (uint32_t i = 0; i < n && !rc; i++) {
        if (p->blocks[v[i].block])
            continue;
        uint32_t k = p->src[v[i].block].chunk;
        const struct chunk *c = p->chunks[k];
        w->last = p->last[k] > w->last ? p->last[k] : w->last;
        p->at = p->first[k];
        rc = payload_each(str_n(c->payload, c->n), c->base_seq, c->received_at, &w->arena,
                          keep_block, p, err);
    }
    return rc;
}

static void windows_close(struct window *w, uint32_t n, uint32_t done)
{
    for (uint32_t i = 0; i < n; i++)
        if (w[i].open && w[i].last <= done) {
            arena_deinit(&w[i].arena);
            w[i].open = false;
        }
}

/* ---- segments ---- */

static uint32_t group_size(uint64_t n, uint64_t from)
{
    return n - from < GROUP_ROWS ? (uint32_t)(n - from) : GROUP_ROWS;
}

static int write_groups(struct seg_writer *w, struct piece *p, const struct place *v, uint64_t n,
                        struct err *err)
{
    uint32_t ngroups = (uint32_t)((n + GROUP_ROWS - 1) / GROUP_ROWS);
    struct window *win = mem_zarray(ngroups, sizeof *win);
    struct cluster *c = cluster_new();
    int rc = win && c ? 0 : err_nomem(err);
    for (uint64_t i = 0; i < n; i++)
        p->last[p->src[v[i].block].chunk] = (uint32_t)(i / GROUP_ROWS);
    memset(p->blocks, 0, p->nblocks * sizeof *p->blocks);
    for (uint32_t g = 0; g < ngroups && !rc; g++) {
        const struct place *from = v + (uint64_t)g * GROUP_ROWS;
        uint32_t k = group_size(n, (uint64_t)g * GROUP_ROWS);
        rc = window_open(&win[g], p, from, k, err);
        if (!rc)
            rc = group_write(w, c, p->blocks, p->src, p->nblocks, from, k, BLOCK_TEXT_BYTES, err);
        windows_close(win, g + 1, g);
    }
    if (win)
        windows_close(win, ngroups, UINT32_MAX);
    mem_free(win);
    cluster_free(c);
    return rc;
}

/* One segment from n rows of a class received on one day; appends to *metas. */
static int write_class(struct piece *p, int64_t day, uint32_t cls, struct place *v, uint64_t n,
                       struct seg_meta **metas, uint32_t *nmetas, struct err *err)
{
    struct seg_writer *w = NULL;
    struct seg_meta *more = mem_realloc(*metas, (*nmetas + 1) * sizeof *more);
    if (!more)
        return err_nomem(err);
    *metas = more;
    places_sort(v, n);
    int rc = seg_writer_new(&w, p->s, day, cls, ZSTD_FLUSH, err);
    if (!rc)
        rc = write_groups(w, p, v, n, err);
    if (!rc)
        rc = seg_writer_finish(w, &more[*nmetas], err);
    if (!rc)
        (*nmetas)++;
    seg_writer_free(w);
    return rc;
}

/* Sorts places by class, those of one left in their order; from[c] .. from[c + 1] are class c. */
static int part_classes(struct place *v, const uint8_t *cls, uint64_t n,
                        uint64_t from[CLASSES_MAX + 1], struct err *err)
{
    uint64_t at[CLASSES_MAX] = { 0 };
    struct place *tmp = mem_array(n, sizeof *tmp);
    if (!tmp)
        return err_nomem(err);
    memcpy(tmp, v, n * sizeof *v);
    for (uint64_t i = 0; i < n; i++)
        at[cls[i]]++;
    from[0] = 0;
    for (uint32_t c = 0; c < CLASSES_MAX; c++) {
        from[c + 1] = from[c] + at[c];
        at[c] = from[c];
    }
    for (uint64_t i = 0; i < n; i++)
        v[at[cls[i]]++] = tmp[i];
    mem_free(tmp);
    return 0;
}

/* The rows received on one day, a segment for each class. */
static int write_day(struct piece *p, int64_t day, uint64_t row, uint64_t n,
                     struct seg_meta **metas, uint32_t *nmetas, struct err *err)
{
    uint64_t from[CLASSES_MAX + 1];
    struct place *v = p->rows + row;
    if (!p->cls)
        return write_class(p, day, 0, v, n, metas, nmetas, err);
    int rc = part_classes(v, p->cls + row, n, from, err);
    for (uint32_t c = 0; c < CLASSES_MAX && !rc; c++)
        if (from[c + 1] > from[c])
            rc = write_class(p, day, c, v + from[c], from[c + 1] - from[c], metas, nmetas, err);
    return rc;
}

/* Chunks -> segments, one a day and class. *metas (mem_alloc'd) names what is complete, also on
 * failure. */
static int write_chunks(struct store *s, struct chunk *const *chunks, uint32_t n,
                        struct seg_meta **metas, uint32_t *nmetas, struct err *err)
{
    struct piece p;
    int rc = piece_init(&p, s, chunks, n, err);
    for (uint32_t i = 0; i < p.ncuts && !rc; i++) {
        uint64_t from = p.cuts[i].row, to = i + 1 < p.ncuts ? p.cuts[i + 1].row : p.nrows;
        rc = write_day(&p, p.cuts[i].day, from, to - from, metas, nmetas, err);
    }
    piece_deinit(&p);
    return rc;
}

/* ---- publishing ---- */

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
    for (uint64_t i = from; i < below; i++)
        wal_unlink(s, i);
}

static void remove_state(struct store *s, uint64_t number)
{
    char path[PATH_MAX_STORE];
    struct err e = ERR_INIT;
    snprintf(path, sizeof path, "STATE-%06llu", (unsigned long long)number);
    s->io->ops->unlink(s->io, path, &e);
}

/* The first n chunks of the frozen memtable m become segments and leave it. all: they are the last,
 * so the log behind them goes too. */
static int flush_piece(struct store *s, struct memtable *m, uint32_t n, bool all, struct err *err)
{
    struct chunk **joined = NULL;
    uint32_t njoined = 0, nmetas = 0;
    struct seg_meta *metas = NULL;
    uint64_t last = m->v[n - 1]->base_seq + m->v[n - 1]->rows - 1;
    uint64_t wal_from = s->mf.wal_min, wal_to = m->wal_last + 1, big_last = m->big_last;
    uint64_t state = 0, old_state = s->mf.state_file;
    int rc = chunks_join(m->v, n, &joined, &njoined, err);
    if (!rc)
        rc = write_chunks(s, joined, njoined, &metas, &nmetas, err);
    for (uint32_t i = 0; i < njoined; i++)
        chunk_unref(joined[i]);
    mem_free(joined);
    if (!rc && all)
        rc = save_state(s, &state, err);
    if (rc)
        segments_unlink(s, metas, nmetas);
    else
        rc = version_install(s,
                             &(struct edit){ .add = metas,
                                             .nadd = nmetas,
                                             .flushed_seq = last,
                                             .wal_min = all ? wal_to : 0,
                                             .state_file = state,
                                             .next_seq = last + 1 },
                             n, err); /* m may be gone now */
    mem_free(metas);
    if (rc && state)
        late_unsaved(s->late);
    if (rc || !all)
        return rc;
    remove_wals(s, wal_from, wal_to);
    big_trim(s, big_last);
    if (state && old_state)
        remove_state(s, old_state);
    return 0;
}

/* How many of m's chunks to write next: of what is left, an even share near a piece's size. */
static uint32_t next_piece(const struct store *s, const struct memtable *m)
{
    size_t third = s->cfg.memtable_bytes / 3 + 1, size = third < FLUSH_PIECE ? third : FLUSH_PIECE;
    size_t pieces = (m->bytes + size / 2) / size, bytes = 0;
    uint32_t n = 0;
    while (n < m->n && (n == 0 || pieces < 2 || bytes < m->bytes / pieces))
        bytes += chunk_bytes(m->v[n++]);
    return n;
}

int flush_frozen_locked(struct store *s, struct err *err)
{
    int rc = 0;
    bool all = false;
    pthread_mutex_lock(&s->lock);
    struct memtable *m = s->frozen; /* only this function changes it or takes it away */
    pthread_mutex_unlock(&s->lock);
    if (!m)
        return 0;
    while (!all && !rc) {
        uint32_t n = next_piece(s, m);
        all = n == m->n;
        rc = flush_piece(s, m, n, all, err);
    }
    pthread_mutex_lock(&s->lock);
    s->st.flushes += rc == 0;
    s->flush_failed = rc != 0;
    pthread_cond_broadcast(&s->flush_cond);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int flush_frozen(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->mlock);
    int rc = flush_frozen_locked(s, err);
    pthread_mutex_unlock(&s->mlock);
    return rc;
}
