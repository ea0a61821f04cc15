/* mals_summary.c: GET /logs/summary and /logs/agents.
 *
 * Errors are entries of level error or critical. The period is [since, until); an error message is
 * new when it was not seen in the equally long period before, recurring when it occurs three times.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/map.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/summary.h"

#define UNRESOLVED_SHOWN 100
#define MESSAGES_SHOWN 100
#define MESSAGES_MAX 200000
#define AGENTS_SHOWN 50 /* of one message */
#define RECURRING 3

struct agent_errors {
    str name;
    uint64_t errors, critical, unresolved;
    ts_ns last;
};

struct message {
    str text;
    uint64_t count; /* in the period */
    bool before;    /* seen in the one before */
    ts_ns first, last;
    uint64_t first_seq;
    uint32_t first_agent;
    uint32_t agents[AGENTS_SHOWN], nagents;
};

struct summary {
    struct job *j;
    ts_ns since, until;
    bool has_agent;
    str agent;
    struct smap agent_map, message_map;
    struct agent_errors *agents;
    struct message **messages;
    uint32_t nagents, cap_agents, nmessages, cap_messages;
    uint64_t total, unresolved;
};

static int find_agent(struct summary *s, str name, uint32_t *ret, struct err *err)
{
    struct arena *a = &s->j->arena;
    uint64_t *at = smap_get(&s->agent_map, name);
    if (at) {
        *ret = (uint32_t)*at;
        return 0;
    }
    if (s->nagents == s->cap_agents) {
        uint32_t cap = s->cap_agents ? s->cap_agents * 2 : 16;
        s->agents = arena_grow(a, s->agents, s->nagents, cap, sizeof *s->agents);
        if (!s->agents)
            return err_nomem(err);
        s->cap_agents = cap;
    }
    str copy = arena_dup(a, name);
    at = copy.p ? smap_put(&s->agent_map, copy, NULL) : NULL;
    if (!at)
        return err_nomem(err);
    *at = *ret = s->nagents;
    s->agents[s->nagents++] = (struct agent_errors){ .name = copy, .last = TS_MIN };
    return 0;
}

static int find_message(struct summary *s, str text, struct message **ret, struct err *err)
{
    struct arena *a = &s->j->arena;
    uint64_t *at = smap_get(&s->message_map, text);
    if (at) {
        *ret = s->messages[*at];
        return 0;
    }
    if (s->nmessages == MESSAGES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d different error messages, narrow the period",
                       MESSAGES_MAX);
    if (s->nmessages == s->cap_messages) {
        uint32_t cap = s->cap_messages ? s->cap_messages * 2 : 64;
        s->messages = arena_grow(a, s->messages, s->nmessages, cap, sizeof(struct message *));
        if (!s->messages)
            return err_nomem(err);
        s->cap_messages = cap;
    }
    struct message *m = arena_zalloc(a, sizeof *m);
    str copy = arena_dup(a, text);
    at = m && copy.p ? smap_put(&s->message_map, copy, NULL) : NULL;
    if (!at)
        return err_set(err, ERR_LIMIT,
                       "the error messages do not fit into memory, narrow the period");
    m->text = copy;
    *at = s->nmessages;
    s->messages[s->nmessages++] = m;
    *ret = m;
    return 0;
}

static void count_message(struct message *m, uint32_t agent, ts_ns t, uint64_t seq)
{
    if (m->count++ == 0 || t < m->first || (t == m->first && seq < m->first_seq)) {
        m->first = t;
        m->first_seq = seq;
        m->first_agent = agent;
    }
    if (m->count == 1 || t > m->last)
        m->last = t;
    for (uint32_t i = 0; i < m->nagents; i++)
        if (m->agents[i] == agent)
            return;
    if (m->nagents < AGENTS_SHOWN)
        m->agents[m->nagents++] = agent;
}

static int text_of(struct block *b, uint32_t row, enum field f, str *ret, struct err *err)
{
    struct val v;
    int rc = block_get_field(b, row, f, &v, err);
    *ret = rc == 0 && !v.absent && (v.t == V_STR || v.t == V_NUM || v.t == V_JSON) ? v.s : STR_NULL;
    return rc;
}

