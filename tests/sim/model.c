/* model.c: comparing what the store shows with what it must (model.h). */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rd.h"
#include "model/pred.h"

uint64_t model_draw(struct model *m)
{
    m->rng += 0x9e3779b97f4a7c15ull;
    return hash_mix(m->rng);
}

static unsigned long long ull(uint64_t x)
{
    return x;
}

/* ---- filters ---- */

struct want want_draw(struct model *m)
{
    struct want w = { .kind = (enum want_kind)draw_n(m, WANT_RESOLVED + 1) };
    w.agent = (unsigned)draw_n(m, AGENTS);
    w.level = (enum level)draw_n(m, LV__COUNT);
    w.from = row_time(draw_n(m, m->nrows + 1));
    w.to = w.from + (ts_ns)draw_n(m, 3600) * NS_PER_S;
    w.word = (unsigned)draw_n(m, 4);
    w.seq_from = draw_n(m, m->highest + 2);
    w.seq_to = w.seq_from + draw_n(m, 100);
    return w;
}

static str agent_name(unsigned agent, char buf[16])
{
    snprintf(buf, 16, "agent-%u", agent);
    return str_c(buf);
}

static struct pred *agent_pred(const struct want *w, struct arena *a)
{
    char name[16];
    str s = arena_dup(a, agent_name(w->agent, name));
    return s.p ? pred_eq(a, F_AGENT, s) : NULL;
}

struct pred *want_pred(const struct want *w, struct arena *a)
{
    switch (w->kind) {
    case WANT_ALL: return pred_true(a);
    case WANT_AGENT: return agent_pred(w, a);
    case WANT_LEVEL: return pred_level_min(a, w->level);
    case WANT_TIME: return pred_time(a, w->from, w->to);
    case WANT_WORD: return pred_substr(a, F_MESSAGE, str_c(sim_words[w->word]), false);
    case WANT_SEQ: return pred_seq_range(a, w->seq_from, w->seq_to);
    case WANT_BOTH: return pred_and(a, agent_pred(w, a), pred_level_min(a, w->level));
    case WANT_NOT: return pred_not(a, agent_pred(w, a));
    case WANT_RESOLVED: return pred_resolved(a, true);
    }
    return NULL;
}

static uint64_t row_seq(const struct model *m, uint64_t k)
{
    const struct sim_batch *b = &m->batches[m->rows[k].batch];
    return b->base_seq ? b->base_seq + (k - b->first) : 0;
}

bool want_holds(const struct model *m, const struct want *w, uint64_t k)
{
    bool agent = row_agent(k) == w->agent, level = row_level(k) >= w->level;
    switch (w->kind) {
    case WANT_ALL: return true;
    case WANT_AGENT: return agent;
    case WANT_LEVEL: return level;
    case WANT_TIME: return row_time(k) >= w->from && row_time(k) < w->to;
    case WANT_WORD: return row_word(k) == w->word;
    case WANT_SEQ: return row_seq(m, k) >= w->seq_from && row_seq(m, k) <= w->seq_to;
    case WANT_BOTH: return agent && level;
    case WANT_NOT: return !agent;
    case WANT_RESOLVED: return m->rows[k].mark.is && m->rows[k].mark.resolved;
    }
    return false;
}

/* ---- state ---- */

bool faults_so_far(const struct model *m)
{
    return disk_dead(m->disk) || disk_faults(m->disk) > 0 || m->starved;
}

bool unsettled(const struct model *m)
{
    for (uint32_t i = 0; i < m->nbatches; i++)
        if (m->batches[i].state == UNSURE || m->batches[i].state == FLYING)
            return true;
    return false;
}

/* ---- looking ---- */

static uint8_t
    found[ROWS_MAX]; /* by the look under way: those of clients take turns, see looking */
static bool looking;

