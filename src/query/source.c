/* source.c: from the store's scan to the first operator.
 *
 * As it comes: every scan block is a chunk. In order: the scan gives blocks by falling t_max
 * (newest first), so a row is certain to be next as soon as its time is above the t_max of the
 * block in hand:
 *
 *     kept rows, sorted   9:58 9:57 9:51 | 9:50 9:44     next block [9:20 .. 9:50]
 *                         hand on now    | wait
 *
 * Wanted at most k rows (REFS_MAX), the k best are kept as references (refs.h), the scan is told
 * the floor, and the columns of those k are read at the end. Else rows are copied; over the memory
 * budget the rows furthest back are dropped; when the scan has ended it is opened again behind the
 * last row handed on, so that any number of rows of any size comes out in order within bounded
 * memory. All of it is mirrored for oldest first. */
#include "base/mem.h"
#include "query/parts.h"
#include "query/run.h"

#include <stdlib.h>

struct place {
    ts_ns t;
    uint64_t seq;
};

struct cand {
    struct place at;
    uint32_t row;
};

struct source {
    struct run *r;
    struct op *first;
    bool oldest;
    uint64_t left; /* rows still to be handed on */
    const struct schema *need;
    bool after; /* only rows behind `from` */
    struct place from;
    bool cut; /* rows at or behind `cut_at` were dropped in this pass */
    struct place cut_at;
    struct kept **rows; /* sorted, first to be handed on first */
    uint32_t n, cap;
    struct cand *cand; /* of the block in hand */
    uint64_t max_seq;
    bool first_pass;
    bool count;  /* count every match of the first pass, also past the last row wanted */
    bool done;   /* no further row is wanted */
    bool by_ref; /* rows are kept in `top` */
    struct topk top;
};

/* does x come before y in the answer? */
static bool before(const struct source *s, struct place x, struct place y)
{
    if (x.t != y.t)
        return s->oldest ? x.t < y.t : x.t > y.t;
    return s->oldest ? x.seq < y.seq : x.seq > y.seq;
}

static struct place place_of(const struct kept *k)
{
    return (struct place){ k->t, k->seq };
}

static int cand_cmp(const void *x, const void *y, void *arg)
{
    const struct cand *a = x, *b = y;
    return before(arg, a->at, b->at) ? -1 : before(arg, b->at, a->at);
}

/* Rows of the block that may still be wanted, in order. */
static int candidates(struct source *s, const struct scan_block *sb, uint32_t *ret_n,
                      struct err *err)
{
    struct block *b = sb->block;
    struct fieldref time = { .field = F_TIMESTAMP, .key = field_table[F_TIMESTAMP].name };
    struct fieldref seq = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    struct access ta, sa;
    time.hash = field_dotted_hash(time.key);
    seq.hash = field_dotted_hash(seq.key);
    int rc = access_open(&ta, b, &time, err);
    if (!rc)
        rc = access_open(&sa, b, &seq, err);
    if (rc)
        return rc;
    uint32_t n = 0;
    bool full = s->left != UINT64_MAX && s->n >= s->left;
    struct place worst = full ? place_of(s->rows[s->n - 1]) : (struct place){ 0 };
    for (size_t i = bits_next(sb->sel, 0, b->n); i < b->n; i = bits_next(sb->sel, i + 1, b->n)) {
        struct place at = { access_time(&ta, (uint32_t)i),
                            (uint64_t)access_time(&sa, (uint32_t)i) };
        if ((s->after && !before(s, s->from, at)) || (s->cut && !before(s, at, s->cut_at)) ||
            (full && !before(s, at, worst)))
            continue;
        s->cand[n++] = (struct cand){ at, (uint32_t)i };
    }
    qsort_r(s->cand, n, sizeof *s->cand, cand_cmp, s);
    *ret_n = n;
    return 0;
}

static void drop_last(struct source *s)
{
    struct kept *k = s->rows[--s->n];
    s->cut = true;
    s->cut_at = place_of(k);
    kept_free(s->r, k);
}

