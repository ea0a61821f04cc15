/* agg_spill.c: states of stats as bytes on the disk, and back (agg.h: save, load, list, take,
 * listed). What is loaded is added to what the state holds, as merge does. */
#include "query/spill_sort.h"

#include "base/mem.h"
#include "query/agg_collect.h"

#define COUNTED "stats"

static int torn(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "a group on the disk is not what was written");
}

/* ---- numbers of fixed size ---- */

void count_save(const void *state, struct buf *out)
{
    buf_varint(out, *(const uint64_t *)state);
}

int count_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    (void)e;
    (void)err;
    *(uint64_t *)state += rd_varint(in);
    return 0;
}

static void big_save(const struct exact_big *b, struct buf *out)
{
    for (uint32_t i = 0; i < EXACT_LIMBS; i++)
        buf_le64(out, (uint64_t)b->limb[i]);
    buf_le32(out, b->pending);
}

static void big_read(struct exact_big *b, struct rd *in)
{
    for (uint32_t i = 0; i < EXACT_LIMBS; i++)
        b->limb[i] = (int64_t)rd_le64(in);
    b->pending = rd_le32(in);
}

void sum_save(const void *state, struct buf *out)
{
    const struct exact_sum *s = state;
    buf_le64(out, (uint64_t)s->scaled);
    buf_le64(out, (uint64_t)(s->scaled >> 64));
    buf_varint(out, s->n);
    buf_putc(out, s->big != NULL);
    if (s->big)
        big_save(s->big, out);
}

int sum_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    struct exact_sum *s = state, from = { 0 };
    struct exact_big big;
    bool had = s->big;
    uint64_t low = rd_le64(in), high = rd_le64(in);
    from.scaled = (__int128)((unsigned __int128)high << 64 | low);
    from.n = rd_varint(in);
    if (rd_u8(in)) {
        big_read(&big, in);
        from.big = &big;
    }
    if (!rd_ok(in))
        return torn(err);
    if (!exact_merge(s, &from))
        return err_nomem(err);
    if (!had && s->big)
        e->r->kept_bytes += sizeof(struct exact_big);
    return 0;
}

void spread_save(const void *state, struct buf *out)
{
    const struct spread *s = state;
    buf_varint(out, s->n);
    if (!s->n)
        return;
    big_save(s->x, out);
    big_save(s->xx, out);
    buf_put(out, &s->least, sizeof s->least);
    buf_put(out, &s->most, sizeof s->most);
}

int spread_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    struct spread *s = state;
    struct exact_big x, xx;
    uint64_t n = rd_varint(in);
    if (!n)
        return 0;
    big_read(&x, in);
    big_read(&xx, in);
    const uint8_t *ends = rd_bytes(in, 2 * sizeof(double));
    if (!rd_ok(in))
        return torn(err);
    double least, most;
    memcpy(&least, ends, sizeof least);
    memcpy(&most, ends + sizeof least, sizeof most);
    if (!s->x) {
        s->x = mem_zalloc(sizeof *s->x);
        s->xx = mem_zalloc(sizeof *s->xx);
        if (!s->x || !s->xx)
            return err_nomem(err);
        e->r->kept_bytes += 2 * sizeof *s->x;
    }
    exact_big_merge(s->x, &x);
    exact_big_merge(s->xx, &xx);
    s->least = s->n && s->least < least ? s->least : least;
    s->most = s->n && s->most > most ? s->most : most;
    s->n += n;
    return 0;
}

/* ---- values ---- */

void held_save(const void *state, struct buf *out)
{
    const struct held *h = state;
    buf_putc(out, h->set);
    if (!h->set)
        return;
    buf_le64(out, (uint64_t)h->t);
    buf_varint(out, h->seq);
    spill_put_val(out, &h->v);
}

int held_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    if (!rd_u8(in))
        return 0;
    e->t = (ts_ns)rd_le64(in);
    e->seq = rd_varint(in);
    struct val v = spill_get_val(in);
    return rd_ok(in) ? e->agg->fn->add(e, state, &v, err) : torn(err);
}

void sample_save(const void *state, struct buf *out)
{
    const struct sample *s = state;
    buf_varint(out, s->n);
    for (uint32_t i = 0; i < s->n; i++)
        spill_put_val(out, &s->h[i].v);
}

int sample_load(struct agg_env *e, void *state, struct rd *in, struct err *err)
{
    uint64_t n = rd_varint(in);
    int rc = 0;
    for (uint64_t i = 0; i < n && !rc; i++) {
        struct val v = spill_get_val(in);
        rc = rd_ok(in) ? sample_add(e, state, &v, err) : torn(err);
    }
    return rc;
}
