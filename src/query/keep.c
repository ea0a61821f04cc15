/* keep.c: rows that outlive their block, and blocks made of such rows.
 *
 * A kept row is one allocation: the struct, its cells, its sort keys, the bytes of its texts.
 * Column keys are numbered once a run (struct colkeys), a (key, type) pair each; a block made of
 * kept rows has one physical column a number in use, so that it looks like any other block to
 * whoever reads it. */
#include "base/mem.h"
#include "model/inside.h"
#include "query/internal.h"

#define BATCH_ROWS 512
#define BATCH_BYTES ((size_t)8 << 20)

struct colkey {
    str key;
    uint64_t hash;
    enum vtype type;
};

struct colkeys {
    struct arena arena;
    struct smap map;
    struct colkey *keys;
    uint32_t n, cap;
    uint32_t *of; /* columns of the attached block -> numbers */
    uint32_t nof, cap_of;
    struct buf typed; /* a key being looked up */
    struct val *vals; /* scratch: a row's values by column */
};

int colkeys_new(struct colkeys **ret, struct err *err)
{
    struct colkeys *k = mem_zalloc(sizeof *k);
    if (!k)
        return err_nomem(err);
    arena_init(&k->arena, (size_t)256 << 20);
    smap_init(&k->map, SMAP_BORROW);
    buf_init(&k->typed, (size_t)1 << 20);
    *ret = k;
    return 0;
}

void colkeys_free(struct colkeys *k)
{
    if (!k)
        return;
    smap_deinit(&k->map);
    arena_deinit(&k->arena);
    buf_deinit(&k->typed);
    mem_free(k->keys);
    mem_free(k->of);
    mem_free(k->vals);
    mem_free(k);
}

static int colkey_add(struct colkeys *k, str typed, uint64_t hash, uint32_t *ret, struct err *err)
{
    if (k->n == k->cap) {
        uint32_t cap = k->cap ? k->cap * 2 : 64;
        struct colkey *keys = mem_realloc(k->keys, cap * sizeof *keys);
        if (!keys)
            return err_nomem(err);
        k->keys = keys;
        k->cap = cap;
    }
    str own = arena_dup(&k->arena, typed);
    uint64_t *slot = own.p ? smap_put(&k->map, own, NULL) : NULL;
    if (!slot)
        return err_nomem(err);
    k->keys[k->n] = (struct colkey){ str_skip(own, 1), hash, (enum vtype)own.p[0] };
    *slot = k->n;
    *ret = k->n++;
    return 0;
}

static int colkey_number(struct colkeys *k, str key, uint64_t hash, enum vtype type, uint32_t *ret,
                         struct err *err)
{
    buf_reset(&k->typed);
    buf_putc(&k->typed, (char)type);
    buf_putstr(&k->typed, key);
    if (!buf_ok(&k->typed))
        return err_nomem(err);
    uint64_t *slot = smap_get(&k->map, buf_str(&k->typed));
    if (!slot)
        return colkey_add(k, buf_str(&k->typed), hash, ret, err);
    *ret = (uint32_t)*slot;
    return 0;
}

