/* cmd_stats.c: fleetlog stats and fleetlog agents: what is stored, at a glance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "cli/cells.h"
#include "cli/row.h"

#define HOURS_SHOWN 48
#define NAME_MOST 40
#define NAME_LEAST 16
#define BAR_MOST 32
#define BAR_LEAST 8

static const struct opt opts[] = {
    { .name = "json", .type = OPT_FLAG, .help = "the figures as JSON" },
    { .name = NULL },
};

static const struct opt agents_opts[] = {
    { .name = "json", .type = OPT_FLAG, .help = "the figures as JSON" },
    { .name = "tree", .type = OPT_FLAG, .help = "who started whom, with errors, tokens and cost" },
    { .name = NULL },
};

static const struct example stats_examples[] = {
    { "fleetlog stats", "entries, levels, agents, hours" },
    { "fleetlog stats --json | jq .level_counts", "for a script" },
    { "fleetlog stats --data-dir /var/lib/fleetlog", "without a server" },
    { NULL, NULL },
};

static const struct example agents_examples[] = {
    { "fleetlog agents", "every agent with its number of entries" },
    { "fleetlog agents --tree", "which agent started which" },
    { "fleetlog agents --json | jq -r '.agents | keys[]'", "only the names" },
    { NULL, NULL },
};

static int load(struct cli *c, struct buf *text, struct arena *a, struct jv **ret)
{
    struct target t;
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    rc = data_stats(c, &t, text);
    target_close(&t);
    if (rc)
        return rc;
    struct err err = ERR_INIT;
    if (doc_parse(ret, a, buf_str(text), &err) < 0)
        return cli_fail(c, EXIT_DATA, NULL, "the statistics are not JSON: %s", err.msg);
    return 0;
}

static int64_t number(const struct jv *o, const char *key)
{
    return jv_int(jv_get(o, key), 0);
}

static void label(struct out *o, const char *text)
{
    out_styled(o, STYLE_BOLD, text);
    out_pad(o, 12 - (int)strlen(text));
}

static void put_span(struct out *o, const struct jv *root)
{
    const struct jv *from = jv_get(root, "earliest_ts"), *to = jv_get(root, "latest_ts");
    char a[TS_TEXT_MAX], b[TS_TEXT_MAX], d[32];
    ts_ns x, y;
    if (!jv_is(from, JSON_NUM) || !jv_is(to, JSON_NUM) ||
        !ts_from_seconds_f64(jv_num(from, 0), &x) || !ts_from_seconds_f64(jv_num(to, 0), &y))
        return;
    ts_format(x, 0, a);
    ts_format(y, 0, b);
    label(o, "Time");
    out_printf(o, "%s  to  %s", a, b);
    out_style(o, STYLE_DIM);
    out_printf(o, "  (%s)", fmt_duration_s(((double)y - (double)x) / 1e9, d));
    out_style(o, STYLE_NONE);
    out_line(o);
}

/* name, number, share and bar in the width of the terminal; a pipe has room for everything */
struct columns {
    int name, number, bar;
};

static struct columns fit(const struct out *o, int name, int64_t most)
{
    char text[32];
    struct columns w = { .name = name, .bar = BAR_MOST };
    w.number = 2 + (int)strlen(fmt_count((uint64_t)most, text));
    if (!o->term.tty)
        return w;
    int room = o->term.cols - 2 - w.number - (int)strlen("  100.0%  "); /* for name and bar */
    if (w.name > NAME_MOST)
        w.name = NAME_MOST;
    if (w.name > room - BAR_LEAST) /* the name first, then the bar */
        w.name = room - BAR_LEAST > NAME_LEAST ? room - BAR_LEAST : NAME_LEAST;
    if (w.name > room)
        w.name = room;
    if (w.name < 2)
        w.name = 2;
    if (w.bar > room - w.name)
        w.bar = room - w.name;
    return w;
}

static void put_name(struct out *o, str name, int width)
{
    str shown = name.n ? name : STR("\"\"");
    const char *more = term_utf8() ? "…" : "~";
    bool cut = safe_width(shown) > width;
    if (cut)
        shown = safe_cut(shown, width - 1);
    out_safe(o, shown);
    if (cut)
        out_puts(o, more);
    out_pad(o, width - safe_width(shown) - cut);
}

