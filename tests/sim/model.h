/* model.h: what the simulator knows must be stored, may be, and must not.
 *
 * Row k of a run has contents that follow from k alone (rows.c); `sum` is a hash over all its
 * columns. Rows come in batches. A batch is
 *   FLYING   handed over, not answered
 *   THERE    acknowledged, or seen once: from now on all of it is there
 *   UNSURE   refused after it may have been written: the next look decides
 *   GONE     looked for after a restart and not there: it must stay away
 * and a row of a batch that is THERE
 *   PRESENT, or DOOMED (a deletion or retention may have taken it: the next look decides), ABSENT.
 * A look is a complete scan while nothing else runs. */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "disk.h"
#include "store/store.h"

#define ROWS_MAX 4096
#define BATCHES_MAX 400
#define AGENTS 5
#define SIM_T0 (1767250000ll * NS_PER_S)

enum batch_state { FLYING, THERE, UNSURE, GONE };
enum row_state { PRESENT, DOOMED, ABSENT };

struct mark_model {
    bool is, resolved;
    uint32_t by; /* number of the operation */
};

struct row {
    uint64_t sum;
    uint32_t batch;
    enum row_state state;
    uint64_t touched;           /* step at which a removal last touched it */
    struct mark_model mark;     /* acknowledged */
    struct mark_model maybe[4]; /* of operations that failed since */
    uint32_t nmaybe;
    bool mark_loose; /* more of them than are remembered */
    uint64_t marked; /* step of the last operation on it that has ended */
};

struct sim_batch {
    uint64_t first;
    uint32_t n;
    enum batch_state state;
    bool has_key;
    uint64_t base_seq;          /* 0: unknown */
    ts_ns received_at, sent_at; /* sent_at: first, as far as its key may be remembered */
    uint32_t style;             /* 0 short messages, 1 longer, 2 long and noisy */
    bool busy;                  /* being sent again */
};

struct model {
    struct disk *disk;
    struct store *store; /* NULL between lives */
    struct row rows[ROWS_MAX];
    uint64_t nrows;
    struct sim_batch batches[BATCHES_MAX];
    uint32_t nbatches;
    uint64_t step;
    uint64_t highest;    /* sequence number that was acknowledged or seen */
    uint64_t traces_end; /* numbers below may stand in torn frames of the log */
    uint32_t marking;    /* mark operations under way */
    uint32_t clock_held; /* operations under way whose answer hangs on the time */
    bool time_passes;
    ts_ns keep;   /* shortest retention asked for in this life; 0: none */
    bool starved; /* memory is refused in this life */
    bool deleting, small_disk;
    uint64_t rng;
    uint64_t ops, scans, deletes, marks_made, reopens, cuts, kills, failures;
    uint64_t acked_rows;
    bool no_fsync, ack_early; /* planted bugs */
    size_t memtable_bytes, big_bytes;
};

/* Says what is wrong and ends the run; does not return. */
void object(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t model_draw(struct model *m);
static inline uint64_t draw_n(struct model *m, uint64_t n)
{
    return model_draw(m) % n;
}

/* ---- rows.c ---- */
/* rows first .. first + n - 1 encoded; false when memory was refused */
bool rows_payload(uint64_t first, uint32_t n, uint32_t style, char **ret, size_t *ret_n);
uint64_t row_sum(uint64_t k, uint32_t style);
/* the same hash over a stored row; false: could not be read */
struct row_seen {
    uint64_t k, sum, seq;
    ts_ns received_at;
};
int row_read(struct block *b, uint32_t row, struct row_seen *ret, struct err *err);
ts_ns row_time(uint64_t k);
unsigned row_agent(uint64_t k); /* AGENTS: it has none */
enum level row_level(uint64_t k);
unsigned row_word(uint64_t k);
extern const char *const sim_words[4];

/* ---- model.c ---- */
enum want_kind {
    WANT_ALL,
    WANT_AGENT,
    WANT_LEVEL,
    WANT_TIME,
    WANT_WORD,
    WANT_SEQ,
    WANT_BOTH,
    WANT_NOT,
    WANT_RESOLVED
};
struct want { /* a filter, on both sides */
    enum want_kind kind;
    unsigned agent;
    enum level level;
    ts_ns from, to;
    unsigned word;
    uint64_t seq_from, seq_to;
};
struct want want_draw(struct model *m);
/* NULL with memory refused, or for WANT_ALL */
struct pred *want_pred(const struct want *w, struct arena *a);
bool want_holds(const struct model *m, const struct want *w, uint64_t k);

/* Runs a scan and compares it. ALONE: nothing else changes the store meanwhile, so what is found
 * settles what deletions left open; AFRESH: it was just opened as well, so what is not there now
 * stays away. Returns the rows found, or < 0 when it could not be run. */
enum company { AMONG_OTHERS, ALONE, AFRESH };
int64_t look(struct model *m, const struct want *w, enum scan_order order, bool no_prune,
             enum company company);
void check_marks(struct model *m, enum company company);
/* counts and gaps; after a complete look that found `rows` */
void check_settled(struct model *m, int64_t rows);
void check_gaps(struct model *m);
/* Reads the log's files as they lie there after opening: highest sequence number in any intact
 * frame header. */
void read_traces(struct model *m);
bool faults_so_far(const struct model *m); /* in this life: answers may be errors */
bool unsettled(const struct model *m);     /* some batch is UNSURE */

#endif
