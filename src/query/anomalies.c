/* anomalies.c: judges what pipe_anomalies.c counted: by the thresholds of the MCP Mesh guide (rule
 * seed4), and by how unlikely a count is after those before it (rule statistical, surprise.h). */
#include "query/anomalies.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "query/surprise.h"

#define ERRORS_MIN 5 /* in a step, to be a spike at all */
#define KINDS_MIN 3  /* ... to be variety */
#define SILENT_MIN 3 /* whole steps without an entry */
#define SILENT_TIMES 2
#define LATENCY_MIN 20 /* durations that make a series */

enum kind { K_SPIKE, K_VARIETY, K_SILENCE, K_LATENCY, K_NEW, K_RARE, K__COUNT };
static const char *const kind_names[K__COUNT] = { "error_spike", "error_variety", "silence",
                                                  "latency",     "new_message",   "rare_message" };
enum rule { RULE_STATISTICAL, RULE_SEED4 };
static const char *const rule_names[] = { "statistical", "seed4" };

struct found {
    enum kind kind;
    enum rule rule;
    str what;
    ts_ns at;
    double observed, expected, score; /* expected: NAN = nothing to say */
    uint64_t seq;
};

struct judge {
    struct anomalies_op *x;
    struct arena arena; /* names */
    struct found *v;
    size_t n, cap;
    int64_t step;
    ts_ns end;
    struct buf b;
};

static int add(struct judge *j, struct found f, struct err *err)
{
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 64;
        struct found *v = mem_realloc(j->v, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        j->x->op.run->kept_bytes += (cap - j->cap) * sizeof *v;
        j->v = v;
        j->cap = cap;
        int rc = run_room(j->x->op.run, "anomalies", err);
        if (rc)
            return rc;
    }
    j->v[j->n++] = f;
    return 0;
}

/* "agent=coder" */
static int name_it(struct judge *j, str field, struct val v, str *ret, struct err *err)
{
    const struct anomalies_args *a = j->x->op.pipe->args;
    buf_reset(&j->b);
    if (v.t == V_NULL)
        buf_puts(&j->b, "no ");
    buf_putstr(&j->b, field);
    if (v.t != V_NULL)
        buf_putc(&j->b, '=');
    if (v.t == V_I64 && a->key.ref.field == F_LEVEL && v.i >= 0 && v.i < LV__COUNT)
        buf_putstr(&j->b, level_names[v.i]);
    else if (v.t == V_I64)
        buf_put_i64(&j->b, v.i);
    else if (v.t == V_F64)
        buf_printf(&j->b, "%.17g", v.d);
    else if (v.t == V_BOOL)
        buf_puts(&j->b, v.b ? "true" : "false");
    else if (v.t != V_NULL)
        buf_putstr(&j->b, v.s);
    *ret = arena_dup(&j->arena, buf_str(&j->b));
    return buf_ok(&j->b) && ret->p ? 0 : err_nomem(err);
}

/* ---- counts over time ---- */

/* steps in a row that are too much: the worst of them is told */
struct streak {
    bool on;
    struct found worst;
};

static int streak_end(struct judge *j, struct streak *s, struct err *err)
{
    int rc = s->on ? add(j, s->worst, err) : 0;
    s->on = false;
    return rc;
}

static int weigh(struct judge *j, struct streak *s, struct counts_past *past, struct found f,
                 double least, struct err *err)
{
    int rc = 0;
    double var;
    f.score =
        past->n >= SURPRISE_PAST_MIN && f.observed >= least ? counts_score(past, f.observed) : 0;
    f.expected = counts_expect(past, &var);
    if (f.score < SURPRISE_SCORE_MIN) {
        rc = streak_end(j, s, err);
    } else if (!s->on || f.score > s->worst.score) {
        s->on = true;
        s->worst = f;
    }
    counts_add(past, f.observed);
    return rc;
}

struct span { /* the slots of one series */
    const struct tally_slot *from, *to;
};

static struct span span_of(const struct tally *t, const struct tally_slot *from)
{
    struct span s = { from, from };
    const struct tally_slot *end = t->slot + t->used;
    while (s.to < end && s.to->b == from->b)
        s.to++;
    return s;
}

