/* native_issues.c: GET /api/v1/issues, GET and PATCH /api/v1/issues/{id}, POST /api/v1/issues.
 *
 * Without a filter the list is what issues.c keeps. With q, start or end, and for keys that may not
 * see every agent, the errors that match are gathered anew and the states laid over them: counts
 * are then those of the filter, states those of the whole issue.
 *
 * A cursor is the place of the last issue in the order, {sort key, id}: a page begins behind it, so
 * an issue that moves meanwhile may come again or be passed over, and no other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"
#include "server/handlers.h"
#include "server/issues.h"

#define IDS_MAX 1000
#define LIMIT_MAX 1000
#define HISTORY_MAX 100
#define AGENTS_SHOWN 10
#define CURSOR_CHARS 33

static const char *const state_names[] = { "open", "resolved", "ignored" };
static const char *const cause_names[] = { "person", "entry", "marks", "time", "count" };
enum sort { BY_LAST, BY_FIRST, BY_COUNT, BY_AGENTS, BY_SESSIONS };
static const char *const sort_names[] = { "last", "first", "count", "agents", "sessions" };

struct want {
    str q;
    ts_ns start, end, now;
    bool given;      /* a filter, or a key with its own */
    unsigned states; /* bits */
    enum sort sort;
    uint64_t limit;
    bool after; /* a cursor */
    uint64_t after_key, after_id;
    uint64_t id; /* of one */
};

/* ---- JSON ---- */

static void put_agents(struct buf *b, const struct issue_set *s, const struct issue *x)
{
    uint64_t hash[AGENTS_SHOWN];
    uint32_t count[AGENTS_SHOWN], n = issue_agents(s, x, AGENTS_SHOWN, hash, count);
    buf_putc(b, '{');
    for (uint32_t i = 0; i < n; i++) {
        str name = issue_agent(s, hash[i]);
        buf_puts(b, i ? "," : "");
        json_put_bytes(b, name.p ? name : STR(""));
        buf_printf(b, ":%u", count[i]);
    }
    buf_putc(b, '}');
}

static void put_levels(struct buf *b, const struct issue *x)
{
    bool any = false;
    buf_putc(b, '{');
    for (int l = 0; l < LV__COUNT; l++)
        if (x->levels[l]) {
            buf_printf(b, "%s\"%.*s\":%llu", any ? "," : "", STR_FMT(level_names[l]),
                       (unsigned long long)x->levels[l]);
            any = true;
        }
    buf_putc(b, '}');
}

static void put_or_null(struct buf *b, bool *first, const char *key, str s)
{
    json_key(b, first, key);
    if (s.n)
        json_put_bytes(b, s);
    else
        buf_puts(b, "null");
}

/* how it came to its state */
static void put_change(struct buf *b, const struct meta_issue *st, bool whole)
{
    bool first = true;
    buf_putc(b, '{');
    json_kv_str(b, &first, "state", str_c(state_names[st->state]));
    json_kv_time(b, &first, "at", st->at);
    json_kv_str(b, &first, "cause", str_c(cause_names[st->cause]));
    put_or_null(b, &first, "by", st->by);
    put_or_null(b, &first, "note", st->note);
    if (st->state == ISSUE_IGNORED) {
        json_key(b, &first, "until");
        if (st->until)
            json_put_time(b, st->until);
        else
            buf_puts(b, "null");
        if (st->until_count)
            json_kv_u64(b, &first, "count", st->until_count);
    }
    if (st->regressed && whole) {
        put_or_null(b, &first, "entry", st->entry);
        put_or_null(b, &first, "session", st->session);
        put_or_null(b, &first, "agent", st->agent);
    }
    buf_putc(b, '}');
}

static void put_spark(struct buf *b, const struct issue *x, ts_ns from, ts_ns to)
{
    uint32_t cells[ISSUE_SPARK];
    int64_t step;
    ts_ns start;
    bool first = true;
    issue_spark(x, from, to, cells, &step, &start);
    buf_putc(b, '{');
    json_kv_time(b, &first, "from", start);
    json_kv_i64(b, &first, "step_ms", step / NS_PER_MS);
    json_key(b, &first, "counts");
    for (int i = 0; i < ISSUE_SPARK; i++)
        buf_printf(b, "%c%u", i ? ',' : '[', cells[i]);
    buf_puts(b, "]}");
}

