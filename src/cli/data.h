/* data.h: questions asked of a target, answered the same by a server and by a directory. */
#ifndef FL_CLI_DATA_H
#define FL_CLI_DATA_H

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/target.h"

struct data_query {
    const char *text;
    ts_ns start, end; /* inclusive, exclusive; TS_MIN / TS_MAX = open */
    uint32_t limit;   /* 0 = the language's default */
    bool unlimited;
    uint32_t offset;
    bool csv; /* pieces of CSV instead of rows of JSON */
    /* one JSON row (readable 32 bytes past its end), or a piece of CSV; false stops */
    bool (*on_row)(void *ctx, str row);
    void *ctx;
    bool quiet;    /* warnings of the answer are not told */
    int64_t shift; /* bytes put before the user's own text: for positions in errors */
    str own;       /* that text; empty: what follows them is it */
};
struct data_result {
    uint64_t rows;
    bool truncated;     /* a default limit cut the answer */
    bool incomplete;    /* some of the data could not be read */
    bool has_watermark; /* bounded answers have one */
    uint64_t watermark; /* highest sequence number the answer could see; 0 in an empty store */
};
/* 0 or an exit code, having said what is wrong; warnings of the answer become notes. */
int data_query(struct cli *c, struct target *t, const struct data_query *q,
               struct data_result *ret);
/* the plan as JSON text */
int data_explain(struct cli *c, struct target *t, const struct data_query *q, struct buf *out);
/* The user's query and the filters given as options (--agent --level --pattern) as one query. 0 or
 * an exit code, having said what is wrong. *ret_shift: how far the user's text moved. */
int data_combine(struct cli *c, struct buf *out, const char *text, bool filter_only,
                 int64_t *ret_shift);
/* Is it a filter, without pipes? `what` takes it: "a tail". 0 or an exit code, having said what
 * is wrong. */
int data_check_filter(struct cli *c, const char *text, const char *what);
/* What may stand at a byte of the text: the JSON of /api/v1/complete. 0 or an exit code; it says
 * nothing itself, for there is a line being edited. */
int data_complete(struct cli *c, struct target *t, const struct data_query *q, size_t cursor,
                  uint32_t limit, struct buf *out);
/* Stops a query that runs on a directory: for a signal handler. */
void data_cancel(void);
/* all positional words as one text */
void data_join_args(const struct cli *c, int from, struct buf *out);
/* "…" with what the query language needs escaped */
void data_quote(struct buf *out, str s);
/* Fleet's statistics: {"total_entries":…, "level_counts":{…}, …} as JSON text */
int data_stats(struct cli *c, struct target *t, struct buf *out);
/* a GET (or another method) on a server; the body goes to out */
int data_call(struct cli *c, struct target *t, const char *method, const char *path, str body,
              struct buf *out, int *ret_status);

/* ---- options that many commands share; data_combine and data_query read them ---- */
#define OPTS_WHICH                                                                                 \
    { .name = "agent",                                                                             \
      .letter = 'a',                                                                               \
      .type = OPT_TEXT,                                                                            \
      .arg = "NAME",                                                                               \
      .help = "only this agent; * is a wildcard" },                                                \
        { .name = "level",                                                                         \
          .letter = 'l',                                                                           \
          .type = OPT_CHOICE,                                                                      \
          .arg = "LEVEL",                                                                          \
          .choices = "trace|debug|info|warn|error|critical",                                       \
          .help = "at least this severe" },                                                        \
    {                                                                                              \
        .name = "pattern", .letter = 'p', .type = OPT_TEXT, .arg = "REGEX",                        \
        .help = "the message matches this regular expression"                                      \
    }
#define OPTS_WHEN                                                                                  \
    { .name = "since",                                                                             \
      .letter = 's',                                                                               \
      .type = OPT_TIME,                                                                            \
      .arg = "TIME",                                                                               \
      .help = "from this moment on: 15m (ago), now-1h, today, 2026-11-21T10:00:00Z" },             \
    {                                                                                              \
        .name = "until", .type = OPT_TIME, .arg = "TIME", .help = "before this moment"             \
    }

#endif
