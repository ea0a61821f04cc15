/* server.c: puts the parts together and takes them apart again.
 *
 *   start: io -> keys -> live -> store (which publishes to live) -> pools -> alert rules -> network
 *          -> alert threads
 *   stop:  network (drains) -> pools -> alerts -> store -> live -> keys -> io
 *
 * While the network drains everything behind it still works, so requests in progress are answered;
 * waiting polls and tails are told to end first. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mem.h"
#include "base/turns.h"
#include "model/ident.h"
#include "server/alerts.h"
#include "server/internal.h"
#include "server/prices.h"
#include "server/saved.h"
#include "server/issues.h"

#define QUEUE_DEFAULT 256
#define QUERY_TIMEOUT_MS 60000
#define NICE_QUERIES 5
#define DECODERS 2
#define DECODER_QUEUE 64

void server_config_default(struct server_config *cfg)
{
    *cfg = (struct server_config){ .log_level = LOG_INFO };
    net_limits_default(&cfg->limits);
    store_config_default(&cfg->store);
}

ts_ns server_now(struct server *s)
{
    return s->io->ops->now(s->io);
}

/* ---- configuration ---- */

static bool is_loopback(const char *listen)
{
    str s = str_c(listen);
    return str_starts(s, STR("127.")) || str_starts(s, STR("[::1]")) ||
           str_starts(s, STR("localhost:"));
}

static uint32_t cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 1024 ? (uint32_t)n : 1;
}

static int check_config(struct server *s, struct err *err)
{
    static const char *const here[] = { SERVER_LISTEN_DEFAULT };
    struct server_config *c = &s->cfg;
    if (!c->data_dir || !c->data_dir[0])
        return err_set(err, ERR_INVALID, "no data directory was given");
    if (!c->tls_cert != !c->tls_key)
        return err_set(err, ERR_INVALID, "--tls-cert and --tls-key go together");
    if (!c->nlisten) {
        c->listen = here;
        c->nlisten = 1;
    }
    s->loopback_only = true;
    for (uint32_t i = 0; i < c->nlisten; i++)
        s->loopback_only &= is_loopback(c->listen[i]);
    if (!s->loopback_only && !c->tls_cert && !c->insecure_http) {
        err_set(err, ERR_INVALID, "keys and logs would cross the network unencrypted");
        err_hint(err,
                 "give --tls-cert and --tls-key, or --insecure-http behind a proxy that encrypts");
        return ERR_INVALID;
    }
    if (!c->query_threads)
        c->query_threads = cores() > 2 ? cores() : 2;
    if (!c->query_queue)
        c->query_queue = QUEUE_DEFAULT;
    if (c->query_timeout_ms <= 0)
        c->query_timeout_ms = QUERY_TIMEOUT_MS;
    if (!c->query_memory_bytes)
        c->query_memory_bytes = QUERY_MEMORY_DEFAULT;
    return 0;
}

/* ---- keys ---- */

static int admin_key(struct server *s, struct err *err)
{
    struct api_key want = { .scopes = SCOPE_ALL }, made;
    char secret[64], line[80];
    snprintf(want.name, sizeof want.name, "admin");
    int rc = meta_key_create(s->meta, &want, server_now(s), &made, secret, err);
    if (rc < 0)
        return rc;
    int n = snprintf(line, sizeof line, "%s\n", secret);
    rc = io_write_file(s->io, "admin.key", str_n(line, (size_t)n), err);
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(line, sizeof line);
    if (rc < 0)
        return rc;
    printf("fleetlog made an admin key: %s/admin.key\n"
           "  use it:        curl -H \"Authorization: Bearer $(cat %s/admin.key)\" ...\n"
           "  or:            export FLEETLOG_API_KEY=\"$(cat %s/admin.key)\"\n"
           "  further keys:  fleetlog keys create --help\n",
           s->cfg.data_dir, s->cfg.data_dir, s->cfg.data_dir);
    fflush(stdout);
    return 0;
}

static int open_keys(struct server *s, struct err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/meta.db", s->cfg.data_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    int rc = meta_open(&s->meta, path, false, err);
    for (size_t i = 0; i < sizeof s->cfg.static_keys / sizeof *s->cfg.static_keys && rc == 0; i++) {
        const char *key = s->cfg.static_keys[i];
        if (key && key[0])
            rc = meta_key_static(s->meta, str_c(key), SCOPE_ALL, err);
    }
    if (rc == 0 && !s->loopback_only && meta_key_count(s->meta) == 0)
        rc = admin_key(s, err);
    return rc;
}

/* ---- store ---- */

