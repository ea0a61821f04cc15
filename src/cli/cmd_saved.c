/* cmd_saved.c: fleetlog saved and fleetlog dashboards: what people keep on the server.
 *
 * Both ask a server. `dashboards apply` reads its file here first, so that a mistake is told with
 * its line before anything is sent; what is sent is the canonical form, so that applying a file
 * twice changes nothing. `show --json` prints what `apply` takes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/doc.h"
#include "cli/row.h"
#include "cli/table.h"
#include "server/saved.h"

#define ANSWER_MAX ((size_t)256 << 20)

static const struct opt saved_opts[] = {
    { .name = "since",
      .letter = 's',
      .type = OPT_TIME,
      .arg = "TIME",
      .help = "run: from this moment on, instead of the view's" },
    { .name = "until",
      .type = OPT_TIME,
      .arg = "TIME",
      .help = "run: before this moment, instead of the view's" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .min = 1,
      .max = UINT32_MAX,
      .help = "run: at most so many rows (default 100, tables 10000)" },
    { .name = "offset",
      .type = OPT_INT,
      .arg = "N",
      .def = "0",
      .min = 0,
      .max = UINT32_MAX,
      .help = "run: skip so many rows first" },
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "text",
      .choices = "text|json|ndjson|csv",
      .help = "run: how to print" },
    { .name = "quiet",
      .letter = 'q',
      .type = OPT_FLAG,
      .help = "run: print nothing; exit 1 when nothing is found" },
    { .name = "wide", .letter = 'w', .type = OPT_FLAG, .help = "cut nothing to fit the terminal" },
    { .name = "json", .type = OPT_FLAG, .help = "print JSON" },
    { .name = NULL },
};

static const struct opt board_opts[] = {
    { .name = "wide", .letter = 'w', .type = OPT_FLAG, .help = "cut nothing to fit the terminal" },
    { .name = "json", .type = OPT_FLAG, .help = "print JSON; show: what apply takes" },
    { .name = NULL },
};

static const struct example saved_examples[] = {
    { "fleetlog saved", "all saved views" },
    { "fleetlog saved show slow-tools", "what one asks" },
    { "fleetlog saved run slow-tools --since 1h", "ask it now" },
    { "fleetlog saved run slow-tools --format csv > slow.csv", "for a spreadsheet" },
    { "fleetlog saved delete slow-tools", "take it away" },
    { NULL, NULL },
};

static const struct example board_examples[] = {
    { "fleetlog dashboards", "all dashboards, those that come with the server first" },
    { "fleetlog dashboards show overview", "the panels of one and their queries" },
    { "fleetlog dashboards show mine --json > mine.json", "into a file" },
    { "fleetlog dashboards apply mine.json", "make or change those of a file" },
    { "fleetlog dashboards delete mine", "take one away" },
    { NULL, NULL },
};

/* ---- asking ---- */

struct noun {
    const char *path, *one, *list; /* list: member of the answer */
};
static const struct noun view_noun = { "/api/v1/saved", "saved view", "saved" };
static const struct noun board_noun = { "/api/v1/dashboards", "dashboard", "dashboards" };

static int ask(struct cli *c, struct target *t, const struct noun *n, const char *method,
               const char *name, str body, struct buf *out, int *ret_status)
{
    struct buf path;
    buf_init(&path, 4096);
    buf_puts(&path, n->path);
    if (name) {
        buf_putc(&path, '/');
        url_escape(&path, str_c(name));
    }
    buf_putc(&path, 0);
    int rc = buf_ok(&path) ? data_call(c, t, method, path.p, body, out, ret_status)
                           : cli_fail(c, EXIT_USAGE, NULL, "the name is too long");
    buf_deinit(&path);
    return rc;
}

/* the answer to a GET as a tree in the arena */
static int load(struct cli *c, struct target *t, const struct noun *n, const char *name,
                struct arena *a, const struct jv **ret)
{
    struct buf answer;
    struct jv *root;
    struct err err = ERR_INIT;
    buf_init(&answer, ANSWER_MAX);
    int rc = ask(c, t, n, "GET", name, STR_NULL, &answer, NULL);
    if (rc == 0 && doc_parse(&root, a, buf_str(&answer), &err) < 0)
        rc = cli_fail_err(c, &err);
    if (rc == 0)
        *ret = root;
    buf_deinit(&answer);
    return rc;
}

