/* field.h: the canonical fields of an entry, column keys, and field references of queries.
 *
 * A column key names a path: a canonical field is its plain name ("agent", "tokens.input"); an
 * attribute is PATH_SEP before every step ("\x01port", "\x01http\x01method"). Bytes 0x01 and
 * 0x02 inside a client's key are escaped as 0x02 followed by the byte plus 0x10. A dot in a step is
 * an ordinary byte: a.b and a -> b are different keys with the same dotted name.
 *
 * The column "rest" (V_JSON) holds what got no column of its own: an object {column key: value},
 * with attribute keys as above and canonical names for client values whose stored form cannot give
 * them back. Whoever has to refuse a column (too many paths) moves its value there, so that nothing
 * is lost. */
#ifndef FL_MODEL_FIELD_H
#define FL_MODEL_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define PATH_SEP '\x01'
#define PATH_ESC '\x02'

enum field {
    F_NONE = -1,
    F_ID,
    F_SEQ,
    F_TIMESTAMP,
    F_RECEIVED_AT,
    F_KIND,
    F_AGENT,
    F_AGENT_ID,
    F_PARENT_AGENT_ID,
    F_LEVEL,
    F_MESSAGE,
    F_EVENT,
    F_OPERATION,
    F_STATUS,
    F_ERROR_TYPE,
    F_INPUT,
    F_OUTPUT,
    F_CATEGORY,
    F_SOURCE,
    F_COMPONENT,
    F_SUBCOMPONENT,
    F_CODE,
    F_TAGS,
    F_SESSION_ID,
    F_TRACE_ID,
    F_SPAN_ID,
    F_PARENT_ID,
    F_PARENT_ENTRY,
    F_DURATION_MS,
    F_TOOL,
    F_CALL_ID,
    F_MODEL,
    F_TOKENS_INPUT,
    F_TOKENS_CACHE_READ,
    F_TOKENS_CACHE_WRITE,
    F_TOKENS_OUTPUT,
    F_TOKENS_REASONING,
    F_COST_USD,
    F_STREAM,
    F_RUN,
    F_LOGGER,
    F_USER,
    F_HOST,
    F_SERVICE,
    F_ENV,
    F_KEY_ID,
    F_SHAPE, /* internal: how the client spelled it */
    F_REST,  /* internal: values that got no column */
    F_RESOLVED,
    F_RESOLVED_BY,
    F_RESOLVED_AT,
    F_NOTE, /* virtual: from marks */
    F__COUNT
};

enum field_flag {
    FF_IDENTITY = 1, /* `field:value` compares the whole value, case-sensitive, '*' globs */
    FF_TEXT = 2,     /* in the default text scope of bare words */
    FF_TIME = 4,     /* int64 ns instant */
    FF_VIRTUAL = 8,  /* not a stored column */
    FF_INTERNAL = 16 /* never shown */
};

struct field_info {
    str name;       /* canonical JSON name = column key, e.g. "trace_id", "tokens.input" */
    str short_name; /* extra query name, e.g. "trace"; empty when none */
    uint32_t flags;
};
extern const struct field_info field_table[F__COUNT];

/* Canonical field by its name or short name (trace session span parent call time); F_NONE. */
enum field field_by_name(str name);
/* Column key -> field: canonical names only, no short ones; F_NONE for attributes. */
enum field field_by_key(str key);

/* A field as a query names it. */
struct fieldref {
    enum field field; /* canonical one, or F_NONE for an attribute */
    str key;          /* column key. Attribute: "\x01" then the dotted name as written */
    bool exact;       /* attribute named with backticks: key is the exact column key */
    bool whole;       /* not what lies inside of arrays (inside.h) */
    uint64_t hash;    /* field_dotted_hash(key) */
};
/* "trace" -> F_TRACE_ID; "port", "attributes.port" -> attribute. literal: an attribute of one step,
 * whatever is in it. Memory of key from the arena. False when out of memory. */
bool fieldref_make(struct arena *a, str name, bool literal, struct fieldref *ret);
/* the attribute with this column key, which must outlive the reference */
struct fieldref fieldref_exact(str key);
/* hash of a column key in which inner PATH_SEP count as '.', so that one lookup finds a.b and a->b;
 * stable on disk */
uint64_t field_dotted_hash(str key);
/* does this column key belong to the reference? */
bool fieldref_matches(const struct fieldref *f, str key, uint64_t key_hash);
/* Column key -> name for people: "port", "http.method", "agent" */
void field_put_name(struct buf *b, str key);
/* Column key -> a name that finds it in a query: "port", "attributes.agent", and with backticks
 * "http.`status code`". all: each step in backticks, so that it finds no other key. */
void field_put_query(struct buf *b, str key, bool all);
/* a byte of a name without backticks; first: it begins with it */
bool field_name_byte(char c, bool first);
/* appends one client key as a step of an attribute key: PATH_SEP and the escaped bytes */
void field_put_step(struct buf *b, str client_key);

/* ---- levels ---- */
enum level { LV_TRACE, LV_DEBUG, LV_INFO, LV_WARN, LV_ERROR, LV_CRITICAL, LV__COUNT };
extern const str level_names[LV__COUNT];       /* "trace" ... "critical" */
extern const str level_names_upper[LV__COUNT]; /* "TRACE" ... */
/* any case; warning = warn, fatal emergency alert panic = critical, notice = info, err = error,
 * severityText spellings with digits (INFO2) too; false when unknown */
bool level_parse(str s, enum level *ret);
/* The number of a JSON logger's `level`: 10 20 30 40 50 60 as pino and bunyan count (trace debug
 * info warn error fatal), other numbers 1..24 as OpenTelemetry does; false otherwise */
bool level_from_number(int64_t n, enum level *ret);
/* OpenTelemetry's SeverityNumber 1..24; false otherwise */
bool level_from_severity_number(int64_t n, enum level *ret);

#endif
