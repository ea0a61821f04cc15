/* store_index_test.c: searches that indexes serve give what reading everything gives: over random
 * texts and ids, for every form of test, in segments as flushed, merged, reopened, written without
 * indexes, and with a byte of the file changed. */
#include <stdlib.h>

#include "model/pred_leaf.h"
#include "store_kit.h"

#define BATCHES 6
#define PER_BATCH 600
#define ROWS (BATCHES * PER_BATCH)
#define ASKS 600

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- rows ---- */

static char messages[ROWS][120], ids[ROWS][40], keys[ROWS][40];

/* words of a batch are mostly its own, so that there is something to rule out */
static void word(char *out, size_t n, uint32_t batch)
{
    static const char *const common[] = { "open",   "Failed", "the", "to", "日本", "語学",
                                          "ошибка", "É",      "a",   "x1", "ﬁn" };
    if (below(3) == 0)
        snprintf(out, n, "%s", common[below(sizeof common / sizeof *common)]);
    else if (below(2))
        snprintf(out, n, "%c%c%c%c", 'a' + batch * 4 + below(4), 'a' + below(26), 'a' + below(4),
                 'A' + batch * 4 + below(4));
    else
        snprintf(out, n, "%x%06x", batch + 1, below(0x1000000));
}

static void make_rows(void)
{
    static const char *const gaps[] = { " ", "/", ", ", "\n", "_", "" };
    for (uint32_t k = 0; k < ROWS; k++) {
        uint32_t batch = k / PER_BATCH;
        messages[k][0] = 0;
        for (uint32_t i = 0, n = 1 + below(5); i < n; i++) {
            char w[24];
            size_t at = strlen(messages[k]);
            word(w, sizeof w, batch);
            snprintf(messages[k] + at, sizeof messages[k] - at, "%s%s", w, gaps[below(6)]);
        }
        snprintf(ids[k], sizeof ids[k], "trace_%06u_%08x", k / 5, k / 5 * 2654435761u);
        snprintf(keys[k], sizeof keys[k], "Req-%08x-%04x", k * 2246822519u, below(0x10000));
    }
}

static void append(struct store *s, uint32_t batch)
{
    struct arena a;
    struct batch *b;
    struct buf out;
    struct err err = ERR_INIT;
    arena_init(&a, 1u << 26);
    buf_init(&out, 1u << 26);
    kit_ok(batch_new(&b, &a, &err), &err);
    for (uint32_t k = batch * PER_BATCH; k < (batch + 1) * PER_BATCH; k++) {
        bcol_put_i64(batch_col(b, STR("timestamp"), V_I64), kit_time(k));
        bcol_put_text(batch_col(b, STR("message"), V_STR), str_c(messages[k]));
        bcol_put_text(batch_col(b, STR("trace_id"), V_STR), str_c(ids[k]));
        if (k % 3)
            bcol_put_text(batch_col(b, STR("\x01key"), V_STR), str_c(keys[k]));
        if (k % 7 == 0)
            bcol_put_text(batch_col(b, STR("output"), V_STR), str_c(messages[(k * 31) % ROWS]));
        if (k % 11 == 0)
            bcol_put_i64(batch_col(b, STR("\x01key"), V_I64), k);
        bcol_put_text(batch_col(b, STR("\x01kind"), V_STR), batch % 2 ? STR("ok") : STR("n/a"));
        batch_end_row(b);
    }
    kit_ok(batch_encode(b, &out, &err), &err);
    arena_deinit(&a);
    size_t n;
    char *p = buf_take(&out, &n);
    kit_ok(store_append_wait(s, p, n, PER_BATCH, NULL, &err), &err);
}

/* ---- tests ---- */

/* a slice of a value, cut between characters, in another case now and then */
static str slice(struct arena *a, const char *from, uint32_t most)
{
    str v = str_c(from);
    size_t n = v.n ? 1 + below(most) : 0, at = v.n ? below((uint32_t)v.n) : 0;
    while (at > 0 && ((unsigned char)v.p[at] & 0xc0) == 0x80)
        at--;
    n = n > v.n - at ? v.n - at : n;
    while (at + n < v.n && ((unsigned char)v.p[at + n] & 0xc0) == 0x80)
        n++;
    char *p = arena_alloc(a, n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        bool letter = (v.p[at + i] | 0x20) >= 'a' && (v.p[at + i] | 0x20) <= 'z';
        p[i] = letter && below(8) == 0 ? (char)(v.p[at + i] ^ 0x20) : v.p[at + i];
    }
    return str_n(p, n);
}

