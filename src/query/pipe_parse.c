/* pipe_parse.c: `parse json|logfmt|kv [from f]`: what keys and values a text holds, as columns.
 *
 * The names are in the data, so this file is told what is asked of them: while the pipes behind are
 * parsed, every name that is not known otherwise is noted here (schema.c) and becomes a column. Of
 * a table those are all there are. Entries that reach the answer whole get the rest too: fields of
 * an entry and attributes that have a column take the place of what was there; all others go into
 * the column "rest" (model/field.h), so that no number of keys makes a number of columns. */
#include "codec/json.h"
#include "model/inside.h"
#include "query/pairs.h"
#include "query/pull.h"

struct named {
    struct fieldref match; /* of the keys that are it */
    struct pull_col col;
};

struct parse_args {
    struct parse_args *outer; /* a parse before this one: a name may be in its text too */
    enum pairs_form form;
    struct expr_prog *from;
    bool table; /* the rows are a table's */
    bool whole; /* entries that are looked at whole behind it */
    struct named *names;
    uint32_t n;
};

/* ---- names ---- */

static bool add_name(struct parse_args *p, struct arena *a, const struct fieldref *match,
                     const struct fieldref *ref, bool keep)
{
    struct named *more = arena_grow(a, p->names, p->n, p->n + 1, sizeof *more);
    if (!more)
        return false;
    more[p->n] = (struct named){ *match, { .ref = *ref } };
    if (keep)
        more[p->n].col.kept = *ref;
    p->names = more;
    p->n++;
    return true;
}

bool open_note_entry(struct parse_args *open, struct arena *a, const struct fieldref *f)
{
    if (schema_fixed(f->field))
        return true;
    for (struct parse_args *p = open; p; p = p->outer) {
        bool known = false;
        for (uint32_t i = 0; i < p->n && !known; i++)
            known = fieldref_matches(&p->names[i].col.ref, f->key, f->hash);
        if (!known && !add_name(p, a, f, f, true))
            return false;
    }
    return true;
}

void open_whole(struct parse_args *open)
{
    for (; open; open = open->outer)
        open->whole = true;
}

/* the keys that a column's name stands for */
static bool match_of(struct arena *a, const struct qname *n, struct fieldref *ret)
{
    static const str prefix = { "attributes.", 11 };
    str name = n->text;
    if (n->backticks) {
        *ret = fieldref_exact(n->key);
        return true;
    }
    if (str_starts(name, prefix))
        name = str_skip(name, prefix.n);
    if (!fieldref_make(a, name, true, ret))
        return false;
    ret->exact = false;
    return true;
}

static bool taken(const struct schema *s, const struct qcol *col)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (str_eq(s->cols[i].ref.key, col->ref.key))
            return true;
    return false;
}

static bool add_col(struct arena *a, const struct schema *where, const struct qcol *col)
{
    struct schema *s = (struct schema *)(uintptr_t)where; /* it is still being made */
    if (!s || !s->open || taken(s, col))
        return true;
    struct qcol *cols = arena_grow(a, s->cols, s->n, s->n + 1, sizeof *cols);
    if (!cols)
        return false;
    cols[s->n++] = *col;
    s->cols = cols;
    return true;
}

int open_note_column(struct parser *p, const struct qname *n, struct fieldref *ret)
{
    struct fieldref match;
    struct qcol col;
    /* no key a client can send: what lies below under that name must not shine through */
    char *z = arena_printf(p->a, "%c%c%.*s", PATH_SEP, PATH_ESC, STR_FMT(n->text));
    if (!z || !match_of(p->a, n, &match))
        return err_nomem(p->err);
    col = (struct qcol){ n->text, { .field = F_NONE, .key = str_c(z), .exact = true } };
    col.ref.hash = field_dotted_hash(col.ref.key);
    bool ok = add_col(p->a, p->schema, &col);
    for (struct parse_args *open = p->schema->open; open && ok; open = open->outer)
        ok = add_name(open, p->a, &match, &col.ref, true);
    for (const struct pipe *pipe = p->q->pipes; pipe && ok; pipe = pipe->next)
        ok = add_col(p->a, pipe->in, &col) && add_col(p->a, pipe->out, &col);
    *ret = col.ref;
    return ok ? 0 : err_nomem(p->err);
}

