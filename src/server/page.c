/* page.c: the live page, GET / and GET /logs for browsers.
 *
 * web/page.html, page.css and page.js are embedded and put together once at start. The policy names
 * the hashes of the two inline parts, so nothing else ever runs in it; it may only talk to its own
 * server. */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "server/internal.h"

#define EMBED(name, file)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            ".global " #name "\n" #name ":\n"                                                      \
            ".incbin \"" FL_WEB_DIR "/" file "\"\n"                                                \
            ".global " #name "_end\n" #name "_end:\n"                                              \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern const char name[], name##_end[]

EMBED(fl_page_html, "page.html");
EMBED(fl_page_css, "page.css");
EMBED(fl_page_js, "page.js");

static bool put_hash(struct buf *b, str text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char b64[64];
    unsigned n = 0;
    if (EVP_Digest(text.p, text.n, digest, &n, EVP_sha256(), NULL) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)b64, digest, (int)n);
    buf_printf(b, "'sha256-%s'", b64);
    return true;
}

/* replaces the first `mark` of html by text */
static void put_with(struct buf *b, str *html, str mark, str text)
{
    size_t at = str_find(*html, mark);
    if (at == SIZE_MAX)
        return;
    buf_putstr(b, str_sub(*html, 0, at));
    buf_putstr(b, text);
    *html = str_skip(*html, at + mark.n);
}

int page_new(struct server *s, struct err *err)
{
    str html = { fl_page_html, (size_t)(fl_page_html_end - fl_page_html) };
    str css = { fl_page_css, (size_t)(fl_page_css_end - fl_page_css) };
    str js = { fl_page_js, (size_t)(fl_page_js_end - fl_page_js) };
    struct buf page, headers;
    buf_init(&page, (size_t)4 << 20);
    buf_init(&headers, 4096);
    put_with(&page, &html, STR("/*STYLE*/"), css);
    put_with(&page, &html, STR("/*SCRIPT*/"), js);
    buf_putstr(&page, html);
    buf_puts(&headers, "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; "
                       "script-src ");
    bool ok = put_hash(&headers, js);
    buf_puts(&headers, "; style-src ");
    ok &= put_hash(&headers, css);
    buf_puts(&headers, "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"
                       "Cross-Origin-Opener-Policy: same-origin\r\n"
                       "Cross-Origin-Resource-Policy: same-origin\r\n"
                       "X-Frame-Options: DENY\r\nVary: Accept\r\n");
    buf_putc(&headers, '\0');
    if (ok && buf_ok(&page) && buf_ok(&headers)) {
        s->page = buf_take(&page, &s->page_n);
        s->page_headers = buf_take(&headers, NULL);
    }
    buf_deinit(&page);
    buf_deinit(&headers);
    return s->page && s->page_headers ? 0 : err_nomem(err);
}

void page_free(struct server *s)
{
    mem_free(s->page);
    mem_free(s->page_headers);
}

void reply_page(struct call *c)
{
    metric_done(&c->s->metrics, c->route->kind, 200, mono_ns() - c->started);
    http_respond(c->req, 200, "text/html; charset=utf-8", c->s->page_headers,
                 str_n(c->s->page, c->s->page_n));
}
