/* load.c: an HTTP load generator that costs the machine little.
 *
 *   load PORT PATH CONNECTIONS SECONDS|xREQUESTS|nLINES [BODYFILE...]
 *
 * One thread, epoll, keep-alive, one request at a time on each connection. Bodies are files, mapped
 * and touched before the clock starts, and sent in turn; without any the request is a GET. nLINES
 * cuts the files into bodies of that many lines each, the last of a file shorter, and sends each
 * once. Only 2xx counts. Prints one JSON object: requests, errors, seconds, latency percentiles in
 * microseconds.
 *
 *   idle -> (write request) -> reading head -> reading body -> idle
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct conn {
    int fd;
    const char *out; /* what is left to send of the head, or of the body once that is out */
    size_t out_n;
    const char *body; /* the body while the head is being sent */
    size_t body_n;
    char in[16384]; /* answers are small; longer bodies are counted, not kept */
    size_t in_n;
    uint64_t body_left; /* of the answer, once its head was read */
    int in_body, ok;
    uint64_t started_ns;
};

struct request {
    char *head;
    size_t head_n;
    const char *body; /* in a mapped file */
    size_t body_n;
};

static struct request *requests;
static size_t nrequests, next_request;
static uint64_t *took_us, ntook, cap_took, errors, sent, target;
static uint64_t until_ns;

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        die("memory");
    return p;
}

static void add_request(const char *path, const char *body, size_t n)
{
    char head[1024];
    int w = body ? snprintf(head, sizeof(head),
                            "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                            "application/json\r\nContent-Length: %zu\r\n\r\n",
                            path, n)
                 : snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
    if (w < 0 || (size_t)w >= sizeof(head))
        die("path too long");
    if ((nrequests & (nrequests - 1)) == 0)
        requests = must(realloc(requests, (nrequests ? nrequests * 2 : 1) * sizeof(*requests)));
    requests[nrequests++] = (struct request){ must(strdup(head)), (size_t)w, body, n };
}

