/* cmd_alerts.c: fleetlog alerts: look at alert rules, try, snooze, apply and delete them.
 *
 * Everything is asked of a server: rules live where they are evaluated. `apply` and `test` read a
 * file here, so that its mistakes are told with their lines before anything is sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert/rule.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "cli/row.h"
#include "cli/table.h"
#include "codec/json.h"

static const struct opt opts[] = {
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "100",
      .min = 1,
      .max = 1000,
      .help = "history: lines" },
    { .name = "dry-run", .type = OPT_FLAG, .help = "apply: evaluate each rule once instead" },
    { .name = "wide", .type = OPT_FLAG, .help = "tables: cut nothing to fit the terminal" },
    { .name = "json", .type = OPT_FLAG, .help = "print JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog alerts", "all rules and how they are" },
    { "fleetlog alerts show agent-errors", "one, with its groups and what was sent" },
    { "fleetlog alerts test alerts.yaml", "what the rules of a file would say now" },
    { "fleetlog alerts apply alerts.yaml", "make or change the rules of a file" },
    { "fleetlog alerts snooze agent-errors 2h", "tell nobody for two hours; 0 ends it" },
    { "fleetlog alerts history agent-errors", "what it went through" },
    { NULL, NULL },
};

#define ANSWER_MAX ((size_t)64 << 20)

/* ---- asking ---- */

static void rule_path(struct buf *b, const char *name, const char *rest)
{
    buf_init(b, 4096);
    buf_puts(b, "/api/v1/alerts/");
    url_escape(b, str_c(name));
    buf_puts(b, rest);
    buf_putc(b, 0);
}

static int ask_rule(struct cli *c, struct target *t, const char *method, const char *name,
                    const char *rest, str body, struct buf *out, int *ret_status)
{
    struct buf path;
    rule_path(&path, name, rest);
    int rc = buf_ok(&path) ? data_call(c, t, method, path.p, body, out, ret_status)
                           : cli_fail(c, EXIT_USAGE, NULL, "the name is too long");
    buf_deinit(&path);
    return rc;
}

/* ---- showing ---- */

/* "agent=x tool=y"; "-" for the one group of a rule without `by` */
static void put_group(struct buf *b, const struct jv *group)
{
    if (!group || !group->n)
        buf_putc(b, '-');
    JV_EACH(g, group)
    {
        buf_puts(b, g == group->first ? "" : " ");
        buf_putstr(b, g->key);
        buf_putc(b, '=');
        buf_putstr(b, g->text);
    }
}

static void cell(struct buf *b, const char *name, str text)
{
    buf_puts(b, b->n ? "," : "{");
    json_put_str(b, str_c(name));
    buf_putc(b, ':');
    json_put_str(b, text);
}

static void cell_group(struct buf *b, const struct jv *group)
{
    struct buf text;
    buf_init(&text, 64u << 10);
    put_group(&text, group);
    cell(b, "group", buf_str(&text));
    buf_deinit(&text);
}

/* a number with 6 digits at most, which is what a person compares by */
static void cell_number(struct buf *b, const char *name, const struct jv *v)
{
    char text[40];
    if (!jv_is(v, JSON_NUM)) {
        cell(b, name, STR("-"));
        return;
    }
    snprintf(text, sizeof text, "%.6g", jv_num(v, 0));
    buf_puts(b, b->n ? "," : "{");
    json_put_str(b, str_c(name));
    buf_printf(b, ":%s", text);
}

/* "2026-11-21T10:00:00Z" of a time with any fraction */
static str seconds(struct arena *a, str time)
{
    if (time.n <= 20)
        return time.n ? time : STR("-");
    char *z = arena_printf(a, "%.19sZ", time.p);
    return z ? str_c(z) : time;
}

static str time_of(struct arena *a, const struct jv *v, const char *key)
{
    return seconds(a, jv_get_str(v, key));
}

static int add_row(struct cli *c, struct table *t, struct buf *b)
{
    struct err err = ERR_INIT;
    buf_putc(b, '}');
    int rc = table_add(t, buf_str(b), &err);
    buf_reset(b);
    return rc < 0 ? cli_fail_err(c, &err) : 0;
}

