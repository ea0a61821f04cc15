/* meta_test.c: API keys: made, found, revoked, expired, seen across handles, refused when wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "meta/issues.h"
#include "meta/meta.h"

#define NOW (1700000000 * NS_PER_S)

struct fixture {
    char dir[64], path[96];
    struct meta *m;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->err = (struct err)ERR_INIT;
    snprintf(f->dir, sizeof(f->dir), "/tmp/fl-meta-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/meta.db", f->dir);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    meta_close(f->m);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static struct api_key make(struct fixture *f, const char *name, uint32_t scopes, ts_ns expires,
                           char secret[64])
{
    struct api_key want = { .scopes = scopes, .expires = expires, .rate = 7 }, got;
    snprintf(want.name, sizeof(want.name), "%s", name);
    snprintf(want.agent, sizeof(want.agent), "svc-*");
    assert_int_equal(meta_key_create(f->m, &want, NOW, &got, secret, &f->err), 0);
    return got;
}

static void test_create_find(void **state)
{
    struct fixture *f = *state;
    char secret[64], other[64];
    assert_int_equal(meta_key_count(f->m), 0);
    struct api_key k = make(f, "ci", SCOPE_INGEST | SCOPE_READ, 0, secret);
    assert_true(k.id > 0);
    assert_int_equal(strlen(secret), 49);
    assert_memory_equal(secret, "flk_", 4);
    assert_memory_equal(secret + 4, k.prefix, 12);
    assert_int_equal(meta_key_count(f->m), 1);

    struct api_key got;
    assert_true(meta_key_find(f->m, str_c(secret), NOW + 1, &got));
    assert_int_equal(got.id, k.id);
    assert_string_equal(got.name, "ci");
    assert_string_equal(got.agent, "svc-*");
    assert_int_equal(got.scopes, SCOPE_INGEST | SCOPE_READ);
    assert_int_equal(got.rate, 7);
    assert_int_equal(got.created, NOW);

    make(f, "other", SCOPE_ADMIN, 0, other);
    assert_string_not_equal(secret, other);
    secret[48] = secret[48] == 'a' ? 'b' : 'a'; /* right prefix, wrong secret */
    assert_false(meta_key_find(f->m, str_c(secret), NOW, &got));
    assert_false(meta_key_find(f->m, STR(""), NOW, &got));
    assert_false(meta_key_find(f->m, STR("flk_"), NOW, &got));
}

static void test_expiry_and_revocation(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    struct api_key got, k = make(f, "short", SCOPE_READ, NOW + NS_PER_S, secret);
    assert_true(meta_key_find(f->m, str_c(secret), NOW, &got));
    assert_false(meta_key_find(f->m, str_c(secret), NOW + NS_PER_S, &got));
    assert_int_equal(meta_key_count(f->m), 1); /* an expiry never opens a server */
    assert_true(meta_key_any(f->m));
    assert_true(meta_key_usable(f->m, k.id, NOW));
    assert_false(meta_key_usable(f->m, k.id, NOW + NS_PER_S));
    assert_int_equal(meta_key_revoke(f->m, k.id, &f->err), 0);
    assert_false(meta_key_find(f->m, str_c(secret), NOW, &got));
    assert_int_equal(meta_key_count(f->m), 0);
    assert_true(meta_key_any(f->m)); /* nor does a revocation */
    assert_false(meta_key_usable(f->m, k.id, NOW));
    assert_false(meta_key_usable(f->m, 0, NOW));
    assert_int_equal(meta_key_revoke(f->m, 999, &f->err), ERR_NOTFOUND);
}

static void test_list_and_reopen(void **state)
{
    struct fixture *f = *state;
    char first[64], second[64];
    make(f, "first", SCOPE_READ, 0, first);
    struct api_key k2 = make(f, "second", SCOPE_ALL, 0, second);
    assert_int_equal(meta_key_revoke(f->m, k2.id, &f->err), 0);
    meta_close(f->m);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);

    struct arena a;
    arena_init(&a, 1 << 20);
    struct api_key *keys;
    uint32_t n;
    assert_int_equal(meta_key_list(f->m, &a, &keys, &n, &f->err), 0);
    assert_int_equal(n, 2);
    assert_string_equal(keys[0].name, "first");
    assert_false(keys[0].revoked);
    assert_string_equal(keys[1].name, "second");
    assert_true(keys[1].revoked);
    arena_deinit(&a);
    struct api_key got;
    assert_true(meta_key_find(f->m, str_c(first), NOW, &got));
    assert_false(meta_key_find(f->m, str_c(second), NOW, &got));
}

