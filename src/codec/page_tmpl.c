/* page_tmpl.c: messages of a page as templates and columns of variables (template.h).
 *
 *   PE_TEMPLATE  total:u32  ntmpl:varint { template:lenstr }
 *                idwidth:u8  template of each value, bit-packed
 *                per template, per number in it:  min:varint width:u8 packed (no pad)
 *                8 zero bytes
 *                lenwidth:u8  lengths of the texts, bit-packed  their bytes
 *
 * A column of variables holds the values of one place of one template, in the order of the page;
 * texts stand in the order of templates and places, too. A value without a template has the
 * template "TEMPLATE_TEXT" and is its variable. total: bytes of all values.
 *
 * Whether it pays is seen on a sample: both forms are compressed, the shorter one wins. */
#include "codec/page_impl.h"

#include "base/map.h"
#include "base/mem.h"
#include "codec/bitpack.h"
#include "codec/template.h"
#include "codec/zip.h"

#define TMPL_MAX 4096        /* templates of a page */
#define TMPL_SHARE 8         /* at most one a so many values */
#define TMPL_VARS (4u << 20) /* variables of a page */
#define TMPL_SAMPLE 512
#define TMPL_MIN 64   /* values, below which it is not tried */
#define TMPL_SHORT 16 /* bytes of an average value, likewise */
#define TMPL_PAYS(n) ((n) - (n) / 16)

/* ---- writing ---- */

struct split { /* the values of a page, taken apart */
    uint32_t n;
    struct smap map;    /* template -> number + 1 */
    struct buf list;    /* the templates as they are stored */
    str tmpl[TMPL_MAX]; /* in the map's keys */
    uint32_t count[TMPL_MAX + 1];
    uint32_t ntmpl;
    uint32_t *id, *first; /* per value: template, index of its first variable */
    uint32_t *order;      /* values by template */
    struct template_var *v;
    uint32_t nv, cap;
    uint64_t total;
};

static void split_free(struct split *x)
{
    if (!x)
        return;
    smap_deinit(&x->map);
    buf_deinit(&x->list);
    mem_free(x->id);
    mem_free(x->first);
    mem_free(x->order);
    mem_free(x->v);
    mem_free(x);
}

static bool room_for_vars(struct split *x)
{
    if (x->cap - x->nv >= TEMPLATE_VARS_MAX)
        return true;
    uint32_t cap = x->cap ? x->cap * 2 : 4096;
    struct template_var *v = cap <= TMPL_VARS ? mem_realloc(x->v, cap * sizeof *v) : NULL;
    if (!v)
        return false;
    x->v = v;
    x->cap = cap;
    return true;
}

static bool enter(struct split *x, str tmpl, uint32_t value)
{
    bool fresh;
    uint64_t *slot = smap_put(&x->map, tmpl, &fresh);
    if (!slot || (fresh && x->ntmpl == TMPL_MAX))
        return false;
    if (fresh) {
        buf_lenstr(&x->list, tmpl);
        *slot = ++x->ntmpl;
    }
    x->id[value] = (uint32_t)*slot - 1;
    x->count[*slot - 1]++;
    return true;
}

/* NULL: it does not pay (too many templates), or no memory: then the page is plain. */
static struct split *split_values(const str *v, uint32_t n)
{
    struct split *x = mem_zalloc(sizeof *x);
    if (!x)
        return NULL;
    struct buf text;
    uint32_t max = n / TMPL_SHARE + 1;
    x->n = n;
    buf_init(&text, 2 * TEMPLATE_TEXT_MAX + 16);
    buf_init(&x->list, 64u << 20);
    smap_init(&x->map, SMAP_COPY);
    x->id = mem_array(n, sizeof *x->id);
    x->first = mem_array(n, sizeof *x->first);
    x->order = mem_array(n, sizeof *x->order);
    bool ok = x->id && x->first && x->order;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = room_for_vars(x);
        if (!ok)
            break;
        uint32_t nv;
        buf_reset(&text);
        x->first[i] = x->nv;
        x->total += v[i].n;
        if (!template_split(v[i], &text, x->v + x->nv, &nv)) {
            buf_reset(&text);
            buf_putc(&text, TEMPLATE_TEXT);
            x->v[x->nv] = (struct template_var){ .text = v[i] };
            nv = 1;
        }
        x->nv += nv;
        ok = buf_ok(&text) && enter(x, text.n ? buf_str(&text) : STR(""), i) && x->ntmpl <= max;
    }
    buf_deinit(&text);
    if (ok && buf_ok(&x->list) && x->total <= (uint64_t)n * TEMPLATE_TEXT_MAX)
        return x;
    split_free(x);
    return NULL;
}

