/* feed.c: raw bytes -> inflated bytes -> lines or values.
 *
 *   fd -> raw (64 KiB) -> inflate (none, gzip, zstd) -> text -> cut at newlines or at JSON's own
 * ends
 *
 * `text` holds what is inflated and not yet handed out; `at` is where the next item begins. */
#include "cli/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define RAW_BYTES (64u << 10)
#define PEEK_BYTES (64u << 10)
#define TEXT_MAX (FEED_LINE_MAX * 4u)

enum packing { PACK_UNKNOWN, PACK_NONE, PACK_GZIP, PACK_ZSTD };

struct feed {
    char path[4096];
    int fd;
    bool follow, eof, in_array, value_started;
    dev_t dev;
    ino_t ino;
    uint64_t size, raw_read, line_no, item_line;
    enum packing packing;
    unsigned char raw[RAW_BYTES];
    size_t raw_n, raw_at;
    z_stream z;
    bool z_open, member_done;
    ZSTD_DStream *zstd;
    struct buf text;
    size_t at;
    bool skipping; /* inside a line that is too long */
    bool begun;    /* the first bytes were seen; a byte order mark is not part of the text */
};

static void note_identity(struct feed *f)
{
    struct stat st;
    if (fstat(f->fd, &st) == 0) {
        f->dev = st.st_dev;
        f->ino = st.st_ino;
        f->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    }
}

int feed_open(struct feed **ret, const char *path, bool follow, bool from_end, struct err *err)
{
    struct feed *f = mem_zalloc(sizeof(*f));
    if (!f)
        return err_nomem(err);
    bool is_stdin = strcmp(path, "-") == 0;
    snprintf(f->path, sizeof(f->path), "%s", is_stdin ? "standard input" : path);
    f->fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    buf_init(&f->text, TEXT_MAX);
    if (f->fd < 0) {
        int rc = err_sys(err, errno, "cannot read %s", path);
        mem_free(f);
        return rc;
    }
    note_identity(f);
    struct stat st;
    if (fstat(f->fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        feed_close(f);
        return err_set(err, ERR_INVALID, "%s is a directory", path);
    }
    f->follow = follow && !is_stdin;
    if (f->follow)
        f->packing = PACK_NONE;
    if (f->follow && from_end && f->size) {
        off_t end = lseek(f->fd, 0, SEEK_END);
        f->raw_read = end > 0 ? (uint64_t)end : 0;
        f->begun = f->raw_read > 0;
    }
    *ret = f;
    return 0;
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    if (f->z_open)
        inflateEnd(&f->z);
    ZSTD_freeDStream(f->zstd);
    buf_deinit(&f->text);
    close(f->fd);
    mem_free(f);
}

/* ---- bytes ---- */

static int read_raw(struct feed *f, struct err *err)
{
    if (f->raw_at < f->raw_n)
        return 0;
    ssize_t n;
    do
        n = read(f->fd, f->raw, sizeof(f->raw));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno, "cannot read %s", f->path);
    f->raw_at = 0;
    f->raw_n = (size_t)n;
    f->raw_read += (uint64_t)n;
    f->eof = n == 0;
    return 0;
}

static int recognise(struct feed *f, struct err *err)
{
    static const unsigned char gzip[2] = { 0x1f, 0x8b }, zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd };
    f->packing = PACK_NONE;
    if (f->raw_n >= 2 && memcmp(f->raw, gzip, 2) == 0) {
        f->packing = PACK_GZIP;
        if (inflateInit2(&f->z, 15 + 16) != Z_OK)
            return err_nomem(err);
        f->z_open = true;
    } else if (f->raw_n >= 4 && memcmp(f->raw, zstd, 4) == 0) {
        f->packing = PACK_ZSTD;
        f->zstd = ZSTD_createDStream();
        if (!f->zstd)
            return err_nomem(err);
        ZSTD_DCtx_setParameter(f->zstd, ZSTD_d_windowLogMax, 27);
    }
    return 0;
}

static int inflate_gzip(struct feed *f, char *room, size_t n, size_t *ret, struct err *err)
{
    if (f->member_done) { /* gzip files may hold several members */
        inflateReset(&f->z);
        f->member_done = false;
    }
    f->z.next_in = f->raw + f->raw_at;
    f->z.avail_in = (unsigned)(f->raw_n - f->raw_at);
    f->z.next_out = (unsigned char *)room;
    f->z.avail_out = (unsigned)n;
    int rc = inflate(&f->z, Z_NO_FLUSH);
    f->raw_at = f->raw_n - f->z.avail_in;
    *ret = n - f->z.avail_out;
    if (rc == Z_STREAM_END)
        f->member_done = true;
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        return err_set(err, ERR_INVALID, "%s is not valid gzip", f->path);
    return 0;
}

