/* fake_store.c: store/store.h as a list of batches in memory, for tests of what stands on a store.
 *
 * Nothing is pruned, encoded or merged: a scan opens every block of every batch and evaluates the
 * filter on it. So an answer that differs between this and the real engine points at one of the
 * two. Rows are never deleted; only what queries need is here. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/batch.h"
#include "model/ident.h"
#include "store/store.h"

#define RECEIVED (1795262400ll * NS_PER_S)

struct fake_batch {
    char *payload;
    size_t n;
    uint32_t rows;
    uint64_t base_seq;
};

struct store {
    struct fake_batch *batch;
    uint32_t nbatches;
    uint64_t next_seq;
    struct mark *mark;
    uint32_t nmarks;
    struct arena arena; /* texts of marks */
    struct id_gen ids;
};

struct place {
    uint32_t batch, block;
    ts_ns t_min, t_max;
    uint64_t seq_min;
};

struct scan {
    struct scan *list; /* whose places are read */
    struct store *s;
    struct scan_plan plan;
    struct scan_cost cost;
    struct pred_run *run;
    struct place *places;
    uint32_t nplaces;
    _Atomic uint32_t next;
    uint64_t watermark;
    struct arena arena;
    uint64_t sel[BLOCK_WORDS];
};

/* ---- blocks with the columns of marks ---- */

enum { MARK_COLS = 4 };

struct marked {
    struct block b;
    struct block *of;
    struct store *s;
};

static const struct mark *mark_of(const struct store *s, uint64_t seq)
{
    for (uint32_t i = 0; i < s->nmarks; i++)
        if (s->mark[i].seq == seq)
            return &s->mark[i];
    return NULL;
}

static str mark_text(const struct mark *m, uint32_t col)
{
    return col == 1 ? m->by : m->note;
}

static int marked_load(struct block *b, uint32_t c, struct colv *ret, struct err *err)
{
    struct marked *m = (struct marked *)b;
    if (c < m->of->ncols) {
        const struct colv *v;
        int rc = block_load(m->of, c, &v, err);
        if (!rc)
            *ret = *v;
        return rc;
    }
    uint32_t col = c - m->of->ncols, at = 0;
    uint64_t *present = arena_zalloc(b->arena, BITS_WORDS(b->n) * 8);
    uint8_t *b8 = arena_zalloc(b->arena, b->n);
    int64_t *i64 = arena_zalloc(b->arena, b->n * 8ul);
    uint32_t *off = arena_zalloc(b->arena, (b->n + 1ul) * sizeof *off);
    size_t room = 0;
    for (uint32_t r = 0; r < b->n; r++) {
        const struct mark *k = mark_of(m->s, b->seq_min + r);
        room += k ? mark_text(k, col).n : 0;
    }
    char *bytes = arena_alloc(b->arena, room + 1);
    if (!present || !b8 || !i64 || !off || !bytes)
        return err_nomem(err);
    *ret = (struct colv){ .key = b->cols[c].key,
                          .type = b->cols[c].type,
                          .n = b->n,
                          .present = present,
                          .b8 = b8,
                          .i64 = i64,
                          .off = off,
                          .bytes = bytes };
    for (uint32_t r = 0; r < b->n; r++) {
        const struct mark *k = mark_of(m->s, b->seq_min + r);
        off[r] = at;
        if (!k)
            continue;
        bit_set(present, r);
        ret->nvals++;
        b8[r] = k->resolved;
        i64[r] = k->at;
        str t = mark_text(k, col);
        if (t.n)
            memcpy(bytes + at, t.p, t.n);
        at += (uint32_t)t.n;
    }
    off[b->n] = at;
    return 0;
}

static void marked_close(struct block *b)
{
    block_close(((struct marked *)b)->of);
}

static const struct block_ops marked_ops = { marked_load, marked_close, NULL, NULL };

static int with_marks(struct store *s, struct block *of, struct arena *a, struct block **ret,
                      struct err *err)
{
    static const struct {
        enum field f;
        enum vtype t;
    } cols[MARK_COLS] = { { F_RESOLVED, V_BOOL },
                          { F_RESOLVED_BY, V_STR },
                          { F_RESOLVED_AT, V_I64 },
                          { F_NOTE, V_STR } };
    struct marked *m = arena_zalloc(a, sizeof *m);
    struct colinfo *info = arena_array(a, of->ncols + MARK_COLS, sizeof *info);
    if (!m || !info)
        return err_nomem(err);
    m->b = *of;
    m->of = of;
    m->s = s;
    m->b.ops = &marked_ops;
    m->b.loaded = arena_zalloc(a, (of->ncols + MARK_COLS) * sizeof *m->b.loaded);
    if (!m->b.loaded)
        return err_nomem(err);
    memcpy(info, of->cols, of->ncols * sizeof *info);
    for (uint32_t i = 0; i < MARK_COLS; i++) {
        str key = field_table[cols[i].f].name;
        info[of->ncols + i] = (struct colinfo){ key, field_dotted_hash(key), cols[i].t, of->n };
    }
    m->b.cols = info;
    m->b.ncols = of->ncols + MARK_COLS;
    *ret = &m->b;
    return 0;
}

