/* token.h: how text is cut into tokens, for queries and indexes alike (token table version 1).
 *
 * A token is a maximal run of ASCII letters and digits, or of other letters and digits (a change
 * between the two kinds cuts); everything else separates, '_' too. Runs of CJK characters give
 * every bigram (one character alone: itself). Tokens are folded (utf8_fold). */
#ifndef FL_CODEC_TOKEN_H
#define FL_CODEC_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define TOKEN_VERSION 1
/* bytes hashed of one token; longer ones are hashed by their first 64 bytes */
#define TOKEN_MAX 64

struct token_iter {
    str text;
    size_t pos;
    size_t cjk_run_start; /* internal: SIZE_MAX outside a CJK run */
};
struct token {
    size_t off, len; /* place in the text as written */
};

void token_start(struct token_iter *it, str text);
bool token_next(struct token_iter *it, struct token *ret); /* false at the end */
/* hash of the folded bytes of a token (hash64 over at most TOKEN_MAX folded bytes) */
uint64_t token_hash(str bytes_as_written);
/* Calls fn for the hash of every token of text; the fast path of index building. */
void token_hashes(str text, void (*fn)(void *arg, uint64_t hash), void *arg);
/* hash of a whole value for exact-match filters (case-sensitive) */
uint64_t value_hash(str value);

#endif
