/* walk.c: one pass over the tokens of an entry, sorting each value into cand[] or pend[].
 *
 * A value whose path is an alias becomes the field's candidate when its type fits; a better alias that
 * comes later sends the earlier one to the attributes. Objects are entered (their leaves are the
 * values), arrays are taken whole. */
#include "ingest/decode.h"
#include "model/ident.h"

str tok_source(const struct json_tok *t, str src)
{
    if (src.p)
        return src;
    if (t->type == JSON_STR)
        return (str){ t->raw.p - 1, t->raw.n + 2 };
    return t->raw;
}

str cand_text(struct dec *d, enum field f)
{
    const struct json_tok *t = &d->cand[f].tok;
    if (t->type != JSON_STR)
        return t->raw;
    if (!t->escaped)
        return t->raw.n ? t->raw : STR("");
    str s = json_unescape(t, d->a);
    if (!s.p)
        d->nomem = true;
    return s;
}

/* ---- attributes ---- */

static bool grow(struct dec *d, void **p, uint32_t n, uint32_t *cap, size_t size)
{
    uint32_t to = *cap ? *cap * 2 : 64;
    void *q = arena_grow(d->a, *p, n, to, size);
    if (!q) {
        d->nomem = true;
        return false;
    }
    *p = q;
    *cap = to;
    return true;
}

/* notes that the attribute at n is there, for the shape */
static inline bool note_top(struct dec *d, struct node *n)
{
    if (n->scope || n->top->attr == d->mark)
        return true;
    n->top->attr = d->mark;
    if (d->ntops == d->cap_tops && !grow(d, (void **)&d->tops, d->ntops, &d->cap_tops, sizeof *d->tops))
        return false;
    d->tops[d->ntops++] = n->top;
    return true;
}

static inline struct pend *pend_add(struct dec *d, struct node *n, enum vtype type)
{
    if (__builtin_expect(d->npend == d->cap_pend, 0) &&
        !grow(d, (void **)&d->pend, d->npend, &d->cap_pend, sizeof *d->pend))
        return NULL;
    if (!note_top(d, n))
        return NULL;
    struct pend *p = &d->pend[d->npend++];
    p->node = n;
    p->type = type;
    return p;
}

static bool too_deep(struct dec *d)
{
    row_bad(d, STR_NULL, "", STR_NULL, "nested deeper than the limit of %u levels", d->lim->depth);
    return false;
}

/* depth of brackets in the text of an array or object */
static uint32_t depth_of(str json)
{
    uint32_t depth = 0, max = 0;
    for (size_t i = 0; i < json.n; i++) {
        switch (json.p[i]) {
        case '"':
            for (i++; i < json.n && json.p[i] != '"'; i++)
                i += json.p[i] == '\\';
            break;
        case '[':
        case '{':
            if (++depth > max)
                max = depth;
            break;
        case ']':
        case '}':
            depth--;
            break;
        default:
            break;
        }
    }
    return max;
}

/* Minified text; the source itself when it has nothing to drop. */
static str minified(struct dec *d, str src)
{
    bool plain = true;
    for (size_t i = 0; plain && i < src.n; i++)
        plain = (unsigned char)src.p[i] > ' ' && src.p[i] != '\\';
    if (plain)
        return src;
    struct err err = ERR_INIT;
    buf_reset(&d->tmp);
    if (json_minify(&d->tmp, src, &err) || !buf_ok(&d->tmp)) {
        d->nomem = true;
        return STR_NULL;
    }
    str s = arena_dup(d->a, buf_str(&d->tmp));
    d->nomem = d->nomem || !s.p;
    return s;
}

