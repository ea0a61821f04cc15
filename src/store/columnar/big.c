/* big.c: batches too large for a commit group: a file of their own each. Format:
 * docs/format/wal.md.
 *
 *   callers --store_append--> big queue --[write, sync, sync directory]--> WAL queue --> REF frame
 *
 * One thread writes these files, outside the WAL writer's groups, and hands each batch on in the
 * order of their numbers: what the writer then has to put into the log is a reference of a hundred
 * bytes, so small batches are committed all the while. A file without a reference in the log was
 * never acknowledged.
 *
 * Rules: 1. the reference is queued only after file and directory are synced. 2. A file whose
 * reference may be in the log is removed by a flush alone, with the log that refers to it; numbers
 * rise along the log, so "up to the last one referred to" is enough to know. 3. A failed sync is
 * final, as it is for the log; a failed write is that batch's alone. */
#include "store/columnar/impl.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rd.h"
#include "codec/zip.h"

#define BIG_MAGIC "FLEETBIG"
#define BIG_HEADER 64

void big_path(uint64_t number, char out[PATH_MAX_STORE])
{
    snprintf(out, PATH_MAX_STORE, "wal/%012llu.big", (unsigned long long)number);
}

void big_remove(struct store *s, uint64_t number)
{
    char path[PATH_MAX_STORE];
    struct err e = ERR_INIT;
    big_path(number, path);
    s->io->ops->unlink(s->io, path, &e); /* else the next start does it */
}

/* ---- writing ---- */

/* What the file holds: the packed bytes without the key that stands before them in a frame. */
static str stored_bytes(const struct append *a)
{
    if (!a->packed)
        return str_n(a->payload, a->payload_n);
    size_t skip = a->has_idem ? WAL_IDEM : 0;
    return str_n(a->packed + skip, a->packed_n - skip);
}

static void put_header(const struct store *s, const struct append *a, char out[BIG_HEADER])
{
    memset(out, 0, BIG_HEADER);
    memcpy(out, BIG_MAGIC, 8);
    put_le32(out + 8, 1);
    put_le32(out + 12, a->big.crc);
    memcpy(out + 16, s->uuid, 16);
    put_le64(out + 32, a->big.number);
    put_le64(out + 40, a->big.stored);
    put_le64(out + 48, a->payload_n);
    put_le32(out + 56, a->packed ? WAL_FLAG_LZ4 : 0);
    put_le32(out + 60, crc32c(0, out, 60));
}

static int fill(struct store *s, const struct append *a, struct io_file *f, bool *ret_final,
                struct err *err)
{
    char head[BIG_HEADER];
    str stored = stored_bytes(a);
    put_header(s, a, head);
    int rc = f->io->ops->preallocate(f, 0, BIG_HEADER + stored.n, err);
    if (!rc)
        rc = f->io->ops->pwrite(f, head, sizeof head, 0, err);
    if (!rc)
        rc = f->io->ops->pwrite(f, stored.p, stored.n, BIG_HEADER, err);
    if (!rc && !s->cfg.no_fsync) {
        rc = f->io->ops->sync(f, err);
        *ret_final = rc != 0;
    }
    return rc;
}

/* On failure the file is gone again; *ret_final: a sync failed. */
static int write_file(struct store *s, struct append *a, bool *ret_final, struct err *err)
{
    char path[PATH_MAX_STORE];
    struct io_file *f;
    str stored = stored_bytes(a);
    uint64_t number = s->next_big++;
    *ret_final = false;
    big_path(number, path);
    int rc = s->io->ops->open(s->io, &f, path, IO_WRITE | IO_CREATE | IO_EXCL, err);
    if (rc)
        return rc;
    a->big = (struct big_ref){ .number = number,
                               .stored = stored.n,
                               .crc = addr_crc(s, number, BIG_HEADER, stored.p, stored.n) };
    rc = fill(s, a, f, ret_final, err);
    io_close(f);
    if (!rc) {
        rc = s->io->ops->sync_dir(s->io, "wal", err);
        *ret_final = rc != 0;
    }
    if (rc) {
        a->big.number = 0;
        big_remove(s, number);
    }
    return rc;
}

/* ---- the queue and its thread ---- */

static size_t cost(const struct append *a)
{
    return a->payload_n + a->packed_n;
}

void big_leave(struct store *s, const struct append *a)
{
    s->big_bytes -= cost(a);
    s->big_n--;
}

bool big_submit(struct store *s, struct append *a)
{
    a->next = NULL;
    pthread_mutex_lock(&s->qlock);
    bool ok = !s->stopping && (!s->big_n || s->big_bytes + cost(a) <= BIG_QUEUE_BYTES);
    if (ok) {
        *s->big_tail = a;
        s->big_tail = &a->next;
        s->big_bytes += cost(a);
        s->big_n++;
        pthread_cond_signal(&s->big_cond);
    }
    pthread_mutex_unlock(&s->qlock);
    return ok;
}

static struct append *take(struct store *s)
{
    pthread_mutex_lock(&s->qlock);
    while (!s->big_head && !s->stopping)
        pthread_cond_wait(&s->big_cond, &s->qlock);
    struct append *a = s->big_head;
    if (a) {
        s->big_head = a->next;
        if (!s->big_head)
            s->big_tail = &s->big_head;
    }
    pthread_mutex_unlock(&s->qlock);
    return a;
}

static void answer(struct store *s, struct append *a, int rc)
{
    pthread_mutex_lock(&s->qlock);
    big_leave(s, a);
    pthread_mutex_unlock(&s->qlock);
    mem_free(a->payload);
    mem_free(a->packed);
    a->payload = a->packed = NULL;
    a->rc = rc;
    a->done(a);
}

