/* page_impl.h: what page.c and page_text.c share. Not for others. */
#ifndef FL_CODEC_PAGE_IMPL_H
#define FL_CODEC_PAGE_IMPL_H

#include "base/bits.h"
#include "base/rd.h"
#include "codec/page.h"

struct page_scratch {
    uint64_t u64[PAGE_ROWS_MAX + 1];
    uint32_t codes[PAGE_ROWS_MAX + 1];
    uint64_t hashes[PAGE_ROWS_MAX + 1];
    str dict[PAGE_ROWS_MAX + 1];
    uint32_t table[1u << 17]; /* code + 1; 0 = free */
    uint32_t ndict;
    struct buf raw;
};

int page_corrupt(struct err *err, const char *what);
/* the row after `row` that has a value (start with UINT32_MAX) */
static inline uint32_t page_next_row(const uint64_t *present, uint32_t row, uint32_t n)
{
    return present ? (uint32_t)bits_next(present, row + 1u, n) : row + 1u;
}

#define PAGE_BYTES_MAX (1u << 30)

/* page_tmpl.c. False: templates do not pay for these values; out is as it was. */
bool page_put_templates(const str *v, uint32_t n, struct page_scratch *s, struct buf *out);
int page_get_templates(struct rd *r, uint32_t n, uint32_t nvals, struct arena *a,
                       struct page_out *ret, struct err *err);
int page_put_text(const struct page_in *in, struct page_scratch *s, struct buf *out,
                  struct page_meta *m);
int page_get_text(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                  struct page_out *ret, struct err *err);

#endif
