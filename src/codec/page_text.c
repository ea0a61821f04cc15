/* page_text.c: pages of texts.
 *
 *   PE_SAME   the bytes
 *   PE_CODES  ndict:varint id:u8 list(ndict) stream(nvals)     codes, by first appearance
 *   others    list(nvals)
 *
 *   list of n, by its id:
 *     PE_TEXT     stream(n) of lengths, bytes
 *     PE_NUMBERS  page_number.c    PE_TIMES  page_time.c    PE_PARTS  page_ids.c
 *     PE_TEMPLATES  page_tmpl.c, not within a dictionary or templates
 *
 * A list is read into n + 1 offsets and bytes; texts of rows without a value are empty. */
#include "codec/page_impl.h"

#include "base/hash.h"
#include "codec/bitpack.h"

static const uint32_t zero_codes[PAGE_ROWS_MAX + 1];

/* ---- writing ---- */

void page_put_plain(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        s->ints[i] = (int64_t)v[i].n;
        bytes += v[i].n;
    }
    ints_put(s, out, s->ints, n);
    if (!buf_reserve(out, bytes))
        return;
    for (uint32_t i = 0; i < n; i++)
        buf_putstr(out, v[i]);
}

void page_put_exceptions(struct page_scratch *s, struct buf *out, const str *v, uint32_t nexc)
{
    buf_varint(out, nexc);
    if (!nexc)
        return;
    ints_put(s, out, s->pos, nexc);
    for (uint32_t i = 0; i < nexc; i++)
        s->ints[i] = (int64_t)v[s->pos[i]].n;
    ints_put(s, out, s->ints, nexc);
    for (uint32_t i = 0; i < nexc; i++)
        buf_putstr(out, v[s->pos[i]]);
}

#define STRUCTURED_MIN 4 /* texts below which a pattern costs more than it saves */

/* PE_TEXT: what the texts have in common does not pay */
static uint8_t put_structured(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    if (n >= STRUCTURED_MIN) {
        if (page_put_times(s, out, v, n))
            return PE_TIMES;
        if (page_put_numbers(s, out, v, n))
            return PE_NUMBERS;
        if (page_put_parts(s, out, v, n))
            return PE_PARTS;
    }
    return PE_TEXT;
}

uint8_t list_put(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    uint8_t id = put_structured(s, out, v, n);
    if (id == PE_TEXT)
        page_put_plain(s, out, v, n);
    return id;
}

/* Gives every value its code. */
static void dict_build(struct page_scratch *s, const str *v, uint32_t n)
{
    uint32_t cap = 64;
    while (cap < n * 2)
        cap *= 2;
    memset(s->table, 0, cap * sizeof *s->table);
    s->ndict = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i && v[i].n == v[i - 1].n && (v[i].p == v[i - 1].p || str_eq(v[i], v[i - 1]))) {
            s->codes[i] = s->codes[i - 1];
            continue;
        }
        uint64_t h = hash64(v[i].p, v[i].n);
        uint32_t k = (uint32_t)h & (cap - 1), code;
        while ((code = s->table[k]) &&
               (s->hashes[code - 1] != h || !str_eq(s->dict[code - 1], v[i])))
            k = (k + 1) & (cap - 1);
        if (!code) {
            s->dict[s->ndict] = v[i];
            s->hashes[s->ndict] = h;
            code = s->table[k] = ++s->ndict;
        }
        s->codes[i] = code - 1;
    }
}

/* as PE_TEXT, which becomes frames when it is large */
static uint8_t put_texts(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    uint64_t bytes = 0;
    page_put_plain(s, out, v, n);
    for (uint32_t i = 0; i < n; i++)
        bytes += v[i].n;
    return bytes > PAGE_FRAMED ? PE_FRAMES : PE_TEXT;
}

