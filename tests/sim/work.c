/* work.c: the operations of the simulator's clients, and what their answers mean for the model. */
#include "work.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "model/ident.h"
#include "model/pred.h"

#define KEY_LIFE (20 * 3600 * NS_PER_S) /* keys are surely remembered so long */

static unsigned long long ull(uint64_t x)
{
    return x;
}

/* A failure without a fault. `codes` that may be all the same: ERR_BUSY, and ERR_FULL on a small
 * disk. */
static void check_refusal(const struct model *m, const char *what, int rc, const struct err *err)
{
    if (rc && rc != ERR_BUSY && !faults_so_far(m) && !(rc == ERR_FULL && m->small_disk))
        object("%s is refused for no reason: %s", what, err->msg);
}

/* ---- append ---- */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void answered(struct append *a)
{
    struct waiting *w = a->user;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* false: memory was refused before it was sent */
static bool send(struct model *m, uint32_t i, uint64_t body, struct append *a)
{
    struct sim_batch *b = &m->batches[i];
    struct waiting w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    *a = (struct append){
        .rows = b->n, .has_idem = b->has_key, .body_hash = body, .done = answered, .user = &w
    };
    memcpy(a->idem, &(uint64_t){ hash_mix(i + 1) }, 8);
    if (!rows_payload(b->first, b->n, b->style, &a->payload, &a->payload_n))
        return false;
    b->sent_at = b->sent_at ? b->sent_at : disk_mem(m->disk)->ops->now(disk_mem(m->disk));
    store_append(m->store, a);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return true;
}

static void stored(struct model *m, struct sim_batch *b, const struct append *a, uint64_t floor,
                   uint64_t traces)
{
    if (a->base_seq <= floor)
        object("sequence number %llu is given after %llu", ull(a->base_seq), ull(floor));
    if (a->base_seq < traces)
        object("sequence number %llu stands in a torn frame of the log already", ull(a->base_seq));
    if (b->base_seq && b->base_seq != a->base_seq)
        object("a batch is acknowledged as %llu, it was seen as %llu", ull(a->base_seq),
               ull(b->base_seq));
    b->base_seq = a->base_seq;
    b->received_at = a->received_at;
    if (a->base_seq + b->n - 1 > m->highest)
        m->highest = a->base_seq + b->n - 1;
    b->state = THERE;
    m->acked_rows += b->n;
}

static void append_new(struct model *m)
{
    static const uint32_t sizes[] = { 1, 1, 1, 2, 2, 3, 5, 8, 20 };
    uint32_t n = sizes[draw_n(m, sizeof sizes / sizeof *sizes)];
    if (m->nbatches == BATCHES_MAX || m->nrows + n > ROWS_MAX)
        return;
    uint32_t i = m->nbatches++;
    struct sim_batch *b = &m->batches[i];
    *b = (struct sim_batch){ .first = m->nrows, .n = n, .state = FLYING };
    b->style = n < 8 && draw_n(m, 6) == 0 ? 2 : draw_n(m, 4) == 0;
    b->has_key = draw_n(m, 3) == 0;
    m->nrows += n;
    for (uint64_t k = b->first; k < m->nrows; k++)
        m->rows[k] = (struct row){ .sum = row_sum(k, b->style),
                                   .batch = i,
                                   .state = m->deleting ? DOOMED : PRESENT,
                                   .touched = m->step };
    uint64_t floor = m->highest, traces = m->traces_end;
    struct append a;
    disk_note(m->disk, "append batch %u: rows %llu+%u%s", i, ull(b->first), n,
              b->has_key ? " keyed" : "");
    if (!send(m, i, i, &a)) {
        b->state = GONE;
        return;
    }
    disk_note(m->disk, "append batch %u: %d, first number %llu", i, a.rc, ull(a.base_seq));
    check_refusal(m, "a batch", a.rc, &a.err);
    if (a.rc == 0 && a.duplicate)
        object("a new batch counts as sent before");
    if (a.rc == 0)
        stored(m, b, &a, floor, traces);
    else if (b->state == FLYING)
        b->state = a.rc == ERR_BUSY ? GONE : UNSURE;
}

/* Sends a batch with a key once more, as a client does that has lost the answer. */
static void append_again(struct model *m)
{
    uint32_t i = m->nbatches ? (uint32_t)draw_n(m, m->nbatches) : 0;
    struct sim_batch *b = &m->batches[i];
    if (!m->nbatches || !b->has_key || b->state == FLYING || b->busy || m->time_passes)
        return;
    b->busy = true;
    m->clock_held++;
    ts_ns now = disk_mem(m->disk)->ops->now(disk_mem(m->disk));
    enum batch_state before = b->state;
    if (before != GONE && now - b->sent_at > KEY_LIFE) {
        b->busy = false;
        m->clock_held--;
        return;
    }
    bool other = before == THERE && draw_n(m, 4) == 0;
    uint64_t floor = m->highest, traces = m->traces_end;
    struct append a;
    if (before == GONE) {
        b->state = FLYING;
        b->sent_at = now;
    }
    for (uint64_t k = b->first; before != THERE && k < b->first + b->n; k++)
        if (m->deleting)
            m->rows[k].state = DOOMED;
    disk_note(m->disk, "append batch %u again%s", i, other ? ", with another body" : "");
    bool sent = send(m, i, other ? i + 1000000u : i, &a);
    b->busy = false;
    m->clock_held--;
    if (!sent) {
        b->state = before;
        return;
    }
    disk_note(m->disk, "append batch %u again: %d %s", i, a.rc, a.duplicate ? "duplicate" : "");
    if (other ? a.rc == 0 : a.rc == ERR_CONFLICT)
        object("batch %u: another body under the same key gives %d", i, a.rc);
    if (!other)
        check_refusal(m, "a batch sent again", a.rc, &a.err);
    if (a.rc) {
        if (b->state == FLYING)
            b->state = a.rc == ERR_BUSY && before == GONE ? GONE : UNSURE;
        return;
    }
    if (a.duplicate && before == GONE)
        object("batch %u counts as sent before, and is not there", i);
    if (a.duplicate && b->base_seq && a.base_seq != b->base_seq)
        object("batch %u: sent again it is %llu, it was %llu", i, ull(a.base_seq),
               ull(b->base_seq));
    if (!a.duplicate && before == THERE)
        object("batch %u is stored a second time", i);
    if (!a.duplicate)
        stored(m, b, &a, floor, traces);
    if (a.duplicate && before != THERE)
        stored(m, b, &a, 0, 0);
}

/* ---- marks ---- */

static void apply_mark(struct mark_model *r, const struct mark_model *x)
{
    if (!r->is || r->resolved != x->resolved)
        *r = *x;
}

static void mark_row(struct row *r, const struct mark_model *x, int rc)
{
    struct mark_model as_if = r->mark;
    uint32_t n = r->nmaybe;
    apply_mark(&as_if, x);
    if (rc == 0) {
        r->mark = as_if;
        for (uint32_t i = 0; i < n; i++)
            apply_mark(&r->maybe[i], x);
        return;
    }
    for (uint32_t i = 0; i < n && r->nmaybe < 4; i++) {
        struct mark_model also = r->maybe[i];
        apply_mark(&also, x);
        r->maybe[r->nmaybe++] = also;
    }
    if (r->nmaybe < 4)
        r->maybe[r->nmaybe++] = as_if;
    else
        r->mark_loose = true;
}

static bool can_mark(const struct model *m, uint64_t k)
{
    const struct row *r = &m->rows[k];
    const struct sim_batch *b = &m->batches[r->batch];
    return r->state == PRESENT && b->state == THERE && b->base_seq;
}

static void mark_some(struct model *m)
{
    struct mark marks[3];
    uint64_t rows[3];
    uint32_t n = 0, want = 1 + (uint32_t)draw_n(m, 3);
    char by[16];
    if (m->marking || !m->nrows)
        return;
    struct mark_model x = { .is = true,
                            .resolved = draw_n(m, 4) != 0,
                            .by = (uint32_t)++m->marks_made };
    snprintf(by, sizeof by, "%u", x.by);
    for (uint32_t tries = 0; tries < 20 && n < want; tries++) {
        uint64_t k = draw_n(m, m->nrows);
        bool known = false;
        for (uint32_t i = 0; i < n; i++)
            known |= rows[i] == k;
        if (known || !can_mark(m, k))
            continue;
        const struct sim_batch *b = &m->batches[m->rows[k].batch];
        rows[n] = k;
        marks[n++] = (struct mark){ .seq = b->base_seq + (k - b->first),
                                    .resolved = x.resolved,
                                    .by = str_c(by),
                                    .at = SIM_T0 };
    }
    if (!n)
        return;
    struct err err = ERR_INIT;
    m->marking = 1;
    for (uint32_t i = 0; i < n; i++)
        disk_note(m->disk, "mark %u: row %llu %s", x.by, ull(rows[i]), x.resolved ? "on" : "off");
    int rc = store_mark(m->store, marks, n, NULL, &err);
    m->marking = 0;
    ++m->step;
    disk_note(m->disk, "mark %u: %d", x.by, rc);
    check_refusal(m, "a mark", rc, &err);
    for (uint32_t i = 0; i < n; i++) {
        mark_row(&m->rows[rows[i]], &x, rc);
        m->rows[rows[i]].marked = m->step;
    }
}

/* ---- removal ---- */

/* Rows that a removal may take are open until it is answered and looked for. */
static void doom(struct model *m, const struct want *w, ts_ns received_before)
{
    ++m->step;
    for (uint64_t k = 0; k < m->nrows; k++) {
        struct row *r = &m->rows[k];
        const struct sim_batch *b = &m->batches[r->batch];
        bool hit = w ? want_holds(m, w, k)
                     : b->received_at < received_before + 2 * 3600 * NS_PER_S; /* waits take time */
        if (!hit || b->state == GONE || r->state == ABSENT)
            continue;
        r->state = DOOMED;
        r->touched = m->step;
    }
}

static void delete_some(struct model *m)
{
    static bool answered_before[ROWS_MAX];
    struct arena a;
    struct err err = ERR_INIT;
    if (m->deleting || unsettled(m))
        return;
    arena_init(&a, 1u << 20);
    struct want w = want_draw(m);
    if (w.kind != WANT_BOTH && w.kind != WANT_TIME && w.kind != WANT_SEQ)
        w.kind = WANT_AGENT;
    struct pred *p = want_pred(&w, &a);
    if (p) {
        uint64_t n;
        m->deleting = true;
        doom(m, &w, 0);
        for (uint64_t k = 0; k < m->nrows; k++)
            answered_before[k] = m->batches[m->rows[k].batch].state == THERE;
        uint64_t nrows = m->nrows;
        disk_note(m->disk, "delete: filter %d, agent %u, numbers %llu to %llu", w.kind, w.agent,
                  ull(w.seq_from), ull(w.seq_to));
        int rc = store_delete(m->store, p, false, &n, &err);
        disk_note(m->disk, "delete: %d, %llu rows", rc, ull(n));
        m->deleting = false;
        m->deletes++;
        ++m->step;
        check_refusal(m, "a deletion", rc, &err);
        for (uint64_t k = 0; k < nrows && rc == 0; k++)
            if (m->rows[k].state == DOOMED && answered_before[k] && want_holds(m, &w, k)) {
                m->rows[k].state = ABSENT;
                m->rows[k].touched = m->step;
            }
    }
    arena_deinit(&a);
}

static void retire_some(struct model *m)
{
    struct err err = ERR_INIT;
    struct io *mem = disk_mem(m->disk);
    if (m->deleting || unsettled(m) || m->time_passes)
        return;
    m->deleting = true;
    m->clock_held++;
    ts_ns keep = NS_PER_DAY * (1 + (int64_t)draw_n(m, 2));
    m->keep = !m->keep || keep < m->keep ? keep : m->keep;
    doom(m, NULL, mem->ops->now(mem) - keep);
    disk_note(m->disk, "retention");
    store_set_retention(m->store, keep, 0);
    int rc = store_retention_run(m->store, &err);
    store_set_retention(m->store, 0, 0);
    m->clock_held--;
    m->deleting = false;
    check_refusal(m, "retention", rc, &err);
}

/* ---- the rest ---- */

static void find_one(struct model *m)
{
    struct err err = ERR_INIT;
    char id[ID_TEXT];
    uint64_t seq, began = ++m->step;
    uint64_t k = m->nrows ? draw_n(m, m->nrows) : 0;
    if (!m->nrows || !can_mark(m, k))
        return;
    const struct sim_batch *b = &m->batches[m->rows[k].batch];
    id_make(store_ids(m->store), b->received_at, b->base_seq + (k - b->first), id);
    int rc = store_find_id(m->store, str_n(id, ID_TEXT), &seq, &err);
    if (rc == 0 && seq != b->base_seq + (k - b->first))
        object("an id leads to another entry");
    if (rc && !faults_so_far(m) && m->rows[k].touched < began)
        object("row %llu is not found by its id: %s", ull(k), err.msg);
}

static void maintain(struct model *m, const char *what, int (*fn)(struct store *, struct err *))
{
    struct err err = ERR_INIT;
    disk_note(m->disk, "%s", what);
    int rc = fn(m->store, &err);
    disk_note(m->disk, "%s: %d", what, rc);
    check_refusal(m, what, rc, &err);
}

/* Hours or days go by; not while a key may be forgotten on the way. */
static void pass_time(struct model *m)
{
    struct io *mem = disk_mem(m->disk);
    ts_ns step = (ts_ns)draw_n(m, draw_n(m, 3) ? 7200 : 200000) * NS_PER_S;
    if (m->clock_held || m->time_passes || (m->keep && (m->deleting || unsettled(m))))
        return;
    m->time_passes = true;
    if (m->keep) /* the store's own thread may be about to apply it */
        doom(m, NULL, mem->ops->now(mem) + step - m->keep);
    io_mem_advance(mem, step);
    m->time_passes = false;
}

void work_one(struct model *m)
{
    uint64_t x = draw_n(m, 100);
    struct want w = want_draw(m);
    m->ops++;
    if (x < 46)
        append_new(m);
    else if (x < 56)
        append_again(m);
    else if (x < 64)
        mark_some(m);
    else if (x < 72)
        look(m, &w, (enum scan_order)draw_n(m, 4), draw_n(m, 3) == 0, AMONG_OTHERS);
    else if (x < 82)
        maintain(m, "flush", store_flush);
    else if (x < 87)
        maintain(m, "merge", store_merge);
    else if (x < 91)
        delete_some(m);
    else if (x < 93)
        retire_some(m);
    else if (x < 96)
        find_one(m);
    else
        pass_time(m);
}

void work_look_all(struct model *m, enum company company)
{
    struct want all = { .kind = WANT_ALL };
    int64_t n = look(m, &all, SCAN_SEQ, false, company);
    if (n < 0)
        return;
    check_settled(m, n);
    check_marks(m, company);
    for (int i = 0; i < 3; i++) { /* by other plans the same */
        struct want w = i ? want_draw(m) : all;
        int64_t a = look(m, &w, (enum scan_order)draw_n(m, 4), false, ALONE);
        int64_t b = look(m, &w, (enum scan_order)draw_n(m, 4), true, ALONE);
        if (a >= 0 && b >= 0 && a != b)
            object("%lld rows with pruning, %lld without", (long long)a, (long long)b);
    }
}