static int table_open(struct cli *c, struct table **t, struct buf *b)
{
    struct err err = ERR_INIT;
    buf_init(b, 1u << 20);
    return table_new(t, &err) < 0 ? cli_fail_err(c, &err) : 0;
}

static void table_end(struct cli *c, struct table *t, struct buf *b, int rc)
{
    if (rc == 0)
        table_print(t, &c->out, opt_on(c, "wide"));
    table_free(t);
    buf_deinit(b);
}

static str remark(struct arena *a, const struct jv *r)
{
    const struct jv *e = jv_get(r, "error");
    if (e && e->type == JSON_OBJ)
        return jv_get_str(e, "message");
    if (jv_get_str(r, "snoozed_until").n) {
        char *z = arena_printf(a, "snoozed until %.*s", STR_FMT(time_of(a, r, "snoozed_until")));
        return z ? str_c(z) : STR("snoozed");
    }
    return jv_is(jv_get(r, "too_many_groups"), JSON_TRUE) ? STR("more groups than max_groups")
                                                          : jv_get_str(r, "about");
}

/* of the groups, the earliest that is in the rule's state */
static str since(struct arena *a, const struct jv *r)
{
    str state = jv_get_str(r, "state"), best = STR_NULL;
    const struct jv *e = jv_get(r, "error");
    if (e && e->type == JSON_OBJ)
        return time_of(a, e, "since");
    JV_EACH(g, jv_get(r, "groups"))
    {
        str t = jv_get_str(g, "since");
        if (str_eq(jv_get_str(g, "state"), state) && (!best.n || str_cmp(t, best) < 0))
            best = t;
    }
    return seconds(a, best);
}

static int show_list(struct cli *c, struct arena *a, const struct jv *root)
{
    struct table *t;
    struct buf b;
    int rc = table_open(c, &t, &b);
    if (rc)
        return rc;
    JV_EACH(r, jv_get(root, "alerts"))
    {
        str state = jv_get_str(r, "state");
        uint32_t n = 0;
        JV_EACH(g, jv_get(r, "groups")) n += str_eq(jv_get_str(g, "state"), state);
        char count[24] = "-";
        if (n)
            snprintf(count, sizeof count, "%u", n);
        cell(&b, "alert", jv_get_str(r, "name"));
        cell(&b, "state", state);
        cell(&b, "groups", str_c(count));
        cell(&b, "since", since(a, r));
        cell(&b, "severity", jv_get_str(r, "severity"));
        cell(&b, "condition", jv_get_str(r, "condition"));
        cell(&b, "source", jv_get_str(r, "source"));
        cell(&b, "remark", remark(a, r));
        if (rc == 0)
            rc = add_row(c, t, &b);
    }
    const struct jv *all = jv_get(root, "alerts");
    if (rc == 0 && (!all || !all->n))
        cli_note(c, "there are no alert rules; fleetlog alerts apply FILE makes some");
    table_end(c, t, &b, rc);
    int64_t waiting = jv_int(jv_get(root, "deliveries_waiting"), 0);
    if (rc == 0 && waiting)
        cli_note(c, "%" PRId64 " %s to be delivered", waiting,
                 plural((uint64_t)waiting, "message waits", "messages wait"));
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

static void field_json(struct out *o, const char *name, const struct jv *v)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    if (v && json_minify(&b, v->text, &(struct err)ERR_INIT) == 0 && b.n > 2)
        field(o, name, buf_str(&b));
    buf_deinit(&b);
}