static int silence(struct judge *j, const struct span *s, str what, struct err *err)
{
    const struct series *se = &j->x->series[s->from->b];
    int64_t first = s->from->a, last = s->to[-1].a, longest = 0;
    int64_t quiet = floor_div(j->end, j->step) - last - 1;
    struct counts_past past = { 0 };
    double var;
    for (const struct tally_slot *p = s->from; p < s->to; p++) {
        if (p > s->from && p->a - p[-1].a - 1 > longest)
            longest = p->a - p[-1].a - 1;
        past.sum += (double)p->n;
        past.sum2 += (double)p->n * (double)p->n;
    }
    int64_t steps = last - first + 1;
    if (steps < SURPRISE_PAST_MIN || se->n < SURPRISE_PAST_MIN || quiet < SILENT_MIN ||
        quiet < SILENT_TIMES * longest)
        return 0;
    past.n = (uint32_t)(steps < UINT32_MAX ? steps : UINT32_MAX);
    double score = counts_silence(&past, (double)quiet);
    if (score < SURPRISE_SCORE_MIN)
        return 0;
    return add(j,
               (struct found){ K_SILENCE, RULE_STATISTICAL, what, se->last, 0,
                               counts_expect(&past, &var) * (double)quiet, score, se->last_seq },
               err);
}

/* one series: its errors, their kinds, its end */
static int judge_series(struct judge *j, const struct span *s, const struct tally_slot **kind,
                        str what, struct err *err)
{
    const struct tally *kinds = &j->x->kinds;
    const struct tally_slot *p = s->from, *kend = kinds->slot + kinds->used;
    struct counts_past errors = { 0 }, variety = { 0 };
    struct streak spike = { 0 }, various = { 0 };
    int64_t last = floor_div(j->end, j->step);
    uint32_t series = s->from->b;
    int rc = 0;
    while (*kind < kend && (*kind)->b < series)
        ++*kind;
    for (int64_t at = s->from->a; at <= last && !rc; at++) {
        bool has = p < s->to && p->a == at;
        struct found f = { K_SPIKE, RULE_STATISTICAL, what, at * j->step, 0, 0, 0, UINT64_MAX };
        f.observed = has ? (double)p->m : 0;
        f.seq = has ? p->seq : UINT64_MAX;
        rc = weigh(j, &spike, &errors, f, ERRORS_MIN, err);
        f.kind = K_VARIETY;
        for (f.observed = 0; *kind < kend && (*kind)->b == series && (*kind)->a == at; ++*kind)
            f.observed++;
        if (!rc)
            rc = weigh(j, &various, &variety, f, KINDS_MIN, err);
        p += has;
    }
    if (!rc)
        rc = streak_end(j, &spike, err);
    if (!rc)
        rc = streak_end(j, &various, err);
    return rc ? rc : silence(j, s, what, err);
}

static int judge_steps(struct judge *j, struct err *err)
{
    struct anomalies_op *x = j->x;
    const struct anomalies_args *a = x->op.pipe->args;
    const struct tally_slot *kind;
    int rc = 0;
    tally_sort(&x->steps);
    tally_sort(&x->kinds);
    kind = x->kinds.slot;
    for (const struct tally_slot *p = x->steps.slot, *end = p + x->steps.used; p < end && !rc;) {
        struct span s = span_of(&x->steps, p);
        str what;
        rc = run_check(x->op.run, err);
        if (!rc)
            rc = name_it(j, a->name, grouper_val(&x->g, p->b, 0), &what, err);
        if (!rc)
            rc = judge_series(j, &s, &kind, what, err);
        p = s.to;
    }
    return rc;
}

/* ---- the thresholds of the guide ---- */

static int judge_minutes(struct judge *j, struct err *err)
{
    struct anomalies_op *x = j->x;
    const struct anomalies_args *a = x->op.pipe->args;
    int rc = 0;
    for (size_t i = 0; i < x->minutes.cap && !rc; i++) {
        const struct tally_slot *s = &x->minutes.slot[i];
        str what;
        if (s->n <= SEED4_ERRORS)
            continue;
        rc = name_it(j, a->name, grouper_val(&x->g, s->b, 0), &what, err);
        if (!rc)
            rc = add(j,
                     (struct found){ K_SPIKE, RULE_SEED4, what, s->a * 60 * NS_PER_S, (double)s->n,
                                     SEED4_ERRORS, (double)s->n / SEED4_ERRORS, s->seq },
                     err);
    }
    return rc;
}

