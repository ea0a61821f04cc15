/* keys.c: /api/v1/keys: list, make, look at and revoke API keys.
 *
 * The database is on disk, so all of this runs on the query pool. A secret leaves the server once,
 * in the answer that made it; logs and lists hold only the key's number, name and public prefix. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "codec/json.h"
#include "server/handlers.h"
#include "server/internal.h"

#define KEYS_MAX 10000

static const struct {
    const char *name;
    uint32_t bit;
} scope_names[] = {
    { "ingest", SCOPE_INGEST },
    { "read", SCOPE_READ },
    { "write-marks", SCOPE_MARK },
    { "admin", SCOPE_ADMIN },
};
#define SCOPES (sizeof scope_names / sizeof *scope_names)

static void put_key(struct buf *b, const struct api_key *k, const char *secret)
{
    bool first = true, any = false;
    buf_putc(b, '{');
    json_kv_u64(b, &first, "id", k->id);
    json_kv_str(b, &first, "name", str_c(k->name));
    json_kv_str(b, &first, "prefix", str_c(k->prefix));
    json_key(b, &first, "scopes");
    buf_putc(b, '[');
    for (size_t i = 0; i < SCOPES; i++)
        if (k->scopes & scope_names[i].bit) {
            buf_printf(b, "%s\"%s\"", any ? "," : "", scope_names[i].name);
            any = true;
        }
    buf_putc(b, ']');
    json_kv_str(b, &first, "agent", str_c(k->agent));
    json_kv_u64(b, &first, "rate", k->rate);
    json_kv_time(b, &first, "created", k->created);
    json_key(b, &first, "expires");
    if (k->expires)
        json_put_time(b, k->expires);
    else
        buf_puts(b, "null");
    json_kv_bool(b, &first, "revoked", k->revoked);
    if (secret)
        json_kv_str(b, &first, "secret", str_c(secret));
    buf_putc(b, '}');
}

static int run_list(struct job *j, struct err *err)
{
    struct api_key *keys;
    uint32_t n;
    int rc = meta_key_list(j->s->meta, &j->arena, &keys, &n, err);
    if (rc < 0)
        return rc;
    buf_puts(&j->out, "{\"keys\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_puts(&j->out, ",\n");
        put_key(&j->out, &keys[i], NULL);
    }
    buf_puts(&j->out, "]}\n");
    return 0;
}

void keys_list(struct call *c)
{
    job_start(c, run_list, NULL, -1);
}

static int find_key(struct job *j, uint32_t id, struct api_key *ret, struct err *err)
{
    struct api_key *keys;
    uint32_t n;
    int rc = meta_key_list(j->s->meta, &j->arena, &keys, &n, err);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (keys[i].id == id) {
            *ret = keys[i];
            return 0;
        }
    return rc < 0 ? rc : err_set(err, ERR_NOTFOUND, "there is no key %u", id);
}

static int run_get(struct job *j, struct err *err)
{
    struct api_key k;
    int rc = find_key(j, *(uint32_t *)j->args, &k, err);
    if (rc == 0) {
        put_key(&j->out, &k, NULL);
        buf_putc(&j->out, '\n');
    }
    return rc;
}

static int run_delete(struct job *j, struct err *err)
{
    uint32_t id = *(uint32_t *)j->args;
    int rc = meta_key_revoke(j->s->meta, id, err);
    if (rc < 0)
        return rc;
    auth_revoked(j->s, id);
    log_info("server", "key %u was revoked by key %u", id, j->c->who->key_id);
    buf_printf(&j->out, "{\"revoked\":%u}\n", id);
    return 0;
}

static void with_id(struct call *c, job_fn fn)
{
    uint32_t *id = arena_alloc(c->req->arena, sizeof *id);
    uint64_t n;
    if (!id)
        reply_error(c, 503, "busy", "out of memory");
    else if (!str_to_u64(c->args[0], &n) || n == 0 || n >= UINT32_MAX)
        reply_error(c, 404, "not_found", "keys are numbered from 1");
    else {
        *id = (uint32_t)n;
        job_start(c, fn, id, -1);
    }
}

void keys_get(struct call *c)
{
    with_id(c, run_get);
}

void keys_delete(struct call *c)
{
    with_id(c, run_delete);
}

/* ---- making one ---- */

