/* buf.c: [contents n][zero pad 32][spare], at most max bytes of contents.
 *
 * 1. p is NULL or a heap block of cap + BUF_PAD bytes, cap <= max.
 * 2. When p is not NULL, p[n .. n+BUF_PAD) is zero after every call.
 * 3. Once bad, nothing changes until buf_reset. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_init(struct buf *b, size_t max)
{
    if (max > SIZE_MAX - BUF_PAD)
        max = SIZE_MAX - BUF_PAD;
    *b = (struct buf){ .max = max };
}

void buf_deinit(struct buf *b)
{
    mem_free(b->p);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->bad = BUF_OK;
    b->n = 0;
    buf_advance(b, 0);
}

void buf_truncate(struct buf *b, size_t n)
{
    if (n < b->n) {
        b->n = n;
        buf_advance(b, 0);
    }
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n > b->n)
        n = b->n;
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    buf_advance(b, 0);
}

static bool grow(struct buf *b, size_t need)
{
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 4 ? need : cap + cap / 2 + 64;
    if (cap > b->max)
        cap = b->max;
    char *p = mem_realloc(b->p, cap + BUF_PAD);
    if (!p) {
        b->bad = BUF_NOMEM;
        return false;
    }
    b->p = p;
    b->cap = cap;
    buf_advance(b, 0);
    return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->bad)
        return NULL;
    if (n > b->max - b->n) {
        b->bad = BUF_LIMIT;
        return NULL;
    }
    if ((!b->p || n > b->cap - b->n) && !grow(b, b->n + n))
        return NULL;
    return b->p + b->n;
}

void buf_trim(struct buf *b)
{
    char *p;
    if (!b->p || b->cap - b->n <= b->n / 8)
        return;
    p = mem_realloc(b->p, b->n + BUF_PAD);
    if (p) {
        b->p = p;
        b->cap = b->n;
    }
}

char *buf_take(struct buf *b, size_t *ret_n)
{
    char *p = b->p;
    if (ret_n)
        *ret_n = b->n;
    buf_init(b, b->max);
    return p;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    char *to = buf_reserve(b, n);
    if (to) {
        memcpy(to, p, n);
        buf_advance(b, n);
    }
}

void buf_putc(struct buf *b, char c)
{
    char *to = buf_reserve(b, 1);
    if (to) {
        *to = c;
        buf_advance(b, 1);
    }
}

void buf_puts(struct buf *b, const char *z)
{
    buf_put(b, z, strlen(z));
}

void buf_putstr(struct buf *b, str s)
{
    buf_put(b, s.p, s.n);
}

void buf_fill(struct buf *b, char c, size_t n)
{
    char *to = n ? buf_reserve(b, n) : NULL;
    if (to) {
        memset(to, c, n);
        buf_advance(b, n);
    }
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n >= 0 && (size_t)n < sizeof(small)) {
        buf_put(b, small, (size_t)n);
    } else if (n >= 0) {
        /* vsnprintf writes a NUL after the text: into the pad, where a zero belongs anyway */
        char *to = buf_reserve(b, (size_t)n);
        if (to) {
            vsnprintf(to, (size_t)n + 1, fmt, again);
            buf_advance(b, (size_t)n);
        }
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    char t[20];
    size_t i = sizeof(t);
    do {
        t[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, t + i, sizeof(t) - i);
}

void buf_put_i64(struct buf *b, int64_t v)
{
    char t[21];
    size_t i = sizeof(t);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        t[--i] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        t[--i] = '-';
    buf_put(b, t + i, sizeof(t) - i);
}

void buf_le16(struct buf *b, uint16_t v)
{
    uint8_t t[2] = { (uint8_t)v, (uint8_t)(v >> 8) };
    buf_put(b, t, 2);
}

void buf_le32(struct buf *b, uint32_t v)
{
    uint8_t t[4];
    for (int i = 0; i < 4; i++)
        t[i] = (uint8_t)(v >> (8 * i));
    buf_put(b, t, 4);
}

void buf_le64(struct buf *b, uint64_t v)
{
    uint8_t t[8];
    for (int i = 0; i < 8; i++)
        t[i] = (uint8_t)(v >> (8 * i));
    buf_put(b, t, 8);
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t t[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        t[n++] = (uint8_t)(v | 0x80);
    t[n++] = (uint8_t)v;
    buf_put(b, t, n);
}

void buf_lenstr(struct buf *b, str s)
{
    buf_varint(b, s.n);
    buf_putstr(b, s);
}
