/* store_tails_test.c: forged ends of the log, and exactly what comes of each (DI16: the cases of
 * PostgreSQL's 039_end_of_wal, translated to our frames).
 *
 * The log holds KEPT batches whose group is known to have been durable (a frame or a clock says
 * so), then something forged. A forged end nobody vouches for is a torn tail: nothing is lost,
 * SEQ_SKIP numbers are left out, strict recovery opens too. Each case is run with the forged header
 * whole in a sector, and split by a sector's border. */
#include "store_kit.h"

#include "base/hash.h"
#include "base/rd.h"

#define LOG "wal/000000000001.wal"
#define KEPT 3
#define ROWS 25
#define SKIP 65536
#define HEAD 64
#define FRAME 88
#define SECTOR 512

static uint8_t seen[200];
static struct err err;

/* A frame's header to be changed, and what stands behind it. */
struct forged {
    uint8_t head[FRAME];
    uint8_t body[2000];
    size_t body_n;
    bool seal; /* header checksum made anew after the change */
};

static struct io *dead_store(uint64_t *ret_end, uint32_t *ret_prev, bool split)
{
    struct io *mem = kit_disk();
    struct store *s = kit_open(mem, 20u << 20);
    char *p = NULL;
    size_t n;
    for (uint32_t b = 0; b < KEPT; b++)
        kit_ok(kit_append(s, b * ROWS, ROWS, &err), &err);
    store_close(s); /* a clock frame vouches for them */
    kit_ok(io_read_file(mem, LOG, 1u << 30, &p, &n, &err), &err);
    uint64_t at = HEAD;
    while (at + FRAME <= n && memcmp(p + at, "WLF1", 4) == 0) {
        *ret_prev = get_le32(p + at + 84);
        at += FRAME + get_le32(p + at + 8);
    }
    /* marks of nothing fill up to where the header shall be: at a border, or across one */
    uint64_t want = (at + FRAME + SECTOR) / SECTOR * SECTOR + (split ? SECTOR - 40 : 0);
    uint8_t pad[FRAME + 3 * SECTOR] = { 0 };
    struct io_file *f;
    kit_ok(mem->ops->open(mem, &f, LOG, IO_WRITE, &err), &err);
    uint32_t len = (uint32_t)(want - at - FRAME);
    put_le32(pad, 0x31464c57u);
    pad[4] = 3; /* a mark */
    put_le32(pad + 8, len);
    put_le32(pad + 12, len);
    put_le64(pad + 32, get_le64(p + HEAD + 32));
    put_le64(pad + 40, 1);
    put_le64(pad + 48, at);
    put_le32(pad + 56, *ret_prev);
    put_le32(pad + 60, crc32c(0, pad + FRAME, len));
    put_le64(pad + 64, get_le64(p + HEAD + 64));
    put_le64(pad + 72, at);
    put_le32(pad + 84, *ret_prev = crc32c(0, pad, FRAME - 4));
    kit_ok(f->io->ops->pwrite(f, pad, FRAME + len, at, &err), &err);
    io_close(f);
    mem_free(p);
    *ret_end = want;
    return mem;
}

/* A good frame of a batch of ROWS rows for that place, as the writer would have made it. */
static void good_frame(struct io *mem, uint64_t at, uint32_t prev, struct forged *g)
{
    char *p, *payload = NULL;
    size_t n, payload_n = 0;
    kit_ok(io_read_file(mem, LOG, 1u << 30, &p, &n, &err), &err);
    kit_ok(kit_payload(KEPT * ROWS, 1, &payload, &payload_n, &err), &err);
    assert_true(payload_n < sizeof g->body);
    memset(g, 0, sizeof *g);
    memcpy(g->head, p + HEAD, FRAME); /* tag, receive time */
    memcpy(g->body, payload, payload_n);
    g->body_n = payload_n;
    g->head[4] = 1;
    g->head[5] = 0;
    put_le32(g->head + 8, (uint32_t)payload_n);
    put_le32(g->head + 12, (uint32_t)payload_n);
    put_le64(g->head + 16, KEPT * ROWS + 1);
    put_le32(g->head + 24, 1);
    put_le64(g->head + 48, at); /* no more was durable than what is before it */
    put_le32(g->head + 56, prev);
    put_le32(g->head + 60, crc32c(0, g->body, payload_n));
    put_le64(g->head + 72, at);
    g->seal = true;
    mem_free(p);
    mem_free(payload);
}

