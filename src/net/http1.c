/* http1.c: strict HTTP/1.x heads and chunked bodies.
 *
 * A head is read line by line. A line is looked at once it is complete, so that the result does
 * not depend on how the bytes were cut; `pos` remembers where the next line starts, so that a
 * byte is scanned for its line feed again only while its own line is incomplete.
 *
 *   [CRLF] method SP target SP "HTTP/1." ("0" | "1") CRLF      at most `window` bytes, then 414
 *   *( name ":" OWS value OWS CRLF ) CRLF                      at most max_block bytes, then 431
 *
 * Invariants:
 *  1. Every line ends with CR LF; no other CR, LF, NUL or control character is let through.
 *  2. The length of the body has one meaning: one Content-Length of digits, or one
 *     Transfer-Encoding that is exactly "chunked" on HTTP/1.1, never both, or none.
 *  3. An accepted HTTP/1.1 head has exactly one valid Host. */
#include "net/http1.h"

#include <string.h>

/* bit 0: token character, bit 1: hex digit, bit 2: host character, bit 3: target character */
enum { CT_TOKEN = 1, CT_HEX = 2, CT_HOST = 4, CT_TARGET = 8 };
#define T8 CT_TARGET
#define T9 (CT_TOKEN | CT_TARGET)
#define TH (CT_HOST | CT_TARGET)
#define TA (CT_TOKEN | CT_HOST | CT_TARGET)
#define TX (CT_TOKEN | CT_HEX | CT_HOST | CT_TARGET)
static const uint8_t ctype[256] = {
    ['!'] = TA, ['"'] = T8, ['$'] = TA,       ['%'] = TA, ['&'] = TA, ['\''] = TA, ['('] = TH,
    [')'] = TH, ['*'] = TA, ['+'] = TA,       [','] = T8, ['-'] = TA, ['.'] = TA,  ['/'] = T8,
    ['0'] = TX, ['1'] = TX, ['2'] = TX,       ['3'] = TX, ['4'] = TX, ['5'] = TX,  ['6'] = TX,
    ['7'] = TX, ['8'] = TX, ['9'] = TX,       [':'] = T8, [';'] = TH, ['<'] = T8,  ['='] = TH,
    ['>'] = T8, ['?'] = T8, ['@'] = T8,       ['A'] = TX, ['B'] = TX, ['C'] = TX,  ['D'] = TX,
    ['E'] = TX, ['F'] = TX, ['G'] = TA,       ['H'] = TA, ['I'] = TA, ['J'] = TA,  ['K'] = TA,
    ['L'] = TA, ['M'] = TA, ['N'] = TA,       ['O'] = TA, ['P'] = TA, ['Q'] = TA,  ['R'] = TA,
    ['S'] = TA, ['T'] = TA, ['U'] = TA,       ['V'] = TA, ['W'] = TA, ['X'] = TA,  ['Y'] = TA,
    ['Z'] = TA, ['['] = T8, ['\\'] = T8,      [']'] = T8, ['^'] = T9, ['_'] = TA,  ['`'] = T9,
    ['a'] = TX, ['b'] = TX, ['c'] = TX,       ['d'] = TX, ['e'] = TX, ['f'] = TX,  ['g'] = TA,
    ['h'] = TA, ['i'] = TA, ['j'] = TA,       ['k'] = TA, ['l'] = TA, ['m'] = TA,  ['n'] = TA,
    ['o'] = TA, ['p'] = TA, ['q'] = TA,       ['r'] = TA, ['s'] = TA, ['t'] = TA,  ['u'] = TA,
    ['v'] = TA, ['w'] = TA, ['x'] = TA,       ['y'] = TA, ['z'] = TA, ['{'] = T8,  ['|'] = T9,
    ['}'] = T8, ['~'] = TA, ['#'] = CT_TOKEN,
};

static inline bool is(uint8_t c, unsigned kind)
{
    return ctype[c] & kind;
}

static bool all_are(str s, unsigned kind)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is((uint8_t)s.p[i], kind))
            return false;
    return true;
}

bool http1_is_token(str s)
{
    return s.n > 0 && all_are(s, CT_TOKEN);
}

/* s equals the lower-case literal; s holds token characters only, so that setting bit 5 folds
 * letters and changes nothing else that could match */
static bool name_is(str s, str lower)
{
    if (s.n != lower.n)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] | 0x20) != lower.p[i])
            return false;
    return true;
}

