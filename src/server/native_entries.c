/* native_entries.c: one entry, its neighbours, and resolving. */
#include <string.h>

#include "codec/json.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/issues.h"

#define RESOLVE_MAX 10000
#define CONTEXT_MAX 1000
#define MARK_CHUNK 256

static int put_native(void *arg, struct block *b, uint32_t row, struct err *err)
{
    struct job *j = arg;
    return view_native(&j->out, b, row, err);
}

static int run_entry(struct job *j, struct err *err)
{
    uint64_t seq;
    int rc = store_find_id(j->s->store, *(str *)j->args, &seq, err);
    if (rc == 0)
        rc = rows_one(j, seq, put_native, j, err);
    buf_putc(&j->out, '\n');
    return rc;
}

void native_entry(struct call *c)
{
    job_start(c, run_entry, &c->args[0], 0);
}

/* ---- context ---- */

struct context {
    str id;
    uint64_t before, after;
    enum field by; /* F_NONE: the first of session, agent, trace that the entry has */
    /* of the entry */
    ts_ns t;
    uint64_t seq;
    str value;
    struct buf entry;
    struct job *j;
};

static int take_entry(void *arg, struct block *b, uint32_t row, struct err *err)
{
    static const enum field order[] = { F_SESSION_ID, F_AGENT, F_TRACE_ID };
    struct context *x = arg;
    int rc = row_time(b, row, &x->t, err);
    if (rc == 0)
        rc = row_seq(b, row, &x->seq, err);
    for (size_t i = 0; i < 3 && rc == 0 && !x->value.p; i++) {
        struct val v;
        if (x->by != F_NONE && x->by != order[i])
            continue;
        rc = block_get_field(b, row, order[i], &v, err);
        if (rc == 0 && !v.absent && v.t == V_STR && v.s.n) {
            x->by = order[i];
            x->value = arena_dup(&x->j->arena, v.s);
        }
    }
    if (rc == 0)
        rc = view_native(&x->entry, b, row, err);
    return rc;
}

static int put_neighbours(struct context *x, bool after, struct err *err)
{
    struct job *j = x->j;
    struct arena *a = &j->arena;
    struct rows_got got;
    uint64_t n = after ? x->after : x->before;
    if (!n || !x->value.p)
        return 0;
    struct pred *when = after ? pred_time(a, x->t, TS_MAX)
                              : pred_time(a, TS_MIN, x->t == TS_MAX ? TS_MAX : x->t + 1);
    struct pred *p = pred_and(a, pred_eq(a, x->by, x->value), when);
    int rc = p ? job_filter(j, p, &p, err) : err_nomem(err);
    if (rc < 0)
        return rc;
    struct rows_want want = { .filter = p,
                              .oldest = after,
                              .reverse = !after,
                              .limit = n,
                              .has_edge = true,
                              .edge_time = x->t,
                              .edge_seq = x->seq,
                              .view = view_native,
                              .separator = STR(",\n") };
    return rows_put(j, &want, &got, err);
}

static int run_context(struct job *j, struct err *err)
{
    struct context *x = j->args;
    uint64_t seq;
    x->j = j;
    buf_init(&x->entry, (size_t)256 << 20);
    int rc = store_find_id(j->s->store, x->id, &seq, err);
    if (rc == 0)
        rc = rows_one(j, seq, take_entry, x, err);
    if (rc == 0) {
        bool first = true;
        buf_putc(&j->out, '{');
        json_key(&j->out, &first, "by");
        if (x->value.p) {
            json_put_str(&j->out, field_table[x->by].name);
            json_kv_str(&j->out, &first, "value", x->value);
        } else {
            buf_puts(&j->out, "null,\"value\":null");
        }
        buf_puts(&j->out, ",\"before\":[");
        rc = put_neighbours(x, false, err);
        buf_puts(&j->out, "],\"entry\":");
        buf_putstr(&j->out, buf_str(&x->entry));
        buf_puts(&j->out, ",\"after\":[");
    }
    if (rc == 0)
        rc = put_neighbours(x, true, err);
    buf_puts(&j->out, "]}\n");
    buf_deinit(&x->entry);
    return rc;
}

void native_context(struct call *c)
{
    struct context *x = arena_zalloc(c->req->arena, sizeof *x);
    str by;
    if (!x) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    x->id = c->args[0];
    x->before = x->after = 5;
    x->by = F_NONE;
    if (param_str(c, "by", &by)) {
        x->by = field_by_name(by);
        if (x->by != F_SESSION_ID && x->by != F_AGENT && x->by != F_TRACE_ID) {
            reply_bad_param(c, "by", "must be session, agent or trace");
            return;
        }
    }
    if (param_u64(c, "before", 0, CONTEXT_MAX, &x->before) &&
        param_u64(c, "after", 0, CONTEXT_MAX, &x->after))
        job_start(c, run_context, x, 0);
}

