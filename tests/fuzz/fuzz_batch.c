/* fuzz_batch.c: batch payloads (docs/format/batch.md) from anyone: every column of every block is
 * decoded and every value read. */
#include <stddef.h>
#include <stdint.h>

#include "model/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int read_block(void *arg, struct block *b, struct err *err)
{
    uint64_t *sum = arg;
    for (uint32_t c = 0; c < b->ncols; c++) {
        const struct colv *v;
        int rc = block_load(b, c, &v, err);
        if (rc)
            return rc;
        for (uint32_t r = 0; r < b->n; r++) {
            struct val x = colv_val(v, r);
            for (size_t i = 0; !x.absent && x.t >= V_STR && i < x.s.n; i++)
                *sum += (uint8_t)x.s.p[i];
        }
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct payload_info info;
    uint64_t sum = 0;
    str payload = { (const char *)data, n };
    arena_init(&a, 64u << 20);
    if (payload_info(payload, &info, &err) == 0)
        payload_each(payload, 1, 0, &a, read_block, &sum, &err);
    arena_deinit(&a);
    return sum == UINT64_MAX;
}