static void test_secret_not_on_disk(void **state)
{
    struct fixture *f = *state;
    char secret[64], bytes[65536];
    make(f, "x", SCOPE_READ, 0, secret);
    FILE *file = fopen(f->path, "rb");
    size_t n = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_true(n > 4096);
    assert_null(memmem(bytes, n, secret + 17, 32));
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_static_keys(void **state)
{
    struct fixture *f = *state;
    struct api_key got;
    assert_int_equal(meta_key_static(f->m, STR("short"), SCOPE_ALL, &f->err), ERR_INVALID);
    assert_int_equal(meta_key_static(f->m, STR("a-static-key"), SCOPE_ALL, &f->err), 0);
    assert_int_equal(meta_key_count(f->m), 1);
    assert_true(meta_key_find(f->m, STR("a-static-key"), NOW, &got));
    assert_int_equal(got.id, UINT32_MAX);
    assert_false(meta_key_find(f->m, STR("a-static-kez"), NOW, &got));
    struct meta *again;
    assert_int_equal(meta_open(&again, f->path, true, &f->err), 0);
    assert_int_equal(meta_key_count(again), 0);
    assert_false(meta_key_any(again));
    assert_true(meta_key_any(f->m) && meta_key_usable(f->m, UINT32_MAX, NOW));
    meta_close(again);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct api_key got, want = { .scopes = SCOPE_READ };
    char secret[64];
    assert_int_equal(meta_key_create(f->m, &want, NOW, &got, secret, &f->err), ERR_INVALID);
    memcpy(want.name, "a\nb", 4);
    assert_int_equal(meta_key_create(f->m, &want, NOW, &got, secret, &f->err), ERR_INVALID);
    memcpy(want.name, "fine", 5);
    want.scopes = 0;
    assert_int_equal(meta_key_create(f->m, &want, NOW, &got, secret, &f->err), ERR_INVALID);
    want.scopes = SCOPE_READ;
    want.expires = NOW - 1;
    assert_int_equal(meta_key_create(f->m, &want, NOW, &got, secret, &f->err), ERR_INVALID);
    want.expires = 0;
    struct meta *ro;
    assert_int_equal(meta_open(&ro, f->path, true, &f->err), 0);
    assert_int_equal(meta_key_create(ro, &want, NOW, &got, secret, &f->err), ERR_DENIED);
    assert_int_equal(meta_key_revoke(ro, 1, &f->err), ERR_DENIED);
    meta_close(ro);
    assert_int_equal(meta_open(&ro, "/tmp/fl-meta-none/meta.db", true, &f->err), ERR_NOTFOUND);
    assert_int_equal(meta_open(&ro, "/tmp/fl-meta-none/meta.db", false, &f->err), ERR_IO);
}

static void test_bad_files(void **state)
{
    struct fixture *f = *state;
    meta_close(f->m);
    f->m = NULL;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL);
    sqlite3_close(db);
    struct meta *m;
    assert_int_equal(meta_open(&m, f->path, false, &f->err), ERR_UNSUPPORTED);
    FILE *file = fopen(f->path, "wb");
    fputs("this is no database at all, whatever its name may be", file);
    for (int i = 0; i < 2000; i++)
        fputc('x', file);
    fclose(file);
    assert_int_equal(meta_open(&m, f->path, false, &f->err), ERR_CORRUPT);
}

