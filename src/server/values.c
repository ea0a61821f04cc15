/* values.c: how often each value of a field occurs.
 *
 * Where a column is dictionary-coded, codes are counted and each distinct value is written out once
 * a block; elsewhere once a row. A value is told apart by its JSON text, so 5 and "5" are two; 5.0
 * is written as 5, for they are one in the query language. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/map.h"
#include "server/internal.h"

#define COLS_MAX 16

struct counting {
    struct job *j;
    const struct fieldref *f;
    struct smap map; /* JSON text -> index into v, plus 1 */
    struct value_count *v;
    uint32_t n, cap;
    uint64_t present;
    bool more;
    struct buf tmp;
    uint64_t seen[BLOCK_WORDS]; /* rows that had a value in an earlier column */
    uint32_t *codes;
    uint32_t cap_codes;
};

static int count_value(struct counting *c, struct val v, uint64_t n, struct err *err)
{
    if (v.t == V_F64 && floor(v.d) == v.d && fabs(v.d) < 0x1p63) {
        v.t = V_I64;
        v.i = (int64_t)v.d;
    }
    buf_reset(&c->tmp);
    view_put_val(&c->tmp, c->f->field, v);
    if (!buf_ok(&c->tmp))
        return err_nomem(err);
    uint64_t *at = smap_get(&c->map, buf_str(&c->tmp));
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
        c->v = arena_grow(&c->j->arena, c->v, c->n, cap, sizeof *c->v);
        if (!c->v)
            return err_nomem(err);
        c->cap = cap;
    }
    str text = arena_dup(&c->j->arena, buf_str(&c->tmp));
    at = text.p ? smap_put(&c->map, text, NULL) : NULL;
    if (!at)
        return err_set(err, ERR_LIMIT, "the values are too long to be counted in memory");
    *at = c->n;
    c->v[c->n++] = (struct value_count){ text, n };
    return 0;
}

static int count_coded(struct counting *c, const struct colv *col, const uint64_t *sel,
                       struct err *err)
{
    if (c->cap_codes < col->ndict) {
        c->codes = arena_array(&c->j->arena, col->ndict, sizeof *c->codes);
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

static int count_plain(struct counting *c, const struct colv *col, const uint64_t *sel,
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

static int count_rows(struct counting *c, const struct scan_block *sb, struct err *err)
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

static int count_block(void *arg, const struct scan_block *sb, struct err *err)
{
    struct counting *c = arg;
    uint32_t cols[COLS_MAX];
    uint32_t n = block_find(sb->block, c->f, cols, COLS_MAX);
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

int values_count(struct job *j, const struct pred *filter, const struct fieldref *f,
                 struct value_count **ret, uint32_t *ret_n, uint64_t *ret_present, bool *ret_more,
                 struct err *err)
{
    struct counting *c = arena_zalloc(&j->arena, sizeof *c);
    if (!c)
        return err_nomem(err);
    c->j = j;
    c->f = f;
    smap_init(&c->map, SMAP_BORROW);
    buf_init(&c->tmp, (size_t)64 << 20);
    struct scan_plan plan = { .filter = filter, .order = SCAN_ANY, .marks = true };
    int rc = rows_each(j, &plan, count_block, c, NULL, err);
    smap_deinit(&c->map);
    buf_deinit(&c->tmp);
    if (rc < 0)
        return rc;
    if (c->n)
        qsort(c->v, c->n, sizeof *c->v, by_count);
    *ret = c->v;
    *ret_n = c->n;
    *ret_present = c->present;
    *ret_more = c->more;
    return 0;
}