static const char *any_value(void)
{
    uint32_t k = below(ROWS);
    switch (below(4)) {
    case 0: return ids[k];
    case 1: return keys[k];
    default: return messages[k];
    }
}

static struct fieldref any_field(struct arena *a)
{
    static const char *const names[] = { "message",        "output",          "trace_id",
                                         "attributes.key", "attributes.kind", "attributes.none" };
    struct fieldref f;
    assert_true(fieldref_make(a, str_c(names[below(6)]), false, &f));
    return f;
}

/* NULL when the random form is none that a query may have */
static struct pred *any_leaf(struct arena *a)
{
    struct err err = ERR_INIT;
    struct pred *p = NULL;
    struct fieldref *f = arena_alloc(a, sizeof *f);
    str *part = arena_array(a, 3, sizeof *part);
    assert_true(f && part);
    *f = any_field(a);
    part[0] = part[1] = part[2] = STR("");
    str s = below(5) ? slice(a, any_value(), 20) : str_c(any_value());
    struct pred_scope sc = { .fields = f, .n = 1 };
    if (below(2))
        assert_true(pred_default_scope(a, &sc));
    struct pred_value v = { .part = part, .nparts = 1, .quoted = below(2) };
    uint32_t form = below(8);
    switch (form) {
    case 0: return pred_equal(a, f, s, below(2));
    case 1: return below(2) ? pred_glob(a, F_TRACE_ID, s) : pred_substr(a, F_MESSAGE, s, below(2));
    case 2: {
        char quoted[400];
        size_t n = 0;
        for (size_t i = 0; i < s.n; i++) {
            if (strchr("\\^$.|?*+()[]{}", s.p[i]) && s.p[i])
                quoted[n++] = '\\';
            quoted[n++] = s.p[i];
        }
        if (below(2))
            memcpy(quoted + n, ".*o", 3), n += 3;
        return pred_regex_in(&p, a, &sc, arena_dup(a, str_n(quoted, n)),
                             below(2) ? STR("i") : STR(""), &err)
                   ? NULL
                   : p;
    }
    case 3: /* prefix */
        part[0] = s;
        v.nparts = 2;
        break;
    case 4: /* suffix */
        part[1] = s;
        v.nparts = 2;
        break;
    case 5: /* contains */
        part[1] = s;
        v.nparts = 3;
        break;
    default: part[0] = s;
    }
    int rc = below(2) ? pred_match(&p, a, f, &v, &err) : pred_words(&p, a, &sc, &v, &err);
    return rc ? NULL : p;
}

static struct pred *any_tree(struct arena *a, uint32_t depth)
{
    if (!depth || below(3) == 0)
        return any_leaf(a);
    struct pred *x = any_tree(a, depth - 1), *y = any_tree(a, depth - 1);
    if (!x || !y)
        return NULL;
    return below(4) == 0 ? pred_not(a, x) : below(2) ? pred_and(a, x, y) : pred_or(a, x, y);
}

/* ---- comparing ---- */

/* marks the rows found in seen[1..ROWS]; the cost account */
static struct scan_cost scan(struct store *s, const struct pred *p, bool no_prune, uint8_t *seen)
{
    struct scan_plan plan = { .filter = p, .no_prune = no_prune };
    struct scan *sc;
    struct scan_block sb;
    struct val v;
    struct err err = ERR_INIT;
    bool unread = false; /* a damaged page of sequence numbers */
    memset(seen, 0, ROWS + 1);
    kit_ok(store_scan(s, &plan, &sc, &err), &err);
    while (scan_next(sc, &sb, &err) == 0)
        for (size_t i = bits_next(sb.sel, 0, sb.block->n); i < sb.block->n;
             i = bits_next(sb.sel, i + 1, sb.block->n)) {
            if (block_get_field(sb.block, (uint32_t)i, F_SEQ, &v, &err)) {
                unread = true;
                break;
            }
            assert_true(v.i >= 1 && v.i <= ROWS);
            seen[v.i]++;
        }
    struct scan_cost c = *scan_get_cost(sc);
    c.incomplete |= unread;
    assert_int_equal(c.blocks_pruned,
                     c.pruned_bounds + c.pruned_signatures + c.pruned_values + c.pruned_stats);
    scan_close(sc);
    return c;
}