static void sort_by_template(struct split *x)
{
    uint32_t at = 0, start[TMPL_MAX];
    for (uint32_t t = 0; t < x->ntmpl; t++) {
        start[t] = at;
        at += x->count[t];
    }
    for (uint32_t i = 0; i < x->n; i++)
        x->order[start[x->id[i]]++] = i;
    struct smap_slot *slot;
    for (uint32_t i = 0; smap_next(&x->map, &i, &slot);)
        x->tmpl[slot->val - 1] = slot->key;
}

/* One column of numbers; `at`: the values of its template, cnt of them. */
static void put_numbers(const struct split *x, uint64_t *u, struct buf *out, const uint32_t *at,
                        uint32_t cnt, uint32_t place)
{
    uint64_t min = UINT64_MAX, max = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        u[i] = x->v[x->first[at[i]] + place].num;
        min = u[i] < min ? u[i] : min;
        max = u[i] > max ? u[i] : max;
    }
    unsigned w = bitpack_width(max - min);
    for (uint32_t i = 0; i < cnt; i++)
        u[i] -= min;
    buf_varint(out, min);
    buf_putc(out, (char)w);
    bitpack_put(out, u, cnt, w);
    if (w && buf_ok(out))
        buf_truncate(out, out->n - BITPACK_PAD);
}

/* Walks the columns: numbers are written, or texts are. */
static void put_columns(struct split *x, struct page_scratch *s, struct buf *out)
{
    uint32_t *at = x->order, place;
    for (uint32_t t = 0; t < x->ntmpl; at += x->count[t++]) {
        place = 0;
        for (size_t i = 0; i < x->tmpl[t].n; i++) {
            char c = x->tmpl[t].p[i];
            if (c == TEMPLATE_INT || c == TEMPLATE_PADDED)
                put_numbers(x, s->u64, out, at, x->count[t], place);
            place += c == TEMPLATE_INT || c == TEMPLATE_PADDED || c == TEMPLATE_TEXT;
        }
    }
    buf_fill(out, 0, BITPACK_PAD);
}

/* The variables that are texts, in storing order. */
static uint32_t text_vars(struct split *x, str *ret)
{
    uint32_t *at = x->order, place, n = 0;
    for (uint32_t t = 0; t < x->ntmpl; at += x->count[t++]) {
        place = 0;
        for (size_t i = 0; i < x->tmpl[t].n; i++) {
            char c = x->tmpl[t].p[i];
            for (uint32_t k = 0; c == TEMPLATE_TEXT && k < x->count[t]; k++)
                ret[n++] = x->v[x->first[at[k]] + place].text;
            place += c == TEMPLATE_INT || c == TEMPLATE_PADDED || c == TEMPLATE_TEXT;
        }
    }
    return n;
}

static void put_texts(struct split *x, struct buf *out)
{
    str *v = mem_array(x->nv + 1, sizeof *v);
    uint64_t *len = mem_array(x->nv + 1, sizeof *len), max = 0;
    if (!v || !len)
        out->bad = BUF_NOMEM;
    uint32_t n = v && len ? text_vars(x, v) : 0;
    for (uint32_t i = 0; i < n; i++) {
        len[i] = v[i].n;
        max = len[i] > max ? len[i] : max;
    }
    unsigned w = bitpack_width(max);
    buf_putc(out, (char)w);
    if (n)
        bitpack_put(out, len, n, w);
    for (uint32_t i = 0; i < n; i++)
        buf_putstr(out, v[i]);
    mem_free(v);
    mem_free(len);
}

static bool put_split(const str *v, uint32_t n, struct page_scratch *s, struct buf *out)
{
    struct split *x = split_values(v, n);
    if (!x)
        return false;
    sort_by_template(x);
    buf_le32(out, (uint32_t)x->total);
    buf_varint(out, x->ntmpl);
    buf_put(out, x->list.p, x->list.n);
    unsigned w = bitpack_width(x->ntmpl - 1);
    for (uint32_t i = 0; i < n; i++)
        s->u64[i] = x->id[i];
    buf_putc(out, (char)w);
    bitpack_put(out, s->u64, n, w);
    put_columns(x, s, out);
    put_texts(x, out);
    split_free(x);
    return true;
}

static size_t packed_n(const struct buf *b)
{
    struct buf z;
    buf_init(&z, PAGE_BYTES_MAX);
    size_t n = zstd_pack(buf_str(b), 1, &z);
    buf_deinit(&z);
    return n ? n : b->n;
}

