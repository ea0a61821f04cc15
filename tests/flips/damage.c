/* damage.c: each kind of damage to each kind of file of a small store, against a table of what must
 * come of it. Blocks swapped or older than they should be are DI14 of the fault table, the rest
 * DI15.
 */
#include "flips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- files ---- */

struct walk {
    struct io *io;
    struct files *files;
    char dir[64];
    char dirs[16][64];
    uint32_t ndirs;
};

static uint64_t size_of(struct io *io, const char *path)
{
    struct io_file *f;
    struct err err = ERR_INIT;
    uint64_t n = 0;
    if (io->ops->open(io, &f, path, IO_READ, &err) || f->io->ops->size(f, &n, &err))
        fail("%s: %s", path, err.msg);
    io_close(f);
    return n;
}

static void on_name(void *arg, const char *name, bool is_dir)
{
    struct walk *w = arg;
    char path[160];
    snprintf(path, sizeof path, "%s%s%s", w->dir, w->dir[0] ? "/" : "", name);
    if (is_dir) {
        snprintf(w->dirs[w->ndirs++], sizeof *w->dirs, "%.60s", path);
        return;
    }
    struct file *f = &w->files->v[w->files->n++];
    snprintf(f->path, sizeof f->path, "%.60s", path);
    f->size = size_of(w->io, path);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void walk(struct io *io, struct walk *w)
{
    struct err err = ERR_INIT;
    w->io = io;
    io->ops->list(io, ".", on_name, w, &err);
    for (uint32_t i = 0; i < w->ndirs; i++) {
        memcpy(w->dir, w->dirs[i], sizeof w->dir);
        io->ops->list(io, w->dir, on_name, w, &err);
    }
}

void list_files(struct io *io, struct files *ret)
{
    struct walk w = { .files = ret };
    ret->n = 0;
    walk(io, &w);
    qsort(ret->v, ret->n, sizeof *ret->v, by_path);
}

static void put_file(struct io *io, const char *path, const char *p, size_t n)
{
    struct io_file *f;
    struct err err = ERR_INIT;
    if (io->ops->open(io, &f, path, IO_WRITE | IO_CREATE, &err) ||
        f->io->ops->truncate(f, 0, &err) || (n && f->io->ops->pwrite(f, p, n, 0, &err)))
        fail("%s: %s", path, err.msg);
    io_close(f);
}

struct io *copy_disk(struct io *from)
{
    struct files files = { .n = 0 };
    struct walk w = { .files = &files };
    struct io *to;
    struct err err = ERR_INIT;
    walk(from, &w);
    if (io_mem_new(&to, 2, &err))
        fail("%s", err.msg);
    for (uint32_t i = 0; i < w.ndirs; i++)
        to->ops->mkdir(to, w.dirs[i], &err);
    for (uint32_t i = 0; i < files.n; i++) {
        char *p;
        size_t n;
        if (io_read_file(from, files.v[i].path, 1u << 30, &p, &n, &err))
            fail("%s", err.msg);
        put_file(to, files.v[i].path, p, n);
        mem_free(p);
    }
    return to;
}

/* ---- damage ---- */

enum kind { STORE, CURRENT, MANIFEST, STATE, WAL, BIG, SEGMENT, KINDS };
static const char *const kind_names[] = { "STORE", "CURRENT",    "MANIFEST", "STATE",
                                          "log",   "batch file", "segment" };

static enum kind kind_of(const char *path)
{
    str s = str_c(path);
    return str_ends(s, STR(".seg"))         ? SEGMENT
           : str_ends(s, STR(".wal"))       ? WAL
           : str_ends(s, STR(".big"))       ? BIG
           : str_starts(s, STR("STATE"))    ? STATE
           : str_starts(s, STR("MANIFEST")) ? MANIFEST
           : str_eq(s, STR("CURRENT"))      ? CURRENT
                                            : STORE;
}

enum damage {
    MISSING,
    EMPTY,
    HALVED,
    SHORT,
    ZEROED,
    SECTOR,
    LONGER,
    ZEROS,
    SWAPPED,
    OTHER,
    DAMAGES
};
static const char *const damage_names[] = { "missing",         "empty",        "cut in half",
                                            "last byte cut",   "all zero",     "a sector zero",
                                            "garbage behind",  "zeros behind", "two blocks swapped",
                                            "bytes of another" };

/* What must come of it: the store refuses (R), the answer is incomplete or has a declared hole (H),
 * the end is gone as if it had never been written, which cannot be told (T, docs/format/wal.md), or
 * nothing is lost (-). Then whether verify finds it: +, or . when it is as if it had not been. */
static const char *const expected[KINDS][DAMAGES] = {
    /*             miss  empty half  short zero  sect  garb  zeros swap  other */
    [STORE] = { "R+", "R+", "R+", "R+", "R+", "R+", "-.", "-.", "R+", "" },
    [CURRENT] = { "R+", "R+", "-.", "-.", "R+", "R+", "R+", "R+", "-.", "" },
    [MANIFEST] = { "R+", "R+", "H+", "H+", "R+", "R+", "-.", "-.", "R+", "" },
    [STATE] = { "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+", "" },
    [WAL] = { "H+", "H+", "T.", "-.", "H+", "H+", "-.", "-.", "H+", "" },
    [BIG] = { "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+", "" },
    [SEGMENT] = { "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+", "H+" },
};

static bool do_damage(struct io *io, const struct files *files, const struct file *f, enum damage d)
{
    char *p, *q;
    size_t n, m, step;
    struct err err = ERR_INIT;
    if (io_read_file(io, f->path, 1u << 30, &p, &n, &err))
        fail("%s", err.msg);
    bool did = true;
    switch (d) {
    case MISSING: did = io->ops->unlink(io, f->path, &err) == 0; break;
    case EMPTY: put_file(io, f->path, p, 0); break;
    case HALVED: put_file(io, f->path, p, n / 2); break;
    case SHORT: put_file(io, f->path, p, n - 1); break;
    case ZEROED:
        memset(p, 0, n);
        put_file(io, f->path, p, n);
        break;
    case SECTOR:
        memset(p + (n > 1024 ? 512 : 0), 0, n > 512 ? 512 : n / 2);
        put_file(io, f->path, p, n);
        break;
    case LONGER:
    case ZEROS:
        q = calloc(1, n + 300);
        if (!q)
            abort();
        memcpy(q, p, n);
        memset(q + n, d == LONGER ? '\x5a' : 0, 300);
        put_file(io, f->path, q, n + 300);
        free(q);
        break;
    case SWAPPED: /* two stretches of the file change places */
        step = n >= 1024 ? 512 : n / 2;
        for (size_t i = 0; i < step; i++) {
            char c = p[i];
            p[i] = p[step + i];
            p[step + i] = c;
        }
        put_file(io, f->path, p, n);
        break;
    case OTHER: /* a misdirected write: a good file of the same kind stands in its place */
        did = false;
        for (uint32_t i = 0; i < files->n && !did; i++)
            if (kind_of(files->v[i].path) == kind_of(f->path) &&
                strcmp(files->v[i].path, f->path) != 0) {
                if (io_read_file(io, files->v[i].path, 1u << 30, &q, &m, &err))
                    fail("%s", err.msg);
                put_file(io, f->path, q, m);
                mem_free(q);
                did = true;
            }
        break;
    case DAMAGES: break;
    }
    mem_free(p);
    return did;
}

/* At every offset of a segment: a stretch of 64 bytes as it stands elsewhere in it. */
static void misdirect(const struct made *m, const struct file *f)
{
    char *p;
    size_t n;
    struct err err = ERR_INIT;
    if (io_read_file(m->io, f->path, 1u << 30, &p, &n, &err))
        fail("%s", err.msg);
    uint64_t tried = 0;
    for (size_t to = 0; to + 64 <= n; to += 64)
        for (size_t from = (to * 7) % 192; from + 64 <= n; from += 1024) {
            if (memcmp(p + to, p + from, 64) == 0)
                continue;
            struct io *io = copy_disk(m->io);
            struct seen s;
            char what[160], *q = malloc(n);
            if (!q)
                abort();
            memcpy(q, p, n);
            memcpy(q + to, p + from, 64);
            put_file(io, f->path, q, n);
            snprintf(what, sizeof what, "%s: bytes %zu at %zu", f->path, from, to);
            judge(io, m, what, false, &s);
            if (!s.verify_objects)
                fail("%s: verify does not find it", what);
            free(q);
            io_free(io);
            tried++;
        }
    printf("%s: %llu misdirected writes of 64 bytes, all found\n", f->path,
           (unsigned long long)tried);
    mem_free(p);
}

void damage_all(struct made *m)
{
    struct files files;
    bool bad = false;
    list_files(m->io, &files);
    for (uint32_t i = 0; i < files.n; i++)
        for (int d = 0; d < DAMAGES; d++) {
            struct io *io = copy_disk(m->io);
            enum kind k = kind_of(files.v[i].path);
            if (do_damage(io, &files, &files.v[i], (enum damage)d)) {
                struct seen s, w;
                char what[160], got[3] = "-.";
                snprintf(what, sizeof what, "%s, %s", files.v[i].path, damage_names[d]);
                m->tail_may_go = expected[k][d][0] == 'T';
                judge(io, m, what, false, &s);
                got[0] = s.refused ? 'R' : unharmed(m, &s) ? '-' : m->tail_may_go ? 'T' : 'H';
                got[1] = s.verify_objects ? '+' : '.';
                bool fits = strcmp(got, expected[k][d]) == 0;
                printf("%-11s %-20s %s%s\n", kind_names[k], damage_names[d], got,
                       fits ? "" : "  <-- not as expected");
                bad |= !fits;
                judge(io, m, what, true, &w); /* the same with a start that writes */
            }
            io_free(io);
        }
    m->tail_may_go = false;
    for (uint32_t i = 0; i < files.n; i++)
        if (kind_of(files.v[i].path) == SEGMENT)
            misdirect(m, &files.v[i]);
    if (bad)
        fail("damage has other consequences than the table says");
}
