/* complete.c: from the place of the cursor to what may stand there.
 *
 * Words come from the tables of the language, columns from the pipes before as the parser sees
 * them, fields and values from the store: counted from the newest entries on until all are seen or
 * the time is up. */
#include "query/complete_int.h"

#include <stdlib.h>
#include <time.h>

#include "base/utf8.h"
#include "codec/json.h"
#include "query/agg.h"
#include "query/expr.h"
#include "query/occur.h"

#define VALUE_BYTES_MAX 120 /* longer ones are not offered */

struct completing {
    struct store *store;
    const struct complete_opts *o;
    struct arena *a;
    struct completion *c;
    struct place_at at;
    str text;   /* all of it */
    str prefix; /* what items begin with, in any case */
    uint32_t limit, cap;
    int64_t until; /* monotonic ns */
    bool nomem;
    struct buf tmp;
};

static int64_t mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- items ---- */

static bool begins(str s, str prefix)
{
    return s.n >= prefix.n && str_eq_ci(str_sub(s, 0, prefix.n), prefix);
}

static struct complete_item *put_item(struct completing *x, str text, enum complete_kind kind,
                                      str detail)
{
    struct completion *c = x->c;
    for (uint32_t i = 0; i < c->n; i++) /* a column may be called as a keyword is */
        if (c->items[i].kind == kind && str_eq(c->items[i].text, text))
            return NULL;
    if (c->n == x->limit) {
        c->more = true;
        return NULL;
    }
    if (c->n == x->cap) {
        uint32_t cap = x->cap ? x->cap * 2 : 32;
        struct complete_item *more = arena_grow(x->a, c->items, c->n, cap, sizeof *more);
        x->nomem |= !more;
        if (!more)
            return NULL;
        c->items = more;
        x->cap = cap;
    }
    text = arena_dup(x->a, text);
    x->nomem |= !text.p;
    c->items[c->n] = (struct complete_item){ .text = text, .kind = kind, .detail = detail };
    return text.p ? &c->items[c->n++] : NULL;
}

static void put_word(struct completing *x, str word, enum complete_kind kind, const char *detail)
{
    if (begins(word, x->prefix))
        put_item(x, word, kind, str_c(detail));
}

static char after(const struct completing *x)
{
    return x->c->to < x->text.n ? x->text.p[x->c->to] : 0;
}

/* `name(`, without the parenthesis when it stands there */
static void put_call(struct completing *x, const char *name, const char *syntax, const char *help)
{
    if (!begins(str_c(name), x->prefix))
        return;
    char *text = arena_printf(x->a, "%s%s", name, after(x) == '(' ? "" : "(");
    char *detail = arena_printf(x->a, "%s: %s", syntax ? syntax : name, help ? help : "");
    x->nomem |= !text || !detail;
    if (text && detail)
        put_item(x, str_c(text), CK_FUNCTION, str_c(detail));
}

/* ---- fields ---- */

static bool plain_name(str s)
{
    struct parser p = { .text = s };
    size_t n;
    return lex_is_name(&p, 0, &n) && n == s.n;
}

/* The name of a column key as it is written, behind what was typed: false when nothing can be
 * written for it. */
static bool written_name(struct completing *x, str key, struct buf *out)
{
    bool attribute = key.n && key.p[0] == PATH_SEP;
    enum field f = field_by_key(key);
    if ((f != F_NONE && field_table[f].flags & FF_INTERNAL) || (x->at.backtick && !attribute))
        return false;
    buf_reset(out);
    field_put_query(out, key, false);
    if (x->at.backtick && !begins(buf_str(out), x->at.typed)) {
        buf_reset(out);
        field_put_query(out, key, true);
    }
    return buf_ok(out) && out->n && utf8_invalid_at(buf_str(out)) == SIZE_MAX;
}

static const char *types_text(str key, uint32_t types)
{
    enum field f = field_by_key(key);
    if (f == F_LEVEL)
        return "level";
    if (f != F_NONE && field_table[f].flags & FF_TIME)
        return "time";
    types &= ~(1u << V_NULL);
    if (!types)
        return "null";
    if (!(types & ~(1u << V_I64 | 1u << V_F64 | 1u << V_NUM)))
        return "number";
    if (types == 1u << V_STR)
        return "text";
    if (types == 1u << V_BOOL)
        return "true or false";
    return types == 1u << V_JSON ? "array or object" : "of several types";
}