/* ---- the store ---- */

void store_config_default(struct store_config *c)
{
    *c = (struct store_config){ .create = true };
}

int store_open(struct store **ret, struct io *io, const struct store_config *cfg, struct err *err)
{
    struct store *s = mem_zalloc(sizeof *s);
    (void)io;
    (void)cfg;
    if (!s)
        return err_nomem(err);
    arena_init(&s->arena, (size_t)1 << 20);
    s->next_seq = 1;
    s->ids = (struct id_gen){ { 1, 2 } };
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    for (uint32_t i = 0; i < s->nbatches; i++)
        mem_free(s->batch[i].payload);
    mem_free(s->batch);
    mem_free(s->mark);
    arena_deinit(&s->arena);
    mem_free(s);
}

int store_append_wait(struct store *s, char *payload, size_t n, uint32_t rows,
                      uint64_t *ret_base_seq, struct err *err)
{
    struct fake_batch *more = mem_realloc(s->batch, (s->nbatches + 1) * sizeof *more);
    if (!more) {
        mem_free(payload);
        return err_nomem(err);
    }
    s->batch = more;
    more[s->nbatches++] = (struct fake_batch){ payload, n, rows, s->next_seq };
    if (ret_base_seq)
        *ret_base_seq = s->next_seq;
    s->next_seq += rows;
    return 0;
}

int store_mark(struct store *s, const struct mark *m, uint32_t n, uint32_t *ret_applied,
               struct err *err)
{
    struct mark *more = mem_realloc(s->mark, (s->nmarks + n) * sizeof *more);
    if (!more)
        return err_nomem(err);
    s->mark = more;
    for (uint32_t i = 0; i < n; i++) {
        more[s->nmarks] = m[i];
        more[s->nmarks].by = arena_dup(&s->arena, m[i].by);
        more[s->nmarks++].note = arena_dup(&s->arena, m[i].note);
    }
    if (ret_applied)
        *ret_applied = n;
    return 0;
}

void store_counts(struct store *s, uint64_t *ret_entries, uint64_t *ret_agents)
{
    *ret_entries = s->next_seq - 1;
    *ret_agents = 0;
}

void store_get_status(struct store *s, struct store_status *ret)
{
    *ret = (struct store_status){ .next_seq = s->next_seq,
                                  .watermark = s->next_seq - 1,
                                  .entries = s->next_seq - 1 };
}

/* it knows none of them: whoever asks has to look for himself */
int store_templates(struct store *s, uint32_t max, struct arena *a, struct template_stat **ret,
                    uint32_t *ret_n, uint64_t *ret_other, struct err *err)
{
    (void)max;
    (void)a;
    (void)err;
    *ret = NULL;
    *ret_n = 0;
    *ret_other = s->next_seq - 1;
    return 0;
}

const struct id_gen *store_ids(struct store *s)
{
    return &s->ids;
}

struct field_list {
    struct field_stat *stats;
    uint32_t n;
    struct arena *a;
};

static int note_fields(void *arg, struct block *b, struct err *err)
{
    struct field_list *l = arg;
    for (uint32_t c = 0; c < b->ncols; c++) {
        uint32_t k = 0;
        while (k < l->n && !str_eq(l->stats[k].key, b->cols[c].key))
            k++;
        if (k == l->n) {
            struct field_stat *more = arena_grow(l->a, l->stats, l->n, l->n + 1, sizeof *more);
            if (!more)
                return err_nomem(err);
            l->stats = more;
            more[l->n++] = (struct field_stat){ .key = arena_dup(l->a, b->cols[c].key) };
        }
        l->stats[k].types |= 1u << b->cols[c].type;
        l->stats[k].entries += b->cols[c].nvals;
    }
    return 0;
}

int store_fields(struct store *s, struct arena *a, uint32_t max, struct field_stat **ret,
                 uint32_t *ret_n, struct err *err)
{
    struct field_list l = { .a = a };
    int rc = 0;
    (void)max;
    for (uint32_t i = 0; i < s->nbatches && !rc; i++) {
        struct fake_batch *b = &s->batch[i];
        rc =
            payload_each((str){ b->payload, b->n }, b->base_seq, RECEIVED, a, note_fields, &l, err);
    }
    *ret = l.stats;
    *ret_n = l.n;
    return rc;
}

/* ---- scanning ---- */

