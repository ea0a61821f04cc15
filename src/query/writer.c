/* writer.c: answers as JSON, NDJSON and CSV; text is in writer_text.c.
 *
 * Whole entries are written by the views of model/; table rows cell by cell. Columns given to
 * begin() are copied: they must outlive the run. */
#include "query/writer.h"

#include "codec/json.h"
#include "model/view.h"

#define FLUSH_AT ((size_t)64 << 10)
#define ARENA_MAX ((size_t)64 << 20)

bool query_format_parse(str name, enum query_format *ret)
{
    static const char *const names[] = {
        [QF_JSON] = "json", [QF_NDJSON] = "ndjson", [QF_CSV] = "csv", [QF_TEXT] = "text"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eq(name, str_c(names[i]))) {
            *ret = (enum query_format)i;
            return true;
        }
    }
    return false;
}

const char *query_format_type(enum query_format f)
{
    switch (f) {
    case QF_JSON: return "application/json";
    case QF_NDJSON: return "application/x-ndjson";
    case QF_CSV: return "text/csv; charset=utf-8";
    case QF_TEXT: break;
    }
    return "text/plain; charset=utf-8";
}

int writer_done(const struct buf *b, struct err *err)
{
    if (buf_ok(b))
        return 0;
    if (b->bad == BUF_LIMIT)
        return err_set(err, ERR_LIMIT, "the answer is larger than %zu bytes", b->max);
    return err_nomem(err);
}

int writer_drain(struct query_writer *w, struct err *err)
{
    int rc = writer_done(w->out, err);
    return rc || !w->flush || w->out->n <= FLUSH_AT ? rc : w->flush(w->flush_ctx, w->out, err);
}

void writer_put_plain(struct buf *b, enum field f, const struct val *v)
{
    if (v->absent || v->t == V_NULL)
        return;
    if (v->t >= V_STR) {
        buf_putstr(b, v->s);
        return;
    }
    size_t from = b->n;
    view_put_val(b, f, *v);
    /* instants and levels come as JSON strings without anything to escape */
    if (buf_ok(b) && b->n >= from + 2 && b->p[from] == '"') {
        memmove(b->p + from, b->p + from + 1, b->n - from - 2);
        buf_truncate(b, b->n - 2);
    }
}

/* ---- JSON ---- */

static int put_object(struct query_writer *w, const struct query_row *row, struct err *err)
{
    if (!row->cells)
        return view_native(w->out, row->block, row->row, err);
    buf_putc(w->out, '{');
    for (uint32_t i = 0; i < row->ncells; i++) {
        const struct query_cell *c = &row->cells[i];
        if (i)
            buf_putc(w->out, ',');
        json_put_str(w->out, c->name);
        buf_putc(w->out, ':');
        if (c->v.absent || c->v.t == V_NULL)
            buf_puts(w->out, "null");
        else
            view_put_val(w->out, c->field, c->v);
    }
    buf_putc(w->out, '}');
    return 0;
}

static int json_row(struct query_writer *w, const struct query_row *row, struct err *err)
{
    if (w->format == QF_JSON && w->rows)
        buf_puts(w->out, ",\n");
    int rc = put_object(w, row, err);
    if (!rc && w->format == QF_NDJSON)
        buf_putc(w->out, '\n');
    return rc;
}

/* ---- CSV ---- */

/* A text that a spreadsheet would take for a formula gets a ' in front. */
static void csv_cell(struct buf *out, str s, bool text)
{
    bool guard = text && s.n && memchr("=+-@\t\r", s.p[0], 6), quote = guard;
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\r' || s.p[i] == '\n';
    quote |= s.n && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');
    if (!quote) {
        buf_putstr(out, s);
        return;
    }
    buf_putc(out, '"');
    if (guard)
        buf_putc(out, '\'');
    for (size_t i = 0; i < s.n;) {
        const char *q = memchr(s.p + i, '"', s.n - i);
        size_t n = q ? (size_t)(q - s.p) - i : s.n - i;
        buf_put(out, s.p + i, n);
        i += n;
        if (q) {
            buf_puts(out, "\"\"");
            i++;
        }
    }
    buf_putc(out, '"');
}

static int csv_val(struct query_writer *w, struct buf *tmp, enum field f, const struct val *v,
                   struct err *err)
{
    buf_reset(tmp);
    writer_put_plain(tmp, f, v);
    csv_cell(w->out, buf_str(tmp), v->t >= V_STR && v->t != V_NUM);
    return writer_done(tmp, err);
}

