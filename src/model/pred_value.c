/* pred_value.c: one value against one test; JSON values by the scalars in them. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/num.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "model/inside.h"
#include "model/pred_int.h"

bool glob_match(const str *part, uint32_t nparts, str s)
{
    if (nparts == 1)
        return str_eq(part[0], s);
    str first = part[0], last = part[nparts - 1];
    if (s.n < first.n + last.n || !str_starts(s, first) || !str_ends(s, last))
        return false;
    /* between the fixed ends the leftmost place for each part is as good as any */
    s = (str){ s.p + first.n, s.n - first.n - last.n };
    for (uint32_t i = 1; i + 1 < nparts; i++) {
        size_t at = str_find(s, part[i]);
        if (at == SIZE_MAX)
            return false;
        s = str_skip(s, at + part[i].n);
    }
    return true;
}

bool ip_parse(str s, uint8_t out[16], bool *ret_v4)
{
    char z[INET6_ADDRSTRLEN + 1];
    if (s.n == 0 || s.n >= sizeof z || memchr(s.p, 0, s.n))
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (inet_pton(AF_INET, z, out + 12) == 1) {
        memcpy(out, mapped, 12);
        *ret_v4 = true;
        return true;
    }
    if (inet_pton(AF_INET6, z, out) != 1)
        return false;
    *ret_v4 = memcmp(out, mapped, 12) == 0;
    return true;
}

static bool test_ip(const struct test *t, str s)
{
    uint8_t ip[16];
    bool v4;
    /* cheap refusal first: most strings are no addresses */
    if (s.n < 2 || s.n > INET6_ADDRSTRLEN || !ip_parse(s, ip, &v4) || v4 != t->ip_v4)
        return false;
    unsigned bytes = t->ip_bits / 8, rest = t->ip_bits % 8;
    return memcmp(ip, t->ip, bytes) == 0 &&
           (!rest || ((ip[bytes] ^ t->ip[bytes]) >> (8 - rest)) == 0);
}

bool test_i64(const struct test *t, int64_t v)
{
    return t->num && v >= t->range.ilo && v <= t->range.ihi;
}

bool test_f64(const struct test *t, double v)
{
    return t->num && v >= t->range.dlo && v <= t->range.dhi;
}

bool test_num_text(const struct test *t, str s)
{
    if (!t->num)
        return false;
    if (t->num_text.n)
        return str_eq(t->num_text, s);
    struct num_dec dec;
    int64_t i;
    if (!num_scan(s, &dec))
        return false;
    if (dec.integral && str_to_i64(s, &i))
        return test_i64(t, i);
    return test_f64(t, num_to_f64(&dec, s));
}

static bool in_bytes(const struct test *t, str s)
{
    if (!t->slo.open) {
        int c = str_cmp(s, t->slo.s);
        if (c < 0 || (c == 0 && !t->slo.inclusive))
            return false;
    }
    if (!t->shi.open) {
        int c = str_cmp(s, t->shi.s);
        if (c > 0 || (c == 0 && !t->shi.inclusive))
            return false;
    }
    return true;
}

