/* alert_api.c: /api/v1/alerts: rules as JSON, what they say now, what they said, and their changes.
 *
 * All of it runs on the query pool, since a change waits for the disk. A key that is bound to
 * agents sees the rules made by keys bound to the same ones, and no others. Addresses of webhooks
 * and arguments of commands are shown to keys with the scope admin only: they often hold a token.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "server/alerts.h"
#include "server/handlers.h"

#define DELIVERIES_SHOWN 20
#define HISTORY_DEFAULT 100
#define HISTORY_MAX 1000
#define SNOOZE_MAX_NS (366 * NS_PER_DAY)

static bool may_see(const struct call *c, const struct alert_entry *e)
{
    return !c->who->agent[0] || str_eq(e->meta.agent, str_c(c->who->agent));
}

static int shown_flags(const struct call *c)
{
    return c->who->scopes & SCOPE_ADMIN ? 0 : RULE_BRIEF;
}

static int not_found(struct err *err, str name)
{
    return err_set(err, ERR_NOTFOUND, "there is no alert rule '%.*s'",
                   STR_FMT(str_sub(name, 0, 80)));
}

/* ---- rules as JSON, under the lock ---- */

static const char *state_of(const struct alert_entry *e)
{
    static const enum alert_state by_weight[] = { ALERT_FIRING, ALERT_PENDING, ALERT_RESOLVED };
    if (!e->rule.enabled)
        return "disabled";
    if (e->failed_since)
        return "error";
    for (size_t k = 0; k < sizeof by_weight / sizeof *by_weight; k++)
        for (uint32_t i = 0; i < e->set->n; i++)
            if (e->set->v[i].state == by_weight[k])
                return alert_state_names[by_weight[k]];
    return e->evaluated_at ? "ok" : "new";
}

static void put_number(struct buf *b, bool *first, const char *key, bool has, double v)
{
    json_key(b, first, key);
    if (has && isfinite(v))
        json_put_f64(b, v);
    else
        buf_puts(b, "null");
}

static void put_time(struct buf *b, bool *first, const char *key, ts_ns t)
{
    json_key(b, first, key);
    if (t)
        json_put_time(b, t);
    else
        buf_puts(b, "null");
}

static void put_groups(struct buf *b, const struct alert_entry *e, bool all)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < e->set->n; i++) {
        const struct alert_inst *in = &e->set->v[i];
        bool first = true;
        if (!all && in->state == ALERT_OK)
            continue;
        buf_puts(b, shown++ ? "," : "");
        buf_putc(b, '{');
        json_key(b, &first, "group");
        buf_putstr(b, in->key);
        json_kv_str(b, &first, "state", str_c(alert_state_names[in->state]));
        put_time(b, &first, "since", in->since);
        put_number(b, &first, "value", in->has_value, in->value);
        if (e->rule.condition == ALERT_RISES || e->rule.condition == ALERT_FALLS)
            put_number(b, &first, "before", in->has_before, in->before);
        buf_putc(b, '}');
    }
}

static void put_entry(struct buf *b, const struct alert_entry *e, ts_ns now, int flags, bool all)
{
    struct buf text;
    bool first = false, snoozed = e->meta.snoozed_until > now;
    buf_init(&text, 1024);
    condition_put(&text, &e->rule);
    rule_put(b, &e->rule, flags | RULE_OPEN);
    json_kv_str(b, &first, "condition", buf_str(&text));
    json_kv_str(b, &first, "source", e->meta.from_file ? STR("file") : STR("api"));
    json_kv_str(b, &first, "agents", e->meta.agent);
    put_time(b, &first, "created", e->meta.created);
    put_time(b, &first, "changed", e->meta.changed);
    json_kv_str(b, &first, "changed_by", e->meta.changed_by);
    json_kv_str(b, &first, "state", str_c(state_of(e)));
    put_time(b, &first, "snoozed_until", snoozed ? e->meta.snoozed_until : 0);
    json_kv_str(b, &first, "snoozed_by", snoozed ? e->meta.snoozed_by : STR(""));
    put_time(b, &first, "evaluated", e->evaluated_at);
    put_number(b, &first, "elapsed_ms", e->evaluated_at != 0, e->elapsed_ms);
    json_key(b, &first, "error");
    if (e->failed_since) {
        bool inner = true;
        buf_putc(b, '{');
        json_kv_str(b, &inner, "message", str_c(e->failure));
        put_time(b, &inner, "since", e->failed_since);
        buf_putc(b, '}');
    } else {
        buf_puts(b, "null");
    }
    json_kv_bool(b, &first, "too_many_groups", e->overflow);
    json_key(b, &first, "groups");
    buf_putc(b, '[');
    put_groups(b, e, all);
    buf_putc(b, ']');
    buf_deinit(&text);
}

