/* run.c: one run of a query: the operators, the sink at their end, budgets and the result.
 *
 * Planning is small: leading `where`s became part of the filter when the text was parsed; here the
 * need for order is found (does anything before the first grouping or sorting pipe look at the
 * order?) and how many rows each operator has to give at most, from the last pipe back to the scan.
 */
#include "query/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "model/inside.h"

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int run_check(struct run *r, struct err *err)
{
    if (r->ctl->cancel)
        return err_set(err, ERR_CANCELED, "the query was cancelled");
    if (r->ctl->deadline_ms && now_ns() - r->started > r->ctl->deadline_ms * NS_PER_MS)
        return err_set(err, ERR_TIMEOUT, "the query took longer than %lld ms",
                       (long long)r->ctl->deadline_ms);
    return 0;
}

static int over_budget(struct run *r, const char *pipe, struct err *err)
{
    bool large = r->budget >= 1 << 20;
    err_set(err, ERR_LIMIT, "'%s' needs more than the %zu %s of memory a query may use", pipe,
            large ? r->budget >> 20 : r->budget, large ? "MiB" : "bytes");
    err_slug(err, "query_memory");
    err_hint(err, "narrow the filter or the time range, or group by fewer values");
    return ERR_LIMIT;
}

size_t run_used(struct run *r)
{
    size_t mine = r->kept_bytes + r->arena.used;
    if (!r->whole)
        return mine;
    size_t more = mine - r->told; /* wraps around when it is less */
    r->told = mine;
    return atomic_fetch_add_explicit(&r->whole->parts_bytes, more, memory_order_relaxed) + more;
}

int run_room(struct run *r, const char *pipe, struct err *err)
{
    return run_used(r) > r->budget ? over_budget(r, pipe, err) : 0;
}

int run_nomem(struct run *r, const char *pipe, struct err *err)
{
    /* a full arena and a full machine look the same from here: the ceiling tells */
    return r->arena.used + ((size_t)64 << 10) > r->arena.max ? over_budget(r, pipe, err)
                                                             : err_nomem(err);
}

int run_warn(struct run *r, const char *fmt, ...)
{
    char text[300];
    uint32_t max = sizeof r->res->warnings / sizeof *r->res->warnings;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *own = r->res->nwarnings < max ? arena_strz(&r->q->arena, str_c(text)) : NULL;
    if (own)
        r->res->warnings[r->res->nwarnings++] = own;
    return 0;
}

static bool approx_known(const struct query_result *res, str column)
{
    for (uint32_t i = 0; i < res->napprox; i++)
        if (str_eq(res->approx[i], column))
            return true;
    return res->napprox == QUERY_APPROX_MAX;
}

void run_approx(struct run *r, str column, const char *how, uint64_t exact)
{
    struct query_result *res = r->res;
    if (approx_known(res, column))
        return;
    res->approx[res->napprox++] = column;
    run_warn(r, "approximate: '%.*s' %s where there are more than %llu values", STR_FMT(column),
             how, (unsigned long long)exact);
}

/* ---- operators ---- */

int op_push(struct op *o, const struct chunk *c, struct err *err)
{
    return c->nsel ? o->ops->push(o, c, err) : 0;
}

