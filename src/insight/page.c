/* page.c: building pages, see page.h. */
#include "insight/page.h"

#include <stdarg.h>
#include <stdio.h>

void page_init(struct page *p, struct arena *a)
{
    *p = (struct page){ .a = a, .last = &p->first };
}

struct page_block *page_add(struct page *p, enum block_kind kind, str text)
{
    struct page_block *b = arena_zalloc(p->a, sizeof *b);
    if (!b) {
        p->bad = true;
        return NULL;
    }
    b->kind = kind;
    b->text = text;
    b->last = &b->items;
    *p->last = b;
    p->last = &b->next;
    return b;
}

void page_item(struct page *p, struct page_block *list, enum tone tone, str text)
{
    struct page_item *i = list ? arena_zalloc(p->a, sizeof *i) : NULL;
    if (!i) {
        p->bad = true;
        return;
    }
    i->tone = tone;
    i->text = text;
    *list->last = i;
    list->last = &i->next;
    list->n++;
}

/* room for one more of b->n things of `size`; false: no memory */
static bool more(struct page *p, struct page_block *b, void *array, size_t size)
{
    void **at = array;
    if (b && b->n < b->cap)
        return true;
    uint32_t cap = b && b->cap ? b->cap * 2 : 16;
    void *grown = b ? arena_grow(p->a, *at, b->n, cap, size) : NULL;
    if (!grown) {
        p->bad = true;
        return false;
    }
    *at = grown;
    b->cap = cap;
    return true;
}

void page_figure(struct page *p, struct page_block *b, struct page_figure f)
{
    if (more(p, b, b ? (void *)&b->figures : NULL, sizeof f))
        b->figures[b->n++] = f;
}

struct page_block *page_table(struct page *p, const struct page_col *cols, uint32_t ncols)
{
    struct page_block *b = page_add(p, BLOCK_TABLE, STR_NULL);
    if (b) {
        b->cols = cols;
        b->ncols = ncols;
    }
    return b;
}

struct page_cell *page_row(struct page *p, struct page_block *t)
{
    if (!more(p, t, t ? (void *)&t->cells : NULL, t ? sizeof *t->cells * t->ncols : 0))
        return NULL;
    struct page_cell *row = t->cells + (size_t)t->n++ * t->ncols;
    for (uint32_t i = 0; i < t->ncols; i++)
        row[i] = (struct page_cell){ .none = true };
    return row;
}

str page_printf(struct page *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = n >= 0 ? arena_alloc(p->a, (size_t)n + 1) : NULL;
    if (!text) {
        p->bad = true;
        return STR_NULL;
    }
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (str){ text, (size_t)n };
}
