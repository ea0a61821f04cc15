/* group.c: see group.h. */
#include "query/group.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

#define DIRECT_BITS 16

int grouper_init(struct grouper *g, struct run *r, const char *pipe, const struct group_key *keys,
                 uint32_t nkeys, struct err *err)
{
    *g = (struct grouper){ .r = r, .pipe = pipe, .keys = keys, .nkeys = nkeys };
    smap_init(&g->tuples, SMAP_BORROW);
    arena_init(&g->arena, SIZE_MAX);
    g->its = mem_zalloc((nkeys + 1) * sizeof *g->its);
    g->gid = mem_zalloc(BLOCK_ROWS_MAX * sizeof *g->gid);
    g->vid = mem_alloc((size_t)BLOCK_ROWS_MAX * (nkeys + 1) * sizeof *g->vid);
    if (!g->its || !g->gid || !g->vid)
        return err_nomem(err);
    for (uint32_t i = 0; i < nkeys; i++)
        intern_init(&g->its[i], r, pipe);
    if (nkeys == 0)
        g->n = 1;
    return 0;
}

void grouper_deinit(struct grouper *g)
{
    for (uint32_t i = 0; i < g->nkeys && g->its; i++)
        intern_deinit(&g->its[i]);
    smap_deinit(&g->tuples);
    arena_deinit(&g->arena);
    mem_free(g->its);
    mem_free(g->gid);
    mem_free(g->vid);
    mem_free(g->of);
    mem_free(g->codes);
    mem_free(g->direct);
    *g = (struct grouper){ 0 };
}

/* ---- values of one key ---- */

static struct val bucket_val(const struct group_key *k, struct val v)
{
    double x, w = k->width.integral ? (double)k->width.i : k->width.d;
    if (v.t == V_I64 && k->width.integral)
        return (struct val){ .t = V_I64, .i = floor_div(v.i, k->width.i) * k->width.i };
    if (!val_is_num(&v, &x))
        return VAL_ABSENT;
    return val_normal((struct val){ .t = V_F64, .d = floor(x / w) * w });
}

static struct val key_val(const struct grouper *g, const struct group_key *k, struct val v)
{
    if (k->kind == KEY_FIELD || v.t == V_NULL)
        return v;
    if (k->kind == KEY_BUCKET)
        return bucket_val(k, v);
    if (v.t != V_I64)
        return VAL_ABSENT;
    return (struct val){ .t = V_I64, .i = time_bucket(v.i, k->step, g->r->q->o.tz_minutes) };
}

/* every row through its dictionary code */
static int number_codes(struct grouper *g, uint32_t key, const struct colv *col,
                        const struct chunk *c, uint32_t *out, struct err *err)
{
    if (g->ncodes < col->ndict) {
        uint32_t *codes = mem_realloc(g->codes, (size_t)col->ndict * sizeof *codes);
        if (!codes)
            return err_nomem(err);
        g->codes = codes;
        g->ncodes = col->ndict;
    }
    memset(g->codes, 0xff, (size_t)col->ndict * sizeof *g->codes);
    uint32_t null = UINT32_MAX;
    for (size_t w = 0; w < BITS_WORDS(c->b->n); w++) {
        uint64_t has = col->present ? col->present[w] : UINT64_MAX;
        for (uint64_t m = c->sel[w]; m; m &= m - 1) {
            size_t i = w * 64 + (size_t)__builtin_ctzll(m);
            uint32_t *at = has >> i % 64 & 1 ? &g->codes[col->codes[i]] : &null;
            if (__builtin_expect(*at == UINT32_MAX, 0)) {
                struct val v = at != &null ? colv_val(col, (uint32_t)i) : VAL_ABSENT;
                int rc = intern_val(&g->its[key], key_val(g, &g->keys[key], v), at, err);
                if (rc)
                    return rc;
            }
            out[i] = *at;
        }
    }
    return 0;
}

