/* alert_command.c: a delivery by a program: its argument list, the message on its standard input.
 *
 * No shell, no inherited environment but PATH, HOME, LANG and TZ (the server's may hold keys), no
 * inherited files, a process group of its own that is killed when its time is up. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/alerts.h"

#define OUTPUT_MAX 200 /* bytes of what it says that are kept */
#define STEP_MS 20

struct child {
    pid_t pid;
    int in, out; /* our ends; -1: closed */
    str rest;    /* of the message */
    char said[OUTPUT_MAX + 1];
    size_t nsaid;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int actions(posix_spawn_file_actions_t *fa, int in, int out)
{
    int rc = posix_spawn_file_actions_init(fa);
    if (rc)
        return rc;
    rc = posix_spawn_file_actions_adddup2(fa, in, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(fa, out, 1);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(fa, out, 2);
    if (!rc)
        rc = posix_spawn_file_actions_addchdir_np(fa, "/");
#if __GLIBC_PREREQ(2, 34)
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(fa, 3);
#endif
    return rc;
}

static int attributes(posix_spawnattr_t *at)
{
    sigset_t none, usual;
    int rc = posix_spawnattr_init(at);
    if (rc)
        return rc;
    sigemptyset(&none);
    sigfillset(&usual);
    sigdelset(&usual, SIGKILL);
    sigdelset(&usual, SIGSTOP);
    rc = posix_spawnattr_setflags(at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                          POSIX_SPAWN_SETSIGDEF);
    if (!rc)
        rc = posix_spawnattr_setpgroup(at, 0);
    if (!rc)
        rc = posix_spawnattr_setsigmask(at, &none);
    return rc ? rc : posix_spawnattr_setsigdefault(at, &usual);
}

static int spawn(struct child *c, const struct alert_target *t, char *const env[], int in, int out)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    char *argv[ALERT_ARGV_MAX + 1];
    for (uint32_t i = 0; i < t->nargv; i++)
        argv[i] = (char *)t->argv[i].p;
    argv[t->nargv] = NULL;
    int rc = actions(&fa, in, out);
    if (rc)
        return rc;
    rc = attributes(&at);
    if (!rc) {
        rc = posix_spawn(&c->pid, argv[0], &fa, &at, argv, env);
        posix_spawnattr_destroy(&at);
    }
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

static int start(struct child *c, const struct alert_target *t, str uid, struct err *err)
{
    static const char *const names[] = { "PATH", "HOME", "LANG", "TZ" };
    char text[5][512], *env[6];
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, n = 0;
    snprintf(text[n], sizeof text[n], "FLEETLOG_DELIVERY=%.*s", STR_FMT(str_sub(uid, 0, 64)));
    env[n] = text[n];
    n++;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        int got = v ? snprintf(text[n], sizeof text[n], "%s=%s", names[i], v) : -1;
        if (got > 0 && (size_t)got < sizeof text[n]) {
            env[n] = text[n];
            n++;
        }
    }
    env[n] = NULL;
    int rc = pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ? errno : 0;
    if (!rc)
        rc = spawn(c, t, env, in[0], out[1]);
    close_fd(&in[0]);
    close_fd(&out[1]);
    if (rc) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        return err_sys(err, rc, "cannot run %.200s", t->argv[0].p);
    }
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    c->in = in[1];
    c->out = out[0];
    return 0;
}

static void feed(struct child *c)
{
    ssize_t n = write(c->in, c->rest.p, c->rest.n);
    if (n > 0)
        c->rest = str_skip(c->rest, (size_t)n);
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || !c->rest.n)
        close_fd(&c->in); /* EPIPE: it does not want to know */
}

static void listen_to(struct child *c)
{
    char piece[512];
    ssize_t n = read(c->out, piece, sizeof piece);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close_fd(&c->out);
        return;
    }
    size_t take = n > 0 ? (size_t)n : 0;
    take = take < OUTPUT_MAX - c->nsaid ? take : OUTPUT_MAX - c->nsaid;
    memcpy(c->said + c->nsaid, piece, take);
    c->nsaid += take;
}

static void exchange(struct child *c)
{
    struct pollfd p[2] = { { .fd = c->in, .events = POLLOUT }, { .fd = c->out, .events = POLLIN } };
    if (poll(p, 2, STEP_MS) <= 0)
        return;
    if (c->in >= 0 && p[0].revents)
        feed(c);
    if (c->out >= 0 && p[1].revents)
        listen_to(c);
}

/* false: it ended by itself */
static bool must_kill(struct child *c, int64_t deadline, const volatile int *stop)
{
    for (;;) {
        siginfo_t info = { 0 };
        exchange(c);
        /* left unreaped, so that its process group is nobody else's when it is killed */
        int rc = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT);
        if (rc == 0 && info.si_pid == c->pid)
            return false;
        if ((rc < 0 && errno != EINTR) || mono_ns() >= deadline ||
            __atomic_load_n(stop, __ATOMIC_RELAXED))
            return true;
    }
}

int alert_command(const struct alert_target *t, str uid, str body, const volatile int *stop,
                  char *ret_what, size_t n, struct err *err)
{
    struct child c = { .in = -1, .out = -1, .rest = body };
    int status = 0, rc = start(&c, t, uid, err);
    if (rc < 0)
        return rc;
    bool late = must_kill(&c, mono_ns() + t->timeout_ns, stop);
    kill(-c.pid, SIGKILL); /* and what it left running */
    while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (late) {
        rc = __atomic_load_n(stop, __ATOMIC_RELAXED)
                 ? err_set(err, ERR_CANCELED, "the server stops")
                 : err_set(err, ERR_TIMEOUT, "it was killed after %lld ms",
                           (long long)(t->timeout_ns / NS_PER_MS));
    } else {
        if (c.out >= 0)
            listen_to(&c);
        c.said[strcspn(c.said, "\n")] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            snprintf(ret_what, n, "exit 0");
        else if (WIFEXITED(status))
            rc = err_set(err, ERR_IO, "exit %d%s%s", WEXITSTATUS(status), c.nsaid ? ": " : "",
                         c.said);
        else
            rc = err_set(err, ERR_IO, "ended by signal %d", WTERMSIG(status));
    }
    close_fd(&c.in);
    close_fd(&c.out);
    return rc;
}
