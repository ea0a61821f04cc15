/* seg_write.h: the segment writer's inside, shared by the files that make it up: seg_write.c
 * (columns and blocks), seg_index*.c (indexes), seg_copy.c (whole blocks of other segments),
 * seg_blob.c (large values), seg_bundle.c (small pages and directories), seg_finish.c (footer,
 * sections, publication). Format: docs/format/segment.md. */
#ifndef FL_STORE_COLUMNAR_SEG_WRITE_H
#define FL_STORE_COLUMNAR_SEG_WRITE_H

#include "store/columnar/blob.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"
#include "store/columnar/seg_index.h"

#define SEG_WRITE_CHUNK (1u << 20)
#define SEG_NO_MESSAGE UINT32_MAX

struct gathered { /* one output column of the block being written */
    uint64_t present[BLOCK_WORDS];
    union {
        int64_t i64[BLOCK_ROWS_MAX];
        double f64[BLOCK_ROWS_MAX];
        uint8_t b8[BLOCK_ROWS_MAX];
        str text[BLOCK_ROWS_MAX];
    };
    uint16_t rows[BLOCK_ROWS_MAX];
    uint32_t nvals;
};

struct taken { /* a row of a source, and where it goes */
    uint16_t pos, row;
};

struct source_col { /* one column of one source block, filed under its output column */
    uint32_t src, col;
    uint32_t next; /* index + 1 */
};

struct seg_writer {
    struct store *s;
    struct io_file *f;
    char tmp[PATH_MAX_STORE];
    struct seg_meta m;
    int zstd_level;
    struct buf out;      /* bytes not yet written; they belong at file offset m.bytes */
    struct smap key_map; /* type byte + key -> index + 1, of the first SEG_COLUMNS_MAX */
    struct smap own_map; /* the same, of the others, which this block names itself */
    struct seg_key *keys;
    uint32_t nkeys, cap_keys;
    struct seg_block *blocks;
    uint32_t cap_blocks;
    struct rollup *sums;
    struct templates *tmpl;
    struct page_scratch *scratch;
    struct gathered *g;
    struct index_writer *index;
    uint64_t block_at;   /* where the block in hand begins */
    struct arena arena;  /* keys */
    struct blobs *blobs; /* NULL until there is a large value */
    struct smap copied;  /* address of another segment's blob page -> index + 1 into copies */
    struct blob_page *copies;
    uint32_t cap_copies;
    struct buf sections; /* typed sections of the footer, nsections of them */
    uint32_t nsections;
    /* per block */
    struct buf dir;
    struct buf bundle;     /* small pages not yet stored */
    uint32_t bundle_index; /* which of the block's blob pages it will be */
    uint32_t *heads;       /* per key: first source_col + 1 */
    struct taken *order;   /* the block's rows by source */
    uint32_t *tmpl_of;     /* per row: place among the templates; SEG_NO_MESSAGE: has none */
    struct arena tmp_arena;
};

int seg_file_put(struct seg_writer *w, struct err *err); /* out -> file */
/* where the next byte put into out will be in the file */
uint64_t seg_here(const struct seg_writer *w);
/* index of (key, type) among the segment's keys, entered when new; key may be short-lived */
int seg_key_index(struct seg_writer *w, str key, enum vtype type, uint32_t *ret, struct err *err);
/* ---- seg_bundle.c: small pages share one, small directories are packed ---- */
/* A page in a bundle with fewer values is read sooner than its statistics. */
#define BUNDLE_FEW 4
/* May take the page just put at c->off out of `out` and into the block's open bundle. */
int seg_bundle_page(struct seg_writer *w, struct seg_col *c, struct err *err);
/* Stores the open bundle. */
int seg_bundle_end(struct seg_writer *w, struct err *err);
/* The block's directory into `out`. */
int seg_put_directory(struct seg_writer *w, uint32_t ncols, const struct blob_page *pages,
                      uint32_t npages, struct err *err);
/* A block begins: it has no columns of its own yet. */
void seg_keys_block(struct seg_writer *w);

/* ---- seg_blob.c ---- */
/* raw, or zstd of it when that is smaller, into the file */
int seg_put_packed(struct seg_writer *w, str raw, struct blob_page *ret, struct err *err);
int seg_need_blobs(struct seg_writer *w, struct err *err);
/* A block begins: no blob page is listed. */
void seg_blobs_block(struct seg_writer *w);
/* Takes the large values out of the gathered column: empty texts stand for them. */
int seg_take_blobs(struct seg_writer *w, struct seg_col *c, struct err *err);
/* Enters the values taken among the page's distinct ones, for filters. */
int seg_blobs_distinct(struct seg_writer *w, struct page_meta *pm, struct err *err);
/* Stores the block's last blob page; *ret lists all it uses. */
int seg_blobs_end(struct seg_writer *w, const struct blob_page **ret, uint32_t *ret_n,
                  struct err *err);
/* Takes over the blob pages of a block of another segment, each once. */
int seg_copy_blobs(struct seg_writer *w, struct seg *from, const struct blob_page *v, uint32_t n,
                   struct err *err);
void seg_blobs_free(struct seg_writer *w);
/* Copies checked bytes of another segment; *ret_off is where they went. */
int seg_copy_bytes(struct seg_writer *w, struct seg *from, uint64_t off, uint32_t len, uint32_t crc,
                   uint64_t *ret_off, uint32_t *ret_crc, struct err *err);
void seg_put_directory_entry(struct buf *dir, const struct seg_col *c, enum vtype type);
/* Writes the directory gathered in w->dir and enters the block into the list. */
int seg_close_block(struct seg_writer *w, struct seg_block *b, uint32_t ncols, struct err *err);
/* Adds a section to the footer; kind: SECTION_*, with SECTION_CRITICAL when a reader that does not
 * know it must refuse the file. Bytes are copied. */
int seg_writer_section(struct seg_writer *w, uint8_t kind, str bytes, struct err *err);

#endif
