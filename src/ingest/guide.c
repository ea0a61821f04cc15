/* guide.c: POST /log of the local-assistant guide: any JSON object is an event.
 *
 * Nothing is required; agent defaults to "unknown", content is the message, and a time that cannot
 * be read is kept beside the receive time. */
#include "ingest/decode.h"

const struct rules guide_rules = {
    .letter = 'G',
    .set = SET_GUIDE,
    .unit = UNIT_BY_SIZE,
    .lenient_time = true,
    .arrays = true,
    .objects = true,
    .plannable = true,
    .agent = { "unknown", 7 },
};
