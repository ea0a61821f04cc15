/* seg_write.h: the segment writer's inside, shared by the files that make it up: seg_write.c
 * (columns and blocks), seg_index*.c (indexes), seg_copy.c (whole blocks of other segments),
 * seg_finish.c (footer, sections, publication). Format: docs/format/segment.md. */
#ifndef FL_STORE_COLUMNAR_SEG_WRITE_H
#define FL_STORE_COLUMNAR_SEG_WRITE_H

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
    struct smap key_map; /* type byte + key -> index + 1 */
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
    struct buf sections; /* typed sections of the footer, nsections of them */
    uint32_t nsections;
    /* per block */
    struct buf dir;
    uint32_t *heads;   /* per key: first source_col + 1 */
    uint32_t *order;   /* output positions by source */
    uint32_t *tmpl_of; /* per row: place among the templates; SEG_NO_MESSAGE: has none */
    struct arena tmp_arena;
};

int seg_file_put(struct seg_writer *w, struct err *err); /* out -> file */
/* where the next byte put into out will be in the file */
uint64_t seg_here(const struct seg_writer *w);
/* index of (key, type) among the segment's keys, entered when new; key may be short-lived */
int seg_key_index(struct seg_writer *w, str key, enum vtype type, uint32_t *ret, struct err *err);
void seg_put_directory_entry(struct buf *dir, const struct seg_col *c, enum vtype type);
/* Writes the directory gathered in w->dir and enters the block into the list. */
int seg_close_block(struct seg_writer *w, struct seg_block *b, uint32_t ncols, struct err *err);
/* Adds a section to the footer; kind: SECTION_*, with SECTION_CRITICAL when a reader that does not
 * know it must refuse the file. Bytes are copied. */
int seg_writer_section(struct seg_writer *w, uint8_t kind, str bytes, struct err *err);

#endif
