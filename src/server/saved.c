/* saved.c: from a document to a saved view or a dashboard, every member checked.
 *
 *   view       {name?, title, page, id?, params: {q, from, to, ...}}
 *   dashboard  {name?, title, from?, to?, refresh?, panels: [{title, type, q, w, h, options}]}
 *
 * `rev` says what it was made from; `created changed changed_by builtin` are the server's own
 * members and not looked at, so that an answer can be sent back as it came. */
#include "server/saved.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "codec/json.h"
#include "query/query.h"
#include "server/internal.h"

#define FAIL(t, ...) tree_err(err, ERR_INVALID, (t)->line, (t)->col, __VA_ARGS__)
#define WORD_MAX 256
#define LIST_MAX 32
#define REFRESH_MAX NS_PER_DAY

static const char *const view_keys[] = { "name",       "title",   "page",    "id",
                                         "params",     "rev",     "created", "changed",
                                         "changed_by", "builtin", NULL };
static const char *const board_keys[] = { "name",    "title",      "from",    "to",
                                          "refresh", "panels",     "rev",     "created",
                                          "changed", "changed_by", "builtin", NULL };
static const char *const panel_keys[] = { "title", "type", "q", "w", "h", "options", NULL };
static const char *const pages[] = { "explore",  "live",   "patterns", "traces",
                                     "sessions", "agents", "tools",    "models",
                                     "issues",   "alerts", "health",   NULL };
/* those that are also about one thing */
static const char *const id_pages[] = { "traces", "sessions", "agents", "issues", "alerts", NULL };
static const char *const types[] = { "line", "bar", "table", "number", "heatmap", "logs", NULL };

enum option_kind { OPTION_WORD, OPTION_WORDS, OPTION_BOOL, OPTION_NUMBER };
static const struct {
    const char *name;
    enum option_kind kind;
} options[] = {
    { "x", OPTION_WORD },        { "y", OPTION_WORDS },    { "by", OPTION_WORD },
    { "columns", OPTION_WORDS }, { "unit", OPTION_WORD },  { "stack", OPTION_BOOL },
    { "log", OPTION_BOOL },      { "min", OPTION_NUMBER }, { "max", OPTION_NUMBER },
};
#define OPTIONS (sizeof options / sizeof *options)

/* ---- names ---- */

bool saved_name_ok(str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!(name.p[i] >= 'a' && name.p[i] <= 'z') && !(name.p[i] >= '0' && name.p[i] <= '9') &&
            name.p[i] != '-')
            return false;
    return name.n > 0 && name.n <= META_DOC_NAME_MAX;
}