/* ---- resolving ---- */

static int nothing(void *arg, struct block *b, uint32_t row, struct err *err)
{
    (void)arg;
    (void)b;
    (void)row;
    (void)err;
    return 0;
}

/* the sequence number of an id this key may see; ERR_NOTFOUND */
static int find_visible(struct job *j, str id, uint64_t *ret, struct err *err)
{
    int rc = store_find_id(j->s->store, id, ret, err);
    return rc < 0 ? rc : rows_one(j, *ret, nothing, NULL, err);
}

int resolve_ids(struct job *j, const str *ids, uint32_t n, str by, str note, uint32_t *ret_found,
                struct buf *missing, struct err *err)
{
    struct mark marks[MARK_CHUNK];
    uint32_t have = 0;
    ts_ns now = server_now(j->s);
    *ret_found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t seq;
        int rc = find_visible(j, ids[i], &seq, err);
        if (rc == ERR_NOTFOUND) {
            if (missing->n)
                buf_putc(missing, ',');
            json_put_bytes(missing, ids[i]);
        } else if (rc < 0) {
            return rc;
        } else {
            marks[have++] =
                (struct mark){ .seq = seq, .resolved = true, .by = by, .note = note, .at = now };
            ++*ret_found;
        }
        if (have && (have == MARK_CHUNK || i + 1 == n)) {
            rc = store_mark(j->s->store, marks, have, NULL, err);
            if (rc < 0)
                return rc;
            have = 0;
        }
    }
    if (*ret_found)
        issues_poke(j->s);
    return 0;
}

struct resolve {
    str *ids;
    uint32_t n;
    str by, note;
};

static int run_resolve(struct job *j, struct err *err)
{
    const struct resolve *r = j->args;
    struct buf missing;
    uint32_t found;
    buf_init(&missing, (size_t)4 << 20);
    int rc = resolve_ids(j, r->ids, r->n, r->by, r->note, &found, &missing, err);
    if (rc == 0) {
        buf_printf(&j->out, "{\"resolved\":%u,\"not_found\":[", found);
        buf_putstr(&j->out, buf_str(&missing));
        buf_puts(&j->out, "]}\n");
        if (!buf_ok(&missing))
            rc = err_nomem(err);
    }
    buf_deinit(&missing);
    return rc;
}

static int parse_resolve(struct call *c, struct resolve *r, struct err *err)
{
    struct jobject o;
    struct arena *a = c->req->arena;
    int rc = jobject_parse(&o, c->req->body, a, err);
    if (rc < 0)
        return rc;
    const struct jmember *one = jobject_get(&o, "id"), *by = jobject_get(&o, "by");
    const struct jmember *note = jobject_get(&o, "note");
    if (!by)
        by = jobject_get(&o, "resolved_by");
    if (one) {
        r->n = 1;
        r->ids = arena_alloc(a, sizeof *r->ids);
        if (!r->ids)
            return err_nomem(err);
        if (!jmember_str(one, a, r->ids))
            return err_set(err, ERR_INVALID, "id must be a string");
    } else {
        rc = jmember_strs(jobject_get(&o, "ids"), a, &r->ids, &r->n, err);
        if (rc == ERR_INVALID)
            return err_set(err, ERR_INVALID, "ids must be an array of strings");
    }
    if (rc < 0)
        return rc;
    if (r->n > RESOLVE_MAX)
        return err_set(err, ERR_INVALID, "at most %d ids at once", RESOLVE_MAX);
    if (!jmember_str(by, a, &r->by) || r->by.n > 1024)
        return err_set(err, ERR_INVALID, "by must be a string of at most 1024 bytes");
    if (note && (!jmember_str(note, a, &r->note) || r->note.n > 4096))
        return err_set(err, ERR_INVALID, "note must be a string of at most 4096 bytes");
    return 0;
}

void native_resolve(struct call *c)
{
    struct resolve *r = arena_zalloc(c->req->arena, sizeof *r);
    struct err err = ERR_INIT;
    int rc = r ? parse_resolve(c, r, &err) : err_nomem(&err);
    if (rc < 0)
        reply_err(c, &err);
    else
        job_start(c, run_resolve, r, -1);
}
