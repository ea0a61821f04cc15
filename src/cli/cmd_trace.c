/* cmd_trace.c: fleetlog trace ID: one trace as a tree of spans, or its entries in order.
 *
 * Two queries: the entries, and what the pipe `trace` makes of them. The tree is the pipe's, row by
 * row; entries lend what a row has no column for (inputs, outputs, attributes).
 *
 *     offset     path tree, mark, agent, name          took   tokens     cost   message, the rest
 *    +0.000s  *  ✓ planner  plan                       9.0 s     5,200  $0.0095
 *    +1.000s  *  ├─ ✓ planner  chat                     2.0 s     5,200  $0.0095
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/row.h"

#define ENTRIES_MAX 10000
#define ROWS_MAX 20000 /* a row an entry, and one a span */
#define DEPTH_MAX 64
#define OFFSET_WIDTH 12
#define LEFT_LEAST 24 /* columns of tree, agent and name on a terminal */
#define REST_LEAST 12 /* less is not worth a message's beginning */

static const struct opt opts[] = {
    { .name = "json", .type = OPT_FLAG, .help = "the entries and the spans as JSON" },
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

struct line {
    struct jrow row;
    str text; /* its JSON */
    ts_ns at;
    uint32_t depth;
    bool more;               /* a sibling follows */
    double ms, tokens, cost; /* < 0: none */
};

struct trace {
    struct cli *c;
    struct arena a;
    struct item *items;
    uint32_t n, cap;
    struct line *lines;
    uint32_t nlines, cap_lines, spans;
    struct smap by_span; /* span id -> item + 1: what told last of the span */
    int left;            /* columns of tree, mark, agent, name */
    bool tokens, cost;   /* are there any? */
    struct err err;
    bool bad;
};

static bool take(struct trace *t, str line, struct jrow *ret, str *ret_line)
{
    char *copy = arena_alloc(&t->a, line.n + BUF_PAD);
    if (!copy) {
        t->bad = err_nomem(&t->err) < 0;
        return false;
    }
    memcpy(copy, line.p, line.n);
    memset(copy + line.n, 0, BUF_PAD);
    *ret_line = (str){ copy, line.n };
    t->bad = jrow_parse(ret, *ret_line, &t->a, &t->err) < 0;
    return !t->bad;
}

static bool on_row(void *ctx, str line)
{
    struct trace *t = ctx;
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;
        t->items = arena_grow(&t->a, t->items, t->n, cap, sizeof(*t->items));
        t->cap = cap;
    }
    if (!t->items) {
        t->bad = err_nomem(&t->err) < 0;
        return false;
    }
    struct item *it = &t->items[t->n];
    memset(it, 0, sizeof(*it));
    if (!take(t, line, &it->row, &it->line))
        return false;
    (void)ts_parse_iso(jrow_text(&it->row, "timestamp"), &it->at);
    (void)str_to_u64(jrow_text(&it->row, "seq"), &it->seq);
    t->n++;
    return true;
}

static bool on_line(void *ctx, str text)
{
    struct trace *t = ctx;
    if (t->nlines == t->cap_lines) {
        uint32_t cap = t->cap_lines ? t->cap_lines * 2 : 64;
        t->lines = arena_grow(&t->a, t->lines, t->nlines, cap, sizeof(*t->lines));
        t->cap_lines = cap;
    }
    if (!t->lines) {
        t->bad = err_nomem(&t->err) < 0;
        return false;
    }
    struct line *l = &t->lines[t->nlines];
    memset(l, 0, sizeof(*l));
    if (!take(t, text, &l->row, &l->text))
        return false;
    (void)ts_parse_iso(jrow_text(&l->row, "start"), &l->at);
    l->depth = (uint32_t)jrow_num(&l->row, "depth", 0);
    l->depth = l->depth < DEPTH_MAX ? l->depth : DEPTH_MAX - 1;
    l->ms = jrow_num(&l->row, "duration_ms", -1);
    l->tokens = jrow_num(&l->row, "tree_tokens", -1);
    l->cost = jrow_num(&l->row, "tree_cost_usd", -1);
    t->tokens |= l->tokens >= 0;
    t->cost |= l->cost >= 0;
    t->spans += !str_eq(jrow_text(&l->row, "state"), STR("log"));
    t->nlines++;
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static bool failed(const struct jrow *r)
{
    str level = jrow_text(r, "level"), status = jrow_text(r, "status");
    return str_eq(level, STR("error")) || str_eq(level, STR("critical")) ||
           str_eq_ci(status, STR("error"));
}

/* ---- the tree ---- */

static bool is_log(const struct line *l)
{
    return str_eq(jrow_text(&l->row, "state"), STR("log"));
}

static void find_siblings(struct trace *t)
{
    bool seen[DEPTH_MAX + 1] = { false };
    for (uint32_t i = t->nlines; i-- > 0;) {
        struct line *l = &t->lines[i];
        l->more = seen[l->depth];
        seen[l->depth] = true;
        for (uint32_t d = l->depth + 1; d <= DEPTH_MAX; d++)
            seen[d] = false;
    }
}

/* the entry that told last of each span: its end, where there is one */
static void find_entries(struct trace *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        str kind = jrow_text(&t->items[i].row, "kind"), id = jrow_text(&t->items[i].row, "span_id");
        if (!id.n)
            id = jrow_text(&t->items[i].row, "call_id");
        if (!str_starts(kind, STR("span")) || !id.n)
            continue;
        uint64_t *slot = smap_put(&t->by_span, id, NULL);
        if (slot && (!*slot || !str_eq(kind, STR("span_start"))))
            *slot = i + 1;
    }
}

