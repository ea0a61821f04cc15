/* cmd_ingest.c: fleetlog ingest: files and pipes into a server. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/feed.h"
#include "cli/sender.h"
#include "cli/target.h"
#include "codec/json.h"

#define FILES_MAX 4096

static const struct opt opts[] = {
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "auto",
      .choices = "auto|ndjson|json|text",
      .help = "what the files hold: one JSON object a line, JSON values or an array, plain lines" },
    { .name = "agent",
      .letter = 'a',
      .type = OPT_TEXT,
      .arg = "NAME",
      .help = "agent of entries that name none" },
    { .name = "follow",
      .letter = 'F',
      .type = OPT_FLAG,
      .help = "keep reading as the files grow, through rename and truncation" },
    { .name = "from",
      .type = OPT_CHOICE,
      .arg = "WHERE",
      .def = "start",
      .choices = "start|end",
      .help = "with --follow: read what is there already, or only what comes" },
    { .name = "json", .type = OPT_FLAG, .help = "the outcome as JSON" },
    { .name = "quiet", .letter = 'q', .type = OPT_FLAG, .help = "no progress and no summary" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog ingest run.ndjson older.ndjson.gz", "files, compressed or not" },
    { "my-agent 2>&1 | fleetlog ingest --agent my-agent --format text", "a program's output" },
    { "fleetlog ingest --follow /var/log/agents/*.log", "as they grow" },
    { "fleetlog ingest export.json", "a JSON array" },
    { NULL, NULL },
};

enum format { FORMAT_AUTO, FORMAT_NDJSON, FORMAT_JSON, FORMAT_TEXT };

struct import {
    struct cli *c;
    struct sender s;
    struct progress progress;
    enum format wanted;
    const struct feed *feed; /* being read */
    uint64_t done_bytes;     /* of files finished */
    uint64_t seen;
    struct buf minified;
    bool text_route; /* the batch in hand is text */
};

/* The route knows one format a request: change between them only when nothing is in hand. */
static int route(struct import *im, bool text)
{
    const char *agent = opt_text(im->c, "agent");
    struct buf path;
    int rc = sender_flush(&im->s);
    buf_init(&path, sizeof(im->s.path) - 1);
    buf_puts(&path, "/api/v1/ingest");
    if (text)
        url_param(&path, "format", STR("text"));
    if (agent)
        url_param(&path, "agent", str_c(agent));
    if (!buf_ok(&path))
        rc = cli_fail(im->c, EXIT_USAGE, NULL, "--agent is too long");
    snprintf(im->s.path, sizeof(im->s.path), "%.*s", STR_FMT(buf_str(&path)));
    buf_deinit(&path);
    im->text_route = text;
    return rc;
}

static bool is_whole_json(str line)
{
    struct buf copy; /* the tokenizer wants room behind the text */
    buf_init(&copy, FEED_LINE_MAX + 64);
    buf_putstr(&copy, line);
    bool ok = buf_ok(&copy) && json_valid(buf_str(&copy));
    buf_deinit(&copy);
    return ok;
}

/* '[' is an array; '{' is NDJSON unless its first line plainly goes on in the next */
static int recognise(struct import *im, struct feed *f, enum format *ret, struct err *err)
{
    str head;
    *ret = im->wanted;
    if (*ret != FORMAT_AUTO)
        return 0;
    int rc = feed_peek(f, &head, err);
    if (rc < 0)
        return rc;
    str t = str_trim(head);
    size_t nl = str_chr(t, '\n');
    str first = str_trim(nl == SIZE_MAX ? t : str_sub(t, 0, nl));
    if (!t.n || (t.p[0] != '{' && t.p[0] != '['))
        *ret = FORMAT_TEXT;
    else if (t.p[0] == '[')
        *ret = is_whole_json(first) || first.n == 1 || first.p[1] == '{' || first.p[1] == ' '
                   ? FORMAT_JSON
                   : FORMAT_TEXT; /* "[2026-11-21 10:00] text" is a log line */
    else
        *ret = first.n == 1 || strchr("{[,:", first.p[first.n - 1]) ? FORMAT_JSON : FORMAT_NDJSON;
    return 0;
}

static void show_progress(void *arg)
{
    struct import *im = arg;
    uint64_t bytes = im->done_bytes + (im->feed ? feed_raw_bytes(im->feed) : 0);
    if (!opt_on(im->c, "quiet"))
        progress_update(&im->progress, bytes, im->seen);
}

/* one JSON value on one line */
static int add_value(struct import *im, struct feed *f, str value)
{
    struct err err = ERR_INIT;
    struct buf copy;
    int rc = 0;
    buf_init(&copy, FEED_LINE_MAX * 4u);
    buf_putstr(&copy, value);
    buf_reset(&im->minified);
    if (!buf_ok(&copy) || json_minify(&im->minified, buf_str(&copy), &err) < 0)
        sender_reject(&im->s, feed_path(f), feed_line_no(f), err.msg[0] ? err.msg : "too long");
    else
        rc = sender_add(&im->s, buf_str(&im->minified), feed_path(f), feed_line_no(f));
    buf_deinit(&copy);
    return rc;
}

