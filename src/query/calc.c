/* calc.c: tests of a computed value in a filter behind a pipe: `concat(a, " ", b):*"x y"*`.
 *
 * The function is evaluated for each row that is still in question. One case can do better: a
 * substring of a concatenation of fields and constants lies either within one of the fields or
 * across their ends, and which ways there are follows from the needle:
 *
 *   concat(a," ",b) has "to go now"   a has it OR b has it
 *                                     OR (a ends "to" AND b begins "go now")
 *                                     OR (a ends "to go" AND b begins "now")
 *
 * That is a tree of ordinary tests, for which there are indexes. It holds where the fields are
 * texts, which is for the block to say (pred_calc.texts). */
#include "base/mem.h"
#include "base/utf8.h"
#include "query/expr.h"

#define WAYS_MAX 64

/* ---- evaluation ---- */

struct calc_run {
    struct arena a; /* texts of one row */
    struct expr_eval x;
};

static void calc_close(void *opened)
{
    struct calc_run *r = opened;
    expr_close(&r->x);
    arena_deinit(&r->a);
    mem_free(r);
}

static int calc_open(const struct pred_calc *c, struct block *b, void **ret, struct err *err)
{
    struct calc_run *r = mem_zalloc(sizeof *r);
    if (!r)
        return err_nomem(err);
    arena_init(&r->a, EXPR_BYTES_MAX);
    int rc = expr_open(&r->x, c->ctx, b, &r->a, err);
    if (rc)
        calc_close(r);
    else
        *ret = r;
    return rc;
}

static int calc_value(void *opened, uint32_t row, struct val *ret, struct err *err)
{
    struct calc_run *r = opened;
    arena_reset(&r->a);
    return expr_value(&r->x, row, ret, err);
}

/* ---- the ways a needle can lie in a concatenation ---- */

struct ways {
    struct arena *a;
    const struct expr *concat;
    str needle; /* folded */
    struct pred *any[WAYS_MAX];
    uint32_t n;
    bool always;  /* a constant holds it */
    bool give_up; /* too many ways, or out of memory */
};

static str folded(struct ways *w, str s)
{
    char *p = arena_alloc(w->a, s.n + 1);
    if (!p) {
        w->give_up = true;
        return STR_NULL;
    }
    utf8_fold(s, p);
    return (str){ p, s.n };
}

static void add_way(struct ways *w, struct pred *x)
{
    if (!x || w->n == WAYS_MAX)
        w->give_up = true;
    else
        w->any[w->n++] = x;
}

/* "", or no value at all */
static struct pred *is_empty(struct arena *a, const struct fieldref *f)
{
    return pred_or(a, pred_not(a, pred_exists(a, f)), pred_equal(a, f, STR(""), true));
}

static bool boundary(str s, size_t at)
{
    return at >= s.n || ((unsigned char)s.p[at] & 0xc0) != 0x80;
}

/* The rest of the needle from `pos` stands at the start of part i; `so_far` holds for what is
 * before it. */
static void from_part(struct ways *w, uint32_t i, size_t pos, struct pred *so_far)
{
    str rest = str_skip(w->needle, pos);
    if (w->give_up)
        return;
    if (!rest.n) {
        add_way(w, so_far);
        return;
    }
    if (i == w->concat->narg)
        return;
    const struct expr *part = w->concat->arg[i];
    if (part->kind == X_CONST) {
        str lit = folded(w, part->v.s);
        if (rest.n <= lit.n ? str_starts(lit, rest) : str_starts(rest, lit))
            from_part(w, i + 1, rest.n <= lit.n ? w->needle.n : pos + lit.n, so_far);
        return;
    }
    add_way(w, pred_and(w->a, so_far, pred_affix(w->a, &part->ref, rest, true, false)));
    from_part(w, i + 1, pos, pred_and(w->a, so_far, is_empty(w->a, &part->ref)));
    for (size_t m = 1; m < rest.n && i + 1 < w->concat->narg; m++)
        if (boundary(rest, m))
            from_part(w, i + 1, pos + m,
                      pred_and(w->a, so_far,
                               pred_affix(w->a, &part->ref, str_sub(rest, 0, m), true, true)));
}

/* the needle begins in part i, not at its very end */
static void begins_in(struct ways *w, uint32_t i)
{
    const struct expr *part = w->concat->arg[i];
    if (part->kind == X_CONST) {
        str lit = folded(w, part->v.s);
        w->always |= !w->give_up && str_find(lit, w->needle) != SIZE_MAX;
        for (size_t at = 0; at < lit.n && !w->give_up; at++) {
            str tail = str_skip(lit, at);
            if (boundary(lit, at) && tail.n < w->needle.n && str_starts(w->needle, tail))
                from_part(w, i + 1, tail.n, pred_true(w->a));
        }
        return;
    }
    struct pred *within;
    struct err err = ERR_INIT;
    str *value = arena_zalloc(w->a, 3 * sizeof *value);
    struct pred_scope sc = { .fields = &part->ref, .n = 1 };
    if (!value) {
        w->give_up = true;
        return;
    }
    value[0] = value[2] = STR("");
    value[1] = w->needle;
    if (pred_words(&within, w->a, &sc, &(struct pred_value){ .part = value, .nparts = 3 }, &err))
        w->give_up = true;
    else
        add_way(w, within);
    for (size_t m = 1; m < w->needle.n && i + 1 < w->concat->narg; m++)
        if (boundary(w->needle, m))
            from_part(w, i + 1, m,
                      pred_affix(w->a, &part->ref, str_sub(w->needle, 0, m), false, true));
}

static bool of_fields_and_texts(const struct expr *e)
{
    if (e->kind != X_CALL || !str_eq(str_c(e->fn->name), STR("concat")))
        return false;
    for (uint32_t i = 0; i < e->narg; i++)
        if (e->arg[i]->kind != X_FIELD && !expr_is_const_text(e->arg[i]))
            return false;
    return true;
}

/* NULL: there is no such tree */
static struct pred *as_texts(struct parser *p, const struct expr_prog *prog, const struct ast *n)
{
    const struct pred_value *v = &n->value;
    if (n->kind != A_MATCH || v->nparts != 3 || v->part[0].n || v->part[2].n || !v->part[1].n ||
        !of_fields_and_texts(prog->root))
        return NULL;
    struct ways w = { .a = p->a, .concat = prog->root };
    w.needle = folded(&w, v->part[1]);
    for (uint32_t i = 0; i < prog->root->narg && !w.give_up; i++)
        begins_in(&w, i);
    if (w.give_up)
        return NULL;
    return w.always ? pred_true(p->a) : pred_any(p->a, w.any, w.n);
}

int calc_tests(struct parser *p, const struct ast *n, struct pred *x)
{
    const struct expr_prog *prog = n->field.calc;
    struct pred_calc *c = arena_zalloc(p->a, sizeof *c);
    struct fieldref *fields = arena_array(p->a, prog->nfields + 1, sizeof *fields);
    if (!c || !fields)
        return err_nomem(p->err);
    for (uint32_t i = 0; i < prog->nfields; i++)
        fields[i] = prog->fields[i]->ref;
    *c = (struct pred_calc){ .open = calc_open,
                             .value = calc_value,
                             .close = calc_close,
                             .ctx = prog,
                             .text = prog->text,
                             .marks = prog->marks,
                             .texts = as_texts(p, prog, n),
                             .fields = fields,
                             .nfields = prog->nfields };
    pred_set_calc(x, c);
    return 0;
}
