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

/* ---- statements ---- */

/* one statement: prepared, its parameters bound in order, run */
struct run {
    struct meta *m;
    sqlite3_stmt *st;
    int next, rc;
    const char *what;
};

static void run_open(struct run *r, struct meta *m, const char *what, const char *sql)
{
    *r = (struct run){ .m = m, .next = 1, .what = what };
    r->rc = sqlite3_prepare_v2(m->db, sql, -1, &r->st, NULL);
}

static void bind_str(struct run *r, str s)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_text(r->st, r->next++, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

static void bind_int(struct run *r, int64_t v)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_int64(r->st, r->next++, v);
}

static void bind_value(struct run *r, bool has, double v)
{
    if (r->rc == SQLITE_OK)
        r->rc = has ? sqlite3_bind_double(r->st, r->next, v) : sqlite3_bind_null(r->st, r->next);
    r->next++;
}

/* the message of a failure must be fetched before the statement goes */
static int run_close(struct run *r, struct err *err)
{
    int rc = 0;
    if (r->rc != SQLITE_OK && r->rc != SQLITE_DONE && r->rc != SQLITE_ROW)
        rc = db_err(r->m, r->rc, err, r->what);
    sqlite3_finalize(r->st);
    return rc;
}

static int run_once(struct run *r, struct err *err)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_step(r->st);
    return run_close(r, err);
}

static bool run_row(struct run *r)
{
    if (r->rc == SQLITE_OK || r->rc == SQLITE_ROW)
        r->rc = sqlite3_step(r->st);
    return r->rc == SQLITE_ROW;
}

static bool get_str(struct run *r, int col, struct arena *a, str *ret)
{
    const char *p = (const char *)sqlite3_column_text(r->st, col);
    *ret = arena_dup(a, str_n(p ? p : "", p ? (size_t)sqlite3_column_bytes(r->st, col) : 0));
    return ret->p != NULL;
}

static int64_t get_int(struct run *r, int col)
{
    return sqlite3_column_int64(r->st, col);
}

static bool get_value(struct run *r, int col, double *ret)
{
    if (sqlite3_column_type(r->st, col) == SQLITE_NULL)
        return false;
    *ret = sqlite3_column_double(r->st, col);
    return true;
}

/* an array that grows in an arena */
static void *more(struct arena *a, void *have, uint32_t n, size_t size)
{
    if (n && (n & (n - 1)))
        return have;
    return arena_grow(a, have, n, n ? 2ull * n : 1, size);
}

/* ---- a change ---- */

