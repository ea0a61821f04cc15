/* state.h: how one group of a rule goes from reading to reading.
 *
 *          breach                 `for` has passed            clear, for `keep`
 *   ok ────────────► pending ────────────────────► firing ────────────────────► resolved
 *    ▲                  │ no breach                                               │ an hour
 *    └──────────────────┴─────────────────────────────────────────────────────────┘ (or breach
 * again)
 *
 * Firing ends only when the reading passes the clear threshold and stays there for `keep`: between
 * both thresholds nothing changes, so a value that trembles makes no noise. Pure: the caller brings
 * the time. A clock that was set back shortens nothing. */
#ifndef FL_ALERT_STATE_H
#define FL_ALERT_STATE_H

#include "alert/rule.h"

enum alert_state { ALERT_OK, ALERT_PENDING, ALERT_FIRING, ALERT_RESOLVED, ALERT_STATE__COUNT };
extern const char *const alert_state_names[ALERT_STATE__COUNT];

#define ALERT_RESOLVED_SHOWN_NS (3600 * NS_PER_S)

struct alert_inst {
    str key; /* JSON object of the group's fields; "{}" without `by` */
    enum alert_state state;
    bool has_value, has_before;
    double value, before;            /* of this window and of the one before */
    ts_ns since;                     /* of the state */
    ts_ns breach_since, clear_since; /* 0: it is not so */
    ts_ns seen;                      /* last time the group was in the answer */
    bool told;                       /* its firing was handed to the targets */
    ts_ns told_at;
    bool forget; /* nothing is to be known of it any more */
};
struct alert_reading {
    bool present; /* the group is in the answer */
    bool has_value, has_before;
    double value, before;
};

enum alert_tell { TELL_NOTHING, TELL_FIRING, TELL_AGAIN, TELL_RESOLVED };
struct alert_step {
    enum alert_state from, to;
    bool changed;         /* the state: goes into the history */
    enum alert_tell tell; /* what the targets are to hear */
};

bool alert_breached(const struct alert_rule *r, const struct alert_reading *x);
/* percent; false: there is nothing to compare with. From 0 to more is +infinity. */
bool alert_change(const struct alert_reading *x, double *ret_percent);
/* snoozed: nobody is told now; a firing that still lasts afterwards is told then. */
struct alert_step alert_step(const struct alert_rule *r, struct alert_inst *in,
                             const struct alert_reading *x, ts_ns now, bool snoozed);

#endif
