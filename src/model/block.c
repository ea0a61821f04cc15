/* block.c: what is the same for every kind of block: finding columns, caching them, single values.
 */
#include "model/block.h"

#include <pthread.h>

#include "model/ident.h"
#include "model/inside.h"

struct val colv_val(const struct colv *c, uint32_t row)
{
    if (!colv_has(c, row))
        return VAL_ABSENT;
    struct val v = { .t = c->type };
    switch (c->type) {
    case V_NULL: break;
    case V_BOOL: v.b = c->b8[row]; break;
    case V_I64: v.i = c->i64[row]; break;
    case V_F64: v.d = c->f64[row]; break;
    default: v.s = colv_text(c, row);
    }
    return v;
}

uint32_t block_find(const struct block *b, const struct fieldref *f, uint32_t *ret, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->ncols; i++) {
        if (b->cols[i].hash != f->hash || !fieldref_matches(f, b->cols[i].key, b->cols[i].hash))
            continue;
        /* a->b before a.b, wherever the block has them */
        uint32_t k = n < max ? n : max;
        for (; k > 0 && str_cmp(b->cols[i].key, b->cols[ret[k - 1]].key) < 0; k--)
            if (k < max)
                ret[k] = ret[k - 1];
        if (k < max)
            ret[k] = i;
        n++;
    }
    return n;
}

int block_load(struct block *b, uint32_t c, const struct colv **ret, struct err *err)
{
    if (!b->loaded[c]) {
        struct colv *v = arena_alloc(b->arena, sizeof *v);
        if (!v)
            return err_nomem(err);
        int rc = b->ops->load(b, c, v, err);
        if (rc)
            return rc;
        b->loaded[c] = v;
    }
    *ret = b->loaded[c];
    return 0;
}

int block_load_rows(struct block *b, uint32_t c, const uint64_t *sel, const struct colv **ret,
                    struct err *err)
{
    if (b->loaded[c] || !b->ops->load_rows)
        return block_load(b, c, ret, err);
    return b->ops->load_rows(b, c, sel, ret, err);
}

int block_value(struct block *b, uint32_t c, uint32_t row, struct val *ret, struct err *err)
{
    const struct colv *v = b->loaded[c];
    if (!v && b->ops->value)
        return b->ops->value(b, c, row, ret, err);
    int rc = block_load(b, c, &v, err);
    if (!rc)
        *ret = colv_val(v, row);
    return rc;
}

static struct fieldref canonical[F__COUNT];
static pthread_once_t canonical_once = PTHREAD_ONCE_INIT;

static void canonical_make(void)
{
    for (int f = 0; f < F__COUNT; f++)
        canonical[f] = (struct fieldref){ .field = (enum field)f,
                                          .key = field_table[f].name,
                                          .hash = field_dotted_hash(field_table[f].name) };
}

static int derived_id(struct block *b, uint32_t row, struct val *ret, struct err *err)
{
    struct val seq, at;
    int rc = block_get_field(b, row, F_SEQ, &seq, err);
    if (!rc)
        rc = block_get_field(b, row, F_RECEIVED_AT, &at, err);
    if (rc || seq.absent || at.absent || !b->ids)
        return rc;
    char *text = arena_alloc(b->arena, ID_TEXT);
    if (!text)
        return err_nomem(err);
    id_make(b->ids, at.i, (uint64_t)seq.i, text);
    *ret = (struct val){ .t = V_STR, .s = { text, ID_TEXT } };
    return 0;
}

/* Texts may be dear to decode as a column; numbers of one row are followed by those of the next. */
static int get_one(struct block *b, uint32_t c, uint32_t row, struct val *ret, struct err *err)
{
    if (b->cols[c].type >= V_STR)
        return block_value(b, c, row, ret, err);
    const struct colv *v;
    int rc = block_load(b, c, &v, err);
    if (!rc)
        *ret = colv_val(v, row);
    return rc;
}

static int get_inside(struct block *b, uint32_t row, const struct fieldref *f, struct val *ret,
                      struct err *err)
{
    uint32_t cols[INSIDE_COLS];
    str way[INSIDE_COLS];
    uint32_t n = inside_cols(b, f, cols, way);
    int rc = 0;
    for (uint32_t i = 0; i < n && !rc && ret->absent; i++) {
        struct val v;
        rc = get_one(b, cols[i], row, &v, err);
        if (!rc && !v.absent)
            rc = inside_value(v.s, way[i], f->exact, b->arena, ret, err);
    }
    return rc;
}

int block_get(struct block *b, uint32_t row, const struct fieldref *f, struct val *ret,
              struct err *err)
{
    uint32_t cols[V__COUNT * 4];
    uint32_t max = sizeof cols / sizeof *cols;
    uint32_t n = block_find(b, f, cols, max);
    *ret = VAL_ABSENT;
    for (uint32_t i = 0; i < n && i < max; i++) {
        int rc = get_one(b, cols[i], row, ret, err);
        if (rc || !ret->absent)
            return rc;
    }
    return f->field == F_ID ? derived_id(b, row, ret, err) : get_inside(b, row, f, ret, err);
}

int block_get_field(struct block *b, uint32_t row, enum field f, struct val *ret, struct err *err)
{
    pthread_once(&canonical_once, canonical_make);
    return block_get(b, row, &canonical[f], ret, err);
}

void block_close(struct block *b)
{
    if (b)
        b->ops->close(b);
}
