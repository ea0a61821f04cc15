/* cmd_trace.c: fleetlog trace ID: one trace as a tree of spans, or as its entries in order.
 *
 * A span is known by its id; its start, its end and a closed span are entries that fill one node.
 * Entries that are no spans hang below the span they name. A span whose parent is not stored is a
 * root, and so is one that would close a circle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/row.h"

#define ENTRIES_MAX 10000
#define DEPTH_MAX 64

static const struct opt opts[] = {
    { .name = "json", .type = OPT_FLAG, .help = "the entries as JSON, ascending" },
    { .name = "flat", .type = OPT_FLAG, .help = "the entries ascending, no tree" },
    { .name = "wide",
      .letter = 'w',
      .type = OPT_FLAG,
      .help = "inputs, outputs and ids too, long values whole" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog trace 4bf92f3577b34da6a3ce929d0e0e4736", "who called what, and how long it took" },
    { "fleetlog trace 4bf92f3577b34da6a3ce929d0e0e4736 --json | jq .count", "for a script" },
    { NULL, NULL },
};

struct item {
    struct jrow row;
    str line;
    ts_ns at;
    uint64_t seq;
};

struct node {
    const struct item *start, *end;     /* entries that told of it; end also for a closed span */
    const struct item *log;             /* a plain entry: a leaf of its own */
    uint32_t parent, first, last, next; /* node indexes + 1 */
    ts_ns at;
    double ms; /* < 0 unknown */
    bool failed, shown;
};

struct trace {
    struct cli *c;
    struct arena a;
    struct item *items;
    uint32_t n, cap;
    struct node *nodes;
    uint32_t nnodes, spans;
    struct err err;
    bool bad;
};

static bool on_row(void *ctx, str line)
{
    struct trace *t = ctx;
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;
        t->items = arena_grow(&t->a, t->items, t->n, cap, sizeof(*t->items));
        t->cap = cap;
    }
    char *copy = arena_alloc(&t->a, line.n + BUF_PAD);
    if (!copy || !t->items) {
        t->bad = err_nomem(&t->err) < 0;
        return false;
    }
    memcpy(copy, line.p, line.n);
    memset(copy + line.n, 0, BUF_PAD);
    struct item *it = &t->items[t->n];
    memset(it, 0, sizeof(*it));
    it->line = (str){ copy, line.n };
    if (jrow_parse(&it->row, it->line, &t->a, &t->err) < 0) {
        t->bad = true;
        return false;
    }
    (void)ts_parse_iso(jrow_text(&it->row, "timestamp"), &it->at);
    (void)str_to_u64(jrow_text(&it->row, "seq"), &it->seq);
    t->n++;
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* ---- the tree ---- */

static bool is_span(const struct item *it)
{
    str kind = jrow_text(&it->row, "kind");
    return str_starts(kind, STR("span")) && jrow_text(&it->row, "span_id").n > 0;
}

static bool failed(const struct item *it)
{
    str level = jrow_text(&it->row, "level"), status = jrow_text(&it->row, "status");
    return str_eq(level, STR("error")) || str_eq(level, STR("critical")) ||
           str_eq_ci(status, STR("error"));
}

static void fill_span(struct node *n, const struct item *it)
{
    str kind = jrow_text(&it->row, "kind");
    double ms = jrow_num(&it->row, "duration_ms", -1);
    if (str_eq(kind, STR("span_start"))) {
        n->start = it;
        n->at = it->at;
    } else {
        n->end = it;
        if (!n->start) /* a closed span's time is its start; an end alone came that much later */
            n->at = str_eq(kind, STR("span_end")) && ms > 0 ? it->at - (ts_ns)(ms * 1e6) : it->at;
        if (ms < 0 && n->start)
            ms = (double)(it->at - n->start->at) / 1e6;
        n->ms = ms;
    }
    n->failed = n->failed || failed(it);
}

static uint32_t new_node(struct trace *t)
{
    t->nodes[t->nnodes] = (struct node){ .ms = -1 };
    return ++t->nnodes;
}

/* would `child` below `parent` close a circle? */
static bool circular(const struct trace *t, uint32_t child, uint32_t parent)
{
    for (uint32_t hops = 0; parent; parent = t->nodes[parent - 1].parent)
        if (parent == child || ++hops > t->nnodes)
            return true;
    return false;
}

