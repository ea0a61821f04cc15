/* cells.h: tables for people of what the pipes sessions, usage and lineage answer. */
#ifndef FL_CLI_CELLS_H
#define FL_CLI_CELLS_H

#include "cli/data.h"
#include "cli/row.h"

struct rows {
    struct cli *c;
    struct arena a;
    struct jrow *v;
    str *text; /* the JSON of each */
    uint32_t n, cap;
    struct err err;
    bool bad;
};
/* The rows of a query. 0 or an exit code, having said what is wrong; rows_free in any case. */
int rows_load(struct rows *r, struct cli *c, struct target *t, const struct data_query *q);
void rows_free(struct rows *r);
/* {"name": [rows], "count": n} for --json */
void rows_json(struct rows *r, const char *name);

/* ---- columns ---- */
struct cell_col {
    const char *title;
    bool right; /* figures */
    int least;  /* may be cut down to that on a terminal; 0: never cut */
};
#define CELL_MAX 320
/* Cells row by row, ncols each, "" for nothing: sized to their content, on a terminal to its width.
 * styles: one a cell, or NULL. */
void cells_print(struct out *o, const struct cell_col *cols, uint32_t ncols,
                 char (*cells)[CELL_MAX], const enum style *styles, uint32_t nrows);

/* figures as text in a cell: "" when the row has none */
void cell_count(char *cell, const struct jrow *r, const char *name);
/* 1,234 in full, or as 645k and 1.1M where columns are scarce */
void cell_tokens(char *cell, const struct jrow *r, const char *name, bool brief);
bool cells_brief(const struct out *o); /* a terminal of fewer than 110 columns */
void cell_usd(char *cell, const struct jrow *r, const char *name);
void cell_text(char *cell, str s); /* control characters escaped, cut to the cell */

/* --since, --until and the filter words as a query; pipes are put behind it. 0 or an exit code. */
int cells_query(struct cli *c, struct buf *text, const char *pipes, struct data_query *q);

/* fleetlog agents --tree */
int show_lineage(struct cli *c);

#endif
