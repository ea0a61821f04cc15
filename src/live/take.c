/* take.c: the reader's side of a subscription: queue and history.
 *
 * A slice of history is the HISTORY_SLICE matching entries of lowest seq behind the cursor, or
 * fewer when they are big. SCAN_SEQ gives blocks by rising lowest seq, but the rows of a block come
 * in any order and blocks may overlap; so a slice is collected in a heap that keeps the lowest:
 * what the heap refuses or gives up lowers `cut`, and the first block that lies wholly at or behind
 * `cut` ends the slice. In the usual case (rows in seq order) nothing is ever given up. A slice
 * that is paused ends before the block that it did not come to. */
#include "live/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

#define HISTORY_SLICE 1000
#define HISTORY_BYTES ((size_t)1 << 20)
#define STEPS_MAX 4 /* slices without a match in one call */

struct slice {
    struct live_entry *heap; /* highest seq first */
    uint32_t n;
    size_t bytes;
    uint64_t cut; /* entries with seq >= cut are for the next slice */
};

static void sift_up(struct live_entry *h, uint32_t i)
{
    for (; i > 0 && h[(i - 1) / 2].seq < h[i].seq; i = (i - 1) / 2) {
        struct live_entry t = h[i];
        h[i] = h[(i - 1) / 2];
        h[(i - 1) / 2] = t;
    }
}

static void sift_down(struct live_entry *h, uint32_t n)
{
    for (uint32_t i = 0, k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && h[k + 1].seq > h[k].seq)
            k++;
        if (h[i].seq >= h[k].seq)
            return;
        struct live_entry t = h[i];
        h[i] = h[k];
        h[k] = t;
    }
}

static void slice_pop(struct slice *sl)
{
    struct live_entry top = sl->heap[0];
    sl->cut = top.seq;
    sl->bytes -= top.text->n;
    live_text_unref(top.text);
    sl->heap[0] = sl->heap[--sl->n];
    sift_down(sl->heap, sl->n);
}

static bool slice_full(const struct slice *sl)
{
    return sl->n >= HISTORY_SLICE || sl->bytes >= HISTORY_BYTES;
}

static int slice_row(struct slice *sl, struct live_sub *s, struct block *b, uint32_t row,
                     struct buf *tmp, struct err *err)
{
    struct val v;
    int rc = block_get_field(b, row, F_SEQ, &v, err);
    if (rc < 0)
        return rc;
    uint64_t seq = (uint64_t)v.i;
    if (seq >= sl->cut)
        return 0;
    if (slice_full(sl) && seq > sl->heap[0].seq) {
        sl->cut = seq;
        return 0;
    }
    buf_reset(tmp);
    rc = s->o.view(tmp, b, row, err);
    if (rc < 0)
        return rc;
    struct live_text *t = buf_ok(tmp) ? live_text_new(buf_str(tmp)) : NULL;
    if (!t)
        return err_nomem(err);
    sl->heap[sl->n] = (struct live_entry){ seq, t, 0 };
    sift_up(sl->heap, sl->n++);
    sl->bytes += t->n;
    while (sl->n > HISTORY_SLICE || (sl->n > 1 && sl->bytes - sl->heap[0].text->n >= HISTORY_BYTES))
        slice_pop(sl);
    return 0;
}