static int inflate_zstd(struct feed *f, char *room, size_t n, size_t *ret, struct err *err)
{
    ZSTD_inBuffer in = { f->raw + f->raw_at, f->raw_n - f->raw_at, 0 };
    ZSTD_outBuffer out = { room, n, 0 };
    size_t rc = ZSTD_decompressStream(f->zstd, &out, &in);
    if (ZSTD_isError(rc))
        return err_set(err, ERR_INVALID, "%s is not valid zstd: %s", f->path,
                       ZSTD_getErrorName(rc));
    f->raw_at += in.pos;
    f->member_done = rc == 0;
    *ret = out.pos;
    return 0;
}

/* past a byte order mark; false while too little has come to tell */
static bool begin(struct feed *f)
{
    str mark = STR("\xef\xbb\xbf"), text = buf_str(&f->text);
    if (text.n < mark.n && str_starts(mark, text))
        return false;
    f->begun = true;
    if (str_starts(text, mark))
        f->at = mark.n;
    return true;
}

/* Gets more text; FEED_END at the end of the file. */
static int more(struct feed *f, struct err *err)
{
    if (f->at > 0 && f->at >= f->text.n / 2) {
        buf_drop_front(&f->text, f->at);
        f->at = 0;
    }
    for (;;) {
        int rc = read_raw(f, err);
        if (rc < 0)
            return rc;
        if (f->packing == PACK_UNKNOWN && (rc = recognise(f, err)) < 0)
            return rc;
        bool truncated = f->packing != PACK_NONE && !f->member_done && f->raw_read > 0;
        char *room = buf_reserve(&f->text, RAW_BYTES * 2);
        size_t n = 0;
        if (!room)
            return err_set(err, ERR_LIMIT, "%s has a value longer than %u MiB", f->path,
                           FEED_LINE_MAX >> 20);
        if (f->eof && f->packing == PACK_NONE)
            return FEED_END;
        if (f->packing == PACK_NONE) {
            n = f->raw_n - f->raw_at;
            memcpy(room, f->raw + f->raw_at, n);
            f->raw_at = f->raw_n;
        } else if (f->eof && f->raw_at >= f->raw_n && !truncated) {
            return FEED_END;
        } else {
            rc = f->packing == PACK_GZIP ? inflate_gzip(f, room, RAW_BYTES * 2, &n, err)
                                         : inflate_zstd(f, room, RAW_BYTES * 2, &n, err);
            if (rc < 0)
                return rc;
            if (n == 0 && f->eof)
                return f->member_done ? FEED_END
                                      : err_set(err, ERR_INVALID,
                                                "%s ends in the middle of its "
                                                "compressed data",
                                                f->path);
        }
        buf_advance(&f->text, n);
        if (n && (f->begun || begin(f)))
            return 0;
    }
}

/* ---- lines ---- */

int feed_line(struct feed *f, str *ret, struct err *err)
{
    size_t seen = 0;
    for (;;) {
        char *from = f->text.p ? f->text.p + f->at : NULL;
        size_t have = f->text.n - f->at;
        char *nl = have > seen ? memchr(from + seen, '\n', have - seen) : NULL;
        if (nl) {
            size_t n = (size_t)(nl - from);
            f->at += n + 1;
            f->item_line = ++f->line_no;
            if (f->skipping || n > FEED_LINE_MAX) {
                f->skipping = false;
                return FEED_TOO_LONG;
            }
            *ret = (str){ from, n && from[n - 1] == '\r' ? n - 1 : n };
            return FEED_ITEM;
        }
        seen = have;
        if (have > FEED_LINE_MAX) { /* forget it as it comes, until its end */
            f->skipping = true;
            f->at = f->text.n;
            seen = 0;
        }
        int rc = more(f, err);
        if (rc < 0)
            return rc;
        if (rc == FEED_END) {
            have = f->text.n - f->at;
            if (f->follow || (have == 0 && !f->skipping))
                return FEED_END;
            *ret = (str){ f->text.p + f->at, have };
            f->at = f->text.n;
            f->item_line = ++f->line_no;
            bool cut = f->skipping;
            f->skipping = false;
            return cut ? FEED_TOO_LONG : FEED_ITEM;
        }
    }
}

/* ---- values ---- */

static int peek_byte(struct feed *f, struct err *err)
{
    while (f->at >= f->text.n) {
        int rc = more(f, err);
        if (rc != 0)
            return rc < 0 ? rc : 256;
    }
    return (unsigned char)f->text.p[f->at];
}