/* ---- reading ---- */

static int run_list(struct job *j, struct err *err)
{
    struct alerts *al = j->s->alerts;
    uint64_t counts[3];
    uint32_t shown = 0;
    bool first = false;
    ts_ns now = server_now(j->s);
    int rc = meta_delivery_counts(j->s->meta, counts, err);
    if (rc < 0)
        return rc;
    buf_puts(&j->out, "{\"alerts\":[");
    pthread_mutex_lock(&al->lock);
    for (uint32_t i = 0; i < al->n; i++) {
        if (!may_see(j->c, al->v[i]))
            continue;
        buf_puts(&j->out, shown++ ? ",\n" : "");
        put_entry(&j->out, al->v[i], now, shown_flags(j->c), false);
        buf_putc(&j->out, '}');
    }
    pthread_mutex_unlock(&al->lock);
    buf_puts(&j->out, "]");
    json_kv_u64(&j->out, &first, "deliveries_waiting", counts[DELIVERY_WAITING]);
    buf_puts(&j->out, "}\n");
    return 0;
}

void alerts_api_list(struct call *c)
{
    job_start(c, run_list, NULL, -1);
}

static void put_target(struct buf *b, struct arena *a, const struct meta_delivery *d, int flags)
{
    struct tree *doc;
    struct alert_target t;
    struct err err = ERR_INIT;
    if (tree_from_json(&doc, a, d->target, &err) == 0 && target_read(&t, doc, false, a, &err) == 0)
        target_put(b, &t, flags);
    else
        buf_puts(b, "null");
}

static int put_deliveries(struct job *j, str name, struct err *err)
{
    static const char *const words[] = { "waiting", "delivered", "given up" };
    struct meta_delivery *d = NULL;
    uint32_t n = 0;
    bool first = false;
    int rc = meta_delivery_list(j->s->meta, &j->arena, name, DELIVERIES_SHOWN, &d, &n, err);
    if (rc < 0)
        return rc;
    json_key(&j->out, &first, "deliveries");
    buf_putc(&j->out, '[');
    for (uint32_t i = 0; i < n; i++) {
        bool in = true;
        buf_puts(&j->out, i ? ",{" : "{");
        json_kv_str(&j->out, &in, "id", d[i].uid);
        json_key(&j->out, &in, "group");
        buf_putstr(&j->out, d[i].key);
        json_key(&j->out, &in, "target");
        put_target(&j->out, &j->arena, &d[i], shown_flags(j->c));
        json_kv_str(&j->out, &in, "status", str_c(words[d[i].status % 3]));
        json_kv_u64(&j->out, &in, "attempts", d[i].attempts);
        json_kv_str(&j->out, &in, "answer", d[i].answer);
        put_time(&j->out, &in, "created", d[i].created);
        put_time(&j->out, &in, "next", d[i].status == DELIVERY_WAITING ? d[i].next_at : 0);
        put_time(&j->out, &in, "done", d[i].done_at);
        buf_putc(&j->out, '}');
    }
    buf_puts(&j->out, "]");
    return 0;
}

/* everything about one rule: the answer of most calls */
static int answer_rule(struct job *j, str name, struct err *err)
{
    struct alerts *al = j->s->alerts;
    ts_ns now = server_now(j->s);
    pthread_mutex_lock(&al->lock);
    const struct alert_entry *e = alerts_find(al, name);
    bool there = e && may_see(j->c, e);
    if (there)
        put_entry(&j->out, e, now, shown_flags(j->c), true);
    pthread_mutex_unlock(&al->lock);
    if (!there)
        return not_found(err, name);
    int rc = put_deliveries(j, name, err);
    buf_puts(&j->out, "}\n");
    return rc;
}

