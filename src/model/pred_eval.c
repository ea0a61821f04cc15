/* pred_eval.c: a tree over a block: bitmaps of rows, narrowed test by test.
 *
 * AND hands each kid only the rows that are left, OR only those not yet found; both stop when there
 * are none. NOT is the complement within the rows asked for. Scratch bitmaps come from the run's
 * stack, so depth costs no stack of the thread beyond small frames. */
#include "model/ident.h"
#include "model/inside.h"
#include "model/pred_int.h"

#define COLS_MAX 64 /* physical columns of one reference */

static int eval(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                struct pred_run *r, struct err *err);

static int stopped(const struct pred_run *r, struct err *err)
{
    return r->cancel && *r->cancel ? err_set(err, ERR_TIMEOUT, "the query was stopped") : 0;
}

static int eval_and(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                    struct pred_run *r, struct err *err)
{
    uint64_t *left = run_map(r);
    if (!left)
        return err_nomem(err);
    size_t words = BITS_WORDS(b->n);
    memcpy(left, sel, words * 8);
    int rc = 0;
    for (uint32_t i = 0; i < p->nkids && !rc; i++) {
        rc = eval(p->kids[i], b, left, out, r, err);
        memcpy(left, out, words * 8);
        if (rc || bits_none(left, b->n))
            break;
    }
    run_map_done(r, 1);
    return rc;
}

static int eval_or(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                   struct pred_run *r, struct err *err)
{
    uint64_t *left = run_map(r), *hit = left ? run_map(r) : NULL;
    if (!hit) {
        run_map_done(r, left != NULL);
        return err_nomem(err);
    }
    size_t words = BITS_WORDS(b->n);
    memcpy(left, sel, words * 8);
    bits_zero(out, b->n);
    int rc = 0;
    for (uint32_t i = 0; i < p->nkids && !rc; i++) {
        rc = eval(p->kids[i], b, left, hit, r, err);
        for (size_t k = 0; k < words; k++) {
            out[k] |= hit[k];
            left[k] &= ~hit[k];
        }
        if (bits_none(left, b->n))
            break;
    }
    run_map_done(r, 2);
    return rc;
}

/* ---- leaves ---- */

static void rows_present(const struct colv *c, const uint64_t *sel, uint64_t *out)
{
    for (size_t i = 0; i < BITS_WORDS(c->n); i++)
        out[i] = sel[i] & (c->present ? c->present[i] : UINT64_MAX);
}

/* rows of sel without an id of their own: the made one is computed where it must be looked at */
static int eval_made_ids(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                         struct pred_run *r, struct err *err)
{
    if (!b->ids)
        return 0;
    uint64_t want_seq = 0;
    bool one = p->kind == P_TEST && p->test.st == S_EQ;
    ts_ns at;
    if (one && !id_decode(b->ids, p->test.s, &at, &want_seq))
        return 0;
    if (one && (want_seq < b->seq_min || want_seq > b->seq_max))
        return 0;
    for (size_t i = bits_next(sel, 0, b->n); i < b->n; i = bits_next(sel, i + 1, b->n)) {
        struct val v;
        bool hit = p->kind == P_EXISTS;
        int rc = 0;
        if (one) {
            rc = block_get_field(b, (uint32_t)i, F_SEQ, &v, err);
            if (rc || v.absent || (uint64_t)v.i != want_seq) {
                if (rc)
                    return rc;
                continue;
            }
        }
        rc = block_get_field(b, (uint32_t)i, F_ID, &v, err);
        if (!rc && one)
            hit = str_eq_ci(v.s, p->test.s);
        else if (!rc && !hit && !v.absent)
            rc = test_str(p, v.s, 1, r, &hit, err);
        if (rc)
            return rc;
        if (hit)
            bit_set(out, i);
    }
    return 0;
}