static int number_rows(struct grouper *g, uint32_t key, const struct chunk *c, uint32_t *out,
                       struct err *err)
{
    struct access a;
    int rc = access_open(&a, c->b, &g->keys[key].ref, err);
    if (rc)
        return rc;
    if (a.n == 1 && a.c[0]->codes && !a.made && !a.rest && !a.inside)
        return number_codes(g, key, a.c[0], c, out, err);
    /* integers met before, by their low bits */
    struct {
        int64_t v;
        uint32_t id;
    } ints[256];
    struct val last = { .t = V_NULL };
    uint32_t last_id = UINT32_MAX, n = c->b->n;
    memset(ints, 0xff, sizeof ints);
    for (size_t i = bits_next(c->sel, 0, n); i < n; i = bits_next(c->sel, i + 1, n)) {
        struct val v;
        rc = access_get(&a, (uint32_t)i, &v, err);
        if (rc)
            return rc;
        v = key_val(g, &g->keys[key], v);
        if (v.t == V_I64) {
            unsigned k = (unsigned)hash_mix((uint64_t)v.i) & 255;
            if (ints[k].id == UINT32_MAX || ints[k].v != v.i) {
                rc = intern_val(&g->its[key], v, &ints[k].id, err);
                if (rc)
                    return rc;
                ints[k].v = v.i;
            }
            out[i] = ints[k].id;
            continue;
        }
        bool same = last_id != UINT32_MAX && v.t == last.t &&
                    (v.t == V_NULL || (v.t == V_BOOL && v.b == last.b));
        if (!same)
            rc = intern_val(&g->its[key], v, &last_id, err);
        if (rc)
            return rc;
        last = v;
        out[i] = last_id;
    }
    return 0;
}

/* ---- groups ---- */

static int tuple_add(struct grouper *g, const uint32_t *ids, uint32_t *ret, struct err *err)
{
    struct run *r = g->r;
    if (g->n == g->cap) {
        uint32_t cap = g->cap ? g->cap * 2 : 64;
        size_t size = g->nkeys * sizeof *g->of;
        uint32_t *of = mem_realloc(g->of, cap * size);
        if (!of)
            return err_nomem(err);
        r->kept_bytes += (cap - g->cap) * (size + sizeof(struct smap_slot) * 2);
        g->of = of;
        g->cap = cap;
    }
    size_t before = g->arena.used;
    str key = arena_dup(&g->arena, (str){ (const char *)ids, g->nkeys * sizeof *ids });
    r->kept_bytes += g->arena.used - before;
    int rc = key.p ? run_room(r, g->pipe, err) : err_nomem(err);
    if (rc)
        return rc;
    uint64_t *slot = smap_put(&g->tuples, key, NULL);
    if (!slot)
        return err_nomem(err);
    memcpy(g->of + (size_t)g->n * g->nkeys, ids, g->nkeys * sizeof *ids);
    *slot = g->n;
    *ret = g->n++;
    return 0;
}

/* ---- few groups: a table with a place for every combination of numbers ---- */

/* Lays the table out anew when a key has got more numbers; false: there are too many. */
static bool direct_layout(struct grouper *g, int *rc, struct err *err)
{
    unsigned bits = 0, shift[GROUP_KEYS_MAX];
    bool same = g->direct != NULL;
    *rc = 0;
    for (uint32_t k = 0; k < g->nkeys; k++) {
        shift[k] = bits;
        same &= g->shift[k] == bits;
        bits += g->its[k].n > 1 ? 32 - (unsigned)__builtin_clz(g->its[k].n - 1) : 0;
        if (bits > DIRECT_BITS)
            return false;
    }
    if (same && bits == g->direct_bits)
        return true;
    if (sizeof(uint32_t) << bits > g->r->budget / 16)
        return false;
    uint32_t *table = mem_realloc(g->direct, sizeof *table << bits);
    if (!table) {
        *rc = err_nomem(err);
        return false;
    }
    memset(table, 0xff, sizeof *table << bits);
    g->r->kept_bytes += (sizeof *table << bits) - (g->direct ? sizeof *table << g->direct_bits : 0);
    g->direct = table;
    g->direct_bits = bits;
    memcpy(g->shift, shift, sizeof shift);
    for (uint32_t i = 0; i < g->n; i++) {
        size_t at = 0;
        for (uint32_t k = 0; k < g->nkeys; k++)
            at |= (size_t)g->of[(size_t)i * g->nkeys + k] << shift[k];
        table[at] = i;
    }
    return true;
}

