/* scan.c: reading: one moment of the store, pruned, filtered, in the order asked for.
 *
 *   snapshot -> list of blocks (memtable chunks and segment blocks) -> coarse pruning by time,
 * sequence and level -> sort by the plan's order -> one block at a time: statistics and filters,
 * then the predicate
 *
 * A block that cannot be read (damaged, missing) is left out, and the cost account says so: the
 * answer is then incomplete, never wrong. */
#include "store/columnar/impl.h"
#include "store/columnar/seg_index.h"

#include <stdio.h>
#include <stdlib.h>

struct item {        /* a block to look at */
    struct seg *seg; /* NULL: chunk */
    struct chunk *chunk;
    uint32_t index;
    uint64_t base_seq; /* of a chunk's block */
    uint32_t n;
    ts_ns t_min, t_max;
    uint64_t seq_min, seq_max;
};

/* A scan and its forks share the first one's list, from `sn` to `next`; the rest each has for
 * itself. */
struct scan {
    struct scan *list; /* whose list it is: itself or the one it was forked from */
    struct store *s;
    struct snapshot sn;
    struct scan_plan plan;
    const struct pred *filter; /* NULL: none */
    struct item *items;
    uint32_t n, cap;
    uint64_t seq_lo, seq_hi;    /* inclusive */
    _Atomic int64_t t_lo, t_hi; /* inclusive; from the filter and the floor */
    _Atomic uint32_t next;
    uint64_t reached;   /* by seq: where the item in hand begins */
    struct arena arena; /* of the current block */
    size_t room;        /* what the blocks so far took of it: kept in one piece */
    struct block *block;
    struct pred_run *run;
    uint64_t sel[BLOCK_WORDS];
    struct scan_cost cost;
    bool marks;
};

/* ---- snapshots ---- */

int snapshot_take(struct store *s, struct snapshot *ret, struct err *err)
{
    *ret = (struct snapshot){ 0 };
    pthread_mutex_lock(&s->lock);
    uint32_t nf = s->frozen ? s->frozen->n : 0, na = s->active->n;
    struct chunk **v = mem_array(nf + na + 1, sizeof *v);
    if (v) {
        for (uint32_t i = 0; i < nf; i++)
            chunk_ref(v[i] = s->frozen->v[i]);
        for (uint32_t i = 0; i < na; i++)
            chunk_ref(v[nf + i] = s->active->v[i]);
        ret->chunks = v;
        ret->nchunks = nf + na;
        ret->version = s->version;
        atomic_fetch_add(&s->version->refs, 1);
        ret->watermark = s->watermark;
    }
    pthread_mutex_unlock(&s->lock);
    return v ? 0 : err_nomem(err);
}

void snapshot_release(struct snapshot *sn)
{
    for (uint32_t i = 0; i < sn->nchunks; i++)
        chunk_unref(sn->chunks[i]);
    mem_free(sn->chunks);
    version_unref(sn->version);
    *sn = (struct snapshot){ 0 };
}

/* ---- the list of blocks ---- */

static bool wanted(const struct scan *list, ts_ns t_min, ts_ns t_max, uint64_t seq_min,
                   uint64_t seq_max)
{
    return seq_max >= list->seq_lo && seq_min <= list->seq_hi &&
           (list->plan.no_prune ||
            (t_max >= atomic_load_explicit(&list->t_lo, memory_order_relaxed) &&
             t_min <= atomic_load_explicit(&list->t_hi, memory_order_relaxed)));
}

static int push(struct scan *sc, const struct item *it, struct err *err)
{
    sc->cost.blocks_total++;
    if (!wanted(sc, it->t_min, it->t_max, it->seq_min, it->seq_max)) {
        sc->cost.blocks_pruned++;
        sc->cost.pruned_bounds++;
        return 0;
    }
    if (sc->n == sc->cap) {
        uint32_t cap = sc->cap ? sc->cap * 2 : 128;
        struct item *v = mem_realloc(sc->items, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        sc->items = v;
        sc->cap = cap;
    }
    sc->items[sc->n++] = *it;
    return 0;
}

struct lister {
    struct scan *sc;
    struct chunk *c;
    uint32_t index;
};

static int list_chunk_block(void *arg, struct block *b, struct err *err)
{
    struct lister *l = arg;
    return push(l->sc,
                &(struct item){ .chunk = l->c,
                                .index = l->index++,
                                .base_seq = l->c->base_seq,
                                .n = b->n,
                                .t_min = b->t_min,
                                .t_max = b->t_max,
                                .seq_min = b->seq_min,
                                .seq_max = b->seq_max },
                err);
}

static int list_chunks(struct scan *sc, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < sc->sn.nchunks && !rc; i++) {
        struct chunk *c = sc->sn.chunks[i];
        if (c->base_seq > sc->seq_hi || c->base_seq + c->rows - 1 < sc->seq_lo)
            continue;
        struct lister l = { sc, c, 0 };
        rc = payload_each(str_n(c->payload, c->n), c->base_seq, c->received_at, &sc->arena,
                          list_chunk_block, &l, err);
        arena_reset(&sc->arena);
    }
    return rc;
}

