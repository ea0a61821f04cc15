/* page_html.c: a page as one HTML file that needs nothing else: no script, no request, light and
 * dark by the reader's setting.
 *
 * Plots are inline SVG without text, stretched to the room there is; their labels are HTML beside
 * them, so that they can be read at any width. Texts of strangers are escaped, what would control
 * or turn text is shown by its code, and the page's own policy forbids all but its styles, should
 * one ever slip through. */
#include <math.h>

#include "insight/page.h"
#include "insight/words.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>";

static const char style[] =
    "</title>\n<style>\n"
    ":root{color-scheme:light dark;--bg:#fbfbfa;--fg:#1d2125;--dim:#5f6770;--line:#e3e5e7;"
    "--panel:#fff;--bar:#dbe7f6;--accent:#1f6feb;--good:#1a7f37;--bad:#c4302b;--chip:#fbe3e1;"
    "--trace:#d4d8dc;--debug:#b3bcc6;--info:#6f9fd0;--warn:#d99a1c;--error:#c4302b;"
    "--critical:#8b1fa9}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#dfe3e7;--dim:#98a1ab;"
    "--line:#2a2f35;--panel:#1b1f24;--bar:#20344d;--accent:#58a6ff;--good:#57ab5a;--bad:#ff7b72;"
    "--chip:#4a2322;--trace:#3b424a;--debug:#57616c;--info:#4f86bd;--warn:#d0a03a;"
    "--error:#f0655c;--critical:#c88af0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}\n"
    "h1{font-size:25px;line-height:1.25;margin:0 0 4px}\n"
    "h2{font-size:17px;margin:34px 0 10px}\n"
    "p{margin:0 0 10px}.sub,.more{color:var(--dim)}\n"
    "h1,h2,p,li,td,pre{overflow-wrap:anywhere;unicode-bidi:isolate}\n"
    ".found{list-style:none;margin:0;padding:14px 18px;background:var(--panel);"
    "border:1px solid var(--line);border-radius:8px}\n"
    ".found li{padding:3px 0 3px 20px;position:relative}\n"
    ".found li::before{content:\"\";position:absolute;left:2px;top:11px;width:8px;height:8px;"
    "border-radius:50%;background:var(--dim)}\n"
    ".found .bad::before{background:var(--bad)}.found .good::before{background:var(--good)}\n"
    ".cards{display:grid;gap:10px;grid-template-columns:repeat(auto-fill,minmax(148px,1fr))}\n"
    ".card{background:var(--panel);border:1px solid var(--line);border-radius:8px;"
    "padding:10px 14px}\n"
    ".card b{display:block;font-size:22px;line-height:1.3;font-weight:600;"
    "font-variant-numeric:tabular-nums}\n"
    ".card span{color:var(--dim);font-size:13px;display:block}\n"
    ".card em{font-style:normal}em.bad,td.bad{color:var(--bad)}em.good{color:var(--good)}\n"
    "td.bad{font-weight:600}\n"
    ".table{overflow-x:auto;background:var(--panel);border:1px solid var(--line);"
    "border-radius:8px;margin-bottom:10px}\n"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}\n"
    "th,td{padding:6px 12px;text-align:left;vertical-align:top;border-bottom:1px solid "
    "var(--line)}\n"
    "tr:last-child td{border-bottom:0}\n"
    "th{color:var(--dim);font-weight:500;white-space:nowrap;vertical-align:bottom}\n"
    ".num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".time{white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "td.name{white-space:nowrap;max-width:22em;overflow:hidden;text-overflow:ellipsis}"
    ".wide{width:100%;min-width:17em}.name.wide{min-width:9em}\n"
    "td.code,pre{font:12.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\n"
    "td.code{white-space:nowrap}td.none{color:var(--dim)}\n"
    ".len{background:linear-gradient(var(--bar),var(--bar)) no-repeat 0 5px/0 1.6em}\n"
    ".chip{white-space:nowrap;border-radius:4px;padding:0 6px;font-size:12px;color:var(--dim);"
    "border:1px solid var(--line)}\n"
    ".chip.new{color:var(--bad);background:var(--chip);border-color:transparent}\n"
    "figure{margin:0 0 12px;padding:12px 16px 10px;background:var(--panel);"
    "border:1px solid var(--line);border-radius:8px}\n"
    "figcaption{display:flex;flex-wrap:wrap;gap:2px 16px;margin-bottom:10px;font-size:13.5px;"
    "color:var(--dim)}\n"
    ".key::before{content:\"\";display:inline-block;width:10px;height:10px;border-radius:2px;"
    "margin-right:5px;background:var(--c)}\n"
    ".plot{display:grid;grid-template-columns:max-content 1fr;column-gap:8px;font-size:12px;"
    "color:var(--dim);font-variant-numeric:tabular-nums}\n"
    ".plot svg{display:block;width:100%;height:180px}.again svg{height:72px}\n"
    ".ys{min-width:3.2em;display:flex;flex-direction:column;justify-content:space-between;"
    "text-align:right;margin:-9px 0}\n"
    ".xs{grid-column:2;position:relative;height:20px;margin-top:4px}\n"
    ".xs span{position:absolute;transform:translateX(-50%);white-space:nowrap}\n"
    ".xs .edge{transform:none}.xs .end{transform:translateX(-100%)}\n"
    ".grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}\n"
    ".heat svg{height:auto;aspect-ratio:auto}\n"
    ".days{display:flex;flex-direction:column}.days span{flex:1;display:flex;align-items:center}\n"
    ".c-trace{fill:var(--trace);--c:var(--trace)}.c-debug{fill:var(--debug);--c:var(--debug)}"
    ".c-info{fill:var(--info);--c:var(--info)}.c-warn{fill:var(--warn);--c:var(--warn)}"
    ".c-error{fill:var(--error);--c:var(--error)}"
    ".c-critical{fill:var(--critical);--c:var(--critical)}"
    ".c-entries{fill:var(--accent)}.c-errors{fill:var(--bad)}.c-none{fill:var(--line)}\n"
    "details{background:var(--panel);border:1px solid var(--line);border-radius:8px;"
    "padding:10px 16px}\nsummary{cursor:pointer}\n"
    "pre{margin:10px 0 0;white-space:pre-wrap}\n"
    "@media(max-width:640px){main{padding:18px 12px 32px}h1{font-size:21px}"
    ".cards{grid-template-columns:repeat(auto-fill,minmax(132px,1fr))}"
    ".card{padding:8px 12px}.card b{font-size:19px}th,td{padding:6px 9px}"
    ".xs span:nth-child(even){display:none}.plot svg{height:140px}.again svg{height:64px}}\n"
    "@media print{body{background:#fff}.table{overflow:visible}}\n"
    "</style>\n</head>\n<body>\n<main>\n";

/* ---- texts ---- */

static void put(struct buf *b, str s)
{
    str c;
    uint32_t code;
    for (size_t i = 0; i < s.n;) {
        if (word_next(s, &i, &c, &code)) {
            if (code == '\n' || code == '\t')
                buf_putstr(b, c);
            else
                buf_printf(b, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
            continue;
        }
        switch (code) {
        case '&': buf_puts(b, "&amp;"); break;
        case '<': buf_puts(b, "&lt;"); break;
        case '>': buf_puts(b, "&gt;"); break;
        case '"': buf_puts(b, "&quot;"); break;
        case '\'': buf_puts(b, "&#39;"); break;
        default: buf_putstr(b, c);
        }
    }
}

static void put_tagged(struct buf *b, const char *open, str s, const char *close)
{
    buf_puts(b, open);
    put(b, s);
    buf_puts(b, close);
}

static void put_figure(struct buf *b, enum unit unit, double n)
{
    switch (unit) {
    case UNIT_SHARE: put(b, str_c(word_share(n).z)); break;
    case UNIT_MS: put(b, str_c(word_ms(n).z)); break;
    case UNIT_USD: put(b, str_c(word_usd(n).z)); break;
    case UNIT_NUMBER: put(b, str_c(word_number(n).z)); break;
    default: put(b, str_c(word_count(n).z));
    }
}

/* ---- figures ---- */

static void put_figures(struct buf *b, const struct page_block *f)
{
    buf_puts(b, "<div class=\"cards\">\n");
    for (uint32_t i = 0; i < f->n; i++) {
        const struct page_figure *x = &f->figures[i];
        bool up = x->now > x->before, down = x->now < x->before;
        const char *tone = x->up_is_bad && up ? "bad" : x->up_is_bad && down ? "good" : "";
        buf_printf(b, "<div class=\"card\"><span>%s</span><b>", x->label);
        put_figure(b, x->unit, x->now);
        buf_puts(b, "</b><span>");
        if (x->has_before) {
            buf_puts(b, "before ");
            put_figure(b, x->unit, x->before);
            buf_printf(b, " · <em class=\"%s\">", tone);
            put(b, str_c(word_change(x->now, x->before).z));
            buf_puts(b, "</em>");
        } else {
            buf_puts(b, "nothing before");
        }
        buf_puts(b, "</span></div>\n");
    }
    buf_puts(b, "</div>\n");
}

/* ---- tables ---- */

static const char *class_of(enum unit u)
{
    switch (u) {
    case UNIT_NAME: return "name";
    case UNIT_CODE: return "code";
    case UNIT_TIME: return "time";
    case UNIT_TEXT:
    case UNIT_MARK: return "";
    default: return "num";
    }
}

static void put_value(struct buf *b, const struct page_col *col, const struct page_cell *c)
{
    switch (col->unit) {
    case UNIT_TEXT:
    case UNIT_NAME:
    case UNIT_CODE: put(b, c->text); break;
    case UNIT_MARK:
        buf_printf(b, "<span class=\"chip%s\">", str_eq(c->text, STR("new")) ? " new" : "");
        put_tagged(b, "", c->text, "</span>");
        break;
    case UNIT_TIME: buf_puts(b, word_time(c->t).z); break;
    default: put_figure(b, col->unit, c->n);
    }
}

static void put_cell(struct buf *b, const struct page_col *col, const struct page_cell *c,
                     double most)
{
    bool bad = col->bad && !c->none && c->n > 0;
    buf_printf(b, "<td class=\"%s%s%s%s%s\"", class_of(col->unit), col->wide ? " wide" : "",
               bad ? " bad" : "", c->none ? " none" : "", col->bar ? " len" : "");
    if (col->bar && most > 0)
        buf_printf(b, " style=\"background-size:%.1f%% 1.6em\"", c->none ? 0 : c->n / most * 100);
    buf_putc(b, '>');
    if (c->none)
        buf_puts(b, "–");
    else
        put_value(b, col, c);
    buf_puts(b, "</td>");
}

static double most_of(const struct page_block *t, uint32_t col)
{
    double most = 0;
    for (uint32_t k = 0; k < t->n; k++) {
        const struct page_cell *c = &t->cells[(size_t)k * t->ncols + col];
        most = !c->none && c->n > most ? c->n : most;
    }
    return most;
}

static void put_table(struct buf *b, const struct page_block *t)
{
    buf_puts(b, "<div class=\"table\"><table>\n<thead><tr>");
    for (uint32_t i = 0; i < t->ncols; i++)
        buf_printf(b, "<th class=\"%s\">%s</th>", class_of(t->cols[i].unit), t->cols[i].title);
    buf_puts(b, "</tr></thead>\n<tbody>\n");
    for (uint32_t k = 0; k < t->n; k++) {
        buf_puts(b, "<tr>");
        for (uint32_t i = 0; i < t->ncols; i++)
            put_cell(b, &t->cols[i], &t->cells[(size_t)k * t->ncols + i],
                     t->cols[i].bar ? most_of(t, i) : 0);
        buf_puts(b, "</tr>\n");
    }
    buf_puts(b, "</tbody>\n</table></div>\n");
}

/* ---- bars over time ---- */

/* 1, 2 or 5 times a power of ten, so that at most four of them reach `most` */
static double tick_of(double most)
{
    double unit = 1;
    while (unit * 4 < most) {
        if (unit * 8 >= most)
            return unit * 2;
        if (unit * 20 >= most)
            return unit * 5;
        unit *= 10;
    }
    return unit;
}

static uint64_t sum_at(const struct page_block *p, uint32_t i)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < p->nseries; s++)
        sum += p->series[s].counts[i];
    return sum;
}

