/* map.h: hash map from byte strings to 64-bit values; open addressing, seeded per process.
 *
 * Keys are borrowed unless SMAP_COPY is given at init. Deletion is not supported (nothing here
 * needs it). Not thread-safe. */
#ifndef FL_BASE_MAP_H
#define FL_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct smap_slot {
    str key; /* key.p == NULL: free slot (an empty key has a non-NULL pointer) */
    uint64_t hash;
    uint64_t val;
};

struct smap {
    struct smap_slot *slots;
    uint32_t cap, n; /* cap is 0 or a power of two */
    bool copy;
};

enum { SMAP_BORROW = 0, SMAP_COPY = 1 };

void smap_init(struct smap *m, int flags);
void smap_deinit(struct smap *m);
void smap_reset(struct smap *m); /* forgets all keys, keeps the table */
/* pointer to the value, valid until the next insert; NULL when absent */
uint64_t *smap_get(const struct smap *m, str key);
/* Finds or inserts key with value 0. NULL when out of memory. *ret_new may be NULL. */
uint64_t *smap_put(struct smap *m, str key, bool *ret_new);
/* iteration: for (uint32_t i = 0; smap_next(&m, &i, &slot);) */
bool smap_next(const struct smap *m, uint32_t *i, struct smap_slot **ret);

#endif
