/* lower.c: from the syntax tree of a filter to the tests of model/pred.h.
 *
 * Here names get their meaning (a canonical field, an attribute, a column of a table), values
 * theirs by the field they meet (a level, an instant, a number with a unit), and words their scope.
 */
#include <math.h>

#include "query/internal.h"

static int lower(struct parser *p, const struct ast *n, const struct pred_scope *sc,
                 struct pred **ret);

/* gives errors of pred_leaf.h, which know nothing of positions, the place they are about */
static int place_error(struct parser *p, int64_t pos, int rc)
{
    if (rc == ERR_INVALID) {
        p->err->pos = p->err->pos < 0 ? pos : pos + p->err->pos;
        if (!p->err->slug[0])
            err_slug(p->err, "bad_query");
    }
    return rc;
}

static int done(struct parser *p, struct pred *x, int64_t pos, struct pred **ret)
{
    if (!x)
        return err_nomem(p->err);
    (void)pos;
    *ret = x;
    return 0;
}

/* ---- levels ---- */

static int parse_level(struct parser *p, str s, int64_t pos, enum level *ret)
{
    if (level_parse(s, ret))
        return 0;
    static const char *const names[] = { "trace", "debug", "info", "warn", "error", "critical" };
    parse_error(p, pos, "'%.*s' is not a level", STR_FMT(s));
    err_hint(p->err, "levels are trace, debug, info, warn, error and critical");
    parse_hint_near(p, s, names, 6);
    return ERR_INVALID;
}

static uint32_t levels_from(int lv)
{
    return lv >= LV__COUNT ? 0 : ~0u << lv & ((1u << LV__COUNT) - 1);
}

static int level_bound(struct parser *p, const struct bound_text *b, bool low, uint32_t *mask)
{
    enum level lv;
    if (b->open)
        return 0;
    int rc = parse_level(p, b->s, b->pos, &lv);
    if (rc)
        return rc;
    if (low)
        *mask &= levels_from(b->inclusive ? (int)lv : (int)lv + 1);
    else
        *mask &= ~levels_from(b->inclusive ? (int)lv + 1 : (int)lv);
    return 0;
}

static int lower_level(struct parser *p, const struct ast *n, const struct fieldref *f,
                       struct pred **ret)
{
    uint32_t mask = (1u << LV__COUNT) - 1;
    enum level lv;
    int rc = 0;
    if (n->kind == A_RANGE) {
        rc = level_bound(p, &n->lo, true, &mask);
        if (!rc)
            rc = level_bound(p, &n->hi, false, &mask);
    } else if (n->kind != A_MATCH && n->kind != A_EQ && n->kind != A_NE) {
        return parse_error(p, n->pos, "a level is compared with level names");
    } else if (n->kind == A_MATCH && n->value.nparts == 2 && !n->value.part[0].n &&
               !n->value.part[1].n) {
        return done(p, pred_exists(p->a, f), n->pos, ret);
    } else if (n->value.nparts != 1) {
        return parse_error(p, n->value_pos, "'*' does not belong in a level");
    } else {
        rc = parse_level(p, n->value.part[0], n->value_pos, &lv);
        bool exact = n->kind != A_MATCH || n->in_group;
        if (!rc)
            mask = exact ? 1u << lv : levels_from((int)lv);
        if (n->kind == A_NE)
            mask = ~mask;
    }
    return rc ? rc : done(p, pred_levels_in(p->a, f, mask), n->pos, ret);
}

/* ---- instants ---- */

static int bad_time(struct parser *p, int64_t pos, str s)
{
    parse_error(p, pos, "'%.*s' is not a time", STR_FMT(s));
    err_hint(p->err,
             "write 2026-11-21, 2026-11-21T10:30:00Z, now-15m, today or seconds since 1970");
    return ERR_INVALID;
}

static struct pred *instants(struct parser *p, const struct fieldref *f, ts_ns from, ts_ns to)
{
    struct pred_bound lo = {
        .open = from == TS_MIN, .inclusive = true, .integral = true, .i = from
    };
    struct pred_bound hi = { .open = to == TS_MAX, .inclusive = true, .integral = true, .i = to };
    return pred_range(p->a, f, &lo, &hi);
}

/* an instant that is compared with f; for an entry's time it may be moved (compare) */
static ts_ns moved(const struct parser *p, const struct fieldref *f, ts_ns t)
{
    ts_ns to;
    bool moves = f->field == F_TIMESTAMP && t != TS_MIN && t != TS_MAX;
    return !moves || __builtin_sub_overflow(t, p->shift, &to) ? t : to;
}

