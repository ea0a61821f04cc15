/* issues.c: see issues.h.
 *
 *   entries --issue_filter--> set       all errors up to `upto`
 *                             marked    those of them that are marked as resolved
 *   meta.db ----------------> states    what was decided, and what entries did to it
 *
 * Invariants, while the lock is held after a look
 *  1. set and marked hold the entries up to `upto`, and no deleted ones: when something was deleted
 *     both are made anew.
 *  2. states are what meta.db says; every change goes there first.
 *  3. An entry is dealt with when it is marked, or stands at or below its issue's line. A resolved
 *     issue has only such entries; what is found otherwise is written down as a change. */
#include "server/issues.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SLICE (1u << 22) /* sequence numbers a scan: so much is read again when one is given up */

struct issues {
    struct server *s;
    pthread_mutex_t lock;
    struct issue_set *set, *marked;
    uint64_t upto, marks, gone;
    struct arena arena;       /* of the states */
    struct meta_issue *state; /* by id as a signed number */
    uint32_t nstates;
    struct pool_work poke;
    atomic_bool poked;
};

static void on_poke(struct pool_work *w)
{
    struct issues *x = (struct issues *)((char *)w - offsetof(struct issues, poke)), *held;
    struct err err = ERR_INIT;
    atomic_store(&x->poked, false);
    if (atomic_load_explicit(&x->s->stopping, memory_order_relaxed))
        return;
    if (issues_look(x->s, NULL, &held, &err) == 0)
        issues_done(held);
    else
        log_warn("server", "issues: %s", err.msg);
}

int issues_new(struct server *s, struct err *err)
{
    struct issues *x = mem_zalloc(sizeof *x);
    if (!x)
        return err_nomem(err);
    x->s = s;
    x->poke.run = on_poke;
    pthread_mutex_init(&x->lock, NULL);
    arena_init(&x->arena, (size_t)256 << 20);
    s->issues = x;
    return 0;
}

void issues_free(struct server *s)
{
    struct issues *x = s->issues;
    if (!x)
        return;
    issue_set_free(x->set);
    issue_set_free(x->marked);
    arena_deinit(&x->arena);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
    s->issues = NULL;
}

void issues_poke(struct server *s)
{
    struct issues *x = s->issues;
    if (!atomic_exchange(&x->poked, true) && !pool_submit(s->queries, &x->poke))
        atomic_store(&x->poked, false); /* too busy: the next look does it */
}

void issues_done(struct issues *x)
{
    pthread_mutex_unlock(&x->lock);
}

const struct issue_set *issues_set(const struct issues *x)
{
    return x->set;
}

uint64_t issues_upto(const struct issues *x)
{
    return x->upto;
}

/* ---- states ---- */

static const struct meta_issue *state_find(const struct issues *x, uint64_t id)
{
    uint32_t lo = 0, hi = x->nstates;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((int64_t)x->state[mid].id < (int64_t)id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < x->nstates && x->state[lo].id == id ? &x->state[lo] : NULL;
}

struct meta_issue issues_state(const struct issues *x, uint64_t id)
{
    const struct meta_issue *st = state_find(x, id);
    return st ? *st : (struct meta_issue){ .id = id, .state = ISSUE_OPEN };
}

uint64_t issues_marked(const struct issues *x, uint64_t id)
{
    const struct issue *m = x->marked ? issue_set_find(x->marked, id) : NULL;
    return m ? m->count : 0;
}

static int states_load(struct issues *x, struct err *err)
{
    arena_reset(&x->arena);
    x->state = NULL;
    x->nstates = 0;
    return meta_issues(x->s->meta, &x->arena, &x->state, &x->nstates, err);
}

static int lines_put(const struct issues *x, struct issue_set *set, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < x->nstates && !rc; i++)
        if (x->state[i].line)
            rc = issue_set_line(set, x->state[i].id, x->state[i].line, err);
    return rc;
}