static void put_bar(struct buf *b, const struct page_block *p, uint32_t i, double top)
{
    double y = 100;
    if (!sum_at(p, i))
        return;
    buf_printf(b, "<g><title>%s:", word_minute(p->start + i * p->step).z);
    for (uint32_t s = p->nseries; s-- > 0;)
        if (p->series[s].counts[i])
            buf_printf(b, " %s %s", word_count((double)p->series[s].counts[i]).z,
                       p->series[s].name);
    buf_puts(b, "</title>");
    for (uint32_t s = p->nseries; s-- > 0;) { /* the worst at the bottom */
        double h = (double)p->series[s].counts[i] / top * 100;
        if (h <= 0)
            continue;
        y -= h;
        buf_printf(b, "<rect class=\"c-%s\" x=\"%u.1\" y=\"%.3f\" width=\".8\" height=\"%.3f\"/>",
                   p->series[s].name, i, y, h);
    }
    buf_puts(b, "</g>\n");
}

static void put_x_labels(struct buf *b, const struct page_block *p)
{
    static const int64_t nice_s[] = { 1,       2,       5,       10,      15,    30,     60,
                                      120,     300,     600,     900,     1800,  3600,   7200,
                                      10800,   14400,   21600,   43200,   86400, 172800, 604800,
                                      1209600, 2419200, 7257600, 31449600 };
    int64_t width = p->step * p->n, every = 0;
    for (size_t i = 0; i < sizeof nice_s / sizeof *nice_s; i++) {
        every = nice_s[i] * NS_PER_S;
        if (every >= p->step && width / every <= 7)
            break;
    }
    buf_puts(b, "<div class=\"xs\">");
    for (ts_ns t = (floor_div(p->start - 1, every) + 1) * every; t <= p->start + width;
         t += every) {
        struct word w = word_time(t);
        bool midnight = t == floor_div(t, NS_PER_DAY) * NS_PER_DAY;
        double at = (double)(t - p->start) / (double)width * 100;
        buf_printf(b, "<span class=\"%s\" style=\"left:%.2f%%\">%.*s</span>",
                   at < 3    ? "edge"
                   : at > 97 ? "end"
                             : "",
                   at, midnight || every < 60 * NS_PER_S ? (midnight ? 5 : 8) : 5,
                   w.z + (midnight ? 5 : 11));
    }
    buf_puts(b, "</div>");
}

