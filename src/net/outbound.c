/* outbound.c: one POST by libcurl, its socket opened by us.
 *
 * libcurl resolves the name and hands each address it wants to connect to open_socket, which judges
 * it and makes the socket for it: what was judged is what is connected, whatever the name server
 * says a moment later. Every request has a handle of its own, so no connection is ever reused. */
#include "net/outbound.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if FL_HAVE_CURL

#include <pthread.h>
#include <sys/socket.h>

#include <curl/curl.h>

struct call {
    struct outbound *o;
    size_t got;
    bool full;
    const char *refused; /* what the guard said of the last address it refused */
    char detail[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global_rc;

static void init(void)
{
    global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *at)
{
    struct call *c = user;
    (void)purpose;
    const char *what = net_guard(&at->addr, c->o->open, c->o->nopen);
    if (what) {
        c->refused = what;
        return CURL_SOCKET_BAD;
    }
    return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

static size_t on_data(char *p, size_t size, size_t n, void *user)
{
    struct call *c = user;
    (void)p;
    c->got += size * n;
    c->full = c->got > OUTBOUND_ANSWER_MAX;
    return c->full ? CURL_WRITEFUNC_ERROR : size * n;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
    struct call *c = user;
    (void)a, (void)b, (void)d, (void)e;
    return c->o->stop && __atomic_load_n(c->o->stop, __ATOMIC_RELAXED);
}

static bool set_up(CURL *h, struct call *c, struct curl_slist *headers)
{
    struct outbound *o = c->o;
    bool ok = curl_easy_setopt(h, CURLOPT_URL, o->url) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_PROXY, "") == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)o->timeout_ms) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_POST, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.n) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_POSTFIELDS, o->body.p) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_USERAGENT, "fleetlog/" FL_VERSION) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, c) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_WRITEDATA, c) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_XFERINFODATA, c) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->detail) == CURLE_OK;
    if (o->ca_file)
        ok &= curl_easy_setopt(h, CURLOPT_CAINFO, o->ca_file) == CURLE_OK;
    return ok;
}

static int outcome(struct call *c, CURLcode rc, struct err *err)
{
    const char *why = c->detail[0] ? c->detail : curl_easy_strerror(rc);
    if (rc == CURLE_OK || (c->full && c->o->status))
        return 0;
    c->o->status = 0; /* an answer that broke off is none */
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, ERR_CANCELED, "canceled");
    if (c->refused && rc == CURLE_COULDNT_CONNECT) {
        err_set(err, ERR_DENIED, "the host is %s", c->refused);
        err_hint(err, "--alert-allow-net opens a range");
        return ERR_DENIED;
    }
    if (rc == CURLE_OUT_OF_MEMORY)
        return err_nomem(err);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, ERR_TIMEOUT, "no answer in %lld ms", (long long)c->o->timeout_ms);
    return err_set(err, ERR_IO, "%.300s", why);
}

int outbound_post(struct outbound *o, struct err *err)
{
    struct call c = { .o = o };
    struct curl_slist *headers = NULL;
    pthread_once(&once, init);
    o->status = o->retry_after_s = 0;
    CURL *h = global_rc == CURLE_OK ? curl_easy_init() : NULL;
    bool ok = h != NULL;
    for (uint32_t i = 0; ok && o->headers[i]; i++) {
        struct curl_slist *more = curl_slist_append(headers, o->headers[i]);
        ok = more != NULL;
        headers = ok ? more : headers;
    }
    int rc;
    if (ok && set_up(h, &c, headers)) {
        CURLcode code = curl_easy_perform(h);
        long status = 0;
        curl_off_t wait = 0;
        if (curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
            o->status = (int)status;
        if (curl_easy_getinfo(h, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
            o->retry_after_s = wait < 3600 ? (int)wait : 3600;
        rc = outcome(&c, code, err);
    } else {
        rc = err_nomem(err);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(h);
    return rc;
}

#else

int outbound_post(struct outbound *o, struct err *err)
{
    o->status = o->retry_after_s = 0;
    return err_set(err, ERR_UNSUPPORTED, "this build has no outbound HTTP (-Dcurl=disabled)");
}

#endif
