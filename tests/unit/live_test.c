/* live_test.c: subscriptions against a store in memory: matching, resume, drops, threads.
 *
 * The store here is a list of batches behind a lock. A batch becomes visible to scans before it is
 * published, as the real one promises. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "live/live.h"
#include "model/batch.h"
#include "model/ident.h"

/* ---- a store ---- */

#define BATCHES 4096

struct store {
    pthread_mutex_t lock;
    struct {
        char *payload;
        size_t n;
        uint64_t base;
        uint32_t rows;
    } b[BATCHES];
    uint32_t nb;
    uint64_t next;
};

struct scan {
    struct store *s;
    const struct scan_plan *plan;
    uint32_t at, nb;
    uint64_t watermark, reached;
    struct arena arena;
    struct pred_run *run;
    struct block *block;
    uint64_t sel[BLOCK_WORDS];
    struct scan_cost cost;
};

void store_get_status(struct store *s, struct store_status *ret)
{
    memset(ret, 0, sizeof *ret);
    pthread_mutex_lock(&s->lock);
    ret->watermark = s->next - 1;
    pthread_mutex_unlock(&s->lock);
}

int store_scan(struct store *s, const struct scan_plan *plan, struct scan **ret, struct err *err)
{
    struct scan *sc = mem_zalloc(sizeof *sc);
    if (!sc)
        return err_nomem(err);
    if (pred_run_new(&sc->run, err) < 0) {
        mem_free(sc);
        return ERR_NOMEM;
    }
    assert_int_equal(plan->order, SCAN_SEQ);
    sc->s = s;
    sc->plan = plan;
    arena_init(&sc->arena, (size_t)64 << 20);
    pthread_mutex_lock(&s->lock);
    sc->nb = s->nb;
    sc->watermark = s->next - 1;
    pthread_mutex_unlock(&s->lock);
    *ret = sc;
    return 0;
}

static void close_block(struct scan *sc)
{
    if (sc->block)
        block_close(sc->block);
    sc->block = NULL;
    arena_reset(&sc->arena);
}

int scan_next(struct scan *sc, struct scan_block *ret, struct err *err)
{
    for (; sc->at < sc->nb; sc->at++) {
        close_block(sc);
        if (sc->plan->cancel && __atomic_load_n(sc->plan->cancel, __ATOMIC_RELAXED))
            return err_set(err, ERR_CANCELED, "canceled");
        uint64_t base = sc->reached = sc->s->b[sc->at].base;
        if (sc->plan->pause && *sc->plan->pause && base > sc->plan->seq_after + 1)
            return err_set(err, ERR_CANCELED, "paused");
        str payload = str_n(sc->s->b[sc->at].payload, sc->s->b[sc->at].n);
        int rc = payload_block(payload, 0, base, 1, &sc->arena, &sc->block, err);
        if (rc < 0)
            return rc;
        if (sc->plan->filter)
            rc = pred_eval(sc->plan->filter, sc->block, NULL, sc->sel, sc->run, NULL, err);
        else
            bits_fill(sc->sel, sc->block->n);
        if (rc < 0)
            return rc;
        for (uint32_t r = 0; r < sc->block->n; r++)
            if (base + r <= sc->plan->seq_after)
                bit_clear(sc->sel, r);
        *ret = (struct scan_block){ .block = sc->block, .sel = sc->sel };
        ret->nsel = (uint32_t)bits_count(sc->sel, sc->block->n);
        if (ret->nsel) {
            sc->at++;
            return 0;
        }
    }
    return 1;
}

uint64_t scan_reached(const struct scan *sc)
{
    return sc->reached;
}

uint64_t scan_watermark(const struct scan *sc)
{
    return sc->watermark;
}

void scan_close(struct scan *sc)
{
    close_block(sc);
    pred_run_free(sc->run);
    arena_deinit(&sc->arena);
    mem_free(sc);
}

/* ---- what the tests share ---- */

