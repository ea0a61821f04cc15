/* alert_state_test.c: a group from reading to reading, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "alert/state.h"

#define T0 (1700000000 * NS_PER_S)
#define S NS_PER_S

struct play {
    struct alert_rule r;
    struct alert_inst in;
    ts_ns now;
    bool snoozed;
};

static struct play above(double threshold)
{
    return (struct play){ .r = { .condition = ALERT_ABOVE, .threshold = threshold },
                          .in = { .key = STR("{}"), .since = T0 },
                          .now = T0 };
}

static struct alert_step read_value(struct play *p, double v)
{
    struct alert_reading x = { .present = true, .has_value = true, .value = v };
    struct alert_step s = alert_step(&p->r, &p->in, &x, p->now, p->snoozed);
    assert_int_equal(s.changed, s.from != s.to);
    assert_int_equal(p->in.state, s.to);
    p->now += S;
    return s;
}

static struct alert_step read_nothing(struct play *p)
{
    struct alert_reading x = { 0 };
    struct alert_step s = alert_step(&p->r, &p->in, &x, p->now, p->snoozed);
    p->now += S;
    return s;
}

static void test_at_once(void **state)
{
    (void)state;
    struct play p = above(10);
    struct alert_step s = read_value(&p, 10);
    assert_int_equal(s.to, ALERT_OK);
    s = read_value(&p, 10.5);
    assert_int_equal(s.to, ALERT_FIRING);
    assert_int_equal(s.tell, TELL_FIRING);
    assert_true(p.in.since == T0 + S);
    s = read_value(&p, 11);
    assert_int_equal(s.tell, TELL_NOTHING);
    s = read_value(&p, 3);
    assert_int_equal(s.to, ALERT_RESOLVED);
    assert_int_equal(s.tell, TELL_RESOLVED);
    s = read_value(&p, 20);
    assert_int_equal(s.from, ALERT_RESOLVED);
    assert_int_equal(s.tell, TELL_FIRING);
}

static void test_for(void **state)
{
    (void)state;
    struct play p = above(10);
    p.r.for_ns = 3 * S;
    assert_int_equal(read_value(&p, 11).to, ALERT_PENDING);
    assert_int_equal(read_value(&p, 11).to, ALERT_PENDING);
    assert_int_equal(read_value(&p, 9).to, ALERT_OK); /* begins anew */
    for (int i = 0; i < 3; i++) {
        struct alert_step s = read_value(&p, 11);
        assert_int_equal(s.to, ALERT_PENDING);
        assert_int_equal(s.tell, TELL_NOTHING);
    }
    assert_int_equal(read_value(&p, 11).tell, TELL_FIRING); /* exactly 3 s */
}

static void test_hysteresis_and_keep(void **state)
{
    (void)state;
    struct play p = above(10);
    p.r.has_clear = true;
    p.r.clear = 5;
    p.r.keep_ns = 2 * S;
    read_value(&p, 11);
    for (int i = 0; i < 20; i++) /* between both: nothing */
        assert_int_equal(read_value(&p, i % 2 ? 6 : 12).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 5).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 5).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 7).to, ALERT_FIRING); /* not long enough */
    assert_int_equal(read_value(&p, 4).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 4).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 4).tell, TELL_RESOLVED);
}

static void test_below(void **state)
{
    (void)state;
    struct play p = above(0);
    p.r.condition = ALERT_BELOW;
    p.r.threshold = 10;
    p.r.has_clear = true;
    p.r.clear = 12;
    assert_int_equal(read_value(&p, 10).to, ALERT_OK);
    assert_int_equal(read_value(&p, 9).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 11.9).to, ALERT_FIRING);
    assert_int_equal(read_value(&p, 12).to, ALERT_RESOLVED);
    read_value(&p, 9);
    assert_int_equal(read_nothing(&p).to, ALERT_RESOLVED); /* no value is no breach */
}

static struct alert_step read_pair(struct play *p, double before, double value)
{
    struct alert_reading x = {
        .present = true, .has_value = true, .value = value, .has_before = true, .before = before
    };
    p->now += S;
    return alert_step(&p->r, &p->in, &x, p->now, p->snoozed);
}