/* shown: the name without backticks and escapes */
static void put_field(struct completing *x, str name, str shown, enum complete_kind kind,
                      const char *detail, bool has_count, uint64_t count)
{
    if (!begins(shown, x->prefix) && !begins(name, x->at.typed))
        return;
    bool colon = x->at.want & WANT_TESTS && !strchr(":=<>!", after(x) ? after(x) : ' ');
    char *text = arena_printf(x->a, "%.*s%s", STR_FMT(name), colon ? ":" : "");
    x->nomem |= !text;
    struct complete_item *it = text ? put_item(x, str_c(text), kind, str_c(detail)) : NULL;
    if (it) {
        it->has_count = has_count;
        it->count = count;
    }
}

/* 0 a block, 1 the end or no time left, < 0 */
static int next_block(struct completing *x, struct scan *sc, struct scan_block *sb, struct err *err)
{
    if (mono() > x->until) {
        x->c->partial = true;
        return 1;
    }
    int rc = scan_next(sc, sb, err);
    if (rc == ERR_CANCELED && !(x->o->cancel && *x->o->cancel))
        rc = 1;
    return rc;
}

static int open_scan(struct completing *x, struct scan **ret, struct err *err)
{
    const struct query_opts *q = &x->o->q;
    struct pred *p = pred_time(x->a, q->start, q->end);
    if (p && q->also)
        p = pred_and(x->a, p, (struct pred *)(uintptr_t)q->also); /* only read */
    if (!p)
        return err_nomem(err);
    struct scan_plan plan = {
        .filter = p, .order = SCAN_NEWEST, .marks = true, .cancel = x->o->cancel
    };
    return store_scan(x->store, &plan, ret, err);
}

static int count_fields(struct completing *x, struct field_stat **ret, uint32_t *ret_n,
                        struct err *err)
{
    const struct query_opts *q = &x->o->q;
    if (!q->also && q->start == TS_MIN && q->end == TS_MAX)
        return store_fields(x->store, x->a, UINT32_MAX, ret, ret_n, err);
    struct field_tally t;
    struct scan *sc;
    struct scan_block sb;
    int rc = open_scan(x, &sc, err);
    if (rc < 0)
        return rc;
    field_tally_init(&t, x->a);
    while ((rc = next_block(x, sc, &sb, err)) == 0)
        if ((rc = field_tally_add(&t, &sb, err)) < 0)
            break;
    scan_close(sc);
    field_tally_end(&t);
    *ret = t.f;
    *ret_n = t.n;
    return rc < 0 ? rc : 0;
}

static int by_entries(const void *a, const void *b)
{
    const struct field_stat *x = a, *y = b;
    if (x->entries != y->entries)
        return x->entries < y->entries ? 1 : -1;
    return str_cmp(x->key, y->key);
}

/* The columns at the cursor, as the parser sees them: 1 when there is a table, *ret its schema; 0
 * when there are entries, or nobody knows. The query lives in *ret_q. */
static int columns(struct completing *x, struct query **ret_q, const struct schema **ret)
{
    struct query_opts o = x->o->q;
    struct err err = ERR_INIT;
    *ret_q = NULL;
    if (!x->at.piped)
        return 0;
    str before = str_sub(x->text, x->at.query_from, x->at.pipe_at - x->at.query_from);
    o.also = NULL;
    if (query_parse(ret_q, before, &o, &err) < 0) {
        *ret_q = NULL;
        return 0;
    }
    const struct schema *s = NULL;
    for (const struct pipe *p = (*ret_q)->pipes; p; p = p->next)
        s = p->out;
    *ret = s;
    return s ? 1 : 0;
}

static void put_column(struct completing *x, str name)
{
    buf_reset(&x->tmp);
    struct fieldref f;
    if (!x->at.backtick && plain_name(name))
        buf_putstr(&x->tmp, name);
    else if (fieldref_make(x->a, name, true, &f))
        field_put_query(&x->tmp, f.key, true);
    put_field(x, buf_str(&x->tmp), name, CK_COLUMN, "made by a pipe", false, 0);
}

static void put_fields(struct completing *x, const struct field_stat *f, uint32_t n)
{
    struct buf shown;
    buf_init(&shown, (size_t)1 << 20);
    for (uint32_t i = 0; i < n; i++) {
        str name;
        if (!written_name(x, f[i].key, &x->tmp))
            continue;
        name = buf_str(&x->tmp);
        buf_reset(&shown);
        field_put_name(&shown, f[i].key);
        /* attributes.agent is offered to who begins to write that, not to who wants agent */
        put_field(x, name, str_starts(name, STR("attributes.")) ? name : buf_str(&shown), CK_FIELD,
                  types_text(f[i].key, f[i].types), true, f[i].entries);
    }
    buf_deinit(&shown);
}

