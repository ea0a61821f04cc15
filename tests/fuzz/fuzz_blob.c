/* fuzz_blob.c: maps of large values and lists of blob pages: hostile bytes, and values made from
 * the input, which must come back equal. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/columnar/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PAGES 64
struct disk {
    char *page[PAGES];
    uint32_t n;
};

static int put(void *arg, str raw, struct blob_page *ret, struct err *err)
{
    struct disk *d = arg;
    if (d->n == PAGES)
        return err_set(err, ERR_LIMIT, "full");
    d->page[d->n] = mem_alloc(raw.n);
    memcpy(d->page[d->n], raw.p, raw.n);
    *ret = (struct blob_page){ d->n++, (uint32_t)raw.n, (uint32_t)raw.n, 0 };
    return 0;
}

struct loader {
    const struct disk *d;
    const struct blob_page *pages;
};

static int load(void *arg, uint32_t page, const char **ret, struct err *err)
{
    struct loader *l = arg;
    (void)err;
    *ret = l->d->page[l->pages[page].off];
    return 0;
}

static int load_zeros(void *arg, uint32_t page, const char **ret, struct err *err)
{
    (void)page;
    (void)err;
    *ret = arg;
    return 0;
}

/* A list, then a map that refers to it. */
static void read_hostile(const uint8_t *data, size_t n)
{
    static char zeros[BLOB_PAGE];
    struct arena a;
    struct err err = ERR_INIT;
    struct rd r = rd_of(data, n);
    struct blob_page *pages;
    struct blob_map m;
    uint32_t npages;
    arena_init(&a, 64u << 20);
    if (blob_read_list(&r, &a, &pages, &npages, &err) &&
        blob_map_read(str_n((const char *)r.p, rd_left(&r)), pages, npages, 8192, &a, &m, &err) ==
            0) {
        uint64_t total = m.offs[m.nvalues];
        char *text = total < 32u << 20 ? mem_alloc((size_t)total + 1) : NULL;
        if (text)
            blob_fill(&m, text, load_zeros, zeros, &err);
        mem_free(text);
    }
    arena_deinit(&a);
}

/* Values: stretches of the input repeated to some length, some of them equal, some grown. */
static void round_trip(const uint8_t *data, size_t n)
{
    enum { ROWS = 6 };
    struct blobs *b = n >= 8 ? blobs_new() : NULL;
    struct disk d = { .n = 0 };
    struct err err = ERR_INIT;
    struct buf text, map;
    struct arena a;
    struct blob_map m;
    str v[ROWS];
    if (!b)
        return;
    buf_init(&text, 1u << 20);
    buf_init(&map, 1u << 20);
    arena_init(&a, 64u << 20);
    while (text.n < 200000)
        buf_put(&text, data, n);
    blobs_set_put(b, put, &d);
    blobs_block(b);
    const struct blob_page *pages;
    uint32_t npages;
    for (uint32_t i = 0; i < ROWS; i++) {
        size_t from = data[i] * 7u, len = (size_t)data[7 - i] * 500;
        v[i] = str_n(text.p + from, len);
        if (blobs_add(b, i, v[i], &err))
            abort();
    }
    blobs_map(b, &map);
    if (blobs_end_block(b, &pages, &npages, &err) ||
        blob_map_read(buf_str(&map), pages, npages, ROWS, &a, &m, &err))
        abort();
    char *out = mem_alloc((size_t)m.offs[m.nvalues] + 1);
    if (blob_fill(&m, out, load, &(struct loader){ &d, pages }, &err))
        abort();
    for (uint32_t i = 0; i < ROWS; i++) {
        uint64_t at = m.offs[m.value[i]], end = m.offs[m.value[i] + 1];
        if (end - at != v[i].n || memcmp(out + at, v[i].p, v[i].n) != 0)
            abort();
    }
    mem_free(out);
    for (uint32_t i = 0; i < d.n; i++)
        mem_free(d.page[i]);
    buf_deinit(&text);
    buf_deinit(&map);
    arena_deinit(&a);
    blobs_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    read_hostile(data, n);
    round_trip(data, n);
    return 0;
}