static str mark_of(const struct line *l, enum style *style)
{
    bool utf8 = term_utf8();
    str state = jrow_text(&l->row, "state");
    if (failed(&l->row) || jrow_num(&l->row, "errors", 0) > 0) {
        *style = STYLE_RED;
        return utf8 ? STR("✗") : STR("x");
    }
    if (str_eq(state, STR("running"))) {
        *style = STYLE_YELLOW;
        return utf8 ? STR("…") : STR(".");
    }
    if (str_eq(state, STR("unknown_end"))) {
        *style = STYLE_YELLOW;
        return STR("?");
    }
    *style = STYLE_GREEN;
    return utf8 ? STR("✓") : STR("+");
}

/* what stands behind the name of a span that is not like the others */
static const char *remark(const struct line *l)
{
    str link = jrow_text(&l->row, "link"), state = jrow_text(&l->row, "state");
    return str_eq(link, STR("orphan"))      ? " (its parent is not stored)"
           : str_eq(link, STR("circle"))    ? " (below itself)"
           : str_eq(link, STR("duplicate")) ? " (span id used again)"
           : str_eq(state, STR("implied"))  ? " (no span stored)"
                                            : "";
}

static int indent(const struct line *l)
{
    return 3 * (int)l->depth;
}

static int width_of(const struct line *l)
{
    str agent = jrow_text(&l->row, "agent"), name = jrow_text(&l->row, "name");
    str head = is_log(l) ? jrow_text(&l->row, "level") : STR("x");
    return indent(l) + safe_width(head) + (is_log(l) ? 2 : 1) +
           (agent.n ? safe_width(agent) + 2 : 0) + safe_width(name) + (int)strlen(remark(l));
}

static int right_width(const struct trace *t)
{
    return 10 + (t->tokens ? 11 : 0) + (t->cost ? 10 : 0);
}

/* tree, agent and name take what they need, on a terminal at most what figures leave */
static void fit(struct trace *t)
{
    const struct term *term = &t->c->out.term;
    for (uint32_t i = 0; i < t->nlines; i++)
        if (!is_log(&t->lines[i]) && width_of(&t->lines[i]) > t->left)
            t->left = width_of(&t->lines[i]);
    int most = term->cols - OFFSET_WIDTH - 3 - right_width(t);
    if (term->tty && !opt_on(t->c, "wide") && t->left > most)
        t->left = most > LEFT_LEAST ? most : LEFT_LEAST;
}

static void put_offset(struct out *o, const struct trace *t, const struct line *l)
{
    out_style(o, STYLE_DIM);
    out_printf(o, "%+*.3fs ", OFFSET_WIDTH - 2, (double)(l->at - t->items[0].at) / 1e9);
    out_style(o, STYLE_NONE);
    bool critical = str_eq(jrow_text(&l->row, "critical"), STR("true"));
    out_styled(o, STYLE_MAGENTA, critical ? "* " : "  ");
}

static void put_branches(struct out *o, const struct line *l, const bool *open)
{
    bool utf8 = term_utf8();
    out_style(o, STYLE_DIM);
    for (uint32_t i = 1; i < l->depth; i++)
        out_puts(o, open[i] ? (utf8 ? "│  " : "|  ") : "   ");
    if (l->depth > 0)
        out_puts(o, l->more ? (utf8 ? "├─ " : "|- ") : (utf8 ? "└─ " : "`- "));
    out_style(o, STYLE_NONE);
}

