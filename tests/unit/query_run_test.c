/* query_run_test.c: what golden files cannot show: stopping, limits, failing memory, plans, sums.
 */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/turns.h"
#include "codec/json.h"
#include "query/exact.h"
#include "query/query.h"
#include "store_kit.h"

#define ROWS 3000

static struct store *store;
static struct turns *turns;
static struct io *io;

static int setup(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(io_mem_new(&io, 1, &err), 0);
    assert_int_equal(turns_new(&turns, 3, 0, &err), 0);
    store = kit_open(io, 1 << 20);
    for (uint32_t i = 0; i < ROWS; i += 500) {
        assert_int_equal(kit_append(store, i, 500, &err), 0);
        if (i == 1000)
            assert_int_equal(store_flush(store, &err), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    io_free(io);
    turns_free(turns);
    return 0;
}

static struct query_opts opts(void)
{
    struct query_opts o;
    query_opts_default(&o);
    o.now = KIT_T0;
    return o;
}

static struct query *parsed(const char *text, const struct query_opts *o)
{
    struct err err = ERR_INIT;
    struct query *q = NULL;
    if (query_parse(&q, str_c(text), o, &err))
        fail_msg("%s: %s", text, err.msg);
    return q;
}

/* the answer as NDJSON; rc and *res as query_run gives them */
static int answer(const char *text, const struct query_opts *o, struct query_ctl *ctl,
                  struct buf *out, struct query_result *res, struct err *err)
{
    struct query *q = NULL;
    struct query_writer w;
    int rc = query_parse(&q, str_c(text), o, err);
    if (rc)
        return rc;
    rc = query_writer_init(&w, QF_NDJSON, out, err);
    if (!rc)
        rc = query_run(q, store, &w.sink, ctl, res, err);
    if (!rc)
        rc = query_writer_end(&w, err);
    query_writer_deinit(&w);
    query_free(q);
    return rc;
}

/* ---- stopping ---- */

static int slow_begin(void *ctx, const struct query_cell *cols, uint32_t n, struct err *err)
{
    struct query_ctl *ctl = ctx;
    (void)cols;
    (void)n;
    (void)err;
    if (ctl->deadline_ms)
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    else
        ctl->cancel = 1;
    return 0;
}

static int no_row(void *ctx, const struct query_row *row, struct err *err)
{
    (void)ctx;
    (void)row;
    return err_set(err, ERR_IO, "the reader went away");
}

static void test_stop(void **state)
{
    (void)state;
    struct query_opts o = opts();
    struct query_result res;
    struct err err = ERR_INIT;
    struct query *q = parsed("message | stats count() by agent", &o);
    struct query_ctl ctl = { 0 };
    struct query_sink sink = { .ctx = &ctl, .begin = slow_begin, .row = no_row };
    assert_int_equal(query_run(q, store, &sink, &ctl, &res, &err), ERR_CANCELED);
    ctl = (struct query_ctl){ .deadline_ms = 1 };
    assert_int_equal(query_run(q, store, &sink, &ctl, &res, &err), ERR_TIMEOUT);
    ctl = (struct query_ctl){ .deadline_ms = 60000 };
    assert_int_equal(query_run(q, store, &sink, &ctl, &res, &err), ERR_IO); /* the sink's own */
    sink.begin = NULL;
    assert_int_equal(query_run(q, store, &sink, NULL, &res, &err), ERR_IO);
    query_free(q);
}

/* ---- limits of the text ---- */

static int parse_rc(const char *text, size_t n, struct err *err)
{
    struct query_opts o = opts();
    struct query *q = NULL;
    *err = (struct err)ERR_INIT;
    int rc = query_parse(&q, (str){ text, n }, &o, err);
    query_free(q);
    return rc;
}

static void test_text_limits(void **state)
{
    (void)state;
    static char text[QUERY_TEXT_MAX + 2];
    struct err err;
    memset(text, 'a', sizeof text);
    assert_int_equal(parse_rc(text, QUERY_TEXT_MAX, &err), 0);
    assert_int_equal(parse_rc(text, QUERY_TEXT_MAX + 1, &err), ERR_INVALID); /* 400, not 413 */
    assert_int_equal(err.pos, QUERY_TEXT_MAX);
    assert_non_null(strstr(err.msg, "at most 16384 bytes"));
    memset(text, '(', sizeof text);
    assert_int_equal(parse_rc(text, 8000, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "nested deeper"));
    for (int i = 0; i < 4000; i++)
        memcpy(text + i * 4, "NOT ", 4);
    assert_int_equal(parse_rc(text, 16000, &err), ERR_INVALID);
    for (int i = 0; i < 8000; i++)
        memcpy(text + i * 2, "a ", 2);
    assert_int_equal(parse_rc(text, 16000, &err), 0);
    for (int i = 0; i < 8000; i++)
        memcpy(text + i * 2, "-a", 2);
    assert_int_equal(parse_rc(text, 16000, &err), 0); /* one word with many dashes */
    size_t n = (size_t)snprintf(text, sizeof text, "a");
    for (int i = 0; i < 33; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "|count");
    assert_int_equal(parse_rc(text, n, &err), ERR_INVALID);
    assert_int_equal(parse_rc("a\0b", 3, &err), ERR_INVALID);
    assert_int_equal(err.pos, 1);
    assert_int_equal(parse_rc("a\xff", 2, &err), ERR_INVALID);
    memcpy(text, "x:/", 3);
    memset(text + 3, 'a', 1001);
    memcpy(text + 1004, "/", 1);
    assert_int_equal(parse_rc(text, 1005, &err), ERR_INVALID);
    assert_int_equal(parse_rc(text + 1, 0, &err), 0);
}

/* ---- failing memory: for every n, an error or the whole answer ---- */

static void test_no_memory(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "level:error agent:agent-1 \"number 5\" | fields n, message",
        "message:/number 1[0-9]5 / OR tags:t50 | limit 20",
        "* | sort by score desc, n | limit 5",
        ("n>100 | stats count() as c, p95(score), values(agent, 3), count_distinct(session_id), "
         "sum(score), stddev(score), last(message) by level, time(1m)"),
        "* | top 2 agent by level",
        "* | timeline 10s by agent | where count>3",
        "n<50 | rename n as m | drop tags | tail 3",
        "* | dedup by agent, level | uniq level",
        "in:any agent-1 | count",
        ("n<200 | eval a = n * 2 + 1, b = concat(upper(agent), \"-\", n) "
         "| eval c = split(message, \" \") | where substr(b, 1, 5):agent "
         "| eval j = json(text(c), \"1\") | fields a, b, j"),
        ("* | where concat(message, \" \", agent):*\"0 agent-1\"* "
         "| limit 9 | eval s = sent(n)"),
        ("n<40 | lookup message as m, level as lv from (n>20 | where len(message)>3) "
         "on session_id = session_id | fields n, m, lv"),
        ("* | limit 5 | lookup c from (* | stats count() as c by agent) on agent = agent "
         "| fields n, c"),
    };
    struct query_opts o = opts();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf want, got;
        struct query_result res;
        struct err err = ERR_INIT;
        buf_init(&want, 1 << 24);
        assert_int_equal(answer(texts[i], &o, NULL, &want, &res, &err), 0);
        uint64_t n = 1, step = 1;
        for (bool failed = true; failed; n += step, step += n / 40) {
            err = (struct err)ERR_INIT;
            buf_init(&got, 1 << 24);
            mem_fail_at(n, 0);
            int rc = answer(texts[i], &o, NULL, &got, &res, &err);
            failed = mem_fail_at(0, 0) >= n;
            if (!rc && !res.cost.incomplete && !str_eq(buf_str(&got), buf_str(&want)))
                fail_msg("%s: another answer when allocation %llu fails", texts[i],
                         (unsigned long long)n);
            assert_true(rc == 0 || err.msg[0]);
            buf_deinit(&got);
        }
        buf_deinit(&want);
    }
}

