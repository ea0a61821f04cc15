/* query_id_test.c: `id:UUID` finds an entry by the id the server made for it.
 *
 * Such ids are not stored: they follow from the sequence number and the receive time. So the tests
 * ask by every spelling, in memory, flushed, merged and after a restart, with pruning and without,
 * and compare with what store_find_id says. */
#include "model/ident.h"
#include "query/query.h"
#include "store_kit.h"

#define ROWS 300
#define CLIENT_ID "0a0b0c0d-1111-4222-8333-444455556666"

struct ids {
    char text[ROWS + 1][ID_TEXT + 1]; /* by n */
    uint32_t n;
};

static int id_row(void *ctx, const struct query_row *row, struct err *err)
{
    struct ids *ids = ctx;
    (void)err;
    assert_int_equal(row->ncells, 2);
    assert_int_equal(row->cells[0].v.t, V_I64);
    assert_int_equal(row->cells[1].v.s.n, ID_TEXT);
    assert_true(row->cells[0].v.i <= ROWS);
    memcpy(ids->text[row->cells[0].v.i], row->cells[1].v.s.p, ID_TEXT);
    ids->n++;
    return 0;
}

static void run(struct store *s, const char *text, bool no_prune, struct ids *ret)
{
    struct query_opts o;
    struct query_result res;
    struct query *q;
    struct err err = ERR_INIT;
    struct query_sink sink = { .ctx = ret, .row = id_row };
    query_opts_default(&o);
    o.unlimited = true;
    o.no_prune = no_prune;
    memset(ret, 0, sizeof *ret);
    if (query_parse(&q, str_c(text), &o, &err))
        fail_msg("%s: %s", text, err.msg);
    if (query_run(q, s, &sink, NULL, &res, &err))
        fail_msg("%s: %s", text, err.msg);
    query_free(q);
}

static void append_with_id(struct store *s, const char *id, int64_t n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    size_t bytes;
    arena_init(&a, 1u << 20);
    buf_init(&out, 1u << 20);
    assert_int_equal(batch_new(&b, &a, &err), 0);
    assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), KIT_T0));
    assert_true(bcol_put_text(batch_col(b, STR("id"), V_STR), str_c(id)));
    assert_true(bcol_put_i64(batch_col(b, STR("\x01n"), V_I64), n));
    batch_end_row(b);
    assert_int_equal(batch_encode(b, &out, &err), 0);
    arena_deinit(&a);
    char *p = buf_take(&out, &bytes);
    assert_int_equal(store_append_wait(s, p, bytes, 1, NULL, &err), 0);
}

static void one(struct store *s, const char *query, int64_t n)
{
    static struct ids got;
    for (int no_prune = 0; no_prune < 2; no_prune++) {
        run(s, query, no_prune, &got);
        if (got.n != (n >= 0 ? 1u : 0u) || (n >= 0 && !got.text[n][0]))
            fail_msg("%s found %u entries, want %s", query, got.n, n >= 0 ? "that one" : "none");
    }
}

/* every '@' of the query stands for the id */
static void one_id(struct store *s, const char *query, const char *id, int64_t n)
{
    struct buf b;
    buf_init(&b, 4096);
    for (const char *c = query; *c; c++) {
        if (*c == '@')
            buf_puts(&b, id);
        else
            buf_putc(&b, *c);
    }
    buf_putc(&b, 0);
    assert_true(buf_ok(&b));
    one(s, b.p, n);
    buf_deinit(&b);
}

/* each spelling of the question, for some entries */
static void ask(struct store *s, const struct ids *ids)
{
    static struct ids got;
    char upper[ID_TEXT + 1], query[400];
    struct err err = ERR_INIT;
    for (int64_t n = 0; n < ROWS; n += 37) {
        const char *id = ids->text[n];
        uint64_t seq;
        one_id(s, "id:@ | fields n, id", id, n);
        one_id(s, "id=@ | fields n, id", id, n);
        one_id(s, "id:\"@\" | fields n, id", id, n);
        one_id(s, "id in (x, @) | fields n, id", id, n);
        one_id(s, "id:(nothing OR @) | fields n, id", id, n);
        one_id(s, "* | fields n, id | where id:@", id, n);
        one_id(s, "id:@ -id:@ | fields n, id", id, -1);
        one_id(s, "id:@ id!=@ | fields n, id", id, -1);
        snprintf(query, sizeof query, "id:%.30s* id:*%s | fields n, id", id, id + 10);
        one(s, query, n);
        one_id(s, "id:/^@$/ | fields n, id", id, n);
        assert_int_equal(store_find_id(s, str_c(id), &seq, &err), 0);
        snprintf(query, sizeof query, "id:%s seq=%llu | fields n, id", id, (unsigned long long)seq);
        one(s, query, n);
        for (size_t i = 0; i <= ID_TEXT; i++)
            upper[i] = id[i] >= 'a' && id[i] <= 'f' ? (char)(id[i] - 32) : id[i];
        assert_int_equal(store_find_id(s, str_c(upper), &seq, &err), 0);
        one_id(s, "id:@ | fields n, id", upper, n);
        snprintf(query, sizeof query, "id!=%s | fields n, id", id);
        run(s, query, false, &got);
        assert_int_equal(got.n, ROWS);
        assert_false(got.text[n][0]);
    }
}