static void note_incomplete(struct scan *sc, const struct err *err)
{
    if (!sc->cost.incomplete)
        snprintf(sc->cost.incomplete_why, sizeof sc->cost.incomplete_why, "%.190s", err->msg);
    sc->cost.incomplete = true;
    pthread_mutex_lock(&sc->s->lock);
    sc->s->st.corruptions++;
    pthread_mutex_unlock(&sc->s->lock);
}

/* Bitmap of the blocks that the segment's indexes leave, in sc->arena; counts the others. */
static int ask_indexes(struct scan *sc, struct seg *g, uint64_t **ret, struct err *err)
{
    struct index_pruned n;
    int rc = seg_candidates(g, sc->filter, &sc->arena, ret, &n, err);
    if (rc)
        return rc;
    uint32_t all = n.by_columns + n.by_signatures + n.by_values;
    sc->cost.pruned_bounds += n.by_columns;
    sc->cost.pruned_signatures += n.by_signatures;
    sc->cost.pruned_values += n.by_values;
    sc->cost.blocks_total += all;
    sc->cost.blocks_pruned += all;
    sc->cost.segments_pruned += all == g->m.nblocks;
    return 0;
}

static int list_segment(struct scan *sc, struct seg *g, struct err *err)
{
    sc->cost.segments_total++;
    if (!wanted(sc, g->m.t_min, g->m.t_max, g->m.seq_min, g->m.seq_max)) {
        sc->cost.segments_pruned++;
        sc->cost.blocks_total += g->m.nblocks;
        sc->cost.blocks_pruned += g->m.nblocks;
        sc->cost.pruned_bounds += g->m.nblocks;
        return 0;
    }
    int rc = seg_open(g, err);
    if (rc == ERR_CORRUPT || rc == ERR_IO) {
        note_incomplete(sc, err);
        return 0;
    }
    uint64_t *maybe = NULL; /* blocks that the indexes leave; NULL: all */
    if (!rc && sc->filter && !sc->plan.no_prune)
        rc = ask_indexes(sc, g, &maybe, err);
    for (uint32_t i = 0; i < g->m.nblocks && !rc; i++) {
        const struct seg_block *b = &g->blocks[i];
        if (maybe && !bit_get(maybe, i))
            continue;
        rc = push(sc,
                  &(struct item){ .seg = g,
                                  .index = i,
                                  .n = b->n,
                                  .t_min = b->t_min,
                                  .t_max = b->t_max,
                                  .seq_min = b->seq_min,
                                  .seq_max = b->seq_max },
                  err);
    }
    arena_reset(&sc->arena);
    return rc;
}

static int newest_first(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    int c = (a->t_max < b->t_max) - (a->t_max > b->t_max);
    return c ? c : (a->seq_max < b->seq_max) - (a->seq_max > b->seq_max);
}

static int oldest_first(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    int c = (a->t_min > b->t_min) - (a->t_min < b->t_min);
    return c ? c : (a->seq_min > b->seq_min) - (a->seq_min < b->seq_min);
}

static int lowest_seq_first(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    return (a->seq_min > b->seq_min) - (a->seq_min < b->seq_min);
}

static int list_all(struct scan *sc, struct err *err)
{
    int rc = list_chunks(sc, err);
    for (uint32_t i = 0; i < sc->sn.version->n && !rc; i++)
        rc = list_segment(sc, sc->sn.version->v[i], err);
    if (rc || sc->n < 2)
        return rc;
    switch (sc->plan.order) {
    case SCAN_NEWEST: qsort(sc->items, sc->n, sizeof *sc->items, newest_first); break;
    case SCAN_OLDEST: qsort(sc->items, sc->n, sizeof *sc->items, oldest_first); break;
    default: qsort(sc->items, sc->n, sizeof *sc->items, lowest_seq_first);
    }
    return 0;
}