void page_put_text(const struct page_in *in, struct page_scratch *s, struct buf *out,
                   struct page_meta *m)
{
    dict_build(s, in->text, in->nvals);
    m->ndistinct = s->ndict;
    m->distinct = s->dict;
    m->hashes = s->hashes;
    if (s->ndict == 1) {
        m->encoding = PE_SAME;
        buf_putstr(out, s->dict[0]);
    } else if (s->ndict <= in->nvals - in->nvals / 4) {
        m->encoding = PE_CODES;
        buf_varint(out, s->ndict);
        size_t at = out->n;
        buf_putc(out, 0);
        uint8_t id = list_put(s, out, s->dict, s->ndict);
        if (buf_ok(out))
            out->p[at] = (char)id;
        ints_put(s, out, s->codes, in->nvals);
    } else {
        m->encoding = put_structured(s, out, in->text, in->nvals);
        if (m->encoding == PE_TEXT && page_put_templates(s, out, in->text, in->nvals))
            m->encoding = PE_TEMPLATES;
        else if (m->encoding == PE_TEXT)
            m->encoding = put_texts(s, out, in->text, in->nvals);
    }
}

/* ---- reading ---- */

int texts_from_lengths(const int64_t *len, uint32_t n, uint64_t max, uint32_t *off, struct err *err)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        off[i] = (uint32_t)sum;
        if ((uint64_t)len[i] > max - sum)
            return page_corrupt(err, "text lengths");
        sum += (uint64_t)len[i];
    }
    off[n] = (uint32_t)sum;
    return 0;
}

static int get_plain(struct rd *r, uint32_t n, struct arena *tmp, struct texts *ret,
                     struct err *err)
{
    int64_t *len = arena_array(tmp, n, sizeof *len);
    if (!len)
        return err_nomem(err);
    int rc = ints_get(r, n, len, tmp, err);
    if (!rc)
        rc = texts_from_lengths(len, n, rd_left(r), ret->off, err);
    if (rc)
        return rc;
    ret->bytes = (const char *)rd_bytes(r, ret->off[n]);
    return ret->bytes ? 0 : page_corrupt(err, "text bytes");
}

int page_get_exceptions(struct rd *r, uint32_t n, struct arena *tmp, struct exceptions *ret,
                        struct err *err)
{
    uint64_t nexc = rd_varint(r);
    *ret = (struct exceptions){ 0 };
    if (nexc > PAGE_EXCEPTIONS(n))
        return page_corrupt(err, "exceptions");
    if (!nexc)
        return 0;
    int64_t *pos = arena_array(tmp, (size_t)nexc, sizeof *pos);
    struct texts t = { .off = arena_array(tmp, (size_t)nexc + 1, sizeof *t.off) };
    if (!pos || !t.off)
        return err_nomem(err);
    int rc = ints_get(r, (uint32_t)nexc, pos, tmp, err);
    if (!rc)
        rc = get_plain(r, (uint32_t)nexc, tmp, &t, err);
    for (uint64_t i = 0; !rc && i < nexc; i++)
        if ((uint64_t)pos[i] >= n || (i && pos[i] <= pos[i - 1]))
            return page_corrupt(err, "exceptions");
    if (!rc)
        *ret = (struct exceptions){ (uint32_t)nexc, pos, t.off, t.bytes, t.off[nexc] };
    return rc;
}

int list_get(struct rd *r, uint8_t id, uint32_t n, struct arena *a, struct arena *tmp,
             struct texts *ret, struct err *err)
{
    ret->off = arena_array(a, (size_t)n + 1, sizeof *ret->off);
    if (!ret->off)
        return err_nomem(err);
    switch (id) {
    case PE_TEXT: return get_plain(r, n, tmp, ret, err);
    case PE_TIMES: return page_get_times(r, n, a, tmp, ret, err);
    case PE_NUMBERS: return page_get_numbers(r, n, a, tmp, ret, err);
    case PE_PARTS: return page_get_parts(r, n, a, tmp, ret, err);
    case PE_TEMPLATES: return page_get_templates(r, n, a, tmp, ret, err);
    case PE_PLAIN: return list_get_v1(r, n, a, ret, err);
    default: return page_corrupt(err, "unknown text list");
    }
}

