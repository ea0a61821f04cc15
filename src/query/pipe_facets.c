/* pipe_facets.c: `facets [n]`: the n most frequent values of every field that has few.
 *
 * Of entries every field and attribute is looked at, of a table every column; elements of arrays
 * count one by one. Left out are times, ids and what the store keeps for itself, and a field with
 * more than VALUES_MAX different values, with a value of more than VALUE_BYTES, or, from SPARSE
 * values on, with values that occur less than twice on average. None of this depends on the order
 * of rows. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "query/internal.h"

#define N_DEFAULT 10
#define N_MAX 1000
#define VALUES_MAX 1000
#define VALUE_BYTES 128
#define SPARSE 10

struct facets_args {
    uint64_t n;
};

struct facet {
    str name;
    bool left_out;
    struct intern values;
    uint64_t *counts;
    uint32_t cap;
    uint64_t rows;
    size_t bytes; /* of the run's */
};

struct facets_op {
    struct op op;
    struct smap by_name;
    struct facet **v;
    uint32_t n, cap;
    struct arena names; /* counted */
    struct buf buf;     /* scratch */
    uint64_t *codes;    /* scratch: dictionary code -> rows */
    uint32_t ncodes;
    bool ready;
};

static int facets_parse(struct parser *p, struct pipe *pipe)
{
    struct facets_args *a = arena_zalloc(p->a, sizeof *a);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    int rc = 0;
    if (!a || !out || !(out->cols = arena_zalloc(p->a, 3 * sizeof *out->cols)))
        return err_nomem(p->err);
    a->n = N_DEFAULT;
    lex_blank(p);
    int64_t at = (int64_t)p->pos;
    char c = lex_peek(p, 0);
    if (c && c != '|' && c != ')')
        rc = lex_uint(p, &a->n, "the number of values a field");
    if (!rc && (a->n < 1 || a->n > N_MAX))
        rc = parse_error(p, at, "the number of values a field is between 1 and %d", N_MAX);
    static const char *const names[] = { "field", "value", "count" };
    for (uint32_t i = 0; i < 3 && !rc; i++)
        rc = schema_computed(p, str_c(names[i]), F_NONE, &out->cols[out->n++]);
    pipe->args = a;
    pipe->out = out;
    return rc;
}

/* ---- one field ---- */

static int facet_of(struct facets_op *o, str name, struct facet **ret, struct err *err)
{
    struct run *r = o->op.run;
    uint64_t *slot = smap_get(&o->by_name, name);
    if (slot) {
        *ret = o->v[*slot];
        return 0;
    }
    if (o->n == o->cap) {
        uint32_t cap = o->cap ? o->cap * 2 : 64;
        struct facet **v = mem_realloc(o->v, cap * sizeof(struct facet *));
        if (!v)
            return err_nomem(err);
        r->kept_bytes += (cap - o->cap) * (sizeof(struct facet *) + 2 * sizeof(struct smap_slot));
        o->v = v;
        o->cap = cap;
    }
    size_t before = o->names.used;
    struct facet *f = arena_zalloc(&o->names, sizeof *f);
    str own = arena_dup(&o->names, name.n ? name : STR(""));
    r->kept_bytes += o->names.used - before;
    slot = f && own.p ? smap_put(&o->by_name, own, NULL) : NULL;
    if (!slot)
        return err_nomem(err);
    f->name = own;
    intern_init(&f->values, r, "facets");
    *slot = o->n;
    o->v[o->n++] = f;
    *ret = f;
    return run_room(r, "facets", err);
}

static void leave_out(struct facets_op *o, struct facet *f)
{
    intern_deinit(&f->values);
    mem_free(f->counts);
    f->counts = NULL;
    f->values.n = 0;
    f->cap = 0;
    f->left_out = true;
    o->op.run->kept_bytes -= f->bytes;
    f->bytes = 0;
}

