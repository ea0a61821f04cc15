/* store_class_test.c: retention classes: entries go to segments by rule, and each class is kept for
 * its own time; a class keeps its number by its name, whatever the rules are at the next start. */
#include "store_kit.h"

#include "store/columnar/impl.h"

#define ROWS 3000
static uint8_t seen[4 * ROWS];
static struct err err = ERR_INIT;
static struct arena preds;

static struct retention_rule rule(const char *name, struct pred *p, int64_t days)
{
    return (struct retention_rule){ .name = name, .match = p, .keep_ns = days * NS_PER_DAY };
}

static struct retention_rule agent_rule(const char *name, const char *agent, int64_t days)
{
    return rule(name, pred_eq(&preds, F_AGENT, str_c(agent)), days);
}

static int open_with(struct store **ret, struct io *io, const struct retention_rule *rules,
                     uint32_t n)
{
    struct store_config cfg;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.rules = rules;
    cfg.nrules = n;
    return store_open(ret, io, &cfg, &err);
}

static struct store *opened(struct io *io, const struct retention_rule *rules, uint32_t n)
{
    struct store *s = NULL;
    kit_ok(open_with(&s, io, rules, n), &err);
    return s;
}

static void fill(struct store *s, uint64_t first, uint32_t n)
{
    kit_ok(kit_append(s, first, n, &err), &err);
    kit_ok(store_flush(s, &err), &err);
}

