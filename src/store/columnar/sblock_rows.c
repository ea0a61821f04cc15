/* sblock_rows.c: a column whose page is in frames, for who wants some of its rows.
 *
 * Its texts get one allocation of their whole size, into which frames are unpacked as rows in them
 * are asked for. A column with large values has codes then: text r for row r, behind them one that
 * nobody uses (the room between the texts and the large values), then the large values, which are
 * all read when the first of them is asked for. */
#include "store/columnar/blob.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"

struct framed {
    struct page_frames pf;
    struct colv v;
    struct sblock *sb;
    struct blob_map m; /* its large values, if any */
    bool filled;       /* they are there */
};

/* The column with large values: codes, and offsets of texts and large values. */
static int put_codes(struct framed *f, struct arena *a, struct err *err)
{
    uint32_t n = f->v.n, nvalues = f->m.nvalues;
    uint32_t *off = arena_array(a, (size_t)n + nvalues + 2, sizeof *off);
    uint32_t *codes = arena_array(a, n, sizeof *codes);
    if (!off || !codes)
        return err_nomem(err);
    memcpy(off, f->v.off, ((size_t)n + 1) * sizeof *off);
    for (uint32_t i = 0; i <= nvalues; i++)
        off[n + 1 + i] = f->pf.text_n + PAGE_TEXT_PAD + (uint32_t)f->m.offs[i];
    for (uint32_t r = 0; r < n; r++)
        codes[r] = r;
    for (uint32_t i = 0; i < f->m.nrows; i++)
        codes[f->m.rows[i]] = n + 1 + f->m.value[i];
    f->v.off = off;
    f->v.codes = codes;
    f->v.ndict = n + 1 + nvalues;
    return 0;
}

int framed_open(struct sblock *sb, uint32_t c, struct framed **ret, struct err *err)
{
    struct block *b = sblock_block(sb);
    const struct seg_col *sc = &sblock_cols(sb)[c];
    bool large = sc->stat_flags & STAT_BLOBS;
    struct framed *f = arena_zalloc(b->arena, sizeof *f);
    char *page;
    if (!f)
        return err_nomem(err);
    f->sb = sb;
    int rc = large ? sblock_blob_map(sb, sc, &f->m, err) : 0;
    uint64_t room = large && !rc ? f->m.offs[f->m.nvalues] : 0;
    if (!rc && (uint64_t)sc->raw_n + PAGE_TEXT_PAD + room > BLOB_TOTAL_MAX)
        rc = err_set(err, ERR_CORRUPT, "a column is larger than a block may be");
    if (!rc)
        rc = sblock_read(sb, sc->off, sc->len, sc->crc, &page, err);
    if (!rc)
        rc = page_frames_open(str_n(page, sc->len), sc->raw_n, b->n, sc->nvals, (size_t)room,
                              b->arena, &f->pf, err);
    if (rc)
        return rc;
    f->v = (struct colv){ .key = b->cols[c].key,
                          .type = b->cols[c].type,
                          .n = b->n,
                          .nvals = sc->nvals,
                          .present = f->pf.out.present,
                          .off = f->pf.out.off,
                          .bytes = f->pf.out.bytes };
    if (large)
        rc = put_codes(f, b->arena, err);
    if (!rc)
        *ret = f;
    return rc;
}

/* Is one of the rows of sel a large value that is not there yet? */
static bool wants_large(const struct framed *f, const uint64_t *sel)
{
    for (uint32_t i = 0; i < f->m.nrows && !f->filled; i++)
        if (bit_get(sel, f->m.rows[i]))
            return true;
    return false;
}

int framed_need(struct framed *f, const uint64_t *sel, const struct colv **ret,
                uint64_t *ret_decoded, struct err *err)
{
    uint64_t before = f->pf.unpacked, large = 0;
    int rc = page_frames_need(&f->pf, sel, err);
    if (!rc && wants_large(f, sel)) {
        rc = sblock_blob_fill(f->sb, &f->m, f->pf.text + f->pf.text_n + PAGE_TEXT_PAD, &large, err);
        f->filled = !rc;
    }
    *ret_decoded += f->pf.unpacked - before + large;
    *ret = &f->v;
    return rc;
}
