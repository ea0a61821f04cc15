/* pool.c: threads for work that may take long: queries, exports, big bodies.
 *
 * Threads are started when work waits and none is idle, up to `max` that run; one that waits for a
 * slow reader (pool_block) does not count, so slow readers do not starve the others, but at most
 * BLOCKED_MAX may wait so. The queue is bounded: what does not fit is refused at once. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/internal.h"

#define BLOCKED_MAX 16
#define STACK_BYTES ((size_t)1 << 20)

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, gone;
    char name[16];
    int nice;
    uint32_t max, queue_max;
    uint32_t threads, idle, blocked, queued;
    bool stop, any_left;
    pthread_t left; /* the thread that ended last; it joined the one before it */
    struct pool_work *first, *last;
};

int pool_new(struct pool **ret, const char *name, uint32_t threads, uint32_t queue, int nice,
             struct err *err)
{
    struct pool *p = mem_zalloc(sizeof *p);
    if (!p)
        return err_nomem(err);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->gone, NULL);
    snprintf(p->name, sizeof p->name, "%s", name);
    p->nice = nice;
    p->max = threads ? threads : 1;
    p->queue_max = queue;
    *ret = p;
    return 0;
}

static void *pool_main(void *arg)
{
    struct pool *p = arg;
    pthread_setname_np(pthread_self(), p->name);
    if (p->nice) {
        errno = 0;
        int now = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
        if (errno == 0)
            setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), now + p->nice);
    }
    pthread_mutex_lock(&p->lock);
    for (;;) {
        if (p->threads - p->blocked > p->max)
            break; /* one that had waited came back: there are enough without us */
        if (p->first) {
            struct pool_work *w = p->first;
            p->first = w->next;
            if (!p->first)
                p->last = NULL;
            p->queued--;
            pthread_mutex_unlock(&p->lock);
            w->run(w);
            pthread_mutex_lock(&p->lock);
            continue;
        }
        if (p->stop)
            break;
        p->idle++;
        pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
    /* Each joins its forerunner and pool_free the last of all, so that nothing of a thread, such as
     * what OpenSSL frees at its end, outlives the pool. */
    pthread_t before = p->left;
    bool any = p->any_left;
    p->left = pthread_self();
    p->any_left = true;
    p->threads--;
    pthread_cond_signal(&p->gone);
    pthread_mutex_unlock(&p->lock);
    if (any)
        pthread_join(before, NULL);
    return NULL;
}

/* lock held */
static bool spawn(struct pool *p)
{
    pthread_attr_t attr;
    pthread_t t;
    sigset_t all, old;
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    bool ok = pthread_create(&t, &attr, pool_main, p) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (ok)
        p->threads++;
    return ok;
}

/* lock held: somebody must take what waits */
static void rouse(struct pool *p)
{
    if (p->idle > 0)
        pthread_cond_signal(&p->work);
    if (p->queued > p->idle && p->threads - p->blocked < p->max)
        spawn(p);
}

bool pool_submit(struct pool *p, struct pool_work *w)
{
    pthread_mutex_lock(&p->lock);
    bool ok = p->queued < p->queue_max || (p->queue_max == 0 && p->idle > 0);
    if (ok) {
        w->next = NULL;
        if (p->last)
            p->last->next = w;
        else
            p->first = w;
        struct pool_work *before = p->last;
        p->last = w;
        p->queued++;
        rouse(p);
        if (p->threads == 0) { /* not even one thread: nobody would ever take it */
            p->last = before;
            if (before)
                before->next = NULL;
            else
                p->first = NULL;
            p->queued--;
            ok = false;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

bool pool_block(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    bool ok = p->blocked < BLOCKED_MAX;
    if (ok) {
        p->blocked++;
        if (p->queued)
            rouse(p);
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

void pool_unblock(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->blocked--;
    pthread_mutex_unlock(&p->lock);
}

uint32_t pool_waiting(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    uint32_t n = p->queued;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    while (p->threads)
        pthread_cond_wait(&p->gone, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (p->any_left)
        pthread_join(p->left, NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->gone);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}