static void compare(struct store *s, uint64_t number, struct scan_cost *sum)
{
    static uint8_t with[ROWS + 1], without[ROWS + 1];
    struct arena a;
    struct buf text;
    seed = number * 77 + 5;
    arena_init(&a, 1u << 22);
    struct pred *p = any_tree(&a, number % 3);
    if (p) {
        struct scan_cost c = scan(s, p, false, with);
        assert_false(c.incomplete);
        scan(s, p, true, without);
        buf_init(&text, 1u << 20);
        pred_put_text(&text, p);
        if (memcmp(with, without, sizeof with) != 0)
            fail_msg("tree %llu: %.*s", (unsigned long long)number, STR_FMT(buf_str(&text)));
        buf_deinit(&text);
        sum->pruned_signatures += c.pruned_signatures;
        sum->pruned_values += c.pruned_values;
        sum->blocks_total += c.blocks_total;
    }
    arena_deinit(&a);
}

static void compare_all(struct store *s, bool indexed)
{
    struct scan_cost sum = { 0 };
    for (uint64_t i = 0; i < ASKS; i++)
        compare(s, i, &sum);
    if (indexed) { /* else nothing was judged */
        assert_true(sum.pruned_signatures > sum.blocks_total / 10);
        assert_true(sum.pruned_values > sum.blocks_total / 100);
    } else {
        assert_int_equal(sum.pruned_signatures + sum.pruned_values, 0);
    }
}

static struct store *open_with(struct io *io, bool no_indexes)
{
    struct store_config cfg;
    struct store *s = NULL;
    struct err err = ERR_INIT;
    store_config_default(&cfg);
    cfg.reserve_bytes = 0;
    cfg.no_indexes = no_indexes;
    kit_ok(store_open(&s, io, &cfg, &err), &err);
    return s;
}

static void verify(struct io *io)
{
    struct verify_report rep = { 0 };
    struct err err = ERR_INIT;
    kit_ok(store_verify(io, &rep, &err), &err);
}

static void test_permutations(void **state)
{
    (void)state;
    for (int no_indexes = 0; no_indexes < 2; no_indexes++) {
        struct io *io = kit_disk();
        struct err err = ERR_INIT;
        struct store *s = open_with(io, no_indexes);
        seed = 42;
        make_rows();
        for (uint32_t i = 0; i < BATCHES; i++) {
            append(s, i);
            kit_ok(store_flush(s, &err), &err);
        }
        compare_all(s, !no_indexes);
        kit_ok(store_merge(s, &err), &err);
        compare_all(s, !no_indexes);
        store_close(s);
        verify(io);
        s = open_with(io, false);
        compare_all(s, !no_indexes);
        store_close(s);
        io_free(io);
    }
}

/* ---- whole blocks taken over by a merge ---- */

#define FULL 8192 /* rows of a full block: a merge copies it as it is */

static uint64_t count(struct store *s, const struct pred *p, struct scan_cost *ret)
{
    struct scan *sc;
    struct scan_block sb;
    struct err err = ERR_INIT;
    uint64_t n = 0;
    kit_ok(store_scan(s, &(struct scan_plan){ .filter = p }, &sc, &err), &err);
    while (scan_next(sc, &sb, &err) == 0)
        n += sb.nsel;
    *ret = *scan_get_cost(sc);
    scan_close(sc);
    return n;
}

/* What three segments answered one by one, their merger answers as well. */
static void test_copied_blocks(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = open_with(io, false);
    struct arena a;
    arena_init(&a, 1u << 24);
    for (uint32_t i = 0; i < 3; i++) {
        kit_ok(kit_append(s, i * FULL, FULL, &err), &err);
        kit_ok(store_flush(s, &err), &err);
    }
    for (int merged = 0; merged < 2; merged++) {
        if (merged)
            kit_ok(store_merge(s, &err), &err);
        assert_int_equal(kit_status(s).segments, merged ? 1 : 3);
        for (uint64_t k = 0; k < 60; k++) {
            struct scan_cost c;
            uint64_t row = k * 409 % (3ull * FULL);
            char text[40];
            snprintf(text, sizeof text, "number %llu of", (unsigned long long)row);
            struct pred *p = pred_substr(&a, F_MESSAGE, arena_dup(&a, str_c(text)), true);
            assert_int_equal(count(s, p, &c), 1);
            p = pred_substr(&a, F_MESSAGE, STR("nowhere"), true);
            assert_int_equal(count(s, p, &c), 0);
            assert_int_equal(c.pruned_signatures, 3);
            p = pred_eq(&a, F_SESSION_ID, arena_dup(&a, STR("s99")));
            assert_int_equal(count(s, p, &c), 0);
            assert_int_equal(c.pruned_values, 3);
            p = pred_eq(&a, F_SESSION_ID, STR("s5"));
            assert_true(count(s, p, &c) > 0);
        }
    }
    store_close(s);
    verify(io);
    io_free(io);
    arena_deinit(&a);
}

