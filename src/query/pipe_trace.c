/* pipe_trace.c: `trace [logs]`: entries as trees of spans, a row a span, depth first.
 *
 * Reads what a tree needs of every entry; the trees are made when all have been seen
 * (trace_tree.c), so that neither order nor storage matters. Entries without trace, session, span
 * and parent entry belong to no tree. */
#include "base/mem.h"
#include "base/utf8.h"
#include "query/trace.h"

struct trace_args {
    bool logs;
};

struct trace_op {
    struct op op;
    struct notes notes;
};

static int trace_parse(struct parser *p, struct pipe *pipe)
{
    static const char *const names[TC__COUNT] = {
        [TC_TRACE] = "trace_id",
        [TC_SESSION] = "session_id",
        [TC_DEPTH] = "depth",
        [TC_LINK] = "link",
        [TC_SPAN] = "span_id",
        [TC_PARENT] = "parent_id",
        [TC_KIND] = "kind",
        [TC_NAME] = "name",
        [TC_AGENT] = "agent",
        [TC_TOOL] = "tool",
        [TC_MODEL] = "model",
        [TC_LEVEL] = "level",
        [TC_STATUS] = "status",
        [TC_STATE] = "state",
        [TC_START] = "start",
        [TC_DURATION] = "duration_ms",
        [TC_SELF] = "self_ms",
        [TC_CRITICAL] = "critical",
        [TC_ENTRIES] = "entries",
        [TC_ERRORS] = "errors",
        [TC_TOKENS] = "tokens",
        [TC_COST] = "cost_usd",
        [TC_TREE_TOKENS] = "tree_tokens",
        [TC_TREE_COST] = "tree_cost_usd",
        [TC_MESSAGE] = "message",
    };
    struct trace_args *a = arena_zalloc(p->a, sizeof *a);
    if (!a)
        return err_nomem(p->err);
    int rc = entries_only(p, pipe);
    if (rc)
        return rc;
    a->logs = lex_word(p, "logs");
    pipe->args = a;
    return schema_of(p, names, TC__COUNT, 1ull << TC_START, &pipe->out);
}

static int notes_init(struct notes *n, struct run *r, struct err *err)
{
    uint32_t none;
    intern_init(&n->texts, r, "trace");
    n->ready = true;
    return intern_val(&n->texts, VAL_ABSENT, &none, err); /* number 0 */
}

static int trace_open(struct op *o, struct err *err)
{
    return notes_init(&((struct trace_op *)o)->notes, o->run, err);
}

