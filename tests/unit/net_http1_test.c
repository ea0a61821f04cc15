/* net_http1_test.c: the parser without sockets: fields found, edges, and splitting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/http1.h"

static struct http1_field fields[8];

static int64_t parse(struct http1_head *h, const char *text)
{
    http1_head_init(h, fields, 8, 100, 300);
    return http1_head_feed(h, text, strlen(text));
}

static void is_text(const char *base, uint32_t at, uint32_t n, const char *want)
{
    assert_int_equal(n, strlen(want));
    assert_memory_equal(base + at, want, n);
}

static void finds_the_parts(void **state)
{
    (void)state;
    const char *t = "POST /a%20b?x=1 HTTP/1.1\r\nHost: h:80\r\nContent-Length:  12 \r\n"
                    "content-encoding: gzip\r\nConnection: foo, Upgrade\r\n\r\nbody";
    struct http1_head h;
    assert_int_equal(parse(&h, t), strlen(t) - 4);
    is_text(t, h.method, h.method_n, "POST");
    is_text(t, h.origin, h.origin_n, "/a%20b?x=1");
    assert_int_equal(h.nfields, 4);
    is_text(t, h.fields[1].value, h.fields[1].value_n, "12");
    assert_int_equal(h.content_length, 12);
    assert_int_equal(h.encoding, 2);
    assert_int_equal(h.host, 0);
    assert_int_equal(h.minor, 1);
    assert_true(h.keep_alive && h.upgrade && !h.chunked && !h.expect_continue);
}

static void reads_the_connection_header(void **state)
{
    (void)state;
    struct http1_head h;
    assert_true(parse(&h, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") > 0);
    assert_false(h.keep_alive);
    assert_true(parse(&h, "GET / HTTP/1.0\r\n\r\n") > 0);
    assert_false(h.keep_alive);
    assert_true(parse(&h, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") > 0);
    assert_true(h.keep_alive);
    assert_true(parse(&h, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                          "Connection: keep-alive\r\n\r\n") > 0);
    assert_false(h.keep_alive);
}

static void absolute_targets(void **state)
{
    (void)state;
    struct http1_head h;
    const char *t = "GET HTTP://Host.example:81/p?q HTTP/1.1\r\nHost: host.example:81\r\n\r\n";
    assert_true(parse(&h, t) > 0);
    is_text(t, h.origin, h.origin_n, "/p?q");
    t = "GET https://h HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_true(parse(&h, t) > 0);
    assert_int_equal(h.origin_n, 0);
    assert_int_equal(parse(&h, "GET http:// HTTP/1.1\r\nHost: h\r\n\r\n"), -400);
    assert_int_equal(parse(&h, "GET http:/h HTTP/1.1\r\nHost: h\r\n\r\n"), -400);
}

static void hosts(void **state)
{
    (void)state;
    const char *good[] = {
        "a", "a.b-c_d", "127.0.0.1:8140", "[::1]", "[::ffff:1.2.3.4]:1", "a%41"
    };
    const char *bad[] = { "",    ":80", "a:b", "a:123456", "[::1", "[]",   "[::1]x", "[g]", "a b",
                          "a/b", "a@b", "a,b", "a%4",      "a%zz", "a\\b", "a#",     "a?" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(http1_host_valid(str_c(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(http1_host_valid(str_c(bad[i])));
}

static void every_control_character_is_refused(void **state)
{
    (void)state;
    for (int where = 0; where < 20; where++)
        for (int c = 0; c < 256; c++) {
            char t[] = "GET / HTTP/1.1\r\nHost: x\r\nAbc: 01234567890123456789\r\n\r\n";
            size_t n = sizeof t - 1;
            char *at = strstr(t, "0123") + where;
            struct http1_head h;
            *at = (char)c;
            http1_head_init(&h, fields, 8, 100, 300);
            int64_t r = http1_head_feed(&h, t, n);
            bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
            assert_int_equal(r, fine ? (int64_t)n : -400);
        }
}

static void same_result_however_cut(void **state)
{
    (void)state;
    const char *texts[] = {
        "\r\nPOST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET /abc\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct http1_head h;
        int64_t want = parse(&h, texts[i]), got = 0;
        http1_head_init(&h, fields, 8, 100, 300);
        for (size_t n = 0; n <= strlen(texts[i]) && got == 0; n++)
            got = http1_head_feed(&h, texts[i], n);
        assert_int_equal(got, want);
    }
}

static int unchunk(const char *text, size_t piece, char *out, size_t *ret_n)
{
    struct http1_chunked d;
    size_t n = strlen(text), at = 0, out_n = 0;
    int r = 0;
    http1_chunked_init(&d);
    while (at < n) {
        size_t take = n - at < piece ? n - at : piece, used;
        str data = STR_NULL;
        r = http1_chunked_feed(&d, text + at, take, &used, &data);
        if (r == HTTP1_CHUNK_DATA && data.n) {
            memcpy(out + out_n, data.p, data.n);
            out_n += data.n;
        }
        at += used;
        if (r < 0 || r == HTTP1_CHUNK_END)
            break;
    }
    *ret_n = out_n;
    return r;
}

static void chunks(void **state)
{
    (void)state;
    char out[64];
    size_t n;
    for (size_t piece = 1; piece < 40; piece++) {
        const char *good = "5\r\nhello\r\n00001;x=y\r\n!\r\n0\r\na: b\r\n\r\n";
        assert_int_equal(unchunk(good, piece, out, &n), HTTP1_CHUNK_END);
        assert_int_equal(n, 6);
        assert_memory_equal(out, "hello!", 6);
        assert_int_equal(unchunk("5\r\nhelloX", piece, out, &n), -400);
        assert_int_equal(unchunk("g\r\n", piece, out, &n), -400);
        assert_int_equal(unchunk("123456789\r\n", piece, out, &n), -400);
        assert_int_equal(unchunk("A\r\n01234", piece, out, &n) >= 0, 1);
    }
}

static void dead_stays_dead(void **state)
{
    (void)state;
    struct http1_chunked d;
    size_t used;
    str data;
    http1_chunked_init(&d);
    assert_int_equal(http1_chunked_feed(&d, "x", 1, &used, &data), -400);
    assert_int_equal(http1_chunked_feed(&d, "0\r\n\r\n", 5, &used, &data), -400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_parts),
        cmocka_unit_test(reads_the_connection_header),
        cmocka_unit_test(absolute_targets),
        cmocka_unit_test(hosts),
        cmocka_unit_test(every_control_character_is_refused),
        cmocka_unit_test(same_result_however_cut),
        cmocka_unit_test(chunks),
        cmocka_unit_test(dead_stays_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
