/* rows.c: one page of entries in exact order, whatever order the engine reads them in.
 *
 * The order is (timestamp, seq), rising or falling, or timestamps falling with equal ones by rising
 * seq (Fleet). A heap keeps the best offset+limit keys (timestamp, seq) while the scan runs; once
 * it is full its worst key tells the scan what need not be read. For small pages the rows that are
 * in the heap when their block was seen are rendered at once. What is not rendered then (large
 * pages, much text) is fetched in a second scan by time and sequence number, FETCH rows at a time.
 *
 * Memory: 40 bytes a key, and about TEXT_BYTES of rendered rows. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "server/internal.h"

#define KEYS_MAX (1u << 20) /* offset + limit */
#define EAGER_KEYS 2048     /* pages up to this are rendered while scanning */
#define TEXT_BYTES ((size_t)32 << 20)
#define FETCH 1024

struct key {
    ts_ns t;
    uint64_t seq;
    char *text; /* mem_alloc; NULL: not rendered */
    uint32_t text_n;
    uint32_t row, block; /* where it was seen: block number of the scan */
};

struct pick {
    struct job *j;
    const struct rows_want *w;
    struct key *heap; /* worst first */
    uint32_t n, cap, max;
    size_t text_bytes;
    bool eager;
    uint32_t block; /* number of the current one */
    uint64_t total;
    struct buf tmp;
};

int row_seq(struct block *b, uint32_t row, uint64_t *ret, struct err *err)
{
    struct val v;
    int rc = block_get_field(b, row, F_SEQ, &v, err);
    *ret = rc < 0 ? 0 : (uint64_t)v.i;
    return rc;
}

int row_time(struct block *b, uint32_t row, ts_ns *ret, struct err *err)
{
    struct val v;
    int rc = block_get_field(b, row, F_TIMESTAMP, &v, err);
    *ret = rc < 0 || v.absent ? 0 : v.i;
    return rc;
}

/* does x come before y on the page? */
static bool before(const struct rows_want *w, const struct key *x, const struct key *y)
{
    if (x->t != y->t)
        return w->oldest ? x->t < y->t : x->t > y->t;
    return w->oldest || w->ties_by_seq ? x->seq < y->seq : x->seq > y->seq;
}

static void drop_text(struct pick *p, struct key *k)
{
    if (k->text)
        p->text_bytes -= k->text_n;
    mem_free(k->text);
    k->text = NULL;
}

static void sift_down(struct pick *p, uint32_t i)
{
    struct key *h = p->heap;
    for (uint32_t k; (k = 2 * i + 1) < p->n; i = k) {
        if (k + 1 < p->n && before(p->w, &h[k], &h[k + 1]))
            k++;
        if (!before(p->w, &h[i], &h[k]))
            return;
        struct key t = h[i];
        h[i] = h[k];
        h[k] = t;
    }
}

static void sift_up(struct pick *p, uint32_t i)
{
    struct key *h = p->heap;
    for (; i > 0 && before(p->w, &h[(i - 1) / 2], &h[i]); i = (i - 1) / 2) {
        struct key t = h[i];
        h[i] = h[(i - 1) / 2];
        h[(i - 1) / 2] = t;
    }
}

static int pick_key(struct pick *p, ts_ns t, uint64_t seq, uint32_t row, struct err *err)
{
    struct key k = { .t = t, .seq = seq, .row = row, .block = p->block };
    if (p->w->has_edge) {
        struct key edge = { .t = p->w->edge_time, .seq = p->w->edge_seq };
        if (!before(p->w, &edge, &k))
            return 0;
    }
    if (p->n == p->max) {
        if (p->max == 0 || !before(p->w, &k, &p->heap[0]))
            return 0;
        drop_text(p, &p->heap[0]);
        p->heap[0] = k;
        sift_down(p, 0);
        return 0;
    }
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 128;
        struct key *h = mem_realloc(p->heap, cap * sizeof *h);
        if (!h)
            return err_nomem(err);
        p->heap = h;
        p->cap = cap;
    }
    p->heap[p->n] = k;
    sift_up(p, p->n++);
    return 0;
}

