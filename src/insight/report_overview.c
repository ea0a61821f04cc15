/* report_overview.c: the window in figures, over time, and hour by hour of the week. */
#include "insight/internal.h"

#define BARS_WANTED 72
#define PEAK_LEAST 10 /* errors of a step that may count as a peak */
#define PEAK_STEPS 12 /* with entries */
#define PEAK_TIMES 5  /* that often the mean of the other steps */

/* ---- figures ---- */

#define TOTALS                                                                                     \
    "stats count() as entries, count() if (level:error) as errors, count() if (level=warn) as "    \
    "warnings, count_distinct(agent) as agents, count_distinct(session) as sessions, "             \
    "count_distinct(trace) as traces"

static double num(const struct answer *t, const char *name)
{
    return t->n ? answer_num(&t->rows[0], name, 0) : 0;
}

static void put_figures(struct report *r, const struct answer *now, const struct answer *before,
                        const struct answer *use, const struct answer *use_before)
{
    static const struct {
        const char *label, *name;
        enum unit unit;
        bool up_is_bad, usage;
    } figures[] = {
        { "Entries", "entries", UNIT_COUNT, false, false },
        { "Errors", "errors", UNIT_COUNT, true, false },
        { "Error rate", NULL, UNIT_SHARE, true, false },
        { "Warnings", "warnings", UNIT_COUNT, true, false },
        { "Agents", "agents", UNIT_COUNT, false, false },
        { "Sessions", "sessions", UNIT_COUNT, false, false },
        { "Traces", "traces", UNIT_COUNT, false, false },
        { "Model calls", "calls", UNIT_COUNT, false, true },
        { "Tokens", "tokens", UNIT_COUNT, false, true },
        { "Cost", "cost_usd", UNIT_USD, false, true },
    };
    struct page_block *b = page_add(&r->page, BLOCK_FIGURES, STR_NULL);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct answer *x = figures[i].usage ? use : now;
        const struct answer *y = figures[i].usage ? use_before : before;
        struct page_figure f = { .label = figures[i].label,
                                 .unit = figures[i].unit,
                                 .has_before = r->entries_before > 0,
                                 .up_is_bad = figures[i].up_is_bad };
        if (figures[i].name) {
            f.now = num(x, figures[i].name);
            f.before = num(y, figures[i].name);
        } else {
            f.now = report_share(r->errors, r->entries);
            f.before = report_share(r->errors_before, r->entries_before);
        }
        bool always = i < 3;
        if (always || f.now != 0 || f.before != 0)
            page_figure(&r->page, b, f);
    }
}

static void tell_totals(struct report *r)
{
    struct page *p = &r->page;
    struct word n = word_count(r->entries), e = word_count(r->errors),
                b = word_count(r->entries_before);
    struct word width = word_span(r->o->until - r->o->since);
    if (r->entries == 0) {
        report_find(r, 1000, r->entries_before > 0 ? TONE_BAD : TONE_PLAIN,
                    r->entries_before > 0
                        ? page_printf(p, "Nothing was logged; the %s before had %s %s.", width.z,
                                      b.z, word_plural(r->entries_before, "entry", "entries"))
                        : STR("Nothing was logged, neither in this window nor in the one before."));
        return;
    }
    struct word change = word_change(r->entries, r->entries_before);
    struct word share = word_share(report_share(r->errors, r->entries));
    str tail = r->entries_before > 0
                   ? page_printf(p, "; the %s before had %s (%s)", width.z, b.z, change.z)
                   : page_printf(p, "; the %s before had none", width.z);
    report_find(r, 1000, TONE_PLAIN,
                page_printf(p, "%s %s, %s of them %s (%s)%.*s.", n.z,
                            word_plural(r->entries, "entry", "entries"), e.z,
                            word_plural(r->errors, "an error", "errors"), share.z, STR_FMT(tail)));
}

static void tell_cost(struct report *r, double now, double before)
{
    if (now < 0.01 || now < 2 * before || before <= 0)
        return;
    report_find(
        r, 20, TONE_BAD,
        page_printf(&r->page, "Cost rose from %s to %s.", word_usd(before).z, word_usd(now).z));
}

/* ---- over time ---- */

