/* query_issue_set_test.c: limits of a set of issues, lines, and sets put together. */
#include "model/batch.h"
#include "model/pred.h"
#include "query/issue_set.h"
#include "query/query.h"
#include "store_kit.h"

struct row {
    const char *message, *session;
    int64_t level, at; /* at: ns */
};

/* one block of these rows with seq base, base + 1, ... into the set */
static void add(struct issue_set *s, const struct row *v, uint32_t n, uint64_t base)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct block *block;
    struct payload_info info;
    struct err err = ERR_INIT;
    uint64_t sel[BLOCK_WORDS];
    arena_init(&a, (size_t)64 << 20);
    buf_init(&out, (size_t)16 << 20);
    assert_int_equal(batch_new(&b, &a, &err), 0);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), v[i].at));
        assert_true(bcol_put_i64(batch_col(b, STR("level"), V_I64), v[i].level));
        assert_true(bcol_put_text(batch_col(b, STR("message"), V_STR), str_c(v[i].message)));
        if (v[i].session)
            assert_true(bcol_put_text(batch_col(b, STR("session_id"), V_STR), str_c(v[i].session)));
        batch_end_row(b);
    }
    assert_int_equal(batch_encode(b, &out, &err), 0);
    assert_int_equal(payload_info(buf_str(&out), &info, &err), 0);
    assert_int_equal(info.nblocks, 1);
    assert_int_equal(payload_block(buf_str(&out), 0, base, KIT_T0, &a, &block, &err), 0);
    memset(sel, 0xff, sizeof sel);
    for (uint32_t i = n; i < BLOCK_ROWS_MAX; i++)
        sel[i / 64] &= ~(1ull << i % 64);
    assert_int_equal(issue_set_add(s, block, sel, false, &err), 0);
    block_close(block);
    buf_deinit(&out);
    arena_deinit(&a);
}

static struct issue_set *set_new(size_t max)
{
    struct issue_set *s;
    struct err err = ERR_INIT;
    assert_int_equal(issue_set_new(&s, max, &err), 0);
    return s;
}

static const struct row three[] = { { "no 1", "a", LV_ERROR, 5 },
                                    { "no 2", "b", LV_CRITICAL, 3 },
                                    { "other", NULL, LV_ERROR, 4 } };

static void test_lines(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct issue_set *s = set_new(SIZE_MAX);
    add(s, three, 3, 1);
    assert_int_equal(issue_set_n(s), 2);
    struct issue *x = issue_set_at(s, 0);
    assert_int_equal(x->count, 2);
    assert_int_equal(x->since, 2);
    assert_int_equal(x->oldest.seq, 1);
    assert_int_equal(x->newest.seq, 2);
    assert_int_equal(x->first, 3);
    assert_int_equal(x->sessions.n, 2);
    assert_int_equal(issue_set_line(s, x->id, 3, &err), 0);
    assert_int_equal(x->since, 0);
    add(s, three, 3, 4);
    assert_int_equal(x->since, 2);
    assert_int_equal(x->since_first.seq, 4);
    assert_int_equal(issue_set_line(s, x->id, 0, &err), 0); /* reopened: all of them again */
    assert_int_equal(x->since, 4);
    assert_int_equal(x->since_first.seq, 1);
    /* a line of an issue that is not there yet */
    struct issue_set *t = set_new(SIZE_MAX);
    assert_int_equal(issue_set_line(t, x->id, 1, &err), 0);
    add(t, three, 3, 1);
    assert_int_equal(issue_set_find(t, x->id)->since, 1);
    issue_set_free(t);
    issue_set_free(s);
}

static void test_merge(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct issue_set *one = set_new(SIZE_MAX), *a = set_new(SIZE_MAX), *b = set_new(SIZE_MAX);
    struct row v[400];
    char text[400][40];
    for (uint32_t i = 0; i < 400; i++) {
        snprintf(text[i], sizeof text[i], "%s broke %u", i % 7 ? "beta" : "alpha", i);
        v[i] = (struct row){ text[i], i % 3 ? "s" : NULL, i % 5 ? LV_ERROR : LV_INFO,
                             (int64_t)(i * 37 % 400) * 3600 * NS_PER_S };
    }
    add(one, v, 400, 1);
    add(b, v + 150, 250, 151);
    add(a, v, 150, 1);
    assert_int_equal(issue_set_merge(b, a, &err), 0);
    assert_int_equal(issue_set_n(one), issue_set_n(b));
    for (uint32_t i = 0; i < issue_set_n(one); i++) {
        const struct issue *x = issue_set_at(one, i), *y = issue_set_find(b, x->id);
        uint32_t p[ISSUE_SPARK], q[ISSUE_SPARK];
        int64_t step;
        ts_ns from, lo, hi;
        assert_non_null(y);
        assert_true(x->count == y->count && x->first == y->first && x->last == y->last &&
                    x->oldest.seq == y->oldest.seq && x->newest.seq == y->newest.seq &&
                    x->sessions.n == y->sessions.n && x->agents.n == y->agents.n);
        issue_range(one, &lo, &hi);
        issue_spark(x, lo, hi, p, &step, &from);
        issue_spark(y, lo, hi, q, &step, &from);
        assert_memory_equal(p, q, sizeof p);
        uint64_t sum = 0;
        for (int k = 0; k < ISSUE_SPARK; k++)
            sum += p[k];
        assert_int_equal(sum, x->count);
        assert_true(from <= lo && from + step * ISSUE_SPARK > hi);
    }
    issue_set_free(one);
    issue_set_free(a);
    issue_set_free(b);
}

