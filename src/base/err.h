/* err.h: the closed set of failure codes and the sentence that goes with one.
 *
 * Library functions return 0 or one of these negative codes and fill *err (never NULL) with what
 * a user will read. Each code maps once to an HTTP status and an exit code. */
#ifndef FL_BASE_ERR_H
#define FL_BASE_ERR_H

#include <stdint.h>

enum err_code {
    ERR_NOMEM = -1,       /* allocation failed                          503  71 */
    ERR_IO = -2,          /* the operating system refused               503  74 */
    ERR_CORRUPT = -3,     /* stored bytes are not what was written      503  65 */
    ERR_INVALID = -4,     /* the caller's input is wrong                400  64 */
    ERR_LIMIT = -5,       /* a stated limit was passed                  413  64 */
    ERR_NOTFOUND = -6,    /* no such thing                              404   1 */
    ERR_BUSY = -7,        /* overloaded or locked: try again later      503  75 */
    ERR_FULL = -8,        /* disk reserve reached                       503  74 */
    ERR_DENIED = -9,      /* not allowed                                403  77 */
    ERR_TIMEOUT = -10,    /* a deadline passed                          503  75 */
    ERR_CANCELED = -11,   /* the caller gave up                         503  75 */
    ERR_CONFLICT = -12,   /* contradicts an earlier request             409  64 */
    ERR_UNSUPPORTED = -13 /* understood, not available here             400  78 */
};

#define ERR_MSG_MAX 512
#define ERR_HINT_MAX 160

struct err {
    int code;                /* 0 or an err_code */
    int64_t pos;             /* byte position in the input or file, -1 when there is none */
    char slug[40];           /* machine-readable word, e.g. "bad_query"; "" = derived from code */
    char msg[ERR_MSG_MAX];   /* one sentence, NUL-terminated, no trailing newline */
    char hint[ERR_HINT_MAX]; /* what to do about it; may be "" */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .pos = -1                                                                                  \
    }

/* Sets *e and returns code, so that `return err_set(e, ERR_INVALID, "...")` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with the position the sentence is about. */
int err_at(struct err *e, int code, int64_t pos, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* As err_set for a failed system call: appends ": " and strerror(errnum). ENOSPC and EDQUOT give
 * ERR_FULL, ENOMEM gives ERR_NOMEM, everything else ERR_IO. */
int err_sys(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* ERR_NOMEM with the standard sentence. */
int err_nomem(struct err *e);
/* adds a hint to an error already set */
void err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* replaces the machine-readable word */
void err_slug(struct err *e, const char *slug);
void err_reset(struct err *e);

const char *err_slug_of(const struct err *e); /* e->slug or the code's default word */
int err_http_status(int code);
int err_exit_code(int code);

#endif