/* Everything a feed has now. 0 or an exit code. */
static int drain(struct import *im, struct feed *f, enum format format)
{
    struct err err = ERR_INIT;
    str item;
    int r, rc = 0;
    im->feed = f;
    while (rc == 0 && !target_stop) {
        r = format == FORMAT_JSON ? feed_value(f, &item, &err) : feed_line(f, &item, &err);
        if (r == FEED_END)
            break;
        if (r < 0)
            return cli_fail(im->c, err.code == ERR_IO ? EXIT_IO : EXIT_DATA, NULL, "%s", err.msg);
        if (r == FEED_TOO_LONG) {
            im->seen++;
            sender_reject(&im->s, feed_path(f), feed_line_no(f), "longer than 8 MiB");
            continue;
        }
        if (!str_trim(item).n)
            continue;
        im->seen++;
        rc = format == FORMAT_JSON ? add_value(im, f, item)
                                   : sender_add(&im->s, item, feed_path(f), feed_line_no(f));
        show_progress(im);
    }
    return rc;
}

static int import_file(struct import *im, struct feed *f)
{
    struct err err = ERR_INIT;
    enum format format;
    if (recognise(im, f, &format, &err) < 0)
        return cli_fail(im->c, EXIT_DATA, NULL, "%s", err.msg);
    int rc = im->text_route != (format == FORMAT_TEXT) ? route(im, format == FORMAT_TEXT) : 0;
    if (rc == 0)
        rc = drain(im, f, format);
    im->feed = NULL;
    im->done_bytes += feed_raw_bytes(f);
    return rc;
}

/* ---- following ---- */

struct followed {
    struct feed *f;
    enum format format; /* AUTO until the file has a first line */
};

static int follow_round(struct import *im, struct followed *fs, int n, bool *ret_news)
{
    struct err err = ERR_INIT;
    int rc = 0;
    *ret_news = false;
    for (int i = 0; i < n && rc == 0; i++) {
        uint64_t before = im->seen;
        if (fs[i].format == FORMAT_AUTO) {
            str head;
            if (feed_peek(fs[i].f, &head, &err) < 0)
                return cli_fail(im->c, EXIT_IO, NULL, "%s", err.msg);
            if (str_chr(head, '\n') == SIZE_MAX) { /* nothing to judge by yet */
                (void)feed_renew(fs[i].f);
                continue;
            }
            recognise(im, fs[i].f, &fs[i].format, &err);
            if (fs[i].format == FORMAT_JSON)
                fs[i].format = FORMAT_NDJSON; /* what grows, grows by lines */
        }
        bool text = fs[i].format == FORMAT_TEXT;
        if (im->text_route != text)
            rc = route(im, text);
        if (rc == 0)
            rc = drain(im, fs[i].f, fs[i].format);
        *ret_news = *ret_news || im->seen != before || feed_renew(fs[i].f);
    }
    return rc ? rc : sender_flush(&im->s);
}

static int follow(struct import *im, struct followed *fs, int n)
{
    int rc = 0;
    im->s.patience_ns = 0; /* a server that restarts is waited for */
    while (rc == 0 && !target_stop) {
        bool news;
        rc = follow_round(im, fs, n, &news);
        if (rc == 0 && !news) {
            struct timespec ts = { 0, 100000000 };
            nanosleep(&ts, NULL);
        }
    }
    return rc;
}

/* ---- the command ---- */

static void report_json(struct import *im, double seconds)
{
    struct out *o = &im->c->out;
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_printf(&b,
               "{\"accepted\": %" PRIu64 ", \"rejected\": %" PRIu64 ", \"duplicates\": %" PRIu64
               ", \"seconds\": %.3f, \"errors\": [",
               im->s.accepted, im->s.rejected, im->s.duplicates, seconds);
    for (uint32_t i = 0; i < im->s.nreasons; i++) {
        buf_puts(&b, i ? ", {\"file\": " : "{\"file\": ");
        json_put_str(&b, str_c(im->s.reasons[i].file));
        buf_printf(&b, ", \"line\": %" PRIu64 ", \"reason\": ", im->s.reasons[i].line);
        json_put_str(&b, str_c(im->s.reasons[i].reason));
        buf_putc(&b, '}');
    }
    buf_puts(&b, "]}");
    out_json(o, buf_str(&b));
    out_line(o);
    buf_deinit(&b);
}

