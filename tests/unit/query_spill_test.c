/* query_spill_test.c: queries that do not fit their budget give the same answer from the disk, or a
 * clear error, and leave nothing there. */
#include "base/turns.h"
#include "io/io.h"
#include "query/query.h"
#include "query/spill.h"
#include "store_kit.h"

#define ROWS 12000
#define OUT_MAX ((size_t)64 << 20)

static struct store *store;
static struct turns *turns;
static struct io *io, *disk, *faulty; /* of the store; of the area */
static struct spill_area *area;
static uint64_t exact;       /* values of a group; 0: as many as usual */
static uint32_t approximate; /* answers so far that were */

static int setup(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(io_mem_new(&io, 1, &err), 0);
    assert_int_equal(io_mem_new(&disk, 1, &err), 0);
    assert_int_equal(io_faulty_new(&faulty, disk, &err), 0);
    assert_int_equal(turns_new(&turns, 3, 0, &err), 0);
    store = kit_open(io, 1 << 20);
    for (uint32_t i = 0; i < ROWS; i += 1000) {
        assert_int_equal(kit_append(store, i, 1000, &err), 0);
        if (i == 5000)
            assert_int_equal(store_flush(store, &err), 0);
    }
    assert_int_equal(spill_area_open(&area, faulty, 0, 0, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    spill_area_close(area);
    store_close(store);
    io_free(io);
    io_free(faulty);
    io_free(disk);
    turns_free(turns);
    return 0;
}

static void count_name(void *arg, const char *name, bool is_dir)
{
    (void)name;
    (void)is_dir;
    ++*(uint32_t *)arg;
}

static uint32_t files(void)
{
    struct err err = ERR_INIT;
    uint32_t n = 0;
    assert_int_equal(disk->ops->list(disk, SPILL_DIR, count_name, &n, &err), 0);
    return n;
}

static int run_text(const char *text, struct query_ctl *ctl, struct buf *out,
                    struct query_result *res, struct err *err)
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
    query_writer_deinit(&w);
    query_free(q);
    return rc;
}

static int answer(const char *text, struct query_ctl *ctl, struct buf *out,
                  struct query_result *res, struct err *err)
{
    int rc = run_text(text, ctl, out, res, err);
    assert_int_equal(files(), 0);
    return rc;
}

/* the answer with every budget, in one thread and in several, is that of memory alone; returns how
 * many of the runs wrote to the disk */
static uint32_t compare(const char *text)
{
    static const size_t budgets[] = { 256 << 10, 1 << 20, 16 << 20 };
    struct buf want, got;
    struct query_result res;
    struct err err;
    uint32_t spilled = 0;
    buf_init(&want, OUT_MAX);
    buf_init(&got, OUT_MAX);
    struct query_ctl ctl = { .memory_bytes = (size_t)1 << 30, .exact_values = exact };
    assert_int_equal(answer(text, &ctl, &want, &res, &err), 0);
    assert_int_equal(res.spilled_bytes, 0);
    uint32_t napprox = res.napprox;
    approximate += napprox > 0;
    for (uint32_t i = exact ? 2 : 0; i < 2 * sizeof budgets / sizeof *budgets; i++) {
        ctl = (struct query_ctl){ .memory_bytes = budgets[i / 2],
                                  .spill = area,
                                  .exact_values = exact,
                                  .turns = i % 2 ? turns : NULL };
        if (answer(text, &ctl, &got, &res, &err))
            fail_msg("%s within %zu: %s", text, budgets[i / 2], err.msg);
        if (!str_eq(buf_str(&want), buf_str(&got)))
            fail_msg("%s within %zu: another answer", text, budgets[i / 2]);
        assert_int_equal(res.napprox, napprox);
        spilled += res.spilled_bytes > 0;
    }
    buf_deinit(&want);
    buf_deinit(&got);
    return spilled;
}

static const char *const texts[] = {
    "* | sort n desc",
    "* | sort score desc, message | fields n, score",
    "* | sort session_id, ok desc, score | limit 7000 | fields n",
    "* | sort agent, n desc | limit 11000 | fields n, message",
    "* | stats count(), sum(score), avg(n), stddev(score) by n",
    "* | stats count() as c, min(message), max(message), first(n), last(n), any(agent) by message",
    "* | stats median(n), p95(score), values(message, 5), rate() by session_id, score",
    "* | stats count_distinct(n), count_distinct(message), count_distinct(score)",
    "* | stats count_distinct(n) if (level:error), p99(n), median(score) by agent",
    "* | stats count() as c by time(1s), n | sort c desc, n | limit 5000",
    "* | stats sum(n) as s by bucket(n, 7), ok | stats max(s), count_distinct(s) by ok",
    "* | stats count() as c by message | sort c desc, message | limit 40",
    "* | stats count() as c, sum(score) as s by message, n | sort s, n desc, message | limit 9000",
    "* | stats count() as c by agent, n | sort c desc, agent | limit 50",
    "* | uniq message, n",
    "* | top 4000 n by agent",
    "* | top 3 n by score, ok",
    "* | top score | fields score, count",
    "* | uniq n | top 5 n | sort n desc",
    "* | sort message | stats first(n), last(n) by agent, level",
    "* | fields n, agent, message | sort message desc | stats first(n), last(n) by agent",
};

static void test_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!compare(texts[i]))
            fail_msg("%s: never on the disk", texts[i]);
}