/* Bodies of `lines` lines each out of a file, or the whole file as one when lines is 0. */
static void add_file(const char *path, const char *file, unsigned long lines)
{
    struct stat st;
    int fd = open(file, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        die(file);
    size_t n = (size_t)st.st_size;
    char *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : "";
    if (p == MAP_FAILED)
        die(file);
    close(fd);
    if (!lines) {
        add_request(path, p, n);
        return;
    }
    for (size_t at = 0, end; at < n; at = end) {
        end = at;
        for (unsigned long i = 0; i < lines && end < n; i++) {
            char *newline = memchr(p + end, '\n', n - end);
            end = newline ? (size_t)(newline - p) + 1 : n;
        }
        add_request(path, p + at, end - at);
    }
}

/* 0: there is nothing left to ask */
static int begin(struct conn *c)
{
    if ((target && sent >= target) || (!target && now_ns() >= until_ns))
        return 0;
    struct request *r = &requests[next_request++ % nrequests];
    c->out = r->head;
    c->out_n = r->head_n;
    c->body = r->body;
    c->body_n = r->body_n;
    c->in_n = 0;
    c->in_body = 0;
    c->started_ns = now_ns();
    sent++;
    return 1;
}

static void push(struct conn *c)
{
    while (c->out_n || c->body_n) {
        if (!c->out_n) {
            c->out = c->body;
            c->out_n = c->body_n;
            c->body_n = 0;
        }
        ssize_t w = write(c->fd, c->out, c->out_n);
        if (w < 0) {
            if (errno == EAGAIN)
                return;
            die("write");
        }
        c->out += w;
        c->out_n -= (size_t)w;
    }
}

static void finish(struct conn *c)
{
    if (!c->ok) {
        errors++;
        return;
    }
    if (ntook == cap_took) {
        cap_took = cap_took ? cap_took * 2 : 1 << 16;
        took_us = must(realloc(took_us, cap_took * sizeof(*took_us)));
    }
    took_us[ntook++] = (now_ns() - c->started_ns) / 1000;
}

/* the head is complete in c->in: reads status and length */
static void head(struct conn *c, size_t head_n)
{
    unsigned long long length = 0;
    c->in[head_n - 1] = 0;
    c->ok = strncmp(c->in, "HTTP/1.1 2", 10) == 0;
    char *p = strcasestr(c->in, "\r\ncontent-length:");
    if (p)
        length = strtoull(p + 17, NULL, 10);
    else if (strncmp(c->in + 9, "204", 3) != 0) {
        fprintf(stderr, "answer without Content-Length:\n%s\n", c->in);
        exit(1);
    }
    uint64_t have = c->in_n - head_n;
    if (have > length) {
        fprintf(stderr, "more came than was asked for\n");
        exit(1);
    }
    c->body_left = length - have;
    c->in_body = 1;
}

/* 1: the answer is complete */
static int pull(struct conn *c)
{
    for (;;) {
        char *at = c->in_body ? c->in : c->in + c->in_n;
        size_t room = c->in_body ? sizeof(c->in) : sizeof(c->in) - c->in_n;
        ssize_t r = room ? read(c->fd, at, room) : 0;
        if (r < 0) {
            if (errno == EAGAIN)
                return 0;
            die("read");
        }
        if (r == 0) {
            fprintf(stderr, "the server closed a connection\n");
            exit(1);
        }
        if (c->in_body) {
            c->body_left -= (uint64_t)r;
        } else {
            c->in_n += (size_t)r;
            char *end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
            if (!end)
                continue;
            head(c, (size_t)(end - c->in) + 4);
        }
        if (c->body_left == 0)
            return 1;
    }
}

static int cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static unsigned long long percentile(double q)
{
    return ntook ? took_us[(uint64_t)(q * (double)(ntook - 1))] : 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr,
                "usage: load PORT PATH CONNECTIONS SECONDS|xREQUESTS|nLINES [BODYFILE...]\n");
        return 2;
    }
    long port = strtol(argv[1], NULL, 10), n = strtol(argv[3], NULL, 10);
    unsigned long lines = argv[4][0] == 'n' ? strtoul(argv[4] + 1, NULL, 10) : 0;
    if (argc == 5)
        add_request(argv[2], NULL, 0);
    for (int i = 5; i < argc; i++)
        add_file(argv[2], argv[i], lines);
    if (!nrequests) {
        fprintf(stderr, "nothing to send\n");
        return 2;
    }
    if (lines)
        target = nrequests;
    else if (argv[4][0] == 'x')
        target = strtoull(argv[4] + 1, NULL, 10);

    struct conn *conns = must(calloc((size_t)n, sizeof(*conns)));
    int ep = epoll_create1(0), one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (long i = 0; i < n; i++) {
        struct conn *c = &conns[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) != 0)
            die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
        if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
            die("epoll_ctl");
    }
    uint64_t start = now_ns();
    until_ns = start + (uint64_t)(strtod(argv[4], NULL) * 1e9);
    long busy = 0;
    for (long i = 0; i < n; i++) {
        if (begin(&conns[i])) {
            busy++;
            push(&conns[i]);
        }
    }
    while (busy) {
        struct epoll_event evs[64];
        int got = epoll_wait(ep, evs, 64, 30000);
        if (got <= 0)
            die("nothing came for 30 s");
        for (int i = 0; i < got; i++) {
            struct conn *c = evs[i].data.ptr;
            push(c);
            while (c->out_n + c->body_n == 0 && c->started_ns && pull(c)) {
                finish(c);
                if (!begin(c)) {
                    c->started_ns = 0;
                    busy--;
                    break;
                }
                push(c);
            }
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    if (ntook)
        qsort(took_us, ntook, sizeof(*took_us), cmp);
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.4f, \"p50_us\": %llu, "
           "\"p99_us\": %llu, \"max_us\": %llu}\n",
           (unsigned long long)ntook, (unsigned long long)errors, seconds, percentile(0.5),
           percentile(0.99), percentile(1));
    return errors ? 1 : 0;
}
