/* pipe_sessions.c: `sessions` and `traces`: one row a session, or a trace, newest first.
 *
 * Both collect the same of the entries of a group; they differ in the key and in what they call the
 * group's beginning: the first text of a user, or the root span. Entries without the key do not
 * count. Nothing depends on the order of entries: of several firsts and lasts (time, seq) decides.
 *
 * Tool calls and spans are counted by their ids, so that a start and an end, a hook and a span are
 * one. What tokens and cost are, and which report of a call counts, stands in read.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "query/exact.h"
#include "query/group.h"
#include "query/idset.h"
#include "query/read.h"

#define FIRST_TEXT_MAX 200 /* bytes of a text that are kept */
#define NAMES_SHOWN 32     /* agents and models of a group by name */

enum column {
    C_KEY,
    C_NAME,
    C_AGENT,
    C_START,
    C_END,
    C_DURATION,
    C_AGENTS,
    C_ENTRIES,
    C_SPANS,
    C_TOOL_CALLS,
    C_ERRORS,
    C_INPUT,
    C_CACHE_READ,
    C_CACHE_WRITE,
    C_OUTPUT,
    C_REASONING,
    C_TOKENS,
    C_COST,
    C_UNPRICED,
    C_AGENT_NAMES,
    C_MODELS,
    C_STATUS,
    C__COUNT
};

struct sessions_args {
    bool traces;
    struct group_key key;
};

/* a text with its place in time: the first or last of a group; texts are interned */
struct placed {
    ts_ns t;
    uint64_t seq;
    uint32_t text; /* 0: none yet */
};

struct group {
    ts_ns start, end;
    uint64_t entries, errors, agents, spans, tools;
    struct placed agent, name, root, asked, status;
    struct usage_sum sum;
};

/* names that are counted once a group and told: one map for all groups */
enum once { ONCE_AGENT, ONCE_MODEL };
/* ids that are only counted */
enum id_kind { ID_SPAN, ID_TOOL };
struct seen {
    uint32_t group, kind, text;
};

struct sessions_op {
    struct op op;
    struct grouper g;
    struct intern texts; /* 0 is the absent one */
    struct calls calls;
    struct group *v;
    uint32_t cap;
    struct smap map;
    struct seen *seen; /* in order of appearance */
    uint32_t nseen, cap_seen;
    struct arena keys;
    struct idset ids;
    bool ready;
};

/* ---- parsing ---- */

static int parse(struct parser *p, struct pipe *pipe, bool traces)
{
    const char *names[C__COUNT] = {
        [C_KEY] = traces ? "trace_id" : "session_id",
        [C_NAME] = traces ? "name" : "first_user",
        [C_AGENT] = "agent",
        [C_START] = "start",
        [C_END] = "end",
        [C_DURATION] = "duration_ms",
        [C_AGENTS] = "agents",
        [C_ENTRIES] = "entries",
        [C_SPANS] = "spans",
        [C_TOOL_CALLS] = "tool_calls",
        [C_ERRORS] = "errors",
        [C_INPUT] = "tokens.input",
        [C_CACHE_READ] = "tokens.cache_read",
        [C_CACHE_WRITE] = "tokens.cache_write",
        [C_OUTPUT] = "tokens.output",
        [C_REASONING] = "tokens.reasoning",
        [C_TOKENS] = "tokens",
        [C_COST] = "cost_usd",
        [C_UNPRICED] = "unpriced",
        [C_AGENT_NAMES] = "agent_names",
        [C_MODELS] = "models",
        [C_STATUS] = "status",
    };
    struct sessions_args *a = arena_zalloc(p->a, sizeof *a);
    struct qname key = { .text = str_c(names[C_KEY]), .pos = pipe->pos };
    if (!a)
        return err_nomem(p->err);
    int rc = entries_only(p, pipe);
    a->traces = traces;
    a->key.kind = KEY_FIELD;
    if (!rc)
        rc = schema_resolve(p, &key, &a->key.ref);
    pipe->args = a;
    return rc ? rc : schema_of(p, names, C__COUNT, 1ull << C_START | 1ull << C_END, &pipe->out);
}

