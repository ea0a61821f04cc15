/* pred_put.c: a tree as text for explain and for tests: "(level>=warn AND message:word(refused))".
 */
#include <inttypes.h>
#include <math.h>

#include "codec/json.h"
#include "model/pred_int.h"

static void put_fields(struct buf *b, const struct pred_scope *sc)
{
    if (sc->any) {
        buf_puts(b, "any");
        return;
    }
    for (uint32_t i = 0; i < sc->n; i++) {
        if (i)
            buf_putc(b, ',');
        if (sc->fields[i].exact)
            field_put_query(b, sc->fields[i].key, true);
        else
            field_put_name(b, sc->fields[i].key);
    }
}

static void put_subject(struct buf *b, const struct pred *p)
{
    if (p->calc)
        buf_putstr(b, p->calc->text);
    else
        put_fields(b, &p->scope);
}

static void put_bound(struct buf *b, const struct pred *p, const struct pred_bound *x)
{
    enum field f = p->scope.n ? p->scope.fields[0].field : F_NONE;
    if (x->open) {
        buf_putc(b, '*');
    } else if (x->text) {
        json_put_str(b, x->s);
    } else if (x->integral && f != F_NONE && (field_table[f].flags & FF_TIME)) {
        char t[TS_TEXT_MAX];
        buf_put(b, t, ts_format(x->i, -1, t));
    } else if (x->integral) {
        buf_put_i64(b, x->i);
    } else if (isfinite(x->d)) {
        json_put_f64(b, x->d);
    } else {
        buf_puts(b, x->d > 0 ? "inf" : "-inf");
    }
}

static void put_test(struct buf *b, const struct pred *p)
{
    const struct test *t = &p->test;
    put_subject(b, p);
    if (t->slo.open && t->shi.open && t->word) {
        buf_printf(b, ":%s(%.*s)", t->word, STR_FMT(t->s));
    } else if (t->slo.open) {
        buf_puts(b, t->shi.inclusive ? "<=" : "<");
        put_bound(b, p, &t->shi);
    } else if (t->shi.open) {
        buf_puts(b, t->slo.inclusive ? ">=" : ">");
        put_bound(b, p, &t->slo);
    } else {
        buf_puts(b, t->slo.inclusive ? ":[" : ":{");
        put_bound(b, p, &t->slo);
        buf_puts(b, " TO ");
        put_bound(b, p, &t->shi);
        buf_putc(b, t->shi.inclusive ? ']' : '}');
    }
}

static void put_levels(struct buf *b, uint32_t mask)
{
    uint32_t all = (1u << LV__COUNT) - 1;
    uint32_t low = mask ? (uint32_t)__builtin_ctz(mask) : 0;
    if (mask && (mask & (mask - 1)) && mask == (all & ~((1u << low) - 1))) {
        buf_printf(b, "level>=%.*s", STR_FMT(level_names[low]));
        return;
    }
    buf_puts(b, "level=");
    const char *sep = "";
    for (uint32_t lv = 0; lv < LV__COUNT; lv++) {
        if (mask >> lv & 1) {
            buf_puts(b, sep);
            buf_putstr(b, level_names[lv]);
            sep = "|";
        }
    }
    if (!mask)
        buf_puts(b, "none");
}

void pred_put_text(struct buf *b, const struct pred *p)
{
    switch (p->kind) {
    case P_TRUE: buf_puts(b, "true"); break;
    case P_FALSE: buf_puts(b, "false"); break;
    case P_AND:
    case P_OR:
        buf_putc(b, '(');
        for (uint32_t i = 0; i < p->nkids; i++) {
            if (i)
                buf_puts(b, p->kind == P_AND ? " AND " : " OR ");
            pred_put_text(b, p->kids[i]);
        }
        buf_putc(b, ')');
        break;
    case P_NOT:
        buf_puts(b, "NOT ");
        pred_put_text(b, p->kids[0]);
        break;
    case P_EXISTS:
        put_subject(b, p);
        buf_puts(b, ":*");
        break;
    case P_LEVEL: put_levels(b, p->levels); break;
    case P_RESOLVED: buf_puts(b, p->resolved ? "resolved:true" : "resolved:false"); break;
    case P_TEST: put_test(b, p); break;
    }
}

/* ---- leaves and the statistics they can use ---- */

static void put_index(struct buf *b, bool *first, const char *name)
{
    if (!*first)
        buf_putc(b, ',');
    buf_printf(b, "\"%s\"", name);
    *first = false;
}

static void put_indexes(struct buf *b, const struct pred *p)
{
    const struct test *t = &p->test;
    bool first = true;
    if (p->calc)
        return;
    if (p->kind == P_LEVEL)
        put_index(b, &first, "levels");
    if (p->kind == P_EXISTS && !p->scope.any)
        put_index(b, &first, "columns");
    if (p->kind != P_TEST || p->scope.any)
        return;
    put_index(b, &first, "columns");
    enum field f = p->scope.n == 1 ? p->scope.fields[0].field : F_NONE;
    if (f == F_TIMESTAMP)
        put_index(b, &first, "time bounds");
    else if (f == F_SEQ)
        put_index(b, &first, "sequence bounds");
    else if (t->num)
        put_index(b, &first, "minimum and maximum");
    if (t->st == S_EQ || t->st == S_IN || t->st == S_BYTES || (t->st == S_GLOB && t->part[0].n))
        put_index(b, &first, "text bounds");
    if (t->st == S_EQ || t->st == S_IN)
        put_index(b, &first, "value filter");
    if (t->pat.ntokens)
        put_index(b, &first, "token filter");
    if (t->pat.keys.ngrams)
        put_index(b, &first, "trigram signatures");
    if (t->pat.keys.ntokens)
        put_index(b, &first, "id tokens");
    if (t->pat.keys.whole || t->pat.keys.ntokens)
        put_index(b, &first, "value map");
}

static void put_leaves(struct buf *b, const struct pred *p, bool *first)
{
    for (uint32_t i = 0; i < p->nkids; i++)
        put_leaves(b, p->kids[i], first);
    if (p->calc && p->calc->texts) {
        put_leaves(b, p->calc->texts, first);
        return;
    }
    if (p->nkids || p->kind == P_TRUE || p->kind == P_FALSE)
        return;
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    pred_put_text(&text, p);
    buf_puts(b, *first ? "{\"test\":" : ",{\"test\":");
    json_put_str(b, buf_str(&text));
    buf_puts(b, ",\"indexes\":[");
    put_indexes(b, p);
    buf_puts(b, "]}");
    if (!buf_ok(&text))
        b->bad = BUF_NOMEM;
    buf_deinit(&text);
    *first = false;
}

void pred_put_tests(struct buf *b, const struct pred *p)
{
    bool first = true;
    buf_putc(b, '[');
    put_leaves(b, p, &first);
    buf_putc(b, ']');
}
