/* cmd_serve.c: fleetlog serve: from options to a server's configuration. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/retention.h"
#include "cli/target.h"
#include "net/outbound.h"
#include "server/server.h"

#define LISTEN_MAX 16

static bool net_check(const char *value, const char **why)
{
    struct net_range r;
    *why = "is an address or a range like 10.0.0.0/8";
    return net_range_parse(str_c(value), &r);
}

static const struct opt opts[] = {
    { .name = "listen",
      .type = OPT_TEXT,
      .arg = "HOST:PORT",
      .def = SERVER_LISTEN_DEFAULT,
      .repeats = true,
      .help = "address to serve on; port 0 picks a free one" },
    { .name = "port",
      .type = OPT_INT,
      .arg = "N",
      .min = 0,
      .max = 65535,
      .help = "short for --listen 127.0.0.1:N" },
    { .name = "config",
      .letter = 'c',
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "read options from this file (default: fleetlog.conf in the data directory, if it is "
              "there)" },
    { .name = "retention",
      .type = OPT_DUR,
      .arg = "AGE",
      .unit = NS_PER_DAY,
      .help = "delete entries this long after receipt, as 30d; a bare number is days; 0 = never "
              "(the default: keep everything and guard the disk)" },
    { .name = "retention-class",
      .type = OPT_TEXT,
      .arg = "'NAME AGE FILTER'",
      .repeats = true,
      .check = retention_check,
      .help = "keep entries that match the filter for another age (0 = for ever), as 'audit 400d "
              "agent:auditor'; the first that matches counts; at most 15" },
    { .name = "delete-grace",
      .type = OPT_DUR,
      .arg = "TIME",
      .def = "24h",
      .unit = NS_PER_DAY,
      .help = "deleted entries are off the disk within this time" },
    { .name = "scrub-rate",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .def = "8MiB",
      .min = 1 << 10,
      .zero = true,
      .help = "bytes a second at which stored segments are read and checked again, every 6 days; "
              "0 = never" },
    { .name = "max-disk",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .min = 16 << 20, /* 50 for 50GiB would delete everything */
      .zero = true,
      .help = "delete the oldest entries past this size, as 50GiB; 0 = no bound (the default)" },
    { .name = "disk-reserve",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .help = "refuse entries (503) when less than this is free (default: 2 %, at least 256MiB)" },
    { .name = "workers",
      .type = OPT_INT,
      .arg = "N",
      .def = "0",
      .min = 0,
      .max = 256,
      .help = "network threads, 0 = one a core" },
    { .name = "query-threads",
      .type = OPT_INT,
      .arg = "N",
      .def = "0",
      .min = 0,
      .max = 256,
      .help = "search threads, 0 = one a core" },
    { .name = "query-timeout",
      .type = OPT_DUR,
      .arg = "TIME",
      .def = "60s",
      .unit = NS_PER_S,
      .help = "longest a search may run" },
    { .name = "query-memory",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .def = "64MiB",
      .min = 1 << 20,
      .help = "most memory one search may take; sorting and grouping go on on the disk" },
    { .name = "query-disk",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .def = "16GiB",
      .min = 1 << 20,
      .help = "most disk one search may take past its memory" },
    { .name = "prices",
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "what models cost, for calls that report no cost (default: prices.conf in the data "
              "directory, if it is there); changes are noticed" },
    { .name = "max-body",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .def = "16MiB",
      .min = 1 << 10,
      .help = "largest request body, as sent" },
    { .name = "max-connections",
      .type = OPT_INT,
      .arg = "N",
      .def = "10000",
      .min = 1,
      .max = 1000000,
      .help = "connections at a time" },
    { .name = "tls-cert",
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "serve https: certificate, PEM" },
    { .name = "tls-key", .type = OPT_FILE, .arg = "FILE", .help = "serve https: its key, PEM" },
    { .name = "insecure-http",
      .type = OPT_FLAG,
      .help = "allow plain http on an address that is not loopback" },
    { .name = "allow-host",
      .type = OPT_TEXT,
      .arg = "NAME",
      .repeats = true,
      .help = "a further name this server answers to; * = any" },
    { .name = "exit-on-storage-failure",
      .type = OPT_FLAG,
      .help = "end (exit 74) when the disk refuses to sync, for a supervisor to restart it" },
    { .name = "recovery",
      .type = OPT_CHOICE,
      .arg = "HOW",
      .def = "salvage",
      .choices = "salvage|strict",
      .help = "on corruption at start: keep what can be read and declare the gap, or refuse" },
    { .name = "memtable",
      .type = OPT_BYTES,
      .arg = "SIZE",
      .def = "20MiB",
      .min = 64 << 10,
      .help = "entries kept in memory before they become a file; past twice that senders "
              "wait, after 2 s they get 503" },
    { .name = "alerts",
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "alert rules, YAML; read again on SIGHUP" },
    { .name = "alert-allow-net",
      .type = OPT_TEXT,
      .arg = "CIDR",
      .repeats = true,
      .check = net_check,
      .help = "webhooks may go to this range although it is not public, as 10.0.0.0/8 or "
              "127.0.0.1" },
    { .name = "alert-ca-file",
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "certificates, PEM, that webhooks trust instead of the system's" },
    { .name = "alert-commands",
      .type = OPT_FLAG,
      .help = "alert rules may run programs, as the user the server runs as" },
    { .name = "log-level",
      .type = OPT_CHOICE,
      .arg = "LEVEL",
      .def = "info",
      .choices = "debug|info|warn|error",
      .help = "what the server says on stderr" },
    { .name = "no-indexes",
      .type = OPT_FLAG,
      .help = "segments are written without indexes: smaller, and searched by reading; for "
              "measurements" },
    { .name = "no-fsync",
      .type = OPT_FLAG,
      .help = "never sync: acknowledged entries can be lost; for measurements only" },
    { .name = "ack-early",
      .type = OPT_FLAG,
      .help = "answer before the sync: a planted fault that crash tests must find" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog serve", "on http://127.0.0.1:8140, data in the default directory" },
    { "fleetlog serve --data-dir ./data --retention 30d --max-disk 50GiB", "bounded" },
    { "fleetlog serve --listen 0.0.0.0:8140 --tls-cert cert.pem --tls-key key.pem",
      "for other machines: https, and everyone needs a key" },
    { "curl -d '{\"agent\":\"me\",\"message\":\"hello\"}' http://127.0.0.1:8140/api/v1/ingest",
      "a first entry" },
    { NULL, NULL },
};