static int sessions_parse(struct parser *p, struct pipe *pipe)
{
    return parse(p, pipe, false);
}

static int traces_parse(struct parser *p, struct pipe *pipe)
{
    return parse(p, pipe, true);
}

/* ---- collecting ---- */

static int sessions_open(struct op *o, struct err *err)
{
    struct sessions_op *s = (struct sessions_op *)o;
    const struct sessions_args *a = o->pipe->args;
    const char *name = o->pipe->def->name;
    uint32_t none;
    intern_init(&s->texts, o->run, name);
    calls_init(&s->calls, o->run, name);
    smap_init(&s->map, SMAP_BORROW);
    s->ids.r = o->run;
    arena_init(&s->keys, RUN_BATCH_MAX);
    s->ready = true;
    int rc = intern_val(&s->texts, VAL_ABSENT, &none, err);
    return rc ? rc : grouper_init(&s->g, o->run, name, &a->key, 1, err);
}

static int groups_grow(struct sessions_op *s, struct err *err)
{
    uint32_t cap = s->cap ? s->cap : 32;
    if (s->g.n <= s->cap)
        return 0;
    while (cap < s->g.n)
        cap *= 2;
    struct group *v = mem_realloc(s->v, cap * sizeof *v);
    if (!v)
        return err_nomem(err);
    memset(v + s->cap, 0, (cap - s->cap) * sizeof *v);
    for (uint32_t i = s->cap; i < cap; i++) {
        v[i].start = TS_MAX;
        v[i].end = TS_MIN;
    }
    s->op.run->kept_bytes += (cap - s->cap) * (sizeof *v + sizeof(struct exact_sum));
    s->v = v;
    s->cap = cap;
    return run_room(s->op.run, s->op.pipe->def->name, err);
}

