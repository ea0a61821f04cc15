/* alerts.c: rules, states of groups, history and the outbox of alerts, in SQLite.
 *
 *   alert_rule       a row a rule; those of files too, so that a file that changed is noticed
 *   alert_instance   a row a group that is not simply ok
 *   alert_history    a line a change of state; the newest META_ALERT_HISTORY_MAX stay
 *   alert_delivery   the outbox: a row a message, WAITING until its outcome is recorded
 *
 * A message is written in the transaction of the change it tells of and leaves the queue only in a
 * transaction of its own after the answer: a crash between both sends it again under the same uid.
 */
#include "meta/alerts.h"

#include <string.h>

#include "meta/internal.h"

const char alerts_schema[] =
    "CREATE TABLE IF NOT EXISTS alert_rule("
    "name TEXT PRIMARY KEY, doc TEXT NOT NULL, agent TEXT NOT NULL, from_file INTEGER NOT NULL,"
    "changed_by TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,"
    "snoozed_until INTEGER NOT NULL, snoozed_by TEXT NOT NULL, cursor INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS alert_instance("
    "rule TEXT NOT NULL, key TEXT NOT NULL, state INTEGER NOT NULL, since INTEGER NOT NULL,"
    "breach_since INTEGER NOT NULL, clear_since INTEGER NOT NULL, seen INTEGER NOT NULL,"
    "told INTEGER NOT NULL, told_at INTEGER NOT NULL, value REAL,"
    "PRIMARY KEY(rule, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS alert_history("
    "id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, rule TEXT NOT NULL,"
    "key TEXT NOT NULL, was TEXT NOT NULL, state TEXT NOT NULL, value REAL,"
    "note TEXT NOT NULL, agent TEXT NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS alert_history_rule ON alert_history(rule, id);"
    "CREATE TABLE IF NOT EXISTS alert_delivery("
    "id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, rule TEXT NOT NULL,"
    "key TEXT NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL,"
    "attempts INTEGER NOT NULL, next_at INTEGER NOT NULL, status INTEGER NOT NULL,"
    "answer TEXT NOT NULL, done_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS alert_delivery_due ON alert_delivery(status, next_at);"
    "CREATE INDEX IF NOT EXISTS alert_delivery_of ON alert_delivery(rule, key, target, id);";

/* ---- a change ---- */

