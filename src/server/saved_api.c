/* saved_api.c: /api/v1/saved and /api/v1/dashboards: small documents that people keep.
 *
 * All of it runs on the query pool, since it waits for the disk. A key that is bound to agents sees
 * what keys bound to the same ones have made, and the dashboards that come with the server. A
 * stored dashboard hides one of the server's with the same name: it is older than the program. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "server/handlers.h"
#include "server/internal.h"
#include "server/own.h"
#include "server/saved.h"

#define NAMES_TRIED (META_DOCS_MAX + 100)

static const char *const plurals[DOC__COUNT] = { "saved", "dashboards" };
static const char *const nouns[DOC__COUNT] = { "saved view", "dashboard" };

struct request {
    enum meta_doc_kind kind;
    str name; /* of the path; empty: POST */
    str text; /* body */
    bool has_rev, must_exist;
    uint64_t rev;
};

static const struct saved *shipped(const struct job *j, enum meta_doc_kind kind, str name)
{
    return kind == DOC_DASHBOARD ? builtin_find(j->s->builtin, name) : NULL;
}

/* ---- answers ---- */

static void put_when(struct buf *b, bool *first, const char *key, ts_ns t)
{
    json_key(b, first, key);
    if (t)
        json_put_time(b, t);
    else
        buf_puts(b, "null");
}

/* d: NULL = it came with the server */
static void put_doc(struct buf *b, str name, str doc, const struct meta_doc *d)
{
    bool first = true;
    buf_putc(b, '{');
    json_kv_str(b, &first, "name", name);
    buf_putc(b, ',');
    buf_putstr(b, str_sub(doc, 1, doc.n - 2)); /* a stored document is an object with a title */
    json_kv_bool(b, &first, "builtin", !d);
    put_when(b, &first, "created", d ? d->created : 0);
    put_when(b, &first, "changed", d ? d->changed : 0);
    json_kv_str(b, &first, "changed_by", d ? d->changed_by : STR(""));
    json_kv_u64(b, &first, "rev", d ? d->rev : 0);
    buf_putc(b, '}');
}

static int put_answer(struct job *j, str name, str doc, const struct meta_doc *d, struct err *err)
{
    char *tag = arena_printf(&j->arena, PRIVATE_HEADERS "ETag: \"%" PRIu64 "\"\r\n",
                             d ? d->rev : (uint64_t)0);
    if (!tag)
        return err_nomem(err);
    j->headers = tag;
    put_doc(&j->out, name, doc, d);
    buf_putc(&j->out, '\n');
    return 0;
}

static int get_stored(struct job *j, enum meta_doc_kind kind, str name, struct arena *a,
                      struct meta_doc *ret, struct err *err)
{
    return meta_doc_get(j->s->meta, kind, str_c(j->c->who->agent), name, a, ret, err);
}

/* ---- reading ---- */

static bool is_stored(const struct meta_doc *all, uint32_t n, str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(all[i].name, name))
            return true;
    return false;
}

static int put_stored(struct job *j, enum meta_doc_kind kind, const struct meta_doc *all,
                      uint32_t n, uint32_t shown, struct err *err)
{
    struct arena a;
    int rc = 0;
    arena_init(&a, 4 * META_DOC_BYTES_MAX);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct meta_doc d;
        struct err gone = ERR_INIT;
        rc = get_stored(j, kind, all[i].name, &a, &d, &gone);
        if (rc == 0) {
            buf_puts(&j->out, shown++ ? ",\n" : "");
            put_doc(&j->out, d.name, d.doc, &d);
            rc = job_flush(j, err);
        } else if (rc == ERR_NOTFOUND) { /* meanwhile */
            rc = 0;
        } else {
            *err = gone;
        }
        arena_reset(&a);
    }
    arena_deinit(&a);
    return rc;
}

