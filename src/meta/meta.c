/* meta.c: API keys in SQLite, and the snapshot in memory that requests are judged by.
 *
 * Table `keys` holds one row a key: what a list shows and the SHA-256 of the whole secret. The
 * secret itself is 160 random bits and never stored, so a slow password hash would protect nothing.
 *
 * Invariants
 *  1. `snap` is what the table said at the last load; every change through this handle reloads it
 *     before it returns.
 *  2. Another process may change the file (`fleetlog keys` beside a running server): a lookup asks
 *     SQLite's data version at most once a second, and only when nobody holds the database, so a
 *     revoked key stops working within about a second and no request waits for a disk.
 *  3. Keys in the snapshot are sorted by their public prefix, which is no secret; the hash of a
 *     candidate is compared in constant time.
 *  4. Static keys (flag, environment) live in memory only.
 *  5. An expired key still counts as a key: an expiry must never turn a closed server into an open
 *     one. Only revoking the last key does that, and only a person does it. */
#include "meta/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/mem.h"
#include "meta/internal.h"

#define META_APP_ID 1718382439 /* "flog" */
#define KEYS_MAX 100000
#define SECRET_N 49 /* flk_ + 12 + _ + 32 */
#define PREFIX_N 12
#define RECHECK_NS NS_PER_S

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS keys("
    "id INTEGER PRIMARY KEY AUTOINCREMENT CHECK(id > 0),"
    "name TEXT NOT NULL, prefix TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
    "scopes INTEGER NOT NULL, agent TEXT NOT NULL, rate INTEGER NOT NULL,"
    "created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT;";

int db_err(struct meta *m, int rc, struct err *err, const char *what)
{
    int code = ERR_IO;
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return err_nomem(err);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: code = ERR_CORRUPT; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = ERR_BUSY; break;
    case SQLITE_FULL: code = ERR_FULL; break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: code = ERR_DENIED; break;
    default: break;
    }
    return err_set(err, code, "cannot %s in meta.db: %s", what,
                   m->db ? sqlite3_errmsg(m->db) : sqlite3_errstr(rc));
}

static int64_t mono_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- hashing and secrets ---- */

static bool hash_secret(struct meta *m, str secret, uint8_t out[HASH_N])
{
    unsigned n = 0;
    return EVP_Digest(secret.n ? secret.p : "", secret.n, out, &n, m->sha256, NULL) == 1 &&
           n == HASH_N;
}

static int random_bytes(void *p, size_t n, struct err *err)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_sys(err, errno, "cannot get random bytes");
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

/* n characters of 5 bits each */
static void put_base32(char *out, size_t n, const uint8_t *random)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (size_t i = 0; i < n; i++)
        out[i] = digits[random[i] & 31];
}

static int make_secret(char out[64], struct err *err)
{
    uint8_t random[PREFIX_N + 32];
    int rc = random_bytes(random, sizeof(random), err);
    if (rc < 0)
        return rc;
    memset(out, 0, 64);
    memcpy(out, "flk_", 4);
    put_base32(out + 4, PREFIX_N, random);
    out[4 + PREFIX_N] = '_';
    put_base32(out + 5 + PREFIX_N, 32, random + PREFIX_N);
    OPENSSL_cleanse(random, sizeof(random));
    return 0;
}

/* the public part of a presented secret; "" when it does not have our form */
static str public_part(str secret)
{
    if (secret.n != SECRET_N || !str_starts(secret, STR("flk_")) || secret.p[4 + PREFIX_N] != '_')
        return STR_NULL;
    return str_sub(secret, 4, PREFIX_N);
}

/* ---- snapshot ---- */

static void copy_column(char *out, size_t cap, sqlite3_stmt *st, int col)
{
    const char *text = (const char *)sqlite3_column_text(st, col);
    size_t n = text ? (size_t)sqlite3_column_bytes(st, col) : 0;
    if (n >= cap)
        n = cap - 1;
    if (n)
        memcpy(out, text, n);
    out[n] = 0;
}

