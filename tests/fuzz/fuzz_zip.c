/* fuzz_zip.c: damaged bodies and pages end in an error, within the ceiling; whole ones come back.
 * The first byte chooses the kind and the ceiling. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_decode(enum zip_kind kind, str in, size_t max)
{
    struct err e = ERR_INIT;
    struct buf out;
    buf_init(&out, max);
    int r = zip_decode(kind, in, &out, NULL, &e);
    check(r == 0 || r == ERR_INVALID || r == ERR_LIMIT || r == ERR_NOMEM);
    check(out.n <= max && (r == 0 || (out.n == 0 && e.code == r && e.msg[0])));
    buf_deinit(&out);
}

static void check_round_trip(enum zip_kind kind, str in)
{
    struct err e = ERR_INIT;
    struct buf zip, out;
    buf_init(&zip, in.n + 1000);
    buf_init(&out, in.n);
    check(zip_encode(kind, in, &zip, &e) == 0);
    check(zip_decode(kind, buf_str(&zip), &out, NULL, &e) == 0 && str_eq(buf_str(&out), in));
    buf_deinit(&zip);
    buf_deinit(&out);
}

static void check_pages(str in, size_t raw_n)
{
    struct err e = ERR_INIT;
    struct buf out;
    size_t room = raw_n > in.n ? raw_n : in.n;
    char *dst = malloc(room ? room : 1);
    check(dst != NULL);
    int r = zstd_unpack(in, dst, raw_n, &e);
    check(r == 0 || r == ERR_CORRUPT || r == ERR_NOMEM);
    r = lz4_unpack(in, dst, raw_n, &e);
    check(r == 0 || r == ERR_CORRUPT);
    buf_init(&out, in.n + 1);
    if (zstd_pack(in, 1, &out))
        check(zstd_unpack(buf_str(&out), dst, in.n, &e) == 0 && memcmp(dst, in.p, in.n) == 0);
    buf_reset(&out);
    if (lz4_pack(in, &out))
        check(lz4_unpack(buf_str(&out), dst, in.n, &e) == 0 && memcmp(dst, in.p, in.n) == 0);
    buf_deinit(&out);
    free(dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const size_t limits[] = { 0, 1, 100, 65536 };
    if (n == 0)
        return 0;
    enum zip_kind kind = ZIP_GZIP + data[0] % 3;
    size_t max = limits[data[0] / 3 % 4];
    char *exact = malloc(n);
    check(exact != NULL);
    memcpy(exact, data, n);
    char *in = realloc(memmove(exact, exact + 1, n - 1), n > 1 ? n - 1 : 1);
    check(in != NULL);
    check_decode(kind, str_n(in, n - 1), max);
    check_round_trip(kind, str_n(in, n - 1));
    check_pages(str_n(in, n - 1), max);
    free(in);
    return 0;
}
