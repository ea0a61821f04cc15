/* pairs.c: see pairs.h. */
#include "query/pairs.h"

#include "base/utf8.h"
#include "codec/json.h"
#include "model/field.h"
#include "model/pred_leaf.h"

void pairs_init(struct pairs *p)
{
    buf_init(&p->text, PAIRS_TEXT_MAX + 64);
    buf_init(&p->key, (PAIRS_DEPTH + 1) * (PAIRS_KEY_MAX * 2 + 1));
}

void pairs_deinit(struct pairs *p)
{
    buf_deinit(&p->text);
    buf_deinit(&p->key);
}

struct val pairs_value(str s)
{
    struct pred_bound n;
    struct val v = { .t = V_STR, .s = s.n ? s : STR("") };
    if (!s.n || s.p[0] == '+' || !pred_number(s, &n))
        return v;
    bool integral = true;
    for (size_t i = 0; i < s.n; i++)
        integral &= s.p[i] != '.' && (s.p[i] | 32) != 'e';
    switch (json_number(s, integral, &n.i, &n.d)) {
    case JNUM_I64: return (struct val){ .t = V_I64, .i = n.i };
    case JNUM_F64: return (struct val){ .t = V_F64, .d = n.d };
    default: return v;
    }
}

/* a pair whose key is one step */
static int take_flat(struct pairs *p, str key, struct val v, struct err *err)
{
    if (!key.n || key.n > PAIRS_KEY_MAX || p->n == PAIRS_MAX)
        return 0;
    p->n++;
    buf_reset(&p->key);
    field_put_step(&p->key, key);
    return buf_ok(&p->key) ? p->take(p->ctx, buf_str(&p->key), v, err) : err_nomem(err);
}

/* ---- JSON ---- */

/* scalars and arrays; ret->absent for null */
static int json_value(struct pairs *p, struct json_rd *r, const struct json_tok *t, struct val *ret,
                      struct err *err)
{
    struct err bad = ERR_INIT;
    str s;
    *ret = VAL_ABSENT;
    switch (t->type) {
    case JSON_TRUE:
    case JSON_FALSE: *ret = (struct val){ .t = V_BOOL, .b = t->type == JSON_TRUE }; return 0;
    case JSON_NUM: *ret = pairs_value(t->raw); break;
    case JSON_STR: *ret = (struct val){ .t = V_STR, .s = json_unescape(t, p->a) }; break;
    case JSON_OBJ:
    case JSON_ARR:
        if (json_skip(r, t, &s, &bad))
            return 0; /* the text was valid: not so deep */
        *ret = (struct val){ .t = V_JSON, .s = s };
        break;
    default: return 0;
    }
    if (t->type == JSON_NUM && ret->t == V_STR)
        ret->t = V_NUM;
    if (ret->t < V_STR)
        return 0;
    if (!ret->s.p && t->raw.n)
        return err_nomem(err);
    /* the copy of the text that is read does not last */
    ret->s = ret->s.n ? arena_dup(p->a, ret->s) : STR("");
    return ret->s.p ? 0 : err_nomem(err);
}

/* the members of the object that was opened; the buffer holds the key up to it */
static int json_members(struct pairs *p, struct json_rd *r, unsigned depth, struct err *err)
{
    struct err bad = ERR_INIT;
    struct json_tok t;
    size_t base = p->key.n;
    while (json_next(r, &t, &bad) == 0 && t.type == JSON_KEY) {
        str key = json_unescape(&t, p->a), skipped;
        struct val v;
        if (!key.p && t.raw.n)
            return err_nomem(err);
        if (json_next(r, &t, &bad))
            return 0;
        buf_truncate(&p->key, base);
        field_put_step(&p->key, key);
        bool wanted = key.n && key.n <= PAIRS_KEY_MAX && p->n < PAIRS_MAX;
        int rc = buf_ok(&p->key) ? 0 : err_nomem(err);
        if (!wanted) {
            rc = rc ? rc : json_skip(r, &t, &skipped, &bad) ? 1 : 0;
        } else if (t.type == JSON_OBJ && depth < PAIRS_DEPTH) {
            rc = rc ? rc : json_members(p, r, depth + 1, err);
        } else {
            rc = rc ? rc : json_value(p, r, &t, &v, err);
            p->n += !rc && !v.absent;
            if (!rc && !v.absent)
                rc = p->take(p->ctx, buf_str(&p->key), v, err);
        }
        if (rc)
            return rc < 0 ? rc : 0;
    }
    return 0;
}

