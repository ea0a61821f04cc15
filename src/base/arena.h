/* arena.h: memory with one lifetime (a request, a query, a batch) and a byte ceiling.
 *
 * Allocations are 16-byte aligned, never freed singly; NULL past the ceiling or out of memory.
 * Not thread-safe: one arena belongs to one thread at a time. */
#ifndef FL_BASE_ARENA_H
#define FL_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena_chunk;
struct arena_owned;

struct arena {
    struct arena_chunk *head;
    char *cur, *end;  /* free room of the head chunk */
    size_t used, max; /* bytes taken from the heap, and the ceiling */
    struct arena_owned *owned;
};

void arena_init(struct arena *a, size_t max);
void arena_deinit(struct arena *a); /* frees everything; a is as after arena_init */
void arena_reset(struct arena *a);  /* frees all but one chunk */
/* Room for n more bytes in one piece, without a further request; false: not to be had. What
 * arena_reset keeps is then that piece. */
bool arena_reserve(struct arena *a, size_t n);
/* Hands over what is not the arena's own memory: release(what) is called, newest first, when the
 * arena is reset or ends. False: no memory, and `what` is still the caller's. */
bool arena_own(struct arena *a, void (*release)(void *what), void *what);
void *arena_alloc_slow(struct arena *a, size_t n);
static inline void *arena_alloc(struct arena *a, size_t n)
{
    size_t m = (n + 15) & ~(size_t)15; /* wraps to less than n near SIZE_MAX */
    if (a->cur && m >= n && (size_t)(a->end - a->cur) >= m) {
        void *p = a->cur;
        a->cur += m;
        return p;
    }
    return arena_alloc_slow(a, n);
}
void *arena_zalloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size); /* overflow-checked, uninitialised */
/* Grows an array made by this arena (old may be NULL); copies old_n items. */
void *arena_grow(struct arena *a, void *old, size_t old_n, size_t new_n, size_t size);
/* copies; .p is NULL on failure (also for a non-empty s only). NUL-terminated for convenience. */
str arena_dup(struct arena *a, str s);
char *arena_strz(struct arena *a, str s); /* NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
