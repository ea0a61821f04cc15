/* feed.h: lines and JSON values out of files, pipes and compressed files, in bounded memory.
 *
 * gzip and zstd are recognised by their first bytes, whatever the name. A line longer than
 * FEED_LINE_MAX is skipped and reported, never cut in two. */
#ifndef FL_CLI_FEED_H
#define FL_CLI_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define FEED_LINE_MAX (8u << 20)

struct feed;

enum feed_result {
    FEED_ITEM = 0,
    FEED_END = 1,      /* end of file (for a followed file: for now) */
    FEED_TOO_LONG = 2, /* the line feed_line_no names was skipped */
};

/* path "-" is standard input. follow: an unfinished last line waits for its end. */
int feed_open(struct feed **ret, const char *path, bool follow, bool from_end, struct err *err);
void feed_close(struct feed *f);
/* Next line without its end; valid until the next call. < 0: error. */
int feed_line(struct feed *f, str *ret, struct err *err);
/* Next top-level JSON value, or element of a top-level array. < 0: error. */
int feed_value(struct feed *f, str *ret, struct err *err);
/* Whatever comes next, as it comes: for reading a file whole. < 0: error. */
int feed_chunk(struct feed *f, str *ret, struct err *err);
/* the first bytes, unread: for telling formats apart */
int feed_peek(struct feed *f, str *ret, struct err *err);
uint64_t feed_line_no(const struct feed *f);   /* of the item last returned, from 1 */
uint64_t feed_raw_bytes(const struct feed *f); /* bytes of the file read so far */
uint64_t feed_size(const struct feed *f);      /* of the file; 0 when it is not a regular one */
const char *feed_path(const struct feed *f);
/* A followed file at its end: was it truncated, or replaced by another of its name? Then it is read
 * anew from there. Returns true when there is something new to read. */
bool feed_renew(struct feed *f);

#endif
