/* client.c: HTTP by libcurl, and server-sent events.
 *
 * One easy handle for a client's life keeps the connection alive between calls. The answer's status
 * is known before its body: the body of a refusal is kept aside and made into the error. */
#include "cli/client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/doc.h"

#define REFUSAL_MAX (1u << 20)
#define EVENT_MAX (32u << 20)

/* ---- escaping ---- */

void url_escape(struct buf *b, str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            buf_putc(b, (char)c);
        } else {
            buf_putc(b, '%');
            buf_putc(b, hex[c >> 4]);
            buf_putc(b, hex[c & 15]);
        }
    }
}

void url_param(struct buf *b, const char *name, str value)
{
    buf_putc(b, str_chr(buf_str(b), '?') == SIZE_MAX ? '?' : '&');
    buf_puts(b, name);
    buf_putc(b, '=');
    url_escape(b, value);
}

/* ---- events ---- */

void sse_init(struct sse *s, bool (*on_event)(void *, const struct sse_event *), void *ctx)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->line, EVENT_MAX);
    buf_init(&s->data, EVENT_MAX);
    buf_init(&s->id, 4096);
    buf_init(&s->type, 4096);
    s->on_event = on_event;
    s->ctx = ctx;
}

void sse_reset(struct sse *s)
{
    buf_reset(&s->line);
    buf_reset(&s->data);
    buf_reset(&s->id);
    buf_reset(&s->type);
    s->cr = false;
    s->stopped = false;
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->line);
    buf_deinit(&s->data);
    buf_deinit(&s->id);
    buf_deinit(&s->type);
}

static void sse_line(struct sse *s)
{
    str line = buf_str(&s->line);
    if (line.n == 0) {
        if (s->data.n || s->type.n) {
            struct sse_event ev = { buf_str(&s->id), buf_str(&s->type), buf_str(&s->data) };
            if (ev.data.n && ev.data.p[ev.data.n - 1] == '\n')
                ev.data.n--;
            s->stopped = s->stopped || !s->on_event(s->ctx, &ev);
        }
        buf_reset(&s->data);
        buf_reset(&s->type);
        buf_reset(&s->id);
        return;
    }
    size_t colon = str_chr(line, ':');
    str name = colon == SIZE_MAX ? line : str_sub(line, 0, colon);
    str value = colon == SIZE_MAX ? STR_NULL : str_skip(line, colon + 1);
    if (str_starts(value, STR(" ")))
        value = str_skip(value, 1);
    if (str_eq(name, STR("data"))) {
        buf_putstr(&s->data, value);
        buf_putc(&s->data, '\n');
    } else if (str_eq(name, STR("id"))) {
        buf_reset(&s->id);
        buf_putstr(&s->id, value);
    } else if (str_eq(name, STR("event"))) {
        buf_reset(&s->type);
        buf_putstr(&s->type, value);
    }
}

bool sse_feed(void *sse, str piece)
{
    struct sse *s = sse;
    while (piece.n && !s->stopped) {
        size_t n = 0;
        if (s->cr && piece.p[0] == '\n') /* CRLF is one line end */
            piece = str_skip(piece, 1);
        s->cr = false;
        while (n < piece.n && piece.p[n] != '\n' && piece.p[n] != '\r')
            n++;
        buf_put(&s->line, piece.p, n);
        if (n == piece.n)
            break;
        s->cr = piece.p[n] == '\r';
        sse_line(s);
        buf_reset(&s->line);
        piece = str_skip(piece, n + 1);
    }
    return !s->stopped && buf_ok(&s->line) && buf_ok(&s->data);
}

#if FL_HAVE_CURL

#include <curl/curl.h>

struct client {
    CURL *curl;
    char url[512];
    char auth[600];
    const char *ca_file;
    const volatile int *stop;
    char detail[CURL_ERROR_SIZE];
    struct buf refusal;
    struct call *call;
};

const char *client_url(const struct client *c)
{
    return c->url;
}

static int check_url(struct client *c, const char *url, struct err *err)
{
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    bool bare = !http && !strstr(url, "://");
    if ((!http && !bare) || n == 0 || n + 8 >= sizeof(c->url)) {
        err_set(err, ERR_INVALID, "'%.100s' is not the URL of a server", url);
        err_hint(err, "write it as http://127.0.0.1:8140");
        return ERR_INVALID;
    }
    snprintf(c->url, sizeof(c->url), "%s%.*s", bare ? "http://" : "", (int)n, url);
    return 0;
}

