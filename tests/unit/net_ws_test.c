/* net_ws_test.c: WebSocket framing without sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "net/ws_frame.h"

static size_t frame(char *out, unsigned first, const char *payload, size_t n)
{
    static const uint8_t key[4] = { 0x12, 0xf3, 0x44, 0x9a };
    size_t at = 0;
    out[at++] = (char)first;
    if (n < 126) {
        out[at++] = (char)(0x80 | n);
    } else {
        out[at++] = (char)(0x80 | 126);
        out[at++] = (char)(n >> 8);
        out[at++] = (char)n;
    }
    memcpy(out + at, key, 4);
    memcpy(out + at + 4, payload, n);
    ws_mask(out + at + 4, n, key, 0);
    return at + 4 + n;
}

static void masking(void **state)
{
    (void)state;
    const uint8_t key[4] = { 1, 2, 3, 4 };
    char a[64], b[64];
    for (size_t off = 0; off < 8; off++)
        for (size_t n = 0; n < 40; n++)
            for (size_t phase = 0; phase < 4; phase++) {
                for (size_t i = 0; i < 64; i++)
                    a[i] = b[i] = (char)(i * 7);
                ws_mask(a + off, n, key, phase);
                for (size_t i = 0; i < n; i++)
                    b[off + i] = (char)(b[off + i] ^ key[(phase + i) % 4]);
                assert_memory_equal(a, b, 64);
            }
}

static void joins_fragments_however_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 300; piece++) {
        char in[600];
        char payload[200];
        struct ws_rx rx;
        size_t n = 0, at = 0, messages = 0, pings = 0;
        memset(payload, 'p', sizeof payload);
        n += frame(in + n, 0x01, payload, 200);
        n += frame(in + n, 0x89, "ping", 4);
        n += frame(in + n, 0x80, "end", 3);
        n += frame(in + n, 0x82, "", 0);
        ws_rx_init(&rx, 203);
        while (at < n) {
            size_t take = n - at < piece ? n - at : piece, used;
            struct ws_event ev = ws_rx_feed(&rx, in + at, take, &used);
            at += used;
            assert_int_not_equal(ev.kind, WS_EV_ERROR);
            if (ev.kind == WS_EV_PING) {
                pings++;
                assert_true(str_eq(ev.data, STR("ping")));
            } else if (ev.kind == WS_EV_MESSAGE && messages++ == 0) {
                assert_true(ev.text);
                assert_int_equal(ev.data.n, 203);
                assert_true(str_ends(ev.data, STR("pend")));
            } else if (ev.kind == WS_EV_MESSAGE) {
                assert_false(ev.text);
                assert_int_equal(ev.data.n, 0);
            }
        }
        assert_int_equal(messages, 2);
        assert_int_equal(pings, 1);
        ws_rx_deinit(&rx);
    }
}

static void one_byte_too_many(void **state)
{
    (void)state;
    char in[300];
    size_t used;
    struct ws_rx rx;
    ws_rx_init(&rx, 100);
    char payload[101];
    memset(payload, 'x', sizeof payload);
    size_t n = frame(in, 0x81, payload, 101);
    struct ws_event ev = ws_rx_feed(&rx, in, n, &used);
    assert_int_equal(ev.kind, WS_EV_ERROR);
    assert_int_equal(ev.code, WS_TOO_BIG);
    ev = ws_rx_feed(&rx, in, n, &used); /* dead: everything is dropped */
    assert_int_equal(ev.kind, WS_EV_MORE);
    ws_rx_deinit(&rx);
}

static void out_of_memory(void **state)
{
    (void)state;
    char in[64];
    size_t used, n = frame(in, 0x01, "part", 4);
    struct ws_rx rx;
    ws_rx_init(&rx, 100);
    mem_fail_at(1, 1);
    struct ws_event ev = ws_rx_feed(&rx, in, n, &used);
    mem_fail_at(0, 0);
    assert_int_equal(ev.kind, WS_EV_ERROR);
    assert_int_equal(ev.code, WS_INTERNAL);
    ws_rx_deinit(&rx);
}

static void heads_and_codes(void **state)
{
    (void)state;
    uint8_t h[10];
    assert_int_equal(ws_frame_head(h, WS_TEXT, 125), 2);
    assert_int_equal(ws_frame_head(h, WS_TEXT, 126), 4);
    assert_int_equal(ws_frame_head(h, WS_TEXT, 65535), 4);
    assert_int_equal(ws_frame_head(h, WS_BINARY, 65536), 10);
    assert_int_equal(h[0], 0x82);
    assert_int_equal(h[7], 1);
    const unsigned good[] = { 1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999 };
    const unsigned bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535 };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(ws_code_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ws_code_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masking),           cmocka_unit_test(joins_fragments_however_cut),
        cmocka_unit_test(one_byte_too_many), cmocka_unit_test(out_of_memory),
        cmocka_unit_test(heads_and_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
