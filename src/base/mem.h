/* mem.h: the one door to the heap.
 *
 * Everything that may fail by lack of memory asks here and handles NULL. Tests make the n-th
 * request fail (mem_fail_at), once or for ever. Freed with mem_free; NULL is fine.
 * Thread-safe. */
#ifndef FL_BASE_MEM_H
#define FL_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t n);  /* uninitialised; NULL on failure; n = 0 gives a valid pointer */
void *mem_zalloc(size_t n); /* zeroed */
void *mem_array(size_t count, size_t size);  /* uninitialised, product checked for overflow */
void *mem_zarray(size_t count, size_t size); /* zeroed */
void *mem_realloc(void *p, size_t n);        /* p stays valid on failure */
void mem_free(void *p);

/* Test hook: the n-th allocation from now on (1 = the next) fails; with forever every later one
 * does too. n = 0 switches it off. Returns how many allocations were made since the last call. */
uint64_t mem_fail_at(uint64_t n, int forever);

#endif
