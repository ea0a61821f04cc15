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

/* 1: keys; 2: states of issues and their history; 3: alert rules, states, history, deliveries */
#define META_VERSION 3
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

int db_err(struct meta *m, int rc, struct err *err, const char *what);
int db_exec(struct meta *m, const char *sql, struct err *err, const char *what);

#endif
