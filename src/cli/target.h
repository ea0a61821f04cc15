/* target.h: where the data is: a server, or a directory read without one.
 *
 * --url / FLEETLOG_URL name a server; --data-dir / FLEETLOG_DATA_DIR a directory, which is read by
 * this process unless a server holds it: then that server is asked. Neither: the default server if
 * it answers, else the default directory. An option beats the environment. */
#ifndef FL_CLI_TARGET_H
#define FL_CLI_TARGET_H

#include "cli/cli.h"
#include "cli/client.h"
#include "io/io.h"
#include "store/store.h"

struct target {
    struct client *client; /* set: ask the server */
    char dir[4096];        /* else: this directory */
    struct io *io;
    struct store *store;
    char key[520];
};

enum need {
    NEED_READ,   /* a directory is opened read-only */
    NEED_WRITE,  /* a directory without a server is opened as its writer */
    NEED_SERVER, /* only a server will do */
    NEED_PLACE   /* a server if one is named or answers by default, else the directory's name */
};
/* 0 or an exit code, having said what is wrong. */
int target_open(struct cli *c, struct target *t, enum need need);
void target_close(struct target *t);
/* The directory the options name, or the default one; never asks a server. */
int target_dir(struct cli *c, char out[4096]);
/* A server's URL the options name, NULL when they name none. */
const char *target_url_named(const struct cli *c);
/* The directory the options or the environment name, NULL when they name none. */
const char *target_dir_named(const struct cli *c);
/* reads --key-file or FLEETLOG_API_KEY into out ("" when there is none); 0 or an exit code */
int target_key(struct cli *c, char out[520]);
/* set by SIGINT and SIGTERM once target_catch_signals was called: streams end then */
extern volatile int target_stop;
void target_catch_signals(void);

#endif