int store_scan(struct store *s, const struct scan_plan *plan, struct scan **ret, struct err *err)
{
    struct scan *sc = mem_zalloc(sizeof *sc);
    if (!sc)
        return err_nomem(err);
    sc->s = s;
    sc->list = sc;
    sc->plan = *plan;
    sc->filter = plan->filter && !pred_is_true(plan->filter) ? plan->filter : NULL;
    arena_init(&sc->arena, ARENA_MAX);
    ts_ns lo = TS_MIN, hi = TS_MAX;
    sc->seq_lo = 0;
    sc->seq_hi = UINT64_MAX;
    if (sc->filter) {
        pred_time_bounds(sc->filter, &lo, &hi);
        pred_seq_bounds(sc->filter, &sc->seq_lo, &sc->seq_hi);
    }
    atomic_init(&sc->t_lo, lo);
    atomic_init(&sc->t_hi, hi);
    if (plan->seq_after && plan->seq_after >= sc->seq_lo)
        sc->seq_lo = plan->seq_after + 1;
    if (plan->seq_max && plan->seq_max < sc->seq_hi)
        sc->seq_hi = plan->seq_max;
    int rc = snapshot_take(s, &sc->sn, err);
    if (!rc && sc->sn.watermark < sc->seq_hi)
        sc->seq_hi = sc->sn.watermark;
    sc->marks =
        (plan->marks || (sc->filter && pred_uses_marks(sc->filter))) && late_marks(s->late) > 0;
    if (!rc)
        rc = pred_run_new(&sc->run, err);
    if (!rc)
        rc = list_all(sc, err);
    if (rc) {
        scan_close(sc);
        return rc;
    }
    *ret = sc;
    return 0;
}

int scan_fork(struct scan *sc, struct scan **ret, struct err *err)
{
    struct scan *f = mem_zalloc(sizeof *f);
    if (!f)
        return err_nomem(err);
    f->list = sc->list;
    f->s = sc->s;
    f->plan = sc->plan;
    f->filter = sc->filter;
    f->marks = sc->marks;
    f->seq_lo = sc->seq_lo;
    f->seq_hi = sc->seq_hi;
    arena_init(&f->arena, ARENA_MAX);
    int rc = pred_run_new(&f->run, err);
    if (rc) {
        scan_close(f);
        return rc;
    }
    *ret = f;
    return 0;
}

void scan_rewind(struct scan *sc)
{
    atomic_store(&sc->next, 0);
}

uint32_t scan_blocks(const struct scan *sc)
{
    return sc->list->n;
}

/* ---- one block ---- */

static bool pruned(struct scan *sc, struct sblock *sb)
{
    if (sc->plan.no_prune || !sc->filter)
        return false;
    struct block_stats st;
    sblock_stats(sb, &st);
    return pred_prune(sc->filter, &st) == PRUNE_NONE_MATCH;
}

static int open_item(struct scan *sc, const struct item *it, struct scan_cost *cost,
                     struct arena *a, struct sblock **ret_sb, struct block **ret, struct err *err)
{
    *ret_sb = NULL;
    if (it->chunk) {
        int rc = payload_block(str_n(it->chunk->payload, it->chunk->n), it->index, it->base_seq,
                               it->chunk->received_at, a, ret, err);
        if (!rc)
            (*ret)->ids = &sc->s->ids;
        return rc;
    }
    int rc = sblock_open_cached(it->seg, it->index, cost, a, ret_sb, err);
    if (!rc)
        *ret = sblock_block(*ret_sb);
    return rc;
}

/* Clears rows outside [seq_lo, seq_hi] when the block straddles a bound. */
static int cut_by_seq(struct scan *sc, const struct item *it, uint64_t *sel, struct err *err)
{
    bits_fill(sel, it->n);
    if (it->seq_min >= sc->seq_lo && it->seq_max <= sc->seq_hi)
        return 0;
    for (uint32_t c = 0; c < sc->block->ncols; c++) {
        if (!str_eq(sc->block->cols[c].key, STR("seq")))
            continue;
        const struct colv *seq;
        int rc = block_load(sc->block, c, &seq, err);
        for (uint32_t i = 0; i < it->n && !rc; i++)
            if ((uint64_t)seq->i64[i] < sc->seq_lo || (uint64_t)seq->i64[i] > sc->seq_hi)
                bit_clear(sel, i);
        return rc;
    }
    return err_set(err, ERR_CORRUPT, "a block without sequence numbers");
}

