/* cmd_issues.c: fleetlog issues: errors gathered into issues, and what people decide about them.
 *
 * Only a server knows states, so this asks one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "cli/row.h"
#include "codec/json.h"

#define IDS_MAX 1000

static const struct opt opts[] = {
    { .name = "state",
      .type = OPT_CHOICE,
      .arg = "STATE",
      .def = "open",
      .choices = "open|resolved|ignored|all",
      .help = "list: only these" },
    { .name = "sort",
      .type = OPT_CHOICE,
      .arg = "WHAT",
      .def = "last",
      .choices = "last|first|count|agents|sessions",
      .help = "list: the order, falling" },
    { .name = "since",
      .letter = 's',
      .type = OPT_TIME,
      .arg = "TIME",
      .help = "list: from here on" },
    { .name = "until",
      .type = OPT_TIME,
      .arg = "TIME",
      .help = "list: before this moment; ignore: until then" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "50",
      .min = 1,
      .max = 1000,
      .help = "list: at most so many" },
    { .name = "by",
      .type = OPT_TEXT,
      .arg = "NAME",
      .help = "resolve, ignore, reopen: who says so (default: $USER)" },
    { .name = "note", .type = OPT_TEXT, .arg = "TEXT", .help = "... and why, or how" },
    { .name = "count",
      .type = OPT_INT,
      .arg = "N",
      .min = 1,
      .max = 1000000000,
      .help = "ignore: until it has come so often again" },
    { .name = "json", .type = OPT_FLAG, .help = "the server's answer as JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog issues", "what is open, the latest first" },
    { "fleetlog issues list 'agent:coder' --state all --since 7d", "of one agent, of this week" },
    { "fleetlog issues show 3dae1109f5538e1b", "one with its history" },
    { "fleetlog issues resolve 3dae1109f5538e1b --by ana --note 'disk cleaned'",
      "it is open again when it comes again" },
    { "fleetlog issues ignore 3dae1109f5538e1b --until now+7d", "or --count 100, or for ever" },
    { "fleetlog issues reopen 3dae1109f5538e1b", "after all" },
    { NULL, NULL },
};

static str part(const struct jv *o, const char *key)
{
    return jv_get_str(o, key);
}

static void put_state(struct out *o, const struct jv *x)
{
    str state = part(x, "state");
    bool again = jv_is(jv_get(x, "regressed"), JSON_TRUE);
    enum style style = str_eq(state, STR("resolved"))  ? STYLE_GREEN
                       : str_eq(state, STR("ignored")) ? STYLE_DIM
                       : again                         ? STYLE_RED
                                                       : STYLE_YELLOW;
    out_style(o, style);
    out_safe(o, state);
    out_puts(o, again ? " again" : "");
    out_style(o, STYLE_NONE);
    out_pad(o, 10 - (int)state.n - (again ? 6 : 0));
}

static void put_spark(struct out *o, const struct jv *x)
{
    const struct jv *counts = jv_get(jv_get(x, "spark"), "counts");
    double most = 0;
    JV_EACH(v, counts)
    most = jv_num(v, 0) > most ? jv_num(v, 0) : most;
    out_style(o, STYLE_CYAN);
    JV_EACH(v, counts)
    out_spark(o, jv_num(v, 0), most);
    out_style(o, STYLE_NONE);
}

/* "2 h ago" */
static void put_ago(struct out *o, ts_ns now, str iso)
{
    char d[32];
    ts_ns t;
    if (!ts_parse_iso(iso, &t))
        return;
    double s = ((double)now - (double)t) / 1e9;
    out_printf(o, "%s %s", fmt_duration_s(s < 0 ? -s : s, d), s < 0 ? "ahead" : "ago");
}

static void put_cut(struct out *o, str s, int room)
{
    bool cut = o->term.tty && safe_width(s) > room;
    out_safe(o, cut ? safe_cut(s, room - 1) : s);
    if (cut)
        out_puts(o, term_utf8() ? "…" : "~");
}

