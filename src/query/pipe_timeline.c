/* pipe_timeline.c: `timeline [step] [by f]`: counts a step of time, gaps filled with 0.
 *
 * Without a step one is chosen so that at most STEPS_WANTED of them cover the range. The range is
 * known only at the end unless the filter bounds it, so counting begins with the finest step of a
 * ladder and moves up it when there are too many buckets; every rung's buckets are made of whole
 * buckets of the one below, so the result is the same as if the last rung had been there from the
 * start. */
#include "base/hash.h"
#include "base/mem.h"
#include "query/group.h"

#define STEPS_WANTED 100
#define BUCKETS_FINE 8192 /* more than that: one rung up */
#define STEPS_MAX 10000000ull

static const int64_t ladder[] = {
    NS_PER_MS,       10 * NS_PER_MS,  100 * NS_PER_MS,  NS_PER_S,         5 * NS_PER_S,
    10 * NS_PER_S,   30 * NS_PER_S,   60 * NS_PER_S,    300 * NS_PER_S,   600 * NS_PER_S,
    1800 * NS_PER_S, 3600 * NS_PER_S, 10800 * NS_PER_S, 21600 * NS_PER_S, 43200 * NS_PER_S,
    NS_PER_DAY,      7 * NS_PER_DAY,  28 * NS_PER_DAY,  364 * NS_PER_DAY
};
#define RUNGS (sizeof ladder / sizeof *ladder)

struct timeline_args {
    int64_t step; /* 0 = chosen */
    struct fieldref time;
    struct by_args by;
};

struct bucket {
    ts_ns at;
    uint32_t group;
    bool used;
    uint64_t n;
};

struct timeline_op {
    struct op op;
    struct grouper g;
    bool grouping;
    int64_t step;
    size_t rung;
    struct bucket *slots;
    size_t n, cap;
    ts_ns min, max; /* of the rows */
};

static int timeline_parse(struct parser *p, struct pipe *pipe)
{
    struct timeline_args *t = arena_zalloc(p->a, sizeof *t);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    struct qname time = { .text = field_table[F_TIMESTAMP].name };
    int rc = 0;
    if (!t || !out)
        return err_nomem(p->err);
    pipe->args = t;
    lex_blank(p);
    time.pos = (int64_t)p->pos;
    char c = lex_peek(p, 0);
    if (c >= '0' && c <= '9')
        rc = lex_duration(p, &t->step, "the step");
    if (!rc && p->schema && !schema_find(p->schema, time.text) &&
        schema_find(p->schema, STR("time")))
        time.text = STR("time");
    if (!rc)
        rc = schema_resolve(p, &time, &t->time);
    if (!rc && lex_word(p, "by"))
        rc = parse_by(p, &t->by);
    if (rc)
        return rc;
    out->cols = arena_zalloc(p->a, (t->by.n + 2) * sizeof *out->cols);
    if (!out->cols)
        return err_nomem(p->err);
    rc = schema_computed(p, STR("time"), F_TIMESTAMP, &out->cols[out->n++]);
    for (uint32_t i = 0; i < t->by.n; i++)
        out->cols[out->n++] = t->by.cols[i];
    if (!rc)
        rc = schema_computed(p, STR("count"), F_NONE, &out->cols[out->n++]);
    pipe->out = out;
    return rc ? rc : schema_check(p, out, pipe->pos);
}

int64_t timeline_step(const struct pipe *p, const struct by_args **ret_by)
{
    const struct timeline_args *t = p->args;
    *ret_by = &t->by;
    return t->step;
}

static int timeline_open(struct op *o, struct err *err)
{
    struct timeline_op *t = (struct timeline_op *)o;
    const struct timeline_args *a = o->pipe->args;
    t->step = a->step ? a->step : ladder[0];
    t->min = TS_MAX;
    t->max = TS_MIN;
    t->grouping = true;
    return grouper_init(&t->g, o->run, "timeline", a->by.keys, a->by.n, err);
}

/* ---- counting ---- */