static void place(struct model *m, const struct row_seen *r)
{
    struct sim_batch *b = &m->batches[m->rows[r->k].batch];
    uint64_t base = r->seq - (r->k - b->first);
    if (b->base_seq && b->base_seq != base)
        object("row %llu has sequence number %llu, it was given %llu", ull(r->k), ull(r->seq),
               ull(b->base_seq + (r->k - b->first)));
    if (b->received_at && b->received_at != r->received_at)
        object("row %llu has another receive time than it was given", ull(r->k));
    b->base_seq = base;
    b->received_at = r->received_at;
    if (r->seq > m->highest)
        m->highest = r->seq;
}

static void see(struct model *m, const struct want *w, const struct row_seen *r, uint64_t began)
{
    if (r->k >= m->nrows)
        object("a row is there that nobody sent: number %lld, sequence number %llu",
               (long long)r->k, ull(r->seq));
    struct row *row = &m->rows[r->k];
    struct sim_batch *b = &m->batches[row->batch];
    if (found[r->k])
        object("row %llu is there twice", ull(r->k));
    found[r->k] = 1;
    if (r->sum != row->sum)
        object("row %llu (seq %llu) has other values than it was sent with", ull(r->k),
               ull(r->seq));
    if (b->state == GONE)
        object("row %llu is back: it was not there after a restart", ull(r->k));
    if (row->state == ABSENT && row->touched < began)
        object("row %llu is back: it was removed", ull(r->k));
    place(m, r);
    if (w->kind != WANT_RESOLVED && !want_holds(m, w, r->k))
        object("row %llu does not match the filter it was found by", ull(r->k));
}

static bool must_be_found(const struct model *m, const struct want *w, uint64_t k, uint64_t began)
{
    const struct row *r = &m->rows[k];
    return r->state == PRESENT && r->touched < began && m->batches[r->batch].state == THERE &&
           want_holds(m, w, k);
}

/* Every batch is there as a whole; what was open is settled. */
static void settle(struct model *m, const struct want *w, enum company company, uint64_t began)
{
    for (uint32_t i = 0; i < m->nbatches; i++) {
        struct sim_batch *b = &m->batches[i];
        uint64_t have = 0, miss = 0;
        for (uint64_t k = b->first; k < b->first + b->n; k++) {
            bool counts = m->rows[k].state == PRESENT && m->rows[k].touched < began &&
                          (b->base_seq || w->kind != WANT_SEQ) && want_holds(m, w, k);
            have += found[k];
            miss += counts && !found[k];
        }
        if (have && miss && w->kind != WANT_RESOLVED)
            object("batch %u is there in part: %llu of its %u rows", i, ull(have), b->n);
        if (have && b->state != THERE)
            b->state = THERE; /* seen: it stays */
        else if (company == AFRESH && w->kind == WANT_ALL && b->state == UNSURE && !have) {
            b->state = GONE;
            b->base_seq = 0;
            b->received_at = 0;
        }
        if (company == AMONG_OTHERS || w->kind != WANT_ALL || b->state != THERE)
            continue;
        for (uint64_t k = b->first; k < b->first + b->n; k++) {
            struct row *r = &m->rows[k];
            if (r->state == DOOMED && (!found[k] || company == AFRESH)) /* a failed removal may */
                r->state = found[k] ? PRESENT : ABSENT;                 /* be made at the start */
        }
    }
}

static int read_scan(struct model *m, struct scan *sc, const struct want *w, enum scan_order order,
                     uint64_t began, int64_t *ret_n, struct err *err)
{
    struct scan_block sb;
    uint64_t last_seq = 0;
    ts_ns last_max = TS_MAX, last_min = TS_MIN;
    int rc;
    while ((rc = scan_next(sc, &sb, err)) == 0) {
        if (order == SCAN_SEQ && sb.block->seq_min < last_seq)
            object("blocks by sequence number are out of order");
        if (order == SCAN_NEWEST && sb.t_max > last_max)
            object("blocks by falling time are out of order");
        if (order == SCAN_OLDEST && sb.t_min < last_min)
            object("blocks by rising time are out of order");
        last_seq = sb.block->seq_min;
        last_max = sb.t_max;
        last_min = sb.t_min;
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            struct row_seen r;
            if ((rc = row_read(sb.block, (uint32_t)i, &r, err)))
                return rc;
            see(m, w, &r, began);
            ++*ret_n;
        }
    }
    return rc;
}

