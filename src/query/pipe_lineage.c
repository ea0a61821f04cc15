/* pipe_lineage.c: `lineage [by agent_id]`: which agent started which, as a tree, a row an agent.
 *
 * An agent is a name (by agent_id: an instance, by its agent_id, or by its name where it has none).
 * Two things tell who started it: its entries name a parent_agent_id, or a span of it lies directly
 * below a span of another agent in the same trace. Each instance and each such span is one piece of
 * evidence; an agent hangs below the one with most (then the first by name), `starts` says how
 * much. Circles are cut as in tree.h. A parent that never logged is a row with 0 entries.
 *
 * Spans are remembered as 64-bit hashes of trace and span id, 24 bytes each, so that a million
 * fits.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "query/exact.h"
#include "query/idset.h"
#include "query/read.h"
#include "query/tree.h"

enum column {
    C_DEPTH,
    C_LINK,
    C_AGENT,
    C_AGENT_ID,
    C_PARENT,
    C_PARENT_ID,
    C_STARTS,
    C_START,
    C_END,
    C_SESSIONS,
    C_ENTRIES,
    C_ERRORS,
    C_TOKENS,
    C_COST,
    C_TREE_TOKENS,
    C_TREE_COST,
    C__COUNT
};

struct lineage_args {
    bool instances;
};

struct agent {
    uint32_t name, id; /* texts; 0: none */
    ts_ns start, end;
    uint64_t entries, errors, sessions;
    struct usage_sum own, all;
};

/* a span of an agent, and the span it hangs below */
struct span {
    uint64_t hash, parent; /* parent 0: none */
    uint32_t agent;
};

/* "parent_agent_id p was named by an instance of agent a" */
struct named {
    uint32_t parent, agent, id; /* text; agent; text of the instance */
};

struct lineage_op {
    struct op op;
    struct intern texts, keys, sessions; /* keys: the agents, by number */
    struct agent *v;
    uint32_t cap;
    struct span *spans;
    uint32_t nspans, cap_spans;
    struct named *named;
    uint32_t nnamed, cap_named;
    struct named *instances; /* agent_id -> agent; parent unused */
    uint32_t ninstances, cap_instances;
    struct idset ids;
    struct calls calls;
    bool ready;
};

static int lineage_parse(struct parser *p, struct pipe *pipe)
{
    static const char *const names[C__COUNT] = {
        [C_DEPTH] = "depth",
        [C_LINK] = "link",
        [C_AGENT] = "agent",
        [C_AGENT_ID] = "agent_id",
        [C_PARENT] = "parent_agent",
        [C_PARENT_ID] = "parent_agent_id",
        [C_STARTS] = "starts",
        [C_START] = "start",
        [C_END] = "end",
        [C_SESSIONS] = "sessions",
        [C_ENTRIES] = "entries",
        [C_ERRORS] = "errors",
        [C_TOKENS] = "tokens",
        [C_COST] = "cost_usd",
        [C_TREE_TOKENS] = "tree_tokens",
        [C_TREE_COST] = "tree_cost_usd",
    };
    struct lineage_args *a = arena_zalloc(p->a, sizeof *a);
    struct qname by;
    if (!a)
        return err_nomem(p->err);
    int rc = entries_only(p, pipe);
    if (!rc && lex_word(p, "by")) {
        rc = lex_name(p, &by, "agent or agent_id");
        if (!rc && !str_eq(by.text, STR("agent_id")) && !str_eq(by.text, STR("agent"))) {
            parse_error(p, by.pos, "agents are told apart by agent or agent_id, not by '%.*s'",
                        STR_FMT(by.text));
            err_hint(p->err, "write `lineage by agent_id` to see every instance");
            return ERR_INVALID;
        }
        a->instances = !rc && str_eq(by.text, STR("agent_id"));
    }
    pipe->args = a;
    return rc ? rc : schema_of(p, names, C__COUNT, 1ull << C_START | 1ull << C_END, &pipe->out);
}