/* ---- parsing ---- */

static int parse_form(struct parser *p, enum pairs_form *ret)
{
    static const char *const names[] = { "json", "logfmt", "kv" };
    struct qname name;
    int rc = lex_name(p, &name, "json, logfmt or kv");
    if (rc)
        return rc;
    for (uint32_t i = 0; i < 3; i++) {
        if (str_eq(name.text, str_c(names[i]))) {
            *ret = (enum pairs_form)i;
            return 0;
        }
    }
    parse_error(p, name.pos, "'%.*s' is no form that parse reads", STR_FMT(name.text));
    err_hint(p->err, "there are json, logfmt and kv");
    parse_hint_near(p, name.text, names, 3);
    return ERR_INVALID;
}

/* a table's columns are names by themselves */
static int open_table(struct parser *p, struct parse_args *a, struct schema **ret)
{
    struct schema *s = arena_zalloc(p->a, sizeof *s);
    struct fieldref match;
    if (!s || !(s->cols = arena_array(p->a, p->schema->n + 1, sizeof *s->cols)))
        return err_nomem(p->err);
    s->n = p->schema->n;
    s->open = a;
    memcpy(s->cols, p->schema->cols, s->n * sizeof *s->cols);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct qcol *c = &s->cols[i];
        if (schema_fixed(c->ref.field))
            continue;
        if (!match_of(p->a, &(struct qname){ .text = c->name }, &match) ||
            !add_name(a, p->a, &match, &c->ref, true))
            return err_nomem(p->err);
    }
    *ret = s;
    return 0;
}

static int parse_parse(struct parser *p, struct pipe *pipe)
{
    struct parse_args *a = arena_zalloc(p->a, sizeof *a);
    if (!a)
        return err_nomem(p->err);
    pipe->args = a;
    int rc = parse_form(p, &a->form);
    if (!rc)
        rc = pull_parse_from(p, &a->from);
    if (rc)
        return rc;
    a->table = p->schema;
    a->outer = p->schema ? p->schema->open : p->open;
    p->renamed = true;
    if (p->schema) {
        struct schema *s = NULL;
        rc = open_table(p, a, &s);
        pipe->out = s;
        return rc;
    }
    p->open = a;
    return 0;
}

/* ---- running ---- */

struct reading {
    const struct parse_args *args;
    struct pairs pairs;
    struct pull_col *cols; /* the names', then the fields of entries */
    uint32_t n;
    int canon[F__COUNT]; /* by field: its column, -1 = none */
    bool whole;
    /* of a piece */
    struct pull *x;
    uint32_t row;
    struct dynamic { /* columns of the block that are covered */
        struct pull_col col;
        struct val *vals;
    } * more;
    uint32_t nmore;
    str *rest; /* by row: an object of what has no column; NULL: of none so far */
    /* of a row */
    uint64_t seen[PAIRS_MAX];
    uint32_t nseen;
    struct buf out;
};

static bool looked_at_whole(const struct pipe *p)
{
    const struct pipe *last = p;
    while (last->next)
        last = last->next;
    return !last->out;
}

static int take_pair(void *ctx, str key, struct val v, struct err *err);