static int time_bound(struct parser *p, const struct bound_text *b, const struct fieldref *f,
                      struct pred_bound *ret)
{
    ts_ns from, to;
    *ret = (struct pred_bound){ .open = b->open, .inclusive = b->inclusive, .integral = true };
    if (b->open)
        return 0;
    if (!time_expr(b->s, p->o, &from, &to))
        return bad_time(p, b->pos, b->s);
    ret->i = moved(p, f, from);
    return 0;
}

static int lower_time(struct parser *p, const struct ast *n, const struct fieldref *f,
                      struct pred **ret)
{
    if (n->kind == A_RANGE) {
        struct pred_bound lo, hi;
        int rc = time_bound(p, &n->lo, f, &lo);
        if (!rc)
            rc = time_bound(p, &n->hi, f, &hi);
        return rc ? rc : done(p, pred_range(p->a, f, &lo, &hi), n->pos, ret);
    }
    if (n->kind != A_MATCH && n->kind != A_EQ && n->kind != A_NE)
        return parse_error(p, n->pos, "'%.*s' is compared with times", STR_FMT(n->field.text));
    if (n->value.nparts == 2 && !n->value.part[0].n && !n->value.part[1].n && n->kind == A_MATCH)
        return done(p, pred_exists(p->a, f), n->pos, ret);
    ts_ns from, to;
    if (n->value.nparts != 1 || !time_expr(n->value.part[0], p->o, &from, &to))
        return bad_time(p, n->value_pos, n->value.nparts == 1 ? n->value.part[0] : STR("*"));
    from = moved(p, f, from);
    struct pred *x = instants(p, f, from, n->kind == A_MATCH ? moved(p, f, to) : from);
    if (n->kind == A_NE)
        x = pred_and(p->a, pred_exists(p->a, f), pred_not(p->a, x));
    return done(p, x, n->pos, ret);
}

/* ---- numbers with units ---- */

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit spans[] = {
    { "ns", 1 },        { "us", NS_PER_US },    { "ms", NS_PER_MS },
    { "s", NS_PER_S },  { "m", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S },
    { "d", NS_PER_DAY }
};
static const struct unit sizes[] = { { "KB", 1000 },       { "MB", 1000000 },
                                     { "GB", 1000000000 }, { "KiB", 1ll << 10 },
                                     { "MiB", 1ll << 20 }, { "GiB", 1ll << 30 } };

static int64_t unit_factor(const struct unit *u, size_t n, str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(str_c(u[i].name), name))
            return u[i].factor;
    return 0;
}

/* how many ns one unit of the field is, judging by the end of its name */
static int64_t field_unit(str name)
{
    static const struct unit ends[] = { { "ns", 1 },
                                        { "us", NS_PER_US },
                                        { "ms", NS_PER_MS },
                                        { "s", NS_PER_S },
                                        { "sec", NS_PER_S },
                                        { "secs", NS_PER_S },
                                        { "seconds", NS_PER_S },
                                        { "m", 60 * NS_PER_S },
                                        { "min", 60 * NS_PER_S },
                                        { "minutes", 60 * NS_PER_S },
                                        { "h", 3600 * NS_PER_S },
                                        { "hours", 3600 * NS_PER_S },
                                        { "d", NS_PER_DAY },
                                        { "days", NS_PER_DAY } };
    size_t i = name.n;
    while (i > 0 && name.p[i - 1] != '_')
        i--;
    int64_t f = i ? unit_factor(ends, sizeof ends / sizeof *ends, str_skip(name, i)) : 0;
    return f ? f : NS_PER_MS;
}

/* "2s", "1.5KiB": scaled to the field's unit; false when s is no number with a unit */
static bool with_unit(str s, str field, struct pred_bound *ret)
{
    size_t i = s.n;
    while (i > 0 && ((s.p[i - 1] | 32) >= 'a' && (s.p[i - 1] | 32) <= 'z'))
        i--;
    str unit = str_skip(s, i);
    if (!unit.n || !pred_number(str_sub(s, 0, i), ret))
        return false;
    int64_t up = unit_factor(sizes, sizeof sizes / sizeof *sizes, unit), down = 1;
    if (!up) {
        up = unit_factor(spans, sizeof spans / sizeof *spans, unit);
        down = field_unit(field);
    }
    if (!up)
        return false;
    __int128 scaled = (__int128)ret->i * up;
    if (ret->integral && scaled % down == 0 && scaled / down <= INT64_MAX &&
        scaled / down >= INT64_MIN) {
        ret->i = (int64_t)(scaled / down);
        ret->d = (double)ret->i;
        return true;
    }
    ret->d = ret->d * (double)up / (double)down;
    ret->integral = ret->d == floor(ret->d) && fabs(ret->d) < 9e15;
    ret->i = ret->integral ? (int64_t)ret->d : 0;
    return true;
}

