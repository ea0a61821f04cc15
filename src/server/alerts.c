/* alerts.c: the rules in memory, from where they come and how they change.
 *
 *   start    database -> entries; the file (--alerts) over it: its rules are stored too, so that a
 *            rule that changed or went between two runs is noticed and its alerts are ended
 *   change   claim the entry -> one transaction -> the new entry in its place -> release
 *
 * When what a rule measures changes, or the rule goes, its firing groups end: who was told that
 * they fire is told that they no longer do. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/alerts.h"

#define ENTRY_ARENA ((size_t)1 << 20)
#define SET_ARENA ((size_t)16 << 20)
#define WORK_ARENA ((size_t)64 << 20)

/* ---- entries ---- */

static void set_free(struct alert_set *set)
{
    if (!set)
        return;
    arena_deinit(&set->arena);
    mem_free(set);
}

static void entry_free(struct alert_entry *e)
{
    if (!e)
        return;
    set_free(e->set);
    arena_deinit(&e->arena);
    mem_free(e);
}

static bool dup_into(struct arena *a, str *s)
{
    *s = arena_dup(a, *s);
    return s->p != NULL;
}

static int read_env(struct alert_rule *r, struct arena *a, struct err *err)
{
    for (uint32_t i = 0; i < r->ntargets; i++) {
        struct alert_target *t = &r->targets[i];
        if (!t->secret_env.n)
            continue;
        const char *v = getenv(t->secret_env.p);
        size_t n = v ? strlen(v) : 0;
        if (n < 8 || n > 256) {
            err_set(err, ERR_INVALID, "rule '%s': the environment variable %s %s", r->name,
                    t->secret_env.p, v ? "needs 8 to 256 bytes" : "is not set");
            err_hint(err, "it holds the secret of a webhook; set it for the server");
            return ERR_INVALID;
        }
        t->secret = arena_dup(a, str_n(v, n));
        if (!t->secret.p)
            return err_nomem(err);
    }
    return 0;
}

/* meta's texts are copied. secret_env is looked up here. */
static int entry_new(struct alert_entry **ret, const struct meta_alert_rule *meta, struct err *err)
{
    struct tree *doc;
    struct err why = ERR_INIT;
    struct alert_entry *e = mem_zalloc(sizeof *e);
    if (!e)
        return err_nomem(err);
    arena_init(&e->arena, ENTRY_ARENA);
    e->meta = *meta;
    bool ok = dup_into(&e->arena, &e->meta.name) && dup_into(&e->arena, &e->meta.doc) &&
              dup_into(&e->arena, &e->meta.agent) && dup_into(&e->arena, &e->meta.changed_by) &&
              dup_into(&e->arena, &e->meta.snoozed_by);
    int rc = ok ? tree_from_json(&doc, &e->arena, e->meta.doc, err) : err_nomem(err);
    if (rc == 0)
        rc = rule_read(&e->rule, doc, e->meta.name, meta->from_file, &e->arena, err);
    if (rc == 0) /* a variable that is gone stops the start where the file is read, not here */
        (void)read_env(&e->rule, &e->arena, &why);
    e->set = rc == 0 ? mem_zalloc(sizeof *e->set) : NULL;
    if (rc == 0 && !e->set)
        rc = err_nomem(err);
    if (e->set)
        arena_init(&e->set->arena, SET_ARENA);
    if (rc < 0) {
        entry_free(e);
        return rc;
    }
    *ret = e;
    return 0;
}

static int plan_entry(struct alerts *al, struct alert_entry *e, struct err *err)
{
    int rc = alert_plan(al->s, &e->rule, e->meta.agent, &e->arena, &e->plan, err);
    e->planned = rc == 0;
    return rc;
}

