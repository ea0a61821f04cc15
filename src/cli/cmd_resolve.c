/* cmd_resolve.c: fleetlog resolve: mark entries as dealt with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "codec/json.h"

#define IDS_MAX 1000

static const struct opt opts[] = {
    { .name = "by", .type = OPT_TEXT, .arg = "NAME", .help = "who resolved it (default: $USER)" },
    { .name = "note", .type = OPT_TEXT, .arg = "TEXT", .help = "why, or how" },
    { .name = "json", .type = OPT_FLAG, .help = "the outcome as JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog resolve 01932c5e-7e6a-7b3d-9a50-3f1f6f3a2b10 --by ana --note 'quota raised'",
      "one entry by its id" },
    { "fleetlog export 'level:error -resolved:true' --format ndjson | jq -r .id | "
      "xargs fleetlog resolve --by ana",
      "all that a query finds" },
    { NULL, NULL },
};

static int on_server(struct cli *c, struct target *t, const char *by, const char *note,
                     struct buf *answer)
{
    struct buf body;
    buf_init(&body, 1u << 20);
    buf_puts(&body, "{\"ids\":[");
    for (int i = 0; i < c->nargs; i++) {
        buf_puts(&body, i ? "," : "");
        json_put_str(&body, str_c(c->args[i]));
    }
    buf_puts(&body, "],\"by\":");
    json_put_str(&body, str_c(by));
    if (note) {
        buf_puts(&body, ",\"note\":");
        json_put_str(&body, str_c(note));
    }
    buf_puts(&body, "}");
    int rc = data_call(c, t, "POST", "/api/v1/resolve", buf_str(&body), answer, NULL);
    buf_deinit(&body);
    return rc;
}

/* the same answer as the server's */
static int on_dir(struct cli *c, struct target *t, const char *by, const char *note,
                  struct buf *answer)
{
    struct err err = ERR_INIT;
    struct mark marks[IDS_MAX];
    uint32_t n = 0, missing = 0, applied = 0;
    struct buf lost;
    buf_init(&lost, 1u << 20);
    for (int i = 0; i < c->nargs; i++) {
        uint64_t seq;
        int rc = store_find_id(t->store, str_c(c->args[i]), &seq, &err);
        if (rc == ERR_NOTFOUND) {
            buf_puts(&lost, missing++ ? "," : "");
            json_put_str(&lost, str_c(c->args[i]));
        } else if (rc < 0) {
            buf_deinit(&lost);
            return cli_fail_err(c, &err);
        } else {
            marks[n++] = (struct mark){
                .seq = seq, .resolved = true, .by = str_c(by), .note = str_c(note), .at = c->now
            };
        }
    }
    int rc = n ? store_mark(t->store, marks, n, &applied, &err) : 0;
    buf_printf(answer, "{\"resolved\":%u,\"not_found\":[", n);
    buf_putstr(answer, buf_str(&lost));
    buf_puts(answer, "]}");
    buf_deinit(&lost);
    return rc < 0 ? cli_fail_err(c, &err) : 0;
}

static int report(struct cli *c, const struct jv *root, str text)
{
    const struct jv *missing = jv_get(root, "not_found");
    int64_t n = jv_int(jv_get(root, "resolved"), 0);
    if (opt_on(c, "json")) {
        out_json(&c->out, text);
        out_line(&c->out);
    } else {
        out_printf(&c->out, "Resolved %lld of %d.\n", (long long)n, c->nargs);
        JV_EACH(v, missing)
        cli_note(c, "no entry has the id %.*s", STR_FMT(v->text));
    }
    return missing && missing->n ? EXIT_NONE : EXIT_DONE;
}

static int run(struct cli *c)
{
    struct target t;
    struct buf answer;
    struct arena a;
    struct jv *root;
    struct err err = ERR_INIT;
    const char *by = opt_text(c, "by"), *user = getenv("USER");
    if (!by)
        by = user && *user ? user : NULL;
    if (!by)
        return cli_fail(c, EXIT_USAGE, NULL, "resolve needs --by NAME");
    if (c->nargs > IDS_MAX)
        return cli_fail(c, EXIT_USAGE, NULL, "at most %d ids at once", IDS_MAX);
    int rc = target_open(c, &t, NEED_WRITE);
    if (rc)
        return rc;
    buf_init(&answer, 4u << 20);
    arena_init(&a, 16u << 20);
    rc = t.client ? on_server(c, &t, by, opt_text(c, "note"), &answer)
                  : on_dir(c, &t, by, opt_text(c, "note"), &answer);
    if (rc == 0 && doc_parse(&root, &a, buf_str(&answer), &err) < 0)
        rc = cli_fail_err(c, &err);
    else if (rc == 0)
        rc = report(c, root, buf_str(&answer));
    arena_deinit(&a);
    buf_deinit(&answer);
    target_close(&t);
    return rc;
}

const struct command cmd_resolve = {
    .name = "resolve",
    .summary = "mark entries as dealt with",
    .synopsis = "ID... --by NAME [OPTIONS]",
    .about =
        "A mark is a fact beside the entry, which itself never changes. The first resolver stays. "
        "Exit 1 when an id is unknown.",
    .opts = opts,
    .examples = examples,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