static int notes_add(struct run *r, struct notes *s, const struct note *x, const struct usage *u,
                     struct err *err)
{
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 128;
        struct note *v = mem_realloc(s->v, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        r->kept_bytes += (cap - s->cap) * sizeof *v;
        s->v = v;
        s->cap = cap;
    }
    if (u && s->nusage == s->cap_usage) {
        uint32_t cap = s->cap_usage ? s->cap_usage * 2 : 32;
        struct usage *v = mem_realloc(s->usage, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        r->kept_bytes += (cap - s->cap_usage) * sizeof *v;
        s->usage = v;
        s->cap_usage = cap;
    }
    s->v[s->n] = *x;
    s->v[s->n].usage = 0;
    if (u) {
        s->usage[s->nusage++] = *u;
        s->v[s->n].usage = s->nusage;
    }
    s->n++;
    return 0;
}

/* ---- reading ---- */

static const struct {
    enum note_text text;
    enum field field;
} sources[] = {
    { NT_TRACE, F_TRACE_ID },   { NT_SESSION, F_SESSION_ID }, { NT_SPAN, F_SPAN_ID },
    { NT_PARENT, F_PARENT_ID }, { NT_ENTRY, F_ID },           { NT_PARENT_ENTRY, F_PARENT_ENTRY },
    { NT_CALL, F_CALL_ID },     { NT_NAME, F_OPERATION },     { NT_AGENT, F_AGENT },
    { NT_TOOL, F_TOOL },        { NT_MODEL, F_MODEL },        { NT_STATUS, F_STATUS },
    { NT_KIND, F_KIND },        { NT_MESSAGE, F_MESSAGE },
};
#define NSOURCES (sizeof sources / sizeof *sources)

struct reading {
    struct reader text[NSOURCES], level, ms, seq, event;
    struct usage_reader usage;
};

static int reading_open(struct reading *g, struct run *r, struct block *b, struct err *err)
{
    int rc = usage_open(&g->usage, r->q->o.prices, b, err);
    for (size_t i = 0; i < NSOURCES && !rc; i++)
        rc = reader_open(&g->text[i], sources[i].field, b, err);
    if (!rc)
        rc = reader_open(&g->level, F_LEVEL, b, err);
    if (!rc)
        rc = reader_open(&g->ms, F_DURATION_MS, b, err);
    if (!rc)
        rc = reader_open(&g->seq, F_SEQ, b, err);
    return rc ? rc : reader_open(&g->event, F_EVENT, b, err);
}

static int text_number(struct notes *s, str text, uint32_t *ret, struct err *err)
{
    *ret = 0;
    if (!text.n)
        return 0;
    return intern_val(&s->texts, (struct val){ .t = V_STR, .s = text }, ret, err);
}

/* at most so many bytes, whole characters */
static str cut(str s)
{
    size_t n = TRACE_TEXT_MAX;
    if (s.n <= n)
        return s;
    while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return str_sub(s, 0, n);
}

static enum note_kind kind_of(str kind)
{
    return str_eq(kind, STR("span"))         ? NOTE_SPAN
           : str_eq(kind, STR("span_start")) ? NOTE_START
           : str_eq(kind, STR("span_end"))   ? NOTE_END
                                             : NOTE_LOG;
}

static bool failed(uint8_t level, str status)
{
    return level >= LV_ERROR || str_eq_ci(status, STR("error")) ||
           str_eq_ci(status, STR("failed")) || str_eq_ci(status, STR("failure"));
}

static int read_entry(struct notes *s, struct reading *g, uint32_t row, struct note *x,
                      struct err *err)
{
    str text[NT__COUNT] = { 0 };
    struct val level;
    bool has;
    int rc = 0;
    for (size_t i = 0; i < NSOURCES && !rc; i++)
        rc = reader_text(&g->text[i], row, &text[sources[i].text], err);
    if (!rc)
        rc = reader_get(&g->level, row, &level, err);
    if (!rc)
        rc = reader_num(&g->ms, row, &x->ms, &has, err);
    if (rc)
        return rc;
    if (!has || !(x->ms >= 0))
        x->ms = -1;
    x->t = access_time(&g->usage.time.acc, row);
    x->seq = (uint64_t)access_time(&g->seq.acc, row);
    x->level = level.t == V_I64 && level.i >= 0 && level.i < LV__COUNT ? (uint8_t)level.i : LV_INFO;
    x->kind = (uint8_t)kind_of(text[NT_KIND]);
    x->failed = failed(x->level, text[NT_STATUS]);
    if (!text[NT_NAME].n)
        text[NT_NAME] = text[NT_TOOL];
    text[NT_MESSAGE] = cut(text[NT_MESSAGE]);
    if (!text[NT_NAME].n && !text[NT_MESSAGE].n)
        rc = reader_text(&g->event, row, &text[NT_NAME], err);
    for (int i = 0; i < NT__COUNT && !rc; i++)
        rc = text_number(s, text[i], &x->text[i], err);
    return rc;
}

static void set_scope(struct note *x)
{
    x->scope = x->text[NT_TRACE] ? (uint64_t)x->text[NT_TRACE] << 1
                                 : (uint64_t)x->text[NT_SESSION] << 1 | 1;
}

static int trace_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct notes *s = &((struct trace_op *)o)->notes;
    struct reading *g = mem_alloc(sizeof *g);
    uint32_t n = c->b->n;
    int rc = g ? reading_open(g, o->run, c->b, err) : err_nomem(err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        struct note x = { 0 };
        struct usage u;
        rc = read_entry(s, g, (uint32_t)i, &x, err);
        if (!rc)
            rc = usage_get(&g->usage, (uint32_t)i, &u, err);
        set_scope(&x);
        if (!rc && (x.scope > 1 || x.text[NT_SPAN] || x.text[NT_PARENT_ENTRY]))
            rc = notes_add(o->run, s, &x, u.any ? &u : NULL, err);
        if (!rc)
            rc = run_room(o->run, "trace", err);
    }
    mem_free(g);
    return rc;
}

static int trace_merge(struct op *o, struct op *from, struct err *err)
{
    struct notes *s = &((struct trace_op *)o)->notes;
    const struct notes *f = &((struct trace_op *)from)->notes;
    uint32_t *map = mem_array((size_t)f->texts.n + 1, sizeof *map);
    int rc = map ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < f->texts.n && !rc; i++)
        rc = intern_val(&s->texts, f->texts.vals[i], &map[i], err);
    for (uint32_t i = 0; i < f->n && !rc; i++) {
        struct note x = f->v[i];
        for (int k = 0; k < NT__COUNT; k++)
            x.text[k] = map[x.text[k]];
        set_scope(&x);
        rc = notes_add(o->run, s, &x, x.usage ? &f->usage[x.usage - 1] : NULL, err);
        if (!rc)
            rc = run_room(o->run, "trace", err);
    }
    mem_free(map);
    return rc;
}

static int trace_finish(struct op *o, struct err *err)
{
    const struct trace_args *a = o->pipe->args;
    return trace_rows(o, &((struct trace_op *)o)->notes, a->logs, err);
}

static void trace_close(struct op *o)
{
    struct notes *s = &((struct trace_op *)o)->notes;
    mem_free(s->v);
    mem_free(s->usage);
    if (s->ready)
        intern_deinit(&s->texts);
}

static const struct op_ops trace_ops = {
    sizeof(struct trace_op), trace_open, trace_push, trace_finish, trace_close, trace_merge
};
const struct pipe_def pipe_trace = { "trace",    PIPE_GROUPS,    trace_parse,
                                     &trace_ops, "trace [logs]", "spans as trees, depth first" };