static int show_deliveries(struct cli *c, struct arena *a, const struct jv *all)
{
    struct table *t;
    struct buf b, target;
    int rc = table_open(c, &t, &b);
    if (rc)
        return rc;
    buf_init(&target, 64u << 10);
    JV_EACH(d, all)
    {
        const struct jv *g = jv_get(d, "target"), *first = g ? g->first : NULL;
        buf_reset(&target);
        if (first) {
            buf_putstr(&target, first->key);
            if (first->type != JSON_TRUE) {
                buf_putc(&target, ' ');
                buf_putstr(&target, first->text);
            }
        }
        cell(&b, "created", time_of(a, d, "created"));
        cell_group(&b, jv_get(d, "group"));
        cell(&b, "target", buf_str(&target));
        cell(&b, "status", jv_get_str(d, "status"));
        cell_number(&b, "attempts", jv_get(d, "attempts"));
        cell(&b, "answer", jv_get_str(d, "answer"));
        if (rc == 0)
            rc = add_row(c, t, &b);
    }
    buf_deinit(&target);
    table_end(c, t, &b, rc);
    return rc;
}

static int show_groups(struct cli *c, struct arena *a, const struct jv *all, bool trial)
{
    struct table *t;
    struct buf b;
    int rc = table_open(c, &t, &b);
    if (rc)
        return rc;
    JV_EACH(g, all)
    {
        cell_group(&b, jv_get(g, "group"));
        cell_number(&b, "value", jv_get(g, "value"));
        if (jv_get(g, "before"))
            cell_number(&b, "before", jv_get(g, "before"));
        if (trial && jv_get(g, "change_percent"))
            cell_number(&b, "percent", jv_get(g, "change_percent"));
        cell(&b, "state", jv_get_str(g, "state"));
        if (trial)
            cell(&b, "next", jv_get_str(g, "next_state"));
        else
            cell(&b, "since", time_of(a, g, "since"));
        if (rc == 0)
            rc = add_row(c, t, &b);
    }
    table_end(c, t, &b, rc);
    return rc;
}

static void heading(struct out *o, const char *text)
{
    out_line(o);
    out_styled(o, STYLE_BOLD, text);
    out_line(o);
}

static int show_rule(struct cli *c, struct arena *a, const struct jv *r)
{
    static const char *const texts[] = { "name",   "about",      "state",     "condition", "query",
                                         "metric", "value",      "window",    "every",     "for",
                                         "keep",   "repeat",     "forget",    "severity",  "source",
                                         "agents", "changed_by", "snoozed_by" };
    struct out *o = &c->out;
    const struct jv *groups = jv_get(r, "groups"), *sent = jv_get(r, "deliveries");
    int rc = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        str v = jv_get_str(r, texts[i]);
        if (!str_eq(v, STR("0")))
            field(o, texts[i], v);
    }
    field_json(o, "by", jv_get(r, "by"));
    field_json(o, "labels", jv_get(r, "labels"));
    field_json(o, "send", jv_get(r, "send"));
    field(o, "remark", str_eq(remark(a, r), jv_get_str(r, "about")) ? STR_NULL : remark(a, r));
    field(o, "evaluated", time_of(a, r, "evaluated"));
    if (groups && groups->n) {
        heading(o, "groups");
        rc = show_groups(c, a, groups, false);
    }
    if (rc == 0 && sent && sent->n) {
        heading(o, "deliveries");
        rc = show_deliveries(c, a, sent);
    }
    return rc;
}

static int show_history(struct cli *c, struct arena *a, const struct jv *root)
{
    struct table *t;
    struct buf b;
    const struct jv *all = jv_get(root, "history");
    int rc = table_open(c, &t, &b);
    if (rc)
        return rc;
    JV_EACH(h, all)
    {
        cell(&b, "time", time_of(a, h, "time"));
        cell(&b, "alert", jv_get_str(h, "alert"));
        cell_group(&b, jv_get(h, "group"));
        cell(&b, "from", jv_get_str(h, "from").n ? jv_get_str(h, "from") : STR("-"));
        cell(&b, "to", jv_get_str(h, "to"));
        cell_number(&b, "value", jv_get(h, "value"));
        cell(&b, "note", jv_get_str(h, "note"));
        if (rc == 0)
            rc = add_row(c, t, &b);
    }
    if (rc == 0 && (!all || !all->n))
        cli_note(c, "nothing has happened yet");
    table_end(c, t, &b, rc);
    return rc;
}

