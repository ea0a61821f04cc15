/* fuzz_alert.c: any bytes as a file of alert rules, as YAML and as JSON: refused with a sentence,
 * or rules that put out what reads back as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alert/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void again(const struct alert_rule *r, struct arena *a)
{
    struct buf one, two;
    struct tree *t;
    struct alert_rule back;
    struct err err = ERR_INIT;
    buf_init(&one, 4 << 20);
    buf_init(&two, 4 << 20);
    rule_put(&one, r, RULE_SECRETS | RULE_ENV);
    check(buf_ok(&one));
    check(tree_from_json(&t, a, buf_str(&one), &err) == 0);
    check(rule_read(&back, t, STR_NULL, true, a, &err) == 0);
    rule_put(&two, &back, RULE_SECRETS | RULE_ENV);
    check(str_eq(buf_str(&one), buf_str(&two)));
    buf_reset(&two);
    rule_put(&two, r, RULE_BRIEF);
    condition_put(&two, r);
    check(buf_ok(&two));
    buf_deinit(&two);
    buf_deinit(&one);
}

static void try_tree(const struct tree *t, struct arena *a)
{
    struct err err = ERR_INIT;
    struct alert_rule *r;
    struct buf b;
    uint32_t n;
    buf_init(&b, 64 << 20);
    tree_put_json(&b, t);
    buf_deinit(&b);
    if (rules_read(&r, &n, t, true, a, &err) < 0) {
        check(err.msg[0] != 0);
        return;
    }
    for (uint32_t i = 0; i < n && i < 4; i++)
        again(&r[i], a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    struct tree *t;
    struct err err = ERR_INIT;
    char *exact = malloc(n ? n : 1);
    check(exact != NULL);
    if (n)
        memcpy(exact, data, n);
    arena_init(&a, 64 << 20);
    if (tree_from_yaml(&t, &a, str_n(exact, n), &err) == 0)
        try_tree(t, &a);
    else
        check(err.msg[0] != 0);
    arena_reset(&a);
    err_reset(&err);
    if (tree_from_json(&t, &a, str_n(exact, n), &err) == 0)
        try_tree(t, &a);
    else
        check(err.msg[0] != 0);
    arena_deinit(&a);
    free(exact);
    return 0;
}
