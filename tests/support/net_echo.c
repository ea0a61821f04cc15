/* net_echo.c: a small server over src/net for the black-box protocol tests in tests/http.
 *
 *   net_echo [--listen ADDR] [--workers N] [--cert FILE --key FILE] [--limit NAME=VALUE]...
 *
 * Prints "listening ADDR" once it accepts. SIGTERM: net_stop, prints "stopped", exits 0. SIGHUP:
 * loads certificate and key again, prints "reloaded" or "reload failed".
 *
 *   any /echo          the body back              POST /async     204 from another thread
 *   any /info          the request as JSON        GET  /slow?ms=  200 after a while
 *   GET /big?n=        n bytes of text            GET  /hold      no answer until /release
 *   GET /release       answers all held           GET  /held      how many are held, aborted
 *   GET /stream?n=&size=  n SSE events, pausing when told     GET /events  SSE without end
 *   GET /ws            echo; "close CODE REASON" closes; "flood N" sends N KiB
 *   GET /stats         net_stats as JSON
 *   GET /fail?nth=     lets the n-th allocation from now on fail, once
 * The header "X-Deny: STATUS" is refused by the check hook. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/net.h"

struct job {
    struct net_task task;
    struct job *next;
    struct http_req *req;
};

static struct net *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct job *jobs; /* to be answered by the answering thread */
static struct job *held; /* of /hold, on any worker; under lock */
static unsigned nheld, naborted;
static bool quit;

/* ---- answers from another thread ---- */

static void answer_job(struct net_task *task)
{
    struct job *j = (struct job *)task;
    http_respond(j->req, 204, NULL, NULL, STR_NULL);
}

static void *answering_main(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!jobs && !quit)
            pthread_cond_wait(&wake, &lock);
        struct job *list = jobs;
        jobs = NULL;
        bool end = quit && !list;
        pthread_mutex_unlock(&lock);
        if (end)
            return NULL;
        while (list) {
            struct job *j = list;
            list = j->next;
            net_post_task(http_worker(j->req), &j->task);
        }
    }
}

static void handle_async(struct http_req *req)
{
    struct job *j = arena_zalloc(req->arena, sizeof *j);
    if (!j) {
        http_respond(req, 503, NULL, NULL, STR_NULL);
        return;
    }
    j->task.fn = answer_job;
    j->req = req;
    pthread_mutex_lock(&lock);
    bool first = !jobs;
    j->next = jobs;
    jobs = j;
    pthread_mutex_unlock(&lock);
    if (first)
        pthread_cond_signal(&wake);
}

/* ---- held requests ---- */

static void release_job(struct net_task *task)
{
    struct job *j = (struct job *)task;
    http_respond(j->req, 200, "text/plain", NULL, STR("released"));
}

static void on_held_abort(struct http_req *req)
{
    struct job *mine = req->user;
    bool found = false;
    pthread_mutex_lock(&lock);
    for (struct job **at = &held; *at; at = &(*at)->next)
        if (*at == mine) {
            *at = mine->next;
            found = true;
            break;
        }
    nheld -= found;
    naborted++;
    pthread_mutex_unlock(&lock);
    if (found)
        http_respond(req, 499, NULL, NULL, STR_NULL);
}

static void handle_hold(struct http_req *req)
{
    struct job *j = arena_zalloc(req->arena, sizeof *j);
    str deaf;
    if (!j) {
        http_respond(req, 503, NULL, NULL, STR_NULL);
        return;
    }
    j->task.fn = release_job;
    j->req = req;
    req->user = j;
    if (!http_param(req, "deaf", &deaf))
        req->on_abort = on_held_abort;
    pthread_mutex_lock(&lock);
    j->next = held;
    held = j;
    nheld++;
    pthread_mutex_unlock(&lock);
}

static void release_all(void)
{
    pthread_mutex_lock(&lock);
    struct job *list = held;
    held = NULL;
    nheld = 0;
    pthread_mutex_unlock(&lock);
    while (list) {
        struct job *j = list;
        list = j->next;
        if (!net_post_task(http_worker(j->req), &j->task))
            j->task.fn(&j->task); /* the server has stopped */
    }
}

