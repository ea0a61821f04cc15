/* issue_set.c: see issue_set.h. */
#include "query/issue_set.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/fault.h"
#include "model/ident.h"
#include "query/internal.h"
#include "query/tally.h"

#define SESSIONS_MAX 100000 /* told apart in one issue */
#define FIELD_MAX 512       /* bytes of a type, tool or frame that count */

static const char *const stacks[] = {
    "exception.stacktrace", "exception.traceback", "error.stack", "error.stack_trace", "stack",
    "stack_trace",          "stacktrace",          "traceback",   "exc_info"
};
enum { STACKS = sizeof stacks / sizeof *stacks };
enum {
    R_LEVEL,
    R_STATUS,
    R_TYPE,
    R_SEQ,
    R_TIME,
    R_AGENT,
    R_SESSION,
    R_TOOL,
    R_MESSAGE,
    R_OUTPUT,
    R_STACK,
    REFS = R_STACK + STACKS
};
static const enum field ref_field[R_STACK] = { F_LEVEL,     F_STATUS, F_ERROR_TYPE, F_SEQ,
                                               F_TIMESTAMP, F_AGENT,  F_SESSION_ID, F_TOOL,
                                               F_MESSAGE,   F_OUTPUT };

struct issue_set {
    struct arena arena;
    size_t bytes, max; /* outside of the arena; of both */
    struct fieldref ref[REFS];
    struct smap map; /* 8 bytes of the id -> index + 1 */
    struct issue **v;
    uint32_t n, cap;
    struct smap agents; /* 8 bytes of a hash -> its place in names + 1 */
    str *names;
    uint32_t nnames, names_cap;
    struct smap lines; /* 8 bytes of an id -> index + 1 in line */
    uint64_t *line;
    uint32_t nlines, lines_cap;
    uint64_t other;
    ts_ns first, last;
    struct buf key, text, frame;
};

int issue_set_new(struct issue_set **ret, size_t max_bytes, struct err *err)
{
    struct issue_set *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    arena_init(&s->arena, SIZE_MAX);
    smap_init(&s->map, SMAP_BORROW);
    smap_init(&s->agents, SMAP_BORROW);
    smap_init(&s->lines, SMAP_BORROW);
    buf_init(&s->key, 1u << 20);
    buf_init(&s->text, 1u << 20);
    buf_init(&s->frame, 1u << 20);
    s->max = max_bytes;
    s->first = TS_MAX;
    s->last = TS_MIN;
    bool ok = true;
    for (int i = 0; i < REFS && ok; i++)
        ok = i < R_STACK
                 ? fieldref_make(&s->arena, field_table[ref_field[i]].name, false, &s->ref[i])
                 : fieldref_make(&s->arena, str_c(stacks[i - R_STACK]), false, &s->ref[i]);
    if (!ok) {
        issue_set_free(s);
        return err_nomem(err);
    }
    *ret = s;
    return 0;
}

static void counts_free(struct hash_count *h)
{
    mem_free(h->key);
    mem_free(h->count);
}

void issue_set_free(struct issue_set *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++) {
        counts_free(&s->v[i]->agents);
        counts_free(&s->v[i]->sessions);
    }
    smap_deinit(&s->map);
    smap_deinit(&s->agents);
    smap_deinit(&s->lines);
    buf_deinit(&s->key);
    buf_deinit(&s->text);
    buf_deinit(&s->frame);
    mem_free(s->v);
    mem_free(s->names);
    mem_free(s->line);
    arena_deinit(&s->arena);
    mem_free(s);
}

size_t issue_set_bytes(const struct issue_set *s)
{
    return s->bytes + s->arena.used;
}

uint64_t issue_set_other(const struct issue_set *s)
{
    return s->other;
}

uint32_t issue_set_n(const struct issue_set *s)
{
    return s->n;
}

struct issue *issue_set_at(const struct issue_set *s, uint32_t i)
{
    return s->v[i];
}

void issue_range(const struct issue_set *s, ts_ns *ret_first, ts_ns *ret_last)
{
    *ret_first = s->first;
    *ret_last = s->last;
}

