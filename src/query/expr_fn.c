/* expr_fn.c: the functions of expressions: choice, text, numbers.
 *
 * Texts are counted in characters (code points), places from 1; a place below 0 counts from the
 * end. What lies outside of a text is empty, never an error. */
#include <math.h>

#include "base/utf8.h"
#include "codec/json.h"
#include "model/price.h"
#include "model/view.h"
#include "query/expr_time.h"

/* ---- choice ---- */

/* if and coalesce give an instant when every value they choose from is one */
static int check_choice(struct parser *p, struct expr *e)
{
    uint32_t from = str_eq(str_c(e->fn->name), STR("if")) ? 1 : 0;
    bool all = true, any = false;
    (void)p;
    for (uint32_t i = from; i < e->narg; i++) {
        bool null = e->arg[i]->kind == X_CONST && e->arg[i]->v.t == V_NULL;
        all &= e->arg[i]->time || null;
        any |= e->arg[i]->time;
    }
    e->time = all && any;
    return 0;
}

static int chosen(struct expr_eval *x, const struct expr *e, uint32_t i, uint32_t row,
                  struct val *ret, struct err *err)
{
    return e->time ? expr_arg(x, e->arg[i], row, ret, err)
                   : expr_plain(x, e->arg[i], row, ret, err);
}

static int fn_if(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                 struct err *err)
{
    struct val v;
    int rc = expr_arg(x, e->arg[0], row, &v, err);
    if (rc)
        return rc;
    if (v.t == V_BOOL && v.b)
        return chosen(x, e, 1, row, ret, err);
    *ret = VAL_ABSENT;
    return e->narg > 2 ? chosen(x, e, 2, row, ret, err) : 0;
}