struct lists {
    const char *listen[LISTEN_MAX];
    const char *hosts[LISTEN_MAX];
    char port[32];
    struct net_range nets[OUTBOUND_RANGES_MAX];
};

static int addresses(struct cli *c, struct server_config *cfg, struct lists *l)
{
    const char *v;
    if (opt_given(c, "port") && opt_given(c, "listen"))
        return cli_fail(c, EXIT_USAGE, NULL, "--port and --listen exclude each other");
    if (opt_given(c, "port")) {
        snprintf(l->port, sizeof(l->port), "127.0.0.1:%lld", (long long)opt_num(c, "port"));
        l->listen[cfg->nlisten++] = l->port;
    }
    for (int i = 0; (v = opt_nth(c, "listen", i)); i++) {
        if (cfg->nlisten == LISTEN_MAX)
            return cli_fail(c, EXIT_USAGE, NULL, "at most %d addresses", LISTEN_MAX);
        l->listen[cfg->nlisten++] = v;
    }
    for (int i = 0; (v = opt_nth(c, "allow-host", i)); i++) {
        if (cfg->nallow_hosts == LISTEN_MAX)
            return cli_fail(c, EXIT_USAGE, NULL, "at most %d names", LISTEN_MAX);
        l->hosts[cfg->nallow_hosts++] = v;
    }
    cfg->listen = l->listen;
    cfg->allow_hosts = l->hosts;
    return 0;
}

static int alert_options(struct cli *c, struct server_config *cfg, struct lists *l)
{
    const char *v;
    for (int i = 0; (v = opt_nth(c, "alert-allow-net", i)); i++) {
        if (cfg->nalert_nets == OUTBOUND_RANGES_MAX)
            return cli_fail(c, EXIT_USAGE, NULL, "at most %d ranges", OUTBOUND_RANGES_MAX);
        net_range_parse(str_c(v), &l->nets[cfg->nalert_nets++]); /* was checked */
    }
    cfg->alert_nets = l->nets;
    cfg->alerts_file = opt_text(c, "alerts");
    cfg->alert_ca_file = opt_text(c, "alert-ca-file");
    cfg->alert_commands = opt_on(c, "alert-commands");
    return 0;
}

static enum log_level level_of(const char *name)
{
    return strcmp(name, "debug") == 0   ? LOG_DEBUG
           : strcmp(name, "warn") == 0  ? LOG_WARN
           : strcmp(name, "error") == 0 ? LOG_ERROR
                                        : LOG_INFO;
}

