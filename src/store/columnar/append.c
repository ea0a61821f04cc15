/* append.c: the callers' side of the WAL writer: what is queued for it, and who waits.
 *
 *   store_append --> checked, packed, checksummed --> queue --> writer.c
 *                                          \--> big.c, when it is too large for a group
 *
 * All work on a batch's bytes is done here, by the thread that brings it; the writer does none.
 * What is refused is answered here, too: done() is called once for every batch. */
#include "store/columnar/impl.h"

#include "base/hash.h"
#include "base/rd.h"
#include "codec/zip.h"

#define PACK_MIN 4096 /* payload bytes from which lz4 is tried */

static void refuse(struct append *a, int code, const char *why)
{
    a->rc = err_set(&a->err, code, "%s", why);
    mem_free(a->payload);
    mem_free(a->packed);
    a->payload = a->packed = NULL;
    a->done(a);
}

static void refuse_busy(struct store *s, struct append *a)
{
    pthread_mutex_lock(&s->qlock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->qlock);
    refuse(a, ERR_BUSY,
           stopping ? "the server is shutting down" : "too many batches are waiting to be written");
}

/* The caller holds qlock. */
static void put_in_queue(struct store *s, struct append *a)
{
    a->next = NULL;
    *s->qtail = a;
    s->qtail = &a->next;
}

/* Takes a list; what has no room is refused, each on its own. */
static void enqueue(struct store *s, struct append *list)
{
    struct append *refused = NULL, **end = &refused, *next;
    pthread_mutex_lock(&s->qlock);
    bool idle = !s->qhead;
    for (struct append *a = list; a; a = next) {
        next = a->next;
        bool full =
            s->queue_bytes + a->payload_n > QUEUE_BYTES && s->queue_n > 0 && a->kind == KIND_BATCH;
        if (s->stopping || full) {
            a->next = NULL;
            *end = a;
            end = &a->next;
            continue;
        }
        put_in_queue(s, a);
        s->queue_bytes += a->payload_n;
        s->queue_n++;
    }
    bool wake = idle && s->qhead;
    pthread_mutex_unlock(&s->qlock);
    if (wake) /* not before: the writer would wake only to wait for the lock */
        pthread_cond_signal(&s->qcond);
    for (struct append *a = refused; a; a = next) {
        next = a->next;
        refuse_busy(s, a);
    }
}

/* Was admitted when it joined the queue of big batches, so it is taken while stopping, too. */
void writer_take_big(struct store *s, struct append *a)
{
    pthread_mutex_lock(&s->qlock);
    bool idle = !s->qhead;
    put_in_queue(s, a);
    pthread_mutex_unlock(&s->qlock);
    if (idle)
        pthread_cond_signal(&s->qcond);
}

void append_put_idem(const struct append *a, char out[WAL_IDEM])
{
    memcpy(out, a->idem, 16);
    put_le64(out + 16, a->body_hash);
}

/* Tries lz4; the key stands before the packed bytes, as it will in the frame. */
static void pack(struct append *a)
{
    struct buf b;
    buf_init(&b, a->payload_n + 64);
    if (a->has_idem)
        buf_fill(&b, 0, WAL_IDEM);
    if (lz4_pack(str_n(a->payload, a->payload_n), &b) && b.n < a->payload_n - a->payload_n / 4) {
        if (a->has_idem)
            append_put_idem(a, b.p);
        a->packed = buf_take(&b, &a->packed_n);
    }
    buf_deinit(&b);
}

size_t append_stored_n(const struct append *a)
{
    return a->big.number ? WAL_REF_BYTES : a->packed ? a->packed_n : a->payload_n;
}

/* False: a was answered, or goes its way beside the queue. */
static bool make_ready(struct store *s, struct append *a)
{
    a->err = (struct err)ERR_INIT;
    a->rc = 0;
    a->duplicate = false;
    a->packed = NULL;
    a->packed_n = 0;
    a->big = (struct big_ref){ 0 };
    a->big_packed = a->repeats = false;
    a->kind = KIND_BATCH;
    if (s->cfg.read_only) {
        refuse(a, ERR_UNSUPPORTED, "the store is open for reading only");
        return false;
    }
    if (!a->rows) {
        mem_free(a->payload);
        a->payload = NULL;
        a->done(a);
        return false;
    }
    if (a->payload_n > WAL_PAYLOAD_MAX) {
        refuse(a, ERR_LIMIT, "the batch is larger than a batch can be");
        return false;
    }
    if (a->payload_n >= PACK_MIN)
        pack(a);
    if (append_stored_n(a) > s->cfg.big_batch_bytes) {
        if (!big_submit(s, a))
            refuse_busy(s, a);
        return false;
    }
    if (a->packed) {
        a->crc = crc32c(0, a->packed, a->packed_n);
    } else {
        char id[WAL_IDEM];
        append_put_idem(a, id);
        a->crc = crc32c(a->has_idem ? crc32c(0, id, sizeof id) : 0, a->payload, a->payload_n);
    }
    return true;
}

void store_append_list(struct store *s, struct append *list)
{
    struct append *ready = NULL, **end = &ready;
    for (struct append *a = list, *next; a; a = next) {
        next = a->next;
        if (!make_ready(s, a))
            continue;
        *end = a;
        end = &a->next;
    }
    *end = NULL;
    if (ready)
        enqueue(s, ready);
}

void store_append(struct store *s, struct append *a)
{
    a->next = NULL;
    store_append_list(s, a);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void wake_waiter(struct append *a)
{
    struct waiter *w = a->user;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static int enqueue_wait(struct store *s, struct append *a, struct err *err)
{
    struct waiter w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    a->user = &w;
    a->done = wake_waiter;
    if (a->kind == KIND_BATCH)
        store_append(s, a);
    else
        enqueue(s, a); /* its next is NULL */
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (a->rc)
        *err = a->err;
    return a->rc;
}

int store_append_wait(struct store *s, char *payload, size_t n, uint32_t rows,
                      uint64_t *ret_base_seq, struct err *err)
{
    struct append a = { .payload = payload, .payload_n = n, .rows = rows };
    int rc = enqueue_wait(s, &a, err);
    if (!rc && ret_base_seq)
        *ret_base_seq = a.base_seq;
    return rc;
}

int store_mark(struct store *s, const struct mark *m, uint32_t n, uint32_t *ret_applied,
               struct err *err)
{
    if (ret_applied)
        *ret_applied = 0;
    if (s->cfg.read_only)
        return err_set(err, ERR_UNSUPPORTED, "the store is open for reading only");
    if (!n)
        return 0;
    struct buf b;
    buf_init(&b, GROUP_BYTES);
    marks_encode(&b, m, n);
    if (!buf_ok(&b)) {
        int rc =
            b.bad == BUF_LIMIT ? err_set(err, ERR_LIMIT, "too many marks at once") : err_nomem(err);
        buf_deinit(&b);
        return rc;
    }
    struct append a = { .kind = KIND_MARK };
    a.payload = buf_take(&b, &a.payload_n);
    a.crc = crc32c(0, a.payload, a.payload_n);
    int rc = enqueue_wait(s, &a, err);
    if (!rc && ret_applied)
        *ret_applied = a.rows;
    return rc;
}

/* Asks the writer to freeze the active memtable, so that everything so far can be flushed. */
int writer_freeze(struct store *s, struct err *err)
{
    struct append a = { .kind = KIND_FREEZE };
    return enqueue_wait(s, &a, err);
}

int writer_tell(struct store *s, struct err *err)
{
    struct append a = { .kind = KIND_TELL };
    return enqueue_wait(s, &a, err);
}
