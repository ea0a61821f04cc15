/* cmd_verify.c: fleetlog verify: read every byte of a store and check it. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/target.h"

static const struct opt opts[] = {
    { .name = "deep",
      .type = OPT_FLAG,
      .help = "also recount summaries, and hold statistics and filters against the values" },
    { .name = "json", .type = OPT_FLAG, .help = "the report as JSON" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog verify --data-dir /var/lib/fleetlog", "check a directory; exit 65 on damage" },
    { "fleetlog verify --deep --data-dir /backup/logs", "trust no summary, statistic or filter" },
    { NULL, NULL },
};

static void put_json(struct out *o, const struct verify_report *r)
{
    out_printf(o,
               "{\"ok\": %s, \"files\": %llu, \"bytes\": %llu, \"blocks\": %llu, \"pages\": %llu, "
               "\"rows\": %llu, \"problems\": %llu}\n",
               r->problems ? "false" : "true", (unsigned long long)r->files,
               (unsigned long long)r->bytes, (unsigned long long)r->blocks,
               (unsigned long long)r->pages, (unsigned long long)r->rows,
               (unsigned long long)r->problems);
}

static int check(struct cli *c, struct io *io)
{
    struct verify_report rep;
    struct buf text;
    struct err err = ERR_INIT;
    struct out *o = &c->out;
    memset(&rep, 0, sizeof(rep));
    buf_init(&text, 64u << 20);
    rep.text = &text;
    rep.deep = opt_on(c, "deep");
    int rc = store_verify(io, &rep, &err);
    bool judged = rc == 0 || (rc == ERR_CORRUPT && rep.problems > 0);
    if (judged && opt_on(c, "json")) {
        put_json(o, &rep);
    } else if (judged) {
        str rest = buf_str(&text), line;
        while (rest.n && str_split(&rest, '\n', &line))
            if (line.n && rest.n) { /* its last line is a summary: ours follows */
                out_safe(o, line);
                out_line(o);
            }
        out_style(o, rep.problems ? STYLE_RED : STYLE_GREEN);
        out_puts(o, rep.problems ? "damaged" : "sound");
        out_style(o, STYLE_NONE);
        char n[32], b[32];
        out_printf(o, ": %s %s, %s in %llu %s", fmt_count(rep.rows, n),
                   plural(rep.rows, "entry", "entries"), fmt_bytes(rep.bytes, b),
                   (unsigned long long)rep.files, plural(rep.files, "file", "files"));
        if (rep.problems)
            out_printf(o, ", %llu %s", (unsigned long long)rep.problems,
                       plural(rep.problems, "problem", "problems"));
        out_line(o);
    }
    buf_deinit(&text);
    if (!judged)
        return err.code == ERR_NOTFOUND ? cli_fail(c, EXIT_UNREACHABLE, NULL,
                                                   "there is no fleetlog data here: %s", err.msg)
                                        : cli_fail_err(c, &err);
    return rep.problems ? EXIT_DATA : EXIT_DONE;
}

static int run(struct cli *c)
{
    char dir[4096];
    struct io *io;
    struct err err = ERR_INIT;
    struct buf url;
    if (target_url_named(c))
        return cli_fail(c, EXIT_USAGE, "on the server's machine: fleetlog verify --data-dir DIR",
                        "verify reads a directory and cannot do so through a URL");
    int rc = target_dir(c, dir);
    if (rc)
        return rc;
    if (io_real_new(&io, dir, false, &err) < 0)
        return err.code == ERR_NOTFOUND
                   ? cli_fail(c, EXIT_UNREACHABLE, NULL, "there is no fleetlog data in %s", dir)
                   : cli_fail_err(c, &err);
    buf_init(&url, 1024);
    if (store_lock_owner(io, &url))
        rc = cli_fail(c, EXIT_LOCKED,
                      "stop it first; while it runs, GET /api/v1/integrity tells "
                      "what it knows",
                      "a server holds %s and is writing there (%s)", dir,
                      url.n ? url.p : "no address");
    else
        rc = check(c, io);
    buf_deinit(&url);
    io_free(io);
    return rc;
}

const struct command cmd_verify = {
    .name = "verify",
    .summary = "check every byte of a data directory",
    .synopsis = "[--data-dir DIR] [--deep] [--json]",
    .about =
        "Reads all files, checks every checksum and decodes every page; prints a line for each "
        "problem. With --deep it also compares what is stored twice: summaries with a recount, the "
        "statistics and filters of every column with its values, sequence numbers with each other, "
        "files with the manifest, marks with entries. Nothing is changed. The directory must not "
        "be in use.",
    .opts = opts,
    .examples = examples,
    .run = run,
};
