/* meta_docs_test.c: saved views and dashboards in SQLite: revs, whose they are, bounds, migration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "meta/alerts.h"
#include "meta/docs.h"

#define NOW (1700000000 * NS_PER_S)

struct fixture {
    char dir[64], path[96];
    struct meta *m;
    struct arena arena;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->err = (struct err)ERR_INIT;
    snprintf(f->dir, sizeof(f->dir), "/tmp/fl-docs-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/meta.db", f->dir);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    arena_init(&f->arena, 64 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    meta_close(f->m);
    arena_deinit(&f->arena);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void sql(struct fixture *f, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static struct meta_doc_change change(const char *name, const char *doc)
{
    return (struct meta_doc_change){
        .name = str_c(name), .doc = str_c(doc), .who = STR("me"), .now = NOW
    };
}

static enum meta_doc_outcome put(struct fixture *f, const struct meta_doc_change *c)
{
    enum meta_doc_outcome o;
    assert_int_equal(meta_doc_put(f->m, DOC_VIEW, c, &o, &f->err), 0);
    return o;
}

static struct meta_doc get(struct fixture *f, const char *name)
{
    struct meta_doc d;
    assert_int_equal(meta_doc_get(f->m, DOC_VIEW, STR_NULL, str_c(name), &f->arena, &d, &f->err),
                     0);
    return d;
}

static void test_life(void **state)
{
    struct fixture *f = *state;
    struct meta_doc d, *all;
    uint32_t n;
    struct meta_doc_change c = change("b", "{\"x\":1}");
    assert_int_equal(put(f, &c), META_DOC_CREATED);
    c = change("a", "{}");
    assert_int_equal(put(f, &c), META_DOC_CREATED);
    c = change("b", "{\"x\":1}");
    c.now = NOW + 5;
    c.who = STR("you");
    assert_int_equal(put(f, &c), META_DOC_UNCHANGED);
    d = get(f, "b");
    assert_true(d.created == NOW && d.changed == NOW && d.rev == 1 &&
                str_eq(d.changed_by, STR("me")) && str_eq(d.doc, STR("{\"x\":1}")));
    c.doc = STR("{\"x\":2}");
    assert_int_equal(put(f, &c), META_DOC_CHANGED);
    meta_close(f->m);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    d = get(f, "b");
    assert_true(d.created == NOW && d.changed == NOW + 5 && d.rev == 3 &&
                str_eq(d.changed_by, STR("you")) && str_eq(d.doc, STR("{\"x\":2}")));
    assert_int_equal(meta_doc_list(f->m, DOC_VIEW, STR_NULL, &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 2);
    assert_true(str_eq(all[0].name, STR("a")) && all[0].rev == 2 && all[1].rev == 3);
    /* the other kind has names of its own */
    assert_int_equal(meta_doc_list(f->m, DOC_DASHBOARD, STR_NULL, &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(meta_doc_get(f->m, DOC_DASHBOARD, STR_NULL, STR("a"), &f->arena, &d, &f->err),
                     ERR_NOTFOUND);
    assert_string_equal(f->err.msg, "there is no dashboard 'a'");
    assert_int_equal(meta_doc_delete(f->m, DOC_DASHBOARD, &c, &f->err), ERR_NOTFOUND);
    assert_int_equal(meta_doc_delete(f->m, DOC_VIEW, &c, &f->err), 0);
    assert_int_equal(meta_doc_delete(f->m, DOC_VIEW, &c, &f->err), ERR_NOTFOUND);
}

static int refused(struct fixture *f, const struct meta_doc_change *c)
{
    enum meta_doc_outcome o;
    return meta_doc_put(f->m, DOC_VIEW, c, &o, &f->err);
}

static void test_revs(void **state)
{
    struct fixture *f = *state;
    struct meta_doc_change c = change("a", "{}");
    c.has_rev = true;
    assert_int_equal(refused(f, &c), ERR_CONFLICT); /* none there */
    c.has_rev = false;
    c.must_exist = true;
    assert_int_equal(refused(f, &c), ERR_CONFLICT);
    c.must_exist = false;
    put(f, &c);
    c.must_be_new = true;
    assert_int_equal(refused(f, &c), ERR_CONFLICT);
    assert_string_equal(f->err.msg, "the name 'a' is taken");
    c = change("a", "[1]");
    c.has_rev = true;
    c.rev = 1;
    assert_int_equal(put(f, &c), META_DOC_CHANGED);
    c.doc = STR("[2]");
    assert_int_equal(refused(f, &c), ERR_CONFLICT); /* it is 2 now */
    assert_string_equal(f->err.msg, "the saved view 'a' was changed by me: it is rev 2, not 1");
    assert_true(str_eq(get(f, "a").doc, STR("[1]")));
    assert_int_equal(meta_doc_delete(f->m, DOC_VIEW, &c, &f->err), ERR_CONFLICT);
    c.rev = 2;
    assert_int_equal(meta_doc_delete(f->m, DOC_VIEW, &c, &f->err), 0);
    /* one that is made anew is not mistaken for the one before */
    c = change("a", "{}");
    put(f, &c);
    assert_int_equal(get(f, "a").rev, 3);
}

static void test_whose(void **state)
{
    struct fixture *f = *state;
    struct meta_doc d, *all;
    uint32_t n;
    struct meta_doc_change c = change("mine", "{}");
    c.viewer = STR("web-*");
    put(f, &c);
    c = change("all", "{}");
    put(f, &c);
    assert_int_equal(meta_doc_list(f->m, DOC_VIEW, STR("web-*"), &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(meta_doc_list(f->m, DOC_VIEW, STR("db"), &f->arena, &all, &n, &f->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(meta_doc_get(f->m, DOC_VIEW, STR("web-*"), STR("all"), &f->arena, &d, &f->err),
                     ERR_NOTFOUND);
    c.viewer = STR("web-*");
    assert_int_equal(refused(f, &c), ERR_CONFLICT);
    assert_int_equal(meta_doc_delete(f->m, DOC_VIEW, &c, &f->err), ERR_NOTFOUND);
    /* it stays whose it was when another changes it */
    c = change("mine", "[]");
    assert_int_equal(put(f, &c), META_DOC_CHANGED);
    assert_true(str_eq(get(f, "mine").agent, STR("web-*")));
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    char name[80];
    enum meta_doc_outcome o;
    static char big[META_DOC_BYTES_MAX + 2];
    memset(big, 'x', sizeof big - 1);
    struct meta_doc_change c = change("big", big);
    assert_int_equal(refused(f, &c), ERR_LIMIT);
    c.doc.n--;
    put(f, &c);
    assert_int_equal(get(f, "big").doc.n, META_DOC_BYTES_MAX);
    memset(name, 'n', sizeof name);
    c = change("", "{}");
    assert_int_equal(refused(f, &c), ERR_INVALID);
    c.name = str_n(name, META_DOC_NAME_MAX + 1);
    assert_int_equal(refused(f, &c), ERR_INVALID);
    c.name.n--;
    put(f, &c);
    sql(f, "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
           " INSERT INTO doc(kind, name, agent, changed_by, created, changed, rev, doc)"
           " SELECT 0, 'n' || i, '', '', 0, 0, i, '{}' FROM n");
    c = change("more", "{}");
    assert_int_equal(refused(f, &c), ERR_LIMIT);
    assert_string_equal(f->err.msg, "there are 1000 saved views, the most there may be");
    c.name = STR("n7");
    c.doc = STR("[]");
    put(f, &c); /* changing goes on */
    assert_int_equal(meta_doc_put(f->m, DOC_DASHBOARD, &c, &o, &f->err), 0);
    assert_int_equal(meta_doc_delete(f->m, DOC_VIEW, &c, &f->err), 0);
    c.name = STR("more");
    assert_int_equal(put(f, &c), META_DOC_CREATED);
}

/* a meta.db of before keeps what it had and takes documents */
static void test_version_3(void **state)
{
    struct fixture *f = *state;
    struct meta_alert_rule r = { .name = STR("r"), .doc = STR("{}"), .changed = 1 }, *rules;
    struct meta_alert_change ac = { .rule = r.name, .now = NOW, .put = &r };
    struct meta_doc *all;
    struct meta *ro;
    uint32_t n;
    assert_int_equal(meta_alert_commit(f->m, &ac, &f->err), 0);
    meta_close(f->m);
    sql(f, "DROP TABLE doc; DROP TABLE doc_rev; PRAGMA user_version = 3");
    /* who only reads does not change it */
    assert_int_equal(meta_open(&ro, f->path, true, &f->err), 0);
    struct meta_doc_change c = change("a", "{}");
    assert_int_equal(meta_doc_delete(ro, DOC_VIEW, &c, &f->err), ERR_DENIED);
    assert_true(meta_doc_list(ro, DOC_VIEW, STR_NULL, &f->arena, &all, &n, &f->err) < 0);
    meta_close(ro);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    put(f, &c);
    assert_int_equal(meta_alert_rules(f->m, &f->arena, &rules, &n, &f->err), 0);
    assert_int_equal(n, 1);
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), 4);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct meta_doc_change c = change("a", "{\"x\":1}");
    enum meta_doc_outcome o;
    put(f, &c);
    c.doc = STR("{\"x\":2}");
    int rc = ERR_NOMEM;
    for (uint64_t n = 1; rc < 0 && n < 50; n++) {
        mem_fail_at(n, 0);
        rc = meta_doc_put(f->m, DOC_VIEW, &c, &o, &f->err);
        mem_fail_at(0, 0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_int_equal(get(f, "a").rev, rc == 0 ? 2 : 1);
    }
    assert_int_equal(rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_3, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
