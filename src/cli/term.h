/* term.h: what is written to a person: buffered output, colours, widths, bars, progress.
 *
 * Colour only when the stream is a terminal, NO_COLOR is unset and TERM is not "dumb", unless
 * --color says otherwise. Text from outside goes through out_safe, which shows control characters
 * escaped, so that a log line cannot move the cursor or retitle the window. */
#ifndef FL_CLI_TERM_H
#define FL_CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct term {
    int fd;
    bool tty, color;
    int cols; /* width, 80 when unknown */
};
enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
void term_init(struct term *t, int fd, enum color_mode mode);

/* ---- buffered output ---- */
struct out {
    struct term term;
    struct buf b;
    bool line_flush; /* flush at every line: live output */
    bool closed;     /* the reader went away: stop quietly */
    int error;       /* errno of a failed write */
};
void out_init(struct out *o, int fd, enum color_mode mode);
void out_deinit(struct out *o);
/* false when nothing more can be written; callers stop then */
bool out_ok(const struct out *o);
bool out_flush(struct out *o);
void out_put(struct out *o, str s);
void out_puts(struct out *o, const char *z);
void out_printf(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_line(struct out *o);        /* newline; the place where flushing happens */
void out_safe(struct out *o, str s); /* escaped, on one line */
/* JSON text as it is; on a terminal DEL, C1 and bidi controls become \u escapes: still the same
 * JSON */
void out_json(struct out *o, str s);
void out_pad(struct out *o, int columns);

enum style {
    STYLE_NONE,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_BLUE,
    STYLE_MAGENTA,
    STYLE_CYAN,
    STYLE_ALARM
};
void out_style(struct out *o, enum style s); /* nothing without colour; STYLE_NONE resets */
void out_styled(struct out *o, enum style s, const char *z);
enum style style_of_level(str level); /* any case */
/* a steady colour for a name */
enum style style_of_name(str name);

/* terminal columns of text as out_safe would show it */
int safe_width(str s);
/* the longest prefix of s that fits in `columns` when shown by out_safe; whole characters */
str safe_cut(str s, int columns);

/* "1,234,567" */
const char *fmt_count(uint64_t n, char buf[32]);
/* the word for n of something: plural(n, "entry", "entries") */
static inline const char *plural(uint64_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}
const char *fmt_bytes(uint64_t n, char buf[32]); /* "12.3 MiB" */
const char *fmt_ms(double ms, char buf[32]);     /* "850 ms", "2.4 s", "3m 12s" */
const char *fmt_duration_s(double s, char buf[32]);
/* bar of `columns` cells for value/max, eighth blocks (or # without UTF-8) */
void out_bar(struct out *o, double value, double max, int columns);
/* one cell of a sparkline, value/max */
void out_spark(struct out *o, double value, double max);
bool term_utf8(void); /* does the locale speak UTF-8? */

/* ---- progress on stderr, terminals only ---- */
struct progress {
    struct term *t;
    const char *verb;       /* "importing" */
    uint64_t total;         /* bytes, 0 = unknown */
    int64_t started, drawn; /* monotonic ns */
    bool shown;
};
void progress_start(struct progress *p, struct term *t, const char *verb, uint64_t total);
/* redraws at most ten times a second */
void progress_update(struct progress *p, uint64_t bytes, uint64_t entries);
void progress_clear(struct progress *p);
int64_t clock_mono(void);

#endif
