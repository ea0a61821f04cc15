/* query_complete_test.c: the tables that completion and help live from, and what golden files
 * (tests/query/complete.test) cannot say: deadlines, cancelling, limits, every place of a text. */
#include "query/complete_int.h"
#include "store_kit.h"

static struct io *disk;

static struct store *the_store(uint64_t rows)
{
    struct store_config cfg;
    struct store *s;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.create = true;
    disk = kit_disk();
    kit_ok(store_open(&s, disk, &cfg, &err), &err);
    for (uint64_t at = 1; at <= rows; at += 5000)
        kit_ok(kit_append(s, at, rows - at + 1 < 5000 ? (uint32_t)(rows - at + 1) : 5000, &err),
               &err);
    return s;
}

static void put_away(struct store *s)
{
    store_close(s);
    io_free(disk);
}

static void ask(struct store *s, const char *text, struct complete_opts *o, struct arena *a,
                struct completion *c)
{
    struct err err = ERR_INIT;
    query_opts_default(&o->q);
    if (query_complete(s, str_c(text), o, a, c, &err))
        fail_msg("%s: %s", text, err.msg);
}

static bool has(const struct completion *c, const char *text)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (str_eq(c->items[i].text, str_c(text)))
            return true;
    return false;
}

/* every pipe and function says how it is written, in a form that completion can follow */
static void test_every_word_has_help(void **state)
{
    struct query_word w;
    uint32_t n = 0;
    (void)state;
    for (; query_word(n, &w); n++) {
        if (!w.syntax || !w.help || !w.help[0] || strchr(w.help, '\n'))
            fail_msg("%s %s has no syntax or no help (its table entry)", w.group, w.name);
        if (!str_starts(str_c(w.syntax), str_c(w.name)))
            fail_msg("%s: '%s' does not begin with its name", w.name, w.syntax);
        if (w.help[strlen(w.help) - 1] == '.')
            fail_msg("%s: the help ends with a full stop", w.name);
        if (strcmp(w.group, "pipe") == 0) {
            struct syntax y;
            syntax_compile(&y, str_c(w.syntax));
            if (y.bad)
                fail_msg("%s: '%s' is not in the grammar of complete_int.h", w.name, w.syntax);
        }
    }
    assert_true(n > 40);
}

static void test_a_bad_syntax_is_seen(void **state)
{
    static const char *const bad[] = { "x [A", "x A]", "x (FILTER", "x , ...", "x by, ..." };
    struct syntax y;
    char many[1000] = "x";
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        syntax_compile(&y, str_c(bad[i]));
        if (!y.bad)
            fail_msg("'%s' was taken", bad[i]);
    }
    for (size_t i = 1; i < 400; i += 2)
        memcpy(many + i, " N", 3);
    syntax_compile(&y, str_c(many));
    assert_true(y.bad);
}

/* every pipe can be completed to its name, and something is known at each byte behind it */
static void test_every_pipe(void **state)
{
    struct store *s = the_store(100);
    struct query_word w;
    struct arena a;
    struct completion c;
    (void)state;
    arena_init(&a, 64u << 20);
    for (uint32_t i = 0; query_word(i, &w); i++) {
        char text[200];
        if (strcmp(w.group, "pipe") != 0)
            continue;
        struct complete_opts o = { .cursor = SIZE_MAX };
        snprintf(text, sizeof text, "* | %s", w.name);
        ask(s, text, &o, &a, &c);
        if (!has(&c, w.name) || c.from != 4 || c.to != strlen(text))
            fail_msg("'%s' does not complete to itself", text);
        snprintf(text, sizeof text, "* | %s ", w.syntax);
        for (size_t k = 0; k <= strlen(text); k++) {
            o.cursor = k;
            ask(s, text, &o, &a, &c);
            assert_true(c.from <= k && c.to >= k && c.to <= strlen(text));
        }
    }
    arena_deinit(&a);
    put_away(s);
}

