/* runner.c: runs golden files of the query language on every state a store can be in.
 *
 *   + {"message":"a"}          rows (native JSON); a new block of them after a case starts afresh
 *
 *   @ 1 alice 2026-11-21T11:00:00Z done     mark: row 1 is resolved, by whom, when, with a note
 *
 *   % tz=+02:00 limit=3        options of the next case only
 *
 *   ? level:error | count      the query; a second `?` line continues it
 *
 *   {"count":2}                the answer, up to an empty line
 *
 *   # a comment, outside of cases
 *
 * Rows have seq 1, 2, ... in order; `now` is 2026-11-21T12:00:00Z. Whole entries answer with their
 * message alone (format=ndjson shows them whole, without what differs from run to run); tables as
 * NDJSON, a row a line. Then, each where it applies: "! truncated", "! more", "! total N", "!
 * incomplete", "! approx COLUMN", "! warning ...". Errors: "error SLUG at POSITION: sentence" and
 * "hint: ...".
 *
 * Every case runs twice on each state: on one thread, and shared by three where its plan allows.
 *
 * Options: tz=+hh:mm limit=N offset=N oldest unlimited total start=T end=T memory=BYTES format=F
 * page=N (pages of N rows, asked for one after the other) agent=GLOB (a further condition) prices
 * (the table below) complete (what may stand at the ^ of the query: "FROM-TO", the bytes it goes in
 * the place of, then an item a line: text, kind, count, help).
 *
 * `runner -w FILE` writes the answers into the file instead of comparing: for review, never
 * blindly. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/turns.h"
#include "ingest/ingest.h"
#include "model/price.h"
#include "query/complete.h"
#include "query/query.h"
#include "query_states.h"

#define NOW (1795262400ll * NS_PER_S) /* 2026-11-21T12:00:00Z */
/* prices.test and docs/query-language.md reckon with these */
static const char PRICES[] = "# model  from        input cache_read cache_write output reasoning\n"
                             "gpt-4o   -           2.50  1.25       -           10\n"
                             "sonnet*  2026-01-01  3     0.30       3.75        15     20\n"
                             "sonnet*  2026-11-21  2     0.20       2.50        10     10\n"
                             "free-*   -           0     0          0           0\n";

#define FILE_MAX ((size_t)8 << 20)
#define ANSWER_MAX ((size_t)64 << 20)

struct options {
    struct query_opts q;
    size_t memory;
    uint64_t exact;
    enum query_format format;
    bool formatted, total, complete;
    uint32_t page;
    str agent;
};

struct runner {
    const char *path;
    str text; /* what is left of the file */
    unsigned line;
    struct rows rows;
    struct states states;
    bool ready; /* states hold the rows */
    bool write;
    struct turns *turns;
    struct prices *prices;
    struct buf out; /* the file as it should be */
    unsigned cases, failed;
};

static void fatal(const struct runner *r, const char *what, const char *why)
{
    fprintf(stderr, "%s:%u: %s: %s\n", r->path, r->line, what, why);
    exit(2);
}

/* ---- answers ---- */

struct answer {
    struct query_writer w;
    struct query_sink sink;
    struct buf *out;
    const struct options *o;
    bool table;
};

static int on_begin(void *ctx, const struct query_cell *cols, uint32_t ncols, struct err *err)
{
    struct answer *a = ctx;
    a->table = ncols > 0;
    return a->w.sink.begin(a->w.sink.ctx, cols, ncols, err);
}

/* without id and received_at, which are the store's and differ from run to run */
static int entry_json(struct buf *out, const struct query_row *row, struct err *err)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX);
    int rc = view_native(&b, row->block, row->row, err);
    str s = buf_str(&b);
    static const char *const cut[] = { "\"id\":\"", "\"received_at\":\"" };
    for (size_t i = 0; i < 2; i++) {
        size_t at = str_find(s, str_c(cut[i]));
        if (at == SIZE_MAX)
            continue;
        size_t end = at + strlen(cut[i]);
        end += str_chr(str_skip(s, end), '"') + 1;
        end += end < s.n && s.p[end] == ',';
        memmove(b.p + at, b.p + end, b.n - end);
        buf_truncate(&b, b.n - (end - at));
        s = buf_str(&b);
    }
    buf_putstr(out, s);
    buf_putc(out, '\n');
    buf_deinit(&b);
    return rc;
}