/* ---- showing ---- */

static void cell(struct buf *b, const char *name, str text)
{
    buf_puts(b, b->n ? "," : "{");
    json_put_str(b, str_c(name));
    buf_putc(b, ':');
    json_put_str(b, text);
}

static int add_row(struct cli *c, struct table *t, struct buf *b)
{
    struct err err = ERR_INIT;
    buf_putc(b, '}');
    int rc = table_add(t, buf_str(b), &err);
    buf_reset(b);
    return rc < 0 ? cli_fail_err(c, &err) : 0;
}

/* "2026-11-21T10:00:00Z" of a time with any fraction, "-" of none */
static str seconds(struct arena *a, const struct jv *v, const char *key)
{
    str time = jv_get_str(v, key);
    if (time.n <= 20)
        return time.n ? time : STR("-");
    char *z = arena_printf(a, "%.19sZ", time.p);
    return z ? str_c(z) : time;
}

static bool is_builtin(const struct jv *d)
{
    return jv_is(jv_get(d, "builtin"), JSON_TRUE);
}

static str or_dash(str s)
{
    return s.n ? s : STR("-");
}

/* "now-24h", "now-24h to now-1h", "-" */
static str window(struct arena *a, const struct jv *d)
{
    str from = jv_get_str(d, "from"), to = jv_get_str(d, "to");
    if (!to.n)
        return or_dash(from);
    char *z = arena_printf(a, "%.*s to %.*s", STR_FMT(or_dash(from)), STR_FMT(to));
    return z ? str_c(z) : from;
}

/* "explore", "traces/4bf92f" */
static str page_of(struct arena *a, const struct jv *d)
{
    str page = jv_get_str(d, "page"), id = jv_get_str(d, "id");
    char *z = id.n ? arena_printf(a, "%.*s/%.*s", STR_FMT(page), STR_FMT(id)) : NULL;
    return z ? str_c(z) : page;
}

static void view_cells(struct buf *b, struct arena *a, const struct jv *d)
{
    const struct jv *p = jv_get(d, "params");
    cell(b, "name", jv_get_str(d, "name"));
    cell(b, "title", jv_get_str(d, "title"));
    cell(b, "page", page_of(a, d));
    cell(b, "window", window(a, p));
    cell(b, "query", or_dash(jv_get_str(p, "q")));
    cell(b, "changed", seconds(a, d, "changed"));
}

static void board_cells(struct buf *b, struct arena *a, const struct jv *d)
{
    const struct jv *p = jv_get(d, "panels");
    cell(b, "name", jv_get_str(d, "name"));
    cell(b, "title", jv_get_str(d, "title"));
    buf_printf(b, ",\"panels\":%u", p ? p->n : 0);
    cell(b, "window", window(a, d));
    cell(b, "changed", seconds(a, d, "changed"));
    cell(b, "changed_by", is_builtin(d) ? STR("(built in)") : or_dash(jv_get_str(d, "changed_by")));
}

static void panel_cells(struct buf *b, struct arena *a, const struct jv *d)
{
    char size[32];
    (void)a;
    snprintf(size, sizeof size, "%" PRId64 "x%" PRId64, jv_int(jv_get(d, "w"), 0),
             jv_int(jv_get(d, "h"), 0));
    cell(b, "panel", or_dash(jv_get_str(d, "title")));
    cell(b, "type", jv_get_str(d, "type"));
    cell(b, "size", str_c(size));
    cell(b, "query", jv_get_str(d, "q"));
}

static int print_table(struct cli *c, struct arena *a, const struct jv *list,
                       void (*cells)(struct buf *, struct arena *, const struct jv *))
{
    struct err err = ERR_INIT;
    struct table *t;
    struct buf b;
    int rc = 0;
    if (table_new(&t, &err) < 0)
        return cli_fail_err(c, &err);
    buf_init(&b, 1u << 20);
    JV_EACH(d, list)
    {
        cells(&b, a, d);
        if (rc == 0)
            rc = add_row(c, t, &b);
    }
    if (rc == 0)
        table_print(t, &c->out, opt_on(c, "wide"));
    table_free(t);
    buf_deinit(&b);
    return rc;
}

