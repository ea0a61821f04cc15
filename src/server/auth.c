/* auth.c: may this request be answered? Asked when its head is complete, before any body is read.
 *
 *   Host and Origin -> who (key, ticket, or nobody on an open server) -> route -> scope
 *
 * Invariants
 *  1. Open means: no key was ever made or given, and every listener is on loopback. Revoking the
 *     last one opens nothing.
 *  2. A stranger learns nothing: without a valid key every path but the public ones answers the
 * same 401, whether it exists or not.
 *  3. Guessing is slow: of one address, 20 different wrong keys a minute, or one wrong key 20
 * times, and further unknown keys get 429 unseen. Keys that worked before keep working meanwhile,
 * so nobody can lock out the agents behind the same address.
 *  4. Whoever was let in for longer than a request (a tail, a ticket) is asked again: what a key
 *     or the lack of keys allowed ends with it.
 *  5. Names in Host are checked wherever only loopback is served: a foreign name there is DNS
 *     rebinding. A foreign Origin is refused everywhere; there are no CORS headers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/hash.h"
#include "base/mem.h"
#include "server/handlers.h"
#include "server/internal.h"

#define FAIL_SLOTS 512
#define FAIL_MAX 20
#define FAIL_WINDOW_NS (60 * NS_PER_S)
#define GOOD_SLOTS 1024
#define TICKETS_MAX 1024
#define TICKET_NS (30 * NS_PER_S)
#define RATE_SLOTS 256
#define SECRET_MAX 512

struct failures { /* of one address, in the current window */
    uint64_t ip;
    int64_t since;
    uint32_t n;
    uint64_t secret[FAIL_MAX];
    uint8_t times[FAIL_MAX];
};

struct ticket {
    uint8_t bytes[16];
    int64_t expires; /* 0: free */
    struct principal who;
};

struct rate {
    uint32_t key_id;
    double tokens;
    int64_t at;
};

struct auth {
    pthread_mutex_t lock;
    struct failures fails[FAIL_SLOTS];
    struct ticket tickets[TICKETS_MAX];
    struct rate rates[RATE_SLOTS];
    _Atomic uint64_t good[GOOD_SLOTS]; /* hash_keyed of secrets that worked */
    uint64_t salt;
    struct principal anyone;
};

int auth_new(struct server *s, struct err *err)
{
    struct auth *a = mem_zalloc(sizeof *a);
    if (!a)
        return err_nomem(err);
    if (getrandom(&a->salt, sizeof a->salt, 0) != (ssize_t)sizeof a->salt) {
        mem_free(a);
        return err_sys(err, errno, "no random numbers");
    }
    pthread_mutex_init(&a->lock, NULL);
    a->anyone.scopes = SCOPE_ALL;
    snprintf(a->anyone.name, sizeof a->anyone.name, "anyone");
    s->auth = a;
    return 0;
}

void auth_free(struct server *s)
{
    if (!s->auth)
        return;
    pthread_mutex_destroy(&s->auth->lock);
    OPENSSL_cleanse(s->auth, sizeof *s->auth);
    mem_free(s->auth);
    s->auth = NULL;
}

bool auth_is_open(struct server *s)
{
    return s->loopback_only && !meta_key_any(s->meta);
}

bool auth_still(struct server *s, const struct principal *who)
{
    return who->key_id ? meta_key_usable(s->meta, who->key_id, server_now(s)) : auth_is_open(s);
}

/* ---- Host and Origin ---- */

static str host_name(str host)
{
    if (host.n && host.p[0] == '[') {
        size_t end = str_chr(host, ']');
        return end == SIZE_MAX ? host : str_sub(host, 0, end + 1);
    }
    return str_sub(host, 0, str_chr(host, ':'));
}

static bool is_ipv4_loopback(str h)
{
    str part;
    uint64_t v;
    int n = 0;
    if (!str_starts(h, STR("127.")))
        return false;
    while (str_split(&h, '.', &part))
        if (++n > 4 || part.n > 3 || !str_to_u64(part, &v) || v > 255)
            return false;
    return n == 4;
}