static int render(struct pick *p, struct key *k, struct block *b, uint32_t row, struct err *err)
{
    buf_reset(&p->tmp);
    int rc = p->w->view(&p->tmp, b, row, err);
    if (rc < 0)
        return rc;
    char *text = buf_ok(&p->tmp) && p->tmp.n < UINT32_MAX ? mem_alloc(p->tmp.n) : NULL;
    if (!text)
        return err_nomem(err);
    if (p->tmp.n)
        memcpy(text, p->tmp.p, p->tmp.n);
    k->text = text;
    k->text_n = (uint32_t)p->tmp.n;
    p->text_bytes += p->tmp.n;
    return 0;
}

/* the rows of this block that stayed in the heap */
static int render_block(struct pick *p, struct block *b, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < p->n && rc == 0 && p->eager; i++) {
        struct key *k = &p->heap[i];
        if (k->block == p->block)
            rc = render(p, k, b, k->row, err);
        p->eager = p->text_bytes <= TEXT_BYTES;
    }
    return rc;
}

static int pick_block(void *arg, const struct scan_block *sb, struct err *err)
{
    struct pick *p = arg;
    struct block *b = sb->block;
    p->total += sb->nsel;
    p->block++;
    uint32_t n = b->n;
    int rc = 0;
    for (size_t r = bits_next(sb->sel, 0, n); r < n; r = bits_next(sb->sel, r + 1, n)) {
        ts_ns t;
        uint64_t seq;
        rc = row_time(b, (uint32_t)r, &t, err);
        if (rc == 0)
            rc = row_seq(b, (uint32_t)r, &seq, err);
        if (rc == 0)
            rc = pick_key(p, t, seq, (uint32_t)r, err);
        if (rc < 0)
            return rc;
    }
    return p->eager ? render_block(p, b, err) : 0;
}

/* ---- scanning ---- */

static void add_cost(struct server *s, const struct scan_cost *c)
{
    metric_add(&s->metrics.rows_scanned, c->rows_scanned);
    metric_add(&s->metrics.rows_matched, c->rows_matched);
    metric_add(&s->metrics.bytes_read, c->bytes_read);
    metric_add(&s->metrics.blocks_read, c->blocks_read);
    metric_add(&s->metrics.blocks_pruned, c->blocks_pruned);
    metric_add(&s->metrics.pages_decoded, c->pages_decoded);
    metric_add(&s->metrics.pages_cached, c->pages_cached);
}

int rows_each(struct job *j, const struct scan_plan *plan,
              int (*fn)(void *arg, const struct scan_block *sb, struct err *err), void *arg,
              struct scan_cost *ret_cost, struct err *err)
{
    struct scan *sc;
    struct scan_block sb;
    struct scan_plan with = *plan;
    with.cancel = &j->ctl.cancel;
    int rc = store_scan(j->s->store, &with, &sc, err);
    if (rc < 0)
        return rc;
    while ((rc = scan_next(sc, &sb, err)) == 0) {
        rc = fn(arg, &sb, err);
        if (rc == 0 && job_canceled(j))
            rc = err_set(err, ERR_CANCELED, "canceled");
        if (rc < 0)
            break;
    }
    add_cost(j->s, scan_get_cost(sc));
    if (ret_cost)
        *ret_cost = *scan_get_cost(sc);
    scan_close(sc);
    return rc < 0 ? rc : 0;
}

