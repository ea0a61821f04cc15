/* sblock_blob.c: large values back into a decoded column.
 *
 * The page gives the other values; for a large one it has an empty text. The result has codes: the
 * texts of the page that are used, then the large values, each once. Blob pages are read and
 * unpacked as they come up, the last BLOB_CACHE of them are kept until the column is done. */
#include "store/columnar/blob.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"

#include "codec/zip.h"

#define BLOB_CACHE 32
#define TEXT_PAD 32 /* readable bytes behind texts */

struct loader {
    struct sblock *sb;
    const struct blob_page *pages;
    struct arena tmp; /* packed bytes, one page at a time */
    struct {
        char *p; /* BLOB_PAGE bytes */
        uint32_t page;
        uint64_t used;
    } kept[BLOB_CACHE];
    uint64_t clock;
    uint64_t decoded;
};

static int unpack(struct sblock *sb, uint64_t off, uint32_t len, uint32_t raw_n, uint32_t crc,
                  char *dst, struct err *err)
{
    char *p;
    int rc = sblock_read(sb, off, len, crc, &p, err);
    if (rc)
        return rc;
    if (len < raw_n)
        return zstd_unpack(str_n(p, len), dst, raw_n, err);
    if (len)
        memcpy(dst, p, len);
    return 0;
}

static int load_page(void *arg, uint32_t page, const char **ret, struct err *err)
{
    struct loader *l = arg;
    uint32_t slot = 0;
    for (uint32_t i = 0; i < BLOB_CACHE; i++) {
        if (l->kept[i].used && l->kept[i].page == page) {
            l->kept[i].used = ++l->clock;
            *ret = l->kept[i].p;
            return 0;
        }
        if (l->kept[i].used < l->kept[slot].used)
            slot = i;
    }
    if (!l->kept[slot].p)
        l->kept[slot].p = mem_alloc(BLOB_PAGE);
    if (!l->kept[slot].p)
        return err_nomem(err);
    l->kept[slot].used = 0;
    const struct blob_page *p = &l->pages[page];
    struct block *b = sblock_block(l->sb);
    struct arena *home = b->arena; /* the packed bytes need not last */
    b->arena = &l->tmp;
    int rc = unpack(l->sb, p->off, p->len, p->raw_n, p->crc, l->kept[slot].p, err);
    b->arena = home;
    arena_reset(&l->tmp);
    if (rc)
        return rc;
    l->decoded += p->raw_n;
    l->kept[slot].page = page;
    l->kept[slot].used = ++l->clock;
    *ret = l->kept[slot].p;
    return 0;
}

int sblock_bundled(struct sblock *sb, const struct seg_col *sc, char ***bundles, char **ret,
                   struct err *err)
{
    const struct blob_page *pages;
    uint32_t n = sblock_blobs(sb, &pages);
    struct arena *a = sblock_block(sb)->arena;
    if (!*bundles)
        *bundles = arena_zalloc(a, n * sizeof **bundles);
    if (!*bundles)
        return err_nomem(err);
    char **p = &(*bundles)[sc->bundle];
    if (!*p) {
        const struct blob_page *b = &pages[sc->bundle];
        char *raw = arena_alloc(a, (size_t)b->raw_n + 8); /* readers of bits look past the end */
        if (!raw)
            return err_nomem(err);
        memset(raw + b->raw_n, 0, 8);
        int rc = unpack(sb, b->off, b->len, b->raw_n, b->crc, raw, err);
        if (rc)
            return rc;
        *p = raw;
    }
    *ret = *p + sc->off;
    return 0;
}

struct texts { /* what takes the place of the page's */
    uint32_t *codes, *off;
    char *bytes;
    uint32_t n;
};

/* Codes of the rows: those of texts of the page in the order of their first row, which `order`
 * lists; then those of large values. */
static void number(const struct page_out *po, const struct blob_map *m, uint32_t n,
                   const uint8_t *large, uint32_t *fresh, uint32_t *order, struct texts *t)
{
    for (uint32_t r = 0; r < n; r++) {
        uint32_t k = po->codes ? po->codes[r] : r;
        if ((po->present && !bit_get(po->present, r)) || large[r])
            continue;
        if (fresh[k] == UINT32_MAX) {
            fresh[k] = t->n;
            order[t->n++] = k;
        }
        t->codes[r] = fresh[k];
    }
    for (uint32_t i = 0; i < m->nrows; i++)
        t->codes[m->rows[i]] = t->n + m->value[i];
}