void *big_main(void *arg)
{
    struct store *s = arg;
    struct append *a;
    while ((a = take(s))) {
        bool final = false;
        if (writer_duplicate(s, a, s->io->ops->now(s->io))) { /* spares the disk a repeat */
            answer(s, a, a->rc);
            continue;
        }
        int rc = writer_admits(s, BIG_HEADER + stored_bytes(a).n, &a->err);
        if (!rc)
            rc = write_file(s, a, &final, &a->err);
        if (final)
            writer_fail(s, &a->err);
        if (rc) {
            answer(s, a, rc);
            continue;
        }
        a->big_packed = a->packed != NULL;
        mem_free(a->packed);
        a->packed = NULL;
        writer_take_big(s, a);
    }
    return NULL;
}

/* ---- reading ---- */

static int damaged(struct err *err, const struct big_ref *ref, const char *how)
{
    return err_set(err, ERR_CORRUPT, "batch file %llu %s", (unsigned long long)ref->number, how);
}

static bool header_ok(const struct store *s, const struct big_ref *ref, const char *p,
                      uint8_t flags, uint32_t raw_n)
{
    return memcmp(p, BIG_MAGIC, 8) == 0 && get_le32(p + 8) == 1 &&
           !crc_differs(get_le32(p + 12), ref->crc) && memcmp(p + 16, s->uuid, 16) == 0 &&
           get_le64(p + 32) == ref->number && get_le64(p + 40) == ref->stored &&
           get_le64(p + 48) == raw_n && get_le32(p + 56) == (flags & WAL_FLAG_LZ4) &&
           !crc_differs(get_le32(p + 60), crc32c(0, p, 60));
}

static int read_stored(struct store *s, const struct big_ref *ref, struct io_file *f, char *p,
                       struct err *err)
{
    size_t got;
    int rc = f->io->ops->pread(f, p, (size_t)ref->stored, BIG_HEADER, &got, err);
    if (rc)
        return rc;
    if (got != ref->stored ||
        crc_differs(ref->crc, addr_crc(s, ref->number, BIG_HEADER, p, (size_t)ref->stored)))
        return damaged(err, ref, "is damaged: its checksum does not match");
    return 0;
}

static int check_header(struct store *s, const struct big_ref *ref, struct io_file *f,
                        uint8_t flags, uint32_t raw_n, struct err *err)
{
    char head[BIG_HEADER];
    uint64_t size;
    size_t got;
    int rc = f->io->ops->size(f, &size, err);
    if (!rc && size != BIG_HEADER + ref->stored)
        return damaged(err, ref, "has another length than the log says");
    if (!rc)
        rc = f->io->ops->pread(f, head, sizeof head, 0, &got, err);
    if (!rc && (got != sizeof head || !header_ok(s, ref, head, flags, raw_n)))
        return damaged(err, ref, "is another one than the log means, or its header is damaged");
    return rc;
}

int big_load(struct store *s, const struct big_ref *ref, uint8_t flags, uint32_t raw_n, char **ret,
             struct err *err)
{
    char path[PATH_MAX_STORE];
    struct io_file *f;
    bool packed = flags & WAL_FLAG_LZ4;
    if (ref->stored > WAL_PAYLOAD_MAX || raw_n > WAL_PAYLOAD_MAX ||
        (!packed && ref->stored != raw_n))
        return damaged(err, ref, "cannot be of the length that the log says");
    big_path(ref->number, path);
    int rc = s->io->ops->open(s->io, &f, path, IO_READ, err);
    if (rc)
        return rc == ERR_NOTFOUND ? damaged(err, ref, "is missing") : rc;
    rc = check_header(s, ref, f, flags, raw_n, err);
    char *stored = NULL, *raw = NULL;
    if (!rc && !(stored = mem_alloc((size_t)ref->stored + BUF_PAD)))
        rc = err_nomem(err);
    if (!rc)
        rc = read_stored(s, ref, f, stored, err);
    io_close(f);
    if (!rc && packed) {
        raw = mem_alloc((size_t)raw_n + BUF_PAD);
        rc = raw ? lz4_unpack(str_n(stored, (size_t)ref->stored), raw, raw_n, err) : err_nomem(err);
        mem_free(stored);
        stored = raw;
    }
    if (rc) {
        mem_free(stored);
        return rc;
    }
    *ret = stored;
    return 0;
}

/* ---- removing ---- */

static bool holds(const struct file_nos *w, uint64_t n)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (w->v[i] == n)
            return true;
    return false;
}

void big_orphans(struct store *s, const struct file_nos *files, const struct file_nos *named,
                 bool keep)
{
    for (uint32_t i = 0; i < files->n; i++) {
        if (holds(named, files->v[i]))
            continue;
        store_event(s, LOG_WARN, "wal: batch file %llu belongs to no batch of the log: %s",
                    (unsigned long long)files->v[i],
                    s->cfg.read_only ? "left out"
                    : keep           ? "kept, because the log is damaged"
                                     : "removed");
        if (!keep && !s->cfg.read_only)
            big_remove(s, files->v[i]);
    }
}

static void on_name(void *arg, const char *name, bool is_dir)
{
    file_nos_add_name(arg, name, is_dir, ".big");
}

void big_trim(struct store *s, uint64_t last)
{
    struct file_nos files = { 0 };
    struct err e = ERR_INIT;
    if (last <= s->big_trimmed || s->io->ops->list(s->io, "wal", on_name, &files, &e))
        return; /* they go with the next flush, or at the next start */
    for (uint32_t i = 0; i < files.n; i++)
        if (files.v[i] <= last)
            big_remove(s, files.v[i]);
    s->big_trimmed = last;
    mem_free(files.v);
}
