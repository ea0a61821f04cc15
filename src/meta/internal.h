/* internal.h: what the files of src/meta share: the handle and the ways to SQLite.
 *
 * The database is used under db_lock only, which is held across I/O: nothing on the path of a
 * request waits for it. */
#ifndef FL_META_INTERNAL_H
#define FL_META_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/evp.h>
#include <sqlite3.h>

#include "meta/meta.h"

/* 1: keys; 2: states of issues and their history; 3: alert rules, states, history, deliveries;
 * 4: saved views and dashboards */
#define META_VERSION 4
#define HASH_N 32
#define STATIC_MAX 8

struct entry {
    struct api_key key;
    uint8_t hash[HASH_N];
};

struct meta {
    sqlite3 *db;
    bool read_only;
    EVP_MD *sha256;
    pthread_mutex_t db_lock; /* all use of db; held across I/O */
    pthread_rwlock_t lock;   /* what follows; never held across I/O */
    struct entry *snap;      /* sorted by key.prefix */
    uint32_t nsnap;
    struct entry fixed[STATIC_MAX];
    uint32_t nfixed;
    int64_t version;            /* data_version of the snapshot */
    _Atomic int64_t checked_at; /* monotonic */
};

extern const char issues_schema[];
extern const char alerts_schema[];
extern const char docs_schema[];

int db_err(struct meta *m, int rc, struct err *err, const char *what);
int db_exec(struct meta *m, const char *sql, struct err *err, const char *what);

/* ---- run.c: one statement: prepared, its parameters bound in order, run; under db_lock ---- */
struct db_run {
    struct meta *m;
    sqlite3_stmt *st;
    int next, rc;
    const char *what; /* for errors: "cannot <what>" */
};
/* Whatever fails is remembered, later calls do nothing, and db_run_close tells. */
void db_run_open(struct db_run *r, struct meta *m, const char *what, const char *sql);
void db_bind_str(struct db_run *r, str s); /* borrowed until the statement is closed */
void db_bind_int(struct db_run *r, int64_t v);
void db_bind_value(struct db_run *r, bool has, double v); /* NULL when it has none */
bool db_run_row(struct db_run *r);                        /* is there a further row? */
bool db_get_str(struct db_run *r, int col, struct arena *a, str *ret);
int64_t db_get_int(struct db_run *r, int col);
bool db_get_value(struct db_run *r, int col, double *ret);
int db_run_close(struct db_run *r, struct err *err);
int db_run_once(struct db_run *r, struct err *err); /* one step, then closes */
/* an array of n elements that grows in an arena by one */
void *db_more(struct arena *a, void *have, uint32_t n, size_t size);

#endif