int client_new(struct client **ret, const struct client_conf *conf, struct err *err)
{
    static bool started;
    struct client *c = mem_zalloc(sizeof(*c));
    if (!c)
        return err_nomem(err);
    buf_init(&c->refusal, REFUSAL_MAX);
    int rc = check_url(c, conf->url, err);
    if (rc == 0 && conf->key) {
        for (const char *p = conf->key; *p; p++)
            if ((unsigned char)*p <= ' ' || *p == 0x7f)
                rc =
                    err_set(err, ERR_INVALID, "the API key has spaces or control characters in it");
        if (rc == 0 && strlen(conf->key) > 512)
            rc = err_set(err, ERR_INVALID, "the API key is longer than 512 bytes");
        if (rc == 0)
            snprintf(c->auth, sizeof(c->auth), "Authorization: Bearer %s", conf->key);
    }
    if (rc == 0 && !started) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        started = true;
    }
    if (rc == 0 && !(c->curl = curl_easy_init()))
        rc = err_nomem(err);
    if (rc < 0) {
        client_free(c);
        return rc;
    }
    c->ca_file = conf->ca_file;
    c->stop = conf->stop;
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    buf_deinit(&c->refusal);
    mem_free(c);
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
    struct client *c = user;
    struct call *call = c->call;
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    str piece = { p, size * n };
    if (status < 200 || status > 299) {
        if (c->refusal.n + piece.n <= REFUSAL_MAX)
            buf_putstr(&c->refusal, piece);
        return piece.n;
    }
    if (call->on_data)
        return call->on_data(call->ctx, piece) ? piece.n : CURL_WRITEFUNC_ERROR;
    if (call->out) {
        buf_putstr(call->out, piece);
        return buf_ok(call->out) ? piece.n : CURL_WRITEFUNC_ERROR;
    }
    return piece.n;
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
    struct client *c = user;
    str line = str_trim((str){ p, size * n });
    size_t colon = str_chr(line, ':');
    if (colon != SIZE_MAX) {
        str name = str_sub(line, 0, colon), value = str_trim(str_skip(line, colon + 1));
        int64_t s;
        if (str_eq_ci(name, STR("retry-after")) && str_to_i64(value, &s) && s >= 0 && s < 86400)
            c->call->retry_after_s = (int)s;
        if (str_eq_ci(name, STR("server")) && str_starts(value, STR("fleetlog")))
            c->call->is_fleetlog = true;
    }
    return size * n;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
    struct client *c = user;
    (void)a, (void)b, (void)d, (void)e;
    if (c->call->on_wait)
        c->call->on_wait(c->call->wait_ctx);
    if (c->call->watch_fd > 0) {
        struct pollfd p = { .fd = c->call->watch_fd };
        if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR))
            return 1;
    }
    return c->stop && *c->stop && !c->call->to_the_end;
}

/* the server's sentence: {"error":{"message","hint"}}, {"error":"text"} or {"detail":...} */
static int refused(struct client *c, struct err *err)
{
    static const struct {
        int status, code;
    } map[] = { { 401, ERR_DENIED },   { 403, ERR_DENIED }, { 404, ERR_NOTFOUND },
                { 409, ERR_CONFLICT }, { 429, ERR_BUSY },   { 503, ERR_BUSY } };
    int status = c->call->status, code = status < 500 ? ERR_INVALID : ERR_IO;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (map[i].status == status)
            code = map[i].code;
    struct arena a;
    struct jv *root = NULL;
    struct err ignored = ERR_INIT;
    arena_init(&a, 16u << 20);
    if (doc_parse(&root, &a, buf_str(&c->refusal), &ignored) < 0)
        root = NULL;
    const struct jv *e = jv_get(root, "error"), *pos = jv_get(e, "position");
    str text = jv_str(e);
    if (!text.n)
        text = jv_get_str(e, "message");
    if (!text.n)
        text = jv_get_str(root, "detail");
    if (text.n)
        err_set(err, code, "%.*s", STR_FMT(text));
    else
        err_set(err, code, "%s answered %d", c->url, status);
    str hint = jv_get_str(e, "hint");
    char slug[40];
    snprintf(slug, sizeof(slug), "%.*s", STR_FMT(jv_get_str(e, "code")));
    err->pos = jv_int(pos, -1);
    if (slug[0])
        err_slug(err, slug);
    if (hint.n)
        err_hint(err, "%.*s", STR_FMT(hint));
    else if (status == 401)
        err_hint(err, "give a key with --key-file FILE or FLEETLOG_API_KEY; on the server's "
                      "machine 'fleetlog keys create --data-dir DIR' makes one");
    arena_deinit(&a);
    return code;
}

