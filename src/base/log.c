/* log.c: one line, one write(2), so that lines of several threads do not mix. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 8192

static _Atomic int min_level = LOG_INFO;

void log_set_level(enum log_level min)
{
    atomic_store(&min_level, (int)min);
}

/* Copies text with control characters and bad UTF-8 as \n, \t or \xNN. Returns bytes written. */
static size_t escape(str text, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n && n + 4 <= room;) {
        size_t from = i;
        uint32_t cp = utf8_next(text, &i);
        unsigned char c = (unsigned char)text.p[from];
        bool bad = cp == 0xfffd && i - from == 1;
        if (c == '\n' || c == '\t') {
            out[n++] = '\\';
            out[n++] = c == '\n' ? 'n' : 't';
        } else if (bad || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            for (; from < i && n + 4 <= room; from++) {
                static const char hex[] = "0123456789abcdef";
                c = (unsigned char)text.p[from];
                out[n++] = '\\';
                out[n++] = 'x';
                out[n++] = hex[c >> 4];
                out[n++] = hex[c & 15];
            }
        } else {
            memcpy(out + n, text.p + from, i - from);
            n += i - from;
        }
    }
    return n;
}

void log_msg(enum log_level lv, const char *area, const char *fmt, ...)
{
    static const char names[][6] = { "DEBUG", "INFO ", "WARN ", "ERROR" };
    if ((int)lv < atomic_load_explicit(&min_level, memory_order_relaxed))
        return;
    int saved_errno = errno;

    char text[4096], line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int text_n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (text_n < 0)
        text_n = 0;
    if ((size_t)text_n >= sizeof(text)) {
        text_n = (int)sizeof(text) - 1;
        memcpy(text + text_n - 3, "...", 3);
    }

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char stamp[TS_TEXT_MAX];
    ts_format((ts_ns)now.tv_sec * NS_PER_S + now.tv_nsec / 1000000 * NS_PER_MS, 3, stamp);
    size_t n = (size_t)snprintf(line, 128, "%s %s %.60s: ", stamp, names[lv], area);
    if (n > 127)
        n = 127;
    n += escape(str_n(text, (size_t)text_n), line + n, sizeof(line) - n - 1);
    line[n++] = '\n';
    for (size_t done = 0; done < n;) {
        ssize_t w = write(STDERR_FILENO, line + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            break; /* nowhere left to complain */
        done += (size_t)w;
    }
    errno = saved_errno;
}