/* another process revokes a key: the server's handle notices by itself */
static void test_other_handle(void **state)
{
    struct fixture *f = *state;
    char secret[64], late[64];
    struct api_key got, k = make(f, "x", SCOPE_READ, 0, secret);
    struct meta *other;
    assert_int_equal(meta_open(&other, f->path, false, &f->err), 0);
    assert_true(meta_key_find(f->m, str_c(secret), NOW, &got));
    assert_int_equal(meta_key_revoke(other, k.id, &f->err), 0);
    struct api_key want = { .name = "late", .scopes = SCOPE_READ };
    assert_int_equal(meta_key_create(other, &want, NOW, &got, late, &f->err), 0);
    bool gone = false;
    for (int i = 0; i < 300 && !gone; i++) {
        usleep(10000);
        gone = !meta_key_find(f->m, str_c(secret), NOW, &got);
    }
    assert_true(gone);
    assert_true(meta_key_find(f->m, str_c(late), NOW, &got));
    meta_close(other);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    char secret[64];
    make(f, "x", SCOPE_READ, 0, secret);
    for (uint64_t n = 1; n <= 4; n++) {
        struct meta *m = NULL;
        mem_fail_at(n, 0);
        int rc = meta_open(&m, f->path, false, &f->err);
        mem_fail_at(0, 0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        if (rc == 0)
            meta_close(m);
    }
}

/* states of issues: all or none, across handles, with a bounded history */
static void test_issues(void **state)
{
    struct fixture *f = *state;
    struct arena a;
    struct meta_issue *v, two[2] = { 0 };
    uint32_t n;
    arena_init(&a, 16u << 20);
    assert_int_equal(meta_issues(f->m, &a, &v, &n, &f->err), 0);
    assert_int_equal(n, 0);
    two[0] = (struct meta_issue){ .id = UINT64_MAX,
                                  .state = ISSUE_IGNORED,
                                  .line = 7,
                                  .marks = 2,
                                  .at = NOW,
                                  .by = STR("ana"),
                                  .note = STR("a\"b\0c"),
                                  .until = NOW + 1,
                                  .until_count = 3 };
    two[1] = (struct meta_issue){ .id = 5,
                                  .state = ISSUE_OPEN,
                                  .cause = CAUSE_ENTRY,
                                  .regressed = true,
                                  .seq = 99,
                                  .entry = STR("e"),
                                  .session = STR("s"),
                                  .agent = STR("g") };
    assert_int_equal(meta_issues_set(f->m, two, 2, &f->err), 0);
    meta_close(f->m);
    assert_int_equal(meta_open(&f->m, f->path, false, &f->err), 0);
    assert_int_equal(meta_issues(f->m, &a, &v, &n, &f->err), 0);
    assert_int_equal(n, 2);
    assert_true(v[0].id == UINT64_MAX && v[0].state == ISSUE_IGNORED && v[0].line == 7 &&
                v[0].marks == 2 && v[0].until == NOW + 1 && v[0].until_count == 3);
    assert_true(str_eq(v[0].by, STR("ana")) && str_eq(v[0].note, STR("a\"b\0c")));
    assert_true(v[1].id == 5 && v[1].regressed && v[1].cause == CAUSE_ENTRY && v[1].seq == 99);
    assert_true(str_eq(v[1].entry, STR("e")) && str_eq(v[1].session, STR("s")) &&
                str_eq(v[1].agent, STR("g")));
    struct meta_issue many[META_ISSUE_CHANGES_MAX + 50];
    for (uint32_t i = 0; i < META_ISSUE_CHANGES_MAX + 50; i++)
        many[i] = (struct meta_issue){ .id = 5, .at = i + 1 };
    assert_int_equal(meta_issues_set(f->m, many, META_ISSUE_CHANGES_MAX + 50, &f->err), 0);
    assert_int_equal(meta_issue_changes(f->m, 5, 100000, &a, &v, &n, &f->err), 0);
    assert_int_equal(n, META_ISSUE_CHANGES_MAX);
    assert_int_equal(v[0].at, META_ISSUE_CHANGES_MAX + 50);
    assert_int_equal(v[n - 1].at, 51);
    assert_int_equal(meta_issue_changes(f->m, UINT64_MAX, 10, &a, &v, &n, &f->err), 0);
    assert_int_equal(n, 1);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_issues, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry_and_revocation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_and_reopen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_not_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_static_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_handle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
