/* alerts.h: what of alerts outlives the process: rules, states of their groups, history,
 * deliveries.
 *
 * A change of states, its lines of history and the deliveries it causes are one transaction, so
 * that a crash leaves all of them or none. Documents (rule, target, body) are JSON texts that
 * nobody here looks into. Every function may wait for the disk; thread-safe. */
#ifndef FL_META_ALERTS_H
#define FL_META_ALERTS_H

#include "meta/meta.h"

#define META_ALERT_HISTORY_MAX 10000 /* lines kept, the oldest go */
#define META_ALERT_WAITING_MAX 10000 /* deliveries that wait; further ones fail at once */
#define META_ALERT_FINISHED_MAX 1000 /* finished deliveries kept to be looked at */

struct meta_alert_rule {
    str name, doc;
    str agent; /* glob of the key that made it: its queries see no more; "" = all */
    str changed_by;
    bool from_file;
    ts_ns created, changed;
    ts_ns snoozed_until; /* 0 = not */
    str snoozed_by;
    uint64_t cursor; /* new issues: 1 + the highest sequence number that was looked at; 0: none */
};
struct meta_alert_inst {
    str key;
    uint32_t state;
    ts_ns since, breach_since, clear_since, seen, told_at;
    bool told, has_value;
    double value;
    bool drop; /* the row is deleted */
};
struct meta_alert_event {
    str key;
    const char *was, *state;
    bool has_value;
    double value;
    str note;
};
struct meta_alert_out {
    str key, uid, target, body;
};
struct meta_alert_change {
    str rule;
    ts_ns now;
    const struct meta_alert_rule *put; /* inserted or replaced; NULL = as it is */
    bool remove;                       /* the rule and its groups; history and deliveries stay */
    bool forget_groups;                /* before the instances below are written */
    uint64_t cursor;                   /* not 0: the rule's, from now on */
    const struct meta_alert_inst *insts;
    uint32_t ninsts;
    const struct meta_alert_event *events;
    uint32_t nevents;
    const struct meta_alert_out *outs;
    uint32_t nouts;
};
int meta_alert_commit(struct meta *m, const struct meta_alert_change *c, struct err *err);

int meta_alert_rules(struct meta *m, struct arena *a, struct meta_alert_rule **ret, uint32_t *ret_n,
                     struct err *err);
int meta_alert_instances(struct meta *m, struct arena *a, str rule, struct meta_alert_inst **ret,
                         uint32_t *ret_n, struct err *err);

struct meta_alert_line {
    uint64_t id;
    ts_ns time;
    str rule, key, was, state, note;
    bool has_value;
    double value;
};
/* newest first; rule: STR_NULL = of all; agent: only rules whose pattern is this one, NULL = all;
 * before: only ids below, 0 = from the newest */
int meta_alert_history(struct meta *m, struct arena *a, str rule, const char *agent,
                       uint64_t before, uint32_t limit, struct meta_alert_line **ret,
                       uint32_t *ret_n, struct err *err);

/* ---- deliveries ---- */
enum meta_delivery_status { DELIVERY_WAITING, DELIVERY_DONE, DELIVERY_FAILED };
struct meta_delivery {
    uint64_t id;
    str uid, rule, key, target, body, answer;
    ts_ns created, next_at, done_at;
    uint32_t attempts;
    enum meta_delivery_status status;
};
/* The delivery that is due first, of those whose target is not among `busy` and that no earlier one
 * of the same rule, group and target waits before; maybe not before its next_at. ERR_NOTFOUND. */
int meta_delivery_next(struct meta *m, struct arena *a, const str *busy, uint32_t nbusy,
                       struct meta_delivery *ret, struct err *err);
/* What came of an attempt; WAITING: again at next_at. */
int meta_delivery_set(struct meta *m, uint64_t id, enum meta_delivery_status status, str answer,
                      uint32_t attempts, ts_ns next_at, ts_ns now, struct err *err);
/* newest first, of one rule */
int meta_delivery_list(struct meta *m, struct arena *a, str rule, uint32_t limit,
                       struct meta_delivery **ret, uint32_t *ret_n, struct err *err);
int meta_delivery_counts(struct meta *m, uint64_t ret[3], struct err *err); /* by status */

#endif
