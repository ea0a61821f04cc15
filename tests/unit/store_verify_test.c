/* store_verify_test.c: verify with `deep` finds what is wrong under good checksums. Each lie is
 * planted in what an open segment knows, or in its file, and must be named; nothing else may be. */
#include "store_kit.h"

#include "base/rd.h"
#include "codec/zip.h"
#include "store/columnar/impl.h"
#include "store/columnar/seg_format.h"
#include "store/columnar/seg_index.h"

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

/* Byte by byte, all but the version: none is taken for something else. */
static void lie_in_section(struct found *f, enum seg_section kind, const char *word)
{
    str section = f->g->sections[kind];
    char *p = (char *)section.p;
    assert_true(section.n > 1);
    for (size_t i = 1; i < section.n; i++) {
        p[i] ^= 4;
        expect_told(f->g, word);
        p[i] ^= 4;
    }
    expect_silence(f->g);
}

static void test_sections(void **state)
{
    (void)state;
    struct found f = opened();
    lie_in_section(&f, SECTION_GROUPS, "groups");
    lie_in_section(&f, SECTION_TEMPLATES, "templates");
    closed(&f);
}

/* A signature with nothing in it, under checksums that fit: of each kind. */
static void test_signatures(void **state)
{
    (void)state;
    struct found f = opened();
    const struct seg_index *x = f.g->index;
    uint32_t n = x->nmatrices;
    assert_true(n > 0);
    closed(&f);
    for (uint32_t k = 0; k < n; k++) {
        f = opened();
        const struct index_matrix *m = &f.g->index->matrices[k];
        uint64_t bytes = index_matrix_bytes(m);
        for (uint64_t i = 0; i * INDEX_CHUNK_DATA < bytes; i++) {
            char chunk[INDEX_CHUNK] = { 0 };
            uint64_t left = bytes - i * INDEX_CHUNK_DATA, at = m->off + i * INDEX_CHUNK;
            size_t len = left < INDEX_CHUNK_DATA ? (size_t)left : INDEX_CHUNK_DATA;
            put_le32(chunk + len, addr_crc(f.s, f.g->m.id, at, chunk, len));
            overwrite(&f, at, chunk, len + 4);
        }
        expect_told(f.g, "a signature denies");
        closed(&f);
    }
}

struct entries {
    uint64_t v[4096];
    size_t n;
};

static void keep_entry(void *arg, uint32_t hash, uint32_t block)
{
    struct entries *e = arg;
    assert_true(e->n < 4096);
    e->v[e->n++] = valmap_entry(hash, block);
}

/* One value fewer in the map, and another one instead: each entry in turn. */
static void test_value_map(void **state)
{
    (void)state;
    static struct entries e;
    struct found f = opened();
    struct seg_index *x = f.g->index;
    uint8_t page[VALMAP_PAGE + 8];
    size_t n;
    e.n = 0;
    kit_ok(index_map_each(f.g, x, 0, UINT32_MAX, keep_entry, &e, &err), &err);
    assert_true(e.n > 0 && x->npages == 1);
    for (size_t i = 0; i < e.n; i++) {
        e.v[i] += 1ull << 32;
        assert_int_equal(valmap_page_put(e.v, e.n, x->shape, page, &n), e.n);
        put_le32(page + n, addr_crc(f.s, f.g->m.id, x->map_off, page, n));
        overwrite(&f, x->map_off, page, n + 4);
        put_le32((char *)x->firsts, (uint32_t)(e.v[0] >> 32));
        x->map_bytes = n + 4;
        expect_told(f.g, "the value map denies");
        e.v[i] -= 1ull << 32;
    }
    closed(&f);
}

/* A block's directory as it is before it is packed, behind a byte 0 and its length. */
static size_t directory(struct seg *g, char *out, size_t cap)
{
    struct seg_block *e = &g->blocks[0];
    char *packed = mem_alloc(e->dir_len);
    kit_ok(seg_read_at(g, packed, e->dir_len, e->dir_off, &err), &err);
    struct rd r = rd_of(packed, e->dir_len);
    assert_int_equal(rd_u8(&r), 0);
    size_t n = (size_t)rd_varint(&r);
    struct buf head;
    buf_init(&head, 64);
    buf_putc(&head, 0);
    buf_varint(&head, n);
    assert_true(rd_ok(&r) && head.n + n <= cap);
    memcpy(out, head.p, head.n);
    str rest = { (const char *)r.p, rd_left(&r) };
    if (n > rest.n)
        kit_ok(zstd_unpack(rest, out + head.n, n, &err), &err);
    else
        memcpy(out + head.n, rest.p, n);
    n += head.n;
    buf_deinit(&head);
    mem_free(packed);
    return n;
}

/* The directory with one place changed, behind the file's end, under a checksum that fits. */
static void test_statistics(void **state)
{
    (void)state;
    static char dir[1 << 16];
    struct found f = opened();
    struct seg_block *e = &f.g->blocks[0];
    struct seg_col c = column(f.g, "\x01n");
    size_t n = directory(f.g, dir, sizeof dir), at = 0;
    uint8_t both[16];
    put_le64(both, (uint64_t)c.imin);
    put_le64(both + 8, (uint64_t)c.imax);
    while (at + 16 < n && memcmp(dir + at, both, 16) != 0)
        at++;
    assert_true(at + 16 < n);
    put_le64(dir + at, (uint64_t)c.imin + 1);
    overwrite(&f, f.g->m.bytes, dir, n);
    e->dir_off = f.g->m.bytes;
    e->dir_len = (uint32_t)n;
    e->dir_crc = addr_crc(f.s, f.g->m.id, e->dir_off, dir, n);
    expect_told(f.g, "minimum and maximum");
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
        cmocka_unit_test(test_sections),     cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_value_map),    cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
