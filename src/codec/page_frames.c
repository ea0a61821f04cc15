/* page_frames.c: pages of large texts, packed in frames of which a reader unpacks those it needs.
 *
 *   page   = bytes of the head:u32  packed:u32  how:u8  { packed:u32 } a frame  head  frames
 *   how    = shift, and FRAMES_ALONE
 *   head   = presence, stream(nvals) of lengths
 *   frame  = 2^shift bytes of the texts one behind the other; the last one what is left
 *
 * The head and frames are zstd when packed is less than their bytes. Unless frames stand alone,
 * those after the first are packed with the text of the first as prefix (ZSTD_CCtx_refPrefix: a
 * dictionary of raw content): smaller by a fifteenth, but packing is a third slower, and who reads
 * any of them needs the first, once. Head and texts together are the page as PE_TEXT. */
#include "codec/page_impl.h"

#include "codec/zip.h"

#define FRAMES_HEADER 9
#define SHIFT_MIN 12
#define SHIFT_MAX 24
#define TEXT_PAD PAGE_TEXT_PAD

/* ---- writing ---- */

static uint32_t frames_of(uint32_t text_n, unsigned shift)
{
    return (uint32_t)(((uint64_t)text_n + (1u << shift) - 1) >> shift);
}

/* Appends in, packed when that pays; returns the bytes it takes. */
static uint32_t put_piece(str before, str in, int level, struct buf *out)
{
    size_t packed = zstd_pack_after(before, in, level, out);
    if (!packed)
        buf_putstr(out, in);
    return (uint32_t)(packed ? packed : in.n);
}

void page_put_frames(str raw, size_t head_n, unsigned how, int level, struct buf *out)
{
    unsigned shift = how & ~FRAMES_ALONE;
    str head = str_sub(raw, 0, head_n), text = str_skip(raw, head_n), first = STR_NULL;
    uint32_t nframes = frames_of((uint32_t)text.n, shift);
    size_t at = out->n, table = FRAMES_HEADER + (size_t)nframes * 4;
    if (!buf_reserve(out, table))
        return;
    buf_advance(out, table);
    uint32_t n = put_piece(STR_NULL, head, level, out);
    if (!buf_ok(out))
        return;
    put_le32(out->p + at, (uint32_t)head_n);
    put_le32(out->p + at + 4, n);
    out->p[at + 8] = (char)how;
    for (uint32_t i = 0; i < nframes; i++) {
        str frame = str_skip(text, (size_t)i << shift);
        frame.n = frame.n < (size_t)1 << shift ? frame.n : (size_t)1 << shift;
        n = put_piece(first, frame, level, out);
        if (!buf_ok(out))
            return;
        put_le32(out->p + at + FRAMES_HEADER + (size_t)i * 4, n);
        if (i == 0 && how == shift)
            first = frame;
    }
}

/* ---- reading ---- */

/* Bytes of frame i. */
static uint32_t frame_bytes(const struct page_frames *pf, uint32_t i)
{
    uint32_t left = pf->text_n - (i << pf->shift);
    return left < 1u << pf->shift ? left : 1u << pf->shift;
}

/* The head: presence and offsets. */
static int get_head(struct page_frames *pf, str packed, uint32_t head_n, uint32_t nvals,
                    struct arena *a, struct arena *tmp, struct err *err)
{
    if (packed.n < head_n) {
        char *head = arena_alloc(tmp, (size_t)head_n + 8);
        int rc = head ? zstd_unpack(packed, head, head_n, err) : err_nomem(err);
        if (rc)
            return rc;
        packed = str_n(head, head_n);
    }
    struct rd r = rd_of(packed.p, packed.n);
    int64_t *len = arena_array(tmp, nvals, sizeof *len);
    struct texts t = { .off = arena_array(a, (size_t)nvals + 1, sizeof *t.off) };
    if (!len || !t.off)
        return err_nomem(err);
    int rc = page_get_presence(&r, pf->n, nvals, a, &pf->out.present, err);
    if (!rc)
        rc = ints_get(&r, nvals, len, tmp, err);
    if (!rc)
        rc = texts_from_lengths(len, nvals, pf->text_n, t.off, err);
    if (!rc && (!rd_ok(&r) || rd_left(&r) || t.off[nvals] != pf->text_n))
        rc = page_corrupt(err, "text lengths");
    if (!rc)
        rc = texts_spread(&t, nvals, pf->out.present, pf->n, a, err);
    pf->out.off = t.off;
    return rc;
}