static int read_json(struct pairs *p, str text, struct err *err)
{
    struct err bad = ERR_INIT;
    struct json_rd r;
    struct json_tok t;
    text = str_trim(text);
    if (!text.n || text.p[0] != '{')
        return 0;
    buf_reset(&p->text); /* the reader wants its room behind the text */
    buf_putstr(&p->text, text);
    if (!buf_ok(&p->text))
        return err_nomem(err);
    if (!json_valid(buf_str(&p->text)))
        return 0;
    json_init(&r, buf_str(&p->text));
    if (json_next(&r, &t, &bad))
        return 0;
    buf_reset(&p->key);
    return json_members(p, &r, 1, err);
}

/* ---- logfmt, and looser pairs ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Past the quote at s[*i]; *ret is what stands between, without its backslashes. */
static int quoted(struct pairs *p, str s, size_t *i, str *ret, struct err *err)
{
    char q = s.p[*i];
    size_t from = ++*i, n = 0;
    bool escaped = false;
    for (; *i < s.n && s.p[*i] != q; ++*i) {
        if (s.p[*i] == '\\' && *i + 1 < s.n) {
            escaped = true;
            ++*i;
        }
    }
    *ret = str_sub(s, from, *i - from);
    *i += *i < s.n;
    if (!escaped)
        return 0;
    char *to = arena_alloc(p->a, ret->n);
    if (!to)
        return err_nomem(err);
    for (size_t k = 0; k < ret->n; k++) {
        char c = ret->p[k];
        if (c == '\\' && k + 1 < ret->n) {
            c = ret->p[++k];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        to[n++] = c;
    }
    *ret = (str){ to, n };
    return 0;
}

static int read_logfmt(struct pairs *p, str s, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < s.n && !rc && p->n < PAIRS_MAX;) {
        size_t from = i;
        str key, value;
        while (i < s.n && !is_blank(s.p[i]) && s.p[i] != '=' && s.p[i] != '"')
            i++;
        key = str_sub(s, from, i - from);
        if (i == s.n)
            break;
        if (s.p[i] == '"') { /* a text that is no value */
            rc = quoted(p, s, &i, &value, err);
            continue;
        }
        if (s.p[i++] != '=')
            continue;
        if (i < s.n && s.p[i] == '"') {
            rc = quoted(p, s, &i, &value, err);
            if (!rc)
                rc = take_flat(p, key, (struct val){ .t = V_STR, .s = value.n ? value : STR("") },
                               err);
            continue;
        }
        from = i;
        while (i < s.n && !is_blank(s.p[i]))
            i++;
        rc = take_flat(p, key, pairs_value(str_sub(s, from, i - from)), err);
    }
    return rc;
}