static void change_nothing(struct forged *g)
{
    (void)g;
}
static void length_zero(struct forged *g)
{
    put_le32(g->head + 8, 0);
}
static void length_of_less_than_a_header(struct forged *g)
{
    put_le32(g->head + 8, 23);
}
static void length_2_gib(struct forged *g)
{
    put_le32(g->head + 8, 0x7fffffff);
}
static void length_4_gib(struct forged *g)
{
    put_le32(g->head + 8, UINT32_MAX);
}
static void length_of_body_wrong(struct forged *g)
{
    put_le32(g->head + 8, (uint32_t)g->body_n - 1);
}
static void link_wrong(struct forged *g)
{
    g->head[56] ^= 1;
}
static void checksum_of_header_wrong(struct forged *g)
{
    g->head[84] ^= 1;
    g->seal = false;
}
static void checksum_of_body_wrong(struct forged *g)
{
    g->body[7] ^= 1;
}
static void zeros(struct forged *g)
{
    memset(g->head, 0, sizeof g->head);
    g->seal = false;
}
static void magic_wrong(struct forged *g)
{
    g->head[0] = 'X';
}
static void of_another_file(struct forged *g)
{
    put_le64(g->head + 40, 9);
}
static void of_another_place(struct forged *g) /* a recycled frame */
{
    put_le64(g->head + 72, get_le64(g->head + 72) - SECTOR);
}
static void of_another_store(struct forged *g)
{
    g->head[64] ^= 1;
}
static void body_missing(struct forged *g)
{
    memset(g->body, 0, g->body_n);
}
static void type_unknown(struct forged *g)
{
    g->head[4] = 77;
}
static void flags_of_lz4_over_plain(struct forged *g)
{
    g->head[5] = 1;
}
static void flag_of_key_without_one(struct forged *g)
{
    g->head[5] = 2;
    g->body_n = 20; /* less than a key takes */
    put_le32(g->head + 8, (uint32_t)g->body_n);
    put_le32(g->head + 60, crc32c(0, g->body, g->body_n));
}
static void rows_more_than_there_are(struct forged *g)
{
    put_le32(g->head + 24, 1000);
}

enum outcome {
    WHOLE,   /* a good frame: its row is there */
    NOTHING, /* the end of the log, as if nothing had been there */
    TORN,    /* a torn tail: nothing lost, SKIP numbers left out */
    BAD,     /* an intact frame whose contents cannot be: its numbers are a gap */
    REFUSED  /* of a later version: the store does not open */
};

static const struct tail {
    const char *name;
    void (*change)(struct forged *g);
    enum outcome outcome;
} tails[] = {
    { "nothing changed", change_nothing, WHOLE },
    { "length 0", length_zero, TORN },
    { "length shorter than a key", length_of_less_than_a_header, TORN },
    { "length 2 GiB", length_2_gib, TORN },
    { "length 4 GiB", length_4_gib, TORN },
    { "length of the body off by one", length_of_body_wrong, TORN },
    { "link to the frame before", link_wrong, TORN },
    { "checksum of the header", checksum_of_header_wrong, TORN },
    { "checksum of the body", checksum_of_body_wrong, TORN },
    { "a header of zeros", zeros, TORN },
    { "magic", magic_wrong, TORN },
    { "a frame of another file", of_another_file, TORN },
    { "a frame of another place", of_another_place, TORN },
    { "a frame of another store", of_another_store, TORN },
    { "a header whose body never came", body_missing, TORN },
    { "an unknown type", type_unknown, REFUSED },
    { "lz4 that is none", flags_of_lz4_over_plain, BAD },
    { "a key that is none", flag_of_key_without_one, BAD },
    { "more rows than the payload holds", rows_more_than_there_are, BAD },
};

