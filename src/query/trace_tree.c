/* trace_tree.c: the notes of one trace as nodes, and the nodes as rows.
 *
 *   notes of a trace by (time, seq)
 *     spans        ─► a node each; a start and an end with one id fill the same
 *     others       ─► counted with the span they name; a span only they name is `implied`
 *     parent entry ─► an entry that names one, or is named, is a node (`point`)
 *   links up       ─► by span id, else by entry id; tree.h orders, cuts circles, measures
 *
 * Rules. A span id that comes again with another start is another node (`duplicate`), below the
 * same parent; children belong to the first. A closed span sent twice counts once. An end without
 * an id closes the span with its call id. A span without an end runs, unless nothing was heard of
 * it and of what is below it for SPAN_IDLE before the query's now: then its end is unknown. For
 * self time and critical path such a span ends with the last that was heard of it. */
#include "query/trace.h"

#include <stdlib.h>

#include "base/mem.h"
#include "query/exact.h"

enum state { ST_CLOSED, ST_RUNNING, ST_UNKNOWN, ST_IMPLIED, ST_POINT, ST_LOG };
static const str state_names[] = { STR("closed"),  STR("running"), STR("unknown_end"),
                                   STR("implied"), STR("point"),   STR("log") };

struct node {
    const struct note *first, *end; /* that told of it first; that closed it */
    uint32_t text[NT__COUNT];       /* the first of each that was told */
    uint32_t same;                  /* newest node of this id, in the first one of it */
    ts_ns heard;                    /* last sign of it; with tree: and of what is below it */
    double ms;                      /* < 0: not known */
    uint64_t entries, errors;
    struct usage_sum own, all;
    uint8_t state, level;
    bool started, duplicate, orphan;
};

struct forest {
    struct op *o;
    struct notes *notes;
    const struct note *v; /* of this trace */
    uint32_t n;
    bool logs;
    struct arena arena; /* of this trace */
    struct tree tree;
    struct node *nodes;
    uint32_t *of; /* note -> its node, TREE_NONE */
    struct smap ids;
    struct calls calls;
};

/* ---- which node ---- */

enum id_kind { ID_SPAN = 's', ID_CALL = 'c', ID_ENTRY = 'e', ID_NAMED = 'n' };

/* the slot of an id; made when `make`. NULL: none, or out of memory */
static uint64_t *slot(struct forest *f, enum id_kind kind, uint32_t text, bool make)
{
    struct {
        uint32_t kind, text;
    } key = { (uint32_t)kind, text };
    str s = { (const char *)&key, sizeof key };
    return !text ? NULL : make ? smap_put(&f->ids, s, NULL) : smap_get(&f->ids, s);
}

static uint32_t find(struct forest *f, enum id_kind kind, uint32_t text)
{
    uint64_t *at = slot(f, kind, text, false);
    return at && *at ? (uint32_t)*at - 1 : TREE_NONE;
}

static int name_node(struct forest *f, enum id_kind kind, uint32_t text, uint32_t node,
                     struct err *err)
{
    uint64_t *at = slot(f, kind, text, true);
    if (!text)
        return 0;
    if (!at)
        return err_nomem(err);
    if (!*at)
        *at = (uint64_t)node + 1;
    return 0;
}

static uint32_t new_node(struct forest *f, const struct note *x, enum state state)
{
    uint32_t i = f->tree.n++;
    f->nodes[i] = (struct node){
        .first = x, .same = i, .heard = x->t, .ms = -1, .state = (uint8_t)state, .level = LV_TRACE
    };
    f->tree.v[i] =
        (struct tree_node){ .start = x->t, .end = x->t, .seq = x->seq, .parent = TREE_NONE };
    return i;
}

/* ---- what a note tells of its node ---- */

static ts_ns later(ts_ns t, double ms)
{
    double ns = ms * 1e6;
    int64_t sum;
    if (!(ns < 9e18) || __builtin_add_overflow(t, (int64_t)ns, &sum))
        return TS_MAX;
    return sum;
}

static ts_ns earlier(ts_ns t, double ms)
{
    double ns = ms * 1e6;
    int64_t sum;
    if (!(ns < 9e18) || __builtin_sub_overflow(t, (int64_t)ns, &sum))
        return TS_MIN;
    return sum;
}

