/* query_pipes_test.c: pipes on more rows than a golden file holds: their limits, the same answer
 * from one thread and from several, and what happens without memory. */
#include "base/turns.h"
#include "io/io.h"
#include "query/query.h"
#include "store_kit.h"

#define ROWS 60000
#define OUT_MAX ((size_t)64 << 20)

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
    for (uint32_t i = 0; i < ROWS; i += 1000) {
        assert_int_equal(kit_append(store, i, 1000, &err), 0);
        if (i % 20000 == 5000)
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

static int ask(const char *text, struct query_ctl *ctl, struct buf *out, struct query_result *res,
               char *warning, struct err *err)
{
    struct query_opts o;
    struct query *q = NULL;
    struct query_writer w;
    query_opts_default(&o);
    o.now = KIT_T0;
    o.unlimited = true;
    *err = (struct err)ERR_INIT;
    buf_reset(out);
    int rc = query_parse(&q, str_c(text), &o, err);
    if (rc == ERR_INVALID)
        fail_msg("%s: %s", text, err->msg);
    if (rc)
        return rc;
    rc = query_writer_init(&w, QF_NDJSON, out, err);
    if (!rc)
        rc = query_run(q, store, &w.sink, ctl, res, err);
    if (!rc)
        rc = query_writer_end(&w, err);
    if (warning)
        snprintf(warning, 300, "%s", !rc && res->nwarnings ? res->warnings[0] : "");
    query_writer_deinit(&w);
    query_free(q);
    return rc;
}

/* one row, the same from one thread and from three; the warning begins with `warn` */
static void assert_answer(const char *text, const char *want, const char *warn)
{
    for (int i = 0; i < 2; i++) {
        struct query_ctl ctl = { .turns = i ? turns : NULL };
        struct query_result res;
        struct err err;
        char warning[300];
        struct buf out;
        buf_init(&out, OUT_MAX);
        if (ask(text, &ctl, &out, &res, warning, &err))
            fail_msg("%s: %s", text, err.msg);
        str got = str_trim(buf_str(&out));
        if (!str_eq(got, str_c(want)))
            fail_msg("%s\n  %.*s\n  not %s", text, STR_FMT(got), want);
        assert_true(warn ? str_starts(str_c(warning), str_c(warn)) : !warning[0]);
        buf_deinit(&out);
    }
}

static void test_facets(void **state)
{
    (void)state;
    assert_answer("* | eval k = n % 1000 | facets 1000 | where field:k | count", "{\"count\":1000}",
                  NULL);
    assert_answer("* | eval k = n % 1001 | facets 1000 | where field:k | count", "{\"count\":0}",
                  NULL);
    assert_answer("* | facets 3 | where field:agent | stats sum(count) as n, values(value) as v",
                  "{\"n\":25716,\"v\":[\"agent-0\",\"agent-1\",\"agent-2\"]}", NULL);
    /* 64 and 128 bytes of text are a value, more leaves the field out */
    assert_answer("* | eval t = concat(\"0123456789012345678901234567890123456789012345678901234567"
                  "890123\", \"01234567890123456789012345678901234567890123456789012345678901\", "
                  "\"ab\") | facets | where field:t | fields count",
                  "{\"count\":60000}", NULL);
    assert_answer("* | eval t = concat(\"0123456789012345678901234567890123456789012345678901234567"
                  "890123\", \"01234567890123456789012345678901234567890123456789012345678901\", "
                  "\"abc\") | facets | where field:t | fields count",
                  "", NULL);
}

static void test_join(void **state)
{
    (void)state;
    assert_answer("n<2 | eval one = 1 | join n as m from (* | eval one = 1 | limit 1000) on one = "
                  "one | count",
                  "{\"count\":2000}", NULL);
    assert_answer("n<2 | eval one = 1 | join n as m from (* | eval one = 1 | limit 1001) on one = "
                  "one | count",
                  "{\"count\":2000}", "join_cut:");
    assert_answer("n<5000 | join n as m from (n<5000) on n = n | stats count() as c, sum(m) as s",
                  "{\"c\":5000,\"s\":12497500}", NULL);
}

static void test_sample(void **state)
{
    (void)state;
    assert_answer("* | sample 20000 | stats count_distinct(n) as d | eval all = d = 20000 | fields "
                  "all",
                  "{\"all\":true}", NULL);
    /* 5 sigma of 60000 draws */
    assert_answer(
        "* | sample 10% | count | eval fine = count > 5633 AND count < 6367 | fields fine",
        "{\"fine\":true}", NULL);
    assert_answer("* | sample 6000 | stats avg(n) as a | eval fine = a > 28800 AND a < 31200 | "
                  "fields fine",
                  "{\"fine\":true}", NULL);
}

static void test_texts(void **state)
{
    (void)state;
    assert_answer("* | extract \"number <k> of\" | stats count(k) as c, sum(k) as s, max(k) as m",
                  "{\"c\":60000,\"s\":1799970000,\"m\":59999}", NULL);
    assert_answer("* | extract /number (?<k>\\d+)/ | stats count(k) as c, sum(k) as s, max(k) as m",
                  "{\"c\":60000,\"s\":1799970000,\"m\":59999}", NULL);
    assert_answer(
        "* | eval j = concat(\"{\\\"a\\\":{\\\"k\\\":\", n, \"}}\") | parse json j | stats "
        "sum(a.k) as s, count_distinct(a.k) as d",
        "{\"s\":1799970000,\"d\":60000}", NULL);
    assert_answer(
        "* | fields n, agent | eval j = concat(\"who=\", agent, \" k=\", n) | parse logfmt "
        "j | where k<700 | stats count() as c by who | stats count() as w, sum(c) as c",
        "{\"w\":7,\"c\":700}", NULL);
}

static void test_others(void **state)
{
    (void)state;
    assert_answer("* | values agent | count", "{\"count\":7}", NULL);
    assert_answer("* | eval k = n / 3 | rare 1 k | fields count", "{\"count\":1}", NULL);
    assert_answer(
        "n<1000 | fields n | union (n>=59000 | fields n) | stats count() as c, sum(n) as s",
        "{\"c\":2000,\"s\":59999000}", NULL);
}

/* past the memory each ends with a sentence that names it */
static void test_memory(void **state)
{
    static const struct {
        const char *text, *pipe;
        size_t memory;
    } of[] = {
        { "* | sample 50000", "'sample'", 200 << 10 },
        { "* | fields n | eval k = n | sample 50000", "'sample'", 200 << 10 },
        { "* | eval k = concat(message, message) | facets", "'facets'", 200 << 10 },
        { "* | join n as m from (*) on n = n | count", "'join'", 200 << 10 },
        { "after:1970-01-01T00:00:00Z | stats count() as c by n | compare 1h", "'compare'",
          8 << 20 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct query_ctl ctl = { .memory_bytes = of[i].memory };
        struct query_result res;
        struct err err;
        struct buf out;
        buf_init(&out, OUT_MAX);
        int rc = ask(of[i].text, &ctl, &out, &res, NULL, &err);
        if (rc != ERR_LIMIT || str_find(str_c(err.msg), str_c(of[i].pipe)) == SIZE_MAX)
            fail_msg("%s: %d %s", of[i].text, rc, err.msg);
        buf_deinit(&out);
    }
}

/* out of memory at every allocation in turn: a clean error, nothing lost */
static void test_no_memory(void **state)
{
    static const char *const texts[] = {
        "n<30 | extract \"number <k> of\" | where k>3 | fields k",
        "n<30 | extract /number (?<k>\\d+)/ | fields k",
        "n<30 | eval j = concat(\"{\\\"a\\\":{\\\"k\\\":\", n, \"},\\\"b\\\":1}\") | parse json j",
        "n<30 | fields message | parse kv | where q:*",
        "n<30 | facets",
        "n<30 | sample 5 | fields n",
        "n<30 | rare 2 agent",
        "n<30 | values agent",
        "n<3 | join n as m from (n<30) on agent = agent | fields m",
        "n<3 | union (n<6) | fields n",
        "n<3 | fields n | union (n<6 | fields n, agent)",
        "n<30 after:2020-01-01 | stats count() as c, median(n) as m by agent | compare 1h",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf want, got;
        struct query_result res;
        struct err err;
        buf_init(&want, OUT_MAX);
        buf_init(&got, OUT_MAX);
        assert_int_equal(ask(texts[i], NULL, &want, &res, NULL, &err), 0);
        bool failed = true;
        for (uint64_t k = 1, step = 1; failed; k += step, step = k / 20 + 1) {
            mem_fail_at(k, 0);
            int rc = ask(texts[i], NULL, &got, &res, NULL, &err);
            failed = mem_fail_at(0, 0) >= k;
            assert_true(rc == 0 || err.msg[0]);
        }
        if (!str_eq(buf_str(&want), buf_str(&got)))
            fail_msg("%s: another answer", texts[i]);
        buf_deinit(&want);
        buf_deinit(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facets),    cmocka_unit_test(test_join),
        cmocka_unit_test(test_sample),    cmocka_unit_test(test_texts),
        cmocka_unit_test(test_others),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
