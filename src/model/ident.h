/* ident.h: entry ids made by the server: UUIDv7 (RFC 9562) from receive time and sequence number.
 *
 * 48 bits of receive time in ms, version and variant, 10 check bits and the 64-bit sequence number
 * put through a keyed four-round Feistel permutation: nothing is stored for it, it cannot be
 * guessed, and decoding it finds the entry. The key is the store's secret. */
#ifndef FL_MODEL_IDENT_H
#define FL_MODEL_IDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/time.h"

struct id_gen {
    uint64_t key[2];
};
#define ID_TEXT 36

/* no NUL */
void id_make(const struct id_gen *g, ts_ns received_at, uint64_t seq, char out[ID_TEXT]);
/* False when text is not a UUID this generator made. *ret_received_ms is an instant like any other
 * (ns), cut to the millisecond. */
bool id_decode(const struct id_gen *g, str text, ts_ns *ret_received_ms, uint64_t *ret_seq);
/* 8-4-4-4-12 hex, any case */
bool uuid_valid(str text);
bool uuid_to_bytes(str text, uint8_t out[16]);
void uuid_from_bytes(const uint8_t in[16], char out[ID_TEXT]); /* lower case, no NUL */

#endif