static void put_bars(struct buf *b, const struct page_block *p)
{
    uint64_t most = 1;
    for (uint32_t i = 0; i < p->n; i++)
        most = sum_at(p, i) > most ? sum_at(p, i) : most;
    double tick = tick_of((double)most);
    uint32_t ticks = (uint32_t)ceil((double)most / tick);
    double top = tick * ticks;
    put_tagged(b, "<figure><figcaption><span>", p->text, "</span>");
    for (uint32_t s = p->nseries; s-- > 0;) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < p->n; i++)
            sum += p->series[s].counts[i];
        if (sum)
            buf_printf(b, "<span class=\"key c-%s\">%s %s</span>", p->series[s].name,
                       p->series[s].name, word_count((double)sum).z);
    }
    buf_printf(b, "</figcaption>\n<div class=\"plot%s\"><div class=\"ys\">",
               p->again ? " again" : "");
    for (uint32_t i = ticks + 1; i-- > 0;)
        if (!p->again || i == 0 || i == ticks)
            buf_printf(b, "<span>%s</span>", word_count(tick * i).z);
    buf_printf(b,
               "</div><svg viewBox=\"0 0 %u 100\" preserveAspectRatio=\"none\" role=\"img\" "
               "aria-label=\"",
               p->n);
    put_tagged(b, "", p->text, "\">\n");
    for (uint32_t i = 0; i <= ticks; i++)
        buf_printf(b, "<path class=\"grid\" d=\"M0 %.2fH%u\"/>\n", 100 - 100.0 * i / ticks, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        put_bar(b, p, i, top);
    buf_puts(b, "</svg>");
    put_x_labels(b, p);
    buf_puts(b, "</div></figure>\n");
}

