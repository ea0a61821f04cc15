/* row.c: the end of an entry: judge it, decide where everything goes, put it into the batch.
 *
 * In this order: the dialect's own check, time, level, agent; then nothing can be refused any more,
 * and places of attributes, columns and the shape follow. */
#include <stdarg.h>
#include <stdio.h>

#include "ingest/decode.h"
#include "model/ident.h"
#include "model/view.h"

void row_bad(struct dec *d, str field, const char *type, str input, const char *fmt, ...)
{
    d->bad = true;
    struct ingest_result *res = d->ret;
    if (res->nerrors == INGEST_ERRORS_MAX)
        return;
    if (!res->errors)
        res->errors = arena_array(d->a, INGEST_ERRORS_MAX, sizeof *res->errors);
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct ingest_error *e = res->errors ? &res->errors[res->nerrors] : NULL;
    char *reason;
    if (d->rules->set == SET_MALS || d->rules->set == SET_EVENTS)
        reason = arena_printf(d->a, "%s", text);
    else if (field.n)
        reason = arena_printf(d->a, "entry %u, field \"%.*s\": %s", d->index, STR_FMT(field), text);
    else
        reason = arena_printf(d->a, "entry %u: %s", d->index, text);
    field = arena_dup(d->a, field); /* nodes end with the call, errors do not */
    if (!e || !reason || !field.p) {
        d->nomem = true;
        return;
    }
    *e = (struct ingest_error){ .index = d->index,
                                .field = field,
                                .reason = str_c(reason),
                                .type = str_c(type),
                                .input = input };
    res->nerrors++;
}

