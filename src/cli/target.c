/* target.c: the rules by which a command finds its data. */
#include "cli/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_URL "http://127.0.0.1:8140"

volatile int target_stop;

static void on_signal(int sig)
{
    if (target_stop) { /* the second time: at once */
        signal(sig, SIG_DFL);
        raise(sig);
    }
    target_stop = 1;
}

void target_catch_signals(void)
{
    struct sigaction sa = { .sa_handler = on_signal };
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* a file that holds a key and nothing else */
static bool read_key(const char *path, char out[520])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, 514);
    close(fd);
    str key = n > 0 ? str_trim((str){ out, (size_t)n }) : STR_NULL;
    if (key.n == 0 || key.n > 512)
        errno = n < 0 ? errno : EINVAL;
    else
        memmove(out, key.p, key.n);
    out[key.n <= 512 ? key.n : 0] = 0;
    return out[0] != 0;
}

int target_key(struct cli *c, char out[520])
{
    const char *path = opt_text(c, "key-file"), *key = env("FLEETLOG_API_KEY");
    out[0] = 0;
    if (!path) {
        if (key && strlen(key) > 512)
            return cli_fail(c, EXIT_CONFIG, NULL, "FLEETLOG_API_KEY is longer than 512 bytes");
        snprintf(out, 520, "%s", key ? key : "");
        return 0;
    }
    if (!read_key(path, out))
        return cli_fail(c, EXIT_CONFIG, "the file holds the key and nothing else",
                        "cannot read an API key from %s: %s", path,
                        errno == EINVAL ? "it does not hold one" : strerror(errno));
    return 0;
}

const char *target_url_named(const struct cli *c)
{
    const char *url = opt_text(c, "url");
    if (url)
        return url;
    return opt_text(c, "data-dir") ? NULL : env("FLEETLOG_URL");
}

const char *target_dir_named(const struct cli *c)
{
    const char *dir = opt_text(c, "data-dir");
    return dir ? dir : env("FLEETLOG_DATA_DIR");
}

int target_dir(struct cli *c, char out[4096])
{
    const char *named = target_dir_named(c), *data = env("XDG_DATA_HOME"), *home = env("HOME");
    int n;
    if (named)
        n = snprintf(out, 4096, "%s", named);
    else if (geteuid() == 0)
        n = snprintf(out, 4096, "/var/lib/fleetlog");
    else if (data && data[0] == '/')
        n = snprintf(out, 4096, "%s/fleetlog", data);
    else if (home)
        n = snprintf(out, 4096, "%s/.local/share/fleetlog", home);
    else
        return cli_fail(c, EXIT_CONFIG, "name a directory with --data-dir DIR",
                        "neither HOME nor XDG_DATA_HOME is set");
    if (n >= 4096)
        return cli_fail(c, EXIT_USAGE, NULL, "the data directory's path is too long");
    return 0;
}

static int use_url(struct cli *c, struct target *t, const char *url)
{
    struct err err = ERR_INIT;
    int rc = target_key(c, t->key);
    if (rc)
        return rc;
    if (!t->key[0] && t->dir[0]) { /* who may read the directory may use its admin key */
        char path[4200];
        snprintf(path, sizeof(path), "%s/admin.key", t->dir);
        if (!read_key(path, t->key))
            t->key[0] = 0;
    }
    struct client_conf conf = { .url = url,
                                .key = t->key[0] ? t->key : NULL,
                                .ca_file = opt_text(c, "ca-file"),
                                .stop = &target_stop };
    if (client_new(&t->client, &conf, &err) < 0)
        return cli_fail_err(c, &err);
    return 0;
}

/* Does a fleetlog answer there? */
static bool answers(struct target *t)
{
    struct err err = ERR_INIT;
    struct buf body;
    buf_init(&body, 64u << 10);
    struct call call = {
        .method = "GET", .path = "/health", .connect_ms = 500, .timeout_ms = 2000, .out = &body
    };
    int rc = client_call(t->client, &call, &err);
    buf_deinit(&body);
    return call.is_fleetlog &&
           (rc == 0 || call.status == 401 || call.status == 403 || call.status == 503);
}

static int no_store(struct cli *c, const struct target *t, bool named)
{
    if (named)
        return cli_fail(c, EXIT_UNREACHABLE, "start a server there: fleetlog serve --data-dir DIR",
                        "there is no fleetlog data in %s", t->dir);
    return cli_fail(c, EXIT_UNREACHABLE,
                    "start a server with 'fleetlog serve', or name one with --url",
                    "no server answers on %s and there is no data in %s", DEFAULT_URL, t->dir);
}

/* The server that holds the directory, if any; false when none does. */
static bool owner_of(struct io *io, struct buf *url)
{
    return store_lock_owner(io, url) && url->n > 0;
}

static int open_store(struct cli *c, struct target *t, enum need need)
{
    struct store_config cfg;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.read_only = need == NEED_READ;
    cfg.create = false;
    if (store_open(&t->store, t->io, &cfg, &err) == 0)
        return 0;
    if (err.code == ERR_NOTFOUND)
        return no_store(c, t, true);
    if (!err.hint[0] && err.code == ERR_BUSY)
        err_hint(&err, "ask the server that holds it with --url");
    return cli_fail_err(c, &err);
}

static int use_dir(struct cli *c, struct target *t, enum need need, bool named)
{
    struct err err = ERR_INIT;
    struct buf url;
    int rc = target_dir(c, t->dir);
    if (rc)
        return rc;
    if (need == NEED_PLACE)
        return 0;
    if (access(t->dir, F_OK) != 0 && errno == ENOENT)
        return no_store(c, t, named);
    if (io_real_new(&t->io, t->dir, false, &err) < 0)
        return err.code == ERR_NOTFOUND ? no_store(c, t, named) : cli_fail_err(c, &err);
    buf_init(&url, 1024);
    if (owner_of(t->io, &url)) {
        rc = use_url(c, t, url.p);
    } else if (need == NEED_SERVER) {
        rc = cli_fail(c, EXIT_UNREACHABLE, "start one: fleetlog serve --data-dir DIR",
                      "'%s' needs a running server and none holds %s", c->cmd->name, t->dir);
    } else {
        rc = open_store(c, t, need);
    }
    buf_deinit(&url);
    return rc;
}

int target_open(struct cli *c, struct target *t, enum need need)
{
    memset(t, 0, sizeof(*t));
    if (opt_text(c, "url") && opt_text(c, "data-dir"))
        return cli_fail(c, EXIT_USAGE, NULL, "--url and --data-dir exclude each other");
    const char *url = target_url_named(c);
    int rc;
    if (url) {
        rc = use_url(c, t, url);
    } else if (target_dir_named(c)) {
        rc = use_dir(c, t, need, true);
    } else {
#if FL_HAVE_CURL
        rc = use_url(c, t, DEFAULT_URL);
        if (rc == 0 && answers(t))
            return 0;
        client_free(t->client);
        t->client = NULL;
        if (rc)
            return rc;
#else
        (void)answers;
#endif
        rc = use_dir(c, t, need, false);
    }
    if (rc)
        target_close(t);
    return rc;
}

void target_close(struct target *t)
{
    client_free(t->client);
    if (t->store)
        store_close(t->store);
    io_free(t->io);
    explicit_bzero(t->key, sizeof(t->key));
    t->client = NULL;
    t->store = NULL;
    t->io = NULL;
}
