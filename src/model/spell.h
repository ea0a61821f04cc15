/* spell.h: how a client wrote an instant or a level, so that a view can write it the same way.
 *
 * A spelling is a few bytes that are equal for all entries of one logger; it stands in the shape
 * (shape.h). Instants: a letter for the form, see spell.c. Levels: "" the canonical lower-case
 * name, "u" the same in upper case, "=TEXT" any other word, "#9" a number. When no spelling gives
 * the client's value back (exact is false), the value itself has to be kept. Pure; thread-safe. */
#ifndef FL_MODEL_SPELL_H
#define FL_MODEL_SPELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"
#include "model/field.h"

#define SPELL_MAX 24

struct spelling {
    char c[SPELL_MAX];
    uint8_t n;
    bool exact;
};

enum spell_unit { UNIT_BY_SIZE, UNIT_S, UNIT_MS };

/* "2026-11-21T10:00:00Z" and its relatives, or a number in quotes */
bool spell_time_text(str s, enum spell_unit unit, ts_ns *ret, struct spelling *sp);
/* raw: a JSON number */
bool spell_time_number(str raw, enum spell_unit unit, ts_ns *ret, struct spelling *sp);
/* One JSON value. An unknown spelling gives RFC 3339. */
void spell_put_time(struct buf *b, ts_ns t, str sp);
/* seconds or milliseconds since 1970 as a JSON number; whole numbers with ".0" when `real` */
void spell_put_epoch(struct buf *b, ts_ns t, enum spell_unit unit, bool real);

bool spell_level_text(str s, enum level *ret, struct spelling *sp);
void spell_put_level(struct buf *b, enum level lv, str sp); /* one JSON value */

#endif