static str key_of(const uint64_t *id)
{
    return (str){ (const char *)id, sizeof *id };
}

struct issue *issue_set_find(const struct issue_set *s, uint64_t id)
{
    const uint64_t *slot = smap_get(&s->map, key_of(&id));
    return slot ? s->v[*slot - 1] : NULL;
}

/* ---- counted hashes ---- */

static uint32_t place(const struct hash_count *h, uint64_t key)
{
    uint32_t k = (uint32_t)hash_mix(key) & (h->cap - 1);
    while (h->key[k] && h->key[k] != key)
        k = (k + 1) & (h->cap - 1);
    return k;
}

static int counts_add(struct issue_set *s, struct hash_count *h, uint64_t key, uint32_t n,
                      struct err *err)
{
    key += !key; /* 0 is a free place */
    if (h->n * 4 >= h->cap * 3) {
        struct hash_count more = { .cap = h->cap ? h->cap * 2 : 4, .n = h->n };
        more.key = mem_zarray(more.cap, sizeof *more.key);
        more.count = mem_zarray(more.cap, sizeof *more.count);
        if (!more.key || !more.count) {
            counts_free(&more);
            return err_nomem(err);
        }
        for (uint32_t i = 0; i < h->cap; i++)
            if (h->key[i]) {
                uint32_t k = place(&more, h->key[i]);
                more.key[k] = h->key[i];
                more.count[k] = h->count[i];
            }
        s->bytes += (size_t)(more.cap - h->cap) * (sizeof *h->key + sizeof *h->count);
        counts_free(h);
        *h = more;
    }
    uint32_t k = place(h, key);
    h->n += !h->key[k];
    h->key[k] = key;
    h->count[k] = h->count[k] > UINT32_MAX - n ? UINT32_MAX : h->count[k] + n;
    return 0;
}

static uint64_t hash_of(str s)
{
    uint64_t h = hash64(s.n ? s.p : "", s.n);
    return h + !h;
}

/* remembers the name that goes with the hash */
static int name_agent(struct issue_set *s, str name, uint64_t *ret, struct err *err)
{
    *ret = hash_of(name);
    if (smap_get(&s->agents, key_of(ret)))
        return 0;
    if (s->nnames == s->names_cap) {
        uint32_t cap = s->names_cap ? s->names_cap * 2 : 64;
        str *names = mem_realloc(s->names, cap * sizeof *names);
        if (!names)
            return err_nomem(err);
        s->bytes += (cap - s->names_cap) * (sizeof *names + 2 * sizeof(struct smap_slot));
        s->names = names;
        s->names_cap = cap;
    }
    str own = arena_dup(&s->arena, name), key = arena_dup(&s->arena, key_of(ret));
    if ((name.n && !own.p) || !key.p)
        return err_nomem(err);
    uint64_t *slot = smap_put(&s->agents, key, NULL);
    if (!slot)
        return err_nomem(err);
    s->names[s->nnames] = own;
    *slot = ++s->nnames;
    return 0;
}

str issue_agent(const struct issue_set *s, uint64_t hash)
{
    const uint64_t *slot = smap_get(&s->agents, key_of(&hash));
    return slot ? s->names[*slot - 1] : STR_NULL;
}

uint32_t issue_agents(const struct issue_set *s, const struct issue *x, uint32_t n,
                      uint64_t *ret_hash, uint32_t *ret_count)
{
    uint32_t have = 0;
    for (uint32_t i = 0; i < x->agents.cap; i++) {
        if (!x->agents.key[i])
            continue;
        uint64_t h = x->agents.key[i];
        uint32_t count = x->agents.count[i], k = have < n ? have : n;
        str name = issue_agent(s, h);
        while (k &&
               (ret_count[k - 1] < count || (ret_count[k - 1] == count &&
                                             str_cmp(name, issue_agent(s, ret_hash[k - 1])) < 0))) {
            if (k < n) {
                ret_hash[k] = ret_hash[k - 1];
                ret_count[k] = ret_count[k - 1];
            }
            k--;
        }
        if (k < n) {
            ret_hash[k] = h;
            ret_count[k] = count;
            have += have < n;
        }
    }
    return have;
}

