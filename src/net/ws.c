/* ws.c: WebSocket connections (RFC 6455) over an upgraded request.
 *
 *   OPEN -> (our close frame) CLOSING -> (theirs, or CLOSE_MS) -> gone
 *        -> (their close frame, echoed) -> gone
 *
 * on_close is called exactly once, from ws_gone, when the connection is closed. A peer that sent
 * nothing for two ping intervals is closed with 1006. */
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "net/internal.h"

#define CLOSE_MS 5000

struct ws {
    struct conn *conn;
    struct net_worker *w;
    struct ws_handler h;
    void *user;
    struct ws_rx rx;
    int code; /* for on_close */
    bool closing;
    bool drain_wanted;
    int64_t since; /* of CLOSING */
    int64_t pinged;
};

static bool header_names(const struct http_req *req, const char *header, str word)
{
    for (uint32_t i = 0; i < req->nheaders; i++) {
        if (!str_eq_ci(req->headers[i].name, str_c(header)))
            continue;
        str list = req->headers[i].value, item;
        while (http1_list_next(&list, &item))
            if (str_eq_ci(item, word))
                return true;
    }
    return false;
}

static bool key_valid(str key)
{
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '+' && c != '/')
            return false;
    }
    return true;
}

static bool wants_upgrade(const struct http_req *req)
{
    return req->method == HTTP_GET && req->version_minor == 1 && req->body.n == 0 &&
           header_names(req, "connection", STR("upgrade")) &&
           header_names(req, "upgrade", STR("websocket")) &&
           key_valid(http_header(req, "sec-websocket-key"));
}

bool http_is_websocket(const struct http_req *req)
{
    return wants_upgrade(req) && str_eq(http_header(req, "sec-websocket-version"), STR("13"));
}

