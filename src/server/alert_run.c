/* alert_run.c: the threads that evaluate rules, each at its time, never one rule twice at once.
 *
 *   claim -> readings (no lock) -> step every group -> one transaction -> new groups in place
 *
 * A rule that takes long keeps one evaluator for at most its timeout; the others go on. A query
 * that fails puts the rule into `error` and leaves its groups as they were: no alert ends because
 * we could not look. When the transaction fails nothing has happened, and the next turn steps
 * again. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "server/alerts.h"

#define EVAL_ARENA ((size_t)64 << 20)
#define SET_ARENA ((size_t)16 << 20)
#define NICE_ALERTS 5

/* ---- what is written ---- */

bool alert_batch_room(struct alert_batch *b, struct arena *a, uint32_t n, uint32_t targets)
{
    b->insts = arena_array(a, n ? n : 1, sizeof *b->insts);
    b->events = arena_array(a, n + 1, sizeof *b->events);
    b->outs = arena_array(a, (size_t)n * targets + 1, sizeof *b->outs);
    return b->insts && b->events && b->outs;
}

struct meta_alert_inst alert_inst_row(const struct alert_inst *in)
{
    return (struct meta_alert_inst){ .key = in->key,
                                     .state = in->state,
                                     .since = in->since,
                                     .breach_since = in->breach_since,
                                     .clear_since = in->clear_since,
                                     .seen = in->seen,
                                     .told = in->told,
                                     .told_at = in->told_at,
                                     .has_value = in->has_value,
                                     .value = in->value,
                                     .drop = in->forget };
}

static void put_number(struct buf *b, bool has, double v)
{
    if (has && isfinite(v))
        json_put_f64(b, v);
    else
        buf_puts(b, "null");
}

static void put_labels(struct buf *b, const struct alert_rule *r)
{
    buf_puts(b, ",\"labels\":{");
    for (uint32_t i = 0; i < r->nlabels; i++) {
        buf_puts(b, i ? "," : "");
        json_put_str(b, r->labels[i].name);
        buf_putc(b, ':');
        json_put_str(b, r->labels[i].value);
    }
    buf_putc(b, '}');
}

/* the message, as docs/alerts.md describes it */
static void put_message(struct alerts *al, struct buf *b, const struct alert_rule *r,
                        const struct alert_inst *in, const char *event, str note, const char *uid,
                        ts_ns now)
{
    struct buf text;
    bool first = false;
    buf_init(&text, 1024);
    condition_put(&text, r);
    buf_printf(b, "{\"version\":1,\"id\":\"%s\"", uid);
    json_kv_str(b, &first, "event", str_c(event));
    json_kv_str(b, &first, "alert", str_c(r->name));
    json_key(b, &first, "group");
    buf_putstr(b, in->key);
    json_kv_str(b, &first, "state", str_c(alert_state_names[in->state]));
    json_kv_str(b, &first, "severity", str_c(alert_severity_names[r->severity]));
    json_kv_str(b, &first, "condition", buf_str(&text));
    json_key(b, &first, "value");
    put_number(b, in->has_value, in->value);
    json_key(b, &first, "before");
    put_number(b, in->has_before, in->before);
    json_kv_time(b, &first, "since", in->since);
    json_kv_time(b, &first, "time", now);
    if (r->metric)
        json_kv_str(b, &first, "metric", str_c(alert_metric_names[r->metric]));
    else if (r->condition != ALERT_NEW_ISSUE)
        json_kv_str(b, &first, "query", r->query);
    if (rule_has_window(r))
        json_kv_f64(b, &first, "window_s", (double)r->window_ns / NS_PER_S);
    json_kv_str(b, &first, "about", r->about);
    json_kv_str(b, &first, "note", note);
    put_labels(b, r);
    json_kv_str(b, &first, "server", str_c(al->s->urls[0]));
    buf_putc(b, '}');
    buf_deinit(&text);
}

static void make_uid(struct alerts *al, char uid[33])
{
    uint8_t raw[16];
    al->s->io->ops->random(al->s->io, raw, sizeof raw);
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(uid + 2 * i, 3, "%02x", raw[i]);
}

