/* cli.c: one run of the program: parse, run the command, say what went wrong, choose the exit code.
 */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "model/view.h"

/* "fleetlog: sentence" and "hint: what to do"; text of others cannot steer the terminal */
static void speak(struct cli *c, enum style style, const char *label, const char *text)
{
    struct buf b;
    buf_init(&b, 64u << 10);
    if (c->err.color)
        buf_printf(&b, "\x1b[%sm%s\x1b[0m ", style == STYLE_RED ? "1;31" : "2", label);
    else
        buf_printf(&b, "%s ", label);
    view_put_safe(&b, str_c(text), true);
    buf_putc(&b, '\n');
    if (b.p && write(c->err.fd, b.p, b.n) < 0)
        c->err.tty = false; /* nobody reads it: nothing more to draw there */
    buf_deinit(&b);
}

int cli_fail(struct cli *c, int exit, const char *hint, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    out_flush(&c->out); /* what was found comes before what went wrong */
    speak(c, STYLE_RED, "fleetlog:", text);
    if (hint && *hint)
        speak(c, STYLE_DIM, "hint:", hint);
    c->failed = true;
    return exit;
}

/* `line` around byte `at` of it, as much as fits, and a mark below */
static void show_place(struct cli *c, str line, size_t at)
{
    struct buf b;
    size_t from = 0;
    int room = c->err.cols - 6;
    buf_init(&b, 1u << 20);
    /* what is to be seen begins so that the place is in it, with something before it */
    while (from < at && safe_width(str_sub(line, from, at - from)) > room * 2 / 3)
        utf8_next(line, &from);
    buf_puts(&b, from ? "  \u2026" : "  ");
    int before = (from ? 3 : 2) + safe_width(str_sub(line, from, at - from));
    str shown = safe_cut(str_skip(line, from), room);
    view_put_safe(&b, shown, true);
    buf_puts(&b, from + shown.n < line.n ? "\u2026\n" : "\n");
    buf_fill(&b, ' ', (size_t)before);
    buf_puts(&b, c->err.color ? "\x1b[1;31m^\x1b[0m\n" : "^\n");
    if (b.p && write(c->err.fd, b.p, b.n) < 0)
        c->err.tty = false;
    buf_deinit(&b);
}

int cli_fail_at(struct cli *c, const struct err *err, str text, int64_t pos)
{
    if (pos < 0 || (uint64_t)pos > text.n)
        return cli_fail_err(c, err);
    if (!c->err.tty)
        return cli_fail(c, cli_exit_of(err), err->hint, "%s (at byte %" PRId64 ")", err->msg, pos);
    size_t from = (size_t)pos, to = (size_t)pos;
    while (from > 0 && text.p[from - 1] != '\n')
        from--;
    while (to < text.n && text.p[to] != '\n')
        to++;
    cli_fail(c, 0, NULL, "%s", err->msg);
    show_place(c, str_sub(text, from, to - from), (size_t)pos - from);
    if (err->hint[0])
        speak(c, STYLE_DIM, "hint:", err->hint);
    return cli_exit_of(err);
}

void cli_note(struct cli *c, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    out_flush(&c->out);
    speak(c, STYLE_DIM, "note:", text);
}

int cli_exit_of(const struct err *err)
{
    if (strcmp(err->slug, SLUG_UNREACHABLE) == 0)
        return EXIT_UNREACHABLE;
    if (err->code == ERR_INVALID || err->code == ERR_LIMIT || err->code == ERR_CONFLICT)
        return EXIT_USAGE;
    return err_exit_code(err->code);
}

int cli_fail_err(struct cli *c, const struct err *err)
{
    return cli_fail(c, cli_exit_of(err), err->hint, "%s", err->msg);
}

static enum color_mode color_mode(const struct cli *c)
{
    const char *mode = NULL;
    for (int i = 0; i < c->nset; i++)
        if (strcmp(c->set[i].opt->name, "color") == 0)
            mode = c->set[i].value;
    if (mode && strcmp(mode, "always") == 0)
        return COLOR_ALWAYS;
    return mode && strcmp(mode, "never") == 0 ? COLOR_NEVER : COLOR_AUTO;
}

/* Fleet takes --retention before any command; only two have a use for it. */
static void note_retention(struct cli *c)
{
    bool used = strcmp(c->cmd->name, "serve") == 0 || strcmp(c->cmd->name, "onboard") == 0;
    for (int i = 0; i < c->nset && !used; i++)
        if (strcmp(c->set[i].opt->name, "retention") == 0) {
            cli_note(c, "--retention matters to serve and onboard; %s has no use for it",
                     c->cmd->name);
            return;
        }
}

/* Flushes; a reader that went away is no error (| head), a full disk is. */
static int finish(struct cli *c, int code)
{
    out_flush(&c->out);
    if (c->out.error && !c->failed)
        code = cli_fail(c, EXIT_IO, NULL, "cannot write the output: %s", strerror(c->out.error));
    else if (c->out.closed && !c->failed)
        code = EXIT_DONE;
    out_deinit(&c->out);
    return code;
}

int cli_main(int argc, char **argv)
{
    static struct cli c; /* large, and alive as long as the process */
    struct timespec now;
    signal(SIGPIPE, SIG_IGN);
    clock_gettime(CLOCK_REALTIME, &now);
    c.now = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
    out_init(&c.out, STDOUT_FILENO, COLOR_AUTO);
    term_init(&c.err, STDERR_FILENO, COLOR_AUTO);
    int rc = cli_parse(&c, argc, argv);
    if (rc)
        return finish(&c, rc - 1);
    term_init(&c.out.term, STDOUT_FILENO, color_mode(&c));
    term_init(&c.err, STDERR_FILENO, color_mode(&c));
    note_retention(&c);
    return finish(&c, c.cmd->run(&c));
}

int cli_read_file(struct cli *c, const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return cli_fail(c, EXIT_CONFIG, NULL, "cannot read %s: %s", path, strerror(errno));
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(out, piece, n);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad || !buf_ok(out))
        return cli_fail(c, EXIT_CONFIG, NULL, bad ? "cannot read %s" : "%s is larger than 1 MiB",
                        path);
    return 0;
}
