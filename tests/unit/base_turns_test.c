/* base_turns_test.c: threads that take turns: every piece is done once, a slot is one thread at a
 * time, and a short job beside a long one is not made to wait for its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/turns.h"

#define THREADS 4

struct counted {
    struct turn_job job;
    uint32_t pieces;
    _Atomic uint32_t next, done;
    uint64_t by_slot[THREADS]; /* plain: a slot is never used by two threads at a time */
};

static bool step(struct turn_job *j, uint32_t slot)
{
    struct counted *c = (struct counted *)(void *)j;
    uint32_t mine = atomic_fetch_add(&c->next, 1);
    if (mine >= c->pieces)
        return false;
    c->by_slot[slot]++;
    atomic_fetch_add(&c->done, 1);
    return true;
}

static struct turns *threads(uint32_t n)
{
    struct turns *t;
    struct err err = ERR_INIT;
    assert_int_equal(turns_new(&t, n, 0, &err), 0);
    return t;
}

static void test_every_piece_once(void **state)
{
    (void)state;
    struct turns *t = threads(THREADS);
    assert_int_equal(turns_threads(t), THREADS);
    for (uint32_t n = 0; n < 200; n++) {
        struct counted c = { .job.step = step, .pieces = n };
        assert_true(turns_run(t, &c.job));
        uint64_t sum = 0;
        for (int i = 0; i < THREADS; i++)
            sum += c.by_slot[i];
        assert_int_equal(sum, n);
    }
    turns_free(t);
}

static void *caller(void *arg)
{
    struct turns *t = arg;
    for (uint32_t n = 0; n < 300; n++) {
        struct counted c = { .job.step = step, .pieces = n % 37 };
        assert_true(turns_run(t, &c.job));
        assert_int_equal(atomic_load(&c.done), n % 37);
    }
    return NULL;
}

static void test_many_callers(void **state)
{
    (void)state;
    struct turns *t = threads(3);
    pthread_t p[5];
    for (int i = 0; i < 5; i++)
        assert_int_equal(pthread_create(&p[i], NULL, caller, t), 0);
    for (int i = 0; i < 5; i++)
        pthread_join(p[i], NULL);
    turns_free(t);
}

/* a job that goes on until another one has ended */
struct endless {
    struct turn_job job;
    _Atomic bool other_done, begun;
};

static bool endless_step(struct turn_job *j, uint32_t slot)
{
    struct endless *e = (struct endless *)(void *)j;
    (void)slot;
    atomic_store(&e->begun, true);
    return !atomic_load(&e->other_done);
}

struct pair {
    struct turns *t;
    struct endless *e;
};

static void *run_endless(void *arg)
{
    struct pair *p = arg;
    assert_true(turns_run(p->t, &p->e->job));
    return NULL;
}

static void test_short_beside_long(void **state)
{
    (void)state;
    struct turns *t = threads(1); /* one thread: it must turn to the other */
    struct endless e = { .job.step = endless_step };
    struct pair p = { t, &e };
    pthread_t long_one;
    assert_int_equal(pthread_create(&long_one, NULL, run_endless, &p), 0);
    while (!atomic_load(&e.begun))
        sched_yield();
    struct counted c = { .job.step = step, .pieces = 10 };
    assert_true(turns_run(t, &c.job)); /* would never return otherwise */
    assert_int_equal(c.by_slot[0], 10);
    atomic_store(&e.other_done, true);
    pthread_join(long_one, NULL);
    turns_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_piece_once),
        cmocka_unit_test(test_many_callers),
        cmocka_unit_test(test_short_beside_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
