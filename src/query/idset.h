/* idset.h: ids counted once a group, 32 bytes each: for spans and calls, of which there are many.
 *
 * An id is kept as the 64-bit hash of its group's key, its kind and its text. That two of a million
 * are taken for one has a chance of one in 37 million. The group's number rides along, so that sets
 * of parts of a scan, which number groups differently, can be taken together. */
#ifndef FL_QUERY_IDSET_H
#define FL_QUERY_IDSET_H

#include "query/internal.h"

struct idset_slot {
    uint64_t hash; /* 0: free */
    uint32_t group, kind;
};
struct idset {
    struct run *r; /* whose memory it counts against */
    struct idset_slot *slots;
    uint32_t n, cap; /* cap is 0 or a power of two */
};

/* never 0 */
uint64_t idset_hash(struct val group_key, uint32_t kind, str id);
/* *ret_new: it was not there. ERR_NOMEM. */
int idset_add(struct idset *s, uint64_t hash, uint32_t group, uint32_t kind, bool *ret_new,
              struct err *err);
void idset_deinit(struct idset *s);

#endif
