/* demo_play.c: the heap of beats, its dice, and how an entry is put into words. */
#include "cli/demo.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "codec/json.h"

void play_init(struct play *p, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    p->rng = seed;
    p->speed = 1;
}

void play_deinit(struct play *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        mem_free(p->heap[i].text);
    mem_free(p->heap);
    p->heap = NULL;
    p->n = p->cap = 0;
}

static bool before(const struct beat *a, const struct beat *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void play_add(struct play *p, int64_t at_ms, int64_t stamp_ms, char *text, const char *label)
{
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 256;
        struct beat *more = mem_realloc(p->heap, cap * sizeof(*more));
        if (!more) {
            p->nomem = true;
            mem_free(text);
            return;
        }
        p->heap = more;
        p->cap = cap;
    }
    struct beat b = { .at_ms = at_ms, .stamp_ms = stamp_ms, .order = p->order++, .text = text };
    snprintf(b.label, sizeof(b.label), "%s", label);
    uint32_t i = p->n++;
    while (i > 0 && before(&b, &p->heap[(i - 1) / 2])) {
        p->heap[i] = p->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    p->heap[i] = b;
}

const struct beat *play_first(const struct play *p)
{
    return p->n ? &p->heap[0] : NULL;
}

struct beat play_take(struct play *p)
{
    struct beat first = p->heap[0], last = p->heap[--p->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t k = 2 * i + 1;
        if (k >= p->n)
            break;
        if (k + 1 < p->n && before(&p->heap[k + 1], &p->heap[k]))
            k++;
        if (!before(&p->heap[k], &last))
            break;
        p->heap[i] = p->heap[k];
        i = k;
    }
    if (p->n)
        p->heap[i] = last;
    return first;
}

/* ---- dice ---- */

static uint64_t roll(struct play *p)
{
    p->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    return hash_mix(p->rng);
}

uint32_t play_rand(struct play *p, uint32_t below)
{
    return below ? (uint32_t)(((roll(p) >> 32) * below) >> 32) : 0;
}

int64_t play_between(struct play *p, int64_t lo, int64_t hi)
{
    return hi <= lo ? lo : lo + (int64_t)play_rand(p, (uint32_t)(hi - lo + 1));
}

bool play_chance(struct play *p, uint32_t percent)
{
    return play_rand(p, 100) < percent;
}

void hex_id(struct play *p, char *out, int digits)
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < digits; i++)
        out[i] = hex[play_rand(p, 16)];
    out[digits] = 0;
}

/* ---- words ---- */

void line_begin(struct line *l, struct play *p, const char *agent, const char *level,
                const char *message)
{
    l->p = p;
    buf_init(&l->b, 8u << 20);
    buf_puts(&l->b, "{\"agent\":");
    json_put_str(&l->b, str_c(agent));
    buf_printf(&l->b, ",\"level\":\"%s\"", level);
    if (message)
        line_str(l, "message", message);
    snprintf(l->label, sizeof(l->label), "%s: %.48s", agent, message ? message : "");
}

void line_text(struct line *l, const char *key, str value)
{
    if (!value.n)
        return;
    buf_printf(&l->b, ",\"%s\":", key);
    json_put_str(&l->b, value);
}

void line_str(struct line *l, const char *key, const char *value)
{
    line_text(l, key, str_c(value));
}

void line_num(struct line *l, const char *key, double value)
{
    buf_printf(&l->b, ",\"%s\":", key);
    json_put_f64(&l->b, value);
}

void line_raw(struct line *l, const char *key, str json)
{
    buf_printf(&l->b, ",\"%s\":", key);
    buf_putstr(&l->b, json);
}

void line_end(struct line *l, int64_t at_ms)
{
    line_end_late(l, at_ms, at_ms);
}

void line_end_late(struct line *l, int64_t at_ms, int64_t stamp_ms)
{
    size_t n;
    bool ok = buf_ok(&l->b);
    char *text = buf_take(&l->b, &n);
    buf_deinit(&l->b);
    if (ok && text)
        play_add(l->p, at_ms, stamp_ms, text, l->label);
    else
        l->p->nomem = true;
}