static int load_set(struct alerts *al, struct alert_entry *e, struct err *err)
{
    struct meta_alert_inst *rows;
    uint32_t n;
    int rc = meta_alert_instances(al->s->meta, &e->set->arena, e->meta.name, &rows, &n, err);
    if (rc < 0)
        return rc;
    e->set->v = arena_array(&e->set->arena, n ? n : 1, sizeof *e->set->v);
    if (!e->set->v)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        const struct meta_alert_inst *r = &rows[i];
        e->set->v[i] = (struct alert_inst){
            .key = r->key,
            .state = r->state < ALERT_STATE__COUNT ? (enum alert_state)r->state : ALERT_OK,
            .since = r->since,
            .breach_since = r->breach_since,
            .clear_since = r->clear_since,
            .seen = r->seen,
            .told = r->told,
            .told_at = r->told_at,
            .has_value = r->has_value,
            .value = r->value,
        };
    }
    e->set->n = n;
    return 0;
}

/* ---- the list, under the lock ---- */

static uint32_t position(const struct alerts *al, str name, bool *ret_there)
{
    uint32_t lo = 0, hi = al->n;
    *ret_there = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(str_c(al->v[mid]->rule.name), name);
        if (c == 0) {
            *ret_there = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct alert_entry *alerts_find(struct alerts *al, str name)
{
    bool there;
    uint32_t i = position(al, name, &there);
    return there ? al->v[i] : NULL;
}

struct alert_entry *alerts_claim(struct alerts *al, str name)
{
    for (;;) {
        struct alert_entry *e = alerts_find(al, name);
        if (!e || !e->busy) {
            if (e)
                e->busy = true;
            return e;
        }
        if (e->running)
            e->running->cancel = 1;
        pthread_cond_wait(&al->idle, &al->lock);
    }
}

void alerts_release(struct alerts *al, struct alert_entry *e)
{
    e->busy = false;
    pthread_cond_broadcast(&al->idle);
    pthread_cond_signal(&al->work);
}

/* room for one more was made by grow */
static void insert(struct alerts *al, struct alert_entry *e)
{
    bool there;
    uint32_t i = position(al, str_c(e->rule.name), &there);
    memmove(al->v + i + 1, al->v + i, (al->n - i) * sizeof *al->v);
    al->v[i] = e;
    al->n++;
}

static void take_out(struct alerts *al, struct alert_entry *e)
{
    bool there;
    uint32_t i = position(al, str_c(e->rule.name), &there);
    memmove(al->v + i, al->v + i + 1, (al->n - i - 1) * sizeof *al->v);
    al->n--;
}

/* when a rule is first looked at: spread over its interval by its name, at once when that is short
 */
static int64_t first_due(const struct alert_rule *r)
{
    uint64_t h = 1469598103934665603ull;
    for (const char *p = r->name; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211ull;
    int64_t within = r->every_ns < 10 * NS_PER_S ? r->every_ns : 10 * NS_PER_S;
    return mono_ns() + (int64_t)(h % (uint64_t)within);
}

/* ---- ending groups ---- */

static int end_groups(struct alerts *al, const struct alert_entry *e, str why, ts_ns now,
                      struct arena *a, struct alert_batch *b, struct err *err)
{
    if (!alert_batch_room(b, a, e->set->n, e->rule.ntargets))
        return err_nomem(err);
    for (uint32_t i = 0; i < e->set->n; i++) {
        struct alert_inst in = e->set->v[i];
        if (in.state != ALERT_FIRING && in.state != ALERT_PENDING)
            continue;
        b->events[b->nevents++] = (struct meta_alert_event){ .key = in.key,
                                                             .was = alert_state_names[in.state],
                                                             .state = "resolved",
                                                             .has_value = in.has_value,
                                                             .value = in.value,
                                                             .note = why };
        if (in.state != ALERT_FIRING || !in.told)
            continue;
        in.state = ALERT_RESOLVED;
        in.since = now;
        int rc = alert_tell_all(al, &e->rule, &in, "resolved", why, now, a, b, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool same_measure(const struct alert_rule *a, const struct alert_rule *b)
{
    bool same = str_eq(a->query, b->query) && a->metric == b->metric &&
                str_eq(a->value, b->value) && a->nby == b->nby && a->condition == b->condition &&
                a->window_ns == b->window_ns && a->enabled == b->enabled;
    for (uint32_t i = 0; same && i < a->nby; i++)
        same = str_eq(a->by[i], b->by[i]);
    return same;
}

/* ---- changes ---- */

/* the secrets that came back as they were shown */
static int keep_secrets(struct alert_rule *r, const struct alert_rule *old, struct err *err)
{
    for (uint32_t i = 0; i < r->ntargets; i++) {
        struct alert_target *t = &r->targets[i];
        if (!str_eq(t->secret, STR(ALERT_SECRET_SHOWN)))
            continue;
        t->secret = STR_NULL;
        for (uint32_t k = 0; old && k < old->ntargets && !t->secret.n; k++)
            if (old->targets[k].channel == ALERT_WEBHOOK && str_eq(old->targets[k].url, t->url))
                t->secret = old->targets[k].secret;
        if (!t->secret.n) {
            err_set(err, ERR_INVALID, "the secret of %.200s is not known here", t->url.p);
            err_hint(err, "'***' keeps a secret only while the address stays: give it again");
            return ERR_INVALID;
        }
    }
    return 0;
}

static int check_targets(const struct alerts *al, const struct alert_rule *r, struct err *err)
{
    for (uint32_t i = 0; i < r->ntargets; i++)
        if (r->targets[i].channel == ALERT_COMMAND && !al->s->cfg.alert_commands) {
            err_set(err, ERR_DENIED, "rule '%s': this server runs no commands", r->name);
            err_hint(err, "fleetlog serve --alert-commands allows them");
            return ERR_DENIED;
        }
    return 0;
}

/* the rule as it is stored: a secret of the environment is not */
static int canonical(struct alert_rule *r, struct buf *out, struct err *err)
{
    buf_init(out, 256u << 10);
    rule_put(out, r, RULE_SECRETS | RULE_ENV);
    return buf_ok(out) ? 0 : err_nomem(err);
}

struct put {
    struct alerts *al;
    const struct alert_wish *w;
    struct arena arena;
    struct buf doc;
    struct alert_entry *old, *new; /* old is claimed */
    enum alert_outcome outcome;
};

static int put_read(struct put *p, struct err *err)
{
    struct tree *doc;
    struct alert_rule *r = arena_alloc(&p->arena, sizeof *r);
    int rc = r ? tree_from_json(&doc, &p->arena, p->w->doc, err) : err_nomem(err);
    if (rc == 0)
        rc = rule_read(r, doc, p->w->name, p->w->from_file, &p->arena, err);
    if (rc == 0)
        rc = check_targets(p->al, r, err);
    if (rc == 0)
        rc = read_env(r, &p->arena, err);
    if (rc == 0)
        rc = keep_secrets(r, p->old && p->w->keep_secrets ? &p->old->rule : NULL, err);
    return rc == 0 ? canonical(r, &p->doc, err) : rc;
}

static int put_build(struct put *p, ts_ns now, struct err *err)
{
    const struct alert_wish *w = p->w;
    struct meta_alert_rule meta = { .name = w->name,
                                    .doc = buf_str(&p->doc),
                                    .agent = w->agent,
                                    .changed_by = w->who,
                                    .from_file = w->from_file,
                                    .created = p->old ? p->old->meta.created : now,
                                    .changed = now };
    if (p->old) {
        meta.snoozed_until = p->old->meta.snoozed_until;
        meta.snoozed_by = p->old->meta.snoozed_by;
        meta.cursor = p->old->meta.cursor;
    }
    int rc = entry_new(&p->new, &meta, err);
    if (rc == 0)
        rc = plan_entry(p->al, p->new, err);
    if (rc == 0 && p->new->rule.condition == ALERT_NEW_ISSUE && !meta.cursor)
        rc = alert_first_cursor(p->al->s, &p->new->meta.cursor, err);
    return rc;
}

static int put_store(struct put *p, ts_ns now, struct err *err)
{
    struct alert_batch b = { 0 };
    struct meta_alert_change c = { .rule = p->w->name, .now = now, .put = &p->new->meta };
    bool keep = p->old && same_measure(&p->old->rule, &p->new->rule);
    int rc = 0;
    if (p->old && !keep) {
        rc = end_groups(p->al, p->old, STR("the rule was changed"), now, &p->arena, &b, err);
        c.forget_groups = true;
    }
    c.events = b.events;
    c.nevents = b.nevents;
    c.outs = b.outs;
    c.nouts = b.nouts;
    if (rc == 0)
        rc = meta_alert_commit(p->al->s->meta, &c, err);
    if (rc == 0 && keep) { /* the groups go over */
        struct alert_set *t = p->new->set;
        p->new->set = p->old->set;
        p->old->set = t;
    }
    return rc;
}

/* under the lock: makes room in the list, for a rule that is new */
static int grow(struct alerts *al, struct err *err)
{
    if (al->n >= ALERT_RULES_MAX) {
        return err_set(err, ERR_CONFLICT, "there are %d rules, the most that are taken",
                       ALERT_RULES_MAX);
    }
    struct alert_entry **v = mem_realloc(al->v, (al->n + 1) * sizeof *v);
    if (!v)
        return err_nomem(err);
    al->v = v;
    return 0;
}

static int put_claimed(struct put *p, struct err *err)
{
    ts_ns now = server_now(p->al->s);
    if (p->w->expect.n && (!p->old || !str_eq(p->old->meta.doc, p->w->expect)))
        return err_set(err, ERR_CONFLICT, "the rule was changed by somebody else: try again");
    int rc = put_read(p, err);
    if (rc < 0)
        return rc;
    if (p->old && str_eq(p->old->meta.doc, buf_str(&p->doc)) &&
        p->old->meta.from_file == p->w->from_file && p->old->planned) {
        p->outcome = ALERT_UNCHANGED;
        return 0;
    }
    rc = put_build(p, now, err);
    return rc == 0 ? put_store(p, now, err) : rc;
}

static int may_change(const struct alert_entry *e, bool from_file, struct err *err)
{
    if (!e->meta.from_file || from_file)
        return 0;
    err_set(err, ERR_CONFLICT, "the rule '%s' is in the server's file of rules", e->rule.name);
    err_hint(err, "change it there and send the server a SIGHUP");
    return ERR_CONFLICT;
}

int alerts_put(struct alerts *al, const struct alert_wish *w, enum alert_outcome *ret,
               struct err *err)
{
    struct put p = { .al = al, .w = w };
    int rc = 0;
    arena_init(&p.arena, WORK_ARENA);
    buf_init(&p.doc, 0);
    pthread_mutex_lock(&al->change);
    pthread_mutex_lock(&al->lock);
    p.old = alerts_claim(al, w->name);
    if (p.old && w->must_be_new)
        rc = err_set(err, ERR_CONFLICT, "there is a rule '%s' already", p.old->rule.name);
    else if (p.old)
        rc = may_change(p.old, w->from_file, err);
    else
        rc = grow(al, err);
    pthread_mutex_unlock(&al->lock);
    p.outcome = p.old ? ALERT_CHANGED : ALERT_CREATED;
    if (rc == 0)
        rc = put_claimed(&p, err);
    pthread_mutex_lock(&al->lock);
    if (p.old)
        alerts_release(al, p.old);
    if (rc == 0 && p.outcome != ALERT_UNCHANGED) {
        if (p.old)
            take_out(al, p.old);
        p.new->due = first_due(&p.new->rule);
        insert(al, p.new);
        struct alert_entry *t = p.old; /* goes below */
        p.old = p.new;
        p.new = t;
    }
    pthread_mutex_unlock(&al->lock);
    pthread_mutex_unlock(&al->change);
    if (rc == 0)
        *ret = p.outcome;
    entry_free(p.new);
    buf_deinit(&p.doc);
    arena_deinit(&p.arena);
    alert_wake(al);
    alert_send_wake(al);
    return rc;
}

static int delete_claimed(struct alerts *al, const struct alert_entry *e, struct err *err)
{
    struct arena a;
    struct alert_batch b = { 0 };
    ts_ns now = server_now(al->s);
    arena_init(&a, WORK_ARENA);
    int rc = end_groups(al, e, STR("the rule was deleted"), now, &a, &b, err);
    struct meta_alert_change c = { .rule = str_c(e->rule.name),
                                   .now = now,
                                   .remove = true,
                                   .events = b.events,
                                   .nevents = b.nevents,
                                   .outs = b.outs,
                                   .nouts = b.nouts };
    if (rc == 0)
        rc = meta_alert_commit(al->s->meta, &c, err);
    arena_deinit(&a);
    return rc;
}

int alerts_delete(struct alerts *al, str name, bool from_file, struct err *err)
{
    pthread_mutex_lock(&al->change);
    pthread_mutex_lock(&al->lock);
    struct alert_entry *e = alerts_claim(al, name);
    int rc = e ? may_change(e, from_file, err)
               : err_set(err, ERR_NOTFOUND, "there is no alert rule '%.*s'",
                         STR_FMT(str_sub(name, 0, 80)));
    pthread_mutex_unlock(&al->lock);
    if (rc == 0)
        rc = delete_claimed(al, e, err);
    pthread_mutex_lock(&al->lock);
    if (rc == 0)
        take_out(al, e);
    if (e)
        alerts_release(al, e);
    pthread_mutex_unlock(&al->lock);
    pthread_mutex_unlock(&al->change);
    if (rc == 0)
        entry_free(e);
    alert_send_wake(al);
    return rc;
}

int alerts_snooze(struct alerts *al, str name, ts_ns until, str who, struct err *err)
{
    struct alert_entry *e;
    int rc = 0;
    pthread_mutex_lock(&al->change);
    pthread_mutex_lock(&al->lock);
    e = alerts_claim(al, name);
    pthread_mutex_unlock(&al->lock);
    if (!e) {
        rc = err_set(err, ERR_NOTFOUND, "there is no alert rule '%.*s'",
                     STR_FMT(str_sub(name, 0, 80)));
    } else {
        struct meta_alert_rule meta = e->meta;
        struct meta_alert_event ev = { .key = STR("{}"), .was = "", .note = who };
        ev.state = until ? "snoozed" : "awake";
        meta.snoozed_until = until;
        meta.snoozed_by = until ? who : STR("");
        struct meta_alert_change c = {
            .rule = name, .now = server_now(al->s), .put = &meta, .events = &ev, .nevents = 1
        };
        rc = meta_alert_commit(al->s->meta, &c, err);
        pthread_mutex_lock(&al->lock);
        if (rc == 0) {
            size_t n = meta.snoozed_by.n < sizeof e->snoozer ? meta.snoozed_by.n : 0;
            memcpy(e->snoozer, meta.snoozed_by.p, n);
            e->meta = meta;
            e->meta.snoozed_by = str_n(e->snoozer, n);
        }
        if (rc == 0 && !until)
            e->due = mono_ns(); /* what still fires is told now */
        alerts_release(al, e);
        pthread_mutex_unlock(&al->lock);
    }
    pthread_mutex_unlock(&al->change);
    alert_wake(al);
    return rc;
}

/* ---- the file ---- */

static int read_file(const char *path, struct buf *out, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "cannot open %s", path);
    int rc = 0;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        rc = err_set(err, ERR_INVALID, "%s is no file", path);
    while (rc == 0) {
        char *room = buf_reserve(out, 64u << 10);
        ssize_t n = room ? read(fd, room, 64u << 10) : -2;
        buf_advance(out, n > 0 ? (size_t)n : 0);
        if (n == 0)
            break;
        if (n == -2)
            rc = err_set(err, ERR_LIMIT, "%s is larger than %zu KiB", path, TREE_BYTES_MAX >> 10);
        else if (n < 0 && errno != EINTR)
            rc = err_sys(err, errno, "cannot read %s", path);
    }
    close(fd);
    return rc;
}

static int in_file(const char *path, struct err *err)
{
    struct err why = *err;
    err_set(err, why.code == ERR_NOMEM ? ERR_NOMEM : ERR_INVALID, "%.150s: %.340s", path, why.msg);
    if (why.hint[0])
        err_hint(err, "%s", why.hint);
    return err->code;
}

/* everything that can be wrong is found before anything is changed */
static int check_file(struct alerts *al, struct alert_rule *rules, uint32_t n, struct arena *a,
                      struct err *err)
{
    struct alert_plan plan;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = check_targets(al, &rules[i], err);
        if (rc == 0)
            rc = read_env(&rules[i], a, err);
        if (rc == 0)
            rc = alert_plan(al->s, &rules[i], STR(""), a, &plan, err);
        if (rc < 0 && !strstr(err->msg, "rule '")) {
            struct err why = *err;
            err_set(err, why.code, "line %u: rule '%s': %.350s", rules[i].query_line, rules[i].name,
                    why.msg);
            if (why.hint[0])
                err_hint(err, "%s", why.hint);
        }
    }
    return rc;
}

static void warn_taken(struct alerts *al, const struct alert_rule *r)
{
    pthread_mutex_lock(&al->lock);
    const struct alert_entry *e = alerts_find(al, str_c(r->name));
    bool taken = e && !e->meta.from_file;
    pthread_mutex_unlock(&al->lock);
    if (taken)
        log_warn("alerts", "the file's rule '%s' takes the place of one made by the API", r->name);
}

static int apply_rule(struct alerts *al, struct alert_rule *r, struct err *err)
{
    struct buf doc;
    enum alert_outcome outcome;
    buf_init(&doc, 256u << 10);
    rule_put(&doc, r, RULE_SECRETS | RULE_ENV);
    warn_taken(al, r);
    struct alert_wish w = {
        .name = str_c(r->name), .doc = buf_str(&doc), .who = STR("the file"), .from_file = true
    };
    int rc = buf_ok(&doc) ? alerts_put(al, &w, &outcome, err) : err_nomem(err);
    buf_deinit(&doc);
    if (rc == 0 && outcome != ALERT_UNCHANGED)
        own_audit(al->s, AUDIT_ALERT, outcome == ALERT_CREATED ? "created" : "changed",
                  str_c(r->name), STR("the file"));
    return rc;
}

/* rules of the file of before that are not in this one */
static int drop_missing(struct alerts *al, const struct alert_rule *rules, uint32_t n,
                        struct err *err)
{
    for (;;) {
        char name[ALERT_NAME_MAX + 1] = "";
        pthread_mutex_lock(&al->lock);
        for (uint32_t i = 0; i < al->n && !name[0]; i++) {
            bool there = !al->v[i]->meta.from_file;
            for (uint32_t k = 0; k < n && !there; k++)
                there = strcmp(rules[k].name, al->v[i]->rule.name) == 0;
            if (!there)
                memcpy(name, al->v[i]->rule.name, sizeof name);
        }
        pthread_mutex_unlock(&al->lock);
        if (!name[0])
            return 0;
        int rc = alerts_delete(al, str_c(name), true, err);
        if (rc < 0 && rc != ERR_NOTFOUND)
            return rc;
        own_audit(al->s, AUDIT_ALERT, "deleted", str_c(name), STR("the file"));
    }
}

int alerts_reload(struct server *s, struct err *err)
{
    struct alerts *al = s->alerts;
    const char *path = s->cfg.alerts_file;
    struct arena a;
    struct buf text;
    struct tree *doc;
    struct alert_rule *rules = NULL;
    uint32_t n = 0;
    arena_init(&a, WORK_ARENA);
    buf_init(&text, TREE_BYTES_MAX + (64u << 10));
    int rc = path ? read_file(path, &text, err) : 0;
    if (rc == 0 && path) {
        rc = tree_from_yaml(&doc, &a, buf_str(&text), err);
        if (rc == 0)
            rc = rules_read(&rules, &n, doc, true, &a, err);
        if (rc == 0)
            rc = check_file(al, rules, n, &a, err);
        if (rc < 0)
            rc = in_file(path, err);
    }
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = apply_rule(al, &rules[i], err);
    if (rc == 0)
        rc = drop_missing(al, rules, n, err);
    buf_deinit(&text);
    arena_deinit(&a);
    return rc;
}

/* ---- start and stop ---- */

int alerts_new(struct server *s, struct err *err)
{
    pthread_condattr_t mono;
    struct alerts *al = mem_zalloc(sizeof *al);
    if (!al)
        return err_nomem(err);
    al->s = s;
    pthread_mutex_init(&al->change, NULL);
    pthread_mutex_init(&al->lock, NULL);
    pthread_mutex_init(&al->send_lock, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&al->work, &mono);
    pthread_cond_init(&al->idle, &mono);
    pthread_cond_init(&al->send_work, &mono);
    pthread_condattr_destroy(&mono);
    s->alerts = al;
    return 0;
}

/* A rule of the database that is no longer understood is kept there, and shown in the server's log.
 */
static int load_rule(struct alerts *al, const struct meta_alert_rule *m, struct err *err)
{
    struct alert_entry *e;
    struct err why = ERR_INIT;
    if (entry_new(&e, m, &why) < 0) {
        log_error("alerts", "rule '%.*s' cannot be read and is not evaluated: %s", STR_FMT(m->name),
                  why.msg);
        return why.code == ERR_NOMEM ? err_nomem(err) : 0;
    }
    int rc = load_set(al, e, err);
    if (rc == 0 && plan_entry(al, e, &why) < 0)
        log_warn("alerts", "rule '%s' cannot be evaluated: %s", e->rule.name, why.msg);
    if (rc == 0) {
        pthread_mutex_lock(&al->lock);
        rc = grow(al, err);
        if (rc == 0) {
            e->due = first_due(&e->rule);
            insert(al, e);
        }
        pthread_mutex_unlock(&al->lock);
    }
    if (rc < 0)
        entry_free(e);
    return rc;
}

int alerts_start(struct server *s, struct err *err)
{
    struct alerts *al = s->alerts;
    struct arena a;
    struct meta_alert_rule *rules = NULL;
    uint32_t n = 0;
    arena_init(&a, WORK_ARENA);
    int rc = meta_alert_rules(s->meta, &a, &rules, &n, err);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = load_rule(al, &rules[i], err);
    arena_deinit(&a);
    return rc == 0 ? alerts_reload(s, err) : rc;
}

int alerts_run(struct server *s, struct err *err)
{
    alert_sample_now(s);
    int rc = alert_threads_start(s->alerts, err);
    return rc == 0 ? alert_senders_start(s->alerts, err) : rc;
}

void alerts_stop(struct server *s)
{
    struct alerts *al = s->alerts;
    if (!al)
        return;
    pthread_mutex_lock(&al->lock);
    al->stopping = true;
    for (uint32_t i = 0; i < al->n; i++)
        if (al->v[i]->running)
            al->v[i]->running->cancel = 1;
    pthread_cond_broadcast(&al->work);
    pthread_mutex_unlock(&al->lock);
    pthread_mutex_lock(&al->send_lock);
    __atomic_store_n(&al->stop_sending, 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&al->send_work);
    pthread_mutex_unlock(&al->send_lock);
    for (uint32_t i = 0; i < al->nevaluators; i++)
        pthread_join(al->evaluators[i], NULL);
    for (uint32_t i = 0; i < al->nsenders; i++)
        pthread_join(al->senders[i], NULL);
    al->nevaluators = al->nsenders = 0;
}

void alerts_free(struct server *s)
{
    struct alerts *al = s->alerts;
    if (!al)
        return;
    for (uint32_t i = 0; i < al->n; i++)
        entry_free(al->v[i]);
    mem_free(al->v);
    pthread_cond_destroy(&al->send_work);
    pthread_cond_destroy(&al->idle);
    pthread_cond_destroy(&al->work);
    pthread_mutex_destroy(&al->send_lock);
    pthread_mutex_destroy(&al->lock);
    pthread_mutex_destroy(&al->change);
    mem_free(al);
    s->alerts = NULL;
}
