/* state.c: breach and clear, and the one step between readings. */
#include "alert/state.h"

#include <math.h>

const char *const alert_state_names[ALERT_STATE__COUNT] = { "ok", "pending", "firing", "resolved" };

bool alert_change(const struct alert_reading *x, double *ret_percent)
{
    if (!x->has_value || !x->has_before)
        return false;
    double d = x->value - x->before;
    if (x->before > 0 || x->before < 0)
        *ret_percent = 100 * d / fabs(x->before);
    else
        *ret_percent = d > 0 ? INFINITY : d < 0 ? -INFINITY : 0;
    return true;
}

/* the change in the direction that is watched, when both windows are large enough to speak of it */
static bool watched_change(const struct alert_rule *r, const struct alert_reading *x, double *ret)
{
    double percent;
    if (!alert_change(x, &percent) || fmax(x->value, x->before) < r->at_least)
        return false;
    *ret = r->condition == ALERT_FALLS ? -percent : percent;
    return true;
}

bool alert_breached(const struct alert_rule *r, const struct alert_reading *x)
{
    double percent;
    switch (r->condition) {
    case ALERT_ABOVE: return x->has_value && x->value > r->threshold;
    case ALERT_BELOW: return x->has_value && x->value < r->threshold;
    case ALERT_RISES:
    case ALERT_FALLS: return watched_change(r, x, &percent) && percent > r->threshold;
    case ALERT_ABSENT: return !x->present;
    default: return x->present; /* new issues: what is in the answer is new */
    }
}

static bool cleared(const struct alert_rule *r, const struct alert_reading *x)
{
    double percent;
    if (!r->has_clear)
        return !alert_breached(r, x);
    switch (r->condition) {
    case ALERT_ABOVE: return !x->has_value || x->value <= r->clear;
    case ALERT_BELOW: return !x->has_value || x->value >= r->clear;
    default: return !watched_change(r, x, &percent) || percent <= r->clear;
    }
}

static void enter(struct alert_inst *in, struct alert_step *s, enum alert_state to, ts_ns now)
{
    in->state = s->to = to;
    in->since = now;
    s->changed = true;
}

static void fire(struct alert_inst *in, struct alert_step *s, ts_ns now)
{
    enter(in, s, ALERT_FIRING, now);
    in->clear_since = 0;
    in->told = false;
}

static void step_firing(const struct alert_rule *r, struct alert_inst *in,
                        const struct alert_reading *x, ts_ns now, struct alert_step *s)
{
    if (!cleared(r, x)) {
        in->clear_since = 0;
        return;
    }
    if (!in->clear_since || in->clear_since > now)
        in->clear_since = now;
    if (now - in->clear_since < r->keep_ns)
        return;
    enter(in, s, ALERT_RESOLVED, now);
    in->breach_since = in->clear_since = 0;
    s->tell = in->told ? TELL_RESOLVED : TELL_NOTHING;
    in->told = false;
}

static void step_calm(const struct alert_rule *r, struct alert_inst *in, bool breach, ts_ns now,
                      struct alert_step *s)
{
    if (!breach) {
        in->breach_since = 0;
        if (in->state == ALERT_PENDING ||
            (in->state == ALERT_RESOLVED && now - in->since >= ALERT_RESOLVED_SHOWN_NS))
            enter(in, s, ALERT_OK, now);
        return;
    }
    if (in->state != ALERT_PENDING || !in->breach_since || in->breach_since > now)
        in->breach_since = now;
    if (now - in->breach_since >= r->for_ns)
        fire(in, s, now);
    else if (in->state != ALERT_PENDING)
        enter(in, s, ALERT_PENDING, now);
}

struct alert_step alert_step(const struct alert_rule *r, struct alert_inst *in,
                             const struct alert_reading *x, ts_ns now, bool snoozed)
{
    struct alert_step s = { .from = in->state, .to = in->state };
    bool was_told = in->state == ALERT_FIRING && in->told;
    in->has_value = x->has_value;
    in->value = x->value;
    in->has_before = x->has_before;
    in->before = x->before;
    if (x->present)
        in->seen = now;
    if (in->since > now) /* the clock was set back */
        in->since = now;
    if (in->state == ALERT_FIRING)
        step_firing(r, in, x, now, &s);
    else
        step_calm(r, in, alert_breached(r, x), now, &s);
    if (in->state == ALERT_FIRING && !snoozed) {
        if (!in->told)
            s.tell = TELL_FIRING;
        else if (r->repeat_ns && (in->told_at > now || now - in->told_at >= r->repeat_ns))
            s.tell = TELL_AGAIN;
        if (s.tell) {
            in->told = true;
            in->told_at = now;
        }
    } /* a firing that was told before a snooze is also told to be over during it */
    if (r->nby && in->state == ALERT_OK && !x->present)
        in->forget = r->condition != ALERT_ABSENT;
    if (r->condition == ALERT_NEW_ISSUE && in->state != ALERT_FIRING)
        in->forget = true;
    if (r->nby && r->condition == ALERT_ABSENT && !x->present && now - in->seen >= r->forget_ns) {
        in->forget = true; /* gone for good: nobody waits for it any more */
        if (in->state == ALERT_FIRING) {
            enter(in, &s, ALERT_RESOLVED, now);
            s.tell = was_told ? TELL_RESOLVED : TELL_NOTHING;
        }
    }
    return s;
}
