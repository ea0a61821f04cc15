/* schema.c: which names mean what, at each point of a pipeline. */
#include "query/internal.h"

struct qcol *schema_find(const struct schema *s, str name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (str_eq(s->cols[i].name, name))
            return &s->cols[i];
    return NULL;
}

/* for the unknown_field warning */
static int note_ref(struct parser *p, const struct fieldref *f, int64_t pos)
{
    struct query *q = p->q;
    q->names_marks |= f->field == F_RESOLVED || f->field == F_RESOLVED_BY ||
                      f->field == F_RESOLVED_AT || f->field == F_NOTE;
    if (f->field != F_NONE || p->renamed)
        return 0;
    struct fieldref *refs = arena_grow(p->a, q->refs, q->nrefs, q->nrefs + 1, sizeof *refs);
    int64_t *at = arena_grow(p->a, q->ref_pos, q->nrefs, q->nrefs + 1, sizeof *at);
    if (!refs || !at)
        return err_nomem(p->err);
    refs[q->nrefs] = *f;
    at[q->nrefs++] = pos;
    q->refs = refs;
    q->ref_pos = at;
    return 0;
}

/* "the columns are a, b, c", as many as fit */
static void hint_columns(struct parser *p, const char *const *names, uint32_t n)
{
    char list[ERR_HINT_MAX - 24] = "";
    size_t at = 0;
    uint32_t k = 0;
    for (; k < n; k++) {
        size_t w = strlen(names[k]) + (k ? 2 : 0);
        if (at + w + 6 > sizeof list)
            break;
        memcpy(list + at, ", ", 2);
        memcpy(list + at + (k ? 2 : 0), names[k], strlen(names[k]) + 1);
        at += w;
    }
    if (k)
        err_hint(p->err, "the columns are %s%s", list, k < n ? ", ..." : "");
}

bool schema_ref(struct arena *a, const struct qname *n, struct fieldref *ret)
{
    if (!n->backticks)
        return fieldref_make(a, n->text, false, ret);
    *ret = fieldref_exact(n->key);
    return true;
}

int schema_resolve(struct parser *p, const struct qname *n, struct fieldref *ret)
{
    if (!schema_ref(p->a, n, ret))
        return err_nomem(p->err);
    if (!p->schema)
        return p->open && !open_note_entry(p->open, p->a, ret) ? err_nomem(p->err)
                                                               : note_ref(p, ret, n->pos);
    struct qcol *c = schema_find(p->schema, n->text);
    for (uint32_t i = 0; i < p->schema->n && !c; i++)
        if (str_eq(p->schema->cols[i].ref.key, ret->key))
            c = &p->schema->cols[i];
    if (c) {
        *ret = c->ref;
        return 0;
    }
    if (p->schema->open)
        return open_note_column(p, n, ret);
    const char *names[64];
    uint32_t k = 0;
    for (; k < p->schema->n && k < 64; k++)
        if (!(names[k] = arena_strz(p->a, p->schema->cols[k].name)))
            return err_nomem(p->err);
    parse_error(p, n->pos, "there is no column '%.*s' here", STR_FMT(n->text));
    hint_columns(p, names, k);
    parse_hint_near(p, n->text, names, k);
    return ERR_INVALID;
}

int schema_computed(struct parser *p, str name, enum field field, struct qcol *ret)
{
    ret->name = name;
    if (!fieldref_make(p->a, name, true, &ret->ref))
        return err_nomem(p->err);
    ret->ref.field = field;
    return 0;
}

/* fields the store, its order or its marks depend on */
bool schema_fixed(enum field f)
{
    return f == F_SEQ || f == F_ID || f == F_LEVEL || f == F_KEY_ID ||
           (f != F_NONE && field_table[f].flags & (FF_TIME | FF_VIRTUAL | FF_INTERNAL));
}

static int entry_target(struct parser *p, const struct qname *name, struct fieldref *ret)
{
    if (!schema_ref(p->a, name, ret))
        return err_nomem(p->err);
    if (!schema_fixed(ret->field))
        return 0;
    parse_error(p, name->pos, "an entry's '%.*s' cannot be computed", STR_FMT(name->text));
    err_hint(p->err, "give it another name, or pick columns with `fields` first");
    return ERR_INVALID;
}

static bool key_taken(const struct schema *s, str key)
{
    for (uint32_t c = 0; c < s->n; c++)
        if (str_eq(s->cols[c].ref.key, key))
            return true;
    return false;
}

static int table_target(struct parser *p, str name, struct fieldref *ret)
{
    struct schema *s = arena_zalloc(p->a, sizeof *s);
    struct qcol col, *old;
    str key = name;
    if (!s)
        return err_nomem(p->err);
    s->cols = arena_array(p->a, p->schema->n + 1, sizeof *s->cols);
    if (!s->cols)
        return err_nomem(p->err);
    memcpy(s->cols, p->schema->cols, p->schema->n * sizeof *s->cols);
    s->n = p->schema->n;
    s->open = p->schema->open;
    old = schema_find(s, name);
    int rc = schema_computed(p, key, F_NONE, &col);
    /* a renamed column may lie under this name still */
    while (!rc && key_taken(s, col.ref.key)) {
        char *z = arena_printf(p->a, "%.*s'", STR_FMT(key));
        key = str_c(z);
        rc = z ? schema_computed(p, key, F_NONE, &col) : err_nomem(p->err);
    }
    if (rc)
        return rc;
    col.name = name;
    *ret = col.ref;
    if (old)
        *old = col;
    else
        s->cols[s->n++] = col;
    p->schema = s;
    return 0;
}

int schema_set(struct parser *p, const struct qname *name, struct fieldref *ret)
{
    return p->schema ? table_target(p, name->text, ret) : entry_target(p, name, ret);
}

int schema_check(struct parser *p, const struct schema *s, int64_t pos)
{
    for (uint32_t i = 1; i < s->n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(s->cols[i].name, s->cols[k].name) ||
                str_eq(s->cols[i].ref.key, s->cols[k].ref.key)) {
                parse_error(p, pos, "two columns are called '%.*s'", STR_FMT(s->cols[i].name));
                err_hint(p->err, "give one of them another name with `as`");
                return ERR_INVALID;
            }
    return 0;
}

bool schema_add(struct schema *s, struct arena *a, const struct fieldref *ref)
{
    struct qcol *cols = arena_grow(a, s->cols, s->n, s->n + 1, sizeof *cols);
    if (!cols)
        return false;
    cols[s->n++] = (struct qcol){ .ref = *ref };
    s->cols = cols;
    return true;
}
