/* docs.c: saved views and dashboards in SQLite.
 *
 *   doc       a row a document, of both kinds
 *   doc_rev   a row a kind: the highest rev ever given, so that none is given twice
 *
 * A change looks at what is there and writes in one transaction. */
#include "meta/docs.h"

#include "meta/internal.h"

const char docs_schema[] =
    "CREATE TABLE IF NOT EXISTS doc("
    "kind INTEGER NOT NULL, name TEXT NOT NULL, agent TEXT NOT NULL, changed_by TEXT NOT NULL,"
    "created INTEGER NOT NULL, changed INTEGER NOT NULL, rev INTEGER NOT NULL, doc TEXT NOT NULL,"
    "UNIQUE(kind, name)) STRICT;"
    "CREATE TABLE IF NOT EXISTS doc_rev("
    "kind INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;";

static const char *const nouns[DOC__COUNT] = { "saved view", "dashboard" };

#define COLUMNS "name, agent, changed_by, created, changed, rev"

static bool read_head(struct db_run *r, struct arena *a, struct meta_doc *d)
{
    *d = (struct meta_doc){ .created = db_get_int(r, 3),
                            .changed = db_get_int(r, 4),
                            .rev = (uint64_t)db_get_int(r, 5) };
    return db_get_str(r, 0, a, &d->name) && db_get_str(r, 1, a, &d->agent) &&
           db_get_str(r, 2, a, &d->changed_by);
}

int meta_doc_list(struct meta *m, enum meta_doc_kind kind, str viewer, struct arena *a,
                  struct meta_doc **ret, uint32_t *ret_n, struct err *err)
{
    struct db_run r;
    struct meta_doc *all = NULL;
    uint32_t n = 0;
    bool room = true;
    pthread_mutex_lock(&m->db_lock);
    db_run_open(&r, m, "list documents",
                "SELECT " COLUMNS " FROM doc WHERE kind = ?1 AND (?2 = '' OR agent = ?2)"
                " ORDER BY name");
    db_bind_int(&r, kind);
    db_bind_str(&r, viewer);
    while (room && db_run_row(&r)) {
        all = db_more(a, all, n, sizeof *all);
        room = all && read_head(&r, a, &all[n++]);
    }
    int rc = db_run_close(&r, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0 || !room)
        return rc < 0 ? rc : err_nomem(err);
    *ret = all;
    *ret_n = n;
    return 0;
}

static int not_found(struct err *err, enum meta_doc_kind kind, str name)
{
    return err_set(err, ERR_NOTFOUND, "there is no %s '%.*s'", nouns[kind],
                   STR_FMT(str_sub(name, 0, META_DOC_NAME_MAX)));
}

/* under db_lock; whosever it is */
static int find(struct meta *m, enum meta_doc_kind kind, str name, struct arena *a, bool *ret_there,
                struct meta_doc *ret, struct err *err)
{
    struct db_run r;
    bool room = true;
    db_run_open(&r, m, "read a document",
                "SELECT " COLUMNS ", doc FROM doc WHERE kind = ? AND name = ?");
    db_bind_int(&r, kind);
    db_bind_str(&r, name);
    *ret_there = db_run_row(&r);
    if (*ret_there)
        room = read_head(&r, a, ret) && db_get_str(&r, 6, a, &ret->doc);
    int rc = db_run_close(&r, err);
    return rc == 0 && !room ? err_nomem(err) : rc;
}

static bool may_see(str viewer, const struct meta_doc *d)
{
    return !viewer.n || str_eq(viewer, d->agent);
}

int meta_doc_get(struct meta *m, enum meta_doc_kind kind, str viewer, str name, struct arena *a,
                 struct meta_doc *ret, struct err *err)
{
    struct meta_doc d = { 0 };
    bool there;
    pthread_mutex_lock(&m->db_lock);
    int rc = find(m, kind, name, a, &there, &d, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0)
        return rc;
    if (!there || !may_see(viewer, &d))
        return not_found(err, kind, name);
    *ret = d;
    return 0;
}

/* ---- changing ---- */

static int next_rev(struct meta *m, enum meta_doc_kind kind, uint64_t *ret, struct err *err)
{
    struct db_run r;
    db_run_open(&r, m, "count a change",
                "INSERT INTO doc_rev(kind, last) VALUES(?, 1)"
                " ON CONFLICT(kind) DO UPDATE SET last = last + 1 RETURNING last");
    db_bind_int(&r, kind);
    if (db_run_row(&r))
        *ret = (uint64_t)db_get_int(&r, 0);
    while (db_run_row(&r)) /* to its end, so that it is done */
        continue;
    return db_run_close(&r, err);
}

static int check_room(struct meta *m, enum meta_doc_kind kind, struct err *err)
{
    struct db_run r;
    int64_t n = 0;
    db_run_open(&r, m, "count documents", "SELECT count(*) FROM doc WHERE kind = ?");
    db_bind_int(&r, kind);
    if (db_run_row(&r))
        n = db_get_int(&r, 0);
    int rc = db_run_close(&r, err);
    if (rc < 0 || n < META_DOCS_MAX)
        return rc;
    err_set(err, ERR_LIMIT, "there are %d %ss, the most there may be", META_DOCS_MAX, nouns[kind]);
    err_hint(err, "delete one first");
    return ERR_LIMIT;
}