static inline bool is_value_byte(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* no control characters but HT; eight bytes at a time */
static bool value_valid(str s)
{
    const uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t x;
        memcpy(&x, s.p + i, 8);
        uint64_t del = x ^ ones * 0x7f;
        uint64_t odd = ((x - ones * 0x20) & ~x) | ((del - ones) & ~del);
        if (odd & high)
            for (size_t k = i; k < i + 8; k++)
                if (!is_value_byte((uint8_t)s.p[k]))
                    return false;
    }
    for (; i < s.n; i++)
        if (!is_value_byte((uint8_t)s.p[i]))
            return false;
    return true;
}

bool http1_list_next(str *rest, str *ret)
{
    while (rest->n) {
        const char *comma = memchr(rest->p, ',', rest->n);
        size_t n = comma ? (size_t)(comma - rest->p) : rest->n;
        str item = str_trim(str_n(rest->p, n));
        *rest = str_skip(*rest, comma ? n + 1 : n);
        if (item.n) {
            *ret = item;
            return true;
        }
    }
    return false;
}

bool http1_host_valid(str s)
{
    if (s.n == 0)
        return false;
    size_t i = 0;
    if (s.p[0] == '[') { /* IPv6 literal */
        for (i = 1; i < s.n && s.p[i] != ']'; i++)
            if (!is((uint8_t)s.p[i], CT_HEX) && s.p[i] != ':' && s.p[i] != '.')
                return false;
        if (i == s.n || i == 1)
            return false;
        i++;
    } else {
        while (i < s.n && is((uint8_t)s.p[i], CT_HOST))
            i++;
        if (i == 0)
            return false;
    }
    if (i == s.n)
        return http1_escapes_valid(s);
    if (s.p[i] != ':' || s.n - i - 1 > 5)
        return false;
    for (size_t k = i + 1; k < s.n; k++)
        if (s.p[k] < '0' || s.p[k] > '9')
            return false;
    return http1_escapes_valid(str_sub(s, 0, i));
}

bool http1_escapes_valid(str s)
{
    const char *end = s.p + s.n;
    for (const char *p = s.p; p < end; p++) {
        p = memchr(p, '%', (size_t)(end - p));
        if (!p)
            return true;
        if (end - p < 3 || !is((uint8_t)p[1], CT_HEX) || !is((uint8_t)p[2], CT_HEX))
            return false;
        if (p[1] == '0' && p[2] == '0')
            return false;
        p += 2;
    }
    return true;
}

/* ---- heads ---- */

void http1_head_init(struct http1_head *h, struct http1_field *fields, uint32_t max_fields,
                     uint32_t max_url, uint32_t max_block)
{
    memset(h, 0, sizeof *h);
    h->fields = fields;
    h->max_fields = max_fields;
    h->max_url = max_url;
    h->max_block = max_block;
    h->content_length = -1;
    h->host = -1;
    h->encoding = -1;
}

static int refuse(struct http1_head *h, int status, const char *why)
{
    h->why = why;
    return -status;
}

/* absolute-form: splits "http://authority/path?query" */
static int parse_absolute(struct http1_head *h, const char *base, str target)
{
    size_t skip = 0;
    if (str_eq_ci(str_sub(target, 0, 7), STR("http://")))
        skip = 7;
    else if (str_eq_ci(str_sub(target, 0, 8), STR("https://")))
        skip = 8;
    if (!skip)
        return refuse(h, 400, "the request target is neither a path nor an http URL");
    str rest = str_skip(target, skip);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    if (!http1_host_valid(str_sub(rest, 0, n)))
        return refuse(h, 400, "the request target names no valid host");
    h->authority = (uint32_t)(rest.p - base);
    h->authority_n = (uint32_t)n;
    h->origin = (uint32_t)(rest.p + n - base);
    h->origin_n = (uint32_t)(rest.n - n);
    return 0;
}

static int parse_target(struct http1_head *h, const char *base, str method, str target)
{
    if (target.n > h->max_url)
        return refuse(h, 414, "the request target is too long");
    if (target.n == 0 || !all_are(target, CT_TARGET))
        return refuse(h, 400, "the request target holds a forbidden character");
    h->target = (uint32_t)(target.p - base);
    h->target_n = (uint32_t)target.n;
    h->origin = h->target;
    h->origin_n = h->target_n;
    if (target.p[0] != '/') {
        if (str_eq(target, STR("*")) && str_eq(method, STR("OPTIONS")))
            return 0;
        int r = parse_absolute(h, base, target);
        if (r)
            return r;
    }
    str path = str_n(base + h->origin, h->origin_n);
    size_t q = str_chr(path, '?');
    if (!http1_escapes_valid(str_sub(path, 0, q)))
        return refuse(h, 400, "the path has a bad percent escape");
    return 0;
}

