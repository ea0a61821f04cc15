/* cli.h: the command line as data: one table of commands, each with its options and examples.
 *
 * Help, man page, shell completion and parsing all read the same tables, so they cannot disagree.
 * A command is one file: it defines its `struct command` and a run function, and is named in
 * commands.c. Everything a run needs is in `struct cli`. Single-threaded unless a file says so. */
#ifndef FL_CLI_CLI_H
#define FL_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/term.h"

/* exit codes (docs/cli.md); those above 64 are sysexits.h's */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_NONE = 1, /* nothing found where finding was the point */
    EXIT_USAGE = 2,
    EXIT_DATA = 65,        /* corrupt store, refused entries */
    EXIT_UNREACHABLE = 69, /* no server, no data */
    EXIT_OS = 71,
    EXIT_IO = 74,
    EXIT_LOCKED = 75,
    EXIT_DENIED = 77,
    EXIT_CONFIG = 78
};

enum opt_type {
    OPT_FLAG,
    OPT_TEXT,
    OPT_INT,    /* decimal, min..max */
    OPT_DUR,    /* 15m, 30d; a bare number counts `unit` ns */
    OPT_BYTES,  /* 512MiB, 2GB, 4096 */
    OPT_TIME,   /* instant: ISO, epoch, now-15m, 15m (ago), today */
    OPT_CHOICE, /* one of `choices` */
    OPT_FILE,
    OPT_DIR
};

struct opt {
    const char *name;  /* long name; NULL ends a table */
    const char *alias; /* another long name, or NULL */
    char letter;       /* short name, or 0 */
    enum opt_type type;
    const char *arg;     /* what help calls the value */
    const char *def;     /* used when not given, and shown; may be NULL */
    const char *choices; /* "text|json" */
    const char *help;
    int64_t min, max; /* OPT_INT; OPT_BYTES: min */
    bool zero;        /* OPT_BYTES: 0 is fine although it is below min */
    int64_t unit;     /* OPT_DUR */
    bool repeats;
    bool (*check)(const char *value, const char **why); /* OPT_TEXT: is it right? or NULL */
};

struct example {
    const char *line; /* NULL ends a list */
    const char *what;
};

struct cli;

struct command {
    const char *name;
    const char *summary;  /* half a line */
    const char *synopsis; /* "[OPTIONS] [QUERY]" */
    const char *about;    /* paragraphs separated by an empty line; may be NULL */
    const struct opt *opts;
    const struct example *examples;
    int min_args, max_args;    /* positional; max -1 = any */
    const char *complete;      /* what completes a positional: "file", "dir", a word list, NULL */
    int (*run)(struct cli *c); /* exit code */
};

extern const struct command *const cli_commands[]; /* ended by NULL */
extern const struct opt cli_globals[];

#define CLI_SET_MAX 256
struct cli {
    const struct command *cmd;
    struct {
        const struct opt *opt;
        const char *value; /* NULL for flags */
    } set[CLI_SET_MAX];
    int nset;
    char **args; /* positional */
    int nargs;
    struct out out;
    struct term err;
    ts_ns now;
    bool failed; /* cli_fail has spoken */
};

/* what main calls */
int cli_main(int argc, char **argv);

/* ---- options of the running command; asking for an unknown name is a bug ---- */
bool opt_given(const struct cli *c, const char *name);
bool opt_on(const struct cli *c, const char *name);
const char *opt_text(const struct cli *c, const char *name); /* default, or NULL */
int64_t opt_num(const struct cli *c, const char *name); /* INT, DUR (ns), BYTES; 0 when unset */
ts_ns opt_time(const struct cli *c, const char *name, ts_ns unset);
/* i-th value of a repeated option, NULL past the last */
const char *opt_nth(const struct cli *c, const char *name, int i);

/* ---- options.c ---- */
/* 0 to go on, else an exit code + 1 (so that 0 stays free): help or an error has been printed */
int cli_parse(struct cli *c, int argc, char **argv);
/* checks one value as the option's type would; *why gets a sentence's end on failure */
bool opt_check(const struct opt *o, const char *value, const char **why);
bool bytes_parse(str s, uint64_t *ret);
/* "2026-11-21", "…T10:00:00Z", epoch, "now", "now-15m", "15m" (ago), "today", "yesterday" */
bool when_parse(str s, ts_ns now, ts_ns *ret);
/* nearest of a NULL-ended list of words, or NULL when none is near */
const char *nearest_word(const char *word, const char *const *words);
const struct command *command_find(const char *name);
/* option table of a command including the global ones; returns the count */
int command_opts(const struct command *cmd, const struct opt **ret, int max);

/* ---- help.c ---- */
void help_overview(struct out *o);
void help_command(struct out *o, const struct command *cmd);

/* ---- speaking: one sentence on stderr, and what to do ---- */
/* "fleetlog: …\nhint: …"; hint may be NULL; returns exit */
int cli_fail(struct cli *c, int exit, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int cli_fail_err(struct cli *c, const struct err *err); /* exit code by err->code */
/* An error about a place of a text that the user wrote: on a terminal the line of it with a mark
 * below the place, else "(at byte N)". pos outside of the text: as cli_fail_err. */
int cli_fail_at(struct cli *c, const struct err *err, str text, int64_t pos);
void cli_note(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_exit_of(const struct err *err);
#define SLUG_UNREACHABLE "unreachable" /* err.slug that makes it exit 69 */

/* A file that a person wrote, at most as large as `out` takes (1 MiB); 0 or an exit code, said. */
int cli_read_file(struct cli *c, const char *path, struct buf *out);

#endif
