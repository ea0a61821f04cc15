/* cells.c: see cells.h. */
#include "cli/cells.h"

#include <stdio.h>
#include <string.h>

#define GAP 2

static bool on_row(void *ctx, str line)
{
    struct rows *r = ctx;
    if (r->n == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 64;
        r->v = arena_grow(&r->a, r->v, r->n, cap, sizeof(*r->v));
        r->text = arena_grow(&r->a, r->text, r->n, cap, sizeof(*r->text));
        r->cap = cap;
    }
    char *copy = arena_alloc(&r->a, line.n + BUF_PAD);
    if (!copy || !r->v || !r->text) {
        r->bad = err_nomem(&r->err) < 0;
        return false;
    }
    memcpy(copy, line.p, line.n);
    memset(copy + line.n, 0, BUF_PAD);
    r->text[r->n] = (str){ copy, line.n };
    r->bad = jrow_parse(&r->v[r->n], r->text[r->n], &r->a, &r->err) < 0;
    r->n += !r->bad;
    return !r->bad;
}

int rows_load(struct rows *r, struct cli *c, struct target *t, const struct data_query *q)
{
    struct data_query mine = *q;
    struct data_result res;
    *r = (struct rows){ .c = c, .err = ERR_INIT };
    arena_init(&r->a, 1u << 30);
    mine.on_row = on_row;
    mine.ctx = r;
    int rc = data_query(c, t, &mine, &res);
    return rc == 0 && r->bad ? cli_fail_err(c, &r->err) : rc;
}

void rows_free(struct rows *r)
{
    arena_deinit(&r->a);
}

void rows_json(struct rows *r, const char *name)
{
    struct out *o = &r->c->out;
    out_printf(o, "{\n  \"%s\": [", name);
    for (uint32_t i = 0; i < r->n; i++) {
        out_puts(o, i ? ",\n    " : "\n    ");
        out_json(o, r->text[i]);
    }
    out_printf(o, "%s],\n  \"count\": %u\n}\n", r->n ? "\n  " : "", r->n);
}

/* ---- cells ---- */

void cell_text(char *cell, str s)
{
    s = safe_cut(s, CELL_MAX / 4 - 2); /* a character takes at most four bytes */
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 1 < CELL_MAX; i++)
        cell[n++] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i];
    cell[n] = 0;
}

void cell_count(char *cell, const struct jrow *r, const char *name)
{
    char text[32];
    double n = jrow_num(r, name, -1);
    snprintf(cell, CELL_MAX, "%s", n >= 0 ? fmt_count((uint64_t)n, text) : "");
}

bool cells_brief(const struct out *o)
{
    return o->term.tty && o->term.cols < 110;
}

void cell_tokens(char *cell, const struct jrow *r, const char *name, bool brief)
{
    double n = jrow_num(r, name, -1);
    if (!brief || n < 10000)
        cell_count(cell, r, name);
    else if (n < 999500)
        snprintf(cell, CELL_MAX, "%.0fk", n / 1e3);
    else
        snprintf(cell, CELL_MAX, n < 99.95e6 ? "%.1fM" : "%.0fM", n / 1e6);
}

void cell_usd(char *cell, const struct jrow *r, const char *name)
{
    double usd = jrow_num(r, name, -1);
    if (usd < 0)
        snprintf(cell, CELL_MAX, "-");
    else if (usd > 0 && usd < 0.0001)
        snprintf(cell, CELL_MAX, "<$0.0001");
    else
        snprintf(cell, CELL_MAX, usd < 100 ? "$%.4f" : "$%.2f", usd);
}

static int cell_width(const char *cell)
{
    return safe_width(str_c(cell));
}

/* widths that fit the terminal: what may be cut gives way, the widest first */
static void fit(const struct out *o, const struct cell_col *cols, uint32_t ncols, int *width)
{
    int sum = (int)(ncols - 1) * GAP;
    for (uint32_t c = 0; c < ncols; c++)
        sum += width[c];
    while (o->term.tty && sum > o->term.cols) {
        uint32_t widest = ncols;
        for (uint32_t c = 0; c < ncols; c++)
            if (cols[c].least && width[c] > cols[c].least &&
                (widest == ncols || width[c] > width[widest]))
                widest = c;
        if (widest == ncols)
            return;
        width[widest]--;
        sum--;
    }
}

static void put_cell(struct out *o, const char *cell, const struct cell_col *col, int width,
                     enum style style, bool last)
{
    str s = str_c(cell);
    int w = safe_width(s);
    bool cut = w > width;
    if (cut)
        s = safe_cut(s, width - 1);
    int pad = width - safe_width(s) - cut;
    if (col->right)
        out_pad(o, pad);
    out_style(o, style);
    out_safe(o, s);
    if (cut)
        out_puts(o, term_utf8() ? "…" : "~");
    out_style(o, STYLE_NONE);
    if (!col->right && !last)
        out_pad(o, pad);
    if (!last)
        out_pad(o, GAP);
}

void cells_print(struct out *o, const struct cell_col *cols, uint32_t ncols,
                 char (*cells)[CELL_MAX], const enum style *styles, uint32_t nrows)
{
    int width[24];
    for (uint32_t c = 0; c < ncols; c++) {
        width[c] = cell_width(cols[c].title);
        for (uint32_t i = 0; i < nrows; i++) {
            int w = cell_width(cells[(size_t)i * ncols + c]);
            width[c] = w > width[c] ? w : width[c];
        }
    }
    fit(o, cols, ncols, width);
    for (uint32_t c = 0; c < ncols; c++)
        put_cell(o, cols[c].title, &cols[c], width[c], STYLE_BOLD, c + 1 == ncols);
    out_line(o);
    for (uint32_t i = 0; i < nrows && out_ok(o); i++) {
        for (uint32_t c = 0; c < ncols; c++) {
            size_t at = (size_t)i * ncols + c;
            put_cell(o, cells[at], &cols[c], width[c], styles ? styles[at] : STYLE_NONE,
                     c + 1 == ncols);
        }
        out_line(o);
    }
}

/* ---- queries ---- */

int cells_query(struct cli *c, struct buf *text, const char *pipes, struct data_query *q)
{
    struct buf words;
    buf_init(&words, 64u << 10);
    data_join_args(c, 0, &words);
    str s = str_trim(buf_str(&words));
    buf_putstr(text, s.n ? s : STR("*"));
    buf_puts(text, "\n");
    buf_puts(text, pipes);
    buf_deinit(&words);
    if (!buf_ok(text))
        return cli_fail(c, EXIT_USAGE, NULL, "the query is too long");
    *q = (struct data_query){ .text = text->p,
                              .start = opt_time(c, "since", TS_MIN),
                              .end = opt_time(c, "until", TS_MAX) };
    return 0;
}
