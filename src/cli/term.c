/* term.c: colours, widths, numbers for people, and the buffered output they go to. */
#include "cli/term.h"

#include <errno.h>
#include <locale.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "model/view.h"

#define OUT_FLUSH (64u << 10)
#define OUT_MAX (256u << 20)

void term_init(struct term *t, int fd, enum color_mode mode)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize ws;
    t->fd = fd;
    t->tty = isatty(fd) == 1;
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    t->color =
        mode == COLOR_ALWAYS || (mode == COLOR_AUTO && t->tty && !(no_color && *no_color) && !dumb);
    t->cols = 80;
    if (t->tty && ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 20)
        t->cols = ws.ws_col;
}

bool term_utf8(void)
{
    static int known = -1;
    if (known < 0) {
        setlocale(LC_CTYPE, "");
        const char *set = nl_langinfo(CODESET);
        known = strcmp(set, "UTF-8") == 0;
        setlocale(LC_CTYPE, "C");
    }
    return known == 1;
}

int64_t clock_mono(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- output ---- */

void out_init(struct out *o, int fd, enum color_mode mode)
{
    memset(o, 0, sizeof(*o));
    term_init(&o->term, fd, mode);
    buf_init(&o->b, OUT_MAX);
}

void out_deinit(struct out *o)
{
    buf_deinit(&o->b);
}

bool out_ok(const struct out *o)
{
    return !o->closed && !o->error;
}

bool out_flush(struct out *o)
{
    size_t at = 0;
    if (!buf_ok(&o->b))
        o->error = ENOMEM;
    while (out_ok(o) && at < o->b.n) {
        ssize_t n = write(o->term.fd, o->b.p + at, o->b.n - at);
        if (n >= 0)
            at += (size_t)n;
        else if (errno == EPIPE)
            o->closed = true;
        else if (errno != EINTR)
            o->error = errno;
    }
    buf_reset(&o->b);
    return out_ok(o);
}

static void flush_if_full(struct out *o)
{
    if (o->b.n >= OUT_FLUSH)
        (void)out_flush(o);
}

void out_put(struct out *o, str s)
{
    buf_putstr(&o->b, s);
    flush_if_full(o);
}

void out_puts(struct out *o, const char *z)
{
    out_put(o, str_c(z));
}

void out_printf(struct out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&o->b, fmt, ap);
    va_end(ap);
}

void out_line(struct out *o)
{
    buf_putc(&o->b, '\n');
    if (o->line_flush)
        (void)out_flush(o);
    else
        flush_if_full(o);
}

void out_safe(struct out *o, str s)
{
    view_put_safe(&o->b, s, true);
    flush_if_full(o);
}

/* JSON has already escaped C0; these are left that a terminal might obey */
static bool unsafe_in_json(uint32_t cp)
{
    return cp == 0x7f || (cp >= 0x80 && cp <= 0x9f) || cp == 0x61c || cp == 0x200e ||
           cp == 0x200f || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

void out_json(struct out *o, str s)
{
    size_t at = 0, from = 0;
    while (o->term.tty && at < s.n) {
        size_t was = at;
        uint32_t cp = utf8_next(s, &at);
        if (!unsafe_in_json(cp))
            continue;
        buf_put(&o->b, s.p + from, was - from);
        buf_printf(&o->b, "\\u%04x", (unsigned)cp);
        from = at;
    }
    if (s.n > from)
        buf_put(&o->b, s.p + from, s.n - from);
    flush_if_full(o);
}

void out_pad(struct out *o, int columns)
{
    if (columns > 0)
        buf_fill(&o->b, ' ', (size_t)columns);
}

/* ---- colour ---- */

void out_style(struct out *o, enum style s)
{
    static const char *const codes[] = {
        [STYLE_NONE] = "0",        [STYLE_BOLD] = "1",     [STYLE_DIM] = "2",
        [STYLE_RED] = "31",        [STYLE_GREEN] = "32",   [STYLE_YELLOW] = "33",
        [STYLE_BLUE] = "34",       [STYLE_MAGENTA] = "35", [STYLE_CYAN] = "36",
        [STYLE_ALARM] = "1;97;41",
    };
    if (o->term.color)
        buf_printf(&o->b, "\x1b[%sm", codes[s]);
}

void out_styled(struct out *o, enum style s, const char *z)
{
    out_style(o, s);
    out_puts(o, z);
    out_style(o, STYLE_NONE);
}

enum style style_of_level(str level)
{
    if (str_eq_ci(level, STR("critical")))
        return STYLE_ALARM;
    if (str_eq_ci(level, STR("error")))
        return STYLE_RED;
    if (str_eq_ci(level, STR("warn")))
        return STYLE_YELLOW;
    if (str_eq_ci(level, STR("info")))
        return STYLE_GREEN;
    return STYLE_DIM;
}

enum style style_of_name(str name)
{
    static const enum style wheel[] = { STYLE_CYAN, STYLE_BLUE, STYLE_MAGENTA, STYLE_GREEN,
                                        STYLE_YELLOW };
    return wheel[hash64(name.p ? name.p : "", name.n) % (sizeof(wheel) / sizeof(wheel[0]))];
}

/* ---- widths ---- */

int safe_width(str s)
{
    int w = 0;
    size_t at = 0;
    struct buf shown;
    buf_init(&shown, OUT_MAX);
    view_put_safe(&shown, s, true);
    str t = buf_str(&shown);
    while (at < t.n)
        w += utf8_width(utf8_next(t, &at));
    buf_deinit(&shown);
    return w;
}

str safe_cut(str s, int columns)
{
    size_t at = 0;
    int w = 0;
    while (at < s.n) {
        size_t next = at;
        (void)utf8_next(s, &next);
        w += safe_width(str_sub(s, at, next - at));
        if (w > columns)
            break;
        at = next;
    }
    return str_sub(s, 0, at);
}

/* ---- numbers for people ---- */

const char *fmt_count(uint64_t n, char buf[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), out = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buf[out++] = ',';
        buf[out++] = digits[i];
    }
    buf[out] = 0;
    return buf;
}

