/* cmd_docs.c: version, man, routes: what the program says about itself. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "server/server.h"

#define OPTS_MAX 64

static const struct opt no_opts[] = { { .name = NULL } };

/* ---- version ---- */

static const struct opt version_opts[] = {
    { .name = "json", .type = OPT_FLAG, .help = "as JSON" },
    { .name = NULL },
};
static const struct example version_examples[] = { { "fleetlog version", "which one is this" },
                                                   { NULL, NULL } };

static int run_version(struct cli *c)
{
    if (opt_on(c, "json"))
        out_printf(&c->out, "{\"name\": \"fleetlog\", \"version\": \"%s\"}\n", FL_VERSION);
    else
        out_printf(&c->out, "fleetlog %s\n", FL_VERSION);
    return EXIT_DONE;
}

const struct command cmd_version = {
    .name = "version",
    .summary = "print the version",
    .synopsis = "[--json]",
    .opts = version_opts,
    .examples = version_examples,
    .run = run_version,
};

/* ---- routes ---- */

static const struct opt routes_opts[] = {
    { .name = "openapi", .type = OPT_FLAG, .help = "as an OpenAPI 3.1 document" },
    { .name = NULL },
};
static const struct example routes_examples[] = {
    { "fleetlog routes | less", "what the server answers, as Markdown" },
    { "fleetlog routes --openapi > openapi.json", "for generators" },
    { NULL, NULL },
};

static int run_routes(struct cli *c)
{
    struct buf text;
    buf_init(&text, 16u << 20);
    if (opt_on(c, "openapi"))
        server_openapi(&text);
    else
        server_routes_markdown(&text);
    out_put(&c->out, buf_str(&text));
    if (text.n && text.p[text.n - 1] != '\n')
        out_line(&c->out);
    buf_deinit(&text);
    return EXIT_DONE;
}

const struct command cmd_routes = {
    .name = "routes",
    .summary = "print the HTTP interface, from the server's own table",
    .synopsis = "[--openapi]",
    .opts = routes_opts,
    .examples = routes_examples,
    .run = run_routes,
};

/* ---- man page and Markdown, from the same tables as --help ---- */

/* roff: backslashes, leading dots and quotes, hyphens that are to be copied */
static void roff(struct out *o, const char *s)
{
    bool line_start = true;
    for (; *s; s++) {
        if (*s == '\\')
            out_puts(o, "\\e");
        else if (*s == '-')
            out_puts(o, "\\-");
        else if (line_start && (*s == '.' || *s == '\''))
            out_printf(o, "\\&%c", *s);
        else
            out_put(o, (str){ s, 1 });
        line_start = *s == '\n';
    }
}

static void choices(struct out *o, const struct opt *p)
{
    if (!p->choices)
        return;
    out_puts(o, ": ");
    for (const char *s = p->choices; *s; s++)
        out_puts(o, *s == '|' ? ", " : (char[]){ *s, 0 });
}

static void man_option(struct out *o, const struct opt *p)
{
    out_puts(o, ".TP\n");
    if (p->letter)
        out_printf(o, "\\fB\\-%c\\fR, ", p->letter);
    out_puts(o, "\\fB\\-\\-");
    roff(o, p->name);
    out_puts(o, "\\fR");
    if (p->type != OPT_FLAG) {
        out_puts(o, " \\fI");
        roff(o, p->arg);
        out_puts(o, "\\fR");
    }
    out_line(o);
    roff(o, p->help);
    choices(o, p);
    if (p->def) {
        out_puts(o, " (default ");
        roff(o, p->def);
        out_puts(o, ")");
    }
    if (p->repeats)
        out_puts(o, "; may be repeated");
    if (p->alias) {
        out_puts(o, "; also \\-\\-");
        roff(o, p->alias);
    }
    out_puts(o, ".\n");
}

static void man_command(struct out *o, const struct command *cmd)
{
    out_printf(o, ".SS fleetlog %s ", cmd->name);
    roff(o, cmd->synopsis);
    out_line(o);
    roff(o, cmd->summary);
    out_puts(o, ".\n");
    if (cmd->about) {
        out_puts(o, ".PP\n");
        roff(o, cmd->about);
        out_line(o);
    }
    for (const struct opt *p = cmd->opts; p->name; p++)
        man_option(o, p);
    for (const struct example *e = cmd->examples; e && e->line; e++) {
        out_puts(o, ".PP\n");
        roff(o, e->what);
        out_puts(o, ":\n.RS\n.nf\n");
        roff(o, e->line);
        out_puts(o, "\n.fi\n.RE\n");
    }
}

