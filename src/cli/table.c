/* table.c: see table.h. */
#include "cli/table.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/row.h"

#define TABLE_ARENA ((size_t)1 << 30)
#define COLS_MAX 64
#define TEXT_MIN 16 /* no column of text is made narrower */
#define BETWEEN 2   /* blanks between two columns */

struct table {
    struct arena a;
    struct jrow *rows;
    uint32_t n, cap;
};

struct column {
    str name;
    int width;
    bool number; /* right-aligned */
};

int table_new(struct table **ret, struct err *err)
{
    struct table *t = mem_zalloc(sizeof(*t));
    if (!t)
        return err_nomem(err);
    arena_init(&t->a, TABLE_ARENA);
    *ret = t;
    return 0;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    arena_deinit(&t->a);
    mem_free(t);
}

int table_add(struct table *t, str line, struct err *err)
{
    char *copy = arena_alloc(&t->a, line.n + BUF_PAD);
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;
        t->rows = arena_grow(&t->a, t->rows, t->n, cap, sizeof(*t->rows));
        t->cap = cap;
    }
    if (!copy || !t->rows)
        return err_set(err, ERR_LIMIT, "the table does not fit in memory; use --format ndjson");
    memcpy(copy, line.p, line.n);
    memset(copy + line.n, 0, BUF_PAD);
    int rc = jrow_parse(&t->rows[t->n], (str){ copy, line.n }, &t->a, err);
    if (rc == 0)
        t->n++;
    return rc;
}

static uint32_t find_columns(const struct table *t, struct column *cols)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++)
        for (uint32_t k = 0; k < t->rows[i].n; k++) {
            const struct row_field *f = &t->rows[i].f[k];
            uint32_t c = 0;
            while (c < n && !str_eq(cols[c].name, f->name))
                c++;
            if (c == n && n == COLS_MAX)
                continue;
            if (c == n)
                cols[n++] = (struct column){ f->name, safe_width(f->name), true };
            int w = f->type == JSON_NULL ? 1 : safe_width(f->text);
            if (w > cols[c].width)
                cols[c].width = w;
            if (f->type != JSON_NUM && f->type != JSON_NULL)
                cols[c].number = false;
        }
    return n;
}

/* Narrows columns of text until all fit in `room`, the widest first, none below its name. False:
 * they do not fit. */
static bool fit(struct column *cols, uint32_t n, int room)
{
    int total = n ? ((int)n - 1) * BETWEEN : 0;
    for (uint32_t c = 0; c < n; c++)
        total += cols[c].width;
    while (total > room) {
        struct column *widest = NULL;
        for (uint32_t c = 0; c < n; c++) {
            int least = safe_width(cols[c].name);
            least = least < TEXT_MIN ? TEXT_MIN : least;
            if (!cols[c].number && cols[c].width > least &&
                (!widest || cols[c].width > widest->width))
                widest = &cols[c];
        }
        if (!widest)
            return false;
        widest->width--;
        total--;
    }
    return true;
}

static const struct row_field *field_of(const struct jrow *row, str name)
{
    for (uint32_t k = 0; k < row->n; k++)
        if (str_eq(row->f[k].name, name))
            return &row->f[k];
    return NULL;
}

static void put_value(struct out *o, const struct column *c, const struct row_field *f, int room)
{
    bool null = !f || f->type == JSON_NULL;
    enum style style = null                            ? STYLE_DIM
                       : str_eq(c->name, STR("level")) ? style_of_level(f->text)
                                                       : STYLE_NONE;
    str text = null ? STR("-") : f->text;
    if (style != STYLE_NONE)
        out_style(o, style);
    if (safe_width(text) <= room) {
        out_safe(o, text);
    } else {
        out_safe(o, safe_cut(text, room - (term_utf8() ? 1 : 3)));
        out_puts(o, term_utf8() ? "\xe2\x80\xa6" : "...");
    }
    if (style != STYLE_NONE)
        out_style(o, STYLE_NONE);
}

static void put_name(struct out *o, str name)
{
    out_style(o, STYLE_BOLD);
    out_safe(o, name);
    out_style(o, STYLE_NONE);
}

static void put_header(struct out *o, const struct column *cols, uint32_t n)
{
    for (uint32_t c = 0; c < n; c++) {
        int blank = cols[c].width - safe_width(cols[c].name);
        if (c)
            out_pad(o, BETWEEN);
        if (cols[c].number)
            out_pad(o, blank);
        put_name(o, cols[c].name);
        if (!cols[c].number && c + 1 < n)
            out_pad(o, blank);
    }
    if (n)
        out_line(o);
}

static void put_row(struct out *o, const struct column *cols, uint32_t n, const struct jrow *row)
{
    for (uint32_t c = 0; c < n; c++) {
        const struct row_field *f = field_of(row, cols[c].name);
        int w = !f || f->type == JSON_NULL ? 1 : safe_width(f->text);
        if (c)
            out_pad(o, BETWEEN);
        if (cols[c].number)
            out_pad(o, cols[c].width - w);
        put_value(o, &cols[c], f, cols[c].width);
        if (!cols[c].number && c + 1 < n)
            out_pad(o, cols[c].width - w);
    }
    out_line(o);
}

/* a row as a block: a line a column, those without a value left out */
static void put_block(struct out *o, const struct column *cols, uint32_t n, const struct jrow *row)
{
    int widest = 0;
    for (uint32_t c = 0; c < n; c++)
        if (safe_width(cols[c].name) > widest)
            widest = safe_width(cols[c].name);
    for (uint32_t c = 0; c < n; c++) {
        const struct row_field *f = field_of(row, cols[c].name);
        if (!f || f->type == JSON_NULL)
            continue;
        put_name(o, cols[c].name);
        out_pad(o, widest - safe_width(cols[c].name) + BETWEEN);
        put_value(o, &cols[c], f, INT32_MAX);
        out_line(o);
    }
}

void table_print(struct table *t, struct out *o, bool wide)
{
    struct column cols[COLS_MAX];
    uint32_t n = find_columns(t, cols);
    if (!o->term.tty || wide || fit(cols, n, o->term.cols)) {
        put_header(o, cols, n);
        for (uint32_t i = 0; i < t->n && out_ok(o); i++)
            put_row(o, cols, n, &t->rows[i]);
        return;
    }
    for (uint32_t i = 0; i < t->n && out_ok(o); i++) {
        if (i)
            out_line(o);
        put_block(o, cols, n, &t->rows[i]);
    }
}
