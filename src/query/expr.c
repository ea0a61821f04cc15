/* expr.c: evaluating expressions, and the operators.
 *
 * Integers stay exact while they fit and become doubles when they do not; `/` gives an integer when
 * the quotient is one. A text that is wholly a number counts as that number in arithmetic, any
 * other value that is none gives null. Comparisons follow val_cmp within numbers, texts and
 * booleans; values of different kinds are unequal and in no order. */
#include "query/expr.h"

#include <math.h>

#include "base/mem.h"
#include "codec/json.h"

int expr_open(struct expr_eval *x, const struct expr_prog *prog, struct block *b, struct arena *a,
              struct err *err)
{
    *x = (struct expr_eval){ .prog = prog, .b = b, .entry = b, .a = a };
    buf_init(&x->buf, EXPR_BYTES_MAX);
    x->acc = mem_array(prog->nfields + 1, sizeof *x->acc);
    if (!x->acc)
        return err_nomem(err);
    for (uint32_t i = 0; i < prog->nfields; i++) {
        int rc = access_open(&x->acc[i], b, &prog->fields[i]->ref, err);
        if (rc)
            return rc;
    }
    return 0;
}

void expr_close(struct expr_eval *x)
{
    mem_free(x->acc);
    buf_deinit(&x->buf);
}

static int field_value(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                       struct err *err)
{
    int rc = access_get(&x->acc[e->slot], row, ret, err);
    if (e->ref.field == F_LEVEL && !e->rank && ret->t == V_I64)
        *ret = ret->i >= 0 && ret->i < LV__COUNT
                   ? (struct val){ .t = V_STR, .s = level_names[ret->i] }
                   : VAL_ABSENT;
    return rc;
}

int expr_arg(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
             struct err *err)
{
    switch (e->kind) {
    case X_CONST: *ret = e->v; return 0;
    case X_FIELD: return field_value(x, e, row, ret, err);
    default: return e->fn->eval(x, e, row, ret, err);
    }
}

int expr_own(struct expr_eval *x, str s, struct val *ret, struct err *err)
{
    str own = s.n ? arena_dup(x->a, s) : STR("");
    *ret = (struct val){ .t = V_STR, .s = own };
    return own.p ? 0 : err_nomem(err);
}

int expr_plain(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
               struct err *err)
{
    int rc = expr_arg(x, e, row, ret, err);
    char text[TS_TEXT_MAX];
    if (rc || !e->time || ret->t != V_I64)
        return rc;
    return expr_own(x, (str){ text, ts_format(ret->i, -1, text) }, ret, err);
}

int expr_text(struct expr_eval *x, const struct expr *e, uint32_t row, str *ret, struct err *err)
{
    struct val v, own;
    struct buf b;
    char room[40];
    int rc = expr_plain(x, e, row, &v, err);
    *ret = STR_NULL;
    if (rc || v.t == V_NULL)
        return rc;
    if (v.t == V_BOOL) {
        *ret = v.b ? STR("true") : STR("false");
        return 0;
    }
    if (v.t >= V_STR) {
        *ret = v.s.n ? v.s : STR("");
        return 0;
    }
    buf_init(&b, sizeof room);
    if (v.t == V_I64)
        buf_put_i64(&b, v.i);
    else
        json_put_f64(&b, v.d);
    rc = buf_ok(&b) ? expr_own(x, buf_str(&b), &own, err) : err_nomem(err);
    buf_deinit(&b);
    if (!rc)
        *ret = own.s;
    return rc;
}

int expr_value(struct expr_eval *x, uint32_t row, struct val *ret, struct err *err)
{
    buf_reset(&x->buf);
    return expr_plain(x, x->prog->root, row, ret, err);
}

bool expr_is_const_text(const struct expr *e)
{
    return e->kind == X_CONST && e->v.t == V_STR;
}

/* ---- arithmetic ---- */

static int check_sum(struct parser *p, struct expr *e)
{
    bool times = e->fn == &expr_operators[XO_SUB] && e->arg[0]->time && e->arg[1]->time;
    for (uint32_t i = 0; i < e->narg && !times; i++)
        if (e->arg[i]->time) {
            parse_error(p, e->pos, "'%s' does not take a time", e->fn->name);
            err_hint(p->err, "the difference of two times is in milliseconds");
            return ERR_INVALID;
        }
    return 0;
}

