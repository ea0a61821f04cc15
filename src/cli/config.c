/* config.c: reading and writing the configuration file; the rules stand in config.h. */
#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX (256u << 10)

/* what stands in a file but is about this one run */
static bool not_for_files(const char *name)
{
    static const char *const names[] = { "help",     "version", "config", "url",
                                         "key-file", "ca-file", "color",  NULL };
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int read_all(struct cli *c, const char *path, char *text, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = 0;
    if (fd < 0)
        return cli_fail(c, EXIT_CONFIG, NULL, "cannot read %s: %s", path, strerror(errno));
    while (n < CONFIG_MAX && (got = read(fd, text + n, CONFIG_MAX - n)) > 0)
        n += (size_t)got;
    close(fd);
    if (got < 0)
        return cli_fail(c, EXIT_CONFIG, NULL, "cannot read %s: %s", path, strerror(errno));
    if (n == CONFIG_MAX)
        return cli_fail(c, EXIT_CONFIG, NULL, "%s is larger than %u KiB", path, CONFIG_MAX >> 10);
    text[n] = 0;
    *ret_n = n;
    return 0;
}

/* was it given on the command line? */
static bool given_before(const struct cli *c, int nset, const char *name)
{
    for (int i = 0; i < nset; i++)
        if (strcmp(c->set[i].opt->name, name) == 0)
            return true;
    return strcmp(name, "data-dir") == 0 && getenv("FLEETLOG_DATA_DIR") != NULL &&
           *getenv("FLEETLOG_DATA_DIR") != 0;
}

static int unknown_key(struct cli *c, const char *path, int line, const char *key,
                       const struct opt **all, int n)
{
    const char *names[CLI_SET_MAX];
    char hint[128];
    int k = 0;
    for (int i = 0; i < n; i++)
        if (!not_for_files(all[i]->name))
            names[k++] = all[i]->name;
    names[k] = NULL;
    const char *near = nearest_word(key, names);
    snprintf(hint, sizeof(hint), near ? "did you mean %s?" : "fleetlog serve --help lists them%s",
             near ? near : "");
    return cli_fail(c, EXIT_CONFIG, hint, "%s:%d: there is no option '%s'", path, line, key);
}

static int set_value(struct cli *c, const char *path, int line, const struct opt *o, char *value)
{
    const char *why = NULL;
    if (o->type == OPT_FLAG) {
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return cli_fail(c, EXIT_CONFIG, NULL, "%s:%d: %s is true or false, not '%s'", path,
                            line, o->name, value);
        if (strcmp(value, "false") == 0)
            return 0;
        value = NULL;
    } else if (!opt_check(o, value, &why)) {
        return cli_fail(c, EXIT_CONFIG, NULL, "%s:%d: %s %s, not '%s'", path, line, o->name, why,
                        value);
    }
    if (c->nset == CLI_SET_MAX)
        return cli_fail(c, EXIT_CONFIG, NULL, "%s:%d: too many settings", path, line);
    c->set[c->nset].opt = o;
    c->set[c->nset++].value = value;
    return 0;
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        s[--n] = 0;
    return s;
}

static int take_line(struct cli *c, const char *path, int line, char *text, int nset)
{
    const struct opt *all[CLI_SET_MAX];
    int n = command_opts(c->cmd, all, CLI_SET_MAX);
    char *key = trim(text), *eq = strchr(key, '=');
    if (*key == 0 || *key == '#')
        return 0;
    if (!eq)
        return cli_fail(c, EXIT_CONFIG, "lines are written as: retention = 30d",
                        "%s:%d: there is no '=' in '%.60s'", path, line, key);
    *eq = 0;
    char *value = trim(eq + 1);
    key = trim(key);
    for (char *p = strstr(value, " #"); p; p = NULL)
        *p = 0; /* a comment behind the value */
    value = trim(value);
    for (int i = 0; i < n; i++)
        if (strcmp(all[i]->name, key) == 0 && !not_for_files(key))
            return given_before(c, nset, key) ? 0 : set_value(c, path, line, all[i], value);
    return unknown_key(c, path, line, key, all, n);
}

int config_load(struct cli *c, const char *path)
{
    static char text[CONFIG_MAX + 1]; /* values stay as long as the process */
    size_t n = 0;
    int nset = c->nset, number = 0, rc = read_all(c, path, text, &n);
    if (rc)
        return rc;
    if (memchr(text, 0, n))
        return cli_fail(c, EXIT_CONFIG, NULL, "%s is not a text file", path);
    for (char *line = text, *next; line && rc == 0; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        rc = take_line(c, path, ++number, line, nset);
    }
    return rc;
}

static void put_comment(struct buf *out, const char *text)
{
    int at = 2;
    buf_puts(out, "# ");
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > 2 && at + (int)n > 78) {
            buf_puts(out, "\n# ");
            at = 2;
        } else if (at > 2) {
            buf_putc(out, ' ');
            at++;
        }
        buf_put(out, text, n);
        at += (int)n;
        text += n + (text[n] == ' ');
    }
    buf_putc(out, '\n');
}

void config_write(struct buf *out, const struct command *cmd, const char *retention)
{
    const struct opt *all[CLI_SET_MAX];
    int n = command_opts(cmd, all, CLI_SET_MAX);
    buf_puts(
        out,
        "# fleetlog configuration: `fleetlog serve` reads it from its data directory, or with\n"
        "# --config FILE. Lines are key = value; what the command line says wins.\n");
    for (int i = 0; i < n; i++) {
        const struct opt *o = all[i];
        if (not_for_files(o->name) || strcmp(o->name, "data-dir") == 0)
            continue;
        buf_putc(out, '\n');
        char text[1200];
        int at = snprintf(text, sizeof(text), "%s", o->help);
        if (o->choices)
            at += snprintf(text + at, sizeof(text) - (size_t)at, ": %s", o->choices);
        if (o->repeats)
            snprintf(text + at, sizeof(text) - (size_t)at, "; may stand on several lines");
        put_comment(out, text);
        if (strcmp(o->name, "retention") == 0)
            buf_printf(out, "%s = %s\n", o->name, retention);
        else
            buf_printf(out, "#%s = %s\n", o->name,
                       o->type == OPT_FLAG ? "false"
                       : o->def            ? o->def
                                           : o->arg);
    }
}