/* tool, frame: where it happens */
static void put_where(struct out *o, const struct jv *x)
{
    str tool = part(x, "tool"), frame = part(x, "frame");
    out_style(o, STYLE_DIM);
    if (tool.n) {
        out_puts(o, "  tool ");
        out_safe(o, tool);
    }
    if (frame.n) {
        out_puts(o, "  in ");
        out_safe(o, frame);
    }
    out_style(o, STYLE_NONE);
}

static void put_line(struct cli *c, const struct jv *x)
{
    struct out *o = &c->out;
    char n[32];
    int64_t agents = jv_int(jv_get(x, "agents"), 0);
    int where = 2;
    if (part(x, "tool").n)
        where += 7 + safe_width(part(x, "tool"));
    if (part(x, "frame").n)
        where += 5 + safe_width(part(x, "frame"));
    out_style(o, STYLE_DIM);
    out_safe(o, part(x, "id"));
    out_style(o, STYLE_NONE);
    out_puts(o, "  ");
    put_state(o, x);
    out_printf(o, "  %9s  ", fmt_count((uint64_t)jv_int(jv_get(x, "count"), 0), n));
    put_spark(o, x);
    out_puts(o, "  ");
    put_ago(o, c->now, part(x, "last"));
    out_line(o);
    out_puts(o, "  ");
    out_style(o, STYLE_BOLD);
    int room = o->term.cols - where;
    put_cut(o, part(x, "title"), room < 30 ? 30 : room);
    out_style(o, STYLE_NONE);
    put_where(o, x);
    if (agents > 1 && (!o->term.tty || room > 60))
        out_printf(o, "  %lld agents", (long long)agents);
    out_line(o);
}

static void put_list(struct cli *c, const struct jv *root)
{
    struct out *o = &c->out;
    const struct jv *list = jv_get(root, "issues"), *states = jv_get(root, "states");
    JV_EACH(x, list)
    {
        if (x != list->first)
            out_line(o);
        put_line(c, x);
    }
    if (!c->err.tty)
        return;
    int64_t total = jv_int(jv_get(root, "total"), 0);
    if (list && (int64_t)list->n < total)
        cli_note(c, "%lld of %lld; --limit N shows more", (long long)list->n, (long long)total);
    if (!list || !list->n)
        cli_note(c, "none; %lld open, %lld resolved, %lld ignored",
                 (long long)jv_int(jv_get(states, "open"), 0),
                 (long long)jv_int(jv_get(states, "resolved"), 0),
                 (long long)jv_int(jv_get(states, "ignored"), 0));
}

static void row(struct out *o, const char *label, str v)
{
    if (!v.n)
        return;
    out_styled(o, STYLE_BOLD, label);
    out_pad(o, 10 - (int)strlen(label));
    out_safe(o, v);
    out_line(o);
}

static void put_change(struct out *o, const struct jv *h)
{
    str by = part(h, "by"), note = part(h, "note"), entry = part(h, "entry");
    str cause = part(h, "cause"), session = part(h, "session"), at = part(h, "at");
    out_puts(o, "  ");
    out_put(o, str_sub(at, 0, 10));
    out_puts(o, " ");
    out_put(o, str_sub(at, 11, 8));
    out_puts(o, "  ");
    out_safe(o, part(h, "state"));
    out_pad(o, 10 - (int)part(h, "state").n);
    if (by.n) {
        out_puts(o, "by ");
        out_safe(o, by);
    }
    if (str_eq(cause, STR("marks")))
        out_puts(o, by.n ? ", who marked its last entry" : "all entries are marked");
    else if (str_eq(cause, STR("entry")))
        out_puts(o, "it happened again");
    else if (str_eq(cause, STR("time")))
        out_puts(o, "the time is over");
    else if (str_eq(cause, STR("count")))
        out_puts(o, "it came often enough");
    if (entry.n) {
        out_puts(o, ": entry ");
        out_safe(o, entry);
    }
    if (session.n) {
        out_puts(o, ", session ");
        out_safe(o, session);
    }
    if (note.n) {
        out_puts(o, ": ");
        out_safe(o, note);
    }
    out_line(o);
}

