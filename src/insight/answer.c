/* answer.c: see answer.h. */
#include "insight/answer.h"

static int add_cell(struct answer_row *r, struct arena *a, struct answer_cell c, struct err *err)
{
    if (r->n == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 8;
        r->cells = arena_grow(a, r->cells, r->n, cap, sizeof *r->cells);
        if (!r->cells)
            return err_nomem(err);
        r->cap = cap;
    }
    r->cells[r->n++] = c;
    return 0;
}

static int read_value(struct json_rd *rd, const struct json_tok *t, struct arena *a,
                      struct answer_cell *c, struct err *err)
{
    c->type = t->type;
    if (t->type == JSON_OBJ || t->type == JSON_ARR)
        return json_skip(rd, t, &c->text, err);
    c->text = t->type == JSON_STR ? json_unescape(t, a) : t->raw;
    return t->type == JSON_STR && t->raw.n && !c->text.p ? err_nomem(err) : 0;
}

static int read_row(struct answer_row *r, struct arena *a, str object, struct err *err)
{
    struct json_rd rd;
    struct json_tok t;
    json_init(&rd, object);
    int rc = json_next(&rd, &t, err);
    if (rc == 0 && t.type != JSON_OBJ)
        return err_set(err, ERR_INVALID, "a row is not a JSON object");
    while (rc == 0 && (rc = json_next(&rd, &t, err)) == 0 && t.type == JSON_KEY) {
        struct answer_cell c = { .name = json_unescape(&t, a) };
        if (t.raw.n && !c.name.p)
            return err_nomem(err);
        rc = json_next(&rd, &t, err);
        if (rc == 0)
            rc = read_value(&rd, &t, a, &c, err);
        if (rc == 0)
            rc = add_cell(r, a, c, err);
    }
    return rc;
}

int answer_add(struct answer *t, struct arena *a, str object, struct err *err)
{
    if (t->n == ANSWER_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "an answer has more than %d rows", ANSWER_ROWS_MAX);
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 16;
        t->rows = arena_grow(a, t->rows, t->n, cap, sizeof *t->rows);
        if (!t->rows)
            return err_nomem(err);
        t->cap = cap;
    }
    char *copy = arena_alloc(a, object.n + BUF_PAD);
    if (!copy)
        return err_nomem(err);
    if (object.n)
        memcpy(copy, object.p, object.n);
    memset(copy + object.n, 0, BUF_PAD);
    struct answer_row r = { 0 };
    int rc = read_row(&r, a, (str){ copy, object.n }, err);
    if (rc == 0)
        t->rows[t->n++] = r;
    return rc;
}

const struct answer_cell *answer_cell(const struct answer_row *r, const char *name)
{
    str want = str_c(name);
    for (uint32_t i = 0; r && i < r->n; i++)
        if (str_eq(r->cells[i].name, want))
            return &r->cells[i];
    return NULL;
}

bool answer_has(const struct answer_row *r, const char *name)
{
    const struct answer_cell *c = answer_cell(r, name);
    return c && c->type != JSON_NULL;
}

str answer_text(const struct answer_row *r, const char *name)
{
    const struct answer_cell *c = answer_cell(r, name);
    if (!c || c->type == JSON_NULL)
        return STR_NULL;
    if (c->type == JSON_TRUE)
        return STR("true");
    return c->type == JSON_FALSE ? STR("false") : c->text;
}

double answer_num(const struct answer_row *r, const char *name, double unset)
{
    const struct answer_cell *c = answer_cell(r, name);
    double d;
    return c && c->type == JSON_NUM && str_to_f64(c->text, &d) ? d : unset;
}

bool answer_time(const struct answer_row *r, const char *name, ts_ns *ret)
{
    const struct answer_cell *c = answer_cell(r, name);
    return c && c->type == JSON_STR && ts_parse_iso(c->text, ret);
}

const struct answer_row *answer_find(const struct answer *t, const char *name, str text)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (str_eq(answer_text(&t->rows[i], name), text))
            return &t->rows[i];
    return NULL;
}