static void tell(struct forest *f, uint32_t i, const struct note *x)
{
    struct node *n = &f->nodes[i];
    for (int k = 0; k < NT__COUNT; k++)
        if (!n->text[k])
            n->text[k] = x->text[k];
    if (x->kind == NOTE_END) { /* how it ended is what counts */
        n->text[NT_STATUS] = x->text[NT_STATUS] ? x->text[NT_STATUS] : n->text[NT_STATUS];
        n->text[NT_MESSAGE] = x->text[NT_MESSAGE] ? x->text[NT_MESSAGE] : n->text[NT_MESSAGE];
    }
    n->entries++;
    n->errors += x->failed;
    n->level = x->level > n->level ? x->level : n->level;
    n->heard = x->t > n->heard ? x->t : n->heard;
}

static int count_usage(struct forest *f, uint32_t i, const struct note *x, struct err *err)
{
    if (!x->usage)
        return 0;
    const struct usage *u = &f->notes->usage[x->usage - 1];
    if (!u->called)
        return usage_add(&f->nodes[i].own, u) ? 0 : err_nomem(err);
    str id = f->notes->texts.vals[x->text[NT_CALL]].s;
    return calls_put(&f->calls,
                     &(struct call){ .u = *u, .owner = i, .t = x->t, .seq = x->seq, .id = id },
                     NULL, err);
}

static int take(struct forest *f, uint32_t note, uint32_t node, struct err *err)
{
    tell(f, node, &f->v[note]);
    f->of[note] = node;
    return count_usage(f, node, &f->v[note], err);
}

static void close_node(struct forest *f, uint32_t i, const struct note *x)
{
    struct node *n = &f->nodes[i];
    struct tree_node *t = &f->tree.v[i];
    n->end = x;
    n->state = ST_CLOSED;
    n->ms = x->ms;
    if (x->kind == NOTE_SPAN) {
        t->start = x->t;
        t->end = x->ms > 0 ? later(x->t, x->ms) : x->t;
    } else {
        if (!n->started) /* an end alone came that much later than the start */
            t->start = x->ms > 0 ? earlier(x->t, x->ms) : x->t;
        t->end = x->t > t->start ? x->t : t->start;
        if (n->ms < 0 && n->started)
            n->ms = (double)tree_between(t->start, t->end) / 1e6;
    }
    n->heard = t->end > n->heard ? t->end : n->heard;
}

/* ---- pass 1: spans ---- */

static bool same_again(const struct node *n, const struct note *x)
{
    const struct note *y = x->kind == NOTE_START ? n->first : n->end;
    return y && y->kind == x->kind && y->t == x->t && y->ms == x->ms;
}

/* does x tell of a further span under the id of node i? */
static bool is_further(const struct forest *f, uint32_t i, const struct note *x)
{
    const struct node *n = &f->nodes[i];
    if (x->kind == NOTE_END)
        return false;
    if (x->kind == NOTE_START)
        return n->started || (n->end && n->end->kind == NOTE_SPAN);
    return n->end != NULL;
}

static int add_span(struct forest *f, uint32_t note, struct err *err)
{
    const struct note *x = &f->v[note];
    uint32_t i = find(f, ID_SPAN, x->text[NT_SPAN]);
    if (i == TREE_NONE && !x->text[NT_SPAN])
        i = find(f, ID_CALL, x->text[NT_CALL]);
    uint32_t head = i;
    if (i != TREE_NONE)
        i = f->nodes[i].same;
    if (i != TREE_NONE && same_again(&f->nodes[i], x)) {
        f->nodes[i].entries++;
        f->of[note] = i;
        return 0;
    }
    bool further = i != TREE_NONE && is_further(f, i, x);
    if (i == TREE_NONE || further)
        i = new_node(f, x, ST_RUNNING);
    if (further) {
        f->nodes[i].duplicate = true;
        f->nodes[head].same = i;
    }
    if (x->kind == NOTE_START) {
        f->nodes[i].started = true;
        f->nodes[i].first = x;
        f->tree.v[i].start = x->t;
        f->tree.v[i].end = f->tree.v[i].end > x->t ? f->tree.v[i].end : x->t;
        if (f->nodes[i].end && f->nodes[i].ms < 0) /* the end came first */
            f->nodes[i].ms = (double)tree_between(x->t, f->tree.v[i].end) / 1e6;
    } else {
        close_node(f, i, x);
    }
    int rc = name_node(f, ID_SPAN, x->text[NT_SPAN], i, err);
    if (!rc)
        rc = name_node(f, ID_CALL, x->text[NT_CALL], i, err);
    return rc ? rc : take(f, note, i, err);
}

