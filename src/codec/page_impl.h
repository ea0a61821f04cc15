/* page_impl.h: what the page_*.c share. Not for others. */
#ifndef FL_CODEC_PAGE_IMPL_H
#define FL_CODEC_PAGE_IMPL_H

#include "base/bits.h"
#include "base/rd.h"
#include "codec/page.h"

/* integers a value that a page takes from the pool at most: 16 columns and the codes of 4, and what
 * ints_put has at work for the stream and those inside it */
#define PAGE_POOL 44
/* how many of n texts may not fit what the others have in common */
#define PAGE_EXCEPTIONS(n) ((n) / 16)

struct page_scratch {
    /* the texts of the page: distinct values, their hashes, and the code of each value */
    uint32_t ndict;
    str dict[PAGE_ROWS_MAX + 1];
    uint64_t hashes[PAGE_ROWS_MAX + 1];
    int64_t codes[PAGE_ROWS_MAX + 1];
    uint32_t table[1u << 17];        /* hash table of the moment: code + 1; 0 = free */
    int64_t ints[PAGE_ROWS_MAX + 1]; /* a stream being made */
    str fit[PAGE_ROWS_MAX + 1];      /* texts of a list that are like the others */
    int64_t pos[PAGE_ROWS_MAX + 1];  /* where those are that are not */
    uint32_t cursor[PAGE_ROWS_MAX + 1];
    int64_t *pool;
    size_t pool_used, pool_n;
    struct buf raw;
};

/* Room in the pool for a page of n values; false: no memory. */
bool page_fit_pool(struct page_scratch *s, uint32_t n);
#define PAGE_BYTES_MAX (1u << 30)
#define DECODE_MAX ((size_t)64 << 20) /* working memory of a page that is read */

int page_corrupt(struct err *err, const char *what);

/* ---- page_int.c: streams of n > 0 integers that say how they are coded ---- */
void ints_put(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n);
/* into v[0..n) */
int ints_get(struct rd *r, uint32_t n, int64_t *v, struct arena *a, struct err *err);
/* n integers from the scratch; given back by setting pool_used to what it was */
int64_t *ints_take(struct page_scratch *s, size_t n);
/* whether, by a sample, so many of them repeat that a dictionary may pay */
bool ints_repeat(const int64_t *v, uint32_t n);
/* Numbers the distinct of n values by first appearance: values[code]. Returns how many there are; 0
 * when there are more than max. Uses s->table. */
uint32_t ints_codes(struct page_scratch *s, const int64_t *v, uint32_t n, uint32_t max,
                    int64_t *values, int64_t *codes);

/* ---- pages of a class: the writers return the encoding; the readers fill n values, dense ---- */
uint8_t page_put_ints(struct page_scratch *s, struct buf *out, const int64_t *v, uint32_t n);
int page_get_ints(struct rd *r, uint8_t encoding, uint32_t n, int64_t *v, struct arena *a,
                  struct err *err);
uint8_t page_put_doubles(struct page_scratch *s, struct buf *out, const double *v, uint32_t n);
int page_get_doubles(struct rd *r, uint8_t encoding, uint32_t n, double *v, struct arena *a,
                     struct err *err);
void page_put_text(const struct page_in *in, struct page_scratch *s, struct buf *out,
                   struct page_meta *m);
/* Packs a PE_TEXT page, raw, whose text begins at head_n, in frames of 2^shift bytes; how: shift,
 * and FRAMES_ALONE when each is to be unpacked without the first. */
#define FRAMES_ALONE 0x80u
#define FRAMES_FAST (18 | FRAMES_ALONE) /* at zstd levels that look at little more than this */
#define FRAMES_SMALL 19                 /* at level 3 and above, which lose more by each frame */
void page_put_frames(str raw, size_t head_n, unsigned how, int level, struct buf *out);
int page_get_presence(struct rd *r, uint32_t n, uint32_t nvals, struct arena *a,
                      const uint64_t **ret, struct err *err);
/* row-aligned; tmp: what is not needed once the page is read */
int page_get_text(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                  struct arena *tmp, struct page_out *ret, struct err *err);

/* ---- lists of texts ---- */
void page_put_plain(struct page_scratch *s, struct buf *out, const str *v, uint32_t n);
/* id: one of PE_TEXT and after, or PE_PLAIN for the lists of version 1 */
struct texts {
    uint32_t *off; /* n + 1 */
    const char *bytes;
};
/* offsets of n texts as those of `slots` rows */
int texts_spread(struct texts *t, uint32_t n, const uint64_t *present, uint32_t slots,
                 struct arena *a, struct err *err);
int list_get(struct rd *r, uint8_t id, uint32_t n, struct arena *a, struct arena *tmp,
             struct texts *ret, struct err *err);
/* the texts as a list, not as templates; returns its id */
uint8_t list_put(struct page_scratch *s, struct buf *out, const str *v, uint32_t n);
int list_get_v1(struct rd *r, uint32_t n, struct arena *a, struct texts *ret, struct err *err);
/* off[0..n] from n lengths whose sum must not pass max (< 4 GiB) */
int texts_from_lengths(const int64_t *len, uint32_t n, uint64_t max, uint32_t *off,
                       struct err *err);

/* Texts that are not like the others of their list: [ stream of positions ] [ stream of lengths,
 * bytes ], after how many there are. */
struct exceptions {
    uint32_t n;
    const int64_t *pos; /* ascending, below the length of the list */
    uint32_t *off;
    const char *text;
    uint64_t bytes;
};
/* those of v at s->pos[0..nexc) */
void page_put_exceptions(struct page_scratch *s, struct buf *out, const str *v, uint32_t nexc);
int page_get_exceptions(struct rd *r, uint32_t n, struct arena *tmp, struct exceptions *ret,
                        struct err *err);
static inline char *page_put_exception(char *p, const struct exceptions *x, uint32_t e)
{
    uint32_t n = x->off[e + 1] - x->off[e];
    memcpy(p, x->text + x->off[e], n);
    return p + n;
}

/* ---- lists by what their texts have in common: false, and nothing written, when they do not ----
 */
bool page_put_parts(struct page_scratch *s, struct buf *out, const str *v, uint32_t n);
int page_get_parts(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp, struct texts *ret,
                   struct err *err);
bool page_put_times(struct page_scratch *s, struct buf *out, const str *v, uint32_t n);
int page_get_times(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp, struct texts *ret,
                   struct err *err);
bool page_put_templates(struct page_scratch *s, struct buf *out, const str *v, uint32_t n);
int page_get_templates(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp,
                       struct texts *ret, struct err *err);
bool page_put_numbers(struct page_scratch *s, struct buf *out, const str *v, uint32_t n);
int page_get_numbers(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp,
                     struct texts *ret, struct err *err);

/* Moves k dense values of `size` (4 or 8) bytes, at the front of v, to the rows that have one; the
 * others become zero. */
void page_spread(void *v, size_t size, uint32_t n, uint32_t k, const uint64_t *present);

/* the row after `row` that has a value (start with UINT32_MAX) */
static inline uint32_t page_next_row(const uint64_t *present, uint32_t row, uint32_t n)
{
    return present ? (uint32_t)bits_next(present, row + 1u, n) : row + 1u;
}

#endif