static bool over_budget(const struct source *s)
{
    return s->n > 1 && s->r->kept_bytes + s->r->arena.used > s->r->budget;
}

/* Merges candidates into the kept rows; m = how many of both together stay. */
static int merge(struct source *s, struct block *b, uint32_t ncand, struct err *err)
{
    uint64_t all = (uint64_t)s->n + ncand;
    uint32_t m = all < s->left ? (uint32_t)all : (uint32_t)s->left;
    struct kept **out = mem_alloc(((size_t)m + 1) * sizeof(struct kept *));
    if (!out)
        return err_nomem(err);
    uint32_t i = 0, k = 0, n = 0;
    int rc = 0;
    while (n < m && !rc && (i < s->n || k < ncand)) { /* making room lowers s->n on the way */
        bool old = i < s->n && (k == ncand || before(s, place_of(s->rows[i]), s->cand[k].at));
        if (old) {
            out[n++] = s->rows[i++];
            continue;
        }
        if (s->cut && !before(s, s->cand[k].at, s->cut_at))
            break; /* dropped meanwhile, and so is all that follows */
        rc = kept_new(&out[n], s->r, b, s->cand[k].row, s->need, NULL, 0, err);
        if (rc)
            break;
        out[n]->t = s->cand[k].at.t;
        out[n++]->seq = s->cand[k++].at.seq;
        /* make room from the far end of what was kept before */
        while (over_budget(s) && i < s->n)
            drop_last(s);
        if (i == s->n && n > 1 && s->r->kept_bytes + s->r->arena.used > s->r->budget) {
            s->cut = true;
            s->cut_at = place_of(out[--n]);
            kept_free(s->r, out[n]);
            break;
        }
    }
    while (i < s->n && n < m) /* stopped early: the old ones left are all further back */
        out[n++] = s->rows[i++];
    for (; i < s->n; i++)
        kept_free(s->r, s->rows[i]);
    mem_free(s->rows);
    s->rows = out;
    s->n = n;
    s->cap = m + 1;
    return rc;
}

/* hands on the first n kept rows */
static int hand_on(struct source *s, uint32_t n, struct err *err)
{
    if (!n)
        return 0;
    s->from = place_of(s->rows[n - 1]);
    s->after = true;
    if (s->left != UINT64_MAX)
        s->left -= n;
    int rc = kept_push(s->r, s->first, s->rows, n, err);
    s->n -= n;
    memmove(s->rows, s->rows + n, s->n * sizeof(struct kept *));
    return rc ? rc : s->left == 0 ? OP_ENOUGH : 0;
}

static int take_block(struct source *s, struct scan *sc, const struct scan_block *sb,
                      struct err *err)
{
    uint32_t ready = 0, ncand;
    while (ready < s->n &&
           (s->oldest ? s->rows[ready]->t < sb->t_min : s->rows[ready]->t > sb->t_max))
        ready++;
    int rc = hand_on(s, ready, err);
    if (rc)
        return rc;
    rc = candidates(s, sb, &ncand, err);
    if (rc || !ncand)
        return rc;
    rc = kept_attach(s->r, sb->block, err);
    if (!rc)
        rc = merge(s, sb->block, ncand, err);
    if (rc)
        return rc;
    if (s->count && s->first_pass)
        return 0;
    if (s->left != UINT64_MAX && s->n >= s->left)
        scan_set_floor(sc, s->rows[s->n - 1]->t);
    else if (s->cut)
        scan_set_floor(sc, s->cut_at.t);
    return 0;
}

static int take_refs(struct source *s, struct scan *sc, const struct scan_block *sb,
                     struct err *err)
{
    struct topk *t = &s->top;
    int rc = topk_add(t, s->r, sb, err);
    if (!rc && !s->count && t->n == t->k)
        scan_set_floor(sc, t->v[0].t);
    return rc;
}

static enum scan_order scan_order(const struct plan *plan)
{
    if (!plan->ordered && !plan->dedup && !plan->sorted)
        return SCAN_ANY;
    return plan->oldest ? SCAN_OLDEST : SCAN_NEWEST;
}

