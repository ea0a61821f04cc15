/* server_limits_test.c: what clients see when the server is out of something: threads for queries,
 * time, space on the disk, a disk that can be written. The server runs in this process. */
#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
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

#include "server/internal.h"

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

/* ---- the query pool, held ---- */

/* takes the pool's only thread until release() */
struct holder {
    struct pool_work work;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    bool holds, over;
};

static void hold_run(struct pool_work *w)
{
    struct holder *h = (struct holder *)((char *)w - offsetof(struct holder, work));
    pthread_mutex_lock(&h->lock);
    h->holds = true;
    pthread_cond_broadcast(&h->turned);
    while (!h->over)
        pthread_cond_wait(&h->turned, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void hold(struct holder *h, struct server *s)
{
    *h = (struct holder){ .work.run = hold_run,
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .turned = PTHREAD_COND_INITIALIZER };
    assert_true(pool_submit(s->queries, &h->work));
    pthread_mutex_lock(&h->lock);
    while (!h->holds)
        pthread_cond_wait(&h->turned, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void release(struct holder *h)
{
    pthread_mutex_lock(&h->lock);
    h->over = true;
    pthread_cond_broadcast(&h->turned);
    pthread_mutex_unlock(&h->lock);
}

struct asking {
    const char *target;
    struct answer a;
    pthread_t thread;
};

static void *ask_aside(void *arg)
{
    struct asking *q = arg;
    ask(&q->a, "GET", q->target, "");
    return NULL;
}

/* asks on a thread of its own and returns when the query waits for the held pool */
static void ask_behind(struct server *s, struct asking *q, const char *target)
{
    uint32_t before = pool_waiting(s->queries);
    q->target = target;
    assert_int_equal(pthread_create(&q->thread, NULL, ask_aside, q), 0);
    while (pool_waiting(s->queries) == before)
        sched_yield();
}

static void few_threads(struct server_config *c)
{
    c->query_threads = 1;
    c->query_queue = 2;
}

static void test_too_many_queries(void **state)
{
    (void)state;
    struct server *s = start(few_threads);
    struct holder h;
    static struct asking waiting[2];
    static struct answer a;
    hold(&h, s);
    for (int i = 0; i < 2; i++)
        ask_behind(s, &waiting[i], "/api/v1/query");
    for (int i = 0; i < 4; i++) {
        ask(&a, "GET", "/api/v1/query", "");
        assert_int_equal(a.status, 503);
        assert_non_null(strstr(a.text, "waiting"));
        assert_non_null(strstr(a.text, "Retry-After: "));
    }
    release(&h);
    for (int i = 0; i < 2; i++) {
        pthread_join(waiting[i].thread, NULL);
        assert_int_equal(waiting[i].a.status, 200);
    }
    ask(&a, "GET", "/api/v1/query", "");
    assert_int_equal(a.status, 200);
    server_stop(s);
}

/* Until the worker's timers of `ms` that were started before have fired. A worker looks at its
 * timers in each turn of its loop, and an answer to a request sent after that time took a turn
 * that began after it; so does the next one, for a loop that looks at the end of its turn. */
static void until_timers_fired(int64_t ms)
{
    static struct answer a;
    int64_t began = mono_ns();
    bool late = false;
    for (int turns = 0; turns < 2; turns += late) {
        late = mono_ns() - began > 2 * ms * NS_PER_MS;
        ask(&a, "GET", "/health", "");
        assert_int_equal(a.status, 200);
    }
}

static void one_thread(struct server_config *c)
{
    c->query_threads = 1;
}

static void little_time(struct server_config *c)
{
    one_thread(c);
    c->query_timeout_ms = 1;
}

/* The queries get their thread only when their time is over: how fast they are does not matter. */
static void test_a_query_past_its_time(void **state)
{
    (void)state;
    static void (*const limits[])(struct server_config *) = { little_time, one_thread };
    static const char *const targets[] = { "/api/v1/query?timeout=1h",
                                           "/api/v1/query?timeout=1ms" };
    for (int i = 0; i < 2; i++) {
        static struct asking late;
        static struct answer a;
        struct holder h;
        struct server *s = start(limits[i]);
        ask(&a, "POST", "/api/v1/ingest", "{\"message\":\"m\"}");
        assert_int_equal(a.status, 200);
        hold(&h, s);
        ask_behind(s, &late, targets[i]);
        until_timers_fired(2); /* the least that a query can ask for, rounded up */
        release(&h);
        pthread_join(late.thread, NULL);
        assert_int_equal(late.a.status, 503);
        assert_non_null(strstr(late.a.text, "\"timeout\""));
        assert_non_null(strstr(late.a.text, "Retry-After: "));
        server_stop(s);
    }
}

/* A poll whose time is over before its history could be read: each of its kind gets on, so that a
 * client comes through all that there is. */
static void test_a_poll_past_its_time(void **state)
{
    (void)state;
    static struct asking poll;
    static struct answer a;
    char target[128];
    unsigned long long cursor = 0;
    struct server *s = start(one_thread);
    for (int i = 0; i < 3; i++) {
        ask(&a, "POST", "/api/v1/ingest", i < 2 ? "{\"agent\":\"x\"}" : "{\"agent\":\"y\"}");
        assert_int_equal(a.status, 200);
    }
    for (unsigned long long want = 1; want <= 3; want++) {
        struct holder h;
        hold(&h, s);
        snprintf(target, sizeof target, "/api/v1/tail/poll?timeout=1ms&q=agent:y&from=%llu",
                 cursor);
        ask_behind(s, &poll, target);
        until_timers_fired(1);
        release(&h);
        pthread_join(poll.thread, NULL);
        assert_int_equal(poll.a.status, 200);
        const char *told = strstr(poll.a.text, "\"cursor\":\"");
        assert_non_null(told);
        cursor = strtoull(told + 10, NULL, 10);
        assert_int_equal(cursor, want);
        assert_true(!strstr(poll.a.text, "\"agent\":\"y\"") == (want < 3));
    }
    server_stop(s);
}

/* history that cannot be read is no empty history */
static void test_a_poll_without_a_thread(void **state)
{
    (void)state;
    static struct asking waiting[2];
    static struct answer a;
    struct holder h;
    struct server *s = start(few_threads);
    hold(&h, s);
    for (int i = 0; i < 2; i++)
        ask_behind(s, &waiting[i], "/api/v1/query");
    ask(&a, "GET", "/api/v1/tail/poll?timeout=0&from=0", "");
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.text, "Retry-After: "));
    release(&h);
    for (int i = 0; i < 2; i++)
        pthread_join(waiting[i].thread, NULL);
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
        T(test_too_many_queries),     T(test_a_query_past_its_time),
        T(test_a_poll_past_its_time), T(test_a_poll_without_a_thread),
        T(test_a_full_disk),          T(test_a_disk_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
