/* server_memory_test.c: the n-th allocation fails while the server answers, for many n.
 *
 * The whole server runs in this process. Each request is sent again and again, each time with a
 * later allocation failing; it must get a complete answer (any status; 503 when memory was short
 * where it mattered) or a closed connection, and the server must work as before afterwards. */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/server.h"

static int port;
static char dir[64];
static struct server *server;

static void on_ready(void *ctx, const char *url)
{
    (void)ctx;
    port = atoi(strrchr(url, ':') + 1);
}

static void start(void)
{
    static const char *const listen[] = { "127.0.0.1:0" };
    struct server_config cfg;
    struct err err = ERR_INIT;
    server_config_default(&cfg);
    cfg.data_dir = dir;
    cfg.listen = listen;
    cfg.nlisten = 1;
    cfg.workers = 1;
    cfg.log_level = (enum log_level)(LOG_ERROR + 1);
    cfg.ready = on_ready;
    if (server_start(&server, &cfg, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
}

static int dial(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct timeval t = { .tv_sec = 20 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* status of the answer, 0 when the connection was closed without one; -1: nothing came */
static int ask(const char *method, const char *target, const char *body)
{
    char text[4096], got[65536];
    size_t n = 0;
    int fd = dial();
    int len = snprintf(text, sizeof text,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       method, target, strlen(body), body);
    if (write(fd, text, (size_t)len) != len) {
        close(fd);
        return 0;
    }
    for (;;) {
        ssize_t k = read(fd, got + n, sizeof got - 1 - n);
        if (k < 0 && errno == EAGAIN)
            break;
        if (k <= 0) {
            close(fd);
            got[n] = '\0';
            return n > 12 ? atoi(got + 9) : 0;
        }
        n += (size_t)k;
        if (n == sizeof got - 1)
            n = 4096; /* the rest does not matter */
    }
    close(fd);
    return -1;
}

static const struct {
    const char *method, *target, *body;
} requests[] = {
    { "POST", "/api/v1/ingest",
      "{\"agent\":\"a\",\"level\":\"error\",\"message\":\"m\",\"x\":{\"y\":[1]}}" },
    { "POST", "/api/v1/ingest", "[{\"agent\":\"a\"},{\"timestamp\":\"bad\"}]" },
    { "POST", "/ingest", "{\"timestamp\":1,\"agent\":\"f\",\"level\":\"INFO\",\"message\":\"m\"}" },
    { "POST", "/logs", "{\"agent_id\":\"m\",\"message\":\"x\",\"level\":\"error\"}" },
    { "POST", "/logs", "{\"agent_id\":5}" },
    { "POST", "/log", "{\"agent\":\"g\",\"content\":\"c\"}" },
    { "POST", "/events",
      "{\"source_app\":\"s\",\"session_id\":\"i\",\"hook_event_type\":\"t\",\"payload\":{}}" },
    { "GET", "/api/v1/query?q=agent:a+m", "" },
    { "GET", "/api/v1/query?q=*+%7C+stats+count()+by+agent&format=csv", "" },
    { "GET", "/api/v1/query?q=(", "" },
    { "GET", "/search?agent=a*&level=INFO&pattern=m", "" },
    { "GET", "/stats", "" },
    { "GET", "/trace/t", "" },
    { "GET", "/logs?search=x", "" },
    { "GET", "/logs/summary", "" },
    { "GET", "/logs/agents", "" },
    { "GET", "/events/recent", "" },
    { "GET", "/events/filter-options", "" },
    { "GET", "/api/v1/timeline", "" },
    { "GET", "/api/v1/fields?q=agent:a", "" },
    { "GET", "/api/v1/fields/agent/values", "" },
    { "GET", "/api/v1/tail/poll?from=0", "" },
    { "GET", "/tail?timeout=0", "" },
    { "GET", "/api/v1/status", "" },
    { "GET", "/api/v1/integrity", "" },
    { "GET", "/metrics", "" },
    { "GET", "/health", "" },
    { "GET", "/openapi.json", "" },
    { "GET", "/api/v1/keys", "" },
    { "POST", "/api/v1/resolve", "{\"ids\":[\"x\"],\"by\":\"me\"}" },
    { "POST", "/logs/resolve-batch", "{\"ids\":[],\"resolved_by\":\"me\"}" },
    { "DELETE", "/prune?days=100", "" },
};

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int want = ask(requests[i].method, requests[i].target, requests[i].body);
        assert_true(want >= 200 && want < 500);
        for (uint64_t n = 1; n < 60; n++) {
            mem_fail_at(n, 0);
            int got = ask(requests[i].method, requests[i].target, requests[i].body);
            mem_fail_at(0, 0);
            if (got < 0)
                fail_msg("%s %s: no answer when allocation %d fails", requests[i].method,
                         requests[i].target, (int)n);
            if (got != 0 && got != want && got != 503 && got != 413 && got != 431)
                fail_msg("%s %s: %d instead of %d when allocation %d fails", requests[i].method,
                         requests[i].target, got, want, (int)n);
            /* the log may give up for good when its memory is what was missing; then a new start
             * has to find everything in order */
            if (ask("GET", "/ready", "") != 200) {
                server_stop(server);
                start();
            }
        }
        assert_int_equal(ask(requests[i].method, requests[i].target, requests[i].body), want);
    }
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/fleetlog-memory-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    start();
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_allocation_may_fail) };
    int bad = cmocka_run_group_tests(tests, NULL, NULL);
    server_stop(server);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return bad;
}