static int open_scan(struct source *s, const struct plan *plan, const struct pred *filter,
                     struct scan **ret, struct err *err)
{
    struct query *q = s->r->q;
    struct scan_plan sp = { .filter = filter,
                            .order = scan_order(plan),
                            .seq_max = s->max_seq,
                            .marks = s->r->marks,
                            .no_prune = q->o.no_prune,
                            .cancel = &s->r->ctl->cancel };
    return store_scan(s->r->store, &sp, ret, err);
}

void cost_add(struct scan_cost *to, const struct scan_cost *c)
{
    to->blocks_read += c->blocks_read;
    to->rows_scanned += c->rows_scanned;
    to->bytes_read += c->bytes_read;
    to->bytes_decoded += c->bytes_decoded;
    to->pages_decoded += c->pages_decoded;
    to->pages_cached += c->pages_cached;
    to->gave_up += c->gave_up;
    if (c->incomplete && !to->incomplete) {
        to->incomplete = true;
        memcpy(to->incomplete_why, c->incomplete_why, sizeof to->incomplete_why);
    }
}

static void note_cost(struct source *s, const struct scan *sc)
{
    if (s->first_pass)
        s->r->res->cost = *scan_get_cost(sc);
    else
        cost_add(&s->r->res->cost, scan_get_cost(sc));
}

/* Does a sort by time tell the scan how far to read? Then the rows it passes over are not counted.
 */
static bool floored(const struct source *s, const struct plan *plan)
{
    return plan->sorted && !s->r->q->want_total && parts_collector(s->r);
}

/* The scan in parts, where that can be done: 0, PARTS_AGAIN (not at all, or not within the budget),
 * < 0. */
static int pass_in_parts(struct source *s, const struct plan *plan, struct scan *sc,
                         struct err *err)
{
    struct run *r = s->r;
    struct parts_plan pp = { .r = r,
                             .sc = sc,
                             .top = s->by_ref ? &s->top : NULL,
                             .floor = s->by_ref ? !s->count : floored(s, plan) };
    uint64_t matched = 0;
    if ((plan->ordered && !s->by_ref) || plan->dedup || !parts_worth(&pp))
        return PARTS_AGAIN;
    struct scan_cost before = r->res->cost;
    note_cost(s, sc);
    int rc = parts_run(&pp, &matched, err);
    if (rc) {
        r->res->cost = before;
        return rc;
    }
    if ((!plan->ordered && !floored(s, plan)) || s->count) {
        r->res->total += matched;
        r->res->total_known = true;
    }
    return 0;
}

/* One scan from end to end: 0 = all seen, OP_ENOUGH, < 0. */
static int pass(struct source *s, const struct plan *plan, const struct pred *filter,
                struct err *err)
{
    struct run *r = s->r;
    struct scan *sc;
    struct scan_block sb;
    int rc = open_scan(s, plan, filter, &sc, err), got = 0;
    if (rc)
        return rc;
    if (s->first_pass) {
        r->res->watermark = scan_watermark(sc);
        if (!s->max_seq)
            s->max_seq = r->res->watermark;
    }
    bool count = s->first_pass && (!plan->ordered || s->count) && !floored(s, plan);
    ts_ns floor;
    rc = pass_in_parts(s, plan, sc, err);
    if (rc == 0) {
        r->scan = sc;
        s->first_pass = false;
    }
    if (rc <= 0) {
        if (rc < 0)
            scan_close(sc);
        return rc;
    }
    scan_rewind(sc);
    s->first = r->ops; /* new ones when parts were tried */
    const struct op *sort = floored(s, plan) ? parts_collector(r) : NULL;
    rc = 0;
    while (!rc && (rc = run_check(r, err)) == 0 && (got = scan_next(sc, &sb, err)) == 0) {
        if (count)
            r->res->total += sb.nsel;
        if (!plan->ordered)
            rc = op_push(s->first, &(struct chunk){ sb.block, sb.sel, sb.nsel, true, sb.ref }, err);
        else if (s->by_ref)
            rc = take_refs(s, sc, &sb, err);
        else if (!s->done)
            rc = take_block(s, sc, &sb, err);
        if (sort && sort_floor(sort, &floor))
            scan_set_floor(sc, floor);
        if (rc == OP_ENOUGH && count && s->count) {
            s->done = true; /* go on for the number of matches */
            rc = 0;
        }
    }
    if (got < 0)
        rc = got;
    if (rc == 0)
        r->res->total_known |= count;
    note_cost(s, sc);
    if (!plan->ordered || s->by_ref)
        r->scan = sc; /* rows may be named by reference until the end */
    else
        scan_close(sc);
    s->first_pass = false;
    return rc;
}