static int add_spans(struct forest *f, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < f->n && !rc; i++)
        if (f->v[i].kind != NOTE_LOG)
            rc = add_span(f, i, err);
    return rc;
}

/* ---- pass 2: other entries ---- */

static int add_other(struct forest *f, uint32_t note, struct err *err)
{
    const struct note *x = &f->v[note];
    uint32_t i = find(f, ID_SPAN, x->text[NT_SPAN]);
    if (i == TREE_NONE && !x->text[NT_SPAN])
        i = find(f, ID_CALL, x->text[NT_CALL]);
    bool entry = x->text[NT_PARENT_ENTRY] || slot(f, ID_NAMED, x->text[NT_ENTRY], false);
    if (i == TREE_NONE && x->text[NT_SPAN]) {
        i = new_node(f, x, ST_IMPLIED);
        int rc = name_node(f, ID_SPAN, x->text[NT_SPAN], i, err);
        if (rc)
            return rc;
    } else if (i == TREE_NONE && entry) {
        i = new_node(f, x, ST_POINT);
        f->nodes[i].ms = x->ms;
        f->tree.v[i].end = x->ms > 0 ? later(x->t, x->ms) : x->t;
    } else if (i == TREE_NONE) {
        return 0;
    }
    if (f->nodes[i].state == ST_IMPLIED && x->t > f->tree.v[i].end)
        f->tree.v[i].end = x->t;
    return take(f, note, i, err);
}

/* which entries others name as their parent */
static int mark_named(struct forest *f, struct err *err)
{
    for (uint32_t i = 0; i < f->n; i++) {
        uint64_t *at = slot(f, ID_NAMED, f->v[i].text[NT_PARENT_ENTRY], true);
        if (!at && f->v[i].text[NT_PARENT_ENTRY])
            return err_nomem(err);
    }
    return 0;
}

static int add_others(struct forest *f, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < f->n && !rc; i++)
        if (f->v[i].kind == NOTE_LOG)
            rc = add_other(f, i, err);
    for (uint32_t i = 0; i < f->n && !rc; i++)
        if (f->of[i] != TREE_NONE && slot(f, ID_NAMED, f->v[i].text[NT_ENTRY], false))
            rc = name_node(f, ID_ENTRY, f->v[i].text[NT_ENTRY], f->of[i], err);
    return rc;
}

/* ---- links ---- */

static void link_up(struct forest *f)
{
    for (uint32_t i = 0; i < f->tree.n; i++) {
        struct node *n = &f->nodes[i];
        uint32_t up = find(f, ID_SPAN, n->text[NT_PARENT]);
        if (up == TREE_NONE)
            up = find(f, ID_ENTRY, n->text[NT_PARENT_ENTRY]);
        f->tree.v[i].parent = up;
        n->orphan = up == TREE_NONE && (n->text[NT_PARENT] || n->text[NT_PARENT_ENTRY]);
    }
}

/* entries that are rows of their own below their span */
static void add_logs(struct forest *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct note *x = &f->v[i];
        uint32_t up = f->of[i];
        if (x->kind != NOTE_LOG || (up != TREE_NONE && f->nodes[up].state == ST_POINT))
            continue;
        uint32_t k = new_node(f, x, ST_LOG);
        f->tree.v[k].parent = up;
        f->nodes[k].level = x->level;
        memcpy(f->nodes[k].text, x->text, sizeof x->text);
    }
}

static int settle(struct forest *f, struct err *err)
{
    ts_ns now = f->o->run->q->o.now;
    for (uint32_t i = 0; i < f->calls.n; i++)
        if (!usage_add(&f->nodes[f->calls.v[i].owner].own, &f->calls.v[i].u))
            return err_nomem(err);
    for (uint32_t k = f->tree.n; k-- > 0;) { /* children before their parents */
        uint32_t i = f->tree.order[k], up = f->tree.v[i].parent;
        struct node *n = &f->nodes[i];
        struct tree_node *t = &f->tree.v[i];
        if (n->state == ST_RUNNING) {
            t->end = n->heard > t->start ? n->heard : t->start;
            if (now > TS_MIN + SPAN_IDLE && n->heard <= now - SPAN_IDLE)
                n->state = ST_UNKNOWN;
        }
        if (!usage_merge(&n->all, &n->own))
            return err_nomem(err);
        if (up == TREE_NONE)
            continue;
        if (!usage_merge(&f->nodes[up].all, &n->all))
            return err_nomem(err);
        if (n->heard > f->nodes[up].heard)
            f->nodes[up].heard = n->heard;
    }
    return 0;
}