static void read_key(sqlite3_stmt *st, struct entry *e)
{
    memset(e, 0, sizeof(*e));
    e->key.id = (uint32_t)sqlite3_column_int64(st, 0);
    copy_column(e->key.name, sizeof(e->key.name), st, 1);
    copy_column(e->key.prefix, sizeof(e->key.prefix), st, 2);
    e->key.scopes = (uint32_t)sqlite3_column_int64(st, 3) & SCOPE_ALL;
    copy_column(e->key.agent, sizeof(e->key.agent), st, 4);
    e->key.rate = (uint32_t)sqlite3_column_int64(st, 5);
    e->key.created = sqlite3_column_int64(st, 6);
    e->key.expires = sqlite3_column_int64(st, 7);
    e->key.revoked = sqlite3_column_int(st, 8) != 0;
    if (sqlite3_column_bytes(st, 9) == HASH_N)
        memcpy(e->hash, sqlite3_column_blob(st, 9), HASH_N);
    else
        e->key.revoked = true; /* a row nobody can present */
}

#define KEY_COLUMNS "id, name, prefix, scopes, agent, rate, created, expires, revoked, hash"

static int by_prefix(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(x->key.prefix, y->key.prefix);
    return c ? c : (x->key.id > y->key.id) - (x->key.id < y->key.id);
}

/* all rows in id order; *ret from mem_alloc. Called with db_lock. */
static int load_rows(struct meta *m, struct entry **ret, uint32_t *ret_n, struct err *err)
{
    sqlite3_stmt *st = NULL;
    struct entry *rows = NULL;
    uint32_t n = 0, cap = 0;
    int rc =
        sqlite3_prepare_v2(m->db, "SELECT " KEY_COLUMNS " FROM keys ORDER BY id", -1, &st, NULL);
    if (rc != SQLITE_OK)
        return db_err(m, rc, err, "read keys");
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < KEYS_MAX) {
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            struct entry *more = mem_realloc(rows, cap * sizeof(*rows));
            if (!more) {
                sqlite3_finalize(st);
                mem_free(rows);
                return err_nomem(err);
            }
            rows = more;
        }
        read_key(st, &rows[n++]);
    }
    sqlite3_finalize(st);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        mem_free(rows);
        return db_err(m, rc, err, "read keys");
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