/* text in at most *room columns, of which it takes its width */
static void put_cut(struct out *o, enum style style, str s, int *room)
{
    int width = safe_width(s);
    out_style(o, style);
    if (width > *room) {
        str part = safe_cut(s, *room > 1 ? *room - 1 : 0);
        out_safe(o, part);
        if (*room > 0)
            out_puts(o, term_utf8() ? "…" : "~");
        width = *room;
    } else {
        out_safe(o, s);
    }
    out_style(o, STYLE_NONE);
    *room -= width;
}

static void put_agent(struct out *o, const struct line *l, int *room)
{
    str agent = jrow_text(&l->row, "agent");
    if (!agent.n)
        return;
    put_cut(o, style_of_name(agent), agent, room);
    int gap = *room < 2 ? *room : 2;
    out_pad(o, gap);
    *room -= gap;
}

static void put_figures(struct out *o, const struct trace *t, const struct line *l)
{
    char text[32], count[32];
    str state = jrow_text(&l->row, "state");
    const char *took = str_eq(state, STR("running"))       ? "running"
                       : str_eq(state, STR("unknown_end")) ? "no end"
                       : l->ms >= 0                        ? fmt_ms(l->ms, text)
                                                           : "";
    out_style(o, STYLE_CYAN);
    out_printf(o, "%10s", took);
    out_style(o, STYLE_NONE);
    if (t->tokens)
        out_printf(o, "%11s", l->tokens >= 0 ? fmt_count((uint64_t)l->tokens, count) : "");
    if (t->cost) {
        snprintf(text, sizeof(text), l->cost < 0.0001 && l->cost > 0 ? "$%.1e" : "$%.4f", l->cost);
        out_printf(o, "%10s", l->cost >= 0 ? text : "");
    }
}

static const struct item *entry_of(const struct trace *t, const struct line *l)
{
    str id = jrow_text(&l->row, "span_id");
    uint64_t *slot = id.n ? smap_get(&t->by_span, id) : NULL;
    return slot && *slot ? &t->items[*slot - 1] : NULL;
}

/* message and attributes behind the figures */
static void put_rest(struct renderer *r, const struct trace *t, const struct line *l)
{
    static const char *const all[] = { /* texts and what the line itself says; --wide shows more */
                                       "input",
                                       "output",
                                       "call_id",
                                       "service",
                                       "tool",
                                       "kind",
                                       "operation",
                                       "span_id",
                                       "parent_id",
                                       "trace_id",
                                       "session_id",
                                       "duration_ms",
                                       "status",
                                       "event",
                                       "tokens.input",
                                       "tokens.output",
                                       "cost_usd",
                                       "tokens",
                                       "tokens.cache_read",
                                       "tokens.cache_write",
                                       "tokens.reasoning",
                                       NULL
    };
    str message = jrow_text(&l->row, "message"), name = jrow_text(&l->row, "name");
    const struct item *it = entry_of(t, l);
    int used = OFFSET_WIDTH + 2 + t->left + right_width(t), room = 1 << 20;
    if (r->o->term.tty && r->brief)
        room = r->o->term.cols - used - 2;
    if (room < REST_LEAST)
        return;
    if (message.n && !str_eq(message, name)) {
        out_puts(r->o, "  ");
        put_cut(r->o, STYLE_NONE, message, &room);
    }
    if (it && (!r->o->term.tty || !r->brief))
        render_rest(r, &it->row, r->brief ? all : all + 5);
}

static void put_span(struct renderer *r, const struct trace *t, const struct line *l)
{
    struct out *o = r->o;
    enum style style;
    str mark = mark_of(l, &style), name = jrow_text(&l->row, "name");
    int room = t->left - indent(l) - 2;
    out_style(o, style);
    out_put(o, mark);
    out_style(o, STYLE_NONE);
    out_puts(o, " ");
    put_agent(o, l, &room);
    put_cut(o, STYLE_BOLD, name, &room);
    put_cut(o, STYLE_DIM, str_c(remark(l)), &room);
    if (room > 0)
        out_pad(o, room);
    put_figures(o, t, l);
    put_rest(r, t, l);
    out_line(o);
}

static void put_log(struct renderer *r, const struct line *l)
{
    struct out *o = r->o;
    str level = jrow_text(&l->row, "level");
    int room = 1 << 20;
    if (o->term.tty && r->brief)
        room = o->term.cols - OFFSET_WIDTH - 2 - indent(l) - safe_width(level) - 2;
    out_style(o, style_of_level(level));
    out_safe(o, level);
    out_style(o, STYLE_NONE);
    out_puts(o, "  ");
    put_agent(o, l, &room);
    put_cut(o, STYLE_NONE, jrow_text(&l->row, "name"), &room);
    out_line(o);
}