/* The filter narrowed to what lies behind the last row handed on. */
static int narrowed(struct source *s, struct arena *a, const struct pred **ret, struct err *err)
{
    const struct pred *f = s->r->q->filter;
    if (s->after && !(s->first_pass && s->count)) {
        struct pred *t = s->oldest
                             ? pred_time(a, s->from.t, TS_MAX)
                             : pred_time(a, TS_MIN, s->from.t == TS_MAX ? TS_MAX : s->from.t + 1);
        /* pred_and keeps both as they are: the filter is only read */
        f = pred_and(a, t, (struct pred *)(uintptr_t)f);
    }
    *ret = f;
    return f ? 0 : err_nomem(err);
}

static int ordered_passes(struct source *s, const struct plan *plan, struct err *err)
{
    struct arena a;
    int rc = 0;
    arena_init(&a, (size_t)1 << 20);
    do {
        const struct pred *filter;
        arena_reset(&a);
        s->cut = false;
        rc = narrowed(s, &a, &filter, err);
        if (!rc)
            rc = pass(s, plan, filter, err);
        if (!rc && !s->done)
            rc = hand_on(s, s->n, err);
    } while (!rc && !s->done && s->cut);
    arena_deinit(&a);
    return rc;
}

/* few rows are wanted: one pass by reference */
static int ref_pass(struct source *s, const struct plan *plan, struct err *err)
{
    const struct pred *filter;
    struct arena a;
    arena_init(&a, (size_t)1 << 20);
    s->by_ref = true;
    s->top = (struct topk){ .oldest = s->oldest,
                            .k = s->left,
                            .after = s->after,
                            .from_t = s->from.t,
                            .from_seq = s->from.seq };
    int rc = narrowed(s, &a, &filter, err);
    if (!rc)
        rc = pass(s, plan, filter, err);
    if (!rc) {
        topk_sort(&s->top);
        rc = refs_push(s->r, s->first, s->top.v, s->top.n, s->need, err);
    }
    topk_deinit(&s->top);
    if (s->r->scan) /* it refers to the filter */
        scan_close(s->r->scan);
    s->r->scan = NULL;
    arena_deinit(&a);
    return rc;
}

int source_run(struct run *r, const struct plan *plan, uint64_t need, struct err *err)
{
    struct query *q = r->q;
    struct source s = {
        .r = r, .first = r->ops, .oldest = plan->oldest, .left = need, .first_pass = true
    };
    int rc = 0;
    s.count = q->want_total && plan->ordered;
    s.max_seq = q->paged ? q->page_max_seq : q->max_seq;
    s.need = plan->ordered ? refs_need(r, q->first) : NULL;
    if (q->paged) {
        s.after = true;
        s.from = (struct place){ q->page_time, q->page_seq };
    }
    s.cand = mem_array(BLOCK_ROWS_MAX, sizeof *s.cand);
    if (!s.cand)
        return err_nomem(err);
    if (plan->ordered && need && need <= REFS_MAX && need * sizeof(struct rowref) < r->budget / 4)
        rc = ref_pass(&s, plan, err);
    else if (plan->ordered)
        rc = need || s.count ? ordered_passes(&s, plan, err) : 0;
    else
        rc = pass(&s, plan, q->filter, err);
    for (uint32_t i = 0; i < s.n; i++)
        kept_free(r, s.rows[i]);
    mem_free(s.rows);
    mem_free(s.cand);
    return rc < 0 ? rc : op_finish(r->ops, err);
}
