/* plan.c: what was done with an entry, to be done again with the next one like it.
 *
 * Entries of one logger have the same keys in the same order with values of the same types. For
 * such a row of (node, type) everything row.c decides is decided: which alias wins, which column
 * each value goes to, where attributes stood. A plan holds that, one action a slot, and the few
 * things that hang on values are looked at again; when one differs, the long way is taken:
 *
 *   time        must parse, exactly, and lie in the window
 *   level       its text must be one met before with this plan; the shape is kept by (spelling of
 * the time, text of the level) agent       length and the key's pattern
 *
 * What else hangs on values (is it a UUID, does the number fit) is part of the signature.
 *
 * Everything is checked before the first value is put. Entries with a surprise in them (collisions,
 * kept texts, defaults that were sent, counts with cached tokens) get no plan. */
#include "base/hash.h"
#include "ingest/decode.h"

#define VARIANTS 12
#define LEVEL_TEXT 16

enum action { ACT_SKIP, ACT_ATTR, ACT_TEXT, ACT_NUMBER, ACT_JSON, ACT_DONE };

struct step {
    uint8_t action;
    int16_t field;
    struct node *node; /* ACT_ATTR: where it goes */
};

struct variant {
    struct spelling time;
    char level[LEVEL_TEXT];
    uint8_t nlevel; /* 0: no level sent */
    enum level parsed;
    str shape;
};

struct plan {
    uint64_t hash;
    uint32_t n;
    uint32_t *sig;
    struct step *steps;
    struct variant variants[VARIANTS];
    uint32_t nvariants, last;
    int time, level, agent, status, event; /* slots, -1: none */
};

static uint64_t sig_hash(const struct dec *d)
{
    uint64_t h = d->nslots;
    for (uint32_t i = 0; i < d->nslots; i++)
        h = (h ^ d->sig[i]) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

static struct plan *plan_find(struct dec *d, uint64_t hash)
{
    struct plan *p = d->plans[hash % PLANS];
    bool same = p && p->hash == hash && p->n == d->nslots &&
                (!p->n || memcmp(p->sig, d->sig, p->n * sizeof *p->sig) == 0);
    return same ? p : NULL;
}

/* ---- using a plan ---- */

static inline str slot_text(struct dec *d, const struct json_tok *t)
{
    if (!t->escaped)
        return t->raw.n ? t->raw : STR("");
    str s = json_unescape(t, d->a);
    d->nomem = d->nomem || !s.p;
    return s;
}

static struct variant *variant_find(struct plan *p, const struct spelling *time, str level)
{
    for (uint32_t k = 0; k < p->nvariants; k++) {
        struct variant *v = &p->variants[(p->last + k) % p->nvariants];
        if (memcmp(&v->time.c, &time->c, SPELL_MAX) != 0 ||
            !key_same((str){ v->level, v->nlevel }, level))
            continue;
        p->last = (uint32_t)(v - p->variants);
        return v;
    }
    return NULL;
}

static str slot_word(const struct dec *d, int slot)
{
    bool text = slot >= 0 && d->slots[slot].tok.type == JSON_STR;
    return text ? d->slots[slot].tok.raw : STR_NULL;
}

struct checked {
    ts_ns time;
    enum level level;
    str agent;
    const struct variant *variant;
};

/* Looks at everything that hangs on values. False: the long way, or out of memory. */
static bool plan_check(struct dec *d, struct plan *p, struct checked *c)
{
    static const char no_level[16];
    struct spelling sp = { .n = 0 }; /* zeros behind what is set: compared whole */
    str level = { no_level, 0 };
    c->time = d->o->now;
    if (p->time >= 0 && (!time_parse(d, &d->slots[p->time].tok, &c->time, &sp) || !sp.exact ||
                         !time_in_window(d, c->time)))
        return false;
    if (p->level >= 0)
        level = d->slots[p->level].tok.raw;
    if (level.n >= LEVEL_TEXT)
        return false;
    c->variant = variant_find(p, &sp, level);
    if (!c->variant)
        return false;
    c->level = c->variant->parsed;
    if (p->level < 0)
        c->level = level_untold(slot_word(d, p->status), slot_word(d, p->event));
    if (p->agent >= 0) {
        c->agent = slot_text(d, &d->slots[p->agent].tok);
        if (d->nomem || c->agent.n > d->lim->agent_bytes ||
            (d->o->agent_pattern.n && !agent_allowed(d->o->agent_pattern, c->agent)))
            return false;
    }
    return d->ncols + d->nslots <= COLS_ATTR;
}

static inline void put_attr(struct dec *d, struct node *n, struct slot *s)
{
    const struct json_tok *t = &s->tok;
    struct pend v;
    v.node = n;
    switch (t->type) {
    case JSON_STR:
        v.type = V_STR;
        v.s = slot_text(d, t);
        if (n->col[V_STR]) {
            d->nomem |= !bcol_put_text(n->col[V_STR], v.s);
            return;
        }
        break;
    case JSON_NUM: {
        enum json_num_kind k = number_quick(t->raw, t->integral, &s->i, &s->f);
        v.type = k == JNUM_I64 ? V_I64 : k == JNUM_F64 ? V_F64 : V_NUM;
        if (k == JNUM_I64 && n->col[V_I64]) {
            d->nomem |= !bcol_put_i64(n->col[V_I64], s->i);
            return;
        }
        if (k == JNUM_I64)
            v.i = s->i;
        else if (k == JNUM_F64)
            v.d = s->f;
        else
            v.s = t->raw;
        break;
    }
    case JSON_TRUE:
    case JSON_FALSE:
        v.type = V_BOOL;
        v.i = t->type == JSON_TRUE;
        break;
    case JSON_NULL:
        v.type = V_NULL;
        v.i = 0;
        break;
    default: v.type = V_JSON; v.s = minified(d, t->raw);
    }
    put_pend(d, &v, false);
}

static void put_slots(struct dec *d, struct plan *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct slot *s = &d->slots[i];
        const struct step *st = &p->steps[i];
        enum field f = (enum field)st->field;
        switch (st->action) {
        case ACT_ATTR: put_attr(d, st->node, s); break;
        case ACT_TEXT: put_text(d, f, V_STR, slot_text(d, &s->tok)); break;
        case ACT_NUMBER:
            if (s->kind == JNUM_I64)
                put_i64(d, f, s->i);
            else
                put_f64(d, f, s->f);
            break;
        case ACT_JSON: put_text(d, f, V_JSON, minified(d, s->tok.raw)); break;
        default: break;
        }
    }
}

