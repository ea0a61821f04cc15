/* native.c: fleetlog's own dialect: any names of the alias table, any extra keys, NDJSON or JSON.
 */
#include "ingest/decode.h"

static const char *const containers[] = { "attributes", "metadata", "context",
                                          "payload",    "extra",    NULL };

const struct rules native_rules = {
    .letter = 'N',
    .set = SET_NATIVE,
    .containers = containers,
    .unit = UNIT_BY_SIZE,
    .arrays = true,
    .objects = true,
    .plannable = true,
};