static struct bucket *slot_of(struct bucket *slots, size_t cap, ts_ns at, uint32_t group)
{
    size_t k = hash_mix((uint64_t)at ^ (uint64_t)group << 48) & (cap - 1);
    while (slots[k].used && (slots[k].at != at || slots[k].group != group))
        k = (k + 1) & (cap - 1);
    return &slots[k];
}

static bool add(struct timeline_op *t, ts_ns at, uint32_t group, uint64_t n)
{
    struct bucket *b = slot_of(t->slots, t->cap, at, group);
    bool fresh = !b->used;
    *b = (struct bucket){ at, group, true, b->n + n };
    t->n += fresh;
    return fresh;
}

/* all buckets into a table of cap slots, under the current step */
static int rebuild(struct timeline_op *t, size_t cap, struct err *err)
{
    struct run *r = t->op.run;
    struct bucket *old = t->slots;
    size_t was = t->cap;
    struct bucket *slots = mem_zarray(cap, sizeof *slots);
    if (!slots)
        return err_nomem(err);
    r->kept_bytes += cap * sizeof *slots;
    r->kept_bytes -= was * sizeof *slots;
    t->slots = slots;
    t->cap = cap;
    t->n = 0;
    for (size_t i = 0; i < was; i++)
        if (old[i].used)
            add(t, time_bucket(old[i].at, t->step, r->q->o.tz_minutes), old[i].group, old[i].n);
    mem_free(old);
    return run_room(r, "timeline", err);
}

static int make_room(struct timeline_op *t, struct err *err)
{
    const struct timeline_args *a = t->op.pipe->args;
    int rc = 0;
    if (!t->cap)
        return rebuild(t, 1024, err);
    while (!rc && !a->step && t->n > (size_t)BUCKETS_FINE * t->g.n && t->rung + 1 < RUNGS) {
        t->step = ladder[++t->rung];
        rc = rebuild(t, t->cap, err);
    }
    return rc || t->n * 2 < t->cap ? rc : rebuild(t, t->cap * 2, err);
}

static int timeline_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct timeline_op *t = (struct timeline_op *)o;
    const struct timeline_args *a = o->pipe->args;
    struct access time;
    ts_ns last = 0, at = 0;
    bool have = false;
    int rc = access_open(&time, c->b, &a->time, err);
    if (!rc)
        rc = grouper_rows(&t->g, c, err);
    for (size_t i = bits_next(c->sel, 0, c->b->n); i < c->b->n && !rc;
         i = bits_next(c->sel, i + 1, c->b->n)) {
        ts_ns now = access_time(&time, (uint32_t)i);
        if (!t->cap || t->n * 2 >= t->cap) {
            rc = make_room(t, err);
            have = false;
        }
        if (rc)
            break;
        if (!have || now != last)
            at = time_bucket(now, t->step, o->run->q->o.tz_minutes);
        have = true;
        last = now;
        t->min = now < t->min ? now : t->min;
        t->max = now > t->max ? now : t->max;
        add(t, at, t->g.gid[i], 1);
    }
    return rc;
}

static int timeline_merge(struct op *o, struct op *from, struct err *err)
{
    struct timeline_op *t = (struct timeline_op *)o, *f = (struct timeline_op *)from;
    uint32_t *map = mem_array(f->g.n + 1, sizeof *map);
    if (!map)
        return err_nomem(err);
    int rc = grouper_merge(&t->g, &f->g, map, err);
    t->min = f->min < t->min ? f->min : t->min;
    t->max = f->max > t->max ? f->max : t->max;
    if (!rc && f->rung > t->rung) { /* the coarser of both steps */
        t->rung = f->rung;
        t->step = f->step;
        rc = t->cap ? rebuild(t, t->cap, err) : 0;
    }
    for (size_t i = 0; i < f->cap && !rc; i++) {
        const struct bucket *b = &f->slots[i];
        if (!b->used)
            continue;
        if (!t->cap || t->n * 2 >= t->cap)
            rc = make_room(t, err);
        if (!rc)
            add(t, time_bucket(b->at, t->step, o->run->q->o.tz_minutes), map[b->group], b->n);
    }
    mem_free(map);
    return rc;
}

/* ---- the answer ---- */

