/* view_row.c: collecting a row and writing it back as nested objects.
 *
 * Members sorted by (tree, path): PATH_SEP is below every byte that can stand in its place, so all
 * members under one step are one run, and an object is written by walking runs, depth by depth.
 * Everything is as deep as what was stored; stored depth is bounded by ingest and, against damaged
 * bytes, by TREE_DEPTH here: deeper steps stay joined in one key. */
#include "model/view_row.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "model/spell.h"
#include "model/view.h"

#define TREE_DEPTH 64
#define REST_KEYS_MAX ((size_t)64 << 20)

/* fields a client never sends under their own column */
#define NOT_SENT                                                                                   \
    (1ull << F_SEQ | 1ull << F_RECEIVED_AT | 1ull << F_KEY_ID | 1ull << F_SHAPE | 1ull << F_REST | \
     1ull << F_RESOLVED | 1ull << F_RESOLVED_BY | 1ull << F_RESOLVED_AT | 1ull << F_NOTE)

int view_done(const struct buf *b, struct err *err)
{
    if (buf_ok(b))
        return 0;
    if (b->bad == BUF_LIMIT)
        return err_set(err, ERR_LIMIT, "the answer is larger than %zu bytes", b->max);
    return err_nomem(err);
}

/* ---- collecting ---- */

static struct member *add_attr(struct row *r, str path)
{
    if (r->nattr + F__COUNT + 1 >= r->cap) {
        uint32_t cap = r->cap * 4;
        struct member *heap = mem_array((size_t)cap * 2, sizeof *heap);
        if (!heap)
            return NULL;
        memcpy(heap, r->attr, r->nattr * sizeof *heap);
        mem_free(r->heap);
        r->heap = r->attr = heap;
        r->m = heap + cap;
        r->cap = cap;
    }
    struct member *m = &r->attr[r->nattr++];
    m->path = path;
    m->tree = TREE_TOP;
    m->field = F_NONE;
    m->done = false;
    return m;
}

/* one member of column rest */
static int add_rest(struct row *r, const struct json_tok *key, str value, struct err *err)
{
    str k = json_unescape(key, &r->keys);
    if (!k.p && key->raw.n)
        return err_nomem(err);
    if (k.n && k.p[0] == PATH_SEP) {
        struct member *m = add_attr(r, str_skip(k, 1));
        if (!m)
            return err_nomem(err);
        m->v = (struct val){ .t = V_JSON, .s = value };
        return 0;
    }
    enum field f = field_by_key(k);
    if (f != F_NONE) {
        r->sent[f] = value;
        r->has_sent |= 1ull << f;
    }
    return 0;
}

static int open_rest(struct row *r, str text, struct err *err)
{
    struct json_rd rd;
    struct json_tok t, key;
    struct err bad = ERR_INIT;
    /* the tokenizer may look past the end of its text, a block's bytes may end there */
    char *copy = arena_alloc(&r->keys, text.n + BUF_PAD);
    if (!copy)
        return err_nomem(err);
    memcpy(copy, text.p, text.n);
    memset(copy + text.n, 0, BUF_PAD);
    json_init(&rd, (str){ copy, text.n });
    if (json_next(&rd, &t, &bad) || t.type != JSON_OBJ)
        return 0; /* damaged: shown without */
    while (json_next(&rd, &key, &bad) == 0 && key.type == JSON_KEY) {
        str value;
        if (json_next(&rd, &t, &bad) || json_skip(&rd, &t, &value, &bad))
            return 0;
        int rc = add_rest(r, &key, value, err);
        if (rc)
            return rc;
    }
    return 0;
}