static int direct_rows(struct grouper *g, const struct chunk *c, struct err *err)
{
    for (size_t w = 0; w < BITS_WORDS(c->b->n); w++) {
        for (uint64_t m = c->sel[w]; m; m &= m - 1) {
            size_t i = w * 64 + (size_t)__builtin_ctzll(m), at = 0;
            for (uint32_t k = 0; k < g->nkeys; k++)
                at |= (size_t)g->vid[(size_t)k * BLOCK_ROWS_MAX + i] << g->shift[k];
            uint32_t *group = &g->direct[at];
            if (__builtin_expect(*group == UINT32_MAX, 0)) {
                uint32_t ids[GROUP_KEYS_MAX];
                for (uint32_t k = 0; k < g->nkeys; k++)
                    ids[k] = g->vid[(size_t)k * BLOCK_ROWS_MAX + i];
                int rc = tuple_add(g, ids, group, err);
                if (rc)
                    return rc;
            }
            g->gid[i] = *group;
        }
    }
    return 0;
}

/* several keys: their numbers to one; groups met before are found by a small cache first */
static int number_tuples(struct grouper *g, const struct chunk *c, struct err *err)
{
    enum { CACHE = 1024 };
    uint32_t n = c->b->n, nk = g->nkeys, ids[GROUP_KEYS_MAX], cache[CACHE];
    size_t size = nk * sizeof *ids;
    memset(cache, 0xff, sizeof cache);
    for (size_t i = bits_next(c->sel, 0, n); i < n; i = bits_next(c->sel, i + 1, n)) {
        uint64_t h = 0;
        for (uint32_t k = 0; k < nk; k++) {
            ids[k] = g->vid[(size_t)k * BLOCK_ROWS_MAX + i];
            h = hash_mix(h + ids[k] + 1);
        }
        uint32_t *at = &cache[h & (CACHE - 1)];
        if (*at == UINT32_MAX || memcmp(g->of + (size_t)*at * nk, ids, size) != 0) {
            uint64_t *slot = smap_get(&g->tuples, (str){ (const char *)ids, size });
            int rc = 0;
            if (slot)
                *at = (uint32_t)*slot;
            else
                rc = tuple_add(g, ids, at, err);
            if (rc)
                return rc;
        }
        g->gid[i] = *at;
    }
    return 0;
}

int grouper_rows(struct grouper *g, const struct chunk *c, struct err *err)
{
    uint32_t nk = g->nkeys;
    if (nk == 0)
        return 0; /* gid is all 0 */
    for (uint32_t k = 0; k < nk; k++) {
        int rc = number_rows(g, k, c, nk == 1 ? g->gid : g->vid + (size_t)k * BLOCK_ROWS_MAX, err);
        if (rc)
            return rc;
    }
    if (nk == 1) {
        g->n = g->its[0].n;
        return 0;
    }
    int rc;
    if (direct_layout(g, &rc, err))
        return direct_rows(g, c, err);
    return rc ? rc : number_tuples(g, c, err);
}

