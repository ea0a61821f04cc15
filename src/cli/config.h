/* config.h: `key = value` lines, the options of serve in a file.
 *
 * A key is the long name of an option; a flag takes true or false; '#' begins a comment; a repeated
 * option may stand on several lines. An unknown key or a bad value is an error with its line. What
 * the command line (or, for data-dir, the environment) says wins. */
#ifndef FL_CLI_CONFIG_H
#define FL_CLI_CONFIG_H

#include "base/buf.h"
#include "cli/cli.h"

/* 0 or an exit code, having said what is wrong. */
int config_load(struct cli *c, const char *path);
/* a commented file with every option of `cmd`; `retention` is set */
void config_write(struct buf *out, const struct command *cmd, const char *retention);

#endif
