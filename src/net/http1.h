/* http1.h: the HTTP/1.x message parser: heads and chunked bodies, strict RFC 9112.
 *
 * Pure functions over bytes: no allocation, no I/O, no clock. Both parsers are incremental and
 * give the same result however the bytes are cut. What two implementations could read in two
 * ways is refused; nothing is repaired. Not thread-safe; one parser belongs to one connection. */
#ifndef FL_NET_HTTP1_H
#define FL_NET_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define HTTP1_METHOD_MAX 32   /* longer method names are 400 */
#define HTTP1_CHUNK_LINE 256  /* bytes of one chunk-size line with its extensions */
#define HTTP1_CHUNK_EXT 16384 /* bytes of all chunk extensions of a body */
#define HTTP1_TRAILER_BYTES 8192
#define HTTP1_TRAILER_COUNT 32

/* places in the buffer, relative to the first byte given to http1_head_feed */
struct http1_field {
    uint32_t name, name_n, value, value_n;
};

struct http1_head {
    /* set by http1_head_init */
    struct http1_field *fields; /* caller's storage */
    uint32_t max_fields;
    uint32_t max_url, max_block;

    /* progress */
    uint32_t pos;         /* first byte of the line that is next */
    uint32_t block;       /* where the header lines start; 0: the request line is not read yet */
    uint8_t leading_crlf; /* empty lines skipped before the request line */

    /* result, valid once http1_head_feed returned > 0 */
    uint32_t nfields;
    uint32_t method, method_n;
    uint32_t target, target_n;       /* as sent */
    uint32_t authority, authority_n; /* of an absolute-form target; n = 0 otherwise */
    uint32_t origin, origin_n;       /* target without scheme and authority; n = 0: means "/" */
    int64_t content_length;          /* -1: no such header */
    uint8_t minor;                   /* HTTP/1.minor */
    bool chunked;
    bool keep_alive;
    bool expect_continue;
    bool upgrade;       /* Connection names "upgrade" */
    int32_t host;       /* index of the field, -1: none */
    int32_t encoding;   /* index of Content-Encoding, -1: none */
    bool two_encodings; /* Content-Encoding more than once */

    const char *why; /* on error: one sentence */
};

void http1_head_init(struct http1_head *h, struct http1_field *fields, uint32_t max_fields,
                     uint32_t max_url, uint32_t max_block);
/* p[0..n) is everything received of this message so far; call again with more appended (p may
 * move). > 0: the head is complete and this many bytes long; 0: more is needed; < 0: minus the
 * HTTP status to refuse it with, and h->why. */
int64_t http1_head_feed(struct http1_head *h, const char *p, size_t n);
static inline bool http1_head_started(const struct http1_head *h)
{
    return h->pos > 0;
}

enum http1_chunk_step {
    HTTP1_CHUNK_MORE = 0, /* all of p was used, more is needed */
    HTTP1_CHUNK_DATA = 1, /* *ret_data is the next piece of the body */
    HTTP1_CHUNK_END = 2,  /* the body and its trailers are over */
};
struct http1_chunked {
    uint64_t left;     /* bytes of chunk data still to come */
    uint32_t line;     /* bytes of this line so far */
    uint32_t ext;      /* extension bytes of all lines */
    uint32_t trailer;  /* bytes of trailers */
    uint16_t trailers; /* trailer fields */
    uint8_t digits;
    uint8_t state;
    const char *why;
};
void http1_chunked_init(struct http1_chunked *d);
/* Uses up to n bytes of p, *ret_used says how many; the rest is to be given again. < 0: minus the
 * HTTP status, and d->why. */
int http1_chunked_feed(struct http1_chunked *d, const char *p, size_t n, size_t *ret_used,
                       str *ret_data);

/* RFC 9110 token characters; also what a field name is made of */
bool http1_is_token(str s);
/* Calls for each comma-separated element, trimmed, empty ones left out. False at the end. */
bool http1_list_next(str *rest, str *ret);
/* host[:port] of a Host header or an absolute target; not empty */
bool http1_host_valid(str s);
/* every '%' is followed by two hex digits, none is %00 */
bool http1_escapes_valid(str s);

#endif