static void put_figures(struct out *o, const struct columns *w, int64_t n, double total)
{
    char text[32];
    out_printf(o, "%*s %6.1f%%  ", w->number, fmt_count((uint64_t)n, text),
               total > 0 ? (double)n * 100 / total : 0);
}

static void put_levels(struct out *o, const struct jv *levels, double total)
{
    static const char *const order[] = { "CRITICAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE" };
    int64_t max = 0;
    for (size_t i = 0; i < 6; i++)
        if (number(levels, order[i]) > max)
            max = number(levels, order[i]);
    if (max <= 0)
        return;
    struct columns w = fit(o, 8, max);
    out_line(o);
    out_styled(o, STYLE_BOLD, "Levels");
    out_line(o);
    for (size_t i = 0; i < 6; i++) {
        int64_t n = number(levels, order[i]);
        enum style style = style_of_level(str_c(order[i]));
        if (!n)
            continue;
        out_puts(o, "  ");
        out_style(o, style);
        out_puts(o, order[i]);
        out_style(o, STYLE_NONE);
        out_pad(o, w.name - (int)strlen(order[i]));
        put_figures(o, &w, n, total);
        out_style(o, style == STYLE_ALARM ? STYLE_RED : style);
        out_bar(o, (double)n, (double)max, w.bar);
        out_style(o, STYLE_NONE);
        out_line(o);
    }
}

struct count {
    str name;
    int64_t n;
    size_t order;
};

static int by_count(const void *a, const void *b)
{
    const struct count *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

/* name, number, share and bar of each, largest first; at most `max` lines */
static void put_agents(struct out *o, const struct jv *agents, double total, size_t max)
{
    struct arena a;
    size_t n = 0, all = agents ? agents->n : 0;
    arena_init(&a, 256u << 20);
    struct count *list = arena_array(&a, all ? all : 1, sizeof(*list));
    if (!list)
        return;
    JV_EACH(v, agents)
    {
        list[n] = (struct count){ v->key, jv_int(v, 0), n };
        n++;
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), by_count);
    int width = 8;
    for (size_t i = 0; i < n && i < max; i++) {
        int w = safe_width(list[i].name);
        width = w > width ? w : width;
    }
    struct columns w = fit(o, width, n ? list[0].n : 0);
    for (size_t i = 0; i < n && i < max; i++) {
        out_puts(o, "  ");
        out_style(o, style_of_name(list[i].name));
        put_name(o, list[i].name, w.name);
        out_style(o, STYLE_NONE);
        put_figures(o, &w, list[i].n, total);
        out_style(o, style_of_name(list[i].name));
        out_bar(o, (double)list[i].n, (double)list[0].n, w.bar);
        out_style(o, STYLE_NONE);
        out_line(o);
    }
    if (n > max) {
        out_style(o, STYLE_DIM);
        out_printf(o, "  and %zu more: fleetlog agents", n - max);
        out_style(o, STYLE_NONE);
        out_line(o);
    }
    arena_deinit(&a);
}

/* the last HOURS_SHOWN hours up to the newest entry */
static void put_hours(struct out *o, const struct jv *hours)
{
    int64_t cells[HOURS_SHOWN] = { 0 }, max = 0;
    int64_t last = INT64_MIN;
    int shown = HOURS_SHOWN;
    ts_ns t;
    char text[32], iso[TS_TEXT_MAX];
    JV_EACH(v, hours)
    {
        snprintf(text, sizeof(text), "%.*s:00Z", STR_FMT(str_sub(v->key, 0, 16)));
        if (ts_parse_iso(str_c(text), &t) && t / (3600 * NS_PER_S) > last)
            last = t / (3600 * NS_PER_S);
    }
    if (last == INT64_MIN)
        return;
    JV_EACH(v, hours)
    {
        snprintf(text, sizeof(text), "%.*s:00Z", STR_FMT(str_sub(v->key, 0, 16)));
        int64_t at = ts_parse_iso(str_c(text), &t) ? last - t / (3600 * NS_PER_S) : -1;
        if (at >= 0 && at < HOURS_SHOWN)
            cells[HOURS_SHOWN - 1 - at] += jv_int(v, 0);
    }
    if (o->term.tty && o->term.cols - 3 < shown)
        shown = o->term.cols < 15 ? 12 : o->term.cols - 3;
    for (int i = HOURS_SHOWN - shown; i < HOURS_SHOWN; i++)
        max = cells[i] > max ? cells[i] : max;
    ts_format(last * 3600 * NS_PER_S, 0, iso);
    out_line(o);
    out_styled(o, STYLE_BOLD, "Hours");
    out_printf(o, "  the %d up to %.13s:59 UTC, most in one: %s", shown, iso,
               fmt_count((uint64_t)max, text));
    out_line(o);
    out_puts(o, "  ");
    out_style(o, STYLE_CYAN);
    for (int i = HOURS_SHOWN - shown; i < HOURS_SHOWN; i++)
        out_spark(o, (double)cells[i], (double)max);
    out_style(o, STYLE_NONE);
    out_line(o);
}