int row_open(struct row *r, struct block *b, uint32_t row, struct err *err)
{
    r->has = r->has_sent = 0;
    r->attr = r->room;
    r->m = r->room + ROW_INLINE;
    r->cap = ROW_INLINE;
    r->nattr = r->nm = 0;
    r->heap = NULL;
    arena_init(&r->keys, REST_KEYS_MAX);
    for (uint32_t i = 0; i < b->ncols; i++) {
        const struct colv *c;
        if (!b->cols[i].nvals)
            continue;
        int rc = block_load(b, i, &c, err);
        if (rc)
            return rc;
        if (!colv_has(c, row))
            continue;
        str key = b->cols[i].key;
        if (key.n && key.p[0] == PATH_SEP) {
            struct member *m = add_attr(r, str_skip(key, 1));
            if (!m)
                return err_nomem(err);
            m->v = colv_val(c, row);
            continue;
        }
        enum field f = field_by_key(key);
        if (f == F_NONE || row_has(r, f))
            continue;
        r->field[f] = colv_val(c, row);
        r->has |= 1ull << f;
    }
    if (!row_has(r, F_ID)) {
        int rc = block_get_field(b, row, F_ID, &r->field[F_ID], err);
        if (rc)
            return rc;
    }
    shape_parse(row_text(r, F_SHAPE), &r->shape);
    if (row_has(r, F_REST) && r->field[F_REST].t == V_JSON)
        return open_rest(r, r->field[F_REST].s, err);
    return 0;
}

void row_close(struct row *r)
{
    mem_free(r->heap);
    arena_deinit(&r->keys);
}

str row_text(const struct row *r, enum field f)
{
    return row_has(r, f) && r->field[f].t >= V_STR ? r->field[f].s : STR_NULL;
}

enum level row_level(const struct row *r)
{
    int64_t lv =
        row_has(r, F_LEVEL) && r->field[F_LEVEL].t == V_I64 ? r->field[F_LEVEL].i : LV_INFO;
    return lv >= 0 && lv < LV__COUNT ? (enum level)lv : LV_INFO;
}

/* ---- arranging ---- */

static int member_cmp(const struct member *a, const struct member *b)
{
    return a->tree != b->tree ? (a->tree > b->tree) - (a->tree < b->tree)
                              : str_cmp(a->path, b->path);
}

static int member_qsort(const void *a, const void *b)
{
    return member_cmp(a, b);
}

/* Columns come in much the same order for every row of a block: insertion is quick for few. */
static void members_sort(struct row *r)
{
    if (r->nm > 64) {
        qsort(r->m, r->nm, sizeof *r->m, member_qsort);
    } else {
        for (uint32_t i = 1; i < r->nm; i++) {
            if (member_cmp(&r->m[i - 1], &r->m[i]) <= 0)
                continue;
            struct member x = r->m[i];
            uint32_t k = i;
            for (; k && member_cmp(&r->m[k - 1], &x) > 0; k--)
                r->m[k] = r->m[k - 1];
            r->m[k] = x;
        }
    }
    uint32_t n = 0; /* one value may have fed two fields: it is one member */
    for (uint32_t i = 0; i < r->nm; i++)
        if (!n || member_cmp(&r->m[n - 1], &r->m[i]) != 0)
            r->m[n++] = r->m[i];
    r->nm = n;
}

static str first_step(str path)
{
    size_t n = str_chr(path, PATH_SEP);
    return n == SIZE_MAX ? path : str_sub(path, 0, n);
}

/* puts a path of the client's object into its container's tree when it leads there */
static void place(const struct row *r, struct member *m)
{
    str step = first_step(m->path);
    m->tree = TREE_TOP;
    for (uint32_t i = 0; i < r->shape.ncontainers; i++)
        if (step.n < m->path.n && str_eq(step, r->shape.containers[i])) {
            m->tree = (int)i;
            m->path = str_skip(m->path, step.n + 1);
            return;
        }
}

static void add_field(struct row *r, enum field f)
{
    struct member *m = &r->m[r->nm++];
    const struct shape_item *it = r->shape.listed >> f & 1 ? &r->shape.f[f] : NULL;
    m->path = it && it->path.n ? it->path : field_table[f].name;
    m->field = f;
    m->done = false;
    m->v = row_has(r, f) ? r->field[f] : VAL_ABSENT;
    place(r, m);
}

/* a field whose stored form was left out because it is the default, but which was sent */
static bool sent_default(const struct row *r, enum field f)
{
    return (f == F_KIND || f == F_STREAM) && !row_has(r, f) && r->shape.listed >> f & 1 &&
           r->shape.f[f].spelling.n;
}

