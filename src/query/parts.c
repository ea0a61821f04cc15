/* parts.c: see parts.h. */
#include "query/parts.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/turns.h"
#include "query/run.h"

#define BLOCKS_WORTH 4  /* fewer are read faster than handed out */
#define GAVE_UP_MAX 100 /* rows past which a regular expression is too complex (pred_regex.c) */

struct part {
    struct run run;
    struct query_result res;
    struct scan *sc;
    struct topk top;
    const struct op *collector; /* the last of its operators */
    uint64_t matched;
    bool begun;
    int rc;
    struct err err;
};

struct parts {
    struct turn_job job;
    const struct parts_plan *plan;
    const struct op *collector; /* of the run; NULL with plan->top */
    struct part *v;
    uint32_t n;
    _Atomic bool failed;
    size_t kept_before; /* of the run */
    bool arena_empty;
};

struct op *parts_collector(struct run *r)
{
    bool named = true; /* rows that reach it can be named by reference */
    for (struct op *o = r->ops; o && o->pipe; o = o->next) {
        if (o->pipe->def == &pipe_sort && o->keep == UINT64_MAX)
            return NULL;
        bool rows = o->pipe->def == &pipe_sort || o->pipe->def == &pipe_sample;
        if (o->ops->merge) /* copied rows know their columns by the numbers of their own run */
            return rows && !named ? NULL : o;
        if (o->ops->finish) /* it holds rows back (lookup), and a part is never finished */
            return NULL;
        if (o->pipe->def != &pipe_where && !(o->pipe->def->flags & PIPE_ROWWISE))
            return NULL;
        named &= o->pipe->def == &pipe_where || o->pipe->def == &pipe_fields;
    }
    return NULL;
}

bool parts_worth(const struct parts_plan *p)
{
    struct turns *t = p->r->ctl->turns;
    return t && turns_threads(t) > 1 && scan_blocks(p->sc) >= BLOCKS_WORTH &&
           (p->top || parts_collector(p->r));
}

/* ---- one part, on its thread ---- */

static int part_begin(struct parts *ps, struct part *p, struct err *err)
{
    struct run *whole = ps->plan->r;
    p->begun = true;
    p->run = (struct run){ .q = whole->q,
                           .store = whole->store,
                           .ctl = whole->ctl,
                           .res = &p->res,
                           .budget = whole->budget,
                           .started = whole->started,
                           .whole = whole,
                           .marks = whole->marks };
    arena_init(&p->run.arena, whole->budget);
    arena_init(&p->run.batch, RUN_BATCH_MAX);
    if (ps->plan->top) {
        p->top = *ps->plan->top;
        p->top.v = NULL;
        p->top.n = p->top.cap = 0;
    }
    int rc = pred_run_new(&p->run.preds, err);
    if (!rc)
        rc = colkeys_new(&p->run.keys, err);
    if (!rc && ps->collector)
        rc = ops_chain(&p->run, whole->ops, ps->collector, &p->run.ops, err);
    for (const struct op *o = p->run.ops; o && !rc; o = o->next)
        p->collector = o;
    return rc ? rc : scan_fork(ps->plan->sc, &p->sc, err);
}

static int part_take(struct parts *ps, struct part *p, const struct scan_block *sb, struct err *err)
{
    p->matched += sb->nsel;
    if (ps->collector) {
        ts_ns floor;
        int rc = op_push(p->run.ops, &(struct chunk){ sb->block, sb->sel, sb->nsel, true, sb->ref },
                         err);
        if (!rc && ps->plan->floor && sort_floor(p->collector, &floor))
            scan_set_floor(p->sc, floor);
        return rc;
    }
    int rc = topk_add(&p->top, &p->run, sb, err);
    if (!rc && ps->plan->floor && p->top.n && p->top.n == p->top.k)
        scan_set_floor(p->sc, p->top.v[0].t);
    return rc;
}

static bool part_step(struct turn_job *job, uint32_t slot)
{
    struct parts *ps = (struct parts *)(void *)((char *)job - offsetof(struct parts, job));
    struct part *p = &ps->v[slot];
    struct scan_block sb;
    if (atomic_load_explicit(&ps->failed, memory_order_relaxed))
        return false;
    int rc = p->begun ? 0 : part_begin(ps, p, &p->err);
    if (!rc)
        rc = run_check(&p->run, &p->err);
    if (!rc)
        rc = scan_next(p->sc, &sb, &p->err);
    if (!rc)
        rc = part_take(ps, p, &sb, &p->err);
    if (rc < 0) {
        p->rc = rc;
        atomic_store_explicit(&ps->failed, true, memory_order_relaxed);
    }
    return rc == 0;
}

