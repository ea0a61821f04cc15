/* page_tmpl.c: texts as templates and columns of variables (template.h).
 *
 *   PE_TEMPLATES  total:varint  ntmpl:varint { template:lenstr }  stream(n) of template numbers
 *                 per template, per place in it:  stream(count) of numbers | id:u8 list(count)
 *
 * A column holds the values of one place of one template, in the order of the page. A text without
 * a template has the template "TEMPLATE_TEXT" and is its variable. total: bytes of all texts.
 *
 * Whether it pays is seen on a sample: both forms are compressed, the shorter one wins. */
#include "codec/page_impl.h"

#include "base/map.h"
#include "base/mem.h"
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
    uint32_t count[TMPL_MAX];
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

static bool is_mark(char c)
{
    return c == TEMPLATE_INT || c == TEMPLATE_PADDED || c == TEMPLATE_TEXT;
}

/* One column; `at`: the values of its template, cnt of them. text: room for them. */
static void put_column(const struct split *x, struct page_scratch *s, struct buf *out, char mark,
                       const uint32_t *at, uint32_t cnt, uint32_t place, str *text)
{
    if (mark != TEMPLATE_TEXT) {
        for (uint32_t i = 0; i < cnt; i++)
            s->ints[i] = (int64_t)x->v[x->first[at[i]] + place].num;
        ints_put(s, out, s->ints, cnt);
        return;
    }
    for (uint32_t i = 0; i < cnt; i++)
        text[i] = x->v[x->first[at[i]] + place].text;
    size_t id = out->n;
    buf_putc(out, 0);
    uint8_t got = list_put(s, out, text, cnt);
    if (buf_ok(out))
        out->p[id] = (char)got;
}

static void put_columns(const struct split *x, struct page_scratch *s, struct buf *out, str *text)
{
    const uint32_t *at = x->order;
    for (uint32_t t = 0; t < x->ntmpl; at += x->count[t++]) {
        uint32_t place = 0;
        for (size_t i = 0; i < x->tmpl[t].n; i++) /* what follows TEMPLATE_PADDED is no mark */
            if (is_mark(x->tmpl[t].p[i]))
                put_column(x, s, out, x->tmpl[t].p[i], at, x->count[t], place++, text);
    }
}

