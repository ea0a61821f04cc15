/* net.c: start and stop, the acceptor thread, statistics.
 *
 * The acceptor polls the listeners and an eventfd. It gives each accepted socket, wrapped in its
 * `struct conn`, to the worker with the fewest connections. Past limits.connections a small
 * surplus is still handed over to be answered 503 in good order; beyond that sockets are closed.
 * When the process is out of descriptors, the reserve one is given up so that the connection at
 * the head of the queue can be accepted and closed instead of spinning on it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/internal.h"

#define ACCEPT_BURST 64
#define REFUSED_SURPLUS 256 /* connections past the limit that still get their 503 */
#define WORKERS_MAX 256

void net_limits_default(struct net_limits *l)
{
    *l = (struct net_limits){
        .header_bytes = 16 << 10,
        .header_count = 100,
        .url_bytes = 8 << 10,
        .body_bytes = 16 << 20,
        .inflated_bytes = 64 << 20,
        .inflight_bytes = 64 << 20,
        .ws_message_bytes = 64 << 10,
        .connections = 10000,
        .pipeline = 64,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 75000,
        .write_timeout_ms = 60000,
        .drain_ms = 10000,
        .stream_bytes = 1 << 20,
        .ws_ping_ms = 30000,
    };
}

/* ---- accepting ---- */

static void set_peer(struct conn *c, const struct sockaddr_storage *ss)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)ss;
        inet_ntop(AF_INET, &a->sin_addr, host, sizeof host);
        snprintf(c->peer, sizeof c->peer, "%s:%u", host, ntohs(a->sin_port));
        c->loopback = (ntohl(a->sin_addr.s_addr) >> 24) == 127;
    } else {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)ss;
        inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof host);
        snprintf(c->peer, sizeof c->peer, "[%s]:%u", host, ntohs(a->sin6_port));
        c->loopback = IN6_IS_ADDR_LOOPBACK(&a->sin6_addr) ||
                      (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr) && a->sin6_addr.s6_addr[12] == 127);
    }
}

static SSL *new_tls(struct net *n, int fd)
{
    pthread_mutex_lock(&n->tls_lock);
    SSL *ssl = tls_new(n->tls, fd);
    pthread_mutex_unlock(&n->tls_lock);
    return ssl;
}

static struct net_worker *least_loaded(struct net *n, uint64_t *ret_total)
{
    struct net_worker *best = n->workers[0];
    unsigned least = ~0u;
    *ret_total = 0;
    for (uint32_t i = 0; i < n->nworkers; i++) {
        unsigned load = atomic_load_explicit(&n->workers[i]->load, memory_order_relaxed);
        *ret_total += load;
        if (load < least) {
            least = load;
            best = n->workers[i];
        }
    }
    return best;
}

static void hand_over(struct net *n, int fd, const struct sockaddr_storage *ss)
{
    uint64_t total;
    struct net_worker *w = least_loaded(n, &total);
    struct conn *c = NULL;
    bool refused = total >= n->lim.connections;
    if (total < (uint64_t)n->lim.connections + REFUSED_SURPLUS)
        c = mem_zalloc(sizeof *c);
    if (refused || !c)
        stat_add(&n->refused, 1);
    if (!c) {
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    c->w = w;
    c->refused = refused;
    set_peer(c, ss);
    c->task.fn = conn_adopt;
    if (n->cert && !(c->ssl = new_tls(n, fd))) {
        close(fd);
        mem_free(c);
        return;
    }
    atomic_fetch_add_explicit(&w->load, 1, memory_order_relaxed);
    if (!net_post_task(w, &c->task)) { /* cannot be: workers outlive the acceptor */
        tls_free(c->ssl);
        close(fd);
        mem_free(c);
    }
}

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: true when the waiting connection could be turned away. */
static bool shed_one(struct net *n, int listener)
{
    if (n->reserve_fd < 0)
        return false;
    close(n->reserve_fd);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    n->reserve_fd = reserve_open();
    stat_add(&n->refused, 1);
    return fd >= 0;
}

/* false: nothing can be accepted for now, pause */
static bool accept_burst(struct net *n, int listener)
{
    for (int i = 0; i < ACCEPT_BURST; i++) {
        struct sockaddr_storage ss = { 0 };
        socklen_t len = sizeof ss;
        int fd = accept4(listener, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(n, fd, &ss);
            continue;
        }
        switch (errno) {
        case EAGAIN: return true;
        case EMFILE:
        case ENFILE:
            if (!shed_one(n, listener))
                return false;
            continue;
        case ENOBUFS:
        case ENOMEM: return false;
        default: continue; /* the peer gave up before we got to it */
        }
    }
    return true;
}

static void *acceptor_main(void *arg)
{
    struct net *n = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    struct pollfd *p = n->polls;
    p[0] = (struct pollfd){ .fd = n->wake_fd, .events = POLLIN };
    for (uint32_t i = 0; i < n->nlisten; i++)
        p[i + 1] = (struct pollfd){ .fd = n->listeners[i], .events = POLLIN };
    bool pause = false;
    while (!atomic_load(&n->stopping)) {
        int r = pause ? poll(p, 1, 100) : poll(p, n->nlisten + 1, -1);
        bool paused = pause;
        pause = false;
        if (r < 0 || paused)
            continue;
        for (uint32_t i = 0; i < n->nlisten; i++)
            if (p[i + 1].revents && !accept_burst(n, n->listeners[i]))
                pause = true;
    }
    return NULL;
}

/* ---- listening ---- */

/* "host:port", "[v6]:port", ":port" */
static int split_address(const char *text, char host[256], const char **ret_port, struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (!colon || n >= 256 || !colon[1])
        return err_set(err, ERR_INVALID, "cannot listen on \"%s\": not host:port", text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']')
        snprintf(host, 256, "%.*s", (int)n - 2, text + 1);
    else
        snprintf(host, 256, "%.*s", (int)n, text);
    *ret_port = colon + 1;
    return 0;
}

static int bind_one(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1, zero = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (ai->ai_family == AF_INET6) /* ":8140" means IPv4 as well */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 1024) == 0)
        return fd;
    int e = errno;
    close(fd);
    return -e;
}

