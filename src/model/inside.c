/* inside.c: see inside.h. JSON texts come from columns, so they are minified and well formed; bytes
 * from a damaged file end a walk early. Depth is bounded. */
#include "model/inside.h"

#include "model/pred_int.h"

#define DEPTH_MAX 64

bool inside_next(const struct fieldref *f, struct inside *i)
{
    char sep = f->exact ? PATH_SEP : '.';
    if (f->field != F_NONE || f->whole)
        return false;
    for (size_t k = i->at + 1; k < f->key.n; k++) {
        if (k == 1 || f->key.p[k] != sep)
            continue;
        *i = (struct inside){ .way = str_skip(f->key, k + 1), .at = k };
        i->outer =
            (struct fieldref){ .field = F_NONE, .key = str_sub(f->key, 0, k), .exact = f->exact };
        i->outer.hash = field_dotted_hash(i->outer.key);
        return true;
    }
    return false;
}

bool inside_of(const struct fieldref *f, str key, uint64_t hash, str *ret_way)
{
    struct inside in = { 0 };
    while (inside_next(f, &in)) {
        *ret_way = in.way;
        if (fieldref_matches(&in.outer, key, hash))
            return true;
    }
    return false;
}

uint32_t inside_cols(const struct block *b, const struct fieldref *f, uint32_t *ret, str *ret_way)
{
    struct inside in = { 0 };
    uint32_t n = 0;
    while (inside_next(f, &in))
        for (uint32_t c = 0; c < b->ncols && n < INSIDE_COLS; c++)
            if (b->cols[c].type == V_JSON && b->cols[c].hash == in.outer.hash &&
                fieldref_matches(&in.outer, b->cols[c].key, b->cols[c].hash)) {
                ret[n] = c;
                ret_way[n++] = in.way;
            }
    return n;
}

/* ---- the walk ---- */

struct walk {
    str json;
    struct buf *out;
    size_t from;    /* where the array begins in out */
    struct buf key; /* one with escapes */
    char sep;
    int rc;
    struct err *err;
};

/* Is the key the first step of `way`? *ret: what is behind it, .p NULL when nothing is. */
static bool is_step(const struct walk *w, str key, str way, str *ret)
{
    size_t at = 0;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        bool esc = c == PATH_SEP || c == PATH_ESC;
        if (esc && (at == way.n || way.p[at++] != PATH_ESC))
            return false;
        if (at == way.n || way.p[at++] != (esc ? (char)(c + 0x10) : c))
            return false;
    }
    *ret = at == way.n ? STR_NULL : str_skip(way, at + 1);
    return at == way.n || way.p[at] == w->sep;
}

static size_t string_end(str s, size_t i)
{
    for (i++; i < s.n && s.p[i] != '"'; i++)
        i += s.p[i] == '\\';
    return i < s.n ? i : s.n;
}

/* behind the value at i */
static size_t skip(str s, size_t i)
{
    size_t depth = 0;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            i = string_end(s, i);
        else if (c == '{' || c == '[')
            depth++;
        else if (!depth && (c == ',' || c == ']' || c == '}'))
            return i;
        else if (c == '}' || c == ']')
            depth--;
    }
    return s.n;
}

static void put(struct walk *w, str value)
{
    if (str_eq(value, STR("null")))
        return;
    buf_putc(w->out, w->out->n == w->from ? '[' : ',');
    buf_putstr(w->out, value);
}

static size_t walk_value(struct walk *w, size_t i, str way, unsigned depth);

/* the member whose key begins at i */
static size_t walk_member(struct walk *w, size_t i, str way, unsigned depth)
{
    str s = w->json, behind;
    size_t end = string_end(s, i), value = end + 2;
    str key = { s.p + i + 1, end - i - 1 };
    if (value > s.n)
        return s.n;
    if (str_chr(key, '\\') != SIZE_MAX) {
        buf_reset(&w->key);
        w->rc = w->rc ? w->rc : text_unescape(&w->key, key, w->err);
        key = buf_str(&w->key);
    }
    return is_step(w, key, way, &behind) ? walk_value(w, value, behind, depth + 1) : skip(s, value);
}

/* the value at i, in which `way` is looked for; .p NULL: it is wanted itself. Gives its end. */
static size_t walk_value(struct walk *w, size_t i, str way, unsigned depth)
{
    str s = w->json;
    char c = i < s.n ? s.p[i] : 0;
    if (depth == DEPTH_MAX || !(c == '[' || (c == '{' && way.p))) {
        size_t end = skip(s, i);
        if (!way.p && depth < DEPTH_MAX)
            put(w, str_sub(s, i, end - i));
        return end;
    }
    for (i++; i < s.n && s.p[i] != (c == '[' ? ']' : '}');) {
        size_t was = i;
        i = c == '[' ? walk_value(w, i, way, depth + 1) : walk_member(w, i, way, depth);
        if (i < s.n && s.p[i] == ',')
            i++;
        if (i == was)
            return s.n;
    }
    return i < s.n ? i + 1 : s.n;
}

int inside_array(struct buf *out, str json, str way, bool exact, struct err *err)
{
    struct walk w = {
        .json = json, .out = out, .from = out->n, .sep = exact ? PATH_SEP : '.', .err = err
    };
    buf_init(&w.key, json.n + BUF_PAD);
    walk_value(&w, 0, way, 0);
    buf_deinit(&w.key);
    if (out->n > w.from)
        buf_putc(out, ']');
    return w.rc ? w.rc : buf_ok(out) ? 0 : err_nomem(err);
}

int inside_value(str json, str way, bool exact, struct arena *a, struct val *ret, struct err *err)
{
    struct buf b;
    buf_init(&b, 2 * json.n + BUF_PAD);
    int rc = inside_array(&b, json, way, exact, err);
    *ret = VAL_ABSENT;
    if (!rc && b.n) {
        *ret = (struct val){ .t = V_JSON, .s = arena_dup(a, buf_str(&b)) };
        rc = ret->s.p ? 0 : err_nomem(err);
    }
    buf_deinit(&b);
    return rc;
}
