/* buf.h: a growable byte buffer with the ceiling it was born with.
 *
 * Appending never aborts: past the ceiling or out of memory the buffer turns bad, keeps what it
 * had, and ignores further appends; look once at the end with buf_ok. Contents may move on every
 * append. 32 zero bytes follow the contents always (for word-wise readers), not counted in n.
 * Not thread-safe. */
#ifndef FL_BASE_BUF_H
#define FL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

#define BUF_PAD 32

enum buf_state { BUF_OK = 0, BUF_LIMIT = 1, BUF_NOMEM = 2 };

struct buf {
    char *p; /* NULL until the first append */
    size_t n, cap, max;
    enum buf_state bad;
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b); /* frees; b may be used again after buf_init */
void buf_reset(struct buf *b);  /* empties, keeps the memory, clears bad */
static inline bool buf_ok(const struct buf *b)
{
    return b->bad == BUF_OK;
}
static inline str buf_str(const struct buf *b)
{
    return (str){ b->p, b->n };
}
/* Room for n more bytes at the end, NULL when it cannot be had; commit with buf_advance. */
char *buf_reserve(struct buf *b, size_t n);
/* Call it (n may be 0) after writing into reserved room: it restores the zero pad. */
static inline void buf_advance(struct buf *b, size_t n)
{
    b->n += n;
    if (b->p)
        memset(b->p + b->n, 0, BUF_PAD);
}
void buf_truncate(struct buf *b, size_t n);   /* cuts the contents to n bytes, if longer */
void buf_drop_front(struct buf *b, size_t n); /* removes the first n bytes, moving the rest down */
/* Gives spare room back to the heap when it is more than an eighth, for contents that will be kept
 * long. */
void buf_trim(struct buf *b);
/* Gives the memory to the caller (mem_free); the buffer is empty afterwards. NULL when nothing was
 * ever appended. */
char *buf_take(struct buf *b, size_t *ret_n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *z);
void buf_putstr(struct buf *b, str s);
void buf_fill(struct buf *b, char c, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_put_u64(struct buf *b, uint64_t v); /* decimal */
void buf_put_i64(struct buf *b, int64_t v);  /* decimal */

/* little-endian binary */
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v); /* LEB128, <= 10 bytes */
void buf_lenstr(struct buf *b, str s);      /* varint length, bytes */

#endif
