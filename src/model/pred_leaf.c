/* pred_leaf.c: from what a query asked to a test with a part for every stored type. */
#include "model/pred_leaf.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "model/pred_int.h"

enum {
    COST_EXISTS = 1,
    COST_NUMBER = 2,
    COST_EQ = 4,
    COST_GLOB = 8,
    COST_WORDS = 32,
    COST_REGEX = 128,
    COST_CALC = 256
};

static struct pred *leaf(struct arena *a, enum pred_kind kind, const struct pred_scope *sc,
                         uint32_t cost)
{
    struct pred *p = arena_zalloc(a, sizeof *p);
    if (!p)
        return NULL;
    p->kind = kind;
    p->pos = -1;
    p->test.slo.open = p->test.shi.open = true;
    p->test.range = (struct num_range){ 1, 0, 1, 0 };
    if (sc) {
        p->scope = *sc;
        cost *= sc->any ? 16 : sc->n ? sc->n : 1;
    }
    p->cost = cost;
    return p;
}

static struct pred *field_leaf(struct arena *a, enum pred_kind kind, const struct fieldref *f,
                               uint32_t cost)
{
    struct fieldref *own = arena_alloc(a, sizeof *own);
    if (!own)
        return NULL;
    *own = *f;
    return leaf(a, kind, &(struct pred_scope){ .fields = own, .n = 1 }, cost);
}

static struct fieldref canonical_ref(enum field f)
{
    str name = field_table[f].name;
    return (struct fieldref){ .field = f, .key = name, .hash = field_dotted_hash(name) };
}

static uint32_t field_flags(const struct fieldref *f)
{
    return f->field == F_NONE ? 0 : field_table[f->field].flags;
}

bool pred_default_scope(struct arena *a, struct pred_scope *ret)
{
    static const char *const errors[] = { "attributes.error", "attributes.error.message",
                                          "attributes.exception.message",
                                          "attributes.exception.stacktrace" };
    uint32_t max = F__COUNT + sizeof errors / sizeof *errors, n = 0;
    struct fieldref *refs = arena_array(a, max, sizeof *refs);
    if (!refs)
        return false;
    for (int f = 0; f < F__COUNT; f++)
        if ((field_table[f].flags & (FF_TEXT | FF_VIRTUAL)) == FF_TEXT)
            refs[n++] = canonical_ref((enum field)f);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!fieldref_make(a, str_c(errors[i]), false, &refs[n]))
            return false;
        else
            refs[n++].whole = true;
    *ret = (struct pred_scope){ .fields = refs, .n = n };
    return true;
}

/* ---- strings ---- */

static int bad_star(struct err *err)
{
    err_set(err, ERR_INVALID, "'*' may stand at the start or the end of a word, not inside it");
    err_hint(err, "use a regular expression: /foo.*bar/");
    return ERR_INVALID;
}

/* the text as written, for printing */
static str source(struct arena *a, const struct pred_value *v)
{
    size_t n = v->nparts - 1;
    for (uint32_t i = 0; i < v->nparts; i++)
        n += v->part[i].n;
    char *p = arena_alloc(a, n ? n : 1), *at = p;
    if (!p)
        return STR_NULL;
    for (uint32_t i = 0; i < v->nparts; i++) {
        if (i)
            *at++ = '*';
        if (v->part[i].n)
            memcpy(at, v->part[i].p, v->part[i].n);
        at += v->part[i].n;
    }
    return (str){ p, n };
}

/* Fills t's word pattern; 0, an error, or 1 when the stars are not of a word's shape. */
static int words_test(struct test *t, struct arena *a, const struct pred_value *v, struct err *err)
{
    const str *part = v->part;
    bool ok;
    t->st = S_WORDS;
    if (v->nparts == 1) {
        ok = v->quoted ? textpat_phrase(&t->pat, a, part[0], true)
                       : textpat_word(&t->pat, a, part[0], true, true);
        t->word = v->quoted ? "phrase" : "word";
    } else if (v->nparts == 2 && part[0].n && !part[1].n) {
        ok = v->quoted ? textpat_phrase(&t->pat, a, part[0], false)
                       : textpat_word(&t->pat, a, part[0], true, false);
        t->word = "prefix";
    } else if (v->nparts == 2 && !part[0].n && part[1].n) {
        ok = textpat_word(&t->pat, a, part[1], false, true);
        t->word = "suffix";
    } else if (v->nparts == 3 && !part[0].n && part[1].n && !part[2].n) {
        ok = textpat_substr(&t->pat, a, part[1], true);
        t->word = "contains";
    } else {
        return 1;
    }
    return ok ? 0 : err_nomem(err);
}

