/* fuzz_price.c: any bytes as a price table: refused with a line that exists, or a table that gives
 * every model it names a cost that is a finite number of dollars, and the same one twice. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/price.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void ask(const struct prices *p, str model)
{
    static const struct tokens some = { { 10, 20, 30, 40, 5 } };
    static const ts_ns times[] = { TS_MIN, 0, 1795262400ll * NS_PER_S, TS_MAX };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        double a = -1, b = -2;
        bool found = prices_find(p, model, times[i]) != NULL;
        check(prices_cost(p, model, times[i], &some, &a) == found);
        check(!found || (isfinite(a) && a >= 0 && a <= 95 * PRICE_USD_MAX / 1e6));
        check(prices_cost(p, model, times[i], &some, &b) == found && (!found || a == b));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err = ERR_INIT;
    struct prices *p = NULL;
    char *exact = malloc(n ? n : 1);
    check(exact != NULL);
    if (n)
        memcpy(exact, data, n);
    str rest = str_n(exact, n), line;
    int rc = prices_parse(&p, rest, &err);
    if (rc) {
        check(p == NULL && err.msg[0] && (err.pos < 0 || err.pos <= (int64_t)n));
        free(exact);
        return 0;
    }
    check(prices_count(p) <= PRICE_RULES_MAX);
    ask(p, STR("gpt-4o"));
    for (int i = 0; i < 64 && str_split(&rest, '\n', &line); i++) {
        line = str_trim(line);
        size_t end = str_chr(line, ' ');
        ask(p, str_sub(line, 0, end == SIZE_MAX ? line.n : end));
    }
    prices_unref(p);
    free(exact);
    return 0;
}
