/* cmd_demo.c: fleetlog demo: a server with a fleet at work, to look at in the first minute. */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/demo.h"
#include "cli/doc.h"
#include "cli/target.h"
#include "server/server.h"

#define BEATS_A_MISSION 42 /* about; for --rate */
#define BATCH_MAX 500

static const struct opt opts[] = {
    { .name = "port",
      .type = OPT_INT,
      .arg = "N",
      .min = 0,
      .max = 65535,
      .help = "serve on 127.0.0.1:N (default: 8140, or a free port when that is taken)" },
    { .name = "seed",
      .type = OPT_INT,
      .arg = "N",
      .min = 0,
      .max = INT64_MAX,
      .help = "the same play every time (default: a new one)" },
    { .name = "speed",
      .type = OPT_INT,
      .arg = "N",
      .def = "1",
      .min = 1,
      .max = 1000,
      .help = "so many times faster than life" },
    { .name = "rate",
      .type = OPT_INT,
      .arg = "N",
      .def = "8",
      .min = 1,
      .max = 1000,
      .help = "entries a second, about, before --speed" },
    { .name = "duration",
      .type = OPT_DUR,
      .arg = "TIME",
      .unit = NS_PER_S,
      .help = "end after this long (default: at Ctrl-C)" },
    { .name = "replay",
      .letter = 'r',
      .type = OPT_FLAG,
      .help = "tell the recorded runs in FILE... instead of inventing some" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog demo", "then open the URL it prints" },
    { "fleetlog demo --seed 7 --speed 10 --duration 30s --data-dir ./demo",
      "the same again, faster, "
      "and kept" },
    { "fleetlog demo --replay tau-bench.json.gz run.traj session.jsonl", "real agents' runs" },
    { "fleetlog demo --url http://127.0.0.1:8140", "into a server that runs already" },
    { NULL, NULL },
};

struct demo {
    struct cli *c;
    struct play play;
    struct server *server;
    struct target target;
    char temp[4096]; /* directory to remove at the end */
    char key[520];
    const char *url;
    int64_t began; /* monotonic ns */
    ts_ns began_wall;
    int64_t speed;
    int64_t written_ms; /* the invented play is written up to here */
    int64_t step_ms;    /* between missions */
    bool replay;
    uint64_t sent, resolved;
    char label[64];
    int64_t drawn;
    struct buf body;
};

/* ---- a server of our own ---- */

static bool port_free(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool ok = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return ok;
}

static void on_ready(void *ctx, const char *url)
{
    (void)ctx, (void)url; /* the demo tells it in its own words */
}

static int start_server(struct demo *d)
{
    static struct server_config cfg;
    static char dir[4096], listen[32];
    static const char *list[1] = { listen };
    struct cli *c = d->c;
    struct err err = ERR_INIT;
    int port = opt_given(c, "port") ? (int)opt_num(c, "port") : port_free(8140) ? 8140 : 0;
    int rc = 0;
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
    if (target_dir_named(c)) {
        rc = target_dir(c, dir);
    } else {
        const char *tmp = getenv("TMPDIR");
        snprintf(dir, sizeof(dir), "%s/fleetlog-demo-XXXXXX",
                 tmp && strlen(tmp) < 30 ? tmp : "/tmp");
        if (!mkdtemp(dir))
            return cli_fail(c, EXIT_IO, NULL, "cannot make %s: %s", dir, strerror(errno));
        snprintf(d->temp, sizeof(d->temp), "%s", dir);
    }
    if (rc)
        return rc;
    server_config_default(&cfg);
    cfg.data_dir = dir;
    cfg.listen = list;
    cfg.nlisten = 1;
    cfg.log_level = LOG_WARN;
    cfg.ready = on_ready;
    cfg.limits.drain_ms = 2000;
    if (server_start(&d->server, &cfg, &err) < 0)
        return cli_fail_err(c, &err);
    d->url = server_url(d->server, 0);
    rc = target_key(c, d->key);
    if (rc)
        return rc;
    struct client_conf conf = { .url = d->url,
                                .key = d->key[0] ? d->key : NULL,
                                .stop = &target_stop };
    return client_new(&d->target.client, &conf, &err) < 0 ? cli_fail_err(c, &err) : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

/* ---- playing ---- */

static int64_t play_now(const struct demo *d)
{
    return (clock_mono() - d->began) / NS_PER_MS * d->speed;
}

/* missions are written a little ahead of their time */
static void write_ahead(struct demo *d)
{
    while (!d->replay && d->written_ms < play_now(d) + 2000) {
        cast_mission(&d->play, d->written_ms);
        d->written_ms += play_between(&d->play, d->step_ms / 2, d->step_ms * 3 / 2);
    }
}

static bool on_open_error(void *ctx, str line)
{
    struct buf *id = ctx;
    struct arena a;
    struct jv *v;
    struct err err = ERR_INIT;
    arena_init(&a, 16u << 20);
    if (doc_parse(&v, &a, line, &err) == 0)
        buf_putstr(id, jv_get_str(v, "id"));
    arena_deinit(&a);
    return false;
}

static void resolve_one(struct demo *d)
{
    struct buf id, body, answer;
    struct data_result res;
    struct err err = ERR_INIT;
    buf_init(&id, 256);
    buf_init(&body, 1024);
    buf_init(&answer, 64u << 10);
    struct data_query q = { .text = "level:error -resolved:true",
                            .start = TS_MIN,
                            .end = TS_MAX,
                            .limit = 1,
                            .on_row = on_open_error,
                            .ctx = &id };
    if (data_query(d->c, &d->target, &q, &res) == 0 && id.n) {
        buf_printf(&body,
                   "{\"ids\":[\"%.*s\"],\"by\":\"reviewer\",\"note\":\"fixed in the change "
                   "under review\"}",
                   STR_FMT(buf_str(&id)));
        struct call call = { .method = "POST",
                             .path = "/api/v1/resolve",
                             .body = buf_str(&body),
                             .type = "application/json",
                             .out = &answer };
        d->resolved += client_call(d->target.client, &call, &err) == 0;
    }
    buf_deinit(&answer);
    buf_deinit(&body);
    buf_deinit(&id);
}

static int send_batch(struct demo *d)
{
    struct err err = ERR_INIT;
    if (!d->body.n)
        return 0;
    struct call call = { .method = "POST",
                         .path = "/api/v1/ingest",
                         .body = buf_str(&d->body),
                         .type = "application/x-ndjson",
                         .to_the_end = true,
                         .timeout_ms = 60000 };
    for (int attempt = 0;; attempt++) {
        if (client_call(d->target.client, &call, &err) == 0)
            break;
        if ((call.status != 429 && call.status != 503) || attempt == 20 || target_stop)
            return cli_fail_err(d->c, &err);
        struct timespec ts = { 0, 250000000 };
        nanosleep(&ts, NULL);
    }
    buf_reset(&d->body);
    return 0;
}

/* everything whose moment has come, in one request */
static int send_due(struct demo *d)
{
    int64_t now = play_now(d);
    uint32_t n = 0;
    bool resolve = false;
    const struct beat *first;
    while ((first = play_first(&d->play)) && first->at_ms <= now && n < BATCH_MAX) {
        struct beat b = play_take(&d->play);
        snprintf(d->label, sizeof(d->label), "%s", b.label);
        if (b.text) {
            char at[TS_TEXT_MAX];
            ts_format(d->began_wall + b.stamp_ms * NS_PER_MS / d->speed, 3, at);
            buf_printf(&d->body, "%s,\"timestamp\":\"%s\"}\n", b.text, at);
            n++;
        }
        resolve = resolve || !b.text;
        mem_free(b.text);
    }
    int rc = send_batch(d);
    d->sent += rc == 0 ? n : 0;
    if (rc == 0 && resolve)
        resolve_one(d);
    return rc;
}

static void draw(struct demo *d, bool last)
{
    struct term *t = &d->c->err;
    char n[32], line[256], passed[32];
    int64_t now = clock_mono();
    bool live = t->tty && !last;
    if (!last && now - d->drawn < (t->tty ? 100 : 5000) * NS_PER_MS)
        return;
    d->drawn = now;
    fmt_duration_s((double)(now - d->began) / 1e9, passed);
    snprintf(line, sizeof(line), "%s %s, %llu %s resolved, %s  %s", fmt_count(d->sent, n),
             plural(d->sent, "entry", "entries"), (unsigned long long)d->resolved,
             plural(d->resolved, "error", "errors"), passed, live ? d->label : "");
    struct out o;
    out_init(&o, t->fd, COLOR_NEVER);
    o.term.color = t->color;
    if (t->tty)
        out_puts(&o, "\r\x1b[2K");
    out_style(&o, STYLE_GREEN);
    out_puts(&o, live ? (term_utf8() ? "▶ " : "> ") : "  ");
    out_style(&o, STYLE_NONE);
    out_safe(&o, safe_cut(str_c(line), t->cols - 3));
    if (!live)
        out_puts(&o, "\n");
    out_flush(&o);
    out_deinit(&o);
}

static void welcome(struct demo *d)
{
    struct out *o = &d->c->out;
    out_styled(o, STYLE_BOLD,
               d->replay ? "Recorded agents, told again" : "A fleet of agents at work");
    out_puts(o, "\n\n  open    ");
    out_style(o, STYLE_CYAN);
    out_safe(o, str_c(d->url));
    out_puts(o, "/");
    out_style(o, STYLE_NONE);
    out_puts(o, "\n  watch   fleetlog tail --url ");
    out_safe(o, str_c(d->url));
    out_puts(o, "\n  search  fleetlog search 'level:error' --url ");
    out_safe(o, str_c(d->url));
    out_puts(o, "\n\nCtrl-C ends it.");
    if (d->temp[0])
        out_puts(o, " The data goes with it; --data-dir DIR keeps it.");
    out_puts(o, "\n\n");
    out_flush(o);
}

static int perform(struct demo *d)
{
    int64_t until = opt_num(d->c, "duration");
    bool told = false;
    int rc = 0;
    while (rc == 0 && !target_stop && !d->play.nomem) {
        if (until && clock_mono() - d->began >= until)
            break;
        write_ahead(d);
        rc = send_due(d);
        draw(d, false);
        if (rc == 0 && d->replay && !d->play.n) {
            if (!d->server)
                break;
            if (!told)
                snprintf(d->label, sizeof(d->label), "all told; the server stays until Ctrl-C");
            told = true;
        }
        struct timespec ts = { 0, 50000000 };
        nanosleep(&ts, NULL);
    }
    if (d->play.nomem)
        rc = cli_fail(d->c, EXIT_OS, NULL, "out of memory");
    draw(d, true);
    return rc;
}

static int prepare(struct demo *d)
{
    struct cli *c = d->c;
    struct err err = ERR_INIT;
    uint64_t seed = 0;
    uint32_t runs = 0;
    int64_t end;
    if (opt_given(c, "seed"))
        seed = (uint64_t)opt_num(c, "seed");
    else if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return cli_fail(c, EXIT_OS, NULL, "cannot get random bytes: %s", strerror(errno));
    play_init(&d->play, seed);
    d->speed = d->play.speed = opt_num(c, "speed");
    d->step_ms = BEATS_A_MISSION * 1000 / opt_num(c, "rate");
    d->replay = opt_on(c, "replay");
    for (int i = 0; i < 3 && !d->replay; i++) /* something to see at once */
        cast_mission(&d->play, i * 1300);
    d->written_ms = 3 * 1300;
    if (d->replay != (c->nargs > 0))
        return cli_fail(c, EXIT_USAGE, NULL,
                        d->replay ? "--replay needs files" : "files are for --replay");
    for (int i = 0; i < c->nargs; i++)
        if (replay_file(&d->play, c->args[i], 0, &end, &runs, &err) < 0)
            return cli_fail_err(c, &err);
    return 0;
}

static int run(struct cli *c)
{
    static struct demo d;
    d.c = c;
    buf_init(&d.body, 256u << 20);
    int rc = prepare(&d);
    const char *url = target_url_named(c);
    if (rc == 0 && url && opt_given(c, "port"))
        rc = cli_fail(c, EXIT_USAGE, NULL, "--url and --port exclude each other");
    if (rc == 0)
        target_catch_signals();
    if (rc == 0 && url) {
        rc = target_open(c, &d.target, NEED_SERVER);
        d.url = rc ? url : client_url(d.target.client);
    } else if (rc == 0) {
        rc = start_server(&d);
    }
    if (rc == 0) {
        d.began = clock_mono();
        d.began_wall = c->now;
        welcome(&d);
        rc = perform(&d);
    }
    target_close(&d.target);
    if (d.server)
        server_stop(d.server);
    if (d.temp[0])
        nftw(d.temp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    play_deinit(&d.play);
    buf_deinit(&d.body);
    return rc;
}

const struct command cmd_demo = {
    .name = "demo",
    .summary = "a server with a small fleet of agents at work, to look at",
    .synopsis = "[OPTIONS] [--replay FILE...]",
    .about =
        "Starts a server and plays a fleet through it in real time: a planner, a coder, a "
        "researcher and a reviewer with their tools, models, retries and failures. With --replay "
        "it tells recorded runs instead: tau-bench or intercode JSON, SWE-agent .traj files, "
        "Claude Code transcripts.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .complete = "file",
    .run = run,
};