static int on_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct answer *a = ctx;
    struct val v;
    if (row->cells || a->o->format == QF_TEXT || a->o->format == QF_CSV)
        return a->w.sink.row(a->w.sink.ctx, row, err);
    if (a->o->formatted)
        return entry_json(a->out, row, err);
    int rc = block_get_field(row->block, row->row, F_MESSAGE, &v, err);
    buf_putstr(a->out, v.absent ? STR("(no message)") : v.s);
    buf_putc(a->out, '\n');
    return rc;
}

static void put_error(struct buf *out, const struct err *e)
{
    buf_printf(out, "error %s", err_slug_of(e));
    if (e->pos >= 0)
        buf_printf(out, " at %lld", (long long)e->pos);
    buf_printf(out, ": %s\n", e->msg);
    if (e->hint[0])
        buf_printf(out, "hint: %s\n", e->hint);
}

static void put_flags(struct buf *out, const struct options *o, const struct query_result *res)
{
    if (res->truncated)
        buf_puts(out, "! truncated\n");
    if (res->more)
        buf_puts(out, "! more\n");
    if (o->total)
        buf_printf(out, "! total %lld\n", res->total_known ? (long long)res->total : -1ll);
    if (res->cost.incomplete)
        buf_puts(out, "! incomplete\n");
    for (uint32_t i = 0; i < res->napprox; i++)
        buf_printf(out, "! approx %.*s\n", STR_FMT(res->approx[i]));
    for (uint32_t i = 0; i < res->nwarnings; i++)
        buf_printf(out, "! warning %s\n", res->warnings[i]);
}

/* one run, or the page behind the one before; *ret_more: there is another page */
static int run_once(struct query *q, struct store *s, const struct options *o, struct turns *turns,
                    struct buf *out, struct query_result *res, struct err *err)
{
    struct answer a = { .out = out, .o = o };
    struct query_ctl ctl = { .memory_bytes = o->memory, .exact_values = o->exact, .turns = turns };
    int rc = query_writer_init(&a.w, o->format, out, err);
    a.sink = (struct query_sink){ .ctx = &a, .begin = on_begin, .row = on_row };
    if (!rc)
        rc = query_run(q, s, &a.sink, &ctl, res, err);
    if (!rc && (a.table || o->format == QF_TEXT))
        rc = query_writer_end(&a.w, err);
    if (out->n && out->p[out->n - 1] != '\n')
        buf_putc(out, '\n');
    query_writer_deinit(&a.w);
    return rc;
}

/* what may stand at the ^ */
static void complete(const struct state *st, str marked, const struct options *o, struct buf *out)
{
    struct arena a;
    struct buf text;
    struct completion c;
    struct err err = ERR_INIT;
    arena_init(&a, (size_t)16 << 20);
    buf_init(&text, FILE_MAX);
    size_t at = str_chr(marked, '^');
    buf_putstr(&text, str_sub(marked, 0, at));
    struct complete_opts co = { .q = o->q, .cursor = text.n, .limit = o->q.limit };
    if (at != SIZE_MAX)
        buf_putstr(&text, str_skip(marked, at + 1));
    co.deadline_ms = 60000; /* all of it, however slow the machine */
    if (o->agent.n)
        co.q.also = pred_glob(&a, F_AGENT, o->agent);
    if (query_complete(st->store, buf_str(&text), &co, &a, &c, &err)) {
        put_error(out, &err);
    } else {
        buf_printf(out, "%zu-%zu\n", c.from, c.to);
        for (uint32_t i = 0; i < c.n; i++) {
            const struct complete_item *it = &c.items[i];
            buf_printf(out, "%.*s  %s", STR_FMT(it->text), complete_kind_name(it->kind));
            if (it->has_count)
                buf_printf(out, " %llu", (unsigned long long)it->count);
            if (it->detail.n)
                buf_printf(out, "  %.*s", STR_FMT(it->detail));
            buf_putc(out, '\n');
        }
        if (c.more)
            buf_puts(out, "! more\n");
    }
    buf_deinit(&text);
    arena_deinit(&a);
}