int grouper_merge(struct grouper *g, const struct grouper *from, uint32_t *map, struct err *err)
{
    uint32_t nk = g->nkeys, *ids[GROUP_KEYS_MAX] = { NULL }, tuple[GROUP_KEYS_MAX];
    int rc = 0;
    for (uint32_t k = 0; k < nk && !rc; k++) {
        const struct intern *it = &from->its[k];
        ids[k] = nk == 1 ? map : mem_array(it->n + 1, sizeof *ids[k]);
        if (!ids[k])
            rc = err_nomem(err);
        for (uint32_t i = 0; i < it->n && !rc; i++)
            rc = intern_val(&g->its[k], it->vals[i], &ids[k][i], err);
    }
    if (nk == 0)
        map[0] = 0;
    if (nk == 1)
        g->n = g->its[0].n;
    for (uint32_t i = 0; i < from->n && nk > 1 && !rc; i++) {
        for (uint32_t k = 0; k < nk; k++)
            tuple[k] = ids[k][from->of[(size_t)i * nk + k]];
        uint64_t *slot = smap_get(&g->tuples, (str){ (const char *)tuple, nk * sizeof *tuple });
        if (slot)
            map[i] = (uint32_t)*slot;
        else
            rc = tuple_add(g, tuple, &map[i], err);
    }
    for (uint32_t k = 0; k < nk && nk > 1; k++)
        mem_free(ids[k]);
    return rc;
}

struct val grouper_val(const struct grouper *g, uint32_t group, uint32_t key)
{
    uint32_t id = g->nkeys == 1 ? group : g->of[(size_t)group * g->nkeys + key];
    return g->its[key].vals[id];
}

static int group_cmp(const void *x, const void *y, void *arg)
{
    const struct grouper *g = arg;
    for (uint32_t k = 0; k < g->nkeys; k++) {
        struct val a = grouper_val(g, *(const uint32_t *)x, k),
                   b = grouper_val(g, *(const uint32_t *)y, k);
        int c = val_cmp(&a, &b);
        if (c || a.t != b.t)
            return c ? c : a.t < b.t ? -1 : 1;
    }
    return 0;
}

/* A group and the 8 bytes of its first key that stand behind what all first keys begin with: most
 * comparisons need no more. */
struct sortable {
    uint64_t prefix;
    uint32_t group;
};

static uint64_t prefix_of(str s, size_t skip)
{
    uint64_t x = 0;
    for (size_t i = skip; i < skip + 8; i++)
        x = x << 8 | (i < s.n ? (uint8_t)s.p[i] : 0);
    return x;
}

/* Length of the common beginning of all first keys; SIZE_MAX when not all are strings. */
static size_t common_prefix(const struct grouper *g)
{
    const struct intern *it = &g->its[0];
    size_t n = SIZE_MAX - 1;
    for (uint32_t i = 0; i < it->n; i++) {
        const str *s = &it->vals[i].s, *first = &it->vals[0].s;
        if (it->vals[i].t != V_STR)
            return SIZE_MAX;
        n = s->n < n ? s->n : n;
        size_t k = 0;
        while (k < n && s->p[k] == first->p[k])
            k++;
        n = k;
    }
    return n;
}

static int sortable_cmp(const void *x, const void *y, void *arg)
{
    const struct sortable *a = x, *b = y;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return group_cmp(&a->group, &b->group, arg);
}

static int sort_by_prefix(const struct grouper *g, size_t skip, uint32_t *order, struct err *err)
{
    struct sortable *v = mem_array(g->n, sizeof *v);
    if (!v)
        return err_nomem(err);
    for (uint32_t i = 0; i < g->n; i++)
        v[i] = (struct sortable){ prefix_of(grouper_val(g, i, 0).s, skip), i };
    qsort_r(v, g->n, sizeof *v, sortable_cmp, (void *)(uintptr_t)g);
    for (uint32_t i = 0; i < g->n; i++)
        order[i] = v[i].group;
    mem_free(v);
    return 0;
}

int grouper_sorted(const struct grouper *g, uint32_t **ret, struct err *err)
{
    uint32_t *order = mem_array(g->n + 1, sizeof *order);
    int rc = order ? 0 : err_nomem(err);
    for (uint32_t i = 0; i < g->n && !rc; i++)
        order[i] = i;
    size_t skip = g->nkeys && g->n > 64 ? common_prefix(g) : SIZE_MAX;
    if (!rc && skip != SIZE_MAX)
        rc = sort_by_prefix(g, skip, order, err);
    else if (!rc)
        qsort_r(order, g->n, sizeof *order, group_cmp, (void *)(uintptr_t)g);
    if (rc)
        mem_free(order);
    else
        *ret = order;
    return rc;
}