/* *count rises when the group has not had this one before */
static int once(struct sessions_op *s, uint32_t group, enum once kind, uint32_t text,
                uint64_t *count, struct err *err)
{
    struct seen key = { group, (uint32_t)kind, text };
    if (!text || smap_get(&s->map, (str){ (const char *)&key, sizeof key }))
        return 0;
    if (s->nseen == s->cap_seen) {
        uint32_t cap = s->cap_seen ? s->cap_seen * 2 : 128;
        struct seen *v = mem_realloc(s->seen, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        s->op.run->kept_bytes += (cap - s->cap_seen) * (sizeof *v + 2 * sizeof(struct smap_slot));
        s->seen = v;
        s->cap_seen = cap;
    }
    size_t before = s->keys.used;
    str own = arena_dup(&s->keys, (str){ (const char *)&key, sizeof key });
    s->op.run->kept_bytes += s->keys.used - before;
    if (!own.p || !smap_put(&s->map, own, NULL))
        return err_nomem(err);
    s->seen[s->nseen++] = key;
    if (count)
        ++*count;
    return 0;
}

/* *count rises when the group has not had this id before; without an id it always does */
static int count_id(struct sessions_op *s, uint32_t group, enum id_kind kind, str id,
                    uint64_t *count, struct err *err)
{
    bool fresh = true;
    int rc = 0;
    if (id.n)
        rc = idset_add(&s->ids, idset_hash(grouper_val(&s->g, group, 0), kind, id), group, kind,
                       &fresh, err);
    *count += !rc && fresh;
    return rc;
}

static void place(struct placed *at, const struct placed *x, bool last)
{
    if (!x->text)
        return;
    bool before = x->t != at->t ? x->t < at->t : x->seq < at->seq;
    if (!at->text || before != last)
        *at = *x;
}

static bool after(const struct placed *at, const struct placed *x)
{
    return at->text && (x->t != at->t ? x->t > at->t : x->seq > at->seq);
}

struct reading {
    struct reader seq, kind, level, status, agent, model, tool, span, parent, call, event,
        operation, message, input, role, ms;
    struct usage_reader usage;
};

static int reading_open(struct reading *g, struct sessions_op *s, struct block *b, struct err *err)
{
    struct {
        struct reader *r;
        enum field f;
    } list[] = {
        { &g->seq, F_SEQ },         { &g->kind, F_KIND },    { &g->level, F_LEVEL },
        { &g->status, F_STATUS },   { &g->agent, F_AGENT },  { &g->model, F_MODEL },
        { &g->tool, F_TOOL },       { &g->span, F_SPAN_ID }, { &g->parent, F_PARENT_ID },
        { &g->call, F_CALL_ID },    { &g->event, F_EVENT },  { &g->operation, F_OPERATION },
        { &g->message, F_MESSAGE }, { &g->input, F_INPUT },  { &g->ms, F_DURATION_MS }
    };
    int rc = usage_open(&g->usage, s->op.run->q->o.prices, b, err);
    for (size_t i = 0; i < sizeof list / sizeof *list && !rc; i++)
        rc = reader_open(list[i].r, list[i].f, b, err);
    /* the role of a turn is an attribute: there is no field for it */
    static const char role[] = { PATH_SEP, 'r', 'o', 'l', 'e' };
    g->role.ref = (struct fieldref){ .field = F_NONE, .key = { role, sizeof role } };
    g->role.ref.hash = field_dotted_hash(g->role.ref.key);
    return rc ? rc : access_open(&g->role.acc, b, &g->role.ref, err);
}

static int number(struct sessions_op *s, str text, uint32_t *ret, struct err *err)
{
    *ret = 0;
    if (!text.n)
        return 0;
    return intern_val(&s->texts, (struct val){ .t = V_STR, .s = text }, ret, err);
}

/* its beginning, whole characters */
static str cut(str text)
{
    size_t n = FIRST_TEXT_MAX;
    if (text.n <= n)
        return text;
    while (n && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--;
    return str_sub(text, 0, n);
}

/* did a user write this? by the event's name, or by the role of a turn */
static int from_user(struct reading *g, uint32_t row, bool *ret, struct err *err)
{
    static const char *const events[] = {
        "UserPromptSubmit",  "user_prompt", "user_message", "user_input",
        "codex.user_prompt", "user",        "prompt",       "claude_code.user_prompt"
    };
    struct val role;
    str event;
    int rc = reader_text(&g->event, row, &event, err);
    *ret = false;
    for (size_t i = 0; i < sizeof events / sizeof *events && !rc; i++)
        *ret |= str_eq(event, str_c(events[i]));
    if (rc || *ret)
        return rc;
    rc = access_get(&g->role.acc, row, &role, err);
    *ret = !rc && role.t == V_STR && str_eq(role.s, STR("user"));
    return rc;
}

static int first_user(struct sessions_op *s, struct reading *g, struct placed *at, uint32_t row,
                      struct placed *x, struct err *err)
{
    bool user;
    str text;
    int rc = from_user(g, row, &user, err);
    if (rc || !user)
        return rc;
    rc = reader_text(&g->message, row, &text, err);
    if (!rc && !text.n)
        rc = reader_text(&g->input, row, &text, err);
    if (!rc)
        rc = number(s, cut(text), &x->text, err);
    if (!rc)
        place(at, x, false);
    return rc;
}

/* the name of a span without a parent; else what a user asked, else that of any entry */
static int trace_name(struct sessions_op *s, struct reading *g, struct group *v, uint32_t row,
                      bool span, struct placed *x, struct err *err)
{
    str parent, text;
    struct reader *names[] = { &g->operation, &g->tool, &g->message, &g->event };
    int rc = reader_text(&g->parent, row, &parent, err);
    bool root = span && !parent.n;
    struct placed *at = root ? &v->root : &v->name;
    if (!rc && !span && !v->root.text && !after(&v->asked, x))
        rc = first_user(s, g, &v->asked, row, x, err);
    if (!rc && after(at, x))
        return 0; /* a text less to keep */
    for (size_t i = 0; i < 4 && !rc; i++) {
        rc = reader_text(names[i], row, &text, err);
        if (text.n)
            break;
    }
    if (!rc)
        rc = number(s, cut(text), &x->text, err);
    if (!rc)
        place(at, x, false);
    return rc;
}

/* agent, models, spans, tools, status */
static int add_names(struct sessions_op *s, struct reading *g, uint32_t group, uint32_t row,
                     struct placed *x, bool span, struct err *err)
{
    struct group *v = &s->v[group];
    str agent, model, tool, id, call, status;
    uint32_t no = 0;
    int rc = reader_text(&g->agent, row, &agent, err);
    if (!rc)
        rc = number(s, agent, &x->text, err);
    if (!rc)
        rc = once(s, group, ONCE_AGENT, x->text, &v->agents, err);
    place(&v->agent, x, false);
    if (!rc)
        rc = reader_text(&g->model, row, &model, err);
    if (!rc)
        rc = number(s, model, &no, err);
    if (!rc)
        rc = once(s, group, ONCE_MODEL, no, NULL, err);
    if (!rc)
        rc = reader_text(&g->span, row, &id, err);
    if (!rc)
        rc = reader_text(&g->call, row, &call, err);
    if (!rc)
        rc = reader_text(&g->tool, row, &tool, err);
    if (!rc && span)
        rc = count_id(s, group, ID_SPAN, id.n ? id : call, &v->spans, err);
    if (!rc && tool.n)
        rc = count_id(s, group, ID_TOOL, call.n || !span ? call : id, &v->tools, err);
    if (!rc)
        rc = reader_text(&g->status, row, &status, err);
    if (!rc)
        rc = number(s, status, &x->text, err);
    place(&v->status, x, true);
    return rc;
}

static ts_ns end_of(ts_ns t, str kind, double ms)
{
    int64_t end;
    if (!str_eq(kind, STR("span")) || !(ms > 0) || !(ms < 9e12) ||
        __builtin_add_overflow(t, (int64_t)(ms * 1e6), &end))
        return t;
    return end;
}

static int add_usage(struct sessions_op *s, struct reading *g, uint32_t group, uint32_t row,
                     const struct placed *x, struct err *err)
{
    struct usage u;
    int rc = usage_get(&g->usage, row, &u, err);
    if (rc || !u.any)
        return rc;
    if (!u.called)
        return usage_add(&s->v[group].sum, &u) ? 0 : err_nomem(err);
    struct call c = { .u = u, .scope = group, .owner = group, .t = x->t, .seq = x->seq };
    rc = reader_text(&g->usage.call, row, &c.id, err);
    return rc ? rc : calls_put(&s->calls, &c, NULL, err);
}

static int add_entry(struct sessions_op *s, struct reading *g, uint32_t group, uint32_t row,
                     struct err *err)
{
    const struct sessions_args *a = s->op.pipe->args;
    struct group *v = &s->v[group];
    struct placed x = { .t = access_time(&g->usage.time.acc, row),
                        .seq = (uint64_t)access_time(&g->seq.acc, row) };
    struct val level;
    double ms = 0;
    bool has;
    str kind;
    int rc = reader_get(&g->level, row, &level, err);
    if (!rc)
        rc = reader_text(&g->kind, row, &kind, err);
    if (!rc)
        rc = reader_num(&g->ms, row, &ms, &has, err);
    if (rc)
        return rc;
    bool span = str_starts(kind, STR("span"));
    ts_ns end = end_of(x.t, kind, has ? ms : 0);
    v->entries++;
    v->errors += level.t == V_I64 && level.i >= LV_ERROR;
    v->start = x.t < v->start ? x.t : v->start;
    v->end = end > v->end ? end : v->end;
    rc = add_names(s, g, group, row, &x, span, err);
    if (!rc)
        rc = a->traces ? trace_name(s, g, v, row, span, &x, err)
                       : first_user(s, g, &v->name, row, &x, err);
    return rc ? rc : add_usage(s, g, group, row, &x, err);
}

static int sessions_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct sessions_op *s = (struct sessions_op *)o;
    uint32_t n = c->b->n;
    int rc = grouper_rows(&s->g, c, err);
    if (!rc)
        rc = groups_grow(s, err);
    struct reading *g = mem_alloc(sizeof *g);
    if (!rc)
        rc = g ? reading_open(g, s, c->b, err) : err_nomem(err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        if (grouper_val(&s->g, s->g.gid[i], 0).t != V_NULL)
            rc = add_entry(s, g, s->g.gid[i], (uint32_t)i, err);
        if (!rc)
            rc = run_room(o->run, o->pipe->def->name, err);
    }
    mem_free(g);
    return rc;
}

/* ---- merging ---- */

static void merge_placed(struct placed *to, const struct placed *from, const uint32_t *texts,
                         bool last)
{
    struct placed x = *from;
    x.text = texts[x.text];
    place(to, &x, last);
}

static int merge_group(struct group *v, const struct group *f, const uint32_t *texts,
                       struct err *err)
{
    v->start = f->start < v->start ? f->start : v->start;
    v->end = f->end > v->end ? f->end : v->end;
    v->entries += f->entries;
    v->errors += f->errors;
    merge_placed(&v->agent, &f->agent, texts, false);
    merge_placed(&v->name, &f->name, texts, false);
    merge_placed(&v->root, &f->root, texts, false);
    merge_placed(&v->asked, &f->asked, texts, false);
    merge_placed(&v->status, &f->status, texts, true);
    return usage_merge(&v->sum, &f->sum) ? 0 : err_nomem(err);
}

static int merge_seen(struct sessions_op *s, const struct sessions_op *f, const uint32_t *map,
                      const uint32_t *texts, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < f->nseen && !rc; i++) {
        const struct seen *x = &f->seen[i];
        struct group *v = &s->v[map[x->group]];
        rc = once(s, map[x->group], (enum once)x->kind, texts[x->text],
                  x->kind == ONCE_AGENT ? &v->agents : NULL, err);
    }
    for (uint32_t i = 0; i < f->ids.cap && !rc; i++) {
        const struct idset_slot *x = &f->ids.slots[i];
        bool fresh = false;
        if (!x->hash)
            continue;
        rc = idset_add(&s->ids, x->hash, map[x->group], x->kind, &fresh, err);
        struct group *v = &s->v[map[x->group]];
        if (fresh)
            ++*(x->kind == ID_SPAN ? &v->spans : &v->tools);
    }
    return rc;
}