/* sketches too are the same however the rows were divided */
static void test_sketched(void **state)
{
    static const char *const sketched[] = {
        "* | stats count_distinct(n), count_distinct(message), count_distinct(score)",
        "* | stats count_distinct(n) if (level:error), p99(n), median(score) by agent",
        "* | stats median(n), p95(score), count_distinct(n) by session_id",
        "* | stats count_distinct(agent) as few, p50(n) as m, count_distinct(n) as many by ok",
        "* | stats count_distinct(n) as d, p999(n) by session_id | sort d desc",
    };
    static const uint64_t limits[] = { 40, 500 };
    uint32_t spilled = 0;
    (void)state;
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        for (size_t i = 0; i < sizeof sketched / sizeof *sketched; i++) {
            exact = limits[k];
            spilled += compare(sketched[i]);
            exact = 0;
        }
    }
    assert_true(spilled > 10);
    assert_true(approximate > 5);
}

/* ---- generated ---- */

static uint64_t seed = 7;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static const char *const fields[] = { "n",       "score", "agent", "session_id", "ok",
                                      "message", "tags",  "level", "timestamp" };
static const char *const calls[] = {
    "count()",
    "count(score)",
    "sum(score)",
    "avg(n)",
    "min(score)",
    "max(tags)",
    "median(score)",
    "p99(n)",
    "stddev(score)",
    "first(message)",
    "last(score)",
    "count_distinct(n)",
    "values(message, 3)",
    "rate(n)",
    "any(ok)",
    "min(agent)",
    "count_distinct(score)",
    "max(session_id)",
};
#define N(v) ((uint32_t)(sizeof(v) / sizeof *(v)))

static void put_fields(struct buf *b, bool directions)
{
    uint32_t from = draw(N(fields)), n = 1 + draw(3);
    for (uint32_t i = 0; i < n; i++)
        buf_printf(b, "%s%s%s", i ? ", " : "", fields[(from + i) % N(fields)],
                   directions && draw(2) ? " desc" : "");
}

static void generate(struct buf *b)
{
    buf_reset(b);
    buf_puts(b, draw(4) ? "* | " : "n>1500 | ");
    switch (draw(7)) {
    case 0:
    case 1:
        buf_puts(b, "sort ");
        put_fields(b, true);
        if (draw(2))
            buf_printf(b, " | limit %u", 1 + draw(ROWS));
        buf_puts(b, " | fields n, score, message");
        break;
    case 2:
        buf_puts(b, "uniq ");
        put_fields(b, false);
        break;
    case 3:
        buf_printf(b, "top %u %s", 1 + draw(3000), fields[draw(4)]);
        if (draw(2))
            buf_printf(b, " by %s, ok", fields[5 + draw(3)]);
        break;
    default: {
        uint32_t from = draw(N(calls)), n = 1 + draw(4);
        buf_puts(b, "stats ");
        for (uint32_t i = 0; i < n; i++)
            buf_printf(b, "%s%s as c%u", i ? ", " : "", calls[(from + 5 * i) % N(calls)], i);
        if (draw(8)) {
            buf_puts(b, " by ");
            put_fields(b, false);
        }
        if (draw(3) == 0)
            buf_puts(b, " | sort c0 desc");
    }
    }
}

static void test_generated(void **state)
{
    (void)state;
    struct buf text;
    uint32_t spilled = 0;
    buf_init(&text, 1 << 16);
    for (int i = 0; i < 30; i++) {
        generate(&text);
        spilled += compare(text.p);
    }
    buf_deinit(&text);
    assert_true(spilled > 20);
}

