/* shape_out.c: writing the shape of an entry (model/shape.h has the grammar).
 *
 * Everything a shape says is first written as a row of numbers (node ids, places of spellings).
 * Equal numbers mean an equal shape, so the string of the entry before serves again; nodes and
 * spellings are numbered without reuse until the last row is forgotten. */
#include "ingest/decode.h"

static bool ops_room(struct dec *d, uint32_t need)
{
    if (need <= d->cap_ops)
        return true;
    uint32_t cap = need * 2;
    d->ops = arena_array(d->a, cap, sizeof *d->ops);
    uint32_t *last = arena_array(d->a, cap, sizeof *last);
    if (!d->ops || !last) {
        d->nomem = true;
        return false;
    }
    if (d->nlast)
        memcpy(last, d->last_ops, d->nlast * sizeof *last);
    d->last_ops = last;
    d->cap_ops = cap;
    return true;
}

static void collect(struct dec *d, const struct shape_in *in)
{
    uint32_t *p = d->ops;
    for (uint32_t i = 0; i < in->nnotes; i++) {
        const struct shape_note *n = &in->note[i];
        uint32_t sp = n->spell ? (uint32_t)(n->spell - d->spell) + 1 : 0;
        *p++ = (uint32_t)n->field | (uint32_t)n->flags << 8 | sp << 16;
        *p++ = n->node ? n->node->id : 0;
    }
    *p++ = UINT32_MAX; /* no node has this id, no note this field */
    *p++ = (uint32_t)d->filled;
    *p++ = (uint32_t)(d->filled >> 32);
    for (uint32_t i = 0; i < in->nmoves; i++)
        *p++ = in->moves[i].node->id;
    *p++ = UINT32_MAX;
    if (in->flat && d->nconts) {
        for (uint32_t i = 0; i < d->nconts; i++)
            *p++ = d->conts[i]->id;
        *p++ = UINT32_MAX;
        for (uint32_t i = 0; i < d->ntops; i++)
            *p++ = d->tops[i]->id;
        *p++ = UINT32_MAX;
        for (uint32_t i = 0; i < in->nsecond; i++)
            *p++ = in->second[i]->id;
    }
    d->nops = (uint32_t)(p - d->ops);
}

/* steps from the top, as in an attribute's key but without the leading separator */
static void put_path(struct buf *b, const struct node *n)
{
    if (n->scope) {
        buf_putstr(b, str_skip(n->scope->path, 1));
        buf_putc(b, PATH_SEP);
    }
    buf_putstr(b, str_skip(n->path, 1));
}

static void put_note(struct buf *b, const struct shape_note *n)
{
    buf_putc(b, '\n');
    buf_putstr(b, field_table[n->field].name);
    if (n->flags)
        buf_putc(b, n->flags & SHAPE_NUMBER ? '#' : '+');
    if (n->node) {
        buf_putc(b, '=');
        put_path(b, n->node);
    }
    if (n->spell) {
        buf_putc(b, '\t');
        buf_put(b, n->spell->c, n->spell->n);
    }
}

static void put_places(struct buf *b, const struct dec *d, const struct shape_in *in)
{
    for (uint32_t i = 0; i < d->nconts; i++) {
        buf_puts(b, "\n@");
        buf_putstr(b, d->conts[i]->key);
    }
    for (uint32_t i = 0; i < d->ntops; i++) {
        buf_puts(b, "\n.");
        shape_put_step(b, str_skip(d->tops[i]->path, 1));
    }
    for (uint32_t i = 0; i < in->nsecond; i++) {
        buf_puts(b, "\n:");
        buf_putc(b, (char)('0' + in->second[i]->scope->number));
        shape_put_step(b, str_skip(in->second[i]->path, 1));
    }
}

static str write_shape(struct dec *d, const struct shape_in *in)
{
    struct buf *b = &d->tmp;
    buf_reset(b);
    buf_putc(b, d->rules->letter);
    for (uint32_t i = 0; i < in->nnotes; i++)
        put_note(b, &in->note[i]);
    for (int f = 0; f < F__COUNT; f++)
        if (d->filled >> f & 1) {
            buf_puts(b, "\n-");
            buf_putstr(b, field_table[f].name);
        }
    for (uint32_t i = 0; i < in->nmoves; i++) {
        buf_printf(b, "\n~%s=", in->moves[i].key);
        put_path(b, in->moves[i].node);
    }
    if (in->flat && d->nconts)
        put_places(b, d, in);
    return buf_ok(b) ? arena_dup(d->a, buf_str(b)) : STR_NULL;
}

str shape_of(struct dec *d, const struct shape_in *in)
{
    if (!ops_room(d, 2 * F__COUNT + 16 + d->ntops + in->nsecond + CONTAINERS))
        return STR_NULL;
    collect(d, in);
    if (d->nops == d->nlast && memcmp(d->ops, d->last_ops, d->nops * sizeof *d->ops) == 0)
        return d->last_shape;
    d->last_shape = write_shape(d, in);
    if (!d->last_shape.p) {
        d->nomem = true;
        return STR_NULL;
    }
    uint32_t *t = d->ops;
    d->ops = d->last_ops;
    d->last_ops = t;
    d->nlast = d->nops;
    return d->last_shape;
}
