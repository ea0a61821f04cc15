/* server.h: the whole server as one object: store, live tail, keys, query pool and HTTP.
 *
 * `fleetlog serve` is server_run; `fleetlog demo` and tests that want a server inside their own
 * process use start/stop. One server per data directory (the store's lock holds that).
 * The other door is server_routes_markdown: docs/http-api.md comes from the route table. */
#ifndef FL_SERVER_SERVER_H
#define FL_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "net/net.h"
#include "store/store.h"

#define SERVER_LISTEN_DEFAULT "127.0.0.1:8140"

struct server;
struct net_range; /* net/outbound.h */

/* Every text is borrowed until server_run returns or server_stop. */
struct server_config {
    const char *data_dir;      /* created (0700) when missing; required */
    const char *const *listen; /* --listen HOST:PORT, repeats; none = SERVER_LISTEN_DEFAULT */
    uint32_t nlisten;
    uint32_t workers;          /* --workers, 0 = number of cores */
    uint32_t query_threads;    /* --query-threads, 0 = number of cores, at least 2 */
    uint32_t query_queue;      /* queries waiting for a thread, past it 503; 0 = 256 */
    int64_t query_timeout_ms;  /* longest a query may run; 0 = 60 s */
    size_t query_memory_bytes; /* of one query; 0 = QUERY_MEMORY_DEFAULT */
    uint64_t query_disk_bytes; /* of one query, past its memory; 0 = SPILL_MAX_DEFAULT */
    const char *prices;        /* --prices FILE; NULL: prices.conf in data_dir, if it is there */
    const char *tls_cert, *tls_key; /* --tls-cert, --tls-key: PEM files, both or none */
    bool insecure_http; /* --insecure-http: an address other than loopback without TLS is
                           refused at start unless this is set (then it warns) */
    const char *const *allow_hosts; /* --allow-host NAME, repeats: further names this server answers
                                      to; "*" = any. Without keys only loopback names are known. */
    uint32_t nallow_hosts;
    const char *static_keys[4]; /* values of FLEETLOG_API_KEY, MALS_API_KEY; NULL or "" = none.
                                   They may do everything. */
    bool
        exit_on_storage_failure; /* --exit-on-storage-failure: stop (74) when the log cannot sync */
    const char *alerts_file;     /* --alerts: rules, YAML; read again on SIGHUP; may be NULL */
    bool alert_commands;         /* --alert-commands: rules may run programs */
    const char *alert_ca_file;   /* --alert-ca-file: trusted by webhooks; NULL = the system's */
    const struct net_range *alert_nets; /* --alert-allow-net: webhooks may go there although it is
                                           private */
    uint32_t nalert_nets;
    enum log_level log_level;  /* --log-level */
    struct net_limits limits;  /* server_config_default fills in net_limits_default */
    struct store_config store; /* retention_ns (--retention), max_disk_bytes (--max-disk),
                                  recovery_strict ..., no_fsync, ack_early, memtable_bytes;
                                  on_durable, on_event, create, url and read_only are the
                                  server's own and overwritten */
    /* Called once when connections are accepted; url is the first address, "http://127.0.0.1:8140".
     * NULL: "fleetlog listening on URL" is printed on stdout, one line an address, and flushed. */
    void (*ready)(void *ctx, const char *url);
    void *ready_ctx;
};
void server_config_default(struct server_config *cfg);

/* Opens the data directory, starts all threads, accepts. Errors: those of store_open, meta_open and
 * net_start; ERR_INVALID for a configuration that contradicts itself. */
int server_start(struct server **ret, const struct server_config *cfg, struct err *err);
/* URL of listen address i: "http://127.0.0.1:8140" or "https://..."; NULL past the last */
const char *server_url(const struct server *s, uint32_t i);
/* Refuses new work, finishes requests in progress (limits.drain_ms), closes the store, frees. */
void server_stop(struct server *s);

/* server_start, then waits: SIGTERM or SIGINT stops gracefully (a second one exits at once),
 * SIGHUP loads certificate and keys again. 0 after a clean stop. Call it from the main thread,
 * before any other thread exists. */
int server_run(const struct server_config *cfg, struct err *err);

/* docs/http-api.md, from the route table */
void server_routes_markdown(struct buf *out);
/* the same table as OpenAPI 3.1, what GET /openapi.json answers */
void server_openapi(struct buf *out);

#endif
