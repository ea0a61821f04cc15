/* store_blob_test.c: large values: cut into chunks, each stored once, found again whole in every
 * state of the store, and damage to them noticed. */
#include "store_kit.h"

#include "base/hash.h"
#include "store/columnar/blob.h"

/* ---- blobs alone: pages kept in memory ---- */

#define PAGES 256
struct disk {
    char *page[PAGES];
    uint32_t n[PAGES], npages;
};

static int disk_put(void *arg, str raw, struct blob_page *ret, struct err *err)
{
    struct disk *d = arg;
    (void)err;
    assert_true(d->npages < PAGES && raw.n <= BLOB_PAGE);
    d->page[d->npages] = mem_alloc(raw.n);
    memcpy(d->page[d->npages], raw.p, raw.n);
    *ret = (struct blob_page){ d->npages, (uint32_t)raw.n, (uint32_t)raw.n, 0 };
    d->n[d->npages++] = (uint32_t)raw.n;
    return 0;
}

struct reader {
    const struct disk *d;
    const struct blob_page *pages;
};

static int disk_load(void *arg, uint32_t page, const char **ret, struct err *err)
{
    struct reader *r = arg;
    (void)err;
    *ret = r->d->page[r->pages[page].off];
    return 0;
}

static uint64_t disk_bytes(const struct disk *d)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < d->npages; i++)
        n += d->n[i];
    return n;
}

static void disk_free(struct disk *d)
{
    for (uint32_t i = 0; i < d->npages; i++)
        mem_free(d->page[i]);
}

/* bytes that do not repeat: a function of the seed and the place */
static void noise(char *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + hash_mix(seed * 1000003 + i / 7) % 1000 * (i % 7 + 3) % 26);
}

/* one block of values in rows 0, 2, 4 ...; reads them back and compares */
static void round_trip(struct blobs *b, struct disk *d, const str *v, uint32_t n)
{
    struct err err = ERR_INIT;
    struct buf map, list;
    struct arena a;
    struct blob_page *pages;
    const struct blob_page *written;
    struct blob_map m;
    uint32_t npages, nread;
    arena_init(&a, 1u << 30);
    buf_init(&map, 1u << 26);
    buf_init(&list, 1u << 26);
    blobs_block(b);
    for (uint32_t i = 0; i < n; i++)
        kit_ok(blobs_add(b, 2 * i, v[i], &err), &err);
    blobs_map(b, &map);
    kit_ok(blobs_end_block(b, &written, &npages, &err), &err);
    blob_put_list(&list, written, npages);
    struct rd r = rd_of(list.p, list.n);
    assert_true(blob_read_list(&r, &a, &pages, &nread, &err));
    assert_int_equal(nread, npages);
    assert_int_equal(rd_left(&r), 0);
    kit_ok(blob_map_read(buf_str(&map), pages, npages, 2 * n, &a, &m, &err), &err);
    char *text = arena_alloc(&a, (size_t)m.offs[m.nvalues] + 1);
    kit_ok(blob_fill(&m, text, disk_load, &(struct reader){ d, pages }, &err), &err);
    assert_int_equal(m.nrows, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = m.value[i];
        assert_int_equal(m.rows[i], 2 * i);
        assert_int_equal(m.offs[k + 1] - m.offs[k], v[i].n);
        assert_memory_equal(text + m.offs[k], v[i].p, v[i].n);
    }
    /* one byte less or more is noticed, whatever it held */
    for (size_t cut = 0; cut < map.n; cut++)
        assert_int_not_equal(blob_map_read(str_n(map.p, cut), pages, npages, 2 * n, &a, &m, &err),
                             0);
    buf_putc(&map, 0);
    assert_int_not_equal(blob_map_read(buf_str(&map), pages, npages, 2 * n, &a, &m, &err), 0);
    arena_deinit(&a);
    buf_deinit(&map);
    buf_deinit(&list);
}

#define TURNS 60
static void test_a_growing_value_costs_what_is_new(void **state)
{
    static char text[TURNS * 3000];
    (void)state;
    struct blobs *b = blobs_new();
    struct disk d = { 0 };
    str v[TURNS];
    blobs_set_put(b, disk_put, &d);
    noise(text, sizeof text, 1);
    uint64_t all = 0;
    for (uint32_t i = 0; i < TURNS; i++) {
        v[i] = str_n(text, (i + 1) * 3000);
        all += v[i].n;
    }
    round_trip(b, &d, v, TURNS);
    assert_true(all > 5000000);
    assert_true(disk_bytes(&d) < sizeof text * 6); /* each turn: what is new, and one chunk */
    /* the next block goes on where this one ended */
    uint64_t before = disk_bytes(&d);
    round_trip(b, &d, v + TURNS - 5, 5);
    assert_int_equal(disk_bytes(&d), before);
    blobs_free(b);
    disk_free(&d);
}