static int put_rule(struct meta *m, const struct meta_alert_rule *p, struct err *err)
{
    struct db_run r;
    db_run_open(
        &r, m, "store a rule",
        "INSERT OR REPLACE INTO alert_rule(name, doc, agent, from_file, changed_by, created,"
        " changed, snoozed_until, snoozed_by, cursor) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    db_bind_str(&r, p->name);
    db_bind_str(&r, p->doc);
    db_bind_str(&r, p->agent);
    db_bind_int(&r, p->from_file);
    db_bind_str(&r, p->changed_by);
    db_bind_int(&r, p->created);
    db_bind_int(&r, p->changed);
    db_bind_int(&r, p->snoozed_until);
    db_bind_str(&r, p->snoozed_by);
    db_bind_int(&r, (int64_t)p->cursor);
    return db_run_once(&r, err);
}

static int delete_rows(struct meta *m, const char *sql, str rule, struct err *err)
{
    struct db_run r;
    db_run_open(&r, m, "delete a rule", sql);
    db_bind_str(&r, rule);
    return db_run_once(&r, err);
}

static int put_instance(struct meta *m, str rule, const struct meta_alert_inst *in, struct err *err)
{
    struct db_run r;
    if (in->drop) {
        db_run_open(&r, m, "store a state",
                    "DELETE FROM alert_instance WHERE rule = ? AND key = ?");
        db_bind_str(&r, rule);
        db_bind_str(&r, in->key);
        return db_run_once(&r, err);
    }
    db_run_open(&r, m, "store a state",
                "INSERT OR REPLACE INTO alert_instance(rule, key, state, since, breach_since,"
                " clear_since, seen, told, told_at, value) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    db_bind_str(&r, rule);
    db_bind_str(&r, in->key);
    db_bind_int(&r, in->state);
    db_bind_int(&r, in->since);
    db_bind_int(&r, in->breach_since);
    db_bind_int(&r, in->clear_since);
    db_bind_int(&r, in->seen);
    db_bind_int(&r, in->told);
    db_bind_int(&r, in->told_at);
    db_bind_value(&r, in->has_value, in->value);
    return db_run_once(&r, err);
}

static int put_event(struct meta *m, const struct meta_alert_change *c,
                     const struct meta_alert_event *e, struct err *err)
{
    struct db_run r;
    db_run_open(&r, m, "store the history",
                "INSERT INTO alert_history(time, rule, key, was, state, value, note, agent)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7,"
                " coalesce((SELECT agent FROM alert_rule WHERE name = ?2), ''))");
    db_bind_int(&r, c->now);
    db_bind_str(&r, c->rule);
    db_bind_str(&r, e->key);
    db_bind_str(&r, str_c(e->was));
    db_bind_str(&r, str_c(e->state));
    db_bind_value(&r, e->has_value, e->value);
    db_bind_str(&r, e->note);
    return db_run_once(&r, err);
}

static int put_delivery(struct meta *m, const struct meta_alert_change *c,
                        const struct meta_alert_out *o, struct err *err)
{
    struct db_run r;
    db_run_open(
        &r, m, "queue a delivery",
        "INSERT INTO alert_delivery(uid, rule, key, target, body, created, attempts, next_at,"
        " status, answer, done_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, ?6,"
        " CASE WHEN n < ?7 THEN 0 ELSE 2 END,"
        " CASE WHEN n < ?7 THEN '' ELSE 'the queue was full' END,"
        " CASE WHEN n < ?7 THEN 0 ELSE ?6 END"
        " FROM (SELECT count(*) AS n FROM alert_delivery WHERE status = 0)");
    db_bind_str(&r, o->uid);
    db_bind_str(&r, c->rule);
    db_bind_str(&r, o->key);
    db_bind_str(&r, o->target);
    db_bind_str(&r, o->body);
    db_bind_int(&r, c->now);
    db_bind_int(&r, META_ALERT_WAITING_MAX);
    return db_run_once(&r, err);
}

static int put_cursor(struct meta *m, str rule, uint64_t cursor, struct err *err)
{
    struct db_run r;
    db_run_open(&r, m, "store a rule", "UPDATE alert_rule SET cursor = ? WHERE name = ?");
    db_bind_int(&r, (int64_t)cursor);
    db_bind_str(&r, rule);
    return db_run_once(&r, err);
}

static int trim(struct meta *m, const char *what, const char *sql, int64_t keep, struct err *err)
{
    struct db_run r;
    db_run_open(&r, m, what, sql);
    db_bind_int(&r, keep);
    return db_run_once(&r, err);
}

static int trim_finished(struct meta *m, struct err *err)
{
    return trim(m, "trim deliveries",
                "DELETE FROM alert_delivery WHERE status <> 0 AND id <= (SELECT id FROM"
                " alert_delivery WHERE status <> 0 ORDER BY id DESC LIMIT 1 OFFSET ?)",
                META_ALERT_FINISHED_MAX, err);
}

static int apply(struct meta *m, const struct meta_alert_change *c, struct err *err)
{
    int rc = c->put ? put_rule(m, c->put, err) : 0;
    if (rc == 0 && c->cursor)
        rc = put_cursor(m, c->rule, c->cursor, err);
    /* history takes the rule's pattern from its row: before that goes */
    for (uint32_t i = 0; rc == 0 && i < c->nevents; i++)
        rc = put_event(m, c, &c->events[i], err);
    if (rc == 0 && (c->remove || c->forget_groups))
        rc = delete_rows(m, "DELETE FROM alert_instance WHERE rule = ?", c->rule, err);
    if (rc == 0 && c->remove)
        rc = delete_rows(m, "DELETE FROM alert_rule WHERE name = ?", c->rule, err);
    for (uint32_t i = 0; rc == 0 && i < c->ninsts; i++)
        rc = put_instance(m, c->rule, &c->insts[i], err);
    for (uint32_t i = 0; rc == 0 && i < c->nouts; i++)
        rc = put_delivery(m, c, &c->outs[i], err);
    if (rc == 0 && c->nevents)
        rc = trim(m, "trim the history",
                  "DELETE FROM alert_history WHERE id <= (SELECT max(id) FROM alert_history) - ?",
                  META_ALERT_HISTORY_MAX, err);
    return rc == 0 && c->nouts ? trim_finished(m, err) : rc;
}

int meta_alert_commit(struct meta *m, const struct meta_alert_change *c, struct err *err)
{
    struct err ignored = ERR_INIT;
    if (m->read_only)
        return err_set(err, ERR_DENIED, "meta.db is open read-only");
    pthread_mutex_lock(&m->db_lock);
    int rc = db_exec(m, "BEGIN IMMEDIATE", err, "begin");
    if (rc == 0) {
        rc = apply(m, c, err);
        if (rc == 0)
            rc = db_exec(m, "COMMIT", err, "commit");
        if (rc < 0)
            (void)db_exec(m, "ROLLBACK", &ignored, "roll back");
    }
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}

/* ---- reading ---- */

static bool read_rule(struct db_run *r, struct arena *a, struct meta_alert_rule *p)
{
    *p = (struct meta_alert_rule){ .from_file = db_get_int(r, 3) != 0,
                                   .created = db_get_int(r, 5),
                                   .changed = db_get_int(r, 6),
                                   .snoozed_until = db_get_int(r, 7),
                                   .cursor = (uint64_t)db_get_int(r, 9) };
    return db_get_str(r, 0, a, &p->name) && db_get_str(r, 1, a, &p->doc) &&
           db_get_str(r, 2, a, &p->agent) && db_get_str(r, 4, a, &p->changed_by) &&
           db_get_str(r, 8, a, &p->snoozed_by);
}

int meta_alert_rules(struct meta *m, struct arena *a, struct meta_alert_rule **ret, uint32_t *ret_n,
                     struct err *err)
{
    struct db_run r;
    struct meta_alert_rule *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "read rules",
                "SELECT name, doc, agent, from_file, changed_by, created, changed, snoozed_until,"
                " snoozed_by, cursor FROM alert_rule ORDER BY name");
    while (room && db_run_row(&r)) {
        all = db_more(a, all, n, sizeof *all);
        room = all && read_rule(&r, a, &all[n++]);
    }
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

int meta_alert_instances(struct meta *m, struct arena *a, str rule, struct meta_alert_inst **ret,
                         uint32_t *ret_n, struct err *err)
{
    struct db_run r;
    struct meta_alert_inst *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "read states",
                "SELECT key, state, since, breach_since, clear_since, seen, told, told_at, value"
                " FROM alert_instance WHERE rule = ? ORDER BY key");
    db_bind_str(&r, rule);
    while (room && db_run_row(&r)) {
        all = db_more(a, all, n, sizeof *all);
        if (!all || !db_get_str(&r, 0, a, &all[n].key)) {
            room = false;
            break;
        }
        struct meta_alert_inst *in = &all[n++];
        *in = (struct meta_alert_inst){ .key = in->key,
                                        .state = (uint32_t)db_get_int(&r, 1),
                                        .since = db_get_int(&r, 2),
                                        .breach_since = db_get_int(&r, 3),
                                        .clear_since = db_get_int(&r, 4),
                                        .seen = db_get_int(&r, 5),
                                        .told = db_get_int(&r, 6) != 0,
                                        .told_at = db_get_int(&r, 7) };
        in->has_value = db_get_value(&r, 8, &in->value);
    }
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

static bool read_line(struct db_run *r, struct arena *a, struct meta_alert_line *l)
{
    *l = (struct meta_alert_line){ .id = (uint64_t)db_get_int(r, 0), .time = db_get_int(r, 1) };
    l->has_value = db_get_value(r, 6, &l->value);
    return db_get_str(r, 2, a, &l->rule) && db_get_str(r, 3, a, &l->key) &&
           db_get_str(r, 4, a, &l->was) && db_get_str(r, 5, a, &l->state) &&
           db_get_str(r, 7, a, &l->note);
}

int meta_alert_history(struct meta *m, struct arena *a, str rule, const char *agent,
                       uint64_t before, uint32_t limit, struct meta_alert_line **ret,
                       uint32_t *ret_n, struct err *err)
{
    struct db_run r;
    struct meta_alert_line *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "read the history",
                "SELECT id, time, rule, key, was, state, value, note FROM alert_history"
                " WHERE (?1 = '' OR rule = ?1) AND (?2 = 0 OR id < ?2) AND (?3 = 0 OR agent = ?4)"
                " ORDER BY id DESC LIMIT ?5");
    db_bind_str(&r, rule);
    db_bind_int(&r, before > INT64_MAX ? INT64_MAX : (int64_t)before);
    db_bind_int(&r, agent != NULL);
    db_bind_str(&r, str_c(agent));
    db_bind_int(&r, limit);
    while (room && db_run_row(&r)) {
        all = db_more(a, all, n, sizeof *all);
        room = all && read_line(&r, a, &all[n++]);
    }
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

/* ---- deliveries ---- */

#define DELIVERY_COLUMNS                                                                           \
    "d.id, d.uid, d.rule, d.key, d.target, d.body, d.answer, d.created, d.next_at, d.done_at,"     \
    " d.attempts, d.status"

static bool read_delivery(struct db_run *r, struct arena *a, struct meta_delivery *d)
{
    *d = (struct meta_delivery){ .id = (uint64_t)db_get_int(r, 0),
                                 .created = db_get_int(r, 7),
                                 .next_at = db_get_int(r, 8),
                                 .done_at = db_get_int(r, 9),
                                 .attempts = (uint32_t)db_get_int(r, 10),
                                 .status = (enum meta_delivery_status)db_get_int(r, 11) };
    return db_get_str(r, 1, a, &d->uid) && db_get_str(r, 2, a, &d->rule) &&
           db_get_str(r, 3, a, &d->key) && db_get_str(r, 4, a, &d->target) &&
           db_get_str(r, 5, a, &d->body) && db_get_str(r, 6, a, &d->answer);
}

int meta_delivery_next(struct meta *m, struct arena *a, const str *busy, uint32_t nbusy,
                       struct meta_delivery *ret, struct err *err)
{
    struct db_run r;
    bool found, room = true;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(
        &r, m, "read deliveries",
        "SELECT " DELIVERY_COLUMNS " FROM alert_delivery d WHERE d.status = 0"
        " AND d.target NOT IN (?1, ?2, ?3, ?4) AND NOT EXISTS (SELECT 1 FROM alert_delivery e"
        " WHERE e.rule = d.rule AND e.key = d.key AND e.target = d.target AND e.id < d.id"
        " AND e.status = 0) ORDER BY d.next_at, d.id LIMIT 1");
    for (uint32_t i = 0; i < 4; i++)
        db_bind_str(&r, i < nbusy ? busy[i] : STR_NULL); /* "" is no target */
    found = db_run_row(&r);
    if (found)
        room = read_delivery(&r, a, ret);
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    return found ? 0 : ERR_NOTFOUND;
}

int meta_delivery_set(struct meta *m, uint64_t id, enum meta_delivery_status status, str answer,
                      uint32_t attempts, ts_ns next_at, ts_ns now, struct err *err)
{
    struct db_run r;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "record a delivery",
                "UPDATE alert_delivery SET status = ?, answer = ?, attempts = ?, next_at = ?,"
                " done_at = ? WHERE id = ?");
    db_bind_int(&r, status);
    db_bind_str(&r, answer);
    db_bind_int(&r, attempts);
    db_bind_int(&r, next_at);
    db_bind_int(&r, status == DELIVERY_WAITING ? 0 : now);
    db_bind_int(&r, (int64_t)id);
    int rc = db_run_once(&r, err);
    if (rc == 0 && status != DELIVERY_WAITING)
        rc = trim_finished(m, err);
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}

int meta_delivery_list(struct meta *m, struct arena *a, str rule, uint32_t limit,
                       struct meta_delivery **ret, uint32_t *ret_n, struct err *err)
{
    struct db_run r;
    struct meta_delivery *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "read deliveries",
                "SELECT " DELIVERY_COLUMNS
                " FROM alert_delivery d WHERE d.rule = ? ORDER BY d.id DESC LIMIT ?");
    db_bind_str(&r, rule);
    db_bind_int(&r, limit);
    while (room && db_run_row(&r)) {
        all = db_more(a, all, n, sizeof *all);
        room = all && read_delivery(&r, a, &all[n++]);
    }
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

int meta_delivery_counts(struct meta *m, uint64_t ret[3], struct err *err)
{
    struct db_run r;
    memset(ret, 0, 3 * sizeof *ret);
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "count deliveries",
                "SELECT status, count(*) FROM alert_delivery GROUP BY status");
    while (db_run_row(&r)) {
        int64_t status = db_get_int(&r, 0);
        if (status >= 0 && status < 3)
            ret[status] = (uint64_t)db_get_int(&r, 1);
    }
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}