static int judge_texts(struct judge *j, struct err *err)
{
    struct anomalies_op *x = j->x;
    const struct anomalies_args *a = x->op.pipe->args;
    int rc = 0;
    uint32_t *n = mem_zarray(x->g.n + 1, sizeof *n);
    if (!n)
        return err_nomem(err);
    for (size_t i = 0; i < x->texts.cap; i++)
        if (x->texts.slot[i].n)
            n[x->texts.slot[i].b]++;
    for (uint32_t i = 0; i < x->g.n && !rc; i++) {
        const struct series *se = &x->series[i];
        str what;
        if (n[i] <= SEED4_KINDS)
            continue;
        rc = name_it(j, a->name, grouper_val(&x->g, i, 0), &what, err);
        bool error = se->error_seq != UINT64_MAX;
        if (!rc)
            rc = add(j,
                     (struct found){ K_VARIETY, RULE_SEED4, what, error ? se->last_error : se->last,
                                     n[i], SEED4_KINDS, (double)n[i] / SEED4_KINDS,
                                     error ? se->error_seq : se->last_seq },
                     err);
    }
    mem_free(n);
    return rc;
}

/* ---- messages ---- */

struct by_count {
    const struct anomalies_op *x;
    bool most;
};

static int message_order(const void *p, const void *q, void *arg)
{
    const struct by_count *o = arg;
    uint32_t i = *(const uint32_t *)p, k = *(const uint32_t *)q;
    const struct message *a = &o->x->messages[i], *b = &o->x->messages[k];
    if (a->n != b->n)
        return (a->n < b->n) == o->most ? 1 : -1;
    if (a->first != b->first)
        return a->first > b->first ? -1 : 1;
    return str_cmp(o->x->m.text[i], o->x->m.text[k]);
}

static int name_message(struct judge *j, uint32_t i, str *ret, struct err *err)
{
    buf_reset(&j->b);
    template_show(&j->b, j->x->m.text[i]);
    *ret = arena_dup(&j->arena, j->b.n ? buf_str(&j->b) : STR(""));
    return buf_ok(&j->b) && ret->p ? 0 : err_nomem(err);
}

static int add_message(struct judge *j, uint32_t i, enum kind kind, enum rule rule, double expected,
                       double score, struct err *err)
{
    const struct message *m = &j->x->messages[i];
    str what;
    int rc = name_message(j, i, &what, err);
    return rc ? rc
              : add(j,
                    (struct found){ kind, rule, what, m->first, (double)m->n, expected, score,
                                    m->seq },
                    err);
}

/* The rarest first, as many as are shown of each rule. */
static int judge_rare(struct judge *j, const uint32_t *order, uint64_t most, struct err *err)
{
    const struct anomalies_op *x = j->x;
    uint64_t seed4 = 0, rare = 0;
    int rc = 0;
    for (uint32_t k = 0; k < x->nmessages && !rc; k++) {
        const struct message *m = &x->messages[order[k]];
        double score = m->n ? -log10((double)m->n / (double)x->with_message) : 0;
        if (!m->n)
            continue;
        if (m->n <= SEED4_RARE && seed4++ <= most)
            rc = add_message(j, order[k], K_RARE, RULE_SEED4, SEED4_RARE,
                             (double)SEED4_RARE / (double)m->n, err);
        if (!rc && score >= SURPRISE_SCORE_MIN && rare++ <= most)
            rc = add_message(j, order[k], K_RARE, RULE_STATISTICAL, NAN, score, err);
        if (m->n > SEED4_RARE && score < SURPRISE_SCORE_MIN)
            break;
    }
    return rc;
}

static int judge_new(struct judge *j, const uint32_t *order, uint64_t most, struct err *err)
{
    struct anomalies_op *x = j->x;
    struct past past;
    bool any = false;
    uint64_t n = 0;
    int rc = past_open(&past, x->op.run, "anomalies", &x->m, TS_MIN, err);
    if (!rc)
        rc = past_any(&past, &any, err);
    for (uint32_t k = 0; any && k < x->nmessages && n <= most && !rc; k++) {
        struct val fresh;
        const struct message *m = &x->messages[order[k]];
        if (!m->n)
            continue;
        rc = past_is_new(&past, x->m.text[order[k]], &fresh, err);
        if (rc || fresh.t != V_BOOL || !fresh.b)
            continue;
        rc = add_message(j, order[k], K_NEW, RULE_STATISTICAL, 0, (double)m->n, err);
        n++;
    }
    past_close(&past);
    return rc;
}