static void test_equal_values_are_stored_once(void **state)
{
    static char text[300000];
    (void)state;
    struct blobs *b = blobs_new();
    struct disk d = { 0 };
    str v[200];
    blobs_set_put(b, disk_put, &d);
    noise(text, sizeof text, 2);
    for (uint32_t i = 0; i < 200; i++)
        v[i] = str_n(text + i % 3, sizeof text - 3);
    round_trip(b, &d, v, 200);
    assert_true(disk_bytes(&d) <
                sizeof text + 400000); /* shifted by a byte: chunks line up again */
    uint32_t n;
    blobs_values(b, &n);
    assert_int_equal(n, 3);
    blobs_free(b);
    disk_free(&d);
}

static void test_what_is_far_back_is_stored_again(void **state)
{
    (void)state;
    struct blobs *b = blobs_new();
    struct disk d = { 0 };
    size_t n = (size_t)BLOB_PAGE * (BLOB_WINDOW + 3);
    char *text = mem_alloc(n);
    str v[3];
    blobs_set_put(b, disk_put, &d);
    noise(text, n, 3);
    v[0] = str_n(text, 100000);
    v[1] = str_n(text, n);
    v[2] = str_n(text, 100000); /* equal to the first: the same value */
    round_trip(b, &d, v, 3);
    round_trip(b, &d, v, 1); /* another block: its chunks are out of the window */
    assert_true(disk_bytes(&d) > n + 90000);
    mem_free(text);
    blobs_free(b);
    disk_free(&d);
}

/* ---- in the store ---- */

#define ROWS 600
#define STEP 2500
static char history[8][ROWS / 8 * STEP + STEP];
#define SEEN 16384
static uint8_t seen[SEEN];

static str input_of(uint64_t k)
{
    return str_n(history[k % 8], (k / 8 + 1) * STEP);
}

static void append(struct store *s, uint64_t first, uint32_t n)
{
    struct arena a;
    struct buf out;
    struct batch *b;
    struct err err = ERR_INIT;
    char key[] = "input";
    arena_init(&a, 1u << 30);
    buf_init(&out, 1u << 30);
    kit_ok(batch_new(&b, &a, &err), &err);
    for (uint64_t k = first; k < first + n; k++) {
        if (k % 5)
            assert_true(bcol_put_text(batch_col(b, str_c(key), V_STR), input_of(k)));
        assert_true(kit_row(b, &a, k));
    }
    kit_ok(batch_encode(b, &out, &err), &err);
    arena_deinit(&a);
    size_t bytes;
    char *p = buf_take(&out, &bytes);
    kit_ok(store_append_wait(s, p, bytes, n, NULL, &err), &err);
}

/* Reads all rows: each input is what it was. Returns how many, < 0 on an error or a hole. */
static int64_t check_inputs(struct store *s, const struct pred *filter)
{
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;

    struct arena a;
    int64_t n = 0;
    arena_init(&a, 1u << 20);

    memset(seen, 0, sizeof seen);
    int rc = store_scan(s, &(struct scan_plan){ .filter = filter }, &sc, &err);
    while (!rc && (rc = scan_next(sc, &sb, &err)) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n && !rc;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            struct val v;
            uint64_t k = kit_check(sb.block, (uint32_t)i, &rc, &err);
            rc = rc ? rc : block_get_field(sb.block, (uint32_t)i, F_INPUT, &v, &err);
            if (rc)
                break;
            assert_true(k < SEEN && !seen[k]);
            seen[k] = 1;
            n++;
            assert_int_equal(v.absent, k % 5 == 0 || k >= ROWS);
            if (v.absent)
                continue;
            assert_int_equal(v.t, V_STR);
            assert_int_equal(v.s.n, input_of(k).n);
            assert_memory_equal(v.s.p, input_of(k).p, v.s.n);
        }
    if (rc == 1 && scan_get_cost(sc)->incomplete)
        rc = ERR_CORRUPT;
    scan_close(sc);
    arena_deinit(&a);
    return rc == 1 ? n : rc < 0 ? rc : ERR_CORRUPT;
}

static void check_state(struct store *s)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    assert_int_equal(check_inputs(s, NULL), ROWS);
    /* words in the middle of a history: found in every input that is long enough */
    str part = str_n(history[3] + 40 * STEP + 100, 60);
    uint64_t want = 0;
    for (uint64_t k = 3; k < ROWS; k += 8)
        want += k % 5 && input_of(k).n >= (size_t)(40 * STEP + 160);
    assert_int_equal(check_inputs(s, pred_substr(&a, F_INPUT, part, false)), want);
    assert_int_equal(check_inputs(s, pred_substr(&a, F_INPUT, STR("not in there"), false)), 0);
    arena_deinit(&a);
}

static struct io *filled(bool in_pieces)
{
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    for (uint32_t i = 0; i < 8; i++)
        noise(history[i], sizeof history[i], 100 + i);
    struct store *s = kit_open(io, 64u << 20);
    for (uint64_t k = 0; k < ROWS; k += 50) {
        append(s, k, 50);
        if (in_pieces)
            kit_ok(store_flush(s, &err), &err);
    }
    kit_ok(store_flush(s, &err), &err);
    store_close(s);
    return io;
}

