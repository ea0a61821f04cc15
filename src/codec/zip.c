/* zip.c: libdeflate, zstd and lz4 behind one face, each with a ceiling.
 *
 * libdeflate works on whole buffers: the room is guessed (gzip's trailer gives a hint), doubled
 * until the output fits or the ceiling is reached. zstd streams, with at most an 8 MiB window.
 * The libraries' working memory is large and its making slow, so every thread keeps its own until
 * it ends. */
#include "codec/zip.h"

#include <libdeflate.h>
#include <limits.h>
#include <lz4.h>
#include <pthread.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "base/rd.h"

#define WINDOW_LOG_MAX 23               /* 8 MiB, as RFC 9659 has it for the web */
#define WINDOW_WIDE ((size_t)512 << 10) /* stored bytes from which the window is the largest */
#define ROOM_MIN ((size_t)4096)
#define GZIP_LEVEL 4
#define ZSTD_LEVEL 3

/* ---- working memory, one set a thread ---- */

struct tools {
    ZSTD_DCtx *zstd_in;
    ZSTD_CCtx *zstd_out;
    struct libdeflate_decompressor *deflate_in;
    struct libdeflate_compressor *deflate_out;
};

static pthread_once_t tools_once = PTHREAD_ONCE_INIT;
static pthread_key_t tools_key;
static bool tools_key_ok;

static void tools_free(void *p)
{
    struct tools *t = p;
    ZSTD_freeDCtx(t->zstd_in);
    ZSTD_freeCCtx(t->zstd_out);
    if (t->deflate_in)
        libdeflate_free_decompressor(t->deflate_in);
    if (t->deflate_out)
        libdeflate_free_compressor(t->deflate_out);
    mem_free(t);
}

/* A key's destructor does not run for the main thread when it leaves through exit. */
__attribute__((destructor)) static void tools_end(void)
{
    if (!tools_key_ok)
        return;
    struct tools *t = pthread_getspecific(tools_key);
    if (t) {
        pthread_setspecific(tools_key, NULL);
        tools_free(t);
    }
}

static void tools_setup(void)
{
    tools_key_ok = pthread_key_create(&tools_key, tools_free) == 0;
}

/* NULL: out of memory */
static struct tools *tools(void)
{
    pthread_once(&tools_once, tools_setup);
    if (!tools_key_ok)
        return NULL;
    struct tools *t = pthread_getspecific(tools_key);
    if (t)
        return t;
    t = mem_zalloc(sizeof(*t));
    if (t && pthread_setspecific(tools_key, t)) {
        mem_free(t);
        return NULL;
    }
    return t;
}