static int find_and_bind(const char *host, const char *port, int family)
{
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    if (getaddrinfo(*host ? host : NULL, port, &hints, &list) != 0)
        return -EADDRNOTAVAIL;
    int fd = -EADDRNOTAVAIL;
    for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = bind_one(ai);
    freeaddrinfo(list);
    return fd;
}

static void describe(int fd, char out[64])
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof ss;
    char host[INET6_ADDRSTRLEN] = "";
    getsockname(fd, (struct sockaddr *)&ss, &len);
    if (ss.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&ss;
        inet_ntop(AF_INET, &a->sin_addr, host, sizeof host);
        snprintf(out, 64, "%s:%u", host, ntohs(a->sin_port));
    } else {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&ss;
        inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof host);
        snprintf(out, 64, "[%s]:%u", host, ntohs(a->sin6_port));
    }
}

static int listen_on(struct net *n, const char *text, struct err *err)
{
    char host[256];
    const char *port = "";
    int r = split_address(text, host, &port, err);
    if (r)
        return r;
    int fd = *host ? find_and_bind(host, port, AF_UNSPEC) : find_and_bind(host, port, AF_INET6);
    if (fd < 0 && !*host && fd != -EADDRINUSE) /* a machine without IPv6 */
        fd = find_and_bind(host, port, AF_INET);
    if (fd < 0)
        return err_sys(err, -fd, "cannot listen on \"%s\"", text);
    describe(fd, n->addresses[n->nlisten]);
    n->listeners[n->nlisten++] = fd;
    return 0;
}

/* ---- start ---- */

static void stop_workers(struct net *n)
{
    for (uint32_t i = 0; i < n->nworkers; i++)
        net_post_task(n->workers[i], &n->workers[i]->drain_task);
    for (uint32_t i = 0; i < n->nworkers; i++)
        worker_stop_join(n->workers[i]);
}

static void close_listeners(struct net *n)
{
    for (uint32_t i = 0; i < n->nlisten; i++)
        close(n->listeners[i]);
    n->nlisten = 0;
}

static void net_free(struct net *n)
{
    close_listeners(n);
    if (n->wake_fd >= 0)
        close(n->wake_fd);
    if (n->reserve_fd >= 0)
        close(n->reserve_fd);
    tls_ctx_free(n->tls);
    pthread_mutex_destroy(&n->tls_lock);
    mem_free(n->workers);
    mem_free(n->listeners);
    mem_free(n->polls);
    mem_free(n->addresses);
    mem_free(n->cert);
    mem_free(n->key);
    mem_free(n);
}

static char *dup_z(const char *z)
{
    size_t n = strlen(z) + 1;
    char *p = mem_alloc(n);
    return p ? memcpy(p, z, n) : NULL;
}

static int setup_tls(struct net *n, const struct net_config *cfg, struct err *err)
{
    if (!cfg->tls_cert && !cfg->tls_key)
        return 0;
    if (!cfg->tls_cert || !cfg->tls_key)
        return err_set(err, ERR_INVALID, "TLS needs both a certificate and a key");
    n->cert = dup_z(cfg->tls_cert);
    n->key = dup_z(cfg->tls_key);
    if (!n->cert || !n->key)
        return err_nomem(err);
    return tls_ctx_new(&n->tls, n->cert, n->key, err);
}

