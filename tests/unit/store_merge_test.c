/* store_merge_test.c: merging: rows are all there and in order, blocks are full, a day that is over
 * is packed once, want of space puts a merge off and nothing else. */
#include "store_kit.h"

#include <sched.h>

#define ROWS 40000
#define PIECE 2000

static uint8_t seen[ROWS + PIECE];
static struct err err = ERR_INIT;

static void fill(struct store *s, uint64_t from, uint64_t to)
{
    for (uint64_t k = from; k < to; k += PIECE) {
        kit_ok(kit_append(s, k, PIECE, &err), &err);
        kit_ok(store_flush(s, &err), &err);
    }
}

static void expect_all(struct store *s, uint64_t rows)
{
    int64_t n = kit_read_all(s, NULL, seen, sizeof seen, &err);
    assert_int_equal(n, rows);
}

/* Event times are in no order here, so every piece overlaps every other; merged, groups of 32,768
 * rows do not, and inside them each agent's sessions lie together, by time. */
static void test_order(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 24u << 20);
    struct scan *sc;
    struct scan_block sb;
    fill(s, 0, ROWS);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    expect_all(s, ROWS);
    kit_ok(store_scan(s, &(struct scan_plan){ .order = SCAN_OLDEST }, &sc, &err), &err);
    uint64_t rows = 0;
    uint32_t blocks = 0;
    ts_ns group_end = TS_MIN, end = TS_MIN;
    while (scan_next(sc, &sb, &err) == 0) {
        if (sb.t_min > end) { /* a group begins */
            group_end = end;
        }
        assert_true(sb.t_min >= group_end);
        end = sb.t_max > end ? sb.t_max : end;
        rows += sb.nsel;
        blocks++;
    }
    scan_close(sc);
    assert_int_equal(rows, ROWS);
    assert_true(blocks <= ROWS / BLOCK_ROWS_MAX + 3); /* full, but for the last of each group */
    store_close(s);
    struct verify_report rep = { .deep = true };
    kit_ok(store_verify(io, &rep, &err), &err);
    assert_int_equal(rep.rows, ROWS);
    s = kit_open(io, 24u << 20);
    expect_all(s, ROWS);
    store_close(s);
    io_free(io);
}

static uint64_t merges(struct store *s)
{
    return kit_status(s).merges;
}

/* The day after, each segment is written once more; then never again. */
static void test_packed_once(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 24u << 20);
    fill(s, 0, 3 * PIECE);
    assert_int_equal(merges(s), 0); /* three are too few */
    io_mem_advance(io, 2 * NS_PER_DAY);
    fill(s, 3 * PIECE, 4 * PIECE);
    while (merges(s) < 1)
        sched_yield();
    assert_int_equal(kit_status(s).segments, 2);
    uint64_t size = kit_status(s).segment_bytes;
    store_close(s);
    s = kit_open(io, 24u << 20); /* what is packed says so after a start, too */
    fill(s, 4 * PIECE, 12 * PIECE);
    while (merges(s) < 1) /* the new day's */
        sched_yield();
    assert_int_equal(merges(s), 1);
    assert_true(kit_status(s).segment_bytes > size);
    expect_all(s, 12 * PIECE);
    store_close(s);
    io_free(io);
}

static uint32_t postponed;

static void on_event(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    postponed += strncmp(text, "merge postponed", 15) == 0;
}

static void test_no_space(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store_config cfg;
    struct store *s;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.on_event = on_event;
    io_mem_set_space(io, 48u << 20); /* less than a merge wants to leave */
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    postponed = 0;
    fill(s, 0, 4 * PIECE);
    kit_ok(store_merge(s, &err), &err);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(postponed, 1); /* told once */
    assert_int_equal(merges(s), 0);
    fill(s, 4 * PIECE, 6 * PIECE); /* ingest goes on */
    io_mem_set_space(io, 1ull << 30);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    expect_all(s, 6 * PIECE);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_packed_once),
        cmocka_unit_test(test_no_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