int pred_words(struct pred **ret, struct arena *a, const struct pred_scope *sc,
               const struct pred_value *v, struct err *err)
{
    if (v->nparts == 2 && !v->part[0].n && !v->part[1].n) {
        *ret = pred_true(a);
        return *ret ? 0 : err_nomem(err);
    }
    struct pred *p = leaf(a, P_TEST, sc, COST_WORDS);
    if (!p)
        return err_nomem(err);
    p->test.s = source(a, v);
    if (v->nparts == 1 && !v->part[0].n)
        return err_set(err, ERR_INVALID, "nothing to look for between the quotes");
    int rc = words_test(&p->test, a, v, err);
    if (rc)
        return rc == 1 ? bad_star(err) : rc;
    *ret = p;
    return p->test.s.p ? 0 : err_nomem(err);
}

/* numbers and booleans a bare value stands for, besides the string */
static bool scalar_parts(struct test *t, struct arena *a, str s)
{
    struct pred_bound n;
    if (str_eq(s, STR("true")))
        t->bools = 2;
    else if (str_eq(s, STR("false")))
        t->bools = 1;
    if (!pred_number(s, &n))
        return true;
    t->num = true;
    int64_t i;
    double d;
    bool sign = s.n && s.p[0] == '+';
    str digits = str_skip(s, sign);
    bool integral = !memchr(digits.p, '.', digits.n) && !memchr(digits.p, 'e', digits.n) &&
                    !memchr(digits.p, 'E', digits.n);
    if (json_number(digits, integral, &i, &d) == JNUM_TEXT && !n.integral) {
        t->num_text = arena_dup(a, digits);
        return t->num_text.p;
    }
    t->range = range_all();
    range_low(&t->range, &n);
    range_high(&t->range, &n);
    return true;
}

/* what the indexes are asked for a whole value, or for the parts of one */
static bool value_keys(struct test *t, struct arena *a)
{
    struct text_keys *k = &t->pat.keys;
    bool ok = true;
    if (t->st == S_EQ) {
        k->whole = true;
        k->value = hash64(t->s.p, t->s.n);
        return text_keys_add(k, a, t->s, true, true);
    }
    for (uint32_t i = 0; i < t->nparts && ok; i++)
        ok = text_keys_add(k, a, t->part[i], i == 0, i + 1 == t->nparts);
    return ok;
}

int pred_match(struct pred **ret, struct arena *a, const struct fieldref *f,
               const struct pred_value *v, struct err *err)
{
    if (v->nparts == 2 && !v->part[0].n && !v->part[1].n) {
        *ret = pred_exists(a, f);
        return *ret ? 0 : err_nomem(err);
    }
    struct pred *p = field_leaf(a, P_TEST, f, COST_WORDS);
    if (!p)
        return err_nomem(err);
    struct test *t = &p->test;
    bool whole = field_flags(f) & FF_IDENTITY;
    t->s = source(a, v);
    if (!t->s.p || (!v->quoted && v->nparts == 1 && !scalar_parts(t, a, t->s)))
        return err_nomem(err);
    *ret = p;
    int rc = whole || !t->s.n ? 1 : words_test(t, a, v, err);
    if (rc < 0)
        return rc;
    if (rc == 1) { /* whole value */
        t->st = v->nparts == 1 ? S_EQ : S_GLOB;
        t->part = v->part;
        t->nparts = v->nparts;
        t->word = v->nparts == 1 ? "is" : "glob";
        p->cost = v->nparts == 1 ? COST_EQ : COST_GLOB;
        if (!value_keys(t, a))
            return err_nomem(err);
    }
    return 0;
}

struct pred *pred_equal(struct arena *a, const struct fieldref *f, str value, bool quoted)
{
    struct pred *p = field_leaf(a, P_TEST, f, COST_EQ);
    if (!p)
        return NULL;
    p->test.st = S_EQ;
    p->test.word = "is";
    p->test.s = arena_dup(a, value);
    if (!value.n)
        p->test.s = STR("");
    if (!p->test.s.p || (!quoted && !scalar_parts(&p->test, a, p->test.s)) ||
        !value_keys(&p->test, a))
        return NULL;
    return p;
}

