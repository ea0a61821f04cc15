/* pipe_anomalies.c: `anomalies [n] [by field] [step d]`: what is out of the ordinary.
 *
 * Here is the counting; what is made of the counts is anomalies.c. Counts over time begin with
 * minutes and are added up to longer steps when there are too many of them, so that the result does
 * not depend on the order of rows. */
#include "query/anomalies.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"
#include "query/surprise.h"

#define CELLS_MAX 200000 /* counts over time; more than that: longer steps */

static const struct {
    const char *name;
    enum field field;
} columns[AC__COUNT] = {
    { "kind", F_NONE },     { "what", F_NONE },  { "time", F_TIMESTAMP }, { "observed", F_NONE },
    { "expected", F_NONE }, { "score", F_NONE }, { "rule", F_NONE },      { "example", F_NONE },
};
static const char *const refs[AR__COUNT] = {
    "level", "timestamp", "seq", "message", "exception.message", "duration_ms", "tool", "model"
};

/* ---- arguments ---- */

static int parse_options(struct parser *p, struct anomalies_args *a)
{
    struct qcol col;
    int rc = 0;
    lex_blank(p);
    char c = lex_peek(p, 0);
    if (c >= '0' && c <= '9')
        rc = lex_uint(p, &a->most, "the number of rows of a kind");
    if (!rc && lex_word(p, "by")) {
        lex_blank(p);
        int64_t pos = (int64_t)p->pos;
        rc = parse_by_one(p, &a->key, &col);
        if (!rc && a->key.kind != KEY_FIELD) {
            parse_error(p, pos, "'anomalies' goes by a field, not by buckets");
            err_hint(p->err, "`step` sets the steps of time");
            return ERR_INVALID;
        }
        a->name = col.name;
    } else if (!rc) {
        struct qname agent = { .text = field_table[F_AGENT].name };
        rc = schema_resolve(p, &agent, &a->key.ref);
        a->key.kind = KEY_FIELD;
        a->name = agent.text;
    }
    if (!rc && lex_word(p, "step")) {
        lex_blank(p);
        int64_t pos = (int64_t)p->pos;
        rc = lex_duration(p, &a->step, "the step");
        if (!rc && a->step < NS_PER_S)
            rc = parse_error(p, pos, "a step has at least 1s");
    }
    return rc;
}

static int anomalies_parse(struct parser *p, struct pipe *pipe)
{
    struct anomalies_args *a = arena_zalloc(p->a, sizeof *a);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    int rc = parse_whole(p, pipe);
    if (rc)
        return rc;
    if (!a || !out || !(out->cols = arena_zalloc(p->a, AC__COUNT * sizeof *out->cols)))
        return err_nomem(p->err);
    a->most = ANOMALIES_DEFAULT;
    rc = parse_options(p, a);
    for (int i = 0; i < AR__COUNT && !rc; i++)
        if (!fieldref_make(p->a, str_c(refs[i]), false, &a->ref[i]))
            rc = err_nomem(p->err);
    for (out->n = 0; out->n < AC__COUNT && !rc; out->n++)
        rc = schema_computed(p, str_c(columns[out->n].name), columns[out->n].field,
                             &out->cols[out->n]);
    pipe->args = a;
    pipe->out = out;
    return rc;
}

/* ---- counting ---- */

int64_t anomalies_step(const struct anomalies_op *x)
{
    const struct anomalies_args *a = x->op.pipe->args;
    return a->step ? a->step : ladder_step(x->rung);
}

int anomalies_coarser(struct anomalies_op *x, struct err *err)
{
    int64_t by = ladder_step(x->rung + 1) / ladder_step(x->rung);
    int rc = tally_coarser(&x->steps, by, err);
    if (!rc)
        rc = tally_coarser(&x->kinds, by, err);
    x->rung += !rc;
    return rc;
}

static int anomalies_open(struct op *o, struct err *err)
{
    struct anomalies_op *x = (struct anomalies_op *)o;
    const struct anomalies_args *a = o->pipe->args;
    tmpl_map_init(&x->m);
    intern_init(&x->what[0], o->run, "anomalies");
    intern_init(&x->what[1], o->run, "anomalies");
    x->min = TS_MAX;
    x->max = TS_MIN;
    x->grouping = true;
    return grouper_init(&x->g, o->run, "anomalies", &a->key, 1, err);
}

