/* spill_area.h: the files of an area, for spill_sort.c. */
#ifndef FL_QUERY_SPILL_AREA_H
#define FL_QUERY_SPILL_AREA_H

#include <stdatomic.h>

#include "io/io.h"
#include "query/spill.h"

#define SPILL_PATH 40

struct spill_area {
    struct io *io;
    uint64_t reserve, query_max;
    _Atomic uint64_t next, written;
};

/* a new file, to be written */
int spill_file_new(struct spill_area *a, uint64_t *ret_number, struct io_file **ret,
                   struct err *err);
int spill_file_open(struct spill_area *a, uint64_t number, struct io_file **ret, struct err *err);
void spill_file_drop(struct spill_area *a, uint64_t number);
int spill_full(struct err *err, const char *why); /* ERR_FULL, query_disk */

#endif
