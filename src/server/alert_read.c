/* alert_read.c: from a rule to readings: its query over the window, or one of our own figures.
 *
 * A query that gives entries is counted (`| stats count() as count by …`), so every rule ends in a
 * table: columns named in `by` make the group, one column is the value. alert_plan finds that out
 * by running the query over no time at all, which costs nothing and knows the columns. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "codec/json.h"
#include "server/alerts.h"

#define COUNT_COLUMN "count"

/* ---- running a query ---- */

struct table {
    const struct alert_rule *r;
    str value;
    struct arena *a;
    struct smap at; /* key -> index + 1 */
    struct alert_readings *out;
    uint32_t cap, ncols;
    uint32_t by[ALERT_BY_MAX], value_at; /* columns; UINT32_MAX: not among them */
    str *names;
    bool before; /* rows are of the window before */
};

static int begin(void *ctx, const struct query_cell *cols, uint32_t ncols, struct err *err)
{
    struct table *t = ctx;
    t->ncols = ncols;
    t->value_at = UINT32_MAX;
    t->names = arena_array(t->a, ncols ? ncols : 1, sizeof *t->names);
    if (!t->names)
        return err_nomem(err);
    for (uint32_t k = 0; k < ALERT_BY_MAX; k++)
        t->by[k] = UINT32_MAX;
    for (uint32_t i = 0; i < ncols; i++) {
        t->names[i] = arena_dup(t->a, cols[i].name);
        if (cols[i].name.n && !t->names[i].p)
            return err_nomem(err);
        for (uint32_t k = 0; k < t->r->nby; k++)
            if (str_eq(cols[i].name, t->r->by[k]))
                t->by[k] = i;
        if (t->value.n && str_eq(cols[i].name, t->value))
            t->value_at = i;
    }
    return 0;
}

static void put_val(struct buf *b, const struct val *v)
{
    if (v->absent)
        buf_puts(b, "null");
    else
        switch (v->t) {
        case V_BOOL: buf_puts(b, v->b ? "true" : "false"); break;
        case V_I64: buf_put_i64(b, v->i); break;
        case V_F64: json_put_f64(b, v->d); break;
        case V_STR: json_put_bytes(b, str_sub(v->s, 0, 1024)); break;
        case V_JSON:
        case V_NUM: json_put_bytes(b, str_sub(v->s, 0, 1024)); break;
        default: buf_puts(b, "null"); break;
        }
}

