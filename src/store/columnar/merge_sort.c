/* merge_sort.c: rows of several segments in one order, with bounded memory.
 *
 *   blocks by rising t_min -> opened one after another -> pool of places -> groups, as at flush
 *
 * A sweep over time: no row that is still in a closed block is older than that block's t_min, so
 * what lies before the next block's t_min is complete, and the oldest group of it can be written. A
 * block is closed with its last row. Rows that came in order overlap little, and a group or two are
 * open at a time. Where event times are shuffled, every block overlaps every other: then
 * MERGE_OPEN_BYTES are opened, and the oldest rows of these are written although others of their
 * time may follow. So a block is decoded once, always; only the pruning by time is worse. */
#include "store/columnar/merge.h"

#include <stdlib.h>

#include "store/columnar/order.h"

struct input { /* a block of a segment */
    struct seg *g;
    uint32_t index;
    uint32_t left; /* rows not yet written */
    size_t bytes;  /* decoded */
    struct arena arena;
};

struct sweep {
    struct merge_sort *m;
    struct input *in; /* in order of seq: segments, then blocks of each */
    struct block **blocks;
    struct source *src;
    uint32_t n;
    uint32_t *order; /* numbers of inputs by t_min */
    uint32_t next;   /* of these, the first that is not opened */
    struct place *pool;
    uint64_t npool, cap;
    uint64_t weight; /* text bytes of the pool's rows */
    size_t open;     /* bytes of decoded blocks */
    struct cluster *cluster;
};

static ts_ns t_min_of(const struct input *in)
{
    return in->g->blocks[in->index].t_min;
}

struct start { /* for sorting inputs */
    ts_ns t;
    uint32_t at;
};

static int by_start(const void *pa, const void *pb)
{
    const struct start *a = pa, *b = pb;
    int c = (a->t > b->t) - (a->t < b->t);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

static int order_inputs(struct sweep *s, struct err *err)
{
    struct start *v = mem_array(s->n + 1, sizeof *v);
    if (!v)
        return err_nomem(err);
    for (uint32_t i = 0; i < s->n; i++)
        v[i] = (struct start){ t_min_of(&s->in[i]), i };
    qsort(v, s->n, sizeof *v, by_start);
    for (uint32_t i = 0; i < s->n; i++)
        s->order[i] = v[i].at;
    mem_free(v);
    return 0;
}

static int sweep_init(struct sweep *s, struct merge_sort *m, struct seg *const *segs, uint32_t n,
                      struct err *err)
{
    *s = (struct sweep){ .m = m };
    for (uint32_t i = 0; i < n; i++) {
        int rc = seg_open(segs[i], err);
        if (rc) {
            m->failed = segs[i];
            return rc;
        }
        s->n += segs[i]->m.nblocks;
    }
    s->in = mem_zarray(s->n + 1, sizeof *s->in);
    s->blocks = mem_zarray(s->n + 1, sizeof(struct block *));
    s->src = mem_zarray(s->n + 1, sizeof *s->src);
    s->order = mem_array(s->n + 1, sizeof *s->order);
    s->cluster = cluster_new();
    if (!s->in || !s->blocks || !s->src || !s->order || !s->cluster)
        return err_nomem(err);
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t b = 0; b < segs[i]->m.nblocks; b++)
            s->in[k++] = (struct input){ .g = segs[i], .index = b };
    return order_inputs(s, err);
}

static void input_close(struct sweep *s, uint32_t i)
{
    if (!s->blocks[i])
        return;
    s->open -= s->in[i].bytes;
    block_close(s->blocks[i]);
    s->blocks[i] = NULL;
    arena_deinit(&s->in[i].arena);
}

static void sweep_deinit(struct sweep *s)
{
    for (uint32_t i = 0; s->blocks && s->in && i < s->n; i++)
        input_close(s, i);
    mem_free(s->in);
    mem_free(s->blocks);
    mem_free(s->src);
    mem_free(s->order);
    mem_free(s->pool);
    cluster_free(s->cluster);
}

static int pool_reserve(struct sweep *s, uint32_t more, struct err *err)
{
    if (s->npool + more <= s->cap)
        return 0;
    uint64_t cap = (s->npool + more) * 2;
    struct place *v = mem_realloc(s->pool, cap * sizeof *v);
    if (!v)
        return err_nomem(err);
    s->pool = v;
    s->cap = cap;
    return 0;
}

