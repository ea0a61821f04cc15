/* report.h: what happened in a window of time, on one page.
 *
 * A report is a number of ordinary queries, asked one after the other of whoever has the data: a
 * server's job, or the command line with a server or a directory behind it. Each query is listed
 * at the end of the page, so that every figure can be had again. The page depends on the data, the
 * window and the options only, never on the clock. */
#ifndef FL_INSIGHT_REPORT_H
#define FL_INSIGHT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

#define REPORT_WINDOW_MAX (3660 * NS_PER_DAY) /* ten years */
#define REPORT_BYTES_MAX ((size_t)16 << 20)   /* of a page */
#define REPORT_TITLE_MAX 200                  /* bytes */

enum report_format { REPORT_HTML, REPORT_MD };
bool report_format_parse(str name, enum report_format *ret); /* "html" "md" "markdown" */

struct report_rows; /* where the rows of an answer go */
/* One row of the answer, a JSON object readable 32 bytes past its end; a negative return ends the
 * query and is what `ask` returns then. */
int report_row(struct report_rows *to, str object, struct err *err);

struct report_source {
    void *ctx;
    /* Asks `query` about [start, end). 0 or an error. *ret_incomplete: some of the data could not
     * be read. */
    int (*ask)(void *ctx, str query, ts_ns start, ts_ns end, struct report_rows *to,
               bool *ret_incomplete, struct err *err);
};
struct report_opts {
    str filter; /* what the report is about; a filter, checked by the caller; may be empty */
    ts_ns since, until; /* inclusive, exclusive */
    enum report_format format;
    str title; /* empty: one is made */
};
/* Appends the page to `out`. ERR_INVALID for an impossible window or title; what `ask` returned. */
int report_write(struct buf *out, const struct report_opts *o, const struct report_source *src,
                 struct err *err);

#endif
