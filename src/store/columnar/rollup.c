/* rollup.c: counts kept beside the rows, so that stats, agents and health never scan.
 *
 * A rollup is additive: one a segment (in its footer), one a memtable (brought up to date when
 * asked), and their sum is the store's. Encoded in a footer as: entries levels[6] varints, t_min
 * t_max recv_min recv_max i64, nagents { name lenstr, entries levels[6] varints, first last i64,
 * first_seq varint }, nhours { hour i64, entries varint }, nfields { type u8 + key lenstr, rows
 * varint } */
#include "store/columnar/impl.h"

#include "base/rd.h"

#define GROUPS_VERSION 1

struct rollup *rollup_new(void)
{
    struct rollup *r = mem_zalloc(sizeof *r);
    if (!r)
        return NULL;
    smap_init(&r->agents, SMAP_COPY);
    smap_init(&r->hours, SMAP_COPY);
    smap_init(&r->groups, SMAP_COPY);
    smap_init(&r->fields, SMAP_COPY);
    r->t_min = r->recv_min = TS_MAX;
    r->t_max = r->recv_max = TS_MIN;
    return r;
}

void rollup_free(struct rollup *r)
{
    if (!r)
        return;
    smap_deinit(&r->agents);
    smap_deinit(&r->hours);
    smap_deinit(&r->groups);
    smap_deinit(&r->fields);
    mem_free(r->agent);
    mem_free(r);
}

static struct rollup_agent *agent_slot(struct rollup *r, str name)
{
    uint64_t *slot = smap_put(&r->agents, name.p ? name : STR(""), NULL);
    if (!slot)
        return NULL;
    if (*slot)
        return &r->agent[*slot - 1];
    uint32_t n = r->agents.n; /* this one included */
    if (n > r->agents_cap) {
        uint32_t cap = r->agents_cap ? r->agents_cap * 2 : 16;
        struct rollup_agent *v = mem_realloc(r->agent, cap * sizeof *v);
        if (!v)
            return NULL;
        r->agent = v;
        r->agents_cap = cap;
    }
    *slot = n;
    r->agent[n - 1] =
        (struct rollup_agent){ .first = TS_MAX, .last = TS_MIN, .first_seq = UINT64_MAX };
    return &r->agent[n - 1];
}

static bool hour_add(struct rollup *r, int64_t hour, uint64_t n)
{
    uint64_t *slot = smap_put(&r->hours, str_n((const char *)&hour, sizeof hour), NULL);
    if (slot)
        *slot += n;
    return slot != NULL;
}

static bool group_add(struct rollup *r, str key, uint64_t n)
{
    uint64_t *slot = smap_put(&r->groups, key, NULL);
    if (slot)
        *slot += n;
    return slot != NULL;
}

/* Adds the entries of an hour by level, and empties them. */
static bool levels_add(struct rollup *r, int64_t hour, uint64_t levels[LV__COUNT])
{
    char key[9];
    memcpy(key, &hour, sizeof hour);
    for (int l = 0; l < LV__COUNT; l++) {
        key[8] = (char)l;
        if (levels[l] && !group_add(r, str_n(key, sizeof key), levels[l]))
            return false;
        levels[l] = 0;
    }
    return true;
}

void rollup_hour_levels(const struct rollup *r, int64_t hour, uint64_t out[LV__COUNT])
{
    char key[9];
    memcpy(key, &hour, sizeof hour);
    for (int l = 0; l < LV__COUNT; l++) {
        key[8] = (char)l;
        const uint64_t *n = smap_get(&r->groups, str_n(key, sizeof key));
        out[l] = n ? *n : 0;
    }
}

/* Past ROLLUP_FIELDS_MAX a new field is not counted: whoever sends keys without end gets an
 * incomplete list of them, not our memory. */
static bool field_add(struct rollup *r, str key, enum vtype type, uint64_t n)
{
    char small[300];
    char *k = key.n + 1 <= sizeof small ? small : mem_alloc(key.n + 1);
    if (!k)
        return false;
    k[0] = (char)type;
    if (key.n)
        memcpy(k + 1, key.p, key.n);
    uint64_t *slot = smap_get(&r->fields, str_n(k, key.n + 1));
    bool full = !slot && r->fields.n >= ROLLUP_FIELDS_MAX;
    if (!slot && !full)
        slot = smap_put(&r->fields, str_n(k, key.n + 1), NULL);
    if (slot)
        *slot += n;
    if (k != small)
        mem_free(k);
    return slot != NULL || full;
}

