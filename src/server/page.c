/* page.c: the dashboard, GET / and GET /logs for browsers.
 *
 * web/build.mjs makes one file of it, with script and style inline, and says the hashes of the two:
 * the policy allows nothing else, and the page talks to its own server only. It is embedded as gzip
 * and sent so; who does not take gzip gets it unpacked. */
#include <string.h>

#include "base/mem.h"
#include "codec/zip.h"
#include "page_embed.h"
#include "server/internal.h"

__asm__(".section .rodata\n"
        ".global fl_page\nfl_page:\n"
        ".incbin \"" FL_PAGE_GZ "\"\n"
        ".global fl_page_end\nfl_page_end:\n"
        ".previous\n");
extern const char fl_page[], fl_page_end[];

#define POLICY                                                                                     \
    "default-src 'none'; script-src " PAGE_SCRIPT_HASH "; style-src " PAGE_STYLE_HASH              \
    "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "                   \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
#define HEADERS                                                                                    \
    "Cache-Control: no-cache\r\nETag: \"" PAGE_DIGEST "\"\r\nContent-Security-Policy: " POLICY     \
    "\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n"              \
    "Cross-Origin-Resource-Policy: same-origin\r\nX-Frame-Options: DENY\r\n"                       \
    "Vary: Accept, Accept-Encoding\r\n"

int page_new(struct server *s, struct err *err)
{
    struct buf page;
    buf_init(&page, PAGE_BYTES + 1);
    str gz = { fl_page, (size_t)(fl_page_end - fl_page) };
    int rc = zip_decode(ZIP_GZIP, gz, &page, NULL, err);
    if (!rc && page.n != PAGE_BYTES)
        rc = err_set(err, ERR_CORRUPT, "the embedded page has %zu bytes, not %d", page.n,
                     PAGE_BYTES);
    if (!rc)
        s->page = buf_take(&page, &s->page_n);
    buf_deinit(&page);
    return rc ? rc : s->page ? 0 : err_nomem(err);
}

void page_free(struct server *s)
{
    mem_free(s->page);
}

static bool takes_gzip(const struct http_req *req)
{
    str accepted = http_header(req, "accept-encoding");
    size_t at = str_find(accepted, STR("gzip"));
    return at != SIZE_MAX && !str_starts(str_skip(accepted, at + 4), STR(";q=0"));
}

void reply_page(struct call *c)
{
    bool same = str_eq(http_header(c->req, "if-none-match"), STR("\"" PAGE_DIGEST "\""));
    int status = same ? 304 : 200;
    metric_done(&c->s->metrics, c->route->kind, status, mono_ns() - c->started);
    if (same)
        http_respond(c->req, 304, NULL, HEADERS, STR_NULL);
    else if (takes_gzip(c->req))
        http_respond(c->req, 200, "text/html; charset=utf-8", HEADERS "Content-Encoding: gzip\r\n",
                     (str){ fl_page, (size_t)(fl_page_end - fl_page) });
    else
        http_respond(c->req, 200, "text/html; charset=utf-8", HEADERS,
                     str_n(c->s->page, c->s->page_n));
}
