/* seg_index.h: the indexes of a segment: docs/format/segment.md, "Indexes".
 *
 * Signatures say which blocks may hold text with given trigrams or id tokens (codec/gram.h), the
 * value map says which may hold a value (codec/valmap.h). Both speak for the columns that are
 * `covered`, block by block; what is missing, damaged or of another version says "maybe". Nothing
 * here is needed to read the segment. seg_index.c gathers while blocks are written, seg_index_put.c
 * lays out the file's parts, seg_index_copy.c takes over those of merged segments, seg_lookup.c
 * asks. */
#ifndef FL_STORE_COLUMNAR_SEG_INDEX_H
#define FL_STORE_COLUMNAR_SEG_INDEX_H

#include "codec/gram.h"
#include "codec/valmap.h"
#include "store/columnar/impl.h"

#define INDEX_VERSION 1
#define INDEX_CHUNK 4096                   /* bytes of signatures with a checksum of their own */
#define INDEX_CHUNK_DATA (INDEX_CHUNK - 4) /* of them, signatures */
#define INDEX_PAGE (VALMAP_PAGE + 4)       /* of the value map, with checksum */
#define INDEX_BLOCKS_MAX (1u << VALMAP_WIDTH_MAX)
#define INDEX_SIG_BYTES ((size_t)32 << 20) /* signatures of a segment while it is written */

/* How the values of a column in a block are found; bits, on disk. */
enum cover {
    COVER_TEXT = 1,   /* grams and id tokens in the text signatures */
    COVER_FIELDS = 2, /* grams, salted with the column, in the field signature */
    COVER_VALUES = 4, /* hash64 of whole values in the map */
    COVER_IDS = 8     /* id tokens of values in the map */
};
enum { COVER_SIGNATURES = COVER_TEXT | COVER_FIELDS, COVER_MAP = COVER_VALUES | COVER_IDS };

/* salt of a column in the field signature */
static inline uint32_t column_salt(uint64_t key_hash)
{
    return (uint32_t)(key_hash >> 32) | 1;
}
static inline uint32_t map_hash(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* ---- reading ---- */

struct index_matrix { /* signatures of one part and size: a row a bit position, a column a block */
    uint8_t part, log;
    uint32_t ncols;
    uint32_t *blocks; /* of the columns, rising */
    uint64_t off;     /* of its first chunk */
};
struct index_cover {
    uint32_t key;
    uint8_t how; /* enum cover, one bit */
    bool all;    /* in every block; else bits of the blocks: */
    const uint8_t *bits;
};
struct seg_index {
    struct index_cover *covers;
    uint32_t ncovers;
    struct index_matrix *matrices;
    uint32_t nmatrices;
    struct valmap_shape shape;
    uint64_t entries, map_off, map_bytes;
    uint32_t npages;
    const uint8_t *firsts; /* u32 first hashes of the map's pages */
    bool malformed;        /* a section of a known version that cannot be read */
    struct arena arena;
};
/* What the segment's sections say; what they do not say, or not in a way known here, is empty.
 * ERR_NOMEM. Immutable afterwards. */
int seg_index_open(const struct seg *g, struct seg_index **ret, struct err *err);
void seg_index_close(struct seg_index *x);
bool index_covers(const struct index_cover *c, uint32_t block);
/* The first of a column's, which stand together, or the end or another column's. */
const struct index_cover *index_cover_first(const struct seg_index *x, uint32_t key);
/* bytes of a matrix and of its chunks in the file */
uint64_t index_matrix_bytes(const struct index_matrix *m);
uint64_t index_matrix_stored(const struct index_matrix *m);
/* Chunk i of a matrix into buf (INDEX_CHUNK); *ret_n bytes of signatures. ERR_CORRUPT, ERR_IO. */
int index_chunk_read(struct seg *g, const struct index_matrix *m, uint64_t i, uint8_t *buf,
                     size_t *ret_n, struct err *err);
/* Entries of the map with lo <= hash <= hi. */
int index_map_each(struct seg *g, const struct seg_index *x, uint32_t lo, uint32_t hi,
                   void (*fn)(void *arg, uint32_t hash, uint32_t block), void *arg,
                   struct err *err);
/* Reads and checks everything. */
int seg_index_verify(struct seg *g, struct err *err);
/* bytes of the file that are index */
uint64_t seg_index_bytes(const struct seg_index *x, enum seg_section kind);

/* Which blocks of g may hold a row that passes p: bitmap of g's blocks in the arena. Of the blocks
 * ruled out, *ret_sig were so by signatures, *ret_map by the value map. */
struct index_pruned {
    uint32_t by_signatures, by_values, by_columns;
};
int seg_candidates(struct seg *g, const struct pred *p, struct arena *a, uint64_t **ret,
                   struct index_pruned *pruned, struct err *err);

/* ---- writing ---- */

struct seg_writer;
struct index_writer;
/* NULL: out of memory. off: nothing is gathered, nothing written. */
struct index_writer *index_writer_new(bool off);
void index_writer_free(struct index_writer *x);
/* Before the first column of a block. */
void index_block_begin(struct index_writer *x);
struct page_meta;
/* The text column `key` of the block being written; pm: of its page, still in the scratch. The
 * texts must stay where they are until index_block_end. */
int index_column(struct index_writer *x, const struct seg_key *k, uint32_t key,
                 const struct page_meta *pm, struct err *err);
/* The block is number `block` of the segment and takes `bytes` of the file without indexes: chooses
 * what is kept. */
int index_block_end(struct index_writer *x, uint32_t block, uint64_t bytes, struct err *err);
/* Block i of another segment is copied as block `block`, and, after that call, each text column of
 * it, with its key there and here. What cannot be read is left out. ERR_NOMEM. */
int index_block_copied(struct index_writer *x, struct seg *from, uint32_t i, uint32_t block,
                       struct err *err);
int index_column_copied(struct index_writer *x, const struct seg *from, uint32_t i,
                        uint32_t from_key, uint32_t key, uint32_t block, struct err *err);
/* Writes everything behind the last block and the sections into the footer. */
int index_finish(struct index_writer *x, struct seg_writer *w, struct err *err);

#endif
