/* cmd_shell.c: fleetlog shell: one query after the other, with history and completion. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/shell.h"
#include "query/complete.h"

static const struct opt opts[] = {
    { .name = "since",
      .letter = 's',
      .type = OPT_TIME,
      .arg = "TIME",
      .help = "entries from this moment on: 15m (ago), now-1h, today, 2026-11-21T10:00:00Z" },
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "text",
      .choices = "text|json|ndjson|csv",
      .help = "how to print" },
    { .name = "wide",
      .letter = 'w',
      .type = OPT_FLAG,
      .help = "on a terminal too: long values whole, span and call ids" },
    { .name = "no-pager",
      .type = OPT_FLAG,
      .help = "print answers that are longer than the screen without $PAGER" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog shell", "ask the server on this machine" },
    { "fleetlog shell --data-dir ./data --since today", "look around in a directory" },
    { "fleetlog shell --format csv < queries.txt", "a file of queries, a line each" },
    { NULL, NULL },
};

/* ---- Ctrl-C while a query runs ---- */

static void on_interrupt(int sig)
{
    if (target_stop == 2) { /* the third time: at once */
        signal(sig, SIG_DFL);
        raise(sig);
    }
    target_stop++;
    data_cancel();
}

/* ---- commands ---- */

static int unknown(struct shell *sh, str name)
{
    static const char *const names[] = { "help",    "format", "start", "end", "limit", "timing",
                                         "explain", "pager",  "wide",  "q",   "quit",  NULL };
    char z[64], hint[120] = "\\help lists the commands";
    snprintf(z, sizeof(z), "%.*s", STR_FMT(name));
    const char *near = nearest_word(z, names);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \\%s?", near);
    return cli_fail(sh->c, EXIT_USAGE, hint, "there is no command \\%s", z);
}

/* "on", "off", or nothing: the other one */
static int set_switch(struct shell *sh, const char *name, str arg, bool *v)
{
    if (str_eq(arg, STR("on")) || str_eq(arg, STR("off")))
        *v = arg.n == 2;
    else if (!arg.n)
        *v = !*v;
    else
        return cli_fail(sh->c, EXIT_USAGE, NULL, "\\%s is on or off", name);
    if (sh->person)
        out_printf(&sh->c->out, "%s is %s\n", name, *v ? "on" : "off");
    return 0;
}

static int set_format(struct shell *sh, str arg)
{
    static const char *const names[] = { "text", "json", "ndjson", "csv" };
    for (size_t i = 0; i < 4; i++)
        if (str_eq(arg, str_c(names[i]))) {
            sh->a.shape = answer_shape_of(names[i]);
            return 0;
        }
    if (arg.n)
        return cli_fail(sh->c, EXIT_USAGE, "write \\format text, json, ndjson or csv",
                        "there is no format '%.*s'", STR_FMT(arg));
    out_printf(&sh->c->out, "%s\n", names[sh->a.shape]);
    return 0;
}

static int set_time(struct shell *sh, const char *name, str arg, char shown[64], ts_ns open,
                    ts_ns *ret)
{
    if (!arg.n) {
        out_printf(&sh->c->out, "%s\n", shown[0] ? shown : "open");
        return 0;
    }
    if (str_eq(arg, STR("off"))) {
        *ret = open;
        shown[0] = 0;
        return 0;
    }
    if (arg.n >= 64 || !when_parse(arg, sh->c->now, ret))
        return cli_fail(sh->c, EXIT_USAGE,
                        "write 1h (ago), now-15m, today, 2026-11-21T10:00:00Z, or off",
                        "\\%s: '%.*s' is not a time", name, STR_FMT(arg));
    snprintf(shown, 64, "%.*s", STR_FMT(arg));
    return 0;
}

static int set_limit(struct shell *sh, str arg)
{
    uint64_t n;
    if (!arg.n) {
        out_printf(&sh->c->out, sh->a.limit ? "%u\n" : "100 rows, 10,000 of a table\n",
                   sh->a.limit);
    } else if (str_eq(arg, STR("off"))) {
        sh->a.limit = 0;
    } else if (!str_to_u64(arg, &n) || n < 1 || n > UINT32_MAX) {
        return cli_fail(sh->c, EXIT_USAGE, NULL, "\\limit takes a number above 0, or off");
    } else {
        sh->a.limit = (uint32_t)n;
    }
    return 0;
}

