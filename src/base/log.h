/* log.h: the server's own diagnostics, one line each on stderr.
 *
 * "2026-11-21T10:00:00.123Z INFO  wal: message key=value". Only src/server, src/cli and src/main.c
 * log; libraries return errors. Text from outside is escaped: no control character gets through. */
#ifndef FL_BASE_LOG_H
#define FL_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level min);
void log_msg(enum log_level lv, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define log_debug(area, ...) log_msg(LOG_DEBUG, area, __VA_ARGS__)
#define log_info(area, ...) log_msg(LOG_INFO, area, __VA_ARGS__)
#define log_warn(area, ...) log_msg(LOG_WARN, area, __VA_ARGS__)
#define log_error(area, ...) log_msg(LOG_ERROR, area, __VA_ARGS__)

#endif
