/* view_text.c: a row as one line for people.
 *
 * Whatever comes from outside goes through view_put_safe: no control character, escape sequence,
 * bidi control or broken UTF-8 of a log text reaches the terminal. */
#include "model/view.h"
#include "model/view_row.h"

#include "base/utf8.h"
#include "model/spell.h"

/* reorders or hides text: ALM, LRM, RLM, LRE..RLO, LRI..PDI, line and paragraph separator, BOM */
static bool deceives(uint32_t cp)
{
    return cp == 0x61c || (cp >= 0x200e && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
           (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

/* Bytes from i that need no escape: printable ASCII but the backslash's meaning stays as it is. */
static size_t plain_run(str s, size_t i)
{
    size_t from = i;
    while (i < s.n && (unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x7f)
        i++;
    return i - from;
}

void view_put_safe(struct buf *out, str text, bool flat)
{
    for (size_t i = 0; i < text.n;) {
        size_t n = plain_run(text, i);
        buf_put(out, text.p + i, n);
        i += n;
        if (i >= text.n)
            break;
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x80) {
            i++;
            if (c == '\n')
                buf_puts(out, "\\n");
            else if (c == '\t')
                buf_puts(out, flat ? "\\t" : "\t");
            else
                buf_printf(out, "\\x%02x", c);
            continue;
        }
        size_t from = i;
        uint32_t cp = utf8_next(text, &i);
        if (cp == 0xfffd && !utf8_valid(str_sub(text, from, i - from))) {
            i = from + 1;
            buf_printf(out, "\\x%02x", c);
        } else if (cp < 0xa0) {
            buf_printf(out, "\\x%02x", (unsigned)cp);
        } else if (deceives(cp)) {
            buf_printf(out, "\\u{%04x}", (unsigned)cp);
        } else {
            buf_put(out, text.p + from, i - from);
        }
    }
}

static const char *const level_colour[LV__COUNT] = {
    "\x1b[2m", "\x1b[36m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[1;31m",
};
static const char level_column[LV__COUNT][6] = { "TRACE", "DEBUG", "INFO ",
                                                 "WARN ", "ERROR", "CRIT " };
#define PLAIN "\x1b[0m"
#define DIM "\x1b[2m"

static bool needs_quotes(str s)
{
    if (!s.n)
        return true;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=')
            return true;
    return false;
}

static void put_pair(struct buf *b, str name, enum field f, struct val v, bool color)
{
    struct buf text;
    buf_init(&text, b->max);
    if (v.t != V_STR)
        view_put_val(&text, f, v);
    str s = v.t == V_STR ? v.s : buf_str(&text);
    buf_puts(b, color ? "  " DIM : "  ");
    view_put_safe(b, name, true);
    buf_puts(b, color ? "=" PLAIN : "=");
    bool quote = v.t == V_STR && needs_quotes(s);
    if (quote)
        buf_putc(b, '"');
    view_put_safe(b, s, true);
    if (quote)
        buf_putc(b, '"');
    if (!buf_ok(&text))
        b->bad = text.bad;
    buf_deinit(&text);
}

static void put_attributes(struct buf *b, struct row *r, bool color)
{
    struct buf key, name;
    buf_init(&key, (size_t)1 << 20);
    buf_init(&name, (size_t)1 << 20);
    row_attributes(r);
    for (uint32_t i = 0; i < r->nm; i++) {
        buf_reset(&key);
        buf_reset(&name);
        buf_putc(&key, PATH_SEP);
        buf_putstr(&key, r->m[i].path);
        field_put_name(&name, buf_str(&key));
        put_pair(b, buf_str(&name), F_NONE, r->m[i].v, color);
    }
    buf_deinit(&key);
    buf_deinit(&name);
}

static void put_line(struct buf *b, struct row *r, bool color)
{
    char time[TS_TEXT_MAX];
    int64_t t =
        row_has(r, F_TIMESTAMP) && r->field[F_TIMESTAMP].t == V_I64 ? r->field[F_TIMESTAMP].i : 0;
    enum level lv = row_level(r);
    size_t n = ts_format(t, 3, time);
    if (color)
        buf_puts(b, DIM);
    buf_put(b, time, n);
    buf_puts(b, color ? PLAIN " " : " ");
    if (color)
        buf_puts(b, level_colour[lv]);
    buf_puts(b, level_column[lv]);
    if (color)
        buf_puts(b, PLAIN);
    buf_putc(b, ' ');
    view_put_safe(b, row_has(r, F_AGENT) ? row_text(r, F_AGENT) : STR("-"), true);
    buf_puts(b, "  ");
    uint64_t skip = 1ull << F_TIMESTAMP | 1ull << F_AGENT | 1ull << F_LEVEL;
    if (row_has(r, F_MESSAGE)) {
        view_put_safe(b, row_text(r, F_MESSAGE), true);
        skip |= 1ull << F_MESSAGE;
    } else if (row_has(r, F_EVENT)) {
        view_put_safe(b, row_text(r, F_EVENT), true);
        skip |= 1ull << F_EVENT;
    }
    for (int f = F_KIND; f < F_SHAPE; f++)
        if (row_has(r, (enum field)f) && !(skip >> f & 1) && f != F_KEY_ID)
            put_pair(b, field_table[f].name, (enum field)f, r->field[f], color);
    put_attributes(b, r, color);
}

int view_text(struct buf *out, struct block *b, uint32_t row, bool color, struct err *err)
{
    struct row r;
    int rc = row_open(&r, b, row, err);
    if (!rc) {
        put_line(out, &r, color);
        rc = view_done(out, err);
    }
    row_close(&r);
    return rc;
}
