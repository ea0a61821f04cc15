/* alerts.h: alert rules at work: what the files alert*.c of the server share.
 *
 *   alerts.c       the rules in memory and how they change      alert_run.c   threads that evaluate
 *   alert_read.c   from a rule to readings: queries, metrics    alert_send.c  threads that deliver
 *   alert_issue.c  the same for new issues                      alert_command.c  by a program
 *   alert_api.c    /api/v1/alerts                               own.c         our own log entries
 *
 * A rule belongs to whoever has claimed it (`busy`): an evaluator, or a request that changes it.
 * The claimer alone replaces its groups and its text; readers look under the lock. The lock is
 * never held across I/O. Changes by requests come one at a time (`change`, held across I/O by pool
 * threads). */
#ifndef FL_SERVER_ALERTS_H
#define FL_SERVER_ALERTS_H

#include "alert/rule.h"
#include "alert/state.h"
#include "meta/alerts.h"
#include "server/internal.h"
#include "server/own.h"

#define ALERT_EVALUATORS 2
#define ALERT_SENDERS 4

/* ---- readings (alert_read.c) ---- */
struct alert_plan { /* a rule whose query was looked at */
    str text;       /* the query, with the counting added that it lacks */
    str value;      /* column; "" for a metric */
    bool counted;   /* a group that is not in the answer has the value 0 */
};
struct alert_group {
    str key; /* JSON object */
    struct alert_reading reading;
};
struct alert_readings {
    struct alert_group *v; /* by falling interest: order of the answer */
    uint32_t n;
    double elapsed_ms;
    uint64_t cursor; /* of new issues; 0: as it was */
};
/* Where a rule's queries look: never past the key's agents, never at what alerts themselves logged.
 */
int alert_plan(struct server *s, const struct alert_rule *r, str agent, struct arena *a,
               struct alert_plan *ret, struct err *err);
int alert_read(struct server *s, const struct alert_rule *r, const struct alert_plan *p, str agent,
               ts_ns now, struct query_ctl *ctl, struct arena *a, struct alert_readings *ret,
               struct err *err);

/* New issues since `cursor`, which gets the value for the next time, and those of `old` that are
 * still open and not yet forgotten. What would be too many groups stays for later. */
struct alert_set;
int alert_read_issues(struct server *s, const struct alert_rule *r, str agent,
                      const struct alert_set *old, uint64_t cursor, ts_ns now,
                      struct query_ctl *ctl, struct arena *a, struct alert_readings *ret,
                      struct err *err);
int alert_first_cursor(struct server *s, uint64_t *ret, struct err *err);
void alert_sample_now(struct server *s); /* where the first windows of our own figures begin */

/* ---- rules in memory (alerts.c) ---- */
struct alert_set { /* the groups of a rule; immutable once in place */
    struct arena arena;
    struct alert_inst *v;
    uint32_t n;
};
struct alert_entry {
    struct arena arena; /* texts of what follows */
    struct alert_rule rule;
    struct alert_plan plan;
    struct meta_alert_rule meta;
    bool planned; /* plan is right; else the query is looked at again at every turn */
    /* under the lock */
    struct alert_set *set;
    bool busy;
    struct query_ctl *running; /* of the evaluation in progress */
    int64_t due;               /* monotonic */
    /* of the last evaluation */
    ts_ns evaluated_at, failed_since; /* failed_since 0: it went well */
    double elapsed_ms;
    bool overflow; /* groups past max_groups are not watched */
    char failure[400];
    char snoozer[80]; /* meta.snoozed_by since this process changed it */
};
struct alert_sample {
    int64_t at; /* monotonic */
    uint64_t stored, rejected, received;
};
#define ALERT_SAMPLES 3600 /* at least a second apart: an hour */

