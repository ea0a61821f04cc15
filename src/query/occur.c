/* occur.c: counting values and fields.
 *
 * Where a column is dictionary-coded, codes are counted and each distinct value is written out once
 * a block; elsewhere once a row. A value is told apart by its JSON text, so 5 and "5" are two; 5.0
 * is written as 5, for they are one in the query language. */
#include "query/occur.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "codec/json.h"
#include "model/inside.h"
#include "model/view.h"

#define COLS_MAX 16

/* ---- values ---- */

/* does the JSON text, behind the quote of a string, begin with the prefix? */
static bool wanted(const struct value_tally *c, str json)
{
    str s = str_skip(json, json.n && json.p[0] == '"');
    return !c->prefix.n || (s.n >= c->prefix.n && str_eq_ci(str_sub(s, 0, c->prefix.n), c->prefix));
}

static int count_json(struct value_tally *c, str json, uint64_t n, struct err *err)
{
    if (!wanted(c, json))
        return 0;
    uint64_t *at = smap_get(&c->map, json);
    if (at) {
        c->v[*at].n += n;
        return 0;
    }
    if (c->n == VALUES_MAX) {
        c->more = true;
        return 0;
    }
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 64;
        struct value_count *more = arena_grow(c->a, c->v, c->n, cap, sizeof *c->v);
        if (!more)
            return err_nomem(err);
        c->v = more;
        c->cap = cap;
    }
    str text = arena_dup(c->a, json);
    at = text.p ? smap_put(&c->map, text, NULL) : NULL;
    if (!at)
        return err_set(err, ERR_LIMIT, "the values are too long to be counted in memory");
    *at = c->n;
    c->v[c->n++] = (struct value_count){ text, n };
    return 0;
}

/* the scalars of an array, each by itself */
static int count_elements(struct value_tally *c, uint64_t n, struct err *err)
{
    struct json_rd r;
    struct json_tok t;
    struct err bad = ERR_INIT;
    json_init(&r, buf_str(&c->tmp));
    int rc = json_next(&r, &t, &bad); /* the bracket */
    while (rc == 0 && (rc = json_next(&r, &t, &bad)) == 0 && t.type != JSON_ARR_END) {
        str source;
        if (json_skip(&r, &t, &source, &bad) < 0)
            break;
        if (t.type != JSON_OBJ && t.type != JSON_ARR && t.type != JSON_NULL &&
            (rc = count_json(c, source, n, err)) < 0)
            return rc;
    }
    return 0;
}

static int count_value(struct value_tally *c, struct val v, uint64_t n, struct err *err)
{
    if (v.t == V_F64 && floor(v.d) == v.d && fabs(v.d) < 0x1p63) {
        v.t = V_I64;
        v.i = (int64_t)v.d;
    }
    buf_reset(&c->tmp);
    view_put_val(&c->tmp, c->f->field, v);
    if (!buf_ok(&c->tmp))
        return err_nomem(err);
    if (c->elements && v.t == V_JSON && c->tmp.n && c->tmp.p[0] == '[')
        return count_elements(c, n, err);
    return count_json(c, buf_str(&c->tmp), n, err);
}

static int count_coded(struct value_tally *c, const struct colv *col, const uint64_t *sel,
                       struct err *err)
{
    if (c->cap_codes < col->ndict) {
        c->codes = arena_array(c->a, col->ndict, sizeof *c->codes);
        if (!c->codes)
            return err_nomem(err);
        c->cap_codes = col->ndict;
    }
    memset(c->codes, 0, col->ndict * sizeof *c->codes);
    for (size_t r = bits_next(sel, 0, col->n); r < col->n; r = bits_next(sel, r + 1, col->n))
        if (colv_has(col, (uint32_t)r) && !bit_get(c->seen, r)) {
            bit_set(c->seen, r);
            c->codes[col->codes[r]]++;
            c->present++;
        }
    int rc = 0;
    for (uint32_t k = 0; k < col->ndict && rc == 0; k++) {
        if (!c->codes[k])
            continue;
        struct val v = { .t = col->type };
        v.s = str_n(col->bytes + col->off[k], col->off[k + 1] - col->off[k]);
        rc = count_value(c, v, c->codes[k], err);
    }
    return rc;
}

static int count_plain(struct value_tally *c, const struct colv *col, const uint64_t *sel,
                       struct err *err)
{
    int rc = 0;
    for (size_t r = bits_next(sel, 0, col->n); r < col->n && rc == 0;
         r = bits_next(sel, r + 1, col->n))
        if (colv_has(col, (uint32_t)r) && !bit_get(c->seen, r)) {
            bit_set(c->seen, r);
            c->present++;
            rc = count_value(c, colv_val(col, (uint32_t)r), 1, err);
        }
    return rc;
}

