/* templates.c: the templates of the messages of a segment, counted (codec/template.h).
 *
 * Gathered while a segment is written, kept in a section of its footer, and summed over segments
 * and memtable when asked. A copied block brings the counts of the segment it comes from.
 *
 *   section  = version:u8 (1)  other  n { template:lenstr entries levels[6] first:i64 last:i64
 *              example }        numbers are varints unless said; most frequent first
 *
 * Caps, so that hostile text costs nothing: TEMPLATES_SEEN while counting, then the TEMPLATES_KEPT
 * most frequent ones that fit into TEMPLATES_BYTES; one that came once is kept only while there are
 * fewer than TEMPLATES_RARE. The entries of all others are `other`. */
#include "store/columnar/impl.h"

#include <stdlib.h>

#include "base/rd.h"
#include "codec/template.h"

#define TEMPLATES_SEEN 4096
#define TEMPLATES_SEEN_BYTES (512u << 10)
#define TEMPLATES_KEPT 1024
#define TEMPLATES_BYTES (64u << 10)
#define TEMPLATES_RARE 256
#define TEMPLATES_VERSION 1

struct counted {
    str text; /* the map's key */
    uint64_t entries, levels[LV__COUNT];
    ts_ns first, last;
    uint64_t example; /* seq of one of its entries: the lowest */
};

struct templates {
    struct smap map; /* template -> index + 1 */
    struct counted *v;
    uint32_t n, cap, max;
    size_t bytes;
    bool full; /* there was one that found no room */
    uint64_t other;
    struct buf tmp;
    struct template_var vars[TEMPLATE_VARS_MAX];
};

struct templates *templates_new(void)
{
    struct templates *t = mem_zalloc(sizeof *t);
    if (!t)
        return NULL;
    t->max = TEMPLATES_SEEN;
    smap_init(&t->map, SMAP_COPY);
    buf_init(&t->tmp, 4 * TEMPLATE_TEXT_MAX);
    return t;
}

void templates_free(struct templates *t)
{
    if (!t)
        return;
    smap_deinit(&t->map);
    buf_deinit(&t->tmp);
    mem_free(t->v);
    mem_free(t);
}

/* Index + 1 of a template, entered when there is room; 0: there is none. */
static int slot_of(struct templates *t, str text, uint32_t *ret, struct err *err)
{
    uint64_t *slot = smap_get(&t->map, text);
    *ret = slot ? (uint32_t)*slot : 0;
    if (slot)
        return 0;
    bool room = t->n < t->max && t->bytes + text.n <= TEMPLATES_SEEN_BYTES;
    t->full |= !room;
    if (!room)
        return 0;
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;
        struct counted *v = mem_realloc(t->v, cap * sizeof *v);
        if (!v)
            return err_nomem(err);
        t->v = v;
        t->cap = cap;
    }
    slot = smap_put(&t->map, text, NULL);
    if (!slot)
        return err_nomem(err);
    t->v[t->n] = (struct counted){ .first = TS_MAX, .last = TS_MIN, .example = UINT64_MAX };
    t->bytes += text.n;
    *slot = *ret = ++t->n;
    return 0;
}

int templates_find(struct templates *t, str message, uint32_t *ret, struct err *err)
{
    uint32_t nvars;
    *ret = 0;
    buf_reset(&t->tmp);
    bool has = template_split(message, &t->tmp, t->vars, &nvars);
    if (!buf_ok(&t->tmp))
        return err_nomem(err);
    return has ? slot_of(t, t->tmp.n ? buf_str(&t->tmp) : STR(""), ret, err) : 0;
}

void templates_count(struct templates *t, uint32_t slot, ts_ns time, uint64_t seq, int64_t level)
{
    if (!slot) {
        t->other++;
        return;
    }
    struct counted *c = &t->v[slot - 1];
    c->entries++;
    c->levels[level >= 0 && level < LV__COUNT ? level : LV_INFO]++;
    c->first = time < c->first ? time : c->first;
    c->last = time > c->last ? time : c->last;
    c->example = seq < c->example ? seq : c->example;
}