static bool csv_field(int f)
{
    return !(field_table[f].flags & FF_INTERNAL);
}

static void csv_header(struct query_writer *w)
{
    const char *sep = "";
    for (uint32_t i = 0; i < w->ncols; i++, sep = ",") {
        buf_puts(w->out, sep);
        csv_cell(w->out, w->cols[i].name, true);
    }
    for (int f = 0; f < F__COUNT && !w->ncols; f++) {
        if (!csv_field(f))
            continue;
        buf_puts(w->out, sep);
        buf_putstr(w->out, field_table[f].name);
        sep = ",";
    }
    buf_puts(w->out, w->ncols ? "\r\n" : ",attributes\r\n");
}

static int csv_entry(struct query_writer *w, const struct query_row *row, struct buf *tmp,
                     struct err *err)
{
    const char *sep = "";
    int rc = 0;
    for (int f = 0; f < F__COUNT && !rc; f++) {
        struct val v;
        if (!csv_field(f))
            continue;
        rc = block_get_field(row->block, row->row, (enum field)f, &v, err);
        buf_puts(w->out, sep);
        sep = ",";
        if (!rc && !v.absent)
            rc = csv_val(w, tmp, (enum field)f, &v, err);
    }
    buf_reset(tmp);
    if (!rc)
        rc = view_attributes(tmp, row->block, row->row, err);
    buf_putc(w->out, ',');
    if (!str_eq(buf_str(tmp), STR("{}")))
        csv_cell(w->out, buf_str(tmp), true);
    buf_puts(w->out, "\r\n");
    return rc ? rc : writer_done(tmp, err);
}

static int csv_row(struct query_writer *w, const struct query_row *row, struct err *err)
{
    struct buf tmp;
    int rc = 0;
    buf_init(&tmp, (size_t)64 << 20);
    if (!row->cells) {
        rc = csv_entry(w, row, &tmp, err);
    } else {
        for (uint32_t i = 0; i < row->ncells && !rc; i++) {
            if (i)
                buf_putc(w->out, ',');
            rc = csv_val(w, &tmp, row->cells[i].field, &row->cells[i].v, err);
        }
        buf_puts(w->out, "\r\n");
    }
    buf_deinit(&tmp);
    return rc;
}

/* ---- the sink ---- */

static int begin(void *ctx, const struct query_cell *cols, uint32_t ncols, struct err *err)
{
    struct query_writer *w = ctx;
    struct query_cell *own = arena_zalloc(&w->arena, (ncols + 1) * sizeof *own);
    if (!own)
        return err_nomem(err);
    for (uint32_t i = 0; i < ncols; i++) {
        own[i].field = cols[i].field;
        own[i].name = cols[i].name.n ? arena_dup(&w->arena, cols[i].name) : STR("");
        own[i].v = VAL_ABSENT;
        if (!own[i].name.p)
            return err_nomem(err);
    }
    w->cols = own;
    w->ncols = ncols;
    w->started = true;
    if (w->format == QF_JSON)
        buf_putc(w->out, '[');
    else if (w->format == QF_CSV)
        csv_header(w);
    else if (w->format == QF_TEXT)
        return text_begin(w, err);
    return writer_done(w->out, err);
}

static int row_out(void *ctx, const struct query_row *row, struct err *err)
{
    struct query_writer *w = ctx;
    int rc;
    if (w->format == QF_CSV)
        rc = csv_row(w, row, err);
    else if (w->format == QF_TEXT)
        rc = text_row(w, row, err);
    else
        rc = json_row(w, row, err);
    w->rows++;
    return rc ? rc : writer_drain(w, err);
}

int query_writer_init(struct query_writer *w, enum query_format f, struct buf *out, struct err *err)
{
    (void)err;
    *w = (struct query_writer){ .format = f, .out = out };
    w->sink = (struct query_sink){ .ctx = w, .begin = begin, .row = row_out };
    arena_init(&w->arena, ARENA_MAX);
    return 0;
}

int query_writer_end(struct query_writer *w, struct err *err)
{
    int rc = 0;
    if (w->format == QF_JSON)
        buf_puts(w->out, w->started ? "]" : "[]");
    else if (w->format == QF_TEXT && w->started)
        rc = text_end(w, err);
    return rc ? rc : writer_done(w->out, err);
}

void query_writer_deinit(struct query_writer *w)
{
    arena_deinit(&w->arena);
}
