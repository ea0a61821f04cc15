/* price.c: reading the price table, and asking it. The file's form stands in price.h. */
#include "model/price.h"

#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

struct rule {
    str model;
    size_t literal; /* bytes of it that are no '*' */
    ts_ns from;
    struct price price;
};

struct prices {
    atomic_uint refs;
    struct arena arena;
    struct rule *rules;
    uint32_t n, cap;
};

/* ---- reading ---- */

struct line {
    str text; /* of the whole file */
    size_t at, end;
    unsigned number;
    struct err *err;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* the next column; false at the end of the line or at a comment */
static bool column(struct line *l, str *ret, size_t *ret_pos)
{
    while (l->at < l->end && blank(l->text.p[l->at]))
        l->at++;
    if (l->at == l->end || l->text.p[l->at] == '#')
        return false;
    *ret_pos = l->at;
    while (l->at < l->end && !blank(l->text.p[l->at]))
        l->at++;
    *ret = str_sub(l->text, *ret_pos, l->at - *ret_pos);
    return true;
}

static int bad(const struct line *l, size_t pos, const char *what, str s, const char *hint)
{
    err_at(l->err, ERR_INVALID, (int64_t)pos, "line %u: %s%s%.*s%s", l->number, what,
           s.n ? " '" : "", STR_FMT(str_sub(s, 0, 80)), s.n ? "'" : "");
    err_hint(l->err, "%s", hint);
    err_slug(l->err, "bad_prices");
    return ERR_INVALID;
}

static int read_price(struct line *l, str s, size_t pos, double *ret)
{
    if (!str_to_f64(s, ret))
        return bad(l, pos, "a price must be a number or '-', not", s,
                   "columns: model from input cache_read cache_write output [reasoning]");
    if (*ret < 0 || *ret > PRICE_USD_MAX)
        return bad(l, pos, "a price is between 0 and 1,000,000 dollars, not", s,
                   "prices are US dollars for a million tokens");
    return 0;
}

/* '-' of a kind is another kind's price; -1: it needs its own */
static const int8_t instead[TK__COUNT] = { -1, TK_INPUT, TK_INPUT, -1, TK_OUTPUT };
static const char *const kinds[TK__COUNT] = { "input", "cache_read", "cache_write", "output",
                                              "reasoning" };

static int read_prices(struct line *l, struct price *ret)
{
    str s;
    size_t pos;
    for (int k = 0; k < TK__COUNT; k++) {
        if (!column(l, &s, &pos)) {
            if (k == TK_REASONING) {
                ret->usd[k] = ret->usd[TK_OUTPUT];
                return 0;
            }
            return bad(l, l->at, "the line ends before the price of", str_c(kinds[k]),
                       "columns: model from input cache_read cache_write output [reasoning]");
        }
        if (!str_eq(s, STR("-"))) {
            int rc = read_price(l, s, pos, &ret->usd[k]);
            if (rc)
                return rc;
        } else if (instead[k] < 0) {
            return bad(l, pos, "'-' cannot stand for the price of", str_c(kinds[k]),
                       "write 0 for what costs nothing");
        } else {
            ret->usd[k] = ret->usd[instead[k]];
        }
    }
    if (column(l, &s, &pos))
        return bad(l, pos, "more columns than there are prices, at", s,
                   "columns: model from input cache_read cache_write output [reasoning]");
    return 0;
}

static int read_rule(struct line *l, str model, size_t pos, struct rule *r)
{
    str from;
    size_t from_pos;
    if (model.n > PRICE_MODEL_MAX)
        return bad(l, pos, "a model is longer than 256 bytes:", model, "shorten it with a '*'");
    r->model = model;
    r->literal = 0;
    for (size_t i = 0; i < model.n; i++) {
        if ((unsigned char)model.p[i] < 0x20 || model.p[i] == 0x7f)
            return bad(l, pos + i, "a model holds a control character", STR_NULL,
                       "the file must be plain text");
        r->literal += model.p[i] != '*';
    }
    if (!column(l, &from, &from_pos))
        return bad(l, l->at, "there is no date behind the model", model,
                   "since when the price holds, as 2026-01-31, or '-' for always");
    r->from = TS_MIN;
    if (!str_eq(from, STR("-")) && !ts_parse_day(from, &r->from))
        return bad(l, from_pos, "not a date:", from, "write 2026-01-31, or '-' for always");
    return read_prices(l, &r->price);
}

static int add_rule(struct prices *p, const struct line *l, const struct rule *r)
{
    if (p->n == PRICE_RULES_MAX) {
        err_at(l->err, ERR_LIMIT, (int64_t)l->at, "line %u: more than %d prices", l->number,
               PRICE_RULES_MAX);
        err_slug(l->err, "bad_prices");
        err_hint(l->err, "one line with a '*' can stand for many models");
        return ERR_LIMIT;
    }
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 32;
        struct rule *more = arena_grow(&p->arena, p->rules, p->n, cap, sizeof *more);
        if (!more)
            return err_nomem(l->err);
        p->rules = more;
        p->cap = cap;
    }
    struct rule *own = &p->rules[p->n];
    *own = *r;
    own->model = arena_dup(&p->arena, r->model);
    if (!own->model.p)
        return err_nomem(l->err);
    p->n++;
    return 0;
}

