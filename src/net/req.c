/* req.c: what handlers ask of a request: headers, parameters, content preference. */
#include <string.h>

#include "net/internal.h"

str http_header(const struct http_req *req, const char *name)
{
    str want = str_c(name);
    for (uint32_t i = 0; i < req->nheaders; i++)
        if (req->headers[i].name.n == want.n && str_eq_ci(req->headers[i].name, want))
            return req->headers[i].value;
    return STR_NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(struct arena *a, str s, bool plus, str *ret)
{
    char *out = arena_alloc(a, s.n + 1);
    if (!out)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = s.n - i > 2 ? hex_value(s.p[i + 1]) : -1;
            int lo = s.n - i > 2 ? hex_value(s.p[i + 2]) : -1;
            if (hi >= 0 && lo >= 0) {
                c = (char)(hi << 4 | lo);
                i += 2;
            } else if (!plus) {
                return false;
            }
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = 0;
    *ret = str_n(out, n);
    return true;
}

bool http_param_nth(struct http_req *req, const char *name, uint32_t nth, str *ret)
{
    str rest = req->query, want = str_c(name), pair;
    while (rest.p && str_split(&rest, '&', &pair)) {
        size_t eq = str_chr(pair, '=');
        str key = str_sub(pair, 0, eq);
        str value = eq == SIZE_MAX ? STR("") : str_skip(pair, eq + 1);
        if (key.n < want.n)
            continue;
        if (!str_eq(key, want)) { /* a name may be escaped, too; most are not */
            if (!key.n || (!memchr(key.p, '%', key.n) && !memchr(key.p, '+', key.n)))
                continue;
            if (!http_unescape(req->arena, key, true, &key) || !str_eq(key, want))
                continue;
        }
        if (nth-- == 0)
            return http_unescape(req->arena, value, true, ret);
    }
    return false;
}

bool http_param(struct http_req *req, const char *name, str *ret)
{
    return http_param_nth(req, name, 0, ret);
}

/* "q=0.8" of a media range in thousandths */
static int quality(str params)
{
    str part;
    while (params.p && str_split(&params, ';', &part)) {
        double q;
        part = str_trim(part);
        if (part.n > 2 && (part.p[0] | 0x20) == 'q' && part.p[1] == '=' &&
            str_to_f64(str_skip(part, 2), &q))
            return q <= 0 ? 0 : q >= 1 ? 1000 : (int)(q * 1000);
    }
    return 1000;
}

struct preference {
    str type, family;         /* "text/html", and its wildcard range */
    int quality, specificity; /* of the range that names it best */
};

static void consider(struct preference *p, str range, int q)
{
    int s = str_eq_ci(range, p->type)      ? 3
            : str_eq_ci(range, p->family)  ? 2
            : str_eq_ci(range, STR("*/*")) ? 1
                                           : 0;
    if (s > p->specificity) {
        p->specificity = s;
        p->quality = q;
    }
}

bool http_prefers_html(const struct http_req *req)
{
    struct preference html = { STR("text/html"), STR("text/*"), 0, 0 };
    struct preference json = { STR("application/json"), STR("application/*"), 0, 0 };
    str list = http_header(req, "accept"), item;
    while (http1_list_next(&list, &item)) {
        size_t semi = str_chr(item, ';');
        str range = str_trim(str_sub(item, 0, semi));
        int q = semi == SIZE_MAX ? 1000 : quality(str_skip(item, semi + 1));
        consider(&html, range, q);
        consider(&json, range, q);
    }
    if (html.quality != json.quality)
        return html.quality > json.quality;
    return html.quality > 0 && html.specificity == 3 && json.specificity < 3;
}

struct net_worker *http_worker(const struct http_req *req)
{
    return ((const struct request *)req)->w;
}
