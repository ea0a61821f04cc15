/* seg_filter.c: the filters of text columns: which words, or which whole values, a block may hold.
 */
#include "store/columnar/seg_write.h"

#include "codec/filter.h"
#include "codec/token.h"

#define FILTER_MAX (256u << 10) /* bytes of one filter */

static void set_reset(struct seg_writer *w)
{
    for (uint32_t i = 0; i < w->set_n; i++)
        w->set[w->set_slots[i]] = 0;
    w->set_n = 0;
    w->set_full = false;
}

static void set_add(void *arg, uint64_t hash)
{
    struct seg_writer *w = arg;
    if (w->set_full)
        return;
    uint64_t h = hash ? hash : 1;
    uint32_t k = (uint32_t)(h ^ h >> 32) & (SEG_TOKEN_SET - 1);
    while (w->set[k] && w->set[k] != h)
        k = (k + 1) & (SEG_TOKEN_SET - 1);
    if (w->set[k])
        return;
    w->set[k] = h;
    w->set_slots[w->set_n++] = k;
    w->set_full = w->set_n > SEG_TOKEN_SET / 2;
}

/* Which filter a text column gets, if any. JSON text has none: words inside it are found decoded.
 */
static uint8_t filter_kind(const struct seg_key *k)
{
    if (k->type != V_STR)
        return FILTER_NONE;
    enum field f = k->key.n && k->key.p[0] != PATH_SEP ? field_by_name(k->key) : F_NONE;
    if (f == F_SHAPE)
        return FILTER_NONE;
    return f != F_NONE && field_table[f].flags & FF_IDENTITY ? FILTER_VALUE : FILTER_TOKEN;
}

int seg_put_filter(struct seg_writer *w, struct seg_col *c, const struct page_meta *pm,
                   struct err *err)
{
    c->filter_kind = filter_kind(&w->keys[c->key]);
    if (c->filter_kind == FILTER_NONE)
        return 0;
    set_reset(w);
    for (uint32_t i = 0; i < pm->ndistinct; i++) {
        if (c->filter_kind == FILTER_VALUE)
            set_add(w, value_hash(pm->distinct[i]));
        else
            token_hashes(pm->distinct[i], set_add, w);
    }
    size_t n = filter_bytes(w->set_n);
    if (w->set_full || n > FILTER_MAX) {
        c->filter_kind = FILTER_NONE;
        return 0;
    }
    c->filter_off = seg_here(w);
    c->filter_len = (uint32_t)n;
    char *p = buf_reserve(&w->out, n);
    if (!p)
        return err_nomem(err);
    memset(p, 0, n);
    for (uint32_t i = 0; i < w->set_n; i++)
        filter_add((uint8_t *)p, n, w->set[w->set_slots[i]]);
    c->filter_crc = addr_crc(w->s, w->m.id, c->filter_off, p, n);
    buf_advance(&w->out, n);
    return 0;
}