static int failed(struct client *c, CURLcode rc, struct err *err)
{
    if (rc == CURLE_ABORTED_BY_CALLBACK || rc == CURLE_WRITE_ERROR)
        return err_set(err, ERR_CANCELED, "stopped");
    int code = rc == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_IO;
    const char *why = c->detail[0] ? c->detail : curl_easy_strerror(rc);
    long os = 0;
    curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os);
    if (rc == CURLE_COULDNT_CONNECT && os)
        why = strerror((int)os);
    err_set(err, code, "cannot reach %s: %s", c->url, why);
    err_slug(err, SLUG_UNREACHABLE);
    if (rc == CURLE_PEER_FAILED_VERIFICATION)
        err_hint(err, "a certificate of your own is trusted with --ca-file FILE");
    else
        err_hint(err, "start a server with 'fleetlog serve', or name one with --url");
    return code;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    char line[700];
    if (!value)
        return true;
    snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more)
        *list = more;
    return more != NULL;
}

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static void set_up(struct client *c, struct call *call)
{
    CURL *h = c->curl;
    curl_easy_reset(h);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->detail);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(h, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    if (is_loopback(c->url))
        curl_easy_setopt(h, CURLOPT_PROXY, "");
    if (c->ca_file)
        curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "fleetlog/" FL_VERSION);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
                     call->connect_ms ? (long)call->connect_ms : 5000L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->type) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body.p ? call->body.p : "");
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    }
}

int client_call(struct client *c, struct call *call, struct err *err)
{
    struct buf url;
    buf_init(&url, 256u << 10);
    buf_printf(&url, "%s%s", c->url, call->path);
    buf_reset(&c->refusal);
    c->call = call;
    c->detail[0] = 0;
    call->status = 0;
    call->retry_after_s = -1;
    call->is_fleetlog = false;

    set_up(c, call);
    struct curl_slist *list = NULL;
    bool ok = buf_ok(&url) && add_header(&list, "Content-Type", call->type) &&
              add_header(&list, "Content-Encoding", call->encoding) &&
              add_header(&list, "Idempotency-Key", call->idempotency_key) &&
              add_header(&list, "Accept", call->accept) &&
              add_header(&list, "Last-Event-ID", call->last_event_id) &&
              add_header(&list, "Expect", ""); /* no 100-continue round trip */
    if (ok && c->auth[0]) {
        struct curl_slist *more = curl_slist_append(list, c->auth);
        ok = more != NULL;
        list = more ? more : list;
    }
    int rc;
    if (!ok) {
        rc = err_nomem(err);
    } else {
        curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
        curl_easy_setopt(c->curl, CURLOPT_URL, url.p);
        CURLcode got = curl_easy_perform(c->curl);
        long status = 0;
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        call->status = (int)status;
        rc = got != CURLE_OK ? failed(c, got, err) : 0;
        if (rc == 0 && (status < 200 || status > 299)) {
            if (call->refusal)
                buf_putstr(call->refusal, buf_str(&c->refusal));
            rc = refused(c, err);
        }
    }
    curl_slist_free_all(list);
    buf_deinit(&url);
    c->call = NULL;
    return rc;
}

#else /* built without libcurl: directories can be read, servers cannot be asked */

struct client {
    int none;
};

int client_new(struct client **ret, const struct client_conf *conf, struct err *err)
{
    (void)ret, (void)conf;
    err_set(err, ERR_UNSUPPORTED,
            "this fleetlog was built without libcurl and cannot ask a server");
    err_hint(err, "read a directory with --data-dir DIR");
    return ERR_UNSUPPORTED;
}

void client_free(struct client *c)
{
    (void)c;
}

const char *client_url(const struct client *c)
{
    (void)c;
    return "";
}

int client_call(struct client *c, struct call *call, struct err *err)
{
    (void)c, (void)call;
    return err_set(err, ERR_UNSUPPORTED, "built without libcurl");
}

#endif