/* past its memory a set takes up no new issue, counts what is left out, and goes on with the rest
 */
static void test_memory(void **state)
{
    (void)state;
    struct issue_set *s = set_new(200000);
    struct row v[4000];
    static char text[4000][40];
    for (uint32_t i = 0; i < 4000; i++) {
        /* words of letters, so that every one is an issue of its own */
        snprintf(text[i], sizeof text[i], "broke %c%c%c", 'a' + (int)(i % 26),
                 'a' + (int)(i / 26 % 26), 'a' + (int)(i / 676));
        v[i] = (struct row){ text[i], NULL, LV_ERROR, 0 };
    }
    add(s, v, 4000, 1);
    uint32_t n = issue_set_n(s);
    assert_true(n > 50 && n < 4000);
    assert_int_equal(issue_set_other(s), 4000 - n);
    assert_true(issue_set_bytes(s) < 400000);
    add(s, v, 1, 5000); /* a known one still counts */
    assert_int_equal(issue_set_at(s, 0)->count, 2);
    issue_set_free(s);
}

static void test_sessions(void **state)
{
    (void)state;
    struct issue_set *s = set_new(SIZE_MAX);
    static struct row v[8000];
    static char text[8000][16];
    for (uint32_t k = 0; k < 13; k++) {
        for (uint32_t i = 0; i < 8000; i++) {
            snprintf(text[i], sizeof text[i], "s%u", k * 8000 + i);
            v[i] = (struct row){ "no", text[i], LV_ERROR, 0 };
        }
        add(s, v, 8000, k * 8000 + 1);
        const struct issue *x = issue_set_at(s, 0);
        assert_int_equal(x->sessions.n, k < 12 ? (k + 1) * 8000 : 100000);
        assert_int_equal(x->sessions_more, k == 12);
    }
    issue_set_free(s);
}

/* ---- patterns: whether they are new is looked up for so many ---- */

struct counted {
    uint32_t fresh, old, unknown;
};

static int pattern_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct counted *c = ctx;
    (void)err;
    for (uint32_t i = 0; i < row->ncells; i++)
        if (str_eq(row->cells[i].name, STR("new"))) {
            const struct val *v = &row->cells[i].v;
            c->unknown += v->t != V_BOOL;
            c->fresh += v->t == V_BOOL && v->b;
            c->old += v->t == V_BOOL && !v->b;
        }
    return 0;
}

static void append(struct store *s, uint32_t n, ts_ns at)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    size_t bytes;
    char text[40];
    arena_init(&a, (size_t)64 << 20);
    buf_init(&out, (size_t)16 << 20);
    assert_int_equal(batch_new(&b, &a, &err), 0);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "broke %c%c%c", 'a' + (int)(i % 26), 'a' + (int)(i / 26 % 26),
                 'a' + (int)(i / 676));
        assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), at + i));
        assert_true(kit_put(batch_col(b, STR("message"), V_STR), arena_dup(&a, str_c(text))));
        batch_end_row(b);
    }
    assert_int_equal(batch_encode(b, &out, &err), 0);
    arena_deinit(&a);
    char *p = buf_take(&out, &bytes);
    assert_int_equal(store_append_wait(s, p, bytes, n, NULL, &err), 0);
}

static void test_patterns(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 24u << 20);
    struct query_opts o;
    struct query_result res;
    struct query *q;
    struct err err = ERR_INIT;
    struct counted got = { 0 };
    struct query_sink sink = { .ctx = &got, .row = pattern_row };
    append(s, 3, KIT_T0 - NS_PER_DAY);
    append(s, 5100, KIT_T0);
    query_opts_default(&o);
    o.start = KIT_T0 - NS_PER_S;
    o.end = TS_MAX;
    assert_int_equal(query_parse(&q, STR("* | patterns 6000"), &o, &err), 0);
    for (int flushed = 0; flushed < 2; flushed++) {
        got = (struct counted){ 0 };
        assert_int_equal(query_run(q, s, &sink, NULL, &res, &err), 0);
        /* equal counts: the latest first, so the three old ones are the last asked for */
        assert_int_equal(got.fresh, 5000);
        assert_int_equal(got.unknown, 100);
        assert_int_equal(got.old, 0);
        assert_int_equal(res.nwarnings, 1);
        assert_int_equal(store_flush(s, &err), 0);
    }
    query_free(q);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_merge),
                                        cmocka_unit_test(test_memory),
                                        cmocka_unit_test(test_sessions),
                                        cmocka_unit_test(test_patterns) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
