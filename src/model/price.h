/* price.h: what tokens cost: a table that users edit, and the sum it gives for one call.
 *
 * A line of the file is a rule; blanks separate its columns, '#' starts a comment:
 *
 *   # model             from         input  cache_read  cache_write  output  [reasoning]
 *   claude-sonnet-4*    2025-05-22   3.00   0.30        3.75         15.00
 *
 * `model` is a glob in which only '*' is special; it is case-sensitive.
 * `from` is a date, 00:00 UTC of which the rule begins to hold, or '-' for always. Prices are US
 * dollars for a million tokens; '-' means: as input for the two of the cache, as output for
 * reasoning, which may also be left out.
 *
 * Of the rules whose glob fits and that hold at the time of the call, the one with the most bytes
 * that are no '*' counts; of several the one that holds since the latest date, then the last in the
 * file. No rule: no price, which is not the same as a price of 0.
 *
 * A table is immutable once made, counts its references and may be read by any number of threads.
 */
#ifndef FL_MODEL_PRICE_H
#define FL_MODEL_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

#define PRICE_FILE_MAX ((size_t)256 << 10)
#define PRICE_RULES_MAX 4096
#define PRICE_MODEL_MAX 256     /* bytes of a glob */
#define PRICE_USD_MAX 1000000.0 /* for a million tokens */

/* the five counts of a call; reasoning is a part of output, the other four are apart */
enum token_kind { TK_INPUT, TK_CACHE_READ, TK_CACHE_WRITE, TK_OUTPUT, TK_REASONING, TK__COUNT };
struct tokens {
    int64_t n[TK__COUNT]; /* < 0: not told */
};
#define TOKENS_UNKNOWN ((struct tokens){ { -1, -1, -1, -1, -1 } })
/* all that were told, reasoning not twice; -1 when none was */
int64_t tokens_total(const struct tokens *t);

struct price {
    double usd[TK__COUNT]; /* for a million */
};

struct prices;
/* ERR_INVALID with err->pos (byte) and a sentence that begins "line N: "; ERR_LIMIT; ERR_NOMEM. */
int prices_parse(struct prices **ret, str text, struct err *err);
struct prices *prices_ref(const struct prices *p); /* p; NULL is fine */
void prices_unref(struct prices *p);               /* NULL is fine */
uint32_t prices_count(const struct prices *p);
/* NULL: no rule, or p is NULL */
const struct price *prices_find(const struct prices *p, str model, ts_ns at);
/* US dollars; false: no rule for the model, or no count was told */
bool prices_cost(const struct prices *p, str model, ts_ns at, const struct tokens *t, double *ret);
/* A file to begin with: comments, and list prices to be checked. */
str prices_example(void);

#endif
