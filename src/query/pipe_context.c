/* pipe_context.c: `context [before=n] [after=n] [by session|agent|trace]`: each hit among its
 * neighbours, the entries right before and after it in the same session (agent, trace).
 *
 *   hits ─► kept, at most HITS_MAX ─► by key, then time ─► two scans a hit ─► window by window ─►
 * on
 *
 * A scan asks for the key's entries on one side of the hit's place in time and for n of them, so it
 * ends with the first blocks that have them; nothing is read that neither key nor time lets
 * through. It sees the same moment as the scan of the hits, under the same restriction of the key
 * that asks, but not the filter: neighbours are neighbours. Windows that overlap become one. A hit
 * without the field stands alone.
 *
 * What comes out are whole entries with two computed attributes: `hit` (true or false), `window`
 * (1, 2, ...). Order: by key, within one by time, oldest first. */
#include <stdlib.h>

#include "base/mem.h"
#include "query/overlay.h"
#include "query/read.h"
#include "query/run.h"

#define HITS_MAX 1000
#define SIDE_MAX 1000
#define SIDE_DEFAULT 5
#define PIECE_ROWS 512

struct context_args {
    uint64_t before, after;
    enum field by; /* F_NONE: session, or agent where there is none */
    struct fieldref hit, window;
};

struct hit {
    struct kept *row; /* NULL once it is handed on */
    enum field by;    /* F_NONE: it has neither */
    str key;
};

struct line {
    struct kept *row;
    bool hit;
    int64_t window;
};

struct context_op {
    struct op op;
    struct hit *hits;
    uint32_t nhits;
    struct line *lines; /* of one key */
    uint32_t n, cap;
    int64_t windows;
    bool cut;
    struct arena batch;
    struct scan_cost cost;
};

/* ---- parsing ---- */

static int parse_side(struct parser *p, uint64_t *ret)
{
    int rc = lex_expect(p, '=', "behind the side");
    lex_blank(p);
    int64_t at = (int64_t)p->pos;
    if (!rc)
        rc = lex_uint(p, ret, "a number of entries");
    if (!rc && *ret > SIDE_MAX)
        rc = parse_error(p, at, "at most %d entries on each side", SIDE_MAX);
    return rc;
}

static int parse_key(struct parser *p, enum field *ret)
{
    struct qname name;
    int rc = lex_name(p, &name, "session, agent or trace");
    if (rc)
        return rc;
    *ret = field_by_name(name.text);
    if (*ret == F_SESSION_ID || *ret == F_AGENT || *ret == F_TRACE_ID)
        return 0;
    parse_error(p, name.pos, "neighbours share a session, an agent or a trace, not '%.*s'",
                STR_FMT(name.text));
    err_hint(p->err, "write `by session`, `by agent` or `by trace`");
    return ERR_INVALID;
}

static int context_parse(struct parser *p, struct pipe *pipe)
{
    struct context_args *a = arena_zalloc(p->a, sizeof *a);
    struct qname hit = { .text = STR("hit"), .pos = pipe->pos },
                 window = { .text = STR("window"), .pos = pipe->pos };
    if (!a)
        return err_nomem(p->err);
    *a = (struct context_args){ .before = SIDE_DEFAULT, .after = SIDE_DEFAULT, .by = F_NONE };
    int rc = entries_only(p, pipe);
    for (bool more = true; more && !rc;) {
        if (lex_word(p, "before"))
            rc = parse_side(p, &a->before);
        else if (lex_word(p, "after"))
            rc = parse_side(p, &a->after);
        else if (lex_word(p, "by"))
            rc = parse_key(p, &a->by);
        else
            more = false;
    }
    if (!rc)
        rc = schema_set(p, &hit, &a->hit);
    if (!rc)
        rc = schema_set(p, &window, &a->window);
    pipe->args = a;
    pipe->out = p->schema;
    p->renamed = true;
    return rc;
}

/* ---- hits ---- */

static int context_open(struct op *o, struct err *err)
{
    struct context_op *c = (struct context_op *)o;
    arena_init(&c->batch, RUN_BATCH_MAX);
    c->hits = mem_zarray(HITS_MAX, sizeof *c->hits);
    return c->hits ? 0 : err_nomem(err);
}

struct keys {
    struct reader session, agent, trace, time, seq;
};

static int key_of(struct context_op *c, struct keys *k, uint32_t row, struct hit *h,
                  struct err *err)
{
    const struct context_args *a = c->op.pipe->args;
    struct {
        enum field f;
        struct reader *r;
    } order[] = { { F_SESSION_ID, &k->session },
                  { F_AGENT, &k->agent },
                  { F_TRACE_ID, &k->trace } };
    h->by = F_NONE;
    for (size_t i = 0; i < 3 && h->by == F_NONE; i++) {
        struct val v;
        if (a->by == F_NONE ? order[i].f == F_TRACE_ID : order[i].f != a->by)
            continue;
        int rc = reader_get(order[i].r, row, &v, err);
        if (rc)
            return rc;
        if (v.t != V_STR)
            continue;
        h->by = order[i].f;
        h->key = v.s.n ? arena_dup(&c->op.run->arena, v.s) : STR("");
        if (!h->key.p)
            return run_nomem(c->op.run, "context", err);
    }
    return 0;
}

