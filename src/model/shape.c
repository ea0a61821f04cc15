/* shape.c: reading shapes; ingest writes them. */
#include "model/shape.h"

void shape_put_step(struct buf *b, str step)
{
    for (size_t i = 0; i < step.n; i++) {
        if (step.p[i] == '\t' || step.p[i] == '\n') {
            buf_putc(b, PATH_ESC);
            buf_putc(b, (char)(step.p[i] + 0x10));
        } else {
            buf_putc(b, step.p[i]);
        }
    }
}

static void parse_field(str item, struct shape *s)
{
    size_t tab = str_chr(item, '\t');
    struct shape_item it = { .spelling = tab != SIZE_MAX ? str_skip(item, tab + 1) : STR_NULL };
    str name = str_sub(item, 0, tab);
    size_t eq = str_chr(name, '=');
    if (eq != SIZE_MAX) {
        it.path = str_skip(name, eq + 1);
        name.n = eq;
    }
    if (name.n && (name.p[name.n - 1] == '#' || name.p[name.n - 1] == '+'))
        it.flags = name.p[--name.n] == '#' ? SHAPE_NUMBER : SHAPE_INCLUSIVE;
    enum field f = field_by_key(name);
    if (f == F_NONE)
        return;
    s->listed |= 1ull << f;
    s->f[f] = it;
}

void shape_parse(str text, struct shape *ret)
{
    ret->dialect = text.n ? text.p[0] : 0;
    ret->listed = ret->filled = 0;
    ret->ncontainers = 0;
    ret->has_places = false;
    ret->text = text;
    str rest = text, item;
    if (!str_split(&rest, '\n', &item))
        return;
    while (str_split(&rest, '\n', &item)) {
        enum field f;
        if (!item.n)
            continue;
        switch (item.p[0]) {
        case '-':
            f = field_by_key(str_skip(item, 1));
            if (f != F_NONE)
                ret->filled |= 1ull << f;
            break;
        case '@':
            if (ret->ncontainers < SHAPE_CONTAINERS)
                ret->containers[ret->ncontainers++] = str_skip(item, 1);
            break;
        case '.':
        case ':':
        case '~': ret->has_places = true; break;
        default: parse_field(item, ret);
        }
    }
}

/* a step of a column key against the same in a shape */
static bool step_eq(str key, str shaped)
{
    if (key.n == shaped.n)
        return str_eq(key, shaped);
    size_t k = 0;
    for (size_t i = 0; i < shaped.n; i++, k++) {
        if (k >= key.n)
            return false;
        if (shaped.p[i] == key.p[k])
            continue;
        if (shaped.p[i] != PATH_ESC || i + 1 >= shaped.n || shaped.p[i + 1] != key.p[k] + 0x10)
            return false;
        i++;
    }
    return k == key.n;
}

int shape_place(const struct shape *s, str step, str *ret_moved)
{
    ret_moved->p = NULL;
    ret_moved->n = 0;
    for (uint32_t i = 0; i < s->ncontainers; i++)
        if (str_eq(step, s->containers[i]))
            return -1;
    int first = s->ncontainers ? 0 : -1;
    if (!s->has_places)
        return first;
    str rest = s->text, item;
    while (str_split(&rest, '\n', &item)) {
        if (!item.n)
            continue;
        if (item.p[0] == '.' && step_eq(step, str_skip(item, 1)))
            return -1;
        if (item.p[0] == ':' && item.n > 1 && step_eq(step, str_skip(item, 2))) {
            uint32_t n = (uint32_t)(item.p[1] - '0');
            return n < s->ncontainers ? (int)n : first;
        }
        if (item.p[0] == '~') {
            size_t eq = str_chr(item, '=');
            if (eq != SIZE_MAX && str_eq(step, str_sub(item, 1, eq - 1))) {
                *ret_moved = str_skip(item, eq + 1);
                return -1;
            }
        }
    }
    return first;
}