static int count_bytes(struct anomalies_op *x, struct err *err)
{
    size_t bytes = tally_bytes(&x->steps) + tally_bytes(&x->minutes) + tally_bytes(&x->kinds) +
                   tally_bytes(&x->texts) + tally_bytes(&x->bins) + tmpl_map_bytes(&x->m) +
                   x->nseries * sizeof *x->series + x->messages_cap * sizeof *x->messages +
                   (size_t)(x->nslow[0] + x->nslow[1]) * sizeof **x->slow;
    x->op.run->kept_bytes += bytes - x->told;
    x->told = bytes;
    return run_room(x->op.run, "anomalies", err);
}

/* room for the series the grouper knows */
static int series_room(struct anomalies_op *x, struct err *err)
{
    if (x->g.n <= x->nseries)
        return 0;
    uint32_t n = x->nseries ? x->nseries : 16;
    while (n < x->g.n)
        n *= 2;
    struct series *v = mem_realloc(x->series, n * sizeof *v);
    if (!v)
        return err_nomem(err);
    for (uint32_t i = x->nseries; i < n; i++)
        v[i] = (struct series){ TS_MIN, TS_MIN, UINT64_MAX, UINT64_MAX, 0 };
    x->series = v;
    x->nseries = n;
    return 0;
}

static int message_of(struct anomalies_op *x, uint32_t slot, struct message **ret, struct err *err)
{
    if (slot > x->messages_cap) {
        uint32_t cap = x->messages_cap ? x->messages_cap : 64;
        while (cap < slot)
            cap *= 2;
        struct message *v = mem_realloc(x->messages, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        x->messages = v;
        x->messages_cap = cap;
    }
    for (; x->nmessages < slot; x->nmessages++)
        x->messages[x->nmessages] = (struct message){ 0, UINT64_MAX, TS_MAX };
    *ret = &x->messages[slot - 1];
    return 0;
}

static int slow_room(struct anomalies_op *x, int k, struct err *err)
{
    if (x->what[k].n <= x->nslow[k])
        return 0;
    uint32_t n = x->nslow[k] ? x->nslow[k] : 16;
    while (n < x->what[k].n)
        n *= 2;
    struct slowest *v = mem_realloc(x->slow[k], n * sizeof *v);
    if (!v)
        return err_nomem(err);
    for (uint32_t i = x->nslow[k]; i < n; i++)
        v[i].n = 0;
    x->slow[k] = v;
    x->nslow[k] = n;
    return 0;
}

static void slow_add(struct slowest *s, double ms, uint64_t seq, ts_ns at)
{
    uint32_t k = s->n;
    while (k && (s->ms[k - 1] < ms || (s->ms[k - 1] == ms && s->seq[k - 1] > seq))) {
        if (k < ANOMALY_SLOWEST) {
            s->ms[k] = s->ms[k - 1];
            s->seq[k] = s->seq[k - 1];
            s->at[k] = s->at[k - 1];
        }
        k--;
    }
    if (k == ANOMALY_SLOWEST)
        return;
    s->ms[k] = ms;
    s->seq[k] = seq;
    s->at[k] = at;
    s->n += s->n < ANOMALY_SLOWEST;
}

struct rows {
    struct anomalies_op *x;
    struct tmpl_rows message;
    struct access a[AR__COUNT];
};

static int count_duration(struct rows *r, uint32_t i, uint64_t seq, ts_ns at, struct err *err)
{
    struct anomalies_op *x = r->x;
    struct val v;
    double ms;
    int rc = access_get(&r->a[AR_DURATION], i, &v, err);
    if (rc || !val_is_num(&v, &ms) || !(ms > 0) || isinf(ms))
        return rc;
    int64_t bin = (int64_t)floor(log(ms) * ANOMALY_BINS);
    for (int k = 0; k < 2 && !rc; k++) {
        uint32_t id;
        rc = access_get(&r->a[AR_TOOL + k], i, &v, err);
        if (rc || v.t != V_STR || !v.s.n)
            continue;
        rc = intern_val(&x->what[k], v, &id, err);
        if (!rc)
            rc = slow_room(x, k, err);
        if (!rc)
            rc = tally_add(&x->bins, bin, id * 2 + (uint32_t)k, 0, 1, 0, seq, err);
        if (!rc)
            slow_add(&x->slow[k][id], ms, seq, at);
    }
    return rc;
}

/* the text that makes errors different: the exception's, else the message */
static int count_text(struct rows *r, uint32_t i, uint32_t series, bool error, uint64_t seq,
                      struct err *err)
{
    struct val v;
    int rc = access_get(&r->a[AR_TEXT], i, &v, err);
    if (!rc && v.t != V_STR && error)
        rc = access_get(&r->message.a, i, &v, err);
    if (rc || v.t != V_STR)
        return rc;
    int64_t hash = (int64_t)hash64(v.s.n ? v.s.p : "", v.s.n);
    return tally_add(&r->x->texts, hash, series, 0, 1, 0, seq, err);
}

static int count_row(struct rows *r, uint32_t i, struct err *err)
{
    struct anomalies_op *x = r->x;
    struct val v, s;
    bool has;
    uint32_t slot, series = x->g.gid[i];
    int rc = access_get(&r->a[AR_LEVEL], i, &v, err);
    if (!rc)
        rc = access_get(&r->a[AR_SEQ], i, &s, err);
    if (!rc)
        rc = tmpl_rows_get(&r->message, i, &has, &slot, err);
    if (rc)
        return rc;
    int64_t level = v.t == V_I64 ? v.i : LV_INFO;
    uint64_t seq = s.t == V_I64 ? (uint64_t)s.i : 0;
    ts_ns t = access_time(&r->a[AR_TIME], i);
    bool error = level >= LV_ERROR;
    struct series *se = &x->series[series];
    se->n++;
    if (t > se->last || (t == se->last && seq > se->last_seq)) {
        se->last = t;
        se->last_seq = seq;
    }
    if (error && (t > se->last_error || (t == se->last_error && seq > se->error_seq))) {
        se->last_error = t;
        se->error_seq = seq;
    }
    x->min = t < x->min ? t : x->min;
    x->max = t > x->max ? t : x->max;
    int64_t at = floor_div(t, anomalies_step(x));
    rc = tally_add(&x->steps, at, series, 0, 1, error, error ? seq : UINT64_MAX, err);
    if (!rc && level == LV_ERROR)
        rc = tally_add(&x->minutes, floor_div(t, 60 * NS_PER_S), series, 0, 1, 0, seq, err);
    if (!rc && error)
        rc = tally_add(&x->kinds, at, series, slot + 1, 1, 0, seq, err);
    if (!rc)
        rc = count_text(r, i, series, error, seq, err);
    x->with_message += has;
    struct message *m;
    if (!rc && slot && (rc = message_of(x, slot, &m, err)) == 0) {
        m->n++;
        m->seq = seq < m->seq ? seq : m->seq;
        m->first = t < m->first ? t : m->first;
    }
    return rc ? rc : count_duration(r, i, seq, t, err);
}

/* the longest step any number of counts asks for */
static int fewer(struct anomalies_op *x, struct err *err)
{
    const struct anomalies_args *a = x->op.pipe->args;
    int rc = 0;
    while (!rc && !a->step && x->steps.used + x->kinds.used > CELLS_MAX &&
           x->rung + 1 < LADDER_RUNGS)
        rc = anomalies_coarser(x, err);
    return rc;
}

static int anomalies_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct anomalies_op *x = (struct anomalies_op *)o;
    const struct anomalies_args *a = o->pipe->args;
    struct rows r = { .x = x };
    int rc = tmpl_rows_open(&r.message, &x->m, c->b, &a->ref[AR_MESSAGE], err);
    for (int i = 0; i < AR__COUNT && !rc; i++)
        if (i != AR_MESSAGE)
            rc = access_open(&r.a[i], c->b, &a->ref[i], err);
    if (!rc)
        rc = grouper_rows(&x->g, c, err);
    if (!rc)
        rc = series_room(x, err);
    for (size_t i = bits_next(c->sel, 0, c->b->n); i < c->b->n && !rc;
         i = bits_next(c->sel, i + 1, c->b->n))
        rc = count_row(&r, (uint32_t)i, err);
    if (!rc)
        rc = fewer(x, err);
    return rc ? rc : count_bytes(x, err);
}