static int lineage_open(struct op *o, struct err *err)
{
    struct lineage_op *l = (struct lineage_op *)o;
    uint32_t none;
    intern_init(&l->texts, o->run, "lineage");
    intern_init(&l->keys, o->run, "lineage");
    intern_init(&l->sessions, o->run, "lineage");
    calls_init(&l->calls, o->run, "lineage");
    l->ids.r = o->run;
    l->ready = true;
    return intern_val(&l->texts, VAL_ABSENT, &none, err);
}

/* ---- growing lists ---- */

/* room for one more of `size` bytes each */
static int room(struct lineage_op *l, void **list, uint32_t n, uint32_t *cap, size_t size,
                struct err *err)
{
    if (n < *cap)
        return 0;
    uint32_t more = *cap ? *cap * 2 : 64;
    void *v = mem_realloc(*list, more * size);
    if (!v)
        return err_nomem(err);
    l->op.run->kept_bytes += (more - *cap) * size;
    *list = v;
    *cap = more;
    return run_room(l->op.run, "lineage", err);
}

/* start and end of a span tell the same, or more: what they tell is kept once */
static int put_span(struct lineage_op *l, struct span x, struct err *err)
{
    bool fresh;
    str key = l->keys.vals[x.agent].s;
    uint64_t told[] = { x.hash, x.parent, hash64(key.p, key.n) };
    int rc = idset_add(&l->ids, hash64(told, sizeof told) | 1, 0, 1, &fresh, err);
    void *list = l->spans;
    if (rc || !fresh)
        return rc;
    rc = room(l, &list, l->nspans, &l->cap_spans, sizeof *l->spans, err);
    l->spans = list;
    if (!rc)
        l->spans[l->nspans++] = x;
    return rc;
}

/* each of them once */
static int put_named(struct lineage_op *l, bool instance, struct named x, struct err *err)
{
    struct named **list = instance ? &l->instances : &l->named;
    uint32_t *n = instance ? &l->ninstances : &l->nnamed;
    uint32_t *cap = instance ? &l->cap_instances : &l->cap_named;
    bool fresh;
    uint32_t key[] = { instance, x.parent, x.agent, x.id };
    int rc = idset_add(&l->ids, hash64(key, sizeof key) | 1, 0, 2, &fresh, err);
    if (rc || !fresh)
        return rc;
    void *v = *list;
    rc = room(l, &v, *n, cap, sizeof **list, err);
    *list = v;
    if (!rc)
        (*list)[(*n)++] = x;
    return rc;
}

static int agent_number(struct lineage_op *l, str key, uint32_t *ret, struct err *err)
{
    int rc = intern_val(&l->keys, (struct val){ .t = V_STR, .s = key }, ret, err);
    while (!rc && l->cap < l->keys.n) {
        void *v = l->v;
        uint32_t old = l->cap;
        rc = room(l, &v, l->cap, &l->cap, sizeof *l->v, err);
        l->v = v;
        for (uint32_t i = old; i < l->cap; i++)
            l->v[i] = (struct agent){ .start = TS_MAX, .end = TS_MIN };
    }
    return rc;
}

static int text_number(struct lineage_op *l, str s, uint32_t *ret, struct err *err)
{
    *ret = 0;
    return s.n ? intern_val(&l->texts, (struct val){ .t = V_STR, .s = s }, ret, err) : 0;
}

/* ---- reading ---- */

struct reading {
    struct reader agent, id, parent_id, session, trace, span, parent, kind, level, seq;
    struct usage_reader usage;
};

