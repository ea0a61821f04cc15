/* cmd_tail.c: fleetlog tail: what happens, as it happens.
 *
 * First the last -n entries, then a stream of server-sent events. When the stream breaks it is
 * taken up again behind the last entry shown (Last-Event-ID), so nothing is missed or shown twice;
 * entries the server had to drop because this reader was too slow are counted aloud. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/data.h"
#include "cli/doc.h"
#include "cli/row.h"

static const struct opt opts[] = {
    { .name = "lines",
      .letter = 'n',
      .type = OPT_INT,
      .arg = "N",
      .def = "10",
      .min = 0,
      .max = 10000,
      .help = "entries of the past to begin with" },
    OPTS_WHICH,
    { .name = "format",
      .letter = 'f',
      .type = OPT_CHOICE,
      .arg = "FORMAT",
      .def = "text",
      .choices = "text|ndjson",
      .help = "how to print" },
    { .name = "json", .type = OPT_FLAG, .help = "short for --format ndjson" },
    { .name = "wide",
      .letter = 'w',
      .type = OPT_FLAG,
      .help = "on a terminal too: long values whole, span and call ids" },
    { .name = "timeout",
      .type = OPT_DUR,
      .arg = "TIME",
      .unit = NS_PER_S,
      .help = "stop after this long (a bare number is seconds; default: never)" },
    { .name = NULL },
};

static const struct example examples[] = {
    { "fleetlog tail", "everything, as it happens" },
    { "fleetlog tail 'level:warn' --agent 'coder*'", "warnings and worse of some agents" },
    { "fleetlog tail -n 100 'tool:bash'", "the last hundred, then on" },
    { "fleetlog tail --json | jq -r .message", "into a program" },
    { NULL, NULL },
};

struct tail {
    struct cli *c;
    struct renderer r;
    bool json;
    uint64_t last_seq; /* highest sequence number known: resume behind it */
    bool have_seq;
    uint64_t shown, dropped;
    struct arena past; /* history, newest first as it came */
    str *lines;
    uint32_t nlines, cap;
    int64_t deadline; /* monotonic ns, 0 = none */
};

static void show(struct tail *t, str line)
{
    struct arena a;
    struct jrow row;
    struct err err = ERR_INIT;
    arena_init(&a, 256u << 20);
    if (jrow_parse(&row, line, &a, &err) < 0) {
        cli_note(t->c, "an entry could not be read: %s", err.msg);
    } else {
        uint64_t seq;
        if (str_to_u64(jrow_text(&row, "seq"), &seq) && (!t->have_seq || seq > t->last_seq)) {
            t->last_seq = seq;
            t->have_seq = true;
        }
        t->shown++;
        if (t->json) {
            out_json(&t->c->out, line);
            out_line(&t->c->out);
        } else {
            render_entry(&t->r, &row);
        }
    }
    arena_deinit(&a);
}

/* ---- history ---- */

static bool keep(void *ctx, str line)
{
    struct tail *t = ctx;
    char *copy = arena_alloc(&t->past, line.n + BUF_PAD);
    if (t->nlines == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;
        t->lines = arena_grow(&t->past, t->lines, t->nlines, cap, sizeof(*t->lines));
        t->cap = cap;
    }
    if (!copy || !t->lines)
        return false;
    memcpy(copy, line.p, line.n);
    memset(copy + line.n, 0, BUF_PAD);
    t->lines[t->nlines++] = (str){ copy, line.n };
    return true;
}

static int history(struct tail *t, struct target *target, const struct data_query *base)
{
    struct data_query q = *base;
    struct data_result res = { 0 };
    struct jrow row;
    struct err err = ERR_INIT;
    q.limit = (uint32_t)opt_num(t->c, "lines");
    q.on_row = keep;
    q.ctx = t;
    arena_init(&t->past, 512u << 20);
    int rc = q.limit ? data_query(t->c, target, &q, &res) : 0;
    if (rc == 0 && res.has_watermark) { /* nothing between past and stream is missed */
        t->last_seq = res.watermark;
        t->have_seq = true;
    }
    for (uint32_t i = 0; rc == 0 && i < t->nlines; i++)
        if (jrow_parse(&row, t->lines[i], &t->past, &err) == 0)
            renderer_see(&t->r, &row);
    for (uint32_t i = t->nlines; rc == 0 && i > 0 && out_ok(&t->c->out); i--)
        show(t, t->lines[i - 1]);
    arena_deinit(&t->past);
    out_flush(&t->c->out);
    return rc;
}

/* ---- the stream ---- */

static void report_drop(struct tail *t, str data)
{
    struct arena a;
    struct jv *v;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 20);
    int64_t n = doc_parse(&v, &a, data, &err) == 0 ? jv_int(jv_get(v, "dropped"), 0) : 0;
    arena_deinit(&a);
    t->dropped += n > 0 ? (uint64_t)n : 0;
    cli_note(t->c, "%lld %s dropped: this reader is too slow", (long long)n,
             plural((uint64_t)n, "entry was", "entries were"));
}

