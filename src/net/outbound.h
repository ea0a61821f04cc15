/* outbound.h: one HTTP POST to an address somebody configured, guarded.
 *
 * The guard looks at the address that is about to be connected, after the name was resolved, and
 * the connection goes to exactly that one: addresses of this machine, of private networks, of the
 * link and of cloud metadata are refused unless a range was opened. Redirects are not followed,
 * proxies of the environment not used, certificates always checked. Blocking; thread-safe. */
#ifndef FL_NET_OUTBOUND_H
#define FL_NET_OUTBOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define OUTBOUND_ANSWER_MAX ((size_t)64 << 10) /* bytes of an answer that are read */
#define OUTBOUND_RANGES_MAX 64

struct sockaddr;

/* ---- the guard (guard.c) ---- */
struct net_range {
    uint8_t addr[16]; /* IPv4: as ::ffff:a.b.c.d */
    uint8_t bits;     /* of 128 */
};
/* "10.0.0.0/8", "fd00::/8", "192.0.2.7" */
bool net_range_parse(str s, struct net_range *ret);
/* NULL when it may be connected, else what kind of address it is: "a loopback address" */
const char *net_guard(const struct sockaddr *sa, const struct net_range *open, uint32_t nopen);

/* ---- the request (outbound.c) ---- */
struct outbound {
    const char *url;
    str body;
    const char *const *headers; /* "Name: value", ended by NULL */
    int64_t timeout_ms;         /* of everything */
    const char *ca_file;        /* trust these certificates; NULL = the system's */
    const struct net_range *open;
    uint32_t nopen;
    const volatile int *stop; /* non-zero ends it: ERR_CANCELED */
    /* answered */
    int status;        /* 0: there was no answer */
    int retry_after_s; /* 0: not said */
};
/* 0 for any answer; ERR_DENIED: the guard refused; ERR_TIMEOUT, ERR_IO, ERR_CANCELED,
 * ERR_UNSUPPORTED (built without libcurl) */
int outbound_post(struct outbound *o, struct err *err);

#endif
