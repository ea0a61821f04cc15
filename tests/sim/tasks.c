/* tasks.c: coroutines behind the pthread calls of the store (tasks.h).
 *
 * A mutex, condition or rwlock keeps what is needed in its own bytes, all zero when fresh, so that
 * static initialisers work: a mutex its owner, a rwlock its readers. Waiters are found by looking
 * through the tasks, of which there are few. */
#include "tasks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "base/hash.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBERS 1
#endif
#endif
#ifdef FIBERS
#include <sanitizer/common_interface_defs.h>
#endif

#define TASKS 64
#define STACK ((size_t)1 << 20)
#define STEPS_MAX 40000000ull /* scheduling decisions of a run: past it something spins */
#define WAKE_ODDS 6           /* one in so many chances to switch is taken */

enum state { FREE, READY, WAITING, DONE };

struct sched_task {
    ucontext_t ctx;
    enum state state;
    char *stack;
    void *(*fn)(void *);
    void *arg;
    const void *on; /* what it waits for */
    int64_t deadline;
    bool timed_out;
    void *fake; /* the sanitizer's */
};

struct lock {        /* in the bytes of a pthread_mutex_t or pthread_rwlock_t */
    uint32_t writer; /* task + 1 */
    uint32_t readers;
};
_Static_assert(sizeof(struct lock) <= sizeof(pthread_mutex_t), "fits");
_Static_assert(sizeof(struct lock) <= sizeof(pthread_rwlock_t), "fits");

static struct sched_task tasks[TASKS];
static unsigned self, high = 1; /* high: tasks from here on were never used */
static uint64_t rng, steps;
static int64_t now_ns;
#ifdef FIBERS
static const void *main_bottom;
static size_t main_size;
#endif

void (*sched_on_time)(int64_t ns);
void (*sched_stuck)(const char *why);

static uint64_t draw(void)
{
    rng += 0x9e3779b97f4a7c15ull;
    return hash_mix(rng);
}

unsigned sched_self(void)
{
    return self;
}

static void arrived(struct sched_task *t)
{
#ifdef FIBERS
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(t->fake, &bottom, &size);
    if (!main_bottom) {
        main_bottom = bottom;
        main_size = size;
    }
#else
    (void)t;
#endif
}

static void switch_to(unsigned next, bool for_good)
{
    struct sched_task *from = &tasks[self], *to = &tasks[next];
    if (next == self)
        return;
    self = next;
#ifdef FIBERS
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake, next ? to->stack : main_bottom,
                                   next ? STACK : main_size);
#else
    (void)for_good;
#endif
    swapcontext(&from->ctx, &to->ctx);
    arrived(from);
}

/* Time jumps to the first deadline. */
static bool jump(void)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < high; i++)
        if (tasks[i].state == WAITING && tasks[i].deadline && tasks[i].deadline < first)
            first = tasks[i].deadline;
    if (first == INT64_MAX)
        return false;
    if (first > now_ns) {
        if (sched_on_time)
            sched_on_time(first - now_ns);
        now_ns = first;
    }
    for (unsigned i = 0; i < high; i++)
        if (tasks[i].state == WAITING && tasks[i].deadline && tasks[i].deadline <= now_ns) {
            tasks[i].timed_out = true;
            tasks[i].state = READY;
        }
    return true;
}

static void pick(bool for_good)
{
    unsigned ready[TASKS], n = 0;
    for (;;) {
        for (unsigned i = 0; i < high; i++)
            if (tasks[i].state == READY)
                ready[n++] = i;
        if (n)
            break;
        if (!jump())
            sched_stuck("no thread can go on: a deadlock");
    }
    if (++steps > STEPS_MAX)
        sched_stuck("it goes on for ever: a livelock");
    switch_to(ready[draw() % n], for_good);
}

void sched_yield_here(void)
{
    if (draw() % WAKE_ODDS == 0)
        pick(false);
}

static void wait_on(const void *what, int64_t deadline)
{
    tasks[self].state = WAITING;
    tasks[self].on = what;
    tasks[self].deadline = deadline;
    tasks[self].timed_out = false;
    pick(false);
}

static void wake(const void *what, bool all)
{
    unsigned first = all ? 0 : (unsigned)(draw() % high);
    for (unsigned k = 0; k < high; k++) {
        struct sched_task *t = &tasks[(first + k) % high];
        if (t->state == WAITING && t->on == what) {
            t->state = READY;
            t->on = NULL;
            if (!all)
                return;
        }
    }
}

/* ---- tasks ---- */

