/* pipe_sort.c: `sort by a desc, b`.
 *
 * Rows are kept with their keys copied beside them; when only the first k are wanted (a limit
 * follows, or the answer's own) no more than k are kept, as a heap with the worst on top, and of
 * entries only the keys and where they stand: their columns are read at the end. Ties go by
 * sequence number, in tables by the order they came in. When they take half of the budget they are
 * put in order and written to the disk (spill_sort.h), and all such runs are merged at the end. */
#include "query/refs.h"
#include "query/run.h"
#include "query/spill_sort.h"

#include <stdlib.h>

#include "base/mem.h"

#define KEYS_MAX 16
#define SMALL_KEEP 10000 /* rows of a table that take next to nothing of the budget */

struct sort_key {
    struct fieldref ref;
    bool desc;
};
struct sort_args {
    struct sort_key keys[KEYS_MAX];
    uint32_t n;
};

struct sort_op {
    struct op op;
    struct kept **rows; /* a heap, worst first, when bounded */
    size_t n, cap;
    uint64_t arrived;
    bool by_ref; /* the rows are references */
    size_t own;  /* bytes of rows held */
    struct spill spill;
};

/* behind a field there is asc, desc or nothing */
static int no_other_word(struct parser *p)
{
    static const char *const ways[] = { "asc", "desc" };
    size_t n;
    if (!lex_is_name(p, p->pos, &n))
        return 0;
    str word = str_sub(p->text, p->pos, n);
    parse_error(p, (int64_t)p->pos, "expected asc, desc or ',' behind the field, not '%.*s'",
                STR_FMT(word));
    parse_hint_near(p, word, ways, 2);
    return ERR_INVALID;
}

static int sort_parse(struct parser *p, struct pipe *pipe)
{
    struct sort_args *a = arena_zalloc(p->a, sizeof *a);
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    lex_word(p, "by");
    do {
        struct qname name;
        if (a->n == KEYS_MAX)
            return parse_error(p, (int64_t)p->pos, "more than %d fields to sort by", KEYS_MAX);
        int rc = lex_name(p, &name, "a field to sort by");
        if (!rc)
            rc = schema_resolve(p, &name, &a->keys[a->n].ref);
        if (rc)
            return rc;
        a->keys[a->n].desc = lex_word(p, "desc");
        if (!a->keys[a->n].desc && !lex_word(p, "asc"))
            rc = no_other_word(p);
        if (rc)
            return rc;
        a->n++;
    } while (lex_char(p, ','));
    return 0;
}

static int keys_cmp(const struct sort_args *a, const struct val *x, const struct val *y)
{
    for (uint32_t i = 0; i < a->n; i++) {
        int c = val_cmp(&x[i], &y[i]);
        if (c)
            return a->keys[i].desc ? -c : c;
    }
    return 0;
}

static int rows_cmp(const struct sort_args *a, const struct kept *x, const struct kept *y)
{
    int c = keys_cmp(a, x->key, y->key);
    if (c)
        return c;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int rows_qsort(const void *x, const void *y, void *arg)
{
    return rows_cmp(arg, *(struct kept *const *)x, *(struct kept *const *)y);
}

static void sift_down(struct sort_op *s, const struct sort_args *a)
{
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= s->n)
            return;
        if (k + 1 < s->n && rows_cmp(a, s->rows[k], s->rows[k + 1]) < 0)
            k++;
        if (rows_cmp(a, s->rows[i], s->rows[k]) >= 0)
            return;
        struct kept *t = s->rows[i];
        s->rows[i] = s->rows[k];
        s->rows[k] = t;
        i = k;
    }
}

static void sift_up(struct sort_op *s, const struct sort_args *a)
{
    for (size_t i = s->n - 1; i > 0;) {
        size_t up = (i - 1) / 2;
        if (rows_cmp(a, s->rows[up], s->rows[i]) >= 0)
            return;
        struct kept *t = s->rows[i];
        s->rows[i] = s->rows[up];
        s->rows[up] = t;
        i = up;
    }
}

static int put(struct sort_op *s, struct kept *k, struct err *err)
{
    const struct sort_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    s->own += k->bytes;
    if (s->n && s->n >= s->op.keep) { /* full: k is better than the worst, the caller saw to it */
        s->own -= s->rows[0]->bytes;
        kept_free(r, s->rows[0]);
        s->rows[0] = k;
        sift_down(s, a);
        return 0;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct kept **rows = mem_realloc(s->rows, cap * sizeof(struct kept *));
        if (!rows) {
            s->own -= k->bytes;
            kept_free(r, k);
            return err_nomem(err);
        }
        r->kept_bytes += (cap - s->cap) * sizeof(struct kept *);
        s->own += (cap - s->cap) * sizeof(struct kept *);
        s->rows = rows;
        s->cap = cap;
    }
    s->rows[s->n++] = k;
    if (s->op.keep != UINT64_MAX)
        sift_up(s, a);
    return run_room(r, "sort", err);
}