int alert_tell_all(struct alerts *al, const struct alert_rule *r, const struct alert_inst *in,
                   const char *event, str note, ts_ns now, struct arena *a,
                   struct alert_batch *batch, struct err *err)
{
    for (uint32_t i = 0; i < r->ntargets; i++) {
        struct meta_alert_out *o = &batch->outs[batch->nouts];
        struct buf body, target;
        char uid[33];
        make_uid(al, uid);
        buf_init(&body, 64u << 10);
        buf_init(&target, 64u << 10);
        put_message(al, &body, r, in, event, note, uid, now);
        target_put(&target, &r->targets[i], RULE_SECRETS);
        *o = (struct meta_alert_out){ .key = in->key,
                                      .uid = arena_dup(a, str_n(uid, 32)),
                                      .target = arena_dup(a, buf_str(&target)),
                                      .body = arena_dup(a, buf_str(&body)) };
        bool ok = buf_ok(&body) && buf_ok(&target) && o->uid.p && o->target.p && o->body.p;
        buf_deinit(&target);
        buf_deinit(&body);
        if (!ok)
            return err_nomem(err);
        batch->nouts++;
    }
    return 0;
}

/* ---- groups ---- */

/* what is known of a group that is not in the answer */
static struct alert_reading no_reading(const struct alert_plan *p)
{
    return (struct alert_reading){ .has_value = p->counted, .has_before = p->counted };
}

int alert_merge(const struct alert_rule *r, const struct alert_plan *p, const struct alert_set *old,
                const struct alert_readings *rd, struct arena *a, struct alert_inst **ret,
                struct alert_reading **ret_readings, uint32_t *ret_n, bool *ret_overflow,
                struct err *err)
{
    struct smap at;
    uint32_t n = 0, most = old->n + rd->n;
    struct alert_inst *v = arena_array(a, most ? most : 1, sizeof *v);
    struct alert_reading *x = arena_array(a, most ? most : 1, sizeof *x);
    if (!v || !x)
        return err_nomem(err);
    *ret_overflow = false;
    smap_init(&at, SMAP_BORROW);
    for (uint32_t i = 0; i < old->n; i++) {
        uint64_t *k = smap_put(&at, old->v[i].key, NULL);
        if (!k)
            goto nomem;
        *k = n + 1;
        v[n] = old->v[i];
        x[n++] = no_reading(p);
    }
    for (uint32_t i = 0; i < rd->n; i++) {
        const uint64_t *k = smap_get(&at, rd->v[i].key);
        if (k) {
            x[*k - 1] = rd->v[i].reading;
        } else if (n >= r->max_groups && r->nby) {
            *ret_overflow = true;
        } else {
            v[n] = (struct alert_inst){ .key = rd->v[i].key };
            x[n++] = rd->v[i].reading;
        }
    }
    smap_deinit(&at);
    *ret = v;
    *ret_readings = x;
    *ret_n = n;
    return 0;
nomem:
    smap_deinit(&at);
    return err_nomem(err);
}

/* ---- one evaluation ---- */

struct turn {
    struct alerts *al;
    struct alert_entry *e;
    struct arena arena;
    struct alert_readings rd;
    struct alert_batch batch;
    struct alert_set *set; /* the next one */
    ts_ns now;
    bool snoozed, overflow;
};

static const char *event_of(enum alert_tell tell)
{
    return tell == TELL_RESOLVED ? "resolved" : tell == TELL_AGAIN ? "still_firing" : "firing";
}

/* One group. A group that is new to an absence rule is written down: it will be missed. */
static int step_group(struct turn *t, struct alert_inst *in, const struct alert_reading *x,
                      struct err *err)
{
    const struct alert_rule *r = &t->e->rule;
    bool fresh = !in->seen && !in->since;
    if (fresh)
        in->since = t->now;
    struct alert_step s = alert_step(r, in, x, t->now, t->snoozed);
    struct alert_batch *b = &t->batch;
    bool remember = fresh && r->condition == ALERT_ABSENT && r->nby;
    if (s.changed || s.tell || in->forget || remember)
        b->insts[b->ninsts++] = alert_inst_row(in);
    if (s.changed)
        b->events[b->nevents++] =
            (struct meta_alert_event){ .key = in->key,
                                       .was = alert_state_names[s.from],
                                       .state = alert_state_names[s.to],
                                       .has_value = in->has_value && isfinite(in->value),
                                       .value = in->value,
                                       .note = t->snoozed ? STR("snoozed") : STR("") };
    return s.tell
               ? alert_tell_all(t->al, r, in, event_of(s.tell), STR(""), t->now, &t->arena, b, err)
               : 0;
}

