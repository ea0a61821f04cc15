/* walk.c: one pass over the tokens of an entry, and sorting its values into cand[] and pend[].
 *
 * The walk only lists the values with their nodes (slots). Objects are entered (their leaves are
 * the values), arrays are taken whole. Sorting looks at the aliases: a value whose path is one
 * becomes the field's candidate when its type fits; a better alias that comes later sends the
 * earlier one to the attributes. Between the two stands plan.c, which spares most entries the
 * sorting. */
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
    if (d->ntops == d->cap_tops &&
        !grow(d, (void **)&d->tops, d->ntops, &d->cap_tops, sizeof *d->tops))
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
        case '}': depth--; break;
        default: break;
        }
    }
    return max;
}

/* Minified text; the source itself when it has nothing to drop. */
str minified(struct dec *d, str src)
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
        enum json_num_kind k = number_quick(t->raw, t->integral, &i, &f);
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
    case JSON_NULL: return pend_add(d, n, V_NULL) != NULL;
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
    static const str kinds[] = { { "log", 3 },  { "span_start", 10 }, { "span_end", 8 },
                                 { "span", 4 }, { "metric", 6 },      { "turn", 4 } };
    int64_t i;
    double x;
    switch (f) {
    case F_INPUT:
    case F_OUTPUT: return t->type != JSON_NULL;
    case F_TAGS: return t->type == JSON_STR || t->type == JSON_ARR;
    case F_DURATION_MS:
    case F_COST_USD:
        return t->type == JSON_NUM && number_quick(t->raw, t->integral, &i, &x) != JNUM_TEXT;
    case F_TOKENS_INPUT:
    case F_TOKENS_CACHE_READ:
    case F_TOKENS_CACHE_WRITE:
    case F_TOKENS_OUTPUT:
    case F_TOKENS_REASONING:
        return t->type == JSON_NUM && number_quick(t->raw, t->integral, &i, &x) == JNUM_I64;
    case F_LEVEL: return t->type == JSON_STR || (t->type == JSON_NUM && t->integral);
    case F_PARENT_ENTRY: return t->type == JSON_STR && uuid_valid(t->raw);
    case F_KIND:
        for (size_t k = 0; t->type == JSON_STR && k < sizeof kinds / sizeof *kinds; k++)
            if (str_eq(t->raw, kinds[k]))
                return true;
        return false;
    case F_STREAM: /* what container runtimes call a stream is none of ours */
        return t->type == JSON_STR && t->raw.n > 0 && t->raw.n < 256 &&
               !str_eq(t->raw, STR("stdout")) && !str_eq(t->raw, STR("stderr"));
    default: return t->type == JSON_STR || t->type == JSON_NUM;
    }
}

void cand_release(struct dec *d, enum field f)
{
    struct cand *c = &d->cand[f];
    d->set &= ~(1ull << f);
    walk_attr(d, c->node, &c->tok, c->src);
}

/* For fields whose choice hangs on the value, not on its type alone: the answer goes into the
 * signature, so that a plan is only for values that are treated alike. */
static uint32_t picky_bit(struct slot *s, enum field f)
{
    if (s->tok.type == JSON_NUM)
        s->kind = number_quick(s->tok.raw, s->tok.integral, &s->i, &s->f);
    if (f == F_ID)
        return s->tok.type == JSON_STR && uuid_valid(s->tok.raw);
    if (s->tok.type == JSON_NUM && f != F_LEVEL)
        return s->kind == JNUM_I64 ||
               (s->kind == JNUM_F64 && (f == F_DURATION_MS || f == F_COST_USD));
    return fits(f, &s->tok);
}