static int number_bound(struct parser *p, const struct ast *n, const struct bound_text *b,
                        struct pred_bound *ret)
{
    *ret = (struct pred_bound){ .open = b->open };
    if (b->quoted) {
        ret->text = true;
        ret->s = b->s;
    } else if (!b->open && !pred_number(b->s, ret) && !with_unit(b->s, n->field.text, ret)) {
        parse_error(p, b->pos, "'%.*s' is neither a number nor a quoted text", STR_FMT(b->s));
        err_hint(p->err, "numbers may have a unit (2s, 10MB); quote a text to compare by bytes");
        return ERR_INVALID;
    }
    ret->open = b->open;
    ret->inclusive = b->inclusive;
    return 0;
}

static int lower_range(struct parser *p, const struct ast *n, const struct fieldref *f,
                       struct pred **ret)
{
    struct pred_bound lo, hi;
    if (n->lo.open && n->hi.open) /* [* TO *]: any value at all */
        return done(p, pred_exists(p->a, f), n->pos, ret);
    int rc = number_bound(p, n, &n->lo, &lo);
    if (!rc)
        rc = number_bound(p, n, &n->hi, &hi);
    return rc ? rc : done(p, pred_range(p->a, f, &lo, &hi), n->pos, ret);
}

/* ---- other field tests ---- */

static int lower_resolved(struct parser *p, const struct ast *n, struct pred **ret)
{
    bool plain = (n->kind == A_MATCH || n->kind == A_EQ || n->kind == A_NE) && n->value.nparts == 1;
    bool yes = plain && str_eq(n->value.part[0], STR("true"));
    if (!yes && !(plain && str_eq(n->value.part[0], STR("false")))) {
        parse_error(p, n->value_pos ? n->value_pos : n->pos, "resolved is true or false");
        err_hint(p->err, "write resolved:true or resolved:false");
        return ERR_INVALID;
    }
    return done(p, pred_resolved(p->a, yes == (n->kind != A_NE)), n->pos, ret);
}

/* the value with its stars as characters: `=` compares literally */
static str literal(struct parser *p, const struct pred_value *v)
{
    str s = v->part[0];
    for (uint32_t i = 1; i < v->nparts && s.p; i++) {
        char *z = arena_printf(p->a, "%.*s*%.*s", STR_FMT(s), STR_FMT(v->part[i]));
        s = str_c(z);
    }
    return s;
}

static int lower_equal(struct parser *p, const struct ast *n, const struct fieldref *f,
                       struct pred **ret)
{
    str s = literal(p, &n->value);
    struct pred *x = pred_equal(p->a, f, s, n->value.quoted);
    if (x)
        pred_set_pos(x, n->pos);
    if (n->kind == A_NE) {
        struct pred_bound b;
        if (!n->value.quoted && with_unit(s, n->field.text, &b)) {
            b.inclusive = true;
            x = pred_or(p->a, x, pred_range(p->a, f, &b, &b));
        }
        x = pred_and(p->a, pred_exists(p->a, f), pred_not(p->a, x));
    }
    return done(p, x, n->pos, ret);
}

static int lower_regex(struct parser *p, const struct ast *n, const struct pred_scope *sc,
                       struct pred **ret)
{
    struct pred *x;
    int rc = pred_regex_in(&x, p->a, sc, n->pattern, n->flags, p->err);
    if (rc)
        return place_error(p, n->value_pos + 1, rc);
    pred_set_pos(x, n->value_pos);
    *ret = x;
    return 0;
}

/* a test that means the same for every field it may be about */
static int lower_test(struct parser *p, const struct ast *n, const struct fieldref *f,
                      struct pred **ret)
{
    struct pred *x = NULL;
    int rc = 0;
    switch (n->kind) {
    case A_MATCH:
        rc = place_error(p, n->value_pos, pred_match(&x, p->a, f, &n->value, p->err));
        break;
    case A_REGEX: return lower_regex(p, n, &(struct pred_scope){ .fields = f, .n = 1 }, ret);
    case A_IP:
        rc = place_error(p, n->value_pos, pred_ip(&x, p->a, f, literal(p, &n->value), p->err));
        break;
    case A_RANGE: return lower_range(p, n, f, ret);
    default: return lower_equal(p, n, f, ret);
    }
    if (rc)
        return rc;
    pred_set_pos(x, n->pos);
    *ret = x;
    return 0;
}

/* the same about what an expression gives: the field only holds its place */
static int lower_calc(struct parser *p, const struct ast *n, struct fieldref *f, struct pred **ret)
{
    if (!fieldref_make(p->a, n->field.text, true, f))
        return err_nomem(p->err);
    int rc = lower_test(p, n, f, ret);
    return rc ? rc : calc_tests(p, n, *ret);
}

