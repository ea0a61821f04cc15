/* ws_frame.c: the WebSocket receiver.
 *
 *   byte 0: FIN RSV1-3 opcode   byte 1: MASK len7   [len16 | len64]   key   payload
 *
 * States: collecting `head` (until its own length is known and reached), then payload. Payload of
 * data frames goes to `msg`, except that a whole unfragmented message inside one buffer is handed
 * out where it lies. Control payloads (<= 125 bytes) go to `control`, so they may come between
 * the fragments of a message. */
#include "net/ws_frame.h"

#include <string.h>

#include "base/utf8.h"

void ws_rx_init(struct ws_rx *rx, size_t max_message)
{
    memset(rx, 0, sizeof *rx);
    rx->max = max_message;
    buf_init(&rx->msg, max_message);
}

void ws_rx_deinit(struct ws_rx *rx)
{
    buf_deinit(&rx->msg);
}

void ws_mask(char *x, size_t n, const uint8_t key[4], size_t phase)
{
    uint8_t k8[8];
    for (size_t i = 0; i < 8; i++)
        k8[i] = key[(phase + i) & 3];
    uint64_t k;
    memcpy(&k, k8, 8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, x + i, 8);
        v ^= k;
        memcpy(x + i, &v, 8);
    }
    for (; i < n; i++)
        x[i] = (char)(x[i] ^ k8[i & 7]);
}

size_t ws_frame_head(uint8_t out[10], enum ws_opcode opcode, uint64_t n)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (n < 126) {
        out[1] = (uint8_t)n;
        return 2;
    }
    if (n < 65536) {
        out[1] = 126;
        out[2] = (uint8_t)(n >> 8);
        out[3] = (uint8_t)n;
        return 4;
    }
    out[1] = 127;
    for (unsigned i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)(n >> (56 - 8 * i));
    return 10;
}

bool ws_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static struct ws_event fail(struct ws_rx *rx, uint16_t code)
{
    rx->dead = true;
    buf_deinit(&rx->msg);
    buf_init(&rx->msg, rx->max);
    return (struct ws_event){ .kind = WS_EV_ERROR, .code = code };
}

/* bytes the header needs, as far as known from what is there */
static size_t head_need(const struct ws_rx *rx)
{
    if (rx->head_n < 2)
        return 2;
    unsigned len7 = rx->head[1] & 0x7f;
    return 2 + (len7 == 126 ? 2u : len7 == 127 ? 8u : 0u) + 4;
}

/* The first two bytes decide most; a code to fail with or 0. */
static uint16_t check_start(const struct ws_rx *rx)
{
    uint8_t op = rx->head[0] & 15;
    bool fin = rx->head[0] & 0x80;
    unsigned len7 = rx->head[1] & 0x7f;
    if (rx->head[0] & 0x70 || !(rx->head[1] & 0x80))
        return WS_PROTOCOL; /* no extension was agreed; clients must mask */
    if (op >= 8)
        return op > WS_PONG || !fin || len7 > 125 ? WS_PROTOCOL : 0;
    if (op > WS_BINARY || (op == WS_CONT) != (rx->first != 0))
        return WS_PROTOCOL;
    return 0;
}

static uint16_t finish_head(struct ws_rx *rx)
{
    const uint8_t *h = rx->head;
    unsigned len7 = h[1] & 0x7f;
    size_t at = 2;
    rx->len = len7;
    if (len7 >= 126) {
        unsigned bytes = len7 == 126 ? 2 : 8;
        rx->len = 0;
        for (unsigned i = 0; i < bytes; i++)
            rx->len = rx->len << 8 | h[at++];
        if (rx->len >> 63 || (bytes == 2 ? rx->len < 126 : rx->len < 65536))
            return WS_PROTOCOL; /* lengths are minimal */
    }
    memcpy(rx->key, h + at, 4);
    rx->fin = h[0] & 0x80;
    rx->opcode = h[0] & 15;
    rx->got = 0;
    rx->control_n = 0;
    rx->in_payload = true;
    rx->head_n = 0;
    if (rx->opcode < 8) {
        if (rx->opcode != WS_CONT)
            rx->first = rx->opcode;
        if (rx->len > rx->max - rx->msg.n)
            return WS_TOO_BIG;
    }
    return 0;
}