static void part_end(struct part *p)
{
    if (!p->begun)
        return;
    topk_deinit(&p->top);
    if (p->sc)
        scan_close(p->sc);
    ops_close(p->run.ops);
    arena_deinit(&p->run.arena);
    arena_deinit(&p->run.batch);
    pred_run_free(p->run.preds);
    colkeys_free(p->run.keys);
    p->begun = false;
}

/* ---- all of them ---- */

/* The error to tell: any but a lack of room, which is one only when it remains in one part. */
static int failure(struct parts *ps, struct err *err)
{
    struct part *told = NULL;
    for (uint32_t i = 0; i < ps->n; i++) {
        struct part *p = &ps->v[i];
        if (p->rc < 0 && (!told || told->rc == ERR_LIMIT))
            told = p;
    }
    /* each part has counted by itself: in one it ends with the error of the expression */
    uint64_t gave_up = 0;
    for (uint32_t i = 0; i < ps->n; i++) {
        const struct part *p = &ps->v[i];
        if (p->begun && p->sc)
            gave_up += scan_get_cost(p->sc)->gave_up + pred_run_gave_up(p->run.preds);
    }
    if (!told)
        return gave_up > GAVE_UP_MAX ? PARTS_AGAIN : 0;
    if (told->rc == ERR_LIMIT)
        return PARTS_AGAIN;
    *err = told->err;
    return told->rc;
}

static int merge_part(struct parts *ps, struct part *p, struct err *err)
{
    if (!ps->collector)
        return topk_merge(ps->plan->top, ps->plan->r, &p->top, err);
    struct op *from = p->run.ops, *into = ps->plan->r->ops;
    for (; into != ps->collector; into = into->next)
        from = from->next;
    return into->ops->merge(into, from, err);
}

static void add_part_cost(struct scan_cost *to, const struct part *p)
{
    const struct scan_cost *c = scan_get_cost(p->sc);
    to->blocks_pruned += c->blocks_pruned;
    to->blocks_read += c->blocks_read;
    to->rows_scanned += c->rows_scanned;
    to->rows_matched += c->rows_matched;
    to->bytes_read += c->bytes_read;
    to->bytes_decoded += c->bytes_decoded;
    to->pages_decoded += c->pages_decoded;
    to->pages_cached += c->pages_cached;
    to->gave_up += c->gave_up + pred_run_gave_up(p->run.preds);
    to->workers++;
    if (c->incomplete && !to->incomplete) {
        to->incomplete = true;
        memcpy(to->incomplete_why, c->incomplete_why, sizeof to->incomplete_why);
    }
}

static int merge_all(struct parts *ps, uint64_t *ret_matched, struct err *err)
{
    struct run *r = ps->plan->r;
    int rc = 0;
    for (uint32_t i = 0; i < ps->n && !rc; i++) {
        struct part *p = &ps->v[i];
        if (!p->begun)
            continue;
        *ret_matched += p->matched;
        rc = merge_part(ps, p, err);
        part_end(p);
    }
    if (rc != ERR_LIMIT)
        return rc;
    err_reset(err);
    if (ps->plan->top) {
        ps->plan->top->n = 0;
        return PARTS_AGAIN;
    }
    rc = ops_anew(r, ps->collector, err);
    r->kept_bytes = ps->kept_before;
    if (ps->arena_empty)
        arena_deinit(&r->arena); /* what was merged; it can be used on */
    return rc ? rc : PARTS_AGAIN;
}

int parts_run(const struct parts_plan *plan, uint64_t *ret_matched, struct err *err)
{
    struct run *r = plan->r;
    struct parts ps = { .job.step = part_step, .plan = plan, .n = turns_threads(r->ctl->turns) };
    ps.kept_before = r->kept_bytes;
    ps.arena_empty = !r->arena.used;
    ps.collector = plan->top ? NULL : parts_collector(r);
    ps.v = mem_zarray(ps.n, sizeof *ps.v);
    if (!ps.v)
        return err_nomem(err);
    atomic_store(&r->parts_bytes, r->kept_bytes + r->arena.used);
    int rc = turns_run(r->ctl->turns, &ps.job) ? failure(&ps, err) : PARTS_AGAIN;
    for (uint32_t i = 0; i < ps.n && !rc; i++)
        if (ps.v[i].begun)
            add_part_cost(&r->res->cost, &ps.v[i]);
    if (!rc)
        rc = merge_all(&ps, ret_matched, err);
    for (uint32_t i = 0; i < ps.n; i++)
        part_end(&ps.v[i]);
    mem_free(ps.v);
    return rc;
}
