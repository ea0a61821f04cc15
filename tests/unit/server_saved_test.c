/* server_saved_test.c: what saved views and dashboards may say: what is refused, with its place,
 * what the canonical form is, and that everything that comes with the server is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/saved.h"

#define NOW (1700000000 * NS_PER_S)

static struct arena arena;
static struct err err;

static int read_doc(struct saved *s, enum meta_doc_kind kind, const char *text)
{
    struct tree *t;
    err = (struct err)ERR_INIT;
    int rc = tree_from_json(&t, &arena, str_c(text), &err);
    return rc < 0 ? rc : saved_read(s, kind, t, NOW, &arena, &err);
}

static void refused(enum meta_doc_kind kind, const char *text, const char *msg, const char *hint)
{
    struct saved s;
    int rc = read_doc(&s, kind, text);
    if (rc == 0)
        fail_msg("taken: %s", text);
    if (!strstr(err.msg, msg) || !strstr(err.hint, hint))
        fail_msg("%s\ngives: %s (%s)\nnot:   %s (%s)", text, err.msg, err.hint, msg, hint);
}

static void taken(enum meta_doc_kind kind, const char *text, const char *canonical)
{
    struct saved s, again;
    if (read_doc(&s, kind, text) < 0)
        fail_msg("%s\nrefused: %s", text, err.msg);
    char *z = arena_printf(&arena, "%.*s", STR_FMT(s.doc));
    assert_string_equal(z, canonical);
    assert_int_equal(read_doc(&again, kind, z), 0); /* canonical means: as it is */
    assert_true(str_eq(s.doc, again.doc));
}

#define PANELS(p) "{\"title\":\"t\",\"panels\":[" p "]}"
#define LINE "{\"type\":\"line\",\"q\":\"* | timeline\"}"
#define CLINE                                                                                      \
    "{\"title\":\"\",\"type\":\"line\",\"q\":\"* | timeline\",\"w\":6,\"h\":4,\"options\":{}}"

