/* lex.c: the characters of a query.
 *
 * What a character means depends on where it stands (`-` negates at the start of a term and is a
 * sign after `:`), so there is no token stream: the parser asks for what may come next. Literals
 * are unescaped into p->tmp and copied once. */
#include "base/utf8.h"
#include "query/internal.h"

#include <stdarg.h>
#include <stdio.h>

int parse_error(struct parser *p, int64_t pos, const char *fmt, ...)
{
    char msg[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    err_at(p->err, ERR_INVALID, pos, "%s", msg);
    err_slug(p->err, "bad_query");
    return ERR_INVALID;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

char lex_peek(const struct parser *p, size_t ahead)
{
    return p->pos + ahead < p->text.n ? p->text.p[p->pos + ahead] : 0;
}

void lex_blank(struct parser *p)
{
    for (; p->pos < p->text.n; p->pos++) {
        char c = p->text.p[p->pos];
        bool starts =
            p->pos == 0 || is_blank(p->text.p[p->pos - 1]) || p->text.p[p->pos - 1] == '|';
        if (c == '#' && starts) {
            while (p->pos < p->text.n && p->text.p[p->pos] != '\n')
                p->pos++;
            if (p->pos == p->text.n)
                return;
        } else if (!is_blank(c)) {
            return;
        }
    }
}

bool lex_end_of_term(const struct parser *p, size_t pos)
{
    if (pos >= p->text.n)
        return true;
    char c = p->text.p[pos];
    return is_blank(c) || c == '(' || c == ')' || c == '|';
}

bool lex_keyword(struct parser *p, const char *word)
{
    size_t n = strlen(word);
    if (!str_starts(str_skip(p->text, p->pos), str_c(word)))
        return false;
    char after = p->pos + n < p->text.n ? p->text.p[p->pos + n] : 0;
    if (!lex_end_of_term(p, p->pos + n) && after != '"' && after != ']' && after != '}')
        return false;
    p->pos += n;
    return true;
}

bool lex_is_name(const struct parser *p, size_t pos, size_t *ret_len)
{
    size_t n = 0;
    while (pos + n < p->text.n && field_name_byte(p->text.p[pos + n], n == 0))
        n++;
    *ret_len = n;
    return n > 0;
}

bool lex_word(struct parser *p, const char *word)
{
    size_t n;
    lex_blank(p);
    if (!lex_is_name(p, p->pos, &n) || !str_eq(str_sub(p->text, p->pos, n), str_c(word)))
        return false;
    p->pos += n;
    return true;
}

bool lex_char(struct parser *p, char c)
{
    lex_blank(p);
    if (lex_peek(p, 0) != c)
        return false;
    p->pos++;
    return true;
}

int lex_expect(struct parser *p, char c, const char *where)
{
    if (lex_char(p, c))
        return 0;
    return parse_error(p, (int64_t)p->pos, "expected '%c' %s", c, where);
}

/* ---- values ---- */

static bool hex_digits(str s, size_t at, uint32_t *ret)
{
    *ret = 0;
    if (at + 4 > s.n)
        return false;
    for (size_t i = at; i < at + 4; i++) {
        char c = s.p[i];
        uint32_t d = c >= '0' && c <= '9'                 ? (uint32_t)(c - '0')
                     : (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a' + 10)
                                                          : 16;
        if (d == 16)
            return false;
        *ret = *ret << 4 | d;
    }
    return true;
}

/* the escape at p->pos, appended to tmp[*n] */
static int escape(struct parser *p, size_t *n)
{
    size_t at = p->pos;
    char c = lex_peek(p, 1);
    if (c && strchr("*\"\\:/()[]|-` ", c)) {
        p->tmp[(*n)++] = c;
        p->pos += 2;
    } else if (c == 'n' || c == 't') {
        p->tmp[(*n)++] = c == 'n' ? '\n' : '\t';
        p->pos += 2;
    } else if (c == 'u') {
        uint32_t cp, low;
        if (!hex_digits(p->text, at + 2, &cp))
            return parse_error(p, (int64_t)at, "\\u needs four hexadecimal digits");
        p->pos += 6;
        if ((cp & 0xfc00) == 0xd800 && lex_peek(p, 0) == '\\' && lex_peek(p, 1) == 'u' &&
            hex_digits(p->text, p->pos + 2, &low) && (low & 0xfc00) == 0xdc00) {
            cp = 0x10000 + ((cp & 0x3ff) << 10) + (low & 0x3ff);
            p->pos += 6;
        }
        if (cp >= 0xd800 && cp <= 0xdfff)
            return parse_error(p, (int64_t)at, "\\u%04x is half of a surrogate pair", cp);
        *n += utf8_put(cp, p->tmp + *n);
    } else {
        if (!c)
            return parse_error(p, (int64_t)at, "a backslash at the end");
        parse_error(p, (int64_t)at, "unknown escape '\\%c'", c & 0x80 ? '?' : c);
        err_hint(p->err, "write \\\\ for a backslash");
        return ERR_INVALID;
    }
    return 0;
}

/* what stands from the quote or backtick at p->pos to the closing one, appended to tmp[*n] */
static int delimited(struct parser *p, char quote, size_t *n)
{
    size_t at = p->pos++;
    while (p->pos < p->text.n && p->text.p[p->pos] != quote) {
        if (p->text.p[p->pos] != '\\') {
            p->tmp[(*n)++] = p->text.p[p->pos++];
            continue;
        }
        int rc = escape(p, n);
        if (rc)
            return rc;
    }
    if (p->pos == p->text.n)
        return parse_error(p, (int64_t)at, "the %s is never closed",
                           quote == '"' ? "quote" : "backtick");
    p->pos++;
    return 0;
}

int lex_quoted(struct parser *p, str *ret)
{
    size_t n = 0;
    int rc = delimited(p, '"', &n);
    if (rc)
        return rc;
    *ret = n ? arena_dup(p->a, (str){ p->tmp, n }) : STR("");
    return ret->p ? 0 : err_nomem(p->err);
}

static int add_part(struct parser *p, str **parts, uint32_t *nparts, size_t n)
{
    str *more = *parts;
    if ((*nparts & (*nparts - 1)) == 0) /* grows at powers of two */
        more = arena_grow(p->a, *parts, *nparts, *nparts ? *nparts * 2 : 1, sizeof **parts);
    str s = n ? arena_dup(p->a, (str){ p->tmp, n }) : STR("");
    if (!more || !s.p)
        return err_nomem(p->err);
    more[(*nparts)++] = s;
    *parts = more;
    return 0;
}

static bool stops_here(const struct parser *p, unsigned stops)
{
    if (lex_end_of_term(p, p->pos))
        return true;
    char c = p->text.p[p->pos];
    return (c == ',' && (stops & (STOP_LIST | STOP_ARGS))) ||
           ((c == ']' || c == '}') && (stops & STOP_RANGE));
}

int lex_value(struct parser *p, unsigned stops, struct pred_value *ret)
{
    str *parts = NULL;
    uint32_t nparts = 0;
    size_t n = 0, start = p->pos;
    bool any_quotes = false;
    int rc = 0;
    while (!stops_here(p, stops) && !rc) {
        char c = p->text.p[p->pos];
        if (c == '*') {
            rc = nparts && n == 0 && p->text.p[p->pos - 1] == '*' ? 0
                                                                  : add_part(p, &parts, &nparts, n);
            n = 0;
            p->pos++;
        } else if (c == '"') {
            if (any_quotes || (p->pos > start && p->text.p[p->pos - 1] != '*') || n)
                return parse_error(p, (int64_t)p->pos,
                                   "a quote inside a word; write \\\" for the character");
            any_quotes = true;
            rc = delimited(p, '"', &n);
            if (!rc && !stops_here(p, stops) && p->text.p[p->pos] != '*')
                return parse_error(p, (int64_t)p->pos, "expected a space after the closing quote");
        } else if (c == '\\') {
            rc = escape(p, &n);
        } else {
            p->tmp[n++] = c;
            p->pos++;
        }
    }
    if (rc)
        return rc;
    rc = add_part(p, &parts, &nparts, n);
    *ret = (struct pred_value){ .part = parts, .nparts = nparts, .quoted = any_quotes };
    return rc;
}

int lex_regex(struct parser *p, unsigned stops, str *ret_pattern, str *ret_flags)
{
    if (lex_peek(p, 0) != '/')
        return 0;
    size_t i = p->pos + 1, from = i;
    bool in_class = false;
    for (; i < p->text.n && (in_class || p->text.p[i] != '/'); i++) {
        char c = p->text.p[i];
        if (c == '\\')
            i++;
        else if (c == '[')
            in_class = true;
        else if (c == ']')
            in_class = false;
    }
    if (i >= p->text.n || i == from)
        return 0;
    size_t end = i + 1;
    while (end < p->text.n && strchr("ims", p->text.p[end]))
        end++;
    size_t was = p->pos;
    p->pos = end;
    if (!stops_here(p, stops)) {
        p->pos = was;
        return 0;
    }
    *ret_pattern = str_sub(p->text, from, i - from);
    *ret_flags = str_sub(p->text, i + 1, end - i - 1);
    return 1;
}

/* ---- names ----
 *
 * A name without backticks finds a dot as one or as the way into an object. One backtick makes the
 * whole name exact: each piece in backticks is one key, and dots outside of them lead into objects.
 */

/* Is there a backtick in the name at p->pos: at its start, or behind a dot? */
static bool is_exact(const struct parser *p)
{
    size_t n;
    if (lex_peek(p, 0) == '`')
        return true;
    return lex_is_name(p, p->pos, &n) && lex_peek(p, n) == '`' && lex_peek(p, n - 1) == '.';
}

/* one key in backticks, or those of a run without: appended to tmp[*n] and to the column key */
static int exact_piece(struct parser *p, size_t *n, struct buf *key)
{
    size_t from = *n;
    if (lex_peek(p, 0) == '`') {
        int rc = delimited(p, '`', n);
        field_put_step(key, (str){ p->tmp + from, *n - from });
        return rc;
    }
    for (; field_name_byte(lex_peek(p, 0), false); p->pos++) {
        char c = lex_peek(p, 0);
        bool end = c == '.' && lex_peek(p, 1) == '`';
        if (c == '.') {
            str step = { p->tmp + from, *n - from };
            if (from || !str_eq(step, STR("attributes")))
                field_put_step(key, step);
            from = *n + 1;
        }
        if (end)
            return 0;
        p->tmp[(*n)++] = c;
    }
    field_put_step(key, (str){ p->tmp + from, *n - from });
    return 0;
}

/* may the name go on with the dot at p->pos? */
static bool goes_on(const struct parser *p)
{
    char next = lex_peek(p, 1);
    return lex_peek(p, 0) == '.' && (next == '`' || (next != '.' && field_name_byte(next, false)));
}

static int exact_name(struct parser *p, struct qname *ret)
{
    struct buf key;
    size_t n = 0;
    buf_init(&key, 2 * sizeof p->tmp);
    int rc = exact_piece(p, &n, &key);
    while (!rc && goes_on(p)) {
        p->pos++;
        p->tmp[n++] = '.';
        rc = exact_piece(p, &n, &key);
    }
    ret->backticks = true;
    ret->text = n ? arena_dup(p->a, (str){ p->tmp, n }) : STR("");
    ret->key = arena_dup(p->a, buf_str(&key));
    if (!rc && (!buf_ok(&key) || !ret->text.p || !ret->key.p))
        rc = err_nomem(p->err);
    buf_deinit(&key);
    return rc;
}

int lex_name(struct parser *p, struct qname *ret, const char *what)
{
    size_t n;
    lex_blank(p);
    *ret = (struct qname){ .pos = (int64_t)p->pos };
    if (is_exact(p))
        return exact_name(p, ret);
    if (!lex_is_name(p, p->pos, &n))
        return parse_error(p, ret->pos, "expected %s", what);
    ret->text = str_sub(p->text, p->pos, n);
    p->pos += n;
    return 0;
}

/* ---- arguments of pipes ---- */

static str digits_word(struct parser *p)
{
    lex_blank(p);
    size_t n = 0;
    for (; p->pos + n < p->text.n; n++) {
        char c = p->text.p[p->pos + n];
        bool sign = (c == '-' || c == '+') && (n == 0 || (p->text.p[p->pos + n - 1] | 32) == 'e');
        if (!sign && c != '.' && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z'))
            break;
    }
    return str_sub(p->text, p->pos, n);
}

int lex_uint(struct parser *p, uint64_t *ret, const char *what)
{
    str s = digits_word(p);
    if (!str_to_u64(s, ret))
        return parse_error(p, (int64_t)p->pos, "%s must be a whole number", what);
    p->pos += s.n;
    return 0;
}

int lex_number(struct parser *p, struct pred_bound *ret, const char *what)
{
    str s = digits_word(p);
    if (!pred_number(s, ret))
        return parse_error(p, (int64_t)p->pos, "%s must be a number", what);
    p->pos += s.n;
    return 0;
}

int lex_duration(struct parser *p, int64_t *ret_ns, const char *what)
{
    str s = digits_word(p);
    bool unit = s.n && !(s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9');
    if (!unit || !dur_parse(s, NS_PER_S, ret_ns))
        return parse_error(p, (int64_t)p->pos, "%s must be a time span such as 30s, 5m, 1h or 1d",
                           what);
    p->pos += s.n;
    return 0;
}
