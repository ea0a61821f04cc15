/* seg_format.h: the numbers of docs/format/segment.md, shared by writer and reader. */
#ifndef FL_STORE_COLUMNAR_SEG_FORMAT_H
#define FL_STORE_COLUMNAR_SEG_FORMAT_H

#include "codec/page.h"
#include "model/block.h"

#define SEG_MAGIC "FLEETSEG"
#define SEG_END_MAGIC "SEGEND01"
#define SEG_VERSION 2 /* written; 1 (without sections) is read, too */
#define SEG_HEADER 64
#define SEG_TRAILER 32
#define SEG_KEYS_MAX (1u << 22)
#define SEG_COLUMNS_MAX 2048           /* columns a footer names; a block names its others itself */
#define SEG_DIRECTORY_MAX (256u << 20) /* bytes of a directory, unpacked */
#define SEG_STAT_TEXT 16               /* bytes of a text minimum or maximum that are kept */

enum { COL_ZSTD = 0x80, COL_BUNDLED = 0x40, COL_ENCODING = 0x3f };
enum { STAT_RANGE = 1, STAT_MAX_OPEN = 2, STAT_BLOBS = 4 };
enum { FILTER_NONE = 0, FILTER_TOKEN = 1, FILTER_VALUE = 2 };

/* one column of one block, as its directory describes it */
struct seg_col {
    uint32_t key;     /* index into the segment's keys, or past them into the block's own */
    uint8_t encoding; /* enum page_encoding */
    bool zstd;
    bool bundled; /* off, len: in blob page `bundle` of the block; no zstd, crc of its own */
    uint32_t bundle;
    uint32_t nvals, len, raw_n, crc;
    uint64_t off;
    uint8_t stat_flags;
    int64_t imin, imax;
    double dmin, dmax;
    str smin, smax;
    uint64_t blob_off; /* with STAT_BLOBS: the map of its large values, zstd when len < raw_n */
    uint32_t blob_len, blob_raw_n, blob_crc;
    uint8_t filter_kind;
    uint64_t filter_off;
    uint32_t filter_len, filter_crc;
};

static inline enum page_class page_class_of(enum vtype t)
{
    switch (t) {
    case V_NULL: return PAGE_NULL;
    case V_BOOL: return PAGE_BOOL;
    case V_I64: return PAGE_INT;
    case V_F64: return PAGE_F64;
    default: return PAGE_TEXT;
    }
}

#endif