static int sessions_merge(struct op *o, struct op *from, struct err *err)
{
    struct sessions_op *s = (struct sessions_op *)o;
    const struct sessions_op *f = (const struct sessions_op *)from;
    uint32_t *map = mem_array((size_t)f->g.n + 1, sizeof *map);
    uint32_t *texts = mem_array((size_t)f->texts.n + 1, sizeof *texts);
    /* spans and tools without an id are in the counts alone */
    uint64_t *extra = mem_zarray((size_t)f->g.n * 2 + 1, sizeof *extra);
    int rc = map && texts && extra ? grouper_merge(&s->g, &f->g, map, err) : err_nomem(err);
    if (!rc)
        rc = groups_grow(s, err);
    for (uint32_t i = 0; i < f->texts.n && !rc; i++)
        rc = intern_val(&s->texts, f->texts.vals[i], &texts[i], err);
    for (uint32_t i = 0; i < f->ids.cap && !rc; i++)
        if (f->ids.slots[i].hash)
            extra[f->ids.slots[i].group * 2 + (f->ids.slots[i].kind == ID_TOOL)]++;
    for (uint32_t i = 0; i < f->g.n && i < f->cap && !rc; i++) {
        rc = merge_group(&s->v[map[i]], &f->v[i], texts, err);
        s->v[map[i]].spans += f->v[i].spans - extra[i * 2];
        s->v[map[i]].tools += f->v[i].tools - extra[i * 2 + 1];
    }
    if (!rc)
        rc = merge_seen(s, f, map, texts, err);
    for (uint32_t i = 0; i < f->calls.n && !rc; i++) {
        struct call x = f->calls.v[i];
        x.owner = x.scope = map[x.scope];
        rc = calls_put(&s->calls, &x, NULL, err);
    }
    mem_free(map);
    mem_free(texts);
    mem_free(extra);
    return rc ? rc : run_room(o->run, o->pipe->def->name, err);
}