/* would a row with these keys be among the wanted ones? */
static bool wanted(const struct sort_op *s, const struct val *key, uint64_t seq)
{
    const struct sort_args *a = s->op.pipe->args;
    if (s->op.keep == 0)
        return false;
    if (s->n < s->op.keep)
        return true;
    int c = keys_cmp(a, key, s->rows[0]->key);
    return c < 0 || (c == 0 && seq < s->rows[0]->seq);
}

/* Would a row with this first key be left out, whatever the others are? */
static bool hopeless(const struct sort_op *s, const struct val *first)
{
    const struct sort_args *a = s->op.pipe->args;
    if (s->n < s->op.keep || !s->n)
        return false;
    int c = val_cmp(first, &s->rows[0]->key[0]);
    return a->keys[0].desc ? c < 0 : c > 0;
}

static int spilled_cmp(const void *arg, const struct kept *x, const struct kept *y)
{
    return rows_cmp(arg, x, y);
}

/* the rows held, as a run on the disk; the memory is free again */
static int spill_rows(struct sort_op *s, struct err *err)
{
    const struct sort_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    int rc = 0;
    spill_init(&s->spill, r, "sort", a->n, spilled_cmp, a);
    qsort_r(s->rows, s->n, sizeof(struct kept *), rows_qsort, (void *)(uintptr_t)a);
    for (size_t i = 0; i < s->n && !rc; i++)
        rc = spill_put(&s->spill, s->rows[i], err);
    for (size_t i = 0; i < s->n; i++)
        kept_free(r, s->rows[i]);
    mem_free(s->rows);
    r->kept_bytes -= s->cap * sizeof(struct kept *);
    s->rows = NULL;
    s->n = s->cap = s->own = 0;
    return rc ? rc : spill_end(&s->spill, err);
}

struct sorting {
    struct access keys[KEYS_MAX], seqs;
    bool attached;
};

static int sort_row(struct sort_op *s, struct sorting *w, const struct chunk *c, uint32_t i,
                    struct err *err)
{
    const struct sort_args *a = s->op.pipe->args;
    struct run *r = s->op.run;
    struct val key[KEYS_MAX];
    struct kept *row;
    int rc = access_get(&w->keys[0], i, &key[0], err);
    if (rc || hopeless(s, &key[0]))
        return rc;
    for (uint32_t k = 1; k < a->n && !rc; k++)
        rc = access_get(&w->keys[k], i, &key[k], err);
    uint64_t seq = (uint64_t)access_time(&w->seqs, i);
    if (rc || !wanted(s, key, seq))
        return rc;
    if (!s->by_ref && !w->attached)
        rc = kept_attach(r, c->b, err);
    if (rc)
        return rc;
    w->attached = true;
    rc = s->by_ref ? kept_new_ref(&row, r, c->ref, i, key, a->n, err)
                   : kept_new(&row, r, c->b, i, s->op.pipe->in, key, a->n, err);
    if (rc)
        return rc;
    row->seq = seq;
    row->order = s->arrived++;
    rc = put(s, row, err);
    return !rc && spill_due(r, s->own) ? spill_rows(s, err) : rc;
}

static int sort_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct sort_op *s = (struct sort_op *)o;
    const struct sort_args *a = o->pipe->args;
    struct fieldref seq_ref = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    struct sorting w;
    uint32_t n = c->b->n;
    w.attached = false;
    seq_ref.hash = field_dotted_hash(seq_ref.key);
    s->by_ref = c->has_ref && o->keep != UINT64_MAX;
    int rc = access_open(&w.seqs, c->b, &seq_ref, err);
    for (uint32_t k = 0; k < a->n && !rc; k++)
        rc = access_open(&w.keys[k], c->b, &a->keys[k].ref, err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n))
        rc = sort_row(s, &w, c, (uint32_t)i, err);
    return rc;
}

bool sort_is_small(const struct op *o)
{
    return o->pipe && o->pipe->def == &pipe_sort && o->keep <= SMALL_KEEP;
}

bool sort_settles(const struct pipe *p, const struct qcol *cols, uint32_t n)
{
    if (!p || p->def != &pipe_sort)
        return false;
    const struct sort_args *a = p->args;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;
        while (k < a->n && !str_eq(a->keys[k].ref.key, cols[i].ref.key))
            k++;
        if (k == a->n)
            return false;
    }
    return n > 0;
}