static int run_get(struct job *j, struct err *err)
{
    return answer_rule(j, j->c->args[0], err);
}

void alerts_api_get(struct call *c)
{
    job_start(c, run_get, NULL, -1);
}

struct history {
    str rule;
    uint64_t before, limit;
};

static int run_history(struct job *j, struct err *err)
{
    const struct history *h = j->args;
    struct meta_alert_line *l = NULL;
    uint32_t n = 0;
    const char *agent = j->c->who->agent[0] ? j->c->who->agent : NULL;
    int rc = meta_alert_history(j->s->meta, &j->arena, h->rule, agent, h->before,
                                (uint32_t)h->limit, &l, &n, err);
    if (rc < 0)
        return rc;
    buf_puts(&j->out, "{\"history\":[");
    for (uint32_t i = 0; i < n; i++) {
        bool first = true;
        buf_puts(&j->out, i ? ",\n{" : "{");
        json_kv_u64(&j->out, &first, "id", l[i].id);
        put_time(&j->out, &first, "time", l[i].time);
        json_kv_str(&j->out, &first, "alert", l[i].rule);
        json_key(&j->out, &first, "group");
        buf_putstr(&j->out, l[i].key);
        json_kv_str(&j->out, &first, "from", l[i].was);
        json_kv_str(&j->out, &first, "to", l[i].state);
        put_number(&j->out, &first, "value", l[i].has_value, l[i].value);
        json_kv_str(&j->out, &first, "note", l[i].note);
        buf_putc(&j->out, '}');
    }
    bool first = false;
    buf_putc(&j->out, ']');
    json_key(&j->out, &first, "next_before");
    if (n == h->limit)
        buf_put_u64(&j->out, l[n - 1].id);
    else
        buf_puts(&j->out, "null");
    buf_puts(&j->out, "}\n");
    return 0;
}

void alerts_api_history(struct call *c)
{
    struct history *h = arena_zalloc(c->req->arena, sizeof *h);
    if (!h) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    h->limit = HISTORY_DEFAULT;
    param_str(c, "alert", &h->rule);
    if (param_u64(c, "limit", 1, HISTORY_MAX, &h->limit) &&
        param_u64(c, "before", 1, INT64_MAX, &h->before))
        job_start(c, run_history, h, -1);
}

/* ---- changing ---- */

struct change {
    str name;   /* empty: the body says */
    str doc;    /* JSON */
    str expect; /* PATCH: what it was made from */
    bool must_be_new;
};

static int name_of_body(struct job *j, struct change *ch, struct err *err)
{
    struct tree *doc;
    int rc = tree_from_json(&doc, &j->arena, ch->doc, err);
    if (rc < 0)
        return rc;
    const struct tree *t = tree_get(doc, "name");
    if (!t || t->kind != TREE_TEXT || !alert_name_ok(t->text)) {
        tree_err(err, ERR_INVALID, t ? t->line : doc->line, t ? t->col : doc->col,
                 "a rule needs a name");
        err_hint(err, "1 to %d letters, digits, '-', '_' and '.', and not 'history'",
                 ALERT_NAME_MAX);
        return ERR_INVALID;
    }
    ch->name = t->text;
    return 0;
}

/* the agents a changed rule may look at: those it had, or the key's */
static int agents_of(struct job *j, str name, str *ret, struct err *err)
{
    struct alerts *al = j->s->alerts;
    bool hidden = false;
    *ret = str_c(j->c->who->agent);
    pthread_mutex_lock(&al->lock);
    const struct alert_entry *e = alerts_find(al, name);
    if (e && may_see(j->c, e))
        *ret = arena_dup(&j->arena, e->meta.agent);
    else if (e)
        hidden = true;
    pthread_mutex_unlock(&al->lock);
    if (hidden)
        return err_set(err, ERR_CONFLICT, "the name '%.*s' is taken", STR_FMT(name));
    return ret->n && !ret->p ? err_nomem(err) : 0;
}

