/* spill_sort.c: see spill_sort.h. */
#include "query/spill_sort.h"

#include "base/hash.h"
#include "base/mem.h"
#include "query/run.h"
#include "query/spill_area.h"

#define FAN_IN 64
#define FRAME_HEAD 8
#define FRAME_LEAST ((size_t)4 << 10)
#define FRAME_MOST ((size_t)256 << 10)
#define FRAME_MAX ((size_t)1 << 30)
#define CHECK_ROWS 1024
#define SPACE_EVERY ((uint64_t)64 << 20) /* bytes between two looks at the free space */

struct spill_reader {
    struct io_file *file;
    struct spill_file of;
    uint64_t at; /* next frame */
    char *bytes;
    size_t cap;
    struct rd rd;
    struct kept row;
    uint32_t cells_cap;
};

bool spill_due(struct run *r, size_t own)
{
    return r->ctl->spill && !r->whole && own > r->budget / 16 && run_used(r) > r->budget / 8 * 3;
}

int spill_slices(struct run *r, const struct chunk *c, size_t row,
                 int (*fn)(void *arg, const struct chunk *c, struct err *err), void *arg,
                 struct err *err)
{
    uint64_t sel[BLOCK_WORDS];
    size_t most = r->budget / 8 / row, n = c->b->n, i = bits_next(c->sel, 0, n);
    int rc = 0;
    if (!r->ctl->spill || r->whole || c->nsel <= most)
        return fn(arg, c, err);
    while (i < n && !rc) {
        struct chunk piece = { c->b, sel, 0, c->has_ref, c->ref };
        bits_zero(sel, n);
        do {
            bit_set(sel, i);
            i = bits_next(c->sel, i + 1, n);
        } while (++piece.nsel < most && i < n);
        rc = fn(arg, &piece, err);
    }
    return rc;
}

/* a frame of this run; all readers together take a quarter of the budget */
static size_t frame_size(const struct run *r)
{
    size_t n = r->budget / 4 / FAN_IN;
    return n < FRAME_LEAST ? FRAME_LEAST : n > FRAME_MOST ? FRAME_MOST : n;
}

static uint32_t fan_in(const struct run *r)
{
    size_t n = r->budget / 4 / frame_size(r);
    return n < 4 ? 4 : n > FAN_IN ? FAN_IN : (uint32_t)n;
}

void spill_init(struct spill *s, struct run *r, const char *pipe, uint32_t nkeys,
                int (*cmp)(const void *, const struct kept *, const struct kept *), const void *arg)
{
    if (s->on)
        return;
    *s = (struct spill){ .r = r, .pipe = pipe, .nkeys = nkeys, .cmp = cmp, .arg = arg, .on = true };
    buf_init(&s->frame, FRAME_MAX);
}

int spill_key_cmp(const struct val *x, const struct val *y)
{
    int c = val_cmp(x, y);
    return c ? c : (x->t > y->t) - (x->t < y->t);
}

/* ---- rows as bytes ---- */

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

void spill_put_val(struct buf *b, const struct val *v)
{
    buf_putc(b, (char)v->t);
    if (v->t >= V_STR)
        buf_lenstr(b, v->s);
    else if (v->t == V_BOOL)
        buf_putc(b, (char)v->b);
    else if (v->t == V_I64)
        buf_varint(b, zigzag(v->i));
    else if (v->t == V_F64)
        buf_put(b, &v->d, sizeof v->d);
}

struct val spill_get_val(struct rd *rd)
{
    struct val v = { .t = (enum vtype)rd_u8(rd) };
    const uint8_t *p;
    switch (v.t) {
    case V_NULL: break;
    case V_BOOL: v.b = rd_u8(rd) & 1; break;
    case V_I64: v.i = unzigzag(rd_varint(rd)); break;
    case V_F64:
        if ((p = rd_bytes(rd, sizeof v.d)))
            memcpy(&v.d, p, sizeof v.d);
        break;
    case V_STR:
    case V_NUM:
    case V_JSON: v.s = rd_lenstr(rd); break;
    default: rd->bad = true;
    }
    return v;
}

