/* pipe_usage.c: `usage [by a, time(1d), ...]`: tokens and cost, one row a group.
 *
 * Columns: the keys, calls, tokens.input cache_read cache_write output reasoning, tokens (all of
 * them, reasoning as the part of output it is), cost_usd (reported, else by the price table; null
 * when no call of the group has one), unpriced (calls without a cost). Entries that tell neither of
 * tokens nor of a cost do not count. Entries that share session and call_id are one call (read.h).
 *
 * What has no call_id is added to its group at once; calls with one are held until the end, since a
 * better report may yet come. */
#include "base/mem.h"
#include "query/exact.h"
#include "query/group.h"
#include "query/read.h"

struct usage_op {
    struct op op;
    struct grouper g;
    struct intern sessions;
    struct calls calls;
    struct usage_sum *sums;
    uint32_t cap;
    bool ready;
};

static int usage_parse(struct parser *p, struct pipe *pipe)
{
    static const char *const names[] = { "calls",
                                         "tokens.input",
                                         "tokens.cache_read",
                                         "tokens.cache_write",
                                         "tokens.output",
                                         "tokens.reasoning",
                                         "tokens",
                                         "cost_usd",
                                         "unpriced" };
    enum { N = sizeof names / sizeof *names };
    struct by_args *by = arena_zalloc(p->a, sizeof *by);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    if (!by || !out)
        return err_nomem(p->err);
    int rc = entries_only(p, pipe);
    if (!rc && lex_word(p, "by"))
        rc = parse_by(p, by);
    if (rc)
        return rc;
    out->cols = arena_zalloc(p->a, (by->n + N) * sizeof *out->cols);
    if (!out->cols)
        return err_nomem(p->err);
    for (; out->n < by->n; out->n++)
        out->cols[out->n] = by->cols[out->n];
    for (uint32_t i = 0; i < N && !rc; i++)
        rc = schema_computed(p, str_c(names[i]), F_NONE, &out->cols[out->n++]);
    pipe->args = by;
    pipe->out = out;
    return rc ? rc : schema_check(p, out, pipe->pos);
}

static int usage_start(struct op *o, struct err *err)
{
    struct usage_op *u = (struct usage_op *)o;
    const struct by_args *by = o->pipe->args;
    intern_init(&u->sessions, o->run, "usage");
    calls_init(&u->calls, o->run, "usage");
    u->ready = true;
    return grouper_init(&u->g, o->run, "usage", by->keys, by->n, err);
}

static int sums_grow(struct usage_op *u, struct err *err)
{
    uint32_t n = u->g.n ? u->g.n : 1, cap = u->cap ? u->cap : 16;
    if (n <= u->cap)
        return 0;
    while (cap < n)
        cap *= 2;
    struct usage_sum *sums = mem_realloc(u->sums, cap * sizeof *sums);
    if (!sums)
        return err_nomem(err);
    memset(sums + u->cap, 0, (cap - u->cap) * sizeof *sums);
    u->op.run->kept_bytes += (cap - u->cap) * (sizeof *sums + sizeof(struct exact_sum));
    u->sums = sums;
    u->cap = cap;
    return run_room(u->op.run, "usage", err);
}

static int add_call(struct usage_op *u, struct usage_reader *r, struct reader *session,
                    struct reader *seq, uint32_t row, const struct usage *got, struct err *err)
{
    struct call x = { .u = *got, .owner = u->g.gid[row] };
    struct val v;
    int rc = reader_get(session, row, &v, err);
    if (!rc)
        rc = intern_val(&u->sessions, v, &x.scope, err);
    if (!rc)
        rc = reader_text(&r->call, row, &x.id, err);
    x.t = access_time(&r->time.acc, row);
    x.seq = (uint64_t)access_time(&seq->acc, row);
    return rc ? rc : calls_put(&u->calls, &x, NULL, err);
}

/* the rows of a chunk that tell of tokens or of a cost */
static int telling(struct usage_reader *r, const struct chunk *c, uint64_t *sel, struct usage *got,
                   uint32_t *ret_n, struct err *err)
{
    uint32_t n = c->b->n;
    memset(sel, 0, BITS_WORDS(n) * sizeof *sel);
    *ret_n = 0;
    for (size_t i = bits_next(c->sel, 0, n); i < n; i = bits_next(c->sel, i + 1, n)) {
        int rc = usage_get(r, (uint32_t)i, &got[*ret_n], err);
        if (rc)
            return rc;
        if (!got[*ret_n].any)
            continue;
        sel[i / 64] |= 1ull << i % 64;
        ++*ret_n;
    }
    return 0;
}

