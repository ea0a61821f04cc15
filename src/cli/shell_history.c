/* shell_history.c: $XDG_STATE_HOME/fleetlog/shell_history, readable by its owner alone.
 *
 * Sessions append, so that several at once lose nothing; the file is written anew when it holds
 * twice as many as are kept. A backslash and a newline are written as \\ and \n. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/shell.h"

#define PATH_BYTES 4096
#define FILE_BYTES (4u << 20) /* of the end of the file are read */

static bool directory(char out[PATH_BYTES])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state && state[0] == '/')
        n = snprintf(out, PATH_BYTES, "%s/fleetlog", state);
    else if (home && home[0] == '/')
        n = snprintf(out, PATH_BYTES, "%s/.local/state/fleetlog", home);
    else
        return false;
    return n > 0 && n < PATH_BYTES - 64;
}

static bool file_name(char out[PATH_BYTES])
{
    if (!directory(out))
        return false;
    size_t n = strlen(out);
    snprintf(out + n, PATH_BYTES - n, "/shell_history");
    return true;
}

static void make_directories(const char *dir)
{
    char part[PATH_BYTES];
    snprintf(part, sizeof(part), "%s", dir);
    for (char *p = part + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            mkdir(part, 0700);
            *p = '/';
        }
    mkdir(part, 0700);
}

static void put_escaped(struct buf *b, str query)
{
    for (size_t i = 0; i < query.n; i++) {
        char c = query.p[i];
        if (c == '\n')
            buf_puts(b, "\\n");
        else if (c == '\\')
            buf_puts(b, "\\\\");
        else
            buf_putc(b, c);
    }
    buf_putc(b, '\n');
}

/* the file's last bytes, from the start of a line on */
static bool read_all(struct buf *b)
{
    char path[PATH_BYTES];
    struct stat st;
    int fd = file_name(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    bool cut = ok && st.st_size > (off_t)FILE_BYTES;
    if (cut)
        ok = lseek(fd, st.st_size - (off_t)FILE_BYTES, SEEK_SET) >= 0;
    for (ssize_t n = 1; ok && n > 0;) {
        char *room = buf_reserve(b, 65536);
        n = room ? read(fd, room, 65536) : -1;
        ok = n >= 0;
        if (n > 0)
            buf_advance(b, (size_t)n);
    }
    close(fd);
    size_t nl = cut ? str_chr(buf_str(b), '\n') : SIZE_MAX;
    if (nl != SIZE_MAX)
        buf_drop_front(b, nl + 1);
    return ok;
}

static size_t count_lines(str all)
{
    size_t n = 0;
    for (size_t i = 0; i < all.n; i++)
        n += all.p[i] == '\n';
    return n;
}

static str skip_lines(str all, size_t n)
{
    str line;
    while (n-- && str_split(&all, '\n', &line))
        ;
    return all;
}

void history_read(void (*fn)(void *ctx, const char *query), void *ctx)
{
    struct buf all, one;
    buf_init(&all, FILE_BYTES * 2);
    buf_init(&one, FILE_BYTES * 2);
    if (read_all(&all)) {
        size_t n = count_lines(buf_str(&all));
        str rest = skip_lines(buf_str(&all), n > HISTORY_MAX ? n - HISTORY_MAX : 0), line;
        while (str_split(&rest, '\n', &line)) {
            buf_reset(&one);
            for (size_t i = 0; i < line.n; i++) {
                bool escape = line.p[i] == '\\' && i + 1 < line.n;
                i += escape;
                buf_putc(&one, escape && line.p[i] == 'n' ? '\n' : line.p[i]);
            }
            if (one.n && buf_ok(&one) && !memchr(one.p, 0, one.n))
                fn(ctx, one.p);
        }
    }
    buf_deinit(&one);
    buf_deinit(&all);
}

static bool write_all(int fd, str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return false;
        s = str_skip(s, n > 0 ? (size_t)n : 0);
    }
    return true;
}

/* keeps the last ones only */
static void compact(const char *path)
{
    char fresh[PATH_BYTES + 32];
    struct buf all;
    buf_init(&all, FILE_BYTES * 2);
    size_t n = read_all(&all) ? count_lines(buf_str(&all)) : 0;
    if (n > 2 * (size_t)HISTORY_MAX) {
        snprintf(fresh, sizeof(fresh), "%s.%ld", path, (long)getpid());
        int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool ok = fd >= 0 && write_all(fd, skip_lines(buf_str(&all), n - HISTORY_MAX));
        if (fd >= 0 && close(fd) != 0)
            ok = false;
        if (!ok || rename(fresh, path) != 0)
            unlink(fresh);
    }
    buf_deinit(&all);
}

void history_add(str query)
{
    char path[PATH_BYTES];
    struct buf line;
    struct stat st;
    if (!history_keeps(query) || !directory(path))
        return;
    make_directories(path);
    file_name(path);
    buf_init(&line, FILE_BYTES);
    put_escaped(&line, query);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool large = false;
    if (fd >= 0) {
        fchmod(fd, 0600); /* whatever it was before */
        if (buf_ok(&line))
            write_all(fd, buf_str(&line));
        large = fstat(fd, &st) == 0 && st.st_size > 128 * 1024;
        close(fd);
    }
    if (large)
        compact(path);
    buf_deinit(&line);
}

bool history_keeps(str query)
{
    static const char *const secrets[] = {
        "bearer ", "sk-",       "ghp_",   "xoxb-",    "akia",
        "fl_",     "password=", "token=", "api_key=", "apikey="
    };
    char low[256];
    if (!query.n || query.p[0] == ' ' || query.p[0] == '\t')
        return false;
    for (size_t from = 0; from < query.n; from += 128) { /* windows that overlap by half */
        size_t n = 0;
        for (; n < sizeof(low) && from + n < query.n; n++) {
            char c = query.p[from + n];
            low[n] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++) {
            size_t at = str_find((str){ low, n }, str_c(secrets[i]));
            /* at the start of a word */
            if (at != SIZE_MAX && (at == 0 || !((low[at - 1] >= 'a' && low[at - 1] <= 'z') ||
                                                (low[at - 1] >= '0' && low[at - 1] <= '9'))))
                return false;
        }
    }
    return true;
}