struct fixture {
    struct live *live;
    struct store store;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = ERR_INIT;
    pthread_mutex_init(&f->store.lock, NULL);
    f->store.next = 1;
    assert_int_equal(live_new(&f->live, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    live_free(f->live);
    for (uint32_t i = 0; i < f->store.nb; i++)
        mem_free(f->store.b[i].payload);
    pthread_mutex_destroy(&f->store.lock);
    free(f);
    return 0;
}

/* makes a batch of `rows`, every third of agent "odd", the rest "even"; visible, then published */
static void publish(struct fixture *f, uint32_t rows, size_t text_bytes)
{
    struct arena a;
    struct batch *b;
    struct buf out;
    struct err err = ERR_INIT;
    char *text = malloc(text_bytes + 1);
    memset(text, 'x', text_bytes);
    arena_init(&a, (size_t)256 << 20);
    assert_int_equal(batch_new(&b, &a, &err), 0);
    for (uint32_t i = 0; i < rows; i++) {
        bool odd = (f->store.next + i) % 3 == 0;
        assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), 1000 + i));
        assert_true(bcol_put_i64(batch_col(b, STR("level"), V_I64), LV_INFO));
        assert_true(
            bcol_put_text(batch_col(b, STR("agent"), V_STR), odd ? STR("odd") : STR("even")));
        assert_true(bcol_put_text(batch_col(b, STR("message"), V_STR), str_n(text, text_bytes)));
        batch_end_row(b);
    }
    buf_init(&out, (size_t)256 << 20);
    assert_int_equal(batch_encode(b, &out, &err), 0);
    arena_deinit(&a);
    free(text);
    struct store *s = &f->store;
    assert_true(s->nb < BATCHES);
    size_t n;
    char *payload = buf_take(&out, &n);
    uint64_t base = s->next;
    pthread_mutex_lock(&s->lock);
    s->b[s->nb].payload = payload;
    s->b[s->nb].n = n;
    s->b[s->nb].base = base;
    s->b[s->nb].rows = rows;
    s->nb++;
    s->next += rows;
    pthread_mutex_unlock(&s->lock);
    live_publish(f->live, str_n(payload, n), base, 1);
}

/* what a view has to do: the sequence number, the agent, and the length of the message */
static int view(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct val seq, agent, message;
    int rc = block_get_field(b, row, F_SEQ, &seq, err);
    if (rc == 0)
        rc = block_get_field(b, row, F_AGENT, &agent, err);
    if (rc == 0)
        rc = block_get_field(b, row, F_MESSAGE, &message, err);
    if (rc < 0)
        return rc;
    buf_printf(out, "%lld %.*s ", (long long)seq.i, STR_FMT(agent.s));
    buf_putstr(out, message.s);
    return 0;
}

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    uint32_t rings;
    atomic_uint released;
};

static void bell_init(struct bell *b)
{
    memset(b, 0, sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->rung, NULL);
}