static void test_every_state(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct io *io = kit_disk();
    for (uint32_t i = 0; i < 8; i++)
        noise(history[i], sizeof history[i], 100 + i);
    struct store *s = kit_open(io, 64u << 20);
    uint64_t raw = 0;
    for (uint64_t k = 0; k < ROWS; k += 50)
        append(s, k, 50);
    for (uint64_t k = 0; k < ROWS; k++)
        raw += input_of(k).n;
    check_state(s); /* in memory */
    kit_ok(store_flush(s, &err), &err);
    assert_int_equal(kit_status(s).memtable_rows, 0);
    check_state(s); /* flushed */
    assert_true(raw > 50000000);
    assert_true(kit_status(s).segment_bytes < sizeof history * 3);
    store_close(s);
    s = kit_open(io, 64u << 20);
    check_state(s); /* opened again */
    store_close(s);
    kit_ok(store_verify(io, &(struct verify_report){ 0 }, &err), &err);
    io_free(io);
}

/* Twelve small segments become one: blocks are written anew, and then once more after a deletion,
 * with their values. */
static void test_merged(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena a;
    uint64_t gone;
    struct io *io = filled(true);
    struct store *s = kit_open(io, 64u << 20);
    arena_init(&a, 1u << 20);
    assert_true(kit_status(s).segments > 1);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    check_state(s);
    assert_true(kit_status(s).segment_bytes < sizeof history * 3);
    kit_ok(store_delete(s, pred_eq(&a, F_AGENT, STR("agent-2")), false, &gone, &err), &err);
    assert_int_equal(check_inputs(s, NULL), ROWS - (int64_t)gone);
    store_close(s);
    kit_ok(store_verify(io, &(struct verify_report){ 0 }, &err), &err);
    arena_deinit(&a);
    io_free(io);
}

/* Full blocks are copied as they are, with the blob pages they use. */
static void test_copied(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct io *io = kit_disk();
    for (uint32_t i = 0; i < 8; i++)
        noise(history[i], sizeof history[i], 100 + i);
    struct store *s = kit_open(io, 64u << 20);
    for (uint32_t i = 0; i < 2; i++) {
        append(s, 500 + 50 * i, 50);
        kit_ok(kit_append(s, 1000 + 6000 * i, 6000, &err), &err);
        kit_ok(store_flush(s, &err), &err);
    }
    uint64_t apart = kit_status(s).segment_bytes;
    assert_int_equal(check_inputs(s, NULL), 12100);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    assert_true(kit_status(s).segment_bytes < apart + 1000);
    assert_int_equal(check_inputs(s, NULL), 12100);
    store_close(s);
    kit_ok(store_verify(io, &(struct verify_report){ 0 }, &err), &err);
    io_free(io);
}

struct segments {
    char path[8][64];
    uint32_t n;
};

static void on_segment(void *arg, const char *name, bool is_dir)
{
    struct segments *g = arg;
    if (!is_dir && g->n < 8 && strlen(name) == 16)
        snprintf(g->path[g->n++], 64, "%.16s", name);
}

static void on_day(void *arg, const char *name, bool is_dir)
{
    if (is_dir)
        snprintf(arg, 64, "p/%.40s", name);
}

/* A flipped bit anywhere in a segment with blob pages: never another value. */
static void test_flips(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct io *io = filled(false);
    struct segments g = { .n = 0 };
    char day[64] = "", path[160];
    uint32_t noticed = 0, flips = 0;
    struct store *whole = kit_open(io, 64u << 20);
    kit_ok(store_merge(whole, &err), &err);
    assert_int_equal(kit_status(whole).segments, 1);
    uint64_t size = kit_status(whole).segment_bytes;
    store_close(whole);
    kit_ok(io->ops->list(io, "p", on_day, day, &err), &err);
    kit_ok(io->ops->list(io, day, on_segment, &g, &err), &err);
    assert_true(g.n > 0);
    snprintf(path, sizeof path, "%.60s/%.20s", day, g.path[0]);
    for (uint64_t byte = 0; byte < size; byte += size / 30, flips++) {
        assert_true(io_mem_flip(io, path, byte, byte % 8));
        struct verify_report rep = { 0 };
        err_reset(&err);
        noticed += store_verify(io, &rep, &err) == ERR_CORRUPT;
        struct store_config cfg;
        struct store *s;
        store_config_default(&cfg);
        cfg.read_only = true;
        err_reset(&err);
        if (store_open(&s, io, &cfg, &err) == 0) {
            check_inputs(s, NULL); /* fails on a wrong value */
            store_close(s);
        }
        assert_true(io_mem_flip(io, path, byte, byte % 8));
    }
    assert_true(flips >= 30);
    assert_int_equal(noticed, flips);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_growing_value_costs_what_is_new),
        cmocka_unit_test(test_equal_values_are_stored_once),
        cmocka_unit_test(test_what_is_far_back_is_stored_again),
        cmocka_unit_test(test_every_state),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_copied),
        cmocka_unit_test(test_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