struct pred *pred_in(struct arena *a, const struct fieldref *f, const str *values, uint32_t n)
{
    struct pred *p = field_leaf(a, P_TEST, f, COST_GLOB);
    str *own = arena_array(a, n ? n : 1, sizeof *own);
    char *text = arena_printf(a, "%u values", n);
    if (!p || !own || !text)
        return NULL;
    for (uint32_t i = 0; i < n; i++) {
        own[i] = values[i].n ? arena_dup(a, values[i]) : STR("");
        if (!own[i].p)
            return NULL;
    }
    qsort(own, n, sizeof *own, str_qsort);
    p->test.st = S_IN;
    p->test.word = "in";
    p->test.s = str_c(text);
    p->test.part = own;
    p->test.nparts = n;
    return p;
}

struct pred *pred_exists(struct arena *a, const struct fieldref *f)
{
    return field_leaf(a, P_EXISTS, f, COST_EXISTS);
}

/* ---- ranges ---- */

struct pred *pred_range(struct arena *a, const struct fieldref *f, const struct pred_bound *lo,
                        const struct pred_bound *hi)
{
    struct pred *p = field_leaf(a, P_TEST, f, COST_NUMBER);
    if (!p)
        return NULL;
    struct test *t = &p->test;
    t->slo = *lo;
    t->shi = *hi;
    t->word = "range";
    if ((lo->text && !lo->open) || (hi->text && !hi->open)) {
        /* a quoted bound beside a number: no value is on both sides of both */
        bool mixed = (!lo->open && !lo->text) || (!hi->open && !hi->text);
        t->st = mixed ? S_NONE : S_BYTES;
        return p;
    }
    t->num = true;
    t->range = range_all();
    range_low(&t->range, lo);
    range_high(&t->range, hi);
    t->st = field_flags(f) & FF_TIME ? S_NONE : S_NUMBER;
    return p;
}

static struct pred *int_range(struct arena *a, enum field f, int64_t lo, int64_t hi)
{
    struct fieldref ref = canonical_ref(f);
    struct pred_bound l = { .open = lo == INT64_MIN, .inclusive = true, .integral = true, .i = lo };
    struct pred_bound h = { .open = hi == INT64_MAX, .inclusive = true, .integral = true, .i = hi };
    struct pred *p = pred_range(a, &ref, &l, &h);
    if (p)
        p->cost = COST_EXISTS;
    return p;
}

struct pred *pred_time(struct arena *a, ts_ns from, ts_ns to)
{
    if (from == TS_MIN && to == TS_MAX)
        return pred_true(a);
    if (to == TS_MIN)
        return pred_false(a);
    return int_range(a, F_TIMESTAMP, from, to == TS_MAX ? TS_MAX : to - 1);
}

struct pred *pred_seq_range(struct arena *a, uint64_t from, uint64_t to_incl)
{
    if (from > INT64_MAX || from > to_incl)
        return pred_false(a);
    return int_range(a, F_SEQ, from ? (int64_t)from : INT64_MIN,
                     to_incl > INT64_MAX ? INT64_MAX : (int64_t)to_incl);
}

/* ---- the rest ---- */

struct pred *pred_levels(struct arena *a, uint32_t mask)
{
    struct fieldref f = canonical_ref(F_LEVEL);
    return pred_levels_in(a, &f, mask);
}

struct pred *pred_levels_in(struct arena *a, const struct fieldref *f, uint32_t mask)
{
    struct pred *p = field_leaf(a, P_LEVEL, f, COST_EXISTS);
    if (p)
        p->levels = mask & ((1u << LV__COUNT) - 1);
    return p;
}

struct pred *pred_level_min(struct arena *a, enum level min)
{
    return pred_levels(a, ~0u << min);
}

struct pred *pred_level_is(struct arena *a, enum level lv)
{
    return pred_levels(a, 1u << lv);
}

struct pred *pred_resolved(struct arena *a, bool resolved)
{
    struct fieldref f = canonical_ref(F_RESOLVED);
    struct pred *p = field_leaf(a, P_RESOLVED, &f, COST_EXISTS);
    if (p)
        p->resolved = resolved;
    return p;
}

struct pred *pred_eq(struct arena *a, enum field f, str whole_value)
{
    struct fieldref ref = canonical_ref(f);
    return pred_equal(a, &ref, whole_value, false);
}

