/* states_fake.c: rows in tests/support/fake_store.c, all at once and one by one. */
#include "query_states.h"

static int fill(struct state *st, const struct rows *r, uint32_t size, ts_ns now, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < r->n && !rc; i += size) {
        char *payload;
        size_t bytes;
        uint32_t n = r->n - i < size ? r->n - i : size;
        rc = rows_payload(r, i, n, now, &payload, &bytes, err);
        if (!rc)
            rc = store_append_wait(st->store, payload, bytes, n, NULL, err);
    }
    for (uint32_t i = 0; i < r->nmarks && !rc; i++) {
        const struct row_mark *m = &r->mark[i];
        struct mark mk = {
            .seq = m->seq, .resolved = true, .by = m->by, .note = m->note, .at = m->at
        };
        rc = store_mark(st->store, &mk, 1, NULL, err);
    }
    return rc;
}

int states_open(struct states *s, const struct rows *r, ts_ns now, struct err *err)
{
    static const struct {
        const char *name;
        uint32_t size;
    } kinds[] = { { "fake, one batch", UINT32_MAX },
                  { "fake, a batch a row", 1 },
                  { "fake, sevens", 7 } };
    struct store_config cfg;
    store_config_default(&cfg);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct state *st = &s->state[s->n++];
        *st = (struct state){ .name = kinds[i].name };
        int rc = store_open(&st->store, NULL, &cfg, err);
        if (!rc)
            rc = fill(st, r, kinds[i].size, now, err);
        if (rc)
            return rc;
    }
    return 0;
}

void states_close(struct states *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->state[i].store)
            store_close(s->state[i].store);
    s->n = 0;
}