static int parse_open(struct op *o, struct err *err)
{
    const struct parse_args *a = o->pipe->args;
    struct reading *d = arena_zalloc(&o->run->arena, sizeof *d);
    int rc = pull_open(o, err);
    if (!d)
        return run_nomem(o->run, "parse", err);
    ((struct pull_op *)o)->state = d;
    d->args = a;
    d->whole = !a->table && (a->whole || looked_at_whole(o->pipe));
    pairs_init(&d->pairs);
    buf_init(&d->out, PAIRS_TEXT_MAX * 8);
    d->pairs.take = take_pair;
    d->pairs.ctx = d;
    d->cols = arena_zalloc(&o->run->arena, (a->n + F__COUNT) * sizeof *d->cols);
    if (!d->cols)
        return run_nomem(o->run, "parse", err);
    for (uint32_t i = 0; i < a->n; i++)
        d->cols[d->n++] = a->names[i].col;
    for (int f = 0; f < F__COUNT; f++) {
        d->canon[f] = -1;
        for (uint32_t i = 0; i < a->n && !a->table; i++)
            if (a->names[i].match.field == (enum field)f)
                d->canon[f] = (int)i;
        if (d->canon[f] >= 0 || !d->whole || schema_fixed((enum field)f))
            continue;
        struct fieldref ref = { .field = (enum field)f, .key = field_table[f].name };
        ref.hash = field_dotted_hash(ref.key);
        d->cols[d->n] = (struct pull_col){ ref, ref };
        d->canon[f] = (int)d->n++;
    }
    return rc;
}

/* the field of an entry that a key names; F_NONE for those that stay what they are */
static enum field entry_field(str key)
{
    char name[32];
    if (key.n - 1 >= sizeof name)
        return F_NONE;
    for (size_t i = 1; i < key.n; i++)
        name[i - 1] = key.p[i] == PATH_SEP ? '.' : key.p[i];
    enum field f = field_by_name((str){ name, key.n - 1 });
    return f == F_NONE || schema_fixed(f) ? F_NONE : f;
}

/* a column the block has under this key, to be covered; UINT32_MAX: none */
static int covered(struct reading *d, str key, uint64_t hash, uint32_t *ret, struct err *err)
{
    struct pull *x = d->x;
    struct fieldref ref = { .field = F_NONE, .key = key, .hash = hash };
    uint32_t c;
    for (uint32_t i = 0; i < d->nmore; i++) {
        if (fieldref_matches(&d->more[i].col.ref, key, hash)) {
            *ret = i;
            return 0;
        }
    }
    *ret = UINT32_MAX;
    if (!block_find(x->b, &ref, &c, 1))
        return 0;
    struct dynamic *more = arena_grow(x->a, d->more, d->nmore, d->nmore + 1, sizeof *more);
    if (!more)
        return err_nomem(err);
    d->more = more;
    more[d->nmore] = (struct dynamic){ { ref, ref }, NULL };
    more[d->nmore].col.ref.key = more[d->nmore].col.kept.key = arena_dup(x->a, key);
    *ret = d->nmore++;
    return more[*ret].col.ref.key.p ? 0 : err_nomem(err);
}

/* pull_put for a column that is not among those known beforehand */
static int put_more(struct reading *d, uint32_t i, struct val v, struct err *err)
{
    struct pull x = *d->x;
    x.cols = &d->more[i].col;
    x.vals = &d->more[i].vals;
    return pull_put(&x, 0, d->row, v, err);
}

static int put_rest(struct reading *d, str key, const struct val *v, struct err *err)
{
    struct buf *b = &d->out;
    (void)err;
    buf_putc(b, b->n ? ',' : '{');
    json_put_str(b, key);
    buf_putc(b, ':');
    switch (v->t) {
    case V_BOOL: buf_puts(b, v->b ? "true" : "false"); break;
    case V_I64: buf_put_i64(b, v->i); break;
    case V_F64: json_put_f64(b, v->d); break;
    case V_STR: json_put_str(b, v->s); break;
    default: buf_putstr(b, v->s);
    }
    return 0;
}

/* of a key that stands there twice the first counts */
static bool seen(struct reading *d, uint64_t hash)
{
    for (uint32_t i = 0; i < d->nseen; i++)
        if (d->seen[i] == hash)
            return true;
    d->seen[d->nseen++] = hash;
    return false;
}