static void ask_all(struct store *s, const struct ids *ids)
{
    static struct ids got;
    char near[ID_TEXT + 1];
    ask(s, ids);
    one(s, "id:" CLIENT_ID " | fields n, id", ROWS);
    one(s, "id=" CLIENT_ID " | fields n, id", ROWS);
    run(s, "id:* | fields n, id", false, &got);
    assert_int_equal(got.n, ROWS + 1);
    run(s, "-id:* | fields n, id", false, &got);
    assert_int_equal(got.n, 0);
    /* an id of another server, and a wrong digit in one of ours */
    one(s, "id:01890000-0000-7000-8000-000000000000 | fields n, id", -1);
    memcpy(near, ids->text[5], sizeof near);
    near[ID_TEXT - 1] = near[ID_TEXT - 1] == '0' ? '1' : '0';
    one_id(s, "id:@ | fields n, id", near, -1);
    /* the ids themselves are the same in every state */
    run(s, "* | fields n, id", false, &got);
    assert_int_equal(got.n, ROWS + 1);
    for (int n = 0; n <= ROWS; n++)
        assert_string_equal(got.text[n], ids->text[n]);
}

static void test_states(void **state)
{
    static struct ids ids;
    struct io *io;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(io_mem_new(&io, 1, &err), 0);
    struct store *s = kit_open(io, 24u << 20);
    for (uint32_t k = 0; k < ROWS; k += 100)
        assert_int_equal(kit_append(s, k, 100, &err), 0);
    append_with_id(s, CLIENT_ID, ROWS);
    run(s, "* | fields n, id", false, &ids);
    assert_int_equal(ids.n, ROWS + 1);
    assert_string_equal(ids.text[ROWS], CLIENT_ID);
    ask_all(s, &ids);
    store_close(s);
    s = kit_open(io, 24u << 20);
    ask_all(s, &ids); /* replayed from the log */
    assert_int_equal(store_flush(s, &err), 0);
    ask_all(s, &ids);
    store_close(s);
    s = kit_open(io, 24u << 20);
    ask_all(s, &ids);
    store_close(s);
    io_free(io);
}

static void test_merged(void **state)
{
    static struct ids ids;
    struct io *io;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(io_mem_new(&io, 2, &err), 0);
    struct store *s = kit_open(io, 24u << 20);
    append_with_id(s, CLIENT_ID, ROWS);
    for (uint32_t k = 0; k < ROWS; k += 50) {
        assert_int_equal(kit_append(s, k, 50, &err), 0);
        assert_int_equal(store_flush(s, &err), 0);
        io_mem_advance(io, NS_PER_S); /* another receive time */
    }
    run(s, "* | fields n, id", false, &ids);
    ask_all(s, &ids);
    assert_int_equal(store_merge(s, &err), 0);
    ask_all(s, &ids);
    store_close(s);
    s = kit_open(io, 24u << 20);
    ask_all(s, &ids);
    store_close(s);
    io_free(io);
}

/* the conditions the server builds by hand */
static void test_pred_eq(void **state)
{
    static struct ids ids;
    static uint8_t seen[ROWS + 1];
    struct io *io;
    struct arena a;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(io_mem_new(&io, 3, &err), 0);
    struct store *s = kit_open(io, 24u << 20);
    arena_init(&a, 1u << 20);
    assert_int_equal(kit_append(s, 0, ROWS, &err), 0);
    run(s, "* | fields n, id", false, &ids);
    for (int flushed = 0; flushed < 2; flushed++) {
        for (int n = 0; n < ROWS; n += 41) {
            struct pred *p = pred_eq(&a, F_ID, str_c(ids.text[n]));
            assert_non_null(p);
            assert_int_equal(kit_read_all(s, p, seen, ROWS, &err), 1);
            assert_int_equal(seen[n], 1);
            assert_int_equal(kit_read_all(s, pred_not(&a, p), seen, ROWS, &err), ROWS - 1);
            assert_int_equal(seen[n], 0);
        }
        assert_int_equal(store_flush(s, &err), 0);
    }
    arena_deinit(&a);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_pred_eq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
