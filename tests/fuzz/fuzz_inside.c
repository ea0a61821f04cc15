/* fuzz_inside.c: what lies inside of an array, out of any bytes: model/inside.h.
 *
 * The text up to the first newline is the way, what is behind it the stored value. Bytes from a
 * damaged file may give anything but a crash; of a JSON text the answer is nothing or an array, and
 * asking for it twice gives it twice. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "codec/json.h"
#include "model/inside.h"

#define TEXT_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void walk(str value, str way, bool exact, bool valid)
{
    struct buf one, two;
    struct err err = ERR_INIT;
    buf_init(&one, TEXT_MAX);
    buf_init(&two, TEXT_MAX);
    if (inside_array(&one, value, way, exact, &err) || inside_array(&two, value, way, exact, &err))
        abort();
    if (!str_eq(buf_str(&one), buf_str(&two)))
        abort();
    if (valid && one.n) {
        buf_reserve(&one, BUF_PAD);
        if (one.p[0] != '[' || !json_valid(buf_str(&one)))
            abort();
    }
    buf_deinit(&one);
    buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    str all = { (const char *)data, n };
    size_t end = str_chr(all, '\n');
    if (end == SIZE_MAX)
        return 0;
    str way = str_sub(all, 0, end), value = str_skip(all, end + 1);
    struct buf text, small;
    struct err err = ERR_INIT;
    buf_init(&text, TEXT_MAX);
    buf_init(&small, TEXT_MAX);
    buf_putstr(&text, value);
    buf_reserve(&text, BUF_PAD);
    bool valid = buf_ok(&text) && json_valid(buf_str(&text)) &&
                 json_minify(&small, buf_str(&text), &err) == 0;
    for (int exact = 0; exact < 2; exact++) {
        walk(value, way, exact, false);
        if (valid)
            walk(buf_str(&small), way, exact, true);
    }
    buf_deinit(&text);
    buf_deinit(&small);
    return 0;
}