static int read_all(struct prices *p, str text, struct err *err)
{
    struct line l = { .text = text, .err = err };
    for (size_t next; l.at < text.n; l.at = next) {
        size_t len = str_chr(str_skip(text, l.at), '\n');
        struct rule r;
        str model;
        size_t pos;
        l.end = len == SIZE_MAX ? text.n : l.at + len;
        next = l.end + (l.end < text.n);
        l.number++;
        if (!column(&l, &model, &pos))
            continue;
        int rc = read_rule(&l, model, pos, &r);
        if (!rc)
            rc = add_rule(p, &l, &r);
        if (rc)
            return rc;
    }
    return 0;
}

int prices_parse(struct prices **ret, str text, struct err *err)
{
    if (text.n > PRICE_FILE_MAX) {
        err_set(err, ERR_LIMIT, "a price table is larger than %zu KiB", PRICE_FILE_MAX >> 10);
        err_hint(err, "one line with a '*' can stand for many models");
        err_slug(err, "bad_prices");
        return ERR_LIMIT;
    }
    struct prices *p = mem_zalloc(sizeof *p);
    if (!p)
        return err_nomem(err);
    atomic_init(&p->refs, 1);
    arena_init(&p->arena, (size_t)8 << 20);
    int rc = read_all(p, text, err);
    if (rc) {
        prices_unref(p);
        return rc;
    }
    *ret = p;
    return 0;
}

struct prices *prices_ref(const struct prices *p)
{
    struct prices *own = (struct prices *)(uintptr_t)p;
    if (own)
        atomic_fetch_add(&own->refs, 1);
    return own;
}

void prices_unref(struct prices *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    arena_deinit(&p->arena);
    mem_free(p);
}

uint32_t prices_count(const struct prices *p)
{
    return p ? p->n : 0;
}

/* ---- asking ---- */

