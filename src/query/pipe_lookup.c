/* pipe_lookup.c: `lookup f [as g], ... from (query) on a = b`, and `join` of the same form: columns
 * of other rows beside these.
 *
 * To each row whose a is the b of a row of the other query the columns of that row are added: of
 * several the one that the other query gives first. Rows without one get nulls; none is lost, none
 * is doubled, and the order stays. `join` gives a row for each row of the other query that fits, in
 * its order, JOIN_MAX at most of one key, and none for rows that find nothing.
 *
 *   rows ──keep──► 2048 of them ──their new keys──► other query AND b in (keys) ──► key -> columns
 *                       └──────────────────────────────────────────────────────────────► on
 *
 * So the other query reads only what the indexes cannot rule out for these keys; what a key gave is
 * remembered for the batches to come. When the other query has pipes that change or drop rows, its
 * keys cannot be asked for beforehand, and it is run once as a whole. It sees the same moment as
 * the scan it stands beside. */
#include "base/mem.h"
#include "query/overlay.h"
#include "query/run.h"

#define BATCH_ROWS 2048
#define BATCH_BYTES ((size_t)8 << 20)
#define PIECE_ROWS 512
#define JOIN_MAX 1000

struct lookup_args {
    struct query *other;
    struct fieldref key;       /* a */
    struct fieldref other_key; /* b */
    struct fieldref *set;      /* what the columns become */
    uint32_t n;
    bool narrow; /* the keys can be asked for */
    bool join;
};

struct found {
    uint32_t first, last; /* rows of vals, plus 1; 0 = none */
    uint32_t n;
};

struct lookup_op {
    struct op op;
    struct kept **rows;
    uint32_t n;
    size_t bytes;
    struct intern keys;
    bool keyed;          /* keys is set up */
    struct found *found; /* by key */
    uint32_t cap;
    uint32_t asked;    /* keys below it have been looked up */
    bool whole;        /* the other query was run as a whole */
    struct val **vals; /* of each row found */
    uint32_t *next;    /* join: the next one of its key, plus 1 */
    uint32_t nvals, cap_vals;
    bool cut; /* a key had more than JOIN_MAX */
    struct arena batch;
    struct scan_cost cost;
};

/* ---- parsing ---- */

static int parse_items(struct parser *p, struct qname *cols, struct qname *as, uint32_t *ret_n)
{
    uint32_t n = 0;
    do {
        if (n == OVERLAY_COLS_MAX)
            return parse_error(p, (int64_t)p->pos, "more than %d columns", OVERLAY_COLS_MAX);
        int rc = lex_name(p, &cols[n], "a field of the other rows");
        as[n] = cols[n];
        if (!rc && lex_word(p, "as"))
            rc = lex_name(p, &as[n], "a name after as");
        if (rc)
            return rc;
        n++;
    } while (lex_char(p, ','));
    *ret_n = n;
    return 0;
}

/* from (query) on a = b; cols[0] becomes b */
static int parse_source(struct parser *p, struct lookup_args *a, struct qname *cols, uint32_t n)
{
    struct parse_place end;
    struct qname key;
    if (!lex_word(p, "from"))
        return parse_error(p, (int64_t)p->pos, "expected `from (query)` behind the columns");
    int rc = parse_inner(p, "behind from", &a->other, &end);
    if (!rc && !lex_word(p, "on"))
        rc = parse_error(p, (int64_t)p->pos, "expected `on` and the fields that are equal");
    if (!rc)
        rc = lex_name(p, &key, "a field of these rows");
    if (!rc)
        rc = schema_resolve(p, &key, &a->key);
    if (!rc)
        rc = lex_expect(p, '=', "between the fields that are equal");
    if (!rc)
        rc = lex_name(p, &cols[0], "a field of the other rows");
    if (!rc)
        rc = parse_inner_fields(p, &end, cols, n + 1);
    return rc ? rc : parse_inner_end(p, a->other);
}

static int lookup_parse(struct parser *p, struct pipe *pipe)
{
    struct lookup_args *a = arena_zalloc(p->a, sizeof *a);
    struct qname *cols = arena_array(p->a, 2 * OVERLAY_COLS_MAX + 2, sizeof *cols), *as;
    if (!a || !cols)
        return err_nomem(p->err);
    as = cols + OVERLAY_COLS_MAX + 1;
    int rc = parse_items(p, cols + 1, as, &a->n);
    if (!rc)
        rc = parse_source(p, a, cols, a->n);
    if (rc)
        return rc;
    a->set = arena_array(p->a, a->n, sizeof *a->set);
    if (!a->set)
        return err_nomem(p->err);
    for (uint32_t i = 0; i < a->n && !rc; i++)
        rc = schema_set(p, &as[i], &a->set[i]);
    a->narrow = a->other->first && !a->other->first->next;
    if (a->narrow)
        a->other_key = a->other->first->out->cols[0].ref;
    a->join = pipe->def == &pipe_join;
    pipe->args = a;
    pipe->out = p->schema;
    p->renamed = true;
    return rc;
}