static int lower_field(struct parser *p, const struct ast *n, struct pred **ret)
{
    struct fieldref *f = arena_zalloc(p->a, sizeof *f);
    if (!f)
        return err_nomem(p->err);
    if (n->field.calc)
        return lower_calc(p, n, f, ret);
    int rc = schema_resolve(p, &n->field, f);
    if (rc)
        return rc;
    unsigned flags = f->field == F_NONE ? 0 : field_table[f->field].flags;
    if (f->field == F_LEVEL)
        return lower_level(p, n, f, ret);
    if (f->field == F_RESOLVED && !(n->kind == A_MATCH && n->value.nparts == 2))
        return lower_resolved(p, n, ret);
    if (flags & FF_TIME)
        return lower_time(p, n, f, ret);
    return lower_test(p, n, f, ret);
}

/* ---- scopes ---- */

static int make_scope(struct parser *p, const struct scope_text *t, struct pred_scope *ret)
{
    if (t->any && !p->schema) {
        open_whole(p->open);
        *ret = (struct pred_scope){ .any = true };
        return 0;
    }
    uint32_t n = t->any ? p->schema->n : t->n;
    struct fieldref *refs = arena_array(p->a, n ? n : 1, sizeof *refs);
    if (!refs)
        return err_nomem(p->err);
    for (uint32_t i = 0; i < n; i++) {
        int rc = 0;
        if (t->any)
            refs[i] = p->schema->cols[i].ref;
        else
            rc = schema_resolve(p, &t->names[i], &refs[i]);
        if (rc)
            return rc;
    }
    *ret = (struct pred_scope){ .fields = refs, .n = n };
    return 0;
}

static int lower_many(struct parser *p, const struct ast *n, const struct pred_scope *sc,
                      struct pred **ret)
{
    struct pred **kids = arena_array(p->a, n->nkids, sizeof *kids);
    if (!kids)
        return err_nomem(p->err);
    for (uint32_t i = 0; i < n->nkids; i++) {
        int rc = lower(p, n->kids[i], sc, &kids[i]);
        if (rc)
            return rc;
    }
    return done(p, (n->kind == A_AND ? pred_all : pred_any)(p->a, kids, n->nkids), n->pos, ret);
}

static int lower_on(struct parser *p, const struct ast *n, struct pred **ret)
{
    struct fieldref f;
    struct qname name = { .text = field_table[F_TIMESTAMP].name, .pos = n->pos };
    int rc = schema_resolve(p, &name, &f);
    return rc ? rc
              : done(p, instants(p, &f, moved(p, &f, n->from), moved(p, &f, n->to)), n->pos, ret);
}

static int lower(struct parser *p, const struct ast *n, const struct pred_scope *sc,
                 struct pred **ret)
{
    struct pred_scope own;
    struct pred *x = NULL;
    int rc;
    switch (n->kind) {
    case A_AND:
    case A_OR: return lower_many(p, n, sc, ret);
    case A_NOT:
        rc = lower(p, n->kids[0], sc, &x);
        return rc ? rc : done(p, pred_not(p->a, x), n->pos, ret);
    case A_GROUP:
        if (n->scope) {
            rc = make_scope(p, n->scope, &own);
            if (rc)
                return rc;
            sc = &own;
        }
        return lower(p, n->kids[0], sc, ret);
    case A_SCOPE:
    case A_TRUE: return done(p, pred_true(p->a), n->pos, ret);
    case A_WORDS:
        rc = place_error(p, n->value_pos, pred_words(&x, p->a, sc, &n->value, p->err));
        if (rc)
            return rc;
        pred_set_pos(x, n->pos);
        *ret = x;
        return 0;
    case A_REGEX: return n->has_field ? lower_field(p, n, ret) : lower_regex(p, n, sc, ret);
    case A_TIME: return lower_on(p, n, ret);
    default: return lower_field(p, n, ret);
    }
}

int lower_filter(struct parser *p, const struct ast *ast, struct pred **ret)
{
    struct pred_scope sc;
    if (p->schema) {
        int rc = make_scope(p, &(struct scope_text){ .any = true }, &sc);
        if (rc)
            return rc;
    } else if (!pred_default_scope(p->a, &sc)) {
        return err_nomem(p->err);
    }
    for (uint32_t i = 0; p->open && !p->schema && i < sc.n; i++)
        if (!open_note_entry(p->open, p->a, &sc.fields[i]))
            return err_nomem(p->err);
    return lower(p, ast, &sc, ret);
}
