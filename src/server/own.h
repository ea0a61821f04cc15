/* own.h: entries the server writes about itself, agent `fleetlog`: who did what, and alerts.
 *
 * Each is stored before the call returns: never call these on a thread of the store or a worker. */
#ifndef FL_SERVER_OWN_H
#define FL_SERVER_OWN_H

#include "base/err.h"
#include "base/str.h"

struct server;
struct call;

/* One entry, JSON. uid: not empty: a second entry with the same one is not stored. */
int own_entry(struct server *s, str json, str uid, struct err *err);

enum audited { AUDIT_ALERT, AUDIT_VIEW, AUDIT_DASHBOARD };
/* who did what to which: event alert_rule, saved_view or dashboard; a failure is only logged */
void own_audit(struct server *s, enum audited what, const char *did, str name, str who);
/* the one who asks, in words: "key 3 (ci)" */
void own_who(const struct call *c, char out[96]);

#endif