/* ---- together ---- */

static int merge_tally(struct tally *to, const struct tally *from, const uint32_t *b,
                       const uint32_t *c, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < from->cap && !rc; i++) {
        const struct tally_slot *s = &from->slot[i];
        if (s->n)
            rc = tally_add(to, s->a, b ? b[s->b] : s->b, c && s->c > 1 ? c[s->c - 2] + 1 : s->c,
                           s->n, s->m, s->seq, err);
    }
    return rc;
}

/* the numbers of f's templates here */
static int merge_messages(struct anomalies_op *x, const struct anomalies_op *f, uint32_t *map,
                          struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < f->m.n && !rc; i++) {
        struct message *m;
        rc = tmpl_map_put(&x->m, f->m.text[i], &map[i], err);
        if (!rc && i < f->nmessages && (rc = message_of(x, map[i], &m, err)) == 0) {
            const struct message *g = &f->messages[i];
            m->n += g->n;
            m->seq = g->seq < m->seq ? g->seq : m->seq;
            m->first = g->first < m->first ? g->first : m->first;
        }
    }
    return rc;
}

static int merge_slow(struct anomalies_op *x, const struct anomalies_op *f, int k, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < f->what[k].n && !rc; i++) {
        uint32_t id;
        rc = intern_val(&x->what[k], f->what[k].vals[i], &id, err);
        if (!rc)
            rc = slow_room(x, k, err);
        for (uint32_t j = 0; !rc && j < f->slow[k][i].n; j++)
            slow_add(&x->slow[k][id], f->slow[k][i].ms[j], f->slow[k][i].seq[j],
                     f->slow[k][i].at[j]);
        for (size_t s = 0; s < f->bins.cap && !rc; s++) {
            const struct tally_slot *b = &f->bins.slot[s];
            if (b->n && b->b == i * 2 + (uint32_t)k)
                rc = tally_add(&x->bins, b->a, id * 2 + (uint32_t)k, 0, b->n, 0, b->seq, err);
        }
    }
    return rc;
}