static int merge(const struct page_out *po, const struct blob_map *m, uint32_t n, struct arena *a,
                 struct texts *ret, struct err *err)
{
    uint32_t old = po->codes ? po->ndict : n;
    uint8_t *large = arena_zalloc(a, n);
    uint32_t *fresh = arena_array(a, old + 1, sizeof *fresh);
    uint32_t *order = arena_array(a, old + 1, sizeof *order);
    struct texts t = { .codes = arena_zalloc(a, n * sizeof *t.codes) };
    if (!large || !fresh || !order || !t.codes)
        return err_nomem(err);
    memset(fresh, 0xff, (old + 1) * sizeof *fresh);
    for (uint32_t i = 0; i < m->nrows; i++)
        large[m->rows[i]] = 1;
    number(po, m, n, large, fresh, order, &t);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t.n; i++)
        bytes += po->off[order[i] + 1] - po->off[order[i]];
    if (bytes + m->offs[m->nvalues] > BLOB_TOTAL_MAX)
        return err_set(err, ERR_CORRUPT, "a column is larger than a block may be");
    t.off = arena_array(a, (size_t)t.n + m->nvalues + 1, sizeof *t.off);
    t.bytes = arena_alloc(a, (size_t)(bytes + m->offs[m->nvalues]) + TEXT_PAD);
    if (!t.off || !t.bytes)
        return err_nomem(err);
    uint32_t at = 0;
    for (uint32_t i = 0; i < t.n; i++) {
        uint32_t from = po->off[order[i]], len = po->off[order[i] + 1] - from;
        t.off[i] = at;
        if (len)
            memcpy(t.bytes + at, po->bytes + from, len);
        at += len;
    }
    for (uint32_t i = 0; i <= m->nvalues; i++)
        t.off[t.n + i] = at + (uint32_t)m->offs[i];
    memset(t.bytes + t.off[t.n + m->nvalues], 0, TEXT_PAD);
    *ret = t;
    return 0;
}

int sblock_blob_map(struct sblock *sb, const struct seg_col *sc, struct blob_map *ret,
                    struct err *err)
{
    struct block *b = sblock_block(sb);
    const struct blob_page *pages;
    uint32_t npages = sblock_blobs(sb, &pages);
    char *map =
        sc->blob_raw_n <= BLOB_MAP_MAX ? arena_alloc(b->arena, (size_t)sc->blob_raw_n + 1) : NULL;
    if (!map)
        return sc->blob_raw_n <= BLOB_MAP_MAX
                   ? err_nomem(err)
                   : err_set(err, ERR_CORRUPT, "a map of large values is too long");
    int rc = unpack(sb, sc->blob_off, sc->blob_len, sc->blob_raw_n, sc->blob_crc, map, err);
    return rc ? rc
              : blob_map_read(str_n(map, sc->blob_raw_n), pages, npages, b->n, b->arena, ret, err);
}

int sblock_blob_fill(struct sblock *sb, const struct blob_map *m, char *dst, uint64_t *ret_decoded,
                     struct err *err)
{
    struct loader l = { .sb = sb };
    sblock_blobs(sb, &l.pages);
    arena_init(&l.tmp, ARENA_MAX);
    int rc = blob_fill(m, dst, load_page, &l, err);
    arena_deinit(&l.tmp);
    for (uint32_t i = 0; i < BLOB_CACHE; i++)
        mem_free(l.kept[i].p);
    *ret_decoded = l.decoded;
    return rc;
}

int sblock_put_blobs(struct sblock *sb, const struct seg_col *sc, struct page_out *po,
                     uint64_t *ret_decoded, struct err *err)
{
    struct block *b = sblock_block(sb);
    struct blob_map m = { 0 };
    struct texts t = { 0 };
    int rc = sblock_blob_map(sb, sc, &m, err);
    if (!rc)
        rc = merge(po, &m, b->n, b->arena, &t, err);
    if (!rc)
        rc = sblock_blob_fill(sb, &m, t.bytes + t.off[t.n], ret_decoded, err);
    if (rc)
        return rc;
    po->codes = t.codes;
    po->ndict = t.n + m.nvalues;
    po->off = t.off;
    po->bytes = t.bytes;
    return 0;
}