/* Compares both forms on values spread over the page. */
static bool pays(const str *v, uint32_t n, struct page_scratch *s)
{
    static const uint32_t sample = TMPL_SAMPLE;
    str *some = mem_array(sample, sizeof *some);
    struct buf plain, tmpl;
    uint32_t k = n < sample ? n : sample;
    buf_init(&plain, PAGE_BYTES_MAX);
    buf_init(&tmpl, PAGE_BYTES_MAX);
    for (uint32_t i = 0; some && i < k; i++) {
        some[i] = v[(uint64_t)i * n / k];
        buf_putstr(&plain, some[i]);
    }
    buf_fill(&plain, 0, k); /* what the lengths take, about */
    bool ok = some && put_split(some, k, s, &tmpl) && buf_ok(&plain) && buf_ok(&tmpl) &&
              packed_n(&tmpl) < TMPL_PAYS(packed_n(&plain));
    buf_deinit(&plain);
    buf_deinit(&tmpl);
    mem_free(some);
    return ok;
}

bool page_put_templates(const str *v, uint32_t n, struct page_scratch *s, struct buf *out)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += v[i].n;
    if (n < TMPL_MIN || bytes < (uint64_t)n * TMPL_SHORT ||
        bytes > (uint64_t)n * TEMPLATE_TEXT_MAX || !pays(v, n, s))
        return false;
    size_t start = out->n;
    if (put_split(v, n, s, out) && buf_ok(out))
        return true;
    if (buf_ok(out))
        buf_truncate(out, start);
    return false;
}

/* ---- reading ---- */

struct place { /* a variable of a template */
    char mark;
    uint8_t digits; /* TEMPLATE_PADDED */
    unsigned width;
    uint64_t min;
    const uint8_t *packed;
    uint32_t text; /* TEMPLATE_TEXT: number of its first text */
};

struct tmpl {
    str text;
    uint32_t count, used, nplaces;
    struct place *place;
};

struct reader {
    struct tmpl *t;
    uint32_t n;
    const uint8_t *ids;
    unsigned idwidth;
    uint32_t ntext;
    uint64_t *text_end; /* of text k, in texts */
    const char *texts;
};

static bool is_mark(char c)
{
    return c == TEMPLATE_INT || c == TEMPLATE_PADDED || c == TEMPLATE_TEXT;
}

static int get_places(struct tmpl *t, struct arena *a, struct err *err)
{
    for (size_t i = 0; i < t->text.n; i++)
        t->nplaces += is_mark(t->text.p[i]);
    t->place = arena_zalloc(a, (t->nplaces + 1) * sizeof *t->place);
    if (!t->place)
        return err_nomem(err);
    uint32_t k = 0;
    for (size_t i = 0; i < t->text.n; i++) {
        char c = t->text.p[i];
        if (!is_mark(c))
            continue;
        struct place *p = &t->place[k++];
        p->mark = c;
        if (c != TEMPLATE_PADDED)
            continue;
        if (++i == t->text.n || t->text.p[i] < 'A' + 1 || t->text.p[i] > 'A' + 18)
            return page_corrupt(err, "template");
        p->digits = (uint8_t)(t->text.p[i] - 'A');
    }
    t->nplaces = k; /* a digit count is no mark, yet could look like one to the count above */
    return 0;
}

static int get_templates(struct rd *r, struct reader *x, uint32_t nvals, struct arena *a,
                         struct err *err)
{
    uint64_t n = rd_varint(r);
    if (!rd_ok(r) || n == 0 || n > TMPL_MAX || n > nvals)
        return page_corrupt(err, "number of templates");
    x->n = (uint32_t)n;
    x->t = arena_zalloc(a, n * sizeof *x->t);
    if (!x->t)
        return err_nomem(err);
    for (uint32_t i = 0; i < x->n; i++) {
        x->t[i].text = rd_lenstr(r);
        if (!rd_ok(r))
            return page_corrupt(err, "template");
        int rc = get_places(&x->t[i], a, err);
        if (rc)
            return rc;
    }
    x->idwidth = rd_u8(r);
    x->ids = x->idwidth <= 16 ? rd_bytes(r, bitpack_bytes(nvals, x->idwidth)) : NULL;
    if (!x->ids && (x->idwidth || r->bad))
        return page_corrupt(err, "template numbers");
    for (uint32_t i = 0; i < nvals; i++) {
        uint64_t id = bitpack_get(x->ids, i, x->idwidth);
        if (id >= x->n)
            return page_corrupt(err, "template number");
        x->t[id].count++;
    }
    return 0;
}