static int keep_groups(struct turn *t, const struct alert_inst *v, uint32_t n, struct err *err)
{
    struct alert_set *set = mem_zalloc(sizeof *set);
    if (!set)
        return err_nomem(err);
    arena_init(&set->arena, SET_ARENA);
    t->set = set;
    set->v = arena_array(&set->arena, n ? n : 1, sizeof *set->v);
    if (!set->v)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].forget)
            continue;
        struct alert_inst *in = &set->v[set->n++];
        *in = v[i];
        in->key = arena_dup(&set->arena, v[i].key);
        if (!in->key.p)
            return err_nomem(err);
    }
    return 0;
}

static int commit(struct turn *t, struct err *err)
{
    const struct alert_batch *b = &t->batch;
    struct meta_alert_change c = { .rule = str_c(t->e->rule.name),
                                   .now = t->now,
                                   .insts = b->insts,
                                   .ninsts = b->ninsts,
                                   .events = b->events,
                                   .nevents = b->nevents,
                                   .outs = b->outs,
                                   .nouts = b->nouts,
                                   .cursor = t->rd.cursor };
    if (!b->ninsts && !b->nevents && !b->nouts) /* a cursor alone: it costs nothing to look again */
        return 0;
    return meta_alert_commit(t->al->s->meta, &c, err);
}

static int step_all(struct turn *t, struct err *err)
{
    const struct alert_rule *r = &t->e->rule;
    struct alert_inst *v;
    struct alert_reading *x;
    uint32_t n;
    int rc =
        alert_merge(r, &t->e->plan, t->e->set, &t->rd, &t->arena, &v, &x, &n, &t->overflow, err);
    if (rc == 0 && !alert_batch_room(&t->batch, &t->arena, n, r->ntargets))
        rc = err_nomem(err);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = step_group(t, &v[i], &x[i], err);
    if (rc == 0)
        rc = keep_groups(t, v, n, err);
    return rc == 0 ? commit(t, err) : rc;
}

static int look(struct turn *t, struct query_ctl *ctl, struct err *err)
{
    struct alert_entry *e = t->e;
    if (!e->planned) {
        int rc = alert_plan(t->al->s, &e->rule, e->meta.agent, &e->arena, &e->plan, err);
        if (rc < 0)
            return rc;
        e->planned = true;
    }
    if (e->rule.condition == ALERT_NEW_ISSUE)
        return alert_read_issues(t->al->s, &e->rule, e->meta.agent, e->set, e->meta.cursor, t->now,
                                 ctl, &t->arena, &t->rd, err);
    return alert_read(t->al->s, &e->rule, &e->plan, e->meta.agent, t->now, ctl, &t->arena, &t->rd,
                      err);
}

/* the rule's own state: a line of history when it goes into error and when it comes out */
static void note_failure(struct turn *t, int rc, const struct err *why)
{
    struct alert_entry *e = t->e;
    struct err ignored = ERR_INIT;
    bool failed = rc < 0, was = e->failed_since != 0;
    if (failed)
        log_warn("alerts", "rule '%s' could not be evaluated: %s", e->rule.name, why->msg);
    if (failed != was) {
        struct meta_alert_event ev = { .key = STR("{}"),
                                       .was = was ? "error" : "ok",
                                       .state = failed ? "error" : "ok",
                                       .note = failed ? str_c(why->msg) : STR("") };
        struct meta_alert_change c = {
            .rule = str_c(e->rule.name), .now = t->now, .events = &ev, .nevents = 1
        };
        (void)meta_alert_commit(t->al->s->meta, &c, &ignored);
    }
}

static void swap_set(struct alert_set **a, struct alert_set **b)
{
    struct alert_set *t = *a;
    *a = *b;
    *b = t;
}

