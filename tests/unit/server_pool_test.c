/* server_pool_test.c: the pool of threads: what is queued is done, and a pool that is freed has
 * left no thread behind. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/internal.h"

#define WORKS 64

static pthread_key_t key;
static unsigned begun, ended, ran;

/* what OpenSSL does in every thread it served: frees something of its own at the thread's end */
static void thread_ends(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++)
        sched_yield();
    __atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
}

static void work(struct pool_work *w)
{
    (void)w;
    if (!pthread_getspecific(key)) {
        __atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
        pthread_setspecific(key, &key);
    }
    __atomic_fetch_add(&ran, 1, __ATOMIC_SEQ_CST);
}

static void test_a_freed_pool_leaves_no_thread(void **state)
{
    struct pool_work w[WORKS];
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(pthread_key_create(&key, thread_ends), 0);
    for (unsigned round = 1; round <= 20; round++) {
        struct pool *p;
        assert_int_equal(pool_new(&p, "test", 4, WORKS, 0, &err), 0);
        for (int i = 0; i < WORKS; i++) {
            w[i] = (struct pool_work){ .run = work };
            assert_true(pool_submit(p, &w[i]));
        }
        pool_free(p);
        assert_int_equal(ran, round * WORKS);
        assert_int_equal(ended, begun);
    }
    pthread_key_delete(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_a_freed_pool_leaves_no_thread) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
