/* overlay.c: see overlay.h.
 *
 * An attribute may also lie in the column rest, where a reader looks when a row has no value in a
 * column. So that a computed null does not let it shine through, rest is handed on without the
 * members that are covered. */
#include "query/overlay.h"

#include "codec/json.h"

struct overlay {
    struct block b;
    struct block *below;
    uint32_t *from; /* column of the block below; UINT32_MAX: computed */
    const struct colv **made;
    const struct overlay_col *cols;
    uint32_t n;
};

static bool covered(const struct overlay *o, str key, uint64_t hash)
{
    for (uint32_t i = 0; i < o->n; i++)
        if (fieldref_matches(&o->cols[i].ref, key, hash))
            return true;
    return false;
}

/* ---- rest ---- */

/* the object without its covered members, into out */
static int put_uncovered(struct overlay *o, str object, struct arena *a, struct buf *out,
                         struct err *err)
{
    struct json_rd r;
    struct json_tok t;
    str value;
    bool first = true;
    json_init(&r, object);
    int rc = json_next(&r, &t, err);
    buf_putc(out, '{');
    while (!rc && (rc = json_next(&r, &t, err)) == 0 && t.type == JSON_KEY) {
        str key = json_unescape(&t, a);
        if (!key.p && t.raw.n)
            return err_nomem(err);
        rc = json_next(&r, &t, err);
        if (!rc)
            rc = json_skip(&r, &t, &value, err);
        if (rc || covered(o, key, field_dotted_hash(key)))
            continue;
        if (!first)
            buf_putc(out, ',');
        first = false;
        json_put_str(out, key);
        buf_putc(out, ':');
        buf_putstr(out, value);
    }
    buf_putc(out, '}');
    return rc ? err_set(err, ERR_CORRUPT, "an object of attributes cannot be read") : 0;
}

/* rest texts one behind the other, with room behind for the reader */
static int rest_load(struct overlay *o, const struct colv *below, struct colv *ret, struct err *err)
{
    struct arena *a = o->b.arena;
    struct buf out, in;
    uint32_t n = below->n;
    uint32_t *off = arena_array(a, (size_t)n + 1, sizeof *off);
    int rc = off ? 0 : err_nomem(err);
    buf_init(&out, UINT32_MAX);
    buf_init(&in, UINT32_MAX);
    for (uint32_t i = 0; i < n && !rc; i++) {
        off[i] = (uint32_t)out.n;
        if (!colv_has(below, i))
            continue;
        buf_reset(&in);
        buf_putstr(&in, colv_text(below, i));
        rc = buf_ok(&in) ? put_uncovered(o, buf_str(&in), a, &out, err) : err_nomem(err);
    }
    if (!rc && !buf_ok(&out))
        rc = err_nomem(err);
    if (!rc) {
        off[n] = (uint32_t)out.n;
        /* other readers of rest want room behind the last text too */
        char *bytes = arena_zalloc(a, out.n + BUF_PAD);
        if (bytes && out.n)
            memcpy(bytes, out.p, out.n);
        *ret = *below;
        ret->codes = NULL;
        ret->ndict = 0;
        ret->off = off;
        ret->bytes = bytes;
        rc = bytes ? 0 : err_nomem(err);
    }
    buf_deinit(&in);
    buf_deinit(&out);
    return rc;
}

/* ---- columns ---- */

static int overlay_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct overlay *o = (struct overlay *)b;
    const struct colv *below;
    if (o->from[c] == UINT32_MAX) {
        *ret = *o->made[c];
        return 0;
    }
    int rc = block_load(o->below, o->from[c], &below, err);
    if (rc)
        return rc;
    if (below->type == V_JSON && str_eq(b->cols[c].key, field_table[F_REST].name))
        return rest_load(o, below, ret, err);
    *ret = *below;
    return 0;
}

static void overlay_close(struct block *b)
{
    (void)b;
}

static int overlay_load_rows(struct block *b, uint32_t c, const uint64_t *sel,
                             const struct colv **ret, struct err *err)
{
    struct overlay *o = (struct overlay *)b;
    bool rest = b->cols[c].type == V_JSON && str_eq(b->cols[c].key, field_table[F_REST].name);
    return o->from[c] == UINT32_MAX || rest ? block_load(b, c, ret, err)
                                            : block_load_rows(o->below, o->from[c], sel, ret, err);
}

static const struct block_ops overlay_ops = { overlay_load, overlay_close, NULL,
                                              overlay_load_rows };

