/* explain.c: the plan of a query as a JSON object, for people who wonder why it is slow. */
#include "codec/json.h"
#include "query/refs.h"
#include "query/run.h"

static void put_time(struct buf *out, ts_ns t, bool open)
{
    char text[TS_TEXT_MAX];
    if (open)
        buf_puts(out, "null");
    else
        json_put_str(out, (str){ text, ts_format(t, -1, text) });
}

static void put_bounds(struct buf *out, const struct pred *f)
{
    ts_ns lo, hi;
    uint64_t slo, shi;
    pred_time_bounds(f, &lo, &hi);
    pred_seq_bounds(f, &slo, &shi);
    buf_puts(out, "\"time\":[");
    put_time(out, lo, lo == TS_MIN);
    buf_putc(out, ',');
    put_time(out, hi, hi == TS_MAX);
    buf_puts(out, "],\"seq\":[");
    buf_put_u64(out, slo);
    buf_putc(out, ',');
    if (shi == UINT64_MAX)
        buf_puts(out, "null");
    else
        buf_put_u64(out, shi);
    buf_putc(out, ']');
}

static int put_filter(struct buf *out, const struct pred *f)
{
    struct buf text;
    buf_init(&text, (size_t)4 << 20);
    pred_put_text(&text, f);
    buf_puts(out, "\"filter\":");
    json_put_str(out, buf_str(&text));
    bool ok = buf_ok(&text);
    buf_deinit(&text);
    return ok ? 0 : -1;
}

static void put_pipes(struct buf *out, const struct query *q)
{
    buf_puts(out, ",\"pipes\":[");
    for (const struct pipe *p = q->first; p; p = p->next) {
        if (p != q->first)
            buf_putc(out, ',');
        json_put_str(out, str_trim(p->text));
    }
    buf_putc(out, ']');
}

/* does a limit stand before anything that needs all rows? */
static bool limited(const struct pipe *p)
{
    while (p && ((p->def->flags & PIPE_ROWWISE) || p->def == &pipe_offset))
        p = p->next;
    return p && (p->def == &pipe_limit || p->def == &pipe_head);
}

/* May several threads share the scan? They do when there are some and it has enough blocks. */
static bool may_share(const struct query *q, const struct plan *plan, uint64_t limit)
{
    if (plan->dedup)
        return false;
    for (const struct pipe *p = q->first; p; p = p->next) {
        if (p->def->ops->merge)
            return p->def != &pipe_sort || limit != UINT64_MAX || limited(p->next);
        if (plan->ordered && p->def != &pipe_fields)
            return (p->def == &pipe_limit || p->def == &pipe_head) && !plan->filtered;
        if (p->def != &pipe_where && !(p->def->flags & PIPE_ROWWISE))
            return false;
    }
    return plan->ordered && limit <= REFS_MAX;
}

int query_explain(struct query *q, struct store *s, struct buf *out, struct err *err)
{
    struct plan plan = plan_order(q);
    bool by_default;
    uint64_t limit = final_limit(q, &by_default);
    (void)s;
    buf_putc(out, '{');
    if (put_filter(out, q->filter))
        return err_nomem(err);
    buf_putc(out, ',');
    put_bounds(out, q->filter);
    buf_printf(out, ",\"order\":\"%s\"",
               !plan.ordered && !plan.dedup && !plan.sorted ? "any"
               : plan.oldest                                ? "oldest"
                                                            : "newest");
    buf_printf(out, ",\"shared\":%s", may_share(q, &plan, limit) ? "true" : "false");
    buf_printf(out, ",\"indexes\":%s", q->o.no_prune ? "false" : "true");
    buf_printf(out, ",\"marks\":%s", pred_uses_marks(q->filter) ? "true" : "false");
    put_pipes(out, q);
    if (limit == UINT64_MAX)
        buf_puts(out, ",\"limit\":null");
    else
        buf_printf(out, ",\"limit\":%llu", (unsigned long long)limit);
    buf_puts(out, ",\"tests\":");
    pred_put_tests(out, q->filter);
    buf_putc(out, '}');
    if (out->bad == BUF_LIMIT)
        return err_set(err, ERR_LIMIT, "the plan is larger than %zu bytes", out->max);
    return buf_ok(out) ? 0 : err_nomem(err);
}