/* Opens the next block; its rows go into the pool. */
static int open_next(struct sweep *s, struct err *err)
{
    uint32_t i = s->order[s->next];
    struct input *in = &s->in[i];
    struct sblock *sb;
    arena_init(&in->arena, ARENA_MAX);
    int rc = sblock_open(in->g, in->index, &in->arena, &sb, err);
    if (rc) {
        arena_deinit(&in->arena);
        s->m->failed = in->g;
        return rc;
    }
    struct block *b = sblock_block(sb);
    rc = source_open(&s->src[i], b, err);
    s->blocks[i] = b;
    in->bytes = in->arena.used;
    s->open += in->bytes;
    s->next++;
    const struct colv *time = column_of(b, F_TIMESTAMP, V_I64, &rc, err);
    if (!rc && (!time || time->nvals != b->n))
        rc = err_set(err, ERR_CORRUPT, "rows without a timestamp");
    if (rc) {
        s->m->failed = in->g;
        return rc;
    }
    rc = pool_reserve(s, b->n, err);
    if (rc)
        return rc;
    uint64_t live[BLOCK_WORDS];
    bits_fill(live, b->n);
    seg_hide_dead(in->g, in->index, live);
    for (size_t r = bits_next(live, 0, b->n); r < b->n; r = bits_next(live, r + 1, b->n))
        s->pool[s->npool++] = (struct place){ time->i64[r], i, (uint16_t)r };
    in->left = (uint32_t)bits_count(live, b->n);
    s->weight += s->src[i].weight * in->left;
    if (!in->left)
        input_close(s, i);
    return 0;
}

static bool is_full(uint64_t rows, uint64_t weight)
{
    return rows >= GROUP_ROWS || weight >= MERGE_GROUP_BYTES;
}

/* Is there a group of rows that no later block can add to? */
static bool is_ready(const struct sweep *s)
{
    if (!is_full(s->npool, s->weight))
        return false;
    ts_ns horizon = t_min_of(&s->in[s->order[s->next]]);
    uint64_t rows = 0, weight = 0;
    for (uint64_t i = 0; i < s->npool; i++)
        if (s->pool[i].t < horizon) {
            rows++;
            weight += s->src[s->pool[i].block].weight;
        }
    return is_full(rows, weight);
}

/* Rows of the group that the sorted pool begins with. At the end what is left is shared evenly. */
static uint32_t group_rows(const struct sweep *s)
{
    uint64_t want = MERGE_GROUP_BYTES, rows = GROUP_ROWS, weight = 0;
    if (s->next == s->n) {
        uint64_t by_weight = (s->weight + MERGE_GROUP_BYTES - 1) / MERGE_GROUP_BYTES;
        uint64_t by_rows = (s->npool + GROUP_ROWS - 1) / GROUP_ROWS;
        uint64_t groups = by_weight > by_rows ? by_weight : by_rows;
        want = s->weight / groups + 1;
        rows = by_rows >= by_weight ? (s->npool + groups - 1) / groups : rows;
    }
    uint32_t n = 0;
    while (n < s->npool && n < rows && (n == 0 || weight < want))
        weight += s->src[s->pool[n++].block].weight;
    return n;
}

static int emit(struct sweep *s, struct err *err)
{
    places_sort(s->pool, s->npool);
    uint32_t n = group_rows(s);
    int rc = group_write(s->m->w, s->cluster, s->blocks, s->src, s->n, s->pool, n,
                         MERGE_BLOCK_BYTES, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t b = s->pool[i].block;
        s->weight -= s->src[b].weight;
        if (--s->in[b].left == 0)
            input_close(s, b);
    }
    s->npool -= n;
    memmove(s->pool, s->pool + n, s->npool * sizeof *s->pool);
    return s->m->go_on(s->m->ctx, err);
}

int merge_sort(struct merge_sort *m, struct seg *const *segs, uint32_t n, struct err *err)
{
    struct sweep s;
    int rc = sweep_init(&s, m, segs, n, err);
    while (!rc && (s.next < s.n || s.npool)) {
        while (!rc && s.next < s.n && !is_ready(&s) && (s.open < MERGE_OPEN_BYTES || !s.npool))
            rc = open_next(&s, err);
        if (!rc && s.npool)
            rc = emit(&s, err);
    }
    sweep_deinit(&s);
    return rc;
}