static void handle_held(struct http_req *req)
{
    pthread_mutex_lock(&lock);
    char *text = arena_printf(req->arena, "{\"held\":%u,\"aborted\":%u}", nheld, naborted);
    pthread_mutex_unlock(&lock);
    http_respond(req, 200, "application/json", NULL, str_c(text));
}

/* ---- streams ---- */

struct stream {
    uint64_t left, size, sent;
};

static void pump(struct http_req *req)
{
    struct stream *s = req->user;
    struct buf b;
    buf_init(&b, 1 << 20);
    bool room = true;
    while (s->left && room) {
        buf_reset(&b);
        buf_puts(&b, "data: ");
        buf_fill(&b, (char)('a' + s->sent % 26), s->size);
        buf_puts(&b, "\n\n");
        room = http_stream_write(req, buf_str(&b));
        s->left--;
        s->sent++;
    }
    buf_deinit(&b);
    if (!s->left)
        http_stream_end(req);
}

static void on_stream_abort(struct http_req *req)
{
    pthread_mutex_lock(&lock);
    naborted++;
    pthread_mutex_unlock(&lock);
    http_stream_end(req);
}

static uint64_t number(struct http_req *req, const char *name, uint64_t otherwise)
{
    str v;
    uint64_t n;
    return http_param(req, name, &v) && str_to_u64(v, &n) ? n : otherwise;
}

static void handle_stream(struct http_req *req)
{
    struct stream *s = arena_zalloc(req->arena, sizeof *s);
    if (!s) {
        http_respond(req, 503, NULL, NULL, STR_NULL);
        return;
    }
    s->left = number(req, "n", 3);
    s->size = number(req, "size", 10);
    req->user = s;
    req->on_abort = on_stream_abort;
    http_stream_start(req, 200, "text/event-stream", "Cache-Control: no-store\r\n");
    http_stream_on_drain(req, pump);
    pump(req);
}

static void handle_events(struct http_req *req)
{
    req->on_abort = on_stream_abort;
    http_stream_start(req, 200, "text/event-stream", NULL);
    http_stream_write(req, STR("data: hello\n\n"));
}

/* ---- WebSockets ---- */

static void on_ws_message(struct ws *ws, str msg, bool text)
{
    (void)text;
    if (str_starts(msg, STR("close "))) {
        uint64_t code;
        str rest = str_skip(msg, 6), number_text;
        str_split(&rest, ' ', &number_text);
        ws_close(ws, str_to_u64(number_text, &code) ? (int)code : 1000, rest);
        return;
    }
    if (str_starts(msg, STR("flood "))) {
        uint64_t kib = 0;
        static char piece[1024];
        memset(piece, 'x', sizeof piece);
        str_to_u64(str_skip(msg, 6), &kib);
        for (uint64_t i = 0; i < kib; i++)
            ws_send(ws, str_n(piece, sizeof piece));
        return;
    }
    ws_send(ws, msg);
}

static void on_ws_close(struct ws *ws, int code)
{
    (void)ws;
    (void)code;
    pthread_mutex_lock(&lock);
    naborted++;
    pthread_mutex_unlock(&lock);
}

static const struct ws_handler ws_handler = {
    .on_message = on_ws_message,
    .on_close = on_ws_close,
};

/* ---- the rest ---- */

static void answer_late(void *arg)
{
    http_respond(arg, 200, "text/plain", NULL, STR("late"));
}

static void handle_slow(struct http_req *req)
{
    if (!net_timer_start(http_worker(req), (int64_t)number(req, "ms", 100), answer_late, req))
        http_respond(req, 503, NULL, NULL, STR_NULL);
}

static void handle_big(struct http_req *req)
{
    size_t n = (size_t)number(req, "n", 2048);
    char *p = mem_alloc(n + 1);
    if (!p) {
        http_respond(req, 503, NULL, NULL, STR_NULL);
        return;
    }
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i % 26);
    http_respond(req, 200, "text/plain", NULL, str_n(p, n));
    mem_free(p);
}