static bool is_loopback_name(str h)
{
    return str_eq_ci(h, STR("localhost")) || str_eq(h, STR("[::1]")) || is_ipv4_loopback(h) ||
           (h.n > 10 && str_eq_ci(str_skip(h, h.n - 10), STR(".localhost")));
}

static bool host_allowed(struct server *s, const struct http_req *req)
{
    str host = http_header(req, "host");
    if (!host.p && req->version_minor == 0)
        return true; /* no browser speaks HTTP/1.0 */
    str name = host_name(host);
    if (!s->loopback_only && s->cfg.nallow_hosts == 0)
        return true;
    if (is_loopback_name(name))
        return true;
    for (uint32_t i = 0; i < s->cfg.nallow_hosts; i++) {
        str allowed = str_c(s->cfg.allow_hosts[i]);
        if (str_eq(allowed, STR("*")) || str_eq_ci(allowed, name) || str_eq_ci(allowed, host))
            return true;
    }
    for (uint32_t i = 0; !s->loopback_only && i < s->cfg.nlisten; i++)
        if (str_eq_ci(host_name(str_c(s->cfg.listen[i])), name))
            return true;
    return false;
}

static bool origin_allowed(const struct http_req *req)
{
    str origin = http_header(req, "origin");
    if (!origin.p) {
        str site = http_header(req, "sec-fetch-site"), dest = http_header(req, "sec-fetch-dest");
        bool foreign = str_eq_ci(site, STR("cross-site")) || str_eq_ci(site, STR("same-site"));
        bool link = str_eq_ci(http_header(req, "sec-fetch-mode"), STR("navigate")) &&
                    (!dest.n || str_eq_ci(dest, STR("document")));
        return !foreign || (link && req->method == HTTP_GET);
    }
    str host = http_header(req, "host");
    str rest = str_starts(origin, STR("http://"))    ? str_skip(origin, 7)
               : str_starts(origin, STR("https://")) ? str_skip(origin, 8)
                                                     : STR_NULL;
    return rest.n && host.n && str_eq_ci(rest, host);
}

/* ---- failures ---- */

static uint64_t secret_hash(struct auth *a, str secret)
{
    return hash_keyed(secret) ^ a->salt;
}

static bool is_good(struct auth *a, uint64_t h)
{
    return atomic_load_explicit(&a->good[h % GOOD_SLOTS], memory_order_relaxed) == h;
}

static void set_good(struct auth *a, uint64_t h)
{
    atomic_store_explicit(&a->good[h % GOOD_SLOTS], h, memory_order_relaxed);
}

/* lock held; the address's slot, emptied when its window is over or another address had it */
static struct failures *slot_of(struct auth *a, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    str ip = str_n(peer, colon ? (size_t)(colon - peer) : strlen(peer));
    uint64_t h = hash_keyed(ip);
    struct failures *f = &a->fails[h % FAIL_SLOTS];
    int64_t now = mono_ns();
    if (f->ip != h || now - f->since > FAIL_WINDOW_NS) {
        *f = (struct failures){ .ip = h, .since = now };
    }
    return f;
}

static bool is_limited(struct auth *a, const char *peer, uint64_t h)
{
    pthread_mutex_lock(&a->lock);
    struct failures *f = slot_of(a, peer);
    bool limited = f->n >= FAIL_MAX;
    for (uint32_t i = 0; i < f->n && !limited; i++)
        limited = f->secret[i] == h && f->times[i] >= FAIL_MAX;
    pthread_mutex_unlock(&a->lock);
    return limited;
}

static void note_failure(struct auth *a, const char *peer, uint64_t h)
{
    pthread_mutex_lock(&a->lock);
    struct failures *f = slot_of(a, peer);
    uint32_t i = 0;
    while (i < f->n && f->secret[i] != h)
        i++;
    if (i == f->n && f->n < FAIL_MAX) {
        f->secret[f->n] = h;
        f->times[f->n++] = 0;
    }
    if (i < f->n && f->times[i] < UINT8_MAX)
        f->times[i]++;
    pthread_mutex_unlock(&a->lock);
}

/* ---- credentials ---- */

