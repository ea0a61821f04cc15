/* cmd_export.c: fleetlog export: everything that matches, into a file or a pipe. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/outfile.h"
#include "cli/row.h"

static const struct opt opts[] = {
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "json",
      .choices = "json|ndjson|csv|text",
      .help = "what to write" },
    { .name = "output",
      .letter = 'o',
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "write here, appearing whole or not at all, instead of standard output" },
    OPTS_WHICH,
    { .name = "since", .letter = 's', .type = OPT_TIME, .arg = "TIME", .help = "from here on" },
    { .name = "until", .type = OPT_TIME, .arg = "TIME", .help = "before this moment" },
    { .name = "limit",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .min = 1,
      .max = UINT32_MAX,
      .help = "at most so many (default: all that match)" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog export --format ndjson --output all.ndjson", "everything, one JSON a line" },
    { "fleetlog export 'agent:coder level:error' --format csv -o errors.csv",
      "a selection for a spreadsheet" },
    { "fleetlog export --since today --format ndjson | zstd > today.ndjson.zst", "through a pipe" },
    { NULL, NULL },
};

struct export
{
    struct cli *c;
    struct out *o;
    const char *format;
    struct renderer r;
    uint64_t rows, bytes;
    struct progress progress;
    int bad;
};

static bool show_text(struct export *x, str line)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    arena_init(&a, 256u << 20);
    int rc = jrow_parse(&row, line, &a, &err);
    if (rc < 0) {
        x->bad = cli_fail_err(x->c, &err);
    } else if (jrow_is_entry(&row)) {
        render_entry(&x->r, &row);
    } else { /* a table's row */
        for (uint32_t i = 0; i < row.n; i++) {
            out_puts(x->o, i ? "  " : "");
            out_safe(x->o, row.f[i].name);
            out_puts(x->o, "=");
            out_safe(x->o, row.f[i].text);
        }
        out_line(x->o);
    }
    arena_deinit(&a);
    return rc == 0;
}

static bool on_row(void *ctx, str line)
{
    struct export *x = ctx;
    bool go = true;
    x->rows++;
    x->bytes += line.n;
    if (strcmp(x->format, "text") == 0) {
        go = show_text(x, line);
    } else if (strcmp(x->format, "csv") == 0) {
        out_put(x->o, line); /* a piece of the file as it is */
    } else {
        if (strcmp(x->format, "json") == 0)
            out_puts(x->o, x->rows == 1 ? "[\n" : ",\n");
        out_json(x->o, line);
        if (strcmp(x->format, "ndjson") == 0)
            out_line(x->o);
    }
    if (x->o->term.fd != STDOUT_FILENO)
        progress_update(&x->progress, x->bytes, x->rows);
    return go && out_ok(x->o);
}

static int export(struct cli *c, struct target *t, struct export *x)
{
    struct buf words, text;
    struct data_result res;
    buf_init(&words, 64u << 10);
    buf_init(&text, 256u << 10);
    data_join_args(c, 0, &words);
    struct data_query q = { .limit = (uint32_t)opt_num(c, "limit"),
                            .ctx = x,
                            .on_row = on_row,
                            .csv = strcmp(x->format, "csv") == 0 };
    q.unlimited = q.limit == 0;
    q.start = opt_time(c, "since", TS_MIN);
    q.end = opt_time(c, "until", TS_MAX);
    int rc = data_combine(c, &text, words.p ? words.p : "", false, &q.shift);
    q.text = text.p ? text.p : "";
    if (rc == 0)
        rc = data_query(c, t, &q, &res);
    progress_clear(&x->progress);
    if (rc == 0)
        rc = x->bad;
    if (rc == 0 && strcmp(x->format, "json") == 0) /* broken off, it stays open: no JSON */
        out_puts(x->o, x->rows ? "\n]\n" : "[]\n");
    buf_deinit(&text);
    buf_deinit(&words);
    return rc;
}

static int run(struct cli *c)
{
    struct target t;
    struct outfile file;
    const char *path = opt_text(c, "output");
    struct export x = { .c = c, .o = &c->out, .format = opt_text(c, "format") };
    int rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    if (path && (rc = outfile_open(c, &file, path)) != 0) {
        target_close(&t);
        return rc;
    }
    if (path)
        x.o = &file.o;
    renderer_init(&x.r, x.o, true);
    progress_start(&x.progress, &c->err, "exporting", 0);
    rc = export(c, &t, &x);
    if (path)
        rc = outfile_close(c, &file, rc);
    if (path && rc == 0) {
        out_puts(&c->out, "Exported to ");
        out_safe(&c->out, str_c(path));
        out_line(&c->out);
    }
    target_close(&t);
    return rc;
}

const struct command cmd_export = {
    .name = "export",
    .summary = "write everything that matches as JSON, NDJSON, CSV or text",
    .synopsis = "[OPTIONS] [QUERY]",
    .about = "Newest first. Unlike search there is no limit unless --limit sets one. In CSV a cell "
             "that could start a formula is prefixed with an apostrophe.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
