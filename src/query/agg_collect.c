/* agg_collect.c: one value, and the first few different ones; see agg_collect.h. */
#include "query/agg_collect.h"

#include "base/mem.h"
#include "model/view.h"

#define COUNTED "stats"

/* ---- one value ---- */

int held_set(struct run *r, struct held *h, const struct val *v, ts_ns t, uint64_t seq,
             struct err *err)
{
    size_t n = v->t >= V_STR ? v->s.n : 0;
    if (n > h->cap) {
        char *text = mem_realloc(h->text, n);
        if (!text)
            return err_nomem(err);
        r->kept_bytes += n - h->cap;
        h->text = text;
        h->cap = n;
    }
    h->v = *v;
    h->set = true;
    h->t = t;
    h->seq = seq;
    if (v->t >= V_STR) {
        if (n)
            memcpy(h->text, v->s.p, n);
        h->v.s = (str){ h->text, n };
    }
    return run_room(r, COUNTED, err);
}

void held_clear(void *state)
{
    mem_free(((struct held *)state)->text);
}

/* ---- values(x, n) ---- */

/* room for one more and for a spare one behind it */
static int sample_grow(struct agg_env *e, struct sample *s, struct err *err)
{
    uint64_t cap = s->cap ? (uint64_t)s->cap * 2 : 4;
    if (cap > e->agg->max + 1)
        cap = e->agg->max + 1;
    if (cap <= s->cap)
        return 0;
    struct held *h = mem_realloc(s->h, (size_t)cap * sizeof *h);
    if (!h)
        return err_nomem(err);
    memset(h + s->cap, 0, (size_t)(cap - s->cap) * sizeof *h);
    e->r->kept_bytes += (size_t)(cap - s->cap) * sizeof *h;
    s->h = h;
    s->cap = (uint32_t)cap;
    return 0;
}

int sample_add(struct agg_env *e, void *state, const struct val *v, struct err *err)
{
    struct sample *s = state;
    uint64_t max = e->agg->max;
    int rc = s->n + 1 >= s->cap ? sample_grow(e, s, err) : 0;
    if (rc)
        return rc;
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        int c = val_cmp(v, &s->h[mid].v);
        if (c == 0)
            return 0;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    if (lo == max)
        return 0;
    struct held spare = s->h[s->n]; /* past the end there is always room for one */
    memmove(s->h + lo + 1, s->h + lo, (s->n - lo) * sizeof *s->h);
    s->h[lo] = (struct held){ .text = spare.text, .cap = spare.cap };
    if (s->n < max)
        s->n++;
    return held_set(e->r, &s->h[lo], v, 0, 0, err);
}

int sample_merge(struct agg_env *e, char *into, char *from, uint32_t n, const uint32_t *map,
                 void *shared, struct err *err)
{
    struct sample *to = (struct sample *)(void *)into, *other = (struct sample *)(void *)from;
    (void)shared;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < other[i].n; k++) {
            int rc = sample_add(e, &to[map[i]], &other[i].h[k].v, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

int sample_result(struct agg_env *e, void *state, struct val *ret, struct err *err)
{
    struct sample *s = state;
    struct buf b;
    buf_init(&b, (size_t)64 << 20);
    buf_putc(&b, '[');
    for (uint32_t i = 0; i < s->n; i++) {
        if (i)
            buf_putc(&b, ',');
        view_put_val(&b, e->agg->ref.field, val_normal(s->h[i].v));
    }
    buf_putc(&b, ']');
    *ret = (struct val){ .t = V_JSON, .s = arena_dup(e->out, buf_str(&b)) };
    int rc = !buf_ok(&b) || !ret->s.p ? err_nomem(err) : 0;
    buf_deinit(&b);
    return rc;
}

void sample_clear(void *state)
{
    struct sample *s = state;
    if (!s->h)
        return;
    /* the spare slot holds a text too */
    for (uint32_t i = 0; i <= s->n; i++)
        mem_free(s->h[i].text);
    mem_free(s->h);
}
