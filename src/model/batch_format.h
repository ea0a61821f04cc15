/* batch_format.h: the numbers of docs/format/batch.md, shared by its writer and its reader. */
#ifndef FL_MODEL_BATCH_FORMAT_H
#define FL_MODEL_BATCH_FORMAT_H

#define BATCH_VERSION 2
#define BATCH_VERSION_OLDEST 1 /* still read; it has no DICT */
#define BATCH_BLOCK_TEXT                                                                           \
    (32u << 20) /* bytes of text a block holds unless one row alone is larger */

#define BATCH_DICT_MIN 32   /* values below which no dictionary is tried */
#define BATCH_DICT_MAX 4096 /* texts in one */

enum batch_flag {
    BF_DENSE = 1,
    BF_CONST = 2,
    BF_WIDTH_SHIFT = 2,
    BF_WIDTH_MASK = 12,
    BF_LIST = 16,
    BF_DICT = 32
};

#endif