static void test_views(void **state)
{
    (void)state;
    taken(DOC_VIEW, "{\"title\":\" Slow \",\"params\":{}}",
          "{\"title\":\"Slow\",\"page\":\"explore\",\"params\":{}}");
    taken(DOC_VIEW,
          "{\"params\":{\"q\":\"level:error | stats count()\",\"from\":\"now-1h\",\"to\":\"\","
          "\"wrap\":true,\"n\":5}, \"page\":\"live\", \"title\":\"x\", \"name\":\"a\", \"rev\":3,"
          "\"builtin\":false,\"created\":\"x\",\"changed\":1,\"changed_by\":null}",
          "{\"title\":\"x\",\"page\":\"live\",\"params\":{\"q\":\"level:error | stats count()\","
          "\"from\":\"now-1h\",\"to\":\"\",\"wrap\":true,\"n\":5}}");
    taken(DOC_VIEW, "{\"title\":\"T\",\"params\":{},\"id\":\"4bf \\u00e9/\",\"page\":\"traces\"}",
          "{\"title\":\"T\",\"page\":\"traces\",\"id\":\"4bf \xc3\xa9/\",\"params\":{}}");
    taken(DOC_VIEW, "{\"title\":\"T\",\"params\":{},\"id\":\"\",\"page\":\"live\"}",
          "{\"title\":\"T\",\"page\":\"live\",\"params\":{}}");
    taken(DOC_VIEW, "{\"title\":\"T\",\"params\":{},\"id\":null}",
          "{\"title\":\"T\",\"page\":\"explore\",\"params\":{}}");
    struct saved s;
    assert_int_equal(read_doc(&s, DOC_VIEW,
                              "{\"name\":\"a-1\",\"title\":\"x\",\"params\":{},"
                              "\"rev\":18}"),
                     0);
    assert_true(str_eq(s.name, STR("a-1")) && s.has_rev && s.rev == 18);
    refused(DOC_VIEW, "[]", "line 1, column 1: a saved view must be a map", "");
    refused(DOC_VIEW, "{\"params\":{}}", "it needs a title", "");
    refused(DOC_VIEW, "{\"title\":\" \",\"params\":{}}", "it needs a title", "");
    refused(DOC_VIEW, "{\"title\":\"a\\nb\",\"params\":{}}", "a title is one line", "");
    refused(DOC_VIEW, "{\"title\":\"a\\u0007b\",\"params\":{}}", "control characters", "");
    refused(DOC_VIEW, "{\"title\":{},\"params\":{}}", "title must be a text", "");
    refused(DOC_VIEW, "{\"titel\":\"a\",\"params\":{}}", "a saved view has no 'titel'",
            "did you mean title?");
    refused(DOC_VIEW, "{\"title\":\"a\"}", "it needs params", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"params\":[]}", "line 1, column 23: it needs params", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"page\":\"exploer\",\"params\":{}}",
            "there is no page 'exploer'", "did you mean explore?");
    refused(DOC_VIEW, "{\"title\":\"a\",\"page\":[],\"params\":{}}", "there is no page '...'", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"id\":\"x\",\"params\":{}}", "the page explore has no id",
            "traces, sessions");
    refused(DOC_VIEW, "{\"title\":\"a\",\"page\":\"traces\",\"id\":{},\"params\":{}}",
            "id must be a text", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"page\":\"traces\",\"id\":\"a\\u0007\",\"params\":{}}",
            "control characters", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"name\":\"A b\",\"params\":{}}", "this is no name",
            "a-z, 0-9 and -");
    refused(DOC_VIEW, "{\"title\":\"a\",\"rev\":\"1\",\"params\":{}}", "rev must be a number", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"params\":{\"q\":\"tool:* | stast count()\"}}",
            "line 1, column 28: in its q, at byte 9: there is no pipe 'stast'",
            "did you mean stats?");
    assert_int_equal(err.pos, 9);
    assert_string_equal(err.slug, "bad_query");
    refused(DOC_VIEW, "{\"title\":\"a\",\"params\":{\"from\":\"soon\"}}", "from must be a moment",
            "as now-24h");
    refused(DOC_VIEW, "{\"title\":\"a\",\"params\":{\"from\":\"now\",\"to\":\"now-1h\"}}",
            "from must be before to", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"params\":{\"A\":\"x\"}}", "a name in params", "");
    refused(DOC_VIEW, "{\"title\":\"a\",\"params\":{\"a\":{}}}", "a must be a text", "");
}

