/* store_columns_test.c: many columns: small pages in bundles, columns that the footer does not
 * name, the bound on the list of fields; read back in every state. */
#include "store_kit.h"

#define KEYS 20000 /* of the rows 0 .. ROWS - 1, KEYS_ROW each */
#define KEYS_ROW 4
#define ROWS (KEYS / KEYS_ROW)

static void put_key(char out[32], uint64_t i)
{
    snprintf(out, 32, "\x01long_tail_%llu", (unsigned long long)i);
}

/* row k has the columns KEYS_ROW * k .. + KEYS_ROW - 1; texts and numbers by turns */
static void append(struct store *s, uint64_t first, uint32_t n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    kit_ok(batch_new(&b, &a, &err), &err);
    for (uint64_t k = first; k < first + n; k++) {
        for (uint64_t i = KEYS_ROW * k; i < KEYS_ROW * (k + 1); i++) {
            char key[32];
            put_key(key, i);
            str name = arena_dup(&a, str_c(key));
            if (i % 2)
                assert_true(bcol_put_i64(batch_col(b, name, V_I64), (int64_t)i * 7));
            else
                assert_true(kit_put(batch_col(b, name, V_STR), kit_dup(&a, "value %llu", i)));
        }
        assert_true(kit_row(b, &a, k));
    }
    kit_ok(batch_encode(b, &out, &err), &err);
    arena_deinit(&a);
    size_t bytes;
    char *p = buf_take(&out, &bytes);
    kit_ok(store_append_wait(s, p, bytes, n, NULL, &err), &err);
}

/* Every row has its columns and no column of the row before it. */
static void check(struct store *s)
{
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;
    uint64_t rows = 0;
    int rc;
    kit_ok(store_scan(s, &(struct scan_plan){ .order = SCAN_SEQ }, &sc, &err), &err);
    while ((rc = scan_next(sc, &sb, &err)) == 0)
        for (uint32_t r = 0; r < sb.block->n; r++, rows++) {
            uint64_t k = kit_check(sb.block, r, &rc, &err);
            assert_int_equal(rc, 0);
            for (uint64_t i = KEYS_ROW * k - (k > 0); i < KEYS_ROW * (k + 1); i++) {
                struct arena a;
                struct fieldref f;
                struct val v;
                char key[32];
                arena_init(&a, 1u << 16);
                put_key(key, i);
                assert_true(fieldref_make(&a, str_skip(str_c(key), 1), false, &f));
                kit_ok(block_get(sb.block, r, &f, &v, &err), &err);
                assert_int_equal(v.absent, i < KEYS_ROW * k);
                if (!v.absent && i % 2)
                    assert_true(v.t == V_I64 && v.i == (int64_t)i * 7);
                else if (!v.absent)
                    assert_true(v.t == V_STR && str_eq(v.s, kit_dup(&a, "value %llu", i)));
                arena_deinit(&a);
            }
        }
    assert_int_equal(rc, 1);
    assert_false(scan_get_cost(sc)->incomplete);
    scan_close(sc);
    assert_int_equal(rows, ROWS);
}

static void check_fields(struct store *s)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct field_stat *v;
    uint32_t n, tail = 0;
    arena_init(&a, 64u << 20);
    kit_ok(store_fields(s, &a, 100000, &v, &n, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        if (str_starts(v[i].key, STR("\x01long_tail_"))) {
            tail++;
            assert_int_equal(v[i].entries, 1);
        }
    assert_int_equal(tail, KEYS);
    arena_deinit(&a);
}

static void test_every_state(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct io *io = kit_disk();
    struct store *s = kit_open(io, 64u << 20);
    for (uint64_t k = 0; k < ROWS; k += ROWS / 10) {
        append(s, k, ROWS / 10);
        if (k == 0 || k == ROWS / 2)
            kit_ok(store_flush(s, &err), &err);
    }
    check(s); /* some in memory */
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(kit_status(s).memtable_rows, 0);
    check(s); /* in segments */
    check_fields(s);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    check(s); /* merged */
    check_fields(s);
    store_close(s);
    s = kit_open(io, 64u << 20);
    check(s); /* opened again */
    check_fields(s);
    store_close(s);
    kit_ok(store_verify(io, &(struct verify_report){ 0 }, &err), &err);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