static bool strip_scheme(str v, str scheme, str *ret)
{
    if (v.n <= scheme.n || !str_eq_ci(str_sub(v, 0, scheme.n), scheme) || v.p[scheme.n] != ' ')
        return false;
    *ret = str_trim(str_skip(v, scheme.n));
    return ret->n > 0;
}

/* base64 of "name:secret" -> secret (or name, when the secret is empty) */
static bool decode_pair(str b64, struct arena *a, str *ret)
{
    if (b64.n == 0 || b64.n > SECRET_MAX || b64.n % 4)
        return false;
    unsigned char *out = arena_alloc(a, b64.n);
    int n = out ? EVP_DecodeBlock(out, (const unsigned char *)b64.p, (int)b64.n) : -1;
    if (n < 0)
        return false;
    size_t len = (size_t)n - (b64.p[b64.n - 1] == '=') - (b64.p[b64.n - 2] == '=');
    str pair = str_n((char *)out, len);
    size_t colon = str_chr(pair, ':');
    if (colon == SIZE_MAX)
        return false;
    *ret = colon + 1 < pair.n ? str_skip(pair, colon + 1) : str_sub(pair, 0, colon);
    return ret->n > 0;
}

static bool credentials(const struct http_req *req, str *ret)
{
    str v = http_header(req, "authorization"), rest;
    if (strip_scheme(v, STR("Bearer"), ret))
        return true;
    if (strip_scheme(v, STR("Basic"), &rest) || strip_scheme(v, STR("ApiKey"), &rest))
        return decode_pair(rest, req->arena, ret);
    v = http_header(req, "x-api-key");
    *ret = v;
    return v.n > 0;
}

static const struct principal *principal_of(const struct api_key *k, struct arena *a)
{
    struct principal *p = arena_zalloc(a, sizeof *p);
    if (!p)
        return NULL;
    p->key_id = k->id;
    p->scopes = k->scopes;
    p->rate = k->rate;
    p->expires = k->expires;
    memcpy(p->agent, k->agent, sizeof p->agent);
    memcpy(p->name, k->name, sizeof p->name);
    return p;
}

/* 0 and *ret, or the status to refuse with */
static int by_key(struct server *s, struct http_req *req, const struct principal **ret)
{
    str secret;
    struct api_key key;
    if (!credentials(req, &secret) || secret.n > SECRET_MAX)
        return 401;
    uint64_t h = secret_hash(s->auth, secret);
    if (!is_good(s->auth, h) && is_limited(s->auth, req->peer, h)) {
        metric_add(&s->metrics.auth_limited, 1);
        return 429;
    }
    if (!meta_key_find(s->meta, secret, server_now(s), &key)) {
        note_failure(s->auth, req->peer, h);
        metric_add(&s->metrics.auth_failures, 1);
        return 401;
    }
    set_good(s->auth, h);
    *ret = principal_of(&key, req->arena);
    return *ret ? 0 : 503;
}