static int list(struct cli *c, struct target *t, const struct noun *n,
                void (*cells)(struct buf *, struct arena *, const struct jv *))
{
    struct arena a;
    const struct jv *root;
    arena_init(&a, 1u << 30);
    int rc = load(c, t, n, NULL, &a, &root);
    const struct jv *all = rc == 0 ? jv_get(root, n->list) : NULL;
    if (rc == 0 && opt_on(c, "json")) {
        json_pretty(&c->out, root->text, 0);
        out_line(&c->out);
    } else if (rc == 0 && (!all || !all->n)) {
        cli_note(c, "there are no %ss", n->one);
    } else if (rc == 0) {
        rc = print_table(c, &a, all, cells);
    }
    arena_deinit(&a);
    return rc;
}

static void field(struct out *o, const char *name, str text)
{
    if (!text.n)
        return;
    out_style(o, STYLE_BOLD);
    out_puts(o, name);
    out_style(o, STYLE_NONE);
    out_pad(o, 12 - (int)strlen(name));
    out_safe(o, text);
    out_line(o);
}

/* the document without what the server adds */
static void print_own_members(struct cli *c, const struct jv *d)
{
    static const char *const servers[] = { "builtin", "created", "changed", "changed_by", "rev" };
    struct buf b;
    buf_init(&b, 1u << 20);
    JV_EACH(m, d)
    {
        bool skip = false;
        for (size_t i = 0; i < sizeof servers / sizeof *servers; i++)
            skip |= str_eq(m->key, str_c(servers[i]));
        if (skip)
            continue;
        buf_puts(&b, b.n ? "," : "{");
        json_put_str(&b, m->key);
        buf_putc(&b, ':');
        if (m->type == JSON_STR)
            json_put_str(&b, m->text);
        else
            buf_putstr(&b, m->text);
    }
    buf_putc(&b, '}');
    json_pretty(&c->out, buf_str(&b), 0);
    out_line(&c->out);
    buf_deinit(&b);
}

static void print_heads(struct cli *c, struct arena *a, const struct jv *d)
{
    struct out *o = &c->out;
    field(o, "name", jv_get_str(d, "name"));
    field(o, "title", jv_get_str(d, "title"));
    if (is_builtin(d)) {
        field(o, "source", STR("comes with the server"));
        return;
    }
    field(o, "created", seconds(a, d, "created"));
    field(o, "changed", seconds(a, d, "changed"));
    field(o, "changed_by", jv_get_str(d, "changed_by"));
}

/* ---- saved views ---- */

static int saved_list_verb(struct cli *c, struct target *t)
{
    return list(c, t, &view_noun, view_cells);
}

static int saved_show(struct cli *c, struct target *t)
{
    struct arena a;
    const struct jv *d;
    arena_init(&a, 64u << 20);
    int rc = load(c, t, &view_noun, c->args[1], &a, &d);
    if (rc == 0 && opt_on(c, "json")) {
        print_own_members(c, d);
    } else if (rc == 0) {
        print_heads(c, &a, d);
        field(&c->out, "page", jv_get_str(d, "page"));
        if (jv_get_str(d, "id").n)
            field(&c->out, "id", jv_get_str(d, "id"));
        JV_EACH(p, jv_get(d, "params"))
        {
            char name[40];
            snprintf(name, sizeof name, "%.*s", STR_FMT(p->key));
            field(&c->out, name, p->text);
        }
    }
    arena_deinit(&a);
    return rc;
}

/* The query of a view: its q, of the entries that its id is about. *ret NULL: out of memory. */
static int query_of(struct cli *c, const struct jv *d, struct arena *a, const char **ret)
{
    static const char *const about[][2] = { { "traces", "trace_id" },
                                            { "sessions", "session_id" },
                                            { "agents", "agent" } };
    str q = jv_get_str(jv_get(d, "params"), "q"), id = jv_get_str(d, "id");
    str page = jv_get_str(d, "page");
    struct buf b;
    *ret = id.n ? NULL : arena_strz(a, q);
    for (size_t i = 0; id.n && i < sizeof about / sizeof *about; i++) {
        if (!str_eq(page, str_c(about[i][0])))
            continue;
        buf_init(&b, (size_t)1 << 20);
        buf_printf(&b, "%s=", about[i][1]);
        data_quote(&b, id);
        buf_puts(&b, q.n ? " | where " : "");
        buf_putstr(&b, q);
        *ret = buf_ok(&b) ? arena_strz(a, buf_str(&b)) : NULL;
        buf_deinit(&b);
        return 0;
    }
    return !id.n ? 0
                 : cli_fail(c, EXIT_DATA, "open it in the dashboard",
                            "the page %.*s of one thing is no list of entries", STR_FMT(page));
}