static void on_event(void *ctx, int level, const char *text)
{
    (void)ctx;
    log_msg((enum log_level)level, "store", "%s", text);
}

static int open_store(struct server *s, struct err *err)
{
    struct store_config *c = &s->cfg.store;
    c->create = true;
    c->read_only = false;
    /* who comes before the network listens is told this; port 0 is no address yet */
    c->url = str_ends(str_c(s->urls[0]), STR(":0")) ? NULL : s->urls[0];
    c->on_durable = live_publish;
    c->on_durable_ctx = s->live;
    c->on_event = on_event;
    c->on_event_ctx = s;
    int rc = store_open(&s->store, s->io, c, err);
    if (rc < 0) {
        struct err why = *err;
        snprintf(err->msg, sizeof err->msg, "%.200s: %.300s", s->cfg.data_dir, why.msg);
        return rc;
    }
    const struct id_gen *ids = store_ids(s->store);
    live_set_ids(s->live, ids);
    static const char label[] = "fleetlog query cursor";
    unsigned n = 0;
    if (!HMAC(EVP_sha256(), ids->key, sizeof ids->key, (const unsigned char *)label,
              sizeof label - 1, s->cursor_key, &n))
        return err_nomem(err);
    return 0;
}

void server_storage_failed(struct server *s)
{
    struct store_status st;
    store_get_status(s->store, &st);
    if (!st.writer_failed || atomic_exchange(&s->storage_failed, true))
        return;
    log_error("server", "the log cannot be written any more: %s", st.failure);
    if (s->cfg.exit_on_storage_failure)
        kill(getpid(), SIGTERM); /* server_run waits for it */
}

/* ---- network ---- */

static int make_urls(struct server *s, struct err *err)
{
    s->urls = mem_zarray(s->cfg.nlisten, sizeof *s->urls);
    if (!s->urls)
        return err_nomem(err);
    s->nurls = s->cfg.nlisten;
    return 0;
}

static void set_url(struct server *s, uint32_t i, const char *address)
{
    snprintf(s->urls[i], sizeof *s->urls, "http%s://%s%s", s->cfg.tls_cert ? "s" : "",
             address[0] == ':' ? "localhost" : "", address);
}

static int start_network(struct server *s, struct err *err)
{
    struct net_config n = { .listen = s->cfg.listen,
                            .nlisten = s->cfg.nlisten,
                            .workers = s->cfg.workers,
                            .tls_cert = s->cfg.tls_cert,
                            .tls_key = s->cfg.tls_key,
                            .limits = s->cfg.limits,
                            .check = auth_check,
                            .handle = server_handle,
                            .fail = reply_net_error,
                            .turn_end = ingest_turn_end,
                            .ctx = s };
    int rc = net_start(&s->net, &n, err);
    for (uint32_t i = 0; rc == 0 && i < s->nurls; i++)
        set_url(s, i, net_address(s->net, i));
    return rc < 0 ? rc : store_set_url(s->store, s->urls[0], err);
}

static void announce(struct server *s)
{
    if (!s->loopback_only && !s->cfg.tls_cert)
        log_warn("server", "keys and logs cross the network unencrypted (--insecure-http)");
    if (auth_is_open(s))
        log_info("server", "open on loopback: no keys are configured");
    if (s->cfg.ready) {
        s->cfg.ready(s->cfg.ready_ctx, s->urls[0]);
        return;
    }
    for (uint32_t i = 0; i < s->nurls; i++)
        printf("fleetlog listening on %s\n", s->urls[i]);
    fflush(stdout);
}

/* ---- start and stop ---- */

static int make_openapi(struct server *s, struct err *err)
{
    struct buf b;
    buf_init(&b, (size_t)4 << 20);
    server_openapi(&b);
    if (buf_ok(&b))
        s->openapi = buf_take(&b, &s->openapi_n);
    buf_deinit(&b);
    return s->openapi ? 0 : err_nomem(err);
}