void row_source(struct row *r)
{
    r->nm = 0;
    r->sourced = true;
    uint64_t sent = r->has & ~NOT_SENT & ~r->shape.filled;
    for (int f = 0; f < F__COUNT; f++)
        if ((sent | (r->has_sent & ~NOT_SENT)) >> f & 1 || sent_default(r, (enum field)f))
            add_field(r, (enum field)f);
    for (uint32_t i = 0; i < r->nattr; i++) {
        struct member *m = &r->m[r->nm++];
        *m = r->attr[i];
        str step = first_step(m->path), moved;
        int tree = shape_place(&r->shape, step, &moved);
        if (moved.p) {
            m->path = moved;
            place(r, m);
        } else if (tree >= 0) {
            m->tree = tree;
        } else {
            place(r, m);
        }
    }
    members_sort(r);
}

void row_attributes(struct row *r)
{
    r->sourced = false;
    memcpy(r->m, r->attr, r->nattr * sizeof *r->m);
    r->nm = r->nattr;
    members_sort(r);
}

bool row_find(const struct row *r, int tree, str key, uint32_t *ret_from, uint32_t *ret_to)
{
    uint32_t i = 0;
    for (; i < r->nm; i++)
        if (r->m[i].tree == tree && str_eq(first_step(r->m[i].path), key))
            break;
    uint32_t to = i;
    while (to < r->nm && r->m[to].tree == tree && str_eq(first_step(r->m[to].path), key))
        to++;
    *ret_from = i;
    *ret_to = to;
    return to > i;
}

/* ---- writing ---- */

void put_key(struct buf *b, str key, bool *first)
{
    if (!*first)
        buf_putc(b, ',');
    *first = false;
    json_put_str(b, key);
    buf_putc(b, ':');
}

static void put_path_key(struct buf *b, str step, bool *first)
{
    if (str_chr(step, PATH_ESC) == SIZE_MAX && str_chr(step, PATH_SEP) == SIZE_MAX) {
        put_key(b, step, first);
        return;
    }
    struct buf plain;
    buf_init(&plain, step.n + 16);
    for (size_t i = 0; i < step.n; i++) {
        if (step.p[i] == PATH_ESC && i + 1 < step.n)
            buf_putc(&plain, (char)(step.p[++i] - 0x10));
        else
            buf_putc(&plain, step.p[i] == PATH_SEP ? '.' : step.p[i]);
    }
    if (!buf_ok(&plain))
        b->bad = BUF_NOMEM;
    put_key(b, buf_str(&plain), first);
    buf_deinit(&plain);
}

/* A double stays one for its reader: 1.0, not 1. */
static void put_double(struct buf *out, double d)
{
    size_t at = out->n;
    json_put_f64(out, d);
    for (; at < out->n; at++)
        if (out->p[at] == '.' || out->p[at] == 'e' || out->p[at] == 'E')
            return;
    buf_puts(out, ".0");
}

void view_put_val(struct buf *out, enum field f, struct val v)
{
    if (f != F_NONE && v.t == V_I64) {
        if (field_table[f].flags & FF_TIME) {
            spell_put_time(out, v.i, STR_NULL);
            return;
        }
        if (f == F_LEVEL) {
            spell_put_level(out, v.i >= 0 && v.i < LV__COUNT ? (enum level)v.i : LV_INFO, STR_NULL);
            return;
        }
    }
    switch (v.t) {
    case V_BOOL: buf_puts(out, v.b ? "true" : "false"); break;
    case V_I64: buf_put_i64(out, v.i); break;
    case V_F64: put_double(out, v.d); break;
    case V_STR: json_put_str(out, v.s); break;
    case V_JSON:
    case V_NUM: buf_putstr(out, v.s); break;
    default: buf_puts(out, "null");
    }
}

void put_key_value(struct buf *b, str key, struct val v, enum field f, bool *first)
{
    put_key(b, key, first);
    view_put_val(b, f, v);
}

static int64_t tokens_of(const struct row *r, enum field f)
{
    return row_has(r, f) && r->field[f].t == V_I64 ? r->field[f].i : 0;
}