/* a moment of the view, unless the option says another */
static int moment(struct cli *c, const char *option, const struct jv *params, const char *key,
                  ts_ns unset, ts_ns *ret)
{
    const struct jv *v = jv_get(params, key);
    *ret = opt_time(c, option, unset);
    if (opt_given(c, option) || !v || !v->text.n || when_parse(v->text, c->now, ret))
        return 0;
    return cli_fail(c, EXIT_DATA, "say when with --since and --until",
                    "the view's %s, '%.*s', is no moment", key, STR_FMT(v->text));
}

static int saved_run(struct cli *c, struct target *t)
{
    struct arena a;
    const struct jv *d;
    struct answer q = { .quiet = opt_on(c, "quiet"),
                        .wide = opt_on(c, "wide"),
                        .limit = (uint32_t)opt_num(c, "limit"),
                        .offset = (uint32_t)opt_num(c, "offset") };
    uint64_t rows = 0;
    q.shape = opt_on(c, "json") ? ANSWER_JSON : answer_shape_of(opt_text(c, "format"));
    arena_init(&a, 64u << 20);
    int rc = load(c, t, &view_noun, c->args[1], &a, &d);
    const struct jv *params = rc == 0 ? jv_get(d, "params") : NULL;
    if (rc == 0)
        rc = query_of(c, d, &a, &q.text);
    if (rc == 0)
        rc = moment(c, "since", params, "from", TS_MIN, &q.start);
    if (rc == 0)
        rc = moment(c, "until", params, "to", TS_MAX, &q.end);
    if (rc == 0) {
        q.own = q.text ? str_c(q.text) : STR_NULL;
        rc = q.text ? answer_print(c, t, &q, &rows) : cli_fail(c, EXIT_OS, NULL, "out of memory");
    }
    arena_deinit(&a);
    return rc ? rc : q.quiet && !rows ? EXIT_NONE : EXIT_DONE;
}

static int delete_all(struct cli *c, struct target *t, const struct noun *n)
{
    int rc = 0;
    for (int i = 1; i < c->nargs && rc == 0; i++) {
        struct buf answer;
        buf_init(&answer, ANSWER_MAX);
        rc = ask(c, t, n, "DELETE", c->args[i], STR_NULL, &answer, NULL);
        if (rc == 0 && opt_on(c, "json")) {
            out_json(&c->out, str_trim(buf_str(&answer)));
            out_line(&c->out);
        } else if (rc == 0) {
            out_printf(&c->out, "Deleted %s.\n", c->args[i]);
        }
        buf_deinit(&answer);
    }
    return rc;
}

static int saved_delete_verb(struct cli *c, struct target *t)
{
    return delete_all(c, t, &view_noun);
}

/* ---- dashboards ---- */

static int board_list(struct cli *c, struct target *t)
{
    return list(c, t, &board_noun, board_cells);
}

static int board_show(struct cli *c, struct target *t)
{
    struct arena a;
    const struct jv *d;
    arena_init(&a, 64u << 20);
    int rc = load(c, t, &board_noun, c->args[1], &a, &d);
    if (rc == 0 && opt_on(c, "json")) {
        print_own_members(c, d);
    } else if (rc == 0) {
        print_heads(c, &a, d);
        field(&c->out, "from", jv_get_str(d, "from"));
        field(&c->out, "to", jv_get_str(d, "to"));
        field(&c->out, "refresh", jv_get_str(d, "refresh"));
        out_line(&c->out);
        rc = print_table(c, &a, jv_get(d, "panels"), panel_cells);
    }
    arena_deinit(&a);
    return rc;
}

static int board_delete(struct cli *c, struct target *t)
{
    return delete_all(c, t, &board_noun);
}