static int start_parts(struct server *s, struct err *err)
{
    refusals_init(&s->refusals);
    int rc = check_config(s, err);
    if (rc == 0)
        rc = make_urls(s, err);
    for (uint32_t i = 0; rc == 0 && i < s->nurls; i++)
        set_url(s, i, s->cfg.listen[i]);
    if (rc == 0)
        rc = io_real_new(&s->io, s->cfg.data_dir, true, err);
    if (rc == 0)
        rc = price_file_open(&s->prices, s->cfg.prices, s->cfg.data_dir, err);
    if (rc == 0)
        rc = live_new(&s->live, err);
    if (rc == 0)
        rc = open_store(s, err);
    if (rc == 0)
        rc = open_keys(s, err);
    if (rc == 0)
        rc = auth_new(s, err);
    if (rc == 0)
        rc = tails_new(s, err);
    if (rc == 0)
        rc = issues_new(s, err);
    if (rc == 0)
        rc = page_new(s, err);
    if (rc == 0)
        rc = make_openapi(s, err);
    if (rc == 0)
        rc = builtin_new(&s->builtin, server_now(s), err);
    if (rc == 0)
        rc = pool_new(&s->queries, "query", s->cfg.query_threads, s->cfg.query_queue, NICE_QUERIES,
                      err);
    if (rc == 0)
        rc = turns_new(&s->turns, cores(), NICE_QUERIES, err);
    if (rc == 0)
        rc = spill_area_open(&s->spill, s->io, s->cfg.store.reserve_bytes, s->cfg.query_disk_bytes,
                             err);
    if (rc == 0)
        rc = pool_new(&s->decoders, "decode", DECODERS, DECODER_QUEUE, 0, err);
    if (rc == 0)
        rc = alerts_new(s, err);
    if (rc == 0)
        rc = alerts_start(s, err);
    if (rc == 0)
        s->started_at = server_now(s);
    if (rc == 0)
        rc = start_network(s, err);
    return rc == 0 ? alerts_run(s, err) : rc;
}

int server_start(struct server **ret, const struct server_config *cfg, struct err *err)
{
    struct server *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->cfg = *cfg;
    log_set_level(cfg->log_level);
    signal(SIGPIPE, SIG_IGN);
    routes_init();
    int rc = start_parts(s, err);
    if (rc < 0) {
        server_stop(s);
        return rc;
    }
    announce(s);
    *ret = s;
    return 0;
}

const char *server_url(const struct server *s, uint32_t i)
{
    return i < s->nurls ? s->urls[i] : NULL;
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    atomic_store_explicit(&s->stopping, true, memory_order_relaxed);
    if (s->tails)
        tails_end(s, 0);
    if (s->net)
        net_stop(s->net);
    pool_free(s->decoders);
    pool_free(s->queries);
    alerts_stop(s);
    turns_free(s->turns);
    spill_area_close(s->spill);
    issues_free(s);
    if (s->store)
        store_close(s->store);
    live_free(s->live);
    alerts_free(s);
    meta_close(s->meta);
    tails_free(s);
    auth_free(s);
    refusals_deinit(&s->refusals);
    page_free(s);
    builtin_free(s->builtin);
    price_file_close(s->prices);
    io_free(s->io);
    mem_free(s->openapi);
    mem_free(s->urls);
    OPENSSL_cleanse(s->cursor_key, sizeof s->cursor_key);
    mem_free(s);
}

/* ---- run ---- */

static void reload(struct server *s)
{
    struct err err = ERR_INIT;
    if (s->cfg.alerts_file) {
        if (alerts_reload(s, &err) < 0)
            log_error("server", "SIGHUP: the alert rules stay as they were: %s%s%s", err.msg,
                      err.hint[0] ? "; " : "", err.hint);
        else
            log_info("server", "SIGHUP: alert rules loaded from %s", s->cfg.alerts_file);
        err_reset(&err);
    }
    if (!s->cfg.tls_cert && !s->cfg.alerts_file)
        log_info("server", "SIGHUP: nothing to load again, keys are always current");
    else if (!s->cfg.tls_cert)
        return;
    else if (net_tls_reload(s->net, &err) < 0)
        log_error("server", "SIGHUP: the certificate in use stays: %s", err.msg);
    else
        log_info("server", "SIGHUP: certificate and key loaded");
}

static void wait_for_end(struct server *s, const sigset_t *set)
{
    int sig;
    while (sigwait(set, &sig) == 0) {
        if (sig != SIGHUP)
            break;
        reload(s);
    }
}

int server_run(const struct server_config *cfg, struct err *err)
{
    struct server *s;
    sigset_t set, old;
    struct rlimit no_core = { 0, 0 };
    umask(077);
    setrlimit(RLIMIT_CORE, &no_core); /* keys would be in it */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    int rc = server_start(&s, cfg, err);
    if (rc == 0) {
        wait_for_end(s, &set);
        log_info("server", "stopping");
        /* a second signal ends the process at once; what was acknowledged is on disk */
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        bool failed = atomic_load(&s->storage_failed) && cfg->exit_on_storage_failure;
        server_stop(s);
        if (failed)
            rc = err_set(err, ERR_IO, "the log could not be written any more");
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}