struct pred *pred_glob(struct arena *a, enum field f, str pattern)
{
    struct fieldref ref = canonical_ref(f);
    struct pred *p = field_leaf(a, P_TEST, &ref, COST_GLOB);
    str copy = pattern.n ? arena_dup(a, pattern) : STR("");
    uint32_t n = 1;
    for (size_t i = 0; i < pattern.n; i++)
        n += pattern.p[i] == '*';
    str *part = arena_array(a, n, sizeof *part);
    if (!p || !copy.p || !part)
        return NULL;
    p->test.st = S_GLOB;
    p->test.word = "glob";
    p->test.s = copy;
    p->test.part = part;
    for (size_t i = 0, from = 0; i <= copy.n; i++) {
        if (i == copy.n || copy.p[i] == '*') {
            part[p->test.nparts++] = (str){ copy.p + from, i - from };
            from = i + 1;
        }
    }
    return value_keys(&p->test, a) ? p : NULL;
}

struct pred *pred_substr(struct arena *a, enum field f, str part, bool fold)
{
    struct fieldref ref = canonical_ref(f);
    if (!part.n) /* in every string, the empty one too */
        return pred_glob(a, f, STR("*"));
    struct pred *p = field_leaf(a, P_TEST, &ref, COST_WORDS);
    if (!p)
        return NULL;
    p->test.st = S_WORDS;
    p->test.word = fold ? "contains" : "contains_exactly";
    p->test.s = arena_dup(a, part);
    return p->test.s.p && textpat_substr(&p->test.pat, a, part, fold) ? p : NULL;
}

struct pred *pred_affix(struct arena *a, const struct fieldref *f, str part, bool start, bool end)
{
    struct pred *p = field_leaf(a, P_TEST, f, COST_GLOB);
    if (!p)
        return NULL;
    p->test.st = S_WORDS;
    p->test.word = start && end ? "equals" : start ? "begins" : "ends";
    p->test.s = arena_dup(a, part);
    return p->test.s.p && textpat_affix(&p->test.pat, a, part, start, end) ? p : NULL;
}

int pred_ip(struct pred **ret, struct arena *a, const struct fieldref *f, str range,
            struct err *err)
{
    struct pred *p = field_leaf(a, P_TEST, f, COST_GLOB);
    if (!p)
        return err_nomem(err);
    struct test *t = &p->test;
    size_t slash = str_chr(range, '/');
    str addr = slash == SIZE_MAX ? range : str_sub(range, 0, slash);
    uint64_t bits = 128;
    bool v4;
    if (!ip_parse(addr, t->ip, &v4))
        return err_set(err, ERR_INVALID, "'%.*s' is not an IP address or range", STR_FMT(range));
    bool dotted = str_chr(addr, ':') == SIZE_MAX;
    if (slash != SIZE_MAX) {
        if (!str_to_u64(str_skip(range, slash + 1), &bits) || bits > (dotted ? 32u : 128u))
            return err_set(err, ERR_INVALID, "the prefix length of '%.*s' is not 0 to %d",
                           STR_FMT(range), dotted ? 32 : 128);
        bits += dotted ? 96 : 0;
    }
    t->st = S_IP;
    t->word = "ip";
    t->ip_v4 = v4 && bits >= 96;
    t->ip_bits = (uint8_t)bits;
    t->s = arena_dup(a, range);
    *ret = p;
    return t->s.p ? 0 : err_nomem(err);
}

void pred_set_calc(struct pred *x, const struct pred_calc *c)
{
    for (uint32_t i = 0; i < x->nkids; i++)
        pred_set_calc(x->kids[i], c);
    if (x->kind == P_TEST || x->kind == P_EXISTS) {
        x->calc = c;
        x->cost = c->texts ? c->texts->cost : COST_CALC;
    }
}

int pred_regex_in(struct pred **ret, struct arena *a, const struct pred_scope *sc, str pattern,
                  str flags, struct err *err)
{
    struct pred *p = leaf(a, P_TEST, sc, COST_REGEX);
    str text = arena_dup(a, pattern);
    if (!p || (pattern.n && !text.p))
        return err_nomem(err);
    p->test.st = S_REGEX;
    p->test.word = "regex";
    p->test.s = text;
    int rc = regex_new(&p->test.re, a, pattern, flags, &p->test.pat, err);
    if (!rc)
        *ret = p;
    return rc;
}

int pred_regex(struct pred **ret, struct arena *a, enum field f, str pattern, str flags,
               struct err *err)
{
    struct fieldref *ref = arena_alloc(a, sizeof *ref);
    if (!ref)
        return err_nomem(err);
    *ref = canonical_ref(f);
    return pred_regex_in(ret, a, &(struct pred_scope){ .fields = ref, .n = 1 }, pattern, flags,
                         err);
}