static int run_create(struct job *j, struct err *err)
{
    const struct api_key *want = j->args;
    struct api_key made, *keys;
    char secret[64];
    uint32_t n;
    int rc = meta_key_list(j->s->meta, &j->arena, &keys, &n, err);
    if (rc == 0 && n >= KEYS_MAX)
        rc = err_set(err, ERR_CONFLICT, "there are %u keys, the most is %u", n, KEYS_MAX);
    if (rc == 0)
        rc = meta_key_create(j->s->meta, want, server_now(j->s), &made, secret, err);
    if (rc < 0)
        return rc;
    j->status = 201;
    put_key(&j->out, &made, secret);
    buf_putc(&j->out, '\n');
    OPENSSL_cleanse(secret, sizeof secret);
    log_info("server", "key %u was made by key %u", made.id, j->c->who->key_id);
    if (!j->c->who->key_id)
        tails_check(j->s); /* of those who came while the server was open */
    return 0;
}

static int parse_scopes(const struct jmember *m, struct arena *a, uint32_t *ret, struct err *err)
{
    str *names;
    uint32_t n;
    if (!m) {
        *ret = SCOPE_INGEST | SCOPE_READ;
        return 0;
    }
    int rc = jmember_strs(m, a, &names, &n, err);
    if (rc == ERR_NOMEM)
        return rc;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        size_t k = 0;
        while (k < SCOPES && !str_eq(names[i], str_c(scope_names[k].name)))
            k++;
        if (k == SCOPES)
            rc = ERR_INVALID;
        else
            *ret |= scope_names[k].bit;
    }
    if (rc < 0 || !*ret)
        return err_set(err, ERR_INVALID,
                       "scopes must be an array of ingest, read, write-marks, admin");
    return 0;
}

static int copy_text(const struct jmember *m, struct arena *a, const char *what, char *out,
                     size_t max, struct err *err)
{
    str s = STR_NULL;
    if (m && !jmember_str(m, a, &s))
        return err_set(err, ERR_INVALID, "%s must be a string", what);
    if (s.n >= max || (s.n && memchr(s.p, 0, s.n)))
        return err_set(err, ERR_INVALID, "%s may have %zu bytes at most", what, max - 1);
    if (s.n)
        memcpy(out, s.p, s.n);
    return 0;
}

static int parse_key(struct call *c, struct api_key *k, struct err *err)
{
    struct arena *a = c->req->arena;
    struct jobject o;
    str text;
    int rc = jobject_parse(&o, c->req->body, a, err);
    if (rc == 0)
        rc = copy_text(jobject_get(&o, "name"), a, "name", k->name, sizeof k->name, err);
    if (rc == 0 && !k->name[0])
        rc = err_set(err, ERR_INVALID, "name is missing");
    if (rc == 0)
        rc = copy_text(jobject_get(&o, "agent"), a, "agent", k->agent, sizeof k->agent, err);
    if (rc == 0)
        rc = parse_scopes(jobject_get(&o, "scopes"), a, &k->scopes, err);
    const struct jmember *m = rc == 0 ? jobject_get(&o, "rate") : NULL;
    uint64_t rate = 0;
    if (m && (m->type != JSON_NUM || !str_to_u64(m->raw, &rate) || rate > 100000000))
        rc = err_set(err, ERR_INVALID, "rate must be a number of entries per second");
    k->rate = (uint32_t)rate;
    m = rc == 0 ? jobject_get(&o, "expires") : NULL;
    if (m && m->type != JSON_NULL &&
        (!jmember_str(m, a, &text) || !moment_parse(text, server_now(c->s), &k->expires) ||
         k->expires <= server_now(c->s)))
        rc = err_set(err, ERR_INVALID, "expires must be a time to come, such as now+30d");
    return rc;
}

void keys_create(struct call *c)
{
    struct api_key *k = arena_zalloc(c->req->arena, sizeof *k);
    struct err err = ERR_INIT;
    int rc = k ? parse_key(c, k, &err) : err_nomem(&err);
    /* nobody hands out more than he has */
    if (rc == 0 && c->who->agent[0] && strcmp(c->who->agent, k->agent) != 0)
        rc = err_set(&err, ERR_DENIED, "this key may only make keys for the agents \"%s\"",
                     c->who->agent);
    if (rc < 0)
        reply_err(c, &err);
    else
        job_start(c, run_create, k, -1);
}
