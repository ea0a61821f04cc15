/* gram.h: what a piece of text leaves in an index, for building and for asking alike (gram table
 * version 1).
 *
 * Text is folded (utf8_fold) and leaves:
 *   grams   every three bytes that stand side by side; a CJK character is three bytes, so a gram
 *           of its own, and the two grams across the border of two characters stand for the pair.
 *           A token of one or two ASCII letters or digits leaves {0, a, b} too, b = 0 for one.
 *   tokens  ASCII tokens (token.h) of ID_TOKEN_MIN characters or more with a digit among the
 *           first TOKEN_MAX: numbers, hashes, ids, whose grams are all common ones.
 * In an index both are bit positions below GRAM_ROWS; a signature of 2^k rows keeps the lowest k
 * bits of a position, so that halving one is an OR of its halves. A text that contains a needle has
 * every gram and every token of the needle: a missing one rules it out. */
#ifndef FL_CODEC_GRAM_H
#define FL_CODEC_GRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define GRAM_VERSION 1
#define GRAM_LOG_MIN 8
#define GRAM_LOG_MAX 18
#define GRAM_ROWS (1u << GRAM_LOG_MAX)
#define ID_TOKEN_MIN 6

/* where a gram is in a signature; salt: 0, or one column's among others' */
static inline uint32_t gram_row(uint32_t gram, uint32_t salt)
{
    return ((gram ^ salt) * 0x9e3779b1u) >> (32 - GRAM_LOG_MAX);
}
/* the two places of a token, by its token_hash */
static inline uint32_t token_row(uint64_t hash, unsigned which)
{
    return (uint32_t)(hash >> (which ? 40 : 8)) & (GRAM_ROWS - 1);
}

/* ---- building ---- */

/* The signature of one block while it is built. One thread. */
struct gram_sink;
struct gram_sink *gram_sink_new(void); /* NULL: out of memory */
void gram_sink_free(struct gram_sink *s);
/* Empties the two signatures and forgets the texts seen. */
void gram_sink_reset(struct gram_sink *s);
/* Adds a text. Lines that were added before cost little; for that the texts added since the last
 * reset must stay where they are. Any UTF-8, bad bytes included. */
void gram_sink_text(struct gram_sink *s, str text);
/* Adds the grams of a short text, salted with its column's number, to the signature `fields`. */
void gram_sink_field(struct gram_sink *s, str text, uint32_t salt);

enum gram_part { GRAM_TEXT, GRAM_TOKENS, GRAM_FIELDS, GRAM__PARTS };
/* Bits set in the widest signature of a part. */
uint32_t gram_sink_count(const struct gram_sink *s, enum gram_part part);
/* The signature of 2^log rows, GRAM_LOG_MIN <= log <= GRAM_LOG_MAX, as 2^log / 8 bytes; overwrites
 * the part. */
const uint8_t *gram_sink_fold(struct gram_sink *s, enum gram_part part, unsigned log);

/* Calls fn with token_hash of every id token of text (see above). */
void gram_id_tokens(str text, void (*fn)(void *arg, uint64_t hash), void *arg);

/* ---- asking ---- */

/* What every text that passes a test must contain. */
struct text_keys {
    uint32_t *grams;
    uint32_t ngrams;
    uint64_t *tokens; /* token_hash of id tokens */
    uint32_t ntokens;
    bool whole;     /* the test is for one whole value ... */
    uint64_t value; /* ... with this hash64 */
};
/* Adds what a text has to contain that contains s. left (right): s begins (ends) at the border of
 * a token. Nothing is added for bytes that are not UTF-8. False: out of memory. */
bool text_keys_add(struct text_keys *k, struct arena *a, str s, bool left, bool right);
static inline bool text_keys_any(const struct text_keys *k)
{
    return k->ngrams || k->ntokens || k->whole;
}

#endif
