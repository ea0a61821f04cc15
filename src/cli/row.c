/* row.c: JSON rows to terminal lines and tables. */
#include "cli/row.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "base/utf8.h"

#define FIELDS_MAX 4096
#define AGENT_WIDTH_MAX 24
#define VALUE_CUT 96
#define MESSAGE_CUT 400
#define ROW_ARENA (256u << 20)

static int value_of(struct json_rd *r, const struct json_tok *tok, struct row_field *f,
                    struct arena *a, struct err *err)
{
    f->type = tok->type;
    f->text = tok->raw;
    switch (tok->type) {
    case JSON_STR:
        f->text = json_unescape(tok, a);
        return f->text.p || tok->raw.n == 0 ? 0 : err_nomem(err);
    case JSON_OBJ:
    case JSON_ARR: return json_skip(r, tok, &f->text, err);
    case JSON_TRUE: f->text = STR("true"); break;
    case JSON_FALSE: f->text = STR("false"); break;
    case JSON_NULL: f->text = STR("null"); break;
    default: break;
    }
    return 0;
}

int jrow_parse(struct jrow *ret, str line, struct arena *a, struct err *err)
{
    struct json_rd r;
    struct json_tok tok;
    struct row_field *f = NULL;
    uint32_t n = 0, cap = 0;
    json_init(&r, line);
    int rc = json_next(&r, &tok, err);
    if (rc < 0)
        return rc;
    if (tok.type != JSON_OBJ)
        return err_set(err, ERR_INVALID, "a row is not a JSON object");
    while ((rc = json_next(&r, &tok, err)) == 0 && tok.type == JSON_KEY) {
        if (n == FIELDS_MAX)
            return err_set(err, ERR_LIMIT, "a row has more than %d fields", FIELDS_MAX);
        if (n == cap) {
            f = arena_grow(a, f, n, cap ? cap * 2 : 32, sizeof(*f));
            cap = cap ? cap * 2 : 32;
            if (!f)
                return err_nomem(err);
        }
        f[n].name = json_unescape(&tok, a);
        if ((rc = json_next(&r, &tok, err)) < 0 || (rc = value_of(&r, &tok, &f[n], a, err)) < 0)
            return rc;
        n++;
    }
    ret->f = f;
    ret->n = n;
    return rc;
}

const struct row_field *jrow_find(const struct jrow *r, const char *name)
{
    str want = str_c(name);
    for (uint32_t i = 0; i < r->n; i++)
        if (str_eq(r->f[i].name, want))
            return &r->f[i];
    return NULL;
}

str jrow_text(const struct jrow *r, const char *name)
{
    const struct row_field *f = jrow_find(r, name);
    return f && f->type != JSON_NULL ? f->text : STR_NULL;
}

double jrow_num(const struct jrow *r, const char *name, double unset)
{
    double d;
    const struct row_field *f = jrow_find(r, name);
    return f && f->type == JSON_NUM && str_to_f64(f->text, &d) ? d : unset;
}

bool jrow_is_entry(const struct jrow *r)
{
    return jrow_find(r, "seq") && jrow_find(r, "timestamp") && jrow_find(r, "received_at");
}

/* ---- entries ---- */

void renderer_init(struct renderer *r, struct out *o, bool wide)
{
    r->o = o;
    r->agent_width = 8;
    r->brief = false;
    r->cut = o->term.tty && !wide;
}

void renderer_see(struct renderer *r, const struct jrow *row)
{
    int w = safe_width(jrow_text(row, "agent"));
    if (w > AGENT_WIDTH_MAX)
        w = AGENT_WIDTH_MAX;
    if (w > r->agent_width)
        r->agent_width = w;
}

static bool plain_value(str s)
{
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == 0x7f)
            return false;
    }
    return true;
}

static void put_cut(struct out *o, size_t n)
{
    char text[32];
    out_style(o, STYLE_DIM);
    out_printf(o, "%s(+%s)", term_utf8() ? "…" : "...", fmt_bytes(n, text));
    out_style(o, STYLE_NONE);
}

static void put_value(struct renderer *r, const struct row_field *f)
{
    str shown = f->text;
    bool quote = f->type == JSON_STR && !plain_value(f->text);
    if (r->cut && (int)shown.n > VALUE_CUT)
        shown = safe_cut(shown, VALUE_CUT);
    const char *mark = str_chr(f->text, '"') == SIZE_MAX ? "\"" : "'";
    if (quote)
        out_puts(r->o, mark);
    out_safe(r->o, shown);
    if (shown.n < f->text.n)
        put_cut(r->o, f->text.n - shown.n);
    if (quote)
        out_puts(r->o, mark);
}

static void put_pairs(struct renderer *r, str prefix, const struct row_field *f, int depth);

static void put_object(struct renderer *r, str prefix, str source, int depth)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    struct buf copy; /* the tokenizer wants room behind the text */
    buf_init(&copy, ROW_ARENA);
    buf_putstr(&copy, source);
    arena_init(&a, ROW_ARENA);
    if (buf_ok(&copy) && jrow_parse(&row, buf_str(&copy), &a, &err) == 0)
        for (uint32_t i = 0; i < row.n; i++)
            put_pairs(r, prefix, &row.f[i], depth);
    arena_deinit(&a);
    buf_deinit(&copy);
}

