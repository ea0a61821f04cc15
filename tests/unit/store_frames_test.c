/* store_frames_test.c: columns of large texts, in frames: rows asked for a few at a time are what a
 * full load gives and what was put in, with large values and without, flushed and merged. */
#include "store_kit.h"

#include "base/hash.h"

#define ROWS 1600
#define TEXT 4000
#define LARGE 20000
static char words[64 * 1024];
static uint64_t dice_at;

static uint64_t dice(uint64_t n)
{
    return hash_mix(dice_at += 0x9e3779b97f4a7c15ull) % n;
}

static bool has_input(uint64_t k)
{
    return k % 5 != 0;
}

/* input: some are large values; output: none is */
static str text_of(uint64_t k, enum field f)
{
    uint64_t h = hash_mix(k * 2 + (f == F_OUTPUT));
    size_t n = f == F_INPUT && k % 97 == 1 ? LARGE : h >> 32 & 7 ? h % TEXT + 1 : 0;
    return str_n(words + h % (sizeof words - LARGE), n);
}

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
        if (has_input(k))
            assert_true(bcol_put_text(batch_col(b, STR("input"), V_STR), text_of(k, F_INPUT)));
        assert_true(bcol_put_text(batch_col(b, STR("output"), V_STR), text_of(k, F_OUTPUT)));
        assert_true(kit_row(b, &a, k));
    }
    kit_ok(batch_encode(b, &out, &err), &err);
    arena_deinit(&a);
    size_t bytes;
    char *p = buf_take(&out, &bytes);
    kit_ok(store_append_wait(s, p, bytes, n, NULL, &err), &err);
}

static uint32_t column(const struct block *b, enum field f)
{
    for (uint32_t c = 0; c < b->ncols; c++)
        if (str_eq(b->cols[c].key, field_table[f].name))
            return c;
    fail_msg("no column %.*s", STR_FMT(field_table[f].name));
    return 0;
}

static void check_row(struct block *b, const struct colv *c, uint32_t r, enum field f)
{
    int rc;
    struct err err = ERR_INIT;
    uint64_t k = kit_check(b, r, &rc, &err);
    kit_ok(rc, &err);
    assert_int_equal(colv_has(c, r), f == F_OUTPUT || has_input(k));
    if (colv_has(c, r))
        assert_true(str_eq(colv_text(c, r), text_of(k, f)));
}

/* A few rows, again and again; single values; then all. */
static void check_column(struct block *b, enum field f)
{
    struct err err = ERR_INIT;
    const struct colv *c;
    uint32_t at = column(b, f);
    uint64_t all[BLOCK_WORDS] = { 0 };
    for (uint32_t step = 0; step < 6; step++) {
        uint64_t sel[BLOCK_WORDS] = { 0 };
        for (uint64_t n = dice(8); n > 0; n--)
            bit_set(sel, dice(b->n));
        kit_ok(block_load_rows(b, at, sel, &c, &err), &err);
        for (size_t i = 0; i < BLOCK_WORDS; i++)
            all[i] |= sel[i];
        for (size_t r = bits_next(all, 0, b->n); r < b->n; r = bits_next(all, r + 1, b->n))
            check_row(b, c, (uint32_t)r, f);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct val v;
        uint32_t r = (uint32_t)dice(b->n);
        kit_ok(block_value(b, at, r, &v, &err), &err);
        assert_int_equal(v.absent, !colv_has(c, r));
        bit_set(all, r);
        kit_ok(block_load_rows(b, at, all, &c, &err), &err);
        check_row(b, c, r, f);
        assert_true(v.absent || str_eq(v.s, colv_text(c, r)));
    }
    kit_ok(block_load(b, at, &c, &err), &err);
    for (uint32_t r = 0; r < b->n; r++)
        check_row(b, c, r, f);
}

/* Every block; returns the rows. fewest: the fewest rows a block had */
static uint64_t check_blocks(struct store *s, uint32_t *fewest)
{
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;
    uint64_t rows = 0;
    int rc = store_scan(s, &(struct scan_plan){ 0 }, &sc, &err);
    *fewest = UINT32_MAX;
    while (!rc && (rc = scan_next(sc, &sb, &err)) == 0) {
        check_column(sb.block, F_OUTPUT);
        check_column(sb.block, F_INPUT);
        rows += sb.block->n;
        *fewest = sb.block->n < *fewest ? sb.block->n : *fewest;
    }
    assert_int_equal(rc, 1);
    assert_false(scan_get_cost(sc)->incomplete);
    scan_close(sc);
    return rows;
}

struct found {
    int64_t rows;
    uint64_t decoded;
};

static struct found find(struct store *s, const struct pred *filter)
{
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;
    struct found n = { 0 };
    int rc = store_scan(s, &(struct scan_plan){ .filter = filter }, &sc, &err);
    while (!rc && (rc = scan_next(sc, &sb, &err)) == 0)
        n.rows += (int64_t)bits_count(sb.sel, sb.block->n);
    assert_int_equal(rc, 1);
    n.decoded = scan_get_cost(sc)->bytes_decoded;
    scan_close(sc);
    return n;
}

/* A search unpacks the texts of rows that other tests left over: fewer bytes, the same rows. */
static void check_search(struct store *s)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    int64_t want = 0, one = 0;
    for (uint64_t k = 0; k < ROWS; k++) {
        str t = text_of(k, F_INPUT);
        bool hit = has_input(k) && memmem(t.p, t.n, "qzqzx", 5);
        want += hit;
        one += hit && k == 801;
    }
    struct pred *text = pred_substr(&a, F_INPUT, STR("qzqzx"), false);
    struct found all = find(s, text);
    assert_int_equal(all.rows, want);
    struct pred *both =
        pred_and(&a, text, pred_eq(&a, F_MESSAGE, kit_dup(&a, "message number %llu of many", 801)));
    struct found few = find(s, both);
    assert_int_equal(few.rows, one);
    assert_true(few.decoded < all.decoded);
    arena_deinit(&a);
}

static void test_every_state(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    uint32_t fewest;
    struct io *io = kit_disk();
    for (size_t i = 0; i < sizeof words; i++)
        words[i] = "agent tool {\"k\": qz}x"[hash_mix(i / 3) % 21];
    for (size_t i = 100; i + 5 < sizeof words; i += 3000)
        memcpy(words + i, "qzqzx", 5);
    struct store *s = kit_open(io, 64u << 20);
    for (uint64_t k = 0; k < ROWS; k += 50)
        append(s, k, 50);
    assert_int_equal(check_blocks(s, &fewest), ROWS); /* in memory */
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(check_blocks(s, &fewest), ROWS);
    assert_true(fewest >= ROWS / 2); /* each with megabytes of text */
    check_search(s);
    for (uint64_t k = ROWS; k < ROWS + 400; k += 50)
        append(s, k, 50);
    kit_ok(store_flush(s, &err), &err);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    assert_int_equal(check_blocks(s, &fewest), ROWS + 400);
    store_close(s);
    kit_ok(store_verify(io, &(struct verify_report){ 0 }, &err), &err);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_state) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