bool walk_attr(struct dec *d, struct node *n, const struct json_tok *t, str src)
{
    struct pend *p;
    switch (t->type) {
    case JSON_STR:
        p = pend_add(d, n, V_STR);
        if (!p)
            return false;
        p->s = t->raw;
        if (__builtin_expect(t->escaped, 0)) {
            p->s = json_unescape(t, d->a);
            d->nomem = d->nomem || !p->s.p;
        }
        return !d->nomem;
    case JSON_NUM: {
        int64_t i;
        double f;
        enum json_num_kind k = json_number(t->raw, t->integral, &i, &f);
        p = pend_add(d, n, k == JNUM_I64 ? V_I64 : k == JNUM_F64 ? V_F64 : V_NUM);
        if (!p)
            return false;
        if (k == JNUM_I64)
            p->i = i;
        else if (k == JNUM_F64)
            p->d = f;
        else
            p->s = t->raw;
        return true;
    }
    case JSON_TRUE:
    case JSON_FALSE:
        p = pend_add(d, n, V_BOOL);
        if (p)
            p->i = t->type == JSON_TRUE;
        return p != NULL;
    case JSON_NULL:
        return pend_add(d, n, V_NULL) != NULL;
    default:
        p = pend_add(d, n, V_JSON);
        if (!p)
            return false;
        p->s = minified(d, src);
        return !d->nomem;
    }
}

/* ---- candidates ---- */

/* The field `f` came by an alias of type `t`: does the type fit? */
static bool fits(enum field f, const struct json_tok *t)
{
    static const str kinds[] = { { "log", 3 }, { "span_start", 10 }, { "span_end", 8 }, { "span", 4 },
                                 { "metric", 6 }, { "turn", 4 } };
    int64_t i;
    double x;
    switch (f) {
    case F_INPUT:
    case F_OUTPUT:
        return t->type != JSON_NULL;
    case F_TAGS:
        return t->type == JSON_STR || t->type == JSON_ARR;
    case F_DURATION_MS:
    case F_COST_USD:
        return t->type == JSON_NUM && json_number(t->raw, t->integral, &i, &x) != JNUM_TEXT;
    case F_TOKENS_INPUT:
    case F_TOKENS_CACHE_READ:
    case F_TOKENS_CACHE_WRITE:
    case F_TOKENS_OUTPUT:
    case F_TOKENS_REASONING:
        return t->type == JSON_NUM && json_number(t->raw, t->integral, &i, &x) == JNUM_I64;
    case F_LEVEL:
        return t->type == JSON_STR || (t->type == JSON_NUM && t->integral);
    case F_PARENT_ENTRY:
        return t->type == JSON_STR && uuid_valid(t->raw);
    case F_KIND:
        for (size_t k = 0; t->type == JSON_STR && k < sizeof kinds / sizeof *kinds; k++)
            if (str_eq(t->raw, kinds[k]))
                return true;
        return false;
    case F_STREAM: /* what container runtimes call a stream is none of ours */
        return t->type == JSON_STR && t->raw.n > 0 && t->raw.n < 256 && !str_eq(t->raw, STR("stdout")) &&
               !str_eq(t->raw, STR("stderr"));
    default:
        return t->type == JSON_STR || t->type == JSON_NUM;
    }
}

void cand_release(struct dec *d, enum field f)
{
    struct cand *c = &d->cand[f];
    d->set &= ~(1ull << f);
    walk_attr(d, c->node, &c->tok, c->src);
}

/* takes the value as candidate of its field, or as an attribute when a better one is there */
static bool cand_offer(struct dec *d, struct node *n, const struct json_tok *t, str src)
{
    enum field f = n->alias->field;
    struct cand *c = &d->cand[f];
    if (cand_has(d, f)) {
        if (c->node->rank <= n->rank)
            return walk_attr(d, n, t, src);
        cand_release(d, f);
    }
    c->node = n;
    c->tok = *t;
    c->src = src;
    d->set |= 1ull << f;
    return !d->nomem && !d->bad;
}

/* ---- the walk ---- */

static bool take_scalar(struct dec *d, struct node *n, const struct json_tok *t)
{
    if (n->alias && (n->alias->flags & AL_STRICT || fits(n->alias->field, t)))
        return cand_offer(d, n, t, STR_NULL);
    if (__builtin_expect(n->container, 0)) {
        d->cont_tok = *t;
        d->cont_src = STR_NULL;
    }
    return walk_attr(d, n, t, STR_NULL);
}

