/* ws_frame.h: RFC 6455 framing, pure: bytes in, messages out.
 *
 * The receiver unmasks in the caller's buffer, joins fragments and checks everything a server
 * must: masking, reserved bits, opcodes, control frames, UTF-8, the message ceiling. It allocates
 * only the buffer of a message that did not arrive whole. One receiver belongs to one thread. */
#ifndef FL_NET_WS_FRAME_H
#define FL_NET_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL = 1002,
    WS_NO_CODE = 1005,  /* never sent: a close frame without a code */
    WS_ABNORMAL = 1006, /* never sent: the connection broke */
    WS_BAD_DATA = 1007,
    WS_TOO_BIG = 1009,
    WS_INTERNAL = 1011
};

enum ws_event_kind {
    WS_EV_MORE,    /* every byte was used */
    WS_EV_MESSAGE, /* data, text */
    WS_EV_PING,    /* data is to be sent back */
    WS_EV_PONG,
    WS_EV_CLOSE, /* code (WS_NO_CODE when absent), data = reason */
    WS_EV_ERROR, /* code is what to close with; the receiver is dead now */
};
struct ws_event {
    enum ws_event_kind kind;
    bool text;
    uint16_t code;
    str data; /* valid until the next call */
};

struct ws_rx {
    struct buf msg; /* fragments of a message so far */
    size_t max;
    uint8_t head[14]; /* the frame header so far */
    uint8_t head_n;
    uint8_t opcode; /* of this frame */
    uint8_t first;  /* opcode of the message under way, 0: none */
    bool fin, in_payload, dead;
    uint8_t key[4];
    uint64_t len, got; /* payload of this frame */
    uint8_t control_n;
    char control[125];
};

void ws_rx_init(struct ws_rx *rx, size_t max_message);
void ws_rx_deinit(struct ws_rx *rx);
/* Uses *ret_used bytes of p (which is changed: unmasked in place) and gives one event; call again
 * with the rest until WS_EV_MORE. */
struct ws_event ws_rx_feed(struct ws_rx *rx, char *p, size_t n, size_t *ret_used);

/* header of an unmasked final frame; returns its length (2, 4 or 10) */
size_t ws_frame_head(uint8_t out[10], enum ws_opcode opcode, uint64_t payload_n);
/* x[i] ^= key[(phase + i) % 4] */
void ws_mask(char *x, size_t n, const uint8_t key[4], size_t phase);
/* may this code stand in a close frame? */
bool ws_code_valid(unsigned code);

#endif