static const char *const man_tail =
    ".SH WHERE THE DATA IS\n"
    "\\fB\\-\\-url\\fR (or \\fBFLEETLOG_URL\\fR) names a server. \\fB\\-\\-data\\-dir\\fR (or\n"
    "\\fBFLEETLOG_DATA_DIR\\fR) names a directory; when a server holds it that server is asked,\n"
    "otherwise it is read as it stands. With neither, the server on 127.0.0.1:8140 is asked if it\n"
    "answers, else the default directory is read: \\fB/var/lib/fleetlog\\fR for root,\n"
    "\\fB$XDG_DATA_HOME/fleetlog\\fR for others. An option beats the environment.\n"
    ".SH ENVIRONMENT\n"
    "\\fBFLEETLOG_URL\\fR, \\fBFLEETLOG_DATA_DIR\\fR, \\fBFLEETLOG_API_KEY\\fR "
    "(the key itself; for\n"
    "\\fBserve\\fR a key that may do everything), \\fBMALS_API_KEY\\fR (serve), \\fBNO_COLOR\\fR.\n"
    ".SH EXIT STATUS\n"
    "0 done; 1 nothing found where finding was the point; 2 usage; 65 damaged data or refused\n"
    "entries; 69 no server or no data; 74 input or output failed; 75 locked or overloaded;\n"
    "77 not allowed; 78 configuration.\n"
    ".SH FILES\n"
    "\\fBfleetlog.conf\\fR in the data directory: options of \\fBserve\\fR as key = value lines.\n"
    "\\fBadmin.key\\fR in the data directory: the first key of a server that asks for keys.\n";

static void print_man(struct out *o)
{
    out_printf(o, ".TH FLEETLOG 1 \"\" \"fleetlog %s\" \"User Commands\"\n", FL_VERSION);
    out_puts(o, ".SH NAME\nfleetlog \\- the log database for fleets of AI agents\n"
                ".SH SYNOPSIS\n\\fBfleetlog\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
                ".SH DESCRIPTION\n"
                "Takes every log line, event and span that agents emit, keeps it durably, and "
                "answers in\nmilliseconds: in a terminal, in a browser and over HTTP.\n"
                ".SH COMMANDS\n");
    for (const struct command *const *p = cli_commands; *p; p++)
        man_command(o, *p);
    out_puts(o, ".SH GLOBAL OPTIONS\nThey may stand before or after the command.\n");
    for (const struct opt *p = cli_globals; p->name; p++)
        man_option(o, p);
    out_puts(o, man_tail);
}

static void md_options(struct out *o, const struct opt *opts)
{
    if (!opts->name)
        return;
    out_puts(o, "\n| option | meaning |\n|---|---|\n");
    for (const struct opt *p = opts; p->name; p++) {
        out_puts(o, "| `");
        if (p->letter)
            out_printf(o, "-%c`, `", p->letter);
        out_printf(o, "--%s", p->name);
        if (p->type != OPT_FLAG)
            out_printf(o, " %s", p->arg);
        out_printf(o, "` | %s", p->help);
        choices(o, p);
        if (p->def)
            out_printf(o, " (default `%s`)", p->def);
        if (p->repeats)
            out_puts(o, "; may be repeated");
        if (p->alias)
            out_printf(o, "; also `--%s`", p->alias);
        out_puts(o, " |\n");
    }
}

static void print_markdown(struct out *o)
{
    for (const struct command *const *p = cli_commands; *p; p++) {
        const struct command *cmd = *p;
        out_printf(o, "## fleetlog %s\n\n%c%s.\n\n    fleetlog %s %s\n", cmd->name,
                   cmd->summary[0] >= 'a' && cmd->summary[0] <= 'z' ? cmd->summary[0] - 32
                                                                    : cmd->summary[0],
                   cmd->summary + 1, cmd->name, cmd->synopsis);
        if (cmd->about)
            out_printf(o, "\n%s\n", cmd->about);
        md_options(o, cmd->opts);
        if (cmd->examples) {
            out_puts(o, "\n```sh\n");
            for (const struct example *e = cmd->examples; e->line; e++)
                out_printf(o, "# %s\n%s\n", e->what, e->line);
            out_puts(o, "```\n");
        }
        out_line(o);
    }
    out_puts(o, "## Global options\n\nThey may stand before or after the command.\n");
    md_options(o, cli_globals);
}

static const struct opt man_opts[] = {
    { .name = "markdown", .type = OPT_FLAG, .help = "the reference as Markdown instead of roff" },
    { .name = NULL },
};
static const struct example man_examples[] = {
    { "fleetlog man | man -l -", "read it" },
    { "fleetlog man > /usr/local/share/man/man1/fleetlog.1", "install it" },
    { NULL, NULL },
};

