/* alert_rule_test.c: documents to trees, rules out of both notations, and what is refused where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alert/rule.h"
#include "base/mem.h"

static const char yaml[] = "# a comment\n"
                           "alerts:\n"
                           "  - name: one\n"
                           "    query: 'level:error \"a: b\"'\n"
                           "    by: [agent, tool]\n"
                           "    window: 90s\n"
                           "    when: {above: 10, clear: 2.5}\n"
                           "    labels: {team: core, n: \"5\"}\n"
                           "    send:\n"
                           "      - webhook: https://example.com/x\n"
                           "        secret: 0123456789\n"
                           "      - command: [/bin/true, 'a b', '']\n"
                           "        timeout: 3s\n"
                           "      - log: true\n"
                           "  - name: two\n"
                           "    metric: disk_free_percent\n"
                           "    when:\n"
                           "      below: 10\n";

static void put_tree(struct arena *a, bool is_yaml, const char *text, struct buf *out)
{
    struct tree *t;
    struct err err = ERR_INIT;
    int rc = is_yaml ? tree_from_yaml(&t, a, str_c(text), &err)
                     : tree_from_json(&t, a, str_c(text), &err);
    assert_int_equal(rc, 0);
    buf_reset(out);
    tree_put_json(out, t);
}

static void test_trees(void **state)
{
    (void)state;
    static const struct {
        bool yaml;
        const char *text, *json;
    } cases[] = {
        { true, "a: 1\nb: x\nc: [yes, ~, null, TRUE, 1e3, '1', -0.5]",
          "{\"a\":1,\"b\":\"x\",\"c\":[\"yes\",null,null,true,1000,\"1\",-0.5]}" },
        { true, "a:\nb: ''\nc: |\n  two\n  lines\n",
          "{\"a\":null,\"b\":\"\",\"c\":\"two\\nlines\\n\"}" },
        { true, "{\"a\": {\"b\": [1, \"x\"]}}", "{\"a\":{\"b\":[1,\"x\"]}}" },
        { false, "{\"a\":{\"b\":[1,\"1\",true,null,\"null\"]},\"\\u00e9\":\"\\ud83d\\ude00\"}",
          "{\"a\":{\"b\":[1,\"1\",true,null,\"null\"]},\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}" },
        { false, " [ ] ", "[]" },
    };
    struct arena a;
    struct buf b;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_tree(&a, cases[i].yaml, cases[i].text, &b);
        buf_putc(&b, 0);
        assert_string_equal(b.p, cases[i].json);
    }
    buf_deinit(&b);
    arena_deinit(&a);
}

static void refuse(bool is_yaml, const char *text, const char *want)
{
    struct arena a;
    struct tree *t;
    struct err err = ERR_INIT;
    arena_init(&a, 4 << 20);
    int rc = is_yaml ? tree_from_yaml(&t, &a, str_c(text), &err)
                     : tree_from_json(&t, &a, str_c(text), &err);
    if (rc == 0) {
        struct alert_rule *r;
        uint32_t n;
        rc = rules_read(&r, &n, t, true, &a, &err);
    }
    assert_true(rc < 0);
    if (!strstr(err.msg, want))
        fail_msg("'%s' gave '%s', not '%s'", text, err.msg, want);
    arena_deinit(&a);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(true, "", "line 1, column 1: there is nothing in it");
    refuse(true, "a: [1, 2", "not YAML");
    refuse(true, "a: b: c", "line 1, column 5: not YAML");
    refuse(true, "a: &x 1", "line 1, column 4: anchors");
    refuse(true, "a: *x", "line 1, column 4: anchors");
    refuse(true, "a: !!str 1", "line 1, column 4: tags");
    refuse(true, "a: 1\n---\nb: 1", "more than one document");
    refuse(true, "a: 1\na: 2", "line 2, column 4: 'a' is given twice");
    refuse(true, "? [a]\n: 1", "a name must be a text");
    refuse(false, "{\"a\":1}{", "line 1, column 8");
    refuse(false, "{\n \"a\": 1,\n \"a\": 2}", "line 3, column 7: 'a' is given twice");
    refuse(false, "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "nested deeper than 16");
    refuse(true, "a: 1", "line 1, column 4: a file of rules has no 'a'");
    refuse(true, "alerts: {a: 1}", "holds a list");
    refuse(true, "- name: x\n  when: {above: 1}", "has no query");
    refuse(true, "- name: x y\n  query: a\n  when: {above: 1}",
           "line 1, column 9: 'x y' cannot be");
    refuse(true, "- name: x\n  query: a\n  when: {above: 1}\n  every: 1",
           "every must be a duration");
    refuse(true, "- name: x\n  query: a\n  when: {above: 1}\n  every: 2d", "must be 1s to 1d");
    refuse(true, "- name: x\n  query: \"a\\x07\"\n  when: {above: 1}", "control characters");
    refuse(true, "- name: x\n  query: a\n  when: {above: .inf}", "must be a number");
    refuse(true, "- name: x\n  query: a\n  when: {above: 1e999}", "must be a number");
}

static void test_bounds(void **state)
{
    (void)state;
    struct arena a;
    struct tree *t;
    struct err err = ERR_INIT;
    struct buf b;
    arena_init(&a, 64 << 20);
    buf_init(&b, 4 << 20);
    buf_putc(&b, '[');
    for (int i = 0; i < TREE_NODES_MAX - 1; i++)
        buf_puts(&b, i ? ",1" : "1");
    buf_putc(&b, ']');
    assert_int_equal(tree_from_json(&t, &a, buf_str(&b), &err), 0);
    assert_int_equal(tree_from_yaml(&t, &a, buf_str(&b), &err), 0);
    buf_truncate(&b, b.n - 1);
    buf_puts(&b, ",1]");
    assert_int_equal(tree_from_json(&t, &a, buf_str(&b), &err), ERR_LIMIT);
    assert_int_equal(tree_from_yaml(&t, &a, buf_str(&b), &err), ERR_LIMIT);
    buf_reset(&b);
    buf_fill(&b, ' ', TREE_BYTES_MAX + 1);
    assert_int_equal(tree_from_yaml(&t, &a, buf_str(&b), &err), ERR_LIMIT);
    assert_int_equal(tree_from_json(&t, &a, buf_str(&b), &err), ERR_LIMIT);
    buf_reset(&b);
    buf_puts(&b, "alerts:\n");
    for (int i = 0; i <= ALERT_RULES_MAX; i++)
        buf_printf(&b, "- {name: r%d, query: a, when: {above: 1}}\n", i);
    struct alert_rule *r;
    uint32_t n;
    assert_int_equal(tree_from_yaml(&t, &a, buf_str(&b), &err), 0);
    assert_true(rules_read(&r, &n, t, true, &a, &err) < 0);
    assert_non_null(strstr(err.msg, "1000 rules at most"));
    buf_deinit(&b);
    arena_deinit(&a);
}

/* what is put out is read in as the same rule */
static void test_round_trip(void **state)
{
    (void)state;
    struct arena a;
    struct tree *t;
    struct alert_rule *r, again;
    uint32_t n;
    struct err err = ERR_INIT;
    struct buf one, two;
    arena_init(&a, 8 << 20);
    assert_int_equal(tree_from_yaml(&t, &a, str_c(yaml), &err), 0);
    assert_int_equal(rules_read(&r, &n, t, true, &a, &err), 0);
    assert_int_equal(n, 2);
    assert_string_equal(r[0].query.p, "level:error \"a: b\"");
    assert_int_equal(r[0].nby, 2);
    assert_true(r[0].window_ns == 90 * NS_PER_S && r[0].has_clear && r[0].ntargets == 3);
    assert_int_equal(r[0].targets[1].nargv, 3);
    assert_int_equal(r[1].metric, ALERT_METRIC_DISK);
    for (uint32_t i = 0; i < n; i++) {
        buf_init(&one, 1 << 16);
        buf_init(&two, 1 << 16);
        rule_put(&one, &r[i], RULE_SECRETS);
        assert_int_equal(tree_from_json(&t, &a, buf_str(&one), &err), 0);
        int rc = rule_read(&again, t, STR_NULL, false, &a, &err);
        if (rc < 0)
            fail_msg("%s", err.msg);
        rule_put(&two, &again, RULE_SECRETS);
        assert_true(str_eq(buf_str(&one), buf_str(&two)));
        buf_reset(&two);
        rule_put(&two, &r[i], RULE_BRIEF);
        assert_true(str_find(buf_str(&two), STR("0123456789")) == SIZE_MAX);
        assert_true(str_find(buf_str(&two), STR("a b\"")) == SIZE_MAX || i);
        buf_deinit(&one);
        buf_deinit(&two);
    }
    arena_deinit(&a);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t k = 1; k < 200 && !done; k++) {
        struct arena a;
        struct tree *t;
        struct alert_rule *r;
        uint32_t n;
        struct err err = ERR_INIT;
        arena_init(&a, 8 << 20);
        mem_fail_at(k, 1);
        int rc = tree_from_yaml(&t, &a, str_c(yaml), &err);
        if (rc == 0)
            rc = rules_read(&r, &n, t, true, &a, &err);
        mem_fail_at(0, 0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        done = rc == 0;
        arena_deinit(&a);
    }
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