static void run_task(void)
{
    struct sched_task *t = &tasks[self];
    arrived(t);
    t->fn(t->arg);
    t->state = DONE;
    wake(t, true);
    pick(true);
}

static void prepare(struct sched_task *t)
{
    getcontext(&t->ctx);
    t->ctx.uc_stack.ss_sp = t->stack;
    t->ctx.uc_stack.ss_size = STACK;
    makecontext(&t->ctx, run_task, 0);
}

struct sched_task *sched_spawn(void *(*fn)(void *), void *arg)
{
    for (unsigned i = 1; i < TASKS; i++) {
        struct sched_task *t = &tasks[i];
        if (t->state != FREE)
            continue;
        if (!t->stack) {
            t->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (t->stack == MAP_FAILED)
                abort();
            mprotect(t->stack, 4096, PROT_NONE);
        }
        t->fn = fn;
        t->arg = arg;
        t->fake = NULL;
        prepare(t);
        t->state = READY;
        high = i >= high ? i + 1 : high;
        sched_yield_here();
        return t;
    }
    return NULL;
}

void sched_join(struct sched_task *t)
{
    while (t->state != DONE)
        wait_on(t, 0);
    t->state = FREE;
}

void sched_start(uint64_t seed)
{
    rng = seed;
    steps = 0;
    now_ns = 1000000000;
    self = 0;
    high = 1; /* a run does not depend on those before it */
    tasks[0].state = READY;
}

void sched_end(void)
{
    for (unsigned i = 1; i < TASKS; i++)
        if (tasks[i].state != FREE)
            sched_stuck("a thread was left behind");
}

/* ---- what the store calls ---- */

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_join(pthread_t t, void **ret);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr);
int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_nanosleep(const struct timespec *t, struct timespec *rest);

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    (void)attr;
    struct sched_task *t = sched_spawn(fn, arg);
    if (!t)
        return 11; /* EAGAIN */
    memcpy(ret, &t, sizeof t);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
    struct sched_task *t;
    memcpy(&t, &thread, sizeof t);
    sched_join(t);
    if (ret)
        *ret = NULL;
    return 0;
}

static struct lock *lock_of(void *p)
{
    return p;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    (void)attr;
    memset(m, 0, sizeof *m);
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
    if (lock_of(m)->writer)
        sched_stuck("a mutex is destroyed that is held");
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    struct lock *l = lock_of(m);
    sched_yield_here();
    if (l->writer == self + 1)
        sched_stuck("a thread takes a mutex that it holds");
    while (l->writer)
        wait_on(m, 0);
    l->writer = self + 1;
    return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *m)
{
    struct lock *l = lock_of(m);
    sched_yield_here();
    if (l->writer)
        return 16; /* EBUSY */
    l->writer = self + 1;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
    struct lock *l = lock_of(m);
    if (l->writer != self + 1)
        sched_stuck("a thread gives back a mutex that it does not hold");
    l->writer = 0;
    wake(m, true);
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    (void)attr;
    memset(c, 0, sizeof *c);
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
    (void)c;
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    __wrap_pthread_mutex_unlock(m);
    if (draw() % 64) /* else it wakes for no reason, as it may */
        wait_on(c, 0);
    return __wrap_pthread_mutex_lock(m);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t)
{
    __wrap_pthread_mutex_unlock(m);
    wait_on(c, (int64_t)t->tv_sec * 1000000000 + t->tv_nsec);
    bool late = tasks[self].timed_out;
    __wrap_pthread_mutex_lock(m);
    return late ? 110 : 0; /* ETIMEDOUT */
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
    wake(c, false);
    sched_yield_here();
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    wake(c, true);
    sched_yield_here();
    return 0;
}

int __wrap_pthread_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr)
{
    (void)attr;
    memset(l, 0, sizeof *l);
    return 0;
}

int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *l)
{
    (void)l;
    return 0;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *p)
{
    struct lock *l = lock_of(p);
    sched_yield_here();
    while (l->writer)
        wait_on(p, 0);
    l->readers++;
    return 0;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *p)
{
    struct lock *l = lock_of(p);
    sched_yield_here();
    while (l->writer || l->readers)
        wait_on(p, 0);
    l->writer = self + 1;
    return 0;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *p)
{
    struct lock *l = lock_of(p);
    if (l->writer)
        l->writer = 0;
    else
        l->readers--;
    wake(p, true);
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
    (void)id;
    *ret = (struct timespec){ .tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000 };
    return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *rest)
{
    (void)rest;
    wait_on(t, now_ns + (int64_t)t->tv_sec * 1000000000 + t->tv_nsec);
    return 0;
}
