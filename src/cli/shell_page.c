/* shell_page.c: long answers go through the pager: $PAGER, else less. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/shell.h"

extern char **environ;

void page_begin(struct page *p, struct cli *c)
{
    const char *tmp = getenv("TMPDIR");
    p->fd = open(tmp && *tmp ? tmp : "/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (p->fd < 0) /* answers go straight to the screen then */
        return;
    out_flush(&c->out);
    p->was = c->out.term.fd;
    c->out.term.fd = p->fd;
}

/* lines of the screen that the text takes, not counted further than max */
static int lines_of(int fd, int cols, int max)
{
    char b[16384];
    int lines = 0, col = 0;
    enum { TEXT, ESCAPE, CODE } in = TEXT;
    ssize_t n;
    lseek(fd, 0, SEEK_SET);
    while (lines <= max && (n = read(fd, b, sizeof(b))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            unsigned char ch = (unsigned char)b[i];
            if (in == ESCAPE) {
                in = ch == '[' ? CODE : TEXT;
            } else if (in == CODE) {
                in = ch >= '@' && ch <= '~' ? TEXT : CODE;
            } else if (ch == '\x1b') {
                in = ESCAPE;
            } else if (ch == '\n') {
                lines++;
                col = 0;
            } else if ((ch & 0xc0) != 0x80 && ++col > cols) { /* characters, about */
                lines++;
                col = 1;
            }
        }
    return lines + (col > 0);
}

static void copy_out(int from, int to)
{
    char b[65536];
    ssize_t n;
    lseek(from, 0, SEEK_SET);
    while ((n = read(from, b, sizeof(b))) > 0)
        for (ssize_t at = 0; at < n;) {
            ssize_t w = write(to, b + at, (size_t)(n - at));
            if (w < 0 && errno != EINTR)
                return;
            at += w > 0 ? w : 0;
        }
}

/* false when it cannot be started */
static bool run_pager(const char *command, int fd)
{
    char *argv[] = { "sh", "-c", (char *)(uintptr_t)command, NULL };
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t defaults;
    pid_t pid;
    int status = 0;
    lseek(fd, 0, SEEK_SET);
    setenv("LESS", "FRX", 0);                   /* colours, and the text stays on the screen */
    void (*was)(int) = signal(SIGINT, SIG_IGN); /* Ctrl-C is the pager's */
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fd, STDIN_FILENO);
    posix_spawnattr_init(&at);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&at, &defaults);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF);
    bool ok = posix_spawn(&pid, "/bin/sh", &fa, &at, argv, environ) == 0;
    while (ok && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    signal(SIGINT, was);
    return ok && !(WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127));
}

void page_end(struct page *p, struct cli *c)
{
    if (p->fd < 0)
        return;
    const char *pager = getenv("PAGER");
    struct winsize ws = { .ws_row = 0 };
    out_flush(&c->out);
    c->out.term.fd = p->was;
    if (ioctl(p->was, TIOCGWINSZ, &ws) != 0 || ws.ws_row == 0)
        ws.ws_row = 24;
    bool fits = lines_of(p->fd, c->out.term.cols, ws.ws_row) < ws.ws_row - 1;
    if (fits || (pager && !*pager) || !run_pager(pager ? pager : "less", p->fd))
        copy_out(p->fd, p->was);
    close(p->fd);
}
