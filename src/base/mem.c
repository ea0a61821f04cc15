/* mem.c: malloc with a hook that lets tests refuse the n-th request.
 *
 * Counting starts with the first call of mem_fail_at; before that an allocation reads one flag
 * that never changes, so the hook costs production nothing. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static atomic_bool watched;
static atomic_uint_fast64_t made;     /* allocations since the last mem_fail_at */
static atomic_uint_fast64_t fail_nth; /* 0: off */
static atomic_bool fail_forever;

static bool refused(void)
{
    if (__builtin_expect(!atomic_load_explicit(&watched, memory_order_relaxed), 1))
        return false;
    uint64_t nth = atomic_load(&fail_nth);
    uint64_t mine = atomic_fetch_add(&made, 1) + 1;
    return nth && (mine == nth || (mine > nth && atomic_load(&fail_forever)));
}

void *mem_alloc(size_t n)
{
    return refused() ? NULL : malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
    return refused() ? NULL : calloc(1, n ? n : 1);
}

void *mem_array(size_t count, size_t size)
{
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : mem_alloc(n);
}

void *mem_zarray(size_t count, size_t size)
{
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : mem_zalloc(n);
}

void *mem_realloc(void *p, size_t n)
{
    return refused() ? NULL : realloc(p, n ? n : 1);
}

void mem_free(void *p)
{
    free(p);
}

uint64_t mem_fail_at(uint64_t n, int forever)
{
    atomic_store(&fail_nth, 0); /* nothing fails while the rest changes */
    atomic_store(&fail_forever, forever != 0);
    uint64_t before = atomic_exchange(&made, 0);
    atomic_store(&fail_nth, n);
    atomic_store(&watched, true);
    return before;
}