static int add(struct facets_op *o, struct facet *f, struct val v, uint64_t n, struct err *err)
{
    struct run *r = o->op.run;
    size_t before = r->kept_bytes;
    uint32_t id;
    if (f->left_out || !n)
        return 0;
    if (v.t >= V_STR && v.s.n > VALUE_BYTES) {
        leave_out(o, f);
        return 0;
    }
    int rc = intern_val(&f->values, v, &id, err);
    if (!rc && f->values.n > f->cap) {
        uint32_t cap = f->cap ? f->cap * 2 : 16;
        uint64_t *counts = mem_realloc(f->counts, cap * sizeof *counts);
        if (!counts)
            return err_nomem(err);
        memset(counts + f->cap, 0, (cap - f->cap) * sizeof *counts);
        r->kept_bytes += (cap - f->cap) * sizeof *counts;
        f->counts = counts;
        f->cap = cap;
    }
    f->bytes += r->kept_bytes - before;
    if (rc)
        return rc;
    f->counts[id] += n;
    f->rows += n;
    if (f->values.n > VALUES_MAX)
        leave_out(o, f);
    return run_room(r, "facets", err);
}

/* ---- values ---- */

static bool passed_over(enum field f)
{
    return f != F_NONE && (f == F_ID || f == F_SEQ || f == F_KEY_ID ||
                           (field_table[f].flags & (FF_TIME | FF_VIRTUAL | FF_INTERNAL)));
}

static int json_scalar(struct facets_op *o, struct facet *f, const struct json_tok *t,
                       struct err *err)
{
    struct val v = { .t = V_STR };
    struct arena a;
    arena_init(&a, (size_t)1 << 20);
    if (t->type == JSON_TRUE || t->type == JSON_FALSE) {
        v = (struct val){ .t = V_BOOL, .b = t->type == JSON_TRUE };
    } else if (t->type == JSON_NUM) {
        enum json_num_kind k = json_number(t->raw, t->integral, &v.i, &v.d);
        v.t = k == JNUM_I64 ? V_I64 : k == JNUM_F64 ? V_F64 : V_NUM;
        v.s = t->raw;
    } else {
        /* longer ones leave the field out, whatever they say */
        v.s = t->raw.n > VALUE_BYTES * 6 ? t->raw : json_unescape(t, &a);
    }
    int rc = v.t == V_STR && !v.s.p && t->raw.n ? err_nomem(err) : add(o, f, v, 1, err);
    arena_deinit(&a);
    return rc;
}

/* the scalars in an array, or one; the text is in o->buf */
static int json_values(struct facets_op *o, struct facet *f, struct err *err)
{
    struct err bad = ERR_INIT;
    struct json_rd r;
    struct json_tok t;
    str skipped;
    int rc = 0;
    json_init(&r, buf_str(&o->buf));
    if (json_next(&r, &t, &bad) || t.type == JSON_OBJ)
        return 0;
    if (t.type != JSON_ARR)
        return t.type == JSON_NULL ? 0 : json_scalar(o, f, &t, err);
    while (!rc && json_next(&r, &t, &bad) == 0 && t.type != JSON_ARR_END) {
        if (t.type == JSON_OBJ || t.type == JSON_ARR)
            rc = json_skip(&r, &t, &skipped, &bad) ? 1 : 0;
        else if (t.type != JSON_NULL)
            rc = json_scalar(o, f, &t, err);
    }
    return rc < 0 ? rc : 0;
}

static int json_text(struct facets_op *o, struct facet *f, str s, struct err *err)
{
    if (f->left_out)
        return 0;
    buf_reset(&o->buf); /* the reader wants its room behind the text */
    buf_putstr(&o->buf, s);
    return buf_ok(&o->buf) ? json_values(o, f, err) : err_nomem(err);
}

static int add_value(struct facets_op *o, struct facet *f, enum field field, struct val v,
                     struct err *err)
{
    if (v.t == V_NULL)
        return 0;
    if (v.t == V_JSON)
        return json_text(o, f, v.s, err);
    if (field == F_LEVEL && v.t == V_I64 && v.i >= 0 && v.i < LV__COUNT)
        v = (struct val){ .t = V_STR, .s = level_names[v.i] };
    return add(o, f, v, 1, err);
}