static int run_man(struct cli *c)
{
    if (opt_on(c, "markdown"))
        print_markdown(&c->out);
    else
        print_man(&c->out);
    return EXIT_DONE;
}

const struct command cmd_man = {
    .name = "man",
    .summary = "print the manual page",
    .synopsis = "[--markdown]",
    .opts = man_opts,
    .examples = man_examples,
    .run = run_man,
};

/* ---- completion ---- */

static void words_of_choices(struct out *o, const char *s)
{
    for (; *s; s++)
        out_puts(o, *s == '|' ? " " : (char[]){ *s, 0 });
}

static void command_names(struct out *o)
{
    for (const struct command *const *p = cli_commands; *p; p++)
        out_printf(o, "%s%s", p == cli_commands ? "" : " ", (*p)->name);
}

static void bash_values(struct out *o, const struct opt *const *all, int n)
{
    for (int i = 0; i < n; i++) {
        const struct opt *p = all[i];
        if (p->type == OPT_FLAG)
            continue;
        out_printf(o, "        --%s", p->name);
        if (p->alias)
            out_printf(o, "|--%s", p->alias);
        if (p->letter)
            out_printf(o, "|-%c", p->letter);
        out_puts(o, ") ");
        if (p->type == OPT_CHOICE) {
            out_puts(o, "COMPREPLY=($(compgen -W \"");
            words_of_choices(o, p->choices);
            out_puts(o, "\" -- \"$cur\"))");
        } else if (p->type == OPT_FILE || p->type == OPT_DIR) {
            out_printf(o, "COMPREPLY=($(compgen -%c -- \"$cur\"))", p->type == OPT_DIR ? 'd' : 'f');
        } else {
            out_puts(o, "COMPREPLY=()");
        }
        out_puts(o, "; return ;;\n");
    }
}

static void print_bash(struct out *o)
{
    out_puts(o,
             "# bash completion of fleetlog: eval \"$(fleetlog completion bash)\"\n"
             "_fleetlog() {\n"
             "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= i\n"
             "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
             "        case ${COMP_WORDS[i]} in\n"
             "        -u|--url|-D|--data-dir|--log-dir|--key-file|--ca-file|--color|--retention) "
             "((i++)) ;;\n"
             "        -*) ;;\n"
             "        *) cmd=${COMP_WORDS[i]}; break ;;\n"
             "        esac\n"
             "    done\n"
             "    if [ -z \"$cmd\" ] && [[ $cur != -* ]]; then\n"
             "        COMPREPLY=($(compgen -W \"");
    command_names(o);
    out_puts(o, "\" -- \"$cur\")); return\n    fi\n    case $cmd in\n");
    for (const struct command *const *c = cli_commands; *c; c++) {
        const struct opt *all[OPTS_MAX];
        int n = command_opts(*c, all, OPTS_MAX);
        out_printf(o, "    %s)\n        case $prev in\n", (*c)->name);
        bash_values(o, all, n);
        out_puts(o, "        esac\n        if [[ $cur == -* ]]; then\n"
                    "            COMPREPLY=($(compgen -W \"");
        for (int i = 0; i < n; i++)
            out_printf(o, "%s--%s", i ? " " : "", all[i]->name);
        out_puts(o, "\" -- \"$cur\"))\n        else\n            ");
        const char *what = (*c)->complete;
        if (what && strcmp(what, "file") == 0)
            out_puts(o, "COMPREPLY=($(compgen -f -- \"$cur\"))");
        else
            out_printf(o, "COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))", what ? what : "");
        out_puts(o, "\n        fi ;;\n");
    }
    out_puts(o, "    *) COMPREPLY=($(compgen -W \"");
    for (const struct opt *p = cli_globals; p->name; p++)
        out_printf(o, "%s--%s", p == cli_globals ? "" : " ", p->name);
    out_puts(o, "\" -- \"$cur\")) ;;\n    esac\n}\ncomplete -F _fleetlog fleetlog\n");
}

/* for '…' strings of zsh and fish */
static void quoted(struct out *o, const char *s, const char *also)
{
    for (; *s; s++) {
        if (*s == '\'')
            out_puts(o, "'\\''");
        else if (strchr(also, *s))
            out_printf(o, "\\%c", *s);
        else
            out_put(o, (str){ s, 1 });
    }
}