/* the list and what it is shown by */
struct shown {
    const struct issues *all;
    const struct issue_set *set; /* all's, or of the errors that match */
    ts_ns from, to;
    struct arena *a;
    const struct id_gen *ids;
    bool whole; /* may name entries of any agent */
};

/* everything but the closing brace */
static void put_issue(struct buf *b, const struct shown *v, const struct issue *x)
{
    struct meta_issue st = issues_state(v->all, x->id);
    char id[ISSUE_ID_TEXT + 1];
    bool first = true;
    struct buf title;
    int worst = LV__COUNT - 1;
    while (worst && !x->levels[worst])
        worst--;
    issue_id_text(x->id, id);
    buf_init(&title, 1u << 20);
    issue_put_title(&title, x);
    buf_putc(b, '{');
    json_kv_str(b, &first, "id", str_c(id));
    put_or_null(b, &first, "title", buf_str(&title));
    json_kv_str(b, &first, "state", str_c(state_names[st.state]));
    json_kv_bool(b, &first, "regressed", st.regressed);
    put_or_null(b, &first, "error_type", x->type);
    put_or_null(b, &first, "tool", x->tool);
    put_or_null(b, &first, "text", x->text);
    put_or_null(b, &first, "frame", x->frame);
    json_kv_str(b, &first, "level", level_names[worst]);
    json_kv_u64(b, &first, "count", x->count);
    json_key(b, &first, "levels");
    put_levels(b, x);
    json_kv_time(b, &first, "first", x->first);
    json_kv_time(b, &first, "last", x->last);
    json_kv_u64(b, &first, "agents", x->agents.n);
    json_key(b, &first, "by_agent");
    put_agents(b, v->set, x);
    json_kv_u64(b, &first, "sessions", x->sessions.n);
    if (x->sessions_more)
        json_kv_bool(b, &first, "sessions_more", true);
    json_key(b, &first, "spark");
    put_spark(b, x, v->from, v->to);
    put_or_null(b, &first, "example", issue_entry_id(&x->oldest, v->ids, v->a));
    put_or_null(b, &first, "latest", issue_entry_id(&x->newest, v->ids, v->a));
    json_key(b, &first, "change");
    if (st.at)
        put_change(b, &st, v->whole);
    else
        buf_puts(b, "null");
    buf_deinit(&title);
}

/* ---- which ---- */

static int add_block(void *arg, const struct scan_block *sb, struct err *err)
{
    return issue_set_add(arg, sb->block, sb->sel, false, err);
}

/* the errors that match, as a set of their own */
static int gather(struct job *j, const struct want *w, uint64_t upto, struct issue_set **ret,
                  struct err *err)
{
    const struct pred *q = NULL;
    struct pred *p;
    int rc = w->q.n ? job_parse_filter(j, w->q, TS_MIN, TS_MAX, &q, err) : 0;
    if (!rc)
        rc = job_filter(j, q, &p, err);
    if (!rc && !(p = pred_and(&j->arena, issue_filter(&j->arena), p)))
        rc = err_nomem(err);
    if (!rc && (w->start != TS_MIN || w->end != TS_MAX) &&
        !(p = pred_and(&j->arena, p, pred_time(&j->arena, w->start, w->end))))
        rc = err_nomem(err);
    if (!rc)
        rc = issue_set_new(ret, j->ctl.memory_bytes, err);
    if (rc)
        return rc;
    struct scan_plan plan = { .filter = p, .seq_max = upto, .marks = pred_uses_marks(p) };
    rc = upto ? rows_each(j, &plan, add_block, *ret, NULL, err) : 0;
    if (rc) {
        issue_set_free(*ret);
        *ret = NULL;
    }
    return rc;
}

/* *ret_own: to be freed; NULL when it is the set of all */
static int show(struct job *j, const struct want *w, const struct issues *all, struct shown *v,
                struct issue_set **ret_own, struct err *err)
{
    *v = (struct shown){
        .all = all, .a = &j->arena, .ids = store_ids(j->s->store), .whole = !j->c->who->agent[0]
    };
    *ret_own = NULL;
    int rc = w->given ? gather(j, w, issues_upto(all), ret_own, err) : 0;
    v->set = *ret_own ? *ret_own : issues_set(all);
    issue_range(v->set, &v->from, &v->to);
    v->from = w->start != TS_MIN && w->start < v->from ? w->start : v->from;
    if (w->end != TS_MAX && w->end - 1 > v->to)
        v->to = w->end - 1;
    else if (w->start != TS_MIN && w->now > v->to)
        v->to = w->now;
    return rc;
}