static void put_lines(struct renderer *r, struct trace *t)
{
    bool open[DEPTH_MAX + 1] = { false };
    for (uint32_t i = 0; i < t->nlines && out_ok(r->o); i++) {
        const struct line *l = &t->lines[i];
        put_offset(r->o, t, l);
        put_branches(r->o, l, open);
        open[l->depth] = l->more;
        if (is_log(l))
            put_log(r, l);
        else
            put_span(r, t, l);
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
        errors += failed(&t->items[i].row);
        if (t->items[i].at > end)
            end = t->items[i].at;
    }
    for (uint32_t i = 0; i < t->nlines; i++)
        if (t->lines[i].ms > 0 && t->lines[i].at + (ts_ns)(t->lines[i].ms * 1e6) > end)
            end = t->lines[i].at + (ts_ns)(t->lines[i].ms * 1e6);
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
    int gap = OFFSET_WIDTH + 2 + t->left - 6 - (int)strlen(began);
    if (gap > 0)
        out_printf(o, "%*s%10s%s%s", gap, "", "took", t->tokens ? "     tokens" : "",
                   t->cost ? "      cost" : "");
    out_style(o, STYLE_NONE);
    out_line(o);
    smap_deinit(&agents);
}

/* what the time on the path went to: the three largest self times */
static void put_path(struct out *o, const struct trace *t)
{
    const struct line *top[3] = { NULL };
    char ms[32];
    for (uint32_t i = 0; i < t->nlines; i++) {
        const struct line *l = &t->lines[i], *x = l;
        double self = jrow_num(&l->row, "self_ms", -1);
        if (!str_eq(jrow_text(&l->row, "critical"), STR("true")) || self <= 0)
            continue;
        for (int k = 0; k < 3 && x; k++) {
            if (top[k] && jrow_num(&top[k]->row, "self_ms", -1) >= jrow_num(&x->row, "self_ms", -1))
                continue;
            const struct line *was = top[k];
            top[k] = x;
            x = was;
        }
    }
    if (!top[0])
        return;
    out_styled(o, STYLE_MAGENTA, "* ");
    out_printf(o, "critical path, most of it in");
    for (int k = 0; k < 3 && top[k]; k++) {
        out_puts(o, k ? ", " : " ");
        out_style(o, STYLE_BOLD);
        out_safe(o, safe_cut(jrow_text(&top[k]->row, "name"), 40));
        out_style(o, STYLE_NONE);
        out_printf(o, " %s", fmt_ms(jrow_num(&top[k]->row, "self_ms", 0), ms));
    }
    out_line(o);
}

static void show(struct trace *t, str id)
{
    struct renderer r;
    renderer_init(&r, &t->c->out, opt_on(t->c, "wide"));
    r.brief = !opt_on(t->c, "wide");
    if (!t->spans || opt_on(t->c, "flat")) {
        for (uint32_t i = 0; i < t->n; i++)
            renderer_see(&r, &t->items[i].row);
        for (uint32_t i = 0; i < t->n; i++)
            render_entry(&r, &t->items[i].row);
        return;
    }
    smap_init(&t->by_span, SMAP_BORROW);
    find_entries(t);
    find_siblings(t);
    fit(t);
    put_head(r.o, t, id);
    put_lines(&r, t);
    put_path(r.o, t);
    smap_deinit(&t->by_span);
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
    out_puts(o, t->n ? "\n  ],\n  \"spans\": [" : "],\n  \"spans\": [");
    bool first = true;
    for (uint32_t i = 0; i < t->nlines; i++) {
        if (is_log(&t->lines[i]))
            continue;
        out_puts(o, first ? "\n    " : ",\n    ");
        out_json(o, t->lines[i].text);
        first = false;
    }
    out_puts(o, first ? "]\n}\n" : "\n  ]\n}\n");
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
    if (rc == 0 && !t.bad && t.n && !opt_on(c, "flat")) {
        buf_puts(&text, " | trace logs");
        q.text = text.p;
        q.limit = ROWS_MAX;
        q.on_row = on_line;
        rc = data_query(c, &target, &q, &res);
    }
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
    .about =
        "Each line: seconds since the trace began, '*' on the critical path (what kept the end "
        "from coming earlier), a mark (done, failed, running, or ? when nothing was heard for "
        "30 minutes), the agent, what it did, how long it took, tokens and cost of it with all "
        "below. A trace nobody knows prints nothing and is no error.",
    .opts = opts,
    .examples = examples,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
