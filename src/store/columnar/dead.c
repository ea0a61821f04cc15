/* dead.c: lists of deleted rows. Format: docs/format/dead.md. */
#include "store/columnar/dead.h"

#include <stdio.h>

#include "base/rd.h"

#define DEAD_MAGIC "FLEETDEL"
#define DEAD_VERSION 1
#define DEAD_HEADER 40
#define DEAD_MAX (256u << 20)

int dead_new(struct dead **ret, uint32_t nblocks, struct err *err)
{
    struct dead *d = mem_zalloc(sizeof *d);
    if (d)
        d->bits = mem_zarray(nblocks ? nblocks : 1, sizeof(uint64_t *));
    if (!d || !d->bits) {
        mem_free(d);
        return err_nomem(err);
    }
    d->nblocks = nblocks;
    *ret = d;
    return 0;
}

void dead_free(struct dead *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->nblocks; i++)
        mem_free(d->bits[i]);
    mem_free(d->bits);
    mem_free(d->bytes);
    mem_free(d);
}

int dead_add(struct dead *d, uint32_t i, uint32_t n, const uint64_t *sel, uint32_t *ret_new,
             struct err *err)
{
    *ret_new = 0;
    if (!bits_count(sel, n))
        return 0;
    if (!d->bits[i])
        d->bits[i] = mem_zarray(BITS_WORDS(n), sizeof(uint64_t));
    if (!d->bits[i])
        return err_nomem(err);
    size_t before = bits_count(d->bits[i], n);
    for (size_t r = bits_next(sel, 0, n); r < n; r = bits_next(sel, r + 1, n))
        bit_set(d->bits[i], r);
    *ret_new = (uint32_t)(bits_count(d->bits[i], n) - before);
    d->rows += *ret_new;
    return 0;
}

void dead_path(const struct seg_meta *m, char out[PATH_MAX_STORE])
{
    char dir[PATH_MAX_STORE];
    seg_dir(m, dir);
    snprintf(out, PATH_MAX_STORE, "%.24s/%012llu-%012llu.dead", dir, (unsigned long long)m->id,
             (unsigned long long)m->dead);
}

static void put_bits(struct buf *out, const uint64_t *bits, uint32_t n)
{
    size_t count = bits ? bits_count(bits, n) : 0;
    buf_varint(out, count);
    for (uint32_t i = 0; count && count < n && i < (n + 7) / 8; i++)
        buf_putc(out, (char)(bits[i / 8] >> i % 8 * 8));
}

void dead_encode(const struct dead *d, const struct seg *g, uint64_t number, str live,
                 struct buf *out)
{
    size_t at = out->n;
    buf_put(out, DEAD_MAGIC, 8);
    buf_le32(out, DEAD_VERSION);
    buf_le32(out, d->nblocks);
    buf_le64(out, g->m.id);
    buf_le64(out, number);
    buf_le64(out, d->rows);
    for (uint32_t i = 0; i < d->nblocks; i++)
        put_bits(out, d->bits[i], g->blocks[i].n);
    buf_lenstr(out, live);
    if (buf_ok(out))
        buf_le32(out, addr_crc(g->s, number, 0, out->p + at, out->n - at));
}

/* *ok: they fit */
static int get_bits(struct rd *r, struct dead *d, uint32_t i, uint32_t n, bool *ok, struct err *err)
{
    uint64_t count = rd_varint(r);
    *ok = rd_ok(r) && count <= n;
    if (!*ok || !count)
        return 0;
    uint64_t *w = d->bits[i] = mem_zarray(BITS_WORDS(n), sizeof *w);
    if (!w)
        return err_nomem(err);
    if (count == n) {
        bits_fill(w, n);
    } else {
        const uint8_t *p = rd_bytes(r, (n + 7) / 8);
        for (uint32_t k = 0; p && k < n; k++)
            if (p[k / 8] >> k % 8 & 1)
                bit_set(w, k);
    }
    d->rows += count;
    *ok = rd_ok(r) && bits_count(w, n) == count;
    return 0;
}

static int parse(struct dead *d, const struct seg *g, size_t n, struct err *err)
{
    const char *p = d->bytes;
    if (n < DEAD_HEADER + 4 || memcmp(p, DEAD_MAGIC, 8) != 0 ||
        crc_differs(get_le32(p + n - 4), addr_crc(g->s, g->m.dead, 0, p, n - 4)))
        return err_set(err, ERR_CORRUPT, "segment %llu: its list of deleted rows is damaged",
                       (unsigned long long)g->m.id);
    if (get_le32(p + 8) != DEAD_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "segment %llu: its list of deleted rows was written by a newer version",
                       (unsigned long long)g->m.id);
    struct rd r = rd_of(p + DEAD_HEADER, n - DEAD_HEADER - 4);
    bool ok = get_le32(p + 12) == d->nblocks && get_le64(p + 16) == g->m.id &&
              get_le64(p + 24) == g->m.dead;
    int rc = 0;
    for (uint32_t i = 0; i < d->nblocks && ok && !rc; i++)
        rc = get_bits(&r, d, i, g->blocks[i].n, &ok, err);
    if (rc)
        return rc;
    d->live = ok ? rd_lenstr(&r) : STR_NULL;
    ok = ok && rd_ok(&r) && !rd_left(&r) && d->rows == get_le64(p + 32) &&
         d->rows == g->m.dead_rows && d->rows < g->m.rows;
    return ok ? 0
              : err_set(err, ERR_CORRUPT, "segment %llu: its list of deleted rows does not fit it",
                        (unsigned long long)g->m.id);
}

int dead_decode(struct dead **ret, const struct seg *g, char *bytes, size_t n, struct err *err)
{
    struct dead *d;
    int rc = dead_new(&d, g->m.nblocks, err);
    if (rc) {
        mem_free(bytes);
        return rc;
    }
    d->bytes = bytes;
    rc = parse(d, g, n, err);
    if (rc)
        dead_free(d);
    else
        *ret = d;
    return rc;
}

int dead_load(struct dead **ret, const struct seg *g, struct err *err)
{
    char path[PATH_MAX_STORE], *p;
    size_t n;
    dead_path(&g->m, path);
    int rc = io_read_file(g->s->io, path, DEAD_MAX, &p, &n, err);
    return rc ? rc : dead_decode(ret, g, p, n, err);
}
