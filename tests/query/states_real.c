/* states_real.c: rows in the columnar store on a file system in memory. */
#include "io/io.h"
#include "query_states.h"

static int append(struct store *s, const struct rows *r, uint32_t from, uint32_t n, ts_ns now,
                  struct err *err)
{
    char *payload;
    size_t bytes;
    if (!n)
        return 0;
    int rc = rows_payload(r, from, n, now, &payload, &bytes, err);
    return rc ? rc : store_append_wait(s, payload, bytes, n, NULL, err);
}

static int open_store(struct state *st, struct err *err)
{
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.create = true;
    return store_open(&st->store, st->io, &cfg, err);
}

static int mark(struct state *st, const struct rows *r, struct err *err)
{
    for (uint32_t i = 0; i < r->nmarks; i++) {
        const struct row_mark *m = &r->mark[i];
        uint32_t applied;
        struct mark mk = {
            .seq = m->seq, .resolved = true, .by = m->by, .note = m->note, .at = m->at
        };
        int rc = store_mark(st->store, &mk, 1, &applied, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int fill_memory(struct state *st, const struct rows *r, ts_ns now, struct err *err)
{
    int rc = append(st->store, r, 0, r->n, now, err);
    return rc ? rc : mark(st, r, err);
}

static int fill_flushed(struct state *st, const struct rows *r, ts_ns now, struct err *err)
{
    int rc = fill_memory(st, r, now, err);
    return rc ? rc : store_flush(st->store, err);
}

/* parts of a third, flushed one after the other, then joined */
static int fill_merged(struct state *st, const struct rows *r, ts_ns now, struct err *err)
{
    uint32_t third = r->n / 3;
    int rc = 0;
    for (uint32_t i = 0; i < 3 && !rc; i++) {
        rc = append(st->store, r, i * third, i == 2 ? r->n - 2 * third : third, now, err);
        if (!rc)
            rc = store_flush(st->store, err);
    }
    if (!rc)
        rc = mark(st, r, err);
    return rc ? rc : store_merge(st->store, err);
}

/* half flushed, half in the log; closed and opened again */
static int fill_restarted(struct state *st, const struct rows *r, ts_ns now, struct err *err)
{
    uint32_t half = r->n / 2;
    int rc = append(st->store, r, 0, half, now, err);
    if (!rc)
        rc = store_flush(st->store, err);
    if (!rc)
        rc = append(st->store, r, half, r->n - half, now, err);
    if (!rc)
        rc = mark(st, r, err);
    if (rc)
        return rc;
    store_close(st->store);
    st->store = NULL;
    return open_store(st, err);
}

/* a batch a row, every other one flushed: as many segments and chunks as there can be */
static int fill_scattered(struct state *st, const struct rows *r, ts_ns now, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < r->n && !rc; i++) {
        rc = append(st->store, r, i, 1, now, err);
        if (!rc && i % 2 && i < 40)
            rc = store_flush(st->store, err);
    }
    return rc ? rc : mark(st, r, err);
}

static const struct {
    const char *name;
    int (*fill)(struct state *st, const struct rows *r, ts_ns now, struct err *err);
    bool no_prune;
} kinds[] = {
    { "memory", fill_memory, false },       { "flushed", fill_flushed, false },
    { "merged", fill_merged, false },       { "restarted", fill_restarted, false },
    { "scattered", fill_scattered, false }, { "pruning off", fill_flushed, true },
};

int states_open(struct states *s, const struct rows *r, ts_ns now, struct err *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct state *st = &s->state[s->n++];
        *st = (struct state){ .name = kinds[i].name, .no_prune = kinds[i].no_prune };
        int rc = io_mem_new(&st->io, 1, err);
        if (!rc)
            rc = open_store(st, err);
        if (!rc)
            rc = kinds[i].fill(st, r, now, err);
        if (rc)
            return rc;
    }
    return 0;
}

void states_close(struct states *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->state[i].store)
            store_close(s->state[i].store);
        io_free(s->state[i].io);
    }
    s->n = 0;
}