static void agent_add(struct rollup_agent *a, ts_ns t, uint64_t seq, unsigned level)
{
    a->entries++;
    a->levels[level]++;
    a->first = t < a->first ? t : a->first;
    a->last = t > a->last ? t : a->last;
    a->first_seq = seq < a->first_seq ? seq : a->first_seq;
}

static const struct colv *column(struct block *b, enum field f, enum vtype type, int *rc,
                                 struct err *err)
{
    for (uint32_t i = 0; i < b->ncols && !*rc; i++) {
        if (b->cols[i].type != type || !str_eq(b->cols[i].key, field_table[f].name))
            continue;
        const struct colv *c;
        *rc = block_load(b, i, &c, err);
        return *rc ? NULL : c;
    }
    return NULL;
}

static int add_rows(struct rollup *r, struct block *b, const uint64_t *sel, const struct colv *time,
                    const struct colv *seq, const struct colv *level, const struct colv *agent,
                    struct err *err)
{
    int64_t hour = INT64_MIN;
    uint64_t in_hour = 0, by_level[LV__COUNT] = { 0 };
    str last_name = STR_NULL;
    struct rollup_agent *a = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        if (sel && !bit_get(sel, i))
            continue;
        ts_ns t = time->i64[i];
        int64_t lv = level && colv_has(level, i) ? level->i64[i] : LV_INFO;
        if (lv < 0 || lv >= LV__COUNT)
            lv = LV_INFO;
        r->levels[lv]++;
        r->entries++;
        r->t_min = t < r->t_min ? t : r->t_min;
        r->t_max = t > r->t_max ? t : r->t_max;
        int64_t h = floor_div(t, 3600 * NS_PER_S);
        if (h != hour) {
            if (in_hour && !(hour_add(r, hour, in_hour) && levels_add(r, hour, by_level)))
                return err_nomem(err);
            hour = h;
            in_hour = 0;
        }
        in_hour++;
        by_level[lv]++;
        if (!agent || !colv_has(agent, i))
            continue;
        str name = colv_text(agent, i);
        if (!a || name.p != last_name.p || name.n != last_name.n) {
            a = agent_slot(r, name);
            last_name = name;
        }
        if (!a)
            return err_nomem(err);
        agent_add(a, t, (uint64_t)seq->i64[i], (unsigned)lv);
    }
    if (in_hour && !(hour_add(r, hour, in_hour) && levels_add(r, hour, by_level)))
        return err_nomem(err);
    return 0;
}

/* Rows of sel that have a value in column i. */
static int count_values(struct block *b, uint32_t i, const uint64_t *sel, uint64_t *ret,
                        struct err *err)
{
    const struct colv *c;
    *ret = b->cols[i].nvals;
    int rc = sel ? block_load(b, i, &c, err) : 0;
    if (rc || !sel)
        return rc;
    *ret = 0;
    for (size_t r = bits_next(sel, 0, b->n); r < b->n; r = bits_next(sel, r + 1, b->n))
        *ret += colv_has(c, (uint32_t)r);
    return 0;
}

/* sel: NULL for every row */
static int add_some(struct rollup *r, struct block *b, const uint64_t *sel, struct err *err)
{
    int rc = 0;
    const struct colv *time = column(b, F_TIMESTAMP, V_I64, &rc, err);
    const struct colv *seq = column(b, F_SEQ, V_I64, &rc, err);
    const struct colv *recv = column(b, F_RECEIVED_AT, V_I64, &rc, err);
    const struct colv *level = column(b, F_LEVEL, V_I64, &rc, err);
    const struct colv *agent = column(b, F_AGENT, V_STR, &rc, err);
    if (rc)
        return rc;
    if (!time || !seq || !recv)
        return err_set(err, ERR_CORRUPT, "a block without timestamp, seq or received_at");
    for (uint32_t i = 0; i < b->n; i++) {
        if (sel && !bit_get(sel, i))
            continue;
        r->recv_min = recv->i64[i] < r->recv_min ? recv->i64[i] : r->recv_min;
        r->recv_max = recv->i64[i] > r->recv_max ? recv->i64[i] : r->recv_max;
    }
    for (uint32_t i = 0; i < b->ncols; i++) {
        uint64_t n;
        rc = count_values(b, i, sel, &n, err);
        if (!rc && n && !field_add(r, b->cols[i].key, b->cols[i].type, n))
            rc = err_nomem(err);
        if (rc)
            return rc;
    }
    return add_rows(r, b, sel, time, seq, level, agent, err);
}

int rollup_add_block(struct rollup *r, struct block *b, struct err *err)
{
    return add_some(r, b, NULL, err);
}

