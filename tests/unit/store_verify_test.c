/* store_verify_test.c: verify with `deep` finds what is wrong under good checksums. Each lie is
 * planted in what an open segment knows, or in its file, and must be named; nothing else may be. */
#include "store_kit.h"

#include "base/rd.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"

#define ROWS 5000

static struct err err = ERR_INIT;

struct found {
    struct io *io;
    struct store *s;
    struct seg *g;
};

static struct found opened(void)
{
    struct found f = { .io = kit_disk() };
    f.s = kit_open(f.io, 24u << 20);
    kit_ok(kit_append(f.s, 0, ROWS, &err), &err);
    kit_ok(store_flush(f.s, &err), &err);
    f.g = f.s->version->v[0];
    kit_ok(seg_open(f.g, &err), &err);
    return f;
}

static void closed(struct found *f)
{
    store_close(f->s);
    io_free(f->io);
}

/* problems that name `word`; all must, and there are some */
static void expect_told(struct seg *g, const char *word)
{
    struct buf text;
    struct verify_report rep = { .deep = true, .text = &text };
    buf_init(&text, 1u << 20);
    verify_deep_segment(g, &rep);
    str rest = buf_str(&text), line;
    uint64_t lines = 0;
    while (rest.n && str_split(&rest, '\n', &line))
        if (line.n) {
            lines++;
            if (str_find(line, str_c(word)) == SIZE_MAX)
                fail_msg("instead of '%s': %.*s", word, STR_FMT(line));
        }
    assert_int_equal(lines, rep.problems);
    if (!lines)
        fail_msg("nothing is said of '%s'", word);
    buf_deinit(&text);
}

static void expect_silence(struct seg *g)
{
    struct verify_report rep = { .deep = true };
    verify_deep_segment(g, &rep);
    assert_int_equal(rep.problems, 0);
}

static void test_ranges(void **state)
{
    (void)state;
    struct found f = opened();
    struct seg *g = f.g;
    expect_silence(g);
    g->blocks[0].t_max -= 50000 * NS_PER_MS;
    expect_told(g, "a time is outside");
    g->blocks[0].t_max += 50000 * NS_PER_MS;
    g->m.recv_min += NS_PER_DAY;
    expect_told(g, "receipt");
    g->m.recv_min -= NS_PER_DAY;
    g->blocks[0].seq_min += 1;
    expect_told(g, "a sequence number is outside");
    g->blocks[0].seq_min -= 1;
    g->m.level_mask &= ~(1u << LV_WARN);
    expect_told(g, "a level is missing");
    g->m.level_mask |= 1u << LV_WARN;
    expect_silence(g);
    closed(&f);
}

/* Any byte of the summary changed: it no longer decodes, or it differs. */
static void test_summary(void **state)
{
    (void)state;
    struct found f = opened();
    char *p = (char *)f.g->rollup_bytes.p;
    size_t n = f.g->rollup_bytes.n;
    for (size_t i = 0; i < n; i++) {
        p[i] ^= 4;
        expect_told(f.g, "summary");
        p[i] ^= 4;
    }
    expect_silence(f.g);
    closed(&f);
}

static struct seg_col column(struct seg *g, const char *key)
{
    struct arena a;
    struct sblock *sb;
    struct seg_col c = { 0 };
    arena_init(&a, 1u << 24);
    kit_ok(sblock_open(g, 0, &a, &sb, &err), &err);
    struct block *b = sblock_block(sb);
    for (uint32_t i = 0; i < b->ncols; i++)
        if (str_eq(b->cols[i].key, str_c(key)))
            c = sblock_cols(sb)[i];
    block_close(b);
    arena_deinit(&a);
    assert_true(c.nvals > 0);
    return c;
}

static void overwrite(struct found *f, uint64_t at, const void *p, size_t n)
{
    struct io_file *file;
    char path[PATH_MAX_STORE];
    seg_path(&f->g->m, path);
    kit_ok(f->io->ops->open(f->io, &file, path, IO_WRITE, &err), &err);
    kit_ok(file->io->ops->pwrite(file, p, n, at, &err), &err);
    io_close(file);
}

static void test_filters(void **state)
{
    (void)state;
    static const char zero[1 << 16];
    static const char *const keys[] = { "message", "session_id" };
    for (int i = 0; i < 2; i++) {
        struct found f = opened();
        struct seg_col c = column(f.g, keys[i]);
        assert_true(c.filter_kind != FILTER_NONE && c.filter_len <= sizeof zero);
        overwrite(&f, c.filter_off, zero, c.filter_len);
        expect_told(f.g, "filter denies");
        closed(&f);
    }
}

/* the directory's bytes with one place changed, under a checksum that fits */
static void test_statistics(void **state)
{
    (void)state;
    struct found f = opened();
    struct seg_block *e = &f.g->blocks[0];
    struct seg_col c = column(f.g, "\x01n");
    char *dir = mem_alloc(e->dir_len), min[8];
    kit_ok(seg_read_at(f.g, dir, e->dir_len, e->dir_off, &err), &err);
    uint32_t at = 0;
    uint8_t both[16];
    put_le64(both, (uint64_t)c.imin);
    put_le64(both + 8, (uint64_t)c.imax);
    while (at + 16 < e->dir_len && memcmp(dir + at, both, 16) != 0)
        at++;
    assert_true(at + 16 < e->dir_len);
    put_le64(min, (uint64_t)c.imin + 1);
    memcpy(dir + at, min, 8);
    overwrite(&f, e->dir_off, dir, e->dir_len);
    e->dir_crc = addr_crc(f.s, f.g->m.id, e->dir_off, dir, e->dir_len);
    expect_told(f.g, "minimum and maximum");
    mem_free(dir);
    closed(&f);
}

static void test_same_numbers(void **state)
{
    (void)state;
    struct found f = opened();
    kit_ok(kit_append(f.s, ROWS, 10, &err), &err);
    kit_ok(store_flush(f.s, &err), &err);
    struct verify_report rep = { .deep = true };
    verify_deep_store(f.s, &rep);
    assert_int_equal(rep.problems, 0);
    f.s->version->v[1]->m.seq_min -= 1;
    verify_deep_store(f.s, &rep);
    assert_int_equal(rep.problems, 1);
    closed(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),       cmocka_unit_test(test_summary),
        cmocka_unit_test(test_filters),      cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