static int count_row(struct summary *s, struct block *b, uint32_t row, struct err *err)
{
    struct val level, resolved;
    str agent, text;
    ts_ns t;
    uint64_t seq;
    uint32_t who = 0;
    struct message *m = NULL;
    int rc = row_time(b, row, &t, err);
    if (rc == 0)
        rc = row_seq(b, row, &seq, err);
    if (rc == 0)
        rc = text_of(b, row, F_MESSAGE, &text, err);
    if (rc == 0)
        rc = find_message(s, text, &m, err);
    if (rc < 0)
        return rc;
    if (t < s->since) {
        m->before = true;
        return 0;
    }
    rc = text_of(b, row, F_AGENT, &agent, err);
    if (rc == 0)
        rc = find_agent(s, agent.n ? agent : STR("unknown"), &who, err);
    if (rc == 0)
        rc = block_get_field(b, row, F_LEVEL, &level, err);
    if (rc == 0)
        rc = block_get_field(b, row, F_RESOLVED, &resolved, err);
    if (rc < 0)
        return rc;
    bool open = resolved.absent || resolved.t != V_BOOL || !resolved.b;
    struct agent_errors *a = &s->agents[who];
    s->total++;
    s->unresolved += open;
    a->unresolved += open;
    *(level.i == LV_CRITICAL ? &a->critical : &a->errors) += 1;
    a->last = t > a->last ? t : a->last;
    count_message(m, who, t, seq);
    return 0;
}

static int count_block(void *arg, const struct scan_block *sb, struct err *err)
{
    uint32_t n = sb->block->n;
    int rc = 0;
    for (size_t r = bits_next(sb->sel, 0, n); r < n && rc == 0; r = bits_next(sb->sel, r + 1, n))
        rc = count_row(arg, sb->block, (uint32_t)r, err);
    return rc;
}

/* ---- output ---- */

/* in microseconds, as items show created_at */
static void put_time(struct buf *b, bool *first, const char *key, ts_ns t)
{
    json_kv_time(b, first, key, floor_div(t, NS_PER_US) * NS_PER_US);
}

