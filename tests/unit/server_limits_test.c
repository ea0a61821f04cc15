/* server_limits_test.c: what clients see when the server is out of something: threads for queries,
 * time, space on the disk, a disk that can be written. The server runs in this process. */
#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/server.h"

static int port;
static char dir[64];

static void on_ready(void *ctx, const char *url)
{
    (void)ctx;
    port = atoi(strrchr(url, ':') + 1);
}

static struct server *start(void (*change)(struct server_config *))
{
    static const char *const listen[] = { "127.0.0.1:0" };
    struct server_config cfg;
    struct server *s;
    struct err err = ERR_INIT;
    server_config_default(&cfg);
    cfg.data_dir = dir;
    cfg.listen = listen;
    cfg.nlisten = 1;
    cfg.workers = 1;
    cfg.log_level = (enum log_level)(LOG_ERROR + 1);
    cfg.ready = on_ready;
    change(&cfg);
    if (server_start(&s, &cfg, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

struct answer {
    int status;
    char text[65536];
};

static void ask(struct answer *a, const char *method, const char *target, const char *body)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    char head[512];
    size_t n = 0;
    ssize_t k;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int len = snprintf(head, sizeof head,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       method, target, strlen(body));
    assert_int_equal(write(fd, head, (size_t)len), len);
    for (size_t at = 0; at < strlen(body);) {
        k = write(fd, body + at, strlen(body) - at);
        assert_true(k > 0);
        at += (size_t)k;
    }
    while (n < sizeof a->text - 1 && (k = read(fd, a->text + n, sizeof a->text - 1 - n)) > 0)
        n += (size_t)k;
    a->text[n] = '\0';
    close(fd);
    a->status = n > 12 ? atoi(a->text + 9) : 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/fleetlog-limits-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* enough to keep a bad regular expression busy */
static void fill(void)
{
    static struct answer a;
    size_t max = 3 << 20, n = 0;
    char *body = malloc(max);
    while (n < max - 256)
        n += (size_t)snprintf(body + n, 256,
                              "{\"message\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                              " %zu\"}\n",
                              n);
    for (int i = 0; i < 4; i++) {
        ask(&a, "POST", "/api/v1/ingest", body);
        assert_int_equal(a.status, 200);
    }
    free(body);
}

#define SLOW "/api/v1/query?q=/(a%2B)%2B(a%2B)%2B(a%2B)%2Bb/"

static void few_threads(struct server_config *c)
{
    c->query_threads = 1;
    c->query_queue = 2;
}

static void *ask_slowly(void *arg)
{
    ask(arg, "GET", SLOW "&timeout=2s", "");
    return NULL;
}

static void test_too_many_queries(void **state)
{
    (void)state;
    struct server *s = start(few_threads);
    pthread_t t[12];
    static struct answer a[12];
    int refused = 0;
    fill();
    for (int i = 0; i < 12; i++)
        pthread_create(&t[i], NULL, ask_slowly, &a[i]);
    for (int i = 0; i < 12; i++) {
        pthread_join(t[i], NULL);
        assert_true(a[i].status == 200 || a[i].status == 503 || a[i].status == 400);
        if (a[i].status == 503 && strstr(a[i].text, "waiting")) {
            assert_non_null(strstr(a[i].text, "Retry-After: "));
            refused++;
        }
    }
    assert_true(refused >= 12 - 1 - 2 - 4); /* one runs, two wait; a few may have come later */
    ask(&a[0], "GET", "/api/v1/query", "");
    assert_int_equal(a[0].status, 200);
    server_stop(s);
}

static void little_time(struct server_config *c)
{
    c->query_timeout_ms = 1;
}

static void test_a_query_past_its_time(void **state)
{
    (void)state;
    static struct answer a;
    struct server *s = start(little_time);
    fill();
    ask(&a, "GET", SLOW "&timeout=1h", "");
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.text, "\"timeout\""));
    assert_non_null(strstr(a.text, "Retry-After: "));
    server_stop(s);
}

static void no_space(struct server_config *c)
{
    c->store.reserve_bytes = (uint64_t)1 << 60;
}

static void test_a_full_disk(void **state)
{
    (void)state;
    static struct answer a;
    static const char *const posts[][2] = {
        { "/api/v1/ingest", "{\"message\":\"m\"}" },
        { "/ingest", "{\"timestamp\":1,\"agent\":\"a\",\"level\":\"INFO\",\"message\":\"m\"}" },
        { "/logs", "{\"agent_id\":\"a\",\"message\":\"m\"}" },
        { "/log", "{\"agent\":\"a\"}" },
    };
    struct server *s = start(no_space);
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        ask(&a, "POST", posts[i][0], posts[i][1]);
        assert_int_equal(a.status, 503);
        assert_non_null(strstr(a.text, "Retry-After: "));
    }
    ask(&a, "GET", "/ready", "");
    assert_int_equal(a.status, 503);
    ask(&a, "GET", "/health", "");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.text, "degraded"));
    ask(&a, "GET", "/search", "");
    assert_int_equal(a.status, 200);
    ask(&a, "GET", "/metrics", "");
    assert_non_null(strstr(a.text, "fleetlog_entries_failed_total 4\n"));
    assert_non_null(strstr(a.text, "fleetlog_store_disk_full 1\n"));
    server_stop(s);
}

static void unchanged(struct server_config *c)
{
    (void)c;
}

/* the file system refuses to let files grow: the log ends, reading goes on, a new start works */
static void test_a_disk_that_cannot_be_written(void **state)
{
    (void)state;
    static struct answer a;
    struct rlimit before, tiny;
    struct server *s = start(unchanged);
    ask(&a, "POST", "/api/v1/ingest", "{\"message\":\"kept\"}");
    assert_int_equal(a.status, 200);
    getrlimit(RLIMIT_FSIZE, &before);
    tiny = before;
    tiny.rlim_cur = 1;
    setrlimit(RLIMIT_FSIZE, &tiny);
    ask(&a, "POST", "/api/v1/ingest", "{\"message\":\"lost\"}");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.text, "Retry-After: "));
    ask(&a, "GET", "/search", "");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.text, "kept"));
    assert_null(strstr(a.text, "lost"));
    server_stop(s);
    s = start(unchanged);
    ask(&a, "POST", "/api/v1/ingest", "{\"message\":\"again\"}");
    assert_int_equal(a.status, 200);
    ask(&a, "GET", "/search", "");
    assert_non_null(strstr(a.text, "kept"));
    assert_null(strstr(a.text, "lost"));
    server_stop(s);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_too_many_queries),
        T(test_a_query_past_its_time),
        T(test_a_full_disk),
        T(test_a_disk_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