bool agent_allowed(str pattern, str agent)
{
    size_t p = 0, a = 0, star = SIZE_MAX, from = 0;
    while (a < agent.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            from = a;
        } else if (p < pattern.n && pattern.p[p] == agent.p[a]) {
            p++;
            a++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            a = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

/* ---- values on their way ---- */

struct out {
    struct shape_in shape;
    ts_ns time;
    enum level level;
    str agent;
    bool has_agent;
    uint64_t own;       /* fields that need their sent text in column rest */
    struct node *id_to; /* attribute the id became */
    str shape_text;
    uint64_t inclusive;
};

static struct shape_note *note(struct dec *d, struct out *o, enum field f)
{
    struct shape_note *n = &o->shape.note[o->shape.nnotes++];
    const struct node *from = d->cand[f].node;
    n->field = f;
    n->flags = 0;
    n->node = from->own_name == f ? NULL : from;
    n->spell = NULL;
    return n;
}

/* The spelling's place in the table: the same for equal ones. row_finish sees to the room. */
static const struct spelling *spelling_keep(struct dec *d, const struct spelling *sp)
{
    for (uint32_t i = 0; i < d->nspell; i++)
        if (d->spell[i].n == sp->n && memcmp(d->spell[i].c, sp->c, sp->n) == 0)
            return &d->spell[i];
    d->spell[d->nspell] = *sp;
    return &d->spell[d->nspell++];
}

static void keep_source(struct out *o, enum field f)
{
    o->own |= 1ull << f;
}

/* Sends the candidate to the attributes as `name`; when that name is taken, keeps its text in rest.
 */
static void rename_cand(struct dec *d, struct out *o, enum field f, const char *name)
{
    struct node *from = d->cand[f].node, *to = node_top(d, str_c(name));
    if (!to)
        return;
    if (to->attr == d->mark || to->claim == d->mark || o->shape.nmoves == 4) {
        keep_source(o, f);
        return;
    }
    const struct json_tok t = d->cand[f].tok;
    str src = d->cand[f].src;
    d->set &= ~(1ull << f);
    o->shape.moves[o->shape.nmoves++] = (struct shape_move){ name, from };
    walk_attr(d, to, &t, src);
    if (d->ntops && d->tops[d->ntops - 1] == to)
        d->ntops--; /* its place is told by the move */
}

/* ---- time ---- */

bool time_in_window(const struct dec *d, ts_ns t)
{
    int64_t age;
    if (__builtin_sub_overflow(d->o->now, t, &age))
        age = t < 0 ? INT64_MAX : INT64_MIN;
    if (d->lim->max_backfill_ns && age > d->lim->max_backfill_ns)
        return false;
    return !d->lim->max_future_ns || age >= -d->lim->max_future_ns;
}

bool time_parse(struct dec *d, const struct json_tok *t, ts_ns *ret, struct spelling *sp)
{
    if (t->type == JSON_NUM)
        return spell_time_number(t->raw, d->rules->unit, ret, sp);
    if (t->type != JSON_STR)
        return false;
    str text = t->escaped ? json_unescape(t, d->a) : t->raw;
    return text.p && spell_time_text(text, d->rules->unit, ret, sp);
}

static void judge_time(struct dec *d, struct out *o)
{
    struct spelling sp;
    o->time = d->o->now;
    d->filled |= 1ull << F_TIMESTAMP;
    if (!cand_has(d, F_TIMESTAMP))
        return;
    const struct json_tok *t = &d->cand[F_TIMESTAMP].tok;
    if (!time_parse(d, t, &o->time, &sp)) {
        o->time = d->o->now;
        if (!d->rules->lenient_time) {
            str s = str_sub(t->raw, 0, 60);
            row_bad(d, d->cand[F_TIMESTAMP].node->key, "", STR_NULL, "not a time: %.*s",
                    STR_FMT(s));
            return;
        }
        rename_cand(d, o, F_TIMESTAMP, "time_error");
    } else if (!time_in_window(d, o->time)) {
        o->time = d->o->now;
        rename_cand(d, o, F_TIMESTAMP, "time_claimed");
    } else {
        d->filled &= ~(1ull << F_TIMESTAMP);
        if (sp.exact)
            note(d, o, F_TIMESTAMP)->spell = spelling_keep(d, &sp);
        else
            keep_source(o, F_TIMESTAMP);
    }
    if (o->own >> F_TIMESTAMP & 1) { /* the text in rest says all */
        d->filled &= ~(1ull << F_TIMESTAMP);
        note(d, o, F_TIMESTAMP);
    }
    d->set &= ~(1ull << F_TIMESTAMP);
}

/* ---- level ---- */

static bool parse_level(struct dec *d, enum level *ret, struct spelling *sp)
{
    const struct cand *c = &d->cand[F_LEVEL];
    if (c->tok.type == JSON_STR) {
        str text = cand_text(d, F_LEVEL);
        return text.p && spell_level_text(text, ret, sp);
    }
    int64_t n;
    if (!str_to_i64(c->tok.raw, &n) || c->tok.raw.n > 8 || c->tok.raw.p[0] == '-')
        return false;
    if (c->node->alias->flags & AL_OTEL ? !level_from_severity_number(n, ret)
                                        : !level_from_number(n, ret))
        return false;
    sp->c[0] = '#';
    memcpy(sp->c + 1, c->tok.raw.p, c->tok.raw.n);
    sp->n = (uint8_t)(c->tok.raw.n + 1);
    sp->exact = true;
    return true;
}

static str cand_word(struct dec *d, enum field f)
{
    return cand_has(d, f) && d->cand[f].tok.type == JSON_STR ? d->cand[f].tok.raw : STR_NULL;
}

enum level level_untold(str status, str event)
{
    static const char *const failed[] = { "error", "PostToolUseFailure", "StopFailure" };
    if (str_eq_ci(status, STR("error")))
        return LV_ERROR;
    for (size_t i = 0; i < sizeof failed / sizeof *failed; i++)
        if (str_eq_ci(event, str_c(failed[i])))
            return LV_ERROR;
    return LV_INFO;
}

static void judge_level(struct dec *d, struct out *o)
{
    struct spelling sp;
    enum level otherwise = d->rules->set == SET_MALS
                               ? LV_INFO
                               : level_untold(cand_word(d, F_STATUS), cand_word(d, F_EVENT));
    if (!cand_has(d, F_LEVEL)) {
        o->level = otherwise;
        d->filled |= 1ull << F_LEVEL;
        return;
    }
    if (!parse_level(d, &o->level, &sp)) {
        o->level = otherwise;
        rename_cand(d, o, F_LEVEL, "level_raw");
        if (!(o->own >> F_LEVEL & 1)) {
            d->filled |= 1ull << F_LEVEL;
            return;
        }
        sp.n = 0;
    }
    if (d->rules->plain_level)
        sp.n = 0;
    struct shape_note *n = note(d, o, F_LEVEL);
    n->spell = sp.n ? spelling_keep(d, &sp) : NULL;
    if (!n->node && !n->spell)
        o->shape.nnotes--; /* under its own name, in its own spelling: nothing to tell */
    d->set &= ~(1ull << F_LEVEL);
}

/* An id that is no UUID is the client's own: kept apart from ours. */
static void judge_id(struct dec *d, struct out *o)
{
    if (!cand_has(d, F_ID) ||
        (d->cand[F_ID].tok.type == JSON_STR && uuid_valid(d->cand[F_ID].tok.raw)))
        return;
    struct node *taken = node_top(d, STR("source_id"));
    if (taken && taken->attr == d->mark) {
        cand_release(d, F_ID);
        return;
    }
    rename_cand(d, o, F_ID, "source_id");
    o->id_to = taken;
}

/* ---- agent ---- */

static void judge_agent(struct dec *d, struct out *o)
{
    o->agent = STR("");
    o->has_agent = true;
    if (cand_has(d, F_AGENT)) {
        o->agent = cand_text(d, F_AGENT);
    } else if (cand_has(d, F_SERVICE) &&
               str_eq(d->cand[F_SERVICE].node->alias->name, STR("service.name"))) {
        d->cand[F_AGENT] = d->cand[F_SERVICE];
        d->set |= 1ull << F_AGENT;
        o->agent = cand_text(d, F_AGENT);
    } else if (d->default_agent.n) {
        o->agent = d->default_agent;
        d->filled |= 1ull << F_AGENT;
    } else {
        o->has_agent = false;
    }
    if (o->agent.n > d->lim->agent_bytes)
        row_bad(d, STR("agent"), "", STR_NULL,
                "an agent name of %zu bytes is longer than the limit of %zu", o->agent.n,
                d->lim->agent_bytes);
    else if (d->o->agent_pattern.n && !agent_allowed(d->o->agent_pattern, o->agent))
        row_bad(d, STR("agent"), "", STR_NULL, "this API key may not write as agent \"%.*s\"",
                STR_FMT(str_sub(o->agent, 0, 100)));
}

/* ---- columns ---- */

struct bcol *field_col(struct dec *d, enum field f, enum vtype t)
{
    struct bcol **c = &d->fcol[f][t];
    if (!*c)
        *c = batch_col(d->b, field_table[f].name, t);
    return *c;
}

static void put_number(struct dec *d, enum field f)
{
    int64_t i = 0;
    double x = 0;
    const struct json_tok *t = &d->cand[f].tok;
    if (number_quick(t->raw, t->integral, &i, &x) == JNUM_I64)
        put_i64(d, f, i);
    else
        put_f64(d, f, x);
}

/* counts of cached tokens the client counted into its input tokens; 0 when it did not */
static int64_t cached_tokens(struct dec *d)
{
    int64_t sum = 0;
    const enum field parts[] = { F_TOKENS_CACHE_READ, F_TOKENS_CACHE_WRITE };
    for (size_t k = 0; k < 2; k++) {
        int64_t v = 0;
        if (cand_has(d, parts[k]) && (!str_to_i64(d->cand[parts[k]].tok.raw, &v) || v < 0 ||
                                      __builtin_add_overflow(sum, v, &sum)))
            return 0;
    }
    return sum;
}

/* Does this client count cached tokens into its input tokens? The name of either count tells. */
static bool counts_cached_in(const struct dec *d)
{
    const struct cand *input = &d->cand[F_TOKENS_INPUT], *cached = &d->cand[F_TOKENS_CACHE_READ];
    return input->node->alias->flags & AL_INCLUSIVE ||
           (cand_has(d, F_TOKENS_CACHE_READ) && cached->node->alias->flags & AL_INCLUSIVE);
}

static void put_input_tokens(struct dec *d, struct out *o)
{
    const struct cand *c = &d->cand[F_TOKENS_INPUT];
    int64_t v = 0, cached = counts_cached_in(d) ? cached_tokens(d) : 0;
    str_to_i64(c->tok.raw, &v);
    /* fewer than the cached ones: this client does not count them in */
    if (cached > 0 && v >= cached) {
        o->inclusive |= 1ull << F_TOKENS_INPUT;
        v -= cached;
    }
    put_i64(d, F_TOKENS_INPUT, v);
}

static void put_default_aware(struct dec *d, struct out *o, enum field f, str standard)
{
    str s = cand_text(d, f);
    if (!str_eq(s, standard)) {
        put_text(d, f, V_STR, s);
        return;
    }
    struct spelling sp = { .n = (uint8_t)standard.n, .exact = true };
    memcpy(sp.c, standard.p, standard.n);
    note(d, o, f)->spell = spelling_keep(d, &sp);
}

static str json_text(struct dec *d, const struct cand *c)
{
    buf_reset(&d->tmp);
    struct err err = ERR_INIT;
    if (json_minify(&d->tmp, tok_source(&c->tok, c->src), &err) || !buf_ok(&d->tmp))
        return STR_NULL;
    return arena_dup(d->a, buf_str(&d->tmp));
}

/* puts one canonical field other than time, level and agent */
static void put_field(struct dec *d, struct out *o, enum field f)
{
    const struct cand *c = &d->cand[f];
    uint8_t flags = 0;
    switch (f) {
    case F_DURATION_MS:
    case F_COST_USD:
    case F_TOKENS_CACHE_READ:
    case F_TOKENS_CACHE_WRITE:
    case F_TOKENS_OUTPUT:
    case F_TOKENS_REASONING: put_number(d, f); break;
    case F_TOKENS_INPUT:
        put_input_tokens(d, o);
        flags = o->inclusive ? SHAPE_INCLUSIVE : 0;
        break;
    case F_KIND:
    case F_STREAM:
        put_default_aware(d, o, f, f == F_KIND ? STR("log") : STR("default"));
        if (o->shape.nnotes && o->shape.note[o->shape.nnotes - 1].field == f)
            return;
        break;
    case F_INPUT:
    case F_OUTPUT:
    case F_TAGS:
        if (c->tok.type != JSON_STR) {
            str s = json_text(d, c);
            d->nomem = d->nomem || !s.p;
            if (s.p)
                put_text(d, f, V_JSON, s);
            break;
        }
        put_text(d, f, V_STR, cand_text(d, f));
        break;
    default:
        put_text(d, f, V_STR, cand_text(d, f));
        flags = c->tok.type == JSON_NUM ? SHAPE_NUMBER : 0;
    }
    if (d->defaulted >> f & 1) {
        d->filled |= 1ull << f;
        return;
    }
    struct shape_note *n = note(d, o, f);
    n->flags = flags;
    if (!n->node && !flags)
        o->shape.nnotes--;
}

static void rest_add(struct dec *d, str key, str json)
{
    buf_putc(&d->rest, d->rest.n ? ',' : '{');
    json_put_str(&d->rest, key);
    buf_putc(&d->rest, ':');
    buf_putstr(&d->rest, json);
}

/* an attribute for which there is no column left */
static void rest_add_pend(struct dec *d, str key, const struct pend *p)
{
    struct val v = { .t = p->type };
    if (p->type == V_F64)
        v.d = p->d;
    else if (p->type == V_BOOL)
        v.b = p->i != 0;
    else if (p->type == V_I64)
        v.i = p->i;
    else if (p->type >= V_STR)
        v.s = p->s;
    buf_reset(&d->tmp);
    view_put_val(&d->tmp, F_NONE, v);
    rest_add(d, key, buf_str(&d->tmp));
}

static struct bcol *attr_col(struct dec *d, str key, enum vtype t)
{
    if (d->ncols >= COLS_ATTR)
        return NULL;
    struct bcol *c = batch_col(d->b, key, t);
    d->ncols += c != NULL;
    return c;
}

void put_pend(struct dec *d, const struct pend *p, bool full)
{
    struct node *n = p->node;
    struct bcol *c = full ? NULL : n->col[p->type];
    str key = n->path;
    if (__builtin_expect(!c, 0)) {
        if (full) {
            char *k = arena_alloc(d->a, n->scope->path.n + key.n);
            if (!k) {
                d->nomem = true;
                return;
            }
            memcpy(k, n->scope->path.p, n->scope->path.n);
            memcpy(k + n->scope->path.n, key.p, key.n);
            key = (str){ k, n->scope->path.n + key.n };
        }
        c = attr_col(d, key, p->type);
        if (!c) {
            rest_add_pend(d, key, p);
            return;
        }
        if (!full)
            n->col[p->type] = c;
    }
    bool ok;
    switch (p->type) {
    case V_F64: ok = bcol_put_f64(c, p->d); break;
    case V_STR:
    case V_JSON:
    case V_NUM: ok = bcol_put_text(c, p->s); break;
    default: ok = bcol_put_i64(c, p->i);
    }
    if (__builtin_expect(!ok, 0))
        d->nomem = true;
}

/* ---- places of attributes from containers ---- */

/* Decides for each first step below a container whether it may lie at the root. */
static void place_all(struct dec *d, struct out *o)
{
    size_t told = 0;
    for (uint32_t i = 0; i < d->ntops; i++)
        told += 2 * d->tops[i]->key.n + 2;
    for (uint32_t i = 0; i < d->npend; i++) {
        struct node *top = d->pend[i].node->top, *c = top->scope;
        if (!c || top->placed == d->mark)
            continue;
        struct node *at = top->twin;
        top->placed = d->mark;
        top->full = at->attr == d->mark || (at->claim == d->mark && at->claimer != c);
        if (top->full)
            continue;
        at->claim = d->mark;
        at->claimer = c;
        if (c->number > 0)
            told += 2 * top->key.n + 3;
    }
    o->shape.flat = told <= SHAPE_MAX / 2;
    if (!o->shape.flat || d->nconts < 2)
        return;
    o->shape.second = arena_array(d->a, d->npend + 1, sizeof *o->shape.second);
    if (!o->shape.second) {
        d->nomem = true;
        return;
    }
    for (uint32_t i = 0; i < d->npend; i++) {
        struct node *top = d->pend[i].node->top, *c = top->scope;
        if (!c || top->full || c->number == 0 || top->used == d->mark)
            continue;
        top->used = d->mark;
        o->shape.second[o->shape.nsecond++] = top;
    }
}

/* Containers that were sent empty need a value when the shape does not name them. */
static void put_empty_containers(struct dec *d)
{
    for (uint32_t i = 0; i < d->nconts; i++) {
        struct node *c = d->conts[i];
        bool any = false;
        for (uint32_t k = 0; !any && k < d->npend; k++)
            any = d->pend[k].node->scope == c;
        for (int f = 0; !any && f < F__COUNT; f++)
            any = cand_has(d, (enum field)f) && d->cand[f].node->scope == c;
        if (any)
            continue;
        struct pend p = { .node = c, .type = V_JSON, .s = STR("{}") };
        put_pend(d, &p, false);
    }
}

static void put_attributes(struct dec *d, struct out *o)
{
    o->shape.flat = true;
    if (d->nconts)
        place_all(d, o);
    for (uint32_t i = 0; i < d->npend; i++) {
        const struct node *n = d->pend[i].node;
        put_pend(d, &d->pend[i], n->scope && (!o->shape.flat || n->top->full));
    }
    if (!o->shape.flat)
        put_empty_containers(d);
}

static void put_rest(struct dec *d, struct out *o)
{
    for (uint64_t own = o->own; own; own &= own - 1) {
        enum field f = (enum field)__builtin_ctzll(own);
        rest_add(d, field_table[f].name, tok_source(&d->cand[f].tok, d->cand[f].src));
    }
    if (!d->rest.n)
        return;
    buf_putc(&d->rest, '}');
    str s = buf_ok(&d->rest) ? arena_dup(d->a, buf_str(&d->rest)) : STR_NULL;
    if (!s.p) {
        d->nomem = true;
        return;
    }
    put_text(d, F_REST, V_JSON, s);
}

static void put_row(struct dec *d, struct out *o)
{
    put_i64(d, F_TIMESTAMP, o->time);
    put_i64(d, F_LEVEL, o->level);
    if (o->has_agent) {
        put_text(d, F_AGENT, V_STR, o->agent);
        if (cand_has(d, F_AGENT)) {
            struct shape_note *n = note(d, o, F_AGENT);
            n->flags = d->cand[F_AGENT].tok.type == JSON_NUM ? SHAPE_NUMBER : 0;
            if (!n->node && !n->flags)
                o->shape.nnotes--;
        }
    }
    uint64_t set = d->set & ~(1ull << F_AGENT);
    for (; set; set &= set - 1)
        put_field(d, o, (enum field)__builtin_ctzll(set));
    if (d->o->key_id)
        put_i64(d, F_KEY_ID, d->o->key_id);
    put_attributes(d, o);
    put_rest(d, o);
    o->shape_text = shape_of(d, &o->shape);
    if (o->shape_text.p)
        put_text(d, F_SHAPE, V_STR, o->shape_text);
}

/* Passes an entry without surprises on to plan.c. */
static void learn(struct dec *d, struct out *o, uint64_t sent)
{
    uint32_t moves = o->id_to ? 1 : 0;
    bool id_kept = sent >> F_ID & 1 && !o->id_to && !cand_has(d, F_ID); /* source_id was taken */
    if (o->own || o->shape.nmoves != moves || !o->shape.flat || d->rest.n || id_kept)
        return;
    struct planned p = { .won = sent | (d->set & 1ull << F_AGENT),
                         .id_to = o->id_to,
                         .level = o->level,
                         .shape = o->shape_text };
    for (uint32_t i = 0; i < o->shape.nnotes; i++)
        if (o->shape.note[i].field == F_TIMESTAMP)
            p.time = o->shape.note[i].spell;
    plan_learn(d, &p);
}

bool row_finish(struct dec *d)
{
    struct out o;
    o.shape.nnotes = o.shape.nmoves = o.shape.nsecond = 0;
    o.own = o.inclusive = 0;
    o.id_to = NULL;
    d->filled = 0;
    if (d->nspell + SPELLINGS_ROW > SPELLINGS) {
        d->nspell = 0;
        d->nlast = 0; /* shapes are compared by places in this table */
    }
    if (d->rest.n)
        buf_reset(&d->rest);
    sort_slots(d);
    if (d->rules->check && !d->nomem)
        d->rules->check(d);
    if (d->bad || d->nomem)
        return !d->nomem;
    uint64_t sent = d->set;
    judge_time(d, &o);
    judge_level(d, &o);
    judge_agent(d, &o);
    judge_id(d, &o);
    if (!d->bad && !d->nomem)
        put_row(d, &o);
    if (d->nomem) {
        batch_undo_row(d->b);
        return false;
    }
    if (!d->bad) {
        batch_end_row(d->b);
        learn(d, &o, sent);
    }
    return true;
}
