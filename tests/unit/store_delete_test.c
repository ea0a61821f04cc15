/* store_delete_test.c: what is deleted is gone for every reader, at once and for good: scans, lists
 * by id, counts, summaries, fields; in memory, flushed, merged, opened anew; and off the disk when
 * its grace is over. Who began to read before goes on seeing it. */
#include "store_kit.h"
#include "model/ident.h"

#include <sched.h>

#define ROWS 3000
#define BATCH 250

static uint8_t seen[ROWS];
static struct err err = ERR_INIT;

static struct io *filled(struct store **ret)
{
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 24u << 20);
    for (uint64_t k = 0; k < ROWS; k += BATCH) {
        kit_ok(kit_append(s, k, BATCH, &err), &err);
        if (k % 1000 == 0)
            kit_ok(store_flush(s, &err), &err);
    }
    *ret = s;
    return io;
}

/* deletes what one agent said; how many entries that was */
static uint64_t delete_agent(struct store *s, const char *name)
{
    struct arena a;
    uint64_t n = 0;
    arena_init(&a, 1u << 16);
    kit_ok(store_delete(s, pred_eq(&a, F_AGENT, str_c(name)), false, &n, &err), &err);
    arena_deinit(&a);
    return n;
}

static void expect_summary(struct store *s, bool (*gone)(uint64_t k))
{
    struct arena a;
    struct store_summary sum;
    uint64_t rows = 0, levels[LV__COUNT] = { 0 }, agents[7] = { 0 }, entries, nagents;
    ts_ns first = TS_MAX, last = TS_MIN;
    for (uint64_t k = 0; k < ROWS; k++) {
        if (gone(k))
            continue;
        rows++;
        levels[k % 6]++;
        agents[k % 7]++;
        first = kit_time(k) < first ? kit_time(k) : first;
        last = kit_time(k) > last ? kit_time(k) : last;
    }
    arena_init(&a, 1u << 24);
    kit_ok(store_summary(s, &a, &sum, &err), &err);
    assert_int_equal(sum.entries, rows);
    for (int l = 0; l < LV__COUNT; l++)
        assert_int_equal(sum.levels[l], levels[l]);
    for (uint32_t i = 0; i < sum.nagents; i++) {
        assert_int_equal(sum.agents[i].entries, agents[sum.agents[i].name.p[6] - '0']);
        assert_true(sum.agents[i].entries > 0);
    }
    if (rows) {
        assert_int_equal(sum.t_min, first);
        assert_int_equal(sum.t_max, last);
    }
    uint64_t in_hours = 0;
    for (uint32_t i = 0; i < sum.nhours; i++)
        in_hours += sum.hours[i].entries;
    assert_int_equal(in_hours, rows);
    store_counts(s, &entries, &nagents);
    assert_int_equal(entries, rows);
    assert_int_equal(nagents, sum.nagents);
    arena_deinit(&a);
}