/* base64(SHA-1(key + GUID)), 28 characters and NUL */
static bool accept_key(str key, char out[32])
{
    char text[24 + 36];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    memcpy(text, key.p, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    if (EVP_Digest(text, sizeof text, digest, &n, EVP_sha1(), NULL) != 1 || n != 20)
        return false;
    EVP_EncodeBlock((unsigned char *)out, digest, 20);
    return true;
}

static void refuse(struct http_req *req)
{
    bool version = wants_upgrade(req);
    http_respond(req, version ? 426 : 400, "application/json",
                 version ? "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n" : NULL,
                 version ? STR("{\"error\":{\"code\":\"upgrade_required\",\"message\":"
                               "\"only WebSocket version 13 is spoken here\"}}\n")
                         : STR("{\"error\":{\"code\":\"bad_request\",\"message\":"
                               "\"not a valid WebSocket request\"}}\n"));
}

/* the answer that switches protocols; false: the connection is closed */
static bool send_switch(struct conn *c, const char *key)
{
    struct net_worker *w = c->w;
    struct buf b;
    buf_init(&b, 1024);
    buf_puts(&b, "HTTP/1.1 101 Switching Protocols\r\n");
    buf_putstr(&b, worker_prefix(w));
    buf_printf(&b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
               key);
    bool ok = buf_ok(&b) && conn_queue(c, buf_str(&b));
    buf_deinit(&b);
    if (ok)
        stat_add(&w->st.status_class[1], 1);
    return ok;
}

struct ws *ws_accept(struct http_req *req, const struct ws_handler *h, void *user)
{
    struct request *r = (struct request *)req;
    struct conn *c = request_conn(r);
    char key[32];
    if (!c || !http_is_websocket(req)) {
        refuse(req);
        return NULL;
    }
    struct ws *ws = mem_zalloc(sizeof *ws);
    if (!ws || !accept_key(http_header(req, "sec-websocket-key"), key)) {
        mem_free(ws);
        http_respond(req, 503, "application/json", "Retry-After: 1\r\n", STR_NULL);
        return NULL;
    }
    struct net_worker *w = r->w;
    bool sent = send_switch(c, key);
    request_release(r);
    if (!sent) {
        conn_close(c);
        mem_free(ws);
        return NULL;
    }
    *ws = (struct ws){ .conn = c, .w = w, .h = *h, .user = user, .code = WS_ABNORMAL };
    ws_rx_init(&ws->rx, w->net->lim.ws_message_bytes);
    ws->pinged = c->last_read = worker_now(w);
    c->ws = ws;
    c->state = CONN_WS;
    stat_add(&w->st.websockets_open, 1);
    conn_arm(c);
    return ws;
}

/* ---- sending ---- */

static bool send_frame(struct ws *ws, enum ws_opcode op, str payload)
{
    uint8_t head[10];
    size_t n = ws_frame_head(head, op, payload.n);
    struct conn *c = ws->conn;
    return c && conn_queue(c, str_n((char *)head, n)) && (!payload.n || conn_queue(c, payload));
}

bool ws_send(struct ws *ws, str msg)
{
    if (!ws->conn || ws->closing || !send_frame(ws, WS_TEXT, msg))
        return false;
    struct conn *c = ws->conn;
    if (conn_queued(c) >= NET_FLUSH_NOW && !(c->armed & UV_WRITABLE))
        conn_flush(c);
    if (!ws->conn)
        return false;
    bool room = conn_queued(c) <= ws->w->net->lim.stream_bytes;
    ws->drain_wanted |= !room;
    return room;
}

size_t ws_queued(const struct ws *ws)
{
    return ws->conn ? conn_queued(ws->conn) : 0;
}

void ws_drained(struct ws *ws)
{
    if (!ws->drain_wanted || conn_queued(ws->conn) >= ws->w->net->lim.stream_bytes / 2)
        return;
    ws->drain_wanted = false;
    if (ws->h.on_drain)
        ws->h.on_drain(ws);
}

void ws_close(struct ws *ws, int code, str reason)
{
    char payload[125];
    if (!ws->conn || ws->closing)
        return;
    ws->closing = true;
    ws->since = worker_now(ws->w);
    unsigned sent = ws_code_valid((unsigned)code) ? (unsigned)code : WS_INTERNAL;
    payload[0] = (char)(sent >> 8);
    payload[1] = (char)sent;
    reason = str_sub(reason, 0, sizeof payload - 2);
    while (reason.n && !utf8_valid(reason)) /* never cut a character in two */
        reason.n--;
    if (reason.n)
        memcpy(payload + 2, reason.p, reason.n);
    send_frame(ws, WS_CLOSE, str_n(payload, reason.n + 2));
}

/* ---- receiving ---- */

/* the closing handshake is over as far as we are concerned */
static void end(struct ws *ws, int code)
{
    ws->closing = true;
    ws->code = code;
    conn_finish(ws->conn);
}

static void on_peer_close(struct ws *ws, const struct ws_event *ev)
{
    if (!ws->closing && ev->code == WS_NO_CODE)
        send_frame(ws, WS_CLOSE, STR_NULL);
    else if (!ws->closing)
        ws_close(ws, ev->code, STR_NULL);
    if (ws->conn)
        end(ws, ev->code);
}

static void on_ping(struct ws *ws, str data)
{
    if (ws->closing)
        return;
    if (conn_queued(ws->conn) > ws->w->net->lim.stream_bytes)
        conn_close(ws->conn); /* pings but does not read its pongs */
    else
        send_frame(ws, WS_PONG, data);
}

static void on_event(struct ws *ws, const struct ws_event *ev)
{
    switch (ev->kind) {
    case WS_EV_MESSAGE:
        if (!ws->closing)
            ws->h.on_message(ws, ev->data, ev->text);
        return;
    case WS_EV_PING: on_ping(ws, ev->data); return;
    case WS_EV_CLOSE: on_peer_close(ws, ev); return;
    case WS_EV_ERROR:
        ws_close(ws, ev->code, STR_NULL);
        if (ws->conn)
            end(ws, ev->code);
        return;
    default: return;
    }
}

void ws_input(struct ws *ws, char *p, size_t n)
{
    size_t at = 0;
    while (ws->conn && ws->conn->state == CONN_WS) {
        size_t used;
        struct ws_event ev = ws_rx_feed(&ws->rx, p + at, n - at, &used);
        at += used;
        if (ev.kind == WS_EV_MORE)
            return;
        on_event(ws, &ev);
    }
}

void ws_tick(struct ws *ws, int64_t now)
{
    int64_t every = ws->w->net->lim.ws_ping_ms;
    if (ws->closing) {
        if (now - ws->since > CLOSE_MS)
            conn_close(ws->conn);
        return;
    }
    if (now - ws->pinged < every)
        return;
    if (now - ws->conn->last_read >= 2 * every) {
        stat_add(&ws->w->st.timeouts, 1);
        conn_close(ws->conn);
        return;
    }
    ws->pinged = now;
    send_frame(ws, WS_PING, STR_NULL);
}

void ws_detach(struct ws *ws)
{
    ws->conn = NULL;
}

void ws_gone(struct ws *ws)
{
    stat_add(&ws->w->st.websockets_open, (uint64_t)-1);
    ws->h.on_close(ws, ws->code);
    ws_rx_deinit(&ws->rx);
    mem_free(ws);
}

void *ws_user(struct ws *ws)
{
    return ws->user;
}

struct net_worker *ws_worker(const struct ws *ws)
{
    return ws->w;
}