static int offer_fields(struct completing *x, struct err *err)
{
    struct query *q;
    const struct schema *s;
    struct field_stat *f = NULL;
    uint32_t n = 0;
    bool table = columns(x, &q, &s) == 1;
    for (uint32_t i = 0; table && i < s->n; i++)
        put_column(x, s->cols[i].name);
    query_free(q);
    if (table)
        return 0;
    for (uint32_t i = 0; i < x->at.nnames; i++)
        put_column(x, x->at.names[i]);
    if (!x->store)
        return 0;
    int rc = count_fields(x, &f, &n, err);
    if (rc < 0)
        return rc;
    /* the same name with several types is one field */
    if (n)
        qsort(f, n, sizeof *f, by_entries);
    put_fields(x, f, n);
    if (x->at.want & WANT_TESTS) { /* what every entry can be asked for */
        static const char *const words[] = { "after", "before", "on" };
        for (size_t i = 0; i < 3; i++)
            put_field(x, str_c(words[i]), str_c(words[i]), CK_KEYWORD, "a time", false, 0);
        put_field(x, STR("resolved"), STR("resolved"), CK_FIELD, "true or false", false, 0);
        put_field(x, STR("in"), STR("in"), CK_KEYWORD, "the fields that words are looked for in",
                  false, 0);
    }
    return 0;
}

/* ---- values ---- */

/* the value as it is written where it stands */
static void write_value(struct completing *x, str v, bool quote)
{
    bool plain = v.n > 0 && !quote && !x->at.backtick;
    for (size_t i = 0; i < v.n && plain; i++) {
        unsigned char c = (unsigned char)v.p[i];
        plain = c >= 0x80 || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                (c >= 'A' && c <= 'Z') || (i && strchr(".-@:/+", c));
    }
    plain &= !str_eq(v, STR("AND")) && !str_eq(v, STR("OR")) && !str_eq(v, STR("NOT")) &&
             !str_eq(v, STR("TO"));
    buf_reset(&x->tmp);
    if (plain) {
        buf_putstr(&x->tmp, v);
        return;
    }
    buf_putc(&x->tmp, '"');
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (c == '"' || c == '\\')
            buf_printf(&x->tmp, "\\%c", c);
        else if (c == '\n' || c == '\t')
            buf_puts(&x->tmp, c == '\n' ? "\\n" : "\\t");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(&x->tmp, "\\u%04x", c);
        else
            buf_putc(&x->tmp, (char)c);
    }
    buf_putc(&x->tmp, '"');
}

static int count_values(struct completing *x, const struct fieldref *f, struct value_tally *t,
                        struct err *err)
{
    struct scan *sc;
    struct scan_block sb;
    struct err full = ERR_INIT;
    int rc = open_scan(x, &sc, err);
    if (rc < 0)
        return rc;
    value_tally_init(t, x->a, f);
    t->elements = true;
    json_put_escaped(&x->tmp, x->prefix);
    t->prefix = arena_dup(x->a, buf_str(&x->tmp));
    while ((rc = next_block(x, sc, &sb, err)) == 0)
        if (value_tally_add(t, &sb, &full) < 0) {
            x->c->partial = true; /* what fits is counted */
            break;
        }
    scan_close(sc);
    value_tally_end(t);
    return rc < 0 ? rc : 0;
}

static void offer_levels(struct completing *x)
{
    static const char *const about[LV__COUNT] = { "finest detail",    "for developers",
                                                  "what happens",     "worth a look",
                                                  "something failed", "needs somebody now" };
    for (int i = LV__COUNT; i-- > 0;)
        put_word(x, level_names[i], CK_VALUE, about[i]);
}