static int run_list(struct job *j, struct err *err)
{
    const struct request *r = j->args;
    const struct builtin *own = j->s->builtin;
    struct meta_doc *all;
    uint32_t n, shown = 0;
    int rc = meta_doc_list(j->s->meta, r->kind, str_c(j->c->who->agent), &j->arena, &all, &n, err);
    if (rc < 0)
        return rc;
    buf_printf(&j->out, "{\"%s\":[", plurals[r->kind]);
    for (uint32_t i = 0; r->kind == DOC_DASHBOARD && i < own->n; i++) {
        if (is_stored(all, n, own->v[i].name))
            continue;
        buf_puts(&j->out, shown++ ? ",\n" : "");
        put_doc(&j->out, own->v[i].name, own->v[i].doc, NULL);
    }
    rc = put_stored(j, r->kind, all, n, shown, err);
    buf_puts(&j->out, "]}\n");
    return rc;
}

static int run_get(struct job *j, struct err *err)
{
    const struct request *r = j->args;
    const struct saved *own = shipped(j, r->kind, r->name);
    struct meta_doc d;
    int rc = get_stored(j, r->kind, r->name, &j->arena, &d, err);
    if (rc == ERR_NOTFOUND && own) {
        err_reset(err);
        return put_answer(j, own->name, own->doc, NULL, err);
    }
    return rc < 0 ? rc : put_answer(j, d.name, d.doc, &d, err);
}

/* ---- changing ---- */

/* what came with the server stays as it is */
static int check_shipped(struct job *j, const struct request *r, str name, struct err *err)
{
    struct meta_doc d;
    struct err none = ERR_INIT;
    if (!shipped(j, r->kind, name))
        return 0;
    int rc = get_stored(j, r->kind, name, &j->arena, &d, &none);
    if (rc != ERR_NOTFOUND) {
        if (rc < 0)
            *err = none;
        return rc;
    }
    err_set(err, ERR_CONFLICT, "the dashboard '%.*s' comes with the server", STR_FMT(name));
    err_hint(err, "make one of your own under another name");
    return ERR_CONFLICT;
}

static int put_named(struct job *j, const struct request *r, const struct saved *s, str name,
                     enum meta_doc_outcome *ret, struct err *err)
{
    char who[96];
    own_who(j->c, who);
    struct meta_doc_change ch = { .name = name,
                                  .doc = s->doc,
                                  .viewer = str_c(j->c->who->agent),
                                  .who = str_c(who),
                                  .now = server_now(j->s),
                                  .must_be_new = !r->name.n,
                                  .must_exist = r->must_exist,
                                  .has_rev = r->has_rev || s->has_rev,
                                  .rev = r->has_rev ? r->rev : s->rev };
    int rc = check_shipped(j, r, name, err);
    if (rc == 0)
        rc = meta_doc_put(j->s->meta, r->kind, &ch, ret, err);
    if (rc == 0 && *ret != META_DOC_UNCHANGED)
        own_audit(j->s, r->kind == DOC_VIEW ? AUDIT_VIEW : AUDIT_DASHBOARD,
                  *ret == META_DOC_CREATED ? "created" : "changed", name, ch.who);
    return rc;
}

/* a name from the title; the next one with a number while it is taken */
static int put_unnamed(struct job *j, const struct request *r, struct saved *s,
                       enum meta_doc_outcome *outcome, str *ret, struct err *err)
{
    char base[META_DOC_NAME_MAX + 1], name[META_DOC_NAME_MAX + 1];
    int rc = ERR_CONFLICT;
    s->has_rev = false; /* a new one has none */
    saved_slug(r->kind, s->title, base);
    for (uint32_t i = 1; rc == ERR_CONFLICT && i < NAMES_TRIED; i++) {
        err_reset(err);
        if (i == 1)
            snprintf(name, sizeof name, "%s", base);
        else
            snprintf(name, sizeof name, "%.56s-%u", base, i);
        rc = put_named(j, r, s, str_c(name), outcome, err);
    }
    *ret = rc == 0 ? arena_dup(&j->arena, str_c(name)) : STR_NULL;
    return rc == 0 && !ret->p ? err_nomem(err) : rc;
}

static int check_name(const struct request *r, const struct saved *s, struct err *err)
{
    if (r->name.n && !saved_name_ok(r->name)) {
        err_set(err, ERR_INVALID, "this is no name for a %s", nouns[r->kind]);
        err_hint(err, "1 to %d of a-z, 0-9 and -", META_DOC_NAME_MAX);
        return ERR_INVALID;
    }
    if (r->name.n && s->name.n && !str_eq(r->name, s->name))
        return err_set(err, ERR_INVALID, "the path says '%.*s' and the body '%.*s'",
                       STR_FMT(r->name), STR_FMT(s->name));
    return 0;
}