static void ring(void *arg)
{
    struct bell *b = arg;
    pthread_mutex_lock(&b->lock);
    b->rings++;
    pthread_cond_signal(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

static void wait_ring(struct bell *b, int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += ms * 1000000l;
    t.tv_sec += t.tv_nsec / 1000000000l;
    t.tv_nsec %= 1000000000l;
    pthread_mutex_lock(&b->lock);
    if (!b->rings)
        pthread_cond_timedwait(&b->rung, &b->lock, &t);
    b->rings = 0;
    pthread_mutex_unlock(&b->lock);
}

static void released(void *arg)
{
    atomic_fetch_add(&((struct bell *)arg)->released, 1);
}

static struct live_sub *subscribe(struct fixture *f, struct bell *bell, const struct pred *filter,
                                  uint64_t after, size_t queue)
{
    struct live_opts o = { .filter = filter,
                           .view = view,
                           .wake = ring,
                           .arg = bell,
                           .after_seq = after,
                           .store = &f->store,
                           .queue_bytes = queue };
    struct live_sub *s;
    struct err err = ERR_INIT;
    assert_int_equal(live_subscribe(f->live, &o, &s, &err), 0);
    return s;
}

struct got {
    uint64_t last, n, dropped;
    const char *only; /* agent that every item must have */
};

static int take_some(struct live_sub *s, struct got *g, uint32_t max)
{
    struct live_item items[64];
    struct err err = ERR_INIT;
    int n = live_take(s, items, max < 64 ? max : 64, &err);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        unsigned long long seq = strtoull(items[i].json.p, NULL, 10);
        assert_int_equal(seq, items[i].seq);
        assert_true(items[i].seq > g->last);
        if (g->only)
            assert_non_null(memmem(items[i].json.p, items[i].json.n, g->only, strlen(g->only)));
        g->last = items[i].seq;
        g->dropped += items[i].dropped;
        g->n++;
    }
    return n;
}

/* reads until `last` was reached, or so many were got or dropped */
static void read_until(struct live_sub *s, struct bell *bell, struct got *g, uint64_t n)
{
    for (int turn = 0; turn < 20000 && g->n + g->dropped < n; turn++) {
        int k = take_some(s, g, 64);
        g->dropped += live_dropped(s);
        if (k == 0 && !live_needs_history(s))
            wait_ring(bell, 20);
    }
}

/* ---- tests ---- */

static void test_only_what_matches_from_now(void **state)
{
    struct fixture *f = *state;
    struct bell bell;
    struct arena a;
    struct got g = { .only = "odd" };
    bell_init(&bell);
    arena_init(&a, 1 << 20);
    publish(f, 10, 10); /* before: not for us */
    struct live_sub *s = subscribe(f, &bell, pred_eq(&a, F_AGENT, STR("odd")), UINT64_MAX, 0);
    assert_false(live_needs_history(s));
    for (int i = 0; i < 10; i++)
        publish(f, 9, 10);
    read_until(s, &bell, &g, 30);
    assert_int_equal(g.n, 30);
    assert_int_equal(g.dropped, 0);
    assert_true(g.last > 10);
    struct live_stats st;
    live_get_stats(f->live, &st);
    assert_int_equal(st.subscribers, 1);
    assert_int_equal(st.matched, 30);
    assert_int_equal(live_position(s), f->store.next - 1);
    live_unsubscribe(s);
    arena_deinit(&a);
}

static void test_history_then_live(void **state)
{
    struct fixture *f = *state;
    struct bell bell;
    struct got g = { .last = 5 };
    bell_init(&bell);
    for (int i = 0; i < 300; i++)
        publish(f, 10, 10);
    struct live_sub *s = subscribe(f, &bell, NULL, 5, 0);
    assert_true(live_needs_history(s));
    read_until(s, &bell, &g, 1500); /* in the middle of history ... */
    for (int i = 0; i < 100; i++)
        publish(f, 10, 10); /* ... more comes */
    read_until(s, &bell, &g, 3995);
    assert_int_equal(g.n, 3995);
    assert_int_equal(g.last, 4000);
    assert_false(live_needs_history(s));
    live_unsubscribe(s);
}

struct writer {
    struct fixture *f;
    uint32_t batches, rows;
    size_t text;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    for (uint32_t i = 0; i < w->batches; i++)
        publish(w->f, w->rows, w->text);
    return NULL;
}

/* every seq exactly once, whatever the moment the subscription falls into */
static void test_resume_under_load(void **state)
{
    struct fixture *f = *state;
    struct writer w = { f, 1500, 7, 20 };
    pthread_t t;
    pthread_create(&t, NULL, write_all, &w);
    for (int round = 0; round < 8; round++) {
        struct bell bell;
        struct got g = { 0 };
        bell_init(&bell);
        struct live_sub *s = subscribe(f, &bell, NULL, 0, 64 << 20);
        uint64_t want = 1000 + 1000 * (uint64_t)round;
        while (g.n < want) {
            if (take_some(s, &g, 64) == 0 && !live_needs_history(s))
                wait_ring(&bell, 20);
            assert_int_equal(g.n, g.last); /* 1, 2, 3 ... without a hole */
        }
        assert_int_equal(live_dropped(s), 0);
        live_unsubscribe(s);
    }
    pthread_join(t, NULL);
}

static void test_a_full_queue_drops_and_counts(void **state)
{
    struct fixture *f = *state;
    struct bell bell;
    struct got g = { 0 };
    bell_init(&bell);
    struct live_sub *s = subscribe(f, &bell, NULL, UINT64_MAX, 4096);
    for (int i = 0; i < 50; i++)
        publish(f, 20, 100);
    struct live_stats st;
    do
        live_get_stats(f->live, &st);
    while (st.published < 1000);
    read_until(s, &bell, &g, 1000);
    assert_int_equal(g.n + g.dropped, 1000);
    assert_true(g.n > 5 && g.n < 100);
    live_get_stats(f->live, &st);
    assert_int_equal(st.dropped, g.dropped);
    /* it goes on afterwards, and is told nothing twice */
    publish(f, 3, 10);
    g.n = g.dropped = 0;
    read_until(s, &bell, &g, 3);
    assert_int_equal(g.n, 3);
    assert_int_equal(g.dropped, 0);
    live_unsubscribe(s);
}

/* a queue far too small while history is read: nothing may be lost until live is reached */
static void test_overflow_during_history_reads_on(void **state)
{
    struct fixture *f = *state;
    struct writer w = { f, 1200, 5, 200 };
    struct bell bell;
    struct got g = { 0 };
    pthread_t t;
    bell_init(&bell);
    for (int i = 0; i < 1000; i++)
        publish(f, 5, 200);
    struct live_sub *s = subscribe(f, &bell, NULL, 0, 2048);
    pthread_create(&t, NULL, write_all, &w);
    read_until(s, &bell, &g, 11000);
    pthread_join(t, NULL);
    read_until(s, &bell, &g, 11000);
    assert_int_equal(g.n + g.dropped, 11000);
    live_unsubscribe(s);
}

/* batches beyond what the matcher holds: readers with a store miss nothing */
static void test_a_matcher_left_behind_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct bell bell;
    struct got g = { 0 };
    bell_init(&bell);
    struct live_sub *s = subscribe(f, &bell, NULL, UINT64_MAX, 512 << 20);
    for (int i = 0; i < 12; i++)
        publish(f, 1000, 9000); /* 9 MB each */
    read_until(s, &bell, &g, 12000);
    assert_int_equal(g.n, 12000);
    assert_int_equal(g.dropped, 0);
    live_unsubscribe(s);
}

