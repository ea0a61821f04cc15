/* cmd_prune.c: fleetlog prune: delete what is older than N days. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "model/pred.h"
#include "query/query.h"

static const struct opt opts[] = {
    { .name = "days",
      .letter = 'd',
      .type = OPT_INT,
      .arg = "N",
      .min = -36500,
      .max = 36500,
      .help = "delete entries whose time is more than N days ago" },
    { .name = "dry-run", .type = OPT_FLAG, .help = "only count" },
    { .name = "yes", .letter = 'y', .type = OPT_FLAG, .help = "do not ask" },
    { .name = "json", .type = OPT_FLAG, .help = "the outcome as JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog prune --days 30 --dry-run", "how much would go" },
    { "fleetlog prune --days 30 --yes", "without asking, as in a cron job" },
    { "fleetlog prune --days 7 'level:debug -level:info' --data-dir DIR",
      "only some entries, on a directory no server holds" },
    { NULL, NULL },
};

/* ---- a directory ---- */

static int prune_dir(struct cli *c, struct target *t, const char *text, ts_ns before, bool dry,
                     uint64_t *ret)
{
    struct err err = ERR_INIT;
    struct query_opts o;
    struct query *q;
    query_opts_default(&o);
    o.now = c->now;
    o.end = before;
    if (query_parse(&q, str_c(text), &o, &err) < 0)
        return cli_fail_err(c, &err);
    int rc = 0;
    if (!query_is_filter(q)) {
        rc = cli_fail(c, EXIT_USAGE, "leave out everything from the first | on",
                      "prune takes a filter, not a query with pipes");
    } else {
        struct arena a; /* the time bound of the options, spelled out: nothing younger goes */
        arena_init(&a, 1u << 20);
        struct pred *old = pred_time(&a, TS_MIN, before);
        struct pred *both = pred_and(&a, (struct pred *)query_filter(q), old);
        if (!both)
            rc = err_nomem(&err);
        else
            rc = store_delete(t->store, both, dry, ret, &err);
        arena_deinit(&a);
        if (rc < 0)
            rc = cli_fail_err(c, &err);
    }
    query_free(q);
    return rc;
}

/* ---- a server ---- */

struct counted {
    uint64_t n;
};

static bool on_count(void *ctx, str line)
{
    struct counted *k = ctx;
    struct arena a;
    struct jv *v;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 20);
    if (doc_parse(&v, &a, line, &err) == 0)
        k->n = (uint64_t)jv_int(jv_get(v, "n"), 0);
    arena_deinit(&a);
    return true;
}

static int count_server(struct cli *c, struct target *t, const char *text, ts_ns before,
                        uint64_t *ret)
{
    struct counted k = { 0 };
    struct data_result res;
    struct buf query;
    buf_init(&query, 256u << 10);
    buf_puts(&query, text);
    buf_puts(&query, "\n| stats count() as n");
    struct data_query q = {
        .text = query.p, .start = TS_MIN, .end = before, .on_row = on_count, .ctx = &k
    };
    int rc = data_query(c, t, &q, &res);
    buf_deinit(&query);
    *ret = k.n;
    return rc;
}

static int prune_server(struct cli *c, struct target *t, int64_t days, uint64_t *ret)
{
    char path[64];
    struct buf body;
    struct arena a;
    struct jv *v;
    struct err err = ERR_INIT;
    buf_init(&body, 1u << 20);
    snprintf(path, sizeof(path), "/prune?days=%" PRId64, days);
    int rc = data_call(c, t, "DELETE", path, STR_NULL, &body, NULL);
    arena_init(&a, 4u << 20);
    if (rc == 0 && doc_parse(&v, &a, buf_str(&body), &err) < 0)
        rc = cli_fail_err(c, &err);
    else if (rc == 0)
        *ret = (uint64_t)jv_int(jv_get(v, "pruned"), 0);
    arena_deinit(&a);
    buf_deinit(&body);
    return rc;
}

/* A person at a terminal is asked; a pipe is not. */
static bool agreed(struct cli *c, uint64_t n, int64_t days)
{
    char count[32], answer[16] = "";
    if (!n || opt_on(c, "yes") || !isatty(STDIN_FILENO) || !c->err.tty)
        return true;
    dprintf(STDERR_FILENO, "Delete %s %s older than %" PRId64 " %s? [y/N] ", fmt_count(n, count),
            plural(n, "entry", "entries"), days, plural((uint64_t)days, "day", "days"));
    ssize_t got = read(STDIN_FILENO, answer, sizeof(answer) - 1);
    return got > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run(struct cli *c)
{
    struct target t;
    struct buf words;
    bool dry = opt_on(c, "dry-run");
    int64_t days = opt_num(c, "days");
    uint64_t n = 0;
    if (!opt_given(c, "days"))
        return cli_fail(c, EXIT_USAGE, "as in: fleetlog prune --days 30", "prune needs --days N");
    ts_ns before = c->now - days * NS_PER_DAY;
    int rc = target_open(c, &t, dry ? NEED_READ : NEED_WRITE);
    if (rc)
        return rc;
    buf_init(&words, 64u << 10);
    data_join_args(c, 0, &words);
    const char *text = words.p ? words.p : "";
    if (t.client && !dry && words.n)
        rc = cli_fail(c, EXIT_USAGE, "count with --dry-run, or stop the server and use --data-dir",
                      "a running server prunes by age only, not by a query");
    if (rc == 0 && (dry || !opt_on(c, "yes")))
        rc = t.client ? count_server(c, &t, text, before, &n)
                      : prune_dir(c, &t, text, before, true, &n);
    if (rc == 0 && !dry) {
        if (!agreed(c, n, days)) {
            cli_note(c, "nothing was deleted");
            rc = EXIT_NONE;
        } else {
            rc = t.client ? prune_server(c, &t, days, &n)
                          : prune_dir(c, &t, text, before, false, &n);
        }
    }
    if (rc == 0 && opt_on(c, "json"))
        out_printf(&c->out,
                   "{\"%s\": %" PRIu64 ", \"retention_days\": %" PRId64 ", \"dry_run\": %s}\n",
                   dry ? "pruned\": 0, \"would_prune" : "pruned", n, days, dry ? "true" : "false");
    else if (rc == 0)
        out_printf(&c->out, "%s %" PRIu64 " %s older than %" PRId64 " %s.\n",
                   dry ? "Would prune" : "Pruned", n, plural(n, "entry", "entries"), days,
                   plural((uint64_t)days, "day", "days"));
    buf_deinit(&words);
    target_close(&t);
    return rc;
}

const struct command cmd_prune = {
    .name = "prune",
    .summary = "delete entries older than N days",
    .synopsis = "--days N [OPTIONS] [QUERY]",
    .about =
        "Deletes by the time of the entries, at once and for good. On a terminal it says how many "
        "and asks first. A server prunes by age; with a QUERY only what also matches it goes, "
        "which needs a directory that no server holds. Automatic deletion is serve "
        "--retention.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
