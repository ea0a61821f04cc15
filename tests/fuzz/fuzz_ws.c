/* fuzz_ws.c: WebSocket frames, whole and in pieces: the same events must come out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "net/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* a running digest of everything that was reported */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3ull;
    return h ^ n << 1;
}

static uint64_t run(const uint8_t *data, size_t n, size_t piece)
{
    struct ws_rx rx;
    uint64_t h = 1;
    ws_rx_init(&rx, 1000);
    for (size_t at = 0; at < n;) {
        size_t take = n - at < piece ? n - at : piece, done = 0;
        char *copy = malloc(take);
        if (!copy)
            abort();
        memcpy(copy, data + at, take);
        for (;;) {
            size_t used;
            struct ws_event ev = ws_rx_feed(&rx, copy + done, take - done, &used);
            done += used;
            if (ev.kind == WS_EV_MORE)
                break;
            if (ev.kind == WS_EV_MESSAGE && (ev.data.n > 1000 || (ev.text && !utf8_valid(ev.data))))
                abort();
            uint32_t head[3] = { (uint32_t)ev.kind, ev.text, ev.code };
            h = mix(h, head, sizeof head);
            h = mix(h, ev.data.p, ev.data.n);
        }
        if (done != take)
            abort();
        free(copy);
        at += take;
    }
    ws_rx_deinit(&rx);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n)
        return 0;
    uint64_t whole = run(data, n, n);
    for (size_t piece = 1; piece < 4; piece++)
        if (run(data, n, piece) != whole)
            abort();
    return 0;
}
