/* refs.c: see refs.h. */
#include "query/refs.h"

#include <stdlib.h>

#include "base/mem.h"
#include "query/run.h"

#define BATCH 512 /* rows brought back at a time */
#define FEW 64    /* rows of a block that are asked for value by value */

/* ---- bringing rows back ---- */

static bool computes(const struct pipe *p)
{
    return p->def == &pipe_eval || p->def == &pipe_extract || p->def == &pipe_parse;
}

static bool reads(const struct pipe *p, struct arena *a, struct schema *to)
{
    return p->def == &pipe_eval      ? eval_reads(p, a, to)
           : p->def == &pipe_extract ? extract_reads(p, a, to)
                                     : parse_reads(p, a, to);
}

const struct schema *refs_need(struct run *r, const struct pipe *first)
{
    const struct pipe *p = first;
    bool evals = false;
    for (; p && p->def != &pipe_fields; p = p->next) {
        evals |= computes(p);
        if (!computes(p) && p->def != &pipe_limit && p->def != &pipe_head && p->def != &pipe_offset)
            return NULL;
    }
    if (!p || !evals)
        return p ? p->out : NULL;
    struct schema *s = arena_zalloc(&r->arena, sizeof *s);
    for (const struct pipe *e = first; s && e != p; e = e->next)
        if (computes(e) && !reads(e, &r->arena, s))
            return NULL;
    for (uint32_t i = 0; s && i < p->out->n; i++)
        if (!schema_add(s, &r->arena, &p->out->cols[i].ref))
            return NULL;
    return s;
}

static int by_block(const void *x, const void *y, void *arg)
{
    const struct rowref *v = arg, *a = &v[*(const uint32_t *)x], *b = &v[*(const uint32_t *)y];
    if (a->ref != b->ref)
        return a->ref < b->ref ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static void drop_rows(struct run *r, struct kept **rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        kept_free(r, rows[i]);
        rows[i] = NULL;
    }
}

/* The rows of one block, order[0..n) of v, into their places in rows. */
static int fetch_block(struct run *r, const struct rowref *v, const uint32_t *order, uint32_t n,
                       const struct schema *need, struct kept **rows, struct arena *a,
                       struct err *err)
{
    struct block *b;
    int rc = scan_again(r->scan, v[order[0]].ref, &r->res->cost, a, &b, err);
    if (rc)
        return rc;
    rc = kept_attach(r, b, err);
    for (uint32_t i = 0; i < n && !rc; i++) {
        const struct rowref *at = &v[order[i]];
        struct kept **k = &rows[order[i]];
        rc = n <= FEW ? kept_new_value(k, r, b, at->row, need, err)
                      : kept_new(k, r, b, at->row, need, NULL, 0, err);
        if (rc)
            break;
        (*k)->t = at->t;
        (*k)->seq = at->seq;
        if (n > 1)
            rc = run_room(r, "rows", err);
    }
    block_close(b);
    return rc;
}

/* The first *n of v; fewer, and *n says how many, when so many do not fit the budget. */
static int fetch(struct run *r, const struct rowref *v, uint32_t *n, const struct schema *need,
                 struct kept **rows, struct err *err)
{
    uint32_t order[BATCH];
    struct arena a;
    int rc;
    arena_init(&a, (size_t)2 << 30);
    do {
        for (uint32_t i = 0; i < *n; i++)
            order[i] = i;
        memset(rows, 0, *n * sizeof(struct kept *));
        qsort_r(order, *n, sizeof *order, by_block, (void *)(uintptr_t)v);
        rc = 0;
        for (uint32_t i = 0, m; i < *n && !rc; i += m) {
            for (m = 1; i + m < *n && v[order[i + m]].ref == v[order[i]].ref; m++)
                ;
            rc = fetch_block(r, v, order + i, m, need, rows, &a, err);
            arena_reset(&a);
            if (!rc && *n > 1)
                rc = run_room(r, "rows", err);
        }
        if (rc)
            drop_rows(r, rows, *n);
        if (rc != ERR_LIMIT || *n == 1)
            break;
        err_reset(err);
        *n /= 2;
    } while (*n);
    arena_deinit(&a);
    return rc;
}