static int setup(struct net *n, const struct net_config *cfg, struct err *err)
{
    uint32_t workers = cfg->workers;
    if (!workers) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        workers = cores > 0 ? (uint32_t)cores : 1;
    }
    if (workers > WORKERS_MAX)
        workers = WORKERS_MAX;
    n->workers = mem_zarray(workers, sizeof *n->workers);
    n->listeners = mem_zarray(cfg->nlisten, sizeof *n->listeners);
    n->addresses = mem_zarray(cfg->nlisten, sizeof *n->addresses);
    n->polls = mem_zarray((size_t)cfg->nlisten + 1, sizeof *n->polls);
    if (!n->workers || !n->listeners || !n->addresses || !n->polls)
        return err_nomem(err);
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    n->reserve_fd = reserve_open();
    if (n->wake_fd < 0 || n->reserve_fd < 0)
        return err_sys(err, errno, "cannot start the server");
    int r = setup_tls(n, cfg, err);
    for (uint32_t i = 0; !r && i < cfg->nlisten; i++)
        r = listen_on(n, cfg->listen[i], err);
    for (uint32_t i = 0; !r && i < workers; i++) {
        r = worker_start(&n->workers[i], n, i, err);
        if (!r)
            n->nworkers++;
    }
    return r;
}

int net_start(struct net **ret, const struct net_config *cfg, struct err *err)
{
    if (cfg->nlisten == 0 || !cfg->handle)
        return err_set(err, ERR_INVALID, "the server has no address to listen on or no handler");
    struct net *n = mem_zalloc(sizeof *n);
    if (!n)
        return err_nomem(err);
    signal(SIGPIPE, SIG_IGN);
    n->cfg = *cfg;
    n->lim = cfg->limits;
    n->wake_fd = n->reserve_fd = -1;
    pthread_mutex_init(&n->tls_lock, NULL);
    int r = setup(n, cfg, err);
    if (!r) {
        *ret = n; /* before the first request: handlers may look at it */
        r = pthread_create(&n->acceptor, NULL, acceptor_main, n);
        if (r)
            r = err_sys(err, r, "cannot start the acceptor");
    }
    if (r) {
        *ret = NULL;
        n->lim.drain_ms = 0;
        stop_workers(n);
        net_free(n);
        return r;
    }
    return 0;
}

const char *net_address(struct net *n, uint32_t i)
{
    return n->addresses[i];
}

void net_stop(struct net *n)
{
    if (!n)
        return;
    uint64_t one = 1;
    atomic_store(&n->stopping, true);
    ssize_t written = write(n->wake_fd, &one, sizeof one);
    (void)written; /* an eventfd at 0 takes a 1 */
    pthread_join(n->acceptor, NULL);
    close_listeners(n);
    stop_workers(n);
    net_free(n);
}

int net_tls_reload(struct net *n, struct err *err)
{
    if (!n->cert)
        return err_set(err, ERR_INVALID, "the server was started without TLS");
    SSL_CTX *fresh = NULL;
    int r = tls_ctx_new(&fresh, n->cert, n->key, err);
    if (r)
        return r;
    pthread_mutex_lock(&n->tls_lock);
    SSL_CTX *old = n->tls;
    n->tls = fresh;
    pthread_mutex_unlock(&n->tls_lock);
    tls_ctx_free(old); /* connections that use it hold their own reference */
    return 0;
}

void net_get_stats(struct net *n, struct net_stats *ret)
{
    *ret = (struct net_stats){ .connections_refused = stat_get(&n->refused),
                               .inflight_body_bytes = stat_get(&n->inflating) };
    for (uint32_t i = 0; i < n->nworkers; i++) {
        struct worker_stats *s = &n->workers[i]->st;
        ret->connections_open += atomic_load_explicit(&n->workers[i]->load, memory_order_relaxed);
        ret->connections_total += stat_get(&s->connections_total);
        ret->requests_total += stat_get(&s->requests);
        ret->bytes_in += stat_get(&s->bytes_in);
        ret->bytes_out += stat_get(&s->bytes_out);
        ret->protocol_errors += stat_get(&s->protocol_errors);
        ret->timeouts += stat_get(&s->timeouts);
        ret->streams_open += stat_get(&s->streams_open);
        ret->websockets_open += stat_get(&s->websockets_open);
        ret->inflight_body_bytes += stat_get(&s->inflight);
        for (int k = 0; k < 6; k++)
            ret->status_class[k] += stat_get(&s->status_class[k]);
    }
}