static int read_item(struct scan *sc, const struct item *it, uint32_t *ret_n, struct err *err)
{
    struct sblock *sb;
    *ret_n = 0;
    int rc = open_item(sc, it, &sc->cost, &sc->arena, &sb, &sc->block, err);
    if (rc)
        return rc;
    if (sb && pruned(sc, sb)) {
        sc->cost.blocks_pruned++;
        sc->cost.pruned_stats++;
        return 0;
    }
    sc->cost.blocks_read++;
    sc->cost.rows_scanned += it->n;
    if (sc->marks) {
        struct block *wrapped;
        rc = overlay_marks(sc->s->late, sc->block, &wrapped, err);
        if (rc)
            return rc;
        sc->block = wrapped;
    }
    uint64_t cut[BLOCK_WORDS];
    rc = cut_by_seq(sc, it, cut, err);
    if (it->seg)
        seg_hide_dead(it->seg, it->index, cut);
    if (!rc && sc->filter)
        rc = pred_eval(sc->filter, sc->block, cut, sc->sel, sc->run, sc->plan.cancel, err);
    else if (!rc)
        memcpy(sc->sel, cut, BITS_WORDS(it->n) * 8);
    sc->cost.gave_up = pred_run_gave_up(sc->run);
    if (!rc) {
        *ret_n = (uint32_t)bits_count(sc->sel, it->n);
        sc->cost.rows_matched += *ret_n;
    }
    return rc;
}

#define ROOM_MAX ((size_t)16 << 20)

static void drop_block(struct scan *sc)
{
    size_t used = sc->arena.used < ROOM_MAX ? sc->arena.used : ROOM_MAX;
    if (used > sc->room + sc->room / 4 + 4096) /* it counts its own headers too */
        sc->room = used;
    block_close(sc->block);
    sc->block = NULL;
    arena_reset(&sc->arena);
}

int scan_next(struct scan *sc, struct scan_block *ret, struct err *err)
{
    struct scan *list = sc->list;
    for (;;) {
        drop_block(sc);
        if (sc->plan.cancel && *sc->plan.cancel)
            return err_set(err, ERR_CANCELED, "the query was cancelled");
        uint32_t at = atomic_load_explicit(&list->next, memory_order_relaxed);
        if (at >= list->n)
            break;
        const struct item *it = &list->items[at];
        sc->reached = it->seq_min;
        if (sc->plan.pause && *sc->plan.pause && it->seq_min > sc->plan.seq_after + 1)
            return err_set(err, ERR_CANCELED, "the scan is to go on later");
        if (!atomic_compare_exchange_weak(&list->next, &at, at + 1))
            continue;                                                        /* a fork took it */
        if (!wanted(list, it->t_min, it->t_max, it->seq_min, it->seq_max)) { /* the floor rose */
            sc->cost.blocks_pruned++;
            sc->cost.pruned_bounds++;
            continue;
        }
        uint32_t nsel;
        arena_reserve(&sc->arena, sc->room); /* without it each request is made by itself */
        int rc = read_item(sc, it, &nsel, err);
        if (rc == ERR_CORRUPT || rc == ERR_IO) {
            note_incomplete(sc, err);
            err_reset(err);
            continue;
        }
        if (rc)
            return rc;
        if (!nsel)
            continue;
        *ret = (struct scan_block){ sc->block, sc->sel, nsel, it->t_min, it->t_max, at };
        return 0;
    }
    sc->reached = list->sn.watermark + 1;
    return 1;
}

int scan_again(struct scan *sc, uint32_t ref, struct scan_cost *cost, struct arena *a,
               struct block **ret, struct err *err)
{
    struct sblock *sb;
    struct block *b, *wrapped;
    int rc = open_item(sc, &sc->list->items[ref], cost, a, &sb, &b, err);
    if (rc || !sc->marks) {
        if (!rc)
            *ret = b;
        return rc;
    }
    rc = overlay_marks(sc->s->late, b, &wrapped, err);
    if (rc)
        block_close(b);
    else
        *ret = wrapped;
    return rc;
}

static void raise_to(_Atomic int64_t *bound, int64_t t)
{
    int64_t now = atomic_load_explicit(bound, memory_order_relaxed);
    while (t > now && !atomic_compare_exchange_weak(bound, &now, t))
        ;
}

static void lower_to(_Atomic int64_t *bound, int64_t t)
{
    int64_t now = atomic_load_explicit(bound, memory_order_relaxed);
    while (t < now && !atomic_compare_exchange_weak(bound, &now, t))
        ;
}

void scan_set_floor(struct scan *sc, ts_ns t)
{
    if (sc->plan.order == SCAN_NEWEST)
        raise_to(&sc->list->t_lo, t);
    else if (sc->plan.order == SCAN_OLDEST)
        lower_to(&sc->list->t_hi, t);
}

uint64_t scan_reached(const struct scan *sc)
{
    return sc->reached;
}

uint64_t scan_watermark(const struct scan *sc)
{
    return sc->list->sn.watermark;
}

const struct scan_cost *scan_get_cost(const struct scan *sc)
{
    return &sc->cost;
}

void scan_close(struct scan *sc)
{
    if (!sc)
        return;
    drop_block(sc);
    pred_run_free(sc->run);
    if (sc->list == sc)
        snapshot_release(&sc->sn);
    arena_deinit(&sc->arena);
    mem_free(sc->items);
    mem_free(sc);
}