/* ---- rows ---- */

static struct val text_of(const struct forest *f, uint32_t number)
{
    return number ? f->notes->texts.vals[number] : VAL_ABSENT;
}

static struct val count_of(uint64_t n)
{
    return (struct val){ .t = V_I64, .i = (int64_t)n };
}

static struct val ms_of(double ms)
{
    return ms < 0 ? VAL_ABSENT : val_normal((struct val){ .t = V_F64, .d = ms });
}

static str link_of(const struct forest *f, uint32_t i)
{
    const struct node *n = &f->nodes[i];
    return f->tree.v[i].cut                   ? STR("circle")
           : n->duplicate                     ? STR("duplicate")
           : n->orphan                        ? STR("orphan")
           : f->tree.v[i].parent == TREE_NONE ? STR("root")
                                              : STR("child");
}

static void put_row(const struct forest *f, uint32_t i, struct val *v)
{
    static const enum note_text texts[TC__COUNT] = {
        [TC_TRACE] = NT_TRACE,   [TC_SESSION] = NT_SESSION, [TC_SPAN] = NT_SPAN,
        [TC_PARENT] = NT_PARENT, [TC_AGENT] = NT_AGENT,     [TC_TOOL] = NT_TOOL,
        [TC_MODEL] = NT_MODEL,   [TC_STATUS] = NT_STATUS,   [TC_MESSAGE] = NT_MESSAGE,
    };
    const struct node *n = &f->nodes[i];
    const struct tree_node *t = &f->tree.v[i];
    bool log = n->state == ST_LOG, timed = n->ms >= 0 || n->state == ST_IMPLIED;
    for (int c = 0; c < TC__COUNT; c++)
        v[c] = texts[c] || c == TC_TRACE ? text_of(f, n->text[texts[c]]) : VAL_ABSENT;
    if (!n->text[NT_PARENT])
        v[TC_PARENT] = text_of(f, n->text[NT_PARENT_ENTRY]);
    if (!n->text[NT_SPAN])
        v[TC_SPAN] = text_of(f, n->state == ST_POINT ? n->text[NT_ENTRY] : n->text[NT_CALL]);
    v[TC_DEPTH] = count_of(t->depth);
    v[TC_LINK] = (struct val){ .t = V_STR, .s = link_of(f, i) };
    v[TC_KIND] = n->text[NT_KIND] ? text_of(f, n->text[NT_KIND])
                                  : (struct val){ .t = V_STR, .s = STR("log") };
    if (n->state <= ST_IMPLIED)
        v[TC_KIND] = (struct val){ .t = V_STR, .s = STR("span") };
    v[TC_NAME] = text_of(f, n->text[NT_NAME] ? n->text[NT_NAME] : n->text[NT_MESSAGE]);
    v[TC_LEVEL] = (struct val){ .t = V_STR, .s = level_names[n->level] };
    v[TC_STATE] = (struct val){ .t = V_STR, .s = state_names[n->state] };
    v[TC_START] = (struct val){ .t = V_I64, .i = t->start };
    if (log)
        return;
    double ms = n->state == ST_IMPLIED ? (double)tree_between(t->start, t->end) / 1e6 : n->ms;
    v[TC_DURATION] = ms_of(ms);
    if (timed)
        v[TC_SELF] = ms_of((double)t->self_ns / 1e6);
    v[TC_CRITICAL] = (struct val){ .t = V_BOOL, .b = t->critical };
    v[TC_ENTRIES] = count_of(n->entries);
    v[TC_ERRORS] = count_of(n->errors);
    if (n->own.told)
        v[TC_TOKENS] = usage_total(&n->own);
    v[TC_COST] = usage_cost(&n->own);
    if (n->all.told)
        v[TC_TREE_TOKENS] = usage_total(&n->all);
    v[TC_TREE_COST] = usage_cost(&n->all);
}