static int context_push(struct op *o, const struct chunk *ch, struct err *err)
{
    struct context_op *c = (struct context_op *)o;
    struct run *r = o->run;
    struct keys k;
    uint32_t n = ch->b->n;
    int rc = reader_open(&k.session, F_SESSION_ID, ch->b, err);
    if (!rc)
        rc = reader_open(&k.agent, F_AGENT, ch->b, err);
    if (!rc)
        rc = reader_open(&k.trace, F_TRACE_ID, ch->b, err);
    if (!rc)
        rc = reader_open(&k.time, F_TIMESTAMP, ch->b, err);
    if (!rc)
        rc = reader_open(&k.seq, F_SEQ, ch->b, err);
    if (!rc)
        rc = kept_attach(r, ch->b, err);
    for (size_t i = bits_next(ch->sel, 0, n); i < n && !rc; i = bits_next(ch->sel, i + 1, n)) {
        struct hit *h = &c->hits[c->nhits];
        if (c->nhits == HITS_MAX) {
            c->cut = true;
            return OP_ENOUGH;
        }
        rc = key_of(c, &k, (uint32_t)i, h, err);
        if (!rc)
            rc = kept_new(&h->row, r, ch->b, (uint32_t)i, NULL, NULL, 0, err);
        if (rc)
            break;
        h->row->t = access_time(&k.time.acc, (uint32_t)i);
        h->row->seq = (uint64_t)access_time(&k.seq.acc, (uint32_t)i);
        c->nhits++;
        rc = run_room(r, "context", err);
    }
    return rc;
}

/* ---- neighbours ---- */

static int put_line(struct context_op *c, struct kept *row, bool hit, struct err *err)
{
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 64;
        struct line *lines = mem_realloc(c->lines, cap * sizeof *lines);
        if (!lines)
            return err_nomem(err);
        c->op.run->kept_bytes += (cap - c->cap) * sizeof *lines;
        c->lines = lines;
        c->cap = cap;
    }
    c->lines[c->n++] = (struct line){ row, hit, c->windows };
    return 0;
}

static int take_neighbour(void *ctx, const struct query_row *row, struct err *err)
{
    struct context_op *c = ctx;
    struct reader time, seq;
    struct kept *k;
    int rc = reader_open(&time, F_TIMESTAMP, row->block, err);
    if (!rc)
        rc = reader_open(&seq, F_SEQ, row->block, err);
    if (!rc)
        rc = kept_attach(c->op.run, row->block, err);
    if (!rc)
        rc = kept_new(&k, c->op.run, row->block, row->row, NULL, NULL, 0, err);
    if (rc)
        return rc;
    k->t = access_time(&time.acc, row->row);
    k->seq = (uint64_t)access_time(&seq.acc, row->row);
    rc = put_line(c, k, false, err);
    if (rc)
        kept_free(c->op.run, k);
    return rc ? rc : run_room(c->op.run, "context", err);
}

static int begin(void *ctx, const struct query_cell *cols, uint32_t ncols, struct err *err)
{
    (void)ctx;
    (void)cols;
    (void)ncols;
    (void)err;
    return 0;
}

/* n entries of the hit's key on one side of it */
static int neighbours(struct context_op *c, const struct hit *h, bool after, uint64_t n,
                      struct err *err)
{
    struct run *r = c->op.run;
    struct query q = { .text = STR("neighbours"), .o = r->q->o };
    struct query_sink sink = { .ctx = c, .begin = begin, .row = take_neighbour };
    struct query_result res;
    if (!n || h->by == F_NONE)
        return 0;
    arena_init(&q.arena, (size_t)1 << 20);
    q.filter = pred_eq(&q.arena, h->by, h->key);
    if (q.filter && q.o.also) /* only read */
        q.filter = pred_and(&q.arena, q.filter, (struct pred *)(uintptr_t)q.o.also);
    q.o.limit = (uint32_t)n;
    q.o.offset = 0;
    q.o.unlimited = false;
    q.o.oldest_first = after;
    query_set_page(&q, h->row->t, h->row->seq, r->res->watermark);
    int rc = q.filter ? query_run(&q, r->store, &sink, r->ctl, &res, err) : err_nomem(err);
    if (!rc)
        cost_add(&c->cost, &res.cost);
    arena_deinit(&q.arena);
    return rc;
}

/* ---- handing on ---- */

static int by_place(const void *x, const void *y)
{
    const struct line *a = x, *b = y;
    if (a->row->t != b->row->t)
        return a->row->t < b->row->t ? -1 : 1;
    if (a->row->seq != b->row->seq)
        return a->row->seq < b->row->seq ? -1 : 1;
    return (int)b->hit - (int)a->hit; /* the hit first: it may have computed columns */
}