/* The changes to the disk, and then what follows from them here. */
static int states_put(struct issues *x, const struct meta_issue *v, uint32_t n, struct err *err)
{
    int rc = n ? meta_issues_set(x->s->meta, v, n, err) : 0;
    for (uint32_t i = 0; i < n && !rc; i++) {
        const struct meta_issue *was = state_find(x, v[i].id);
        if ((was ? was->line : 0) == v[i].line)
            continue;
        rc = issue_set_line(x->set, v[i].id, v[i].line, err);
        if (!rc)
            rc = issue_set_line(x->marked, v[i].id, v[i].line, err);
    }
    if (n && !rc)
        rc = states_load(x, err);
    if (rc) { /* what is on the disk counts: begin anew the next time */
        issue_set_free(x->set);
        x->set = NULL;
    }
    return rc;
}

/* ---- reading entries ---- */

static int read_into(struct issues *x, struct issue_set *set, bool marked, uint64_t after,
                     uint64_t upto, const volatile int *cancel, struct err *err)
{
    struct arena a;
    struct scan *sc;
    struct scan_block sb;
    arena_init(&a, 1u << 20);
    struct pred *p = issue_filter(&a);
    if (marked)
        p = pred_and(&a, p, pred_resolved(&a, true));
    struct scan_plan plan = {
        .filter = p, .seq_after = after, .seq_max = upto, .marks = marked, .cancel = cancel
    };
    int rc = p ? store_scan(x->s->store, &plan, &sc, err) : err_nomem(err);
    if (!rc) {
        while ((rc = scan_next(sc, &sb, err)) == 0)
            if ((rc = issue_set_add(set, sb.block, sb.sel, false, err)) < 0)
                break;
        const struct scan_cost *c = scan_get_cost(sc);
        metric_add(&x->s->metrics.rows_scanned, c->rows_scanned);
        metric_add(&x->s->metrics.rows_matched, c->rows_matched);
        scan_close(sc);
    }
    arena_deinit(&a);
    return rc < 0 ? rc : 0;
}

/* A piece that was read to its end, or nothing of it. */
static int read_slice(struct issues *x, uint64_t upto, const volatile int *cancel, struct err *err)
{
    struct issue_set *piece;
    int rc = issue_set_new(&piece, ISSUES_BYTES, err);
    if (rc)
        return rc;
    rc = lines_put(x, piece, err);
    if (!rc)
        rc = read_into(x, piece, false, x->upto, upto, cancel, err);
    if (!rc && (rc = issue_set_merge(x->set, piece, err)) == 0) {
        x->upto = upto;
    } else if (rc && issue_set_n(piece) && rc != ERR_CANCELED) {
        issue_set_free(x->set); /* half of it may be in */
        x->set = NULL;
    }
    issue_set_free(piece);
    return rc;
}

static int read_marks(struct issues *x, uint64_t marks, const volatile int *cancel, struct err *err)
{
    struct issue_set *set;
    int rc = issue_set_new(&set, ISSUES_BYTES, err);
    if (rc)
        return rc;
    rc = lines_put(x, set, err);
    if (!rc && marks)
        rc = read_into(x, set, true, 0, x->upto, cancel, err);
    if (rc) {
        issue_set_free(set);
        return rc;
    }
    issue_set_free(x->marked);
    x->marked = set;
    x->marks = marks;
    return 0;
}

static int begin(struct issues *x, uint64_t gone, struct err *err)
{
    issue_set_free(x->set);
    issue_set_free(x->marked);
    x->set = x->marked = NULL;
    x->upto = 0;
    x->gone = gone;
    int rc = states_load(x, err);
    if (!rc)
        rc = issue_set_new(&x->set, ISSUES_BYTES, err);
    if (!rc)
        rc = lines_put(x, x->set, err);
    if (rc) {
        issue_set_free(x->set);
        x->set = NULL;
    }
    return rc;
}

/* ---- what entries and time do to states ---- */

/* who is named by the mark of an entry, and what the entry says */
static str marked_by(const struct issues *x, uint64_t seq, struct arena *a)
{
    struct mark m;
    return store_get_mark(x->s->store, seq, a, &m) ? m.by : STR_NULL;
}