static void answer(const struct state *st, str text, const struct options *given,
                   struct turns *turns, struct buf *out)
{
    struct options o = *given;
    struct query *q = NULL;
    struct err err = ERR_INIT;
    struct arena a;
    struct query_result res = { 0 };
    if (o.complete) {
        complete(st, text, &o, out);
        return;
    }
    arena_init(&a, (size_t)1 << 20);
    o.q.no_prune = st->no_prune;
    if (o.page)
        o.q.limit = o.page;
    if (o.agent.n)
        o.q.also = pred_glob(&a, F_AGENT, o.agent);
    int rc = query_parse(&q, text, &o.q, &err);
    if (!rc && o.total)
        query_want_total(q);
    for (unsigned page = 0; !rc; page++) {
        rc = run_once(q, st->store, &o, turns, out, &res, &err);
        if (rc || !o.page || !res.next_page || page > 1000)
            break;
        buf_puts(out, "! page\n");
        query_set_page(q, res.last_time, res.last_seq, res.watermark);
    }
    if (rc)
        put_error(out, &err);
    else
        put_flags(out, &o, &res);
    query_free(q);
    arena_deinit(&a);
}

/* ---- reading files ---- */

static bool next_line(struct runner *r, str *ret)
{
    if (!str_split(&r->text, '\n', ret))
        return false;
    r->line++;
    return true;
}

static bool peek_line(const struct runner *r, str *ret)
{
    str rest = r->text;
    return str_split(&rest, '\n', ret);
}

static void keep_line(struct runner *r, str line)
{
    buf_putstr(&r->out, line);
    buf_putc(&r->out, '\n');
}

static void option(struct runner *r, struct options *o, str word)
{
    size_t eq = str_chr(word, '=');
    str name = str_sub(word, 0, eq), value = eq == SIZE_MAX ? STR_NULL : str_skip(word, eq + 1);
    uint64_t n = 0;
    bool number = str_to_u64(value, &n), ok = true;
    if (str_eq(name, STR("tz")) && value.n == 6) {
        int h = (value.p[1] - '0') * 10 + value.p[2] - '0',
            m = (value.p[4] - '0') * 10 + value.p[5] - '0';
        o->q.tz_minutes = (h * 60 + m) * (value.p[0] == '-' ? -1 : 1);
    } else if (str_eq(name, STR("limit")) && number)
        o->q.limit = (uint32_t)n;
    else if (str_eq(name, STR("offset")) && number)
        o->q.offset = (uint32_t)n;
    else if (str_eq(name, STR("page")) && number)
        o->page = (uint32_t)n;
    else if (str_eq(name, STR("memory")) && number)
        o->memory = (size_t)n;
    else if (str_eq(name, STR("exact")) && number)
        o->exact = n;
    else if (str_eq(name, STR("oldest")))
        o->q.oldest_first = true;
    else if (str_eq(name, STR("unlimited")))
        o->q.unlimited = true;
    else if (str_eq(name, STR("prices")))
        o->q.prices = r->prices;
    else if (str_eq(name, STR("total")))
        o->total = true;
    else if (str_eq(name, STR("complete")))
        o->complete = true;
    else if (str_eq(name, STR("agent")))
        o->agent = value;
    else if (str_eq(name, STR("format")))
        o->formatted = ok = query_format_parse(value, &o->format);
    else if (str_eq(name, STR("start")))
        ok = ts_parse_any(value, &o->q.start);
    else if (str_eq(name, STR("end")))
        ok = ts_parse_any(value, &o->q.end);
    else
        ok = false;
    if (!ok)
        fatal(r, "bad option", "see the top of runner.c");
}

static void options_line(struct runner *r, struct options *o, str line)
{
    str rest = str_skip(line, 1), word;
    while (str_split(&rest, ' ', &word))
        if (word.n)
            option(r, o, word);
}

static void mark_line(struct runner *r, str line)
{
    str rest = str_trim(str_skip(line, 1)), row, by, at;
    struct row_mark m = { 0 };
    if (!str_split(&rest, ' ', &row) || !str_split(&rest, ' ', &by) ||
        !str_split(&rest, ' ', &at) || !str_to_u64(row, &m.seq) || !ts_parse_any(at, &m.at) ||
        !rows_mark(&r->rows, m.seq, by, m.at, rest))
        fatal(r, "bad mark", "@ ROW NAME TIME NOTE");
}

static void prepare(struct runner *r)
{
    struct err err = ERR_INIT;
    if (r->ready)
        return;
    if (states_open(&r->states, &r->rows, NOW, &err))
        fatal(r, "cannot prepare the stores", err.msg);
    r->ready = true;
}

