/* fuzz_fault.c: stacks and messages of any shape: what is found lies in the text, and the
 * normalised text is a fixed small multiple of it and the same again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "codec/fault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_in(str part, str text)
{
    /* "panic" is the one word that is not the text's own */
    if (part.n && !str_eq(part, STR("panic")) &&
        (part.p < text.p || part.p + part.n > text.p + text.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    str text = { (const char *)data, n };
    struct fault_stack s;
    struct buf a, b;
    bool found = fault_stack_read(text, &s);
    check_in(s.type, text);
    check_in(s.line, text);
    check_in(s.function, text);
    check_in(s.file, text);
    if (!found && (s.function.n || s.file.n))
        abort();
    buf_init(&a, 1u << 20);
    buf_init(&b, 1u << 20);
    fault_put_frame(&a, &s);
    buf_reset(&a);
    fault_put_text(&a, text);
    fault_put_text(&b, text);
    if (!buf_ok(&a) || a.n > FAULT_TEXT_MAX * 8 || !str_eq(buf_str(&a), buf_str(&b)))
        abort();
    buf_deinit(&a);
    buf_deinit(&b);
    return 0;
}