static void put_whole(struct cli *c, const struct jv *x)
{
    struct out *o = &c->out;
    char n[32];
    const struct jv *history = jv_get(x, "history"), *by = jv_get(x, "by_agent");
    put_line(c, x);
    out_line(o);
    row(o, "Type", part(x, "error_type"));
    row(o, "Text", part(x, "text"));
    row(o, "Tool", part(x, "tool"));
    row(o, "Frame", part(x, "frame"));
    row(o, "First", part(x, "first"));
    row(o, "Last", part(x, "last"));
    out_styled(o, STYLE_BOLD, "Sessions");
    out_printf(o, "  %s", fmt_count((uint64_t)jv_int(jv_get(x, "sessions"), 0), n));
    out_line(o);
    out_styled(o, STYLE_BOLD, "Agents");
    out_pad(o, 4);
    JV_EACH(v, by)
    {
        out_puts(o, v == by->first ? "" : ", ");
        out_style(o, style_of_name(v->key));
        out_safe(o, v->key.n ? v->key : STR("(none)"));
        out_style(o, STYLE_NONE);
        out_printf(o, " %s", fmt_count((uint64_t)jv_int(v, 0), n));
    }
    out_line(o);
    row(o, "Example", part(x, "example"));
    row(o, "Latest", part(x, "latest"));
    if (history && history->n) {
        out_line(o);
        out_styled(o, STYLE_BOLD, "History");
        out_line(o);
        JV_EACH(h, history)
        put_change(o, h);
    }
}

/* ---- asking ---- */

struct asked {
    struct target t;
    struct buf path, body, answer;
    struct arena a;
};

static int ask(struct cli *c, struct asked *x, const char *method, struct jv **root)
{
    struct err err = ERR_INIT;
    int rc = data_call(c, &x->t, method, x->path.p, x->body.n ? buf_str(&x->body) : STR_NULL,
                       &x->answer, NULL);
    if (rc == 0 && doc_parse(root, &x->a, buf_str(&x->answer), &err) < 0)
        rc = cli_fail_err(c, &err);
    return rc;
}

static int list(struct cli *c, struct asked *x, int from)
{
    struct jv *root;
    struct buf words;
    char n[32], at[TS_TEXT_MAX];
    ts_ns since = opt_time(c, "since", TS_MIN), until = opt_time(c, "until", TS_MAX);
    buf_init(&words, 64u << 10);
    data_join_args(c, from, &words);
    buf_puts(&x->path, "/api/v1/issues");
    url_param(&x->path, "state", str_c(opt_text(c, "state")));
    url_param(&x->path, "sort", str_c(opt_text(c, "sort")));
    snprintf(n, sizeof n, "%lld", (long long)opt_num(c, "limit"));
    url_param(&x->path, "limit", str_c(n));
    if (words.n)
        url_param(&x->path, "q", buf_str(&words));
    if (since != TS_MIN) {
        ts_format(since, -1, at);
        url_param(&x->path, "start", str_c(at));
    }
    if (until != TS_MAX) {
        ts_format(until, -1, at);
        url_param(&x->path, "end", str_c(at));
    }
    buf_putc(&x->path, 0);
    buf_deinit(&words);
    int rc = ask(c, x, "GET", &root);
    if (rc == 0 && !opt_on(c, "json"))
        put_list(c, root);
    return rc;
}

static int show(struct cli *c, struct asked *x)
{
    struct jv *root;
    if (c->nargs != 2)
        return cli_fail(c, EXIT_USAGE, "fleetlog issues lists them",
                        "show needs the id of one issue");
    buf_puts(&x->path, "/api/v1/issues/");
    url_escape(&x->path, str_c(c->args[1]));
    buf_putc(&x->path, 0);
    int rc = ask(c, x, "GET", &root);
    if (rc == 0 && !opt_on(c, "json"))
        put_whole(c, root);
    return rc;
}

