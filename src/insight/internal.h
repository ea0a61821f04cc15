/* internal.h: what the parts of a report share.
 *
 *   report.c           the window, the queries, the order of things
 *   report_overview.c  figures, counts over time, the week
 *   report_errors.c    errors by what they have in common: new and known ones
 *   report_agents.c    agents, tools and models, slow operations
 *   report_silence.c   agents that fell silent
 *   report_odd.c       what is out of the ordinary; sessions
 *   report_audit.c     who did what
 *
 * A part asks its queries, puts its blocks on the page and tells what is remarkable: a finding, a
 * sentence with a weight. Findings are put first, the weightiest on top. */
#ifndef FL_INSIGHT_INTERNAL_H
#define FL_INSIGHT_INTERNAL_H

#include "insight/answer.h"
#include "insight/page.h"
#include "insight/report.h"
#include "insight/words.h"

#define FINDINGS_MAX 64 /* kept; shown: FINDINGS_SHOWN */
#define FINDINGS_SHOWN 16
#define ASKED_MAX 40
#define TEXT_SHOWN 140 /* characters of a message */

enum window { WINDOW_NOW, WINDOW_BEFORE };

struct finding {
    double weight;
    uint32_t order;
    enum tone tone;
    str text;
};
struct asked {
    str query;
    enum window window;
};
struct report {
    const struct report_opts *o;
    const struct report_source *src;
    struct arena *a;
    struct page page;
    struct err *err;
    ts_ns before; /* the window before: [before, o->since) */
    struct asked asked[ASKED_MAX];
    uint32_t nasked;
    struct finding findings[FINDINGS_MAX];
    uint32_t nfindings;
    bool incomplete;
    double entries, errors, entries_before, errors_before;
};

/* `pipes` behind the report's filter and `also` (either may be ""). */
int report_ask(struct report *r, struct answer *ret, enum window w, const char *also,
               const char *pipes);
void report_find(struct report *r, double weight, enum tone tone, str text);
/* how unlikely it is that two counts of equal windows differ by chance: the difference in standard
 * deviations of it, if both were Poisson with the same mean */
double report_surprise(double now, double before);
/* share of a window: [0, 1] */
double report_share(double part, double whole);
/* a moment in a sentence: to the minute, in windows of an hour and less to the second */
struct word report_when(const struct report *r, ts_ns t);
/* a text of a stranger, short enough for a table */
str report_short(struct report *r, str text, size_t max);

int report_overview(struct report *r);
int report_week(struct report *r);
int report_errors(struct report *r);
int report_agents(struct report *r);
/* the rows of both windows: agent, entries, first, last */
int report_silence(struct report *r, const struct answer *now, const struct answer *before);
int report_tools(struct report *r);
int report_slow(struct report *r);
int report_odd(struct report *r);
int report_sessions(struct report *r);
int report_audit(struct report *r);

#endif