int rollup_add_rows(struct rollup *r, struct block *b, const uint64_t *sel, struct err *err)
{
    return add_some(r, b, sel, err);
}

int rollup_merge(struct rollup *into, const struct rollup *from, struct err *err)
{
    struct smap_slot *s;
    into->entries += from->entries;
    for (int l = 0; l < LV__COUNT; l++)
        into->levels[l] += from->levels[l];
    into->t_min = from->t_min < into->t_min ? from->t_min : into->t_min;
    into->t_max = from->t_max > into->t_max ? from->t_max : into->t_max;
    into->recv_min = from->recv_min < into->recv_min ? from->recv_min : into->recv_min;
    into->recv_max = from->recv_max > into->recv_max ? from->recv_max : into->recv_max;
    for (uint32_t i = 0; smap_next(&from->agents, &i, &s);) {
        if (!s->val)
            continue;
        const struct rollup_agent *f = &from->agent[s->val - 1];
        struct rollup_agent *a = agent_slot(into, s->key);
        if (!a)
            return err_nomem(err);
        a->entries += f->entries;
        for (int l = 0; l < LV__COUNT; l++)
            a->levels[l] += f->levels[l];
        a->first = f->first < a->first ? f->first : a->first;
        a->last = f->last > a->last ? f->last : a->last;
        a->first_seq = f->first_seq < a->first_seq ? f->first_seq : a->first_seq;
    }
    for (uint32_t i = 0; smap_next(&from->hours, &i, &s);) {
        int64_t h;
        memcpy(&h, s->key.p, sizeof h);
        if (!hour_add(into, h, s->val))
            return err_nomem(err);
    }
    into->ungrouped += from->ungrouped;
    for (uint32_t i = 0; smap_next(&from->groups, &i, &s);)
        if (!group_add(into, s->key, s->val))
            return err_nomem(err);
    for (uint32_t i = 0; smap_next(&from->fields, &i, &s);)
        if (!field_add(into, str_skip(s->key, 1), (enum vtype)s->key.p[0], s->val))
            return err_nomem(err);
    return 0;
}

void rollup_encode(const struct rollup *r, struct buf *out)
{
    struct smap_slot *s;
    buf_varint(out, r->entries);
    for (int l = 0; l < LV__COUNT; l++)
        buf_varint(out, r->levels[l]);
    buf_le64(out, (uint64_t)r->t_min);
    buf_le64(out, (uint64_t)r->t_max);
    buf_le64(out, (uint64_t)r->recv_min);
    buf_le64(out, (uint64_t)r->recv_max);
    buf_varint(out, r->agents.n);
    for (uint32_t i = 0; smap_next(&r->agents, &i, &s);) {
        const struct rollup_agent *a = &r->agent[s->val - 1];
        buf_lenstr(out, s->key);
        buf_varint(out, a->entries);
        for (int l = 0; l < LV__COUNT; l++)
            buf_varint(out, a->levels[l]);
        buf_le64(out, (uint64_t)a->first);
        buf_le64(out, (uint64_t)a->last);
        buf_varint(out, a->first_seq);
    }
    buf_varint(out, r->hours.n);
    for (uint32_t i = 0; smap_next(&r->hours, &i, &s);) {
        buf_put(out, s->key.p, 8);
        buf_varint(out, s->val);
    }
    buf_varint(out, r->fields.n);
    for (uint32_t i = 0; smap_next(&r->fields, &i, &s);) {
        buf_lenstr(out, s->key);
        buf_varint(out, s->val);
    }
}

/* version u8 = 1, n { hour i64, entries[6] varints } */
void rollup_encode_groups(const struct rollup *r, struct buf *out)
{
    struct smap_slot *s;
    uint64_t levels[LV__COUNT];
    if (r->ungrouped)
        return;
    buf_putc(out, GROUPS_VERSION);
    buf_varint(out, r->hours.n);
    for (uint32_t i = 0; smap_next(&r->hours, &i, &s);) {
        int64_t hour;
        memcpy(&hour, s->key.p, sizeof hour);
        rollup_hour_levels(r, hour, levels);
        buf_le64(out, (uint64_t)hour);
        for (int l = 0; l < LV__COUNT; l++)
            buf_varint(out, levels[l]);
    }
}