static void test_change(void **state)
{
    (void)state;
    struct play p = above(50);
    p.r.condition = ALERT_RISES;
    p.r.at_least = 10;
    assert_int_equal(read_pair(&p, 100, 150).to, ALERT_OK);
    assert_int_equal(read_pair(&p, 100, 151).to, ALERT_FIRING);
    assert_int_equal(read_pair(&p, 1, 9).to, ALERT_RESOLVED); /* too little to speak of */
    assert_int_equal(read_pair(&p, 0, 10).to, ALERT_FIRING);  /* from nothing */
    assert_int_equal(read_pair(&p, 0, 0).to, ALERT_RESOLVED);
    assert_int_equal(read_pair(&p, -100, -40).to, ALERT_RESOLVED);
    p.r.condition = ALERT_FALLS;
    assert_int_equal(read_pair(&p, 100, 50).to, ALERT_RESOLVED);
    assert_int_equal(read_pair(&p, 100, 49).to, ALERT_FIRING);
    assert_int_equal(read_pair(&p, 100, 0).to, ALERT_FIRING);
    assert_int_equal(read_pair(&p, 0, 0).to, ALERT_RESOLVED);
    double percent;
    struct alert_reading x = { .has_value = true, .value = 3 };
    assert_false(alert_change(&x, &percent));
}

static void test_absence(void **state)
{
    (void)state;
    struct play p = above(0);
    p.r.condition = ALERT_ABSENT;
    p.r.nby = 1;
    p.r.forget_ns = 10 * S;
    assert_int_equal(read_value(&p, 1).to, ALERT_OK);
    assert_int_equal(read_nothing(&p).tell, TELL_FIRING);
    assert_int_equal(read_value(&p, 1).tell, TELL_RESOLVED);
    assert_false(p.in.forget);
    struct alert_step s = { 0 };
    for (int i = 0; i < 9; i++) {
        s = read_nothing(&p);
        assert_int_equal(s.to, ALERT_FIRING);
        assert_false(p.in.forget);
    }
    s = read_nothing(&p); /* given up waiting: whoever was told hears of it */
    assert_true(p.in.forget);
    assert_int_equal(s.tell, TELL_RESOLVED);
}

static void test_snooze(void **state)
{
    (void)state;
    struct play p = above(10);
    p.snoozed = true;
    struct alert_step s = read_value(&p, 11);
    assert_true(s.changed);
    assert_int_equal(s.tell, TELL_NOTHING);
    assert_int_equal(read_value(&p, 1).tell, TELL_NOTHING); /* nobody heard of it */
    read_value(&p, 11);
    p.snoozed = false;
    assert_int_equal(read_value(&p, 11).tell, TELL_FIRING); /* it still fires */
    p.snoozed = true;
    assert_int_equal(read_value(&p, 1).tell, TELL_RESOLVED); /* they were told */
}

static void test_repeat(void **state)
{
    (void)state;
    struct play p = above(10);
    p.r.repeat_ns = 3 * S;
    int again = 0;
    for (int i = 0; i < 10; i++)
        again += read_value(&p, 11).tell == TELL_AGAIN;
    assert_int_equal(again, 3);
}

static void test_groups_go(void **state)
{
    (void)state;
    struct play p = above(10);
    p.r.nby = 1;
    read_value(&p, 3);
    read_nothing(&p);
    assert_true(p.in.forget);
    p = above(10);
    p.r.nby = 1;
    read_value(&p, 11);
    assert_int_equal(read_nothing(&p).to, ALERT_RESOLVED);
    assert_false(p.in.forget); /* shown for an hour */
    p.now += ALERT_RESOLVED_SHOWN_NS;
    assert_int_equal(read_nothing(&p).to, ALERT_OK);
    assert_true(p.in.forget);
}

static void test_clock_set_back(void **state)
{
    (void)state;
    struct play p = above(10);
    p.r.for_ns = 10 * S;
    p.r.keep_ns = 5 * S;
    read_value(&p, 11);
    p.now -= 3600 * S;
    ts_ns back = p.now;
    assert_int_equal(read_value(&p, 11).to, ALERT_PENDING);
    p.now = back + 10 * S - 1;
    assert_int_equal(read_value(&p, 11).to, ALERT_PENDING);
    assert_int_equal(read_value(&p, 11).to, ALERT_FIRING);
    read_value(&p, 1);
    p.now -= 3600 * S;
    back = p.now;
    assert_int_equal(read_value(&p, 1).to, ALERT_FIRING);
    assert_true(p.in.since <= back);
    p.now = back + 5 * S;
    assert_int_equal(read_value(&p, 1).to, ALERT_RESOLVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),   cmocka_unit_test(test_for),
        cmocka_unit_test(test_below),     cmocka_unit_test(test_hysteresis_and_keep),
        cmocka_unit_test(test_change),    cmocka_unit_test(test_absence),
        cmocka_unit_test(test_snooze),    cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_groups_go), cmocka_unit_test(test_clock_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