static int judge_messages(struct judge *j, struct err *err)
{
    struct anomalies_op *x = j->x;
    const struct anomalies_args *a = x->op.pipe->args;
    struct by_count by = { x, false };
    uint32_t *order = mem_array(x->nmessages + 1, sizeof *order);
    if (!order)
        return err_nomem(err);
    for (uint32_t i = 0; i < x->nmessages; i++)
        order[i] = i;
    qsort_r(order, x->nmessages, sizeof *order, message_order, &by);
    int rc = judge_rare(j, order, a->most, err);
    by.most = true;
    qsort_r(order, x->nmessages, sizeof *order, message_order, &by);
    if (!rc)
        rc = judge_new(j, order, a->most, err);
    mem_free(order);
    return rc;
}

/* ---- durations ---- */

struct away {
    double by;
    uint64_t n;
};

static int away_cmp(const void *p, const void *q)
{
    const struct away *a = p, *b = q;
    return a->by < b->by ? -1 : a->by > b->by;
}

static double middle(const struct tally_slot *s)
{
    return ((double)s->a + 0.5) / ANOMALY_BINS;
}

/* median of the logarithms, and of their distance from it */
static int spread(const struct span *s, double *median, double *mad, uint64_t *ret_n,
                  struct err *err)
{
    struct away *v = mem_array((size_t)(s->to - s->from), sizeof *v);
    uint64_t n = 0, k = 0;
    size_t nv = 0, i = 0;
    if (!v)
        return err_nomem(err);
    for (const struct tally_slot *p = s->from; p < s->to; p++)
        n += p->n;
    for (const struct tally_slot *p = s->from; p < s->to && k <= n / 2; p++) {
        k += p->n;
        *median = middle(p);
    }
    for (const struct tally_slot *p = s->from; p < s->to; p++)
        v[nv++] = (struct away){ fabs(middle(p) - *median), p->n };
    qsort(v, nv, sizeof *v, away_cmp);
    for (k = 0; i < nv && k <= n / 2; i++)
        k += v[i].n;
    *mad = i ? v[i - 1].by : 0;
    *ret_n = n;
    mem_free(v);
    return 0;
}

static int judge_slowest(struct judge *j, const struct span *s, struct err *err)
{
    static const str field[2] = { { "tool", 4 }, { "model", 5 } };
    struct anomalies_op *x = j->x;
    uint32_t k = s->from->b & 1, id = s->from->b >> 1;
    const struct slowest *slow = &x->slow[k][id];
    double median = 0, mad = 0;
    uint64_t n = 0;
    str what;
    int rc = spread(s, &median, &mad, &n, err);
    if (rc || n < LATENCY_MIN)
        return rc;
    rc = name_it(j, field[k], x->what[k].vals[id], &what, err);
    for (uint32_t i = 0; i < slow->n && !rc; i++) {
        double z = outlier_z(log(slow->ms[i]), median, mad);
        if (z <= OUTLIER_Z_MIN)
            break;
        rc = add(j,
                 (struct found){ K_LATENCY, RULE_STATISTICAL, what, slow->at[i], slow->ms[i],
                                 exp(median), z, slow->seq[i] },
                 err);
    }
    return rc;
}

static int judge_durations(struct judge *j, struct err *err)
{
    struct tally *t = &j->x->bins;
    int rc = 0;
    tally_sort(t);
    for (const struct tally_slot *p = t->slot, *end = p + t->used; p < end && !rc;) {
        struct span s = span_of(t, p);
        rc = judge_slowest(j, &s, err);
        p = s.to;
    }
    return rc;
}

/* ---- the answer ---- */

static int order(const void *p, const void *q)
{
    const struct found *a = p, *b = q;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->at != b->at)
        return a->at > b->at ? -1 : 1;
    return str_cmp(a->what, b->what);
}