/* ---- the other query ---- */

static bool is_key(const struct val *v)
{
    return v->t != V_NULL && v->t != V_JSON;
}

/* the number of a key; UINT32_MAX for a value that is none */
static int key_number(struct lookup_op *l, struct val v, uint32_t *ret, struct err *err)
{
    *ret = UINT32_MAX;
    if (!is_key(&v))
        return 0;
    int rc = intern_val(&l->keys, val_normal(v), ret, err);
    if (rc || l->keys.n <= l->cap)
        return rc;
    uint32_t cap = l->cap ? l->cap * 2 : 256;
    while (cap < l->keys.n)
        cap *= 2;
    struct found *found = mem_realloc(l->found, cap * sizeof *found);
    if (!found)
        return err_nomem(err);
    memset(found + l->cap, 0, (cap - l->cap) * sizeof *found);
    l->op.run->kept_bytes += (cap - l->cap) * sizeof *found;
    l->found = found;
    l->cap = cap;
    return 0;
}

/* a value of the other row, in memory of the run; instants and levels as texts, as in eval */
static int own_val(struct lookup_op *l, const struct query_cell *c, struct val *ret,
                   struct err *err)
{
    struct run *r = l->op.run;
    char text[TS_TEXT_MAX];
    *ret = c->v;
    if (c->v.t == V_I64 && c->field == F_LEVEL && c->v.i >= 0 && c->v.i < LV__COUNT)
        *ret = (struct val){ .t = V_STR, .s = level_names[c->v.i] };
    else if (c->v.t == V_I64 && c->field != F_NONE && field_table[c->field].flags & FF_TIME)
        *ret = (struct val){ .t = V_STR, .s = { text, ts_format(c->v.i, -1, text) } };
    if (ret->t < V_STR || !ret->s.n)
        return 0;
    ret->s = arena_dup(&r->arena, ret->s);
    return ret->s.p ? run_room(r, l->op.pipe->def->name, err)
                    : run_nomem(r, l->op.pipe->def->name, err);
}

static int take_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct lookup_op *l = ctx;
    struct run *r = l->op.run;
    const struct lookup_args *a = l->op.pipe->args;
    uint32_t id, n = row->ncells - 1;
    int rc = key_number(l, row->cells[0].v, &id, err);
    if (rc || id == UINT32_MAX)
        return rc;
    struct found *found = &l->found[id];
    if (found->n >= (a->join ? JOIN_MAX : 1)) {
        l->cut |= a->join;
        return 0;
    }
    if (l->nvals == l->cap_vals) {
        uint32_t cap = l->cap_vals ? l->cap_vals * 2 : 256;
        struct val **vals = mem_realloc(l->vals, cap * sizeof(struct val *));
        if (vals)
            l->vals = vals;
        uint32_t *next = mem_realloc(l->next, cap * sizeof *next);
        if (next)
            l->next = next;
        if (!vals || !next)
            return err_nomem(err);
        r->kept_bytes += (cap - l->cap_vals) * (sizeof(struct val *) + sizeof *next);
        l->cap_vals = cap;
    }
    struct val *own = arena_array(&r->arena, n, sizeof *own);
    if (!own)
        return run_nomem(r, l->op.pipe->def->name, err);
    for (uint32_t i = 0; i < n && !rc; i++)
        rc = own_val(l, &row->cells[i + 1], &own[i], err);
    l->next[l->nvals] = 0;
    l->vals[l->nvals++] = own;
    if (found->n++)
        l->next[found->last - 1] = l->nvals;
    else
        found->first = l->nvals;
    found->last = l->nvals;
    return rc;
}