static void test_dashboards(void **state)
{
    (void)state;
    taken(DOC_DASHBOARD, PANELS(""), "{\"title\":\"t\",\"panels\":[]}");
    taken(DOC_DASHBOARD, PANELS(LINE), PANELS(CLINE));
    taken(DOC_DASHBOARD,
          "{\"title\":\"t\",\"refresh\":\"30s\",\"to\":\"now\",\"from\":\"now-1h\",\"panels\":["
          "{\"type\":\"table\",\"q\":\"\",\"w\":12,\"h\":24,\"title\":\"T\",\"options\":{"
          "\"max\":1.5,\"stack\":true,\"y\":[\"a\",\"b\"],\"x\":\"t\",\"unit\":null}}]}",
          "{\"title\":\"t\",\"from\":\"now-1h\",\"to\":\"now\",\"refresh\":\"30s\",\"panels\":["
          "{\"title\":\"T\",\"type\":\"table\",\"q\":\"\",\"w\":12,\"h\":24,\"options\":{"
          "\"x\":\"t\",\"y\":[\"a\",\"b\"],\"stack\":true,\"max\":1.5}}]}");
    /* `compare` needs a window, which the request has when the panel is drawn */
    taken(DOC_DASHBOARD, PANELS("{\"type\":\"bar\",\"q\":\"* | top 3 agent | compare offset=1d\"}"),
          PANELS("{\"title\":\"\",\"type\":\"bar\",\"q\":\"* | top 3 agent | compare offset=1d\","
                 "\"w\":6,\"h\":4,\"options\":{}}"));
    refused(DOC_DASHBOARD, "{\"title\":\"t\"}", "it needs panels, a list", "");
    refused(DOC_DASHBOARD, "{\"title\":\"t\",\"panels\":{}}", "column 23: it needs panels", "");
    refused(DOC_DASHBOARD, "{\"title\":\"t\",\"panel\":[]}", "a dashboard has no 'panel'",
            "did you mean panels?");
    refused(DOC_DASHBOARD, PANELS("1"), "panel 1: a panel must be a map", "");
    refused(DOC_DASHBOARD, PANELS("{}"), "panel 1: it needs a type", "one of line bar table");
    refused(DOC_DASHBOARD, PANELS(LINE ",{\"type\":\"lin\"}"),
            "panel 2: there is no type of panel 'lin'", "did you mean line?");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"line\"}"), "panel 1: it needs a query, q", "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"line\",\"q\":1}"), "", "");
    refused(DOC_DASHBOARD, PANELS("{\"title\":\"Bad\",\n\"type\":\"bar\",\"q\":\"* | timelin\"}"),
            "line 2, column 18: panel 1 (Bad): in its q, at byte 4: there is no pipe 'timelin'",
            "did you mean timeline?");
    assert_int_equal(err.pos, 4);
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"number\",\"q\":\"level:error\"}"),
            "panel 1: its q finds entries", "| timeline");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"w\":13}"), "w must be 1 to 12",
            "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"h\":0}"), "h must be 1 to 24",
            "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"h\":\"4\"}"),
            "h must be 1 to 24", "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"options\":{\"stak\":true}}"),
            "options has no 'stak'", "did you mean stack?");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"options\":{\"stack\":1}}"),
            "stack must be true or false", "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"options\":{\"x\":[\"a\"]}}"),
            "x must be a text", "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"options\":{\"y\":[]}}"),
            "y must be a text or a list", "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"options\":{\"y\":[1]}}"),
            "y must hold texts", "");
    refused(DOC_DASHBOARD, PANELS("{\"type\":\"logs\",\"q\":\"*\",\"options\":{\"max\":\"1\"}}"),
            "max must be a number", "");
    refused(DOC_DASHBOARD, "{\"title\":\"t\",\"refresh\":\"0s\",\"panels\":[]}",
            "refresh must be a duration of 1s to 24h", "as 30s");
    refused(DOC_DASHBOARD, "{\"title\":\"t\",\"refresh\":\"25h\",\"panels\":[]}", "refresh", "");
}

/* a text of n times the piece */
static char *repeat(const char *before, const char *piece, uint32_t n, const char *after)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, before);
    for (uint32_t i = 0; i < n; i++) {
        buf_puts(&b, i && piece[0] == '{' ? "," : "");
        buf_puts(&b, piece);
    }
    buf_puts(&b, after);
    char *z = arena_printf(&arena, "%.*s", STR_FMT(buf_str(&b)));
    buf_deinit(&b);
    return z;
}