static void print_zsh(struct out *o)
{
    out_puts(o, "#compdef fleetlog\n# zsh completion of fleetlog: fleetlog completion zsh > "
                "\"${fpath[1]}/_fleetlog\"\n"
                "_fleetlog() {\n    local -a commands\n    commands=(\n");
    for (const struct command *const *c = cli_commands; *c; c++) {
        out_printf(o, "        '%s:", (*c)->name);
        quoted(o, (*c)->summary, ":");
        out_puts(o, "'\n");
    }
    out_puts(o, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
                "        return\n    fi\n    case $words[2] in\n");
    for (const struct command *const *c = cli_commands; *c; c++) {
        const struct opt *all[OPTS_MAX];
        int n = command_opts(*c, all, OPTS_MAX);
        out_printf(o, "    %s)\n        shift words; (( CURRENT-- ))\n        _arguments \\\n",
                   (*c)->name);
        for (int i = 0; i < n; i++) {
            const struct opt *p = all[i];
            out_printf(o, "            '%s--%s%s[", p->repeats ? "*" : "", p->name,
                       p->type == OPT_FLAG ? "" : "=");
            quoted(o, p->help, "[]:");
            out_puts(o, "]");
            if (p->type == OPT_CHOICE) {
                out_printf(o, ":%s:(", p->arg);
                words_of_choices(o, p->choices);
                out_puts(o, ")");
            } else if (p->type == OPT_FILE || p->type == OPT_DIR) {
                out_printf(o, ":%s:_files%s", p->arg, p->type == OPT_DIR ? " -/" : "");
            } else if (p->type != OPT_FLAG) {
                out_printf(o, ":%s: ", p->arg);
            }
            out_puts(o, "' \\\n");
        }
        const char *what = (*c)->complete;
        if (what && strcmp(what, "file") == 0)
            out_puts(o, "            '*:file:_files' ;;\n");
        else
            out_printf(o, "            '*:argument:(%s)' ;;\n", what ? what : "");
    }
    out_puts(o, "    esac\n}\n_fleetlog \"$@\"\n");
}

static void print_fish(struct out *o)
{
    out_puts(o, "# fish completion of fleetlog: fleetlog completion fish | source\n"
                "complete -c fleetlog -f\n");
    for (const struct command *const *c = cli_commands; *c; c++) {
        out_printf(o, "complete -c fleetlog -n __fish_use_subcommand -a %s -d '", (*c)->name);
        quoted(o, (*c)->summary, "");
        out_puts(o, "'\n");
        const struct opt *all[OPTS_MAX];
        int n = command_opts(*c, all, OPTS_MAX);
        for (int i = 0; i < n; i++) {
            const struct opt *p = all[i];
            out_printf(o, "complete -c fleetlog -n '__fish_seen_subcommand_from %s' -l %s",
                       (*c)->name, p->name);
            if (p->letter)
                out_printf(o, " -s %c", p->letter);
            if (p->type == OPT_CHOICE) {
                out_puts(o, " -x -a '");
                words_of_choices(o, p->choices);
                out_puts(o, "'");
            } else if (p->type != OPT_FLAG) {
                out_puts(o, p->type == OPT_FILE || p->type == OPT_DIR ? " -r -F" : " -x");
            }
            out_puts(o, " -d '");
            quoted(o, p->help, "");
            out_puts(o, "'\n");
        }
        const char *what = (*c)->complete;
        if (what)
            out_printf(o, "complete -c fleetlog -n '__fish_seen_subcommand_from %s' %s%s%s\n",
                       (*c)->name, strcmp(what, "file") == 0 ? "-F" : "-a '",
                       strcmp(what, "file") == 0 ? "" : what, strcmp(what, "file") == 0 ? "" : "'");
    }
}

static const struct example completion_examples[] = {
    { "eval \"$(fleetlog completion bash)\"", "in ~/.bashrc" },
    { "fleetlog completion zsh > \"${fpath[1]}/_fleetlog\"", "for zsh" },
    { "fleetlog completion fish > ~/.config/fish/completions/fleetlog.fish", "for fish" },
    { NULL, NULL },
};

static int run_completion(struct cli *c)
{
    static const char *const shells[] = { "bash", "zsh", "fish", NULL };
    const char *shell = c->args[0];
    if (strcmp(shell, "bash") == 0)
        print_bash(&c->out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(&c->out);
    else if (strcmp(shell, "fish") == 0)
        print_fish(&c->out);
    else
        return cli_fail(c, EXIT_USAGE, nearest_word(shell, shells) ? NULL : "bash, zsh or fish",
                        "no completion for '%s'", shell);
    return EXIT_DONE;
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "print shell completion",
    .synopsis = "bash|zsh|fish",
    .opts = no_opts,
    .examples = completion_examples,
    .min_args = 1,
    .max_args = 1,
    .complete = "bash zsh fish",
    .run = run_completion,
};
