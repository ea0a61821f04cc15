/* pred_calc.c: tests of values that are computed out of a row, one row at a time. */
#include "model/inside.h"
#include "model/pred_int.h"

bool calc_of_texts(const struct pred_calc *c, const struct block *b)
{
    uint32_t cols[16], max = sizeof cols / sizeof *cols;
    str name = field_table[F_REST].name;
    struct fieldref rest = { .field = F_REST, .key = name, .hash = field_dotted_hash(name) };
    bool has_rest = block_find(b, &rest, cols, 1);
    for (uint32_t i = 0; i < c->nfields; i++) {
        str way[INSIDE_COLS];
        if (has_rest && c->fields[i].field == F_NONE)
            return false; /* an attribute in there may be of any type */
        if (inside_cols(b, &c->fields[i], cols, way))
            return false;
        uint32_t n = block_find(b, &c->fields[i], cols, max);
        if (n > max || c->fields[i].field == F_ID)
            return false;
        for (uint32_t k = 0; k < n; k++)
            if (b->cols[cols[k]].type != V_STR && b->cols[cols[k]].type != V_NULL)
                return false;
    }
    return true;
}

static int test_val(const struct pred *p, const struct val *v, struct pred_run *r, bool *ret,
                    struct err *err)
{
    *ret = p->kind == P_EXISTS && v->t != V_NULL;
    if (p->kind == P_EXISTS)
        return 0;
    switch (v->t) {
    case V_BOOL: *ret = p->test.bools >> v->b & 1; return 0;
    case V_I64: *ret = test_i64(&p->test, v->i); return 0;
    case V_F64: *ret = test_f64(&p->test, v->d); return 0;
    case V_NUM: *ret = test_num_text(&p->test, v->s); return 0;
    case V_STR: return test_str(p, v->s, 1, r, ret, err);
    case V_JSON: return test_json(p, v->s, r, ret, err);
    default: return 0;
    }
}

int eval_calc(const struct pred *p, struct block *b, const uint64_t *sel, uint64_t *out,
              struct pred_run *r, struct err *err)
{
    const struct pred_calc *c = p->calc;
    void *opened;
    bits_zero(out, b->n);
    int rc = c->open(c, b, &opened, err);
    if (rc)
        return rc;
    for (size_t i = bits_next(sel, 0, b->n); i < b->n && !rc; i = bits_next(sel, i + 1, b->n)) {
        struct val v;
        bool hit = false;
        rc = r->cancel && *r->cancel ? err_set(err, ERR_TIMEOUT, "the query was stopped")
                                     : c->value(opened, (uint32_t)i, &v, err);
        if (!rc)
            rc = test_val(p, &v, r, &hit, err);
        if (!rc && hit)
            bit_set(out, i);
    }
    c->close(opened);
    return rc;
}
