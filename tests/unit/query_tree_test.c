/* Trees of intervals against a plain reckoning on random ones; circles, depth, ties. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "query/tree.h"

static uint64_t state_of_chance = 88172645463325252ull;

static uint32_t chance(uint32_t n)
{
    state_of_chance ^= state_of_chance << 13;
    state_of_chance ^= state_of_chance >> 7;
    state_of_chance ^= state_of_chance << 17;
    return (uint32_t)(state_of_chance >> 33) % n;
}

static void make(struct tree *t, struct arena *a, struct tree_node *v, uint32_t n)
{
    struct err err = ERR_INIT;
    *t = (struct tree){ .v = v, .n = n, .a = a };
    assert_int_equal(tree_link(t, &err), 0);
    assert_int_equal(tree_times(t, &err), 0);
}

/* ns of x that no child covers, one by one */
static int64_t plain_self(const struct tree_node *v, uint32_t n, uint32_t x)
{
    int64_t self = 0;
    for (ts_ns at = v[x].start; at < v[x].end; at++) {
        bool covered = false;
        for (uint32_t i = 0; i < n; i++)
            covered |= v[i].parent == x && v[i].start <= at && at < v[i].end;
        self += !covered;
    }
    return self;
}

static bool before(const struct tree_node *v, uint32_t i, uint32_t k)
{
    if (v[i].start != v[k].start)
        return v[i].start < v[k].start;
    return v[i].seq < v[k].seq;
}

/* marks what is on the path through the children of x (TREE_NONE: the roots), from behind */
static void plain_path(const struct tree_node *v, uint32_t n, uint32_t x, ts_ns end, bool *on)
{
    ts_ns most = end;
    for (;;) {
        uint32_t best = TREE_NONE;
        ts_ns best_end = 0;
        for (uint32_t i = 0; i < n; i++) {
            ts_ns e = v[i].end < most ? v[i].end : most;
            if (v[i].parent != x || on[i] || v[i].end == v[i].start || e > end || v[i].start >= end)
                continue;
            if (best == TREE_NONE || e > best_end || (e == best_end && before(v, i, best))) {
                best = i;
                best_end = e;
            }
        }
        if (best == TREE_NONE)
            return;
        on[best] = true;
        plain_path(v, n, best, v[best].end, on);
        end = v[best].start;
    }
}

static void check(const struct tree *t)
{
    bool *seen = calloc(t->n + 1, sizeof *seen), *on = calloc(t->n + 1, sizeof *on);
    ts_ns end = TS_MIN;
    assert_true(seen && on);
    for (uint32_t k = 0; k < t->n; k++) {
        uint32_t i = t->order[k], up = t->v[i].parent;
        assert_false(seen[i]);
        seen[i] = true;
        assert_true(up == TREE_NONE || seen[up]);
        assert_int_equal(t->v[i].depth, up == TREE_NONE ? 0 : t->v[up].depth + 1);
        if (t->v[i].next != TREE_NONE)
            assert_true(before(t->v, i, t->v[i].next));
        assert_int_equal(t->v[i].self_ns, plain_self(t->v, t->n, i));
        if (up == TREE_NONE && t->v[i].end > end)
            end = t->v[i].end;
    }
    plain_path(t->v, t->n, TREE_NONE, end, on);
    for (uint32_t i = 0; i < t->n; i++)
        assert_int_equal(t->v[i].critical, on[i]);
    free(seen);
    free(on);
}

static void random_trees(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        struct tree_node v[24];
        struct tree t;
        uint32_t n = chance(24);
        for (uint32_t i = 0; i < n; i++) {
            ts_ns start = chance(30);
            v[i] = (struct tree_node){ .start = start,
                                       .end = start + chance(12),
                                       .seq = i * 7 % 24,
                                       .parent = chance(3) ? chance(n) : TREE_NONE };
        }
        make(&t, &a, v, n);
        check(&t);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(!v[i].cut || v[i].parent == TREE_NONE);
        }
        arena_reset(&a);
    }
    arena_deinit(&a);
}

static void circles(void **state)
{
    (void)state;
    struct arena a;
    struct tree t;
    arena_init(&a, 1 << 20);
    /* 0 -> 1 -> 2 -> 0, and 3 below it, 4 its own parent; 1 began first */
    struct tree_node v[] = { { .start = 5, .end = 5, .parent = 1 },
                             { .start = 2, .end = 9, .parent = 2 },
                             { .start = 3, .end = 4, .parent = 0 },
                             { .start = 1, .end = 2, .parent = 2 },
                             { .start = 9, .end = 9, .parent = 4 } };
    make(&t, &a, v, 5);
    assert_true(v[1].cut && v[4].cut && !v[0].cut && !v[2].cut && !v[3].cut);
    assert_int_equal(t.root, 1);
    assert_int_equal(v[1].next, 4);
    const uint32_t order[] = { 1, 0, 2, 3, 4 };
    assert_memory_equal(t.order, order, sizeof order);
    assert_int_equal(v[3].depth, 3);
    make(&t, &a, v, 0);
    assert_int_equal(t.root, TREE_NONE);
    arena_deinit(&a);
}

/* nothing recurses, nothing is quadratic */
static void deep_and_wide(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct arena a;
    struct tree t;
    struct tree_node *v = calloc(N, sizeof *v);
    assert_non_null(v);
    arena_init(&a, 1 << 28);
    for (uint32_t i = 0; i < N; i++)
        v[i] = (struct tree_node){ i, 2 * N - i, i, i ? i - 1 : TREE_NONE, 0, 0, 0, 0, 0, 0 };
    make(&t, &a, v, N);
    assert_int_equal(v[N - 1].depth, N - 1);
    assert_true(v[N - 1].critical && v[0].self_ns == 2 && v[N - 1].self_ns == 2);
    for (uint32_t i = 0; i < N; i++)
        v[i] = (struct tree_node){ i, i + 1, i, i ? 0 : TREE_NONE, 0, 0, 0, 0, 0, 0 };
    v[0].end = N;
    make(&t, &a, v, N);
    assert_true(v[N - 1].critical && v[1].critical && v[0].self_ns == 1);
    for (uint32_t i = 0; i < N; i++) /* one circle of all */
        v[i] = (struct tree_node){ i, i + 1, i, (i + 1) % N, 0, 0, 0, 0, 0, 0 };
    make(&t, &a, v, N);
    assert_true(v[0].cut && v[1].depth == N - 1);
    arena_deinit(&a);
    free(v);
}

static void far_apart(void **state)
{
    (void)state;
    struct arena a;
    struct tree t;
    arena_init(&a, 1 << 20);
    struct tree_node v[] = { { .start = TS_MIN, .end = TS_MAX, .parent = TREE_NONE },
                             { .start = 0, .end = TS_MAX, .parent = 0 } };
    make(&t, &a, v, 2);
    assert_true(v[0].self_ns == 0 && v[1].self_ns == INT64_MAX);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees),
        cmocka_unit_test(circles),
        cmocka_unit_test(deep_and_wide),
        cmocka_unit_test(far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