int refs_push(struct run *r, struct op *next, const struct rowref *v, uint64_t n,
              const struct schema *need, struct err *err)
{
    struct kept *rows[BATCH];
    uint32_t m = BATCH;
    int rc = 0;
    for (uint64_t i = 0; i < n && !rc; i += m) {
        m = n - i < m ? (uint32_t)(n - i) : m;
        rc = run_check(r, err);
        if (!rc)
            rc = fetch(r, v + i, &m, need, rows, err);
        if (!rc)
            rc = kept_push(r, next, rows, m, err);
    }
    return rc;
}

/* ---- the first k ---- */

/* does x come before y in the answer? */
static bool before(const struct topk *t, const struct rowref *x, const struct rowref *y)
{
    if (x->t != y->t)
        return t->oldest ? x->t < y->t : x->t > y->t;
    return t->oldest ? x->seq < y->seq : x->seq > y->seq;
}

static void swap(struct rowref *x, struct rowref *y)
{
    struct rowref t = *x;
    *x = *y;
    *y = t;
}

static void sift_down(struct topk *t)
{
    for (size_t i = 0, k; (k = 2 * i + 1) < t->n; i = k) {
        if (k + 1 < t->n && before(t, &t->v[k], &t->v[k + 1]))
            k++;
        if (!before(t, &t->v[i], &t->v[k]))
            return;
        swap(&t->v[i], &t->v[k]);
    }
}

static void sift_up(struct topk *t)
{
    for (size_t i = t->n - 1; i > 0; i = (i - 1) / 2) {
        if (!before(t, &t->v[(i - 1) / 2], &t->v[i]))
            return;
        swap(&t->v[i], &t->v[(i - 1) / 2]);
    }
}

static int put(struct topk *t, struct run *r, const struct rowref *x, struct err *err)
{
    if (t->n == t->k) {
        if (t->n && before(t, x, &t->v[0])) {
            t->v[0] = *x;
            sift_down(t);
        }
        return 0;
    }
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : t->k < 64 ? (size_t)t->k : 64;
        struct rowref *v = mem_realloc(t->v, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        r->kept_bytes += (cap - t->cap) * sizeof *v;
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = *x;
    sift_up(t);
    return 0;
}

int topk_add(struct topk *t, struct run *r, const struct scan_block *sb, struct err *err)
{
    struct block *b = sb->block;
    struct fieldref time = { .field = F_TIMESTAMP, .key = field_table[F_TIMESTAMP].name };
    struct fieldref seq = { .field = F_SEQ, .key = field_table[F_SEQ].name };
    struct rowref from = { t->from_t, t->from_seq, 0, 0 };
    struct access ta, sa;
    time.hash = field_dotted_hash(time.key);
    seq.hash = field_dotted_hash(seq.key);
    int rc = access_open(&ta, b, &time, err);
    if (!rc)
        rc = access_open(&sa, b, &seq, err);
    for (size_t i = bits_next(sb->sel, 0, b->n); i < b->n && !rc;
         i = bits_next(sb->sel, i + 1, b->n)) {
        struct rowref x = { access_time(&ta, (uint32_t)i), 0, sb->ref, (uint32_t)i };
        if (t->n == t->k && t->n && (t->oldest ? x.t > t->v[0].t : x.t < t->v[0].t))
            continue;
        x.seq = (uint64_t)access_time(&sa, (uint32_t)i);
        if (!t->after || before(t, &from, &x))
            rc = put(t, r, &x, err);
    }
    return rc ? rc : run_room(r, "rows", err);
}

int topk_merge(struct topk *into, struct run *r, const struct topk *from, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < from->n && !rc; i++)
        rc = put(into, r, &from->v[i], err);
    return rc;
}

static int in_order(const void *x, const void *y, void *arg)
{
    return before(arg, x, y) ? -1 : before(arg, y, x);
}

void topk_sort(struct topk *t)
{
    if (t->n)
        qsort_r(t->v, t->n, sizeof *t->v, in_order, t);
}

void topk_deinit(struct topk *t)
{
    mem_free(t->v);
    *t = (struct topk){ 0 };
}