static str key_of(struct table *t, const struct query_row *row)
{
    struct buf b;
    buf_init(&b, 64u << 10);
    buf_putc(&b, '{');
    for (uint32_t k = 0; k < t->r->nby; k++) {
        buf_puts(&b, k ? "," : "");
        json_put_bytes(&b, t->r->by[k]);
        buf_putc(&b, ':');
        put_val(&b, &row->cells[t->by[k]].v);
    }
    buf_putc(&b, '}');
    str key = buf_ok(&b) ? arena_dup(t->a, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    return key;
}

static bool number_of(const struct val *v, double *ret)
{
    if (v->absent)
        return false;
    switch (v->t) {
    case V_I64: *ret = (double)v->i; return true;
    case V_F64: *ret = v->d; return isfinite(v->d);
    case V_BOOL: *ret = v->b; return true;
    case V_NUM:
    case V_STR: return str_to_f64(v->s, ret) && isfinite(*ret);
    default: return false;
    }
}

static struct alert_group *group_of(struct table *t, str key)
{
    bool fresh;
    uint64_t *at = smap_put(&t->at, key, &fresh);
    if (!at)
        return NULL;
    if (!fresh)
        return &t->out->v[*at - 1];
    if (t->out->n == t->cap) {
        uint32_t cap = t->cap ? 2 * t->cap : 16;
        struct alert_group *v = arena_grow(t->a, t->out->v, t->out->n, cap, sizeof *v);
        if (!v)
            return NULL;
        t->out->v = v;
        t->cap = cap;
    }
    struct alert_group *g = &t->out->v[t->out->n++];
    *g = (struct alert_group){ .key = key };
    *at = t->out->n;
    return g;
}

static int row(void *ctx, const struct query_row *row, struct err *err)
{
    struct table *t = ctx;
    double v = 0;
    str key = key_of(t, row);
    struct alert_group *g = key.p ? group_of(t, key) : NULL;
    if (!g)
        return err_nomem(err);
    bool has = t->value_at != UINT32_MAX && number_of(&row->cells[t->value_at].v, &v);
    if (t->before) {
        g->reading.has_before = has;
        g->reading.before = v;
        return 0;
    }
    if (!t->r->nby && g->reading.present) {
        err_set(err, ERR_INVALID, "the query gave several rows, and nothing tells them apart");
        err_hint(err, "name columns in by, or let the query end in one row");
        return ERR_INVALID;
    }
    g->reading.present = true;
    g->reading.has_value = has;
    g->reading.value = v;
    return 0;
}

/* what alerts log about themselves never feeds an alert */
static struct pred *scope(struct arena *a, str agent)
{
    struct pred *own =
        pred_and(a, pred_eq(a, F_AGENT, STR("fleetlog")), pred_eq(a, F_EVENT, STR("alert")));
    struct pred *p = pred_not(a, own);
    return agent.n ? pred_and(a, pred_glob(a, F_AGENT, agent), p) : p;
}

static int run(struct server *s, struct table *t, str text, str agent, ts_ns from, ts_ns to,
               ts_ns now, struct query_ctl *ctl, struct err *err)
{
    struct query_opts o;
    struct query_result res = { 0 };
    struct query *q;
    struct query_sink sink = { .ctx = t, .begin = begin, .row = row };
    query_opts_default(&o);
    o.now = now;
    o.start = from;
    o.end = to;
    o.also = scope(t->a, agent);
    if (!o.also)
        return err_nomem(err);
    int rc = query_parse(&q, text, &o, err);
    if (rc < 0)
        return rc;
    rc = query_run(q, s->store, &sink, ctl, &res, err);
    if (rc == 0 && res.cost.incomplete)
        rc = err_set(err, ERR_CORRUPT, "the answer would be incomplete: %s",
                     res.cost.incomplete_why);
    t->out->elapsed_ms += (double)res.elapsed_ns / NS_PER_MS;
    query_free(q);
    return rc;
}

/* ---- looking at a query ---- */

static void list_columns(char *out, size_t n, const struct table *t)
{
    size_t at = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < t->ncols && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%.*s", i ? ", " : "", STR_FMT(t->names[i]));
}

static int columns_err(struct err *err, const struct table *t, const char *what, str name)
{
    char list[ERR_HINT_MAX - 24];
    err_set(err, ERR_INVALID, "%s '%.*s' is no column of the query", what,
            STR_FMT(str_sub(name, 0, 100)));
    list_columns(list, sizeof list, t);
    err_hint(err, "its columns: %s", list);
    return ERR_INVALID;
}

/* entries are counted */
static int add_count(const struct alert_rule *r, struct arena *a, struct alert_plan *p,
                     struct err *err)
{
    struct buf b;
    buf_init(&b, QUERY_TEXT_MAX);
    buf_putstr(&b, r->query);
    buf_puts(&b, " | stats count() as " COUNT_COLUMN);
    for (uint32_t k = 0; k < r->nby; k++) {
        buf_puts(&b, k ? ", " : " by ");
        buf_putstr(&b, r->by[k]);
    }
    p->text = buf_ok(&b) ? arena_dup(a, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    p->counted = true;
    if (!p->text.p)
        return err_set(err, ERR_LIMIT, "the query is too long");
    if (r->value.n && !str_eq(r->value, STR(COUNT_COLUMN))) {
        err_set(err, ERR_INVALID, "value '%.*s': the query gives entries, which are counted",
                STR_FMT(str_sub(r->value, 0, 100)));
        err_hint(err, "let the query end in a pipe like | stats max(duration_ms) as slowest");
        return ERR_INVALID;
    }
    p->value = STR(COUNT_COLUMN);
    return 0;
}

static bool is_by(const struct alert_rule *r, str name)
{
    for (uint32_t k = 0; k < r->nby; k++)
        if (str_eq(r->by[k], name))
            return true;
    return false;
}

static int choose_value(const struct alert_rule *r, const struct table *t, struct alert_plan *p,
                        struct err *err)
{
    char list[ERR_HINT_MAX - 40];
    uint32_t found = 0;
    for (uint32_t k = 0; k < r->nby; k++)
        if (t->by[k] == UINT32_MAX)
            return columns_err(err, t, "by", r->by[k]);
    if (r->condition >= ALERT_ABSENT)
        return 0; /* whether there is a row is all that is asked */
    for (uint32_t i = 0; i < t->ncols; i++)
        if (r->value.n ? str_eq(t->names[i], r->value) : !is_by(r, t->names[i])) {
            p->value = t->names[i];
            found++;
        }
    if (r->value.n && !found)
        return columns_err(err, t, "value", r->value);
    if (found == 1 || r->value.n)
        return 0;
    err_set(err, ERR_INVALID, "which column is compared? value must say it");
    list_columns(list, sizeof list, t);
    err_hint(err, "value: one of %s", list);
    return ERR_INVALID;
}

/* the place in the user's text stays right: what we add stands behind it */
static int in_query(struct err *err, const char *what)
{
    struct err why = *err;
    int64_t pos = err->pos;
    if (pos >= 0)
        err_set(err, why.code, "%s, at byte %lld: %.380s", what, (long long)pos + 1, why.msg);
    else
        err_set(err, why.code, "%s: %.400s", what, why.msg);
    err->pos = pos;
    if (why.hint[0])
        err_hint(err, "%s", why.hint);
    return err->code;
}

int alert_plan(struct server *s, const struct alert_rule *r, str agent, struct arena *a,
               struct alert_plan *ret, struct err *err)
{
    struct alert_readings none = { 0 };
    struct table t = { .r = r, .a = a, .out = &none };
    struct query_ctl ctl = { .deadline_ms = 5000, .memory_bytes = s->cfg.query_memory_bytes };
    struct alert_plan p = { .text = r->query };
    ts_ns now = server_now(s);
    if (r->metric || r->condition == ALERT_NEW_ISSUE) {
        *ret = p;
        return 0;
    }
    smap_init(&t.at, SMAP_BORROW);
    /* no time at all: [now, now) */
    int rc = run(s, &t, r->query, agent, now, now, now, &ctl, err);
    if (rc < 0)
        rc = in_query(err, "in the query");
    if (rc == 0 && t.ncols == 0)
        rc = add_count(r, a, &p, err);
    else if (rc == 0)
        rc = choose_value(r, &t, &p, err);
    if (rc == 0 && p.counted) { /* and may what `by` names be grouped by? */
        rc = run(s, &t, p.text, agent, now, now, now, &ctl, err);
        if (rc < 0)
            rc = in_query(err, "in the query or by");
        for (uint32_t k = 0; rc == 0 && k < r->nby; k++)
            if (t.by[k] == UINT32_MAX)
                rc = columns_err(err, &t, "by", r->by[k]);
    }
    smap_deinit(&t.at);
    if (rc == 0)
        *ret = p;
    return rc;
}

/* ---- our own figures ---- */

static struct alert_sample sample(struct server *s)
{
    struct metrics *m = &s->metrics;
    return (struct alert_sample){ .at = mono_ns(),
                                  .stored = metric_get(&m->stored),
                                  .rejected = metric_get(&m->rejected),
                                  .received = metric_get(&m->received) };
}

/* the newest sample that is a window old, or the oldest there is */
static struct alert_sample sample_before(struct alerts *al, const struct alert_sample *now,
                                         int64_t window_ns)
{
    struct alert_sample best = *now;
    pthread_mutex_lock(&al->lock);
    for (uint32_t i = 0; i < al->nsamples; i++) {
        uint32_t k = (al->sample_at + ALERT_SAMPLES - 1 - i) % ALERT_SAMPLES;
        best = al->samples[k];
        if (now->at - best.at >= window_ns)
            break;
    }
    uint32_t last = (al->sample_at + ALERT_SAMPLES - 1) % ALERT_SAMPLES;
    if (!al->nsamples || now->at - al->samples[last].at >= NS_PER_S) {
        al->samples[al->sample_at] = *now;
        al->sample_at = (al->sample_at + 1) % ALERT_SAMPLES;
        al->nsamples += al->nsamples < ALERT_SAMPLES;
    }
    pthread_mutex_unlock(&al->lock);
    return best;
}

void alert_sample_now(struct server *s)
{
    struct alert_sample now = sample(s);
    (void)sample_before(s->alerts, &now, 0);
}

static int read_metric(struct server *s, const struct alert_rule *r, struct alert_reading *x,
                       struct err *err)
{
    if (r->metric == ALERT_METRIC_DISK) {
        uint64_t room, total;
        int rc = s->io->ops->free_space(s->io, &room, &total, err);
        if (rc < 0)
            return rc;
        x->has_value = total > 0;
        x->value = total ? 100.0 * (double)room / (double)total : 0;
        return 0;
    }
    struct alert_sample now = sample(s), then = sample_before(s->alerts, &now, r->window_ns);
    double seconds = (double)(now.at - then.at) / NS_PER_S;
    uint64_t received = now.received - then.received;
    if (r->metric == ALERT_METRIC_STORED) {
        x->has_value = seconds > 0;
        x->value = seconds > 0 ? (double)(now.stored - then.stored) / seconds : 0;
    } else {
        x->has_value = received > 0;
        x->value = received ? 100.0 * (double)(now.rejected - then.rejected) / (double)received : 0;
    }
    return 0;
}

static int one_reading(struct arena *a, struct alert_readings *ret, struct err *err)
{
    ret->v = arena_zalloc(a, sizeof *ret->v);
    if (!ret->v)
        return err_nomem(err);
    ret->v->key = STR("{}");
    ret->n = 1;
    return 0;
}

/* ---- reading ---- */

static int read_query(struct server *s, const struct alert_rule *r, const struct alert_plan *p,
                      str agent, ts_ns now, struct query_ctl *ctl, struct table *t, struct err *err)
{
    int rc = run(s, t, p->text, agent, now - r->window_ns, now, now, ctl, err);
    if (rc == 0 && (r->condition == ALERT_RISES || r->condition == ALERT_FALLS)) {
        t->before = true;
        rc = run(s, t, p->text, agent, now - 2 * r->window_ns, now - r->window_ns, now, ctl, err);
    }
    if (rc < 0)
        return in_query(err, "the query failed");
    if (!r->nby && !t->out->n && !group_of(t, STR("{}"))) /* a table without rows */
        return err_nomem(err);
    for (uint32_t i = 0; p->counted && i < t->out->n; i++) {
        struct alert_reading *x = &t->out->v[i].reading;
        x->has_value = x->has_before = true; /* a group that is not there counts 0 */
        x->present = x->value > 0;
    }
    return 0;
}

int alert_read(struct server *s, const struct alert_rule *r, const struct alert_plan *p, str agent,
               ts_ns now, struct query_ctl *ctl, struct arena *a, struct alert_readings *ret,
               struct err *err)
{
    memset(ret, 0, sizeof *ret);
    if (r->metric) {
        int rc = one_reading(a, ret, err);
        if (rc == 0)
            rc = read_metric(s, r, &ret->v->reading, err);
        if (rc == 0)
            ret->v->reading.present = true;
        return rc;
    }
    struct table t = { .r = r, .a = a, .out = ret, .value = p->value };
    smap_init(&t.at, SMAP_BORROW);
    ctl->deadline_ms = r->timeout_ns / NS_PER_MS;
    if (ctl->deadline_ms < 1)
        ctl->deadline_ms = 1;
    int rc = read_query(s, r, p, agent, now, ctl, &t, err);
    smap_deinit(&t.at);
    return rc;
}
