/* query.h: text -> plan -> rows. The language is docs/query-language.md.
 *
 * A query is parsed once and may be run many times; a run belongs to one thread. The last pipe's
 * rows go to a sink one by one. Filters alone give whole entries; pipes that make columns give
 * tables. */
#ifndef FL_QUERY_QUERY_H
#define FL_QUERY_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "model/block.h"
#include "model/pred.h"
#include "store/store.h"

#define QUERY_TEXT_MAX (16 * 1024)
#define QUERY_LIMIT_DEFAULT 100
#define QUERY_LIMIT_TABLE 10000
#define QUERY_MEMORY_DEFAULT (64u << 20)
#define QUERY_EXACT_DEFAULT (1u << 20)
#define QUERY_APPROX_MAX 64

struct query;
struct turns;      /* base/turns.h */
struct spill_area; /* query/spill.h */
struct prices;     /* model/price.h */

struct query_opts {
    ts_ns now;          /* fixes `now` */
    int32_t tz_minutes; /* offset for dates and buckets */
    ts_ns start, end;   /* inclusive / exclusive bounds from the request; TS_MIN / TS_MAX = open */
    const struct pred *also; /* further condition (key's agent pattern, Fleet parameters); may be
                                NULL. Must outlive the query. */
    uint32_t limit; /* 0 = the language's defaults; applies to the final rows when the text has no
                       limit/head/tail of its own; with one, the smaller counts */
    bool unlimited; /* export: no default limit at all */
    bool oldest_first;           /* order of plain filters */
    uint32_t offset;             /* rows to skip of the final rows */
    bool no_prune;               /* tests */
    const struct prices *prices; /* of calls that report no cost; may be NULL. Must outlive the
                                    query. */
};
void query_opts_default(struct query_opts *o);

/* ERR_INVALID with err->pos (byte in text), slug "bad_query" and often a hint. */
int query_parse(struct query **ret, str text, const struct query_opts *o, struct err *err);
void query_free(struct query *q);
/* One name as queries write it: ERR_INVALID when text is something else. */
int query_name(struct arena *a, str text, struct fieldref *ret, struct err *err);
/* the filter part; lives as long as q */
const struct pred *query_filter(const struct query *q);
/* true when there are no pipes: live tails accept only this */
bool query_is_filter(const struct query *q);
/* a fields never seen in `known` (lower-level names) is reported in the answer, not an error */

/* ---- running ---- */
struct query_cell {
    str name;         /* column */
    enum field field; /* for formatting (time, level), F_NONE if computed */
    struct val v;
};
struct query_row {
    /* whole entry: block and row set, cells NULL. Table row: cells. `fields a,b` gives cells too.
     */
    struct block *block;
    uint32_t row;
    const struct query_cell *cells;
    uint32_t ncells;
};
struct query_sink {
    void *ctx;
    /* once before the first row (also when there is none): ncols = 0 for whole entries, else the
     * columns */
    int (*begin)(void *ctx, const struct query_cell *cols, uint32_t ncols, struct err *err);
    /* the row is valid during the call; a negative return stops the run and is returned */
    int (*row)(void *ctx, const struct query_row *row, struct err *err);
};
struct query_ctl {
    volatile int cancel;   /* set from any thread to stop: ERR_CANCELED */
    int64_t deadline_ms;   /* counted from the call of query_run; 0 = none; past it ERR_TIMEOUT */
    size_t memory_bytes;   /* 0 = QUERY_MEMORY_DEFAULT; past it ERR_LIMIT naming the pipe */
    uint64_t exact_values; /* values of a group up to which count_distinct and percentiles are
                              exact; 0 = QUERY_EXACT_DEFAULT */
    struct turns *turns;   /* threads to share the work of a scan with; NULL = the caller's alone */
    struct spill_area *spill; /* where to put what memory_bytes do not hold; NULL = nowhere */
};
struct query_result {
    uint64_t rows;  /* delivered */
    uint64_t total; /* matches of the filter when `total_known` */
    bool total_known;
    bool truncated; /* a default limit cut the answer */
    struct scan_cost cost;
    uint64_t spilled_bytes; /* written to the spill area, all passes */
    int64_t elapsed_ns;
    char *warnings[8]; /* sentences in q's arena: unknown fields, regex gave up ... */
    uint32_t nwarnings;
    str approx[QUERY_APPROX_MAX]; /* columns, as `stats` called them, with values that are not
                                     exact; live as long as q */
    uint32_t napprox;
    uint64_t watermark; /* highest seq the run could see */
    ts_ns last_time;    /* of the last whole-entry row delivered, with its seq: next page */
    uint64_t last_seq;
    bool more;      /* further rows exist behind the limit */
    bool next_page; /* and query_set_page leads to them: the rows are the scan's, in its order */
};
int query_run(struct query *q, struct store *s, struct query_sink *sink, struct query_ctl *ctl,
              struct query_result *ret, struct err *err);
/* Where the former page said `next_page`: continue behind its (time, seq), seeing only
 * seq <= max_seq. The offset counts for the first page alone. */
void query_set_page(struct query *q, ts_ns after_time, uint64_t after_seq, uint64_t max_seq);
/* Ask for query_result.total (counts all matches even past the limit; costs a full scan of
 * matches). */
void query_want_total(struct query *q);
/* Human-readable plan as JSON object text. */
int query_explain(struct query *q, struct store *s, struct buf *out, struct err *err);
/* splits time like the timeline pipe: for `/api/v1/timeline`; step chosen when 0 */

/* ---- encoders of answers (shared by HTTP, CLI export) ---- */
enum query_format { QF_JSON, QF_NDJSON, QF_CSV, QF_TEXT };
bool query_format_parse(str name, enum query_format *ret);
const char *query_format_type(enum query_format f); /* MIME type */
/* A sink that appends to `out`. JSON: an array of row objects. CSV: RFC 4180, header line, every
 * cell that could start a formula prefixed with '. The caller may drain `out` between rows through
 * `flush` (may be NULL), called when out holds more than 64 KiB. color is for QF_TEXT on a
 * terminal. */
struct query_writer {
    struct query_sink sink;
    enum query_format format;
    bool color, started;
    struct buf *out;
    int (*flush)(void *flush_ctx, struct buf *out, struct err *err);
    void *flush_ctx;
    uint64_t rows;
    /* private */
    const struct query_cell *cols;
    uint32_t ncols;
    struct arena arena;
    struct text_table *table;
};
int query_writer_init(struct query_writer *w, enum query_format f, struct buf *out,
                      struct err *err);
int query_writer_end(struct query_writer *w, struct err *err); /* closes the array */
void query_writer_deinit(struct query_writer *w);

#endif
