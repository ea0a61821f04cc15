/* pipe_issues.c: `issues [n] [all]`: errors gathered into issues (issue_set.h), most frequent
 * first.
 *
 * Of the entries that come those that are errors count; with `all` every one does. What people
 * decided about an issue is not the store's and not in here: the server lays it over. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "query/internal.h"
#include "query/issue_set.h"

#define AGENTS_SHOWN 10

enum {
    C_ID,
    C_TITLE,
    C_TYPE,
    C_TOOL,
    C_FRAME,
    C_LEVEL,
    C_COUNT,
    C_FIRST,
    C_LAST,
    C_AGENTS,
    C_BY_AGENT,
    C_SESSIONS,
    C_SPARK,
    C_EXAMPLE,
    C_LATEST,
    COLS
};
static const struct {
    const char *name;
    enum field field;
} columns[COLS] = {
    { "id", F_NONE },     { "title", F_NONE },      { "error_type", F_NONE },
    { "tool", F_NONE },   { "frame", F_NONE },      { "level", F_LEVEL },
    { "count", F_NONE },  { "first", F_TIMESTAMP }, { "last", F_TIMESTAMP },
    { "agents", F_NONE }, { "by_agent", F_NONE },   { "sessions", F_NONE },
    { "spark", F_NONE },  { "example", F_NONE },    { "latest", F_NONE },
};

struct issues_args {
    uint64_t n; /* UINT64_MAX: all of them */
    bool all;
};
struct issues_op {
    struct op op;
    struct issue_set *set;
    size_t told; /* of its bytes, in run->kept_bytes */
};

static int issues_parse(struct parser *p, struct pipe *pipe)
{
    struct issues_args *a = arena_zalloc(p->a, sizeof *a);
    struct schema *out = arena_zalloc(p->a, sizeof *out);
    int rc = parse_whole(p, pipe);
    if (rc)
        return rc;
    if (!a || !out || !(out->cols = arena_zalloc(p->a, COLS * sizeof *out->cols)))
        return err_nomem(p->err);
    a->n = UINT64_MAX;
    lex_blank(p);
    char c = lex_peek(p, 0);
    if (c >= '0' && c <= '9')
        rc = lex_uint(p, &a->n, "the number of issues");
    if (!rc && lex_word(p, "all"))
        a->all = true;
    for (out->n = 0; out->n < COLS && !rc; out->n++)
        rc = schema_computed(p, str_c(columns[out->n].name), columns[out->n].field,
                             &out->cols[out->n]);
    pipe->args = a;
    pipe->out = out;
    return rc;
}

static int issues_open(struct op *o, struct err *err)
{
    return issue_set_new(&((struct issues_op *)o)->set, SIZE_MAX, err);
}

static int count_bytes(struct issues_op *x, struct err *err)
{
    size_t bytes = issue_set_bytes(x->set);
    x->op.run->kept_bytes += bytes - x->told;
    x->told = bytes;
    return run_room(x->op.run, "issues", err);
}

static int issues_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct issues_op *x = (struct issues_op *)o;
    const struct issues_args *a = o->pipe->args;
    int rc = issue_set_add(x->set, c->b, c->sel, a->all, err);
    return rc ? rc : count_bytes(x, err);
}

static int issues_merge(struct op *o, struct op *from, struct err *err)
{
    struct issues_op *x = (struct issues_op *)o;
    int rc = issue_set_merge(x->set, ((struct issues_op *)from)->set, err);
    return rc ? rc : count_bytes(x, err);
}

static int most_first(const void *x, const void *y)
{
    const struct issue *a = *(struct issue *const *)x, *b = *(struct issue *const *)y;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->last != b->last)
        return a->last > b->last ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static struct val text(str s)
{
    return s.n ? (struct val){ .t = V_STR, .s = s } : VAL_ABSENT;
}

static struct val number(uint64_t n)
{
    return (struct val){ .t = V_I64, .i = (int64_t)n };
}

/* what was put into b since `from` */
static struct val piece(struct arena *a, struct buf *b, enum vtype t)
{
    struct val v = { .t = t, .s = arena_dup(a, b->n ? buf_str(b) : STR("")) };
    buf_reset(b);
    return v;
}

