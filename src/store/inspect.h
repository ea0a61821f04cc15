/* inspect.h: where the bytes of a store's segments are: the account behind `fleetlog inspect`.
 *
 * Reads the files that the manifest names, without a lock and without the log, so it works on a
 * directory at rest and beside a running writer. All of a segment's bytes are in the account: what
 * is not in a page, a blob page, an index, a directory or the footer is `other`. */
#ifndef FL_STORE_INSPECT_H
#define FL_STORE_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "io/io.h"
#include "model/block.h"

#define INSPECT_ENCODINGS 128 /* ids of page encodings: seven bits of a directory entry */
#define INSPECT_SECTIONS 32   /* kinds of footer sections that are told apart */

struct inspect_want {
    uint64_t id;  /* one segment; 0: all */
    bool list;    /* what the manifest says of each segment, no file is opened */
    bool compare; /* also pack the plain form of every page with zstd: costs time */
    int level;    /* zstd level of compare */
};

/* One column, (key, type), over all blocks that have it. Plain: the values as they would lie in
 * memory (8 bytes an integer or double, 1 a boolean, a text its bytes and a varint length), and a
 * bitmap of the rows where some have none. */
struct inspect_column {
    str key;
    enum vtype type;
    uint64_t blocks, values;
    uint64_t distinct;  /* texts: distinct values of each page, summed; 0 when a page has no list */
    uint64_t plain_n;   /* bytes of the plain form */
    uint64_t raw_n;     /* bytes of the pages and maps of large values before zstd */
    uint64_t stored_n;  /* bytes of the pages and maps in the file */
    uint64_t large;     /* values that lie in blob pages */
    uint64_t filter_n;  /* bytes of their filters */
    uint64_t compare_n; /* bytes of the plain form packed with zstd; 0 without `compare` */
    uint64_t pages[INSPECT_ENCODINGS]; /* by encoding */
};

struct inspect_encoding { /* over all columns */
    uint64_t pages, zstd_pages, values, plain_n, raw_n, stored_n, compare_n;
};

struct inspect_block {
    uint64_t segment;
    uint32_t index, rows, columns;
    ts_ns t_min, t_max;
    uint64_t seq_min, seq_max;
    uint64_t page_n, filter_n, dir_n; /* bytes */
};

struct inspect_segment { /* from the manifest */
    uint64_t id;
    int64_t day; /* since 1970, of receipt */
    uint32_t cls, blocks;
    uint64_t rows, bytes;
    ts_ns t_min, t_max;
    uint64_t seq_min, seq_max;
};

struct inspect_report { /* everything in the caller's arena */
    uint64_t rows, bytes;
    uint32_t nsegments;
    struct inspect_segment *segments;
    uint32_t ncolumns; /* by falling bytes of pages and filters */
    struct inspect_column *columns;
    struct inspect_encoding encodings[INSPECT_ENCODINGS];
    uint32_t nblocks;
    struct inspect_block *blocks;
    uint64_t blob_pages, blob_raw_n; /* pages of large values, each once; bytes before zstd */
    uint64_t blob_n;                 /* bytes in the files */
    uint64_t page_n, token_filter_n, value_filter_n, dir_n;
    uint64_t signature_n[3]; /* trigrams of texts, id tokens of texts, trigrams of other columns */
    uint64_t value_map_n;
    uint64_t keys_n, blocks_n, summary_n; /* parts of the footers: names, block lists, rollups */
    uint64_t section_n[INSPECT_SECTIONS]; /* by kind, as far as the footer itself goes */
    uint64_t frame_n;                     /* headers, trailers, lengths */
    uint64_t other_n;                     /* in the files, outside of all these */
};

/* The store in io's root. ERR_NOTFOUND: no store, or no such segment; ERR_CORRUPT, ERR_IO,
 * ERR_NOMEM. *ret is zeroed first. */
int store_inspect(struct io *io, const struct inspect_want *want, struct arena *a,
                  struct inspect_report *ret, struct err *err);
/* "dict"; "encoding 9" is what a caller prints for NULL */
const char *inspect_encoding_name(uint32_t encoding);
/* what a footer section is for; NULL when this version does not know */
const char *inspect_section_name(uint32_t kind);

#endif
