/* tasks.h: threads without threads: every pthread call of the program under test comes here.
 *
 * The linker's --wrap sends pthread_create, mutexes, conditions, rwlocks, clock_gettime and
 * nanosleep to this file. A thread is a coroutine on the one thread there is; at every lock, wait,
 * signal and I/O call another may get its turn, as the seed draws. So a seed is one interleaving,
 * and the same one each time. Time stands still while anyone can run; when all wait, it jumps to
 * the first deadline. When all wait and none has a deadline, that is a deadlock: sched_stuck says
 * so. */
#ifndef TESTS_SIM_TASKS_H
#define TESTS_SIM_TASKS_H

#include <stdbool.h>
#include <stdint.h>

void sched_start(uint64_t seed); /* the caller is task 0 */
void sched_end(void);            /* all other tasks have ended */
void sched_yield_here(void);     /* somebody else may run now */
unsigned sched_self(void);       /* number of the running task */
/* called when time jumps; called when no task can ever run again (must not return) */
extern void (*sched_on_time)(int64_t ns);
extern void (*sched_stuck)(const char *why);

/* Client tasks of the simulator itself, beside those the store starts. */
struct sched_task;
struct sched_task *sched_spawn(void *(*fn)(void *), void *arg);
void sched_join(struct sched_task *t);

#endif
