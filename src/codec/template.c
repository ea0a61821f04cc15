/* template.c: see template.h. One pass over the message; no state. */
#include "codec/template.h"

#include "base/hash.h"

enum { C_OTHER, C_SIGN, C_LETTER, C_DIGIT, C_MARK };

static unsigned class_of(char c)
{
    if (c >= '0' && c <= '9')
        return C_DIGIT;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return C_LETTER;
    switch (c) {
    case '_':
    case '-':
    case '.':
    case '+':
    case '/':
    case '\\':
    case ':':
    case '@': return C_SIGN;
    case TEMPLATE_INT:
    case TEMPLATE_PADDED:
    case TEMPLATE_TEXT: return C_MARK;
    default: return C_OTHER;
    }
}

#define DIGITS_MAX 18

/* What a word is to its template. */
enum word { W_STATIC, W_NUMBERS, W_WHOLE };

static enum word judge(const char *p, const char *end)
{
    bool any = false, whole = false;
    while (p < end) {
        unsigned first = class_of(*p);
        const char *q = p + 1;
        bool mixed = false;
        if (first == C_SIGN) {
            p = q;
            continue;
        }
        any = any || first == C_DIGIT;
        for (; q < end && class_of(*q) != C_SIGN; q++) {
            mixed = mixed || class_of(*q) != first;
            any = any || class_of(*q) == C_DIGIT;
        }
        whole = whole || mixed || (first == C_DIGIT && q - p > DIGITS_MAX);
        p = q;
    }
    return !any ? W_STATIC : whole ? W_WHOLE : W_NUMBERS;
}

struct splitter {
    struct buf *out;
    struct template_var *v;
    uint32_t n;
    const char *copied; /* the message up to here is in out or in a variable */
};

static bool put_var(struct splitter *s, const char *p, const char *end, char mark)
{
    if (s->n == TEMPLATE_VARS_MAX)
        return false;
    buf_put(s->out, s->copied, (size_t)(p - s->copied));
    s->copied = end;
    struct template_var *v = &s->v[s->n++];
    *v = (struct template_var){ .text = str_n(p, (size_t)(end - p)) };
    if (mark != TEMPLATE_TEXT) {
        for (const char *q = p; q < end; q++)
            v->num = v->num * 10 + (uint64_t)(*q - '0');
        if (*p == '0' && end - p > 1)
            mark = TEMPLATE_PADDED;
    }
    buf_putc(s->out, mark);
    if (mark == TEMPLATE_PADDED)
        buf_putc(s->out, (char)('A' + (end - p)));
    return true;
}

static bool put_numbers(struct splitter *s, const char *p, const char *end)
{
    while (p < end) {
        if (class_of(*p) != C_DIGIT) {
            p++;
            continue;
        }
        const char *q = p;
        while (q < end && class_of(*q) == C_DIGIT)
            q++;
        if (!put_var(s, p, q, TEMPLATE_INT))
            return false;
        p = q;
    }
    return true;
}

bool template_split(str text, struct buf *out, struct template_var v[TEMPLATE_VARS_MAX],
                    uint32_t *ret_n)
{
    if (text.n > TEMPLATE_TEXT_MAX)
        return false;
    size_t start = out->n;
    struct splitter s = { .out = out, .v = v, .copied = text.p };
    const char *p = text.p, *end = text.p + text.n;
    bool ok = true;
    while (ok && p < end) {
        unsigned c = class_of(*p);
        if (c == C_OTHER) {
            p++;
            continue;
        }
        const char *q = p;
        while (q < end && (c = class_of(*q)) != C_OTHER && c != C_MARK)
            q++;
        if (c == C_MARK && q < end) {
            ok = false;
            break;
        }
        switch (judge(p, q)) {
        case W_STATIC: break;
        case W_NUMBERS: ok = put_numbers(&s, p, q); break;
        case W_WHOLE: ok = put_var(&s, p, q, TEMPLATE_TEXT); break;
        }
        p = q;
    }
    if (!ok) {
        buf_truncate(out, start);
        return false;
    }
    buf_put(out, s.copied, (size_t)(end - s.copied));
    *ret_n = s.n;
    return true;
}

uint64_t template_id(str tmpl)
{
    return hash64(tmpl.p, tmpl.n);
}

void template_show(struct buf *out, str tmpl)
{
    for (size_t i = 0; i < tmpl.n; i++) {
        switch (tmpl.p[i]) {
        case TEMPLATE_INT: buf_puts(out, "<int>"); break;
        case TEMPLATE_PADDED:
            buf_puts(out, "<int>");
            i++; /* the number of digits */
            break;
        case TEMPLATE_TEXT: buf_puts(out, "<text>"); break;
        default: buf_putc(out, tmpl.p[i]);
        }
    }
}