static int run_put(struct job *j, struct err *err)
{
    struct change *ch = j->args;
    enum alert_outcome outcome;
    char who[96];
    str agents;
    int rc = ch->name.n ? 0 : name_of_body(j, ch, err);
    if (rc == 0)
        rc = agents_of(j, ch->name, &agents, err);
    if (rc < 0)
        return rc;
    own_who(j->c, who);
    struct alert_wish w = { .name = ch->name,
                            .doc = ch->doc,
                            .agent = agents,
                            .who = str_c(who),
                            .expect = ch->expect,
                            .must_be_new = ch->must_be_new,
                            .keep_secrets = true };
    rc = alerts_put(j->s->alerts, &w, &outcome, err);
    if (rc < 0)
        return rc;
    if (outcome != ALERT_UNCHANGED)
        own_audit(j->s, AUDIT_ALERT, outcome == ALERT_CREATED ? "created" : "changed", ch->name,
                  w.who);
    j->status = outcome == ALERT_CREATED ? 201 : 200;
    return answer_rule(j, ch->name, err);
}

static struct change *change_of(struct call *c)
{
    struct change *ch = arena_zalloc(c->req->arena, sizeof *ch);
    if (!ch) {
        reply_error(c, 503, "busy", "out of memory");
        return NULL;
    }
    ch->name = c->args[0];
    ch->doc = c->req->body;
    return ch;
}

void alerts_api_create(struct call *c)
{
    struct change *ch = change_of(c);
    if (!ch)
        return;
    ch->name = STR_NULL;
    ch->must_be_new = true;
    job_start(c, run_put, ch, -1);
}

void alerts_api_put(struct call *c)
{
    struct change *ch = change_of(c);
    if (ch)
        job_start(c, run_put, ch, -1);
}

/* the stored document, or ERR_NOTFOUND */
static int stored_doc(struct job *j, str name, str *ret, struct err *err)
{
    struct alerts *al = j->s->alerts;
    bool there;
    pthread_mutex_lock(&al->lock);
    const struct alert_entry *e = alerts_find(al, name);
    there = e && may_see(j->c, e);
    if (there)
        *ret = arena_dup(&j->arena, e->meta.doc);
    pthread_mutex_unlock(&al->lock);
    if (!there)
        return not_found(err, name);
    return ret->p ? 0 : err_nomem(err);
}

static void put_member(struct buf *b, bool *first, const struct tree *t)
{
    buf_puts(b, *first ? "{" : ",");
    *first = false;
    json_put_str(b, t->key);
    buf_putc(b, ':');
    tree_put_json(b, t);
}

/* members of the body in the place of those stored; null takes one away */
static int run_patch(struct job *j, struct err *err)
{
    struct change *ch = j->args;
    struct tree *old, *patch;
    struct buf b;
    bool first = true;
    int rc = stored_doc(j, ch->name, &ch->expect, err);
    if (rc == 0)
        rc = tree_from_json(&old, &j->arena, ch->expect, err);
    if (rc == 0)
        rc = tree_from_json(&patch, &j->arena, ch->doc, err);
    if (rc == 0 && patch->kind != TREE_MAP)
        rc = err_set(err, ERR_INVALID, "the body must be an object of what changes");
    if (rc < 0)
        return rc;
    buf_init(&b, 512u << 10);
    TREE_EACH(t, old)
    {
        char key[64];
        snprintf(key, sizeof key, "%.*s", STR_FMT(t->key));
        if (!tree_get(patch, key))
            put_member(&b, &first, t);
    }
    TREE_EACH(t, patch)
    if (!tree_is_null(t))
        put_member(&b, &first, t);
    buf_puts(&b, first ? "{}" : "}");
    ch->doc = buf_ok(&b) ? arena_dup(&j->arena, buf_str(&b)) : STR_NULL;
    buf_deinit(&b);
    return ch->doc.p ? run_put(j, err) : err_set(err, ERR_LIMIT, "the rule is too large");
}

void alerts_api_patch(struct call *c)
{
    struct change *ch = change_of(c);
    if (ch)
        job_start(c, run_patch, ch, -1);
}