/* "b is one of the keys from `from` on" */
static int keys_filter(struct lookup_op *l, struct arena *a, uint32_t from, struct pred **ret,
                       struct err *err)
{
    const struct fieldref *f = &((const struct lookup_args *)l->op.pipe->args)->other_key;
    uint32_t n = l->keys.n - from, nstr = 0, nother = 0;
    str *strs = arena_array(a, n + 1, sizeof *strs);
    struct pred **other = arena_array(a, n + 2, sizeof(struct pred *));
    if (!strs || !other)
        return err_nomem(err);
    for (uint32_t i = from; i < l->keys.n; i++) {
        const struct val *v = &l->keys.vals[i];
        char *number = NULL;
        if (v->t == V_STR && f->field != F_ID) {
            strs[nstr++] = v->s;
            continue;
        }
        if (v->t == V_I64)
            number = arena_printf(a, "%lld", (long long)v->i);
        else if (v->t == V_F64)
            number = arena_printf(a, "%.17g", v->d);
        str s = v->t == V_BOOL ? (v->b ? STR("true") : STR("false"))
                : number       ? str_c(number)
                               : v->s;
        other[nother++] = pred_equal(a, f, s, v->t == V_STR);
    }
    if (nstr)
        other[nother++] = pred_in(a, f, strs, nstr);
    *ret = pred_any(a, other, nother);
    return *ret ? 0 : err_nomem(err);
}

static int run_other(struct lookup_op *l, const struct pred *filter, bool first, struct err *err)
{
    const struct lookup_args *a = l->op.pipe->args;
    struct query q = *a->other;
    struct query_sink sink = { .ctx = l, .row = take_row };
    if (filter)
        q.filter = (struct pred *)(uintptr_t)filter; /* only read */
    return run_inner(l->op.run, &q, &sink, &l->cost, first, err);
}

/* looks up the keys that are new */
static int look_up(struct lookup_op *l, struct err *err)
{
    const struct lookup_args *a = l->op.pipe->args;
    struct arena m;
    struct pred *in = NULL;
    uint32_t from = l->asked;
    if (l->keys.n == from || l->whole)
        return 0;
    l->whole = !a->narrow;
    if (l->whole)
        return run_other(l, NULL, true, err);
    arena_init(&m, QUERY_MEMORY_DEFAULT);
    int rc = keys_filter(l, &m, from, &in, err);
    if (!rc && !(in = pred_and(&m, a->other->filter, in)))
        rc = err_nomem(err);
    if (!rc)
        rc = run_other(l, in, from == 0, err);
    l->asked = l->keys.n;
    arena_deinit(&m);
    return rc;
}

/* ---- rows ---- */

static int lookup_open(struct op *o, struct err *err)
{
    struct lookup_op *l = (struct lookup_op *)o;
    arena_init(&l->batch, (size_t)1 << 30);
    intern_init(&l->keys, o->run, o->pipe->def->name);
    l->keyed = true;
    l->rows = mem_array(BATCH_ROWS, sizeof(struct kept *));
    return l->rows ? 0 : err_nomem(err);
}

/* the columns found (.. may be NULL: none) laid over n rows, and these handed on */
static int push_rows(struct lookup_op *l, struct kept *const *rows, struct val *const *found,
                     uint32_t n, struct err *err)
{
    const struct lookup_args *a = l->op.pipe->args;
    struct arena *m = &l->batch;
    struct overlay_col cols[OVERLAY_COLS_MAX];
    uint64_t sel[BLOCK_WORDS];
    struct chunk c = { .sel = sel, .nsel = n };
    arena_reset(m);
    bits_fill(sel, n);
    int rc = kept_block(l->op.run, m, rows, n, &c.b, err);
    struct val *vals = arena_array(m, (size_t)n * a->n, sizeof *vals);
    if (!rc && !vals)
        rc = err_nomem(err);
    for (uint32_t k = 0; k < a->n && !rc; k++) {
        for (uint32_t i = 0; i < n; i++)
            vals[(size_t)k * n + i] =
                found[i] && found[i][k].t != V_NULL ? found[i][k] : VAL_ABSENT;
        cols[k] = (struct overlay_col){ a->set[k], vals + (size_t)k * n };
    }
    if (!rc)
        rc = overlay_make(m, c.b, sel, cols, a->n, &c.b, err);
    return rc ? rc : op_push(l->op.next, &c, err);
}

static uint32_t first_found(const struct lookup_op *l, const struct kept *row)
{
    return row->order == UINT32_MAX ? 0 : l->found[row->order].first;
}

static int push_piece(struct lookup_op *l, struct kept *const *rows, uint32_t n, struct err *err)
{
    struct val *found[PIECE_ROWS];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = first_found(l, rows[i]);
        found[i] = at ? l->vals[at - 1] : NULL;
    }
    return push_rows(l, rows, found, n, err);
}