const char *fmt_bytes(uint64_t n, char buf[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double v = (double)n;
    int u = 0;
    while (v >= 1024 && u < 5) {
        v /= 1024;
        u++;
    }
    snprintf(buf, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
    return buf;
}

const char *fmt_ms(double ms, char buf[32])
{
    if (ms < 10)
        snprintf(buf, 32, "%.3g ms", ms);
    else if (ms < 1000)
        snprintf(buf, 32, "%.0f ms", ms);
    else if (ms < 60000)
        snprintf(buf, 32, "%.1f s", ms / 1000);
    else
        return fmt_duration_s(ms / 1000, buf);
    return buf;
}

const char *fmt_duration_s(double s, char buf[32])
{
    long long t = s < 0 ? 0 : s > 1e12 ? (long long)1e12 : (long long)(s + 0.5);
    if (t < 60)
        snprintf(buf, 32, "%llds", t);
    else if (t < 3600)
        snprintf(buf, 32, "%lldm %02llds", t / 60, t % 60);
    else if (t < 86400)
        snprintf(buf, 32, "%lldh %02lldm", t / 3600, t / 60 % 60);
    else
        snprintf(buf, 32, "%lldd %lldh", t / 86400, t / 3600 % 24);
    return buf;
}

void out_bar(struct out *o, double value, double max, int columns)
{
    static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    if (max <= 0 || value <= 0 || columns <= 0)
        return;
    double cells = value / max * columns;
    if (!term_utf8()) {
        buf_fill(&o->b, '#', cells < 1 ? 1 : (size_t)cells);
        return;
    }
    int eighth = (int)(cells * 8 + 0.5);
    if (eighth == 0)
        eighth = 1; /* something is not nothing */
    for (int i = 0; i < eighth / 8; i++)
        out_puts(o, "█");
    out_puts(o, eighths[eighth % 8]);
}

void out_spark(struct out *o, double value, double max)
{
    static const char *const cells[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    static const char ascii[] = "_.-=+*#@";
    int i = max > 0 ? (int)(value / max * 7.999) : 0;
    if (value <= 0)
        out_puts(o, term_utf8() ? "·" : " ");
    else if (term_utf8())
        out_puts(o, cells[i < 0 ? 0 : i > 7 ? 7 : i]);
    else
        buf_putc(&o->b, ascii[i < 0 ? 0 : i > 7 ? 7 : i]);
}

/* ---- progress ---- */

void progress_start(struct progress *p, struct term *t, const char *verb, uint64_t total)
{
    *p = (struct progress){ .t = t, .verb = verb, .total = total, .started = clock_mono() };
}

static void draw(struct progress *p, uint64_t bytes, uint64_t entries, double seconds)
{
    char n[32], done[32], rate[32], left[32], line[512], bar[128] = "";
    int at = 0, cells = p->t->cols >= 100 ? 24 : 12;
    double share = p->total ? (double)bytes / (double)p->total : 0;
    bool utf8 = term_utf8();
    if (share > 1)
        share = 1;
    if (p->total) {
        for (int i = 0; i < cells; i++) {
            const char *cell =
                i < (int)(share * cells + 0.5) ? (utf8 ? "━" : "=") : (utf8 ? "─" : " ");
            at += snprintf(bar + at, sizeof(bar) - (size_t)at, "%s", cell);
        }
    }
    fmt_count(entries, n);
    fmt_bytes(bytes, done);
    fmt_count(seconds > 0.05 ? (uint64_t)((double)entries / seconds) : 0, rate);
    if (p->total && share > 0.005)
        fmt_duration_s(seconds / share - seconds, left);
    else
        left[0] = 0;
    if (p->total)
        snprintf(line, sizeof(line), "%s %s %3d%%  %s  %s entries  %s/s%s%s", p->verb, bar,
                 (int)(share * 100), done, n, rate, left[0] ? "  ETA " : "", left);
    else
        snprintf(line, sizeof(line), "%s  %s  %s entries  %s/s", p->verb, done, n, rate);
    str cut = safe_cut(str_c(line), p->t->cols - 1);
    dprintf(p->t->fd, "\r\x1b[2K%.*s", STR_FMT(cut));
}

void progress_update(struct progress *p, uint64_t bytes, uint64_t entries)
{
    const char *term = getenv("TERM");
    if (!p->t->tty || (term && strcmp(term, "dumb") == 0))
        return;
    int64_t now = clock_mono();
    if (now - p->started < 300000000 || now - p->drawn < 100000000)
        return;
    p->drawn = now;
    p->shown = true;
    draw(p, bytes, entries, (double)(now - p->started) / 1e9);
}

void progress_clear(struct progress *p)
{
    if (p->shown)
        dprintf(p->t->fd, "\r\x1b[2K");
    p->shown = false;
}