/* ---- damage ---- */

static struct io_file *segment_file(struct io *io)
{
    char day[11], path[80];
    struct io_file *f;
    struct err err = ERR_INIT;
    ts_format_day(io->ops->now(io), day);
    snprintf(path, sizeof path, "p/%s.0/000000000001.seg", day);
    kit_ok(io->ops->open(io, &f, path, IO_READ | IO_WRITE, &err), &err);
    return f;
}

static void flip(struct io_file *f, uint64_t at)
{
    uint8_t byte;
    size_t n;
    struct err err = ERR_INIT;
    kit_ok(f->io->ops->pread(f, &byte, 1, at, &n, &err), &err);
    byte ^= 0x10;
    kit_ok(f->io->ops->pwrite(f, &byte, 1, at, &err), &err);
}

/* A changed byte anywhere: what is found is right, or the answer says that it is not complete; and
 * verify finds it. */
static void test_damage(void **state)
{
    static uint8_t want[ROWS + 1], got[ROWS + 1];
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct arena a;
    struct store *s = open_with(io, false);
    arena_init(&a, 1u << 20);
    seed = 42;
    make_rows();
    append(s, 0);
    kit_ok(store_flush(s, &err), &err);
    struct pred *by_id = pred_eq(&a, F_TRACE_ID, str_c(ids[77]));
    struct pred *by_text = pred_substr(&a, F_MESSAGE, slice(&a, messages[3], 9), true);
    struct pred *p = pred_or(&a, by_id, by_text);
    scan(s, p, true, want);
    store_close(s);
    struct io_file *f = segment_file(io);
    uint64_t size;
    kit_ok(f->io->ops->size(f, &size, &err), &err);
    for (uint64_t at = 0; at < size; at += 1 + size / 400) {
        struct verify_report rep = { 0 };
        flip(f, at);
        s = open_with(io, false);
        struct scan_cost c = scan(s, p, false, got);
        for (uint32_t i = 0; i <= ROWS; i++)
            assert_true(got[i] == want[i] || (!got[i] && c.incomplete));
        store_close(s);
        assert_int_not_equal(store_verify(io, &rep, &err), 0);
        err_reset(&err);
        flip(f, at);
    }
    io_close(f);
    verify(io);
    io_free(io);
    arena_deinit(&a);
}

/* ---- counts by hour and level ---- */

static void check_hours(struct store *s)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct store_summary sum;
    static uint64_t want[40][LV__COUNT];
    memset(want, 0, sizeof want);
    int64_t first = KIT_T0 / (3600 * NS_PER_S);
    for (uint64_t k = 0; k < 3ull * FULL; k++)
        want[kit_time(k) / (3600 * NS_PER_S) - first][k % 6]++;
    arena_init(&a, 1u << 22);
    kit_ok(store_summary(s, &a, &sum, &err), &err);
    assert_true(sum.levels_by_hour);
    uint64_t n = 0;
    for (uint32_t i = 0; i < sum.nhours; i++) {
        assert_memory_equal(sum.hours[i].levels, want[sum.hours[i].hour - first], sizeof want[0]);
        for (int l = 0; l < LV__COUNT; l++)
            n += sum.hours[i].levels[l];
    }
    assert_int_equal(n, 3 * FULL);
    arena_deinit(&a);
}

/* In memory, in segments, merged by copying, and read again. */
static void test_hours_by_level(void **state)
{
    (void)state;
    struct io *io = kit_disk();
    struct err err = ERR_INIT;
    struct store *s = open_with(io, false);
    for (uint32_t i = 0; i < 3; i++) {
        kit_ok(kit_append(s, i * FULL, FULL, &err), &err);
        if (i < 2)
            kit_ok(store_flush(s, &err), &err);
    }
    check_hours(s);
    kit_ok(store_flush(s, &err), &err);
    kit_ok(store_merge(s, &err), &err);
    assert_int_equal(kit_status(s).segments, 1);
    check_hours(s);
    store_close(s);
    s = open_with(io, false);
    check_hours(s);
    store_close(s);
    io_free(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permutations),
        cmocka_unit_test(test_copied_blocks),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_hours_by_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
