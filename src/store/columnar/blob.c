/* blob.c: large values into blob pages; see blob.h.
 *
 * Chunks end where the gear hash of the bytes so far has CHUNK_BITS zero bits: 8 KiB on average,
 * 2 to 64 KiB. A table, one slot a hash, says where a chunk with that hash was put last; it is a
 * hint only: a chunk counts as repeated when its bytes are found equal in the window. Chunks that
 * follow each other in a value and in a blob page become one part, so an unchanged stretch costs a
 * few bytes however long it is.
 *
 * Memory: BLOB_WINDOW pages of BLOB_PAGE bytes, the table, and the parts of one column. */
#include "store/columnar/blob.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define CHUNK_MIN (2u << 10)
#define CHUNK_MAX (64u << 10)
#define CHUNK_BITS 13
#define TABLE_SLOTS (1u << 14)

struct slot {
    uint64_t hash;
    uint64_t page; /* serial number + 1; 0 = free */
    uint32_t off, n;
};

struct value {
    str text; /* the caller's */
    uint64_t hash;
    uint32_t first, n; /* parts */
};

struct listed { /* a blob page of the block */
    uint64_t serial;
    struct blob_page at;
};

struct blobs {
    uint64_t gear[256];
    struct {
        char *p;
        struct blob_page at; /* once stored */
    } window[BLOB_WINDOW];   /* page s is at s % BLOB_WINDOW */
    uint64_t open;           /* serial number of the page being filled */
    uint32_t open_n;
    struct slot *table;
    blob_put *put;
    void *put_arg;
    struct arena block, column;
    struct listed *list;
    struct blob_page *pages; /* blobs_end_block's answer */
    uint32_t nlist, cap_list;
    struct blob_part *parts;
    uint32_t nparts, cap_parts;
    struct value *values;
    str *texts;
    uint32_t nvalues, cap_values;
    uint16_t *rows;
    uint32_t *row_value;
    uint32_t nrows, cap_rows;
};

struct blobs *blobs_new(void)
{
    struct blobs *b = mem_zalloc(sizeof *b);
    if (!b)
        return NULL;
    arena_init(&b->block, 64u << 20);
    arena_init(&b->column, 256u << 20);
    for (uint64_t i = 0; i < 256; i++)
        b->gear[i] = hash_mix(i + 1);
    return b;
}

void blobs_free(struct blobs *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < BLOB_WINDOW; i++)
        mem_free(b->window[i].p);
    arena_deinit(&b->block);
    arena_deinit(&b->column);
    mem_free(b->table);
    mem_free(b);
}

void blobs_set_put(struct blobs *b, blob_put *put, void *arg)
{
    b->put = put;
    b->put_arg = arg;
}

void blobs_block(struct blobs *b)
{
    arena_reset(&b->block);
    b->list = NULL;
    b->pages = NULL;
    b->nlist = b->cap_list = 0;
    blobs_column(b);
}

void blobs_column(struct blobs *b)
{
    arena_reset(&b->column);
    b->parts = NULL;
    b->values = NULL;
    b->texts = NULL;
    b->rows = NULL;
    b->row_value = NULL;
    b->nparts = b->cap_parts = b->nvalues = b->cap_values = b->nrows = b->cap_rows = 0;
}

/* ---- blob pages ---- */

static int list_push(struct blobs *b, uint64_t serial, const struct blob_page *at, struct err *err)
{
    if (b->nlist == BLOB_PAGES_MAX)
        return err_set(err, ERR_LIMIT, "a block has more than %u blob pages", BLOB_PAGES_MAX);
    if (b->nlist == b->cap_list) {
        uint32_t cap = b->cap_list ? b->cap_list * 2 : 16;
        b->list = arena_grow(&b->block, b->list, b->nlist, cap, sizeof *b->list);
        if (!b->list)
            return err_nomem(err);
        b->cap_list = cap;
    }
    b->list[b->nlist++] = (struct listed){ serial, *at };
    return 0;
}

