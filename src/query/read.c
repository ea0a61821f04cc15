/* read.c: see read.h. */
#include "query/read.h"

#include "base/mem.h"
#include "query/exact.h"

int reader_open(struct reader *r, enum field f, struct block *b, struct err *err)
{
    str key = field_table[f].name;
    r->ref = (struct fieldref){ .field = f, .key = key, .hash = field_dotted_hash(key) };
    return access_open(&r->acc, b, &r->ref, err);
}

int reader_get(struct reader *r, uint32_t row, struct val *ret, struct err *err)
{
    if (!r->acc.n && !r->acc.made) {
        *ret = VAL_ABSENT;
        return 0;
    }
    return access_get(&r->acc, row, ret, err);
}

int reader_text(struct reader *r, uint32_t row, str *ret, struct err *err)
{
    struct val v;
    int rc = reader_get(r, row, &v, err);
    *ret = !rc && (v.t == V_STR || v.t == V_JSON) ? v.s : STR_NULL;
    return rc;
}

int reader_num(struct reader *r, uint32_t row, double *ret, bool *ret_has, struct err *err)
{
    struct val v;
    int rc = reader_get(r, row, &v, err);
    *ret_has = !rc && v.t != V_BOOL && val_is_num(&v, ret);
    return rc;
}

/* ---- tokens and cost ---- */

static const enum field token_fields[TK__COUNT] = { F_TOKENS_INPUT, F_TOKENS_CACHE_READ,
                                                    F_TOKENS_CACHE_WRITE, F_TOKENS_OUTPUT,
                                                    F_TOKENS_REASONING };

int usage_open(struct usage_reader *u, const struct prices *prices, struct block *b,
               struct err *err)
{
    int rc = 0;
    u->prices = prices;
    for (int k = 0; k < TK__COUNT && !rc; k++)
        rc = reader_open(&u->tok[k], token_fields[k], b, err);
    if (!rc)
        rc = reader_open(&u->cost, F_COST_USD, b, err);
    if (!rc)
        rc = reader_open(&u->model, F_MODEL, b, err);
    if (!rc)
        rc = reader_open(&u->time, F_TIMESTAMP, b, err);
    return rc ? rc : reader_open(&u->call, F_CALL_ID, b, err);
}

int usage_get(struct usage_reader *u, uint32_t row, struct usage *ret, struct err *err)
{
    str model, call;
    *ret = (struct usage){ .tok = TOKENS_UNKNOWN };
    for (int k = 0; k < TK__COUNT; k++) {
        struct val v;
        double d;
        int rc = reader_get(&u->tok[k], row, &v, err);
        if (rc)
            return rc;
        if (v.t == V_I64 && v.i >= 0)
            ret->tok.n[k] = v.i;
        else if (v.t == V_F64 && val_is_num(&v, &d) && d >= 0 && d < 9e15)
            ret->tok.n[k] = (int64_t)d;
        ret->any |= ret->tok.n[k] >= 0;
    }
    int rc = reader_num(&u->cost, row, &ret->usd, &ret->reported, err);
    ret->has_cost = ret->reported;
    ret->any |= ret->reported;
    if (rc || !ret->any)
        return rc;
    rc = reader_text(&u->call, row, &call, err);
    ret->called = call.n > 0;
    if (rc || ret->has_cost || !u->prices)
        return rc;
    rc = reader_text(&u->model, row, &model, err);
    if (!rc)
        ret->has_cost =
            prices_cost(u->prices, model, access_time(&u->time.acc, row), &ret->tok, &ret->usd);
    return rc;
}

bool usage_add(struct usage_sum *s, const struct usage *u)
{
    s->calls++;
    s->told |= tokens_total(&u->tok) >= 0;
    for (int k = 0; k < TK__COUNT; k++)
        s->tok[k] += u->tok.n[k] > 0 ? u->tok.n[k] : 0;
    if (!u->has_cost) {
        s->unpriced++;
        return true;
    }
    if (!s->usd && !(s->usd = mem_zalloc(sizeof *s->usd)))
        return false;
    return exact_add_decimal(s->usd, u->usd);
}

bool usage_merge(struct usage_sum *s, const struct usage_sum *from)
{
    s->calls += from->calls;
    s->told |= from->told;
    s->unpriced += from->unpriced;
    for (int k = 0; k < TK__COUNT; k++)
        s->tok[k] += from->tok[k];
    if (!from->usd)
        return true;
    if (!s->usd && !(s->usd = mem_zalloc(sizeof *s->usd)))
        return false;
    return exact_merge(s->usd, from->usd);
}

