/* pred_prune.c: judging a block by its statistics, without reading it.
 *
 * Every tree says NONE (no row can match), ALL (every row does) or MAYBE. NOT swaps the first two,
 * so a leaf may say ALL only when it is certain; saying MAYBE is always right. Token and value
 * filters speak of whole tokens and whole values: a prefix or substring asks only for the tokens
 * wholly inside it. */
#include <math.h>

#include "codec/token.h"
#include "model/ident.h"
#include "model/inside.h"
#include "model/pred_int.h"

#define COLS_MAX 16

enum verdict { NONE, MAYBE, ALL };

static enum verdict judge(const struct pred *p, const struct block_stats *st);

static bool has_prefix_in(const struct col_stats *c, str prefix)
{
    /* smin <= some value starting with prefix, and one such value <= smax */
    if (!c->smax_open && str_cmp(prefix, c->smax) > 0 && !str_starts(prefix, c->smax))
        return false;
    return str_cmp(c->smin, prefix) <= 0 || str_starts(c->smin, prefix);
}

static bool may_be(const struct block_stats *st, const struct col_stats *c, str value)
{
    if (c->has_range) {
        if (str_cmp(value, c->smin) < 0)
            return false;
        if (!c->smax_open && str_cmp(value, c->smax) > 0 && !str_starts(value, c->smax))
            return false;
    }
    return !st->may_value || st->may_value(st->ctx, c, value_hash(value));
}

static bool may_have_tokens(const struct block_stats *st, const struct col_stats *c,
                            const struct textpat *pat)
{
    for (uint32_t i = 0; i < pat->ntokens && st->may_token; i++)
        if (!st->may_token(st->ctx, c, pat->tokens[i]))
            return false;
    return true;
}

static enum verdict judge_text(const struct test *t, const struct block_stats *st,
                               const struct col_stats *c)
{
    switch (t->st) {
    case S_NONE: return NONE;
    case S_EQ: return may_be(st, c, t->s) ? MAYBE : NONE;
    case S_IN:
        for (uint32_t i = 0; i < t->nparts; i++)
            if (may_be(st, c, t->part[i]))
                return MAYBE;
        return NONE;
    case S_GLOB: return c->has_range && !has_prefix_in(c, t->part[0]) ? NONE : MAYBE;
    case S_WORDS:
    case S_REGEX: return may_have_tokens(st, c, &t->pat) ? MAYBE : NONE;
    case S_BYTES:
        if (!c->has_range)
            return MAYBE;
        if (!t->shi.open && str_cmp(c->smin, t->shi.s) > 0)
            return NONE;
        if (!t->slo.open && !c->smax_open && str_cmp(t->slo.s, c->smax) > 0 &&
            !str_starts(t->slo.s, c->smax))
            return NONE;
        return MAYBE;
    default: return MAYBE;
    }
}

static enum verdict judge_ints(const struct num_range *r, int64_t lo, int64_t hi, bool all_rows)
{
    if (r->ilo > r->ihi || hi < r->ilo || lo > r->ihi)
        return NONE;
    return all_rows && lo >= r->ilo && hi <= r->ihi ? ALL : MAYBE;
}

static enum verdict judge_col(const struct test *t, const struct block_stats *st,
                              const struct col_stats *c)
{
    if (c->nvals == 0 || c->type == V_NULL)
        return NONE;
    switch (c->type) {
    case V_BOOL: return t->bools == 3 && c->all_rows ? ALL : t->bools ? MAYBE : NONE;
    case V_I64:
        if (!t->num)
            return NONE;
        return c->has_range ? judge_ints(&t->range, c->imin, c->imax, c->all_rows) : MAYBE;
    case V_F64:
        if (!t->num)
            return NONE;
        if (!c->has_range)
            return MAYBE;
        if (!(t->range.dlo <= t->range.dhi) || c->dmax < t->range.dlo || c->dmin > t->range.dhi)
            return NONE;
        return c->all_rows && c->dmin >= t->range.dlo && c->dmax <= t->range.dhi ? ALL : MAYBE;
    case V_NUM: return t->num ? MAYBE : NONE;
    case V_STR: return judge_text(t, st, c);
    default: return MAYBE;
    }
}

/* An id that decodes belongs to one sequence number; any other must be stored. */
static enum verdict judge_made_id(const struct pred *p, const struct block_stats *st)
{
    ts_ns at;
    uint64_t seq;
    if (!st->ids || p->kind != P_TEST || p->test.st != S_EQ)
        return MAYBE;
    return id_decode(st->ids, p->test.s, &at, &seq) && seq >= st->seq_min && seq <= st->seq_max
               ? MAYBE
               : NONE;
}

static struct fieldref canonical_ref(enum field f)
{
    str name = field_table[f].name;
    return (struct fieldref){ .field = f, .key = name, .hash = field_dotted_hash(name) };
}

/* may some row keep attributes in the column rest? */
static bool has_rest(const struct block_stats *st)
{
    struct col_stats cs;
    struct fieldref rest = canonical_ref(F_REST);
    return st->find(st->ctx, &rest, &cs, 1) && cs.nvals;
}