static int put_rule(struct meta *m, const struct meta_alert_rule *p, struct err *err)
{
    struct run r;
    run_open(&r, m, "store a rule",
             "INSERT OR REPLACE INTO alert_rule(name, doc, agent, from_file, changed_by, created,"
             " changed, snoozed_until, snoozed_by, cursor) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    bind_str(&r, p->name);
    bind_str(&r, p->doc);
    bind_str(&r, p->agent);
    bind_int(&r, p->from_file);
    bind_str(&r, p->changed_by);
    bind_int(&r, p->created);
    bind_int(&r, p->changed);
    bind_int(&r, p->snoozed_until);
    bind_str(&r, p->snoozed_by);
    bind_int(&r, (int64_t)p->cursor);
    return run_once(&r, err);
}

static int delete_rows(struct meta *m, const char *sql, str rule, struct err *err)
{
    struct run r;
    run_open(&r, m, "delete a rule", sql);
    bind_str(&r, rule);
    return run_once(&r, err);
}

static int put_instance(struct meta *m, str rule, const struct meta_alert_inst *in, struct err *err)
{
    struct run r;
    if (in->drop) {
        run_open(&r, m, "store a state", "DELETE FROM alert_instance WHERE rule = ? AND key = ?");
        bind_str(&r, rule);
        bind_str(&r, in->key);
        return run_once(&r, err);
    }
    run_open(&r, m, "store a state",
             "INSERT OR REPLACE INTO alert_instance(rule, key, state, since, breach_since,"
             " clear_since, seen, told, told_at, value) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    bind_str(&r, rule);
    bind_str(&r, in->key);
    bind_int(&r, in->state);
    bind_int(&r, in->since);
    bind_int(&r, in->breach_since);
    bind_int(&r, in->clear_since);
    bind_int(&r, in->seen);
    bind_int(&r, in->told);
    bind_int(&r, in->told_at);
    bind_value(&r, in->has_value, in->value);
    return run_once(&r, err);
}

static int put_event(struct meta *m, const struct meta_alert_change *c,
                     const struct meta_alert_event *e, struct err *err)
{
    struct run r;
    run_open(&r, m, "store the history",
             "INSERT INTO alert_history(time, rule, key, was, state, value, note, agent)"
             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7,"
             " coalesce((SELECT agent FROM alert_rule WHERE name = ?2), ''))");
    bind_int(&r, c->now);
    bind_str(&r, c->rule);
    bind_str(&r, e->key);
    bind_str(&r, str_c(e->was));
    bind_str(&r, str_c(e->state));
    bind_value(&r, e->has_value, e->value);
    bind_str(&r, e->note);
    return run_once(&r, err);
}

static int put_delivery(struct meta *m, const struct meta_alert_change *c,
                        const struct meta_alert_out *o, struct err *err)
{
    struct run r;
    run_open(&r, m, "queue a delivery",
             "INSERT INTO alert_delivery(uid, rule, key, target, body, created, attempts, next_at,"
             " status, answer, done_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, ?6,"
             " CASE WHEN n < ?7 THEN 0 ELSE 2 END,"
             " CASE WHEN n < ?7 THEN '' ELSE 'the queue was full' END,"
             " CASE WHEN n < ?7 THEN 0 ELSE ?6 END"
             " FROM (SELECT count(*) AS n FROM alert_delivery WHERE status = 0)");
    bind_str(&r, o->uid);
    bind_str(&r, c->rule);
    bind_str(&r, o->key);
    bind_str(&r, o->target);
    bind_str(&r, o->body);
    bind_int(&r, c->now);
    bind_int(&r, META_ALERT_WAITING_MAX);
    return run_once(&r, err);
}

static int put_cursor(struct meta *m, str rule, uint64_t cursor, struct err *err)
{
    struct run r;
    run_open(&r, m, "store a rule", "UPDATE alert_rule SET cursor = ? WHERE name = ?");
    bind_int(&r, (int64_t)cursor);
    bind_str(&r, rule);
    return run_once(&r, err);
}

static int trim(struct meta *m, const char *what, const char *sql, int64_t keep, struct err *err)
{
    struct run r;
    run_open(&r, m, what, sql);
    bind_int(&r, keep);
    return run_once(&r, err);
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

static bool read_rule(struct run *r, struct arena *a, struct meta_alert_rule *p)
{
    *p = (struct meta_alert_rule){ .from_file = get_int(r, 3) != 0,
                                   .created = get_int(r, 5),
                                   .changed = get_int(r, 6),
                                   .snoozed_until = get_int(r, 7),
                                   .cursor = (uint64_t)get_int(r, 9) };
    return get_str(r, 0, a, &p->name) && get_str(r, 1, a, &p->doc) && get_str(r, 2, a, &p->agent) &&
           get_str(r, 4, a, &p->changed_by) && get_str(r, 8, a, &p->snoozed_by);
}

int meta_alert_rules(struct meta *m, struct arena *a, struct meta_alert_rule **ret, uint32_t *ret_n,
                     struct err *err)
{
    struct run r;
    struct meta_alert_rule *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "read rules",
             "SELECT name, doc, agent, from_file, changed_by, created, changed, snoozed_until,"
             " snoozed_by, cursor FROM alert_rule ORDER BY name");
    while (room && run_row(&r)) {
        all = more(a, all, n, sizeof *all);
        room = all && read_rule(&r, a, &all[n++]);
    }
    int rc = run_close(&r, err);
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
    struct run r;
    struct meta_alert_inst *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "read states",
             "SELECT key, state, since, breach_since, clear_since, seen, told, told_at, value"
             " FROM alert_instance WHERE rule = ? ORDER BY key");
    bind_str(&r, rule);
    while (room && run_row(&r)) {
        all = more(a, all, n, sizeof *all);
        if (!all || !get_str(&r, 0, a, &all[n].key)) {
            room = false;
            break;
        }
        struct meta_alert_inst *in = &all[n++];
        *in = (struct meta_alert_inst){ .key = in->key,
                                        .state = (uint32_t)get_int(&r, 1),
                                        .since = get_int(&r, 2),
                                        .breach_since = get_int(&r, 3),
                                        .clear_since = get_int(&r, 4),
                                        .seen = get_int(&r, 5),
                                        .told = get_int(&r, 6) != 0,
                                        .told_at = get_int(&r, 7) };
        in->has_value = get_value(&r, 8, &in->value);
    }
    int rc = run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

static bool read_line(struct run *r, struct arena *a, struct meta_alert_line *l)
{
    *l = (struct meta_alert_line){ .id = (uint64_t)get_int(r, 0), .time = get_int(r, 1) };
    l->has_value = get_value(r, 6, &l->value);
    return get_str(r, 2, a, &l->rule) && get_str(r, 3, a, &l->key) && get_str(r, 4, a, &l->was) &&
           get_str(r, 5, a, &l->state) && get_str(r, 7, a, &l->note);
}

int meta_alert_history(struct meta *m, struct arena *a, str rule, const char *agent,
                       uint64_t before, uint32_t limit, struct meta_alert_line **ret,
                       uint32_t *ret_n, struct err *err)
{
    struct run r;
    struct meta_alert_line *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "read the history",
             "SELECT id, time, rule, key, was, state, value, note FROM alert_history"
             " WHERE (?1 = '' OR rule = ?1) AND (?2 = 0 OR id < ?2) AND (?3 = 0 OR agent = ?4)"
             " ORDER BY id DESC LIMIT ?5");
    bind_str(&r, rule);
    bind_int(&r, before > INT64_MAX ? INT64_MAX : (int64_t)before);
    bind_int(&r, agent != NULL);
    bind_str(&r, str_c(agent));
    bind_int(&r, limit);
    while (room && run_row(&r)) {
        all = more(a, all, n, sizeof *all);
        room = all && read_line(&r, a, &all[n++]);
    }
    int rc = run_close(&r, err);
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

static bool read_delivery(struct run *r, struct arena *a, struct meta_delivery *d)
{
    *d = (struct meta_delivery){ .id = (uint64_t)get_int(r, 0),
                                 .created = get_int(r, 7),
                                 .next_at = get_int(r, 8),
                                 .done_at = get_int(r, 9),
                                 .attempts = (uint32_t)get_int(r, 10),
                                 .status = (enum meta_delivery_status)get_int(r, 11) };
    return get_str(r, 1, a, &d->uid) && get_str(r, 2, a, &d->rule) && get_str(r, 3, a, &d->key) &&
           get_str(r, 4, a, &d->target) && get_str(r, 5, a, &d->body) &&
           get_str(r, 6, a, &d->answer);
}

int meta_delivery_next(struct meta *m, struct arena *a, const str *busy, uint32_t nbusy,
                       struct meta_delivery *ret, struct err *err)
{
    struct run r;
    bool found, room = true;
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "read deliveries",
             "SELECT " DELIVERY_COLUMNS " FROM alert_delivery d WHERE d.status = 0"
             " AND d.target NOT IN (?1, ?2, ?3, ?4) AND NOT EXISTS (SELECT 1 FROM alert_delivery e"
             " WHERE e.rule = d.rule AND e.key = d.key AND e.target = d.target AND e.id < d.id"
             " AND e.status = 0) ORDER BY d.next_at, d.id LIMIT 1");
    for (uint32_t i = 0; i < 4; i++)
        bind_str(&r, i < nbusy ? busy[i] : STR_NULL); /* "" is no target */
    found = run_row(&r);
    if (found)
        room = read_delivery(&r, a, ret);
    int rc = run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    return found ? 0 : ERR_NOTFOUND;
}

int meta_delivery_set(struct meta *m, uint64_t id, enum meta_delivery_status status, str answer,
                      uint32_t attempts, ts_ns next_at, ts_ns now, struct err *err)
{
    struct run r;
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "record a delivery",
             "UPDATE alert_delivery SET status = ?, answer = ?, attempts = ?, next_at = ?,"
             " done_at = ? WHERE id = ?");
    bind_int(&r, status);
    bind_str(&r, answer);
    bind_int(&r, attempts);
    bind_int(&r, next_at);
    bind_int(&r, status == DELIVERY_WAITING ? 0 : now);
    bind_int(&r, (int64_t)id);
    int rc = run_once(&r, err);
    if (rc == 0 && status != DELIVERY_WAITING)
        rc = trim_finished(m, err);
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}

int meta_delivery_list(struct meta *m, struct arena *a, str rule, uint32_t limit,
                       struct meta_delivery **ret, uint32_t *ret_n, struct err *err)
{
    struct run r;
    struct meta_delivery *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "read deliveries",
             "SELECT " DELIVERY_COLUMNS
             " FROM alert_delivery d WHERE d.rule = ? ORDER BY d.id DESC LIMIT ?");
    bind_str(&r, rule);
    bind_int(&r, limit);
    while (room && run_row(&r)) {
        all = more(a, all, n, sizeof *all);
        room = all && read_delivery(&r, a, &all[n++]);
    }
    int rc = run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

int meta_delivery_counts(struct meta *m, uint64_t ret[3], struct err *err)
{
    struct run r;
    memset(ret, 0, 3 * sizeof *ret);
    pthread_mutex_lock(&m->db_lock);
    run_open(&r, m, "count deliveries",
             "SELECT status, count(*) FROM alert_delivery GROUP BY status");
    while (run_row(&r)) {
        int64_t status = get_int(&r, 0);
        if (status >= 0 && status < 3)
            ret[status] = (uint64_t)get_int(&r, 1);
    }
    int rc = run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}
