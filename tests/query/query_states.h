/* query_states.h: the same rows in a store, in every state rows can be in.
 *
 * states_real.c keeps them in the columnar store: in memory, flushed, merged, restarted, one by
 * one, and flushed with pruning off. states_fake.c keeps them in tests/support/fake_store.c. */
#ifndef TESTS_QUERY_STATES_H
#define TESTS_QUERY_STATES_H

#include "model/view.h"
#include "store/store.h"

struct row_mark {
    uint64_t seq;
    str by, note; /* in the arena of the rows */
    ts_ns at;
};

/* rows as NDJSON, and the marks on them */
struct rows {
    struct arena arena;
    bool begun;
    str *line;
    uint32_t n, cap;
    struct row_mark *mark;
    uint32_t nmarks, cap_marks;
};
bool rows_add(struct rows *r, str line);
bool rows_mark(struct rows *r, uint64_t seq, str by, ts_ns at, str note);
void rows_reset(struct rows *r);
/* rows from .. from + n - 1 as one encoded batch (mem_free) */
int rows_payload(const struct rows *r, uint32_t from, uint32_t n, ts_ns now, char **ret,
                 size_t *ret_n, struct err *err);

struct state {
    const char *name;
    struct store *store;
    struct io *io;
    bool no_prune;
};
#define STATES_MAX 8
struct states {
    struct state state[STATES_MAX];
    uint32_t n;
};
int states_open(struct states *s, const struct rows *r, ts_ns now, struct err *err);
void states_close(struct states *s);

#endif
