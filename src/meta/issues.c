/* issues.c: states of issues and their history, in SQLite.
 *
 *   issue         a row an issue that somebody or something decided about
 *   issue_change  a line a change, the newest META_ISSUE_CHANGES_MAX of each issue
 *
 * Ids are hashes of 64 bits: kept as SQLite's signed integers, bit for bit. */
#include "meta/issues.h"

#include <string.h>

#include "meta/internal.h"

const char issues_schema[] =
    "CREATE TABLE IF NOT EXISTS issue("
    "id INTEGER PRIMARY KEY, state INTEGER NOT NULL, cause INTEGER NOT NULL,"
    "regressed INTEGER NOT NULL, line INTEGER NOT NULL, marks INTEGER NOT NULL,"
    "at INTEGER NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL, until INTEGER NOT NULL,"
    "until_count INTEGER NOT NULL, seq INTEGER NOT NULL, entry TEXT NOT NULL,"
    "session TEXT NOT NULL, agent TEXT NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS issue_change("
    "n INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL, state INTEGER NOT NULL,"
    "cause INTEGER NOT NULL, regressed INTEGER NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,"
    "note TEXT NOT NULL, until INTEGER NOT NULL, until_count INTEGER NOT NULL,"
    "entry TEXT NOT NULL, session TEXT NOT NULL, agent TEXT NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS issue_change_of ON issue_change(id, n);";

static const char doing[] = "keep the state of an issue";

/* ---- reading ---- */

static bool text_of(sqlite3_stmt *st, int col, struct arena *a, str *ret)
{
    const char *text = (const char *)sqlite3_column_text(st, col);
    size_t n = text ? (size_t)sqlite3_column_bytes(st, col) : 0;
    *ret = arena_dup(a, (str){ text ? text : "", n });
    return ret->p != NULL;
}

static bool read_row(sqlite3_stmt *st, struct arena *a, struct meta_issue *x)
{
    int64_t state = sqlite3_column_int64(st, 1), cause = sqlite3_column_int64(st, 2);
    *x = (struct meta_issue){ .id = (uint64_t)sqlite3_column_int64(st, 0) };
    x->state = state >= ISSUE_OPEN && state <= ISSUE_IGNORED ? (enum issue_state)state : ISSUE_OPEN;
    x->cause =
        cause >= CAUSE_PERSON && cause <= CAUSE_COUNT ? (enum issue_cause)cause : CAUSE_PERSON;
    x->regressed = sqlite3_column_int64(st, 3) != 0;
    x->at = sqlite3_column_int64(st, 4);
    x->until = sqlite3_column_int64(st, 7);
    x->until_count = (uint64_t)sqlite3_column_int64(st, 8);
    if (sqlite3_column_count(st) > 12) {
        x->line = (uint64_t)sqlite3_column_int64(st, 12);
        x->marks = (uint64_t)sqlite3_column_int64(st, 13);
        x->seq = (uint64_t)sqlite3_column_int64(st, 14);
    }
    return text_of(st, 5, a, &x->by) && text_of(st, 6, a, &x->note) &&
           text_of(st, 9, a, &x->entry) && text_of(st, 10, a, &x->session) &&
           text_of(st, 11, a, &x->agent);
}

#define COLUMNS                                                                                    \
    "id, state, cause, regressed, at, by, note, until, until_count, entry, session, agent"

/* the rows of a prepared statement, which is finalized */
static int read_all(struct meta *m, sqlite3_stmt *st, struct arena *a, struct meta_issue **ret,
                    uint32_t *ret_n, struct err *err)
{
    struct meta_issue *v = NULL;
    uint32_t n = 0, cap = 0;
    int rc, r = 0;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && !r) {
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            struct meta_issue *more = arena_grow(a, v, n, cap, sizeof *more);
            if (!more) {
                r = err_nomem(err);
                break;
            }
            v = more;
        }
        if (!read_row(st, a, &v[n++]))
            r = err_nomem(err);
    }
    if (!r && rc != SQLITE_DONE)
        r = db_err(m, rc, err, "read the states of issues");
    sqlite3_finalize(st);
    *ret = v;
    *ret_n = r ? 0 : n;
    return r;
}

int meta_issues(struct meta *m, struct arena *a, struct meta_issue **ret, uint32_t *ret_n,
                struct err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&m->db_lock);
    int rc = sqlite3_prepare_v2(
        m->db, "SELECT " COLUMNS ", line, marks, seq FROM issue ORDER BY id", -1, &st, NULL);
    rc = rc == SQLITE_OK ? read_all(m, st, a, ret, ret_n, err)
                         : db_err(m, rc, err, "read the states of issues");
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}