/* an array, or an object that is taken whole */
static int take_whole(struct dec *d, struct json_rd *r, struct node *n, const struct json_tok *t,
                      uint32_t depth, struct err *err)
{
    str src;
    int rc = json_skip(r, t, &src, err);
    if (rc)
        return rc;
    if (src.n > d->lim->depth && depth + depth_of(src) > d->lim->depth) {
        too_deep(d);
        return 0;
    }
    if (n->container) {
        d->cont_tok = *t;
        d->cont_src = src;
    }
    if (n->alias && (n->alias->flags & AL_STRICT || fits(n->alias->field, t)))
        cand_offer(d, n, t, src);
    else
        walk_attr(d, n, t, src);
    return 0;
}

static bool whole_object(const struct node *n)
{
    return n->alias && (n->alias->flags & AL_STRICT || n->alias->field == F_INPUT ||
                        n->alias->field == F_OUTPUT);
}

static bool open_container(struct dec *d, struct node *n)
{
    if (d->nconts == CONTAINERS) /* a rule never names more */
        return true;
    n->number = (uint8_t)d->nconts;
    n->claim = d->mark;
    n->claimer = d->root; /* nobody else may lie here: an own name below it needs the full path */
    d->conts[d->nconts++] = n;
    return true;
}

/* to the end of the entry whose braces are at depth `base` */
static int skip_rest(struct json_rd *r, uint32_t base, struct err *err)
{
    struct json_tok t;
    while (r->depth >= base) {
        int rc = json_next(r, &t, err);
        if (rc)
            return rc;
    }
    return 0;
}

static void walk_begin(struct dec *d)
{
    d->mark++;
    d->set = d->defaulted = 0;
    d->npend = d->ntops = d->nconts = 0;
    d->cont_tok.type = JSON_END;
    d->bad = d->twice = false;
}

struct frame {
    struct node *cur, *prev;
    bool any;
};

int walk_entry(struct dec *d, struct json_rd *r, struct err *err)
{
    struct frame stack[JSON_DEPTH_MAX + 1], *f = stack;
    const uint32_t base = r->depth;
    uint32_t values = 0;
    walk_begin(d);
    *f = (struct frame){ d->root, NULL, false };
    for (;;) {
        struct json_tok t;
        int rc = json_next(r, &t, err);
        if (rc)
            return rc;
        if (t.type == JSON_OBJ_END) {
            if (f == stack) {
                d->end = t.raw.p + 1;
                return 0;
            }
            if (!f->any && !f->cur->container) {
                static const struct json_tok empty = { .type = JSON_OBJ };
                walk_attr(d, f->cur, &empty, STR("{}"));
            }
            f--;
            goto check;
        }
        struct node *n = node_child(d, f->cur, f->prev, &t);
        if (!n)
            goto check;
        d->twice |= n->seen == d->mark;
        n->seen = d->mark;
        f->prev = n;
        f->any = true;
        rc = json_next(r, &t, err);
        if (rc)
            return rc;
        if (t.type == JSON_OBJ && !whole_object(n)) {
            if (r->depth - base + 1 > d->lim->depth) {
                too_deep(d);
                goto check;
            }
            if (n->container)
                open_container(d, n);
            *++f = (struct frame){ n, NULL, false };
            continue;
        }
        if (++values > d->lim->fields)
            row_bad(d, STR_NULL, "", STR_NULL, "more than the limit of %u fields", d->lim->fields);
        else if (t.type == JSON_OBJ || t.type == JSON_ARR)
            rc = take_whole(d, r, n, &t, r->depth - base, err);
        else
            take_scalar(d, n, &t);
        if (rc)
            return rc;
check:
        if (__builtin_expect(d->bad || d->nomem, 0))
            return skip_rest(r, base, err);
    }
}