static bool on_event(void *ctx, const struct sse_event *ev)
{
    struct tail *t = ctx;
    if (str_eq(ev->type, STR("dropped")) || str_eq(ev->type, STR("drop"))) {
        report_drop(t, ev->data);
    } else if (!ev->type.n || str_eq(ev->type, STR("message")) || str_eq(ev->type, STR("entry"))) {
        struct buf line; /* the tokenizer wants room behind the text */
        buf_init(&line, 64u << 20);
        buf_putstr(&line, ev->data);
        if (buf_ok(&line) && line.n)
            show(t, buf_str(&line));
        buf_deinit(&line);
    }
    uint64_t seq;
    if (str_to_u64(ev->id, &seq) && (!t->have_seq || seq > t->last_seq)) {
        t->last_seq = seq;
        t->have_seq = true;
    }
    return out_ok(&t->c->out);
}

static void nap(struct tail *t, int64_t ms)
{
    int64_t until = clock_mono() + ms * 1000000;
    while (!target_stop && clock_mono() < until && (!t->deadline || clock_mono() < t->deadline)) {
        struct timespec ts = { 0, 50000000 };
        nanosleep(&ts, NULL);
    }
}

static bool over(struct tail *t)
{
    struct pollfd p = { .fd = t->c->out.term.fd };
    if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR))
        t->c->out.closed = true; /* `| head` has seen enough */
    /* the transfer's own clock may end a call some milliseconds early: that is no broken stream */
    return target_stop || !out_ok(&t->c->out) ||
           (t->deadline && clock_mono() >= t->deadline - 20 * 1000000);
}

/* One connection; its error in *err. */
static int follow_once(struct tail *t, struct target *target, const char *query, struct sse *sse,
                       struct err *err)
{
    struct buf path;
    char last[24], from[24];
    buf_init(&path, 256u << 10);
    buf_puts(&path, "/api/v1/tail");
    if (*query)
        url_param(&path, "q", str_c(query));
    snprintf(last, sizeof(last), "%llu", (unsigned long long)t->last_seq);
    snprintf(from, sizeof(from), "%s", t->have_seq ? last : "now");
    url_param(&path, "from", str_c(from));
    struct call call = { .method = "GET",
                         .path = path.p,
                         .accept = "text/event-stream",
                         .last_event_id = t->have_seq ? last : NULL,
                         .on_data = sse_feed,
                         .ctx = sse };
    call.watch_fd = t->c->out.term.fd;
    if (t->deadline)
        call.timeout_ms = (t->deadline - clock_mono()) / 1000000 + 1;
    sse_reset(sse);
    int rc = client_call(target->client, &call, err);
    buf_deinit(&path);
    /* what the server refuses once it will refuse again */
    return rc < 0 && call.status >= 400 && call.status < 500 && call.status != 429 ? -1 : 0;
}

static int follow(struct tail *t, struct target *target, const char *query)
{
    struct sse sse;
    int64_t wait_ms = 200;
    int rc = 0;
    bool told = false;
    sse_init(&sse, on_event, t);
    while (rc == 0 && !over(t)) {
        struct err err = ERR_INIT;
        uint64_t before = t->shown;
        if (follow_once(t, target, query, &sse, &err) < 0) {
            rc = cli_fail_err(t->c, &err);
            break;
        }
        out_flush(&t->c->out);
        if (over(t))
            break;
        if (t->shown != before) {
            wait_ms = 200;
            told = false;
        }
        if (!told)
            cli_note(t->c, "the stream broke; taking it up again");
        told = true;
        nap(t, wait_ms);
        wait_ms = wait_ms * 2 > 5000 ? 5000 : wait_ms * 2;
    }
    sse_deinit(&sse);
    return rc;
}

static int run(struct cli *c)
{
    struct tail t = { .c = c };
    struct target target;
    struct buf words, text;
    struct data_query q = { .start = TS_MIN, .end = TS_MAX };
    t.json = opt_on(c, "json") || strcmp(opt_text(c, "format"), "ndjson") == 0;
    int rc = target_open(c, &target, NEED_READ);
    if (rc)
        return rc;
    target_catch_signals();
    if (opt_num(c, "timeout"))
        t.deadline = clock_mono() + opt_num(c, "timeout");
    c->out.line_flush = true;
    renderer_init(&t.r, &c->out, opt_on(c, "wide"));
    buf_init(&words, 64u << 10);
    buf_init(&text, 256u << 10);
    data_join_args(c, 0, &words);
    rc = data_combine(c, &text, words.p ? words.p : "", true, &q.shift);
    q.text = text.p ? text.p : "";
    if (rc == 0)
        rc = history(&t, &target, &q);
    if (rc == 0 && target.client)
        rc = follow(&t, &target, q.text);
    else if (rc == 0)
        cli_note(c, "no server holds %s, so nothing more will come", target.dir);
    buf_deinit(&text);
    buf_deinit(&words);
    target_close(&target);
    return rc;
}

const struct command cmd_tail = {
    .name = "tail",
    .summary = "watch entries arrive",
    .synopsis = "[OPTIONS] [QUERY]",
    .about =
        "Shows the last entries that match, then every new one the moment it is stored. QUERY is "
        "a filter without pipes. When the connection breaks it resumes where it was. Ctrl-C "
        "ends it.",
    .opts = opts,
    .examples = examples,
    .max_args = -1,
    .run = run,
};