static int offer_values(struct completing *x, struct err *err)
{
    struct fieldref f;
    struct value_tally *t;
    struct err bad = ERR_INIT;
    int rc = query_name(x->a, x->at.field, &f, &bad);
    if (rc)
        return rc == ERR_INVALID ? 0 : err_nomem(err);
    if (f.field == F_RESOLVED) {
        put_word(x, STR("true"), CK_VALUE, "");
        put_word(x, STR("false"), CK_VALUE, "");
        return 0;
    }
    uint32_t flags = f.field == F_NONE ? 0 : field_table[f.field].flags;
    bool prose = f.field == F_MESSAGE || f.field == F_INPUT || f.field == F_OUTPUT;
    if (!x->store || prose || flags & (FF_INTERNAL | FF_TIME) || f.field == F_LEVEL) {
        if (f.field == F_LEVEL)
            offer_levels(x);
        return 0;
    }
    if (!(t = arena_zalloc(x->a, sizeof *t)))
        return err_nomem(err);
    buf_reset(&x->tmp);
    rc = count_values(x, &f, t, err);
    for (uint32_t i = 0; i < t->n && rc == 0; i++) {
        str json = t->v[i].json, v = json;
        bool quoted = json.n > 1 && json.p[0] == '"';
        if (json.n > VALUE_BYTES_MAX || str_eq(json, STR("null")) ||
            (json.n && (json.p[0] == '[' || json.p[0] == '{')))
            continue;
        if (quoted) {
            struct json_tok tok = { .type = JSON_STR, .raw = str_sub(json, 1, json.n - 2) };
            tok.escaped = str_chr(tok.raw, '\\') != SIZE_MAX;
            v = json_unescape(&tok, x->a);
            if (!v.p)
                return err_nomem(err);
        }
        buf_reset(&x->tmp);
        if (quoted)
            write_value(x, v, x->at.ordered || (x->at.typed.n && x->at.typed.p[0] == '"'));
        else
            buf_putstr(&x->tmp, v);
        struct complete_item *it = put_item(x, buf_str(&x->tmp), CK_VALUE, STR(""));
        if (it) {
            it->has_count = true;
            it->count = t->v[i].n;
        }
    }
    return rc;
}

/* ---- times and units ---- */

/* digits, maybe with a fraction: what a unit may follow */
static bool number_typed(str s)
{
    double d;
    return s.n && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9' && s.p[0] >= '0' && s.p[0] <= '9' &&
           str_to_f64(s, &d);
}

static void put_units(struct completing *x, str number, const char *const *units, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *text = arena_printf(x->a, "%.*s%s", STR_FMT(number), units[i]);
        x->nomem |= !text;
        if (text)
            put_item(x, str_c(text), CK_UNIT, STR(""));
    }
}

static void offer_times(struct completing *x)
{
    static const struct {
        const char *text, *help;
    } times[] = { { "now-15m", "a quarter of an hour ago" },
                  { "now-1h", "an hour ago" },
                  { "now-24h", "a day ago" },
                  { "now-7d", "a week ago" },
                  { "now", "this moment" },
                  { "today", "from midnight on" },
                  { "yesterday", "the day before" } };
    static const char *const units[] = { "m", "h", "d", "s", "w" };
    uint32_t before = x->c->n;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put_word(x, str_c(times[i].text), CK_TIME, times[i].help);
    size_t sign = str_find(x->prefix, STR("-"));
    if (x->c->n == before && sign != SIZE_MAX && number_typed(str_skip(x->prefix, sign + 1)) &&
        (str_starts(x->prefix, STR("now-")) || str_starts(x->prefix, STR("today-"))))
        put_units(x, x->prefix, units, 5);
}

static void offer_steps(struct completing *x)
{
    static const char *const steps[] = { "1m", "5m", "15m", "1h", "1d", "1w" };
    static const char *const units[] = { "s", "m", "h", "d", "w" };
    if (number_typed(x->prefix)) {
        put_units(x, x->prefix, units, 5);
        return;
    }
    for (size_t i = 0; i < 6; i++)
        put_word(x, str_c(steps[i]), CK_TIME, "a span of time");
}

static void offer_units(struct completing *x)
{
    static const char *const spans[] = { "ms", "s", "m", "h", "d" };
    static const char *const sizes[] = { "KiB", "MiB", "GiB", "KB", "MB", "GB" };
    static const char *const ends[] = { "_ns",  "_us",    "_ms",      "_s", "_sec", "_secs",
                                        "_min", "_hours", "_seconds", "_h", "_d",   "_days" };
    str f = x->at.field;
    if (!number_typed(x->prefix))
        return;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (str_ends(f, str_c(ends[i]))) {
            put_units(x, x->prefix, spans, 5);
            return;
        }
    if (str_find(f, STR("bytes")) != SIZE_MAX || str_find(f, STR("size")) != SIZE_MAX ||
        str_find(f, STR("length")) != SIZE_MAX)
        put_units(x, x->prefix, sizes, 6);
}