/* first scan: which rows */
static int pick_all(struct pick *p, struct rows_got *got, struct err *err)
{
    const struct rows_want *w = p->w;
    struct scan_plan plan = { .filter = w->filter,
                              .order = w->oldest ? SCAN_OLDEST : SCAN_NEWEST,
                              .seq_max = w->seq_max,
                              .marks = true,
                              .cancel = &p->j->ctl.cancel };
    struct scan *sc;
    struct scan_block sb;
    int rc = store_scan(p->j->s->store, &plan, &sc, err);
    if (rc < 0)
        return rc;
    got->watermark = scan_watermark(sc);
    while ((rc = scan_next(sc, &sb, err)) == 0) {
        rc = pick_block(p, &sb, err);
        if (rc == 0 && job_canceled(p->j))
            rc = err_set(err, ERR_CANCELED, "canceled");
        if (rc < 0)
            break;
        if (w->total || p->n < p->max)
            continue;
        if (p->max == 0)
            break;
        scan_set_floor(sc, p->heap[0].t);
    }
    const struct scan_cost *cost = scan_get_cost(sc);
    add_cost(p->j->s, cost);
    got->incomplete |= cost->incomplete;
    if (cost->incomplete)
        memcpy(got->incomplete_why, cost->incomplete_why, sizeof got->incomplete_why);
    scan_close(sc);
    return rc < 0 ? rc : 0;
}

/* ---- fetching what was not rendered ---- */