int str_qsort(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

int test_str(const struct pred *p, str s, uint32_t weight, struct pred_run *r, bool *ret,
             struct err *err)
{
    const struct test *t = &p->test;
    int rc = 0;
    *ret = false;
    switch (t->st) {
    case S_NONE: break;
    case S_EQ: *ret = str_eq(s, t->s); break;
    case S_IN: *ret = bsearch(&s, t->part, t->nparts, sizeof *t->part, str_qsort) != NULL; break;
    case S_GLOB: *ret = glob_match(t->part, t->nparts, s); break;
    case S_WORDS: *ret = textpat_in(&t->pat, s, r, err, &rc); break;
    case S_REGEX: return regex_match(p, s, weight, r, ret, err);
    case S_BYTES: *ret = in_bytes(t, s); break;
    case S_NUMBER:
        *ret = s.n && (s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9')) && test_num_text(t, s);
        break;
    case S_IP: *ret = test_ip(t, s); break;
    }
    return rc;
}

/* ---- JSON ---- */

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

/* Resolves the escapes of a JSON string (known to be well formed) into out. */
int text_unescape(struct buf *out, str raw, struct err *err)
{
    for (size_t i = 0; i < raw.n;) {
        const char *e = memchr(raw.p + i, '\\', raw.n - i);
        size_t n = (e ? (size_t)(e - raw.p) : raw.n) - i;
        buf_put(out, raw.p + i, n);
        i += n;
        if (i + 1 >= raw.n)
            break;
        char c = raw.p[i + 1];
        i += 2;
        if (c == 'u' && raw.n - i >= 4) {
            uint32_t cp = hex4(raw.p + i);
            i += 4;
            if ((cp & 0xfc00) == 0xd800 && raw.n - i >= 6 && raw.p[i] == '\\') {
                cp = 0x10000 + ((cp & 0x3ff) << 10) + (hex4(raw.p + i + 2) & 0x3ff);
                i += 6;
            }
            char utf8[4];
            buf_put(out, utf8, utf8_put(cp, utf8));
            continue;
        }
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *at = memchr(from, c, 5);
        buf_putc(out, at ? to[at - from] : c);
    }
    return buf_ok(out) ? 0 : err_nomem(err);
}

static int unescape(str raw, struct pred_run *r, str *ret, struct err *err)
{
    buf_reset(&r->leaf);
    int rc = text_unescape(&r->leaf, raw, err);
    *ret = buf_str(&r->leaf);
    return rc;
}

/* end of the string whose opening quote is at s.p[i]; *ret_escaped when it has a backslash */
static size_t string_end(str s, size_t i, bool *ret_escaped)
{
    *ret_escaped = false;
    for (i++; i < s.n && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\') {
            *ret_escaped = true;
            i++;
        }
    }
    return i < s.n ? i : s.n;
}

static int test_leaf_str(const struct pred *p, str raw, bool escaped, struct pred_run *r, bool *ret,
                         struct err *err)
{
    int rc = 0;
    if (escaped)
        rc = unescape(raw, r, &raw, err);
    return rc ? rc : test_str(p, raw, 1, r, ret, err);
}

static size_t scalar_end(str s, size_t i)
{
    while (i < s.n && s.p[i] != ',' && s.p[i] != ']' && s.p[i] != '}' && s.p[i] != ' ')
        i++;
    return i;
}

int test_json(const struct pred *p, str json, struct pred_run *r, bool *ret, struct err *err)
{
    const struct test *t = &p->test;
    *ret = false;
    for (size_t i = 0; i < json.n && !*ret;) {
        char c = json.p[i];
        if (c == '"') {
            bool escaped;
            size_t end = string_end(json, i, &escaped);
            str raw = { json.p + i + 1, end - i - 1 };
            i = end + 1;
            if (i < json.n && json.p[i] == ':')
                continue; /* a member's name is no value */
            int rc = test_leaf_str(p, raw, escaped, r, ret, err);
            if (rc)
                return rc;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            size_t end = scalar_end(json, i);
            *ret = test_num_text(t, (str){ json.p + i, end - i });
            i = end;
        } else if (c == 't' || c == 'f') {
            *ret = t->bools & (c == 't' ? 2 : 1);
            i = scalar_end(json, i);
        } else {
            i++;
        }
    }
    return 0;
}

int test_inside(const struct pred *p, const struct fieldref *f, str json, str way,
                struct pred_run *r, bool *ret, struct err *err)
{
    *ret = false;
    buf_reset(&r->inside);
    int rc = inside_array(&r->inside, json, way, f->exact, err);
    if (rc || !r->inside.n)
        return rc;
    *ret = p->kind == P_EXISTS;
    return *ret ? 0 : test_json(p, buf_str(&r->inside), r, ret, err);
}

/* end of the value that begins at s.p[i] */
static size_t value_end(str s, size_t i)
{
    bool escaped;
    size_t depth = 0;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            i = string_end(s, i, &escaped);
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        if (depth == 0 && i + 1 < s.n && (s.p[i + 1] == ',' || s.p[i + 1] == '}'))
            return i + 1;
    }
    return s.n;
}

