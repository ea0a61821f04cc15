/* run.c: one statement at a time, its errors kept until it is closed. */
#include "meta/internal.h"

void db_run_open(struct db_run *r, struct meta *m, const char *what, const char *sql)
{
    *r = (struct db_run){ .m = m, .next = 1, .what = what };
    r->rc = sqlite3_prepare_v2(m->db, sql, -1, &r->st, NULL);
}

void db_bind_str(struct db_run *r, str s)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_text(r->st, r->next++, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

void db_bind_int(struct db_run *r, int64_t v)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_bind_int64(r->st, r->next++, v);
}

void db_bind_value(struct db_run *r, bool has, double v)
{
    if (r->rc == SQLITE_OK)
        r->rc = has ? sqlite3_bind_double(r->st, r->next, v) : sqlite3_bind_null(r->st, r->next);
    r->next++;
}

/* the message of a failure must be fetched before the statement goes */
int db_run_close(struct db_run *r, struct err *err)
{
    int rc = 0;
    if (r->rc != SQLITE_OK && r->rc != SQLITE_DONE && r->rc != SQLITE_ROW)
        rc = db_err(r->m, r->rc, err, r->what);
    sqlite3_finalize(r->st);
    return rc;
}

int db_run_once(struct db_run *r, struct err *err)
{
    if (r->rc == SQLITE_OK)
        r->rc = sqlite3_step(r->st);
    return db_run_close(r, err);
}

bool db_run_row(struct db_run *r)
{
    if (r->rc == SQLITE_OK || r->rc == SQLITE_ROW)
        r->rc = sqlite3_step(r->st);
    return r->rc == SQLITE_ROW;
}

bool db_get_str(struct db_run *r, int col, struct arena *a, str *ret)
{
    const char *p = (const char *)sqlite3_column_text(r->st, col);
    *ret = arena_dup(a, str_n(p ? p : "", p ? (size_t)sqlite3_column_bytes(r->st, col) : 0));
    return ret->p != NULL;
}

int64_t db_get_int(struct db_run *r, int col)
{
    return sqlite3_column_int64(r->st, col);
}

bool db_get_value(struct db_run *r, int col, double *ret)
{
    if (sqlite3_column_type(r->st, col) == SQLITE_NULL)
        return false;
    *ret = sqlite3_column_double(r->st, col);
    return true;
}

void *db_more(struct arena *a, void *have, uint32_t n, size_t size)
{
    if (n && (n & (n - 1)))
        return have;
    return arena_grow(a, have, n, n ? 2ull * n : 1, size);
}
