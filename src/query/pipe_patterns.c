/* pipe_patterns.c: `patterns [n] [new [since T]]`: messages by their template (codec/template.h).
 *
 * Rows give counts; what makes a pattern new is asked at the end and only of those that are shown
 * (tmplmap.h). Without a filter, where the summaries hold every template and nothing was deleted,
 * they are the answer, and nothing is read but one example a pattern. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "query/issue_set.h"
#include "query/run.h"
#include "query/tmplmap.h"

#define PATTERNS_DEFAULT 100

enum {
    C_COUNT,
    C_SHARE,
    C_NEW,
    C_FIRST,
    C_LAST,
    C_LEVELS,
    C_PATTERN,
    C_EXAMPLE,
    C_ENTRY,
    C_ID,
    COLS
};
static const struct {
    const char *name;
    enum field field;
} columns[COLS] = {
    { "count", F_NONE },     { "share", F_NONE },  { "new", F_NONE },     { "first", F_TIMESTAMP },
    { "last", F_TIMESTAMP }, { "levels", F_NONE }, { "pattern", F_NONE }, { "example", F_NONE },
    { "entry", F_NONE },     { "id", F_NONE },
};
enum { R_MESSAGE, R_LEVEL, R_TIME, R_SEQ, REFS };
static const enum field ref_field[REFS] = { F_MESSAGE, F_LEVEL, F_TIMESTAMP, F_SEQ };

struct patterns_args {
    uint64_t n;
    bool only_new, since;
    ts_ns from; /* since */
    struct fieldref ref[REFS];
};

struct pattern {
    str tmpl;
    uint64_t count, levels[LV__COUNT];
    ts_ns first, last;
    struct issue_entry entry; /* the first that was stored */
    str message;              /* of it */
};

struct patterns_op {
    struct op op;
    struct tmpl_map m;
    struct pattern *v; /* by number of the template - 1, until they are sorted */
    uint32_t n, cap;
    struct arena arena;
    size_t told;       /* of bytes, in run->kept_bytes */
    uint64_t messages; /* entries that have one */
};

/* ---- arguments ---- */

static int parse_since(struct parser *p, struct patterns_args *a)
{
    struct pred_value v;
    ts_ns to;
    lex_blank(p);
    int64_t pos = (int64_t)p->pos;
    int rc = lex_value(p, 0, &v);
    if (rc)
        return rc;
    if (v.nparts == 1 && v.part[0].n && time_expr(v.part[0], p->o, &a->from, &to)) {
        a->since = true;
        return 0;
    }
    parse_error(p, pos, "expected a time behind 'since'");
    err_hint(p->err, "for example now-1h, today, or 2026-11-21T10:00:00Z");
    return ERR_INVALID;
}

static int patterns_parse(struct parser *p, struct pipe *pipe)
{
    struct patterns_args *a = arena_zalloc(p->a, sizeof *a);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    int rc = parse_whole(p, pipe);
    if (rc)
        return rc;
    if (!a || !out || !(out->cols = arena_zalloc(p->a, COLS * sizeof *out->cols)))
        return err_nomem(p->err);
    a->n = PATTERNS_DEFAULT;
    lex_blank(p);
    char c = lex_peek(p, 0);
    if (c >= '0' && c <= '9')
        rc = lex_uint(p, &a->n, "the number of patterns");
    if (!rc && lex_word(p, "new")) {
        a->only_new = true;
        if (lex_word(p, "since"))
            rc = parse_since(p, a);
    }
    for (int i = 0; i < REFS && !rc; i++)
        if (!fieldref_make(p->a, field_table[ref_field[i]].name, false, &a->ref[i]))
            rc = err_nomem(p->err);
    for (out->n = 0; out->n < COLS && !rc; out->n++)
        rc = schema_computed(p, str_c(columns[out->n].name), columns[out->n].field,
                             &out->cols[out->n]);
    pipe->args = a;
    pipe->out = out;
    return rc;
}

