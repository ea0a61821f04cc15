/* turns.c: see turns.h.
 *
 *   ring: job -> job -> job     a thread takes the first, puts it last, does a piece of it
 *
 * A job leaves the ring when it is drained; whoever ends its last piece tells the one that waits.
 * All waiting is on two conditions: `work` for the threads, `done` for those who gave jobs. */
#include "base/turns.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define STACK_BYTES ((size_t)1 << 20)

struct turns {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct turn_job *first, *last;
    uint32_t max, started;
    int nice;
    bool stop;
    pthread_t thread[TURNS_MAX];
    struct seat {
        struct turns *of;
        uint32_t slot;
    } seat[TURNS_MAX];
};

int turns_new(struct turns **ret, uint32_t threads, int nice, struct err *err)
{
    struct turns *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(err);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->done, NULL);
    t->max = threads < 1 ? 1 : threads > TURNS_MAX ? TURNS_MAX : threads;
    t->nice = nice;
    *ret = t;
    return 0;
}

uint32_t turns_threads(const struct turns *t)
{
    return t->max;
}

static void put_last(struct turns *t, struct turn_job *j)
{
    j->next = NULL;
    if (t->last)
        t->last->next = j;
    else
        t->first = j;
    t->last = j;
}

static struct turn_job *take_first(struct turns *t)
{
    struct turn_job *j = t->first;
    if (j && !(t->first = j->next))
        t->last = NULL;
    return j;
}

static void lower_priority(int by)
{
    errno = 0;
    id_t me = (id_t)syscall(SYS_gettid);
    int now = getpriority(PRIO_PROCESS, me);
    if (by && errno == 0)
        setpriority(PRIO_PROCESS, me, now + by);
}

static void *turns_main(void *arg)
{
    struct seat *me = arg;
    struct turns *t = me->of;
    pthread_setname_np(pthread_self(), "scan");
    lower_priority(t->nice);
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        struct turn_job *j = take_first(t);
        if (!j) {
            pthread_cond_wait(&t->work, &t->lock);
            continue;
        }
        if (j->drained) { /* was put last before another thread found its end */
            if (!j->running)
                pthread_cond_broadcast(&t->done);
            continue;
        }
        put_last(t, j);
        j->running++;
        pthread_mutex_unlock(&t->lock);
        bool more = j->step(j, me->slot);
        pthread_mutex_lock(&t->lock);
        j->running--;
        j->drained |= !more;
        if (j->drained && !j->running)
            pthread_cond_broadcast(&t->done);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* lock held */
static void start_threads(struct turns *t)
{
    pthread_attr_t attr;
    sigset_t all, old;
    if (t->started == t->max || pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (t->started < t->max) {
        struct seat *s = &t->seat[t->started];
        *s = (struct seat){ t, t->started };
        if (pthread_create(&t->thread[t->started], &attr, turns_main, s) != 0)
            break;
        t->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

/* takes j out of the ring, if it is there; lock held */
static void remove_job(struct turns *t, struct turn_job *j)
{
    struct turn_job **at = &t->first, *before = NULL;
    while (*at && *at != j) {
        before = *at;
        at = &(*at)->next;
    }
    if (!*at)
        return;
    *at = j->next;
    if (t->last == j)
        t->last = before;
}

bool turns_run(struct turns *t, struct turn_job *j)
{
    j->running = 0;
    j->drained = false;
    pthread_mutex_lock(&t->lock);
    start_threads(t);
    bool ok = t->started > 0;
    if (ok) {
        put_last(t, j);
        pthread_cond_broadcast(&t->work);
    }
    while (ok && (!j->drained || j->running))
        pthread_cond_wait(&t->done, &t->lock);
    remove_job(t, j);
    pthread_mutex_unlock(&t->lock);
    return ok;
}

void turns_free(struct turns *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
    for (uint32_t i = 0; i < t->started; i++)
        pthread_join(t->thread[i], NULL);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}
