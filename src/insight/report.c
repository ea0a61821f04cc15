/* report.c: see report.h.
 *
 *   filter, window ─► parts: queries ─► answers ─► blocks and findings ─► page ─► HTML or Markdown
 */
#include <math.h>
#include <stdlib.h>

#include "insight/internal.h"

#define ARENA_MAX ((size_t)256 << 20)

struct report_rows {
    struct answer *answer;
    struct arena *a;
};

bool report_format_parse(str name, enum report_format *ret)
{
    if (str_eq_ci(name, STR("html")))
        *ret = REPORT_HTML;
    else if (str_eq_ci(name, STR("md")) || str_eq_ci(name, STR("markdown")))
        *ret = REPORT_MD;
    else
        return false;
    return true;
}

int report_row(struct report_rows *to, str object, struct err *err)
{
    return answer_add(to->answer, to->a, object, err);
}

/* ---- asking ---- */

/* A comment in the filter ends at the newline behind it. */
static str query_text(struct report *r, const char *also, const char *pipes)
{
    str f = str_trim(r->o->filter);
    const char *end = str_chr(f, '#') == SIZE_MAX ? "" : "\n";
    const char *bar = *pipes ? " | " : "";
    if (!f.n || str_eq(f, STR("*")))
        return page_printf(&r->page, "%s%s%s", *also ? also : "*", bar, pipes);
    return page_printf(&r->page, "(%.*s%s)%s%s%s%s", STR_FMT(f), end, *also ? " " : "", also, bar,
                       pipes);
}

int report_ask(struct report *r, struct answer *ret, enum window w, const char *also,
               const char *pipes)
{
    struct report_rows to = { ret, r->a };
    bool incomplete = false;
    *ret = (struct answer){ 0 };
    str q = query_text(r, also, pipes);
    if (!q.p)
        return err_nomem(r->err);
    if (r->nasked < ASKED_MAX)
        r->asked[r->nasked++] = (struct asked){ q, w };
    int rc = r->src->ask(r->src->ctx, q, w == WINDOW_NOW ? r->o->since : r->before,
                         w == WINDOW_NOW ? r->o->until : r->o->since, &to, &incomplete, r->err);
    r->incomplete = r->incomplete || incomplete;
    return rc;
}

/* ---- findings ---- */

void report_find(struct report *r, double weight, enum tone tone, str text)
{
    struct finding f = { weight, r->nfindings, tone, text };
    uint32_t at = r->nfindings;
    if (at < FINDINGS_MAX) {
        r->nfindings++;
    } else { /* the lightest goes */
        at = 0;
        for (uint32_t i = 1; i < FINDINGS_MAX; i++)
            if (r->findings[i].weight < r->findings[at].weight)
                at = i;
        if (r->findings[at].weight >= weight)
            return;
        f.order = r->findings[at].order;
    }
    r->findings[at] = f;
}

static int by_weight(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x->order < y->order ? -1 : 1;
}

static void put_findings(struct report *r, struct page_block *list)
{
    if (r->nfindings > 1)
        qsort(r->findings, r->nfindings, sizeof *r->findings, by_weight);
    for (uint32_t i = 0; i < r->nfindings && i < FINDINGS_SHOWN; i++)
        page_item(&r->page, list, r->findings[i].tone, r->findings[i].text);
    if (r->nfindings > FINDINGS_SHOWN)
        page_item(&r->page, list, TONE_PLAIN,
                  page_printf(&r->page, "And %u more in the tables below.",
                              r->nfindings - FINDINGS_SHOWN));
    if (r->nfindings <= 1 && r->entries > 0)
        page_item(&r->page, list, TONE_GOOD,
                  page_printf(&r->page, "Nothing else stands out against the %s before.",
                              word_span(r->o->until - r->o->since).z));
    if (r->incomplete)
        page_item(&r->page, list, TONE_BAD,
                  STR("Some of the data could not be read: the figures are too low. The server's "
                      "log and fleetlog verify tell more."));
}

double report_surprise(double now, double before)
{
    return now + before > 0 ? (now - before) / sqrt(now + before) : 0;
}

double report_share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

struct word report_when(const struct report *r, ts_ns t)
{
    return r->o->until - r->o->since <= 3600 * NS_PER_S ? word_time(t) : word_minute(t);
}

str report_short(struct report *r, str text, size_t max)
{
    bool cut;
    str s = word_cut(text, max, &cut);
    return cut ? page_printf(&r->page, "%.*s…", STR_FMT(s)) : s;
}