int blobs_list(struct blobs *b, const struct blob_page *p, uint32_t *ret, struct err *err)
{
    *ret = b->nlist;
    return list_push(b, UINT64_MAX, p, err);
}

void blobs_place(struct blobs *b, uint32_t index, const struct blob_page *p)
{
    b->list[index].at = *p;
}

/* The block's number for a page of the window. */
static int page_index(struct blobs *b, uint64_t serial, uint32_t *ret, struct err *err)
{
    for (uint32_t i = b->nlist; i-- > 0;)
        if (b->list[i].serial == serial) {
            *ret = i;
            return 0;
        }
    *ret = b->nlist;
    return list_push(b, serial, &b->window[serial % BLOB_WINDOW].at, err);
}

/* Stores the open page and opens the next. */
static int page_close(struct blobs *b, struct err *err)
{
    if (!b->open_n)
        return 0;
    struct blob_page at;
    uint32_t w = (uint32_t)(b->open % BLOB_WINDOW);
    int rc = b->put(b->put_arg, str_n(b->window[w].p, b->open_n), &at, err);
    if (rc)
        return rc;
    b->window[w].at = at;
    for (uint32_t i = b->nlist; i-- > 0;)
        if (b->list[i].serial == b->open)
            b->list[i].at = at;
    b->open++;
    b->open_n = 0;
    return 0;
}

static int page_open(struct blobs *b, uint32_t n, struct err *err)
{
    int rc = b->open_n + n > BLOB_PAGE ? page_close(b, err) : 0;
    uint32_t w = (uint32_t)(b->open % BLOB_WINDOW);
    if (!rc && !b->window[w].p) {
        b->window[w].p = mem_alloc(BLOB_PAGE);
        if (!b->window[w].p)
            return err_nomem(err);
    }
    return rc;
}

/* ---- chunks ---- */

/* length of the chunk that begins at p, n bytes before the end of the value */
static uint32_t chunk_length(const struct blobs *b, const char *p, size_t n)
{
    const uint64_t mask = ((1ull << CHUNK_BITS) - 1) << (64 - CHUNK_BITS);
    if (n <= CHUNK_MIN)
        return (uint32_t)n;
    uint32_t max = n < CHUNK_MAX ? (uint32_t)n : CHUNK_MAX;
    uint64_t h = 0;
    for (uint32_t i = CHUNK_MIN - 64; i < max; i++) {
        h = (h << 1) + b->gear[(uint8_t)p[i]];
        if (i >= CHUNK_MIN && !(h & mask))
            return i + 1;
    }
    return max;
}

static int put_part(struct blobs *b, uint32_t from, struct blob_part part, struct err *err)
{
    struct blob_part *last = b->nparts > from ? &b->parts[b->nparts - 1] : NULL;
    if (last && last->page == part.page && last->off + last->n == part.off) {
        last->n += part.n;
        return 0;
    }
    if (b->nparts == b->cap_parts) {
        uint32_t cap = b->cap_parts ? b->cap_parts * 2 : 64;
        b->parts = arena_grow(&b->column, b->parts, b->nparts, cap, sizeof *b->parts);
        if (!b->parts)
            return err_nomem(err);
        b->cap_parts = cap;
    }
    b->parts[b->nparts++] = part;
    return 0;
}

/* Finds the chunk in the window or puts it into the open page; from: first part of the value. */
static int add_chunk(struct blobs *b, uint32_t from, const char *p, uint32_t n, struct err *err)
{
    uint64_t hash = hash64(p, n), serial;
    struct slot *s = &b->table[hash % TABLE_SLOTS];
    uint32_t off;
    if (s->page && s->hash == hash && s->n == n && s->page - 1 + BLOB_WINDOW > b->open &&
        memcmp(b->window[(s->page - 1) % BLOB_WINDOW].p + s->off, p, n) == 0) {
        serial = s->page - 1;
        off = s->off;
    } else {
        int rc = page_open(b, n, err);
        if (rc)
            return rc;
        serial = b->open;
        off = b->open_n;
        memcpy(b->window[serial % BLOB_WINDOW].p + off, p, n);
        b->open_n += n;
        *s = (struct slot){ hash, serial + 1, off, n };
    }
    struct blob_part part = { .off = off, .n = n };
    int rc = page_index(b, serial, &part.page, err);
    return rc ? rc : put_part(b, from, part, err);
}

