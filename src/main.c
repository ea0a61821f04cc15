/* main.c: the program is its command line.
 *
 * It also tells the allocator, where that is jemalloc, how it is used here (MALLOC_CONF in the
 * environment has the last word). By default jemalloc keeps freed pages for ten seconds in each of
 * four arenas a core; a server that fills and flushes 100 MB/s would hold as much again in pages
 * that wait for their own arena's next request. Requests of a page and more are few (some ten a
 * batch), so two arenas do; half a second bridges the gap between one flush and the next; and the
 * pages go back by jemalloc's own thread, because a server that has become quiet makes no request
 * that would remind it. */
#include "cli/cli.h"

extern const char *malloc_conf;
const char *malloc_conf = "narenas:2,dirty_decay_ms:500,muzzy_decay_ms:0,"
                          "background_thread:true,max_background_threads:1";

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