static int by_seq(const void *a, const void *b)
{
    const struct key *x = *(struct key *const *)a, *y = *(struct key *const *)b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

struct fetch {
    struct pick *p;
    struct key **keys; /* by seq */
    uint32_t n;
};

static uint32_t first_at_least(const struct fetch *f, uint64_t seq)
{
    uint32_t lo = 0, hi = f->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (f->keys[mid]->seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int fetch_block(void *arg, const struct scan_block *sb, struct err *err)
{
    struct fetch *f = arg;
    struct block *b = sb->block;
    uint32_t i = first_at_least(f, b->seq_min);
    if (i == f->n || f->keys[i]->seq > b->seq_max)
        return 0;
    uint32_t n = b->n;
    for (size_t r = bits_next(sb->sel, 0, n); r < n; r = bits_next(sb->sel, r + 1, n)) {
        uint64_t seq;
        int rc = row_seq(b, (uint32_t)r, &seq, err);
        uint32_t k = rc < 0 ? f->n : first_at_least(f, seq);
        if (rc == 0 && k < f->n && f->keys[k]->seq == seq && !f->keys[k]->text)
            rc = render(f->p, f->keys[k], b, (uint32_t)r, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* keys[0..n) of the page: renders those that are not */
static int fetch(struct pick *p, struct key *keys, uint32_t n, struct err *err)
{
    struct key **missing = arena_array(&p->j->arena, n, sizeof *missing);
    if (!missing)
        return err_nomem(err);
    struct fetch f = { p, missing, 0 };
    ts_ns t_min = TS_MAX, t_max = TS_MIN;
    for (uint32_t i = 0; i < n; i++) {
        if (keys[i].text)
            continue;
        missing[f.n++] = &keys[i];
        t_min = keys[i].t < t_min ? keys[i].t : t_min;
        t_max = keys[i].t > t_max ? keys[i].t : t_max;
    }
    if (!f.n)
        return 0;
    qsort(missing, f.n, sizeof *missing, by_seq);
    struct arena *a = &p->j->arena;
    struct pred *when = pred_and(a, pred_time(a, t_min, t_max == TS_MAX ? TS_MAX : t_max + 1),
                                 pred_seq_range(a, missing[0]->seq, missing[f.n - 1]->seq));
    if (!when)
        return err_nomem(err);
    struct scan_plan plan = { .filter = when, .order = SCAN_ANY, .marks = true };
    return rows_each(p->j, &plan, fetch_block, &f, NULL, err);
}

/* ---- output ---- */

static int put_page(struct pick *p, struct key *keys, uint32_t n, struct rows_got *got,
                    struct err *err)
{
    struct buf *out = &p->j->out;
    for (uint32_t at = 0; at < n;) {
        uint32_t m = n - at < FETCH ? n - at : FETCH;
        int rc = fetch(p, keys + at, m, err);
        for (uint32_t i = at; i < at + m && rc == 0; i++) {
            if (!keys[i].text)
                continue; /* deleted between the scans */
            if (got->rows++)
                buf_putstr(out, p->w->separator);
            buf_put(out, keys[i].text, keys[i].text_n);
            drop_text(p, &keys[i]);
            rc = job_flush(p->j, err);
        }
        if (rc < 0)
            return rc;
        at += m;
    }
    return 0;
}

static int compare_keys(const void *a, const void *b, void *arg)
{
    const struct rows_want *w = arg;
    const struct key *x = a, *y = b;
    return before(w, x, y) ? -1 : before(w, y, x) ? 1 : 0;
}

static void reverse_keys(struct key *k, uint32_t n)
{
    for (uint32_t i = 0; i < n / 2; i++) {
        struct key t = k[i];
        k[i] = k[n - 1 - i];
        k[n - 1 - i] = t;
    }
}

int rows_put(struct job *j, const struct rows_want *w, struct rows_got *ret, struct err *err)
{
    if (w->offset + w->limit < w->offset || w->offset + w->limit > KEYS_MAX)
        return err_set(err, ERR_INVALID, "offset + limit may be %u at most", KEYS_MAX);
    struct pick p = { .j = j, .w = w, .max = (uint32_t)(w->offset + w->limit) };
    p.eager = p.max <= EAGER_KEYS;
    buf_init(&p.tmp, (size_t)256 << 20);
    *ret = (struct rows_got){ 0 };
    int rc = pick_all(&p, ret, err);
    if (rc == 0 && p.n)
        qsort_r(p.heap, p.n, sizeof *p.heap, compare_keys, (void *)w);
    if (rc == 0 && w->reverse && w->offset < p.n)
        reverse_keys(p.heap + w->offset, p.n - (uint32_t)w->offset);
    if (rc == 0 && w->offset < p.n)
        rc = put_page(&p, p.heap + w->offset, p.n - (uint32_t)w->offset, ret, err);
    ret->total = p.total;
    for (uint32_t i = 0; i < p.n; i++)
        mem_free(p.heap[i].text);
    mem_free(p.heap);
    buf_deinit(&p.tmp);
    return rc;
}

/* ---- one entry ---- */

struct one {
    int (*fn)(void *arg, struct block *b, uint32_t row, struct err *err);
    void *arg;
    bool found;
};

static int one_block(void *arg, const struct scan_block *sb, struct err *err)
{
    struct one *o = arg;
    size_t r = bits_next(sb->sel, 0, sb->block->n);
    if (o->found || r >= sb->block->n)
        return 0;
    o->found = true;
    return o->fn(o->arg, sb->block, (uint32_t)r, err);
}

int rows_one(struct job *j, uint64_t seq,
             int (*fn)(void *arg, struct block *b, uint32_t row, struct err *err), void *arg,
             struct err *err)
{
    struct pred *p = NULL;
    struct pred *only = pred_seq_range(&j->arena, seq, seq);
    int rc = only ? job_filter(j, only, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct one o = { fn, arg, false };
    struct scan_plan plan = { .filter = p, .order = SCAN_ANY, .marks = true };
    rc = rows_each(j, &plan, one_block, &o, NULL, err);
    if (rc == 0 && !o.found)
        rc = err_set(err, ERR_NOTFOUND, "no entry with this id");
    return rc;
}

static int take_time(void *arg, struct block *b, uint32_t row, struct err *err)
{
    return row_time(b, row, arg, err);
}

int rows_time_of(struct job *j, uint64_t seq, ts_ns *time, struct err *err)
{
    int rc = rows_one(j, seq, take_time, time, err);
    return rc == ERR_NOTFOUND ? 0 : rc;
}