int kept_attach(struct run *r, struct block *b, struct err *err)
{
    struct colkeys *k = r->keys;
    if (b->ncols > k->cap_of) {
        uint32_t *of = mem_realloc(k->of, b->ncols * sizeof *of);
        if (of)
            k->of = of;
        struct val *vals = mem_realloc(k->vals, b->ncols * sizeof *vals);
        if (vals)
            k->vals = vals;
        if (!of || !vals)
            return err_nomem(err);
        k->cap_of = b->ncols;
    }
    k->nof = b->ncols;
    for (uint32_t c = 0; c < b->ncols; c++) {
        int rc = colkey_number(k, b->cols[c].key, b->cols[c].hash, b->cols[c].type, &k->of[c], err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- keeping ---- */

static bool wanted(const struct block *b, uint32_t c, const struct schema *need)
{
    if (!need)
        return true;
    bool attribute = b->cols[c].key.n && b->cols[c].key.p[0] == PATH_SEP;
    str way;
    for (uint32_t i = 0; i < need->n; i++) {
        const struct fieldref *f = &need->cols[i].ref;
        if (fieldref_matches(f, b->cols[c].key, b->cols[c].hash))
            return true;
        if (b->cols[c].type == V_JSON && inside_of(f, b->cols[c].key, b->cols[c].hash, &way))
            return true;
        enum field own = attribute ? F_NONE : field_by_key(b->cols[c].key);
        if ((f->field == F_NONE && own == F_REST) ||
            (f->field == F_ID && (own == F_SEQ || own == F_RECEIVED_AT)))
            return true;
    }
    return false;
}

static size_t text_len(const struct val *v)
{
    return v->t >= V_STR ? v->s.n : 0;
}

static struct val own_text(struct val v, char **at)
{
    if (v.t < V_STR)
        return v;
    if (v.s.n)
        memcpy(*at, v.s.p, v.s.n);
    v.s.p = *at;
    *at += v.s.n;
    return v;
}

/* the row's values of the columns that are needed; counts cells and text */
static int measure(struct run *r, struct block *b, uint32_t row, const struct schema *need,
                   uint32_t *ret_cells, size_t *ret_text, struct err *err)
{
    struct val *v = r->keys->vals;
    uint64_t sel[BLOCK_WORDS] = { 0 };
    const struct colv *c;
    bit_set(sel, row);
    *ret_cells = 0;
    *ret_text = 0;
    for (uint32_t i = 0; i < b->ncols; i++) {
        v[i] = VAL_ABSENT;
        if (!wanted(b, i, need))
            continue;
        int rc = block_load_rows(b, i, sel, &c, err);
        if (rc)
            return rc;
        v[i] = colv_val(c, row);
        *ret_cells += !v[i].absent;
        *ret_text += text_len(&v[i]);
    }
    return 0;
}

int kept_new(struct kept **ret, struct run *r, struct block *b, uint32_t row,
             const struct schema *need, const struct val *key, uint32_t nkeys, struct err *err)
{
    const struct val *v = r->keys->vals;
    uint32_t ncells;
    size_t text;
    int rc = measure(r, b, row, need, &ncells, &text, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < nkeys; i++)
        text += text_len(&key[i]);
    size_t bytes =
        sizeof(struct kept) + ncells * sizeof(struct kept_cell) + nkeys * sizeof(struct val) + text;
    struct kept *k = mem_alloc(bytes);
    if (!k)
        return err_nomem(err);
    *k = (struct kept){ .bytes = bytes, .ids = b->ids };
    k->cells = (struct kept_cell *)(k + 1);
    k->key = (struct val *)(k->cells + ncells);
    char *at = (char *)(k->key + nkeys);
    for (uint32_t i = 0; i < nkeys; i++)
        k->key[i] = own_text(key[i], &at);
    for (uint32_t i = 0; i < b->ncols; i++)
        if (!v[i].absent)
            k->cells[k->ncells++] = (struct kept_cell){ r->keys->of[i], own_text(v[i], &at) };
    r->kept_bytes += bytes;
    *ret = k;
    return 0;
}

int kept_new_value(struct kept **ret, struct run *r, struct block *b, uint32_t row,
                   const struct schema *need, struct err *err)
{
    struct val *v = r->keys->vals;
    size_t bytes = sizeof(struct kept);
    for (uint32_t i = 0; i < b->ncols; i++) {
        v[i] = VAL_ABSENT;
        int rc = wanted(b, i, need) ? block_value(b, i, row, &v[i], err) : 0;
        if (rc)
            return rc;
        if (!v[i].absent)
            bytes += sizeof(struct kept_cell) + text_len(&v[i]);
    }
    struct kept *k = mem_alloc(bytes);
    if (!k)
        return err_nomem(err);
    *k = (struct kept){ .bytes = bytes, .ids = b->ids, .cells = (struct kept_cell *)(k + 1) };
    for (uint32_t i = 0; i < b->ncols; i++)
        k->ncells += !v[i].absent;
    char *at = (char *)(k->cells + k->ncells);
    for (uint32_t i = 0, n = 0; i < b->ncols; i++)
        if (!v[i].absent)
            k->cells[n++] = (struct kept_cell){ r->keys->of[i], own_text(v[i], &at) };
    r->kept_bytes += bytes;
    *ret = k;
    return 0;
}

int kept_new_ref(struct kept **ret, struct run *r, uint32_t block, uint32_t row,
                 const struct val *key, uint32_t nkeys, struct err *err)
{
    size_t bytes = sizeof(struct kept) + nkeys * sizeof(struct val);
    for (uint32_t i = 0; i < nkeys; i++)
        bytes += text_len(&key[i]);
    struct kept *k = mem_alloc(bytes);
    if (!k)
        return err_nomem(err);
    *k = (struct kept){ .bytes = bytes, .ref = block, .row = row, .key = (struct val *)(k + 1) };
    char *at = (char *)(k->key + nkeys);
    for (uint32_t i = 0; i < nkeys; i++)
        k->key[i] = own_text(key[i], &at);
    r->kept_bytes += bytes;
    *ret = k;
    return 0;
}

int kept_copy(struct kept **ret, struct run *r, const struct kept *k, struct err *err)
{
    size_t bytes = sizeof *k + k->ncells * sizeof(struct kept_cell);
    for (uint32_t i = 0; i < k->ncells; i++) {
        if (k->cells[i].col >= r->keys->n || k->cells[i].v.t != r->keys->keys[k->cells[i].col].type)
            return err_set(err, ERR_CORRUPT, "a kept row has a column that is not there");
        bytes += text_len(&k->cells[i].v);
    }
    struct kept *own = mem_alloc(bytes);
    if (!own)
        return err_nomem(err);
    *own = *k;
    own->bytes = bytes;
    own->key = NULL;
    own->cells = (struct kept_cell *)(own + 1);
    char *at = (char *)(own->cells + k->ncells);
    for (uint32_t i = 0; i < k->ncells; i++)
        own->cells[i] = (struct kept_cell){ k->cells[i].col, own_text(k->cells[i].v, &at) };
    r->kept_bytes += bytes;
    *ret = own;
    return 0;
}

void kept_free(struct run *r, struct kept *k)
{
    if (!k)
        return;
    r->kept_bytes -= k->bytes;
    mem_free(k);
}

/* ---- blocks of kept rows ---- */

struct kblock {
    struct block b;
    struct colv *cols;
};

static int kblock_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    (void)err;
    *ret = ((struct kblock *)b)->cols[c];
    return 0;
}

static void kblock_close(struct block *b)
{
    (void)b;
}

static const struct block_ops kblock_ops = { kblock_load, kblock_close, NULL, NULL };

struct filling {
    struct colv v;
    uint64_t *present;
    uint32_t *off;
    char *bytes;
    void *nums;
    size_t text;   /* total, then bytes written */
    uint32_t next; /* first slot of off not yet set */
};

static bool column_alloc(struct arena *a, struct filling *f, uint32_t n)
{
    f->present = arena_zalloc(a, BITS_WORDS(n) * 8);
    f->v.present = f->present;
    if (f->v.type == V_I64 || f->v.type == V_F64) {
        f->nums = arena_zalloc(a, (size_t)n * 8);
        f->v.i64 = f->v.type == V_I64 ? f->nums : NULL;
        f->v.f64 = f->v.type == V_F64 ? f->nums : NULL;
    } else if (f->v.type == V_BOOL) {
        f->nums = arena_zalloc(a, n);
        f->v.b8 = f->nums;
    } else if (f->v.type >= V_STR) {
        f->off = arena_array(a, (size_t)n + 1, sizeof *f->off);
        f->bytes = arena_alloc(a, f->text ? f->text : 1);
        f->v.off = f->off;
        f->v.bytes = f->bytes;
        f->text = 0;
        return f->present && f->off && f->bytes;
    }
    return f->present && (f->nums || f->v.type == V_NULL);
}

static void column_put(struct filling *f, uint32_t row, const struct val *v)
{
    bit_set(f->present, row);
    f->v.nvals++;
    switch (f->v.type) {
    case V_NULL: return;
    case V_BOOL: ((uint8_t *)f->nums)[row] = v->b; return;
    case V_I64: ((int64_t *)f->nums)[row] = v->i; return;
    case V_F64: ((double *)f->nums)[row] = v->d; return;
    default:
        while (f->next <= row)
            f->off[f->next++] = (uint32_t)f->text;
        if (v->s.n)
            memcpy(f->bytes + f->text, v->s.p, v->s.n);
        f->text += v->s.n;
    }
}

/* numbers the columns the rows use: at[number] = place among the block's columns + 1 */
static uint32_t columns_used(struct run *r, struct kept *const *rows, uint32_t n, uint32_t *at)
{
    uint32_t ncols = 0;
    memset(at, 0, (r->keys->n + 1) * sizeof *at);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < rows[i]->ncells; k++)
            if (!at[rows[i]->cells[k].col])
                at[rows[i]->cells[k].col] = ++ncols;
    return ncols;
}

static void block_bounds(struct block *b, struct kept *const *rows, uint32_t n)
{
    b->n = n;
    b->t_min = TS_MAX;
    b->t_max = TS_MIN;
    b->seq_min = UINT64_MAX;
    b->ids = rows[0]->ids;
    for (uint32_t i = 0; i < n; i++) {
        b->t_min = rows[i]->t < b->t_min ? rows[i]->t : b->t_min;
        b->t_max = rows[i]->t > b->t_max ? rows[i]->t : b->t_max;
        b->seq_min = rows[i]->seq < b->seq_min ? rows[i]->seq : b->seq_min;
        b->seq_max = rows[i]->seq > b->seq_max ? rows[i]->seq : b->seq_max;
    }
}

static void fill(struct run *r, struct kept *const *rows, uint32_t n, const uint32_t *at,
                 struct filling *cols, uint32_t ncols)
{
    (void)r;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < rows[i]->ncells; k++)
            column_put(&cols[at[rows[i]->cells[k].col] - 1], i, &rows[i]->cells[k].v);
    for (uint32_t c = 0; c < ncols; c++)
        while (cols[c].off && cols[c].next <= n)
            cols[c].off[cols[c].next++] = (uint32_t)cols[c].text;
}