static int by_seq(const void *a, const void *b)
{
    const struct live_entry *x = a, *y = b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* what is at or behind `seq` is for the next slice */
static void slice_cut(struct slice *sl, uint64_t seq)
{
    while (sl->n && sl->heap[0].seq >= seq)
        slice_pop(sl);
    if (sl->cut > seq)
        sl->cut = seq;
}

static int slice_scan(struct slice *sl, struct live_sub *s, struct scan *sc, struct err *err)
{
    struct scan_block sb;
    struct buf tmp;
    int rc;
    buf_init(&tmp, SIZE_MAX / 2);
    while ((rc = scan_next(sc, &sb, err)) == 0) {
        if (sb.block->seq_min >= sl->cut)
            break;
        uint32_t n = sb.block->n;
        for (size_t r = bits_next(sb.sel, 0, n); r < n && rc == 0; r = bits_next(sb.sel, r + 1, n))
            rc = slice_row(sl, s, sb.block, (uint32_t)r, &tmp, err);
        if (rc < 0)
            break;
    }
    buf_deinit(&tmp);
    if (rc == ERR_CANCELED && !s->cancel) { /* paused */
        err_reset(err);
        slice_cut(sl, scan_reached(sc));
        return 0;
    }
    return rc < 0 ? rc : 0;
}

/* Reads the next slice behind `cursor` into s->hist. *ret_upto: history is read up to here.
 * *ret_end: that is everything the scan could see. */
static int read_slice(struct live_sub *s, uint64_t cursor, uint64_t *ret_upto, bool *ret_end,
                      struct err *err)
{
    if (!s->hist) {
        s->hist = mem_array(HISTORY_SLICE + 1, sizeof *s->hist);
        if (!s->hist)
            return err_nomem(err);
    }
    struct slice sl = { .heap = s->hist, .cut = UINT64_MAX };
    struct scan_plan plan = { .filter = s->o.filter,
                              .order = SCAN_SEQ,
                              .seq_after = cursor,
                              .marks = true,
                              .cancel = &s->cancel,
                              .pause = &s->pause };
    struct scan *sc;
    int rc = store_scan(s->o.store, &plan, &sc, err);
    if (rc < 0)
        return rc;
    uint64_t watermark = scan_watermark(sc);
    rc = slice_scan(&sl, s, sc, err);
    scan_close(sc);
    if (rc < 0) {
        for (uint32_t i = 0; i < sl.n; i++)
            live_text_unref(sl.heap[i].text);
        return rc;
    }
    qsort(sl.heap, sl.n, sizeof *sl.heap, by_seq);
    s->nhist = sl.n;
    s->hist_at = 0;
    *ret_end = sl.cut == UINT64_MAX;
    *ret_upto = *ret_end ? (watermark > cursor ? watermark : cursor) : sl.cut - 1;
    return 0;
}

static void trim(struct live_sub *s)
{
    while (s->n && s->q[s->head].seq <= s->floor) {
        struct live_entry e = s->q[s->head];
        s->head = (s->head + 1) & (s->cap - 1);
        s->n--;
        s->bytes -= e.text->n + LIVE_ITEM_COST;
        live_text_unref(e.text);
    }
}

/* goes on in history by one slice */
static int history_step(struct live_sub *s, struct err *err)
{
    uint64_t cursor, upto = 0;
    bool end = false;
    pthread_mutex_lock(&s->lock);
    enum sub_mode before = s->mode;
    cursor = s->cursor;
    pthread_mutex_unlock(&s->lock);
    int rc = read_slice(s, cursor, &upto, &end, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&s->lock);
    s->cursor = upto;
    if (end && before == SUB_SCAN) {
        s->mode = SUB_LAST; /* from here on the matcher queues; one more look at the store */
    } else if (end && s->mode == SUB_LAST) {
        s->mode = SUB_LIVE;
        s->floor = upto;
        if (s->seen < upto)
            s->seen = upto;
        trim(s);
    }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static void give_back(struct live_sub *s)
{
    for (uint32_t i = 0; i < s->ntaken; i++)
        live_text_unref(s->taken[i].text);
    s->ntaken = 0;
}

static int give(struct live_sub *s, struct live_item *items)
{
    for (uint32_t i = 0; i < s->ntaken; i++) {
        struct live_entry *e = &s->taken[i];
        items[i] = (struct live_item){ e->seq, str_n(e->text->p, e->text->n), e->dropped };
        s->pos = e->seq;
    }
    return (int)s->ntaken;
}

static bool make_room(struct live_sub *s, uint32_t max)
{
    if (s->cap_taken >= max)
        return true;
    struct live_entry *t = mem_array(max, sizeof *t);
    if (!t)
        return false;
    mem_free(s->taken);
    s->taken = t;
    s->cap_taken = max;
    return true;
}

static void take_history(struct live_sub *s, uint32_t max)
{
    while (s->ntaken < max && s->hist_at < s->nhist)
        s->taken[s->ntaken++] = s->hist[s->hist_at++];
}

static void take_queue(struct live_sub *s, uint32_t max)
{
    pthread_mutex_lock(&s->lock);
    while (s->mode != SUB_LAST && s->ntaken < max && s->n) {
        struct live_entry e = s->q[s->head];
        s->head = (s->head + 1) & (s->cap - 1);
        s->n--;
        s->bytes -= e.text->n + LIVE_ITEM_COST;
        s->taken[s->ntaken++] = e;
    }
    pthread_mutex_unlock(&s->lock);
}

int live_take(struct live_sub *s, struct live_item *items, uint32_t max, struct err *err)
{
    give_back(s);
    if (!make_room(s, max))
        return err_nomem(err);
    for (int step = 0; step < STEPS_MAX; step++) {
        if (s->hist_at == s->nhist) {
            take_queue(s, max);
            if (s->ntaken || !live_needs_history(s))
                break;
            int rc = history_step(s, err);
            if (rc < 0)
                return rc;
        }
        take_history(s, max);
        if (s->ntaken || s->pause)
            break;
    }
    return give(s, items);
}

bool live_needs_history(struct live_sub *s)
{
    if (s->hist_at < s->nhist)
        return false;
    pthread_mutex_lock(&s->lock);
    bool yes = s->mode == SUB_LAST || (s->mode == SUB_SCAN && s->n == 0);
    pthread_mutex_unlock(&s->lock);
    return yes;
}

uint64_t live_position(struct live_sub *s)
{
    if (s->hist_at < s->nhist)
        return s->pos;
    pthread_mutex_lock(&s->lock);
    uint64_t at = s->mode == SUB_LAST   ? s->cursor
                  : s->n                ? s->pos
                  : s->mode == SUB_SCAN ? s->cursor
                                        : s->seen;
    pthread_mutex_unlock(&s->lock);
    return at;
}

uint64_t live_dropped(struct live_sub *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->lost;
    s->lost = 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* store.h has scans poll a volatile int, which a race detector cannot tell from a mistake */
__attribute__((noinline, no_sanitize("thread"))) static void raise_flag(volatile int *flag)
{
    *flag = 1;
}

void live_cancel(struct live_sub *s)
{
    raise_flag(&s->cancel);
}

void live_pause(struct live_sub *s)
{
    raise_flag(&s->pause);
}
