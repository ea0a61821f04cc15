/* arena.c: a list of chunks, newest first; the free room is the rest of the newest.
 *
 * head -> [prev|size| taken ... cur ... end] -> [prev|size| full ] -> NULL
 *
 * 1. used is the sum of the chunks' sizes, headers included, and never passes max.
 * 2. Chunks double from 4 KiB to 1 MiB; a larger request gets a chunk of its own size.
 * 3. What the arena owns besides (arena_own) is released before the chunks its list lies in. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK_MIN ((size_t)4096)
#define CHUNK_MAX ((size_t)1 << 20)

struct arena_chunk {
    struct arena_chunk *prev;
    size_t size; /* of the whole block */
};
_Static_assert(sizeof(struct arena_chunk) % 16 == 0, "allocations stay 16-byte aligned");

struct arena_owned {
    struct arena_owned *prev;
    void (*release)(void *what);
    void *what;
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){ .max = max };
}

bool arena_own(struct arena *a, void (*release)(void *what), void *what)
{
    struct arena_owned *o = arena_alloc(a, sizeof *o);
    if (!o)
        return false;
    *o = (struct arena_owned){ .prev = a->owned, .release = release, .what = what };
    a->owned = o;
    return true;
}

static void release_owned(struct arena *a)
{
    for (struct arena_owned *o = a->owned; o; o = o->prev)
        o->release(o->what);
    a->owned = NULL;
}

void arena_deinit(struct arena *a)
{
    release_owned(a);
    for (struct arena_chunk *c = a->head, *prev; c; c = prev) {
        prev = c->prev;
        mem_free(c);
    }
    arena_init(a, a->max);
}

void arena_reset(struct arena *a)
{
    if (!a->head)
        return;
    release_owned(a);
    for (struct arena_chunk *c = a->head->prev, *prev; c; c = prev) {
        prev = c->prev;
        mem_free(c);
    }
    a->head->prev = NULL;
    a->used = a->head->size;
    a->cur = (char *)(a->head + 1);
}

void *arena_alloc_slow(struct arena *a, size_t n)
{
    if (n > a->max)
        return NULL;
    size_t body = (n + 15) & ~(size_t)15;
    if (body < n || body > SIZE_MAX - sizeof(struct arena_chunk))
        return NULL;
    size_t need = body + sizeof(struct arena_chunk);
    size_t size = a->head ? a->head->size * 2 : CHUNK_MIN;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    size_t room = a->max - a->used;
    if (size > room)
        size = room & ~(size_t)15;
    if (size < need)
        size = need;
    if (size > room)
        return NULL;

    struct arena_chunk *c = mem_alloc(size);
    if (!c)
        return NULL;
    *c = (struct arena_chunk){ .prev = a->head, .size = size };
    a->head = c;
    a->used += size;
    a->cur = (char *)(c + 1) + body;
    a->end = (char *)c + size;
    return c + 1;
}

bool arena_reserve(struct arena *a, size_t n)
{
    if (a->cur && (size_t)(a->end - a->cur) >= n)
        return true;
    char *p = arena_alloc_slow(a, n);
    if (p)
        a->cur = p;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : arena_alloc(a, n);
}

void *arena_grow(struct arena *a, void *old, size_t old_n, size_t new_n, size_t size)
{
    size_t want;
    if (__builtin_mul_overflow(new_n, size, &want))
        return NULL;
    if (!old)
        return arena_alloc(a, want);
    size_t had = (old_n * size + 15) & ~(size_t)15;
    if (want <= had)
        return old;
    /* the newest allocation can be stretched where it stands */
    if ((char *)old + had == a->cur && want - had <= (size_t)(a->end - a->cur)) {
        size_t more = (want - had + 15) & ~(size_t)15;
        if (more <= (size_t)(a->end - a->cur)) {
            a->cur += more;
            return old;
        }
    }
    void *p = arena_alloc(a, want);
    if (p)
        memcpy(p, old, old_n * size);
    return p;
}

char *arena_strz(struct arena *a, str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

str arena_dup(struct arena *a, str s)
{
    char *p = arena_strz(a, s);
    return p ? (str){ p, s.n } : STR_NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    if ((size_t)n < sizeof(small))
        return arena_strz(a, str_n(small, (size_t)n));
    char *p = arena_alloc(a, (size_t)n + 1);
    if (p) {
        va_start(ap, fmt);
        vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}
