/* verify_deep.c: what is stored twice must agree.
 *
 * Checksums tell that bytes are those that were written; this tells that what was written is right.
 *   summary of a segment, or of the rows a list of deleted ones leaves  =  a recount
 *   ranges of time and sequence, levels of blocks, segments, manifest  contain  the rows'
 *   minimum and maximum of a column  contain  every value
 *   filter of a column  knows  every word, or every value
 *   sequence numbers  are there  once
 *   files in the partitions  are named by  the manifest; marks  have  their entries */
#include "store/columnar/dead.h"
#include "store/columnar/seg_format.h"

#include <stdio.h>

#include "codec/filter.h"
#include "codec/token.h"

#define SEQ_RANGE_MAX (1ull << 30) /* a segment's range up to which single numbers are checked */

struct deep {
    struct seg *g;
    struct verify_report *rep;
    struct rollup *all, *live;
    uint64_t *seqs; /* bitmap over the segment's range; NULL: too large */
    uint32_t block;
};

static void found(struct deep *d, str column, const char *what)
{
    char path[PATH_MAX_STORE], text[400];
    seg_path(&d->g->m, path);
    int n = column.n && column.p[0] == PATH_SEP ? 1 : 0; /* of a key: the mark of an attribute */
    str name = str_sub(str_skip(column, (size_t)n), 0, 100);
    if (column.p)
        snprintf(text, sizeof text, "%s block %u column %.*s: %.160s", path, d->block,
                 STR_FMT(name), what);
    else
        snprintf(text, sizeof text, "%s block %u: %.160s", path, d->block, what);
    verify_problem(d->rep, text);
}

static void found_in_segment(struct deep *d, const char *what, const char *which)
{
    char path[PATH_MAX_STORE], text[400];
    seg_path(&d->g->m, path);
    snprintf(text, sizeof text, "%s: %.100s%.160s", path, what, which);
    verify_problem(d->rep, text);
}

/* ---- columns ---- */

static bool above(str v, const struct seg_col *c)
{
    return !(c->stat_flags & STAT_MAX_OPEN) && str_cmp(v, c->smax) > 0 && !str_starts(v, c->smax);
}

static bool in_range(const struct colv *v, uint32_t row, const struct seg_col *c)
{
    if (v->type == V_I64)
        return v->i64[row] >= c->imin && v->i64[row] <= c->imax;
    if (v->type == V_F64)
        return !(v->f64[row] < c->dmin) && !(v->f64[row] > c->dmax);
    return str_cmp(colv_text(v, row), c->smin) >= 0 && !above(colv_text(v, row), c);
}

struct probe {
    str filter;
    bool missed;
};

static void probe_hash(void *arg, uint64_t hash)
{
    struct probe *p = arg;
    p->missed |= !filter_may(p->filter, hash ? hash : 1);
}

/* The filter's bytes were checked with the pages. */
static void check_filter(struct deep *d, const struct colv *v, const struct seg_col *c)
{
    struct err e = ERR_INIT;
    char *p = mem_alloc((size_t)c->filter_len + 1);
    if (!p || seg_read_at(d->g, p, c->filter_len, c->filter_off, &e)) {
        mem_free(p);
        found(d, v->key, "its filter cannot be read");
        return;
    }
    struct probe probe = { .filter = str_n(p, c->filter_len) };
    str last = STR_NULL;
    for (uint32_t r = 0; r < v->n && !probe.missed; r++) {
        if (!colv_has(v, r))
            continue;
        str s = colv_text(v, r);
        if (last.p == s.p && last.n == s.n)
            continue;
        last = s;
        if (c->filter_kind == FILTER_VALUE)
            probe_hash(&probe, value_hash(s));
        else
            token_hashes(s, probe_hash, &probe);
    }
    if (probe.missed)
        found(d, v->key, "its filter denies a value that is there");
    mem_free(p);
}

static void check_column(struct deep *d, const struct colv *v, const struct seg_col *c)
{
    uint32_t values = 0;
    bool outside = false;
    bool ranged = c->stat_flags & STAT_RANGE && v->type != V_BOOL && v->type != V_NULL;
    for (uint32_t r = 0; r < v->n; r++) {
        if (!colv_has(v, r))
            continue;
        values++;
        outside |= ranged && !in_range(v, r, c);
    }
    if (values != c->nvals)
        found(d, v->key, "it has another number of values than the directory says");
    if (outside)
        found(d, v->key, "a value is outside of the minimum and maximum");
    if (c->filter_kind != FILTER_NONE)
        check_filter(d, v, c);
}

/* ---- blocks ---- */