static bool put_split(const str *v, uint32_t n, struct page_scratch *s, struct buf *out)
{
    struct split *x = split_values(v, n);
    str *text = mem_array(n, sizeof *text);
    bool ok = x && text;
    if (ok) {
        sort_by_template(x);
        buf_varint(out, x->total);
        buf_varint(out, x->ntmpl);
        buf_put(out, x->list.p, x->list.n);
        for (uint32_t i = 0; i < n; i++)
            s->ints[i] = x->id[i];
        ints_put(s, out, s->ints, n);
        put_columns(x, s, out, text);
    }
    mem_free(text);
    split_free(x);
    return ok && buf_ok(out);
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

bool page_put_templates(struct page_scratch *s, struct buf *out, const str *v, uint32_t n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += v[i].n;
    if (n < TMPL_MIN || bytes < (uint64_t)n * TMPL_SHORT ||
        bytes > (uint64_t)n * TEMPLATE_TEXT_MAX || !pays(v, n, s))
        return false;
    size_t start = out->n;
    if (put_split(v, n, s, out))
        return true;
    buf_truncate(out, start);
    return false;
}

/* ---- reading ---- */

struct place { /* a column of variables */
    char mark;
    uint8_t digits; /* TEMPLATE_PADDED */
    const int64_t *num;
    struct texts text;
};

struct tmpl {
    str text;
    uint32_t count, used, nplaces;
    struct place *place;
};

struct reader {
    struct tmpl *t;
    uint32_t n;
    const int64_t *ids;
};

static int get_places(struct tmpl *t, struct arena *tmp, struct err *err)
{
    for (size_t i = 0; i < t->text.n; i++)
        t->nplaces += is_mark(t->text.p[i]);
    t->place = arena_zalloc(tmp, (t->nplaces + 1) * sizeof *t->place);
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
    return 0;
}

static int get_templates(struct rd *r, struct reader *x, uint32_t n, struct arena *tmp,
                         struct err *err)
{
    uint64_t ntmpl = rd_varint(r);
    if (!rd_ok(r) || ntmpl == 0 || ntmpl > TMPL_MAX || ntmpl > n)
        return page_corrupt(err, "number of templates");
    x->n = (uint32_t)ntmpl;
    x->t = arena_zalloc(tmp, x->n * sizeof *x->t);
    int64_t *ids = arena_array(tmp, n, sizeof *ids);
    if (!x->t || !ids)
        return err_nomem(err);
    for (uint32_t i = 0; i < x->n; i++) {
        x->t[i].text = rd_lenstr(r);
        if (!rd_ok(r))
            return page_corrupt(err, "template");
        int rc = get_places(&x->t[i], tmp, err);
        if (rc)
            return rc;
    }
    int rc = ints_get(r, n, ids, tmp, err);
    for (uint32_t i = 0; !rc && i < n; i++) {
        if ((uint64_t)ids[i] >= x->n)
            return page_corrupt(err, "template number");
        x->t[ids[i]].count++;
    }
    x->ids = ids;
    return rc;
}

static int get_column(struct rd *r, struct place *p, uint32_t n, struct arena *tmp, struct err *err)
{
    if (p->mark == TEMPLATE_TEXT) {
        uint8_t id = rd_u8(r);
        return id == PE_TEMPLATES ? page_corrupt(err, "template in a template")
                                  : list_get(r, id, n, tmp, tmp, &p->text, err);
    }
    int64_t *v = arena_array(tmp, n, sizeof *v);
    if (!v)
        return err_nomem(err);
    p->num = v;
    return ints_get(r, n, v, tmp, err);
}

static int get_columns(struct rd *r, struct reader *x, struct arena *tmp, struct err *err)
{
    int rc = 0;
    for (uint32_t t = 0; t < x->n; t++) {
        if (!x->t[t].count)
            return page_corrupt(err, "template without values");
        for (uint32_t k = 0; k < x->t[t].nplaces && x->t[t].place[k].mark && !rc; k++)
            rc = get_column(r, &x->t[t].place[k], x->t[t].count, tmp, err);
        if (rc)
            return rc;
    }
    return 0;
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

static bool put_place(const struct tmpl *t, const struct place *p, struct output *o)
{
    if (p->mark != TEMPLATE_TEXT)
        return put_number(o, (uint64_t)p->num[t->used], p->digits);
    const uint32_t *off = p->text.off + t->used;
    return put_bytes(o, p->text.bytes + off[0], off[1] - off[0]);
}

/* the next value of the template */
static bool put_value(struct tmpl *t, struct output *o)
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
            ok = put_place(t, &t->place[k++], o);
            q += *q == TEMPLATE_PADDED ? 2 : 1;
        }
        p = q;
    }
    t->used++;
    return ok;
}

int page_get_templates(struct rd *r, uint32_t n, struct arena *a, struct arena *tmp,
                       struct texts *ret, struct err *err)
{
    struct reader x = { 0 };
    uint64_t total = rd_varint(r);
    if (!rd_ok(r) || total > (uint64_t)n * TEMPLATE_TEXT_MAX)
        return page_corrupt(err, "length of the texts");
    int rc = get_templates(r, &x, n, tmp, err);
    if (!rc)
        rc = get_columns(r, &x, tmp, err);
    if (rc)
        return rc;
    char *bytes = arena_alloc(a, (size_t)total + 1);
    if (!bytes)
        return err_nomem(err);
    struct output o = { bytes, bytes + total };
    for (uint32_t i = 0; i < n; i++) {
        ret->off[i] = (uint32_t)(o.p - bytes);
        if (!put_value(&x.t[x.ids[i]], &o))
            return page_corrupt(err, "length of the texts");
    }
    if (o.p != o.end)
        return page_corrupt(err, "length of the texts");
    ret->off[n] = (uint32_t)total;
    ret->bytes = bytes;
    return 0;
}
