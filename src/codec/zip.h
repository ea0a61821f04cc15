/* zip.h: gzip, deflate and zstd for HTTP bodies; zstd and lz4 for stored pages.
 *
 * Every decoder has a ceiling on its output and stops there with ERR_LIMIT, having allocated no
 * more than the ceiling plus one window. */
#ifndef FL_CODEC_ZIP_H
#define FL_CODEC_ZIP_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum zip_kind { ZIP_NONE, ZIP_GZIP, ZIP_DEFLATE, ZIP_ZSTD };

/* "gzip", "x-gzip", "deflate", "zstd", "identity" or "" (any case); false for others */
bool zip_by_name(str name, enum zip_kind *ret);
/* Told how many bytes out holds room for each time it has grown, before they are written to;
 * false ends the decoding with ERR_BUSY. */
struct zip_quota {
    bool (*take)(void *arg, size_t total);
    void *arg;
};
/* Decodes a whole body into out (its max is the ceiling). gzip: several members; deflate: zlib,
 * then raw; zstd: several frames, window <= 8 MiB. quota may be NULL. ERR_INVALID bad data,
 * ERR_LIMIT, ERR_BUSY, ERR_NOMEM. */
int zip_decode(enum zip_kind kind, str in, struct buf *out, const struct zip_quota *quota,
               struct err *err);
/* Encodes a response body. ERR_UNSUPPORTED for ZIP_NONE. */
int zip_encode(enum zip_kind kind, str in, struct buf *out, struct err *err);

/* ---- stored pages: sizes are kept by the caller ---- */
/* Appends to out; returns the compressed size, or 0 when it would not shrink below 95 % (out is
 * then unchanged) or memory ran out. Level 1..19. */
size_t zstd_pack(str in, int level, struct buf *out);
/* exactly raw_n bytes into dst */
int zstd_unpack(str in, char *dst, size_t raw_n, struct err *err);
/* The same for bytes that resemble `before`, which the other side has, too: matches may lie in it.
 */
size_t zstd_pack_after(str before, str in, int level, struct buf *out);
int zstd_unpack_after(str before, str in, char *dst, size_t raw_n, struct err *err);
size_t lz4_pack(str in, struct buf *out); /* as zstd_pack */
int lz4_unpack(str in, char *dst, size_t raw_n, struct err *err);

#endif
