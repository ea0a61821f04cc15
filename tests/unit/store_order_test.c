/* store_order_test.c: the order of rows in a segment: a session's rows lie together, and the
 * sessions of an owner do, when a session has one owner. */
#include "store_kit.h"

#define SESSIONS 40
#define TURNS 25

static struct store *open_store(struct io *io)
{
    struct store *s;
    struct store_config cfg;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.create = true;
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    return s;
}

/* sessions take turns; owner_of says whose entry it is */
static void append_all(struct store *s, uint64_t (*owner_of)(uint64_t session, uint64_t turn))
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    size_t bytes;
    arena_init(&a, 1u << 28);
    buf_init(&out, 1u << 28);
    kit_ok(batch_new(&b, &a, &err), &err);
    for (uint64_t turn = 0; turn < TURNS; turn++)
        for (uint64_t k = 0; k < SESSIONS; k++) {
            ts_ns at = KIT_T0 + (ts_ns)(turn * SESSIONS + k);
            assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), at) &&
                        kit_put(batch_col(b, STR("session_id"), V_STR), kit_dup(&a, "s%llu", k)) &&
                        kit_put(batch_col(b, STR("\x01tenant"), V_STR),
                                kit_dup(&a, "t%llu", owner_of(k, turn))));
            batch_end_row(b);
        }
    kit_ok(batch_encode(b, &out, &err), &err);
    char *p = buf_take(&out, &bytes);
    kit_ok(store_append_wait(s, p, bytes, SESSIONS * TURNS, NULL, &err), &err);
    arena_deinit(&a);
}

/* how often the column's text changes from one row of the only block to the next */
static uint32_t changes(struct store *s, const char *key)
{
    struct scan *sc;
    struct scan_block sb;
    struct scan_plan plan = { .order = SCAN_ANY };
    struct err err = ERR_INIT;
    uint32_t n = 0;
    const struct colv *c = NULL;
    kit_ok(store_scan(s, &plan, &sc, &err), &err);
    assert_int_equal(scan_next(sc, &sb, &err), 0);
    assert_int_equal(sb.block->n, SESSIONS * TURNS);
    for (uint32_t i = 0; i < sb.block->ncols; i++)
        if (str_eq(sb.block->cols[i].key, str_c(key)))
            kit_ok(block_load(sb.block, i, &c, &err), &err);
    assert_non_null(c);
    for (uint32_t r = 1; r < sb.block->n; r++)
        n += !str_eq(colv_text(c, r - 1), colv_text(c, r));
    assert_int_equal(scan_next(sc, &sb, &err), 1);
    scan_close(sc);
    return n;
}

static uint64_t one_owner(uint64_t session, uint64_t turn)
{
    (void)turn;
    return session % 4;
}

static void owners_lie_together(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = open_store(io);
    append_all(s, one_owner);
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(changes(s, "session_id"), SESSIONS - 1);
    assert_int_equal(changes(s, "\x01tenant"), 3);
    store_close(s);
    io_free(io);
}

static uint64_t any_owner(uint64_t session, uint64_t turn)
{
    return (session + turn) % 4;
}

/* Sessions are not torn apart for a field that changes within them. */
static void sessions_come_first(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = open_store(io);
    append_all(s, any_owner);
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(changes(s, "session_id"), SESSIONS - 1);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_lie_together),
        cmocka_unit_test(sessions_come_first),
    };
    return cmocka_run_group_tests_name("store_order", tests, NULL, NULL);
}