static void put_agents(struct buf *b, const struct summary *s)
{
    buf_puts(b, ",\"by_agent\":{");
    for (uint32_t i = 0; i < s->nagents; i++) {
        const struct agent_errors *a = &s->agents[i];
        bool first = true;
        if (i)
            buf_putc(b, ',');
        json_put_bytes(b, a->name);
        buf_puts(b, ":{");
        json_kv_u64(b, &first, "errors", a->errors);
        json_kv_u64(b, &first, "critical", a->critical);
        json_kv_u64(b, &first, "unresolved", a->unresolved);
        put_time(b, &first, "last_error_at", a->last);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static int by_count(const void *a, const void *b)
{
    const struct message *x = *(struct message *const *)a, *y = *(struct message *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (x->first != y->first)
        return x->first > y->first ? 1 : -1;
    return str_cmp(x->text, y->text);
}

static void put_new(struct buf *b, const struct summary *s)
{
    uint32_t shown = 0;
    buf_puts(b, ",\"new_errors\":[");
    for (uint32_t i = 0; i < s->nmessages && shown < MESSAGES_SHOWN; i++) {
        const struct message *m = s->messages[i];
        bool first = true;
        if (!m->count || m->before)
            continue;
        buf_puts(b, shown++ ? ",{" : "{");
        json_kv_str(b, &first, "message", m->text);
        json_kv_str(b, &first, "agent_id", s->agents[m->first_agent].name);
        json_kv_u64(b, &first, "count", m->count);
        put_time(b, &first, "first_seen", m->first);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void put_recurring(struct buf *b, const struct summary *s)
{
    uint32_t shown = 0;
    buf_puts(b, ",\"recurring_errors\":[");
    for (uint32_t i = 0; i < s->nmessages && shown < MESSAGES_SHOWN; i++) {
        const struct message *m = s->messages[i];
        bool first = true;
        if (m->count < RECURRING)
            continue;
        buf_puts(b, shown++ ? ",{" : "{");
        json_kv_str(b, &first, "message", m->text);
        json_kv_u64(b, &first, "count", m->count);
        json_key(b, &first, "agents");
        buf_putc(b, '[');
        for (uint32_t k = 0; k < m->nagents; k++) {
            if (k)
                buf_putc(b, ',');
            json_put_bytes(b, s->agents[m->agents[k]].name);
        }
        buf_putc(b, ']');
        put_time(b, &first, "first_seen", m->first);
        put_time(b, &first, "last_seen", m->last);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static struct pred *errors_in(struct summary *s, ts_ns from)
{
    struct arena *a = &s->j->arena;
    struct pred *p = pred_and(a, pred_level_min(a, LV_ERROR), pred_time(a, from, s->until));
    return s->has_agent ? pred_and(a, p, pred_eq(a, F_AGENT, s->agent)) : p;
}

static int put_unresolved(struct summary *s, struct err *err)
{
    struct job *j = s->j;
    struct rows_got got;
    struct pred *p = pred_and(&j->arena, errors_in(s, s->since), pred_resolved(&j->arena, false));
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct rows_want want = {
        .filter = p, .limit = UNRESOLVED_SHOWN, .view = view_mals, .separator = STR(",\n")
    };
    buf_printf(&j->out, ",\"unresolved\":{\"count\":%llu,\"items\":[",
               (unsigned long long)s->unresolved);
    rc = rows_put(j, &want, &got, err);
    buf_puts(&j->out, "]}");
    return rc;
}

static int count_errors(struct summary *s, struct err *err)
{
    ts_ns before, width = s->until - s->since;
    if (__builtin_sub_overflow(s->since, width, &before))
        before = TS_MIN;
    struct pred *p = errors_in(s, before);
    int rc = p ? job_filter(s->j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct scan_plan plan = { .filter = p, .order = SCAN_ANY, .marks = true };
    rc = rows_each(s->j, &plan, count_block, s, NULL, err);
    if (rc == 0 && s->nmessages)
        qsort(s->messages, s->nmessages, sizeof(struct message *), by_count);
    return rc;
}

static int run_summary(struct job *j, struct err *err)
{
    struct summary *s = j->args;
    struct buf *b = &j->out;
    s->j = j;
    smap_init(&s->agent_map, SMAP_BORROW);
    smap_init(&s->message_map, SMAP_BORROW);
    int rc = count_errors(s, err);
    if (rc == 0) {
        bool first = true;
        buf_putc(b, '{');
        put_time(b, &first, "since", s->since);
        put_time(b, &first, "until", s->until);
        json_kv_u64(b, &first, "total_errors", s->total);
        put_agents(b, s);
        rc = put_unresolved(s, err);
        put_new(b, s);
        put_recurring(b, s);
        buf_puts(b, "}\n");
    }
    smap_deinit(&s->agent_map);
    smap_deinit(&s->message_map);
    return rc;
}

void mals_summary(struct call *c)
{
    struct summary *s = arena_zalloc(c->req->arena, sizeof *s);
    if (!s) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    s->until = server_now(c->s) + 1;
    s->since = s->until - NS_PER_DAY;
    s->has_agent = http_param(c->req, "agent_id", &s->agent);
    if (!param_time(c, "since", &s->since))
        return;
    if (s->since > s->until)
        s->since = s->until;
    if (s->since < s->until - 100 * 366 * NS_PER_DAY)
        s->since = s->until - 100 * 366 * NS_PER_DAY; /* twice that still is an instant */
    job_start(c, run_summary, s, 0);
}

/* ---- GET /logs/agents ---- */

struct recent {
    struct smap map; /* agent -> errors in the last 24 h */
    struct arena *arena;
};

static int count_recent(void *arg, const struct scan_block *sb, struct err *err)
{
    struct recent *r = arg;
    uint32_t n = sb->block->n;
    for (size_t row = bits_next(sb->sel, 0, n); row < n; row = bits_next(sb->sel, row + 1, n)) {
        str agent;
        int rc = text_of(sb->block, (uint32_t)row, F_AGENT, &agent, err);
        if (rc < 0)
            return rc;
        uint64_t *at = agent.n ? smap_get(&r->map, agent) : NULL;
        if (at)
            ++*at;
    }
    return 0;
}

static int count_24h(struct job *j, const struct store_summary *sum, struct recent *r,
                     struct err *err)
{
    for (uint32_t i = 0; i < sum->nagents; i++)
        if (sum->agents[i].name.n && !smap_put(&r->map, sum->agents[i].name, NULL))
            return err_nomem(err);
    struct arena *a = &j->arena;
    struct pred *p = pred_and(a, pred_level_min(a, LV_ERROR),
                              pred_time(a, server_now(j->s) - NS_PER_DAY, TS_MAX));
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct scan_plan plan = { .filter = p, .order = SCAN_ANY };
    return rows_each(j, &plan, count_recent, r, NULL, err);
}

static int run_agents(struct job *j, struct err *err)
{
    struct store_summary sum;
    struct recent r = { .arena = &j->arena };
    struct buf *b = &j->out;
    int rc = summary_get(j, &sum, err);
    if (rc < 0)
        return rc;
    smap_init(&r.map, SMAP_BORROW);
    rc = count_24h(j, &sum, &r, err);
    buf_printf(b, "{\"total\":%u,\"items\":[", sum.nagents);
    for (uint32_t i = 0; i < sum.nagents && rc == 0; i++) {
        const struct agent_stat *a = &sum.agents[i];
        uint64_t *errors = a->name.n ? smap_get(&r.map, a->name) : NULL;
        bool first = true;
        buf_puts(b, i ? ",{" : "{");
        json_kv_str(b, &first, "agent_id", a->name);
        put_time(b, &first, "last_activity", a->last);
        json_kv_u64(b, &first, "error_count_24h", errors ? *errors : 0);
        json_kv_u64(b, &first, "total", a->entries);
        buf_putc(b, '}');
        rc = job_flush(j, err);
    }
    buf_puts(b, "]}\n");
    smap_deinit(&r.map);
    return rc;
}

void mals_agents(struct call *c)
{
    job_start(c, run_agents, NULL, 0);
}
