/* retention.h: what --retention-class says: NAME AGE FILTER, in this order, one class a value. */
#ifndef FL_CLI_RETENTION_H
#define FL_CLI_RETENTION_H

#include "cli/cli.h"
#include "store/store.h"

/* Is the value of one option right? Else *why says what it needs. */
bool retention_check(const char *value, const char **why);
/* The rules of all of them into cfg, in their order; they stay as long as the process. 0 or an
 * exit code, having said what is wrong. */
int retention_rules(struct cli *c, struct store_config *cfg);

#endif
