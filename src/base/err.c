/* err.c: the table behind the codes, and the ways to fill a struct err. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *slug;
    int http, exit;
} codes[] = {
    [-ERR_NOMEM] = { "out_of_memory", 503, 71 },
    [-ERR_IO] = { "io_error", 503, 74 },
    [-ERR_CORRUPT] = { "corrupt", 503, 65 },
    [-ERR_INVALID] = { "invalid", 400, 64 },
    [-ERR_LIMIT] = { "limit_exceeded", 413, 64 },
    [-ERR_NOTFOUND] = { "not_found", 404, 1 },
    [-ERR_BUSY] = { "busy", 503, 75 },
    [-ERR_FULL] = { "disk_full", 503, 74 },
    [-ERR_DENIED] = { "denied", 403, 77 },
    [-ERR_TIMEOUT] = { "timeout", 503, 75 },
    [-ERR_CANCELED] = { "canceled", 503, 75 },
    [-ERR_CONFLICT] = { "conflict", 409, 64 },
    [-ERR_UNSUPPORTED] = { "unsupported", 400, 78 },
};
#define CODES_N ((int)(sizeof(codes) / sizeof(codes[0])))

static int known(int code)
{
    return code < 0 && -code < CODES_N;
}

__attribute__((format(printf, 4, 0))) static void fill(struct err *e, int code, int64_t pos,
                                                       const char *fmt, va_list ap)
{
    char msg[ERR_MSG_MAX]; /* the arguments may point into *e */
    vsnprintf(msg, sizeof(msg), fmt, ap);
    e->code = code;
    e->pos = pos;
    e->slug[0] = 0;
    e->hint[0] = 0;
    memcpy(e->msg, msg, strlen(msg) + 1);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, -1, fmt, ap);
    va_end(ap);
    return code;
}

int err_at(struct err *e, int code, int64_t pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, pos, fmt, ap);
    va_end(ap);
    return code;
}

int err_sys(struct err *e, int errnum, const char *fmt, ...)
{
    int code = ERR_IO;
    if (errnum == ENOSPC || errnum == EDQUOT)
        code = ERR_FULL;
    else if (errnum == ENOMEM)
        code = ERR_NOMEM;
    va_list ap;
    va_start(ap, fmt);
    fill(e, code, -1, fmt, ap);
    va_end(ap);
    char text[128];
    size_t n = strlen(e->msg);
    snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror_r(errnum, text, sizeof(text)));
    return code;
}

int err_nomem(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

void err_hint(struct err *e, const char *fmt, ...)
{
    char hint[ERR_HINT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(hint, sizeof(hint), fmt, ap);
    va_end(ap);
    memcpy(e->hint, hint, strlen(hint) + 1);
}

void err_slug(struct err *e, const char *slug)
{
    snprintf(e->slug, sizeof(e->slug), "%s", slug);
}

void err_reset(struct err *e)
{
    e->code = 0;
    e->pos = -1;
    e->slug[0] = e->msg[0] = e->hint[0] = 0;
}

const char *err_slug_of(const struct err *e)
{
    if (e->slug[0])
        return e->slug;
    return e->code == 0 ? "ok" : known(e->code) ? codes[-e->code].slug : "internal";
}

int err_http_status(int code)
{
    return code >= 0 ? 200 : known(code) ? codes[-code].http : 500;
}

int err_exit_code(int code)
{
    return code >= 0 ? 0 : known(code) ? codes[-code].exit : 70;
}