/* ids of a row: they are the server's, or there are none */
static void put_row(struct spill *s, const struct kept *k)
{
    struct buf *b = &s->frame;
    buf_varint(b, zigzag(k->t));
    buf_varint(b, k->seq);
    buf_varint(b, k->order);
    buf_varint(b, k->ref);
    buf_varint(b, k->row);
    buf_putc(b, k->ids != NULL);
    buf_varint(b, k->ncells);
    for (uint32_t i = 0; i < s->nkeys; i++)
        spill_put_val(b, &k->key[i]);
    for (uint32_t i = 0; i < k->ncells; i++) {
        buf_varint(b, k->cells[i].col);
        spill_put_val(b, &k->cells[i].v);
    }
}

static int torn(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "a temporary file of the query is not what was written");
}

static int cells_room(struct spill_reader *rd, uint64_t n, struct err *err)
{
    if (n > rd_left(&rd->rd) / 2) /* a cell has two bytes at least */
        return torn(err);
    if (n <= rd->cells_cap)
        return 0;
    struct kept_cell *cells = mem_realloc(rd->row.cells, (size_t)n * sizeof *cells);
    if (!cells)
        return err_nomem(err);
    rd->row.cells = cells;
    rd->cells_cap = (uint32_t)n;
    return 0;
}

static int get_row(struct spill *s, struct spill_reader *rd, struct err *err)
{
    struct kept *k = &rd->row;
    struct rd *p = &rd->rd;
    k->t = unzigzag(rd_varint(p));
    k->seq = rd_varint(p);
    k->order = rd_varint(p);
    k->ref = (uint32_t)rd_varint(p);
    k->row = (uint32_t)rd_varint(p);
    k->ids = rd_u8(p) ? store_ids(s->r->store) : NULL;
    uint64_t n = rd_varint(p);
    for (uint32_t i = 0; i < s->nkeys; i++)
        k->key[i] = spill_get_val(p);
    int rc = cells_room(rd, n, err);
    if (rc)
        return rc;
    k->ncells = (uint32_t)n;
    for (uint32_t i = 0; i < k->ncells; i++) {
        k->cells[i].col = (uint32_t)rd_varint(p);
        k->cells[i].v = spill_get_val(p);
    }
    return rd_ok(p) ? 0 : torn(err);
}

/* ---- writing ---- */

static int frame_begin(struct spill *s, struct err *err)
{
    buf_reset(&s->frame);
    buf_fill(&s->frame, 0, FRAME_HEAD);
    return buf_ok(&s->frame) ? 0 : err_nomem(err);
}

static int space_check(struct spill *s, size_t more, struct err *err)
{
    struct spill_area *a = s->r->ctl->spill;
    uint64_t free, total, at = s->now.bytes;
    if (s->r->spill_held + more > a->query_max)
        return spill_full(err, "it would need more of the disk than one query may use");
    if (at / SPACE_EVERY == (at + more) / SPACE_EVERY)
        return 0;
    int rc = a->io->ops->free_space(a->io, &free, &total, err);
    if (rc)
        return rc;
    return free < a->reserve + more ? spill_full(err, "the disk has no more room than its reserve")
                                    : 0;
}

static int frame_write(struct spill *s, struct err *err)
{
    struct spill_area *a = s->r->ctl->spill;
    struct buf *b = &s->frame;
    if (!buf_ok(b))
        return b->bad == BUF_LIMIT ? run_nomem(s->r, s->pipe, err) : err_nomem(err);
    if (b->n == FRAME_HEAD)
        return 0;
    put_le32(b->p, (uint32_t)(b->n - FRAME_HEAD));
    put_le32(b->p + 4, crc32c(0, b->p + FRAME_HEAD, b->n - FRAME_HEAD));
    int rc = run_check(s->r, err);
    if (!rc)
        rc = space_check(s, b->n, err);
    if (!rc)
        rc = a->io->ops->pwrite(s->out, b->p, b->n, s->now.bytes, err);
    if (rc == ERR_FULL)
        rc = spill_full(err, "the disk is full");
    if (rc)
        return rc;
    s->now.bytes += b->n;
    s->r->spill_held += b->n;
    s->r->res->spilled_bytes += b->n;
    atomic_fetch_add_explicit(&a->written, b->n, memory_order_relaxed);
    return frame_begin(s, err);
}