static struct val rounded(double d, double unit)
{
    return isnan(d) ? VAL_ABSENT : (struct val){ .t = V_F64, .d = round(d * unit) / unit };
}

static int put(struct judge *j, const struct found *f, struct err *err)
{
    struct op *o = &j->x->op;
    struct val v[AC__COUNT];
    struct arena a;
    str id = STR_NULL;
    arena_init(&a, 1u << 20);
    int rc = f->seq == UINT64_MAX ? 0 : entry_by_seq(o->run, f->seq, &a, &id, NULL, err);
    v[AC_KIND] = (struct val){ .t = V_STR, .s = str_c(kind_names[f->kind]) };
    v[AC_WHAT] = (struct val){ .t = V_STR, .s = f->what };
    v[AC_TIME] = (struct val){ .t = V_I64, .i = f->at };
    v[AC_OBSERVED] = val_normal(rounded(f->observed, 1000));
    v[AC_EXPECTED] = val_normal(rounded(f->expected, 100));
    v[AC_SCORE] = val_normal(rounded(f->score, 10));
    v[AC_RULE] = (struct val){ .t = V_STR, .s = str_c(rule_names[f->rule]) };
    v[AC_EXAMPLE] = id.n ? (struct val){ .t = V_STR, .s = id } : VAL_ABSENT;
    if (!rc)
        rc = table_push(o->run, o->next, o->pipe->out, v, 1, err);
    arena_deinit(&a);
    return rc;
}

static int hand_on(struct judge *j, struct err *err)
{
    const struct anomalies_args *a = j->x->op.pipe->args;
    uint64_t of_kind = 0;
    int rc = 0;
    if (j->n)
        qsort(j->v, j->n, sizeof *j->v, order);
    for (size_t i = 0; i < j->n && !rc; i++) {
        const struct found *f = &j->v[i], *before = i ? f - 1 : NULL;
        if (!before || before->kind != f->kind || before->rule != f->rule)
            of_kind = 0;
        if (of_kind++ < a->most)
            rc = put(j, f, err);
        else if (of_kind == a->most + 1)
            run_warn(j->x->op.run, "anomalies: there are more of the kind %s (rule %s)",
                     kind_names[f->kind], rule_names[f->rule]);
    }
    return rc == OP_ENOUGH ? 0 : rc;
}

/* up to when nothing came, and steps few enough */
static int frame(struct judge *j, struct err *err)
{
    struct anomalies_op *x = j->x;
    struct run *r = x->op.run;
    const struct anomalies_args *a = x->op.pipe->args;
    ts_ns lo, hi;
    int rc = 0;
    pred_time_bounds(r->q->filter, &lo, &hi);
    j->end = hi < r->q->o.now ? hi : r->q->o.now;
    if (j->end < x->max)
        j->end = x->max;
    while (!rc && !a->step && x->rung + 1 < LADDER_RUNGS &&
           floor_div(j->end, anomalies_step(x)) - floor_div(x->min, anomalies_step(x)) >=
               ANOMALY_STEPS)
        rc = anomalies_coarser(x, err);
    j->step = anomalies_step(x);
    if (!rc && floor_div(j->end, j->step) - floor_div(x->min, j->step) >= ANOMALY_STEPS_MAX) {
        err_at(err, ERR_INVALID, x->op.pipe->pos, "there would be more than %d steps",
               ANOMALY_STEPS_MAX);
        err_hint(err, "choose a longer step, or bound the time with after: and before:");
        err_slug(err, "bad_query");
        return ERR_INVALID;
    }
    return rc;
}

int anomalies_judge(struct anomalies_op *x, struct err *err)
{
    struct judge j = { .x = x };
    if (x->min > x->max)
        return 0;
    arena_init(&j.arena, (size_t)64 << 20);
    buf_init(&j.b, 1u << 20);
    int rc = frame(&j, err);
    if (!rc)
        rc = judge_minutes(&j, err);
    if (!rc)
        rc = judge_texts(&j, err);
    if (!rc)
        rc = judge_steps(&j, err);
    if (!rc)
        rc = judge_messages(&j, err);
    if (!rc)
        rc = judge_durations(&j, err);
    if (!rc)
        rc = hand_on(&j, err);
    mem_free(j.v);
    buf_deinit(&j.b);
    arena_deinit(&j.arena);
    return rc;
}