/* ---- rows ---- */

static int newest_first(const void *x, const void *y, void *arg)
{
    const struct sessions_op *s = arg;
    uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
    if (s->v[i].start != s->v[k].start)
        return s->v[i].start > s->v[k].start ? -1 : 1;
    struct val a = grouper_val(&s->g, i, 0), b = grouper_val(&s->g, k, 0);
    return val_cmp(&a, &b);
}

/* names once seen by group, kind, name: what belongs to one group stands together */
static int by_group(const void *x, const void *y, void *arg)
{
    const struct intern *texts = arg;
    const struct seen *a = x, *b = y;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return val_cmp(&texts->vals[a->text], &texts->vals[b->text]);
}

static struct val text_of(const struct sessions_op *s, uint32_t number)
{
    return number ? s->texts.vals[number] : VAL_ABSENT;
}

/* the names of one kind as a JSON array; from = the group's first in seen, n of the group */
static int names_of(struct sessions_op *s, const struct seen *from, uint32_t n, enum once kind,
                    struct arena *a, struct val *ret, struct err *err)
{
    struct buf b;
    uint32_t shown = 0;
    buf_init(&b, (size_t)1 << 20);
    buf_putc(&b, '[');
    for (uint32_t i = 0; i < n && shown < NAMES_SHOWN; i++) {
        if (from[i].kind != kind)
            continue;
        if (shown++)
            buf_putc(&b, ',');
        json_put_str(&b, s->texts.vals[from[i].text].s);
    }
    buf_putc(&b, ']');
    *ret = (struct val){ .t = V_JSON, .s = arena_dup(a, buf_str(&b)) };
    int rc = buf_ok(&b) && ret->s.p ? 0 : err_nomem(err);
    buf_deinit(&b);
    if (!rc && !shown)
        *ret = VAL_ABSENT;
    return rc;
}

