/* fuzz_index.c: the parts of indexes. First byte even: a page of the value map with hostile bytes;
 * entries rise and stay inside the shape. Odd: a text, of which a slice is asked for: whatever the
 * bytes, what a text contains is never ruled out. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "codec/gram.h"
#include "codec/valmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct last {
    uint64_t entry;
    uint32_t n, width;
};

static void entry(void *arg, uint32_t hash, uint32_t block)
{
    struct last *l = arg;
    uint64_t e = valmap_entry(hash, block);
    if ((l->n && e >> 32 < l->entry >> 32) || block >> l->width || ++l->n > VALMAP_PAGE_ENTRIES)
        abort();
    l->entry = e;
}

static void page(const uint8_t *data, size_t n)
{
    char copy[VALMAP_PAGE + 8] = { 0 };
    struct valmap_shape sh = { data[0], data[1] };
    n = n - 2 < VALMAP_PAGE ? n - 2 : VALMAP_PAGE;
    memcpy(copy, data + 2, n);
    struct last l = { .width = sh.width < 32 ? sh.width : 0 };
    valmap_page_each((str){ copy, n }, sh, 0, UINT32_MAX, entry, &l);
}

static bool has(const uint8_t *sig, uint32_t row)
{
    return sig[row / 8] >> row % 8 & 1;
}

static void text(const uint8_t *data, size_t n)
{
    size_t from = data[0] | (size_t)data[1] << 8, len = data[2];
    str t = { (const char *)data + 3, n - 3 };
    if (from > t.n || len > t.n - from)
        return;
    str needle = { t.p + from, len };
    struct gram_sink *s = gram_sink_new();
    struct arena a;
    struct text_keys k = { 0 };
    arena_init(&a, 1u << 20);
    if (s && text_keys_add(&k, &a, needle, false, false)) {
        gram_sink_text(s, t);
        const uint8_t *grams = gram_sink_fold(s, GRAM_TEXT, GRAM_LOG_MAX);
        const uint8_t *tokens = gram_sink_fold(s, GRAM_TOKENS, GRAM_LOG_MAX);
        for (uint32_t i = 0; i < k.ngrams; i++)
            if (!has(grams, gram_row(k.grams[i], 0)))
                abort();
        for (uint32_t i = 0; i < k.ntokens; i++)
            if (!has(tokens, token_row(k.tokens[i], 0)) || !has(tokens, token_row(k.tokens[i], 1)))
                abort();
    }
    arena_deinit(&a);
    gram_sink_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n >= 4 && data[0] % 2 == 0)
        page(data + 1, n - 1);
    else if (n >= 4)
        text(data + 1, n - 1);
    return 0;
}