static void report(struct import *im, double seconds)
{
    char a[32], r[32], rate[32], bytes[32];
    struct sender *s = &im->s;
    if (opt_on(im->c, "json")) {
        report_json(im, seconds);
        return;
    }
    for (uint32_t i = 0; i < s->nreasons; i++)
        cli_note(im->c, "%s:%" PRIu64 ": %s", s->reasons[i].file, s->reasons[i].line,
                 s->reasons[i].reason);
    if (s->rejected > s->nreasons)
        cli_note(im->c, "and %" PRIu64 " more", s->rejected - s->nreasons);
    if (opt_on(im->c, "quiet"))
        return;
    out_printf(
        &im->c->out, "Accepted %s, rejected %s (%s in %.1f s, %s entries/s)\n",
        fmt_count(s->accepted, a), fmt_count(s->rejected, r), fmt_bytes(im->done_bytes, bytes),
        seconds,
        fmt_count((uint64_t)((double)s->accepted / (seconds > 0.001 ? seconds : 0.001)), rate));
}

static enum format format_of(const char *name)
{
    return strcmp(name, "ndjson") == 0 ? FORMAT_NDJSON
           : strcmp(name, "json") == 0 ? FORMAT_JSON
           : strcmp(name, "text") == 0 ? FORMAT_TEXT
                                       : FORMAT_AUTO;
}

/* all files are opened before the first is read: a wrong name costs nothing */
static int open_all(struct cli *c, struct followed *fs, int n, uint64_t *ret_total)
{
    static char dash[] = "-";
    static char *standard_input[] = { dash };
    char **paths = c->nargs ? c->args : standard_input;
    struct err err = ERR_INIT;
    bool from_end = strcmp(opt_text(c, "from"), "end") == 0, known = true;
    *ret_total = 0;
    for (int i = 0; i < n; i++) {
        fs[i].format = format_of(opt_text(c, "format"));
        if (feed_open(&fs[i].f, paths[i], opt_on(c, "follow"), from_end, &err) < 0)
            return cli_fail(c, err.code == ERR_INVALID ? EXIT_USAGE : EXIT_IO, NULL, "%s", err.msg);
        known = known && feed_size(fs[i].f) > 0;
        *ret_total += feed_size(fs[i].f);
    }
    if (!known)
        *ret_total = 0;
    return 0;
}

static int run(struct cli *c)
{
    static struct import im;
    static struct followed fs[FILES_MAX];
    struct target t;
    uint64_t total = 0;
    int n = c->nargs ? c->nargs : 1, rc;
    int64_t began = clock_mono();
    if (n > FILES_MAX)
        return cli_fail(c, EXIT_USAGE, NULL, "at most %d files at once", FILES_MAX);
    if (strcmp(opt_text(c, "from"), "end") == 0 && !opt_on(c, "follow"))
        return cli_fail(c, EXIT_USAGE, NULL, "--from end goes with --follow");
    if (!c->nargs && isatty(STDIN_FILENO))
        return cli_fail(c, EXIT_USAGE, "fleetlog ingest FILE..., or a pipe",
                        "nothing to read: name files or pipe something in");
    rc = open_all(c, fs, n, &total);
    if (rc == 0)
        rc = target_open(c, &t, NEED_SERVER);
    if (rc) {
        for (int i = 0; i < n; i++)
            feed_close(fs[i].f);
        return rc;
    }
    target_catch_signals();
    im.c = c;
    im.wanted = format_of(opt_text(c, "format"));
    buf_init(&im.minified, FEED_LINE_MAX * 4u);
    rc = sender_init(&im.s, c, t.client, "");
    im.s.on_wait = show_progress;
    im.s.wait_ctx = &im;
    if (rc == 0)
        rc = route(&im, false);
    progress_start(&im.progress, &c->err, "importing", total);
    if (rc == 0 && opt_on(c, "follow"))
        rc = follow(&im, fs, n);
    for (int i = 0; i < n && rc == 0 && !opt_on(c, "follow") && !target_stop; i++)
        rc = import_file(&im, fs[i].f);
    if (rc == 0)
        rc = sender_flush(&im.s);
    progress_clear(&im.progress);
    report(&im, (double)(clock_mono() - began) / 1e9);
    for (int i = 0; i < n; i++)
        feed_close(fs[i].f);
    sender_deinit(&im.s);
    buf_deinit(&im.minified);
    target_close(&t);
    return rc ? rc : im.s.rejected ? EXIT_DATA : EXIT_DONE;
}

const struct command cmd_ingest = {
    .name = "ingest",
    .summary = "send entries from files or a pipe to a server",
    .synopsis = "[OPTIONS] [FILE...]",
    .about =
        "Reads NDJSON, JSON or plain lines, gzip or zstd included, and sends them in batches. A "
        "batch is stored once even if its answer was lost. When a server is busy or restarting "
        "it waits. Entries that are refused are listed with file and line, and the exit code is "
        "65.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .complete = "file",
    .run = run,
};