static int reading_open(struct reading *g, struct run *r, struct block *b, struct err *err)
{
    struct {
        struct reader *r;
        enum field f;
    } list[] = { { &g->agent, F_AGENT },
                 { &g->id, F_AGENT_ID },
                 { &g->parent_id, F_PARENT_AGENT_ID },
                 { &g->session, F_SESSION_ID },
                 { &g->trace, F_TRACE_ID },
                 { &g->span, F_SPAN_ID },
                 { &g->parent, F_PARENT_ID },
                 { &g->kind, F_KIND },
                 { &g->level, F_LEVEL },
                 { &g->seq, F_SEQ } };
    int rc = usage_open(&g->usage, r->q->o.prices, b, err);
    for (size_t i = 0; i < sizeof list / sizeof *list && !rc; i++)
        rc = reader_open(list[i].r, list[i].f, b, err);
    return rc;
}

static uint64_t span_hash(str trace, str span)
{
    return hash64_seed(span.p, span.n, hash64(trace.p, trace.n)) | 1;
}

static int add_spans(struct lineage_op *l, struct reading *g, uint32_t row, uint32_t agent,
                     struct err *err)
{
    str kind, trace, span, parent;
    int rc = reader_text(&g->kind, row, &kind, err);
    if (rc || !str_starts(kind, STR("span")))
        return rc;
    rc = reader_text(&g->trace, row, &trace, err);
    if (!rc)
        rc = reader_text(&g->span, row, &span, err);
    if (!rc)
        rc = reader_text(&g->parent, row, &parent, err);
    if (rc || !span.n)
        return rc;
    return put_span(
        l, (struct span){ span_hash(trace, span), parent.n ? span_hash(trace, parent) : 0, agent },
        err);
}

static int add_usage(struct lineage_op *l, struct reading *g, uint32_t row, uint32_t agent,
                     uint32_t session, struct err *err)
{
    struct usage u;
    int rc = usage_get(&g->usage, row, &u, err);
    if (rc || !u.any)
        return rc;
    if (!u.called)
        return usage_add(&l->v[agent].own, &u) ? 0 : err_nomem(err);
    struct call x = { .u = u,
                      .scope = session,
                      .owner = agent,
                      .t = access_time(&g->usage.time.acc, row),
                      .seq = (uint64_t)access_time(&g->seq.acc, row) };
    rc = reader_text(&g->usage.call, row, &x.id, err);
    return rc ? rc : calls_put(&l->calls, &x, NULL, err);
}

static int add_entry(struct lineage_op *l, struct reading *g, uint32_t row, struct err *err)
{
    const struct lineage_args *a = l->op.pipe->args;
    str name, id, up;
    struct val session, level;
    uint32_t agent, session_no, up_no;
    int rc = reader_text(&g->agent, row, &name, err);
    if (!rc)
        rc = reader_text(&g->id, row, &id, err);
    if (rc || (!name.n && !id.n))
        return rc;
    rc = agent_number(l, (a->instances ? id.n : !name.n) ? id : name, &agent, err);
    if (!rc)
        rc = reader_text(&g->parent_id, row, &up, err);
    if (!rc)
        rc = reader_get(&g->session, row, &session, err);
    if (!rc)
        rc = intern_val(&l->sessions, session, &session_no, err);
    if (!rc)
        rc = reader_get(&g->level, row, &level, err);
    if (rc)
        return rc;
    struct agent *v = &l->v[agent];
    ts_ns t = access_time(&g->usage.time.acc, row);
    bool fresh = false;
    v->start = t < v->start ? t : v->start;
    v->end = t > v->end ? t : v->end;
    v->entries++;
    v->errors += level.t == V_I64 && level.i >= LV_ERROR;
    if (session.t == V_STR)
        rc = idset_add(&l->ids, idset_hash(l->keys.vals[agent], 0, session.s), agent, 0, &fresh,
                       err);
    v->sessions += fresh;
    uint32_t name_no = 0, id_no = 0;
    if (!rc)
        rc = text_number(l, name, &name_no, err);
    if (!rc)
        rc = text_number(l, id, &id_no, err);
    if (!rc)
        rc = text_number(l, up, &up_no, err);
    if (!rc && id_no)
        rc = put_named(l, true, (struct named){ name_no, agent, id_no }, err);
    if (!rc && up_no)
        rc = put_named(l, false, (struct named){ up_no, agent, id_no }, err);
    if (!rc)
        rc = add_spans(l, g, row, agent, err);
    return rc ? rc : add_usage(l, g, row, agent, session_no, err);
}