void saved_slug(enum meta_doc_kind kind, str title, char out[META_DOC_NAME_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < title.n && n < META_DOC_NAME_MAX; i++) {
        char ch = title.p[i];
        if (ch >= 'A' && ch <= 'Z')
            ch = (char)(ch - 'A' + 'a');
        if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'))
            out[n++] = ch;
        else if (n && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    if (!n)
        snprintf(out, META_DOC_NAME_MAX + 1, "%s", kind == DOC_VIEW ? "view" : "dashboard");
}

/* ---- single members ---- */

static int read_title(const struct tree *map, bool required, str *ret, struct err *err)
{
    const struct tree *t = tree_get(map, "title");
    size_t chars = 0;
    int rc = tree_text(map, "title", 4 * SAVED_TITLE_MAX, ret, err);
    if (rc < 0)
        return rc;
    *ret = ret->p ? str_trim(*ret) : STR("");
    for (size_t pos = 0; pos < ret->n; chars++)
        (void)utf8_next(*ret, &pos);
    if (chars > SAVED_TITLE_MAX)
        return FAIL(t, "a title has %d characters at most", SAVED_TITLE_MAX);
    if (str_chr(*ret, '\n') != SIZE_MAX || str_chr(*ret, '\t') != SIZE_MAX)
        return FAIL(t, "a title is one line");
    if (required && !ret->n)
        return FAIL(t ? t : map, "it needs a title");
    return 0;
}

static int read_name(const struct tree *map, str *ret, struct err *err)
{
    const struct tree *t = tree_get(map, "name");
    if (tree_is_null(t))
        return 0;
    if (t->kind != TREE_TEXT || !saved_name_ok(t->text)) {
        FAIL(t, "this is no name");
        err_hint(err, "1 to %d of a-z, 0-9 and -", META_DOC_NAME_MAX);
        return ERR_INVALID;
    }
    *ret = t->text;
    return 0;
}

static int read_rev(const struct tree *map, struct saved *s, struct err *err)
{
    const struct tree *t = tree_get(map, "rev");
    if (tree_is_null(t))
        return 0;
    if (t->kind != TREE_TEXT || !t->plain || !str_to_u64(t->text, &s->rev))
        return FAIL(t, "rev must be a number");
    s->has_rev = true;
    return 0;
}

static int read_word(const struct tree *t, const char *what, const char *const *words,
                     const char *unset, str *ret, struct err *err)
{
    *ret = str_c(unset);
    if (tree_is_null(t))
        return unset ? 0 : ERR_NOTFOUND;
    for (const char *const *w = words; t->kind == TREE_TEXT && *w; w++)
        if (str_eq(t->text, str_c(*w))) {
            *ret = t->text;
            return 0;
        }
    FAIL(t, "there is no %s '%.*s'", what,
         STR_FMT(t->kind == TREE_TEXT ? str_sub(t->text, 0, 64) : STR("...")));
    tree_hint(err, t->text, words);
    return ERR_INVALID;
}

/* a moment as the API takes it; "" is open */
static int read_moment(const struct tree *map, const char *key, ts_ns now, str *ret, ts_ns *at,
                       struct err *err)
{
    const struct tree *t = tree_get(map, key);
    if (tree_is_null(t))
        return 0;
    if (t->kind == TREE_TEXT && !t->text.n)
        return 0;
    if (t->kind != TREE_TEXT || t->text.n > 64 || !moment_parse(t->text, now, at)) {
        FAIL(t, "%s must be a moment", key);
        err_hint(err, "as now-24h or 2026-11-21T10:00:00Z");
        return ERR_INVALID;
    }
    *ret = t->text;
    return 0;
}

static int read_window(const struct tree *map, ts_ns now, str *from, str *to, struct err *err)
{
    ts_ns start = TS_MIN, end = TS_MAX;
    int rc = read_moment(map, "from", now, from, &start, err);
    if (rc == 0)
        rc = read_moment(map, "to", now, to, &end, err);
    if (rc == 0 && start >= end)
        rc = FAIL(tree_get(map, to->n ? "to" : "from"), "from must be before to");
    return rc;
}

static int read_size(const struct tree *map, const char *key, uint32_t max, uint32_t unset,
                     uint32_t *ret, struct err *err)
{
    const struct tree *t = tree_get(map, key);
    uint64_t v = unset;
    if (!tree_is_null(t) &&
        (t->kind != TREE_TEXT || !t->plain || !str_to_u64(t->text, &v) || v < 1 || v > max))
        return FAIL(t, "%s must be 1 to %u", key, max);
    *ret = (uint32_t)v;
    return 0;
}

/* ---- queries ---- */

static int check_query(const struct tree *t, ts_ns now, bool table, struct err *err)
{
    struct query_opts o;
    struct query *q;
    struct err why = ERR_INIT;
    query_opts_default(&o);
    o.now = now;
    o.start = now - NS_PER_DAY; /* some window: `compare` wants one */
    o.end = now;
    int rc = query_parse(&q, t->text, &o, &why);
    if (rc == ERR_NOMEM)
        return err_nomem(err);
    if (rc < 0) {
        if (why.pos >= 0)
            tree_err(err, rc, t->line, t->col, "in its q, at byte %" PRId64 ": %.300s", why.pos,
                     why.msg);
        else
            tree_err(err, rc, t->line, t->col, "in its q: %.300s", why.msg);
        err->pos = why.pos;
        err_slug(err, why.slug);
        if (why.hint[0])
            err_hint(err, "%s", why.hint);
        return rc;
    }
    bool filter = query_is_filter(q);
    query_free(q);
    if (!table || !filter)
        return 0;
    FAIL(t, "its q finds entries, and there is nothing to draw in them");
    err_hint(err, "a pipe makes a table: | timeline, | stats count() as n by agent");
    return ERR_INVALID;
}

/* ---- options of a panel ---- */

static int put_words(struct buf *b, const struct tree *t, const char *key, struct err *err)
{
    if (t->kind == TREE_TEXT)
        tree_put_json(b, t);
    if (t->kind == TREE_TEXT)
        return t->text.n <= WORD_MAX && !t->plain
                   ? 0
                   : FAIL(t, "%s must be a text of %d bytes at most", key, WORD_MAX);
    if (t->kind != TREE_LIST || !t->n || t->n > LIST_MAX)
        return FAIL(t, "%s must be a text or a list of 1 to %d texts", key, LIST_MAX);
    TREE_EACH(w, t)
    if (w->kind != TREE_TEXT || w->plain || w->text.n > WORD_MAX)
        return FAIL(w, "%s must hold texts of %d bytes at most", key, WORD_MAX);
    tree_put_json(b, t);
    return 0;
}

static int put_option(struct buf *b, const struct tree *t, size_t i, struct err *err)
{
    const char *key = options[i].name;
    bool on;
    double v;
    json_put_str(b, str_c(key));
    buf_putc(b, ':');
    switch (options[i].kind) {
    case OPTION_WORDS: return put_words(b, t, key, err);
    case OPTION_WORD:
        return t->kind == TREE_TEXT ? put_words(b, t, key, err) : FAIL(t, "%s must be a text", key);
    case OPTION_BOOL:
        if (!tree_bool(t, &on))
            return FAIL(t, "%s must be true or false", key);
        break;
    default:
        if (!tree_number(t, &v))
            return FAIL(t, "%s must be a number", key);
    }
    tree_put_json(b, t);
    return 0;
}

static int put_options(struct buf *b, const struct tree *panel, struct err *err)
{
    const char *names[OPTIONS + 1] = { NULL };
    const struct tree *map = tree_get(panel, "options");
    bool first = true;
    for (size_t i = 0; i < OPTIONS; i++)
        names[i] = options[i].name;
    json_key(b, &(bool){ false }, "options");
    buf_putc(b, '{');
    int rc = tree_is_null(map) ? 0 : tree_members(map, "options", names, err);
    for (size_t i = 0; rc == 0 && i < OPTIONS; i++) {
        const struct tree *t = tree_is_null(map) ? NULL : tree_get(map, names[i]);
        if (tree_is_null(t))
            continue;
        buf_puts(b, first ? "" : ",");
        first = false;
        rc = put_option(b, t, i, err);
    }
    buf_putc(b, '}');
    return rc;
}

/* ---- panels ---- */

/* "line 2, column 9: panel 3 (Errors): ..." */
static int name_panel(const struct tree *t, uint32_t i, int rc, struct err *err)
{
    struct err was = *err;
    const char *rest = strstr(was.msg, ": ");
    str title = STR_NULL;
    struct err none = ERR_INIT;
    if (!str_starts(str_c(was.msg), STR("line ")) || !rest)
        return rc;
    if (t->kind != TREE_MAP || read_title(t, false, &title, &none) < 0 || title.n > 60)
        title = STR_NULL;
    snprintf(err->msg, sizeof err->msg,
             title.n ? "%.*s: panel %u (%.*s): %s" : "%.*s: panel %u%.*s: %s",
             (int)(rest - was.msg), was.msg, i + 1, STR_FMT(title), rest + 2);
    return rc;
}

static int put_panel(struct buf *b, const struct tree *t, ts_ns now, struct err *err)
{
    str title = STR_NULL, type;
    uint32_t w, h;
    bool first = true;
    int rc = tree_members(t, "a panel", panel_keys, err);
    if (rc == 0)
        rc = read_title(t, false, &title, err);
    if (rc < 0)
        return rc;
    rc = read_word(tree_get(t, "type"), "type of panel", types, NULL, &type, err);
    if (rc == ERR_NOTFOUND) {
        FAIL(t, "it needs a type");
        tree_hint(err, STR(""), types);
        return ERR_INVALID;
    }
    if (rc == 0)
        rc = read_size(t, "w", SAVED_COLUMNS, SAVED_COLUMNS / 2, &w, err);
    if (rc == 0)
        rc = read_size(t, "h", SAVED_ROWS_MAX, 4, &h, err);
    if (rc < 0)
        return rc;
    const struct tree *q = tree_get(t, "q");
    if (tree_is_null(q) || q->kind != TREE_TEXT)
        return FAIL(q ? q : t, "it needs a query, q");
    rc = check_query(q, now, !str_eq(type, STR("logs")) && !str_eq(type, STR("table")), err);
    if (rc < 0)
        return rc;
    buf_putc(b, '{');
    json_kv_str(b, &first, "title", title);
    json_kv_str(b, &first, "type", type);
    json_kv_str(b, &first, "q", q->text);
    json_kv_u64(b, &first, "w", w);
    json_kv_u64(b, &first, "h", h);
    rc = put_options(b, t, err);
    buf_putc(b, '}');
    return rc;
}

static int put_dashboard(struct buf *b, struct saved *s, const struct tree *doc, ts_ns now,
                         struct err *err)
{
    const struct tree *panels = tree_get(doc, "panels"), *refresh = tree_get(doc, "refresh");
    str from = STR_NULL, to = STR_NULL;
    int64_t ns = 0;
    uint32_t i = 0;
    bool first = false;
    int rc = read_window(doc, now, &from, &to, err);
    if (rc < 0)
        return rc;
    if (from.n)
        json_kv_str(b, &first, "from", from);
    if (to.n)
        json_kv_str(b, &first, "to", to);
    if (!tree_is_null(refresh)) {
        if (refresh->kind != TREE_TEXT || refresh->text.n > 32 ||
            !dur_parse(refresh->text, 0, &ns) || ns < NS_PER_S || ns > REFRESH_MAX) {
            FAIL(refresh, "refresh must be a duration of 1s to 24h");
            err_hint(err, "as 30s");
            return ERR_INVALID;
        }
        json_kv_str(b, &first, "refresh", refresh->text);
    }
    if (tree_is_null(panels) || panels->kind != TREE_LIST)
        return FAIL(panels ? panels : doc, "it needs panels, a list");
    if (panels->n > SAVED_PANELS_MAX)
        return tree_err(err, ERR_LIMIT, panels->line, panels->col,
                        "a dashboard has %d panels at most", SAVED_PANELS_MAX);
    json_key(b, &first, "panels");
    buf_putc(b, '[');
    TREE_EACH(t, panels)
    {
        buf_puts(b, i ? "," : "");
        rc = put_panel(b, t, now, err);
        if (rc < 0)
            return name_panel(t, i, rc, err);
        i++;
    }
    buf_putc(b, ']');
    s->panels = i;
    return 0;
}

/* ---- views ---- */

static bool param_name_ok(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && s.p[i] != '_')
            return false;
    return s.n > 0 && s.n <= 32;
}

static int put_params(struct buf *b, const struct tree *params, struct err *err)
{
    uint32_t i = 0;
    buf_putc(b, '{');
    TREE_EACH(t, params)
    {
        if (!param_name_ok(t->key))
            return FAIL(t, "a name in params has 1 to 32 of a-z and _");
        if (t->kind != TREE_TEXT || t->text.n > QUERY_TEXT_MAX || !tree_printable(t->text))
            return FAIL(t, "%.*s must be a text of %d KiB at most, a number, true or false",
                        STR_FMT(t->key), QUERY_TEXT_MAX >> 10);
        buf_puts(b, i++ ? "," : "");
        json_put_str(b, t->key);
        buf_putc(b, ':');
        tree_put_json(b, t);
    }
    buf_putc(b, '}');
    return 0;
}

/* which trace, session, agent, issue or rule the page is about; "" is all of them */
static int read_id(const struct tree *doc, str page, str *ret, struct err *err)
{
    *ret = STR("");
    int rc = tree_text(doc, "id", SAVED_ID_MAX, ret, err);
    if (rc < 0 || !ret->n)
        return rc;
    for (const char *const *p = id_pages; *p; p++)
        if (str_eq(page, str_c(*p)))
            return 0;
    FAIL(tree_get(doc, "id"), "the page %.*s has no id", STR_FMT(page));
    err_hint(err, "traces, sessions, agents, issues and alerts have one");
    return ERR_INVALID;
}

static int put_view(struct buf *b, const struct tree *doc, ts_ns now, struct err *err)
{
    const struct tree *params = tree_get(doc, "params"), *q;
    str page, id, from = STR_NULL, to = STR_NULL;
    bool first = false;
    int rc = read_word(tree_get(doc, "page"), "page", pages, "explore", &page, err);
    if (rc == 0)
        rc = read_id(doc, page, &id, err);
    if (rc < 0)
        return rc;
    if (tree_is_null(params) || params->kind != TREE_MAP)
        return FAIL(params ? params : doc, "it needs params, as {\"q\":\"level:error\"}");
    if (params->n > SAVED_PARAMS_MAX)
        return tree_err(err, ERR_LIMIT, params->line, params->col, "params has %d members at most",
                        SAVED_PARAMS_MAX);
    q = tree_get(params, "q");
    if (q && q->kind == TREE_TEXT && !tree_is_null(q))
        rc = check_query(q, now, false, err);
    if (rc == 0)
        rc = read_window(params, now, &from, &to, err);
    if (rc < 0)
        return rc;
    json_kv_str(b, &first, "page", page);
    if (id.n)
        json_kv_str(b, &first, "id", id);
    json_key(b, &first, "params");
    return put_params(b, params, err);
}

/* ---- a document ---- */

int saved_read(struct saved *ret, enum meta_doc_kind kind, const struct tree *doc, ts_ns now,
               struct arena *a, struct err *err)
{
    struct saved s = { 0 };
    struct buf b;
    bool first = true, view = kind == DOC_VIEW;
    int rc = tree_members(doc, view ? "a saved view" : "a dashboard", view ? view_keys : board_keys,
                          err);
    if (rc == 0)
        rc = read_name(doc, &s.name, err);
    if (rc == 0)
        rc = read_title(doc, true, &s.title, err);
    if (rc == 0)
        rc = read_rev(doc, &s, err);
    if (rc < 0)
        return rc;
    buf_init(&b, META_DOC_BYTES_MAX);
    buf_putc(&b, '{');
    json_kv_str(&b, &first, "title", s.title);
    rc = view ? put_view(&b, doc, now, err) : put_dashboard(&b, &s, doc, now, err);
    buf_putc(&b, '}');
    if (rc == 0 && b.bad == BUF_LIMIT)
        rc = err_set(err, ERR_LIMIT, "a %s has %zu KiB at most", view ? "saved view" : "dashboard",
                     META_DOC_BYTES_MAX >> 10);
    if (rc == 0) {
        s.doc = buf_ok(&b) ? arena_dup(a, buf_str(&b)) : STR_NULL;
        if (!s.doc.p)
            rc = err_nomem(err);
    }
    buf_deinit(&b);
    if (rc == 0)
        *ret = s;
    return rc;
}
