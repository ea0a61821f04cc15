/* pred_blocks.c: which blocks of a segment can hold a match, judged by the segment's indexes before
 * any block is looked at.
 *
 * Every node gives a bitmap of blocks that may match: AND intersects, OR unites, NOT says nothing,
 * a test unites what its fields may match. A field that no block has matches nowhere. */
#include "base/hash.h"
#include "codec/gram.h"
#include "model/ident.h"
#include "model/inside.h"
#include "model/pred_int.h"

#define COLS_MAX 16

struct judge {
    const struct index_view *v;
    struct arena *a;
};

static uint64_t *map_new(const struct judge *j, bool full)
{
    uint64_t *w = arena_array(j->a, BITS_WORDS(j->v->nblocks) + 1, sizeof *w);
    if (w && full)
        bits_fill(w, j->v->nblocks);
    else if (w)
        bits_zero(w, j->v->nblocks);
    return w;
}

static void unite(const struct judge *j, uint64_t *into, const uint64_t *w)
{
    for (size_t i = 0; i < BITS_WORDS(j->v->nblocks); i++)
        into[i] |= w[i];
}

static void intersect(const struct judge *j, uint64_t *into, const uint64_t *w)
{
    for (size_t i = 0; i < BITS_WORDS(j->v->nblocks); i++)
        into[i] &= w[i];
}

/* Can a value of this type pass at all? */
static bool type_may(const struct pred *p, enum vtype type)
{
    const struct test *t = &p->test;
    switch (type) {
    case V_NULL: return false;
    case V_BOOL: return p->kind != P_TEST || t->bools;
    case V_I64:
    case V_F64:
    case V_NUM: return p->kind != P_TEST || t->num || t->num_text.n;
    case V_STR: return p->kind != P_TEST || t->st != S_NONE;
    default: return true;
    }
}

static struct fieldref canonical_ref(enum field f)
{
    str name = field_table[f].name;
    return (struct fieldref){ .field = f, .key = name, .hash = field_dotted_hash(name) };
}

static bool has_rest(const struct judge *j)
{
    struct index_col c;
    struct fieldref rest = canonical_ref(F_REST);
    return j->v->find(j->v->ctx, &rest, &c, 1) > 0;
}

/* may some block have values for f inside of an array? */
static bool has_inside(const struct judge *j, const struct fieldref *f)
{
    struct index_col cols[COLS_MAX];
    struct inside in = { 0 };
    while (inside_next(f, &in)) {
        uint32_t n = j->v->find(j->v->ctx, &in.outer, cols, COLS_MAX);
        if (n > COLS_MAX)
            return true;
        for (uint32_t i = 0; i < n; i++)
            if (cols[i].type == V_JSON)
                return true;
    }
    return false;
}

/* An id that decodes belongs to one sequence number; any other must be stored. */
static bool made_id_at(const struct judge *j, const struct pred *p, uint64_t *ret_seq)
{
    ts_ns at;
    return id_decode(j->v->ids, p->test.s, &at, ret_seq);
}

/* Narrows w to the blocks that may hold what the test looks for in the column. */
static int narrow(const struct judge *j, const struct pred *p, const struct index_col *c,
                  uint64_t *w)
{
    const struct index_view *v = j->v;
    const struct test *t = &p->test;
    if (p->kind != P_TEST || c->type != V_STR)
        return 0;
    if (t->st != S_IN) {
        if (text_keys_any(&t->pat.keys))
            v->narrow(v->ctx, c, &t->pat.keys, w);
        return 0;
    }
    uint64_t *any = map_new(j, false), *one = map_new(j, false);
    if (!any || !one)
        return -1;
    for (uint32_t i = 0; i < t->nparts; i++) {
        struct text_keys keys = { .whole = true, .value = hash64(t->part[i].p, t->part[i].n) };
        bits_fill(one, v->nblocks);
        v->narrow(v->ctx, c, &keys, one);
        unite(j, any, one);
    }
    intersect(j, w, any);
    return 0;
}

/* The blocks in which the field may pass the test, into `out` (zeroed). */
static int field_blocks(const struct judge *j, const struct pred *p, const struct fieldref *f,
                        uint64_t *out)
{
    const struct index_view *v = j->v;
    struct index_col cols[COLS_MAX];
    uint64_t seq;
    bool known = f->field != F_TIMESTAMP && f->field != F_SEQ && f->field != F_RECEIVED_AT &&
                 !is_mark_field(f->field);
    if (f->field == F_ID && (!v->ids || p->kind != P_TEST || p->test.st != S_EQ))
        known = false;
    uint32_t n = known ? v->find(v->ctx, f, cols, COLS_MAX) : 0;
    if (!known || n > COLS_MAX || (f->field == F_NONE && has_rest(j)) || has_inside(j, f)) {
        bits_fill(out, v->nblocks);
        return 0;
    }
    if (f->field == F_ID && made_id_at(j, p, &seq)) {
        uint64_t *w = map_new(j, true);
        if (!w)
            return -1;
        v->narrow_seq(v->ctx, seq, w);
        unite(j, out, w);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!type_may(p, cols[i].type))
            continue;
        uint64_t *w = map_new(j, true);
        if (!w)
            return -1;
        if (narrow(j, p, &cols[i], w))
            return -1;
        unite(j, out, w);
    }
    return 0;
}

/* Does the tree of ordinary tests say the same in every block? */
static bool texts_everywhere(const struct judge *j, const struct pred_calc *c)
{
    struct index_col cols[COLS_MAX];
    for (uint32_t i = 0; i < c->nfields; i++) {
        if (c->fields[i].field == F_ID || (c->fields[i].field == F_NONE && has_rest(j)) ||
            has_inside(j, &c->fields[i]))
            return false;
        uint32_t n = j->v->find(j->v->ctx, &c->fields[i], cols, COLS_MAX);
        if (n > COLS_MAX)
            return false;
        for (uint32_t k = 0; k < n; k++)
            if (cols[k].type != V_STR && cols[k].type != V_NULL)
                return false;
    }
    return true;
}

static uint64_t *blocks_of(const struct judge *j, const struct pred *p)
{
    if (p->calc && (p->kind == P_TEST || p->kind == P_EXISTS))
        return p->calc->texts && texts_everywhere(j, p->calc) ? blocks_of(j, p->calc->texts)
                                                              : map_new(j, true);
    uint64_t *out = map_new(j, p->kind != P_OR && p->kind != P_TEST && p->kind != P_EXISTS);
    if (!out)
        return NULL;
    switch (p->kind) {
    case P_FALSE: bits_zero(out, j->v->nblocks); break;
    case P_AND:
    case P_OR:
        for (uint32_t i = 0; i < p->nkids; i++) {
            uint64_t *kid = blocks_of(j, p->kids[i]);
            if (!kid)
                return NULL;
            if (p->kind == P_AND)
                intersect(j, out, kid);
            else
                unite(j, out, kid);
        }
        break;
    case P_LEVEL: j->v->narrow_levels(j->v->ctx, p->levels, out); break;
    case P_TEST:
    case P_EXISTS:
        if (p->scope.any)
            bits_fill(out, j->v->nblocks);
        for (uint32_t i = 0; i < p->scope.n && !p->scope.any; i++)
            if (field_blocks(j, p, &p->scope.fields[i], out))
                return NULL;
        break;
    case P_TRUE:
    case P_NOT:
    case P_RESOLVED: break;
    }
    return out;
}

uint64_t *pred_blocks(const struct pred *p, const struct index_view *v, struct arena *a)
{
    struct judge j = { v, a };
    return blocks_of(&j, p);
}