static void put_pairs(struct renderer *r, str prefix, const struct row_field *f, int depth)
{
    if (f->type == JSON_OBJ && depth < 6 && f->text.n > 2) {
        struct buf name;
        buf_init(&name, 64u << 10);
        buf_putstr(&name, prefix);
        if (prefix.n)
            buf_putc(&name, '.');
        buf_putstr(&name, f->name);
        put_object(r, buf_str(&name), f->text, depth + 1);
        buf_deinit(&name);
        return;
    }
    out_puts(r->o, "  ");
    out_style(r->o, STYLE_DIM);
    if (prefix.n) {
        out_safe(r->o, prefix);
        out_puts(r->o, ".");
    }
    out_safe(r->o, f->name);
    out_puts(r->o, "=");
    out_style(r->o, STYLE_NONE);
    put_value(r, f);
}

static bool listed(const char *const *names, str name)
{
    for (; names && *names; names++)
        if (str_eq(str_c(*names), name))
            return true;
    return false;
}

void render_rest(struct renderer *r, const struct jrow *row, const char *const *skip)
{
    static const char *const never[] = { "id",    "seq",     "received_at", "timestamp", "level",
                                         "agent", "message", "key_id",      NULL };
    /* whoever follows these asks for the trace; --wide shows them */
    static const char *const ids[] = { "span_id", "parent_id", "call_id", NULL };
    for (uint32_t i = 0; i < row->n; i++) {
        const struct row_field *f = &row->f[i];
        if (listed(never, f->name) || listed(skip, f->name) || (r->cut && listed(ids, f->name)))
            continue;
        if (str_eq(f->name, STR("kind")) && str_eq(f->text, STR("log")))
            continue;
        if (str_eq(f->name, STR("stream")) && str_eq(f->text, STR("default")))
            continue;
        if (str_eq(f->name, STR("attributes")) && f->type == JSON_OBJ)
            put_object(r, STR_NULL, f->text, 0);
        else
            put_pairs(r, STR_NULL, f, 0);
    }
}

static void put_time(struct out *o, str text)
{
    ts_ns t;
    char shown[TS_TEXT_MAX];
    out_style(o, STYLE_DIM);
    if (ts_parse_iso(text, &t))
        out_put(o, (str){ shown, ts_format(t, 3, shown) });
    else
        out_safe(o, text);
    out_style(o, STYLE_NONE);
}

void render_entry(struct renderer *r, const struct jrow *row)
{
    struct out *o = r->o;
    str level = jrow_text(row, "level"), agent = jrow_text(row, "agent");
    char upper[6] = ""; /* CRIT: the one name longer than the column */
    for (size_t i = 0; i < level.n && i < (level.n > 5 ? 4 : 5); i++)
        upper[i] = level.p[i] >= 'a' && level.p[i] <= 'z' ? (char)(level.p[i] - 32) : level.p[i];
    renderer_see(r, row);
    put_time(o, jrow_text(row, "timestamp"));
    out_puts(o, " ");
    out_style(o, style_of_level(level));
    out_safe(o, str_c(upper));
    out_style(o, STYLE_NONE);
    out_pad(o, 6 - safe_width(str_c(upper)));
    if (agent.n) {
        out_style(o, style_of_name(agent));
        out_safe(o, agent);
        out_style(o, STYLE_NONE);
    } else {
        out_puts(o, "-");
    }
    out_pad(o, r->agent_width - (agent.n ? safe_width(agent) : 1));
    out_puts(o, "  ");
    str message = jrow_text(row, "message");
    const char *skip[2] = { NULL, NULL };
    if (!message.n) { /* an event's name says what a message would */
        const char *stand_in[] = { "event", "operation" };
        for (int i = 0; i < 2 && !message.n; i++) {
            message = jrow_text(row, stand_in[i]);
            skip[0] = message.n ? stand_in[i] : NULL;
        }
    }
    str shown = r->cut && message.n > MESSAGE_CUT ? safe_cut(message, MESSAGE_CUT) : message;
    out_safe(o, shown);
    if (shown.n < message.n)
        put_cut(o, message.n - shown.n);
    render_rest(r, row, skip);
    out_line(o);
}

/* ---- pretty JSON ---- */

static void pretty_break(struct out *o, int indent)
{
    out_puts(o, "\n");
    out_pad(o, indent);
}

static void put_token(struct out *o, const struct json_tok *t)
{
    switch (t->type) {
    case JSON_KEY:
    case JSON_STR:
        out_puts(o, "\"");
        out_json(o, t->raw);
        out_puts(o, "\"");
        break;
    case JSON_TRUE: out_puts(o, "true"); break;
    case JSON_FALSE: out_puts(o, "false"); break;
    case JSON_NULL: out_puts(o, "null"); break;
    default: out_put(o, t->raw); break;
    }
}

void json_pretty(struct out *o, str value, int indent)
{
    struct json_rd r;
    struct json_tok t;
    struct err err = ERR_INIT;
    bool first = true, after_key = false;
    int depth = 0;
    json_init(&r, value);
    while (json_next(&r, &t, &err) == 0 && t.type != JSON_END) {
        bool close = t.type == JSON_OBJ_END || t.type == JSON_ARR_END;
        if (close) {
            depth--;
            if (!first)
                pretty_break(o, indent + depth * 2);
            out_puts(o, t.type == JSON_OBJ_END ? "}" : "]");
            first = after_key = false;
            continue;
        }
        if (!after_key && depth > 0) {
            if (!first)
                out_puts(o, ",");
            pretty_break(o, indent + depth * 2);
        }
        first = false;
        after_key = t.type == JSON_KEY;
        if (t.type == JSON_OBJ || t.type == JSON_ARR) {
            out_puts(o, t.type == JSON_OBJ ? "{" : "[");
            depth++;
            first = true;
            after_key = false;
        } else {
            put_token(o, &t);
            if (after_key)
                out_puts(o, ": ");
        }
    }
}
