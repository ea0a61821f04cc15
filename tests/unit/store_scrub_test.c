/* store_scrub_test.c: segments are read again within a week: when, how far after a restart, and
 * what damage does. The clock is set by hand, and so are the steps. */
#include "store_kit.h"

#include "store/columnar/impl.h"
#include "store/columnar/scrub.h"

#define ROWS 3000
static struct err err = ERR_INIT;
static char told[4096];

static void on_event(void *ctx, int level, const char *text)
{
    (void)ctx, (void)level;
    snprintf(told + strlen(told), sizeof told - strlen(told), "%.200s\n", text);
}

static struct store *opened(struct io *io)
{
    struct store_config cfg;
    struct store *s = NULL;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.scrub_bytes_s = 0; /* none by itself */
    cfg.on_event = on_event;
    told[0] = 0;
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    pthread_mutex_lock(&s->merge_lock); /* no day that is over is packed meanwhile */
    return s;
}

static void closed(struct store *s)
{
    pthread_mutex_unlock(&s->merge_lock);
    store_close(s);
}

static void fill(struct store *s, uint64_t first)
{
    kit_ok(kit_append(s, first, ROWS, &err), &err);
    kit_ok(store_flush(s, &err), &err);
}

/* Steps until nothing more is to do now; the bytes they read. */
static uint64_t round_of(struct store *s)
{
    uint64_t sum = 0;
    bool more = true;
    while (more) {
        uint64_t bytes;
        kit_ok(scrub_step(s, &bytes, &more, &err), &err);
        sum += bytes;
    }
    return sum;
}

static void test_when(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = opened(io);
    io_mem_advance(io, 100 * NS_PER_DAY);
    assert_int_equal(round_of(s), 0); /* nothing is there */
    fill(s, 0);
    fill(s, ROWS);
    assert_int_equal(round_of(s), 0); /* what is new needs none */
    io_mem_advance(io, SCRUB_EVERY - NS_PER_S);
    assert_int_equal(round_of(s), 0);
    io_mem_advance(io, NS_PER_S);
    struct store_status st = kit_status(s);
    assert_int_equal(round_of(s), st.segment_bytes);
    assert_int_equal(round_of(s), 0);
    st = kit_status(s);
    assert_int_equal(st.scrub.last_bytes, st.segment_bytes);
    assert_int_equal(st.scrub.finished, io->ops->now(io));
    assert_int_equal(st.scrub.last_problems, 0);
    assert_int_equal(st.corruptions, 0);
    assert_non_null(strstr(told, "read again: 0 problems"));
    closed(s);
    s = opened(io);
    assert_int_equal(kit_status(s).scrub.finished, st.scrub.finished);
    assert_int_equal(round_of(s), 0);
    io_mem_advance(io, SCRUB_EVERY);
    assert_int_equal(round_of(s), st.segment_bytes);
    s->st.scrub.started += 100 * NS_PER_DAY; /* by a clock that was wrong */
    io_mem_advance(io, SCRUB_EVERY);
    assert_int_equal(round_of(s), st.segment_bytes);
    closed(s);
    io_free(io);
}

/* Cut short behind each number of steps: the next start goes on with the segment that was in hand,
 * or with those since the last note; in the end all were read. */
static void test_restart(void **state)
{
    (void)state;
    for (uint32_t steps = 1; steps < 12; steps++) {
        struct io *io = kit_disk();
        struct store *s = opened(io);
        for (uint64_t i = 0; i < 3; i++)
            fill(s, i * ROWS);
        io_mem_advance(io, SCRUB_EVERY);
        uint64_t bytes, all = kit_status(s).segment_bytes;
        ts_ns begun = io->ops->now(io);
        bool more;
        for (uint32_t i = 0; i < steps; i++)
            kit_ok(scrub_step(s, &bytes, &more, &err), &err);
        assert_int_equal(kit_status(s).scrub.started, begun);
        closed(s);
        io_mem_advance(io, NS_PER_DAY);
        s = opened(io);
        round_of(s);
        struct store_status st = kit_status(s);
        assert_int_equal(st.scrub.started, begun); /* the same round */
        assert_false(st.scrub.running);
        assert_true(st.scrub.last_bytes >= all);
        closed(s);
        io_free(io);
    }
}

/* A bit anywhere in a segment: seen by the round, told, counted, and in the status after a restart;
 * the other segment is read all the same. */
static void test_damage(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = opened(io);
    fill(s, 0);
    fill(s, ROWS);
    closed(s);
    s = opened(io);
    char path[PATH_MAX_STORE];
    seg_path(&s->version->v[0]->m, path);
    uint64_t size = s->version->v[0]->m.bytes;
    for (uint64_t at = 0; at < size; at += size / 97) {
        assert_true(io_mem_flip(io, path, at, at % 8));
        io_mem_advance(io, SCRUB_EVERY);
        uint64_t before = kit_status(s).corruptions;
        round_of(s);
        struct store_status st = kit_status(s);
        if (!st.scrub.last_problems)
            fail_msg("a flip at byte %llu goes unnoticed", (unsigned long long)at);
        assert_int_equal(st.corruptions, before + st.scrub.last_problems);
        assert_non_null(strstr(told, "scrub: "));
        assert_true(st.scrub.last_bytes >= s->version->v[1]->m.bytes);
        closed(s);
        s = opened(io);
        assert_int_equal(kit_status(s).scrub.last_problems, st.scrub.last_problems);
        assert_true(io_mem_flip(io, path, at, at % 8));
    }
    io_mem_advance(io, SCRUB_EVERY);
    round_of(s);
    assert_int_equal(kit_status(s).scrub.last_problems, 0);
    closed(s);
    io_free(io);
}

/* Its segment is merged away, or retired, while it is in hand. */
static void test_segments_go(void **state)
{
    (void)state;
    for (int retire = 0; retire < 2; retire++) {
        struct io *io = kit_disk();
        struct store *s = opened(io);
        fill(s, 0);
        fill(s, ROWS);
        io_mem_advance(io, SCRUB_EVERY);
        uint64_t bytes;
        bool more;
        for (int i = 0; i < 3; i++) /* begun, opened, a block */
            kit_ok(scrub_step(s, &bytes, &more, &err), &err);
        if (retire) {
            store_set_retention(s, NS_PER_DAY, 0);
            kit_ok(store_retention_run(s, &err), &err);
        } else {
            pthread_mutex_unlock(&s->merge_lock);
            kit_ok(store_merge(s, &err), &err);
            pthread_mutex_lock(&s->merge_lock);
        }
        round_of(s);
        struct store_status st = kit_status(s);
        assert_int_equal(st.scrub.last_problems, 0);
        assert_false(st.scrub.running);
        closed(s);
        io_free(io);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_segments_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
