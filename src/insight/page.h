/* page.h: a page of findings as data: headings, sentences, figures, tables, plots.
 *
 * What is on the page is built once (report*.c); how it looks is a writer's business: HTML
 * (page_html.c) or Markdown (page_md.c). All texts are plain: whoever writes them escapes them. A
 * page lives in its arena; a builder that cannot have memory marks the page bad and gives NULL,
 * which the other builders take. */
#ifndef FL_INSIGHT_PAGE_H
#define FL_INSIGHT_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD };

enum unit { /* of a figure */
            UNIT_TEXT,
            UNIT_NAME,   /* of somebody or something: kept on one line */
            UNIT_CODE,   /* an id */
            UNIT_MARK,   /* "new" or "known" */
            UNIT_COUNT,  /* n */
            UNIT_NUMBER, /* n, that need not be whole */
            UNIT_SHARE,  /* n of 1, shown per cent */
            UNIT_MS,     /* n milliseconds */
            UNIT_USD,
            UNIT_TIME, /* t */
};

struct page_col {
    const char *title;
    enum unit unit;
    bool bad;  /* more than nothing is bad */
    bool bar;  /* shown against the largest of the column */
    bool wide; /* takes the room that is left */
};
struct page_cell {
    bool none;
    str text;
    double n;
    ts_ns t;
};

struct page_item {
    struct page_item *next;
    enum tone tone;
    str text;
};
struct page_figure { /* this window's, and the one before's */
    const char *label;
    enum unit unit;
    double now, before;
    bool has_before, up_is_bad;
};
struct page_series {
    const char *name; /* also its CSS class: a level */
    uint64_t *counts;
};

enum block_kind {
    BLOCK_HEADING,
    BLOCK_TEXT,
    BLOCK_LIST,
    BLOCK_FIGURES,
    BLOCK_TABLE,
    BLOCK_BARS,
    BLOCK_HEAT,
    BLOCK_COMMANDS, /* lines to run, folded away where that is possible */
};
struct page_block {
    struct page_block *next;
    enum block_kind kind;
    str text;                        /* HEADING, TEXT; of a plot: what it shows */
    struct page_item *items, **last; /* LIST, COMMANDS */
    struct page_figure *figures;
    uint32_t n, cap; /* figures, rows, bars */
    const struct page_col *cols;
    uint32_t ncols;
    struct page_cell *cells; /* n rows of ncols */
    ts_ns start;             /* BARS: the first begins here */
    int64_t step;
    struct page_series *series; /* from the bottom up */
    uint32_t nseries;
    bool again;           /* BARS: a part of the plot before, on a scale of its own */
    uint64_t (*heat)[24]; /* [7], Monday first */
    bool days[7];         /* HEAT: those that are shown */
    const char *tint;     /* HEAT: CSS class of its colour */
};

struct page {
    struct arena *a;
    str title, subtitle;
    struct page_block *first, **last;
    bool bad; /* out of memory */
};

void page_init(struct page *p, struct arena *a);
struct page_block *page_add(struct page *p, enum block_kind kind, str text);
void page_item(struct page *p, struct page_block *list, enum tone tone, str text);
void page_figure(struct page *p, struct page_block *b, struct page_figure f);
struct page_block *page_table(struct page *p, const struct page_col *cols, uint32_t ncols);
/* ncols empty cells, to be filled; NULL: no memory */
struct page_cell *page_row(struct page *p, struct page_block *table);
static inline void cell_text(struct page_cell *c, str s)
{
    c->text = s;
    c->none = s.n == 0;
}
static inline void cell_num(struct page_cell *c, double n, bool none)
{
    c->n = n;
    c->none = none;
}
/* a copy in the page's arena */
str page_printf(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void page_put_html(struct buf *out, const struct page *p);
void page_put_md(struct buf *out, const struct page *p);

#endif