int texts_spread(struct texts *t, uint32_t n, const uint64_t *present, uint32_t slots,
                 struct arena *a, struct err *err)
{
    if (!present)
        return 0;
    uint32_t *off = arena_array(a, (size_t)slots + 1, sizeof *off), slot = 0;
    if (!off)
        return err_nomem(err);
    for (uint32_t k = 0, row = UINT32_MAX; k < n; k++) {
        row = page_next_row(present, row, slots);
        while (slot <= row)
            off[slot++] = t->off[k];
    }
    while (slot <= slots)
        off[slot++] = t->off[n];
    t->off = off;
    return 0;
}

/* codes of nvals values as those of the rows */
static int set_codes(const int64_t *dense, uint32_t ndict, uint32_t n, uint32_t nvals,
                     struct arena *a, struct page_out *ret, struct err *err)
{
    uint32_t *codes = arena_array(a, n, sizeof *codes);
    if (!codes)
        return err_nomem(err);
    uint64_t max = 0;
    for (uint32_t k = 0; k < nvals; k++) {
        max = (uint64_t)dense[k] > max ? (uint64_t)dense[k] : max;
        codes[k] = (uint32_t)dense[k];
    }
    if (max >= ndict)
        return page_corrupt(err, "dictionary code out of range");
    page_spread(codes, sizeof *codes, n, nvals, ret->present);
    ret->codes = codes;
    ret->ndict = ndict;
    return 0;
}

static int get_codes(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                     struct arena *tmp, struct page_out *ret, struct texts *list, struct err *err)
{
    bool v1 = encoding == PE_DICT;
    uint64_t ndict = v1 ? rd_le32(r) : rd_varint(r);
    uint8_t id = v1 ? PE_PLAIN : rd_u8(r);
    if (!rd_ok(r) || ndict == 0 || ndict > nvals)
        return page_corrupt(err, "dictionary size");
    int rc = list_get(r, id, (uint32_t)ndict, a, tmp, list, err);
    if (rc)
        return rc;
    int64_t *codes = arena_array(tmp, nvals, sizeof *codes);
    if (!codes)
        return err_nomem(err);
    if (v1) {
        unsigned w = rd_u8(r);
        const uint8_t *p = w <= 16 ? rd_bytes(r, bitpack_bytes(nvals, w)) : NULL;
        if (!p || r->bad)
            return page_corrupt(err, "dictionary codes");
        bitpack_unpack(p, nvals, 0, w, codes);
    } else {
        rc = ints_get(r, nvals, codes, tmp, err);
    }
    return rc ? rc : set_codes(codes, (uint32_t)ndict, n, nvals, a, ret, err);
}

static int get_same(struct rd *r, struct arena *a, struct texts *ret, struct err *err)
{
    size_t n = rd_left(r);
    ret->off = arena_array(a, 2, sizeof *ret->off);
    if (!ret->off)
        return err_nomem(err);
    ret->off[0] = 0;
    ret->off[1] = (uint32_t)n;
    ret->bytes = (const char *)rd_bytes(r, n);
    return 0;
}

int page_get_text(struct rd *r, uint8_t encoding, uint32_t n, uint32_t nvals, struct arena *a,
                  struct arena *tmp, struct page_out *ret, struct err *err)
{
    struct texts list = { 0 };
    int rc;
    switch (encoding) {
    case PE_DICT:
    case PE_CODES: rc = get_codes(r, encoding, n, nvals, a, tmp, ret, &list, err); break;
    case PE_SAME:
    case PE_CONST:
        rc = encoding == PE_SAME ? get_same(r, a, &list, err)
                                 : list_get(r, PE_PLAIN, 1, a, tmp, &list, err);
        ret->codes = zero_codes;
        ret->ndict = 1;
        break;
    default:
        rc = list_get(r, encoding, nvals, a, tmp, &list, err);
        if (!rc)
            rc = texts_spread(&list, nvals, ret->present, n, a, err);
    }
    ret->off = list.off;
    ret->bytes = list.bytes;
    return rc;
}
