/* verify_index.h: checks the indexes of a segment against its decoded blocks, block by block.
 *
 *   index_check_begin, index_check_column for each text column, index_check_end */
#ifndef FL_STORE_COLUMNAR_VERIFY_INDEX_H
#define FL_STORE_COLUMNAR_VERIFY_INDEX_H

#include "store/columnar/impl.h"

struct index_check;
/* Reads the indexes of an open segment. ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
int index_check_new(struct index_check **ret, struct seg *g, struct err *err);
void index_check_free(struct index_check *x); /* NULL is fine */
void index_check_begin(struct index_check *x, uint32_t block);
/* key: as in struct seg_col. The values stay where they are until index_check_end. What is wrong,
 * or NULL. */
const char *index_check_column(struct index_check *x, uint32_t key, const struct colv *v);
const char *index_check_end(struct index_check *x);

#endif