int kept_block(struct run *r, struct arena *a, struct kept *const *rows, uint32_t n,
               struct block **ret, struct err *err)
{
    uint32_t *at = arena_array(a, r->keys->n + 1, sizeof *at);
    struct kblock *kb = arena_zalloc(a, sizeof *kb);
    if (!at || !kb)
        return err_nomem(err);
    uint32_t ncols = columns_used(r, rows, n, at);
    struct filling *cols = arena_zalloc(a, (ncols + 1) * sizeof *cols);
    struct colinfo *info = arena_array(a, ncols + 1, sizeof *info);
    kb->cols = arena_array(a, ncols + 1, sizeof *kb->cols);
    kb->b.loaded = arena_zalloc(a, (ncols + 1) * sizeof *kb->b.loaded);
    if (!cols || !info || !kb->cols || !kb->b.loaded)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < rows[i]->ncells; k++)
            cols[at[rows[i]->cells[k].col] - 1].text += text_len(&rows[i]->cells[k].v);
    for (uint32_t k = 0; k < r->keys->n; k++) {
        if (!at[k])
            continue;
        const struct colkey *key = &r->keys->keys[k];
        struct filling *f = &cols[at[k] - 1];
        f->v = (struct colv){ .key = key->key, .type = key->type, .n = n };
        if (!column_alloc(a, f, n))
            return err_nomem(err);
    }
    fill(r, rows, n, at, cols, ncols);
    for (uint32_t k = 0; k < r->keys->n; k++) {
        if (!at[k])
            continue;
        const struct colkey *key = &r->keys->keys[k];
        kb->cols[at[k] - 1] = cols[at[k] - 1].v;
        info[at[k] - 1] =
            (struct colinfo){ key->key, key->hash, key->type, cols[at[k] - 1].v.nvals };
    }
    kb->b.ncols = ncols;
    kb->b.cols = info;
    kb->b.arena = a;
    kb->b.ops = &kblock_ops;
    block_bounds(&kb->b, rows, n);
    *ret = &kb->b;
    return 0;
}