static int name_culprit(struct issues *x, const struct issue_entry *e, struct arena *a,
                        struct meta_issue *st, struct err *err)
{
    struct scan *sc;
    struct scan_block sb;
    struct val agent, session;
    struct pred *p = pred_seq_range(a, e->seq, e->seq);
    struct scan_plan plan = { .filter = p };
    st->seq = e->seq;
    st->entry = issue_entry_id(e, store_ids(x->s->store), a);
    int rc = p ? store_scan(x->s->store, &plan, &sc, err) : err_nomem(err);
    if (rc)
        return rc;
    rc = scan_next(sc, &sb, err);
    if (rc == 0) {
        uint32_t row = (uint32_t)bits_next(sb.sel, 0, sb.block->n);
        rc = block_get_field(sb.block, row, F_AGENT, &agent, err);
        if (!rc)
            rc = block_get_field(sb.block, row, F_SESSION_ID, &session, err);
        if (!rc && agent.t == V_STR)
            st->agent = arena_dup(a, agent.s);
        if (!rc && session.t == V_STR)
            st->session = arena_dup(a, session.s);
    }
    scan_close(sc);
    return rc < 0 ? rc : 0;
}

/* Has the state of the issue changed by itself? Then *st is the new one. */
static int judge(struct issues *x, const struct issue *i, struct arena *a, struct meta_issue *st,
                 bool *ret_changed, struct err *err)
{
    const struct issue *m = issue_set_find(x->marked, i->id);
    uint64_t marked = m ? m->count : 0, left = i->since - (m ? m->since : 0);
    ts_ns now = server_now(x->s);
    struct meta_issue was = issues_state(x, i->id);
    *st = (struct meta_issue){ .id = i->id, .at = now, .line = was.line };
    *ret_changed = true;
    if (was.state == ISSUE_RESOLVED && left) {
        st->cause = CAUSE_ENTRY;
        st->regressed = true;
        return name_culprit(x, &i->since_first, a, st, err);
    }
    if (was.state == ISSUE_OPEN && !left && marked > was.marks) {
        st->state = ISSUE_RESOLVED;
        st->cause = CAUSE_MARKS;
        st->line = x->upto;
        st->by = marked_by(x, m->newest.seq, a);
        return 0;
    }
    bool over = was.until && now >= was.until;
    if (was.state == ISSUE_IGNORED && (over || (was.until_count && i->since >= was.until_count))) {
        st->cause = over ? CAUSE_TIME : CAUSE_COUNT;
        st->line = 0;
        st->marks = marked;
        return 0;
    }
    *ret_changed = false;
    return 0;
}

static int judge_all(struct issues *x, struct err *err)
{
    struct arena a;
    struct meta_issue *v = NULL, st;
    uint32_t n = 0, cap = 0;
    int rc = 0;
    arena_init(&a, (size_t)256 << 20);
    for (uint32_t k = 0; k < issue_set_n(x->set) && !rc; k++) {
        const struct issue *i = issue_set_at(x->set, k);
        bool changed;
        if (!state_find(x, i->id) && !issue_set_find(x->marked, i->id))
            continue;
        rc = judge(x, i, &a, &st, &changed, err);
        if (rc || !changed)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            struct meta_issue *more = arena_grow(&a, v, n, cap, sizeof *more);
            if (!more) {
                rc = err_nomem(err);
                break;
            }
            v = more;
        }
        v[n++] = st;
    }
    if (!rc)
        rc = states_put(x, v, n, err);
    arena_deinit(&a);
    return rc;
}

/* ---- looking ---- */

static int look(struct issues *x, const volatile int *cancel, struct err *err)
{
    struct store_status st;
    store_get_status(x->s->store, &st);
    uint64_t gone = st.watermark - st.entries; /* more: something was deleted */
    uint64_t marks = store_marks_count(x->s->store);
    int rc = x->set && gone == x->gone ? 0 : begin(x, gone, err);
    while (!rc && x->upto < st.watermark) {
        uint64_t to = st.watermark - x->upto > SLICE ? x->upto + SLICE : st.watermark;
        rc = read_slice(x, to, cancel, err);
    }
    if (!rc && (!x->marked || marks != x->marks))
        rc = read_marks(x, marks, cancel, err);
    return rc ? rc : judge_all(x, err);
}