int meta_issue_changes(struct meta *m, uint64_t id, uint32_t max, struct arena *a,
                       struct meta_issue **ret, uint32_t *ret_n, struct err *err)
{
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&m->db_lock);
    int rc = sqlite3_prepare_v2(
        m->db, "SELECT " COLUMNS " FROM issue_change WHERE id = ? ORDER BY n DESC LIMIT ?", -1, &st,
        NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, (int64_t)id);
        sqlite3_bind_int64(st, 2, max);
        rc = read_all(m, st, a, ret, ret_n, err);
    } else {
        rc = db_err(m, rc, err, "read the history of an issue");
    }
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}

/* ---- writing ---- */

static int bind_text(sqlite3_stmt *st, int at, str s)
{
    return sqlite3_bind_text(st, at, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

/* the twelve columns both tables have */
static int bind_row(sqlite3_stmt *st, const struct meta_issue *x)
{
    int rc = sqlite3_bind_int64(st, 1, (int64_t)x->id);
    rc |= sqlite3_bind_int64(st, 2, x->state);
    rc |= sqlite3_bind_int64(st, 3, x->cause);
    rc |= sqlite3_bind_int64(st, 4, x->regressed);
    rc |= sqlite3_bind_int64(st, 5, x->at);
    rc |= bind_text(st, 6, x->by);
    rc |= bind_text(st, 7, x->note);
    rc |= sqlite3_bind_int64(st, 8, x->until);
    rc |= sqlite3_bind_int64(st, 9, (int64_t)x->until_count);
    rc |= bind_text(st, 10, x->entry);
    rc |= bind_text(st, 11, x->session);
    rc |= bind_text(st, 12, x->agent);
    return rc ? SQLITE_NOMEM : SQLITE_OK;
}

struct writing {
    sqlite3_stmt *state, *change, *cut;
};

static int write_one(struct meta *m, struct writing *w, const struct meta_issue *x, struct err *err)
{
    int rc = bind_row(w->state, x);
    sqlite3_bind_int64(w->state, 13, (int64_t)x->line);
    sqlite3_bind_int64(w->state, 14, (int64_t)x->marks);
    sqlite3_bind_int64(w->state, 15, (int64_t)x->seq);
    rc = rc == SQLITE_OK ? sqlite3_step(w->state) : rc;
    if (rc == SQLITE_DONE)
        rc = bind_row(w->change, x) == SQLITE_OK ? sqlite3_step(w->change) : SQLITE_NOMEM;
    if (rc == SQLITE_DONE) {
        sqlite3_bind_int64(w->cut, 1, (int64_t)x->id);
        sqlite3_bind_int64(w->cut, 2, META_ISSUE_CHANGES_MAX);
        rc = sqlite3_step(w->cut);
    }
    if (rc != SQLITE_DONE)
        return db_err(m, rc, err, doing);
    sqlite3_reset(w->state);
    sqlite3_reset(w->change);
    sqlite3_reset(w->cut);
    return 0;
}

static int prepare(struct meta *m, struct writing *w, struct err *err)
{
    static const char state[] = "INSERT OR REPLACE INTO issue(" COLUMNS ", line, marks, seq)"
                                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    static const char change[] = "INSERT INTO issue_change(" COLUMNS ")"
                                 " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    static const char cut[] = "DELETE FROM issue_change WHERE id = ?1 AND n <= (SELECT n FROM"
                              " issue_change WHERE id = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)";
    int rc = sqlite3_prepare_v2(m->db, state, -1, &w->state, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(m->db, change, -1, &w->change, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(m->db, cut, -1, &w->cut, NULL);
    return rc == SQLITE_OK ? 0 : db_err(m, rc, err, doing);
}

int meta_issues_set(struct meta *m, const struct meta_issue *v, uint32_t n, struct err *err)
{
    struct writing w = { 0 };
    if (!n)
        return 0;
    if (m->read_only)
        return err_set(err, ERR_DENIED, "meta.db is open read-only");
    pthread_mutex_lock(&m->db_lock);
    int rc = prepare(m, &w, err);
    if (!rc)
        rc = db_exec(m, "BEGIN IMMEDIATE", err, doing);
    if (!rc) {
        for (uint32_t i = 0; i < n && !rc; i++)
            rc = write_one(m, &w, &v[i], err);
        if (!rc)
            rc = db_exec(m, "COMMIT", err, doing);
        if (rc)
            (void)sqlite3_exec(m->db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_finalize(w.state);
    sqlite3_finalize(w.change);
    sqlite3_finalize(w.cut);
    pthread_mutex_unlock(&m->db_lock);
    return rc;
}