static const int64_t steps[] = {
    NS_PER_S,         10 * NS_PER_S,   30 * NS_PER_S,   60 * NS_PER_S,    300 * NS_PER_S,
    600 * NS_PER_S,   1800 * NS_PER_S, 3600 * NS_PER_S, 10800 * NS_PER_S, 21600 * NS_PER_S,
    43200 * NS_PER_S, NS_PER_DAY,      7 * NS_PER_DAY,
};
static const char *const step_names[] = { "1s", "10s", "30s", "1m",  "5m", "10m", "30m",
                                          "1h", "3h",  "6h",  "12h", "1d", "7d" };
#define NSTEPS (sizeof steps / sizeof *steps)

static size_t choose_step(const struct report *r)
{
    size_t i = 0;
    while (i + 1 < NSTEPS && (r->o->until - r->o->since) / steps[i] >= BARS_WANTED)
        i++;
    return i;
}

/* weeks begin on Monday, the epoch was a Thursday */
static ts_ns step_start(ts_ns t, int64_t step)
{
    ts_ns from = step == 7 * NS_PER_DAY ? -3 * NS_PER_DAY : 0;
    return floor_div(t - from, step) * step + from;
}

#define NLEVELS 6
static const char *const levels[NLEVELS] = {
    "trace", "debug", "info", "warn", "error", "critical"
};

static void tell_peak(struct report *r, const struct page_block *b)
{
    const uint64_t *error = b->series[4].counts, *critical = b->series[5].counts;
    uint32_t at = 0, steps_used = 0; /* with entries at all */
    uint64_t most = 0, sum = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        uint64_t n = error[i] + critical[i], all = 0;
        for (uint32_t s = 0; s < b->nseries; s++)
            all += b->series[s].counts[i];
        steps_used += all > 0;
        sum += n;
        if (n > most) {
            most = n;
            at = i;
        }
    }
    if (steps_used < PEAK_STEPS || most < PEAK_LEAST ||
        most * (steps_used - 1) < PEAK_TIMES * (sum - most))
        return;
    ts_ns t = b->start + at * b->step;
    report_find(r, 28, TONE_BAD,
                page_printf(&r->page,
                            "Errors peaked in the %s from %s with %s (%s of the window's).",
                            word_span(b->step).z, report_when(r, t).z, word_count((double)most).z,
                            word_share(report_share((double)most, (double)sum)).z));
}

/* among many entries the errors would not be seen */
static void put_errors(struct page *p, const struct page_block *all)
{
    struct page_block *b = page_add(p, BLOCK_BARS, STR("Errors alone, on their own scale"));
    if (!b)
        return;
    b->start = all->start;
    b->step = all->step;
    b->n = all->n;
    b->series = all->series + 4;
    b->nseries = 2;
    b->again = true;
}

static int put_timeline(struct report *r)
{
    struct page *p = &r->page;
    struct answer t;
    size_t s = choose_step(r);
    int64_t step = steps[s];
    ts_ns start = step_start(r->o->since, step), at;
    str pipes = page_printf(p, "timeline %s by level", step_names[s]);
    int rc = pipes.p ? report_ask(r, &t, WINDOW_NOW, "", pipes.p) : err_nomem(r->err);
    if (rc < 0 || r->entries == 0)
        return rc;
    page_add(p, BLOCK_HEADING, STR("Over time"));
    struct page_block *b = page_add(
        p, BLOCK_BARS, page_printf(p, "Entries by level, a bar for %s", word_span(step).z));
    uint32_t n = (uint32_t)((r->o->until - 1 - start) / step) + 1;
    struct page_series *series = arena_zalloc(r->a, NLEVELS * sizeof *series);
    uint64_t *counts = arena_zalloc(r->a, (size_t)n * NLEVELS * sizeof *counts);
    if (!b || !series || !counts)
        return err_nomem(r->err);
    for (size_t i = 0; i < NLEVELS; i++)
        series[i] = (struct page_series){ levels[i], counts + i * n };
    for (uint32_t i = 0; i < t.n; i++) {
        const struct answer_row *row = &t.rows[i];
        if (!answer_time(row, "time", &at) || at < start || (at - start) / step >= n)
            continue;
        for (size_t k = 0; k < NLEVELS; k++)
            if (str_eq(answer_text(row, "level"), str_c(levels[k])))
                series[k].counts[(at - start) / step] += (uint64_t)answer_num(row, "count", 0);
    }
    b->start = start;
    b->step = step;
    b->n = n;
    b->series = series;
    b->nseries = NLEVELS;
    tell_peak(r, b);
    if (r->errors > 0)
        put_errors(p, b);
    return 0;
}