static void forge(struct io *mem, uint64_t at, uint32_t prev, const struct tail *t)
{
    struct forged g;
    struct io_file *f;
    good_frame(mem, at, prev, &g);
    t->change(&g);
    if (g.seal)
        put_le32(g.head + 84, crc32c(0, g.head, FRAME - 4));
    kit_ok(mem->ops->open(mem, &f, LOG, IO_WRITE, &err), &err);
    kit_ok(f->io->ops->pwrite(f, g.head, FRAME, at, &err), &err);
    kit_ok(f->io->ops->pwrite(f, g.body, g.body_n, at + FRAME, &err), &err);
    io_close(f);
}

static void expect_gap(struct store *s, const struct tail *t, uint64_t first, uint64_t last)
{
    struct arena a;
    struct store_gap *g;
    uint32_t n;
    arena_init(&a, 1u << 20);
    kit_ok(store_gaps(s, &a, &g, &n, &err), &err);
    if (n != (first != 0) || (n && (g[0].first_seq != first || g[0].last_seq != last)))
        fail_msg("%s: %u gap records, the first %llu to %llu", t->name, n,
                 n ? (unsigned long long)g[0].first_seq : 0,
                 n ? (unsigned long long)g[0].last_seq : 0);
    arena_deinit(&a);
}

static void judge(struct io *mem, const struct tail *t, bool strict)
{
    struct store_config cfg;
    struct store *s = NULL;
    uint64_t base, seq = KEPT * ROWS;
    size_t bytes = 0;
    char *p = NULL;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.recovery_strict = strict;
    int rc = store_open(&s, mem, &cfg, &err);
    if (t->outcome == REFUSED) {
        assert_int_equal(rc, ERR_UNSUPPORTED);
        return;
    }
    if (strict && t->outcome == BAD) {
        assert_int_equal(rc, ERR_CORRUPT);
        return;
    }
    if (rc)
        fail_msg("%s: does not open: %s", t->name, err.msg);
    int64_t rows = kit_read_all(s, NULL, seen, sizeof seen, &err);
    if (rows != KEPT * ROWS + (t->outcome == WHOLE))
        fail_msg("%s: %lld rows", t->name, (long long)rows);
    uint64_t bad_rows = t->change == rows_more_than_there_are ? 1000 : 1;
    uint64_t skipped = t->outcome == TORN ? SKIP : t->outcome == BAD ? bad_rows : 0;
    expect_gap(s, t, skipped ? seq + 1 : 0, seq + skipped);
    kit_ok(kit_payload(KEPT * ROWS + 1, 1, &p, &bytes, &err), &err);
    kit_ok(store_append_wait(s, p, bytes, 1, &base, &err), &err);
    if (base != seq + skipped + (t->outcome == WHOLE) + 1)
        fail_msg("%s: the next number is %llu", t->name, (unsigned long long)base);
    store_close(s);
}

static void test_forged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        for (int variant = 0; variant < 4; variant++) {
            uint64_t at;
            uint32_t prev = 0;
            struct io *mem = dead_store(&at, &prev, variant & 1);
            forge(mem, at, prev, &tails[i]);
            judge(mem, &tails[i], variant & 2);
            if (tails[i].outcome != REFUSED && !(variant & 2)) { /* and the start after that */
                struct store *s = kit_open(mem, 20u << 20);
                int64_t rows = kit_read_all(s, NULL, seen, sizeof seen, &err);
                assert_int_equal(rows, KEPT * ROWS + 1 + (tails[i].outcome == WHOLE));
                store_close(s);
            }
            io_free(mem);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_forged) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