/* ---- values ---- */

static int value_new(struct blobs *b, str text, uint64_t hash, struct err *err)
{
    if (b->nvalues == b->cap_values) {
        uint32_t cap = b->cap_values ? b->cap_values * 2 : 64;
        b->values = arena_grow(&b->column, b->values, b->nvalues, cap, sizeof *b->values);
        b->texts = arena_grow(&b->column, b->texts, b->nvalues, cap, sizeof *b->texts);
        if (!b->values || !b->texts)
            return err_nomem(err);
        b->cap_values = cap;
    }
    uint32_t first = b->nparts;
    for (size_t at = 0; at < text.n;) {
        uint32_t n = chunk_length(b, text.p + at, text.n - at);
        int rc = add_chunk(b, first, text.p + at, n, err);
        if (rc)
            return rc;
        at += n;
    }
    b->texts[b->nvalues] = text;
    b->values[b->nvalues++] = (struct value){ text, hash, first, b->nparts - first };
    return 0;
}

int blobs_add(struct blobs *b, uint32_t row, str value, struct err *err)
{
    if (b->nrows == b->cap_rows) {
        uint32_t cap = b->cap_rows ? b->cap_rows * 2 : 64;
        b->rows = arena_grow(&b->column, b->rows, b->nrows, cap, sizeof *b->rows);
        b->row_value = arena_grow(&b->column, b->row_value, b->nrows, cap, sizeof *b->row_value);
        if (!b->rows || !b->row_value)
            return err_nomem(err);
        b->cap_rows = cap;
    }
    if (!b->table)
        b->table = mem_zarray(TABLE_SLOTS, sizeof *b->table);
    if (!b->table)
        return err_nomem(err);
    uint64_t hash = hash64(value.p, value.n);
    uint32_t i = b->nvalues; /* repeats are near: from the newest back */
    while (i > 0 && !(b->values[i - 1].hash == hash && str_eq(b->values[i - 1].text, value)))
        i--;
    if (i == 0) {
        int rc = value_new(b, value, hash, err);
        if (rc)
            return rc;
        i = b->nvalues;
    }
    b->rows[b->nrows] = (uint16_t)row;
    b->row_value[b->nrows++] = i - 1;
    return 0;
}

const str *blobs_values(const struct blobs *b, uint32_t *ret_n)
{
    *ret_n = b->nvalues;
    return b->texts;
}

void blobs_map(struct blobs *b, struct buf *out)
{
    buf_varint(out, b->nvalues);
    for (uint32_t i = 0; i < b->nvalues; i++) {
        const struct value *v = &b->values[i];
        buf_varint(out, v->n);
        for (uint32_t k = 0; k < v->n; k++) {
            const struct blob_part *p = &b->parts[v->first + k];
            buf_varint(out, p->page);
            buf_varint(out, p->off);
            buf_varint(out, p->n);
        }
    }
    buf_varint(out, b->nrows);
    for (uint32_t i = 0; i < b->nrows; i++) {
        buf_varint(out, i ? b->rows[i] - b->rows[i - 1] : b->rows[i]);
        buf_varint(out, b->row_value[i]);
    }
}

int blobs_end_block(struct blobs *b, const struct blob_page **ret, uint32_t *ret_n, struct err *err)
{
    int rc = page_close(b, err);
    if (rc)
        return rc;
    b->pages = arena_array(&b->block, b->nlist + 1, sizeof *b->pages);
    if (!b->pages)
        return err_nomem(err);
    for (uint32_t i = 0; i < b->nlist; i++)
        b->pages[i] = b->list[i].at;
    *ret = b->pages;
    *ret_n = b->nlist;
    return 0;
}