static ZSTD_DCtx *zstd_in(void)
{
    struct tools *t = tools();
    if (!t)
        return NULL;
    if (!t->zstd_in && (t->zstd_in = ZSTD_createDCtx()))
        ZSTD_DCtx_setParameter(t->zstd_in, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return t->zstd_in;
}

static ZSTD_CCtx *zstd_out(void)
{
    struct tools *t = tools();
    if (t && !t->zstd_out)
        t->zstd_out = ZSTD_createCCtx();
    return t ? t->zstd_out : NULL;
}

static struct libdeflate_decompressor *deflate_in(void)
{
    struct tools *t = tools();
    if (t && !t->deflate_in)
        t->deflate_in = libdeflate_alloc_decompressor();
    return t ? t->deflate_in : NULL;
}

static struct libdeflate_compressor *deflate_out(void)
{
    struct tools *t = tools();
    if (t && !t->deflate_out)
        t->deflate_out = libdeflate_alloc_compressor(GZIP_LEVEL);
    return t ? t->deflate_out : NULL;
}

/* ---- bodies in ---- */

bool zip_by_name(str name, enum zip_kind *ret)
{
    static const struct {
        const char *name;
        enum zip_kind kind;
    } names[] = {
        { "gzip", ZIP_GZIP }, { "x-gzip", ZIP_GZIP },   { "deflate", ZIP_DEFLATE },
        { "zstd", ZIP_ZSTD }, { "identity", ZIP_NONE }, { "", ZIP_NONE },
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq_ci(name, str_c(names[i].name))) {
            *ret = names[i].kind;
            return true;
        }
    return false;
}

static int too_long(const struct buf *out, struct err *err)
{
    return err_set(err, ERR_LIMIT, "the body inflates to more than %zu bytes", out->max);
}

typedef enum libdeflate_result (*inflate_fn)(struct libdeflate_decompressor *, const void *, size_t,
                                             void *, size_t, size_t *, size_t *);

/* room for n bytes at the end of out, which are within its ceiling */
static int make_room(struct buf *out, size_t n, const struct zip_quota *q, char **ret,
                     struct err *err)
{
    size_t before = out->p ? out->cap : 0;
    *ret = buf_reserve(out, n);
    if (!*ret)
        return err_nomem(err);
    if (q && out->cap > before && !q->take(q->arg, out->cap))
        return err_set(err, ERR_BUSY, "too many bodies in memory");
    return 0;
}

/* One stream at the beginning of in, appended to out. *ret_used: bytes of in it took. */
static int inflate_one(inflate_fn inflate, str in, size_t guess, struct buf *out,
                       const struct zip_quota *q, size_t *ret_used, struct err *err)
{
    struct libdeflate_decompressor *d = deflate_in();
    if (!d)
        return err_nomem(err);
    size_t left = out->max - out->n;
    for (size_t room = guess;; room *= 2) {
        if (room > left)
            room = left;
        char *to;
        int rc = make_room(out, room, q, &to, err);
        if (rc)
            return rc;
        size_t got = 0;
        enum libdeflate_result r = inflate(d, in.p, in.n, to, room, ret_used, &got);
        buf_advance(out, r == LIBDEFLATE_SUCCESS ? got : 0);
        if (r == LIBDEFLATE_SUCCESS)
            return 0;
        if (r != LIBDEFLATE_INSUFFICIENT_SPACE)
            return err_set(err, ERR_INVALID, "the compressed body is damaged or cut short");
        if (room == left)
            return too_long(out, err);
    }
}

/* what a member of n compressed bytes will likely need */
static size_t room_for(size_t n)
{
    return n > SIZE_MAX / 8 ? n : n * 4 < ROOM_MIN ? ROOM_MIN : n * 4;
}

static int gzip_decode(str in, struct buf *out, const struct zip_quota *q, struct err *err)
{
    do {
        size_t guess = room_for(in.n), used = 0;
        /* the last member's length, modulo 2^32; believed as far as deflate can go */
        size_t hint = in.n >= 18 ? get_le32(in.p + in.n - 4) : 0;
        if (hint > guess && hint / 1032 <= in.n)
            guess = hint;
        int r = inflate_one(libdeflate_gzip_decompress_ex, in, guess, out, q, &used, err);
        if (r)
            return r;
        in = str_skip(in, used);
    } while (in.n);
    return 0;
}

/* "deflate" means zlib by the book and raw deflate by habit */
static int deflate_decode(str in, struct buf *out, const struct zip_quota *q, struct err *err)
{
    size_t used = 0, before = out->n;
    int r = ERR_INVALID;
    bool zlib = in.n >= 2 && (in.p[0] & 0x0f) == 8 &&
                ((unsigned char)in.p[0] << 8 | (unsigned char)in.p[1]) % 31 == 0;
    if (zlib)
        r = inflate_one(libdeflate_zlib_decompress_ex, in, room_for(in.n), out, q, &used, err);
    if (r == ERR_INVALID)
        r = inflate_one(libdeflate_deflate_decompress_ex, in, room_for(in.n), out, q, &used, err);
    if (!r && used != in.n) {
        buf_truncate(out, before);
        r = err_set(err, ERR_INVALID, "the compressed body has bytes after its end");
    }
    return r;
}

static int zstd_error(size_t code, struct err *err)
{
    const char *name = ZSTD_getErrorName(code);
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return err_nomem(err);
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return err_set(err, ERR_INVALID, "the zstd window is larger than 8 MiB");
    return err_set(err, ERR_INVALID, "the compressed body is damaged: %s", name);
}

static int zstd_decode(str in, struct buf *out, const struct zip_quota *q, struct err *err)
{
    ZSTD_DCtx *d = zstd_in();
    if (!d)
        return err_nomem(err);
    ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
    ZSTD_inBuffer src = { in.p, in.n, 0 };
    size_t step = room_for(in.n), more = 1;
    while (src.pos < src.size || more) {
        size_t left = out->max - out->n, room = step < left ? step : left;
        /* at the ceiling one byte of our own tells a full end from one too many */
        char spare, *to = &spare;
        int rc = room ? make_room(out, room, q, &to, err) : 0;
        if (rc)
            return rc;
        ZSTD_outBuffer dst = { to, room ? room : 1, 0 };
        size_t read_before = src.pos;
        more = ZSTD_decompressStream(d, &dst, &src);
        buf_advance(out, room && !ZSTD_isError(more) ? dst.pos : 0);
        if (ZSTD_isError(more))
            return zstd_error(more, err);
        if (!room && dst.pos)
            return too_long(out, err);
        if (more && src.pos == src.size && dst.pos < dst.size)
            return err_set(err, ERR_INVALID, "the compressed body is cut short");
        if (src.pos == read_before && dst.pos == 0)
            return err_set(err, ERR_INVALID, "the compressed body is damaged");
    }
    return 0;
}

int zip_decode(enum zip_kind kind, str in, struct buf *out, const struct zip_quota *quota,
               struct err *err)
{
    size_t before = out->n;
    int r = 0;
    if (kind == ZIP_NONE) {
        if (in.n > out->max - out->n)
            return too_long(out, err);
        buf_putstr(out, in);
        return buf_ok(out) ? 0 : err_nomem(err);
    }
    if (in.n == 0)
        return err_set(err, ERR_INVALID, "the compressed body is empty");
    switch (kind) {
    case ZIP_GZIP: r = gzip_decode(in, out, quota, err); break;
    case ZIP_DEFLATE: r = deflate_decode(in, out, quota, err); break;
    default: r = zstd_decode(in, out, quota, err); break;
    }
    if (r)
        buf_truncate(out, before);
    return r;
}

/* ---- bodies out ---- */

int zip_encode(enum zip_kind kind, str in, struct buf *out, struct err *err)
{
    if (kind == ZIP_NONE)
        return err_set(err, ERR_UNSUPPORTED, "no compression to encode with");
    ZSTD_CCtx *z = kind == ZIP_ZSTD ? zstd_out() : NULL;
    struct libdeflate_compressor *d = kind == ZIP_ZSTD ? NULL : deflate_out();
    if (!z && !d)
        return err_nomem(err);
    size_t room = kind == ZIP_ZSTD   ? ZSTD_compressBound(in.n)
                  : kind == ZIP_GZIP ? libdeflate_gzip_compress_bound(d, in.n)
                                     : libdeflate_zlib_compress_bound(d, in.n);
    size_t left = out->max - out->n;
    if (room > left)
        room = left;
    char *to = buf_reserve(out, room);
    if (!to)
        return err_nomem(err);
    const char *from = in.n ? in.p : "";
    size_t n;
    if (kind == ZIP_ZSTD) {
        n = ZSTD_compressCCtx(z, to, room, from, in.n, ZSTD_LEVEL);
        n = ZSTD_isError(n) ? 0 : n;
    } else if (kind == ZIP_GZIP) {
        n = libdeflate_gzip_compress(d, from, in.n, to, room);
    } else {
        n = libdeflate_zlib_compress(d, from, in.n, to, room);
    }
    buf_advance(out, n);
    return n ? 0 : err_set(err, ERR_LIMIT, "the answer is longer than %zu bytes", out->max);
}

/* ---- stored pages ---- */

/* Room for an outcome worth keeping, or NULL. */
static char *pack_room(str in, struct buf *out, size_t *ret_room)
{
    size_t room = in.n / 20 * 19, left = out->max - out->n;
    if (in.n < 1 << 20)
        room = in.n * 95 / 100;
    if (room > left)
        room = left;
    *ret_room = room;
    return room ? buf_reserve(out, room) : NULL;
}

size_t zstd_pack(str in, int level, struct buf *out)
{
    return zstd_pack_after(STR_NULL, in, level, out);
}

size_t zstd_pack_after(str before, str in, int level, struct buf *out)
{
    size_t room;
    ZSTD_CCtx *z = zstd_out();
    char *to = z ? pack_room(in, out, &room) : NULL;
    if (!to)
        return 0;
    /* the low levels look back half a MiB or two; a large page repeats itself further than that */
    ZSTD_CCtx_reset(z, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level);
    if (in.n + before.n > WINDOW_WIDE)
        ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, WINDOW_LOG_MAX);
    if (before.n && ZSTD_isError(ZSTD_CCtx_refPrefix(z, before.p, before.n)))
        return 0;
    size_t n = ZSTD_compress2(z, to, room, in.p, in.n);
    if (ZSTD_isError(n))
        n = 0;
    buf_advance(out, n);
    return n;
}