/* ---- counting ---- */

static int patterns_open(struct op *o, struct err *err)
{
    struct patterns_op *x = (struct patterns_op *)o;
    (void)err;
    tmpl_map_init(&x->m);
    arena_init(&x->arena, SIZE_MAX);
    return 0;
}

static int count_bytes(struct patterns_op *x, struct err *err)
{
    size_t bytes = x->arena.used + tmpl_map_bytes(&x->m) + (size_t)x->cap * sizeof *x->v;
    x->op.run->kept_bytes += bytes - x->told;
    x->told = bytes;
    return run_room(x->op.run, "patterns", err);
}

/* the pattern with the number `slot` */
static int pattern_of(struct patterns_op *x, uint32_t slot, struct pattern **ret, struct err *err)
{
    while (x->n < slot) {
        if (x->n == x->cap) {
            uint32_t cap = x->cap ? x->cap * 2 : 64;
            struct pattern *v = mem_realloc(x->v, cap * sizeof *v);
            if (!v)
                return err_nomem(err);
            x->v = v;
            x->cap = cap;
        }
        x->v[x->n] = (struct pattern){
            .tmpl = x->m.text[x->n], .first = TS_MAX, .last = TS_MIN, .entry.seq = UINT64_MAX
        };
        x->n++;
    }
    *ret = &x->v[slot - 1];
    return 0;
}

struct rows {
    struct patterns_op *x;
    struct block *b;
    struct tmpl_rows message;
    struct access a[REFS];
};

static int take_example(struct rows *r, struct pattern *p, uint32_t i, uint64_t seq,
                        struct err *err)
{
    struct val v;
    int rc = issue_entry_name(&r->x->arena, r->b, i, seq, &p->entry, err);
    if (!rc)
        rc = access_get(&r->message.a, i, &v, err);
    if (!rc && !(p->message = arena_dup(&r->x->arena, v.s)).p)
        rc = err_nomem(err);
    return rc;
}

static int count_row(struct rows *r, uint32_t i, struct err *err)
{
    struct patterns_op *x = r->x;
    struct pattern *p = NULL;
    uint32_t slot;
    bool has;
    struct val level, seq;
    int rc = tmpl_rows_get(&r->message, i, &has, &slot, err);
    x->messages += !rc && has;
    if (rc || !slot)
        return rc;
    rc = pattern_of(x, slot, &p, err);
    if (!rc)
        rc = access_get(&r->a[R_LEVEL], i, &level, err);
    if (!rc)
        rc = access_get(&r->a[R_SEQ], i, &seq, err);
    if (rc)
        return rc;
    ts_ns t = access_time(&r->a[R_TIME], i);
    p->count++;
    p->levels[level.t == V_I64 && level.i >= 0 && level.i < LV__COUNT ? level.i : LV_INFO]++;
    p->first = t < p->first ? t : p->first;
    p->last = t > p->last ? t : p->last;
    return seq.t == V_I64 && (uint64_t)seq.i < p->entry.seq
               ? take_example(r, p, i, (uint64_t)seq.i, err)
               : 0;
}

static int patterns_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct patterns_op *x = (struct patterns_op *)o;
    const struct patterns_args *a = o->pipe->args;
    struct rows r = { .x = x, .b = c->b };
    int rc = tmpl_rows_open(&r.message, &x->m, c->b, &a->ref[R_MESSAGE], err);
    for (int i = R_MESSAGE + 1; i < REFS && !rc; i++)
        rc = access_open(&r.a[i], c->b, &a->ref[i], err);
    for (size_t i = bits_next(c->sel, 0, c->b->n); i < c->b->n && !rc;
         i = bits_next(c->sel, i + 1, c->b->n))
        rc = count_row(&r, (uint32_t)i, err);
    return rc ? rc : count_bytes(x, err);
}

