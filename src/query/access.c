/* access.c: the value of one reference, row by row.
 *
 * A reference may have several physical columns (a value that was once a number and once a string);
 * the first that has the row counts. Attributes without a column of their own are looked up in the
 * column rest, ids made by the server are derived. */
#include "model/inside.h"
#include "query/internal.h"

static int find_rest(struct access *a, struct err *err)
{
    str name = field_table[F_REST].name;
    struct fieldref ref = { .field = F_REST, .key = name, .hash = field_dotted_hash(name) };
    uint32_t c;
    a->rest = NULL;
    if (a->ref->field != F_NONE || block_find(a->b, &ref, &c, 1) != 1 ||
        a->b->cols[c].type != V_JSON)
        return 0;
    return block_load(a->b, c, &a->rest, err);
}

int access_open(struct access *a, struct block *b, const struct fieldref *ref, struct err *err)
{
    uint32_t cols[ACCESS_COLS];
    str way[INSIDE_COLS];
    a->b = b;
    a->ref = ref;
    a->made = ref->field == F_ID && b->ids;
    a->inside = inside_cols(b, ref, cols, way);
    uint32_t n = block_find(b, ref, cols, ACCESS_COLS);
    a->n = 0;
    for (uint32_t i = 0; i < n && i < ACCESS_COLS; i++) {
        if (b->cols[cols[i]].type == V_NULL)
            continue;
        int rc = block_load(b, cols[i], &a->c[a->n++], err);
        if (rc)
            return rc;
    }
    return find_rest(a, err);
}

int access_get_slow(struct access *a, uint32_t row, struct val *ret, struct err *err)
{
    for (uint32_t i = 0; i < a->n; i++) {
        if (colv_has(a->c[i], row)) {
            *ret = colv_val(a->c[i], row);
            return 0;
        }
    }
    *ret = VAL_ABSENT;
    if (a->made)
        return block_get_field(a->b, row, F_ID, ret, err);
    int rc = 0;
    if (a->rest && colv_has(a->rest, row))
        rc = rest_value(colv_text(a->rest, row), a->ref, a->b->arena, ret, err);
    return rc || !ret->absent || !a->inside ? rc : block_get(a->b, row, a->ref, ret, err);
}

int64_t access_time(struct access *a, uint32_t row)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (a->c[i]->type == V_I64 && colv_has(a->c[i], row))
            return a->c[i]->i64[row];
    return 0;
}