static void put_quoted(struct buf *b, str s)
{
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++)
        buf_printf(b, "\\u%04x", (unsigned char)s.p[i]);
    buf_putc(b, '"');
}

static void handle_info(struct http_req *req)
{
    struct buf b;
    str x = STR_NULL, y = STR_NULL;
    buf_init(&b, 1 << 20);
    bool has_x = http_param(req, "x", &x), has_y = http_param_nth(req, "x", 1, &y);
    buf_puts(&b, "{\"method\":");
    put_quoted(&b, req->method_text);
    buf_puts(&b, ",\"target\":");
    put_quoted(&b, req->target);
    buf_puts(&b, ",\"path\":");
    put_quoted(&b, req->path_decoded);
    buf_puts(&b, ",\"query\":");
    put_quoted(&b, req->query);
    if (has_x) {
        buf_puts(&b, ",\"x\":");
        put_quoted(&b, x);
    }
    if (has_y) {
        buf_puts(&b, ",\"x2\":");
        put_quoted(&b, y);
    }
    buf_puts(&b, ",\"peer\":");
    put_quoted(&b, str_c(req->peer));
    buf_printf(&b, ",\"body\":%zu,\"headers\":%u,\"tls\":%s,\"loopback\":%s,\"html\":%s,\"ws\":%s}",
               req->body.n, req->nheaders, req->tls ? "true" : "false",
               req->peer_loopback ? "true" : "false", http_prefers_html(req) ? "true" : "false",
               http_is_websocket(req) ? "true" : "false");
    http_respond(req, buf_ok(&b) ? 200 : 500, "application/json", NULL, buf_str(&b));
    buf_deinit(&b);
}

static void handle_stats(struct http_req *req)
{
    struct net_stats s;
    net_get_stats(server, &s);
    char *text = arena_printf(
        req->arena,
        "{\"open\":%llu,\"total\":%llu,\"refused\":%llu,\"requests\":%llu,\"errors\":%llu,"
        "\"timeouts\":%llu,\"streams\":%llu,\"websockets\":%llu,\"inflight\":%llu,\"2xx\":%llu}",
        (unsigned long long)s.connections_open, (unsigned long long)s.connections_total,
        (unsigned long long)s.connections_refused, (unsigned long long)s.requests_total,
        (unsigned long long)s.protocol_errors, (unsigned long long)s.timeouts,
        (unsigned long long)s.streams_open, (unsigned long long)s.websockets_open,
        (unsigned long long)s.inflight_body_bytes, (unsigned long long)s.status_class[2]);
    http_respond(req, 200, "application/json", NULL, str_c(text));
}

static void handle(void *ctx, struct http_req *req)
{
    (void)ctx;
    str path = req->path_decoded;
    if (str_eq(path, STR("/async")))
        handle_async(req);
    else if (str_eq(path, STR("/echo")))
        http_respond(req, 200, "application/octet-stream", NULL, req->body);
    else if (str_eq(path, STR("/slow")))
        handle_slow(req);
    else if (str_eq(path, STR("/big")))
        handle_big(req);
    else if (str_eq(path, STR("/hold")))
        handle_hold(req);
    else if (str_eq(path, STR("/held")))
        handle_held(req);
    else if (str_eq(path, STR("/stream")))
        handle_stream(req);
    else if (str_eq(path, STR("/events")))
        handle_events(req);
    else if (str_eq(path, STR("/ws")))
        ws_accept(req, &ws_handler, NULL);
    else if (str_eq(path, STR("/stats")))
        handle_stats(req);
    else if (str_eq(path, STR("/fail"))) {
        uint64_t nth = number(req, "nth", 0);
        mem_fail_at(0, 0); /* off before the answer, armed behind it */
        http_respond(req, 204, NULL, NULL, STR_NULL);
        if (nth)
            mem_fail_at(nth, 0);
    } else if (str_eq(path, STR("/release"))) {
        release_all();
        http_respond(req, 200, "text/plain", NULL, STR("ok"));
    } else
        handle_info(req);
}