static int patterns_merge(struct op *o, struct op *from, struct err *err)
{
    struct patterns_op *x = (struct patterns_op *)o, *f = (struct patterns_op *)from;
    int rc = 0;
    for (uint32_t i = 0; i < f->n && !rc; i++) {
        const struct pattern *q = &f->v[i];
        uint32_t slot;
        struct pattern *p;
        rc = tmpl_map_put(&x->m, q->tmpl, &slot, err);
        if (!rc)
            rc = pattern_of(x, slot, &p, err);
        if (rc)
            break;
        p->count += q->count;
        for (int l = 0; l < LV__COUNT; l++)
            p->levels[l] += q->levels[l];
        p->first = q->first < p->first ? q->first : p->first;
        p->last = q->last > p->last ? q->last : p->last;
        if (q->entry.seq >= p->entry.seq)
            continue;
        p->entry = q->entry;
        p->entry.id = arena_dup(&x->arena, q->entry.id);
        p->message = arena_dup(&x->arena, q->message);
        if ((q->entry.id.n && !p->entry.id.p) || !p->message.p)
            rc = err_nomem(err);
    }
    x->messages += f->messages;
    return rc ? rc : count_bytes(x, err);
}

/* ---- the answer ---- */

static int most_first(const void *x, const void *y)
{
    const struct pattern *a = x, *b = y;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->last != b->last)
        return a->last > b->last ? -1 : 1;
    return str_cmp(a->tmpl, b->tmpl);
}

static struct val piece(struct arena *a, struct buf *b, enum vtype t)
{
    struct val v = { .t = t, .s = arena_dup(a, b->n ? buf_str(b) : STR("")) };
    buf_reset(b);
    return v;
}

static int put_one(struct patterns_op *x, const struct pattern *p, struct val fresh, struct buf *b,
                   struct arena *a, struct val v[COLS], struct err *err)
{
    bool any = false;
    v[C_COUNT] = (struct val){ .t = V_I64, .i = (int64_t)p->count };
    v[C_SHARE] = (struct val){ .t = V_F64,
                               .d = round((double)p->count * 10000 / (double)x->messages) / 100 };
    v[C_NEW] = fresh;
    v[C_FIRST] = (struct val){ .t = V_I64, .i = p->first };
    v[C_LAST] = (struct val){ .t = V_I64, .i = p->last };
    buf_putc(b, '{');
    for (int l = 0; l < LV__COUNT; l++)
        if (p->levels[l]) {
            buf_printf(b, "%s\"%.*s\":%llu", any ? "," : "", STR_FMT(level_names[l]),
                       (unsigned long long)p->levels[l]);
            any = true;
        }
    buf_putc(b, '}');
    v[C_LEVELS] = piece(a, b, V_JSON);
    template_show(b, p->tmpl);
    v[C_PATTERN] = piece(a, b, V_STR);
    v[C_EXAMPLE] = p->message.p ? (struct val){ .t = V_STR, .s = p->message } : VAL_ABSENT;
    v[C_ENTRY] =
        (struct val){ .t = V_STR, .s = issue_entry_id(&p->entry, store_ids(x->op.run->store), a) };
    if (!v[C_ENTRY].s.n)
        v[C_ENTRY] = VAL_ABSENT;
    buf_printf(b, "%016llx", (unsigned long long)template_id(p->tmpl));
    v[C_ID] = piece(a, b, V_STR);
    return buf_ok(b) && v[C_LEVELS].s.p && v[C_PATTERN].s.p && v[C_ID].s.p ? 0 : err_nomem(err);
}

/* The first entry of a pattern that only the summaries told of. */
static int fetch_example(struct patterns_op *x, struct pattern *p, struct err *err)
{
    if (p->message.p)
        return 0;
    int rc = entry_by_seq(x->op.run, p->entry.seq, &x->arena, &p->entry.id, &p->message, err);
    if (!rc && !p->entry.id.n) /* gone in between */
        p->entry.seq = UINT64_MAX;
    return rc;
}