/* ---- a disk that refuses ---- */

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        enum io_op op;
        int code;
    } faults[] = { { IO_OP_WRITE, ERR_FULL },
                   { IO_OP_WRITE, ERR_IO },
                   { IO_OP_READ, ERR_IO },
                   { IO_OP_OPEN, ERR_IO },
                   { IO_OP_OPEN, ERR_FULL } };
    struct buf want, got;
    struct query_result res;
    struct err err;
    buf_init(&want, OUT_MAX);
    buf_init(&got, OUT_MAX);
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t += 3) {
        struct query_ctl ctl = { .memory_bytes = 256 << 10, .spill = area };
        assert_int_equal(answer(texts[t], &ctl, &want, &res, &err), 0);
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
            bool failed = true;
            for (uint64_t n = 1, step = 1; failed; n += step, step = n / 3 + 1) {
                io_faulty_set(faulty, faults[i].op, n, faults[i].code, false);
                int rc = answer(texts[t], &ctl, &got, &res, &err);
                failed = io_faulty_count(faulty) >= n;
                io_faulty_set(faulty, IO_OP__N, 0, 0, false);
                if (failed)
                    assert_int_equal(rc, faults[i].code);
                else
                    assert_true(rc == 0 && str_eq(buf_str(&got), buf_str(&want)));
                if (failed && faults[i].op == IO_OP_WRITE && faults[i].code == ERR_FULL)
                    assert_string_equal(err.slug, "query_disk");
            }
        }
    }
    buf_deinit(&want);
    buf_deinit(&got);
}

static void test_no_room(void **state)
{
    (void)state;
    struct spill_area *small;
    struct query_result res;
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, OUT_MAX);
    assert_int_equal(spill_area_open(&small, disk, 0, 100000, &err), 0);
    struct query_ctl ctl = { .memory_bytes = 256 << 10, .spill = small };
    assert_int_equal(answer("* | sort n desc", &ctl, &out, &res, &err), ERR_FULL);
    assert_string_equal(err.slug, "query_disk");
    spill_area_close(small);
    assert_int_equal(spill_area_open(&small, disk, (uint64_t)1 << 60, 0, &err), 0);
    ctl.spill = small;
    assert_int_equal(answer("* | sort n desc", &ctl, &out, &res, &err), ERR_FULL);
    assert_string_equal(err.slug, "query_disk");
    spill_area_close(small);
    ctl.spill = NULL; /* nowhere to go: the error of the memory */
    assert_int_equal(answer("* | sort n desc", &ctl, &out, &res, &err), ERR_LIMIT);
    assert_string_equal(err.slug, "query_memory");
    buf_deinit(&out);
}

/* what an earlier process has left is removed */
static void test_emptied(void **state)
{
    (void)state;
    struct spill_area *again;
    struct err err = ERR_INIT;
    struct io_file *f;
    int rc = disk->ops->open(disk, &f, SPILL_DIR "/99.run", IO_WRITE | IO_CREATE, &err);
    assert_int_equal(rc, 0);
    io_close(f);
    assert_int_equal(files(), 1);
    assert_int_equal(spill_area_open(&again, disk, 0, 0, &err), 0);
    assert_int_equal(files(), 0);
    spill_area_close(again);
}

/* ---- stopped in the middle, memory that fails ---- */

struct stopper {
    struct query_ctl ctl;
    uint32_t left;
};

static int stop_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct stopper *s = ctx;
    (void)row;
    (void)err;
    if (s->left-- == 0)
        s->ctl.cancel = 1;
    return 0;
}

static void test_stopped(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stopper s = { { .memory_bytes = 256 << 10, .spill = area }, 5 };
        struct query_sink sink = { .ctx = &s, .row = stop_row };
        struct query_opts o;
        struct query *q;
        struct query_result res;
        struct err err = ERR_INIT;
        query_opts_default(&o);
        o.unlimited = true;
        assert_int_equal(
            query_parse(&q, str_c(i ? "* | stats count() by n" : "* | sort n desc"), &o, &err), 0);
        assert_int_equal(query_run(q, store, &sink, &s.ctl, &res, &err), ERR_CANCELED);
        assert_true(res.spilled_bytes > 0);
        assert_int_equal(files(), 0);
        query_free(q);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct query_result res;
    struct err err;
    struct buf out;
    buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i += 4) {
        struct query_ctl ctl = { .memory_bytes = 256 << 10, .spill = area };
        bool failed = true;
        for (uint64_t n = 1, step = 1; failed; n += step, step = n / 2 + 1) {
            mem_fail_at(n, 0);
            int rc = run_text(texts[i], &ctl, &out, &res, &err);
            failed = mem_fail_at(0, 0) >= n;
            assert_true(rc == 0 || err.msg[0]);
            assert_true(files() <= 1); /* the disk in memory needs some to remove a file */
        }
    }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),      cmocka_unit_test(test_sketched),
        cmocka_unit_test(test_generated), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_no_room),   cmocka_unit_test(test_emptied),
        cmocka_unit_test(test_stopped),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