/* ---- counts over time ---- */

static void coarser(struct issue *x)
{
    uint32_t cell[ISSUE_CELLS] = { 0 };
    int64_t from = ladder_step(x->rung), to = ladder_step(++x->rung);
    int64_t first = floor_div(x->cell0, to / from);
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->cells; i++) {
        n = (uint32_t)(floor_div(x->cell0 + i, to / from) - first);
        cell[n] += x->cell[i];
    }
    x->cell0 = first;
    x->cells = n + 1;
    memcpy(x->cell, cell, sizeof cell);
}

static void count_time(struct issue *x, ts_ns t, uint32_t n)
{
    int64_t at = floor_div(t, ladder_step(x->rung));
    while (x->cells && x->rung + 1u < LADDER_RUNGS) {
        int64_t lo = at < x->cell0 ? at : x->cell0, hi = x->cell0 + x->cells - 1;
        if ((at > hi ? at : hi) - lo < ISSUE_CELLS)
            break;
        coarser(x);
        at = floor_div(t, ladder_step(x->rung));
    }
    if (!x->cells) {
        x->cell0 = at;
        x->cells = 1;
    } else if (at < x->cell0) {
        uint32_t by = (uint32_t)(x->cell0 - at);
        memmove(x->cell + by, x->cell, x->cells * sizeof *x->cell);
        memset(x->cell, 0, by * sizeof *x->cell);
        x->cell0 = at;
        x->cells += by;
    } else if (at >= x->cell0 + x->cells) {
        x->cells = (uint32_t)(at - x->cell0) + 1;
    }
    x->cell[at - x->cell0] += n;
}

void issue_spark(const struct issue *x, ts_ns from, ts_ns to, uint32_t ret[ISSUE_SPARK],
                 int64_t *ret_step, ts_ns *ret_from)
{
    struct issue y = *x;
    unsigned rung = 0;
    while (rung + 1 < LADDER_RUNGS &&
           floor_div(to, ladder_step(rung)) - floor_div(from, ladder_step(rung)) >= ISSUE_SPARK)
        rung++;
    while (y.rung < rung)
        coarser(&y);
    int64_t step = ladder_step(rung), first = floor_div(to, step) - ISSUE_SPARK + 1;
    memset(ret, 0, ISSUE_SPARK * sizeof *ret);
    for (uint32_t i = 0; i < y.cells && y.rung == rung; i++) {
        int64_t k = y.cell0 + i - first;
        if (k >= 0 && k < ISSUE_SPARK)
            ret[k] += y.cell[i];
    }
    *ret_step = step;
    if (__builtin_mul_overflow(first, step, ret_from))
        *ret_from = TS_MIN;
}

/* ---- one row ---- */

struct row {
    struct issue_set *s;
    struct block *b;
    struct access a[REFS];
    bool all, has_output; /* an output is looked at only where the rest says too little */
};

static int text_at(struct row *r, int ref, uint32_t i, str *ret, struct err *err)
{
    struct val v;
    int rc = access_get(&r->a[ref], i, &v, err);
    *ret = !rc && v.t >= V_STR ? v.s : STR_NULL;
    return rc;
}

static int is_error(struct row *r, uint32_t i, int64_t *level, bool *ret, struct err *err)
{
    struct val v;
    str s;
    int rc = access_get(&r->a[R_LEVEL], i, &v, err);
    *level = !rc && v.t == V_I64 ? v.i : LV_INFO;
    *ret = r->all || *level >= LV_ERROR;
    if (!rc && !*ret) {
        rc = text_at(r, R_TYPE, i, &s, err);
        *ret = s.n > 0;
    }
    if (!rc && !*ret) {
        rc = text_at(r, R_STATUS, i, &s, err);
        *ret = str_eq(s, STR("error"));
    }
    return rc;
}

struct told {
    str type, tool, text, frame; /* the last two in the set's buffers */
};