void row_put_value(struct buf *b, const struct row *r, const struct member *m)
{
    enum field f = m->field;
    if (f == F_NONE) {
        view_put_val(b, F_NONE, m->v);
        return;
    }
    if (r->has_sent >> f & 1) {
        buf_putstr(b, r->sent[f]);
        return;
    }
    const struct shape_item *it = r->shape.listed >> f & 1 ? &r->shape.f[f] : NULL;
    if (!it) {
        view_put_val(b, f, m->v);
    } else if (m->v.absent) {
        json_put_str(b, it->spelling);
    } else if (f == F_TIMESTAMP && m->v.t == V_I64) {
        spell_put_time(b, m->v.i, it->spelling);
    } else if (f == F_LEVEL && m->v.t == V_I64) {
        spell_put_level(b, row_level(r), it->spelling);
    } else if (it->flags & SHAPE_NUMBER && m->v.t == V_STR) {
        buf_putstr(b, m->v.s);
    } else if (it->flags & SHAPE_INCLUSIVE && m->v.t == V_I64) {
        buf_put_i64(b, (int64_t)((uint64_t)m->v.i + (uint64_t)tokens_of(r, F_TOKENS_CACHE_READ) +
                                 (uint64_t)tokens_of(r, F_TOKENS_CACHE_WRITE)));
    } else {
        view_put_val(b, f, m->v);
    }
}

/* Members [from, to) share the first `skip` bytes of their paths; writes them as members of an
 * object. */
static void put_run(struct buf *b, struct row *r, uint32_t from, uint32_t to, size_t skip,
                    int depth, bool *first)
{
    while (from < to) {
        struct member *m = &r->m[from];
        if (m->done) {
            from++;
            continue;
        }
        str path = str_skip(m->path, skip), step = first_step(path);
        if (step.n == path.n || depth >= TREE_DEPTH) {
            put_path_key(b, path, first);
            row_put_value(b, r, m);
            m->done = true;
            from++;
            continue;
        }
        uint32_t end = from + 1;
        while (end < to && str_starts(str_skip(r->m[end].path, skip), str_sub(path, 0, step.n + 1)))
            end++;
        put_path_key(b, step, first);
        buf_putc(b, '{');
        bool inner = true;
        put_run(b, r, from, end, skip + step.n + 1, depth + 1, &inner);
        buf_putc(b, '}');
        from = end;
    }
}

void row_put_member(struct buf *b, struct row *r, uint32_t from, uint32_t to, bool *first)
{
    put_run(b, r, from, to, 0, 0, first);
}

bool row_put_sent(struct buf *b, struct row *r, str key)
{
    uint32_t from, to;
    bool first = true;
    if (row_find(r, TREE_TOP, key, &from, &to)) {
        if (r->m[from].path.n == key.n) {
            row_put_value(b, r, &r->m[from]);
            return true;
        }
        buf_putc(b, '{');
        put_run(b, r, from, to, key.n + 1, 1, &first);
        buf_putc(b, '}');
        return true;
    }
    for (uint32_t i = 0; i < r->shape.ncontainers; i++) {
        if (!str_eq(r->shape.containers[i], key))
            continue;
        buf_putc(b, '{');
        row_put_tree(b, r, (int)i, &first);
        buf_putc(b, '}');
        return true;
    }
    return false;
}

void row_put_tree(struct buf *b, struct row *r, int tree, bool *first)
{
    uint32_t from = 0;
    while (from < r->nm && r->m[from].tree != tree)
        from++;
    uint32_t to = from;
    while (to < r->nm && r->m[to].tree == tree)
        to++;
    put_run(b, r, from, to, 0, 0, first);
    if (tree != TREE_TOP || !r->sourced)
        return;
    for (uint32_t i = 0; i < r->shape.ncontainers; i++) {
        uint32_t a, z;
        if (row_find(r, TREE_TOP, r->shape.containers[i], &a, &z))
            continue; /* damaged: a value stands where the container should */
        put_path_key(b, r->shape.containers[i], first);
        buf_putc(b, '{');
        bool inner = true;
        row_put_tree(b, r, (int)i, &inner);
        buf_putc(b, '}');
    }
}

void row_put_rest(struct buf *b, struct row *r, uint64_t skip, bool *first)
{
    row_attributes(r);
    uint64_t show = r->has & ~skip & ~NOT_SENT & ~(1ull << F_ID);
    for (int f = 0; f < F__COUNT; f++) {
        uint32_t from, to;
        if (show >> f & 1 && !row_find(r, TREE_TOP, field_table[f].name, &from, &to))
            put_key_value(b, field_table[f].name, r->field[f], (enum field)f, first);
    }
    row_put_tree(b, r, TREE_TOP, first);
}
