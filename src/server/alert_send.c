/* alert_send.c: the threads that deliver: the outbox in meta.db, message by message.
 *
 *   take the first that is due -> attempt -> record: delivered, or again later, or given up
 *
 * One attempt at a time for a target, and messages of one group in their order: an end never
 * overtakes its beginning. After a failure the next attempt waits RETRY_FIRST, doubling up to
 * RETRY_MOST, each wait drawn from the upper half of that; after ATTEMPTS_MAX the message is given
 * up. The record of an answer is what ends it: a crash before that sends it again, under the same
 * id. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mem.h"
#include "codec/json.h"
#include "net/outbound.h"
#include "server/alerts.h"

/* set by whoever stops the server, read on the way */
static bool stopped(const struct alerts *al)
{
    return __atomic_load_n(&al->stop_sending, __ATOMIC_RELAXED) != 0;
}

#define SEND_ARENA ((size_t)1 << 20)
#define ATTEMPTS_MAX 100
#define RETRY_FIRST NS_PER_S
#define RETRY_MOST (900 * NS_PER_S)
#define STATUS_GONE 410

/* ---- one attempt ---- */

struct attempt {
    struct alerts *al;
    struct meta_delivery d;
    struct alert_target target;
    struct arena arena;
    uint32_t slot;
    /* what came of it */
    bool delivered, give_up;
    int64_t wait_ns; /* asked for by the receiver */
    char what[300];
};

static bool sign(const struct alert_target *t, int64_t at, str body, char out[160])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf b;
    buf_init(&b, 128u << 10);
    buf_printf(&b, "%" PRId64 ".", at);
    buf_putstr(&b, body);
    bool ok = buf_ok(&b) && HMAC(EVP_sha256(), t->secret.p, (int)t->secret.n,
                                 (const unsigned char *)b.p, b.n, mac, &n);
    buf_deinit(&b);
    int at_out = snprintf(out, 160, "Fleetlog-Signature: t=%" PRId64 ",v1=", at);
    for (unsigned i = 0; ok && i < n; i++)
        at_out += snprintf(out + at_out, 160 - (size_t)at_out, "%02x", mac[i]);
    return ok;
}

static void webhook(struct attempt *a)
{
    struct server *s = a->al->s;
    struct err err = ERR_INIT;
    char signature[160], id[80], count[60];
    const char *headers[6] = { "Content-Type: application/json", "Expect:", id, count };
    snprintf(id, sizeof id, "Fleetlog-Delivery: %.*s", STR_FMT(str_sub(a->d.uid, 0, 40)));
    snprintf(count, sizeof count, "Fleetlog-Attempt: %u", a->d.attempts + 1);
    if (a->target.secret.n) {
        if (!sign(&a->target, server_now(s) / NS_PER_S, a->d.body, signature)) {
            snprintf(a->what, sizeof a->what, "it could not be signed: out of memory");
            return;
        }
        headers[4] = signature;
    }
    struct outbound o = { .url = a->target.url.p,
                          .body = a->d.body,
                          .headers = headers,
                          .timeout_ms = a->target.timeout_ns / NS_PER_MS,
                          .ca_file = s->cfg.alert_ca_file,
                          .open = s->cfg.alert_nets,
                          .nopen = s->cfg.nalert_nets,
                          .stop = &a->al->stop_sending };
    if (outbound_post(&o, &err) < 0) {
        snprintf(a->what, sizeof a->what, "%.250s", err.msg);
        return;
    }
    a->delivered = o.status >= 200 && o.status < 300;
    a->give_up = o.status == STATUS_GONE;
    a->wait_ns = o.retry_after_s * NS_PER_S;
    snprintf(a->what, sizeof a->what, "HTTP %d%s", o.status,
             o.status >= 300 && o.status < 400 ? ": redirects are not followed" : "");
}

static void command(struct attempt *a)
{
    struct err err = ERR_INIT;
    if (!a->al->s->cfg.alert_commands) {
        snprintf(a->what, sizeof a->what, "the server was started without --alert-commands");
        return;
    }
    a->delivered = alert_command(&a->target, a->d.uid, a->d.body, &a->al->stop_sending, a->what,
                                 sizeof a->what, &err) == 0;
    if (!a->delivered && err.msg[0])
        snprintf(a->what, sizeof a->what, "%.250s", err.msg);
}

/* ---- a log entry ---- */

static const char *level_of(const struct tree *doc)
{
    const struct tree *event = tree_get(doc, "event"), *sev = tree_get(doc, "severity");
    if (event && str_eq(event->text, STR("resolved")))
        return "info";
    if (sev && str_eq(sev->text, STR("critical")))
        return "critical";
    return sev && str_eq(sev->text, STR("info")) ? "info" : "warn";
}