/* Values of an attribute that lie inside of arrays: the rows of left that pass in one of them. */
static int eval_inside(const struct pred *p, struct block *b, const struct fieldref *f,
                       uint64_t *left, uint64_t *out, struct pred_run *r, struct err *err)
{
    uint32_t cols[INSIDE_COLS];
    str ways[INSIDE_COLS];
    uint32_t n = inside_cols(b, f, cols, ways);
    int rc = 0;
    for (uint32_t k = 0; k < n && !rc && !bits_none(left, b->n); k++) {
        const struct colv *col;
        rc = block_load_rows(b, cols[k], left, &col, err);
        for (size_t i = bits_next(left, 0, b->n); i < b->n && !rc;
             i = bits_next(left, i + 1, b->n)) {
            bool hit = false;
            if (colv_has(col, (uint32_t)i))
                rc = test_inside(p, f, colv_text(col, (uint32_t)i), ways[k], r, &hit, err);
            if (hit) {
                bit_set(out, i);
                bit_clear(left, i);
            }
        }
        rc = rc ? rc : stopped(r, err);
    }
    return rc;
}

/* Adds to out the rows of sel that pass in column c and takes them from left. */
static int eval_column(const struct pred *p, struct block *b, uint32_t c, uint64_t *left,
                       uint64_t *out, uint64_t *hit, struct pred_run *r, struct err *err)
{
    const struct colv *col;
    enum vtype type = b->cols[c].type;
    if (type == V_NULL)
        return 0;
    if (p->kind == P_EXISTS)
        bits_zero(hit, b->n); /* presence only, no text */
    int rc = block_load_rows(b, c, p->kind == P_EXISTS ? hit : left, &col, err);
    if (rc)
        return rc;
    if (p->kind == P_EXISTS)
        rows_present(col, left, hit);
    else
        rc = test_column(p, col, left, hit, r, err);
    for (size_t k = 0; k < BITS_WORDS(b->n) && !rc; k++) {
        out[k] |= hit[k];
        left[k] &= ~hit[k];
    }
    return rc ? rc : stopped(r, err);
}

static bool shown(str key)
{
    if (!key.n || key.p[0] == PATH_SEP)
        return true;
    enum field f = field_by_name(key);
    return f == F_NONE || !(field_table[f].flags & FF_INTERNAL);
}

/* Attributes that got no column of their own are members of an object in the column rest. */
static int eval_rest(const struct pred *p, struct block *b, const struct fieldref *f,
                     uint64_t *left, uint64_t *out, struct pred_run *r, struct err *err)
{
    str name = field_table[F_REST].name;
    struct fieldref ref = { .field = F_REST, .key = name, .hash = field_dotted_hash(name) };
    const struct colv *col;
    uint32_t c;
    if (block_find(b, &ref, &c, 1) != 1 || b->cols[c].type != V_JSON)
        return 0;
    int rc = block_load_rows(b, c, left, &col, err);
    for (size_t i = bits_next(left, 0, b->n); i < b->n && !rc; i = bits_next(left, i + 1, b->n)) {
        bool hit = false;
        if (!colv_has(col, (uint32_t)i))
            continue;
        rc = test_rest(p, f, colv_text(col, (uint32_t)i), r, &hit, err);
        if (!rc && hit) {
            bit_set(out, i);
            bit_clear(left, i);
        }
    }
    return rc;
}

static int eval_any_field(const struct pred *p, struct block *b, uint64_t *left, uint64_t *out,
                          uint64_t *hit, struct pred_run *r, struct err *err)
{
    for (uint32_t c = 0; c < b->ncols && !bits_none(left, b->n); c++) {
        bool text = b->cols[c].type == V_STR || b->cols[c].type == V_JSON;
        if (!text || !shown(b->cols[c].key))
            continue;
        int rc = eval_column(p, b, c, left, out, hit, r, err);
        if (rc)
            return rc;
    }
    return bits_none(left, b->n) ? 0 : eval_rest(p, b, NULL, left, out, r, err);
}

/* A client's id is stored for some rows; the others have the one made from their number. */
static int eval_id(const struct pred *p, struct block *b, const uint32_t *cols, uint32_t n,
                   const uint64_t *left, uint64_t *out, uint64_t *hit, struct pred_run *r,
                   struct err *err)
{
    memcpy(hit, left, BITS_WORDS(b->n) * 8);
    for (uint32_t i = 0; i < n; i++) {
        const struct colv *col;
        int rc = block_load(b, cols[i], &col, err);
        if (rc)
            return rc;
        for (size_t k = 0; k < BITS_WORDS(b->n); k++)
            hit[k] &= ~(col->present ? col->present[k] : UINT64_MAX);
    }
    return eval_made_ids(p, b, hit, out, r, err);
}