static int no_moment(const struct pipe *pipe, struct err *err)
{
    err_at(err, ERR_INVALID, pipe->pos, "new since when? The filter has no start");
    err_hint(err, "write `new since now-1d`, or bound the time with after:");
    err_slug(err, "bad_query");
    return ERR_INVALID;
}

static int patterns_finish(struct op *o, struct err *err)
{
    struct patterns_op *x = (struct patterns_op *)o;
    const struct patterns_args *args = o->pipe->args;
    struct past past;
    struct buf b;
    struct arena a;
    struct val v[COLS], fresh;
    uint64_t given = 0;
    if (x->n)
        qsort(x->v, x->n, sizeof *x->v, most_first);
    buf_init(&b, 1u << 20);
    arena_init(&a, (size_t)16 << 20);
    int rc = past_open(&past, o->run, "patterns", &x->m, args->since ? args->from : TS_MIN, err);
    if (!rc && args->only_new && !past.known)
        rc = no_moment(o->pipe, err);
    for (uint32_t i = 0; i < x->n && given < args->n && !rc; i++) {
        rc = past_is_new(&past, x->v[i].tmpl, &fresh, err);
        if (rc || (args->only_new && (fresh.t != V_BOOL || !fresh.b)))
            continue;
        rc = fetch_example(x, &x->v[i], err);
        if (!rc)
            rc = put_one(x, &x->v[i], fresh, &b, &a, v, err);
        if (!rc)
            rc = table_push(o->run, o->next, o->pipe->out, v, 1, err);
        arena_reset(&a);
        given++;
    }
    past_close(&past);
    buf_deinit(&b);
    arena_deinit(&a);
    return rc;
}

int patterns_without_scan(struct run *r, bool *ret_done, struct err *err)
{
    const struct query *q = r->q;
    struct store_status st;
    struct template_stat *stat;
    struct arena a;
    uint32_t n;
    uint64_t other;
    *ret_done = false;
    if (!q->first || q->first->def != &pipe_patterns || !pred_is_true(q->filter) || q->o.no_prune)
        return 0;
    store_get_status(r->store, &st);
    if (st.dead_rows)
        return 0;
    arena_init(&a, (size_t)64 << 20);
    int rc = store_templates(r->store, UINT32_MAX, &a, &stat, &n, &other, err);
    struct patterns_op *x = (struct patterns_op *)r->ops;
    for (uint32_t i = 0; i < n && !rc && !other; i++) {
        uint32_t slot;
        struct pattern *p;
        rc = tmpl_map_put(&x->m, stat[i].text, &slot, err);
        if (!rc)
            rc = pattern_of(x, slot, &p, err);
        if (rc)
            break;
        p->count = stat[i].entries;
        memcpy(p->levels, stat[i].levels, sizeof p->levels);
        p->first = stat[i].first;
        p->last = stat[i].last;
        p->entry.seq = stat[i].example_seq;
        x->messages += p->count;
    }
    arena_deinit(&a);
    if (rc || other)
        return rc;
    *ret_done = true;
    r->res->watermark = st.watermark;
    r->res->total = st.entries;
    r->res->total_known = true;
    rc = count_bytes(x, err);
    return rc ? rc : op_finish(r->ops, err);
}

static void patterns_close(struct op *o)
{
    struct patterns_op *x = (struct patterns_op *)o;
    tmpl_map_deinit(&x->m);
    arena_deinit(&x->arena);
    mem_free(x->v);
}

static const struct op_ops patterns_ops = { sizeof(struct patterns_op),
                                            patterns_open,
                                            patterns_push,
                                            patterns_finish,
                                            patterns_close,
                                            patterns_merge };
const struct pipe_def pipe_patterns = { "patterns",
                                        PIPE_GROUPS,
                                        patterns_parse,
                                        &patterns_ops,
                                        "patterns [N] [new [since TIME]]",
                                        "messages by what is the same in them, with counts" };