/* line is without its CR LF */
static int parse_request_line(struct http1_head *h, const char *base, str line)
{
    size_t m = 0;
    while (m < line.n && is((uint8_t)line.p[m], CT_TOKEN))
        m++;
    if (m == 0 || m > HTTP1_METHOD_MAX || m == line.n || line.p[m] != ' ')
        return refuse(h, 400, "the request line is malformed");
    const char *sp = memrchr(line.p, ' ', line.n);
    size_t last = (size_t)(sp - line.p);
    str version = str_skip(line, last + 1);
    if (last == m || version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[6] != '.' ||
        version.p[5] < '0' || version.p[5] > '9' || version.p[7] < '0' || version.p[7] > '9')
        return refuse(h, 400, "the request line is malformed");
    h->method = (uint32_t)(line.p - base);
    h->method_n = (uint32_t)m;
    int r = parse_target(h, base, str_sub(line, 0, m), str_sub(line, m + 1, last - m - 1));
    if (r)
        return r;
    if (version.p[5] != '1' || version.p[7] > '1')
        return refuse(h, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    h->minor = (uint8_t)(version.p[7] - '0');
    h->keep_alive = h->minor == 1;
    return 0;
}

static int parse_content_length(struct http1_head *h, str v)
{
    if (h->content_length >= 0)
        return refuse(h, 400, "more than one Content-Length");
    if (v.n == 0 || v.n > 18)
        return refuse(h, 400, "bad Content-Length");
    int64_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return refuse(h, 400, "bad Content-Length");
        n = n * 10 + (v.p[i] - '0');
    }
    h->content_length = n;
    return 0;
}

static int parse_transfer_encoding(struct http1_head *h, str v)
{
    if (h->chunked)
        return refuse(h, 400, "more than one Transfer-Encoding");
    if (h->minor == 0)
        return refuse(h, 400, "Transfer-Encoding in HTTP/1.0");
    if (str_eq_ci(v, STR("chunked"))) {
        h->chunked = true;
        return 0;
    }
    for (size_t i = 0; i + 7 <= v.n; i++)
        if (str_eq_ci(str_sub(v, i, 7), STR("chunked")))
            return refuse(h, 400, "Transfer-Encoding is not exactly \"chunked\"");
    if (!http1_is_token(v))
        return refuse(h, 400, "bad Transfer-Encoding");
    return refuse(h, 501, "unknown Transfer-Encoding");
}

static void parse_connection(struct http1_head *h, str v, bool *ret_close)
{
    str item;
    while (http1_list_next(&v, &item)) {
        if (str_eq_ci(item, STR("close")))
            *ret_close = true;
        else if (str_eq_ci(item, STR("keep-alive")))
            h->keep_alive = true;
        else if (str_eq_ci(item, STR("upgrade")))
            h->upgrade = true;
    }
}

/* the fields that decide how the message is framed */
static int parse_known(struct http1_head *h, str name, str v)
{
    switch (name.n) {
    case 4:
        if (name_is(name, STR("host"))) {
            if (h->host >= 0)
                return refuse(h, 400, "more than one Host");
            if (!http1_host_valid(v))
                return refuse(h, 400, "bad Host");
            h->host = (int32_t)h->nfields;
        }
        return 0;
    case 6:
        if (name_is(name, STR("expect"))) {
            if (!str_eq_ci(v, STR("100-continue")))
                return refuse(h, 417, "the only expectation met here is 100-continue");
            h->expect_continue = true;
        }
        return 0;
    case 14: return name_is(name, STR("content-length")) ? parse_content_length(h, v) : 0;
    case 16:
        if (name_is(name, STR("content-encoding"))) {
            h->two_encodings = h->encoding >= 0;
            h->encoding = (int32_t)h->nfields;
        }
        return 0;
    case 17: return name_is(name, STR("transfer-encoding")) ? parse_transfer_encoding(h, v) : 0;
    default: return 0;
    }
}