static void test_limits(void **state)
{
    struct store *s = the_store(100);
    struct arena a;
    struct completion c;
    (void)state;
    arena_init(&a, 64u << 20);
    struct complete_opts o = { .cursor = SIZE_MAX, .limit = 1000 };
    ask(s, "n:", &o, &a, &c);
    assert_int_equal(c.n, 100);
    assert_false(c.more);
    o.limit = 0;
    ask(s, "n:", &o, &a, &c);
    assert_int_equal(c.n, COMPLETE_LIMIT_DEFAULT);
    assert_true(c.more);
    o.limit = 1;
    ask(s, "n:", &o, &a, &c);
    assert_int_equal(c.n, 1);
    assert_true(c.more);
    /* longer than a query may be, cut characters, zero bytes: nothing, and no fault */
    char *big = mem_alloc(QUERY_TEXT_MAX + 2);
    memset(big, 'a', QUERY_TEXT_MAX + 1);
    big[QUERY_TEXT_MAX + 1] = 0;
    ask(s, big, &o, &a, &c);
    assert_int_equal(c.n, 0);
    mem_free(big);
    ask(s, "a\xff", &o, &a, &c);
    assert_int_equal(c.n, 0);
    /* a cursor inside a character stands before it */
    o.cursor = 3;
    ask(s, "ag\xc3\xa9", &o, &a, &c);
    assert_int_equal(c.from, 0);
    assert_true(has(&c, "agent:"));
    /* without a store: words only */
    o = (struct complete_opts){ .cursor = SIZE_MAX };
    ask(NULL, "* | stats c", &o, &a, &c);
    assert_true(has(&c, "count(") && has(&c, "count_distinct("));
    ask(NULL, "agent:", &o, &a, &c);
    assert_int_equal(c.n, 0);
    arena_deinit(&a);
    put_away(s);
}

/* when the time is up there is what was found by then, and it says so */
static void test_deadline(void **state)
{
    struct store *s = the_store(40000);
    struct arena a;
    struct completion c;
    struct err err = ERR_INIT;
    volatile int cancel = 1;
    (void)state;
    arena_init(&a, 256u << 20);
    struct complete_opts o = { .cursor = SIZE_MAX, .deadline_ms = -1 };
    ask(s, "agent:", &o, &a, &c);
    assert_true(c.partial);
    assert_int_equal(c.n, 0);
    o.deadline_ms = 60000;
    ask(s, "agent:", &o, &a, &c);
    assert_false(c.partial);
    assert_int_equal(c.n, 7);
    o.cancel = &cancel;
    query_opts_default(&o.q);
    assert_int_equal(query_complete(s, STR("agent:"), &o, &a, &c, &err), ERR_CANCELED);
    arena_deinit(&a);
    put_away(s);
}

/* 40,000 different values in little memory: those that fit */
static void test_memory(void **state)
{
    struct store *s = the_store(40000);
    struct arena a;
    struct completion c;
    (void)state;
    arena_init(&a, 1u << 20);
    struct complete_opts o = { .cursor = SIZE_MAX, .deadline_ms = 60000 };
    ask(s, "n:", &o, &a, &c);
    assert_true(c.partial);
    assert_int_equal(c.n, COMPLETE_LIMIT_DEFAULT);
    arena_deinit(&a);
    put_away(s);
}

static void test_unfinished(void **state)
{
    static const struct {
        const char *text;
        bool unfinished;
    } cases[] = {
        { "", false },
        { "level:error", false },
        { "level:error |", true },
        { "level:error | ", true },
        { "level:error | stats", false }, /* an error, and the parser says so */
        { "level:error | stats count()", false },
        { "\"two", true },
        { "\"two words\"", false },
        { "agent:\"a", true },
        { "agent:(a OR", true },
        { "agent in (a,", true },
        { "agent in (a)", false },
        { "port:[1 TO", true },
        { "port:[1 TO 2]", false },
        { "(a b", true },
        { "(a b)", false },
        { "`odd", true },
        { "`odd`:1", false },
        { "* | stats count(", true },
        { "* | stats count() if (level:error", true },
        { "* | stats count() if (level:error)", false },
        { "* | eval x = (a + b", true },
        { "* | eval x = concat(a, \"b", true },
        { "* | eval x = concat(a, \"b\")", false },
        { "* | lookup n from (level:error", true },
        { "* | lookup n from (level:error | stats count() as n by agent", true },
        { "* | lookup n from (level:error) on a = b", false },
        { "a)", false },
        { "/(/", false },
        { "a # (", false },
        { "a \\(", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (query_unfinished(str_c(cases[i].text)) != cases[i].unfinished)
            fail_msg("'%s' is %sunfinished", cases[i].text, cases[i].unfinished ? "" : "not ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word_has_help),
        cmocka_unit_test(test_a_bad_syntax_is_seen),
        cmocka_unit_test(test_every_pipe),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_unfinished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