struct file {
    struct arena a;
    struct saved *v;
    uint32_t n;
};

/* one dashboard, a list of them, or {"dashboards": list} */
static int take(struct cli *c, struct file *f, const struct tree *root, struct err *err)
{
    const struct tree *all = tree_get(root, "dashboards") ? tree_get(root, "dashboards") : root;
    bool many = all->kind == TREE_LIST;
    f->v = arena_array(&f->a, many && all->n ? all->n : 1, sizeof *f->v);
    if (!f->v)
        return err_nomem(err);
    for (const struct tree *t = many ? all->first : all; t; t = many ? t->next : NULL) {
        struct saved *s = &f->v[f->n];
        char slug[META_DOC_NAME_MAX + 1];
        int rc = saved_read(s, DOC_DASHBOARD, t, c->now, &f->a, err);
        if (rc < 0)
            return rc;
        if (!s->name.n) {
            saved_slug(DOC_DASHBOARD, s->title, slug);
            s->name = arena_dup(&f->a, str_c(slug));
            if (!s->name.p)
                return err_nomem(err);
        }
        for (uint32_t i = 0; i < f->n; i++)
            if (str_eq(f->v[i].name, s->name))
                return tree_err(err, ERR_INVALID, t->line, t->col, "'%.*s' is there twice",
                                STR_FMT(s->name));
        f->n++;
    }
    return 0;
}

static int apply_one(struct cli *c, struct target *t, const struct saved *s)
{
    struct buf before, after;
    struct arena a;
    struct jv *x, *y;
    struct err err = ERR_INIT;
    int status = 0;
    char name[META_DOC_NAME_MAX + 1], path[128];
    snprintf(name, sizeof name, "%.*s", STR_FMT(s->name)); /* needs no escaping */
    snprintf(path, sizeof path, "%s/%s", board_noun.path, name);
    buf_init(&before, ANSWER_MAX);
    buf_init(&after, ANSWER_MAX);
    arena_init(&a, 64u << 20);
    struct call look = { .method = "GET", .path = path, .out = &before };
    bool had = client_call(t->client, &look, &err) == 0;
    int rc = ask(c, t, &board_noun, "PUT", name, s->doc, &after, &status);
    if (rc == 0 && opt_on(c, "json")) {
        json_pretty(&c->out, buf_str(&after), 0);
        out_line(&c->out);
    } else if (rc == 0) {
        bool same = had && doc_parse(&x, &a, buf_str(&before), &err) == 0 &&
                    doc_parse(&y, &a, buf_str(&after), &err) == 0 &&
                    jv_int(jv_get(x, "rev"), -1) == jv_int(jv_get(y, "rev"), -2);
        out_printf(&c->out, "%s %s\n",
                   status == 201 ? "created  "
                   : same        ? "unchanged"
                                 : "changed  ",
                   name);
    }
    arena_deinit(&a);
    buf_deinit(&after);
    buf_deinit(&before);
    return rc;
}

static int board_apply(struct cli *c, struct target *t)
{
    struct file f = { 0 };
    struct buf text;
    struct tree *root;
    struct err err = ERR_INIT;
    arena_init(&f.a, 64u << 20);
    buf_init(&text, TREE_BYTES_MAX);
    int rc = cli_read_file(c, c->args[1], &text);
    if (rc == 0 &&
        (tree_from_json(&root, &f.a, buf_str(&text), &err) < 0 || take(c, &f, root, &err) < 0))
        rc = cli_fail(c, EXIT_CONFIG, err.hint[0] ? err.hint : NULL, "%s: %s", c->args[1], err.msg);
    for (uint32_t i = 0; rc == 0 && i < f.n; i++)
        rc = apply_one(c, t, &f.v[i]);
    if (rc == 0 && !f.n)
        cli_note(c, "%s holds no dashboards", c->args[1]);
    buf_deinit(&text);
    arena_deinit(&f.a);
    return rc;
}

/* ---- verbs ---- */

