/* fuzz_http1.c: a head and a chunked body, whole and cut at every byte: the results must agree.
 * The first byte of the input chooses the parser. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(int ok)
{
    if (!ok)
        abort();
}

static int64_t head(struct http1_head *h, struct http1_field *fields, const char *p, size_t n,
                    size_t piece)
{
    int64_t r = 0;
    http1_head_init(h, fields, 10, 60, 200);
    for (size_t have = piece < n ? piece : n;; have = n - have < piece ? n : have + piece) {
        char *copy = malloc(have ? have : 1); /* exactly as large: reading past it is seen */
        check(copy != NULL);
        memcpy(copy, p, have);
        r = http1_head_feed(h, copy, have);
        free(copy);
        if (r != 0 || have == n)
            return r;
    }
}

static void fuzz_head(const char *p, size_t n)
{
    struct http1_field f1[10], f2[10];
    struct http1_head a, b;
    int64_t whole = head(&a, f1, p, n, n ? n : 1);
    for (size_t piece = 1; piece < 4; piece++) {
        check(head(&b, f2, p, n, piece) == whole);
        if (whole <= 0)
            continue;
        check(a.nfields == b.nfields && memcmp(f1, f2, a.nfields * sizeof *f1) == 0);
        check(a.content_length == b.content_length && a.chunked == b.chunked);
        check(a.keep_alive == b.keep_alive && a.origin == b.origin && a.origin_n == b.origin_n);
    }
    if (whole <= 0)
        return;
    check((size_t)whole <= n && p[whole - 1] == '\n' && p[whole - 2] == '\r');
    check(!(a.chunked && a.content_length >= 0));
    check(a.minor == 0 || a.host >= 0);
    for (uint32_t i = 0; i < a.nfields; i++)
        check(http1_is_token(str_n(p + f1[i].name, f1[i].name_n)) &&
              !memchr(p + f1[i].value, '\r', f1[i].value_n) &&
              !memchr(p + f1[i].value, '\n', f1[i].value_n) &&
              !memchr(p + f1[i].value, 0, f1[i].value_n));
}

static int chunked(const char *p, size_t n, size_t piece, char *out, size_t *ret_n, size_t *ret_at)
{
    struct http1_chunked d;
    size_t at = 0, used;
    int r = HTTP1_CHUNK_MORE;
    http1_chunked_init(&d);
    *ret_n = 0;
    while (at < n && r >= 0 && r != HTTP1_CHUNK_END) {
        str data = STR_NULL;
        r = http1_chunked_feed(&d, p + at, n - at < piece ? n - at : piece, &used, &data);
        if (r == HTTP1_CHUNK_DATA) {
            check(used > 0 && data.n > 0);
            memcpy(out + *ret_n, data.p, data.n);
            *ret_n += data.n;
        }
        at += used;
    }
    *ret_at = at;
    return r;
}

static void fuzz_chunked(const char *p, size_t n)
{
    char *a = malloc(n + 1), *b = malloc(n + 1);
    size_t an, bn, a_at, b_at;
    check(a && b);
    int r = chunked(p, n, n ? n : 1, a, &an, &a_at);
    for (size_t piece = 1; piece < 4; piece++) {
        int s = chunked(p, n, piece, b, &bn, &b_at);
        check((r < 0) == (s < 0) && (r == HTTP1_CHUNK_END) == (s == HTTP1_CHUNK_END));
        check(an == bn && memcmp(a, b, an) == 0);
        check(r != HTTP1_CHUNK_END || a_at == b_at);
    }
    free(a);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n && data[0] == 'c')
        fuzz_chunked((const char *)data + 1, n - 1);
    else
        fuzz_head((const char *)data, n);
    return 0;
}