static void expect_fields(struct store *s, bool (*gone)(uint64_t k))
{
    struct arena a;
    struct field_stat *f;
    uint32_t n;
    uint64_t ok_rows = 0, found = 0;
    for (uint64_t k = 0; k < ROWS; k++)
        ok_rows += !gone(k) && k % 4 == 0;
    arena_init(&a, 1u << 24);
    kit_ok(store_fields(s, &a, 1000, &f, &n, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(f[i].key, STR("\x01ok")))
            found = f[i].entries;
    assert_int_equal(found, ok_rows);
    arena_deinit(&a);
}

/* every read path agrees on what is there */
static void expect_gone(struct store *s, bool (*gone)(uint64_t k))
{
    int64_t n = kit_read_all(s, NULL, seen, ROWS, &err);
    kit_ok(n < 0 ? (int)n : 0, &err);
    for (uint64_t k = 0; k < ROWS; k++)
        assert_int_equal(seen[k], !gone(k));
    for (uint64_t seq = 1; seq <= ROWS; seq += 37) { /* row k has sequence number k + 1 */
        char id[ID_TEXT];
        uint64_t found;
        id_make(store_ids(s), KIT_T0, seq, id);
        int rc = store_find_id(s, str_n(id, ID_TEXT), &found, &err);
        assert_int_equal(rc, gone(seq - 1) ? ERR_NOTFOUND : 0);
        err_reset(&err);
    }
    expect_summary(s, gone);
    expect_fields(s, gone);
}

static char dir[40]; /* the day's partition */

static const char *partition(struct io *io)
{
    char day[11];
    ts_format_day(io->ops->now(io), day);
    snprintf(dir, sizeof dir, "p/%s.0", day);
    return dir;
}

static void count_lists(void *arg, const char *name, bool is_dir)
{
    size_t n = strlen(name);
    *(uint32_t *)arg += !is_dir && n > 5 && !strcmp(name + n - 5, ".dead");
}

static uint32_t lists(struct io *io)
{
    uint32_t n = 0;
    kit_ok(io->ops->list(io, partition(io), count_lists, &n, &err), &err);
    return n;
}

static void expect_sound(struct io *io)
{
    struct verify_report rep = { .deep = true };
    kit_ok(store_verify(io, &rep, &err), &err);
}

static bool agent_3(uint64_t k)
{
    return k % 7 == 3;
}

static bool agents_3_5(uint64_t k)
{
    return k % 7 == 3 || k % 7 == 5;
}

static bool all(uint64_t k)
{
    (void)k;
    return true;
}

static uint64_t count(bool (*gone)(uint64_t k))
{
    uint64_t n = 0;
    for (uint64_t k = 0; k < ROWS; k++)
        n += gone(k);
    return n;
}

static void test_every_reader(void **state)
{
    (void)state;
    struct store *s;
    struct io *io = filled(&s);
    assert_int_equal(delete_agent(s, "agent-3"), count(agent_3));
    expect_gone(s, agent_3);
    assert_int_equal(delete_agent(s, "agent-3"), 0);
    assert_int_equal(kit_status(s).dead_rows, count(agent_3));
    assert_int_equal(kit_status(s).segment_rows, ROWS - count(agent_3));
    store_close(s);
    expect_sound(io);
    s = kit_open(io, 24u << 20);
    expect_gone(s, agent_3);
    uint32_t before = lists(io);
    assert_true(before > 0);
    assert_int_equal(delete_agent(s, "agent-5"), count(agents_3_5) - count(agent_3));
    expect_gone(s, agents_3_5);
    /* new ones in the place of the old, which stay as long as what was opened with them */
    assert_in_range(lists(io), before, 2 * before);
    kit_ok(store_merge(s, &err), &err);
    expect_gone(s, agents_3_5);
    assert_int_equal(kit_status(s).dead_rows, 0);
    assert_int_equal(lists(io), 0);
    store_close(s);
    expect_sound(io);
    s = kit_open(io, 24u << 20);
    expect_gone(s, agents_3_5);
    store_close(s);
    io_free(io);
}

static void test_everything(void **state)
{
    (void)state;
    struct store *s;
    struct io *io = filled(&s);
    struct arena a;
    uint64_t n;
    arena_init(&a, 1u << 16);
    delete_agent(s, "agent-3");
    kit_ok(store_delete(s, pred_true(&a), true, &n, &err), &err);
    assert_int_equal(n, ROWS - count(agent_3));
    kit_ok(store_delete(s, pred_true(&a), false, &n, &err), &err);
    assert_int_equal(n, ROWS - count(agent_3));
    expect_gone(s, all);
    assert_int_equal(kit_status(s).segments, 0);
    arena_deinit(&a);
    store_close(s);
    io_free(io);
}

/* A scan that began before sees its moment, whatever happens to the files meanwhile. */
static void test_reader_goes_on(void **state)
{
    (void)state;
    struct store *s;
    struct io *io = filled(&s);
    struct scan *sc;
    struct scan_block sb;
    uint64_t rows = 0;
    kit_ok(store_flush(s, &err), &err);
    kit_ok(store_scan(s, &(struct scan_plan){ 0 }, &sc, &err), &err);
    delete_agent(s, "agent-3");
    delete_agent(s, "agent-5");
    kit_ok(store_merge(s, &err), &err);
    while (scan_next(sc, &sb, &err) == 0)
        rows += sb.nsel;
    assert_int_equal(rows, ROWS);
    assert_false(scan_get_cost(sc)->incomplete);
    scan_close(sc);
    expect_gone(s, agents_3_5);
    store_close(s);
    s = kit_open(io, 24u << 20);
    expect_gone(s, agents_3_5);
    store_close(s);
    io_free(io);
}

/* With its grace over, the background takes the rows off the disk. */
static void test_grace(void **state)
{
    (void)state;
    struct store *s;
    struct io *io = filled(&s);
    store_close(s);
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.delete_grace_ns = 0;
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    delete_agent(s, "agent-3");
    while (kit_status(s).dead_rows)
        sched_yield();
    expect_gone(s, agent_3);
    store_close(s);
    assert_int_equal(lists(io), 0);
    io_free(io);
}

static char list_path[100];

static void find_list(void *arg, const char *name, bool is_dir)
{
    (void)arg;
    if (!is_dir && strlen(name) > 5 && !strcmp(name + strlen(name) - 5, ".dead"))
        snprintf(list_path, sizeof list_path, "%s/%.40s", dir, name);
}

/* A damaged list: the segment is left out and that is told; deleted rows do not come back. */
static void test_damage(void **state)
{
    (void)state;
    struct store *s;
    struct io *io = filled(&s);
    delete_agent(s, "agent-3");
    store_close(s);
    kit_ok(io->ops->list(io, partition(io), find_list, NULL, &err), &err);
    char *p;
    size_t n;
    kit_ok(io_read_file(io, list_path, 1u << 20, &p, &n, &err), &err);
    mem_free(p);
    for (uint64_t byte = 0; byte < n; byte += 7) {
        assert_true(io_mem_flip(io, list_path, byte, (unsigned)byte % 8));
        s = kit_open(io, 24u << 20);
        assert_int_equal(kit_read_all(s, NULL, seen, ROWS, &err), ERR_CORRUPT);
        err_reset(&err);
        for (uint64_t k = 0; k < ROWS; k++)
            assert_false(seen[k] && agent_3(k));
        store_close(s);
        assert_true(io_mem_flip(io, list_path, byte, (unsigned)byte % 8));
    }
    io_free(io);
}

/* The first bytes of a list, and which rows of 1..8 are in it. */
static void test_golden(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 24u << 20);
    kit_ok(kit_append(s, 0, 8, &err), &err);
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(delete_agent(s, "agent-3"), 1);
    store_close(s);
    kit_ok(io->ops->list(io, partition(io), find_list, NULL, &err), &err);
    char *p;
    size_t n;
    kit_ok(io_read_file(io, list_path, 1u << 20, &p, &n, &err), &err);
    static const uint8_t want[] = {
        'F', 'L', 'E', 'E', 'T', 'D', 'E', 'L', 1, 0, 0, 0, 1, 0, 0, 0, /* version, blocks */
        1,   0,   0,   0,   0,   0,   0,   0,                           /* segment */
        2,   0,   0,   0,   0,   0,   0,   0,                           /* number */
        1,   0,   0,   0,   0,   0,   0,   0,                           /* deleted rows */
        1,   16, /* one in the first block: the fifth by time, then agent */
    };
    assert_true(n > sizeof want);
    assert_memory_equal(p, want, sizeof want);
    mem_free(p);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reader),   cmocka_unit_test(test_everything),
        cmocka_unit_test(test_reader_goes_on), cmocka_unit_test(test_grace),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