/* May this failure be, or is it an answer that a healthy store does not give? */
static int64_t excuse(const struct model *m, const char *what, int rc, const struct err *err)
{
    if (!faults_so_far(m))
        object("%s: %s", what, err->msg);
    return rc < 0 ? rc : ERR_CORRUPT;
}

int64_t look(struct model *m, const struct want *w, enum scan_order order, bool no_prune,
             enum company company)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct scan *sc = NULL;
    int64_t n = 0;
    if (looking) /* another client's look is under way */
        return ERR_BUSY;
    looking = true;
    uint64_t began = ++m->step;
    memset(found, 0, sizeof found);
    arena_init(&a, 1u << 20);
    struct pred *p = want_pred(w, &a);
    disk_note(m->disk, "look: filter %d, order %d%s", w->kind, order, no_prune ? ", all" : "");
    static uint8_t needed[ROWS_MAX];
    uint64_t nrows = m->nrows;
    for (uint64_t k = 0; k < nrows; k++)
        needed[k] = must_be_found(m, w, k, began);
    int rc = p ? store_scan(m->store,
                            &(struct scan_plan){ .filter = w->kind == WANT_ALL ? NULL : p,
                                                 .order = order,
                                                 .marks = w->kind == WANT_RESOLVED,
                                                 .no_prune = no_prune },
                            &sc, &err)
               : err_nomem(&err);
    if (!rc)
        rc = read_scan(m, sc, w, order, began, &n, &err);
    if (rc == 1 && scan_get_cost(sc)->incomplete)
        rc = err_set(&err, ERR_CORRUPT, "%s", scan_get_cost(sc)->incomplete_why);
    scan_close(sc);
    arena_deinit(&a);
    looking = false;
    m->scans++;
    if (rc != 1)
        return excuse(m, "scan", rc, &err);
    for (uint64_t k = 0; k < nrows; k++) {
        bool loose = w->kind == WANT_RESOLVED && (m->rows[k].nmaybe || m->rows[k].mark_loose ||
                                                  m->marking || m->rows[k].marked >= began);
        if (needed[k] && !found[k] && m->rows[k].touched < began && !loose)
            object("row %llu is missing (seq %llu, batch %u)", ull(k), ull(row_seq(m, k)),
                   m->rows[k].batch);
        if (w->kind == WANT_RESOLVED && found[k] && !loose && !want_holds(m, w, k))
            object("row %llu is not resolved and is found as such", ull(k));
    }
    settle(m, w, company, began);
    return n;
}

/* ---- marks ---- */

static bool same_mark(const struct mark_model *x, const struct mark_model *y)
{
    return x->is == y->is && (!x->is || (x->resolved == y->resolved && x->by == y->by));
}

void check_marks(struct model *m, enum company company)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    for (uint64_t k = 0; k < m->nrows; k++) {
        struct row *r = &m->rows[k];
        struct mark got;
        if (r->state != PRESENT || m->batches[r->batch].state != THERE)
            continue;
        struct mark_model is = { .is = store_get_mark(m->store, row_seq(m, k), &a, &got) };
        if (is.is) {
            uint64_t by = UINT64_MAX;
            is.resolved = got.resolved;
            if (!got.by.p || !str_to_u64(got.by, &by)) {
                if (got.by.p)
                    object("the mark on row %llu names nobody who marked it", ull(k));
                continue; /* memory was refused */
            }
            is.by = (uint32_t)by;
        }
        bool fine = same_mark(&is, &r->mark) || r->mark_loose;
        for (uint32_t i = 0; i < r->nmaybe; i++)
            fine |= same_mark(&is, &r->maybe[i]);
        if (!fine)
            object("row %llu (seq %llu): its mark is %s%u, it should be %s%u", ull(k),
                   ull(row_seq(m, k)), is.is ? "by " : "none ", is.by, r->mark.is ? "by " : "none ",
                   r->mark.by);
        if (company == AFRESH) { /* what failed before has been made by now, or never will */
            r->mark = is;
            r->nmaybe = 0;
            r->mark_loose = false;
        }
        arena_reset(&a);
    }
    arena_deinit(&a);
}