static struct ws_event control_event(struct ws_rx *rx)
{
    str data = str_n(rx->control, rx->control_n);
    if (rx->opcode == WS_PING)
        return (struct ws_event){ .kind = WS_EV_PING, .data = data };
    if (rx->opcode == WS_PONG)
        return (struct ws_event){ .kind = WS_EV_PONG, .data = data };
    if (data.n == 0) {
        rx->dead = true;
        return (struct ws_event){ .kind = WS_EV_CLOSE, .code = WS_NO_CODE };
    }
    if (data.n == 1)
        return fail(rx, WS_PROTOCOL);
    unsigned code = (unsigned)(uint8_t)data.p[0] << 8 | (uint8_t)data.p[1];
    data = str_skip(data, 2);
    if (!ws_code_valid(code))
        return fail(rx, WS_PROTOCOL);
    if (!utf8_valid(data))
        return fail(rx, WS_BAD_DATA);
    rx->dead = true;
    return (struct ws_event){ .kind = WS_EV_CLOSE, .code = (uint16_t)code, .data = data };
}

static struct ws_event message_event(struct ws_rx *rx, str data)
{
    bool text = rx->first == WS_TEXT;
    rx->first = 0;
    if (text && !utf8_valid(data))
        return fail(rx, WS_BAD_DATA);
    return (struct ws_event){ .kind = WS_EV_MESSAGE, .text = text, .data = data };
}

/* takes payload bytes; true when the frame is whole and *ev says what came of it */
static bool payload(struct ws_rx *rx, char *p, size_t n, size_t *used, struct ws_event *ev)
{
    size_t take = n < rx->len - rx->got ? n : (size_t)(rx->len - rx->got);
    ws_mask(p, take, rx->key, (size_t)(rx->got & 3));
    *used += take;
    bool whole = rx->got == 0 && take == rx->len;
    rx->got += take;
    bool end = rx->got == rx->len;
    if (end)
        rx->in_payload = false;
    if (rx->opcode >= 8) {
        if (take)
            memcpy(rx->control + rx->control_n, p, take);
        rx->control_n = (uint8_t)(rx->control_n + take);
        if (end)
            *ev = control_event(rx);
        return end;
    }
    if (end && whole && rx->fin && rx->msg.n == 0) {
        *ev = message_event(rx, str_n(p, take));
        return true;
    }
    buf_put(&rx->msg, p, take);
    if (!buf_ok(&rx->msg)) {
        *ev = fail(rx, rx->msg.bad == BUF_LIMIT ? WS_TOO_BIG : WS_INTERNAL);
        return true;
    }
    if (!end || !rx->fin)
        return false;
    *ev = message_event(rx, buf_str(&rx->msg));
    return true;
}

/* the joined message handed out by the last call is over */
static void drop_message(struct ws_rx *rx)
{
    if (rx->first || !rx->msg.n)
        return;
    buf_deinit(&rx->msg);
    buf_init(&rx->msg, rx->max);
}

struct ws_event ws_rx_feed(struct ws_rx *rx, char *p, size_t n, size_t *ret_used)
{
    struct ws_event ev = { .kind = WS_EV_MORE };
    *ret_used = 0;
    if (rx->dead) {
        *ret_used = n;
        return ev;
    }
    drop_message(rx);
    for (;;) {
        if (rx->in_payload) {
            if (*ret_used == n && rx->got < rx->len)
                return ev;
            if (payload(rx, p + *ret_used, n - *ret_used, ret_used, &ev))
                return ev;
            continue;
        }
        while (rx->head_n < head_need(rx)) {
            if (*ret_used == n)
                return ev;
            rx->head[rx->head_n++] = (uint8_t)p[(*ret_used)++];
            uint16_t code = rx->head_n == 2 ? check_start(rx) : 0;
            if (code)
                return fail(rx, code);
        }
        uint16_t code = finish_head(rx);
        if (code)
            return fail(rx, code);
    }
}