/* ---- the end of the page: how to have it again ---- */

/* one word of a shell's command line */
static void put_quoted(struct buf *b, str s)
{
    buf_putc(b, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'')
            buf_puts(b, "'\\''");
        else
            buf_putc(b, s.p[i]);
    }
    buf_putc(b, '\'');
}

static void put_commands(struct report *r)
{
    char t[3][TS_TEXT_MAX];
    struct buf line;
    struct page *p = &r->page;
    ts_format(r->before, -1, t[0]);
    ts_format(r->o->since, -1, t[1]);
    ts_format(r->o->until, -1, t[2]);
    page_add(p, BLOCK_HEADING, STR("How to have these figures again"));
    page_add(p, BLOCK_TEXT,
             STR("Every figure on this page comes from one of these queries. A window begins at "
                 "--since and ends before --until."));
    struct page_block *list = page_add(p, BLOCK_COMMANDS, STR("The queries"));
    buf_init(&line, 256u << 10);
    for (uint32_t i = 0; i < r->nasked; i++) {
        bool now = r->asked[i].window == WINDOW_NOW;
        buf_reset(&line);
        buf_puts(&line, "fleetlog search ");
        put_quoted(&line, r->asked[i].query);
        buf_printf(&line, " --since %s --until %s", now ? t[1] : t[0], now ? t[2] : t[1]);
        str copy = arena_dup(r->a, buf_str(&line));
        if (!buf_ok(&line) || !copy.p)
            p->bad = true;
        page_item(p, list, TONE_PLAIN, copy);
    }
    buf_deinit(&line);
}

/* ---- the page ---- */

static int check(const struct report_opts *o, struct err *err)
{
    ts_ns width, before;
    if (o->since >= o->until)
        return err_set(err, ERR_INVALID, "the window ends before it begins");
    if (__builtin_sub_overflow(o->until, o->since, &width) || width > REPORT_WINDOW_MAX) {
        err_set(err, ERR_INVALID, "a report covers ten years at most");
        err_hint(err, "give a later beginning, such as 30d");
        return ERR_INVALID;
    }
    if (__builtin_sub_overflow(o->since, width, &before))
        return err_set(err, ERR_INVALID, "there is no time before this window");
    if (o->title.n > REPORT_TITLE_MAX)
        return err_set(err, ERR_INVALID, "a title has %d bytes at most", REPORT_TITLE_MAX);
    return 0;
}

static void put_top(struct report *r)
{
    struct page *p = &r->page;
    const struct report_opts *o = r->o;
    str f = str_trim(o->filter);
    p->title = o->title.n ? o->title : STR("Fleet report");
    p->subtitle =
        page_printf(p, "%s to %s UTC (%s), against the %s before%s%.*s", report_when(r, o->since).z,
                    report_when(r, o->until).z, word_span(o->until - o->since).z,
                    word_span(o->until - o->since).z, f.n ? " · only " : "", STR_FMT(f));
}

int report_write(struct buf *out, const struct report_opts *o, const struct report_source *src,
                 struct err *err)
{
    static int (*const parts[])(struct report *) = {
        report_overview, report_odd,  report_errors,   report_agents, report_tools,
        report_slow,     report_week, report_sessions, report_audit,
    };
    struct arena a;
    int rc = check(o, err);
    if (rc < 0)
        return rc;
    arena_init(&a, ARENA_MAX);
    struct report *r = arena_zalloc(&a, sizeof *r);
    if (!r) {
        arena_deinit(&a);
        return err_nomem(err);
    }
    r->o = o;
    r->src = src;
    r->a = &a;
    r->err = err;
    r->before = o->since - (o->until - o->since);
    page_init(&r->page, &a);
    put_top(r);
    page_add(&r->page, BLOCK_HEADING, STR("Findings"));
    struct page_block *list = page_add(&r->page, BLOCK_LIST, STR_NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && rc == 0; i++)
        rc = parts[i](r);
    if (rc == 0) {
        put_findings(r, list);
        put_commands(r);
        rc = r->page.bad ? err_nomem(err) : 0;
    }
    if (rc == 0)
        (o->format == REPORT_HTML ? page_put_html : page_put_md)(out, &r->page);
    if (rc == 0 && !buf_ok(out))
        rc = out->bad == BUF_LIMIT ? err_set(err, ERR_LIMIT, "the report is larger than it may be")
                                   : err_nomem(err);
    arena_deinit(&a);
    return rc;
}