static int check(void *ctx, struct http_req *req, str *ret_body, const char **ret_headers)
{
    (void)ctx;
    int64_t status;
    str deny = http_header(req, "x-deny");
    if (!deny.p || !str_to_i64(deny, &status))
        return 0;
    *ret_body = STR("{\"denied\":true}");
    *ret_headers = "WWW-Authenticate: Bearer\r\n";
    return (int)status;
}

/* ---- options ---- */

#define PLACE(field) offsetof(struct net_limits, field), sizeof(((struct net_limits *)NULL)->field)

static const struct {
    const char *name;
    size_t at, size;
} limits[] = {
    { "header_bytes", PLACE(header_bytes) },
    { "header_count", PLACE(header_count) },
    { "url_bytes", PLACE(url_bytes) },
    { "body_bytes", PLACE(body_bytes) },
    { "inflated_bytes", PLACE(inflated_bytes) },
    { "inflight_bytes", PLACE(inflight_bytes) },
    { "ws_message_bytes", PLACE(ws_message_bytes) },
    { "connections", PLACE(connections) },
    { "pipeline", PLACE(pipeline) },
    { "header_timeout_ms", PLACE(header_timeout_ms) },
    { "body_timeout_ms", PLACE(body_timeout_ms) },
    { "idle_timeout_ms", PLACE(idle_timeout_ms) },
    { "write_timeout_ms", PLACE(write_timeout_ms) },
    { "drain_ms", PLACE(drain_ms) },
    { "stream_bytes", PLACE(stream_bytes) },
    { "ws_ping_ms", PLACE(ws_ping_ms) },
};

static bool set_limit(struct net_limits *l, const char *text)
{
    str rest = str_c(text), name;
    int64_t v;
    str_split(&rest, '=', &name);
    if (!str_to_i64(rest, &v))
        return false;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (str_eq(name, str_c(limits[i].name))) {
            memcpy((char *)l + limits[i].at, &v, limits[i].size); /* little-endian */
            return true;
        }
    return false;
}

static bool parse_options(int argc, char **argv, struct net_config *cfg, const char **address)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--listen"))
            *address = value;
        else if (!strcmp(name, "--workers"))
            cfg->workers = (uint32_t)strtoul(value, NULL, 10);
        else if (!strcmp(name, "--cert"))
            cfg->tls_cert = value;
        else if (!strcmp(name, "--key"))
            cfg->tls_key = value;
        else if (strcmp(name, "--limit") || !set_limit(&cfg->limits, value))
            return false;
    }
    return argc % 2 == 1;
}

static void serve_signals(const sigset_t *set)
{
    for (;;) {
        int sig = 0;
        sigwait(set, &sig);
        if (sig != SIGHUP)
            return;
        struct err err = ERR_INIT;
        puts(net_tls_reload(server, &err) ? "reload failed" : "reloaded");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1:0";
    struct net_config cfg = { .nlisten = 1, .workers = 2, .check = check, .handle = handle };
    struct err err = ERR_INIT;
    net_limits_default(&cfg.limits);
    if (!parse_options(argc, argv, &cfg, &address)) {
        fprintf(stderr, "net_echo: bad arguments\n");
        return 64;
    }
    cfg.listen = &address;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_t answering;
    pthread_create(&answering, NULL, answering_main, NULL);
    if (net_start(&server, &cfg, &err) != 0) {
        fprintf(stderr, "net_echo: %s\n", err.msg);
        return 71;
    }
    printf("listening %s\n", net_address(server, 0));
    fflush(stdout);
    serve_signals(&set);
    net_stop(server);
    pthread_mutex_lock(&lock);
    quit = true;
    pthread_mutex_unlock(&lock);
    pthread_cond_signal(&wake);
    pthread_join(answering, NULL);
    release_all(); /* what nobody answered: only memory is left to give back */
    puts("stopped");
    return 0;
}