bool sort_by_time(const struct pipe *p, bool *ret_oldest)
{
    if (p->def != &pipe_sort || p->in)
        return false;
    const struct sort_args *a = p->args;
    *ret_oldest = !a->keys[0].desc;
    return a->keys[0].ref.field == F_TIMESTAMP;
}

bool sort_floor(const struct op *o, ts_ns *ret)
{
    const struct sort_op *s = (const struct sort_op *)o;
    if (!s->n || s->n < o->keep || s->rows[0]->key[0].t != V_I64)
        return false;
    *ret = s->rows[0]->key[0].i;
    return true;
}

/* the rows as references, in order; their keys are no longer needed */
static int hand_on_refs(struct sort_op *s, struct err *err)
{
    const struct pipe *p = s->op.pipe;
    struct run *r = s->op.run;
    size_t n = s->n;
    struct rowref *v = mem_array(n, sizeof *v);
    if (!v)
        return err_nomem(err);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct rowref){ s->rows[i]->t, s->rows[i]->seq, s->rows[i]->ref, s->rows[i]->row };
        kept_free(r, s->rows[i]);
    }
    s->n = 0;
    int rc = refs_push(r, s->op.next, v, n, p->in ? p->in : refs_need(r, p->next), err);
    mem_free(v);
    return rc;
}

/* the first `keep` references of all runs, some at a time */
static int hand_on_spilled_refs(struct sort_op *s, struct err *err)
{
    enum { REFS = 4096 };
    const struct pipe *p = s->op.pipe;
    const struct schema *need = p->in ? p->in : refs_need(s->op.run, p->next);
    struct rowref *v = mem_array(REFS, sizeof *v);
    const struct kept *k;
    uint64_t left = s->op.keep;
    int rc = v ? spill_merge(&s->spill, err) : err_nomem(err), end = 0;
    while (!rc && !end) {
        uint32_t n = 0;
        while (n < REFS && !(end = left ? spill_next(&s->spill, &k, err) : 1)) {
            v[n++] = (struct rowref){ k->t, k->seq, k->ref, k->row };
            left--;
        }
        rc = end < 0 ? end : refs_push(s->op.run, s->op.next, v, n, need, err);
    }
    mem_free(v);
    return rc;
}

static int hand_on_spilled(struct sort_op *s, struct err *err)
{
    int rc = s->n ? spill_rows(s, err) : 0;
    if (rc)
        return rc;
    return s->by_ref ? hand_on_spilled_refs(s, err)
                     : spill_push(&s->spill, s->op.next, s->op.keep, err);
}

static int sort_finish(struct op *o, struct err *err)
{
    struct sort_op *s = (struct sort_op *)o;
    size_t n = s->n;
    /* an operator behind this one may need the room */
    if (spill_used(&s->spill) || (o->next->pipe && spill_due(o->run, s->own)))
        return hand_on_spilled(s, err);
    if (!n)
        return 0;
    qsort_r(s->rows, n, sizeof(struct kept *), rows_qsort, o->pipe->args);
    if (s->by_ref)
        return hand_on_refs(s, err);
    s->n = 0; /* kept_push frees them */
    return kept_push(o->run, o->next, s->rows, n, err);
}

static void sort_close(struct op *o)
{
    struct sort_op *s = (struct sort_op *)o;
    for (size_t i = 0; i < s->n; i++)
        kept_free(o->run, s->rows[i]);
    mem_free(s->rows);
    spill_deinit(&s->spill);
}

static int sort_merge(struct op *o, struct op *from, struct err *err)
{
    struct sort_op *s = (struct sort_op *)o, *f = (struct sort_op *)from;
    int rc = 0;
    if (f->n)
        s->by_ref = f->by_ref;
    while (f->n && !rc) {
        struct kept *k = f->rows[--f->n];
        if (!wanted(s, k->key, k->seq)) {
            kept_free(from->run, k);
            continue;
        }
        f->own -= k->bytes;
        from->run->kept_bytes -= k->bytes;
        o->run->kept_bytes += k->bytes;
        rc = put(s, k, err);
    }
    return rc;
}

static const struct op_ops sort_ops = {
    sizeof(struct sort_op), NULL, sort_push, sort_finish, sort_close, sort_merge
};
const struct pipe_def pipe_sort = { "sort",
                                    PIPE_SORTS,
                                    sort_parse,
                                    &sort_ops,
                                    "sort [by] FIELD [asc|desc], ...",
                                    "rows in the order of fields" };