static const struct {
    const char *name, *help;
} commands[] = { { "\\help [WORD]", "this list; how a pipe or function is written" },
                 { "\\format text|json|ndjson|csv", "how answers are printed" },
                 { "\\start TIME, \\end TIME",
                   "only entries from, before it: 1h (ago), today; off" },
                 { "\\limit N", "at most N rows; off" },
                 { "\\timing", "say how long each query took" },
                 { "\\explain [QUERY]", "the plan of a query, or of the last one" },
                 { "\\wide", "long values whole" },
                 { "\\pager", "long answers through $PAGER" },
                 { "\\q", "quit (or Ctrl-D)" } };

static void put_row(struct out *o, const char *left, int width, const char *right)
{
    out_printf(o, "  %s", left);
    out_pad(o, width - (int)strlen(left));
    out_puts(o, "  ");
    out_styled(o, STYLE_DIM, right);
    out_puts(o, "\n");
}

static void list_words(struct out *o, const char *title, const char *group)
{
    struct query_word w;
    int width = 0;
    for (uint32_t i = 0; query_word(i, &w); i++)
        if (strcmp(w.group, group) == 0 && (int)strlen(w.name) > width)
            width = (int)strlen(w.name);
    out_puts(o, "\n");
    out_styled(o, STYLE_BOLD, title);
    out_puts(o, "\n");
    for (uint32_t i = 0; query_word(i, &w); i++)
        if (strcmp(w.group, group) == 0)
            put_row(o, w.name, width, w.help ? w.help : "");
}

static int help_word(struct shell *sh, str word)
{
    struct out *o = &sh->c->out;
    struct query_word w;
    const char *names[128], *near;
    char z[64];
    uint32_t n = 0;
    bool any = false;
    for (uint32_t i = 0; query_word(i, &w); i++) {
        if (n < 127)
            names[n++] = w.name;
        if (!str_eq(word, str_c(w.name)))
            continue;
        out_styled(o, STYLE_BOLD, w.syntax ? w.syntax : w.name);
        out_printf(o, "\n  %s%s\n", w.help ? w.help : "",
                   strcmp(w.group, "stats") == 0  ? " (in stats)"
                   : strcmp(w.group, "eval") == 0 ? " (in eval and where)"
                                                  : "");
        any = true;
    }
    if (any)
        return 0;
    names[n] = NULL;
    snprintf(z, sizeof(z), "%.*s", STR_FMT(word));
    near = nearest_word(z, names);
    char hint[120] = "\\help lists all";
    if (near)
        snprintf(hint, sizeof(hint), "did you mean %s?", near);
    return cli_fail(sh->c, EXIT_USAGE, hint, "there is no pipe or function '%s'", z);
}

