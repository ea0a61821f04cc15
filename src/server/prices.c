/* prices.c: see prices.h. */
#include "server/prices.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

struct price_file {
    char path[4200];
    bool named;
    pthread_mutex_t lock;
    struct prices *now;
    struct stat seen; /* what the table was made of; st_ino 0: of no file */
    int64_t looked_s;
};

static int read_text(int fd, const char *path, char *text, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    ssize_t got;
    while (n <= PRICE_FILE_MAX && (got = read(fd, text + n, PRICE_FILE_MAX + 1 - n)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read the prices in %s", path);
        n += (size_t)got;
    }
    *ret_n = n;
    return 0;
}

static int parse_text(struct prices **ret, const char *path, str text, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = prices_parse(ret, text, &why);
    if (!rc)
        return 0;
    err_set(err, why.code, "%s: %s", path, why.msg);
    err_hint(err, "%s", why.hint);
    err_slug(err, "bad_prices");
    return rc;
}

/* 0 with *ret NULL: there is no file, and none was named */
static int load(struct price_file *f, struct prices **ret, struct stat *st, struct err *err)
{
    size_t n = 0;
    *ret = NULL;
    memset(st, 0, sizeof *st);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && !f->named)
        return 0;
    if (fd < 0) {
        err_sys(err, errno, "cannot read the prices in %s", f->path);
        err_hint(err, "`fleetlog onboard` writes a file to begin with");
        return err->code;
    }
    char *text = mem_alloc(PRICE_FILE_MAX + 1);
    int rc = 0;
    if (!text)
        rc = err_nomem(err);
    else if (fstat(fd, st) < 0)
        rc = err_sys(err, errno, "cannot read the prices in %s", f->path);
    else if (!S_ISREG(st->st_mode))
        rc = err_set(err, ERR_INVALID, "the prices in %s: this is no file", f->path);
    else
        rc = read_text(fd, f->path, text, &n, err);
    if (!rc)
        rc = parse_text(ret, f->path, (str){ text, n }, err);
    mem_free(text);
    close(fd);
    return rc;
}

int price_file_open(struct price_file **ret, const char *path, const char *dir, struct err *err)
{
    struct price_file *f = mem_zalloc(sizeof *f);
    if (!f)
        return err_nomem(err);
    f->named = path != NULL;
    if (path)
        snprintf(f->path, sizeof f->path, "%s", path);
    else
        snprintf(f->path, sizeof f->path, "%s/" PRICE_FILE_NAME, dir);
    int rc = load(f, &f->now, &f->seen, err);
    if (rc) {
        mem_free(f);
        return rc;
    }
    pthread_mutex_init(&f->lock, NULL);
    *ret = f;
    return 0;
}

void price_file_close(struct price_file *f)
{
    if (!f)
        return;
    prices_unref(f->now);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

static bool changed(const struct price_file *f, const struct stat *st)
{
    return st->st_ino != f->seen.st_ino || st->st_size != f->seen.st_size ||
           st->st_mtim.tv_sec != f->seen.st_mtim.tv_sec ||
           st->st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec;
}

static void look_again(struct price_file *f)
{
    struct stat st;
    struct prices *fresh;
    struct err err = ERR_INIT;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (t.tv_sec == f->looked_s)
        return;
    f->looked_s = t.tv_sec;
    if (stat(f->path, &st) < 0)
        memset(&st, 0, sizeof st);
    if (!changed(f, &st))
        return;
    if (load(f, &fresh, &st, &err)) {
        log_error("prices", "the prices in use stay: %s", err.msg);
        if (stat(f->path, &f->seen) < 0) /* said once a change */
            memset(&f->seen, 0, sizeof f->seen);
        return;
    }
    prices_unref(f->now);
    f->now = fresh;
    f->seen = st;
    log_info("prices", "%s: %u prices", f->path, prices_count(fresh));
}

struct prices *price_file_get(struct price_file *f)
{
    pthread_mutex_lock(&f->lock);
    look_again(f);
    struct prices *p = prices_ref(f->now);
    pthread_mutex_unlock(&f->lock);
    return p;
}