static str text_of(const struct tree *doc, const char *key)
{
    const struct tree *t = tree_get(doc, key);
    return t ? t->text : STR("");
}

static void put_sentence(struct buf *b, const struct tree *doc)
{
    const struct tree *group = tree_get(doc, "group"), *value = tree_get(doc, "value");
    bool over = str_eq(text_of(doc, "event"), STR("resolved"));
    buf_printf(b, "alert %.*s %s", STR_FMT(text_of(doc, "alert")),
               over                                           ? "is resolved"
               : str_eq(text_of(doc, "event"), STR("firing")) ? "fires"
                                                              : "still fires");
    TREE_EACH(g, group)
    buf_printf(b, "%s%.*s=%.*s", g == group->first ? ": " : " ", STR_FMT(g->key),
               STR_FMT(str_sub(g->text, 0, 200)));
    if (!tree_is_null(value))
        buf_printf(b, "%s%s %.*s (%.*s)", group && group->n ? ", " : ": ", "value",
                   STR_FMT(value->text), STR_FMT(text_of(doc, "condition")));
    else
        buf_printf(b, " (%.*s)", STR_FMT(text_of(doc, "condition")));
    str note = text_of(doc, "note");
    if (note.n)
        buf_printf(b, ": %.*s", STR_FMT(note));
}

static void log_entry(struct attempt *a)
{
    struct tree *doc;
    struct err err = ERR_INIT;
    struct buf b, text;
    bool first = false;
    int rc = tree_from_json(&doc, &a->arena, a->d.body, &err);
    if (rc < 0) {
        snprintf(a->what, sizeof a->what, "%.250s", err.msg);
        return;
    }
    buf_init(&b, 256u << 10);
    buf_init(&text, 64u << 10);
    put_sentence(&text, doc);
    buf_puts(&b, "{\"agent\":\"fleetlog\",\"event\":\"alert\",\"level\":");
    json_put_str(&b, str_c(level_of(doc)));
    json_kv_str(&b, &first, "message", buf_str(&text));
    json_kv_str(&b, &first, "status", text_of(doc, "event"));
    json_kv_str(&b, &first, "alert", text_of(doc, "alert"));
    json_kv_str(&b, &first, "delivery", a->d.uid);
    static const char *const members[] = { "group", "value", "before", "severity", "labels" };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct tree *t = tree_get(doc, members[i]);
        if (tree_is_null(t) || (t->kind == TREE_MAP && !t->n))
            continue;
        json_key(&b, &first, members[i]);
        tree_put_json(&b, t);
    }
    buf_putc(&b, '}');
    rc = buf_ok(&b) && buf_ok(&text) ? own_entry(a->al->s, buf_str(&b), a->d.uid, &err)
                                     : err_nomem(&err);
    buf_deinit(&text);
    buf_deinit(&b);
    a->delivered = rc == 0;
    snprintf(a->what, sizeof a->what, "%.250s", rc == 0 ? "stored" : err.msg);
}

static void try_it(struct attempt *a)
{
    struct tree *doc;
    struct err err = ERR_INIT;
    int rc = tree_from_json(&doc, &a->arena, a->d.target, &err);
    if (rc == 0)
        rc = target_read(&a->target, doc, false, &a->arena, &err);
    if (rc < 0) {
        a->give_up = rc != ERR_NOMEM;
        snprintf(a->what, sizeof a->what, "%.250s", err.msg);
        return;
    }
    switch (a->target.channel) {
    case ALERT_WEBHOOK: webhook(a); break;
    case ALERT_COMMAND: command(a); break;
    case ALERT_LOG: log_entry(a); break;
    }
}

/* ---- what came of it ---- */

static int64_t backoff(struct alerts *al, uint32_t attempts)
{
    int64_t ns = RETRY_FIRST;
    uint32_t r;
    for (uint32_t i = 1; i < attempts && ns < RETRY_MOST; i++)
        ns *= 2;
    ns = ns < RETRY_MOST ? ns : RETRY_MOST;
    al->s->io->ops->random(al->s->io, &r, sizeof r);
    int64_t half = ns / 2;
    return half + (int64_t)((double)half * ((double)r / UINT32_MAX));
}