static int get_columns(struct rd *r, struct reader *x, struct err *err)
{
    uint64_t ntext = 0;
    for (uint32_t t = 0; t < x->n; t++) {
        for (uint32_t k = 0; k < x->t[t].nplaces; k++) {
            struct place *p = &x->t[t].place[k];
            if (p->mark == TEMPLATE_TEXT) {
                p->text = (uint32_t)ntext;
                ntext += x->t[t].count;
                continue;
            }
            p->min = rd_varint(r);
            p->width = rd_u8(r);
            if (p->width > 60 || p->min >= 1000000000000000000u)
                return page_corrupt(err, "numbers of a template");
            p->packed = rd_bytes(r, ((size_t)x->t[t].count * p->width + 7) / 8);
            if (!rd_ok(r))
                return page_corrupt(err, "numbers of a template");
        }
    }
    rd_bytes(r, BITPACK_PAD);
    if (!rd_ok(r) || ntext > TMPL_VARS)
        return page_corrupt(err, "numbers of a template");
    x->ntext = (uint32_t)ntext;
    return 0;
}

static int get_texts(struct rd *r, struct reader *x, struct arena *a, struct err *err)
{
    unsigned w = rd_u8(r);
    const uint8_t *lens = w <= 32 ? rd_bytes(r, x->ntext ? bitpack_bytes(x->ntext, w) : 0) : NULL;
    x->text_end = arena_array(a, (size_t)x->ntext + 1, sizeof *x->text_end);
    if (!x->text_end)
        return err_nomem(err);
    if (!lens && (w || r->bad))
        return page_corrupt(err, "texts of a template");
    uint64_t sum = 0;
    for (uint32_t i = 0; i < x->ntext; i++) {
        sum += bitpack_get(lens, i, w);
        if (sum > rd_left(r))
            return page_corrupt(err, "texts of a template");
        x->text_end[i] = sum;
    }
    x->texts = (const char *)rd_bytes(r, (size_t)sum);
    return rd_ok(r) ? 0 : page_corrupt(err, "texts of a template");
}

struct output {
    char *p, *end;
};

static bool put_bytes(struct output *o, const char *p, size_t n)
{
    if ((size_t)(o->end - o->p) < n)
        return false;
    if (n)
        memcpy(o->p, p, n);
    o->p += n;
    return true;
}

static bool put_number(struct output *o, uint64_t v, unsigned digits)
{
    char tmp[20];
    unsigned n = 0;
    do {
        tmp[sizeof tmp - ++n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n < digits)
        tmp[sizeof tmp - ++n] = '0';
    return put_bytes(o, tmp + sizeof tmp - n, n);
}

static bool put_place(const struct reader *x, const struct tmpl *t, const struct place *p,
                      struct output *o)
{
    if (p->mark != TEMPLATE_TEXT)
        return put_number(o, p->min + bitpack_get(p->packed, t->used, p->width), p->digits);
    uint32_t k = p->text + t->used;
    uint64_t from = k ? x->text_end[k - 1] : 0;
    return put_bytes(o, x->texts + from, (size_t)(x->text_end[k] - from));
}

/* the next value of the template */
static bool put_value(const struct reader *x, struct tmpl *t, struct output *o)
{
    const char *p = t->text.p, *end = p + t->text.n;
    uint32_t k = 0;
    bool ok = true;
    while (ok && p < end) {
        const char *q = p;
        while (q < end && !is_mark(*q))
            q++;
        ok = put_bytes(o, p, (size_t)(q - p));
        if (ok && q < end) {
            ok = put_place(x, t, &t->place[k++], o);
            q += *q == TEMPLATE_PADDED ? 2 : 1;
        }
        p = q;
    }
    t->used++;
    return ok;
}

int page_get_templates(struct rd *r, uint32_t n, uint32_t nvals, struct arena *a,
                       struct page_out *ret, struct err *err)
{
    struct reader x = { 0 };
    uint32_t total = rd_le32(r);
    if (!rd_ok(r) || total > (uint64_t)nvals * TEMPLATE_TEXT_MAX)
        return page_corrupt(err, "length of the values");
    int rc = get_templates(r, &x, nvals, a, err);
    if (!rc)
        rc = get_columns(r, &x, err);
    if (!rc)
        rc = get_texts(r, &x, a, err);
    if (rc)
        return rc;
    uint32_t *off = arena_array(a, (size_t)n + 1, sizeof *off);
    char *bytes = arena_alloc(a, (size_t)total + 1);
    if (!off || !bytes)
        return err_nomem(err);
    struct output o = { bytes, bytes + total };
    uint32_t slot = 0;
    for (uint32_t k = 0, row = UINT32_MAX; k < nvals; k++) {
        row = page_next_row(ret->present, row, n);
        while (slot <= row)
            off[slot++] = (uint32_t)(o.p - bytes);
        if (!put_value(&x, &x.t[bitpack_get(x.ids, k, x.idwidth)], &o))
            return page_corrupt(err, "length of the values");
    }
    if (o.p != o.end)
        return page_corrupt(err, "length of the values");
    while (slot <= n)
        off[slot++] = total;
    ret->off = off;
    ret->bytes = bytes;
    return 0;
}