/* ---- plans ---- */

static void test_explain(void **state)
{
    (void)state;
    static const struct {
        const char *text, *has[4];
    } cases[] = {
        { "refused level:warn",
          { "\"order\":\"newest\"", "trigram signatures", "\"levels\"", "\"limit\":100" } },
        { "agent:a | stats count() by level",
          { "\"order\":\"any\",\"shared\":true", "value map", "10000", "stats count()" } },
        { "x:1 | sort timestamp desc | limit 3",
          { "\"order\":\"newest\",\"shared\":true", "sort", "limit 3", "\"limit\":null" } },
        { "x:1 | dedup by agent", { "\"shared\":false", "dedup", "newest", "100" } },
        { "after:2026-11-21 | tail 3",
          { "2026-11-21T00:00:00Z", "time bounds", "\"limit\":null", "tail 3" } },
        { "* | where n>5 | where x:*", { "minimum and maximum", "\"pipes\":[]", "n>5", "x:*" } },
        { "x:/a\"b/ OR NOT (in:any y)", { "regex", "any:word(y)", "NOT", "\"seq\":[0,null]" } },
    };
    struct query_opts o = opts();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        struct err err = ERR_INIT;
        struct query *q = parsed(cases[i].text, &o);
        buf_init(&out, 1 << 20);
        assert_int_equal(query_explain(q, store, &out, &err), 0);
        assert_true(json_valid(buf_str(&out)));
        for (int k = 0; k < 4; k++)
            if (str_find(buf_str(&out), str_c(cases[i].has[k])) == SIZE_MAX)
                fail_msg("%s: no %s in %.*s", cases[i].text, cases[i].has[k],
                         STR_FMT(buf_str(&out)));
        buf_deinit(&out);
        query_free(q);
    }
    struct query *f = parsed("a | where b", &o), *p = parsed("a | count", &o);
    assert_true(query_is_filter(f));
    assert_false(query_is_filter(p));
    assert_false(pred_is_true(query_filter(f)));
    query_free(f);
    query_free(p);
}

