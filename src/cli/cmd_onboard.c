/* cmd_onboard.c: fleetlog onboard: a commented configuration, and what to do first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/target.h"
#include "server/prices.h"

static const struct opt opts[] = {
    { .name = "retention",
      .type = OPT_DUR,
      .arg = "AGE",
      .def = "30d",
      .unit = NS_PER_DAY,
      .help = "what to write as the age at which entries go; a bare number is days" },
    { .name = "output",
      .letter = 'o',
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "write here (default: fleetlog.conf in the data directory)" },
    { .name = "force", .type = OPT_FLAG, .help = "replace a file that is there" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog onboard", "configuration in the default data directory" },
    { "fleetlog onboard --data-dir ./data --retention 90d", "elsewhere, kept longer" },
    { NULL, NULL },
};

static int write_file(struct cli *c, const char *path, str text)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (opt_on(c, "force") ? O_TRUNC : O_EXCL), 0600);
    if (fd < 0 && errno == EEXIST)
        return cli_fail(c, EXIT_CONFIG, "--force replaces it", "%s is already there", path);
    if (fd < 0)
        return cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", path, strerror(errno));
    ssize_t n = write(fd, text.p, text.n);
    int bad = n != (ssize_t)text.n || fsync(fd) != 0 ? errno : 0;
    close(fd);
    return bad ? cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", path, strerror(bad)) : 0;
}

/* the data directory and those above it; new ones are private */
static int make_dir(struct cli *c, const char *dir)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s", dir);
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char was = *p;
        *p = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return cli_fail(c, EXIT_IO, NULL, "cannot make %s: %s", path, strerror(errno));
        *p = was;
        if (!was)
            return 0;
    }
}

/* prices.conf in the data directory, unless there is one: it may have been edited */
static int write_prices(struct cli *c, const char *dir)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/" PRICE_FILE_NAME, dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0600);
    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0)
        return cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", path, strerror(errno));
    str text = prices_example();
    ssize_t n = write(fd, text.p, text.n);
    int bad = n != (ssize_t)text.n || fsync(fd) != 0 ? errno : 0;
    close(fd);
    if (bad)
        return cli_fail(c, EXIT_IO, NULL, "cannot write %s: %s", path, strerror(bad));
    out_puts(&c->out, "Wrote ");
    out_safe(&c->out, str_c(path));
    out_puts(&c->out, " (what models cost: check it before you rely on a sum).\n");
    return 0;
}

static int run(struct cli *c)
{
    char dir[4096], path[4200], age[32];
    struct buf text;
    const char *output = opt_text(c, "output");
    struct out *o = &c->out;
    int64_t days = opt_num(c, "retention") / NS_PER_DAY;
    int rc = target_dir(c, dir);
    if (rc == 0)
        rc = make_dir(c, dir);
    if (rc)
        return rc;
    if (opt_num(c, "retention") % NS_PER_DAY == 0)
        snprintf(age, sizeof(age), "%lldd", (long long)days);
    else
        snprintf(age, sizeof(age), "%llds", (long long)(opt_num(c, "retention") / NS_PER_S));
    if (output)
        snprintf(path, sizeof(path), "%s", output);
    else
        snprintf(path, sizeof(path), "%s/fleetlog.conf", dir);
    buf_init(&text, 256u << 10);
    config_write(&text, &cmd_serve, age);
    rc = write_file(c, path, buf_str(&text));
    buf_deinit(&text);
    if (rc)
        return rc;
    out_puts(o, "Wrote ");
    out_safe(o, str_c(path));
    out_printf(o, " (entries are kept %s).\n", age);
    rc = write_prices(c, dir);
    if (rc)
        return rc;
    out_puts(o, "\nThe first three things to do:\n\n");
    out_puts(o, "  1. start the server   fleetlog serve ");
    out_puts(o, output ? "--config " : "--data-dir ");
    out_safe(o, str_c(output ? path : dir));
    out_puts(o, "\n  2. send an entry      curl -d '{\"agent\":\"me\",\"message\":\"hello\"}' "
                "http://127.0.0.1:8140/api/v1/ingest\n"
                "  3. see it             fleetlog tail      (or open http://127.0.0.1:8140)\n");
    return EXIT_DONE;
}

const struct command cmd_onboard = {
    .name = "onboard",
    .summary = "write a commented configuration and say what to do first",
    .synopsis = "[OPTIONS]",
    .opts = opts,
    .examples = examples,
    .run = run,
};
