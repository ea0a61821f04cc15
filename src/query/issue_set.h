/* issue_set.h: errors gathered into issues: what happens again and again is one thing.
 *
 * An entry is an error when its level is error or above, its status is "error", or it has an
 * error_type. Its issue is told by four things: error type, tool, normalised text, top frame of the
 * stack (codec/fault.h). The id is a hash of these and of FAULT_VERSION, so it is the same in every
 * store and for ever. The stack is looked for in the attributes exception.stacktrace,
 * exception.traceback, error.stack, error.stack_trace, stack, stack_trace, stacktrace, traceback,
 * exc_info, then in message and output; what the entry does not say itself (type, text) is taken
 * from it.
 *
 * Used by the pipe `issues` and by the server, which keeps one set up to date. Results do not
 * depend on the order of rows. Not thread-safe. */
#ifndef FL_QUERY_ISSUE_SET_H
#define FL_QUERY_ISSUE_SET_H

#include "base/buf.h"
#include "model/block.h"
#include "model/pred.h"

#define ISSUE_SPARK 24
#define ISSUE_CELLS 64
#define ISSUE_ID_TEXT 16

/* Which of the rows of an issue: told by its sequence number, named by an id. */
struct issue_entry {
    uint64_t seq; /* UINT64_MAX: none */
    ts_ns received;
    str id; /* the client's own; empty: made of the two above */
};

/* Values as hashes, each with a count. */
struct hash_count {
    uint64_t *key; /* 0: free */
    uint32_t *count;
    uint32_t n, cap;
};

struct issue {
    uint64_t id;
    str type, tool, text, frame; /* in the set's arena; any may be empty */
    uint64_t count, levels[LV__COUNT];
    ts_ns first, last;                 /* by timestamp */
    struct issue_entry oldest, newest; /* by sequence number */
    struct hash_count agents, sessions;
    bool sessions_more; /* there are more than could be kept */
    /* of the entries past `line` */
    uint64_t line, since;
    struct issue_entry since_first;
    /* counts over time: cell k is [ (cell0 + k) * step, ... ) */
    uint8_t rung;
    int64_t cell0;
    uint32_t cells, cell[ISSUE_CELLS];
};

struct issue_set;

/* max_bytes: past it no new issue and no new session is taken up; what is left out is counted in
 * issue_set_other. */
int issue_set_new(struct issue_set **ret, size_t max_bytes, struct err *err);
void issue_set_free(struct issue_set *s);
/* The rows of sel that are errors, or all of them. */
int issue_set_add(struct issue_set *s, struct block *b, const uint64_t *sel, bool all,
                  struct err *err);
int issue_set_merge(struct issue_set *into, const struct issue_set *from, struct err *err);
size_t issue_set_bytes(const struct issue_set *s);
uint64_t issue_set_other(const struct issue_set *s); /* entries of issues not taken up */

uint32_t issue_set_n(const struct issue_set *s);
struct issue *issue_set_at(const struct issue_set *s, uint32_t i);
struct issue *issue_set_find(const struct issue_set *s, uint64_t id);
/* Entries with a higher sequence number are counted in `since` from now on, also of an issue that
 * is not known yet. Those that were added before are not counted again. */
int issue_set_line(struct issue_set *s, uint64_t id, uint64_t line, struct err *err);

/* name of an agent by its hash; empty for entries without one */
str issue_agent(const struct issue_set *s, uint64_t hash);
/* The n agents with most entries, ties by name; returns how many were given. */
uint32_t issue_agents(const struct issue_set *s, const struct issue *x, uint32_t n,
                      uint64_t *ret_hash, uint32_t *ret_count);
/* Counts of the issue in ISSUE_SPARK equal steps that end with the one of `to` and, if those are
 * enough, begin at or before `from`. All issues of a set fit the step of the whole set's range. */
void issue_spark(const struct issue *x, ts_ns from, ts_ns to, uint32_t ret[ISSUE_SPARK],
                 int64_t *ret_step, ts_ns *ret_from);
void issue_range(const struct issue_set *s, ts_ns *ret_first, ts_ns *ret_last);

/* "type: text", or what there is of them */
void issue_put_title(struct buf *out, const struct issue *x);
void issue_id_text(uint64_t id, char ret[ISSUE_ID_TEXT + 1]);
bool issue_id_parse(str s, uint64_t *ret);
/* Names a row of a block; a client's own id is copied into the arena. */
int issue_entry_name(struct arena *a, struct block *b, uint32_t row, uint64_t seq,
                     struct issue_entry *ret, struct err *err);
/* the entry's id; ret has room for it in the arena. Empty: there is none, or no memory. */
str issue_entry_id(const struct issue_entry *e, const struct id_gen *ids, struct arena *a);
/* The filter that says what is an error; NULL: no memory. */
struct pred *issue_filter(struct arena *a);

#endif