/* a limit stops the scan early; a count of everything reads nothing */
static void test_cost(void **state)
{
    (void)state;
    struct query_opts o = opts();
    struct query_result res;
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(answer("* | count", &o, NULL, &out, &res, &err), 0);
    assert_true(str_eq(buf_str(&out), STR("{\"count\":3000}\n")));
    assert_int_equal(res.cost.rows_scanned, 0);
    assert_true(res.total_known && res.total == ROWS);
    buf_reset(&out);
    assert_int_equal(answer("agent:agent-3 | count", &o, NULL, &out, &res, &err), 0);
    assert_true(res.total_known && res.total == res.cost.rows_matched);
    buf_reset(&out);
    assert_int_equal(answer("nothingthere", &o, NULL, &out, &res, &err), 0);
    assert_true(res.cost.blocks_pruned > 0);
    buf_deinit(&out);
}

/* Several threads, any budget: the same answer, or the same error. */
static void test_parts(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "* | stats count(), count_distinct(n), sum(n), avg(n), min(n), max(message) by agent",
        "* | stats count_distinct(n), count_distinct(agent), first(n), last(n), any(n) by n",
        "* | stats p95(n), median(n), stddev(n), values(agent, 3), rate() by level, agent",
        "* | stats count() if (level:error) as e, count(n) by level, time(1h), bucket(n, 100)",
        "level>=info | top 5 agent",
        "* | top 3 n by level",
        "* | uniq agent, level",
        "* | timeline by agent",
        "* | timeline 7m by level",
        "level:error | count",
        "* | sort n desc | limit 7 | fields n, agent",
        "* | sort agent, n | limit 1000",
        "* | sort timestamp desc, n | limit 9",
        "* | sort timestamp | limit 9 | fields n",
        "* | where n>5 | drop agent | sort n | limit 20",
        "message | limit 40",
        "* | fields n, level | tail 6",
        "nothingthere | stats count(), max(n)",
    };
    static const size_t budgets[] = { 0, 2000000, 200000, 20000 };
    struct query_result res, one;
    struct err err = ERR_INIT;
    struct buf want, got;
    uint64_t workers = 0;
    buf_init(&want, 1 << 24);
    buf_init(&got, 1 << 24);
    for (size_t i = 0; i < sizeof queries / sizeof *queries * 4; i++) {
        struct query_opts o = opts();
        struct query_ctl ctl = { .memory_bytes = budgets[i % 4] }, shared = ctl;
        shared.turns = turns;
        o.oldest_first = i % 8 < 4;
        buf_reset(&want);
        buf_reset(&got);
        err_reset(&err);
        int rc = answer(queries[i / 4], &o, &ctl, &want, &one, &err);
        assert_true(rc == 0 || (rc == ERR_LIMIT && budgets[i % 4]));
        err_reset(&err);
        int rc2 = answer(queries[i / 4], &o, &shared, &got, &res, &err);
        if (rc2 != rc || (!rc && !str_eq(buf_str(&got), buf_str(&want))))
            fail_msg("%s with %zu bytes: %d %.*s, in parts %d %.*s", queries[i / 4], budgets[i % 4],
                     rc, STR_FMT(buf_str(&want)), rc2, STR_FMT(buf_str(&got)));
        if (rc)
            continue;
        assert_int_equal(res.rows, one.rows);
        assert_int_equal(one.cost.workers, 0);
        workers += res.cost.workers;
        if (res.total_known && one.total_known)
            assert_int_equal(res.total, one.total);
    }
    assert_true(workers > 0);
    buf_deinit(&want);
    buf_deinit(&got);
}