static void merge_series(struct anomalies_op *x, const struct anomalies_op *f, const uint32_t *map)
{
    for (uint32_t i = 0; i < f->g.n; i++) {
        const struct series *g = &f->series[i];
        struct series *s = &x->series[map[i]];
        s->n += g->n;
        if (g->last > s->last || (g->last == s->last && g->last_seq > s->last_seq)) {
            s->last = g->last;
            s->last_seq = g->last_seq;
        }
        if (g->last_error > s->last_error ||
            (g->last_error == s->last_error && g->error_seq > s->error_seq)) {
            s->last_error = g->last_error;
            s->error_seq = g->error_seq;
        }
    }
}

static int merge_all(struct anomalies_op *x, struct anomalies_op *f, uint32_t *series,
                     uint32_t *tmpl, struct err *err)
{
    int rc = grouper_merge(&x->g, &f->g, series, err);
    if (!rc)
        rc = series_room(x, err);
    if (!rc)
        rc = merge_messages(x, f, tmpl, err);
    while (!rc && x->rung < f->rung)
        rc = anomalies_coarser(x, err);
    while (!rc && f->rung < x->rung)
        rc = anomalies_coarser(f, err);
    if (rc)
        return rc;
    merge_series(x, f, series);
    rc = merge_tally(&x->steps, &f->steps, series, NULL, err);
    if (!rc)
        rc = merge_tally(&x->minutes, &f->minutes, series, NULL, err);
    if (!rc)
        rc = merge_tally(&x->kinds, &f->kinds, series, tmpl, err);
    if (!rc)
        rc = merge_tally(&x->texts, &f->texts, series, NULL, err);
    for (int k = 0; k < 2 && !rc; k++)
        rc = merge_slow(x, f, k, err);
    return rc ? rc : fewer(x, err);
}

static int anomalies_merge(struct op *o, struct op *from, struct err *err)
{
    struct anomalies_op *x = (struct anomalies_op *)o, *f = (struct anomalies_op *)from;
    uint32_t *series = mem_array(f->g.n + 1, sizeof *series);
    uint32_t *tmpl = mem_array(f->m.n + 1, sizeof *tmpl);
    int rc = series && tmpl ? merge_all(x, f, series, tmpl, err) : err_nomem(err);
    mem_free(series);
    mem_free(tmpl);
    x->with_message += f->with_message;
    x->min = f->min < x->min ? f->min : x->min;
    x->max = f->max > x->max ? f->max : x->max;
    return rc ? rc : count_bytes(x, err);
}

static int anomalies_finish(struct op *o, struct err *err)
{
    return anomalies_judge((struct anomalies_op *)o, err);
}

static void anomalies_close(struct op *o)
{
    struct anomalies_op *x = (struct anomalies_op *)o;
    if (x->grouping)
        grouper_deinit(&x->g);
    tmpl_map_deinit(&x->m);
    tally_free(&x->steps);
    tally_free(&x->minutes);
    tally_free(&x->kinds);
    tally_free(&x->texts);
    tally_free(&x->bins);
    for (int k = 0; k < 2; k++) {
        intern_deinit(&x->what[k]);
        mem_free(x->slow[k]);
    }
    mem_free(x->series);
    mem_free(x->messages);
}

static const struct op_ops anomalies_ops = { sizeof(struct anomalies_op),
                                             anomalies_open,
                                             anomalies_push,
                                             anomalies_finish,
                                             anomalies_close,
                                             anomalies_merge };
const struct pipe_def pipe_anomalies = { "anomalies",
                                         PIPE_GROUPS,
                                         anomalies_parse,
                                         &anomalies_ops,
                                         "anomalies [N] [by FIELD] [step STEP]",
                                         "what is out of the ordinary" };
