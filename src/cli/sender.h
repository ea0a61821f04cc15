/* sender.h: batches of entries to a server, each exactly once.
 *
 * A batch is at most SENDER_BYTES or SENDER_ENTRIES, compressed with zstd, and carries an
 * Idempotency-Key, so that a repeat after a broken answer stores nothing twice. 429, 503 and an
 * unreachable server are waited for (Retry-After, else doubling pauses); what is refused is counted
 * and described by file and line. */
#ifndef FL_CLI_SENDER_H
#define FL_CLI_SENDER_H

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/client.h"

#define SENDER_BYTES (1u << 20)
#define SENDER_ENTRIES 1000
#define SENDER_REASONS 20

struct sender {
    struct cli *c;
    struct client *client;
    char path[1200];     /* route with its parameters */
    int64_t patience_ns; /* how long to wait for a server; 0 = for ever */
    void (*on_wait)(
        void *wait_ctx); /* at least once a second while a batch is under way, or NULL */
    void *wait_ctx;
    struct buf body, packed;
    struct {
        const char *file;
        uint64_t line;
    } origin[SENDER_ENTRIES];
    uint32_t n;
    char run[33];
    uint64_t batches;
    /* so far */
    uint64_t accepted, rejected, duplicates;
    struct {
        const char *file;
        uint64_t line;
        char reason[200];
    } reasons[SENDER_REASONS];
    uint32_t nreasons;
    int64_t waited_note; /* said that we wait */
};
/* `path` is the route with its parameters. */
int sender_init(struct sender *s, struct cli *c, struct client *client, const char *path);
void sender_deinit(struct sender *s);
/* Adds one entry (without newlines); sends when a batch is full. 0 or an exit code. `file` lives as
 * long as the sender. */
int sender_add(struct sender *s, str entry, const char *file, uint64_t line);
int sender_flush(struct sender *s);
/* counts an entry that never left this machine */
void sender_reject(struct sender *s, const char *file, uint64_t line, const char *reason);

#endif