/* a bounded sort by time stops where nothing can be better any more */
static void test_sort_floor(void **state)
{
    (void)state;
    struct query_opts o = opts();
    struct query_ctl ctl = { 0 };
    struct query_result res;
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (int i = 0; i < 4; i++) {
        const char *text = i % 2 ? "* | sort timestamp desc | limit 3 | fields n"
                                 : "* | sort timestamp | limit 3 | fields n";
        ctl.turns = i < 2 ? NULL : turns;
        assert_int_equal(answer(text, &o, &ctl, &out, &res, &err), 0);
        assert_true(ctl.turns || res.cost.blocks_pruned > 0); /* threads may take all at once */
        assert_false(res.total_known);
    }
    struct query *q = parsed("* | sort timestamp desc | limit 3 | fields n", &o);
    struct query_writer w;
    assert_int_equal(query_writer_init(&w, QF_NDJSON, &out, &err), 0);
    query_want_total(q);
    assert_int_equal(query_run(q, store, &w.sink, &ctl, &res, &err), 0);
    assert_true(res.total_known);
    assert_int_equal(res.total, ROWS);
    query_writer_deinit(&w);
    query_free(q);
    buf_deinit(&out);
}

/* what stops a query stops its parts */
static void test_stop_parts(void **state)
{
    (void)state;
    struct query_opts o = opts();
    struct query_result res;
    struct err err = ERR_INIT;
    struct query *q = parsed("message | stats count() by agent", &o);
    struct query_ctl ctl = { .turns = turns };
    struct query_sink sink = { .ctx = &ctl, .begin = slow_begin, .row = no_row };
    assert_int_equal(query_run(q, store, &sink, &ctl, &res, &err), ERR_CANCELED);
    ctl = (struct query_ctl){ .deadline_ms = 1, .turns = turns };
    assert_int_equal(query_run(q, store, &sink, &ctl, &res, &err), ERR_TIMEOUT);
    query_free(q);
}