static uint64_t sort_key(const struct issue *x, enum sort sort)
{
    switch (sort) {
    case BY_LAST: return (uint64_t)x->last ^ 1ull << 63;
    case BY_FIRST: return (uint64_t)x->first ^ 1ull << 63;
    case BY_COUNT: return x->count;
    case BY_AGENTS: return x->agents.n;
    case BY_SESSIONS: return x->sessions.n;
    }
    return 0;
}

struct placed {
    uint64_t key, id;
    const struct issue *x;
};

static int falling(const void *x, const void *y)
{
    const struct placed *a = x, *b = y;
    if (a->key != b->key)
        return a->key > b->key ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void put_list(struct job *j, const struct want *w, const struct shown *v, struct placed *p)
{
    struct buf *b = &j->out;
    uint64_t counts[3] = { 0 }, total = 0, n = 0, k = 0;
    const struct placed edge = { .key = w->after_key, .id = w->after_id };
    for (uint32_t i = 0; i < issue_set_n(v->set); i++) {
        const struct issue *x = issue_set_at(v->set, i);
        unsigned state = issues_state(v->all, x->id).state;
        counts[state]++;
        if (!(w->states >> state & 1))
            continue;
        total++;
        p[n] = (struct placed){ sort_key(x, w->sort), x->id, x };
        n += !w->after || falling(&edge, &p[n]) < 0;
    }
    qsort(p, n, sizeof *p, falling);
    buf_puts(b, "{\"issues\":[");
    for (; k < n && k < w->limit; k++) {
        buf_puts(b, k ? ",\n" : "");
        put_issue(b, v, p[k].x);
        buf_putc(b, '}');
    }
    buf_printf(b, "],\"total\":%llu,\"states\":{", (unsigned long long)total);
    for (int s = 0; s < 3; s++)
        buf_printf(b, "%s\"%s\":%llu", s ? "," : "", state_names[s], (unsigned long long)counts[s]);
    buf_printf(b, "},\"other_entries\":%llu,\"watermark\":%llu,\"next_cursor\":",
               (unsigned long long)issue_set_other(v->set),
               (unsigned long long)issues_upto(v->all));
    if (k < n && k)
        buf_printf(b, "\"%c%016llx%016llx\"}\n", sort_names[w->sort][0],
                   (unsigned long long)p[k - 1].key, (unsigned long long)p[k - 1].id);
    else
        buf_puts(b, "null}\n");
}

static int run_list(struct job *j, struct err *err)
{
    const struct want *w = j->args;
    struct issues *all;
    struct issue_set *own = NULL;
    struct shown v;
    int rc = issues_look(j->s, &j->ctl.cancel, &all, err);
    if (rc)
        return rc;
    rc = show(j, w, all, &v, &own, err);
    struct placed *p = rc ? NULL : mem_array(issue_set_n(v.set) + 1, sizeof *p);
    if (p)
        put_list(j, w, &v, p);
    else if (!rc)
        rc = err_nomem(err);
    issues_done(all);
    mem_free(p);
    issue_set_free(own);
    return rc;
}

static int no_issue(struct err *err)
{
    return err_set(err, ERR_NOTFOUND, "there is no such issue");
}

/* one issue with its history */
static int put_whole(struct job *j, const struct shown *v, const struct issue *x, struct err *err)
{
    struct buf *b = &j->out;
    struct meta_issue *line;
    uint32_t n;
    int rc = meta_issue_changes(j->s->meta, x->id, HISTORY_MAX, &j->arena, &line, &n, err);
    if (rc)
        return rc;
    put_issue(b, v, x);
    buf_printf(b, ",\"marked\":%llu,\"history\":[",
               (unsigned long long)(v->whole ? issues_marked(v->all, x->id) : 0));
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(b, i ? ",\n" : "");
        put_change(b, &line[i], v->whole);
    }
    buf_puts(b, "]}\n");
    return 0;
}

static int run_one(struct job *j, struct err *err)
{
    const struct want *w = j->args;
    struct issues *all;
    struct issue_set *own = NULL;
    struct shown v;
    int rc = issues_look(j->s, &j->ctl.cancel, &all, err);
    if (rc)
        return rc;
    rc = show(j, w, all, &v, &own, err);
    const struct issue *x = rc ? NULL : issue_set_find(v.set, w->id);
    if (!rc)
        rc = x ? put_whole(j, &v, x, err) : no_issue(err);
    issues_done(all);
    issue_set_free(own);
    return rc;
}