static bool is_time_field(struct completing *x)
{
    struct fieldref f;
    struct err err = ERR_INIT;
    if (!x->at.field.n)
        return false;
    if (str_eq(x->at.field, STR("after")) || str_eq(x->at.field, STR("before")) ||
        str_eq(x->at.field, STR("on")))
        return true;
    return query_name(x->a, x->at.field, &f, &err) == 0 && f.field != F_NONE &&
           field_table[f.field].flags & FF_TIME;
}

/* ---- all together ---- */

static const char *about_word(str w)
{
    static const struct {
        const char *word, *help;
    } words[] = { { "AND", "both" },
                  { "OR", "one of them" },
                  { "NOT", "everything else" },
                  { "TO", "up to" },
                  { "in (", "one of a list" },
                  { "any", "every text of an entry" },
                  { "by", "which fields" },
                  { "as", "under another name" },
                  { "if", "only rows that pass a filter" },
                  { "desc", "the greatest first" },
                  { "asc", "the least first" },
                  { "from", "where it comes from" },
                  { "on", "the fields that are equal" } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(w, str_c(words[i].word)))
            return words[i].help;
    return "";
}

static int offer_all(struct completing *x, struct err *err)
{
    unsigned want = x->at.want;
    int rc = 0;
    /* what a pipe's syntax asks for by name comes before names; in a filter it is the other way */
    bool tests = want & WANT_TESTS;
    for (uint32_t i = 0; i < x->at.nwords && !tests; i++)
        put_word(x, x->at.words[i], CK_KEYWORD, about_word(x->at.words[i]));
    for (uint32_t i = 0; i < pipe_count_all && want & WANT_PIPES; i++)
        put_word(x, str_c(pipe_table[i]->name), CK_PIPE, pipe_table[i]->help);
    for (uint32_t i = 0; i < agg_count && want & WANT_STATS; i++)
        put_call(x, agg_table[i].name, agg_table[i].syntax, agg_table[i].help);
    for (uint32_t i = 0; i < 4 && want & WANT_STATS; i++) {
        static const struct {
            const char *name, *syntax;
        } short_ones[] = { { "p50", "p50(FIELD)" },
                           { "p90", "p90(FIELD)" },
                           { "p95", "p95(FIELD)" },
                           { "p99", "p99(FIELD)" } };
        put_call(x, short_ones[i].name, short_ones[i].syntax, "a percentile");
    }
    if (want & WANT_TIMES && is_time_field(x))
        offer_times(x);
    else if (want & WANT_VALUES)
        rc = offer_values(x, err);
    if (want & WANT_UNITS)
        offer_units(x);
    if (want & WANT_STEPS)
        offer_steps(x);
    if (rc == 0 && want & (WANT_FIELDS | WANT_TESTS))
        rc = offer_fields(x, err);
    if (want & WANT_GROUPS && !x->at.backtick) {
        put_call(x, "time", "time(STEP)", "spans of time");
        put_call(x, "bucket", "bucket(FIELD, N)", "spans of numbers, N wide");
    }
    for (uint32_t i = 0; i < expr_nfunctions && want & WANT_EXPRS && !x->at.backtick; i++)
        put_call(x, expr_functions[i].name, expr_functions[i].syntax, expr_functions[i].help);
    for (uint32_t i = 0; i < x->at.nwords && tests; i++)
        put_word(x, x->at.words[i], CK_KEYWORD, about_word(x->at.words[i]));
    return rc < 0 ? rc : x->nomem ? err_nomem(err) : 0;
}

/* What was typed of a value, without quotes and escapes; false when it is none (a wildcard). */
static bool typed_value(struct completing *x)
{
    struct parser *p = arena_zalloc(x->a, sizeof *p);
    struct err ignored = ERR_INIT;
    struct pred_value v;
    str t = x->at.typed;
    x->nomem |= !p;
    if (!p)
        return false;
    bool open = t.n && t.p[0] == '"';
    char *z = arena_printf(x->a, "%.*s%s", STR_FMT(t), open ? "\"" : "");
    if (!z) {
        x->nomem = true;
        return false;
    }
    p->text = str_c(z);
    p->a = x->a;
    p->err = &ignored;
    if (lex_value(p, x->at.stops, &v) != 0 || p->pos != p->text.n || v.nparts != 1)
        return false;
    x->prefix = v.part[0];
    return true;
}