/* From the filter where it bounds time, else from the rows. False: there is nothing to show. */
static bool range(const struct timeline_op *t, ts_ns *lo, ts_ns *hi)
{
    pred_time_bounds(t->op.run->q->filter, lo, hi);
    if (*lo > *hi)
        return false;
    bool any = t->min <= t->max;
    if ((*lo == TS_MIN || *hi == TS_MAX) && !any)
        return false;
    *lo = *lo == TS_MIN || (any && t->min < *lo) ? t->min : *lo;
    *hi = *hi == TS_MAX || (any && t->max > *hi) ? t->max : *hi;
    return true;
}

static uint64_t steps(ts_ns lo, ts_ns hi, int64_t step)
{
    return ((uint64_t)hi - (uint64_t)lo) / (uint64_t)step;
}

static int put_step(struct timeline_op *t, ts_ns at, const uint32_t *order, struct val *vals,
                    struct err *err)
{
    uint32_t nk = t->g.nkeys, nc = nk + 2, n = 0;
    enum { ROWS = 256 };
    int rc = 0;
    for (uint32_t i = 0; i < t->g.n && !rc; i++) {
        struct val *row = vals + (size_t)n * nc;
        struct bucket *b = t->cap ? slot_of(t->slots, t->cap, at, order[i]) : NULL;
        row[0] = (struct val){ .t = V_I64, .i = at };
        for (uint32_t k = 0; k < nk; k++)
            row[1 + k] = grouper_val(&t->g, order[i], k);
        row[nc - 1] = (struct val){ .t = V_I64, .i = b && b->used ? (int64_t)b->n : 0 };
        if (++n == ROWS || i + 1 == t->g.n) {
            rc = table_push(t->op.run, t->op.next, t->op.pipe->out, vals, n, err);
            n = 0;
        }
    }
    return rc;
}

static int timeline_finish(struct op *o, struct err *err)
{
    struct timeline_op *t = (struct timeline_op *)o;
    const struct timeline_args *a = o->pipe->args;
    struct run *r = o->run;
    ts_ns lo, hi;
    if (!range(t, &lo, &hi))
        return 0;
    while (!a->step && steps(lo, hi, t->step) > STEPS_WANTED && t->rung + 1 < RUNGS)
        t->step = ladder[++t->rung];
    if (steps(lo, hi, t->step) > STEPS_MAX) {
        err_at(err, ERR_INVALID, o->pipe->pos, "the timeline would have more than %llu steps",
               STEPS_MAX);
        err_hint(err, "choose a longer step, or bound the time with after: and before:");
        err_slug(err, "bad_query");
        return ERR_INVALID;
    }
    int rc = t->cap ? rebuild(t, t->cap, err) : 0;
    uint32_t *order = NULL;
    struct val *vals = mem_array((size_t)256 * (t->g.nkeys + 2), sizeof *vals);
    if (!rc && !vals)
        rc = err_nomem(err);
    if (!rc)
        rc = grouper_sorted(&t->g, &order, err);
    ts_ns at = time_bucket(lo, t->step, r->q->o.tz_minutes),
          end = time_bucket(hi, t->step, r->q->o.tz_minutes);
    while (!rc) {
        rc = run_check(r, err);
        if (!rc)
            rc = put_step(t, at, order, vals, err);
        if (at >= end || __builtin_add_overflow(at, t->step, &at))
            break;
    }
    mem_free(order);
    mem_free(vals);
    return rc;
}

static void timeline_close(struct op *o)
{
    struct timeline_op *t = (struct timeline_op *)o;
    if (t->grouping)
        grouper_deinit(&t->g);
    mem_free(t->slots);
}

static const struct op_ops timeline_ops = { sizeof(struct timeline_op),
                                            timeline_open,
                                            timeline_push,
                                            timeline_finish,
                                            timeline_close,
                                            timeline_merge };
const struct pipe_def pipe_timeline = { "timeline",
                                        PIPE_GROUPS,
                                        timeline_parse,
                                        &timeline_ops,
                                        "timeline [STEP] [by GROUP [as NAME], ...]",
                                        "counts a step of time, without gaps" };
