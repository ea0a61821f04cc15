/* view_native.c: the canonical JSON of a row, its attributes, and the object its client sent. */
#include "model/view.h"
#include "model/view_row.h"

/* Writes every canonical field from..to that is present. */
static void put_fields(struct buf *b, struct row *r, enum field from, enum field to, bool *first)
{
    for (int f = from; f <= (int)to; f++)
        if ((row_has(r, (enum field)f) || (f == F_ID && !r->field[f].absent)) &&
            !(field_table[f].flags & FF_INTERNAL))
            put_key_value(b, field_table[f].name, r->field[f], (enum field)f, first);
}

int view_native(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true, inner = true;
        buf_putc(out, '{');
        put_fields(out, &r, F_ID, F_KEY_ID, &first);
        row_attributes(&r);
        if (r.nm) {
            put_key(out, STR("attributes"), &first);
            buf_putc(out, '{');
            row_put_tree(out, &r, TREE_TOP, &inner);
            buf_putc(out, '}');
        }
        put_fields(out, &r, F_RESOLVED, F_NOTE, &first);
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}

int view_attributes(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true;
        row_attributes(&r);
        buf_putc(out, '{');
        row_put_tree(out, &r, TREE_TOP, &first);
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}

int view_source(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        bool first = true;
        row_source(&r);
        buf_putc(out, '{');
        row_put_tree(out, &r, TREE_TOP, &first);
        buf_putc(out, '}');
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}

int view_sent(struct buf *out, struct block *b, uint32_t row, str key, bool *ret_found,
              struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        struct buf step;
        buf_init(&step, 2 * key.n + 2);
        field_put_step(&step, key);
        row_source(&r);
        *ret_found = row_put_sent(out, &r, str_skip(buf_str(&step), 1));
        rc = buf_ok(&step) ? view_done(out, err) : err_nomem(err);
        buf_deinit(&step);
    }
    row_close(&r);
    return rc;
}