static int fn_coalesce(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                       struct err *err)
{
    *ret = VAL_ABSENT;
    for (uint32_t i = 0; i < e->narg && ret->t == V_NULL; i++) {
        int rc = chosen(x, e, i, row, ret, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- text ---- */

/* text[0..n) are the arguments' texts; false: one is null */
static int texts(struct expr_eval *x, const struct expr *e, uint32_t n, uint32_t row, str *text,
                 bool *ret_ok, struct err *err)
{
    *ret_ok = true;
    for (uint32_t i = 0; i < n; i++) {
        int rc = expr_text(x, e->arg[i], row, &text[i], err);
        if (rc)
            return rc;
        *ret_ok = *ret_ok && text[i].p;
    }
    return 0;
}

/* a whole number as argument; false: null */
static int whole(struct expr_eval *x, const struct expr *e, uint32_t row, int64_t *ret,
                 bool *ret_ok, struct err *err)
{
    struct val v;
    int rc = expr_plain(x, e, row, &v, err);
    if (v.t == V_F64)
        v = val_normal((struct val){ .t = V_F64, .d = trunc(v.d) });
    *ret_ok = !rc && v.t == V_I64;
    *ret = *ret_ok ? v.i : 0;
    return rc;
}

/* what a function wrote into x->buf, as a text of its own */
static int take_buf(struct expr_eval *x, struct val *ret, struct err *err)
{
    if (x->buf.bad == BUF_LIMIT)
        return err_set(err, ERR_LIMIT, "a text of more than %zu bytes", x->buf.max);
    return buf_ok(&x->buf) ? expr_own(x, buf_str(&x->buf), ret, err) : err_nomem(err);
}

static int fn_concat(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                     struct err *err)
{
    str part[EXPR_ARGS_MAX];
    bool ok;
    int rc = texts(x, e, e->narg, row, part, &ok, err);
    if (rc)
        return rc;
    buf_reset(&x->buf);
    for (uint32_t i = 0; i < e->narg; i++)
        buf_putstr(&x->buf, part[i]);
    return take_buf(x, ret, err);
}

static int fn_case(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                   struct err *err)
{
    bool up = str_eq(str_c(e->fn->name), STR("upper"));
    str s;
    int rc = expr_text(x, e->arg[0], row, &s, err);
    *ret = VAL_ABSENT;
    if (rc || !s.p)
        return rc;
    buf_reset(&x->buf);
    for (size_t i = 0; i < s.n;) {
        char out[4];
        uint32_t cp = utf8_next(s, &i);
        buf_put(&x->buf, out, utf8_put(up ? utf8_upper_cp(cp) : utf8_lower_cp(cp), out));
    }
    return take_buf(x, ret, err);
}

static int fn_trim(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                   struct err *err)
{
    str s;
    int rc = expr_text(x, e->arg[0], row, &s, err);
    *ret = rc || !s.p ? VAL_ABSENT : (struct val){ .t = V_STR, .s = str_trim(s) };
    return rc;
}

static int64_t characters(str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* where character number `at` (from 0) begins, s.n when there are not so many */
static size_t place_of(str s, int64_t at)
{
    size_t i = 0;
    for (; i < s.n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80 && at-- == 0)
            break;
    return i;
}

static int64_t elements(str json)
{
    struct json_rd r;
    struct json_tok t;
    struct err err = ERR_INIT;
    str skipped;
    int64_t n = 0;
    json_init(&r, json);
    if (json_next(&r, &t, &err) || (t.type != JSON_ARR && t.type != JSON_OBJ))
        return -1;
    while (json_next(&r, &t, &err) == 0 && t.type != JSON_ARR_END && t.type != JSON_OBJ_END) {
        if (t.type == JSON_KEY)
            continue;
        if (json_skip(&r, &t, &skipped, &err))
            return -1;
        n++;
    }
    return n;
}

static int fn_len(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                  struct err *err)
{
    struct val v;
    str s;
    int rc = expr_plain(x, e->arg[0], row, &v, err);
    *ret = VAL_ABSENT;
    if (rc || v.t == V_NULL)
        return rc;
    if (v.t == V_JSON) {
        /* the reader wants its room behind the text */
        buf_reset(&x->buf);
        buf_putstr(&x->buf, v.s);
        if (!buf_ok(&x->buf))
            return err_nomem(err);
        *ret = (struct val){ .t = V_I64, .i = elements(buf_str(&x->buf)) };
        return 0;
    }
    rc = expr_text(x, e->arg[0], row, &s, err);
    if (!rc)
        *ret = (struct val){ .t = V_I64, .i = characters(s) };
    return rc;
}

static int fn_substr(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                     struct err *err)
{
    str s;
    int64_t from, n = INT64_MAX, all;
    bool ok = true;
    int rc = expr_text(x, e->arg[0], row, &s, err);
    *ret = VAL_ABSENT;
    if (!rc && s.p)
        rc = whole(x, e->arg[1], row, &from, &ok, err);
    if (rc || !s.p || !ok)
        return rc;
    if (e->narg > 2)
        rc = whole(x, e->arg[2], row, &n, &ok, err);
    if (rc || !ok)
        return rc;
    all = characters(s);
    if (from < 0)
        from = from < -all ? 0 : all + from;
    else
        from = from > 0 ? from - 1 : 0;
    size_t at = place_of(s, from < all ? from : all);
    str rest = str_skip(s, at);
    *ret = (struct val){ .t = V_STR, .s = str_sub(rest, 0, place_of(rest, n < 0 ? 0 : n)) };
    return 0;
}

static int fn_replace(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                      struct err *err)
{
    str s[3];
    bool ok;
    int rc = texts(x, e, 3, row, s, &ok, err);
    *ret = VAL_ABSENT;
    if (rc || !ok)
        return rc;
    buf_reset(&x->buf);
    for (size_t at; s[1].n && (at = str_find(s[0], s[1])) != SIZE_MAX;) {
        buf_putstr(&x->buf, str_sub(s[0], 0, at));
        buf_putstr(&x->buf, s[2]);
        s[0] = str_skip(s[0], at + s[1].n);
    }
    buf_putstr(&x->buf, s[0]);
    return take_buf(x, ret, err);
}

/* the next piece of *rest before sep; false behind the last */
static bool next_piece(str *rest, str sep, str *ret)
{
    if (!rest->p)
        return false;
    size_t at = sep.n ? str_find(*rest, sep) : SIZE_MAX;
    *ret = str_sub(*rest, 0, at == SIZE_MAX ? rest->n : at);
    *rest = at == SIZE_MAX ? STR_NULL : str_skip(*rest, at + sep.n);
    return true;
}

static int fn_split(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                    struct err *err)
{
    str s[2], piece;
    int64_t nth = 0, n = 0;
    bool ok;
    int rc = texts(x, e, 2, row, s, &ok, err);
    *ret = VAL_ABSENT;
    if (!rc && ok && e->narg > 2)
        rc = whole(x, e->arg[2], row, &nth, &ok, err);
    if (rc || !ok)
        return rc;
    for (str rest = s[0]; nth < 0 && next_piece(&rest, s[1], &piece);)
        n++;
    nth = nth < 0 ? nth + n + 1 : nth;
    buf_reset(&x->buf);
    buf_putc(&x->buf, '[');
    n = 0;
    for (str rest = s[0]; next_piece(&rest, s[1], &piece);) {
        if (++n == nth) {
            *ret = (struct val){ .t = V_STR, .s = piece };
            return 0;
        }
        if (n > 1)
            buf_putc(&x->buf, ',');
        json_put_str(&x->buf, piece);
    }
    if (e->narg > 2)
        return 0; /* there is no such piece */
    buf_putc(&x->buf, ']');
    rc = take_buf(x, ret, err);
    ret->t = V_JSON;
    return rc;
}

/* scheme://user@HOST:port/path */
static int fn_url_host(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                       struct err *err)
{
    str s;
    int rc = expr_text(x, e->arg[0], row, &s, err);
    *ret = VAL_ABSENT;
    size_t at = rc || !s.p ? SIZE_MAX : str_find(s, STR("://"));
    if (at == SIZE_MAX)
        return rc;
    s = str_skip(s, at + 3);
    size_t n = 0;
    while (n < s.n && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
        n++;
    s = str_sub(s, 0, n);
    at = str_chr(s, '@');
    if (at != SIZE_MAX)
        s = str_skip(s, at + 1);
    bool v6 = s.n && s.p[0] == '[';
    n = str_chr(s, v6 ? ']' : ':');
    s = str_sub(s, v6, n == SIZE_MAX ? s.n : n - v6);
    if (s.n)
        *ret = (struct val){ .t = V_STR, .s = s };
    return 0;
}

/* ---- numbers ---- */

static int fn_number(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                     struct err *err)
{
    struct pred_bound n;
    int rc = expr_plain(x, e->arg[0], row, ret, err);
    if (rc || ret->t == V_I64 || ret->t == V_F64 || ret->t == V_NUM)
        return rc;
    if (ret->t == V_STR && pred_number(str_trim(ret->s), &n))
        *ret = n.integral ? (struct val){ .t = V_I64, .i = n.i }
                          : (struct val){ .t = V_F64, .d = n.d };
    else
        *ret = VAL_ABSENT;
    return 0;
}

static int fn_text(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                   struct err *err)
{
    str s;
    int rc = expr_text(x, e->arg[0], row, &s, err);
    *ret = rc || !s.p ? VAL_ABSENT : (struct val){ .t = V_STR, .s = s };
    return rc;
}

static int fn_round(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                    struct err *err)
{
    char which = e->fn->name[0];
    int64_t digits = 0;
    bool ok = true;
    int rc = fn_number(x, e, row, ret, err);
    if (!rc && e->narg > 1)
        rc = whole(x, e->arg[1], row, &digits, &ok, err);
    if (rc || ret->t == V_NULL || !ok) {
        *ret = VAL_ABSENT;
        return rc;
    }
    if (ret->t == V_I64) {
        if (which == 'a' && ret->i < 0)
            *ret = ret->i == INT64_MIN ? (struct val){ .t = V_F64, .d = -(double)ret->i }
                                       : (struct val){ .t = V_I64, .i = -ret->i };
        return 0;
    }
    double d = 0, scale = pow(10, digits > 15 ? 15 : digits < 0 ? 0 : (double)digits);
    if (!val_is_num(ret, &d)) {
        *ret = VAL_ABSENT;
        return 0;
    }
    d = which == 'a'   ? fabs(d)
        : which == 'c' ? ceil(d)
        : which == 'f' ? floor(d)
                       : round(d * scale) / scale;
    *ret = isfinite(d) ? val_normal((struct val){ .t = V_F64, .d = d }) : VAL_ABSENT;
    return 0;
}

/* ---- JSON ---- */

static int json_num(struct expr_eval *x, const struct json_tok *t, struct val *ret, struct err *err)
{
    int64_t i = 0;
    double d = 0;
    int rc = 0;
    switch (json_number(t->raw, t->integral, &i, &d)) {
    case JNUM_I64: *ret = (struct val){ .t = V_I64, .i = i }; break;
    case JNUM_F64: *ret = (struct val){ .t = V_F64, .d = d }; break;
    default: rc = expr_own(x, t->raw, ret, err); ret->t = V_NUM;
    }
    return rc;
}

int expr_json(struct expr_eval *x, str json, struct val *ret, struct err *err)
{
    struct json_rd r;
    struct json_tok t;
    struct err bad = ERR_INIT;
    json_init(&r, json);
    *ret = VAL_ABSENT;
    if (json_next(&r, &t, &bad))
        return 0;
    switch (t.type) {
    case JSON_TRUE:
    case JSON_FALSE: *ret = (struct val){ .t = V_BOOL, .b = t.type == JSON_TRUE }; return 0;
    case JSON_NUM: return json_num(x, &t, ret, err);
    case JSON_STR: {
        str s = json_unescape(&t, x->a);
        return s.p || !t.raw.n ? expr_own(x, s, ret, err) : err_nomem(err);
    }
    case JSON_OBJ:
    case JSON_ARR: {
        str whole_text;
        if (json_skip(&r, &t, &whole_text, &bad))
            return 0;
        int rc = expr_own(x, whole_text, ret, err);
        ret->t = V_JSON;
        return rc;
    }
    default: return 0;
    }
}

/* Moves r to the value of `step` in the object or array that t opened: 1, 0 when there is none. */
static int json_step(struct json_rd *r, struct json_tok *t, str step, struct arena *a,
                     struct err *err)
{
    struct err bad = ERR_INIT;
    uint64_t want = 0, at = 0;
    str skipped, key;
    bool arr = t->type == JSON_ARR;
    if ((!arr && t->type != JSON_OBJ) || (arr && !str_to_u64(step, &want)))
        return 0;
    for (;;) {
        if (json_next(r, t, &bad) || t->type == JSON_OBJ_END || t->type == JSON_ARR_END)
            return 0;
        bool hit = arr && at++ == want;
        if (t->type == JSON_KEY) {
            key = json_unescape(t, a);
            if (!key.p && t->raw.n)
                return err_nomem(err);
            hit = str_eq(key, step);
            if (json_next(r, t, &bad))
                return 0;
        }
        if (hit)
            return 1;
        if (json_skip(r, t, &skipped, &bad))
            return 0;
    }
}

/* json(text): the text as a value; json(text, "a.b.0"): what lies there */
static int fn_json(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                   struct err *err)
{
    struct err bad = ERR_INIT;
    struct json_rd r;
    struct json_tok t;
    str s[2] = { 0 }, step, found;
    bool ok;
    int rc = texts(x, e, e->narg, row, s, &ok, err);
    *ret = VAL_ABSENT;
    if (rc || !ok)
        return rc;
    buf_reset(&x->buf); /* the reader wants its room behind the text */
    buf_putstr(&x->buf, s[0]);
    if (!buf_ok(&x->buf))
        return err_nomem(err);
    if (!json_valid(buf_str(&x->buf)))
        return 0;
    json_init(&r, buf_str(&x->buf));
    if (json_next(&r, &t, &bad))
        return 0;
    for (str rest = s[1]; rest.n && str_split(&rest, '.', &step);) {
        rc = json_step(&r, &t, step, x->a, err);
        if (rc <= 0)
            return rc;
    }
    return json_skip(&r, &t, &found, &bad) ? 0 : expr_json(x, found, ret, err);
}

/* ---- the entry as it was sent ---- */

static int check_sent(struct parser *p, struct expr *e)
{
    if (!p->schema && !p->renamed && !p->dropped)
        return 0;
    parse_error(p, e->pos, "sent() must come before any pipe that changes the columns");
    err_hint(p->err, "put `eval x = sent(...)` in front of fields, drop, rename, eval and lookup");
    return ERR_INVALID;
}

static int fn_sent(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                   struct err *err)
{
    bool found = true;
    buf_reset(&x->buf);
    int rc = e->narg ? view_sent(&x->buf, x->entry, row, e->arg[0]->v.s, &found, err)
                     : view_source(&x->buf, x->entry, row, err);
    *ret = VAL_ABSENT;
    return rc || !found ? rc : expr_json(x, buf_str(&x->buf), ret, err);
}

/* ---- cost ---- */

static int check_cost(struct parser *p, struct expr *e)
{
    e->prices = p->o->prices;
    return 0;
}

/* what the sender reported, else tokens by the price table, else null */
static int fn_cost(struct expr_eval *x, const struct expr *e, uint32_t row, struct val *ret,
                   struct err *err)
{
    struct tokens tok = TOKENS_UNKNOWN;
    struct val v[8];
    double usd;
    for (uint32_t i = 0; i < 8; i++) {
        int rc = expr_arg(x, e->arg[i], row, &v[i], err);
        if (rc)
            return rc;
    }
    *ret = v[0];
    if (v[0].t != V_BOOL && val_is_num(&v[0], &usd))
        return 0;
    for (int k = 0; k < TK__COUNT; k++)
        if (v[3 + k].t == V_I64 && v[3 + k].i >= 0)
            tok.n[k] = v[3 + k].i;
    *ret = VAL_ABSENT;
    if (v[1].t == V_STR && v[2].t == V_I64 && prices_cost(e->prices, v[1].s, v[2].i, &tok, &usd))
        *ret = val_normal((struct val){ .t = V_F64, .d = usd });
    return 0;
}

const struct expr_fn expr_functions[] = {
    { "abs", 1, 1, NULL, fn_round, "abs(x)", "without its sign" },
    { "ceil", 1, 1, NULL, fn_round, "ceil(x)", "the next whole number above" },
    { "coalesce", 1, EXPR_ARGS_MAX, check_choice, fn_coalesce, "coalesce(x, y, ...)",
      "the first that is not null" },
    { "concat", 1, EXPR_ARGS_MAX, NULL, fn_concat, "concat(x, y, ...)",
      "one text of all; what is null adds nothing" },
    { "cost", 0, 0, check_cost, fn_cost, "cost()", "what the entry's call cost, in USD" },
    { "floor", 1, 1, NULL, fn_round, "floor(x)", "the next whole number below" },
    { "format_time", 2, 2, expr_check_format, expr_format_time, "format_time(t, \"%Y-%m-%d\")",
      "a time written with the letters of strftime" },
    { "if", 2, 3, check_choice, fn_if, "if(c, x [, y])", "x when c is true, else y" },
    { "json", 1, 2, NULL, fn_json, "json(x [, \"a.b.0\"])",
      "the value a JSON text stands for, or what lies at a path in it" },
    { "len", 1, 1, NULL, fn_len, "len(x)", "characters of a text, elements of an array" },
    { "lower", 1, 1, NULL, fn_case, "lower(x)", "in lower case" },
    { "number", 1, 1, NULL, fn_number, "number(x)", "a text as a number" },
    { "replace", 3, 3, NULL, fn_replace, "replace(x, old, new)", "with every old text replaced" },
    { "round", 1, 2, NULL, fn_round, "round(x [, digits])",
      "the nearest number of so many digits" },
    { "sent", 0, 1, check_sent, fn_sent, "sent([key])",
      "what the sender put under the key, or the whole entry" },
    { "split", 2, 3, NULL, fn_split, "split(x, sep [, k])",
      "the pieces as an array, or the k-th of them" },
    { "substr", 2, 3, NULL, fn_substr, "substr(x, from [, n])",
      "n characters from a place on; below 0 it counts from the end" },
    { "text", 1, 1, NULL, fn_text, "text(x)", "anything as a text" },
    { "trim", 1, 1, NULL, fn_trim, "trim(x)", "without blanks at both ends" },
    { "upper", 1, 1, NULL, fn_case, "upper(x)", "in upper case" },
    { "url_host", 1, 1, NULL, fn_url_host, "url_host(x)", "the host of an address" },
};
const uint32_t expr_nfunctions = sizeof expr_functions / sizeof *expr_functions;
