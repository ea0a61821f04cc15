/* own.c: entries the server writes about itself: agent `fleetlog`.
 *
 * They go the way of any other entry: the native decoder, a batch, the store. The caller waits
 * until they are durable. They did not come in, so the counters of what came in do not count them.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/hash.h"
#include "base/mem.h"
#include "server/internal.h"
#include "server/own.h"

#define OWN_ARENA ((size_t)8 << 20)

struct waiting {
    struct append a;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void on_done(struct append *a)
{
    struct waiting *w = a->user;
    pthread_mutex_lock(&w->lock);
    w->is_done = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

static int decode(struct server *s, str json, struct append *ap, struct err *err)
{
    struct arena a;
    struct batch *b;
    struct ingest_result r;
    struct ingest_opts o = { .now = server_now(s), .atomic = true };
    struct buf body, out; /* buffers: the reader looks ahead */
    arena_init(&a, OWN_ARENA);
    buf_init(&body, OWN_ARENA);
    buf_init(&out, OWN_ARENA);
    buf_putstr(&body, json);
    int rc = buf_ok(&body) ? batch_new(&b, &a, err) : err_nomem(err);
    if (rc == 0)
        rc = ingest_decode(DIALECT_NATIVE, buf_str(&body), &o, b, &a, &r, err);
    if (rc == 0)
        rc = batch_encode(b, &out, err);
    if (rc == 0 && !buf_ok(&out))
        rc = err_nomem(err);
    if (rc == 0) {
        ap->rows = batch_rows(b);
        ap->payload = buf_take(&out, &ap->payload_n);
    }
    buf_deinit(&out);
    buf_deinit(&body);
    arena_deinit(&a);
    return rc;
}

int own_entry(struct server *s, str json, str uid, struct err *err)
{
    struct waiting w = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
    uint8_t digest[EVP_MAX_MD_SIZE];
    int rc = decode(s, json, &w.a, err);
    if (rc < 0)
        return rc;
    if (uid.n && EVP_Digest(uid.p, uid.n, digest, NULL, EVP_sha256(), NULL) == 1) {
        w.a.has_idem = true;
        memcpy(w.a.idem, digest, sizeof w.a.idem);
        w.a.body_hash = hash64(uid.p, uid.n);
    }
    w.a.done = on_done;
    w.a.user = &w;
    store_append(s->store, &w.a);
    pthread_mutex_lock(&w.lock);
    while (!w.is_done)
        pthread_cond_wait(&w.done, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (w.a.rc < 0) {
        *err = w.a.err;
        if (!err->msg[0])
            err_set(err, w.a.rc, "the entry could not be stored");
        return w.a.rc;
    }
    return 0;
}

void own_audit(struct server *s, enum audited what, const char *did, str name, str who)
{
    static const struct {
        const char *event, *member, *noun;
    } kinds[] = {
        [AUDIT_ALERT] = { "alert_rule", "alert", "alert rule" },
        [AUDIT_VIEW] = { "saved_view", "saved_view", "saved view" },
        [AUDIT_DASHBOARD] = { "dashboard", "dashboard", "dashboard" },
    };
    struct err err = ERR_INIT;
    struct buf b, text;
    bool first = true;
    buf_init(&b, 64u << 10);
    buf_init(&text, 4096);
    buf_printf(&text, "%s %.*s was %s by %.*s", kinds[what].noun, STR_FMT(name), did, STR_FMT(who));
    buf_putc(&b, '{');
    json_kv_str(&b, &first, "agent", STR("fleetlog"));
    json_kv_str(&b, &first, "event", str_c(kinds[what].event));
    json_kv_str(&b, &first, "level", STR("info"));
    json_kv_str(&b, &first, "message", buf_str(&text));
    json_kv_str(&b, &first, kinds[what].member, name);
    json_kv_str(&b, &first, "action", str_c(did));
    json_kv_str(&b, &first, "by", who);
    buf_putc(&b, '}');
    if (own_entry(s, buf_str(&b), STR_NULL, &err) < 0)
        log_warn("server", "%.*s (not logged: %s)", STR_FMT(buf_str(&text)), err.msg);
    buf_deinit(&text);
    buf_deinit(&b);
}

void own_who(const struct call *c, char out[96])
{
    if (!c->who->key_id)
        snprintf(out, 96, "anyone (no keys are configured)");
    else if (c->who->key_id == UINT32_MAX)
        snprintf(out, 96, "the server's static key");
    else
        snprintf(out, 96, "key %u (%s)", c->who->key_id, c->who->name);
}