static int put_rows(struct forest *f, struct err *err)
{
    enum { ROWS = 128 };
    struct op *o = f->o;
    struct val *vals = mem_array((size_t)ROWS * TC__COUNT, sizeof *vals);
    uint32_t n = 0;
    int rc = vals ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < f->tree.n && !rc; i++) {
        put_row(f, f->tree.order[i], vals + (size_t)n++ * TC__COUNT);
        if (n == ROWS || i + 1 == f->tree.n) {
            rc = table_push(o->run, o->next, o->pipe->out, vals, n, err);
            n = 0;
        }
    }
    mem_free(vals);
    return rc;
}

/* ---- one trace ---- */

static int grow(struct forest *f, struct err *err)
{
    /* a node an entry at most, and with logs one more */
    size_t most = (size_t)f->n * (f->logs ? 2 : 1) + 1;
    f->nodes = arena_array(&f->arena, most, sizeof *f->nodes);
    f->tree = (struct tree){ .v = arena_array(&f->arena, most, sizeof *f->tree.v), .a = &f->arena };
    f->of = arena_array(&f->arena, (size_t)f->n + 1, sizeof *f->of);
    if (!f->nodes || !f->tree.v || !f->of)
        return err_nomem(err);
    memset(f->of, 0xff, (size_t)f->n * sizeof *f->of);
    f->o->run->kept_bytes += f->arena.used;
    int rc = run_room(f->o->run, "trace", err);
    f->o->run->kept_bytes -= f->arena.used;
    return rc;
}

static int one_trace(struct forest *f, struct err *err)
{
    int rc = grow(f, err);
    if (!rc)
        rc = mark_named(f, err);
    if (!rc)
        rc = add_spans(f, err);
    if (!rc)
        rc = add_others(f, err);
    if (!rc) {
        link_up(f);
        if (f->logs)
            add_logs(f);
        rc = tree_link(&f->tree, err);
    }
    if (!rc)
        rc = settle(f, err);
    if (!rc)
        rc = tree_times(&f->tree, err);
    if (!rc)
        rc = put_rows(f, err);
    for (uint32_t i = 0; i < f->tree.n; i++) {
        usage_deinit(&f->nodes[i].own);
        usage_deinit(&f->nodes[i].all);
    }
    return rc;
}

static int by_scope(const void *x, const void *y)
{
    const struct note *a = x, *b = y;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

struct piece {
    uint32_t at, n;
};

static int by_first(const void *x, const void *y, void *arg)
{
    const struct note *v = arg, *a = &v[((const struct piece *)x)->at],
                      *b = &v[((const struct piece *)y)->at];
    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

int trace_rows(struct op *o, struct notes *notes, bool logs, struct err *err)
{
    struct forest f = { .o = o, .notes = notes, .logs = logs };
    struct piece *pieces = mem_array((size_t)notes->n + 1, sizeof *pieces);
    uint32_t npieces = 0;
    int rc = pieces ? 0 : err_nomem(err);
    if (notes->n)
        qsort(notes->v, notes->n, sizeof *notes->v, by_scope);
    for (uint32_t i = 0; i < notes->n && !rc; i++) {
        if (!i || notes->v[i].scope != notes->v[i - 1].scope)
            pieces[npieces++] = (struct piece){ i, 0 };
        pieces[npieces - 1].n++;
    }
    if (npieces)
        qsort_r(pieces, npieces, sizeof *pieces, by_first, notes->v);
    arena_init(&f.arena, RUN_BATCH_MAX);
    smap_init(&f.ids, SMAP_COPY);
    for (uint32_t i = 0; i < npieces && !rc; i++) {
        size_t held = o->run->kept_bytes;
        f.v = notes->v + pieces[i].at;
        f.n = pieces[i].n;
        calls_init(&f.calls, o->run, "trace");
        rc = one_trace(&f, err);
        calls_deinit(&f.calls);
        smap_deinit(&f.ids);
        smap_init(&f.ids, SMAP_COPY);
        arena_reset(&f.arena);
        o->run->kept_bytes = held;
        if (!rc)
            rc = run_check(o->run, err);
    }
    smap_deinit(&f.ids);
    arena_deinit(&f.arena);
    mem_free(pieces);
    return rc;
}