/* may some row have values for f inside of an array? */
static bool has_inside(const struct fieldref *f, const struct block_stats *st)
{
    struct col_stats cs[COLS_MAX];
    struct inside in = { 0 };
    while (inside_next(f, &in)) {
        uint32_t n = st->find(st->ctx, &in.outer, cs, COLS_MAX);
        if (n > COLS_MAX)
            return true;
        for (uint32_t i = 0; i < n; i++)
            if (cs[i].nvals && cs[i].type == V_JSON)
                return true;
    }
    return false;
}

static enum verdict judge_field(const struct pred *p, const struct fieldref *f,
                                const struct block_stats *st)
{
    struct col_stats cs[COLS_MAX];
    enum verdict v = NONE;
    if (f->field == F_TIMESTAMP && p->kind == P_TEST)
        return p->test.num ? judge_ints(&p->test.range, st->t_min, st->t_max, true) : NONE;
    if (f->field == F_SEQ && p->kind == P_TEST && st->seq_max <= INT64_MAX)
        return p->test.num
                   ? judge_ints(&p->test.range, (int64_t)st->seq_min, (int64_t)st->seq_max, true)
                   : NONE;
    if (f->field == F_TIMESTAMP || f->field == F_SEQ || f->field == F_RECEIVED_AT)
        return MAYBE;
    if (is_mark_field(f->field))
        return MAYBE; /* marks live outside of blocks */
    if (f->field == F_ID && (v = judge_made_id(p, st)) == MAYBE)
        return MAYBE;
    if (f->field == F_NONE && (has_rest(st) || has_inside(f, st)))
        v = MAYBE;
    uint32_t n = st->find(st->ctx, f, cs, COLS_MAX);
    if (n > COLS_MAX)
        return MAYBE;
    for (uint32_t i = 0; i < n && v != ALL; i++) {
        enum verdict c;
        if (p->kind == P_EXISTS)
            c = cs[i].nvals == 0 || cs[i].type == V_NULL ? NONE : cs[i].all_rows ? ALL : MAYBE;
        else
            c = judge_col(&p->test, st, &cs[i]);
        v = c > v ? c : v;
    }
    return v;
}

static enum verdict judge_level(const struct pred *p, const struct block_stats *st)
{
    uint32_t known = (1u << LV__COUNT) - 1;
    if (st->level_mask == UINT32_MAX)
        return p->levels ? MAYBE : NONE;
    if (!(st->level_mask & p->levels))
        return NONE;
    if (st->level_mask & known & ~p->levels)
        return MAYBE;
    struct col_stats cs;
    struct fieldref level = canonical_ref(F_LEVEL);
    return st->find(st->ctx, &level, &cs, 1) == 1 && cs.all_rows ? ALL : MAYBE;
}

/* The tree over stored fields counts where they hold nothing but texts. */
static enum verdict judge_calc(const struct pred_calc *c, const struct block_stats *st)
{
    struct col_stats cs[COLS_MAX];
    if (!c->texts)
        return MAYBE;
    for (uint32_t i = 0; i < c->nfields; i++) {
        if (c->fields[i].field == F_NONE && (has_rest(st) || has_inside(&c->fields[i], st)))
            return MAYBE;
        uint32_t n = st->find(st->ctx, &c->fields[i], cs, COLS_MAX);
        if (n > COLS_MAX || c->fields[i].field == F_ID)
            return MAYBE;
        for (uint32_t k = 0; k < n; k++)
            if (cs[k].nvals && cs[k].type != V_STR && cs[k].type != V_NULL)
                return MAYBE;
    }
    return judge(c->texts, st);
}

static enum verdict judge(const struct pred *p, const struct block_stats *st)
{
    enum verdict v, k;
    switch (p->kind) {
    case P_TRUE: return ALL;
    case P_FALSE: return NONE;
    case P_AND:
        v = ALL;
        for (uint32_t i = 0; i < p->nkids && v != NONE; i++)
            v = (k = judge(p->kids[i], st)) < v ? k : v;
        return v;
    case P_OR:
        v = NONE;
        for (uint32_t i = 0; i < p->nkids && v != ALL; i++)
            v = (k = judge(p->kids[i], st)) > v ? k : v;
        return v;
    case P_NOT: v = judge(p->kids[0], st); return v == NONE ? ALL : v == ALL ? NONE : MAYBE;
    case P_LEVEL: return judge_level(p, st);
    case P_RESOLVED: return MAYBE;
    case P_EXISTS:
    case P_TEST: break;
    }
    if (p->calc)
        return judge_calc(p->calc, st);
    if (p->scope.any)
        return MAYBE;
    v = NONE;
    for (uint32_t i = 0; i < p->scope.n && v != ALL; i++)
        v = (k = judge_field(p, &p->scope.fields[i], st)) > v ? k : v;
    return v;
}

enum prune pred_prune(const struct pred *p, const struct block_stats *st)
{
    return judge(p, st) == NONE ? PRUNE_NONE_MATCH : PRUNE_MAYBE;
}