static int find_stack(struct row *r, uint32_t i, str message, struct fault_stack *ret, bool *found,
                      struct err *err)
{
    str s;
    int rc = 0;
    *found = false;
    for (int k = R_STACK; k < REFS && !*found && !rc; k++) {
        if (!r->a[k].n && !r->a[k].rest)
            continue;
        rc = text_at(r, k, i, &s, err);
        *found = !rc && s.n && fault_stack_read(s, ret);
    }
    if (!rc && !*found && str_chr(message, '\n') != SIZE_MAX)
        *found = fault_stack_read(message, ret);
    if (!rc && !*found && r->has_output) {
        rc = text_at(r, R_OUTPUT, i, &s, err);
        *found = !rc && str_chr(s, '\n') != SIZE_MAX && fault_stack_read(s, ret);
    }
    return rc;
}

static int tell(struct row *r, uint32_t i, struct told *t, struct err *err)
{
    struct issue_set *s = r->s;
    struct fault_stack st = { .type = STR_NULL };
    str message;
    bool found;
    int rc = text_at(r, R_MESSAGE, i, &message, err);
    if (!rc)
        rc = text_at(r, R_TYPE, i, &t->type, err);
    if (!rc)
        rc = text_at(r, R_TOOL, i, &t->tool, err);
    if (!rc)
        rc = find_stack(r, i, message, &st, &found, err);
    if (rc)
        return rc;
    buf_reset(&s->text);
    buf_reset(&s->frame);
    str trimmed = str_trim(message);
    if (found) {
        fault_put_frame(&s->frame, &st);
        if (!t->type.n)
            t->type = st.type;
        size_t end = str_chr(trimmed, '\n');
        str first = end == SIZE_MAX ? trimmed : str_sub(trimmed, 0, end);
        if (st.line.n && (!first.n || str_starts(first, STR("Traceback")) ||
                          (st.type.n && str_find(first, st.type) != SIZE_MAX)))
            trimmed = st.line;
    }
    /* "ValueError: bad input" under the type ValueError says the type once */
    if (t->type.n && trimmed.n > t->type.n + 2 && str_starts(trimmed, t->type) &&
        trimmed.p[t->type.n] == ':')
        trimmed = str_trim(str_skip(trimmed, t->type.n + 1));
    fault_put_text(&s->text, trimmed);
    t->type = str_sub(t->type, 0, FIELD_MAX);
    t->tool = str_sub(t->tool, 0, FIELD_MAX);
    t->text = buf_str(&s->text);
    t->frame = str_sub(buf_str(&s->frame), 0, FIELD_MAX);
    return buf_ok(&s->text) && buf_ok(&s->frame) ? 0 : err_nomem(err);
}

static int id_of(struct issue_set *s, const struct told *t, uint64_t *ret, struct err *err)
{
    const str *part[] = { &t->type, &t->tool, &t->text, &t->frame };
    buf_reset(&s->key);
    buf_printf(&s->key, "%d", FAULT_VERSION);
    for (int i = 0; i < 4; i++) {
        buf_putc(&s->key, 0);
        buf_putstr(&s->key, *part[i]);
    }
    *ret = hash64(s->key.p, s->key.n);
    return buf_ok(&s->key) ? 0 : err_nomem(err);
}

static int make(struct issue_set *s, uint64_t id, const struct told *t, struct issue **ret,
                struct err *err)
{
    *ret = issue_set_find(s, id);
    if (*ret)
        return 0;
    if (issue_set_bytes(s) > s->max)
        return 0;
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        struct issue **v = mem_realloc(s->v, cap * sizeof(struct issue *));
        if (!v)
            return err_nomem(err);
        s->bytes += (cap - s->cap) * (sizeof(struct issue *) + 2 * sizeof(struct smap_slot));
        s->v = v;
        s->cap = cap;
    }
    struct issue *x = arena_zalloc(&s->arena, sizeof *x);
    if (!x)
        return err_nomem(err);
    *x = (struct issue){ .id = id,
                         .type = arena_dup(&s->arena, t->type),
                         .tool = arena_dup(&s->arena, t->tool),
                         .text = arena_dup(&s->arena, t->text),
                         .frame = arena_dup(&s->arena, t->frame),
                         .first = TS_MAX,
                         .last = TS_MIN,
                         .oldest.seq = UINT64_MAX,
                         .since_first.seq = UINT64_MAX };
    const uint64_t *line = smap_get(&s->lines, key_of(&id));
    x->line = line ? s->line[*line - 1] : 0;
    if ((t->type.n && !x->type.p) || (t->tool.n && !x->tool.p) || (t->text.n && !x->text.p) ||
        (t->frame.n && !x->frame.p))
        return err_nomem(err);
    uint64_t *slot = smap_put(&s->map, key_of(&x->id), NULL);
    if (!slot)
        return err_nomem(err);
    s->v[s->n] = x;
    *slot = ++s->n;
    *ret = x;
    return 0;
}

