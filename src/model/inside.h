/* inside.h: what lies inside of arrays, under one name with it.
 *
 * Objects become paths, arrays are kept whole: of {"steps":[{"tool":"a"},{"tool":"b"}]} there is a
 * column `steps` of JSON texts and none `steps.tool`. A reference to steps.tool means the values
 * under that key in all elements, as one array: ["a","b"]. Arrays in arrays are gone through, nulls
 * left out, an object counts as an array of one. */
#ifndef FL_MODEL_INSIDE_H
#define FL_MODEL_INSIDE_H

#include "base/buf.h"
#include "base/err.h"
#include "model/block.h"

#define INSIDE_COLS 8 /* columns of one reference that are looked into */

struct inside {
    struct fieldref outer; /* a key that may hold such an array */
    str way;               /* from there on: steps, separated as in f->key */
    size_t at;             /* private */
};
/* The next one, begun with all zero; the shortest key first. False: there is none. */
bool inside_next(const struct fieldref *f, struct inside *i);
/* Is there one of this key? */
bool inside_of(const struct fieldref *f, str key, uint64_t hash, str *ret_way);

/* Appends the values at `way` in json as an array, nothing when there are none. */
int inside_array(struct buf *out, str json, str way, bool exact, struct err *err);
/* Columns of the block that may have values for f: indexes and ways; how many, INSIDE_COLS at
 * most. */
uint32_t inside_cols(const struct block *b, const struct fieldref *f, uint32_t *ret, str *ret_way);
/* The same as a value: V_JSON, its text in the arena, or VAL_ABSENT. */
int inside_value(str json, str way, bool exact, struct arena *a, struct val *ret, struct err *err);

#endif