static int run_begin(struct spill *s, struct err *err)
{
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 16;
        struct spill_file *files = mem_realloc(s->files, cap * sizeof *files);
        if (!files)
            return err_nomem(err);
        s->files = files;
        s->cap = cap;
    }
    s->now.bytes = 0;
    int rc = spill_file_new(s->r->ctl->spill, &s->now.number, &s->out, err);
    return rc ? rc : frame_begin(s, err);
}

int spill_put(struct spill *s, const struct kept *k, struct err *err)
{
    int rc = s->out ? 0 : run_begin(s, err);
    if (rc)
        return rc;
    put_row(s, k);
    return s->frame.n >= frame_size(s->r) || !buf_ok(&s->frame) ? frame_write(s, err) : 0;
}

int spill_end(struct spill *s, struct err *err)
{
    if (!s->out)
        return 0;
    int rc = frame_write(s, err);
    io_close(s->out);
    s->out = NULL;
    s->files[s->n++] = s->now; /* its room was made before it was begun */
    return rc;
}

/* ---- reading ---- */

static void drop_file(struct spill *s, const struct spill_file *f)
{
    spill_file_drop(s->r->ctl->spill, f->number);
    s->r->spill_held -= f->bytes;
}

static void reader_close(struct spill *s, struct spill_reader *rd)
{
    io_close(rd->file);
    drop_file(s, &rd->of);
    s->r->kept_bytes -= rd->cap;
    mem_free(rd->bytes);
    mem_free(rd->row.cells);
    mem_free(rd->row.key);
    mem_free(rd);
}

static int read_all(struct io_file *f, void *p, size_t n, uint64_t off, struct err *err)
{
    size_t got;
    int rc = f->io->ops->pread(f, p, n, off, &got, err);
    return rc ? rc : got == n ? 0 : torn(err);
}

static int frame_read(struct spill *s, struct spill_reader *rd, struct err *err)
{
    uint8_t head[FRAME_HEAD];
    uint64_t left = rd->of.bytes - rd->at;
    int rc = run_check(s->r, err);
    if (!rc)
        rc = left < FRAME_HEAD ? torn(err) : read_all(rd->file, head, FRAME_HEAD, rd->at, err);
    if (rc)
        return rc;
    size_t n = get_le32(head);
    if (n == 0 || n > left - FRAME_HEAD)
        return torn(err);
    if (n > rd->cap) {
        char *bytes = mem_realloc(rd->bytes, n);
        if (!bytes)
            return err_nomem(err);
        s->r->kept_bytes += n - rd->cap;
        rd->bytes = bytes;
        rd->cap = n;
    }
    rc = read_all(rd->file, rd->bytes, n, rd->at + FRAME_HEAD, err);
    if (!rc && crc32c(0, rd->bytes, n) != get_le32(head + 4))
        rc = torn(err);
    rd->at += FRAME_HEAD + n;
    rd->rd = rd_of(rd->bytes, n);
    return rc ? rc : run_room(s->r, s->pipe, err);
}

/* 0 = a row, 1 = no further one, < 0 */
static int reader_step(struct spill *s, struct spill_reader *rd, struct err *err)
{
    if (rd_left(&rd->rd) == 0) {
        if (rd->at == rd->of.bytes)
            return 1;
        int rc = frame_read(s, rd, err);
        if (rc)
            return rc;
    }
    return get_row(s, rd, err);
}

static bool before(const struct spill *s, uint32_t i, uint32_t k)
{
    int c = s->cmp(s->arg, &s->heap[i]->row, &s->heap[k]->row);
    return c ? c < 0 : s->heap[i]->of.number < s->heap[k]->of.number;
}

static void sift_down(struct spill *s, uint32_t i)
{
    for (uint32_t k; (k = 2 * i + 1) < s->nheap; i = k) {
        if (k + 1 < s->nheap && before(s, k + 1, k))
            k++;
        if (before(s, i, k))
            return;
        struct spill_reader *t = s->heap[i];
        s->heap[i] = s->heap[k];
        s->heap[k] = t;
    }
}