static const struct colv *ints(struct block *b, enum field f)
{
    struct err e = ERR_INIT;
    const struct colv *c = NULL;
    for (uint32_t i = 0; i < b->ncols && !c; i++)
        if (b->cols[i].type == V_I64 && str_eq(b->cols[i].key, field_table[f].name) &&
            block_load(b, i, &c, &e))
            return NULL;
    return c;
}

static void check_seqs(struct deep *d, const struct colv *seq, const struct seg_block *e)
{
    const struct seg_meta *m = &d->g->m;
    bool outside = false, twice = false;
    for (uint32_t r = 0; seq && r < seq->n; r++) {
        uint64_t s = (uint64_t)seq->i64[r];
        outside |= s < e->seq_min || s > e->seq_max || s < m->seq_min || s > m->seq_max;
        if (!d->seqs || s < m->seq_min || s > m->seq_max)
            continue;
        twice |= bit_get(d->seqs, s - m->seq_min);
        bit_set(d->seqs, s - m->seq_min);
    }
    if (outside)
        found(d, STR_NULL, "a sequence number is outside of the block's or the segment's range");
    if (twice)
        found(d, STR_NULL, "a sequence number is there twice");
}

static void check_times(struct deep *d, const struct colv *time, const struct colv *recv,
                        const struct seg_block *e)
{
    const struct seg_meta *m = &d->g->m;
    bool out_time = false, out_recv = false;
    for (uint32_t r = 0; time && r < time->n; r++)
        out_time |= time->i64[r] < e->t_min || time->i64[r] > e->t_max || time->i64[r] < m->t_min ||
                    time->i64[r] > m->t_max;
    for (uint32_t r = 0; recv && r < recv->n; r++)
        out_recv |= recv->i64[r] < m->recv_min || recv->i64[r] > m->recv_max ||
                    day_of(recv->i64[r]) != m->day;
    if (out_time)
        found(d, STR_NULL, "a time is outside of the block's or the segment's range");
    if (out_recv)
        found(d, STR_NULL, "a time of receipt is outside of the segment's range or day");
}

static void check_levels(struct deep *d, const struct colv *level, const struct seg_block *e)
{
    bool unknown = false;
    for (uint32_t r = 0; level && r < level->n; r++) {
        int64_t lv = colv_has(level, r) ? level->i64[r] : LV_INFO;
        uint32_t bit = lv >= 0 && lv < LV__COUNT ? 1u << lv : 0;
        unknown |= (e->level_mask & bit) != bit || (d->g->m.level_mask & bit) != bit;
    }
    if (unknown)
        found(d, STR_NULL, "a level is missing from the block's or the segment's mask");
}

static int count_rows(struct deep *d, struct block *b, struct err *err)
{
    uint64_t live[BLOCK_WORDS];
    int rc = rollup_add_block(d->all, b, err);
    bits_fill(live, b->n);
    seg_hide_dead(d->g, d->block, live);
    if (!rc && d->g->dead_list && !bits_none(live, b->n))
        rc = rollup_add_rows(d->live, b, live, err);
    return rc;
}

static void check_block(struct deep *d, struct arena *a)
{
    struct sblock *sb;
    struct err err = ERR_INIT;
    if (sblock_open(d->g, d->block, a, &sb, &err))
        return; /* told already */
    struct block *b = sblock_block(sb);
    const struct seg_block *e = &d->g->blocks[d->block];
    int rc = 0;
    for (uint32_t i = 0; i < b->ncols && !rc; i++) {
        const struct colv *v;
        rc = block_load(b, i, &v, &err);
        if (!rc)
            check_column(d, v, &sblock_cols(sb)[i]);
    }
    if (!rc) {
        const struct colv *seq = ints(b, F_SEQ), *time = ints(b, F_TIMESTAMP);
        if (!seq || !time || seq->nvals != b->n || time->nvals != b->n) {
            found(d, STR_NULL, "there are rows without a time or a sequence number");
        } else {
            check_seqs(d, seq, e);
            check_times(d, time, ints(b, F_RECEIVED_AT), e);
            check_levels(d, ints(b, F_LEVEL), e);
            rc = count_rows(d, b, &err);
        }
    }
    if (rc && rc != ERR_CORRUPT)
        found(d, STR_NULL, err.msg);
    block_close(b);
}

static void compare(struct deep *d, const struct rollup *counted, str stored, const char *what)
{
    struct rollup *said = rollup_new();
    struct err err = ERR_INIT;
    int rc = said ? rollup_decode(said, stored, &err) : err_nomem(&err);
    const char *difference = rc ? err.msg : rollup_difference(counted, said);
    if (difference)
        found_in_segment(d, what, difference);
    rollup_free(said);
}