static int run_delete(struct job *j, struct err *err)
{
    str name = j->c->args[0], doc;
    char who[96];
    bool first = true;
    int rc = stored_doc(j, name, &doc, err);
    if (rc == 0)
        rc = alerts_delete(j->s->alerts, name, false, err);
    if (rc < 0)
        return rc;
    own_who(j->c, who);
    own_audit(j->s, AUDIT_ALERT, "deleted", name, str_c(who));
    buf_putc(&j->out, '{');
    json_kv_str(&j->out, &first, "deleted", name);
    buf_puts(&j->out, "}\n");
    return 0;
}

void alerts_api_delete(struct call *c)
{
    job_start(c, run_delete, NULL, -1);
}

/* ---- snooze ---- */

struct snooze {
    ts_ns until;
};

static int run_snooze(struct job *j, struct err *err)
{
    const struct snooze *sn = j->args;
    str name = j->c->args[0], doc;
    char who[96];
    int rc = stored_doc(j, name, &doc, err);
    own_who(j->c, who);
    if (rc == 0)
        rc = alerts_snooze(j->s->alerts, name, sn->until, str_c(who), err);
    if (rc < 0)
        return rc;
    own_audit(j->s, AUDIT_ALERT, sn->until ? "snoozed" : "woken", name, str_c(who));
    return answer_rule(j, name, err);
}

static int read_snooze(struct call *c, struct snooze *sn, struct err *err)
{
    struct jobject o;
    struct arena *a = c->req->arena;
    str text;
    int64_t ns;
    int rc = jobject_parse(&o, c->req->body, a, err);
    if (rc < 0)
        return rc;
    const struct jmember *until = jobject_get(&o, "until"), *span = jobject_get(&o, "for");
    ts_ns now = server_now(c->s);
    if (!until == !span || o.n != 1) {
        err_set(err, ERR_INVALID, "say until when: one of until and for");
        err_hint(err, "{\"for\":\"2h\"}, {\"until\":\"2026-12-24T08:00:00Z\"}, {\"until\":null}");
        return ERR_INVALID;
    }
    if (until && until->type == JSON_NULL)
        return 0; /* awake */
    if (span) {
        if (!jmember_str(span, a, &text) || !dur_parse(text, 0, &ns))
            return err_set(err, ERR_INVALID, "for must be a duration such as 2h");
        sn->until = ns <= SNOOZE_MAX_NS ? now + ns : TS_MAX;
    } else if (!jmember_str(until, a, &text) || !moment_parse(text, now, &sn->until)) {
        return err_set(err, ERR_INVALID, "until must be a time, or null to end a snooze");
    }
    if (sn->until <= now || sn->until > now + SNOOZE_MAX_NS)
        return err_set(err, ERR_INVALID, "a snooze ends in the next 366 days");
    return 0;
}

void alerts_api_snooze(struct call *c)
{
    struct snooze *sn = arena_zalloc(c->req->arena, sizeof *sn);
    struct err err = ERR_INIT;
    int rc = sn ? read_snooze(c, sn, &err) : err_nomem(&err);
    if (rc < 0)
        reply_err(c, &err);
    else
        job_start(c, run_snooze, sn, -1);
}

/* ---- test ---- */

struct trial {
    struct alert_rule rule;
    struct alert_plan plan;
    struct alert_readings rd;
    struct alert_set old; /* v in the job's arena */
    str agents;
    uint64_t cursor;
};

/* the groups as they are, when the rule is the stored one */
static int copy_groups(struct job *j, struct trial *t, bool stored, struct err *err)
{
    struct alerts *al = j->s->alerts;
    bool ok = true;
    t->agents = str_c(j->c->who->agent);
    pthread_mutex_lock(&al->lock);
    const struct alert_entry *e = stored ? alerts_find(al, str_c(t->rule.name)) : NULL;
    if (e) {
        t->agents = arena_dup(&j->arena, e->meta.agent);
        t->cursor = e->meta.cursor;
        t->old.v = arena_array(&j->arena, e->set->n ? e->set->n : 1, sizeof *t->old.v);
        ok = t->old.v && t->agents.p;
        for (uint32_t i = 0; ok && i < e->set->n; i++) {
            t->old.v[i] = e->set->v[i];
            t->old.v[i].key = arena_dup(&j->arena, e->set->v[i].key);
            ok = t->old.v[i].key.p != NULL;
        }
        t->old.n = ok ? e->set->n : 0;
    }
    pthread_mutex_unlock(&al->lock);
    return ok ? 0 : err_nomem(err);
}

