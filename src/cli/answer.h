/* answer.h: a query asked and its answer printed: what `search` and the shell have in common. */
#ifndef FL_CLI_ANSWER_H
#define FL_CLI_ANSWER_H

#include "cli/data.h"

enum answer_shape { ANSWER_TEXT, ANSWER_JSON, ANSWER_NDJSON, ANSWER_CSV };
/* "text", "json", "ndjson", "csv"; anything else is text */
enum answer_shape answer_shape_of(const char *format);

struct answer {
    const char *text; /* the query */
    int64_t shift;    /* as in struct data_query */
    str own;
    ts_ns start, end;
    uint32_t limit, offset; /* 0 = the language's; none */
    enum answer_shape shape;
    bool wide;    /* long values whole, on a terminal too */
    bool quiet;   /* print nothing; the number of rows is then 0 or 1 */
    bool explain; /* the plan instead */
};
/* 0 or an exit code, having said what is wrong. *ret_rows: rows that came (CSV: pieces). */
int answer_print(struct cli *c, struct target *t, const struct answer *a, uint64_t *ret_rows);

#endif