static int list_places(struct scan *sc, struct err *err)
{
    struct store *s = sc->s;
    for (uint32_t i = 0; i < s->nbatches; i++) {
        struct payload_info info;
        str payload = { s->batch[i].payload, s->batch[i].n };
        int rc = payload_info(payload, &info, err);
        for (uint32_t k = 0; k < info.nblocks && !rc; k++) {
            struct block *b;
            struct place *more = mem_realloc(sc->places, (sc->nplaces + 1) * sizeof *more);
            if (!more)
                return err_nomem(err);
            sc->places = more;
            arena_reset(&sc->arena);
            rc = payload_block(payload, k, s->batch[i].base_seq, RECEIVED, &sc->arena, &b, err);
            if (!rc)
                more[sc->nplaces++] = (struct place){ i, k, b->t_min, b->t_max, b->seq_min };
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int place_cmp(const void *x, const void *y, void *arg)
{
    const struct place *a = x, *b = y;
    enum scan_order order = *(enum scan_order *)arg;
    if (order == SCAN_NEWEST)
        return (a->t_max < b->t_max) - (a->t_max > b->t_max);
    if (order == SCAN_OLDEST)
        return (a->t_min > b->t_min) - (a->t_min < b->t_min);
    if (order == SCAN_SEQ)
        return (a->seq_min > b->seq_min) - (a->seq_min < b->seq_min);
    return (a->seq_min < b->seq_min) - (a->seq_min > b->seq_min); /* any: as odd as can be */
}

int store_scan(struct store *s, const struct scan_plan *plan, struct scan **ret, struct err *err)
{
    struct scan *sc = mem_zalloc(sizeof *sc);
    if (!sc)
        return err_nomem(err);
    sc->s = s;
    sc->list = sc;
    sc->plan = *plan;
    sc->watermark = s->next_seq - 1;
    arena_init(&sc->arena, (size_t)256 << 20);
    int rc = pred_run_new(&sc->run, err);
    if (!rc)
        rc = list_places(sc, err);
    if (rc) {
        scan_close(sc);
        return rc;
    }
    qsort_r(sc->places, sc->nplaces, sizeof *sc->places, place_cmp, &sc->plan.order);
    *ret = sc;
    return 0;
}

int scan_fork(struct scan *sc, struct scan **ret, struct err *err)
{
    struct scan *f = mem_zalloc(sizeof *f);
    if (!f)
        return err_nomem(err);
    f->list = sc->list;
    f->s = sc->s;
    f->plan = sc->plan;
    arena_init(&f->arena, (size_t)256 << 20);
    int rc = pred_run_new(&f->run, err);
    if (rc)
        scan_close(f);
    else
        *ret = f;
    return rc;
}

void scan_rewind(struct scan *sc)
{
    atomic_store(&sc->next, 0);
}

uint32_t scan_blocks(const struct scan *sc)
{
    return sc->list->nplaces;
}

int scan_again(struct scan *sc, uint32_t ref, struct scan_cost *cost, struct arena *a,
               struct block **ret, struct err *err)
{
    (void)cost;
    const struct place *p = &sc->list->places[ref];
    const struct fake_batch *fb = &sc->s->batch[p->batch];
    struct block *b;
    int rc =
        payload_block((str){ fb->payload, fb->n }, p->block, fb->base_seq, RECEIVED, a, &b, err);
    if (!rc && sc->plan.marks)
        rc = with_marks(sc->s, b, a, &b, err);
    if (rc)
        return rc;
    b->ids = &sc->s->ids;
    *ret = b;
    return 0;
}

static int read_place(struct scan *sc, uint32_t ref, struct scan_block *ret, struct err *err)
{
    const struct place *p = &sc->list->places[ref];
    struct block *b;
    uint64_t cut[BLOCK_WORDS];
    arena_reset(&sc->arena);
    int rc = scan_again(sc, ref, &sc->cost, &sc->arena, &b, err);
    if (rc)
        return rc;
    bits_fill(cut, b->n);
    for (uint32_t r = 0; r < b->n; r++) {
        uint64_t seq = b->seq_min + r;
        if ((sc->plan.seq_max && seq > sc->plan.seq_max) || seq <= sc->plan.seq_after)
            bit_clear(cut, r);
    }
    memcpy(sc->sel, cut, BITS_WORDS(b->n) * 8);
    if (sc->plan.filter)
        rc = pred_eval(sc->plan.filter, b, cut, sc->sel, sc->run, sc->plan.cancel, err);
    sc->cost.gave_up = pred_run_gave_up(sc->run);
    sc->cost.rows_scanned += b->n;
    *ret = (struct scan_block){ b,        sc->sel,  (uint32_t)bits_count(sc->sel, b->n),
                                p->t_min, p->t_max, ref };
    return rc;
}

int scan_next(struct scan *sc, struct scan_block *ret, struct err *err)
{
    uint32_t at;
    while ((at = atomic_fetch_add(&sc->list->next, 1)) < sc->list->nplaces) {
        int rc = read_place(sc, at, ret, err);
        if (rc)
            return rc;
        sc->cost.rows_matched += ret->nsel;
        if (ret->nsel)
            return 0;
    }
    return 1;
}

void scan_set_floor(struct scan *sc, ts_ns t)
{
    (void)sc; /* reads on: the caller must not rely on it */
    (void)t;
}

uint64_t scan_watermark(const struct scan *sc)
{
    return sc->list->watermark;
}

const struct scan_cost *scan_get_cost(const struct scan *sc)
{
    return &sc->cost;
}

void scan_close(struct scan *sc)
{
    pred_run_free(sc->run);
    arena_deinit(&sc->arena);
    mem_free(sc->places);
    mem_free(sc);
}
