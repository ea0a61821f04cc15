/* writer_text.c: answers for people: a line an entry, tables with aligned columns.
 *
 * Widths are found on the first SETTLE rows, which are held back; later rows keep to them and a
 * longer cell pushes its neighbours. Numbers stand right, text left; the last column is not padded.
 * Log text is made safe for terminals. */
#include "base/utf8.h"
#include "model/view.h"
#include "query/writer.h"

#define SETTLE 500
#define WIDTH_MAX 60

struct text_table {
    struct buf cell; /* plain, then safe text of one cell */
    struct buf safe;
    uint32_t *width;
    bool *right; /* only numbers so far */
    str *held;   /* rows held back, ncols cells each */
    uint32_t nheld;
    bool settled;
};

static uint32_t columns(str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n;)
        n += (uint32_t)utf8_width(utf8_next(s, &i));
    return n;
}

int text_begin(struct query_writer *w, struct err *err)
{
    uint32_t n = w->ncols;
    if (!n)
        return 0;
    struct text_table *t = arena_zalloc(&w->arena, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->width = arena_zalloc(&w->arena, n * sizeof *t->width);
    t->right = arena_zalloc(&w->arena, n * sizeof *t->right);
    t->held = arena_zalloc(&w->arena, (size_t)SETTLE * n * sizeof *t->held);
    if (!t->width || !t->right || !t->held)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        t->width[i] = columns(w->cols[i].name);
        t->right[i] = true;
    }
    w->table = t;
    return 0;
}

static void pad(struct buf *out, uint32_t have, uint32_t want)
{
    for (; have < want; have++)
        buf_putc(out, ' ');
}

static void put_line(struct query_writer *w, const str *cells, bool head)
{
    const struct text_table *t = w->table;
    for (uint32_t i = 0; i < w->ncols; i++) {
        uint32_t n = columns(cells[i]);
        if (i)
            buf_puts(w->out, "  ");
        if (head && w->color)
            buf_puts(w->out, "\x1b[1m");
        if (t->right[i])
            pad(w->out, n, t->width[i]);
        buf_putstr(w->out, cells[i]);
        if (!t->right[i] && i + 1 < w->ncols)
            pad(w->out, n, t->width[i]);
        if (head && w->color)
            buf_puts(w->out, "\x1b[0m");
    }
    buf_putc(w->out, '\n');
}

static int settle(struct query_writer *w, struct err *err)
{
    struct text_table *t = w->table;
    str *names = arena_array(&w->arena, w->ncols, sizeof *names);
    if (!names)
        return err_nomem(err);
    for (uint32_t i = 0; i < w->ncols; i++)
        names[i] = w->cols[i].name;
    put_line(w, names, true);
    for (uint32_t i = 0; i < t->nheld; i++)
        put_line(w, t->held + (size_t)i * w->ncols, false);
    t->settled = true;
    return writer_done(w->out, err);
}

/* the safe text of a cell, copied into the arena */
static str cell_text(struct query_writer *w, const struct query_cell *c, struct arena *a)
{
    struct buf plain, safe;
    buf_init(&plain, (size_t)64 << 20);
    buf_init(&safe, (size_t)256 << 20);
    (void)w;
    writer_put_plain(&plain, c->field, &c->v);
    view_put_safe(&safe, buf_str(&plain), true);
    str s = safe.n ? arena_dup(a, buf_str(&safe)) : STR("");
    if (!buf_ok(&plain) || !buf_ok(&safe))
        s.p = NULL;
    buf_deinit(&plain);
    buf_deinit(&safe);
    return s;
}

static int table_row(struct query_writer *w, const struct query_row *row, struct err *err)
{
    struct text_table *t = w->table;
    struct arena later;
    arena_init(&later, (size_t)256 << 20);
    struct arena *a = t->settled ? &later : &w->arena;
    str *cells = t->settled ? arena_array(a, w->ncols, sizeof *cells)
                            : t->held + (size_t)t->nheld * w->ncols;
    int rc = cells ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < w->ncols && !rc; i++) {
        const struct val *v = &row->cells[i].v;
        cells[i] = cell_text(w, &row->cells[i], a);
        if (!cells[i].p)
            rc = err_nomem(err);
        if (rc || t->settled)
            continue;
        uint32_t n = columns(cells[i]);
        n = n < WIDTH_MAX ? n : WIDTH_MAX;
        t->width[i] = n > t->width[i] ? n : t->width[i];
        bool number = v->t == V_I64 || v->t == V_F64 || v->t == V_NUM;
        bool named =
            row->cells[i].field != F_NONE &&
            (row->cells[i].field == F_LEVEL || (field_table[row->cells[i].field].flags & FF_TIME));
        if (v->t != V_NULL && (!number || named))
            t->right[i] = false;
    }
    if (!rc && t->settled)
        put_line(w, cells, false);
    else if (!rc && ++t->nheld == SETTLE)
        rc = settle(w, err);
    arena_deinit(&later);
    return rc;
}

int text_row(struct query_writer *w, const struct query_row *row, struct err *err)
{
    if (row->cells)
        return table_row(w, row, err);
    int rc = view_text(w->out, row->block, row->row, w->color, err);
    buf_putc(w->out, '\n');
    return rc;
}

int text_end(struct query_writer *w, struct err *err)
{
    return w->table && !w->table->settled ? settle(w, err) : 0;
}