static struct val count_of(uint64_t n)
{
    return (struct val){ .t = V_I64, .i = (int64_t)n };
}

static void put_row(struct sessions_op *s, uint32_t group, struct val *v)
{
    const struct sessions_args *a = s->op.pipe->args;
    const struct group *g = &s->v[group];
    int64_t ns;
    for (int c = 0; c < C__COUNT; c++)
        v[c] = VAL_ABSENT;
    v[C_KEY] = grouper_val(&s->g, group, 0);
    v[C_NAME] = text_of(s, a->traces && g->root.text    ? g->root.text
                           : a->traces && g->asked.text ? g->asked.text
                                                        : g->name.text);
    v[C_AGENT] = text_of(s, g->agent.text);
    v[C_START] = (struct val){ .t = V_I64, .i = g->start };
    v[C_END] = (struct val){ .t = V_I64, .i = g->end };
    if (__builtin_sub_overflow(g->end, g->start, &ns))
        ns = INT64_MAX;
    v[C_DURATION] = val_normal((struct val){ .t = V_F64, .d = (double)ns / 1e6 });
    v[C_AGENTS] = count_of(g->agents);
    v[C_ENTRIES] = count_of(g->entries);
    v[C_SPANS] = count_of(g->spans);
    v[C_TOOL_CALLS] = count_of(g->tools);
    v[C_ERRORS] = count_of(g->errors);
    for (int k = 0; k < TK__COUNT; k++)
        v[C_INPUT + k] = usage_tokens(&g->sum, (enum token_kind)k);
    v[C_TOKENS] = usage_total(&g->sum);
    v[C_COST] = usage_cost(&g->sum);
    v[C_UNPRICED] = count_of(g->sum.unpriced);
    v[C_STATUS] = text_of(s, g->status.text);
}