static int parse_field(struct http1_head *h, const char *base, str line)
{
    size_t m = 0;
    while (m < line.n && is((uint8_t)line.p[m], CT_TOKEN))
        m++;
    if (m == 0 || m == line.n || line.p[m] != ':')
        return refuse(h, 400, "malformed header name");
    if (h->nfields == h->max_fields)
        return refuse(h, 431, "too many header lines");
    const char *v = line.p + m + 1, *end = line.p + line.n;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    str name = str_sub(line, 0, m), value = str_n(v, (size_t)(end - v));
    if (!value_valid(value))
        return refuse(h, 400, "control character in a header value");
    int r = parse_known(h, name, value);
    if (r)
        return r;
    h->fields[h->nfields++] = (struct http1_field){
        (uint32_t)(line.p - base),
        (uint32_t)m,
        (uint32_t)(v - base),
        (uint32_t)value.n,
    };
    return 0;
}

/* what can only be judged with every header line at hand */
static int finish(struct http1_head *h, const char *base)
{
    if (h->chunked && h->content_length >= 0)
        return refuse(h, 400, "both Content-Length and Transfer-Encoding");
    if (h->host < 0 && h->minor == 1)
        return refuse(h, 400, "no Host");
    if (h->authority_n && h->host >= 0) {
        const struct http1_field *f = &h->fields[h->host];
        if (!str_eq_ci(str_n(base + h->authority, h->authority_n),
                       str_n(base + f->value, f->value_n)))
            return refuse(h, 400, "Host contradicts the request target");
    }
    bool close = false;
    for (uint32_t i = 0; i < h->nfields; i++) {
        const struct http1_field *f = &h->fields[i];
        if (f->name_n == 10 && name_is(str_n(base + f->name, 10), STR("connection")))
            parse_connection(h, str_n(base + f->value, f->value_n), &close);
    }
    if (close)
        h->keep_alive = false;
    if (h->minor == 0)
        h->expect_continue = h->upgrade = false;
    return 0;
}

/* Skips the one empty line tolerated before a request. 1: go on, 0: more is needed. */
static int skip_leading(struct http1_head *h, const char *p, size_t n)
{
    while (h->pos < n && p[h->pos] == '\r') {
        if (n - h->pos < 2)
            return 0;
        if (p[h->pos + 1] != '\n' || h->leading_crlf)
            return refuse(h, 400, "the request line is malformed");
        h->leading_crlf = 1;
        h->pos += 2;
    }
    if (h->pos == n)
        return 0;
    if (!is((uint8_t)p[h->pos], CT_TOKEN))
        return refuse(h, 400, "the request line is malformed");
    return 1;
}

/* no line feed where one must be: which limit was passed? */
static int too_long(struct http1_head *h, const char *p)
{
    if (h->block)
        return refuse(h, 431, "the header block is too large");
    str start = str_n(p + h->pos, HTTP1_METHOD_MAX + 1);
    size_t sp = str_chr(start, ' ');
    if (sp == SIZE_MAX || !http1_is_token(str_sub(start, 0, sp)))
        return refuse(h, 400, "the request line is malformed");
    return refuse(h, 414, "the request target is too long");
}

int64_t http1_head_feed(struct http1_head *h, const char *p, size_t n)
{
    if (!h->block) {
        int r = skip_leading(h, p, n);
        if (r <= 0)
            return r;
    }
    for (;;) {
        size_t room = h->block ? h->max_block - (h->pos - h->block)
                               : HTTP1_METHOD_MAX + h->max_url + sizeof "  HTTP/1.1\r\n" - 1;
        size_t have = n - h->pos;
        const char *line = p + h->pos;
        const char *lf = memchr(line, '\n', have < room ? have : room);
        if (!lf)
            return have >= room ? too_long(h, p) : 0;
        if (lf == line || lf[-1] != '\r')
            return refuse(h, 400, "a line must end with CR LF");
        str s = str_n(line, (size_t)(lf - line) - 1);
        uint32_t next = (uint32_t)(lf + 1 - p);
        int r;
        if (!h->block)
            r = parse_request_line(h, p, s);
        else if (s.n)
            r = parse_field(h, p, s);
        else
            r = finish(h, p);
        if (r)
            return r;
        if (h->block && !s.n)
            return next;
        h->pos = next;
        if (!h->block)
            h->block = next;
    }
}

/* ---- chunked bodies ----
 *
 *   SIZE digits [EXT] CR -> LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *   size 0: LF -> LINE; LINE CR -> END_LF -> DONE; LINE name ":" -> VALUE CR -> VALUE_LF -> LINE */