static void record(struct attempt *a)
{
    struct err err = ERR_INIT;
    struct alerts *al = a->al;
    ts_ns now = server_now(al->s);
    uint32_t attempts = a->d.attempts + 1;
    enum meta_delivery_status status = a->delivered                             ? DELIVERY_DONE
                                       : a->give_up || attempts >= ATTEMPTS_MAX ? DELIVERY_FAILED
                                                                                : DELIVERY_WAITING;
    int64_t wait = backoff(al, attempts);
    wait = a->wait_ns > wait ? a->wait_ns : wait;
    metric_add(&al->attempts, 1);
    metric_add(&al->delivered, status == DELIVERY_DONE);
    metric_add(&al->undelivered, status == DELIVERY_FAILED);
    if (status == DELIVERY_FAILED)
        log_error("alerts", "delivery %.*s of alert %.*s was given up: %s", STR_FMT(a->d.uid),
                  STR_FMT(a->d.rule), a->what);
    else if (status == DELIVERY_WAITING && attempts == 1)
        log_warn("alerts", "delivery %.*s of alert %.*s failed and is tried again: %s",
                 STR_FMT(a->d.uid), STR_FMT(a->d.rule), a->what);
    if (meta_delivery_set(al->s->meta, a->d.id, status, str_c(a->what), attempts, now + wait, now,
                          &err) < 0)
        log_error("alerts", "the outcome of delivery %.*s was not recorded, it is sent again: %s",
                  STR_FMT(a->d.uid), err.msg);
}

/* ---- threads ---- */

/* with send_lock: the target of slot i is taken */
static uint32_t busy_targets(struct alerts *al, uint32_t not, str busy[ALERT_SENDERS])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ALERT_SENDERS; i++)
        if (i != not &&al->sending[i].n)
            busy[n++] = al->sending[i];
    return n;
}

static void wait_for_work(struct alerts *al, int64_t ns)
{
    struct timespec ts;
    int64_t until = mono_ns() + ns;
    if (ns < 0) {
        pthread_cond_wait(&al->send_work, &al->send_lock);
        return;
    }
    ts = (struct timespec){ .tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S };
    pthread_cond_timedwait(&al->send_work, &al->send_lock, &ts);
}

/* With send_lock held; the database is read without it, so a change meanwhile (send_turn) makes it
 * ask again. True: a->d is ours, its target is marked; false: *ret_wait_ns until it pays to ask. */
static bool take(struct alerts *al, struct attempt *a, int64_t *ret_wait_ns)
{
    str busy[ALERT_SENDERS];
    struct err err = ERR_INIT;
    uint64_t turn = al->send_turn;
    uint32_t n = 0;
    for (uint32_t i = 0, k = busy_targets(al, a->slot, busy); i < k; i++, n++) {
        busy[i] = arena_dup(&a->arena, busy[i]); /* its owner may end meanwhile */
        if (!busy[i].p)
            break;
    }
    pthread_mutex_unlock(&al->send_lock);
    int rc = meta_delivery_next(al->s->meta, &a->arena, busy, n, &a->d, &err);
    ts_ns now = server_now(al->s);
    pthread_mutex_lock(&al->send_lock);
    *ret_wait_ns = 0;
    if (al->send_turn != turn || stopped(al))
        return false;
    if (rc == ERR_NOTFOUND) {
        *ret_wait_ns = -1;
        return false;
    }
    if (rc < 0 || a->d.next_at > now) {
        /* looked at again within RETRY_MOST in any case: the clock may be set back */
        int64_t wait = rc < 0 ? NS_PER_S : a->d.next_at - now;
        *ret_wait_ns = wait < RETRY_MOST ? wait : RETRY_MOST;
        return false;
    }
    al->sending[a->slot] = a->d.target;
    al->send_turn++;
    return true;
}

static void *sender(void *arg)
{
    struct alerts *al = arg;
    pthread_setname_np(pthread_self(), "alert-send");
    pthread_mutex_lock(&al->send_lock);
    uint32_t slot = al->slots++;
    while (!stopped(al)) {
        struct attempt a = { .al = al, .slot = slot };
        int64_t wait_ns;
        arena_init(&a.arena, SEND_ARENA);
        if (take(al, &a, &wait_ns)) {
            pthread_mutex_unlock(&al->send_lock);
            try_it(&a);
            if (a.delivered || !stopped(al))
                record(&a);
            pthread_mutex_lock(&al->send_lock);
            al->sending[slot] = STR_NULL;
            al->send_turn++;
            pthread_cond_broadcast(&al->send_work);
        } else if (wait_ns && !stopped(al)) {
            wait_for_work(al, wait_ns);
        }
        arena_deinit(&a.arena);
    }
    pthread_mutex_unlock(&al->send_lock);
    return NULL;
}

int alert_senders_start(struct alerts *al, struct err *err)
{
    for (uint32_t i = 0; i < ALERT_SENDERS; i++) {
        int rc = pthread_create(&al->senders[i], NULL, sender, al);
        if (rc)
            return err_sys(err, rc, "cannot start a thread for deliveries");
        al->nsenders++;
    }
    return 0;
}

void alert_send_wake(struct alerts *al)
{
    pthread_mutex_lock(&al->send_lock);
    al->send_turn++;
    pthread_cond_broadcast(&al->send_work);
    pthread_mutex_unlock(&al->send_lock);
}
