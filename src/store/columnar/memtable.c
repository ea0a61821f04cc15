/* memtable.c: durable batches that are not in a segment yet.
 *
 * A memtable is a list of chunks in the order of their sequence numbers. Chunks are immutable and
 * counted, so a query copies the list under the lock and reads on without it. Single-entry requests
 * make tiny chunks; runs of them are joined into larger ones in the background and before a flush.
 */
#include "store/columnar/impl.h"

#include "base/hash.h"

int chunk_new(struct chunk **ret, char *payload, size_t n, uint32_t rows, uint64_t base_seq,
              ts_ns received_at, struct err *err)
{
    struct payload_info info;
    int rc = payload_info(str_n(payload, n), &info, err);
    if (rc)
        return rc;
    if (info.rows != rows)
        return err_set(err, ERR_CORRUPT, "batch says %u rows, holds %u", rows, info.rows);
    struct chunk *c = mem_alloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    *c = (struct chunk){ .payload = payload,
                         .n = n,
                         .base_seq = base_seq,
                         .rows = rows,
                         .nblocks = info.nblocks,
                         .received_at = received_at };
    atomic_init(&c->refs, 1);
    *ret = c;
    return 0;
}

void chunk_ref(struct chunk *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void chunk_unref(struct chunk *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        mem_free(c->payload);
        mem_free(c);
    }
}

struct memtable *memtable_new(void)
{
    return mem_zalloc(sizeof(struct memtable));
}

void memtable_free(struct memtable *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->n; i++)
        chunk_unref(m->v[i]);
    mem_free(m->v);
    mem_free(m);
}

bool memtable_reserve(struct memtable *m, uint32_t more)
{
    if (m->cap - m->n >= more)
        return true;
    uint32_t cap = m->cap ? m->cap : 64;
    while (cap - m->n < more)
        cap *= 2;
    struct chunk **v = mem_realloc(m->v, cap * sizeof *v);
    if (!v)
        return false;
    m->v = v;
    m->cap = cap;
    return true;
}

void memtable_add(struct memtable *m, struct chunk *c)
{
    m->v[m->n++] = c;
    m->bytes += chunk_bytes(c);
    m->rows += c->rows;
    m->small += c->rows < SMALL_CHUNK_ROWS;
}

void memtable_move(struct memtable *m, uint32_t n, struct memtable *into)
{
    for (uint32_t i = 0; i < n; i++) {
        struct chunk *c = m->v[i];
        m->bytes -= chunk_bytes(c);
        m->rows -= c->rows;
        memtable_add(into, c);
    }
    m->n -= n;
    memmove(m->v, m->v + n, m->n * sizeof *m->v);
}

/* ---- joining ---- */

struct joiner {
    struct batch *batch;
};

static bool copy_value(struct batch *to, const struct colinfo *ci, const struct colv *c,
                       uint32_t row)
{
    struct bcol *col = batch_col(to, ci->key, ci->type);
    if (!col)
        return false;
    switch (ci->type) {
    case V_BOOL: return bcol_put_i64(col, c->b8[row]);
    case V_I64: return bcol_put_i64(col, c->i64[row]);
    case V_F64: return bcol_put_f64(col, c->f64[row]);
    case V_NULL: return bcol_put_i64(col, 0);
    default: return bcol_put_text(col, colv_text(c, row));
    }
}

static int join_block(void *arg, struct block *b, struct err *err)
{
    struct joiner *j = arg;
    const struct colv *cols[64];
    const struct colv **loaded =
        b->ncols <= 64 ? cols : arena_array(b->arena, b->ncols, sizeof *loaded);
    if (!loaded)
        return err_nomem(err);
    for (uint32_t i = 0; i < b->ncols; i++) {
        int rc = block_load(b, i, &loaded[i], err);
        if (rc)
            return rc;
    }
    for (uint32_t r = 0; r < b->n; r++) {
        for (uint32_t i = 0; i < b->ncols; i++) {
            if (str_eq(b->cols[i].key, STR("seq")) || !colv_has(loaded[i], r))
                continue;
            if (!copy_value(j->batch, &b->cols[i], loaded[i], r))
                return err_nomem(err);
        }
        batch_end_row(j->batch);
    }
    return 0;
}

static int join_run(struct chunk *const *v, uint32_t n, struct chunk **ret, struct err *err)
{
    struct arena a;
    arena_init(&a, ARENA_MAX);
    struct buf out;
    buf_init(&out, ARENA_MAX);
    struct joiner j;
    int rc = batch_new(&j.batch, &a, err);
    for (uint32_t i = 0; i < n && !rc; i++)
        rc = payload_each(str_n(v[i]->payload, v[i]->n), v[i]->base_seq, v[i]->received_at, &a,
                          join_block, &j, err);
    if (!rc)
        rc = batch_encode(j.batch, &out, err);
    if (!rc) {
        uint32_t rows = batch_rows(j.batch);
        size_t bytes;
        char *p = buf_take(&out, &bytes);
        rc = chunk_new(ret, p, bytes, rows, v[0]->base_seq, v[0]->received_at, err);
        if (rc)
            mem_free(p);
    }
    buf_deinit(&out);
    arena_deinit(&a);
    return rc;
}

/* Length of the run of small chunks with adjoining sequence numbers at the start of v. */
static uint32_t run_length(struct chunk *const *v, uint32_t n)
{
    uint32_t k = 0;
    uint64_t rows = 0, bytes = 0;
    for (; k < n && v[k]->rows < SMALL_CHUNK_ROWS; k++) {
        rows += v[k]->rows;
        bytes += v[k]->n;
        if (k && (v[k]->base_seq != v[k - 1]->base_seq + v[k - 1]->rows || rows > BLOCK_ROWS_MAX ||
                  bytes > (8u << 20)))
            break;
    }
    return k;
}

int chunks_join(struct chunk *const *v, uint32_t n, struct chunk ***ret, uint32_t *ret_n,
                struct err *err)
{
    struct chunk **out = mem_array(n ? n : 1, sizeof *out);
    if (!out)
        return err_nomem(err);
    uint32_t k = 0;
    for (uint32_t i = 0; i < n;) {
        uint32_t run = run_length(v + i, n - i);
        if (run < 2) {
            chunk_ref(v[i]);
            out[k++] = v[i++];
            continue;
        }
        int rc = join_run(v + i, run, &out[k], err);
        if (rc) {
            while (k)
                chunk_unref(out[--k]);
            mem_free(out);
            return rc;
        }
        k++;
        i += run;
    }
    *ret = out;
    *ret_n = k;
    return 0;
}