int report_overview(struct report *r)
{
    struct answer now, before, use, use_before;
    int rc = report_ask(r, &now, WINDOW_NOW, "", TOTALS);
    if (rc == 0)
        rc = report_ask(r, &before, WINDOW_BEFORE, "", TOTALS);
    if (rc == 0)
        rc = report_ask(r, &use, WINDOW_NOW, "", "usage");
    if (rc == 0)
        rc = report_ask(r, &use_before, WINDOW_BEFORE, "", "usage");
    if (rc < 0)
        return rc;
    r->entries = num(&now, "entries");
    r->errors = num(&now, "errors");
    r->entries_before = num(&before, "entries");
    r->errors_before = num(&before, "errors");
    page_add(&r->page, BLOCK_HEADING, STR("What happened"));
    put_figures(r, &now, &before, &use, &use_before);
    tell_totals(r);
    tell_cost(r, num(&use, "cost_usd"), num(&use_before, "cost_usd"));
    return put_timeline(r);
}

/* ---- the week ---- */

/* Monday is 0; the epoch was a Thursday */
static int weekday(ts_ns t)
{
    int64_t day = floor_div(t, NS_PER_DAY) + 3;
    return (int)(day - floor_div(day, 7) * 7);
}

static struct page_block *heat(struct report *r, const char *what, const char *tint)
{
    struct page_block *b = page_add(&r->page, BLOCK_HEAT, str_c(what));
    if (b) {
        b->heat = arena_zalloc(r->a, 7 * sizeof *b->heat);
        b->tint = tint;
        for (ts_ns t = r->o->since; t < r->o->until && t < r->o->since + 7 * NS_PER_DAY;
             t = (floor_div(t, NS_PER_DAY) + 1) * NS_PER_DAY)
            b->days[weekday(t)] = true;
    }
    if (!b || !b->heat) {
        r->page.bad = true;
        return NULL;
    }
    return b;
}

/* hours of the window as rows while they fit in an answer, else the 168 of a week */
#define HOURS_MAX 9000
#define HOURS "stats count() as entries, count() if (level:error) as errors by "

static bool cell_of(const struct answer_row *row, int *ret_day, int *ret_hour)
{
    static const str days[7] = { STR("Mon"), STR("Tue"), STR("Wed"), STR("Thu"),
                                 STR("Fri"), STR("Sat"), STR("Sun") };
    ts_ns t;
    int64_t hour;
    if (answer_time(row, "time", &t)) {
        *ret_day = weekday(t);
        *ret_hour = (int)((t - floor_div(t, NS_PER_DAY) * NS_PER_DAY) / (3600 * NS_PER_S));
        return true;
    }
    if (!str_to_i64(answer_text(row, "hour"), &hour) || hour < 0 || hour > 23)
        return false;
    *ret_hour = (int)hour;
    for (*ret_day = 0; *ret_day < 7; ++*ret_day)
        if (str_eq(answer_text(row, "day"), days[*ret_day]))
            return true;
    return false;
}

int report_week(struct report *r)
{
    struct answer t;
    bool few = (r->o->until - r->o->since) / (3600 * NS_PER_S) < HOURS_MAX;
    int day, hour,
        rc = report_ask(r, &t, WINDOW_NOW, "",
                        few ? HOURS "time(1h)"
                            : "eval day = format_time(timestamp, \"%a\"), hour = "
                              "format_time(timestamp, \"%H\") | " HOURS "day, hour");
    if (rc < 0 || t.n == 0)
        return rc;
    page_add(&r->page, BLOCK_HEADING, STR("When it happens"));
    struct page_block *all = heat(r, "Entries by day of the week and hour (UTC)", "entries");
    struct page_block *bad =
        r->errors > 0 ? heat(r, "Errors by day of the week and hour (UTC)", "errors") : NULL;
    for (uint32_t i = 0; i < t.n && all; i++) {
        if (!cell_of(&t.rows[i], &day, &hour))
            continue;
        all->heat[day][hour] += (uint64_t)answer_num(&t.rows[i], "entries", 0);
        if (bad)
            bad->heat[day][hour] += (uint64_t)answer_num(&t.rows[i], "errors", 0);
    }
    return 0;
}