/* with the rule claimed and the lock not held */
static void evaluate(struct alerts *al, struct alert_entry *e)
{
    struct turn t = { .al = al, .e = e, .now = server_now(al->s) };
    struct query_ctl ctl = { .memory_bytes = al->s->cfg.query_memory_bytes,
                             .turns = al->s->turns,
                             .spill = al->s->spill };
    struct err err = ERR_INIT;
    arena_init(&t.arena, EVAL_ARENA);
    t.snoozed = e->meta.snoozed_until > t.now;
    pthread_mutex_lock(&al->lock);
    ctl.cancel = al->stopping;
    e->running = &ctl;
    pthread_mutex_unlock(&al->lock);
    int rc = look(&t, &ctl, &err);
    pthread_mutex_lock(&al->lock);
    e->running = NULL;
    pthread_mutex_unlock(&al->lock);
    if (rc == 0)
        rc = step_all(&t, &err);
    bool canceled = rc == ERR_CANCELED && ctl.cancel;
    if (!canceled) {
        note_failure(&t, rc, &err);
        metric_add(&al->evaluations, 1);
        metric_add(&al->failures, rc < 0);
    }
    pthread_mutex_lock(&al->lock);
    if (rc == 0)
        swap_set(&e->set, &t.set);
    if (rc == 0 && t.rd.cursor)
        e->meta.cursor = t.rd.cursor;
    if (!canceled) {
        e->evaluated_at = t.now;
        e->elapsed_ms = t.rd.elapsed_ms;
        e->overflow = rc == 0 ? t.overflow : e->overflow;
        e->failed_since = rc == 0 ? 0 : e->failed_since ? e->failed_since : t.now;
        snprintf(e->failure, sizeof e->failure, "%.*s", (int)sizeof e->failure - 1,
                 rc < 0 ? err.msg : "");
    }
    pthread_mutex_unlock(&al->lock);
    if (t.set) {
        arena_deinit(&t.set->arena);
        mem_free(t.set);
    }
    arena_deinit(&t.arena);
    if (rc == 0 && t.batch.nouts)
        alert_send_wake(al);
}

/* ---- threads ---- */

/* the enabled rule that is due first and that nobody has; *ret_due when it is */
static struct alert_entry *next_rule(struct alerts *al, int64_t *ret_due)
{
    struct alert_entry *best = NULL;
    for (uint32_t i = 0; i < al->n; i++) {
        struct alert_entry *e = al->v[i];
        if (!e->busy && e->rule.enabled && (!best || e->due < best->due))
            best = e;
    }
    *ret_due = best ? best->due : 0;
    return best;
}

static void wait_until_ns(pthread_cond_t *c, pthread_mutex_t *m, int64_t due)
{
    struct timespec ts = { .tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S };
    pthread_cond_timedwait(c, m, &ts);
}

/* times that were missed are not made up for */
static void plan_next(struct alert_entry *e)
{
    int64_t now = mono_ns();
    e->due += e->rule.every_ns;
    if (e->due <= now)
        e->due = now + e->rule.every_ns - (now - e->due) % e->rule.every_ns;
}

static void be_nice(void)
{
    errno = 0;
    id_t me = (id_t)syscall(SYS_gettid);
    int now = getpriority(PRIO_PROCESS, me);
    if (errno == 0)
        setpriority(PRIO_PROCESS, me, now + NICE_ALERTS);
}

static void *evaluator(void *arg)
{
    struct alerts *al = arg;
    int64_t due;
    pthread_setname_np(pthread_self(), "alert");
    be_nice();
    pthread_mutex_lock(&al->lock);
    while (!al->stopping) {
        struct alert_entry *e = next_rule(al, &due);
        if (!e) {
            pthread_cond_wait(&al->work, &al->lock);
        } else if (due > mono_ns()) {
            wait_until_ns(&al->work, &al->lock, due);
        } else {
            e->busy = true;
            plan_next(e);
            pthread_mutex_unlock(&al->lock);
            evaluate(al, e);
            pthread_mutex_lock(&al->lock);
            alerts_release(al, e);
        }
    }
    pthread_mutex_unlock(&al->lock);
    return NULL;
}

int alert_threads_start(struct alerts *al, struct err *err)
{
    for (uint32_t i = 0; i < ALERT_EVALUATORS; i++) {
        int rc = pthread_create(&al->evaluators[i], NULL, evaluator, al);
        if (rc)
            return err_sys(err, rc, "cannot start a thread for alerts");
        al->nevaluators++;
    }
    return 0;
}

void alert_wake(struct alerts *al)
{
    pthread_mutex_lock(&al->lock);
    pthread_cond_broadcast(&al->work);
    pthread_mutex_unlock(&al->lock);
}
