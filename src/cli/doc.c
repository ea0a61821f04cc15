/* doc.c: tokens to a tree. Depth is bounded by the tokenizer (JSON_DEPTH_MAX). */
#include "cli/doc.h"

#include <string.h>

static struct jv *node(struct arena *a, const struct json_tok *t, str key)
{
    struct jv *v = arena_zalloc(a, sizeof(*v));
    if (!v)
        return NULL;
    v->type = t->type;
    v->key = key;
    v->text = t->type == JSON_STR ? json_unescape(t, a) : t->raw;
    return v->type == JSON_STR && !v->text.p && t->raw.n ? NULL : v;
}

/* the bracket just read: the tokenizer may stand some white space or a comma behind it */
static size_t back_to(const char *text, size_t at, const char *brackets)
{
    while (at > 0 && text[at - 1] != brackets[0] && text[at - 1] != brackets[1])
        at--;
    return at ? at - 1 : 0;
}

int doc_parse(struct jv **ret, struct arena *a, str text, struct err *err)
{
    struct jv *stack[JSON_DEPTH_MAX + 1], *tail[JSON_DEPTH_MAX + 1], *root = NULL;
    size_t start[JSON_DEPTH_MAX + 1];
    char *copy = arena_alloc(a, text.n + BUF_PAD);
    struct json_rd r;
    struct json_tok t;
    int depth = 0, rc;
    str key = STR_NULL;
    if (!copy)
        return err_nomem(err);
    if (text.n)
        memcpy(copy, text.p, text.n);
    memset(copy + text.n, 0, BUF_PAD);
    json_init(&r, (str){ copy, text.n });
    while ((rc = json_next(&r, &t, err)) == 0 && t.type != JSON_END) {
        if (t.type == JSON_KEY) {
            key = json_unescape(&t, a);
            continue;
        }
        if (t.type == JSON_OBJ_END || t.type == JSON_ARR_END) {
            depth--;
            stack[depth]->text = (str){ copy + start[depth],
                                        back_to(copy, json_offset(&r), "}]") + 1 - start[depth] };
            continue;
        }
        if (depth == 0 && root)
            return err_set(err, ERR_INVALID, "more than one JSON value");
        struct jv *v = node(a, &t, key);
        if (!v)
            return err_nomem(err);
        key = STR_NULL;
        if (depth == 0) {
            root = v;
        } else {
            struct jv *p = stack[depth - 1];
            if (p->first)
                tail[depth - 1]->next = v;
            else
                p->first = v;
            tail[depth - 1] = v;
            p->n++;
        }
        if (t.type == JSON_OBJ || t.type == JSON_ARR) {
            start[depth] = back_to(copy, json_offset(&r), "{[");
            stack[depth++] = v;
        }
    }
    if (rc < 0)
        return rc;
    if (!root)
        return err_set(err, ERR_INVALID, "empty where JSON was expected");
    *ret = root;
    return 0;
}

const struct jv *jv_get(const struct jv *object, const char *key)
{
    str want = str_c(key);
    if (!object || object->type != JSON_OBJ)
        return NULL;
    JV_EACH(v, object)
    if (str_eq(v->key, want))
        return v;
    return NULL;
}

str jv_str(const struct jv *v)
{
    return v && v->type == JSON_STR ? v->text : STR_NULL;
}

str jv_get_str(const struct jv *object, const char *key)
{
    return jv_str(jv_get(object, key));
}

bool jv_is(const struct jv *v, enum json_type type)
{
    return v && v->type == type;
}

double jv_num(const struct jv *v, double unset)
{
    double d;
    return v && v->type == JSON_NUM && str_to_f64(v->text, &d) ? d : unset;
}

int64_t jv_int(const struct jv *v, int64_t unset)
{
    int64_t i;
    if (v && v->type == JSON_NUM && str_to_i64(v->text, &i))
        return i;
    return (int64_t)jv_num(v, (double)unset);
}