int op_finish(struct op *o, struct err *err)
{
    for (; o; o = o->next) {
        int rc = o->ops->finish ? o->ops->finish(o, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

void ops_close(struct op *o)
{
    while (o) {
        struct op *next = o->next;
        if (o->ops->close)
            o->ops->close(o);
        mem_free(o);
        o = next;
    }
}

static int op_new(struct run *r, const struct op_ops *ops, const struct pipe *pipe, struct op **ret,
                  struct err *err)
{
    struct op *o = mem_zalloc(ops->size);
    if (!o)
        return err_nomem(err);
    o->ops = ops;
    o->run = r;
    o->pipe = pipe;
    o->keep = UINT64_MAX;
    *ret = o;
    return 0;
}

static int ops_build(struct run *r, struct err *err)
{
    struct op **tail = &r->ops;
    for (const struct pipe *p = r->q->first; p; p = p->next) {
        int rc = op_new(r, p->def->ops, p, tail, err);
        if (rc)
            return rc;
        tail = &(*tail)->next;
    }
    return op_new(r, &sink_ops, NULL, tail, err);
}

static int ops_open(struct run *r, struct err *err)
{
    for (struct op *o = r->ops; o; o = o->next) {
        int rc = o->ops->open ? o->ops->open(o, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int ops_chain(struct run *r, const struct op *first, const struct op *last, struct op **ret,
              struct err *err)
{
    struct op **tail = ret;
    *ret = NULL;
    for (const struct op *o = first;; o = o->next) {
        int rc = op_new(r, o->ops, o->pipe, tail, err);
        if (!rc) {
            (*tail)->keep = o->keep;
            rc = o->ops->open ? o->ops->open(*tail, err) : 0;
        }
        if (rc || o == last)
            return rc;
        tail = &(*tail)->next;
    }
}

int ops_anew(struct run *r, const struct op *last, struct err *err)
{
    struct op *old = r->ops, *end = old, *fresh;
    while (end != last)
        end = end->next;
    int rc = ops_chain(r, old, last, &fresh, err);
    struct op *behind = end->next;
    end->next = NULL;
    struct op **tail = &fresh;
    while (*tail)
        tail = &(*tail)->next;
    *tail = behind;
    r->ops = fresh;
    ops_close(old);
    return rc;
}

/* ---- planning ---- */

static uint64_t add_sat(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* How many rows the pipe wants of its input so that it can give `need` rows. */
static uint64_t input_need(const struct pipe *p, uint64_t need)
{
    if (p->def == &pipe_limit || p->def == &pipe_head) {
        uint64_t n = ((const struct limit_args *)p->args)->n;
        return n < need ? n : need;
    }
    if (p->def == &pipe_offset)
        return add_sat(need, ((const struct limit_args *)p->args)->n);
    if (p->def == &pipe_union) /* adds rows behind those it gets */
        return need;
    return p->def->flags & PIPE_ROWWISE ? need : UINT64_MAX;
}

/* sets keep of every operator; returns what the scan has to give */
static uint64_t plan_needs(struct run *r, struct op *o, uint64_t last)
{
    if (!o->pipe) {
        o->keep = last;
        return last;
    }
    uint64_t need = plan_needs(r, o->next, last);
    o->keep = need;
    return input_need(o->pipe, need);
}

struct plan plan_order(const struct query *q)
{
    struct plan plan = { .ordered = true, .oldest = q->o.oldest_first, .keep = UINT64_MAX };
    bool plain = true; /* columns are the store's, so time and seq are where they should be */
    bool more = false; /* rows that are not the scan's may be among them */
    for (const struct pipe *p = q->first; p; p = p->next) {
        more |= p->def == &pipe_union || p->def == &pipe_join;
        if (more && (p->def == &pipe_dedup || p->def == &pipe_tail))
            return plan;
        if (p->def == &pipe_dedup && plain) {
            plan.ordered = false;
            plan.dedup = true;
            return plan;
        }
        /* a lookup copies rows: of a table those columns that its schema names */
        plain &=
            p->def == &pipe_where || p->def == &pipe_fields || (p->out && p->def != &pipe_lookup);
        if (p->def == &pipe_tail) {
            plan.oldest = false;
            plan.tail = true;
            plan.keep = ((const struct limit_args *)p->args)->n;
            return plan;
        }
        if (p->def->flags & PIPE_ORDERED)
            return plan;
        if (p->def->flags & (PIPE_GROUPS | PIPE_SORTS)) {
            plan.ordered = false;
            plan.sorted = !plan.renamed && !more && sort_by_time(p, &plan.oldest);
            return plan;
        }
        plan.renamed |= p->def != &pipe_where;
        if (!(p->def->flags & PIPE_ROWWISE))
            plan.filtered = true;
    }
    return plan;
}

static bool has_groups(const struct query *q)
{
    for (const struct pipe *p = q->first; p; p = p->next)
        if (p->def->flags & PIPE_GROUPS)
            return true;
    return false;
}

/* the last limit of the answer; *ret_default when nobody asked for it */
uint64_t final_limit(const struct query *q, bool *ret_default)
{
    *ret_default = false;
    if (q->o.limit)
        return q->o.limit;
    if (q->o.unlimited || q->has_limit)
        return UINT64_MAX;
    *ret_default = true;
    return has_groups(q) ? QUERY_LIMIT_TABLE : QUERY_LIMIT_DEFAULT;
}

static bool touches_marks(const struct query *q)
{
    if (pred_uses_marks(q->filter))
        return true;
    const struct schema *s = NULL;
    for (const struct pipe *p = q->first; p; p = p->next)
        s = p->out;
    /* whole entries show their marks; any pipe may name one, and supplying them is cheap */
    return !s || q->names_marks;
}

/* ---- unknown fields ---- */

/* of the n fields that entries have, and those that every entry may have, the one meant */
static const char *field_meant(struct arena *a, str name, const struct field_stat *stats,
                               uint32_t n)
{
    const char **names = arena_array(a, (size_t)n + 2 * F__COUNT, sizeof *names);
    struct buf b;
    uint32_t k = 0;
    buf_init(&b, (size_t)1 << 20);
    for (uint32_t i = 0; i < n && names; i++) {
        buf_reset(&b);
        field_put_query(&b, stats[i].key, false);
        names[k] = buf_ok(&b) ? arena_strz(a, buf_str(&b)) : NULL;
        k += names[k] != NULL;
    }
    for (int f = 0; f < F__COUNT && names; f++) {
        if (field_table[f].flags & FF_INTERNAL)
            continue;
        names[k++] = field_table[f].name.p;
        if (field_table[f].short_name.n)
            names[k++] = field_table[f].short_name.p;
    }
    buf_deinit(&b);
    return near_word(name, names, k);
}

static bool may_be(const struct fieldref *f, const struct field_stat *s)
{
    uint64_t hash = field_dotted_hash(s->key);
    str way;
    return fieldref_matches(f, s->key, hash) || str_eq(s->key, field_table[F_REST].name) ||
           (s->types >> V_JSON & 1 && inside_of(f, s->key, hash, &way));
}

static int warn_unknown(struct run *r, struct err *err)
{
    struct query *q = r->q;
    struct arena a;
    struct field_stat *stats;
    uint32_t n;
    struct buf shown;
    if (!q->nrefs)
        return 0;
    buf_init(&shown, 2 * QUERY_TEXT_MAX);
    arena_init(&a, (size_t)64 << 20);
    int rc = store_fields(r->store, &a, UINT32_MAX, &stats, &n, err);
    for (uint32_t i = 0; i < q->nrefs && !rc && n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < i && !known; k++)
            known = str_eq(q->refs[k].key, q->refs[i].key); /* said already */
        for (uint32_t k = 0; k < n && !known; k++)
            known = may_be(&q->refs[i], &stats[k]);
        if (known)
            continue;
        buf_reset(&shown);
        field_put_name(&shown, q->refs[i].key);
        str name = buf_str(&shown);
        const char *meant = field_meant(&a, name, stats, n);
        bool own = meant && str_eq(name, str_c(meant)) && field_by_name(name) != F_NONE;
        run_warn(r, "unknown_field: no entry has a field '%.*s' (at %lld)%s%s%s", STR_FMT(name),
                 (long long)q->ref_pos[i],
                 !meant ? ""
                 : own  ? ", did you mean the entry's own field "
                        : ", did you mean ",
                 meant ? meant : "", meant ? "?" : "");
    }
    buf_deinit(&shown);
    arena_deinit(&a);
    return rc;
}

/* ---- running ---- */

/* Every row is counted and nothing else is asked: the store knows the number. */
static bool count_without_scan(struct run *r, struct err *err, int *rc)
{
    const struct query *q = r->q;
    if (!q->first || q->first->def != &pipe_count || !pred_is_true(q->filter) || q->o.no_prune)
        return false;
    uint64_t entries, agents;
    store_counts(r->store, &entries, &agents);
    count_set(r->ops, entries);
    r->res->total = entries;
    r->res->total_known = true;
    *rc = op_finish(r->ops, err);
    return true;
}

static int run_ops(struct run *r, struct err *err)
{
    bool by_default;
    struct plan plan = plan_order(r->q);
    uint64_t limit = final_limit(r->q, &by_default);
    /* one more than shown tells whether there is more */
    uint64_t need =
        plan_needs(r, r->ops, add_sat(add_sat(limit, r->q->paged ? 0 : r->q->o.offset), 1));
    int rc = 0;
    if (plan.tail)
        need = plan.filtered ? UINT64_MAX : plan.keep;
    bool done = false;
    if (count_without_scan(r, err, &rc))
        return rc;
    if ((rc = patterns_without_scan(r, &done, err)) != 0 || done)
        return rc;
    return source_run(r, &plan, need, err);
}

static void run_close(struct run *r)
{
    ops_close(r->ops);
    if (r->scan)
        scan_close(r->scan);
    arena_deinit(&r->arena);
    arena_deinit(&r->batch);
    pred_run_free(r->preds);
    colkeys_free(r->keys);
}

static int run_begin(struct run *r, struct err *err)
{
    int rc = pred_run_new(&r->preds, err);
    if (!rc)
        rc = colkeys_new(&r->keys, err);
    if (!rc)
        rc = ops_build(r, err);
    if (!rc)
        rc = warn_unknown(r, err);
    return rc ? rc : ops_open(r, err);
}

/* rows a regular expression gave up on, in the scan or behind it */
static void note_gave_up(struct run *r)
{
    struct scan_cost *c = &r->res->cost;
    c->gave_up += pred_run_gave_up(r->preds);
    if (!c->gave_up)
        return;
    run_warn(r,
             "regex_gave_up: the regular expression gave up on %llu entries, "
             "which count as not matching",
             (unsigned long long)c->gave_up);
    if (!c->incomplete)
        snprintf(c->incomplete_why, sizeof c->incomplete_why, "a regular expression gave up");
    c->incomplete = true;
}

int run_inner(struct run *r, const struct query *q, struct query_sink *sink, struct scan_cost *cost,
              bool say, struct err *err)
{
    struct query own = *q; /* a run changes nothing but what hangs on it here */
    struct query_result res;
    own.max_seq = r->res->watermark;
    own.o.no_prune = r->q->o.no_prune;
    arena_init(&own.arena, (size_t)1 << 20);
    int rc = query_run(&own, r->store, sink, r->ctl, &res, err);
    if (!rc)
        cost_add(cost, &res.cost);
    r->res->spilled_bytes += res.spilled_bytes;
    for (uint32_t i = 0; i < res.nwarnings && !rc && say; i++)
        run_warn(r, "%s", res.warnings[i]);
    for (uint32_t i = 0; i < res.napprox && !rc; i++)
        if (!approx_known(r->res, res.approx[i]))
            r->res->approx[r->res->napprox++] = res.approx[i];
    arena_deinit(&own.arena);
    return rc;
}

int query_run(struct query *q, struct store *s, struct query_sink *sink, struct query_ctl *ctl,
              struct query_result *ret, struct err *err)
{
    struct query_ctl none = { 0 };
    struct run r = { .q = q, .store = s, .sink = sink, .ctl = ctl ? ctl : &none, .res = ret };
    *ret = (struct query_result){ 0 };
    r.started = now_ns();
    r.budget = r.ctl->memory_bytes ? r.ctl->memory_bytes : QUERY_MEMORY_DEFAULT;
    arena_init(&r.arena, r.budget);
    arena_init(&r.batch, RUN_BATCH_MAX);
    r.marks = touches_marks(q);
    int rc = run_begin(&r, err);
    if (!rc)
        rc = run_ops(&r, err);
    if (rc >= 0)
        note_gave_up(&r);
    ret->elapsed_ns = now_ns() - r.started;
    run_close(&r);
    return rc < 0 ? rc : 0;
}
