/* pred_run.c: the scratch memory of one thread that evaluates: bitmaps as a stack, text buffers. */
#include "base/mem.h"
#include "model/pred_int.h"

#define SCRATCH_MAX ((size_t)1 << 30)

int pred_run_new(struct pred_run **ret, struct err *err)
{
    struct pred_run *r = mem_zalloc(sizeof *r);
    if (!r)
        return err_nomem(err);
    buf_init(&r->fold, SCRATCH_MAX);
    buf_init(&r->leaf, SCRATCH_MAX);
    buf_init(&r->inside, SCRATCH_MAX);
    *ret = r;
    return 0;
}

void pred_run_free(struct pred_run *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->nmaps; i++)
        mem_free(r->maps[i]);
    mem_free(r->maps);
    buf_deinit(&r->fold);
    buf_deinit(&r->leaf);
    buf_deinit(&r->inside);
    regex_run_free(r);
    mem_free(r);
}

uint64_t pred_run_gave_up(const struct pred_run *r)
{
    return r->gave_up;
}

uint64_t *run_map(struct pred_run *r)
{
    if (r->used == r->nmaps) {
        uint64_t **maps = mem_realloc(r->maps, (r->nmaps + 1) * sizeof *maps);
        if (!maps)
            return NULL;
        r->maps = maps;
        maps[r->nmaps] = mem_alloc(BLOCK_WORDS * sizeof(uint64_t));
        if (!maps[r->nmaps])
            return NULL;
        r->nmaps++;
    }
    return r->maps[r->used++];
}

void run_map_done(struct pred_run *r, uint32_t n)
{
    r->used -= n;
}