static int lineage_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct lineage_op *l = (struct lineage_op *)o;
    struct reading *g = mem_alloc(sizeof *g);
    uint32_t n = c->b->n;
    int rc = g ? reading_open(g, o->run, c->b, err) : err_nomem(err);
    for (size_t i = bits_next(c->sel, 0, n); i < n && !rc; i = bits_next(c->sel, i + 1, n)) {
        rc = add_entry(l, g, (uint32_t)i, err);
        if (!rc)
            rc = run_room(o->run, "lineage", err);
    }
    mem_free(g);
    return rc;
}

/* ---- merging ---- */

struct maps {
    uint32_t *agents, *texts, *sessions;
};

static int merge_agents(struct lineage_op *l, const struct lineage_op *f, const struct maps *m,
                        struct err *err)
{
    for (uint32_t i = 0; i < f->keys.n; i++) {
        struct agent *a = &l->v[m->agents[i]];
        const struct agent *b = &f->v[i];
        a->start = b->start < a->start ? b->start : a->start;
        a->end = b->end > a->end ? b->end : a->end;
        a->entries += b->entries;
        a->errors += b->errors;
        if (!usage_merge(&a->own, &b->own))
            return err_nomem(err);
    }
    int rc = 0;
    for (uint32_t i = 0; i < f->ids.cap && !rc; i++) {
        const struct idset_slot *x = &f->ids.slots[i];
        bool fresh = false;
        if (!x->hash || x->kind != 0) /* the other kinds are put again with what they stand for */
            continue;
        rc = idset_add(&l->ids, x->hash, m->agents[x->group], 0, &fresh, err);
        l->v[m->agents[x->group]].sessions += fresh;
    }
    return rc;
}

static int merge_lists(struct lineage_op *l, const struct lineage_op *f, const struct maps *m,
                       struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < f->nspans && !rc; i++) {
        struct span x = f->spans[i];
        x.agent = m->agents[x.agent];
        rc = put_span(l, x, err);
    }
    for (uint32_t i = 0; i < f->nnamed + f->ninstances && !rc; i++) {
        bool instance = i >= f->nnamed;
        struct named x = instance ? f->instances[i - f->nnamed] : f->named[i];
        x = (struct named){ m->texts[x.parent], m->agents[x.agent], m->texts[x.id] };
        rc = put_named(l, instance, x, err);
    }
    for (uint32_t i = 0; i < f->calls.n && !rc; i++) {
        struct call x = f->calls.v[i];
        x.owner = m->agents[x.owner];
        x.scope = m->sessions[x.scope];
        rc = calls_put(&l->calls, &x, NULL, err);
    }
    return rc;
}

static int lineage_merge(struct op *o, struct op *from, struct err *err)
{
    struct lineage_op *l = (struct lineage_op *)o;
    const struct lineage_op *f = (const struct lineage_op *)from;
    struct maps m = { mem_array((size_t)f->keys.n + 1, sizeof *m.agents),
                      mem_array((size_t)f->texts.n + 1, sizeof *m.texts),
                      mem_array((size_t)f->sessions.n + 1, sizeof *m.sessions) };
    int rc = m.agents && m.texts && m.sessions ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < f->keys.n && !rc; i++)
        rc = agent_number(l, f->keys.vals[i].s, &m.agents[i], err);
    for (uint32_t i = 0; i < f->texts.n && !rc; i++)
        rc = intern_val(&l->texts, f->texts.vals[i], &m.texts[i], err);
    for (uint32_t i = 0; i < f->sessions.n && !rc; i++)
        rc = intern_val(&l->sessions, f->sessions.vals[i], &m.sessions[i], err);
    if (!rc)
        rc = merge_agents(l, f, &m, err);
    if (!rc)
        rc = merge_lists(l, f, &m, err);
    mem_free(m.agents);
    mem_free(m.texts);
    mem_free(m.sessions);
    return rc ? rc : run_room(o->run, "lineage", err);
}

