/* idset.c: see idset.h. Open addressing, at most half full. */
#include "query/idset.h"

#include "base/hash.h"
#include "base/mem.h"

uint64_t idset_hash(struct val group_key, uint32_t kind, str id)
{
    uint64_t seed = kind + 1;
    if (group_key.t >= V_STR)
        seed = hash64_seed(group_key.s.p, group_key.s.n, seed);
    uint64_t h = hash64_seed(id.p, id.n, seed);
    return h ? h : 1;
}

static struct idset_slot *place(const struct idset *s, uint64_t hash)
{
    uint32_t i = (uint32_t)(hash >> 32) & (s->cap - 1);
    while (s->slots[i].hash && s->slots[i].hash != hash)
        i = (i + 1) & (s->cap - 1);
    return &s->slots[i];
}

static int grow(struct idset *s, struct err *err)
{
    struct idset old = *s;
    if (s->cap > UINT32_MAX / 4)
        return err_nomem(err);
    s->cap = s->cap ? s->cap * 2 : 256;
    s->slots = mem_zarray(s->cap, sizeof *s->slots);
    if (!s->slots) {
        *s = old;
        return err_nomem(err);
    }
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].hash)
            *place(s, old.slots[i].hash) = old.slots[i];
    s->r->kept_bytes += (size_t)(s->cap - old.cap) * sizeof *s->slots;
    mem_free(old.slots);
    return 0;
}

int idset_add(struct idset *s, uint64_t hash, uint32_t group, uint32_t kind, bool *ret_new,
              struct err *err)
{
    if (s->n >= s->cap / 2) {
        int rc = grow(s, err);
        if (rc)
            return rc;
    }
    struct idset_slot *at = place(s, hash);
    *ret_new = !at->hash;
    if (*ret_new) {
        *at = (struct idset_slot){ hash, group, kind };
        s->n++;
    }
    return 0;
}

void idset_deinit(struct idset *s)
{
    mem_free(s->slots);
    *s = (struct idset){ 0 };
}
