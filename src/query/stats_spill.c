/* stats_spill.c: groups that do not fit the budget.
 *
 * When the groups of `stats` take their share of the budget they are written in the order of their
 * keys, each with what its states hold, and counting goes on with none. In the end the runs are
 * merged: a group's records follow one another, and their states are added up. So one group has to
 * fit, never all of them, and the answer comes in its order by itself.
 *
 * A record's keys are the group's, a tag and a value. Tag 0 carries the states. Functions that hold
 * every value (count_distinct, percentiles) write a record for each, tag 1 + the number of the
 * function: these come in order, so that what differs can be counted and a rank be found without
 * holding them again. */
#include "query/stats.h"

#include "base/mem.h"
#include "base/rd.h"

#define BATCH 256

/* ---- out ---- */

static uint32_t record_keys(const struct stats_op *s)
{
    return s->g.nkeys + 2;
}

static int record_cmp(const void *arg, const struct kept *x, const struct kept *y)
{
    const struct stats_op *s = arg;
    int c = 0;
    for (uint32_t k = 0; k < record_keys(s) && !c; k++)
        c = spill_key_cmp(&x->key[k], &y->key[k]);
    return c;
}

static void record_begin(const struct stats_op *s, uint32_t group, struct val *keys, int64_t tag)
{
    for (uint32_t k = 0; k < s->g.nkeys; k++)
        keys[k] = grouper_val(&s->g, group, k);
    keys[s->g.nkeys] = (struct val){ .t = V_I64, .i = tag };
    keys[s->g.nkeys + 1] = VAL_ABSENT;
}

static int put_states(struct stats_op *s, const uint32_t *order, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    struct val keys[GROUP_KEYS_MAX + 2];
    struct kept_cell cell = { 0 };
    struct kept record = { .key = keys, .ncells = 1, .cells = &cell };
    struct buf b;
    int rc = 0;
    buf_init(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < s->g.n && !rc; i++) {
        record_begin(s, order[i], keys, 0);
        buf_reset(&b);
        for (uint32_t k = 0; k < a->n; k++) {
            const struct agg_fn *fn = a->aggs[k].fn;
            fn->save(s->states[k] + order[i] * fn->size, &b);
        }
        cell.v = (struct val){ .t = V_STR, .s = buf_str(&b) };
        rc = buf_ok(&b) ? spill_put(&s->spill, &record, err) : err_nomem(err);
    }
    buf_deinit(&b);
    return rc ? rc : spill_end(&s->spill, err);
}

struct listing {
    struct stats_op *s;
    int64_t tag;
};

static int put_value(void *arg, uint32_t group, struct val v, struct err *err)
{
    struct listing *l = arg;
    struct val keys[GROUP_KEYS_MAX + 2];
    record_begin(l->s, group, keys, l->tag);
    keys[l->s->g.nkeys + 1] = v;
    return spill_put(&l->s->spill, &(struct kept){ .key = keys }, err);
}

static int begin_anew(struct stats_op *s, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    stats_clear(s);
    r->kept_bytes -= s->own;
    s->own = 0;
    s->grouping = true;
    return grouper_init(&s->g, r, "stats", a->by.keys, a->by.n, err);
}

int stats_spill(struct stats_op *s, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    uint32_t *order;
    spill_init(&s->spill, s->op.run, "stats", record_keys(s), record_cmp, s);
    int rc = grouper_sorted(&s->g, &order, err);
    if (rc)
        return rc;
    rc = put_states(s, order, err);
    for (uint32_t k = 0; k < a->n && !rc; k++) {
        const struct agg_fn *fn = a->aggs[k].fn;
        struct listing l = { s, (int64_t)k + 1 };
        if (fn->list)
            rc = fn->list(s->states[k], s->shared[k], order, s->g.n, put_value, &l, err);
        if (!rc)
            rc = spill_end(&s->spill, err);
    }
    mem_free(order);
    return rc ? rc : begin_anew(s, err);
}

/* ---- and back ---- */

struct joining {
    struct stats_op *s;
    double seconds;
    struct val keys[GROUP_KEYS_MAX]; /* of the group, in s->out */
    char *states[AGGS_MAX];          /* of the group */
    struct listed listed[AGGS_MAX];
    size_t grown;     /* bytes the states took */
    struct val *rows; /* finished ones */
    uint32_t n;
    bool open; /* a group */
};

static bool same_group(const struct joining *j, const struct kept *k)
{
    for (uint32_t i = 0; i < j->s->g.nkeys; i++)
        if (spill_key_cmp(&j->keys[i], &k->key[i]) != 0)
            return false;
    return true;
}

/* a copy that lives until the rows are handed on */
static int own_val(struct stats_op *s, struct val *v, struct err *err)
{
    if (v->t < V_STR)
        return 0;
    v->s = arena_dup(&s->out, v->s);
    return v->s.p ? 0 : err_nomem(err);
}

static int group_open(struct joining *j, const struct kept *k, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < j->s->g.nkeys && !rc; i++) {
        j->keys[i] = k->key[i];
        rc = own_val(j->s, &j->keys[i], err);
    }
    j->open = !rc;
    return rc;
}