/* ---- the tree ---- */

struct proof {
    uint32_t child, parent;
    uint64_t n;
};

static int by_hash(const void *x, const void *y)
{
    const struct span *a = x, *b = y;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static int by_child(const void *x, const void *y)
{
    const struct proof *a = x, *b = y;
    if (a->child != b->child)
        return a->child < b->child ? -1 : 1;
    return a->parent < b->parent ? -1 : a->parent > b->parent;
}

static int by_id(const void *x, const void *y)
{
    const struct named *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

struct proofs {
    struct proof *v;
    uint32_t n, cap;
};

static int put_proof(struct lineage_op *l, struct proofs *p, uint32_t child, uint32_t parent,
                     struct err *err)
{
    void *list = p->v;
    if (child == parent)
        return 0;
    int rc = room(l, &list, p->n, &p->cap, sizeof *p->v, err);
    p->v = list;
    if (!rc)
        p->v[p->n++] = (struct proof){ child, parent, 1 };
    return rc;
}

/* the agent whose instance has this id; it is made when nobody has it */
static int agent_of(struct lineage_op *l, uint32_t id, uint32_t *ret, struct err *err)
{
    uint32_t lo = 0, hi = l->ninstances;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (l->instances[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < l->ninstances && l->instances[lo].id == id) {
        uint32_t best = l->instances[lo].agent; /* of several names the first */
        for (uint32_t i = lo; i < l->ninstances && l->instances[i].id == id; i++)
            if (val_cmp(&l->keys.vals[l->instances[i].agent], &l->keys.vals[best]) < 0)
                best = l->instances[i].agent;
        *ret = best;
        return 0;
    }
    return agent_number(l, l->texts.vals[id].s, ret, err);
}

/* whose span it is: of several agents that claim it the first by name */
static bool span_agent(const struct lineage_op *l, uint64_t hash, uint32_t *ret)
{
    uint32_t lo = 0, hi = l->nspans;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (l->spans[mid].hash < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found = false;
    for (; lo < l->nspans && l->spans[lo].hash == hash; lo++) {
        if (!found || val_cmp(&l->keys.vals[l->spans[lo].agent], &l->keys.vals[*ret]) < 0)
            *ret = l->spans[lo].agent;
        found = true;
    }
    return found;
}

static int gather(struct lineage_op *l, struct proofs *p, struct err *err)
{
    int rc = 0;
    if (l->ninstances)
        qsort(l->instances, l->ninstances, sizeof *l->instances, by_id);
    for (uint32_t i = 0; i < l->nnamed && !rc; i++) {
        uint32_t up;
        rc = agent_of(l, l->named[i].parent, &up, err);
        if (!rc)
            rc = put_proof(l, p, l->named[i].agent, up, err);
    }
    if (l->nspans)
        qsort(l->spans, l->nspans, sizeof *l->spans, by_hash);
    for (uint32_t i = 0; i < l->nspans && !rc; i++) {
        uint32_t up;
        if (l->spans[i].parent && span_agent(l, l->spans[i].parent, &up))
            rc = put_proof(l, p, l->spans[i].agent, up, err);
    }
    return rc;
}

static void choose(struct lineage_op *l, struct proofs *p, struct tree_node *v, uint64_t *starts)
{
    uint32_t n = 0;
    if (p->n)
        qsort(p->v, p->n, sizeof *p->v, by_child);
    for (uint32_t i = 0; i < p->n; i++) {
        if (n && p->v[n - 1].child == p->v[i].child && p->v[n - 1].parent == p->v[i].parent)
            p->v[n - 1].n++;
        else
            p->v[n++] = p->v[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct proof *x = &p->v[i];
        uint32_t *up = &v[x->child].parent;
        if (*up == TREE_NONE || x->n > starts[x->child] ||
            (x->n == starts[x->child] &&
             val_cmp(&l->keys.vals[x->parent], &l->keys.vals[*up]) < 0)) {
            *up = x->parent;
            starts[x->child] = x->n;
        }
    }
}

static int by_name(const void *x, const void *y, void *arg)
{
    const struct lineage_op *l = arg;
    return val_cmp(&l->keys.vals[*(const uint32_t *)x], &l->keys.vals[*(const uint32_t *)y]);
}

/* siblings by first sign of life, then by name */
static int make_nodes(struct lineage_op *l, struct tree *t, struct err *err)
{
    uint32_t *ids = arena_array(t->a, (size_t)t->n + 1, sizeof *ids);
    if (!ids)
        return err_nomem(err);
    for (uint32_t i = 0; i < t->n; i++)
        ids[i] = i;
    if (t->n)
        qsort_r(ids, t->n, sizeof *ids, by_name, l);
    for (uint32_t i = 0; i < t->n; i++) {
        ts_ns start = l->v[ids[i]].start;
        t->v[ids[i]] =
            (struct tree_node){ .start = start, .end = start, .seq = i, .parent = TREE_NONE };
    }
    return 0;
}

/* ---- rows ---- */

static struct val text_of(const struct lineage_op *l, uint32_t no)
{
    return no ? l->texts.vals[no] : VAL_ABSENT;
}

static struct val count_of(uint64_t n)
{
    return (struct val){ .t = V_I64, .i = (int64_t)n };
}

/* the name of an agent as people know it, and its id where instances are told apart */
static void put_names(const struct lineage_op *l, uint32_t i, struct val *name, struct val *id)
{
    const struct lineage_args *a = l->op.pipe->args;
    *name = *id = VAL_ABSENT;
    if (!a->instances) {
        *name = l->keys.vals[i];
        return;
    }
    *name = text_of(l, l->v[i].name);
    *id = text_of(l, l->v[i].id);
    if (!l->v[i].entries) /* it was only ever named as a parent */
        *id = l->keys.vals[i];
}

static void put_row(const struct lineage_op *l, const struct tree *t, const uint64_t *starts,
                    uint32_t i, struct val *v)
{
    const struct agent *a = &l->v[i];
    uint32_t up = t->v[i].parent;
    for (int c = 0; c < C__COUNT; c++)
        v[c] = VAL_ABSENT;
    v[C_DEPTH] = count_of(t->v[i].depth);
    v[C_LINK] = (struct val){ .t = V_STR,
                              .s = t->v[i].cut       ? STR("circle")
                                   : up == TREE_NONE ? STR("root")
                                                     : STR("child") };
    put_names(l, i, &v[C_AGENT], &v[C_AGENT_ID]);
    if (up != TREE_NONE) {
        put_names(l, up, &v[C_PARENT], &v[C_PARENT_ID]);
        v[C_STARTS] = count_of(starts[i]);
    }
    if (a->entries) {
        v[C_START] = (struct val){ .t = V_I64, .i = a->start };
        v[C_END] = (struct val){ .t = V_I64, .i = a->end };
    }
    v[C_SESSIONS] = count_of(a->sessions);
    v[C_ENTRIES] = count_of(a->entries);
    v[C_ERRORS] = count_of(a->errors);
    if (a->own.told)
        v[C_TOKENS] = usage_total(&a->own);
    v[C_COST] = usage_cost(&a->own);
    if (a->all.told)
        v[C_TREE_TOKENS] = usage_total(&a->all);
    v[C_TREE_COST] = usage_cost(&a->all);
}

static int sum_up(struct lineage_op *l, const struct tree *t, struct err *err)
{
    for (uint32_t i = 0; i < l->calls.n; i++)
        if (!usage_add(&l->v[l->calls.v[i].owner].own, &l->calls.v[i].u))
            return err_nomem(err);
    for (uint32_t k = t->n; k-- > 0;) {
        uint32_t i = t->order[k], up = t->v[i].parent;
        if (!usage_merge(&l->v[i].all, &l->v[i].own) ||
            (up != TREE_NONE && !usage_merge(&l->v[up].all, &l->v[i].all)))
            return err_nomem(err);
    }
    return 0;
}

static int put_rows(struct lineage_op *l, const struct tree *t, const uint64_t *starts,
                    struct err *err)
{
    enum { ROWS = 128 };
    struct op *o = &l->op;
    struct val *vals = mem_array((size_t)ROWS * C__COUNT, sizeof *vals);
    uint32_t n = 0;
    int rc = vals ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < t->n && !rc; i++) {
        put_row(l, t, starts, t->order[i], vals + (size_t)n++ * C__COUNT);
        if (n == ROWS || i + 1 == t->n) {
            rc = table_push(o->run, o->next, o->pipe->out, vals, n, err);
            n = 0;
        }
    }
    mem_free(vals);
    return rc;
}

/* name and id of each agent: the first by text of those it was seen with */
static void name_agents(struct lineage_op *l)
{
    for (uint32_t i = 0; i < l->ninstances; i++) {
        const struct named *x = &l->instances[i];
        struct agent *a = &l->v[x->agent];
        const struct val *texts = l->texts.vals;
        if (x->parent && (!a->name || val_cmp(&texts[x->parent], &texts[a->name]) < 0))
            a->name = x->parent;
        if (!a->id || val_cmp(&texts[x->id], &texts[a->id]) < 0)
            a->id = x->id;
    }
}

/* agents without an instance's id are known by their name alone */
static int name_rest(struct lineage_op *l, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < l->keys.n && !rc; i++)
        if (!l->v[i].name && !l->v[i].id)
            rc = text_number(l, l->keys.vals[i].s, &l->v[i].name, err);
    return rc;
}

static int lineage_finish(struct op *o, struct err *err)
{
    struct lineage_op *l = (struct lineage_op *)o;
    struct proofs p = { 0 };
    struct arena a;
    uint64_t *starts = NULL;
    arena_init(&a, RUN_BATCH_MAX);
    int rc = gather(l, &p, err);
    struct tree t = { .n = l->keys.n, .a = &a };
    if (!rc) {
        name_agents(l);
        rc = name_rest(l, err);
        t.v = arena_array(&a, (size_t)t.n + 1, sizeof *t.v);
        starts = arena_zalloc(&a, ((size_t)t.n + 1) * sizeof *starts);
    }
    if (!rc && (!t.v || !starts))
        rc = err_nomem(err);
    if (!rc)
        rc = make_nodes(l, &t, err);
    if (!rc) {
        choose(l, &p, t.v, starts);
        rc = tree_link(&t, err);
    }
    if (!rc)
        rc = sum_up(l, &t, err);
    if (!rc)
        rc = put_rows(l, &t, starts, err);
    mem_free(p.v);
    arena_deinit(&a);
    return rc;
}

static void lineage_close(struct op *o)
{
    struct lineage_op *l = (struct lineage_op *)o;
    for (uint32_t i = 0; i < l->cap; i++) {
        usage_deinit(&l->v[i].own);
        usage_deinit(&l->v[i].all);
    }
    mem_free(l->v);
    mem_free(l->spans);
    mem_free(l->named);
    mem_free(l->instances);
    idset_deinit(&l->ids);
    if (!l->ready)
        return;
    calls_deinit(&l->calls);
    intern_deinit(&l->texts);
    intern_deinit(&l->keys);
    intern_deinit(&l->sessions);
}

static const struct op_ops lineage_ops = { sizeof(struct lineage_op),
                                           lineage_open,
                                           lineage_push,
                                           lineage_finish,
                                           lineage_close,
                                           lineage_merge };
const struct pipe_def pipe_lineage = {
    "lineage",    PIPE_GROUPS,          lineage_parse,
    &lineage_ops, "lineage [by FIELD]", "which agent started which, as a tree"
};