bool plan_apply(struct dec *d, bool *ret_done)
{
    *ret_done = false;
    if (!d->rules->plannable)
        return true;
    struct plan *p = plan_find(d, sig_hash(d));
    struct checked c;
    if (!p || !plan_check(d, p, &c))
        return !d->nomem;
    put_i64(d, F_TIMESTAMP, c.time);
    put_i64(d, F_LEVEL, c.level);
    if (p->agent >= 0)
        put_text(d, F_AGENT, V_STR, c.agent);
    else if (d->default_agent.n)
        put_text(d, F_AGENT, V_STR, d->default_agent);
    put_slots(d, p);
    if (d->o->key_id)
        put_i64(d, F_KEY_ID, d->o->key_id);
    put_text(d, F_SHAPE, V_STR, c.variant->shape);
    *ret_done = true;
    return !d->nomem;
}

/* ---- making a plan ---- */

/* The actions of the entry that was just put; false when there can be no plan for it. */
static bool plan_steps(struct dec *d, struct plan *p, const struct planned *from)
{
    for (uint32_t i = 0; i < d->nslots; i++) {
        struct slot *s = &d->slots[i];
        struct step *st = &p->steps[i];
        const struct alias *al = s->node->alias;
        enum field f = al ? al->field : F_NONE;
        bool won = al && from->won >> f & 1 && d->cand[f].node == s->node;
        *st = (struct step){ .action = ACT_ATTR, .field = (int16_t)f, .node = s->node };
        if (s->tok.type == SLOT_CONTAINER) {
            st->action = ACT_SKIP;
            continue;
        }
        if (!won) {
            if (s->node->scope && s->node->top->full)
                return false;
            continue;
        }
        st->action = ACT_TEXT;
        switch (f) {
        case F_TIMESTAMP:
            p->time = (int)i;
            st->action = ACT_DONE;
            break;
        case F_LEVEL:
            p->level = (int)i;
            st->action = ACT_DONE;
            break;
        case F_AGENT:
            p->agent = (int)i;
            st->action = ACT_DONE;
            break;
        case F_ID:
            if (from->id_to) {
                st->action = ACT_ATTR;
                st->node = from->id_to;
            }
            break;
        case F_SERVICE: /* the agent too, when nothing else named one */
            if (from->won >> F_AGENT & 1 && d->cand[F_AGENT].node == s->node)
                p->agent = (int)i;
            break;
        case F_STATUS: p->status = (int)i; break;
        case F_EVENT: p->event = (int)i; break;
        case F_KIND:
        case F_STREAM: return false;
        case F_TOKENS_INPUT:
        case F_TOKENS_CACHE_READ:
            if (al->flags & AL_INCLUSIVE)
                return false;
            goto number;
        case F_DURATION_MS:
        case F_COST_USD:
        case F_TOKENS_CACHE_WRITE:
        case F_TOKENS_OUTPUT:
        case F_TOKENS_REASONING:
number:
            st->action = ACT_NUMBER;
            break;
        case F_INPUT:
        case F_OUTPUT:
        case F_TAGS:
            if (s->tok.type != JSON_STR)
                st->action = ACT_JSON;
            break;
        default: break;
        }
    }
    return true;
}

static struct plan *plan_make(struct dec *d, const struct planned *from, uint64_t hash)
{
    struct plan *p = arena_zalloc(d->a, sizeof *p);
    if (!p)
        return NULL;
    p->hash = hash;
    p->n = d->nslots;
    p->sig = arena_array(d->a, p->n + 1, sizeof *p->sig);
    p->steps = arena_array(d->a, p->n + 1, sizeof *p->steps);
    if (!p->sig || !p->steps)
        return NULL;
    if (p->n)
        memcpy(p->sig, d->sig, p->n * sizeof *p->sig);
    p->time = p->level = p->agent = p->status = p->event = -1;
    return plan_steps(d, p, from) ? p : NULL;
}

void plan_learn(struct dec *d, const struct planned *from)
{
    if (!d->rules->plannable || d->nslots > 256)
        return;
    uint64_t hash = sig_hash(d);
    struct plan *p = plan_find(d, hash);
    if (!p && d->nplans++ < PLANS_MADE) /* a request of ever new entries stops learning */
        p = d->plans[hash % PLANS] = plan_make(d, from, hash);
    if (!p)
        return;
    str level = p->level >= 0 ? d->slots[p->level].tok.raw : STR("");
    if (level.n >= LEVEL_TEXT)
        return;
    uint32_t k = p->nvariants < VARIANTS ? p->nvariants++ : (p->last + 1) % VARIANTS;
    struct variant *v = &p->variants[k];
    *v =
        (struct variant){ .nlevel = (uint8_t)level.n, .parsed = from->level, .shape = from->shape };
    if (from->time) {
        memcpy(v->time.c, from->time->c, from->time->n);
        v->time.n = from->time->n;
    }
    if (level.n)
        memcpy(v->level, level.p, level.n);
    p->last = k;
}