void usage_deinit(struct usage_sum *s)
{
    if (s->usd)
        exact_deinit(s->usd);
    mem_free(s->usd);
    s->usd = NULL;
}

static struct val whole(__int128 n)
{
    return n <= INT64_MAX ? (struct val){ .t = V_I64, .i = (int64_t)n }
                          : (struct val){ .t = V_F64, .d = (double)n };
}

struct val usage_tokens(const struct usage_sum *s, enum token_kind k)
{
    return whole(s->tok[k]);
}

struct val usage_total(const struct usage_sum *s)
{
    __int128 sum = 0;
    for (int k = 0; k < TK_REASONING; k++)
        sum += s->tok[k];
    return whole(sum);
}

struct val usage_cost(const struct usage_sum *s)
{
    return s->usd ? exact_val(s->usd) : VAL_ABSENT;
}

/* ---- calls ---- */

void calls_init(struct calls *c, struct run *r, const char *pipe)
{
    *c = (struct calls){ .r = r, .pipe = pipe };
    arena_init(&c->arena, RUN_BATCH_MAX);
    smap_init(&c->map, SMAP_BORROW);
}

void calls_deinit(struct calls *c)
{
    smap_deinit(&c->map);
    arena_deinit(&c->arena);
    mem_free(c->v);
    c->v = NULL;
    c->n = c->cap = 0;
}

/* does x tell more of the call than y? */
static bool better(const struct call *x, const struct call *y)
{
    int64_t a = tokens_total(&x->u.tok), b = tokens_total(&y->u.tok);
    if (a != b)
        return a > b;
    if (x->u.reported != y->u.reported)
        return x->u.reported;
    if (x->u.has_cost != y->u.has_cost)
        return x->u.has_cost;
    return x->t != y->t ? x->t < y->t : x->seq < y->seq;
}

static int calls_room(struct calls *c, struct err *err)
{
    uint32_t cap = c->cap ? c->cap * 2 : 64;
    struct call *v = mem_realloc(c->v, cap * sizeof *v);
    if (!v)
        return err_nomem(err);
    c->r->kept_bytes += (cap - c->cap) * (sizeof *v + 2 * sizeof(struct smap_slot));
    c->v = v;
    c->cap = cap;
    return run_room(c->r, c->pipe, err);
}

int calls_put(struct calls *c, const struct call *x, bool *ret_new, struct err *err)
{
    size_t before = c->arena.used;
    char *key = arena_alloc(&c->arena, sizeof x->scope + x->id.n);
    bool fresh;
    if (!key)
        return err_nomem(err);
    memcpy(key, &x->scope, sizeof x->scope);
    if (x->id.n)
        memcpy(key + sizeof x->scope, x->id.p, x->id.n);
    c->r->kept_bytes += c->arena.used - before;
    if (c->n == c->cap) {
        int rc = calls_room(c, err);
        if (rc)
            return rc;
    }
    uint64_t *at = smap_put(&c->map, (str){ key, sizeof x->scope + x->id.n }, &fresh);
    if (!at)
        return err_nomem(err);
    if (ret_new)
        *ret_new = fresh;
    if (fresh) {
        *at = c->n;
        c->v[c->n] = *x;
        c->v[c->n++].id = (str){ key + sizeof x->scope, x->id.n };
        return 0;
    }
    struct call *old = &c->v[*at];
    if (better(x, old)) {
        str id = old->id;
        *old = *x;
        old->id = id;
    }
    return 0;
}

/* ---- parsing ---- */

int entries_only(struct parser *p, const struct pipe *pipe)
{
    if (!p->schema)
        return 0;
    parse_error(p, pipe->pos, "'%s' looks at whole entries, and here are columns", pipe->def->name);
    err_hint(p->err, "put it in front of fields, stats and other pipes that make columns");
    return ERR_INVALID;
}

int schema_of(struct parser *p, const char *const *names, uint32_t n, uint64_t times,
              const struct schema **ret)
{
    struct schema *s = arena_zalloc(p->a, sizeof *s);
    if (!s || !(s->cols = arena_zalloc(p->a, n * sizeof *s->cols)))
        return err_nomem(p->err);
    for (; s->n < n; s->n++) {
        int rc = schema_computed(p, str_c(names[s->n]), times >> s->n & 1 ? F_TIMESTAMP : F_NONE,
                                 &s->cols[s->n]);
        if (rc)
            return rc;
    }
    *ret = s;
    return 0;
}