static int usage_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct usage_op *u = (struct usage_op *)o;
    struct usage_reader r;
    struct reader session, seq;
    uint64_t sel[BLOCK_WORDS];
    struct chunk told = *c;
    struct usage *got = mem_array(c->nsel + 1, sizeof *got);
    if (!got)
        return err_nomem(err);
    int rc = usage_open(&r, o->run->q->o.prices, c->b, err);
    if (!rc)
        rc = reader_open(&session, F_SESSION_ID, c->b, err);
    if (!rc)
        rc = reader_open(&seq, F_SEQ, c->b, err);
    if (!rc)
        rc = telling(&r, c, sel, got, &told.nsel, err);
    told.sel = sel;
    if (!rc && told.nsel)
        rc = grouper_rows(&u->g, &told, err);
    if (!rc)
        rc = sums_grow(u, err);
    uint32_t n = c->b->n, k = 0;
    for (size_t i = bits_next(sel, 0, n); told.nsel && i < n && !rc;
         i = bits_next(sel, i + 1, n), k++) {
        if (got[k].called)
            rc = add_call(u, &r, &session, &seq, (uint32_t)i, &got[k], err);
        else if (!usage_add(&u->sums[u->g.gid[i]], &got[k]))
            rc = err_nomem(err);
    }
    mem_free(got);
    return rc ? rc : run_room(o->run, "usage", err);
}

static int usage_merge_op(struct op *o, struct op *from, struct err *err)
{
    struct usage_op *u = (struct usage_op *)o, *f = (struct usage_op *)from;
    uint32_t *map = mem_array((size_t)f->g.n + 1, sizeof *map);
    if (!map)
        return err_nomem(err);
    int rc = grouper_merge(&u->g, &f->g, map, err);
    if (!rc)
        rc = sums_grow(u, err);
    uint32_t n = f->g.nkeys ? f->g.n : 1; /* with keys there may be no group at all */
    for (uint32_t i = 0; i < n && i < f->cap && !rc; i++)
        if (!usage_merge(&u->sums[map[i]], &f->sums[i]))
            rc = err_nomem(err);
    for (uint32_t i = 0; i < f->calls.n && !rc; i++) {
        struct call x = f->calls.v[i];
        x.owner = map[x.owner];
        rc = intern_val(&u->sessions, f->sessions.vals[x.scope], &x.scope, err);
        if (!rc)
            rc = calls_put(&u->calls, &x, NULL, err);
    }
    mem_free(map);
    return rc ? rc : run_room(o->run, "usage", err);
}

static void put_row(const struct usage_op *u, uint32_t group, uint32_t nkeys, struct val *v)
{
    const struct usage_sum *s = &u->sums[group];
    for (uint32_t k = 0; k < nkeys; k++)
        *v++ = grouper_val(&u->g, group, k);
    *v++ = (struct val){ .t = V_I64, .i = (int64_t)s->calls };
    for (int k = 0; k < TK__COUNT; k++)
        *v++ = usage_tokens(s, (enum token_kind)k);
    *v++ = usage_total(s);
    *v++ = usage_cost(s);
    *v = (struct val){ .t = V_I64, .i = (int64_t)s->unpriced };
}

static int usage_finish(struct op *o, struct err *err)
{
    struct usage_op *u = (struct usage_op *)o;
    const struct schema *out = o->pipe->out;
    enum { ROWS = 256 };
    uint32_t *order = NULL, n = 0, nkeys = u->g.nkeys;
    struct val *vals = mem_array((size_t)ROWS * out->n, sizeof *vals);
    int rc = vals ? sums_grow(u, err) : err_nomem(err);
    for (uint32_t i = 0; i < u->calls.n && !rc; i++)
        if (!usage_add(&u->sums[u->calls.v[i].owner], &u->calls.v[i].u))
            rc = err_nomem(err);
    if (!rc && nkeys)
        rc = grouper_sorted(&u->g, &order, err);
    uint32_t groups = nkeys ? u->g.n : 1;
    for (uint32_t i = 0; i < groups && !rc; i++) {
        uint32_t group = order ? order[i] : 0;
        /* the best report of a group's only call may count elsewhere */
        if (nkeys && !u->sums[group].calls)
            continue;
        put_row(u, group, nkeys, vals + (size_t)n++ * out->n);
        if (n == ROWS) {
            rc = table_push(o->run, o->next, out, vals, n, err);
            n = 0;
        }
    }
    if (!rc && n)
        rc = table_push(o->run, o->next, out, vals, n, err);
    mem_free(order);
    mem_free(vals);
    return rc;
}

static void usage_close(struct op *o)
{
    struct usage_op *u = (struct usage_op *)o;
    for (uint32_t i = 0; i < u->cap; i++)
        usage_deinit(&u->sums[i]);
    mem_free(u->sums);
    if (!u->ready)
        return;
    grouper_deinit(&u->g);
    calls_deinit(&u->calls);
    intern_deinit(&u->sessions);
}

static const struct op_ops usage_ops = {
    sizeof(struct usage_op), usage_start, usage_push, usage_finish, usage_close, usage_merge_op
};
const struct pipe_def pipe_usage = { "usage",
                                     PIPE_GROUPS,
                                     usage_parse,
                                     &usage_ops,
                                     "usage [by GROUP [as NAME], ...]",
                                     "calls, tokens and cost; a call counts once" };
