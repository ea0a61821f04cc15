/* cmd_report.c: fleetlog report: what happened, as a page of Markdown or HTML. */
#include <string.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/outfile.h"
#include "insight/report.h"

static const struct opt opts[] = {
    { .name = "since",
      .letter = 's',
      .type = OPT_TEXT,
      .arg = "TIME",
      .def = "24h",
      .help = "where the window begins; a span such as 24h counts back from its end" },
    { .name = "until", .type = OPT_TIME, .arg = "TIME", .help = "where it ends (default: now)" },
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .choices = "md|html",
      .help = "Markdown or HTML (default: by the name of the output, else md)" },
    { .name = "output",
      .letter = 'o',
      .type = OPT_FILE,
      .arg = "FILE",
      .help = "write here, appearing whole or not at all, instead of standard output" },
    { .name = "title",
      .type = OPT_TEXT,
      .arg = "TEXT",
      .def = "Fleet report",
      .help = "what the page is called" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog report", "the last 24 hours against the 24 before, as Markdown" },
    { "fleetlog report --since 7d --output week.html", "a page for a browser, to be passed on" },
    { "fleetlog report 'agent:svc-*' --since 1h -o services.html", "some agents only" },
    { "fleetlog report --since 24h --until 2026-11-21T00:00:00Z", "the same page every time" },
    { NULL, NULL },
};

struct asking {
    struct cli *c;
    struct target *t;
    struct report_rows *to;
    struct err *err;
    int exit; /* of a query that failed and has said why */
    int rc;   /* of a row that was not taken */
};

static bool on_row(void *ctx, str row)
{
    struct asking *a = ctx;
    a->rc = report_row(a->to, row, a->err);
    return a->rc == 0;
}

static int ask(void *ctx, str text, ts_ns start, ts_ns end, struct report_rows *to,
               bool *ret_incomplete, struct err *err)
{
    struct asking *a = ctx;
    struct data_result res;
    struct buf z;
    buf_init(&z, 64u << 10);
    buf_putstr(&z, text);
    struct data_query q = { .text = z.p ? z.p : "",
                            .start = start,
                            .end = end,
                            .on_row = on_row,
                            .ctx = a,
                            .quiet = true };
    a->to = to;
    a->err = err;
    a->rc = 0;
    a->exit = data_query(a->c, a->t, &q, &res);
    *ret_incomplete = res.incomplete;
    buf_deinit(&z);
    return a->exit ? err_set(err, ERR_CANCELED, "a query of the report failed") : a->rc;
}

static int find_window(struct cli *c, struct report_opts *o)
{
    const char *since = opt_text(c, "since");
    o->until = opt_time(c, "until", c->now);
    if (!when_parse(str_c(since), o->until, &o->since))
        return cli_fail(c, EXIT_USAGE, "write 24h, 7d, today or 2026-11-21T10:00:00Z",
                        "--since: '%s' is not a time", since);
    return 0;
}

static void find_format(struct cli *c, struct report_opts *o)
{
    const char *format = opt_text(c, "format"), *path = opt_text(c, "output");
    str name = str_c(path ? path : "");
    o->format = REPORT_MD;
    if (format)
        report_format_parse(str_c(format), &o->format);
    else if (str_ends(name, STR(".html")) || str_ends(name, STR(".htm")))
        o->format = REPORT_HTML;
}

static int write_page(struct cli *c, const struct buf *page)
{
    const char *path = opt_text(c, "output");
    struct outfile f;
    if (!path) {
        out_put(&c->out, buf_str(page));
        return EXIT_DONE;
    }
    int rc = outfile_open(c, &f, path);
    if (rc)
        return rc;
    out_put(&f.o, buf_str(page));
    rc = outfile_close(c, &f, 0);
    if (rc == 0) {
        out_puts(&c->out, "Wrote ");
        out_safe(&c->out, str_c(path));
        out_line(&c->out);
    }
    return rc;
}

static int make(struct cli *c, struct target *t, struct report_opts *o)
{
    struct asking a = { .c = c, .t = t };
    struct report_source src = { &a, ask };
    struct buf words, page;
    struct err err = ERR_INIT;
    buf_init(&words, 64u << 10);
    buf_init(&page, REPORT_BYTES_MAX);
    data_join_args(c, 0, &words);
    int rc = data_check_filter(c, words.p ? words.p : "", "a report");
    o->filter = buf_str(&words);
    if (rc == 0 && report_write(&page, o, &src, &err) < 0)
        rc = a.exit ? a.exit : cli_fail_err(c, &err);
    if (rc == 0)
        rc = write_page(c, &page);
    buf_deinit(&page);
    buf_deinit(&words);
    return rc;
}

static int run(struct cli *c)
{
    struct target t;
    struct report_opts o = { .title = str_c(opt_text(c, "title")) };
    int rc = find_window(c, &o);
    if (rc)
        return rc;
    find_format(c, &o);
    rc = target_open(c, &t, NEED_READ);
    if (rc)
        return rc;
    rc = make(c, &t, &o);
    target_close(&t);
    return rc;
}

const struct command cmd_report = {
    .name = "report",
    .summary = "what happened in a window of time, as a page of Markdown or HTML",
    .synopsis = "[OPTIONS] [FILTER]",
    .about = "Findings first, each with the figures it compares; then figures against the window "
             "before, entries over time, errors new and known, agents and the silent ones, tools "
             "and models, slow operations with their traces, the hours of the week and, where "
             "entries have audit fields, who did what. The queries behind the figures stand at "
             "the end. The HTML is one file that loads nothing.\n\n"
             "The same data and the same --since and --until give the same page.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