/* The table of frames; r is left at the head. */
static int get_table(struct page_frames *pf, struct rd *r, uint32_t head_packed, size_t room,
                     struct arena *a, struct err *err)
{
    pf->nframes = frames_of(pf->text_n, pf->shift);
    const uint8_t *table = rd_bytes(r, (size_t)pf->nframes * 4);
    if (!table || head_packed > rd_left(r))
        return page_corrupt(err, "frames");
    uint32_t *at = arena_array(a, (size_t)pf->nframes + 1, sizeof *at);
    pf->wanted = arena_zalloc(a, (BITS_WORDS(pf->nframes) + 1) * 8);
    pf->done = arena_zalloc(a, (BITS_WORDS(pf->nframes) + 1) * 8);
    pf->text = arena_alloc(a, (size_t)pf->text_n + TEXT_PAD + room);
    if (!at || !pf->wanted || !pf->done || !pf->text)
        return err_nomem(err);
    size_t left = rd_left(r) - head_packed, sum = 0;
    for (uint32_t i = 0; i < pf->nframes; i++) {
        uint32_t n = get_le32(table + (size_t)i * 4);
        at[i] = (uint32_t)sum;
        if (n > frame_bytes(pf, i) || n > left - sum)
            return page_corrupt(err, "frames");
        sum += n;
    }
    at[pf->nframes] = (uint32_t)sum;
    pf->at = at;
    pf->out.bytes = pf->text;
    memset(pf->text, 0, TEXT_PAD);
    return sum == left ? 0 : page_corrupt(err, "length");
}

int page_frames_open(str page, uint32_t raw_n, uint32_t n, uint32_t nvals, size_t room,
                     struct arena *a, struct page_frames *ret, struct err *err)
{
    struct rd r = rd_of(page.p, page.n);
    uint32_t head_n = rd_le32(&r), head_packed = rd_le32(&r);
    uint8_t how = rd_u8(&r);
    *ret = (struct page_frames){
        .n = n, .shift = how & ~FRAMES_ALONE, .alone = how & FRAMES_ALONE, .text_n = raw_n - head_n
    };
    if (n == 0 || n > PAGE_ROWS_MAX || nvals == 0 || nvals > n || !rd_ok(&r) || head_n > raw_n ||
        raw_n > PAGE_BYTES_MAX || head_packed > head_n || ret->shift < SHIFT_MIN ||
        ret->shift > SHIFT_MAX)
        return page_corrupt(err, "size");
    int rc = get_table(ret, &r, head_packed, room, a, err);
    if (rc)
        return rc;
    struct arena tmp;
    arena_init(&tmp, DECODE_MAX);
    str head = str_n((const char *)rd_bytes(&r, head_packed), head_packed);
    ret->packed = head.p + head_packed;
    rc = get_head(ret, head, head_n, nvals, a, &tmp, err);
    arena_deinit(&tmp);
    return rc;
}

static int unpack_frame(struct page_frames *pf, uint32_t i, struct err *err)
{
    uint32_t from = i << pf->shift, n = frame_bytes(pf, i);
    str in = str_n(pf->packed + pf->at[i], pf->at[i + 1] - pf->at[i]);
    str first = str_n(pf->text, i && !pf->alone ? 1u << pf->shift : 0);
    int rc = 0;
    if (in.n == n)
        memcpy(pf->text + from, in.p, n);
    else
        rc = zstd_unpack_after(first, in, pf->text + from, n, err);
    if (rc)
        return rc;
    bit_set(pf->done, i);
    pf->unpacked += n;
    if (i + 1 == pf->nframes)
        memset(pf->text + pf->text_n, 0, TEXT_PAD);
    else if (!bit_get(pf->done, i + 1)) /* readers of text look past its end */
        memset(pf->text + from + n, 0,
               frame_bytes(pf, i + 1) < TEXT_PAD ? frame_bytes(pf, i + 1) : TEXT_PAD);
    return 0;
}

/* Marks the frames that the rows of sel lie in. */
static void mark_rows(struct page_frames *pf, const uint64_t *sel)
{
    const uint32_t *off = pf->out.off;
    for (size_t r = bits_next(sel, 0, pf->n); r < pf->n; r = bits_next(sel, r + 1, pf->n)) {
        if (off[r] == off[r + 1])
            continue;
        uint32_t last = (off[r + 1] - 1) >> pf->shift;
        for (uint32_t i = off[r] >> pf->shift; i <= last; i++)
            bit_set(pf->wanted, i);
    }
}

int page_frames_need(struct page_frames *pf, const uint64_t *sel, struct err *err)
{
    int rc = 0;
    if (sel)
        mark_rows(pf, sel);
    else
        bits_fill(pf->wanted, pf->nframes);
    for (size_t i = bits_next(pf->wanted, 0, pf->nframes); i < pf->nframes && !rc;
         i = bits_next(pf->wanted, i + 1, pf->nframes)) {
        if (i && !pf->alone && !bit_get(pf->done, 0))
            rc = unpack_frame(pf, 0, err);
        if (!rc && !bit_get(pf->done, i))
            rc = unpack_frame(pf, (uint32_t)i, err);
    }
    return rc;
}