static int show_trial(struct cli *c, struct arena *a, const struct jv *r)
{
    const struct jv *groups = jv_get(r, "groups"), *ms = jv_get(r, "elapsed_ms");
    struct out *o = &c->out;
    char took[32];
    field(o, "alert", jv_get_str(r, "alert"));
    field(o, "condition", jv_get_str(r, "condition"));
    field(o, "query", jv_get_str(r, "query"));
    field(o, "metric", jv_get_str(r, "metric"));
    field(o, "from", jv_get_str(r, "from").n ? time_of(a, r, "from") : STR_NULL);
    field(o, "took", str_c(fmt_ms(jv_num(ms, 0), took)));
    if (groups && groups->n)
        return show_groups(c, a, groups, true);
    out_puts(o, "No group is in the answer.");
    out_line(o);
    return 0;
}

/* parses an answer and hands it to fn, or prints it as JSON */
static int show(struct cli *c, str text, int (*fn)(struct cli *, struct arena *, const struct jv *))
{
    struct arena a;
    struct jv *root;
    struct err err = ERR_INIT;
    int rc;
    if (opt_on(c, "json")) {
        json_pretty(&c->out, text, 0);
        out_line(&c->out);
        return 0;
    }
    arena_init(&a, 512u << 20);
    rc = doc_parse(&root, &a, text, &err) < 0 ? cli_fail_err(c, &err) : fn(c, &a, root);
    arena_deinit(&a);
    return rc;
}

/* ---- files ---- */

struct rules {
    struct arena a;
    struct alert_rule *v;
    uint32_t n;
};

static int read_rules(struct cli *c, const char *path, struct rules *r)
{
    struct buf text;
    struct tree *doc;
    struct err err = ERR_INIT;
    buf_init(&text, TREE_BYTES_MAX);
    int rc = cli_read_file(c, path, &text);
    if (rc == 0 && (tree_from_yaml(&doc, &r->a, buf_str(&text), &err) < 0 ||
                    rules_read(&r->v, &r->n, doc, true, &r->a, &err) < 0))
        rc = cli_fail(c, EXIT_CONFIG, err.hint[0] ? err.hint : NULL, "%s: %s", path, err.msg);
    buf_deinit(&text);
    for (uint32_t i = 0; rc == 0 && i < r->n; i++)
        for (uint32_t k = 0; k < r->v[i].ntargets; k++)
            if (r->v[i].targets[k].secret_env.n)
                rc = cli_fail(c, EXIT_CONFIG, "give the secret, or start the server with --alerts",
                              "%s: secret_env of rule '%s' is read by the server from its own file",
                              path, r->v[i].name);
    return rc;
}

static int test_rule(struct cli *c, struct target *t, const struct alert_rule *r)
{
    struct buf body, answer;
    buf_init(&body, 1u << 20);
    buf_init(&answer, ANSWER_MAX);
    rule_put(&body, r, RULE_SECRETS);
    int rc = ask_rule(c, t, "POST", r->name, "/test", buf_str(&body), &answer, NULL);
    if (rc == 0)
        rc = show(c, buf_str(&answer), show_trial);
    buf_deinit(&answer);
    buf_deinit(&body);
    return rc;
}

/* created, changed or unchanged: told by the answer's status and time of change */
static int apply_rule(struct cli *c, struct target *t, const struct alert_rule *r)
{
    struct buf body, before, after;
    struct arena a;
    struct jv *x, *y;
    struct err err = ERR_INIT;
    int status = 0, had = 0;
    struct call look = { .method = "GET", .out = NULL };
    struct buf path;
    rule_path(&path, r->name, "");
    buf_init(&body, 1u << 20);
    buf_init(&before, ANSWER_MAX);
    buf_init(&after, ANSWER_MAX);
    arena_init(&a, 256u << 20);
    look.path = path.p;
    look.out = &before;
    had = client_call(t->client, &look, &err) == 0;
    rule_put(&body, r, RULE_SECRETS);
    int rc = ask_rule(c, t, "PUT", r->name, "", buf_str(&body), &after, &status);
    if (rc == 0 && opt_on(c, "json")) {
        json_pretty(&c->out, buf_str(&after), 0);
        out_line(&c->out);
    } else if (rc == 0) {
        bool same = had && doc_parse(&x, &a, buf_str(&before), &err) == 0 &&
                    doc_parse(&y, &a, buf_str(&after), &err) == 0 &&
                    str_eq(jv_get_str(x, "changed"), jv_get_str(y, "changed"));
        out_printf(&c->out, "%s %s\n",
                   status == 201 ? "created  "
                   : same        ? "unchanged"
                                 : "changed  ",
                   r->name);
    }
    arena_deinit(&a);
    buf_deinit(&after);
    buf_deinit(&before);
    buf_deinit(&body);
    buf_deinit(&path);
    return rc;
}