/* ---- what a settled store says of itself ---- */

struct range {
    uint64_t from, to;
};

static int by_from(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

void check_gaps(struct model *m)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct store_gap *g;
    uint32_t ngaps, n = 0;
    arena_init(&a, 1u << 20);
    if (store_gaps(m->store, &a, &g, &ngaps, &err)) {
        arena_deinit(&a);
        return;
    }
    struct range *v = malloc((m->nbatches + ngaps + 1) * sizeof *v);
    if (!v)
        abort();
    for (uint32_t i = 0; i < ngaps; i++) {
        if (strcmp(g[i].reason, "unacknowledged tail of the log") != 0)
            object("a gap record without damage: %s, %llu to %llu", g[i].reason,
                   ull(g[i].first_seq), ull(g[i].last_seq));
        v[n++] = (struct range){ g[i].first_seq, g[i].last_seq };
    }
    for (uint32_t i = 0; i < m->nbatches; i++)
        if (m->batches[i].state == THERE && m->batches[i].base_seq)
            v[n++] = (struct range){ m->batches[i].base_seq,
                                     m->batches[i].base_seq + m->batches[i].n - 1 };
    if (n)
        qsort(v, n, sizeof *v, by_from);
    uint64_t next = 1;
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].from < next && i)
            object("sequence number %llu was given twice, or to a gap", ull(v[i].from));
        if (v[i].from > next)
            object("sequence numbers %llu to %llu are missing without a gap record", ull(next),
                   ull(v[i].from - 1));
        next = v[i].to + 1;
    }
    free(v);
    arena_deinit(&a);
}

void check_settled(struct model *m, int64_t rows)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct store_summary sum;
    uint64_t entries, agents;
    store_counts(m->store, &entries, &agents);
    if ((int64_t)entries != rows)
        object("%llu entries are counted, %lld are there", ull(entries), (long long)rows);
    arena_init(&a, 1u << 20);
    int rc = store_summary(m->store, &a, &sum, &err);
    if (rc == 0 && !faults_so_far(m)) { /* else segments that cannot be read are left out */
        uint64_t levels = 0;
        for (int i = 0; i < LV__COUNT; i++)
            levels += sum.levels[i];
        if ((int64_t)sum.entries != rows || levels != sum.entries)
            object("the summary counts %llu entries, %lld are there", ull(sum.entries),
                   (long long)rows);
    } else if (rc) {
        excuse(m, "summary", rc, &err);
    }
    arena_deinit(&a);
    check_gaps(m);
}

/* ---- the log's own bytes (docs/format/wal.md) ---- */

static void read_log(void *arg, const char *name, bool is_dir)
{
    struct model *m = arg;
    char path[96], *p;
    size_t n;
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "wal/%s", name);
    if (is_dir || !str_ends(str_c(name), STR(".wal")) ||
        io_read_file(disk_mem(m->disk), path, (size_t)1 << 30, &p, &n, &err))
        return;
    for (size_t at = 64; at + 88 <= n; at++) {
        const char *f = memchr(p + at, 'W', n - at - 87);
        if (!f)
            break;
        at = (size_t)(f - p);
        if (memcmp(f, "WLF1", 4) == 0 && get_le32(f + 84) == crc32c(0, f, 84) &&
            get_le64(f + 72) == at) {
            uint64_t end = get_le64(f + 16) + get_le32(f + 24);
            m->traces_end = end > m->traces_end ? end : m->traces_end;
        }
    }
    mem_free(p);
}

void read_traces(struct model *m)
{
    struct err err = ERR_INIT;
    struct io *mem = disk_mem(m->disk);
    m->traces_end = 0;
    mem->ops->list(mem, "wal", read_log, m, &err); /* there may be no store yet */
}