/* the same for join: each row as often as it finds one */
static int push_joined(struct lookup_op *l, struct kept *const *rows, uint32_t n, struct err *err)
{
    struct val *found[PIECE_ROWS];
    struct kept *again[PIECE_ROWS];
    uint32_t m = 0;
    int rc = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t at = first_found(l, rows[i]); at && !rc; at = l->next[at - 1]) {
            again[m] = rows[i];
            found[m++] = l->vals[at - 1];
            if (m < PIECE_ROWS)
                continue;
            rc = push_rows(l, again, found, m, err);
            m = 0;
        }
    }
    return rc || !m ? rc : push_rows(l, again, found, m, err);
}

/* the rows kept so far, with their columns; all are freed in any case */
static int flush(struct lookup_op *l, struct err *err)
{
    const struct lookup_args *a = l->op.pipe->args;
    int rc = look_up(l, err);
    for (uint32_t i = 0; i < l->n; i += PIECE_ROWS) {
        uint32_t n = l->n - i < PIECE_ROWS ? l->n - i : PIECE_ROWS;
        if (!rc)
            rc = (a->join ? push_joined : push_piece)(l, l->rows + i, n, err);
        for (uint32_t k = 0; k < n; k++)
            kept_free(l->op.run, l->rows[i + k]);
    }
    l->n = 0;
    l->bytes = 0;
    return rc;
}

static int lookup_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct lookup_op *l = (struct lookup_op *)o;
    const struct lookup_args *a = o->pipe->args;
    struct fieldref time = { .field = F_TIMESTAMP, .key = field_table[F_TIMESTAMP].name };
    struct fieldref seqs = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    struct access ta, sa, key;
    uint32_t n = c->b->n, id;
    time.hash = field_dotted_hash(time.key);
    seqs.hash = field_dotted_hash(seqs.key);
    int rc = access_open(&ta, c->b, &time, err);
    if (!rc)
        rc = access_open(&sa, c->b, &seqs, err);
    if (!rc)
        rc = access_open(&key, c->b, &a->key, err);
    bool attached = false;
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        struct val v;
        struct kept *row;
        if (!attached)
            rc = kept_attach(o->run, c->b, err);
        attached = true;
        if (!rc)
            rc = access_get(&key, (uint32_t)i, &v, err);
        if (!rc)
            rc = key_number(l, v, &id, err);
        if (!rc)
            rc = kept_new(&row, o->run, c->b, (uint32_t)i, o->pipe->in, NULL, 0, err);
        if (rc)
            break;
        row->t = access_time(&ta, (uint32_t)i);
        row->seq = (uint64_t)access_time(&sa, (uint32_t)i);
        row->order = id;
        l->bytes += row->bytes;
        l->rows[l->n++] = row;
        if (l->n == BATCH_ROWS || l->bytes > BATCH_BYTES) {
            rc = flush(l, err);
            attached = false; /* others may have attached their blocks */
        }
        if (!rc)
            rc = run_room(o->run, o->pipe->def->name, err);
    }
    return rc;
}

static int lookup_finish(struct op *o, struct err *err)
{
    struct lookup_op *l = (struct lookup_op *)o;
    int rc = flush(l, err);
    if (l->cut)
        run_warn(o->run,
                 "join_cut: a value has more than %d rows in the other query, the first are joined",
                 JOIN_MAX);
    cost_add(&o->run->res->cost, &l->cost);
    return rc < 0 ? rc : 0;
}

static void lookup_close(struct op *o)
{
    struct lookup_op *l = (struct lookup_op *)o;
    for (uint32_t i = 0; i < l->n; i++)
        kept_free(o->run, l->rows[i]);
    mem_free(l->rows);
    if (l->keyed)
        intern_deinit(&l->keys);
    mem_free(l->found);
    mem_free(l->vals);
    mem_free(l->next);
    arena_deinit(&l->batch);
}

static const struct op_ops lookup_ops = {
    sizeof(struct lookup_op), lookup_open, lookup_push, lookup_finish, lookup_close, NULL
};
const struct pipe_def pipe_lookup = { "lookup",
                                      PIPE_ROWWISE,
                                      lookup_parse,
                                      &lookup_ops,
                                      "lookup FIELD [as NAME], ... from (QUERY) on FIELD = FIELD",
                                      "fields of the rows of another query beside these" };
const struct pipe_def pipe_join = { "join",
                                    0,
                                    lookup_parse,
                                    &lookup_ops,
                                    "join FIELD [as NAME], ... from (QUERY) on FIELD = FIELD",
                                    "a row for every row of another query that fits" };