static void test_limits(void **state)
{
    struct saved s;
    (void)state;
    const char *head = "{\"title\":\"t\",\"panels\":[";
    assert_int_equal(read_doc(&s, DOC_DASHBOARD, repeat(head, LINE, SAVED_PANELS_MAX, "]}")), 0);
    assert_int_equal(s.panels, SAVED_PANELS_MAX);
    assert_int_equal(read_doc(&s, DOC_DASHBOARD, repeat(head, LINE, SAVED_PANELS_MAX + 1, "]}")),
                     ERR_LIMIT);
    assert_non_null(strstr(err.msg, "50 panels at most"));
    const char *t = "{\"title\":\"", *e = "\",\"params\":{}}";
    assert_int_equal(read_doc(&s, DOC_VIEW, repeat(t, "ü", SAVED_TITLE_MAX, e)), 0);
    assert_int_equal(read_doc(&s, DOC_VIEW, repeat(t, "ü", SAVED_TITLE_MAX + 1, e)), ERR_INVALID);
    const char *p = "{\"title\":\"t\",\"params\":{\"q\":\"";
    assert_int_equal(read_doc(&s, DOC_VIEW, repeat(p, "x", 16 << 10, "\"}}")), 0);
    assert_true(read_doc(&s, DOC_VIEW, repeat(p, "x", (16 << 10) + 1, "\"}}")) < 0);
    /* canonical 64 KiB: five queries of 16 KiB are more */
    char *q = repeat("{\"type\":\"logs\",\"q\":\"", "x", 16 << 10, "\"}");
    assert_int_equal(read_doc(&s, DOC_DASHBOARD, repeat(head, q, 3, "]}")), 0);
    assert_int_equal(read_doc(&s, DOC_DASHBOARD, repeat(head, q, 4, "]}")), ERR_LIMIT);
    assert_string_equal(err.msg, "a dashboard has 64 KiB at most");
    /* params */
    struct buf b;
    for (int n = SAVED_PARAMS_MAX; n <= SAVED_PARAMS_MAX + 1; n++) {
        buf_init(&b, 1 << 16);
        buf_puts(&b, "{\"title\":\"t\",\"params\":{");
        for (int i = 0; i < n; i++)
            buf_printf(&b, "%s\"%c%c\":1", i ? "," : "", 'a' + i % 26, 'a' + i / 26);
        buf_puts(&b, "}}");
        buf_putc(&b, 0);
        assert_int_equal(read_doc(&s, DOC_VIEW, b.p), n > SAVED_PARAMS_MAX ? ERR_LIMIT : 0);
        buf_deinit(&b);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *title, *slug;
    } rows[] = { { "Slow Tools!", "slow-tools" },
                 { "  p95 / tool  ", "p95-tool" },
                 { "日本", "view" },
                 { "--", "view" },
                 { "a", "a" } };
    char out[META_DOC_NAME_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        saved_slug(DOC_VIEW, str_c(rows[i].title), out);
        assert_string_equal(out, rows[i].slug);
        assert_true(saved_name_ok(str_c(out)));
    }
    saved_slug(DOC_DASHBOARD, STR("!"), out);
    assert_string_equal(out, "dashboard");
    saved_slug(DOC_VIEW, str_c(repeat("", "ab ", 60, "")), out);
    assert_true(strlen(out) <= META_DOC_NAME_MAX && saved_name_ok(str_c(out)));
    assert_false(saved_name_ok(STR("")));
    assert_false(saved_name_ok(STR("A")));
    assert_false(saved_name_ok(STR("a_b")));
    assert_false(saved_name_ok(str_c(repeat("", "a", 65, ""))));
    assert_true(saved_name_ok(str_c(repeat("", "a", 64, ""))));
}

static void test_builtin(void **state)
{
    static const char *const want[] = { "overview",  "error-timeline", "agents-by-level",
                                        "log-table", "security-audit", "performance" };
    struct builtin *b;
    (void)state;
    err = (struct err)ERR_INIT;
    if (builtin_new(&b, NOW, &err) < 0)
        fail_msg("web/dashboards.json: %s", err.msg);
    assert_int_equal(b->n, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < b->n; i++) {
        assert_true(str_eq(b->v[i].name, str_c(want[i])));
        assert_true(b->v[i].panels > 0 && !b->v[i].has_rev);
        assert_ptr_equal(builtin_find(b, str_c(want[i])), &b->v[i]);
    }
    assert_null(builtin_find(b, STR("none")));
    builtin_free(b);
}

static void test_out_of_memory(void **state)
{
    int rc = ERR_NOMEM;
    (void)state;
    for (uint64_t n = 1; rc < 0 && n < 100000; n++) {
        struct builtin *b = NULL;
        err = (struct err)ERR_INIT;
        mem_fail_at(n, 0);
        rc = builtin_new(&b, NOW, &err);
        mem_fail_at(0, 0);
        if (rc < 0 && rc != ERR_NOMEM)
            fail_msg("allocation %llu: %s", (unsigned long long)n, err.msg);
        if (rc == 0)
            builtin_free(b);
    }
    assert_int_equal(rc, 0);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_views, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dashboards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_builtin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
