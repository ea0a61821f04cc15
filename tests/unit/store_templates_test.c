/* store_templates_test.c: the templates of messages are counted the same in memory, flushed,
 * merged and after a restart, and hostile messages do not make a segment larger. */
#include "store_kit.h"

#include "codec/template.h"

static struct store *open_store(struct io *io, size_t memtable)
{
    struct store *s;
    struct store_config cfg;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.create = true;
    if (memtable)
        cfg.memtable_bytes = memtable;
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    return s;
}

/* n messages made of the format, which has one %llu */
static void append(struct store *s, const char *fmt, uint64_t first, uint32_t n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    size_t bytes;
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    kit_ok(batch_new(&b, &a, &err), &err);
    for (uint64_t k = first; k < first + n; k++) {
        assert_true(bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), KIT_T0 + (ts_ns)k) &&
                    bcol_put_i64(batch_col(b, STR("level"), V_I64), (int64_t)(k % 6)) &&
                    kit_put(batch_col(b, STR("message"), V_STR), kit_dup(&a, fmt, k)));
        batch_end_row(b);
    }
    kit_ok(batch_encode(b, &out, &err), &err);
    char *p = buf_take(&out, &bytes);
    kit_ok(store_append_wait(s, p, bytes, n, NULL, &err), &err);
    arena_deinit(&a);
}

static void check(struct store *s)
{
    struct arena a;
    struct template_stat *v;
    struct err err = ERR_INIT;
    uint32_t n;
    uint64_t other, levels = 0;
    arena_init(&a, 1u << 30);
    kit_ok(store_templates(s, 10, &a, &v, &n, &other, &err), &err);
    assert_int_equal(n, 2);
    assert_int_equal(other, 5);
    assert_true(str_eq(v[0].text, STR("retry \x11 of job")));
    assert_int_equal(v[0].entries, 300);
    assert_int_equal(v[0].first, KIT_T0);
    assert_int_equal(v[0].last, KIT_T0 + 299);
    assert_int_equal(v[0].example_seq, 1);
    assert_int_equal(v[1].entries, 100);
    assert_int_equal(v[1].id, template_id(STR("opened \x12")));
    for (int l = 0; l < LV__COUNT; l++)
        levels += v[0].levels[l];
    assert_int_equal(levels, 300);
    assert_int_equal(v[0].levels[LV_WARN], 50);
    kit_ok(store_templates(s, 1, &a, &v, &n, &other, &err), &err);
    assert_int_equal(n, 1);
    assert_int_equal(other, 105);
    arena_deinit(&a);
}

static void same_in_every_state(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = open_store(io, 0);
    append(s, "retry %llu of job", 0, 200);
    append(s, "opened f%llux", 1000, 100);
    append(s, "mark \x12 in %llu", 2000, 5);
    append(s, "retry %llu of job", 200, 100);
    check(s);
    kit_ok(store_flush(s, &err), &err);
    check(s);
    store_close(s);
    s = open_store(io, 0);
    check(s);
    kit_ok(store_merge(s, &err), &err);
    check(s);
    store_close(s);
    io_free(io);
}

/* Every message another template: the section stays small. */
static void hostile_messages(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct arena a;
    struct template_stat *v;
    struct err err = ERR_INIT;
    struct store *s = open_store(io, 0);
    uint32_t n;
    uint64_t other, entries = 0;
    for (uint32_t i = 0; i < 6000; i++) {
        char fmt[64];
        for (uint32_t k = 0; k < 40; k++)
            fmt[k] = (char)('a' + (i * 2654435761u >> (k % 27)) % 26);
        memcpy(fmt + 40, " %llu", 6);
        append(s, fmt, i, 1);
    }
    kit_ok(store_flush(s, &err), &err);
    arena_init(&a, 1u << 30);
    kit_ok(store_templates(s, 10000, &a, &v, &n, &other, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        entries += v[i].entries;
    assert_int_equal(entries + other, 6000);
    assert_true(n <= 256 * kit_status(s).segments);
    arena_deinit(&a);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_in_every_state),
        cmocka_unit_test(hostile_messages),
    };
    return cmocka_run_group_tests_name("store_templates", tests, NULL, NULL);
}