/* how far what stands there goes on behind the cursor */
static size_t end_of_word(const struct completing *x, size_t cursor)
{
    struct parser p = { .text = x->text };
    size_t i = cursor, n;
    bool value = x->at.want & (WANT_VALUES | WANT_TIMES | WANT_UNITS) && !(x->at.want & WANT_TESTS);
    bool quote = x->at.backtick || (x->at.typed.n && x->at.typed.p[0] == '"');
    if (quote) { /* up to its end, when that is near */
        char q = x->at.backtick ? '`' : '"';
        while (i < x->text.n && !lex_end_of_term(&p, i) && x->text.p[i] != q)
            i++;
        return i < x->text.n && x->text.p[i] == q ? i + 1 : cursor;
    }
    if (!x->at.typed.n)
        return cursor;
    if (!value) {
        /* a digit or dot may go on a name that began before the cursor */
        n = 0;
        while (i < x->text.n && lex_is_name(&p, x->at.from, &n) && x->at.from + n > i)
            i = x->at.from + n;
        return i;
    }
    while (i < x->text.n && !lex_end_of_term(&p, i) && !strchr("\",]}", x->text.p[i]))
        i++;
    return i;
}

int query_complete(struct store *s, str text, const struct complete_opts *o, struct arena *a,
                   struct completion *ret, struct err *err)
{
    struct completing x = { .store = s, .o = o, .a = a, .c = ret, .text = text };
    size_t cursor = o->cursor < text.n ? o->cursor : text.n;
    while (cursor > 0 && cursor < text.n && ((unsigned char)text.p[cursor] & 0xc0) == 0x80)
        cursor--;
    *ret = (struct completion){ .from = cursor, .to = cursor };
    if (text.n > QUERY_TEXT_MAX || str_chr(text, 0) != SIZE_MAX ||
        utf8_invalid_at(text) != SIZE_MAX)
        return 0;
    place_find(str_sub(text, 0, cursor), &x.at);
    if (!x.at.want && !x.at.nwords)
        return 0;
    x.limit = o->limit ? o->limit : COMPLETE_LIMIT_DEFAULT;
    x.until = mono() + (o->deadline_ms ? o->deadline_ms : COMPLETE_DEADLINE_MS) * NS_PER_MS;
    ret->from = x.at.from;
    ret->to = end_of_word(&x, cursor);
    x.prefix = x.at.typed;
    if (x.at.backtick && x.prefix.p[0] == '`')
        x.prefix = str_skip(x.prefix, 1);
    bool value = x.at.want & (WANT_VALUES | WANT_TIMES | WANT_UNITS) && !(x.at.want & WANT_TESTS);
    if (value && !typed_value(&x))
        return x.nomem ? err_nomem(err) : 0;
    buf_init(&x.tmp, (size_t)1 << 20);
    int rc = offer_all(&x, err);
    buf_deinit(&x.tmp);
    return rc;
}

const char *complete_kind_name(enum complete_kind k)
{
    static const char *const names[] = { "field",    "column",  "value", "pipe",
                                         "function", "keyword", "time",  "unit" };
    return names[k];
}

void completion_json(struct buf *out, const struct completion *c)
{
    buf_printf(out, "{\"from\":%zu,\"to\":%zu,\"items\":[", c->from, c->to);
    for (uint32_t i = 0; i < c->n; i++) {
        const struct complete_item *it = &c->items[i];
        buf_puts(out, i ? ",\n{\"text\":" : "{\"text\":");
        json_put_str(out, it->text);
        buf_printf(out, ",\"kind\":\"%s\",\"detail\":", complete_kind_name(it->kind));
        json_put_str(out, it->detail);
        if (it->has_count)
            buf_printf(out, ",\"count\":%llu", (unsigned long long)it->count);
        buf_putc(out, '}');
    }
    buf_printf(out, "],\"more\":%s,\"partial\":%s}\n", c->more ? "true" : "false",
               c->partial ? "true" : "false");
}

bool query_unfinished(str text)
{
    struct place_at at;
    place_find(text, &at);
    return at.unclosed;
}

bool query_word(uint32_t i, struct query_word *ret)
{
    if (i < pipe_count_all) {
        const struct pipe_def *p = pipe_table[i];
        *ret = (struct query_word){ "pipe", p->name, p->syntax, p->help };
        return true;
    }
    i -= pipe_count_all;
    if (i < agg_count) {
        const struct agg_fn *f = &agg_table[i];
        *ret = (struct query_word){ "stats", f->name, f->syntax, f->help };
        return true;
    }
    i -= agg_count;
    if (i >= expr_nfunctions)
        return false;
    const struct expr_fn *f = &expr_functions[i];
    *ret = (struct query_word){ "eval", f->name, f->syntax, f->help };
    return true;
}
