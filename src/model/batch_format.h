/* batch_format.h: the numbers of docs/format/batch.md, shared by its writer and its reader. */
#ifndef FL_MODEL_BATCH_FORMAT_H
#define FL_MODEL_BATCH_FORMAT_H

#define BATCH_VERSION 1
#define BATCH_BLOCK_TEXT                                                                           \
    (32u << 20) /* bytes of text a block holds unless one row alone is larger */

enum batch_flag {
    BF_DENSE = 1,
    BF_CONST = 2,
    BF_WIDTH_SHIFT = 2,
    BF_WIDTH_MASK = 12,
    BF_LIST = 16
};

#endif
