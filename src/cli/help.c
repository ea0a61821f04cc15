/* help.c: --help out of the tables. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define OPTS_MAX 64

static int width_of(const struct out *o)
{
    return !o->term.tty || o->term.cols > 100 ? 100 : o->term.cols;
}

/* words wrapped at the right margin, continuation lines indented; starts at column `at` */
static void put_wrapped(struct out *o, const char *text, int indent, int at)
{
    int width = width_of(o);
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (*text == '\n') { /* an empty line parts paragraphs */
            out_line(o);
            if (text[1] == '\n')
                out_line(o);
            text += strspn(text, "\n");
            out_pad(o, indent);
            at = indent;
            first = true;
            continue;
        }
        if (!first && at + 1 + (int)n > width) {
            out_line(o);
            out_pad(o, indent);
            at = indent;
            first = true;
        }
        if (!first) {
            out_puts(o, " ");
            at++;
        }
        out_put(o, str_n(text, n));
        at += (int)n;
        first = false;
        text += n;
        if (*text == ' ')
            text += strspn(text, " ");
    }
    out_line(o);
}

static void heading(struct out *o, const char *text)
{
    out_line(o);
    out_styled(o, STYLE_BOLD, text);
    out_line(o);
}

#define LEFT 28

static void put_option(struct out *o, const struct opt *p)
{
    char left[96];
    int n = p->letter ? snprintf(left, sizeof(left), "  -%c, --%s", p->letter, p->name)
                      : snprintf(left, sizeof(left), "      --%s", p->name);
    if (p->type != OPT_FLAG)
        n += snprintf(left + n, sizeof(left) - (size_t)n, " %s", p->arg);
    out_puts(o, left);
    if (n + 2 > LEFT) {
        out_line(o);
        n = 0;
    }
    out_pad(o, LEFT - n);
    char text[1024];
    int at = snprintf(text, sizeof(text), "%s", p->help);
    if (p->choices) {
        at += snprintf(text + at, sizeof(text) - (size_t)at, ": ");
        for (const char *c = p->choices; *c && at < (int)sizeof(text) - 3; c++) {
            text[at++] = *c == '|' ? ',' : *c;
            if (*c == '|')
                text[at++] = ' ';
        }
        text[at] = 0;
    }
    if (p->def && *p->def)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " (default %s)", p->def);
    if (p->repeats)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "; may be repeated");
    if (p->alias)
        snprintf(text + at, sizeof(text) - (size_t)at, "; also --%s", p->alias);
    put_wrapped(o, text, LEFT, LEFT);
}

static void put_options(struct out *o, const struct command *cmd)
{
    const struct opt *all[OPTS_MAX];
    int n = command_opts(cmd, all, OPTS_MAX), own = 0;
    for (const struct opt *p = cmd ? cmd->opts : NULL; p && p->name; p++)
        own++;
    if (own) {
        heading(o, "Options");
        for (int i = 0; i < own; i++)
            put_option(o, all[i]);
    }
    heading(o, cmd ? "Global options (before or after the command)" : "Global options");
    for (int i = own; i < n; i++)
        put_option(o, all[i]);
}

void help_overview(struct out *o)
{
    out_puts(o, "fleetlog: the log database for fleets of AI agents\n");
    heading(o, "Usage");
    out_puts(o, "  fleetlog COMMAND [OPTIONS]\n");
    heading(o, "Commands");
    for (const struct command *const *p = cli_commands; *p; p++) {
        out_puts(o, "  ");
        out_styled(o, STYLE_CYAN, (*p)->name);
        out_pad(o, 14 - (int)strlen((*p)->name));
        put_wrapped(o, (*p)->summary, 16, 16);
    }
    put_options(o, NULL);
    heading(o, "Start here");
    out_puts(o, "  fleetlog demo                 a server with a small fleet at work, to look at\n"
                "  fleetlog serve                take, keep and find your own agents' logs\n"
                "  fleetlog COMMAND --help       what a command does, with examples\n");
    heading(o, "Environment");
    out_puts(o, "  FLEETLOG_URL, FLEETLOG_DATA_DIR, FLEETLOG_API_KEY, NO_COLOR\n");
}

void help_command(struct out *o, const struct command *cmd)
{
    out_printf(o, "fleetlog %s: %s\n", cmd->name, cmd->summary);
    heading(o, "Usage");
    out_printf(o, "  fleetlog %s %s\n", cmd->name, cmd->synopsis);
    if (cmd->about) {
        out_line(o);
        put_wrapped(o, cmd->about, 0, 0);
    }
    put_options(o, cmd);
    if (cmd->examples) {
        heading(o, "Examples");
        for (const struct example *e = cmd->examples; e->line; e++) {
            out_puts(o, "  ");
            out_style(o, STYLE_DIM);
            out_printf(o, "# %s", e->what);
            out_style(o, STYLE_NONE);
            out_printf(o, "\n  %s\n", e->line);
        }
    }
}