/* ---- the week ---- */

static void put_day(struct buf *b, const struct page_block *p, int d, int row, uint64_t most)
{
    static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    for (int h = 0; h < 24; h++) {
        uint64_t n = p->heat[d][h];
        double dark = most ? 0.12 + 0.88 * sqrt((double)n / (double)most) : 0;
        buf_printf(b, "<rect class=\"c-%s\" x=\"%d.03\" y=\"%d.06\" width=\".94\" height=\".88\"",
                   n ? p->tint : "none", h, row);
        if (n)
            buf_printf(b, " fill-opacity=\"%.2f\"", dark);
        buf_printf(b, "><title>%s %02d:00: %s</title></rect>\n", days[d], h,
                   word_count((double)n).z);
    }
}

static void put_heat(struct buf *b, const struct page_block *p)
{
    static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    uint64_t most = 0;
    int rows = 0;
    for (int d = 0; d < 7; d++) {
        rows += p->days[d];
        for (int h = 0; h < 24; h++)
            most = p->heat[d][h] > most ? p->heat[d][h] : most;
    }
    put_tagged(b, "<figure><figcaption><span>", p->text, "</span>");
    buf_printf(b, "<span>at most %s an hour</span></figcaption>\n", word_count((double)most).z);
    buf_puts(b, "<div class=\"plot heat\"><div class=\"days\">");
    for (int d = 0; d < 7; d++)
        if (p->days[d])
            buf_printf(b, "<span>%s</span>", days[d]);
    buf_printf(b,
               "</div><svg viewBox=\"0 0 24 %d\" preserveAspectRatio=\"none\" "
               "style=\"height:%dpx\" role=\"img\" aria-label=\"",
               rows, rows * 22);
    put_tagged(b, "", p->text, "\">\n");
    int row = 0;
    for (int d = 0; d < 7; d++)
        if (p->days[d])
            put_day(b, p, d, row++, most);
    buf_puts(b, "</svg><div class=\"xs\">");
    for (int h = 0; h < 24; h += 3)
        buf_printf(b, "<span style=\"left:%.2f%%\">%02d</span>", (h + 0.5) / 24 * 100, h);
    buf_puts(b, "</div></div></figure>\n");
}

