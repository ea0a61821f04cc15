/* outfile.c: see outfile.h. */
#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int outfile_open(struct cli *c, struct outfile *f, const char *path)
{
    struct stat st;
    bool plain = stat(path, &st) != 0 || S_ISREG(st.st_mode);
    int n = snprintf(f->tmp, sizeof(f->tmp), plain ? "%s.part-%ld" : "%s", path, (long)getpid());
    if (n >= (int)sizeof(f->tmp))
        return cli_fail(c, EXIT_USAGE, NULL, "the output's path is too long");
    int fd = open(f->tmp, O_WRONLY | O_CREAT | O_CLOEXEC | (plain ? O_TRUNC | O_EXCL : 0), 0644);
    if (fd < 0)
        return cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", path, strerror(errno));
    f->path = path;
    out_init(&f->o, fd, COLOR_NEVER);
    return 0;
}

int outfile_close(struct cli *c, struct outfile *f, int rc)
{
    bool renamed = strcmp(f->path, f->tmp) != 0;
    out_flush(&f->o);
    if (rc == 0 && f->o.error)
        rc = cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", f->path, strerror(f->o.error));
    if (rc == 0 && renamed && fsync(f->o.term.fd) != 0)
        rc = cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", f->path, strerror(errno));
    close(f->o.term.fd);
    out_deinit(&f->o);
    if (rc == 0 && renamed && rename(f->tmp, f->path) != 0)
        rc = cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", f->path, strerror(errno));
    if (rc && renamed)
        unlink(f->tmp);
    return rc;
}