int templates_add_block(struct templates *t, struct block *b, struct err *err)
{
    struct val message, level, time, seq;
    for (uint32_t r = 0; r < b->n; r++) {
        uint32_t slot;
        int rc = block_get_field(b, r, F_MESSAGE, &message, err);
        if (!rc && (message.absent || message.t != V_STR))
            continue;
        if (!rc)
            rc = templates_find(t, message.s, &slot, err);
        if (!rc)
            rc = block_get_field(b, r, F_TIMESTAMP, &time, err);
        if (!rc)
            rc = block_get_field(b, r, F_LEVEL, &level, err);
        if (!rc)
            rc = block_get_field(b, r, F_SEQ, &seq, err);
        if (rc)
            return rc;
        templates_count(t, slot, time.i, (uint64_t)seq.i, level.absent ? LV_INFO : level.i);
    }
    return 0;
}

/* ---- the section ---- */

static int most_first(const void *pa, const void *pb)
{
    const struct counted *a = pa, *b = pb;
    if (a->entries != b->entries)
        return a->entries < b->entries ? 1 : -1;
    return str_cmp(a->text, b->text);
}

/* In order of frequency; the map is of no use afterwards. */
static void sort(struct templates *t)
{
    struct smap_slot *slot;
    for (uint32_t i = 0; smap_next(&t->map, &i, &slot);)
        if (slot->val)
            t->v[slot->val - 1].text = slot->key;
    if (t->n)
        qsort(t->v, t->n, sizeof *t->v, most_first);
}

static void put(struct buf *out, const struct counted *c)
{
    buf_lenstr(out, c->text);
    buf_varint(out, c->entries);
    for (int l = 0; l < LV__COUNT; l++)
        buf_varint(out, c->levels[l]);
    buf_le64(out, (uint64_t)c->first);
    buf_le64(out, (uint64_t)c->last);
    buf_varint(out, c->example);
}

void templates_encode(struct templates *t, struct buf *out)
{
    uint32_t n = 0;
    size_t bytes = 0;
    sort(t);
    while (n < t->n && n < TEMPLATES_KEPT && bytes + t->v[n].text.n + 32 <= TEMPLATES_BYTES &&
           (t->v[n].entries > 1 || n < TEMPLATES_RARE))
        bytes += t->v[n++].text.n + 32;
    for (uint32_t i = n; i < t->n; i++)
        t->other += t->v[i].entries;
    buf_putc(out, TEMPLATES_VERSION);
    buf_varint(out, t->other);
    buf_varint(out, n);
    for (uint32_t i = 0; i < n; i++)
        put(out, &t->v[i]);
}

static int add_stored(struct templates *t, struct rd *r, struct err *err)
{
    uint32_t slot;
    struct counted c = { .text = rd_lenstr(r) };
    c.entries = rd_varint(r);
    for (int l = 0; l < LV__COUNT; l++)
        c.levels[l] = rd_varint(r);
    c.first = (ts_ns)rd_le64(r);
    c.last = (ts_ns)rd_le64(r);
    c.example = rd_varint(r);
    if (!rd_ok(r))
        return 0;
    int rc = slot_of(t, c.text.n ? c.text : STR(""), &slot, err);
    if (rc)
        return rc;
    if (!slot) {
        t->other += c.entries;
        return 0;
    }
    struct counted *s = &t->v[slot - 1];
    s->entries += c.entries;
    for (int l = 0; l < LV__COUNT; l++)
        s->levels[l] += c.levels[l];
    s->first = c.first < s->first ? c.first : s->first;
    s->last = c.last > s->last ? c.last : s->last;
    s->example = c.example < s->example ? c.example : s->example;
    return 0;
}

int templates_add(struct templates *t, str section, struct err *err)
{
    struct rd r = rd_of(section.p, section.n);
    if (!section.n || rd_u8(&r) != TEMPLATES_VERSION)
        return 0; /* none, or of a version that is not known: not counted */
    t->other += rd_varint(&r);
    uint64_t n = rd_varint(&r);
    int rc = 0;
    for (uint64_t i = 0; i < n && rd_ok(&r) && !rc; i++)
        rc = add_stored(t, &r, err);
    if (!rc && (!rd_ok(&r) || rd_left(&r)))
        rc = err_set(err, ERR_CORRUPT, "segment templates are damaged");
    return rc;
}

/* ---- comparing ---- */