/* the place in seen where the group's begin; seen is sorted */
static uint32_t seen_from(const struct sessions_op *s, uint32_t group)
{
    uint32_t lo = 0, hi = s->nseen;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->seen[mid].group < group)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int put_rows(struct sessions_op *s, const uint32_t *order, uint32_t n, struct err *err)
{
    enum { ROWS = 128 };
    struct op *o = &s->op;
    struct arena a;
    struct val *vals = mem_array((size_t)ROWS * C__COUNT, sizeof *vals);
    int rc = vals ? 0 : err_nomem(err);
    arena_init(&a, RUN_BATCH_MAX);
    for (uint32_t i = 0, m = 0; i < n && !rc; i++) {
        struct val *v = vals + (size_t)m++ * C__COUNT;
        uint32_t from = seen_from(s, order[i]), end = seen_from(s, order[i] + 1);
        put_row(s, order[i], v);
        rc = names_of(s, s->seen + from, end - from, ONCE_AGENT, &a, &v[C_AGENT_NAMES], err);
        if (!rc)
            rc = names_of(s, s->seen + from, end - from, ONCE_MODEL, &a, &v[C_MODELS], err);
        if (!rc && (m == ROWS || i + 1 == n)) {
            rc = table_push(o->run, o->next, o->pipe->out, vals, m, err);
            arena_reset(&a);
            m = 0;
        }
    }
    arena_deinit(&a);
    mem_free(vals);
    return rc;
}

static int sessions_finish(struct op *o, struct err *err)
{
    struct sessions_op *s = (struct sessions_op *)o;
    uint32_t *order = mem_array((size_t)s->g.n + 1, sizeof *order), n = 0;
    int rc = order ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < s->calls.n && !rc; i++)
        if (!usage_add(&s->v[s->calls.v[i].owner].sum, &s->calls.v[i].u))
            rc = err_nomem(err);
    for (uint32_t i = 0; i < s->g.n && i < s->cap && !rc; i++)
        if (s->v[i].entries)
            order[n++] = i;
    if (n)
        qsort_r(order, n, sizeof *order, newest_first, s);
    if (s->nseen)
        qsort_r(s->seen, s->nseen, sizeof *s->seen, by_group, &s->texts);
    if (!rc)
        rc = put_rows(s, order, n, err);
    mem_free(order);
    return rc;
}

static void sessions_close(struct op *o)
{
    struct sessions_op *s = (struct sessions_op *)o;
    for (uint32_t i = 0; i < s->cap; i++)
        usage_deinit(&s->v[i].sum);
    mem_free(s->v);
    mem_free(s->seen);
    if (!s->ready)
        return;
    grouper_deinit(&s->g);
    calls_deinit(&s->calls);
    intern_deinit(&s->texts);
    smap_deinit(&s->map);
    idset_deinit(&s->ids);
    arena_deinit(&s->keys);
}

static const struct op_ops sessions_ops = { sizeof(struct sessions_op),
                                            sessions_open,
                                            sessions_push,
                                            sessions_finish,
                                            sessions_close,
                                            sessions_merge };
const struct pipe_def pipe_sessions = {
    "sessions",    PIPE_GROUPS, sessions_parse,
    &sessions_ops, "sessions",  "one row a session: who, how long, errors, tokens, cost"
};
const struct pipe_def pipe_traces = {
    "traces",      PIPE_GROUPS, traces_parse,
    &sessions_ops, "traces",    "one row a trace: root, how long, spans, errors, cost"
};