int issue_entry_name(struct arena *a, struct block *b, uint32_t row, uint64_t seq,
                     struct issue_entry *ret, struct err *err)
{
    struct val at, id;
    uint32_t c[ACCESS_COLS];
    struct fieldref ref = { .field = F_ID, .key = field_table[F_ID].name };
    ref.hash = field_dotted_hash(ref.key);
    *ret = (struct issue_entry){ .seq = seq };
    int rc = block_get_field(b, row, F_RECEIVED_AT, &at, err);
    ret->received = !rc && at.t == V_I64 ? at.i : 0;
    uint32_t n = rc ? 0 : block_find(b, &ref, c, ACCESS_COLS);
    for (uint32_t i = 0; i < n && i < ACCESS_COLS && !rc && !ret->id.n; i++) {
        rc = block_value(b, c[i], row, &id, err);
        if (!rc && id.t == V_STR) {
            ret->id = arena_dup(a, id.s);
            if (!ret->id.p)
                rc = err_nomem(err);
        }
    }
    return rc;
}

static int count_row(struct row *r, struct issue *x, uint32_t i, int64_t level, struct err *err)
{
    struct issue_set *s = r->s;
    struct val v;
    str agent, session;
    uint64_t hash;
    int rc = access_get(&r->a[R_SEQ], i, &v, err);
    uint64_t seq = v.t == V_I64 ? (uint64_t)v.i : 0;
    ts_ns t = access_time(&r->a[R_TIME], i);
    if (!rc)
        rc = text_at(r, R_AGENT, i, &agent, err);
    if (!rc)
        rc = text_at(r, R_SESSION, i, &session, err);
    if (!rc)
        rc = name_agent(s, agent, &hash, err);
    if (!rc)
        rc = counts_add(s, &x->agents, hash, 1, err);
    if (rc)
        return rc;
    bool known =
        session.n && x->sessions.cap && x->sessions.key[place(&x->sessions, hash_of(session))];
    if (session.n && (known || (x->sessions.n < SESSIONS_MAX && issue_set_bytes(s) <= s->max)))
        rc = counts_add(s, &x->sessions, hash_of(session), 1, err);
    else
        x->sessions_more |= session.n > 0;
    x->count++;
    x->levels[level >= 0 && level < LV__COUNT ? level : LV_INFO]++;
    x->first = t < x->first ? t : x->first;
    x->last = t > x->last ? t : x->last;
    count_time(x, t, 1);
    if (!rc && seq < x->oldest.seq)
        rc = issue_entry_name(&s->arena, r->b, i, seq, &x->oldest, err);
    if (!rc && seq > x->line) {
        x->since++;
        if (seq < x->since_first.seq)
            rc = issue_entry_name(&s->arena, r->b, i, seq, &x->since_first, err);
    }
    s->first = t < s->first ? t : s->first;
    s->last = t > s->last ? t : s->last;
    return rc;
}

/* from the last row on: so each issue's newest entry of the block is named once */
static int name_newest(struct row *r, const uint64_t *wanted, struct issue *const *of,
                       struct err *err)
{
    int rc = 0;
    for (size_t i = r->b->n; i > 0 && !rc; i--) {
        struct issue *x = bit_get(wanted, i - 1) ? of[i - 1] : NULL;
        struct val v;
        if (!x)
            continue;
        rc = access_get(&r->a[R_SEQ], (uint32_t)i - 1, &v, err);
        if (!rc && v.t == V_I64 && (uint64_t)v.i > x->newest.seq)
            rc = issue_entry_name(&r->s->arena, r->b, (uint32_t)i - 1, (uint64_t)v.i, &x->newest,
                                  err);
    }
    return rc;
}