struct verb {
    const char *name;
    int min, max; /* words behind it; max < 0: any */
    const char *needs;
    int (*run)(struct cli *c, struct target *t);
};
static const struct verb saved_verbs[] = {
    { "list", 0, 0, "nothing more", saved_list_verb },
    { "show", 1, 1, "the name of a view", saved_show },
    { "run", 1, 1, "the name of a view", saved_run },
    { "delete", 1, -1, "names of views", saved_delete_verb },
    { NULL, 0, 0, NULL, NULL },
};
static const struct verb board_verbs[] = {
    { "list", 0, 0, "nothing more", board_list },
    { "show", 1, 1, "the name of a dashboard", board_show },
    { "apply", 1, 1, "a file", board_apply },
    { "delete", 1, -1, "names of dashboards", board_delete },
    { NULL, 0, 0, NULL, NULL },
};
#define VERBS_MAX 8

static int unknown_verb(struct cli *c, const struct verb *verbs, const char *word)
{
    const char *names[VERBS_MAX] = { NULL };
    char hint[96] = "";
    size_t n = 0;
    for (size_t i = 0; verbs[i].name; i++)
        names[i] = verbs[i].name;
    const char *near = nearest_word(word, names);
    if (near)
        snprintf(hint, sizeof hint, "did you mean '%s %s'?", c->cmd->name, near);
    for (size_t i = 0; !near && names[i]; i++)
        n += (size_t)snprintf(hint + n, sizeof hint - n, "%s%s",
                              !i             ? ""
                              : names[i + 1] ? ", "
                                             : " or ",
                              names[i]);
    return cli_fail(c, EXIT_USAGE, hint, "%s cannot '%s'", c->cmd->name, word);
}

static int run_verb(struct cli *c, const struct verb *verbs, const struct verb **ret)
{
    const char *word = c->nargs ? c->args[0] : "list";
    const struct verb *v = verbs;
    while (v->name && strcmp(v->name, word) != 0)
        v++;
    if (!v->name)
        return unknown_verb(c, verbs, word);
    int more = c->nargs ? c->nargs - 1 : 0;
    if (more < v->min || (v->max >= 0 && more > v->max))
        return cli_fail(c, EXIT_USAGE, NULL, "%s %s takes %s", c->cmd->name, v->name, v->needs);
    *ret = v;
    return 0;
}

static int ask_server(struct cli *c, const struct verb *v)
{
    struct target t;
    int rc = target_open(c, &t, NEED_SERVER);
    if (rc)
        return rc;
    rc = v->run(c, &t);
    target_close(&t);
    return rc;
}

static int run_saved(struct cli *c)
{
    static const char *const runs[] = { "since", "until", "limit", "offset", "format", "quiet" };
    const struct verb *v;
    int rc = run_verb(c, saved_verbs, &v);
    if (rc)
        return rc;
    for (size_t i = 0; v->run != saved_run && i < sizeof runs / sizeof *runs; i++)
        if (opt_given(c, runs[i]))
            return cli_fail(c, EXIT_USAGE, NULL, "--%s goes with run", runs[i]);
    return ask_server(c, v);
}

static int run_dashboards(struct cli *c)
{
    const struct verb *v;
    int rc = run_verb(c, board_verbs, &v);
    return rc ? rc : ask_server(c, v);
}

const struct command cmd_saved = {
    .name = "saved",
    .summary = "look at saved views, run their queries",
    .synopsis = "[list|show|run|delete] [NAME] [OPTIONS]",
    .about = "Saved views are made in the dashboard, or by POST /api/v1/saved: a query with its "
             "window and how it is shown (docs/dashboards.md). `run` asks the query again and "
             "prints the rows as `search` does.",
    .opts = saved_opts,
    .examples = saved_examples,
    .max_args = -1,
    .complete = "list show run delete",
    .run = run_saved,
};

const struct command cmd_dashboards = {
    .name = "dashboards",
    .summary = "look at dashboards, take them in and out",
    .synopsis = "[list|show|apply|delete] [NAME|FILE] [OPTIONS]",
    .about = "Those that come with the server can be read, and shown with --json as a start for "
             "one's own (docs/dashboards.md). `apply` takes a file of JSON: a dashboard, a list of "
             "them, or {\"dashboards\": list}. It makes or changes these and leaves others alone; "
             "applied again it changes nothing. One without a name gets one from its title.",
    .opts = board_opts,
    .examples = board_examples,
    .max_args = -1,
    .complete = "list show apply delete",
    .run = run_dashboards,
};