static bool number_of(struct val *v)
{
    struct pred_bound n;
    double d;
    if (v->t == V_I64 || v->t == V_F64)
        return true;
    if (v->t == V_STR && pred_number(v->s, &n)) {
        *v = n.integral ? (struct val){ .t = V_I64, .i = n.i }
                        : (struct val){ .t = V_F64, .d = n.d };
        return true;
    }
    if (v->t != V_NUM || !val_is_num(v, &d))
        return false;
    *v = (struct val){ .t = V_F64, .d = d };
    return true;
}

/* both arguments as numbers; false: the result is null */
static int operands(struct expr_eval *x, const struct expr *e, uint32_t row, struct val v[2],
                    bool *ret_ok, struct err *err)
{
    int rc = 0;
    *ret_ok = true;
    for (uint32_t i = 0; i < e->narg && !rc; i++) {
        rc = expr_arg(x, e->arg[i], row, &v[i], err);
        *ret_ok = *ret_ok && !rc && number_of(&v[i]);
    }
    return rc;
}

static double as_double(const struct val *v)
{
    return v->t == V_I64 ? (double)v->i : v->d;
}

/* a result that no JSON number can show is null */
static struct val finite_val(double d)
{
    return isfinite(d) ? (struct val){ .t = V_F64, .d = d } : VAL_ABSENT;
}

static int eval_sum(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                    struct err *err)
{
    enum expr_operator op = (enum expr_operator)(e->fn - expr_operators);
    struct val v[2];
    bool ok, over = true;
    int64_t i = 0;
    int rc = operands(x, e, row, v, &ok, err);
    *ret = VAL_ABSENT;
    if (rc || !ok)
        return rc;
    if (v[0].t == V_I64 && v[1].t == V_I64)
        over = op == XO_ADD   ? __builtin_add_overflow(v[0].i, v[1].i, &i)
               : op == XO_SUB ? __builtin_sub_overflow(v[0].i, v[1].i, &i)
                              : __builtin_mul_overflow(v[0].i, v[1].i, &i);
    double a = as_double(&v[0]), b = as_double(&v[1]);
    if (over)
        *ret = finite_val(op == XO_ADD ? a + b : op == XO_SUB ? a - b : a * b);
    else
        *ret = (struct val){ .t = V_I64, .i = i };
    if (e->arg[0]->time && ret->t == V_I64) /* ns to ms, exactly where it can be */
        *ret = ret->i % NS_PER_MS ? finite_val((double)ret->i / NS_PER_MS)
                                  : (struct val){ .t = V_I64, .i = ret->i / NS_PER_MS };
    return 0;
}

static int eval_div(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                    struct err *err)
{
    bool mod = e->fn == &expr_operators[XO_MOD], ok;
    struct val v[2];
    int rc = operands(x, e, row, v, &ok, err);
    *ret = VAL_ABSENT;
    if (rc || !ok)
        return rc;
    double a = as_double(&v[0]), b = as_double(&v[1]);
    if (b == 0)
        return 0;
    if (v[0].t == V_I64 && v[1].t == V_I64 && v[1].i != -1 && (mod || v[0].i % v[1].i == 0))
        *ret = (struct val){ .t = V_I64, .i = mod ? v[0].i % v[1].i : v[0].i / v[1].i };
    else
        *ret = val_normal(finite_val(mod ? fmod(a, b) : a / b));
    return 0;
}

static int eval_neg(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                    struct err *err)
{
    struct val v[2];
    bool ok;
    int rc = operands(x, e, row, v, &ok, err);
    *ret = VAL_ABSENT;
    if (rc || !ok)
        return rc;
    *ret = v[0].t == V_I64 && v[0].i != INT64_MIN ? (struct val){ .t = V_I64, .i = -v[0].i }
                                                  : finite_val(-as_double(&v[0]));
    return 0;
}

/* ---- comparison ---- */

static int check_times(struct parser *p, struct expr *time, struct expr *other)
{
    ts_ns from, to;
    if (other->time || (other->kind == X_CONST && other->v.t == V_NULL))
        return 0;
    if (!expr_is_const_text(other)) {
        parse_error(p, other->pos, "a time is compared with another one or with one in quotes");
        err_hint(p->err, "such as timestamp > \"2026-11-21T10:30:00Z\" or \"now-1h\"");
        return ERR_INVALID;
    }
    if (!time_expr(other->v.s, p->o, &from, &to))
        return parse_error(p, other->pos, "'%.*s' is not a time", STR_FMT(other->v.s));
    if (time->kind == X_FIELD && time->ref.field == F_TIMESTAMP &&
        __builtin_sub_overflow(from, p->shift, &from))
        from = TS_MIN;
    other->v = (struct val){ .t = V_I64, .i = from };
    other->time = true;
    return 0;
}