static int push_batch(struct run *r, struct op *next, struct kept *const *rows, uint32_t n,
                      struct err *err)
{
    uint64_t sel[BLOCK_WORDS];
    struct chunk c = { .sel = sel, .nsel = n };
    arena_reset(&r->batch);
    bits_fill(sel, n);
    int rc = kept_block(r, &r->batch, rows, n, &c.b, err);
    return rc ? rc : op_push(next, &c, err);
}

int kept_push(struct run *r, struct op *next, struct kept **rows, uint64_t n, struct err *err)
{
    int rc = 0;
    for (uint64_t i = 0; i < n;) {
        uint32_t m = 0;
        size_t bytes = 0;
        while (i + m < n && m < BATCH_ROWS && (m == 0 || bytes + rows[i + m]->bytes <= BATCH_BYTES))
            bytes += rows[i + m++]->bytes;
        if (!rc)
            rc = push_batch(r, next, rows + i, m, err);
        for (uint32_t k = 0; k < m; k++)
            kept_free(r, rows[i + k]);
        i += m;
    }
    return rc;
}

/* ---- tables ---- */

struct numbered {    /* the number of a table's column, as long as its values are of one type */
    enum vtype type; /* V_NULL: none yet */
    uint32_t number;
};

static int table_row(struct run *r, const struct schema *s, const struct val *vals,
                     struct numbered *numbers, struct kept *k, struct err *err)
{
    for (uint32_t c = 0; c < s->n; c++) {
        if (vals[c].t == V_NULL)
            continue;
        struct kept_cell *cell = &k->cells[k->ncells++];
        const struct fieldref *f = &s->cols[c].ref;
        if (numbers[c].type != vals[c].t) {
            int rc = colkey_number(r->keys, f->key, f->hash, vals[c].t, &numbers[c].number, err);
            if (rc)
                return rc;
            numbers[c].type = vals[c].t;
        }
        *cell = (struct kept_cell){ numbers[c].number, vals[c] };
    }
    return 0;
}