static int decide(struct cli *c, struct asked *x, const char *state)
{
    struct jv *root;
    const char *by = opt_text(c, "by"), *user = getenv("USER"), *note = opt_text(c, "note");
    char at[TS_TEXT_MAX];
    bool ignore = strcmp(state, "ignored") == 0;
    if (!by)
        by = user && *user ? user : NULL;
    if (!by)
        return cli_fail(c, EXIT_USAGE, NULL, "%s needs --by NAME", c->args[0]);
    if (c->nargs < 2)
        return cli_fail(c, EXIT_USAGE, "fleetlog issues lists them", "%s needs ids of issues",
                        c->args[0]);
    if (c->nargs - 1 > IDS_MAX)
        return cli_fail(c, EXIT_USAGE, NULL, "at most %d issues at once", IDS_MAX);
    if (!ignore && (opt_given(c, "until") || opt_given(c, "count")))
        return cli_fail(c, EXIT_USAGE, NULL, "--until and --count belong to ignore");
    buf_puts(&x->path, "/api/v1/issues");
    buf_putc(&x->path, 0);
    buf_puts(&x->body, "{\"ids\":[");
    for (int i = 1; i < c->nargs; i++) {
        buf_puts(&x->body, i > 1 ? "," : "");
        json_put_str(&x->body, str_c(c->args[i]));
    }
    buf_printf(&x->body, "],\"state\":\"%s\",\"by\":", state);
    json_put_str(&x->body, str_c(by));
    if (note) {
        buf_puts(&x->body, ",\"note\":");
        json_put_str(&x->body, str_c(note));
    }
    if (opt_given(c, "until")) {
        ts_format(opt_time(c, "until", TS_MAX), -1, at);
        buf_printf(&x->body, ",\"until\":\"%s\"", at);
    }
    if (opt_given(c, "count"))
        buf_printf(&x->body, ",\"count\":%lld", (long long)opt_num(c, "count"));
    buf_putc(&x->body, '}');
    int rc = ask(c, x, "POST", &root);
    if (rc)
        return rc;
    const struct jv *missing = jv_get(root, "not_found");
    if (!opt_on(c, "json")) {
        int64_t n = jv_int(jv_get(root, "changed"), 0);
        out_printf(&c->out, "%lld %s changed, now %s.\n", (long long)n,
                   plural((uint64_t)n, "issue", "issues"), state);
        JV_EACH(v, missing)
        cli_note(c, "no issue has the id %.*s", STR_FMT(v->text));
    }
    return missing && missing->n ? EXIT_NONE : EXIT_DONE;
}

static int run_verb(struct cli *c, struct asked *x)
{
    const char *verb = c->nargs ? c->args[0] : "list";
    if (strcmp(verb, "list") == 0)
        return list(c, x, 1);
    if (strcmp(verb, "show") == 0)
        return show(c, x);
    if (strcmp(verb, "resolve") == 0)
        return decide(c, x, "resolved");
    if (strcmp(verb, "ignore") == 0)
        return decide(c, x, "ignored");
    if (strcmp(verb, "reopen") == 0)
        return decide(c, x, "open");
    return cli_fail(c, EXIT_USAGE,
                    "list, show, resolve, ignore or reopen; a query goes behind list",
                    "fleetlog issues does not know '%s'", verb);
}

static int run(struct cli *c)
{
    struct asked x;
    int rc = target_open(c, &x.t, NEED_SERVER);
    if (rc)
        return rc;
    buf_init(&x.path, 256u << 10);
    buf_init(&x.body, 1u << 20);
    buf_init(&x.answer, 64u << 20);
    arena_init(&x.a, 256u << 20);
    rc = run_verb(c, &x);
    if ((rc == EXIT_DONE || rc == EXIT_NONE) && opt_on(c, "json") && x.answer.n) {
        json_pretty(&c->out, buf_str(&x.answer), 0);
        out_line(&c->out);
    }
    arena_deinit(&x.a);
    buf_deinit(&x.path);
    buf_deinit(&x.body);
    buf_deinit(&x.answer);
    target_close(&x.t);
    return rc;
}

const struct command cmd_issues = {
    .name = "issues",
    .summary = "errors gathered into issues: list, resolve, ignore",
    .synopsis = "[list [QUERY] | show ID | resolve|ignore|reopen ID... --by NAME] [OPTIONS]",
    .about = "What belongs together, and what the states mean, is in docs/issues.md. A resolved "
             "issue is open again when it comes again. Needs a server. Exit 1 when an id is "
             "unknown.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .complete = "list show resolve ignore reopen",
    .run = run,
};