static uint64_t messages(const struct templates *t)
{
    uint64_t n = t->other;
    for (uint32_t i = 0; i < t->n; i++)
        n += t->v[i].entries;
    return n;
}

static const char *differs(const struct counted *said, const struct counted *counted, bool exact)
{
    if (said->entries > counted->entries || (exact && said->entries != counted->entries))
        return "entries of a template";
    if (said->entries < counted->entries) /* the others are among `other` */
        return NULL;
    if (said->first != counted->first || said->last != counted->last)
        return "first and last time of a template";
    if (memcmp(said->levels, counted->levels, sizeof said->levels) != 0)
        return "levels of a template";
    return said->example == counted->example ? NULL : "example of a template";
}

const char *templates_difference(const struct templates *counted, str section, bool exact)
{
    struct templates *said = templates_new();
    struct err e = ERR_INIT;
    struct smap_slot *slot;
    const char *what = NULL;
    bool silent = !section.n || section.p[0] != TEMPLATES_VERSION;
    if (!said || templates_add(said, section, &e))
        what = said ? "they cannot be read" : "not enough memory";
    else if (!silent &&
             (messages(said) > messages(counted) || (exact && messages(said) != messages(counted))))
        what = "number of messages";
    for (uint32_t i = 0; !what && !silent && smap_next(&said->map, &i, &slot);) {
        const uint64_t *other = smap_get(&counted->map, slot->key);
        if (slot->val && other)
            what = differs(&said->v[slot->val - 1], &counted->v[*other - 1], exact);
        else if (!counted->full)
            what = "a template that no message has";
    }
    templates_free(said);
    return what;
}

/* ---- over the whole store ---- */

static int add_chunk_block(void *arg, struct block *b, struct err *err)
{
    return templates_add_block(arg, b, err);
}

static int add_all(struct templates *t, const struct snapshot *sn, struct err *err)
{
    struct arena a;
    int rc = 0;
    for (uint32_t i = 0; i < sn->version->n && !rc; i++) {
        struct seg *g = sn->version->v[i];
        rc = seg_open(g, err);
        if (!rc)
            rc = templates_add(t, g->sections[SECTION_TEMPLATES], err);
        if (rc == ERR_CORRUPT || rc == ERR_IO) /* its rows cannot be read either */
            rc = 0;
    }
    arena_init(&a, ARENA_MAX);
    for (uint32_t i = 0; i < sn->nchunks && !rc; i++) {
        const struct chunk *c = sn->chunks[i];
        rc = payload_each(str_n(c->payload, c->n), c->base_seq, c->received_at, &a, add_chunk_block,
                          t, err);
        arena_reset(&a);
    }
    arena_deinit(&a);
    return rc;
}

static int give(struct templates *t, uint32_t max, struct arena *a, struct template_stat **ret,
                uint32_t *ret_n, struct err *err)
{
    sort(t);
    uint32_t n = t->n < max ? t->n : max;
    struct template_stat *v = arena_array(a, n + 1, sizeof *v);
    for (uint32_t i = 0; v && i < n; i++) {
        const struct counted *c = &t->v[i];
        v[i] = (struct template_stat){ .id = template_id(c->text),
                                       .text = arena_dup(a, c->text),
                                       .entries = c->entries,
                                       .first = c->first,
                                       .last = c->last,
                                       .example_seq = c->example };
        memcpy(v[i].levels, c->levels, sizeof v[i].levels);
        if (!v[i].text.p && c->text.n)
            v = NULL;
    }
    if (!v)
        return err_nomem(err);
    for (uint32_t i = n; i < t->n; i++)
        t->other += t->v[i].entries;
    *ret = v;
    *ret_n = n;
    return 0;
}

int store_templates(struct store *s, uint32_t max, struct arena *a, struct template_stat **ret,
                    uint32_t *ret_n, uint64_t *ret_other, struct err *err)
{
    struct snapshot sn;
    struct templates *t = templates_new();
    if (!t)
        return err_nomem(err);
    int rc = snapshot_take(s, &sn, err);
    if (!rc) {
        rc = add_all(t, &sn, err);
        snapshot_release(&sn);
    }
    if (!rc)
        rc = give(t, max, a, ret, ret_n, err);
    *ret_other = t->other;
    templates_free(t);
    return rc;
}
