/* summary.h: the store's summary as a key may see it. */
#ifndef FL_SERVER_SUMMARY_H
#define FL_SERVER_SUMMARY_H

#include "server/internal.h"

/* store_summary for a key without an agent pattern. For others only their agents, and the hours by
 * a scan. Memory from j->arena. */
int summary_get(struct job *j, struct store_summary *ret, struct err *err);

#endif