static int rest_member(const struct pred *p, const struct fieldref *f, str key, bool escaped,
                       str value, struct pred_run *r, bool *ret, struct err *err)
{
    int rc = escaped ? unescape(key, r, &key, err) : 0;
    if (rc || !key.n || key.p[0] != PATH_SEP)
        return rc; /* canonical fields are in their own columns */
    uint64_t hash = field_dotted_hash(key);
    str way;
    if (f && !fieldref_matches(f, key, hash))
        return inside_of(f, key, hash, &way) ? test_inside(p, f, value, way, r, ret, err) : 0;
    if (p->kind == P_EXISTS) {
        *ret = !str_eq(value, STR("null"));
        return 0;
    }
    return test_json(p, value, r, ret, err);
}

/* The member at *i of an object: its key between the quotes and its value; false at the end. */
static bool rest_next(str object, size_t *i, str *key, bool *escaped, str *value)
{
    if (*i >= object.n || object.p[*i] != '"')
        return false;
    size_t end = string_end(object, *i, escaped);
    *key = (str){ object.p + *i + 1, end - *i - 1 };
    size_t from = end + 2, to = from < object.n ? value_end(object, from) : from;
    if (to > object.n)
        return false;
    *value = (str){ object.p + from, to - from };
    *i = to + 1;
    return true;
}

int test_rest(const struct pred *p, const struct fieldref *f, str object, struct pred_run *r,
              bool *ret, struct err *err)
{
    str key, value;
    bool escaped;
    *ret = false;
    for (size_t i = 1; !*ret && rest_next(object, &i, &key, &escaped, &value);) {
        int rc = rest_member(p, f, key, escaped, value, r, ret, err);
        if (rc)
            return rc;
    }
    return 0;
}

static struct val number_val(str s)
{
    struct val v = { .t = V_NUM, .s = s };
    struct num_dec dec;
    int64_t i;
    double d;
    if (!num_scan(s, &dec))
        return VAL_ABSENT;
    switch (json_number(s, dec.integral, &i, &d)) {
    case JNUM_I64: return (struct val){ .t = V_I64, .i = i };
    case JNUM_F64: return (struct val){ .t = V_F64, .d = d };
    case JNUM_TEXT: break;
    }
    return v;
}

static int json_val(str s, struct arena *a, struct val *ret, struct err *err)
{
    char c = s.n ? s.p[0] : 'n';
    if (c == '"' && s.n >= 2) {
        str raw = { s.p + 1, s.n - 2 };
        *ret = (struct val){ .t = V_STR, .s = raw };
        if (str_chr(raw, '\\') == SIZE_MAX)
            return 0;
        struct buf b;
        buf_init(&b, raw.n + BUF_PAD);
        int rc = text_unescape(&b, raw, err);
        ret->s = arena_dup(a, buf_str(&b));
        buf_deinit(&b);
        return rc ? rc : ret->s.p ? 0 : err_nomem(err);
    }
    if (c == '{' || c == '[')
        *ret = (struct val){ .t = V_JSON, .s = s };
    else if (c == 't' || c == 'f')
        *ret = (struct val){ .t = V_BOOL, .b = c == 't' };
    else if (c == 'n')
        *ret = (struct val){ .t = V_NULL };
    else
        *ret = number_val(s);
    return 0;
}

int rest_value(str object, const struct fieldref *f, struct arena *a, struct val *ret,
               struct err *err)
{
    str key, value;
    bool escaped;
    *ret = VAL_ABSENT;
    for (size_t i = 1; rest_next(object, &i, &key, &escaped, &value);) {
        struct val name = { .s = key };
        int rc = 0;
        if (escaped)
            rc = json_val((str){ key.p - 1, key.n + 2 }, a, &name, err);
        if (rc)
            return rc;
        uint64_t hash = field_dotted_hash(name.s);
        str way;
        if (fieldref_matches(f, name.s, hash))
            return json_val(value, a, ret, err);
        if (ret->absent && inside_of(f, name.s, hash, &way))
            rc = inside_value(value, way, f->exact, a, ret, err);
        if (rc)
            return rc;
    }
    return 0;
}