/* ---- the page ---- */

static void put_list(struct buf *b, const struct page_block *k)
{
    static const char *const open[] = { [TONE_PLAIN] = "<li>",
                                        [TONE_GOOD] = "<li class=\"good\">",
                                        [TONE_BAD] = "<li class=\"bad\">" };
    buf_puts(b, "<ul class=\"found\">\n");
    for (const struct page_item *i = k->items; i; i = i->next)
        put_tagged(b, open[i->tone], i->text, "</li>\n");
    buf_puts(b, "</ul>\n");
}

static void put_commands(struct buf *b, const struct page_block *k)
{
    put_tagged(b, "<details><summary>", k->text, "");
    buf_printf(b, " (%u)</summary>\n<pre>", k->n);
    for (const struct page_item *i = k->items; i; i = i->next)
        put_tagged(b, "", i->text, "\n");
    buf_puts(b, "</pre></details>\n");
}

static void put_block(struct buf *b, const struct page_block *k)
{
    switch (k->kind) {
    case BLOCK_HEADING: put_tagged(b, "<h2>", k->text, "</h2>\n"); break;
    case BLOCK_TEXT: put_tagged(b, "<p class=\"more\">", k->text, "</p>\n"); break;
    case BLOCK_LIST: put_list(b, k); break;
    case BLOCK_FIGURES: put_figures(b, k); break;
    case BLOCK_TABLE: put_table(b, k); break;
    case BLOCK_BARS: put_bars(b, k); break;
    case BLOCK_HEAT: put_heat(b, k); break;
    case BLOCK_COMMANDS: put_commands(b, k); break;
    }
}

void page_put_html(struct buf *b, const struct page *p)
{
    buf_puts(b, head);
    put(b, p->title);
    buf_puts(b, style);
    put_tagged(b, "<h1>", p->title, "</h1>\n");
    put_tagged(b, "<p class=\"sub\">", p->subtitle, "</p>\n");
    for (const struct page_block *k = p->first; k; k = k->next)
        put_block(b, k);
    buf_puts(b, "</main>\n</body>\n</html>\n");
}