static struct class_stat class_named(struct store *s, const char *name)
{
    struct class_stat *v, found = { .number = UINT32_MAX };
    struct arena a;
    uint32_t n;
    arena_init(&a, 1u << 16);
    kit_ok(store_classes(s, &a, &v, &n, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(v[i].name, name) == 0)
            found = v[i];
    arena_deinit(&a);
    return found;
}

/* numbers in first..last whose row is of that agent, agents being numbered round */
static uint64_t of_agent(uint64_t n, uint64_t agent)
{
    return n / 7 + (n % 7 > agent);
}

static void verified(struct io *io, uint64_t rows)
{
    struct verify_report rep = { .deep = true };
    kit_ok(store_verify(io, &rep, &err), &err);
    assert_int_equal(rep.problems, 0);
    assert_int_equal(rep.rows, rows);
}

static void in_order_of_seq(struct store *s, uint64_t rows)
{
    struct scan *sc;
    struct scan_block sb;
    uint64_t n = 0, after = 0;
    kit_ok(store_scan(s, &(struct scan_plan){ .order = SCAN_SEQ }, &sc, &err), &err);
    while (scan_next(sc, &sb, &err) == 0) {
        assert_true(sb.block->seq_min >= after);
        after = sb.block->seq_min;
        for (uint32_t i = 0; i < sb.block->n; i++, n++) {
            struct val id, seq;
            uint64_t found;
            kit_ok(block_get_field(sb.block, i, F_SEQ, &seq, &err), &err);
            assert_true((uint64_t)seq.i >= scan_reached(sc));
            if (n % 97)
                continue;
            kit_ok(block_get_field(sb.block, i, F_ID, &id, &err), &err);
            kit_ok(store_find_id(s, id.s, &found, &err), &err);
            assert_int_equal(found, seq.i);
        }
    }
    scan_close(sc);
    assert_int_equal(n, rows);
}

/* The first rule that matches decides; every row is in one segment; merges stay in their class. */
static void test_split(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct retention_rule rules[] = { agent_rule("audit", "agent-1", 400),
                                      rule("errors", pred_level_min(&preds, LV_ERROR), 90) };
    struct store *s = opened(io, rules, 2);
    for (uint64_t i = 0; i < 4; i++)
        fill(s, i * ROWS, ROWS);
    assert_int_equal(s->version->n, 12);
    assert_int_equal(kit_read_all(s, NULL, seen, sizeof seen, &err), 4 * ROWS);
    assert_int_equal(class_named(s, "audit").rows, of_agent(4 * ROWS, 1));
    uint64_t errors = 0;
    for (uint64_t k = 0; k < 4 * ROWS; k++)
        errors += k % 6 >= LV_ERROR && k % 7 != 1;
    assert_int_equal(class_named(s, "errors").rows, errors);
    assert_int_equal(class_named(s, "default").rows, 4 * ROWS - errors - of_agent(4 * ROWS, 1));
    in_order_of_seq(s, 4 * ROWS);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(s->version->n, 3);
    assert_int_equal(class_named(s, "audit").rows, of_agent(4 * ROWS, 1));
    in_order_of_seq(s, 4 * ROWS);
    store_close(s);
    verified(io, 4 * ROWS);
    io_free(io);
}

/* Other rules in another order, and none: names keep their numbers and what is stored its age. */
static void test_restart(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct retention_rule first[] = { agent_rule("a", "agent-1", 10),
                                      agent_rule("b", "agent-2", 20) };
    struct retention_rule second[] = { agent_rule("c", "agent-3", 30),
                                       agent_rule("b", "agent-2", 25) };
    struct store *s = opened(io, first, 2);
    fill(s, 0, ROWS);
    uint32_t a = class_named(s, "a").number, b = class_named(s, "b").number;
    kit_ok(kit_append(s, ROWS, ROWS, &err), &err); /* these are in the log only */
    store_close(s);
    s = opened(io, second, 2);
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(class_named(s, "a").number, a);
    assert_int_equal(class_named(s, "b").number, b);
    assert_true(class_named(s, "c").number != a && class_named(s, "c").number != b);
    assert_int_equal(class_named(s, "a").keep_ns, 10 * NS_PER_DAY);
    assert_false(class_named(s, "a").ruled);
    assert_int_equal(class_named(s, "b").keep_ns, 25 * NS_PER_DAY);
    assert_int_equal(class_named(s, "a").rows, of_agent(ROWS, 1));
    assert_int_equal(class_named(s, "b").rows, of_agent(2 * ROWS, 2));
    assert_int_equal(class_named(s, "c").rows, of_agent(2 * ROWS, 3) - of_agent(ROWS, 3));
    store_close(s);
    s = opened(io, NULL, 0);
    assert_int_equal(class_named(s, "b").keep_ns, 25 * NS_PER_DAY);
    fill(s, 2 * ROWS, ROWS);
    assert_int_equal(class_named(s, "b").rows, of_agent(2 * ROWS, 2));
    assert_int_equal(kit_read_all(s, NULL, seen, sizeof seen, &err), 3 * ROWS);
    store_close(s);
    verified(io, 3 * ROWS);
    io_free(io);
}

static void test_age(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct retention_rule rules[] = { agent_rule("long", "agent-1", 5),
                                      agent_rule("short", "agent-2", 1),
                                      agent_rule("ever", "agent-3", 0) };
    struct store *s = opened(io, rules, 3);
    fill(s, 0, ROWS);
    store_set_retention(s, 3 * NS_PER_DAY, 0);
    static const struct {
        int64_t day;
        bool shorter, normal, longer;
    } days[] = { { 1, true, true, true },   { 2, false, true, true },  { 3, false, true, true },
                 { 4, false, false, true }, { 5, false, false, true }, { 6, false, false, false } };
    int64_t today = 0;
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        io_mem_advance(io, (days[i].day - today) * NS_PER_DAY);
        today = days[i].day;
        kit_ok(store_retention_run(s, &err), &err);
        assert_int_equal(class_named(s, "short").rows > 0, days[i].shorter);
        assert_int_equal(class_named(s, "default").rows > 0, days[i].normal);
        assert_int_equal(class_named(s, "long").rows > 0, days[i].longer);
        assert_int_equal(class_named(s, "ever").rows, of_agent(ROWS, 3));
    }
    assert_int_equal(kit_read_all(s, NULL, seen, sizeof seen, &err), of_agent(ROWS, 3));
    store_set_retention(s, 0, 1); /* the bound on the disk goes before any age */
    kit_ok(store_retention_run(s, &err), &err);
    assert_int_equal(kit_read_all(s, NULL, seen, sizeof seen, &err), 0);
    store_close(s);
    io_free(io);
}

/* Fifteen names with entries take all numbers; one whose entries are gone gives its own away. */
static void test_numbers(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    static char names[16][8];
    struct store *s = NULL;
    for (uint32_t i = 0; i < 16; i++) {
        snprintf(names[i], sizeof names[i], "n%u", i);
        struct retention_rule one = rule(names[i], pred_true(&preds), i ? 9 : 1);
        if (i == 15) {
            assert_int_equal(open_with(&s, io, &one, 1), ERR_LIMIT);
            s = opened(io, NULL, 0);
            io_mem_advance(io, 3 * NS_PER_DAY);
            kit_ok(store_retention_run(s, &err), &err);
            store_close(s);
        }
        s = opened(io, &one, 1);
        fill(s, i * 10, 10);
        assert_int_equal(class_named(s, names[i]).rows, 10);
        assert_int_equal(class_named(s, names[i]).number, i == 15 ? 1 : i + 1);
        store_close(s);
    }
    struct retention_rule bad = rule("Default", pred_true(&preds), 1);
    assert_int_equal(open_with(&s, io, &bad, 1), ERR_INVALID);
    verified(io, 150);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_numbers),
    };
    arena_init(&preds, 1u << 20);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&preds);
    return rc;
}
