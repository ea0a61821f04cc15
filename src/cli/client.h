/* client.h: the one door to a server: HTTP by libcurl, blocking, one request at a time.
 *
 * Errors of the network come with the slug "unreachable" (exit 69); refusals of the server carry
 * its own sentence and hint. Nothing follows redirects; a proxy is never used for loopback. */
#ifndef FL_CLI_CLIENT_H
#define FL_CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct client;

struct client_conf {
    const char *url;          /* "http://127.0.0.1:8140" */
    const char *key;          /* bearer; NULL = none */
    const char *ca_file;      /* trust this certificate; NULL = the system's */
    const volatile int *stop; /* non-zero ends a transfer: ERR_CANCELED; may be NULL */
};
int client_new(struct client **ret, const struct client_conf *conf, struct err *err);
void client_free(struct client *c);
const char *client_url(const struct client *c);

struct call {
    const char *method;
    const char *path; /* with its query, already escaped */
    str body;
    const char *type;     /* of the body; NULL = none */
    const char *encoding; /* Content-Encoding; NULL = none */
    const char *idempotency_key;
    const char *accept;
    const char *last_event_id;
    int64_t timeout_ms; /* whole call; 0 = none */
    int64_t connect_ms; /* 0 = 5 s */
    int watch_fd;       /* > 0: stop when the reader of this pipe has gone */
    bool to_the_end;    /* conf.stop does not interrupt it */
    /* body of a 2xx answer, piece by piece; false stops the transfer (ERR_CANCELED). NULL: see out
     */
    bool (*on_data)(void *ctx, str piece);
    void *ctx;
    void (*on_wait)(void *wait_ctx); /* at least once a second while the call lasts; may be NULL */
    void *wait_ctx;
    struct buf *out;     /* gets the body otherwise; may be NULL */
    struct buf *refusal; /* gets the body of an answer that is not 2xx; may be NULL */
    /* answered */
    int status;
    int retry_after_s; /* -1 when the server named none */
    bool is_fleetlog;  /* said by its Server header */
};
/* 0 for a 2xx answer; otherwise an error whose message is the server's own or curl's. */
int client_call(struct client *c, struct call *call, struct err *err);
/* percent-encodes s as a query value or path segment */
void url_escape(struct buf *b, str s);
/* appends "?name=value" or "&name=value" */
void url_param(struct buf *b, const char *name, str value);

/* ---- server-sent events, incrementally ---- */
struct sse_event {
    str id, type, data; /* valid during the call */
};
struct sse {
    struct buf line, data, id, type;
    bool cr;
    bool (*on_event)(void *ctx, const struct sse_event *ev); /* false stops */
    void *ctx;
    bool stopped;
};
void sse_init(struct sse *s, bool (*on_event)(void *, const struct sse_event *), void *ctx);
void sse_reset(struct sse *s); /* a new connection */
void sse_deinit(struct sse *s);
bool sse_feed(void *sse, str piece); /* a call's on_data */

#endif