/* ---- verbs ---- */

static int run_list(struct cli *c, struct target *t)
{
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    int rc = data_call(c, t, "GET", "/api/v1/alerts", STR_NULL, &answer, NULL);
    if (rc == 0)
        rc = show(c, buf_str(&answer), show_list);
    buf_deinit(&answer);
    return rc;
}

static int run_show(struct cli *c, struct target *t)
{
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    int rc = ask_rule(c, t, "GET", c->args[1], "", STR_NULL, &answer, NULL);
    if (rc == 0)
        rc = show(c, buf_str(&answer), show_rule);
    buf_deinit(&answer);
    return rc;
}

static int run_history(struct cli *c, struct target *t)
{
    struct buf answer, path;
    char limit[24];
    buf_init(&answer, ANSWER_MAX);
    buf_init(&path, 4096);
    buf_puts(&path, "/api/v1/alerts/history");
    snprintf(limit, sizeof limit, "%" PRId64, opt_num(c, "limit"));
    url_param(&path, "limit", str_c(limit));
    if (c->nargs > 1)
        url_param(&path, "alert", str_c(c->args[1]));
    buf_putc(&path, 0);
    int rc = data_call(c, t, "GET", path.p, STR_NULL, &answer, NULL);
    if (rc == 0)
        rc = show(c, buf_str(&answer), show_history);
    buf_deinit(&path);
    buf_deinit(&answer);
    return rc;
}

/* a rule of the server, or those of a file */
static int run_test(struct cli *c, struct target *t)
{
    const char *what = c->args[1];
    struct buf answer;
    struct rules r = { 0 };
    int rc;
    if (!strchr(what, '/') && !str_ends(str_c(what), STR(".yaml")) &&
        !str_ends(str_c(what), STR(".yml")) && !str_ends(str_c(what), STR(".json"))) {
        buf_init(&answer, ANSWER_MAX);
        rc = ask_rule(c, t, "POST", what, "/test", STR_NULL, &answer, NULL);
        if (rc == 0)
            rc = show(c, buf_str(&answer), show_trial);
        buf_deinit(&answer);
        return rc;
    }
    arena_init(&r.a, 64u << 20);
    rc = read_rules(c, what, &r);
    for (uint32_t i = 0; rc == 0 && i < r.n; i++) {
        if (i && !opt_on(c, "json"))
            out_line(&c->out);
        rc = test_rule(c, t, &r.v[i]);
    }
    arena_deinit(&r.a);
    return rc;
}

static int run_apply(struct cli *c, struct target *t)
{
    struct rules r = { 0 };
    bool dry = opt_on(c, "dry-run");
    arena_init(&r.a, 64u << 20);
    int rc = read_rules(c, c->args[1], &r);
    for (uint32_t i = 0; rc == 0 && i < r.n; i++)
        rc = dry ? test_rule(c, t, &r.v[i]) : apply_rule(c, t, &r.v[i]);
    if (rc == 0 && !r.n)
        cli_note(c, "%s holds no rules", c->args[1]);
    arena_deinit(&r.a);
    return rc;
}