bool field_is_picky(enum field f)
{
    switch (f) {
    case F_ID:
    case F_LEVEL:
    case F_KIND:
    case F_STREAM:
    case F_PARENT_ENTRY:
    case F_DURATION_MS:
    case F_COST_USD:
    case F_TOKENS_INPUT:
    case F_TOKENS_CACHE_READ:
    case F_TOKENS_CACHE_WRITE:
    case F_TOKENS_OUTPUT:
    case F_TOKENS_REASONING: return true;
    default: return false;
    }
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

static bool whole_object(const struct node *n)
{
    return n->alias && (n->alias->flags & AL_STRICT || n->alias->field == F_INPUT ||
                        n->alias->field == F_OUTPUT);
}

/* ---- sorting ---- */

static void open_container(struct dec *d, struct node *n)
{
    if (d->nconts == CONTAINERS) /* a rule never names more */
        return;
    n->number = (uint8_t)d->nconts;
    n->claim = d->mark;
    n->claimer = d->root; /* nobody else may lie here: an own name below it needs the full path */
    d->conts[d->nconts++] = n;
}

void sort_slots(struct dec *d)
{
    d->set = d->defaulted = 0;
    d->npend = d->ntops = d->nconts = 0;
    d->cont_tok.type = JSON_END;
    for (uint32_t i = 0; i < d->nslots && !d->nomem; i++) {
        struct node *n = d->slots[i].node;
        const struct json_tok *t = &d->slots[i].tok;
        bool whole = t->type == JSON_OBJ || t->type == JSON_ARR;
        str src = whole ? t->raw : STR_NULL;
        if (t->type == SLOT_CONTAINER) {
            open_container(d, n);
            continue;
        }
        if (n->container) {
            d->cont_tok = *t;
            d->cont_src = src;
        }
        /* an empty object is an alias' value only where objects are */
        bool named = n->alias && (t->type != JSON_OBJ || whole_object(n));
        if (named && (n->alias->flags & AL_STRICT || fits(n->alias->field, t)))
            cand_offer(d, n, t, src);
        else
            walk_attr(d, n, t, src);
    }
}

/* ---- the walk ---- */

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

static bool slots_grow(struct dec *d)
{
    uint32_t cap = d->cap_slots ? d->cap_slots * 2 : 64;
    d->slots = arena_grow(d->a, d->slots, d->nslots, cap, sizeof *d->slots);
    d->sig = arena_grow(d->a, d->sig, d->nslots, cap, sizeof *d->sig);
    d->cap_slots = cap;
    d->nomem = !d->slots || !d->sig;
    if (d->nomem)
        d->cap_slots = d->nslots = 0;
    return !d->nomem;
}

static void slot_add(struct dec *d, struct node *n, const struct json_tok *t)
{
    if (__builtin_expect(d->nslots == d->cap_slots, 0) && !slots_grow(d))
        return;
    struct slot *s = &d->slots[d->nslots];
    s->node = n;
    s->tok = *t;
    d->sig[d->nslots++] = n->id << 5 | (uint32_t)t->type;
}

/* an array, or an object that is taken whole */
static int take_whole(struct dec *d, struct json_rd *r, struct json_tok *t, uint32_t depth,
                      struct err *err)
{
    str src;
    int rc = json_skip(r, t, &src, err);
    if (rc)
        return rc;
    if (src.n > d->lim->depth && depth + depth_of(src) > d->lim->depth) {
        too_deep(d);
        return 0;
    }
    t->raw = src;
    return 0;
}

struct frame {
    struct node *cur, *prev;
    bool any;
};

/* t opened an object at n that is entered; false: too deep */
static bool enter(struct dec *d, struct node *n, const struct json_tok *t, uint32_t depth)
{
    if (depth > d->lim->depth)
        return too_deep(d);
    if (n->container) {
        struct json_tok mark = *t;
        mark.type = SLOT_CONTAINER;
        slot_add(d, n, &mark);
    }
    return true;
}

static void leave(struct dec *d, const struct frame *f)
{
    if (f->any || f->cur->container)
        return;
    static const struct json_tok empty = { .type = JSON_OBJ, .raw = { "{}", 2 } };
    slot_add(d, f->cur, &empty);
}

int walk_entry(struct dec *d, struct json_rd *r, struct err *err)
{
    struct frame stack[JSON_DEPTH_MAX + 1], *f = stack;
    const uint32_t base = r->depth;
    uint32_t values = 0;
    d->mark++;
    d->nslots = 0;
    d->bad = d->twice = false;
    *f = (struct frame){ d->root, NULL, false };
    for (;;) {
        struct json_tok key;
        int rc = json_next(r, &key, err);
        if (rc)
            return rc;
        if (key.type == JSON_OBJ_END) {
            if (f == stack) {
                d->end = key.raw.p + 1;
                return 0;
            }
            leave(d, f--);
            goto check;
        }
        struct node *n = node_child(d, f->cur, f->prev, &key);
        if (!n)
            goto check;
        d->twice |= n->seen == d->mark;
        n->seen = d->mark;
        f->prev = n;
        f->any = true;
        if (__builtin_expect(d->nslots + 2 >= d->cap_slots, 0) && !slots_grow(d))
            goto check;
        struct slot *s = &d->slots[d->nslots]; /* the value is read into its place */
        rc = json_next(r, &s->tok, err);
        if (rc)
            return rc;
        if (s->tok.type == JSON_OBJ && !whole_object(n)) {
            struct json_tok open = s->tok;
            if (enter(d, n, &open, r->depth - base + 1))
                *++f = (struct frame){ n, NULL, false };
            goto check;
        }
        if (++values > d->lim->fields)
            row_bad(d, STR_NULL, "", STR_NULL, "more than the limit of %u fields", d->lim->fields);
        if (s->tok.type == JSON_OBJ || s->tok.type == JSON_ARR)
            rc = take_whole(d, r, &s->tok, r->depth - base, err);
        if (rc)
            return rc;
        s->node = n;
        uint32_t sig = n->id << 5 | (uint32_t)s->tok.type;
        if (n->picky)
            sig |= picky_bit(s, n->alias->field) << 4;
        d->sig[d->nslots++] = sig;
check:
        if (__builtin_expect(d->bad || d->nomem, 0))
            return skip_rest(r, base, err);
    }
}
