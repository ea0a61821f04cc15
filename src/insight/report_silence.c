/* report_silence.c: agents that said nothing in the window, and those that stopped within it.
 *
 * An agent has stopped when it said nothing for so many of its mean gaps and for a part of the
 * window, having spoken in nearly every minute, hour, day or week until then: those that speak now
 * and then are not silent, they are done. Which slots an agent spoke in is asked for the few that
 * the gaps make suspects. */
#include "insight/internal.h"

#define SILENT_ENTRIES 10
#define SILENT_GAPS 20
#define SILENT_PART 48   /* of the window */
#define SILENT_SLOTS 0.9 /* share of them */
#define SLOTS_LEAST 6    /* less is no habit */
#define SUSPECTS_MAX 18  /* their slots stay within the rows of an answer */
#define GONE_SHOWN 20

struct suspect {
    const struct answer_row *row;
    ts_ns last;
    int64_t gap, quiet;
};

static int64_t mean_gap(const struct answer_row *row, ts_ns *ret_last)
{
    ts_ns first;
    double n = answer_num(row, "entries", 0);
    if (n < SILENT_ENTRIES || !answer_time(row, "first", &first) ||
        !answer_time(row, "last", ret_last))
        return -1;
    return (int64_t)((double)(*ret_last - first) / (n - 1));
}

static uint32_t suspects(const struct report *r, const struct answer *now, struct suspect *v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < now->n && n < SUSPECTS_MAX; i++) {
        struct suspect s = { .row = &now->rows[i] };
        s.gap = mean_gap(s.row, &s.last);
        s.quiet = r->o->until - s.last;
        if (s.gap > 0 && s.quiet / SILENT_GAPS > s.gap &&
            s.quiet >= (r->o->until - r->o->since) / SILENT_PART)
            v[n++] = s;
    }
    return n;
}

/* at most 530 of them in a window */
static int64_t slot_of(const struct report *r, const char **ret_name)
{
    int64_t width = r->o->until - r->o->since;
    if (width <= 6 * 3600 * NS_PER_S) {
        *ret_name = "1m";
        return 60 * NS_PER_S;
    }
    if (width <= 10 * NS_PER_DAY) {
        *ret_name = "1h";
        return 3600 * NS_PER_S;
    }
    *ret_name = width <= 400 * NS_PER_DAY ? "1d" : "7d";
    return width <= 400 * NS_PER_DAY ? NS_PER_DAY : 7 * NS_PER_DAY;
}

static void put_text(struct buf *b, str s)
{
    buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20)
            buf_printf(b, "\\u%04x", c);
        else
            buf_printf(b, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    buf_putc(b, '"');
}

static int ask_slots(struct report *r, const struct suspect *v, uint32_t n, const char *slot,
                     struct answer *ret)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "agent in (");
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(&b, i ? ", " : "");
        put_text(&b, answer_text(v[i].row, "agent"));
    }
    buf_putc(&b, ')');
    str also = page_printf(&r->page, "%.*s", STR_FMT(buf_str(&b)));
    str pipes = page_printf(&r->page, "stats count() as n by agent, time(%s)", slot);
    bool ok = buf_ok(&b) && also.p && pipes.p;
    buf_deinit(&b);
    return ok ? report_ask(r, ret, WINDOW_NOW, also.p, pipes.p) : err_nomem(r->err);
}

/* did it speak in nearly every slot from its first to its last? */
static bool steady(const struct answer *slots, str agent, int64_t slot)
{
    ts_ns first = 0, last = 0, t;
    uint32_t n = 0;
    for (uint32_t i = 0; i < slots->n; i++) {
        if (!str_eq(answer_text(&slots->rows[i], "agent"), agent) ||
            !answer_time(&slots->rows[i], "time", &t))
            continue;
        first = n ? first : t; /* they come in order of time */
        last = t;
        n++;
    }
    return n >= SLOTS_LEAST && n >= SILENT_SLOTS * ((double)(last - first) / (double)slot + 1);
}

/* ---- the table ---- */

static const struct page_col cols[] = {
    { "Agent", UNIT_NAME, false, false, false },
    { "What", UNIT_TEXT, false, false, true },
    { "Last entry", UNIT_TIME, false, false, false },
    { "Entries", UNIT_COUNT, false, false, false },
    { "Usual gap", UNIT_MS, false, false, false },
};

static void put_row(struct report *r, struct page_block **t, const struct answer_row *row, str what,
                    ts_ns last, int64_t gap)
{
    struct page *p = &r->page;
    if (!*t) { /* no heading without agents */
        page_add(p, BLOCK_HEADING, STR("Silent agents"));
        *t = page_table(p, cols, 5);
    }
    struct page_cell *c = page_row(p, *t);
    if (!c)
        return;
    cell_text(&c[0], report_short(r, answer_text(row, "agent"), 60));
    cell_text(&c[1], what);
    c[2] = (struct page_cell){ .t = last };
    cell_num(&c[3], answer_num(row, "entries", 0), false);
    cell_num(&c[4], (double)gap / 1e6, gap <= 0);
}

static void put_gone(struct report *r, struct page_block **t, const struct answer *now,
                     const struct answer *before)
{
    struct page *p = &r->page;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < before->n; i++) {
        const struct answer_row *was = &before->rows[i];
        ts_ns last;
        int64_t gap = mean_gap(was, &last);
        if (gap < 0 || answer_find(now, "agent", answer_text(was, "agent")))
            continue;
        if (++shown <= GONE_SHOWN)
            put_row(r, t, was, STR("said nothing in this window"), last, gap);
        report_find(r, 45, TONE_BAD,
                    page_printf(p, "%.*s said nothing; it had %s entries in the window before.",
                                STR_FMT(report_short(r, answer_text(was, "agent"), 60)),
                                word_count(answer_num(was, "entries", 0)).z));
    }
    if (shown > GONE_SHOWN)
        page_add(p, BLOCK_TEXT, page_printf(p, "And %u more.", shown - GONE_SHOWN));
}

int report_silence(struct report *r, const struct answer *now, const struct answer *before)
{
    struct suspect v[SUSPECTS_MAX];
    struct answer slots;
    struct page_block *t = NULL;
    struct page *p = &r->page;
    const char *name;
    int64_t slot = slot_of(r, &name);
    uint32_t n = suspects(r, now, v);
    int rc = n ? ask_slots(r, v, n, name, &slots) : 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        str agent = answer_text(v[i].row, "agent");
        if (!steady(&slots, agent, slot))
            continue;
        put_row(r, &t, v[i].row,
                page_printf(p, "silent for %s at the end", word_span(v[i].quiet).z), v[i].last,
                v[i].gap);
        report_find(r, 44, TONE_BAD,
                    page_printf(p, "%.*s has been silent since %s; until then it spoke every %s.",
                                STR_FMT(report_short(r, agent, 60)), report_when(r, v[i].last).z,
                                word_ms((double)v[i].gap / 1e6).z));
    }
    if (rc == 0)
        put_gone(r, &t, now, before);
    return rc;
}
