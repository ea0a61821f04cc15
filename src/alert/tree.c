/* tree.c: building a document's tree, from JSON here, from YAML in yaml.c; asking it. */
#include "alert/tree.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "codec/json.h"

int tree_err(struct err *err, int code, uint32_t line, uint32_t col, const char *fmt, ...)
{
    char text[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(err, code, "line %u, column %u: %s", line, col, text);
}

/* ---- building ---- */

static int place(struct tree_builder *b, struct tree *t, struct err *err)
{
    struct tree *parent = b->depth ? b->open[b->depth - 1] : NULL;
    if (!parent) {
        if (b->root)
            return tree_err(err, ERR_INVALID, t->line, t->col, "there is more than one document");
        b->root = t;
        return 0;
    }
    if (parent->kind == TREE_MAP) {
        for (const struct tree *k = parent->first; k; k = k->next)
            if (str_eq(k->key, b->key))
                return tree_err(err, ERR_INVALID, t->line, t->col, "'%.*s' is given twice",
                                STR_FMT(str_sub(b->key, 0, 64)));
        t->key = b->key;
        b->has_key = false;
    }
    if (parent->last)
        parent->last->next = t;
    else
        parent->first = t;
    parent->last = t;
    parent->n++;
    return 0;
}

int tree_add(struct tree_builder *b, enum tree_kind kind, str text, bool plain, uint32_t line,
             uint32_t col, struct err *err)
{
    struct tree *parent = b->depth ? b->open[b->depth - 1] : NULL;
    if (parent && parent->kind == TREE_MAP && !b->has_key) {
        if (kind != TREE_TEXT)
            return tree_err(err, ERR_INVALID, line, col, "a name must be a text");
        b->key = arena_dup(b->a, text);
        b->has_key = true;
        return text.n && !b->key.p ? err_nomem(err) : 0;
    }
    if (++b->nodes > TREE_NODES_MAX)
        return tree_err(err, ERR_LIMIT, line, col, "more than %u values", TREE_NODES_MAX);
    struct tree *t = arena_zalloc(b->a, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->kind = kind;
    t->plain = plain;
    t->line = line;
    t->col = col;
    t->text = text.n ? arena_dup(b->a, text) : STR("");
    if (!t->text.p)
        return err_nomem(err);
    int rc = place(b, t, err);
    if (rc < 0 || kind == TREE_TEXT)
        return rc;
    if (b->depth == TREE_DEPTH_MAX)
        return tree_err(err, ERR_LIMIT, line, col, "nested deeper than %d", TREE_DEPTH_MAX);
    b->open[b->depth++] = t;
    return 0;
}

void tree_close(struct tree_builder *b)
{
    if (b->depth)
        b->depth--;
}

/* ---- JSON ---- */

struct place {
    const char *at;
    uint32_t line, col;
};

/* p moves forward only */
static void move_to(struct place *p, const char *to)
{
    for (; p->at < to; p->at++) {
        p->col += ((unsigned char)*p->at & 0xc0) != 0x80; /* characters, not bytes */
        if (*p->at == '\n') {
            p->line++;
            p->col = 1;
        }
    }
}

static int add_token(struct tree_builder *b, const struct json_tok *t, const struct place *p,
                     struct err *err)
{
    str text = t->raw;
    switch (t->type) {
    case JSON_OBJ: return tree_add(b, TREE_MAP, STR_NULL, true, p->line, p->col, err);
    case JSON_ARR: return tree_add(b, TREE_LIST, STR_NULL, true, p->line, p->col, err);
    case JSON_OBJ_END:
    case JSON_ARR_END: tree_close(b); return 0;
    case JSON_TRUE: text = STR("true"); break;
    case JSON_FALSE: text = STR("false"); break;
    case JSON_NULL: text = STR("null"); break;
    case JSON_KEY:
    case JSON_STR:
        text = json_unescape(t, b->a);
        if (t->raw.n && !text.p)
            return err_nomem(err);
        return tree_add(b, TREE_TEXT, text, false, p->line, p->col, err);
    default: break;
    }
    return tree_add(b, TREE_TEXT, text, true, p->line, p->col, err);
}

static int read_json(struct tree_builder *b, str text, struct err *err)
{
    struct json_rd rd;
    struct json_tok t;
    struct place p = { text.p, 1, 1 };
    json_init(&rd, text);
    for (;;) {
        int rc = json_next(&rd, &t, err);
        if (rc < 0) {
            struct err why = *err;
            if (why.pos >= 0 && (size_t)why.pos <= text.n)
                move_to(&p, text.p + why.pos);
            return tree_err(err, rc, p.line, p.col, "%.400s", why.msg);
        }
        if (t.type == JSON_END)
            break;
        /* the token ends where the reader stands; its text begins earlier when it has one */
        const char *at = t.raw.p && t.raw.p >= text.p && t.raw.p <= text.p + text.n
                             ? t.raw.p - (t.type == JSON_STR || t.type == JSON_KEY)
                             : rd.p - 1;
        move_to(&p, at);
        rc = add_token(b, &t, &p, err);
        if (rc < 0)
            return rc;
    }
    return b->root ? 0 : tree_err(err, ERR_INVALID, 1, 1, "there is nothing in it");
}

int tree_from_json(struct tree **ret, struct arena *a, str text, struct err *err)
{
    struct tree_builder b = { .a = a };
    if (text.n > TREE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "larger than %zu KiB", TREE_BYTES_MAX >> 10);
    char *copy = arena_alloc(a, text.n + BUF_PAD); /* the reader looks ahead */
    if (!copy)
        return err_nomem(err);
    memset(copy + text.n, 0, BUF_PAD);
    if (text.n)
        memcpy(copy, text.p, text.n);
    int rc = read_json(&b, str_n(copy, text.n), err);
    if (rc == 0)
        *ret = b.root;
    return rc;
}

/* ---- asking ---- */

const struct tree *tree_get(const struct tree *map, const char *key)
{
    if (!map || map->kind != TREE_MAP)
        return NULL;
    for (const struct tree *t = map->first; t; t = t->next)
        if (str_eq(t->key, str_c(key)))
            return t;
    return NULL;
}

bool tree_is_null(const struct tree *t)
{
    return !t || (t->kind == TREE_TEXT && t->plain &&
                  (!t->text.n || str_eq(t->text, STR("~")) || str_eq_ci(t->text, STR("null"))));
}

bool tree_bool(const struct tree *t, bool *ret)
{
    if (!t || t->kind != TREE_TEXT || !t->plain)
        return false;
    *ret = str_eq_ci(t->text, STR("true"));
    return *ret || str_eq_ci(t->text, STR("false"));
}

bool tree_number(const struct tree *t, double *ret)
{
    double d;
    if (!t || t->kind != TREE_TEXT || !t->plain || !str_to_f64(t->text, &d) || !isfinite(d))
        return false;
    *ret = d;
    return true;
}

static void put_text(struct buf *b, const struct tree *t)
{
    double d;
    bool flag;
    if (tree_is_null(t))
        buf_puts(b, "null");
    else if (tree_bool(t, &flag))
        buf_puts(b, flag ? "true" : "false");
    else if (tree_number(t, &d))
        json_put_f64(b, d);
    else
        json_put_str(b, t->text);
}

void tree_put_json(struct buf *b, const struct tree *t)
{
    if (t->kind == TREE_TEXT) {
        put_text(b, t);
        return;
    }
    buf_putc(b, t->kind == TREE_MAP ? '{' : '[');
    for (const struct tree *c = t->first; c; c = c->next) {
        if (c != t->first)
            buf_putc(b, ',');
        if (t->kind == TREE_MAP) {
            json_put_str(b, c->key);
            buf_putc(b, ':');
        }
        tree_put_json(b, c);
    }
    buf_putc(b, t->kind == TREE_MAP ? '}' : ']');
}