/* Of an array nothing but what the name looks for in it; whole entries have the array itself. */
static int take_inside(struct reading *d, uint32_t i, str key, uint64_t hash, str json,
                       struct err *err)
{
    const struct fieldref *f = &d->args->names[i].match;
    struct val v;
    str way;
    if (!inside_of(f, key, hash, &way))
        return 0;
    int rc = inside_value(json, way, f->exact, d->x->a, &v, err);
    return rc || v.absent ? rc : pull_put(d->x, i, d->row, v, err);
}

static int take_pair(void *ctx, str key, struct val v, struct err *err)
{
    struct reading *d = ctx;
    const struct parse_args *a = d->args;
    uint64_t hash = field_dotted_hash(key);
    if (seen(d, hash))
        return 0;
    enum field f = a->table ? F_NONE : entry_field(key);
    if (f != F_NONE)
        return d->canon[f] < 0 ? 0 : pull_put(d->x, (uint32_t)d->canon[f], d->row, v, err);
    bool known = false;
    int rc = 0;
    for (uint32_t i = 0; i < a->n && !rc; i++) {
        if (fieldref_matches(&a->names[i].match, key, hash)) {
            known = true;
            rc = pull_put(d->x, i, d->row, v, err);
        } else if (!d->whole && v.t == V_JSON) {
            rc = take_inside(d, i, key, hash, v.s, err);
        }
    }
    if (rc || known || !d->whole)
        return rc;
    uint32_t at;
    rc = covered(d, key, hash, &at, err);
    if (rc)
        return rc;
    return at == UINT32_MAX ? put_rest(d, key, &v, err) : put_more(d, at, v, err);
}

static int parse_begin(struct pull *x, struct err *err)
{
    struct reading *d = x->ctx;
    (void)err;
    d->x = x;
    d->pairs.a = x->a;
    d->more = NULL;
    d->nmore = 0;
    d->rest = NULL;
    return 0;
}

static int parse_row(struct pull *x, str text, uint32_t row, struct err *err)
{
    struct reading *d = x->ctx;
    d->row = row;
    d->nseen = 0;
    buf_reset(&d->out);
    int rc = pairs_read(&d->pairs, d->args->form, text, err);
    if (rc || !d->out.n)
        return rc;
    buf_putc(&d->out, '}');
    if (!d->rest) {
        d->rest = arena_zalloc(x->a, x->n * sizeof *d->rest);
        if (!d->rest)
            return err_nomem(err);
    }
    if (!buf_ok(&d->out))
        return err_nomem(err);
    /* whoever reads JSON wants room behind it */
    char *own = arena_alloc(x->a, d->out.n + BUF_PAD);
    if (!own)
        return err_nomem(err);
    memcpy(own, d->out.p, d->out.n + BUF_PAD);
    d->rest[row] = (str){ own, d->out.n };
    return 0;
}

/* the members of `old` that `fresh` has not, behind those of it */
static int join_rest(struct reading *d, str fresh, str old, struct val *ret, struct err *err)
{
    struct err bad = ERR_INIT;
    struct json_rd r;
    struct json_tok t;
    struct arena *a = d->x->a;
    str value;
    buf_reset(&d->out);
    buf_putstr(&d->out, str_sub(fresh, 0, fresh.n - 1));
    json_init(&r, old);
    int rc = json_next(&r, &t, &bad);
    while (!rc && json_next(&r, &t, &bad) == 0 && t.type == JSON_KEY) {
        struct val has;
        struct fieldref ref = { .field = F_NONE, .key = json_unescape(&t, a) };
        if (!ref.key.p && t.raw.n)
            return err_nomem(err);
        ref.hash = field_dotted_hash(ref.key);
        if (json_next(&r, &t, &bad) || json_skip(&r, &t, &value, &bad))
            break;
        rc = rest_value(fresh, &ref, a, &has, err);
        if (rc || !has.absent)
            continue;
        buf_putc(&d->out, ',');
        json_put_str(&d->out, ref.key);
        buf_putc(&d->out, ':');
        buf_putstr(&d->out, value);
    }
    buf_putc(&d->out, '}');
    if (rc)
        return rc;
    *ret = (struct val){ .t = V_JSON, .s = arena_dup(a, buf_str(&d->out)) };
    return buf_ok(&d->out) && ret->s.p ? 0 : err_nomem(err);
}