static int check_levels(struct parser *p, struct expr *level, struct expr *other)
{
    enum level lv;
    if (!expr_is_const_text(other))
        return 0;
    if (!level_parse(other->v.s, &lv))
        return parse_error(p, other->pos, "'%.*s' is not a level", STR_FMT(other->v.s));
    other->v = (struct val){ .t = V_I64, .i = lv };
    level->rank = true;
    return 0;
}

static int check_compare(struct parser *p, struct expr *e)
{
    int rc = 0;
    for (uint32_t i = 0; i < 2 && !rc; i++) {
        struct expr *x = e->arg[i], *y = e->arg[1 - i];
        if (x->time)
            rc = check_times(p, x, y);
        else if (x->kind == X_FIELD && x->ref.field == F_LEVEL)
            rc = check_levels(p, x, y);
    }
    return rc;
}

static int kind_of(const struct val *v)
{
    switch (v->t) {
    case V_I64:
    case V_F64:
    case V_NUM: return 1;
    case V_BOOL: return 2;
    case V_STR: return 3;
    default: return 4; /* arrays and objects */
    }
}

static int eval_compare(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                        struct err *err)
{
    enum expr_operator op = (enum expr_operator)(e->fn - expr_operators);
    struct val v[2];
    *ret = VAL_ABSENT;
    for (uint32_t i = 0; i < 2; i++) {
        int rc = expr_arg(x, e->arg[i], row, &v[i], err);
        if (rc || v[i].t == V_NULL)
            return rc;
    }
    bool same = kind_of(&v[0]) == kind_of(&v[1]), yes = false;
    int c = val_cmp(&v[0], &v[1]);
    switch (op) {
    case XO_EQ: yes = same && c == 0; break;
    case XO_NE: yes = !same || c != 0; break;
    case XO_LT: yes = same && c < 0; break;
    case XO_LE: yes = same && c <= 0; break;
    case XO_GT: yes = same && c > 0; break;
    default: yes = same && c >= 0; break;
    }
    *ret = (struct val){ .t = V_BOOL, .b = yes };
    return 0;
}

/* ---- logic ---- */

static int eval_logic(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                      struct err *err)
{
    bool decides = e->fn == &expr_operators[XO_OR]; /* true decides OR, false AND */
    bool unknown = false;
    struct val v;
    for (uint32_t i = 0; i < e->narg; i++) {
        int rc = expr_arg(x, e->arg[i], row, &v, err);
        if (rc)
            return rc;
        if (v.t == V_BOOL && v.b == decides) {
            *ret = (struct val){ .t = V_BOOL, .b = decides };
            return 0;
        }
        unknown |= v.t != V_BOOL;
    }
    *ret = unknown ? VAL_ABSENT : (struct val){ .t = V_BOOL, .b = !decides };
    return 0;
}

static int eval_not(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                    struct err *err)
{
    struct val v;
    int rc = expr_arg(x, e->arg[0], row, &v, err);
    *ret = v.t == V_BOOL && !rc ? (struct val){ .t = V_BOOL, .b = !v.b } : VAL_ABSENT;
    return rc;
}

const struct expr_fn expr_operators[] = {
    [XO_OR] = { "OR", 2, 2, NULL, eval_logic, NULL, NULL },
    [XO_AND] = { "AND", 2, 2, NULL, eval_logic, NULL, NULL },
    [XO_NOT] = { "NOT", 1, 1, NULL, eval_not, NULL, NULL },
    [XO_EQ] = { "=", 2, 2, check_compare, eval_compare, NULL, NULL },
    [XO_NE] = { "!=", 2, 2, check_compare, eval_compare, NULL, NULL },
    [XO_LT] = { "<", 2, 2, check_compare, eval_compare, NULL, NULL },
    [XO_LE] = { "<=", 2, 2, check_compare, eval_compare, NULL, NULL },
    [XO_GT] = { ">", 2, 2, check_compare, eval_compare, NULL, NULL },
    [XO_GE] = { ">=", 2, 2, check_compare, eval_compare, NULL, NULL },
    [XO_ADD] = { "+", 2, 2, check_sum, eval_sum, NULL, NULL },
    [XO_SUB] = { "-", 2, 2, check_sum, eval_sum, NULL, NULL },
    [XO_MUL] = { "*", 2, 2, check_sum, eval_sum, NULL, NULL },
    [XO_DIV] = { "/", 2, 2, check_sum, eval_div, NULL, NULL },
    [XO_MOD] = { "%", 2, 2, check_sum, eval_div, NULL, NULL },
    [XO_NEG] = { "-", 1, 1, check_sum, eval_neg, NULL, NULL },
};