struct alerts {
    struct server *s;
    pthread_mutex_t change;
    pthread_mutex_t lock;
    pthread_cond_t work, idle; /* monotonic clock */
    struct alert_entry **v;    /* by name */
    uint32_t n;
    bool stopping;
    pthread_t evaluators[ALERT_EVALUATORS], senders[ALERT_SENDERS];
    uint32_t nevaluators, nsenders; /* started */
    uint32_t slots;                 /* of `sending` that have an owner; under send_lock */
    /* deliveries, under send_lock */
    pthread_mutex_t send_lock;
    pthread_cond_t send_work;
    uint64_t send_turn; /* grows with every change of the queue */
    str sending[ALERT_SENDERS];
    volatile int stop_sending;
    /* counters of the server over time, under the lock */
    struct alert_sample samples[ALERT_SAMPLES];
    uint32_t sample_at, nsamples;
    _Atomic uint64_t evaluations, failures, delivered, undelivered, attempts;
};

int alerts_new(struct server *s, struct err *err);
/* after the store is there: what the database holds, then the file. ERR_INVALID: the file */
int alerts_start(struct server *s, struct err *err);
int alerts_run(struct server *s, struct err *err); /* when the network is there: the threads */
/* SIGHUP: the file again; on an error everything stays as it was */
int alerts_reload(struct server *s, struct err *err);
void alerts_stop(struct server *s); /* ends the threads; NULL is fine */
void alerts_free(struct server *s);

/* with the lock: NULL when there is none */
struct alert_entry *alerts_find(struct alerts *al, str name);
/* with the lock: the entry is the caller's until alerts_release */
struct alert_entry *alerts_claim(struct alerts *al, str name);
void alerts_release(struct alerts *al, struct alert_entry *e);

/* For pool threads. who: the key's name for the history. ERR_CONFLICT: the rule is a file's. */
struct alert_wish {
    str name, doc; /* JSON text of the whole rule */
    str agent, who;
    str expect; /* not empty: only if the stored document is this one */
    bool from_file, must_be_new;
    bool keep_secrets; /* "***" means: as it is */
};
enum alert_outcome { ALERT_CREATED, ALERT_CHANGED, ALERT_UNCHANGED };
int alerts_put(struct alerts *al, const struct alert_wish *w, enum alert_outcome *ret,
               struct err *err);
int alerts_delete(struct alerts *al, str name, bool from_file, struct err *err);
int alerts_snooze(struct alerts *al, str name, ts_ns until, str who, struct err *err);

/* ---- evaluation (alert_run.c) ---- */
int alert_threads_start(struct alerts *al, struct err *err);
void alert_wake(struct alerts *al); /* rules or their times have changed */
struct alert_batch {                /* what one change of states writes, in an arena */
    struct meta_alert_inst *insts;
    struct meta_alert_event *events;
    struct meta_alert_out *outs;
    uint32_t ninsts, nevents, nouts;
};
/* Groups of the next turn out of those of the last and the readings. */
int alert_merge(const struct alert_rule *r, const struct alert_plan *p, const struct alert_set *old,
                const struct alert_readings *rd, struct arena *a, struct alert_inst **ret,
                struct alert_reading **ret_readings, uint32_t *ret_n, bool *ret_overflow,
                struct err *err);
/* One message for every target. */
int alert_tell_all(struct alerts *al, const struct alert_rule *r, const struct alert_inst *in,
                   const char *event, str note, ts_ns now, struct arena *a,
                   struct alert_batch *batch, struct err *err);
struct meta_alert_inst alert_inst_row(const struct alert_inst *in);
bool alert_batch_room(struct alert_batch *b, struct arena *a, uint32_t n, uint32_t targets);

/* ---- deliveries (alert_send.c) ---- */
int alert_senders_start(struct alerts *al, struct err *err);
void alert_send_wake(struct alerts *al);
int alert_command(const struct alert_target *t, str uid, str body, const volatile int *stop,
                  char *ret_what, size_t n, struct err *err); /* alert_command.c */

#endif