static void put_agents(struct buf *b, const struct issue_set *s, const struct issue *x)
{
    uint64_t hash[AGENTS_SHOWN];
    uint32_t count[AGENTS_SHOWN], n = issue_agents(s, x, AGENTS_SHOWN, hash, count);
    buf_putc(b, '{');
    for (uint32_t i = 0; i < n; i++) {
        str name = issue_agent(s, hash[i]);
        buf_puts(b, i ? "," : "");
        json_put_str(b, name.p ? name : STR(""));
        buf_printf(b, ":%u", count[i]);
    }
    buf_putc(b, '}');
}

static void put_spark(struct buf *b, const struct issue *x, ts_ns from, ts_ns to)
{
    uint32_t cells[ISSUE_SPARK];
    int64_t step;
    ts_ns start;
    issue_spark(x, from, to, cells, &step, &start);
    for (int i = 0; i < ISSUE_SPARK; i++)
        buf_printf(b, "%c%u", i ? ',' : '[', cells[i]);
    buf_putc(b, ']');
}

static int64_t worst(const struct issue *x)
{
    for (int l = LV__COUNT - 1; l > 0; l--)
        if (x->levels[l])
            return l;
    return 0;
}

static int put_one(struct issues_op *o, const struct issue *x, ts_ns from, ts_ns to, struct buf *b,
                   struct arena *a, struct val *v, struct err *err)
{
    struct run *r = o->op.run;
    const struct id_gen *ids = store_ids(r->store);
    char id[ISSUE_ID_TEXT + 1];
    issue_id_text(x->id, id);
    buf_puts(b, id);
    v[C_ID] = piece(a, b, V_STR);
    issue_put_title(b, x);
    v[C_TITLE] = piece(a, b, V_STR);
    v[C_TYPE] = text(x->type);
    v[C_TOOL] = text(x->tool);
    v[C_FRAME] = text(x->frame);
    v[C_LEVEL] = number((uint64_t)worst(x));
    v[C_COUNT] = number(x->count);
    v[C_FIRST] = number((uint64_t)x->first);
    v[C_LAST] = number((uint64_t)x->last);
    v[C_AGENTS] = number(x->agents.n);
    put_agents(b, o->set, x);
    v[C_BY_AGENT] = piece(a, b, V_JSON);
    v[C_SESSIONS] = number(x->sessions.n);
    put_spark(b, x, from, to);
    v[C_SPARK] = piece(a, b, V_JSON);
    v[C_EXAMPLE] = text(issue_entry_id(&x->oldest, ids, a));
    v[C_LATEST] = text(issue_entry_id(&x->newest, ids, a));
    return buf_ok(b) && v[C_ID].s.p && v[C_TITLE].s.p && v[C_SPARK].s.p && v[C_BY_AGENT].s.p
               ? 0
               : err_nomem(err);
}

static int issues_finish(struct op *o, struct err *err)
{
    struct issues_op *x = (struct issues_op *)o;
    struct run *r = o->run;
    const struct issues_args *args = o->pipe->args;
    struct val v[COLS];
    struct buf b;
    struct arena a;
    ts_ns from, to, lo, hi;
    uint32_t n = issue_set_n(x->set);
    struct issue **order = mem_array(n + 1, sizeof(struct issue *));
    if (!order)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++)
        order[i] = issue_set_at(x->set, i);
    qsort(order, n, sizeof(struct issue *), most_first);
    /* the range of the filter where it has one */
    issue_range(x->set, &from, &to);
    pred_time_bounds(r->q->filter, &lo, &hi);
    from = lo != TS_MIN && lo < from ? lo : from;
    to = hi != TS_MAX && hi > to ? hi : to;
    buf_init(&b, (size_t)64 << 20);
    arena_init(&a, (size_t)64 << 20);
    int rc = 0;
    for (uint32_t i = 0; i < n && i < args->n && !rc; i++) {
        rc = put_one(x, order[i], from, to, &b, &a, v, err);
        if (!rc)
            rc = table_push(r, o->next, o->pipe->out, v, 1, err);
        arena_reset(&a);
    }
    arena_deinit(&a);
    buf_deinit(&b);
    mem_free(order);
    return rc;
}

static void issues_close(struct op *o)
{
    issue_set_free(((struct issues_op *)o)->set);
}

static const struct op_ops issues_ops = {
    sizeof(struct issues_op), issues_open, issues_push, issues_finish, issues_close, issues_merge
};
const struct pipe_def pipe_issues = {
    "issues",    PIPE_GROUPS,        issues_parse,
    &issues_ops, "issues [N] [all]", "errors gathered into issues, most frequent first"
};