static int count_rows(struct value_tally *c, const struct scan_block *sb, struct err *err)
{
    uint32_t n = sb->block->n;
    for (size_t r = bits_next(sb->sel, 0, n); r < n; r = bits_next(sb->sel, r + 1, n)) {
        struct val v;
        int rc = block_get(sb->block, (uint32_t)r, c->f, &v, err);
        if (rc == 0 && !v.absent) {
            c->present++;
            rc = count_value(c, v, 1, err);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

void value_tally_init(struct value_tally *t, struct arena *a, const struct fieldref *f)
{
    *t = (struct value_tally){ .a = a, .f = f };
    smap_init(&t->map, SMAP_BORROW);
    buf_init(&t->tmp, (size_t)64 << 20);
}

int value_tally_add(struct value_tally *c, const struct scan_block *sb, struct err *err)
{
    uint32_t cols[COLS_MAX];
    str way[INSIDE_COLS];
    uint32_t n =
        inside_cols(sb->block, c->f, cols, way) ? 0 : block_find(sb->block, c->f, cols, COLS_MAX);
    if (n == 0 || n > COLS_MAX)
        return count_rows(c, sb, err);
    bits_zero(c->seen, sb->block->n);
    for (uint32_t i = 0; i < n; i++) {
        const struct colv *col;
        int rc = block_load(sb->block, cols[i], &col, err);
        if (rc == 0)
            rc = col->codes ? count_coded(c, col, sb->sel, err) : count_plain(c, col, sb->sel, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* equally frequent ones by value: numbers as numbers, before texts by bytes */
static int by_count(const void *a, const void *b)
{
    const struct value_count *x = a, *y = b;
    double p, q;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    bool px = str_to_f64(x->json, &p), py = str_to_f64(y->json, &q);
    if (px != py)
        return px ? -1 : 1;
    if (px && p != q)
        return p < q ? -1 : 1;
    return str_cmp(x->json, y->json);
}

void value_tally_end(struct value_tally *t)
{
    smap_deinit(&t->map);
    buf_deinit(&t->tmp);
    if (t->n)
        qsort(t->v, t->n, sizeof *t->v, by_count);
}

/* ---- fields ---- */

/* matching rows that have a value in column c */
static int count_column(const struct scan_block *sb, uint32_t c, uint64_t *ret, struct err *err)
{
    struct block *b = sb->block;
    const struct colv *col;
    *ret = b->cols[c].nvals;
    if (sb->nsel == b->n)
        return 0;
    int rc = block_load(b, c, &col, err);
    if (rc < 0)
        return rc;
    *ret = sb->nsel;
    if (!col->present)
        return 0;
    *ret = 0;
    for (size_t i = 0; i < BITS_WORDS(b->n); i++)
        *ret += (uint64_t)__builtin_popcountll(col->present[i] & sb->sel[i]);
    return 0;
}

static int add_field(struct field_tally *x, const struct colinfo *col, uint64_t n, struct err *err)
{
    uint64_t *at = smap_get(&x->map, col->key);
    if (at) {
        x->f[*at].entries += n;
        x->f[*at].types |= 1u << col->type;
        return 0;
    }
    if (x->n == x->cap) {
        uint32_t cap = x->cap ? x->cap * 2 : 64;
        struct field_stat *more = arena_grow(x->a, x->f, x->n, cap, sizeof *x->f);
        if (!more)
            return err_nomem(err);
        x->f = more;
        x->cap = cap;
    }
    str key = arena_dup(x->a, col->key);
    at = key.p ? smap_put(&x->map, key, NULL) : NULL;
    if (!at)
        return err_nomem(err);
    *at = x->n;
    x->f[x->n++] = (struct field_stat){ key, 1u << col->type, n };
    return 0;
}

void field_tally_init(struct field_tally *t, struct arena *a)
{
    *t = (struct field_tally){ .a = a };
    smap_init(&t->map, SMAP_BORROW);
}

int field_tally_add(struct field_tally *t, const struct scan_block *sb, struct err *err)
{
    t->rows += sb->nsel;
    for (uint32_t c = 0; c < sb->block->ncols; c++) {
        uint64_t n;
        int rc = count_column(sb, c, &n, err);
        if (rc == 0 && n)
            rc = add_field(t, &sb->block->cols[c], n, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int by_entries(const void *a, const void *b)
{
    const struct field_stat *x = a, *y = b;
    if (x->entries != y->entries)
        return x->entries < y->entries ? 1 : -1;
    return str_cmp(x->key, y->key);
}

void field_tally_end(struct field_tally *t)
{
    smap_deinit(&t->map);
    if (t->n)
        qsort(t->f, t->n, sizeof *t->f, by_entries);
}