static void make_nodes(struct trace *t, struct smap *by_id)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct item *it = &t->items[i];
        if (!is_span(it))
            continue;
        uint64_t *slot = smap_put(by_id, jrow_text(&it->row, "span_id"), NULL);
        if (!slot)
            return;
        if (!*slot) {
            *slot = new_node(t);
            t->spans++;
        }
        fill_span(&t->nodes[*slot - 1], it);
    }
}

static void link_node(struct trace *t, uint32_t n, uint32_t parent)
{
    struct node *child = &t->nodes[n - 1];
    if (parent && circular(t, n, parent))
        parent = 0;
    child->parent = parent;
}

static void make_tree(struct trace *t)
{
    struct smap by_id;
    smap_init(&by_id, SMAP_BORROW);
    make_nodes(t, &by_id);
    for (uint32_t i = 1; i <= t->spans; i++) {
        const struct node *n = &t->nodes[i - 1];
        const struct item *it = n->start ? n->start : n->end;
        str parent = jrow_text(&it->row, "parent_id");
        if (!parent.n && n->end)
            parent = jrow_text(&n->end->row, "parent_id");
        uint64_t *slot = parent.n ? smap_get(&by_id, parent) : NULL;
        link_node(t, i, slot ? (uint32_t)*slot : 0);
    }
    for (uint32_t i = 0; i < t->n; i++) {
        const struct item *it = &t->items[i];
        if (is_span(it))
            continue;
        str span = jrow_text(&it->row, "span_id");
        uint64_t *slot = span.n ? smap_get(&by_id, span) : NULL;
        uint32_t k = new_node(t);
        t->nodes[k - 1].log = it;
        t->nodes[k - 1].at = it->at;
        t->nodes[k - 1].failed = failed(it);
        t->nodes[k - 1].parent = slot ? (uint32_t)*slot : 0;
    }
    smap_deinit(&by_id);
}

/* children of `parent` (0: roots) by time; into ids (room for all nodes); returns how many */
static struct trace *sorting; /* qsort has no argument for it */
static int nodes_by_time(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct node *x = &sorting->nodes[i - 1], *y = &sorting->nodes[k - 1];
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (!x->log != !y->log)
        return x->log ? 1 : -1;
    return (i > k) - (i < k);
}

/* turns parent links into sibling lists in order of time; *ret_first: the first root */
static uint32_t order_children(struct trace *t)
{
    uint32_t *ids = arena_array(&t->a, t->nnodes ? t->nnodes : 1, sizeof(*ids));
    uint32_t first = 0, last = 0;
    if (!ids)
        return 0;
    for (uint32_t i = 0; i < t->nnodes; i++)
        ids[i] = i + 1;
    sorting = t;
    qsort(ids, t->nnodes, sizeof(*ids), nodes_by_time);
    for (uint32_t i = 0; i < t->nnodes; i++) {
        struct node *p =
            t->nodes[ids[i] - 1].parent ? &t->nodes[t->nodes[ids[i] - 1].parent - 1] : NULL;
        uint32_t *head = p ? &p->first : &first, *end = p ? &p->last : &last;
        if (*end)
            t->nodes[*end - 1].next = ids[i];
        else
            *head = ids[i];
        *end = ids[i];
    }
    return first;
}

/* ---- showing ---- */

static void put_offset(struct out *o, const struct trace *t, ts_ns at)
{
    out_style(o, STYLE_DIM);
    out_printf(o, "%+10.3fs  ", (double)(at - t->items[0].at) / 1e9);
    out_style(o, STYLE_NONE);
}

static void put_agent(struct out *o, str agent)
{
    if (!agent.n)
        return;
    out_style(o, style_of_name(agent));
    out_safe(o, agent);
    out_style(o, STYLE_NONE);
    out_puts(o, "  ");
}

static str first_text(const struct item *a, const struct item *b, const char *name)
{
    str s = a ? jrow_text(&a->row, name) : STR_NULL;
    return s.n || !b ? s : jrow_text(&b->row, name);
}