void verify_deep_segment(struct seg *g, struct verify_report *rep)
{
    struct deep d = { .g = g, .rep = rep, .all = rollup_new(), .live = rollup_new() };
    uint64_t problems = rep->problems, range = g->m.seq_max - g->m.seq_min + 1;
    struct arena a;
    arena_init(&a, ARENA_MAX);
    if (range && range <= SEQ_RANGE_MAX)
        d.seqs = mem_zarray(BITS_WORDS(range), sizeof *d.seqs);
    if (!d.all || !d.live)
        found_in_segment(&d, "not enough memory", "");
    for (uint32_t i = 0; d.all && d.live && i < g->m.nblocks; i++) {
        d.block = i;
        check_block(&d, &a);
        arena_reset(&a);
    }
    if (d.all && d.live && rep->problems == problems) { /* else the recount is not whole */
        compare(&d, d.all, g->rollup_bytes, "the summary disagrees with a recount: ");
        if (g->dead_list)
            compare(&d, d.live, g->dead_list->live,
                    "the summary of what deletions left disagrees with a recount: ");
    }
    arena_deinit(&a);
    mem_free(d.seqs);
    rollup_free(d.all);
    rollup_free(d.live);
}

/* ---- the store ---- */

/* In a partition no two segments' ranges of sequence numbers overlap. */
static void check_ranges(struct store *s, struct verify_report *rep)
{
    const struct version *v = s->version;
    for (uint32_t i = 0; i < v->n; i++)
        for (uint32_t k = i + 1; k < v->n; k++) {
            const struct seg_meta *a = &v->v[i]->m, *b = &v->v[k]->m;
            if (a->day != b->day || a->cls != b->cls)
                continue;
            if (b->seq_min <= a->seq_max) {
                char text[160];
                snprintf(text, sizeof text, "segments %llu and %llu hold the same sequence numbers",
                         (unsigned long long)a->id, (unsigned long long)b->id);
                verify_problem(rep, text);
            }
            break; /* they are in order of seq: the next of the partition is enough */
        }
}

struct files { /* of one partition */
    struct store *s;
    const char *dir;
    uint64_t unknown;
};

static void list_file(void *arg, const char *name, bool is_dir)
{
    struct files *d = arg;
    char path[PATH_MAX_STORE], full[2 * PATH_MAX_STORE];
    bool known = is_dir;
    snprintf(full, sizeof full, "p/%s/%s", d->dir, name);
    for (uint32_t i = 0; i < d->s->version->n && !known; i++) {
        const struct seg_meta *m = &d->s->version->v[i]->m;
        seg_path(m, path);
        known = strcmp(path, full) == 0;
        if (!known && m->dead) {
            dead_path(m, path);
            known = strcmp(path, full) == 0;
        }
    }
    d->unknown += !known;
}

struct walk {
    struct store *s;
    uint64_t unknown;
};

static void list_dir(void *arg, const char *name, bool is_dir)
{
    struct walk *w = arg;
    char path[2 * PATH_MAX_STORE];
    struct files d = { .s = w->s, .dir = name };
    struct err e = ERR_INIT;
    snprintf(path, sizeof path, "p/%s", name);
    if (is_dir)
        w->s->io->ops->list(w->s->io, path, list_file, &d, &e);
    w->unknown += d.unknown + !is_dir;
}

static uint64_t marked_rows(struct store *s, struct err *err)
{
    struct scan *sc;
    struct scan_block sb;
    uint64_t n = 0;
    int rc = store_scan(s, &(struct scan_plan){ .marks = true }, &sc, err);
    while (!rc && (rc = scan_next(sc, &sb, err)) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            struct val v;
            if (block_get_field(sb.block, (uint32_t)i, F_RESOLVED_AT, &v, err) == 0)
                n += !v.absent;
        }
    scan_close(sc);
    return n;
}

void verify_deep_store(struct store *s, struct verify_report *rep)
{
    struct err err = ERR_INIT;
    struct walk w = { .s = s };
    check_ranges(s, rep);
    s->io->ops->list(s->io, "p", list_dir, &w, &err);
    if (w.unknown && rep->text)
        buf_printf(rep->text, "note: %llu files under p/ are not in the manifest\n",
                   (unsigned long long)w.unknown);
    err_reset(&err);
    uint64_t marks = store_marks_count(s), rows = marks ? marked_rows(s, &err) : 0;
    if (rows < marks && rep->text)
        buf_printf(rep->text, "note: %llu marks are of entries that are gone\n",
                   (unsigned long long)(marks - rows));
}