/* ---- tickets ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool auth_ticket(struct server *s, const struct principal *who, char ret[33])
{
    struct auth *a = s->auth;
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    int64_t now = mono_ns();
    struct ticket *t = NULL;
    pthread_mutex_lock(&a->lock);
    for (uint32_t i = 0; i < TICKETS_MAX && !t; i++)
        if (a->tickets[i].expires < now)
            t = &a->tickets[i];
    if (t) {
        memcpy(t->bytes, bytes, sizeof bytes);
        t->expires = now + TICKET_NS;
        t->who = *who;
    }
    pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < 16; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return t != NULL;
}

static int by_ticket(struct server *s, struct http_req *req, str text, const struct principal **ret)
{
    struct auth *a = s->auth;
    struct principal *p = arena_zalloc(req->arena, sizeof *p);
    uint8_t bytes[16];
    if (!p)
        return 503;
    if (text.n != 32)
        return 401;
    for (int i = 0; i < 16; i++) {
        int hi = hex_digit(text.p[2 * i]), lo = hex_digit(text.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return 401;
        bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    int64_t now = mono_ns();
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (uint32_t i = 0; i < TICKETS_MAX; i++) {
        struct ticket *t = &a->tickets[i];
        if (t->expires >= now && CRYPTO_memcmp(t->bytes, bytes, sizeof bytes) == 0) {
            *p = t->who;
            t->expires = 0;
            found = true;
        }
    }
    pthread_mutex_unlock(&a->lock);
    *ret = p;
    return found && auth_still(s, p) ? 0 : 401;
}

void auth_revoked(struct server *s, uint32_t key_id)
{
    struct auth *a = s->auth;
    pthread_mutex_lock(&a->lock);
    for (uint32_t i = 0; i < TICKETS_MAX; i++)
        if (a->tickets[i].who.key_id == key_id)
            a->tickets[i].expires = 0;
    pthread_mutex_unlock(&a->lock);
    tails_end(s, key_id);
}

void native_ticket(struct call *c)
{
    char ticket[33], body[128];
    if (!auth_ticket(c->s, c->who, ticket)) {
        reply_error(c, 503, "busy", "too many tickets are waiting to be used");
        return;
    }
    metric_add(&c->s->metrics.tickets, 1);
    int n = snprintf(body, sizeof body, "{\"ticket\":\"%s\",\"expires_in_s\":%d}\n", ticket,
                     (int)(TICKET_NS / NS_PER_S));
    reply_json(c, 200, str_n(body, (size_t)n));
}

/* ---- a key's agents and rate ---- */