static void put_span(struct renderer *r, const struct node *n)
{
    static const char *const all[] = { /* texts and what the tree itself says; --wide shows more */
                                       "input",     "output",   "call_id",    "service",
                                       "tool",      "kind",     "operation",  "span_id",
                                       "parent_id", "trace_id", "session_id", "duration_ms",
                                       "status",    "event",    NULL
    };
    const char *const *skip = r->brief ? all : all + 5;
    struct out *o = r->o;
    bool utf8 = term_utf8(), running = !n->end;
    const struct item *last = n->end ? n->end : n->start;
    str name = first_text(n->start, n->end, "operation");
    if (!name.n)
        name = first_text(n->start, n->end, "tool");
    if (!name.n)
        name = first_text(n->end, n->start, "message");
    if (!name.n)
        name = first_text(n->start, n->end, "event");
    out_style(o, n->failed ? STYLE_RED : running ? STYLE_YELLOW : STYLE_GREEN);
    out_puts(o, n->failed ? (utf8 ? "✗ " : "x ")
                : running ? (utf8 ? "… " : ". ")
                          : (utf8 ? "✓ " : "+ "));
    out_style(o, STYLE_NONE);
    put_agent(o, first_text(n->start, n->end, "agent"));
    out_style(o, STYLE_BOLD);
    out_safe(o, name);
    out_style(o, STYLE_NONE);
    char ms[32];
    out_puts(o, "  ");
    out_style(o, STYLE_CYAN);
    out_puts(o, running ? "running" : n->ms >= 0 ? fmt_ms(n->ms, ms) : "");
    out_style(o, STYLE_NONE);
    str message = first_text(n->end, n->start, "message");
    if (message.n && !str_eq(message, name)) {
        out_puts(o, "  ");
        out_safe(o, message);
    }
    render_rest(r, &last->row, skip);
    out_line(o);
}

static void put_log(struct renderer *r, const struct node *n)
{
    static const char *const all[] = { "input",   "output",     "service",   "event", "trace_id",
                                       "span_id", "session_id", "parent_id", NULL };
    const char *const *skip = r->brief ? all : all + 4;
    struct out *o = r->o;
    str level = jrow_text(&n->log->row, "level"), message = jrow_text(&n->log->row, "message");
    out_style(o, style_of_level(level));
    out_safe(o, level);
    out_style(o, STYLE_NONE);
    out_puts(o, "  ");
    put_agent(o, jrow_text(&n->log->row, "agent"));
    out_safe(o, message.n ? message : jrow_text(&n->log->row, "event"));
    render_rest(r, &n->log->row, skip);
    out_line(o);
}

/* one node and what is below it; `lines` holds for each level above whether its list goes on */
static void put_node(struct renderer *r, struct trace *t, uint32_t id, bool *lines, int depth)
{
    struct node *n = &t->nodes[id - 1];
    bool utf8 = term_utf8();
    if (n->shown || !out_ok(r->o))
        return;
    n->shown = true;
    put_offset(r->o, t, n->at);
    out_style(r->o, STYLE_DIM);
    for (int i = 1; i < depth; i++)
        out_puts(r->o, lines[i] ? (utf8 ? "│  " : "|  ") : "   ");
    if (depth > 0)
        out_puts(r->o, n->next ? (utf8 ? "├─ " : "|- ") : (utf8 ? "└─ " : "`- "));
    out_style(r->o, STYLE_NONE);
    if (n->log)
        put_log(r, n);
    else
        put_span(r, n);
    for (uint32_t k = n->first; k; k = t->nodes[k - 1].next) {
        int below = depth + 1 < DEPTH_MAX ? depth + 1 : depth;
        lines[depth] = n->next != 0;
        put_node(r, t, k, lines, below);
    }
}

