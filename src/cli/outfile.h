/* outfile.h: a file that appears whole or not at all.
 *
 * It is written under a temporary name beside the wanted one and renamed once it is on the disk.
 * What is no plain file (a pipe, a terminal) is written as it is. */
#ifndef FL_CLI_OUTFILE_H
#define FL_CLI_OUTFILE_H

#include "cli/cli.h"

struct outfile {
    struct out o; /* write here */
    const char *path;
    char tmp[4096];
};
/* 0 or an exit code, having said what is wrong. `path` is borrowed until the file is closed. */
int outfile_open(struct cli *c, struct outfile *f, const char *path);
/* rc: 0 when all was written, else the temporary file is removed and rc returned. */
int outfile_close(struct cli *c, struct outfile *f, int rc);

#endif
