/* shell.h: what the files of `fleetlog shell` share. */
#ifndef FL_CLI_SHELL_H
#define FL_CLI_SHELL_H

#include "cli/answer.h"

struct shell_lines;

struct shell {
    struct cli *c;
    struct target t;
    struct answer a; /* settings of the session: shape, start, end, limit, wide */
    bool person;     /* a terminal at both ends */
    bool timing, pager;
    char start[64], end[64]; /* as they were given; "" = open */
    struct buf query;        /* lines so far of the one being written, newline between */
    struct buf last;         /* the one asked last */
    struct shell_lines *lines;
    unsigned line; /* number of the line read last */
};

/* ---- shell_line.c: lines from a person or a file ---- */
int lines_new(struct shell_lines **ret, struct shell *sh, struct err *err);
void lines_free(struct shell_lines *l);
enum line_got {
    LINE_GOT,
    LINE_DROPPED, /* Ctrl-C: what was written is to be forgotten */
    LINE_END
};
/* *ret without its newline, until the next call. more: the line goes on a query. */
enum line_got lines_next(struct shell_lines *l, bool more, str *ret);
/* The next line of a file begins with '|', so it goes on the query. Never for a person. */
bool lines_pipe_follows(struct shell_lines *l);
/* Does Ctrl-C send a signal? While lines are read it is a key like others. */
void lines_signals(struct shell_lines *l, bool on);
/* so that arrow keys find it; see history_keeps */
void lines_remember(struct shell_lines *l, str query);

/* ---- shell_history.c: queries of earlier sessions, a line each ---- */
#define HISTORY_MAX 1000 /* queries kept */
/* Calls fn for each, the oldest first. A file that is not there, or cannot be read, holds none. */
void history_read(void (*fn)(void *ctx, const char *query), void *ctx);
/* Appends one. Quietly does nothing where it cannot: history is no promise. */
void history_add(str query);
/* Is it to be kept: not what begins with a blank, nor what looks like a secret? */
bool history_keeps(str query);

/* ---- shell_page.c ---- */
/* Between the two, what goes to c->out is kept aside; then it is shown, by the pager when it is
 * longer than the screen. */
struct page {
    int fd; /* -1: nothing is kept aside */
    int was;
};
void page_begin(struct page *p, struct cli *c);
void page_end(struct page *p, struct cli *c);

#endif