int issue_set_add(struct issue_set *s, struct block *b, const uint64_t *sel, bool all,
                  struct err *err)
{
    struct row r = { .s = s, .b = b, .all = all };
    uint64_t wanted[BLOCK_WORDS] = { 0 };
    uint8_t levels[BLOCK_ROWS_MAX];
    struct issue *of[BLOCK_ROWS_MAX];
    bool any = false;
    int rc = 0;
    for (int k = R_LEVEL; k <= R_TYPE && !rc; k++)
        rc = access_open(&r.a[k], b, &s->ref[k], err);
    for (size_t i = bits_next(sel, 0, b->n); i < b->n && !rc; i = bits_next(sel, i + 1, b->n)) {
        int64_t level;
        bool is;
        rc = is_error(&r, (uint32_t)i, &level, &is, err);
        levels[i] = (uint8_t)(level >= 0 && level < LV__COUNT ? level : LV_INFO);
        if (!rc && is) {
            bit_set(wanted, i);
            any = true;
        }
    }
    if (rc || !any)
        return rc;
    for (int k = R_TYPE + 1; k < REFS && !rc; k++)
        rc = access_open(&r.a[k], b, &s->ref[k], err);
    r.has_output = !rc && (r.a[R_OUTPUT].n || r.a[R_OUTPUT].rest);
    for (size_t i = bits_next(wanted, 0, b->n); i < b->n && !rc;
         i = bits_next(wanted, i + 1, b->n)) {
        struct told t;
        struct issue *x = NULL;
        uint64_t id;
        rc = tell(&r, (uint32_t)i, &t, err);
        if (!rc)
            rc = id_of(s, &t, &id, err);
        if (!rc)
            rc = make(s, id, &t, &x, err);
        if (!rc && x)
            rc = count_row(&r, x, (uint32_t)i, levels[i], err);
        of[i] = x;
        s->other += !x;
    }
    return rc ? rc : name_newest(&r, wanted, of, err);
}

/* ---- lines ---- */

int issue_set_line(struct issue_set *s, uint64_t id, uint64_t line, struct err *err)
{
    uint64_t *slot = smap_get(&s->lines, key_of(&id));
    if (!slot) {
        if (s->nlines == s->lines_cap) {
            uint32_t cap = s->lines_cap ? s->lines_cap * 2 : 16;
            uint64_t *v = mem_realloc(s->line, cap * sizeof *v);
            if (!v)
                return err_nomem(err);
            s->line = v;
            s->lines_cap = cap;
        }
        str key = arena_dup(&s->arena, key_of(&id));
        slot = key.p ? smap_put(&s->lines, key, NULL) : NULL;
        if (!slot)
            return err_nomem(err);
        *slot = ++s->nlines;
    }
    s->line[*slot - 1] = line;
    struct issue *x = issue_set_find(s, id);
    if (x) {
        x->line = line;
        x->since = line ? 0 : x->count;
        x->since_first = line ? (struct issue_entry){ .seq = UINT64_MAX } : x->oldest;
    }
    return 0;
}

/* ---- together ---- */

static int take_entry(struct issue_set *s, struct issue_entry *to, const struct issue_entry *from,
                      struct err *err)
{
    *to = *from;
    if (from->id.n && !(to->id = arena_dup(&s->arena, from->id)).p)
        return err_nomem(err);
    return 0;
}

static int merge_counts(struct issue_set *into, struct hash_count *to,
                        const struct hash_count *from, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < from->cap && !rc; i++)
        if (from->key[i])
            rc = counts_add(into, to, from->key[i], from->count[i], err);
    return rc;
}