static int run_put(struct job *j, struct err *err)
{
    const struct request *r = j->args;
    enum meta_doc_outcome outcome = META_DOC_UNCHANGED;
    struct tree *doc;
    struct saved s;
    struct meta_doc d;
    int rc = tree_from_json(&doc, &j->arena, r->text, err);
    if (rc == 0)
        rc = saved_read(&s, r->kind, doc, server_now(j->s), &j->arena, err);
    if (rc == 0)
        rc = check_name(r, &s, err);
    if (rc < 0)
        return rc;
    str name = r->name.n ? r->name : s.name;
    rc = name.n ? put_named(j, r, &s, name, &outcome, err)
                : put_unnamed(j, r, &s, &outcome, &name, err);
    if (rc == 0)
        rc = get_stored(j, r->kind, name, &j->arena, &d, err);
    if (rc < 0)
        return rc;
    j->status = outcome == META_DOC_CREATED ? 201 : 200;
    return put_answer(j, d.name, d.doc, &d, err);
}

static int run_delete(struct job *j, struct err *err)
{
    const struct request *r = j->args;
    struct meta_doc_change ch = {
        .name = r->name, .viewer = str_c(j->c->who->agent), .has_rev = r->has_rev, .rev = r->rev
    };
    char who[96];
    bool first = true;
    int rc = check_shipped(j, r, r->name, err);
    if (rc == 0)
        rc = meta_doc_delete(j->s->meta, r->kind, &ch, err);
    if (rc < 0)
        return rc;
    own_who(j->c, who);
    own_audit(j->s, r->kind == DOC_VIEW ? AUDIT_VIEW : AUDIT_DASHBOARD, "deleted", r->name,
              str_c(who));
    buf_putc(&j->out, '{');
    json_kv_str(&j->out, &first, "deleted", r->name);
    buf_puts(&j->out, "}\n");
    return 0;
}

/* ---- the request ---- */

/* If-Match: "7", 7 or *; false: the call was answered */
static bool read_match(struct call *c, struct request *r)
{
    str v = str_trim(http_header(c->req, "if-match"));
    if (!v.n)
        return true;
    if (str_eq(v, STR("*"))) {
        r->must_exist = true;
        return true;
    }
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = str_sub(v, 1, v.n - 2);
    r->has_rev = str_to_u64(v, &r->rev);
    if (!r->has_rev)
        reply_bad_param(c, "If-Match", "must be the rev of a document, as \"7\", or *");
    return r->has_rev;
}

static void start(struct call *c, enum meta_doc_kind kind, job_fn fn)
{
    struct request *r = arena_zalloc(c->req->arena, sizeof *r);
    if (!r) {
        reply_error(c, 503, "busy", "out of memory");
        return;
    }
    r->kind = kind;
    r->name = c->args[0];
    r->text = c->req->body;
    if ((fn != run_put && fn != run_delete) || !r->name.n || read_match(c, r))
        job_start(c, fn, r, -1);
}

void saved_list(struct call *c)
{
    start(c, DOC_VIEW, run_list);
}

void saved_create(struct call *c)
{
    start(c, DOC_VIEW, run_put);
}

void saved_get(struct call *c)
{
    start(c, DOC_VIEW, run_get);
}

void saved_put(struct call *c)
{
    start(c, DOC_VIEW, run_put);
}

void saved_delete(struct call *c)
{
    start(c, DOC_VIEW, run_delete);
}

void dashboards_list(struct call *c)
{
    start(c, DOC_DASHBOARD, run_list);
}

void dashboards_create(struct call *c)
{
    start(c, DOC_DASHBOARD, run_put);
}

void dashboards_get(struct call *c)
{
    start(c, DOC_DASHBOARD, run_get);
}

void dashboards_put(struct call *c)
{
    start(c, DOC_DASHBOARD, run_put);
}

void dashboards_delete(struct call *c)
{
    start(c, DOC_DASHBOARD, run_delete);
}