/* the rows of sel whose value is of this type, as a column; its nvals may be 0 */
static struct colv *column(struct arena *a, uint32_t n, const uint64_t *sel,
                           const struct overlay_col *col, enum vtype type)
{
    struct colv *c = arena_zalloc(a, sizeof *c);
    uint64_t *present = arena_zalloc(a, (BITS_WORDS(n) + 1) * 8);
    size_t text = 0;
    if (!c || !present)
        return NULL;
    *c = (struct colv){ .key = col->ref.key, .type = type, .n = n, .present = present };
    for (size_t i = bits_next(sel, 0, n); i < n; i = bits_next(sel, i + 1, n)) {
        const struct val *v = &col->vals[i];
        if (v->t != type || v->absent)
            continue;
        bit_set(present, i);
        c->nvals++;
        text += type >= V_STR ? v->s.n : 0;
    }
    if (!c->nvals || type == V_NULL)
        return c;
    if (type >= V_STR) {
        uint32_t *off = arena_array(a, (size_t)n + 1, sizeof *off);
        char *bytes = text <= UINT32_MAX ? arena_alloc(a, text + BUF_PAD) : NULL;
        size_t at = 0;
        if (!off || !bytes)
            return NULL;
        for (uint32_t i = 0; i < n; i++) {
            off[i] = (uint32_t)at;
            str s = bit_get(present, i) ? col->vals[i].s : STR_NULL;
            if (s.n)
                memcpy(bytes + at, s.p, s.n);
            at += s.n;
        }
        off[n] = (uint32_t)at;
        memset(bytes + at, 0, BUF_PAD);
        c->off = off;
        c->bytes = bytes;
        return c;
    }
    void *nums = arena_zalloc(a, (size_t)n * 8);
    if (!nums)
        return NULL;
    c->i64 = type == V_I64 ? nums : NULL;
    c->f64 = type == V_F64 ? nums : NULL;
    c->b8 = type == V_BOOL ? nums : NULL;
    for (size_t i = bits_next(present, 0, n); i < n; i = bits_next(present, i + 1, n)) {
        if (type == V_I64)
            ((int64_t *)nums)[i] = col->vals[i].i;
        else if (type == V_F64)
            ((double *)nums)[i] = col->vals[i].d;
        else
            ((uint8_t *)nums)[i] = col->vals[i].b;
    }
    return c;
}

static uint32_t types_of(const struct overlay_col *col, uint32_t n, const uint64_t *sel)
{
    uint32_t types = 0;
    for (size_t i = bits_next(sel, 0, n); i < n; i = bits_next(sel, i + 1, n))
        types |= col->vals[i].absent ? 0 : 1u << col->vals[i].t;
    return types;
}

int overlay_make(struct arena *a, struct block *below, const uint64_t *sel,
                 const struct overlay_col *cols, uint32_t n, struct block **ret, struct err *err)
{
    uint32_t max = below->ncols + n * V__COUNT + 1;
    struct overlay *o = arena_zalloc(a, sizeof *o);
    struct overlay_col *own = arena_array(a, n + 1, sizeof *own);
    struct colinfo *info = arena_array(a, max, sizeof *info);
    if (!o || !own || !info)
        return err_nomem(err);
    o->b = *below;
    o->below = below;
    memcpy(own, cols, n * sizeof *own);
    o->cols = own;
    o->n = n;
    o->from = arena_array(a, max, sizeof *o->from);
    o->made = arena_array(a, max, sizeof(struct colv *));
    o->b.loaded = arena_zalloc(a, max * sizeof(struct colv *));
    if (!o->from || !o->made || !o->b.loaded)
        return err_nomem(err);
    uint32_t k = 0;
    for (uint32_t c = 0; c < below->ncols; c++) {
        if (covered(o, below->cols[c].key, below->cols[c].hash))
            continue;
        o->from[k] = c;
        info[k++] = below->cols[c];
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t types = types_of(&cols[i], below->n, sel);
        for (uint32_t t = 0; t < V__COUNT; t++) {
            if (!(types >> t & 1))
                continue;
            o->made[k] = column(a, below->n, sel, &cols[i], (enum vtype)t);
            if (!o->made[k])
                return err_nomem(err);
            o->from[k] = UINT32_MAX;
            info[k] = (struct colinfo){ cols[i].ref.key, cols[i].ref.hash, (enum vtype)t,
                                        o->made[k]->nvals };
            k++;
        }
        if (cols[i].ref.field == F_ID)
            o->b.ids = NULL;
    }
    o->b.ncols = k;
    o->b.cols = info;
    o->b.arena = a;
    o->b.ops = &overlay_ops;
    *ret = &o->b;
    return 0;
}