/* each entry once, in order of time; windows that share one become one */
static void tidy(struct context_op *c)
{
    uint32_t n = 0;
    int64_t joined = 0, windows = 0; /* the last window of those that overlap; how many by now */
    int64_t first = c->n ? c->lines[0].window : 0;
    for (uint32_t i = 0; i < c->n; i++)
        first = c->lines[i].window < first ? c->lines[i].window : first;
    for (uint32_t i = 0; i < c->n;) {
        struct line *x = &c->lines[i];
        int64_t last = x->window, least = x->window;
        uint32_t same = i;
        for (; same < c->n && c->lines[same].row->seq == x->row->seq; same++) {
            last = c->lines[same].window > last ? c->lines[same].window : last;
            least = c->lines[same].window < least ? c->lines[same].window : least;
            x->hit |= c->lines[same].hit;
            if (same > i)
                kept_free(c->op.run, c->lines[same].row);
        }
        windows += least > joined;
        joined = last > joined ? last : joined;
        c->lines[n] = *x;
        c->lines[n++].window = first + windows - 1;
        i = same;
    }
    c->n = n;
    if (n)
        c->windows = c->lines[n - 1].window;
}

static int push_piece(struct context_op *c, const struct line *lines, uint32_t n, struct err *err)
{
    const struct context_args *a = c->op.pipe->args;
    struct kept *rows[PIECE_ROWS];
    uint64_t sel[BLOCK_WORDS];
    struct chunk ch = { .sel = sel, .nsel = n };
    struct arena *m = &c->batch;
    arena_reset(m);
    bits_fill(sel, n);
    struct val *vals = arena_array(m, (size_t)n * 2, sizeof *vals);
    if (!vals)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = lines[i].row;
        vals[i] = (struct val){ .t = V_BOOL, .b = lines[i].hit };
        vals[n + i] = (struct val){ .t = V_I64, .i = lines[i].window };
    }
    struct overlay_col cols[] = { { a->hit, vals }, { a->window, vals + n } };
    int rc = kept_block(c->op.run, m, rows, n, &ch.b, err);
    if (!rc)
        rc = overlay_make(m, ch.b, sel, cols, 2, &ch.b, err);
    return rc ? rc : op_push(c->op.next, &ch, err);
}

/* the lines of one key; all are freed in any case */
static int flush(struct context_op *c, struct err *err)
{
    int rc = 0;
    if (c->n)
        qsort(c->lines, c->n, sizeof *c->lines, by_place);
    tidy(c);
    for (uint32_t i = 0; i < c->n; i += PIECE_ROWS) {
        uint32_t m = c->n - i < PIECE_ROWS ? c->n - i : PIECE_ROWS;
        if (!rc)
            rc = push_piece(c, c->lines + i, m, err);
        for (uint32_t k = 0; k < m; k++)
            kept_free(c->op.run, c->lines[i + k].row);
    }
    c->n = 0;
    return rc;
}

static int by_key(const void *x, const void *y)
{
    const struct hit *a = x, *b = y;
    if (a->by != b->by)
        return a->by < b->by ? -1 : 1;
    int c = a->by == F_NONE ? 0 : str_cmp(a->key, b->key);
    if (c)
        return c;
    if (a->row->t != b->row->t)
        return a->row->t < b->row->t ? -1 : 1;
    return a->row->seq < b->row->seq ? -1 : a->row->seq > b->row->seq;
}

static int context_finish(struct op *o, struct err *err)
{
    struct context_op *c = (struct context_op *)o;
    const struct context_args *a = o->pipe->args;
    int rc = 0;
    if (c->nhits)
        qsort(c->hits, c->nhits, sizeof *c->hits, by_key);
    if (c->cut)
        run_warn(o->run, "context_hits: only the first %d hits are shown with their neighbours",
                 HITS_MAX);
    for (uint32_t i = 0; i < c->nhits && !rc; i++) {
        struct hit *h = &c->hits[i];
        c->windows++;
        rc = neighbours(c, h, false, a->before, err);
        if (!rc)
            rc = neighbours(c, h, true, a->after, err);
        if (!rc)
            rc = put_line(c, h->row, true, err);
        if (!rc)
            h->row = NULL;
        bool last = i + 1 == c->nhits || h->by != c->hits[i + 1].by || h->by == F_NONE ||
                    !str_eq(h->key, c->hits[i + 1].key);
        if (!rc && last)
            rc = flush(c, err);
    }
    cost_add(&o->run->res->cost, &c->cost);
    return rc < 0 ? rc : 0;
}

static void context_close(struct op *o)
{
    struct context_op *c = (struct context_op *)o;
    for (uint32_t i = 0; i < c->nhits; i++)
        kept_free(o->run, c->hits[i].row);
    for (uint32_t i = 0; i < c->n; i++)
        kept_free(o->run, c->lines[i].row);
    mem_free(c->hits);
    mem_free(c->lines);
    arena_deinit(&c->batch);
}

static const struct op_ops context_ops = {
    sizeof(struct context_op), context_open, context_push, context_finish, context_close, NULL
};
const struct pipe_def pipe_context = { "context",
                                       PIPE_ORDERED,
                                       context_parse,
                                       &context_ops,
                                       "context [before=N] [after=N] [by FIELD]",
                                       "each hit among its neighbours" };