enum {
    CK_SIZE,
    CK_EXT,
    CK_SIZE_LF,
    CK_DATA,
    CK_DATA_CR,
    CK_DATA_LF,
    CK_LINE,
    CK_NAME,
    CK_VALUE,
    CK_VALUE_LF,
    CK_END_LF,
    CK_DONE,
    CK_BAD
};

void http1_chunked_init(struct http1_chunked *d)
{
    memset(d, 0, sizeof *d);
}

static int chunk_refuse(struct http1_chunked *d, const char *why)
{
    d->state = CK_BAD;
    d->why = why;
    return -400;
}

static int hex_value(uint8_t c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static int chunk_size_byte(struct http1_chunked *d, uint8_t c)
{
    if (++d->line > HTTP1_CHUNK_LINE)
        return chunk_refuse(d, "a chunk extension is too long");
    if (d->state == CK_SIZE && is(c, CT_HEX)) {
        if (++d->digits > 8)
            return chunk_refuse(d, "bad chunk size");
        d->left = d->left << 4 | (uint64_t)hex_value(c);
        return 0;
    }
    if (d->digits == 0)
        return chunk_refuse(d, "bad chunk size");
    if (c == '\r') {
        d->state = CK_SIZE_LF;
        return 0;
    }
    if (d->state == CK_SIZE ? c != ';' : !is_value_byte(c))
        return chunk_refuse(d, "bad chunk size");
    if (++d->ext > HTTP1_CHUNK_EXT)
        return chunk_refuse(d, "too many chunk extensions");
    d->state = CK_EXT;
    return 0;
}

static int chunk_trailer_byte(struct http1_chunked *d, uint8_t c)
{
    if (++d->trailer > HTTP1_TRAILER_BYTES)
        return chunk_refuse(d, "the trailers are too large");
    switch (d->state) {
    case CK_LINE:
        if (c == '\r') {
            d->state = CK_END_LF;
            return 0;
        }
        if (!is(c, CT_TOKEN) || ++d->trailers > HTTP1_TRAILER_COUNT)
            return chunk_refuse(d, "malformed trailer");
        d->state = CK_NAME;
        return 0;
    case CK_NAME:
        if (c == ':')
            d->state = CK_VALUE;
        else if (!is(c, CT_TOKEN))
            return chunk_refuse(d, "malformed trailer");
        return 0;
    case CK_VALUE:
        if (c == '\r')
            d->state = CK_VALUE_LF;
        else if (!is_value_byte(c))
            return chunk_refuse(d, "malformed trailer");
        return 0;
    default: /* CK_VALUE_LF */
        if (c != '\n')
            return chunk_refuse(d, "malformed trailer");
        d->state = CK_LINE;
        return 0;
    }
}

static int chunk_byte(struct http1_chunked *d, uint8_t c)
{
    switch (d->state) {
    case CK_SIZE:
    case CK_EXT: return chunk_size_byte(d, c);
    case CK_SIZE_LF:
        if (c != '\n')
            return chunk_refuse(d, "a chunk line must end with CR LF");
        d->state = d->left ? CK_DATA : CK_LINE;
        return 0;
    case CK_DATA_CR:
        if (c != '\r')
            return chunk_refuse(d, "chunk data must end with CR LF");
        d->state = CK_DATA_LF;
        return 0;
    case CK_DATA_LF:
        if (c != '\n')
            return chunk_refuse(d, "chunk data must end with CR LF");
        d->state = CK_SIZE;
        d->digits = 0;
        d->line = 0;
        return 0;
    case CK_END_LF:
        if (c != '\n')
            return chunk_refuse(d, "the trailers must end with CR LF");
        d->state = CK_DONE;
        return 0;
    case CK_BAD: return -400;
    default: return chunk_trailer_byte(d, c);
    }
}

int http1_chunked_feed(struct http1_chunked *d, const char *p, size_t n, size_t *ret_used,
                       str *ret_data)
{
    size_t i = 0;
    *ret_used = 0;
    while (i < n && d->state != CK_DONE) {
        if (d->state == CK_DATA) {
            size_t take = n - i < d->left ? n - i : (size_t)d->left;
            d->left -= take;
            if (d->left == 0)
                d->state = CK_DATA_CR;
            *ret_data = str_n(p + i, take);
            *ret_used = i + take;
            return HTTP1_CHUNK_DATA;
        }
        int r = chunk_byte(d, (uint8_t)p[i++]);
        if (r)
            return r;
    }
    *ret_used = i;
    return d->state == CK_DONE ? HTTP1_CHUNK_END : HTTP1_CHUNK_MORE;
}