static void put_head(struct out *o, struct trace *t, str id)
{
    struct smap agents;
    uint32_t errors = 0;
    char ms[32];
    ts_ns end = t->items[0].at;
    smap_init(&agents, SMAP_BORROW);
    for (uint32_t i = 0; i < t->n; i++) {
        str agent = jrow_text(&t->items[i].row, "agent");
        if (agent.n)
            (void)smap_put(&agents, agent, NULL);
        errors += failed(&t->items[i]);
        if (t->items[i].at > end)
            end = t->items[i].at;
    }
    for (uint32_t i = 0; i < t->nnodes; i++)
        if (t->nodes[i].ms > 0 && t->nodes[i].at + (ts_ns)(t->nodes[i].ms * 1e6) > end)
            end = t->nodes[i].at + (ts_ns)(t->nodes[i].ms * 1e6);
    out_style(o, STYLE_BOLD);
    out_puts(o, "trace ");
    out_safe(o, id);
    out_style(o, STYLE_NONE);
    out_printf(o, "  %u %s, %u %s, %u %s, %s", t->n, plural(t->n, "entry", "entries"), t->spans,
               plural(t->spans, "span", "spans"), agents.n, plural(agents.n, "agent", "agents"),
               fmt_ms((double)(end - t->items[0].at) / 1e6, ms));
    if (errors) {
        out_puts(o, ", ");
        out_style(o, STYLE_RED);
        out_printf(o, "%u %s", errors, plural(errors, "error", "errors"));
        out_style(o, STYLE_NONE);
    }
    out_line(o);
    char began[TS_TEXT_MAX];
    ts_format(t->items[0].at, 3, began);
    out_style(o, STYLE_DIM);
    out_printf(o, "began %s", began);
    out_style(o, STYLE_NONE);
    out_line(o);
    smap_deinit(&agents);
}

static void show(struct trace *t, str id)
{
    struct renderer r;
    bool lines[DEPTH_MAX + 1] = { false };
    renderer_init(&r, &t->c->out, opt_on(t->c, "wide"));
    r.brief = !opt_on(t->c, "wide");
    t->nodes = arena_array(&t->a, t->n, sizeof(*t->nodes));
    if (t->nodes && !opt_on(t->c, "flat"))
        make_tree(t);
    if (!t->spans) {
        for (uint32_t i = 0; i < t->n; i++)
            renderer_see(&r, &t->items[i].row);
        for (uint32_t i = 0; i < t->n; i++)
            render_entry(&r, &t->items[i].row);
        return;
    }
    uint32_t root = order_children(t);
    put_head(r.o, t, id);
    for (; root; root = t->nodes[root - 1].next)
        put_node(&r, t, root, lines, 0);
}

static void show_json(struct trace *t, str id)
{
    struct out *o = &t->c->out;
    struct buf quoted;
    buf_init(&quoted, 1u << 20);
    json_put_str(&quoted, id);
    out_puts(o, "{\n  \"trace_id\": ");
    out_json(o, buf_str(&quoted));
    out_printf(o, ",\n  \"count\": %u,\n  \"entries\": [", t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        out_puts(o, i ? ",\n    " : "\n    ");
        out_json(o, t->items[i].line);
    }
    out_puts(o, t->n ? "\n  ]\n}\n" : "]\n}\n");
    buf_deinit(&quoted);
}

static int run(struct cli *c)
{
    static struct trace t;
    struct target target;
    struct data_result res;
    struct buf text;
    str id = str_c(c->args[0]);
    int rc = target_open(c, &target, NEED_READ);
    if (rc)
        return rc;
    t = (struct trace){ .c = c, .err = ERR_INIT };
    arena_init(&t.a, 1u << 30);
    buf_init(&text, 64u << 10);
    buf_puts(&text, "trace_id=");
    data_quote(&text, id);
    struct data_query q = { .text = text.p,
                            .start = TS_MIN,
                            .end = TS_MAX,
                            .ctx = &t,
                            .limit = ENTRIES_MAX,
                            .on_row = on_row };
    rc = data_query(c, &target, &q, &res);
    if (rc == 0 && t.bad)
        rc = cli_fail_err(c, &t.err);
    if (rc == 0) {
        if (t.n > 1)
            qsort(t.items, t.n, sizeof(*t.items), by_time);
        if (opt_on(c, "json"))
            show_json(&t, id);
        else if (t.n)
            show(&t, id);
        else
            cli_note(c, "no entries of trace %s", c->args[0]);
        if (t.n == ENTRIES_MAX)
            cli_note(c, "only the newest %d entries are shown", ENTRIES_MAX);
    }
    buf_deinit(&text);
    arena_deinit(&t.a);
    target_close(&target);
    return rc;
}

const struct command cmd_trace = {
    .name = "trace",
    .summary = "one trace: its spans as a tree, or its entries in order",
    .synopsis = "[OPTIONS] TRACE_ID",
    .about = "Each line: seconds since the trace began, a mark (done, failed, still running), the "
             "agent, what it did, how long it took. A trace nobody knows prints nothing and is no "
             "error.",
    .opts = opts,
    .examples = examples,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