/* ---- parameters ---- */

static struct want *want_new(struct call *c)
{
    struct want *w = arena_zalloc(c->req->arena, sizeof *w);
    if (!w) {
        reply_error(c, 503, "busy", "out of memory");
        return NULL;
    }
    w->now = server_now(c->s);
    w->start = TS_MIN;
    w->end = TS_MAX;
    w->limit = 50;
    w->states = 7;
    w->given = c->who->agent[0] != 0;
    return w;
}

static bool param_state(struct call *c, struct want *w)
{
    str s, one;
    if (!param_str(c, "state", &s) || str_eq(s, STR("all")))
        return true;
    w->states = 0;
    while (str_split(&s, ',', &one)) {
        unsigned k = 0;
        while (k < 3 && !str_eq(one, str_c(state_names[k])))
            k++;
        if (k == 3) {
            reply_bad_param(c, "state",
                            "must be open, resolved, ignored (or several, with commas) "
                            "or all");
            return false;
        }
        w->states |= 1u << k;
    }
    return true;
}

static bool param_sort(struct call *c, struct want *w)
{
    str s;
    if (!param_str(c, "sort", &s))
        return true;
    for (unsigned k = 0; k < sizeof sort_names / sizeof *sort_names; k++)
        if (str_eq(s, str_c(sort_names[k]))) {
            w->sort = (enum sort)k;
            return true;
        }
    reply_bad_param(c, "sort", "must be last, first, count, agents or sessions");
    return false;
}

static bool param_cursor(struct call *c, struct want *w)
{
    str s;
    if (!param_str(c, "cursor", &s))
        return true;
    w->after = s.n == CURSOR_CHARS && s.p[0] == sort_names[w->sort][0] &&
               issue_id_parse(str_sub(s, 1, 16), &w->after_key) &&
               issue_id_parse(str_sub(s, 17, 16), &w->after_id);
    if (w->after)
        return true;
    reply_bad_param(c, "cursor", "this cursor does not belong to this list");
    return false;
}

void native_issues(struct call *c)
{
    struct want *w = want_new(c);
    if (!w)
        return;
    param_str(c, "q", &w->q);
    if (!param_time(c, "start", &w->start) || !param_time(c, "end", &w->end) ||
        !param_state(c, w) || !param_sort(c, w) || !param_cursor(c, w) ||
        !param_u64(c, "limit", 1, LIMIT_MAX, &w->limit))
        return;
    w->given |= w->q.n || w->start != TS_MIN || w->end != TS_MAX;
    job_start(c, run_list, w, 0);
}

void native_issue(struct call *c)
{
    struct want *w = want_new(c);
    if (!w)
        return;
    if (!issue_id_parse(c->args[0], &w->id))
        reply_error(c, 404, "not_found", "an issue's id has 16 hexadecimal digits");
    else
        job_start(c, run_one, w, 0);
}

/* ---- deciding ---- */

struct decision {
    uint64_t *ids;
    uint32_t n;
    bool one;
    struct issue_change to;
};

static int run_change(struct job *j, struct err *err)
{
    struct decision *d = j->args;
    struct issues *all;
    struct buf missing;
    uint32_t n = 0, changed;
    char id[ISSUE_ID_TEXT + 1];
    int rc = issues_look(j->s, &j->ctl.cancel, &all, err);
    if (rc)
        return rc;
    buf_init(&missing, 1u << 20);
    for (uint32_t i = 0; i < d->n; i++) {
        if (issue_set_find(issues_set(all), d->ids[i])) {
            d->ids[n++] = d->ids[i];
            continue;
        }
        issue_id_text(d->ids[i], id);
        buf_printf(&missing, "%s\"%s\"", missing.n ? "," : "", id);
    }
    rc = d->one && !n ? no_issue(err) : issues_change(all, d->ids, n, &d->to, &changed, err);
    if (!rc && d->one) {
        struct want w = { .now = server_now(j->s), .start = TS_MIN, .end = TS_MAX };
        struct issue_set *own;
        struct shown v;
        rc = show(j, &w, all, &v, &own, err);
        if (!rc)
            rc = put_whole(j, &v, issue_set_find(v.set, d->ids[0]), err);
    } else if (!rc) {
        buf_printf(&j->out, "{\"changed\":%u,\"not_found\":[", changed);
        buf_putstr(&j->out, buf_str(&missing));
        buf_puts(&j->out, "]}\n");
    }
    issues_done(all);
    buf_deinit(&missing);
    return rc;
}

