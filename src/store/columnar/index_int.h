/* index_int.h: the inside of an index_writer, shared by the seg_index*.c files and nobody else. */
#ifndef FL_STORE_COLUMNAR_INDEX_INT_H
#define FL_STORE_COLUMNAR_INDEX_INT_H

#include "store/columnar/seg_index.h"

struct block_sigs { /* of one block; NULL where it has none of a part */
    uint8_t log[GRAM__PARTS];
    uint8_t *bits[GRAM__PARTS];
};
struct column_cover { /* one text column of one block */
    uint32_t key, block;
    uint8_t how;
};
struct value_run { /* hashes of one column of the block in hand: run[from..from+n) */
    uint32_t key, from, n;
    uint8_t how;
};
struct index_source { /* a segment that blocks were copied from */
    struct seg *g;
    const struct seg_index *x;
    bool map;     /* its map can be read */
    uint32_t *to; /* per block: number here + 1, 0 = not copied */
};

struct index_writer {
    bool off;
    struct gram_sink *sink;
    struct block_sigs *sigs; /* by block */
    uint32_t nsigs, cap_sigs;
    size_t sig_bytes;
    struct column_cover *covers; /* those of the block in hand from block_covers on */
    size_t ncovers, cap_covers, block_covers;
    uint64_t *entries; /* of blocks written here: valmap_entry */
    size_t nentries, cap_entries;
    struct index_source *sources;
    uint32_t nsources;
    /* of the block in hand */
    uint32_t *run;
    size_t nrun, cap_run;
    struct value_run *runs;
    uint32_t nruns, cap_runs;
    bool failed; /* out of memory in a callback */
};

/* room for one more item of a growing array; false: out of memory */
bool index_room(void *array, size_t n, size_t *cap, size_t size);
struct block_sigs *index_sigs_of(struct index_writer *x, uint32_t block);
/* Keeps a copy of a signature; past INDEX_SIG_BYTES the block goes without. False: out of memory.
 */
bool index_sig_keep(struct index_writer *x, uint32_t block, enum gram_part part, unsigned log,
                    const uint8_t *bits);
bool index_cover_add(struct index_writer *x, uint32_t key, uint32_t block, uint8_t how);
/* Takes over the signatures of all copied blocks. */
int index_sources_done(struct index_writer *x, struct err *err);

#endif