static int help(struct shell *sh, str word)
{
    struct out *o = &sh->c->out;
    struct page p = { .fd = -1 };
    int width = 0;
    if (word.n)
        return help_word(sh, word);
    if (sh->person && sh->pager)
        page_begin(&p, sh->c);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        width = (int)strlen(commands[i].name) > width ? (int)strlen(commands[i].name) : width;
    out_puts(o,
             "A query is a filter, then pipes:\n"
             "  level:error tool:bash duration_ms>2s\n"
             "  level:warn | stats count() as n by agent | sort by n desc\n"
             "It goes on over several lines while a quote or parenthesis is open, behind a pipe,\n"
             "and behind a \\ at the end of a line. TAB says what may come.\n\n");
    out_styled(o, STYLE_BOLD, "Commands");
    out_puts(o, "\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        put_row(o, commands[i].name, width, commands[i].help);
    list_words(o, "Pipes", "pipe");
    list_words(o, "Functions of stats", "stats");
    list_words(o, "Functions of eval and where", "eval");
    page_end(&p, sh->c);
    return 0;
}

/* ---- queries ---- */

static void put_status(struct shell *sh, uint64_t rows, int64_t ns)
{
    struct out *o = &sh->c->out;
    char number[32], ms[32];
    bool counted = sh->person && sh->a.shape == ANSWER_TEXT && rows && !sh->a.explain;
    if (!counted && !sh->timing)
        return;
    out_style(o, STYLE_DIM);
    if (counted)
        out_printf(o, "%s %s", fmt_count(rows, number), plural(rows, "row", "rows"));
    if (sh->timing)
        out_printf(o, "%s%s", counted ? ", " : "", fmt_ms((double)ns / 1e6, ms));
    out_style(o, STYLE_NONE);
    out_puts(o, "\n");
}

static int ask(struct shell *sh, str query, bool explain)
{
    struct cli *c = sh->c;
    struct page p = { .fd = -1 };
    struct answer a = sh->a;
    struct timespec now;
    uint64_t rows;
    char *text = NULL;
    struct buf b;
    buf_init(&b, 2u << 20);
    buf_putstr(&b, query);
    text = b.p;
    a.text = text && buf_ok(&b) ? text : "";
    a.explain = explain;
    clock_gettime(CLOCK_REALTIME, &now);
    c->now = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
    /* "1h ago" means before now, not before the shell began */
    if (sh->start[0])
        when_parse(str_c(sh->start), c->now, &a.start);
    if (sh->end[0])
        when_parse(str_c(sh->end), c->now, &a.end);
    lines_signals(sh->lines, true);
    if (sh->person && sh->pager)
        page_begin(&p, c);
    int64_t began = clock_mono();
    int rc = answer_print(c, &sh->t, &a, &rows);
    int64_t took = clock_mono() - began;
    page_end(&p, c);
    lines_signals(sh->lines, false);
    if (rc == 0 && out_ok(&c->out)) {
        sh->a.explain = explain;
        put_status(sh, rows, took);
        sh->a.explain = false;
    }
    out_flush(&c->out);
    buf_deinit(&b);
    return rc;
}

/* a line that begins with a backslash; -1: the end */
static int command(struct shell *sh, str line)
{
    str rest = str_skip(line, 1);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t')
        n++;
    str name = str_sub(rest, 0, n);
    str arg = str_trim(str_skip(rest, n));
    if (str_eq(name, STR("q")) || str_eq(name, STR("quit")))
        return -1;
    if (str_eq(name, STR("help")) || str_eq(name, STR("h")) || str_eq(name, STR("?")))
        return help(sh, arg);
    if (str_eq(name, STR("format")))
        return set_format(sh, arg);
    if (str_eq(name, STR("start")))
        return set_time(sh, "start", arg, sh->start, TS_MIN, &sh->a.start);
    if (str_eq(name, STR("end")))
        return set_time(sh, "end", arg, sh->end, TS_MAX, &sh->a.end);
    if (str_eq(name, STR("limit")))
        return set_limit(sh, arg);
    if (str_eq(name, STR("timing")))
        return set_switch(sh, "timing", arg, &sh->timing);
    if (str_eq(name, STR("pager")))
        return set_switch(sh, "pager", arg, &sh->pager);
    if (str_eq(name, STR("wide")))
        return set_switch(sh, "wide", arg, &sh->a.wide);
    if (!str_eq(name, STR("explain")))
        return unknown(sh, name);
    if (!arg.n && !sh->last.n)
        return cli_fail(sh->c, EXIT_USAGE, "write \\explain QUERY", "no query was asked yet");
    return ask(sh, arg.n ? arg : buf_str(&sh->last), true);
}

/* The query of which line is the next part: true when it is whole. */
static bool take_line(struct shell *sh, str line)
{
    struct buf *q = &sh->query;
    size_t back = 0;
    if (q->n)
        buf_putc(q, '\n');
    while (back < line.n && line.p[line.n - 1 - back] == '\\')
        back++;
    if (back % 2) { /* it goes on in the next line */
        buf_putstr(q, str_sub(line, 0, line.n - 1));
        return false;
    }
    buf_putstr(q, line);
    return !query_unfinished(buf_str(q)) && !lines_pipe_follows(sh->lines);
}

static int run_query(struct shell *sh)
{
    str q = buf_str(&sh->query);
    while (q.n && strchr(" \t\n", q.p[q.n - 1])) /* a blank in front stays: it means "not kept" */
        q.n--;
    if (sh->person) {
        lines_remember(sh->lines, q);
        history_add(q);
    }
    q = str_trim(q);
    buf_reset(&sh->last);
    buf_putstr(&sh->last, q);
    buf_reset(&sh->query);
    return ask(sh, buf_str(&sh->last), false);
}

/* one line; -1: the end */
static int line(struct shell *sh, str text)
{
    str t = str_trim(text);
    if (!sh->query.n && t.n && t.p[0] == '\\') {
        if (sh->person)
            lines_remember(sh->lines, t);
        return command(sh, t);
    }
    if (!sh->query.n && (!t.n || t.p[0] == '#'))
        return 0;
    if (sh->query.n + text.n > QUERY_TEXT_MAX + 4096) {
        buf_reset(&sh->query);
        return cli_fail(sh->c, EXIT_USAGE, NULL, "a query has at most %d bytes", QUERY_TEXT_MAX);
    }
    /* an empty line ends a query that waits for more: its error says what for */
    bool whole = take_line(sh, text) || (sh->person && !t.n);
    return whole ? run_query(sh) : 0;
}

static int loop(struct shell *sh)
{
    int rc = 0;
    for (;;) {
        str text;
        out_flush(&sh->c->out);
        target_stop = 0; /* Ctrl-C from here on means what comes next */
        enum line_got got = lines_next(sh->lines, sh->query.n > 0, &text);
        if (got == LINE_DROPPED) {
            buf_reset(&sh->query);
            continue;
        }
        if (got == LINE_END) {
            if (sh->person)
                out_puts(&sh->c->out, "\n");
            /* what a file ends in is a query too, finished or not */
            return sh->query.n && !sh->person ? run_query(sh) : rc;
        }
        rc = line(sh, text);
        if (rc < 0)
            return 0;
        if (!out_ok(&sh->c->out) || (rc && !sh->person)) {
            if (rc)
                cli_note(sh->c, "stopped at line %u", sh->line);
            return rc;
        }
        if (sh->person) {
            sh->c->failed = false;
            rc = 0;
        }
    }
}

static void greet(struct shell *sh)
{
    struct out *o = &sh->c->out;
    out_style(o, STYLE_DIM);
    out_printf(o, "fleetlog %s on %s; \\help tells more, \\q ends\n", FL_VERSION,
               sh->t.client ? client_url(sh->t.client) : sh->t.dir);
    out_style(o, STYLE_NONE);
}

static int run(struct cli *c)
{
    struct shell sh = { .c = c,
                        .pager = !opt_on(c, "no-pager"),
                        .a = { .shape = answer_shape_of(opt_text(c, "format")),
                               .wide = opt_on(c, "wide"),
                               .start = opt_time(c, "since", TS_MIN),
                               .end = TS_MAX } };
    struct err err = ERR_INIT;
    int rc = target_open(c, &sh.t, NEED_READ);
    if (rc)
        return rc;
    const char *since = opt_text(c, "since");
    snprintf(sh.start, sizeof(sh.start), "%s", since ? since : "");
    sh.person = isatty(STDIN_FILENO) == 1 && c->out.term.tty;
    buf_init(&sh.query, 1u << 20);
    buf_init(&sh.last, 1u << 20);
    if (lines_new(&sh.lines, &sh, &err) < 0) {
        rc = cli_fail_err(c, &err);
    } else {
        if (sh.person) {
            struct sigaction sa = { .sa_handler = on_interrupt };
            sigaction(SIGINT, &sa, NULL);
            greet(&sh);
        }
        rc = loop(&sh);
    }
    lines_free(sh.lines);
    buf_deinit(&sh.last);
    buf_deinit(&sh.query);
    target_close(&sh.t);
    return rc;
}

const struct command cmd_shell = {
    .name = "shell",
    .summary = "ask one query after the other, with history and TAB",
    .synopsis = "[OPTIONS]",
    .about =
        "Lines are queries; those that begin with \\ are commands, \\help lists them. TAB shows "
        "what may stand at the cursor: fields, values, pipes, functions. Ctrl-C stops a query that "
        "runs, in the server too. Queries are kept in $XDG_STATE_HOME/fleetlog/shell_history, the "
        "last 1,000, but for those that begin with a blank or look as if they held a key or "
        "password. Answers longer than the screen go through $PAGER (less).\n\n"
        "Without a terminal it reads queries from standard input, a line each, and prints the "
        "answers alone; a line that begins with | goes on the one before. The first failure ends "
        "it.",
    .opts = opts,
    .examples = examples,
    .run = run,
};
