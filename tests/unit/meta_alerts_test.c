/* meta_alerts_test.c: alerts in SQLite: all of a change or nothing, order of deliveries, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "meta/alerts.h"

#define NOW (1700000000 * NS_PER_S)
#define A STR("{\"webhook\":\"a\"}")
#define B STR("{\"webhook\":\"b\"}")

struct fixture {
    char dir[64], path[96];
    struct meta *m;
    struct arena arena;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->err = (struct err)ERR_INIT;
    snprintf(f->dir, sizeof(f->dir), "/tmp/fl-alerts-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/meta.db", f->dir);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    arena_init(&f->arena, 64 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    meta_close(f->m);
    arena_deinit(&f->arena);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void sql(struct fixture *f, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static struct meta_alert_rule rule(const char *name)
{
    return (struct meta_alert_rule){ .name = str_c(name),
                                     .doc = STR("{}"),
                                     .agent = STR("web-*"),
                                     .changed_by = STR("me"),
                                     .created = NOW,
                                     .changed = NOW + 1,
                                     .snoozed_until = 7,
                                     .snoozed_by = STR("you"),
                                     .cursor = 9 };
}

static int queue(struct fixture *f, const char *rule_name, const char *key, str target, int id,
                 ts_ns at)
{
    char uid[20];
    snprintf(uid, sizeof uid, "u%d", id);
    struct meta_alert_out o = {
        .key = str_c(key), .uid = str_c(uid), .target = target, .body = STR("{}")
    };
    struct meta_alert_change c = { .rule = str_c(rule_name), .now = at, .outs = &o, .nouts = 1 };
    return meta_alert_commit(f->m, &c, &f->err);
}

static void test_rules_and_states(void **state)
{
    struct fixture *f = *state;
    struct meta_alert_rule r = rule("one"), *all;
    struct meta_alert_inst in[2] = { { .key = STR("{\"a\":1}"),
                                       .state = 2,
                                       .since = 3,
                                       .breach_since = 4,
                                       .clear_since = 5,
                                       .seen = 6,
                                       .told = true,
                                       .told_at = 8,
                                       .has_value = true,
                                       .value = 0.1 },
                                     { .key = STR("{}"), .state = 1 } },
                           *got;
    uint32_t n;
    struct meta_alert_change c = {
        .rule = r.name, .now = NOW, .put = &r, .insts = in, .ninsts = 2
    };
    assert_int_equal(meta_alert_commit(f->m, &c, &f->err), 0);
    c = (struct meta_alert_change){ .rule = r.name, .now = NOW, .cursor = 12 };
    assert_int_equal(meta_alert_commit(f->m, &c, &f->err), 0);
    meta_close(f->m);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    assert_int_equal(meta_alert_rules(f->m, &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 1);
    assert_true(str_eq(all->name, r.name) && str_eq(all->agent, r.agent) && all->cursor == 12 &&
                all->snoozed_until == 7 && str_eq(all->snoozed_by, STR("you")) &&
                all->changed == NOW + 1 && !all->from_file);
    assert_int_equal(meta_alert_instances(f->m, &f->arena, r.name, &got, &n, &f->err), 0);
    assert_int_equal(n, 2);
    assert_true(got[0].told && got[0].value == 0.1 && got[0].clear_since == 5 && got[0].state == 2);
    assert_false(got[1].has_value);
    in[0].drop = true;
    c = (struct meta_alert_change){ .rule = r.name, .now = NOW, .insts = in, .ninsts = 1 };
    assert_int_equal(meta_alert_commit(f->m, &c, &f->err), 0);
    assert_int_equal(meta_alert_instances(f->m, &f->arena, r.name, &got, &n, &f->err), 0);
    assert_int_equal(n, 1);
    c = (struct meta_alert_change){ .rule = r.name, .now = NOW, .remove = true };
    assert_int_equal(meta_alert_commit(f->m, &c, &f->err), 0);
    assert_int_equal(meta_alert_instances(f->m, &f->arena, r.name, &got, &n, &f->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(meta_alert_rules(f->m, &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 0);
}

static void test_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct meta_alert_inst in = { .key = STR("{}"), .state = 2 }, *got;
    struct meta_alert_event ev = { .key = STR("{}"), .was = "ok", .state = "firing" };
    struct meta_alert_out o = {
        .key = STR("{}"), .uid = STR("u1"), .target = A, .body = STR("{}")
    };
    struct meta_alert_line *lines;
    uint32_t n;
    assert_int_equal(queue(f, "r", "{}", A, 1, NOW), 0);
    struct meta_alert_change c = { .rule = STR("r"),
                                   .now = NOW,
                                   .insts = &in,
                                   .ninsts = 1,
                                   .events = &ev,
                                   .nevents = 1,
                                   .outs = &o, /* its uid is taken */
                                   .nouts = 1 };
    assert_true(meta_alert_commit(f->m, &c, &f->err) < 0);
    assert_int_equal(meta_alert_instances(f->m, &f->arena, STR("r"), &got, &n, &f->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(
        meta_alert_history(f->m, &f->arena, STR_NULL, NULL, 0, 10, &lines, &n, &f->err), 0);
    assert_int_equal(n, 0);
    o.uid = STR("u2");
    assert_int_equal(meta_alert_commit(f->m, &c, &f->err), 0);
    assert_int_equal(
        meta_alert_history(f->m, &f->arena, STR_NULL, NULL, 0, 10, &lines, &n, &f->err), 0);
    assert_int_equal(n, 1);
}

static uint64_t next_id(struct fixture *f, const str *busy, uint32_t n)
{
    struct meta_delivery d;
    int rc = meta_delivery_next(f->m, &f->arena, busy, n, &d, &f->err);
    assert_true(rc == 0 || rc == ERR_NOTFOUND);
    return rc == 0 ? d.id : 0;
}

static void test_order_of_deliveries(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(next_id(f, NULL, 0), 0);
    queue(f, "r", "{}", A, 1, NOW);      /* 1 */
    queue(f, "r", "{}", A, 2, NOW + 1);  /* 2: behind 1 */
    queue(f, "r", "{}", B, 3, NOW + 2);  /* 3 */
    queue(f, "r", "{1}", A, 4, NOW + 3); /* 4: another group */
    assert_int_equal(next_id(f, NULL, 0), 1);
    str busy = A;
    assert_int_equal(next_id(f, &busy, 1), 3);
    /* 1 fails and waits: 2 waits with it, others go on */
    assert_int_equal(
        meta_delivery_set(f->m, 1, DELIVERY_WAITING, STR("HTTP 500"), 1, NOW + 90, NOW, &f->err),
        0);
    assert_int_equal(next_id(f, NULL, 0), 3);
    assert_int_equal(meta_delivery_set(f->m, 3, DELIVERY_DONE, STR("HTTP 200"), 1, 0, NOW, &f->err),
                     0);
    assert_int_equal(next_id(f, NULL, 0), 4);
    assert_int_equal(meta_delivery_set(f->m, 4, DELIVERY_FAILED, STR("no"), 1, 0, NOW, &f->err), 0);
    assert_int_equal(next_id(f, NULL, 0), 1);
    assert_int_equal(meta_delivery_set(f->m, 1, DELIVERY_DONE, STR("HTTP 200"), 2, 0, NOW, &f->err),
                     0);
    assert_int_equal(next_id(f, NULL, 0), 2);
    struct meta_delivery *d;
    uint32_t n;
    uint64_t counts[3];
    assert_int_equal(meta_delivery_list(f->m, &f->arena, STR("r"), 10, &d, &n, &f->err), 0);
    assert_int_equal(n, 4);
    assert_true(d[3].attempts == 2 && d[3].status == DELIVERY_DONE && d[3].done_at == NOW);
    assert_int_equal(meta_delivery_counts(f->m, counts, &f->err), 0);
    assert_true(counts[0] == 1 && counts[1] == 2 && counts[2] == 1);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    uint64_t counts[3];
    /* as many as there may wait, written by another hand, for speed */
    sql(f,
        "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 9999)"
        "INSERT INTO alert_delivery SELECT i, 'x' || i, 'q', 'g' || i, 't', '{}', 1, 0, 1, 0, '',"
        " 0 FROM k;"
        "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 10000)"
        "INSERT INTO alert_history SELECT i, i, 'q', '{}', 'ok', 'firing', NULL, '', '' FROM k;");
    assert_int_equal(queue(f, "r", "{}", A, 1, NOW), 0);
    assert_int_equal(queue(f, "r", "{}", A, 2, NOW), 0);
    assert_int_equal(meta_delivery_counts(f->m, counts, &f->err), 0);
    assert_int_equal(counts[DELIVERY_WAITING], META_ALERT_WAITING_MAX);
    assert_int_equal(counts[DELIVERY_FAILED], 1);
    struct meta_delivery *d;
    uint32_t n;
    assert_int_equal(meta_delivery_list(f->m, &f->arena, STR("r"), 10, &d, &n, &f->err), 0);
    assert_string_equal(d[0].answer.p, "the queue was full");
    /* history keeps the newest */
    struct meta_alert_event ev = { .key = STR("{}"), .was = "ok", .state = "firing" };
    struct meta_alert_change c = { .rule = STR("r"), .now = NOW, .events = &ev, .nevents = 1 };
    assert_int_equal(meta_alert_commit(f->m, &c, &f->err), 0);
    struct meta_alert_line *l;
    assert_int_equal(meta_alert_history(f->m, &f->arena, STR_NULL, NULL, 3, 10, &l, &n, &f->err),
                     0);
    assert_int_equal(n, 1); /* line 1 is gone, 2 is there */
    assert_int_equal(l[0].id, 2);
    /* finished deliveries too */
    sql(f, "UPDATE alert_delivery SET status = 1");
    assert_int_equal(queue(f, "r", "{}", A, 3, NOW), 0);
    assert_int_equal(meta_delivery_counts(f->m, counts, &f->err), 0);
    assert_int_equal(counts[DELIVERY_DONE], META_ALERT_FINISHED_MAX);
    assert_int_equal(counts[DELIVERY_WAITING], 1);
}

static void test_older_database(void **state)
{
    struct fixture *f = *state;
    struct meta_alert_rule *all;
    uint32_t n;
    meta_close(f->m);
    sql(f, "DROP TABLE alert_rule; DROP TABLE alert_instance; DROP TABLE alert_history;"
           "DROP TABLE alert_delivery; PRAGMA user_version = 1");
    assert_int_equal(meta_open(&f->m, f->path, true, &f->err), 0); /* read-only: as it is */
    meta_close(f->m);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    assert_int_equal(meta_alert_rules(f->m, &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules_and_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_of_deliveries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_database, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
