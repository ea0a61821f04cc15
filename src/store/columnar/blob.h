/* blob.h: large values outside the pages, each part of them stored once.
 *
 * A text of BLOB_MIN bytes or more leaves its page, where an empty text stands for it, and is cut
 * into chunks by its content. A chunk that one of the last BLOB_WINDOW blob pages holds already,
 * byte for byte, is referred to; another is appended to the open blob page. So a value that repeats
 * an earlier one whole, up to some point, or from some point on costs what is new in it. Chunking:
 * the gear hash of FastCDC (Xia et al., USENIX ATC 2016, without its normalised sizes).
 *
 * A blob page is packed with zstd and has a checksum like any page. A block lists the blob pages it
 * uses in its directory; a column with large values has a map from its rows to parts of those
 * pages. Format: docs/format/segment.md, "Large values". */
#ifndef FL_STORE_COLUMNAR_BLOB_H
#define FL_STORE_COLUMNAR_BLOB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/rd.h"
#include "base/str.h"

#define BLOB_MIN (16u << 10)      /* a value of so many bytes is large */
#define BLOB_PAGE (1u << 20)      /* bytes of a blob page before zstd, at most */
#define BLOB_WINDOW 16            /* blob pages kept in memory to find repeated chunks */
#define BLOB_TOTAL_MAX (1u << 30) /* bytes of the texts of a column of a block with its blobs */
#define BLOB_MAP_MAX (64u << 20)  /* bytes of the map of a column */
#define BLOB_PAGES_MAX (1u << 16) /* blob pages of a block */

struct blob_page { /* as a block's directory lists it */
    uint64_t off;
    uint32_t len, raw_n, crc; /* len < raw_n: zstd */
};

struct blob_part { /* bytes of the page-th blob page of the block */
    uint32_t page, off, n;
};

/* ---- writing ---- */

struct blobs;
struct blobs *blobs_new(void); /* NULL: out of memory */
void blobs_free(struct blobs *b);
/* Stores a page's bytes in the file and says where they are; raw is valid during the call. */
typedef int blob_put(void *arg, str raw, struct blob_page *ret, struct err *err);
void blobs_set_put(struct blobs *b, blob_put *put, void *arg);
/* A new block begins: no blob page is listed. */
void blobs_block(struct blobs *b);
/* A new column begins: no value is in the map. */
void blobs_column(struct blobs *b);
/* Stores the value of a row; rows rise. */
int blobs_add(struct blobs *b, uint32_t row, str value, struct err *err);
/* The column's map, appended to out. Values: blobs_values, each stored once. */
void blobs_map(struct blobs *b, struct buf *out);
const str *blobs_values(const struct blobs *b, uint32_t *ret_n);
/* Ends the block: the open page is stored. The list of its pages is valid until blobs_block. */
int blobs_end_block(struct blobs *b, const struct blob_page **ret, uint32_t *ret_n,
                    struct err *err);
/* Enters a page that is not one of the window: of a copied block, or a bundle. */
int blobs_list(struct blobs *b, const struct blob_page *p, uint32_t *ret, struct err *err);
/* Says where a page entered by blobs_list lies, when that is known later. */
void blobs_place(struct blobs *b, uint32_t index, const struct blob_page *p);

/* ---- reading ---- */

struct blob_map {
    uint32_t nvalues; /* distinct large values */
    uint32_t *first;  /* nvalues + 1: parts of each */
    struct blob_part *parts;
    uint64_t *offs;  /* nvalues + 1: where each begins among their bytes */
    uint32_t nrows;  /* rows that have one */
    uint16_t *rows;  /* rising */
    uint32_t *value; /* of each row */
};
/* Reads a map against the block's blob pages and rows; ERR_CORRUPT, ERR_NOMEM. */
int blob_map_read(str map, const struct blob_page *pages, uint32_t npages, uint32_t nrows,
                  struct arena *a, struct blob_map *ret, struct err *err);
/* Puts the bytes of all values, offs[nvalues] of them, into dst. load: the unpacked bytes of a
 * blob page (raw_n of them), valid until the next call of load but one. */
typedef int blob_load(void *arg, uint32_t page, const char **ret, struct err *err);
int blob_fill(const struct blob_map *m, char *dst, blob_load *load, void *arg, struct err *err);

void blob_put_list(struct buf *out, const struct blob_page *v, uint32_t n);
/* false: damaged */
bool blob_read_list(struct rd *r, struct arena *a, struct blob_page **ret, uint32_t *ret_n,
                    struct err *err);

#endif