static int eval_test(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                     struct pred_run *r, struct err *err)
{
    uint64_t *left = run_map(r), *hit = left ? run_map(r) : NULL;
    int rc = 0;
    if (!hit) {
        rc = err_nomem(err);
        goto done;
    }
    memcpy(left, sel, BITS_WORDS(b->n) * 8);
    bits_zero(out, b->n);
    if (p->scope.any)
        rc = eval_any_field(p, b, left, out, hit, r, err);
    for (uint32_t i = 0; i < p->scope.n && !rc && !p->scope.any; i++) {
        uint32_t cols[COLS_MAX];
        uint32_t n = block_find(b, &p->scope.fields[i], cols, COLS_MAX);
        n = n < COLS_MAX ? n : COLS_MAX;
        for (uint32_t k = 0; k < n && !rc && !bits_none(left, b->n); k++)
            rc = eval_column(p, b, cols[k], left, out, hit, r, err);
        if (!rc && p->scope.fields[i].field == F_NONE && !bits_none(left, b->n))
            rc = eval_rest(p, b, &p->scope.fields[i], left, out, r, err);
        if (!rc && !bits_none(left, b->n))
            rc = eval_inside(p, b, &p->scope.fields[i], left, out, r, err);
        if (!rc && p->scope.fields[i].field == F_ID)
            rc = eval_id(p, b, cols, n, left, out, hit, r, err);
        if (bits_none(left, b->n))
            break;
    }
done:
    run_map_done(r, (left != NULL) + (hit != NULL));
    return rc;
}

/* Rows whose column `f` passes fn, for the two leaves about one special field. */
static int eval_special(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                        struct err *err)
{
    uint32_t cols[V__COUNT];
    uint32_t n = block_find(b, &p->scope.fields[0], cols, V__COUNT);
    bits_zero(out, b->n);
    for (uint32_t k = 0; k < n && k < V__COUNT; k++) {
        const struct colv *c;
        int rc = block_load(b, cols[k], &c, err);
        if (rc)
            return rc;
        for (size_t i = bits_next(sel, 0, b->n); i < b->n; i = bits_next(sel, i + 1, b->n)) {
            enum level lv;
            bool hit = false;
            if (!colv_has(c, (uint32_t)i))
                continue;
            if (c->type == V_I64)
                hit = c->i64[i] >= 0 && c->i64[i] < 32 && (p->levels >> c->i64[i] & 1);
            else if (c->type == V_STR)
                hit = level_parse(colv_text(c, (uint32_t)i), &lv) && (p->levels >> lv & 1);
            else if (c->type == V_BOOL)
                hit = c->b8[i];
            if (hit)
                bit_set(out, i);
        }
    }
    return 0;
}

static int eval(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
                struct pred_run *r, struct err *err)
{
    size_t words = BITS_WORDS(b->n);
    int rc = 0;
    switch (p->kind) {
    case P_TRUE: memcpy(out, sel, words * 8); return 0;
    case P_FALSE: bits_zero(out, b->n); return 0;
    case P_AND: return eval_and(p, b, sel, out, r, err);
    case P_OR: return eval_or(p, b, sel, out, r, err);
    case P_NOT:
        rc = eval(p->kids[0], b, sel, out, r, err);
        for (size_t i = 0; i < words; i++)
            out[i] = sel[i] & ~out[i];
        return rc;
    case P_LEVEL: return eval_special(p, b, sel, out, err);
    case P_RESOLVED:
        rc = eval_special(p, b, sel, out, err);
        for (size_t i = 0; i < words && !p->resolved; i++)
            out[i] = sel[i] & ~out[i];
        return rc;
    case P_EXISTS:
    case P_TEST: break;
    }
    if (p->calc)
        return p->calc->texts && calc_of_texts(p->calc, b)
                   ? eval(p->calc->texts, b, sel, out, r, err)
                   : eval_calc(p, b, sel, out, r, err);
    return eval_test(p, b, sel, out, r, err);
}

int pred_eval(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
              struct pred_run *run, const volatile int *cancel, struct err *err)
{
    uint64_t *all = run_map(run);
    if (!all)
        return err_nomem(err);
    run->cancel = cancel;
    if (!sel)
        bits_fill(all, b->n);
    else
        memcpy(all, sel, BITS_WORDS(b->n) * 8);
    int rc = stopped(run, err);
    if (!rc)
        rc = eval(p, b, all, out, run, err);
    run->used = 0;
    return rc;
}