/* a dictionary column: each value once a block */
static int add_codes(struct facets_op *o, struct facet *f, const struct colv *c,
                     const uint64_t *sel, struct err *err)
{
    if (c->ndict > o->ncodes) {
        uint64_t *codes = mem_realloc(o->codes, c->ndict * sizeof *codes);
        if (!codes)
            return err_nomem(err);
        o->codes = codes;
        o->ncodes = c->ndict;
    }
    memset(o->codes, 0, c->ndict * sizeof *o->codes);
    for (size_t i = bits_next(sel, 0, c->n); i < c->n; i = bits_next(sel, i + 1, c->n))
        if (colv_has(c, (uint32_t)i))
            o->codes[c->codes[i]]++;
    int rc = 0;
    for (uint32_t k = 0; k < c->ndict && !rc; k++) {
        str s = { c->bytes + c->off[k], c->off[k + 1] - c->off[k] };
        if (o->codes[k])
            rc = add(o, f, (struct val){ .t = V_STR, .s = s }, o->codes[k], err);
    }
    return rc;
}

/* the field of a column as people write it */
static int facet_of_key(struct facets_op *o, str key, struct facet **ret, struct err *err)
{
    buf_reset(&o->buf);
    field_put_name(&o->buf, key);
    str name = buf_str(&o->buf);
    if (key.p[0] == PATH_SEP && field_by_name(name) != F_NONE) {
        buf_reset(&o->buf);
        buf_puts(&o->buf, "attributes.");
        field_put_name(&o->buf, key);
    }
    return buf_ok(&o->buf) ? facet_of(o, buf_str(&o->buf), ret, err) : err_nomem(err);
}

static int add_column(struct facets_op *o, struct block *b, uint32_t col, const uint64_t *sel,
                      struct err *err)
{
    const struct colinfo *info = &b->cols[col];
    enum field field = field_by_key(info->key);
    const struct colv *c;
    struct facet *f;
    if (info->type == V_NULL || !info->key.n || passed_over(field))
        return 0;
    int rc = facet_of_key(o, info->key, &f, err);
    if (rc || f->left_out)
        return rc;
    rc = block_load_rows(b, col, sel, &c, err);
    if (!rc && c->codes && c->type == V_STR)
        return add_codes(o, f, c, sel, err);
    for (size_t i = bits_next(sel, 0, b->n); i < b->n && !rc && !f->left_out;
         i = bits_next(sel, i + 1, b->n))
        if (colv_has(c, (uint32_t)i))
            rc = add_value(o, f, field, colv_val(c, (uint32_t)i), err);
    return rc;
}

/* attributes that have no column */
static int add_rest(struct facets_op *o, struct block *b, uint32_t col, const uint64_t *sel,
                    struct err *err)
{
    const struct colv *c;
    struct arena a;
    int rc = block_load_rows(b, col, sel, &c, err);
    arena_init(&a, (size_t)64 << 20);
    for (size_t i = bits_next(sel, 0, b->n); i < b->n && !rc; i = bits_next(sel, i + 1, b->n)) {
        struct err bad = ERR_INIT;
        struct json_rd r;
        struct json_tok t;
        struct facet *f;
        str value;
        if (!colv_has(c, (uint32_t)i))
            continue;
        arena_reset(&a);
        json_init(&r, colv_text(c, (uint32_t)i));
        rc = json_next(&r, &t, &bad) ? 1 : 0;
        while (!rc && json_next(&r, &t, &bad) == 0 && t.type == JSON_KEY) {
            str key = json_unescape(&t, &a);
            if (json_next(&r, &t, &bad) || json_skip(&r, &t, &value, &bad))
                break;
            if (!key.n || key.p[0] != PATH_SEP)
                continue; /* how a field was spelled */
            rc = facet_of_key(o, key, &f, err);
            if (!rc)
                rc = json_text(o, f, value, err);
        }
        rc = rc > 0 ? 0 : rc;
    }
    arena_deinit(&a);
    return rc;
}

static int add_table(struct facets_op *o, const struct chunk *c, struct err *err)
{
    const struct schema *s = o->op.pipe->in;
    int rc = 0;
    for (uint32_t k = 0; k < s->n && !rc; k++) {
        const struct qcol *col = &s->cols[k];
        struct access acc;
        struct facet *f;
        struct val v;
        if (passed_over(col->ref.field))
            continue;
        rc = facet_of(o, col->name, &f, err);
        if (!rc)
            rc = access_open(&acc, c->b, &col->ref, err);
        for (size_t i = bits_next(c->sel, 0, c->b->n); i < c->b->n && !rc && !f->left_out;
             i = bits_next(c->sel, i + 1, c->b->n)) {
            rc = access_get(&acc, (uint32_t)i, &v, err);
            if (!rc)
                rc = add_value(o, f, col->ref.field, v, err);
        }
    }
    return rc;
}