static int read_until(struct call *c, const struct jobject *o, struct issue_change *to,
                      struct err *err)
{
    const struct jmember *until = jobject_get(o, "until"), *count = jobject_get(o, "count");
    str s;
    bool at = until && until->type != JSON_NULL, n = count && count->type != JSON_NULL;
    if ((at || n) && to->state != ISSUE_IGNORED)
        return err_set(err, ERR_INVALID, "until and count belong to the state ignored");
    if (at &&
        (!jmember_str(until, c->req->arena, &s) || !moment_parse(s, server_now(c->s), &to->until)))
        return err_set(err, ERR_INVALID,
                       "until must be a time like 2026-12-24T12:00:00Z or now+7d");
    if (at && to->until <= server_now(c->s))
        return err_set(err, ERR_INVALID, "until lies in the past");
    if (n && (count->type != JSON_NUM || !str_to_u64(count->raw, &to->until_count) ||
              !to->until_count || to->until_count > 1000000000))
        return err_set(err, ERR_INVALID, "count must be a number from 1 to 1000000000");
    return 0;
}

static int read_change(struct call *c, const struct jobject *o, struct issue_change *to,
                       struct err *err)
{
    struct arena *a = c->req->arena;
    const struct jmember *by = jobject_get(o, "by"), *note = jobject_get(o, "note");
    str state;
    int k = 0;
    if (!by)
        by = jobject_get(o, "resolved_by");
    if (!jmember_str(jobject_get(o, "state"), a, &state))
        return err_set(err, ERR_INVALID, "state must be open, resolved or ignored");
    while (k < 3 && !str_eq(state, str_c(state_names[k])))
        k++;
    if (k == 3)
        return err_set(err, ERR_INVALID, "state must be open, resolved or ignored");
    to->state = (enum issue_state)k;
    if (!jmember_str(by, a, &to->by) || !to->by.n || to->by.n > 1024)
        return err_set(err, ERR_INVALID, "by must be a string of 1 to 1024 bytes");
    if (note && note->type != JSON_NULL && (!jmember_str(note, a, &to->note) || to->note.n > 4096))
        return err_set(err, ERR_INVALID, "note must be a string of at most 4096 bytes");
    return read_until(c, o, to, err);
}

static int read_ids(struct call *c, const struct jobject *o, struct decision *d, struct err *err)
{
    str *ids;
    int rc = jmember_strs(jobject_get(o, "ids"), c->req->arena, &ids, &d->n, err);
    if (rc == ERR_INVALID || (!rc && !d->n))
        return err_set(err, ERR_INVALID, "ids must be an array of ids of issues");
    if (rc)
        return rc;
    if (d->n > IDS_MAX)
        return err_set(err, ERR_INVALID, "at most %d issues at once", IDS_MAX);
    d->ids = arena_array(c->req->arena, d->n, sizeof *d->ids);
    if (!d->ids)
        return err_nomem(err);
    for (uint32_t i = 0; i < d->n; i++)
        if (!issue_id_parse(ids[i], &d->ids[i]))
            return err_set(err, ERR_INVALID, "ids[%u]: an issue's id has 16 hexadecimal digits", i);
    return 0;
}

static void change(struct call *c, bool one)
{
    struct decision *d = arena_zalloc(c->req->arena, sizeof *d);
    struct err err = ERR_INIT;
    struct jobject o;
    if (c->who->agent[0]) { /* an issue is one for all agents */
        reply_error(c, 403, "forbidden", "deciding on issues needs a key for every agent");
        return;
    }
    int rc = d ? jobject_parse(&o, c->req->body, c->req->arena, &err) : err_nomem(&err);
    if (!rc)
        rc = read_change(c, &o, &d->to, &err);
    if (!rc && one) {
        d->one = true;
        d->n = 1;
        d->ids = arena_alloc(c->req->arena, sizeof *d->ids);
        rc = !d->ids                                  ? err_nomem(&err)
             : issue_id_parse(c->args[0], &d->ids[0]) ? 0
                                                      : no_issue(&err);
    } else if (!rc) {
        rc = read_ids(c, &o, d, &err);
    }
    if (rc)
        reply_err(c, &err);
    else
        job_start(c, run_change, d, 0);
}

void native_issue_change(struct call *c)
{
    change(c, true);
}

void native_issues_change(struct call *c)
{
    change(c, false);
}