static bool key_byte(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
    return letter || (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

/* Where the value begins of the key that ends at i; 0 when there is no '=' or ':' behind it. */
static size_t value_at(str s, size_t i)
{
    size_t k = i;
    if (k < s.n && s.p[k] == ':') {
        if (k + 1 < s.n && (s.p[k + 1] == '/' || s.p[k + 1] == ':'))
            return 0; /* http://, std::string */
    } else {
        while (k < s.n && is_blank(s.p[k]))
            k++;
        if (k == s.n || s.p[k] != '=' || (k + 1 < s.n && s.p[k + 1] == '='))
            return 0;
    }
    k++;
    while (k < s.n && is_blank(s.p[k]))
        k++;
    return k < s.n ? k : 0;
}

static int read_kv(struct pairs *p, str s, struct err *err)
{
    int rc = 0;
    for (size_t i = 0, from; i < s.n && !rc && p->n < PAIRS_MAX;) {
        if (!key_byte(s.p[i], true)) {
            /* what begins with a digit is no key, nor is its rest */
            do
                i++;
            while (i < s.n && key_byte(s.p[i - 1], false) && key_byte(s.p[i], false));
            continue;
        }
        for (from = i; i < s.n && key_byte(s.p[i], false);)
            i++;
        str key = str_sub(s, from, i - from), value;
        size_t at = value_at(s, i);
        if (!at)
            continue;
        if (s.p[at] == '"' || s.p[at] == '\'') {
            i = at;
            rc = quoted(p, s, &i, &value, err);
            if (!rc)
                rc = take_flat(p, key, (struct val){ .t = V_STR, .s = value.n ? value : STR("") },
                               err);
            continue;
        }
        for (i = at; i < s.n && !is_blank(s.p[i]) && !strchr(",;&|)]}", s.p[i]);)
            i++;
        if (i > at)
            rc = take_flat(p, key, pairs_value(str_sub(s, at, i - at)), err);
    }
    return rc;
}

int pairs_read(struct pairs *p, enum pairs_form form, str text, struct err *err)
{
    p->n = 0;
    if (text.n > PAIRS_TEXT_MAX)
        return 0;
    switch (form) {
    case PAIRS_JSON: return read_json(p, text, err);
    case PAIRS_LOGFMT: return read_logfmt(p, text, err);
    default: return read_kv(p, text, err);
    }
}

/* ---- templates ---- */

static int bad_template(struct err *err, size_t pos, const char *why)
{
    return err_at(err, ERR_INVALID, (int64_t)pos, "%s", why);
}

/* the length of "<name>" at s, 0 when a '<' there is a character */
static size_t place_len(str s)
{
    size_t n = 1;
    while (n < s.n && key_byte(s.p[n], n == 1))
        n++;
    return n > 1 && n < s.n && s.p[n] == '>' ? n + 1 : 0;
}

int text_template_parse(struct text_template *t, struct arena *a, str text, struct err *err)
{
    char *lit = arena_alloc(a, text.n + 1);
    size_t n = 0, from = 0;
    *t = (struct text_template){ .lit = arena_array(a, TEMPLATE_PLACES_MAX + 1, sizeof *t->lit),
                                 .name = arena_array(a, TEMPLATE_PLACES_MAX, sizeof *t->name) };
    if (!lit || !t->lit || !t->name)
        return err_nomem(err);
    for (size_t i = 0; i < text.n;) {
        size_t len = text.p[i] == '<' ? place_len(str_skip(text, i)) : 0;
        if (!len) {
            i += text.p[i] == '<' && i + 1 < text.n && text.p[i + 1] == '<'; /* << is a < */
            lit[n++] = text.p[i++];
            continue;
        }
        if (t->n && n == from)
            return bad_template(err, i, "between two places of a template there must be a text");
        if (t->n == TEMPLATE_PLACES_MAX)
            return bad_template(err, i, "more than 32 places in a template");
        t->lit[t->n] = (str){ lit + from, n - from };
        t->name[t->n++] = str_sub(text, i + 1, len - 2);
        from = n;
        i += len;
    }
    if (!t->n)
        return bad_template(err, 0, "a template needs a place such as <ms>");
    t->lit[t->n] = (str){ lit + from, n - from };
    return 0;
}

bool text_template_match(const struct text_template *t, str text, str *ret)
{
    size_t at = t->lit[0].n ? str_find(text, t->lit[0]) : 0;
    if (at == SIZE_MAX)
        return false;
    at += t->lit[0].n;
    for (uint32_t i = 0; i < t->n; i++) {
        str rest = str_skip(text, at), behind = t->lit[i + 1];
        size_t n = behind.n ? str_find(rest, behind) : rest.n;
        if (n == SIZE_MAX)
            return false;
        ret[i] = str_sub(rest, 0, n);
        at += n + behind.n;
    }
    return true;
}