int table_push(struct run *r, struct op *next, const struct schema *s, const struct val *vals,
               uint64_t n, struct err *err)
{
    int rc = 0;
    struct kept *rows = mem_array(BATCH_ROWS, sizeof *rows);
    struct kept **ptrs = mem_array(BATCH_ROWS, sizeof *ptrs);
    struct kept_cell *cells = mem_array((size_t)BATCH_ROWS * s->n, sizeof *cells);
    struct numbered *numbers = mem_zarray(s->n + 1, sizeof *numbers);
    if (!rows || !ptrs || !cells || !numbers)
        rc = err_nomem(err);
    for (uint64_t i = 0; i < n && !rc; i += BATCH_ROWS) {
        uint32_t m = n - i < BATCH_ROWS ? (uint32_t)(n - i) : BATCH_ROWS;
        for (uint32_t k = 0; k < m && !rc; k++) {
            rows[k] = (struct kept){ .cells = cells + (size_t)k * s->n, .seq = i + k };
            ptrs[k] = &rows[k];
            rc = table_row(r, s, vals + (i + k) * s->n, numbers, &rows[k], err);
        }
        if (!rc)
            rc = push_batch(r, next, ptrs, m, err);
    }
    mem_free(rows);
    mem_free(ptrs);
    mem_free(cells);
    mem_free(numbers);
    return rc;
}
