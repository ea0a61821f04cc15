/* map.c: linear probing in a power-of-two table, at most 3/4 full, seeded hash. */
#include "base/map.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

void smap_init(struct smap *m, int flags)
{
    *m = (struct smap){ .copy = flags & SMAP_COPY };
}

static void free_keys(struct smap *m)
{
    if (!m->copy)
        return;
    for (uint32_t i = 0; i < m->cap; i++)
        mem_free((char *)(uintptr_t)m->slots[i].key.p);
}

void smap_deinit(struct smap *m)
{
    free_keys(m);
    mem_free(m->slots);
    smap_init(m, m->copy ? SMAP_COPY : SMAP_BORROW);
}

void smap_reset(struct smap *m)
{
    free_keys(m);
    if (m->cap)
        memset(m->slots, 0, m->cap * sizeof(*m->slots));
    m->n = 0;
}

/* the slot of key, or the free one where it belongs; the table has a free slot */
static struct smap_slot *probe(const struct smap *m, str key, uint64_t hash)
{
    uint32_t mask = m->cap - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct smap_slot *s = &m->slots[i];
        if (!s->key.p || (s->hash == hash && str_eq(s->key, key)))
            return s;
    }
}

uint64_t *smap_get(const struct smap *m, str key)
{
    if (m->n == 0)
        return NULL;
    struct smap_slot *s = probe(m, key, hash_keyed(key));
    return s->key.p ? &s->val : NULL;
}

static bool widen(struct smap *m)
{
    if (m->cap > UINT32_MAX / 2)
        return false;
    struct smap wide = { .cap = m->cap ? m->cap * 2 : 16, .n = m->n, .copy = m->copy };
    wide.slots = mem_zarray(wide.cap, sizeof(*wide.slots));
    if (!wide.slots)
        return false;
    for (uint32_t i = 0; i < m->cap; i++) {
        const struct smap_slot *old = &m->slots[i];
        if (!old->key.p)
            continue;
        uint32_t j = (uint32_t)old->hash & (wide.cap - 1);
        while (wide.slots[j].key.p)
            j = (j + 1) & (wide.cap - 1);
        wide.slots[j] = *old;
    }
    mem_free(m->slots);
    *m = wide;
    return true;
}

uint64_t *smap_put(struct smap *m, str key, bool *ret_new)
{
    uint64_t hash = hash_keyed(key);
    struct smap_slot *s = m->cap ? probe(m, key, hash) : NULL;
    if (s && s->key.p) {
        if (ret_new)
            *ret_new = false;
        return &s->val;
    }
    if (m->n >= m->cap / 4 * 3) {
        if (!widen(m))
            return NULL;
        s = probe(m, key, hash);
    }
    if (m->copy) {
        char *p = mem_alloc(key.n);
        if (!p)
            return NULL;
        if (key.n)
            memcpy(p, key.p, key.n);
        key.p = p;
    } else if (!key.p) {
        key.p = "";
    }
    *s = (struct smap_slot){ .key = key, .hash = hash };
    m->n++;
    if (ret_new)
        *ret_new = true;
    return &s->val;
}

bool smap_next(const struct smap *m, uint32_t *i, struct smap_slot **ret)
{
    while (*i < m->cap) {
        struct smap_slot *s = &m->slots[(*i)++];
        if (s->key.p) {
            *ret = s;
            return true;
        }
    }
    return false;
}