/* the case that begins with the line `? ...` */
static void run_case(struct runner *r, const struct options *o, str line)
{
    struct buf query, want, got;
    unsigned at = r->line;
    str next;
    buf_init(&query, FILE_MAX);
    buf_init(&want, FILE_MAX);
    buf_putstr(&query, str_skip(line, 2));
    keep_line(r, line);
    while (peek_line(r, &next) && next.n && next.p[0] == '?') {
        next_line(r, &next);
        keep_line(r, next);
        buf_putc(&query, '\n');
        buf_putstr(&query, str_skip(next, 2));
    }
    while (peek_line(r, &next) && next.n) {
        next_line(r, &next);
        buf_putstr(&want, next);
        buf_putc(&want, '\n');
    }
    prepare(r);
    r->cases++;
    for (uint32_t k = 0; k < 2 * r->states.n; k++) {
        uint32_t i = k / 2;
        struct turns *turns = k % 2 ? r->turns : NULL;
        buf_init(&got, ANSWER_MAX);
        answer(&r->states.state[i], buf_str(&query), o, turns, &got);
        if (k == 0 && r->write) {
            buf_putstr(&r->out, buf_str(&got));
            buf_reset(&want);
            buf_putstr(&want, buf_str(&got));
        }
        if (!str_eq(buf_str(&got), buf_str(&want))) {
            printf("%s:%u: %.*s\n  store: %s, %s\n  expected:\n%.*s  answered:\n%.*s\n", r->path,
                   at, STR_FMT(buf_str(&query)), r->states.state[i].name,
                   turns ? "three threads" : "one thread", STR_FMT(buf_str(&want)),
                   STR_FMT(buf_str(&got)));
            r->failed++;
            k = 2 * r->states.n;
        }
        buf_deinit(&got);
    }
    buf_deinit(&query);
    buf_deinit(&want);
}

static void options_default(struct options *o)
{
    *o = (struct options){ .format = QF_NDJSON };
    query_opts_default(&o->q);
    o->q.now = NOW;
}

static void run_file(struct runner *r)
{
    struct options o;
    str line;
    bool fresh = true; /* the next row starts a new block */
    options_default(&o);
    while (next_line(r, &line)) {
        char c = line.n ? line.p[0] : 0;
        if (c == '+') {
            if (fresh) {
                states_close(&r->states);
                rows_reset(&r->rows);
                r->ready = false;
                fresh = false;
            }
            if (!rows_add(&r->rows, str_trim(str_skip(line, 1))))
                fatal(r, "bad row", "not JSON the native interface takes");
        } else if (c == '@') {
            mark_line(r, line);
        } else if (c == '%') {
            options_line(r, &o, line);
        } else if (c == '?') {
            run_case(r, &o, line);
            options_default(&o);
            fresh = true;
            continue;
        } else if (c && c != '#') {
            fatal(r, "a line that is neither row, option, query nor comment",
                  "is an empty line missing?");
        }
        if (line.n || r->text.p)
            keep_line(r, line);
    }
}

static int save(struct runner *r)
{
    FILE *f = fopen(r->path, "w");
    bool ok = f && fwrite(r->out.p, 1, r->out.n, f) == r->out.n;
    if (f && fclose(f))
        ok = false;
    if (!ok)
        fatal(r, "cannot write", "the file");
    return 0;
}

static void one_file(struct runner *r, const char *path)
{
    struct buf text;
    char piece[65536];
    size_t n;
    FILE *f = fopen(path, "r");
    buf_init(&text, FILE_MAX);
    buf_init(&r->out, FILE_MAX);
    r->path = path;
    r->line = 0;
    if (!f)
        fatal(r, "cannot open", path);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(&text, piece, n);
    fclose(f);
    r->text = buf_str(&text);
    run_file(r);
    states_close(&r->states);
    rows_reset(&r->rows);
    r->ready = false;
    if (r->write)
        save(r);
    buf_deinit(&r->out);
    buf_deinit(&text);
}

int main(int argc, char **argv)
{
    struct runner r = { 0 };
    struct err err = ERR_INIT;
    if (turns_new(&r.turns, 3, 0, &err))
        fatal(&r, "no threads", err.msg);
    if (prices_parse(&r.prices, str_c(PRICES), &err))
        fatal(&r, "bad prices", err.msg);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-w") == 0)
            r.write = true;
        else
            one_file(&r, argv[i]);
    }
    turns_free(r.turns);
    prices_unref(r.prices);
    printf("%u cases, %u failed\n", r.cases, r.failed);
    return r.failed || !r.cases;
}
