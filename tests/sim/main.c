/* main.c: the seeded simulator of the store.
 *
 *   store-sim [--first S] [--seeds N] [-v] [--twice] [--plant no-fsync|ack-early] [--must-object]
 *
 * One seed is one run: several lives of one store on a simulated disk (disk.h), each with clients
 * at work (work.h) and a fate: closed, killed, or without power, at a call that the seed draws,
 * with refused calls, a small disk or refused memory before that. Between lives the store is opened
 * anew and compared with the model (model.h); at the end it is healed, compared, rewritten,
 * compared, and verified. Exit 0: all seeds held. 1: one did not, with the reason. -v prints every
 * call.
 * --twice runs each seed twice and compares the hash over all its calls. --must-object turns the
 * exit status round: with a planted bug the run has to find it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tasks.h"
#include "work.h"

static struct model m;
static uint64_t seed;
static bool verbose, must_object;
static struct totals {
    uint64_t calls, ops, scans, rows, lives, power, kills, faults, starved, failed_opens;
} sum;

void object(const char *fmt, ...)
{
    va_list ap;
    mem_fail_at(0, 0);
    printf("seed %llu: OBJECTION: ", (unsigned long long)seed);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\nreplay: ./dev sim --first %llu --seeds 1 -v\n", (unsigned long long)seed);
    fflush(stdout);
    _Exit(must_object ? 0 : 1);
}

static void stuck(const char *why)
{
    object("%s", why);
}

static void on_time(int64_t ns)
{
    io_mem_advance(disk_mem(m.disk), ns);
}

static void on_event(void *ctx, int level, const char *text)
{
    (void)ctx;
    disk_note(m.disk, "store says (%d): %s", level, text);
}

/* ---- plans ---- */

/* A call of a life: opening takes the first 50 or so, work some hundreds more. */
static uint64_t some_call(void)
{
    uint64_t most = draw_n(&m, 4) ? 50 : 0;
    uint64_t span = 60;
    for (uint64_t i = draw_n(&m, 5); i > 0 && most; i--)
        span = span * 5 / 2;
    return 1 + most + draw_n(&m, span);
}

static void draw_rule(struct rule *r)
{
    static const enum io_op often[] = { IO_OP_WRITE,  IO_OP_SYNC, IO_OP_SYNC, IO_OP_SYNCDIR,
                                        IO_OP_RENAME, IO_OP_READ, IO_OP_OPEN };
    r->op = draw_n(&m, 3) ? often[draw_n(&m, sizeof often / sizeof *often)]
                          : (enum io_op)draw_n(&m, IO_OP__N + 1);
    r->code = r->op == IO_OP_WRITE && draw_n(&m, 2) ? ERR_FULL : ERR_IO;
    if (draw_n(&m, 4) == 0)
        r->odds = 4 + (uint32_t)draw_n(&m, 60);
    else
        r->nth = draw_n(&m, 3) ? 1 + some_call() / (1 + draw_n(&m, 12)) : 1 + draw_n(&m, 6);
    r->forever = draw_n(&m, 4) == 0;
}

static struct plan draw_plan(void)
{
    struct plan p = { .ending = (enum ending)draw_n(&m, 3) };
    if (p.ending != END_CLOSE && draw_n(&m, 4))
        p.cut_at = some_call();
    uint64_t faults = draw_n(&m, 4);
    if (faults > 1)
        draw_rule(&p.rules[0]);
    if (faults > 2)
        draw_rule(&p.rules[1]);
    if (draw_n(&m, 12) == 0)
        p.space = 300000 + draw_n(&m, 600000);
    return p;
}

/* ---- a life ---- */

static void *client(void *arg)
{
    uint64_t n = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < n && !disk_dead(m.disk); i++)
        work_one(&m);
    return NULL;
}

static bool open_store(void)
{
    struct store_config cfg;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.memtable_bytes = m.memtable_bytes;
    cfg.big_batch_bytes = m.big_bytes;
    cfg.no_fsync = m.no_fsync;
    cfg.ack_early = m.ack_early;
    cfg.on_event = on_event;
    m.keep = 0;
    disk_note(m.disk, "open");
    int rc = store_open(&m.store, disk_io(m.disk), &cfg, &err);
    disk_note(m.disk, "open: %d %s", rc, rc ? err.msg : "");
    if (rc)
        m.store = NULL;
    if (rc && !faults_so_far(&m) && !(m.small_disk && rc == ERR_FULL))
        object("the store does not open: %s", err.msg);
    sum.failed_opens += rc != 0;
    if (!rc)
        read_traces(&m);
    return rc == 0;
}

static void clients_work(void)
{
    struct sched_task *t[3];
    uint64_t n = 1 + draw_n(&m, 3), each = 3 + draw_n(&m, 40) / n;
    for (uint64_t i = 0; i < n; i++)
        t[i] = sched_spawn(client, (void *)(uintptr_t)each);
    for (uint64_t i = 0; i < n; i++)
        sched_join(t[i]);
}