static int lay_rest(struct reading *d, const uint64_t *sel, struct block **at, struct err *err)
{
    struct pull *x = d->x;
    struct fieldref ref = { .field = F_REST, .key = field_table[F_REST].name };
    struct val *vals = arena_array(x->a, x->n, sizeof *vals);
    struct access old;
    ref.hash = field_dotted_hash(ref.key);
    int rc = vals ? access_open(&old, *at, &ref, err) : err_nomem(err);
    for (size_t i = bits_next(sel, 0, x->n); i < x->n && !rc; i = bits_next(sel, i + 1, x->n)) {
        rc = access_get(&old, (uint32_t)i, &vals[i], err);
        if (vals[i].t == V_NULL)
            vals[i] = VAL_ABSENT;
        if (rc || !d->rest[i].n)
            continue;
        if (vals[i].t == V_JSON)
            rc = join_rest(d, d->rest[i], vals[i].s, &vals[i], err);
        else
            vals[i] = (struct val){ .t = V_JSON, .s = d->rest[i] };
    }
    struct overlay_col col = { ref, vals };
    return rc ? rc : overlay_make(x->a, *at, sel, &col, 1, at, err);
}

static int parse_end(struct pull *x, const uint64_t *sel, struct block **at, struct err *err)
{
    struct reading *d = x->ctx;
    struct overlay_col *cols = arena_array(x->a, d->nmore + 1, sizeof *cols);
    uint32_t n = 0;
    if (!cols)
        return err_nomem(err);
    for (uint32_t i = 0; i < d->nmore; i++)
        if (d->more[i].vals)
            cols[n++] = (struct overlay_col){ d->more[i].col.ref, d->more[i].vals };
    int rc = n ? overlay_make(x->a, *at, sel, cols, n, at, err) : 0;
    return !rc && d->rest ? lay_rest(d, sel, at, err) : rc;
}

static int parse_push(struct op *o, const struct chunk *c, struct err *err)
{
    struct reading *d = ((struct pull_op *)o)->state;
    struct pull_how how = { .from = d->args->from,
                            .cols = d->cols,
                            .ncols = d->n,
                            .ctx = d,
                            .begin = parse_begin,
                            .row = parse_row,
                            .end = parse_end };
    return pull_push((struct pull_op *)o, c, &how, err);
}

static void parse_close(struct op *o)
{
    struct reading *d = ((struct pull_op *)o)->state;
    if (d) {
        pairs_deinit(&d->pairs);
        buf_deinit(&d->out);
    }
    pull_close(o);
}

bool parse_reads(const struct pipe *p, struct arena *a, struct schema *to)
{
    const struct parse_args *e = p->args;
    bool ok = pull_reads(e->from, NULL, 0, a, to);
    for (uint32_t i = 0; i < e->n && ok; i++)
        ok = pull_reads(e->from, &e->names[i].col, 1, a, to);
    return ok;
}

static const struct op_ops parse_ops = {
    sizeof(struct pull_op), parse_open, parse_push, NULL, parse_close, NULL
};
const struct pipe_def pipe_parse = { "parse",
                                     PIPE_ROWWISE,
                                     parse_parse,
                                     &parse_ops,
                                     "parse json|logfmt|kv [from EXPR]",
                                     "the keys and values in a text as columns" };
