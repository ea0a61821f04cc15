/* tally.c: see tally.h. */
#include "query/tally.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/time.h"

void tally_free(struct tally *t)
{
    mem_free(t->slot);
    *t = (struct tally){ 0 };
}

static size_t place(const struct tally *t, int64_t a, uint32_t b, uint32_t c)
{
    size_t k = hash_mix(hash_mix((uint64_t)a) ^ ((uint64_t)b << 32 | c)) & (t->cap - 1);
    while (t->slot[k].n && (t->slot[k].a != a || t->slot[k].b != b || t->slot[k].c != c))
        k = (k + 1) & (t->cap - 1);
    return k;
}

static void put(struct tally *t, const struct tally_slot *s)
{
    size_t k = place(t, s->a, s->b, s->c);
    struct tally_slot *to = &t->slot[k];
    if (!to->n) {
        *to = *s;
        t->used++;
        return;
    }
    to->n += s->n;
    to->m += s->m;
    to->seq = s->seq < to->seq ? s->seq : to->seq;
}

/* all slots into a table of that size */
static int rebuild(struct tally *t, size_t cap, int64_t by, struct err *err)
{
    struct tally more = { .slot = mem_zarray(cap, sizeof *more.slot), .cap = cap };
    if (!more.slot)
        return err_nomem(err);
    for (size_t i = 0; i < t->cap; i++)
        if (t->slot[i].n) {
            t->slot[i].a = by > 1 ? floor_div(t->slot[i].a, by) : t->slot[i].a;
            put(&more, &t->slot[i]);
        }
    mem_free(t->slot);
    *t = more;
    return 0;
}

int tally_add(struct tally *t, int64_t a, uint32_t b, uint32_t c, uint64_t n, uint64_t m,
              uint64_t seq, struct err *err)
{
    if (t->used * 4 >= t->cap * 3) {
        int rc = rebuild(t, t->cap ? t->cap * 2 : 64, 1, err);
        if (rc)
            return rc;
    }
    put(t, &(struct tally_slot){ a, b, c, n, m, seq });
    return 0;
}

const struct tally_slot *tally_get(const struct tally *t, int64_t a, uint32_t b, uint32_t c)
{
    if (!t->cap)
        return NULL;
    const struct tally_slot *s = &t->slot[place(t, a, b, c)];
    return s->n ? s : NULL;
}

int tally_coarser(struct tally *t, int64_t by, struct err *err)
{
    return t->cap ? rebuild(t, t->cap, by, err) : 0;
}

static int by_key(const void *x, const void *y)
{
    const struct tally_slot *p = x, *q = y;
    if (p->b != q->b)
        return p->b < q->b ? -1 : 1;
    if (p->a != q->a)
        return p->a < q->a ? -1 : 1;
    return p->c < q->c ? -1 : p->c > q->c;
}

void tally_sort(struct tally *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slot[i].n)
            t->slot[n++] = t->slot[i];
    for (size_t i = n; i < t->cap; i++)
        t->slot[i].n = 0;
    if (n)
        qsort(t->slot, n, sizeof *t->slot, by_key);
}

int64_t ladder_step(unsigned rung)
{
    static const int32_t minutes[] = { 1, 5, 15, 60, 180, 360, 720, 1440 };
    enum { SMALL = sizeof minutes / sizeof *minutes };
    int64_t m = rung < SMALL ? minutes[rung] : (int64_t)minutes[SMALL - 1] << (rung - SMALL + 1);
    return m * 60 * NS_PER_S;
}
