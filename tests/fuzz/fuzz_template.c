/* fuzz_template.c: messages taken apart and put together again, and template pages: hostile ones
 * decoded, and real ones made of the input's lines, which must come back equal. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/page.h"
#include "codec/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define ROWS 256

static void split_and_join(str text)
{
    static struct template_var v[TEMPLATE_VARS_MAX];
    struct buf t, back;
    uint32_t nv, k = 0;
    buf_init(&t, 1u << 20);
    buf_init(&back, 1u << 20);
    if (template_split(text, &t, v, &nv)) {
        for (size_t i = 0; i < t.n; i++) {
            char c = t.p[i];
            if (c != TEMPLATE_INT && c != TEMPLATE_PADDED && c != TEMPLATE_TEXT) {
                buf_putc(&back, c);
                continue;
            }
            if (k == nv)
                abort();
            if (c == TEMPLATE_INT)
                buf_put_u64(&back, v[k].num);
            else
                buf_putstr(&back, v[k].text);
            i += c == TEMPLATE_PADDED;
            k++;
        }
        if (k != nv || !str_eq(back.p ? buf_str(&back) : STR(""), text))
            abort();
    } else if (t.n) {
        abort();
    }
    buf_deinit(&t);
    buf_deinit(&back);
}

static void round_trip(const uint8_t *data, size_t n)
{
    static str text[ROWS];
    size_t at = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        if (at >= n)
            at = i % (n ? n : 1);
        size_t end = at;
        while (end < n && data[end] != '\n')
            end++;
        text[i] = (str){ (const char *)data + at, end - at };
        at = end + 1;
    }
    struct page_in in = { .cls = PAGE_TEXT, .n = ROWS, .nvals = ROWS, .text = text };
    struct page_scratch *s = page_scratch_new();
    struct buf out;
    struct arena a;
    struct page_meta m;
    struct page_out po;
    struct err err = ERR_INIT;
    buf_init(&out, 1u << 24);
    arena_init(&a, 64u << 20);
    if (!s || page_encode(&in, 1, s, &out, &m, &err) ||
        page_decode(buf_str(&out), in.cls, m.encoding, m.zstd, m.raw_n, ROWS, ROWS, &a, &po, &err))
        abort();
    for (uint32_t r = 0; r < ROWS; r++) {
        uint32_t k = po.codes ? po.codes[r] : r;
        if (!str_eq(text[r], (str){ po.bytes + po.off[k], po.off[k + 1] - po.off[k] }))
            abort();
    }
    page_scratch_free(s);
    buf_deinit(&out);
    arena_deinit(&a);
}

static void decode_hostile(const uint8_t *data, size_t n)
{
    if (n < 2)
        return;
    struct arena a;
    struct err err = ERR_INIT;
    struct page_out out;
    uint32_t rows = data[0] + 1u;
    arena_init(&a, 64u << 20);
    if (page_decode((str){ (const char *)data + 1, n - 1 }, PAGE_TEXT, PE_TEMPLATES, false,
                    (uint32_t)n - 1, rows, rows, &a, &out, &err) == 0) {
        volatile size_t sum = 0;
        for (uint32_t i = 0; i < out.off[rows]; i++)
            sum += (uint8_t)out.bytes[i];
        (void)sum;
    }
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    decode_hostile(data, n);
    if (n > 4096)
        return 0;
    split_and_join((str){ (const char *)data, n });
    round_trip(data, n);
    return 0;
}