int issues_look(struct server *s, const volatile int *cancel, struct issues **ret, struct err *err)
{
    struct issues *x = s->issues;
    pthread_mutex_lock(&x->lock);
    int rc = look(x, cancel, err);
    if (rc) {
        pthread_mutex_unlock(&x->lock);
        return rc;
    }
    *ret = x;
    return 0;
}

/* ---- deciding ---- */

static bool same(const struct meta_issue *was, const struct issue_change *c)
{
    return was->state == c->state && str_eq(was->by, c->by) && str_eq(was->note, c->note) &&
           was->until == c->until && was->until_count == c->until_count && !was->regressed;
}

int issues_change(struct issues *x, const uint64_t *ids, uint32_t n, const struct issue_change *c,
                  uint32_t *ret_changed, struct err *err)
{
    struct meta_issue *v = mem_zarray(n + 1, sizeof *v);
    uint32_t k = 0;
    if (!v)
        return err_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        const struct meta_issue *was = state_find(x, ids[i]);
        bool twice = false;
        for (uint32_t p = 0; p < k && !twice; p++)
            twice = v[p].id == ids[i];
        if (twice || (was && same(was, c)) ||
            (!was && c->state == ISSUE_OPEN)) /* open from the start */
            continue;
        v[k++] = (struct meta_issue){ .id = ids[i],
                                      .state = c->state,
                                      .line = c->state == ISSUE_OPEN ? 0 : x->upto,
                                      .marks = issues_marked(x, ids[i]),
                                      .at = server_now(x->s),
                                      .by = c->by,
                                      .note = c->note,
                                      .until = c->until,
                                      .until_count = c->until_count };
    }
    int rc = states_put(x, v, k, err);
    mem_free(v);
    *ret_changed = rc ? 0 : k;
    return rc;
}

/* ---- news ---- */

static int by_seq(const void *x, const void *y)
{
    const struct issue_news *a = x, *b = y;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int tell(struct issues *x, const struct issue *i, const struct meta_issue *st,
                bool regressed, struct arena *a, struct issue_news *ret, struct err *err)
{
    struct buf b;
    struct meta_issue who = { .id = i->id };
    *ret = (struct issue_news){ .id = i->id, .regressed = regressed };
    buf_init(&b, 1u << 20);
    issue_put_title(&b, i);
    ret->title = arena_dup(a, b.n ? buf_str(&b) : STR(""));
    int rc = buf_ok(&b) && ret->title.p ? 0 : err_nomem(err);
    buf_deinit(&b);
    ret->tool = arena_dup(a, i->tool);
    if (regressed) {
        ret->seq = st->seq;
        ret->time = i->last;
        ret->entry = arena_dup(a, st->entry);
        ret->agent = arena_dup(a, st->agent);
        return rc;
    }
    if (!rc)
        rc = name_culprit(x, &i->oldest, a, &who, err);
    ret->seq = i->oldest.seq;
    ret->time = i->first;
    ret->entry = who.entry;
    ret->agent = who.agent;
    return rc;
}

int issues_news(struct server *s, uint64_t after, struct arena *a, struct issue_news **ret,
                uint32_t *ret_n, uint64_t *ret_upto, struct err *err)
{
    struct issues *x;
    struct issue_news *v = NULL;
    uint32_t n = 0, cap = 0;
    int rc = issues_look(s, NULL, &x, err);
    if (rc)
        return rc;
    for (uint32_t k = 0; k < issue_set_n(x->set) && !rc; k++) {
        const struct issue *i = issue_set_at(x->set, k);
        const struct meta_issue *st = state_find(x, i->id);
        bool fresh = i->oldest.seq > after;
        bool regressed = st && st->state == ISSUE_OPEN && st->regressed && st->seq > after;
        if ((!fresh && !regressed) || (st && st->state == ISSUE_IGNORED))
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            struct issue_news *more = arena_grow(a, v, n, cap, sizeof *more);
            if (!more) {
                rc = err_nomem(err);
                break;
            }
            v = more;
        }
        rc = tell(x, i, st, !fresh, a, &v[n++], err);
    }
    if (!rc && n > 1)
        qsort(v, n, sizeof *v, by_seq);
    *ret = v;
    *ret_n = rc ? 0 : n;
    *ret_upto = x->upto;
    issues_done(x);
    return rc;
}