static int run_snooze(struct cli *c, struct target *t)
{
    struct buf answer, body;
    const char *span = c->args[2];
    bool awake = strcmp(span, "0") == 0;
    int64_t ns;
    if (!awake && !dur_parse(str_c(span), 0, &ns))
        return cli_fail(c, EXIT_USAGE, "as 2h or 3d; 0 ends a snooze",
                        "snooze needs a duration, not '%s'", span);
    buf_init(&body, 1024);
    buf_init(&answer, ANSWER_MAX);
    buf_puts(&body, awake ? "{\"until\":null}" : "{\"for\":");
    if (!awake) {
        json_put_str(&body, str_c(span));
        buf_putc(&body, '}');
    }
    int rc = ask_rule(c, t, "POST", c->args[1], "/snooze", buf_str(&body), &answer, NULL);
    if (rc == 0 && opt_on(c, "json"))
        rc = show(c, buf_str(&answer), show_rule);
    else if (rc == 0 && awake)
        out_printf(&c->out, "%s is awake.\n", c->args[1]);
    else if (rc == 0)
        out_printf(&c->out, "%s tells nobody for %s.\n", c->args[1], span);
    buf_deinit(&answer);
    buf_deinit(&body);
    return rc;
}

static int run_delete(struct cli *c, struct target *t)
{
    int rc = 0;
    for (int i = 1; i < c->nargs && rc == 0; i++) {
        struct buf answer;
        buf_init(&answer, ANSWER_MAX);
        rc = ask_rule(c, t, "DELETE", c->args[i], "", STR_NULL, &answer, NULL);
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

static const struct verb {
    const char *name;
    int min, max; /* words behind it; max < 0: any */
    const char *needs;
    int (*run)(struct cli *c, struct target *t);
} verbs[] = {
    { "list", 0, 0, "nothing more", run_list },
    { "show", 1, 1, "the name of a rule", run_show },
    { "test", 1, 1, "the name of a rule or a file", run_test },
    { "snooze", 2, 2, "the name of a rule and a duration", run_snooze },
    { "history", 0, 1, "at most the name of a rule", run_history },
    { "apply", 1, 1, "a file of rules", run_apply },
    { "delete", 1, -1, "names of rules", run_delete },
};
#define VERBS (sizeof verbs / sizeof *verbs)

static int unknown_verb(struct cli *c, const char *word)
{
    const char *names[VERBS + 1] = { NULL };
    char hint[96];
    for (size_t i = 0; i < VERBS; i++)
        names[i] = verbs[i].name;
    const char *near = nearest_word(word, names);
    snprintf(hint, sizeof hint,
             near ? "did you mean 'alerts %s'?"
                  : "list, show, test, snooze, history, apply or delete%s",
             near ? near : "");
    return cli_fail(c, EXIT_USAGE, hint, "alerts cannot '%s'", word);
}

static int run(struct cli *c)
{
    struct target t;
    const char *word = c->nargs ? c->args[0] : "list";
    const struct verb *v = NULL;
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, word) == 0)
            v = &verbs[i];
    if (!v)
        return unknown_verb(c, word);
    int more = c->nargs ? c->nargs - 1 : 0;
    if (more < v->min || (v->max >= 0 && more > v->max))
        return cli_fail(c, EXIT_USAGE, NULL, "alerts %s takes %s", v->name, v->needs);
    if (opt_on(c, "dry-run") && v->run != run_apply)
        return cli_fail(c, EXIT_USAGE, NULL, "--dry-run goes with apply");
    if (opt_given(c, "limit") && v->run != run_history)
        return cli_fail(c, EXIT_USAGE, NULL, "--limit goes with history");
    int rc = target_open(c, &t, NEED_SERVER);
    if (rc)
        return rc;
    rc = v->run(c, &t);
    target_close(&t);
    return rc;
}

const struct command cmd_alerts = {
    .name = "alerts",
    .summary = "alert rules: how they are, try, snooze, apply",
    .synopsis = "[list|show|test|snooze|history|apply|delete] [NAME|FILE] [OPTIONS]",
    .about = "Asks the server, which evaluates the rules. `test` evaluates a rule, or those of a "
             "file, and delivers nothing. `apply` makes or changes the rules of a file and leaves "
             "others alone; rules that the server reads from its own file are changed there.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .complete = "list show test snooze history apply delete",
    .run = run,
};