/* Past white space (counting lines) and, inside an array, commas. The byte there, 256 at the end.
 */
static int skip_space(struct feed *f, bool commas, struct err *err)
{
    for (;;) {
        int c = peek_byte(f, err);
        if (c == '\n')
            f->line_no++;
        if (c < 0 || !(c == ' ' || c == '\t' || c == '\r' || c == '\n' || (commas && c == ',')))
            return c;
        f->at++;
    }
}

/* Length of the value that begins at f->at: nesting and strings are followed, grammar is not. */
static int value_length(struct feed *f, size_t *ret, struct err *err)
{
    size_t n = 0;
    int depth = 0;
    bool in_string = false, escaped = false;
    for (;; n++) {
        while (f->at + n >= f->text.n) {
            int rc = more(f, err);
            if (rc < 0)
                return rc;
            if (rc == FEED_END) {
                if (depth || in_string)
                    return err_set(err, ERR_INVALID, "%s ends inside a JSON value", f->path);
                *ret = n;
                return 0;
            }
        }
        char c = f->text.p[f->at + n];
        if (in_string) {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            if (!in_string && depth == 0) {
                *ret = n + 1;
                return 0;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth <= 1) { /* a closing bracket of the array around it is not part of a number */
                *ret = n + (depth == 1);
                return 0;
            }
            depth--;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            *ret = n;
            return 0;
        }
    }
}

int feed_value(struct feed *f, str *ret, struct err *err)
{
    if (!f->value_started) {
        f->value_started = true;
        f->line_no = 1;
    }
    for (;;) {
        int c = skip_space(f, f->in_array, err);
        if (c < 0)
            return c;
        if (c == 256)
            return f->in_array ? err_set(err, ERR_INVALID, "%s ends inside an array", f->path)
                               : FEED_END;
        if (c == '[' && !f->in_array) {
            f->in_array = true;
            f->at++;
        } else if (c == ']' && f->in_array) {
            f->in_array = false;
            f->at++;
        } else if (c == ']' || c == '}') {
            return err_set(err, ERR_INVALID, "%s:%llu: an unexpected %c", f->path,
                           (unsigned long long)f->line_no, c);
        } else {
            break;
        }
    }
    size_t n = 0;
    f->item_line = f->line_no;
    int rc = value_length(f, &n, err);
    if (rc < 0)
        return rc;
    *ret = (str){ f->text.p + f->at, n };
    for (size_t i = 0; i < n; i++)
        f->line_no += ret->p[i] == '\n';
    f->at += n;
    return FEED_ITEM;
}

int feed_chunk(struct feed *f, str *ret, struct err *err)
{
    int rc = f->at < f->text.n ? 0 : more(f, err);
    if (rc != 0)
        return rc;
    *ret = (str){ f->text.p + f->at, f->text.n - f->at };
    f->at = f->text.n;
    return FEED_ITEM;
}

int feed_peek(struct feed *f, str *ret, struct err *err)
{
    while (f->text.n - f->at < PEEK_BYTES) {
        int rc = more(f, err);
        if (rc < 0)
            return rc;
        if (rc == FEED_END)
            break;
        if (memchr(f->text.p + f->at, '\n', f->text.n - f->at))
            break; /* a pipe may give no more than a line for long */
    }
    *ret = (str){ f->text.p + f->at, f->text.n - f->at };
    return 0;
}

uint64_t feed_line_no(const struct feed *f)
{
    return f->item_line;
}

uint64_t feed_raw_bytes(const struct feed *f)
{
    return f->raw_read - (f->raw_n - f->raw_at);
}

uint64_t feed_size(const struct feed *f)
{
    return f->size;
}

const char *feed_path(const struct feed *f)
{
    return f->path;
}

static void start_over(struct feed *f)
{
    f->raw_n = f->raw_at = 0;
    f->raw_read = 0;
    f->line_no = f->item_line = 0;
    f->skipping = false;
    buf_reset(&f->text);
    f->at = 0;
    note_identity(f);
    f->begun = false;
}

bool feed_renew(struct feed *f)
{
    struct stat st;
    if (stat(f->path, &st) != 0)
        return false; /* renamed away, its successor not there yet */
    if (st.st_dev != f->dev || st.st_ino != f->ino) {
        int fd = open(f->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return false;
        close(f->fd);
        f->fd = fd;
        start_over(f);
        return true;
    }
    if ((uint64_t)st.st_size < f->raw_read) {
        if (lseek(f->fd, 0, SEEK_SET) < 0)
            return false;
        start_over(f);
        return true;
    }
    return (uint64_t)st.st_size > f->raw_read;
}