static void put_trial(struct job *j, const struct trial *t, struct alert_inst *v,
                      const struct alert_reading *x, uint32_t n, bool overflow)
{
    struct buf *b = &j->out, text;
    bool first = true;
    ts_ns now = server_now(j->s);
    buf_init(&text, 1024);
    condition_put(&text, &t->rule);
    buf_putc(b, '{');
    json_kv_str(b, &first, "alert", str_c(t->rule.name));
    json_kv_str(b, &first, "condition", buf_str(&text));
    if (t->rule.metric)
        json_kv_str(b, &first, "metric", str_c(alert_metric_names[t->rule.metric]));
    else if (t->rule.condition != ALERT_NEW_ISSUE)
        json_kv_str(b, &first, "query", t->plan.text);
    if (rule_has_window(&t->rule))
        put_time(b, &first, "from", now - t->rule.window_ns);
    put_time(b, &first, "to", now);
    json_kv_f64(b, &first, "elapsed_ms", t->rd.elapsed_ms);
    json_kv_bool(b, &first, "too_many_groups", overflow);
    json_key(b, &first, "groups");
    buf_putc(b, '[');
    for (uint32_t i = 0; i < n; i++) {
        bool in = true;
        double change;
        enum alert_state was = v[i].state;
        (void)alert_step(&t->rule, &v[i], &x[i], now, true);
        buf_puts(b, i ? ",\n{" : "{");
        json_key(b, &in, "group");
        buf_putstr(b, v[i].key);
        put_number(b, &in, "value", x[i].has_value, x[i].value);
        if (t->rule.condition == ALERT_RISES || t->rule.condition == ALERT_FALLS) {
            bool has = alert_change(&x[i], &change);
            put_number(b, &in, "before", x[i].has_before, x[i].before);
            put_number(b, &in, "change_percent", has, has ? change : 0);
        }
        json_kv_bool(b, &in, "breached", alert_breached(&t->rule, &x[i]));
        json_kv_str(b, &in, "state", str_c(alert_state_names[was]));
        json_kv_str(b, &in, "next_state", str_c(alert_state_names[v[i].state]));
        buf_putc(b, '}');
    }
    buf_puts(b, "]}\n");
    buf_deinit(&text);
}

static int run_test(struct job *j, struct err *err)
{
    struct trial *t = arena_zalloc(&j->arena, sizeof *t);
    struct tree *doc;
    str name = j->c->args[0], text = j->c->req->body;
    struct alert_inst *v;
    struct alert_reading *x;
    uint32_t n;
    bool overflow, stored = !text.n;
    if (!t)
        return err_nomem(err);
    int rc = stored ? stored_doc(j, name, &text, err) : 0;
    if (rc == 0)
        rc = tree_from_json(&doc, &j->arena, text, err);
    if (rc == 0)
        rc = rule_read(&t->rule, doc, name, stored, &j->arena, err);
    if (rc == 0)
        rc = copy_groups(j, t, stored, err);
    if (rc == 0)
        rc = alert_plan(j->s, &t->rule, t->agents, &j->arena, &t->plan, err);
    bool issue = t->rule.condition == ALERT_NEW_ISSUE;
    if (rc == 0 && issue && !t->cursor)
        rc = alert_first_cursor(j->s, &t->cursor, err);
    if (rc == 0 && issue)
        rc = alert_read_issues(j->s, &t->rule, t->agents, &t->old, t->cursor, server_now(j->s),
                               &j->ctl, &j->arena, &t->rd, err);
    else if (rc == 0)
        rc = alert_read(j->s, &t->rule, &t->plan, t->agents, server_now(j->s), &j->ctl, &j->arena,
                        &t->rd, err);
    if (rc == 0)
        rc =
            alert_merge(&t->rule, &t->plan, &t->old, &t->rd, &j->arena, &v, &x, &n, &overflow, err);
    if (rc == 0)
        put_trial(j, t, v, x, n, overflow);
    return rc;
}

void alerts_api_test(struct call *c)
{
    job_start(c, run_test, NULL, 0);
}