struct coming {
    struct fixture *f;
    struct bell bell;
    atomic_bool *stop;
};

static void *come_and_go(void *arg)
{
    struct coming *c = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct pred *p = pred_eq(&a, F_AGENT, STR("odd"));
    for (uint32_t i = 0; !atomic_load(c->stop); i++) {
        struct live_opts o = { .filter = p,
                               .view = view,
                               .wake = ring,
                               .arg = &c->bell,
                               .after_seq = i % 2 ? UINT64_MAX : 0,
                               .store = &c->f->store,
                               .release = i % 3 ? released : NULL };
        struct live_sub *s;
        struct err err = ERR_INIT;
        struct got g = { .only = "odd" };
        assert_int_equal(live_subscribe(c->f->live, &o, &s, &err), 0);
        for (uint32_t k = 0; k < i % 5; k++)
            take_some(s, &g, 64);
        live_unsubscribe(s);
    }
    arena_deinit(&a);
    return NULL;
}

static void test_many_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct writer w = { f, 800, 5, 20 };
    atomic_bool stop = false;
    struct coming c[3];
    pthread_t t[4];
    for (int i = 0; i < 3; i++) {
        c[i].f = f;
        c[i].stop = &stop;
        bell_init(&c[i].bell);
        pthread_create(&t[i], NULL, come_and_go, &c[i]);
    }
    pthread_create(&t[3], NULL, write_all, &w);
    pthread_join(t[3], NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    struct live_stats st;
    live_get_stats(f->live, &st);
    assert_int_equal(st.subscribers, 0);
}

static void test_many_subscribers(void **state)
{
    struct fixture *f = *state;
    static struct live_sub *s[LIVE_SUBS_MAX];
    struct bell bell;
    struct err err = ERR_INIT;
    bell_init(&bell);
    for (uint32_t i = 0; i < LIVE_SUBS_MAX; i++)
        s[i] = subscribe(f, &bell, NULL, UINT64_MAX, 0);
    struct live_opts o = {
        .view = view, .after_seq = UINT64_MAX, .arg = &bell, .release = released
    };
    struct live_sub *one_too_many;
    assert_int_equal(live_subscribe(f->live, &o, &one_too_many, &err), ERR_BUSY);
    assert_int_equal(atomic_load(&bell.released), 0);
    publish(f, 2, 10);
    for (uint32_t i = 0; i < LIVE_SUBS_MAX; i++) {
        struct got g = { 0 };
        read_until(s[i], &bell, &g, 2);
        assert_int_equal(g.n, 2);
        live_unsubscribe(s[i]);
    }
}

