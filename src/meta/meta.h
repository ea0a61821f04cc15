/* meta.h: the control plane's small documents, in SQLite (<data>/meta.db, synchronous=FULL).
 *
 * Now: API keys. Nothing here is on the path of a request: auth works on a snapshot in memory
 * (meta_keys_find), refreshed after every change. Thread-safe. */
#ifndef FL_META_META_H
#define FL_META_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

struct meta;

enum key_scope {
    SCOPE_INGEST = 1,
    SCOPE_READ = 2,
    SCOPE_MARK = 4,
    SCOPE_ADMIN = 8,
    SCOPE_ALL = 15
};

struct api_key {
    uint32_t id; /* > 0; stable; stored with every entry it wrote */
    char name[65];
    char prefix[13];        /* public part of the secret, for lists */
    uint32_t scopes;        /* enum key_scope bits */
    char agent[257];        /* agent glob the key may write and read; "" = any */
    uint32_t rate;          /* entries per second; 0 = unlimited */
    ts_ns created, expires; /* expires 0 = never */
    bool revoked;
};

/* path: file of the database; created when missing unless read_only */
int meta_open(struct meta **ret, const char *path, bool read_only, struct err *err);
void meta_close(struct meta *m);

/* Makes a key "flk_<12 public>_<32 secret>": 160 random bits; only its SHA-256 is stored. The
 * secret is returned once in ret_secret (>= 64 bytes). */
int meta_key_create(struct meta *m, const struct api_key *want, ts_ns now, struct api_key *ret,
                    char ret_secret[64], struct err *err);
int meta_key_revoke(struct meta *m, uint32_t id, struct err *err); /* ERR_NOTFOUND */
int meta_key_list(struct meta *m, struct arena *a, struct api_key **ret, uint32_t *ret_n,
                  struct err *err);
/* a key given by flag or environment, never written to disk; id UINT32_MAX */
int meta_key_static(struct meta *m, str secret, uint32_t scopes, struct err *err);
/* number of keys that are not revoked */
uint32_t meta_key_count(struct meta *m);
/* Was a key ever made or given, revoked ones included? A server without is open (loopback only). */
bool meta_key_any(struct meta *m);
/* Is the key with this id neither revoked nor expired? */
bool meta_key_usable(struct meta *m, uint32_t id, ts_ns now);
/* Looks a presented secret up by hash, comparing in constant time. False: unknown, revoked,
 * expired. */
bool meta_key_find(struct meta *m, str secret, ts_ns now, struct api_key *ret);

#endif