int rollup_decode_groups(struct rollup *into, str section, uint64_t rows, struct err *err)
{
    struct rd r = rd_of(section.p, section.n);
    struct rollup *t = rollup_new();
    int rc = t ? 0 : err_nomem(err);
    uint64_t sum = 0;
    bool known = section.n && rd_u8(&r) == GROUPS_VERSION;
    for (uint64_t i = 0, n = known ? rd_varint(&r) : 0; i < n && rd_ok(&r) && !rc; i++) {
        int64_t hour = (int64_t)rd_le64(&r);
        uint64_t levels[LV__COUNT];
        for (int l = 0; l < LV__COUNT; l++) {
            levels[l] = rd_varint(&r);
            known &= levels[l] <= rows && (sum += levels[l]) <= rows;
        }
        if (!levels_add(t, hour, levels))
            rc = err_nomem(err);
    }
    if (!rc && known && rd_ok(&r) && !rd_left(&r) && sum == rows)
        rc = rollup_merge(into, t, err);
    else
        into->ungrouped += rows;
    rollup_free(t);
    return rc;
}

static int decode_lists(struct rollup *t, struct rd *r, struct err *err)
{
    uint64_t n = rd_varint(r);
    for (uint64_t i = 0; i < n && rd_ok(r); i++) {
        struct rollup_agent *a = agent_slot(t, rd_lenstr(r));
        if (!a)
            return err_nomem(err);
        a->entries = rd_varint(r);
        for (int l = 0; l < LV__COUNT; l++)
            a->levels[l] = rd_varint(r);
        a->first = (ts_ns)rd_le64(r);
        a->last = (ts_ns)rd_le64(r);
        a->first_seq = rd_varint(r);
    }
    n = rd_varint(r);
    for (uint64_t i = 0; i < n && rd_ok(r); i++) {
        int64_t hour = (int64_t)rd_le64(r);
        if (!hour_add(t, hour, rd_varint(r)))
            return err_nomem(err);
    }
    n = rd_varint(r);
    for (uint64_t i = 0; i < n && rd_ok(r); i++) {
        str key = rd_lenstr(r);
        uint64_t rows = rd_varint(r);
        if (rd_ok(r) && key.n && !field_add(t, str_skip(key, 1), (enum vtype)key.p[0], rows))
            return err_nomem(err);
    }
    return 0;
}

int rollup_decode(struct rollup *into, str in, struct err *err)
{
    struct rd r = rd_of(in.p, in.n);
    struct rollup *t = rollup_new();
    if (!t)
        return err_nomem(err);
    t->entries = rd_varint(&r);
    for (int l = 0; l < LV__COUNT; l++)
        t->levels[l] = rd_varint(&r);
    t->t_min = (ts_ns)rd_le64(&r);
    t->t_max = (ts_ns)rd_le64(&r);
    t->recv_min = (ts_ns)rd_le64(&r);
    t->recv_max = (ts_ns)rd_le64(&r);
    int rc = decode_lists(t, &r, err);
    if (!rc && (!rd_ok(&r) || rd_left(&r)))
        rc = err_set(err, ERR_CORRUPT, "segment summary is damaged");
    if (!rc)
        rc = rollup_merge(into, t, err);
    rollup_free(t);
    return rc;
}

/* ---- comparing ---- */

static bool same_counts(const struct smap *a, const struct smap *b)
{
    struct smap_slot *s;
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; smap_next(a, &i, &s);) {
        const uint64_t *other = smap_get(b, s->key);
        if (!other || *other != s->val)
            return false;
    }
    return true;
}

static bool same_agents(const struct rollup *a, const struct rollup *b)
{
    struct smap_slot *s;
    if (a->agents.n != b->agents.n)
        return false;
    for (uint32_t i = 0; smap_next(&a->agents, &i, &s);) {
        const uint64_t *at = smap_get(&b->agents, s->key);
        if (!at)
            return false;
        const struct rollup_agent *x = &a->agent[s->val - 1], *y = &b->agent[*at - 1];
        if (x->entries != y->entries || x->first != y->first || x->last != y->last ||
            x->first_seq != y->first_seq || memcmp(x->levels, y->levels, sizeof x->levels) != 0)
            return false;
    }
    return true;
}

const char *rollup_difference(const struct rollup *a, const struct rollup *b)
{
    if (a->entries != b->entries)
        return "number of entries";
    if (memcmp(a->levels, b->levels, sizeof a->levels) != 0)
        return "entries by level";
    if (a->t_min != b->t_min || a->t_max != b->t_max)
        return "first and last time";
    if (a->recv_min != b->recv_min || a->recv_max != b->recv_max)
        return "first and last receipt";
    if (!same_agents(a, b))
        return "agents";
    if (!same_counts(&a->hours, &b->hours))
        return "entries by hour";
    return same_counts(&a->fields, &b->fields) ? NULL : "fields";
}