/* ---- parsing ---- */

static int parse_time_key(struct parser *p, struct group_key *key, struct qcol *col)
{
    struct qname time = { .text = field_table[F_TIMESTAMP].name, .pos = (int64_t)p->pos };
    key->kind = KEY_TIME;
    int rc = lex_duration(p, &key->step, "the step of time()");
    if (!rc && lex_char(p, ',')) /* time(1h, received_at) */
        rc = lex_name(p, &time, "a time field");
    if (!rc)
        rc = lex_expect(p, ')', "after the step of time()");
    if (!rc && p->schema && !schema_find(p->schema, time.text) &&
        schema_find(p->schema, STR("time")))
        time.text = STR("time");
    if (!rc)
        rc = schema_resolve(p, &time, &key->ref);
    if (!rc)
        rc = schema_computed(p, STR("time"), F_TIMESTAMP, col);
    return rc;
}

static int parse_bucket_key(struct parser *p, struct group_key *key, struct qcol *col)
{
    struct qname name;
    key->kind = KEY_BUCKET;
    int rc = lex_name(p, &name, "the field of bucket()");
    if (!rc)
        rc = lex_expect(p, ',', "before the width of bucket()");
    lex_blank(p);
    int64_t at = (int64_t)p->pos;
    if (!rc)
        rc = lex_number(p, &key->width, "the width of bucket()");
    if (!rc && !(key->width.integral ? key->width.i > 0 : key->width.d > 0))
        rc = parse_error(p, at, "the width of bucket() must be above 0");
    if (!rc)
        rc = lex_expect(p, ')', "after the width of bucket()");
    if (!rc)
        rc = schema_resolve(p, &name, &key->ref);
    return rc ? rc : schema_computed(p, name.text, F_NONE, col);
}

int parse_by_one(struct parser *p, struct group_key *key, struct qcol *col)
{
    struct qname name;
    *key = (struct group_key){ .kind = KEY_FIELD };
    int rc = lex_name(p, &name, "a field");
    if (rc)
        return rc;
    bool call = !name.backticks && lex_peek(p, 0) == '(';
    if (call) {
        p->pos++;
        if (str_eq(name.text, STR("time")))
            rc = parse_time_key(p, key, col);
        else if (str_eq(name.text, STR("bucket")))
            rc = parse_bucket_key(p, key, col);
        else
            rc = parse_error(p, name.pos, "'%.*s()' is no way to group; time() and bucket() are",
                             STR_FMT(name.text));
    } else {
        rc = schema_resolve(p, &name, &key->ref);
        col->name = name.text;
        col->ref = key->ref;
    }
    if (!rc && lex_word(p, "as")) {
        struct qname as;
        rc = lex_name(p, &as, "a name after as");
        if (!rc)
            rc = schema_computed(p, as.text, col->ref.field, col);
    }
    return rc;
}

int parse_by(struct parser *p, struct by_args *ret)
{
    enum { KEYS_MAX = GROUP_KEYS_MAX - 1 }; /* top adds one */
    ret->keys = arena_zalloc(p->a, KEYS_MAX * sizeof *ret->keys);
    ret->cols = arena_zalloc(p->a, KEYS_MAX * sizeof *ret->cols);
    ret->n = 0;
    if (!ret->keys || !ret->cols)
        return err_nomem(p->err);
    do {
        if (ret->n == KEYS_MAX)
            return parse_error(p, (int64_t)p->pos, "more than %d fields to group by", KEYS_MAX);
        int rc = parse_by_one(p, &ret->keys[ret->n], &ret->cols[ret->n]);
        if (rc)
            return rc;
        ret->n++;
    } while (lex_char(p, ','));
    return 0;
}
