/* intern.c: distinct values get numbers 0, 1, 2, ... in order of appearance.
 *
 * The map's key is a type byte and the value; keys live in an arena of its own, counted against the
 * run's budget and given back at the end. */
#include "base/mem.h"
#include "query/internal.h"

void intern_init(struct intern *it, struct run *r, const char *pipe)
{
    *it = (struct intern){ .r = r, .pipe = pipe };
    smap_init(&it->map, SMAP_BORROW);
    arena_init(&it->arena, SIZE_MAX);
}

void intern_deinit(struct intern *it)
{
    smap_deinit(&it->map);
    arena_deinit(&it->arena);
    mem_free(it->vals);
    it->vals = NULL;
}

static int add(struct intern *it, struct val v, str key, uint32_t *ret, struct err *err)
{
    struct run *r = it->r;
    if (it->n == it->cap) {
        uint32_t cap = it->cap ? it->cap * 2 : 64;
        struct val *vals = mem_realloc(it->vals, (size_t)cap * sizeof *vals);
        if (!vals)
            return err_nomem(err);
        r->kept_bytes += (size_t)(cap - it->cap) * (sizeof *vals + sizeof(struct smap_slot) * 2);
        it->vals = vals;
        it->cap = cap;
    }
    size_t before = it->arena.used;
    str own = arena_dup(&it->arena, key);
    r->kept_bytes += it->arena.used - before;
    int rc = own.p ? run_room(r, it->pipe, err) : err_nomem(err);
    if (rc)
        return rc;
    uint64_t *slot = smap_put(&it->map, own, NULL);
    if (!slot)
        return err_nomem(err);
    if (v.t >= V_STR)
        v.s = str_skip(own, 1);
    it->vals[it->n] = v;
    *slot = it->n;
    *ret = it->n++;
    return 0;
}

int intern_val(struct intern *it, struct val v, uint32_t *ret, struct err *err)
{
    char small[256];
    v = val_normal(v);
    if (v.t == V_NULL)
        v = (struct val){ .t = V_NULL };
    size_t n = 1 + (v.t >= V_STR ? v.s.n : v.t == V_NULL ? 0 : 8);
    char *p = small;
    if (n > sizeof small && !(p = mem_alloc(n)))
        return err_nomem(err);
    p[0] = (char)v.t;
    if (v.t >= V_STR && v.s.n)
        memcpy(p + 1, v.s.p, v.s.n);
    else if (v.t == V_BOOL)
        memcpy(p + 1, &(int64_t){ v.b }, 8);
    else if (v.t != V_NULL && v.t < V_STR)
        memcpy(p + 1, &v.i, 8);
    uint64_t *slot = smap_get(&it->map, (str){ p, n });
    int rc = 0;
    if (slot)
        *ret = (uint32_t)*slot;
    else
        rc = add(it, v, (str){ p, n }, ret, err);
    if (p != small)
        mem_free(p);
    return rc;
}
