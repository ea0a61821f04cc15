/* verify.c: reads every byte of a store and checks every checksum and every decoded page.
 *
 * The store is opened for reading only, which checks identity, manifest, state and WAL; then every
 * block of every segment is decoded. Nothing is changed. With `deep` what is stored twice is
 * compared, too: verify_deep.c. */
#include "store/columnar/impl.h"

#include "base/log.h"
#include "store/columnar/seg_index.h"

struct finding {
    struct verify_report *rep;
};

void verify_problem(struct verify_report *rep, const char *text)
{
    rep->problems++;
    if (rep->text)
        buf_printf(rep->text, "problem: %s\n", text);
}

static void on_event(void *arg, int level, const char *text)
{
    struct finding *f = arg;
    if (level >= LOG_ERROR)
        verify_problem(f->rep, text);
    else if (f->rep->text)
        buf_printf(f->rep->text, "note: %s\n", text);
}

static void verify_segment(struct seg *g, struct verify_report *rep)
{
    struct err err = ERR_INIT;
    rep->files++;
    rep->bytes += g->m.bytes;
    rep->files += g->m.dead != 0;
    if (seg_open(g, &err)) {
        verify_problem(rep, err.msg);
        return;
    }
    struct arena a;
    arena_init(&a, ARENA_MAX);
    uint64_t rows = 0;
    for (uint32_t i = 0; i < g->m.nblocks; i++) {
        struct sblock *sb;
        err_reset(&err);
        int rc = sblock_open(g, i, &a, &sb, &err);
        if (!rc) {
            rows += g->blocks[i].n;
            rc = sblock_verify(sb, rep, &err);
            block_close(sblock_block(sb));
        }
        if (rc)
            verify_problem(rep, err.msg);
        arena_reset(&a);
    }
    err_reset(&err);
    if (seg_index_verify(g, &err))
        verify_problem(rep, err.msg);
    if (rows != g->m.rows)
        verify_problem(rep, "a segment holds another number of entries than the manifest says");
    rep->rows -= g->m.dead_rows < rep->rows ? g->m.dead_rows : rep->rows;
    arena_deinit(&a);
    if (rep->deep)
        verify_deep_segment(g, rep);
}

int store_verify(struct io *io, struct verify_report *rep, struct err *err)
{
    struct finding f = { rep };
    struct store_config cfg;
    struct store *s;
    store_config_default(&cfg);
    cfg.read_only = true;
    cfg.on_event = on_event;
    cfg.on_event_ctx = &f;
    int rc = store_open(&s, io, &cfg, err);
    if (rc) {
        if (rc == ERR_CORRUPT)
            verify_problem(rep, err->msg);
        return rc;
    }
    if (!s->mf.clean && rep->text)
        buf_puts(rep->text, "note: the manifest ends in an edit that was never completed\n");
    rep->files += 2;
    rep->bytes += s->mf.size + s->st.recovered_bytes;
    rep->rows += s->active->rows;
    for (uint32_t i = 0; i < s->version->n; i++)
        verify_segment(s->version->v[i], rep);
    if (rep->deep)
        verify_deep_store(s, rep);
    if (rep->text)
        buf_printf(rep->text,
                   "%llu files, %llu bytes, %llu blocks, %llu pages, %llu entries: %llu problems\n",
                   (unsigned long long)rep->files, (unsigned long long)rep->bytes,
                   (unsigned long long)rep->blocks, (unsigned long long)rep->pages,
                   (unsigned long long)rep->rows, (unsigned long long)rep->problems);
    store_close(s);
    return rep->problems
               ? err_set(err, ERR_CORRUPT, "%llu problems found", (unsigned long long)rep->problems)
               : 0;
}
