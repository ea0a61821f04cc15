/* issues.h: what people decided about issues, and the history of it.
 *
 * Issues themselves are made of entries by whoever reads those (query/issue_set.h); here is only
 * what the entries do not say. A state and its line of history are written in one transaction and
 * are on the disk when the call returns. Thread-safe; every function may wait for the disk. */
#ifndef FL_META_ISSUES_H
#define FL_META_ISSUES_H

#include "meta/meta.h"

#define META_ISSUE_CHANGES_MAX 1000 /* lines of history kept of one issue, the oldest go */

enum issue_state { ISSUE_OPEN, ISSUE_RESOLVED, ISSUE_IGNORED };
enum issue_cause {
    CAUSE_PERSON, /* somebody said so */
    CAUSE_ENTRY,  /* it happened again after it was resolved */
    CAUSE_MARKS,  /* all of its entries were marked as resolved */
    CAUSE_TIME,   /* it was ignored until now */
    CAUSE_COUNT   /* it was ignored until it had come so often */
};
struct meta_issue {
    uint64_t id;
    enum issue_state state;
    enum issue_cause cause;
    bool regressed; /* open again by an entry */
    uint64_t line;  /* resolved: up to this sequence number; ignored: from there it is counted */
    uint64_t marks; /* reopened: so many of its entries were marked then */
    ts_ns at;
    str by, note;
    ts_ns until;               /* ignored: 0 = for ever */
    uint64_t until_count;      /* ignored: further entries; 0 = any number */
    uint64_t seq;              /* of the entry that reopened it; 0 = none */
    str entry, session, agent; /* of that entry */
};
/* All that are not as at first, by id. */
int meta_issues(struct meta *m, struct arena *a, struct meta_issue **ret, uint32_t *ret_n,
                struct err *err);
/* All of them or none. */
int meta_issues_set(struct meta *m, const struct meta_issue *v, uint32_t n, struct err *err);
/* The history of one issue, newest first; line, marks and seq are not in it. */
int meta_issue_changes(struct meta *m, uint64_t id, uint32_t max, struct arena *a,
                       struct meta_issue **ret, uint32_t *ret_n, struct err *err);

#endif