/* ---- running ---- */

static int facets_open(struct op *o, struct err *err)
{
    struct facets_op *f = (struct facets_op *)o;
    (void)err;
    smap_init(&f->by_name, SMAP_BORROW);
    arena_init(&f->names, SIZE_MAX);
    buf_init(&f->buf, (size_t)256 << 20);
    f->ready = true;
    return 0;
}

static int facets_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct facets_op *f = (struct facets_op *)o;
    struct block *b = c->b;
    int rc = 0;
    if (o->pipe->in)
        return add_table(f, c, err);
    for (uint32_t k = 0; k < b->ncols && !rc; k++) {
        bool rest = str_eq(b->cols[k].key, field_table[F_REST].name);
        if (rest && b->cols[k].type == V_JSON)
            rc = add_rest(f, b, k, c->sel, err);
        else
            rc = add_column(f, b, k, c->sel, err);
        if (!rc)
            rc = run_check(o->run, err);
    }
    return rc;
}

static int facets_merge(struct op *o, struct op *from, struct err *err)
{
    struct facets_op *f = (struct facets_op *)o, *g = (struct facets_op *)from;
    int rc = 0;
    for (uint32_t i = 0; i < g->n && !rc; i++) {
        const struct facet *x = g->v[i];
        struct facet *to;
        rc = facet_of(f, x->name, &to, err);
        if (!rc && x->left_out && !to->left_out)
            leave_out(f, to);
        for (uint32_t k = 0; k < x->values.n && !rc; k++)
            rc = add(f, to, x->values.vals[k], x->counts[k], err);
    }
    return rc;
}

static int by_name(const void *x, const void *y)
{
    const struct facet *a = *(struct facet *const *)x, *b = *(struct facet *const *)y;
    return str_cmp(a->name, b->name);
}

static int by_count(const void *x, const void *y, void *arg)
{
    const struct facet *f = arg;
    uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
    if (f->counts[i] != f->counts[k])
        return f->counts[i] > f->counts[k] ? -1 : 1;
    return val_cmp(&f->values.vals[i], &f->values.vals[k]);
}

static int put_facet(struct facets_op *o, struct facet *f, struct err *err)
{
    const struct facets_args *a = o->op.pipe->args;
    uint32_t order[VALUES_MAX], n = f->values.n;
    struct val vals[3 * N_MAX];
    if (f->left_out || !n || (n > SPARSE && f->rows < 2 * (uint64_t)n))
        return 0;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof *order, by_count, f);
    n = n < a->n ? n : (uint32_t)a->n;
    for (uint32_t i = 0; i < n; i++) {
        vals[3 * i] = (struct val){ .t = V_STR, .s = f->name };
        vals[3 * i + 1] = f->values.vals[order[i]];
        vals[3 * i + 2] = (struct val){ .t = V_I64, .i = (int64_t)f->counts[order[i]] };
    }
    return table_push(o->op.run, o->op.next, o->op.pipe->out, vals, n, err);
}

static int facets_finish(struct op *o, struct err *err)
{
    struct facets_op *f = (struct facets_op *)o;
    int rc = 0;
    if (f->n)
        qsort(f->v, f->n, sizeof(struct facet *), by_name);
    for (uint32_t i = 0; i < f->n && !rc; i++)
        rc = put_facet(f, f->v[i], err);
    return rc;
}

static void facets_close(struct op *o)
{
    struct facets_op *f = (struct facets_op *)o;
    if (!f->ready)
        return;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->v[i]->left_out)
            continue;
        intern_deinit(&f->v[i]->values);
        mem_free(f->v[i]->counts);
    }
    mem_free(f->v);
    mem_free(f->codes);
    smap_deinit(&f->by_name);
    arena_deinit(&f->names);
    buf_deinit(&f->buf);
}

static const struct op_ops facets_ops = {
    sizeof(struct facets_op), facets_open, facets_push, facets_finish, facets_close, facets_merge
};
const struct pipe_def pipe_facets = {
    "facets",    PIPE_GROUPS,  facets_parse,
    &facets_ops, "facets [N]", "the N most frequent values of every field that has few"
};