/* '*' stands for any bytes; linear but for the last star, so no pattern is slow */
static bool fits(str glob, str s)
{
    size_t g = 0, i = 0, star = SIZE_MAX, from = 0;
    while (i < s.n) {
        if (g < glob.n && glob.p[g] == '*') {
            star = g++;
            from = i;
        } else if (g < glob.n && glob.p[g] == s.p[i]) {
            g++;
            i++;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (g < glob.n && glob.p[g] == '*')
        g++;
    return g == glob.n;
}

const struct price *prices_find(const struct prices *p, str model, ts_ns at)
{
    const struct rule *best = NULL;
    for (uint32_t i = 0; p && model.n && i < p->n; i++) {
        const struct rule *r = &p->rules[i];
        if (r->from > at || (best && (r->literal < best->literal ||
                                      (r->literal == best->literal && r->from < best->from))))
            continue;
        if (fits(r->model, model))
            best = r;
    }
    return best ? &best->price : NULL;
}

int64_t tokens_total(const struct tokens *t)
{
    int64_t sum = -1;
    for (int k = 0; k < TK_REASONING; k++) {
        if (t->n[k] < 0)
            continue;
        if (sum < 0)
            sum = 0;
        if (__builtin_add_overflow(sum, t->n[k], &sum))
            return INT64_MAX;
    }
    /* who tells of reasoning alone still tells of that many */
    return sum < 0 ? t->n[TK_REASONING] : sum;
}

bool prices_cost(const struct prices *p, str model, ts_ns at, const struct tokens *t, double *ret)
{
    if (!p || tokens_total(t) < 0)
        return false;
    const struct price *price = prices_find(p, model, at);
    if (!price)
        return false;
    int64_t reasoning = t->n[TK_REASONING] > 0 ? t->n[TK_REASONING] : 0;
    int64_t output = t->n[TK_OUTPUT] > reasoning ? t->n[TK_OUTPUT] - reasoning : 0;
    double sum =
        (double)output * price->usd[TK_OUTPUT] + (double)reasoning * price->usd[TK_REASONING];
    for (int k = TK_INPUT; k < TK_OUTPUT; k++)
        if (t->n[k] > 0)
            sum += (double)t->n[k] * price->usd[k];
    *ret = sum / 1e6;
    return true;
}

str prices_example(void)
{
    return STR(
        "# What models cost, for calls whose sender did not report a cost. Edit freely: a running\n"
        "# server notices, and what is stored already is priced anew, for costs are computed when\n"
        "# a query asks for them.\n"
        "#\n"
        "# US dollars for a million tokens. The most exact model that fits counts, then\n"
        "# the latest date before the call. '*' stands for anything; '-' as a date means always,\n"
        "# as a price of the cache \"as input\", as one of reasoning \"as output\" (the default).\n"
        "#\n"
        "# These are list prices as they were once known. Check them against your own contract\n"
        "# before you rely on a sum. A model without a line has no price and is shown as such, "
        "which\n"
        "# is why the lines name models exactly: a newer one is not taken for an older one.\n"
        "#\n"
        "# model                 from        input  cache_read  cache_write  output\n"
        "*claude-opus-4-2025*    2025-05-22  15.00  1.50        18.75        75.00\n"
        "*claude-opus-4-1*       2025-08-05  15.00  1.50        18.75        75.00\n"
        "*claude-opus-4-5*       2025-11-24   5.00  0.50         6.25        25.00\n"
        "*claude-sonnet-4-2025*  2025-05-22   3.00  0.30         3.75        15.00\n"
        "*claude-sonnet-4-5*     2025-09-29   3.00  0.30         3.75        15.00\n"
        "*claude-haiku-4-5*      2025-10-15   1.00  0.10         1.25         5.00\n"
        "*claude-3-5-haiku*      2024-11-04   0.80  0.08         1.00         4.00\n"
        "gpt-4o                  2024-10-01   2.50  1.25         -           10.00\n"
        "gpt-4o-2024-08-06       2024-08-06   2.50  1.25         -           10.00\n"
        "gpt-4o-2024-11-20       2024-11-20   2.50  1.25         -           10.00\n"
        "gpt-4o-mini             2024-07-18   0.15  0.075        -            0.60\n"
        "gpt-4o-mini-2024*       2024-07-18   0.15  0.075        -            0.60\n"
        "gpt-4.1                 2025-04-14   2.00  0.50         -            8.00\n"
        "gpt-4.1-2025*           2025-04-14   2.00  0.50         -            8.00\n"
        "gpt-4.1-mini            2025-04-14   0.40  0.10         -            1.60\n"
        "gpt-4.1-mini-2025*      2025-04-14   0.40  0.10         -            1.60\n"
        "o3                      2025-06-10   2.00  0.50         -            8.00\n"
        "o3-2025*                2025-06-10   2.00  0.50         -            8.00\n"
        "o4-mini                 2025-04-16   1.10  0.275        -            4.40\n"
        "o4-mini-2025*           2025-04-16   1.10  0.275        -            4.40\n"
        "gpt-5                   2025-08-07   1.25  0.125        -           10.00\n"
        "gpt-5-2025*             2025-08-07   1.25  0.125        -           10.00\n"
        "gpt-5-mini              2025-08-07   0.25  0.025        -            2.00\n"
        "gpt-5-mini-2025*        2025-08-07   0.25  0.025        -            2.00\n"
        "# your own:\n"
        "#local/*                -            0     0            0            0\n");
}