/* the memory of one answer stays near its budget, whatever the number of rows */
static void test_pages_of_memory(void **state)
{
    (void)state;
    struct query_opts o = opts();
    struct query_result res;
    struct query_ctl ctl = { .memory_bytes = 64 << 10 };
    struct err err = ERR_INIT;
    struct buf all, small;
    o.unlimited = true;
    buf_init(&all, 1 << 24);
    buf_init(&small, 1 << 24);
    assert_int_equal(answer("* | fields n", &o, NULL, &all, &res, &err), 0);
    assert_int_equal(res.rows, ROWS);
    assert_int_equal(answer("* | fields n", &o, &ctl, &small, &res, &err), 0);
    assert_int_equal(res.rows, ROWS);
    assert_true(str_eq(buf_str(&all), buf_str(&small)));
    for (int i = 0; i < 12; i++) { /* any budget, both directions, with and without a limit */
        static const size_t budgets[] = { 3000, 20000, 150000 };
        ctl.memory_bytes = budgets[i % 3];
        o.oldest_first = i % 2;
        o.limit = i < 6 ? 0 : 777;
        buf_reset(&all);
        buf_reset(&small);
        assert_int_equal(answer("level>=info | fields n", &o, NULL, &all, &res, &err), 0);
        assert_int_equal(answer("level>=info | fields n", &o, &ctl, &small, &res, &err), 0);
        assert_true(str_eq(buf_str(&all), buf_str(&small)));
    }
    ctl.memory_bytes = 64 << 10;
    assert_int_equal(answer("* | sort by n", &o, &ctl, &small, &res, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "'sort'"));
    buf_deinit(&all);
    buf_deinit(&small);
}

/* ---- exact sums ---- */

static uint64_t dice_state = 7;
static uint32_t dice(uint32_t n)
{
    dice_state = dice_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((dice_state >> 33) % n);
}

static void test_sums(void **state)
{
    (void)state;
    enum { N = 400 };
    double v[N];
    for (int round = 0; round < 200; round++) {
        double first = 0;
        for (int i = 0; i < N; i += 2) { /* pairs that cancel, beside what is left */
            v[i] = ldexp((double)dice(1u << 30) - (1 << 29), (int)dice(1800) - 900);
            v[i + 1] = -v[i];
        }
        long double left = 0;
        for (int i = 0; i < 20; i++) {
            int at = (int)dice(N / 2) * 2;
            double d = round % 2 ? (double)dice(1000000) / 1000 : (double)dice(1000) / 8;
            left -= v[at] + v[at + 1];
            v[at] = d;
            v[at + 1] = 0;
            left += d;
        }
        left = 0;
        for (int i = 0; i < N; i += 2)
            left += v[i + 1] == 0 ? v[i] : 0;
        for (int order = 0; order < 4; order++) {
            struct exact_sum s = { 0 };
            for (int i = N - 1; i > 0; i--) {
                int k = (int)dice((uint32_t)i + 1);
                double t = v[i];
                v[i] = v[k];
                v[k] = t;
            }
            for (int i = 0; i < N; i++)
                assert_true(exact_add_f64(&s, v[i]));
            double d = exact_f64(&s);
            if (order == 0)
                first = d;
            assert_true(d == first);
            exact_deinit(&s);
        }
        assert_true(fabsl((long double)first - left) <= fabsl(left) * 1e-14L);
    }
    struct exact_sum s = { 0 };
    for (int i = 0; i < 10; i++)
        assert_true(exact_add_f64(&s, 0.1));
    struct val one = exact_val(&s);
    assert_true(one.t == V_I64 && one.i == 1 && !s.big);
    exact_add_i64(&s, INT64_MAX);
    exact_add_i64(&s, INT64_MAX);
    assert_true(exact_f64(&s) == 18446744073709551615.0);
    exact_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),       cmocka_unit_test(test_text_limits),
        cmocka_unit_test(test_explain),    cmocka_unit_test(test_cost),
        cmocka_unit_test(test_sums),       cmocka_unit_test(test_pages_of_memory),
        cmocka_unit_test(test_parts),      cmocka_unit_test(test_sort_floor),
        cmocka_unit_test(test_stop_parts), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
