/* page.h: one column of up to 65,535 rows as bytes: docs/format/segment.md, "Pages".
 *
 * page_encode picks the cheapest encoding by looking at the values and then compresses with zstd
 * when that pays; it writes none of the version 1 encodings, which page_decode still reads.
 * page_decode checks every length: hostile bytes give ERR_CORRUPT. Pure; thread-safe. */
#ifndef FL_CODEC_PAGE_H
#define FL_CODEC_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define PAGE_ROWS_MAX 65535

enum page_class { PAGE_NULL, PAGE_BOOL, PAGE_INT, PAGE_F64, PAGE_TEXT, PAGE__CLASSES };

enum page_encoding {              /* on disk: never renumber */
                     PE_NONE = 0, /* null column: presence only */
                     PE_CONST =
                         1,      /* ints, doubles, booleans: one value for all rows that have one */
                     PE_FOR = 2, /* version 1 ints: frame of reference */
                     PE_DELTA = 3,    /* version 1 ints: differences, frame of reference */
                     PE_RAW64 = 4,    /* doubles: 8 byte planes */
                     PE_DECIMAL = 5,  /* version 1 doubles: v * 10^k as PE_FOR ints */
                     PE_BITS = 6,     /* booleans: bitmap */
                     PE_DICT = 7,     /* version 1 texts: distinct values once, bit-packed codes */
                     PE_PLAIN = 8,    /* version 1 texts: lengths, bytes; hex; UUIDs */
                     PE_INTS = 9,     /* ints: a stream (page_int.c) */
                     PE_ALP = 10,     /* doubles: decimals as a stream, exceptions */
                     PE_SAME = 11,    /* texts: one value for all rows that have one */
                     PE_CODES = 12,   /* texts: distinct values once, a stream of codes */
                     PE_TEXT = 13,    /* texts: a stream of lengths, bytes */
                     PE_PARTS = 14,   /* texts of one pattern: literals, numbers, characters of an
                                         alphabet */
                     PE_TIMES = 15,   /* texts: ISO times of one format */
                     PE_NUMBERS = 16, /* texts: integers */
                     PE_TEMPLATES = 17, /* texts: templates and columns of their variables */
                     PE_FRAMES = 18,    /* texts: as PE_TEXT, packed in frames (page_frames.c) */
                     PE__COUNT
};
extern const char *const page_encoding_names[PE__COUNT];

struct page_in {
    enum page_class cls;
    uint32_t n;           /* rows of the block */
    uint32_t nvals;       /* > 0 */
    const uint16_t *rows; /* ascending row number of each value; NULL = dense (nvals == n) */
    const int64_t *i64;
    const double *f64;
    const uint8_t *b8;
    const str *text;
};

/* Working memory, reused over many pages; one thread. */
struct page_scratch;
struct page_scratch *page_scratch_new(void); /* NULL: out of memory */
void page_scratch_free(struct page_scratch *s);

struct page_meta {
    uint8_t encoding;   /* enum page_encoding */
    bool zstd;          /* as a whole */
    uint32_t raw_n;     /* bytes before zstd */
    uint32_t ndistinct; /* texts: distinct values; they and their hash64, in the scratch */
    const str *distinct;
    const uint64_t *hashes;
};

/* Appends the page to out. level: zstd level. ERR_NOMEM, ERR_LIMIT. */
int page_encode(const struct page_in *in, int level, struct page_scratch *s, struct buf *out,
                struct page_meta *ret, struct err *err);

/* The page encoded last, before zstd; valid until the next. */
str page_raw(const struct page_scratch *s);

/* Row-aligned result; unused pointers are NULL; see struct colv. */
struct page_out {
    const uint64_t *present; /* NULL = every row */
    const int64_t *i64;
    const double *f64;
    const uint8_t *b8;
    const uint32_t *codes;
    uint32_t ndict;
    const uint32_t *off;
    const char *bytes;
};
int page_decode(str page, enum page_class cls, uint8_t encoding, bool zstd, uint32_t raw_n,
                uint32_t n, uint32_t nvals, struct arena *a, struct page_out *ret, struct err *err);

/* ---- pages in frames (PE_FRAMES): only the frames with wanted rows are unpacked ---- */

#define PAGE_TEXT_PAD 32              /* readable bytes behind texts */
#define PAGE_FRAMED ((size_t)1 << 20) /* bytes of text above which a page is stored so */

struct page_frames {
    struct page_out out; /* its bytes are there for the rows that were needed so far, others not */
    uint32_t n, text_n;
    uint32_t shift, nframes; /* frames of 2^shift bytes of text */
    bool alone;              /* each is unpacked without the first */
    const uint32_t *at;      /* nframes + 1 places in packed */
    const char *packed;
    char *text;
    uint64_t *wanted, *done; /* bitmaps of frames */
    uint64_t unpacked;       /* bytes so far */
};
/* Reads all but the frames; page must last as long as *ret. There is room for so many bytes of the
 * caller's at ret->text + text_n + PAGE_TEXT_PAD. ERR_CORRUPT, ERR_NOMEM. */
int page_frames_open(str page, uint32_t raw_n, uint32_t n, uint32_t nvals, size_t room,
                     struct arena *a, struct page_frames *ret, struct err *err);
/* Unpacks what the rows of sel (NULL: all) lie in. ERR_CORRUPT, ERR_NOMEM. */
int page_frames_need(struct page_frames *pf, const uint64_t *sel, struct err *err);

#endif