static void figures(struct cli *c, struct server_config *cfg)
{
    cfg->workers = (uint32_t)opt_num(c, "workers");
    cfg->query_threads = (uint32_t)opt_num(c, "query-threads");
    cfg->query_timeout_ms = opt_num(c, "query-timeout") / NS_PER_MS;
    cfg->query_memory_bytes = (size_t)opt_num(c, "query-memory");
    cfg->prices = opt_text(c, "prices");
    cfg->query_disk_bytes = (uint64_t)opt_num(c, "query-disk");
    cfg->limits.body_bytes = (size_t)opt_num(c, "max-body");
    if (cfg->limits.inflated_bytes < cfg->limits.body_bytes)
        cfg->limits.inflated_bytes = cfg->limits.body_bytes;
    if (cfg->limits.inflight_bytes < cfg->limits.inflated_bytes)
        cfg->limits.inflight_bytes = cfg->limits.inflated_bytes;
    cfg->limits.connections = (uint32_t)opt_num(c, "max-connections");
    cfg->log_level = level_of(opt_text(c, "log-level"));
    cfg->insecure_http = opt_on(c, "insecure-http");
    cfg->exit_on_storage_failure = opt_on(c, "exit-on-storage-failure");
    cfg->tls_cert = opt_text(c, "tls-cert");
    cfg->tls_key = opt_text(c, "tls-key");
    cfg->static_keys[0] = getenv("FLEETLOG_API_KEY");
    cfg->static_keys[1] = getenv("MALS_API_KEY");
    cfg->store.retention_ns = opt_num(c, "retention");
    cfg->store.max_disk_bytes = (uint64_t)opt_num(c, "max-disk");
    if (opt_given(c, "disk-reserve"))
        cfg->store.reserve_bytes = (uint64_t)opt_num(c, "disk-reserve");
    cfg->store.memtable_bytes = (size_t)opt_num(c, "memtable");
    cfg->store.recovery_strict = strcmp(opt_text(c, "recovery"), "strict") == 0;
    cfg->store.delete_grace_ns = opt_num(c, "delete-grace");
    cfg->store.scrub_bytes_s = (uint64_t)opt_num(c, "scrub-rate");
    cfg->store.no_indexes = opt_on(c, "no-indexes");
    cfg->store.no_fsync = opt_on(c, "no-fsync");
    cfg->store.ack_early = opt_on(c, "ack-early");
}

/* --config, or fleetlog.conf in the data directory */
static int configure(struct cli *c, char dir[4096])
{
    char path[4200], again[4096];
    const char *file = opt_text(c, "config");
    int rc = file ? config_load(c, file) : 0;
    if (rc == 0)
        rc = target_dir(c, dir);
    if (rc || file)
        return rc;
    snprintf(path, sizeof(path), "%s/fleetlog.conf", dir);
    if (access(path, F_OK) != 0)
        return 0;
    rc = config_load(c, path);
    if (rc == 0)
        rc = target_dir(c, again);
    if (rc == 0 && strcmp(dir, again) != 0)
        rc = cli_fail(c, EXIT_CONFIG, "to keep data elsewhere use --data-dir or --config FILE",
                      "%s names another data directory, %s", path, again);
    return rc;
}

static int run(struct cli *c)
{
    static struct server_config cfg;
    static struct lists lists;
    static char dir[4096];
    struct err err = ERR_INIT;
    if (opt_text(c, "url"))
        return cli_fail(c, EXIT_USAGE, "--listen HOST:PORT says where to serve",
                        "serve takes no --url");
    server_config_default(&cfg);
    int rc = configure(c, dir);
    if (rc == 0)
        rc = addresses(c, &cfg, &lists);
    if (rc == 0)
        rc = alert_options(c, &cfg, &lists);
    if (rc)
        return rc;
    if (!opt_text(c, "tls-cert") != !opt_text(c, "tls-key"))
        return cli_fail(c, EXIT_USAGE, NULL, "--tls-cert and --tls-key go together");
    rc = retention_rules(c, &cfg.store);
    if (rc)
        return rc;
    figures(c, &cfg);
    cfg.data_dir = dir;
    out_flush(&c->out);
    if (server_run(&cfg, &err) < 0) {
        if (err.code == ERR_NOTFOUND) /* a place for the data, not something to be found */
            return cli_fail(c, EXIT_IO, err.hint, "%s", err.msg);
        return cli_fail_err(c, &err);
    }
    return EXIT_DONE;
}

const struct command cmd_serve = {
    .name = "serve",
    .summary = "run the server",
    .synopsis = "[OPTIONS]",
    .about =
        "Takes entries over HTTP, keeps them in the data directory, answers searches and live "
        "tails, and is a dashboard to browsers. On loopback it is open to everyone on this "
        "machine; bound to anything else it asks for a key and writes a first one to admin.key in "
        "the data directory. SIGTERM and Ctrl-C finish what is in progress; SIGHUP reads the "
        "certificate again.",
    .opts = opts,
    .examples = examples,
    .run = run,
};