static int check_rev(enum meta_doc_kind kind, const struct meta_doc_change *c,
                     const struct meta_doc *old, struct err *err)
{
    if (!c->has_rev || c->rev == old->rev)
        return 0;
    err_set(err, ERR_CONFLICT, "the %s '%.*s' was changed by %.*s: it is rev %llu, not %llu",
            nouns[kind], STR_FMT(c->name), STR_FMT(str_sub(old->changed_by, 0, 128)),
            (unsigned long long)old->rev, (unsigned long long)c->rev);
    err_hint(err, "read it again and make the change there");
    return ERR_CONFLICT;
}

/* may it be written over? */
static int check_old(enum meta_doc_kind kind, const struct meta_doc_change *c, bool there,
                     const struct meta_doc *old, struct err *err)
{
    if (there && (c->must_be_new || !may_see(c->viewer, old))) {
        err_set(err, ERR_CONFLICT, "the name '%.*s' is taken", STR_FMT(c->name));
        return ERR_CONFLICT;
    }
    if (!there && (c->has_rev || c->must_exist)) {
        err_set(err, ERR_CONFLICT, "there is no %s '%.*s' to be changed", nouns[kind],
                STR_FMT(c->name));
        err_hint(err, "it was deleted; without rev and If-Match it is made anew");
        return ERR_CONFLICT;
    }
    return there ? check_rev(kind, c, old, err) : 0;
}

static int write_doc(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                     const struct meta_doc *old, struct err *err)
{
    struct db_run r;
    uint64_t rev = 0;
    int rc = next_rev(m, kind, &rev, err);
    if (rc < 0)
        return rc;
    db_run_open(&r, m, "store a document",
                "INSERT OR REPLACE INTO doc(kind, name, agent, changed_by, created, changed, rev,"
                " doc) VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
    db_bind_int(&r, kind);
    db_bind_str(&r, c->name);
    db_bind_str(&r, old ? old->agent : c->viewer);
    db_bind_str(&r, c->who);
    db_bind_int(&r, old ? old->created : c->now);
    db_bind_int(&r, c->now);
    db_bind_int(&r, (int64_t)rev);
    db_bind_str(&r, c->doc);
    return db_run_once(&r, err);
}

static int put(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
               struct arena *a, enum meta_doc_outcome *ret, struct err *err)
{
    struct meta_doc old = { 0 };
    bool there;
    int rc = find(m, kind, c->name, a, &there, &old, err);
    if (rc == 0)
        rc = check_old(kind, c, there, &old, err);
    if (rc < 0)
        return rc;
    *ret = !there                    ? META_DOC_CREATED
           : str_eq(old.doc, c->doc) ? META_DOC_UNCHANGED
                                     : META_DOC_CHANGED;
    if (*ret == META_DOC_UNCHANGED)
        return 0;
    rc = there ? 0 : check_room(m, kind, err);
    return rc == 0 ? write_doc(m, kind, c, there ? &old : NULL, err) : rc;
}

/* a transaction around fn */
static int change(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                  int (*fn)(struct meta *, enum meta_doc_kind, const struct meta_doc_change *,
                            struct arena *, enum meta_doc_outcome *, struct err *),
                  enum meta_doc_outcome *ret, struct err *err)
{
    struct err ignored = ERR_INIT;
    struct arena a;
    if (m->read_only)
        return err_set(err, ERR_DENIED, "meta.db is open read-only");
    arena_init(&a, 4 * META_DOC_BYTES_MAX);
    pthread_mutex_lock(&m->db_lock);
    int rc = db_exec(m, "BEGIN IMMEDIATE", err, "begin");
    if (rc == 0) {
        rc = fn(m, kind, c, &a, ret, err);
        if (rc == 0)
            rc = db_exec(m, "COMMIT", err, "commit");
        if (rc < 0)
            (void)db_exec(m, "ROLLBACK", &ignored, "roll back");
    }
    pthread_mutex_unlock(&m->db_lock);
    arena_deinit(&a);
    return rc;
}

int meta_doc_put(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                 enum meta_doc_outcome *ret, struct err *err)
{
    if (!c->name.n || c->name.n > META_DOC_NAME_MAX)
        return err_set(err, ERR_INVALID, "a name has 1 to %d characters", META_DOC_NAME_MAX);
    if (c->doc.n > META_DOC_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a %s has %zu KiB at most", nouns[kind],
                       META_DOC_BYTES_MAX >> 10);
    return change(m, kind, c, put, ret, err);
}

static int delete (struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                   struct arena *a, enum meta_doc_outcome *ret, struct err *err)
{
    struct meta_doc old = { 0 };
    struct db_run r;
    bool there;
    (void)ret;
    int rc = find(m, kind, c->name, a, &there, &old, err);
    if (rc == 0 && (!there || !may_see(c->viewer, &old)))
        rc = not_found(err, kind, c->name);
    if (rc == 0)
        rc = check_rev(kind, c, &old, err);
    if (rc < 0)
        return rc;
    db_run_open(&r, m, "delete a document", "DELETE FROM doc WHERE kind = ? AND name = ?");
    db_bind_int(&r, kind);
    db_bind_str(&r, c->name);
    return db_run_once(&r, err);
}

int meta_doc_delete(struct meta *m, enum meta_doc_kind kind, const struct meta_doc_change *c,
                    struct err *err)
{
    return change(m, kind, c, delete, NULL, err);
}