static int run_stats(struct cli *c)
{
    struct buf text;
    struct arena a;
    struct jv *root = NULL;
    struct out *o = &c->out;
    char n[32];
    arena_init(&a, 1u << 30);
    buf_init(&text, 256u << 20);
    int rc = load(c, &text, &a, &root);
    if (rc == 0 && opt_on(c, "json")) {
        json_pretty(o, buf_str(&text), 0);
        out_line(o);
    } else if (rc == 0) {
        double total = (double)number(root, "total_entries");
        label(o, "Entries");
        out_puts(o, fmt_count((uint64_t)number(root, "total_entries"), n));
        out_line(o);
        label(o, "Agents");
        out_puts(o, fmt_count((uint64_t)number(root, "agents_count"), n));
        out_line(o);
        put_span(o, root);
        str dir = jv_get_str(root, "storage_dir");
        if (dir.n) {
            label(o, "Data");
            out_safe(o, dir);
            out_line(o);
        }
        put_levels(o, jv_get(root, "level_counts"), total);
        const struct jv *agents = jv_get(root, "agent_counts");
        if (agents && agents->n) {
            out_line(o);
            out_styled(o, STYLE_BOLD, "Top agents");
            out_line(o);
            put_agents(o, agents, total, 10);
        }
        put_hours(o, jv_get(root, "hourly_counts"));
    }
    arena_deinit(&a);
    buf_deinit(&text);
    return rc;
}

static int print_agents_json(struct cli *c, const struct jv *agents)
{
    struct out *o = &c->out;
    bool first = true;
    struct buf quoted;
    buf_init(&quoted, 1u << 20);
    out_puts(o, "{\n  \"agents\": {");
    JV_EACH(v, agents)
    {
        buf_reset(&quoted);
        json_put_str(&quoted, v->key);
        out_puts(o, first ? "\n    " : ",\n    ");
        out_json(o, buf_str(&quoted));
        out_printf(o, ": %lld", (long long)jv_int(v, 0));
        first = false;
    }
    out_printf(o, "%s},\n  \"count\": %zu\n}\n", first ? "" : "\n  ",
               agents ? (size_t)agents->n : 0);
    buf_deinit(&quoted);
    return EXIT_DONE;
}

static int run_agents(struct cli *c)
{
    struct buf text;
    struct arena a;
    struct jv *root = NULL;
    if (opt_on(c, "tree"))
        return show_lineage(c);
    arena_init(&a, 1u << 30);
    buf_init(&text, 256u << 20);
    int rc = load(c, &text, &a, &root);
    const struct jv *agents = jv_get(root, "agent_counts");
    if (rc == 0 && opt_on(c, "json"))
        rc = print_agents_json(c, agents);
    else if (rc == 0)
        put_agents(&c->out, agents, (double)number(root, "total_entries"), SIZE_MAX);
    arena_deinit(&a);
    buf_deinit(&text);
    return rc;
}

const struct command cmd_stats = {
    .name = "stats",
    .summary = "what is stored: entries, levels, agents, hours",
    .synopsis = "[--json]",
    .about = "With --json the object that Fleet Logger's GET /stats answers.",
    .opts = opts,
    .examples = stats_examples,
    .run = run_stats,
};

const struct command cmd_agents = {
    .name = "agents",
    .summary = "the agents and how much each has said",
    .synopsis = "[--tree] [--json]",
    .about = "With --tree the agents hang below those that started them: by the parent_agent_id of "
             "their entries, or because a span of theirs lies below one of another agent's.",
    .opts = agents_opts,
    .examples = agents_examples,
    .run = run_agents,
};