int zstd_unpack(str in, char *dst, size_t raw_n, struct err *err)
{
    return zstd_unpack_after(STR_NULL, in, dst, raw_n, err);
}

int zstd_unpack_after(str before, str in, char *dst, size_t raw_n, struct err *err)
{
    ZSTD_DCtx *d = zstd_in();
    if (!d)
        return err_nomem(err);
    ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
    if (before.n && ZSTD_isError(ZSTD_DCtx_refPrefix(d, before.p, before.n)))
        return err_nomem(err);
    size_t n = ZSTD_decompressDCtx(d, dst, raw_n, in.p, in.n);
    if (ZSTD_isError(n))
        return err_set(err, ERR_CORRUPT, "a zstd page does not decode: %s", ZSTD_getErrorName(n));
    if (n != raw_n)
        return err_set(err, ERR_CORRUPT, "a zstd page holds %zu bytes instead of %zu", n, raw_n);
    return 0;
}

size_t lz4_pack(str in, struct buf *out)
{
    size_t room;
    char *to = in.n <= LZ4_MAX_INPUT_SIZE ? pack_room(in, out, &room) : NULL;
    if (!to)
        return 0;
    int n = LZ4_compress_default(in.p, to, (int)in.n, (int)room);
    buf_advance(out, n > 0 ? (size_t)n : 0);
    return n > 0 ? (size_t)n : 0;
}

int lz4_unpack(str in, char *dst, size_t raw_n, struct err *err)
{
    int n = -1;
    if (in.n <= INT_MAX && raw_n <= INT_MAX)
        n = LZ4_decompress_safe(in.p, dst, (int)in.n, (int)raw_n);
    if (n < 0)
        return err_set(err, ERR_CORRUPT, "an lz4 page does not decode");
    if ((size_t)n != raw_n)
        return err_set(err, ERR_CORRUPT, "an lz4 page holds %d bytes instead of %zu", n, raw_n);
    return 0;
}
