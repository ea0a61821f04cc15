/* ingest.h: one decoder per wire dialect, each turning a request body into rows of a batch.
 *
 * Decoders normalise names (alias tables of data-model.md), levels and times, keep value types, put
 * every unknown key into attributes and write the row's shape, so that views can give back what was
 * sent. They keep no state but in a run and are thread-safe. */
#ifndef FL_INGEST_INGEST_H
#define FL_INGEST_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/batch.h"

enum dialect {
    DIALECT_NATIVE,     /* object, array of objects or NDJSON */
    DIALECT_FLEET,      /* object or array; all or nothing; level of five names, seconds */
    DIALECT_MALS,       /* one object; 422-style errors */
    DIALECT_MALS_BATCH, /* array of them; all or nothing */
    DIALECT_GUIDE,      /* POST /log: any JSON object */
    DIALECT_EVENTS,     /* POST /events: source_app, session_id, hook_event_type, payload */
    DIALECT_TEXT,       /* plain lines: each a message; a leading time and level are recognised */
    DIALECT__COUNT
};

struct ingest_limits {
    size_t entry_bytes;                     /* 8 MiB */
    uint32_t fields;                        /* 1,024 an entry */
    uint32_t depth;                         /* 32 */
    size_t key_bytes;                       /* 256 */
    size_t agent_bytes;                     /* 16 KiB (MALS 64 characters) */
    int64_t max_backfill_ns, max_future_ns; /* 0 = off */
};
void ingest_limits_default(struct ingest_limits *l);

struct ingest_opts {
    const struct ingest_limits *limits; /* NULL = defaults */
    ts_ns now;                          /* receive time: default timestamp */
    bool atomic;                        /* native: any bad entry refuses all */
    str default_agent;                  /* used when an entry names none; may be empty */
    uint32_t key_id;                    /* API key that wrote it; 0 = none */
    str agent_pattern; /* the key's agent glob, other agents are rejected; "" = any */
};

#define INGEST_ERRORS_MAX 100 /* described one by one; all are counted */
struct ingest_error {
    uint32_t index; /* of the entry in the request, from 0 */
    str field;      /* offending key as sent, or "" */
    str reason;     /* sentence */
    str type;       /* MALS: FastAPI error type, e.g. "missing", "string_type", "enum" */
    str input;      /* MALS: JSON source text of the offending value, or "" */
};
struct ingest_result {
    uint32_t entries; /* seen */
    uint32_t accepted, rejected;
    uint32_t nerrors;            /* <= INGEST_ERRORS_MAX */
    struct ingest_error *errors; /* in the arena */
};

/* Decodes `body` (readable 32 bytes past its end; it must outlive the batch) into b. Returns 0 when
 * the request as a whole is fine, though entries may have been rejected (see *ret). ERR_INVALID:
 * the body is not of the dialect at all (err->msg says where), or its only entry was bad, or an
 * all-or-nothing dialect met a bad entry (ret->errors then tells, and the batch is as it was before
 * the call). ERR_LIMIT, ERR_NOMEM: likewise. */
int ingest_decode(enum dialect d, str body, const struct ingest_opts *o, struct batch *b,
                  struct arena *a, struct ingest_result *ret, struct err *err);

/* The same for several bodies of one dialect, one after the other into one batch: what is learned
 * of keys and rows serves them all, and a refused body leaves the others as they are. limits: NULL
 * = defaults; those of the options are not looked at. Bodies and the strings of their options must
 * live until the run is freed and the batch encoded. After ERR_NOMEM the run takes no more. */
struct ingest_run;
int ingest_run_new(struct ingest_run **ret, enum dialect d, const struct ingest_limits *limits,
                   struct batch *b, struct arena *a, struct err *err);
int ingest_run_body(struct ingest_run *run, str body, const struct ingest_opts *o,
                    struct ingest_result *ret, struct err *err);
/* False: it is time for a new batch, or later bodies would find columns and memory used up. */
bool ingest_run_room(const struct ingest_run *run);
void ingest_run_free(struct ingest_run *run); /* NULL is fine */

#endif