static bool glob_match(str pattern, str s)
{
    size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;
    while (i < s.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = i;
        } else if (p < pattern.n && pattern.p[p] == s.p[i]) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

bool auth_may_agent(const struct principal *who, str agent)
{
    return !who->agent[0] || glob_match(str_c(who->agent), agent);
}

/* lock held; NULL: not limited */
static struct rate *rate_slot(struct auth *a, const struct principal *who)
{
    if (!who->rate)
        return NULL;
    struct rate *r = &a->rates[who->key_id % RATE_SLOTS];
    int64_t now = mono_ns();
    if (r->key_id != who->key_id)
        *r = (struct rate){ who->key_id, who->rate, now };
    r->tokens += (double)(now - r->at) / (double)NS_PER_S * who->rate;
    if (r->tokens > who->rate)
        r->tokens = who->rate; /* a burst of one second */
    r->at = now;
    return r;
}

bool auth_rate_ok(struct server *s, const struct principal *who, uint32_t *ret_wait_s)
{
    if (!who->rate)
        return true;
    pthread_mutex_lock(&s->auth->lock);
    struct rate *r = rate_slot(s->auth, who);
    double tokens = r->tokens;
    pthread_mutex_unlock(&s->auth->lock);
    *ret_wait_s = tokens > 0 ? 0 : 1 + (uint32_t)(-tokens / who->rate);
    return tokens > 0;
}

void auth_rate_charge(struct server *s, const struct principal *who, uint64_t rows)
{
    if (!who->rate)
        return;
    pthread_mutex_lock(&s->auth->lock);
    rate_slot(s->auth, who)->tokens -= (double)rows;
    pthread_mutex_unlock(&s->auth->lock);
}

/* ---- the check ---- */

static int refuse(struct call *c, int status, const char *text, str *ret_body)
{
    struct buf b;
    struct err err = ERR_INIT;
    snprintf(err.msg, sizeof err.msg, "%s", text);
    if (status == 404)
        err.code = ERR_NOTFOUND;
    else if (status == 503)
        err.code = ERR_NOMEM;
    buf_init(&b, 16384);
    error_body(&b, c->shape, status, &err);
    *ret_body = arena_dup(c->req->arena, buf_str(&b));
    buf_deinit(&b);
    if (c->route)
        metric_done(&c->s->metrics, c->route->kind, status, mono_ns() - c->started);
    return status;
}

static int identify(struct call *c)
{
    struct server *s = c->s;
    str ticket;
    if (auth_is_open(s)) {
        c->who = &s->auth->anyone;
        return 0;
    }
    if (c->route && (c->route->flags & ROUTE_TICKET) && http_param(c->req, "ticket", &ticket))
        return by_ticket(s, c->req, ticket, &c->who);
    return by_key(s, c->req, &c->who);
}

static int refuse_stranger(struct call *c, int status, str *ret_body, const char **ret_headers)
{
    if (status == 429) {
        *ret_headers = PRIVATE_HEADERS "Retry-After: 60\r\n";
        return refuse(c, 429, "too many wrong keys from this address, wait a minute", ret_body);
    }
    if (status == 503) {
        *ret_headers = PRIVATE_HEADERS "Retry-After: 1\r\n";
        return refuse(c, 503, "out of memory", ret_body);
    }
    bool browser = c->route && (c->route->flags & ROUTE_HTML) && http_prefers_html(c->req);
    *ret_headers = browser ? PRIVATE_HEADERS
                       "WWW-Authenticate: Basic realm=\"fleetlog: the key is the password\"\r\n"
                           : PRIVATE_HEADERS "WWW-Authenticate: Bearer realm=\"fleetlog\"\r\n";
    if (browser) /* what stays on the screen of who dismissed the prompt */
        return refuse(c, 401,
                      "a valid key is needed: reload this page and give the key as the password, "
                      "with any user name; fleetlog keys create makes one",
                      ret_body);
    return refuse(c, 401,
                  c->shape == SHAPE_MALS
                      ? "Not authenticated"
                      : "a valid key is needed in the header Authorization: Bearer KEY",
                  ret_body);
}

static int check_route(struct call *c, enum route_result found, str *ret_body,
                       const char **ret_headers)
{
    if (found == ROUTE_NO_PATH) {
        char text[ERR_MSG_MAX];
        str path = c->req->path_decoded;
        snprintf(text, sizeof text, "Unknown route: %.*s %.*s",
                 (int)(c->req->method_text.n < 20 ? c->req->method_text.n : 20),
                 c->req->method_text.p, (int)(path.n < 300 ? path.n : 300), path.p);
        return refuse(c, 404, c->shape == SHAPE_MALS ? "Not Found" : text, ret_body);
    }
    if (found == ROUTE_NO_METHOD && c->req->method != HTTP_OPTIONS) {
        *ret_headers = arena_printf(c->req->arena, PRIVATE_HEADERS "Allow: %s\r\n", c->allow);
        return refuse(c, 405, "Method Not Allowed", ret_body);
    }
    const struct route *r = c->route;
    if (r && r->scope && (!c->who || !(c->who->scopes & r->scope)))
        return refuse(c, 403, "the key lacks the scope this needs", ret_body);
    return 0;
}

int auth_check(void *ctx, struct http_req *req, str *ret_body, const char **ret_headers)
{
    struct call *c = arena_zalloc(req->arena, sizeof *c);
    if (!c) {
        *ret_headers = "Retry-After: 1\r\n";
        return 503;
    }
    c->s = ctx;
    c->req = req;
    c->started = mono_ns();
    req->user = c;
    *ret_headers = PRIVATE_HEADERS;
    enum route_result found =
        route_match(req->method, req->path, req->arena, &c->route, c->args, c->allow);
    c->shape = c->route ? c->route->shape : shape_of_path(req->path);
    if (!host_allowed(c->s, req)) {
        metric_add(&c->s->metrics.host_refused, 1);
        return refuse(c, 421, "this server does not go by that name; --allow-host adds one",
                      ret_body);
    }
    if (!origin_allowed(req)) {
        metric_add(&c->s->metrics.host_refused, 1);
        return refuse(c, 403, "pages of other origins may not use this server", ret_body);
    }
    int status = identify(c);
    if (status && !(c->route && (c->route->flags & ROUTE_PUBLIC)))
        return refuse_stranger(c, status, ret_body, ret_headers);
    if (status)
        c->who = NULL;
    return check_route(c, found, ret_body, ret_headers);
}

void server_handle(void *ctx, struct http_req *req)
{
    struct call *c = req->user;
    (void)ctx;
    if (c->route) {
        c->route->handle(c);
        return;
    }
    char headers[96];
    snprintf(headers, sizeof headers, "Allow: %s\r\n", c->allow);
    http_respond(req, 204, NULL, headers, STR_NULL);
}