static int64_t data_version(struct meta *m)
{
    sqlite3_stmt *st = NULL;
    int64_t v = -1;
    if (sqlite3_prepare_v2(m->db, "PRAGMA data_version", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

/* Replaces the snapshot by what the table says. Called with db_lock. */
static int reload(struct meta *m, struct err *err)
{
    struct entry *rows;
    uint32_t n;
    int64_t version = data_version(m);
    int rc = load_rows(m, &rows, &n, err);
    if (rc < 0)
        return rc;
    if (n > 1)
        qsort(rows, n, sizeof(*rows), by_prefix);
    pthread_rwlock_wrlock(&m->lock);
    struct entry *old = m->snap;
    m->snap = rows;
    m->nsnap = n;
    m->version = version;
    pthread_rwlock_unlock(&m->lock);
    mem_free(old);
    return 0;
}

/* Invariant 2. A failure keeps the snapshot; the next second tries again. */
static void recheck(struct meta *m)
{
    int64_t now = mono_now();
    int64_t last = atomic_load_explicit(&m->checked_at, memory_order_relaxed);
    if (now - last < RECHECK_NS || !atomic_compare_exchange_strong(&m->checked_at, &last, now) ||
        pthread_mutex_trylock(&m->db_lock) != 0)
        return;
    struct err err = ERR_INIT;
    if (data_version(m) != m->version)
        (void)reload(m, &err);
    pthread_mutex_unlock(&m->db_lock);
}

/* ---- opening ---- */

int db_exec(struct meta *m, const char *sql, struct err *err, const char *what)
{
    int rc = sqlite3_exec(m->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_err(m, rc, err, what);
}

static int pragma_int(struct meta *m, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(m->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(st, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_OK ? 0 : db_err(m, rc, err, "read the version");
}

static int prepare_schema(struct meta *m, const char *path, struct err *err)
{
    int64_t version = 0, app = 0;
    int rc = pragma_int(m, "PRAGMA user_version", &version, err);
    if (rc == 0)
        rc = pragma_int(m, "PRAGMA application_id", &app, err);
    if (rc < 0)
        return rc;
    if (version > META_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "%s was written by a newer fleetlog (version %lld)",
                       path, (long long)version);
    if (version && app != META_APP_ID)
        return err_set(err, ERR_CORRUPT, "%s is not a fleetlog key database", path);
    if (version == META_VERSION || (version && m->read_only))
        return 0;
    if (m->read_only)
        return err_set(err, ERR_NOTFOUND, "%s holds no keys yet", path);
    rc = db_exec(m, "BEGIN IMMEDIATE", err, "create tables");
    if (rc == 0)
        rc = db_exec(m, schema, err, "create tables");
    if (rc == 0)
        rc = db_exec(m, issues_schema, err, "create tables");
    if (rc == 0)
        rc = db_exec(m, alerts_schema, err, "create tables");
    if (rc == 0)
        rc = db_exec(m, docs_schema, err, "create tables");
    if (rc == 0)
        rc = db_exec(m, "PRAGMA application_id = 1718382439; PRAGMA user_version = 4; COMMIT", err,
                     "create tables");
    return rc;
}

static int open_db(struct meta *m, const char *path, struct err *err)
{
    int flags = SQLITE_OPEN_FULLMUTEX;
    if (m->read_only) {
        flags |= SQLITE_OPEN_READONLY;
        if (access(path, F_OK) != 0)
            return errno == ENOENT ? err_set(err, ERR_NOTFOUND, "%s does not exist", path)
                                   : err_sys(err, errno, "cannot open %s", path);
    } else {
        /* SQLite would create it readable by all; hashes of keys are nobody's business */
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_sys(err, errno, "cannot open %s", path);
        close(fd);
        flags |= SQLITE_OPEN_READWRITE;
    }
    int rc = sqlite3_open_v2(path, &m->db, flags, NULL);
    if (rc != SQLITE_OK) {
        rc = db_err(m, rc, err, "open a file");
        return rc;
    }
    sqlite3_extended_result_codes(m->db, 1);
    sqlite3_busy_timeout(m->db, 5000);
    sqlite3_limit(m->db, SQLITE_LIMIT_LENGTH, 16 << 20);
    int on = 0;
    (void)sqlite3_db_config(m->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
    (void)sqlite3_db_config(m->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on);
    int r = db_exec(m, "PRAGMA synchronous = FULL; PRAGMA cache_size = -256", err, "set options");
    return r < 0 ? r : prepare_schema(m, path, err);
}

int meta_open(struct meta **ret, const char *path, bool read_only, struct err *err)
{
    struct meta *m = mem_zalloc(sizeof(*m));
    if (!m)
        return err_nomem(err);
    m->read_only = read_only;
    pthread_mutex_init(&m->db_lock, NULL);
    pthread_rwlock_init(&m->lock, NULL);
    atomic_store(&m->checked_at, mono_now());
    int rc = 0;
    m->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!m->sha256)
        rc = err_set(err, ERR_UNSUPPORTED, "OpenSSL offers no SHA-256");
    if (rc == 0)
        rc = open_db(m, path, err);
    if (rc == 0)
        rc = reload(m, err);
    if (rc < 0) {
        meta_close(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void meta_close(struct meta *m)
{
    if (!m)
        return;
    sqlite3_close(m->db);
    EVP_MD_free(m->sha256);
    mem_free(m->snap);
    OPENSSL_cleanse(m->fixed, sizeof(m->fixed));
    pthread_rwlock_destroy(&m->lock);
    pthread_mutex_destroy(&m->db_lock);
    mem_free(m);
}

/* ---- keys ---- */

static int check_wanted(const struct api_key *k, ts_ns now, struct err *err)
{
    size_t name = strnlen(k->name, sizeof(k->name));
    if (name == 0 || name == sizeof(k->name))
        return err_set(err, ERR_INVALID, "a key needs a name of 1 to 64 bytes");
    for (size_t i = 0; i < name; i++)
        if ((unsigned char)k->name[i] < 0x20 || k->name[i] == 0x7f)
            return err_set(err, ERR_INVALID, "a key's name has no control characters");
    if (strnlen(k->agent, sizeof(k->agent)) == sizeof(k->agent))
        return err_set(err, ERR_INVALID, "a key's agent pattern has at most 256 bytes");
    if (!(k->scopes & SCOPE_ALL) || (k->scopes & ~(uint32_t)SCOPE_ALL))
        return err_set(err, ERR_INVALID, "a key needs scopes out of ingest, read, mark, admin");
    if (k->expires && k->expires <= now)
        return err_set(err, ERR_INVALID, "a key cannot expire in the past");
    return 0;
}

static int insert_key(struct meta *m, const struct api_key *k, const uint8_t hash[HASH_N],
                      uint32_t *ret_id, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(m->db,
                                "INSERT INTO keys(name, prefix, hash, scopes, agent, rate, created,"
                                " expires, revoked) VALUES(?, ?, ?, ?, ?, ?, ?, ?, 0)",
                                -1, &st, NULL);
    if (rc != SQLITE_OK)
        return db_err(m, rc, err, "add a key");
    sqlite3_bind_text(st, 1, k->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, k->prefix, -1, SQLITE_STATIC);
    sqlite3_bind_blob(st, 3, hash, HASH_N, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, k->scopes);
    sqlite3_bind_text(st, 5, k->agent, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 6, k->rate);
    sqlite3_bind_int64(st, 7, k->created);
    sqlite3_bind_int64(st, 8, k->expires);
    rc = sqlite3_step(st);
    sqlite3_finalize(st);
    if (rc != SQLITE_DONE)
        return db_err(m, rc, err, "add a key");
    *ret_id = (uint32_t)sqlite3_last_insert_rowid(m->db);
    return 0;
}

int meta_key_create(struct meta *m, const struct api_key *want, ts_ns now, struct api_key *ret,
                    char ret_secret[64], struct err *err)
{
    int rc = check_wanted(want, now, err);
    if (rc < 0)
        return rc;
    if (m->read_only)
        return err_set(err, ERR_DENIED, "the key database is open read-only");
    struct api_key k = *want;
    k.created = now;
    k.revoked = false;
    char secret[64];
    rc = make_secret(secret, err);
    if (rc < 0)
        return rc;
    memcpy(k.prefix, secret + 4, PREFIX_N);
    k.prefix[PREFIX_N] = 0;
    uint8_t hash[HASH_N];
    if (!hash_secret(m, str_c(secret), hash))
        return err_set(err, ERR_NOMEM, "SHA-256 failed");

    pthread_mutex_lock(&m->db_lock);
    rc = insert_key(m, &k, hash, &k.id, err);
    if (rc == 0)
        rc = reload(m, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc == 0) {
        memcpy(ret_secret, secret, sizeof(secret));
        *ret = k;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    return rc;
}

int meta_key_revoke(struct meta *m, uint32_t id, struct err *err)
{
    if (m->read_only)
        return err_set(err, ERR_DENIED, "the key database is open read-only");
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&m->db_lock);
    int rc = sqlite3_prepare_v2(m->db, "UPDATE keys SET revoked = 1 WHERE id = ?", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, id);
        rc = sqlite3_step(st);
    }
    sqlite3_finalize(st);
    int r = 0;
    if (rc != SQLITE_DONE)
        r = db_err(m, rc, err, "revoke a key");
    else if (sqlite3_changes(m->db) == 0)
        r = err_set(err, ERR_NOTFOUND, "there is no key %u", id);
    else
        r = reload(m, err);
    pthread_mutex_unlock(&m->db_lock);
    return r;
}

int meta_key_list(struct meta *m, struct arena *a, struct api_key **ret, uint32_t *ret_n,
                  struct err *err)
{
    struct entry *rows;
    uint32_t n;
    pthread_mutex_lock(&m->db_lock);
    int rc = load_rows(m, &rows, &n, err);
    pthread_mutex_unlock(&m->db_lock);
    if (rc < 0)
        return rc;
    struct api_key *out = arena_array(a, n ? n : 1, sizeof(*out));
    if (!out) {
        mem_free(rows);
        return err_nomem(err);
    }
    for (uint32_t i = 0; i < n; i++)
        out[i] = rows[i].key;
    mem_free(rows);
    *ret = out;
    *ret_n = n;
    return 0;
}

int meta_key_static(struct meta *m, str secret, uint32_t scopes, struct err *err)
{
    if (secret.n < 8 || secret.n > 512)
        return err_set(err, ERR_INVALID, "a key given by the environment has 8 to 512 bytes");
    struct entry e = { .key = { .id = UINT32_MAX, .scopes = scopes & SCOPE_ALL } };
    memcpy(e.key.name, "static", 7);
    if (!hash_secret(m, secret, e.hash))
        return err_set(err, ERR_NOMEM, "SHA-256 failed");
    int rc = 0;
    pthread_rwlock_wrlock(&m->lock);
    if (m->nfixed == STATIC_MAX)
        rc = err_set(err, ERR_LIMIT, "at most %d static keys", STATIC_MAX);
    else
        m->fixed[m->nfixed++] = e;
    pthread_rwlock_unlock(&m->lock);
    return rc;
}

static bool usable(const struct api_key *k, ts_ns now)
{
    return !k->revoked && (!k->expires || k->expires > now);
}

bool meta_key_any(struct meta *m)
{
    recheck(m);
    pthread_rwlock_rdlock(&m->lock);
    bool any = m->nfixed || m->nsnap;
    pthread_rwlock_unlock(&m->lock);
    return any;
}

bool meta_key_usable(struct meta *m, uint32_t id, ts_ns now)
{
    bool found = false;
    recheck(m);
    pthread_rwlock_rdlock(&m->lock);
    for (uint32_t i = 0; i < m->nfixed && !found; i++)
        found = m->fixed[i].key.id == id;
    for (uint32_t i = 0; i < m->nsnap && !found; i++)
        found = m->snap[i].key.id == id && usable(&m->snap[i].key, now);
    pthread_rwlock_unlock(&m->lock);
    return found;
}

uint32_t meta_key_count(struct meta *m)
{
    recheck(m);
    pthread_rwlock_rdlock(&m->lock);
    uint32_t n = m->nfixed;
    for (uint32_t i = 0; i < m->nsnap; i++)
        n += !m->snap[i].key.revoked;
    pthread_rwlock_unlock(&m->lock);
    return n;
}

static bool same_hash(const struct entry *e, const uint8_t hash[HASH_N])
{
    return CRYPTO_memcmp(e->hash, hash, HASH_N) == 0;
}

/* first snapshot entry whose prefix is not below p */
static uint32_t lower_bound(const struct meta *m, const char *p)
{
    uint32_t lo = 0, hi = m->nsnap;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (strcmp(m->snap[mid].key.prefix, p) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool meta_key_find(struct meta *m, str secret, ts_ns now, struct api_key *ret)
{
    uint8_t hash[HASH_N];
    if (secret.n > 512 || !hash_secret(m, secret, hash))
        return false;
    char prefix[PREFIX_N + 1] = "";
    str pub = public_part(secret);
    if (pub.n)
        memcpy(prefix, pub.p, pub.n);
    recheck(m);

    bool found = false;
    pthread_rwlock_rdlock(&m->lock);
    for (uint32_t i = 0; i < m->nfixed; i++) /* all of them: which one matched shows in no time */
        if (same_hash(&m->fixed[i], hash)) {
            *ret = m->fixed[i].key;
            found = true;
        }
    for (uint32_t i = lower_bound(m, prefix);
         pub.n && i < m->nsnap && strcmp(m->snap[i].key.prefix, prefix) == 0; i++) {
        const struct api_key *k = &m->snap[i].key;
        if (same_hash(&m->snap[i], hash) && usable(k, now)) {
            *ret = *k;
            found = true;
        }
    }
    pthread_rwlock_unlock(&m->lock);
    return found;
}