/* No more of them than one set alone would have told apart. */
static int merge_sessions(struct issue_set *into, struct issue *x, const struct issue *y,
                          struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < y->sessions.cap && !rc; i++) {
        uint64_t key = y->sessions.key[i];
        if (!key)
            continue;
        bool known = x->sessions.cap && x->sessions.key[place(&x->sessions, key)];
        if (known || (x->sessions.n < SESSIONS_MAX && issue_set_bytes(into) <= into->max))
            rc = counts_add(into, &x->sessions, key, y->sessions.count[i], err);
        else
            x->sessions_more = true;
    }
    return rc;
}

static int merge_one(struct issue_set *into, const struct issue *y, struct err *err)
{
    struct told t = { y->type, y->tool, y->text, y->frame };
    struct issue *x;
    int rc = make(into, y->id, &t, &x, err);
    if (rc || !x) {
        into->other += y->count;
        return rc;
    }
    x->count += y->count;
    x->since += y->since;
    x->sessions_more |= y->sessions_more;
    for (int l = 0; l < LV__COUNT; l++)
        x->levels[l] += y->levels[l];
    x->first = y->first < x->first ? y->first : x->first;
    x->last = y->last > x->last ? y->last : x->last;
    if (y->oldest.seq < x->oldest.seq)
        rc = take_entry(into, &x->oldest, &y->oldest, err);
    if (!rc && y->since_first.seq < x->since_first.seq)
        rc = take_entry(into, &x->since_first, &y->since_first, err);
    if (!rc && y->newest.seq > x->newest.seq)
        rc = take_entry(into, &x->newest, &y->newest, err);
    if (!rc)
        rc = merge_counts(into, &x->agents, &y->agents, err);
    if (!rc)
        rc = merge_sessions(into, x, y, err);
    struct issue z = *y;
    while (x->cells && x->rung < z.rung)
        coarser(x);
    if (!x->cells)
        x->rung = z.rung;
    while (z.rung < x->rung)
        coarser(&z);
    for (uint32_t i = 0; i < z.cells; i++)
        if (z.cell[i])
            count_time(x, (z.cell0 + i) * ladder_step(z.rung), z.cell[i]);
    return rc;
}

int issue_set_merge(struct issue_set *into, const struct issue_set *from, struct err *err)
{
    int rc = 0;
    uint64_t hash;
    for (uint32_t i = 0; i < from->nnames && !rc; i++)
        rc = name_agent(into, from->names[i], &hash, err);
    for (uint32_t i = 0; i < from->n && !rc; i++)
        rc = merge_one(into, from->v[i], err);
    into->other += from->other;
    into->first = from->first < into->first ? from->first : into->first;
    into->last = from->last > into->last ? from->last : into->last;
    return rc;
}

/* ---- texts ---- */

void issue_put_title(struct buf *out, const struct issue *x)
{
    buf_putstr(out, x->type);
    if (x->type.n && x->text.n)
        buf_puts(out, ": ");
    buf_putstr(out, x->text);
    if (!x->type.n && !x->text.n)
        buf_puts(out, x->tool.n ? "failure of " : "error without a text");
    if (!x->type.n && !x->text.n)
        buf_putstr(out, x->tool);
}

void issue_id_text(uint64_t id, char ret[ISSUE_ID_TEXT + 1])
{
    snprintf(ret, ISSUE_ID_TEXT + 1, "%016llx", (unsigned long long)id);
}

bool issue_id_parse(str s, uint64_t *ret)
{
    uint64_t id = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return false;
        id = id << 4 | (uint64_t)d;
    }
    *ret = id;
    return s.n == ISSUE_ID_TEXT;
}

str issue_entry_id(const struct issue_entry *e, const struct id_gen *ids, struct arena *a)
{
    if (e->seq == UINT64_MAX)
        return STR_NULL;
    if (e->id.n)
        return arena_dup(a, e->id);
    char *text = ids ? arena_alloc(a, ID_TEXT) : NULL;
    if (!text)
        return STR_NULL;
    id_make(ids, e->received, e->seq, text);
    return (str){ text, ID_TEXT };
}

struct pred *issue_filter(struct arena *a)
{
    struct pred *p = pred_or(a, pred_level_min(a, LV_ERROR), pred_eq(a, F_STATUS, STR("error")));
    return pred_or(a, p, pred_glob(a, F_ERROR_TYPE, STR("*")));
}