static void life(const struct plan *p)
{
    disk_begin(m.disk, p);
    m.small_disk = p->space != 0;
    m.starved = draw_n(&m, 8) == 0;
    sum.lives++;
    if (m.starved)
        mem_fail_at(1 + draw_n(&m, draw_n(&m, 2) ? 3000 : 100), draw_n(&m, 3) == 0);
    if (open_store()) {
        if (!disk_dead(m.disk))
            work_look_all(&m, AFRESH);
        clients_work();
        if (m.starved)
            mem_fail_at(0, 0);
        if (!disk_dead(m.disk) && draw_n(&m, 2))
            work_look_all(&m, ALONE);
    }
    if (p->ending != END_CLOSE)
        disk_cut(m.disk);
    sum.power += p->ending == END_POWER;
    sum.kills += p->ending == END_KILL;
    disk_note(m.disk, "close");
    store_close(m.store);
    m.store = NULL;
    sum.faults += disk_faults(m.disk);
    sum.starved += m.starved;
    mem_fail_at(0, 0);
    disk_end(m.disk);
    m.starved = false;
    for (uint32_t i = 0; i < m.nbatches; i++)
        if (m.batches[i].state == FLYING)
            object("batch %u was never answered", i);
}

/* Nothing fails any more: everything must be well. */
static void heal(void)
{
    struct err err = ERR_INIT;
    struct verify_report rep = { 0 };
    struct buf text;
    disk_begin(m.disk, &(struct plan){ 0 });
    m.small_disk = false;
    open_store();
    work_look_all(&m, AFRESH);
    if (unsettled(&m))
        object("a batch is still open"); /* the model's own fault */
    clients_work();
    if (store_flush(m.store, &err) || store_merge(m.store, &err))
        object("flush and merge: %s", err.msg);
    work_look_all(&m, ALONE);
    store_close(m.store);
    buf_init(&text, 1u << 20);
    rep.text = &text;
    int rc = store_verify(disk_io(m.disk), &rep, &err);
    if (rc)
        object("verify: %s\n%.*s", err.msg, (int)text.n, text.p ? text.p : "");
    buf_deinit(&text);
    open_store();
    work_look_all(&m, AFRESH);
    store_close(m.store);
    disk_end(m.disk);
}

static uint64_t run(uint64_t which, bool no_fsync, bool ack_early)
{
    seed = which;
    sched_start(hash_mix(seed * 2 + 2));
    memset(&m, 0, sizeof m);
    m.rng = hash_mix(seed * 2 + 1);
    m.no_fsync = no_fsync;
    m.ack_early = ack_early;
    m.memtable_bytes = (size_t)1 << (10 + draw_n(&m, 9));
    m.big_bytes = draw_n(&m, 2) ? 1500 + (size_t)draw_n(&m, 8000) : (size_t)1 << 20;
    m.disk = disk_new(seed, verbose);
    io_mem_advance(disk_mem(m.disk), SIM_T0 - disk_mem(m.disk)->ops->now(disk_mem(m.disk)));
    mem_fail_at(0, 0);
    uint64_t lives = 1 + draw_n(&m, 4);
    for (uint64_t i = 0; i < lives; i++) {
        struct plan p = draw_plan();
        life(&p);
    }
    heal();
    sched_end();
    uint64_t trace = disk_trace(m.disk);
    sum.calls += disk_all_calls(m.disk);
    sum.ops += m.ops;
    sum.scans += m.scans;
    sum.rows += m.acked_rows;
    disk_free(m.disk);
    return trace;
}

static uint64_t number(const char *arg)
{
    uint64_t n;
    if (!arg || !str_to_u64(str_c(arg), &n))
        exit(64);
    return n;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, n = 1000;
    bool no_fsync = false, ack_early = false, twice = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--first") == 0)
            first = number(argv[++i]);
        else if (strcmp(argv[i], "--seeds") == 0)
            n = number(argv[++i]);
        else if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--twice") == 0)
            twice = true;
        else if (strcmp(argv[i], "--must-object") == 0)
            must_object = true;
        else if (strcmp(argv[i], "--plant") == 0 && i + 1 < argc)
            no_fsync = strcmp(argv[++i], "no-fsync") == 0, ack_early = !no_fsync;
        else
            return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sched_on_time = on_time;
    sched_stuck = stuck;
    hash_set_seed(1);
    bool aloud = verbose;
    verbose = false;
    run(0, false, false); /* what is made once per process is made now */
    verbose = aloud;
    sum = (struct totals){ 0 };
    for (uint64_t s = first; s < first + n; s++) {
        uint64_t trace = run(s, no_fsync, ack_early);
        if (twice && run(s, no_fsync, ack_early) != trace)
            object("the same seed gave another run");
        if (verbose || n == 1)
            printf("seed %llu: trace %016llx\n", (unsigned long long)s, (unsigned long long)trace);
    }
    printf(
        "%llu seeds held: %llu lives (%llu cut from power, %llu killed, %llu short of memory), "
        "%llu calls of the disk (%llu refused), %llu starts refused; %llu operations, %llu scans, "
        "%llu rows acknowledged\n",
        (unsigned long long)n, (unsigned long long)sum.lives, (unsigned long long)sum.power,
        (unsigned long long)sum.kills, (unsigned long long)sum.starved,
        (unsigned long long)sum.calls, (unsigned long long)sum.faults,
        (unsigned long long)sum.failed_opens, (unsigned long long)sum.ops,
        (unsigned long long)sum.scans, (unsigned long long)sum.rows);
    return 0;
}