static void test_cancel_ends_a_read_of_history(void **state)
{
    struct fixture *f = *state;
    struct bell bell;
    struct live_item item;
    struct err err = ERR_INIT;
    bell_init(&bell);
    publish(f, 10, 10);
    struct live_sub *s = subscribe(f, &bell, NULL, 0, 0);
    live_cancel(s);
    assert_int_equal(live_take(s, &item, 1, &err), ERR_CANCELED);
    live_unsubscribe(s);
}

/* Paused before it begins, a read of history gets on by a block; its position is what the next one
 * begins with, and nothing is missed on the way. */
static void test_a_paused_read_of_history_gets_on(void **state)
{
    struct fixture *f = *state;
    struct bell bell;
    struct arena a;
    struct got g = { .only = "odd" };
    bell_init(&bell);
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 20; i++)
        publish(f, 10, 10);
    const struct pred *filters[] = { pred_eq(&a, F_AGENT, STR("nobody")),
                                     pred_eq(&a, F_AGENT, STR("odd")) };
    for (int round = 0; round < 2; round++)
        for (uint64_t at = 0; at < 200;) {
            struct live_sub *s = subscribe(f, &bell, filters[round], at, 0);
            live_pause(s);
            take_some(s, &g, 64);
            assert_int_equal(live_position(s), at - at % 10 + 10);
            at = live_position(s);
            live_unsubscribe(s);
        }
    assert_int_equal(g.n, 66);
    arena_deinit(&a);
}

static void test_a_resume_needs_a_store(void **state)
{
    struct fixture *f = *state;
    struct live_opts o = { .view = view, .after_seq = 7 };
    struct live_sub *s;
    struct err err = ERR_INIT;
    assert_int_equal(live_subscribe(f->live, &o, &s, &err), ERR_INVALID);
}

/* the n-th allocation of a subscription's life fails, for every n: an error, never a crash or a gap
 */
static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        publish(f, 10, 10);
    for (uint64_t n = 1; n < 60; n++) {
        struct live_opts o = { .view = view, .after_seq = 0, .store = &f->store };
        struct live_sub *s = NULL;
        struct live_item items[64];
        struct err err = ERR_INIT;
        uint64_t next = 1;
        mem_fail_at(n, 0);
        int rc = live_subscribe(f->live, &o, &s, &err);
        for (int turn = 0; rc == 0 && turn < 10 && live_needs_history(s); turn++) {
            int k = live_take(s, items, 64, &err);
            for (int i = 0; i < k; i++)
                assert_int_equal(items[i].seq, next++);
        }
        mem_fail_at(0, 0);
        live_unsubscribe(s);
    }
}

static int view_id(struct buf *out, struct block *b, uint32_t row, struct err *err)
{
    struct val id;
    int rc = block_get_field(b, row, F_ID, &id, err);
    if (rc == 0)
        buf_putstr(out, id.s);
    return rc;
}

/* the store's key goes away with the store, while the matcher may still be at work */
static void test_ids_outlive_the_store(void **state)
{
    struct fixture *f = *state;
    struct id_gen gen = { { 3, 4 } }, key = gen;
    struct bell bell;
    struct live_sub *s;
    struct live_item item;
    struct err err = ERR_INIT;
    char want[ID_TEXT];
    bell_init(&bell);
    live_set_ids(f->live, &gen);
    memset(&gen, 0xff, sizeof gen);
    struct live_opts o = { .view = view_id, .wake = ring, .arg = &bell, .after_seq = UINT64_MAX };
    assert_int_equal(live_subscribe(f->live, &o, &s, &err), 0);
    publish(f, 1, 1);
    while (live_take(s, &item, 1, &err) == 0)
        wait_ring(&bell, 20);
    id_make(&key, 1, 1, want);
    assert_true(str_eq(item.json, str_n(want, sizeof want)));
    live_unsubscribe(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_only_what_matches_from_now),
        T(test_history_then_live),
        T(test_resume_under_load),
        T(test_a_full_queue_drops_and_counts),
        T(test_overflow_during_history_reads_on),
        T(test_a_matcher_left_behind_loses_nothing),
        T(test_many_come_and_go),
        T(test_many_subscribers),
        T(test_cancel_ends_a_read_of_history),
        T(test_a_paused_read_of_history_gets_on),
        T(test_a_resume_needs_a_store),
        T(test_out_of_memory),
        T(test_ids_outlive_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