/* takes the first n runs away and begins to read them */
static int merge_begin(struct spill *s, uint32_t n, struct err *err)
{
    int rc = 0;
    s->heap = mem_zarray(n + 1, sizeof(struct spill_reader *));
    if (!s->heap)
        return err_nomem(err);
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct spill_reader *rd = mem_zalloc(sizeof *rd);
        if (!rd || !(rd->row.key = mem_zarray(s->nkeys + 1, sizeof *rd->row.key))) {
            mem_free(rd);
            rc = err_nomem(err);
            break;
        }
        rd->of = s->files[0];
        memmove(s->files, s->files + 1, --s->n * sizeof *s->files);
        s->heap[s->nheap++] = rd;
        rc = spill_file_open(s->r->ctl->spill, rd->of.number, &rd->file, err);
        if (!rc)
            rc = reader_step(s, rd, err);
    }
    for (uint32_t i = s->nheap; i-- > 0 && !rc;)
        sift_down(s, i);
    return rc < 0 ? rc : rc ? torn(err) : 0; /* no run is empty */
}

static void merge_end(struct spill *s)
{
    while (s->nheap)
        reader_close(s, s->heap[--s->nheap]);
    mem_free(s->heap);
    s->heap = NULL;
}

/* the row on top was used */
static int merge_step(struct spill *s, struct err *err)
{
    int rc = reader_step(s, s->heap[0], err);
    if (rc == 1) {
        reader_close(s, s->heap[0]);
        s->heap[0] = s->heap[--s->nheap];
    }
    if (rc >= 0)
        sift_down(s, 0);
    return rc < 0 ? rc : 0;
}

static int merge_some(struct spill *s, struct err *err)
{
    int rc = merge_begin(s, fan_in(s->r), err);
    while (s->nheap && !rc) {
        rc = spill_put(s, &s->heap[0]->row, err);
        if (!rc)
            rc = merge_step(s, err);
    }
    merge_end(s);
    return rc ? rc : spill_end(s, err);
}

int spill_merge(struct spill *s, struct err *err)
{
    int rc = 0;
    while (s->n > fan_in(s->r) && !rc)
        rc = merge_some(s, err);
    buf_deinit(&s->frame);
    s->rows = 0;
    return rc ? rc : merge_begin(s, s->n, err);
}

int spill_next(struct spill *s, const struct kept **ret, struct err *err)
{
    int rc = s->nheap && s->rows ? merge_step(s, err) : 0;
    s->rows++;
    if (!rc && s->rows % CHECK_ROWS == 0)
        rc = run_check(s->r, err);
    if (rc || !s->nheap)
        return rc ? rc : 1;
    *ret = &s->heap[0]->row;
    return 0;
}

void spill_deinit(struct spill *s)
{
    if (!s->on)
        return;
    merge_end(s);
    if (s->out) {
        io_close(s->out);
        drop_file(s, &s->now);
    }
    for (uint32_t i = 0; i < s->n; i++)
        drop_file(s, &s->files[i]);
    buf_deinit(&s->frame);
    mem_free(s->files);
    *s = (struct spill){ 0 };
}

/* ---- handing on ---- */

int spill_push(struct spill *s, struct op *next, uint64_t max, struct err *err)
{
    enum { BATCH = 512 };
    struct kept *rows[BATCH];
    const struct kept *k;
    uint32_t n = 0;
    size_t bytes = 0;
    int rc = spill_merge(s, err), end = 0;
    while (!rc && !end) {
        end = max ? spill_next(s, &k, err) : 1;
        if (!end) {
            max--;
            end = kept_copy(&rows[n], s->r, k, err);
        }
        if (!end)
            bytes += rows[n++]->bytes;
        if (end < 0)
            rc = end;
        if (!rc && n && (end || n == BATCH || bytes > s->r->budget / 8)) {
            rc = kept_push(s->r, next, rows, n, err);
            n = 0;
            bytes = 0;
        }
    }
    while (n)
        kept_free(s->r, rows[--n]);
    return rc;
}