static void group_clear(struct joining *j)
{
    const struct stats_args *a = j->s->op.pipe->args;
    for (uint32_t k = 0; k < a->n; k++) {
        const struct agg_fn *fn = a->aggs[k].fn;
        if (fn->clear)
            fn->clear(j->states[k]);
        memset(j->states[k], 0, fn->size);
        held_clear(&j->listed[k].last);
        j->listed[k] = (struct listed){ 0 };
    }
    j->s->op.run->kept_bytes -= j->grown;
    j->grown = 0;
    j->open = false;
}

static int rows_out(struct joining *j, struct err *err)
{
    struct stats_op *s = j->s;
    int rc = j->n ? table_push(s->op.run, s->op.next, s->op.pipe->out, j->rows, j->n, err) : 0;
    j->n = 0;
    arena_reset(&s->out);
    return rc;
}

static int group_close(struct joining *j, struct err *err)
{
    struct stats_op *s = j->s;
    const struct stats_args *a = s->op.pipe->args;
    struct val *out = j->rows + (size_t)j->n * s->op.pipe->out->n;
    int rc = 0;
    for (uint32_t k = 0; k < a->by.n; k++)
        *out++ = j->keys[k];
    for (uint32_t k = 0; k < a->n && !rc; k++) {
        const struct agg_fn *fn = a->aggs[k].fn;
        struct agg_env e = {
            .r = s->op.run, .agg = &a->aggs[k], .seconds = j->seconds, .out = &s->out
        };
        rc = fn->listed ? fn->listed(&e, j->states[k], &j->listed[k], out)
                        : fn->result(&e, j->states[k], out, err);
        if (!rc)
            rc = own_val(s, out++, err);
    }
    group_clear(j);
    j->n++;
    return !rc && (j->n == BATCH || s->out.used > s->op.run->budget / 16) ? rows_out(j, err) : rc;
}

static int take_states(struct joining *j, const struct kept *k, struct err *err)
{
    const struct stats_args *a = j->s->op.pipe->args;
    struct rd rd = rd_of(k->ncells ? k->cells[0].v.s.p : NULL, k->ncells ? k->cells[0].v.s.n : 0);
    int rc = 0;
    for (uint32_t i = 0; i < a->n && !rc; i++) {
        struct agg_env e = { .r = j->s->op.run, .agg = &a->aggs[i], .out = &j->s->out };
        rc = a->aggs[i].fn->load(&e, j->states[i], &rd, err);
    }
    if (!rc && (!rd_ok(&rd) || rd_left(&rd)))
        rc = err_set(err, ERR_CORRUPT, "a group on the disk is not what was written");
    return rc;
}

static int take_value(struct joining *j, const struct val *tag, struct err *err)
{
    const struct stats_args *a = j->s->op.pipe->args;
    if (tag->i < 0 || tag->i > (int64_t)a->n || !a->aggs[tag->i - 1].fn->take)
        return err_set(err, ERR_CORRUPT, "a group on the disk is not what was written");
    uint32_t i = (uint32_t)(tag->i - 1);
    struct agg_env e = { .r = j->s->op.run, .agg = &a->aggs[i], .out = &j->s->out };
    return a->aggs[i].fn->take(&e, j->states[i], &j->listed[i], tag + 1, err);
}

static int take_record(struct joining *j, const struct kept *k, struct err *err)
{
    const struct val *tag = &k->key[j->s->g.nkeys];
    int rc = 0;
    if (j->open && !same_group(j, k))
        rc = group_close(j, err);
    if (!rc && !j->open)
        rc = group_open(j, k, err);
    if (rc)
        return rc;
    size_t before = j->s->op.run->kept_bytes;
    if (tag->i == 0)
        rc = take_states(j, k, err);
    else
        rc = take_value(j, tag, err);
    j->grown += j->s->op.run->kept_bytes - before;
    return rc;
}

static int join_all(struct joining *j, struct err *err)
{
    struct spill *sp = &j->s->spill;
    const struct kept *k;
    int end = spill_merge(sp, err);
    while (!end && !(end = spill_next(sp, &k, err)))
        end = take_record(j, k, err);
    if (end < 0)
        return end;
    int rc = j->open ? group_close(j, err) : 0;
    return rc ? rc : rows_out(j, err);
}

int stats_join(struct stats_op *s, double seconds, struct err *err)
{
    const struct stats_args *a = s->op.pipe->args;
    struct joining *j = mem_zalloc(sizeof *j);
    if (!j)
        return err_nomem(err);
    int rc = 0;
    j->s = s;
    j->seconds = seconds;
    j->rows = mem_array((size_t)BATCH * s->op.pipe->out->n, sizeof *j->rows);
    for (uint32_t k = 0; k < a->n && !rc; k++)
        if (!(j->states[k] = mem_zalloc(a->aggs[k].fn->size)))
            rc = err_nomem(err);
    if (!j->rows)
        rc = err_nomem(err);
    if (!rc)
        rc = join_all(j, err);
    for (uint32_t k = 0; k < a->n && j->states[k]; k++) {
        if (a->aggs[k].fn->clear)
            a->aggs[k].fn->clear(j->states[k]);
        held_clear(&j->listed[k].last);
        mem_free(j->states[k]);
    }
    mem_free(j->rows);
    mem_free(j);
    return rc;
}
